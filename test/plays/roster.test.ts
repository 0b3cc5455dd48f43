import t from 'tap';
import { parseConferenceInfo } from '../../src/conference/parse-document.ts';
import { ConferenceView } from '../../src/conference/view.ts';
import type { SipRequest } from '../../sip/index.ts';
import { type PhoneDialog, SipPhone } from './sip-phone.ts';
import { join, messageSdp, newPath, raise, ROOM, type Stage } from './stage.ts';

/** Somebody who watches a room, with what he has seen so far. */
class Watcher {
  readonly view = new ConferenceView();
  readonly phone: SipPhone;
  readonly dialog: PhoneDialog;
  readonly seen: { readonly state: string; readonly version: number; readonly text: string }[] = [];

  constructor(phone: SipPhone, dialog: PhoneDialog) {
    this.phone = phone;
    this.dialog = dialog;
  }

  static async subscribe(stage: Stage, name: string, room = ROOM, headers: readonly string[] = []): Promise<Watcher> {
    const phone = await SipPhone.connect(name, stage.sip);
    const fetches = headers.includes('Expires: 0');
    const { response, dialog } = await phone.request('SUBSCRIBE', room, {
      headers: [
        'Event: conference',
        'Accept: application/conference-info+xml',
        ...headers,
        ...(fetches ? [] : ['Expires: 600']),
      ],
    });
    if (response.status !== 200)
      throw new Error(`${name} may not watch: ${String(response.status)} ${response.reason}`);
    if (response.contact === undefined) throw new Error('a 200 to SUBSCRIBE without Contact');
    return new Watcher(phone, dialog);
  }

  /** The next document. */
  async next(): Promise<string> {
    const notify = await this.phone.next('NOTIFY');
    return this.#read(notify);
  }

  /** Reads on until the view shows what is waited for. */
  async until(holds: (view: ConferenceView, text: string) => boolean): Promise<string> {
    for (;;) {
      const text = await this.next();
      if (holds(this.view, text)) return text;
    }
  }

  get names(): readonly string[] {
    return this.view.users.map(({ entity }) => entity).sort();
  }

  #read(notify: SipRequest): string {
    const text = Buffer.from(notify.body).toString();
    const document = parseConferenceInfo(text);
    this.seen.push({ state: document.state, version: document.version, text });
    this.view.receive(document);
    return text;
  }
}

t.test('RFC 4575 §5.7.9: whose call is which is told where the configuration says so', async (t) => {
  for (const told of [false, true]) {
    const stage = await raise(`roster.call_info=${String(told)}`);
    t.teardown(() => stage.close());
    const alice = await join(stage, 'alice');
    const carol = await Watcher.subscribe(stage, 'carol');
    const { callId, localTag, remote } = alice.dialog;
    const [, toTag = ''] = /;tag=([^;]+)/.exec(remote) ?? [];
    const calls = `<call-id>${callId}</call-id><from-tag>${localTag}</from-tag><to-tag>${toTag}</to-tag>`;
    t.equal((await carol.next()).includes(calls), told);
  }
});

t.test("RFC 4575, RFC 7106: carol's subscription shows alice, bob and the grouptextchat URI", async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const carol = await Watcher.subscribe(stage, 'carol');
  const empty = await carol.next();
  t.match(empty, /<active>false<\/active>/, 'an open room that is empty');
  t.match(empty, new RegExp(`entity="${ROOM}"`), 'to the letter');
  const alice = await join(stage, 'alice');
  const bob = await join(stage, 'bob');
  await carol.until(() => carol.names.length === 2);
  t.same(carol.names, [alice.uri, bob.uri]);
  const full = carol.seen[0]?.text ?? '';
  t.match(full, /<service-uris>\s*<entry>\s*<uri>sip:lobby@127\.0\.0\.1<\/uri>.*?<purpose>grouptextchat<\/purpose>/s);
  t.same(
    carol.seen.map(({ version }) => version),
    carol.seen.map((_, i) => i + 1),
    'dense versions',
  );
  t.ok(carol.seen.slice(1).every(({ state }) => state === 'partial'));
  await alice.leave();
  await carol.until((_view, text) => text.includes('<status>disconnected</status>'));
  await bob.leave();
});

t.test('RFC 4575 §4.4, §5.6: users, endpoints, media and how they came', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const desk = await join(stage, 'alice');
  const mobile = await join(stage, 'alice');
  const carol = await Watcher.subscribe(stage, 'carol');
  const text = await carol.next();
  const [user] = carol.view.users;
  t.equal(carol.view.users.length, 1, 'the same user from two devices is one user (RFC 7701 §6.1)');
  t.equal(user?.entity, desk.uri);
  t.equal(user?.displayText, 'alice');
  t.equal(user?.endpoints.length, 2);
  t.match(text, /<user-count>1<\/user-count>/);
  t.match(text, /<joining-method>dialed-in<\/joining-method>/);
  t.match(text, /<media id="0"><type>message<\/type>.*<status>sendrecv<\/status>/);
  const hold = messageSdp(desk.line.own, ['a=sendonly']);
  await desk.phone.within(desk.dialog, 'INVITE', { contentType: 'application/sdp', body: hold });
  desk.phone.ack(desk.dialog);
  await carol.until((_view, next) => next.includes('<status>sendonly</status>'));
  mobile.line.close();
  mobile.phone.hangUp();
});

t.test('RFC 4353 §3.1: entity and chat URI stand in the form that the subscriber dialled', async (t) => {
  const stage = await raise('domains=[chat.example.org]');
  t.teardown(() => stage.close());
  await join(stage, 'alice');
  for (const room of [
    'sip:lobby@chat.example.org',
    'sip:lobby@localhost',
    `sip:lobby@127.0.0.1:${String(stage.sip)};transport=tcp`,
  ]) {
    const watcher = await Watcher.subscribe(stage, 'carol', room);
    const text = await watcher.next();
    t.ok(text.includes(`entity="${room}"`), room);
    t.ok(text.includes(`<uri>${room}</uri>`), 'the advertised chat');
  }
  // Behind a proxy the Request-URI is where we are; what the subscriber has dialled is the To.
  const dialled = 'sip:lobby@chat.example.org';
  const dan = await SipPhone.connect('dan', stage.sip);
  const dialog = { callId: 'to@play', localTag: 'dan', room: dialled, remote: `<${dialled}>`, target: ROOM, seq: 1 };
  await dan.within(dialog, 'SUBSCRIBE', { headers: ['Event: conference', 'Expires: 600'] });
  t.match(Buffer.from((await dan.next('NOTIFY')).body).toString(), new RegExp(`entity="${dialled}"`));
  // A SIP URI may hold what an RFC 3986 one may not.
  const odd = { ...dialog, callId: 'odd@play', localTag: 'odd', remote: `<${dialled};colour=grün>`, seq: 1 };
  await dan.within(odd, 'SUBSCRIBE', { headers: ['Event: conference', 'Expires: 600'] });
  t.match(Buffer.from((await dan.next('NOTIFY')).body).toString(), /entity="sip:lobby@[^"]*"/);
});

t.test('RFC 6665 §4.4.3: a fetch is answered by one NOTIFY, with the whole state', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const alice = await join(stage, 'alice');
  const carol = await Watcher.subscribe(stage, 'carol', ROOM, ['Expires: 0']);
  const notify = await carol.phone.next('NOTIFY');
  t.match(notify.headers.get('Subscription-State'), /^terminated/);
  const text = Buffer.from(notify.body).toString();
  t.match(text, /state="full"/);
  t.ok(text.includes(`<user entity="${alice.uri}"`));
});

t.test('RFC 7106: configured rooms advertise more chats', async (t) => {
  const stage = await raise(
    'rooms.named.lobby={permanent: true, display_text: The lobby, subject: Talk, maximum_users: 50, services: [{uri: "xmpp:lobby@muc.example.org", display_text: over XMPP}, {uri: "https://chat.example.org/lobby"}]}',
  );
  t.teardown(() => stage.close());
  const carol = await Watcher.subscribe(stage, 'carol');
  const text = await carol.next();
  t.equal(text.match(/<purpose>grouptextchat<\/purpose>/g)?.length, 3);
  t.match(text, /<uri>xmpp:lobby@muc\.example\.org<\/uri>\s*<display-text>over XMPP<\/display-text>/);
  t.match(text, /<display-text>The lobby<\/display-text>/);
  t.match(text, /<subject>Talk<\/subject>/);
  t.match(text, /<maximum-user-count>50<\/maximum-user-count>/);
});

t.test('RFC 6665 §4.1.3: the end of an ad hoc conference ends what can be said of it', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const alice = await join(stage, 'alice');
  const carol = await Watcher.subscribe(stage, 'carol');
  await carol.next();
  await alice.leave();
  for (;;) {
    const notify = await carol.phone.next('NOTIFY');
    const state = notify.headers.get('Subscription-State') ?? '';
    if (!state.startsWith('terminated')) continue;
    t.match(state, /reason=noresource/);
    t.match(Buffer.from(notify.body).toString(), /state="deleted"/);
    break;
  }
  const again = await join(stage, 'alice');
  t.equal(await again.say('anew'), '200', 'a later call begins it anew');
});

t.test('a room that nobody is in lives as long as somebody watches it', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const http = stage.service.addresses.find(({ protocol }) => protocol === 'HTTP')?.port ?? 0;
  const rooms = async (): Promise<string | undefined> => {
    const metrics = await (await fetch(`http://127.0.0.1:${String(http)}/metrics`)).text();
    return /^grouptextchat_rooms (\d+)$/m.exec(metrics)?.[1];
  };
  const carol = await Watcher.subscribe(stage, 'carol');
  const dave = await Watcher.subscribe(stage, 'dave');
  await carol.next();
  await dave.next();
  const ends = async ({ phone, dialog }: Watcher): Promise<void> => {
    await phone.within(dialog, 'SUBSCRIBE', { headers: ['Event: conference', 'Expires: 0'] });
    await phone.next('NOTIFY');
  };
  await ends(carol);
  t.equal(await rooms(), '1');
  await ends(dave);
  // Hangs, and so fails, if it never is.
  while ((await rooms()) !== '0') await new Promise((resolve) => setImmediate(resolve));
});

t.test('a permanent room outlives its last participant', async (t) => {
  const stage = await raise('rooms.named.lobby.permanent=true');
  t.teardown(() => stage.close());
  const alice = await join(stage, 'alice');
  const carol = await Watcher.subscribe(stage, 'carol');
  await carol.next();
  await alice.leave();
  await carol.until((_view, text) => text.includes('<active>false</active>'));
  await join(stage, 'bob');
  await carol.until((_view, text) => text.includes('sip:bob@127.0.0.1'));
});

t.test('who opens a room is its owner in the first document that shows him, and the next one is not', async (t) => {
  for (const durability of ['memory', 'disk']) {
    const stage = await raise(`rooms.defaults.durability=${durability}`, 'roster.interval=1ms');
    t.teardown(() => stage.close());
    const carol = await Watcher.subscribe(stage, 'carol');
    const rolesOf = (uri: string): readonly string[] | undefined =>
      carol.view.users.find(({ entity }) => entity === uri)?.roles;
    const [alice, bob] = await Promise.all([join(stage, 'alice'), join(stage, 'bob')]);
    await carol.until(() => carol.names.length > 0);
    const first = carol.view.users[0];
    t.same(first?.roles, ['owner'], `${durability}: in the first document`);
    const other = first?.entity === alice.uri ? bob.uri : alice.uri;
    if (carol.names.length < 2) await carol.until(() => carol.names.length === 2);
    t.same(rolesOf(other), ['participant'], durability);
    await Promise.all([alice.leave(), bob.leave()]);
  }
});

t.test('watchers: participants', async (t) => {
  const stage = await raise('rooms.defaults.watchers=participants');
  t.teardown(() => stage.close());
  await join(stage, 'alice');
  await t.rejects(Watcher.subscribe(stage, 'carol'), /403/);
  const own = await Watcher.subscribe(stage, 'alice');
  t.match(await own.next(), /sip:alice@127\.0\.0\.1/);
  const first = await join(stage, 'carol');
  const second = await join(stage, 'carol');
  const carol = await Watcher.subscribe(stage, 'carol');
  await carol.until(({ users }) => users.length === 2);
  await first.leave();
  await carol.until((_, text) => text.includes('departed'));
  await second.leave();
  const last = await carol.phone.next('NOTIFY');
  t.equal(last.headers.get('Subscription-State'), 'terminated;reason=rejected', 'RFC 6665 §4.1.3');
  t.equal(last.body.length, 0);
  await join(stage, 'bob');
  await own.until(({ users }) => users.some(({ entity }) => entity.includes('bob')));
  const again = await carol.phone.request('SUBSCRIBE', ROOM, { headers: ['Event: conference', 'Expires: 600'] });
  t.equal(again.response.status, 403);
});

t.test('watchers: participants; who subscribes as soon as he has sent his ACK is one', async (t) => {
  // What is kept on disk takes longer to be in the room than the next request takes to come.
  const stage = await raise('rooms.defaults.watchers=participants', 'rooms.defaults.durability=disk');
  t.teardown(() => stage.close());
  for (const name of ['alice', 'bob', 'carol', 'dave']) {
    const phone = await SipPhone.connect(name, stage.sip);
    const offer = { contentType: 'application/sdp', body: messageSdp(newPath()) };
    const { dialog } = await phone.request('INVITE', ROOM, offer);
    phone.ack(dialog);
    const { response } = await phone.request('SUBSCRIBE', ROOM, { headers: ['Event: conference', 'Expires: 600'] });
    t.equal(response.status, 200, name);
  }
});

t.test('RFC 6665 §4.2.1: refusals', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const carol = await SipPhone.connect('carol', stage.sip);
  const status = async (room: string, ...headers: readonly string[]): Promise<number> =>
    (await carol.request('SUBSCRIBE', room, { headers })).response.status;
  t.equal(await status(ROOM, 'Event: presence'), 489);
  t.equal(await status(ROOM, 'Event: conference', 'Expires: 5'), 423);
  t.equal(await status(ROOM, 'Event: conference', 'Accept: application/pidf+xml'), 406);
  t.equal(await status('sip:lobby@elsewhere.example', 'Event: conference'), 404);
});

t.test('a subscription after another is numbered above what the subscriber has seen', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  await join(stage, 'alice');
  const carol = await Watcher.subscribe(stage, 'carol', ROOM, ['Last-Notify-Version: 41']);
  t.match(await carol.next(), /state="full" version="42"/);
});

t.test('families that take only full documents get full ones', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const blink = await Watcher.subscribe(stage, 'carol', ROOM, ['User-Agent: Blink 5.9.1 (Linux)']);
  await blink.next();
  await join(stage, 'alice');
  await blink.until(() => blink.names.length === 1);
  await join(stage, 'bob');
  await blink.until(() => blink.names.length === 2);
  t.ok(blink.seen.every(({ state }) => state === 'full'));
});

t.test('in the INVITE dialog a subscription works as well, and outlives the call (RFC 4579 §3.4)', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  await join(stage, 'bob');
  const alice = await join(stage, 'alice');
  const response = await alice.phone.within(alice.dialog, 'SUBSCRIBE', {
    headers: ['Event: conference', 'Expires: 600'],
  });
  t.equal(response.status, 200);
  const text = Buffer.from((await alice.phone.next('NOTIFY')).body).toString();
  t.ok(text.includes(`entity="${ROOM}"`));
  await alice.phone.within(alice.dialog, 'BYE');
  const after = Buffer.from((await alice.phone.next('NOTIFY')).body).toString();
  t.match(after, /disconnected/);
});

t.test('RFC 6665 §4.1.3: somebody who is banned watches no longer', async (t) => {
  const stage = await raise('rooms.defaults.roles={"sip:alice@127.0.0.1": owner}');
  t.teardown(() => stage.close());
  const alice = await join(stage, 'alice');
  const mallory = await Watcher.subscribe(stage, 'mallory');
  const carol = await Watcher.subscribe(stage, 'carol');
  await mallory.next();
  await carol.next();
  t.equal(await alice.say('/ban sip:mallory@127.0.0.1'), '200');
  const last = await mallory.phone.next('NOTIFY');
  t.equal(last.headers.get('Subscription-State'), 'terminated;reason=rejected');
  const again = await mallory.phone.request('SUBSCRIBE', ROOM, { headers: ['Event: conference', 'Expires: 600'] });
  t.equal(again.response.status, 403);
  await join(stage, 'dave');
  await carol.until(({ users }) => users.some(({ entity }) => entity.includes('dave')));
  t.pass('carol watches on');
});
