import { hostname } from 'node:os';
import type { Config } from '../config/schema.ts';
import { bracketed, isAny } from '../service/addresses.ts';

/** The name under which people are told to dial the rooms. */
export function dialledDomain({ domains, sip }: Config): string {
  const host = sip.advertise.host ?? sip.host[0] ?? '127.0.0.1';
  return domains[0] ?? (isAny(host) ? hostname() : bracketed(host));
}
