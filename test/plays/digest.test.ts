import { join as joinPath } from 'node:path';
import t from 'tap';
import { addUser } from '../../src/config/users.ts';
import { DigestClient, parseMessage, type SipRequest, type SipResponse } from '../../sip/index.ts';
import { SipPhone } from './sip-phone.ts';
import { messageSdp, newPath, raise, ROOM, type Stage } from './stage.ts';

/** A service whose users are alice and bob. */
async function raiseWithUsers(data: string, ...options: readonly string[]): Promise<Stage> {
  for (const name of ['alice', 'bob']) addUser(joinPath(data, 'users.json'), 'grouptextchat', name, `${name}'s`);
  return raise('auth.mode=digest', `data=${data}`, ...options);
}

/** The Authorization line with which a user answers a challenge. */
function answerTo(response: SipResponse, method: string, username: string, password: string): string {
  const client = new DigestClient(() => ({ username, password }));
  const text = `${method} ${ROOM} SIP/2.0\r\nVia: SIP/2.0/TCP a;branch=z9hG4bKa\r\nFrom: <sip:a@b>;tag=a\r\nTo: <${ROOM}>\r\nCall-ID: a\r\nCSeq: 1 ${method}\r\n\r\n`;
  const [line] = client.answer(parseMessage(Buffer.from(text)) as SipRequest, response) ?? [];
  return `Authorization: ${line?.value ?? ''}`;
}

const offer = () => ({ contentType: 'application/sdp', body: messageSdp(newPath()) });

t.test('RFC 3261 §22.2, RFC 8760 §2.3: who calls a room must be a user, and is offered SHA-256 and MD5', async (t) => {
  const stage = await raiseWithUsers(t.testdir());
  t.teardown(() => stage.close());
  const phone = await SipPhone.connect('alice', stage.sip);
  t.teardown(() => phone.hangUp());

  const { response, dialog } = await phone.request('INVITE', ROOM, offer());
  t.equal(response.status, 401);
  phone.ack(dialog);
  t.same(
    response.wwwAuthenticate.map(({ params }) => [params.get('realm'), params.get('algorithm')]),
    [
      ['grouptextchat', 'SHA-256'],
      ['grouptextchat', 'MD5'],
    ],
  );

  const right = await phone.request('INVITE', ROOM, {
    ...offer(),
    headers: [answerTo(response, 'INVITE', 'alice', "alice's")],
  });
  t.equal(right.response.status, 200);
  phone.ack(right.dialog);
  t.equal((await phone.within(right.dialog, 'BYE')).status, 200, 'in the dialog nothing is asked');
});

t.test('a wrong password is challenged again, and told in the log', async (t) => {
  const stage = await raiseWithUsers(t.testdir());
  t.teardown(() => stage.close());
  const phone = await SipPhone.connect('alice', stage.sip);
  t.teardown(() => phone.hangUp());
  for (const [name, password] of [
    ['alice', "bob's"],
    ['carol', 'x'],
  ] as const) {
    const first = await phone.request('SUBSCRIBE', ROOM, { headers: ['Event: conference'] });
    t.equal(first.response.status, 401);
    const headers = ['Event: conference', answerTo(first.response, 'SUBSCRIBE', name, password)];
    t.equal((await phone.request('SUBSCRIBE', ROOM, { headers })).response.status, 401);
  }
  t.equal(stage.lines.filter((line) => line.includes('wrong credentials in SUBSCRIBE')).length, 2);
});

t.test('RFC 7701 §5.2: the roster knows a user by the proved name, whatever the From says', async (t) => {
  const stage = await raiseWithUsers(t.testdir());
  t.teardown(() => stage.close());
  const phone = await SipPhone.connect('bob', stage.sip);
  t.teardown(() => phone.hangUp());
  const { response, dialog } = await phone.request('INVITE', ROOM, offer());
  phone.ack(dialog);
  const headers = [answerTo(response, 'INVITE', 'alice', "alice's")];
  const call = await phone.request('INVITE', ROOM, { ...offer(), headers });
  phone.ack(call.dialog);
  t.equal(call.response.status, 200);

  const event = 'Event: conference';
  const asked = await phone.request('SUBSCRIBE', ROOM, { headers: [event] });
  const proof = answerTo(asked.response, 'SUBSCRIBE', 'alice', "alice's");
  await phone.request('SUBSCRIBE', ROOM, { headers: [event, proof] });
  const document = (await phone.next('NOTIFY')).body.toString();
  t.match(document, /<user entity="sip:alice@/);
  t.notMatch(document, /<user entity="sip:bob@/);
});

t.test('a nonce is good for its time, and each of its counts for once (RFC 7616 §3.4)', async (t) => {
  const stage = await raiseWithUsers(t.testdir());
  t.teardown(() => stage.close());
  const phone = await SipPhone.connect('alice', stage.sip);
  t.teardown(() => phone.hangUp());
  const event = 'Event: conference';
  const first = await phone.request('SUBSCRIBE', ROOM, { headers: [event] });
  const headers = [event, answerTo(first.response, 'SUBSCRIBE', 'alice', "alice's")];
  t.equal((await phone.request('SUBSCRIBE', ROOM, { headers })).response.status, 200);
  const replayed = (await phone.request('SUBSCRIBE', ROOM, { headers })).response;
  t.equal(replayed.status, 401);
  t.equal(replayed.wwwAuthenticate[0]?.params.get('stale'), 'true');
});
