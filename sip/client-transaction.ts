import { classOf, type Machine, type ResponseClass } from './machine.ts';
import { TransactionTimers, type TransactionTimes } from './timers.ts';
import type { Flow } from './transport/flow.ts';
import type { SipResponse } from './message.ts';

/** States of a client transaction; `calling` and `accepted` only with INVITE, `trying` only without. */
export type ClientState = 'calling' | 'trying' | 'proceeding' | 'accepted' | 'completed' | 'terminated';

/** What happens to a client transaction: responses, its timers, and a transport that fails. */
export type ClientEvent = ResponseClass | 'A' | 'B' | 'D' | 'E' | 'F' | 'K' | 'M' | 'transport error';

type ClientAction =
  | 'resend'
  | 'response to user'
  | 'send ACK'
  | 'timeout to user'
  | 'transport error to user'
  | 'stop timers'
  | 'again A'
  | 'again E'
  | 'again E at T2'
  | `start ${'D' | 'K' | 'M'}`;

/** RFC 3261 §17.1.1 as RFC 6026 §8.4 (Figure 5) has corrected it. */
export const inviteClient: Machine<ClientState, ClientEvent, ClientAction> = {
  calling: {
    A: { do: ['resend', 'again A'] },
    B: { do: ['timeout to user'], to: 'terminated' },
    'transport error': { do: ['transport error to user'], to: 'terminated' },
    '1xx': { do: ['stop timers', 'response to user'], to: 'proceeding' },
    '2xx': { do: ['stop timers', 'start M', 'response to user'], to: 'accepted' },
    '300-699': { do: ['stop timers', 'send ACK', 'start D', 'response to user'], to: 'completed' },
  },
  trying: {},
  proceeding: {
    '1xx': { do: ['response to user'] },
    '2xx': { do: ['start M', 'response to user'], to: 'accepted' },
    '300-699': { do: ['send ACK', 'start D', 'response to user'], to: 'completed' },
  },
  accepted: {
    '2xx': { do: ['response to user'] },
    M: { to: 'terminated' },
  },
  completed: {
    '300-699': { do: ['send ACK'] },
    D: { to: 'terminated' },
    'transport error': { to: 'terminated' }, // the ACK is lost; the user has its response
  },
  terminated: {},
};

/** RFC 3261 §17.1.2, Figure 6. */
export const nonInviteClient: Machine<ClientState, ClientEvent, ClientAction> = {
  calling: {},
  trying: {
    E: { do: ['resend', 'again E'] },
    F: { do: ['timeout to user'], to: 'terminated' },
    'transport error': { do: ['transport error to user'], to: 'terminated' },
    '1xx': { do: ['response to user'], to: 'proceeding' },
    '2xx': { do: ['stop timers', 'start K', 'response to user'], to: 'completed' },
    '300-699': { do: ['stop timers', 'start K', 'response to user'], to: 'completed' },
  },
  proceeding: {
    E: { do: ['resend', 'again E at T2'] },
    F: { do: ['timeout to user'], to: 'terminated' },
    'transport error': { do: ['transport error to user'], to: 'terminated' },
    '1xx': { do: ['response to user'] },
    '2xx': { do: ['stop timers', 'start K', 'response to user'], to: 'completed' },
    '300-699': { do: ['stop timers', 'start K', 'response to user'], to: 'completed' },
  },
  accepted: {},
  completed: {
    K: { to: 'terminated' },
  },
  terminated: {},
};

/** What client transactions need of the core. */
export interface ClientTransactionHost extends TransactionTimes {
  /** Gives bytes to the flow of the request; false when it did not take them. */
  send(flow: Flow, message: Uint8Array): boolean;
  /** The transaction goes on by that flow. */
  clientMoves(transaction: ClientTransaction, flow: Flow): void;
  /** The transaction is terminated: forget it. */
  clientEnded(transaction: ClientTransaction): void;
}

/** What the user of a client transaction hears. */
export interface ClientTransactionUser {
  /** Each provisional response, the final one, and for INVITE each 2xx that comes (RFC 6026 §7.2). */
  onResponse(response: SipResponse): void;
  /** The ACK to a failure response (RFC 3261 §17.1.1.3). */
  ackFor(response: SipResponse): Uint8Array;
  /** No final response (timer B, F), or the transport failed; the transaction is over. */
  onFailure(failure: 'timeout' | 'transport error'): void;
}

/** What makes a client transaction. */
export interface ClientTransactionParts {
  readonly key: string;
  readonly flow: Flow;
  readonly invite: boolean;
  /** The request's bytes. */
  readonly request: Uint8Array;
}

/** A client transaction: repeats the request, absorbs repeated responses, acknowledges failures, ends by itself. */
export class ClientTransaction {
  /** What a response is matched by: branch and method (RFC 3261 §17.1.3). */
  readonly key: string;
  #flow: Flow;
  readonly #host: ClientTransactionHost;
  readonly #user: ClientTransactionUser;
  readonly #machine: Machine<ClientState, ClientEvent, ClientAction>;
  #request: Uint8Array | undefined;
  #state: ClientState;
  #ack: Uint8Array | undefined;
  readonly #timers: TransactionTimers<'A' | 'B' | 'D' | 'E' | 'F' | 'K' | 'M'>;

  constructor(host: ClientTransactionHost, user: ClientTransactionUser, parts: ClientTransactionParts) {
    const { invite, request } = parts;
    this.key = parts.key;
    this.#flow = parts.flow;
    this.#host = host;
    this.#user = user;
    this.#machine = invite ? inviteClient : nonInviteClient;
    this.#state = invite ? 'calling' : 'trying';
    this.#request = request;
    this.#timers = new TransactionTimers(host, parts.flow.reliable, (name) => {
      this.#apply(name);
    });
  }

  get state(): ClientState {
    return this.#state;
  }

  get flow(): Flow {
    return this.#flow;
  }

  /**
   * Where nothing has been heard yet, the request is repeated by another flow, and goes on by it. One of the same sent-by,
   * so that the peer knows the repetition for one (RFC 3261 §17.2.3); the branch stays.
   * @param request makes its bytes for that flow
   */
  move(flow: Flow, request: () => Uint8Array): void {
    const isUnheard = this.#state === 'calling' || this.#state === 'trying';
    if (!isUnheard || flow === this.#flow) return;
    this.#request = request();
    this.#host.clientMoves(this, flow);
    this.#flow = flow;
    this.#timers.carriedBy(flow.reliable, this.#state === 'calling' ? 'A' : 'E');
    this.#host.send(flow, this.#request);
  }

  /** Sends the request and starts its timers: A and B, or E and F. */
  start(): void {
    const request = this.#request;
    if (request === undefined) return;
    const invite = this.#state === 'calling';
    this.#timers.end(invite ? 'B' : 'F');
    this.#timers.repeat(invite ? 'A' : 'E');
    if (!this.#host.send(this.flow, request)) this.#apply('transport error');
  }

  /** A response that matches this transaction (RFC 3261 §17.1.3). */
  receive(response: SipResponse): void {
    this.#apply(classOf(response.status), response);
  }

  /** The transport has failed (RFC 3261 §17.1.4); without effect once a final response is here. */
  transportFailed(): void {
    this.#apply('transport error');
  }

  /** Ends it without a word: the user has given up waiting, or the user agent closes. */
  drop(): void {
    if (this.#state === 'terminated') return;
    this.#state = 'terminated';
    this.#end();
  }

  #apply(event: ClientEvent, response?: SipResponse): void {
    const step = this.#machine[this.#state][event];
    if (step === undefined) return;
    if (step.to !== undefined) this.#state = step.to;
    // Before the user hears of it: from there on the transaction may be asked for anything.
    if (step.to === 'terminated') this.#end();
    if (step.do !== undefined) for (const action of step.do) this.#act(action, response);
  }

  #act(action: ClientAction, response: SipResponse | undefined): void {
    switch (action) {
      case 'resend':
        if (this.#request !== undefined) this.#host.send(this.flow, this.#request);
        return;
      case 'response to user':
        if (this.#state === 'completed') this.#request = undefined;
        if (response !== undefined) this.#user.onResponse(response);
        return;
      case 'send ACK':
        if (response !== undefined) this.#ack ??= this.#user.ackFor(response);
        if (this.#ack !== undefined) this.#host.send(this.flow, this.#ack);
        return;
      case 'timeout to user':
        this.#user.onFailure('timeout');
        return;
      case 'transport error to user':
        this.#user.onFailure('transport error');
        return;
      case 'stop timers':
        this.#timers.stop();
        return;
      case 'again A':
        this.#timers.again('A');
        return;
      case 'again E':
        this.#timers.again('E', this.#host.base.T2);
        return;
      case 'again E at T2':
        this.#timers.repeat('E', this.#host.base.T2);
        return;
      case 'start D':
        this.#timers.end('D');
        return;
      case 'start K':
        this.#timers.end('K');
        return;
      case 'start M':
        this.#timers.end('M');
        return;
    }
  }

  #end(): void {
    this.#timers.stop();
    this.#request = undefined;
    this.#host.clientEnded(this);
  }
}
