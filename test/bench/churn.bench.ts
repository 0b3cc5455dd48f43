/**
 * Nothing lost, nothing twice, one order: many speak at once to many who listen, while some of those die and come back
 * again and again. What each device was given is put side by side at the end. Figures are printed, never judged.
 *
 *   node dist/test/bench/churn.bench.js [--senders 20] [--messages 1000] [--receivers 100] [--dying 10]
 */
import { randomUUID } from 'node:crypto';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { parseArgs } from 'node:util';
import { newNodeEndpoint, parseMsrpPath, prepare, type MsrpSession, type SessionHandlers } from '../../msrp/node.ts';
import type { Ready } from './fanout/cpu.ts';
import { SipPhone, type PhoneDialog } from '../plays/sip-phone.ts';
import { messageSdp, pathOf } from '../plays/stage.ts';

const { values } = parseArgs({
  options: {
    senders: { type: 'string', default: '20' },
    messages: { type: 'string', default: '1000' },
    receivers: { type: 'string', default: '100' },
    dying: { type: 'string', default: '10' },
  },
});
const [senders, messages, receivers, dying] = [values.senders, values.messages, values.receivers, values.dying].map(
  Number,
);
const ROOM = 'sip:bench@127.0.0.1';
const WINDOW = 4;

/** One device: a telephone, and a chat session while it has one. */
class Device {
  readonly name: string;
  readonly instance = `urn:uuid:${randomUUID()}`;
  /** Numbers of the messages by what the room calls them, in the order in which they came first. */
  readonly heard: number[] = [];
  readonly #known = new Set<string>();
  twice = 0;
  deaths = 0;
  #phone: SipPhone | undefined;
  #dialog: PhoneDialog | undefined;
  session: MsrpSession | undefined;
  onDelivered: () => void = () => undefined;

  constructor(name: string) {
    this.name = name;
  }

  async come(port: number): Promise<void> {
    const phone = (this.#phone ??= await SipPhone.connect(this.name, port));
    phone.instance = this.instance;
    const endpoint = newNodeEndpoint();
    let whenBound = (): void => undefined;
    const isBound = new Promise<void>((resolve) => (whenBound = resolve));
    const handlers: SessionHandlers = {
      bound: () => whenBound(),
      message: (_session, message) => {
        this.#hear(message.messageId, message.body);
        message.respond(200);
      },
      outcome: (_session, _message, outcome) => {
        if (outcome.kind === 'delivered') this.onDelivered();
        else throw new Error(`${this.name}: not taken: ${JSON.stringify(outcome)}`);
      },
    };
    const session = endpoint.session({ at: { scheme: 'msrp', host: '127.0.0.1', port: 9 }, handlers });
    const body = messageSdp(String(session.localUri));
    const { response, dialog } = await phone.request('INVITE', ROOM, { contentType: 'application/sdp', body });
    if (response.status !== 200) throw new Error(`${this.name} is not let in: ${String(response.status)}`);
    phone.ack(dialog);
    session.setRemotePath(parseMsrpPath(pathOf(response.body)));
    session.dial();
    await isBound;
    this.#dialog = dialog;
    this.session = session;
  }

  /** Its network is gone from one moment to the next; then its telephone says so. */
  async die(): Promise<void> {
    this.deaths += 1;
    this.session?.close();
    this.session = undefined;
    if (this.#dialog !== undefined) await this.#phone?.within(this.#dialog, 'BYE');
  }

  #hear(id: string, body: Uint8Array): void {
    const text = Buffer.from(body).toString('latin1');
    const number = /\r\n\r\nnumber (\d+) /.exec(text)?.[1];
    if (number === undefined) return;
    if (this.#known.has(id)) {
      this.twice += 1;
      return;
    }
    this.#known.add(id);
    this.heard.push(Number(number));
  }
}

/** Says all that it has to say, a few at a time. */
async function speak(device: Device, index: number): Promise<void> {
  const { session } = device;
  if (session === undefined) return;
  await new Promise<void>((resolve) => {
    let [sent, delivered] = [0, 0];
    const next = (): void => {
      const number = index * (messages ?? 0) + sent;
      sent += 1;
      const head = `From: <sip:${device.name}@127.0.0.1>\r\nTo: <${ROOM}>\r\n\r\nContent-Type: text/plain\r\n\r\n`;
      const body = Buffer.from(`${head}number ${String(number)} ${'x'.repeat(80)}`);
      session.send(prepare({ contentType: 'message/cpim', body, outcomes: 'all' }));
    };
    device.onDelivered = () => {
      delivered += 1;
      if (delivered === messages) resolve();
      else if (sent < (messages ?? 0)) next();
    };
    for (let i = 0; i < WINDOW; i += 1) next();
  });
}

const server = fork(
  new URL('./fanout/server.js', import.meta.url),
  ['memory', '0', 'rooms.defaults.missed_messages=10000', 'msrp.queue_bytes=16MiB'],
  { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] },
);
const [{ sip = 0 }] = (await once(server, 'message')) as [Ready];
const speakers = Array.from({ length: senders ?? 0 }, (_, i) => new Device(`speaker${String(i)}`));
const listeners = Array.from({ length: receivers ?? 0 }, (_, i) => new Device(`listener${String(i)}`));
for (const device of [...speakers, ...listeners]) await device.come(sip);
const started = performance.now();
let over = false;
const churn = Promise.all(
  listeners.slice(0, dying).map(async (device) => {
    while (!over) {
      await new Promise((resolve) => setTimeout(resolve, 100 + Math.random() * 400));
      await device.die();
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 300));
      await device.come(sip);
    }
  }),
);
await Promise.all(speakers.map((device, i) => speak(device, i)));
over = true;
await churn;
const total = (senders ?? 0) * (messages ?? 0);
const deadline = performance.now() + 20_000;
while (listeners.some(({ heard }) => heard.length < total) && performance.now() < deadline) {
  await new Promise((resolve) => setTimeout(resolve, 50));
}
const seconds = (performance.now() - started) / 1000;
const [first] = listeners.slice(-1);
const order = first?.heard ?? [];
const sum = (of: (device: Device) => number): number => listeners.reduce((all, device) => all + of(device), 0);
const lost = sum(({ heard }) => total - heard.length);
const otherOrder = listeners.filter(({ heard }) => heard.some((number, i) => number !== order[i])).length;
const deliveries = sum(({ heard }) => heard.length);
process.stdout.write(
  `${String(senders)} speak ${String(messages)} times each to ${String(receivers)}, of whom ${String(dying)} died ` +
    `${String(sum(({ deaths }) => deaths))} times: ${seconds.toFixed(1)} s, ` +
    `${Math.round(deliveries / seconds).toLocaleString('en')} deliveries/s\n` +
    `lost ${String(lost)}   given twice under the same id ${String(sum(({ twice }) => twice))}   ` +
    `in another order ${String(otherOrder)} of ${String(receivers)}\n`,
);
server.kill();
process.exit(0);
