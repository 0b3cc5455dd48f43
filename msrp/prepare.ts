import { allocateBriefly, encodeText, findAscii, octets, octetsOf, writeText } from './bytes.ts';
import { ID_PART, idWord, newMessageId, newMessagePart } from './ids.ts';
import type { FailureReport, MessageId } from './message.ts';
import type { MessageOptions, Outgoing, StreamOptions } from './outgoing.ts';

/** A chunk larger than this must be interruptible, so its range-end is `*` (RFC 4975 §7.1.1). */
export const INTERRUPTIBLE_ABOVE = 2048;

const OWN_FIELDS = new Set([
  ...['to-path', 'from-path', 'message-id', 'byte-range', 'success-report', 'failure-report', 'status'],
  ...['content-type', 'content-transfer-encoding'],
]);

/**
 * A message rendered once for any number of sessions: everything behind From-Path as octets, with a place left open for
 * the session's part of the transaction id. Made by `prepare`; immutable; serves as the token by which its outcomes are
 * told.
 */
export class PreparedMessage implements Outgoing {
  readonly messageId: MessageId;
  readonly body: Uint8Array;
  readonly failureReport: FailureReport;
  readonly outcomes: 'all' | 'failures' | 'none';
  /** Header fields between Byte-Range and the body, and those before it: the same in every chunk. */
  readonly fields: ChunkFields;
  /** The message's part of the transaction id; it does not occur in the body behind an end-line's dashes. */
  readonly idPart: string;
  /** The same as two words, for comparing with what responses bring. */
  readonly idHigh: number;
  readonly idLow: number;
  /** From Message-ID to the end of the end-line, for a body small enough to go in one chunk; else undefined. */
  readonly tail: Uint8Array | undefined;

  constructor(options: MessageOptions) {
    this.messageId = options.messageId ?? newMessageId();
    this.body = options.body;
    this.failureReport = options.failureReport ?? 'yes';
    this.outcomes = options.outcomes ?? 'failures';
    this.fields = chunkFields(this.messageId, options);
    this.idPart = idPartNotIn(options.body);
    this.idHigh = idWord(this.idPart, 0);
    this.idLow = idWord(this.idPart, 4);
    this.tail = options.body.length > INTERRUPTIBLE_ABOVE ? undefined : this.#render();
  }

  /** Octets of the body. */
  get size(): number {
    return this.body.length;
  }

  #render(): Uint8Array {
    const { before, after } = this.fields;
    const size = this.body.length;
    const text = `${before}Byte-Range: 1-${size}/${size}\r\n${after}`;
    // Nearly all is ASCII, of which each character is one octet: then nothing need be counted.
    let head = text.length;
    let tail = allocateBriefly(head + size + END_LINE.length);
    if (writeText(tail, 0, text) !== head) {
      head = octetsOf(text);
      tail = allocateBriefly(head + size + END_LINE.length);
      writeText(tail, 0, text);
    }
    tail.set(this.body, head);
    tail.set(END_LINE, head + size);
    const place = tail.length - OPEN_PLACE + ID_PART;
    for (let at = 0; at < ID_PART; at++) tail[place + at] = this.idPart.charCodeAt(at);
    return tail;
  }
}

/** From the end of `tail` back to the place left open for the session's part of the transaction id. */
export const OPEN_PLACE = ID_PART + ID_PART + 3;

/** With room for both parts of a transaction id. */
const END_LINE = new Uint8Array(encodeText(`\r\n-------${' '.repeat(2 * ID_PART)}$\r\n`));

/**
 * Renders a message: for any number of sessions, but for each of them once, since the message brings its part of the
 * transaction id (RFC 4975 §7.1). Throws a TypeError for a header field that cannot stand in a message.
 */
export function prepare(options: MessageOptions): PreparedMessage {
  return new PreparedMessage(options);
}

/** The header fields of every chunk of a message, in their order, around Byte-Range. */
export interface ChunkFields {
  readonly before: string;
  /** Ends with the empty line: Content-Type is the last field (RFC 4975 §7.1). */
  readonly after: string;
}

/** Characters of the header fields of a message of ours at most. */
const MAX_FIELDS = 12_288;

/** Renders what all chunks of a message share. Throws a TypeError. */
export function chunkFields(messageId: MessageId, options: Omit<StreamOptions, 'total'>): ChunkFields {
  let before = `Message-ID: ${messageId}\r\n`;
  if (options.successReport === true) before += 'Success-Report: yes\r\n';
  if ((options.failureReport ?? 'yes') !== 'yes') before += `Failure-Report: ${options.failureReport ?? 'yes'}\r\n`;
  let after = '';
  for (const { name, value } of options.headers ?? []) {
    if (OWN_FIELDS.has(name.toLowerCase())) throw new TypeError(`${name} is not for the caller to set`);
    after += formatField(name, value);
  }
  after += `Content-Type: ${inOneLine('Content-Type', options.contentType)}\r\n\r\n`;
  if (before.length + after.length > MAX_FIELDS) throw new TypeError(`header fields above ${MAX_FIELDS} characters`);
  return { before, after };
}

const LINE_BREAKING = /[\0\r\n]/;
const FIELD_NAME = /^[A-Za-z][!#-'*+\-.0-9A-Z^-~]*$/;

/** One header line. Throws a TypeError when name or value would break it. */
export function formatField(name: string, value: string): string {
  if (!FIELD_NAME.test(name)) throw new TypeError(`no name of a header field: ${JSON.stringify(name)}`);
  return `${name}: ${inOneLine(name, value)}\r\n`;
}

function inOneLine(name: string, value: string): string {
  if (LINE_BREAKING.test(value)) throw new TypeError(`no value of ${name}: ${JSON.stringify(value)}`);
  return value;
}

/** How many dashes every end-line has before its transaction id. */
const DASHES = 7;
const DASH = 0x2d;

/** RFC 4975 §7.1: no end-line of ours may occur in the body; so where it can have such dashes, it does not have our id. */
function idPartNotIn(body: Uint8Array): string {
  for (;;) {
    const part = newMessagePart();
    if (!mayHaveDashes(body) || findAscii(octets(body), part) < 0) return part;
  }
}

/** So many dashes in a row would hold one of each so many octets. */
function mayHaveDashes(body: Uint8Array): boolean {
  for (let at = DASHES - 1; at < body.length; at += DASHES) if (body[at] === DASH) return true;
  return false;
}
