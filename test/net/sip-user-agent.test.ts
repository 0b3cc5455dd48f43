import { spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { generate } from 'selfsigned';
import t from 'tap';
import type { Test } from 'tap';
import { WebSocket } from 'ws';
import {
  type Answer,
  type Dns,
  type Flow,
  type IncomingRequest,
  type InviteSession,
  type ListenOptions,
  type Outcome,
  type OutgoingRequestParts,
  parseNameAddr,
  parseUri,
  type SessionEnd,
  SocketTransport,
  type SocketTransportOptions,
  type TraceEntry,
  type TransportHandlers,
  UserAgent,
  type UserAgentHandlers,
} from '../../sip/index.ts';
import { ownAddress } from '../own-address.ts';

/** Gives way for a moment: what is waited for shows in the state of things only. */
const soon = (): Promise<void> => pause(2);

interface Host {
  readonly userAgent: UserAgent;
  readonly transport: SocketTransport;
  /** Bodies of MESSAGEs with the transport they came by. */
  readonly messages: string[];
  readonly sessions: InviteSession[];
  readonly ends: SessionEnd['why'][];
}

const timers = { T1: 50, T2: 400, T4: 500 };

/** A user agent on real sockets that takes calls and MESSAGEs. */
async function host(
  t: Test,
  listeners: readonly ListenOptions[],
  options: SocketTransportOptions = {},
  handlers: Partial<UserAgentHandlers> = {},
): Promise<Host> {
  const messages: string[] = [];
  const sessions: InviteSession[] = [];
  const ends: SessionEnd['why'][] = [];
  let transport: SocketTransport | undefined;
  const userAgent = new UserAgent(
    {
      transport: (above) => (transport = new SocketTransport(options, above)),
      timers,
      sessionTimer: false,
      events: [
        {
          name: 'conference',
          defaultExpires: 60,
          minExpires: 1,
          maxExpires: 60,
          pacing: 0,
          contentTypes: ['text/plain'],
        },
      ],
    },
    {
      onInvite: (invite) => {
        const session = { onEnded: ({ why }: SessionEnd) => void ends.push(why) };
        const accepted = invite.accept({ contentType: 'application/sdp', body: 'v=0\r\n', session });
        if (accepted !== undefined) sessions.push(accepted);
      },
      onSubscribe: (subscribe) => {
        subscribe.accept({ resource: 'room', content: () => ({ contentType: 'text/plain', body: 'n'.repeat(5_000) }) });
      },
      onMessage: ({ request, flow }) => {
        messages.push(`${flow.transport} ${request.body.length}`);
        return { status: 200 };
      },
      ...handlers,
    },
  );
  if (transport === undefined) throw new Error('no transport');
  for (const listener of listeners) await transport.listen(listener);
  t.teardown(() => userAgent.close(50));
  return { userAgent, transport, messages, sessions, ends };
}

/** The port that one more listener is bound to. */
async function portOf(transport: SocketTransport, options: ListenOptions): Promise<number> {
  return (await transport.listen(options)).port;
}

const local = '127.0.0.1';
const alice = parseNameAddr('<sip:alice@127.0.0.1>');

function message(from: Host, uri: string, size: number): Promise<Outcome> {
  return new Promise((resolve) => {
    const content = { contentType: 'text/plain', body: 'x'.repeat(size) };
    from.userAgent.request({ method: 'MESSAGE', uri: parseUri(uri), from: alice, ...content }, resolve);
  });
}

const statusOf = (outcome: Outcome): number => (outcome.is === 'response' ? outcome.response.status : outcome.status);

function call(from: Host, uri: string, flow?: Flow): Promise<InviteSession> {
  return new Promise((resolve, reject) => {
    from.userAgent.invite(
      {
        uri: parseUri(uri),
        from: alice,
        ...(flow && { flow }),
        contentType: 'application/sdp',
        body: 'v=0\r\n',
        session: { onEnded: ({ why }) => void from.ends.push(why) },
      },
      {
        onAccepted: (session) => {
          resolve(session);
          return undefined;
        },
        onFailed: (outcome) => {
          reject(new Error(`${statusOf(outcome)}`));
        },
      },
    );
  });
}

t.test('RFC 3261 §18.1.1: a large request goes by TCP; by UDP after all where TCP is refused', async (t) => {
  const caller = await host(t, [
    { transport: 'UDP', host: local, port: 0 },
    { transport: 'TCP', host: local, port: 0 },
  ]);
  const both = await host(t, []);
  const port = await portOf(both.transport, { transport: 'UDP', host: ownAddress, port: 0 });
  await both.transport.listen({ transport: 'TCP', host: ownAddress, port });
  t.equal(statusOf(await message(caller, `sip:bob@${ownAddress}:${port}`, 500)), 200);
  t.equal(statusOf(await message(caller, `sip:bob@${ownAddress}:${port}`, 5_000)), 200);
  t.strictSame(both.messages, ['UDP 500', 'TCP 5000']);

  const old = await host(t, []);
  const oldPort = await portOf(old.transport, { transport: 'UDP', host: ownAddress, port: 0 });
  t.equal(statusOf(await message(caller, `sip:bob@${ownAddress}:${oldPort}`, 5_000)), 200);
  t.strictSame(old.messages, ['UDP 5000']);
});

t.test(
  'RFC 3261 §18.1.1: a large request goes by UDP after all when its TCP connection is reset or ended',
  async (t) => {
    const caller = await host(t, [{ transport: 'UDP', host: local, port: 0 }]);
    for (const when of ['at once', 'when it has come', 'by FIN'] as const) {
      const resets = createServer((socket) => {
        resets.close();
        socket.on('error', () => undefined);
        if (when === 'at once') socket.resetAndDestroy();
        else socket.once('data', () => (when === 'by FIN' ? socket.end() : socket.resetAndDestroy()));
      });
      const old = await host(t, []);
      const port = await portOf(old.transport, { transport: 'UDP', host: ownAddress, port: 0 });
      await once(resets.listen(port, ownAddress), 'listening');
      t.equal(statusOf(await message(caller, `sip:bob@${ownAddress}:${port}`, 5_000)), 200, when);
      t.strictSame(old.messages, ['UDP 5000'], when);
    }
  },
);

t.test('RFC 3261 §21.5.11: over TCP a head above the limit is answered 513, and its connection ends', async (t) => {
  const server = await host(t, [], { limits: { maxHeadBytes: 2_000 } });
  const socket = connect(await portOf(server.transport, { transport: 'TCP', host: local, port: 0 }), local);
  const via = 'SIP/2.0/TCP 127.0.0.1:5060;branch=z9hG4bKlong';
  const rest = `From: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: long\r\nCSeq: 1 MESSAGE\r\nSubject: ${'x'.repeat(3_000)}`;
  socket.write(`MESSAGE sip:c@d SIP/2.0\r\nVia: ${via}\r\n${rest}\r\nContent-Length: 0\r\n\r\n`);
  const heard: Buffer[] = [];
  socket.on('data', (bytes: Buffer) => void heard.push(bytes));
  await once(socket, 'end');
  socket.end();
  const answer = Buffer.concat(heard).toString();
  t.match(answer, /^SIP\/2\.0 513 /);
  t.match(answer, /\r\nVia: SIP\/2\.0\/TCP 127\.0\.0\.1:5060;branch=z9hG4bKlong\r\n/);
  t.notMatch(answer, /Subject|xxx/, 'nothing of what was cut');
});

t.test('RFC 3263 §4.3: the next address is tried when one is dead', async (t) => {
  const names: Record<string, readonly string[]> = { 'one.example.com': ['127.0.0.9'], 'two.example.com': [local] };
  const callee = await host(t, []);
  const port = await portOf(callee.transport, { transport: 'TCP', host: local, port: 0 });
  const dns: Dns = {
    naptr: () =>
      Promise.resolve([{ order: 1, preference: 1, flags: 's', service: 'SIP+D2T', replacement: '_sip._tcp' }]),
    srv: (name) =>
      Promise.resolve(
        name === '_sip._tcp'
          ? ['one', 'two'].map((host, priority) => ({ priority, weight: 0, port, target: `${host}.example.com` }))
          : [],
      ),
    addresses: (name) => Promise.resolve(names[name] ?? []),
  };
  const caller = await host(t, [{ transport: 'TCP', host: local, port: 0 }], { dns });
  t.equal(statusOf(await message(caller, 'sip:bob@example.com', 100)), 200);
  t.strictSame(callee.messages, ['TCP 100']);
  t.equal(statusOf(await message(caller, 'sip:bob@nowhere.example.com:1', 100)), 503, 'RFC 3261 §8.1.3.1');
});

for (const [name, address] of [
  ['IPv4', local],
  ['IPv6', '::1'],
] as const) {
  const inUri = address.includes(':') ? `[${address}]` : address;
  t.test(`a call over each transport, ${name}`, async (t) => {
    const made = await generate([{ name: 'commonName', value: 'x' }], {
      keyType: 'ec',
      extensions: [{ name: 'subjectAltName', altNames: [{ type: 7, ip: address }] }],
    });
    const certificate = { cert: made.cert, key: made.private };
    const listeners = [
      { transport: 'UDP', host: address, port: 0 },
      { transport: 'TCP', host: address, port: 0 },
      { transport: 'TLS', host: address, port: 0, certificate },
    ] as const;
    const caller = await host(t, listeners, { tls: { ca: made.cert } });
    for (const listener of listeners) {
      const callee = await host(t, [], { tls: { ca: made.cert } });
      const port = await portOf(callee.transport, listener);
      const session = await call(caller, `sip:bob@${inUri}:${port};transport=${listener.transport.toLowerCase()}`);
      t.equal(session.dialog.flow?.transport ?? listener.transport, listener.transport);
      while (callee.sessions[0]?.state !== 'confirmed') await soon();
      const outcome = await new Promise<Outcome>((resolve) => {
        callee.sessions[0]?.request('MESSAGE', { contentType: 'text/plain', body: 'hi' }, resolve);
      });
      t.equal(statusOf(outcome), 200, `${listener.transport}: a MESSAGE of the callee's`);
      session.close();
      while (callee.ends.length === 0) await soon();
      t.strictSame(callee.ends, ['bye']);
    }
  });
}

t.test('a dialog outlives its TCP connection: requests go to the Contact, responses to the Via', async (t) => {
  const heard: string[] = [];
  const trace = ({ direction, message }: TraceEntry): void => {
    if (direction === 'in') heard.push(Buffer.from(message).toString());
  };
  const caller = await host(t, [], { trace });
  const home = await portOf(caller.transport, { transport: 'TCP', host: local, port: 0 });
  let answer: (() => void) | undefined;
  const callee = await host(
    t,
    [],
    {},
    {
      onMessage: () =>
        new Promise((resolve) => {
          answer = () => {
            resolve({ status: 200 });
          };
        }),
    },
  );
  const port = await portOf(callee.transport, { transport: 'TCP', host: local, port: 0 });
  const session = await call(caller, `sip:bob@${local}:${port};transport=tcp`);
  while (callee.sessions[0]?.state !== 'confirmed') await soon();
  const [atCallee] = callee.sessions;
  atCallee.dialog.flow?.close('cut by the test');
  while (caller.transport.connections + callee.transport.connections > 0) await soon();
  const outcome = await new Promise<Outcome>((resolve) => {
    atCallee.request('MESSAGE', { contentType: 'text/plain', body: 'after the cut' }, resolve);
  });
  t.equal(statusOf(outcome), 200, 'by a new connection');
  t.strictSame(caller.messages, ['TCP 13']);
  t.equal(session.state, 'confirmed');

  const socket = connect({ host: local, port });
  await once(socket, 'connect');
  socket.write(
    [
      `MESSAGE sip:bob@${local}:${port} SIP/2.0`,
      `Via: SIP/2.0/TCP ${local}:${home};branch=z9hG4bKcut`,
      'Max-Forwards: 70',
      'From: <sip:carol@example.com>;tag=1',
      'To: <sip:bob@example.com>',
      'Call-ID: cut',
      'CSeq: 1 MESSAGE',
      'Content-Type: text/plain',
      'Content-Length: 2',
      '',
      'hi',
    ].join('\r\n'),
  );
  while (answer === undefined) await soon();
  const before = callee.transport.connections;
  socket.resetAndDestroy();
  while (callee.transport.connections === before) await soon();
  answer();
  while (!heard.some((line) => line.startsWith('SIP/2.0 200') && line.includes('z9hG4bKcut'))) await soon();
  t.equal(caller.transport.connections, 1, 'to the port of the Via');
});

t.test('RFC 3261 §18.1.1, the deviation: a large NOTIFY reaches a client behind NAT by its UDP flow', async (t) => {
  const notifier = await host(t, [{ transport: 'TCP', host: local, port: 0 }]);
  const port = await portOf(notifier.transport, { transport: 'UDP', host: local, port: 0 });
  const socket = createSocket('udp4');
  t.teardown(() => socket.close());
  socket.bind(0, local);
  await once(socket, 'listening');
  const heard: string[] = [];
  socket.on('message', (bytes) => heard.push(bytes.toString()));
  socket.send(
    [
      `SUBSCRIBE sip:room@${local}:${port} SIP/2.0`,
      'Via: SIP/2.0/UDP 10.255.255.1:5060;branch=z9hG4bKnat;rport',
      'Max-Forwards: 70',
      'From: <sip:carol@example.com>;tag=1',
      'To: <sip:room@example.com>',
      'Call-ID: nat',
      'CSeq: 1 SUBSCRIBE',
      'Contact: <sip:carol@10.255.255.1:5060>',
      'Event: conference',
      'Content-Length: 0',
      '',
      '',
    ].join('\r\n'),
    port,
    local,
  );
  while (!heard.some((line) => line.startsWith('NOTIFY'))) await soon();
  t.match(heard[0], /^SIP\/2.0 200[^]*received=127.0.0.1/);
  const notify = heard.find((line) => line.startsWith('NOTIFY')) ?? '';
  t.match(notify, /^NOTIFY sip:carol@10.255.255.1:5060 SIP\/2.0\r\nVia: SIP\/2.0\/UDP/);
  t.ok(notify.length > 5_000);
});

t.test(
  'RFC 3261 §18.1.1: what no datagram can hold fails once where TCP is refused, and is not tried for ever',
  async (t) => {
    const ended: string[] = [];
    const notifier = await host(t, [{ transport: 'TCP', host: local, port: 0 }], undefined, {
      onSubscribe: (subscribe) => {
        subscribe.accept({
          resource: 'room',
          content: () => ({ contentType: 'text/plain', body: 'n'.repeat(70_000) }),
          onEnded: (why) => void ended.push(why),
        });
      },
    });
    const port = await portOf(notifier.transport, { transport: 'UDP', host: local, port: 0 });
    const socket = createSocket('udp4');
    t.teardown(() => socket.close());
    socket.bind(0, local);
    await once(socket, 'listening');
    socket.send(
      [
        `SUBSCRIBE sip:room@${local}:${port} SIP/2.0`,
        `Via: SIP/2.0/UDP ${local}:${socket.address().port};branch=z9hG4bKhuge;rport`,
        'Max-Forwards: 70',
        'From: <sip:carol@example.com>;tag=1',
        'To: <sip:room@example.com>',
        'Call-ID: huge',
        'CSeq: 1 SUBSCRIBE',
        `Contact: <sip:carol@${local}:${socket.address().port}>`,
        'Event: conference',
        'Content-Length: 0',
        '',
        '',
      ].join('\r\n'),
      port,
      local,
    );
    while (ended.length === 0) await soon();
    t.strictSame(ended, ['gone']);
  },
);

t.test(
  'RFC 3261 §17.2.3: what a peer has not answered over UDP is repeated over TCP when it goes on there',
  async (t) => {
    const called = await host(t, []);
    const port = await portOf(called.transport, { transport: 'UDP', host: ownAddress, port: 0 });
    await portOf(called.transport, { transport: 'TCP', host: ownAddress, port });
    const udp = createSocket('udp4').bind(0, local);
    await once(udp, 'listening');
    const tcp = connect(port, ownAddress);
    t.teardown(() => {
      udp.close();
      tcp.destroy();
    });
    const byUdp: string[] = [];
    let byTcp = '';
    udp.on('message', (datagram) => byUdp.push(datagram.toString('latin1')));
    tcp.on('data', (chunk) => (byTcp += chunk.toString('latin1')));
    const from = (transport: 'UDP' | 'TCP', method: string, seq: number): string => {
      const own = `${local}:${String(transport === 'UDP' ? udp.address().port : tcp.localPort)}`;
      return [
        `${method} sip:room@${local}:${String(port)} SIP/2.0`,
        `Via: SIP/2.0/${transport} ${own};branch=z9hG4bKmoves${method}`,
        'Max-Forwards: 70',
        'From: <sip:carol@example.com>;tag=1',
        `To: <sip:room@example.com>${method === 'INVITE' ? '' : `;tag=${called.sessions[0]?.dialog.localTag ?? ''}`}`,
        'Call-ID: moves',
        `CSeq: ${String(seq)} ${method}`,
        `Contact: <sip:carol@${own};transport=${transport.toLowerCase()}>`,
        'Content-Type: application/sdp',
        'Content-Length: 5',
        '',
        'v=0\r\n',
      ].join('\r\n');
    };
    udp.send(from('UDP', 'INVITE', 1), port, ownAddress);
    while (!byUdp.some((message) => message.startsWith('SIP/2.0 200'))) await soon();
    udp.send(from('UDP', 'ACK', 1), port, ownAddress);
    const answered = new Promise<Outcome>((resolve) => {
      called.sessions[0]?.request('MESSAGE', { contentType: 'text/plain', body: 'hi' }, resolve);
    });
    const texts = (): string[] => byUdp.filter((message) => message.startsWith('MESSAGE'));
    while (texts().length < 2) await soon();
    tcp.write(from('TCP', 'INFO', 2));
    while (!byTcp.includes('MESSAGE')) await soon();
    const [first = ''] = texts();
    const whole = (): string => byTcp.slice(byTcp.indexOf('MESSAGE')).slice(0, first.length);
    while (whole().length < first.length) await soon();
    const again = whole();
    t.match(first, 'Via: SIP/2.0/UDP ');
    t.equal(again, first.replace('SIP/2.0/UDP', 'SIP/2.0/TCP'), 'the same transaction');
    const head = again.slice(0, again.indexOf('\r\n\r\n')).split('\r\n');
    const copied = head.filter((each) => /^(Via|From|To|Call-ID|CSeq):/.test(each));
    tcp.write(['SIP/2.0 200 OK', ...copied, 'Content-Length: 0', '', ''].join('\r\n'));
    t.equal(statusOf(await answered), 200);
    t.strictSame(called.ends, []);
  },
);

/** Real UDP sockets whose user agents do not get 15 % of what arrives, the same of it in each run. */
function losing(handlers: TransportHandlers, seed: number): TransportHandlers {
  let state = seed;
  return {
    receive: (bytes, flow) => {
      state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
      if (state / 2_147_483_648 >= 0.15) handlers.receive(bytes, flow);
    },
    unframeable: (head, status, reason, flow) => {
      handlers.unframeable(head, status, reason, flow);
    },
    flowClosed: (flow, reason) => {
      handlers.flowClosed(flow, reason);
    },
  };
}

t.test(
  'RFC 3261 §17: 200 calls and 200 MESSAGEs over UDP sockets with 15 % loss both ways, each told once',
  async (t) => {
    const heard = { calls: 0, acks: 0, byes: 0 };
    const texts: string[] = [];
    const agent = (seed: number): UserAgent<SocketTransport> =>
      new UserAgent(
        // Long enough that on a busy machine, too, it is loss alone that costs time.
        {
          transport: (handlers) => new SocketTransport({}, losing(handlers, seed)),
          timers: { T1: 150, T2: 1200, T4: 1500 },
        },
        {
          onInvite: (invite) => {
            heard.calls++;
            const onAck = (): void => {
              heard.acks++;
              session?.close();
            };
            const session = invite.accept({ session: { onAck } });
          },
          onSubscribe: () => undefined,
          onMessage: ({ request }) => {
            texts.push(request.body.toString());
            return { status: 200 };
          },
        },
      );
    const [client, server] = [agent(1), agent(2)];
    t.teardown(() => Promise.all([client.close(0), server.close(0)]));
    const { port } = await server.transport.listen({ transport: 'UDP', host: '127.0.0.1', port: 0 });
    await client.transport.listen({ transport: 'UDP', host: '127.0.0.1', port: 0 });
    const parts = {
      uri: parseUri(`sip:room@127.0.0.1:${String(port)}`),
      from: parseNameAddr('<sip:alice@example.org>'),
    };
    const outcomes: string[] = [];
    await Promise.all(
      Array.from({ length: 200 }, async (_, i) => {
        await new Promise<void>((resolve) => {
          client.request({ method: 'MESSAGE', ...parts, contentType: 'text/plain', body: String(i) }, (outcome) => {
            outcomes.push(outcome.is === 'response' ? String(outcome.response.status) : outcome.reason);
            resolve();
          });
        });
        await new Promise<void>((resolve) => {
          client.invite(
            {
              ...parts,
              session: {
                onEnded: ({ why }) => {
                  heard.byes += why === 'bye' ? 1 : 0;
                  resolve();
                },
              },
            },
            {
              onAccepted: () => void outcomes.push('200'),
              onFailed: (outcome) => {
                outcomes.push(outcome.is);
                resolve();
              },
            },
          );
        });
      }),
    );
    t.strictSame(new Set(outcomes), new Set(['200']));
    t.equal(outcomes.length, 400);
    t.equal(texts.length, 200);
    t.equal(new Set(texts).size, 200);
    t.strictSame(heard, { calls: 200, acks: 200, byes: 200 });
  },
);

t.test('the small server of sip/README.md does what it says, over each transport', async (t) => {
  const [, [, example = ''] = []] = [...readFileSync('sip/README.md', 'utf8').matchAll(/```js\n([^]*?)```/g)];
  // As it stands, but for its ports, which it tells.
  const tell = "const tell = ({ transport, port }) => console.log('at', transport, port);";
  const code = `${tell}${example}`
    .replace(/await (agent\.transport\.listen\([^;]*\));/g, 'tell(await $1);')
    .replace('.listen(8080)', ".listen(0, () => tell({ transport: 'WS', port: http.address().port }))")
    .replace(/port: 506[01]/g, 'port: 0')
    .replaceAll('0.0.0.0', local);
  const made = await generate([{ name: 'commonName', value: 'x' }], { keyType: 'ec' });
  const cwd = t.testdir({ 'server.mjs': code, 'cert.pem': made.cert, 'key.pem': made.private });
  const server = spawn(process.execPath, ['server.mjs'], { cwd, stdio: ['ignore', 'pipe', 'inherit'] });
  t.teardown(() => server.kill());
  let said = '';
  server.stdout.on('data', (bytes: Buffer) => (said += bytes.toString()));
  const ended = once(server, 'close');
  while (!said.includes('at WS')) await soon();
  const ports = new Map(Array.from(said.matchAll(/^at (\w+) (\d+)$/gm), ([, name = '', port = '']) => [name, port]));
  t.strictSame([...ports.keys()].sort(), ['TCP', 'TLS', 'UDP', 'WS']);

  const notified: string[] = [];
  const client = await host(t, [{ transport: 'UDP', host: local, port: 0 }], {
    tls: { verify: false },
    trace: ({ direction, message }) => {
      const text = Buffer.from(message).toString();
      if (direction === 'in' && text.startsWith('NOTIFY')) notified.push(text);
    },
  });
  const to = (transport: string): ReturnType<typeof parseUri> =>
    parseUri(`sip:room@${local}:${ports.get(transport) ?? ''};transport=${transport.toLowerCase()}`);
  const credentials = (): { username: string; password: string } => ({ username: 'alice', password: 'wonderland' });
  const ask = (transport: string, method: string, more: Partial<OutgoingRequestParts>): Promise<number> =>
    new Promise((resolve) => {
      client.userAgent.request({ uri: to(transport), from: alice, method, ...more }, (outcome) => {
        resolve(statusOf(outcome));
      });
    });
  const text = (body: string): Partial<OutgoingRequestParts> => ({ contentType: 'text/plain', body, credentials });
  t.equal(await ask('UDP', 'MESSAGE', { ...text('who?'), credentials: () => undefined }), 401);
  for (const transport of ['UDP', 'TCP', 'TLS']) t.equal(await ask(transport, 'MESSAGE', text(transport)), 200);
  const event = { headers: [{ name: 'Event', value: 'presence' }], credentials };
  t.equal(await ask('UDP', 'SUBSCRIBE', event), 200);
  while (notified.length === 0) await soon();
  t.match(notified[0], /UDP\nTCP\nTLS$/);

  t.equal(await ask('UDP', 'MESSAGE', text('call me')), 202);
  while (client.ends.length === 0) await soon();
  t.strictSame(client.ends.splice(0), ['bye'], 'it calls back, and ends the call');

  const greeted = new Promise((resolve) => {
    const onMessage = ({ request }: IncomingRequest): Answer => {
      resolve(String(request.body));
      return { status: 200 };
    };
    client.userAgent.invite(
      { uri: to('TCP'), from: alice, credentials, contentType: 'application/sdp', body: 'v=0', session: { onMessage } },
      { onAccepted: () => undefined, onFailed: resolve },
    );
  });
  t.equal(await greeted, 'hello, alice');

  const webSocket = new WebSocket(`ws://${local}:${ports.get('WS') ?? ''}`, 'sip');
  await once(webSocket, 'open');
  const head = ['OPTIONS', 'MESSAGE'].map(
    (method, at) =>
      `${method} sip:room@example.org SIP/2.0\r\nVia: SIP/2.0/WS x.invalid;branch=z9hG4bK${at}\r\nFrom: <sip:a@b>;tag=1\r\n` +
      `To: <sip:room@example.org>\r\nCall-ID: ${at}\r\nCSeq: 1 ${method}\r\n\r\n`,
  );
  for (const status of ['200', '401']) {
    webSocket.send(head.shift() ?? '');
    const [answer] = (await once(webSocket, 'message')) as [Buffer];
    t.match(answer.toString(), new RegExp(`^SIP/2.0 ${status} `));
  }
  webSocket.terminate();
  server.kill('SIGTERM');
  t.strictSame(await ended, [0, null], 'it ends when it is told to');
});
