/**
 * What the whole library costs, bytes in and bytes out, without sockets: OPTIONS, MESSAGE, calls, NOTIFY to many, and the
 * memory of a confirmed dialog. Beside it the bare cost of the same bytes: parse the request, print a response.
 *
 *   node --expose-gc dist/test/bench/sip-user-agent.bench.js [seconds per case]
 */
import {
  createResponse,
  formatMessage,
  parseMessage,
  type Clock,
  type Flow,
  SipRequest,
  systemClock,
  type TransportHandlers,
  type TransportLayer,
  type TransportName,
  UserAgent,
  type UserAgentHandlers,
} from '../../sip/index.ts';

const SECONDS = Number(process.argv[2] ?? 2);

/** A flow that gives what is sent to whoever looks. */
class Wire implements Flow {
  readonly id = 'wire';
  readonly transport: TransportName;
  readonly reliable: boolean;
  readonly secure = false;
  readonly local = { address: '10.0.0.2', port: 5060 };
  readonly remote: { address: string; port: number };
  readonly advertised = { host: '10.0.0.2', port: 5060 };
  readonly open = true;
  readonly queued = 0;
  taken: Uint8Array[] = [];

  constructor(transport: TransportName, address = '10.0.0.1') {
    this.transport = transport;
    this.reliable = transport !== 'UDP';
    this.remote = { address, port: 5060 };
  }

  send(message: Uint8Array): boolean {
    this.taken.push(message);
    return true;
  }

  close(): void {
    // It is only a wire.
  }

  /** What was sent since the last look. */
  take(): Uint8Array[] {
    const { taken } = this;
    this.taken = [];
    return taken;
  }
}

function agentWith(handlers: Partial<UserAgentHandlers>, clock: Clock = systemClock): UserAgent {
  const transport = (_: TransportHandlers): TransportLayer => ({
    maxUdpRequestBytes: 1300,
    locate: (_hop, _bytes, found) => {
      found({ failed: 'unresolvable', reason: 'bench' });
    },
    connect: (_target, connected) => {
      connected({ failed: 'refused', reason: 'bench' });
    },
    respond: (flow, _via, message) => void flow.send(message),
    close: () => Promise.resolve(),
  });
  const conference = {
    name: 'conference',
    defaultExpires: 3600,
    minExpires: 60,
    maxExpires: 3600,
    pacing: 0,
    contentTypes: ['*/*'],
  };
  const limit = 10_000_000;
  return new UserAgent(
    {
      transport,
      clock,
      events: [conference],
      limits: {
        serverTransactions: limit,
        clientTransactions: limit,
        dialogs: limit,
        dialogsPerAddress: limit,
        subscriptions: limit,
        pendingInvites: limit,
      },
    },
    { onInvite: () => undefined, onSubscribe: () => undefined, onMessage: () => ({ status: 200 }), ...handlers },
  );
}

let sequence = 0;

function request(method: string, wire: Wire, over: Readonly<Record<string, string>> = {}, body = ''): Buffer {
  const n = String(++sequence);
  const lines: Record<string, string> = {
    Via: `SIP/2.0/${wire.transport} ${wire.remote.address}:5060;branch=z9hG4bK-${n};rport`,
    'Max-Forwards': '70',
    From: '"Alice" <sip:alice@example.com>;tag=a' + n,
    To: '<sip:room@example.com>',
    'Call-ID': `call-${n}@example.com`,
    CSeq: `1 ${method}`,
    Contact: `<sip:alice@${wire.remote.address}:5060>`,
    'User-Agent': 'Example/1.0 (bench)',
    ...over,
  };
  const head = Object.entries(lines).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.from(
    `${method} sip:room@example.com SIP/2.0\r\n${head.join('')}Content-Length: ${String(Buffer.byteLength(body))}\r\n\r\n${body}`,
  );
}

/** Runs `batch` over fresh inputs for the time given and prints how many a second; making the inputs is not counted. */
function measure<T>(name: string, make: () => T, run: (input: T) => void, target?: number): number {
  const size = 2000;
  let done = 0;
  let spent = 0;
  for (let round = 0; spent < SECONDS * 1000; round++) {
    const inputs = Array.from({ length: size }, make);
    const begin = performance.now();
    for (const input of inputs) run(input);
    const took = performance.now() - begin;
    if (round === 0) continue; // the compiler warms up
    spent += took;
    done += size;
  }
  const rate = (done / spent) * 1000;
  const aim = target === undefined ? '' : `   target ${target.toLocaleString('en')}`;
  console.log(`${name.padEnd(58)} ${Math.round(rate).toLocaleString('en').padStart(10)} /s${aim}`);
  return rate;
}

for (const transport of ['TCP', 'UDP'] as const) {
  const wire = new Wire(transport);
  const agent = agentWith({});
  const bare = measure(
    `bare: parse OPTIONS, print a response (${transport})`,
    () => request('OPTIONS', wire),
    (bytes) => {
      const message = parseMessage(bytes);
      if (message instanceof SipRequest) formatMessage(createResponse(message, 200));
    },
  );
  const rate = measure(
    `OPTIONS answered by the user agent (${transport})`,
    () => request('OPTIONS', wire),
    (bytes) => {
      agent.receive(bytes, wire);
      wire.taken.length = 0;
    },
    40_000,
  );
  console.log(`${''.padEnd(58)} ${((rate / bare) * 100).toFixed(0).padStart(10)} % of bare`);
  measure(
    `MESSAGE answered by the user agent (${transport})`,
    () => request('MESSAGE', wire, { 'Content-Type': 'text/plain' }, 'hello'),
    (bytes) => {
      agent.receive(bytes, wire);
      wire.taken.length = 0;
    },
  );
  agent.transactions.drop();
}

/** The header fields of an INVITE that stand in no other request. */
const CALL = { Supported: 'timer', 'Content-Type': 'application/sdp' };

for (const transport of ['TCP', 'UDP'] as const) {
  const wire = new Wire(transport);
  let ended = 0;
  const agent = agentWith({
    onInvite: (invite) =>
      void invite.accept({ contentType: 'application/sdp', body: 'v=0', session: { onEnded: () => ended++ } }),
  });
  measure(
    `calls: INVITE, 200, ACK, BYE, 200 (${transport})`,
    () => {
      const n = sequence + 1;
      const invite = request('INVITE', wire, CALL, 'v=0');
      const same = {
        From: `"Alice" <sip:alice@example.com>;tag=a${String(n)}`,
        'Call-ID': `call-${String(n)}@example.com`,
      };
      const late = (method: string, seq: number): Buffer =>
        request(method, wire, {
          ...same,
          To: '<sip:room@example.com>;tag=TAGTAGTAGTAGTAGT',
          CSeq: `${String(seq)} ${method}`,
        });
      return { invite, ack: late('ACK', 1), bye: late('BYE', 2) };
    },
    ({ invite, ack, bye }) => {
      agent.receive(invite, wire);
      const [ok] = wire.take();
      // The tag is put in where the place for it is: no parse on the side of the bench.
      const text = Buffer.from(ok ?? []);
      const at = text.indexOf('tag=', text.indexOf('\r\nTo: ')) + 4;
      for (const bytes of [ack, bye]) {
        text.copy(bytes, bytes.indexOf('TAGTAGTAGTAGTAGT'), at, at + 16);
        agent.receive(bytes, wire);
      }
      wire.taken.length = 0;
    },
    8000,
  );
  if (ended === 0 || agent.counts.dialogs > 0) throw new Error('calls did not end');
  agent.transactions.drop();
}

/** Heap in use after a collection, in bytes. */
function heap(): number {
  const { gc } = globalThis;
  if (gc === undefined) throw new Error('run with --expose-gc');
  gc();
  gc();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

if (globalThis.gc !== undefined) {
  const wire = new Wire('TCP');
  const agent = agentWith({
    onInvite: (invite) => void invite.accept({ contentType: 'application/sdp', body: 'v=0' }),
  });
  const count = 5000;
  const before = heap();
  for (let i = 0; i < count; i++) {
    const n = sequence + 1;
    agent.receive(request('INVITE', wire, CALL, 'v=0'), wire);
    const ok = Buffer.from(wire.take()[0] ?? []).toString('latin1');
    const tag = /\r\nTo: .*tag=(\w+)/.exec(ok)?.[1] ?? '';
    agent.receive(
      request('ACK', wire, {
        From: `"Alice" <sip:alice@example.com>;tag=a${String(n)}`,
        'Call-ID': `call-${String(n)}@example.com`,
        To: `<sip:room@example.com>;tag=${tag}`,
      }),
      wire,
    );
  }
  wire.take();
  console.log(
    `memory per confirmed dialog with its INVITE transaction    ${((heap() - before) / count / 1024).toFixed(2).padStart(10)} KiB`,
  );
  agent.transactions.drop();
  console.log(
    `memory per confirmed dialog                                ${((heap() - before) / count / 1024).toFixed(2).padStart(10)} KiB   target 8`,
  );
  if (agent.counts.dialogs !== count) throw new Error('dialogs are missing');
}

{
  const body = Buffer.alloc(4096, 'x');
  const agent = agentWith(
    {
      onSubscribe: (subscribe) =>
        void subscribe.accept({
          resource: 'room',
          content: () => ({ contentType: 'application/conference-info+xml', body }),
        }),
    },
    { ...systemClock, now: () => 0 },
  ); // time stands still, so the work is not cut into turns
  const wires = Array.from({ length: 1000 }, (_, i) => new Wire('TCP', `10.0.${String(i >> 8)}.${String(i & 255)}`));
  for (const wire of wires) agent.receive(request('SUBSCRIBE', wire, { Event: 'conference', Expires: '3600' }), wire);
  const answers = (): { wire: Wire; bytes: Buffer }[] =>
    wires.flatMap((wire) =>
      wire.take().flatMap((bytes) => {
        const message = parseMessage(Buffer.from(bytes));
        return message.kind === 'request' ? [{ wire, bytes: formatMessage(createResponse(message, 200)) }] : [];
      }),
    );
  for (const { wire, bytes } of answers()) agent.receive(bytes, wire);
  let sent = 0;
  let spent = 0;
  let copied = 0;
  for (let round = 0; spent < SECONDS * 1000; round++) {
    const begin = performance.now();
    agent.changed('conference', 'room');
    spent += performance.now() - begin;
    const pending = answers();
    sent += pending.length;
    const again = performance.now();
    for (const { wire, bytes } of pending) agent.receive(bytes, wire);
    spent += performance.now() - again;
    const copy = performance.now();
    for (let i = 0; i < 1000; i++) Buffer.concat([Buffer.from('x'.repeat(600)), body]);
    copied += performance.now() - copy;
    if (round === 0) sent = spent = copied = 0;
  }
  console.log(
    `bare: print and copy 4.6 kB${''.padEnd(31)} ${Math.round((sent / copied) * 1000)
      .toLocaleString('en')
      .padStart(10)} /s`,
  );
  console.log(
    `NOTIFY of 4 kB to 1,000 subscribers, with their 200s${''.padEnd(6)} ${Math.round((sent / spent) * 1000)
      .toLocaleString('en')
      .padStart(10)} /s`,
  );
  agent.transactions.drop();
}
process.exit(0);
