/** The kinds of values that people write in a configuration: durations, sizes, hosts, ports. */
import { z } from 'zod';

const MILLISECONDS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const OCTETS = { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3, kB: 1000, MB: 1000 ** 2, GB: 1000 ** 3 } as const;

/** A number and one of the units, as `amount × unit`; `undefined` if the text is nothing of the kind. */
function measure(text: string, units: Readonly<Record<string, number>>): number | undefined {
  const match = /^(\d+(?:\.\d+)?) ?([A-Za-z]+)$/.exec(text);
  const unit = units[match?.[2] ?? ''];
  const value = unit === undefined ? NaN : Math.round(Number(match?.[1]) * unit);
  return Number.isSafeInteger(value) ? value : undefined;
}

/** A duration as people write it (`500ms`, `30s`, `5m`, `12h`, `7d`; `0`), as milliseconds. */
export const duration = z
  .union([z.literal(0), z.string()], { error: 'expected a duration such as 30s' })
  .transform((given, context) => {
    const milliseconds = given === 0 || given === '0' ? 0 : measure(given, MILLISECONDS);
    if (milliseconds !== undefined) return milliseconds;
    context.addIssue({ code: 'custom', message: 'expected a duration with its unit (ms, s, m, h or d), such as 30s' });
    return z.NEVER;
  });

/** A duration that is more than 0. */
export const period = duration.refine((milliseconds) => milliseconds > 0, 'must be more than 0');

/** A size as people write it (`64KiB`, `10MB`, or a number of octets), as octets. */
export const size = z
  .union([z.number(), z.string()], { error: 'expected a size such as 64KiB' })
  .transform((given, context) => {
    const octets = typeof given === 'number' ? given : /^\d+$/.test(given) ? Number(given) : measure(given, OCTETS);
    if (octets !== undefined && Number.isSafeInteger(octets) && octets >= 0) return octets;
    context.addIssue({ code: 'custom', message: 'expected a size such as 64KiB, 10MiB or a number of octets' });
    return z.NEVER;
  });

/** A size of at least so many octets; `reason` says it in words. */
export const sizeFrom = (least: number, reason: string) => size.refine((octets) => octets >= least, reason);

/** A whole number of at least 1. */
export const count = z.int().min(1);

/** A port to listen on; 0 lets the system choose one. */
export const port = z.int().min(0).max(65_535);

const HOST_NAME = /^(?=.{1,253}$)(?!-)[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})*\.?$/;

/** An IP address (IPv6 without brackets) or a host name. */
export const host = z.union([z.ipv4(), z.ipv6(), z.string().regex(HOST_NAME)], {
  error: 'expected an IP address (IPv6 without brackets) or a host name',
});

/** One host or a list of them; comes out as a list. */
export const hosts = z.union([host.transform((one) => [one]), z.array(host).min(1)], {
  error: 'expected an IP address (IPv6 without brackets), a host name, or a list of them',
});

/** One IP address, or a network of them. */
export const network = z.union([z.ipv4(), z.ipv6(), z.cidrv4(), z.cidrv6()], {
  error: 'expected an IP address, or a network such as 10.0.0.0/8',
});

/** Whether a listener at this host is reached only from this machine. */
export function isLoopback(address: string): boolean {
  return (
    address === 'localhost' || address === '::1' || (address.startsWith('127.') && z.ipv4().safeParse(address).success)
  );
}
