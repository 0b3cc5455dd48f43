/** A request of ours that waits for its response. */
export interface Pending {
  /** The eight octets of the message part of its transaction id, as two words. */
  readonly idHigh: number;
  readonly idLow: number;
}

const FIRST_SIZE = 8;

/**
 * The requests of one session that wait for a response, in the order sent: a ring that grows to its bound and allocates
 * nothing per request. Responses mostly come in the same order, which makes the oldest the one to compare with.
 */
export class Transactions<T extends Pending> {
  readonly #max: number;
  /** Undefined: answered out of order. */
  #entries: (T | undefined)[] = [];
  #sentAt: number[] = [];
  /** Counts of all that was ever taken out and put in; a place in the ring is the count modulo its size. */
  #first = 0;
  #next = 0;

  constructor(max: number) {
    this.#max = max;
  }

  get size(): number {
    return this.#next - this.#first;
  }

  get full(): boolean {
    return this.#next - this.#first >= this.#max;
  }

  /** The oldest, if it is still open. */
  get oldest(): T | undefined {
    return this.#entries[this.#first & (this.#entries.length - 1)];
  }

  push(entry: T, now: number): void {
    if (this.#next - this.#first === this.#entries.length) this.#grow();
    const place = this.#next & (this.#entries.length - 1);
    this.#entries[place] = entry;
    this.#sentAt[place] = now;
    this.#next++;
  }

  /** Takes the oldest out. */
  shift(): void {
    const mask = this.#entries.length - 1;
    do this.#entries[this.#first++ & mask] = undefined;
    while (this.#first < this.#next && this.#entries[this.#first & mask] === undefined);
  }

  /** Takes the one with this id out, wherever it is. */
  take(idHigh: number, idLow: number): T | undefined {
    const mask = this.#entries.length - 1;
    for (let at = this.#first; at < this.#next; at++) {
      const entry = this.#entries[at & mask];
      if (entry?.idLow !== idLow || entry.idHigh !== idHigh) continue;
      if (at === this.#first) this.shift();
      else this.#entries[at & mask] = undefined;
      return entry;
    }
    return undefined;
  }

  /** Whether there is one for which that holds. */
  some(holds: (entry: T) => boolean): boolean {
    for (const entry of this.#entries) if (entry !== undefined && holds(entry)) return true;
    return false;
  }

  /** Takes out those for which `expired(sentAt)` holds; stops at the first for which it does not. */
  expire(expired: (sentAt: number) => boolean): T[] {
    const late: T[] = [];
    while (this.#first < this.#next) {
      const place = this.#first & (this.#entries.length - 1);
      if (!expired(this.#sentAt[place] ?? 0)) break;
      const entry = this.#entries[place];
      if (entry !== undefined) late.push(entry);
      this.shift();
    }
    return late;
  }

  /** Takes all out. */
  drain(): T[] {
    return this.expire(() => true);
  }

  #grow(): void {
    const size = Math.max(FIRST_SIZE, 2 * this.#entries.length);
    const entries = new Array<T | undefined>(size).fill(undefined);
    const sentAt = new Array<number>(size).fill(0);
    for (let at = this.#first; at < this.#next; at++) {
      entries[at & (size - 1)] = this.#entries[at & (this.#entries.length - 1)];
      sentAt[at & (size - 1)] = this.#sentAt[at & (this.#sentAt.length - 1)] ?? 0;
    }
    this.#entries = entries;
    this.#sentAt = sentAt;
  }
}
