import type { Clock, TurnScheduler } from './clock.ts';
import type { MsrpSession, SessionOptions } from './contract.ts';
import type { AuthRequest } from './incoming.ts';
import type { Dialer, Flow, PeerAddress } from './transport/flow.ts';

/** Where the library tells of faults: one line each, naming flow, session and reason. */
export interface Log {
  debug(line: string): void;
  warn(line: string): void;
}

/** Bounds of what peers can make us hold. */
export interface EndpointLimits {
  /** Octets from start line to the end of the header fields; 16,384 unless given. */
  readonly maxHeadBytes: number;
  /** Header fields of one request or response; 64 unless given. */
  readonly maxHeaders: number;
  /** A body up to this many octets is given on whole, a larger one as it arrives; 65,536 unless given. */
  readonly wholeBodyBytes: number;
  /** Octets of the body of any request but SEND; 10,240 unless given (RFC 4975 §7.1). */
  readonly maxOtherBodyBytes: number;
  /** Octets of responses and reports a peer may leave unread before we stop reading from it; 1 MiB unless given. */
  readonly maxAnswerBytes: number;
  /** Transactions of one session that may wait for a response; further messages stay queued. 4,096 unless given. */
  readonly maxOutstanding: number;
  /** Sessions over one connection; 256 unless given. */
  readonly maxSessionsPerConnection: number;
  /** Accepted connections from one address to which no session is bound; 64 unless given. */
  readonly maxUnboundPerAddress: number;
  /** Milliseconds an accepted connection may be without a session; 30,000 unless given (RFC 4976 §6.1). */
  readonly unboundTimeout: number;
  /** Milliseconds without any octet received after which a connection is closed; 0, never, unless given. */
  readonly idleTimeout: number;
  /** Milliseconds a peer may leave what we wrote untaken; 60,000 unless given. */
  readonly stallTimeout: number;
  /** Milliseconds to wait for a response; 30,000 unless given (RFC 4975 §7.1.1). */
  readonly responseTimeout: number;
}

export interface EndpointOptions {
  readonly log?: Log;
  readonly clock?: Clock;
  readonly turn?: TurnScheduler;
  /** Opens connections for active sessions. */
  readonly dialer?: Dialer;
  readonly limits?: Partial<EndpointLimits>;
  /** An AUTH request (RFC 4976); refused with 501 unless given. */
  readonly auth?: (request: AuthRequest, peer: PeerAddress) => void;
}

/** One MSRP device: its sessions, and the connections they run over. */
export interface MsrpEndpoint {
  /** Makes a session: expected from now on, until a request names it, or `dial` connects it. */
  session(options: SessionOptions): MsrpSession;
  /** Takes a connection that came in. Refused, and destroyed, beyond the limits. */
  accept(flow: Flow): void;
  /** Sessions not closed. */
  readonly sessionCount: number;
  readonly connectionCount: number;
  /** Closes all sessions and connections; what is written goes out. */
  close(detail?: string): void;
}

/** Makes an endpoint. */
export function newEndpoint(options: EndpointOptions = {}): MsrpEndpoint {
  throw new Error(`comes with the next commit (${typeof options})`);
}
