import t from 'tap';
import {
  formatMessage,
  createResponse,
  parseMessage,
  SipError,
  type SipMessage,
  UserAgent,
  type InviteSession,
  parseNameAddr,
  parseUri,
} from '../../sip/index.ts';
import { CORPUS, mutate, newRandom } from '../properties/sip-corpus.ts';
import { FakeClock, Network } from './network.ts';
import { head } from './raw-peer.ts';

const CONFERENCE = {
  name: 'conference',
  defaultExpires: 600,
  minExpires: 60,
  maxExpires: 600,
  pacing: 100,
  contentTypes: ['text/plain'],
};

const METHODS = [
  'INVITE',
  'SUBSCRIBE',
  'REFER',
  'MESSAGE',
  'OPTIONS',
  'BYE',
  'CANCEL',
  'ACK',
  'UPDATE',
  'NOTIFY',
  'INFO',
];

/** A plain request of each method, so that mutations reach what lies behind the parser. */
const REQUESTS = METHODS.map((method) =>
  Buffer.from(
    `${head(method, {
      Via: 'SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK-noise;rport',
      Event: 'conference',
      'Refer-To': '<sip:carol@example.com>',
      'Session-Expires': '1800',
      Supported: 'timer',
    }).replace(/\n/g, '\r\n')}\r\n\r\n`,
  ),
);

/** What else the peer's responses carry, so that mutations reach it. */
const LOADED = {
  headers: [
    { name: 'Contact', value: '<sip:peer@10.0.0.1>' },
    { name: 'Record-Route', value: '<sip:10.0.0.1;lr>' },
    { name: 'Allow', value: 'INVITE, ACK, BYE, UPDATE' },
    { name: 'Session-Expires', value: '1800;refresher=uac' },
    { name: 'Retry-After', value: '5 (soon);duration=3600' },
    { name: 'Min-SE', value: '90' },
  ],
};

/** A refusal repeats From and To as they came: what was malformed there is so in the answer. */
function understood(bytes: Buffer): SipMessage | undefined {
  try {
    return parseMessage(bytes);
  } catch (error) {
    if (error instanceof SipError) return undefined;
    throw error;
  }
}

t.test('100,000 mutations of good messages through the user agent: nothing thrown, nothing left', (t) => {
  const seed = Number(process.env['SIP_NOISE_SEED'] ?? 17);
  const random = newRandom(seed);
  const clock = new FakeClock();
  const network = new Network({ clock });
  const bugs: string[] = [];
  const sessions: InviteSession[] = [];
  const agent = new UserAgent(
    {
      transport: network.host('10.0.0.2'),
      clock,
      events: [CONFERENCE],
      log: { info: () => undefined, warn: () => undefined, error: (line) => bugs.push(line) },
    },
    {
      onInvite: (invite) => {
        if (random(2) === 0) invite.ring(180);
        if (random(4) > 0) {
          const session = invite.accept({ contentType: 'application/sdp', body: 'v=0' });
          if (session !== undefined) sessions.push(session);
        } else invite.refuse({ status: 486 });
      },
      onSubscribe: (subscribe) =>
        void subscribe.accept({ resource: 'room', content: () => ({ contentType: 'text/plain', body: 'x' }) }),
      onRefer: (refer) => refer.accept()?.report(200),
      onMessage: () => ({ status: 200 }),
      onInfo: () => {
        throw new SipError(415, 'no');
      },
    },
  );
  // A peer that answers some of what it hears, with faults of its own.
  const answered = network.host('10.0.0.1')({
    receive: (bytes, flow) => {
      const message = understood(bytes);
      if (message === undefined) return;
      const base =
        message.kind === 'request'
          ? [formatMessage(createResponse(message, [200, 180, 481, 500][random(4)] ?? 200, LOADED))]
          : [bytes];
      flow.send(random(2) === 0 ? mutate(random, base) : (base[0] ?? bytes));
    },
    unframeable: () => undefined,
    flowClosed: () => undefined,
  });
  const flow = network.hosts.get('10.0.0.2')?.flowTo('10.0.0.1');
  if (flow === undefined) throw new Error('no flow');
  for (let i = 0; i < 100_000; i++) {
    const bytes = mutate(random, i % 3 === 0 ? CORPUS : REQUESTS);
    try {
      agent.receive(bytes, flow);
      if (i % 100 === 0) {
        agent.changed('conference', 'room');
        sessions.pop()?.reInvite({}, () => undefined);
        agent.invite(
          { uri: parseUri('sip:peer@10.0.0.1'), from: parseNameAddr('<sip:room@10.0.0.2>') },
          { onAccepted: () => undefined, onFailed: () => undefined },
        );
      }
      clock.advance(random(20));
    } catch (error) {
      t.comment(`SIP_NOISE_SEED=${String(seed)}, mutation ${String(i)}: ${JSON.stringify(bytes.toString('latin1'))}`);
      throw error;
    }
  }
  t.ok(answered);
  // What a peer has taken up by good luck ends by its timers.
  network.hosts.delete('10.0.0.1');
  clock.advance(2 * 3600 * 1000);
  t.strictSame(bugs, [], 'no handler and no part of ours has thrown');
  t.strictSame(agent.counts, {
    serverTransactions: 0,
    clientTransactions: 0,
    dialogs: 0,
    subscriptions: 0,
    pendingInvites: 0,
  });
  t.equal(clock.waiting, 0, 'no timer is left');
  t.end();
});
