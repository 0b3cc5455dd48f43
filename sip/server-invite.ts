import type { AcceptParts, Answer, IncomingInvite, InviteSession, InviteState } from './api.ts';
import type { Core } from './core.ts';
import { LiveDialog, type SessionUsage } from './dialog.ts';
import { answerEarly, answerUpdate } from './early-dialogs.ts';
import { type HeaderLine, SipError } from './errors.ts';
import type { Incoming } from './incoming.ts';
import type { SipRequest } from './message.ts';
import { hasDescription } from './multipart.ts';
import { type OnDescription, reliability, ReliableResponses } from './reliable.ts';
import { descriptionOf, LiveSession } from './session.ts';
import { answerTimer, timerOptions } from './session-timer.ts';
import type { Timer } from './timers.ts';
import type { Flow } from './transport/flow.ts';

/** A provisional response is repeated so often, or proxies give up (RFC 3261 §13.3.1.1), in milliseconds. */
const RING_AGAIN = 60_000;

/** An INVITE outside of dialogs that is being answered (RFC 3261 §13.3). */
export class ServerInvite implements IncomingInvite, SessionUsage {
  readonly #core: Core;
  readonly #incoming: Incoming;
  #state: InviteState = { is: 'pending' };
  #dialog: LiveDialog | undefined;
  #abort: AbortController | undefined;
  #ringing: Timer | undefined;
  #expiry: Timer | undefined;
  #reliable: ReliableResponses | undefined;
  readonly #settled: () => void;

  /** @param settled called once, when it is no longer pending */
  constructor(core: Core, incoming: Incoming, settled: () => void) {
    this.#core = core;
    this.#incoming = incoming;
    this.#settled = settled;
    const { expires } = incoming.request;
    if (expires !== undefined)
      this.#expiry = core.clock.after(expires * 1000, () => {
        this.cancel(487); // RFC 3261 §13.3.1
      });
    incoming.transaction.user = {
      onAck: (ack) => this.#dialog?.session?.receiveAck(ack),
      onNoAck: () => {
        this.#core.log.warn('no ACK to a refusal', { callId: this.request.callId, flow: this.flow.id });
      },
      onCancel: () => {
        this.cancel(487);
      },
    };
  }

  get request(): SipRequest {
    return this.#incoming.request;
  }

  get flow(): Flow {
    return this.#incoming.flow;
  }

  get session(): undefined {
    return undefined;
  }

  get state(): InviteState {
    return this.#state;
  }

  get signal(): AbortSignal {
    this.#abort ??= new AbortController();
    if (this.#state.is === 'cancelled') this.#abort.abort();
    return this.#abort.signal;
  }

  ring(answer: Answer | 180 | 181 | 182 | 183, onDescription?: OnDescription): void {
    if (this.#state.is !== 'pending') return;
    this.#orFail(() => {
      this.#ring(typeof answer === 'number' ? { status: answer } : answer, onDescription);
    });
  }

  accept(parts: AcceptParts): InviteSession | undefined {
    if (this.#state.is !== 'pending') return undefined;
    return this.#orFail(() => this.#accept(parts));
  }

  #orFail<T>(answer: () => T): T | undefined {
    return this.#incoming.orFail(answer, (error) => {
      this.fail(error);
    });
  }

  #ring(given: Answer, onDescription: OnDescription | undefined): void {
    const dialog = this.#openDialog();
    dialog.session = this;
    const asked = reliability(this.request);
    const first = this.#reliable === undefined && !hasDescription(this.request);
    if (asked === 'required' && first && given.body === undefined) {
      // RFC 3262 §5: the first reliable response to an INVITE without offer carries one, and §3: no other may be sent.
      this.#core.log.debug?.('a response without offer is not sent', { callId: this.request.callId });
      return;
    }
    const reliable = asked === 'required' || (asked === 'supported' && given.body !== undefined);
    if (reliable) this.#reliableResponses().send(given, onDescription);
    else this.#send(given, []);
    this.#ringing?.stop();
    this.#ringing = this.#core.clock.after(RING_AGAIN, () => {
      this.ring(given, onDescription);
    });
  }

  #accept(parts: AcceptParts): InviteSession {
    const core = this.#core;
    const { request, flow } = this;
    const options = timerOptions(core.sessionTimer, parts.sessionTimer);
    const { headers } = answerTimer(request, options);
    const offers = parts.body !== undefined && !hasDescription(request);
    const dialog = this.#openDialog();
    dialog.contact = parts.contact;
    const session = new LiveSession({
      core,
      dialog,
      handlers: parts.session ?? {},
      timer: options,
      description: descriptionOf(parts),
      peer: request,
      reliable: this.#reliable,
    });
    const { allow, supported, allowEvents } = core.capabilities;
    this.#settle({ is: 'accepted', session });
    const accept = (): void => {
      const response = this.#incoming.respond(200, {
        ...parts,
        contact: dialog.contactFor(flow),
        headers: [...recordRoute(request), allow, supported, ...allowEvents, ...headers, ...(parts.headers ?? [])],
      });
      session.awaitFirstAck(this.#incoming, response, offers);
      // The transaction stays for a while (timer L); the INVITE need not.
      this.#incoming.transaction.user = session;
    };
    if (this.#reliable === undefined) accept();
    else this.#reliable.beforeAccepting(accept);
    return session;
  }

  refuse(answer: Answer): void {
    if (this.#state.is !== 'pending') return;
    this.#settle({ is: 'refused', status: answer.status });
    this.#incoming.respond(answer.status, answer);
  }

  /** The handler has thrown: the answer that the error asks for (see `Incoming.fail`). */
  fail(error: unknown): void {
    const status = error instanceof SipError ? error.status : 500;
    if (this.#state.is === 'pending') this.#settle({ is: 'refused', status });
    this.#incoming.fail(error);
  }

  /** CANCEL, a BYE in the early dialog, or the end of the user agent. */
  cancel(status: 487 | 503): void {
    if (this.#state.is !== 'pending') return;
    this.#settle({ is: 'cancelled' });
    this.#incoming.respond(status);
    this.#abort?.abort();
  }

  /** Requests in the early dialog (RFC 3261 §15: BYE ends it). */
  receive(incoming: Incoming): void {
    if (incoming.request.method === 'PRACK') this.#reliableResponses().receive(incoming);
    else if (incoming.request.method === 'BYE') {
      incoming.respond(200);
      this.cancel(487);
    } else this.#answerEarly(this.#openDialog(), incoming);
  }

  #answerEarly(dialog: LiveDialog, incoming: Incoming): void {
    const exchange = this.#reliable?.exchange ?? (hasDescription(this.request) ? 'theirs' : 'none');
    answerEarly(dialog, incoming, exchange, () => {
      this.#reliable?.receiveOffer(incoming, (answer) => {
        answerUpdate(dialog, incoming, answer);
      });
    });
  }

  close(): void {
    this.cancel(503);
  }

  drop(): void {
    this.cancel(503);
  }

  receiveAck(): void {
    // Nothing was accepted: an ACK here has no meaning.
  }

  #send(answer: Answer, more: readonly HeaderLine[]): Buffer {
    const { allow } = this.#core.capabilities;
    const headers = [...recordRoute(this.request), allow, ...more, ...(answer.headers ?? [])];
    const contact = this.#openDialog().contactFor(this.flow);
    return this.#incoming.respond(answer.status, { ...answer, contact, headers });
  }

  #reliableResponses(): ReliableResponses {
    return (this.#reliable ??= new ReliableResponses(
      this.#core,
      this.#incoming,
      (answer, headers) => this.#send(answer, headers),
      () => {
        this.#unacknowledged();
      },
    ));
  }

  /** RFC 3262 §3: no PRACK came. */
  #unacknowledged(): void {
    this.#core.log.warn('no PRACK: the INVITE is refused', { callId: this.request.callId, flow: this.flow.id });
    const state = this.#state;
    if (state.is === 'pending') this.refuse({ status: 504 });
    else if (!this.#incoming.answered) {
      this.#incoming.respond(504);
      this.#dialog?.session?.drop();
    }
  }

  #openDialog(): LiveDialog {
    if (this.#dialog !== undefined) return this.#dialog;
    const dialog = LiveDialog.asServer(this.#incoming);
    this.#core.dialogs.add(dialog, this.flow.remote.address);
    this.#dialog = dialog;
    return dialog;
  }

  #settle(state: InviteState): void {
    this.#state = state;
    this.#ringing?.stop();
    this.#expiry?.stop();
    this.#settled();
    const dialog = this.#dialog;
    if (state.is === 'accepted') return;
    this.#reliable?.stop();
    if (dialog === undefined) return;
    dialog.session = undefined;
    this.#core.dialogs.sweep(dialog);
  }
}

/** Responses that make a dialog carry the Record-Route of the request (RFC 3261 §12.1.1). */
function recordRoute(request: SipRequest): readonly { name: string; value: string }[] {
  return request.headers.all('Record-Route').map((value) => ({ name: 'Record-Route', value }));
}
