/**
 * Many come into a room with a long past at once while others talk: how long until the last newcomer has all of it, and
 * what those who talk feel of it. The service, the newcomers and those who talk are processes of their own.
 *
 *   node dist/test/bench/replay.bench.js [--joiners 100] [--messages 1000] [--quick]
 */
import { fork, type ChildProcess } from 'node:child_process';
import { parseArgs } from 'node:util';
import type { Ready, Usage } from './fanout/cpu.ts';
import type { JoinersOrder } from './replay/joiners.ts';
import { openLine, sayOn } from './replay/line.ts';

const { values } = parseArgs({
  options: {
    joiners: { type: 'string', default: '100' },
    messages: { type: 'string', default: '1000' },
    quick: { type: 'boolean', default: false },
  },
});
const joiners = values.quick ? 20 : Number(values.joiners);
const messages = values.quick ? 200 : Number(values.messages);

/** Newcomers before those that are measured. */
const WARM_UP = 20;

/** Somebody says something every so many milliseconds. */
const EVERY = 5;

// Without what the bench itself is started with: a collection that is asked for holds up those who talk.
const start = (file: string, ...args: readonly string[]): ChildProcess =>
  fork(new URL(file, import.meta.url), args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], execArgv: [] });

const hear = <T>(child: ChildProcess): Promise<T> => new Promise((resolve) => child.once('message', resolve));

/** What the service has used since the last time it was asked. */
function ask(server: ChildProcess): Promise<Usage> {
  const usage = hear<Usage>(server);
  server.send('usage');
  return usage;
}

const milliseconds = (): number => Number(process.hrtime.bigint()) / 1e6;

/** One room: its past is made, then the newcomers come while two talk. */
async function measure(durability: string): Promise<void> {
  const server = start('./fanout/server.js', durability, String(messages));
  const first = start('./replay/joiners.js');
  const crowd = start('./replay/joiners.js');
  try {
    const { sip = 0, msrp } = await hear<Ready>(server);
    const ports = { sip, msrp };
    const said = new Map<string, number>();
    let delays: number[] = [];
    let old = 0;
    let whole: () => void = () => undefined;
    const past = new Promise<void>((resolve) => (whole = resolve));
    const alice = await openLine(ports, 'alice', () => undefined);
    await openLine(ports, 'bob', (send) => {
      const id = /\r\n\r\n(old|new) (\S+)/.exec(send)?.[2] ?? '';
      if (send.includes('\r\n\r\nold ')) {
        old += 1;
        if (old === messages) whole();
        return;
      }
      const at = said.get(id);
      if (at !== undefined) delays.push(milliseconds() - at);
      said.delete(id);
    });
    for (let i = 0; i < messages; i++) sayOn(alice, 'alice', `old${i}`, `old ${i} ${'x'.repeat(100)}`);
    await past;

    // Neither compiling nor what is done once counts.
    first.send({ ...ports, joiners: WARM_UP, messages } satisfies JoinersOrder);
    await hear<number>(first);
    first.kill();

    let count = 0;
    const talk = setInterval(() => {
      const id = `new${count++}`;
      said.set(id, milliseconds());
      sayOn(alice, 'alice', id, `new ${id}`);
    }, EVERY);
    const quiet = await pause(1000, () => delays);
    await ask(server);
    delays = [];
    const order: JoinersOrder = { ...ports, joiners, messages };
    crowd.send(order);
    const seconds = await hear<number>(crowd);
    const storm = [...delays];
    const { stall } = await ask(server);
    clearInterval(talk);
    const deliveries = joiners * messages;
    console.log(
      `${durability.padEnd(7)}${joiners} newcomers × ${messages} messages: ${seconds.toFixed(2)} s, ` +
        `${Math.round(deliveries / seconds)} deliveries/s; live chat meanwhile, said to heard: ` +
        `median ${middle(storm)} ms, longest ${longest(storm)} ms (before: median ${middle(quiet)} ms, longest ${longest(quiet)} ms); ` +
        `longest turn of the service ${stall.toFixed(1)} ms`,
    );
  } finally {
    for (const child of [server, first, crowd]) child.kill();
  }
}

async function pause(ms: number, result: () => number[]): Promise<number[]> {
  await new Promise((resolve) => setTimeout(resolve, ms));
  return result();
}

const middle = (delays: readonly number[]): string =>
  ([...delays].sort((a, b) => a - b)[delays.length >> 1] ?? NaN).toFixed(1);

const longest = (delays: readonly number[]): string => Math.max(...delays).toFixed(1);

for (const durability of ['memory', 'disk']) await measure(durability);
process.exit();
