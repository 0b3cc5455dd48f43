import { ClientError } from './errors.ts';

/** How hard coming back is tried. */
export interface Persistence {
  /** Milliseconds before each attempt to come back; the last one counts for all that follow. */
  readonly pauses?: readonly number[];
  /** Milliseconds after which coming back is given up; ten minutes unless given. */
  readonly patience?: number;
}

const PAUSES = [500, 1_000, 2_000, 5_000, 10_000, 30_000] as const;
/** What was lost again sooner than that after coming back, in ms, is not tried any faster than before. */
const STEADY = 10_000;

/** What becomes of it. */
export interface ComingBackHandlers {
  /** One attempt; rejects with a `ClientError` when it fails. */
  again(): Promise<void>;
  back(): void;
  /** It cannot be, or patience has an end. Told once. */
  gaveUp(why: ClientError): void;
}

/** Tries to get back to where one was, after longer and longer pauses. */
export class ComingBack {
  readonly #pauses: readonly number[];
  readonly #patience: number;
  readonly #handlers: ComingBackHandlers;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #attempt = 0;
  #lostAt = 0;
  #backAt = -Infinity;

  constructor({ pauses = PAUSES, patience = 600_000 }: Persistence, handlers: ComingBackHandlers) {
    this.#pauses = pauses;
    this.#patience = patience;
    this.#handlers = handlers;
  }

  /** Starts to try; where the server has said how long to wait (RFC 6665 §4.1.3), not before that. */
  begin({ retryAfter = 0 }: ClientError): void {
    this.#lostAt = Date.now();
    if (this.#lostAt - this.#backAt > STEADY) this.#attempt = 0;
    this.#tryLater(retryAfter * 1000);
  }

  /** Tries no more. */
  stop(): void {
    clearTimeout(this.#timer);
  }

  #tryLater(atLeast: number): void {
    const pause = this.#pauses[Math.min(this.#attempt, this.#pauses.length - 1)] ?? 1_000;
    this.#attempt += 1;
    this.#timer = setTimeout(() => void this.#try(), Math.max(pause, atLeast));
  }

  async #try(): Promise<void> {
    try {
      await this.#handlers.again();
    } catch (fault) {
      if (!(fault instanceof ClientError)) throw fault;
      const { message, status, retryAfter = 0 } = fault;
      if (mayPass(fault) && Date.now() - this.#lostAt < this.#patience) this.#tryLater(retryAfter * 1000);
      else this.#handlers.gaveUp(new ClientError('dismissed', message, status));
      return;
    }
    this.#backAt = Date.now();
    this.#handlers.back();
  }
}

/** Whether it is a fault of the moment: nobody there, or a server that cannot at present (RFC 3261 §21.4.18, §21.5). */
function mayPass({ fault, status = 0 }: ClientError): boolean {
  return fault === 'unreachable' || fault === 'lost' || [408, 480].includes(status) || (status >= 500 && status < 600);
}
