/** The wiring of the running service. */
import { HttpServer } from './ops/http.ts';
import type { Logger } from './ops/logger.ts';
import { Metrics } from './ops/metrics.ts';
import type { ConfigChange } from './config/reload.ts';
import { compareConfigs } from './config/reload.ts';
import type { Config } from './config/schema.ts';

/** One address that the service listens at. */
export interface ServedAddress {
  readonly protocol: 'SIP' | 'MSRP' | 'HTTP';
  /** How it is spoken there, for people: `UDP`, `TCP`, `plain and TLS`. */
  readonly transport: string;
  readonly host: string;
  readonly port: number;
}

/** What a service is made from. */
export interface ServiceOptions {
  readonly config: Config;
  readonly log: Logger;
}

/** A running service. */
export interface Service {
  readonly addresses: readonly ServedAddress[];
  /** Takes over what can be taken over without a restart, and says what that was and what not. */
  reload(config: Config): ConfigChange;
  /** Says goodbye to everybody, keeps what is not kept yet, and gives all sockets back. */
  close(): Promise<void>;
}

/** Starts the service. Rejects, with nothing left open, when an address cannot be listened at. */
export async function startService({ config, log }: ServiceOptions): Promise<Service> {
  const http = new HttpServer(
    { host: config.http.host, port: config.http.port, origins: config.http.origins },
    { health: () => ({ well: true }), webSocket: (_protocol, socket) => socket.close(1013) },
    new Metrics(),
    log.child('http'),
  );
  const { address, port } = await http.listen();
  return {
    addresses: [{ protocol: 'HTTP', transport: 'TCP', host: address, port }],
    reload: (next) => compareConfigs(config, next),
    close: () => http.close(),
  };
}
