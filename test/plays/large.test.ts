import t from 'tap';
import { httpOf, join, type Member, messageSdp, newPath, pathOf, raise, ROOM } from './stage.ts';
import type { Frame } from './msrp-line.ts';
import { SipPhone } from './sip-phone.ts';

// Run by itself, a file has 30 s: not enough where others keep the machine busy.
t.setTimeout(600_000);

/** A picture in CPIM, as large as wanted. */
function picture(from: string, size: number, to = ROOM): string {
  const head =
    `From: <${from}>\r\nTo: <${to}>\r\nDateTime: 2026-01-01T00:00:00Z\r\n\r\n` +
    'Content-Type: image/jpeg\r\nContent-Disposition: attachment; filename="../beach \\"1\\".jpg"\r\n\r\n';
  return head + 'picture '.repeat(Math.ceil(size / 8)).slice(0, size - head.length);
}

let count = 0;

/** Sends a message in chunks, one by one. */
class Sender {
  readonly id: string;
  readonly member: Member;
  readonly #body: string;
  readonly #total: string;
  #sent = 0;

  constructor(member: Member, body: string, total = String(body.length), id?: string) {
    count += 1;
    this.id = id ?? `large-${String(count)}`;
    this.member = member;
    this.#body = body;
    this.#total = total;
  }

  /** Gives the answer to the chunk. */
  async send(octets: number, flag?: string): Promise<string> {
    const from = this.#sent;
    this.#sent = Math.min(this.#body.length, from + octets);
    const end = this.#sent === this.#body.length ? '$' : '+';
    const headers = [
      `Message-ID: ${this.id}`,
      `Byte-Range: ${String(from + 1)}-*/${this.#total}`,
      'Content-Type: message/cpim',
    ];
    const { line } = this.member;
    const id = line.send('SEND', headers, this.#body.slice(from, this.#sent), flag ?? end);
    const { what, comment } = await line.next((frame) => frame.id === id && /^\d/.test(frame.what));
    return comment === 'OK' ? what : `${what} ${comment}`;
  }
}

/** Hears chunks until one that is not to be followed by others; gives the whole, and its flag. */
async function receive(
  member: Member,
): Promise<{ readonly text: string; readonly flag: string; readonly chunks: number }> {
  const chunks: Frame[] = [];
  const first = await member.line.next(
    (frame) => frame.what === 'SEND' && frame.headers.get('Byte-Range')?.startsWith('1-*') === true,
  );
  const id = first.headers.get('Message-ID');
  for (let frame = first; ; frame = await member.line.next((next) => next.headers.get('Message-ID') === id)) {
    chunks.push(frame);
    if (frame.flag !== '+')
      return { text: chunks.map(({ body }) => body).join(''), flag: frame.flag, chunks: chunks.length };
  }
}

t.test(
  'RFC 7701 §6.1: a large message is passed on as it comes, with its octets unchanged, in the order of beginnings',
  async (t) => {
    const stage = await raise();
    t.teardown(() => stage.close());
    const [alice, bob, carol] = [await join(stage, 'alice'), await join(stage, 'bob'), await join(stage, 'carol')];
    const body = picture(alice.uri, 300_000);
    const sender = new Sender(alice, body);
    const heard = [receive(bob), receive(carol)];
    t.equal(await sender.send(100_000), '200');
    // It is under way: what is said now interrupts it, and comes after its beginning.
    t.equal(await alice.say('how do you like it?'), '200');
    await Promise.all([bob.hears('how do you like it?'), carol.hears('how do you like it?')]);
    t.equal(await sender.send(100_000), '200');
    t.equal(await sender.send(100_000), '200');
    for (const { text, flag, chunks } of await Promise.all(heard)) {
      t.equal(flag, '$');
      t.ok(text === body, 'every octet');
      t.ok(chunks >= 2);
    }
    t.same(alice.line.heard(), [], 'nothing comes back to its sender');
  },
);

t.test(
  'RFC 4975 §7.3.1: who asks for the past while a large message comes gets no other one between its chunks',
  async (t) => {
    const stage = await raise('rooms.defaults.history_messages=5');
    t.teardown(() => stage.close());
    const [alice, bob] = [await join(stage, 'alice'), await join(stage, 'bob')];
    const body = picture(alice.uri, 200_000);
    const sender = new Sender(alice, body);
    const heard = receive(bob);
    t.equal(await sender.send(100_000), '200');
    t.equal(await alice.say('a small one'), '200');
    t.equal(await bob.say('/history'), '200');
    await bob.hears('One message again');
    await bob.hears('a small one');
    await bob.hears('a small one');
    t.equal(await sender.send(100_000), '200');
    const { text, flag } = await heard;
    t.equal(flag, '$');
    t.ok(text === body, 'every octet, and nothing else under its Message-ID');
    t.equal(await bob.say('/history'), '200');
    await bob.hears('[beach');
  },
);

t.test('RFC 7701 §6.1: what its sender gives up is given up for all, and may be sent again', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const [alice, bob] = [await join(stage, 'alice'), await join(stage, 'bob')];
  const body = picture(alice.uri, 200_000);
  const given = new Sender(alice, body);
  const first = receive(bob);
  await given.send(100_000);
  t.equal(await given.send(1000, '#'), '200');
  t.equal((await first).flag, '#');

  const dave = await join(stage, 'dave');
  const lost = new Sender(dave, picture(dave.uri, 200_000));
  const second = receive(bob);
  await lost.send(100_000);
  await dave.leave();
  t.equal((await second).flag, '#', 'a sender that has left');

  const third = receive(bob);
  const again = new Sender(alice, body);
  t.equal(await again.send(200_000), '200');
  t.ok((await third).text === body);

  const other = body.replace('picture picture', 'another picture');
  const fourth = receive(bob);
  t.equal(await new Sender(alice, other, undefined, again.id).send(200_000), '200');
  t.ok((await fourth).text === other, 'another one under an id that was there before is none of those');
  t.equal(
    await new Sender(alice, other, undefined, again.id).send(200_000),
    '200',
    'one that is sent again is answered again',
  );
  t.equal(await alice.say('after that'), '200');
  t.match((await bob.line.next(({ what }) => what === 'SEND')).body, 'after that', 'and not said again');
});

t.test('RFC 7701 §6.1: who was sent the line alone that stands for it is told, too, that it was aborted', async (t) => {
  const stage = await raise('rooms.defaults.history_messages=10');
  t.teardown(() => stage.close());
  const [alice, bob] = [await join(stage, 'alice'), await join(stage, 'bob')];
  const textOnly = newPath();
  const types = messageSdp(textOnly).replace('accept-wrapped-types:*', 'accept-wrapped-types:text/plain');
  const carol = await join(stage, 'carol', ROOM, { body: types }, textOnly);
  const erin = await join(stage, 'erin', ROOM, { body: types }, textOnly);
  const tom = await SipPhone.connect('tom', stage.sip);
  const call = await tom.request('INVITE', ROOM, {
    contentType: 'application/sdp',
    body: 'v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\n',
  });
  tom.ack(call.dialog);
  const textAt = async (phone: SipPhone): Promise<string> => Buffer.from((await phone.next('MESSAGE')).body).toString();

  const line = '[beach "1".jpg, image/jpeg, 98 KiB]';
  const given = new Sender(alice, picture(alice.uri, 100_000));
  const part = receive(bob);
  t.equal(await given.send(70_000), '200');
  for (const member of [carol, erin]) await member.hears(line);
  t.equal(await textAt(tom), `alice: ${line}`);
  await erin.leave();
  const dave = await join(stage, 'dave');
  await dave.hears(line);
  t.equal(await given.send(1000, '#'), '200');
  const told = `The sending of ${line} (alice) was aborted: given up by its sender.`;
  for (const member of [carol, dave]) await member.hears(told);
  t.equal(await textAt(tom), told);
  t.equal((await part).flag, '#');

  // One that comes to its end is nothing to tell of, nor is one that never began for them.
  const whole = receive(bob);
  const aside = new Sender(alice, picture(alice.uri, 100_000, bob.uri));
  t.equal(await aside.send(70_000), '200');
  t.equal(await aside.send(1000, '#'), '200');
  t.equal((await whole).flag, '#');
  const another = receive(bob);
  t.equal(await new Sender(alice, picture(alice.uri, 100_000)).send(100_000), '200');
  t.equal((await another).flag, '$');
  t.equal(await alice.say('that was all'), '200');
  for (const member of [bob, carol, dave]) {
    await member.hears('that was all');
    t.notOk(member.line.heard().some(({ body }) => body?.includes('was aborted')));
  }
});

t.test('RFC 4975 §8.6, §10.5: 413 for what is too large, announced or not', async (t) => {
  const stage = await raise('msrp.max_message=200kB', 'msrp.queue_bytes=1MiB');
  t.teardown(() => stage.close());
  const [alice, bob] = [await join(stage, 'alice'), await join(stage, 'bob')];
  const body = picture(alice.uri, 400_000);
  t.equal(await new Sender(alice, body).send(100_000), '413 Too large, at most 200000 octets');
  const silent = new Sender(alice, body, '*');
  const heard = receive(bob);
  t.equal(await silent.send(150_000), '200');
  t.equal(await silent.send(150_000), '413 Too large, at most 200000 octets');
  t.equal((await heard).flag, '#');
  t.equal(await alice.say('still here'), '200');
});

t.test('RFC 7701 §6.1: who is bound when it begins gets it, though he is still being sent the past', async (t) => {
  const stage = await raise('rooms.defaults.history_messages=20');
  t.teardown(() => stage.close());
  for (const [at, past] of [0, 1, 20].entries()) {
    const room = `sip:room${String(at)}@127.0.0.1`;
    const alice = await join(stage, 'alice', room);
    for (let i = 1; i <= past; i += 1) t.equal(await alice.say(`before, ${String(i)}.`), '200');
    const body = picture(alice.uri, 300_000, room);
    const bob = await join(stage, 'bob', room);
    const heard = receive(bob);
    const sender = new Sender(alice, body);
    const sent = [sender.send(100_000), alice.say('after its beginning'), sender.send(200_000)];
    t.same(await Promise.all(sent), ['200', '200', '200']);
    const { text, flag } = await heard;
    t.ok(text === body && flag === '$', 'every octet');
    await bob.line.hears('after its beginning');
    t.equal(
      bob.line.heard().length,
      past === 0 ? 0 : past + 1,
      'the past and its heading, and no line that stands for it',
    );
  }
});

t.test('RFC 7701 §6.1: the rules are asked at its beginning', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const [alice, bob] = [await join(stage, 'alice'), await join(stage, 'bob')];
  t.equal(await new Sender(alice, picture(bob.uri, 100_000)).send(100_000), `403 you are known here as ${alice.uri}`);
  t.match(await new Sender(alice, picture(alice.uri, 100_000, 'sip:nobody@127.0.0.1')).send(100_000), /^404/);
  t.match(await new Sender(alice, 'no CPIM at all '.repeat(10_000)).send(150_000), /^413 CPIM with more than/);
});

t.test(
  'RFC 4975 §5.4: who was lost within a large message sends it again by another call, and waits for nobody',
  async (t) => {
    const stage = await raise();
    t.teardown(() => stage.close());
    const [alice, bob] = [await join(stage, 'alice'), await join(stage, 'bob')];
    const body = picture(alice.uri, 200_000);
    const lost = new Sender(alice, body);
    const first = receive(bob);
    t.equal(await lost.send(100_000), '200');
    // Its connections are open still, for all that is known here.
    const back = await join(stage, 'alice');
    const again = new Sender(back, body, undefined, lost.id);
    t.equal(await again.send(100_000), '200');
    t.equal((await first).flag, '#');
    const second = receive(bob);
    t.equal(await again.send(100_000), '200');
    const { text, flag } = await second;
    t.equal(flag, '$');
    t.ok(text === body, 'every octet');
    t.match(await lost.send(100_000), /^413 /, 'should it not have been lost at all, it is told');
  },
);

t.test(
  '/retract of a large message that is under way: the rest of it goes to nobody, and its sender is told',
  async (t) => {
    const stage = await raise();
    t.teardown(() => stage.close());
    const [alice, bob] = [await join(stage, 'alice'), await join(stage, 'bob')];
    const sender = new Sender(alice, picture(alice.uri, 200_000));
    const heard = receive(bob);
    t.equal(await sender.send(100_000), '200');
    t.equal(await alice.say('/retract'), '200');
    t.equal((await heard).flag, '#');
    t.equal(await sender.send(100_000), '413 taken back');
  },
);

t.test(
  'RFC 4975 §5.4: a large message that was said is not said again after a restart, when its sender repeats it',
  async (t) => {
    const options = [`data=${t.testdir()}`, 'rooms.defaults.durability=disk', 'rooms.defaults.permanent=true'];
    const first = await raise(...options);
    const [alice, bob] = [await join(first, 'alice'), await join(first, 'bob')];
    const body = picture(alice.uri, 200_000);
    const [said, broken] = [new Sender(alice, body), new Sender(alice, body)];
    const heard = receive(bob);
    t.equal(await said.send(200_000), '200');
    t.equal((await heard).flag, '$');
    t.equal(await broken.send(100_000), '200');
    await first.close();

    const second = await raise(...options);
    t.teardown(() => second.close());
    const [again, carol] = [await join(second, 'alice'), await join(second, 'carol')];
    t.equal(await new Sender(again, body, undefined, said.id).send(200_000), '200');
    const next = receive(carol);
    t.equal(await new Sender(again, body, undefined, broken.id).send(200_000), '200');
    t.equal((await next).flag, '$', 'what had not come to its end may be said');
    await again.say('the end');
    await carol.hears('the end');
    t.same(
      carol.line.heard().map(({ headers }) => headers.get('Byte-Range')),
      [],
      'nothing else was said',
    );
  },
);

t.test('RFC 7701 §6.2: a large private message goes to one only', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const [alice, bob, carol] = [await join(stage, 'alice'), await join(stage, 'bob'), await join(stage, 'carol')];
  const body = picture(alice.uri, 100_000, bob.uri);
  const heard = receive(bob);
  t.equal(await new Sender(alice, body).send(100_000), '200');
  t.ok((await heard).text === body);
  t.equal(await alice.say('for all'), '200');
  await carol.hears('for all');
  t.same(carol.line.heard(), []);
});

t.test('a line stands for it: for who cannot take its type or size, and for who comes later', async (t) => {
  const stage = await raise('rooms.defaults.history_messages=10');
  t.teardown(() => stage.close());
  const alice = await join(stage, 'alice');
  const textOnly = newPath();
  const bob = await join(
    stage,
    'bob',
    ROOM,
    { body: messageSdp(textOnly).replace('accept-wrapped-types:*', 'accept-wrapped-types:text/plain') },
    textOnly,
  );
  const small = newPath();
  const carol = await join(stage, 'carol', ROOM, { body: messageSdp(small, ['a=max-size:50000']) }, small);
  const sender = new Sender(alice, picture(alice.uri, 120_000));
  t.equal(await sender.send(70_000), '200');
  const line = '[beach "1".jpg, image/jpeg, 117 KiB]';
  for (const member of [bob, carol]) {
    const { body = '' } = await member.line.hears(line);
    t.match(body, `From: <${alice.uri}>`, 'as if she had said it');
  }
  t.equal(await sender.send(50_000), '200');
  const dave = await join(stage, 'dave');
  await dave.hears(line);
});

t.test(
  'RFC 4975 §8.6: who takes less than a message of unknown size turns out to have is spared the rest',
  async (t) => {
    const stage = await raise();
    t.teardown(() => stage.close());
    const alice = await join(stage, 'alice');
    const bob = await join(stage, 'bob');
    const small = newPath();
    const carol = await join(stage, 'carol', ROOM, { body: messageSdp(small, ['a=max-size:100000']) }, small);
    const body = picture(alice.uri, 150_000);
    const sender = new Sender(alice, body, '*');
    t.equal(await sender.send(90_000), '200');
    t.equal(await sender.send(60_000), '200');
    const [whole, part] = [await receive(bob), await receive(carol)];
    t.same([whole.text === body, whole.flag], [true, '$']);
    t.equal(part.flag, '#');
    t.ok(part.text.length <= 100_000);
    await carol.line.hears('[beach "1".jpg, image/jpeg]');
  },
);

t.test('RFC 7701 §6.4: a reader that does not read is let go, and nobody waits for it for long', async (t) => {
  const stage = await raise('msrp.max_message=40MB', 'msrp.congested_for=6s');
  t.teardown(() => stage.close());
  const [alice, bob, carol] = [await join(stage, 'alice'), await join(stage, 'bob'), await join(stage, 'carol')];
  carol.line.pause();
  // More than the system keeps for a socket that nobody reads.
  const body = picture(alice.uri, 12_000_000);
  const heard = bob.line.next(
    (frame) => frame.what === 'SEND' && frame.flag === '$' && frame.headers.get('Message-ID') !== undefined,
  );
  const sender = new Sender(alice, body);
  t.equal(await sender.send(12_000_000), '200');
  t.equal((await heard).headers.get('Byte-Range')?.split('/')[1], '12000000');
  t.equal(await alice.say('and a word'), '200');
  await bob.hears('and a word');
  carol.line.close();
});

t.test('RFC 7701 §6.4: who has held up the others is told so, and what has been left out', async (t) => {
  const stage = await raise('msrp.max_message=40MB', 'msrp.congested_for=1s');
  t.teardown(() => stage.close());
  const [alice, bob, carol] = [await join(stage, 'alice'), await join(stage, 'bob'), await join(stage, 'carol')];
  carol.line.pause();
  const heard = bob.line.next(({ what, flag }) => what === 'SEND' && flag === '$');
  const sender = new Sender(alice, picture(alice.uri, 12_000_000));
  t.equal(await sender.send(12_000_000), '200');
  await heard;
  carol.line.resume();
  t.equal((await receive(carol)).flag, '#');
  const { body = '' } = await carol.line.hears('[beach "1".jpg, image/jpeg, 11.4 MiB]');
  t.match(body, `From: <${alice.uri}>`);
  await carol.hears('More is said here than your client reads');
  await carol.hears('One message left out');
});

t.test(
  'who takes a message only in one piece gets what else is said, however slowly the large one comes',
  async (t) => {
    const stage = await raise('msrp.congested_for=1s');
    t.teardown(() => stage.close());
    const alice = await join(stage, 'alice');
    const bob = await join(stage, 'bob', ROOM, { headers: ['User-Agent: Blink 6.0'] });
    const sender = new Sender(alice, picture(alice.uri, 1_000_000));
    t.equal(await sender.send(100_000), '200');
    t.equal(await alice.say('are you there?'), '200');
    const heard = { all: false };
    void bob.hears('are you there?').then(() => (heard.all = true));
    while (!heard.all) await sender.send(1);
    t.equal((await receive(bob)).flag, '#');
    await bob.line.hears('[beach "1".jpg, image/jpeg, 977 KiB]');
  },
);

t.test('RFC 4975 §10.4: whose part is given up since no answer came is told what it was', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const [alice, bob] = [await join(stage, 'alice'), await join(stage, 'bob')];
  const sender = new Sender(alice, picture(alice.uri, 200_000));
  t.equal(await sender.send(100_000), '200');
  bob.line.answers = false;
  t.equal(await alice.say('it goes in pieces'), '200');
  const begun = await bob.line.next(({ headers }) => headers.get('Byte-Range')?.endsWith('/200000') === true);
  t.equal(begun.flag, '+');
  bob.line.write(
    `MSRP ${begun.id} 408 late\r\nTo-Path: ${bob.line.room}\r\nFrom-Path: ${bob.line.own}\r\n-------${begun.id}$\r\n`,
  );
  const id = begun.headers.get('Message-ID');
  const isSame = ({ headers }: Frame): boolean => headers.get('Message-ID') === id;
  t.equal((await bob.line.next(isSame)).flag, '#');
  t.match((await bob.line.next(isSame)).body, '[beach "1".jpg, image/jpeg, 195 KiB]');
  t.equal(await sender.send(100_000), '200');
});

t.test(
  'what finds no place among many large messages is named; its reader does not wait for their senders to be called slow',
  async (t) => {
    const stage = await raise('rooms.defaults.messages_per_second=100000', 'rooms.defaults.messages_at_once=100000');
    t.teardown(() => stage.close());
    const bob = await join(stage, 'bob');
    const senders: Sender[] = [];
    for (const name of ['alice', 'carol', 'dave']) {
      const member = await join(stage, name);
      for (let i = 0; i < 22; i += 1) senders.push(new Sender(member, picture(member.uri, 80_000)));
    }
    for (const sender of senders) t.equal(await sender.send(70_000), '200');
    for (let i = 64; i < senders.length; i += 1) await bob.line.hears('[beach "1".jpg, image/jpeg, 78 KiB]');
    const whole = senders
      .slice(0, 64)
      .map(() =>
        bob.line.next(({ flag, headers }) => flag === '$' && headers.get('Byte-Range')?.endsWith('/80000') === true),
      );
    for (const sender of senders) t.equal(await sender.send(10_000), '200');
    await Promise.all(whole);
    t.equal(await (senders[0]?.member ?? bob).say('all of it is here'), '200');
    await bob.hears('all of it is here');
    t.notOk(bob.line.heard().some(({ body = '' }) => body.includes('your client reads')));
  },
);

t.test(
  'RFC 7701 §6.1: a slow reader who goes on holds up the sender, with his other sessions on the connection',
  async (t) => {
    const stage = await raise('msrp.max_message=40MB');
    t.teardown(() => stage.close());
    const [alice, bob] = [await join(stage, 'alice'), await join(stage, 'bob')];
    const side = 'sip:side@127.0.0.1';
    const dave = await join(stage, 'dave', side);
    const erin = await join(stage, 'erin', side);
    const own = newPath();
    const call = await alice.phone.request('INVITE', side, { contentType: 'application/sdp', body: messageSdp(own) });
    alice.phone.ack(call.dialog);
    const second = await alice.line.another(own, pathOf(call.response.body));
    t.equal((await second.say(alice.uri, side, 'before')).what, '200');
    for (const member of [dave, erin]) await member.hears('before');

    bob.line.pause();
    // More than the system keeps for a socket that nobody reads.
    const body = picture(alice.uri, 12_500_000);
    const heard = receive(bob);
    const sender = new Sender(alice, body);
    const answers: string[] = [];
    const noted = async (what: string, answer: Promise<string>): Promise<void> => {
      answers.push(`${what}: ${await answer}`);
    };
    const say = async (text: string): Promise<string> => (await second.say(alice.uri, side, text)).what;
    const all = [
      noted('chunk', sender.send(12_000_000)),
      ...['one', 'two', 'three'].map((text) => noted(text, say(text))),
      noted('last chunk', sender.send(500_000)),
    ];
    // Others have their say meanwhile, each time all the way through the room.
    for (let i = 0; i < 20; i += 1) {
      t.equal(await dave.say(`dave ${String(i)}`), '200');
      await erin.hears(`dave ${String(i)}`);
    }
    t.same(answers, [], 'nothing of what she has sent by this connection is answered');
    t.same(erin.line.heard(), []);

    bob.line.resume();
    await Promise.all(all);
    t.same(answers.toSorted(), ['chunk: 200', 'last chunk: 200', 'one: 200', 'three: 200', 'two: 200']);
    const { text, flag } = await heard;
    t.equal(flag, '$');
    t.ok(text === body, 'every octet');
    for (const said of ['one', 'two', 'three']) {
      const frame = await erin.line.next(({ body: each }) => each?.includes(`<${alice.uri}>`) === true);
      t.ok(frame.body?.endsWith(said), 'in their order');
    }
  },
);

t.test(
  'RFC 7701 §6.4: who reads too slowly is told, gets the newest, and is let go when it does not get better',
  async (t) => {
    const stage = await raise(
      ...[
        'msrp.queue_bytes=128KiB',
        'msrp.congested_for=6s',
        'rooms.defaults.messages_per_second=100000',
        'rooms.defaults.messages_at_once=100000',
      ],
    );
    t.teardown(() => stage.close());
    const [alice, bob, carol] = [await join(stage, 'alice'), await join(stage, 'bob'), await join(stage, 'carol')];
    bob.line.pause();
    const filler = 'x'.repeat(30_000);
    let said = 0;
    const say = async (): Promise<void> => {
      said += 1;
      const text = `number ${String(said)} ${filler}`;
      if ((await alice.say(text)) !== '200') throw new Error('not taken');
      await carol.hears(`number ${String(said)} `);
    };
    const congested = (): number => stage.lines.filter((line) => line.includes('reads too slowly')).length;
    while (congested() < 1) await say();
    const head = `From: <${alice.uri}>\r\nTo: <${ROOM}>\r\n\r\nContent-Type: application/im-iscomposing+xml\r\n\r\n`;
    const sign = `${head}<isComposing xmlns="urn:ietf:params:xml:ns:im-iscomposing"><state>active</state></isComposing>`;
    const range = `Byte-Range: 1-${String(sign.length)}/${String(sign.length)}`;
    const headers = ['Message-ID: typing-1', range, 'Content-Type: message/cpim'];
    t.equal((await alice.line.request('SEND', headers, sign)).what, '200');
    await carol.hears('isComposing');
    for (let i = 0; i < 20; i += 1) await say();
    bob.line.resume();
    await bob.line.hears('some of it is left out');
    await bob.line.hears(`number ${String(said)} `);
    const { body: told = '' } = await bob.line.hears('left out, since your client read too slowly');
    const leftOut = Number(/(\d+) messages left out/.exec(told)?.[1]);
    t.notOk(
      bob.line.heard().some(({ body }) => body?.includes('isComposing')),
      'RFC 3994: signs of writing are left out first',
    );
    const numbers = bob.line.heard().map(({ body = '' }) => Number(/number (\d+)/.exec(body)?.[1] ?? NaN));
    t.ok(numbers.length < said - 1, 'some are missing');
    t.same(
      numbers,
      numbers.toSorted((a, b) => a - b),
      'those that came are in order',
    );
    const again = stage.lines.filter((line) => line.includes('reads fast enough again'));
    t.match(again, [`: ${String(leftOut)} messages were left out`], 'the log says how many, as bob was told');

    bob.line.pause();
    while (congested() < 2) await say();
    for (let i = 0; i < 20; i += 1) await say();
    t.match((await bob.phone.next('BYE')).headers.get('Reason'), /reads too slowly/);
    t.equal(stage.lines.filter((line) => line.includes('has read too slowly for too long: let go')).length, 1);

    const metrics = await (await fetch(`http://127.0.0.1:${httpOf(stage)}/metrics`)).text();
    const steps = metrics.matchAll(/^grouptextchat_congestion_total\{step="(\w+)"\} (\d+)$/gm);
    const counted = new Map(Array.from(steps, ([, step = '', n]) => [step, Number(n)]));
    t.same(
      ['marked', 'told', 'relieved', 'let_go'].map((step) => counted.get(step)),
      [2, 2, 1, 1],
      'each step is seen in the figures',
    );
    t.ok((counted.get('left_out') ?? 0) > leftOut, 'with what was left out, each time');
  },
);

t.test('RFC 4976 §6.4.1: who is behind a relay gets chunks of a size that a relay can hold', async (t) => {
  const stage = await raise('msrp.relayed_chunk=3KiB');
  t.teardown(() => stage.close());
  const carol = await join(stage, 'carol');
  const dave = await join(stage, 'dave', ROOM, {}, `msrp://relay.example.net:2855/r1;tcp ${newPath()}`);
  t.equal(await carol.say('x'.repeat(7000)), '200');
  const sizes = [];
  for (let flag = '+'; flag === '+';) {
    const frame = await dave.line.next(({ what }) => what === 'SEND');
    t.equal(frame.headers.get('To-Path'), dave.line.own);
    sizes.push(frame.body?.length ?? 0);
    flag = frame.flag;
  }
  t.same(sizes.slice(0, -1), [3072, 3072]);
  t.equal(await carol.say('y'.repeat(1500)), '200');
  t.equal((await dave.line.hears('yyy')).flag, '$');
  const whole = await dave.say('z'.repeat(7000));
  t.equal(whole, '200');
  t.equal((await carol.line.hears('zzz')).flag, '$', 'all others are sent as few chunks as ever');
});
