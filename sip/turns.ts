import type { Clock } from './timers.ts';

/** How long one turn may work on what is due, in milliseconds; to write what comes of it takes as long again. */
const BUDGET = 5;

/**
 * Work that may wait a little, done in the order it came, some milliseconds of it in each turn of the event loop: a
 * thousand documents that become due at once must not hold up everything else.
 */
export class Turns {
  readonly #clock: Clock;
  readonly #waiting = new Set<() => void>();
  #end = 0;
  #open = false;
  #working = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Does `task` now, or in a turn to come when this one has done its share. One that waits already is not added again. */
  take(task: () => void): void {
    this.#waiting.add(task);
    if (!this.#open) this.#begin();
    this.#work();
  }

  #begin(): void {
    this.#open = true;
    this.#end = this.#clock.now() + BUDGET;
    this.#clock.after(0, () => {
      this.#open = false;
      if (this.#waiting.size === 0) return;
      this.#begin();
      this.#work();
    });
  }

  #work(): void {
    if (this.#working) return;
    this.#working = true;
    for (const task of this.#waiting) {
      if (this.#clock.now() >= this.#end) break;
      this.#waiting.delete(task);
      try {
        task();
      } catch (error) {
        // One that fails must not keep all others from their turns.
        this.#working = false;
        throw error;
      }
    }
    this.#working = false;
  }
}
