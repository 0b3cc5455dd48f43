import { networkInterfaces } from 'node:os';

/** What peers are told instead of where we listen. */
export interface Advertised {
  readonly host: string | null;
  readonly port: number | null;
}

/** Whether two literals are both of IPv6, or both of IPv4. */
export function isSameFamily(one: string, other: string): boolean {
  return one.includes(':') === other.includes(':');
}

/** The host that peers are given: the advertised one, else the one bound, else the first address of this machine, if it can be of its family. */
export function reachableHost(bound: string, advertise: Advertised): string {
  if (advertise.host !== null) return advertise.host;
  if (!isAny(bound)) return bound;
  const addresses = machineAddresses();
  const own = addresses.find((address) => isSameFamily(address, bound));
  return own ?? addresses[0] ?? '127.0.0.1';
}

/** The host in the URIs of rooms inside and in the room log, whatever is configured. */
export const LASTING_NAME = 'localhost';

/**
 * The names under which rooms of a service that listens there may be dialled. The first is the lasting one: it does not
 * depend on the configuration, since the logs of the rooms hang on it.
 */
export function servedNames(
  machine: string,
  configured: readonly string[],
  bound: { readonly host: readonly string[]; readonly advertise: Advertised },
): readonly [string, ...string[]] {
  const hosts = bound.host.flatMap((host) => (isAny(host) ? machineAddresses() : [host]));
  if (bound.advertise.host !== null) hosts.push(bound.advertise.host);
  return [LASTING_NAME, '127.0.0.1', '[::1]', machine, ...configured, ...hosts.map(bracketed)];
}

/** An IPv6 address in the brackets it has in URIs. */
export function bracketed(host: string): string {
  return host.includes(':') && !host.startsWith('[') ? `[${host}]` : host;
}

/** Whether a listener at this host takes what comes to any address of the machine. */
export function isAny(host: string): boolean {
  return host === '0.0.0.0' || host === '::';
}

/** Addresses by which other machines may reach this one. */
function machineAddresses(): readonly string[] {
  return Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter(({ internal, address }) => !internal && !address.startsWith('fe80:'))
    .map(({ address }) => address);
}
