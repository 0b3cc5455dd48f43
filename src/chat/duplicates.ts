import type { EventNumber, MessageId, UserUri } from '../conference/ids.ts';
import type { ChatRefusal } from './refusals.ts';

/** What is said, without the headers that a client may write anew; of what is large, only the beginning is known in time. */
type Content = Uint8Array | { readonly beginning: Uint8Array } | { readonly fingerprint: string };

/** Octets of that beginning by which it is known: those are there however it is cut into chunks. */
const COMPARED = 16_384;

type Settled = (outcome: EventNumber | ChatRefusal) => void;

/** A message that came for the first time and whose fate is not known yet. Made and changed by `Duplicates` alone. */
export interface FirstSending {
  readonly key: number;
  /** Who wants to hear what becomes of it. */
  waiting: Settled[];
}

const NOBODY: Settled[] = [];

/**
 * Remembers the messages a room has taken, so that one sent again (after a lost session, RFC 4975 §5.4) is answered
 * again but not said again. A Message-ID counts per user, since devices of one user share what they resend, and only for
 * the same content: a client that begins its counter anew says something else under an old id, and that must not be lost.
 */
export class Duplicates {
  // Two halves of the window: when the newer one is full, the older one is forgotten at once, which costs nothing per
  // message. Numbers on both sides: a room remembers many, and each object would be moved by two collections.
  #newer = new Map<number, FirstSending | EventNumber>();
  #older = new Map<number, FirstSending | EventNumber>();
  readonly #window: number;

  /** @param window messages remembered at most; the oldest half of them is forgotten together */
  constructor(window: number) {
    this.#window = window;
  }

  /**
   * Takes note of a message. One that is new is given back and waits until `settle` is called for it; for one that is not,
   * nothing is given. `settled` hears what has become of the first, now or later.
   */
  begin(user: UserUri, id: MessageId, content: Content, settled: Settled): FirstSending | undefined {
    const key = keyOf(user, id, content);
    const known = this.#known(key);
    if (known === undefined) {
      const first: FirstSending = { key, waiting: [settled] };
      this.#remember(key, first);
      return first;
    }
    if (typeof known === 'number') settled(known);
    else known.waiting.push(settled);
    return undefined;
  }

  /** The first sending of a message, while its fate is not known yet. */
  underWay(user: UserUri, id: MessageId, content: Content): FirstSending | undefined {
    const known = this.#known(keyOf(user, id, content));
    return typeof known === 'number' ? undefined : known;
  }

  #known(key: number): FirstSending | EventNumber | undefined {
    return this.#newer.get(key) ?? this.#older.get(key);
  }

  /** Tells all who wait what became of the message; one that was not kept may be sent again. */
  settle(first: FirstSending, outcome: EventNumber | ChatRefusal): void {
    const { key, waiting } = first;
    const half = this.#newer.get(key) === first ? this.#newer : this.#older;
    if (half.get(key) === first) {
      if (typeof outcome === 'number') half.set(key, outcome);
      else half.delete(key);
    }
    first.waiting = NOBODY;
    for (const settled of waiting) settled(outcome);
  }

  /** Notes a message found in the log, when the room is opened again. */
  restore(user: UserUri, id: MessageId, content: Content, n: EventNumber): void {
    this.#remember(keyOf(user, id, content), n);
  }

  #remember(key: number, message: FirstSending | EventNumber): void {
    this.#newer.set(key, message);
    if (this.#newer.size < this.#window / 2) return;
    const forgotten = this.#older;
    this.#older = this.#newer;
    this.#newer = new Map();
    for (const [old, first] of forgotten) {
      // One that waits has somebody to answer; the log bounds how many can wait.
      if (typeof first === 'object') this.#older.set(old, first);
    }
  }
}

/** Of this process alone, so that nobody can make two keys alike but by chance. */
const [SEED = 0, SEED_BELOW = 0] = crypto.getRandomValues(new Uint32Array(2));

/** 53 bits: a message is taken for one of a thousand others once in 2^43. */
function keyOf(user: UserUri, id: MessageId, content: Content): number {
  const whole = content instanceof Uint8Array ? content : undefined;
  const fingerprint = content instanceof Uint8Array ? '' : fingerprintOf(content);
  const hash = whole === undefined ? 0 : hashOf(whole);
  const size = whole?.length ?? -1;
  const high = mixed(mixed(mixedWith(mixedWith(mixedWith(SEED, user), id), fingerprint), size), hash);
  const low = mixed(mixed(mixedWith(mixedWith(mixedWith(SEED_BELOW, user), id), fingerprint), size), hash);
  return (high >>> 0) * 2 ** 21 + (low >>> 11);
}

function mixedWith(before: number, text: string): number {
  let mix = before;
  for (let i = 0; i < text.length; i += 1) mix = Math.imul(mix ^ text.charCodeAt(i), 0x01000193);
  // Also where one text ends counts.
  return mixed(mix, text.length);
}

/** All bits of a word into all bits. */
function mixed(before: number, word: number): number {
  let mix = before ^ word;
  mix = Math.imul(mix ^ (mix >>> 16), 0x85ebca6b);
  mix = Math.imul(mix ^ (mix >>> 13), 0xc2b2ae35);
  return mix ^ (mix >>> 16);
}

/** By what a content is known again. */
export function fingerprintOf(content: Content): string {
  if ('fingerprint' in content) return content.fingerprint;
  return 'beginning' in content
    ? `large ${hashOf(content.beginning.subarray(0, COMPARED))}`
    : `${content.length} ${hashOf(content)}`;
}

/** FNV-1a over words of four octets, and what is left: whoever makes two contents alike only deceives himself. */
function hashOf(content: Uint8Array): number {
  const words = content.length & ~3;
  let hash = 0x811c9dc5;
  for (let at = 0; at < words; at += 4) {
    const low = (content[at] ?? 0) | ((content[at + 1] ?? 0) << 8);
    const high = ((content[at + 2] ?? 0) << 16) | ((content[at + 3] ?? 0) << 24);
    hash = Math.imul(hash ^ low ^ high, 0x01000193);
    // The product moves nothing down: what stands high in a word would be lost.
    hash ^= hash >>> 15;
  }
  for (let at = words; at < content.length; at++) hash = Math.imul(hash ^ (content[at] ?? 0), 0x01000193);
  return hash;
}
