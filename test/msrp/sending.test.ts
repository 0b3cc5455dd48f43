/** What goes out: heads, ids, chunks, turns. */
import t from 'tap';
import { parseMsrpPath, prepare, type MsrpSession, type StreamSource } from '../../msrp/index.ts';
import {
  PEER,
  Rig,
  type TestFlow,
  answerTo,
  bindSession,
  bindTwo,
  framesOf,
  latin1,
  utf8,
  TEXT,
  plain,
} from './rig.ts';

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
  const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
  const after = (last: string): string =>
    `${last.slice(0, 5)}${ALPHABET.charAt(ALPHABET.indexOf(last.charAt(5)) + 1)}${last.slice(6)}`;
  let last = plain('').idPart;
  for (let more = 0; more < 500; more++) last = plain('').idPart;
  // Wherever the dashes stand.
  for (let before = 0; before < 9; before++) {
    while (/^.....[789]/.test(last)) last = plain('').idPart;
    t.match(last, /^AAAA/);
    const next = after(last);
    t.equal(plain('').idPart, next, 'foretold');
    const body = `${'x'.repeat(before)}\r\n-------12345678${after(next)}$\r\n`;
    last = plain(body).idPart;
    t.notOk(body.includes(last), `${before} octets before it`);
  }
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
    ['1-2048/2048', '1-*/2049', '1-0/0'],
  );
  t.equal(frames[1]?.body, 'y'.repeat(2049));
  for (const frame of frames) flow.say(answerTo(frame));
  t.same(
    told.outcomes.map(({ outcome }) => outcome.kind),
    ['delivered'],
  );
});

t.test('messages begin in the order in which they were queued, however large each is', async (t) => {
  const rig = new Rig();
  const { session, flow } = bindSession(rig);
  const sizes = [100, 8000, 3, 3000, 5000, ...Array.from({ length: 40 }, () => 1000), 2500, 7];
  const letters = sizes.map((_, i) => String.fromCharCode(0x41 + i));
  sizes.forEach((size, i) => session.send(plain((letters[i] ?? '').repeat(size))));
  rig.settle();
  const begun = framesOf(flow.read()).map(({ body }) => body?.[0] ?? '');
  t.same(begun, letters);
});

t.test('a stream that has nothing yet keeps nobody waiting', async (t) => {
  const rig = new Rig();
  const { session, flow } = bindSession(rig);
  const pieces: (Uint8Array | 'later' | 'end')[] = ['later', utf8('file'), 'end'];
  const stream = session.stream({ contentType: 'a/b' }, { pull: () => pieces.shift() ?? 'end' });
  if (typeof stream === 'string') throw new Error(stream);
  session.send(plain('said meanwhile'));
  rig.settle();
  stream.wake();
  session.send(plain('said behind it'));
  rig.settle();
  t.same(
    framesOf(flow.read()).map(({ body }) => body),
    ['said meanwhile', 'file', 'said behind it'],
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
  const isIt = (id: string): boolean => id === file.messageId;
  t.equal(session.isInPieces(isIt), true, 'another under the same id would come between its pieces');
  flow.say(ask('SEND', TEXT, 'hello', 'question'));
  session.send(plain('a chat line'));
  flow.drain();
  rig.settle();
  const frames = framesOf(begun + flow.read());
  t.same(frames.map(({ what, flag }) => what + flag).slice(0, 3), ['SEND+', '200 OK$', 'SEND$']);
  t.equal(frames[2]?.body, 'a chat line');
  t.same([session.isInPieces(isIt), session.waits(isIt)], [false, true], 'all of it has gone out');
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
  const { first, second } = bindTwo(rig);
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
  const { first, second } = bindTwo(rig);
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
  t.same(kinds.slice(0, 5), ['200 OK', 'REPORT', 'one$', 'fff+', 'two$']);
  t.ok(kinds.length > 7 && kinds.slice(5, -1).every((kind) => kind === 'fff+') && kinds.at(-1) === 'fff$');
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
