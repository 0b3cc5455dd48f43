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
import type { PaceResult, WriteResult } from './fanout/phones.ts';

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

/** What one message costs in a room, and what came of it. */
interface Cost {
  /** µs of the server's CPU for each message said. */
  readonly perMessage: number;
  /** Deliveries a second. */
  readonly msrp: number;
  readonly message: number;
}

/** Messages said before all telephones have caught up: no more may wait for one. */
const ROUND = 25;

/** MSRP members, one of whom speaks, with telephones that read along, or without. */
async function mixed(members: number, phones: number, rounds: number): Promise<Cost> {
  const server = start('./server.js', 'memory');
  const ready = (await hear(server)) as Ready;
  const readers = start('./phones.js');
  await hear(readers);
  if (phones > 0) await ask(readers, { sip: ready.sip ?? 0, phones });
  const load = start('./load.js');
  await hear(load);
  const order: LoadOrder = { ...ready, members, bodyBytes: 100, window: 1, messages: ROUND, warmUp: 4 * ROUND };
  await ask(load, order);
  if (phones > 0) await ask(readers, { texts: 0, window: 0 });
  let [msrp, message, seconds] = [0, 0, 0];
  const before = (await ask(server, 'usage')) as Usage;
  for (let round = 0; round < rounds; round += 1) {
    const counting = phones > 0 ? ask(readers, { texts: 0, window: 0, expected: ROUND * phones }) : undefined;
    const said = (await ask(load, 'go')) as LoadResult;
    const read = (await counting) as WriteResult | undefined;
    msrp += said.deliveries;
    message += read?.received ?? 0;
    seconds += Math.max(said.seconds, read?.seconds ?? 0);
  }
  const cpu = ((await ask(server, 'usage')) as Usage).cpu - before.cpu;
  load.disconnect();
  readers.disconnect();
  server.disconnect();
  const room = `${String(members)} MSRP, ${String(phones)} MESSAGE`;
  print(`${room}: deliveries`, msrp + message, seconds, cpu);
  return { perMessage: cpu / (ROUND * rounds), msrp: msrp / seconds, message: message / seconds };
}

/** The same messages to either kind alone, and to both: the differences are what a delivery of each kind costs. */
async function eachKind(members: number, phones: number, rounds: number): Promise<void> {
  const [msrp, message] = [await mixed(members, 0, rounds), await mixed(2, phones, rounds)];
  const both = await mixed(members, phones, rounds);
  const tell = (kind: string, perSecond: number, cpu: number): void => {
    const rate = Math.round(perSecond).toLocaleString('en');
    console.log(
      `${`  in the mixed room, ${kind}`.padEnd(58)}${rate.padStart(10)} /s${cpu.toFixed(1).padStart(12)} µs CPU each`,
    );
  };
  tell('by MSRP', both.msrp, (both.perMessage - message.perMessage) / (members - 2));
  tell('by MESSAGE', both.message, (both.perMessage - msrp.perMessage) / phones);
}

/** So many MESSAGEs a second from telephones that take none, into a room. */
async function paced(phones: number, perSecond: number, forSeconds: number): Promise<void> {
  const server = start('./server.js', 'memory');
  const { sip = 0 } = (await hear(server)) as Ready;
  const load = start('./phones.js');
  await hear(load);
  await ask(load, { sip, phones, deaf: true });
  await ask(load, { perSecond, forSeconds: 4 });
  const before = (await ask(server, 'usage')) as Usage;
  const { sent, taken, seconds, median, slow } = (await ask(load, { perSecond, forSeconds })) as PaceResult;
  const cpu = ((await ask(server, 'usage')) as Usage).cpu - before.cpu;
  print(`${String(phones)} phones, ${String(perSecond)} texts a second into a room: texts taken`, taken, seconds, cpu);
  const load100 = ((cpu / 1e6 / seconds) * 100).toFixed(0);
  const waits = `answered after ${median.toFixed(1)} ms (median), ${slow.toFixed(1)} ms (99 %)`;
  console.log(`  ${String(taken)} of ${String(sent)} taken, ${waits}; ${load100} % of one CPU`);
  load.disconnect();
  server.disconnect();
}

const scale = values.quick ? 1 : 5;
await phonesOnly(1, 4000 * scale, 1);
await phonesOnly(1, 4000 * scale, 32);
await phonesOnly(10, 1000 * scale, 1);
await phonesOnly(100, 100 * scale, 1);
await eachKind(100, 100, 2 * scale);
await paced(10, 1000, 2 * scale);
