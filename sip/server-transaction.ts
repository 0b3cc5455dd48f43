import { classOf, type Machine, type ResponseClass } from './machine.ts';
import type { SipRequest } from './message.ts';
import { TransactionTimers, type TransactionTimes } from './timers.ts';
import type { Flow, ViaAddress } from './transport/flow.ts';

/** States of a server transaction; `trying` only without INVITE, `accepted` and `confirmed` only with. */
export type ServerState = 'trying' | 'proceeding' | 'accepted' | 'completed' | 'confirmed' | 'terminated';

/** What happens to a server transaction: messages of the peer, responses of the transaction user, its timers. */
export type ServerEvent = 'retransmission' | 'ACK' | ResponseClass | 'G' | 'H' | 'I' | 'J' | 'L';

type ServerAction =
  | 'send' // the response at hand, and remember it for `resend`
  | 'send once' // the response at hand; who passed it repeats it himself
  | 'resend' // the last response
  | 'ACK to user'
  | 'no ACK to user'
  | 'stop timers'
  | 'again G'
  | `start ${'G' | 'H' | 'I' | 'J' | 'L'}`;

/** RFC 3261 §17.2.1 as RFC 6026 §8.6 (Figure 7) has corrected it. A transport error changes no state (RFC 6026 §7.1). */
export const inviteServer: Machine<ServerState, ServerEvent, ServerAction> = {
  trying: {},
  proceeding: {
    retransmission: { do: ['resend'] },
    '1xx': { do: ['send'] },
    '2xx': { do: ['send once', 'start L'], to: 'accepted' },
    '300-699': { do: ['send', 'start G', 'start H'], to: 'completed' },
  },
  accepted: {
    '2xx': { do: ['send once'] },
    ACK: { do: ['ACK to user'] },
    L: { to: 'terminated' },
  },
  completed: {
    retransmission: { do: ['resend'] },
    ACK: { do: ['stop timers', 'start I'], to: 'confirmed' },
    G: { do: ['resend', 'again G'] },
    H: { do: ['no ACK to user'], to: 'terminated' },
  },
  confirmed: {
    I: { to: 'terminated' },
  },
  terminated: {},
};

/** RFC 3261 §17.2.2, Figure 8. */
export const nonInviteServer: Machine<ServerState, ServerEvent, ServerAction> = {
  trying: {
    '1xx': { do: ['send'], to: 'proceeding' },
    '2xx': { do: ['send', 'start J'], to: 'completed' },
    '300-699': { do: ['send', 'start J'], to: 'completed' },
  },
  proceeding: {
    retransmission: { do: ['resend'] },
    '1xx': { do: ['send'] },
    '2xx': { do: ['send', 'start J'], to: 'completed' },
    '300-699': { do: ['send', 'start J'], to: 'completed' },
  },
  accepted: {},
  completed: {
    retransmission: { do: ['resend'] },
    J: { to: 'terminated' },
  },
  confirmed: {},
  terminated: {},
};

/** What server transactions need of the core. */
export interface ServerTransactionHost extends TransactionTimes {
  /** Gives response bytes to the transport (RFC 3261 §18.2.2); does not wait. */
  respond(transaction: ServerTransaction, response: Uint8Array): void;
  /** It remembers so many bytes more, or fewer. */
  serverHolds(bytes: number): void;
  /** The transaction is terminated: forget it. */
  serverEnded(transaction: ServerTransaction): void;
}

/** What the user of an INVITE server transaction hears of it. */
export interface ServerTransactionUser {
  /** An ACK to a 2xx that came with the branch of the INVITE (RFC 6026 §7.1). */
  onAck(ack: SipRequest): void;
  /** A failure response was never acknowledged (timer H). */
  onNoAck(): void;
  /** A CANCEL for this request, which has no final response yet (RFC 3261 §9.2). */
  onCancel(): void;
}

/** What makes a server transaction. */
export interface ServerTransactionParts {
  readonly key: string;
  readonly mergeKey: string;
  readonly flow: Flow;
  readonly via: ViaAddress;
  readonly invite: boolean;
}

/** A server transaction: absorbs retransmissions, repeats responses, ends by itself. It deals in bytes only. */
export class ServerTransaction {
  /** What it is found by (RFC 3261 §17.2.3). */
  readonly key: string;
  /** What a merged request is found by (RFC 3261 §8.2.2.2); '' where the request has a To tag. */
  readonly mergeKey: string;
  /** The flow of the request, and its top Via: the way of the responses. */
  readonly flow: Flow;
  readonly via: ViaAddress;
  readonly #host: ServerTransactionHost;
  readonly #machine: Machine<ServerState, ServerEvent, ServerAction>;
  #state: ServerState;
  #last: Uint8Array | undefined;
  readonly #timers: TransactionTimers<'G' | 'H' | 'I' | 'J' | 'L'>;
  /** Our tag in all its responses, once it is made. */
  tag: string | undefined;
  /** Hears of ACKs; set by whoever answers the INVITE. */
  user: ServerTransactionUser | undefined;

  constructor(host: ServerTransactionHost, parts: ServerTransactionParts) {
    const { invite } = parts;
    this.#host = host;
    this.key = parts.key;
    this.mergeKey = parts.mergeKey;
    this.flow = parts.flow;
    this.via = parts.via;
    this.#machine = invite ? inviteServer : nonInviteServer;
    this.#state = invite ? 'proceeding' : 'trying';
    this.#timers = new TransactionTimers(host, parts.flow.reliable, (name) => {
      this.#apply(name);
    });
    host.serverHolds(this.#keyBytes);
  }

  get state(): ServerState {
    return this.#state;
  }

  /** True once a final response has been passed. */
  get answered(): boolean {
    return this.#state !== 'trying' && this.#state !== 'proceeding';
  }

  get #keyBytes(): number {
    return this.key.length + this.mergeKey.length;
  }

  /** The same request again, or the ACK that belongs to it. */
  receive(request: SipRequest): void {
    if (request.method === 'ACK') this.#apply('ACK', undefined, request);
    else this.#apply('retransmission');
  }

  /** Passes a response down. A final one after another final one is ignored, except the 2xx to INVITE (RFC 6026 §7.1). */
  respond(status: number, response: Uint8Array): void {
    this.#apply(classOf(status), response);
  }

  /** Ends it without a word: there is nobody left to answer, or nothing to say. */
  drop(): void {
    if (this.#state === 'terminated') return;
    this.#state = 'terminated';
    this.#end();
  }

  #apply(event: ServerEvent, response?: Uint8Array, ack?: SipRequest): void {
    const step = this.#machine[this.#state][event];
    if (step === undefined) return;
    if (step.to !== undefined) this.#state = step.to;
    if (step.do !== undefined) for (const action of step.do) this.#act(action, response, ack);
    if (step.to === 'terminated') this.#end();
  }

  #act(action: ServerAction, response: Uint8Array | undefined, ack: SipRequest | undefined): void {
    switch (action) {
      case 'send':
        this.#remember(response);
        if (response !== undefined) this.#host.respond(this, response);
        return;
      case 'send once':
        this.#remember(undefined);
        if (response !== undefined) this.#host.respond(this, response);
        return;
      case 'resend':
        if (this.#last !== undefined) this.#host.respond(this, this.#last);
        return;
      case 'ACK to user':
        if (ack !== undefined) this.user?.onAck(ack);
        return;
      case 'no ACK to user':
        this.user?.onNoAck();
        return;
      case 'stop timers':
        this.#timers.stop();
        return;
      case 'start G':
        this.#timers.repeat('G');
        return;
      case 'again G':
        this.#timers.again('G', this.#host.base.T2);
        return;
      case 'start H':
        this.#timers.end('H');
        return;
      case 'start I':
        this.#timers.end('I');
        return;
      case 'start J':
        this.#timers.end('J');
        return;
      case 'start L':
        this.#timers.end('L');
        return;
    }
  }

  #remember(response: Uint8Array | undefined): void {
    this.#host.serverHolds((response?.length ?? 0) - (this.#last?.length ?? 0));
    this.#last = response;
  }

  #end(): void {
    this.#timers.stop();
    this.#remember(undefined);
    this.#host.serverHolds(-this.#keyBytes);
    this.#host.serverEnded(this);
  }
}
