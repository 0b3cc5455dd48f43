import type { Log } from '../log.ts';
import type { Address, Flow, HostPort, TransportHandlers, TransportName } from './flow.ts';
import type { TransportLimits } from './limits.ts';
import type { Turnstile } from './turnstile.ts';

/** One message that went in or out, for a trace (logs, pcap, HEP). */
export interface TraceEntry {
  /** Wall clock, milliseconds since 1970. */
  readonly at: number;
  readonly direction: 'in' | 'out';
  readonly flow: Flow;
  /** The message as on the wire; not to be changed. */
  readonly message: Uint8Array;
  /** Where it went when that is not the flow's own peer (a UDP response by RFC 3261 §18.2.2). */
  readonly to?: Address;
}

/** What every kind of flow needs of the layer that owns it. */
export interface FlowContext {
  readonly handlers: TransportHandlers;
  readonly limits: TransportLimits;
  /** What all connections that carry messages share. */
  readonly turnstile: Turnstile;
  /** Whether large messages have to wait. */
  readonly congested: () => boolean;
  readonly log: Log;
  readonly trace: ((entry: TraceEntry) => void) | undefined;
  /** Monotonic time in milliseconds. */
  readonly clock: () => number;
}

/** Octets from which a message is a large one. */
export const LARGE = 16_384;

/** The facts of a connection that do not change. */
export interface ConnectionFacts {
  readonly id: string;
  readonly transport: Exclude<TransportName, 'UDP'>;
  readonly local: Address;
  readonly remote: Address;
  readonly advertised: HostPort;
  /** Whether the peer opened it: then it must send a whole message before long. */
  readonly accepted: boolean;
}

/** Why a connection must end now, as found by a sweep. */
export type Verdict = string | undefined;

/**
 * A flow over a connection, of whatever kind: its bounds and its end. The layer sweeps all of them at one interval, so
 * that no connection needs timers of its own.
 */
export abstract class Connection implements Flow {
  readonly reliable = true;
  readonly accepted: boolean;
  readonly id: string;
  readonly transport: Exclude<TransportName, 'UDP'>;
  readonly secure: boolean;
  readonly local: Address;
  readonly remote: Address;
  readonly advertised: HostPort;
  protected readonly context: FlowContext;
  readonly #ended: (connection: Connection) => void;
  readonly #since: number;
  #state: 'open' | 'half-closed' | 'closed' = 'open';
  #heardAt: number;
  #halfClosedAt = 0;
  #spoke = false;
  /** Requests heard that have no final response yet: while there are any, a half-closed peer is waiting. */
  #owed = 0;

  constructor(facts: ConnectionFacts, context: FlowContext, ended: (connection: Connection) => void) {
    this.id = facts.id;
    this.transport = facts.transport;
    this.secure = facts.transport === 'TLS' || facts.transport === 'WSS';
    this.local = facts.local;
    this.remote = facts.remote;
    this.advertised = facts.advertised;
    this.accepted = facts.accepted;
    this.context = context;
    this.#ended = ended;
    this.#since = context.clock();
    this.#heardAt = this.#since;
  }

  get open(): boolean {
    return this.#state === 'open';
  }

  /** Whether a response may still leave: a peer that has closed its own direction can be waiting for it. */
  get answerable(): boolean {
    return this.#state !== 'closed';
  }

  send(message: Uint8Array): boolean {
    return this.open && this.#write(message);
  }

  /** Sends a response: also to a peer that has closed its own direction. */
  answer(message: Uint8Array): boolean {
    return this.answerable && this.#write(message);
  }

  close(reason: string): void {
    if (this.#end(reason)) this.finish();
  }

  /** Closes without delivering what is queued: for a peer that does not read or does not speak SIP. */
  abort(reason: string): void {
    if (this.#end(reason)) this.discard();
  }

  /** Looks at the timeouts. */
  sweep(now: number): void {
    if (this.#state === 'closed') return;
    const verdict = this.#overdue(now) ?? this.check(now, this.#heardAt);
    if (verdict !== undefined) this.abort(verdict);
  }

  /** Whether a message of so many octets has to wait, and all that comes behind it by this connection. */
  protected mustWait(octets: number): boolean {
    return octets > LARGE && this.answerable && this.context.congested();
  }

  /** One whole message of the peer's. */
  protected deliver(message: Buffer): void {
    this.#spoke = true;
    if (wantsResponse(message)) this.#owed += 1;
    this.context.trace?.({ at: Date.now(), direction: 'in', flow: this, message });
    this.context.handlers.receive(message, this);
  }

  /** Any sign of life. */
  protected heard(): void {
    this.#heardAt = this.context.clock();
  }

  /** The peer will send no more, but may still read. */
  protected halfClosed(): void {
    if (this.#state !== 'open') return;
    this.#state = 'half-closed';
    this.#halfClosedAt = this.context.clock();
    this.context.handlers.flowClosed(this, 'the peer has closed its direction');
    this.#closeIfAnswered();
  }

  /** The connection is gone below. */
  protected gone(reason: string): void {
    this.#end(reason);
    this.#ended(this);
  }

  protected warn(text: string): void {
    this.context.log.warn(text, { flow: this.id, peer: `${this.remote.address} ${this.remote.port}` });
  }

  /** Bytes handed over and not yet taken by the system. */
  abstract get queued(): number;
  /** Puts the bytes out or into the queue. */
  protected abstract write(bytes: Uint8Array): void;
  /** Ends the connection once the queue is out; bounded in time. */
  protected abstract finish(): void;
  /** Ends the connection now. */
  abstract discard(): void;
  /** What the kind of connection has to look at by itself. */
  protected abstract check(now: number, heardAt: number): Verdict;

  #write(message: Uint8Array): boolean {
    if (this.queued + message.length > this.context.limits.maxQueuedBytes) {
      this.warn(`closed: the peer does not read, ${this.queued} bytes are waiting`);
      this.abort('the peer does not read');
      return false;
    }
    this.context.trace?.({ at: Date.now(), direction: 'out', flow: this, message });
    this.write(message);
    if (isFinalResponse(message)) {
      // A 2xx to INVITE is repeated until its ACK comes: it was owed once.
      this.#owed = Math.max(0, this.#owed - 1);
      this.#closeIfAnswered();
    }
    return true;
  }

  #closeIfAnswered(): void {
    if (this.#state === 'half-closed' && this.#owed === 0) this.close('the peer has closed its direction');
  }

  #end(reason: string): boolean {
    if (this.#state === 'closed') return false;
    const known = this.#state === 'half-closed';
    this.#state = 'closed';
    if (!known) this.context.handlers.flowClosed(this, reason);
    return true;
  }

  #overdue(now: number): Verdict {
    const { limits } = this.context;
    if (this.#state === 'half-closed') {
      return now - this.#halfClosedAt > limits.lingerTimeout ? 'half-closed by the peer' : undefined;
    }
    if (this.accepted && !this.#spoke && now - this.#since > limits.firstMessageTimeout) {
      return 'no message has come';
    }
    return now - this.#heardAt > limits.idleTimeout ? 'idle' : undefined;
  }
}

const SLASH = 0x2f;
/** Where `SIP/2.0 200` has its slash (no method has one), and where the class of its status. */
const slashAt = 3;
const classAt = 8;
const ack = [0x41, 0x43, 0x4b, 0x20] as const;

function isResponse(message: Uint8Array): boolean {
  return message[slashAt] === SLASH;
}

function wantsResponse(message: Uint8Array): boolean {
  const [A, C, K, space] = ack;
  const isAck = message[0] === A && message[1] === C && message[2] === K && message[3] === space;
  return !isAck && !isResponse(message);
}

function isFinalResponse(message: Uint8Array): boolean {
  return isResponse(message) && message[classAt] !== 0x31;
}
