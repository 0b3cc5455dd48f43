import { setTimeout } from 'node:timers/promises';
import t from 'tap';
import { formatUri, type SipRequest, type SipResponse } from '../../sip/index.ts';
import { joinRoom } from '../../src/client/index.ts';
import { nodeWebSocket } from '../../src/client/transport/node.ts';
import { MsrpLine } from './msrp-line.ts';
import { RawCaller } from './raw-caller.ts';
import { RawServer } from './raw-server.ts';
import { type Extra, type PhoneDialog, SipPhone } from './sip-phone.ts';
import { join, type Member, messageSdp, newPath, pathOf, raise, ROOM, stopTheClock, type Stage } from './stage.ts';

// Run by itself, a file has 30 s: not enough where others keep the machine busy.
t.setTimeout(600_000);

const AUDIO = [
  ...['v=0', 'o=- 1 1 IN IP4 127.0.0.1', 's=-', 'c=IN IP4 127.0.0.1', 't=0 0'],
  ...['m=audio 9 RTP/AVP 0', 'a=inactive', ''],
].join('\r\n');

/** Somebody in the call with audio alone. */
interface Caller {
  readonly phone: SipPhone;
  readonly dialog: PhoneDialog;
  /** Writes within the call; gives the status of the answer. */
  writes(text: string, more?: Extra): Promise<number>;
  /** The text of the next MESSAGE that comes. */
  reads(): Promise<string>;
  message(): Promise<SipRequest>;
}

async function call(stage: Stage, name: string, headers: readonly string[] = [], room = ROOM): Promise<Caller> {
  const phone = await SipPhone.connect(name, stage.sip);
  const offer = {
    contentType: 'application/sdp',
    body: AUDIO,
    headers: ['Allow: INVITE, ACK, BYE, CANCEL, MESSAGE, OPTIONS', ...headers],
  };
  const { response, dialog } = await phone.request('INVITE', room, offer);
  if (response.status !== 200) throw new Error(`${name} is not let in: ${String(response.status)}`);
  phone.ack(dialog);
  return {
    phone,
    dialog,
    writes: async (text, more = {}) =>
      (await phone.within(dialog, 'MESSAGE', { contentType: 'text/plain', body: text, ...more })).status,
    reads: async () => textOf(await phone.next('MESSAGE')),
    message: () => phone.next('MESSAGE'),
  };
}

function textOf(request: SipRequest): string {
  return Buffer.from(request.body).toString();
}

function bodyOf(cpim: string | undefined): string {
  return cpim?.split('\r\n\r\n').slice(2).join('\r\n\r\n').trim() ?? '';
}

t.test('RFC 3428 §4, §7: who is only in the call reads the chat and writes into it', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const zoe = await join(stage, 'zoe');
  const tom = await call(stage, 'tom');
  const max = await call(stage, 'max');
  t.equal(await tom.writes('hello from the phone'), 202, 'taken when the log has it');
  const heard = await zoe.line.hears('hello from the phone');
  t.match(heard.body, /^From: tom <sip:tom@127\.0\.0\.1>\r$/m);
  t.match(heard.body, /^To: <sip:lobby@127\.0\.0\.1>\r$/m);
  t.match(heard.body, /Content-Type: text\/plain;charset=utf-8/);
  t.equal(bodyOf(heard.body), 'hello from the phone');

  const atMax = await max.message();
  t.equal(textOf(atMax), 'tom: hello from the phone');
  t.equal(atMax.callId, max.dialog.callId, 'within the call');
  t.equal(atMax.contentType?.type, 'text/plain');
  t.equal(atMax.contact, undefined, 'RFC 3428 §4');

  t.equal(await zoe.say('hello, phones: grüße'), '200');
  t.equal(await tom.reads(), 'zoe: hello, phones: grüße', 'and no echo of his own');
  t.equal(await max.reads(), 'zoe: hello, phones: grüße');
});

t.test('a text that is larger than what may wait for a reader reaches him all the same', async (t) => {
  const stage = await raise('sip.message_bytes=256KiB', 'msrp.queue_bytes=64KiB');
  t.teardown(() => stage.close());
  const zoe = await join(stage, 'zoe');
  const tom = await call(stage, 'tom');
  const text = `from first ${'z'.repeat(200_000)} to last`;
  t.equal(await tom.writes(text), 202);
  t.equal(bodyOf((await zoe.line.hears('from first')).body), text);
});

t.test('RFC 3428 §7: texts out of the call, of those who are in it', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const zoe = await join(stage, 'zoe');
  const tom = await call(stage, 'tom');
  const outside = await tom.phone.request('MESSAGE', ROOM, { contentType: 'text/plain', body: 'from outside' });
  t.equal(outside.response.status, 202);
  await zoe.hears('from outside');
  const stranger = await SipPhone.connect('eve', stage.sip);
  const refused = await stranger.request('MESSAGE', ROOM, { contentType: 'text/plain', body: 'let me in' });
  t.equal(refused.response.status, 403);
  const nowhere = await stranger.request('MESSAGE', 'sip:no-such@127.0.0.1', { contentType: 'text/plain', body: 'x' });
  t.equal(nowhere.response.status, 404);
  t.equal(
    (
      await tom.phone.request('MESSAGE', 'sip:lobby~text@127.0.0.1', {
        contentType: 'text/plain',
        body: 'to the alias',
      })
    ).response.status,
    202,
  );
  await zoe.hears('to the alias');
});

t.test("RFC 3428 §7: a text out of the call is its author's by From and flow", async (t) => {
  for (const transport of ['tcp', 'udp'] as const) {
    const stage = await raise('rooms.named.safe.pin=4711');
    t.teardown(() => stage.close());
    const safe = 'sip:safe@127.0.0.1';
    const zoe = await join(stage, 'zoe', `${safe};pin=4711`);
    const writer = await RawCaller.connect(t, transport, stage.sip, 'tom');
    t.equal(await writer.invite(`${safe};pin=4711`, AUDIO), 200);
    t.equal(await writer.message(safe, 'by the flow of the call'), 202, transport);
    await zoe.hears('by the flow of the call');
    const other = await RawCaller.connect(t, transport, stage.sip, 'tom');
    t.equal(await other.message(safe, 'by another flow'), 403);
    t.equal(await other.message(`${safe};pin=4711`, 'by another flow'), 403, 'also where he might call');
    const refer = await other.request('REFER', safe, '', ['Refer-To: <sip:zoe@127.0.0.1;method=BYE>']);
    t.equal(refer, 403, 'orders as well');
    t.ok(stage.lines.some((line) => /tom@127\.0\.0\.1 from 127\.0\.0\.1 is not let in: other-flow/.test(line)));
    await writer.close();
    if (transport === 'udp') continue;
    t.equal(await other.message(safe, 'his connection is lost'), 401, 'as if he called: the PIN is asked for');
    t.equal(await other.message(`${safe};pin=1`, 'his connection is lost'), 403);
    t.equal(await other.message(`${safe};pin=4711`, 'by his next connection'), 202);
    await zoe.hears('by his next connection');
  }
  const open = await raise();
  t.teardown(() => open.close());
  const tom = await call(open, 'tom');
  const port = await SipPhone.connect('tom', open.sip);
  const refused = await port.request('MESSAGE', ROOM, { contentType: 'text/plain', body: 'from another port' });
  t.equal(refused.response.status, 403);
  t.match(refused.response.headers.get('Warning'), /within your call, or by the connection of your call/);
  t.equal(await tom.writes('and within the call'), 202);
});

t.test('RFC 3428 §7: whose request cannot come by the flow of his call, at his address', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const zoe = await join(stage, 'zoe');
  const text = (body: string): Extra => ({ contentType: 'text/plain', body });

  const tom = await RawCaller.connect(t, 'udp', stage.sip, 'tom');
  t.equal(await tom.invite(ROOM, AUDIO), 200);
  const large = 'too large for UDP '.repeat(80);
  const overTcp = await RawCaller.connect(t, 'tcp', stage.sip, 'tom');
  t.equal(await overTcp.message(ROOM, large), 202, 'RFC 3261 §18.1.1');
  await zoe.hears('too large for UDP');
  t.equal(await overTcp.message(ROOM, 'small'), 403);

  const codecs = Array.from({ length: 40 }, (_, i) => `a=rtpmap:${String(i + 96)} codec-${String(i)}/48000/2\r\n`);
  const [ann, annSmall, annElse] = [
    await RawCaller.connect(t, 'tcp', stage.sip, 'ann'),
    await RawCaller.connect(t, 'udp', stage.sip, 'ann'),
    await RawCaller.connect(t, 'tcp', stage.sip, 'ann'),
  ];
  t.equal(await ann.invite(ROOM, AUDIO + codecs.join('')), 200);
  t.equal(await annSmall.message(ROOM, 'small enough for UDP'), 202, 'where the INVITE was not');
  await zoe.hears('small enough for UDP');
  t.equal(await annElse.message(ROOM, 'by another connection'), 403);
  t.equal(await annElse.message(ROOM, `${large}by another connection`), 403);

  const via = ['Via: SIP/2.0/UDP phone.example.org;branch=z9hG4bKphone'];
  const [first, second] = [
    await RawCaller.connect(t, 'tcp', stage.sip, 'max'),
    await RawCaller.connect(t, 'tcp', stage.sip, 'max'),
  ];
  t.equal(await first.invite(ROOM, AUDIO, via), 200);
  t.equal(await second.message(ROOM, 'by the next connection of the proxy', via), 202);
  await zoe.hears('by the next connection of the proxy');
  t.equal(await second.message(ROOM, 'not by the proxy'), 403);

  const called = await RawServer.listen(t, 'tcp', (request, answer) => {
    const body = messageSdp(newPath(), ['m=audio 0 RTP/AVP 0']);
    answer(200, request.method === 'INVITE' ? { contentType: 'application/sdp', body } : {});
  });
  const headers = [`Refer-To: <${called.address('kim')}>`];
  t.equal((await zoe.phone.within(zoe.dialog, 'REFER', { headers })).status, 200);
  await called.next('ACK');
  const kim = await SipPhone.connect('kim', stage.sip);
  t.equal((await kim.request('MESSAGE', ROOM, text('by a connection of my own'))).response.status, 202);
  await zoe.hears('by a connection of my own');
  const away = await SipPhone.connect('kim', stage.sip, '127.0.0.1', '127.0.0.2');
  t.equal((await away.request('MESSAGE', ROOM, text('from elsewhere'))).response.status, 403);
});

t.test('RFC 3428 §7: a text of somebody whose telephone still rings is answered at once', async (t) => {
  const desk = 'sip:desk@127.0.0.1';
  const stage = await raise('rooms.named.desk.strangers=allow');
  t.teardown(() => stage.close());
  const zoe = await join(stage, 'zoe');
  const ringing = await RawServer.listen(t, 'tcp', (request, answer) => {
    answer(request.method === 'INVITE' ? 180 : 200);
  });
  const headers = [`Refer-To: <${ringing.address('kim')}>`];
  t.equal((await zoe.phone.within(zoe.dialog, 'REFER', { headers })).status, 200);
  await ringing.next('INVITE');
  const kim = await RawCaller.connect(t, 'udp', stage.sip, 'kim');
  t.equal(await kim.message(ROOM, 'not in it yet'), 403);
  t.equal(await kim.invite(ROOM, AUDIO), 200);
  const large = 'by my other telephone '.repeat(80);
  t.equal(await (await RawCaller.connect(t, 'tcp', stage.sip, 'kim')).message(ROOM, large), 202);
  await zoe.hears('by my other telephone');

  const max = await join(stage, 'max', desk);
  const another = { headers: [`Refer-To: <${ringing.address('ann')}>`] };
  t.equal((await max.phone.within(max.dialog, 'REFER', another)).status, 200);
  await ringing.next('INVITE');
  const ann = await RawCaller.connect(t, 'udp', stage.sip, 'ann');
  t.equal(await ann.message(desk, 'from outside, as others may'), 202);
  await max.hears('from outside, as others may');
});

t.test('RFC 3428 §7: a permanent room is there for a text also when nobody is in it', async (t) => {
  const desk = '"desk": {"permanent": true, "strangers": "allow", "history_messages": 5}';
  const stage = await raise(`rooms.named={${desk}, "shut": {"permanent": true}}`);
  t.teardown(() => stage.close());
  const tom = await RawCaller.connect(t, 'udp', stage.sip, 'tom');
  t.equal(await tom.message('sip:desk@127.0.0.1', 'is anybody there?'), 202);
  t.equal(await tom.message('sip:shut@127.0.0.1', 'and here?'), 403);
  t.equal(await tom.message('sip:none@127.0.0.1', 'and here?'), 404);
  await (await join(stage, 'zoe', 'sip:desk@127.0.0.1')).hears('is anybody there?');
});

t.test('the types of a MESSAGE: what is taken, what is refused, and how', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const zoe = await join(stage, 'zoe');
  const tom = await call(stage, 'tom');
  t.equal(
    await tom.writes('<p>Is <b>this</b> <a href="https://x.example">safe</a>?<script>alert(1)</script>', {
      contentType: 'text/html',
    }),
    202,
  );
  t.equal(bodyOf((await zoe.line.hears('safe')).body), 'Is this safe (https://x.example)?');
  const cpim = [
    'From: <sip:tom@127.0.0.1>',
    'To: <sip:lobby@127.0.0.1>',
    'X.Own: kept',
    '',
    'Content-Type: text/plain',
    '',
    'wrapped',
  ].join('\r\n');
  t.equal(await tom.writes(cpim, { contentType: 'message/cpim' }), 202);
  t.equal((await zoe.line.hears('wrapped')).body?.trimEnd(), cpim, 'not a byte changed');
  t.equal(
    await tom.writes(cpim.replace('tom@', 'zoe@'), { contentType: 'message/cpim' }),
    403,
    'in the name of another',
  );
  const image = await tom.phone.within(tom.dialog, 'MESSAGE', { contentType: 'image/png', body: 'x' });
  t.equal(image.status, 415);
  t.same(
    image.accept?.map(({ type }) => type),
    [
      'text/plain',
      'text/html',
      'message/cpim',
      'application/x-asterisk-confbridge-chat+json',
      'application/im-iscomposing+xml',
      'message/imdn+xml',
      'application/vnd.gsma.rcs-ft-http+xml',
      'application/vnd.gsma.rcspushlocation+xml',
    ],
  );
  const mixed =
    '--b\r\nContent-Type: text/plain\r\n\r\nof two\r\n--b\r\nContent-Type: image/png\r\nContent-Disposition: render;handling=optional\r\n\r\nx\r\n--b--';
  t.equal(await tom.writes(mixed, { contentType: 'multipart/mixed;boundary=b' }), 202);
  t.equal(bodyOf((await zoe.line.hears('of two')).body), 'of two');
  const both =
    '--b\r\nContent-Type: text/plain\r\n\r\none\r\n--b\r\nContent-Type: text/html\r\n\r\n<b>and two</b>\r\n--b--';
  t.equal(await tom.writes(both, { contentType: 'multipart/mixed;boundary=b' }), 202);
  t.equal(bodyOf((await zoe.line.hears('and two')).body), 'one\nand two', 'RFC 5621 §6: all that is text');
  const file =
    '<file xmlns="urn:gsma:params:xml:ns:rcs:rcs:fthttp"><file-info type="file"><file-size>12345</file-size><file-name>a.pdf</file-name><content-type>application/pdf</content-type><data url="https://files.example.org/abc"/></file-info></file>';
  const max = await call(stage, 'max');
  t.equal(await tom.writes(file, { contentType: 'application/vnd.gsma.rcs-ft-http+xml' }), 202);
  t.equal(bodyOf((await zoe.line.hears('files.example.org')).body), file, 'a file on a server: as it came');
  t.equal(await max.reads(), 'tom: [a.pdf, application/pdf, 12 KiB: https://files.example.org/abc]');
  t.equal(await tom.writes('aGk=', { contentType: 'text/plain', headers: ['Content-Encoding: br'] }), 415);
  t.equal(await tom.writes('', {}), 202, 'nothing said');
  t.equal(await tom.writes('x', { contentType: 'nonsense' }), 400);
});

t.test('RFC 3994, RFC 5438: signs of writing are passed on, and never read as text', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const zoe = await join(stage, 'zoe');
  const tom = await call(stage, 'tom');
  const typing =
    '<?xml version="1.0"?><isComposing xmlns="urn:ietf:params:xml:ns:im-iscomposing"><state>active</state></isComposing>';
  t.equal(await tom.writes(typing, { contentType: 'application/im-iscomposing+xml' }), 202);
  await zoe.line.hears('isComposing');
  const amy = await join(stage, 'amy');
  const asking = ['From: <sip:zoe@127.0.0.1>', `To: <${ROOM}>`, 'NS: imdn <urn:ietf:params:imdn>']
    .concat(['imdn.Message-ID: asked-01', 'imdn.Disposition-Notification: display'])
    .concat(['', 'Content-Type: text/plain', '', 'have you read it?'])
    .join('\r\n');
  const size = String(asking.length);
  const head = ['Message-ID: asking01', `Byte-Range: 1-${size}/${size}`, 'Content-Type: message/cpim'];
  t.equal((await zoe.line.request('SEND', head, asking)).what, '200');
  t.equal(await tom.reads(), 'zoe: have you read it?');
  const displayed = (id: string): string =>
    '<?xml version="1.0"?><imdn xmlns="urn:ietf:params:xml:ns:imdn">' +
    `<message-id>${id}</message-id><datetime>2026-04-04T12:16:49-05:00</datetime>` +
    '<display-notification><status><displayed/></status></display-notification></imdn>';
  const notice = { contentType: 'message/imdn+xml', headers: ['Content-Disposition: notification'] };
  t.equal(await tom.writes(displayed('asked-01'), notice), 202, 'bare, as some clients send it');
  const told = await zoe.line.hears('asked-01');
  t.match(told.body, /^From: tom <sip:tom@127\.0\.0\.1>\r\nTo: <sip:lobby@127\.0\.0\.1>\r$/m);
  t.match(told.body, /Content-Type: message\/imdn\+xml\r\nContent-Disposition: notification\r\n\r\n<\?xml/);
  t.equal(await tom.writes(displayed('nobody-said-this'), notice), 202, 'of what nobody remembers: for nobody');
  t.match(told.body, /^imdn\.Message-ID: (?!asked-01)\S+\r$/m, 'RFC 5438 §7.2.1: it has an id of its own');
  t.equal(await tom.writes('<imdn', notice), 400);
  const wrapped = [
    'From: <sip:zoe@127.0.0.1>',
    `To: <${ROOM}>`,
    '',
    'Content-Type: application/im-iscomposing+xml',
    '',
    typing,
  ].join('\r\n');
  t.equal(
    (
      await zoe.line.request(
        'SEND',
        [
          'Message-ID: typing01',
          `Byte-Range: 1-${String(wrapped.length)}/${String(wrapped.length)}`,
          'Content-Type: message/cpim',
        ],
        wrapped,
      )
    ).what,
    '200',
  );
  await zoe.say('done');
  t.equal(await tom.reads(), 'zoe: done', 'the sign before it has not come');
  await amy.hears('done');
  const others = amy.line.heard().filter(({ body }) => body?.includes('displayed') === true);
  t.same(others, [], 'RFC 5438 §7.2.1: a notification is for the author alone');
});

t.test('RFC 7701 §6.2: private texts both ways', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const zoe = await join(stage, 'zoe');
  const amy = await join(stage, 'amy');
  const tom = await call(stage, 'tom');
  t.equal(await tom.writes('@Zoe are you there?'), 202);
  const aside = await zoe.line.hears('are you there?');
  t.match(aside.body, /^To: <sip:zoe@127\.0\.0\.1>\r$/m);
  t.equal(bodyOf(aside.body), 'are you there?');
  t.equal((await zoe.line.say(zoe.uri, 'sip:tom@127.0.0.1', 'yes, only for you')).what, '200');
  t.equal(await tom.reads(), 'zoe (private): yes, only for you');
  const namesake = await join(stage, 'Zoe', ROOM, { from: 'sip:cousin@127.0.0.1' });
  t.equal(await tom.writes('@Zoe which of you?'), 403, 'two of that name: RFC 7701 §6.1 has 403 for two in To');
  await namesake.leave();
  await zoe.leave();
  t.equal(
    await tom.writes('@Zoe my key is 4711'),
    403,
    'she has left: that is for nobody else; 404 would end the call',
  );
  t.match(await tom.reads(), /^Said to no one, since nobody here has that name/, 'also in words');
  t.equal(await tom.writes('where is she?'), 202);
  await amy.hears('where is she?');
  t.same(amy.line.heard(), [], 'she has heard nothing of the rest');
});

t.test('RFC 7701 §6.2: a slip in a name or an order makes no secret public, and its author is told', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const [zoe, tom] = [await join(stage, 'zoe'), await call(stage, 'tom')];
  const slip = { contentType: 'text/plain', body: '@Zoey my key is 4711' };
  const refused = await tom.phone.within(tom.dialog, 'MESSAGE', slip);
  t.equal(refused.status, 403, '404 would end the call');
  t.match(refused.reason, /nobody here has that name; @all or a blank before it says it to all/);
  t.match(await tom.reads(), /^Said to no one, since nobody here has that name/, 'also in words');
  t.equal(await tom.writes(slip.body), 403, 'not explained twice');
  t.equal((await tom.phone.request('MESSAGE', ROOM, slip)).response.status, 404, 'out of the call');
  for (const text of ['/kik Zoe she is annoying', '/msg zoe my key is 4711']) {
    t.equal(await tom.writes(text), 403, text);
    t.match(await tom.reads(), /^Said to no one, since there is no such order/);
  }
  const sayable = [
    ...['@all hi', '@Channel: hi', ' @Zoey hi', '@ noon', '@zoe', 'I said @Zoey hi'],
    ...['/usr/bin is full', '/etc/passwd', ' /kik Zoe', '//kik Zoe', '/me waves', '/ no', 'a /kik'],
  ];
  for (const text of sayable) {
    t.equal(await tom.writes(text), 202, text);
    t.equal(bodyOf((await zoe.line.hears(text)).body), text.trim());
  }
  t.same(zoe.line.heard(), [], 'she has heard nothing of the rest');
  const many = await call(stage, 'bridge', ['User-Agent: FreeSWITCH-mod_sofia/1.10']);
  for (const text of ['@Zoey hi', '/shrug']) t.equal(await many.writes(text), 202, 'passed on from elsewhere');
});

t.test(
  'RFC 7701 §6.2: what names somebody in a room without private texts is refused, and said to nobody',
  async (t) => {
    const stage = await raise('rooms.defaults.private_messages=false');
    t.teardown(() => stage.close());
    const zoe = await join(stage, 'zoe');
    const amy = await join(stage, 'amy');
    const tom = await call(stage, 'tom');
    const aside = { contentType: 'text/plain', body: '@Zoe my secret is 4711' };
    const inside = await tom.phone.within(tom.dialog, 'MESSAGE', aside);
    t.equal(inside.status, 403, 'RFC 5057 §5.1: the call goes on');
    t.match(inside.headers.get('Warning'), /This room takes no private messages/);
    t.equal((await tom.phone.request('MESSAGE', ROOM, aside)).response.status, 403);
    t.equal(await tom.writes('<p>@Zoe my secret is 4711</p>', { contentType: 'text/html' }), 403);
    t.equal(await tom.writes('Zoe is not here, is she?'), 202);
    t.equal(await tom.writes('@Nobody hello'), 403);
    await zoe.leave();
    t.equal(await tom.writes('@Zoe my secret is 4711'), 403, 'also when she has left');
    t.equal(await tom.writes('to all'), 202);
    for (const text of ['Zoe is not here', 'to all']) await amy.hears(text);
    t.same(amy.line.heard(), [], 'she has heard nothing of the rest');
  },
);

t.test('RFC 3323 §4.2: who is known by his call is told that a text of his cannot be anonymous', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const zoe = await join(stage, 'zoe');
  const tom = await call(stage, 'tom');
  const hidden = await call(stage, 'hidden', ['Privacy: id']);
  t.match(await hidden.reads(), /You are anonymous here/);
  for (const privacy of ['id', 'user;critical', 'none', 'session']) {
    const headers = [`Privacy: ${privacy}`];
    t.equal(await tom.writes(`with ${privacy}`, { headers }), /none|session/.test(privacy) ? 202 : 403, privacy);
  }
  t.equal(await hidden.writes('nobody knows me', { headers: ['Privacy: id'] }), 202);
  const nameless = await SipPhone.connect('nameless', stage.sip);
  const from = 'sip:anonymous@anonymous.invalid';
  const { dialog } = await nameless.request('INVITE', ROOM, { from, contentType: 'application/sdp', body: AUDIO });
  nameless.ack(dialog);
  const text = { from, contentType: 'text/plain', body: 'I have no name' };
  t.equal((await nameless.within(dialog, 'MESSAGE', text)).status, 202);
  for (const text of ['with none', 'with session', 'nobody knows me', 'I have no name']) await zoe.hears(text);
  t.same(zoe.line.heard(), []);
});

t.test(
  'RFC 3323 §4.1.1.3: who gives no name is known by the flow of his call, where nobody else could be meant',
  async (t) => {
    for (const transport of ['tcp', 'udp'] as const) {
      const stage = await raise();
      t.teardown(() => stage.close());
      const zoe = await join(stage, 'zoe');
      const from = 'sip:anonymous@anonymous.invalid';
      const caller = (): Promise<RawCaller> => RawCaller.connect(t, transport, stage.sip, 'ghost', from);
      const ghost = await caller();
      t.equal(await ghost.message(ROOM, 'nobody is here yet'), 403, transport);
      t.equal(await ghost.invite(ROOM, AUDIO), 200);
      t.equal(await ghost.message(ROOM, 'I have no name'), 202);
      const shown = /^From: .*<(sip:anonymous-\w+@anonymous\.invalid)>/m;
      const [, alias = 'none'] = shown.exec((await zoe.line.hears('I have no name')).body ?? '') ?? [];
      t.equal(await ghost.message(ROOM, 'and am the same'), 202);
      t.match((await zoe.line.hears('and am the same')).body, `<${alias}>`);
      await ghost.request('REFER', ROOM, '', ['Refer-To: <sip:zoe@127.0.0.1;method=BYE>']);
      t.ok(
        stage.lines.some((line) => new RegExp(`${alias} by REFER: kick .*refused: role-too-low`).test(line)),
        'his orders are judged as those of who is here',
      );
      t.equal(await (await caller()).message(ROOM, 'by another flow'), 403);
      const proxy = ['Via: SIP/2.0/UDP phone.example.org;branch=z9hG4bKphone'];
      t.equal(await ghost.message(ROOM, 'from behind a proxy', proxy), 403, 'which carries others, too');
      t.equal(await ghost.invite(ROOM, AUDIO), 200);
      t.equal(await ghost.message(ROOM, 'which of the two?'), 403, 'two calls on one flow');
      const behind = await caller();
      t.equal(await behind.invite(ROOM, AUDIO, proxy), 200);
      t.equal(await behind.message(ROOM, 'who of the proxy?', proxy), 403);
      t.equal(await zoe.say('done'), '200');
      t.same(
        zoe.line.heard().filter(({ body }) => /flow|proxy|two/.test(body ?? '')),
        [],
      );
    }
  },
);

t.test('RFC 3264 §8: who is muted and has no line for the chat gets no offer that says the same again', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const zoe = await join(stage, 'zoe');
  const tom = await call(stage, 'tom');
  t.equal(await zoe.say('/mute tom'), '200');
  t.equal(await tom.reads(), 'tom was muted (zoe).');
  t.equal(await tom.writes('but'), 403);
  t.equal(await zoe.say('/kick tom'), '200');
  await tom.phone.next('BYE');
  t.notOk(tom.phone.arrived.includes('INVITE'));
});

t.test('RFC 4575 §5.8: who has the chat by SIP MESSAGE has a message medium, which shows a mute', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const watcher = await SipPhone.connect('watcher', stage.sip);
  const headers = [
    'Event: conference',
    'Accept: application/conference-info+xml',
    'User-Agent: Blink 5',
    'Expires: 600',
  ];
  const zoe = await join(stage, 'zoe');
  await watcher.request('SUBSCRIBE', ROOM, { headers });
  const tom = await call(stage, 'tom');
  const shown = async (pattern: RegExp): Promise<void> => {
    for (;;) {
      const [, media] =
        /sip:tom@[^]*?<\/joining-info>([^]*?)<\/endpoint>/.exec(textOf(await watcher.next('NOTIFY'))) ?? [];
      if (media !== undefined && pattern.test(media)) return;
    }
  };
  const medium = '<media id="texts"><display-text>SIP MESSAGE</display-text><type>message</type>';
  await shown(new RegExp(`<media id="0"><type>audio</type>.*${medium}<label>[^<]*</label><status>sendrecv</status>`));
  await zoe.say('/mute tom');
  await shown(new RegExp(`${medium}.*<status>recvonly</status>`));
  t.equal(await tom.writes('anybody?'), 403);
  await zoe.say('/unmute tom');
  await shown(new RegExp(`${medium}.*<status>sendrecv</status>`));
  t.equal(await tom.writes('here I am'), 202);
  tom.phone.replies.set('MESSAGE', '405 Method Not Allowed');
  await zoe.say('he will not read this');
  await shown(/^(?!.*id="texts").*<media id="0">/);
});

t.test('Linphone: out of the call, to its address of record, not From the roster URI', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const zoe = await join(stage, 'zoe');
  const lin = await call(stage, 'lin', ['User-Agent: Linphone-Desktop/5.1 (belle-sip)']);
  await zoe.say('first');
  const first = await lin.message();
  t.not(first.callId, lin.dialog.callId, 'out of the call');
  t.equal(first.headers.get('To')?.replace(/;.*/, ''), '<sip:lin@127.0.0.1>');
  t.match(first.headers.get('From'), /<sip:lobby~text@127\.0\.0\.1>/);
  t.equal(textOf(first), 'zoe: first');
  await zoe.say('second');
  t.not((await lin.message()).callId, first.callId, 'another Call-ID each');
  const answer = { contentType: 'text/plain', body: 'answer' };
  const { response } = await lin.phone.request('MESSAGE', 'sip:lobby~text@127.0.0.1', answer);
  t.equal(response.status, 200, 'it shows 202 as undelivered');
  await zoe.hears('answer');
});

t.test('RFC 3428 §8: out of calls one text at a time goes to one URI, in however many rooms', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const other = 'sip:other@127.0.0.1';
  const [zoe, tom] = [await join(stage, 'zoe'), await join(stage, 'tom', other)];
  const { phone } = await call(stage, 'lin', ['User-Agent: Linphone']);
  const offer = { contentType: 'application/sdp', body: AUDIO, headers: ['User-Agent: Linphone'] };
  phone.ack((await phone.request('INVITE', other, offer)).dialog);
  phone.late.add('MESSAGE');
  await zoe.say('in the lobby');
  const first = await phone.next('MESSAGE');
  t.equal(textOf(first), 'zoe: in the lobby');
  await tom.say('elsewhere');
  await zoe.say('and more');
  // What the service sends after it comes after what it has sent before.
  await phone.request('OPTIONS', ROOM);
  t.equal(phone.waiting('MESSAGE'), 0, 'while it has not been answered');
  phone.answer(first);
  const second = await phone.next('MESSAGE');
  await phone.request('OPTIONS', ROOM);
  t.equal(phone.waiting('MESSAGE'), 0);
  phone.answer(second);
  t.same([textOf(second), textOf(await phone.next('MESSAGE'))], ['tom: elsewhere', 'zoe: and more']);
});

t.test(
  'RFC 3428 §8: out of the call by proxies no MESSAGE has more than 1300 octets, however long the way',
  async (t) => {
    const stage = await raise();
    t.teardown(() => stage.close());
    const zoe = await join(stage, 'zoe');
    const routed = ['User-Agent: Linphone', `Record-Route: <sip:proxy.example.org;lr;ftag=${'y'.repeat(500)}>`];
    const lin = await call(stage, 'lin', routed);
    await zoe.say('x'.repeat(2000));
    const message = await lin.message();
    t.ok(message.headers.get('Route'));
    t.match(textOf(message), /^zoe: x+ \[…\]$/);
    const { method, headers, body } = message;
    const head = [...headers].map(({ name, value }) => `${name}: ${value}\r\n`).join('');
    const octets = `${method} ${formatUri(message.uri)} SIP/2.0\r\n${head}\r\n`.length + body.length;
    t.ok(octets <= 1300 && octets > 1100, String(octets));
  },
);

t.test('message/cpim where it is configured; a peer that refuses it gets plain text from then on', async (t) => {
  const stage = await raise('peers=[{user_agent: "Rich*", text: cpim}]');
  t.teardown(() => stage.close());
  const zoe = await join(stage, 'zoe');
  const rich = await call(stage, 'rich', ['User-Agent: Rich/1']);
  await zoe.say('first');
  const first = await rich.message();
  t.equal(first.contentType?.type, 'message/cpim');
  t.match(
    textOf(first),
    /^From: zoe <sip:zoe@127\.0\.0\.1>\r\nTo: <sip:lobby@127\.0\.0\.1>\r\nDateTime: \d{4}-.*\r\nNS: imdn <urn:ietf:params:imdn>\r\nimdn\.Message-ID: \S+\r\n\r\nContent-Type: text\/plain;charset=utf-8\r\n\r\nfirst$/,
  );
  rich.phone.replies.set('MESSAGE', '415 Unsupported Media Type');
  await zoe.say('second');
  t.equal((await rich.message()).contentType?.type, 'message/cpim');
  rich.phone.replies.delete('MESSAGE');
  t.equal(await rich.reads(), 'zoe: second', 'again at once');
  await zoe.say('third');
  t.equal(await rich.reads(), 'zoe: third');
  t.ok(stage.lines.some((line) => line.includes('plain text from now on')));
});

t.test('RFC 3261 §20.1: who accepts message/cpim and no plain text gets message/cpim', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const zoe = await join(stage, 'zoe');
  const forms = {
    'application/sdp': 'text/plain',
    'application/sdp, message/cpim': 'message/cpim',
    'application/sdp, message/cpim, text/*': 'text/plain',
    '*/*': 'text/plain',
    '=': 'text/plain',
  };
  for (const [accept, form] of Object.entries(forms)) {
    const tom = await call(stage, 'tom', [`Accept: ${accept}`], `${ROOM};history=0`);
    t.equal(await zoe.say('hello'), '200');
    t.equal((await tom.message()).contentType?.type, form, accept);
    await tom.phone.within(tom.dialog, 'BYE');
  }
});

t.test('Asterisk ConfBridge: its members speak in their own names, and hear no echo', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const zoe = await join(stage, 'zoe');
  const tom = await call(stage, 'tom');
  const bridge = await call(stage, 'bridge', ['User-Agent: Asterisk PBX 20.1']);
  const single = await call(stage, 'single', ['User-Agent: Asterisk PBX 20.1']);
  const json = JSON.stringify({ From: 'Bob', Body: 'hi from the bridge' });
  t.equal(await bridge.writes(json, { contentType: 'application/x-asterisk-confbridge-chat+json' }), 202);
  t.match((await zoe.line.hears('hi from the bridge')).body, /^From: Bob <sip:bridge@127\.0\.0\.1>\r$/m);
  t.equal(await tom.reads(), 'Bob: hi from the bridge');
  await zoe.say('hi Bob');
  t.equal(await bridge.reads(), 'zoe: hi Bob');
  const aside = await zoe.line.say(zoe.uri, bridge.phone.uri, 'for you alone');
  t.same(
    [aside.what, aside.comment],
    ['428', 'Nobody can write to this participant alone'],
    'all behind it would see it',
  );
  t.equal((await zoe.line.say(zoe.uri, single.phone.uri, 'for you alone')).what, '200');
  t.equal(await single.reads(), 'Bob: hi from the bridge');
  t.equal(await single.reads(), 'zoe: hi Bob');
  t.equal(await single.reads(), 'zoe (private): for you alone', 'one telephone behind an Asterisk');
  await single.phone.within(single.dialog, 'BYE');
  t.equal(await bridge.writes('{"Body": 1}', { contentType: 'application/x-asterisk-confbridge-chat+json' }), 400);
  t.equal(await bridge.writes('{', { contentType: 'application/x-asterisk-confbridge-chat+json' }), 400);
  const free = await call(stage, 'free', ['User-Agent: FreeSWITCH-mod_sofia/1.10']);
  t.equal(await free.writes('Ann::\nhi from there'), 202);
  t.match((await zoe.line.hears('hi from there')).body, /^From: Ann <sip:free@/m);
});

t.test('a loop ends by itself: what comes back, and what answers to everything', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const zoe = await join(stage, 'zoe');
  // Another room, joined by its own leg: it gives back what it hears, under its own name.
  const other = await call(stage, 'other');
  await zoe.say('to and fro');
  const told = await other.reads();
  const back = { contentType: 'text/plain', body: `lobby: ${told}` };
  const inside = await other.phone.within(other.dialog, 'MESSAGE', back);
  t.match(inside, { status: 403, reason: /loop/ }, 'RFC 5057 §5.1: 482 would end the call');
  t.equal((await other.phone.request('MESSAGE', ROOM, back)).response.status, 482, 'RFC 3261 §21.4.20');
  // Two machines that answer each text at once.
  const away = [await call(stage, 'away1'), await call(stage, 'away2')] as const;
  await zoe.say('anybody there?');
  let said = 0;
  const answers = async (caller: Caller, text: string): Promise<void> => {
    for (;;) {
      await caller.reads();
      const status = await caller.writes(text);
      if (status === 403) return;
      said += 1;
    }
  };
  // The notice of one differs each time, as those of undelivered messages do.
  await Promise.race([answers(away[0], 'I am away until 14:00'), answers(away[1], `id ${String(said)}: away`)]);
  t.ok(said <= 10, `${String(said)} texts`);
  t.ok(stage.lines.some((line) => /other@.* gives back/.test(line)));
  t.ok(stage.lines.some((line) => /away\d@.* answers each text/.test(line)));
  t.equal(await other.writes('a person after all'), 202);
});

t.test('loops: who comes again may say the same as last time, also when he is given it as the past', async (t) => {
  const stage = await raise('rooms.defaults.history_messages=20', 'rooms.defaults.messages_at_once=1000');
  t.teardown(() => stage.close());
  const ops = await join(stage, 'ops');
  const lines = Array.from({ length: 12 }, (_, k) => `disk ${String(k + 1)}: nothing is wrong with it`);
  for (const name of ['cron', 'cron', 'cron', 'another']) {
    const cron = await join(stage, name);
    for (const line of name === 'cron' ? [] : lines) await cron.hears(line);
    for (const line of lines) t.equal(await cron.say(line), '200', `${name}: ${line}`);
    for (const line of lines) await ops.hears(line);
    // While he is there, he gives back what others say as anybody does.
    const back = [];
    for (const text of ['where do we meet', 'at the old bridge', 'see you there then']) {
      t.equal(await ops.say(`${name}, ${text}`), '200');
      await cron.hears(text);
      back.push(await cron.say(`ops: ${name}, ${text}`));
    }
    t.same(back, ['200', '403', '403'], 'a loop');
    await cron.leave();
  }
});

t.test('loops: two rooms that one user has joined twice over', async (t) => {
  const stage = await raise('rooms.defaults.messages_at_once=1000', 'rooms.defaults.history_messages=20');
  t.teardown(() => stage.close());
  const side = 'sip:side@127.0.0.1';
  const zoe = await join(stage, 'zoe');
  let said = 0;
  let stopped = (): void => undefined;
  const over = new Promise<void>((resolve) => (stopped = resolve));
  for (let relay = 0; relay < 2; relay += 1) {
    const ends = [await join(stage, 'relay'), await join(stage, 'relay', side)] as const;
    for (const [from, to] of [ends, ends.toReversed()] as [Member, Member][]) {
      void (async () => {
        for (;;) {
          const text = bodyOf((await from.line.hears('')).body);
          if ((await to.say(text)) === '200') said += 1;
          else stopped();
        }
      })();
    }
  }
  t.equal(await zoe.say('where do we meet'), '200');
  await over;
  t.ok(said <= 20, String(said));
  t.ok(stage.lines.some((line) => /relay@.* gives back/.test(line)));
});

/** Somebody who can answer all that he reads, by whatever protocol. */
interface Answerer {
  reads(): Promise<string>;
  says(text: string): Promise<number>;
}

const answerers: Readonly<Record<string, (stage: Stage, name: string) => Promise<Answerer>>> = {
  MSRP: async (stage, name) => {
    const member = await join(stage, name);
    return {
      reads: async () => bodyOf((await member.line.hears('')).body),
      says: async (text) => Number(await member.say(text)),
    };
  },
  MESSAGE: async (stage, name) => {
    const caller = await call(stage, name);
    return { reads: () => caller.reads(), says: (text) => caller.writes(text) };
  },
  WebSocket: async (stage, name) => {
    const port = stage.service.addresses.find(({ protocol }) => protocol === 'HTTP')?.port ?? 0;
    const texts: string[] = [];
    let wake = (): void => undefined;
    const options = { name, webSocket: nodeWebSocket, server: `ws://127.0.0.1:${String(port)}/ws` };
    const room = await joinRoom(ROOM, options, {
      message: ({ text, status }) => {
        if (text === undefined || status) return;
        texts.push(text);
        wake();
      },
      closed: () => undefined,
    });
    return {
      reads: async () => {
        while (texts.length === 0) await new Promise<void>((resolve) => (wake = resolve));
        return texts.shift() ?? '';
      },
      says: async (text) => ((await room.say(text)).said ? 200 : 403),
    };
  },
};

t.test('machines that answer to everything stop within ten texts, by whatever protocol', async (t) => {
  let count = 0;
  const away = (): string => `I am away, this is answer ${String((count += 1))} of ${new Date().toISOString()}`;
  const failed = (text: string): string => `"${text.slice(0, 12)}" could not be delivered to sip:gone@127.0.0.1`;
  for (const [one, other] of [
    ['MSRP', 'MSRP'],
    ['MSRP', 'MESSAGE'],
    ['MESSAGE', 'MESSAGE'],
    ['WebSocket', 'MSRP'],
  ] as const) {
    const stage = await raise();
    t.teardown(() => stage.close());
    const zoe = await join(stage, 'zoe');
    let said = 0;
    const answer = async ({ reads, says }: Answerer, text: (heard: string) => string): Promise<void> => {
      for (;;) {
        if ((await says(text(await reads()))) >= 300) return;
        said += 1;
      }
    };
    const machines = [await answerers[one]?.(stage, 'one'), await answerers[other]?.(stage, 'other')];
    const [first, second] = machines;
    if (first === undefined || second === undefined) throw new Error('no machines');
    t.equal(await zoe.say('is anybody there?'), '200');
    await Promise.race([answer(first, away), answer(second, failed)]);
    t.ok(said <= 10, `${one} and ${other}: ${String(said)} texts`);
    t.ok(stage.lines.some((line) => /sip:(one|other)@\S+ (answers each text|gives back)/.test(line)));
    t.equal(await first.says('and now a person'), one === 'MESSAGE' ? 202 : 200);
  }
});

t.test('three and four machines that answer each other stop within ten texts, also such as quote', async (t) => {
  const notices: readonly ((name: string, heard: string) => string)[] = [
    (name) => `${name} is not here at the moment`,
    (name, heard) => `${name} will read it tomorrow.\r\n\r\n> ${heard.replace(/\n/g, '\n> ')}`,
    (name, heard) => `Delivery of "${heard.slice(0, 40)}..." to ${name} has failed`,
  ];
  for (const protocol of ['MSRP', 'MESSAGE'] as const) {
    for (const [kind, notice] of notices.entries()) {
      for (const names of [
        ['one', 'two', 'three'],
        ['one', 'two', 'three', 'four'],
      ]) {
        const stage = await raise();
        t.teardown(() => stage.close());
        const zoe = await join(stage, 'zoe');
        let said = 0;
        for (const name of names) {
          const machine = await answerers[protocol]?.(stage, name);
          if (machine === undefined) throw new Error('no machine');
          void (async () => {
            for (;;) if ((await machine.says(notice(name, await machine.reads()))) < 300) said += 1;
          })();
        }
        t.equal(await zoe.say('is anybody there? we wanted to meet at the bridge'), '200');
        for (let before = -1; before < said;) {
          before = said;
          // It is over when a text of somebody else comes through and nobody has answered any more.
          for (let i = 0; i < 20; i += 1) await new Promise((resolve) => setImmediate(resolve));
          await zoe.say(`still there, ${'abcdefg'.charAt(before)}?`);
        }
        t.ok(said <= 10, `${String(names.length)} by ${protocol}, notice ${String(kind)}: ${String(said)} texts`);
        t.ok(stage.lines.some((line) => /answers each text|gives back/.test(line)));
      }
    }
  }
});

t.test(
  'RFC 3428 §4: machines that answer a text before they tell that they have got it stop within ten, too',
  async (t) => {
    for (const names of [
      ['one', 'two'],
      ['one', 'two', 'three'],
    ]) {
      for (const reflection of [0, 100]) {
        const stage = await raise();
        t.teardown(() => stage.close());
        const zoe = await join(stage, 'zoe');
        let said = 0;
        const machines = await Promise.all(names.map((name) => call(stage, name)));
        const stopped = Promise.race(
          machines.map(async ({ phone, message, writes }) => {
            phone.late.add('MESSAGE');
            for (;;) {
              const heard = await message();
              await setTimeout(reflection);
              const status = await writes(`${phone.name} is not here at the moment`);
              phone.answer(heard);
              if (status >= 300) return;
              said += 1;
            }
          }),
        );
        t.equal(await zoe.say('is anybody there?'), '200');
        await stopped;
        t.ok(said <= 10, `${String(names.length)} after ${String(reflection)} ms: ${String(said)} texts`);
      }
    }
  },
);

t.test(
  'programs that report all at once, each with several texts under way, are heard whatever others say',
  async (t) => {
    const [programs, texts, window] = [20, 40, 4];
    const stage = await raise('rooms.defaults.messages_at_once=1000', 'roster.interval=1s');
    t.teardown(() => stage.close());
    for (const protocol of ['MSRP', 'MESSAGE'] as const) {
      // What they say differs by a number, or not at all.
      for (const report of [
        (i: number) => `report number ${String(i)} of this host`,
        () => 'host is up, load is low',
      ]) {
        const room = `sip:${protocol.toLowerCase()}${String(report(1).length)}@127.0.0.1`;
        const all = await Promise.all(
          Array.from({ length: programs }, async (_, i) => {
            const name = `program${String(i)}`;
            if (protocol === 'MSRP') {
              const { say } = await join(stage, name, room);
              return async (text: string) => Number(await say(text));
            }
            const { writes } = await call(stage, name, [], room);
            return writes;
          }),
        );
        const answers = await Promise.all(
          all.flatMap((says) =>
            Array.from({ length: window }, async (_, lane) => {
              const statuses: number[] = [];
              for (let i = lane; i < texts; i += window) statuses.push(await says(report(i)));
              return statuses;
            }),
          ),
        );
        const refused = answers.flat().filter((status) => status >= 300);
        t.same(refused, [], `${protocol}: none of ${String(programs * texts)} refused`);
      }
    }
    t.notOk(stage.lines.some((line) => /answers each text|gives back/.test(line)));
  },
);

t.test('a machine that answers itself over a bridge, which gives back what is said', async (t) => {
  for (const protocol of ['MSRP', 'MESSAGE'] as const) {
    const stage = await raise();
    t.teardown(() => stage.close());
    const zoe = await join(stage, 'zoe');
    const [machine, bridge] = [
      await answerers[protocol]?.(stage, 'away'),
      await answerers[protocol]?.(stage, 'bridge'),
    ];
    if (machine === undefined || bridge === undefined) throw new Error('no machines');
    let said = 0;
    const answer = async ({ reads, says }: Answerer, text: (heard: string) => string): Promise<void> => {
      for (;;) {
        if ((await says(text(await reads()))) >= 300) return;
        said += 1;
      }
    };
    t.equal(await zoe.say('is anybody there?'), '200');
    const over = [answer(machine, () => 'I am away until Monday'), answer(bridge, (heard) => `other room: ${heard}`)];
    await Promise.race(over);
    t.ok(said <= 10, `${protocol}: ${String(said)} texts`);
    t.ok(stage.lines.some((line) => /sip:bridge@\S+ gives back/.test(line)));
  }
});

t.test('people who say ok many times, or paste, are heard; and so are programs where a room is for them', async (t) => {
  const stage = await raise('rooms.named.machines.loops=allow', 'rooms.defaults.messages_at_once=1000');
  t.teardown(() => stage.close());
  const zoe = await join(stage, 'zoe');
  const tom = await call(stage, 'tom');
  for (let i = 0; i < 10; i++) t.equal(await zoe.say('ok'), '200');
  for (let i = 0; i < 10; i++) t.equal(await tom.writes(`GET /images/picture-${String(i)}.png HTTP/1.1 200`), 202);
  const room = 'sip:machines@127.0.0.1';
  const programs = [await join(stage, 'one', room), await join(stage, 'two', room)];
  for (let i = 0; i < 20; i++) {
    for (const program of programs) t.equal(await program.say(`host is up, load ${String(i)}`), '200');
  }
  t.notOk(stage.lines.some((line) => /answers each text|gives back/.test(line)));
});

t.test('two rooms that are joined twice over stop within ten texts, by whatever protocol', async (t) => {
  const rooms = ['sip:here@127.0.0.1', 'sip:there@127.0.0.1'] as const;
  /** One end of a relay: gives what it hears, and says what the other end has heard. */
  interface End {
    hears(): Promise<string>;
    says(text: string): Promise<number>;
  }
  const ends = {
    MSRP: async (stage: Stage, name: string, room: string): Promise<End> => {
      const member = await join(stage, name, room);
      return {
        hears: async () => bodyOf((await member.line.hears('')).body),
        says: async (text) => Number((await member.line.say(member.uri, room, text)).what),
      };
    },
    CPIM: async (stage: Stage, name: string, room: string): Promise<End> => {
      const caller = await call(stage, name, ['User-Agent: Rich/1'], room);
      const head = `From: <${caller.phone.uri}>\r\nTo: <${room}>\r\n\r\nContent-Type: text/plain\r\n\r\n`;
      return {
        hears: async () => bodyOf(await caller.reads()),
        says: (text) => caller.writes(`${head}${text}`, { contentType: 'message/cpim' }),
      };
    },
    plain: async (stage: Stage, name: string, room: string): Promise<End> => {
      const caller = await call(stage, name, [], room);
      return { hears: async () => (await caller.reads()).replace(/^[^:]*: /, ''), says: (text) => caller.writes(text) };
    },
  };
  for (const [protocol, end] of Object.entries(ends)) {
    const stage = await raise('peers=[{user_agent: "Rich*", text: cpim}]');
    t.teardown(() => stage.close());
    const zoe = await join(stage, 'zoe', rooms[0]);
    let said = 0;
    let refusals = 0;
    const over = new Promise<void>((resolve) => {
      const relay = async (from: End, to: End): Promise<void> => {
        for (;;) {
          const status = await to.says(`${await from.hears()} (relayed)`);
          if (status < 300) said += 1;
          else if (++refusals === 2) resolve();
        }
      };
      const open = async (name: string): Promise<void> => {
        const [here, there] = [await end(stage, name, rooms[0]), await end(stage, name, rooms[1])];
        void relay(here, there);
        void relay(there, here);
      };
      void open('relay1')
        .then(() => open('relay2'))
        .then(() => zoe.say('around and around'));
    });
    await over;
    t.ok(said <= 10, `${protocol}: ${String(said)} texts`);
    t.ok(stage.lines.some((line) => line.includes('gives back')));
    t.equal(await zoe.say('a person'), '200');
  }
});

t.test('nothing that people could read is not said', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const zoe = await join(stage, 'zoe');
  const tom = await call(stage, 'tom');
  t.equal(await tom.writes('<script>x</script>', { contentType: 'text/html' }), 202);
  t.equal(await tom.writes('\r\n'), 202);
  t.equal(await tom.writes('now'), 202);
  await zoe.hears('now');
  t.same(zoe.line.heard(), []);
});

t.test(
  'large texts come no faster than the disk keeps them: none is refused, however many are sent at once',
  async (t) => {
    const fast = ['rooms.defaults.messages_at_once=1000', 'rooms.defaults.loops=allow'];
    const stage = await raise('rooms.defaults.durability=disk', 'log.backlog_bytes=2000000', ...fast);
    t.teardown(() => stage.close());
    const callers = await Promise.all(['tom', 'max', 'ida'].map((name) => call(stage, name)));
    const texts = Array.from({ length: 30 }, (_, at) => String(at).padEnd(250_000, '.'));
    const sent = callers.flatMap(({ writes }) => texts.map((each) => writes(each)));
    t.same(new Set(await Promise.all(sent)), new Set([202]));
  },
);

t.test('too fast: 480 out of the call, 500 within it, both with Retry-After', async (t) => {
  stopTheClock(t);
  const stage = await raise('rooms.defaults.messages_per_second=1', 'rooms.defaults.messages_at_once=1');
  t.teardown(() => stage.close());
  const tom = await call(stage, 'tom');
  t.equal(await tom.writes('one'), 202);
  const inside = await tom.phone.within(tom.dialog, 'MESSAGE', { contentType: 'text/plain', body: 'two' });
  t.equal(inside.status, 500);
  t.ok((inside.retryAfter?.seconds ?? 0) > 0);
  const { response } = await tom.phone.request('MESSAGE', ROOM, { contentType: 'text/plain', body: 'three' });
  t.equal(response.status, 480);
  t.ok((response.retryAfter?.seconds ?? 0) > 0);
});

t.test('who takes no MESSAGE gets none; who gets MSRP gets no MESSAGE', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const zoe = await join(stage, 'zoe');
  const deaf = await SipPhone.connect('deaf', stage.sip);
  const { dialog } = await deaf.request('INVITE', ROOM, {
    contentType: 'application/sdp',
    body: AUDIO,
    headers: ['Allow: INVITE, ACK, BYE'],
  });
  deaf.ack(dialog);
  const refusing = await call(stage, 'refusing');
  refusing.phone.replies.set('MESSAGE', '405 Method Not Allowed');
  const tom = await call(stage, 'tom');
  await zoe.say('hello');
  await refusing.message();
  t.equal(await tom.reads(), 'zoe: hello');
  await tom.writes('to zoe');
  await zoe.hears('to zoe');
  await zoe.say('again');
  t.equal(await tom.reads(), 'zoe: again');
  await new Promise((resolve) => setImmediate(resolve));
  for (const phone of [deaf, refusing.phone, zoe.phone]) t.equal(phone.waiting('MESSAGE'), 0, phone.name);
  t.ok(stage.lines.some((line) => line.includes('takes no MESSAGE (405)')));
});

/** A telephone with a line for the chat. */
const withChat = (path: string): string => messageSdp(path, ['m=audio 9 RTP/AVP 0', 'a=inactive']);

/** A telephone that takes MESSAGE, with such a line. */
const joinWithChat = (stage: Stage, own: string): Promise<Member> =>
  join(stage, 'tom', ROOM, { body: withChat(own), headers: ['Allow: INVITE, ACK, BYE, MESSAGE'] }, own);

/** It offers its lines anew; gives the room's answer. */
async function offersAnew({ phone, dialog }: Pick<Member, 'phone' | 'dialog'>, body: string): Promise<SipResponse> {
  const answer = await phone.within(dialog, 'INVITE', { contentType: 'application/sdp', body });
  phone.ack(dialog);
  return answer;
}

const bodyless = ({ body = '' }: { readonly body: string | undefined }): string => body.split('\r\n\r\n').at(-1) ?? '';

t.test('RFC 4975 §8.4: while the line of a telephone moves to another path, what is said waits for it', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const [zoe, own] = [await join(stage, 'zoe'), newPath()];
  const tom = await join(stage, 'tom', ROOM, { body: withChat(own) }, own);
  await zoe.say('one');
  await tom.hears('one');
  const moved = newPath();
  const answer = await offersAnew(tom, withChat(moved));
  for (const word of ['two', 'three']) t.equal(await zoe.say(word), '200');
  const line = await MsrpLine.bind(moved, pathOf(answer.body));
  await line.hears('2 messages that you missed');
  for (const word of ['two', 'three', 'four']) {
    if (word === 'four') await zoe.say(word);
    t.equal(bodyless(await line.next(({ what, body }) => what === 'SEND' && body !== undefined)), word);
  }
  t.equal(tom.phone.waiting('MESSAGE'), 0, 'nothing comes by MESSAGE as well');
});

t.test(
  'RFC 4975 §5.4: what the lost line of a telephone has not answered comes by MESSAGE, all of it, and once',
  async (t) => {
    const stage = await raise();
    t.teardown(() => stage.close());
    const [zoe, own] = [await join(stage, 'zoe'), newPath()];
    const tom = await joinWithChat(stage, own);
    const reads = async (): Promise<string> => textOf(await tom.phone.next('MESSAGE'));
    tom.line.answers = false;
    const words = Array.from({ length: 8 }, (_, i) => `word ${String(i)}`);
    for (const word of words) await zoe.say(word);
    tom.line.close();
    t.match(await reads(), /^8 messages that you missed/);
    for (const word of words) t.equal(await reads(), `zoe: ${word}`);
    // One is under way by MESSAGE, and others wait behind it, when there is a line again: they come by that alone.
    tom.phone.late.add('MESSAGE');
    for (const word of ['first', 'second', 'third']) await zoe.say(word);
    const first = await tom.phone.next('MESSAGE');
    t.equal(textOf(first), 'zoe: first');
    const again = newPath();
    const answer = await offersAnew(tom, withChat(again));
    const line = await MsrpLine.bind(again, pathOf(answer.body));
    await zoe.say('fourth');
    tom.phone.answer(first);
    const heard = [];
    for (let i = 0; i < 4; i++) {
      heard.push(bodyless(await line.next(({ what, body }) => what === 'SEND' && body !== undefined)));
    }
    t.match(heard.shift(), /^3 messages that you missed/);
    t.same(heard, ['second', 'third', 'fourth']);
    t.equal(tom.phone.waiting('MESSAGE'), 0);
  },
);

t.test('a text whose MESSAGE fails when a telephone has a line again comes by that, in its place', async (t) => {
  for (const how of ['refused', 'not answered'] as const) {
    const stage = await raise();
    t.teardown(() => stage.close());
    const zoe = await join(stage, 'zoe');
    const tom = await call(stage, 'tom');
    tom.phone.late.add('MESSAGE');
    for (const word of ['first', 'second']) await zoe.say(word);
    const first = await tom.message();
    const own = newPath();
    const body = `${AUDIO}${withChat(own).replace(/^[^]*?(?=m=message)/, '')}`;
    const answer = await tom.phone.within(tom.dialog, 'INVITE', { contentType: 'application/sdp', body });
    tom.phone.ack(tom.dialog);
    const line = await MsrpLine.bind(own, pathOf(answer.body));
    tom.phone.replies.set('MESSAGE', '480 Temporarily Unavailable');
    if (how === 'refused') tom.phone.answer(first);
    await line.hears('2 messages that you missed');
    for (const word of ['first', 'second']) {
      t.equal(bodyless(await line.next(({ what, body }) => what === 'SEND' && body !== undefined)), word, how);
    }
    t.equal(tom.phone.waiting('MESSAGE'), 0);
  }
});

t.test('RFC 3264 §8.2: what waits for a telephone comes once, when it has had a line for a moment', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const zoe = await join(stage, 'zoe');
  const tom = await call(stage, 'tom');
  const offers = (own: string, port = 9): Promise<SipResponse> => {
    const line = withChat(own).replace(/^[^]*?(?=m=message)/, '');
    return offersAnew(tom, `${AUDIO}${line.replace('m=message 9', `m=message ${String(port)}`)}`);
  };
  tom.phone.late.add('MESSAGE');
  for (const word of ['one', 'two', 'three']) await zoe.say(word);
  const one = await tom.message();
  const own = newPath();
  await MsrpLine.bind(own, pathOf((await offers(own)).body));
  await offers(own, 0);
  tom.phone.late.delete('MESSAGE');
  tom.phone.answer(one);
  await zoe.say('four');
  const texts = [textOf(one)];
  while (!texts.at(-1)?.includes('four')) texts.push(await tom.reads());
  t.same(
    texts.filter((text) => text.startsWith('zoe')),
    ['one', 'two', 'three', 'four'].map((word) => `zoe: ${word}`),
  );
  const again = newPath();
  const line = await MsrpLine.bind(again, pathOf((await offers(again)).body));
  await zoe.say('five');
  await line.hears('five');
  t.same(line.heard().map(bodyless), [], 'and not by the next line as well');
});

t.test('RFC 3264 §8.2: what waits for a telephone is not sent again when it gives up its lost line', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const [zoe, own] = [await join(stage, 'zoe'), newPath()];
  const tom = await joinWithChat(stage, own);
  tom.line.close();
  await tom.line.closed;
  tom.phone.late.add('MESSAGE');
  await zoe.say('one');
  const one = await tom.phone.next('MESSAGE');
  for (const word of ['two', 'three']) await zoe.say(word);
  const without = withChat(own).replace('m=message 9', 'm=message 0');
  await offersAnew(tom, without);
  await zoe.say('four');
  tom.phone.late.delete('MESSAGE');
  tom.phone.answer(one);
  const texts = [one];
  while (textOf(texts.at(-1) ?? one) !== 'zoe: four') texts.push(await tom.phone.next('MESSAGE'));
  t.same(
    texts.map((request) => textOf(request)).filter((text) => text.startsWith('zoe')),
    ['one', 'two', 'three', 'four'].map((word) => `zoe: ${word}`),
  );
});

t.test('who comes by telephone is told some of what was said before', async (t) => {
  const stage = await raise('rooms.defaults.history_messages=20', 'rooms.defaults.welcome=Be kind.');
  t.teardown(() => stage.close());
  const zoe = await join(stage, 'zoe');
  for (let i = 1; i <= 8; i++) await zoe.say(`text ${String(i)}`);
  const reads = async (caller: Caller, count: number): Promise<string[]> => {
    const texts: string[] = [];
    for (let i = 0; i < count; i++) texts.push(await caller.reads());
    return texts;
  };
  const tom = await call(stage, 'tom');
  const [welcome, heading, ...past] = await reads(tom, 7);
  t.equal(welcome, 'Be kind.', 'a line of the room needs no name');
  t.match(heading, /5/);
  t.same(
    past,
    [4, 5, 6, 7, 8].map((i) => `zoe: text ${String(i)}`),
  );
  await zoe.say('text 9');
  t.equal(await tom.reads(), 'zoe: text 9');
});

t.test(
  'how much of the past a telephone is sent is configured, and asked for, up to what the room gives',
  async (t) => {
    const stage = await raise('rooms.defaults.history_messages=4', 'rooms.defaults.history_by_message=2');
    t.teardown(() => stage.close());
    const zoe = await join(stage, 'zoe');
    for (let i = 1; i <= 5; i++) await zoe.say(`text ${String(i)}`);
    for (const [name, room, first] of [
      ['tom', ROOM, 4],
      ['max', `${ROOM};history=1`, 5],
      ['ann', `${ROOM};history=50`, 2],
    ] as const) {
      const caller = await call(stage, name, [], room);
      await caller.reads();
      for (let i = first; i <= 5; i++) t.equal(await caller.reads(), `zoe: text ${String(i)}`, name);
    }
  },
);

t.test('what is replayed to a telephone says what it answers', async (t) => {
  const stage = await raise('rooms.defaults.history_messages=20');
  t.teardown(() => stage.close());
  const zoe = await join(stage, 'zoe');
  const says = async (id: string, text: string, more: readonly string[] = []): Promise<void> => {
    const head = [`From: <${zoe.uri}>`, `To: <${ROOM}>`, 'NS: imdn <urn:ietf:params:imdn>', `imdn.Message-ID: ${id}`];
    const body = `${[...head, ...more].join('\r\n')}\r\n\r\nContent-Type: text/plain\r\n\r\n${text}`;
    const headers = [`Message-ID: ${id}`, `Byte-Range: 1-${String(body.length)}/${String(body.length)}`];
    t.equal((await zoe.line.request('SEND', [...headers, 'Content-Type: message/cpim'], body)).what, '200');
  };
  const namespace = 'NS: linphone <tag:linphone.org,2020:params:groupchat>';
  await says('quoted-1', 'who brings the cake?');
  await says('quoted-2', 'me', [namespace, 'linphone.Replying-To-Message-ID: quoted-1']);
  const tom = await call(stage, 'tom');
  await tom.reads();
  t.equal(await tom.reads(), 'zoe: who brings the cake?');
  t.equal(await tom.reads(), 'zoe: > who brings the cake?\nme');
});

t.test('RFC 3428 §7: texts of strangers, where the room allows them', async (t) => {
  stopTheClock(t);
  const stage = await raise(
    'rooms.defaults.strangers=allow',
    'rooms.defaults.messages_at_once=6',
    'rooms.defaults.messages_per_second=1',
  );
  t.teardown(() => stage.close());
  const zoe = await join(stage, 'zoe');
  const tom = await call(stage, 'tom');
  const eve = await SipPhone.connect('eve', stage.sip);
  const writes = async (text: string, extra: Extra = {}, phone = eve): Promise<number> =>
    (await phone.request('MESSAGE', ROOM, { contentType: 'text/plain', body: text, ...extra })).response.status;
  t.equal(await writes('the cat is on the roof'), 202);
  t.match((await zoe.line.hears('on the roof')).body, /^From: <sip:eve@127\.0\.0\.1>\r$/m);
  t.equal(await tom.reads(), 'eve: the cat is on the roof');
  t.equal(await writes('/kick zoe'), 403, 'orders are for those who are here');
  t.equal(await writes('/help'), 403, 'also such as anybody may give');
  const sign = '<isComposing xmlns="urn:ietf:params:xml:ns:im-iscomposing"><state>active</state></isComposing>';
  t.equal(await writes(sign, { contentType: 'application/im-iscomposing+xml' }), 403, 'so are signs of writing');
  t.equal(await writes('@zoe psst'), 403, 'and so is talking to one alone');
  const cpim = `From: <${zoe.uri}>\r\nTo: <${ROOM}>\r\n\r\nContent-Type: text/plain\r\n\r\nnot me`;
  t.equal(await writes(cpim, { contentType: 'message/cpim' }), 403, 'in the name of another');
  const more = await Promise.all(Array.from({ length: 20 }, (_, at) => writes(`too many ${String(at)}`)));
  t.equal(more.at(-1), 480, 'by address, whatever the name');
  const other = await raise('rooms.defaults.strangers=allow', 'rooms.defaults.pin=4711');
  t.teardown(() => other.close());
  const max = await join(other, 'max', `${ROOM};pin=4711`);
  const ann = await SipPhone.connect('ann', other.sip);
  const text = { contentType: 'text/plain', body: 'with the PIN' };
  t.equal((await ann.request('MESSAGE', ROOM, text)).response.status, 401, 'the PIN is asked');
  t.equal((await ann.request('MESSAGE', `${ROOM};pin=4711`, text)).response.status, 202);
  await max.hears('with the PIN');
  await max.say('/ban sip:ann@127.0.0.1');
  t.equal((await ann.request('MESSAGE', `${ROOM};pin=4711`, text)).response.status, 403, 'the banned have no say');
});

t.test('/history by MESSAGE: within the bounds of what may wait for a telephone', async (t) => {
  const stage = await raise('rooms.defaults.history_messages=300', 'rooms.defaults.messages_at_once=1000');
  t.teardown(() => stage.close());
  const zoe = await join(stage, 'zoe');
  const numbers = Array.from({ length: 250 }, (_, i) => String(i));
  for (const number of numbers) t.equal(await zoe.say(number), '200');
  const tom = await call(stage, 'tom', [], `${ROOM};history=0`);
  t.equal(await tom.writes('/history 2'), 202);
  t.match(await tom.reads(), /^2 messages again, since /);
  t.same([await tom.reads(), await tom.reads()], ['zoe: 248', 'zoe: 249']);
  t.equal(await tom.writes('/history 250'), 202);
  t.match(await tom.reads(), /^250 messages again, since /);
  for (const number of numbers) t.equal(await tom.reads(), `zoe: ${number}`, 'none left out');
});

t.test(
  'RFC 3261 §8.2.2.1: who was sent on to a room, having called another, is in that room with all he does',
  async (t) => {
    const stage = await raise();
    t.teardown(() => stage.close());
    const zoe = await join(stage, 'zoe');
    for (const dialled of ['sip:7000@127.0.0.1', 'sip:support@elsewhere.example', 'tel:+49123']) {
      const phone = await SipPhone.connect('tom', stage.sip);
      const sentOn = (): PhoneDialog => {
        const id = `sent-on-${dialled}-${String(phone.arrived.length)}`;
        return { callId: id, localTag: 'tom', room: ROOM, remote: `<${dialled}>`, target: ROOM, seq: 1 };
      };
      const dialog = sentOn();
      const answer = await phone.within(dialog, 'INVITE', { contentType: 'application/sdp', body: AUDIO });
      const contact = answer.headers.get('Contact') ?? '';
      t.match(contact, /^<sip:lobby@127\.0\.0\.1:\d+/, dialled);
      t.match(answer.headers.get('Call-Info'), /^<sip:lobby@127\.0\.0\.1>/);
      dialog.remote = answer.headers.get('To') ?? '';
      dialog.target = contact.slice(1, contact.indexOf('>'));
      phone.ack(dialog);
      const said = { contentType: 'text/plain', body: `by way of ${dialled}` };
      t.equal((await phone.within(dialog, 'MESSAGE', said)).status, 202);
      await zoe.hears(said.body);
      const headers = ['Event: conference', 'Accept: application/conference-info+xml'];
      for (const at of dialled.startsWith('sip:7000') ? [sentOn(), dialog] : [sentOn()]) {
        t.equal((await phone.within(at, 'SUBSCRIBE', { headers })).status, 200);
        t.match(textOf(await phone.next('NOTIFY')), / entity="sip:lobby@127\.0\.0\.1"/);
      }
      await phone.within(dialog, 'BYE');
    }
  },
);

t.test('nobody is in a room who has its address: he would speak as the room, and be told by all of them', async (t) => {
  const stage = await raise('rooms.defaults.strangers=allow');
  t.teardown(() => stage.close());
  const zoe = await join(stage, 'zoe');
  for (const name of ['lobby', '%6Cobby', 'lobby~text']) {
    await t.rejects(call(stage, name), { message: /403/ });
    const phone = await SipPhone.connect(name, stage.sip);
    const text = { contentType: 'text/plain', body: 'Zoe was kicked' };
    t.equal((await phone.request('MESSAGE', ROOM, text)).response.status, 403);
    const refer = { headers: [`Refer-To: <${phone.address}>`] };
    t.equal((await zoe.phone.within(zoe.dialog, 'REFER', refer)).status, 403);
  }
  await call(stage, 'lobby', [], 'sip:elsewhere@127.0.0.1');
});

t.test('nobody is shown, or read, under a name that is kept for somebody else or for nobody', async (t) => {
  const stage = await raise('rooms.defaults.account_nicknames={Boss: "sip:bob@127.0.0.1"}');
  t.teardown(() => stage.close());
  const tom = await call(stage, 'tom');
  const bridge = await call(stage, 'bridge', ['User-Agent: Asterisk PBX 20.1']);
  for (const name of ['ADMIN', 'Boss', 'Bess']) {
    const phone = await SipPhone.connect(name, stage.sip);
    for (const user of ['eve', 'bob']) {
      const from = `sip:${user}@127.0.0.1`;
      const { dialog } = await phone.request('INVITE', ROOM, { from, contentType: 'application/sdp', body: AUDIO });
      phone.ack(dialog);
      t.equal((await phone.within(dialog, 'MESSAGE', { contentType: 'text/plain', body: `I am ${user}` })).status, 202);
      const shown = name === 'Bess' || (name === 'Boss' && user === 'bob') ? name : user;
      t.equal(await tom.reads(), `${shown}: I am ${user}`);
      await phone.within(dialog, 'BYE');
    }
    const json = JSON.stringify({ From: name, Body: 'by the bridge' });
    await bridge.writes(json, { contentType: 'application/x-asterisk-confbridge-chat+json' });
    t.equal(await tom.reads(), `${name === 'Bess' ? name : 'bridge'}: by the bridge`);
  }
  const alice = await join(stage, 'alice');
  t.equal((await alice.line.request('NICKNAME', ['Use-Nickname: "Bess"'])).what, '200');
  const bess = await SipPhone.connect('bess', stage.sip);
  const as = { from: 'sip:mallory@127.0.0.1', contentType: 'application/sdp', body: AUDIO };
  const { dialog } = await bess.request('INVITE', ROOM, as);
  bess.ack(dialog);
  await bess.within(dialog, 'MESSAGE', { contentType: 'text/plain', body: 'I am mallory' });
  t.equal(await tom.reads(), 'mallory: I am mallory', 'nor by the nickname that another has');
  const unseen = ['Bess\u0001', 'B\u200bess', 'Bo\u202ess', '\u0002admin', ' ', '\u0001', '\u200b\u3164'];
  for (const [i, display] of unseen.entries()) {
    const phone = await SipPhone.connect(`eve${String(i)}`, stage.sip);
    const call = { display, contentType: 'application/sdp', body: AUDIO };
    const { dialog } = await phone.request('INVITE', ROOM, call);
    phone.ack(dialog);
    await phone.within(dialog, 'MESSAGE', { contentType: 'text/plain', body: 'hi' });
    t.equal(await tom.reads(), `eve${String(i)}: hi`, `nor by one that looks like theirs, or like nothing`);
    await phone.within(dialog, 'BYE');
  }
  for (const [i, line] of ['\v', '\u0085', '\u2028'].entries()) {
    const phone = await SipPhone.connect(`lines${String(i)}`, stage.sip);
    const call = { display: `Eve${line}Bess: I agree`, contentType: 'application/sdp', body: AUDIO };
    const { dialog } = await phone.request('INVITE', ROOM, call);
    phone.ack(dialog);
    await phone.within(dialog, 'MESSAGE', { contentType: 'text/plain', body: 'hi' });
    t.equal(await tom.reads(), 'Eve Bess: I agree: hi', 'a name is one line');
    await phone.within(dialog, 'BYE');
  }
});

t.test('RFC 3323 §4.1.1.3: nobody learns from the id of a text by what dialog its author is known', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const zoe = await call(stage, 'zoe', ['Accept: application/sdp, message/cpim']);
  const phone = await SipPhone.connect('max', stage.sip);
  const from = 'sip:anonymous@anonymous.invalid';
  const dialog = {
    callId: 'a7@10.0.0.7',
    localTag: 'tag-of-max',
    room: ROOM,
    remote: `<${ROOM}>`,
    target: ROOM,
    seq: 1,
  };
  const answer = await phone.within(dialog, 'INVITE', { from, contentType: 'application/sdp', body: AUDIO });
  dialog.remote = answer.headers.get('To') ?? '';
  phone.ack(dialog);
  const ids = new Set<string | undefined>();
  for (const body of ['the first', 'the second']) {
    t.equal((await phone.within(dialog, 'MESSAGE', { from, contentType: 'text/plain', body })).status, 202);
    const id = /^imdn\.Message-ID: (.*)\r$/m.exec(await zoe.reads())?.[1];
    t.match(id, /^[A-Za-z0-9_-]{43}$/);
    ids.add(id);
  }
  t.equal(ids.size, 2);
});
