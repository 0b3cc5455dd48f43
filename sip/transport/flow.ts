/**
 * The contract between the SIP core and whatever carries its messages. Types only: the core (`UserAgent`) is written
 * against these, `sip/transport/*` implements them with sockets, tests implement them in memory.
 */

/** Transport as named in Via (RFC 3261 §20.42, RFC 7118 §5.2), always upper case. */
export type TransportName = 'UDP' | 'TCP' | 'TLS' | 'WS' | 'WSS';

/** Host (name or IP literal, IPv6 in brackets as in a URI) and port. */
export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** Numeric address of one end of a flow; an IPv6 address stands without brackets, as sockets give it. */
export interface Address {
  readonly address: string;
  readonly port: number;
}

/**
 * One way to one peer: for UDP a pair of addresses, else one connection. It carries whole messages.
 * A flow never changes its peer; when it is gone a new flow is a new object.
 */
export interface Flow {
  /** Unique in this process, short, fit for a log line, e.g. `tcp-17`. */
  readonly id: string;
  readonly transport: TransportName;
  /** True where the transport keeps order and repeats what is lost: timers A, E, G, I, J, K are then off. */
  readonly reliable: boolean;
  /** True for TLS and WSS: what a `sips:` dialog needs on each hop. */
  readonly secure: boolean;
  readonly local: Address;
  readonly remote: Address;
  /** What we write into the Via sent-by and the Contact of messages that leave by this flow (our listener, not the ephemeral port). */
  readonly advertised: HostPort;
  /** False from the moment the connection is known to be gone (never false for UDP while its socket is open). */
  readonly open: boolean;
  /** Bytes handed over and not yet taken by the system. For UDP always 0: a datagram waits for nobody. */
  readonly queued: number;
  /**
   * Hands over one whole message; never waits. False: not sent, since the flow is closed or its send queue is full
   * (the transport has logged it in one line). The flow keeps the bytes by reference until they are written.
   */
  send(message: Uint8Array): boolean;
  /** Ends the connection (for UDP: forgets the flow); `reason` goes to the log. `flowClosed` follows. */
  close(reason: string): void;
}

/**
 * Where a request is to go: the URI of the top Route if it is a loose router, else the Request-URI, reduced to what
 * RFC 3263 §4 looks at.
 */
export interface NextHop {
  /** `sips:`: only TLS or WSS will do. */
  readonly secure: boolean;
  /** `maddr` if present, else the URI's host; IPv6 in brackets. */
  readonly host: string;
  readonly port: number | undefined;
  /** The URI's `transport` parameter, lower case. */
  readonly transport: string | undefined;
}

/** One address to try for a next hop (RFC 3263 §4.3). */
export interface Target {
  readonly transport: TransportName;
  readonly remote: Address;
  /** The name that the certificate must bear for TLS and WSS: the URI's host (RFC 5922 §4). */
  readonly serverName: string;
}

/** Why nothing could be sent; `reason` is for the log. To the transaction user it is a 503 (RFC 3261 §8.1.3.1). */
export interface TransportFailure {
  readonly failed: 'unresolvable' | 'refused' | 'timeout' | 'certificate' | 'limit' | 'closed';
  readonly reason: string;
}

/** The address part of the top Via of a request, which leads its responses back (RFC 3261 §18.2.2, RFC 3581 §4). */
export interface ViaAddress {
  readonly transport: string;
  readonly host: string;
  readonly port: number | undefined;
  readonly maddr: string | undefined;
  readonly received: string | undefined;
  readonly rport: number | undefined;
}

/** What the core wants to hear from the transport; given to the transport's constructor or `start`. */
export interface TransportHandlers {
  /**
   * One whole message: a datagram, a WebSocket message, or what the framer cut out of a stream (head and body, no more
   * and no less). The core parses it, and may keep slices of it: the transport must not reuse the memory.
   * Keep-alives (CRLF CRLF, RFC 5626 §3.5.1; STUN) are answered below and never come here.
   */
  receive(message: Buffer, flow: Flow): void;
  /**
   * A stream can not be framed any further (no Content-Length, a head or body over the limits). `head` is what there is
   * to answer from, if anything: the head, or as much of it as the limits let in. The core answers `status` if it can,
   * then the transport closes the flow.
   */
  unframeable(head: Buffer | undefined, status: 400 | 413 | 513, reason: string, flow: Flow): void;
  /** A connection has ended, from either side; comes once per flow. */
  flowClosed(flow: Flow, reason: string): void;
}

/** Sockets, seen from the core. All callbacks may come at once, within the call (when nothing is to be awaited). */
export interface TransportLayer {
  /** Largest request that goes by UDP where TCP can be tried (RFC 3261 §18.1.1), in bytes. */
  readonly maxUdpRequestBytes: number;
  /**
   * RFC 3263: the addresses of a next hop in the order in which they are to be tried; never empty.
   * For a message of more than `maxUdpRequestBytes` each UDP target is preceded by TCP to the same address (RFC 3261 §18.1.1).
   */
  locate(hop: NextHop, bytes: number, found: (targets: readonly Target[] | TransportFailure) => void): void;
  /** A flow to the target: one that is open already, else a new one. Fails after twice the connect timeout at the latest. */
  connect(target: Target, connected: (flow: Flow | TransportFailure) => void): void;
  /**
   * Sends a response by the flow of its request; over UDP to where RFC 3581 §4 / RFC 3261 §18.2.2 say, from the socket
   * that got the request; when a connection is gone, over a new one to the Via's address. Errors are only logged:
   * `failed`, if given, hears of them (RFC 3261 §17.2.4).
   */
  respond(flow: Flow, via: ViaAddress, message: Uint8Array, failed?: (failure: TransportFailure) => void): void;
  /** Ends all listeners and flows. */
  close(): Promise<void>;
}
