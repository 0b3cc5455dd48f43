import type { Core } from './core.ts';
import type { ServerTransaction } from './server-transaction.ts';
import type { Timer } from './timers.ts';

/**
 * A 2xx to INVITE until its ACK comes (RFC 3261 §13.3.1.4): repeated after T1, then at twice the time up to T2, over
 * whatever transport, since a hop further on may be UDP. After 64*T1 without ACK it gives up.
 */
export class Accepted {
  /** The number of the INVITE, which its ACK has too. */
  readonly seq: number;
  readonly #core: Core;
  readonly #transaction: ServerTransaction;
  readonly #status: number;
  #response: Buffer | undefined;
  #again: Timer | undefined;
  readonly #end: Timer;

  /** @param gaveUp no ACK came */
  constructor(
    core: Core,
    sent: { transaction: ServerTransaction; response: Buffer; status: number; seq: number },
    gaveUp: () => void,
  ) {
    this.#core = core;
    this.#transaction = sent.transaction;
    this.#response = sent.response;
    this.#status = sent.status;
    this.seq = sent.seq;
    const { clock, transactions } = core;
    this.#end = clock.after(64 * transactions.base.T1, () => {
      this.stop();
      gaveUp();
    });
    this.#wait(transactions.base.T1);
  }

  /** The ACK is here, or nobody waits for it any more. */
  stop(): void {
    this.#again?.stop();
    this.#end.stop();
    this.#response = undefined;
  }

  #wait(ms: number): void {
    const { clock, transactions } = this.#core;
    this.#again = clock.after(ms, () => {
      if (this.#response === undefined) return;
      this.#transaction.respond(this.#status, this.#response);
      this.#wait(Math.min(ms * 2, transactions.base.T2));
    });
  }
}
