/** Listeners that would be in each other's way. */
import type { Contradiction } from './network.ts';
import type { Config } from './schema.ts';

/** Ports of TCP that two of the listeners want at one address; 0 is a port of its own for each. */
export function sharedPorts({ sip, msrp, http, tls }: Config): readonly Contradiction[] {
  const listeners = [
    { key: 'sip.port', of: 'sip.host', hosts: sip.host, port: sip.tcp ? sip.port : 0 },
    { key: 'sip.tls_port', of: 'sip.host', hosts: sip.host, port: tls.certificate === null ? 0 : (sip.tls_port ?? 0) },
    { key: 'msrp.port', of: 'msrp.host', hosts: msrp.host, port: msrp.port },
    { key: 'http.port', of: 'http.host', hosts: [http.host], port: http.port },
  ].filter(({ port }) => port !== 0);
  return listeners.flatMap((one, n) =>
    listeners.slice(0, n).flatMap((other): readonly Contradiction[] => {
      const place = one.hosts.find((host) => other.hosts.some((another) => isSame(host, another)));
      if (one.port !== other.port || place === undefined) return [];
      const message = `must be another than ${other.key}: both listen for TCP at port ${one.port} of ${place}`;
      return [{ keys: [one.key, other.key, one.of, other.of], message }];
    }),
  );
}

/** Whether one who listens at the one address listens at the other, too. */
function isSame(a: string, b: string): boolean {
  const [one, other] = [a, b].map((host) => (host === 'localhost' ? '127.0.0.1' : host));
  return (
    one === other || (a.includes(':') === b.includes(':') && [a, b].some((host) => host === '0.0.0.0' || host === '::'))
  );
}
