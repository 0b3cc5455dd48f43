/** MSRP on Node: everything of `grouptextchat/msrp`, and TCP and TLS. */
import type { TlsOptions } from 'node:tls';
import type { LocalAddress } from './contract.ts';
import type { EndpointOptions, MsrpEndpoint } from './endpoint.ts';
import type { Dialer } from './transport/flow.ts';
import type { ConnectionOptions } from 'node:tls';

export * from './index.ts';

export interface ListenOptions {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  /** Certificate and key: TLS and plain MSRP are then both served on the port, told apart by the first octet. */
  readonly tls?: TlsOptions;
  /** What peers are told instead of host and port (RFC 6135 §4.2.2). */
  readonly advertise?: { readonly host?: string; readonly port?: number };
  /** Connections accepted at most; 10,000 unless given. */
  readonly maxConnections?: number;
}

/** A listening port. */
export interface Listener {
  /** The port really bound. */
  readonly port: number;
  /** What to give `endpoint.session` as `at`. */
  address(scheme: 'msrp' | 'msrps'): LocalAddress;
  /** Replaces certificate and key for connections to come. */
  renew(tls: TlsOptions): void;
  /** Takes no further connection. */
  close(): Promise<void>;
}

/** Listens, and gives `endpoint` what connects. Rejects when the port cannot be had. */
export function listen(endpoint: MsrpEndpoint, options: ListenOptions): Promise<Listener> {
  throw new Error(`comes with the next commit (${typeof endpoint}, ${typeof options})`);
}

/** Connects by TCP, and by TLS for `msrps`: the certificate must fit the host (RFC 4975 §5.4) unless `tls` says else. */
export function tcpDialer(options: { readonly tls?: ConnectionOptions; readonly timeout?: number } = {}): Dialer {
  throw new Error(`comes with the next commit (${typeof options})`);
}

/** An endpoint with Node's scheduler and the TCP dialer. */
export function newNodeEndpoint(options: EndpointOptions = {}): MsrpEndpoint {
  throw new Error(`comes with the next commit (${typeof options})`);
}
