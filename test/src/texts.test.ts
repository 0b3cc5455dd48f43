import { mock } from 'node:test';
import t from 'tap';
import { formatCpim, parseCpim } from '../../msrp/index.ts';
import { type Content, createRequest, createResponse, type Outcome, parseNameAddr, parseUri } from '../../sip/index.ts';
import { Copy } from '../../src/chat/copy.ts';
import type { Failure } from '../../src/chat/fates.ts';
import { plainTextOf } from '../../src/chat/plain-text.ts';
import { Conference } from '../../src/conference/conference.ts';
import type { Said } from '../../src/conference/events.ts';
import { endpointId, eventNumber, messageId, roomUri, type UserUri, userUri } from '../../src/conference/ids.ts';
import { RateLimiter } from '../../src/policy/rate.ts';
import { AutoReplies, type AutoReplyLimits } from '../../src/chat/auto-replies.ts';
import { Echoes } from '../../src/chat/echoes.ts';
import { LoopGuard } from '../../src/focus/loop-guard.ts';
import { Turns } from '../../src/focus/turns.ts';
import { DEFAULT_TEXT_LIMITS, type TextLimits, TextOut } from '../../src/focus/text-out.ts';

const ROOM = roomUri('sip:lobby@example.com');
const ZOE = userUri('sip:zoe@example.com');

function said(content: string | Uint8Array, contentType = 'text/plain', more: Partial<Said> = {}): Said {
  const cpim = formatCpim({ from: { name: 'Zoe', uri: ZOE }, to: [{ uri: ROOM }], contentType, content });
  const wrappedType = contentType.split(';')[0] ?? '';
  return {
    ...{ type: 'said', at: 0, by: ZOE, messageId: messageId('m1'), audience: { to: 'everyone' } },
    ...{ contentType: 'message/cpim', wrappedType, cpim },
    ...more,
  };
}

t.test('what was said, as plain text', (t) => {
  t.equal(plainTextOf(said('  hi\r\n'))?.text, 'hi');
  t.equal(plainTextOf(said(Buffer.from('gr\xfc\xdfe', 'latin1'), 'text/plain;charset=iso-8859-1'))?.text, 'grüße');
  t.equal(plainTextOf(said('<b>hi</b>', 'text/html'))?.text, 'hi');
  t.equal(plainTextOf(said('<img src="https://x.example/cat">', 'text/html'))?.text, '[text/html, 33 bytes]');
  t.equal(plainTextOf(said(Buffer.alloc(2048), 'image/png'))?.text, '[image/png, 2 KiB]');
  t.equal(plainTextOf(said('x', 'application/pdf'))?.text, '[application/pdf, 1 bytes]');
  t.equal(plainTextOf(said('<isComposing/>', 'application/im-iscomposing+xml')), undefined);
  t.equal(plainTextOf(said('<imdn/>', 'message/imdn+xml')), undefined);
  t.end();
});

t.test('loops: a telephone that gives back what it is sent', (t) => {
  const guard = new LoopGuard({ memory: 1000, texts: 2 });
  guard.sent('zoe: hello', 0);
  t.equal(guard.givesBack('lobby: zoe: hello ', 10), true);
  t.equal(guard.givesBack('hello', 10), false, 'a person says hello, too');
  t.equal(guard.givesBack('lobby: zoe: hello', 2000), false, 'forgotten');
  for (const text of ['zoe: one', 'zoe: two', 'zoe: three']) guard.sent(text, 3000);
  t.equal(guard.givesBack('zoe: one', 3001), false, 'no more than two are kept');
  const long = `zoe: ${'x'.repeat(2_000)} 😀 ${'y'.repeat(1_022)}`;
  guard.sent(long, 3002);
  t.equal(guard.givesBack(`lobby: ${long}`, 3003), true, 'a long one is known again by its end');
  t.equal(guard.givesBack(`${long} indeed`, 3003), false);
  t.equal(guard.givesBack('y'.repeat(1_022), 3003), false);
  t.end();
});

t.test('loops: what comes back through one endpoint again and again', (t) => {
  const [one, other] = [endpointId('one'), endpointId('other')];
  const echoes = new Echoes();
  const back = (texts: readonly string[]): string[] =>
    texts.map((text, at) => {
      echoes.judge(one, text, 0, at);
      return echoes.judge(other, `zoe: ${text}`, 0, at);
    });
  t.same(back(['where do we meet', 'at the old bridge', 'see you there then']), ['echo', 'first', 'again']);
  const friend = endpointId('friend');
  const agrees = ['thank you', 'ok', 'good night', 'bye'];
  for (const text of agrees) {
    echoes.judge(one, text, 0, 10_000);
    t.equal(echoes.judge(friend, text, 0, 10_500), 'fine', `${text}: people say it together`);
  }
  echoes.judge(one, 'ok', 0, 11_000);
  t.equal(echoes.judge(friend, 'ok', 0, 11_500), 'first', 'but not for ever');
  const before = ['where do we meet', 'at the old bridge', 'see you there then'];
  const again = (came: number): string[] => {
    const room = new Echoes();
    for (const text of before) room.judge(one, text, 0, 1_000);
    return before.map((text) => room.judge(other, text, 0, 1_002, came));
  };
  t.same(again(1_001), ['fine', 'fine', 'fine'], 'what was said before it came');
  t.same(again(1_000), ['echo', 'first', 'again']);
  t.end();
});

t.test(
  'loops: who says the same as others gives nothing back that has not reached him, nor while he lets others speak',
  (t) => {
    const endpoints = Array.from({ length: 20 }, (_, i) => endpointId(`e${String(i)}`));
    for (const underWay of [0, 40]) {
      const echoes = new Echoes();
      const verdicts = new Set<string>();
      for (let i = 0; i < 200; i++) {
        for (const endpoint of endpoints) verdicts.add(echoes.judge(endpoint, 'host is up, load is low', underWay, i));
      }
      t.notOk(verdicts.has('first'), `${String(underWay)} under way to each`);
    }
    t.end();
  },
);

/** A room in which machines answer; its clock is the test's. */
class Machines {
  readonly guard: AutoReplies;
  readonly said: string[] = [];
  readonly refused: string[] = [];
  now = 0;
  readonly #rate: RateLimiter;
  readonly #answers = new Map<string, (text: string) => string | undefined>();
  #due: { readonly at: number; readonly by: string; readonly text: string }[] = [];

  /** @param perSecond how much each may say, as a room has it */
  constructor(limits: Partial<AutoReplyLimits> = {}, perSecond = 1e6) {
    this.#rate = new RateLimiter({ perSecond, burst: perSecond });
    this.guard = new AutoReplies(limits);
  }

  /** Somebody who answers each text after so long. */
  add(name: string, answer: (text: string) => string | undefined, after = 100): void {
    this.#answers.set(name, (text) => {
      const reply = answer(text);
      if (reply !== undefined) this.#due.push({ at: this.now + after, by: name, text: reply });
      return reply;
    });
  }

  says(by: string, text: string, to?: string): 'fine' | 'first' | 'again' {
    const user = (name: string): UserUri => userUri(`sip:${name}@example.com`);
    const addressee = to === undefined ? undefined : user(to);
    const refused = this.#rate.take(by, this.now) > 0;
    const utterance = { source: by, user: user(by), to: addressee, text, underWay: 0, refused, now: this.now };
    const verdict = this.guard.judge(utterance);
    const isSaid = verdict === 'fine' && !refused;
    (isSaid ? this.said : this.refused).push(`${by}: ${text}`);
    if (isSaid) for (const [name, hear] of this.#answers) if (name !== by && (to ?? name) === name) hear(text);
    return verdict;
  }

  /** Lets time pass until nobody has anything to say, or so many texts were said. */
  run(most = 1000): void {
    while (this.#due.length > 0 && this.said.length < most) {
      this.#due.sort((a, b) => a.at - b.at);
      const next = this.#due.shift();
      if (next === undefined) return;
      this.now = Math.max(this.now, next.at);
      this.says(next.by, next.text);
    }
  }

  passes(ms: number): void {
    this.now += ms;
  }
}

t.test('loops: machines that answer to everything stop within ten texts', (t) => {
  let n = 0;
  const kinds: Readonly<Record<string, (text: string) => string>> = {
    'the same text': () => 'I am away',
    'a time': () => `I am away, it is 2026-11-29T14:00:${String(10 + (n += 1))}Z`,
    'a counter': () => `You are caller number ${String((n += 1))}`,
    'an id': () => `Message ${(n += 1).toString(16)}f-a1b2c3-${String(n)} could not be delivered`,
    'what was said': (text) => `Your message "${text.slice(0, 20)}" could not be delivered to carol@example.org`,
    'one word': () => 'pong',
  };
  for (const [kind, answer] of Object.entries(kinds)) {
    const room = new Machines();
    room.add('one', answer);
    room.add('two', () => 'We are closed until Monday');
    room.says('zoe', 'anybody there?');
    room.run();
    t.ok(room.said.length <= 10, `${kind}: ${String(room.said.length)} texts`);
    t.ok(room.refused.length <= 3);
  }
  for (const after of [0, 1, 100, 800]) {
    const three = new Machines();
    for (const name of ['m1', 'm2', 'm3']) three.add(name, () => `${name} is not here at the moment`, after);
    three.says('zoe', 'hello');
    three.run();
    t.ok(three.said.length <= 10, `three machines that answer after ${String(after)} ms: ${String(three.said.length)}`);
  }
  for (const perSecond of [1, 10, 1e6]) {
    const busy = new Machines({}, perSecond);
    for (const name of ['m1', 'm2', 'm3', 'm4']) busy.add(name, () => `${name} is not here at the moment`);
    busy.says('zoe', 'hello');
    busy.run(10_000);
    t.ok(busy.said.length <= 10, `four machines at once: ${String(busy.said.length)} texts`);
  }
  t.end();
});

t.test('loops: a machine that answers to people is silent after a while, and may speak again', (t) => {
  const room = new Machines();
  room.add('away', () => 'I am away until 14:00', 800);
  for (let i = 0; i < 9; i++) {
    room.says('zoe', `${'abcdefghi'.charAt(i).repeat(20)} says a person`);
    room.run();
    room.passes(20_000);
  }
  t.equal(room.said.filter((text) => text.startsWith('away')).length, 4);
  t.equal(room.refused.length, 5);
  t.equal(room.says('away', 'I am back again'), 'fine', 'something else is said at once');
  t.equal(room.says('away', 'I am away until 16:00'), 'fine', 'and then the same again');

  const aside = new Machines();
  const texts: string[] = [];
  for (let i = 0; i < 20; i++) {
    const [by, to] = i % 2 === 0 ? ['one', 'two'] : ['two', 'one'];
    aside.passes(50);
    texts.push(aside.says(by, 'this is an answer by itself', to));
  }
  t.ok(texts.indexOf('first') <= 10, 'in private, too');
  t.end();
});

t.test('loops: people are not machines', (t) => {
  const room = (): Machines => new Machines();
  const dictation = room();
  for (let digit = 0; digit < 30; digit++) {
    dictation.says('zoe', String(digit));
    dictation.passes(1_200 + (digit % 5) * 300);
    dictation.says('tom', 'ok');
    dictation.passes(900);
  }
  t.same(dictation.refused, [], 'ok to each digit');
  const hurry = room();
  hurry.says('zoe', 'are you all sure?');
  for (let i = 0; i < 30; i++) hurry.says('tom', 'ok');
  t.same(hurry.refused, [], 'ok in a hurry');
  const crowd = room();
  for (let i = 0; i < 300; i++) {
    crowd.passes(100);
    crowd.says(`u${String(i % 20)}`, `something about ${String(i)}`);
    if (i % 5 === 0) crowd.says('tom', 'ok');
  }
  t.same(crowd.refused, [], 'ok in a crowd');
  const paste = room();
  for (let i = 0; i < 20; i++) paste.says('zoe', `listen to ${'x'.repeat(i)}`);
  for (let i = 0; i < 50; i++) paste.says('tom', `GET /images/picture-${String(i)}.png 200`);
  t.same(paste.refused, [], 'lines pasted at once, all alike');
  const comments = room();
  for (let i = 0; i < 50; i++) {
    comments.passes(400);
    comments.says('tom', `GET /images/picture-${String(i)}.png 200`);
    if (i % 3 === 0) comments.says('zoe', `I see ${'no '.repeat(i)}`);
  }
  t.same(comments.refused, [], 'lines pasted one by one, with comments of others between');
  const programs = room();
  for (let i = 0; i < 1000; i++) {
    programs.passes(1);
    programs.says(`u${String(i % 10)}`, `this is report number ${String(i)}`);
  }
  const report = (source: string, number: number, underWay: number) => ({
    source,
    user: userUri(`sip:${source}@x.com`),
    to: undefined,
    text: `report number ${String(number)}`,
    underWay,
    now: 1,
  });
  const stalled = new AutoReplies();
  const verdicts = new Set<string>();
  for (let i = 0; i < 40; i++) {
    // As on a machine that has stood still: they all go on at once, and nobody has read yet what the others say.
    const now = i === 0 ? 0 : 5_000 + 20 * i;
    for (let by = 0; by < 20; by++) verdicts.add(stalled.judge({ ...report(`u${String(by)}`, i, 64), now }));
  }
  t.same([...verdicts], ['fine'], 'twenty that report after a standstill what has not reached each other');
  t.same(programs.refused, [], 'ten programs that report much the same, a thousand times a second');
  const greeter = room();
  for (let i = 0; i < 20; i++) {
    greeter.says(`new${String(i)}`, 'hi all');
    greeter.passes(6_000);
    greeter.says('tom', 'Welcome, please read the topic first');
    greeter.passes(6_000);
  }
  t.same(greeter.refused, [], 'who greets everybody with the same words, but not in a flash');
  const lively = room();
  for (let i = 0; i < 50; i++) {
    for (let other = 0; other < 2; other++) lively.says('zoe', `and then ${String(i)} ${String(other)}`);
    lively.passes(2000);
    lively.says('tom', 'this is so funny, go on');
  }
  t.same(lively.refused, [], 'who does not answer each text');
  t.end();
});

/** A way out to one peer, whose answers the test gives. */
function newWay(
  form: 'cpim' | 'plain' = 'plain',
  limits: Partial<TextLimits> = {},
  space = Infinity,
  turns = new Turns(1000),
) {
  const conference = new Conference();
  const failures: (readonly [number, Failure])[] = [];
  const room = {
    uri: ROOM,
    conference,
    present: { speaksForMany: () => false },
    fates: { failed: (n: number, _endpoint: unknown, failure: Failure) => failures.push([n, failure]) },
    streams: { noteTold: () => undefined },
  };
  const sent: Content[] = [];
  let answer: ((outcome: Outcome) => void) | undefined;
  const flow = { queued: 0 };
  const lines: string[] = [];
  const out = new TextOut({
    endpoint: endpointId('e1'),
    user: userUri('sip:tom@example.com'),
    room,
    roomUri: ROOM,
    form,
    takesPrivate: () => true,
    space: () => space,
    flowQueued: () => flow.queued,
    send: (content, done) => {
      sent.push(content);
      answer = done;
    },
    onSent: () => undefined,
    turns,
    limits: { ...DEFAULT_TEXT_LIMITS, ...limits },
    info: (line) => lines.push(line),
    over: () => undefined,
  });
  const request = createRequest({
    ...{ method: 'MESSAGE', uri: parseUri('sip:tom@h'), from: parseNameAddr('<sip:a@b>;tag=1') },
    ...{ to: parseNameAddr('<sip:tom@h>;tag=2'), callId: 'c', seq: 1 },
  });
  return {
    out,
    flow,
    sent,
    failures,
    lines,
    texts: () => sent.map(({ body }) => Buffer.from(body ?? '').toString()),
    say: (text: string, n = sent.length + 1) => {
      out.deliver(new Copy(said(text), eventNumber(n)));
    },
    answers: (status: number, ...headers: { name: string; value: string }[]) => {
      const done = answer;
      answer = undefined;
      done?.({ is: 'response', response: createResponse(request, status, { headers }) });
    },
    fails: () => {
      const done = answer;
      answer = undefined;
      done?.({ is: 'failed', status: 408, reason: 'timeout' });
    },
  };
}

t.test('RFC 3428 §8: one MESSAGE at a time, in order', (t) => {
  const way = newWay();
  for (const text of ['one', 'two', 'three']) way.say(text);
  t.same(way.texts(), ['zoe: one']);
  t.ok(way.out.backlog > 0);
  way.answers(202);
  way.answers(200);
  t.same(way.texts(), ['zoe: one', 'zoe: two', 'zoe: three']);
  way.answers(200);
  t.equal(way.out.backlog, 0);
  t.end();
});

t.test('what waits for one peer is bounded: the oldest is left out, and the peer is told', (t) => {
  const way = newWay('plain', { waiting: 3 });
  for (let i = 1; i <= 6; i++) way.say(`text ${String(i)}`, i);
  t.same(
    way.failures,
    [2, 3, 4].map((n) => [n, { is: 'congested' }]),
  );
  t.equal(way.out.waits(eventNumber(5)), true);
  t.equal(way.out.waits(eventNumber(4)), false);
  way.answers(200);
  way.answers(200);
  way.answers(200);
  t.same(way.texts(), ['zoe: text 1', '[3 messages were left out]\nzoe: text 5', 'zoe: text 6']);
  t.same(way.lines, [
    'sip:tom@example.com takes texts too slowly: the oldest are left out',
    'sip:tom@example.com has caught up: 3 texts were left out',
  ]);
  const large = newWay('plain', { waitingBytes: 3000 });
  for (let i = 1; i <= 4; i++) large.say('x'.repeat(1200), i);
  t.same(
    large.failures.map(([n]) => n),
    [2, 3],
    'in octets, too',
  );
  t.end();
});

t.test('a peer that is busy is asked again, when it says or later and later; then the text is lost', (t) => {
  mock.timers.enable({ apis: ['setTimeout'] });
  t.teardown(() => {
    mock.timers.reset();
  });
  const way = newWay('plain', { tries: 3, pause: 100, losses: 2 });
  way.say('one', 1);
  way.say('two', 2);
  way.answers(503, { name: 'Retry-After', value: '7 (busy)' });
  mock.timers.tick(6999);
  t.equal(way.sent.length, 1);
  mock.timers.tick(1);
  t.equal(way.sent.length, 2);
  way.fails();
  mock.timers.tick(200);
  way.fails();
  t.same(way.failures, [[1, { is: 'unanswered' }]]);
  t.equal(way.texts().at(-1), '[One message was left out]\nzoe: two');
  way.answers(488);
  t.same(way.failures.at(-1), [2, { is: 'refused', detail: '488' }]);
  t.equal(way.out.open, false, 'two in a row');
  t.match(way.lines.at(-1), /gets no more texts/);
  way.say('three', 3);
  t.equal(way.sent.length, 4);
  t.end();
});

t.test('415 steps down from CPIM to plain text, at once and for good; what refuses all texts gets none', (t) => {
  const way = newWay('cpim');
  way.say('one');
  t.equal(way.sent[0]?.contentType, 'message/cpim');
  const cpim = parseCpim(Buffer.from(way.sent[0]?.body ?? ''));
  t.match(cpim, { from: { name: 'zoe', uri: ZOE }, to: [{ uri: ROOM }], contentType: { mediaType: 'text/plain' } });
  way.answers(415);
  t.equal(way.sent[1]?.contentType, 'text/plain;charset=utf-8');
  way.answers(200);
  way.say('two');
  t.equal(way.texts()[2], 'zoe: two');
  way.say('three', 9);
  way.answers(501);
  t.equal(way.out.open, false);
  t.same(way.failures, [
    [3, { is: 'refused', detail: '501' }],
    [9, { is: 'refused', detail: '501' }],
  ]);
  way.say('four', 10);
  t.same(way.failures.at(-1), [10, { is: 'refused', detail: '501' }], 'and so what is said later');
  t.notOk(way.out.resume(), 'it has said that it will never take one');
  t.end();
});

t.test(
  'who has lost several in a row gets texts again when he is heard from, and is told how many he has missed',
  (t) => {
    const way = newWay('plain', { losses: 2 });
    t.notOk(way.out.resume());
    for (let i = 1; i <= 4; i++) way.say(`text ${String(i)}`, i);
    way.answers(488);
    way.answers(488);
    way.say('text 5', 5);
    const refused = { is: 'refused', detail: '488' };
    t.same(way.failures, [...[1, 2].map((n) => [n, refused]), ...[3, 4, 5].map((n) => [n, { is: 'unanswered' }])]);
    t.equal(way.sent.length, 2);
    t.equal(way.out.resume(), true);
    t.equal(way.out.open, true);
    way.say('text 6', 6);
    t.equal(way.texts().at(-1), '[5 messages were left out]\nzoe: text 6');
    way.answers(488);
    t.equal(way.out.open, false, 'one loss is enough now');
    t.equal(way.out.resume(), true);
    way.say('text 7', 7);
    t.equal(way.texts().at(-1), '[6 messages were left out]\nzoe: text 7');
    way.answers(200);
    way.say('text 8', 8);
    way.answers(488);
    t.equal(way.out.open, true);
    t.equal(way.out.position, 2, 'what was not even sent to him he is sent when he calls again');
    t.match(way.lines.at(-2), /is heard from, and gets texts again: 6 texts were left out/);
    t.end();
  },
);

t.test('how far a peer has come: up to the first that it has not had, but for what it has refused', (t) => {
  const way = newWay('plain', { waiting: 2 });
  t.equal(way.out.position, undefined);
  way.say('one', 1);
  way.answers(200);
  way.say('two', 2);
  way.answers(488);
  way.say('three', 3);
  way.answers(200);
  t.equal(way.out.position, 3);
  for (const n of [4, 5, 6]) way.say('more', n);
  for (let i = 0; i < 2; i++) way.answers(200);
  t.equal(way.out.position, 4, '5 was left out');
  t.end();
});

t.test(
  'a text waits while its connection has enough to carry, which may be that of a proxy with many behind it',
  (t) => {
    mock.timers.enable({ apis: ['setTimeout'] });
    t.teardown(() => {
      mock.timers.reset();
    });
    const way = newWay('plain', { flowBacklog: 100, lookAgain: 20, waiting: 2 });
    way.flow.queued = 101;
    for (const [at, text] of ['one', 'two', 'three'].entries()) way.say(text, at + 1);
    t.same(way.texts(), [], 'neither sent nor lost');
    t.ok(way.out.open);
    mock.timers.tick(20);
    t.same(way.texts(), [], 'it is looked again');
    way.flow.queued = 100;
    mock.timers.tick(19);
    t.same(way.texts(), []);
    mock.timers.tick(1);
    t.same(way.texts(), ['[One message was left out]\nzoe: two'], 'within the same bounds as ever');
    way.flow.queued = 101;
    way.answers(200);
    way.out.close();
    t.same(way.failures, [
      [1, { is: 'congested' }],
      [3, { is: 'left' }],
    ]);
    t.end();
  },
);

t.test('RFC 3428 §8: a large text out of a call over UDP is cut, between characters, and says so', (t) => {
  const way = newWay('plain', { leastText: 10 }, 25);
  way.say('äöüäöüäöüä');
  t.same(way.texts(), ['zoe: äöüäöüäöüä'], 'it has just room, with the name');
  way.answers(200);
  way.say('äöüäöüäöüäö');
  t.same(way.texts().slice(1), ['zoe: äöüäöüä […]']);
  t.same(way.failures, []);
  way.answers(200);
  t.same(way.failures, [[2, { is: 'cut' }]], 'who asks is told so');
  t.equal(way.out.position, 2, 'it is not sent again');
  const rich = newWay('cpim', {}, 600);
  rich.say('x'.repeat(600));
  const [body = ''] = rich.texts();
  t.equal(Buffer.byteLength(body), 600, 'with the head of CPIM');
  t.match(body, /x \[…\]$/);
  const tight = newWay('plain', { leastText: 20 }, -100);
  tight.say('x'.repeat(30));
  t.same(tight.texts(), [`zoe: ${'x'.repeat(14)} […]`], 'something is said in any case');
  const roomy = newWay('plain', { largeText: 19 });
  roomy.say('äöüäöüäöüäöü');
  t.same(roomy.texts(), ['zoe: äöüäöü […]']);
  for (const [text, shown] of [
    ['x'.repeat(19), 'x'.repeat(19)],
    ['x'.repeat(20), `${'x'.repeat(13)} […]`],
    ['x'.repeat(12) + '😀😀', `${'x'.repeat(12)} […]`],
    ['x'.repeat(18) + '😀', `${'x'.repeat(13)} […]`],
  ] as const) {
    const way = newWay('plain', { largeText: 19 });
    way.say(text);
    t.same(way.texts(), [`zoe: ${shown}`], text);
  }
  t.end();
});

t.test(
  'a large text goes to some in each turn of the event loop, a small one to all at once, each in its order',
  async (t) => {
    const turns = new Turns(2);
    const ways = Array.from({ length: 5 }, () => newWay('plain', {}, Infinity, turns));
    const say = (text: string, n: number): void => {
      for (const { out } of ways) out.deliver(new Copy(said(text), eventNumber(n)));
    };
    const counts = (): readonly number[] => ways.map(({ sent }) => sent.length);
    const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
    say('small', 1);
    t.same(counts(), [1, 1, 1, 1, 1]);
    for (const { answers } of ways) answers(200);
    say('x'.repeat(9_000), 2);
    t.same(counts(), [2, 2, 1, 1, 1]);
    say('behind it', 3);
    ways[4]?.out.close();
    await turn();
    t.same(counts(), [2, 2, 2, 2, 1]);
    await turn();
    t.same(counts(), [2, 2, 2, 2, 1], 'nothing goes to who has left');
    t.same(
      ways[4]?.failures.map(([n]) => n),
      [2, 3],
      'and that is known',
    );
    for (const { answers } of ways) answers(200);
    t.same(
      ways.map(({ texts }) => texts().map((text) => text.slice(0, 14))),
      [...Array<string[]>(4).fill(['zoe: small', 'zoe: xxxxxxxxx', 'zoe: behind it']), ['zoe: small']],
    );
  },
);

t.test('a large text is cut and rendered once for all whose MESSAGEs have room, whatever was cut for others', (t) => {
  const copy = new Copy(said('x'.repeat(250_000)), eventNumber(1));
  const ways = [newWay(), newWay('plain', {}, 1000), newWay()];
  for (const { out } of ways) out.deliver(copy);
  const [first, narrow, second] = ways.map(({ sent }) => sent[0]?.body);
  t.equal(first?.length, 32_768 + 'zoe: '.length);
  t.equal(first, second, 'the same bytes');
  t.equal(narrow?.length, 1000);
  t.end();
});
