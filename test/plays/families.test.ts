/** Stand-ins for real clients: their own bytes and manners, as seen on the wire. */
import t from 'tap';
import { loadConfig } from '../../src/config/load.ts';
import { PeerTable } from '../../src/focus/peers.ts';
import { peerFamily } from '../../src/service/peers.ts';
import { cpim, MsrpLine } from './msrp-line.ts';
import { SipPhone } from './sip-phone.ts';
import { join, messageSdp, newPath, pathOf, raise, ROOM, type Stage } from './stage.ts';

const BLINK = 'User-Agent: Blink 5.9.1 (Linux)';

/** What the sipsimple family offers: its c= only in the media line, its default route's address in the path. */
function blinkOffer(path: string, setup = 'active'): { contentType: string; body: string } {
  const lines = [
    ...['v=0', 'o=- 3976517880 3976517880 IN IP4 192.0.2.2', 's=Blink 5.9.1 (Linux)', 't=0 0'],
    ...['m=message 2855 TCP/MSRP *', 'c=IN IP4 192.0.2.2', `a=path:${path}`],
    'a=accept-types:message/cpim text/* image/* application/im-iscomposing+xml',
    'a=accept-wrapped-types:text/* image/* application/im-iscomposing+xml',
    ...[`a=setup:${setup}`, 'a=chatroom:nickname private-messages com.ag-projects.screen-sharing', ''],
  ];
  return { contentType: 'application/sdp', body: lines.join('\r\n') };
}

async function blink(stage: Stage, name: string, setup = 'active') {
  const phone = await SipPhone.connect(name, stage.sip);
  const own = newPath().replace('127.0.0.1:9', '192.0.2.2:2855');
  const { response, dialog } = await phone.request('INVITE', ROOM, { ...blinkOffer(own, setup), headers: [BLINK] });
  phone.ack(dialog);
  return { phone, own, response, dialog, answer: Buffer.from(response.body).toString() };
}

t.test('Blink joins: the answer that it needs, its bind answered before anything else', async (t) => {
  const stage = await raise('rooms.defaults.history_messages=20');
  t.teardown(() => stage.close());
  const bob = await join(stage, 'bob');
  t.equal(await bob.say('some history'), '200');
  for (const setup of ['active', 'actpass']) {
    const alice = await blink(stage, `alice-${setup}`, setup);
    t.match(alice.response.headers.get('Contact'), /;isfocus/);
    t.match(alice.answer, /^a=accept-types:message\/cpim\r$/m);
    t.match(alice.answer, /^a=accept-wrapped-types:.*\*\r$/m, 'without it Blink sends nothing');
    t.match(alice.answer, /^a=setup:passive\r$/m);
    t.match(alice.answer, /^a=chatroom:nickname private-messages\r$/m);
    const line = await MsrpLine.bind(alice.own, pathOf(alice.response.body));
    t.equal(line.first?.what, '200', 'a SEND before the 200 to its bind makes it hang up');
    await line.hears('some history');
    await alice.phone.within(alice.dialog, 'BYE');
  }
});

t.test('Blink subscribes: 200 with Contact first, then full documents only, with what it dereferences', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const alice = await blink(stage, 'alice');
  await MsrpLine.bind(alice.own, pathOf(alice.response.body));
  const { response, dialog } = await alice.phone.request('SUBSCRIBE', ROOM, {
    headers: [BLINK, 'Event: conference', 'Accept: application/conference-info+xml', 'Expires: 600'],
  });
  t.equal(response.status, 200);
  t.ok(response.contact, 'without Contact it answers the NOTIFY with 481');
  const document = async (): Promise<string> => Buffer.from((await alice.phone.next('NOTIFY')).body).toString();
  await document();
  t.same(alice.phone.arrived.slice(-2), ['200 SUBSCRIBE', 'NOTIFY'], 'a NOTIFY before the 200 is swallowed');
  await join(stage, 'bob');
  let text = '';
  while (!text.includes('sip:bob@')) {
    text = await document();
    t.match(text, /<conference-info [^>]*state="full"/);
    t.match(text, /<conference-description>.*<users>/s);
    for (const user of text.split('<user ').slice(1)) {
      t.match(user, /^[^>]*><display-text>/, 'each user has a display-text');
      for (const media of user.split('<media ').slice(1)) t.match(media, /^[^>]*>(?:(?!<\/media>).)*<type>/s);
    }
  }
  await alice.phone.within(dialog, 'SUBSCRIBE', { headers: [BLINK, 'Event: conference', 'Expires: 0'] });
});

t.test('Blink takes a message in one piece only, whatever its size, and counts characters', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const alice = await blink(stage, 'alice');
  const line = await MsrpLine.bind(alice.own, pathOf(alice.response.body));
  const bob = await join(stage, 'bob');
  t.equal(await bob.say('x'.repeat(40_000)), '200');
  const { body = '', flag } = await line.hears('xxx');
  t.equal(flag, '$');
  t.ok(body.length > 40_000, 'one SEND');

  const text = 'grüße — über';
  const message =
    `From: Alice <${alice.phone.uri}>\r\nTo: <${ROOM}>\r\nDateTime: 2026-01-01T00:00:00.000001+00:00\r\n\r\n` +
    `MIME-Version: 1.0\nContent-Type: text/plain; charset="utf8"\nContent-Transfer-Encoding: \n\n${text}`;
  const characters = String(message.length);
  t.not(characters, String(Buffer.byteLength(message)));
  const headers = ['Message-ID: blink-1', `Byte-Range: 1-${characters}/${characters}`, 'Success-Report: yes'];
  const answer = await line.request('SEND', [...headers, 'Failure-Report: yes', 'Content-Type: message/cpim'], message);
  t.equal(answer.what, '200');
  const report = await line.next(({ what }) => what === 'REPORT');
  t.match(report.headers.get('Status'), /^000 200/, 'what its "delivered" hangs on');
  const octets = String(Buffer.byteLength(message));
  t.equal(report.headers.get('Byte-Range'), `1-${octets}/${octets}`, 'RFC 4975 §7.1.2: never more than there is');
  t.equal((await bob.line.hears('über')).body, message);
});

t.test(
  'Blink keeps the line alive, negotiates OTR, names itself without quotes, and asks for what nobody knows',
  async (t) => {
    const stage = await raise();
    t.teardown(() => stage.close());
    const alice = await blink(stage, 'alice');
    const line = await MsrpLine.bind(alice.own, pathOf(alice.response.body));
    const bob = await join(stage, 'bob');
    t.equal((await line.request('SEND', ['Message-ID: alive-1', 'Byte-Range: 1-0/0', 'Keep-Alive: yes'])).what, '200');
    const [headers, body] = cpim(
      alice.phone.uri,
      ROOM,
      '?OTRv3?  I would like to start an Off-the-Record private conversation',
    );
    line.send(
      'SEND',
      [...headers.slice(0, 2), 'Failure-Report: no', 'Success-Report: no', 'Content-Type: message/cpim'],
      body,
    );
    t.equal((await line.request('NICKNAME', ['Use-Nickname: Bobby'])).what, '200');
    t.equal((await bob.line.request('NICKNAME', ['Use-Nickname: "bobby"'])).what, '425', 'taken');
    t.equal((await line.request('FILE_OFFSET', ['Message-ID: file-1'])).what, '501');
    t.equal((await line.say(alice.phone.uri, ROOM, 'still here')).what, '200');
    await bob.hears('still here');
    t.same(bob.line.heard(), [], 'neither keep-alive nor OTR reached the room');
  },
);

t.test('an RCS client finds one status word in each user, and the state attribute everywhere', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  await join(stage, 'bob');
  const phone = await SipPhone.connect('alice', stage.sip);
  phone.contactParams = ';+g.oma.sip-im';
  await phone.request('SUBSCRIBE', ROOM, { headers: ['Event: conference', 'Expires: 600'] });
  const text = Buffer.from((await phone.next('NOTIFY')).body).toString();
  const [, users = ''] = /<users[^>]*>(.*)<\/users>/s.exec(text) ?? [];
  t.notMatch(users, /<media[^>]*>(?:(?!<\/media>).)*<status>/s, 'no status after that of the endpoint');
  t.match(users, /<endpoint [^>]*state="full"/);
});

t.test('who is called shows its family in its answer: Blink gets one piece then, too', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const bob = await join(stage, 'bob');
  const phone = await SipPhone.connect('alice', stage.sip);
  const own = newPath();
  phone.sdp = messageSdp(own, ['m=audio 0 RTP/AVP 0']);
  phone.server = 'Blink 5.9.1 (Linux)';
  await bob.phone.within(bob.dialog, 'REFER', { headers: [`Refer-To: <${phone.address}>`] });
  const invite = await phone.next('INVITE');
  await phone.next('ACK');
  const line = await MsrpLine.bind(own, pathOf(invite.body));
  t.equal(await bob.say('x'.repeat(40_000)), '200');
  t.equal((await line.hears('xxx')).flag, '$');
  t.equal((await line.request('NICKNAME', ['Use-Nickname: Bobby'])).what, '200', 'without quotes');
});

const FREESWITCH = 'User-Agent: FreeSWITCH-mod_sofia/1.10.11-release+git~20231220T232146Z~24a72b1c14~64bit';
const CHANNEL = '5f2a1c1e-93b6-4d0f-8a57-0d1c2b3a4f5e';

/** What FreeSWITCH offers; `accepts` is a channel variable of its (`sip_msrp_local_accept_types` and its like). */
function freeSwitchOffer(accepts: string): { contentType: string; body: string } {
  const lines = [
    ...['v=0', 'o=FreeSWITCH 1790000000 1790000001 IN IP4 127.0.0.1', 's=FreeSWITCH', 'c=IN IP4 127.0.0.1', 't=0 0'],
    ...['m=message 2855 TCP/MSRP *', `a=path:msrp://127.0.0.1:2855/${CHANNEL};tcp`, `a=accept-types:${accepts}`],
    ...['a=accept-wrapped-types:*', 'a=setup:active', ''],
  ];
  return { contentType: 'application/sdp', body: lines.join('\r\n') };
}

/** It joins, and binds with a SEND that has a Message-ID of 36 characters, more than RFC 4975 §9 allows. */
async function freeSwitch(stage: Stage, accepts: string) {
  const phone = await SipPhone.connect('gateway', stage.sip);
  const { response, dialog } = await phone.request('INVITE', ROOM, {
    ...freeSwitchOffer(accepts),
    headers: [FREESWITCH],
  });
  if (response.status !== 200) return { status: response.status };
  phone.ack(dialog);
  const line = await MsrpLine.bind(`msrp://127.0.0.1:2855/${CHANNEL};tcp`, pathOf(response.body), undefined, CHANNEL);
  return { status: 200, phone, line, answer: Buffer.from(response.body).toString() };
}

let texts = 0;

/** A text as FreeSWITCH writes it: one whole SEND, no report headers, no charset, never CPIM. */
async function freeSwitchSays(line: MsrpLine, text: string, type = 'text/plain'): Promise<string> {
  texts += 1;
  const id = `8c1f0a9e-7d52-4b6e-9f13-${String(texts).padStart(12, '0')}`;
  const size = String(Buffer.byteLength(text));
  const headers = [`Message-ID: ${id}`, `Byte-Range: 1-${size}/${size}`, `Content-Type: ${type}`];
  return (await line.request('SEND', headers, text)).what;
}

t.test('FreeSWITCH writes bare text: it is wrapped in its name, and in that of who speaks through it', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const { line, answer = '', phone } = await freeSwitch(stage, 'message/cpim text/* application/im-iscomposing+xml');
  if (line === undefined) throw new Error('not let in');
  t.match(answer, /^a=accept-types:message\/cpim\r$/m, 'RFC 7701 §5.2: a single value, where it is understood');
  const bob = await join(stage, 'bob');
  t.equal(await freeSwitchSays(line, 'grüße — über'), '200');
  const { body = '', headers } = await bob.line.hears('über');
  t.equal(headers.get('Content-Type'), 'message/cpim');
  t.match(body, `<${phone.uri}>\r\nTo: <${ROOM}>\r\nDateTime: `);
  t.match(body, /\r\n\r\nContent-Type: text\/plain; ?charset=utf-8\r\n\r\ngrüße — über$/);
  t.equal(await freeSwitchSays(line, 'Zoe::\nhello from the conference'), '200');
  t.match((await bob.line.hears('hello')).body, /^From: "?Zoe"? <sip:gateway@.*\r\n\r\nhello from the conference$/s);
  t.equal(await freeSwitchSays(line, '<b>no</b>', 'text/html'), '415', 'it writes nothing else bare');
  t.equal(await freeSwitchSays(line, 'z'.repeat(100_000)), '413', 'RFC 4975 §10.5: wrapped when all of it is there');

  t.equal(await bob.say('y'.repeat(10_000)), '200');
  const heard = await line.hears('yyy');
  t.equal(heard.flag, '$', 'in one piece');
  t.equal(heard.headers.get('Content-Type'), 'message/cpim', 'which it takes off');
});

t.test('who takes bare text only hears the room as bare text that names who speaks', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const bob = await join(stage, 'bob');
  const { line, answer = '', phone } = await freeSwitch(stage, 'text/plain text/html');
  if (line === undefined) throw new Error('not let in');
  t.match(answer, /^a=accept-types:message\/cpim text\/plain\r$/m, 'it may write what it can');
  t.match(answer, /^a=accept-wrapped-types:text\/html \*\r$/m, 'RFC 4975 §8.6: no type stands in both');
  t.equal(await bob.say('hi all'), '200');
  const heard = await line.hears('hi all');
  t.equal(heard.headers.get('Content-Type'), 'text/plain;charset=utf-8');
  t.equal(heard.body, 'bob: hi all');
  const composing = '<isComposing xmlns="urn:ietf:params:xml:ns:im-iscomposing"><state>active</state></isComposing>';
  const typing = cpim(bob.uri, ROOM, composing);
  const wrapped = typing[1].replace('text/plain; charset=utf-8', 'application/im-iscomposing+xml');
  const size = String(Buffer.byteLength(wrapped));
  const [id = ''] = typing[0];
  await bob.line.request('SEND', [id, `Byte-Range: 1-${size}/${size}`, 'Content-Type: message/cpim'], wrapped);
  t.equal(await bob.say('after that'), '200');
  t.equal((await line.hears('after that')).body, 'bob: after that');
  t.same(
    line
      .heard()
      .map(({ body }) => body)
      .filter((body) => body?.startsWith('bob')),
    [],
    'no signs of writing',
  );
  t.equal(await freeSwitchSays(line, 'hi bob'), '200');
  t.match((await bob.line.hears('hi bob')).body, `<${phone.uri}>`);
});

t.test('RFC 7701 §5.2, §6: of all others bare text is neither taken nor agreed on', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const alice = await join(stage, 'alice');
  t.equal(await freeSwitchSays(alice.line, 'hi'), '415');
  const phone = await SipPhone.connect('carol', stage.sip);
  const { response } = await phone.request('INVITE', ROOM, freeSwitchOffer('text/plain'));
  t.equal(response.status, 488);
  t.equal((await freeSwitch(stage, 'text/html')).status, 488, 'without text/plain nothing could be said to it');
});

t.test(
  'RFC 7701 §6.2: private texts of who takes bare text only go both ways, but not to one who speaks for many',
  async (t) => {
    const stage = await raise('peers=[{user_agent: "Bare/*", bare_text: true}]');
    t.teardown(() => stage.close());
    const [alice, carol] = [await join(stage, 'alice'), await join(stage, 'carol')];
    const own = newPath();
    const body = messageSdp(own).replace('message/cpim', 'text/plain').replace(' private-messages', '');
    const bob = await join(stage, 'bob', ROOM, { body, headers: ['User-Agent: Bare/1.0'] }, own);
    t.equal(await freeSwitchSays(bob.line, '@Alice are you there?'), '200');
    t.match((await alice.line.hears('are you there?')).body, /^To: <sip:alice@127\.0\.0\.1>\r$/m);
    t.equal((await alice.line.say(alice.uri, bob.uri, 'only for you')).what, '200');
    t.equal((await bob.line.hears('only for you')).body, 'alice (private): only for you');

    const gateway = await freeSwitch(stage, 'text/plain text/html');
    const answer = await alice.line.say(alice.uri, gateway.phone?.uri ?? '', 'only for you');
    t.same([answer.what, answer.comment], ['428', 'Nobody can write to this participant alone']);
    t.equal(await alice.say('to all'), '200');
    for (const { line } of [carol, bob, gateway])
      t.notMatch((await line?.next(({ body: b }) => b?.includes('alice') === true))?.body, 'only');
  },
);

t.test('the configuration knows more families', async (t) => {
  const stage = await raise('peers=[{user_agent: "MyPhone/*", chunks: false, roster: full, bare_text: true}]');
  t.teardown(() => stage.close());
  const phone = await join(stage, 'alice', ROOM, { headers: ['User-Agent: MyPhone/2.1'] });
  const bob = await join(stage, 'bob');
  t.equal(await bob.say('z'.repeat(10_000)), '200');
  t.equal((await phone.line.hears('zzz')).flag, '$');
  t.equal(await freeSwitchSays(phone.line, 'Zoe::\nmine'), '200');
  t.match((await bob.line.hears('mine')).body, /\r\n\r\nZoe::\nmine$/, 'who speaks for many, it has not said');
});

t.test('where several configured families match, the later one has the say, key by key', async (t) => {
  const { peers } = loadConfig({
    options: [
      'peers=[{user_agent: "MyPhone*", chunks: false, message: none}, {user_agent: "*/2", message: in-dialog}]',
    ],
  });
  const table = new PeerTable(peers.map(peerFamily));
  const of = (userAgent: string) => table.profileOf({ userAgent, featureTags: [] });
  t.match(of('MyPhone/1'), { chunks: false, message: 'none' });
  t.match(of('MYPHONE/2'), { chunks: false, message: 'in-dialog' });
  t.match(of('Another/2'), { chunks: true, message: 'in-dialog' });
  t.equal(of('NotMyPhone/1').family, 'any', 'the whole of it is matched');
});
