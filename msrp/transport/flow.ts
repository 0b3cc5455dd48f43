/** Where the other end of a flow is, as far as it is known. */
export interface PeerAddress {
  /** IP address, or empty when unknown (a WebSocket given by somebody else). */
  readonly address: string;
  readonly port: number;
}

/** What a flow tells its owner. */
export interface FlowHandlers {
  /** Octets that came in; the owner may keep neither the array nor a view of it beyond the call. */
  receive(bytes: Uint8Array): void;
  /** The octets of the `write` that returned false have been handed to the system, or enough of them. */
  drained(): void;
  /** The peer has ended its direction, and still reads. `closed` comes when the flow is wholly gone. */
  ended(): void;
  /** The flow is gone, for whatever reason, `close` included; told once, nothing comes after it. */
  closed(reason: string): void;
}

/** One reliable, ordered way to one peer: a TCP or TLS connection, or a WebSocket. */
export interface Flow {
  /** `message`: each `write` must carry exactly one MSRP chunk (RFC 7977 §5.1). */
  readonly framing: 'stream' | 'message';
  /** Whether the octets are protected (TLS), which `msrps` URIs demand. */
  readonly secure: boolean;
  readonly peer: PeerAddress;
  /** A flow that keeps the bytes it is given even when `write` returns true: what is given must be a copy. */
  readonly keepsBytes: boolean;
  /** To be called once, before anything else. */
  start(handlers: FlowHandlers): void;
  /**
   * Hands octets over. True: they are with the system, or the flow keeps them and has room for more, which may follow at
   * once. False: the flow keeps the very array until `drained`, and no further `write` is allowed until then.
   */
  write(bytes: Uint8Array): boolean;
  /** Stops and restarts the delivery of incoming octets. */
  pause(): void;
  resume(): void;
  /** Sends what was written, then ends in both directions. */
  end(): void;
  /** Ends at once. */
  destroy(): void;
  /**
   * Of the peer's certificate: the digest by `sha-1` to `sha-512` in upper-case hexadecimal with colons (RFC 8122 §5);
   * undefined without a certificate, or for another hash function.
   */
  fingerprint?(algorithm: string): string | undefined;
}

/** What a session wants to reach. */
export interface DialTarget {
  readonly host: string;
  readonly port: number;
  /** TLS demanded (`msrps`). */
  readonly secure: boolean;
  /** `tcp`, `ws`. */
  readonly transport: string;
  /** Of the certificates that the session description announced: as in `SessionOptions`. */
  readonly fingerprints?: readonly { readonly hash: string; readonly value: string }[];
}

/** Opens flows. Rejects with an Error whose message names target and reason. */
export type Dialer = (target: DialTarget) => Promise<Flow>;
