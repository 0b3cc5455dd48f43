import t from 'tap';
import {
  type Answer,
  type IncomingRefer,
  type IncomingSubscribe,
  type NotifyCause,
  parseUri,
  type ReferProgress,
  type Subscription,
  type SubscriptionEnd,
  type SubscriptionParts,
  type UserAgentHandlers,
  type UserAgentOptions,
} from '../../sip/index.ts';
import type { NetworkOptions } from './network.ts';
import { head, RawPeer } from './raw-peer.ts';
import { stage, type Stage } from './stage.ts';
import { Subscriber } from './subscriber.ts';

const ROOM = parseUri('sip:room@10.0.0.2');
const TYPE = 'application/conference-info+xml';
const CONFERENCE = {
  name: 'conference',
  defaultExpires: 1800,
  minExpires: 60,
  maxExpires: 3600,
  pacing: 5000,
  contentTypes: [TYPE],
};

interface Granting extends Stage {
  readonly subscriber: Subscriber;
  readonly asked: IncomingSubscribe[];
  readonly subscriptions: Subscription[];
  readonly causes: NotifyCause[];
  readonly ended: SubscriptionEnd[];
}

/** An agent that grants every subscription, and a subscriber. */
function granting(
  parts: Partial<SubscriptionParts> = {},
  options: Partial<UserAgentOptions> = {},
  handlers: Partial<UserAgentHandlers> = {},
  wires: Partial<NetworkOptions> = {},
): Granting {
  const asked: IncomingSubscribe[] = [];
  const subscriptions: Subscription[] = [];
  const causes: NotifyCause[] = [];
  const ended: SubscriptionEnd[] = [];
  const made = stage(
    {
      onSubscribe: (subscribe) => {
        asked.push(subscribe);
        const made = subscribe.accept({
          resource: 'room',
          content: (cause) => {
            causes.push(cause);
            return { contentType: TYPE, body: cause };
          },
          onEnded: (end) => ended.push(end),
          ...parts,
        });
        if (made !== undefined) subscriptions.push(made);
      },
      ...handlers,
    },
    { events: [CONFERENCE], ...options },
    wires,
  );
  const subscriber = new Subscriber(made.network, made.clock, '10.0.0.1', '10.0.0.2', ROOM);
  return { ...made, subscriber, asked, subscriptions, causes, ended };
}

const stateOf = (notify: { headers: { get: (name: string) => string | undefined } } | undefined): string | undefined =>
  notify?.headers.get('Subscription-State');

t.test('RFC 6665 §4.2.1.2: 200 with Contact and Expires, then NOTIFY', (t) => {
  const order: string[] = [];
  const { clock, subscriber, agent, asked } = granting(
    {},
    {},
    {},
    {
      seen: ({ bytes, from }) => {
        if (from === '10.0.0.2') order.push(bytes.toString('latin1').split(' ')[0] ?? '');
      },
    },
  );
  subscriber.subscribe(600);
  clock.advance(1);
  t.strictSame(order, ['SIP/2.0', 'NOTIFY']);
  const [response] = subscriber.responses;
  t.equal(response?.status, 200);
  t.equal(response?.expires, 600);
  t.equal(response?.headers.get('Contact'), '<sip:room@10.0.0.2:5060>');
  t.equal(asked[0]?.expires, 600);
  const [notify] = subscriber.notifies;
  t.equal(stateOf(notify), 'active;expires=600');
  t.equal(notify?.headers.get('Event'), 'conference');
  t.equal(notify?.headers.get('Contact'), '<sip:room@10.0.0.2:5060>', '§8.3: mandatory');
  t.equal(notify?.headers.get('Content-Type'), TYPE);
  t.equal(agent.counts.subscriptions, 1);
  t.end();
});

t.test('RFC 6665 §4.2.1.1: 489, 423, 406; RFC 3515 §2.4.4: 403 for refer', (t) => {
  const refused = (expires: number | undefined, headers: Record<string, string>, status: number): Subscriber => {
    const { clock, subscriber, asked } = granting();
    subscriber.subscribe(expires, headers);
    clock.advance(1);
    t.equal(subscriber.responses[0]?.status, status);
    t.equal(asked.length, 0);
    return subscriber;
  };
  t.strictSame(refused(600, { Event: 'presence' }, 489).responses[0]?.allowEvents, ['conference']);
  t.equal(refused(30, {}, 423).responses[0]?.minExpires, 60);
  refused(600, { Accept: 'application/pidf+xml' }, 406);
  refused(600, { Event: 'refer' }, 403);
  const { clock, subscriber } = granting();
  subscriber.subscribe(undefined, { Accept: 'application/*' });
  clock.advance(1);
  t.equal(subscriber.responses[0]?.expires, 1800, 'the default of the package');
  const long = granting();
  long.subscriber.subscribe(100_000);
  long.clock.advance(1);
  t.equal(long.subscriber.responses[0]?.expires, 3600, 'never more than its maximum');
  t.end();
});

t.test('RFC 6665 §4.4.3: a fetch gets the state once', (t) => {
  const { clock, subscriber, agent, ended, causes } = granting();
  subscriber.subscribe(0);
  clock.advance(1);
  t.strictSame(subscriber.notifies.map(stateOf), ['terminated;reason=timeout']);
  t.strictSame(causes, ['terminated']);
  t.strictSame(ended, ['unsubscribed']);
  t.equal(agent.counts.dialogs, 0);
  t.end();
});

t.test(
  'RFC 6665 §4.1.3: who may not watch any longer is told so when he refreshes; to end it is always allowed',
  (t) => {
    let allowed = true;
    const mayRefresh = (): Answer | undefined => (allowed ? undefined : { status: 403, reason: 'No Longer' });
    const { clock, subscriber, ended, agent } = granting({ mayRefresh });
    subscriber.subscribe(600);
    clock.advance(1);
    subscriber.subscribe(600);
    clock.advance(1);
    t.equal(subscriber.responses.at(-1)?.status, 200);
    allowed = false;
    subscriber.subscribe(600);
    clock.advance(1);
    t.equal(subscriber.responses.at(-1)?.status, 403);
    t.equal(stateOf(subscriber.notifies.at(-1)), 'terminated;reason=rejected');
    t.strictSame(ended, ['rejected']);
    t.equal(agent.counts.subscriptions, 0);
    const other = granting({ mayRefresh });
    other.subscriber.subscribe(600);
    other.clock.advance(1);
    other.subscriber.subscribe(0);
    other.clock.advance(1);
    t.equal(other.subscriber.responses.at(-1)?.status, 200);
    t.equal(stateOf(other.subscriber.notifies.at(-1)), 'terminated;reason=timeout');
    t.end();
  },
);

t.test('RFC 6665 §4.2.1.4: refresh, expiry, unsubscribe', (t) => {
  const { clock, subscriber, ended, causes, asked, agent } = granting();
  subscriber.subscribe(600);
  clock.advance(500_000);
  subscriber.subscribe(600);
  clock.advance(1);
  t.equal(asked.length, 1, 'a refresh asks nobody');
  t.strictSame(causes, ['subscribed', 'refreshed']);
  subscriber.subscribe(10);
  clock.advance(1);
  t.equal(subscriber.responses.at(-1)?.status, 423);
  clock.advance(600_000);
  t.equal(stateOf(subscriber.notifies.at(-1)), 'terminated;reason=timeout');
  t.strictSame(ended, ['timeout']);
  t.strictSame(agent.counts.subscriptions, 0);
  subscriber.subscribe(600);
  clock.advance(1);
  t.equal(subscriber.responses.at(-1)?.status, 481, 'it is over');

  const other = granting();
  other.subscriber.subscribe(600);
  other.clock.advance(1);
  other.subscriber.subscribe(0);
  other.clock.advance(1);
  t.strictSame(
    other.subscriber.responses.map(({ status, expires }) => [status, expires]),
    [
      [200, 600],
      [200, 0],
    ],
  );
  t.equal(stateOf(other.subscriber.notifies.at(-1)), 'terminated;reason=timeout');
  t.strictSame(other.ended, ['unsubscribed']);
  other.clock.advance(40_000);
  t.equal(other.clock.waiting, 0);
  t.end();
});

t.test('RFC 6665 §4.2.2: one NOTIFY at a time, changes collected, paced', (t) => {
  const { clock, subscriber, agent, causes } = granting();
  subscriber.subscribe(600);
  clock.advance(1);
  agent.changed('conference', 'room');
  clock.advance(1);
  t.strictSame(causes, ['subscribed', 'changed'], 'a first change at once');
  agent.changed('conference', 'room');
  agent.changed('conference', 'room');
  agent.changed('conference', 'another room');
  clock.advance(4900);
  t.equal(causes.length, 2, 'paced');
  clock.advance(200);
  t.strictSame(causes, ['subscribed', 'changed', 'changed'], 'collected');

  subscriber.answer = undefined;
  clock.advance(6000);
  agent.changed('conference', 'room');
  clock.advance(6000);
  agent.changed('conference', 'room');
  clock.advance(6000);
  t.equal(causes.length, 4, 'one under way, not answered');
  t.end();
});

t.test('RFC 6446 §5: max-rate is kept to, told, changed and given up', (t) => {
  const { clock, agent, subscriber, causes } = granting();
  subscriber.subscribe(600, { Event: 'conference;max-rate=0.1' });
  clock.advance(1);
  t.equal(stateOf(subscriber.notifies[0]), 'active;expires=600;max-rate=0.1');
  t.equal(subscriber.notifies[0]?.headers.get('Event'), 'conference');
  agent.changed('conference', 'room');
  clock.advance(9000);
  t.strictSame(causes, ['subscribed'], 'also the first change waits for 1/max-rate');
  clock.advance(1000);
  t.strictSame(causes, ['subscribed', 'changed']);

  agent.changed('conference', 'room');
  subscriber.subscribe(600, { Event: 'conference;max-rate=0.05' });
  clock.advance(1);
  t.strictSame(causes, ['subscribed', 'changed', 'refreshed'], 'a SUBSCRIBE is answered at once');
  agent.changed('conference', 'room');
  clock.advance(19_000);
  t.equal(causes.length, 3);
  clock.advance(1000);
  t.equal(causes.length, 4);

  agent.changed('conference', 'room');
  subscriber.subscribe(600);
  clock.advance(1);
  t.equal(stateOf(subscriber.notifies[4]), 'active;expires=600', 'without it there is no rate but our own');
  agent.changed('conference', 'room');
  clock.advance(5000);
  t.equal(causes.length, 6);
  t.end();
});

t.test('RFC 6446 §5.3: never so slow that nothing comes before the end, never faster than we notify anyway', (t) => {
  const { clock, subscriber } = granting();
  subscriber.subscribe(100, { Event: 'conference;max-rate=0.0001' });
  clock.advance(1);
  t.equal(stateOf(subscriber.notifies[0]), 'active;expires=100;max-rate=0.01');
  subscriber.subscribe(100, { Event: 'conference;max-rate=50' });
  clock.advance(1);
  t.equal(stateOf(subscriber.notifies[1]), 'active;expires=100;max-rate=0.2');
  for (const wrong of ['0', '0.0', '-1', '100', '1e3', '.5', '']) {
    subscriber.subscribe(100, { Event: `conference;max-rate=${wrong === '' ? '""' : wrong}` });
    clock.advance(1);
    t.equal(stateOf(subscriber.notifies.at(-1)), 'active;expires=100', `${wrong} is no rate`);
  }
  t.end();
});

t.test('RFC 6446 §6: min-rate brings the state when nothing happens', (t) => {
  const { clock, agent, subscriber, causes } = granting();
  subscriber.subscribe(600, { Event: 'conference;min-rate=0.05' });
  clock.advance(1);
  t.equal(stateOf(subscriber.notifies[0]), 'active;expires=600;min-rate=0.05');
  clock.advance(20_000);
  t.strictSame(causes, ['subscribed', 'repeated']);
  clock.advance(10_000);
  agent.changed('conference', 'room');
  clock.advance(19_000);
  t.strictSame(causes, ['subscribed', 'repeated', 'changed'], 'counted from the last one');
  clock.advance(1000);
  t.equal(causes.length, 4);

  subscriber.subscribe(600, { Event: 'conference;min-rate=9;max-rate=0.1' });
  clock.advance(1);
  t.equal(
    stateOf(subscriber.notifies[4]),
    'active;expires=600;max-rate=0.1;min-rate=0.1',
    '§8: not more often than the greatest rate',
  );
  subscriber.subscribe(0);
  clock.advance(100_000);
  t.equal(causes.length, 6, 'nothing after the end');
  t.equal(stateOf(subscriber.notifies[5]), 'terminated;reason=timeout');
  t.end();
});

t.test('RFC 6446 §5.2: rates in the 200 to a NOTIFY', (t) => {
  const { clock, agent, subscriber, causes } = granting();
  subscriber.answerHeaders = [{ name: 'Event', value: 'conference;max-rate=0.1' }];
  subscriber.subscribe(600);
  clock.advance(1);
  agent.changed('conference', 'room');
  clock.advance(9000);
  t.strictSame(causes, ['subscribed']);
  subscriber.answerHeaders = [];
  clock.advance(1000);
  t.strictSame(causes, ['subscribed', 'changed']);
  t.equal(stateOf(subscriber.notifies[1]), 'active;expires=590;max-rate=0.1');
  clock.advance(1);
  agent.changed('conference', 'room');
  clock.advance(9000);
  t.equal(causes.length, 2, 'a 200 without Event leaves it as it is');
  subscriber.answerHeaders = [{ name: 'Event', value: ';;' }];
  clock.advance(1000);
  t.equal(causes.length, 3);
  agent.changed('conference', 'room');
  clock.advance(10_000);
  t.equal(causes.length, 4, 'and so does one that cannot be read');
  t.end();
});

t.test('RFC 6665 §4.2.2: nothing to say, nothing sent', (t) => {
  const { clock, subscriber, agent } = granting({
    content: (cause) => (cause === 'changed' ? undefined : { contentType: TYPE, body: cause }),
  });
  subscriber.subscribe(600);
  clock.advance(1);
  agent.changed('conference', 'room');
  clock.advance(10_000);
  t.equal(subscriber.notifies.length, 1);
  t.end();
});

t.test('RFC 6665 §4.2.2: 481 and silence end it, 500 does not', (t) => {
  for (const answer of [481, 404, 408, undefined]) {
    const { clock, subscriber, ended, agent } = granting();
    subscriber.answer = answer;
    subscriber.subscribe(600);
    clock.advance(33_000);
    t.strictSame(ended, ['gone'], String(answer));
    t.equal(agent.counts.dialogs, 0);
  }
  const { clock, subscriber, ended, agent, causes } = granting();
  subscriber.subscribe(600);
  clock.advance(1);
  subscriber.answer = 500;
  agent.changed('conference', 'room');
  clock.advance(6000);
  subscriber.answer = 200;
  t.strictSame(ended, []);
  agent.changed('conference', 'room');
  clock.advance(1);
  t.strictSame(causes, ['subscribed', 'changed', 'repeated'], 'the peer may have missed one');
  clock.advance(6000);
  subscriber.answer = 500;
  agent.changed('conference', 'room');
  agent.changed('conference', 'room');
  clock.advance(6000);
  t.strictSame(causes.slice(3), ['changed', 'repeated'], 'what changed while it was under way is told all the same');
  t.end();
});

t.test('RFC 6665 §4.1.3: terminated with reason and retry-after; pending', (t) => {
  const { clock, subscriber, subscriptions, ended } = granting({
    pending: true,
    content: (cause) => (cause === 'subscribed' ? undefined : { contentType: TYPE, body: cause }),
  });
  subscriber.subscribe(600);
  clock.advance(1);
  t.equal(stateOf(subscriber.notifies[0]), 'pending;expires=600');
  t.equal(subscriber.notifies[0]?.body.length, 0);
  subscriptions[0]?.activate();
  clock.advance(1);
  t.match(stateOf(subscriber.notifies[1]), /^active;expires=/);
  subscriptions[0]?.terminate('probation', 30);
  subscriptions[0]?.terminate('noresource');
  clock.advance(1);
  t.equal(stateOf(subscriber.notifies[2]), 'terminated;reason=probation;retry-after=30');
  t.strictSame(ended, ['probation'], 'once');
  t.end();
});

t.test('RFC 6665 §4.5.2: a subscription in the dialog of a call outlives the call', (t) => {
  const subscriptions: Subscription[] = [];
  let inSession = false;
  const { clock, network, agent } = granting(
    {},
    {},
    {
      onInvite: (invite) => void invite.accept({ contact: { params: { isfocus: true } } }),
      onSubscribe: (subscribe) => {
        inSession = subscribe.session !== undefined;
        const made = subscribe.accept({ resource: 'room', content: () => ({}) });
        if (made !== undefined) subscriptions.push(made);
      },
    },
  );
  const peer = new RawPeer(network, '10.0.0.1', '10.0.0.2');
  peer.say(head('INVITE'));
  clock.advance(1);
  const To = peer.response(200).headers.get('To');
  peer.say(head('ACK', { To, CSeq: '1 ACK' }));
  peer.say(head('SUBSCRIBE', { To, CSeq: '2 SUBSCRIBE', Event: 'conference', Expires: '600' }));
  clock.advance(1);
  t.ok(inSession);
  t.match(peer.response(200).headers.get('Contact'), /isfocus/);
  peer.answer(peer.request('NOTIFY'), 200);
  peer.say(head('BYE', { To, CSeq: '3 BYE' }));
  clock.advance(1);
  t.equal(agent.counts.dialogs, 1);
  agent.changed('conference', 'room');
  clock.advance(1);
  t.equal(peer.requests.filter(({ method }) => method === 'NOTIFY').length, 2);
  peer.answer(peer.request('NOTIFY'), 481);
  clock.advance(1);
  t.equal(agent.counts.dialogs, 0, 'RFC 5057: with its last usage the dialog ends');
  t.equal(subscriptions[0]?.state, 'terminated');
  t.end();
});

t.test('Limit of subscriptions', (t) => {
  const { clock, network, subscriber, agent } = granting({}, { limits: { subscriptions: 1 } });
  subscriber.subscribe(600);
  const second = new Subscriber(network, clock, '10.0.0.3', '10.0.0.2', ROOM);
  second.subscribe(600);
  clock.advance(1);
  t.equal(subscriber.responses[0]?.status, 200);
  t.equal(second.responses[0]?.status, 503);
  t.equal(agent.counts.subscriptions, 1);
  t.end();
});

t.test('Closing tells subscribers to come again', async (t) => {
  const { clock, subscriber, agent, ended } = granting();
  subscriber.subscribe(600);
  clock.advance(1);
  const closed = agent.close();
  clock.advance(100);
  await closed;
  t.equal(stateOf(subscriber.notifies.at(-1)), 'terminated;reason=deactivated');
  t.strictSame(ended, ['deactivated']);
});

/** An agent that accepts references, and a raw referrer. */
function referring(): Stage & { readonly refers: IncomingRefer[]; readonly reports: ReferProgress[] } {
  const refers: IncomingRefer[] = [];
  const reports: ReferProgress[] = [];
  const made = stage({
    onRefer: (refer) => {
      refers.push(refer);
      const progress = refer.accept();
      if (progress !== undefined) reports.push(progress);
    },
    onInvite: (invite) => void invite.accept({}),
  });
  return { ...made, refers, reports };
}

t.test('RFC 3515 §2.4, RFC 7647 §5: REFER outside of dialogs', (t) => {
  const { clock, peer, refers, reports, agent } = referring();
  peer.say(head('REFER', { 'Refer-To': '<sip:carol@example.com>;method=BYE', 'Referred-By': '<sip:alice@10.0.0.1>' }));
  clock.advance(1);
  t.equal(peer.responses[0]?.status, 200, 'no longer 202');
  t.equal(refers[0]?.method, 'BYE');
  t.match(refers[0]?.referredBy, { uri: { user: 'alice' } });
  const first = peer.request('NOTIFY');
  t.equal(first.headers.get('Event'), 'refer');
  t.match(first.headers.get('Subscription-State'), /^active;expires=/);
  t.match(first.headers.get('Content-Type'), /^message\/sipfrag/);
  t.equal(Buffer.from(first.body).toString(), 'SIP/2.0 100 Trying\r\n');
  peer.answer(first, 200);
  reports[0]?.report(180);
  clock.advance(1);
  peer.answer(peer.request('NOTIFY'), 200);
  reports[0]?.report(200, 'OK');
  clock.advance(1);
  const last = peer.request('NOTIFY');
  t.equal(Buffer.from(last.body).toString(), 'SIP/2.0 200 OK\r\n');
  t.equal(last.headers.get('Subscription-State'), 'terminated;reason=noresource');
  peer.answer(last, 200);
  clock.advance(1);
  t.strictSame(agent.counts.dialogs, 0);
  t.end();
});

t.test('RFC 3515 §3.10: news of a reference come once a second, but for the first and the last', (t) => {
  const { clock, peer, reports } = referring();
  const lines = (): string[] => {
    clock.advance(1);
    for (const request of peer.requests.slice(answered)) peer.answer(request, 200);
    answered = peer.requests.length;
    clock.advance(1);
    return peer.requests.map(({ body }) => Buffer.from(body).toString().slice(8, 11));
  };
  let answered = 0;
  peer.say(head('REFER', { 'Refer-To': '<sip:carol@example.com>' }));
  t.strictSame(lines(), ['100']);
  for (const status of [180, 181, 182, 183]) {
    reports[0]?.report(status);
    lines();
  }
  t.strictSame(lines(), ['100', '180'], 'the first');
  clock.advance(1000);
  t.strictSame(lines(), ['100', '180', '183'], 'then the newest');
  reports[0]?.report(200);
  t.strictSame(lines(), ['100', '180', '183', '200'], 'and the last');
  t.end();
});

t.test('RFC 4488: without subscription when the referrer wants none', (t) => {
  const { clock, peer, reports, agent } = referring();
  peer.say(head('REFER', { 'Refer-To': '<sip:carol@example.com>', 'Refer-Sub': 'false', Supported: 'norefersub' }));
  clock.advance(1);
  t.equal(peer.response(200).headers.get('Refer-Sub'), 'false');
  reports[0]?.report(200);
  clock.advance(1);
  t.equal(peer.requests.length, 0);
  t.strictSame(agent.counts.dialogs, 0);
  t.end();
});

t.test('RFC 3515 §2.4.2: exactly one Refer-To', (t) => {
  const { clock, peer, refers } = referring();
  peer.say(head('REFER'));
  peer.say(
    head('REFER', { 'Call-ID': 'two', 'Refer-To': '<sip:carol@example.com>\nRefer-To: <sip:dave@example.com>' }),
  );
  clock.advance(1);
  t.strictSame(peer.statuses, ['400 REFER', '400 REFER']);
  t.equal(refers.length, 0);
  t.end();
});

t.test('RFC 3515 §2.4.6: several REFERs in a dialog are told apart', (t) => {
  const { clock, peer, reports, refers } = referring();
  peer.say(head('INVITE'));
  clock.advance(1);
  const To = peer.response(200).headers.get('To');
  peer.say(head('ACK', { To, CSeq: '1 ACK' }));
  for (const seq of [2, 3])
    peer.say(head('REFER', { To, CSeq: `${String(seq)} REFER`, 'Refer-To': '<sip:carol@example.com>' }));
  clock.advance(1);
  t.ok(refers[0]?.session);
  peer.answer(peer.request('NOTIFY'), 200);
  clock.advance(1);
  const events = peer.requests.map(({ headers }) => headers.get('Event'));
  t.strictSame(events, ['refer', 'refer;id=3']);
  peer.answer(peer.request('NOTIFY'), 200);
  reports[1]?.report(404);
  clock.advance(1);
  t.equal(peer.request('NOTIFY').headers.get('Event'), 'refer;id=3');
  t.equal(Buffer.from(peer.request('NOTIFY').body).toString(), 'SIP/2.0 404 Not Found\r\n');

  const outside = referring();
  outside.peer.say(head('REFER', { 'Refer-To': '<sip:carol@example.com>' }));
  outside.clock.advance(1);
  outside.peer.answer(outside.peer.request('NOTIFY'), 200);
  const tagged = outside.peer.response(200).headers.get('To');
  outside.peer.say(head('REFER', { To: tagged, CSeq: '2 REFER', 'Refer-To': '<sip:dave@example.com>' }));
  outside.clock.advance(1);
  t.equal(
    outside.peer.request('NOTIFY').headers.get('Event'),
    'refer;id=2',
    'also in the dialog that a REFER has made',
  );
  t.end();
});

t.test('A thousand documents that become due at once are made in turns', (t) => {
  const { clock, network, agent } = granting(
    {},
    { events: [{ ...CONFERENCE, pacing: 0 }] },
    {
      onSubscribe: (subscribe) =>
        void subscribe.accept({
          resource: 'room',
          content: (cause) => {
            if (cause === 'changed') {
              made++;
              clock.pass(3); // it takes its time
            }
            return { contentType: TYPE, body: 'x' };
          },
        }),
    },
  );
  let made = 0;
  for (let i = 0; i < 100; i++) new Subscriber(network, clock, `10.0.1.${String(i)}`, '10.0.0.2', ROOM).subscribe(600);
  clock.advance(1);
  agent.changed('conference', 'room');
  t.equal(made, 2, 'five milliseconds of them');
  agent.changed('conference', 'room');
  t.equal(made, 2, 'the rest waits');
  clock.advance(1000);
  t.equal(made, 102, 'and those two had something new again');
  t.end();
});

t.test('RFC 6665 §4.2.2: of a thousand changes that are told together, only the first is any work', (t) => {
  const { clock, network, agent } = granting();
  const all = Array.from(
    { length: 10 },
    (_, i) => new Subscriber(network, clock, `10.0.1.${String(i)}`, '10.0.0.2', ROOM),
  );
  for (const subscriber of all) subscriber.subscribe(600);
  clock.advance(1);
  agent.changed('conference', 'room');
  clock.advance(1);
  agent.changed('conference', 'room');
  let looks = 0;
  const now = clock.now.bind(clock);
  clock.now = () => {
    looks++;
    return now();
  };
  for (let i = 0; i < 1000; i++) agent.changed('conference', 'room');
  t.equal(looks, 0, 'nobody is asked whether it is time');
  clock.advance(10_000);
  t.same(
    all.map(({ notifies }) => notifies.length),
    all.map(() => 3),
    'and everybody is told of them, once',
  );
  t.end();
});

t.test('A handler that throws when a NOTIFY is made ends its subscription, and nothing else', (t) => {
  const { clock, subscriber, agent, ended, bugs } = granting({
    content: (cause) => {
      if (cause === 'changed') throw new Error('a bug');
      return { contentType: TYPE, body: cause };
    },
  });
  subscriber.subscribe(600);
  clock.advance(1);
  agent.changed('conference', 'room');
  clock.advance(1);
  t.equal(stateOf(subscriber.notifies.at(-1)), 'terminated;reason=giveup');
  t.strictSame(ended, ['giveup']);
  t.match(bugs, [/a bug/]);
  t.end();
});

t.test('Limit of subscriptions in one dialog', (t) => {
  const { clock, network } = granting(
    {},
    { limits: { subscriptionsPerDialog: 2 } },
    { onInvite: (invite) => void invite.accept({}) },
  );
  const peer = new RawPeer(network, '10.0.0.1', '10.0.0.2');
  peer.say(head('INVITE'));
  clock.advance(1);
  const To = peer.response(200).headers.get('To');
  peer.say(head('ACK', { To, CSeq: '1 ACK' }));
  for (const seq of [2, 3, 4])
    peer.say(
      head('SUBSCRIBE', {
        To,
        CSeq: `${String(seq)} SUBSCRIBE`,
        Event: `conference;id=${String(seq)}`,
        Expires: '600',
      }),
    );
  clock.advance(1);
  t.strictSame(peer.statuses, ['200 INVITE', '200 SUBSCRIBE', '200 SUBSCRIBE', '503 SUBSCRIBE']);
  t.end();
});

t.test('NOTIFYs wait while too much waits for their flow, and then say all that has happened', (t) => {
  const { clock, network, agent, subscriber, subscriptions, causes } = granting(
    {},
    { limits: { notifyBacklog: 1000 } },
  );
  const flow = network.hosts.get('10.0.0.2')?.flowTo('10.0.0.1');
  if (flow === undefined) throw new Error('no flow');
  flow.queued = 1001;
  subscriber.subscribe(600);
  clock.advance(1000);
  t.equal(subscriber.responses.length, 1, 'a response does not wait');
  agent.changed('conference', 'room');
  clock.advance(10_000);
  t.strictSame(causes, [], 'nothing is even written');
  flow.queued = 1000;
  clock.advance(100);
  t.strictSame(causes, ['subscribed']);
  flow.queued = 1001;
  agent.changed('conference', 'room');
  clock.advance(10_000);
  t.equal(subscriber.notifies.length, 1);
  subscriptions[0]?.terminate('noresource');
  clock.advance(100);
  t.strictSame(causes, ['subscribed', 'terminated'], 'a farewell does not wait');
  t.end();
});
