/** What a peer can make us keep, and how long. */
import t from 'tap';
import { Assembler, parseMsrpPath, type StreamSource } from '../../msrp/index.ts';
import { Rig, answerTo, askingFrom, bindSession, expectSession, framesOf, TEXT, plain } from './rig.ts';

t.test(
  'RFC 7701 §6.4: a message larger than the queue is taken when nothing else waits; refused otherwise, which is over with the next that goes out',
  async (t) => {
    const rig = new Rig();
    const { session, flow, told } = bindSession(rig, { maxQueuedBytes: 1000 });
    const block = (): void => {
      flow.taking = false;
      session.send(plain('with the system'));
      rig.settle();
    };
    block();
    t.equal(session.send(plain('x')), 'queued');
    t.equal(session.send(plain('x'.repeat(1001))), 'full');
    flow.drain();
    rig.settle();
    t.equal(told.drains, 1);
    for (const size of [1001, 100_000]) {
      block();
      flow.read();
      t.equal(session.send(plain('x'.repeat(size))), 'queued');
      t.equal(session.send(plain('y')), 'full', 'it takes all the room');
      flow.drain();
      rig.settle();
      t.ok(flow.read().includes('x'.repeat(100)), 'it goes out');
    }
  },
);

t.test('what comes in one turn is written in it where it would not find room: its peer could not have read it', (t) => {
  const rig = new Rig();
  const { session, flow, told } = bindSession(rig, { maxQueuedBytes: 1000 });
  const texts = Array.from({ length: 100 }, (_, i) => `${i} ${'.'.repeat(50)}`);
  for (const text of texts) t.equal(session.send(plain(text)), 'queued');
  t.ok(flow.writes.length <= 25, 'gathered all the same');
  t.equal(told.drains, 0, 'nobody is called from within');
  rig.settle();
  t.equal(told.drains, 0, 'nor afterwards, since nobody was told that it is full');
  t.same(
    framesOf(flow.read()).map(({ body }) => body),
    texts,
    'in their order',
  );
  t.end();
});

t.test('what comes in one moment may be more than should wait; what does not become less in time is too much', (t) => {
  const rig = new Rig();
  const { session, flow, told } = bindSession(rig, { maxQueuedBytes: 1000, fullAfter: 500 });
  flow.taking = false;
  session.send(plain('with the system'));
  rig.settle();
  const say = (count: number) => new Set(Array.from({ length: count }, () => session.send(plain('x'.repeat(50)))));
  t.same(say(40), new Set(['queued']));
  rig.clock.advance(499);
  t.same(say(40), new Set(['queued']));
  flow.drain();
  rig.settle();
  t.equal(framesOf(flow.read()).length, 81);
  t.equal(told.drains, 0, 'it was never full');
  flow.taking = false;
  session.send(plain('with the system'));
  rig.settle();
  say(40);
  rig.clock.advance(500);
  t.same(say(2), new Set(['full']));
  session.thin(900);
  t.same(say(100), new Set(['queued', 'full']), 'nor is there more again until half of it is gone');
  t.ok(session.queuedBytes <= 1000);
  flow.drain();
  rig.settle();
  t.equal(told.drains, 1);
  t.end();
});

t.test('what comes in one moment is at most sixteen times what should wait', (t) => {
  const rig = new Rig();
  const { session, flow } = bindSession(rig, { maxQueuedBytes: 1000, fullAfter: 500 });
  flow.taking = false;
  session.send(plain('with the system'));
  rig.settle();
  for (let i = 0; session.send(plain('x'.repeat(50))) === 'queued'; i += 1) t.ok(i < 1000);
  t.ok(session.queuedBytes >= 16_000 && session.queuedBytes < 16_500);
  t.end();
});

t.test('room for messages is told of, whatever streams wait for their sources', (t) => {
  const rig = new Rig();
  const { session, flow, told } = bindSession(rig, { maxQueuedBytes: 1000, maxStreams: 1 });
  const open = () => session.stream({ contentType: 'a/b' }, { pull: () => 'later' });
  const first = open();
  t.equal(open(), 'full');
  flow.taking = false;
  session.send(plain('with the system'));
  rig.settle();
  while (session.send(plain('x')) === 'queued');
  flow.drain();
  rig.settle();
  t.equal(told.drains, 1);
  if (typeof first === 'object') first.abort();
  rig.settle();
  t.equal(told.drains, 2, 'and so is room for a stream');
  t.end();
});

t.test('the same of a stream: whole messages that go in pieces, and came in this turn, do not keep it out', (t) => {
  const rig = new Rig();
  const { session, flow } = bindSession(rig, { maxStreams: 2 });
  for (const letter of ['a', 'b', 'c']) t.equal(session.send(plain(letter.repeat(4000))), 'queued');
  t.type(session.stream({ contentType: 'a/b' }, { pull: () => 'later' }), 'object');
  rig.settle();
  t.same(
    framesOf(flow.read()).map(({ body }) => body?.[0]),
    ['a', 'b', 'c'],
  );
  t.end();
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

t.test('limits: octets that wait, in pieces or not, and streams', async (t) => {
  const rig = new Rig();
  const { session, flow } = bindSession(rig, { maxQueuedBytes: 10_000 });
  flow.taking = false;
  session.send(plain('x'));
  rig.settle();
  const sent = [4000, 4000, 4000, 1000, 1000].map((size) => session.send(plain('y'.repeat(size))));
  t.same(sent, ['queued', 'queued', 'full', 'queued', 'full'], 'heads count, too');
  const source: StreamSource = { pull: () => 'later' };
  const streams = Array.from({ length: 65 }, () => session.stream({ contentType: 'a/b' }, source));
  t.equal(streams.indexOf('full'), 64);
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
  t.equal(outcome(part('faraway1', '1-*/*'), 'x', '+'), '200 OK');
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
