import type { EventNumber, MessageId, UserUri } from '../conference/ids.ts';
import type { ChatRefusal } from './refusals.ts';

/** What is known of a message that came before. */
type Entry =
  { readonly state: 'kept'; readonly n: EventNumber } | { readonly state: 'waiting'; readonly settled: Settled[] };
type Settled = (outcome: EventNumber | ChatRefusal) => void;

/**
 * Remembers the messages a room has taken, so that one sent again (after a lost session, RFC 4975 §5.4) is answered
 * again but not said again. A Message-ID counts per user, since devices of one user share what they resend.
 */
export class Duplicates {
  // Two halves of the window: when the newer one is full, the older one is forgotten at once, which costs nothing per message.
  #newer = new Map<string, Entry>();
  #older = new Map<string, Entry>();
  readonly #window: number;

  /** @param window messages remembered at most; the oldest half of them is forgotten together */
  constructor(window: number) {
    this.#window = window;
  }

  /**
   * Asks whether the message is new. If it is not, `settled` hears what became of the first one, now or later, and the
   * answer is `true`. If it is, it is remembered as waiting until `settle` is called.
   */
  repeats(user: UserUri, id: MessageId, settled: Settled): boolean {
    const key = keyOf(user, id);
    const entry = this.#find(key);
    if (entry === undefined) {
      this.#remember(key, { state: 'waiting', settled: [settled] });
      return false;
    }
    if (entry.state === 'kept') settled(entry.n);
    else entry.settled.push(settled);
    return true;
  }

  /** Tells all who wait what became of the message; one that was not kept may be sent again. */
  settle(user: UserUri, id: MessageId, outcome: EventNumber | ChatRefusal): void {
    const key = keyOf(user, id);
    const entry = this.#find(key);
    const half = this.#newer.has(key) ? this.#newer : this.#older;
    if (typeof outcome === 'number') half.set(key, { state: 'kept', n: outcome });
    else half.delete(key);
    if (entry?.state !== 'waiting') return;
    for (const settled of entry.settled) settled(outcome);
  }

  /** Notes a message found in the log, when the room is opened again. */
  restore(user: UserUri, id: MessageId, n: EventNumber): void {
    this.#remember(keyOf(user, id), { state: 'kept', n });
  }

  #remember(key: string, entry: Entry): void {
    this.#newer.set(key, entry);
    if (this.#newer.size < this.#window / 2) return;
    const forgotten = this.#older;
    this.#older = this.#newer;
    this.#newer = new Map();
    for (const [old, waiting] of forgotten) {
      // One that waits has somebody to answer; the log bounds how many can wait.
      if (waiting.state === 'waiting') this.#older.set(old, waiting);
    }
  }

  #find(key: string): Entry | undefined {
    return this.#newer.get(key) ?? this.#older.get(key);
  }
}

function keyOf(user: UserUri, id: MessageId): string {
  return `${id} ${user}`;
}
