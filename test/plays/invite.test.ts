import t from 'tap';
import { MsrpLine } from './msrp-line.ts';
import { type Extra, SipPhone } from './sip-phone.ts';
import { join, messageSdp, newPath, pathOf, raise, ROOM, type Stage } from './stage.ts';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { connect as connectTls, createServer as createTlsServer, type TLSSocket } from 'node:tls';
import { addUser } from '../../src/config/users.ts';
import { makeCertificate } from '../../src/ops/certificate.ts';

const SDP = 'application/sdp';

/** The media lines of a description, each with its attributes. */
function linesOf(body: Uint8Array): readonly string[] {
  return Buffer.from(body)
    .toString()
    .split(/(?=^m=)/m)
    .slice(1);
}

async function phone(stage: Stage, name: string): Promise<SipPhone> {
  return SipPhone.connect(name, stage.sip);
}

const HEAD = ['v=0', 'o=- 1 1 IN IP4 127.0.0.1', 's=-', 'c=IN IP4 127.0.0.1', 't=0 0'];

function sdp(...media: readonly string[]): { contentType: string; body: string } {
  return { contentType: SDP, body: [...HEAD, ...media, ''].join('\r\n') };
}

const messageLine = (path: string, protocol = 'TCP/MSRP'): readonly string[] =>
  messageSdp(path, [], protocol).split('\r\n').slice(5, -1);

t.test('RFC 7701 §5.2, RFC 4579 §4.2: the answer to an INVITE with a message line', async (t) => {
  const stage = await raise('rooms.named.lobby.display_text=The lobby');
  t.teardown(() => stage.close());
  const alice = await phone(stage, 'alice');
  const { response, dialog } = await alice.request('INVITE', ROOM, { contentType: SDP, body: messageSdp(newPath()) });
  t.equal(response.status, 200);
  t.match(response.headers.get('Contact'), /<sip:lobby@127\.0\.0\.1:\d+[^>]*>.*;isfocus/);
  t.notMatch(response.headers.get('Contact'), />.*;text\b/, 'Linphone takes ;text for a chat without a call');
  for (const method of ['INVITE', 'BYE', 'UPDATE', 'SUBSCRIBE']) t.ok(response.allow?.includes(method));
  t.ok(response.allowEvents?.includes('conference'));
  t.ok(response.supported.includes('timer'));
  const text = Buffer.from(response.body).toString();
  t.match(text, /^s=The lobby\r$/m);
  t.match(text, /^m=message \d+ TCP\/MSRP \*\r$/m);
  t.match(text, /^a=accept-types:message\/cpim\r$/m, 'nothing but CPIM');
  t.match(text, /^a=accept-wrapped-types:.*\*\r$/m);
  t.match(text, /^a=max-size:\d+\r$/m);
  t.match(text, /^a=setup:passive\r$/m);
  t.match(text, /^a=chatroom:nickname private-messages\r$/m);
  t.match(text, /^a=path:msrp:\/\/127\.0\.0\.1:\d+\/\S+;tcp\r$/m);
  alice.ack(dialog);
  await alice.within(dialog, 'BYE');
});

t.test('RFC 4975 §8.1: the protocol offered is the protocol answered, and TLS works', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const alice = await phone(stage, 'alice');
  const own = newPath('msrps');
  const offer = { contentType: SDP, body: messageSdp(own, [], 'TCP/TLS/MSRP') };
  const { response, dialog } = await alice.request('INVITE', ROOM, offer);
  const text = Buffer.from(response.body).toString();
  t.match(text, /^m=message \d+ TCP\/TLS\/MSRP \*\r$/m);
  const path = pathOf(response.body);
  t.match(path, /^msrps:/);
  const [, fingerprint = ''] = /^a=fingerprint:sha-256 ([0-9A-F:]+)\r$/im.exec(text) ?? [];
  alice.ack(dialog);
  const socket = connectTls({ port: Number(/:(\d+)\//.exec(path)?.[1]), host: '127.0.0.1', rejectUnauthorized: false });
  await new Promise((resolve) => socket.once('secureConnect', resolve));
  t.equal(socket.getPeerCertificate().fingerprint256, fingerprint, 'RFC 4572 §5: the certificate is the one in SDP');
  socket.write(
    `MSRP tlstlstls SEND\r\nTo-Path: ${path}\r\nFrom-Path: ${own}\r\nMessage-ID: bind1234\r\nByte-Range: 1-0/0\r\n-------tlstlstls$\r\n`,
  );
  const answer = await new Promise<Buffer>((resolve) => socket.once('data', resolve));
  t.match(answer.toString(), /^MSRP tlstlstls 200/);
  socket.destroy();
});

t.test('RFC 7977 §5.2.2: a path over WebSocket is answered with one', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const alice = await phone(stage, 'alice');
  const offer = { contentType: SDP, body: messageSdp('msrp://abc.invalid:9/xyz123;ws') };
  const { response, dialog } = await alice.request('INVITE', ROOM, offer);
  t.match(pathOf(response.body), /^msrp:\/\/127\.0\.0\.1:\d+\/\S+;ws$/);
  alice.ack(dialog);
  await alice.within(dialog, 'BYE');
});

t.test('RFC 7701 §5.2, RFC 3264 §6: what cannot be used is refused with a reason', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const alice = await phone(stage, 'alice');
  const refused = async (body: { contentType: string; body: string }, status: number, why: RegExp): Promise<void> => {
    const { response } = await alice.request('INVITE', ROOM, body);
    t.equal(response.status, status);
    t.match(response.headers.get('Warning') ?? response.headers.get('Accept'), why);
  };
  const plain = messageLine(newPath()).map((line) => line.replace('message/cpim', 'text/plain'));
  await refused(sdp(...plain), 488, /305 \S+ "message\/cpim must be among accept-types"/);
  await refused(sdp('m=video 5000 RTP/AVP 31'), 488, /304 \S+ "no use for this video line"/);
  await refused(sdp('m=audio 5000 RTP/SAVP 0'), 488, /302 \S+ "no RTP\/SAVP here"/);
  await refused(sdp('m=audio 5000 RTP/AVP 96', 'a=rtpmap:96 opus/48000/2'), 488, /305 \S+ "PCMU or PCMA/);
  await refused(sdp('m=message 9 TCP/FOO *'), 488, /302 \S+ "TCP\/FOO is not MSRP"/);
  await refused(sdp('m=audio 5000 RTP/SAVP 0', 'm=video 5000 RTP/AVP 31'), 488, /^302 \S+ "[^"]*", 304 \S+ "[^"]*"$/);
  await refused(sdp('m=message 9 TCP/MSRP *', 'a=accept-types:message/cpim'), 488, /306 \S+ "[^"]*path/);
  const noUri = messageLine('http://x.example/');
  await refused(sdp(...noUri), 488, /"[^"]*not an MSRP URI: \\"http:\/\/x.example\/\\""$/);
  await refused({ contentType: 'text/plain', body: 'hello' }, 415, /application\/sdp/);
  const { response } = await alice.request('INVITE', 'sip:lobby@elsewhere.example');
  t.equal(response.status, 404);
  const { response: own } = await alice.request('INVITE', 'sip:alice@127.0.0.1', sdp(...messageLine(newPath())));
  t.same([own.status, own.reason], [403, 'This Room Has Your Address: Take Another Name or Room']);
  const star = messageLine(newPath()).map((line) => line.replace('accept-types:message/cpim', 'accept-types:*'));
  const { response: laxer, dialog } = await alice.request('INVITE', ROOM, sdp(...star));
  t.equal(laxer.status, 200, '* includes message/cpim');
  alice.ack(dialog);
  await alice.within(dialog, 'BYE');
});

t.test('RFC 5547 §8.2: a line for one file wherever it stands; without a chat beside it, it is refused', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const alice = await phone(stage, 'alice');
  const selector = 'a=file-selector:name:"cat.jpg" type:image/jpeg size:4092';
  const file = [
    ...messageLine(newPath()),
    'a=sendonly',
    selector,
    'a=file-transfer-id:vBnG916bdberum2fFEABR1FR3ExZMUrd',
  ];
  const alone = await alice.request('INVITE', ROOM, sdp(...file));
  t.equal(alone.response.status, 403, 'of somebody who is not in the room');
  t.match(alone.response.headers.get('Warning'), /You are not a participant of this conference/);
  for (const [at, lines] of [
    [...file, ...messageLine(newPath())],
    [...messageLine(newPath()), ...file],
  ].entries()) {
    const { response, dialog } = await alice.request('INVITE', ROOM, sdp(...lines));
    t.equal(response.status, 200);
    alice.ack(dialog);
    const ports = linesOf(response.body).map((line) => /^m=\S+ (\d+)/.exec(line)?.[1]);
    t.equal(ports.length, 2);
    t.notOk(ports.includes('0'));
    const files = linesOf(response.body).map((line) => line.includes('a=file-selector:'));
    t.same(files, at === 0 ? [true, false] : [false, true]);
    await alice.within(dialog, 'BYE');
  }
});

t.test('RFC 3264 §6: one line for each line; the first usable message line is the chat', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const alice = await phone(stage, 'alice');
  const broken = messageLine(newPath()).map((line) => line.replace('message/cpim', 'text/plain'));
  const offer = sdp('m=video 5000 RTP/AVP 31', ...broken, ...messageLine(newPath()), ...messageLine(newPath()));
  const { response, dialog } = await alice.request('INVITE', ROOM, offer);
  const lines = linesOf(response.body).map((line) => /^m=(\S+) (\d+)/.exec(line)?.slice(1, 3));
  t.match(lines, [
    ['video', '0'],
    ['message', '0'],
    ['message', /^[1-9]/],
    ['message', '0'],
  ]);
  alice.ack(dialog);
  await alice.within(dialog, 'BYE');
});

t.test('RFC 3264 §5, RFC 6135 §4.2: an INVITE without offer is made one', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const bob = await join(stage, 'bob');
  const alice = await phone(stage, 'alice');
  const { response, dialog } = await alice.request('INVITE', ROOM);
  t.equal(response.status, 200);
  const [message = '', audio = ''] = linesOf(response.body);
  t.match(message, /^m=message \d+ TCP\/MSRP \*/);
  t.match(message, /^a=setup:actpass\r$/m);
  t.match(audio, /^m=audio \d+ RTP\/AVP 0 8/);
  t.match(audio, /^a=inactive\r$/m);
  const own = newPath();
  alice.ack(dialog, sdp(...messageLine(own), 'm=audio 0 RTP/AVP 0'));
  const line = await MsrpLine.bind(own, pathOf(response.body));
  t.equal((await line.say(alice.uri, ROOM, 'from the answerer')).what, '200');
  await bob.hears('from the answerer');
  t.equal(await bob.say('welcome'), '200');
  await line.hears('welcome');
});

t.test('RFC 6135 §4.2.2, RFC 7701 §8: an offer in a call says actpass, and what the room allows by then', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const alice = await join(stage, 'alice');
  const bob = await join(stage, 'bob');
  t.match(bob.answer, /^a=setup:passive\r$/m);
  const offered = async (order: string): Promise<string> => {
    t.equal(await alice.say(order), '200');
    return Buffer.from((await bob.phone.next('INVITE')).body).toString();
  };
  const first = await offered('/mute bob');
  t.match(first, /^a=setup:actpass\r$/m, 'never passive');
  t.match(first, /^a=chatroom:nickname private-messages\r$/m);
  t.equal(pathOf(Buffer.from(first)), bob.line.room);
  t.equal(await alice.say('/private off'), '200');
  const second = await offered('/unmute bob');
  t.match(second, /^a=setup:actpass\r$/m);
  t.match(second, /^a=chatroom:nickname\r$/m);
});

t.test('RFC 4975 §5.4, §8.4: after its session was lost, an offer of ours has a path that can be bound', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const alice = await join(stage, 'alice');
  const bob = await join(stage, 'bob');
  bob.line.close();
  while (!stage.lines.some((line) => line.includes('chat session lost'))) await alice.say('are you there?');
  const response = await bob.phone.within(bob.dialog, 'INVITE');
  t.not(pathOf(response.body), bob.line.room);
  const own = newPath();
  bob.phone.ack(bob.dialog, sdp(...messageLine(own)));
  const line = await MsrpLine.bind(own, pathOf(response.body));
  t.equal(await alice.say('here you are'), '200');
  await line.hears('here you are');
});

t.test('RFC 3261 §13.3.1.4: an offer of ours that is refused ends the call', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const alice = await phone(stage, 'alice');
  const { dialog } = await alice.request('INVITE', ROOM);
  alice.ack(dialog, sdp('m=message 0 TCP/MSRP *', 'm=audio 0 RTP/AVP 0'));
  const bye = await alice.next('BYE');
  t.match(bye.headers.get('Reason'), /cause=488/);
});

t.test('RFC 4975 §5.4, RFC 3264 §8: re-INVITE', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const alice = await join(stage, 'alice');
  const bob = await join(stage, 'bob');
  const offer = (path: string, ...more: string[]): { contentType: string; body: string } => ({
    contentType: SDP,
    body: messageSdp(path, more),
  });
  const reInvite = async (who: typeof bob, body: { contentType: string; body: string }): Promise<string> => {
    const response = await who.phone.within(who.dialog, 'INVITE', body);
    t.equal(response.status, 200);
    who.phone.ack(who.dialog);
    return Buffer.from(response.body).toString();
  };

  await t.test('with the same path the session stays', async (t) => {
    const answer = await reInvite(bob, offer(bob.line.own));
    t.equal(pathOf(Buffer.from(answer)), bob.line.room);
    t.equal(await alice.say('still here?'), '200');
    await bob.hears('still here?');
  });

  await t.test('on hold nothing is delivered, afterwards comes what was said meanwhile, and goes on', async (t) => {
    for (const [held, answered] of [
      ['sendonly', 'recvonly'],
      ['inactive', 'inactive'],
    ]) {
      const answer = await reInvite(bob, offer(bob.line.own, `a=${held}`));
      t.match(answer, new RegExp(`^a=${answered}\r$`, 'm'));
      t.equal(await alice.say(`${held}: the first`), '200');
      t.equal(await bob.say(`${held}: what the held line says is said all the same`), '200');
      await alice.hears('said all the same');
      t.equal(await alice.say(`${held}: the second`), '200');
      t.same(bob.line.heard(), [], 'nothing is delivered');
      t.match(await reInvite(bob, offer(bob.line.own)), /^a=path:/m);
      for (const text of ['2 messages that you missed', 'the first', 'the second']) await bob.hears(text);
      t.equal(await alice.say('goes on'), '200');
      await bob.hears('goes on');
      t.same(bob.line.heard(), [], 'nothing twice, and nothing of his own');
    }
  });

  await t.test('RFC 7701 §6.2: what is said to one alone comes after the hold, too', async (t) => {
    await reInvite(bob, offer(bob.line.own, 'a=inactive'));
    t.equal((await alice.line.say(alice.uri, bob.uri, 'for bob alone')).what, '200');
    t.equal(await alice.say('for all'), '200');
    t.equal((await alice.line.say(alice.uri, bob.uri, `long: ${'y'.repeat(50_000)}`)).what, '200');
    const large = await alice.line.say(alice.uri, bob.uri, 'z'.repeat(100_000));
    t.match({ ...large }, { what: '413', comment: /too large to be kept for later/ }, 'it would be lost');
    t.same(bob.line.heard(), []);
    await reInvite(bob, offer(bob.line.own));
    for (const text of ['3 messages that you missed', 'for bob alone', 'for all', 'long: yyy']) await bob.hears(text);
    t.same(bob.line.heard(), [], 'once, and in the order in which it was said');
  });

  await t.test('what he has not taken comes after the hold, and not after each one again', async (t) => {
    bob.line.answers = false;
    t.equal(await alice.say('not taken'), '200');
    const { id } = await bob.line.hears('not taken');
    const paths = `To-Path: ${bob.line.room}\r\nFrom-Path: ${bob.line.own}`;
    bob.line.write(`MSRP ${id} 408 late\r\n${paths}\r\n-------${id}$\r\n`);
    bob.line.answers = true;
    t.equal(await alice.say('behind it'), '200');
    await bob.hears('behind it');
    for (const texts of [['2 messages that you missed', 'not taken', 'behind it'], []]) {
      await reInvite(bob, offer(bob.line.own, 'a=inactive'));
      await reInvite(bob, offer(bob.line.own));
      t.equal(await alice.say('now'), '200');
      for (const text of [...texts, 'now']) await bob.hears(text);
      t.same(bob.line.heard(), []);
    }
  });

  await t.test('RFC 7701 §6.2: nobody writes to one alone whose client has not said that it knows that', async (t) => {
    const own = newPath();
    const body = messageSdp(own).replace(' private-messages', '');
    const zoe = await join(stage, 'zoe', ROOM, { body }, own);
    await reInvite(zoe, { contentType: SDP, body: `${body}a=inactive\r\n` });
    t.equal((await alice.line.say(alice.uri, zoe.uri, 'for zoe alone')).what, '428');
    await zoe.leave();
  });

  await t.test('one to whom nothing was said before the hold is no newcomer after it', async (t) => {
    const zoe = await join(stage, 'zoe', `${ROOM};history=0`);
    await reInvite(zoe, offer(zoe.line.own, 'a=inactive'));
    t.equal(await alice.say('while zoe is on hold'), '200');
    await bob.hears('while zoe');
    await reInvite(zoe, offer(zoe.line.own));
    await zoe.hears('while zoe is on hold');
    await zoe.leave();
  });

  await t.test('another path is another session', async (t) => {
    const own = newPath();
    const answer = await reInvite(bob, offer(own));
    const room = pathOf(Buffer.from(answer));
    t.not(room, bob.line.room);
    const line = await MsrpLine.bind(own, room);
    t.equal(await alice.say('over there'), '200');
    await line.hears('over there');
    await bob.line.closed;
  });

  await t.test('a line can be added and removed', async (t) => {
    const withAudio = sdp(...messageLine(alice.line.own), 'm=audio 5000 RTP/AVP 0');
    t.match(await reInvite(alice, withAudio), /^m=audio [1-9]\d* RTP\/AVP 0/m);
    const without = sdp(...messageLine(alice.line.own), 'm=audio 0 RTP/AVP 0');
    t.match(await reInvite(alice, without), /^m=audio 0 RTP\/AVP 0/m);
    t.equal(await alice.say('text again'), '200');
  });

  await t.test('an offer that cannot be used changes nothing', async (t) => {
    const response = await alice.phone.within(
      alice.dialog,
      'INVITE',
      sdp('m=message 0 TCP/MSRP *', 'm=audio 0 RTP/AVP 0'),
    );
    t.equal(response.status, 488);
    alice.phone.ack(alice.dialog);
    t.equal(await alice.say('I am still here'), '200');
  });

  await t.test('RFC 3264 §8: an offer with fewer lines than before changes nothing', async (t) => {
    const { phone, dialog, line } = alice;
    const response = await phone.within(dialog, 'INVITE', sdp(...messageLine(line.own)));
    t.equal(response.status, 488);
    t.match(response.headers.get('Warning'), /^399 \S+ "[^"]*number of media lines decreased"$/);
    phone.ack(dialog);
    t.equal(await alice.say('as before'), '200');
  });

  await t.test('UPDATE does the same', async (t) => {
    const response = await alice.phone.within(alice.dialog, 'UPDATE', offer(alice.line.own, 'm=audio 0 RTP/AVP 0'));
    t.equal(response.status, 200);
    t.equal(pathOf(response.body), alice.line.room);
  });

  await t.test('without an offer ours is made', async (t) => {
    const response = await alice.phone.within(alice.dialog, 'INVITE');
    t.equal(response.status, 200);
    t.equal(pathOf(response.body), alice.line.room);
    alice.phone.ack(alice.dialog, sdp(...messageLine(alice.line.own), 'm=audio 0 RTP/AVP 0'));
    t.equal(await alice.say('and again'), '200');
  });
});

t.test(
  'RFC 3261 §13.2.2.4: the 200 has come where its path is used, before the ACK as well, which joins nobody twice',
  async (t) => {
    const stage = await raise();
    t.teardown(() => stage.close());
    const bob = await join(stage, 'bob');
    const alice = await phone(stage, 'alice');
    const own = newPath();
    const { response, dialog } = await alice.request('INVITE', ROOM, { contentType: SDP, body: messageSdp(own) });
    const line = await MsrpLine.bind(own, pathOf(response.body));
    t.equal((await line.say(alice.uri, ROOM, 'before the ACK')).what, '200');
    await bob.hears('before the ACK');
    t.equal((await bob.line.say(bob.uri, alice.uri, 'to alice alone')).what, '200', 'she is in the roster');
    await line.hears('to alice alone');
    alice.ack(dialog);
    t.equal((await line.say(alice.uri, ROOM, 'after the ACK')).what, '200');
    await bob.hears('after the ACK');
    await bob.phone.request('SUBSCRIBE', ROOM, { headers: ['Event: conference', 'Expires: 0'] });
    const roster = Buffer.from((await bob.phone.next('NOTIFY')).body).toString();
    t.equal(roster.match(/<endpoint /g)?.length, 2, 'bob, and alice once');
    await alice.within(dialog, 'BYE');
  },
);

t.test('RFC 3261 §13.2.2.4: an ACK without the answer that our offer wants ends the call', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const reasonFor = async (name: string, answer?: { readonly contentType: string; readonly body: string }) => {
    const who = await phone(stage, name);
    const { response, dialog } = await who.request('INVITE', ROOM);
    t.equal(response.status, 200);
    who.ack(dialog, answer);
    return (await who.next('BYE')).headers.get('Reason');
  };
  t.equal(await reasonFor('alice'), 'SIP;cause=488;text="no answer to our offer"');
  t.match(await reasonFor('bob', { contentType: SDP, body: 'junk' }), /^SIP;cause=488;text="[^"]*junk[^"]*"$/);
  const nothing = sdp('m=message 0 TCP/MSRP *', 'm=audio 0 RTP/AVP 0');
  t.equal(await reasonFor('carol', nothing), 'SIP;cause=488;text="no line is in use"');
});

t.test('RFC 4975 §5.4: a leg without its chat session ends once, after the grace time', async (t) => {
  const stage = await raise('msrp.grace=150ms');
  t.teardown(() => stage.close());
  const alice = await join(stage, 'alice');
  alice.line.close();
  const bye = await alice.phone.next('BYE');
  t.match(bye.headers.get('Reason'), /SIP;cause=408;text="chat session lost/);

  const hasty = await raise('msrp.grace=150ms', 'msrp.bind_timeout=150ms');
  t.teardown(() => hasty.close());
  const bob = await phone(hasty, 'bob');
  const { dialog } = await bob.request('INVITE', ROOM, { contentType: SDP, body: messageSdp(newPath()) });
  bob.ack(dialog);
  t.match((await bob.next('BYE')).headers.get('Reason'), /chat session lost/, 'never bound');
});

t.test('RFC 4975 §5.4: a re-INVITE within the grace time brings the chat back', async (t) => {
  const stage = await raise('msrp.grace=30s');
  t.teardown(() => stage.close());
  const alice = await join(stage, 'alice');
  const bob = await join(stage, 'bob');
  bob.line.close();
  const own = newPath();
  const response = await bob.phone.within(bob.dialog, 'INVITE', { contentType: SDP, body: messageSdp(own) });
  bob.phone.ack(bob.dialog);
  const line = await MsrpLine.bind(own, pathOf(response.body));
  t.equal(await alice.say('back?'), '200');
  await line.hears('back?');
});

t.test('all names of the domain name one room', async (t) => {
  const stage = await raise('domains=[chat.example.org]');
  t.teardown(() => stage.close());
  const alice = await join(stage, 'alice');
  const bob = await join(stage, 'bob', 'sip:lobby@chat.example.org');
  const carol = await join(stage, 'carol', 'sip:lobby@localhost;transport=tcp');
  t.equal(await alice.say('one room'), '200');
  await bob.hears('one room');
  await carol.hears('one room');
  t.equal(await carol.say('indeed'), '200');
  await alice.hears('indeed');
});

t.test('RFC 3261 §22: with accounts, who one is has to be proved', async (t) => {
  const stage = await raise('auth.mode=digest');
  t.teardown(() => stage.close());
  const alice = await phone(stage, 'alice');
  const { response } = await alice.request('INVITE', ROOM, { contentType: SDP, body: messageSdp(newPath()) });
  t.equal(response.status, 401);
  const challenges = response.wwwAuthenticate;
  t.ok(challenges.length >= 2, 'SHA-256 and MD5 side by side (RFC 8760 §2.3)');
});

t.test('RFC 3261 §22, RFC 8760: one is who one has proved to be, whatever the From says', async (t) => {
  const users = `${t.testdir()}/users.json`;
  addUser(users, 'grouptextchat', 'alice', 'secret');
  const stage = await raise('auth.mode=digest', `auth.users=${users}`, 'domains=[example.org]');
  t.teardown(() => stage.close());
  const mallory = await phone(stage, 'mallory');
  const hash = (algorithm: string, text: string): string =>
    createHash(algorithm === 'MD5' ? 'md5' : 'sha256')
      .update(text)
      .digest('hex');
  const proving = async (
    algorithm: string,
    method: string,
    extra: Extra = {},
    password = 'secret',
    room = ROOM,
    uri = room,
  ) => {
    const { response } = await mallory.request(method, room, extra);
    t.equal(response.status, 401, `${method} without credentials`);
    const challenges = response.headers
      .all('WWW-Authenticate')
      .filter((text) => text.includes(`algorithm=${algorithm}`));
    const nonce = /nonce="([^"]+)"/.exec(challenges[0] ?? '')?.[1] ?? '';
    const secret = hash(algorithm, `alice:grouptextchat:${password}`);
    const proof = hash(algorithm, `${secret}:${nonce}:00000001:c:auth:${hash(algorithm, `${method}:${uri}`)}`);
    const named = `username="alice", realm="grouptextchat", nonce="${nonce}", uri="${uri}", algorithm=${algorithm}`;
    const credentials = `Authorization: Digest ${named}, qop=auth, nc=00000001, cnonce="c", response="${proof}"`;
    return mallory.request(method, room, { ...extra, headers: [...(extra.headers ?? []), credentials] });
  };
  for (const algorithm of ['MD5', 'SHA-256']) {
    const own = newPath();
    const offer = { contentType: SDP, body: messageSdp(own) };
    t.equal((await proving(algorithm, 'INVITE', offer, 'guess')).response.status, 401, 'a wrong password');
    const { response, dialog } = await proving(algorithm, 'INVITE', offer);
    t.equal(response.status, 200);
    mallory.ack(dialog);
    const line = await MsrpLine.bind(own, pathOf(response.body));
    t.equal((await line.say('sip:alice@example.org', ROOM, 'it is me')).what, '200');
    t.match((await line.say(mallory.uri, ROOM, 'it is not')).what, /^403/);
    const watched = await proving(algorithm, 'SUBSCRIBE', { headers: ['Event: conference', 'Expires: 600'] });
    t.equal(watched.response.status, 200);
    const document = Buffer.from((await mallory.next('NOTIFY')).body).toString();
    t.match(document, /<user entity="sip:alice@example\.org"/);
    t.notMatch(document, /sip:mallory@127\.0\.0\.1"/);
    const text = await proving(algorithm, 'MESSAGE', { contentType: 'text/plain', body: 'and so am I' });
    t.equal(text.response.status, 202, 'who is not in the call would be refused');
    const invited = await proving(algorithm, 'REFER', { headers: ['Refer-To: <sip:carol@example.org>'] });
    t.equal(invited.response.status, 404, 'let in, and told that she is not here');
    await mallory.within(dialog, 'BYE');
    line.close();
  }

  await t.test('RFC 3261 §22.4: proxies rewrite Request-URIs, and clients name the server', async (t) => {
    for (const [room, uri, status] of [
      [ROOM, 'sip:lobby@example.org', 200],
      ['sip:lobby@example.org', 'sip:127.0.0.1:5060', 200],
      ['sip:lobby@example.org', 'sip:lobby@proxy.example', 200],
      [ROOM, 'sip:elsewhere.example', 400],
      [ROOM, 'sip:bob@elsewhere.example', 400],
    ] as const) {
      const fetch = { headers: ['Event: conference', 'Expires: 0'] };
      const { response } = await proving('SHA-256', 'SUBSCRIBE', fetch, 'secret', room, uri);
      t.equal(response.status, status, `${uri} for ${room}`);
    }
  });
});

t.test('RFC 4579 §4.3: OPTIONS tells a conference', async (t) => {
  const stage = await raise('rooms.on_demand=false', 'rooms.named.lobby.permanent=true');
  t.teardown(() => stage.close());
  const alice = await phone(stage, 'alice');
  const { response } = await alice.request('OPTIONS', ROOM);
  t.equal(response.status, 200);
  t.equal(
    response.headers.get('Contact'),
    `<sip:lobby@127.0.0.1:${String(stage.sip)};transport=tcp>;isfocus;message;automata`,
    'as in the answer to an INVITE, so that whoever asked can call',
  );
  t.equal((await alice.request('OPTIONS', 'sip:nothere@127.0.0.1')).response.status, 404);
  t.equal((await alice.request('INVITE', 'sip:nothere@127.0.0.1')).response.status, 404);
});

t.test('RFC 3261 §11.2: OPTIONS has the status that an INVITE would have', async (t) => {
  const stage = await raise(
    'rooms.named.members.members_only=true',
    'rooms.named.pinned={pin: "4711", permanent: true}',
    'rooms.named.small.maximum_users=1',
    'factory.creators=authenticated',
  );
  t.teardown(() => stage.close());
  const boss = await join(stage, 'boss', 'sip:small@127.0.0.1');
  t.equal(await boss.say('/move sip:elsewhere@127.0.0.1'), '200');
  await join(stage, 'bob', 'sip:elsewhere@127.0.0.1');
  const alice = await phone(stage, 'alice');
  for (const [user, status] of [
    ['members', 403],
    ['pinned', 401],
    ['small', 302],
    ['conference-factory', 403],
    ['elsewhere', 200],
    ['nobody-is-here', 200],
  ] as const) {
    const uri = `sip:${user}@127.0.0.1`;
    const asked = await alice.request('OPTIONS', uri);
    const offer = { contentType: 'application/sdp', body: messageSdp(newPath()) };
    const called = await alice.request('INVITE', uri, offer);
    t.equal(called.response.status, status, user);
    t.equal(asked.response.status, status, `OPTIONS ${user}`);
    if (status === 302) t.equal(asked.response.headers.get('Contact'), '<sip:elsewhere@127.0.0.1>');
    if (status !== 200) continue;
    alice.ack(called.dialog);
    const within = await alice.within(called.dialog, 'OPTIONS');
    t.match(within.headers.get('Contact'), /;isfocus/, 'RFC 4579 §4.3, in the call as well');
  }
  t.equal((await alice.request('OPTIONS', 'sip:pinned@127.0.0.1;pin=4711')).response.status, 200);
  t.equal((await alice.request('OPTIONS', 'sip:127.0.0.1')).response.status, 200, '§11: the service itself');
});

t.test('RFC 3261 §8.2.3: a body that is not understood is refused, whatever it comes with', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const alice = await join(stage, 'alice');
  const body = { contentType: 'application/simple-filter+xml', body: '<filter-set/>' };
  for (const [method, ...headers] of [
    ['SUBSCRIBE', 'Event: conference'],
    ['REFER', 'Refer-To: <sip:carol@127.0.0.1:9;transport=tcp>'],
    ['OPTIONS'],
    ['MESSAGE'],
  ] as const) {
    const { response } = await alice.phone.request(method, ROOM, { ...body, headers });
    t.equal(response.status, 415, method);
    t.not(response.headers.get('Accept'), undefined, 'with what is');
    const aside = [...headers, 'Content-Disposition: render;handling=optional'];
    if (method === 'MESSAGE') continue;
    t.not((await alice.phone.request(method, ROOM, { ...body, headers: aside })).response.status, 415);
  }
});

t.test('RFC 5621 §3: the offer may be one of several parts of the body', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const phone = await SipPhone.connect('alice', stage.sip);
  const body = [
    '--b',
    'Content-Type: application/sdp',
    '',
    messageSdp(newPath()).trimEnd(),
    '--b',
    'Content-Type: application/x-notes',
    'Content-Disposition: render;handling=optional',
    '',
    'whatever',
    '--b--',
    '',
  ].join('\r\n');
  const { response } = await phone.request('INVITE', ROOM, { contentType: 'multipart/mixed;boundary=b', body });
  t.equal(response.status, 200);
  t.equal(response.contentType?.type, 'application/sdp');
  phone.hangUp();
});

t.test('RFC 4145 §4, RFC 6135 §4.2: who offers `passive` is connected to', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const port = (server.address() as { readonly port: number }).port;
  const own = `msrp://127.0.0.1:${String(port)}/passive1;tcp`;
  const alice = await phone(stage, 'alice');
  const connected = once(server, 'connection') as Promise<[Socket]>;
  const body = messageSdp(own).replace('setup:active', 'setup:passive');
  const { response, dialog } = await alice.request('INVITE', ROOM, { contentType: SDP, body });
  t.match(Buffer.from(response.body).toString(), /^a=setup:active\r$/m);
  alice.ack(dialog);
  const [socket] = await connected;
  const [first] = (await once(socket, 'data')) as [Buffer];
  t.match(first.toString(), /^MSRP \S+ SEND\r\nTo-Path: msrp:\/\/127\.0\.0\.1:\d+\/passive1;tcp\r\n/);
  socket.destroy();
});

t.test('RFC 3326 §2: the reason of a BYE is a quoted-string, whatever words of the peer are in it', async (t) => {
  const stage = await raise('msrp.grace=50ms');
  t.teardown(() => stage.close());
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const { port } = server.address() as { readonly port: number };
  const own = `msrp://127.0.0.1:${String(port)}/passive2;tcp`;
  const alice = await phone(stage, 'alice');
  const connected = once(server, 'connection') as Promise<[Socket]>;
  const body = messageSdp(own).replace('setup:active', 'setup:passive');
  const { dialog } = await alice.request('INVITE', ROOM, { contentType: SDP, body });
  alice.ack(dialog);
  const [socket] = await connected;
  const [first] = (await once(socket, 'data')) as [Buffer];
  const [, id = '', from = ''] = /^MSRP (\S+) SEND\r\n[^]*?From-Path: (\S+)/.exec(first.toString()) ?? [];
  socket.write(`MSRP ${id} 403 not "you"\r\nTo-Path: ${from}\r\nFrom-Path: ${own}\r\n-------${id}$\r\n`);
  const reason = (await alice.next('BYE')).headers.get('Reason') ?? '';
  t.match(reason, /^SIP;cause=408;text="(?:[^"\\]|\\.)*"$/);
  t.match(reason, /403 not +you/);
  socket.destroy();
});

t.test('RFC 8122 §6.2: the certificate of who is connected to must be the one it announced', async (t) => {
  const stage = await raise('msrp.grace=50ms');
  t.teardown(() => stage.close());
  const { certificate, key, fingerprint } = await makeCertificate(['somebody.example']);
  const asking = { requestCert: true, rejectUnauthorized: false };
  const server = createTlsServer({ cert: certificate, key, ...asking }).listen(0, '127.0.0.1');
  server.on('tlsClientError', () => undefined);
  await once(server, 'listening');
  t.teardown(() => server.close());
  const port = (server.address() as { readonly port: number }).port;
  const call = async (name: string, announced: string): Promise<{ who: SipPhone; ours: string | undefined }> => {
    const path = `msrps://127.0.0.1:${String(port)}/${name};tcp`;
    const body = messageSdp(path, [`a=fingerprint:sha-256 ${announced}`], 'TCP/TLS/MSRP').replace(
      'setup:active',
      'setup:passive',
    );
    const who = await phone(stage, name);
    const { response, dialog } = await who.request('INVITE', ROOM, { contentType: SDP, body });
    who.ack(dialog);
    return { who, ours: /^a=fingerprint:sha-256 (\S+)/m.exec(Buffer.from(response.body).toString())?.[1] };
  };
  const secured = once(server, 'secureConnection') as Promise<[TLSSocket]>;
  const { ours } = await call('alice1', fingerprint);
  const [socket] = await secured;
  t.equal(socket.getPeerX509Certificate()?.fingerprint256, ours, 'who connects shows a certificate, too');
  const [first] = (await once(socket, 'data')) as [Buffer];
  t.match(first.toString(), /^MSRP \S+ SEND\r\nTo-Path: msrps:\/\/127\.0\.0\.1:\d+\/alice1;tcp\r\n/);
  const { who: mallory } = await call(
    'mallory1',
    fingerprint.replace(/^../, fingerprint.startsWith('00') ? '11' : '00'),
  );
  t.match((await mallory.next('BYE')).headers.get('Reason'), /chat session lost/);
  socket.destroy();
});

t.test('RFC 8122 §6.2, RFC 4975 §14.4: whose certificate it must be, the answer to our offer says', async (t) => {
  const stage = await raise('rooms.named.lobby.require_tls=true', 'msrp.grace=50ms');
  t.teardown(() => stage.close());
  const [hers, another] = [await makeCertificate(['alice.example']), await makeCertificate(['mallory.example'])];
  const secure = (path: string, setup: string): readonly string[] => [
    ...messageLine(path, 'TCP/TLS/MSRP').map((line) => line.replace('setup:active', `setup:${setup}`)),
    `a=fingerprint:sha-256 ${hers.fingerprint}`,
  ];
  const offered = async () => {
    const alice = await phone(stage, 'alice');
    const { response, dialog } = await alice.request('INVITE', ROOM);
    const path = pathOf(response.body);
    t.match(path, /^msrps:/);
    return {
      alice,
      dialog,
      path,
      audio: linesOf(response.body)
        .slice(1)
        .map(() => 'm=audio 0 RTP/AVP 0'),
    };
  };

  await t.test('we connect to who has said so, though only the fingerprint vouches for it', async (t) => {
    const server = createTlsServer({ cert: hers.certificate, key: hers.key }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.teardown(() => server.close());
    const { port } = server.address() as { readonly port: number };
    const { alice, dialog, audio } = await offered();
    const secured = once(server, 'secureConnection') as Promise<[TLSSocket]>;
    alice.ack(dialog, sdp(...secure(`msrps://127.0.0.1:${String(port)}/alice1;tcp`, 'passive'), ...audio));
    const [socket] = await secured;
    const [first] = (await once(socket, 'data')) as [Buffer];
    t.match(first.toString(), /^MSRP \S+ SEND\r\nTo-Path: msrps:\/\/127\.0\.0\.1:\d+\/alice1;tcp\r\n/);
    socket.destroy();
    await alice.next('BYE');
  });

  for (const [who, { certificate, key }, heard] of [
    ['she', hers, true],
    ['another', another, false],
  ] as const) {
    await t.test(`${who} connects before the answer has come, and nothing is believed until then`, async (t) => {
      const { alice, dialog, path, audio } = await offered();
      const own = newPath('msrps');
      const port = Number(/:(\d+)\//.exec(path)?.[1]);
      const socket = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false, cert: certificate, key });
      const closed = once(socket, 'close');
      socket.on('error', () => undefined);
      const body = `From: <${alice.uri}>\r\nTo: <${ROOM}>\r\n\r\nContent-Type: text/plain\r\n\r\nso early`;
      const paths = `To-Path: ${path}\r\nFrom-Path: ${own}\r\n`;
      socket.write(
        `MSRP tlsbind1 SEND\r\n${paths}Message-ID: bind1234\r\nByte-Range: 1-0/0\r\n-------tlsbind1$\r\n` +
          `MSRP tlssend1 SEND\r\n${paths}Message-ID: early123\r\nByte-Range: 1-${String(body.length)}/${String(body.length)}\r\n` +
          `Content-Type: message/cpim\r\n\r\n${body}\r\n-------tlssend1$\r\n`,
      );
      const [bound] = (await once(socket, 'data')) as [Buffer];
      t.match(bound.toString(), /^MSRP tlsbind1 200 OK\r\n/);
      t.notMatch(bound.toString(), /tlssend1/, 'not believed yet');
      alice.ack(dialog, sdp(...secure(own, 'active'), ...audio));
      if (heard) {
        const [taken] = (await once(socket, 'data')) as [Buffer];
        t.match(taken.toString(), /MSRP tlssend1 200 OK\r\n/);
        await alice.within(dialog, 'BYE');
      } else {
        await closed;
        t.match((await alice.next('BYE')).headers.get('Reason'), /chat session lost/);
      }
      socket.destroy();
    });
  }
});

t.test('RFC 3264 §8.4: audio on hold by the address that is none, or at a name', async (t) => {
  const stage = await raise('audio.first_port=32200', 'audio.last_port=32219');
  t.teardown(() => stage.close());
  const alice = await phone(stage, 'alice');
  const nowhere = sdp('m=audio 5000 RTP/AVP 0', 'c=IN IP4 0.0.0.0');
  const { response, dialog } = await alice.request('INVITE', ROOM, nowhere);
  t.match(Buffer.from(response.body).toString(), /^a=inactive\r$/m);
  alice.ack(dialog);
  await alice.within(dialog, 'BYE');
  const named = await alice.request('INVITE', ROOM, sdp('m=audio 5000 RTP/AVP 0', 'c=IN IP4 phone.example.org'));
  t.equal(named.response.status, 488);
});
