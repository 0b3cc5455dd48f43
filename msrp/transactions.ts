/** A request of ours that waits for its response. */
export interface Pending {
  /** The eight octets of the message part of its transaction id, as two words. */
  readonly idHigh: number;
  readonly idLow: number;
}

const FIRST_SIZE = 8;

/**
 * The requests of one session that wait for a response, in the order sent: a ring that grows to its bound and allocates
 * nothing per request. Responses mostly come in the same order, so the one behind the last answered is the one to compare
 * with; a peer that leaves one unanswered slows nothing that comes after it.
 */
export class Transactions<T extends Pending> {
  readonly #max: number;
  /** Undefined: answered. */
  #entries: (T | undefined)[] = [];
  #sentAt: number[] = [];
  /** Counts of all that was ever taken out at the front and put in; a place in the ring is the count modulo its size. */
  #first = 0;
  #next = 0;
  /** The one that most likely is answered next. */
  #likely = 0;
  #open = 0;

  constructor(max: number) {
    this.#max = max;
  }

  /** How many wait. */
  get size(): number {
    return this.#open;
  }

  get full(): boolean {
    return this.#open >= this.#max;
  }

  /** The one whose response most likely comes next. */
  get likely(): T | undefined {
    return this.#likely < this.#next ? this.#entries[this.#likely & (this.#entries.length - 1)] : undefined;
  }

  push(entry: T, now: number): void {
    if (this.#next - this.#first === this.#entries.length) this.#makeRoom();
    const place = this.#next & (this.#entries.length - 1);
    this.#entries[place] = entry;
    this.#sentAt[place] = now;
    this.#next++;
    this.#open++;
  }

  /** Takes the likely one out. */
  takeLikely(): void {
    this.#remove(this.#likely);
  }

  /** Takes the one with this id out, wherever it is. */
  take(idHigh: number, idLow: number): T | undefined {
    return (
      this.#takeWithin(this.#likely, this.#next, idHigh, idLow) ??
      this.#takeWithin(this.#first, this.#likely, idHigh, idLow)
    );
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
      this.#remove(this.#first);
    }
    return late;
  }

  /** Takes all out. */
  drain(): T[] {
    return this.expire(() => true);
  }

  #takeWithin(from: number, to: number, idHigh: number, idLow: number): T | undefined {
    const mask = this.#entries.length - 1;
    for (let at = from; at < to; at++) {
      const entry = this.#entries[at & mask];
      if (entry?.idLow !== idLow || entry.idHigh !== idHigh) continue;
      this.#remove(at);
      return entry;
    }
    return undefined;
  }

  /** Most likely next is then the next open one behind it, or the next to be sent. */
  #remove(at: number): void {
    const mask = this.#entries.length - 1;
    if (this.#entries[at & mask] !== undefined) this.#open--;
    this.#entries[at & mask] = undefined;
    if (at === this.#first) this.#first = this.#openFrom(at + 1);
    this.#likely = this.#openFrom(Math.max(at + 1, this.#first));
  }

  /** The first from here on that is open; the end, if none is. */
  #openFrom(at: number): number {
    const mask = this.#entries.length - 1;
    let place = at;
    while (place < this.#next && this.#entries[place & mask] === undefined) place++;
    return place;
  }

  /** Closes the gaps that answers out of order have left; grows when that would not give much. */
  #makeRoom(): void {
    const length = this.#entries.length;
    const size = Math.max(FIRST_SIZE, 2 * this.#open > length ? 2 * length : length);
    const entries = new Array<T | undefined>(size).fill(undefined);
    const sentAt = new Array<number>(size).fill(0);
    let kept = 0;
    let likely: number | undefined;
    for (let at = this.#first; at < this.#next; at++) {
      const place = at & (length - 1);
      if (at === this.#likely) likely = kept;
      if (this.#entries[place] === undefined) continue;
      entries[kept] = this.#entries[place];
      sentAt[kept] = this.#sentAt[place] ?? 0;
      kept++;
    }
    this.#entries = entries;
    this.#sentAt = sentAt;
    this.#first = 0;
    this.#next = kept;
    this.#likely = likely ?? kept;
  }
}
