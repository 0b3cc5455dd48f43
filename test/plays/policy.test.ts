import t from 'tap';
import { messageSdp, newPath, pathOf, join, raise, ROOM } from './stage.ts';
import { cpim, MsrpLine } from './msrp-line.ts';
import { SipPhone } from './sip-phone.ts';

t.test('RFC 7701 §11: who is not chat-aware is told that this is a room, and who is there', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const alice = await join(stage, 'alice');
  await join(stage, 'bob');
  const sdp = messageSdp(newPath()).replace(/^a=chatroom.*\r\n/m, '');
  const own = pathOf(Buffer.from(sdp));
  const phone = await SipPhone.connect('carol', stage.sip);
  const { response, dialog } = await phone.request('INVITE', ROOM, { contentType: 'application/sdp', body: sdp });
  phone.ack(dialog);
  const carol = await MsrpLine.bind(own, pathOf(response.body));
  const told = await carol.hears('This is a chat room');
  t.match(told.body, /what you write goes to everybody here/);
  t.match(told.body, /Here: .*alice/);
  t.match(told.body, /Here: .*bob/);
  t.notMatch(told.body, /Here: .*carol/);
  t.match(told.headers.get('Content-Type'), 'message/cpim');
  t.equal((await carol.say('sip:carol@127.0.0.1', ROOM, 'I see')).what, '200');
  await alice.hears('I see');
  t.same(alice.line.heard(), [], 'who is chat-aware is told nothing of the kind');
  carol.close();
  phone.hangUp();
});

t.test('RFC 7701 §4.1, §11: a room may take MSRP over TLS only', async (t) => {
  const stage = await raise('rooms.named.safe.require_tls=true');
  t.teardown(() => stage.close());
  const phone = await SipPhone.connect('alice', stage.sip);
  const plain = { contentType: 'application/sdp', body: messageSdp(newPath()) };
  const refused = await phone.request('INVITE', 'sip:safe@127.0.0.1', plain);
  t.equal(refused.response.status, 488);
  t.match(refused.response.headers.get('Warning'), /TLS only/);
  const secure = { contentType: 'application/sdp', body: messageSdp(newPath('msrps'), [], 'TCP/TLS/MSRP') };
  const { response, dialog } = await phone.request('INVITE', 'sip:safe@127.0.0.1', secure);
  t.equal(response.status, 200);
  phone.ack(dialog);
  t.match(pathOf(response.body), /^msrps:/);
  const offered = await phone.request('INVITE', 'sip:safe@127.0.0.1', {});
  t.match(
    Buffer.from(offered.response.body).toString(),
    /m=message \d+ TCP\/TLS\/MSRP/,
    'an offer of ours says so too',
  );
  const open = await phone.request('INVITE', ROOM, { ...plain, body: messageSdp(newPath()) });
  t.equal(open.response.status, 200, 'other rooms are not concerned');
  phone.hangUp();
});

t.test('RFC 7701 §4.1, §5.3: a room may end when its creator leaves', async (t) => {
  const stage = await raise('rooms.named.mine.ends_with_creator=true');
  t.teardown(() => stage.close());
  const room = 'sip:mine@127.0.0.1';
  const alice = await join(stage, 'alice', room);
  const phone = await join(stage, 'alice', room);
  const bob = await join(stage, 'bob', room);
  await alice.leave();
  t.equal((await bob.line.say(bob.uri, room, 'still here')).what, '200', 'one device of hers is left');
  await phone.line.hears('still here');
  await phone.leave();
  const bye = await bob.phone.next('BYE');
  t.match(bye.headers.get('Reason'), /its creator has left/);
  await bob.line.closed;

  const carol = await join(stage, 'carol', ROOM);
  const dave = await join(stage, 'dave', ROOM);
  await carol.leave();
  t.equal(await dave.say('and here?'), '200', 'other rooms go on');
});

t.test('RFC 7701 §4.1: simultaneous access, as far as the room allows it', async (t) => {
  const stage = await raise('rooms.named.one.maximum_devices=1');
  t.teardown(() => stage.close());
  // Both call before one of them is in the roster.
  const both = [join(stage, 'alice', 'sip:one@127.0.0.1'), join(stage, 'alice', 'sip:one@127.0.0.1')];
  await Promise.any(both);
  t.same((await Promise.allSettled(both)).map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
  await t.rejects(join(stage, 'alice', 'sip:one@127.0.0.1'), /not let in: (403|486)/);
  await join(stage, 'alice', ROOM);
  await join(stage, 'alice', ROOM);
});

t.test('RFC 7701 §6.3: reports of recipients stay with the switch', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const alice = await join(stage, 'alice');
  const bob = await join(stage, 'bob');
  const [headers, body] = cpim(alice.uri, ROOM, 'tell me', ['Success-Report: yes']);
  const id = alice.line.send('SEND', headers, body);
  const copy = await bob.line.hears('tell me');
  t.notOk(copy.headers.has('Success-Report'), 'the copies have a report model of their own');
  const messageId = copy.headers.get('Message-ID') ?? '';
  t.not(messageId, headers[0]?.slice('Message-ID: '.length));
  for (const status of ['000 200 OK', '000 413 No']) {
    bob.line.send('REPORT', [`Message-ID: ${messageId}`, 'Byte-Range: 1-10/10', `Status: ${status}`]);
  }
  t.equal((await bob.line.request('SEND', ['Message-ID: m-marker', 'Byte-Range: 1-0/0'])).what, '200', 'both are read');
  await bob.say('end');
  await alice.hears('end');
  const reports = alice.line.take((frame) => frame.what === 'REPORT' || frame.id === id);
  t.same(reports.map(({ what }) => what).sort(), ['200', 'REPORT'], 'the sender has its one report, from the switch');
});

t.test('RFC 7701 §8: chatroom may change with each offer', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const alice = await join(stage, 'alice');
  const bob = await join(stage, 'bob');
  t.equal((await alice.line.say(alice.uri, bob.uri, 'one')).what, '200');
  const sdp = messageSdp(bob.line.own)
    .replace(/^a=chatroom.*\r\n/m, '')
    .replace('o=- 1 1', 'o=- 1 2');
  const again = await bob.phone.within(bob.dialog, 'INVITE', { contentType: 'application/sdp', body: sdp });
  t.equal(again.status, 200);
  t.match(Buffer.from(again.body).toString(), /a=chatroom:nickname private-messages/, 'a declaration, no negotiation');
  bob.phone.ack(bob.dialog);
  t.equal((await alice.line.say(alice.uri, bob.uri, 'two')).what, '428', 'no private messages any more');
});
