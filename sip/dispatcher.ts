import type { Answer, InviteSession, Limits, OptionsAnswer } from './api.ts';
import { contactFor } from './contact.ts';
import type { Core } from './core.ts';
import { isSips, type LiveDialog } from './dialog.ts';
import { SipError } from './errors.ts';
import { aboutRequest, Incoming } from './incoming.ts';
import { inspectBody, inspectRequest } from './inspect.ts';
import { createResponse, type SipRequest, statelessTag } from './message.ts';
import { receiveSubscribe } from './notifier.ts';
import { receiveRefer } from './refer.ts';
import { viaAddress } from './routing.ts';
import { ServerInvite } from './server-invite.ts';
import { usageKey } from './subscription.ts';
import { mergeKey, serverKey } from './transactions.ts';
import type { Flow } from './transport/flow.ts';
import { formatMessage } from './write.ts';

/** The methods that a session answers, if only with 405. */
const IN_DIALOG: ReadonlySet<string> = new Set(['INFO', 'MESSAGE', 'NOTIFY', 'REFER', 'SUBSCRIBE']);

/** The methods whose bodies are those of sessions, which `accept` in the options names; OPTIONS is answered as INVITE. */
const BEARS_SESSION: ReadonlySet<string> = new Set(['INVITE', 'OPTIONS', 'PRACK', 'UPDATE']);

/** The headers by which a request that is answered without a transaction is the same when it comes again. */
const IDENTIFYING = ['Via', 'From', 'Call-ID', 'CSeq'];

/** RFC 5630 §5.1.2. */
const SIPS_NOT_ALLOWED = [{ name: 'Warning', value: '380 sip "SIPS Not Allowed"' }];

/**
 * Whether what came by a flow was surely sent without TLS on its last hop (RFC 3261 §26.2.2). A WebSocket may have been
 * one over TLS until a reverse proxy before us.
 */
const isPlain = ({ transport }: Flow): boolean => transport === 'UDP' || transport === 'TCP';

/** The INVITEs of peers that have no final response yet. */
export class PendingInvites {
  readonly #invites = new Set<ServerInvite>();
  readonly #perAddress = new Map<string, number>();

  get size(): number {
    return this.#invites.size;
  }

  [Symbol.iterator](): Iterator<ServerInvite> {
    return this.#invites.values();
  }

  /** How many came from that address. */
  from(address: string): number {
    return this.#perAddress.get(address) ?? 0;
  }

  add(invite: ServerInvite, address: string): void {
    this.#invites.add(invite);
    this.#perAddress.set(address, this.from(address) + 1);
  }

  remove(invite: ServerInvite, address: string): void {
    if (!this.#invites.delete(invite)) return;
    const left = this.from(address) - 1;
    if (left > 0) this.#perAddress.set(address, left);
    else this.#perAddress.delete(address);
  }
}

/** Where each request goes (RFC 3261 §8.2, §12.2.2): to its transaction, else its dialog, else the handler of its method. */
export class Dispatcher {
  readonly pending = new PendingInvites();
  readonly #core: Core;
  readonly #awaits: (localTag: string) => boolean;

  /** @param awaits whether an INVITE of ours with that tag waits for its final response */
  constructor(core: Core, awaits: (localTag: string) => boolean) {
    this.#core = core;
    this.#awaits = awaits;
  }

  /** Takes a request in: to its transaction, else it begins one. Throws SipError for the peer's faults. */
  receive(request: SipRequest, flow: Flow): void {
    request.stampSource(flow.remote.address, flow.remote.port);
    const key = serverKey(request);
    const transaction = this.#core.transactions.server(key);
    if (request.method === 'ACK') {
      if (transaction === undefined || transaction.state === 'accepted') this.#receiveAck(request, flow);
      else transaction.receive(request);
    } else if (transaction !== undefined) transaction.receive(request);
    else this.#begin(request, flow, key);
  }

  /** An ACK to a 2xx has a transaction of its own and none at all: it belongs to a dialog (RFC 3261 §13.3.1.4). */
  #receiveAck(ack: SipRequest, flow: Flow): void {
    const dialog = this.#core.dialogs.find(ack);
    if (dialog === undefined) return;
    dialog.hearAck(ack, flow);
    dialog.session?.receiveAck(ack);
  }

  /** A request that belongs to no transaction begins one. */
  #begin(request: SipRequest, flow: Flow, key: string): void {
    const { transactions, limits } = this.#core;
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
    const incoming = new Incoming(this.#core, request, flow, transactions.serve(request, flow, key, merge));
    if (request.method === 'CANCEL') this.#receiveCancel(incoming);
    else if (merged) incoming.respond(482);
    else {
      this.#inspect(request, flow);
      this.#dispatch(incoming);
    }
  }

  /** 503 without a transaction (RFC 3261 §8.2.7). */
  #overload(request: SipRequest, flow: Flow, limit: keyof Limits): void {
    this.#core.log.warn(`503: limit of ${limit}`, aboutRequest(request, flow));
    // A CANCEL that is not answered comes again, and may then find its INVITE.
    if (request.method === 'ACK' || request.method === 'CANCEL') return;
    const toTag = statelessTag(IDENTIFYING.flatMap((name) => request.headers.all(name)));
    const response = createResponse(request, 503, { toTag, headers: [{ name: 'Retry-After', value: '10' }] });
    this.#core.transport.respond(flow, viaAddress(request.topVia), formatMessage(response));
  }

  /** RFC 3261 §9.2. Of the requests that can be cancelled only INVITE waits for anybody. */
  #receiveCancel(incoming: Incoming): void {
    const { request } = incoming;
    const methods = ['INVITE', ...this.#core.capabilities.methods];
    const cancelled = methods.map((method) => this.#core.transactions.server(serverKey(request, method))).find(Boolean);
    if (cancelled === undefined || cancelled === incoming.transaction) {
      incoming.respond(481);
      return;
    }
    incoming.transaction.tag = cancelled.tag ??= incoming.localTag;
    incoming.respond(200);
    if (!cancelled.answered) cancelled.user?.onCancel();
  }

  /**
   * Method, Request-URI, Require and body (RFC 3261 §8.2.1–§8.2.3); throws SipError when something is not served.
   * Deviation: §8.2 has authentication come first. That is the application's; what it could not serve in any case costs it
   * nothing, and tells nobody more than OPTIONS would.
   */
  #inspect(request: SipRequest, flow: Flow): void {
    const { capabilities, handlers } = this.#core;
    // Which methods a session serves it knows itself, and so does the application that serves others.
    const open = request.toTag === undefined ? handlers.onRequest !== undefined : IN_DIALOG.has(request.method);
    inspectRequest(request, open ? { ...capabilities, methods: [request.method] } : capabilities);
    if (request.toTag === undefined && isSips(request.uri) && isPlain(flow)) {
      throw new SipError(480, 'a sips URI without TLS', SIPS_NOT_ALLOWED);
    }
    if (BEARS_SESSION.has(request.method)) inspectBody(request, capabilities.bodies);
  }

  #dispatch(incoming: Incoming): void {
    const { request } = incoming;
    if (request.toTag !== undefined) this.#dispatchInDialog(incoming);
    else this.#dispatchOutside(incoming);
  }

  #dispatchInDialog(incoming: Incoming): void {
    const { request, flow } = incoming;
    const dialog = this.#core.dialogs.find(request);
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
    else if (request.method === 'REFER') receiveRefer(this.#core, incoming, dialog, this.#core.handlers);
    else incoming.respond(481);
  }

  /**
   * A request of a dialog that is not here: 481 (RFC 3261 §12.2.2). Where an INVITE of ours still waits, the 2xx that
   * makes the dialog may have been lost or overtaken: 481 would end the call at the other side. Over UDP the request is
   * forgotten, since it comes again; else it is told to.
   */
  #answerStray(incoming: Incoming): void {
    const { request, flow, transaction } = incoming;
    if (!this.#awaits(request.toTag ?? '')) incoming.respond(481);
    else if (flow.reliable) incoming.respond(500, { headers: [{ name: 'Retry-After', value: '1' }] });
    else transaction.drop();
  }

  #subscribeInDialog(incoming: Incoming, dialog: LiveDialog): void {
    const { event } = incoming.request;
    const known = event && dialog.subscriptions.get(usageKey(event));
    if (known !== undefined) known.receive(incoming);
    else receiveSubscribe(this.#core, incoming, dialog);
  }

  #dispatchOutside(incoming: Incoming): void {
    const { request, flow } = incoming;
    const { handlers } = this.#core;
    const plain = { request, flow, session: undefined };
    switch (request.method) {
      case 'INVITE':
        this.#receiveInvite(incoming);
        return;
      case 'SUBSCRIBE':
        if (!this.#isFull(incoming)) receiveSubscribe(this.#core, incoming, undefined);
        return;
      case 'REFER':
        if (!this.#isFull(incoming)) receiveRefer(this.#core, incoming, undefined, handlers);
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
    return { status: 405, headers: [this.#core.capabilities.allow] };
  }

  /** RFC 3261 §11.2. */
  #options(incoming: Incoming, session?: InviteSession): void {
    const { request, flow } = incoming;
    const { allow, accept, reads, supported, allowEvents } = this.#core.capabilities;
    const { handlers } = this.#core;
    const ours = [allow, accept, ...reads, supported, ...allowEvents];
    if (handlers.onOptions === undefined) {
      incoming.respond(200, { headers: ours });
      return;
    }
    incoming.settle<OptionsAnswer>(
      () => handlers.onOptions?.({ request, flow, session }) ?? { status: 200 },
      ({ contact, ...answer }) => {
        const headers = [...(answer.status < 300 ? ours : []), ...(answer.headers ?? [])];
        const secure = flow.secure && isSips(request.uri);
        const reached = contact === undefined ? {} : { contact: contactFor(contact, request.uri, flow, secure) };
        incoming.respond(answer.status, { ...answer, headers, ...reached });
      },
    );
  }

  #receiveInvite(incoming: Incoming): void {
    if (this.#isFull(incoming)) return;
    const { address } = incoming.flow.remote;
    const invite = new ServerInvite(this.#core, incoming, () => {
      this.pending.remove(invite, address);
    });
    this.pending.add(invite, address);
    incoming.run(
      () => this.#core.handlers.onInvite(invite),
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
    const limit = this.#core.closing ? 'closing' : this.#exceeded(flow.remote.address);
    if (limit === undefined) return false;
    const fields = aboutRequest(request, flow);
    // That we close is no fault of anybody's.
    if (limit === 'closing') this.#core.log.debug?.('503: closing', fields);
    else this.#core.log.warn(`503: limit of ${limit}`, fields);
    incoming.respond(503, { headers: [{ name: 'Retry-After', value: '10' }] });
    return true;
  }

  /** The limit that one more dialog would exceed. */
  #exceeded(address: string): keyof Limits | undefined {
    const { limits, dialogs } = this.#core;
    if (this.pending.size >= limits.pendingInvites) return 'pendingInvites';
    if (this.pending.from(address) >= limits.pendingInvitesPerAddress) return 'pendingInvitesPerAddress';
    if (dialogs.size >= limits.dialogs) return 'dialogs';
    return dialogs.from(address) >= limits.dialogsPerAddress ? 'dialogsPerAddress' : undefined;
  }
}
