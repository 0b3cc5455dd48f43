import type { MsrpSession, PreparedMessage, Queued } from '../../msrp/index.ts';
import { numberOf } from './copy.ts';

/**
 * What has happened to a recipient that reads too slowly: it was found to, was told so by the room, did not get a message,
 * reads fast enough again, or was let go.
 */
export type CongestionStep = 'marked' | 'told' | 'left_out' | 'relieved' | 'let_go';

/** What the congestion of one recipient is made with. */
export interface CongestionParts {
  readonly session: Pick<MsrpSession, 'send' | 'thin' | 'queuedBytes' | 'maxQueuedBytes'>;
  /** Milliseconds for which the peer may leave its queue more than half full. It must keep up for a third of that. */
  readonly congestedFor: number;
  /** A message was left out, since too much waits. */
  readonly leftOut: (message: PreparedMessage) => void;
  /** It has become congested: the peer reads more slowly than the room talks. */
  readonly began: () => void;
  /** It has kept up for a while. `leftOut`: how many messages were, since it began. */
  readonly over: (leftOut: number) => void;
  /** It has not made room for too long. */
  readonly hopeless: () => void;
}

/**
 * What is done about a peer that reads too slowly (RFC 7701 §6.4): it is told, what waits for it is thinned, the newest
 * kept, and when it does not get better it is let go. Signs of writing (RFC 3994) are left out first, lines of the room
 * itself not at all. A peer that is only somewhat slower than the room makes room and runs full again many times a second:
 * it stays congested all the while, so that what is said of it is bounded, and is not let go, since it reads.
 */
export class Congestion {
  readonly #parts: CongestionParts;
  /** While its queue is full, until it is half empty. */
  #full: ReturnType<typeof setTimeout> | undefined;
  /** While it has room, and has yet to show that it keeps up. */
  #better: ReturnType<typeof setTimeout> | undefined;
  #leftOut = 0;
  /** Signs of writing that wait, or have gone. */
  readonly #fleeting = new WeakSet<PreparedMessage>();

  constructor(parts: CongestionParts) {
    this.#parts = parts;
  }

  /**
   * Queues a message, in the place of older ones if need be; if there is no place even so, it is left out itself.
   * @param fleeting a sign of writing: it goes where little waits, and before all else that waits it is left out
   */
  send(message: PreparedMessage, fleeting = false): Exclude<Queued, 'full'> {
    const { session } = this.#parts;
    if (fleeting) {
      if (this.#full !== undefined || session.queuedBytes > session.maxQueuedBytes / 4) return 'queued';
      this.#fleeting.add(message);
    }
    const queued = session.send(message);
    if (queued !== 'full') return queued;
    this.#begin();
    session.thin(session.maxQueuedBytes / 2, (waiting) => this.#fleeting.has(waiting));
    for (const dropped of session.thin(session.maxQueuedBytes / 2, isOfPeople)) this.#leave(dropped);
    const again = session.send(message);
    if (again === 'full') this.#leave(message);
    return again === 'full' ? 'queued' : again;
  }

  /** The rest of a stream was left out, since the peer held up the others. Its queue need not be full. */
  leaveStream(): void {
    this.#leftOut += 1;
    if (this.#full !== undefined || this.#better !== undefined) return;
    this.#watch();
    this.#parts.began();
  }

  #leave(message: PreparedMessage): void {
    this.#leftOut += 1;
    this.#parts.leftOut(message);
  }

  #begin(): void {
    if (this.#full !== undefined) return;
    const isKnown = this.#better !== undefined;
    this.stop();
    this.#full = setTimeout(this.#parts.hopeless, this.#parts.congestedFor);
    if (!isKnown) this.#parts.began();
  }

  /** From the session: there is room again, for messages or for streams. */
  relieved(): void {
    const { session } = this.#parts;
    if (this.#full === undefined || session.queuedBytes > session.maxQueuedBytes / 2) return;
    this.stop();
    this.#watch();
  }

  #watch(): void {
    const { session, congestedFor, over } = this.#parts;
    this.#better = setTimeout(() => {
      // It has not run full again, and yet it could at any moment.
      if (session.queuedBytes > session.maxQueuedBytes / 2) return this.#watch();
      this.#better = undefined;
      const leftOut = this.#leftOut;
      this.#leftOut = 0;
      over(leftOut);
    }, congestedFor / 3);
  }

  /** The session is over. Idempotent. */
  stop(): void {
    clearTimeout(this.#full);
    clearTimeout(this.#better);
    this.#full = this.#better = undefined;
  }
}

/** The room's own lines are not numbered. */
function isOfPeople(message: PreparedMessage): boolean {
  return numberOf(message.messageId) !== undefined;
}
