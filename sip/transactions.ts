import { ClientTransaction, type ClientTransactionHost, type ClientTransactionUser } from './client-transaction.ts';
import type { SipRequest, SipResponse } from './message.ts';
import { viaAddress } from './routing.ts';
import { ServerTransaction, type ServerTransactionHost } from './server-transaction.ts';
import { type BaseTimers, type Clock, timerTable, type TimerTable } from './timers.ts';
import type { Flow, ViaAddress } from './transport/flow.ts';

/** What the transactions of a user agent need below them. */
export interface TransactionsBelow {
  send(flow: Flow, message: Uint8Array): boolean;
  respond(flow: Flow, via: ViaAddress, response: Uint8Array): void;
}

const MAGIC_COOKIE = 'z9hG4bK';

/**
 * The key of the server transaction that a request belongs to (RFC 3261 §17.2.3): branch, sent-by and method; without
 * the magic cookie all that RFC 2543 gives. ACK has the key of its INVITE.
 */
export function serverKey(request: SipRequest, method = keyMethod(request.method)): string {
  const { topVia, from, to, callId, cseq } = request.essentials();
  const branch = topVia.params.get('branch');
  const sentBy = `${topVia.host}:${String(topVia.port ?? '')}`;
  // The cookie alone identifies nothing (RFC 4475 §3.2.1): whoever sends it so sends it in every request.
  if (branch !== undefined && branch !== MAGIC_COOKIE && branch.startsWith(MAGIC_COOKIE)) {
    return `${branch} ${sentBy} ${method}`;
  }
  // The ACK has the To tag of the response, so the tag tells nothing apart there.
  const toTag = method === 'INVITE' ? '' : (to.params.get('tag') ?? '');
  const fromTag = from.params.get('tag') ?? '';
  const uri = request.requestUri;
  return `2543 ${topVia.transport} ${sentBy} ${branch ?? ''} ${uri} ${toTag} ${fromTag} ${callId} ${String(cseq.seq)} ${method}`;
}

function keyMethod(method: string): string {
  return method === 'ACK' ? 'INVITE' : method;
}

/** What copies of one request that came by different ways have in common (RFC 3261 §8.2.2.2); '' when it has a To tag. */
export function mergeKey(request: SipRequest): string {
  const { from, to, callId, cseq } = request.essentials();
  if (to.params.has('tag')) return '';
  return `${from.params.get('tag') ?? ''} ${callId} ${String(cseq.seq)} ${cseq.method}`;
}

/** Whether a response has the Via that a request by that flow was given, and no other. */
function isOurs(response: SipResponse, flow: Flow): boolean {
  const { host, port } = response.topVia;
  const { advertised } = flow;
  return (
    response.via.length === 1 &&
    host.toLowerCase() === advertised.host.toLowerCase() &&
    (port ?? advertised.port) === advertised.port
  );
}

/** The key of a client transaction: branch and method of CSeq (RFC 3261 §17.1.3). */
export function clientKey(branch: string, method: string): string {
  return `${branch} ${method}`;
}

/** All transactions of one user agent, and how a message finds its own. */
export class Transactions implements ServerTransactionHost, ClientTransactionHost {
  readonly clock: Clock;
  readonly base: BaseTimers;
  readonly reliable: TimerTable;
  readonly unreliable: TimerTable;
  readonly #below: TransactionsBelow;
  readonly #servers = new Map<string, ServerTransaction>();
  readonly #merged = new Map<string, ServerTransaction>();
  readonly #clients = new Map<string, ClientTransaction>();
  /** The same by their flow, to be told when it is gone. */
  readonly #byFlow = new Map<Flow, Set<ClientTransaction>>();
  #serverBytes = 0;

  constructor(clock: Clock, base: BaseTimers, below: TransactionsBelow) {
    this.clock = clock;
    this.base = base;
    this.reliable = timerTable(base, true);
    this.unreliable = timerTable(base, false);
    this.#below = below;
  }

  get servers(): number {
    return this.#servers.size;
  }

  /** Bytes that the server transactions remember: their keys and the responses they repeat. */
  get serverBytes(): number {
    return this.#serverBytes;
  }

  get clients(): number {
    return this.#clients.size;
  }

  /** The server transaction of that key. */
  server(key: string): ServerTransaction | undefined {
    return this.#servers.get(key);
  }

  /** Whether a transaction is alive that the request is a copy of, come by another way. */
  isMerged(merge: string): boolean {
    return merge !== '' && this.#merged.has(merge);
  }

  /** A new server transaction for a request that belongs to none. */
  serve(request: SipRequest, flow: Flow, key: string, merge: string): ServerTransaction {
    const via = viaAddress(request.topVia);
    const invite = request.method === 'INVITE';
    const transaction = new ServerTransaction(this, { key, mergeKey: merge, flow, via, invite });
    this.#servers.set(key, transaction);
    if (merge !== '' && !this.#merged.has(merge)) this.#merged.set(merge, transaction);
    return transaction;
  }

  /** A new client transaction; `start` sends it. */
  request(
    user: ClientTransactionUser,
    flow: Flow,
    branch: string,
    method: string,
    request: Uint8Array,
  ): ClientTransaction {
    const key = clientKey(branch, method);
    const transaction = new ClientTransaction(this, user, { key, flow, invite: method === 'INVITE', request });
    this.#clients.set(key, transaction);
    this.#goesBy(flow, transaction);
    return transaction;
  }

  #goesBy(flow: Flow, transaction: ClientTransaction): void {
    const others = this.#byFlow.get(flow);
    if (others === undefined) this.#byFlow.set(flow, new Set([transaction]));
    else others.add(transaction);
  }

  #leaves(flow: Flow, transaction: ClientTransaction): void {
    const others = this.#byFlow.get(flow);
    if (others?.delete(transaction) === true && others.size === 0) this.#byFlow.delete(flow);
  }

  /**
   * Gives a response to its transaction; false when it is dropped: there is no transaction (RFC 6026 §7.2), its top Via
   * is not the one we wrote (RFC 3261 §18.1.2), or it is on its way to somebody behind us (§8.1.3.3).
   */
  receive(response: SipResponse): boolean {
    const transaction = this.#clients.get(clientKey(response.branch ?? '', response.cseq.method));
    if (transaction === undefined || !isOurs(response, transaction.flow)) return false;
    transaction.receive(response);
    return true;
  }

  /** A flow is gone: what was sent by it and has heard nothing yet has failed (RFC 3261 §17.1.4). */
  flowClosed(flow: Flow): void {
    for (const transaction of [...(this.#byFlow.get(flow) ?? [])]) {
      if (transaction.state === 'calling' || transaction.state === 'trying') transaction.transportFailed();
    }
  }

  /** How many requests of ours still wait for a final response. */
  get unanswered(): number {
    let waiting = 0;
    for (const { state } of this.#clients.values())
      if (state === 'calling' || state === 'trying' || state === 'proceeding') waiting++;
    return waiting;
  }

  /** Ends all at once. */
  drop(): void {
    for (const transaction of [...this.#servers.values()]) transaction.drop();
    for (const transaction of [...this.#clients.values()]) transaction.drop();
    this.#servers.clear();
    this.#serverBytes = 0;
    this.#merged.clear();
    this.#clients.clear();
  }

  send(flow: Flow, message: Uint8Array): boolean {
    return this.#below.send(flow, message);
  }

  respond(transaction: ServerTransaction, response: Uint8Array): void {
    this.#below.respond(transaction.flow, transaction.via, response);
  }

  serverHolds(bytes: number): void {
    this.#serverBytes += bytes;
  }

  serverEnded(transaction: ServerTransaction): void {
    this.#servers.delete(transaction.key);
    if (this.#merged.get(transaction.mergeKey) === transaction) this.#merged.delete(transaction.mergeKey);
  }

  clientEnded(transaction: ClientTransaction): void {
    if (this.#clients.get(transaction.key) === transaction) this.#clients.delete(transaction.key);
    this.#leaves(transaction.flow, transaction);
  }

  clientMoves(transaction: ClientTransaction, flow: Flow): void {
    this.#leaves(transaction.flow, transaction);
    this.#goesBy(flow, transaction);
  }
}
