import type {
  Clock,
  Flow,
  NextHop,
  Target,
  TransportHandlers,
  TransportLayer,
  TransportName,
} from '../../sip/index.ts';

/** Time that passes only when a test says so; timers fire in their order. */
export class FakeClock implements Clock {
  #now = 1_000_000;
  #sequence = 0;
  readonly #heap: { at: number; order: number; fire: (() => void) | undefined }[] = [];

  now(): number {
    return this.#now;
  }

  /** Timers that would still fire. */
  get waiting(): number {
    return this.#heap.filter((timer) => timer.fire !== undefined).length;
  }

  after(ms: number, fire: () => void): { stop(): void } {
    const timer: { at: number; order: number; fire: (() => void) | undefined } = {
      at: this.#now + ms,
      order: this.#sequence++,
      fire,
    };
    const heap = this.#heap;
    let child = heap.push(timer) - 1;
    while (child > 0) {
      const parent = (child - 1) >> 1;
      if (!this.#earlier(child, parent)) break;
      this.#swap(child, parent);
      child = parent;
    }
    return {
      stop: () => {
        timer.fire = undefined;
      },
    };
  }

  /** Time that is used up by work: it passes, but nothing fires. */
  pass(ms: number): void {
    this.#now += ms;
  }

  /** Lets time pass; what becomes due fires in order, also what is set meanwhile. */
  advance(ms: number): void {
    const end = this.#now + ms;
    for (;;) {
      const first = this.#heap[0];
      if (first === undefined || first.at > end) break;
      this.#pop();
      this.#now = Math.max(this.#now, first.at);
      first.fire?.();
    }
    this.#now = end;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    heap[0] = last;
    for (let parent = 0; ;) {
      let child = parent * 2 + 1;
      if (child >= heap.length) return;
      if (child + 1 < heap.length && this.#earlier(child + 1, child)) child++;
      if (!this.#earlier(child, parent)) return;
      this.#swap(child, parent);
      parent = child;
    }
  }

  #earlier(a: number, b: number): boolean {
    const [left, right] = [this.#heap[a], this.#heap[b]];
    if (left === undefined || right === undefined) return false;
    return left.at < right.at || (left.at === right.at && left.order < right.order);
  }

  #swap(a: number, b: number): void {
    const [left, right] = [this.#heap[a], this.#heap[b]];
    if (left === undefined || right === undefined) return;
    this.#heap[a] = right;
    this.#heap[b] = left;
  }
}

/** A pseudo-random number in [0, 1) after another, the same for the same seed. */
export function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

/** One message in the network. */
export interface Packet {
  readonly from: string;
  readonly to: string;
  readonly bytes: Buffer;
}

export interface NetworkOptions {
  readonly clock: Clock;
  readonly transport?: TransportName;
  /** Milliseconds from send to receive; a function lets packets overtake each other. Default 10. */
  readonly delay?: number | (() => number);
  /** Whether this packet gets lost. */
  readonly loses?: (packet: Packet) => boolean;
  readonly seen?: (packet: Packet) => void;
}

/** A network in memory: hosts by address, one port each. */
export class Network {
  readonly options: NetworkOptions;
  readonly hosts = new Map<string, Host>();

  constructor(options: NetworkOptions) {
    this.options = options;
  }

  /** A transport layer for the host of that address; to be given to a user agent. */
  host(address: string): (handlers: TransportHandlers) => Host {
    return (handlers) => {
      const host = new Host(this, address, handlers);
      this.hosts.set(address, host);
      return host;
    };
  }

  carry(packet: Packet): void {
    const { clock, delay = 10, loses, seen } = this.options;
    seen?.(packet);
    if (loses?.(packet) === true) return;
    clock.after(typeof delay === 'number' ? delay : delay(), () => {
      const host = this.hosts.get(packet.to);
      host?.handlers.receive(packet.bytes, host.flowTo(packet.from));
    });
  }
}

/** One host of the network as a transport layer. */
export class Host implements TransportLayer {
  readonly network: Network;
  readonly address: string;
  readonly handlers: TransportHandlers;
  readonly flows = new Map<string, MemoryFlow>();
  maxUdpRequestBytes = 1300;

  constructor(network: Network, address: string, handlers: TransportHandlers) {
    this.network = network;
    this.address = address;
    this.handlers = handlers;
  }

  flowTo(address: string): MemoryFlow {
    const known = this.flows.get(address);
    if (known?.open === true) return known;
    const flow = new MemoryFlow(this, address);
    this.flows.set(address, flow);
    return flow;
  }

  locate(hop: NextHop, _bytes: number, found: Parameters<TransportLayer['locate']>[2]): void {
    const transport = this.network.options.transport ?? 'UDP';
    if (!this.network.hosts.has(hop.host)) found({ failed: 'unresolvable', reason: `no host ${hop.host}` });
    else found([{ transport, remote: { address: hop.host, port: 5060 }, serverName: hop.host }]);
  }

  connect(target: Target, connected: Parameters<TransportLayer['connect']>[1]): void {
    connected(this.flowTo(target.remote.address));
  }

  respond(flow: Flow, _via: unknown, message: Uint8Array): void {
    flow.send(message);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

let flows = 0;

export class MemoryFlow implements Flow {
  readonly id = `memory-${String(++flows)}`;
  readonly transport: TransportName;
  readonly reliable: boolean;
  readonly secure: boolean;
  readonly local: { address: string; port: number };
  readonly remote: { address: string; port: number };
  readonly advertised: { host: string; port: number };
  open = true;
  queued = 0;
  readonly #host: Host;

  constructor(host: Host, to: string) {
    this.#host = host;
    this.transport = host.network.options.transport ?? 'UDP';
    this.reliable = this.transport !== 'UDP';
    this.secure = this.transport === 'TLS' || this.transport === 'WSS';
    this.local = { address: host.address, port: 5060 };
    this.remote = { address: to, port: 5060 };
    this.advertised = { host: host.address, port: 5060 };
  }

  send(message: Uint8Array): boolean {
    if (!this.open) return false;
    this.#host.network.carry({ from: this.local.address, to: this.remote.address, bytes: Buffer.from(message) });
    return true;
  }

  close(reason: string): void {
    this.open = false;
    this.#host.handlers.flowClosed(this, reason);
  }
}
