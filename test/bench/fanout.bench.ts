/**
 * What one delivery costs: server CPU per acknowledged delivery, beside a bare `node:net` server that fans the same bytes
 * out, in the same run. Server and load are processes of their own, so that the CPU is the server's alone.
 *
 *   node dist/test/bench/fanout.bench.js [--quick] [--servers bare,memory,disk] [--rooms 10,100,1000]
 */
import { parseArgs } from 'node:util';
import { ask, hear, start } from './fanout/child.ts';
import type { Ready, Usage } from './fanout/cpu.ts';
import type { LoadOrder, LoadResult } from './fanout/load.ts';

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    servers: { type: 'string', default: 'bare,memory,disk' },
    rooms: { type: 'string', default: '10,100,1000' },
    bodies: { type: 'string', default: '100,1000' },
    windows: { type: 'string', default: '32,1' },
  },
});

const SERVERS: Readonly<Record<string, readonly [file: string, ...args: string[]]>> = {
  bare: ['./baseline.js'],
  memory: ['./server.js', 'memory'],
  disk: ['./server.js', 'disk'],
};

interface Row {
  readonly server: string;
  readonly room: number;
  readonly body: number;
  readonly window: number;
  readonly perSecond: number;
  readonly cpuPerDelivery: number;
  readonly cpuPerMessage: number;
  readonly rss: number;
}

async function measure(server: string, room: number, body: number, window: number): Promise<Row> {
  const command = SERVERS[server];
  if (command === undefined) throw new Error(`no such server: ${server}`);
  const target = start(...command);
  const ready = (await hear(target)) as Ready;
  const load = start('./load.js');
  await hear(load);
  // Enough deliveries that neither compiling nor the clock's grain counts, few enough to wait for.
  const deliveries = (values.quick ? 40_000 : 2_000_000) / (window === 1 ? 8 : 1);
  const messages = Math.max(window * 2, Math.ceil(deliveries / (room - 1)));
  const order: LoadOrder = {
    ...ready,
    members: room,
    bodyBytes: body,
    window,
    messages,
    warmUp: Math.ceil(messages / 2),
  };
  await ask(load, order);
  const before = (await ask(target, 'usage')) as Usage;
  const result = (await ask(load, 'go')) as LoadResult;
  const after = (await ask(target, 'usage')) as Usage;
  load.disconnect();
  target.disconnect();
  return {
    server,
    room,
    body,
    window,
    perSecond: result.deliveries / result.seconds,
    cpuPerDelivery: (after.cpu - before.cpu) / result.deliveries,
    cpuPerMessage: (after.cpu - before.cpu) / messages,
    rss: after.rss,
  };
}

function print(row: Row, bare: Row | undefined): void {
  const ratio = bare === undefined ? '' : (row.cpuPerDelivery / bare.cpuPerDelivery).toFixed(2);
  console.log(
    [
      row.server.padEnd(8),
      String(row.room).padStart(6),
      String(row.body).padStart(6),
      String(row.window).padStart(7),
      Math.round(row.perSecond).toLocaleString('en').padStart(14),
      row.cpuPerDelivery.toFixed(2).padStart(16),
      row.cpuPerMessage.toFixed(1).padStart(15),
      ratio.padStart(9),
      `${(row.rss / 2 ** 20).toFixed(0)} MB`.padStart(9),
    ].join(''),
  );
}

const numbers = (list: string): readonly number[] => list.split(',').map(Number);

console.log('server    room  body  window  deliveries/s  CPU µs/delivery  CPU µs/message  to bare  resident');
for (const window of numbers(values.windows)) {
  for (const body of numbers(values.bodies)) {
    for (const room of numbers(values.rooms)) {
      let bare: Row | undefined;
      for (const server of values.servers.split(',')) {
        const row = await measure(server, room, body, window);
        if (server === 'bare') bare = row;
        print(row, bare);
      }
    }
  }
}
