import t from 'tap';
import { LiveDialog } from '../../sip/dialog.ts';
import {
  type Answer,
  createRequest,
  type Flow,
  type IncomingInvite,
  type InviteSession,
  type Outcome,
  Params,
  parseNameAddr,
  parseUri,
  type SessionEnd,
  SipError,
  type TransportName,
  type UserAgentHandlers,
  type UserAgentOptions,
} from '../../sip/index.ts';
import { head, RawPeer } from './raw-peer.ts';
import { callFrom, type InDialog, SDP, stage, type Stage } from './stage.ts';

/** A call of the peer that the agent has accepted and the peer acknowledged. */
function call(
  parts: Parameters<IncomingInvite['accept']>[0] = SDP,
  invite: Readonly<Record<string, string | undefined>> = {},
  options: Partial<UserAgentOptions> = {},
  handlers: Partial<UserAgentHandlers> = {},
): Stage & {
  session: InviteSession;
  inDialog: InDialog;
} {
  let session: InviteSession | undefined;
  const made = stage({ ...handlers, onInvite: (incoming) => void (session = incoming.accept(parts)) }, options);
  const inDialog = callFrom(made, invite);
  if (session === undefined) throw new Error('not accepted');
  return { ...made, session, inDialog };
}

t.test('RFC 3261 §8.2: what is not served is refused with what would be', (t) => {
  const { peer, clock, agent } = stage({ onMessage: () => ({ status: 200 }) });
  const ask = (method: string, over: Readonly<Record<string, string>> = {}, uri?: string): string => {
    const before = peer.heard.length;
    peer.say(
      head(
        method,
        { 'Call-ID': `${method} ${JSON.stringify(over)}${uri ?? ''}`.replace(/[^a-z]/gi, ''), ...over },
        uri,
      ),
    );
    clock.advance(1);
    t.equal(peer.heard.length, before + 1, `${method}: one response`);
    return String(peer.responses.at(-1)?.status);
  };
  t.equal(ask('PUBLISH'), '405');
  t.match(peer.response(405).allow, [
    'INVITE',
    'ACK',
    'CANCEL',
    'BYE',
    'OPTIONS',
    'UPDATE',
    'PRACK',
    'MESSAGE',
    'NOTIFY',
  ]);
  t.equal(ask('NEWMETHOD'), '501');
  t.equal(ask('MESSAGE', {}, 'unknownscheme:room'), '416');
  t.equal(ask('MESSAGE', { Require: 'foo, timer' }), '420');
  t.strictSame(peer.response(420).unsupported, ['foo']);
  t.equal(ask('MESSAGE', { To: '<sip:room@10.0.0.2>;tag=unknown' }), '481');
  t.equal(ask('BYE'), '481');
  t.equal(ask('CANCEL'), '481');
  t.equal(ask('OPTIONS'), '200');
  t.match(peer.response(200).headers.get('Supported'), 'timer, norefersub');
  t.equal(ask('MESSAGE', { Contact: '<sip:alice@10.0.0.1' }), '200', 'a header nobody reads may be malformed');
  t.equal(ask('INVITE', { Contact: '<sip:alice@10.0.0.1' }), '400', 'but not the Contact of an INVITE');
  clock.advance(64_000);
  t.end();
  agent.transactions.drop();
});

t.test('RFC 3261 §8.2.3: a body that is not understood gets 415, unless it may be left aside', (t) => {
  const { peer, clock, inDialog } = call({ ...SDP, session: { onOffer: () => ({ status: 200, ...SDP }) } });
  let seq = 1;
  const ask = (method: 'INVITE' | 'UPDATE', body: string, more: Record<string, string>): string => {
    peer.say(`${inDialog(method, ++seq, more)}\n\n${body}`);
    clock.advance(1);
    const response = peer.responses.at(-1);
    const to = response?.headers.get('To') ?? '';
    if (response?.status === 200 && method === 'INVITE') peer.say(head('ACK', { To: to, CSeq: `${String(seq)} ACK` }));
    clock.advance(1);
    return String(response?.status);
  };
  const part = (type: string, more = ''): string => `--b\r\nContent-Type: ${type}\r\n${more}\r\nx\r\n`;
  const mixed = { 'Content-Type': 'multipart/mixed;boundary=b' };
  const optional = 'Content-Disposition: render;handling=optional';
  for (const method of ['INVITE', 'UPDATE'] as const) {
    t.equal(ask(method, 'x', { 'Content-Type': 'text/unheard' }), '415', `${method}: a type`);
    t.equal(peer.response(415).headers.get('Accept'), 'application/sdp', 'with what is');
    t.equal(ask(method, 'x', { 'Content-Type': 'application/sdp', 'Content-Encoding': 'frob' }), '415', 'an encoding');
    t.equal(peer.response(415).headers.get('Accept-Encoding'), 'identity, deflate, gzip', 'with those that are');
    t.equal(ask(method, `${part('application/sdp')}${part('text/unheard')}--b--`, mixed), '415', 'a part');
    t.equal(ask(method, `${part('application/sdp')}${part('text/unheard', `${optional}\r\n`)}--b--`, mixed), '200');
    const [, aside = ''] = optional.split(': ');
    t.equal(ask(method, 'x', { 'Content-Type': 'text/unheard', 'Content-Disposition': aside }), '200', 'all of it');
  }
  const fresh = stage({ onInvite: () => void t.fail('nobody hears of it') });
  fresh.peer.say(`${head('INVITE', { 'Content-Type': 'text/unheard' })}\n\nx`);
  fresh.clock.advance(1);
  t.strictSame(fresh.peer.statuses, ['415 INVITE'], 'an INVITE that would make a dialog');
  t.end();
});

t.test(
  'RFC 7118 §5: what follows a SIP message in its WebSocket message is told of; in a datagram it is padding',
  (t) => {
    const told = (transport: TransportName, behind: string): readonly string[] => {
      const { network, agent, peer, clock, lines } = stage({}, {}, { transport });
      const flow = network.hosts.get('10.0.0.2')?.flowTo('10.0.0.1');
      if (flow === undefined) throw new Error('no flow');
      const options = `${head('OPTIONS').trim().replace(/\n */g, '\r\n')}\r\n`;
      agent.receive(Buffer.from(`${options}Content-Length: 0\r\n\r\n${behind}`), flow);
      clock.advance(1);
      t.strictSame(peer.statuses, ['200 OPTIONS'], 'the first is answered');
      return lines;
    };
    t.match(told('WS', 'MESSAGE sip:a@b SIP/2.0\r\n\r\n'), [/dropped 27 bytes behind a message/]);
    t.strictSame(told('WS', '\r\n'), []);
    t.strictSame(told('UDP', 'OPTIONS sip:a@b SIP/2.0\r\n\r\n'), [], 'RFC 3261 §18.3');
    t.end();
  },
);

t.test('RFC 3261 §8.2.2.2: a merged request gets 482', (t) => {
  let told = 0;
  const { peer, clock } = stage({ onMessage: () => (told++, { status: 200 }) });
  peer.say(head('MESSAGE'));
  peer.say(head('MESSAGE'));
  clock.advance(1);
  t.strictSame(peer.statuses, ['200 MESSAGE', '482 MESSAGE']);
  t.equal(told, 1);
  t.end();
});

t.test(
  'RFC 3261 §17.2.3: a request without the magic cookie is matched by its whole Via, Call-ID, CSeq and tags',
  (t) => {
    const invites: IncomingInvite[] = [];
    const { peer, clock, agent } = stage({ onInvite: (invite) => void invites.push(invite) });
    const old = { Via: 'SIP/2.0/UDP 10.0.0.1:5060' };
    const invite = head('INVITE', old);
    peer.say(invite);
    peer.say(invite);
    clock.advance(1);
    t.equal(invites.length, 1, 'the repetition is absorbed');
    invites[0]?.refuse({ status: 486 });
    clock.advance(1);
    peer.say(head('ACK', { ...old, To: peer.response(486).headers.get('To'), CSeq: '1 ACK' }));
    clock.advance(4999);
    t.equal(agent.counts.serverTransactions, 1);
    clock.advance(5000);
    t.equal(agent.counts.serverTransactions, 0, 'the ACK has found it');
    t.end();
  },
);

t.test('RFC 3261 §17.2.1: 100 after 200 ms, when nobody has answered', (t) => {
  const invites: IncomingInvite[] = [];
  const { peer, clock } = stage({ onInvite: (invite) => void invites.push(invite) });
  peer.say(head('INVITE'));
  clock.advance(199);
  t.strictSame(peer.statuses, []);
  clock.advance(2);
  t.strictSame(peer.statuses, ['100 INVITE']);
  t.equal(peer.response(100).toTag, undefined, '§8.2.6.2');
  invites[0]?.ring(180);
  clock.advance(1);
  t.ok(peer.response(180).toTag);
  t.ok(peer.response(180).contact);
  clock.advance(60_000);
  t.strictSame(peer.statuses, ['100 INVITE', '180 INVITE', '180 INVITE'], '§13.3.1.1: repeated every minute');
  t.end();
});

t.test('RFC 3261 §8.2.6.1: a 100 gives the Timestamp back, with the time that has passed', (t) => {
  for (const [value, back] of [
    ['54.1', '54.1 0.2'],
    ['54.1 0.3', '54.1 0.3'],
    ['noon', 'noon'],
  ] as const) {
    const { peer, clock } = stage();
    peer.say(head('INVITE', { Timestamp: value }));
    clock.advance(201);
    t.equal(peer.response(100).headers.get('Timestamp'), back);
  }
  t.end();
});

t.test('RFC 3261 §8.2.7: what is refused without a trace is refused alike each time, and CANCEL is not heard', (t) => {
  const { peer, clock } = stage({}, { limits: { serverTransactions: 0 } });
  const tagsOf = (request: string): (string | undefined)[] => {
    peer.heard.length = 0;
    for (const _ of [1, 2]) peer.say(request);
    clock.advance(1);
    return peer.responses.map(({ toTag }) => toTag);
  };
  const tags = ['one', 'two'].flatMap((callId) => {
    const [first, again, ...others] = tagsOf(head('INVITE', { 'Call-ID': callId }));
    t.match(first, /^[0-9a-f]{16}$/);
    t.equal(again, first, 'the same request, the same tag');
    t.strictSame(others, []);
    return [first];
  });
  t.not(tags[0], tags[1]);
  t.strictSame(tagsOf(head('CANCEL', { 'Call-ID': 'one' })), []);
  const [broken, again] = tagsOf(head('INVITE', { 'Max-Forwards': '70', CSeq: '1 OPTIONS' }));
  t.match(broken, /^[0-9a-f]{16}$/, 'what cannot be read, too');
  t.equal(again, broken);
  t.end();
});

t.test('RFC 3261 §11.2: OPTIONS tells what is read, and is answered as an INVITE would be', (t) => {
  const { peer, clock } = stage();
  peer.say(head('OPTIONS'));
  clock.advance(1);
  const { headers } = peer.response(200);
  t.equal(headers.get('Accept'), 'application/sdp');
  t.equal(headers.get('Accept-Encoding'), 'identity, deflate, gzip');
  t.equal(headers.get('Accept-Language'), '*');
  t.match(headers.get('Supported'), /timer/);
  t.match(headers.get('Allow'), /INVITE/);
  for (const method of ['INVITE', 'OPTIONS']) {
    peer.say(`${head(method, { 'Call-ID': method, 'Content-Type': 'text/unheard' })}\n\nx`);
    clock.advance(1);
    t.equal(peer.statuses.at(-1), `415 ${method}`);
  }
  t.end();
});

t.test('RFC 3261 §7.3.1: an option tag is the same in any case', (t) => {
  const { peer, clock } = stage({
    onInvite: (invite) => {
      invite.ring({ status: 183, ...SDP });
    },
  });
  peer.say(head('INVITE', { Require: '100REL', Supported: 'TIMER' }));
  clock.advance(1);
  t.equal(peer.response(183).headers.get('Require'), '100rel', 'RFC 3262 §3');
  t.end();
});

t.test('RFC 4320 §4.1: to other methods 100 only after 3.5 s', (t) => {
  const { peer, clock, agent, lines } = stage({ onMessage: () => new Promise(() => undefined) });
  peer.say(head('MESSAGE'));
  clock.advance(3499);
  t.strictSame(peer.statuses, []);
  clock.advance(2);
  t.strictSame(peer.statuses, ['100 MESSAGE']);
  clock.advance(28_500);
  t.equal(agent.counts.serverTransactions, 0, '§4.2: once the client has given up nothing is said any more');
  t.strictSame(peer.statuses, ['100 MESSAGE']);
  t.match(lines, ['no answer in time']);
  t.end();
});

t.test('RFC 3261 §9.2: CANCEL', (t) => {
  const invites: IncomingInvite[] = [];
  const { peer, clock, agent } = stage({ onInvite: (invite) => void invites.push(invite) });
  const invite = head('INVITE');
  const via = /Via: (.*)/.exec(invite)?.[1] ?? '';
  peer.say(invite);
  clock.advance(1);
  let aborted = false;
  invites[0]?.signal.addEventListener('abort', () => (aborted = true));
  peer.say(head('CANCEL', { Via: via, CSeq: '1 CANCEL' }));
  clock.advance(1);
  t.strictSame(peer.statuses, ['200 CANCEL', '487 INVITE']);
  t.equal(peer.response(200).toTag, peer.response(487).toTag, 'SHOULD be the same tag');
  t.equal(invites[0]?.state.is, 'cancelled');
  t.ok(aborted);
  t.equal(invites[0]?.accept({}), undefined, 'too late');
  peer.say(head('ACK', { Via: via, To: peer.response(487).headers.get('To'), CSeq: '1 ACK' }));
  clock.advance(40_000);
  t.strictSame(agent.counts, {
    serverTransactions: 0,
    clientTransactions: 0,
    dialogs: 0,
    subscriptions: 0,
    pendingInvites: 0,
  });
  t.end();
});

t.test('RFC 3261 §9.2: CANCEL after the final response changes nothing', (t) => {
  const { peer, clock, session, inDialog } = call();
  t.ok(inDialog);
  const via = peer.response(200).headers.get('Via') ?? '';
  peer.say(head('CANCEL', { Via: via.replace(/;received.*/, ''), CSeq: '1 CANCEL' }));
  clock.advance(1);
  t.equal(peer.statuses.at(-1), '200 CANCEL');
  t.equal(session.state, 'confirmed');
  t.end();
});

t.test('RFC 3261 §15: BYE in an early dialog cancels the invite', (t) => {
  const invites: IncomingInvite[] = [];
  const { peer, clock, agent } = stage({ onInvite: (invite) => void invites.push(invite) });
  peer.say(head('INVITE'));
  clock.advance(1);
  invites[0]?.ring(180);
  clock.advance(1);
  peer.say(head('BYE', { To: peer.response(180).headers.get('To'), CSeq: '2 BYE' }));
  clock.advance(1);
  t.strictSame(peer.statuses, ['180 INVITE', '200 BYE', '487 INVITE']);
  t.equal(agent.counts.dialogs, 0);
  t.end();
});

t.test('RFC 3261 §13.3.1.4: 2xx is repeated until its ACK; BYE when none comes', (t) => {
  const ended: SessionEnd['why'][] = [];
  const { peer, clock, agent, lines } = stage({
    onInvite: (invite) => void invite.accept({ session: { onEnded: ({ why }) => ended.push(why) } }),
  });
  peer.say(head('INVITE'));
  clock.advance(31_999);
  t.equal(peer.responses.length, 11, 'at 0, 0.5, 1.5, 3.5 s and then every 4 s');
  clock.advance(2);
  t.strictSame(ended, ['no ACK']);
  t.equal(peer.request('BYE').cseq.method, 'BYE');
  t.match(lines, ['no ACK: the session ends']);
  peer.answer(peer.request('BYE'), 200);
  clock.advance(40_000);
  t.equal(agent.counts.dialogs, 0);
  t.equal(clock.waiting, 0);
  t.end();
});

t.test('RFC 3261 §15: our BYE waits for the ACK', (t) => {
  let session: InviteSession | undefined;
  const { peer, clock } = stage({ onInvite: (invite) => void (session = invite.accept({})) });
  peer.say(head('INVITE'));
  clock.advance(1);
  session?.close();
  clock.advance(1);
  t.equal(peer.requests.length, 0);
  peer.say(head('ACK', { To: peer.response(200).headers.get('To'), CSeq: '1 ACK' }));
  clock.advance(1);
  t.strictSame(
    peer.requests.map(({ method }) => method),
    ['BYE'],
  );
  t.end();
});

t.test('RFC 3261 §12.2.2: requests out of order get 500, and nobody hears of them', (t) => {
  const texts: number[] = [];
  const { peer, clock, inDialog } = call({
    session: { onMessage: ({ request }) => (texts.push(request.cseq.seq), { status: 200 }) },
  });
  peer.say(inDialog('MESSAGE', 10));
  peer.say(inDialog('MESSAGE', 9));
  peer.say(inDialog('MESSAGE', 11));
  clock.advance(1);
  t.strictSame(texts, [10, 11]);
  t.ok(peer.response(500).retryAfter);
  t.end();
});

t.test('RFC 3261 §12.1.1, §12.2.1.1: route set, Contact and target refresh', (t) => {
  const { peer, clock, session, inDialog } = call(
    { ...SDP, contact: { params: { isfocus: true } }, session: { onOffer: () => ({ status: 200, ...SDP }) } },
    { 'Record-Route': '<sip:10.0.0.1;lr>, <sip:proxy2.example.com;lr>' },
  );
  t.strictSame(peer.response(200).headers.all('Record-Route'), ['<sip:10.0.0.1;lr>, <sip:proxy2.example.com;lr>']);
  t.equal(peer.response(200).headers.get('Contact'), '<sip:room@10.0.0.2:5060>;isfocus');
  session.request('MESSAGE', {}, () => undefined);
  clock.advance(1);
  const before = peer.request('MESSAGE');
  t.equal(before.requestUri, 'sip:alice@10.0.0.1:5060');
  t.strictSame(
    before.route.map(({ uri }) => uri.kind === 'sip' && uri.host),
    ['10.0.0.1', 'proxy2.example.com'],
  );
  t.equal(before.headers.get('From'), `<sip:room@10.0.0.2>;tag=${session.dialog.localTag}`);
  t.equal(before.headers.get('To'), '<sip:alice@10.0.0.1>;tag=alice');
  peer.answer(before, 200);
  peer.say(inDialog('INVITE', 2, { Contact: '<sip:alice@10.9.9.9:5070>' }));
  clock.advance(1);
  peer.say(inDialog('ACK', 2));
  session.request('MESSAGE', {}, () => undefined);
  clock.advance(1);
  t.equal(peer.request('MESSAGE').requestUri, 'sip:alice@10.9.9.9:5070', 'the new target');
  t.equal(peer.request('MESSAGE').cseq.seq, before.cseq.seq + 1);
  t.end();
});

t.test('RFC 3261 §12.2.1.1: a strict router at the top of the route set', (t) => {
  const { peer, clock, session } = call(SDP, { 'Record-Route': '<sip:10.0.0.1>, <sip:proxy2.example.com;lr>' });
  session.request('MESSAGE', {}, () => undefined);
  clock.advance(1);
  const request = peer.request('MESSAGE');
  t.equal(request.requestUri, 'sip:10.0.0.1');
  t.strictSame(request.headers.all('Route'), ['<sip:proxy2.example.com;lr>', '<sip:alice@10.0.0.1:5060>']);
  t.end();
});

t.test(
  'RFC 3261 §17.1.2: what a peer has not answered is repeated where it is now, as behind a NAT that moves it',
  (t) => {
    const ended: string[] = [];
    const session = { onEnded: ({ why }: SessionEnd) => void ended.push(why) };
    const { peer, clock, session: called, inDialog, network } = call({ ...SDP, session });
    const answers: number[] = [];
    const note = (outcome: Outcome): void => {
      if (outcome.is === 'response') answers.push(outcome.response.status);
    };
    called.request('MESSAGE', {}, note);
    called.request('INFO', {}, note);
    clock.advance(1000);
    const first = peer.request('MESSAGE');
    const moved = new RawPeer(network, '10.0.0.9', '10.0.0.2');
    moved.say(inDialog('OPTIONS', 7));
    clock.advance(1);
    const again = moved.request('MESSAGE');
    t.strictSame([again.branch, again.cseq.seq], [first.branch, first.cseq.seq], 'the same request');
    const before = peer.requests.length;
    clock.advance(4000);
    t.ok(moved.requests.filter(({ method }) => method === 'MESSAGE').length > 2, 'over UDP as often as it takes');
    t.equal(peer.requests.length, before, 'nothing more where it was');
    moved.answer(again, 200);
    clock.advance(1);
    moved.answer(moved.request('INFO'), 200);
    clock.advance(60_000);
    t.strictSame(answers, [200, 200], 'the next one goes there at once');
    t.strictSame(ended, []);
    t.end();
  },
);

t.test('RFC 3261 §12.2.2: an ACK that was long on its way leads nobody back to where the peer was', (t) => {
  const { peer, clock, session, inDialog, network } = call(SDP);
  const moved = new RawPeer(network, '10.0.0.9', '10.0.0.2');
  moved.say(inDialog('OPTIONS', 7));
  clock.advance(1);
  peer.say(inDialog('ACK', 1));
  clock.advance(1);
  session.request('MESSAGE', {}, () => undefined);
  clock.advance(1);
  t.equal(moved.request('MESSAGE').method, 'MESSAGE');
  t.end();
});

t.test('RFC 3261 §12: the latest flow stands for the Contact only without a route set', (t) => {
  const { peer, clock, session, network } = call(SDP, { Contact: '<sip:alice@192.168.7.7:5060>' });
  session.request('MESSAGE', {}, () => undefined);
  clock.advance(1);
  t.ok(peer.request('MESSAGE'), 'behind NAT: the flow');
  const routed = call(SDP, { Contact: '<sip:alice@10.0.0.1>', 'Record-Route': '<sip:10.0.0.7;lr>' });
  const proxy = new RawPeer(routed.network, '10.0.0.7', '10.0.0.2');
  routed.session.request('MESSAGE', {}, () => undefined);
  routed.clock.advance(1);
  t.ok(proxy.request('MESSAGE'), 'the proxy that recorded itself');
  t.equal(routed.peer.requests.length, 0);
  t.ok(network);
  const named = call(SDP, {
    Contact: '<sip:alice@192.168.7.7>',
    'Record-Route': '<sip:proxy.example.org;lr>',
  });
  named.peer.say(named.inDialog('OPTIONS', 2, { Via: 'SIP/2.0/UDP proxy.example.org;branch=z9hG4bK-named' }));
  named.clock.advance(1);
  named.session.request('MESSAGE', {}, () => undefined);
  named.clock.advance(1);
  t.ok(
    named.peer.request('MESSAGE'),
    'a proxy that says the same name in Via and Record-Route is the peer of the flow',
  );
  // Over a connection the peer's port tells nothing: the one in its Via does.
  for (const [sentBy, by] of [
    ['10.0.0.1:5080', 'route'],
    ['10.0.0.1:5070', 'flow'],
  ] as const) {
    const invites: IncomingInvite[] = [];
    const wired = stage({ onInvite: (invite) => void invites.push(invite) }, {}, { transport: 'TCP' });
    const host = wired.network.hosts.get('10.0.0.2');
    const hops: (number | undefined)[] = [];
    if (host !== undefined) host.locate = (hop) => void hops.push(hop.port);
    const recorded = { 'Record-Route': '<sip:10.0.0.1:5070;transport=tcp;lr>' };
    wired.peer.say(head('INVITE', { ...recorded, Via: `SIP/2.0/TCP ${sentBy};branch=z9hG4bK-${by}` }));
    wired.clock.advance(1);
    const accepted = invites[0]?.accept(SDP);
    accepted?.request('MESSAGE', {}, () => undefined);
    wired.clock.advance(1);
    t.strictSame(hops, by === 'route' ? [5070] : []);
    t.equal(wired.peer.requests.length, by === 'route' ? 0 : 1);
  }
  t.end();
});

t.test('RFC 3261 §14.2, RFC 3264: re-INVITE of the peer', (t) => {
  const offers: boolean[] = [];
  let acks = 0;
  let wait: ((answer: { status: number }) => void) | undefined;
  const { peer, clock, inDialog } = call({
    ...SDP,
    session: {
      onOffer: ({ offer }) => {
        offers.push(offer);
        return offers.length < 3
          ? { status: 200, contentType: 'application/sdp', body: 'v=0 new' }
          : new Promise((resolve) => (wait = resolve));
      },
      onOfferAck: () => acks++,
    },
  });
  peer.say(`${inDialog('INVITE', 2, { 'Content-Type': 'application/sdp' })}\n\nv=0`);
  clock.advance(1);
  t.equal(Buffer.from(peer.response(200).body).toString(), 'v=0 new');
  peer.say(inDialog('ACK', 2));
  peer.say(inDialog('INVITE', 3));
  clock.advance(1);
  peer.say(inDialog('ACK', 3));
  clock.advance(1);
  t.strictSame(offers, [true, false]);
  t.equal(acks, 2);
  peer.say(inDialog('INVITE', 4));
  clock.advance(1);
  peer.say(inDialog('INVITE', 5));
  clock.advance(1);
  t.equal(peer.statuses.at(-1), '500 INVITE', 'a second one before the first is answered');
  t.ok(peer.response(500).retryAfter);
  peer.say(inDialog('BYE', 6));
  clock.advance(1);
  t.strictSame(peer.statuses.slice(-2), ['200 BYE', '487 INVITE'], '§15.1.2');
  wait?.({ status: 200 });
  t.end();
});

t.test('RFC 3261 §14.1, §14.2: glare', (t) => {
  const outcomes: number[] = [];
  const { peer, clock, session, inDialog } = call({ ...SDP, session: { onOffer: () => ({ status: 200 }) } });
  session.reInvite(SDP, (outcome) =>
    outcomes.push(outcome.is === 'response' ? outcome.response.status : outcome.status),
  );
  clock.advance(1);
  const ours = peer.request('INVITE');
  peer.say(inDialog('INVITE', 2));
  clock.advance(1);
  t.equal(peer.statuses.at(-1), '491 INVITE', 'ours is under way');
  peer.say(
    head('ACK', {
      Via: peer.response(491).headers.get('Via'),
      To: peer.response(491).headers.get('To'),
      CSeq: '2 ACK',
    }),
  );
  peer.answer(ours, 491);
  clock.advance(1);
  t.equal(peer.request('ACK').cseq.seq, ours.cseq.seq);
  clock.advance(2100);
  const again = peer.request('INVITE');
  t.equal(again.cseq.seq, ours.cseq.seq + 1, 'the callee tries again within 2 s');
  peer.answer(again, 200);
  clock.advance(1);
  t.strictSame(outcomes, [200]);
  t.equal(peer.request('ACK').cseq.seq, again.cseq.seq);
  t.end();
});

t.test('RFC 3311 §5.2: UPDATE', (t) => {
  let offers = 0;
  const { peer, clock, inDialog, session } = call({
    ...SDP,
    session: { onOffer: () => (offers++, { status: 200, ...SDP }) },
  });
  peer.say(inDialog('UPDATE', 2, { Supported: 'timer', 'Session-Expires': '1800;refresher=uac' }));
  clock.advance(1);
  t.equal(peer.statuses.at(-1), '200 UPDATE');
  t.equal(peer.response(200).headers.get('Session-Expires'), '1800;refresher=uac');
  t.equal(offers, 0, 'a refresh asks nobody');
  peer.say(`${inDialog('UPDATE', 3, { 'Content-Type': 'application/sdp' })}\n\nv=0`);
  clock.advance(1);
  t.equal(offers, 1);
  session.update(SDP, () => undefined);
  clock.advance(1);
  peer.say(`${inDialog('UPDATE', 4, { 'Content-Type': 'application/sdp' })}\n\nv=0`);
  clock.advance(1);
  t.equal(peer.statuses.at(-1), '491 UPDATE', 'glare');
  peer.answer(peer.request('UPDATE'), 200);
  clock.advance(1);
  peer.say(`${inDialog('UPDATE', 5, { 'Content-Type': 'application/sdp' })}\n\nv=0`);
  clock.advance(1);
  t.equal(peer.statuses.at(-1), '200 UPDATE');
  t.end();
});

t.test('RFC 3261 §14.2, RFC 3311 §5.2: no offer is taken while another one has no answer', (t) => {
  const withOffer = { 'Content-Type': 'application/sdp' };
  const early = stage({
    onInvite: (invite) => {
      invite.ring(180);
    },
  });
  early.peer.say(`${head('INVITE', withOffer)}\n\nv=0`);
  early.clock.advance(1);
  const To = early.peer.response(180).headers.get('To');
  const inEarly = (method: string, seq: number, more: Record<string, string>): string => {
    const text = head(method, { To, CSeq: `${String(seq)} ${method}`, ...more });
    early.peer.say(more['Content-Type'] === undefined ? text : `${text}\n\nv=0`);
    early.clock.advance(1);
    return early.peer.statuses.at(-1) ?? '';
  };
  t.equal(inEarly('INVITE', 2, withOffer), '500 INVITE', 'a second INVITE');
  t.ok((early.peer.response(500).retryAfter?.seconds ?? 99) <= 10);
  t.equal(inEarly('UPDATE', 3, withOffer), '500 UPDATE');
  t.ok((early.peer.response(500).retryAfter?.seconds ?? 99) <= 10);
  t.equal(inEarly('UPDATE', 4, { Contact: '<sip:new@10.0.0.1>' }), '200 UPDATE', 'nothing is offered in it');
  t.ok(early.peer.response(200).contact);

  let answer: ((answer: { status: number }) => void) | undefined;
  const onOffer = (): Promise<{ status: number }> => new Promise((resolve) => (answer = resolve));
  const made = stage({ onInvite: (invite) => void invite.accept({ ...SDP, session: { onOffer } }) });
  const { peer, clock } = made;
  peer.say(head('INVITE'));
  clock.advance(1);
  const to = peer.response(200).headers.get('To') ?? '';
  const say = (method: string, seq: number, more: Record<string, string> = {}): string => {
    const text = head(method, { To: to, CSeq: `${String(seq)} ${method}`, ...more });
    peer.say(more['Content-Type'] === undefined ? text : `${text}\n\nv=0`);
    clock.advance(1);
    return peer.statuses.at(-1) ?? '';
  };
  t.equal(say('UPDATE', 2, withOffer), '491 UPDATE', 'our 200 has made an offer');
  t.equal(say('INVITE', 3, withOffer), '491 INVITE');
  t.equal(say('UPDATE', 4), '200 UPDATE');
  say('ACK', 1, withOffer);
  say('INVITE', 5, withOffer);
  t.equal(say('UPDATE', 6), '200 UPDATE', 'nothing is offered in it');
  t.equal(say('UPDATE', 7, withOffer), '500 UPDATE', 'theirs has no answer yet');
  answer?.({ status: 200 });
  t.end();
});

t.test('RFC 3311 §5.1, §5.3: UPDATE waits for the offer that is open, and is tried again after 491', async (t) => {
  const outcomes: number[] = [];
  let answer: ((answer: { status: number }) => void) | undefined;
  const onOffer = (): Promise<{ status: number }> => new Promise((resolve) => (answer = resolve));
  const { peer, clock, session, inDialog } = call({ ...SDP, session: { onOffer } });
  const updates = (): number => peer.requests.filter(({ method }) => method === 'UPDATE').length;
  peer.say(`${inDialog('INVITE', 2, { 'Content-Type': 'application/sdp' })}\n\nv=0`);
  clock.advance(1);
  session.update(SDP, (outcome) => outcomes.push(outcome.is === 'response' ? outcome.response.status : outcome.status));
  clock.advance(1);
  t.equal(updates(), 0, 'theirs is not answered');
  answer?.({ status: 200 });
  await new Promise(setImmediate);
  clock.advance(1);
  peer.say(inDialog('ACK', 2));
  clock.advance(1);
  const first = peer.request('UPDATE');
  t.ok(first.supported.includes('timer'), 'RFC 4028 §7.4: what the INVITE supported');
  peer.say(inDialog('INVITE', 3));
  clock.advance(1);
  t.equal(peer.statuses.at(-1), '491 INVITE', 'its 200 would be a second offer');
  peer.answer(first, 491);
  clock.advance(2100);
  const again = peer.request('UPDATE');
  t.equal(again.cseq.seq, first.cseq.seq + 1);
  peer.answer(again, 200);
  clock.advance(1);
  t.strictSame(outcomes, [200]);
  t.end();
});

t.test('RFC 4028 §9: session timer as server', (t) => {
  const small = stage({ onInvite: (invite) => void invite.accept({}) }, { sessionTimer: { min: 300 } });
  small.peer.say(head('INVITE', { Supported: 'timer', 'Session-Expires': '120' }));
  small.clock.advance(1);
  t.equal(small.peer.response(422).minSe, 300);
  t.equal(small.agent.counts.pendingInvites, 0);

  const ended: SessionEnd['why'][] = [];
  const theirs = call(
    { session: { onEnded: ({ why }) => ended.push(why) } },
    { Supported: 'timer', 'Session-Expires': '600' },
  );
  t.equal(theirs.peer.response(200).headers.get('Session-Expires'), '600;refresher=uac');
  t.strictSame(theirs.peer.response(200).require, ['timer']);
  theirs.clock.advance(567_000);
  t.strictSame(ended, []);
  theirs.clock.advance(2000);
  t.strictSame(ended, ['expired'], '§10: BYE a third, at most 32 s, before the end');
  t.equal(theirs.peer.request('BYE').headers.get('Reason')?.startsWith('SIP;cause=408'), true);

  const ours = call(SDP, { 'Session-Expires': '600', Allow: 'INVITE, UPDATE' });
  t.equal(
    ours.peer.response(200).headers.get('Session-Expires'),
    '600;refresher=uas',
    'for one that does not know it we refresh',
  );
  ours.clock.advance(300_000);
  const update = ours.peer.request('UPDATE');
  t.match(update.headers.get('Session-Expires'), /refresher=uac/);
  ours.peer.answer(update, 200, { headers: [{ name: 'Session-Expires', value: '600;refresher=uac' }] });
  ours.clock.advance(301_000);
  t.equal(ours.peer.request('UPDATE').cseq.seq, update.cseq.seq + 1, 'and again');
  t.end();
});

t.test(
  'RFC 3261 §12.2.1.2: no answer to a request of ours ends the session, with a BYE that says why (RFC 3326)',
  (t) => {
    const ended: SessionEnd[] = [];
    const { peer, clock, session } = call({ session: { onEnded: (end) => ended.push(end) } });
    session.request('MESSAGE', { contentType: 'text/plain', body: 'hi' }, () => undefined);
    clock.advance(33_000);
    t.strictSame(ended, [{ why: 'gone', status: 408, reason: 'MESSAGE: 408' }]);
    t.equal(peer.request('BYE').headers.get('Reason'), 'SIP;cause=408;text="MESSAGE: 408"');
    t.end();
  },
);

t.test('RFC 3261 §12.2.1.2: 481 to a request of ours ends the session', (t) => {
  const ended: SessionEnd[] = [];
  const { peer, clock, session, agent } = call({ session: { onEnded: (end) => ended.push(end) } });
  session.request('MESSAGE', { contentType: 'text/plain', body: 'hi' }, () => undefined);
  clock.advance(1);
  peer.answer(peer.request('MESSAGE'), 481);
  clock.advance(1);
  t.strictSame(ended, [{ why: 'gone', status: 481, reason: 'MESSAGE: 481' }]);
  t.equal(agent.counts.dialogs, 0);
  session.request('MESSAGE', {}, (outcome) => {
    t.match(outcome, { is: 'failed', status: 503 });
  });
  t.end();
});

t.test('Handlers: a SipError is the answer, anything else is logged and answered 500', async (t) => {
  const { peer, clock, lines } = stage({
    onMessage: ({ request }) => {
      if (request.callId === 'peer') throw new SipError(415, 'no', [{ name: 'Accept', value: 'text/plain' }]);
      return Promise.reject(new Error('a bug'));
    },
  });
  peer.say(head('MESSAGE', { 'Call-ID': 'peer' }));
  peer.say(head('MESSAGE', { 'Call-ID': 'bug' }));
  clock.advance(1);
  await new Promise(setImmediate);
  clock.advance(1);
  t.strictSame(peer.statuses, ['415 MESSAGE', '500 MESSAGE']);
  t.equal(peer.response(415).headers.get('Accept'), 'text/plain');
  t.ok(lines.some((line) => line.includes('a bug')));
});

t.test('Limits: what exceeds one is refused 503 with a line in the log', (t) => {
  const keep: IncomingInvite[] = [];
  const invites = stage({ onInvite: (invite) => void keep.push(invite) }, { limits: { pendingInvites: 2 } });
  for (const id of ['a', 'b', 'c']) invites.peer.say(head('INVITE', { 'Call-ID': id }));
  invites.clock.advance(1);
  t.strictSame(invites.peer.statuses, ['503 INVITE']);
  t.match(invites.lines, ['503: limit of pendingInvites']);

  const oneAddress = stage(
    { onInvite: (invite) => void keep.push(invite) },
    { limits: { pendingInvitesPerAddress: 1 } },
  );
  const elsewhere = new RawPeer(oneAddress.network, '10.0.0.3', '10.0.0.2');
  for (const id of ['a', 'b']) oneAddress.peer.say(head('INVITE', { 'Call-ID': id }));
  elsewhere.say(head('INVITE', { 'Call-ID': 'c' }));
  oneAddress.clock.advance(1);
  t.strictSame(oneAddress.peer.statuses, ['503 INVITE']);
  t.match(oneAddress.lines, ['503: limit of pendingInvitesPerAddress']);
  t.equal(oneAddress.agent.counts.pendingInvites, 2);

  const transactions = stage({ onMessage: () => new Promise(() => undefined) }, { limits: { serverTransactions: 2 } });
  for (const id of ['a', 'b', 'c']) transactions.peer.say(head('MESSAGE', { 'Call-ID': id }));
  transactions.clock.advance(1);
  t.strictSame(transactions.peer.statuses, ['503 MESSAGE']);
  t.match(transactions.lines, ['503: limit of serverTransactions']);

  for (const limit of ['dialogs', 'dialogsPerAddress'] as const) {
    const dialogs = stage({ onInvite: (invite) => void invite.accept({}) }, { limits: { [limit]: 2 } });
    for (const id of ['a', 'b', 'c']) dialogs.peer.say(head('INVITE', { 'Call-ID': id }));
    dialogs.clock.advance(1);
    t.strictSame(dialogs.peer.statuses, ['200 INVITE', '200 INVITE', '503 INVITE']);
    t.match(dialogs.lines, [`503: limit of ${limit}`]);
  }

  const client = stage({}, { limits: { clientTransactions: 1 } });
  const outcomes: string[] = [];
  for (const id of ['a', 'b'])
    client.agent.request(
      { method: 'OPTIONS', uri: parseNameAddr(`<sip:${id}@10.0.0.1>`).uri, from: parseNameAddr('<sip:room@10.0.0.2>') },
      (outcome) => {
        outcomes.push(outcome.is === 'failed' ? outcome.reason : 'answered');
      },
    );
  t.strictSame(outcomes, ['limit of client transactions']);
  const seeking = stage({}, { limits: { clientTransactions: 1 } });
  const nameServer = seeking.network.hosts.get('10.0.0.2');
  if (nameServer !== undefined) nameServer.locate = () => undefined;
  const uri = parseUri('sip:far.example.com');
  for (let i = 0; i < 2; i++)
    seeking.agent.request({ method: 'OPTIONS', uri, from: parseNameAddr('<sip:room@10.0.0.2>') }, (outcome) => {
      outcomes.push(outcome.is === 'failed' ? outcome.reason : 'answered');
    });
  t.strictSame(outcomes.slice(1), ['limit of client transactions'], 'one that waits for the DNS counts too');

  const { session, lines } = call(SDP, {}, { limits: { queuedPerDialog: 1 } });
  const reasons: string[] = [];
  for (let i = 0; i < 3; i++)
    session.reInvite(SDP, (outcome) => reasons.push(outcome.is === 'failed' ? outcome.reason : 'answered'));
  t.strictSame(reasons, ['too many offers wait']);
  t.ok(lines);
  t.end();
});

t.test('Closing waits for the ACK, then for the answer to the BYE, but not longer than the grace', async (t) => {
  for (const acknowledged of [true, false]) {
    const ended: SessionEnd['why'][] = [];
    const { peer, clock, agent } = stage({
      onInvite: (invite) => void invite.accept({ session: { onEnded: ({ why }) => ended.push(why) } }),
    });
    peer.say(head('INVITE'));
    clock.advance(1);
    const closed = agent.close(1000);
    clock.advance(100);
    t.strictSame(ended, []);
    if (acknowledged) peer.say(head('ACK', { To: peer.response(200).headers.get('To'), CSeq: '1 ACK' }));
    clock.advance(100);
    if (acknowledged) peer.answer(peer.request('BYE'), 200);
    clock.advance(1000);
    await closed;
    t.strictSame(ended, ['closed']);
    t.equal(clock.waiting, 0, 'no timer is left');
  }
});

t.test('An invite whose handler throws after it rang leaves nothing behind', async (t) => {
  const { peer, clock, agent } = stage({
    onInvite: async (invite) => {
      invite.ring(180);
      await Promise.resolve();
      throw new Error('a bug');
    },
  });
  peer.say(head('INVITE'));
  clock.advance(1);
  await new Promise(setImmediate);
  clock.advance(1);
  t.strictSame(peer.statuses, ['180 INVITE', '500 INVITE']);
  clock.advance(70_000);
  t.strictSame(agent.counts, {
    serverTransactions: 0,
    clientTransactions: 0,
    dialogs: 0,
    subscriptions: 0,
    pendingInvites: 0,
  });
  t.equal(clock.waiting, 0);
});

t.test('RFC 3261 §18.1.1: what is too large for UDP goes by TCP, but to a client behind NAT by its flow', (t) => {
  const large = { contentType: 'text/plain', body: 'x'.repeat(1300) };
  const located = (contact: string, more: Readonly<Record<string, string>> = {}, most = 1300): number[] => {
    const { session, network, clock, peer } = call(SDP, { Contact: contact, ...more });
    const host = network.hosts.get('10.0.0.2');
    if (host === undefined) throw new Error('no host');
    const locate = host.locate.bind(host);
    host.maxUdpRequestBytes = most;
    const asked: number[] = [];
    host.locate = (hop, bytes, found) => {
      asked.push(bytes);
      locate(hop, bytes, found);
    };
    session.request('MESSAGE', { contentType: 'text/plain', body: 'small' }, () => undefined);
    clock.advance(1);
    peer.answer(peer.request('MESSAGE'), 200);
    clock.advance(1);
    t.strictSame(asked, [], 'a small one takes the flow');
    session.request('MESSAGE', large, () => undefined);
    clock.advance(1);
    t.equal(peer.request('MESSAGE').body.length, 1300);
    return asked;
  };
  const [bytes] = located('<sip:alice@10.0.0.1:5060>');
  t.ok(bytes !== undefined && bytes > 1300, 'the transport finds TCP first, then UDP');
  t.strictSame(located('<sip:alice@192.168.1.7:5060>'), [], 'Deviation: behind NAT only the flow leads in');
  t.strictSame(located('<sip:alice@10.0.0.1:5060;transport=udp>'), [], 'one that wants UDP gets it');
  t.strictSame(located('<sip:alice@10.0.0.1:5060>', {}, 1300 + 1000), [], 'the limit is that of the transport');
  t.end();
});

t.test(
  'RFC 3261 §18.1.1: once TCP was refused the dialog stays on UDP, but not where it is we who are at a limit',
  (t) => {
    for (const failed of ['refused', 'limit'] as const) {
      const { session, network, clock, peer } = call(SDP);
      const host = network.hosts.get('10.0.0.2');
      if (host === undefined) throw new Error('no host');
      const remote = { address: '10.0.0.1', port: 5060 };
      const tried: string[] = [];
      host.locate = (_hop, _bytes, found) => {
        found([
          { transport: 'TCP', remote, serverName: 'x' },
          { transport: 'UDP', remote, serverName: 'x' },
        ]);
      };
      const connect = host.connect.bind(host);
      host.connect = (target, connected) => {
        tried.push(target.transport);
        if (target.transport === 'TCP') connected({ failed, reason: failed });
        else connect(target, connected);
      };
      for (let i = 0; i < 2; i++) {
        session.request('MESSAGE', { contentType: 'text/plain', body: 'x'.repeat(1300) }, () => undefined);
        clock.advance(1);
        peer.answer(peer.request('MESSAGE'), 200);
        clock.advance(1);
      }
      t.strictSame(tried, failed === 'refused' ? ['TCP', 'UDP'] : ['TCP', 'UDP', 'TCP', 'UDP']);
      t.equal(peer.requests.length, 2);
    }
    t.end();
  },
);

t.test('RFC 3261 §12.2.1.2: after a 481 nothing that waits in the dialog is sent, and each is told in turn', (t) => {
  const { session, clock, peer } = call(SDP);
  const told: string[] = [];
  for (const body of ['0', '1', '2']) {
    session.request('MESSAGE', { contentType: 'text/plain', body }, (outcome) => {
      told.push(`${body} ${outcome.is === 'failed' ? outcome.reason : String(outcome.response.status)}`);
    });
  }
  clock.advance(1);
  peer.answer(peer.request('MESSAGE'), 481);
  clock.advance(1);
  t.strictSame(told, ['0 481', '1 the session has ended', '2 the session has ended']);
  t.equal(peer.requests.filter(({ method }) => method === 'MESSAGE').length, 1);
  t.end();
});

t.test('RFC 5630 §5.1.2, RFC 3261 §26.2.2: a sips URI is not reached without TLS', (t) => {
  const asked: string[] = [];
  const handlers: Partial<UserAgentHandlers> = { onInvite: (invite) => void (asked.push('sips'), invite.accept({})) };
  for (const transport of ['UDP', 'TCP'] as const) {
    const { peer, clock } = stage(handlers, {}, { transport });
    peer.say(head('INVITE', { Contact: '<sips:alice@10.0.0.1:5061>' }, 'sips:room@10.0.0.2'));
    clock.advance(1);
    const refused = peer.response(480);
    t.equal(refused.headers.get('Warning'), '380 sip "SIPS Not Allowed"', transport);
    t.equal(refused.headers.get('Contact'), undefined);
  }
  t.strictSame(asked, []);
  // What a browser has sent by wss may come from a reverse proxy by ws.
  for (const transport of ['TLS', 'WS', 'WSS'] as const) {
    const { peer, clock } = stage(handlers, {}, { transport });
    peer.say(head('INVITE', { Contact: '<sips:alice@10.0.0.1:5061>' }, 'sips:room@10.0.0.2'));
    clock.advance(1);
    t.equal(peer.response(200).status, 200, transport);
  }
  t.end();
});

t.test('RFC 3261 §12.1.1: a sips dialog has a sips Contact and takes no flow without TLS', (t) => {
  let session: InviteSession | undefined;
  const { peer, clock, network } = stage(
    { onInvite: (invite) => void (session = invite.accept({})) },
    {},
    { transport: 'TLS' },
  );
  peer.say(head('INVITE', { Contact: '<sips:alice@10.0.0.1:5061>' }, 'sips:room@10.0.0.2'));
  clock.advance(1);
  t.equal(session?.dialog.secure, true);
  t.equal(peer.response(200).headers.get('Contact'), '<sips:room@10.0.0.2:5060;transport=tcp>');
  const dialog = session?.dialog;
  if (!(dialog instanceof LiveDialog) || dialog.flow === undefined) throw new Error('no dialog');
  const secured = dialog.flow;
  const { local, remote, advertised } = secured;
  const where = { local, remote, advertised, transport: 'UDP', reliable: false, secure: false } as const;
  const plain: Flow = { ...where, id: 'udp-1', open: true, queued: 0, send: () => true, close: () => undefined };
  const info = createRequest({
    method: 'INFO',
    uri: dialog.localUri,
    from: { uri: dialog.remoteUri, params: Params.none },
    to: { uri: dialog.localUri, params: Params.none },
    callId: dialog.callId,
    seq: 2,
  });
  t.equal(dialog.hear(info, plain), true);
  t.equal(dialog.flow, secured, 'nor one that a request has come by');
  const host = network.hosts.get('10.0.0.2');
  if (host === undefined) throw new Error('no host');
  const hops: boolean[] = [];
  host.locate = (hop, _bytes, found) => {
    hops.push(hop.secure);
    found({ failed: 'refused', reason: 'test' });
  };
  host.flows.get('10.0.0.1')?.close('test');
  const outcomes: string[] = [];
  peer.say(head('ACK', { To: peer.response(200).headers.get('To'), CSeq: '1 ACK' }));
  session?.dialog.flow?.close('test');
  session?.request('MESSAGE', {}, (outcome) => outcomes.push(outcome.is));
  t.strictSame(hops, [true], 'only TLS will do');
  for (const [headers, contact] of [
    [{ Contact: '<sips:alice@10.0.0.1>' }, '<sips:room@10.0.0.2:5060>'],
    [{ Contact: '<sip:alice@10.0.0.1>', 'Record-Route': '<sips:10.0.0.1;lr>' }, '<sips:room@10.0.0.2:5060>'],
    [{ Contact: '<sips:alice@10.0.0.1>', 'Record-Route': '<sip:10.0.0.1;lr>' }, '<sip:room@10.0.0.2:5060>'],
  ] as const) {
    const made = stage({ onInvite: (invite) => void invite.accept({}) });
    made.peer.say(head('INVITE', headers));
    made.clock.advance(1);
    t.equal(made.peer.response(200).headers.get('Contact'), contact, JSON.stringify(headers));
  }
  const byPlainWay = stage({ onInvite: (invite) => void (session = invite.accept({})) });
  byPlainWay.peer.say(head('INVITE', { Contact: '<sips:alice@10.0.0.1>' }));
  byPlainWay.clock.advance(1);
  const plainHost = byPlainWay.network.hosts.get('10.0.0.2');
  if (plainHost !== undefined) plainHost.locate = host.locate;
  session?.request('MESSAGE', {}, (outcome) => outcomes.push(outcome.is));
  t.strictSame(hops, [true, true], '§26.2.2: nor does what goes to a sips URI, whatever way the dialog was made');
  t.strictSame(outcomes, ['failed', 'failed']);
  t.end();
});

t.test('RFC 3261 §14.1: a re-INVITE waits for that of the peer, and one that nobody answers is given up', (t) => {
  const outcomes: string[] = [];
  let refuse: ((error: SipError) => void) | undefined;
  const { peer, clock, session, inDialog, agent } = call({
    ...SDP,
    session: { onOffer: () => new Promise((_, reject) => (refuse = reject)) },
  });
  const told = (outcome: Outcome): void =>
    void outcomes.push(
      outcome.is === 'response' ? String(outcome.response.status) : `failed ${String(outcome.status)}`,
    );
  peer.say(inDialog('INVITE', 2));
  clock.advance(1);
  session.reInvite(SDP, told);
  clock.advance(300);
  t.equal(peer.requests.length, 0, 'the peer was first');
  refuse?.(new SipError(488, 'no'));
  return Promise.resolve()
    .then(() => new Promise(setImmediate))
    .then(() => {
      clock.advance(1);
      t.equal(peer.response(488).cseq.seq, 2);
      const first = peer.request('INVITE');
      peer.answer(first, 180);
      session.reInvite(SDP, told);
      clock.advance(60_001);
      t.equal(peer.request('CANCEL').branch, first.branch);
      clock.advance(32_001);
      t.strictSame(outcomes.slice(0, 1), ['failed 408']);
      t.equal(session.state, 'ended', 'silence ends the session (§12.2.1.2)');
      t.strictSame(outcomes, ['failed 408', 'failed 503']);
      clock.advance(64_000);
      t.equal(agent.counts.clientTransactions, 0);
      t.end();
    });
});

t.test('RFC 3262 §3: provisional responses sent reliably', (t) => {
  const invites: IncomingInvite[] = [];
  const { peer, clock, agent } = stage({ onInvite: (invite) => void invites.push(invite) });
  peer.say(`${head('INVITE', { Require: '100rel', 'Content-Type': 'application/sdp' })}\n\nv=0`);
  clock.advance(1);
  const [invite] = invites;
  invite?.ring(180);
  invite?.ring({ status: 183, ...SDP });
  clock.advance(1);
  t.strictSame(peer.statuses, ['180 INVITE'], 'one at a time');
  const first = peer.response(180);
  t.strictSame(first.require, ['100rel']);
  clock.advance(1500);
  t.strictSame(peer.statuses, ['180 INVITE', '180 INVITE', '180 INVITE'], 'repeated');
  const To = first.headers.get('To');
  const prack = (seq: number, rack: string): void => {
    peer.say(head('PRACK', { To, CSeq: `${String(seq)} PRACK`, RAck: rack }));
    clock.advance(1);
  };
  prack(2, `${String((first.rseq ?? 0) + 1)} 1 INVITE`);
  t.equal(peer.statuses.at(-1), '481 PRACK', 'another one');
  prack(3, `${String(first.rseq)} 1 INVITE`);
  t.strictSame(peer.statuses.slice(-2), ['200 PRACK', '183 INVITE']);
  const second = peer.response(183);
  t.equal(second.rseq, (first.rseq ?? 0) + 1);
  const session = invite?.accept(SDP);
  clock.advance(1);
  t.equal(session?.state, 'accepted');
  t.equal(peer.statuses.at(-1), '183 INVITE', 'no 2xx while a description is not acknowledged');
  prack(4, `${String(second.rseq)} 1 INVITE`);
  t.strictSame(peer.statuses.slice(-2), ['200 PRACK', '200 INVITE']);
  peer.say(head('ACK', { To, CSeq: '1 ACK' }));
  clock.advance(1);
  t.equal(session?.state, 'confirmed');
  prack(5, `${String(second.rseq)} 1 INVITE`);
  t.equal(peer.statuses.at(-1), '481 PRACK', 'acknowledged before');
  session?.close();
  clock.advance(1);
  peer.answer(peer.request('BYE'), 200);
  clock.advance(70_000);
  t.equal(agent.counts.dialogs, 0);
  t.equal(clock.waiting, 0);
  t.end();
});

t.test('RFC 3262 §5: descriptions in PRACK: the answer to ours, or a new offer', async (t) => {
  const sdp = { 'Content-Type': 'application/sdp' };
  for (const offerless of [true, false]) {
    const invites: IncomingInvite[] = [];
    const heard: boolean[] = [];
    let answer: ((answer: { status: number; contentType: string; body: string }) => void) | undefined;
    const { peer, clock } = stage({ onInvite: (invite) => void invites.push(invite) });
    const supported = { Supported: '100rel' };
    peer.say(offerless ? head('INVITE', supported) : `${head('INVITE', { ...supported, ...sdp })}\n\nv=0`);
    clock.advance(1);
    invites[0]?.ring({ status: 183, ...SDP }, ({ offer }) => {
      heard.push(offer);
      return offer ? new Promise((resolve) => (answer = resolve)) : { status: 200 };
    });
    clock.advance(1);
    const { rseq, headers } = peer.response(183);
    const To = headers.get('To');
    peer.say(`${head('PRACK', { To, CSeq: '2 PRACK', RAck: `${String(rseq)} 1 INVITE`, ...sdp })}\n\nv=0 again`);
    clock.advance(1);
    t.strictSame(heard, [!offerless]);
    invites[0]?.accept(offerless ? {} : SDP);
    clock.advance(1);
    if (!offerless) {
      t.equal(peer.statuses.at(-1), '183 INVITE', 'no 2xx to the INVITE while the offer in the PRACK has no answer');
      answer?.({ status: 200, contentType: 'application/sdp', body: 'v=0 answer' });
      await new Promise(setImmediate);
      clock.advance(1);
    }
    t.strictSame(peer.statuses.slice(-2), ['200 PRACK', '200 INVITE']);
    const prack = peer.responses.find(({ cseq }) => cseq.method === 'PRACK');
    t.equal(Buffer.from(prack?.body ?? '').toString(), offerless ? '' : 'v=0 answer');
  }

  const refused = stage({
    onInvite: (invite) => {
      invite.ring({ status: 183, ...SDP });
    },
  });
  refused.peer.say(`${head('INVITE', { Supported: '100rel', ...sdp })}\n\nv=0`);
  refused.clock.advance(1);
  const { rseq, headers } = refused.peer.response(183);
  const rack = { To: headers.get('To'), CSeq: '2 PRACK', RAck: `${String(rseq)} 1 INVITE` };
  refused.peer.say(`${head('PRACK', { ...rack, ...sdp })}\n\nv=0`);
  refused.clock.advance(10_000);
  t.strictSame(refused.peer.statuses, ['183 INVITE', '488 PRACK'], 'nobody takes the offer; repeated no more');
  t.end();
});

t.test(
  'RFC 3311 §5.2: an early UPDATE with an offer is answered once the exchange before it is complete',
  async (t) => {
    for (const offerless of [true, false]) {
      const invites: IncomingInvite[] = [];
      const heard: string[] = [];
      const answers: ((answer: Answer) => void)[] = [];
      const { peer, clock } = stage({ onInvite: (invite) => void invites.push(invite) });
      const sdp = { 'Content-Type': 'application/sdp' };
      const allows = { Supported: '100rel, timer', 'Session-Expires': '90;refresher=uas' };
      peer.say(offerless ? head('INVITE', allows) : `${head('INVITE', { ...allows, ...sdp })}\n\nv=1`);
      clock.advance(1);
      invites[0]?.ring(180);
      clock.advance(1);
      const To = peer.response(180).headers.get('To');
      const say = async (method: string, seq: number, more: Record<string, string> = {}): Promise<string> => {
        const text = head(method, { To, CSeq: `${String(seq)} ${method}`, ...more });
        peer.say(more['Content-Type'] === undefined ? text : `${text}\n\nv=${String(seq)}`);
        clock.advance(1);
        await new Promise(setImmediate);
        clock.advance(1);
        return peer.statuses.at(-1) ?? '';
      };
      t.equal(await say('UPDATE', 2, sdp), '500 UPDATE', 'nothing is answered yet');
      invites[0]?.ring({ status: 183, ...SDP }, ({ request, offer }) => {
        heard.push(`${request.method} ${String(offer)} ${String(request.body)}`);
        return offer ? new Promise((resolve) => answers.push(resolve)) : { status: 200 };
      });
      clock.advance(1);
      if (offerless) t.equal(await say('UPDATE', 3, sdp), '491 UPDATE', 'ours has no answer yet');
      const { rseq } = peer.response(183);
      t.equal(await say('PRACK', 4, { RAck: `${String(rseq)} 1 INVITE`, ...(offerless ? sdp : {}) }), '200 PRACK');
      invites[0]?.ring(180);
      await say('UPDATE', 5, { ...sdp, Contact: '<sip:moved@10.0.0.1>' });
      t.strictSame(heard, [...(offerless ? ['PRACK false v=4'] : []), 'UPDATE true v=5']);
      t.equal(await say('UPDATE', 6, sdp), '500 UPDATE', 'one after another');
      const session = invites[0]?.accept({});
      clock.advance(1);
      t.notOk(peer.statuses.includes('200 INVITE'), 'no 2xx while an offer has no answer');
      answers[0]?.({ status: 200, contentType: 'application/sdp', body: 'v=ours' });
      await new Promise(setImmediate);
      clock.advance(1);
      t.strictSame(peer.statuses.slice(-2), ['200 UPDATE', '200 INVITE']);
      const answered = peer.responses.findLast(({ cseq }) => cseq.method === 'UPDATE');
      t.equal(String(answered?.body), 'v=ours');
      t.ok(answered?.contact);
      await say('ACK', 1);
      t.match(session?.dialog.remoteTarget, { user: 'moved' });
      clock.advance(46_000);
      t.equal(String(peer.request('INVITE').body), 'v=ours', 'RFC 4028 §7.4: the session is refreshed as it is');
    }
    const invites: IncomingInvite[] = [];
    const { peer, clock } = stage({ onInvite: (invite) => void invites.push(invite) });
    peer.say(`${head('INVITE', { Require: '100rel', 'Content-Type': 'application/sdp' })}\n\nv=1`);
    clock.advance(1);
    invites[0]?.ring({ status: 183, ...SDP });
    clock.advance(1);
    const To = peer.response(183).headers.get('To');
    const offer = (seq: number): void => {
      peer.say(`${head('UPDATE', { To, CSeq: `${String(seq)} UPDATE`, 'Content-Type': 'application/sdp' })}\n\nv=2`);
      clock.advance(1);
    };
    const acknowledge = (status: number, seq: number): void => {
      const RAck = `${String(peer.response(status).rseq)} 1 INVITE`;
      peer.say(head('PRACK', { To, CSeq: `${String(seq)} PRACK`, RAck }));
      clock.advance(1);
    };
    offer(2);
    t.equal(peer.statuses.at(-1), '488 UPDATE', 'nobody takes it');
    acknowledge(183, 3);
    let answer: ((answer: Answer) => void) | undefined;
    invites[0]?.ring(180, () => new Promise((resolve) => (answer = resolve)));
    clock.advance(1);
    offer(4);
    invites[0]?.accept({});
    acknowledge(180, 5);
    t.equal(peer.statuses.at(-1), '200 PRACK', 'the UPDATE still has no answer');
    answer?.({ status: 200, ...SDP });
    await new Promise(setImmediate);
    clock.advance(1);
    t.strictSame(peer.statuses.slice(-2), ['200 UPDATE', '200 INVITE']);
  },
);

t.test('RFC 3262 §5: the first reliable response to an INVITE without offer carries ours', (t) => {
  const invites: IncomingInvite[] = [];
  const { peer, clock } = stage({ onInvite: (invite) => void invites.push(invite) });
  peer.say(head('INVITE', { Require: '100rel' }));
  clock.advance(1);
  invites[0]?.ring(180);
  clock.advance(1);
  t.strictSame(peer.statuses, [], 'one without is not sent, and none may be sent unreliably');
  invites[0]?.ring({ status: 183, ...SDP });
  clock.advance(1);
  t.strictSame(peer.statuses, ['183 INVITE']);
  t.strictSame(peer.response(183).require, ['100rel']);
  t.end();
});

t.test('RFC 3262 §3: without PRACK the INVITE is refused; without 100rel nothing is reliable', (t) => {
  const { peer, clock, agent } = stage({
    onInvite: (invite) => {
      invite.ring(180);
    },
  });
  peer.say(`${head('INVITE', { Require: '100rel', 'Content-Type': 'application/sdp' })}\n\nv=0`);
  clock.advance(32_001);
  t.equal(peer.response(504).status, 504);
  t.equal(agent.counts.pendingInvites, 0);
  const plain = stage({
    onInvite: (invite) => {
      invite.ring({ status: 183, ...SDP });
    },
  });
  plain.peer.say(head('INVITE'));
  plain.clock.advance(5000);
  t.strictSame(plain.peer.statuses, ['183 INVITE']);
  t.equal(plain.peer.response(183).rseq, undefined);
  t.end();
});
