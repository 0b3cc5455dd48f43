import type { EventNumber, MessageId, UserUri } from '../conference/ids.ts';
import type { ChatRefusal } from './refusals.ts';

/** What is said, without the headers that a client may write anew; of what is large, only the beginning is known in time. */
type Content = Uint8Array | { readonly beginning: Uint8Array } | { readonly fingerprint: string };

/** Octets of that beginning by which it is known: those are there however it is cut into chunks. */
const COMPARED = 16_384;

type Settled = (outcome: EventNumber | ChatRefusal) => void;

/** A message that came for the first time, and what has become of it. Made and changed by `Duplicates` alone. */
export interface FirstSending {
  readonly key: string;
  /** Its number, once it is kept. */
  n: EventNumber | undefined;
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
  // Two halves of the window: when the newer one is full, the older one is forgotten at once, which costs nothing per message.
  #newer = new Map<string, FirstSending>();
  #older = new Map<string, FirstSending>();
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
      const first: FirstSending = { key, n: undefined, waiting: [settled] };
      this.#remember(first);
      return first;
    }
    if (known.n === undefined) known.waiting.push(settled);
    else settled(known.n);
    return undefined;
  }

  /** What `begin` would take it for, unless it is new. */
  known(user: UserUri, id: MessageId, content: Content): FirstSending | undefined {
    return this.#known(keyOf(user, id, content));
  }

  #known(key: string): FirstSending | undefined {
    return this.#newer.get(key) ?? this.#older.get(key);
  }

  /** Tells all who wait what became of the message; one that was not kept may be sent again. */
  settle(first: FirstSending, outcome: EventNumber | ChatRefusal): void {
    if (typeof outcome === 'number') first.n = outcome;
    else for (const half of [this.#newer, this.#older]) if (half.get(first.key) === first) half.delete(first.key);
    const { waiting } = first;
    first.waiting = NOBODY;
    for (const settled of waiting) settled(outcome);
  }

  /** Notes a message found in the log, when the room is opened again. */
  restore(user: UserUri, id: MessageId, content: Content, n: EventNumber): void {
    this.#remember({ key: keyOf(user, id, content), n, waiting: NOBODY });
  }

  #remember(first: FirstSending): void {
    this.#newer.set(first.key, first);
    if (this.#newer.size < this.#window / 2) return;
    const forgotten = this.#older;
    this.#older = this.#newer;
    this.#newer = new Map();
    for (const [key, old] of forgotten) {
      // One that waits has somebody to answer; the log bounds how many can wait.
      if (old.n === undefined) this.#older.set(key, old);
    }
  }
}

function keyOf(user: UserUri, id: MessageId, content: Content): string {
  return `${id} ${user} ${fingerprintOf(content)}`;
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
