import type { Replay } from './replay.ts';

/** Messages of the past that are delivered in one turn of the event loop, over all who catch up. */
const PER_TURN = 64;

/** Of them to one at a time, so that they leave in few writes: on Node these are the cost. */
const AT_A_TIME = 32;

/** How long to wait, in milliseconds, when nobody could take anything. */
const PAUSE = 10;

/** Runs all replays side by side, a few messages at a time, so that what is said now need not wait for what was. */
export class ReplayPump {
  readonly #replays = new Set<Replay>();
  #running = false;

  /** Runs a replay until it is over. */
  add(replay: Replay): void {
    this.#replays.add(replay);
    if (this.#running) return;
    this.#running = true;
    setImmediate(() => this.#turn());
  }

  #turn(): void {
    const share = Math.max(AT_A_TIME, Math.floor(PER_TURN / this.#replays.size));
    let delivered = 0;
    for (const replay of [...this.#replays]) {
      delivered += replay.step(share);
      // Who had a turn goes behind those who had none.
      this.#replays.delete(replay);
      if (!replay.over) this.#replays.add(replay);
      if (delivered >= PER_TURN) break;
    }
    this.#running = this.#replays.size > 0;
    if (!this.#running) return;
    if (delivered > 0) setImmediate(() => this.#turn());
    else setTimeout(() => this.#turn(), PAUSE);
  }
}
