/** MSRP on Node: everything of `grouptextchat/msrp`, and TCP and TLS. */
import type { TlsOptions } from 'node:tls';
import type { LocalAddress } from './contract.ts';
import { newEndpoint, type EndpointOptions, type MsrpEndpoint } from './endpoint.ts';
import { listenTcp, tcpDialer, type ListenOptions as TcpListenOptions } from './transport/tcp.ts';
import type { MsrpScheme } from './uri.ts';

export * from './index.ts';
export { certificateDigest, tcpDialer, type DialerOptions } from './transport/tcp.ts';

/** Where and how to listen, and what peers are told of it. */
export interface ListenOptions extends TcpListenOptions {
  /** What peers are told instead of host and port (RFC 6135 §4.2.2, RFC 4975 §8.1). */
  readonly advertise?: { readonly host?: string; readonly port?: number };
}

/** A listening port. */
export interface Listener {
  /** The port really bound. */
  readonly port: number;
  /** What to give `endpoint.session` as `at`: `msrp` unless given. */
  address(scheme?: MsrpScheme): LocalAddress;
  /** Replaces certificate and key for connections to come. */
  renew(tls: TlsOptions): void;
  /**
   * Takes no further connection; resolves when the last one is gone. `cutOff`: what is left after so many milliseconds is
   * cut off; unless given, it is waited for.
   */
  close(cutOff?: number): Promise<void>;
}

/** Listens, and gives `endpoint` what connects. Rejects when the port cannot be had. */
export async function listen(endpoint: MsrpEndpoint, options: ListenOptions): Promise<Listener> {
  const listener = await listenTcp(options, (flow) => endpoint.accept(flow));
  const { advertise = {} } = options;
  const { port } = listener;
  return {
    port,
    address: (scheme = 'msrp') => ({ scheme, host: advertise.host ?? options.host, port: advertise.port ?? port }),
    renew: (tls) => listener.renew(tls),
    close: (cutOff) => listener.close(cutOff),
  };
}

/** An endpoint with Node's scheduler and a TCP dialer, unless others are given. */
export function newNodeEndpoint(options: EndpointOptions = {}): MsrpEndpoint {
  return newEndpoint({ turn: setImmediate, dialer: tcpDialer(), ...options });
}
