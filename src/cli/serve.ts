/** `grouptextchat serve`: the service as a process, with its signals. */
import { ConfigError, formatFault } from '../config/faults.ts';
import type { Config } from '../config/schema.ts';
import { isLoopback } from '../config/units.ts';
import { suitHeap } from '../ops/heap.ts';
import { Logger } from '../ops/logger.ts';
import { dialledDomain } from '../service/dialled.ts';
import { startService, type ServedAddress, type Service } from '../service.ts';

/** How much longer than the configuration allows a stop may take before it is forced, in milliseconds. */
const LAST_RESORT = 900;

/** Serves until a signal ends it. `load` reads the configuration, now and again on SIGHUP. */
export async function serve(load: () => Config, version: string): Promise<void> {
  const config = load();
  suitHeap();
  const log = Logger.create(config.logging);
  const starting = startService({ config, log });
  // Also while it starts, which can take long where an old log is brought to its new form: the signal would end the process.
  process.on('SIGHUP', () => {
    void starting.then(
      (service) => reload(load, service, log),
      () => undefined,
    );
  });
  const service = await starting;
  const leave = leaver(service, config.shutdown + LAST_RESORT, log);
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      log.info('stopping', { signal });
      process.once('SIGINT', () => process.exit(1));
      process.once('SIGTERM', () => process.exit(1));
      leave(0);
    });
  }
  // Nobody knows what state is left, so nothing is taken any more; but people are told, and what was said is kept.
  process.on('uncaughtException', (fault) => {
    log.error('a fault of this program: stopping, to be started again', { fault: fault.stack ?? String(fault) });
    leave(1);
  });
  process.stdout.write(greeting(config, service.addresses, version));
}

/** Ends the service and then the process, once: with this code, or with 1 if it takes longer than so many milliseconds. */
function leaver(service: Service, within: number, log: Logger): (code: number) => void {
  let leaving = false;
  return (code) => {
    if (leaving) return;
    leaving = true;
    setTimeout(() => {
      log.error('not everything could be ended in time');
      process.exit(1);
    }, within).unref();
    void service.close().then(() => {
      log.info('stopped');
      process.exit(code);
    });
  };
}

/** Takes a changed configuration over, as far as that goes without a restart; one with faults changes nothing. */
function reload(load: () => Config, service: Service, log: Logger): void {
  let config: Config;
  try {
    config = load();
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    for (const fault of error.faults) log.error('the configuration is not taken over', { fault: formatFault(fault) });
    return;
  }
  const { reloadable, fixed, unusable = [] } = service.reload(config);
  log.setLevel(config.logging.level);
  for (const key of reloadable) log.info('taken over', { key });
  for (const key of fixed) log.warn('needs a restart', { key });
  for (const key of unusable) log.error('not taken over', { key });
  if (reloadable.length + fixed.length + unusable.length === 0) log.info('the configuration has not changed');
}

/** What is printed when all is well: where the service is, and how to use it. */
export function greeting(config: Config, addresses: readonly ServedAddress[], version: string): string {
  const sip = addresses.find(({ protocol }) => protocol === 'SIP');
  const http = addresses.find(({ protocol }) => protocol === 'HTTP');
  const scheme = config.http.tls ? ['https', 'wss'] : ['http', 'ws'];
  const domain = dialledDomain(config);
  const room = config.rooms.on_demand ? 'lobby' : Object.keys(config.rooms.named)[0];
  const port = config.sip.advertise.port ?? sip?.port ?? 5060;
  const web = http === undefined ? '' : `${hostOf(http.host)}:${http.port}`;
  const server = http === undefined || http.port === 8080 ? '' : ` --server ${scheme[1]}://${web}/ws`;
  const lines = [
    `grouptextchat ${version} is serving`,
    '',
    ...served(addresses),
    ...(http === undefined
      ? []
      : [
          row('WebSocket', `${scheme[1]}://${web}/ws (SIP and MSRP)`),
          row('State', `${scheme[0]}://${web}/health and /metrics`),
        ]),
    '',
    ...(room === undefined
      ? NO_ROOM
      : howToTalk(config, `${room}@${domain}${port === 5060 ? '' : `:${port}`}`, server)),
    '',
    addresses.every(({ host }) => isLoopback(host))
      ? 'Only this machine can reach it. To open it to a network, start with --config FILE;\nconfig/production.example.yaml is such a file, config/default.yaml explains every key.'
      : 'The network can reach it.',
    '',
  ];
  return `${lines.join('\n')}\n`;
}

/** How to try the room with this address: `user@host[:port]`. */
function howToTalk({ auth, rooms }: Config, address: string, server: string): readonly string[] {
  const uri = `sip:${address}`;
  const domain = address.replace(/^.*@|:\d+$/g, '');
  const open = auth.mode === 'open';
  const people = open ? ['--name Alice', '--name Bob'] : ['alice', 'bob'].map((name) => `--as sip:${name}@${domain}`);
  return [
    `${rooms.on_demand ? 'Every name is a room. ' : ''}Try ${uri}, from two more terminals${
      open ? '' : ', as users made by `grouptextchat user add`,\nwith their passwords in GTC_PASSWORD'
    }:`,
    '',
    ...people.map((who) => `  npx grouptextchat chat ${uri}${server} ${who}`),
    '',
    `or see who is there: npx grouptextchat watch ${uri}${server}`,
  ];
}

const NO_ROOM = [
  'There is no room: no name is configured as one, and calling a name makes none. Name one under rooms.named',
  '(--set rooms.named.lobby.permanent=true), or let every name be a room (rooms.on_demand: true).',
];

/** One line for each protocol and address. */
function served(addresses: readonly ServedAddress[]): readonly string[] {
  const transports = new Map<string, string[]>();
  for (const { protocol, transport, host, port } of addresses) {
    if (protocol === 'HTTP') continue;
    const key = row(protocol, `${hostOf(host)}:${port}`);
    transports.set(key, [...(transports.get(key) ?? []), transport]);
  }
  return [...transports].map(([key, names]) => `${key} (${names.join(', ')})`);
}

const row = (name: string, value: string): string => `  ${name.padEnd(11)}${value}`;

const hostOf = (address: string): string => (address.includes(':') ? `[${address}]` : address);
