/** The way back from a log: kept events to the room's followers, and after them to who appended. */
import type { RoomUri } from '../conference/ids.ts';
import type { Logged, Outcome, RoomListener } from './room-log.ts';

interface Kept {
  readonly room: RoomUri;
  readonly logged: Logged;
  readonly settled: ((outcome: Outcome) => void) | undefined;
}

/** Delivers kept events one after the other, also when hearing one makes somebody append the next. */
export class Delivery {
  readonly #listeners = new Map<RoomUri, Set<RoomListener>>();
  #waiting: Kept[] = [];
  #delivering = false;

  /** Adds a listener; gives the function that takes it away. */
  follow(room: RoomUri, listener: RoomListener): () => void {
    const listeners = this.#listeners.get(room) ?? new Set();
    this.#listeners.set(room, listeners.add(listener));
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0 && this.#listeners.get(room) === listeners) this.#listeners.delete(room);
    };
  }

  /** Whether anybody hears the room. */
  isFollowed(room: RoomUri): boolean {
    return this.#listeners.has(room);
  }

  /** Tells the followers of the room, then `settled`; what they append meanwhile is told after that. */
  deliver(room: RoomUri, logged: Logged, settled: ((outcome: Outcome) => void) | undefined): void {
    if (this.#delivering) {
      this.#waiting.push({ room, logged, settled });
      return;
    }
    this.#delivering = true;
    try {
      this.#tell(room, logged, settled);
      // The array may grow while it is walked.
      for (const kept of this.#waiting) this.#tell(kept.room, kept.logged, kept.settled);
    } finally {
      this.#delivering = false;
      if (this.#waiting.length > 0) this.#waiting = [];
    }
  }

  #tell(room: RoomUri, logged: Logged, settled: ((outcome: Outcome) => void) | undefined): void {
    const listeners = this.#listeners.get(room);
    if (listeners !== undefined) for (const listener of listeners) listener(logged);
    settled?.(logged.n);
  }
}
