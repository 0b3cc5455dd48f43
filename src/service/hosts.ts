import type { Config } from '../config/schema.ts';
import { lookUp } from '../ops/machine.ts';

/** A host to listen at has no address. The message names the key. */
export class HostError extends Error {
  override readonly name = 'HostError';
}

/**
 * The configuration with addresses instead of the names of hosts to listen at: a name is looked up once, at the start,
 * so that SIP, MSRP and HTTP listen where it leads to now. Rejects with a `HostError`.
 */
export async function withAddresses(config: Config): Promise<Config> {
  const { sip, msrp, http } = config;
  const all = (key: string, hosts: readonly string[]): Promise<string[]> =>
    Promise.all(hosts.map((host) => addressOf(key, host)));
  return {
    ...config,
    sip: { ...sip, host: await all('sip.host', sip.host) },
    msrp: { ...msrp, host: await all('msrp.host', msrp.host) },
    http: { ...http, host: await addressOf('http.host', http.host) },
  };
}

async function addressOf(key: string, host: string): Promise<string> {
  try {
    return await lookUp(host);
  } catch (error) {
    const reason = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    throw new HostError(`${key}: no address of ${host} is known (${reason})`);
  }
}
