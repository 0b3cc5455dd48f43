import t from 'tap';
import { messageSdp, join, newPath, pathOf, raise, ROOM, stopTheClock, type Member, type Stage } from './stage.ts';
import { cpim, type Frame, MsrpLine } from './msrp-line.ts';
import { type PhoneDialog, SipPhone } from './sip-phone.ts';

/** A room with a past: alice says so many things, `one` first. */
async function past(stage: Stage, words: readonly string[]): Promise<Member> {
  const alice = await join(stage, 'alice', `${ROOM};history=0`);
  for (const word of words) t.equal(await alice.say(word), '200');
  return alice;
}

/** The texts of the next so many SENDs. */
async function next(member: Member, count: number): Promise<readonly string[]> {
  const texts: string[] = [];
  for (let i = 0; i < count; i++) texts.push(textOf(await nextSend(member.line)));
  return texts;
}

const nextSend = (line: MsrpLine): Promise<Frame> =>
  line.next((frame) => frame.what === 'SEND' && frame.body !== undefined);

const textOf = ({ body = '' }: Frame): string => body.slice(body.lastIndexOf('\r\n\r\n') + 4);

t.test('a newcomer is sent the last messages, after a line that says so, before what is said now', async (t) => {
  const stage = await raise('rooms.defaults.history_messages=3');
  t.teardown(() => stage.close());
  const alice = await past(stage, ['one', 'two', 'three', 'four']);
  const bob = await join(stage, 'bob');
  const [heading, ...texts] = await next(bob, 4);
  t.match(heading, /^3 messages from before you came, since \d{4}-\d\d-\d\d \d\d:\d\d UTC:$/);
  t.same(texts, ['two', 'three', 'four']);
  await alice.say('five');
  t.same(await next(bob, 1), ['five']);
  t.same(alice.line.heard(), []);
});

t.test('RFC 7701 §6.1: what is replayed is what was sent, byte for byte', async (t) => {
  const stage = await raise('rooms.defaults.history_messages=1');
  t.teardown(() => stage.close());
  await past(stage, []);
  const zoe = await join(stage, 'zoe');
  const body = `From: <${zoe.uri}>\r\nTo: <${ROOM}>\r\nDateTime: 1999-12-31T23:59:59.5+01:00\r\nX-Odd:  two  blanks\r\n\r\nContent-Type: text/plain\r\n\r\nżółć`;
  const size = Buffer.byteLength(body);
  const headers = ['Message-ID: odd1', `Byte-Range: 1-${size}/${size}`, 'Content-Type: message/cpim'];
  t.equal((await zoe.line.request('SEND', headers, body)).what, '200');
  const bob = await join(stage, 'bob');
  await next(bob, 1);
  t.equal((await nextSend(bob.line)).body, body);
});

for (const durability of ['memory', 'disk']) {
  t.test(`a newcomer is sent nothing that the room does not keep: ${durability}`, async (t) => {
    const named = {
      none: { permanent: true, keep_messages: 0 },
      few: { permanent: true, keep_messages: 5 },
      small: { permanent: true, keep_bytes: 1000 },
    };
    const options = [
      ...[`data=${t.testdir()}`, `rooms.defaults.durability=${durability}`, `rooms.named=${JSON.stringify(named)}`],
      ...['rooms.defaults.history_messages=1000', 'rooms.defaults.messages_at_once=1000'],
      'rooms.defaults.welcome=Welcome',
    ];
    const words = Array.from({ length: 60 }, (_, i) => `word${String(i)}`);
    const check = async (stage: Stage, name: string): Promise<void> => {
      for (const { room, keeps } of [
        { room: 'none', keeps: 0 },
        { room: 'few', keeps: 5 },
        { room: 'small', keeps: 7 },
      ]) {
        const newcomer = await join(stage, name, `sip:${room}@127.0.0.1`);
        t.same(await next(newcomer, 1), ['Welcome']);
        if (keeps > 0) t.match((await next(newcomer, 1))[0], `${String(keeps)} messages from before you came`);
        t.same(await next(newcomer, keeps), words.slice(words.length - keeps), room);
        t.equal(await newcomer.say('/history'), '200');
        const [answer = ''] = await next(newcomer, 1);
        t.match(answer, keeps === 0 ? 'There is nothing' : `${String(keeps)} messages again`);
        await newcomer.leave();
      }
    };
    const first = await raise(...options);
    for (const room of Object.keys(named)) {
      const alice = await join(first, 'alice', `sip:${room}@127.0.0.1;history=0`);
      for (const word of words) t.equal((await alice.line.say(alice.uri, `sip:${room}@127.0.0.1`, word)).what, '200');
      await alice.leave();
    }
    await check(first, 'bob');
    await first.close();
    if (durability === 'memory') return;
    const second = await raise(...options);
    t.teardown(() => second.close());
    await check(second, 'carol');
  });
}

for (const durability of ['memory', 'disk']) {
  t.test(`RFC 7701 §6.4: the past alone makes nobody congested, however little may wait: ${durability}`, async (t) => {
    const stage = await raise(
      ...[`data=${t.testdir()}`, `rooms.defaults.durability=${durability}`, 'rooms.defaults.history_messages=20'],
      'msrp.queue_bytes=64KiB',
    );
    t.teardown(() => stage.close());
    const words = Array.from({ length: 18 }, (_, i) => `word${String(i)} ${'x'.repeat(8000)}`);
    const alice = await past(stage, words);
    const bob = await join(stage, 'bob');
    const [heading, ...heard] = await next(bob, 19);
    t.match(heading, '18 messages from before you came');
    t.same(heard, words);
    await alice.say('now');
    t.same(await next(bob, 1), ['now']);
    t.same(bob.line.heard(), []);
  });
}

t.test('a client may ask for less by the URI it calls: a number, a time, nothing', async (t) => {
  const stage = await raise('rooms.defaults.history_messages=3');
  t.teardown(() => stage.close());
  const alice = await past(stage, ['one', 'two', 'three', 'four']);
  const two = await join(stage, 'bob', `${ROOM};history=2`);
  t.same((await next(two, 3)).slice(1), ['three', 'four']);
  const hour = await join(stage, 'carol', `${ROOM};history=1h`);
  t.same((await next(hour, 4)).slice(1), ['two', 'three', 'four']);
  const more = await join(stage, 'dave', `${ROOM};history=100`);
  t.same((await next(more, 4)).slice(1), ['two', 'three', 'four'], 'not more than the room gives');
  const none = await join(stage, 'erin', `${ROOM};history=0`);
  await alice.say('now');
  t.same(await next(none, 1), ['now']);
});

t.test('messages that are too old for the room are not sent', async (t) => {
  const stage = await raise('rooms.defaults.history_messages=3', 'rooms.defaults.history_within=0');
  t.teardown(() => stage.close());
  const alice = await past(stage, ['one']);
  await new Promise((resolve) => setImmediate(resolve));
  const before = Date.now();
  while (Date.now() === before) await new Promise((resolve) => setImmediate(resolve));
  const bob = await join(stage, 'bob');
  await alice.say('now');
  t.same(await next(bob, 1), ['now']);
});

t.test('a device that comes back is sent what it has missed, with the ids it would have had', async (t) => {
  const stage = await raise('rooms.defaults.history_messages=1');
  t.teardown(() => stage.close());
  const alice = await past(stage, ['one', 'two']);
  const instance = 'urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6';
  const bob = await join(stage, 'bob', ROOM, { instance });
  t.same((await next(bob, 2)).slice(1), ['two']);
  const carol = await join(stage, 'carol', `${ROOM};history=0`);
  await bob.leave();
  await alice.say('three');
  await alice.say('four');
  const ids = [await nextSend(carol.line), await nextSend(carol.line)].map(({ headers }) => headers.get('Message-ID'));

  const again = await join(stage, 'bob', ROOM, { instance });
  const [heading, three, four] = [await nextSend(again.line), await nextSend(again.line), await nextSend(again.line)];
  t.match(textOf(heading), /^2 messages that you missed, since /);
  t.same([textOf(three), textOf(four)], ['three', 'four']);
  t.same(
    [three, four].map(({ headers }) => headers.get('Message-ID')),
    ids,
  );

  const other = await join(stage, 'bob', ROOM, { instance: 'urn:uuid:00000000-0000-0000-0000-000000000002' });
  t.same((await next(other, 2)).slice(1), ['four'], 'another device of the same user is a newcomer');
});

for (const durability of ['memory', 'disk']) {
  t.test(`a device that comes back is sent all that it has missed, however much that is: ${durability}`, async (t) => {
    const stage = await raise(
      ...[`data=${t.testdir()}`, `rooms.defaults.durability=${durability}`, 'rooms.defaults.messages_at_once=1000'],
      ...['rooms.defaults.missed_messages=400', 'rooms.defaults.history_messages=300'],
    );
    t.teardown(() => stage.close());
    const alice = await past(stage, ['before']);
    const instance = 'urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6';
    const bob = await join(stage, 'bob', ROOM, { instance });
    t.same((await next(bob, 2)).slice(1), ['before']);
    await bob.leave();
    const words = Array.from({ length: 400 }, (_, i) => `${String(i)} ${'x'.repeat(12_000)}`);
    await Promise.all(words.map((word) => alice.say(word)));
    const numbersOf = (texts: readonly string[]): readonly number[] => texts.map((text) => parseInt(text, 10));
    const all = words.map((_, i) => i);
    const again = await join(stage, 'bob', ROOM, { instance });
    const [heading, ...texts] = await next(again, 401);
    t.match(heading, /^400 messages that you missed, since \d{4}-\d\d-\d\d \d\d:\d\d UTC:$/);
    t.same(numbersOf(texts), all);
    await again.leave();
    const carol = await join(stage, 'carol');
    const [history, ...old] = await next(carol, 301);
    t.match(history, '300 messages from before you came');
    t.same(numbersOf(old), all.slice(100));
    await carol.leave();

    await Promise.all(Array.from({ length: 401 }, (_, i) => alice.say(`more${String(i)}`)));
    const late = await join(stage, 'bob', ROOM, { instance });
    const [told, ...newest] = await next(late, 401);
    t.match(told, /^400 messages that you missed, since .* UTC \(you missed more before that\):$/);
    t.equal(newest[0], 'more1');
  });
}

t.test('a device that comes back before its lost call is known to be over is sent what it has missed', async (t) => {
  const stage = await raise('rooms.defaults.history_messages=1', 'rooms.defaults.messages_at_once=20');
  t.teardown(() => stage.close());
  const alice = await past(stage, ['before']);
  const instance = 'urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6';
  const lost = await join(stage, 'bob', ROOM, { instance });
  t.same((await next(lost, 2)).slice(1), ['before']);
  await alice.say('one');
  t.same(await next(lost, 1), ['one']);
  // What it is sent from here on it does not answer, and its connections are not closed.
  lost.line.answers = false;
  for (const word of ['two', 'three', 'four']) await alice.say(word);

  const back = await join(stage, 'bob', ROOM, { instance });
  const [heading, ...texts] = await next(back, 4);
  t.match(heading, /^3 messages that you missed, since /);
  t.same(texts, ['two', 'three', 'four']);
  await alice.say('five');
  t.same(await next(back, 1), ['five']);
  // The lost call is given up after the other one has gone: that takes nothing back.
  await back.leave();
  await lost.leave();
  await alice.say('six');
  const again = await join(stage, 'bob', ROOM, { instance });
  t.same((await next(again, 2)).slice(1), ['six']);
});

for (const durability of ['memory', 'disk']) {
  t.test(`a device that has missed more than the room keeps is told that there was more: ${durability}`, async (t) => {
    const stage = await raise(
      ...[`data=${t.testdir()}`, `rooms.defaults.durability=${durability}`, 'rooms.defaults.keep_messages=5'],
    );
    t.teardown(() => stage.close());
    const alice = await past(stage, ['before']);
    const instance = 'urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6';
    for (const { missed, sent, more } of [
      { missed: 3, sent: 3, more: false },
      { missed: 8, sent: 5, more: true },
    ]) {
      const bob = await join(stage, 'bob', ROOM, { instance });
      await alice.say('hello');
      await bob.hears('hello');
      await bob.leave();
      for (let i = 1; i <= missed; i += 1) t.equal(await alice.say(String(i)), '200');
      const again = await join(stage, 'bob', ROOM, { instance });
      const [heading = '', ...texts] = await next(again, sent + 1);
      t.match(heading, new RegExp(`^${String(sent)} messages that you missed, since `));
      t.equal(heading.includes('(you missed more before that)'), more, heading);
      t.equal(texts.at(-1), String(missed));
      await again.leave();
    }
  });
}

for (const durability of ['memory', 'disk']) {
  t.test(
    `a device that has missed nothing but what is not kept any more is told so, once: ${durability}`,
    async (t) => {
      const stage = await raise(
        ...[`data=${t.testdir()}`, `rooms.defaults.durability=${durability}`, 'rooms.defaults.keep_messages=1'],
      );
      t.teardown(() => stage.close());
      const alice = await past(stage, []);
      const carol = await join(stage, 'carol');
      const instance = 'urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6';
      const bobHears = async (text: string, why: string, ...before: string[]): Promise<void> => {
        const bob = await join(stage, 'bob', ROOM, { instance });
        t.same(await next(bob, before.length), before, why);
        t.equal(await alice.say(text), '200');
        t.same(await next(bob, 1), [text], why);
        await bob.leave();
      };
      const aside = async (): Promise<void> => {
        t.equal((await alice.line.say(alice.uri, carol.uri, 'for carol')).what, '200');
      };
      await bobHears('one', 'new');
      await aside();
      await bobHears('two', 'nothing was missed');
      t.equal(await alice.say('three'), '200');
      await aside();
      await bobHears('four', 'three was missed', 'You missed messages that are not kept any more.');
      t.equal(await alice.say('five'), '200');
      await aside();
      const bob = await join(stage, 'bob', ROOM, { instance });
      t.same(await next(bob, 1), ['You missed messages that are not kept any more.']);
      await bob.leave();
      await bobHears('six', 'told already');
    },
  );
}

t.test('RFC 4975 §5.4: what was not answered before a session broke comes again in the next one', async (t) => {
  const stage = await raise('rooms.defaults.history_messages=5');
  t.teardown(() => stage.close());
  const alice = await past(stage, []);
  const bob = await join(stage, 'bob');
  await alice.say('one');
  t.same(await next(bob, 1), ['one']);
  bob.line.answers = false;
  await alice.say('two');
  t.same(await next(bob, 1), ['two'], 'it arrives, but its answer never does');
  bob.line.close();
  await bob.line.closed;
  await alice.say('three');

  const own = newPath();
  const response = await bob.phone.within(bob.dialog, 'INVITE', {
    contentType: 'application/sdp',
    body: messageSdp(own),
  });
  bob.phone.ack(bob.dialog);
  const line = await MsrpLine.bind(own, pathOf(response.body));
  const [heading, two, three] = [await nextSend(line), await nextSend(line), await nextSend(line)];
  t.match(textOf(heading), /^2 messages that you missed/);
  t.same([textOf(two), textOf(three)], ['two', 'three']);
});

t.test('RFC 7701 §6.2: a private message is replayed to the two, and to nobody else', async (t) => {
  const stage = await raise('rooms.defaults.history_messages=5');
  t.teardown(() => stage.close());
  const alice = await past(stage, ['for all']);
  const bob = await join(stage, 'bob', `${ROOM};history=0`);
  t.equal((await alice.line.say(alice.uri, bob.uri, 'for bob')).what, '200');
  await bob.hears('for bob');
  const carol = await join(stage, 'carol');
  t.same((await next(carol, 2)).slice(1), ['for all']);
  const tablet = await join(stage, 'bob');
  t.same((await next(tablet, 3)).slice(1), ['for all', 'for bob']);
  const desk = await join(stage, 'alice');
  t.same((await next(desk, 3)).slice(1), ['for all', 'for bob']);
  await alice.say('last');
  t.same(await next(carol, 1), ['last']);
});

t.test('what is said while somebody catches up comes behind it: nothing lost, nothing twice', async (t) => {
  const stage = await raise(
    'rooms.defaults.history_messages=600',
    'rooms.defaults.messages_per_second=100000',
    'rooms.defaults.messages_at_once=100000',
  );
  t.teardown(() => stage.close());
  const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => String(from + i));
  const alice = await past(stage, numbers(0, 600));
  const bob = await join(stage, 'bob');
  for (const number of numbers(600, 700)) await alice.say(number);
  t.same((await next(bob, 701)).slice(1), numbers(0, 700));
  t.same(bob.line.heard(), []);
});

for (const durability of ['memory', 'disk']) {
  t.test(`who comes in on hold is sent the past, and all that was said since he is in: ${durability}`, async (t) => {
    const stage = await raise(
      ...[`data=${t.testdir()}`, `rooms.defaults.durability=${durability}`, 'rooms.defaults.history_messages=2'],
    );
    t.teardown(() => stage.close());
    const alice = await past(stage, ['one', 'two', 'three']);
    const own = newPath();
    const zoe = await join(stage, 'zoe', ROOM, { body: messageSdp(own, ['a=inactive']) }, own);
    // What she says is answered when she is in.
    t.equal(await zoe.say('I am on hold'), '200');
    for (const word of ['four', 'five', 'six']) t.equal(await alice.say(word), '200');
    t.equal((await alice.line.say(alice.uri, zoe.uri, 'for zoe alone')).what, '200');
    await zoe.phone.within(zoe.dialog, 'INVITE', { contentType: 'application/sdp', body: messageSdp(own) });
    zoe.phone.ack(zoe.dialog);
    const [heading, ...texts] = await next(zoe, 7);
    t.match(heading, /^2 messages from before you came/);
    t.same(texts, ['two', 'three', 'four', 'five', 'six', 'for zoe alone']);
  });
}

t.test(
  'a device that was on hold, and comes back before its lost call is known to be over, is no newcomer',
  async (t) => {
    const stage = await raise('rooms.defaults.history_messages=1');
    t.teardown(() => stage.close());
    const alice = await past(stage, ['before']);
    const own = newPath();
    const instance = 'urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6';
    const lost = await join(stage, 'zoe', ROOM, { instance, body: messageSdp(own, ['a=inactive']) }, own);
    // What she says is answered when she is in.
    t.equal(await lost.say('I am on hold'), '200');
    for (const word of ['one', 'two']) t.equal(await alice.say(word), '200');
    const back = await join(stage, 'zoe', ROOM, { instance });
    const [heading, ...texts] = await next(back, 4);
    t.match(heading, /^3 messages that you missed, since /);
    t.same(texts, ['I am on hold', 'one', 'two']);
  },
);

for (const durability of ['memory', 'disk']) {
  t.test(`what is said to who is in, and has not bound the session yet, comes when it is: ${durability}`, async (t) => {
    const data = t.testdir();
    const stage = await raise(
      ...[`data=${data}`, `rooms.defaults.durability=${durability}`, 'rooms.defaults.history_messages=1'],
    );
    t.teardown(() => stage.close());
    const alice = await past(stage, ['one', 'two']);
    const phone = await SipPhone.connect('zoe', stage.sip);
    phone.instance = 'urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6';
    const call = async (own: string): Promise<{ readonly dialog: PhoneDialog; readonly path: string }> => {
      const offer = { contentType: 'application/sdp', body: messageSdp(own) };
      const { response, dialog } = await phone.request('INVITE', ROOM, offer);
      phone.ack(dialog);
      // Until the log has kept that she is in, nobody has her address.
      let alone = '404';
      while (alone === '404') alone = (await alice.line.say(alice.uri, phone.uri, 'for zoe alone')).what;
      t.equal(alone, '200', 'RFC 7701 §6.2');
      t.equal(await alice.say('three'), '200');
      return { dialog, path: pathOf(response.body) };
    };
    const { dialog } = await call(newPath());
    await phone.within(dialog, 'BYE');
    t.equal(await alice.say('four'), '200');

    const own = newPath();
    const { path } = await call(own);
    const line = await MsrpLine.bind(own, path);
    const texts = [];
    for (let i = 0; i < 4; i++) texts.push(textOf(await nextSend(line)));
    t.match(texts.shift(), /^One message from before you came/, 'she has heard nothing yet: a newcomer');
    t.same(texts, ['four', 'for zoe alone', 'three']);
  });
}

t.test('a device that is gone before the log has kept that it came is sent what it has missed', async (t) => {
  const stage = await raise(
    `data=${t.testdir()}`,
    'rooms.defaults.durability=disk',
    'rooms.defaults.history_messages=0',
  );
  t.teardown(() => stage.close());
  const alice = await join(stage, 'alice');
  const extra = { instance: 'urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6' };
  // The disk has enough to do meanwhile.
  const busy = Array.from({ length: 40 }, (_, i) => alice.say(`${i} ${'x'.repeat(3000)}`));
  const zoe = await join(stage, 'zoe', ROOM, extra);
  await zoe.leave();
  t.same(new Set(await Promise.all(busy)), new Set(['200']));
  await alice.say('missed');
  const again = await join(stage, 'zoe', ROOM, extra);
  t.match(textOf(await nextSend(again.line)), /^(?:One message|[0-9]+ messages) that you missed/);
  await again.hears('\r\n\r\nmissed');
});

t.test('the room greets, and names its subject', async (t) => {
  const stage = await raise('rooms.defaults.welcome=Be kind.', 'rooms.defaults.subject=Cats');
  t.teardown(() => stage.close());
  const bob = await join(stage, 'bob');
  t.same(await next(bob, 2), ['Be kind.', 'The subject is: Cats']);
  const instance = 'urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6';
  const carol = await join(stage, 'carol', ROOM, { instance });
  t.equal(await bob.say('one'), '200');
  t.same(await next(carol, 3), ['Be kind.', 'The subject is: Cats', 'one']);
  await carol.leave();
  const again = await join(stage, 'carol', ROOM, { instance });
  t.equal(await bob.say('two'), '200');
  t.same(await next(again, 1), ['two'], 'a device that comes back is not greeted again');
});

t.test('the past outlives the service', async (t) => {
  const data = t.testdir();
  const options = [`data=${data}`, 'rooms.defaults.durability=disk', 'rooms.defaults.history_messages=5'];
  const instance = 'urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6';
  const first = await raise(...options);
  const alice = await past(first, ['one', 'two']);
  const bob = await join(first, 'bob', ROOM, { instance });
  t.same((await next(bob, 3)).slice(1), ['one', 'two']);
  await bob.leave();
  await alice.say('three');
  await first.close();

  const second = await raise(...options);
  t.teardown(() => second.close());
  const again = await join(second, 'bob', ROOM, { instance });
  t.same((await next(again, 2)).slice(1), ['three']);
  const carol = await join(second, 'carol');
  t.same((await next(carol, 4)).slice(1), ['one', 'two', 'three']);
});

t.test(
  '/history: who is here is sent the last messages again, he alone, with their ids and his own words',
  async (t) => {
    const stage = await raise('rooms.defaults.history_messages=3');
    t.teardown(() => stage.close());
    const alice = await past(stage, ['one', 'two']);
    const bob = await join(stage, 'bob', `${ROOM};history=0`);
    const carol = await join(stage, 'carol', `${ROOM};history=0`);
    await alice.say('three');
    const three = await nextSend(bob.line);
    await bob.say('four');
    await next(carol, 2);
    t.equal(await bob.say('/history 2'), '200');
    t.match((await next(bob, 1))[0], /^2 messages again, since \d{4}-\d\d-\d\d \d\d:\d\d UTC:$/);
    const again = await nextSend(bob.line);
    t.equal(again.body, three.body);
    t.equal(again.headers.get('Message-ID'), three.headers.get('Message-ID'));
    t.same(await next(bob, 1), ['four']);
    for (const order of ['/history', '/history 100', '/history 1h']) {
      t.equal(await bob.say(order), '200');
      t.same((await next(bob, 4)).slice(1), ['two', 'three', 'four'], `${order}: not more than the room gives`);
    }
    t.equal(await bob.say('/history soon'), '200');
    t.same(await next(bob, 1), ['Write it so: /history [20|2h]']);
    t.equal(await bob.say('/history 0'), '200');
    t.same(await next(bob, 1), ['There is nothing of that time to show.']);
    await alice.say('five');
    t.same(await next(bob, 1), ['five']);
    t.same(await next(carol, 1), ['five'], 'nobody else hears of it');
  },
);

t.test('RFC 7701 §6.2: /history shows private messages to the two only', async (t) => {
  const stage = await raise('rooms.defaults.history_messages=5');
  t.teardown(() => stage.close());
  const alice = await past(stage, ['for all']);
  const bob = await join(stage, 'bob', `${ROOM};history=0`);
  const carol = await join(stage, 'carol', `${ROOM};history=0`);
  t.equal((await alice.line.say(alice.uri, bob.uri, 'for bob')).what, '200');
  await bob.hears('for bob');
  for (const { name, sees } of [
    { name: alice, sees: ['for all', 'for bob'] },
    { name: bob, sees: ['for all', 'for bob'] },
    { name: carol, sees: ['for all'] },
  ]) {
    t.equal(await name.say('/history 5'), '200');
    t.same((await next(name, sees.length + 1)).slice(1), sees);
  }
});

t.test('/history: what is said meanwhile comes behind it: nothing lost, nothing twice', async (t) => {
  const stage = await raise(
    `data=${t.testdir()}`,
    'rooms.defaults.durability=disk',
    'rooms.defaults.history_messages=5',
    'rooms.defaults.messages_per_second=100000',
    'rooms.defaults.messages_at_once=100000',
  );
  t.teardown(() => stage.close());
  const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => String(from + i));
  const alice = await past(stage, numbers(0, 20));
  const bob = await join(stage, 'bob', `${ROOM};history=0`);
  const saying = numbers(20, 120).map((number) => alice.say(number));
  await bob.hears('20');
  t.equal(await bob.say('/history 5'), '200');
  await Promise.all([...saying, alice.say('end')]);
  const heard: string[] = [];
  while (heard.at(-1) !== 'end') heard.push(...(await next(bob, 1)));
  const heading = heard.findIndex((text) => /^5 messages again/.test(text));
  const before = heard.slice(0, heading).map(Number);
  const behind = heard.slice(heading + 6, -1).map(Number);
  t.same([...before, ...behind].join(), numbers(21, 120).join(), 'each once, in their order');
  const again = heard.slice(heading + 1, heading + 6).map(Number);
  t.equal(again.at(-1), before.at(-1) ?? 20, 'the past ends where the present began');
});

for (const first of ['an empty SEND', 'the order itself']) {
  t.test(`/history in the moment of coming in, behind ${first}: it comes, and so does any other answer`, async (t) => {
    const stage = await raise(
      ...['rooms.defaults.durability=disk', 'rooms.defaults.history_messages=5', 'rooms.defaults.messages_at_once=20'],
    );
    t.teardown(() => stage.close());
    await past(stage, ['one', 'two']);
    const phone = await SipPhone.connect('bob', stage.sip, stage.host);
    t.teardown(() => {
      phone.hangUp();
    });
    const own = newPath();
    const offer = { contentType: 'application/sdp', body: messageSdp(own) };
    const { response } = await phone.request('INVITE', `${ROOM};history=0`, offer);
    // No ACK yet: the bind alone brings bob in, and the disk has to keep that first.
    const line = MsrpLine.open(own, pathOf(response.body));
    t.teardown(() => {
      line.close();
    });
    if (first === 'an empty SEND') line.send('SEND', ['Message-ID: bind1234', 'Byte-Range: 1-0/0']);
    for (const order of ['/history 1', '/history never', '/kik alice']) {
      line.send('SEND', ...cpim(phone.uri, ROOM, order));
    }
    const texts: string[] = [];
    while (texts.length < 4) texts.push(textOf(await nextSend(line)));
    t.match(
      texts.find((text) => text.startsWith('One message again')),
      /since/,
    );
    t.ok(texts.includes('two'), 'the last message');
    t.ok(texts.includes('Write it so: /history [20|2h]'));
    t.ok(
      texts.some((text) => text.startsWith('Said to no one')),
      'the slip is explained',
    );
    t.equal(line.take((frame) => frame.what.startsWith('2')).length, first === 'an empty SEND' ? 3 : 2);
    t.not(line.first?.what, 'SEND', 'RFC 4975 §5.4: the answer to the first request is the first frame');
  });
}

t.test('/history from a line on hold is refused in words', async (t) => {
  const stage = await raise('rooms.defaults.history_messages=5');
  t.teardown(() => stage.close());
  await past(stage, ['one']);
  const bob = await join(stage, 'bob', `${ROOM};history=0`);
  const held = messageSdp(bob.line.own, ['a=sendonly']);
  const response = await bob.phone.within(bob.dialog, 'INVITE', { contentType: 'application/sdp', body: held });
  t.equal(response.status, 200);
  bob.phone.ack(bob.dialog);
  for (const order of ['/history', '/help']) {
    const answer = await bob.line.say(bob.uri, ROOM, order);
    t.match({ ...answer }, { what: '403', comment: /^Nothing of the chat goes to your device at present, as on hold/ });
  }
});

t.test('/history: one at a time, no faster than one may speak, and not from outside', async (t) => {
  stopTheClock(t);
  const stage = await raise(
    'rooms.defaults.history_messages=5',
    'rooms.defaults.messages_per_second=1',
    'rooms.defaults.messages_at_once=4',
  );
  t.teardown(() => stage.close());
  await past(stage, ['one']);
  const bob = await join(stage, 'bob', `${ROOM};history=0`);
  const asked = await Promise.all([1, 2, 3, 4, 5].map(() => bob.say('/history')));
  t.same(asked, ['200', '200', '200', '200', '403']);
  const texts = (await next(bob, 6)).map((text) => text.slice(0, 17)).toSorted();
  t.same(texts.slice(0, 2), ['One message again', 'One message again']);
  t.same(texts.slice(-2), ['one', 'one'], 'and one more waits its turn');
});
