import t from 'tap';
import { cpim } from './msrp-line.ts';
import { join, type Member, messageSdp, newPath, raise, ROOM, stopTheClock } from './stage.ts';

t.test('RFC 7701 §6: what the switch refuses, and with what', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const alice = await join(stage, 'alice');
  const bob = await join(stage, 'bob');
  const status = async (headers: readonly string[], body?: string): Promise<string> =>
    (await alice.line.request('SEND', headers, body)).what;
  const wrapped = (text: string, type = 'message/cpim'): [readonly string[], string] => {
    const size = String(Buffer.byteLength(text));
    return [['Message-ID: m-wrapped', `Byte-Range: 1-${size}/${size}`, `Content-Type: ${type}`], text];
  };

  t.equal(await status(...wrapped('hello', 'text/plain')), '415', '§6.3: no CPIM');
  t.equal(await status(...cpim('sip:bob@127.0.0.1', ROOM, 'I am Bob')), '403', '§6.3: From of somebody else');
  t.equal(await status(...cpim('sip:mallory@127.0.0.1', ROOM, 'I am nobody')), '403', '§6.3: From of nobody');
  const two = `From: <${alice.uri}>\r\nTo: <${ROOM}>\r\nTo: <${bob.uri}>\r\n\r\nContent-Type: text/plain\r\n\r\nboth`;
  t.equal(await status(...wrapped(two)), '403', '§6.1: several To');
  t.equal(await status(...cpim(alice.uri, 'sip:nobody@127.0.0.1', 'psst')), '404', '§6.2: To nobody here');
  t.equal(await status(...cpim(alice.uri, 'sip:other-room@127.0.0.1', 'wrong room')), '404', '§6.2: To another room');
  t.equal(await status(...cpim(alice.uri, 'bob@127.0.0.1', 'psst')), '404', '§6.2: To a mistyped URI');
  t.equal(await status(...cpim('alice', ROOM, 'I am no URI')), '403', '§6.3: From no URI');
  const carol = 'sip:carol@127.0.0.1';
  for (const from of [bob.uri, carol, 'alice']) {
    t.equal(await status(...cpim(from, bob.uri, 'psst')), '403', `§6.2: From ${from}, also in private`);
    t.equal(await status(...cpim(from, carol, 'psst')), '403', '§6.2: which is looked at before To');
  }
  t.equal(await status(...wrapped('no colon here\r\n\r\n\r\n\r\n')), '400', 'no CPIM inside');
  t.equal(await status(['Message-ID: m-nothing', 'Byte-Range: 1-0/0']), '200', 'RFC 4975 §7.1: no body, no message');
  t.equal(await status(['Message-ID: m-keep', 'Byte-Range: 1-0/0', 'Keep-Alive: yes']), '200', "Blink's keep-alive");
  t.equal(await status(...cpim(alice.uri, ROOM, '?OTRv3?  I would like to start')), '200', 'OTR goes nowhere');
  t.equal(await alice.say('after all that'), '200');
  await bob.hears('after all that');
  t.same(bob.line.heard(), [], 'and nothing of it reached anybody');
});

t.test('RFC 7701 §6.1: the bytes are not changed, whatever they are', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const alice = await join(stage, 'alice');
  const bob = await join(stage, 'bob');
  let sent = 0;
  const send = async (body: string): Promise<void> => {
    const size = String(Buffer.byteLength(body));
    sent += 1;
    const id = `Message-ID: bytes-${String(sent)}`;
    const answer = await alice.line.request(
      'SEND',
      [id, `Byte-Range: 1-${size}/${size}`, 'Content-Type: message/cpim'],
      body,
    );
    t.equal(answer.what, '200');
    const heard = await bob.line.next((frame) => frame.what === 'SEND' && frame.body !== undefined);
    t.equal(heard.body, body);
    t.equal(heard.headers.get('Content-Type'), 'message/cpim');
  };
  // Blink: unquoted name, bare LF between MIME headers, an empty Content-Transfer-Encoding.
  await send(
    `From: alice <${alice.uri}>\r\nTo: <${ROOM}>\r\nDateTime: 2026-01-01T00:00:00.123456+00:00\r\n\r\n` +
      'MIME-Version: 1.0\nContent-Type: text/plain; charset="utf8"\nContent-Transfer-Encoding: \n\ngrüße',
  );
  await send(
    `From: "Alice \\"A\\" B" <${alice.uri};transport=tcp>\r\nTo: <sip:lobby@localhost>\r\n` +
      'NS: MyFeatures <mid:MessageFeatures@id.foo.com>\r\nMyFeatures.VitalMessageOption: Confirmation-requested\r\n\r\n' +
      'Content-Type: text/plain\r\n\r\n-------looks$like an end-line\r\n',
  );
});

t.test('RFC 7701 §5.2, §6.1: a wrapped type goes only where it is accepted', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const alice = await join(stage, 'alice');
  const own = newPath();
  const body = messageSdp(own).replace('accept-wrapped-types:*', 'accept-wrapped-types:text/plain');
  const bob = await join(stage, 'bob', ROOM, { body }, own);
  const html = `From: <${alice.uri}>\r\nTo: <${ROOM}>\r\n\r\nContent-Type: text/html\r\n\r\n<b>hi</b>`;
  const size = String(html.length);
  const answer = await alice.line.request(
    'SEND',
    ['Message-ID: m-html', `Byte-Range: 1-${size}/${size}`, 'Content-Type: message/cpim'],
    html,
  );
  t.equal(answer.what, '200');
  t.equal(await alice.say('plain'), '200');
  const told = (await bob.line.hears('hi')).body;
  t.match(told, /Content-Type: text\/plain/, 'that something was said, he is told in words');
  t.notMatch(told, /<b>/);
  await bob.hears('plain');
  t.same(bob.line.heard(), []);
});

t.test('RFC 4975 §8.6: who lists text, and no wrapped types, is sent nothing else', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const alice = await join(stage, 'alice');
  const listing = (name: string, accepts: string) => {
    const own = newPath();
    const body = messageSdp(own)
      .replace(/a=accept-wrapped-types:.*\r\n/, '')
      .replace('accept-types:message/cpim', `accept-types:${accepts}`);
    return join(stage, name, ROOM, { body }, own);
  };
  const bob = await listing('bob', 'message/cpim text/plain');
  const carol = await listing('carol', 'message/cpim');
  const picture = `From: <${alice.uri}>\r\nTo: <${ROOM}>\r\n\r\nContent-Type: image/png\r\n\r\npixels`;
  const size = String(picture.length);
  const headers = ['Message-ID: m-picture', `Byte-Range: 1-${size}/${size}`, 'Content-Type: message/cpim'];
  t.equal((await alice.line.request('SEND', headers, picture)).what, '200');
  t.match((await bob.line.hears('image/png')).body, /Content-Type: text\/plain[^]*\[image\/png, 6 bytes\]$/);
  t.match((await carol.line.hears('image/png')).body, /pixels$/, 'of her nothing is known');
  t.equal(await alice.say('plain'), '200');
  await bob.hears('plain');
});

t.test('RFC 4975 §7.1.3, §7.2: reports and responses as the sender asks for them', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const alice = await join(stage, 'alice');
  const report = async (success: string, failure: string, to: string): Promise<readonly string[]> => {
    const [headers, body] = cpim(alice.uri, to, 'with reports', [
      `Success-Report: ${success}`,
      `Failure-Report: ${failure}`,
    ]);
    const id = alice.line.send('SEND', headers, body);
    const messageId = headers[0]?.slice('Message-ID: '.length);
    // What comes before the answer to the next SEND belongs to this one.
    const end = await alice.line.request('SEND', ['Message-ID: m-marker', 'Byte-Range: 1-0/0']);
    t.equal(end.what, '200');
    return alice.line
      .take((frame) => frame.id === id || frame.headers.get('Message-ID') === messageId)
      .map((frame) => (frame.what === 'REPORT' ? `REPORT ${frame.headers.get('Status') ?? ''}` : frame.what).trim());
  };
  t.match(await report('no', 'yes', ROOM), ['200']);
  t.match(await report('yes', 'yes', ROOM), ['200', /^REPORT 000 200/]);
  t.match(await report('yes', 'no', ROOM), [/^REPORT 000 200/]);
  t.match(await report('no', 'no', ROOM), []);
  t.match(await report('no', 'partial', ROOM), []);
  t.match(await report('no', 'partial', 'sip:nobody@127.0.0.1'), ['404']);
  t.match(await report('no', 'no', 'sip:nobody@127.0.0.1'), []);
});

t.test('RFC 4975 §5.4: a message sent again is answered again, and not said again', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const alice = await join(stage, 'alice');
  const phone2 = await join(stage, 'alice');
  const bob = await join(stage, 'bob');
  const [headers, body] = cpim(alice.uri, ROOM, 'once', ['Message-ID: m-once']);
  t.equal((await alice.line.request('SEND', headers, body)).what, '200');
  t.equal((await alice.line.request('SEND', headers, body)).what, '200', 'over the same session');
  t.equal((await phone2.line.request('SEND', headers, body)).what, '200', 'over another session of the same user');
  t.equal((await bob.line.request('SEND', ...cpim(bob.uri, ROOM, "bob's", ['Message-ID: m-once']))).what, '200');
  await bob.hears('once');
  await alice.hears("bob's");
  t.same(bob.line.heard(), [], 'exactly once');
});

t.test('RFC 4975 §5.4: who goes on with a message by another call is told to send it whole', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const bob = await join(stage, 'bob');
  for (const ends of [false, true]) {
    const first = await join(stage, 'alice');
    const id = `Message-ID: two-calls-${String(ends)}`;
    const [, body] = cpim(first.uri, ROOM, `in two halves ${String(ends)}`);
    const half = async ({ line }: Member, from: number, to: number, flag = '$') => {
      const range = `Byte-Range: ${String(from)}-${String(to)}/${String(body.length)}`;
      const headers = [id, range, 'Content-Type: message/cpim'];
      const asked = line.send('SEND', headers, body.slice(from - 1, to), flag);
      return line.next((frame) => frame.id === asked && /^\d/.test(frame.what));
    };
    t.equal((await half(first, 1, 100, '+')).what, '200');
    const second = await join(stage, 'alice');
    if (ends) await first.leave();
    t.match(await half(second, 101, body.length), { what: '400', comment: /send the whole message/ });
    t.equal((await half(second, 1, body.length)).what, '200');
    await bob.hears(`in two halves ${String(ends)}`);
  }
});

t.test('RFC 7701 §6.1: one user with two devices is served on both', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const desk = await join(stage, 'alice');
  const mobile = await join(stage, 'alice');
  const bob = await join(stage, 'bob');
  t.equal(await bob.say('to both'), '200');
  await desk.hears('to both');
  await mobile.hears('to both');
  t.equal(await desk.say('from the desk'), '200');
  await bob.hears('from the desk');
  await mobile.hears('from the desk');
  t.same(desk.line.heard(), []);
  await desk.leave();
  t.equal(await bob.say('still there'), '200');
  await mobile.hears('still there');
});

t.test('RFC 7701 §6.2: a private message reaches the devices that know what it is, and nobody else', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const alice = await join(stage, 'alice');
  const bob = await join(stage, 'bob');
  const carol = await join(stage, 'carol');
  const own = newPath();
  const dave = await join(stage, 'dave', ROOM, { body: messageSdp(own).replace(/a=chatroom.*\r\n/, '') }, own);
  const mobile = await join(stage, 'alice');
  const second = newPath();
  const old = await join(stage, 'bob', ROOM, { body: messageSdp(second).replace(' private-messages', '') }, second);
  t.equal((await alice.line.say(alice.uri, bob.uri, 'psst')).what, '200');
  await bob.hears('psst');
  t.equal((await alice.line.say(alice.uri, alice.uri, 'a note')).what, '200');
  await mobile.hears('a note');
  t.equal((await alice.line.say(alice.uri, dave.uri, 'psst')).what, '428', 'dave does not know private messages');
  t.equal(await alice.say('loud'), '200');
  await carol.hears('loud');
  t.same(carol.line.heard(), []);
  await old.hears('loud');
  t.same(old.line.heard(), [], 'a device of his that does not know what it is');
  await mobile.hears('loud');
  t.same(mobile.line.heard(), [], 'what is for bob is not for who sends it');
  t.equal(await bob.say('over'), '200');
  await alice.hears('over');
  t.same(
    alice.line.heard(),
    [],
    'RFC 7701 §6.1: the device that has sent it gets no copy, also of what is for its user',
  );
});

t.test('RFC 7701 §6: one order for all', async (t) => {
  const stage = await raise('rooms.defaults.messages_at_once=1000');
  t.teardown(() => stage.close());
  const members = await Promise.all(['alice', 'bob', 'carol', 'dave'].map((name) => join(stage, name)));
  const listeners = await Promise.all(['eve', 'frank'].map((name) => join(stage, name)));
  const all = Array.from({ length: 50 }, (_, i) => members.map(async (who) => who.say(`${who.name} ${String(i)}.`)));
  t.ok((await Promise.all(all.flat())).every((answer) => answer === '200'));
  const orders = await Promise.all(
    listeners.map(async ({ line }) => {
      const bodies: string[] = [];
      for (let i = 0; i < 200; i += 1) {
        const { body = '' } = await line.next((frame) => frame.what === 'SEND' && frame.body !== undefined);
        bodies.push(body.slice(body.lastIndexOf('\n') + 1));
      }
      return bodies;
    }),
  );
  t.equal(new Set(orders[0]).size, 200, 'all of them, each once');
  t.same(orders[0], orders[1]);
});

t.test('rates: who talks too fast is told so', async (t) => {
  stopTheClock(t);
  const stage = await raise('rooms.defaults.messages_at_once=3', 'rooms.defaults.messages_per_second=1');
  t.teardown(() => stage.close());
  const alice = await join(stage, 'alice');
  const answers = await Promise.all(['one', 'two', 'three', 'four'].map((text) => alice.say(text)));
  t.same(answers, ['200', '200', '200', '403']);
  const bob = await join(stage, 'bob', `${ROOM};history=0`);
  let count = 0;
  const shows = async (state: 'active' | 'idle'): Promise<string> => {
    const writing =
      `From: <${alice.uri}>\r\nTo: <${ROOM}>\r\n\r\nContent-Type: application/im-iscomposing+xml\r\n\r\n` +
      `<isComposing xmlns="urn:ietf:params:xml:ns:im-iscomposing"><state>${state}</state></isComposing>`;
    const size = String(writing.length);
    const headers = [`Message-ID: m-writing${String(count++)}`, `Byte-Range: 1-${size}/${size}`];
    return (await alice.line.request('SEND', [...headers, 'Content-Type: message/cpim'], writing)).what;
  };
  const signs = [
    ...Array.from({ length: 8 }, () => 'active' as const),
    ...Array.from({ length: 8 }, () => 'idle' as const),
  ];
  const told = await Promise.all(signs.map(shows));
  t.same(new Set(told), new Set(['200']), 'signs of writing that come too fast are passed over');
  const nextState = async (): Promise<string | undefined> => {
    const sign = await bob.line.next(({ body }) => body?.includes('<state>') === true);
    return /<state>(\w+)/.exec(sign.body ?? '')?.[1];
  };
  let state = await nextState();
  for (let at = 1; state === 'active' && at < 8; at += 1) state = await nextState();
  t.equal(state, 'idle', 'RFC 3994: but nobody seems to write for ever');
  t.equal(await shows('idle'), '200');
  t.equal(bob.line.take(({ body }) => body?.includes('<state>') === true).length, 0, 'the rest is passed over');
});
