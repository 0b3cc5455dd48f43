import { isIP } from 'node:net';
import { networkInterfaces } from 'node:os';
import type { Address, HostPort } from './flow.ts';

/** What peers are told instead of the bound address, for a host behind NAT (Via sent-by, Contact). */
export interface Advertise {
  readonly host?: string;
  readonly port?: number;
}

const unspecified = new Set(['0.0.0.0', '::']);

/** Whether a socket bound there has no address of its own. */
export function isUnspecified(address: string): boolean {
  return unspecified.has(address);
}

/** Whether something can be sent to that port: a Via or an SRV record may say 0. */
export function isPort(port: number): boolean {
  return Number.isInteger(port) && port > 0 && port < 65_536;
}

/** Whether it is this host as seen by itself. */
export function isLoopback(address: string): boolean {
  return address === '::1' || address.startsWith('127.');
}

/** What a listener tells a peer, who reached it at `local`. */
export function advertisedAs(advertise: Advertise, bound: Address, local: string): HostPort {
  const host = advertise.host ?? (isUnspecified(bound.address) ? local : bound.address);
  return { host: isIP(host) === 6 ? `[${host}]` : host, port: advertise.port ?? bound.port };
}

/** Our address as a peer is likely to see it, for a datagram socket that is bound to all of them. */
export function ownAddress(remote: string): string {
  if (isLoopback(remote)) return remote;
  const family = isIP(remote);
  const linkLocal = remote.includes('%');
  const own = Object.values(networkInterfaces()).flatMap((entries) => entries ?? []);
  const fitting = own.find(
    (entry) =>
      !entry.internal &&
      entry.family === `IPv${family}` &&
      (family === 4 || entry.address.startsWith('fe80:') === linkLocal),
  );
  return fitting?.address ?? (family === 6 ? '::1' : '127.0.0.1');
}
