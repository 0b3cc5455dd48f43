import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { type Ended, run } from './programs.ts';

/** The transports that the scenarios run over, as Via names them. */
export const transports = ['UDP', 'TCP'] as const;
export type SippTransport = (typeof transports)[number];

/** Ports handed out in this process: one that was free is not given twice. */
const given = new Set<number>();

/** A port that nobody has on 127.0.0.1, for UDP and TCP. */
export async function freePort(): Promise<number> {
  for (;;) {
    const tcp = createServer().listen(0, '127.0.0.1');
    await once(tcp, 'listening');
    const address = tcp.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const udp = createSocket('udp4');
    const free = await new Promise<boolean>((resolve) => {
      udp.once('error', () => {
        resolve(false);
      });
      udp.bind(port, '127.0.0.1', () => {
        resolve(true);
      });
    });
    udp.close();
    tcp.close();
    if (free && !given.has(port)) {
      given.add(port);
      return port;
    }
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
    ...['-m', '1', '-nostdin', '-nd', '-timeout', '15', '-timeout_error'],
    ...['-s', parts.service ?? 'room', `127.0.0.1:${parts.target}`],
  ]);
}

/** Resolves when a socket is bound to that port of 127.0.0.1, as the system's table says. */
export async function bound(transport: SippTransport, port: number): Promise<void> {
  const entry = `0100007F:${port.toString(16).toUpperCase().padStart(4, '0')} 00000000:0000`;
  while (!(await readFile(`/proc/net/${transport.toLowerCase()}`, 'latin1')).includes(entry)) await pause(5);
}
