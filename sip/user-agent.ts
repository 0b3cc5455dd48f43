import type {
  Answer,
  InviteSession,
  Limits,
  OutgoingInvite,
  OutgoingInviteHandlers,
  OutgoingInviteParts,
  OutgoingRequestParts,
  Outcome,
  SessionTimerOptions,
  SipUserAgent,
  Subscription,
  Trace,
  UserAgentCounts,
  UserAgentHandlers,
  UserAgentOptions,
} from './api.ts';
import { BoundedLog } from './bounded-log.ts';
import { ClientInvite } from './client-invite.ts';
import { capabilitiesOf, type Capabilities, type Core, DEFAULT_LIMITS } from './core.ts';
import { Dialogs, type LiveDialog } from './dialog.ts';
import { SipError } from './errors.ts';
import type { NameAddr } from './fields.ts';
import { Incoming } from './incoming.ts';
import { inspectRequest } from './inspect.ts';
import { type Log, silent } from './log.ts';
import { createErrorResponse, createResponse, type SipMessage, type SipRequest } from './message.ts';
import { Notifier, receiveSubscribe } from './notifier.ts';
import { sendOutside } from './outside.ts';
import { DEFAULT_PARSER_LIMITS, parseMessage, refuse } from './parser.ts';
import { receiveRefer } from './refer.ts';
import { viaAddress } from './routing.ts';
import { ServerInvite } from './server-invite.ts';
import { DEFAULT_SESSION_TIMER } from './session-timer.ts';
import { usageKey } from './subscription.ts';
import { type Clock, defaultTimers, systemClock } from './timers.ts';
import { mergeKey, serverKey, Transactions } from './transactions.ts';
import type { Flow, TransportHandlers, TransportLayer, ViaAddress } from './transport/flow.ts';
import { Turns } from './turns.ts';
import { formatMessage } from './write.ts';

/** The methods that a session answers, if only with 405. */
const IN_DIALOG: ReadonlySet<string> = new Set(['INFO', 'MESSAGE', 'NOTIFY', 'REFER', 'SUBSCRIBE']);

/** How often `close` looks whether all is answered, in milliseconds. */
const LOOK_AGAIN = 20;

/**
 * A SIP user agent for many addresses of record (RFC 3261 §8): message in → transaction, else dialog, else handler.
 * It opens no socket: bytes come by `receive`, from the transport that the options make, and leave by its flows.
 */
export class UserAgent implements SipUserAgent, TransportHandlers, Core {
  readonly clock: Clock;
  readonly log: Log;
  readonly limits: Limits;
  readonly handlers: UserAgentHandlers;
  readonly transport: TransportLayer;
  readonly transactions: Transactions;
  readonly dialogs = new Dialogs();
  readonly notifier = new Notifier();
  readonly turns: Turns;
  readonly capabilities: Capabilities;
  readonly sessionTimer: SessionTimerOptions | undefined;
  readonly outboundRoute: readonly NameAddr[];
  readonly #trace: ((entry: Trace) => void) | undefined;
  readonly #pending = new Set<ServerInvite>();
  readonly #pendingFrom = new Map<string, number>();
  /** Our INVITEs without final response, by our tag. */
  readonly #calls = new Map<string, ClientInvite>();
  #closing = false;

  constructor(options: UserAgentOptions, handlers: UserAgentHandlers) {
    this.clock = options.clock ?? systemClock;
    this.turns = new Turns(this.clock);
    this.log = new BoundedLog(options.log ?? silent, { now: () => this.clock.now() });
    this.limits = { parser: DEFAULT_PARSER_LIMITS, ...DEFAULT_LIMITS, ...options.limits };
    this.handlers = handlers;
    this.#trace = options.trace;
    this.capabilities = capabilitiesOf(options, handlers);
    this.outboundRoute = options.outboundRoute ?? [];
    this.sessionTimer =
      options.sessionTimer === false ? undefined : { ...DEFAULT_SESSION_TIMER, ...options.sessionTimer };
    this.transactions = new Transactions(
      this.clock,
      { ...defaultTimers, ...options.timers },
      {
        send: (flow, bytes) => this.send(flow, bytes),
        respond: (flow, via, bytes) => {
          this.#respond(flow, via, bytes);
        },
      },
    );
    this.transport = options.transport(this);
  }

  get closing(): boolean {
    return this.#closing;
  }

  get counts(): UserAgentCounts {
    return {
      serverTransactions: this.transactions.servers,
      clientTransactions: this.transactions.clients,
      dialogs: this.dialogs.size,
      subscriptions: this.notifier.size,
      pendingInvites: this.#pending.size,
    };
  }

  // ---------------------------------------------------------------------------------------------- to the network

  request(parts: OutgoingRequestParts, done: (outcome: Outcome) => void): void {
    sendOutside(this, parts, done);
  }

  invite(parts: OutgoingInviteParts, handlers: OutgoingInviteHandlers): OutgoingInvite {
    const invite = new ClientInvite(this, parts, handlers, ({ localTag }) => this.#calls.delete(localTag));
    if (invite.state.is !== 'failed') this.#calls.set(invite.localTag, invite);
    return invite;
  }

  changed(eventPackage: string, resource: string): void {
    this.notifier.changed(eventPackage, resource);
  }

  subscriptions(eventPackage: string, resource: string): Iterable<Subscription> {
    return this.notifier.of(eventPackage, resource);
  }

  async close(grace = 2000): Promise<void> {
    this.#closing = true;
    for (const invite of [...this.#pending]) invite.cancel(503);
    for (const call of [...this.#calls.values()]) call.cancel();
    for (const subscription of this.notifier.all()) subscription.terminate('deactivated');
    for (const dialog of [...this.dialogs]) dialog.session?.close();
    await this.#answersWithin(grace);
    for (const call of [...this.#calls.values()]) call.drop();
    for (const dialog of [...this.dialogs]) dialog.session?.drop();
    this.transactions.drop();
    await this.transport.close();
  }

  /** Waits for the answers to what was sent last. */
  #answersWithin(grace: number): Promise<void> {
    const end = this.clock.now() + grace;
    return new Promise((resolve) => {
      const look = (): void => {
        const idle = this.transactions.unanswered === 0 && !this.dialogs.hasSessions;
        if (idle || this.clock.now() >= end) resolve();
        else this.clock.after(LOOK_AGAIN, look);
      };
      look();
    });
  }

  send(flow: Flow, bytes: Uint8Array): boolean {
    this.#trace?.({ direction: 'out', at: this.clock.now(), flow, bytes });
    return flow.send(bytes);
  }

  #respond(flow: Flow, via: ViaAddress, bytes: Uint8Array): void {
    this.#trace?.({ direction: 'out', at: this.clock.now(), flow, bytes });
    this.transport.respond(flow, via, bytes);
  }

  /** A response without a transaction: to what cannot be served at all (RFC 3261 §8.2.7). */
  #refuse(request: SipRequest, flow: Flow, answer: Answer): void {
    if (request.method === 'ACK') return;
    this.#respond(flow, viaAddress(request.topVia), formatMessage(createResponse(request, answer.status, answer)));
  }

  // -------------------------------------------------------------------------------------------- from the network

  receive(bytes: Buffer, flow: Flow): void {
    this.#trace?.({ direction: 'in', at: this.clock.now(), flow, bytes });
    let message: SipMessage;
    try {
      message = parseMessage(bytes, this.limits.parser);
    } catch (error) {
      this.#unreadable(bytes, error, flow);
      return;
    }
    try {
      if (message.kind === 'request') this.#receiveRequest(message, flow);
      else if (!this.transactions.receive(message)) this.log.info('a response without transaction', { flow: flow.id });
    } catch (error) {
      this.#stumbled(message, error, flow);
    }
  }

  unframeable(head: Buffer | undefined, status: 400 | 413 | 513, reason: string, flow: Flow): void {
    if (head !== undefined) this.#unreadable(head, new SipError(status, reason), flow);
  }

  flowClosed(flow: Flow): void {
    this.transactions.flowClosed(flow);
  }

  #unreadable(bytes: Buffer, error: unknown, flow: Flow): void {
    if (!(error instanceof SipError)) throw error;
    this.log.warn(`unreadable message: ${error.message}`, { flow: flow.id });
    const response = refuse(bytes, error, flow.remote);
    if (response !== undefined) this.#respond(flow, viaAddress(response.topVia), formatMessage(response));
  }

  /** A header that was parsed late turned out malformed, or we have a bug. */
  #stumbled(message: SipMessage, error: unknown, flow: Flow): void {
    const fields = { flow: flow.id, callId: message.callId };
    if (!(error instanceof SipError)) {
      this.log.error(`bug: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`, fields);
    } else this.log.warn(`refused ${String(error.status)}: ${error.message}`, fields);
    if (message.kind === 'response' || message.method === 'ACK') return;
    const fault = error instanceof SipError ? error : new SipError(500, 'internal error');
    const transaction = this.transactions.server(serverKey(message));
    const response = createErrorResponse(message, fault);
    const bytes = formatMessage(response);
    if (transaction === undefined) this.#respond(flow, viaAddress(message.topVia), bytes);
    else transaction.respond(fault.status, bytes);
  }

  #receiveRequest(request: SipRequest, flow: Flow): void {
    request.stampSource(flow.remote.address, flow.remote.port);
    const key = serverKey(request);
    const transaction = this.transactions.server(key);
    if (request.method === 'ACK') {
      if (transaction === undefined || transaction.state === 'accepted') this.#receiveAck(request, flow);
      else transaction.receive(request);
    } else if (transaction !== undefined) transaction.receive(request);
    else this.#begin(request, flow, key);
  }

  /** An ACK to a 2xx has a transaction of its own and none at all: it belongs to a dialog (RFC 3261 §13.3.1.4). */
  #receiveAck(ack: SipRequest, flow: Flow): void {
    const dialog = this.dialogs.find(ack);
    if (dialog === undefined) return;
    dialog.hearAck(ack, flow);
    dialog.session?.receiveAck(ack);
  }

  /** A request that belongs to no transaction begins one. */
  #begin(request: SipRequest, flow: Flow, key: string): void {
    const { transactions, limits } = this;
    if (transactions.servers >= limits.serverTransactions) {
      this.#overload(request, flow, 'serverTransactions');
      return;
    }
    if (transactions.serverBytes >= limits.serverTransactionBytes) {
      this.#overload(request, flow, 'serverTransactionBytes');
      return;
    }
    const merge = mergeKey(request);
    const merged = transactions.isMerged(merge);
    const incoming = new Incoming(this, request, flow, transactions.serve(request, flow, key, merge));
    if (request.method === 'CANCEL') this.#receiveCancel(incoming);
    else if (merged) incoming.respond(482);
    else {
      this.#inspect(request);
      this.#dispatch(incoming);
    }
  }

  #overload(request: SipRequest, flow: Flow, limit: keyof Limits): void {
    this.log.warn(`503: limit of ${limit}`, { flow: flow.id, callId: request.callId, method: request.method });
    this.#refuse(request, flow, { status: 503, headers: [{ name: 'Retry-After', value: '10' }] });
  }

  /** RFC 3261 §9.2. Of the requests that can be cancelled only INVITE waits for anybody. */
  #receiveCancel(incoming: Incoming): void {
    const { request } = incoming;
    const methods = ['INVITE', ...this.capabilities.methods];
    const cancelled = methods.map((method) => this.transactions.server(serverKey(request, method))).find(Boolean);
    if (cancelled === undefined || cancelled === incoming.transaction) {
      incoming.respond(481);
      return;
    }
    incoming.transaction.tag = cancelled.tag ??= incoming.localTag;
    incoming.respond(200);
    if (!cancelled.answered) cancelled.user?.onCancel();
  }

  /** Method, Request-URI and Require (RFC 3261 §8.2.1–§8.2.2); throws SipError when something is not served. */
  #inspect(request: SipRequest): void {
    const { capabilities, handlers } = this;
    // Which methods a session serves it knows itself, and so does the application that serves others.
    const open = request.toTag === undefined ? handlers.onRequest !== undefined : IN_DIALOG.has(request.method);
    inspectRequest(request, open ? { ...capabilities, methods: [request.method] } : capabilities);
  }

  #dispatch(incoming: Incoming): void {
    const { request } = incoming;
    if (request.toTag !== undefined) this.#dispatchInDialog(incoming);
    else this.#dispatchOutside(incoming);
  }

  #dispatchInDialog(incoming: Incoming): void {
    const { request, flow } = incoming;
    const dialog = this.dialogs.find(request);
    if (dialog === undefined) {
      this.#answerStray(incoming);
      return;
    }
    if (!dialog.hear(request, flow)) {
      incoming.respond(500, { headers: [{ name: 'Retry-After', value: '1' }] });
      return;
    }
    if (request.method === 'OPTIONS') this.#options(incoming, dialog.session?.session);
    else if (request.method === 'SUBSCRIBE') this.#subscribeInDialog(incoming, dialog);
    else if (dialog.session !== undefined) dialog.session.receive(incoming);
    else if (request.method === 'REFER') receiveRefer(this, incoming, dialog, this.handlers);
    else incoming.respond(481);
  }

  /**
   * A request of a dialog that is not here: 481 (RFC 3261 §12.2.2). Where an INVITE of ours still waits, the 2xx that
   * makes the dialog may have been lost or overtaken: 481 would end the call at the other side. Over UDP the request is
   * forgotten, since it comes again; else it is told to.
   */
  #answerStray(incoming: Incoming): void {
    const { request, flow, transaction } = incoming;
    if (!this.#calls.has(request.toTag ?? '')) incoming.respond(481);
    else if (flow.reliable) incoming.respond(500, { headers: [{ name: 'Retry-After', value: '1' }] });
    else transaction.drop();
  }

  #subscribeInDialog(incoming: Incoming, dialog: LiveDialog): void {
    const { event } = incoming.request;
    const known = event && dialog.subscriptions.get(usageKey(event));
    if (known !== undefined) known.receive(incoming);
    else receiveSubscribe(this, incoming, dialog);
  }

  #dispatchOutside(incoming: Incoming): void {
    const { request, flow } = incoming;
    const { handlers } = this;
    const plain = { request, flow, session: undefined };
    switch (request.method) {
      case 'INVITE':
        this.#receiveInvite(incoming);
        return;
      case 'SUBSCRIBE':
        if (!this.#isFull(incoming)) receiveSubscribe(this, incoming, undefined);
        return;
      case 'REFER':
        if (!this.#isFull(incoming)) receiveRefer(this, incoming, undefined, handlers);
        return;
      case 'OPTIONS':
        this.#options(incoming);
        return;
      case 'MESSAGE':
        incoming.settle(() => handlers.onMessage?.(plain) ?? this.#notAllowed());
        return;
      case 'INFO':
        incoming.settle(() => handlers.onInfo?.(plain) ?? this.#notAllowed());
        return;
      case 'BYE':
      case 'UPDATE':
      case 'PRACK':
      case 'NOTIFY':
        incoming.respond(481);
        return;
      default:
        incoming.settle(() => handlers.onRequest?.(plain) ?? this.#notAllowed());
    }
  }

  #notAllowed(): Answer {
    return { status: 405, headers: [this.capabilities.allow] };
  }

  /** RFC 3261 §11.2. */
  #options(incoming: Incoming, session?: InviteSession): void {
    const { request, flow } = incoming;
    const { allow, accept, supported, allowEvents } = this.capabilities;
    const { handlers } = this;
    const ours = [allow, accept, supported, ...allowEvents];
    if (handlers.onOptions === undefined) {
      incoming.respond(200, { headers: ours });
      return;
    }
    incoming.settle(
      () => handlers.onOptions?.({ request, flow, session }) ?? { status: 200 },
      (answer) => {
        const headers = [...(answer.status < 300 ? ours : []), ...(answer.headers ?? [])];
        incoming.respond(answer.status, { ...answer, headers });
      },
    );
  }

  #receiveInvite(incoming: Incoming): void {
    if (this.#isFull(incoming)) return;
    const { address } = incoming.flow.remote;
    const invite = new ServerInvite(this, incoming, () => {
      this.#pending.delete(invite);
      this.#countPending(address, -1);
    });
    this.#pending.add(invite);
    this.#countPending(address, 1);
    incoming.run(
      () => this.handlers.onInvite(invite),
      (error) => {
        invite.fail(error);
      },
    );
  }

  /**
   * Answers 503 to what would make a dialog when there must be no more of them.
   * @throws SipError 400 when there is no Contact to make one with (RFC 3261 §12.1.1)
   */
  #isFull(incoming: Incoming): boolean {
    const { request, flow } = incoming;
    if (request.contact === undefined) throw new SipError(400, 'no Contact in a request that makes a dialog');
    const limit = this.#closing ? 'closing' : this.#exceeded(flow.remote.address);
    if (limit === undefined) return false;
    this.log.warn(`503: limit of ${limit}`, { flow: flow.id, callId: request.callId, method: request.method });
    incoming.respond(503, { headers: [{ name: 'Retry-After', value: '10' }] });
    return true;
  }

  #countPending(address: string, more: 1 | -1): void {
    const count = (this.#pendingFrom.get(address) ?? 0) + more;
    if (count > 0) this.#pendingFrom.set(address, count);
    else this.#pendingFrom.delete(address);
  }

  /** The limit that one more dialog would exceed. */
  #exceeded(address: string): keyof Limits | undefined {
    const { limits, dialogs } = this;
    if (this.#pending.size >= limits.pendingInvites) return 'pendingInvites';
    const { pendingInvitesPerAddress } = limits;
    if ((this.#pendingFrom.get(address) ?? 0) >= pendingInvitesPerAddress) return 'pendingInvitesPerAddress';
    if (dialogs.size >= limits.dialogs) return 'dialogs';
    return dialogs.from(address) >= limits.dialogsPerAddress ? 'dialogsPerAddress' : undefined;
  }
}
