import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { Socket } from 'node:net';
import { setImmediate as turn, setTimeout as pause } from 'node:timers/promises';
import type { PeerCertificate } from 'node:tls';
import { generate } from 'selfsigned';
import t from 'tap';
import type { Test } from 'tap';
import { WebSocket, WebSocketServer } from 'ws';
import type { ClientOptions } from 'ws';
import type { Dns } from '../../sip/resolver.ts';
import type { Flow, Target, TransportFailure, TransportHandlers, ViaAddress } from '../../sip/transport/flow.ts';
import { SocketTransport } from '../../sip/transport/layer.ts';
import type { SocketTransportOptions } from '../../sip/transport/layer.ts';
import { boundTo } from '../../sip/transport/tcp.ts';
import { checkSipIdentity } from '../../sip/transport/tls.ts';
import type { TlsCertificate } from '../../sip/transport/tls.ts';

/** Gives way for a moment: what is waited for shows in the state of things only. */
const soon = (): Promise<void> => pause(2);

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');

/** A whole message of a given Call-ID and body. */
function options(id: string, body = ''): string {
  return [
    'OPTIONS sip:room@example.com SIP/2.0',
    'Via: SIP/2.0/TCP client.invalid;branch=z9hG4bK' + id,
    'Max-Forwards: 70',
    'To: <sip:room@example.com>',
    'From: <sip:alice@example.com>;tag=a',
    'Call-ID: ' + id,
    'CSeq: 1 OPTIONS',
    `Content-Length: ${body.length}`,
    '',
    body,
  ].join('\r\n');
}

const ok = 'SIP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n';

/** Things as they happen, to be awaited one by one. */
class Inbox<T> {
  readonly #items: T[] = [];
  readonly #waiting: ((item: T) => void)[] = [];

  put(item: T): void {
    const first = this.#waiting.shift();
    if (first === undefined) this.#items.push(item);
    else first(item);
  }

  next(): Promise<T> {
    const first = this.#items.shift();
    return first === undefined ? new Promise((resolve) => this.#waiting.push(resolve)) : Promise.resolve(first);
  }

  get size(): number {
    return this.#items.length;
  }
}

interface Received {
  readonly message: string;
  readonly flow: Flow;
}

interface Side {
  readonly layer: SocketTransport;
  readonly received: Inbox<Received>;
  readonly unframeable: Inbox<{ head: string | undefined; status: number; flow: Flow }>;
  readonly closed: Inbox<{ flow: Flow; reason: string }>;
  readonly log: string[];
}

/** A transport layer whose events can be awaited; it ends with the test. */
function side(test: Test, given: SocketTransportOptions = {}, handlers: Partial<TransportHandlers> = {}): Side {
  const received = new Inbox<Received>();
  const unframeable = new Inbox<{ head: string | undefined; status: number; flow: Flow }>();
  const closed = new Inbox<{ flow: Flow; reason: string }>();
  const log: string[] = [];
  const note = (line: string): void => {
    log.push(line);
  };
  const layer = new SocketTransport(
    {
      log: { info: note, warn: note, error: note },
      ...given,
      limits: { sweepInterval: 5, ...given.limits },
    },
    {
      receive: (message, flow) => {
        received.put({ message: text(message), flow });
      },
      unframeable: (head, status, _reason, flow) => {
        unframeable.put({ head: head && text(head), status, flow });
      },
      flowClosed: (flow, reason) => {
        closed.put({ flow, reason });
      },
      ...handlers,
    },
  );
  test.teardown(() => layer.close());
  return { layer, received, unframeable, closed, log };
}

/** A bare client socket and what it hears. */
async function client(test: Test, port: number, host = '127.0.0.1') {
  const socket: Socket = connect({ host, port, allowHalfOpen: true });
  const heard = new Inbox<string>();
  const ended = new Promise<void>((resolve) => socket.once('end', resolve));
  const closed = new Promise<void>((resolve) =>
    socket.once('close', () => {
      resolve();
    }),
  );
  socket.on('data', (chunk: Buffer) => {
    heard.put(text(chunk));
  });
  socket.on('error', () => undefined);
  socket.on('end', () => socket.end());
  await new Promise((resolve) => socket.once('connect', resolve));
  test.teardown(() => socket.destroy());
  return { socket, heard, ended, closed };
}

function viaOf(transport: string, port: number | undefined, more: Partial<ViaAddress> = {}): ViaAddress {
  return { transport, host: '127.0.0.1', port, maddr: undefined, received: undefined, rport: undefined, ...more };
}

function flowOf(result: Flow | TransportFailure): Flow {
  if ('failed' in result) throw new Error(`${result.failed}: ${result.reason}`);
  return result;
}

t.test('RFC 3261 §18.2.2: over TCP the response leaves by the connection of its request', async (t) => {
  const server = side(t);
  const { port } = await server.layer.listen({ transport: 'TCP', host: '127.0.0.1', port: 0 });
  const { socket, heard } = await client(t, port);
  socket.write(options('1', 'body') + options('2'));
  const first = await server.received.next();
  const second = await server.received.next();
  t.equal(first.message, options('1', 'body'));
  t.equal(second.message, options('2'));
  t.equal(first.flow, second.flow, 'one connection is one flow');
  t.match(first.flow, { transport: 'TCP', reliable: true, secure: false, open: true });
  t.strictSame(first.flow.advertised, { host: '127.0.0.1', port });
  server.layer.respond(first.flow, viaOf('TCP', 9), Buffer.from('one'));
  server.layer.respond(second.flow, viaOf('TCP', 9), Buffer.from('two'));
  t.equal(await heard.next(), 'onetwo', 'what one turn sends leaves in one write');
});

t.test('RFC 3261 §18: a connection that stands is used again, and dialled once', async (t) => {
  const server = side(t);
  const caller = side(t);
  const { port } = await server.layer.listen({ transport: 'TCP', host: '127.0.0.1', port: 0 });
  const target = { transport: 'TCP', remote: { address: '127.0.0.1', port }, serverName: '127.0.0.1' } as const;
  const flows = await Promise.all(
    [1, 2].map(
      () =>
        new Promise<Flow | TransportFailure>((r) => {
          caller.layer.connect(target, r);
        }),
    ),
  );
  t.equal(flows[0], flows[1], 'while it was being opened');
  const flow = flowOf(flows[0] as Flow);
  t.ok(flow.send(Buffer.from(options('1'))));
  const { flow: atServer } = await server.received.next();
  t.strictSame(atServer.remote, flow.local);
  let again: unknown;
  caller.layer.connect(target, (flow) => (again = flow));
  t.equal(again, flow, 'at once');
  const back = { transport: 'TCP', remote: flow.local, serverName: '' } as const;
  server.layer.connect(back, (flow) => (again = flow));
  t.equal(again, atServer, 'also by the side that accepted it');
  t.equal(caller.layer.connections, 1);
  atServer.send(Buffer.from(ok));
});

/** What `connect` gives, as a promise. */
function dial(layer: SocketTransport, port: number, more: Partial<Target> = {}): Promise<Flow | TransportFailure> {
  const remote = { address: '127.0.0.1', port };
  return new Promise((resolve) => {
    layer.connect({ transport: 'TCP', remote, serverName: '127.0.0.1', ...more }, resolve);
  });
}

t.test('RFC 3261 §18.3: a message may come in any pieces, and several in one', async (t) => {
  const server = side(t);
  const { port } = await server.layer.listen({ transport: 'TCP', host: '127.0.0.1', port: 0 });
  const { socket } = await client(t, port);
  socket.setNoDelay(true);
  const bytes = options('1', 'first') + options('2', 'second') + options('3');
  for (const cut of [0, 1, 17, 18, 19, 300, 301]) {
    socket.write(bytes.slice(cut, { 0: 1, 1: 17, 17: 18, 18: 19, 19: 300, 300: 301 }[cut]));
    await turn();
  }
  t.equal((await server.received.next()).message, options('1', 'first'));
  t.equal((await server.received.next()).message, options('2', 'second'));
  t.equal((await server.received.next()).message, options('3'));
});

t.test('RFC 5626 §4.4.1: a double CRLF between messages is answered by one CRLF', async (t) => {
  const server = side(t);
  const { port } = await server.layer.listen({ transport: 'TCP', host: '127.0.0.1', port: 0 });
  const { socket, heard } = await client(t, port);
  socket.write('\r\n\r\n');
  t.equal(await heard.next(), '\r\n');
  socket.write(`\r\n${options('1')}\r\n\r\n`);
  t.equal((await server.received.next()).message, options('1'), 'a single CRLF before a message is ignored (§7.5)');
  t.equal(await heard.next(), '\r\n');
});

t.test('half-close: what is owed is still answered, then the connection ends', async (t) => {
  const server = side(t);
  const { port } = await server.layer.listen({ transport: 'TCP', host: '127.0.0.1', port: 0 });
  const { socket, heard, ended } = await client(t, port);
  socket.end(options('1'));
  const { flow } = await server.received.next();
  t.equal((await server.closed.next()).flow, flow);
  t.equal(flow.open, false);
  t.equal(flow.send(Buffer.from(options('2'))), false, 'no request leaves by it');
  server.layer.respond(flow, viaOf('TCP', 9), Buffer.from('SIP/2.0 100 Trying\r\n\r\n'));
  server.layer.respond(flow, viaOf('TCP', 9), Buffer.from(ok));
  t.match(await heard.next(), /^SIP\/2.0 100[^]*SIP\/2.0 200/);
  await ended;
});

t.test('half-close: in the middle of a message, too, what came whole before it is answered', async (t) => {
  const server = side(t);
  const { port } = await server.layer.listen({ transport: 'TCP', host: '127.0.0.1', port: 0 });
  const { socket, heard, ended } = await client(t, port);
  socket.end(options('1') + options('2').slice(0, -10));
  const { flow } = await server.received.next();
  t.equal((await server.closed.next()).flow, flow);
  server.layer.respond(flow, viaOf('TCP', 9), Buffer.from(ok));
  t.match(await heard.next(), /^SIP\/2.0 200/);
  await ended;
  t.equal(server.received.size, 0);
});

t.test('half-close: a peer that is owed nothing is let go at once', async (t) => {
  const server = side(t);
  const { port } = await server.layer.listen({ transport: 'TCP', host: '127.0.0.1', port: 0 });
  const { socket, ended, closed } = await client(t, port);
  socket.end('\r\n');
  await ended;
  await closed;
  await server.closed.next();
  t.equal(server.closed.size, 0, 'told once');
});

t.test(
  'RFC 3261 §18.2.2: when the connection is gone, the response goes to the source address and sent-by port',
  async (t) => {
    const server = side(t);
    const { port } = await server.layer.listen({ transport: 'TCP', host: '127.0.0.1', port: 0 });
    const caller = side(t);
    const home = await caller.layer.listen({ transport: 'TCP', host: '127.0.0.1', port: 0 });
    const { socket } = await client(t, port);
    socket.write(options('1'));
    const { flow } = await server.received.next();
    socket.resetAndDestroy();
    await server.closed.next();
    server.layer.respond(flow, viaOf('TCP', home.port, { host: 'nowhere.invalid' }), Buffer.from(ok));
    t.equal((await caller.received.next()).message, ok);
  },
);

t.test('RFC 3263 §5: and when nobody is there, to where the sent-by leads; a failure is told once', async (t) => {
  const names: string[] = [];
  const dns: Dns = {
    naptr: () => Promise.reject(new Error('not asked for a response')),
    srv: () => Promise.reject(new Error('not asked where there is a port')),
    addresses: (name) => {
      names.push(name);
      return Promise.resolve(['127.0.0.2']);
    },
  };
  const server = side(t, { dns });
  const { port } = await server.layer.listen({ transport: 'TCP', host: '127.0.0.1', port: 0 });
  const caller = side(t);
  const home = await caller.layer.listen({ transport: 'TCP', host: '127.0.0.2', port: 0 });
  const { socket } = await client(t, port);
  socket.write(options('1'));
  const { flow } = await server.received.next();
  socket.resetAndDestroy();
  await server.closed.next();
  server.layer.respond(flow, viaOf('TCP', home.port, { host: 'backup.example.com' }), Buffer.from(ok));
  t.equal((await caller.received.next()).message, ok);
  t.strictSame(names, ['backup.example.com']);
  await caller.layer.close();
  const failures: TransportFailure[] = [];
  await new Promise<void>((resolve) => {
    server.layer.respond(flow, viaOf('TCP', 1, { host: '127.0.0.1' }), Buffer.from(ok), (failure) => {
      failures.push(failure);
      resolve();
    });
  });
  await turn();
  t.match(failures, [{ failed: 'refused' }]);
});

t.test('a peer that does not read is bounded in bytes and closed', async (t) => {
  const server = side(t, { limits: { maxQueuedBytes: 100_000 } });
  const { port } = await server.layer.listen({ transport: 'TCP', host: '127.0.0.1', port: 0 });
  const { socket } = await client(t, port);
  socket.write(options('1'));
  const { flow } = await server.received.next();
  socket.pause();
  let sent = 0;
  while (sent < 5_000 && flow.send(Buffer.alloc(10_000, 'x'))) {
    sent += 1;
    await turn();
  }
  t.ok(sent < 5_000, 'in the end it is full');
  t.equal(flow.open, false);
  t.match(await server.closed.next(), { flow: { id: flow.id }, reason: 'the peer does not read' });
  t.match(server.log, [/the peer does not read/]);
  const failed = new Inbox<TransportFailure>();
  t.equal(flow.send(Buffer.from('x')), false);
  server.layer.respond(flow, viaOf('TCP', 1), Buffer.from(ok), (failure) => {
    failed.put(failure);
  });
  t.match(await failed.next(), { failed: 'refused' });
});

t.test('limits: connections from one address and in all', async (t) => {
  const server = side(t, { limits: { maxConnectionsPerAddress: 2, maxConnections: 3 } });
  const { port } = await server.layer.listen({ transport: 'TCP', host: '127.0.0.1', port: 0 });
  const { port: other } = await server.layer.listen({ transport: 'TCP', host: '127.0.0.2', port: 0 });
  const first = await client(t, port);
  const second = await client(t, port);
  const third = await client(t, port);
  await third.closed;
  t.equal(server.layer.connections, 2);
  t.match(server.log, [/2 connections from this address/]);
  second.socket.destroy();
  while (server.layer.connections > 1) await soon();
  const fourth = await client(t, port);
  fourth.socket.write(options('4'));
  t.equal((await server.received.next()).message, options('4'), 'a place is free again');
  const fromElsewhere = connect({ host: '127.0.0.2', port: other, localAddress: '127.0.0.3' });
  fromElsewhere.write(options('5'));
  t.equal((await server.received.next()).message, options('5'));
  const oneTooMany = connect({ host: '127.0.0.2', port: other, localAddress: '127.0.0.4' });
  oneTooMany.on('error', () => undefined);
  await new Promise((resolve) => oneTooMany.once('close', resolve));
  t.match(server.log, [/from this address/, /3 connections in all/]);
  first.socket.write(options('6'));
  t.equal((await server.received.next()).message, options('6'), 'the others notice nothing');
  fromElsewhere.destroy();
});

t.test('timeouts: a half-received message, a connection without a message, an idle one', async (t) => {
  await t.test('half-received, however steadily it drips', async (t) => {
    const server = side(t, { limits: { messageTimeout: 30 } });
    const { port } = await server.layer.listen({ transport: 'TCP', host: '127.0.0.1', port: 0 });
    const { socket, closed } = await client(t, port);
    socket.write(`${options('1')}OPTIONS sip:`);
    await server.received.next();
    const drip = setInterval(() => socket.write('a'), 5);
    await closed;
    clearInterval(drip);
    t.match((await server.closed.next()).reason, /not finished in time/);
  });
  await t.test('no message', async (t) => {
    const server = side(t, { limits: { firstMessageTimeout: 30 } });
    const { port } = await server.layer.listen({ transport: 'TCP', host: '127.0.0.1', port: 0 });
    const { closed, socket } = await client(t, port);
    socket.write('\r\n\r\n');
    await closed;
    t.match((await server.closed.next()).reason, /no message/);
  });
  await t.test('idle', async (t) => {
    const server = side(t, { limits: { idleTimeout: 30 } });
    const { port } = await server.layer.listen({ transport: 'TCP', host: '127.0.0.1', port: 0 });
    const { closed, socket } = await client(t, port);
    socket.write(options('1'));
    await closed;
    t.match((await server.closed.next()).reason, /idle/);
  });
  await t.test('half-closed and never answered', async (t) => {
    const server = side(t, { limits: { lingerTimeout: 30 } });
    const { port } = await server.layer.listen({ transport: 'TCP', host: '127.0.0.1', port: 0 });
    const { closed, socket } = await client(t, port);
    socket.end(options('1'));
    await closed;
    while (server.layer.connections > 0) await soon();
    t.equal((await server.closed.next()).reason, 'the peer has closed its direction');
  });
});

t.test(
  'RFC 3261 §18.3: a stream that cannot be framed is answered if it can, closed, and nobody else notices',
  async (t) => {
    const server = side(t, { limits: { maxHeadBytes: 1_000, maxBodyBytes: 1_000 } }, {});
    const { port } = await server.layer.listen({ transport: 'TCP', host: '127.0.0.1', port: 0 });
    const bystander = await client(t, port);
    bystander.socket.write(options('1').slice(0, 50));
    const faults = [
      { sent: options('2').replace('Content-Length: 0\r\n', ''), status: 400, whole: true, cut: false },
      { sent: options('2').replace('Content-Length: 0', 'Content-Length: -1'), status: 400, whole: true, cut: false },
      {
        sent: options('2').replace('Content-Length: 0', 'Content-Length: 1\r\nl: 2'),
        status: 400,
        whole: true,
        cut: false,
      },
      { sent: options('2', 'x'.repeat(1_001)), status: 413, whole: true, cut: false },
      {
        sent: options('2').replace('Max-Forwards: 70', 'Subject: ' + 'x'.repeat(1_000)),
        status: 513,
        whole: false,
        cut: true,
      },
      { sent: '\x16\x03\x01\x02', status: 400, whole: false, cut: false },
    ] as const;
    for (const { sent, status, whole, cut } of faults) {
      const bad = await client(t, port);
      bad.socket.write(sent);
      const fault = await server.unframeable.next();
      t.match(fault, { status, head: whole ? /^OPTIONS[^]*\r\n\r\n$/ : cut ? /^OPTIONS[^]{993}$/ : undefined });
      t.match(await server.closed.next(), { flow: { id: fault.flow.id } });
      await bad.ended;
    }
    bystander.socket.write(options('1').slice(50));
    t.equal((await server.received.next()).message, options('1'));
  },
);

t.test('the answer to a stream that cannot be framed reaches a peer that is still sending', async (t) => {
  const server = side(
    t,
    {},
    {
      unframeable: (_head, _status, _reason, flow) => {
        flow.send(Buffer.from('SIP/2.0 400 Bad Request\r\n\r\n'));
      },
    },
  );
  const { port } = await server.layer.listen({ transport: 'TCP', host: '127.0.0.1', port: 0 });
  const { socket, heard, ended } = await client(t, port);
  socket.write(options('2').replace('Content-Length: 0\r\n', ''));
  for (let piece = 0; piece < 20; piece += 1) socket.write('x'.repeat(10_000));
  t.match(await heard.next(), /^SIP\/2.0 400/);
  await ended;
});

t.test('connect: refused, too slow, too many, closing', async (t) => {
  const silent = createServer().listen(0, '127.0.0.1');
  await once(silent, 'listening');
  t.teardown(() => silent.close());
  const address = silent.address();
  const silentPort = typeof address === 'object' && address !== null ? address.port : 0;
  const { layer } = side(t, { limits: { connectTimeout: 2_000, maxConnecting: 1, maxWaitingToConnect: 2 } });
  t.match(await dial(layer, 1), { failed: 'refused' });
  const arrived = once(silent, 'connection') as Promise<[Socket]>;
  const cut = dial(layer, silentPort, { transport: 'TLS', serverName: 'first.example' });
  const slow = dial(layer, silentPort, { transport: 'TLS' });
  const later = [dial(layer, silentPort), dial(layer, silentPort)];
  t.match(await dial(layer, 1), { failed: 'limit' });
  // From now on the second is being opened, until those who have waited from the beginning have given up.
  for (const socket of await arrived) socket.destroy();
  t.match(await cut, { failed: 'refused' });
  t.match(await slow, { failed: 'timeout' });
  t.match(await Promise.all(later), [{ failed: 'limit' }, { failed: 'limit' }], 'no longer than to connect');
  const abandoned = dial(layer, silentPort, { transport: 'TLS' });
  await layer.close();
  t.match(await abandoned, { failed: 'closed' });
  t.match(await dial(layer, 1), { failed: 'closed' });
  t.match(await dial(layer, 1, { transport: 'WS' }), { failed: 'closed' });
  t.equal(layer.connections, 0);
});

t.test('who sends hundreds of messages at once keeps nobody waiting', async (t) => {
  const received = new Inbox<Received>();
  let time = 0;
  const receive = (message: Uint8Array, flow: Flow): void => {
    received.put({ message: text(message), flow });
    time += 1;
  };
  const server = { ...side(t, { limits: { turnTime: 16 }, clock: () => time }, { receive }), received };
  const { port } = await server.layer.listen({ transport: 'TCP', host: '127.0.0.1', port: 0 });
  const [proxy, other] = [await client(t, port), await client(t, port)];
  for (const { socket } of [proxy, other]) {
    socket.write(options('first'));
    await server.received.next();
  }
  const many = Array.from({ length: 200 }, (_, at) => options(String(at)));
  proxy.socket.end(many.join(''));
  const order = [(await server.received.next()).message];
  other.socket.write(options('other'));
  while (order.length < 201) order.push((await server.received.next()).message);
  t.ok(order.indexOf(options('other')) < 100, `among them: ${String(order.indexOf(options('other')))}`);
  t.same(
    order.filter((message) => message !== options('other')),
    many,
    'and none is lost, though the peer has ended',
  );
  t.match(await server.closed.next(), { reason: 'the peer has closed its direction' });
});

t.test('connect: as many at a time as may be opened, the others when their turn comes', async (t) => {
  const servers = await Promise.all(
    Array.from({ length: 50 }, async () => {
      const server = createServer((socket) => socket.on('error', () => undefined).resume()).listen(0, '127.0.0.1');
      await once(server, 'listening');
      t.teardown(() => server.close());
      return boundTo(server).port;
    }),
  );
  const { layer } = side(t, { limits: { maxConnecting: 3 } });
  const flows = await Promise.all(servers.map((port) => dial(layer, port)));
  t.same(new Set(flows.map((flow) => ('failed' in flow ? flow : flow.remote.port))), new Set(servers));
  t.equal(layer.connections, 50);
  const hasty = side(t, { limits: { maxConnecting: 1 } });
  const ends = servers.map((port) => dial(hasty.layer, port));
  await hasty.layer.close();
  t.ok(
    (await Promise.all(ends)).every((end) => 'failed' in end && end.failed === 'closed'),
    'none is left unanswered',
  );
});

t.test('what has come of hundreds of messages is taken, also when the connection breaks meanwhile', async (t) => {
  const taken: string[] = [];
  let breaks: () => void = () => undefined;
  const server = side(
    t,
    {},
    {
      receive: (message, flow) => {
        taken.push(text(message));
        breaks();
        flow.send(Buffer.from('SIP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n'));
      },
    },
  );
  const { port } = await server.layer.listen({ transport: 'TCP', host: '127.0.0.1', port: 0 });
  const { socket } = await client(t, port);
  breaks = () => socket.resetAndDestroy();
  const many = Array.from({ length: 100 }, (_, at) => options(String(at)));
  socket.write(many.join(''));
  t.match((await server.closed.next()).reason, /ECONNRESET|EPIPE/);
  t.same(taken, many);
});

t.test('close: peers that never close their side are cut off', async (t) => {
  const patient = side(t, { limits: { closeTimeout: 3_600_000 } });
  const hasty = side(t, { limits: { closeTimeout: 1 } });
  const kept: Socket[] = [];
  for (const { layer, received } of [patient, hasty]) {
    const { port } = await layer.listen({ transport: 'TCP', host: '127.0.0.1', port: 0 });
    const { socket } = await client(t, port);
    socket.removeAllListeners('end');
    socket.write(options('1'));
    await received.next();
    kept.push(socket);
  }
  const closed = await Promise.race([
    patient.layer.close().then(() => 'patient'),
    hasty.layer.close().then(() => 'hasty'),
  ]);
  t.equal(closed, 'hasty');
  t.equal(patient.layer.connections, 1);
  for (const socket of kept) socket.destroy();
});

t.test('the trace sees every message, both ways; a flood of faults is few lines', async (t) => {
  const seen: string[] = [];
  let now = 0;
  const server = side(t, {
    maxLogLines: 3,
    clock: () => now,
    trace: ({ direction, flow, message, at, to }) => {
      seen.push(`${direction} ${flow.id} ${text(message).split(' ')[0] ?? ''} ${at > 1_600_000_000_000}`);
      if (to !== undefined) seen.push(`to ${to.port}`);
    },
  });
  const { port } = await server.layer.listen({ transport: 'TCP', host: '127.0.0.1', port: 0 });
  const { socket } = await client(t, port);
  socket.write(options('1'));
  const { flow } = await server.received.next();
  server.layer.respond(flow, viaOf('TCP', 9), Buffer.from(ok));
  t.strictSame(seen.splice(0), [`in ${flow.id} OPTIONS true`, `out ${flow.id} SIP/2.0 true`]);

  const listening = await server.layer.listen({ transport: 'UDP', host: '127.0.0.1', port: 0 });
  const [source, sentBy] = [await udpClient(t), await udpClient(t)];
  source.socket.send(options('1'), listening.port, '127.0.0.1');
  const udp = (await server.received.next()).flow;
  server.layer.respond(udp, viaOf('UDP', sentBy.port), Buffer.from(ok));
  udp.send(Buffer.from(options('2')));
  t.strictSame(seen, [
    `in ${udp.id} OPTIONS true`,
    ...[`out ${udp.id} SIP/2.0 true`, `to ${sentBy.port}`],
    `out ${udp.id} OPTIONS true`,
  ]);
  for (let n = 0; n < 10; n += 1) {
    const bad = await client(t, port);
    bad.socket.write('\0');
    await bad.ended;
  }
  t.equal(server.log.length, 3);
  now = 1_000;
  const last = await client(t, port);
  last.socket.write('\0');
  await last.ended;
  t.match(server.log, [/./, /./, /./, /^7 more lines were left out/, /closed: not a SIP message/]);
});

t.test('a listener behind NAT advertises what it is told', async (t) => {
  const server = side(t);
  const advertise = { host: '2001:db8::1', port: 5060 };
  const { port } = await server.layer.listen({ transport: 'TCP', host: '127.0.0.1', port: 0, advertise });
  const { socket } = await client(t, port);
  socket.write(options('1'));
  t.strictSame((await server.received.next()).flow.advertised, { host: '[2001:db8::1]', port: 5060 });
  const peer = side(t);
  const { port: peerPort } = await peer.layer.listen({ transport: 'TCP', host: '127.0.0.1', port: 0 });
  t.strictSame(flowOf(await dial(server.layer, peerPort)).advertised, { host: '[2001:db8::1]', port: 5060 });
});

t.test('IPv6: TCP at ::1', async (t) => {
  const server = side(t);
  const { port } = await server.layer.listen({ transport: 'TCP', host: '::', port: 0 });
  const caller = side(t);
  const flow = flowOf(await dial(caller.layer, port, { remote: { address: '::1', port } }));
  flow.send(Buffer.from(options('1')));
  const { flow: atServer } = await server.received.next();
  t.match(atServer, { remote: { address: '::1' }, advertised: { host: '[::1]', port } });
  atServer.send(Buffer.from(ok));
  t.equal((await caller.received.next()).message, ok);
});

// UDP.

interface Datagram {
  readonly message: string;
  readonly from: number;
}

/** A bare UDP socket and what it hears. */
async function udpClient(test: Test, host = '127.0.0.1') {
  const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4');
  const heard = new Inbox<Datagram>();
  socket.on('message', (message, from) => {
    heard.put({ message: text(message), from: from.port });
  });
  socket.bind(0, host);
  await once(socket, 'listening');
  test.teardown(() => socket.close());
  return { socket, heard, port: socket.address().port };
}

t.test(
  'RFC 3581 §4, RFC 3261 §18.2.2: over UDP a response goes to rport, to the sent-by port, or to maddr',
  async (t) => {
    const server = side(t);
    const { port } = await server.layer.listen({ transport: 'UDP', host: '127.0.0.1', port: 0 });
    await server.layer.listen({ transport: 'UDP', host: '127.0.0.2', port: 0 });
    const source = await udpClient(t);
    const sentBy = await udpClient(t);
    const multi = await udpClient(t, '127.0.0.5');
    source.socket.send(options('1'), port, '127.0.0.1');
    const { flow, message } = await server.received.next();
    t.equal(message, options('1'));
    t.match(flow, { transport: 'UDP', reliable: false, secure: false, open: true, remote: { port: source.port } });
    const answer = (via: Partial<ViaAddress>): void => {
      server.layer.respond(flow, viaOf('UDP', sentBy.port, via), Buffer.from(ok));
    };
    answer({ rport: 9, received: '127.0.0.99' });
    t.strictSame(await source.heard.next(), { message: ok, from: port }, 'the source, whatever the Via claims');
    answer({ received: '127.0.0.99' });
    t.strictSame(await sentBy.heard.next(), { message: ok, from: port }, 'from the socket that got the request');
    server.layer.respond(flow, viaOf('UDP', multi.port, { maddr: '127.0.0.5', rport: 9 }), Buffer.from(ok));
    t.strictSame(await multi.heard.next(), { message: ok, from: port });
    source.socket.send(options('2'), port, '127.0.0.1');
    t.equal((await server.received.next()).flow, flow, 'one peer is one flow');
  },
);

t.test('UDP: keep-alives and noise are ignored, a request of any size is sent by a known flow', async (t) => {
  const server = side(t);
  const { port } = await server.layer.listen({ transport: 'UDP', host: '127.0.0.1', port: 0 });
  const { socket, heard } = await udpClient(t);
  for (const noise of ['', '\r\n\r\n', '\0', '\0\x01\0\0!\x12\xa4B']) socket.send(noise, port, '127.0.0.1');
  socket.send(`\r\n${options('1')}`, port, '127.0.0.1');
  const { message, flow } = await server.received.next();
  t.equal(message, options('1'), 'RFC 3261 §7.5');
  t.ok(flow.send(Buffer.alloc(20_000, 'x')));
  t.equal((await heard.next()).message.length, 20_000);
  t.equal(flow.send(Buffer.alloc(65_508)), false, 'no datagram is as large');
  flow.close('enough');
  t.match(await server.closed.next(), { reason: 'enough' });
  await server.layer.close();
  t.equal(flow.open, false);
  t.equal(flow.send(Buffer.from('x')), false);
});

t.test('RFC 3261 §18.4: where the system has no way, or there is no such port, the core hears of it', async (t) => {
  const server = side(t);
  const { port } = await server.layer.listen({ transport: 'UDP', host: '127.0.0.1', port: 0 });
  const { socket } = await udpClient(t);
  socket.send(options('1'), port, '127.0.0.1');
  const { flow } = await server.received.next();
  const failed = new Inbox<TransportFailure>();
  const hear = (failure: TransportFailure): void => {
    failed.put(failure);
  };
  server.layer.respond(flow, viaOf('UDP', 65_536), Buffer.from(ok), hear);
  t.match(await failed.next(), { failed: 'closed' });
  server.layer.respond(flow, viaOf('UDP', 9, { maddr: '255.255.255.255' }), Buffer.from(ok), hear);
  t.match(await failed.next(), { failed: 'refused', reason: /EACCES/ });
  t.equal(failed.size, 0);
  server.layer.respond(flow, viaOf('UDP', 0), Buffer.from(ok), hear);
  const nowhere = { transport: 'UDP', remote: { address: '255.255.255.255', port: 9 } } as const;
  const gone = flowOf(await dial(server.layer, 0, nowhere));
  t.ok(gone.send(Buffer.from(options('1'))));
  t.match(await server.closed.next(), { flow: { id: gone.id }, reason: /EACCES/ });
  t.match(await dial(server.layer, 0), { failed: 'refused' }, 'port 0 over TCP');
});

t.test('UDP peers remembered are bounded', async (t) => {
  const server = side(t, { limits: { maxUdpPeers: 2 } });
  const { port } = await server.layer.listen({ transport: 'UDP', host: '127.0.0.1', port: 0 });
  const peers = [await udpClient(t), await udpClient(t), await udpClient(t)];
  const flows: Flow[] = [];
  for (const { socket } of [...peers, ...peers]) {
    socket.send(options('1'), port, '127.0.0.1');
    flows.push((await server.received.next()).flow);
  }
  t.not(flows[0], flows[3], 'forgotten');
  t.ok(flows[0]?.send(Buffer.from('still good')));
  t.equal((await peers[0]?.heard.next())?.message, 'still good');
});

t.test('IPv6: UDP at ::1', async (t) => {
  const server = side(t);
  const { port } = await server.layer.listen({ transport: 'UDP', host: '::', port: 0 });
  const { socket, heard } = await udpClient(t, '::1');
  socket.send(options('1'), port, '::1');
  const { flow } = await server.received.next();
  t.strictSame(flow.advertised, { host: '[::1]', port });
  server.layer.respond(flow, viaOf('UDP', 9, { host: '[::1]', rport: 1 }), Buffer.from(ok));
  t.equal((await heard.next()).message, ok);
});

t.test('RFC 3261 §18.1.1: what is too large for UDP goes over TCP, and over UDP when TCP is refused', async (t) => {
  const caller = side(t);
  await caller.layer.listen({ transport: 'UDP', host: '0.0.0.0', port: 0 });
  const peer = side(t);
  const { port } = await peer.layer.listen({ transport: 'UDP', host: '127.0.0.1', port: 0 });
  const hop = { secure: false, host: '127.0.0.1', port, transport: undefined };
  const located = (bytes: number): readonly Target[] => {
    let found: readonly Target[] = [];
    caller.layer.locate(hop, bytes, (targets) => {
      found = 'failed' in targets ? [] : targets;
    });
    return found;
  };
  t.match(located(1_300), [{ transport: 'UDP', remote: { address: '127.0.0.1', port } }]);
  const [first, second] = located(1_301);
  t.match([first, second], [{ transport: 'TCP' }, { transport: 'UDP' }]);
  t.match(await dial(caller.layer, port, first), { failed: 'refused' });
  const flow = flowOf(await dial(caller.layer, port, second));
  t.strictSame(flow.advertised.host, '127.0.0.1', 'what a loopback peer can reach');
  t.ok(flow.send(Buffer.from(options('1', 'x'.repeat(1_301)))));
  t.equal((await peer.received.next()).message, options('1', 'x'.repeat(1_301)));
});

// TLS.

const names = (...altNames: { type: 1 | 2 | 6 | 7; value?: string; ip?: string }[]) => ({
  keyType: 'ec' as const,
  extensions: [{ name: 'subjectAltName' as const, altNames }],
});

async function certificate(
  ...altNames: { type: 1 | 2 | 6 | 7; value?: string; ip?: string }[]
): Promise<TlsCertificate> {
  const made = await generate([{ name: 'commonName', value: 'sip.example.com' }], names(...altNames));
  return { cert: made.cert, key: made.private };
}

t.test('RFC 5922 §7: TLS; the server is verified, the client needs no certificate', async (t) => {
  const domain = await certificate({ type: 6, value: 'sip:example.com' }, { type: 2, value: 'host.example.com' });
  const server = side(t);
  const listening = await server.layer.listen({ transport: 'TLS', host: '127.0.0.1', port: 0, certificate: domain });
  const { port } = listening;
  const caller = side(t, { tls: { ca: domain.cert } });
  const to = (serverName: string): Promise<Flow | TransportFailure> =>
    dial(caller.layer, port, { transport: 'TLS', serverName });
  const flow = flowOf(await to('example.com'));
  t.match(flow, { transport: 'TLS', reliable: true, secure: true });
  flow.send(Buffer.from(options('1')));
  const { flow: atServer } = await server.received.next();
  t.match(atServer, { transport: 'TLS', secure: true });
  server.layer.respond(atServer, viaOf('TLS', 9), Buffer.from(ok));
  t.equal((await caller.received.next()).message, ok);
  t.equal(await to('EXAMPLE.com'), flow, 'the same domain is the same connection');
  t.match(await to('host.example.com'), { failed: 'certificate' }, 'DNS names do not count beside a sip: URI');
  t.match(await to('other.example.com'), { failed: 'certificate' });
  const back = { transport: 'TLS', remote: flow.local, serverName: 'alice.example.com' } as const;
  t.match(await dial(server.layer, 0, back), { failed: 'refused' }, 'who only connected has proved no domain');

  const strict = side(t);
  t.match(await dial(strict.layer, port, { transport: 'TLS', serverName: 'example.com' }), { failed: 'certificate' });
  const trusting = side(t, { tls: { verify: false } });
  t.ok(flowOf(await dial(trusting.layer, port, { transport: 'TLS', serverName: 'whatever.example' })).open);

  const next = await certificate({ type: 6, value: 'sip:renewed.example' });
  listening.renew(next);
  const later = side(t, { tls: { ca: next.cert } });
  t.ok(flowOf(await dial(later.layer, port, { transport: 'TLS', serverName: 'renewed.example' })).open);
});

t.test('TLS: noise and an abandoned handshake leave nothing behind', async (t) => {
  const server = side(t, { limits: { firstMessageTimeout: 50 } });
  const own = await certificate({ type: 7, ip: '127.0.0.1' });
  const { port } = await server.layer.listen({ transport: 'TLS', host: '127.0.0.1', port: 0, certificate: own });
  const noise = await client(t, port);
  noise.socket.write(options('1'));
  await noise.closed;
  const silent = await client(t, port);
  await silent.closed;
  while (server.layer.connections > 0) await soon();
  t.match(server.log, [/TLS handshake failed/, /TLS handshake failed/]);
  t.equal(server.received.size, 0);
  const patient = side(t);
  const other = await patient.layer.listen({ transport: 'TLS', host: '127.0.0.1', port: 0, certificate: own });
  const caller = side(t, { tls: { ca: own.cert } });
  t.ok(flowOf(await dial(caller.layer, other.port, { transport: 'TLS' })).open, 'by its address');
});

t.test('RFC 5922 §7.2: a domain is compared whole, without wildcards', (t) => {
  const fits = (domain: string, subjectaltname: string | undefined, CN = 'cn.example.com'): boolean =>
    checkSipIdentity(domain, { subject: { CN }, subjectaltname } as unknown as PeerCertificate) === undefined;
  t.ok(fits('example.com', 'DNS:other.net, URI:sip:example.com'));
  t.ok(fits('example.com', 'URI:SIP:Example.COM:5061;transport=tcp'));
  t.notOk(fits('example.com', 'URI:sip:alice@example.com'), 'a user is not a domain');
  t.notOk(fits('example.com', 'URI:https://example.com'));
  t.ok(fits('example.com', 'URI:sip:alice@other.com, DNS:example.com'));
  t.notOk(fits('foo.example.com', 'DNS:*.example.com'));
  t.notOk(fits('foo.example.com', 'DNS:example.com'));
  t.ok(fits('cn.example.com', undefined));
  t.notOk(fits('cn.example.com', 'DNS:example.com'));
  t.end();
});

// WebSocket.

/** A WebSocket server that gives its sockets to the layer, as the service does. */
async function webSocketServer(test: Test, server: Side) {
  const http = new WebSocketServer({ port: 0, host: '127.0.0.1', handleProtocols: () => 'sip' });
  await once(http, 'listening');
  const address = http.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  http.on('connection', (socket, request) => {
    const end = { address: '127.0.0.1', port };
    const remote = { address: '127.0.0.1', port: request.socket.remotePort ?? 0 };
    server.layer.accept(socket, { secure: false, local: end, remote, advertised: { host: '127.0.0.1', port } });
  });
  test.teardown(() => {
    for (const socket of http.clients) socket.terminate();
    http.close();
  });
  return port;
}

async function webSocketClient(test: Test, port: number, more: ClientOptions = {}) {
  const socket = new WebSocket(`ws://127.0.0.1:${port}`, 'sip', more);
  const heard = new Inbox<{ message: string; isBinary: boolean }>();
  socket.on('message', (data: Buffer, isBinary) => {
    heard.put({ message: text(data), isBinary });
  });
  socket.on('error', () => undefined);
  const closed = new Promise<number>((resolve) => socket.once('close', resolve));
  await once(socket, 'open');
  test.teardown(() => {
    socket.terminate();
  });
  return { socket, heard, closed };
}

t.test('RFC 7118: each WebSocket message is one SIP message, text or binary', async (t) => {
  const server = side(t, { limits: { maxHeadBytes: 1_000, maxBodyBytes: 1_000 } });
  const { socket, heard, closed } = await webSocketClient(t, await webSocketServer(t, server));
  const withoutLength = options('1').replace('Content-Length: 0\r\n', '');
  socket.send(withoutLength);
  const { message, flow } = await server.received.next();
  t.equal(message, withoutLength, 'no Content-Length is needed');
  t.match(flow, { transport: 'WS', reliable: true, secure: false });
  socket.send(Buffer.from(options('2')));
  t.equal((await server.received.next()).flow, flow, 'binary too');
  server.layer.respond(flow, viaOf('WS', 9), Buffer.from(ok));
  t.strictSame(await heard.next(), { message: ok, isBinary: false });
  flow.send(Buffer.from([0x58, 0xff]));
  t.strictSame(await heard.next(), { message: 'X\xff', isBinary: true }, '§4.2: not UTF-8');
  socket.send('\r\n\r\n');
  t.equal((await heard.next()).message, '\r\n', '§6: keep-alive');
  socket.send('\r\n');
  socket.send(options('3', 'x'.repeat(2_000)));
  t.match(await server.unframeable.next(), { status: 513, head: /^OPTIONS/ });
  t.equal(await closed, 1000);
  const failed = new Inbox<TransportFailure>();
  server.layer.respond(flow, viaOf('WS', 9), Buffer.from(ok), (failure) => {
    failed.put(failure);
  });
  t.match(await failed.next(), { failed: 'closed' });
});

t.test('of many who write at once, over all connections, some are heard in each turn of the event loop', async (t) => {
  const heard: { readonly message: string; readonly turn: number }[] = [];
  let [time, now] = [0, 0];
  const receive = (message: Uint8Array): void => {
    heard.push({ message: text(message), turn: now });
    time += 1;
  };
  const server = side(t, { limits: { turnTime: 5 }, clock: () => time }, { receive });
  const { port } = await server.layer.listen({ transport: 'TCP', host: '127.0.0.1', port: 0 });
  const webPort = await webSocketServer(t, server);
  const streams = Array.from({ length: 30 }, () => client(t, port));
  const webSockets = Array.from({ length: 30 }, () => webSocketClient(t, webPort));
  const all = await Promise.all([...streams, ...webSockets]);
  while (server.layer.connections < 60) await turn();
  const sent = all.map((_, at) => ['a', 'b', 'c'].map((each) => options(`${each}${String(at)}`)));
  for (const [at, { socket }] of all.entries()) {
    const messages = sent[at] ?? [];
    if (!(socket instanceof WebSocket)) {
      socket.write(messages.join(''));
      continue;
    }
    for (const message of messages) socket.send(message);
    if (at % 2 === 0) socket.close();
  }
  for (; heard.length < 180; now += 1) await turn();

  const perTurn = Array.from({ length: now }, (_, at) => heard.filter((each) => each.turn === at).length);
  const most = Math.max(...perTurn);
  // Our turns and its own need not begin at the same place.
  t.ok(most <= 10, `${String(most)} at most`);
  for (const each of sent) {
    t.same(
      heard.map(({ message }) => message).filter((message) => each.includes(message)),
      each,
      'each in his order, though he has hung up',
    );
  }
  for (let at = 0; at < 15; at += 1) t.match((await server.closed.next()).reason, /closed by the peer/);
  (await webSockets.at(-1))?.socket.send(options('later'));
  while (heard.length < 181) await turn();
  t.equal(heard.at(-1)?.message, options('later'), 'and goes on to be heard');
});

t.test('while it is congested, large messages wait in their order, and small ones of others do not', async (t) => {
  for (const kind of ['TCP', 'WS'] as const) {
    const asked = new Inbox<boolean>();
    const received = new Inbox<string>();
    let busy = true;
    let largeAtOnce = 0;
    const congested = (): boolean => {
      asked.put(busy);
      return busy;
    };
    const receive = (message: Uint8Array): void => {
      if (message.length > 20_000) {
        largeAtOnce += 1;
        busy = true;
      }
      received.put(text(message));
    };
    const server = side(t, { congested }, { receive });
    const { port } = await server.layer.listen({ transport: 'TCP', host: '127.0.0.1', port: 0 });
    const webPort = await webSocketServer(t, server);
    const connected = () => (kind === 'TCP' ? client(t, port) : webSocketClient(t, webPort));
    const say = ({ socket }: Awaited<ReturnType<typeof connected>>, messages: readonly string[]): void => {
      if (socket instanceof WebSocket) for (const message of messages) socket.send(message);
      else socket.write(messages.join(''));
    };
    const [flood, other] = [await connected(), await connected()];
    const much = ['a', 'b'].flatMap((id) => [options(id, id.repeat(20_000)), options(`behind-${id}`)]);
    say(flood, much);
    await asked.next();
    if (flood.socket instanceof WebSocket) flood.socket.close();
    else flood.socket.end();
    say(other, [options('other')]);
    t.equal(await received.next(), options('other'), `${kind}: small ones are heard`);
    for (let again = 0; again < 3; again += 1) t.equal(await asked.next(), true, 'it is looked again');
    for (const [at, message] of much.entries()) {
      if (at % 2 === 0) {
        t.equal(received.size, 0, 'nothing that comes behind passes it');
        busy = false;
      }
      t.equal(await received.next(), message, 'and what waits is heard in its order, though its peer has ended');
      t.equal(largeAtOnce, Math.floor(at / 2) + 1, 'one large message for each time that there is room');
    }
    t.match((await server.closed.next()).reason, /closed/);
  }
});

t.test('RFC 7118 §6: a WebSocket that answers no ping is closed; one too many is refused', async (t) => {
  let now = 0;
  const server = side(t, { clock: () => now, limits: { pingInterval: 100, maxConnectionsPerAddress: 1 } });
  const port = await webSocketServer(t, server);
  const deaf = await webSocketClient(t, port, { autoPong: false });
  const refused = await webSocketClient(t, port);
  t.equal(await refused.closed, 1013);
  const pinged = once(deaf.socket, 'ping');
  now = 101;
  await pinged;
  now = 202;
  await deaf.closed;
  t.match((await server.closed.next()).reason, /no answer to a ping/);
  while (server.layer.connections > 0) await soon();
  const alive = await webSocketClient(t, port);
  for (let round = 0; round < 3; round += 1) {
    const ping = once(alive.socket, 'ping');
    now += 101;
    await ping;
    // Its answer is there before another's whole handshake is through.
    const other = await webSocketClient(t, port);
    t.equal(await other.closed, 1013);
  }
  t.equal(alive.socket.readyState, WebSocket.OPEN);
});
