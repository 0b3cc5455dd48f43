/**
 * SIP MESSAGE in the chat: what it costs the server to take a text and to deliver one. Server and load are processes of
 * their own, so that the CPU is the server's alone.
 *
 *   node dist/test/bench/message.bench.js [--quick]
 */
import { parseArgs } from 'node:util';
import { ask, hear, start } from './fanout/child.ts';
import type { Ready, Usage } from './fanout/cpu.ts';
import type { LoadOrder, LoadResult } from './fanout/load.ts';
import type { WriteResult } from './fanout/phones.ts';

const { values } = parseArgs({ options: { quick: { type: 'boolean', default: false } } });

function print(what: string, count: number, seconds: number, cpu: number): void {
  const rate = Math.round(count / seconds).toLocaleString('en');
  console.log(`${what.padEnd(58)}${rate.padStart(10)} /s${(cpu / count).toFixed(1).padStart(12)} µs CPU each`);
}

/** Telephones alone: one writes, all others read. */
async function phonesOnly(phones: number, texts: number, window: number): Promise<void> {
  const server = start('./server.js', 'memory');
  const { sip = 0 } = (await hear(server)) as Ready;
  const load = start('./phones.js');
  await hear(load);
  await ask(load, { sip, phones });
  await ask(load, { texts: Math.ceil(texts / 4), window });
  const before = (await ask(server, 'usage')) as Usage;
  const { taken, received, seconds } = (await ask(load, { texts, window })) as WriteResult;
  const cpu = ((await ask(server, 'usage')) as Usage).cpu - before.cpu;
  if (phones === 1) print(`1 phone, ${String(window)} at a time: texts taken`, taken, seconds, cpu);
  else print(`${String(phones)} phones, ${String(window)} at a time: MESSAGEs delivered`, received, seconds, cpu);
  load.disconnect();
  server.disconnect();
}

/** MSRP members, one of whom speaks, with telephones that read along, or without. */
async function mixed(members: number, phones: number, messages: number): Promise<void> {
  const server = start('./server.js', 'memory');
  const ready = (await hear(server)) as Ready;
  const readers = start('./phones.js');
  await hear(readers);
  if (phones > 0) await ask(readers, { sip: ready.sip ?? 0, phones });
  const load = start('./load.js');
  await hear(load);
  const order: LoadOrder = { ...ready, members, bodyBytes: 100, window: 1, messages, warmUp: Math.ceil(messages / 2) };
  await ask(load, order);
  if (phones > 0) await ask(readers, { texts: 0, window: 0 });
  const before = (await ask(server, 'usage')) as Usage;
  const counting = phones > 0 ? ask(readers, { texts: 0, window: 0 }) : undefined;
  const result = (await ask(load, 'go')) as LoadResult;
  const read = (await counting) as WriteResult | undefined;
  const cpu = ((await ask(server, 'usage')) as Usage).cpu - before.cpu;
  const delivered = result.deliveries + (read?.received ?? 0);
  const note = read === undefined ? '' : ` (${String(read.received)} by MESSAGE)`;
  print(`${String(members)} MSRP, ${String(phones)} phones: deliveries${note}`, delivered, result.seconds, cpu);
  load.disconnect();
  readers.disconnect();
  server.disconnect();
}

const scale = values.quick ? 1 : 5;
await phonesOnly(1, 4000 * scale, 1);
await phonesOnly(1, 4000 * scale, 32);
await phonesOnly(10, 1000 * scale, 1);
await phonesOnly(100, 100 * scale, 1);
await mixed(100, 0, 200 * scale);
await mixed(100, 100, 50 * scale);
