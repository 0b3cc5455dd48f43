/** Conference control where everybody has to prove who he is: an account is one person under every name of ours. */
import { createHash } from 'node:crypto';
import t, { type Test } from 'tap';
import type { SipResponse } from '../../sip/index.ts';
import { addUser } from '../../src/config/users.ts';
import { RawServer } from './raw-server.ts';
import { type Extra, type PhoneDialog, SipPhone } from './sip-phone.ts';
import { messageSdp, newPath, raise, ROOM, type Stage } from './stage.ts';

const FACTORY = 'sip:conference-factory@127.0.0.1';
const NAMES = ['alice', 'bob', 'carol'];

/** A service whose accounts are of example.org, besides which it has the names of this machine. */
async function withAccounts(t: Test, ...options: readonly string[]): Promise<Stage> {
  const users = `${t.testdir()}/users.json`;
  for (const name of NAMES) addUser(users, 'grouptextchat', name, `secret of ${name}`);
  const stage = await raise('auth.mode=digest', `auth.users=${users}`, 'domains=[example.org]', ...options);
  t.teardown(() => stage.close());
  return stage;
}

const md5 = (text: string): string => createHash('md5').update(text).digest('hex');

/** Somebody with an account and a telephone. */
class Account {
  readonly phone: SipPhone;

  private constructor(phone: SipPhone) {
    this.phone = phone;
  }

  static async of(stage: Stage, name: string): Promise<Account> {
    return new Account(await SipPhone.connect(name, stage.sip, stage.host));
  }

  /** A request for which he proves who he is. */
  async request(
    method: string,
    uri: string,
    extra: Extra = {},
  ): Promise<{ response: SipResponse; dialog: PhoneDialog }> {
    const asked = await this.phone.request(method, uri, extra);
    const challenge =
      asked.response.headers.all('WWW-Authenticate').find((text) => text.includes('algorithm=MD5')) ?? '';
    const nonce = /nonce="([^"]+)"/.exec(challenge)?.[1] ?? '';
    const { name } = this.phone;
    const secret = md5(`${name}:grouptextchat:secret of ${name}`);
    const proof = md5(`${secret}:${nonce}:00000001:c:auth:${md5(`${method}:${uri}`)}`);
    const named = `username="${name}", realm="grouptextchat", nonce="${nonce}", uri="${uri}", algorithm=MD5`;
    const credentials = `Authorization: Digest ${named}, qop=auth, nc=00000001, cnonce="c", response="${proof}"`;
    return this.phone.request(method, uri, { ...extra, headers: [...(extra.headers ?? []), credentials] });
  }

  /** Calls a room. */
  async comes(
    room = ROOM,
    extra: Extra = { contentType: 'application/sdp', body: messageSdp(newPath()) },
  ): Promise<PhoneDialog> {
    const { response, dialog } = await this.request('INVITE', room, extra);
    t.equal(response.status, 200, `${this.phone.name} comes in`);
    this.phone.ack(dialog);
    return dialog;
  }

  /** Writes within the call. */
  async writes(dialog: PhoneDialog, body: string): Promise<number> {
    return (await this.phone.within(dialog, 'MESSAGE', { contentType: 'text/plain', body })).status;
  }

  async refers(to: string): Promise<number> {
    return (await this.request('REFER', ROOM, { headers: [`Refer-To: <${to}>`, 'Refer-Sub: false'] })).response.status;
  }
}

t.test(
  'an account is one person under every name of ours: in the configuration, in orders, and when it is called',
  async (t) => {
    const stage = await withAccounts(t, 'rooms.named.lobby.roles={"sips:alice@127.0.0.1": owner}');
    const alice = await Account.of(stage, 'alice');
    const bob = await Account.of(stage, 'bob');
    const call = await alice.comes();
    for (const order of ['REFER', 'chat'] as const) {
      await bob.comes();
      t.equal(await alice.refers('sip:bob@localhost'), 486, 'is here already');
      const kicked =
        order === 'REFER'
          ? await alice.refers('sip:bob@127.0.0.1;method=BYE')
          : await alice.writes(call, '/kick sip:bob@localhost');
      t.ok(kicked < 300);
      t.match((await bob.phone.next('BYE')).headers.get('Reason'), /Kicked/);
    }
    for (const target of ['sip:bob@127.0.0.1', '*@localhost']) {
      t.equal(await alice.writes(call, `/ban ${target}`), 202);
      t.equal((await bob.request('INVITE', ROOM)).response.status, 403, target);
      t.equal(await alice.writes(call, `/unban ${target}`), 202);
    }
    await bob.comes();
  },
);

t.test('nobody comes in as somebody else by being called where that one is not', async (t) => {
  for (const options of [
    [],
    ['dialling.domains=[127.0.0.2, friends.invalid]'],
    ['dialling.domains=["*"]'],
    ['dialling.proxy=sip:127.0.0.1:9;lr'],
  ]) {
    const stage = await withAccounts(t, ...options);
    const bob = await Account.of(stage, 'bob');
    await bob.comes();
    const own = await RawServer.listen(t, 'udp', (_, answer) => {
      answer(486);
    });
    const at = own.address('alice');
    const port = /:(\d+)/.exec(at.slice(4))?.[1] ?? '';
    t.equal(await bob.refers(at), 403, 'a port of his own choice');
    t.equal(await bob.refers(at.replace('127.0.0.1', 'localhost.')), 403, 'however the host is written');
    for (const name of ['example.org', 'friends.invalid']) {
      const around = `sip:alice@${name}:${port};maddr=127.0.0.2`;
      t.equal(await bob.refers(around), 403, 'RFC 3261 §19.1.1: an address that another domain has');
    }
    t.equal(own.waiting('INVITE'), 0);
  }
});

t.test('a moderator who is banned moderates nobody, though the role is his still', async (t) => {
  const stage = await withAccounts(
    t,
    'rooms.named.lobby.roles={"sip:alice@example.org": owner, "sip:bob@example.org": moderator}',
  );
  const alice = await Account.of(stage, 'alice');
  const bob = await Account.of(stage, 'bob');
  const carol = await Account.of(stage, 'carol');
  const call = await alice.comes();
  await carol.comes();
  t.equal(await alice.writes(call, '/ban sip:bob@example.org'), 202);
  for (const order of ['sip:carol@example.org;method=BYE', 'sip:carol@example.org;admin=true', 'sip:zoe@example.org']) {
    t.equal(await bob.refers(order), 403, order);
  }
  t.equal(await alice.writes(call, '/unban sip:bob@example.org'), 202);
  t.equal(await bob.refers('sip:carol@example.org;method=BYE'), 200, 'from outside, with his role');
});

/** An INVITE with a list (RFC 5366). */
function withList(uris: readonly string[], disposition = 'recipient-list'): Extra {
  const entries = uris.map((uri) => `<entry uri="${uri}" cp:copyControl="to"/>`).join('');
  const spaces = 'xmlns="urn:ietf:params:xml:ns:resource-lists" xmlns:cp="urn:ietf:params:xml:ns:copycontrol"';
  const part = (head: readonly string[], content: string): string =>
    `--b\r\n${head.join('\r\n')}\r\n\r\n${content}\r\n`;
  return {
    contentType: 'multipart/mixed;boundary=b',
    headers: ['Require: recipient-list-invite'],
    body: [
      part(['Content-Type: application/sdp'], messageSdp(newPath())),
      part(
        ['Content-Type: application/resource-lists+xml', `Content-Disposition: ${disposition}`],
        `<resource-lists ${spaces}><list>${entries}</list></resource-lists>`,
      ),
      '--b--\r\n',
    ].join(''),
  };
}

t.test('RFC 5366 §7: only who may have a conference made has others called by a list', async (t) => {
  const proxy = await RawServer.listen(t, 'udp', (request, answer) => {
    answer(request.method === 'INVITE' ? 486 : 200);
  });
  const address = `${proxy.address('').replace('sip:@', 'sip:')};lr`;
  const stage = await withAccounts(t, `dialling.proxy=${address}`, 'factory.creators=[sip:alice@localhost]');
  const list = withList([
    'sip:carol@example.org',
    'sip:carol@localhost',
    'sip:alice@127.0.0.1',
    'sip:x@elsewhere.example',
  ]);
  const stranger = await SipPhone.connect('stranger', stage.sip);
  t.equal((await stranger.request('INVITE', FACTORY, list)).response.status, 401);
  const bob = await Account.of(stage, 'bob');
  t.equal((await bob.request('INVITE', FACTORY, list)).response.status, 403);
  t.equal(proxy.waiting('INVITE'), 0);
  const alice = await Account.of(stage, 'alice');
  const other = withList(['sip:carol@example.org'], 'attachment');
  t.equal(
    (await alice.request('INVITE', FACTORY, other)).response.status,
    415,
    'RFC 5363 §4: a list of something else',
  );
  t.equal(proxy.waiting('INVITE'), 0);
  const call = await alice.comes(FACTORY, list);
  t.equal((await proxy.next('INVITE')).requestUri, 'sip:carol@example.org');
  for (const headers of [[], ['Require: recipient-list-invite']]) {
    const again = await alice.phone.within(call, 'INVITE', { ...list, headers });
    t.equal(
      again.status,
      headers.length === 0 ? 415 : 420,
      'RFC 5366 §5.1: nothing in a re-INVITE, and not in silence',
    );
  }
  const refused = (): readonly string[] => stage.lines.filter((line) => /invite user=.*refused/.test(line));
  t.match(refused(), [
    /sip:carol@localhost": refused: 491 Is Being Called Already/,
    /sip:alice@127\.0\.0\.1": refused: 486 Is Here Already/,
    /sip:x@elsewhere\.example": refused: 403 That Domain/,
  ]);
  await bob.comes();
  t.equal(await bob.refers(proxy.address('carol')), 200, 'the port of the proxy itself');
  t.match((await proxy.next('INVITE')).requestUri, /^sip:carol@127\.0\.0\.1:/);
});

t.test('the log says who was refused, from where, and where he wanted to go', async (t) => {
  const stage = await withAccounts(t);
  const mallory = await SipPhone.connect('mallory', stage.sip, stage.host);
  t.teardown(() => {
    mallory.hangUp();
  });
  const guess = 'realm="grouptextchat", uri="sip:lobby@127.0.0.1", algorithm=MD5, qop=auth, nc=00000001, cnonce="c"';
  const { response } = await mallory.request('INVITE', ROOM);
  const nonce = /nonce="([^"]+)"/.exec(response.headers.get('WWW-Authenticate') ?? '')?.[1] ?? '';
  const credentials = `Digest username="al ice", nonce="${nonce}", response="${'0'.repeat(32)}", ${guess}`;
  t.equal((await mallory.request('INVITE', ROOM, { headers: [`Authorization: ${credentials}`] })).response.status, 401);
  const wrong = stage.lines.find((line) => line.includes('wrong credentials'));
  t.match(wrong, /127\.0\.0\.1: wrong credentials for "al ice" in INVITE/, 'a wrong password: address and user');

  t.equal((await mallory.request('PUBLISH', ROOM)).response.status, 405);
  const refused = stage.lines.find((line) => line.includes('refused 405'));
  t.match(refused, / peer="127\.0\.0\.1 \d+" .*from=sip:mallory@127\.0\.0\.1 to=sip:lobby@127\.0\.0\.1\n/);
});
