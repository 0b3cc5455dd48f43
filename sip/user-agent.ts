import type {
  Limits,
  OutgoingInvite,
  OutgoingInviteHandlers,
  OutgoingInviteParts,
  OutgoingRequestParts,
  Outcome,
  SessionTimerOptions,
  SipUserAgent,
  Subscription,
  UserAgentCounts,
  UserAgentHandlers,
  UserAgentOptions,
} from './api.ts';
import { BoundedLog } from './bounded-log.ts';
import { telling } from './callbacks.ts';
import { ClientInvite } from './client-invite.ts';
import { capabilitiesOf, type Capabilities, type Core, DEFAULT_LIMITS } from './core.ts';
import { Dialogs } from './dialog.ts';
import { Dispatcher } from './dispatcher.ts';
import { SipError } from './errors.ts';
import type { NameAddr } from './fields.ts';
import { aboutFlow, aboutRequest } from './incoming.ts';
import { type Log, silent } from './log.ts';
import { createErrorResponse, type SipMessage, type SipRequest } from './message.ts';
import { Notifier } from './notifier.ts';
import { sendOutside } from './outside.ts';
import { DEFAULT_PARSER_LIMITS, parseMessage, refuse } from './parser.ts';
import { viaAddress } from './routing.ts';
import { DEFAULT_SESSION_TIMER } from './session-timer.ts';
import { type Clock, defaultTimers, systemClock } from './timers.ts';
import { serverKey, Transactions } from './transactions.ts';
import type { Flow, TransportHandlers, TransportLayer } from './transport/flow.ts';
import { Turns } from './turns.ts';
import { dropUnreadable } from './unreadable.ts';
import { formatMessage } from './write.ts';

/** Up to this octet there are only blanks, line breaks and the like. */
const SPACE = 32;

/** How often `close` looks whether all is answered, in milliseconds. */
const LOOK_AGAIN = 20;

/**
 * A SIP user agent for many addresses of record (RFC 3261 §8): message in → transaction, else dialog, else handler.
 * It opens no socket: bytes come by `receive`, from the transport that the options make, and leave by its flows.
 */
export class UserAgent<T extends TransportLayer = TransportLayer> implements SipUserAgent, TransportHandlers, Core {
  readonly clock: Clock;
  readonly log: Log;
  readonly limits: Limits;
  readonly handlers: UserAgentHandlers;
  /** What `options.transport` has made. */
  readonly transport: T;
  readonly transactions: Transactions;
  readonly dialogs = new Dialogs();
  readonly notifier = new Notifier();
  readonly turns: Turns;
  readonly seeking = new Set<object>();
  readonly capabilities: Capabilities;
  readonly sessionTimer: SessionTimerOptions | undefined;
  readonly outboundRoute: readonly NameAddr[];
  readonly #dispatcher: Dispatcher;
  /** Our INVITEs without final response, by our tag. */
  readonly #calls = new Map<string, ClientInvite>();
  #closing = false;
  /** What has failed since it closes, and one such failure in words. */
  readonly #lost = { count: 0, example: '' };

  constructor(options: UserAgentOptions<T>, handlers: UserAgentHandlers) {
    this.clock = options.clock ?? systemClock;
    this.turns = new Turns(this.clock);
    this.log = new BoundedLog(options.log ?? silent, { now: () => this.clock.now() });
    this.limits = { parser: DEFAULT_PARSER_LIMITS, ...DEFAULT_LIMITS, ...options.limits };
    this.handlers = handlers;
    this.capabilities = capabilitiesOf(options, handlers);
    this.outboundRoute = options.outboundRoute ?? [];
    this.sessionTimer =
      options.sessionTimer === false ? undefined : { ...DEFAULT_SESSION_TIMER, ...options.sessionTimer };
    this.transactions = new Transactions(
      this.clock,
      { ...defaultTimers, ...options.timers },
      {
        send: (flow, bytes) => flow.send(bytes),
        respond: (flow, via, bytes) => {
          this.transport.respond(flow, via, bytes);
        },
      },
    );
    this.#dispatcher = new Dispatcher(this, (localTag) => this.#calls.has(localTag));
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
      pendingInvites: this.#dispatcher.pending.size,
    };
  }

  // ---------------------------------------------------------------------------------------------- to the network

  request(parts: OutgoingRequestParts, done: (outcome: Outcome) => void): void {
    sendOutside(this, parts, telling(this.log, done, { method: parts.method }));
  }

  invite(parts: OutgoingInviteParts, handlers: OutgoingInviteHandlers): OutgoingInvite {
    const invite = new ClientInvite(this, parts, handlers, ({ localTag }) => this.#calls.delete(localTag));
    if (invite.state.is !== 'failed') this.#calls.set(invite.localTag, invite);
    return invite;
  }

  changed(eventPackage: string, resource: string): void {
    // Who closes tells each subscriber once more, that it is over.
    if (!this.#closing) this.notifier.changed(eventPackage, resource);
  }

  subscriptions(eventPackage: string, resource: string): Iterable<Subscription> {
    return this.notifier.of(eventPackage, resource);
  }

  async close(grace = 2000, first?: () => void): Promise<void> {
    this.#closing = true;
    const end = this.clock.now() + grace;
    first?.();
    for (const invite of [...this.#dispatcher.pending]) invite.cancel(503);
    for (const call of [...this.#calls.values()]) call.cancel();
    for (const subscription of this.notifier.all()) subscription.terminate('deactivated');
    for (const dialog of [...this.dialogs]) dialog.session?.close();
    await this.#answersUntil(end);
    this.#tellOfLost();
    for (const call of [...this.#calls.values()]) call.drop();
    for (const dialog of [...this.dialogs]) dialog.session?.drop();
    this.transactions.drop();
    await this.transport.close();
  }

  requestFailed(request: SipRequest, reason: string): void {
    const { method, callId, requestUri } = request;
    const [line, fields] = [`${method} failed: ${reason}`, { callId, to: requestUri }];
    if (this.#closing) {
      this.#lost.count += 1;
      this.#lost.example = `${method} to ${requestUri}: ${reason}`;
      this.log.debug?.(line, fields);
    } else this.log.warn(line, fields);
  }

  /** One line for all that could not be said in the end: to hundreds of peers that are gone it would be hundreds. */
  #tellOfLost(): void {
    const { count, example } = this.#lost;
    const waiting = this.seeking.size + this.transactions.unanswered;
    if (count + waiting === 0) return;
    const words = count === 0 ? '' : `, such as ${example}`;
    this.log.warn(`closed with ${count} requests failed and ${waiting} not answered in time${words}`);
  }

  /** Waits for the answers to what was sent last. */
  #answersUntil(end: number): Promise<void> {
    return new Promise((resolve) => {
      const look = (): void => {
        const { seeking, transactions, dialogs } = this;
        const idle = seeking.size === 0 && transactions.unanswered === 0 && !dialogs.hasSessions;
        if (idle || this.clock.now() >= end) resolve();
        else this.clock.after(LOOK_AGAIN, look);
      };
      look();
    });
  }

  // -------------------------------------------------------------------------------------------- from the network

  receive(bytes: Buffer, flow: Flow): void {
    let message: SipMessage;
    try {
      message = parseMessage(bytes, this.limits.parser);
    } catch (error) {
      this.#unreadable(bytes, error, flow);
      return;
    }
    this.#tellOfMore(bytes, message, flow);
    try {
      dropUnreadable(message, this.log);
      if (message.kind === 'request') this.#dispatcher.receive(message, flow);
      else if (!this.transactions.receive(message)) {
        this.log.debug?.('a response without transaction', { flow: flow.id });
      }
    } catch (error) {
      this.#stumbled(message, error, flow);
    }
  }

  /**
   * A WebSocket message must not hold more than one SIP message (RFC 7118 §5), and what follows the first one is dropped
   * as in a datagram (RFC 3261 §18.3). There it is padding; here it was meant to be heard.
   */
  #tellOfMore(bytes: Buffer, { body, callId }: SipMessage, flow: Flow): void {
    if (flow.transport !== 'WS' && flow.transport !== 'WSS') return;
    const more = bytes.subarray(body.byteOffset - bytes.byteOffset + body.length);
    if (!more.some((octet) => octet > SPACE)) return;
    this.log.warn(`dropped ${more.length} bytes behind a message in one WebSocket message`, { flow: flow.id, callId });
  }

  unframeable(head: Buffer | undefined, status: 400 | 413 | 513, reason: string, flow: Flow): void {
    if (head !== undefined) this.#unreadable(head, new SipError(status, reason), flow);
  }

  flowClosed(flow: Flow): void {
    this.transactions.flowClosed(flow);
  }

  #unreadable(bytes: Buffer, error: unknown, flow: Flow): void {
    if (!(error instanceof SipError)) throw error;
    this.log.warn(`unreadable message: ${error.message}`, aboutFlow(flow));
    const response = refuse(bytes, error, flow.remote);
    if (response !== undefined) this.transport.respond(flow, viaAddress(response.topVia), formatMessage(response));
  }

  /** A header that was parsed late turned out malformed, or we have a bug. */
  #stumbled(message: SipMessage, error: unknown, flow: Flow): void {
    const fields =
      message.kind === 'request' ? aboutRequest(message, flow) : { ...aboutFlow(flow), callId: message.callId };
    if (!(error instanceof SipError)) {
      this.log.error(`bug: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`, fields);
    } else this.log.warn(`refused ${String(error.status)}: ${error.message}`, fields);
    if (message.kind === 'response' || message.method === 'ACK') return;
    const fault = error instanceof SipError ? error : new SipError(500, 'internal error');
    const transaction = this.transactions.server(serverKey(message));
    const response = createErrorResponse(message, fault);
    const bytes = formatMessage(response);
    if (transaction === undefined) this.transport.respond(flow, viaAddress(message.topVia), bytes);
    else transaction.respond(fault.status, bytes);
  }
}
