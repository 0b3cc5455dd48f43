import type { Assembler } from './assembler.ts';
import type { Clock, TurnScheduler } from './clock.ts';
import { systemClock } from './clock.ts';
import { Connection, type Exchange } from './connection.ts';
import type { MsrpSession, SessionOptions } from './contract.ts';
import type { AuthRequest } from './incoming.ts';
import { DEFAULT_LIMITS, type EndpointLimits } from './limits.ts';
import { silent, type Log } from './log.ts';
import { Session, type Home } from './session.ts';
import type { Dialer, DialTarget, Flow, PeerAddress } from './transport/flow.ts';
import { Turn } from './turn.ts';
import { MSRP_PORT, type MsrpUri } from './uri.ts';

/** What an endpoint is made with; all of it has a default. */
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
  /** Takes a connection that came in; one too many is destroyed. */
  accept(flow: Flow): void;
  /** Sessions not closed. */
  readonly sessionCount: number;
  readonly connectionCount: number;
  /** Closes all sessions and connections; what is written goes out. */
  close(detail?: string): void;
}

/** Makes an endpoint. On Node, `newNodeEndpoint` of `grouptextchat/msrp/node` is the one to use. */
export function newEndpoint(options: EndpointOptions = {}): MsrpEndpoint {
  return new Endpoint(options);
}

/** Browsers refuse to run `queueMicrotask` as a method of something else. */
const microtask: TurnScheduler = (run) => {
  queueMicrotask(run);
};

/** Milliseconds between two looks at what has taken too long. */
const SWEEP = 1000;

/** A connection that was dialled, or is being dialled, and the sessions that wait for it. */
interface Dialled {
  connection: Connection | undefined;
  readonly waiting: Set<Session>;
}

class Endpoint implements MsrpEndpoint, Home, Exchange {
  readonly limits: EndpointLimits;
  readonly turn: Turn;
  readonly log: Log;
  readonly auth: EndpointOptions['auth'];
  readonly #clock: Clock;
  readonly #dialer: Dialer | undefined;
  readonly #sessions = new Map<string, Session>();
  readonly #connections = new Set<Connection>();
  readonly #dialled = new Map<string, Dialled>();
  /** Accepted connections without a session, by address. */
  readonly #vacant = new Map<string, number>();
  /** What closed sessions left half received, for the next session of their user to go on with (RFC 4975 §5.4). */
  readonly #interrupted = new Set<Assembler>();
  #stopSweeping: (() => void) | undefined;
  #closed = false;

  constructor(options: EndpointOptions = {}) {
    this.limits = { ...DEFAULT_LIMITS, ...options.limits };
    this.log = options.log ?? silent;
    this.auth = options.auth;
    this.turn = new Turn(options.turn ?? microtask);
    this.#clock = options.clock ?? systemClock;
    this.#dialer = options.dialer;
  }

  get sessionCount(): number {
    return this.#sessions.size;
  }

  get connectionCount(): number {
    return this.#connections.size;
  }

  session(options: SessionOptions): MsrpSession {
    if (this.#closed) throw new Error('the endpoint is closed');
    const session = new Session(this, options);
    this.#sessions.set(session.localUri.sessionId ?? '', session);
    this.#stopSweeping ??= this.#clock.every(SWEEP, () => this.#sweep());
    return session;
  }

  accept(flow: Flow): void {
    const { address } = flow.peer;
    const vacant = this.#vacant.get(address) ?? 0;
    if (this.#closed || vacant >= this.limits.maxUnboundPerAddress) {
      this.log.warn(`msrp ${address}: connection refused: ${vacant} without a session`);
      flow.destroy();
      return;
    }
    this.#connections.add(this.#count(new Connection(flow, true, this), 1));
    this.#stopSweeping ??= this.#clock.every(SWEEP, () => this.#sweep());
  }

  close(detail = 'endpoint closed'): void {
    this.#closed = true;
    for (const session of [...this.#sessions.values()]) session.close(detail);
    this.#interrupted.clear();
    for (const connection of [...this.#connections]) connection.finish();
  }

  // ---- what sessions and connections need ----

  now(): number {
    return this.#clock.now();
  }

  find(uri: MsrpUri): Session | undefined {
    return uri.sessionId === undefined ? undefined : this.#sessions.get(uri.sessionId);
  }

  forget(session: Session): void {
    this.#sessions.delete(session.localUri.sessionId ?? '');
    for (const { waiting } of this.#dialled.values()) waiting.delete(session);
    const { interrupted } = session.receiver;
    if (interrupted !== undefined) this.#interrupted.add(interrupted);
    this.#restIfIdle();
  }

  occupied(connection: Connection, occupied: boolean): void {
    this.#count(connection, occupied ? -1 : 1);
  }

  closed(connection: Connection): void {
    this.#connections.delete(connection);
    if (connection.sessionCount === 0) this.#count(connection, -1);
    for (const [key, dialled] of this.#dialled) if (dialled.connection === connection) this.#dialled.delete(key);
    this.#restIfIdle();
  }

  dial(session: Session, via: { readonly host: string; readonly port: number } | undefined): void {
    const uri = session.target;
    if (uri === undefined) throw new Error('dial: the path of the peer is not known');
    const { host, port } = via ?? { host: uri.host, port: uri.port ?? MSRP_PORT };
    const { fingerprints = [] } = session;
    const target: DialTarget = { host, port, secure: uri.scheme === 'msrps', transport: uri.transport, fingerprints };
    // RFC 4975 §5.4: an existing connection to the same host, port and scheme is used again.
    const prints = fingerprints.map(({ value }) => value).join();
    const key = [uri.scheme, target.transport, host, port, prints].join(';');
    const dialled = this.#dialled.get(key);
    if (dialled?.connection !== undefined) return dialled.connection.adopt(session);
    if (dialled !== undefined) return void dialled.waiting.add(session);
    const started: Dialled = { connection: undefined, waiting: new Set([session]) };
    this.#dialled.set(key, started);
    this.#connect(key, started, target);
  }

  #connect(key: string, dialled: Dialled, target: DialTarget): void {
    if (this.#dialer === undefined) return this.#unreachable(key, dialled, 'no dialer');
    this.#dialer(target).then(
      (flow) => {
        if (this.#closed || dialled.waiting.size === 0) {
          this.#dialled.delete(key);
          return flow.destroy();
        }
        const connection = new Connection(flow, false, this);
        dialled.connection = connection;
        this.#connections.add(connection);
        for (const session of dialled.waiting) if (session.state === 'expected') connection.adopt(session);
        dialled.waiting.clear();
      },
      (fault: unknown) => this.#unreachable(key, dialled, fault instanceof Error ? fault.message : String(fault)),
    );
  }

  #unreachable(key: string, dialled: Dialled, detail: string): void {
    this.#dialled.delete(key);
    for (const session of [...dialled.waiting]) session.end('unreachable', detail);
  }

  #count(connection: Connection, change: 1 | -1): Connection {
    const { address } = connection.flow.peer;
    // A flow of which nobody says where it comes from is its giver's to bound.
    if (!connection.accepted || address === '') return connection;
    const vacant = (this.#vacant.get(address) ?? 0) + change;
    if (vacant > 0) this.#vacant.set(address, vacant);
    else this.#vacant.delete(address);
    return connection;
  }

  #restIfIdle(): void {
    if (this.#sessions.size > 0 || this.#connections.size > 0 || this.#interrupted.size > 0) return;
    this.#stopSweeping?.();
    this.#stopSweeping = undefined;
  }

  #sweep(): void {
    const now = this.now();
    for (const session of [...this.#sessions.values()]) session.sweep(now);
    for (const connection of [...this.#connections]) connection.sweep(now);
    for (const assembler of [...this.#interrupted]) {
      assembler.sweep(now);
      if (assembler.openMessages === 0) this.#interrupted.delete(assembler);
    }
    this.#restIfIdle();
  }
}
