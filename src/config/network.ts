/** A server that the network can reach must be protected, or its operator must have said otherwise in words. */
import { OPENLY, type Config } from './schema.ts';
import { isLoopback } from './units.ts';

/** Keys that do not go together, as dotted paths; the first is the one to change. */
export interface Contradiction {
  readonly keys: readonly [string, ...string[]];
  readonly message: string;
}

/** What is missing before the configuration may be used beyond this machine; empty if nothing is. */
export function openToNetwork(config: Config): readonly Contradiction[] {
  const hosts = [
    ...config.sip.host.map((host) => ['sip', host] as const),
    ...config.msrp.host.map((host) => ['msrp', host] as const),
    ['http', config.http.host] as const,
  ];
  const [exposed, host] = hosts.find(([, host]) => !isLoopback(host)) ?? [];
  if (exposed === undefined) return [];
  const reached = `${host} can be reached from the network`;
  const risks = [
    {
      taken: config.auth.mode === 'open',
      words: OPENLY.auth,
      because: 'auth.mode is open',
      instead: 'auth.mode: digest',
    },
    {
      taken: config.tls.certificate === null,
      words: OPENLY.tls,
      because: 'there is no certificate',
      instead: 'tls.certificate and tls.key',
    },
  ];
  return risks
    .filter(({ taken, words }) => taken && !config.open_to_network.includes(words))
    .map(({ words, because, instead }) => ({
      keys: [`${exposed}.host`, 'open_to_network', 'auth', 'tls'],
      message: `${reached}, and ${because}: set ${instead}, or say open_to_network: [${words}]`,
    }));
}
