/** Bounds of what peers can make us hold. */
export interface EndpointLimits {
  /** Octets from start line to the end of the header fields; 16,384 unless given. */
  readonly maxHeadBytes: number;
  /** Header fields of one request or response; 64 unless given. */
  readonly maxHeaders: number;
  /** A body up to this many octets is given on whole, a larger one as it arrives; 65,536 unless given. */
  readonly wholeBodyBytes: number;
  /** Requests and responses of one connection that cannot be read, before it is closed; 32 unless given. */
  readonly maxFaults: number;
  /** Octets of the body of any request but SEND; 10,240 unless given (RFC 4975 §7.1). */
  readonly maxOtherBodyBytes: number;
  /**
   * Octets of responses and reports a peer may leave unread before we stop reading from it; 1 MiB unless given. While
   * its connection has no session, no more than `maxHeadBytes`.
   */
  readonly maxAnswerBytes: number;
  /** Transactions of one session that may wait for a response; further messages stay queued. 4,096 unless given. */
  readonly maxOutstanding: number;
  /** Sessions over one connection; 256 unless given. */
  readonly maxSessionsPerConnection: number;
  /** Accepted connections from one address to which no session is bound; 256 unless given. */
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

/** The bounds unless told otherwise. */
export const DEFAULT_LIMITS: EndpointLimits = {
  maxHeadBytes: 16_384,
  maxHeaders: 64,
  wholeBodyBytes: 65_536,
  maxFaults: 32,
  maxOtherBodyBytes: 10_240,
  maxAnswerBytes: 1024 * 1024,
  maxOutstanding: 4096,
  maxSessionsPerConnection: 256,
  maxUnboundPerAddress: 256,
  unboundTimeout: 30_000,
  idleTimeout: 0,
  stallTimeout: 60_000,
  responseTimeout: 30_000,
};
