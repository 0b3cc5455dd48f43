/** How many joins are begun in one turn of the event loop: some milliseconds' work. */
const PER_TURN = 4;

/**
 * Makes what comes in storms wait its turn, so that a thousand who join at once do not hold up those who talk. Bounded by
 * who asks: joins by what the user agent lets be pending, texts by one for each peer.
 */
export class Turns {
  readonly #perTurn: number;
  readonly #waiting: (() => void)[] = [];
  #taken = 0;
  #scheduled = false;

  constructor(perTurn = PER_TURN) {
    this.#perTurn = perTurn;
  }

  /** Resolves when it is the caller's turn, first come, first served; undefined: it is, at once. */
  take(): Promise<void> | undefined {
    this.#schedule();
    if (this.#waiting.length === 0 && this.#taken < this.#perTurn) {
      this.#taken += 1;
      return undefined;
    }
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** How many wait. */
  get waiting(): number {
    return this.#waiting.length;
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      const next = this.#waiting.splice(0, this.#perTurn);
      this.#taken = next.length;
      if (next.length > 0) this.#schedule();
      for (const take of next) take();
    });
  }
}
