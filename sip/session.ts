import { Accepted } from './accepted.ts';
import type {
  Answer,
  Content,
  CredentialsFor,
  InviteSession,
  Outcome,
  SessionEnd,
  SessionHandlers,
  SessionState,
  SessionTimerOptions,
} from './api.ts';
import { tell, telling } from './callbacks.ts';
import type { Core } from './core.ts';
import type { LiveDialog, SessionUsage } from './dialog.ts';
import { DigestClient } from './digest-client.ts';
import type { HeaderLine } from './errors.ts';
import { checkLines } from './headers.ts';
import { sendInDialog } from './in-dialog.ts';
import type { Incoming } from './incoming.ts';
import type { SipRequest, SipResponse } from './message.ts';
import { hasDescription } from './multipart.ts';
import { sendAck } from './outgoing.ts';
import { NO_OFFER_TAKEN } from './offer-answer.ts';
import { type Offer, type OfferingSession, OwnOffers } from './own-offers.ts';
import type { ReliableResponses } from './reliable.ts';
import type { ServerTransactionUser } from './server-transaction.ts';
import { receiveRefer } from './refer.ts';
import { SessionTimer } from './session-timer.ts';

/** What a session starts with. */
export interface SessionStart {
  readonly core: Core;
  readonly dialog: LiveDialog;
  readonly handlers: SessionHandlers;
  readonly timer: SessionTimerOptions | undefined;
  /** Our last session description; repeated when the session is refreshed. */
  readonly description: Content;
  /** Has answered the challenge to our INVITE, and answers those in the dialog. */
  readonly digest?: DigestClient | undefined;
  /** Where PRACKs go that come after the 2xx (RFC 3262 §3). */
  readonly reliable?: ReliableResponses | undefined;
  /** The peer's INVITE, or its 2xx to ours. */
  readonly peer: SipRequest | SipResponse;
}

/** A final response after which the dialog is gone (RFC 3261 §12.2.1.2, RFC 5057 §5.1). */
const DIALOG_IS_GONE: ReadonlySet<number> = new Set([404, 410, 416, 480, 481, 482, 483, 484, 485, 502, 604]);

/** The outcome of what is asked of a session that is over. */
const ENDED: Outcome = { is: 'failed', status: 503, reason: 'the session has ended' };

/** The body of a message, without its headers. */
export function descriptionOf({ contentType, body }: Content): Content {
  return contentType === undefined || body === undefined ? {} : { contentType, body };
}

/** An INVITE session from its 2xx on: everything that happens in its dialog but the subscriptions. */
export class LiveSession implements InviteSession, SessionUsage, ServerTransactionUser, OfferingSession {
  readonly dialog: LiveDialog;
  readonly #core: Core;
  readonly #handlers: SessionHandlers;
  readonly #timer: SessionTimer;
  readonly ownsCallId: boolean;
  readonly digest: DigestClient | undefined;
  readonly #reliable: ReliableResponses | undefined;
  #state: SessionState;
  #description: Content;
  #peerAllows: ReadonlySet<string> | undefined;
  /** Our 2xx that waits for its ACK. */
  #accepted: Accepted | undefined;
  /** Whether the ACK that is waited for is that of the first INVITE. */
  #first = false;
  /** The peer's re-INVITE or UPDATE that has no final response yet. */
  #incomingOffer: Incoming | undefined;
  /** The 2xx that waits for its ACK carries an offer, which the ACK will answer. */
  #awaitsAnswer = false;
  readonly #offers: OwnOffers;
  /** Repeats the ACK of our last INVITE when its 2xx comes again. */
  #ackAgain: { readonly seq: number; readonly send: () => void } | undefined;
  /** `close` was called before the ACK came: the BYE has to wait (RFC 3261 §15). */
  #closing: readonly HeaderLine[] | undefined;

  constructor(start: SessionStart) {
    this.#core = start.core;
    this.dialog = start.dialog;
    this.#handlers = start.handlers;
    this.#description = start.description;
    this.#reliable = start.reliable;
    this.digest = start.digest;
    this.ownsCallId = start.peer.kind === 'response';
    this.#state = this.ownsCallId ? 'confirmed' : 'accepted';
    this.#noteAllow(start.peer);
    this.#offers = new OwnOffers(start.core, this);
    this.#timer = new SessionTimer(start.core, start.timer, {
      refresh: () => {
        this.#refresh();
      },
      expired: () => {
        this.#bye([{ name: 'Reason', value: 'SIP;cause=408;text="session timer expired"' }]);
        this.#end({ why: 'expired' });
      },
    });
    this.dialog.session = this;
  }

  get state(): SessionState {
    return this.#state;
  }

  get session(): this {
    return this;
  }

  allows(method: string): boolean | undefined {
    return this.#peerAllows?.has(method);
  }

  // ------------------------------------------------------------------------------------------------- as server

  /** Our 2xx to the first INVITE was sent: its ACK is waited for. */
  awaitFirstAck(incoming: Incoming, response: Buffer, offers: boolean): void {
    this.#first = true;
    // A 2xx without one: it was said in what came before (RFC 3262 §5, RFC 3311 §5.2).
    if (this.#description.body === undefined) this.#noteDescription(this.#reliable?.description ?? {});
    this.#awaitAck(incoming, response, offers);
    this.#timer.agree(incoming.request);
  }

  #awaitAck({ transaction, request }: Incoming, response: Buffer, offers: boolean): void {
    this.#awaitsAnswer = offers;
    this.#accepted?.stop();
    this.#accepted = new Accepted(this.#core, { transaction, response, status: 200, seq: request.cseq.seq }, () => {
      this.#core.log.warn('no ACK: the session ends', this.#fields());
      this.#bye([]);
      this.#end({ why: 'no ACK' });
    });
  }

  onAck(ack: SipRequest): void {
    this.receiveAck(ack);
  }

  onNoAck(): void {
    // Of a 2xx it is `Accepted` that waits for the ACK.
  }

  onCancel(): void {
    // Too late: it has its final response (RFC 3261 §9.2).
  }

  receiveAck(ack: SipRequest): void {
    if (this.#accepted?.seq !== ack.cseq.seq) return;
    this.#accepted.stop();
    this.#accepted = undefined;
    this.#awaitsAnswer = false;
    const first = this.#first;
    this.#first = false;
    if (this.#state === 'accepted') this.#state = 'confirmed';
    this.#tell(() => (first ? this.#handlers.onAck?.(ack) : this.#handlers.onOfferAck?.(ack)));
    if (this.#closing !== undefined) this.#closeNow(this.#closing);
    else this.#offers.next();
  }

  receive(incoming: Incoming): void {
    const { request } = incoming;
    const { handlers } = this.#core;
    const ours = this.#handlers;
    const plain = { request, flow: incoming.flow, session: this };
    if (request.method !== 'BYE') this.#tell(() => ours.onHeard?.(request));
    switch (request.method) {
      case 'BYE':
        this.#receiveBye(incoming);
        return;
      case 'INVITE':
      case 'UPDATE':
        this.#receiveOffer(incoming);
        return;
      case 'MESSAGE':
        incoming.settle(() => ours.onMessage?.(plain) ?? handlers.onMessage?.(plain) ?? this.#notAllowed());
        return;
      case 'INFO':
        incoming.settle(() => ours.onInfo?.(plain) ?? handlers.onInfo?.(plain) ?? this.#notAllowed());
        return;
      case 'PRACK':
        if (this.#reliable === undefined) incoming.respond(481);
        else this.#reliable.receive(incoming);
        return;
      case 'NOTIFY':
        incoming.settle(() => ours.onNotify?.(plain) ?? { status: 481 });
        return;
      case 'REFER': {
        const handler = ours.onRefer === undefined ? handlers : ours;
        receiveRefer(this.#core, incoming, this.dialog, handler);
        return;
      }
      default:
        incoming.settle(() => this.#notAllowed());
    }
  }

  #notAllowed(): Answer {
    return { status: 405, headers: [this.#core.capabilities.allow] };
  }

  #receiveBye(incoming: Incoming): void {
    incoming.respond(200);
    this.#end({ why: 'bye', request: incoming.request });
  }

  /** re-INVITE (RFC 3261 §14.2) and UPDATE (RFC 3311 §5.2). */
  #receiveOffer(incoming: Incoming): void {
    const { request, transaction } = incoming;
    const offer = hasDescription(request);
    const exchange = offer || request.method === 'INVITE';
    const pending = this.#incomingOffer?.answered === false ? this.#incomingOffer.request.method : undefined;
    if (pending !== undefined && (exchange || pending === 'UPDATE')) {
      incoming.comeAgain();
      return;
    }
    if (exchange && (this.#offers.isOpen || this.#awaitsAnswer)) {
      incoming.respond(491);
      return;
    }
    if (exchange || pending === undefined) this.#incomingOffer = incoming;
    transaction.user = {
      onAck: (ack) => {
        this.receiveAck(ack);
      },
      onNoAck: () => undefined,
      onCancel: () => {
        if (incoming.answered) return;
        incoming.respond(487);
        this.#offers.next();
      },
    };
    const handlers = this.#handlers;
    const answer = (): Answer | Promise<Answer> => {
      const timer = this.#timer.answer(request);
      if (request.method === 'UPDATE' && !offer) return { status: 200, headers: timer.headers };
      if (handlers.onOffer === undefined) {
        return offer ? NO_OFFER_TAKEN : { ...this.#description, status: 200, headers: timer.headers };
      }
      const answering = handlers.onOffer({ request, offer });
      const timed = (given: Answer): Answer =>
        given.status < 300 ? { ...given, headers: [...(given.headers ?? []), ...timer.headers] } : given;
      return answering instanceof Promise ? answering.then(timed) : timed(answering);
    };
    incoming.settle(
      answer,
      (given) => {
        this.#answerOffer(incoming, given);
      },
      (error) => {
        incoming.fail(error);
        this.#offers.next();
      },
    );
  }

  #answerOffer(incoming: Incoming, answer: Answer): void {
    if (incoming.answered || this.#state === 'ended') return;
    const { request } = incoming;
    if (answer.status >= 300) {
      incoming.respond(answer.status, answer);
      this.#offers.next();
      return;
    }
    this.dialog.refresh(request);
    this.#noteAllow(request);
    const { allow, supported } = this.#core.capabilities;
    const response = incoming.respond(answer.status, {
      ...answer,
      contact: this.dialog.contactFor(incoming.flow),
      headers: [allow, supported, ...(answer.headers ?? [])],
    });
    this.#timer.agree(request);
    this.#noteDescription(answer);
    if (request.method === 'INVITE') this.#awaitAck(incoming, response, !hasDescription(request));
    else this.#offers.next();
  }

  // ------------------------------------------------------------------------------------------------- as client

  /** Our first INVITE was answered 2xx. */
  confirmedByClient(response: SipResponse): void {
    this.#timer.agreed(response);
  }

  /** Sends the ACK to a 2xx to `invite` (RFC 3261 §13.2.2.4); see `LiveDialog.ackFirst`. */
  acknowledge(invite: SipRequest, content: Content | undefined, left: () => void): void {
    const { seq } = invite.cseq;
    const ack = this.dialog.createRequest('ACK', content ?? {}, seq);
    this.#noteDescription(content ?? {});
    // §22.1: the ACK duplicates the credentials of its INVITE, which were computed for that method and count.
    for (const name of ['Authorization', 'Proxy-Authorization']) {
      for (const value of invite.headers.all(name)) ack.request.headers.add(name, value);
    }
    sendAck(this.#core, ack, (send) => {
      if (send !== undefined) this.#ackAgain = { seq, send };
      left();
    });
  }

  /** A 2xx came again: so does its ACK. */
  acknowledgeAgain(response: SipResponse): void {
    if (this.#ackAgain?.seq === response.cseq.seq) this.#ackAgain.send();
  }

  reInvite(
    content: Content,
    done: (outcome: Outcome) => void,
    ack?: (response: SipResponse) => Content | undefined,
  ): void {
    checkLines(content.headers);
    const told = this.#telling(done);
    const acknowledging = ack && ((response: SipResponse) => this.#tell(() => ack(response)));
    if (this.#state === 'ended') told(ENDED);
    else this.#offers.add({ method: 'INVITE', content, done: told, ack: acknowledging });
  }

  update(content: Content, done: (outcome: Outcome) => void): void {
    checkLines(content.headers);
    const told = this.#telling(done);
    if (this.#state === 'ended') told(ENDED);
    else this.#offers.add({ method: 'UPDATE', content, done: told });
  }

  request(method: string, content: Content, done: (outcome: Outcome) => void, credentials?: CredentialsFor): void {
    checkLines(content.headers);
    this.#send(method, content, this.#telling(done), credentials);
  }

  close(headers: readonly HeaderLine[] = []): void {
    if (this.#state === 'ended') return;
    if (this.#state === 'accepted') this.#closing = headers;
    else this.#closeNow(headers);
  }

  drop(): void {
    this.#end({ why: 'closed' });
  }

  #closeNow(headers: readonly HeaderLine[]): void {
    this.#bye(headers);
    this.#end({ why: 'closed' });
  }

  #bye(headers: readonly HeaderLine[]): void {
    this.#dispatch('BYE', { headers }, () => undefined);
  }

  #send(method: string, content: Content, done: (outcome: Outcome) => void, credentials?: CredentialsFor): void {
    if (this.#state === 'ended') {
      done(ENDED);
      return;
    }
    this.#dispatch(
      method,
      content,
      (outcome) => {
        done(outcome);
        this.#noticeEnd(method, outcome);
      },
      credentials,
    );
  }

  #dispatch(method: string, content: Content, done: (outcome: Outcome) => void, credentials?: CredentialsFor): void {
    const what = {
      method,
      content,
      digest: credentials === undefined ? this.digest : new DigestClient(credentials),
      stillWanted: () => method === 'BYE' || this.#state !== 'ended',
    };
    sendInDialog(this.#core, this.dialog, what, {
      onResponse: (response) => {
        if (response.status >= 200) done({ is: 'response', response });
      },
      onFailed: done,
    });
  }

  /** RFC 3261 §12.2.1.2: 481 and 408 end the dialog, and so does silence. */
  #noticeEnd(method: string, outcome: Outcome): void {
    const status = outcome.is === 'failed' ? outcome.status : outcome.response.status;
    // RFC 5057 §5.1: of the failures only 481 and 408 speak of the dialog when the request was none of the session's own.
    const ends = status === 481 || status === 408 || (method === 'INVITE' && DIALOG_IS_GONE.has(status));
    if (!ends || this.#state === 'ended') return;
    const reason = `${method}: ${String(status)}`;
    if (status !== 481) this.#bye([{ name: 'Reason', value: `SIP;cause=${String(status)};text="${reason}"` }]);
    this.#end({ why: 'gone', status, reason });
  }

  // ----------------------------------------------------------------------------------- re-INVITE and UPDATE of ours

  get isOver(): boolean {
    return this.#state === 'ended';
  }

  get isBusy(): boolean {
    return this.#incomingOffer?.answered === false || this.#accepted !== undefined;
  }

  offerHeaders(): readonly HeaderLine[] {
    return [this.#core.capabilities.allow, ...this.#timer.ask()];
  }

  offerAccepted(sent: SipRequest, response: SipResponse, { method, content, ack }: Offer): void {
    this.dialog.refresh(response);
    this.#noteAllow(response);
    if (method === 'INVITE')
      this.dialog.ackFirst((left) => {
        this.acknowledge(sent, ack?.(response), left);
      });
    // It may come after the end (a BYE that crosses it): there is nothing to refresh then.
    if (this.#state !== 'ended') this.#timer.agreed(response);
    this.#noteDescription(content);
  }

  offerDone(method: string, outcome: Outcome): void {
    this.#noticeEnd(method, outcome);
  }

  // ------------------------------------------------------------------------------------------------- the rest

  /** RFC 4028 §10: by UPDATE where the peer allows it, else by a re-INVITE with our last description. */
  #refresh(): void {
    const failed = (outcome: Outcome): void => {
      const status = outcome.is === 'failed' ? outcome.status : outcome.response.status;
      if (status < 300) return;
      this.#core.log.warn(`session refresh failed: ${String(status)}`, this.#fields());
      this.#timer.refused(outcome);
    };
    if (this.allows('UPDATE') === true) this.update({}, failed);
    else this.reInvite(this.#description, failed);
  }

  #noteAllow(message: SipRequest | SipResponse): void {
    const { allow } = message;
    if (allow !== undefined) this.#peerAllows = new Set(allow);
  }

  #noteDescription(content: Content): void {
    if (content.body !== undefined) this.#description = descriptionOf(content);
  }

  #end(end: SessionEnd): void {
    if (this.#state === 'ended') return;
    this.#state = 'ended';
    this.#accepted?.stop();
    this.#accepted = undefined;
    this.#timer.stop();
    // RFC 3261 §15.1.2: what the application still thinks about.
    if (this.#incomingOffer?.answered === false) this.#incomingOffer.respond(487);
    this.#offers.end(ENDED);
    this.dialog.session = undefined;
    this.#core.dialogs.sweep(this.dialog);
    this.#tell(() => this.#handlers.onEnded?.(end));
  }

  #tell<T>(handler: () => T): T | undefined {
    return tell(this.#core.log, handler, this.#fields());
  }

  #telling(done: (outcome: Outcome) => void): (outcome: Outcome) => void {
    return telling(this.#core.log, done, this.#fields());
  }

  #fields(): { callId: string; flow: string | undefined } {
    return { callId: this.dialog.callId, flow: this.dialog.flow?.id };
  }
}
