import type { Address, NextHop, Target, TransportFailure, TransportName, ViaAddress } from './transport/flow.ts';

/** One NAPTR record (RFC 3403 §4). */
export interface NaptrRecord {
  readonly order: number;
  readonly preference: number;
  readonly flags: string;
  readonly service: string;
  readonly replacement: string;
}

/** One SRV record (RFC 2782). */
export interface SrvRecord {
  readonly priority: number;
  readonly weight: number;
  readonly port: number;
  readonly target: string;
}

/**
 * The DNS as RFC 3263 asks it. A name without such records is an empty list; only a failure to ask (no server, no
 * answer in time, too many questions at once) rejects.
 */
export interface Dns {
  naptr(name: string): Promise<readonly NaptrRecord[]>;
  srv(name: string): Promise<readonly SrvRecord[]>;
  /** A and AAAA records together, in the order in which they should be tried. */
  addresses(name: string): Promise<readonly string[]>;
}

/** The transports that a client can open. WebSockets are opened towards us only (RFC 7118 §5.5). */
type Dialled = 'UDP' | 'TCP' | 'TLS';

/** What a resolver must know of its host. */
export interface ResolverOptions {
  readonly dns: Dns;
  /** Whether this host can send by that transport to that IP version now. */
  readonly supports: (transport: TransportName, family: 4 | 6) => boolean;
  /** See `TransportLimits`. */
  readonly maxUdpRequestBytes: number;
  /** Addresses tried at most for one next hop. Default 16. */
  readonly maxTargets?: number;
  /** Random number in [0, 1), for SRV weights. */
  readonly random?: () => number;
}

interface Place {
  readonly transport: Dialled;
  readonly host: string;
  readonly port: number;
}

/** The port of a transport when none is said (RFC 3261 §19.1.2, RFC 7118 §5.5). */
export function defaultPort(transport: TransportName): number {
  switch (transport) {
    case 'TLS':
      return 5061;
    case 'WS':
      return 80;
    case 'WSS':
      return 443;
    case 'UDP':
    case 'TCP':
      return 5060;
  }
}

/** Which IP version a literal is (IPv6 with or without its brackets); undefined for a name. */
export function ipFamily(host: string): 4 | 6 | undefined {
  if (/^\d{1,3}(?:\.\d{1,3}){3}$/.test(host)) return 4;
  return host.includes(':') ? 6 : undefined;
}

/** `[2001:db8::1]` → `2001:db8::1`; anything else stays. */
export function withoutBrackets(host: string): string {
  return host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host;
}

/**
 * Sorts SRV records into the order to try them: by priority, and within one priority by weighted chance (RFC 2782,
 * "Usage rules").
 */
export function orderSrv(records: readonly SrvRecord[], random: () => number): SrvRecord[] {
  const priorities = [...new Set(records.map((record) => record.priority))].sort((a, b) => a - b);
  return priorities.flatMap((priority) =>
    drawByWeight(
      records.filter((record) => record.priority === priority),
      random,
    ),
  );
}

function drawByWeight(records: readonly SrvRecord[], random: () => number): SrvRecord[] {
  // Those of weight 0 stand first, so that they keep a small chance beside heavier ones.
  const left = [...records].sort((a, b) => Math.sign(a.weight) - Math.sign(b.weight));
  const drawn: SrvRecord[] = [];
  while (left.length > 0) {
    const sum = left.reduce((total, record) => total + record.weight, 0);
    const mark = Math.floor(random() * (sum + 1));
    let running = 0;
    const index = left.findIndex((record) => (running += record.weight) >= mark);
    drawn.push(...left.splice(Math.max(index, 0), 1));
  }
  return drawn;
}

/** Locates SIP servers (RFC 3263): a next hop or a Via becomes the addresses to try, in order. */
export class Resolver {
  readonly #dns: Dns;
  readonly #supports: (transport: TransportName, family: 4 | 6) => boolean;
  readonly #maxUdpRequestBytes: number;
  readonly #maxTargets: number;
  readonly #random: () => number;

  constructor(options: ResolverOptions) {
    this.#dns = options.dns;
    this.#supports = options.supports;
    this.#maxUdpRequestBytes = options.maxUdpRequestBytes;
    this.#maxTargets = options.maxTargets ?? 16;
    this.#random = options.random ?? Math.random;
  }

  /**
   * RFC 3263 §4: where a request of so many bytes is to go. `found` is called at once for a numeric host.
   * A request too large for UDP is tried over TCP first at each address (RFC 3261 §18.1.1).
   */
  locate(hop: NextHop, bytes: number, found: (targets: readonly Target[] | TransportFailure) => void): void {
    const give = (places: readonly Place[]): void => {
      const targets = this.#targets(places, hop.host, bytes);
      found(targets.length > 0 ? targets : unresolvable(`nothing to try for ${describe(hop)}`));
    };
    const transport = this.#stated(hop);
    if (transport === 'unsupported') {
      found(unresolvable(`no such transport for ${describe(hop)}`));
    } else if (ipFamily(hop.host) !== undefined) {
      const by = transport ?? this.#usual(hop.secure, ipFamily(hop.host) ?? 4);
      give([{ transport: by, host: withoutBrackets(hop.host), port: hop.port ?? defaultPort(by) }]);
    } else {
      void this.#places(hop, transport)
        .then((places) => this.#numeric(places))
        .then(give, (error: unknown) => {
          found(unresolvable(`${describe(hop)}: ${String(error)}`));
        });
    }
  }

  /**
   * RFC 3263 §5: where a response goes when the way of its request is gone and `received` did not help: by the sent-by.
   * Responses do not change the transport, whatever their size.
   */
  locateSentBy(via: ViaAddress, found: (targets: readonly Target[] | TransportFailure) => void): void {
    const transport = via.transport.toUpperCase();
    if (transport !== 'UDP' && transport !== 'TCP' && transport !== 'TLS') {
      found(unresolvable(`a response cannot open a connection over ${via.transport}`));
      return;
    }
    const hop = {
      secure: transport === 'TLS',
      host: via.host,
      port: via.port,
      transport: transport === 'TLS' ? 'tcp' : transport.toLowerCase(),
    };
    this.locate(hop, 0, found);
  }

  /** §4.1, first rule: the transport that the URI says. */
  #stated(hop: NextHop): Dialled | 'unsupported' | undefined {
    switch (hop.transport) {
      case undefined:
        return hop.secure ? 'TLS' : undefined;
      case 'tls':
        return 'TLS';
      case 'tcp':
        return hop.secure ? 'TLS' : 'TCP';
      case 'udp':
        // There is no TLS over UDP (RFC 3263 §4.1).
        return hop.secure ? 'unsupported' : 'UDP';
      default:
        return 'unsupported';
    }
  }

  /** §4.1: the transport where nothing says which; a host without UDP sends by TCP. */
  #usual(secure: boolean, family: 4 | 6): Dialled {
    if (secure) return 'TLS';
    return this.#supports('UDP', family) ? 'UDP' : 'TCP';
  }

  #dials(transport: Dialled): boolean {
    return this.#supports(transport, 4) || this.#supports(transport, 6);
  }

  /** §4.1 and §4.2 for a host that is a name. */
  async #places(hop: NextHop, stated: Dialled | undefined): Promise<readonly Place[]> {
    const fallback = stated ?? (this.#dials('UDP') ? 'UDP' : 'TCP');
    if (hop.port !== undefined) return [{ transport: fallback, host: hop.host, port: hop.port }];
    // A stated transport forgoes NAPTR; `sips:` alone does not, since its services are filtered instead.
    const found =
      hop.transport === undefined
        ? await this.#byDiscovery(hop)
        : await this.#bySrv(`${srvPrefix(fallback)}${hop.host}`, fallback);
    return found.length > 0 ? found : [{ transport: fallback, host: hop.host, port: defaultPort(fallback) }];
  }

  /** NAPTR, and where there is none the SRV records of each transport we know. */
  async #byDiscovery(hop: NextHop): Promise<readonly Place[]> {
    const services = (await this.#dns.naptr(hop.host))
      .flatMap((record) => {
        const transport = naptrTransport(record);
        const fits = transport !== undefined && this.#dials(transport) && (!hop.secure || transport === 'TLS');
        return fits ? [{ record, transport }] : [];
      })
      .sort((a, b) => a.record.order - b.record.order || a.record.preference - b.record.preference);
    for (const { record, transport } of services) {
      const places = await this.#bySrv(record.replacement, transport);
      if (places.length > 0) return places;
    }
    // The client may choose among what the server offers: TCP first, since a NOTIFY is often larger than a datagram.
    const wanted = hop.secure ? (['TLS'] as const) : (['TCP', 'UDP'] as const);
    const asked = wanted.filter((transport) => this.#dials(transport));
    const lists = await Promise.all(
      asked.map((transport) => this.#bySrv(`${srvPrefix(transport)}${hop.host}`, transport)),
    );
    return lists.flat();
  }

  async #bySrv(name: string, transport: Dialled): Promise<readonly Place[]> {
    const records = (await this.#dns.srv(name)).filter((record) => record.target !== '.' && record.target !== '');
    return orderSrv(records, this.#random)
      .slice(0, this.#maxTargets)
      .map((record) => ({ transport, host: record.target, port: record.port }));
  }

  /** Names become addresses, in order. A name whose lookup fails is passed over while another is left. */
  async #numeric(places: readonly Place[]): Promise<Place[]> {
    const lists = await Promise.allSettled(
      places.map(async (place) =>
        ipFamily(place.host) === undefined ? await this.#dns.addresses(place.host) : [withoutBrackets(place.host)],
      ),
    );
    const numeric = places.flatMap((place, index) => {
      const list = lists[index];
      return list?.status === 'fulfilled' ? list.value.map((host) => ({ ...place, host })) : [];
    });
    const failure = lists.find((list) => list.status === 'rejected');
    if (numeric.length === 0 && failure !== undefined) throw failure.reason;
    return numeric;
  }

  /** The addresses that this host can reach, each with the transports to try there. */
  #targets(places: readonly Place[], serverName: string, bytes: number): Target[] {
    const targets: Target[] = [];
    for (const place of places) {
      const family = ipFamily(place.host);
      if (family === undefined) continue;
      const remote: Address = { address: place.host, port: place.port };
      const tooLarge = place.transport === 'UDP' && bytes > this.#maxUdpRequestBytes;
      for (const transport of tooLarge ? (['TCP', 'UDP'] as const) : [place.transport]) {
        if (this.#supports(transport, family)) {
          targets.push({ transport, remote, serverName: withoutBrackets(serverName) });
        }
      }
    }
    return targets.slice(0, this.#maxTargets);
  }
}

function naptrTransport(record: NaptrRecord): Dialled | undefined {
  if (record.flags.toLowerCase() !== 's') return undefined;
  switch (record.service.toUpperCase()) {
    case 'SIP+D2U':
      return 'UDP';
    case 'SIP+D2T':
      return 'TCP';
    case 'SIPS+D2T':
      return 'TLS';
    default:
      return undefined;
  }
}

function srvPrefix(transport: Dialled): string {
  switch (transport) {
    case 'TLS':
      return '_sips._tcp.';
    case 'TCP':
      return '_sip._tcp.';
    case 'UDP':
      return '_sip._udp.';
  }
}

function describe(hop: NextHop): string {
  const port = hop.port === undefined ? '' : `:${hop.port}`;
  const transport = hop.transport === undefined ? '' : `;transport=${hop.transport}`;
  return `${hop.secure ? 'sips' : 'sip'}:${hop.host}${port}${transport}`;
}

function unresolvable(reason: string): TransportFailure {
  return { failed: 'unresolvable', reason };
}
