/** Sessions: how they begin, over which connection they go, and what else they are asked. */
import t from 'tap';
import {
  Assembler,
  parseMsrpPath,
  parseMsrpUri,
  type AuthRequest,
  type IncomingMessage,
  type MsrpSession,
  type OtherRequest,
} from '../../msrp/index.ts';
import {
  PEER,
  Rig,
  Told,
  TestFlow,
  answerTo,
  askingFrom,
  bindSession,
  expectSession,
  framesOf,
  latin1,
  TEXT,
  plain,
  never,
} from './rig.ts';

t.test('RFC 4975 §5.4: the first request binds, and its 200 goes out before anything else', async (t) => {
  const rig = new Rig();
  const { session, told } = expectSession(rig);
  const flow = rig.accept();
  t.equal(session.send(plain('welcome')), 'queued');
  rig.settle();
  t.same(flow.writes, [], 'nothing before it is bound');
  flow.say(askingFrom(String(session.localUri))('SEND', ['Message-ID: bindbind'], undefined, 'bindbind'));
  t.same(told.bounds, [session]);
  rig.settle();
  t.same(
    framesOf(flow.read()).map(({ what }) => what),
    ['200 OK', 'SEND'],
  );
  t.equal(flow.writes.length, 1, 'in one write');
});

t.test('RFC 4975 §5.4: a binding message that is answered late holds back everything else', async (t) => {
  const rig = new Rig();
  const { session, told } = expectSession(rig);
  told.answer = undefined;
  const flow = rig.accept();
  session.send(plain('welcome'));
  flow.say(askingFrom(String(session.localUri))('SEND', TEXT, 'hello'));
  rig.settle();
  t.same(flow.writes, []);
  told.messages[0]?.respond(200);
  rig.settle();
  t.same(
    framesOf(flow.read()).map(({ what }) => what),
    ['200 OK', 'SEND'],
  );
});

t.test('RFC 4975 §5.4, §7.3: 481 for no session, 506 for one that is bound elsewhere', async (t) => {
  const rig = new Rig();
  const { ask, session } = bindSession(rig);
  const second = rig.accept();
  second.say(ask('SEND', TEXT, 'hello', 'elsewhere'));
  second.say(askingFrom('msrp://chat.example.com:2855/nosuchsession;tcp')('SEND', TEXT, 'hello', 'nobodys'));
  second.say(askingFrom('msrp://other.example.com:2855/x;tcp')('SEND', ['Failure-Report: no', ...TEXT], 'hello'));
  second.say(askingFrom(`${String(session.localUri)} ${PEER}`)('SEND', TEXT, 'hello', 'twohops'));
  rig.settle();
  t.same(
    framesOf(second.read()).map(({ id, what }) => `${id} ${what.slice(0, 3)}`),
    ['elsewhere 506', 'nobodys 481', 'twohops 481'],
  );
  t.equal(session.state, 'bound');
});

t.test('RFC 4975 §5.4: an expected session that nobody binds is closed', async (t) => {
  const rig = new Rig();
  const { session, told } = expectSession(rig, { bindTimeout: 15_000 });
  rig.clock.advance(14_000);
  t.equal(session.state, 'expected');
  rig.clock.advance(2_000);
  t.same(
    told.closings.map(({ reason }) => reason),
    ['unbound'],
  );
  t.equal(session.send(plain('late')), 'closed');
  t.equal(rig.endpoint.sessionCount, 0);
  t.equal(rig.clock.timers, 0, 'and no timer is left');
});

t.test('RFC 4975 §5.4: when the connection fails, its sessions have failed', async (t) => {
  const rig = new Rig();
  const { session, told, flow } = bindSession(rig);
  const other = bindSession(rig);
  session.send(plain('one', { outcomes: 'all' }));
  rig.settle();
  session.send(plain('two'));
  flow.hangUp('read ECONNRESET');
  t.same(
    told.outcomes.map(({ outcome }) => outcome.kind),
    ['lost', 'lost'],
  );
  t.same(told.closings, [{ reason: 'disconnected', detail: 'read ECONNRESET' }]);
  t.equal(other.session.state, 'bound');
});

t.test('RFC 4975 §5.4: sessions share a connection, which is closed with the last', async (t) => {
  const rig = new Rig();
  const first = bindSession(rig);
  const second = expectSession(rig);
  first.flow.say(askingFrom(String(second.session.localUri))('SEND', TEXT, 'hello'));
  t.same(second.told.texts, ['hello']);
  first.session.close();
  rig.settle();
  t.equal(first.flow.state, 'open');
  t.equal(second.session.state, 'bound');
  second.session.send(plain('bye'));
  second.session.close();
  rig.settle();
  t.match(first.flow.read(), /bye/, 'what was queued goes out');
  t.equal(first.flow.state, 'ended');
});

t.test('RFC 4975 §5.4: a message goes on over another session after a new offer', async (t) => {
  const rig = new Rig();
  const assembler = new Assembler();
  const first = bindSession(rig, { assembler });
  first.flow.say(
    first.ask('SEND', ['Message-ID: longlong', 'Byte-Range: 1-*/10', 'Content-Type: a/b'], 'hello', 'chunk1', '+'),
  );
  first.flow.hangUp();
  const second = bindSession(rig, { assembler });
  second.flow.say(second.ask('SEND', ['Message-ID: longlong', 'Byte-Range: 6-10/10', 'Content-Type: a/b'], 'world'));
  t.same(second.told.texts, ['helloworld']);
});

t.test('RFC 4975 §5.4: the active endpoint connects, sends a SEND at once, and uses a connection again', async (t) => {
  const flows: TestFlow[] = [];
  const rig = new Rig({
    dialer: async (target) => {
      t.same(target, { host: 'client.example.com', port: 7777, secure: false, transport: 'tcp', fingerprints: [] });
      flows.push(new TestFlow());
      return flows[0] ?? new TestFlow();
    },
  });
  const { session, told } = expectSession(rig);
  const second = expectSession(rig, { remotePath: parseMsrpPath('msrp://client.example.com:7777/otherSession;tcp') });
  session.send(plain('hi'));
  session.dial();
  second.session.dial();
  await Promise.resolve();
  await Promise.resolve();
  rig.settle();
  t.equal(flows.length, 1);
  const [flow = new TestFlow()] = flows;
  const binds = framesOf(flow.read());
  t.same(
    binds.map(({ what, body }) => [what, body]),
    [
      ['SEND', undefined],
      ['SEND', undefined],
    ],
  );
  t.equal(binds[0]?.fields['To-Path'], PEER);
  t.equal(session.state, 'expected');
  for (const bind of binds) flow.say(answerTo(bind));
  t.same(told.bounds, [session]);
  rig.settle();
  t.same(
    framesOf(flow.read()).map(({ body }) => body),
    ['hi'],
  );
  t.equal(second.session.state, 'bound');
});

t.test('RFC 4975 §5.4: a peer that cannot be reached, or does not know us, ends the session', async (t) => {
  const rig = new Rig({ dialer: () => Promise.reject(new Error('client.example.com:7777: ECONNREFUSED')) });
  const { session, told } = expectSession(rig);
  session.dial();
  await new Promise(setImmediate);
  t.same(told.closings, [{ reason: 'unreachable', detail: 'client.example.com:7777: ECONNREFUSED' }]);

  const flow = new TestFlow();
  const other = new Rig({ dialer: () => Promise.resolve(flow) });
  const refused = expectSession(other);
  refused.session.dial();
  await new Promise(setImmediate);
  other.settle();
  for (const bind of framesOf(flow.read())) flow.say(answerTo(bind, '481 no such session'));
  t.same(refused.told.closings, [{ reason: 'rejected', detail: '481 no such session' }]);
});

t.test('RFC 4975 §5.4: an answer without path: the remote path comes with the first request, or later', async (t) => {
  const rig = new Rig();
  const told = new Told();
  const at = { scheme: 'msrp', host: 'chat.example.com', port: 2855 } as const;
  const session = rig.endpoint.session({ at, handlers: told });
  const flow = rig.accept();
  flow.say(askingFrom(String(session.localUri))('SEND', TEXT, 'hello'));
  t.same(told.texts, ['hello']);
  t.equal(session.remotePath?.map(String).join(), PEER);
  session.send(plain('hi'));
  rig.settle();
  t.equal(framesOf(flow.read())[1]?.fields['To-Path'], PEER);
  session.setRemotePath(parseMsrpPath('msrp://client.example.com:7777/changed12345;tcp'));
  session.send(plain('there'));
  rig.settle();
  t.equal(framesOf(flow.read())[0]?.fields['To-Path'], 'msrp://client.example.com:7777/changed12345;tcp');
});

t.test('RFC 4975 §6: an msrps session is not served without TLS', async (t) => {
  const rig = new Rig();
  const at = { scheme: 'msrps', host: 'chat.example.com', port: 2855 } as const;
  const { session } = expectSession(rig, { at });
  const open = rig.accept();
  open.say(askingFrom(String(session.localUri))('SEND', TEXT, 'hello'));
  rig.settle();
  t.equal(framesOf(open.read())[0]?.what, '481 TLS is needed');
  const secure = rig.accept({ secure: true });
  secure.say(askingFrom(String(session.localUri))('SEND', TEXT, 'hello'));
  t.equal(session.state, 'bound');
});

t.test('RFC 4975 §7.3, RFC 6714: From-Path is checked, or only its session id', async (t) => {
  const moved = 'msrp://192.0.2.77:50000/peersession12345;tcp';
  const rig = new Rig();
  const strict = expectSession(rig);
  const flow = rig.accept();
  flow.say(askingFrom(String(strict.session.localUri), moved)('SEND', TEXT, 'hello'));
  rig.settle();
  t.equal(framesOf(flow.read())[0]?.what, '481 From-Path is not the one agreed on');
  t.equal(strict.session.state, 'expected');
  flow.say(
    askingFrom(String(strict.session.localUri).replace('chat.example.com', 'CHAT.example.com'))('SEND', TEXT, 'hello'),
  );
  t.equal(strict.session.state, 'bound', 'host names are compared without case (§6.1)');

  const lax = expectSession(rig, { matchBySessionId: true });
  const local = String(lax.session.localUri).replace('chat.example.com:2855', '203.0.113.5:9999');
  rig.accept().say(askingFrom(local, moved)('SEND', TEXT, 'hello'));
  t.equal(lax.session.state, 'bound');
  const other = expectSession(rig, { matchBySessionId: true });
  rig.accept().say(askingFrom(String(other.session.localUri), moved.replace('peer', 'else'))('SEND', TEXT, 'hello'));
  t.equal(other.session.state, 'expected');
});

t.test('RFC 4975 §5.4: what the owner of one session throws costs no other connection its turn', async (t) => {
  const rig = new Rig();
  const [broken, well] = [bindSession(rig), bindSession(rig)];
  broken.session.send(plain('half a turn'));
  broken.session.stream(
    { contentType: 'a/b', total: 5 },
    {
      pull() {
        throw new RangeError('a bug of the source');
      },
    },
  );
  well.session.send(plain('as if nothing were'));
  t.throws(() => rig.settle(), { message: 'a bug of the source' }, 'loud');
  rig.settle();
  t.same(
    framesOf(well.flow.read()).map(({ body }) => body),
    ['as if nothing were'],
  );
  t.equal(broken.flow.state, 'destroyed', 'nobody knows how much of it has been said');
  t.same(broken.flow.read(), '');
  t.match(broken.told.closings, [{ reason: 'disconnected' }]);
  t.match(broken.told.outcomes, [{ outcome: { kind: 'lost' } }, { outcome: { kind: 'lost' } }]);
});

t.test('RFC 4975 §5.4: a handler that throws when the turn ends costs no connection its words', async (t) => {
  const rig = new Rig();
  const [loud, well] = [bindSession(rig, { maxQueuedBytes: 300 }), bindSession(rig)];
  loud.told.drained = () => {
    throw new RangeError('a bug of the handler');
  };
  loud.flow.taking = false;
  loud.session.send(plain('with the system'));
  rig.settle();
  while (loud.session.send(plain('x'.repeat(20))) === 'queued');
  loud.flow.drain();
  well.session.send(plain('as if nothing were'));
  t.throws(() => rig.settle(), { message: 'a bug of the handler' }, 'loud');
  loud.session.send(plain('still there'));
  rig.settle();
  t.equal(framesOf(well.flow.read())[0]?.body, 'as if nothing were');
  t.equal(framesOf(loud.flow.read()).at(-1)?.body, 'still there');
});

t.test('RFC 4975 §5.4: a handler that throws while octets come in ends its connection, not the others', async (t) => {
  const rig = new Rig();
  const [broken, well] = [bindSession(rig), bindSession(rig)];
  broken.told.message = () => {
    throw new RangeError('a bug of the handler');
  };
  const two = broken.ask('SEND', TEXT, 'hello') + broken.ask('SEND', TEXT, 'world');
  broken.flow.say(two.slice(0, 20));
  t.throws(() => broken.flow.say(two.slice(20)), { message: 'a bug of the handler' }, 'loud');
  t.equal(broken.flow.state, 'destroyed', 'what came behind it would be lost without a word');
  t.match(broken.told.closings, [{ reason: 'disconnected' }]);
  well.flow.say(well.ask('SEND', TEXT, 'hello'));
  rig.settle();
  t.equal(framesOf(well.flow.read())[0]?.what, '200 OK');
});

t.test('RFC 4975 §10.9: 501 for methods we do not know, also illegal ones that are in use', async (t) => {
  const rig = new Rig();
  const { flow, ask, session } = bindSession(rig);
  for (const method of ['FOO', 'FILE_OFFSET', 'send', 'Nickname']) flow.say(ask(method, ['Message-ID: mess0001']));
  const quiet = bindSession(rig, { handlers: { message: () => undefined } });
  quiet.flow.say(quiet.ask('NICKNAME', ['Use-Nickname: "x"']));
  rig.settle();
  t.same(
    framesOf(flow.read()).map(({ what }) => what),
    Array.from({ length: 4 }, () => '501 Unknown Method'),
  );
  t.same(
    framesOf(quiet.flow.read()).map(({ what }) => what),
    ['501 Unknown Method'],
  );
  t.equal(session.state, 'bound');

  const heard: OtherRequest[] = [];
  const bodies: Uint8Array[] = [];
  const handlers = {
    message: (_: MsrpSession, { body }: IncomingMessage) => bodies.push(body),
    request: (_: MsrpSession, request: OtherRequest) => heard.push(request),
  };
  const knows = bindSession(rig, { handlers });
  const fields = ['X-New: 1', 'Content-Type: a/b'];
  for (const frame of [
    knows.ask('FOO', fields, 'body\0', 'foo1', '+'),
    knows.ask('FOO', ['Failure-Report: no', ...fields], 'body'),
    knows.ask('SEND', ['Message-ID: mess0002', 'Failure-Report: no', ...fields], 'body\0'),
  ]) {
    const octets = Buffer.from(frame, 'latin1');
    knows.flow.say(octets);
    octets.fill(0);
  }
  t.match(heard, [
    { head: { method: 'FOO', headers: [{ name: 'X-New', value: '1' }], contentType: 'a/b' }, flag: '+' },
    {},
  ]);
  const copies = [heard[0]?.body, bodies[0]].map((body) => body && latin1(body));
  t.same(copies, ['body\0', 'body\0'], 'copies of the octets that were lent');
  for (const request of heard) request.respond(200, 'Done', [{ name: 'X-New', value: '2' }]);
  heard[0]?.respond(403);
  rig.settle();
  t.match(knows.flow.read(), /^MSRP foo1 200 Done\r\nTo-Path: .*\r\nFrom-Path: .*\r\nX-New: 2\r\n-------foo1\$\r\n$/);
});

t.test('RFC 7701 §7.1: NICKNAME', async (t) => {
  const cases: [string | undefined, string | number | undefined][] = [
    ['Use-Nickname: "Zoe"', 'Zoe'],
    ['Use-Nickname: "Zoë \\"the \\\\ great\\""', 'Zoë "the \\ great"'],
    ['use-nickname: ""', ''],
    [`Use-Nickname: "${'x'.repeat(1023)}"`, 'x'.repeat(1023)],
    // Malformed: 424, or 403 where nicknames are not allowed, which comes first.
    [`Use-Nickname: "${'x'.repeat(1024)}"`, undefined],
    ['Use-Nickname: Zoe', undefined],
    ['Use-Nickname: "Zoe', undefined],
    ['Use-Nickname: "Zo\\e"', undefined],
    ['Use-Nickname: "Z"oe"', undefined],
    ['Use-Nickname: ', undefined],
    [undefined, 400],
  ];
  for (const [field, expected] of cases) {
    const rig = new Rig();
    const { flow, ask, told } = bindSession(rig);
    flow.say(Buffer.from(ask('NICKNAME', field === undefined ? ['X: y'] : [field])));
    told.nicknames[0]?.respond(425, 'taken');
    told.nicknames[0]?.respond(200);
    rig.settle();
    const [frame] = framesOf(flow.read());
    if (typeof expected === 'number') t.equal(frame?.what.slice(0, 3), String(expected), field ?? 'none');
    else t.same([told.nicknames[0]?.nickname, frame?.what], [expected, '425 taken'], field ?? 'none');
  }
  const rig = new Rig();
  const { flow, ask, told } = bindSession(rig, { bareNicknames: true });
  for (const name of ['Bobby', '"Bob"', 'Bob Smith', '', '"Bob']) {
    flow.say(ask('NICKNAME', [`Use-Nickname: ${name}`]));
  }
  t.same(
    told.nicknames.map(({ nickname }) => nickname),
    ['Bobby', 'Bob', 'Bob Smith', '', undefined],
    'an empty one gives the nickname up; a quote without its end stays malformed',
  );
});

t.test('RFC 7701 §7.1: asking for a nickname', async (t) => {
  const rig = new Rig();
  const { session, flow } = bindSession(rig);
  const asked = session.nickname('Zoë "x"');
  rig.settle();
  const [frame] = framesOf(flow.read());
  t.same(
    [frame?.what, Buffer.from(frame?.fields['Use-Nickname'] ?? '', 'latin1').toString()],
    ['NICKNAME', '"Zoë \\"x\\""'],
  );
  t.same(
    Object.keys(frame?.fields ?? {}),
    ['To-Path', 'From-Path', 'Use-Nickname'],
    'with neither Success-Report nor Failure-Report',
  );
  flow.say(answerTo(frame ?? never(), '425 taken'));
  t.same(await asked, { status: 425, comment: 'taken' });
  const late = session.nickname('');
  rig.settle();
  rig.clock.advance(31_000);
  t.same((await late).status, 408);
  t.rejects(session.nickname('x'.repeat(1024)), RangeError);
});

t.test('RFC 4976 §5.1: requests go through our relays, and our path names them', async (t) => {
  const relays = parseMsrpPath('msrps://b.example.com:9000/bbb;tcp msrps://c.example.com:9000/ccc;tcp');
  const flow = new TestFlow({ secure: true });
  const targets: string[] = [];
  const rig = new Rig({ dialer: (target) => (targets.push(`${target.host}:${target.port}`), Promise.resolve(flow)) });
  const at = { scheme: 'msrps', host: 'a.example.com', port: 7000 } as const;
  const remotePath = parseMsrpPath('msrps://d.example.net:9000/ddd;tcp msrps://f.example.net:7777/fff;tcp');
  const { session } = expectSession(rig, { at, relays, remotePath });
  t.same(session.localPath.map(String), [String(relays[1]), String(relays[0]), String(session.localUri)]);
  session.dial();
  await new Promise(setImmediate);
  rig.settle();
  t.same(targets, ['b.example.com:9000']);
  t.equal(framesOf(flow.read())[0]?.fields['To-Path'], [...relays, ...remotePath].map(String).join(' '));
});

t.test('RFC 4976 §5.1, RFC 7977 §8.1: AUTH', async (t) => {
  const requests: AuthRequest[] = [];
  const rig = new Rig({ auth: (request) => requests.push(request) });
  const flow = rig.accept({ framing: 'message' });
  const to = 'msrps://alice@a.example.com:443;ws';
  const from = 'msrps://df7jal23ls0d.invalid:2855/98cjs;ws';
  flow.say(`MSRP 49fi AUTH\r\nTo-Path: ${to}\r\nFrom-Path: ${from}\r\n-------49fi$\r\n`);
  t.same([requests[0]?.toPath, requests[0]?.fromPath], [to, from]);
  requests[0]?.respond(200, [
    { name: 'Use-Path', value: 'msrps://a.example.com:2855/jui787s2f;tcp' },
    { name: 'Expires', value: '900' },
  ]);
  rig.settle();
  t.equal(
    flow.read(),
    `MSRP 49fi 200 OK\r\nTo-Path: ${from}\r\nFrom-Path: ${to}\r\nUse-Path: msrps://a.example.com:2855/jui787s2f;tcp\r\n` +
      'Expires: 900\r\n-------49fi$\r\n',
  );
  flow.say(`MSRP 49fj AUTH\r\nTo-Path: ${to} msrps://b.example.com:2855;tcp\r\nFrom-Path: ${from}\r\n-------49fj$\r\n`);
  rig.settle();
  t.equal(
    flow.read(),
    `MSRP 49fj 501 Unknown Method\r\nTo-Path: ${from}\r\nFrom-Path: ${to}\r\n-------49fj$\r\n`,
    'what a relay would have to pass on is nothing that we could answer; and From-Path is who answers (RFC 4975 §7.2)',
  );
  t.equal(requests.length, 1);
  const plainRig = new Rig();
  const refused = plainRig.accept();
  refused.say(askingFrom(to, from)('AUTH'));
  plainRig.settle();
  t.equal(framesOf(refused.read())[0]?.what, '501 Unknown Method');
});

t.test('what is not MSRP: 400 where a transaction can be told, and the connection is closed', async (t) => {
  const cases: [string, string][] = [
    ['GET / HTTP/1.1\r\n\r\n', ''],
    ['MSRPX', ''],
    ['MSRP ab SEND\r\n', ''],
    ['MSRP abcdefgh.with-an-id-that-is-much-too-long SEND\r\n', ''],
    ['\r\n', ''],
    [
      `MSRP abcdefgh SEND\r\nTo-Path: %TO%\r\nFrom-Path: ${PEER}\r\nX: ${'x'.repeat(20_000)}`,
      'abcdefgh 400 a head of more than 16384 octets',
    ],
  ];
  for (const [text, expected] of cases) {
    const rig = new Rig();
    const { session, told, flow } = bindSession(rig);
    const bystander = bindSession(rig);
    flow.say(text.replace('%TO%', String(session.localUri)));
    rig.settle();
    t.same(
      framesOf(flow.read())
        .map(({ id, what }) => `${id} ${what}`)
        .join(),
      expected,
      JSON.stringify(text.slice(0, 30)),
    );
    t.equal(flow.state, 'ended');
    t.same(
      told.closings.map(({ reason }) => reason),
      ['protocol'],
    );
    t.equal(bystander.session.state, 'bound', 'nobody else notices');
    t.ok(
      rig.lines.some((line) => line.includes('protocol')),
      'one line in the log',
    );
  }
});

t.test('half-closed by the peer: what was answered still goes out', async (t) => {
  const rig = new Rig();
  const { flow, ask, told } = bindSession(rig);
  flow.say(ask('SEND', TEXT, 'hello', 'last'));
  flow.halfClose();
  t.same(
    framesOf(flow.read()).map(({ id }) => id),
    ['last'],
  );
  t.equal(flow.state, 'ended');
  t.same(
    told.closings.map(({ reason }) => reason),
    ['disconnected'],
  );
});

t.test('a path that is not one, and URIs that are', async (t) => {
  const rig = new Rig();
  const { flow } = bindSession(rig);
  flow.say(`MSRP abcdefgh SEND\r\nTo-Path: nonsense\r\nFrom-Path: ${PEER}\r\nMessage-ID: abcd\r\n-------abcdefgh$\r\n`);
  rig.settle();
  t.match(framesOf(flow.read())[0]?.what, /^400 not an MSRP URI/);
  t.equal(parseMsrpUri(PEER).sessionId, 'peersession12345');
});

t.test('RFC 4975 §7.1, RFC 7977 §6: requests without a body keep a connection open, or find it dead', async (t) => {
  const rig = new Rig();
  const { flow, told, session } = bindSession(rig, { keepAlive: 60_000 });
  rig.clock.advance(59_000);
  rig.settle();
  t.equal(flow.read(), '');
  rig.clock.advance(2_000);
  rig.settle();
  const [frame, ...more] = framesOf(flow.read());
  t.same([frame?.what, frame?.body, frame?.fields['Byte-Range'], more], ['SEND', undefined, '1-0/0', []]);
  flow.say(answerTo(frame ?? never()));
  t.equal(session.state, 'bound');
  rig.clock.advance(61_000);
  rig.settle();
  t.equal(framesOf(flow.read()).length, 1);
  rig.clock.advance(31_000);
  t.same(told.closings, [{ reason: 'disconnected', detail: 'a keep-alive was not answered' }]);
});

t.test('a path with a control character in it is no path', async (t) => {
  const rig = new Rig();
  const { flow, session } = bindSession(rig);
  flow.say(askingFrom(`${String(session.localUri)}\nX: y`)('SEND', TEXT, 'hello', 'injected'));
  rig.settle();
  t.equal(flow.read(), '', 'there is no way to answer it');
  t.notOk(rig.lines.some((line) => line.includes('\n')));
});
