import type { Content, Outcome } from './api.ts';
import type { Core } from './core.ts';
import type { LiveDialog } from './dialog.ts';
import type { DigestClient } from './digest-client.ts';
import type { HeaderLine } from './errors.ts';
import { sendInDialog } from './in-dialog.ts';
import type { SipRequest, SipResponse } from './message.ts';
import type { OutgoingRequest } from './outgoing.ts';
import type { Timer } from './timers.ts';

/** A re-INVITE or UPDATE of ours: running, or waiting for its turn. */
export interface Offer {
  readonly method: 'INVITE' | 'UPDATE';
  readonly content: Content;
  readonly done: (outcome: Outcome) => void;
  /** Makes the content of the ACK; not with UPDATE. */
  readonly ack?: ((response: SipResponse) => Content | undefined) | undefined;
}

/** What the offers of a session need of it. */
export interface OfferingSession {
  readonly dialog: LiveDialog;
  readonly digest: DigestClient | undefined;
  /** We made the Call-ID of the dialog. */
  readonly ownsCallId: boolean;
  /** An INVITE or UPDATE of the peer, or our 2xx to an INVITE, is not through yet. */
  readonly isBusy: boolean;
  readonly isOver: boolean;
  /** The headers that each of them carries. */
  offerHeaders(): readonly HeaderLine[];
  /** The first 2xx; of an INVITE it sends the ACK. `sent` is the request as it was sent last. */
  offerAccepted(sent: SipRequest, response: SipResponse, offer: Offer): void;
  /** The 2xx again. */
  acknowledgeAgain(response: SipResponse): void;
  /** It is done with, one way or another. */
  offerDone(method: string, outcome: Outcome): void;
}

/** How long a re-INVITE may wait for its final response before it is cancelled, in milliseconds. */
const PATIENCE = 60_000;

/** The re-INVITEs and UPDATEs that we send in one session, one after another (RFC 3261 §14.1, RFC 3311 §5.1). */
export class OwnOffers {
  readonly #core: Core;
  readonly #session: OfferingSession;
  readonly #waiting: Offer[] = [];
  #running: Offer | undefined;
  #outgoing: OutgoingRequest | undefined;
  #patience: Timer | undefined;
  #glare: Timer | undefined;

  constructor(core: Core, session: OfferingSession) {
    this.#core = core;
    this.#session = session;
  }

  /** Whether one of them runs that an offer of the peer would cross: all but an UPDATE without an offer of its own. */
  get isOpen(): boolean {
    const running = this.#running;
    return running !== undefined && (running.method === 'INVITE' || running.content.body !== undefined);
  }

  add(offer: Offer): void {
    if (this.#waiting.length >= this.#core.limits.queuedPerDialog) {
      offer.done({ is: 'failed', status: 503, reason: 'too many offers wait' });
      return;
    }
    this.#waiting.push(offer);
    this.next();
  }

  /** Starts the next one if nothing is in its way. */
  next(): void {
    if (this.#running !== undefined || this.#glare !== undefined || this.#session.isBusy || this.#session.isOver)
      return;
    const offer = this.#waiting.shift();
    if (offer !== undefined) this.#start(offer);
  }

  /** The session is over: those that wait fail, and the one that runs is left alone. */
  end(outcome: Outcome): void {
    this.#glare?.stop();
    for (const { done } of this.#waiting.splice(0)) done(outcome);
  }

  #start(offer: Offer): void {
    const { clock } = this.#core;
    const { method, content } = offer;
    const session = this.#session;
    this.#running = offer;
    const what = {
      method,
      content: { ...content, headers: [...session.offerHeaders(), ...(content.headers ?? [])] },
      digest: session.digest,
      stillWanted: () => !session.isOver,
    };
    sendInDialog(this.#core, session.dialog, what, {
      onSent: (outgoing) => {
        this.#outgoing = outgoing;
        if (method === 'UPDATE') return; // timer F ends it
        this.#patience = clock.after(PATIENCE, () => {
          this.#giveUp();
        });
      },
      onResponse: (response) => {
        this.#receive(offer, response);
      },
      onFailed: (outcome) => {
        this.#finish(offer, outcome);
      },
    });
  }

  /** RFC 3261 §9.1: CANCEL, and if that brings no final response either it counts as failed. */
  #giveUp(): void {
    const { clock, transactions } = this.#core;
    const offer = this.#running;
    this.#outgoing?.cancel(() => {
      this.#patience = clock.after(64 * transactions.base.T1, () => {
        this.#outgoing?.abandon();
        if (offer !== undefined) this.#finish(offer, { is: 'failed', status: 408, reason: 'no response to re-INVITE' });
      });
    });
  }

  #receive(offer: Offer, response: SipResponse): void {
    const { status } = response;
    if (status < 200) return;
    if (this.#running !== offer) {
      if (status < 300) this.#session.acknowledgeAgain(response);
      return;
    }
    if (status === 491 && !this.#session.isOver) {
      this.#stopRunning();
      this.#waiting.unshift(offer);
      this.#glare = this.#core.clock.after(this.#glareTime(), () => {
        this.#glare = undefined;
        this.next();
      });
      return;
    }
    const sent = this.#outgoing?.request;
    if (status < 300 && sent !== undefined) this.#session.offerAccepted(sent, response, offer);
    this.#finish(offer, { is: 'response', response });
  }

  /** RFC 3261 §14.1, RFC 3311 §5.3: who made the Call-ID waits 2.1–4 s, the other 0–2 s, in steps of 10 ms. */
  #glareTime(): number {
    const steps = Math.random();
    return this.#session.ownsCallId ? 2100 + Math.floor(steps * 191) * 10 : Math.floor(steps * 201) * 10;
  }

  #stopRunning(): void {
    this.#patience?.stop();
    this.#running = undefined;
    this.#outgoing = undefined;
  }

  #finish(offer: Offer, outcome: Outcome): void {
    if (this.#running !== offer) return;
    this.#stopRunning();
    offer.done(outcome);
    this.#session.offerDone(offer.method, outcome);
    this.next();
  }
}
