import { mock } from 'node:test';
import t from 'tap';
import {
  createResponse,
  formatMessage,
  type HeaderLine,
  type InviteSession,
  type OutgoingInviteHandlers,
  type Outcome,
  SipError,
  type SipRequest,
  systemClock,
  type UserAgent,
} from '../../sip/index.ts';
import { head, type RawPeer } from './raw-peer.ts';
import { BOB, callFrom, ROOM, SDP, stage } from './stage.ts';

/*
 * What peers send that cannot be read where it matters, and what applications throw: neither may leave anything
 * half-done, and nobody else may notice.
 */

function throws(): never {
  throw new Error('a bug of the application');
}

// ------------------------------------------------------------------------------------- what peers send

t.test('an answer that comes later meets what cannot be read: the peer is refused, the application is told', (t) => {
  for (const [name, value, status] of [
    ['Record-Route', '<<<', 400],
    ['Min-SE', 'x', 400],
    ['Session-Expires', '60', 422],
  ] as const) {
    const made = stage({
      onInvite: (invite) => {
        made.clock.after(50, () => {
          if (name !== 'Session-Expires') invite.ring(180);
          answered.push(invite.accept(SDP));
        });
      },
    });
    const answered: unknown[] = [];
    made.peer.say(head('INVITE', { Supported: 'timer', [name]: value }));
    made.clock.advance(100);
    t.strictSame(answered, [undefined], name);
    t.equal(made.peer.responses.at(-1)?.status, status, name);
    t.equal(made.agent.counts.dialogs, 0);
    t.equal(made.agent.counts.pendingInvites, 0);
  }
  const subscribed: unknown[] = [];
  const made = stage(
    {
      onSubscribe: (subscribe) => {
        made.clock.after(50, () => subscribed.push(subscribe.accept({ resource: 'room', content: () => ({}) })));
      },
      onRefer: (refer) => {
        made.clock.after(50, () => subscribed.push(refer.accept()));
      },
    },
    {
      events: [
        { name: 'conference', defaultExpires: 60, minExpires: 1, maxExpires: 60, pacing: 0, contentTypes: ['a/b'] },
      ],
    },
  );
  made.peer.say(head('SUBSCRIBE', { Event: 'conference', 'Record-Route': '<<<' }));
  made.peer.say(head('REFER', { 'Call-ID': 'other', 'Refer-To': '<sip:x@y>', 'Record-Route': '<<<' }));
  made.clock.advance(100);
  t.strictSame(subscribed, [undefined, undefined]);
  t.strictSame(made.peer.statuses, ['400 SUBSCRIBE', '400 REFER']);
  t.end();
});

t.test('RFC 3261 §8.2.2: what cannot be read and is not needed is left aside', (t) => {
  for (const [method, lines] of [
    ['INVITE', { Allow: '"', 'User-Agent': 'one\nUser-Agent: two', Expires: 'soon' }],
    ['SUBSCRIBE', { Allow: '"', 'User-Agent': 'one\nUser-Agent: two', Event: 'conference' }],
  ] as const) {
    const heard: (string | undefined)[] = [];
    const {
      peer,
      clock,
      agent,
      lines: log,
    } = stage(
      {
        onInvite: (invite) => {
          heard.push(invite.request.userAgent);
          invite.refuse({ status: 486 });
        },
        onSubscribe: (subscribe) => {
          heard.push(subscribe.request.userAgent);
          subscribe.refuse({ status: 486 });
        },
      },
      {
        events: [
          { name: 'conference', defaultExpires: 60, minExpires: 1, maxExpires: 60, pacing: 0, contentTypes: ['a/b'] },
        ],
      },
    );
    peer.say(head(method, lines));
    clock.advance(1);
    t.strictSame(peer.statuses, [`486 ${method}`]);
    t.strictSame(heard, [undefined]);
    t.equal(log.filter((line) => line.startsWith('left aside')).length, method === 'INVITE' ? 3 : 2);
    agent.transactions.drop();
  }
  t.end();
});

/** Answers by hand: with header lines that no library would write. */
function answerWith(peer: RawPeer, request: SipRequest, status: number, ...lines: readonly HeaderLine[]): string {
  const response = createResponse(request, status, { toTag: 'bob', contact: peer.contact, headers: lines });
  for (const { name, value } of lines) response.headers.set(name, value);
  return formatMessage(response).toString();
}

t.test('what of a response cannot be read counts as absent: a 2xx is acknowledged, a failure is told', (t) => {
  for (const name of ['Session-Expires', 'Allow', 'Record-Route', 'Contact', 'Require', 'Content-Type']) {
    const { agent, clock, peer } = stage();
    const heard: string[] = [];
    agent.invite(
      { uri: BOB, from: ROOM },
      { onAccepted: () => void heard.push('accepted'), onFailed: () => heard.push('failed') },
    );
    clock.advance(1);
    const response = answerWith(peer, peer.request('INVITE'), 200, { name, value: '"<<' });
    for (const _ of [1, 2, 3]) agent.receive(Buffer.from(response), agentFlow(agent));
    clock.advance(1);
    t.strictSame(heard, ['accepted'], name);
    t.equal(peer.requests.filter(({ method }) => method === 'ACK').length, 3, `${name}: each is acknowledged`);
    t.equal(agent.counts.dialogs, 1);
  }
  for (const [status, name] of [
    [401, 'WWW-Authenticate'],
    [302, 'Contact'],
    [422, 'Min-SE'],
  ] as const) {
    const { agent, clock, peer } = stage();
    const heard: string[] = [];
    const note = (outcome: Outcome): void => {
      heard.push(outcome.is === 'response' ? String(outcome.response.status) : outcome.reason);
    };
    const credentials = (): { username: string; password: string } => ({ username: 'a', password: 'b' });
    agent.invite({ uri: BOB, from: ROOM, credentials, redirects: 3 }, { onAccepted: () => undefined, onFailed: note });
    clock.advance(1);
    agent.receive(
      Buffer.from(answerWith(peer, peer.request('INVITE'), status, { name, value: '"<<' })),
      agentFlow(agent),
    );
    clock.advance(1);
    t.strictSame(heard, [String(status)], name);
  }
  t.end();
});

function agentFlow(agent: UserAgent): Parameters<UserAgent['receive']>[1] {
  const flows: Parameters<UserAgent['receive']>[1][] = [];
  agent.transport.connect({ transport: 'UDP', remote: { address: '10.0.0.1', port: 5060 }, serverName: '' }, (flow) => {
    if (!('failed' in flow)) flows.push(flow);
  });
  const [flow] = flows;
  if (flow === undefined) throw new Error('no flow');
  return flow;
}

t.test('a time longer than a timer of the system can be is waited for', (t) => {
  mock.timers.enable({ apis: ['setTimeout'] });
  t.teardown(() => {
    mock.timers.reset();
  });
  let fired = 0;
  const longest = 2 ** 31 - 1;
  const timer = systemClock.after(3 * longest, () => fired++);
  // More than this in one timer of the system fires at once.
  for (const ms of [1, longest - 1, longest, longest - 1]) {
    mock.timers.tick(ms);
    t.equal(fired, 0);
  }
  mock.timers.tick(1);
  t.equal(fired, 1);
  timer.stop();
  systemClock.after(3 * longest, () => fired++).stop();
  mock.timers.tick(longest);
  mock.timers.tick(longest);
  mock.timers.tick(longest);
  t.equal(fired, 1, 'one that was stopped does not');
  t.end();
});

t.test('RFC 4028 §5, §9: nobody makes us refresh more often than every 45 seconds, or later than we asked', (t) => {
  for (const [seconds, refreshed] of [
    ['1', 45_000],
    ['4294967295', 900_000],
  ] as const) {
    const { agent, clock, peer } = stage();
    agent.invite({ uri: BOB, from: ROOM, ...SDP }, { onAccepted: () => undefined, onFailed: () => undefined });
    clock.advance(1);
    const value = `${seconds};refresher=uac`;
    peer.answer(peer.request('INVITE'), 200, { toTag: 'bob', headers: [{ name: 'Session-Expires', value }] });
    clock.advance(refreshed - 10);
    t.equal(peer.requests.filter(({ method }) => method === 'INVITE').length, 1, `${seconds}: not yet`);
    clock.advance(20);
    t.equal(peer.requests.filter(({ method }) => method === 'INVITE').length, 2, `${seconds}: now`);
  }
  const made = stage({ onInvite: (invite) => void invite.accept(SDP) });
  callFrom(made, { 'Session-Expires': '1' });
  made.clock.advance(40_000);
  t.strictSame(made.peer.requests, [], 'of a peer that does not know the extension');
  made.clock.advance(5_010);
  t.equal(made.peer.requests.length, 1);
  t.end();
});

t.test('RFC 3261 §13.3.1: an INVITE that has expired gets 487', (t) => {
  const made = stage({
    onInvite: (invite) => {
      invite.ring(180);
      invite.signal.addEventListener('abort', () => states.push(invite.state.is));
    },
  });
  const states: string[] = [];
  made.peer.say(head('INVITE', { Expires: '20' }));
  made.clock.advance(19_000);
  t.strictSame(states, []);
  made.clock.advance(1_100);
  t.strictSame(states, ['cancelled']);
  t.equal(made.peer.responses.at(-1)?.status, 487);
  t.equal(made.agent.counts.pendingInvites, 0);
  const answered = stage({ onInvite: (invite) => void invite.accept(SDP) });
  callFrom(answered, { Expires: '20' });
  answered.clock.advance(60_000);
  t.equal(answered.agent.counts.dialogs, 1, 'of one that was answered it means nothing');
  t.end();
});

t.test('limits of subscriptions hold for REFERs too', (t) => {
  const made = stage(
    { onInvite: (invite) => void invite.accept(SDP), onRefer: (refer) => void refer.accept() },
    { limits: { subscriptionsPerDialog: 2 } },
  );
  const inDialog = callFrom(made);
  for (const seq of [2, 3, 4]) made.peer.say(`${inDialog('REFER', seq)}\nRefer-To: <sip:x@y>`);
  made.clock.advance(1);
  t.strictSame(made.peer.statuses.slice(1), ['200 REFER', '200 REFER', '503 REFER']);
  made.peer.say(`${inDialog('REFER', 5)}\nRefer-To: <sip:x@y>\nRefer-Sub: false`);
  made.clock.advance(1);
  t.equal(made.peer.statuses.at(-1), '200 REFER', 'one without subscription is served');
  t.end();
});

t.test('RFC 3261 §14.1: a re-INVITE of ours goes on when that of the peer is cancelled', (t) => {
  let session: InviteSession | undefined;
  const made = stage({
    onInvite: (invite) => {
      session = invite.accept({ ...SDP, session: { onOffer: () => new Promise(() => undefined) } });
    },
  });
  const { peer, clock } = made;
  const inDialog = callFrom(made);
  const reInvite = `${inDialog('INVITE', 2)}\nContent-Type: application/sdp`;
  peer.say(`${reInvite}\n\nv=0`);
  clock.advance(1);
  session?.reInvite(SDP, () => undefined);
  peer.say(
    reInvite
      .replace('INVITE sip', 'CANCEL sip')
      .replace('2 INVITE', '2 CANCEL')
      .replace('\nContent-Type: application/sdp', ''),
  );
  clock.advance(1);
  t.strictSame(peer.statuses.slice(1), ['200 CANCEL', '487 INVITE']);
  t.strictSame(
    peer.requests.map(({ method }) => method),
    ['INVITE'],
  );
  t.end();
});

t.test('limit of the branches of one INVITE of ours: no more are acknowledged and ended', (t) => {
  const { agent, clock, peer } = stage({}, { limits: { branches: 5 } });
  agent.invite({ uri: BOB, from: ROOM }, { onAccepted: () => undefined, onFailed: () => undefined });
  clock.advance(1);
  const invite = peer.request('INVITE');
  for (let branch = 0; branch < 50; branch++) peer.answer(invite, 200, { toTag: `branch-${String(branch)}` });
  clock.advance(1);
  const count = (method: string): number => peer.requests.filter((request) => request.method === method).length;
  t.equal(count('ACK'), 5);
  t.equal(count('BYE'), 4);
  t.end();
});

// ------------------------------------------------------------------------------------- what applications throw

t.test('what is thrown when an outcome is told is logged, and nothing else happens', (t) => {
  const { agent, clock, peer, bugs } = stage();
  agent.request({ method: 'OPTIONS', uri: BOB, from: ROOM }, throws);
  agent.invite({ uri: BOB, from: ROOM }, { onAccepted: () => undefined, onFailed: throws });
  clock.advance(40_000);
  t.match(bugs, [/a bug of the application/, /a bug of the application/]);
  const ringing: OutgoingInviteHandlers = { onProgress: throws, onAccepted: () => undefined, onFailed: throws };
  const invite = agent.invite({ uri: BOB, from: ROOM }, ringing);
  clock.advance(1);
  peer.answer(peer.request('INVITE'), 180, { toTag: 'bob' });
  clock.advance(1);
  t.equal(bugs.length, 3);
  t.equal(invite.state.is, 'proceeding');
  t.end();
});

t.test('a credentials function that throws leaves the 401 final', (t) => {
  const { agent, clock, peer, bugs } = stage();
  const heard: Outcome['is'][] = [];
  agent.request({ method: 'OPTIONS', uri: BOB, from: ROOM, credentials: throws }, ({ is }) => heard.push(is));
  clock.advance(1);
  const headers = [{ name: 'WWW-Authenticate', value: 'Digest realm="r", nonce="n", qop="auth", algorithm=MD5' }];
  peer.answer(peer.request('OPTIONS'), 401, { headers });
  clock.advance(1);
  t.strictSame(heard, ['response']);
  t.match(bugs, [/a bug of the application/]);
  t.end();
});

t.test('what is thrown within a session leaves the session as it should be', (t) => {
  let session: InviteSession | undefined;
  const made = stage({
    onInvite: (invite) => void (session = invite.accept({ ...SDP, session: { onEnded: throws } })),
  });
  const { clock, peer, bugs, agent } = made;
  callFrom(made);
  const last = (method: string): SipRequest => peer.request(method);
  session?.reInvite(SDP, throws, throws);
  clock.advance(1);
  peer.answer(last('INVITE'), 200);
  clock.advance(1);
  t.equal(last('ACK').cseq.seq, last('INVITE').cseq.seq, 'acknowledged all the same');
  session?.reInvite(SDP, throws);
  clock.advance(1);
  t.equal(peer.requests.filter(({ method }) => method === 'INVITE').length, 2, 'the next one goes on');
  peer.answer(last('INVITE'), 200);
  session?.update(SDP, throws);
  clock.advance(1);
  peer.answer(last('UPDATE'), 200);
  clock.advance(1);
  session?.request('INFO', {}, throws);
  clock.advance(1);
  peer.answer(last('INFO'), 481);
  clock.advance(1);
  t.equal(bugs.length, 6, 'reInvite, its ack, reInvite, update, request, onEnded');
  t.equal(session?.state, 'ended', '481 has ended it');
  t.equal(agent.counts.dialogs, 0);
  t.end();
});

t.test('what is thrown around a NOTIFY ends its subscription at most, and no other', (t) => {
  const made = stage(
    {
      onSubscribe: (subscribe) => {
        const odd = subscribe.request.callId === 'odd';
        subscribe.accept({
          resource: 'room',
          content: (cause) =>
            odd && cause !== 'subscribed' ? { headers: [{ name: 'Subject', value: 'two\r\nlines' }] } : {},
          ...(odd ? { onEnded: throws } : undefined),
        });
      },
    },
    {
      events: [
        { name: 'conference', defaultExpires: 60, minExpires: 1, maxExpires: 60, pacing: 0, contentTypes: ['a/b'] },
      ],
    },
  );
  const { peer, clock, agent, bugs } = made;
  for (const callId of ['odd', 'good']) peer.say(head('SUBSCRIBE', { Event: 'conference', 'Call-ID': callId }));
  clock.advance(1);
  for (const notify of peer.requests) peer.answer(notify, 200);
  clock.advance(1);
  agent.changed('conference', 'room');
  clock.advance(20);
  t.strictSame(
    peer.requests.map(({ callId }) => callId),
    ['odd', 'good', 'odd', 'good'],
  );
  t.equal(peer.requests[2]?.headers.get('Subscription-State'), 'terminated;reason=giveup');
  t.equal(bugs.length, 3, 'the content, twice, and onEnded');
  t.equal(agent.counts.subscriptions, 1);
  t.end();
});

t.test('a header that would be two lines is refused before anything waits for it', (t) => {
  let session: InviteSession | undefined;
  const made = stage({ onInvite: (invite) => void (session = invite.accept(SDP)) });
  callFrom(made);
  const headers = [{ name: 'Subject', value: 'two\r\nlines' }];
  session?.request('INFO', {}, () => undefined);
  t.throws(() => session?.request('INFO', { headers }, () => undefined), /line break/);
  made.clock.advance(1);
  made.peer.answer(made.peer.request('INFO'), 200);
  session?.request('MESSAGE', {}, () => undefined);
  made.clock.advance(1);
  t.equal(made.peer.request('MESSAGE').method, 'MESSAGE', 'what comes after it has its turn');
  t.end();
});

t.test(
  'a refusal leaves one line in the log, with the flow, the Call-ID and the reason; a challenge leaves none',
  (t) => {
    const lines: { readonly text: string; readonly fields: unknown }[] = [];
    const note = (text: string, fields?: unknown): void => void lines.push({ text, fields });
    const warning = { name: 'Warning', value: '399 10.0.0.2 "no line of the offer can be used"' };
    const made = stage(
      {
        onInvite: (invite) => {
          invite.refuse({ status: invite.request.callId === 'challenge' ? 401 : 488, headers: [warning] });
        },
        onMessage: ({ request }) => {
          if (request.callId === 'challenge-too') throw new SipError(401, 'who are you?');
          throw new SipError(415, 'no such type here');
        },
      },
      { log: { info: note, warn: note, error: note } },
    );
    for (const [method, id] of [
      ['INVITE', 'challenge'],
      ['INVITE', 'call'],
      ['MESSAGE', 'challenge-too'],
      ['MESSAGE', 'text'],
    ] as const) {
      made.peer.say(head(method, { 'Call-ID': id }));
      made.clock.advance(1);
    }
    t.match(
      lines,
      [
        { text: /^refused 488: 399 .*no line of the offer/, fields: { callId: 'call', method: 'INVITE', flow: /./ } },
        { text: /^refused 415: no such type here/, fields: { callId: 'text', method: 'MESSAGE' } },
      ],
      'one line each',
    );
    t.equal(lines.length, 2);
    t.end();
  },
);
