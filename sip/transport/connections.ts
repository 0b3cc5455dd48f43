import { isIP } from 'node:net';
import type { Server, Socket } from 'node:net';
import type { Server as TlsServer } from 'node:tls';
import { Admission } from './admission.ts';
import { advertisedAs, isPort } from './advertise.ts';
import type { Advertise } from './advertise.ts';
import type { Connection, ConnectionFacts, FlowContext } from './connection.ts';
import type { Address, Flow, HostPort, Target, TransportFailure, TransportName } from './flow.ts';
import { StreamConnection } from './stream.ts';
import { dialTcp } from './tcp.ts';
import type { Dialling } from './tcp.ts';
import { dialTls } from './tls.ts';
import type { TlsDialOptions } from './tls.ts';
import { WebSocketConnection } from './websocket.ts';
import type { WebSocketLike } from './websocket.ts';

/** A server socket for streams. */
export interface StreamListener {
  readonly transport: 'TCP' | 'TLS';
  readonly bound: Address;
  readonly advertise: Advertise;
  readonly server: Server;
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

/** What a connection attempt comes to. */
export type Connected = (flow: Flow | TransportFailure) => void;

/** A connection that somebody wants, and who. */
interface Attempt {
  readonly key: string;
  readonly target: Target;
  readonly transport: 'TCP' | 'TLS';
  readonly waiting: Connected[];
}

/** The close code of the WebSocket registry for "as many as I can serve", and how long its answer is waited for. */
const tryAgainLater = 1013;
const refusalTimeout = 1_000;
const closing: TransportFailure = { failed: 'closed', reason: 'the transport is closing' };

/** All connections, both ways: their number, their index by peer (RFC 3261 §18), those being opened. */
export class Connections {
  readonly #context: FlowContext;
  readonly #tls: TlsDialOptions;
  readonly #listener: (transport: 'TCP' | 'TLS', family: number) => StreamListener | undefined;
  readonly #admission: Admission;
  readonly #all = new Set<Connection>();
  /** Open connections by transport, peer and, for TLS, the domain that the peer has proved to be. */
  readonly #index = new Map<string, Connection>();
  /** Those being opened; undefined while it is being begun. */
  readonly #attempts = new Map<string, { readonly attempt: Attempt; dialling: Dialling | undefined }>();
  /** Those that wait until fewer are being opened, each with its end. */
  readonly #later = new Map<string, { readonly attempt: Attempt; readonly late: NodeJS.Timeout }>();
  #closed = false;
  #emptied: (() => void) | undefined;
  #numbered = 0;

  constructor(
    context: FlowContext,
    tls: TlsDialOptions,
    listener: (transport: 'TCP' | 'TLS', family: number) => StreamListener | undefined,
  ) {
    this.#context = context;
    this.#tls = tls;
    this.#listener = listener;
    this.#admission = new Admission(context.limits.maxConnections, context.limits.maxConnectionsPerAddress);
  }

  /** Connections that stand or are being opened. */
  get count(): number {
    return this.#admission.count;
  }

  /** Takes what a listener has accepted, or closes it. The limits come before any byte is read and any cryptography. */
  accept(socket: Socket, listener: StreamListener, secure: TlsServer | undefined): void {
    const address = socket.remoteAddress;
    const refused = address === undefined || this.#closed ? 'gone already' : this.#admission.enter(address);
    if (address === undefined || refused !== undefined) {
      this.#context.log.warn(`${listener.transport} connection refused: ${refused ?? ''}`, { peer: address });
      socket.destroy();
      return;
    }
    socket.on('close', () => {
      this.#admission.leave(address);
    });
    if (secure === undefined) this.adopt(socket, listener);
    else secure.emit('connection', socket);
  }

  /** Makes an accepted socket a flow; one of TLS when its handshake is done. */
  adopt(socket: Socket, listener: StreamListener): void {
    const facts = this.#factsOf(socket, listener.transport, listener, true);
    if (facts === undefined || this.#closed) socket.destroy();
    // RFC 3261 §18: a connection from a peer serves for requests to that address and port. Over TLS it does not: the
    // peer has proved no domain (RFC 5922 §7.4).
    else this.#add(socket, facts, listener.transport === 'TCP' ? indexKey('TCP', facts.remote, '') : undefined);
  }

  /** Makes a WebSocket a flow; undefined (and the WebSocket closed) when there are enough. */
  acceptWebSocket(webSocket: WebSocketLike, facts: WebSocketFacts): Flow | undefined {
    const { address } = facts.remote;
    const refused = this.#closed ? closing.reason : this.#admission.enter(address);
    if (refused !== undefined) {
      this.#context.log.warn(`WebSocket refused: ${refused}`, { peer: address });
      webSocket.on('error', () => undefined);
      webSocket.close(tryAgainLater);
      setTimeout(() => {
        webSocket.terminate();
      }, refusalTimeout).unref();
      return undefined;
    }
    webSocket.on('close', () => {
      this.#admission.leave(address);
    });
    const transport = facts.secure ? 'WSS' : 'WS';
    const { local, remote, advertised } = facts;
    const known = { id: this.#newId(transport), transport, local, remote, advertised, accepted: true } as const;
    const flow = new WebSocketConnection(webSocket, known, this.#context, this.#ended);
    this.#all.add(flow);
    return flow;
  }

  /** A connection to the target: one that stands, one that is being opened, or a new one. */
  connect(target: Target, connected: Connected): void {
    const { transport } = target;
    if (this.#closed) connected(closing);
    else if ((transport === 'TCP' || transport === 'TLS') && isPort(target.remote.port)) {
      const known = this.#index.get(indexKey(transport, target.remote, target.serverName));
      if (known?.open === true) connected(known);
      else this.#dial(target, transport, connected);
    } else {
      // RFC 7118: WebSockets are opened towards us.
      connected({ failed: 'refused', reason: `port ${target.remote.port} is not dialled over ${transport}` });
    }
  }

  /** Lets each connection look at its timeouts. */
  sweep(now: number): void {
    for (const connection of this.#all) connection.sweep(now);
  }

  /** Ends all; resolves when the last is gone. What is left after `closeTimeout` is cut off. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const { attempt, late } of [...this.#later.values()]) {
      clearTimeout(late);
      this.#settle(attempt, closing);
    }
    for (const { dialling } of [...this.#attempts.values()]) dialling?.abort();
    for (const connection of [...this.#all]) connection.close(closing.reason);
    if (this.#all.size === 0) return;
    const late = setTimeout(() => {
      for (const connection of this.#all) connection.discard();
    }, this.#context.limits.closeTimeout);
    await new Promise<void>((resolve) => {
      this.#emptied = resolve;
    });
    clearTimeout(late);
  }

  #add(socket: Socket, facts: ConnectionFacts, key: string | undefined): Connection {
    const connection = new StreamConnection(socket, facts, this.#context, (ended) => {
      if (key !== undefined && this.#index.get(key) === ended) this.#index.delete(key);
      this.#ended(ended);
    });
    this.#all.add(connection);
    if (key !== undefined) this.#index.set(key, connection);
    return connection;
  }

  readonly #ended = (connection: Connection): void => {
    this.#all.delete(connection);
    if (this.#all.size === 0) this.#emptied?.();
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
    const local = { address: localAddress, port: localPort };
    const remote = { address: remoteAddress, port: remotePort };
    const advertised = advertisedAs(listener?.advertise ?? {}, listener?.bound ?? local, localAddress);
    return { id: this.#newId(transport), transport, local, remote, advertised, accepted };
  }

  #newId(transport: TransportName): string {
    this.#numbered += 1;
    return `${transport.toLowerCase()}-${this.#numbered}`;
  }

  #dial(target: Target, transport: 'TCP' | 'TLS', connected: Connected): void {
    const key = indexKey(transport, target.remote, target.serverName);
    const known = this.#attempts.get(key) ?? this.#later.get(key);
    if (known !== undefined) {
      known.attempt.waiting.push(connected);
      return;
    }
    const { maxConnecting, maxWaitingToConnect, connectTimeout } = this.#context.limits;
    const attempt: Attempt = { key, target, transport, waiting: [connected] };
    if (this.#attempts.size < maxConnecting) this.#open(attempt);
    else if (this.#later.size >= maxWaitingToConnect)
      connected({ failed: 'limit', reason: `${this.#later.size} connections waiting to be opened` });
    else {
      const late = setTimeout(() => {
        this.#settle(attempt, { failed: 'limit', reason: 'too many connections being opened before it' });
      }, connectTimeout);
      this.#later.set(key, { attempt, late });
    }
  }

  #open(attempt: Attempt): void {
    const { key, target, transport } = attempt;
    const refused = this.#admission.enter(target.remote.address);
    if (refused !== undefined) {
      this.#settle(attempt, { failed: 'limit', reason: refused });
      return;
    }
    const { connectTimeout } = this.#context.limits;
    const begun: { readonly attempt: Attempt; dialling: Dialling | undefined } = { attempt, dialling: undefined };
    this.#attempts.set(key, begun);
    const done = (result: Socket | TransportFailure): void => {
      this.#settle(
        attempt,
        'failed' in result ? this.#failed(target, result) : this.#dialled(result, target, transport, key),
      );
      this.#openMore();
    };
    begun.dialling =
      transport === 'TLS' ? dialTls(target, this.#tls, connectTimeout, done) : dialTcp(target, connectTimeout, done);
  }

  /** Tells those who wait what came of it. */
  #settle({ key, waiting }: Attempt, flow: Flow | TransportFailure): void {
    this.#attempts.delete(key);
    this.#later.delete(key);
    for (const tell of waiting) tell(flow);
  }

  #openMore(): void {
    for (const [key, { attempt, late }] of this.#later) {
      if (this.#closed || this.#attempts.size >= this.#context.limits.maxConnecting) return;
      clearTimeout(late);
      this.#later.delete(key);
      this.#open(attempt);
    }
  }

  #failed(target: Target, failure: TransportFailure): TransportFailure {
    this.#admission.leave(target.remote.address);
    // There may be other ways; who wanted this one hears why it failed, and tells it where it matters.
    this.#context.log.debug?.(`no ${target.transport} connection: ${failure.reason}`, {
      peer: `${target.remote.address} ${target.remote.port}`,
      domain: target.serverName,
    });
    return failure;
  }

  #dialled(socket: Socket, target: Target, transport: 'TCP' | 'TLS', key: string): Flow | TransportFailure {
    // The peer may open a connection to us only where we listen: that is what our Via says (RFC 3261 §18.1.1).
    const listener = this.#listener(transport, isIP(target.remote.address));
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
}

function indexKey(transport: 'TCP' | 'TLS', remote: Address, serverName: string): string {
  const domain = transport === 'TLS' ? ` ${serverName.toLowerCase()}` : '';
  return `${transport} ${remote.address} ${remote.port}${domain}`;
}
