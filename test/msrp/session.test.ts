import t from 'tap';
import {
  Assembler,
  parseMsrpPath,
  parseMsrpUri,
  prepare,
  type AuthRequest,
  type IncomingMessage,
  type MessageSink,
  type MsrpSession,
  type OtherRequest,
  type Refusal,
  type StreamSource,
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
  utf8,
} from './rig.ts';

const TEXT = ['Message-ID: mess0001', 'Byte-Range: 1-5/5', 'Content-Type: text/plain'];
const plain = (body: string, more: object = {}) => prepare({ contentType: 'text/plain', body: utf8(body), ...more });

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

t.test('RFC 4975 §7.1: order of the header fields, and an end-line that fits', async (t) => {
  const rig = new Rig();
  const { session, flow } = bindSession(rig);
  const headers = [{ name: 'Content-Disposition', value: 'render' }];
  session.send(plain('hello', { headers, messageId: undefined, successReport: true, failureReport: 'partial' }));
  rig.settle();
  const [frame] = framesOf(flow.read());
  t.same(Object.keys(frame?.fields ?? {}), [
    ...['To-Path', 'From-Path', 'Message-ID', 'Success-Report', 'Failure-Report', 'Byte-Range'],
    ...['Content-Disposition', 'Content-Type'],
  ]);
  t.equal(frame?.fields['To-Path'], PEER);
  t.equal(frame?.fields['From-Path'], String(session.localUri));
  t.equal(frame?.fields['Byte-Range'], '1-5/5');
  t.equal(frame?.flag, '$');
  t.throws(() => plain('x', { headers: [{ name: 'Byte-Range', value: '1-1/1' }] }), TypeError);
  t.throws(() => plain('x', { headers: [{ name: 'X', value: 'a\r\nb' }] }), TypeError);
  t.throws(() => prepare({ contentType: 'a/b\r\nX: y', body: utf8('x') }), TypeError);
  t.throws(() => plain('x', { headers: [{ name: 'X', value: 'a'.repeat(20_000) }] }), TypeError);
});

t.test('RFC 4975 §7.1: transaction ids differ by session and by message', async (t) => {
  const rig = new Rig();
  const one = bindSession(rig);
  const other = bindSession(rig);
  const messages = Array.from({ length: 50 }, () => plain('hello'));
  for (const { session } of [one, other]) for (const message of messages) session.send(message);
  rig.settle();
  const frames = [...framesOf(one.flow.read()), ...framesOf(other.flow.read())];
  t.equal(frames.length, 100);
  t.equal(new Set(frames.map(({ id }) => id)).size, 100);
  t.ok(frames.every(({ id }) => /^[A-Za-z0-9]{16}$/.test(id)));
});

t.test('RFC 4975 §7.1: a transaction id that stands in the body is not taken', async (t) => {
  Object.defineProperty(crypto, 'getRandomValues', { value: (array: Uint8Array) => array.fill(0), configurable: true });
  t.teardown(() => {
    Reflect.deleteProperty(crypto, 'getRandomValues');
    // Nothing foretold is left for others.
    while (plain('').idPart.startsWith('AAAA'));
  });
  // What was random before is used up; from then on ids can be foretold: they count.
  let last = plain('').idPart;
  for (let more = 0; more < 500 || /^....[789]/.test(last); more++) last = plain('').idPart;
  t.match(last, /^AAAA/);
  const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
  const next = `AAAA${ALPHABET.charAt(ALPHABET.indexOf(last.charAt(4)) + 1)}${last.slice(5)}`;
  t.equal(plain('').idPart, next, 'foretold');
  const after = `AAAA${ALPHABET.charAt(ALPHABET.indexOf(last.charAt(4)) + 2)}${last.slice(5)}`;
  const body = `look: \r\n-------12345678${after}$\r\n`;
  t.notOk(body.includes(plain(body).idPart));
});

t.test('RFC 4975 §7.1: octets of any value arrive as they were sent', async (t) => {
  const rig = new Rig();
  const { told, flow, ask } = bindSession(rig);
  const body = `${latin1(Uint8Array.from({ length: 256 }, (_, i) => i))}\r\n-------abcdefgh$\r\n`;
  flow.say(ask('SEND', ['Message-ID: binary01', 'Content-Type: application/octet-stream'], body, 'abcdefg'));
  flow.say(ask('SEND', ['Message-ID: empty001', 'Content-Type: text/plain'], ''));
  t.same(told.texts, [body, '']);
});

t.test('RFC 4975 §7.1: a SEND without a body is answered, and is no message', async (t) => {
  const rig = new Rig();
  const { told, flow, ask } = bindSession(rig);
  flow.say(ask('SEND', ['Message-ID: keepaliv', 'Byte-Range: 1-0/0', 'Keep-Alive: yes'], undefined, 'alive'));
  rig.settle();
  t.same(
    framesOf(flow.read()).map(({ id, what }) => [id, what]),
    [['alive', '200 OK']],
  );
  t.same(told.messages, []);
});

t.test('RFC 4975 §7.1: Content-Type stands for a body, and a body for Content-Type', async (t) => {
  const rig = new Rig();
  const { told, flow, ask, session } = bindSession(rig);
  flow.say(ask('SEND', ['Message-ID: nobody01', 'Content-Type: text/plain'], undefined, 'nobody'));
  flow.say(ask('SEND', ['Message-ID: notype01'], 'hello', 'notype'));
  flow.say(ask('NICKNAME', ['Use-Nickname: "x"', 'Content-Type: a/b'], 'x'.repeat(10_241), 'large'));
  flow.say(ask('SEND', ['Content-Type: text/plain'], 'hello', 'noid'));
  rig.settle();
  t.same(
    framesOf(flow.read()).map(({ id, what }) => `${id} ${what.slice(0, 3)}`),
    ['nobody 400', 'notype 400', 'large 400', 'noid 400'],
  );
  t.same(told.messages, []);
  t.equal(session.state, 'bound', 'what is framed well does not end the session');
});

t.test('RFC 4975 §9: a Message-ID longer than an ident is taken of gateways that use UUIDs, up to 64', async (t) => {
  const rig = new Rig();
  const { told, flow, ask } = bindSession(rig);
  for (const length of [36, 64, 65]) {
    flow.say(
      ask(
        'SEND',
        [`Message-ID: ${'8c1f-'.repeat(13).slice(0, length)}`, 'Success-Report: yes', 'Content-Type: a/b'],
        'hi',
      ),
    );
  }
  rig.settle();
  t.same(
    framesOf(flow.read()).map(({ what, fields }) => [what.slice(0, 6), fields['Message-ID']?.length]),
    [
      ['200 OK', undefined],
      ['REPORT', 36],
      ['200 OK', undefined],
      ['REPORT', 64],
      ['400 Me', undefined],
    ],
  );
  t.equal(told.messages.length, 2);
});

t.test('RFC 4975 §7.1.1: above 2048 octets a chunk may be interrupted, and says so', async (t) => {
  const rig = new Rig();
  const { session, flow, told } = bindSession(rig);
  session.send(plain('x'.repeat(2048)));
  session.send(plain('y'.repeat(2049), { outcomes: 'all' }));
  session.send(plain(''));
  rig.settle();
  const frames = framesOf(flow.read());
  t.same(
    frames.map(({ fields }) => fields['Byte-Range']),
    ['1-2048/2048', '1-0/0', '1-*/2049'],
  );
  t.equal(frames[2]?.body, 'y'.repeat(2049));
  for (const frame of frames) flow.say(answerTo(frame));
  t.same(
    told.outcomes.map(({ outcome }) => outcome.kind),
    ['delivered'],
  );
});

t.test('RFC 4975 §7.1.1: a large message is interrupted for responses and for other messages', async (t) => {
  const rig = new Rig();
  const { session, flow, ask, told } = bindSession(rig);
  const file = plain('f'.repeat(900_000), { outcomes: 'all' });
  session.send(file);
  flow.taking = false;
  rig.settle();
  const begun = flow.read();
  t.ok(begun.length > 2048 && begun.length < 600_000, 'begun, not whole');
  flow.say(ask('SEND', TEXT, 'hello', 'question'));
  session.send(plain('a chat line'));
  flow.drain();
  rig.settle();
  const frames = framesOf(begun + flow.read());
  t.same(frames.map(({ what, flag }) => what + flag).slice(0, 3), ['SEND+', '200 OK$', 'SEND$']);
  t.equal(frames[2]?.body, 'a chat line');
  const chunks = frames.filter(({ fields }) => fields['Message-ID'] === file.messageId);
  t.equal(chunks.map(({ body }) => body).join(''), 'f'.repeat(900_000));
  let next = 1;
  for (const { fields, body = '', flag } of chunks) {
    t.equal(fields['Byte-Range'], `${next}-*/900000`);
    t.ok(body.length >= 2048 || flag === '$');
    next += body.length;
  }
  for (const frame of frames) if (frame.what === 'SEND') flow.say(answerTo(frame));
  t.same(told.outcomes, [{ message: file, outcome: { kind: 'delivered' } }]);
});

t.test('RFC 4975 §7.1.1: large messages of sessions on one connection take turns', async (t) => {
  const rig = new Rig();
  const first = bindSession(rig);
  const second = expectSession(rig);
  first.flow.say(askingFrom(String(second.session.localUri))('SEND', ['Message-ID: bindbind'], undefined));
  rig.settle();
  first.flow.read();
  first.session.send(plain('1'.repeat(500_000)));
  second.session.send(plain('2'.repeat(500_000)));
  rig.settle();
  const frames = framesOf(first.flow.read());
  t.ok(frames.length > 8, `${frames.length} chunks`);
  for (const [i, { body = '' }] of frames.slice(0, 8).entries()) t.equal(body[0], i % 2 === 0 ? '1' : '2');
  for (const digit of ['1', '2']) {
    t.equal(
      frames
        .filter(({ body = '' }) => body.startsWith(digit))
        .map(({ body }) => body)
        .join('').length,
      500_000,
    );
  }
});

t.test('RFC 4975 §7.1.1: a large message is interrupted for a response or a report alone', async (t) => {
  const rig = new Rig();
  const { session, flow, ask } = bindSession(rig);
  session.send(plain('f'.repeat(900_000)));
  flow.taking = false;
  rig.settle();
  flow.say(ask('SEND', ['Success-Report: yes', ...TEXT], 'hello'));
  flow.drain();
  rig.settle();
  t.same(
    framesOf(flow.read()).map(({ what, flag }) => what + flag),
    ['SEND+', '200 OK$', 'REPORT$', 'SEND$'],
  );
});

t.test('RFC 4975 §7.1.1: large messages of one session take turns', async (t) => {
  const rig = new Rig();
  const { session, flow } = bindSession(rig);
  session.send(plain('1'.repeat(500_000)));
  session.send(plain('2'.repeat(500_000)));
  rig.settle();
  const begins = framesOf(flow.read()).map(({ body = '' }) => body[0]);
  t.same(begins.slice(0, 6), ['1', '2', '1', '2', '1', '2']);
});

t.test('peers that cannot put chunks together get one unbroken chunk', async (t) => {
  const rig = new Rig();
  const { session, flow, ask } = bindSession(rig, { chunks: false });
  session.send(plain('f'.repeat(900_000)));
  flow.taking = false;
  rig.settle();
  flow.say(ask('SEND', TEXT, 'hello'));
  session.send(plain('a chat line'));
  flow.drain();
  rig.settle();
  const frames = framesOf(flow.read());
  t.same(
    frames.map(({ what, flag, body }) => [what, flag, body?.length]),
    [
      ['SEND', '$', 900_000],
      ['200 OK', '$', undefined],
      ['SEND', '$', 11],
    ],
  );
  t.equal(frames[0]?.fields['Byte-Range'], '1-*/900000');
});

t.test('RFC 4975 §7.1.1: no answer within 30 s of handing over', async (t) => {
  const rig = new Rig();
  const { session, flow, told } = bindSession(rig);
  const yes = plain('yes');
  const partial = plain('partial', { failureReport: 'partial', outcomes: 'all' });
  const no = plain('no', { failureReport: 'no', outcomes: 'all' });
  for (const message of [yes, partial, no]) session.send(message);
  rig.settle();
  rig.clock.advance(29_000);
  t.same(told.outcomes, []);
  rig.clock.advance(2_000);
  t.same(told.outcomes, [{ message: yes, outcome: { kind: 'timeout' } }]);
  t.equal(session.state, 'bound');
  // What the system does not take has not been sent, so its time does not run.
  flow.taking = false;
  session.send(plain('stuck'));
  rig.settle();
  rig.clock.advance(40_000);
  t.equal(told.outcomes.length, 1);
  flow.drain();
  rig.clock.advance(29_000);
  t.equal(told.outcomes.length, 1);
  rig.clock.advance(2_000);
  t.equal(told.outcomes.length, 2);
});

t.test(
  'RFC 4975 §7.1.1: with Failure-Report partial no answer is no failure, and a large message goes on',
  async (t) => {
    const rig = new Rig();
    const { session, flow, told } = bindSession(rig);
    let given = 0;
    const source: StreamSource = { pull: () => (given++ % 2 === 0 ? utf8('x'.repeat(3000)) : 'later') };
    const options = { contentType: 'a/b', failureReport: 'partial', outcomes: 'all' } as const;
    const stream = session.stream(options, source);
    if (typeof stream === 'string') throw new Error(stream);
    rig.settle();
    session.send(plain('interrupts it', { failureReport: 'no' }));
    rig.settle();
    rig.clock.advance(31_000);
    stream.wake();
    rig.settle();
    session.send(plain('interrupts it', { failureReport: 'no' }));
    rig.settle();
    t.same(
      framesOf(flow.read()).map(({ flag }) => flag),
      ['+', '$', '+', '$'],
    );
    t.same(told.outcomes, []);
  },
);

t.test('RFC 4975 §7.1.1: outcomes as far as they are asked for, in whatever order the answers come', async (t) => {
  const rig = new Rig();
  const { session, flow, told } = bindSession(rig);
  const messages = (['all', 'failures', 'none', 'all'] as const).map((outcomes) => plain('x', { outcomes }));
  for (const message of messages) session.send(message);
  rig.settle();
  const frames = framesOf(flow.read());
  const statuses = ['200 OK', '200 OK', '403 no', '200 OK'];
  for (const i of [2, 0, 3, 1]) flow.say(answerTo(frames[i] ?? never(), statuses[i]));
  for (const frame of frames) flow.say(answerTo(frame, '413 again'));
  t.same(told.outcomes, [
    { message: messages[0], outcome: { kind: 'delivered' } },
    { message: messages[3], outcome: { kind: 'delivered' } },
  ]);
  const again = Array.from({ length: 100 }, () => plain('y', { outcomes: 'all' }));
  for (const message of again) session.send(message);
  rig.settle();
  flow.say(
    framesOf(flow.read())
      .map((frame) => answerTo(frame))
      .join(''),
  );
  t.equal(told.outcomes.length, 102);
  const refused = plain('z');
  session.send(refused);
  rig.settle();
  flow.say(answerTo(framesOf(flow.read())[0] ?? never(), '415 not that'));
  t.same(told.outcomes[102], { message: refused, outcome: { kind: 'refused', status: 415, comment: 'not that' } });
});

function never(): never {
  throw new Error('there is one');
}

t.test('expected responses are recognised by every octet that matters', async (t) => {
  const rig = new Rig();
  const { session, flow, told } = bindSession(rig);
  const turn = () => {
    session.send(plain('x', { outcomes: 'all' }));
    rig.settle();
    return framesOf(flow.read())[0] ?? never();
  };
  flow.say(answerTo(turn()));
  t.equal(told.outcomes.length, 1);
  // The same length as the last, but not the expected 200.
  flow.say(answerTo(turn(), '403 no'));
  t.equal(told.outcomes[1]?.outcome.kind, 'refused');
  const third = turn();
  flow.say(answerTo({ ...third, id: `${third.id.slice(0, 8)}AAAAAAAA` }));
  flow.say(answerTo({ ...third, id: `AAAAAAAA${third.id.slice(8)}` }));
  t.equal(told.outcomes.length, 2, 'ids of nobody');
  flow.say(answerTo(third, '200 A comment that is longer than the last one was'));
  t.equal(told.outcomes.length, 3);
  const pair = answerTo(turn()) + answerTo(turn());
  flow.say(pair.slice(0, 100));
  flow.say(pair.slice(100));
  t.equal(told.outcomes.length, 5);
});

t.test(
  'RFC 4975 §7.2: one wrong octet in start line or end-line, and it is not the 200 that was expected',
  async (t) => {
    const START = 'MSRP 12345678abcdefgh 200 '.length;
    const END = '\r\n-------12345678abcdefgh$\r\n'.length;
    const length = answerTo({ id: 'x'.repeat(16), what: '', fields: {}, body: '', flag: '' }).length;
    for (let wrong = 0; wrong < length; wrong++) {
      if (wrong === START) wrong = length - END;
      const rig = new Rig();
      const { session, flow, told } = bindSession(rig);
      const answer = () => {
        session.send(plain('x', { outcomes: 'all' }));
        rig.settle();
        const { id } = framesOf(flow.read())[0] ?? never();
        return answerTo({ id, what: '', fields: {}, body: '', flag: '' });
      };
      flow.say(answer());
      const good = answer();
      flow.say(`${good.slice(0, wrong)}~${good.slice(wrong + 1)}`);
      const delivered = told.outcomes.filter(({ outcome }) => outcome.kind === 'delivered');
      t.equal(delivered.length, 1, `octet ${wrong}`);
    }
  },
);

t.test('RFC 4975 §7.1.2: a REPORT is never answered, whatever it says', async (t) => {
  const rig = new Rig();
  const { flow, ask, told } = bindSession(rig);
  flow.say(ask('REPORT', ['Message-ID: mess0001', 'Byte-Range: 1-5/5', 'Status: 000 200 OK']));
  flow.say(ask('REPORT', ['Message-ID: mess0001', 'Status: 001 999 what is that']));
  flow.say(ask('REPORT', ['Message-ID: mess0001']));
  flow.say(ask('REPORT', ['Status: nonsense']));
  flow.say(
    askingFrom('msrp://chat.example.com:2855/nosuchsession;tcp')('REPORT', ['Message-ID: mess0001', 'Status: 000 200']),
  );
  rig.settle();
  t.same(flow.read(), '');
  t.same(told.reports, [
    {
      messageId: 'mess0001',
      status: { namespace: '000', code: 200, comment: 'OK' },
      byteRange: { start: 1, end: 5, total: 5 },
    },
    { messageId: 'mess0001', status: { namespace: '001', code: 999, comment: 'what is that' }, byteRange: undefined },
  ]);
});

t.test('RFC 4975 §7.1.3, §7.1.4, §7.2: what goes back, by Success-Report and Failure-Report', async (t) => {
  const cases: [string[], 200 | 403, string[]][] = [
    [[], 200, ['200 OK']],
    [[], 403, ['403 Forbidden']],
    [['Failure-Report: yes'], 200, ['200 OK']],
    [['Failure-Report: partial'], 200, []],
    [['Failure-Report: partial'], 403, ['403 Forbidden']],
    [['Failure-Report: no'], 200, []],
    [['Failure-Report: no'], 403, []],
    [['Success-Report: yes'], 200, ['200 OK', 'REPORT']],
    [['Success-Report: yes'], 403, ['403 Forbidden']],
    [['Success-Report: yes', 'Failure-Report: partial'], 200, ['REPORT']],
    [['Success-Report: yes', 'Failure-Report: no'], 200, ['REPORT']],
    [['Success-Report: YES', 'failure-report: No'], 403, []],
    [['Success-Report: no', 'Failure-Report: yes'], 200, ['200 OK']],
  ];
  for (const [fields, status, expected] of cases) {
    const rig = new Rig();
    const { flow, ask, told } = bindSession(rig);
    told.answer = status;
    flow.say(ask('SEND', [...fields, ...TEXT], 'hello', 'question'));
    rig.settle();
    const frames = framesOf(flow.read());
    t.same(
      frames.map(({ what }) => what),
      expected,
      `${fields.join()} ${status}`,
    );
    const report = frames.find(({ what }) => what === 'REPORT');
    if (report === undefined) continue;
    t.same(
      [report.fields['Message-ID'], report.fields['Byte-Range'], report.fields['Status']],
      ['mess0001', '1-5/5', '000 200 OK'],
    );
    t.notOk('Success-Report' in report.fields || 'Failure-Report' in report.fields, 'RFC 4975 §7.1.2');
  }
});

t.test('RFC 4975 §7.1.4: a failure that is known later is reported, with its range', async (t) => {
  const rig = new Rig();
  const { flow, ask, told } = bindSession(rig);
  flow.say(ask('SEND', TEXT, 'hello'));
  told.messages[0]?.report(408, 'gone\r\nInjected: yes');
  flow.say(ask('SEND', ['Failure-Report: no', ...TEXT], 'hello'));
  told.messages[1]?.report(408);
  rig.settle();
  const frames = framesOf(flow.read());
  t.same(
    frames.map(({ what }) => what),
    ['200 OK', 'REPORT'],
  );
  t.same([frames[1]?.fields['Status'], frames[1]?.fields['Byte-Range']], ['000 408 gone Injected: yes', '1-5/5']);
});

t.test('RFC 4975 §7.1.3: success reports by hand', async (t) => {
  const rig = new Rig();
  const { flow, ask, told } = bindSession(rig, { successReports: 'manual' });
  flow.say(ask('SEND', ['Success-Report: yes', ...TEXT], 'hello'));
  rig.settle();
  t.same(
    framesOf(flow.read()).map(({ what }) => what),
    ['200 OK'],
  );
  told.messages[0]?.report(200);
  told.messages[0]?.respond(403);
  rig.settle();
  t.same(
    framesOf(flow.read()).map(({ what }) => what),
    ['REPORT'],
  );
});

t.test('RFC 4975 §7.2: a response to a SEND goes one hop back, others and reports all the way', async (t) => {
  const rig = new Rig();
  const path = `msrp://relay.example.net:9000/relaysession;tcp ${PEER}`;
  const { session, told } = expectSession(rig, { remotePath: parseMsrpPath(path) });
  const flow = rig.accept();
  const ask = askingFrom(String(session.localUri), path);
  flow.say(ask('SEND', ['Success-Report: yes', ...TEXT], 'hello'));
  flow.say(ask('NICKNAME', ['Use-Nickname: "Zoe"']));
  told.nicknames[0]?.respond(200);
  session.send(plain('hi'));
  rig.settle();
  const relay = path.split(' ')[0];
  t.same(
    framesOf(flow.read()).map(({ what, fields }) => [what, fields['To-Path']]),
    [
      ['200 OK', relay],
      ['REPORT', path],
      ['200 OK', path],
      ['SEND', path],
    ],
  );
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

t.test('RFC 4975 §7.3.1: one chunk from 1 to its $ is the message, whatever its numbers', async (t) => {
  const rig = new Rig();
  const { flow, ask, told } = bindSession(rig);
  for (const range of ['1-3/3', '1-*/*', '1-99/99', '1-5/5']) {
    flow.say(ask('SEND', ['Message-ID: mess0001', `Byte-Range: ${range}`, 'Content-Type: text/plain'], 'héllo'));
  }
  flow.say(ask('SEND', ['Message-ID: mess0001', 'Content-Type: text/plain'], 'none'));
  t.same(told.texts, ['héllo', 'héllo', 'héllo', 'héllo', 'none']);
});

const chunk = (range: string) => ['Message-ID: longlong', `Byte-Range: ${range}`, 'Content-Type: text/plain'];

t.test('RFC 4975 §7.3.1: chunks are answered one by one, the last by the application', async (t) => {
  const rig = new Rig();
  const { flow, ask, told } = bindSession(rig);
  told.answer = undefined;
  flow.say(ask('SEND', chunk('1-*/10'), 'hello', 'first', '+'));
  flow.say(ask('SEND', chunk('6-10/10'), 'world', 'second', '$'));
  rig.settle();
  t.same(
    framesOf(flow.read()).map(({ id, what }) => [id, what]),
    [['first', '200 OK']],
  );
  t.same(told.texts, ['helloworld']);
  told.messages[0]?.respond(200);
  rig.settle();
  t.same(
    framesOf(flow.read()).map(({ id }) => id),
    ['second'],
  );
});

t.test('RFC 4975 §7.3.1: the last before the first, overlap, and #', async (t) => {
  const rig = new Rig();
  const { flow, ask, told } = bindSession(rig);
  flow.say(ask('SEND', chunk('8-10/10'), 'rld', 'three', '$'));
  flow.say(ask('SEND', chunk('1-*/10'), 'heLLO', 'one1', '+'));
  t.same(told.texts, []);
  flow.say(ask('SEND', chunk('3-7/10'), 'llowo', 'two2', '+'));
  t.same(told.texts, ['helloworld']);
  flow.say(ask('SEND', chunk('1-*/10'), 'hello', 'four', '+'));
  flow.say(ask('SEND', chunk('6-*/10'), 'wo', 'five', '#'));
  flow.say(ask('SEND', chunk('8-10/10'), 'rld', 'six1', '$'));
  t.same(told.texts, ['helloworld'], 'what was given up does not come back');
});

t.test('RFC 4975 §7.1: a message is given up by # without a body, too', async (t) => {
  const rig = new Rig();
  const gone: string[] = [];
  const { flow, ask, told } = bindSession(rig);
  flow.say(ask('SEND', chunk('1-*/10'), 'hello', undefined, '+'));
  flow.say(ask('SEND', ['Message-ID: longlong', 'Byte-Range: 1-0/10'], undefined, undefined, '#'));
  flow.say(ask('SEND', chunk('6-10/10'), 'world', undefined, '$'));
  t.same(told.texts, [], 'what was given up does not come back');
  const sink: MessageSink = { write: () => undefined, end: () => gone.push('end'), abort: (why) => gone.push(why) };
  const other = bindSession(rig, { handlers: { message: () => undefined, opening: () => ({ sink }) } });
  other.flow.say(other.ask('SEND', chunk('1-*/10'), 'hello', undefined, '+'));
  other.flow.say(other.ask('SEND', ['Message-ID: longlong'], undefined, undefined, '#'));
  t.same(gone, ['given up by its sender']);
});

t.test('RFC 4975 §7.3.1: 415 for what is not taken, at the first chunk and for all that follow', async (t) => {
  const rig = new Rig();
  const told = new Told();
  const handlers = Object.assign(told, {
    opening: (_session: MsrpSession, { contentType }: { contentType: string }) =>
      contentType === 'text/plain' ? 'collect' : { refuse: { status: 415 } satisfies Refusal },
  } as const);
  const { flow, ask } = bindSession(rig, { handlers });
  const odd = (range: string) => [...chunk(range).slice(0, 2), 'Content-Type: a/b'];
  flow.say(ask('SEND', odd('1-*/10'), 'hello', 'first', '+'));
  flow.say(ask('SEND', odd('6-10/10'), 'world', 'second', '$'));
  flow.say(ask('SEND', odd('1-5/5'), 'whole', 'third', '$'));
  flow.say(ask('SEND', ['Failure-Report: no', ...odd('1-5/5')], 'whole', 'fourth', '$'));
  rig.settle();
  t.same(
    framesOf(flow.read()).map(({ id, what }) => `${id} ${what}`),
    ['first 415 Unsupported Media Type', 'second 415 Unsupported Media Type', 'third 415 Unsupported Media Type'],
  );
  t.same(told.messages, []);
});

/** A sink that writes down what it is told. */
class Notes implements MessageSink {
  readonly events: string[] = [];
  refusal: Refusal | undefined;

  write(piece: Uint8Array): Refusal | undefined {
    this.events.push(latin1(piece));
    return this.refusal;
  }

  end(incoming: { respond(status: 200): void; readonly size: number }): void {
    this.events.push(`end ${incoming.size}`);
    incoming.respond(200);
  }

  abort(reason: string): void {
    this.events.push(`abort: ${reason}`);
  }
}

function bindWithSink(rig: Rig) {
  const sink = new Notes();
  const handlers = Object.assign(new Told(), { opening: () => ({ sink }) });
  return { sink, ...bindSession(rig, { handlers }) };
}

t.test('RFC 7701 §6.1: a message is given on as it arrives', async (t) => {
  const rig = new Rig();
  const { sink, flow, ask } = bindWithSink(rig);
  flow.say(ask('SEND', chunk('1-5/5'), 'whole'));
  flow.say(ask('SEND', chunk('1-*/10'), 'hello', 'first', '+'));
  flow.say(ask('SEND', chunk('4-7/10'), 'lowo', 'twice', '+'));
  flow.say(ask('SEND', chunk('8-10/10'), 'rld', 'last', '$'));
  flow.say(ask('SEND', chunk('1-*/10'), 'given up', 'gone', '#'));
  flow.say(ask('SEND', chunk('1-*/10'), 'hel', 'begin', '+'));
  flow.say(ask('SEND', chunk('5-10/10'), 'oworld', 'gap1', '$'));
  t.same(sink.events, [
    ...['whole', 'end 5', 'hello', 'wo', 'rld', 'end 10', 'given up', 'abort: given up by its sender'],
    ...['hel', 'abort: a chunk is missing'],
  ]);
  rig.settle();
  t.equal(framesOf(flow.read()).at(-1)?.what, '413 a chunk is missing');
});

t.test('RFC 4975 §10.5: 413 goes out at once, in the middle of the chunk, and stands for the rest', async (t) => {
  const rig = new Rig();
  const { sink, flow, ask } = bindWithSink(rig);
  const large = ask('SEND', chunk('1-*/1000000'), 'x'.repeat(200_000), 'large', '+');
  sink.refusal = { status: 413, comment: 'enough' };
  flow.say(large.slice(0, 100_000));
  rig.settle();
  t.same(
    framesOf(flow.read()).map(({ id, what }) => [id, what]),
    [['large', '413 enough']],
  );
  flow.say(large.slice(100_000));
  flow.say(ask('SEND', chunk('200001-*/1000000'), 'more', 'more', '+'));
  rig.settle();
  t.same(
    framesOf(flow.read()).map(({ id, what }) => [id, what]),
    [['more', '413 enough']],
  );
  t.equal(sink.events.length, 1);
});

t.test('RFC 7701 §6.1: chunk reception timer', async (t) => {
  const rig = new Rig();
  const { sink, flow, ask } = bindWithSink(rig);
  flow.say(ask('SEND', chunk('1-*/10'), 'hello', 'first', '+'));
  rig.clock.advance(500_000);
  flow.say(ask('SEND', chunk('6-*/10'), 'wo', 'second', '+'));
  rig.clock.advance(500_000);
  t.same(sink.events, ['hello', 'wo'], 'each chunk sets it anew');
  rig.clock.advance(41_000);
  t.same(sink.events.at(-1), 'abort: no further chunk in time');
});

t.test('RFC 7701 §6.1: the chunk reception timer runs on while no session goes on with the message', async (t) => {
  const rig = new Rig();
  const sink = new Notes();
  const assembler = new Assembler();
  const handlers = Object.assign(new Told(), { opening: () => ({ sink }) });
  const { flow, ask } = bindSession(rig, { handlers, assembler });
  flow.say(ask('SEND', chunk('1-*/10'), 'hello', 'first', '+'));
  flow.hangUp();
  rig.clock.advance(500_000);
  t.same(sink.events, ['hello'], 'its sender may come back (RFC 4975 §5.4)');
  rig.clock.advance(41_000);
  t.same(sink.events.at(-1), 'abort: no further chunk in time');
  t.equal(assembler.openMessages, 0);
});

t.test('RFC 7701 §6.1: a chunk that takes long to arrive is not given up while octets of it come', async (t) => {
  const rig = new Rig();
  const { flow, told } = bindSession(rig);
  const to = String(told.bounds[0]?.localUri);
  flow.say(
    `MSRP slow1234 SEND\r\nTo-Path: ${to}\r\nFrom-Path: ${PEER}\r\nMessage-ID: slowslow\r\n` +
      'Byte-Range: 1-*/400000\r\nContent-Type: text/plain\r\n\r\n',
  );
  for (let piece = 0; piece < 4; piece++) {
    flow.say('x'.repeat(100_000));
    rig.clock.advance(500_000);
  }
  flow.say('\r\n-------slow1234$\r\n');
  t.ok(told.texts[0] === 'x'.repeat(400_000));
  // One that has stood still for too long is gone, and does not come back without its beginning.
  rig.settle();
  flow.read();
  flow.say(
    `MSRP dead1234 SEND\r\nTo-Path: ${to}\r\nFrom-Path: ${PEER}\r\nMessage-ID: deaddead\r\n` +
      `Byte-Range: 1-*/200000\r\nContent-Type: text/plain\r\n\r\n${'x'.repeat(100_000)}`,
  );
  rig.clock.advance(542_000);
  flow.say(`${'x'.repeat(100_000)}\r\n-------dead1234$\r\n`);
  rig.settle();
  t.equal(told.texts.length, 1);
  t.same(
    framesOf(flow.read()).map(({ what }) => what),
    ['413 message is over'],
  );
});

t.test('a session that ends gives up what it was receiving', async (t) => {
  const rig = new Rig();
  const { sink, flow, ask, session } = bindWithSink(rig);
  flow.say(ask('SEND', chunk('1-*/10'), 'hello', 'first', '+'));
  session.close();
  t.same(sink.events, ['hello', 'abort: session closed']);
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
  while (loud.session.send(plain('x'.repeat(20))) === 'queued');
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

t.test(
  'RFC 7701 §6.4: a message larger than the queue is always refused, and said to be over with the next that goes out',
  async (t) => {
    const rig = new Rig();
    const { session, told } = bindSession(rig, { maxQueuedBytes: 1000 });
    t.equal(session.send(plain('x'.repeat(1001))), 'full');
    t.equal(session.send(plain('x')), 'queued');
    rig.settle();
    t.equal(told.drains, 1);
    t.equal(session.send(plain('x'.repeat(1001))), 'full', 'there is room, but not for this');
  },
);

t.test('RFC 4975 §7.3.2, §10.4, §10.5: responses and reports that stop a message', async (t) => {
  for (const [stop, code] of [
    ['response', 413],
    ['report', 413],
    ['response', 403],
    ['report', 403],
  ] as const) {
    const rig = new Rig();
    const { session, flow, ask, told } = bindSession(rig);
    let given = 0;
    const source: StreamSource = { pull: () => (given++ < 2 ? utf8('x'.repeat(3000)) : 'later') };
    const stream = session.stream({ contentType: 'a/b', total: 1_000_000 }, source);
    rig.settle();
    session.send(plain('interrupts it'));
    rig.settle();
    const frames = framesOf(flow.read());
    const first = frames[0] ?? never();
    flow.say(
      stop === 'response'
        ? answerTo(first, `${code} stop`)
        : ask('REPORT', [
            `Message-ID: ${first.fields['Message-ID'] ?? ''}`,
            'Byte-Range: 1-10/10',
            `Status: 000 ${code} stop`,
          ]),
    );
    rig.settle();
    // §10.5: whoever has said 413 must get no further chunk of it, not even an empty one.
    t.same(
      framesOf(flow.read()).map(({ fields, flag, body }) => [fields['Message-ID'], flag, body]),
      code === 413 ? [] : [[first.fields['Message-ID'], '#', '']],
    );
    t.same(told.outcomes, [{ message: stream, outcome: { kind: 'refused', status: code, comment: 'stop' } }]);
  }
  const rig = new Rig();
  const { session, flow, told } = bindSession(rig);
  session.send(plain('x'));
  rig.settle();
  flow.say(answerTo(framesOf(flow.read())[0] ?? never(), '408 downstream'));
  t.equal(told.outcomes[0]?.outcome.kind, 'timeout');
});

t.test('RFC 4975 §10.5: a refusal that comes while its chunk is still going out stops it', async (t) => {
  const rig = new Rig();
  const { session, flow, told } = bindSession(rig);
  for (const [status, outcome] of [
    ['413 stop', { kind: 'refused', status: 413, comment: 'stop' }],
    ['408 downstream', { kind: 'timeout' }],
  ] as const) {
    told.outcomes.length = 0;
    let given = 0;
    const stream = session.stream(
      { contentType: 'a/b', total: 1_000_000 },
      { pull: () => (given++ < 2 ? utf8('x'.repeat(3000)) : 'later') },
    );
    rig.settle();
    const begun = flow.read();
    const [, id = '', fromPath = ''] = /^MSRP (\S+) SEND\r\nTo-Path: \S+\r\nFrom-Path: (\S+)\r\n/.exec(begun) ?? [];
    flow.say(
      answerTo({ id, what: 'SEND', fields: { 'From-Path': fromPath, 'To-Path': PEER }, body: '', flag: '' }, status),
    );
    t.same(told.outcomes, [{ message: stream, outcome }]);
    rig.settle();
    const [frame, ...more] = framesOf(begun + flow.read());
    t.same([frame?.flag, frame?.body?.length, given], ['#', 5999, 3], 'nothing was pulled any more');
    t.same(more, []);
    if (frame !== undefined) flow.say(answerTo(frame));
    rig.clock.advance(31_000);
    t.equal(told.outcomes.length, 1, 'told once');
  }
  t.equal(session.state, 'bound');
});

t.test('RFC 4975 §7.1.1: a 200 that comes while its chunk is still going out is not awaited again', async (t) => {
  const rig = new Rig();
  const { session, flow, told } = bindSession(rig);
  let piece: Uint8Array | 'later' | 'end' = utf8('x'.repeat(3000));
  const stream = session.stream(
    { contentType: 'a/b', outcomes: 'all' },
    {
      pull() {
        const next = piece;
        if (next !== 'end') piece = 'later';
        return next;
      },
    },
  );
  rig.settle();
  const begun = flow.read();
  const id = /^MSRP (\S+) SEND/.exec(begun)?.[1] ?? '';
  flow.say(answerTo({ id, what: 'SEND', fields: {}, body: '', flag: '' }));
  t.same(told.outcomes, [], 'there is more to come');
  if (typeof stream === 'string') throw new Error(stream);
  piece = 'end';
  stream.wake();
  rig.settle();
  t.equal(framesOf(begun + flow.read())[0]?.flag, '$');
  t.same(told.outcomes, [{ message: stream, outcome: { kind: 'delivered' } }]);
  rig.clock.advance(31_000);
  t.equal(told.outcomes.length, 1, 'told once');
});

t.test('RFC 4975 §7.1: what is given up with # is never told as delivered', async (t) => {
  const rig = new Rig();
  const { session, flow, told } = bindSession(rig);
  for (const how of ['cancel', 'abort', 'source', 'source, before its first octet'] as const) {
    told.outcomes.length = 0;
    let given = how === 'source, before its first octet' ? 1 : 0;
    const stream = session.stream(
      { contentType: 'a/b', outcomes: 'all' },
      { pull: () => (given++ === 0 ? utf8('x'.repeat(3000)) : given === 2 ? 'later' : 'abort') },
    );
    if (typeof stream === 'string') throw new Error(stream);
    rig.settle();
    if (how === 'cancel') t.equal(session.cancel(stream), true);
    else if (how === 'abort') stream.abort();
    else stream.wake();
    rig.settle();
    const frames = framesOf(flow.read());
    t.same(
      frames.map(({ flag }) => flag),
      how.endsWith('octet') ? [] : ['#'],
    );
    for (const frame of frames) flow.say(answerTo(frame));
    t.same(told.outcomes, [{ message: stream, outcome: { kind: 'aborted' } }], how);
  }
});

t.test('RFC 4975 §10.5: messages refused whose senders say no more take no place from others', async (t) => {
  const rig = new Rig();
  const { flow, ask, told } = bindSession(rig, { assembler: new Assembler({ maxMessages: 2, maxMessageBytes: 100 }) });
  const first = (id: string, total: number) =>
    ask('SEND', [`Message-ID: ${id}`, `Byte-Range: 1-*/${total}`, 'Content-Type: a/b'], 'xx', undefined, '+');
  for (const id of ['big00001', 'big00002', 'big00003']) flow.say(first(id, 1000));
  for (const id of ['good0001', 'good0002', 'good0003']) flow.say(first(id, 4));
  rig.settle();
  t.same(
    framesOf(flow.read()).map(({ what }) => what.slice(0, 3)),
    ['413', '413', '413', '200', '200', '413'],
  );
  flow.say(ask('SEND', ['Message-ID: good0001', 'Byte-Range: 3-4/4', 'Content-Type: a/b'], 'yy'));
  t.same(told.texts, ['xxyy']);
});

t.test('a message that was begun and not answered when its session closes is lost, and told once', async (t) => {
  const rig = new Rig();
  const { session, told } = bindSession(rig);
  let given = false;
  const source: StreamSource = { pull: () => (given ? 'later' : ((given = true), utf8('x'.repeat(3000)))) };
  const stream = session.stream({ contentType: 'a/b', outcomes: 'all' }, source);
  rig.settle();
  session.close();
  t.same(told.outcomes, [{ message: stream, outcome: { kind: 'lost' } }]);
});

t.test('a message that was refused is not lost, too, when its session closes before the # is out', async (t) => {
  const rig = new Rig();
  const { session, flow, told } = bindSession(rig);
  let given = false;
  const source: StreamSource = { pull: () => (given ? 'later' : ((given = true), utf8('x'.repeat(3000)))) };
  const stream = session.stream({ contentType: 'a/b' }, source);
  rig.settle();
  flow.taking = false;
  session.send(plain('interrupts it', { failureReport: 'no' }));
  rig.settle();
  flow.say(answerTo(framesOf(flow.read())[0] ?? never(), '403 no'));
  session.close();
  t.same(told.outcomes, [{ message: stream, outcome: { kind: 'refused', status: 403, comment: 'no' } }]);
});

t.test('limits: octets that wait and messages that go piece by piece, together', async (t) => {
  const rig = new Rig();
  const { session, flow } = bindSession(rig, { maxQueuedBytes: 10_000 });
  flow.taking = false;
  session.send(plain('x'));
  rig.settle();
  const sent = [4000, 4000, 4000, 1000, 1000].map((size) => session.send(plain('y'.repeat(size))));
  t.same(sent, ['queued', 'queued', 'full', 'queued', 'full'], 'heads count, too');
  const source: StreamSource = { pull: () => 'later' };
  const streams = Array.from({ length: 64 }, () => session.stream({ contentType: 'a/b' }, source));
  t.equal(streams.filter((stream) => typeof stream === 'object').length, 62, 'and the two of 4000');
  t.equal(streams.at(-1), 'full');
  const few = bindSession(rig, { maxStreams: 1 }).session;
  const [only, second] = [1, 2].map(() => few.stream({ contentType: 'a/b' }, source));
  t.equal(second, 'full');
  if (typeof only === 'object') only.abort();
  rig.settle();
  t.type(few.stream({ contentType: 'a/b' }, source), 'object');
  const others = bindSession(rig, { maxQueuedBytes: 100 * 4000 });
  others.flow.taking = false;
  others.session.send(plain('x'));
  rig.settle();
  const many = Array.from({ length: 101 }, () => others.session.send(plain('y'.repeat(4000))));
  t.equal(many.indexOf('full'), 100, 'however many they are');
  t.equal(bindSession(rig).session.send(plain('y'.repeat(4000))), 'queued');
});

t.test('RFC 4975 §10.8, §10.10: 481 and 506 end the session', async (t) => {
  for (const status of ['481 gone', '506 taken']) {
    const rig = new Rig();
    const { session, flow, told } = bindSession(rig);
    session.send(plain('x'));
    rig.settle();
    flow.say(answerTo(framesOf(flow.read())[0] ?? never(), status));
    t.same(told.closings, [{ reason: 'rejected', detail: status }]);
  }
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

t.test(
  'RFC 4975 §7.1.1: cancel drops what has not begun, ends what has with #, and is too late for the rest',
  async (t) => {
    const rig = new Rig();
    const { session, flow, told } = bindSession(rig);
    const [first, second] = [plain('first'), plain('second')];
    const [waiting, begun] = [plain('w'.repeat(5000)), plain('b'.repeat(900_000))];
    session.send(first);
    session.send(second);
    session.send(waiting);
    t.ok(session.cancel(first));
    t.ok(session.cancel(waiting));
    rig.settle();
    t.notOk(session.cancel(second), 'it has gone out');
    t.same(
      framesOf(flow.read()).map(({ body }) => body),
      ['second'],
    );
    session.send(begun);
    flow.taking = false;
    rig.settle();
    t.ok(session.cancel(begun));
    flow.drain();
    rig.settle();
    const [frame, ...more] = framesOf(flow.read());
    t.same([frame?.flag, more], ['#', []]);
    t.ok((frame?.body?.length ?? 0) < 900_000);
    t.same(told.outcomes, []);
  },
);

t.test('a chunk that is open when its session closes is ended with #', async (t) => {
  const rig = new Rig();
  const first = bindSession(rig);
  const second = expectSession(rig);
  first.flow.say(askingFrom(String(second.session.localUri))('SEND', ['Message-ID: bindbind'], undefined));
  rig.settle();
  first.flow.read();
  let given = false;
  first.session.stream(
    { contentType: 'a/b' },
    { pull: () => (given ? 'later' : ((given = true), utf8('x'.repeat(3000)))) },
  );
  rig.settle();
  first.session.close();
  second.session.send(plain('still here'));
  rig.settle();
  t.same(
    framesOf(first.flow.read()).map(({ flag, body }) => [flag, body?.length]),
    [
      ['#', 2999],
      ['$', 10],
    ],
  );
});

t.test('RFC 7701 §6.4: a queue is bounded, can be thinned, and tells when it has room again', async (t) => {
  const rig = new Rig();
  const { session, flow, told } = bindSession(rig, { maxQueuedBytes: 10_000 });
  flow.taking = false;
  session.send(plain('the first is with the system'));
  rig.settle();
  const messages = Array.from({ length: 30 }, (_, i) => plain(String(i).padEnd(500, '.')));
  const answers = messages.map((message) => session.send(message));
  t.ok(answers.includes('full'));
  t.ok(session.queuedBytes <= 10_000 && session.queuedBytes > 9000, String(session.queuedBytes));
  const queued = messages.filter((_, i) => answers[i] === 'queued');
  const dropped = session.thin(3000, (message) => message !== queued[0]);
  t.same(dropped, queued.slice(1, 1 + dropped.length), 'the oldest, but for the one that may not go');
  t.ok(session.queuedBytes <= 3000);
  flow.drain();
  rig.settle();
  t.equal(told.drains, 1);
  const kept = framesOf(flow.read())
    .slice(1)
    .map(({ body }) => body?.replace(/\.*$/, ''));
  t.same(kept, ['0', ...queued.slice(1 + dropped.length).map((_, i) => String(i + 1 + dropped.length))]);
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

t.test('RFC 4976 §6: chunks of a bounded size, for relays that hold each of them whole', async (t) => {
  for (const [size, sizes] of [
    [4096, [2048, 2048]],
    [5000, [2048, 2048, 904]],
    [6145, [2048, 2048, 2048, 1]],
  ] as const) {
    const rig = new Rig();
    const { session, flow } = bindSession(rig, { maxChunkBytes: 2048 });
    const body = utf8('abc'.repeat(size).slice(0, size));
    let at = 0;
    const pull = (max: number) => (at === size ? 'end' : body.subarray(at, (at += Math.min(max, size - at))));
    session.send(prepare({ contentType: 'a/b', body }));
    session.stream({ contentType: 'a/b', total: size }, { pull });
    rig.settle();
    const frames = framesOf(flow.read());
    const ids = [...new Set(frames.map(({ fields }) => fields['Message-ID']))];
    t.equal(ids.length, 2);
    for (const id of ids) {
      const chunks = frames.filter(({ fields }) => fields['Message-ID'] === id);
      t.same(
        chunks.map((chunk) => chunk.body?.length),
        sizes,
      );
      t.equal(chunks.map((chunk) => chunk.body).join(''), latin1(body));
      t.same(
        chunks.map(({ flag }) => flag),
        sizes.map((_, n) => (n === sizes.length - 1 ? '$' : '+')),
      );
      t.match(chunks[1]?.fields['Byte-Range'], new RegExp(`^2049-\\*/${size}$`));
    }
  }
});

t.test('RFC 4976 §6: the bound for relays counts while one is on the way to the peer', async (t) => {
  const flagsOf = (rig: Rig, session: MsrpSession, flow: TestFlow): string => {
    session.send(plain('x'.repeat(5000)));
    rig.settle();
    return framesOf(flow.read())
      .map(({ flag }) => flag)
      .join('');
  };
  const relayed = parseMsrpPath(`msrp://relay.example.net:2855/r1;tcp ${PEER}`);
  const rig = new Rig();
  const { session, flow } = bindSession(rig, { maxRelayedChunkBytes: 2048 });
  t.equal(flagsOf(rig, session, flow), '$');
  session.setRemotePath(relayed);
  t.equal(flagsOf(rig, session, flow), '++$');
  session.setRemotePath(relayed, { chunks: false });
  t.equal(flagsOf(rig, session, flow), '$', 'whoever cannot put chunks together would lose all of it');
  session.setRemotePath(parseMsrpPath(PEER), { chunks: true });
  t.equal(flagsOf(rig, session, flow), '$');
  const ours = bindSession(rig, { maxRelayedChunkBytes: 2048, relays: [relayed[0]], matchBySessionId: true });
  t.equal(flagsOf(rig, ours.session, ours.flow), '++$', 'one of ours is one, too');
  const unbounded = bindSession(rig);
  unbounded.session.setRemotePath(relayed);
  t.equal(flagsOf(rig, unbounded.session, unbounded.flow), '$', 'unless given');
});

t.test('RFC 7977 §5.1: one chunk in each WebSocket message, and large ones cut up', async (t) => {
  const rig = new Rig();
  const { session, flow, ask } = bindSession(rig, {}, { framing: 'message' });
  const from = flow.writes.length;
  flow.say(ask('SEND', ['Success-Report: yes', ...TEXT], 'hello'));
  session.send(plain('one'));
  session.send(plain('f'.repeat(300_000)));
  session.send(plain('two'));
  rig.settle();
  const frames = flow.writes.slice(from).map((write) => framesOf(write));
  t.ok(frames.every(({ length }) => length === 1));
  const kinds = frames.map(([frame]) =>
    frame?.what === 'SEND' ? (frame.body ?? '').slice(0, 3) + frame.flag : frame?.what,
  );
  t.same(kinds.slice(0, 4), ['200 OK', 'REPORT', 'one$', 'two$']);
  t.ok(kinds.length > 7 && kinds.slice(4, -1).every((kind) => kind === 'fff+') && kinds.at(-1) === 'fff$');
  t.equal(frames.map(([frame]) => frame?.body).join('').length, 300_000 + 'onetwo'.length);
});

t.test(
  'RFC 7977 §5.1: peers that cannot put chunks together get a message whole, in one WebSocket message',
  async (t) => {
    const rig = new Rig();
    const { session, flow, ask } = bindSession(rig, { chunks: false }, { framing: 'message' });
    const from = flow.writes.length;
    for (const size of [2049, 65_000, 300_000, 500_000]) session.send(plain('f'.repeat(size)));
    session.send(plain('g'.repeat(70_000)));
    flow.taking = false;
    rig.settle();
    flow.say(ask('SEND', TEXT, 'hello'));
    for (let turns = 0; turns < 10; turns++) {
      flow.drain();
      flow.taking = false;
      rig.settle();
    }
    const frames = flow.writes.slice(from).map((write) => framesOf(write));
    t.ok(frames.every(({ length }) => length === 1));
    t.same(
      frames.flat().map(({ what, flag, body }) => what + flag + (body === undefined ? '' : String(body.length))),
      ['SEND$2049', '200 OK$', 'SEND$65000', 'SEND$300000', 'SEND$500000', 'SEND$70000'],
    );
  },
);

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

t.test('limits: header fields, sessions per connection, connections without a session, idle, stalled', async (t) => {
  const rig = new Rig({
    limits: { maxHeaders: 10, maxSessionsPerConnection: 2, maxUnboundPerAddress: 3, idleTimeout: 60_000 },
  });
  const { flow, ask } = bindSession(rig);
  flow.say(ask('SEND', [...Array.from({ length: 10 }, (_, i) => `X-${i}: y`), ...TEXT], 'hello', 'fields'));
  for (const id of ['second', 'third']) {
    flow.say(askingFrom(String(expectSession(rig).session.localUri))('SEND', TEXT, 'hello', id));
  }
  rig.settle();
  t.same(
    framesOf(flow.read()).map(({ id, what }) => `${id} ${what}`),
    ['fields 400 more than 10 header fields', 'second 200 OK', 'third 403 too many sessions'],
  );
  const vacant = Array.from({ length: 4 }, () => rig.accept());
  t.same(
    vacant.map(({ state }) => state),
    ['open', 'open', 'open', 'destroyed'],
  );
  t.equal(rig.accept({ address: '192.0.2.9' }).state, 'open');
  rig.clock.advance(31_000);
  t.same(
    vacant.map(({ state }) => state),
    ['ended', 'ended', 'ended', 'destroyed'],
    'RFC 4976 §6.1: 30 s without a session',
  );
  t.equal(flow.state, 'open');
  rig.clock.advance(6000);
  t.same(
    vacant.map(({ state }) => state),
    Array.from({ length: 4 }, () => 'destroyed'),
    'a peer that does not end it too is not waited for',
  );
  t.equal(rig.lines.filter((line) => line.includes('no session in time')).length, 4, 'each is told of once');
  rig.clock.advance(24_000);
  t.equal(flow.state, 'ended', 'nothing heard for a minute');
});

t.test('limits: 256 from one address can wait to be bound, and cost no more than a head of answers each', async (t) => {
  const rig = new Rig();
  const flows = Array.from({ length: 257 }, () => rig.accept());
  t.same(
    flows.map(({ state }) => state),
    [...Array.from({ length: 256 }, () => 'open'), 'destroyed'],
  );
  const [flow] = flows;
  if (flow === undefined) throw new Error('no flow');
  const ask = askingFrom('msrp://nobody.example:1/none;tcp');
  flow.taking = false;
  let asked = 1;
  flow.say(ask('SEND', TEXT, 'hello'));
  rig.settle();
  for (; !flow.paused && asked < 1000; asked += 1) flow.say(ask('SEND', TEXT, 'hello'));
  t.ok(flow.paused, 'who does not read what he is refused with is not read from');
  flow.drain();
  rig.settle();
  t.notOk(flow.paused);
  t.equal(framesOf(flow.read()).length, asked);
  t.ok(asked > 50 && asked < 200, `${String(asked)} refusals`);
});

t.test('limits: a peer that reads nothing is not read from, costs its bound, and is let go', async (t) => {
  const rig = new Rig({ limits: { maxAnswerBytes: 5000 } });
  const { flow, ask, told, session } = bindSession(rig);
  flow.taking = false;
  flow.say(ask('SEND', TEXT, 'hello'));
  rig.settle();
  for (let i = 0; i < 40 && !flow.paused; i++) flow.say(ask('SEND', TEXT, 'hello'));
  t.ok(flow.paused);
  t.ok(told.messages.length < 40);
  flow.drain();
  rig.settle();
  t.notOk(flow.paused, 'and read from again');
  t.equal(framesOf(flow.read()).length, told.messages.length);
  flow.taking = false;
  session.send(plain('stuck'));
  rig.settle();
  rig.clock.advance(61_000);
  t.same(
    told.closings.map(({ reason }) => reason),
    ['stalled'],
  );
  t.equal(flow.state, 'destroyed');
});

t.test('RFC 4975 §5.4: what a peer answers after our end is read and passed over, however much it is', (t) => {
  const rig = new Rig();
  const { session, flow } = bindSession(rig);
  for (let i = 0; i < 300; i++) session.send(plain(String(i)));
  rig.settle();
  const answers = framesOf(flow.read()).map((frame) => answerTo(frame));
  t.equal(answers.length, 300);
  session.close();
  rig.settle();
  for (const answer of answers) flow.say(answer);
  t.equal(flow.state, 'ended', 'not cut off, which would lose what is on its way');
  t.same(rig.lines, []);
  t.end();
});

t.test('limits: transactions that wait, messages that are open, octets of a message', async (t) => {
  const rig = new Rig({ limits: { maxOutstanding: 3 } });
  const { session, flow, ask, told } = bindSession(rig, {
    assembler: new Assembler({ maxMessages: 2, maxMessageBytes: 1000, maxBytes: 1500, maxRanges: 3 }),
  });
  for (let i = 0; i < 5; i++) session.send(plain(String(i)));
  rig.settle();
  const frames = framesOf(flow.read());
  t.equal(frames.length, 3);
  for (const frame of frames) flow.say(answerTo(frame));
  rig.settle();
  t.same(
    framesOf(flow.read()).map(({ body }) => body),
    ['3', '4'],
  );

  const part = (id: string, range: string) => [`Message-ID: ${id}`, `Byte-Range: ${range}`, 'Content-Type: a/b'];
  const outcome = (fields: string[], body: string, end: string) => {
    flow.say(ask('SEND', fields, body, undefined, end));
    rig.settle();
    return framesOf(flow.read())[0]?.what;
  };
  t.equal(outcome(part('whole001', '1-1001/1001'), 'x'.repeat(1001), '$'), '413 message too large');
  t.equal(outcome(part('announce', '1-*/1001'), 'x', '+'), '413 message too large');
  t.equal(outcome(part('announce', '2-*/1001'), 'x', '#'), '413 message too large');
  t.equal(outcome(part('faraway1', '999999999999-*/*'), 'x', '+'), '413 message too large');
  t.equal(outcome(part('faraway1', '2-*/*'), 'x', '#'), '413 message too large');
  for (const at of [1, 3, 5]) t.equal(outcome(part('gaps0001', `${at}-*/*`), 'x', '+'), '200 OK');
  t.equal(outcome(part('gaps0001', '7-*/*'), 'x', '+'), '413 too many gaps');
  t.equal(outcome(part('gaps0001', '9-*/*'), 'x', '#'), '413 too many gaps');
  t.equal(outcome(part('first001', '1-*/*'), 'x'.repeat(900), '+'), '200 OK');
  t.equal(outcome(part('second01', '1-*/*'), 'x'.repeat(900), '+'), '413 too much at once');
  t.equal(outcome(part('third001', '1-*/*'), 'x', '+'), '200 OK');
  t.equal(outcome(part('fourth01', '1-*/*'), 'x', '+'), '413 too many messages at once');
  t.same(told.messages, []);
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

t.test('a flow that keeps what it is given gets memory of its own', async (t) => {
  const rig = new Rig();
  const { session, flow } = bindSession(rig, {}, { keepsBytes: true });
  for (const text of ['one', 'two', 'three']) {
    session.send(plain(text));
    rig.settle();
  }
  t.same(
    framesOf(flow.read()).map(({ body }) => body),
    ['one', 'two', 'three'],
  );
});

t.test('what a flow has not taken yet stays as it is while others write', async (t) => {
  const rig = new Rig();
  const [slow, quick] = [bindSession(rig), bindSession(rig)];
  slow.flow.taking = false;
  slow.session.send(plain('for the slow one'));
  rig.settle();
  for (let n = 0; n < 10; n++) quick.session.send(plain('for the quick one'));
  rig.settle();
  t.equal(framesOf(quick.flow.read()).length, 10);
  t.equal(framesOf(slow.flow.read())[0]?.body, 'for the slow one');
  slow.flow.drain();
});

t.test('limits: connections that come and go leave nothing behind', async (t) => {
  const rig = new Rig({ limits: { maxUnboundPerAddress: 2 } });
  for (let i = 0; i < 5; i++) {
    const { flow, session } = bindSession(rig);
    if (i % 2 === 0) flow.hangUp();
    else session.close();
    rig.settle();
    flow.hangUp();
    rig.accept().hangUp();
  }
  t.equal(rig.endpoint.connectionCount, 0);
  const [first, second, third] = [rig.accept(), rig.accept(), rig.accept()];
  t.same([first.state, second.state, third.state], ['open', 'open', 'destroyed']);
  t.ok(
    Array.from({ length: 5 }, () => rig.accept({ address: '' })).every(({ state }) => state === 'open'),
    'nobody knows from where',
  );
});

t.test(
  'RFC 7977 §5.1: over a WebSocket a stream is cut up even for peers that get all else whole, each chunk with an id of its own',
  async (t) => {
    const rig = new Rig();
    const { session, flow } = bindSession(rig, { chunks: false }, { framing: 'message' });
    let given = 0;
    const source: StreamSource = { pull: () => (given++ < 5 ? utf8('f'.repeat(40_000)) : 'end') };
    session.stream({ contentType: 'a/b' }, source);
    rig.settle();
    const frames = framesOf(flow.read());
    t.equal(frames.map(({ body }) => body).join(''), 'f'.repeat(200_000));
    t.ok(frames.length > 1);
    t.equal(new Set(frames.map(({ id }) => id)).size, frames.length);
  },
);

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

t.test('what waits for a place among the transactions goes out when answers come', async (t) => {
  const rig = new Rig({ limits: { maxOutstanding: 1 } });
  const { session, flow } = bindSession(rig);
  const turn = () => {
    rig.settle();
    const frames = framesOf(flow.read());
    for (const frame of frames) flow.say(answerTo(frame));
    return frames.map(({ body }) => body?.length);
  };
  session.send(plain('x'));
  t.same(turn(), [1]);
  session.send(plain('y'));
  session.send(plain('f'.repeat(3000)));
  t.equal(session.underWay, 2);
  t.same([turn(), turn()], [[1], [3000]]);
  t.equal(session.underWay, 0, 'all are answered');
  session.send(plain('z'));
  rig.settle();
  t.equal(session.underWay, 1, 'sent, and not answered yet');
});

t.test('limits: a peer that sends what cannot be read again and again is let go', async (t) => {
  const rig = new Rig({ limits: { maxFaults: 3 } });
  const { flow, ask, told } = bindSession(rig);
  for (let i = 0; i < 3; i++) flow.say(ask('SEND', ['Byte-Range: nonsense'], undefined));
  rig.settle();
  t.same(
    framesOf(flow.read()).map(({ what }) => what.slice(0, 3)),
    ['400', '400', '400'],
  );
  t.same(told.closings, []);
  flow.say(ask('SEND', ['Byte-Range: nonsense'], undefined));
  rig.settle();
  t.same(
    framesOf(flow.read()).map(({ what }) => what.slice(0, 3)),
    ['400'],
  );
  t.same(
    told.closings.map(({ reason }) => reason),
    ['protocol'],
  );
});

t.test('a path with a control character in it is no path', async (t) => {
  const rig = new Rig();
  const { flow, session } = bindSession(rig);
  flow.say(askingFrom(`${String(session.localUri)}\nX: y`)('SEND', TEXT, 'hello', 'injected'));
  rig.settle();
  t.equal(flow.read(), '', 'there is no way to answer it');
  t.notOk(rig.lines.some((line) => line.includes('\n')));
});

t.test('a head that cannot be read costs time in proportion to its octets', async (t) => {
  const rig = new Rig({ limits: { maxHeadBytes: 2_000_000 } });
  const flow = rig.accept();
  // Were the fields looked for anew at each blank, this would take many minutes.
  flow.say(`MSRP tran0001 SEND\r\nTo-Path:${' '.repeat(1_000_000)}\0x\r\n-------tran0001$\r\n`);
  rig.settle();
  t.equal(flow.read(), '');
  t.equal(flow.state, 'open');
});

t.test('limits: a path that no head could carry is refused before it is written', async (t) => {
  const long = (hops: number, length: number): string =>
    Array.from({ length: hops }, (_, hop) => `msrp://relay${hop}.example.com/${'x'.repeat(length)};tcp`).join(' ');
  t.throws(() => parseMsrpPath(long(16, 7000)), { name: 'MsrpError', status: 400 });
  t.equal(parseMsrpPath(long(2, 1500)).length, 2);
});

t.test('RFC 7701 §6.1: a chunk that has begun keeps its message, also before its first octet', async (t) => {
  const told: string[] = [];
  const sink: MessageSink = { write: () => undefined, end: () => undefined, abort: (reason) => void told.push(reason) };
  const OPENING = { contentType: 'a/b', total: 10, successReport: false, failureReport: 'yes', headers: [] } as const;
  const assembler = new Assembler({ chunkTimeout: 1000 });
  const { messageId } = prepare({ contentType: 'a/b', body: utf8('x') });
  const opening = { ...OPENING, messageId };
  const begin = (start: number, now: number) => assembler.begin(opening, start, now, () => ({ sink }));
  const first = begin(1, 0);
  first.write(utf8('hello'));
  first.end('+');
  begin(6, 900);
  assembler.sweep(1800);
  t.same([assembler.openMessages, told], [1, []]);
  assembler.sweep(1900);
  t.same([assembler.openMessages, told], [0, ['no further chunk in time']]);
});

t.test('a session that closes while a chunk arrives hears nothing more, nor does its assembler', async (t) => {
  const rig = new Rig();
  const assembler = new Assembler();
  for (const options of [{}, { assembler }]) {
    const { session, told, flow, ask } = bindSession(rig, options);
    const other = expectSession(rig);
    flow.say(askingFrom(String(other.session.localUri))('SEND', TEXT, 'hello'));
    const whole = ask('SEND', ['Message-ID: large001', 'Content-Type: text/plain'], 'x'.repeat(100_000), 'large001');
    flow.say(whole.slice(0, 80_000));
    session.close();
    rig.settle();
    flow.read();
    flow.say(whole.slice(80_000));
    flow.say(
      askingFrom(String(other.session.localUri))(
        'SEND',
        ['Message-ID: mess0002', ...TEXT.slice(1)],
        'still',
        'next0001',
      ),
    );
    rig.settle();
    t.same(told.messages, []);
    t.same(other.told.texts, ['hello', 'still']);
    t.equal(told.closings.length, 1);
    t.same(
      framesOf(flow.read()).map(({ id }) => id),
      ['next0001'],
    );
    other.session.close();
  }
});

t.test('RFC 4975 §7.1: a look-alike in the last octets that a write has room for', async (t) => {
  const rig = new Rig();
  const { session, flow } = bindSession(rig);
  let id = '';
  let pulls = 0;
  const sizes: number[] = [];
  const stream = session.stream(
    { contentType: 'a/b' },
    {
      pull(max) {
        pulls++;
        if (pulls === 1) return utf8('x'.repeat(5000));
        if (pulls === 2) return 'later';
        if (pulls > 10) return 'end';
        const piece = new Uint8Array(max).fill(0x79);
        if (pulls > 5) piece.set(utf8(`\r\n-------${id}$\r\n`), 10);
        sizes.push(max);
        return piece;
      },
    },
  );
  if (typeof stream === 'string') throw new Error(stream);
  rig.settle();
  id = /^MSRP (\S+) SEND/.exec(flow.writes.at(-1) ?? '')?.[1] ?? '';
  stream.wake();
  rig.settle();
  const bodies = framesOf(flow.read()).map(({ body }) => body ?? '');
  t.ok(bodies.length >= 2);
  t.equal(
    bodies.join('').length,
    sizes.reduce((sum, size) => sum + size, 5000),
  );
});

t.test('an answer larger than what is gathered for one write goes out in one of its own', async (t) => {
  const rig = new Rig({ limits: { maxHeadBytes: 100_000 } });
  const { told, flow, ask } = bindSession(rig);
  told.answer = undefined;
  for (const [id, words] of [
    ['messlong', 'x'.repeat(30_000)],
    ['messnext', 'short'],
  ] as const) {
    flow.say(ask('SEND', [`Message-ID: ${id}`, 'Content-Type: text/plain'], 'hello'));
    told.messages.at(-1)?.respond(403, words);
  }
  // Nobody's session: its paths come back as they came.
  flow.say(askingFrom(`msrp://chat.example.com/${'y'.repeat(60_000)};tcp`)('SEND', TEXT, 'hello'));
  rig.settle();
  t.same(
    framesOf(flow.read()).map(({ what }) => what.length),
    [30_004, 9, 39],
  );
  flow.taking = false;
  told.messages.at(-1)?.report(403, 'z'.repeat(50_000));
  rig.settle();
  flow.drain();
  told.messages.at(-1)?.report(403, 'after');
  rig.settle();
  t.same(
    framesOf(flow.read()).map(({ fields }) => fields['Status']?.length),
    [50_008, 13],
  );
});
