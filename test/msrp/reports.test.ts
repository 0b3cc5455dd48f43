/** Responses and REPORTs, both ways, and what becomes of a message. */
import t from 'tap';
import { parseMsrpPath, type StreamSource } from '../../msrp/index.ts';
import {
  PEER,
  Rig,
  answerTo,
  askingFrom,
  bindSession,
  expectSession,
  framesOf,
  utf8,
  TEXT,
  plain,
  never,
} from './rig.ts';

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
    t.equal(told.outcomes.length, outcome.kind === 'refused' ? 1 : 0, 'who has not refused it gets its end first');
    rig.settle();
    t.same(told.outcomes, [{ message: stream, outcome }]);
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
