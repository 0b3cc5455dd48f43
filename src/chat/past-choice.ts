import type { Millis } from '../conference/events.ts';
import type { EventNumber } from '../conference/ids.ts';
import { MAX_READ } from '../log/room-log.ts';
import type { Copy } from './copy.ts';
import { type Mark, markOf, type Past } from './past.ts';
import type { PastWish } from './past-wish.ts';

/** How much of its past a room gives. */
export interface HistoryPolicy {
  /** Messages for somebody who comes in. */
  readonly messages: number;
  /** How old they may be, in milliseconds; undefined: of any age. */
  readonly within?: Millis;
  /** Messages for a device that has been here before: the newest of those it has missed. */
  readonly missed: number;
}

/** What decides which messages of the past somebody is given. */
export interface PastChoiceParts {
  readonly past: Pick<Past, 'isTakenBack'>;
  readonly policy: HistoryPolicy;
  readonly wish: PastWish;
  /** The device has had everything up to here; undefined for one that is new, or has asked. */
  readonly after: EventNumber | undefined;
  readonly now: Millis;
}

/** How many messages are looked at for those that concern somebody who is new, or has asked. */
const LOOKED_AT = 1000;

/**
 * Which messages of the past somebody is given: they are looked for from the newest back, and known again when they are read
 * from the oldest on. Of those between, little need be remembered.
 */
export class PastChoice {
  readonly #parts: PastChoiceParts;
  /** Whether a message is for the recipient. */
  readonly #concerns: (copy: Copy) => boolean;
  /** Newest first. */
  #wanted: Mark[] = [];
  #looked = 0;

  constructor(parts: PastChoiceParts, concerns: (copy: Copy) => boolean) {
    this.#parts = parts;
    this.#concerns = concerns;
  }

  /** Looks at these, oldest first, all of which are older than those before; tells whether it has looked at enough. */
  look(copies: readonly Copy[]): boolean {
    for (const copy of copies.toReversed()) if (this.#isWanted(copy)) this.#wanted.push(markOf(copy));
    this.#looked += copies.length;
    return this.#wanted.length > this.#most || this.#looked >= this.#farthest;
  }

  /** Whether nothing has been found so far. */
  get empty(): boolean {
    return this.#wanted.length === 0;
  }

  /** Looks no further: what there is to give, newest first. */
  close(): readonly Mark[] {
    this.#wanted = this.#wanted.slice(0, this.#most);
    return [...this.#wanted];
  }

  /** Whether a message is one of these; asked from the oldest on. */
  isNext(n: number): boolean {
    while ((this.#wanted.at(-1)?.n ?? Infinity) < n) this.#wanted.pop();
    if (this.#wanted.at(-1)?.n !== n) return false;
    this.#wanted.pop();
    return true;
  }

  /** Most messages that are given. */
  get #most(): number {
    const { policy, wish, after } = this.#parts;
    return Math.min(after === undefined ? policy.messages : policy.missed, wish.messages ?? Infinity);
  }

  /** How many messages are looked at for those. */
  get #farthest(): number {
    const { policy, after } = this.#parts;
    return after === undefined ? Math.max(LOOKED_AT, policy.messages) : MAX_READ;
  }

  /** Whether the room gives it, and the peer wants it. */
  #isWanted(copy: Copy): boolean {
    const { past, policy, wish, after, now } = this.#parts;
    const within = Math.min(after === undefined ? (policy.within ?? Infinity) : Infinity, wish.within ?? Infinity);
    return this.#concerns(copy) && now - copy.said.at <= within && !past.isTakenBack(markOf(copy));
  }
}
