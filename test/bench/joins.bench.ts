/**
 * A storm of joins: how long it takes for N to be in the room while W watch its roster, how many NOTIFYs that costs, how
 * long the server's event loop was held at most, while all W subscribe at once and from then on, and what an idle
 * participant (dialog, MSRP session, subscription) costs in memory. The server is a process of its own.
 *
 *   node dist/test/bench/joins.bench.js
 */
import { type ChildProcess, fork } from 'node:child_process';
import { connect, type Socket } from 'node:net';
import type { Ready, Usage } from './fanout/cpu.ts';
import { dialRoom, notified, watchRoom } from './fanout/dial.ts';

const hear = (child: ChildProcess): Promise<unknown> => new Promise((resolve) => child.once('message', resolve));

async function usage(child: ChildProcess): Promise<Usage> {
  const answer = hear(child);
  child.send('usage');
  return (await answer) as Usage;
}

async function bind(port: number, own: string, room: string): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  socket.write(
    `MSRP bindbindbind SEND\r\nTo-Path: ${room}\r\nFrom-Path: ${own}\r\nMessage-ID: bind1234\r\n` +
      'Byte-Range: 1-0/0\r\n-------bindbindbind$\r\n',
  );
  await new Promise((resolve) => socket.once('data', resolve));
  return socket;
}

let run = 0;

async function storm(joins: number, watchers: number): Promise<void> {
  run += 1;
  const name = `r${String(run)}`;
  const server = fork(new URL('./fanout/server.js', import.meta.url), ['memory'], {
    execArgv: ['--expose-gc'],
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  const ready = (await hear(server)) as Ready;
  const sip = ready.sip ?? 0;
  const bare = await usage(server);
  await Promise.all(Array.from({ length: watchers }, (_, i) => watchRoom(sip, `${name}w${String(i)}`)));
  const before = await usage(server);
  const notifies = notified;
  const start = process.hrtime.bigint();
  const sockets = await Promise.all(
    Array.from({ length: joins }, async (_, i) => {
      const own = `msrp://127.0.0.1:9/${name}m${String(i)};tcp`;
      return bind(ready.msrp, own, await dialRoom(sip, `${name}m${String(i)}`, own));
    }),
  );
  const seconds = Number(process.hrtime.bigint() - start) / 1e9;
  const joined = await usage(server);
  // The roster's pacing lets the last changes go only now.
  await new Promise((resolve) => setTimeout(resolve, 6_000));
  const after = await usage(server);
  const perHead = watchers === joins ? ((after.heap - bare.heap) / joins / 1024).toFixed(1) : '';
  console.log(
    [
      String(joins).padStart(6),
      String(watchers).padStart(10),
      seconds.toFixed(2).padStart(10),
      String(notified - notifies).padStart(10),
      ((after.cpu - before.cpu) / 1e6).toFixed(2).padStart(8),
      `${before.stall.toFixed(0)}, ${Math.max(joined.stall, after.stall).toFixed(0)}`.padStart(10),
      `${(after.rss / 2 ** 20).toFixed(0)} MB`.padStart(10),
      perHead.padStart(16),
    ].join(''),
  );
  for (const socket of sockets) socket.destroy();
  server.disconnect();
  await new Promise((resolve) => server.once('exit', resolve));
}

console.log(' joins  watchers  joined in  NOTIFYs   CPU s  stall ms  resident  heap KiB a head');
await storm(1000, 100);
await storm(1000, 1000);
process.exit(0);
