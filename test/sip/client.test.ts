import t from 'tap';
import {
  type Answer,
  type Content,
  DigestServer,
  digestHa1,
  formatUri,
  type InviteSession,
  type OutgoingInvite,
  type OutgoingInviteParts,
  type Outcome,
  parseNameAddr,
  parseUri,
  type SessionEnd,
  type SipRequest,
  UserAgent,
  type UserAgentOptions,
} from '../../sip/index.ts';
import type { Network, NetworkOptions } from './network.ts';
import { head, RawPeer } from './raw-peer.ts';
import { BOB, ROOM, SDP, stage, type Stage } from './stage.ts';

interface Called extends Stage {
  readonly invite: OutgoingInvite;
  /** What the caller heard, in order. */
  readonly heard: string[];
  readonly sessions: InviteSession[];
  readonly ended: SessionEnd['why'][];
}

function told(outcome: Outcome): string {
  return outcome.is === 'response' ? String(outcome.response.status) : `failed ${String(outcome.status)}`;
}

/** The agent at 10.0.0.2 calls the raw peer at 10.0.0.1. */
function calls(
  parts: Partial<OutgoingInviteParts> = {},
  options: Partial<UserAgentOptions> = {},
  wires: Partial<NetworkOptions> = {},
): Called {
  const made = stage({}, options, wires);
  const heard: string[] = [];
  const sessions: InviteSession[] = [];
  const ended: SessionEnd['why'][] = [];
  const invite = made.agent.invite(
    { uri: BOB, from: ROOM, ...SDP, session: { onEnded: ({ why }) => ended.push(why) }, ...parts },
    {
      onProgress: ({ status }) => heard.push(`progress ${String(status)}`),
      onAccepted: (session, { status }) => {
        heard.push(`accepted ${String(status)}`);
        sessions.push(session);
        return undefined;
      },
      onFailed: (outcome) => heard.push(told(outcome)),
    },
  );
  made.clock.advance(1);
  return { ...made, invite, heard, sessions, ended };
}

t.test('RFC 3261 §13.2: provisional responses, 2xx, ACK and the ACK again', (t) => {
  const { peer, clock, heard, sessions, invite } = calls();
  const sent = peer.request('INVITE');
  t.equal(sent.requestUri, 'sip:bob@10.0.0.1');
  t.equal(sent.headers.get('Contact'), '<sip:room@10.0.0.2:5060>');
  t.match(sent.headers.get('Allow'), /INVITE, ACK, CANCEL, BYE/);
  t.equal([...sent.headers][0]?.name, 'Via', 'on top');
  peer.answer(sent, 100);
  peer.answer(sent, 180, { toTag: 'bob' });
  clock.advance(1);
  t.equal(invite.state.is, 'proceeding');
  peer.answer(sent, 200, { toTag: 'bob' });
  clock.advance(1);
  t.strictSame(heard, ['progress 180', 'accepted 200']);
  const ack = peer.request('ACK');
  t.equal(ack.requestUri, 'sip:peer@10.0.0.1:5060', 'the Contact of the 200');
  t.equal(ack.cseq.seq, sent.cseq.seq);
  t.not(ack.branch, sent.branch);
  peer.answer(sent, 200, { toTag: 'bob' });
  clock.advance(1);
  t.equal(peer.requests.filter(({ method }) => method === 'ACK').length, 2);
  t.equal(sessions.length, 1);
  t.end();
});

t.test('RFC 3261 §13.2.2.4: another branch of a fork is acknowledged and ended', (t) => {
  const { peer, clock, sessions, agent, ended } = calls();
  const sent = peer.request('INVITE');
  peer.answer(sent, 200, { toTag: 'bob' });
  peer.answer(sent, 200, { toTag: 'bobs-other-phone' });
  clock.advance(1);
  t.strictSame(
    peer.requests.map(({ method, toTag }) => `${method} ${toTag ?? ''}`),
    ['INVITE ', 'ACK bob', 'ACK bobs-other-phone', 'BYE bobs-other-phone'],
  );
  peer.answer(peer.request('BYE'), 200);
  peer.answer(sent, 200, { toTag: 'bobs-other-phone' });
  clock.advance(1);
  t.strictSame(
    peer.requests.slice(4).map(({ method, toTag }) => `${method} ${toTag ?? ''}`),
    ['ACK bobs-other-phone'],
    'its 2xx again: the ACK again, and no second BYE',
  );
  t.equal(sessions.length, 1);
  t.equal(agent.counts.dialogs, 1);
  t.strictSame(ended, []);
  t.end();
});

t.test('RFC 3261 §17.1.1.3: a failure is acknowledged in its transaction', (t) => {
  const { peer, clock, heard, agent } = calls();
  const sent = peer.request('INVITE');
  peer.answer(sent, 486, { toTag: 'bob' });
  clock.advance(1);
  const ack = peer.request('ACK');
  t.equal(ack.branch, sent.branch);
  t.equal(ack.requestUri, sent.requestUri);
  t.equal(ack.toTag, 'bob');
  t.equal(ack.via.length, 1);
  t.strictSame(heard, ['486']);
  clock.advance(40_000);
  t.equal(agent.counts.clientTransactions, 0);
  t.equal(clock.waiting, 0);
  t.end();
});

t.test('RFC 3261 §9.1: CANCEL waits for a provisional response', (t) => {
  const { peer, clock, heard, invite } = calls();
  const sent = peer.request('INVITE');
  invite.cancel();
  clock.advance(400);
  t.equal(peer.requests.length, 1);
  peer.answer(sent, 180, { toTag: 'bob' });
  clock.advance(1);
  const cancel = peer.request('CANCEL');
  t.equal(cancel.branch, sent.branch);
  t.equal(cancel.cseq.seq, sent.cseq.seq);
  t.equal(cancel.toTag, undefined);
  peer.answer(cancel, 200);
  peer.answer(sent, 487, { toTag: 'bob' });
  clock.advance(1);
  t.strictSame(heard, ['487']);
  clock.advance(40_000);
  t.equal(clock.waiting, 0);
  t.end();
});

t.test('RFC 3261 §9.1: a provisional response counts only for the attempt it answers', (t) => {
  const credentials = () => ({ username: 'alice', password: 'secret' });
  const { peer, clock, heard, invite } = calls({ credentials });
  const first = peer.request('INVITE');
  peer.answer(first, 100);
  const challenge = [{ name: 'WWW-Authenticate', value: 'Digest realm="r", nonce="n", algorithm=MD5, qop="auth"' }];
  peer.answer(first, 401, { toTag: 'bob', headers: challenge });
  clock.advance(1);
  const second = peer.request('INVITE');
  t.not(second.branch, first.branch);
  invite.cancel();
  clock.advance(400);
  t.notOk(peer.requests.some(({ method }) => method === 'CANCEL'));
  peer.answer(second, 100);
  clock.advance(1);
  t.equal(peer.request('CANCEL').branch, second.branch);
  peer.answer(second, 487, { toTag: 'bob' });
  clock.advance(1);
  t.strictSame(heard, ['487']);

  const lookups: (() => void)[] = [];
  const { network, clock: time } = stage();
  const outcomes: string[] = [];
  const slow = new UserAgent(
    {
      clock: time,
      transport: (handlers) => {
        const host = network.host('10.0.0.3')(handlers);
        const locate = host.locate.bind(host);
        host.locate = (hop, bytes, done) => void lookups.push(() => locate(hop, bytes, done));
        return host;
      },
    },
    { onInvite: () => undefined, onSubscribe: () => undefined },
  );
  const early = slow.invite(
    { uri: BOB, from: ROOM },
    { onAccepted: () => undefined, onFailed: (outcome) => outcomes.push(told(outcome)) },
  );
  early.cancel();
  t.strictSame(outcomes, ['failed 503']);
  for (const answer of lookups) answer();
  t.equal(slow.counts.clientTransactions, 0, 'one that was cancelled before it had an address is never sent');
  t.end();
});

t.test('RFC 3261 §9.1: a 2xx that crosses the CANCEL is acknowledged and ended', (t) => {
  const { peer, clock, heard, invite, agent } = calls();
  const sent = peer.request('INVITE');
  peer.answer(sent, 180, { toTag: 'bob' });
  clock.advance(1);
  invite.cancel();
  clock.advance(1);
  peer.answer(sent, 200, { toTag: 'bob' });
  clock.advance(1);
  t.strictSame(
    peer.requests.map(({ method }) => method),
    ['INVITE', 'CANCEL', 'ACK', 'BYE'],
  );
  t.strictSame(heard, ['progress 180', 'failed 503']);
  t.equal(agent.counts.dialogs, 0);
  t.end();
});

t.test('RFC 3261 §9.1: without a final response after CANCEL the INVITE is given up', (t) => {
  const { peer, clock, heard, invite } = calls();
  peer.answer(peer.request('INVITE'), 180, { toTag: 'bob' });
  clock.advance(1);
  invite.cancel();
  clock.advance(33_000);
  t.strictSame(heard, ['progress 180', 'failed 408']);
  t.equal(clock.waiting, 0);
  t.end();
});

t.test('A party that rings too long is cancelled', (t) => {
  const { peer, clock } = calls({ ringing: 30_000 });
  peer.answer(peer.request('INVITE'), 180, { toTag: 'bob' });
  clock.advance(30_001);
  t.equal(peer.request('CANCEL').method, 'CANCEL');
  t.end();
});

t.test('RFC 3261 §17.1.1.2: nobody answers', (t) => {
  const { clock, heard, peer } = calls();
  clock.advance(33_000);
  t.strictSame(heard, ['failed 408']);
  t.equal(peer.requests.length, 7);
  t.equal(clock.waiting, 0);
  t.end();
});

t.test('RFC 3261 §13.2.1: the offer in the 200 is answered in the ACK', (t) => {
  const { agent, peer, clock } = stage({}, { sessionTimer: { interval: 90 } });
  agent.invite(
    { uri: BOB, from: ROOM },
    { onAccepted: () => ({ contentType: 'application/sdp', body: 'v=0 answer' }), onFailed: () => undefined },
  );
  clock.advance(1);
  peer.answer(peer.request('INVITE'), 200, { toTag: 'bob', contentType: 'application/sdp', body: 'v=0 offer' });
  clock.advance(1);
  t.equal(Buffer.from(peer.request('ACK').body).toString(), 'v=0 answer');
  clock.advance(46_000);
  t.equal(String(peer.request('INVITE').body), 'v=0 answer', 'RFC 4028 §7.4: with which the session is refreshed');
  t.end();
});

t.test('RFC 3261 §13.2.2.4: what is asked for while the ACK is made leaves after it, also the BYE', (t) => {
  const { agent, peer, clock } = stage();
  const said = (): string[] => peer.requests.map(({ method }) => method);
  const text = { contentType: 'text/plain', body: 'hi' };
  let session: InviteSession | undefined;
  agent.invite(
    { uri: BOB, from: ROOM },
    {
      onAccepted: (accepted) => {
        session = accepted;
        accepted.request('MESSAGE', text, () => undefined);
        return SDP;
      },
      onFailed: () => undefined,
    },
  );
  clock.advance(1);
  peer.answer(peer.request('INVITE'), 200, { toTag: 'bob', ...SDP });
  clock.advance(1);
  t.strictSame(said(), ['INVITE', 'ACK', 'MESSAGE']);
  peer.answer(peer.request('MESSAGE'), 200);
  clock.advance(1);
  session?.reInvite(
    {},
    () => undefined,
    () => {
      session?.request('MESSAGE', text, () => undefined);
      session?.close();
      return SDP;
    },
  );
  clock.advance(1);
  peer.answer(peer.request('INVITE'), 200, SDP);
  clock.advance(1);
  t.strictSame(said().slice(3), ['INVITE', 'ACK', 'BYE'], 'which overtakes all else');

  const refuses = stage();
  refuses.agent.invite(
    { uri: BOB, from: ROOM },
    {
      onAccepted: (accepted) => {
        accepted.close();
        return undefined;
      },
      onFailed: () => t.fail('it was accepted'),
    },
  );
  refuses.clock.advance(1);
  refuses.peer.answer(refuses.peer.request('INVITE'), 200, { toTag: 'bob', ...SDP });
  refuses.clock.advance(1);
  t.strictSame(
    refuses.peer.requests.map(({ method }) => method),
    ['INVITE', 'ACK', 'BYE'],
  );
  t.end();
});

/** The agent's lookups from now on, to be answered when and in which order a test likes. */
function heldLookups(network: Network): (() => void)[] {
  const host = network.hosts.get('10.0.0.2');
  if (host === undefined) throw new Error('no host');
  const held: (() => void)[] = [];
  const locate = host.locate.bind(host);
  host.locate = (...asked) => {
    held.push(() => {
      locate(...asked);
    });
  };
  return held;
}

t.test('RFC 3261 §13.2.2.4: what follows an ACK that still looks for its address waits for it', async (t) => {
  for (const contact of ['<sip:bob@10.0.0.3>', '<sip:bob@nowhere>']) {
    const { network, clock, peer, agent, sessions } = calls();
    const far = new RawPeer(network, '10.0.0.3', '10.0.0.2');
    const lookups = heldLookups(network);
    peer.answer(peer.request('INVITE'), 200, { toTag: 'bob', contact: parseNameAddr(contact) });
    peer.answer(peer.request('INVITE'), 200, { toTag: 'fork', contact: parseNameAddr('<sip:fork@10.0.0.3>') });
    clock.advance(1);
    sessions[0]?.request('MESSAGE', {}, () => undefined);
    let open = true;
    const closed = agent.close().then(() => (open = false));
    clock.advance(1000);
    await new Promise(setImmediate);
    t.ok(open, 'so does the end');
    t.equal(lookups.length, 2, 'the two ACKs');
    while (lookups.length > 0) {
      for (const answer of lookups.splice(0).reverse()) answer();
      clock.advance(1);
    }
    const said = (user: string): string[] =>
      far.requests.flatMap(({ method, requestUri }) => (requestUri.includes(user) ? [method] : []));
    t.strictSame(said('fork@'), ['ACK', 'BYE'], 'another branch');
    t.strictSame(said('bob@'), contact.includes('nowhere') ? [] : ['ACK', 'BYE']);
    for (const bye of far.requests.filter(({ method }) => method === 'BYE')) far.answer(bye, 200);
    clock.advance(100);
    await closed;
    t.equal(agent.counts.dialogs, 0);
  }
});

t.test('RFC 3261 §12.2.2: requests whose way has to be looked up do not overtake each other, also with TCP', (t) => {
  const { network, clock, peer, sessions } = calls({}, {}, { transport: 'TCP' });
  const proxy = new RawPeer(network, '10.0.0.3', '10.0.0.2');
  const headers = [{ name: 'Record-Route', value: '<sip:10.0.0.3;lr>' }];
  peer.answer(peer.request('INVITE'), 200, { toTag: 'bob', headers });
  clock.advance(1);
  const lookups = heldLookups(network);
  for (const body of ['1', '2']) sessions[0]?.request('MESSAGE', { contentType: 'text/plain', body }, () => undefined);
  for (let texts = 1; texts <= 2; texts++) {
    for (const answer of lookups.splice(0).reverse()) answer();
    clock.advance(1);
    t.equal(String(proxy.request('MESSAGE').body), String(texts));
    proxy.answer(proxy.request('MESSAGE'), 200);
    clock.advance(1);
  }
  t.end();
});

t.test('RFC 3261 §22.2, RFC 8760: a challenge is answered once, and credentials go on in the dialog', async (t) => {
  const server = new DigestServer({ realm: 'there' });
  const ha1 = (user: string, realm: string, algorithm: Parameters<typeof digestHa1>[0]): string | undefined =>
    user === 'room' ? digestHa1(algorithm, user, realm, 'secret') : undefined;
  const { peer, clock, heard, sessions } = calls({
    credentials: (realm) => (realm === 'there' ? { username: 'room', password: 'secret' } : undefined),
  });
  const first = peer.request('INVITE');
  const verify = (request: SipRequest): ReturnType<DigestServer['verify']> => server.verify(request, clock.now(), ha1);
  const asked = await verify(first);
  if (!('challenge' in asked)) throw new Error('no challenge');
  peer.answer(first, 401, { toTag: 'bob', headers: server.challenge(first, clock.now(), asked.challenge) });
  clock.advance(1);
  const second = peer.request('INVITE');
  t.equal(second.cseq.seq, first.cseq.seq + 1);
  t.equal(second.callId, first.callId);
  t.equal(second.fromTag, first.fromTag);
  t.not(second.branch, first.branch);
  t.match(await verify(second), { username: 'room' });
  peer.answer(second, 200, { toTag: 'bob' });
  clock.advance(1);
  t.strictSame(heard, ['accepted 200']);
  t.equal(peer.request('ACK').headers.get('Authorization'), second.headers.get('Authorization'), '§22.1: duplicated');
  sessions[0]?.request('MESSAGE', { contentType: 'text/plain', body: 'hi' }, () => undefined);
  clock.advance(1);
  t.match(await verify(peer.request('MESSAGE')), { username: 'room' }, 'unasked');
});

t.test('RFC 3261 §22.2: wrong credentials are not tried twice', (t) => {
  const server = new DigestServer({ realm: 'there' });
  const { peer, clock, heard } = calls({ credentials: () => ({ username: 'room', password: 'wrong' }) });
  for (let i = 0; i < 3; i++) {
    const request = peer.request('INVITE');
    peer.answer(request, 401, { toTag: 'bob', headers: server.challenge(request, clock.now(), 'wrong') });
    clock.advance(1);
  }
  t.equal(peer.requests.filter(({ method }) => method === 'INVITE').length, 2);
  t.strictSame(heard, ['401']);
  t.end();
});

t.test('a peer that is never content is tried so often and no more: challenges, session intervals', (t) => {
  const limits = { repeats: 3 };
  const credentials = (): { username: string; password: string } => ({ username: 'room', password: 'secret' });
  type Asks = (nth: number) => { readonly status: number; readonly name: string; readonly value: string };
  const stale: Asks = (nth) => ({
    ...{ status: 401, name: 'WWW-Authenticate' },
    value: `Digest realm="r", nonce="${String(nth)}", stale=true, qop="auth"`,
  });
  const realms: Asks = (nth) => ({
    ...{ status: 407, name: 'Proxy-Authenticate' },
    value: `Digest realm="r${String(nth)}", nonce="n", qop="auth"`,
  });
  const longer: Asks = (nth) => ({ status: 422, name: 'Min-SE', value: String(2000 + nth) });
  for (const asks of [stale, realms, longer]) {
    const { peer, clock, heard } = calls({ credentials }, { limits });
    for (let nth = 0; nth < 6; nth++) {
      const { status, name, value } = asks(nth);
      peer.answer(peer.request('INVITE'), status, { toTag: 'bob', headers: [{ name, value }] });
      clock.advance(1);
    }
    const { status } = asks(0);
    t.equal(peer.requests.filter(({ method }) => method === 'INVITE').length, 1 + limits.repeats, String(status));
    t.strictSame(heard, [String(status)], 'then the answer is final');
  }

  const { peer, clock } = calls({}, { limits });
  peer.answer(peer.request('INVITE'), 200, { toTag: 'bob', headers: [{ name: 'Allow', value: 'INVITE, UPDATE' }] });
  clock.advance(900_001);
  for (let nth = 0; nth < 6; nth++) {
    const { status, name, value } = longer(nth);
    peer.answer(peer.request('UPDATE'), status, { headers: [{ name, value }] });
    clock.advance(1);
  }
  t.equal(peer.requests.filter(({ method }) => method === 'UPDATE').length, 1 + limits.repeats, 'a refresh');
  t.end();
});

t.test('RFC 4028 §7: session timer as client', (t) => {
  const { peer, clock, heard, sessions } = calls();
  const sent = peer.request('INVITE');
  t.equal(sent.headers.get('Session-Expires'), '1800');
  t.ok(sent.supported.includes('timer'));
  peer.answer(sent, 422, { toTag: 'bob', headers: [{ name: 'Min-SE', value: '3600' }] });
  clock.advance(1);
  const longer = peer.request('INVITE');
  t.equal(longer.headers.get('Session-Expires'), '3600', '§7.3');
  t.equal(longer.headers.get('Min-SE'), '3600');
  peer.answer(longer, 200, { toTag: 'bob', headers: [{ name: 'Session-Expires', value: '3600;refresher=uac' }] });
  clock.advance(1_800_001);
  const refresh = peer.request('INVITE');
  t.equal(refresh.toTag, 'bob', '§7.4: by re-INVITE when the peer does not allow UPDATE');
  t.equal(Buffer.from(refresh.body).toString(), 'v=0', 'with our last description');
  t.equal(refresh.headers.get('Session-Expires'), '3600;refresher=uac');
  peer.answer(refresh, 200);
  clock.advance(1);
  t.equal(peer.request('ACK').cseq.seq, refresh.cseq.seq);
  t.strictSame(heard, ['accepted 200']);
  t.equal(sessions[0]?.state, 'confirmed');
  t.end();
});

t.test('RFC 3261 §12.2: requests of the peer in a dialog that we made', (t) => {
  const texts: string[] = [];
  const { peer, clock, ended } = calls({
    session: {
      onMessage: ({ request }) => {
        texts.push(Buffer.from(request.body).toString());
        return { status: 200 };
      },
    },
  });
  const sent = peer.request('INVITE');
  peer.answer(sent, 200, { toTag: 'bob' });
  clock.advance(1);
  const dialog = { From: '<sip:bob@10.0.0.1>;tag=bob', To: sent.headers.get('From'), 'Call-ID': sent.callId };
  peer.say(
    `${head('MESSAGE', { ...dialog, CSeq: '7 MESSAGE', 'Content-Type': 'text/plain' }, 'sip:room@10.0.0.2:5060')}\n\nhello`,
  );
  clock.advance(1);
  t.strictSame(texts, ['hello']);
  t.strictSame(peer.statuses, ['200 MESSAGE']);
  peer.say(head('BYE', { ...dialog, CSeq: '8 BYE' }, 'sip:room@10.0.0.2:5060'));
  clock.advance(1);
  t.strictSame(peer.statuses, ['200 MESSAGE', '200 BYE']);
  t.strictSame(ended, [], 'the handlers of this test do not tell');
  t.end();
});

t.test('RFC 3261 §8.1.2: the outbound route comes first', (t) => {
  const { agent, clock, network } = stage({}, { outboundRoute: [parseNameAddr('<sip:10.0.0.9;lr>')] });
  const proxy = new RawPeer(network, '10.0.0.9', '10.0.0.2');
  const outcomes: string[] = [];
  agent.request(
    { method: 'MESSAGE', uri: parseUri('sip:bob@example.com'), from: ROOM, contentType: 'text/plain', body: 'x' },
    (outcome) => outcomes.push(told(outcome)),
  );
  clock.advance(1);
  const sent = proxy.request('MESSAGE');
  t.strictSame(sent.headers.all('Route'), ['<sip:10.0.0.9;lr>']);
  t.equal(sent.requestUri, 'sip:bob@example.com');
  t.equal(sent.headers.get('Contact'), undefined, 'RFC 3428 §4');
  proxy.answer(sent, 202);
  clock.advance(1);
  t.strictSame(outcomes, ['202']);
  t.end();
});

t.test('RFC 3261 §8.1.1.8: who is called by a sips hop is given a sips Contact', (t) => {
  const outboundRoute = [parseNameAddr('<sips:10.0.0.9;lr>')];
  for (const [uri, options, scheme] of [
    ['sip:bob@example.com', { outboundRoute }, 'sips'],
    ['sips:bob@10.0.0.9', {}, 'sips'],
    ['sip:bob@10.0.0.9', {}, 'sip'],
  ] as const) {
    const { agent, clock, network } = stage({}, options, { transport: 'TLS' });
    const hop = new RawPeer(network, '10.0.0.9', '10.0.0.2');
    agent.invite(
      { uri: parseUri(uri), from: ROOM, ...SDP },
      { onAccepted: () => undefined, onFailed: () => undefined },
    );
    clock.advance(1);
    t.match(hop.request('INVITE').contact?.uri, { scheme, user: 'room' }, uri);
    agent.transactions.drop();
  }
  t.end();
});

t.test('RFC 3261 §8.1.2, §26.2.2: a flow without TLS leads to no sips URI', (t) => {
  const { agent, clock, network, peer } = stage();
  const flow = network.hosts.get('10.0.0.2')?.flowTo('10.0.0.1');
  const outcomes: string[] = [];
  for (const scheme of ['sip', 'sips']) {
    const uri = parseUri(`${scheme}:bob@elsewhere.example`);
    agent.request({ method: 'OPTIONS', uri, from: ROOM, flow }, (outcome) => outcomes.push(told(outcome)));
  }
  clock.advance(1);
  t.strictSame(
    peer.requests.map(({ requestUri }) => requestUri),
    ['sip:bob@elsewhere.example'],
  );
  t.equal(outcomes.length, 1, 'no other way is known');
  agent.transactions.drop();
  t.end();
});

t.test('RFC 4028 §7.1: each request but ACK tells that session timers are understood', (t) => {
  const { agent, peer, clock } = stage();
  const [uri, from] = [BOB, ROOM];
  const nothing = (): undefined => undefined;
  agent.request({ method: 'MESSAGE', uri, from, contentType: 'text/plain', body: 'x' }, nothing);
  agent.invite(
    { uri, from, ...SDP },
    {
      onAccepted: (session) => {
        session.request('MESSAGE', { contentType: 'text/plain', body: 'x' }, nothing);
        session.update(SDP, nothing);
        session.close();
        return undefined;
      },
      onFailed: nothing,
    },
  );
  clock.advance(1);
  peer.answer(peer.request('MESSAGE'), 200);
  peer.answer(peer.request('INVITE'), 200, { toTag: 'bob', ...SDP });
  clock.advance(1);
  const given = agent.invite({ uri, from, ...SDP }, { onAccepted: nothing, onFailed: nothing });
  clock.advance(1);
  peer.answer(peer.request('INVITE'), 180, { toTag: 'bob' });
  clock.advance(1);
  given.cancel();
  clock.advance(1);
  const methods = new Set<string>();
  for (const request of peer.requests) {
    methods.add(request.method);
    const told = request.headers.all('Supported');
    t.equal(told.length, request.method === 'ACK' ? 0 : 1, `${request.method}: once`);
    t.equal(request.supported.includes('timer'), request.method !== 'ACK', request.method);
  }
  t.strictSame([...methods].sort(), ['ACK', 'BYE', 'CANCEL', 'INVITE', 'MESSAGE']);
  agent.transactions.drop();
  t.end();
});

t.test('RFC 3263 §4.3: the next address after a failure, a 503 or silence', (t) => {
  const { agent, clock, network } = stage();
  const hosts = ['10.0.0.11', '10.0.0.12', '10.0.0.13'].map((address) => new RawPeer(network, address, '10.0.0.2'));
  const below = network.hosts.get('10.0.0.2');
  if (below === undefined) throw new Error('no host');
  below.locate = (_hop, _bytes, found) => {
    found(
      ['10.0.0.10', '10.0.0.11', '10.0.0.12', '10.0.0.13'].map((address) => ({
        transport: 'UDP',
        remote: { address, port: 5060 },
        serverName: 'x',
      })),
    );
  };
  const connect = below.connect.bind(below);
  below.connect = (target, connected) => {
    if (target.remote.address === '10.0.0.10') connected({ failed: 'refused', reason: 'refused' });
    else connect(target, connected);
  };
  const outcomes: string[] = [];
  agent.request({ method: 'OPTIONS', uri: parseUri('sip:bob@example.com'), from: ROOM }, (outcome) =>
    outcomes.push(told(outcome)),
  );
  clock.advance(1);
  const first = hosts[0]?.request('OPTIONS');
  if (first !== undefined) hosts[0]?.answer(first, 503);
  clock.advance(1);
  const second = hosts[1]?.request('OPTIONS');
  t.not(second?.branch, first?.branch, 'a new transaction');
  clock.advance(32_001);
  const third = hosts[2]?.request('OPTIONS');
  if (third !== undefined) hosts[2]?.answer(third, 200);
  clock.advance(1);
  t.strictSame(outcomes, ['200']);
  t.end();
});

t.test('RFC 3261 §8.1.3.1: no address is a 503', (t) => {
  const { agent } = stage();
  const outcomes: string[] = [];
  for (const uri of ['sip:bob@nowhere.example.com', 'tel:+1234'])
    agent.request({ method: 'OPTIONS', uri: parseUri(uri), from: ROOM }, (outcome) => outcomes.push(told(outcome)));
  t.strictSame(outcomes, ['failed 503', 'failed 503']);
  t.end();
});

t.test('RFC 3261 §17.1.4: a flow that closes before any response: the address is tried anew', (t) => {
  const { agent, clock, network, peer } = stage({}, {}, { transport: 'TCP', delay: 1000 });
  const flow = network.hosts.get('10.0.0.2')?.flowTo('10.0.0.1');
  if (flow === undefined) throw new Error('no flow');
  const outcomes: string[] = [];
  agent.request({ method: 'OPTIONS', uri: BOB, from: ROOM, flow }, (outcome) => outcomes.push(told(outcome)));
  flow.close('reset');
  clock.advance(1001);
  t.equal(peer.requests.length, 2);
  const again = peer.request('OPTIONS');
  peer.answer(again, 200);
  clock.advance(1001);
  t.strictSame(outcomes, ['200']);
  t.end();
});

t.test('Closing the user agent ends what is alive', async (t) => {
  const { agent, peer, clock, ended } = calls();
  peer.answer(peer.request('INVITE'), 200, { toTag: 'bob' });
  clock.advance(1);
  const closed = agent.close();
  clock.advance(1);
  peer.answer(peer.request('BYE'), 200);
  clock.advance(100);
  await closed;
  t.strictSame(ended, ['closed']);
  t.strictSame(agent.counts, {
    serverTransactions: 0,
    clientTransactions: 0,
    dialogs: 0,
    subscriptions: 0,
    pendingInvites: 0,
  });
  t.equal(clock.waiting, 0);
});

t.test('Closing gives up what nobody answers when the grace is over', async (t) => {
  const { agent, clock, heard } = calls();
  const closed = agent.close(1000);
  clock.advance(1100);
  await closed;
  t.strictSame(heard, ['failed 503']);
  t.equal(clock.waiting, 0, 'no timer is left');
});

t.test(
  'RFC 3261 §15.1.1: closing waits for a BYE that must find its way first, and tells in one line what is lost',
  async (t) => {
    for (const reachable of [true, false]) {
      const lines: string[] = [];
      const note = (text: string): void => void lines.push(text);
      const log = { info: note, warn: note, error: note };
      const { agent, peer, clock, network, sessions } = calls({}, { log }, { transport: 'TCP' });
      peer.answer(peer.request('INVITE'), 200, { toTag: 'bob' });
      clock.advance(1);
      const host = network.hosts.get('10.0.0.2');
      if (host === undefined) throw new Error('no host');
      host.flowTo('10.0.0.1').close('reset');
      host.connect = (_target, connected) => {
        clock.after(500, () => {
          connected(reachable ? host.flowTo('10.0.0.1') : { failed: 'refused', reason: 'nobody is there' });
        });
      };
      const closed = agent.close(1000, () => sessions[0]?.close([{ name: 'Reason', value: 'SIP;cause=503' }]));
      clock.advance(600);
      if (reachable) {
        const bye = peer.request('BYE');
        t.equal(bye.headers.get('Reason'), 'SIP;cause=503');
        peer.answer(bye, 200);
      }
      clock.advance(600);
      await closed;
      const lost = /^closed with 1 requests failed and 0 not answered in time, such as BYE to .*: nobody is there$/;
      t.match(lines, reachable ? [] : [lost]);
      t.equal(lines.length, reachable ? 0 : 1);
    }
  },
);

t.test('RFC 4028 §7.2, §10: of a peer without session timer we find out when it is gone', (t) => {
  const { peer, clock, ended } = calls();
  peer.answer(peer.request('INVITE'), 200, { toTag: 'bob', headers: [{ name: 'Allow', value: 'INVITE, UPDATE' }] });
  clock.advance(900_001);
  const first = peer.request('UPDATE');
  peer.answer(first, 422, { headers: [{ name: 'Min-SE', value: '2000' }] });
  clock.advance(1);
  const second = peer.request('UPDATE');
  t.equal(second.headers.get('Session-Expires'), '2000;refresher=uac', 'a longer interval when the peer wants it');
  peer.answer(second, 503, { headers: [{ name: 'Retry-After', value: '20' }] });
  clock.advance(19_990);
  t.equal(peer.request('UPDATE'), second);
  clock.advance(20);
  const third = peer.request('UPDATE');
  t.not(third, second, '§10: tried again after its Retry-After');
  peer.answer(third, 500);
  clock.advance(430_000);
  const fourth = peer.request('UPDATE');
  t.not(fourth, third, 'after half of the time that is left');
  peer.answer(fourth, 500);
  clock.advance(410_000);
  t.equal(peer.request('UPDATE'), fourth, 'the same answer twice: not for ever');
  t.strictSame(ended, []);
  clock.advance(10_000);
  t.strictSame(ended, ['expired'], 'a refresh that fails leaves the end where it was');
  t.ok(peer.request('BYE'));

  const shorter = calls();
  const agreed = [
    { name: 'Allow', value: 'INVITE, UPDATE' },
    { name: 'Session-Expires', value: '600;refresher=uac' },
  ];
  shorter.peer.answer(shorter.peer.request('INVITE'), 200, { toTag: 'bob', headers: agreed });
  shorter.clock.advance(300_001);
  const refresh = shorter.peer.request('UPDATE');
  t.equal(refresh.headers.get('Session-Expires'), '600;refresher=uac', '§7.4: the interval that holds');
  t.ok(refresh.supported.includes('timer'), '§7.4: what the INVITE supported');

  const silent = calls();
  silent.peer.answer(silent.peer.request('INVITE'), 200, { toTag: 'bob' });
  silent.clock.advance(940_000);
  t.strictSame(silent.ended, ['gone']);
  t.end();
});

t.test('RFC 3261 §12.2.2: a request that overtakes the 2xx of our INVITE does not end the call', (t) => {
  for (const transport of ['UDP', 'TCP'] as const) {
    const texts: string[] = [];
    const { peer, clock, heard } = calls(
      {
        session: {
          onMessage: ({ request }) => {
            texts.push(request.method);
            return { status: 200 };
          },
        },
      },
      {},
      { transport },
    );
    const sent = peer.request('INVITE');
    const early = head(
      'MESSAGE',
      { From: '<sip:bob@10.0.0.1>;tag=bob', To: sent.headers.get('From'), 'Call-ID': sent.callId },
      'sip:room@10.0.0.2:5060',
    );
    peer.say(early);
    clock.advance(1);
    t.strictSame(peer.statuses, transport === 'UDP' ? [] : ['500 MESSAGE']);
    peer.answer(sent, 200, { toTag: 'bob' });
    clock.advance(1);
    t.strictSame(heard, ['accepted 200']);
    if (transport === 'UDP') peer.say(early);
    clock.advance(1);
    t.strictSame(texts, transport === 'UDP' ? ['MESSAGE'] : [], 'it comes again');
    peer.say(head('MESSAGE', { To: '<sip:room@10.0.0.2>;tag=nobody', 'Call-ID': 'other' }));
    clock.advance(1);
    t.equal(peer.statuses.at(-1), '481 MESSAGE');
  }
  t.end();
});

t.test('RFC 3262 §4: reliable provisional responses are acknowledged in their early dialogs', (t) => {
  const { peer, clock, heard, sessions, agent } = calls();
  const sent = peer.request('INVITE');
  t.ok(sent.supported.includes('100rel'));
  const reliable = (rseq: number, toTag: string, contact: string): void => {
    const headers = [
      { name: 'Require', value: '100rel' },
      { name: 'RSeq', value: String(rseq) },
      { name: 'Record-Route', value: '<sip:10.0.0.1;lr>' },
    ];
    peer.answer(sent, 183, { toTag, contact: parseNameAddr(contact), headers });
    clock.advance(1);
  };
  const pracks = (): string[] =>
    peer.requests
      .filter(({ method }) => method === 'PRACK')
      .map(({ requestUri, toTag, headers }) => `${requestUri} ${toTag ?? ''} ${headers.get('RAck') ?? ''}`);
  const answerPrack = (): void => {
    peer.answer(peer.request('PRACK'), 200);
    clock.advance(1);
  };
  reliable(7, 'bob', '<sip:bob@10.0.0.1:5060>');
  answerPrack();
  const { seq } = sent.cseq;
  t.strictSame(pracks(), [`sip:bob@10.0.0.1:5060 bob 7 ${String(seq)} INVITE`]);
  t.strictSame(peer.request('PRACK').headers.all('Route'), ['<sip:10.0.0.1;lr>']);
  reliable(7, 'bob', '<sip:bob@10.0.0.1:5060>');
  reliable(9, 'bob', '<sip:bob@10.0.0.1:5060>');
  t.equal(pracks().length, 1, 'neither again nor out of order');
  reliable(8, 'bob', '<sip:bob@10.0.0.1:5060>');
  answerPrack();
  reliable(1, 'fork', '<sip:fork@10.0.0.1:5060>');
  answerPrack();
  t.equal(pracks().length, 3);
  t.strictSame(heard, ['progress 183', 'progress 183', 'progress 183']);
  t.equal(agent.counts.dialogs, 2);
  const inEarly = { From: '<sip:bob@10.0.0.1>;tag=bob', To: sent.headers.get('From'), 'Call-ID': sent.callId };
  const update = head(
    'UPDATE',
    { ...inEarly, CSeq: '1 UPDATE', 'Content-Type': 'application/sdp' },
    'sip:room@10.0.0.2:5060',
  );
  peer.say(`${update}\n\nv=0`);
  clock.advance(1);
  t.equal(peer.statuses.at(-1), '491 UPDATE', 'RFC 3311 §5.2: an offer, while ours has no answer');
  peer.say(head('UPDATE', { ...inEarly, CSeq: '2 UPDATE' }, 'sip:room@10.0.0.2:5060'));
  clock.advance(1);
  t.equal(peer.statuses.at(-1), '200 UPDATE', 'a target refresh');
  peer.answer(sent, 200, { toTag: 'bob' });
  clock.advance(1);
  t.equal(peer.request('ACK').headers.get('Route'), undefined, '§13.2.2.4: the route set of the 2xx');
  t.equal(agent.counts.dialogs, 1, 'the other branch is over');
  sessions[0]?.request('MESSAGE', {}, () => undefined);
  clock.advance(1);
  t.equal(peer.request('MESSAGE').cseq.seq, seq + 3, 'the numbers go on after the PRACKs');
  t.end();
});

t.test('RFC 3262 §5: an offer in a reliable provisional response is answered in its PRACK', (t) => {
  const { agent, peer, clock } = stage();
  agent.invite(
    { uri: BOB, from: ROOM },
    { onEarlyOffer: () => SDP, onAccepted: () => undefined, onFailed: () => undefined },
  );
  clock.advance(1);
  const headers = [
    { name: 'Require', value: '100rel' },
    { name: 'RSeq', value: '1' },
  ];
  peer.answer(peer.request('INVITE'), 183, { toTag: 'bob', contact: peer.contact, headers, ...SDP });
  clock.advance(1);
  t.equal(Buffer.from(peer.request('PRACK').body).toString(), 'v=0');
  peer.answer(peer.request('INVITE'), 486, { toTag: 'bob' });
  clock.advance(1);
  t.equal(agent.counts.dialogs, 0);
  t.end();
});

t.test('RFC 3311 §5.2: an offer in an early UPDATE is answered once the exchange before it is complete', async (t) => {
  for (const offerless of [true, false]) {
    const { agent, peer, clock } = stage({}, { sessionTimer: { interval: 90 } });
    const heard: string[] = [];
    const answers: ((answer: Answer) => void)[] = [];
    agent.invite(
      { uri: BOB, from: ROOM, contact: { params: { isfocus: true } }, ...(offerless ? {} : SDP) },
      {
        onEarlyOffer: ({ body }) => (heard.push(`offer ${String(body)}`), SDP),
        onEarlyUpdate: ({ request, offer }) => {
          heard.push(`${request.method} ${String(offer)} ${String(request.body)}`);
          return new Promise((resolve) => answers.push(resolve));
        },
        onAccepted: () => undefined,
        onFailed: () => t.fail('it was accepted'),
      },
    );
    clock.advance(1);
    const sent = peer.request('INVITE');
    const reliable = (rseq: number, content: Content): void => {
      const headers = [
        { name: 'Require', value: '100rel' },
        { name: 'RSeq', value: String(rseq) },
      ];
      peer.answer(sent, 183, { toTag: 'bob', contact: peer.contact, headers, ...content });
      clock.advance(1);
      peer.answer(peer.request('PRACK'), 200);
      clock.advance(1);
    };
    const update = async (seq: number): Promise<string> => {
      const inEarly = { From: '<sip:bob@10.0.0.1>;tag=bob', To: sent.headers.get('From'), 'Call-ID': sent.callId };
      const more = { CSeq: `${String(seq)} UPDATE`, 'Content-Type': 'application/sdp' };
      peer.say(`${head('UPDATE', { ...inEarly, ...more }, 'sip:room@10.0.0.2:5060')}\n\nv=${String(seq)}`);
      clock.advance(1);
      await new Promise(setImmediate);
      clock.advance(1);
      return peer.statuses.at(-1) ?? '';
    };
    reliable(1, {});
    t.equal(await update(1), offerless ? '500 UPDATE' : '491 UPDATE');
    reliable(2, SDP);
    t.strictSame(heard, offerless ? ['offer v=0'] : [], 'what answers our offer is none itself');
    t.equal(String(peer.request('PRACK').body), offerless ? 'v=0' : '');
    await update(2);
    t.equal(heard.at(-1), 'UPDATE true v=2');
    t.equal(await update(3), '500 UPDATE', 'one after another');
    answers[0]?.({ status: 200, contentType: 'application/sdp', body: 'v=ours' });
    await new Promise(setImmediate);
    clock.advance(1);
    t.equal(peer.statuses.at(-1), '200 UPDATE');
    t.equal(String(peer.response(200).body), 'v=ours');
    t.ok(peer.response(200).contact?.params.has('isfocus'), 'RFC 4579 §4.2: a focus says what it is');
    peer.answer(sent, 200, { toTag: 'bob' });
    clock.advance(46_000);
    t.equal(String(peer.request('INVITE').body), 'v=ours', 'RFC 4028 §7.4: the session is refreshed as it is');
    peer.answer(peer.request('INVITE'), 200);
    await agent.close(0);
  }

  const { agent, peer, clock, invite } = calls();
  const headers = [
    { name: 'Require', value: '100rel' },
    { name: 'RSeq', value: '1' },
  ];
  peer.answer(peer.request('INVITE'), 183, { toTag: 'bob', contact: peer.contact, headers, ...SDP });
  clock.advance(1);
  const { callId, headers: sent } = peer.request('INVITE');
  const inEarly = { From: '<sip:bob@10.0.0.1>;tag=bob', To: sent.get('From'), 'Call-ID': callId };
  peer.say(`${head('UPDATE', { ...inEarly, 'Content-Type': 'application/sdp' }, 'sip:room@10.0.0.2:5060')}\n\nv=1`);
  clock.advance(1);
  t.equal(peer.statuses.at(-1), '488 UPDATE', 'nobody takes it');
  t.match(peer.response(488).warnings, [{ code: 399, agent: 'sip' }], 'and why');
  invite.cancel();
  await agent.close(0);
});

t.test('RFC 3261 §8.1.3.4: the addresses of a 3xx are tried, best first', (t) => {
  const { peer, clock, heard, network } = calls({ redirects: 3 });
  const others = ['10.0.0.11', '10.0.0.12'].map((address) => new RawPeer(network, address, '10.0.0.2'));
  const first = peer.request('INVITE');
  const contacts =
    '<sip:second@10.0.0.12>;q=0.5, <tel:+1234>, <sip:first@10.0.0.11;method=BYE?Subject=x>;q=0.9, <sip:bob@10.0.0.1>';
  peer.answer(first, 302, { toTag: 'bob', headers: [{ name: 'Contact', value: contacts }] });
  clock.advance(1);
  t.equal(peer.request('ACK').branch, first.branch);
  const second = others[0]?.request('INVITE');
  t.equal(second?.requestUri, 'sip:first@10.0.0.11', 'without its method and headers');
  t.equal(second?.callId, first.callId);
  t.equal(second?.fromTag, first.fromTag);
  t.equal(second?.headers.get('To'), first.headers.get('To'));
  t.equal(second?.cseq.seq, first.cseq.seq + 1);
  if (second !== undefined) others[0]?.answer(second, 486, { toTag: 'first' });
  clock.advance(1);
  const third = others[1]?.request('INVITE');
  if (third !== undefined)
    others[1]?.answer(third, 302, { toTag: 'x', headers: [{ name: 'Contact', value: '<sip:first@10.0.0.11>' }] });
  clock.advance(1);
  t.strictSame(heard, ['302'], 'no circles; what the last one answered counts');

  const final = calls();
  final.peer.answer(final.peer.request('INVITE'), 302, {
    toTag: 'bob',
    headers: [{ name: 'Contact', value: '<sip:other@10.0.0.1>' }],
  });
  final.clock.advance(1);
  t.strictSame(final.heard, ['302'], 'final unless the caller wants it followed');

  const secure = calls({ uri: parseUri('sips:bob@10.0.0.1'), redirects: 5 }, {}, { transport: 'TLS' });
  secure.peer.answer(secure.peer.request('INVITE'), 302, {
    toTag: 'bob',
    headers: [{ name: 'Contact', value: '<sip:other@10.0.0.1>' }],
  });
  secure.clock.advance(1);
  t.strictSame(secure.heard, ['302'], 'from sips nobody is led to sip');
  t.end();
});

t.test('RFC 3261 §8.1.3.4: the caller judges each address that a 3xx names, and says the way', (t) => {
  const { agent, peer, clock, network } = stage();
  const other = new RawPeer(network, '10.0.0.12', '10.0.0.2');
  const judged: string[] = [];
  const heard: string[] = [];
  agent.invite(
    { uri: BOB, from: ROOM, redirects: 2, ...SDP },
    {
      onRedirect: (uri) => {
        judged.push(formatUri(uri));
        return uri.user === 'good' ? { uri: parseUri('sip:good@10.0.0.12') } : undefined;
      },
      onAccepted: () => undefined,
      onFailed: (outcome) => heard.push(told(outcome)),
    },
  );
  clock.advance(1);
  const first = peer.request('INVITE');
  const contact = (value: string) => ({ toTag: 'bob', headers: [{ name: 'Contact', value }] });
  peer.answer(
    first,
    300,
    contact('<sip:bad@elsewhere.example>, <sip:good@nowhere.example>;q=0.2, <sip:third@x>;q=0.1'),
  );
  clock.advance(1);
  t.strictSame(judged, ['sip:bad@elsewhere.example', 'sip:good@nowhere.example'], 'no more than two are looked at');
  const second = other.request('INVITE');
  t.equal(second.requestUri, 'sip:good@10.0.0.12');
  t.equal(second.headers.get('To'), '<sip:bob@10.0.0.1>');
  other.answer(second, 302, contact('<sip:bob@10.0.0.1>, <sip:more@10.0.0.1>'));
  clock.advance(1);
  t.strictSame(heard, ['302'], 'bounded in depth, too');
  t.equal(peer.requests.filter(({ method }) => method === 'INVITE').length, 1);
  t.end();
});

t.test('RFC 3261 §8.1.3.4: an address that cannot be reached is followed by the next one', (t) => {
  const { peer, clock, heard } = calls({ redirects: 3 });
  const value = '<sip:gone@10.0.0.99>, <sip:here@10.0.0.1>;q=0.5';
  peer.answer(peer.request('INVITE'), 302, { toTag: 'bob', headers: [{ name: 'Contact', value }] });
  clock.advance(1);
  t.equal(peer.request('INVITE').requestUri, 'sip:here@10.0.0.1');
  peer.answer(peer.request('INVITE'), 486, { toTag: 'bob' });
  clock.advance(1);
  t.strictSame(heard, ['486']);

  const given = calls({ redirects: 3 });
  given.peer.answer(given.peer.request('INVITE'), 302, { toTag: 'bob', headers: [{ name: 'Contact', value }] });
  given.invite.cancel();
  given.clock.advance(100_000);
  t.strictSame(given.heard, ['302'], 'nobody else is called once it was given up');
  t.end();
});

t.test('A handler that throws at the 2xx does not leave it without ACK', (t) => {
  const bugs: string[] = [];
  const log = { info: () => undefined, warn: () => undefined, error: (line: string) => void bugs.push(line) };
  const { agent, peer, clock } = stage({}, { log });
  agent.invite(
    { uri: BOB, from: ROOM },
    {
      onAccepted: () => {
        throw new Error('a bug');
      },
      onFailed: () => undefined,
    },
  );
  clock.advance(1);
  peer.answer(peer.request('INVITE'), 200, { toTag: 'bob' });
  clock.advance(1);
  t.strictSame(
    peer.requests.map(({ method }) => method),
    ['INVITE', 'ACK', 'BYE'],
  );
  t.match(bugs, [/a bug/]);
  t.equal(agent.counts.dialogs, 0);
  t.end();
});
