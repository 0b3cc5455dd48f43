import { readFileSync } from 'node:fs';
import t, { type Test } from 'tap';
import type { SipRequest, SipResponse } from '../../sip/index.ts';
import { type DialogName, EndedCalls } from '../../src/focus/ended-calls.ts';
import { MsrpLine } from './msrp-line.ts';
import { RawServer } from './raw-server.ts';
import { type PhoneDialog, SipPhone } from './sip-phone.ts';
import { join, messageSdp, newPath, pathOf, raise, ROOM, type Stage } from './stage.ts';

/** Where conferences are made. */
const FACTORY = 'sip:conference-factory@127.0.0.1';

/** Raises a service that is gone when the test is. */
async function stageWith(t: Test, ...options: readonly string[]): Promise<Stage> {
  const stage = await raise(...options);
  t.teardown(() => stage.close());
  return stage;
}

/** Somebody who waits to be called, and takes the call with MSRP. */
class Callee {
  readonly phone: SipPhone;
  readonly #own: string;

  private constructor(phone: SipPhone, own: string) {
    this.phone = phone;
    this.#own = own;
  }

  static async wait(stage: Stage, name: string): Promise<Callee> {
    const phone = await SipPhone.connect(name, stage.sip, stage.host);
    const own = newPath();
    phone.sdp = messageSdp(own, ['m=audio 0 RTP/AVP 0']);
    return new Callee(phone, own);
  }

  /** The next call: its INVITE, the dialog, and the MSRP session that it has bound. */
  async comes(): Promise<{ readonly invite: SipRequest; readonly dialog: PhoneDialog; readonly line: MsrpLine }> {
    const invite = await this.phone.next('INVITE');
    await this.phone.next('ACK');
    const line = await MsrpLine.bind(this.#own, pathOf(invite.body));
    return { invite, dialog: this.phone.called(invite), line };
  }
}

/** Watches a room; each document is printed whole. */
async function watch(stage: Stage, room = ROOM): Promise<SipPhone> {
  const phone = await SipPhone.connect('watcher', stage.sip, stage.host);
  await phone.request('SUBSCRIBE', room, {
    headers: ['Event: conference', 'Accept: application/conference-info+xml', 'User-Agent: Blink 5', 'Expires: 600'],
  });
  return phone;
}

/** Reads documents until one shows what is waited for. */
async function until(watcher: SipPhone, shows: RegExp): Promise<string> {
  for (;;) {
    const text = Buffer.from((await watcher.next('NOTIFY')).body).toString();
    if (shows.test(text)) return text;
  }
}

async function invite(stage: Stage, data: string, uri: string): Promise<{ status: number; body: unknown }> {
  const token = readFileSync(`${data}/admin-token`, 'utf8').trim();
  const http = stage.service.addresses.find(({ protocol }) => protocol === 'HTTP')?.port ?? 0;
  const response = await fetch(`http://127.0.0.1:${String(http)}/api/rooms/lobby/invite`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' },
    body: JSON.stringify({ uri }),
  });
  return { status: response.status, body: await response.json() };
}

t.test('RFC 4579 §5.2: the administrator has somebody called, who is in the chat', async (t) => {
  const data = t.testdir();
  const stage = await stageWith(t, `data=${data}`);
  const alice = await join(stage, 'alice');
  const watcher = await watch(stage);
  const carol = await Callee.wait(stage, 'carol');
  carol.phone.rings = true;
  const answered = invite(stage, data, carol.phone.address);
  const call = await carol.comes();
  t.match(await answered, { status: 200, body: { answered: '200 OK' } });
  const contact = call.invite.headers.get('Contact') ?? '';
  t.match(contact, /^<sip:lobby@127\.0\.0\.1:\d+[^>]*>.*;isfocus/);
  const offer = Buffer.from(call.invite.body).toString();
  t.match(offer, /^m=message \d+ TCP\/MSRP \*\r$/m);
  t.match(offer, /^a=setup:actpass\r$/m);
  t.match(offer, /^a=chatroom:/m);
  t.match(offer, /^a=sendrecv\r$/m, 'audio as configured, not on hold');
  const shown = await until(watcher, /carol@127\.0\.0\.1[^]*<status>connected/);
  t.match(shown, /<joining-method>dialed-out<\/joining-method>/);
  t.equal(await alice.say('welcome'), '200');
  await call.line.hears('welcome');
  await call.line.say(carol.phone.uri, ROOM, 'glad to be here');
  await alice.hears('glad to be here');
  t.match(await invite(stage, data, carol.phone.address), { status: 409, body: { reason: /Is Here Already/ } });
  await carol.phone.within(call.dialog, 'BYE');
  await until(watcher, /carol@127\.0\.0\.1[^]*<disconnection-method>departed/);
});

t.test('RFC 4575 §5.7.6: who is busy, who rings, who does not come', async (t) => {
  const data = t.testdir();
  const stage = await stageWith(t, `data=${data}`, 'dialling.ring=3s', 'sip.t1=20ms');
  await join(stage, 'alice');
  const watcher = await watch(stage);
  const busy = await SipPhone.connect('busy', stage.sip);
  busy.replies.set('INVITE', '486 Busy Here');
  t.match(await invite(stage, data, busy.address), { status: 409, body: { status: 486, reason: '486 Busy Here' } });
  const shown = await until(watcher, /<disconnection-method>busy/);
  t.match(shown, /SIP;cause=486;text="?(?:&quot;)?Busy Here/);
  const away = await SipPhone.connect('away', stage.sip);
  away.rings = true;
  away.replies.set('INVITE', '183 Still Ringing');
  const answered = invite(stage, data, away.address);
  await until(watcher, /away@[^]*<status>alerting/);
  t.equal((await away.next('CANCEL')).method, 'CANCEL', 'it does not ring for ever');
  away.hangUp();
  t.match(await answered, { status: 409 });
  await until(watcher, /away@[^]*<disconnection-method>failed/);
});

t.test('somebody is kicked while he is being called, another is listed as anonymous', async (t) => {
  const stage = await stageWith(t, 'sip.t1=20ms');
  const alice = await join(stage, 'alice');
  const watcher = await watch(stage);
  const slow = await SipPhone.connect('slow', stage.sip);
  slow.rings = true;
  slow.replies.set('INVITE', '183 Still Ringing');
  await alice.phone.within(alice.dialog, 'REFER', refer(`<${slow.address}>`));
  await until(watcher, /slow@[^]*<status>alerting/);
  const kick = refer(`<${slow.uri};method=BYE>`, 'Refer-Sub: false');
  t.equal((await alice.phone.within(alice.dialog, 'REFER', kick)).status, 200);
  t.equal((await slow.next('CANCEL')).method, 'CANCEL');
  await until(watcher, /slow@[^]*<disconnection-method>booted/);
  const carol = await Callee.wait(stage, 'carol');
  const list = listOf([carol.phone.address], 'cp:copyControl="to" cp:anonymize="true"');
  const other = await SipPhone.connect('bob', stage.sip);
  const { dialog } = await other.request('INVITE', ROOM, withList(messageSdp(newPath()), list));
  other.ack(dialog);
  await carol.comes();
  t.notMatch(await until(watcher, /anonymous-[^]*<status>connected/), /carol/);
  const options = await other.request('OPTIONS', FACTORY);
  t.equal(options.response.status, 200);
  t.match(options.response.headers.get('Supported'), /recipient-list-invite/, 'RFC 5366 §5.1');
});

t.test('RFC 5363 §5.2: only those are called who have agreed to it', async (t) => {
  const data = t.testdir();
  const stage = await stageWith(t, `data=${data}`, 'dialling.domains=[friends.invalid]');
  await join(stage, 'alice');
  const refused = async (uri: string): Promise<unknown> => (await invite(stage, data, uri)).body;
  t.match(await refused('sip:x@elsewhere.example'), {
    reason: /^403 That Domain Is Not Called from Here \(dialling\.domains /,
  });
  t.match(
    await refused('sip:other-room@127.0.0.1'),
    { reason: /^404 Not Reachable .* \(dialling\.proxy is not set/ },
    'another room of ours',
  );
  t.match(await refused(`sip:lobby@localhost:${String(stage.sip)}`), { reason: /404/ }, 'ourselves');
  for (const maddr of ['192.0.2.7', 'elsewhere.example']) {
    const around = await refused(`sip:x@127.0.0.1:9;maddr=${maddr}`);
    t.match(around, { reason: /403 That Domain/ }, 'RFC 3261 §19.1.1: nor by the address that stands for the host');
  }
  t.match(await refused(`sip:x@friends.invalid:${String(stage.sip)};maddr=127.0.0.1`), { reason: /403/ }, 'ourselves');
  t.match(await refused(`sip:other-room@localhost.:${String(stage.sip)}`), { reason: /404/ }, 'ourselves, with a dot');
  t.match(await refused('tel:+49123'), { reason: /416/ });
  t.match(await refused('no uri>'), { reason: /400|is no URI/ });
  t.match(await refused('sip:zoe@friends.invalid'), { status: 503 }, 'a friend, whose name leads nowhere');
  t.ok(
    stage.lines.some((line) => /refused: 403 That Domain/.test(line)),
    'a line for the operator',
  );
});

/** The status lines that a referrer is told, up to the last one. */
async function progress(phone: SipPhone): Promise<readonly string[]> {
  const lines: string[] = [];
  for (;;) {
    const notify = await phone.next('NOTIFY');
    lines.push(Buffer.from(notify.body).toString().trim());
    if (/^terminated/.test(notify.headers.get('Subscription-State') ?? '')) return lines;
  }
}

const refer = (to: string, ...more: readonly string[]) => ({ headers: [`Refer-To: ${to}`, ...more] });

t.test('RFC 4579 §5.5, RFC 3515 §2.4: REFER in the call adds somebody, and its progress is told', async (t) => {
  const stage = await stageWith(t);
  const alice = await join(stage, 'alice');
  const carol = await Callee.wait(stage, 'carol');
  carol.phone.rings = true;
  const answered = alice.phone.within(alice.dialog, 'REFER', refer(`<${carol.phone.address}>`));
  const call = await carol.comes();
  t.equal((await answered).status, 200);
  t.equal(call.invite.headers.get('Referred-By'), `<${alice.uri}>`);
  const lines = await progress(alice.phone);
  t.equal(lines[0], 'SIP/2.0 100 Trying');
  t.equal(lines.at(-1), 'SIP/2.0 200 OK');
  await call.line.say(carol.phone.uri, ROOM, 'here I am');
  await alice.hears('here I am');
  t.equal((await alice.phone.within(alice.dialog, 'REFER', refer(`<${carol.phone.address}>`))).status, 486);
  t.match(
    stage.lines.filter((line) => line.includes(': invite ')),
    [/alice@.* by REFER: invite user="sip:carol@.*": done/, /: refused: 486 Is Here Already/],
    'one line for the operator each',
  );
});

/** A server that answers each INVITE with these Contacts. */
const redirecting = (t: Test, transport: 'udp' | 'tcp', contacts: () => string, status = 302): Promise<RawServer> =>
  RawServer.listen(t, transport, (request, answer) => {
    const headers = [{ name: 'Contact', value: contacts() }];
    if (request.method === 'INVITE') answer(status, { headers });
    else answer(200);
  });

/** A telephone that takes each call, its chat by MSRP. */
const answering = (t: Test, transport: 'udp' | 'tcp', own: string): Promise<RawServer> =>
  RawServer.listen(t, transport, (request, answer) => {
    if (request.method === 'INVITE') answer(180);
    answer(200, request.method === 'INVITE' ? { contentType: 'application/sdp', body: calleeSdp(own) } : {});
  });

const calleeSdp = (own: string): string => messageSdp(own, ['m=audio 0 RTP/AVP 0']);

t.test('RFC 3261 §8.1.3.4: who is somewhere else is called there, the best address first', async (t) => {
  for (const [from, to] of [
    ['udp', 'tcp'],
    ['tcp', 'udp'],
  ] as const) {
    const stage = await stageWith(t);
    const alice = await join(stage, 'alice');
    const own = newPath();
    const home = await answering(t, to, own);
    const busy = await RawServer.listen(t, to, (_, answer) => {
      answer(486);
    });
    const moved = await redirecting(t, from, () =>
      [
        ...[`<${home.address('carol')}>;q=0.3`, '<mailto:carol@example.org>', `<${busy.address('carol')}>;q=0.8`],
        '<sip:carol@elsewhere.example>;q=0.5',
      ].join(', '),
    );
    const answered = alice.phone.within(alice.dialog, 'REFER', refer(`<${moved.address('carol')}>`));
    const first = await moved.next('INVITE');
    const second = await busy.next('INVITE');
    const third = await home.next('INVITE');
    await Promise.all([moved.next('ACK'), busy.next('ACK'), home.next('ACK')]);
    t.same(
      [second.callId, third.callId, third.fromTag, third.headers.get('To'), third.cseq.seq],
      [first.callId, first.callId, first.fromTag, first.headers.get('To'), first.cseq.seq + 2],
    );
    t.equal((await answered).status, 200);
    const lines = await progress(alice.phone);
    t.equal(lines[0], 'SIP/2.0 100 Trying');
    t.same(
      lines.slice(1),
      lines.slice(1).filter((line) => /^SIP.2.0 (180|200) /.test(line)),
      'RFC 3515 §2.4.5',
    );
    t.equal(lines.at(-1), 'SIP/2.0 200 OK', 'the referrer hears how it ended only');
    t.match(
      stage.lines.filter((line) => line.includes('passed over')),
      [
        /carol@\S+ has answered elsewhere; passed over: mailto:carol@example\.org: only sip and sips .*; sip:carol@elsewhere\.example: 403 That Domain/,
      ],
    );
    const line = await MsrpLine.bind(own, pathOf(third.body));
    await line.say('sip:carol@127.0.0.1', ROOM, 'found me');
    await alice.hears('found me');
  }
});

t.test('RFC 3261 §8.1.3.4, RFC 5363 §5.2: a 3xx leads only to whom one could have asked for', async (t) => {
  const data = t.testdir();
  const stage = await stageWith(t, `data=${data}`, 'dialling.redirects=3');
  const alice = await join(stage, 'alice');
  const bob = await join(stage, 'bob');
  const dave = await Callee.wait(stage, 'dave');
  await alice.say('/ban sip:dave@127.0.0.1');
  const said = (pattern: RegExp): boolean => stage.lines.some((line) => pattern.test(line));
  let contacts = '';
  const moved = await redirecting(t, 'udp', () => contacts);
  const called = async (): Promise<unknown> => (await invite(stage, data, moved.address('carol'))).body;
  contacts = '<sip:carol@elsewhere.example>, <sips:carol@premium.example;transport=tcp>';
  t.match(await called(), {
    status: 302,
    reason: /^302 Moved Temporarily, Not Followed: sip:carol@elsewhere.example: 403 That Domain/,
  });
  t.ok(
    said(
      /carol@127.0.0.1 is somewhere else \(302\), and is not followed there: sip:carol@elsewhere.example: 403 That Domain/,
    ),
  );
  contacts = `<${dave.phone.address}>`;
  t.match(await called(), { status: 302 });
  t.ok(said(/dave@\S+: 403 You are banned/), 'not around a ban');
  contacts = `<${bob.phone.address}>`;
  t.match(await called(), { status: 302 });
  t.ok(said(/bob@\S+: 486 Is Here Already/));
  contacts = '<tel:+49123>, <https://example.org/>';
  t.match(await called(), { status: 302, reason: /Not Followed: tel:\+49123: only sip and sips URIs are called/ });
  t.ok(said(/not followed there: tel:\+49123: only sip and sips URIs are called; https:\/\/example.org\/: only sip/));
  contacts = Array.from({ length: 200 }, (_, i) => `<tel:+49${String(i)}>`).join(', ');
  t.match(await called(), { status: 302, reason: /.{200,1500}; \+190$/ }, 'what is told has bounds');
  contacts = `<${ROOM}>`;
  t.match(await called(), { status: 302 });
  t.ok(said(/sip:lobby@127.0.0.1: 404 Not Reachable/), 'not to ourselves');
  while (moved.waiting('INVITE') > 0) await moved.next('INVITE');

  contacts = `<${moved.address('carol')}>`;
  t.match(await called(), { status: 302, reason: /was called already/ });
  t.equal(moved.waiting('INVITE'), 1, 'no circle of one');
  await moved.next('INVITE');
  let step = 0;
  const chain = await redirecting(t, 'udp', () => `<${chain.address(`step${String((step += 1))}`)}>`);
  contacts = `<${chain.address('step0')}>`;
  const answered = alice.phone.within(alice.dialog, 'REFER', refer(`<${moved.address('carol')}>`));
  t.match((await progress(alice.phone)).at(-1), /^SIP\/2.0 302 Moved Temporarily, Not Followed: .*too many$/);
  t.equal((await answered).status, 200);
  t.equal(chain.waiting('INVITE'), 3, 'no further than configured');
  t.equal(await alice.say('the room goes on'), '200');
  await bob.hears('the room goes on');
});

t.test('RFC 3261 §8.1.3.4: a 3xx of who is called by his own connection leads away from it', async (t) => {
  const stage = await stageWith(t);
  const alice = await join(stage, 'alice');
  const [other, own] = ['sip:other@127.0.0.1', newPath()];
  const there = await join(stage, 'carol', other);
  const home = await answering(t, 'udp', own);
  there.phone.replies.set('INVITE', `302 Over There\r\nContact: <${home.address('carol')}>`);
  await alice.phone.within(alice.dialog, 'REFER', refer('<sip:carol@127.0.0.1>', 'Refer-Sub: false'));
  const { body } = await home.next('INVITE');
  await home.next('ACK');
  t.equal(there.phone.waiting('INVITE'), 1);
  const line = await MsrpLine.bind(own, pathOf(body));
  t.equal(await alice.say('there you are'), '200');
  await line.hears('there you are');
});

t.test('RFC 3261 §13.2.2.4, RFC 3262 §4: two branches answer, one by a reliable response', async (t) => {
  for (const transport of ['udp', 'tcp'] as const) {
    const stage = await stageWith(t);
    const alice = await join(stage, 'alice');
    const own = newPath();
    const reliable = [
      { name: 'Require', value: '100rel' },
      { name: 'RSeq', value: '1' },
    ];
    let accept = (): void => undefined;
    const proxy = await RawServer.listen(t, transport, (request, answer) => {
      if (request.method !== 'INVITE') {
        answer(200);
        if (request.method === 'PRACK') accept();
        return;
      }
      t.ok(request.supported.includes('100rel'), 'RFC 3262 §4: we say so');
      const sdp = (path: string) => ({ contentType: 'application/sdp', body: calleeSdp(path) });
      answer(183, { toTag: 'other', ...sdp(newPath()) });
      answer(183, { toTag: 'one', headers: reliable, ...sdp(own) });
      accept = () => {
        answer(200, { toTag: 'one' });
        answer(200, { toTag: 'two', ...sdp(newPath()) });
      };
    });
    const answered = alice.phone.within(alice.dialog, 'REFER', refer(`<${proxy.address('carol')}>`));
    const { body } = await proxy.next('INVITE');
    const prack = await proxy.next('PRACK');
    t.match(prack.headers.get('RAck'), /^1 \d+ INVITE$/);
    t.equal(prack.toTag, 'one');
    t.same([(await proxy.next('ACK')).toTag, (await proxy.next('ACK')).toTag], ['one', 'two']);
    t.equal((await proxy.next('BYE')).toTag, 'two', 'one of them stays');
    t.equal((await progress(alice.phone)).at(-1), 'SIP/2.0 200 OK');
    t.equal((await answered).status, 200);
    const line = await MsrpLine.bind(own, pathOf(body));
    await line.say('sip:carol@127.0.0.1', ROOM, 'once is enough');
    await alice.hears('once is enough');
  }
});

t.test('RFC 3264 §5: an answer that cannot be read ends the call, and who asked for it hears of it', async (t) => {
  const data = t.testdir();
  const stage = await stageWith(t, `data=${data}`);
  const alice = await join(stage, 'alice');
  const unreadable = { contentType: 'application/sdp', body: 'v=1' };
  const carol = await RawServer.listen(t, 'udp', (request, answer) => {
    if (request.method === 'INVITE') answer(183, unreadable);
    answer(200, request.method === 'INVITE' ? unreadable : {});
  });
  const referred = alice.phone.within(alice.dialog, 'REFER', refer(`<${carol.address('carol')}>`));
  t.match((await carol.next('BYE')).headers.get('Reason'), /cause=488;text=".*version is not 0"/);
  t.equal((await referred).status, 200);
  const lines = await progress(alice.phone);
  t.ok(lines.includes('SIP/2.0 183 Session Progress'), 'what came before is told, too');
  t.equal(lines.at(-1), 'SIP/2.0 200 OK');
  const invited = invite(stage, data, carol.address('carol'));
  await carol.next('BYE');
  t.equal((await invited).status, 200);
  t.same(
    stage.lines.filter((line) => line.includes('threw')),
    [],
    'a fault of hers, and not of ours',
  );
});

t.test('RFC 4579 §5.11: REFER with method=BYE, as Blink writes it, takes somebody out', async (t) => {
  const stage = await stageWith(t);
  const alice = await join(stage, 'alice');
  const bob = await join(stage, 'bob');
  const headers = [`Refer-To: <${bob.uri}>;method=BYE`, `Referred-By: ${alice.uri}`, 'Event: refer'];
  const { response } = await alice.phone.request('REFER', ROOM, { headers });
  t.equal(response.status, 200);
  t.equal((await progress(alice.phone)).at(-1), 'SIP/2.0 200 OK');
  t.match((await bob.phone.next('BYE')).headers.get('Reason'), /Kicked/);
  const carol = await join(stage, 'carol');
  const no = await carol.phone.within(carol.dialog, 'REFER', refer(`<${alice.uri};method=BYE>`));
  t.equal(no.status, 403, 'not by whom it is not for');
  t.ok(stage.lines.some((line) => /carol@127\.0\.0\.1 by REFER: kick .*refused: role-too-low/.test(line)));
  const promoted = await alice.phone.request('REFER', ROOM, refer(`<${carol.uri}>;text;admin=true`));
  t.equal(promoted.response.status, 200, "Linphone's way to make a moderator");
  await carol.hears('carol is a moderator');
});

t.test(
  'RFC 4579 §5.11, RFC 4575 §5.7: somebody is taken out by the URI of an endpoint, as the roster has it',
  async (t) => {
    const stage = await stageWith(t);
    const alice = await join(stage, 'alice');
    const phone = await SipPhone.connect('bob', stage.sip);
    const offer = { contentType: 'application/sdp', body: messageSdp(newPath()), from: 'sip:bob@example.org' };
    phone.ack((await phone.request('INVITE', ROOM, offer)).dialog);
    const endpoint = phone.address;
    const kick = async (uri: string): Promise<number> =>
      (await alice.phone.within(alice.dialog, 'REFER', refer(`<${uri};method=BYE>`, 'Refer-Sub: false'))).status;
    t.equal(await kick(endpoint.replace('bob', 'ben')), 404);
    t.equal(await kick(endpoint), 200);
    t.match((await phone.next('BYE')).headers.get('Reason'), /Kicked/);
  },
);

t.test('RFC 4488 §4, RFC 5368 §8: several at once by a list, without a subscription', async (t) => {
  const stage = await stageWith(t);
  const alice = await join(stage, 'alice');
  const bob = await join(stage, 'bob');
  const [carol, dave] = [await Callee.wait(stage, 'carol'), await Callee.wait(stage, 'dave')];
  const entries = [carol.phone.address, dave.phone.address, `${bob.uri}?method=BYE`];
  const response = await alice.phone.within(alice.dialog, 'REFER', {
    headers: [
      ...['Refer-To: <cid:cn35t8jf02@example.com>', 'Refer-Sub: false', 'Require: multiple-refer, norefersub'],
      ...['Content-Disposition: recipient-list', 'Content-ID: <cn35t8jf02@example.com>'],
    ],
    contentType: 'application/resource-lists+xml',
    body: listOf(entries),
  });
  t.equal(response.status, 200);
  t.equal(response.headers.get('Refer-Sub'), 'false');
  await Promise.all([carol.comes(), dave.comes(), bob.phone.next('BYE')]);
  t.equal(alice.phone.waiting('NOTIFY'), 0);
});

t.test('RFC 5368 §8: what is no URI in a list is told, and the others are called all the same', async (t) => {
  const stage = await stageWith(t);
  const alice = await join(stage, 'alice');
  const carol = await Callee.wait(stage, 'carol');
  const asks = async (...uris: readonly string[]): Promise<number> => {
    const headers = ['Refer-To: <cid:list@example.com>', 'Refer-Sub: false', 'Content-ID: <list@example.com>'];
    const body = listOf(uris);
    const list = { headers, contentType: 'application/resource-lists+xml', body };
    return (await alice.phone.within(alice.dialog, 'REFER', list)).status;
  };
  t.equal(await asks('no uri'), 400);
  t.equal(await asks('no uri', carol.phone.address), 200);
  await carol.comes();
  t.equal(stage.lines.filter((line) => /alice\S+ by REFER: .*no uri.*is no URI/.test(line)).length, 2);
});

/** A list of recipients; each may have attributes behind its URI. */
function listOf(uris: readonly string[], attributes = 'cp:copyControl="to"'): string {
  const entries = uris.map((uri) => `<p1:entry uri="${uri}" ${attributes}/>`).join('');
  return (
    '<?xml version="1.0"?><p1:resource-lists xmlns:p1="urn:ietf:params:xml:ns:resource-lists" ' +
    `xmlns:cp="urn:ietf:params:xml:ns:copycontrol"><p1:list>${entries}</p1:list></p1:resource-lists>`
  );
}

/** The body of an INVITE with SDP and a list. */
function withList(sdp: string, list: string): { readonly contentType: string; readonly body: string } {
  const parts = [
    `Content-Type: application/sdp\r\n\r\n${sdp}\r\n`,
    `Content-Type: application/resource-lists+xml\r\nContent-Disposition: recipient-list\r\n\r\n${list}\r\n`,
  ];
  const body = `${parts.map((part) => `--cut\r\n${part}`).join('')}--cut--\r\n`;
  return { contentType: 'multipart/mixed;boundary=cut', body };
}

const roomIn = (contact: string | undefined): string => /<sip:([^@]+)@/.exec(contact ?? '')?.[1] ?? '';

t.test('RFC 4579 §5.4, RFC 5366 §5: the factory makes a conference and calls those on the list', async (t) => {
  const stage = await stageWith(t, 'rooms.on_demand=false');
  const [carol, dave] = [await Callee.wait(stage, 'carol'), await Callee.wait(stage, 'dave')];
  const list = listOf([carol.phone.address]).replace(
    '</p1:list>',
    `<p1:entry uri="${dave.phone.address}" cp:copyControl="bcc"/></p1:list>`,
  );
  const alice = await SipPhone.connect('alice', stage.sip);
  const own = newPath();
  const { response, dialog } = await alice.request('INVITE', FACTORY, {
    headers: ['Require: recipient-list-invite', 'Subject: Plans'],
    ...withList(messageSdp(own), list),
  });
  t.equal(response.status, 200);
  const contact = response.headers.get('Contact') ?? '';
  t.match(contact, /^<sip:chat-[\w-]{20}@[^>]+>.*;isfocus/);
  const room = `sip:${roomIn(contact)}@127.0.0.1`;
  t.match(response.headers.all('Call-Info'), [`<${room}>;purpose=grouptextchat`]);
  alice.ack(dialog);
  const line = await MsrpLine.bind(own, pathOf(response.body));
  const [first, second] = await Promise.all([carol.comes(), dave.comes()]);
  const body = Buffer.from(first.invite.body).toString();
  t.match(body, /recipient-list-history/);
  t.match(body, /carol@/);
  t.notMatch(body, /dave@/, 'a blind copy stays blind');
  t.match(first.invite.headers.get('From'), room);
  for (const { invite: called } of [first, second]) t.equal(called.headers.get('Subject'), 'Plans');
  t.match(await until(await watch(stage, room), /conference-state/), /<subject>Plans<\/subject>/);
  await line.say(alice.uri, room, 'these are the plans');
  await first.line.hears('these are the plans');
  await second.line.hears('these are the plans');
  const again = await alice.request('INVITE', FACTORY, { contentType: 'application/sdp', body: messageSdp(newPath()) });
  t.not(roomIn(again.response.headers.get('Contact')), roomIn(contact), 'each call has its own');
  alice.ack(again.dialog);
  const stray = await alice.request('INVITE', 'sip:guessed@127.0.0.1', { contentType: 'application/sdp', body: '' });
  t.equal(stray.response.status, 404, 'others are not there');
  const re = await alice.within(dialog, 'INVITE', {
    headers: ['Require: recipient-list-invite'],
    ...withList(messageSdp(own), list),
  });
  t.equal(re.status, 420, 'RFC 5366 §5.1');
  t.equal(re.headers.get('Unsupported'), 'recipient-list-invite');
});

t.test('RFC 5363 §4.1: several lists in one INVITE are as one', async (t) => {
  const stage = await stageWith(t);
  const [carol, dave] = [await Callee.wait(stage, 'carol'), await Callee.wait(stage, 'dave')];
  const alice = await SipPhone.connect('alice', stage.sip);
  const { contentType, body } = withList(messageSdp(newPath()), listOf([carol.phone.address]));
  const list = listOf([carol.phone.address, dave.phone.address]);
  const second = `--cut\r\nContent-Type: application/resource-lists+xml\r\nContent-Disposition: recipient-list\r\n\r\n${list}\r\n`;
  const lists = { contentType, body: body.replace('--cut--', `${second}--cut--`) };
  const { dialog } = await alice.request('INVITE', FACTORY, lists);
  alice.ack(dialog);
  const [first] = await Promise.all([carol.comes(), dave.comes()]);
  t.match(Buffer.from(first.invite.body).toString(), /carol@[^]*dave@/);
  t.equal(carol.phone.waiting('INVITE'), 0, 'each is called once');
});

t.test(
  'RFC 5368 §8, RFC 5364 §4: a list by REFER shows who else is called, and hides who is to be hidden',
  async (t) => {
    const stage = await stageWith(t);
    const alice = await join(stage, 'alice');
    const watcher = await watch(stage);
    const [carol, dave] = [await Callee.wait(stage, 'carol'), await Callee.wait(stage, 'dave')];
    const hidden = `<p1:entry uri="${dave.phone.address}" cp:copyControl="to" cp:anonymize="true"/></p1:list>`;
    const response = await alice.phone.request('REFER', ROOM, {
      headers: ['Refer-To: <cid:list@example.com>', 'Refer-Sub: false', 'Content-ID: <list@example.com>'],
      contentType: 'application/resource-lists+xml',
      body: listOf([carol.phone.address]).replace('</p1:list>', hidden),
    });
    t.equal(response.response.status, 200);
    const [first] = await Promise.all([carol.comes(), dave.comes()]);
    const shown = Buffer.from(first.invite.body).toString();
    t.match(shown, /Content-Disposition: recipient-list-history;handling=optional/);
    t.match(shown, /carol@/);
    t.match(shown, /sip:anonymous@anonymous\.invalid/);
    t.notMatch(shown, /dave@/);
    t.notMatch(await until(watcher, /anonymous-[^]*<status>connected/), /dave/);
  },
);

t.test('RFC 3892 §2.2: Referred-By goes on as it came, but for a token', async (t) => {
  const stage = await stageWith(t);
  const alice = await join(stage, 'alice');
  const called = async (name: string, referredBy: string): Promise<string | undefined> => {
    const callee = await Callee.wait(stage, name);
    const headers = [`Refer-To: <${callee.phone.address}>`, `Referred-By: ${referredBy}`, 'Refer-Sub: false'];
    await alice.phone.within(alice.dialog, 'REFER', { headers });
    return (await callee.comes()).invite.headers.get('Referred-By');
  };
  const said = `"Alice A." <${alice.uri}>;x=y`;
  t.equal(await called('carol', said), said);
  t.equal(await called('dave', `${said};cid="2UWQFN309shb3@ref.example"`), said, 'which nobody could verify');
  t.equal(await called('erin', '<sip:somebody@else.example>'), `<${alice.uri}>`, 'in nobody else’s name');
});

t.test('RFC 3261 §7.4.1: who takes no multipart is given the description alone', async (t) => {
  const stage = await stageWith(t);
  const own = newPath();
  const simple = await RawServer.listen(t, 'tcp', (request, answer) => {
    if (request.method !== 'INVITE') answer(200);
    else if (request.contentType?.type === 'application/sdp') {
      answer(200, { contentType: 'application/sdp', body: calleeSdp(own) });
    } else answer(415, { headers: [{ name: 'Accept', value: 'application/sdp' }] });
  });
  const alice = await SipPhone.connect('alice', stage.sip);
  const list = listOf([simple.address('carol'), simple.address('dave')]);
  const { dialog } = await alice.request('INVITE', ROOM, withList(messageSdp(newPath()), list));
  alice.ack(dialog);
  const calls = new Map<string, (string | undefined)[]>();
  for (let i = 0; i < 4; i++) {
    const { callId, contentType, cseq } = await simple.next('INVITE');
    calls.set(callId, [...(calls.get(callId) ?? []), `${String(cseq.seq)} ${contentType?.type ?? ''}`]);
  }
  t.equal(calls.size, 2, '§8.1.3.5: the same Call-ID');
  for (const call of calls.values()) t.same(call, ['1 multipart/mixed', '2 application/sdp']);
});

t.test('RFC 5366 §5: who sends a list is told in one text whom it does not reach', async (t) => {
  const stage = await stageWith(t);
  const carol = await Callee.wait(stage, 'carol');
  const list = listOf([carol.phone.address, 'sip:dave@elsewhere.example', 'no uri', 'sip:nobody@127.0.0.1']);
  const told =
    'Not called: sip:dave@elsewhere.example (403 That Domain Is Not Called from Here), no uri (no URI), ' +
    'sip:nobody@127.0.0.1 (404 Not Reachable but through This Service)';
  const own = newPath();
  const alice = await SipPhone.connect('alice', stage.sip);
  const { response, dialog } = await alice.request('INVITE', FACTORY, withList(messageSdp(own), list));
  alice.ack(dialog);
  await carol.comes();
  const line = await MsrpLine.bind(own, pathOf(response.body));
  t.ok((await line.hears('Not called')).body?.endsWith(told), 'over MSRP, when it is there');
  await line.say(alice.uri, `sip:${roomIn(response.headers.get('Contact'))}@127.0.0.1`, 'never mind');
  t.ok(stage.lines.some((entry) => /alice@\S+ by INVITE: .*dave@elsewhere\.example.*refused: 403 That/.test(entry)));
  t.ok(stage.lines.some((entry) => /alice@\S+ has no uri in the list, which is no URI/.test(entry)));

  const phone = await SipPhone.connect('zoe', stage.sip);
  phone.contactParams = ';text';
  const many = Array.from({ length: 30 }, (_, i) => `sip:user${String(i)}@elsewhere.example`);
  const chat = await phone.request('INVITE', FACTORY, {
    headers: ['Content-Disposition: recipient-list', 'User-Agent: Linphone/5.1'],
    contentType: 'application/resource-lists+xml',
    body: listOf(many),
  });
  phone.ack(chat.dialog);
  for (;;) {
    const text = Buffer.from((await phone.next('MESSAGE')).body).toString();
    if (!text.includes('Not called')) continue;
    t.match(text, /user0@.*:user19@[^,]*, \+10$/, 'by MESSAGE, and not without end');
    break;
  }
});

t.test('an RCS group chat: one name for its life, and one room for who starts it again (RCC.07)', async (t) => {
  const stage = await stageWith(t);
  const carol = await Callee.wait(stage, 'carol');
  const names = ['Contribution-ID: 91cd3ae8-4c32-11df-a2f0', 'Conversation-ID: f81d4fae-7dec-11d0'];
  const starts = async (name: string, headers: readonly string[], entries: readonly string[]): Promise<SipResponse> => {
    const phone = await SipPhone.connect(name, stage.sip);
    const { response, dialog } = await phone.request('INVITE', FACTORY, {
      headers: ['Require: recipient-list-invite', ...headers],
      ...withList(messageSdp(newPath()), listOf(entries)),
    });
    phone.ack(dialog);
    return response;
  };
  const first = await starts('alice', names, [carol.phone.address]);
  const { invite: called } = await carol.comes();
  for (const message of [first, called]) {
    t.equal(message.headers.get('Contribution-ID'), '91cd3ae8-4c32-11df-a2f0');
    t.equal(message.headers.get('Conversation-ID'), 'f81d4fae-7dec-11d0');
  }
  const room = roomIn(first.headers.get('Contact'));
  t.equal(roomIn((await starts('alice', names, [carol.phone.address])).headers.get('Contact')), room, 'again');
  t.not(roomIn((await starts('mallory', names, [carol.phone.address])).headers.get('Contact')), room, 'not of another');
  const other = await starts('alice', ['Contribution-ID: other'], [carol.phone.address]);
  t.not(roomIn(other.headers.get('Contact')), room);
  const strange = await starts('alice', ['Contribution-ID: not one name'], [carol.phone.address]);
  t.equal(strange.headers.get('Contribution-ID'), undefined);
});

t.test('RFC 4579 §5.4: the factory may redirect, and may not be for everybody', async (t) => {
  const stage = await stageWith(t, 'factory.answer=redirect');
  const alice = await SipPhone.connect('alice', stage.sip);
  const offer = { contentType: 'application/sdp', body: messageSdp(newPath()) };
  const { response } = await alice.request('INVITE', FACTORY, offer);
  t.equal(response.status, 302);
  t.match(response.headers.get('Contact'), /^<sip:chat-[\w-]{20}@127\.0\.0\.1>;isfocus$/);
  const room = `sip:${roomIn(response.headers.get('Contact'))}@127.0.0.1`;
  for (const [name, subject] of [
    ['alice', 'Plans'],
    ['bob', 'Other plans'],
  ] as const) {
    const own = newPath();
    const headers = [`Subject: ${subject}`];
    await join(stage, name, room, { contentType: 'application/sdp', body: messageSdp(own), headers }, own);
    const shown = await until(await watch(stage, room), /conference-state/);
    t.match(shown, /<subject>Plans<\/subject>/, 'as it is called by the one for whom it was made');
  }
  const closed = await stageWith(t, 'factory.creators=authenticated');
  const mallory = await SipPhone.connect('mallory', closed.sip);
  t.equal((await mallory.request('INVITE', FACTORY, offer)).response.status, 403);
  t.ok(closed.lines.some((line) => /mallory.*may-not-create/.test(line)));
});

t.test('how often one may have a conference made is configured', async (t) => {
  const stage = await stageWith(t, 'factory.answer=redirect', 'factory.rooms_at_once=2', 'factory.rooms_per_minute=6');
  const offer = { contentType: 'application/sdp', body: messageSdp(newPath()) };
  const [alice, bob] = [await SipPhone.connect('alice', stage.sip), await SipPhone.connect('bob', stage.sip)];
  const statuses = [];
  for (let i = 0; i < 2; i++) statuses.push((await alice.request('INVITE', FACTORY, offer)).response.status);
  const { response } = await alice.request('INVITE', FACTORY, offer);
  t.same([...statuses, response.status], [302, 302, 480]);
  t.match(response.headers.get('Retry-After'), /^(?:9|10)$/, 'six a minute');
  t.equal((await bob.request('INVITE', FACTORY, offer)).response.status, 302, 'nobody else waits for it');
});

t.test('RFC 4579 §5.4: who was sent to a new conference owns it, whoever comes first', async (t) => {
  const stage = await stageWith(t, 'factory.answer=redirect');
  const alice = await SipPhone.connect('alice', stage.sip);
  const { response } = await alice.request('INVITE', FACTORY);
  const room = `sip:${roomIn(response.headers.get('Contact'))}@127.0.0.1`;
  const bob = await join(stage, 'bob', room);
  t.equal(await bob.say('/lock'), '403');
  const owner = await join(stage, 'alice', room);
  t.equal(await owner.say('/role bob moderator'), '200');
  t.equal(await bob.say('/lock'), '200');
});

t.test("Linphone's group chat: a list and no SDP, then texts by MESSAGE", async (t) => {
  const stage = await stageWith(t);
  const bob = await Callee.wait(stage, 'bob');
  const alice = await SipPhone.connect('alice', stage.sip);
  alice.contactParams = ';text;+org.linphone.specs="ephemeral/1.1,groupchat/1.1"';
  const { response, dialog } = await alice.request('INVITE', FACTORY, {
    headers: ['Require: recipient-list-invite', 'Content-Disposition: recipient-list', 'User-Agent: Linphone/5.1'],
    contentType: 'application/resource-lists+xml',
    body: listOf([bob.phone.address]),
  });
  t.equal(response.status, 200);
  t.equal(response.body.length, 0);
  alice.ack(dialog);
  const call = await bob.comes();
  const room = `sip:${roomIn(response.headers.get('Contact'))}@127.0.0.1`;
  await call.line.say(bob.phone.uri, room, 'hello Linphone');
  for (;;) {
    const text = await alice.next('MESSAGE');
    if (/hello Linphone/.test(Buffer.from(text.body).toString())) break;
  }
});

t.test('RFC 3891 §3, RFC 4579 §5.9: one takes the place of his own call, and of nobody else’s', async (t) => {
  const stage = await stageWith(t);
  const alice = await join(stage, 'alice');
  const mallory = await join(stage, 'mallory');
  const remoteTag = /tag=([^;]+)/.exec(alice.dialog.remote)?.[1] ?? '';
  const replaces = `Replaces: ${alice.dialog.callId};to-tag=${remoteTag};from-tag=${alice.dialog.localTag}`;
  const status = async (phone: SipPhone, header: string): Promise<number> => {
    const offer = { contentType: 'application/sdp', body: messageSdp(newPath()), headers: [header] };
    return (await phone.request('INVITE', ROOM, offer)).response.status;
  };
  t.equal(await status(mallory.phone, replaces), 403);
  t.ok(stage.lines.some((line) => /mallory.*403 Only Your Own/.test(line)));
  t.equal(await status(mallory.phone, 'Replaces: no-such;to-tag=1;from-tag=2'), 481);
  t.equal(await status(mallory.phone, `${replaces};early-only`), 403);
  t.equal(await status(alice.phone, replaces.replace('Replaces', 'Join')), 403);
  t.equal(await mallory.say('I am still here'), '200');
  await alice.hears('I am still here');
  const other = await join(stage, 'alice', ROOM, { headers: [replaces] });
  t.equal((await alice.phone.next('BYE')).method, 'BYE');
  t.equal(await other.say('from my other telephone'), '200');
  await mallory.hears('from my other telephone');
  t.equal(await status(alice.phone, replaces), 603, 'the call is over');
  t.equal(await status(alice.phone, replaces.replace(/to-tag=[^;]+;/, '')), 400, '§6.1: both tags');
  t.equal(await status(alice.phone, `${replaces}\r\n${replaces}`), 400, 'one at most');
  const text = { contentType: 'text/plain', body: 'hi', headers: [replaces] };
  t.equal((await alice.phone.request('MESSAGE', ROOM, text)).response.status, 400, 'in INVITE only');
});

t.test('RFC 3891 §3: a call that takes the place of another is no further device', async (t) => {
  const stage = await stageWith(t, 'rooms.named.lobby.maximum_devices=1');
  const alice = await join(stage, 'alice');
  const remoteTag = /tag=([^;]+)/.exec(alice.dialog.remote)?.[1] ?? '';
  const replaces = `Replaces: ${alice.dialog.callId};to-tag=${remoteTag};from-tag=${alice.dialog.localTag}`;
  const attempts = [replaces, replaces].map((header) => join(stage, 'alice', ROOM, { headers: [header] }));
  const [one, two] = await Promise.allSettled(attempts);
  t.same([one?.status, two?.status].sort(), ['fulfilled', 'rejected'], 'two would be one more');
  t.match((await alice.phone.next('BYE')).headers.get('Reason'), /replaced by another call/);
  await t.rejects(join(stage, 'alice'), /not let in/);
});

t.test('RFC 3891 §3: whose call it is shows by where it is, and not by what was dialled', async (t) => {
  const stage = await stageWith(t);
  const alice = await join(stage, 'alice');
  const carol = await Callee.wait(stage, 'carol');
  const dialled = carol.phone.address.replace('127.0.0.1', 'localhost');
  await alice.phone.within(alice.dialog, 'REFER', refer(`<${dialled}>`, 'Refer-Sub: false'));
  const { dialog } = await carol.comes();
  const headers = [
    `Replaces: ${dialog.callId};to-tag=${/tag=([^;]+)/.exec(dialog.remote)?.[1] ?? ''};from-tag=${dialog.localTag}`,
  ];
  const offer = { contentType: 'application/sdp', body: messageSdp(newPath()), headers, from: 'sip:carol@localhost' };
  const elsewhere = await SipPhone.connect('carol', stage.sip, stage.host, '127.0.0.2');
  t.equal((await elsewhere.request('INVITE', ROOM, offer)).response.status, 403, 'by the From alone');
  const other = await SipPhone.connect('carol', stage.sip);
  const { response, dialog: taken } = await other.request('INVITE', ROOM, offer);
  t.equal(response.status, 200);
  other.ack(taken);
  t.match((await carol.phone.next('BYE')).headers.get('Reason'), /replaced by another call/);
});

t.test('what is remembered of calls that are over has bounds', (t) => {
  let now = 0;
  const ended = new EndedCalls(() => now, { calls: 2, kept: 10 });
  const call = (callId: string): DialogName => ({ callId, localTag: 'l', remoteTag: 'r' });
  ended.add(call('a'));
  t.ok(ended.has(call('a')));
  t.notOk(ended.has({ ...call('a'), localTag: 'r', remoteTag: 'l' }));
  ended.add(call('b'));
  ended.add(call('c'));
  t.same(
    ['a', 'b', 'c'].map((callId) => ended.has(call(callId))),
    [false, true, true],
  );
  now = 11;
  t.notOk(ended.has(call('c')));
  t.end();
});

t.test('bad input: nested REFERs (RFC 4579 §5.7), REFER to ourselves, lists without end', async (t) => {
  const stage = await stageWith(t, 'dialling.calls_per_user=3', 'dialling.list_entries=5');
  const alice = await join(stage, 'alice');
  const bob = await join(stage, 'bob');
  const asks = async (to: string, ...more: readonly string[]): Promise<number> =>
    (await bob.phone.within(bob.dialog, 'REFER', refer(to, ...more))).status;
  t.equal(await asks('<sip:carol@127.0.0.1;method=REFER>'), 403);
  t.equal(await asks('<sip:carol@127.0.0.1?Refer-To=%3Csip:x%40y.example%3E>;method=REFER'), 403);
  t.equal(await asks(`<${ROOM}>`), 404, 'ourselves');
  t.equal(await asks(`<sip:lobby@127.0.0.1:${String(stage.sip)};transport=tcp>`), 404, 'ourselves, by address');
  t.equal(await asks(`<${ROOM};method=BYE>`), 403, 'the room is nobody in it');
  t.equal(await asks('<cid:none@example.com>'), 400);
  t.equal(await asks(`<${alice.uri}>`), 486, 'who is here already');
  t.ok(stage.lines.some((line) => /bob@127\.0\.0\.1 by REFER: .*refused: REFER Is Not Referred/.test(line)));
  const list = (count: number): string =>
    listOf(Array.from({ length: count }, (_, i) => `sip:u${String(i)}@127.0.0.1`));
  const many = async (count: number): Promise<number> => {
    const phone = await SipPhone.connect('alice', stage.sip);
    return (await phone.request('INVITE', ROOM, withList(messageSdp(newPath()), list(count)))).response.status;
  };
  t.equal(await many(6), 413);
  t.equal(await many(4000), 413, 'nearly as large as a message may be');
  t.equal(await many(100_000), 413, 'far larger than a message may be');
  const stranger = await SipPhone.connect('stranger', stage.sip);
  t.equal((await stranger.request('REFER', ROOM, refer('<sip:x@127.0.0.1:9;transport=tcp>'))).response.status, 403);
  const silent = await SipPhone.connect('silent', stage.sip);
  silent.replies.set('INVITE', '183 Wait');
  const user = (name: string): string => `<${silent.address.replace('silent', name)}>`;
  const statuses: number[] = [];
  for (const name of ['s1', 's2', 's3', 's4', 's5']) statuses.push(await asks(user(name), 'Refer-Sub: false'));
  t.same(statuses, [200, 200, 200, 480, 480], 'no more than three at a time');
  t.equal(await alice.say('and the room goes on'), '200');
  await bob.hears('and the room goes on');
});
