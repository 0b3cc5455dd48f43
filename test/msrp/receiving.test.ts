/** What comes in: frames, chunks, sinks, timers. */
import t from 'tap';
import {
  Assembler,
  parseMsrpPath,
  prepare,
  type MessageSink,
  type MsrpSession,
  type Refusal,
} from '../../msrp/index.ts';
import { PEER, Rig, Told, askingFrom, bindSession, expectSession, framesOf, latin1, utf8, TEXT } from './rig.ts';

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

t.test('RFC 4975 §7.3.1: one chunk from 1 to its $ is the message, whatever its numbers', async (t) => {
  const rig = new Rig();
  const { flow, ask, told } = bindSession(rig);
  for (const range of ['1-3/3', '1-*/*', '1-99/99', '1-5/5']) {
    flow.say(ask('SEND', ['Message-ID: mess0001', `Byte-Range: ${range}`, 'Content-Type: text/plain'], 'héllo'));
  }
  flow.say(ask('SEND', ['Message-ID: mess0001', 'Content-Type: text/plain'], 'none'));
  t.same(told.texts, ['héllo', 'héllo', 'héllo', 'héllo', 'none']);
});

t.test('RFC 4975 §9, §7.1.1: a range that ends before it begins is none, but for one without octets', async (t) => {
  const rig = new Rig();
  const { flow, ask, told } = bindSession(rig);
  for (const range of ['5-2/9', '2-0/9']) {
    flow.say(ask('SEND', ['Message-ID: mess0002', `Byte-Range: ${range}`, 'Content-Type: text/plain'], 'hello'));
  }
  for (const range of ['1-0/0', '1-0/*', '6-5/9']) {
    flow.say(ask('SEND', ['Message-ID: mess0002', `Byte-Range: ${range}`], undefined));
  }
  rig.settle();
  for (const range of ['0-4/5', 'all'])
    flow.say(ask('SEND', ['Message-ID: mess0003', `Byte-Range: ${range}`, 'Content-Type: text/plain'], 'hello'));
  rig.settle();
  const [no, ok] = ['400 Byte-Range ends before it begins', '200 OK'];
  const none = '400 a Byte-Range is START-END/TOTAL, counted from 1';
  t.same(
    framesOf(flow.read()).map(({ what }) => what),
    [no, no, ok, ok, ok, none, none],
  );
  t.same(told.texts, []);
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

t.test('RFC 4975 §7.3.1: the last before the first, as relays may turn them; overlap, and #', async (t) => {
  const rig = new Rig();
  const path = `msrp://relay.example.net:9000/relaysession;tcp ${PEER}`;
  const { session, told } = expectSession(rig, { remotePath: parseMsrpPath(path) });
  const flow = rig.accept();
  const ask = askingFrom(String(session.localUri), path);
  flow.say(ask('SEND', ['Message-ID: bindbind', 'Byte-Range: 1-0/0'], undefined));
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

t.test(
  'RFC 4975 §5.4: a chunk of a message whose beginning went elsewhere is refused, and the whole is taken',
  async (t) => {
    const rig = new Rig();
    const [first, second] = [bindSession(rig), bindSession(rig)];
    first.flow.say(first.ask('SEND', chunk('1-*/10'), 'hello', 'first', '+'));
    second.flow.say(second.ask('SEND', chunk('6-*/10'), 'wor', 'second', '+'));
    second.flow.say(second.ask('SEND', chunk('9-10/10'), 'ld', 'third', '$'));
    second.flow.say(second.ask('SEND', chunk('1-10/10'), 'helloworld', 'fourth', '$'));
    rig.settle();
    const no = '400 nothing that precedes this chunk came here: send the whole message';
    t.same(
      framesOf(second.flow.read()).map(({ id, what }) => [id, what]),
      [
        ['second', no],
        ['third', no],
        ['fourth', '200 OK'],
      ],
    );
    t.same(second.told.texts, ['helloworld']);
  },
);

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
