/** How long who has come with much waits before it is looked again whether it can be taken, in milliseconds. */
const LOOK_AGAIN = 5;

/** Most who wait that are called in one turn; there is hardly time for more. */
const CALLS = 64;

/**
 * Lets messages through for so long in one turn of the event loop, over all connections: a thousand peers who write at once
 * must not hold up everything else. Whoever finds it shut is called in a turn to come, first come, first served.
 */
export class Turnstile {
  readonly #milliseconds: number;
  readonly #clock: () => number;
  readonly #waiting: (() => void)[] = [];
  /** When it shuts; undefined: nobody has passed in this turn. */
  #end: number | undefined;
  #turning = false;

  constructor(milliseconds: number, clock: () => number) {
    this.#milliseconds = milliseconds;
    this.#clock = clock;
  }

  /** Whether one more may pass now: in each turn one does, however long it takes. */
  pass(): boolean {
    const now = this.#clock();
    if (this.#end !== undefined) return now < this.#end;
    this.#end = now + this.#milliseconds;
    this.#turn();
    return true;
  }

  /** Calls `goOn` once, when it is its turn. */
  wait(goOn: () => void): void {
    this.#waiting.push(goOn);
    this.#turn();
  }

  /** The same, but some milliseconds later. */
  waitLonger(goOn: () => void): void {
    setTimeout(() => {
      this.wait(goOn);
    }, LOOK_AGAIN);
  }

  #turn(): void {
    if (this.#turning) return;
    this.#turning = true;
    // Before the calls that were set for the same turn.
    setImmediate(() => {
      this.#turning = false;
      this.#end = undefined;
      if (this.#waiting.length === 0) return;
      this.#turn();
      // Each by itself, so that what one sets going is done, and has taken its time, before the next one.
      for (let calls = Math.min(CALLS, this.#waiting.length); calls > 0; calls -= 1) setImmediate(this.#call);
    });
  }

  readonly #call = (): void => {
    if (this.#waiting.length > 0 && this.pass()) this.#waiting.shift()?.();
  };
}
