import type {
  Content,
  OutgoingInvite,
  OutgoingInviteHandlers,
  OutgoingInviteParts,
  OutgoingInviteState,
  Outcome,
  RedirectWay,
  SessionHandlers,
  SessionTimerOptions,
} from './api.ts';
import { tell } from './callbacks.ts';
import type { Core } from './core.ts';
import { LiveDialog } from './dialog.ts';
import { EarlyDialogs } from './early-dialogs.ts';
import { CSEQ } from './fields.ts';
import type { HeaderLine } from './errors.ts';
import type { SipResponse } from './message.ts';
import { OutgoingRequest, type Sending } from './outgoing.ts';
import { outside } from './outside.ts';
import { Params } from './params.ts';
import { Redirects } from './redirects.ts';
import { descriptionOf, LiveSession } from './session.ts';
import { askTimer, raised, timerOptions } from './session-timer.ts';
import type { Timer } from './timers.ts';

/** How long a called party may ring by default, in milliseconds (RFC 3261 §13.2.1 leaves it to the caller). */
const RINGING = 180_000;

/** An INVITE of ours (RFC 3261 §13.2). */
export class ClientInvite implements OutgoingInvite {
  readonly #core: Core;
  /** How the address that is called now is reached. */
  #parts: OutgoingInviteParts;
  readonly #handlers: OutgoingInviteHandlers;
  readonly #settled: (invite: ClientInvite) => void;
  /** Our tag in the dialogs to come. */
  readonly localTag: string;
  #sending: Sending;
  readonly #early: EarlyDialogs;
  readonly #redirects: Redirects;
  readonly #ringing: Timer;
  #timerOptions: SessionTimerOptions | undefined;
  #outgoing: OutgoingRequest;
  #state: OutgoingInviteState = { is: 'calling' };
  /** The branches that have answered 2xx, by the peer's tag: the first is the call, the others are ended. */
  readonly #sessions = new Map<string, LiveSession>();
  /** How often a 422 had it sent again. */
  #prolonged = 0;
  #giveUp: Timer | undefined;

  /** @param settled called once, when it is accepted or has failed */
  constructor(
    core: Core,
    parts: OutgoingInviteParts,
    handlers: OutgoingInviteHandlers,
    settled: (invite: ClientInvite) => void,
  ) {
    this.#core = core;
    this.#parts = parts;
    this.#handlers = handlers;
    this.#settled = settled;
    this.#early = new EarlyDialogs(core, (update) => handlers.onEarlyUpdate?.(update));
    this.#timerOptions = timerOptions(core.sessionTimer, parts.sessionTimer);
    this.#ringing = core.clock.after(parts.ringing ?? RINGING, () => {
      this.cancel();
    });
    this.#redirects = new Redirects(parts.uri, parts.redirects ?? 0);
    this.#sending = outside(core, 'INVITE', parts, this.#headers(), true);
    this.localTag = this.#sending.request.fromTag ?? '';
    this.#outgoing = this.#send();
    this.#outgoing.start();
  }

  get state(): OutgoingInviteState {
    return this.#state;
  }

  cancel(): void {
    if (this.#state.is !== 'calling' && this.#state.is !== 'proceeding') return;
    this.#state = { is: 'cancelling' };
    this.#outgoing.cancel(() => {
      // §9.1: without a final response within 64*T1 the INVITE counts as cancelled.
      this.#giveUp = this.#core.clock.after(64 * this.#core.transactions.base.T1, () => {
        this.#outgoing.abandon();
        this.#failed({ is: 'failed', status: 408, reason: 'no response to CANCEL' });
      });
    });
  }

  /** Ends it without waiting for anything: the user agent has closed. */
  drop(): void {
    this.#outgoing.abandon();
    this.#failed({ is: 'failed', status: 503, reason: 'the user agent has closed' });
  }

  #send(): OutgoingRequest {
    const outgoing = new OutgoingRequest(this.#core, this.#sending, {
      onResponse: (response) => {
        this.#receive(response, outgoing);
      },
      onFailed: (outcome) => {
        // §8.1.3.4: an address that cannot be reached has failed like one that refuses.
        if (!this.#tryNext()) this.#failed(outcome);
      },
    });
    return outgoing;
  }

  #receive(response: SipResponse, outgoing: OutgoingRequest): void {
    if (response.status < 200) this.#progress(response, outgoing);
    else if (response.status < 300) this.#accepted(response, outgoing);
    else if (!this.#tryAgain(response)) this.#failed({ is: 'response', response });
  }

  #headers(): readonly HeaderLine[] {
    const { allow, allowEvents } = this.#core.capabilities;
    return [allow, ...allowEvents, ...askTimer(this.#timerOptions)];
  }

  /** Another try, where the response shows a way. */
  #tryAgain(response: SipResponse): boolean {
    if (!this.#wanted) return false;
    if (response.status === 422) return this.#tryLonger(response);
    if (response.status === 415) return this.#tryDescription();
    if (response.status < 400) {
      this.#redirects.note(response, (uri, why) => {
        this.#tell(() => this.#handlers.onPassedOver?.(uri, why));
      });
    }
    return this.#tryNext();
  }

  /** Calls the next address that a 3xx has named; false when there is none. */
  #tryNext(): boolean {
    const way = this.#wanted ? this.#nextWay() : undefined;
    if (way === undefined) return false;
    // RFC 3261 §8.1.3.4: the same To, From and Call-ID, a new number.
    const { request, nextSeq } = this.#sending;
    const same = { callId: request.callId, fromTag: this.localTag, seq: nextSeq() };
    const { to = { uri: this.#parts.uri, params: Params.none } } = this.#parts;
    this.#parts = { ...this.#parts, to, route: undefined, flow: undefined, ...way };
    this.#sending = outside(this.#core, 'INVITE', this.#parts, this.#headers(), true, same);
    this.#early.end();
    this.#state = { is: 'calling' };
    this.#outgoing = this.#send();
    this.#outgoing.start();
    return true;
  }

  /** Whether it has come to no end, and nobody has given it up. */
  get #wanted(): boolean {
    return this.#state.is === 'calling' || this.#state.is === 'proceeding';
  }

  #nextWay(): RedirectWay | undefined {
    for (;;) {
      const uri = this.#redirects.next();
      if (uri === undefined) return undefined;
      const way =
        this.#handlers.onRedirect === undefined
          ? { uri, route: this.#parts.route }
          : this.#tell(() => this.#handlers.onRedirect?.(uri));
      if (way !== undefined) return way;
    }
  }

  #progress(response: SipResponse, outgoing: OutgoingRequest): void {
    if (this.#state.is === 'cancelling' || response.status === 100) return;
    const { request, flow } = outgoing;
    const sent = { request, flow, chosen: this.#parts.flow === flow, contact: this.#parts.contact };
    const { digest } = this.#sending;
    const answer = (): Content => this.#tell(() => this.#handlers.onEarlyOffer?.(response)) ?? {};
    if (!this.#early.take(response, sent, digest, answer)) return;
    this.#state = { is: 'proceeding', response };
    this.#tell(() => this.#handlers.onProgress?.(response));
  }

  #accepted(response: SipResponse, outgoing: OutgoingRequest): void {
    const tag = response.toTag ?? '';
    const known = this.#sessions.get(tag);
    if (known !== undefined) {
      known.acknowledgeAgain(response);
      return;
    }
    if (this.#sessions.size >= this.#core.limits.branches) return;
    const state = this.#state;
    const late = this.#sessions.size > 0 || state.is === 'cancelling' || state.is === 'failed';
    const session = this.#openSession(response, outgoing, late ? {} : (this.#parts.session ?? {}));
    this.#sessions.set(tag, session);
    if (late) {
      // Another branch of a fork, or too late (§13.2.2.4, §9.1): acknowledged and ended.
      session.dialog.ackFirst((left) => {
        session.acknowledge(outgoing.request, undefined, left);
      });
      session.close();
      if (state.is === 'cancelling') this.#failed({ is: 'failed', status: 503, reason: 'cancelled' });
      return;
    }
    this.#settle({ is: 'accepted', session });
    session.dialog.ackFirst((left) => {
      try {
        session.acknowledge(outgoing.request, this.#handlers.onAccepted(session, response), left);
      } catch (error) {
        this.#core.log.error(
          `a handler threw: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
        );
        session.acknowledge(outgoing.request, undefined, left);
        session.close();
      }
    });
  }

  #openSession(response: SipResponse, outgoing: OutgoingRequest, handlers: SessionHandlers): LiveSession {
    const { flow } = outgoing;
    const early = this.#early.confirm(response);
    const dialog = early?.dialog ?? LiveDialog.asClient(outgoing.request, response, flow, this.#parts.flow === flow);
    dialog.contact = this.#parts.contact;
    if (early === undefined) this.#core.dialogs.add(dialog, flow?.remote.address ?? '');
    const session = new LiveSession({
      core: this.#core,
      dialog,
      handlers,
      timer: this.#timerOptions,
      description: descriptionOf(early?.description ?? this.#parts.description ?? this.#parts),
      digest: this.#sending.digest,
      peer: response,
    });
    session.confirmedByClient(response);
    return session;
  }

  /** RFC 3261 §8.1.3.5: once more, with nothing but the session description. */
  #tryDescription(): boolean {
    const { description, ...parts } = this.#parts;
    if (description === undefined) return false;
    this.#parts = { ...parts, ...description };
    const { request } = this.#sending;
    request.setBody(description.contentType, description.body);
    this.#repeat();
    return true;
  }

  /** The same INVITE again, with what was changed in it. */
  #repeat(): void {
    const { request, nextSeq } = this.#sending;
    request.headers.write(CSEQ, { seq: nextSeq(), method: 'INVITE' });
    this.#early.end();
    this.#state = { is: 'calling' };
    this.#outgoing = this.#send();
    this.#outgoing.start();
  }

  /** RFC 4028 §7.3: once more with the interval that the peer can bear. */
  #tryLonger(response: SipResponse): boolean {
    const longer = this.#timerOptions && raised(this.#timerOptions, response);
    if (longer === undefined || ++this.#prolonged > this.#core.limits.repeats) return false;
    this.#timerOptions = longer;
    const { request } = this.#sending;
    for (const { name, value } of askTimer(longer)) request.headers.set(name, value);
    this.#repeat();
    return true;
  }

  #failed(outcome: Outcome): void {
    if (this.#state.is === 'failed' || this.#state.is === 'accepted') return;
    this.#settle({ is: 'failed', outcome });
    this.#tell(() => {
      this.#handlers.onFailed(outcome);
    });
  }

  #tell<T>(handler: () => T): T | undefined {
    return tell(this.#core.log, handler, { callId: this.#sending.request.callId });
  }

  #settle(state: OutgoingInviteState): void {
    this.#state = state;
    this.#ringing.stop();
    this.#giveUp?.stop();
    this.#early.end();
    this.#settled(this);
  }
}
