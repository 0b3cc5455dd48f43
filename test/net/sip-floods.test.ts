import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect } from 'node:net';
import { setImmediate as turn, setTimeout as pause } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import t from 'tap';
import type { Test } from 'tap';
import { type Limits, SocketTransport, type TransportLimits, UserAgent } from '../../sip/index.ts';
import { ownAddress } from '../own-address.ts';

/** Gives way for a moment: what is waited for shows in the state of things only. */
const soon = (): Promise<void> => pause(2);

interface Victim {
  readonly userAgent: UserAgent;
  readonly transport: SocketTransport;
  readonly port: number;
  readonly log: string[];
  /** How many lines there may be by now: 50 a second for the transport, and as many for the user agent. */
  readonly mostLines: () => number;
}

/** A user agent that answers OPTIONS, MESSAGE, INVITE and SUBSCRIBE, at one port over UDP and TCP. */
async function victim(
  t: Test,
  limits: Partial<Limits> = {},
  below: Partial<TransportLimits> = {},
  // What it remembers, for 64 times as long, is there until a flood is over, also on a slow machine.
  T1 = 40,
): Promise<Victim> {
  const log: string[] = [];
  const begin = performance.now();
  const mostLines = (): number => 102 * (2 + (performance.now() - begin) / 1_000);
  const note = (line: string): void => {
    log.push(line);
  };
  const lines = { info: note, warn: note, error: note };
  let transport: SocketTransport | undefined;
  const userAgent = new UserAgent(
    {
      transport: (handlers) => {
        transport = new SocketTransport({ log: lines, limits: { sweepInterval: 5, ...below } }, handlers);
        return transport;
      },
      log: lines,
      limits,
      timers: { T1, T2: 8 * T1, T4: 10 * T1 },
    },
    {
      onInvite: (invite) => {
        invite.accept({ contentType: 'application/sdp', body: 'v=0\r\n' });
      },
      onSubscribe: () => undefined,
      onMessage: () => ({ status: 200 }),
    },
  );
  if (transport === undefined) throw new Error('no transport');
  // Where what is free for UDP is free for TCP, too.
  const { port } = await transport.listen({ transport: 'UDP', host: ownAddress, port: 0 });
  await transport.listen({ transport: 'TCP', host: ownAddress, port });
  t.teardown(() => userAgent.close(0));
  return { userAgent, transport, port, log, mostLines };
}

function request(method: string, id: string, transport = 'UDP', more = ''): string {
  return [
    `${method} sip:room@127.0.0.1 SIP/2.0`,
    `Via: SIP/2.0/${transport} 127.0.0.1:9;rport;branch=z9hG4bK${id}`,
    'Max-Forwards: 70',
    'To: <sip:room@127.0.0.1>',
    `From: <sip:flood@127.0.0.1>;tag=${id}`,
    `Call-ID: ${id}`,
    `CSeq: 1 ${method}`,
    'Contact: <sip:flood@127.0.0.1:9>',
    `${more}Content-Length: 0`,
    '',
    '',
  ].join('\r\n');
}

/** Sends datagrams as fast as the receiver takes them; gives the status of each response that comes. */
async function flood(t: Test, port: number, datagrams: Iterable<string | Uint8Array>): Promise<Map<string, number>> {
  const socket = createSocket({ type: 'udp4', recvBufferSize: 4_194_304 });
  const statuses = new Map<string, number>();
  socket.on('message', (message) => {
    const status = message.toString('latin1', 8, 11);
    statuses.set(status, (statuses.get(status) ?? 0) + 1);
  });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  t.teardown(() => socket.close());
  let [sent, octets] = [0, 0];
  for (const datagram of datagrams) {
    socket.send(datagram, port, ownAddress);
    sent += 1;
    octets += datagram.length;
    // No more on the way than a socket's buffer holds.
    if (sent < 50 && octets < 100_000) continue;
    [sent, octets] = [0, 0];
    await turn();
  }
  for (let idle = 0; idle < 20; idle += 1) await turn();
  return statuses;
}

/** That the victim still serves: a request over a new connection is answered 200. */
async function stillServes(t: Test, { port }: Victim): Promise<void> {
  const socket = connect({ host: ownAddress, port });
  socket.write(request('OPTIONS', `after${Math.random().toString(36).slice(2)}`, 'TCP'));
  const [answer] = (await once(socket, 'data')) as [Buffer];
  t.match(answer.toString(), /^SIP\/2.0 200 /, 'it still serves');
  socket.destroy();
}

function* times<T>(count: number, make: (n: number) => T): Generator<T> {
  for (let n = 0; n < count; n += 1) yield make(n);
}

t.test('UDP: requests without end cost no more than the limit of transactions', async (t) => {
  const it = await victim(t, { serverTransactions: 500 });
  const statuses = await flood(
    t,
    it.port,
    times(5_000, (n) => request('OPTIONS', `o${n}`)),
  );
  t.ok((statuses.get('200') ?? 0) >= 500, `${statuses.get('200')} answered`);
  t.ok((statuses.get('503') ?? 0) > 0, `${statuses.get('503')} refused without state`);
  t.ok(it.userAgent.counts.serverTransactions <= 500);
  while (it.userAgent.counts.serverTransactions > 0) await soon();
  await stillServes(t, it);
  t.ok(it.log.length < it.mostLines(), `${it.log.length} lines`);
});

t.test('UDP: INVITEs that are never acknowledged end by themselves', async (t) => {
  const it = await victim(t, { dialogsPerAddress: 100 });
  const statuses = await flood(
    t,
    it.port,
    times(1_000, (n) => request('INVITE', `i${n}`)),
  );
  t.ok((statuses.get('503') ?? 0) > 0);
  t.ok(it.userAgent.counts.dialogs <= 100);
  while (it.userAgent.counts.dialogs > 0) await soon();
  while (it.userAgent.counts.serverTransactions > 0) await soon();
  await stillServes(t, it);
});

t.test('UDP: noise is dropped, in few lines', async (t) => {
  const it = await victim(t);
  const noise = [
    (n: number) => Buffer.alloc(1 + (n % 1_400), n),
    (n: number) => `OPTIONS sip:a SIP/2.0\r\nVia: ${n}\r\n\r\n`,
    (n: number) => `SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP x;branch=z9hG4bK${n}\r\n\r\n`,
    (n: number) => request('OPTIONS', `n${n}`).slice(0, n % 300),
    (n: number) => request('ACK', `a${n}`),
    (n: number) => request('CANCEL', `c${n}`),
    (n: number) => request('OPTIONS', `v${n}`).replace('SIP/2.0\r', 'SIP/3.0\r'),
  ];
  await flood(
    t,
    it.port,
    times(5_000, (n) => noise[n % noise.length]?.(n) ?? ''),
  );
  await stillServes(t, it);
  t.ok(it.log.length < it.mostLines(), `${it.log.length} lines`);
  t.notOk(it.log.some((line) => line.startsWith('bug')));
  t.equal(it.userAgent.counts.dialogs, 0);
});

t.test('TCP: connections without end are closed unheard above the limit', async (t) => {
  const it = await victim(t, {}, { maxConnectionsPerAddress: 50, firstMessageTimeout: 2_000 });
  const sockets = [...times(300, () => connect({ host: ownAddress, port: it.port }).on('error', () => undefined))];
  const closed = sockets.map((socket) => new Promise((resolve) => socket.once('close', resolve)));
  await Promise.all(
    sockets.map((socket) => new Promise((resolve) => socket.once('connect', resolve).once('close', resolve))),
  );
  t.ok(it.transport.connections <= 50);
  // Silent ones are closed as well, in time.
  await Promise.all(closed);
  while (it.transport.connections > 0) await soon();
  await stillServes(t, it);
});

t.test('TCP: who asks and does not read is closed', async (t) => {
  const it = await victim(t, {}, { maxQueuedBytes: 200_000 });
  const socket = connect({ host: ownAddress, port: it.port });
  socket.on('error', () => undefined);
  socket.pause();
  const tired = (): boolean => it.log.some((line) => line.includes('the peer does not read'));
  let n = 0;
  while (n < 100_000 && !tired()) {
    socket.write([...times(100, () => request('OPTIONS', `p${(n += 1)}`, 'TCP'))].join(''));
    await turn();
  }
  t.ok(tired(), `closed after ${n} requests`);
  while (it.transport.connections > 0) await soon();
  socket.destroy();
  await stillServes(t, it);
});

t.test('TCP: pings without end are answered or the peer is closed', async (t) => {
  const it = await victim(t, {}, { maxQueuedBytes: 50_000 });
  const socket = connect({ host: ownAddress, port: it.port });
  socket.on('error', () => undefined);
  let pongs = 0;
  socket.on('data', (chunk) => (pongs += chunk.length));
  socket.write('\r\n\r\n'.repeat(10_000));
  while (pongs < 20_000 && !socket.destroyed) await soon();
  t.equal(pongs, 20_000);
  socket.destroy();
  await stillServes(t, it);
});

t.test('TCP: heads that drip, half-open and many, are closed in time', async (t) => {
  const it = await victim(t, {}, { messageTimeout: 50, firstMessageTimeout: 1_000 });
  const sockets = [...times(100, () => connect({ host: ownAddress, port: it.port }).on('error', () => undefined))];
  const closed = sockets.map((socket) => new Promise((resolve) => socket.once('close', resolve)));
  const drip = setInterval(() => {
    for (const socket of sockets) if (!socket.destroyed) socket.write('O');
  }, 5);
  await Promise.all(closed);
  clearInterval(drip);
  await stillServes(t, it);
});

t.test('UDP: large requests cost no more than the limit of bytes', async (t) => {
  const it = await victim(t, { serverTransactionBytes: 500_000 });
  const vias = (n: number): string =>
    [...times(6, (k) => `Via: SIP/2.0/UDP proxy${k}.example.com;branch=z9hG4bK${n};x=${'x'.repeat(7_000)}\r\n`)].join(
      '',
    );
  const statuses = await flood(
    t,
    it.port,
    times(300, (n) => request('OPTIONS', `l${n}`, 'UDP', vias(n))),
  );
  t.ok((statuses.get('503') ?? 0) > 0, `${statuses.get('503')} refused without state`);
  const { serverTransactions } = it.userAgent.counts;
  t.ok(serverTransactions > 5 && serverTransactions < 20, `${serverTransactions} of 43 kB each`);
  while (it.userAgent.counts.serverTransactions > 0) await soon();
  await stillServes(t, it);
});

t.test('what is remembered of a large message is not the message', async (t) => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const it = await victim(t, {}, {}, 500);
  const subject = [...times(7, () => `Subject: ${'x'.repeat(7_900)}\r\n`)].join('');
  const invites = times(200, (n) => request('INVITE', `a-call-id-of-some-length-${n}`, 'UDP', subject));
  collect();
  const before = process.memoryUsage().heapUsed;
  await flood(t, it.port, invites);
  const { dialogs } = it.userAgent.counts;
  collect();
  const each = (process.memoryUsage().heapUsed - before) / dialogs;
  t.ok(dialogs > 100);
  t.ok(each < 25_000, `${Math.round(each)} bytes of heap for each dialog that began with 55 kB`);
});
