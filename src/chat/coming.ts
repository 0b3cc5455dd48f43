import type { Joined } from '../conference/events.ts';

/** What waits for one or more joins. */
interface Waiting {
  readonly joins: Set<Joined>;
  readonly work: () => void;
}

/** Orders that wait at a time; a further one finds the room as it is. */
const MAX_WAITING = 100;

/**
 * Those whose joining is on its way to the log. Whoever was let in is meant by what is ordered from then on, though the
 * roster does not show him yet.
 */
export class Coming {
  readonly #limit: number;
  readonly #joins = new Set<Joined>();
  readonly #waiting = new Set<Waiting>();

  /** @param limit what waits at a time, at most */
  constructor(limit = MAX_WAITING) {
    this.#limit = limit;
  }

  /** A join is given to the log. */
  begins(join: Joined): void {
    this.#joins.add(join);
  }

  /** It is known what became of it. */
  ends(join: Joined): void {
    this.#joins.delete(join);
    for (const waiting of this.#waiting) {
      if (!waiting.joins.delete(join) || waiting.joins.size > 0) continue;
      this.#waiting.delete(waiting);
      waiting.work();
    }
  }

  /** Does the work when it is known what became of these joins; false, and never, when there is none to wait for. */
  after(isMeant: (join: Joined) => boolean, work: () => void): boolean {
    const joins = new Set([...this.#joins].filter(isMeant));
    if (joins.size === 0 || this.#waiting.size >= this.#limit) return false;
    this.#waiting.add({ joins, work });
    return true;
  }
}
