import { isIP } from 'node:net';
import type { Server, Socket } from 'node:net';
import { networkInterfaces } from 'node:os';
import type { Server as TlsServer } from 'node:tls';
import { silent } from '../log.ts';
import type { Log } from '../log.ts';
import { defaultPort, Resolver, withoutBrackets } from '../resolver.ts';
import type { Dns } from '../resolver.ts';
import { Admission } from './admission.ts';
import { BoundedLog } from './bounded-log.ts';
import { Connection } from './connection.ts';
import type { ConnectionFacts, FlowContext, TraceEntry } from './connection.ts';
import { systemDns } from './dns.ts';
import type {
  Address,
  Flow,
  HostPort,
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
import { StreamConnection } from './stream.ts';
import { boundTo, dialTcp, listenTcp } from './tcp.ts';
import type { Dialling } from './tcp.ts';
import { dialTls, tlsServer } from './tls.ts';
import type { TlsCertificate, TlsDialOptions } from './tls.ts';
import { bindUdp, UdpFlow, UdpListener } from './udp.ts';
import { WebSocketConnection } from './websocket.ts';
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
  /** Log lines written at most per sweep interval; the rest is counted. Default 50. */
  readonly maxLogLines?: number;
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
  /** What peers are told instead of the bound address, for a host behind NAT (Via sent-by, Contact). */
  readonly advertise?: { readonly host?: string; readonly port?: number };
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
}

/** What the service knows of a WebSocket that it has upgraded, sub-protocol `sip` negotiated (RFC 7118 §4.1). */
export interface WebSocketFacts {
  /** Whether the client came by `wss:`: also where TLS ends in a proxy before us. */
  readonly secure: boolean;
  readonly local: Address;
  /** The client's address as far as it is known; what limits per address go by. */
  readonly remote: Address;
  /** What the client is told as our address. */
  readonly advertised: HostPort;
}

interface StreamListener {
  readonly transport: 'TCP' | 'TLS';
  readonly bound: Address;
  readonly advertise: { readonly host?: string; readonly port?: number };
  readonly server: Server;
}

interface Attempt {
  readonly waiting: ((flow: Flow | TransportFailure) => void)[];
  dialling: Dialling | undefined;
}

type Connected = (flow: Flow | TransportFailure) => void;

const closing: TransportFailure = { failed: 'closed', reason: 'the transport is closing' };
const unspecified = new Set(['0.0.0.0', '::']);

/** How long `close` waits for peers to take what is queued. */
const closeTimeout = 2_500;

/** SIP's sockets: UDP, TCP, TLS and WebSocket, in one index of flows (RFC 3261 §18). */
export class SocketTransport implements TransportLayer {
  readonly #context: FlowContext;
  readonly #limits: TransportLimits;
  readonly #log: BoundedLog;
  readonly #resolver: Resolver;
  readonly #tls: TlsDialOptions;
  readonly #admission: Admission;
  readonly #udp: UdpListener[] = [];
  readonly #streams: StreamListener[] = [];
  readonly #connections = new Set<Connection>();
  /** Open connections by transport, peer and, for TLS, the domain that the peer has proved to be. */
  readonly #index = new Map<string, Connection>();
  readonly #attempts = new Map<string, Attempt>();
  readonly #sweeper: NodeJS.Timeout;
  #closed = false;
  #emptied: (() => void) | undefined;
  #numbered = 0;

  constructor(options: SocketTransportOptions, handlers: TransportHandlers) {
    this.#limits = { ...defaultTransportLimits, ...options.limits };
    this.#log = new BoundedLog(options.log ?? silent, options.maxLogLines ?? 50);
    this.#tls = options.tls ?? {};
    this.#admission = new Admission(this.#limits.maxConnections, this.#limits.maxConnectionsPerAddress);
    this.#context = {
      handlers,
      limits: this.#limits,
      log: this.#log,
      trace: options.trace,
      clock: options.clock ?? (() => performance.now()),
    };
    this.#resolver = new Resolver({
      dns: options.dns ?? systemDns(),
      supports: (transport, family) => this.#supports(transport, family),
      maxUdpRequestBytes: this.#limits.maxUdpRequestBytes,
    });
    this.#sweeper = setInterval(() => {
      this.#sweep();
    }, this.#limits.sweepInterval).unref();
  }

  /** Connections that stand, both ways. */
  get connections(): number {
    return this.#admission.count;
  }

  /** Listens at one more address. Rejects if it cannot be bound. */
  async listen(options: ListenOptions): Promise<Listening> {
    return options.transport === 'UDP' ? await this.#listenUdp(options) : await this.#listenStream(options);
  }

  /** Takes a WebSocket as a flow; undefined (and the WebSocket closed) when there are enough. */
  accept(webSocket: WebSocketLike, facts: WebSocketFacts): Flow | undefined {
    const { address } = facts.remote;
    const refused = this.#closed ? closing.reason : this.#admission.enter(address);
    if (refused !== undefined) {
      this.#log.warn(`WebSocket refused: ${refused}`, { peer: address });
      webSocket.on('error', () => undefined);
      webSocket.close(1013);
      return undefined;
    }
    webSocket.on('close', () => {
      this.#admission.leave(address);
    });
    const transport = facts.secure ? 'WSS' : 'WS';
    const { local, remote, advertised } = facts;
    const known = { id: this.#newId(transport), transport, local, remote, advertised, accepted: true } as const;
    const flow = new WebSocketConnection(webSocket, known, this.#context, this.#ended);
    this.#connections.add(flow);
    return flow;
  }

  locate(hop: NextHop, bytes: number, found: (targets: readonly Target[] | TransportFailure) => void): void {
    this.#resolver.locate(hop, bytes, found);
  }

  connect(target: Target, connected: Connected): void {
    if (this.#closed) {
      connected(closing);
    } else if (target.transport === 'UDP') {
      connected(this.#udpTo(target.remote)?.flowTo(target.remote) ?? unreachable(target));
    } else if (target.transport === 'TCP' || target.transport === 'TLS') {
      const open = this.#index.get(indexKey(target.transport, target.remote, target.serverName));
      if (open?.open === true) connected(open);
      else this.#dial(target, connected);
    } else {
      // RFC 7118: WebSockets are opened towards us.
      connected(unreachable(target));
    }
  }

  respond(
    flow: Flow,
    via: ViaAddress,
    message: Uint8Array,
    failed: (failure: TransportFailure) => void = () => undefined,
  ): void {
    if (flow instanceof UdpFlow) this.#respondByUdp(flow, via, message, failed);
    else if (!(flow instanceof Connection)) failed({ failed: 'closed', reason: 'not a flow of this transport' });
    else if (flow.answerable) {
      if (!flow.answer(message)) failed({ failed: 'limit', reason: 'the peer does not read' });
    } else this.#respondAnew(flow, via, message, failed);
  }

  /** Ends all listeners and flows; resolves when the last connection is gone, within seconds. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#sweeper);
    for (const { server } of this.#streams) server.close();
    for (const attempt of [...this.#attempts.values()]) attempt.dialling?.abort();
    for (const connection of [...this.#connections]) connection.close(closing.reason);
    await Promise.all(this.#udp.map((listener) => listener.close()));
    await this.#empty();
  }

  async #empty(): Promise<void> {
    if (this.#connections.size === 0) return;
    const late = setTimeout(() => {
      for (const connection of this.#connections) connection.discard();
    }, closeTimeout);
    await new Promise<void>((resolve) => {
      this.#emptied = resolve;
    });
    clearTimeout(late);
  }

  // Listening.

  async #listenUdp(options: BindOptions): Promise<Listening> {
    const family = isIP(options.host) === 6 ? 6 : 4;
    const socket = await bindUdp(options.host, options.port, family);
    const { address, port } = socket.address();
    const local = { address, port };
    const advertisedTo = (remote: string): HostPort =>
      advertised(options.advertise ?? {}, unspecified.has(address) ? ownAddress(remote, family) : address, port);
    this.#udp.push(new UdpListener(socket, { local, advertisedTo }, this.#context));
    return { transport: 'UDP', address, port, renew: () => undefined };
  }

  async #listenStream(options: ListenStreamOptions): Promise<Listening> {
    const { transport } = options;
    const secure = transport === 'TLS' ? this.#tlsServer(options.certificate, () => listener) : undefined;
    const server = await listenTcp(options.host, options.port, (socket) => {
      this.#admit(socket, listener, secure);
    });
    server.on('error', (error) => {
      this.#log.warn(`${transport} listener: ${error.message}`);
    });
    const bound = boundTo(server);
    const listener: StreamListener = { transport, bound, advertise: options.advertise ?? {}, server };
    this.#streams.push(listener);
    return { transport, ...bound, renew: (certificate) => secure?.setSecureContext(certificate) };
  }

  #tlsServer(certificate: TlsCertificate, listener: () => StreamListener): TlsServer {
    return tlsServer(
      certificate,
      this.#limits.firstMessageTimeout,
      (socket) => {
        this.#accepted(socket, listener());
      },
      (error, socket) => {
        this.#log.warn(`TLS handshake failed: ${error.message}`, { peer: socket.remoteAddress });
        socket.destroy();
      },
    );
  }

  /** The limits come before anything is read, and before any cryptography. */
  #admit(socket: Socket, listener: StreamListener, secure: TlsServer | undefined): void {
    const address = socket.remoteAddress;
    const refused = address === undefined ? 'gone already' : this.#admission.enter(address);
    if (address === undefined || refused !== undefined) {
      this.#log.warn(`${listener.transport} connection refused: ${refused ?? ''}`, { peer: address });
      socket.destroy();
      return;
    }
    socket.on('close', () => {
      this.#admission.leave(address);
    });
    if (secure === undefined) this.#accepted(socket, listener);
    else secure.emit('connection', socket);
  }

  #accepted(socket: Socket, listener: StreamListener): void {
    const facts = this.#factsOf(socket, listener.transport, listener, true);
    if (facts === undefined || this.#closed) socket.destroy();
    // RFC 3261 §18: a connection from a peer serves for requests to that address and port. Over TLS it does not: the
    // peer has proved no domain (RFC 5922 §7.4).
    else this.#add(socket, facts, listener.transport === 'TCP' ? indexKey('TCP', facts.remote, '') : undefined);
  }

  #add(socket: Socket, facts: ConnectionFacts, key: string | undefined): StreamConnection {
    const connection = new StreamConnection(socket, facts, this.#context, (ended) => {
      if (key !== undefined && this.#index.get(key) === ended) this.#index.delete(key);
      this.#ended(ended);
    });
    this.#connections.add(connection);
    if (key !== undefined) this.#index.set(key, connection);
    return connection;
  }

  readonly #ended = (connection: Connection): void => {
    this.#connections.delete(connection);
    if (this.#connections.size === 0) this.#emptied?.();
  };

  #factsOf(
    socket: Socket,
    transport: 'TCP' | 'TLS',
    listener: StreamListener | undefined,
    accepted: boolean,
  ): ConnectionFacts | undefined {
    const { localAddress, localPort, remoteAddress, remotePort } = socket;
    if (localAddress === undefined || localPort === undefined) return undefined;
    if (remoteAddress === undefined || remotePort === undefined) return undefined;
    const host =
      listener === undefined || unspecified.has(listener.bound.address) ? localAddress : listener.bound.address;
    return {
      id: this.#newId(transport),
      transport,
      local: { address: localAddress, port: localPort },
      remote: { address: remoteAddress, port: remotePort },
      advertised: advertised(listener?.advertise ?? {}, host, listener?.bound.port ?? localPort),
      accepted,
    };
  }

  #newId(transport: TransportName): string {
    this.#numbered += 1;
    return `${transport.toLowerCase()}-${this.#numbered}`;
  }

  // Dialling.

  #dial(target: Target, connected: Connected): void {
    const transport = target.transport === 'TLS' ? 'TLS' : 'TCP';
    const key = indexKey(transport, target.remote, target.serverName);
    const known = this.#attempts.get(key);
    if (known !== undefined) {
      known.waiting.push(connected);
      return;
    }
    const refused =
      this.#attempts.size >= this.#limits.maxConnecting
        ? `${this.#attempts.size} connections being opened`
        : this.#admission.enter(target.remote.address);
    if (refused !== undefined) {
      this.#log.warn(`${transport} connection not opened: ${refused}`, { peer: target.remote.address });
      connected({ failed: 'limit', reason: refused });
      return;
    }
    const attempt: Attempt = { waiting: [connected], dialling: undefined };
    this.#attempts.set(key, attempt);
    const done = (result: Socket | TransportFailure): void => {
      this.#attempts.delete(key);
      const flow = 'failed' in result ? this.#failed(target, result) : this.#dialled(result, target, key);
      for (const tell of attempt.waiting) tell(flow);
    };
    attempt.dialling =
      transport === 'TLS'
        ? dialTls(target, this.#tls, this.#limits.connectTimeout, done)
        : dialTcp(target, this.#limits.connectTimeout, done);
  }

  #failed(target: Target, failure: TransportFailure): TransportFailure {
    this.#admission.leave(target.remote.address);
    this.#log.warn(`no ${target.transport} connection: ${failure.reason}`, {
      peer: `${target.remote.address} ${target.remote.port}`,
      domain: target.serverName,
    });
    return failure;
  }

  #dialled(socket: Socket, target: Target, key: string): Flow | TransportFailure {
    const transport = target.transport === 'TLS' ? 'TLS' : 'TCP';
    const family = isIP(target.remote.address);
    const listener = this.#streams.find((one) => one.transport === transport && isIP(one.bound.address) === family);
    const facts = this.#factsOf(socket, transport, listener, false);
    if (facts === undefined) {
      socket.destroy();
      return this.#failed(target, { failed: 'refused', reason: 'closed at once' });
    }
    socket.on('close', () => {
      this.#admission.leave(target.remote.address);
    });
    return this.#add(socket, facts, key);
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
      fitting.find(({ local }) => unspecified.has(local.address) || isLoopback(local.address) === near) ?? fitting[0]
    );
  }

  // Responses.

  /** RFC 3261 §18.2.2 and RFC 3581 §4. `received` is the source address, which the flow knows better than the Via. */
  #respondByUdp(
    flow: UdpFlow,
    via: ViaAddress,
    message: Uint8Array,
    failed: (failure: TransportFailure) => void,
  ): void {
    const send = (to: Address): void => {
      const sent = flow.sendTo(to, message, (reason) => {
        failed({ failed: 'refused', reason });
      });
      if (!sent) failed({ failed: 'closed', reason: 'UDP message not sent' });
    };
    const port = via.port ?? defaultPort('UDP');
    if (via.maddr !== undefined) {
      const hop = { secure: false, host: via.maddr, port, transport: 'udp' };
      this.#resolver.locate(hop, 0, (targets) => {
        const [first] = 'failed' in targets ? [] : targets;
        send(first?.remote ?? flow.remote);
      });
    } else if (via.rport !== undefined) {
      send(flow.remote);
    } else {
      send({ address: flow.remote.address, port });
    }
  }

  /** RFC 3261 §18.2.2: the connection is gone; a new one to the peer's address and sent-by port, else by RFC 3263 §5. */
  #respondAnew(
    flow: Connection,
    via: ViaAddress,
    message: Uint8Array,
    failed: (failure: TransportFailure) => void,
  ): void {
    const { transport } = flow;
    if (transport === 'WS' || transport === 'WSS') {
      failed({ failed: 'closed', reason: 'the WebSocket is gone' });
      return;
    }
    const first: Target = {
      transport,
      remote: { address: flow.remote.address, port: via.port ?? defaultPort(transport) },
      serverName: withoutBrackets(via.host),
    };
    this.#sendToFirst([first], message, () => {
      this.#resolver.locateSentBy(via, (targets) => {
        if ('failed' in targets) failed(targets);
        else this.#sendToFirst(targets, message, failed);
      });
    });
  }

  #sendToFirst(
    targets: readonly Target[],
    message: Uint8Array,
    failed: (failure: TransportFailure) => void,
    last: TransportFailure = closing,
  ): void {
    const [first, ...rest] = targets;
    if (first === undefined) {
      failed(last);
      return;
    }
    this.connect(first, (flow) => {
      if ('failed' in flow) this.#sendToFirst(rest, message, failed, flow);
      else if (!flow.send(message)) {
        this.#sendToFirst(rest, message, failed, { failed: 'closed', reason: 'closed while sending' });
      }
    });
  }

  #sweep(): void {
    this.#log.turn();
    const now = this.#context.clock();
    for (const connection of this.#connections) connection.sweep(now);
  }
}

function indexKey(transport: 'TCP' | 'TLS', remote: Address, serverName: string): string {
  const domain = transport === 'TLS' ? ` ${serverName.toLowerCase()}` : '';
  return `${transport} ${remote.address} ${remote.port}${domain}`;
}

function unreachable(target: Target): TransportFailure {
  return { failed: 'refused', reason: `no way to ${target.remote.address} over ${target.transport}` };
}

function advertised(
  advertise: { readonly host?: string; readonly port?: number },
  address: string,
  port: number,
): HostPort {
  const host = advertise.host ?? address;
  return { host: isIP(host) === 6 ? `[${host}]` : host, port: advertise.port ?? port };
}

function isLoopback(address: string): boolean {
  return address === '::1' || address.startsWith('127.');
}

/** Our address as a peer is likely to see it, where a socket is bound to all of them. */
function ownAddress(remote: string, family: 4 | 6): string {
  if (isLoopback(remote)) return remote;
  const own = Object.values(networkInterfaces()).flatMap((entries) => entries ?? []);
  const fitting = own.find(
    (entry) =>
      !entry.internal && entry.family === `IPv${family}` && (entry.scopeid !== undefined) === remote.includes('%'),
  );
  return fitting?.address ?? (family === 6 ? '::1' : '127.0.0.1');
}
