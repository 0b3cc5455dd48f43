/** The bounds of everything that a peer could otherwise make grow. Milliseconds, bytes, counts. */
export interface TransportLimits {
  /** Bytes of the start line and header fields of one message; more is answered 513. Default 65536. */
  readonly maxHeadBytes: number;
  /** Bytes of one message's body; more is answered 413. Default 1048576. */
  readonly maxBodyBytes: number;
  /** Connections (TCP, TLS, WebSocket) in all; one more is closed unheard. Default 20000. */
  readonly maxConnections: number;
  /** Connections from one address. Default 1000: whole offices stand behind one address. */
  readonly maxConnectionsPerAddress: number;
  /** Connections being opened by us at one time; further ones wait their turn. Default 1000. */
  readonly maxConnecting: number;
  /** Connections that wait to be opened, for at most `connectTimeout`; one more fails at once. Default 20000. */
  readonly maxWaitingToConnect: number;
  /** UDP peers remembered (forgetting one costs nothing but its flow's identity). Default 20000. */
  readonly maxUdpPeers: number;
  /** Bytes waiting for a peer that does not read; more closes its flow (UDP: the datagram is dropped). Default 4194304. */
  readonly maxQueuedBytes: number;
  /**
   * How long messages are taken in one turn of the event loop, over all connections: a proxy may bring hundreds in one piece, and
   * hundreds of peers may write at once. The others wait for the next turns. Default 5.
   */
  readonly turnTime: number;
  /** Until a connection of ours stands, TLS included. Default 5000. */
  readonly connectTimeout: number;
  /** From the first byte of a message on a stream to its last; slower is closed. Default 30000. */
  readonly messageTimeout: number;
  /** From accepting a connection (TLS handshake included) to its first whole message. Default 30000. */
  readonly firstMessageTimeout: number;
  /** Without any byte from the peer. RFC 3261 §18 wants at least 64*T1; dead peers are found by TCP's own keep-alive. Default 3600000. */
  readonly idleTimeout: number;
  /** How long a stream that the peer has half-closed is kept for the responses still owed to it. Default 32000 (64*T1). */
  readonly lingerTimeout: number;
  /** How long, when all is closed, peers may take to read what is queued for them and to close their side. Default 500. */
  readonly closeTimeout: number;
  /** How often a WebSocket is pinged (RFC 7118 §6); one ping unanswered till the next closes it. Default 30000. */
  readonly pingInterval: number;
  /** How often the timeouts above are looked at. Default 1000. */
  readonly sweepInterval: number;
  /** Largest request that goes by UDP while the path MTU is not known (RFC 3261 §18.1.1). Default 1300. */
  readonly maxUdpRequestBytes: number;
}

/** The limits unless told otherwise. */
export const defaultTransportLimits: TransportLimits = {
  maxHeadBytes: 65_536,
  maxBodyBytes: 1_048_576,
  maxConnections: 20_000,
  maxConnectionsPerAddress: 1_000,
  maxConnecting: 1_000,
  maxWaitingToConnect: 20_000,
  maxUdpPeers: 20_000,
  maxQueuedBytes: 4_194_304,
  turnTime: 5,
  connectTimeout: 5_000,
  messageTimeout: 30_000,
  firstMessageTimeout: 30_000,
  idleTimeout: 3_600_000,
  lingerTimeout: 32_000,
  closeTimeout: 500,
  pingInterval: 30_000,
  sweepInterval: 1_000,
  maxUdpRequestBytes: 1_300,
};
