import t from 'tap';
import { type DigestAlgorithm, digestHa1, digestResponse, type SipResponse } from '../../sip/index.ts';
import { joinRoom } from '../../src/client/index.ts';
import { nodeWebSocket } from '../../src/client/transport/node.ts';
import { SipPhone } from './sip-phone.ts';
import { join, messageSdp, newPath, raise, ROOM, type Stage } from './stage.ts';

const ALICE = 'rooms.defaults.roles={"sip:alice@127.0.0.1": owner}';

async function stageWith(t: { teardown(work: () => Promise<void>): void }, ...options: string[]): Promise<Stage> {
  const stage = await raise(ALICE, ...options);
  t.teardown(() => stage.close());
  return stage;
}

/** Calls and is not let in; gives the status. */
async function refused(stage: Stage, name: string, room: string): Promise<number> {
  const phone = await SipPhone.connect(name, stage.sip);
  const offer = { contentType: 'application/sdp', body: messageSdp(newPath()) };
  const { response } = await phone.request('INVITE', room, offer);
  phone.hangUp();
  return response.status;
}

/** Calls a room with credentials for its challenge; gives the answer. */
async function provesPin(
  phone: SipPhone,
  user: string,
  pin: string,
  algorithm: DigestAlgorithm = 'MD5',
  uri = ROOM,
): Promise<SipResponse> {
  const offer = { contentType: 'application/sdp', body: messageSdp(newPath()) };
  const { response: asked } = await phone.request('INVITE', uri, offer);
  const challenge = asked.wwwAuthenticate.find(({ params }) => params.get('algorithm') === algorithm)?.params;
  if (challenge === undefined) return asked;
  const [realm = '', nonce = ''] = [challenge.get('realm'), challenge.get('nonce')];
  const [nc, cnonce, qop] = ['00000001', 'c0ffee', 'auth'] as const;
  const ha1 = digestHa1(algorithm, user, realm, pin);
  const variant = { algorithm, session: false };
  const body = new Uint8Array(0);
  const proof = digestResponse({ variant, ha1, nonce, qop, nc, cnonce, method: 'INVITE', uri, body });
  const header =
    `Authorization: Digest username="${user}", realm="${realm}", nonce="${nonce}", uri="${uri}", response="${proof}", ` +
    `algorithm=${algorithm}, qop=${qop}, nc=${nc}, cnonce="${cnonce}"`;
  const { response, dialog } = await phone.request('INVITE', uri, { ...offer, headers: [header] });
  if (response.status === 200) phone.ack(dialog);
  return response;
}

t.test('RFC 3261 §22, RFC 8760: the PIN of a room is asked for by digest, in the realm of the room', async (t) => {
  const stage = await stageWith(t, 'rooms.defaults.pin=4711');
  const bob = await SipPhone.connect('bob', stage.sip);
  const offer = { contentType: 'application/sdp', body: messageSdp(newPath()) };
  const { response } = await bob.request('INVITE', ROOM, offer);
  t.equal(response.status, 401);
  t.same(
    response.wwwAuthenticate.map(({ params }) => [params.get('realm'), params.get('algorithm'), params.get('qop')]),
    [
      ['lobby@127.0.0.1', 'SHA-256', 'auth'],
      ['lobby@127.0.0.1', 'MD5', 'auth'],
    ],
  );
  t.match(response.headers.get('Warning'), /PIN/, 'a person is told what is asked for');
  t.equal((await provesPin(bob, 'bob', '4711')).status, 200);
  t.equal((await provesPin(bob, 'whoever', '4711', 'SHA-256')).status, 200, 'any user name');
  t.equal((await provesPin(bob, 'bob', '1')).status, 401);
  t.equal(await refused(stage, 'carol', `${ROOM};pin=1`), 403, 'who dials one is not asked for another');
  const options = { name: 'Dave', password: '4711', webSocket: nodeWebSocket };
  const http = stage.service.addresses.find(({ protocol }) => protocol === 'HTTP')?.port ?? 0;
  const server = `ws://127.0.0.1:${String(http)}/ws`;
  const handlers = { message: () => undefined, closed: () => undefined };
  const dave = await joinRoom(ROOM, { ...options, server }, handlers);
  await dave.say('by the client, whose password is the PIN');
  await t.rejects(joinRoom(ROOM, { ...options, password: '1', server }, handlers), /401|PIN|Unauthorized/);
  const alice = await join(stage, 'alice');
  t.equal(await alice.say('/pin 0815'), '200');
  t.equal((await provesPin(bob, 'bob', '4711')).status, 401);
  t.equal((await provesPin(bob, 'bob', '0815')).status, 200, 'the one that was set in the chat, too');
  await dave.leave();

  const accounts = await raise('auth.mode=digest', 'rooms.defaults.pin=4711');
  t.teardown(() => accounts.close());
  const erin = await SipPhone.connect('erin', accounts.sip);
  const asked = (await erin.request('INVITE', ROOM, offer)).response;
  t.notOk(
    asked.wwwAuthenticate.some(({ params }) => params.get('realm') === 'lobby@127.0.0.1'),
    'with accounts there is one challenge only',
  );
});

t.test(
  'RFC 3261 §22.1: the realm has the domain in it that people dial, by whatever name the room is called',
  async (t) => {
    const stage = await stageWith(t, 'rooms.defaults.pin=4711', 'domains=[chat.example.com, chat.example.org]');
    const bob = await SipPhone.connect('bob', stage.sip);
    const offer = { contentType: 'application/sdp', body: messageSdp(newPath()) };
    for (const host of ['chat.example.com', 'CHAT.example.org', '127.0.0.1', 'localhost']) {
      const { response } = await bob.request('INVITE', `sip:lobby@${host}`, offer);
      const realms = response.wwwAuthenticate.map(({ params }) => params.get('realm'));
      t.same(new Set(realms), new Set(['lobby@chat.example.com']), host);
    }
    t.equal((await provesPin(bob, 'bob', '4711')).status, 200);
  },
);

t.test('a PIN tried 1,000 times: refused, bounded, logged, by URI and by digest', async (t) => {
  for (const way of ['URI', 'digest'] as const) {
    const stage = await stageWith(t, 'rooms.defaults.pin=4711');
    const mallory = await SipPhone.connect('mallory', stage.sip);
    const statuses = new Map<number, number>();
    for (let i = 4000; i < 5000; i++) {
      const pin = String(i);
      const uri = way === 'URI' ? `${ROOM};pin=${pin}` : ROOM;
      const { status } =
        way === 'URI'
          ? (await mallory.request('INVITE', uri, { contentType: 'application/sdp', body: messageSdp(newPath()) }))
              .response
          : await provesPin(mallory, 'mallory', pin);
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
    }
    t.same(
      [...statuses],
      way === 'URI'
        ? [
            [403, 5],
            [480, 995],
          ]
        : [
            [401, 5],
            [480, 995],
          ],
      `${way}: not even the right one`,
    );
    const lines = stage.lines.filter((line) => /mallory@\S+ from 127.0.0.1 is not let in: pin-/.test(line));
    t.ok(lines.length > 0 && lines.length < 60, `${String(lines.length)} lines`);
    mallory.hangUp();
  }
});

t.test('one who guesses locks nobody out who shares his address', async (t) => {
  const stage = await stageWith(t, 'rooms.defaults.pin=4711');
  const carol = await join(stage, 'carol', `${ROOM};pin=4711`);
  await carol.leave();
  for (let i = 0; i < 10; i++) await refused(stage, 'mallory', `${ROOM};pin=${String(i)}`);
  t.equal(await refused(stage, 'mallory', `${ROOM};pin=4711`), 480);
  await (await join(stage, 'dave', `${ROOM};pin=4711`)).leave();
  const guesses: number[] = [];
  for (let i = 0; i < 30; i++) guesses.push(await refused(stage, `mallory${String(i)}`, `${ROOM};pin=${String(i)}`));
  t.equal(
    guesses.filter((status) => status === 403).length,
    15,
    'twenty wrong ones from an address, whatever the From',
  );
  t.equal(await refused(stage, 'erin', `${ROOM};pin=4711`), 480);
  await (await join(stage, 'carol', `${ROOM};pin=4711`)).leave();
});

t.test('how many wrong PINs may be given is configured', async (t) => {
  const stage = await stageWith(t, 'rooms.defaults.pin=4711', 'rooms.pin_tries=2', 'rooms.pin_tries_per_address=3');
  const wrong = (name: string) => refused(stage, name, `${ROOM};pin=1`);
  t.same([await wrong('mallory'), await wrong('mallory'), await wrong('mallory')], [403, 403, 480], 'by one caller');
  t.same([await wrong('trudy'), await wrong('trudy')], [403, 480], 'by all behind an address');
});
