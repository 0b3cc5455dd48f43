/**
 * A large message to many receivers: how much the server's memory grows, and how long it takes beside a bare relay of the
 * same octets, in the same run. Once with one receiver that is much too slow. Figures are printed, never judged.
 *
 *   node dist/test/bench/large.bench.js [--megabytes 100] [--receivers 50]
 */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { parseArgs } from 'node:util';
import type { Ready, Usage } from './fanout/cpu.ts';
import type { LargeOrder, LargeResult } from './large/load.ts';

const { values } = parseArgs({
  options: { megabytes: { type: 'string', default: '100' }, receivers: { type: 'string', default: '50' } },
});
const bytes = Number(values.megabytes) * 1_000_000;
const receivers = Number(values.receivers);
const KEYS = ['memory', '0', 'msrp.max_message=10GB', 'msrp.congested_for=10s'];

function start(file: string, ...args: readonly string[]): ChildProcess {
  return fork(new URL(file, import.meta.url), args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
}

async function answer(child: ChildProcess): Promise<unknown> {
  const [message] = (await once(child, 'message')) as [unknown];
  return message;
}

async function usage(server: ChildProcess): Promise<Usage> {
  const told = answer(server);
  server.send('usage');
  return (await told) as Usage;
}

async function measure(name: string, server: ChildProcess, slow?: number): Promise<void> {
  const ready = (await answer(server)) as Ready;
  const load = start('./large/load.js');
  await answer(load);
  const before = await usage(server);
  const order: LargeOrder = { ...ready, receivers, bytes, ...(slow === undefined ? {} : { slow }) };
  let result: LargeResult | undefined;
  const done = answer(load).then((told) => (result = told as LargeResult));
  load.send(order);
  let peak = before.rss;
  while (result === undefined) {
    peak = Math.max(peak, (await usage(server)).rss);
    await Promise.race([done, new Promise((resolve) => setTimeout(resolve, 100))]);
  }
  const after = await usage(server);
  const figures = [
    `${result.seconds.toFixed(1)} s`,
    `${(((result.complete * bytes) / 1e6 / result.seconds) | 0).toLocaleString('en')} MB/s out`,
    `CPU ${((after.cpu - before.cpu) / 1e6).toFixed(1)} s`,
    `memory +${((peak - before.rss) / 1e6).toFixed(0)} MB`,
    `complete ${String(result.complete)}`,
    `slow one: ${result.slow}`,
  ];
  process.stdout.write(`${name.padEnd(24)}${figures.join('   ')}\n`);
  load.kill();
  server.kill();
}

process.stdout.write(`${values.megabytes} MB to ${values.receivers} receivers\n`);
await measure('bare relay', start('./large/relay.js', values.receivers));
await measure('room', start('./fanout/server.js', ...KEYS));
await measure('room, one is slow', start('./fanout/server.js', ...KEYS), 200_000);
