import type { EventNumber } from '../conference/ids.ts';
import type { Reader, SharedStream } from './shared-stream.ts';

/** Most large messages that are kept for somebody; the oldest are let go first. */
const MOST = 4;

/**
 * Large messages that began while somebody was catching up, each kept from its first octet on, for as long as that makes
 * nobody else wait.
 */
export class HeldStreams {
  /** A reader stands at the first octet of each. */
  readonly #held = new Map<EventNumber, { readonly stream: SharedStream; readonly place: Reader }>();

  /** Keeps the message of that number, which has just begun. */
  hold(n: EventNumber, stream: SharedStream): void {
    const detached = (): void => this.letGo(n);
    const place = stream.reader({ brief: true, maximum: Infinity, wake: ignore, detached });
    this.#held.set(n, { stream, place });
    const [oldest] = this.#held.keys();
    if (this.#held.size > MOST && oldest !== undefined) this.letGo(oldest);
  }

  /** The octets of that message, if it is kept. */
  of(n: EventNumber): SharedStream | undefined {
    return this.#held.get(n)?.stream;
  }

  /** Keeps it no longer. Idempotent. */
  letGo(n: EventNumber): void {
    this.#held.get(n)?.place.close();
    this.#held.delete(n);
  }

  /** Keeps none any longer. */
  letGoOfAll(): void {
    for (const n of [...this.#held.keys()]) this.letGo(n);
  }
}

function ignore(): void {
  // Nothing is read at that place.
}
