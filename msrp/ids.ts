import type { MessageId } from './message.ts';

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
/** Octets below this are spread evenly over the alphabet. */
const EVEN = 256 - (256 % ALPHABET.length);

const pool = new Uint8Array(4096);
let used = pool.length;

function randomOctet(): number {
  if (used === pool.length) {
    crypto.getRandomValues(pool);
    used = 0;
  }
  return pool[used++] ?? 0;
}

/** Letters and digits, each worth 5.95 bits. */
function randomText(length: number): string {
  let text = '';
  while (text.length < length) {
    const octet = randomOctet();
    if (octet < EVEN) text += ALPHABET.charAt(octet % ALPHABET.length);
  }
  return text;
}

/** A session id hard to guess: 119 random bits (RFC 4975 §14.1 demands 80). */
export function newSessionId(): string {
  return randomText(20);
}

/** A fresh Message-ID: 119 random bits (RFC 4975 §7.1.1). */
export function newMessageId(): MessageId {
  return brandMessageId(randomText(20));
}

const IDENT = /^[A-Za-z0-9][A-Za-z0-9.\-+%=]{3,31}$/;

/** Whether a text is an `ident` (RFC 4975 §9), as transaction and message ids are. */
export function isMessageId(text: string): text is MessageId {
  return IDENT.test(text);
}

/** Longer than an `ident`, as the UUIDs are that some gateways use; nothing else of theirs is wrong. */
const READABLE = /^[A-Za-z0-9][A-Za-z0-9.\-+%=]{3,63}$/;

/** Whether a text is taken for the Message-ID of a peer's message: an `ident`, or longer than one, up to 64 characters. */
export function isReadableId(text: string): text is MessageId {
  return READABLE.test(text);
}

function brandMessageId(text: string): MessageId {
  if (!isMessageId(text)) throw new Error(`no ident: ${text}`);
  return text;
}

/**
 * A transaction id of ours is `<session part><message part>`, both of this many characters, so that a message rendered
 * once for many sessions needs two short places patched per session. The session part has 47 random bits; the message
 * part 24, and a counter that keeps it unique for fourteen million messages: together more than the 64 random bits, and
 * the uniqueness, of RFC 4975 §7.1.
 */
export const ID_PART = 8;

/** The part of our transaction ids that is the session's own. */
export function newSessionPart(): string {
  return randomText(ID_PART);
}

/** Four characters of a transaction id, from `at` on, as the word that a response's octets are compared with. */
export function idWord(part: string, at: number): number {
  return (
    (part.charCodeAt(at) << 24) |
    (part.charCodeAt(at + 1) << 16) |
    (part.charCodeAt(at + 2) << 8) |
    part.charCodeAt(at + 3)
  );
}

let counter = 0;

/** The part of a transaction id that is the message's, or the chunk's, own. */
export function newMessagePart(): string {
  counter = (counter + 1) % PAIRS.length ** 2;
  return randomPair() + randomPair() + pair(counter % PAIRS.length) + pair(Math.floor(counter / PAIRS.length));
}

/** All texts of two characters of the alphabet. */
const PAIRS = Array.from(ALPHABET, (first) => Array.from(ALPHABET, (second) => first + second)).flat();

function pair(which: number): string {
  return PAIRS[which] ?? '';
}

function randomPair(): string {
  for (;;) {
    const which = ((randomOctet() & 0x0f) << 8) | randomOctet();
    if (which < PAIRS.length) return pair(which);
  }
}
