import { spawn } from 'node:child_process';
import { once } from 'node:events';
import t from 'tap';
import type { ToldFate } from '../../src/ops/message-routes.ts';
import { readFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { cpim } from './msrp-line.ts';
import { SipPhone } from './sip-phone.ts';
import { httpOf, join, newPath, raise, type Stage, messageSdp } from './stage.ts';

/** The SDP of a telephone. */
const AUDIO = ['v=0', 'o=- 1 1 IN IP4 127.0.0.1', 's=-', 'c=IN IP4 127.0.0.1', 't=0 0', 'm=audio 9 RTP/AVP 0', ''].join(
  '\r\n',
);

/** What the API says of a message: `user: fate`, sorted. */
async function fatesOf(stage: Stage, data: string, id: string): Promise<readonly string[]> {
  const answer = await ask(stage, data, id);
  const { messages } = (await answer.json()) as { readonly messages: readonly ToldFate[] };
  return messages
    .flatMap(({ recipients }) => recipients)
    .map(({ user, fate, detail }) => `${user}: ${fate}${detail === undefined ? '' : ` (${detail})`}`)
    .sort();
}

function ask(stage: Stage, data: string, id: string): Promise<Response> {
  const token = readFileSync(`${data}/admin-token`, 'utf8').trim();
  return fetch(`http://127.0.0.1:${httpOf(stage)}/api/messages/${encodeURIComponent(id)}`, {
    headers: { Authorization: `Bearer ${token}` },
  });
}

/** Until the fates are these; the play hangs, and fails, if they never are. */
async function until(stage: Stage, data: string, id: string, fates: readonly string[]): Promise<void> {
  while ((await fatesOf(stage, data, id)).join() !== fates.join())
    await new Promise((resolve) => setImmediate(resolve));
}

t.test('what has gone out to its end before it was taken back is delivered, large as it may be', async (t) => {
  const data = t.testdir();
  const stage = await raise(`data=${data}`);
  t.teardown(() => stage.close());
  const [alice, bob] = [await join(stage, 'alice'), await join(stage, 'bob')];
  bob.line.answers = false;
  const text = 'x'.repeat(100_000);
  t.equal((await alice.line.say(alice.uri, 'sip:lobby@127.0.0.1', text, ['Message-ID: large1'])).what, '200');
  const parts = [await bob.line.hears('xxx')];
  while (parts.at(-1)?.flag !== '$') parts.push(await bob.line.hears('xxx'));
  t.equal(await alice.say('/retract'), '200');
  await bob.hears('was taken back');
  t.same(await fatesOf(stage, data, 'large1'), ['sip:bob@127.0.0.1: waiting']);
  for (const { id } of parts)
    bob.line.write(`MSRP ${id} 200 OK\r\nTo-Path: ${bob.line.room}\r\nFrom-Path: ${bob.line.own}\r\n-------${id}$\r\n`);
  await until(stage, data, 'large1', ['sip:bob@127.0.0.1: delivered']);
});

t.test('RFC 4975 §7.3.2: a report of failure counts like an answer, also after a 200', async (t) => {
  const data = t.testdir();
  const stage = await raise(`data=${data}`);
  t.teardown(() => stage.close());
  const alice = await join(stage, 'alice');
  const bob = await join(stage, 'bob');
  const said = await alice.line.say(alice.uri, 'sip:lobby@127.0.0.1', 'hi', ['Message-ID: first1']);
  t.equal(said.what, '200');
  const copy = await bob.line.hears('hi');
  await until(stage, data, 'first1', ['sip:bob@127.0.0.1: delivered']);
  const about = `Message-ID: ${copy.headers.get('Message-ID') ?? ''}`;
  for (const status of ['000 200 OK', '001 413 No', '000 413 Not shown', '000 413 Not shown']) {
    bob.line.send('REPORT', [about, 'Byte-Range: 1-2/2', `Status: ${status}`]);
  }
  bob.line.send('REPORT', ['Message-ID: nzzz.1.1', 'Byte-Range: 1-2/2', 'Status: 000 413 What was never said']);
  await until(stage, data, 'first1', ['sip:bob@127.0.0.1: refused (413 Not shown)']);
  t.equal((await bob.line.request('SEND', ['Message-ID: m-marker', 'Byte-Range: 1-0/0'])).what, '200', 'all are read');
  const metrics = await (await fetch(`http://127.0.0.1:${httpOf(stage)}/metrics`)).text();
  t.match(metrics, /^grouptextchat_delivery_failures_total\{reason="refused"\} 1$/m, 'once');
  t.equal(await alice.say('and on'), '200', 'the session goes on');
  await bob.hears('and on');
});

t.test('for each message it is known what became of it for each recipient', async (t) => {
  const data = t.testdir();
  const stage = await raise(`data=${data}`, 'rooms.defaults.history_messages=5', 'msrp.grace=50ms');
  t.teardown(() => stage.close());
  const alice = await join(stage, 'alice');
  const bob = await join(stage, 'bob');
  const carol = await join(stage, 'carol');
  carol.line.answers = false;
  const own = newPath();
  const body = messageSdp(own)
    .replace('accept-wrapped-types:*', 'accept-wrapped-types:text/html')
    .replace('message/cpim', 'message/cpim text/html');
  await join(stage, 'dave', undefined, { body }, own);
  const erin = await join(stage, 'erin');
  erin.line.answers = false;

  const say = (id: string) => alice.line.say(alice.uri, 'sip:lobby@127.0.0.1', 'hi', [`Message-ID: ${id}`]);
  t.equal((await say('first1')).what, '200');
  await bob.hears('hi');
  await carol.hears('hi');
  const send = await erin.line.hears('hi');
  erin.line.write(
    `MSRP ${send.id} 415 No\r\nTo-Path: ${erin.line.room}\r\nFrom-Path: ${erin.line.own}\r\n-------${send.id}$\r\n`,
  );
  const early = [
    'sip:bob@127.0.0.1: delivered',
    'sip:carol@127.0.0.1: waiting',
    'sip:dave@127.0.0.1: not taken (text/plain)',
    'sip:erin@127.0.0.1: refused (415 No)',
  ];
  await until(stage, data, 'first1', early);
  carol.line.close();
  await until(
    stage,
    data,
    'first1',
    early.map((line) => line.replace('waiting', 'left')),
  );
  await join(stage, 'frank');
  await until(stage, data, 'first1', [
    ...early.map((line) => line.replace('waiting', 'left')),
    'sip:frank@127.0.0.1: replayed',
  ]);

  t.equal((await ask(stage, data, 'no-such-id')).status, 404);
  const metrics = await (await fetch(`http://127.0.0.1:${httpOf(stage)}/metrics`)).text();
  t.match(metrics, /^grouptextchat_delivery_failures_total\{reason="refused"\} 1$/m);
  t.match(metrics, /^grouptextchat_delivery_failures_total\{reason="not taken"\} 1$/m);
  t.match(metrics, /^grouptextchat_events_total\{kind="said"\} 1$/m);
  t.match(metrics, /^grouptextchat_rooms 1$/m);

  const deaf = newPath();
  await join(stage, 'bob', undefined, { body: messageSdp(deaf).replace(' private-messages', '') }, deaf);
  t.equal((await alice.line.say(alice.uri, bob.uri, 'psst', ['Message-ID: alone1'])).what, '200');
  // RFC 7701 §6.2: one device of two.
  await until(stage, data, 'alone1', ['sip:bob@127.0.0.1: delivered']);
});

t.test(
  'what passes by somebody who takes no texts for a while is noted, and told him when he is heard from',
  async (t) => {
    const data = t.testdir();
    const stage = await raise(`data=${data}`, 'rooms.defaults.messages_at_once=100');
    t.teardown(() => stage.close());
    const alice = await join(stage, 'alice');
    const tom = await SipPhone.connect('tom', stage.sip);
    const headers = ['Allow: INVITE, ACK, BYE, CANCEL, MESSAGE, INFO'];
    const offer = { contentType: 'application/sdp', body: AUDIO, headers };
    const { dialog } = await tom.request('INVITE', 'sip:lobby@127.0.0.1', offer);
    tom.ack(dialog);
    await tom.within(dialog, 'MESSAGE', { contentType: 'text/plain', body: 'I am here' });
    const say = (id: string) => alice.line.say(alice.uri, 'sip:lobby@127.0.0.1', id, [`Message-ID: ${id}`]);
    const reads = async () => Buffer.from((await tom.next('MESSAGE')).body).toString();

    tom.replies.set('MESSAGE', '488 Not Now');
    for (let i = 1; i <= 7; i++) {
      await say(`text${String(i)}`);
      await until(stage, data, `text${String(i)}`, [`sip:tom@127.0.0.1: ${i <= 5 ? 'refused (488)' : 'unanswered'}`]);
    }
    for (let i = 1; i <= 5; i++) t.match(await reads(), `text${String(i)}`);
    tom.replies.delete('MESSAGE');
    await tom.within(dialog, 'INFO');
    t.equal(await reads(), '[7 messages were left out]\nFrom here on you get again what is said.');
    await say('text8');
    t.equal(await reads(), 'alice: text8');
    await until(stage, data, 'text8', ['sip:tom@127.0.0.1: delivered']);
  },
);

t.test('of a large message it is known who got no more than the line that stands for it', async (t) => {
  const data = t.testdir();
  const stage = await raise(`data=${data}`, 'peers=[{user_agent: "Bare/*", bare_text: true}]');
  t.teardown(() => stage.close());
  const alice = await join(stage, 'alice');
  const bob = await join(stage, 'bob');
  const joinWith = (name: string, change: (sdp: string) => string, headers: readonly string[] = []) => {
    const own = newPath();
    return join(stage, name, undefined, { body: change(messageSdp(own)), headers }, own);
  };
  const carol = await joinWith('carol', (sdp) => sdp.replace('message/cpim', 'text/plain'), ['User-Agent: Bare/1.0']);
  const dave = await joinWith('dave', (sdp) => `${sdp}a=max-size:80000\r\n`);
  await joinWith('erin', (sdp) => sdp.replace('wrapped-types:*', 'wrapped-types:text/html'));
  const tom = await SipPhone.connect('tom', stage.sip);
  const call = await tom.request('INVITE', 'sip:lobby@127.0.0.1', { contentType: 'application/sdp', body: AUDIO });
  tom.ack(call.dialog);

  t.equal(await alice.say('who is here?'), '200');
  for (const hears of [bob, carol, dave]) await hears.hears('who is here?');
  t.match(Buffer.from((await tom.next('MESSAGE')).body).toString(), 'who is here?', 'he has caught up');
  const long = cpim(alice.uri, 'sip:lobby@127.0.0.1', 'long '.repeat(20_000), ['Message-ID: large1']);
  t.equal((await alice.line.request('SEND', ...long)).what, '200');
  t.match((await bob.line.next(({ flag, what }) => what === 'SEND' && flag === '$')).body, 'long long');
  t.equal((await carol.line.hears('KiB')).body, 'alice: [text/plain, 98 KiB]', 'which is told her in a line');
  await dave.hears('[text/plain, 98 KiB]');
  t.match(Buffer.from((await tom.next('MESSAGE')).body).toString(), '[text/plain, 98 KiB]');
  await until(stage, data, 'large1', [
    'sip:bob@127.0.0.1: delivered',
    'sip:carol@127.0.0.1: not taken (too large to be sent without CPIM)',
    'sip:dave@127.0.0.1: not taken (more than 80000 octets)',
    'sip:erin@127.0.0.1: not taken (text/plain)',
    'sip:tom@127.0.0.1: not taken (too large for a MESSAGE)',
  ]);
});

t.test('RFC 4975 §8.6: nothing is larger than its reader wishes; what he has instead is known', async (t) => {
  const data = t.testdir();
  const stage = await raise(`data=${data}`, 'peers=[{user_agent: "Bare/*", bare_text: true}]');
  t.teardown(() => stage.close());
  const alice = await join(stage, 'alice');
  const bob = await join(stage, 'bob');
  const joinWith = (name: string, size: number, change = (sdp: string) => sdp, headers: readonly string[] = []) => {
    const own = newPath();
    const body = change(messageSdp(own, [`a=max-size:${String(size)}`]));
    return join(stage, name, undefined, { body, headers }, own);
  };
  const carol = await joinWith('carol', 1000);
  const bare = (sdp: string): string => sdp.replace('accept-types:message/cpim', 'accept-types:text/plain');
  const dave = await joinWith('dave', 1000, bare, ['User-Agent: Bare/1.0']);
  const tiny = await joinWith('tiny', 10);

  const text = `with an ending: ${'é'.repeat(2500)} the end`;
  const send = async (id: string, type: string, content: string): Promise<void> => {
    const [headers, body] = cpim(alice.uri, 'sip:lobby@127.0.0.1', content, [`Message-ID: ${id}`]);
    const typed = body.replace('text/plain; charset=utf-8', type);
    const size = String(Buffer.byteLength(typed));
    const range = headers.map((line) => line.replace(/^Byte-Range.*/, `Byte-Range: 1-${size}/${size}`));
    t.equal((await alice.line.request('SEND', range, typed)).what, '200');
  };
  await send('text1', 'text/plain; charset=utf-8', text);
  await bob.hears('the end');
  for (const [{ line }, most] of [
    [carol, 1000],
    [dave, 1000],
    [tiny, 300],
  ] as const) {
    const { body = '' } = await line.hears('with an ending: éé');
    t.match(body, /é \[…\]$/);
    const size = Buffer.byteLength(body);
    t.ok(size <= most && size > most - 200, String(size));
  }
  await until(stage, data, 'text1', [
    'sip:bob@127.0.0.1: delivered',
    'sip:carol@127.0.0.1: cut',
    'sip:dave@127.0.0.1: cut',
    'sip:tiny@127.0.0.1: cut',
  ]);

  await send('file1', 'application/pdf', 'pdf '.repeat(1250));
  for (const { line } of [carol, dave, tiny]) await line.hears('[application/pdf, 5 KiB]');
  await until(stage, data, 'file1', [
    'sip:bob@127.0.0.1: delivered',
    'sip:carol@127.0.0.1: not taken (more than 1000 octets)',
    'sip:dave@127.0.0.1: not taken (application/pdf)',
    'sip:tiny@127.0.0.1: not taken (more than 10 octets)',
  ]);

  t.equal((await alice.line.say(alice.uri, 'sip:lobby@127.0.0.1', 'short', ['Message-ID: short1'])).what, '200');
  for (const { line } of [carol, dave, tiny]) await line.hears('short');
  const all = ['bob', 'carol', 'dave', 'tiny'].map((name) => `sip:${name}@127.0.0.1: delivered`);
  await until(stage, data, 'short1', all);
});

t.test(
  'of a large message that its sender gives up, or is lost with, it is known that nobody has all of it',
  async (t) => {
    const data = t.testdir();
    const options = [`data=${data}`, 'rooms.defaults.durability=disk', 'rooms.defaults.history_messages=5'];
    const first = await raise(...options);
    const alice = await join(first, 'alice');
    const bob = await join(first, 'bob');
    const own = newPath();
    const carol = await join(first, 'carol', undefined, { body: messageSdp(own, ['a=max-size:80000']) }, own);
    const [, body] = cpim(alice.uri, 'sip:lobby@127.0.0.1', 'long '.repeat(40_000));
    const chunk = async (id: string, from: number, flag: string): Promise<string> => {
      const range = `Byte-Range: ${String(from + 1)}-*/${String(body.length)}`;
      const headers = [`Message-ID: ${id}`, range, 'Content-Type: message/cpim'];
      const sent = alice.line.send('SEND', headers, body.slice(from, from + 100_000), flag);
      return (await alice.line.next((frame) => frame.id === sent && /^\d/.test(frame.what))).what;
    };
    const aborted = ({ what, flag }: { readonly what: string; readonly flag: string }) =>
      what === 'SEND' && flag === '#';

    t.equal(await chunk('given-up', 0, '+'), '200');
    await carol.hears('[text/plain, 195 KiB]');
    const dave = await join(first, 'dave');
    await dave.hears('[text/plain, 195 KiB]');
    const small = 'sip:carol@127.0.0.1: not taken (more than 80000 octets)';
    await until(first, data, 'given-up', [
      'sip:bob@127.0.0.1: waiting',
      small,
      'sip:dave@127.0.0.1: not taken (of the past there is only the line that stands for it)',
    ]);
    t.equal(await chunk('given-up', 100_000, '#'), '200');
    await bob.line.next(aborted);
    const gone = ['sip:bob@127.0.0.1: aborted', small, 'sip:dave@127.0.0.1: aborted'];
    await until(first, data, 'given-up', gone);

    t.equal(await chunk('lost', 0, '+'), '200');
    await alice.leave();
    for (const { line } of [bob, dave]) await line.next(aborted);
    await until(first, data, 'lost', gone);
    await first.close();

    const second = await raise(...options);
    t.teardown(() => second.close());
    t.same(await fatesOf(second, data, 'given-up'), ['sip:bob@127.0.0.1: aborted', 'sip:carol@127.0.0.1: aborted']);
  },
);

t.test('of a large message that was had whole, the past has a line, which makes it no less had', async (t) => {
  const data = t.testdir();
  const stage = await raise(`data=${data}`, 'rooms.defaults.history_messages=5');
  t.teardown(() => stage.close());
  const alice = await join(stage, 'alice');
  const bob = await join(stage, 'bob');
  const long = cpim(alice.uri, 'sip:lobby@127.0.0.1', 'long '.repeat(20_000), ['Message-ID: large1']);
  t.equal((await alice.line.request('SEND', ...long)).what, '200');
  await bob.line.next(({ flag, what, body }) => what === 'SEND' && flag === '$' && body !== undefined);
  await until(stage, data, 'large1', ['sip:bob@127.0.0.1: delivered']);
  await bob.say('/history 1');
  await bob.hears('[text/plain, 98 KiB]');
  await until(stage, data, 'large1', [
    'sip:bob@127.0.0.1: delivered',
    'sip:bob@127.0.0.1: not taken (of the past there is only the line that stands for it)',
  ]);
});

t.test('after a restart it is known who was there, and said in words that the rest is not', async (t) => {
  const data = t.testdir();
  const options = [`data=${data}`, 'rooms.defaults.durability=disk', 'rooms.defaults.lobby=false'];
  const instance = 'urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6';
  const first = await raise(...options);
  const alice = await join(first, 'alice');
  const bob = await join(first, 'bob', undefined, { instance });
  const carol = await join(first, 'carol');
  const early = await join(first, 'early');
  await early.leave();
  const say = (id: string, to = 'sip:lobby@127.0.0.1') => alice.line.say(alice.uri, to, 'hi', [`Message-ID: ${id}`]);
  t.equal((await say('first1')).what, '200');
  t.equal((await say('alone1', carol.uri)).what, '200');
  await carol.hears('hi');
  await bob.hears('hi');
  t.equal(await carol.say('bye'), '200');
  await bob.hears('bye');
  await bob.leave();
  await carol.leave();
  await join(first, 'late');
  await first.close();

  const second = await raise(...options);
  t.teardown(() => second.close());
  const onRecord = ['sip:bob@127.0.0.1: passed', 'sip:carol@127.0.0.1: unknown'];
  t.same(await fatesOf(second, data, 'first1'), onRecord);
  t.same(await fatesOf(second, data, 'alone1'), ['sip:carol@127.0.0.1: unknown'], 'a private one was for one only');
  const { messages } = (await (await ask(second, data, 'first1')).json()) as { readonly messages: readonly ToldFate[] };
  t.match(messages[0]?.note, /^What became of it is not remembered/);
  t.equal((await ask(second, data, 'first')).status, 404, 'not a part of an id');
});

t.test('who is on hold, or has lost its session, is told of all the while', async (t) => {
  const data = t.testdir();
  const stage = await raise(`data=${data}`, 'rooms.defaults.missed_messages=2');
  t.teardown(() => stage.close());
  const alice = await join(stage, 'alice');
  const bob = await join(stage, 'bob');
  const carol = await join(stage, 'carol');
  const hold = async ({ phone, dialog, line }: typeof bob, ...direction: string[]): Promise<void> => {
    const body = messageSdp(line.own, direction);
    await phone.within(dialog, 'INVITE', { contentType: 'application/sdp', body });
    phone.ack(dialog);
  };
  const say = (id: string) => alice.line.say(alice.uri, 'sip:lobby@127.0.0.1', id, [`Message-ID: ${id}`]);
  await hold(bob, 'a=inactive');
  await hold(carol, 'a=sendonly');
  for (const id of ['first1', 'second2', 'third3']) t.equal((await say(id)).what, '200');
  const waiting = 'waiting (its line is on hold, lost, or not there yet)';
  for (const id of ['first1', 'third3'])
    await until(stage, data, id, [`sip:bob@127.0.0.1: ${waiting}`, `sip:carol@127.0.0.1: ${waiting}`]);
  await hold(bob);
  await bob.hears('third3');
  const missed = 'not taken (it has missed more than the room gives)';
  await carol.leave();
  await until(stage, data, 'first1', [`sip:bob@127.0.0.1: ${missed}`, 'sip:carol@127.0.0.1: left']);
  await until(stage, data, 'third3', ['sip:bob@127.0.0.1: replayed', 'sip:carol@127.0.0.1: left']);
  bob.line.close();
  while (!stage.lines.some((line) => line.includes('chat session lost')))
    await new Promise((later) => setImmediate(later));
  t.equal((await say('fourth4')).what, '200');
  await until(stage, data, 'fourth4', [`sip:bob@127.0.0.1: ${waiting}`]);
});

t.test('what was on its way when a session is lost waits for as long as its user may come back', async (t) => {
  const data = t.testdir();
  const stage = await raise(`data=${data}`);
  t.teardown(() => stage.close());
  const [alice, bob] = [await join(stage, 'alice'), await join(stage, 'bob')];
  bob.line.answers = false;
  for (const id of ['first1', 'second2']) {
    t.equal((await alice.line.say(alice.uri, 'sip:lobby@127.0.0.1', id, [`Message-ID: ${id}`])).what, '200');
    await bob.hears(id);
  }
  bob.line.close();
  await until(stage, data, 'first1', ['sip:bob@127.0.0.1: waiting (its line is on hold, lost, or not there yet)']);
  t.equal(await alice.say('/retract second2'), '200');
  await until(stage, data, 'second2', ['sip:bob@127.0.0.1: taken back']);
  await bob.phone.within(bob.dialog, 'BYE');
  await until(stage, data, 'first1', ['sip:bob@127.0.0.1: left']);
});

t.test(
  'what was taken back before somebody could hear it again is not told to have been replayed to him',
  async (t) => {
    const data = t.testdir();
    const stage = await raise(`data=${data}`);
    t.teardown(() => stage.close());
    const [alice, bob] = [await join(stage, 'alice'), await join(stage, 'bob')];
    const hold = async (...direction: string[]): Promise<void> => {
      const body = messageSdp(bob.line.own, direction);
      await bob.phone.within(bob.dialog, 'INVITE', { contentType: 'application/sdp', body });
      bob.phone.ack(bob.dialog);
    };
    const say = (id: string) => alice.line.say(alice.uri, 'sip:lobby@127.0.0.1', id, [`Message-ID: ${id}`]);
    await hold('a=inactive');
    for (const id of ['first1', 'second2', 'third3']) t.equal((await say(id)).what, '200');
    t.equal(await alice.say('/retract second2'), '200');
    await until(stage, data, 'second2', ['sip:bob@127.0.0.1: taken back']);
    await hold();
    await bob.hears('third3');
    await until(stage, data, 'first1', ['sip:bob@127.0.0.1: replayed']);
    await until(stage, data, 'second2', ['sip:bob@127.0.0.1: taken back']);
    t.equal(await alice.say('/retract first1'), '200');
    await until(stage, data, 'first1', ['sip:bob@127.0.0.1: replayed']);
  },
);

t.test('it is known by the Message-ID that its recipients see as well', async (t) => {
  const data = t.testdir();
  const stage = await raise(`data=${data}`, 'rooms.defaults.durability=disk', 'rooms.defaults.permanent=true');
  t.teardown(() => stage.close());
  const [alice, bob] = [await join(stage, 'alice'), await join(stage, 'bob')];
  t.equal(await alice.say('hi'), '200');
  const { headers } = await bob.line.hears('hi');
  const id = headers.get('Message-ID') ?? '';
  await until(stage, data, id, ['sip:bob@127.0.0.1: delivered']);
  await stage.service.close();
  const second = await raise(`data=${data}`, 'rooms.defaults.durability=disk', 'rooms.defaults.permanent=true');
  t.teardown(() => second.close());
  t.same(await fatesOf(second, data, id), ['sip:bob@127.0.0.1: unknown'], 'what is on record, too');
});

t.test('grouptextchat why tells it in words', async (t) => {
  const data = t.testdir();
  const stage = await raise(`data=${data}`, 'domains=[chat.example]');
  t.teardown(() => stage.close());
  const alice = await join(stage, 'alice');
  await join(stage, 'bob');
  await alice.line.say(alice.uri, 'sip:lobby@127.0.0.1', 'hi', ['Message-ID: first1']);
  await until(stage, data, 'first1', ['sip:bob@127.0.0.1: delivered']);
  const why = async (id: string) => {
    const args = ['dist/src/cli.js', 'why', id, '--set', `data=${data}`, '--set', `http.port=${httpOf(stage)}`];
    const child = spawn(process.execPath, args, { env: {} });
    let [out, err] = ['', ''];
    child.stdout.on('data', (piece: Buffer) => (out += piece.toString()));
    child.stderr.on('data', (piece: Buffer) => (err += piece.toString()));
    const [code] = (await once(child, 'close')) as [number];
    return { code, out, err };
  };
  const told = await why('first1');
  t.equal(told.code, 0);
  t.match(
    told.out,
    /^sip:lobby@chat\.example, message \d+: sip:alice@127\.0\.0\.1 to everyone, \S+Z\n {2}sip:bob@127\.0\.0\.1 \(\S+\): delivered\n$/,
  );
  const asked = async (path: string, order?: string): Promise<unknown> => {
    const headers = { Authorization: `Bearer ${readFileSync(`${data}/admin-token`, 'utf8').trim()}` };
    const body = order === undefined ? {} : { method: 'POST', body: JSON.stringify({ order }) };
    const sent = { ...body, headers: { ...headers, 'Content-Type': 'application/json' } };
    return (await fetch(`http://127.0.0.1:${httpOf(stage)}/api/rooms${path}`, sent)).json();
  };
  const room = 'sip:lobby@chat.example';
  t.match(await asked(''), { rooms: [{ room }] }, 'one name of the room everywhere');
  t.match(await asked(`/${encodeURIComponent(room)}`), { room, users: 2 });
  t.same(await asked('/lobby/orders', 'subject Tea'), { done: true });
  t.match(stage.lines.join(''), `moderation: ${room}: administrator by API: subject subject="Tea": done`);
  t.match(await why('no-such-id'), { code: 1, err: /^grouptextchat: nothing is known of a message no-such-id/ });
});

t.test('what became of a message is remembered without what it says', async (t) => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const data = t.testdir();
  const stage = await raise(
    ...[`data=${data}`, 'rooms.defaults.durability=disk'],
    'rooms.defaults.messages_at_once=1000',
  );
  t.teardown(() => stage.close());
  const alice = await join(stage, 'alice');
  collect();
  const before = process.memoryUsage().external;
  for (let i = 0; i < 300; i += 1) {
    const { what } = await alice.line.say(alice.uri, 'sip:lobby@127.0.0.1', `${String(i)} ${'x'.repeat(60_000)}`, [
      `Message-ID: large${String(i)}`,
    ]);
    t.equal(what, '200');
  }
  t.match(await (await ask(stage, data, 'large7')).json(), { messages: [{ messageId: 'large7', from: alice.uri }] });
  let grown = Infinity;
  // What the disk and the sockets have had is let go in later turns.
  for (let turn = 0; turn < 100 && grown >= 9e6; turn += 1) {
    await new Promise((resolve) => setImmediate(resolve));
    collect();
    grown = process.memoryUsage().external - before;
  }
  t.ok(grown < 9e6, `18 MB were said, ${String(Math.round(grown / 1e6))} MB of it are in memory`);
});
