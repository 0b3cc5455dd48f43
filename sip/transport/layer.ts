import { isIP } from 'node:net';
import { BoundedLog } from '../bounded-log.ts';
import { silent } from '../log.ts';
import type { Log } from '../log.ts';
import { Resolver } from '../resolver.ts';
import type { Dns } from '../resolver.ts';
import { advertisedAs, isLoopback, isUnspecified, ownAddress } from './advertise.ts';
import type { Advertise } from './advertise.ts';
import type { FlowContext, TraceEntry } from './connection.ts';
import { Connections } from './connections.ts';
import type { Connected, StreamListener, WebSocketFacts } from './connections.ts';
import { systemDns } from './dns.ts';
import type {
  Address,
  Flow,
  NextHop,
  Target,
  TransportFailure,
  TransportHandlers,
  TransportLayer,
  TransportName,
  ViaAddress,
} from './flow.ts';
import { defaultTransportLimits } from './limits.ts';
import type { TransportLimits } from './limits.ts';
import { Responder } from './responder.ts';
import { boundTo, listenTcp } from './tcp.ts';
import { tlsServer } from './tls.ts';
import type { TlsCertificate, TlsDialOptions } from './tls.ts';
import { Turnstile } from './turnstile.ts';
import { bindUdp, UdpListener } from './udp.ts';
import type { WebSocketLike } from './websocket.ts';

/** What a transport layer is made of. */
export interface SocketTransportOptions {
  /** Bounds that differ from `defaultTransportLimits`. */
  readonly limits?: Partial<TransportLimits>;
  /** Default: the system's, with a memory. */
  readonly dns?: Dns;
  /** How certificates of servers are looked at. Default: they are verified against the well-known authorities. */
  readonly tls?: TlsDialOptions;
  readonly log?: Log;
  /** Log lines written at most per second; the rest is counted. Default 50. */
  readonly maxLogLines?: number;
  /**
   * Whether much is on its way already: while it is, no message of more than 16 KiB is taken from a connection, nor what comes
   * behind it there; it is looked again every few milliseconds. Default: never.
   */
  readonly congested?: () => boolean;
  /** Sees each message that goes in or out. */
  readonly trace?: (entry: TraceEntry) => void;
  /** Monotonic time in milliseconds. */
  readonly clock?: () => number;
}

/** An address to listen at. */
export interface BindOptions {
  /** IP address to bind; IPv4 and IPv6 are bound apart, also `0.0.0.0` and `::`. */
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly advertise?: Advertise;
}

type ListenStreamOptions = BindOptions &
  ({ readonly transport: 'TCP' } | { readonly transport: 'TLS'; readonly certificate: TlsCertificate });

/** An address to listen at and what to speak there. */
export type ListenOptions = (BindOptions & { readonly transport: 'UDP' }) | ListenStreamOptions;

/** An address that is being listened at. */
export interface Listening {
  readonly transport: 'UDP' | 'TCP' | 'TLS';
  readonly address: string;
  readonly port: number;
  /** Takes a new certificate for connections to come; on a listener without TLS it does nothing. */
  renew(certificate: TlsCertificate): void;
  /** Takes nothing new any more and frees the port; flows that are open stay. A UDP socket is gone with all its flows. */
  close(): void;
}

/** SIP's sockets: UDP, TCP, TLS and WebSocket (RFC 3261 §18, RFC 7118). */
export class SocketTransport implements TransportLayer {
  readonly #context: FlowContext;
  readonly #resolver: Resolver;
  readonly #responder: Responder;
  readonly #connections: Connections;
  readonly #udp: UdpListener[] = [];
  readonly #streams: StreamListener[] = [];
  readonly #sweeper: NodeJS.Timeout;
  #closed = false;

  constructor(options: SocketTransportOptions, handlers: TransportHandlers) {
    const limits = { ...defaultTransportLimits, ...options.limits };
    const clock = options.clock ?? (() => performance.now());
    const log = new BoundedLog(options.log ?? silent, { lines: options.maxLogLines ?? 50, now: clock });
    const turnstile = new Turnstile(limits.turnTime, clock);
    const congested = options.congested ?? ((): boolean => false);
    this.#context = { handlers, limits, turnstile, congested, log, trace: options.trace, clock };
    this.#resolver = new Resolver({
      dns: options.dns ?? systemDns(),
      supports: (transport, family) => this.#supports(transport, family),
      maxUdpRequestBytes: limits.maxUdpRequestBytes,
    });
    this.#connections = new Connections(this.#context, options.tls ?? {}, (transport, family) =>
      this.#streams.find((one) => one.transport === transport && isIP(one.bound.address) === family),
    );
    this.#responder = new Responder(
      this.#resolver,
      (target, connected) => {
        this.connect(target, connected);
      },
      log,
    );
    this.#sweeper = setInterval(() => {
      // After what has arrived is read: when we were held up, that is no fault of the peers'.
      setImmediate(() => {
        this.#connections.sweep(clock());
      });
    }, limits.sweepInterval).unref();
  }

  get maxUdpRequestBytes(): number {
    return this.#context.limits.maxUdpRequestBytes;
  }

  /** Connections that stand or are being opened. */
  get connections(): number {
    return this.#connections.count;
  }

  /** Listens at one more address. Rejects if it cannot be bound. */
  async listen(options: ListenOptions): Promise<Listening> {
    return options.transport === 'UDP' ? await this.#listenUdp(options) : await this.#listenStream(options);
  }

  /** Takes a WebSocket as a flow; undefined (and the WebSocket closed) when there are enough. */
  accept(webSocket: WebSocketLike, facts: WebSocketFacts): Flow | undefined {
    return this.#connections.acceptWebSocket(webSocket, facts);
  }

  locate(hop: NextHop, bytes: number, found: (targets: readonly Target[] | TransportFailure) => void): void {
    this.#resolver.locate(hop, bytes, found);
  }

  connect(target: Target, connected: Connected): void {
    if (target.transport !== 'UDP') {
      this.#connections.connect(target, connected);
      return;
    }
    const listener = this.#udpTo(target.remote);
    connected(
      listener?.flowTo(target.remote) ?? { failed: 'refused', reason: `no UDP socket for ${target.remote.address}` },
    );
  }

  respond(
    flow: Flow,
    via: ViaAddress,
    message: Uint8Array,
    failed: (failure: TransportFailure) => void = () => undefined,
  ): void {
    this.#responder.respond(flow, via, message, failed);
  }

  /** Ends all listeners and flows; resolves when the last connection is gone, cut off after `closeTimeout`. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#sweeper);
    for (const { server } of this.#streams) server.close();
    await Promise.all([...this.#udp.map((listener) => listener.close()), this.#connections.close()]);
  }

  async #listenUdp(options: BindOptions): Promise<Listening> {
    const socket = await bindUdp(options.host, options.port, isIP(options.host) === 6 ? 6 : 4);
    const { address, port } = socket.address();
    const local = { address, port };
    const advertisedTo = (remote: string) =>
      advertisedAs(options.advertise ?? {}, local, isUnspecified(address) ? ownAddress(remote) : address);
    const listener = new UdpListener(socket, { local, advertisedTo }, this.#context);
    this.#udp.push(listener);
    const close = (): void => {
      if (remove(this.#udp, listener)) void listener.close();
    };
    return { transport: 'UDP', address, port, renew: () => undefined, close };
  }

  async #listenStream(options: ListenStreamOptions): Promise<Listening> {
    const { transport } = options;
    const secure =
      transport === 'TLS'
        ? tlsServer(options.certificate, this.#context, (socket) => {
            this.#connections.adopt(socket, listener);
          })
        : undefined;
    const server = await listenTcp(options.host, options.port, (socket) => {
      this.#connections.accept(socket, listener, secure);
    });
    server.on('error', (error) => {
      this.#context.log.warn(`${transport} listener: ${error.message}`);
    });
    const bound = boundTo(server);
    const listener: StreamListener = { transport, bound, advertise: options.advertise ?? {}, server };
    this.#streams.push(listener);
    const close = (): void => {
      if (remove(this.#streams, listener)) server.close();
    };
    return { transport, ...bound, renew: (certificate) => secure?.setSecureContext(certificate), close };
  }

  #supports(transport: TransportName, family: 4 | 6): boolean {
    if (transport === 'UDP') return this.#udp.some((listener) => isIP(listener.local.address) === family);
    return transport === 'TCP' || transport === 'TLS';
  }

  /** The socket to send from: a bound address reaches its own kind only, loopback or not. */
  #udpTo(remote: Address): UdpListener | undefined {
    const fitting = this.#udp.filter((listener) => isIP(listener.local.address) === isIP(remote.address));
    const near = isLoopback(remote.address);
    return (
      fitting.find(({ local }) => isUnspecified(local.address) || isLoopback(local.address) === near) ?? fitting[0]
    );
  }
}

/** Takes one out of a list; tells whether it was there. */
function remove<T>(list: T[], one: T): boolean {
  const at = list.indexOf(one);
  if (at >= 0) list.splice(at, 1);
  return at >= 0;
}
