import { listen as listenMsrp, type LocalAddress, type Listener, type MsrpEndpoint } from '../../msrp/node.ts';
import type { Listening, ListenOptions, SocketTransport } from '../../sip/index.ts';
import type { Config } from '../config/schema.ts';
import type { MsrpPlaces } from '../focus/msrp-places.ts';
import type { AudioPlace } from '../focus/transport/silence.ts';
import { isLoopback } from '../config/units.ts';
import { bracketed, isAny, isSameFamily, reachableHost } from './addresses.ts';
import type { Certificates } from './certificates.ts';

/** One address that the service listens at. */
export interface ServedAddress {
  readonly protocol: 'SIP' | 'MSRP' | 'HTTP';
  /** How it is spoken there, for people: `UDP`, `TCP`, `plain and TLS`. */
  readonly transport: string;
  readonly host: string;
  readonly port: number;
}

/** How often another port is tried, where the system chooses it and the one of TCP is somebody else's of UDP. */
const PORT_TRIES = 10;

/** Listens for SIP at all that is configured. */
export async function listenSip(
  config: Config,
  certificates: Certificates,
  transport: Pick<SocketTransport, 'listen'>,
): Promise<readonly ServedAddress[]> {
  for (let tries = 1; ; tries += 1) {
    const opened: Listening[] = [];
    try {
      return await listenAt(config, certificates, async (options) => {
        const listening = await transport.listen(options);
        opened.push(listening);
        return listening;
      });
    } catch (fault) {
      const inUse = fault instanceof Error && 'code' in fault && fault.code === 'EADDRINUSE';
      if (!inUse || config.sip.port !== 0 || tries === PORT_TRIES) throw fault;
      for (const listening of opened) listening.close();
    }
  }
}

async function listenAt(
  config: Config,
  certificates: Certificates,
  listen: (options: ListenOptions) => Promise<Listening>,
): Promise<readonly ServedAddress[]> {
  const { port, tls_port, advertise } = config.sip;
  const served: ServedAddress[] = [];
  for (const host of config.sip.host) {
    // Where nothing is configured, each peer is told the address by which it reaches us.
    const advertised = {
      ...(advertise.host === null ? {} : { host: bracketed(advertise.host) }),
      ...(advertise.port === null ? {} : { port: advertise.port }),
    };
    // Where the system chooses the port, UDP and the other hosts share the one that the first was given.
    for (const name of ['TCP', 'UDP'] as const) {
      if (!(name === 'TCP' ? config.sip.tcp : config.sip.udp)) continue;
      const wanted = served[0]?.port ?? port;
      const bound = await listen({ transport: name, host, port: wanted, advertise: advertised });
      served.push({ protocol: 'SIP', transport: name, host, port: bound.port });
    }
    if (tls_port === null || certificates.current.selfSigned) continue;
    const bound = await listen({
      transport: 'TLS',
      host,
      port: tls_port,
      advertise: advertise.host === null ? {} : { host: bracketed(advertise.host) },
      certificate: certificates.current.tls,
    });
    certificates.follow(({ tls }) => {
      bound.renew(tls);
    });
    served.push({ protocol: 'SIP', transport: 'TLS', host, port: bound.port });
  }
  return served;
}

/** Where lines of audio are had: where SIP is. */
export function audioPlaces({ sip: { host: hosts, advertise } }: Config): readonly AudioPlace[] {
  return hosts.map((host) => {
    const isBetter = (local: string): boolean =>
      advertise.host === null && isAny(host) && isSameFamily(local, host) && !isLoopback(local);
    const isOther = LITERAL.test(advertise.host ?? '') && !isSameFamily(advertise.host ?? '', host);
    return {
      host,
      // Bound to every address: the best to give is the one by which the peer already reaches us, if it is no proxy here.
      advertised: (local) => (isBetter(local) ? local : reachableHost(host, isOther ? NOT_ADVERTISED : advertise)),
    };
  });
}

/** An IP address: a name may lead to one of each kind. */
const LITERAL = /^[0-9.]+$|:/;
const NOT_ADVERTISED = { host: null, port: null };

/** A listener for MSRP and the host it is bound to. */
export interface MsrpListener {
  readonly host: string;
  readonly listener: Listener;
}

/** Listens for MSRP at one host, plain and with TLS. */
export async function listenMsrpAt(
  host: string,
  port: number,
  config: Config,
  certificates: Certificates,
  endpoint: MsrpEndpoint,
): Promise<MsrpListener> {
  const { advertise } = config.msrp;
  const listener = await listenMsrp(endpoint, {
    host,
    port,
    // `::` alone is IPv4, too; beside an IPv4 address it would be in its way.
    ipv6Only: config.msrp.host.some((each) => !each.includes(':')),
    tls: certificates.current.tls,
    advertise: {
      host: reachableHost(host, advertise),
      ...(advertise.port === null ? {} : { port: advertise.port }),
    },
  });
  certificates.follow(({ tls }) => {
    listener.renew(tls);
  });
  return { host, listener };
}

/** Where chat sessions are offered: at the listener that is nearest to where the peer's SIP came in. */
export function msrpPlaces(
  config: Config,
  certificates: Certificates,
  listeners: readonly MsrpListener[],
  http: { readonly address: string; readonly port: number },
): MsrpPlaces {
  const { advertise } = config.msrp;
  const tcpAt = (scheme: 'msrp' | 'msrps', local: string): LocalAddress | undefined => {
    const ipv6 = local.includes(':');
    const { host, listener } =
      listeners.find(({ host }) => host === local) ??
      listeners.find(({ host }) => isAny(host) && host.includes(':') === ipv6) ??
      listeners[0] ??
      {};
    if (host === undefined || listener === undefined) return undefined;
    const address = listener.address(scheme);
    // Bound to every address: the one by which the peer already reaches us is the best to give.
    return isAny(host) && advertise.host === null ? { ...address, host: local } : address;
  };
  return {
    at: (scheme, transport, local) => {
      if (transport === 'tcp') return tcpAt(scheme, local);
      if (transport !== 'ws') return undefined;
      // RFC 7977 §5.2.2: over WebSocket the path says `ws`; the client connects to the URL it knows, not to the path.
      return { scheme, host: isAny(http.address) ? local : http.address, port: http.port, transport };
    },
    get fingerprints() {
      return certificates.current.fingerprints;
    },
    maxSize: config.msrp.max_message,
  };
}
