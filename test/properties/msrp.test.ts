import fc from '../fast-check.ts';
import t from 'tap';
import { Assembler, newMessageId, prepare, type MessageOpening, type StreamSource } from '../../msrp/index.ts';
import { type MsrpError } from '../../msrp/errors.ts';
import { Framer, type FrameHandlers } from '../../msrp/framer.ts';
import { DEFAULT_LIMITS } from '../../msrp/limits.ts';
import type { Head } from '../../msrp/message.ts';
import { PEER, Rig, answerTo, askingFrom, bindSession, expectSession, framesOf, latin1, utf8 } from '../msrp/rig.ts';

interface Seen {
  readonly head: Head;
  readonly body: string | undefined;
  readonly flag: string;
}

/** A framer, and the frames it found, whether whole or in pieces. */
function listening(limits = DEFAULT_LIMITS) {
  const seen: Seen[] = [];
  const faults: MsrpError[] = [];
  let open: { head: Head; body: string } | undefined;
  const handlers: FrameHandlers = {
    request: (head, body, flag) => seen.push({ head, body: body && latin1(body), flag }),
    response: (head) => seen.push({ head, body: undefined, flag: '$' }),
    begin: (head) => (open = { head, body: '' }),
    piece: (bytes) => {
      if (open === undefined) throw new Error('a piece of nothing');
      open.body += latin1(bytes);
    },
    end: (flag) => {
      if (open === undefined) throw new Error('an end of nothing');
      seen.push({ ...open, flag });
      open = undefined;
    },
    expected: () => 0,
    unreadable: (fault) => faults.push(fault),
    broken: (fault) => faults.push(fault),
  };
  return { framer: new Framer(limits, handlers), seen, faults };
}

const flag = fc.constantFrom('$', '+', '#');
/** Bodies that look as much like end-lines and heads as they may. */
const body = fc
  .array(
    fc.oneof(
      { weight: 3, arbitrary: fc.string({ maxLength: 40, unit: 'binary-ascii' }) },
      fc.constantFrom(
        '\r\n',
        '\r',
        '\n',
        '-------',
        '\r\n-------',
        '\r\n-------tid',
        '\0',
        'MSRP ',
        '\r\n\r\n',
        '\xff\xfe',
      ),
      fc.constantFrom('x'.repeat(300), '-'.repeat(100)),
    ),
    { maxLength: 12 },
  )
  .map((parts) => parts.join(''));
const frame = fc
  .record({
    id: fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9.\-+%=]{3,31}$/),
    body: fc.option(body, { nil: undefined }),
    flag,
  })
  .filter(({ id, body }) => body?.includes(`-------${id}`) !== true)
  .map(({ id, body, flag }) => {
    const fields =
      body === undefined ? ['Message-ID: abcd'] : ['Message-ID: abcd', 'X-More: grün', 'Content-Type: a/b'];
    const head = `MSRP ${id} SEND\r\nTo-Path: ${PEER}\r\nFrom-Path: ${PEER}\r\n${fields.join('\r\n')}\r\n`;
    const text = `${Buffer.from(head).toString('latin1')}${body === undefined ? '' : `\r\n${body}\r\n`}-------${id}${flag}\r\n`;
    return { text, id, body, flag };
  });

function cutUp(bytes: Uint8Array, cuts: readonly number[]): Uint8Array[] {
  const places = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b);
  return [...places, bytes.length].map((end, i) => bytes.subarray(places[i - 1] ?? 0, end));
}

t.test('RFC 4975 §7.1: any cut of the octets gives the same frames', async (t) => {
  fc.assert(
    fc.property(
      fc.array(frame, { minLength: 1, maxLength: 5 }),
      fc.array(fc.nat(), { maxLength: 20 }),
      fc.constantFrom(8, 100, 65_536),
      (frames, cuts, wholeBodyBytes) => {
        const { framer, seen, faults } = listening({ ...DEFAULT_LIMITS, wholeBodyBytes });
        const bytes = Buffer.from(frames.map(({ text }) => text).join(''), 'latin1');
        // Each piece in memory of its own that is overwritten afterwards: nothing may be kept of it.
        for (const piece of cutUp(bytes, cuts)) {
          const copy = Buffer.from(piece);
          framer.receive(copy);
          copy.fill(0x58);
        }
        const found = seen.map(({ head, body, flag }) => ({ id: head.transactionId, body, flag }));
        const sent = frames.map(({ id, body, flag }) => ({ id, body, flag }));
        if (faults.length > 0) throw faults[0] ?? new Error();
        if (JSON.stringify(found) !== JSON.stringify(sent))
          throw new Error(`${JSON.stringify(found)} is not what was sent`);
        if (framer.heldBytes !== 0) throw new Error('octets left over');
      },
    ),
    { numRuns: 1500 },
  );
  t.pass();
});

t.test('RFC 4975 §7.1: one octet at a time', async (t) => {
  const { framer, seen } = listening({ ...DEFAULT_LIMITS, wholeBodyBytes: 10 });
  const text = askingFrom(PEER)(
    'SEND',
    ['Message-ID: abcd', 'Content-Type: text/plain'],
    'a\r\n-------peer\r\nb',
    'peerpeer',
  );
  for (const octet of Buffer.from(text.repeat(3))) framer.receive(Buffer.of(octet));
  t.same(
    seen.map(({ body }) => body),
    new Array(3).fill('a\r\n-------peer\r\nb'),
  );
});

/** Noise of every kind: random octets, mutilated frames, endless heads. */
const noise = fc.oneof(
  fc.uint8Array({ maxLength: 300 }).map((bytes) => latin1(bytes)),
  fc.string({ maxLength: 200 }).map((text) => `MSRP ${text}`),
  fc
    .tuple(frame, fc.array(fc.tuple(fc.nat(), fc.nat(255), fc.nat(2)), { minLength: 1, maxLength: 6 }))
    .map(([{ text }, changes]) => {
      let octets = [...Buffer.from(text, 'latin1')];
      for (const [place, octet, how] of changes) {
        const at = place % (octets.length + 1);
        if (how === 0) octets[at] = octet;
        else octets = how === 1 ? octets.toSpliced(at, 1) : octets.toSpliced(at, 0, octet);
      }
      return latin1(Uint8Array.from(octets));
    }),
  fc
    .tuple(
      fc.constantFrom('SEND', 'REPORT', 'NICKNAME', 'AUTH', 'FILE_OFFSET', '200 OK', '999', '413 no'),
      fc.array(
        fc.constantFrom(
          ...[
            'Message-ID: abcd',
            'Message-ID: !',
            'Byte-Range: 1-*/*',
            'Byte-Range: 9999999999-*/*',
            'Byte-Range: 0-1/1',
          ],
          ...['Status: 000 200 OK', 'Status: 1', 'Failure-Report: no', 'Failure-Report: maybe', 'Success-Report: yes'],
          ...[
            'Use-Nickname: "x"',
            'Use-Nickname: x',
            'Content-Type: text/plain',
            'X: \xe9',
            ': x',
            'Content-Type: a/b',
          ],
        ),
      ),
      flag,
      fc.option(fc.string({ maxLength: 50 }), { nil: undefined }),
    )
    .map(([method, fields, flag, body]) => askingFrom('%TO%')(method, fields, body, undefined, flag)),
);

t.test('no input throws out of a connection: frames or a protocol error, and nothing else', async (t) => {
  let inputs = 0;
  fc.assert(
    fc.property(fc.array(fc.tuple(noise, fc.nat()), { minLength: 40, maxLength: 60 }), (all) => {
      const rig = new Rig();
      let { session, flow, told } = bindSession(rig);
      for (const [text, cut] of all) {
        inputs++;
        const bytes = Buffer.from(text.replaceAll('%TO%', String(session.localUri)), 'latin1');
        for (const piece of cutUp(bytes, [cut])) flow.say(piece);
        rig.settle();
        if (session.state === 'closed') {
          if (flow.state === 'open') throw new Error('a session closed on an open connection');
          ({ session, flow, told } = bindSession(rig));
        }
      }
      if (told.messages.some(({ body }) => body.length > 65_536)) throw new Error('larger than what was sent');
      rig.endpoint.close();
    }),
    { numRuns: 2200 },
  );
  t.ok(inputs >= 100_000, `${inputs} inputs`);
});

const opening: MessageOpening = {
  messageId: newMessageId(),
  contentType: 'text/plain',
  total: undefined,
  successReport: false,
  failureReport: 'yes',
  headers: [],
};

t.test('RFC 4975 §7.3.1: chunks in any order, with overlap, give the message', async (t) => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 1, maxLength: 400 }),
      fc.array(fc.nat(), { maxLength: 8 }),
      fc.array(fc.nat(), { minLength: 10, maxLength: 10 }),
      fc.array(fc.tuple(fc.nat(), fc.nat()), { maxLength: 4 }),
      (message, cuts, order, overlaps) => {
        const assembler = new Assembler();
        const pieces = cutUp(message, cuts).filter(({ length }) => length > 0);
        let chunks = pieces.map((piece) => [piece.byteOffset - message.byteOffset, piece.length] as const);
        for (const [from, length] of overlaps) {
          const start = from % message.length;
          chunks.push([start, Math.min(length, message.length - start)]);
        }
        chunks = chunks
          .map((chunk, i) => ({ chunk, rank: (order[i % order.length] ?? 0) + i / 100 }))
          .sort((a, b) => a.rank - b.rank)
          .map(({ chunk }) => chunk);
        let complete: Uint8Array | undefined;
        for (const [start, length] of chunks) {
          if (complete !== undefined) break;
          const chunk = assembler.begin(opening, start + 1, 0, () => 'collect');
          const octets = message.subarray(start, start + length);
          chunk.write(octets.subarray(0, length >> 1));
          chunk.write(octets.subarray(length >> 1));
          const result = chunk.end(start + length === message.length && length > 0 ? '$' : '+');
          if (result.kind === 'complete') complete = result.body;
          else if (result.kind !== 'taken') throw new Error(result.kind);
        }
        if (complete === undefined || Buffer.compare(complete, message) !== 0) throw new Error('not the message');
        if (assembler.openMessages !== 0) throw new Error('still open');
      },
    ),
    { numRuns: 1500 },
  );
  t.pass();
});

t.test(
  'RFC 4975 §7.1.1: what an endpoint sends in chunks, another puts together; an outbox keeps its bound',
  async (t) => {
    const kinds = fc.record({
      size: fc.oneof(fc.nat(3000), fc.nat(400_000)),
      streamed: fc.boolean(),
      step: fc.integer({ min: 1, max: 100_000 }),
    });
    fc.assert(
      fc.property(
        fc.array(kinds, { minLength: 1, maxLength: 6 }),
        fc.boolean(),
        fc.boolean(),
        (messages, chunks, web) => {
          const rig = new Rig();
          const { session, told, flow } = bindSession(
            rig,
            { maxQueuedBytes: 600_000, chunks },
            { framing: web ? 'message' : 'stream' },
          );
          const other = new Rig();
          const sent: string[] = [];
          for (const [i, { size, streamed, step }] of messages.entries()) {
            const body = Buffer.alloc(size, `${i}-------MSRP\r\n`);
            const options = { contentType: 'a/b', outcomes: 'all' } as const;
            const before = session.queuedBytes;
            const answer = streamed
              ? session.stream(options, inSteps(body, step))
              : session.send(prepare({ ...options, body }));
            if (answer !== 'full') sent.push(latin1(body));
            else if (before + size < 400_000) throw new Error('full too early');
            if (session.queuedBytes > 600_000) throw new Error('beyond its bound');
          }
          // The peer's side: an endpoint of ours, to whose session the same octets are given.
          const peer = expectSession(other);
          const line = other.accept();
          for (let rounds = 0; rounds < 1000; rounds++) {
            rig.settle();
            const written = flow.read();
            if (written === '') break;
            for (const frame of framesOf(written)) flow.say(answerTo(frame));
            line.say(
              written
                .replaceAll(`To-Path: ${PEER}`, `To-Path: ${String(peer.session.localUri)}`)
                .replaceAll(`From-Path: ${String(session.localUri)}`, `From-Path: ${PEER}`),
            );
            other.settle();
          }
          if (JSON.stringify(peer.told.texts.toSorted()) !== JSON.stringify(sent.toSorted()))
            throw new Error('not what was sent');
          const delivered = told.outcomes.filter(({ outcome }) => outcome.kind === 'delivered');
          if (delivered.length !== sent.length) throw new Error(`${delivered.length} of ${sent.length} delivered`);
          if (session.queuedBytes !== 0) throw new Error('something left');
        },
      ),
      // What goes whole waits with its head and its end-line, which count.
      { numRuns: 120, examples: [[[338155, 2853, 751, 257963, 69].map(whole), false, false]] },
    );
    t.pass();
  },
);

const whole = (size: number): { size: number; streamed: boolean; step: number } => ({ size, streamed: false, step: 1 });

function inSteps(body: Uint8Array, step: number): StreamSource {
  let at = 0;
  return {
    pull(max) {
      if (at >= body.length) return 'end';
      const piece = body.subarray(at, at + Math.min(step, max));
      at += piece.length;
      return piece;
    },
  };
}

t.test('RFC 4975 §7.1: no end-line of ours stands in a body of ours', async (t) => {
  const rig = new Rig();
  const { session, flow } = bindSession(rig);
  // A source that repeats the very transaction id it is sent under.
  let pulls = 0;
  let id = '';
  const source: StreamSource = {
    pull() {
      pulls++;
      if (pulls === 1) return utf8('x'.repeat(5000));
      if (pulls === 2) return 'later';
      return pulls < 5 ? utf8(`..\r\n-------${id}$\r\n..`) : 'end';
    },
  };
  const stream = session.stream({ contentType: 'a/b' }, source);
  rig.settle();
  const begun = flow.read();
  id = /^MSRP (\S+)/.exec(begun)?.[1] ?? '';
  if (typeof stream !== 'string') stream.wake();
  rig.settle();
  const frames = framesOf(begun + flow.read());
  t.equal(frames.map(({ body }) => body).join(''), `${'x'.repeat(5000)}${`..\r\n-------${id}$\r\n..`.repeat(2)}`);
  t.same(
    frames.map(({ flag }) => flag),
    ['+', '$'],
  );
});

t.test('RFC 4975 §7.1: an end-line of ours is found across pieces and turns', async (t) => {
  for (let cut = 1; cut < 26; cut++) {
    const rig = new Rig();
    const { session, flow } = bindSession(rig);
    let id = '';
    const lookAlike = (): string => `\r\n-------${id}$\r\n`;
    const pieces = [
      () => 'x'.repeat(5000),
      () => lookAlike().slice(0, cut),
      () => lookAlike().slice(cut),
      () => 'y'.repeat(70_000),
      () => lookAlike(),
    ];
    let given = 0;
    let awake = false;
    const source: StreamSource = {
      pull() {
        if (given > 0 && !awake) return 'later';
        awake = false;
        return given === pieces.length ? 'end' : utf8(pieces[given++]?.() ?? '');
      },
    };
    const stream = session.stream({ contentType: 'a/b' }, source);
    let written = '';
    for (let turn = 0; turn < 10; turn++) {
      rig.settle();
      written += flow.read();
      id = [...written.matchAll(/MSRP (\S+) SEND/g)].at(-1)?.[1] ?? '';
      awake = true;
      if (typeof stream !== 'string') stream.wake();
    }
    // What stood in the open chunk when it was made is what was looked for.
    const body = framesOf(written)
      .map(({ body }) => body)
      .join('');
    if (body.length !== 5000 + 70_000 + 2 * 28) t.fail(`cut at ${cut}: ${body.length}`);
  }
  t.pass();
});

t.test('what is searched in a head that cannot be read takes linear time', async (t) => {
  // Each of these took seconds when blanks could be matched in two ways; the test's own time limit tells.
  for (const field of ['To-Path', 'From-Path', 'Failure-Report', 'X']) {
    for (const filling of [' ', '\t', 'To-Path: ', '-']) {
      const { framer, faults } = listening();
      const head = `MSRP abcdefgh SEND\r\n${field}:${filling.repeat(15_000 / filling.length)}\0\r\n`;
      framer.receive(Buffer.from(`${head}-------abcdefgh$\r\n`, 'latin1'));
      t.equal(faults.length, 1);
    }
  }
});
