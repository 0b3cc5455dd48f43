import { createSocket } from 'node:dgram';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { type Ended, run } from './programs.ts';

/** The transports that the scenarios run over, as Via names them. */
export const transports = ['UDP', 'TCP'] as const;
export type SippTransport = (typeof transports)[number];

/** Where ports are looked for: below those that the system gives to whoever asks for any. */
const range = { from: 20_000, to: 32_000 };
/** Where a port that is taken here is taken for all processes that run these tests. */
const registry = '127.0.0.254';

/** Takes a port for this process until it ends; false if another process, or this one, has taken it. */
function takes(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => {
      resolve(false);
    });
    server.listen(port, registry, () => {
      server.unref();
      resolve(true);
    });
  });
}

function binds(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const tcp = createServer();
    const udp = createSocket('udp4');
    const end = (free: boolean): void => {
      tcp.close();
      udp.close();
      resolve(free);
    };
    tcp.once('error', () => {
      end(false);
    });
    udp.once('error', () => {
      end(false);
    });
    tcp.listen(port, '127.0.0.1', () => {
      udp.bind(port, '127.0.0.1', () => {
        end(true);
      });
    });
  });
}

/** A port that nobody has on 127.0.0.1, for UDP and TCP. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = range.from + Math.floor(Math.random() * (range.to - range.from));
    if ((await takes(port)) && (await binds(port))) return port;
  }
}

/** Plays a scenario of `test/interop/sipp` once: as caller of `target`, or as the callee who listens at `port`. */
export async function sipp(
  scenario: string,
  transport: SippTransport,
  parts: { readonly port: number; readonly target: number; readonly service?: string },
): Promise<Ended> {
  return await run('sipp', [
    ...['-sf', `test/interop/sipp/${scenario}.xml`, '-t', transport === 'UDP' ? 'u1' : 't1'],
    ...['-i', '127.0.0.1', '-p', String(parts.port), '-cp', String(await freePort())],
    ...['-m', '1', '-nostdin', '-nd', '-timeout', '80', '-timeout_error'],
    ...['-s', parts.service ?? 'room', `127.0.0.1:${parts.target}`],
  ]);
}

/** Resolves when a socket is bound to that port of 127.0.0.1, as the system's table says. */
export async function bound(transport: SippTransport, port: number): Promise<void> {
  const entry = `0100007F:${port.toString(16).toUpperCase().padStart(4, '0')} 00000000:0000`;
  while (!(await readFile(`/proc/net/${transport.toLowerCase()}`, 'latin1')).includes(entry)) await pause(5);
}
