import { createSocket } from 'node:dgram';
import type { RemoteInfo, Socket } from 'node:dgram';
import type { FlowContext } from './connection.ts';
import { isPort } from './advertise.ts';
import type { Address, Flow, HostPort } from './flow.ts';

/** What fits into one datagram: 65,535 bytes with IP and UDP headers (RFC 3261 §18.1.1). */
const largestDatagram = 65_507;
const CR = 13;
const LF = 10;
const SPACE = 32;

/** The facts of a bound UDP socket. */
export interface UdpFacts {
  readonly local: Address;
  /** What a peer at that address is told as our address. */
  readonly advertisedTo: (remote: string) => HostPort;
}

/** Binds a UDP socket. IPv6 and IPv4 are bound apart. */
export function bindUdp(host: string, port: number, family: 4 | 6): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = createSocket({
      type: family === 6 ? 'udp6' : 'udp4',
      ipv6Only: family === 6,
      recvBufferSize: 1_048_576,
      // All our addresses are numeric: nothing to look up, and nothing to wait for.
      lookup: (address, _options, callback) => {
        callback(null, address, family);
      },
    });
    socket.once('error', reject);
    socket.bind({ address: host, port }, () => {
      socket.off('error', reject);
      resolve(socket);
    });
  });
}

/** A bound UDP socket and the flows to the peers it has met. */
export class UdpListener {
  readonly local: Address;
  readonly #socket: Socket;
  readonly #facts: UdpFacts;
  readonly #context: FlowContext;
  readonly #flows = new Map<string, UdpFlow>();
  #open = true;

  constructor(socket: Socket, facts: UdpFacts, context: FlowContext) {
    this.local = facts.local;
    this.#socket = socket;
    this.#facts = facts;
    this.#context = context;
    socket.on('message', (datagram, from) => {
      this.#receive(datagram, from);
    });
    socket.on('error', (error) => {
      context.log.warn(`UDP socket: ${error.message}`, { port: facts.local.port });
    });
  }

  get open(): boolean {
    return this.#open;
  }

  /** The flow to a peer: the same object as long as the peer is remembered. */
  flowTo(remote: Address): UdpFlow {
    const key = `${remote.address} ${remote.port}`;
    const known = this.#flows.get(key);
    if (known !== undefined) return known;
    const flow = new UdpFlow(this, remote, this.#facts.advertisedTo(remote.address));
    this.#flows.set(key, flow);
    const oldest = this.#flows.keys().next();
    if (this.#flows.size > this.#context.limits.maxUdpPeers && !oldest.done) this.#flows.delete(oldest.value);
    return flow;
  }

  /** Forgets a peer. */
  forget(flow: UdpFlow, reason: string): void {
    const key = `${flow.remote.address} ${flow.remote.port}`;
    if (this.#flows.get(key) === flow) this.#flows.delete(key);
    this.#context.handlers.flowClosed(flow, reason);
  }

  /**
   * Sends one datagram, to the flow's peer or to another address. When the system has no way there, `failed` hears of
   * it, or else the flow is forgotten and the core told (RFC 3261 §18.4). An ICMP "unreachable" is not seen: the system
   * tells it to connected sockets only; the transaction's timers stand in for it.
   */
  send(flow: UdpFlow, message: Uint8Array, to: Address = flow.remote, failed?: (reason: string) => void): boolean {
    const { limits, log, trace } = this.#context;
    const queued = this.#open ? this.#socket.getSendQueueSize() : 0;
    const fits = message.length <= largestDatagram && queued + message.length <= limits.maxQueuedBytes;
    if (!this.#open || !fits || !isPort(to.port)) {
      log.warn('UDP message not sent', { flow: flow.id, bytes: message.length, queued, port: to.port });
      return false;
    }
    trace?.({ at: Date.now(), direction: 'out', flow, message, ...(to === flow.remote ? {} : { to }) });
    this.#socket.send(message, to.port, to.address, (error) => {
      if (error === null) return;
      log.warn(`UDP message not sent: ${error.message}`, { flow: flow.id });
      if (failed === undefined) this.forget(flow, error.message);
      else failed(error.message);
    });
    return true;
  }

  close(): Promise<void> {
    if (!this.#open) return Promise.resolve();
    this.#open = false;
    for (const flow of this.#flows.values()) this.#context.handlers.flowClosed(flow, 'the transport is closing');
    this.#flows.clear();
    return new Promise((resolve) => {
      this.#socket.close(resolve);
    });
  }

  #receive(datagram: Buffer, from: RemoteInfo): void {
    // Keep-alives: empty datagrams, CRLFs, a NUL, STUN. No SIP message begins with a control character.
    let start = 0;
    while (datagram[start] === CR || datagram[start] === LF) start += 1;
    if ((datagram[start] ?? 0) <= SPACE || from.port === 0) return;
    const message = start === 0 ? datagram : datagram.subarray(start);
    const flow = this.flowTo({ address: from.address, port: from.port });
    this.#context.trace?.({ at: Date.now(), direction: 'in', flow, message });
    this.#context.handlers.receive(message, flow);
  }
}

/** The way to one UDP peer. */
export class UdpFlow implements Flow {
  readonly transport = 'UDP';
  readonly reliable = false;
  readonly secure = false;
  readonly queued = 0;
  readonly id: string;
  readonly local: Address;
  readonly remote: Address;
  readonly advertised: HostPort;
  readonly #listener: UdpListener;

  constructor(listener: UdpListener, remote: Address, advertised: HostPort) {
    this.#listener = listener;
    this.local = listener.local;
    this.remote = remote;
    this.advertised = advertised;
    this.id = `udp-${listener.local.port}-${remote.address}-${remote.port}`;
  }

  get open(): boolean {
    return this.#listener.open;
  }

  /**
   * Deviation: RFC 3261 §18.1.1 wants a request of more than 1300 bytes to go over TCP. What is sent by a flow that the
   * peer has opened goes by that flow whatever its size, as IP fragments: a peer behind a NAT can be reached by no
   * other way, and its NOTIFYs would be lost.
   */
  send(message: Uint8Array): boolean {
    return this.#listener.send(this, message);
  }

  /** Sends a response to another address than the peer's, from the socket that got the request (RFC 3581 §4). */
  sendTo(to: Address, message: Uint8Array, failed: ((reason: string) => void) | undefined): boolean {
    return this.#listener.send(this, message, to, failed);
  }

  close(reason: string): void {
    this.#listener.forget(this, reason);
  }
}
