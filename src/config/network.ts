/** A server that the network can reach must be protected, or its operator must have said otherwise in words. */
import type { KeyPath } from './keys.ts';
import { OPENLY, type Config } from './schema.ts';
import { isLoopback } from './units.ts';

/** What is missing before the configuration may be used beyond this machine; empty if nothing is. */
export function openToNetwork(config: Config): readonly { readonly path: KeyPath; readonly message: string }[] {
  const hosts = [
    ...config.sip.host.map((host) => ['sip', host] as const),
    ...config.msrp.host.map((host) => ['msrp', host] as const),
    ['http', config.http.host] as const,
  ];
  const [exposed, host] = hosts.find(([, host]) => !isLoopback(host)) ?? [];
  if (exposed === undefined) return [];
  const reached = `${exposed}.host ${host} can be reached from the network`;
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
      path: [exposed, 'host'],
      message: `${reached}, and ${because}: set ${instead}, or say open_to_network: [${words}]`,
    }));
}
