import type { Answer, Answering, Content, EarlyDescription } from './api.ts';
import type { Core } from './core.ts';
import type { EarlyExchange } from './early-dialogs.ts';
import type { HeaderLine } from './errors.ts';
import { RACK } from './fields.ts';
import { includesToken } from './grammar.ts';
import type { Incoming } from './incoming.ts';
import type { SipRequest } from './message.ts';
import { hasDescription } from './multipart.ts';
import { NO_OFFER_TAKEN } from './offer-answer.ts';
import type { Timer } from './timers.ts';

/** Sends the provisional response with these headers; gives its bytes. */
type Send = (answer: Answer, headers: readonly HeaderLine[]) => Buffer;

/** Hears of descriptions in PRACK and UPDATE. */
export type OnDescription = (said: EarlyDescription) => Answering;

/** One reliable provisional response until its PRACK comes. */
interface Unacknowledged {
  readonly rseq: number;
  readonly status: number;
  readonly response: Buffer;
  readonly hasBody: boolean;
}

/** Whether provisional responses to an INVITE must, or may, be sent reliably (RFC 3262 §3). */
export function reliability(invite: SipRequest): 'required' | 'supported' | 'unknown' {
  if (includesToken(invite.require, '100rel')) return 'required';
  return includesToken(invite.supported, '100rel') ? 'supported' : 'unknown';
}

/** The reliable provisional responses to one INVITE (RFC 3262 §3), one after another. */
export class ReliableResponses {
  readonly #core: Core;
  readonly #incoming: Incoming;
  readonly #send: Send;
  readonly #gaveUp: () => void;
  readonly #waiting: Answer[] = [];
  #exchange: EarlyExchange;
  #description: Content = {};
  #onDescription: OnDescription | undefined;
  /** A PRACK or UPDATE with a description that the application has not answered yet. */
  #answering = false;
  #rseq = 1 + Math.floor(Math.random() * 0x3fffffff);
  #current: Unacknowledged | undefined;
  #again: Timer | undefined;
  #end: Timer | undefined;
  #whenAcknowledged: (() => void) | undefined;

  /** @param gaveUp no PRACK came for 64*T1 */
  constructor(core: Core, incoming: Incoming, send: Send, gaveUp: () => void) {
    this.#core = core;
    this.#incoming = incoming;
    this.#send = send;
    this.#gaveUp = gaveUp;
    this.#exchange = hasDescription(incoming.request) ? 'theirs' : 'none';
  }

  /** How far offer and answer have come (§5): the INVITE offers, or a response of ours does; `done` when answered. */
  get exchange(): EarlyExchange {
    return this.#answering ? 'theirs' : this.#exchange;
  }

  /** What we have said of the session so far, in responses to the INVITE, to PRACK and to UPDATE. */
  get description(): Content {
    return this.#description;
  }

  /** Sends it when the one before it is acknowledged. */
  send(response: Answer, onDescription: OnDescription | undefined): void {
    this.#onDescription = onDescription ?? this.#onDescription;
    if (this.#current !== undefined) this.#waiting.push(response);
    else this.#start(response);
  }

  /** Runs `then` at once, or when a description under way is acknowledged and answered: no 2xx before that (§3). */
  beforeAccepting(then: () => void): void {
    this.#waiting.length = 0;
    if (this.#current?.hasBody === true || this.#answering) {
      this.#whenAcknowledged = then;
      return;
    }
    // Still to be known when its PRACK comes late, but repeated no more.
    this.#stopTimers();
    then();
  }

  /** PRACK: 2xx when it acknowledges what is under way, else 481. */
  receive(incoming: Incoming): void {
    const rack = incoming.request.headers.read(RACK);
    const current = this.#current;
    const { seq } = this.#incoming.request.cseq;
    if (current === undefined || rack?.rseq !== current.rseq || rack.seq !== seq || rack.method !== 'INVITE') {
      incoming.respond(481);
      return;
    }
    const described = hasDescription(incoming.request);
    this.#stopTimers();
    this.#current = undefined;
    if (described) this.#answerPrack(incoming);
    else {
      incoming.respond(200);
      this.#proceed();
    }
  }

  /**
   * §5: an offer is possible once the first one has its answer. Deviation: §3 wants 2xx for each PRACK that matches. An
   * offer that is not taken has none to carry its answer, so it is refused as in UPDATE (RFC 3311 §5.2), and the response
   * counts as acknowledged all the same.
   */
  #answerPrack(incoming: Incoming): void {
    const offer = this.exchange !== 'ours';
    if (offer && this.exchange !== 'done') {
      incoming.respond(NO_OFFER_TAKEN.status, NO_OFFER_TAKEN);
      this.#proceed();
      return;
    }
    this.#exchange = 'done';
    this.#answer(incoming, offer, (answer) => incoming.respond(answer.status, answer));
  }

  /** An UPDATE with an offer, while `exchange` is `done`: answered by `respond` (RFC 3311 §5.2). */
  receiveOffer(update: Incoming, respond: (answer: Answer) => void): void {
    this.#answer(update, true, respond);
  }

  #answer(incoming: Incoming, offer: boolean, respond: (answer: Answer) => void): void {
    const { request } = incoming;
    const proceed = (): void => {
      this.#answering = false;
      this.#proceed();
    };
    this.#answering = true;
    incoming.settle(
      () => this.#onDescription?.({ request, offer }) ?? (offer ? NO_OFFER_TAKEN : { status: 200 }),
      (answer) => {
        if (answer.status < 300) this.#note(answer);
        respond(answer);
        proceed();
      },
      (error) => {
        incoming.fail(error);
        proceed();
      },
    );
  }

  #note({ contentType, body }: Content): void {
    if (contentType !== undefined && body !== undefined) this.#description = { contentType, body };
  }

  /** What has waited for a PRACK, or for the answer to a description. */
  #proceed(): void {
    if (this.#answering || this.#current !== undefined) return;
    const then = this.#whenAcknowledged;
    this.#whenAcknowledged = undefined;
    if (then !== undefined) then();
    const next = this.#waiting.shift();
    if (next !== undefined && !this.#incoming.answered) this.#start(next);
  }

  /** There is a final response other than 2xx, or nobody waits any more. */
  stop(): void {
    this.#stopTimers();
    this.#waiting.length = 0;
    this.#current = undefined;
    this.#whenAcknowledged = undefined;
  }

  #start(answer: Answer): void {
    const { clock, transactions } = this.#core;
    const rseq = this.#rseq++;
    const response = this.#send(answer, [
      { name: 'Require', value: '100rel' },
      { name: 'RSeq', value: String(rseq) },
    ]);
    this.#current = { rseq, status: answer.status, response, hasBody: answer.body !== undefined };
    this.#note(answer);
    if (answer.body !== undefined && this.#exchange === 'none') this.#exchange = 'ours';
    else if (answer.body !== undefined && this.#exchange === 'theirs') this.#exchange = 'done';
    this.#repeat(transactions.base.T1);
    this.#end = clock.after(64 * transactions.base.T1, () => {
      this.stop();
      this.#gaveUp();
    });
  }

  /** The interval doubles without end: PRACK does not answer to repetitions (RFC 3262 §3). */
  #repeat(ms: number): void {
    this.#again = this.#core.clock.after(ms, () => {
      if (this.#current === undefined) return;
      this.#incoming.transaction.respond(this.#current.status, this.#current.response);
      this.#repeat(ms * 2);
    });
  }

  #stopTimers(): void {
    this.#again?.stop();
    this.#end?.stop();
  }
}
