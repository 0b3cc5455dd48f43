import t from 'tap';
import { parseAggregate, parseCpim } from '../../msrp/index.ts';
import { join, type Member, messageSdp, newPath, raise, ROOM } from './stage.ts';

const NS = 'NS: imdn <urn:ietf:params:imdn>';
let count = 0;

/** Sends a CPIM object of any kind; gives the status of the answer. */
async function send(
  member: Member,
  head: readonly string[],
  mime: readonly string[],
  content: string,
): Promise<string> {
  const body = `${head.join('\r\n')}\r\n\r\n${mime.join('\r\n')}\r\n\r\n${content}`;
  const size = String(Buffer.byteLength(body));
  count += 1;
  const headers = [`Message-ID: disposition${String(count)}`, `Byte-Range: 1-${size}/${size}`];
  return (await member.line.request('SEND', [...headers, 'Content-Type: message/cpim'], body)).what;
}

/** Says something whose fate its author wants to know. */
function ask(member: Member, id: string, text: string, to = ROOM): Promise<string> {
  const wishes = `imdn.Disposition-Notification: positive-delivery, display`;
  const head = [`From: <${member.uri}>`, `To: <${to}>`, NS, `imdn.Message-ID: ${id}`, wishes];
  return send(member, head, ['Content-Type: text/plain'], text);
}

const imdn = (id: string, recipient: string, kind = 'display', status = 'displayed'): string =>
  '<?xml version="1.0" encoding="UTF-8"?><imdn xmlns="urn:ietf:params:xml:ns:imdn">' +
  `<message-id>${id}</message-id><datetime>2026-01-01T00:00:00Z</datetime><recipient-uri>${recipient}</recipient-uri>` +
  `<${kind}-notification><status><${status}/></status></${kind}-notification></imdn>`;

/** Tells what became of a message. */
function report(member: Member, to: string, xml: string, from = member.uri): Promise<string> {
  const head = [`From: <${from}>`, `To: <${to}>`, NS, `imdn.Message-ID: n${String(count)}`];
  return send(member, head, ['Content-Type: message/imdn+xml', 'Content-Disposition: notification'], xml);
}

t.test('RFC 5438: a notification reaches the author of the message, and nobody else', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const alice = await join(stage, 'alice');
  const bob = await join(stage, 'bob');
  const carol = await join(stage, 'carol');
  t.equal(await ask(alice, 'id-1', 'who reads this?'), '200');
  const heard = await bob.line.hears('who reads this?');
  t.match(heard.body, /imdn\.Disposition-Notification: positive-delivery, display/, 'the wish arrives untouched');
  t.equal(await report(bob, alice.uri, imdn('id-1', bob.uri)), '200', 'to the author, as §7.2.1 has it');
  t.match(
    (await alice.line.hears('id-1')).body,
    /<recipient-uri>sip:bob@127\.0\.0\.1<\/recipient-uri>.*<displayed\/>/s,
  );
  await carol.hears('who reads this?');
  t.equal(await report(carol, ROOM, imdn('id-1', carol.uri)), '200', 'to the room, as some do');
  await alice.line.hears('sip:carol@127.0.0.1');
  t.equal(await report(bob, alice.uri, imdn('id-1', bob.uri)), '200', 'told twice');
  t.equal(await report(bob, alice.uri, imdn('id-1', bob.uri, 'delivery', 'delivered')), '200', 'another kind');
  t.match((await alice.line.hears('id-1')).body, /<delivered\/>/, 'each kind once');
  t.equal(await report(bob, carol.uri, imdn('id-1', bob.uri, 'processing', 'stored')), '404', 'not the author');
  t.equal(await report(bob, alice.uri, imdn('id-unknown', bob.uri)), '200', 'of a message nobody remembers');
  t.equal(await report(bob, alice.uri, '<imdn/>'), '400', 'no notification');
  t.equal(await report(bob, alice.uri, imdn('id-1', bob.uri), carol.uri), '403', 'From of somebody else');
  await alice.say('end');
  await bob.hears('end');
  await carol.hears('end');
  t.same(
    [alice, bob, carol].flatMap(({ line }) => line.heard()),
    [],
    'nobody got anything else',
  );
});

t.test('RFC 5438 §14: notifications about a private message come from its addressee only', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const alice = await join(stage, 'alice');
  const bob = await join(stage, 'bob');
  const mallory = await join(stage, 'mallory');
  t.equal(await ask(alice, 'id-private', 'psst', bob.uri), '200');
  await bob.hears('psst');
  t.equal(await report(mallory, alice.uri, imdn('id-private', mallory.uri)), '404');
  t.equal(await ask(mallory, 'id-private', 'give me your notifications'), '200', 'an id in use stays its first user’s');
  t.equal(await report(bob, alice.uri, imdn('id-private', bob.uri)), '200');
  await alice.line.hears('<displayed/>');
});

t.test('RFC 5438: exempt from the rule of private messages', async (t) => {
  const stage = await raise('rooms.defaults.private_messages=false');
  t.teardown(() => stage.close());
  const alice = await join(stage, 'alice');
  const bob = await join(stage, 'bob');
  t.equal((await bob.line.say(bob.uri, alice.uri, 'psst')).what, '403', 'RFC 7701 §6.2: the room has none');
  t.equal(await ask(alice, 'id-2', 'hello'), '200');
  t.equal(await report(bob, alice.uri, imdn('id-2', bob.uri)), '200');
  await alice.line.hears('<displayed/>');
});

t.test('RFC 5438: an author who is away is told when he comes back', async (t) => {
  const stage = await raise('rooms.defaults.history_messages=5');
  t.teardown(() => stage.close());
  const instance = 'urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6';
  const bob = await join(stage, 'bob');
  const alice = await join(stage, 'alice', ROOM, { instance });
  t.equal(await ask(alice, 'id-away', 'who has read this?'), '200');
  await bob.hears('who has read this?');
  await alice.leave();
  t.equal(await report(bob, alice.uri, imdn('id-away', bob.uri)), '200', 'kept for her');
  await bob.say('one');
  await bob.say('two');
  const again = await join(stage, 'alice', ROOM, { instance });
  await again.hears('two');
  t.match((await again.line.hears('id-away')).body, /<displayed\/>/, 'behind what was said');
  t.equal(await report(bob, alice.uri, imdn('id-away', bob.uri, 'delivery', 'delivered')), '200');
  await again.hears('<delivered/>');
  await again.leave();
  await bob.say('three');
  const third = await join(stage, 'alice', ROOM, { instance });
  await third.hears('three');
  await bob.say('four');
  await third.hears('four');
  t.notMatch(
    third.line.heard().map(({ body }) => body),
    [/id-away|two/],
    'and not twice',
  );
  const newcomer = await join(stage, 'carol');
  await newcomer.hears('four');
  t.notMatch(
    newcomer.line
      .heard()
      .map(({ body }) => body ?? '')
      .join('\n'),
    /message\/imdn/,
    'she alone',
  );
});

/** The notifications that came in one message, and in how many. */
const together = (body: string | undefined): readonly string[] =>
  parseAggregate(parseCpim(Buffer.from(body ?? ''))).map(
    ({ messageId, recipientUri, disposition }) => `${messageId} ${recipientUri ?? ''} ${disposition?.status ?? ''}`,
  );

t.test('RFC 5438 §8.3: notifications go together when everybody has told', async (t) => {
  const stage = await raise('rooms.defaults.aggregate_notifications=1h');
  t.teardown(() => stage.close());
  const alice = await join(stage, 'alice');
  const plain = newPath();
  const old = messageSdp(plain).replace('accept-wrapped-types:*', 'accept-wrapped-types:text/plain message/imdn+xml');
  const desk = await join(stage, 'alice', ROOM, { body: old }, plain);
  const bob = await join(stage, 'bob');
  const carol = await join(stage, 'carol');
  const dave = await join(stage, 'dave', ROOM, { headers: ['Privacy: id'] });
  const alias = /sip:anonymous-[0-9a-f]+@anonymous\.invalid/.exec(
    (await dave.line.hears('You are anonymous here')).body ?? '',
  )?.[0];
  t.equal(await ask(alice, 'id-all', 'who reads this?'), '200');
  const seen = imdn('id-all', bob.uri);
  t.equal(await report(bob, alice.uri, seen), '200');
  t.equal(await report(carol, alice.uri, imdn('id-all', ROOM)), '200', '§11.1.3: the To of the message');
  t.equal(await report(bob, alice.uri, imdn('id-all', bob.uri, 'delivery', 'delivered')), '200', 'another kind');
  t.equal(await report(dave, alice.uri, imdn('id-all', dave.uri), alias), '200');
  const told = await alice.line.hears('multipart/mixed');
  t.match(told.body, /\r\nContent-Disposition: notification\r\n/);
  t.match(told.body, /^From: <sip:lobby@127\.0\.0\.1>\r\nTo: <sip:alice@127\.0\.0\.1>\r\n/);
  t.ok(told.body?.includes(`Content-Type: message/imdn+xml\r\n\r\n${seen}\r\n--`), 'as it was received');
  t.same(together(told.body), [
    `id-all ${bob.uri} displayed`,
    `id-all ${carol.uri} displayed`,
    `id-all ${bob.uri} delivered`,
    `id-all ${String(alias)} displayed`,
  ]);
  t.notMatch(told.body, /sip:dave/, '§8: who is anonymous is not named');
  await desk.hears('who reads this?');
  t.ok((await desk.line.hears('id-all')).body?.endsWith(seen), '§8.3: individual ones, for who takes no multipart');
  for (let i = 0; i < 3; i++) t.match((await desk.line.hears('id-all')).body, /Content-Type: message\/imdn\+xml/);
  t.equal(await ask(alice, 'id-private', 'psst', bob.uri), '200');
  t.equal(await report(bob, alice.uri, imdn('id-private', bob.uri)), '200');
  t.match((await alice.line.hears('id-private')).body, /Content-Type: message\/imdn\+xml/, 'one is told as it is');
  await alice.say('end');
  await bob.hears('end');
  t.same(alice.line.heard(), []);
});

t.test('RFC 5438 §8.3: notifications go together when the time is over', async (t) => {
  const stage = await raise('rooms.defaults.aggregate_notifications=100ms');
  t.teardown(() => stage.close());
  const alice = await join(stage, 'alice');
  const readers = [await join(stage, 'bob'), await join(stage, 'carol')];
  await join(stage, 'dave');
  t.equal(await ask(alice, 'id-timer', 'who reads this?'), '200');
  const answers = readers.map((reader) => report(reader, alice.uri, imdn('id-timer', reader.uri)));
  t.same(await Promise.all(answers), ['200', '200']);
  t.same(together((await alice.line.hears('multipart/mixed')).body), [
    `id-timer sip:bob@127.0.0.1 displayed`,
    `id-timer sip:carol@127.0.0.1 displayed`,
  ]);
});

t.test('RFC 5438 §8.3: those that are on their way to the disk together reach the author together', async (t) => {
  const stage = await raise('rooms.defaults.durability=disk', 'rooms.defaults.aggregate_notifications=1h');
  t.teardown(() => stage.close());
  const alice = await join(stage, 'alice');
  const readers = await Promise.all(['bob', 'carol', 'dave', 'eve'].map((name) => join(stage, name)));
  for (const id of ['id-1', 'id-2', 'id-3', 'id-4']) {
    t.equal(await ask(alice, id, 'who reads this?'), '200');
    await Promise.all(readers.map((reader) => report(reader, alice.uri, imdn(id, reader.uri))));
    const told = await alice.line.hears(id);
    t.equal(together(told.body).length, readers.length);
  }
});

t.test('RFC 5438 §8.3: what waits is lost neither when the author goes nor when the service ends', async (t) => {
  const data = t.testdir();
  const options = [`data=${data}`, 'rooms.defaults.durability=disk', 'rooms.defaults.aggregate_notifications=1h'];
  const instance = 'urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6';
  const first = await raise(...options);
  const bob = await join(first, 'bob');
  const carol = await join(first, 'carol');
  const alice = await join(first, 'alice', ROOM, { instance });
  t.equal(await ask(alice, 'id-1', 'who reads this?'), '200');
  t.equal(await report(bob, alice.uri, imdn('id-1', bob.uri)), '200');
  t.equal(await bob.say('said after it'), '200');
  await alice.hears('said after it');
  alice.line.close();
  await alice.leave();
  t.equal(await report(carol, alice.uri, imdn('id-1', carol.uri)), '200', 'while she is away');
  const again = await join(first, 'alice', ROOM, { instance });
  const both = [`id-1 ${bob.uri} displayed`, `id-1 ${carol.uri} displayed`];
  t.same(together((await again.line.hears('multipart/mixed')).body), both, 'both when she is back');
  t.equal(await ask(again, 'id-2', 'and this?'), '200');
  t.equal(await report(bob, alice.uri, imdn('id-2', bob.uri)), '200');
  const desk = await join(first, 'alice');
  t.match((await again.line.hears('id-2')).body, /<displayed\/>/, 'at once when another device comes');
  t.equal(await report(carol, alice.uri, imdn('id-2', carol.uri, 'delivery', 'delivered')), '200');
  again.line.answers = false;
  await first.close();
  t.match((await again.line.hears('id-2')).body, /<delivered\/>/, 'at the end');
  desk.line.close();

  const second = await raise(...options);
  t.teardown(() => second.close());
  const last = await join(second, 'alice', ROOM, { instance });
  t.match((await last.line.hears('id-2')).body, /<delivered\/>/, 'again, since she had not answered');
});

t.test('RFC 7701 §5.2, RFC 3323: somebody anonymous stays so', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const alice = await join(stage, 'alice');
  const ghost = await join(stage, 'ghost', ROOM, { headers: ['Privacy: id'] });
  const notice = (await ghost.line.hears('You are anonymous here')).body;
  const refused = await ghost.line.say(ghost.uri, ROOM, 'boo');
  t.equal(refused.what, '403', '§6.1: a From that reveals him');
  const alias = /sip:anonymous-[0-9a-f]+@anonymous\.invalid/.exec(refused.comment)?.[0] ?? '';
  t.not(alias, '', 'he is told his anonymous URI');
  t.match(notice, alias, 'and was when he came in');
  const nameless = await join(stage, 'nameless', ROOM, { from: 'sip:anonymous@anonymous.invalid' });
  const welcome = (await nameless.line.hears('You are anonymous here: others see sip:anonymous-')).body ?? '';
  const nobody = /sip:anonymous-[0-9a-f]+@anonymous\.invalid/.exec(welcome)?.[0] ?? '';
  t.equal((await ghost.line.say(alias, ROOM, 'boo')).what, '200');
  await alice.hears('boo');
  t.equal((await alice.line.say(alice.uri, alias, 'who are you?')).what, '200', '§6.1: he is written to by it');
  await ghost.hears('who are you?');
  t.equal((await alice.line.say(alice.uri, ghost.uri, 'ghost?')).what, '404', 'and not by what he hides');
  t.equal(await ask(alice, 'id-3', 'seen?'), '200');
  await ghost.hears('seen?');
  t.equal(await report(ghost, alice.uri, imdn('id-3', ghost.uri), alias), '200');
  const told = await alice.line.hears('<displayed/>');
  t.notMatch(told.body, /ghost/, 'RFC 5438 §8: his notification does not name him');
  t.match(told.body, alias);

  const roster = await alice.phone.request('SUBSCRIBE', ROOM, { headers: ['Event: conference', 'Expires: 60'] });
  t.equal(roster.response.status, 200);
  const document = Buffer.from((await alice.phone.next('NOTIFY')).body).toString();
  t.match(document, `entity="${alias}"`, 'who asked for it by Privacy (RFC 3323 §4.2)');
  t.match(document, `entity="${nobody}"`, 'and who came with an anonymous URI (RFC 3323 §4.1)');
  t.notMatch(document, /ghost|nameless/, 'neither user nor endpoint nor call gives him away');
});

t.test('RFC 3994: who writes, kept nowhere and slowed down by nobody', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const alice = await join(stage, 'alice');
  const bob = await join(stage, 'bob');
  const type = (): Promise<string> =>
    send(
      alice,
      [`From: <${alice.uri}>`, `To: <${ROOM}>`],
      ['Content-Type: application/im-iscomposing+xml'],
      '<isComposing xmlns="urn:ietf:params:xml:ns:im-iscomposing"><state>active</state></isComposing>',
    );
  const answers = [];
  for (let at = 0; at < 20; at++) answers.push(await type());
  t.same([...new Set(answers)], ['200'], 'too many are passed over, not refused');
  await bob.line.hears('isComposing');
  await alice.say('done');
  await bob.hears('done');
  t.ok(bob.line.heard().length < 10);
});
