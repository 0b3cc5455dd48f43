import t from 'tap';
import {
  type InviteSession,
  type SessionHandlers,
  parseNameAddr,
  parseUri,
  UserAgent,
  type UserAgentHandlers,
} from '../../sip/index.ts';
import { FakeClock, Network, random } from './network.ts';
import { Subscriber } from './subscriber.ts';

const ALICE = parseNameAddr('Alice <sip:alice@10.0.0.1>');
const ROOM = parseUri('sip:room@10.0.0.2');
const NOTHING: UserAgentHandlers = { onInvite: () => undefined, onSubscribe: () => undefined };
const CONFERENCE = {
  name: 'conference',
  defaultExpires: 3600,
  minExpires: 60,
  maxExpires: 3600,
  pacing: 0,
  contentTypes: ['application/conference-info+xml'],
};

/** Two user agents with 15 % of all packets lost, both ways; those that arrive may have overtaken each other. */
function pair(
  seed: number,
  handlers: Partial<UserAgentHandlers>,
): { clock: FakeClock; network: Network; server: UserAgent; client: UserAgent } {
  const clock = new FakeClock();
  const chance = random(seed + Number(process.env['SIP_LOSS_SEED'] ?? 0));
  const network = new Network({ clock, delay: () => 5 + chance() * 60, loses: () => chance() < 0.15 });
  const server = new UserAgent(
    { transport: network.host('10.0.0.2'), clock, events: [CONFERENCE] },
    { ...NOTHING, ...handlers },
  );
  const client = new UserAgent({ transport: network.host('10.0.0.1'), clock }, NOTHING);
  return { clock, network, server, client };
}

const EMPTY = { serverTransactions: 0, clientTransactions: 0, dialogs: 0, subscriptions: 0, pendingInvites: 0 };

t.test('RFC 3261 §17: 200 calls with 15 % loss both ways, each told exactly once', (t) => {
  const told = { invites: new Map<string, number>(), acks: 0, byes: 0, accepted: 0, failed: 0 };
  const { clock, server, client } = pair(1, {
    onInvite: (invite) => {
      const { callId } = invite.request;
      told.invites.set(callId, (told.invites.get(callId) ?? 0) + 1);
      invite.accept({
        contentType: 'application/sdp',
        body: 'v=0',
        session: {
          onAck: () => told.acks++,
          onEnded: ({ why }) => {
            if (why === 'bye') told.byes++;
          },
        },
      });
    },
  });
  const sessions: InviteSession[] = [];
  for (let i = 0; i < 200; i++) {
    client.invite(
      { uri: ROOM, from: ALICE },
      {
        onAccepted: (session) => {
          told.accepted++;
          sessions.push(session);
          return undefined;
        },
        onFailed: () => told.failed++,
      },
    );
    clock.advance(37);
  }
  clock.advance(40_000);
  for (const session of sessions) {
    session.close();
    clock.advance(11);
  }
  clock.advance(100_000);
  t.equal(told.invites.size, 200);
  t.ok([...told.invites.values()].every((times) => times === 1));
  t.match(told, { acks: 200, byes: 200, accepted: 200, failed: 0 });
  t.strictSame(server.counts, EMPTY);
  t.strictSame(client.counts, EMPTY);
  t.equal(clock.waiting, 0, 'no timer is left');
  t.end();
});

t.test('RFC 3428 §4: 200 MESSAGEs with 15 % loss both ways, each told exactly once', (t) => {
  const told = new Map<string, number>();
  const { clock, server, client } = pair(2, {
    onMessage: ({ request }) => {
      const text = Buffer.from(request.body).toString();
      told.set(text, (told.get(text) ?? 0) + 1);
      return { status: 200 };
    },
  });
  const answers: number[] = [];
  for (let i = 0; i < 200; i++) {
    client.request(
      { method: 'MESSAGE', uri: ROOM, from: ALICE, contentType: 'text/plain', body: `text ${String(i)}` },
      (outcome) => {
        answers.push(outcome.is === 'response' ? outcome.response.status : outcome.status);
      },
    );
    clock.advance(37);
  }
  clock.advance(100_000);
  t.equal(told.size, 200);
  t.ok([...told.values()].every((times) => times === 1));
  t.strictSame(
    answers,
    Array.from({ length: 200 }, () => 200),
  );
  t.strictSame(server.counts, EMPTY);
  t.strictSame(client.counts, EMPTY);
  t.equal(clock.waiting, 0, 'no timer is left');
  t.end();
});

t.test('RFC 6665 §4: 100 runs of SUBSCRIBE, NOTIFY, unsubscribe with 15 % loss both ways', (t) => {
  const asked = new Map<string, number>();
  let ended = 0;
  const { clock, network, server } = pair(3, {
    onSubscribe: (subscribe) => {
      const { callId } = subscribe.request;
      asked.set(callId, (asked.get(callId) ?? 0) + 1);
      subscribe.accept({
        resource: 'room',
        content: (cause) => ({ contentType: 'application/conference-info+xml', body: cause }),
        onEnded: () => ended++,
      });
    },
  });
  const subscribers = Array.from(
    { length: 100 },
    (_, i) => new Subscriber(network, clock, `10.0.1.${String(i)}`, '10.0.0.2', ROOM),
  );
  for (const subscriber of subscribers) {
    subscriber.subscribe(3600);
    clock.advance(37);
  }
  clock.advance(40_000);
  server.changed('conference', 'room');
  clock.advance(40_000);
  for (const subscriber of subscribers) {
    subscriber.subscribe(0);
    clock.advance(11);
  }
  clock.advance(100_000);
  t.equal(asked.size, 100);
  t.ok(
    [...asked.values()].every((times) => times === 1),
    'each SUBSCRIBE is told once',
  );
  for (const { notifies, responses } of subscribers) {
    const heard = notifies.map((notify) => Buffer.from(notify.body).toString());
    t.strictSame(heard, ['subscribed', 'changed', 'terminated'], 'each NOTIFY comes once, in order');
    t.strictSame(
      responses.map(({ status }) => status),
      [200, 200],
    );
  }
  t.equal(ended, 100);
  t.strictSame(server.counts, EMPTY);
  t.equal(clock.waiting, 0, 'no timer is left');
  t.end();
});

t.test(
  'RFC 3261 §12.2.2: in 50 calls both sides speak at once with 15 % loss, nothing is lost, doubled or out of order',
  (t) => {
    const said = Array.from({ length: 20 }, (_, i) => `text ${String(i)}`);
    const heard: string[][] = [];
    const statuses = new Map<number, number>();
    const count = (status: number): void => void statuses.set(status, (statuses.get(status) ?? 0) + 1);
    /** A session that says all it has to say at once and keeps what it hears. */
    const speaks = (): { handlers: SessionHandlers; speak: (session: InviteSession) => void } => {
      const texts: string[] = [];
      heard.push(texts);
      return {
        handlers: {
          onMessage: ({ request }) => {
            texts.push(Buffer.from(request.body).toString());
            return { status: 200 };
          },
          onOffer: () => ({ status: 200 }),
        },
        speak: (session) => {
          for (const body of said)
            session.request('MESSAGE', { contentType: 'text/plain', body }, (outcome) => {
              count(outcome.is === 'response' ? outcome.response.status : outcome.status);
            });
          session.reInvite({}, (outcome) => {
            count(outcome.is === 'response' ? outcome.response.status : outcome.status);
          });
        },
      };
    };
    const { clock, server, client } = pair(4, {
      onInvite: (invite) => {
        const { handlers, speak } = speaks();
        const session = invite.accept({ session: handlers });
        if (session !== undefined) speak(session);
      },
    });
    for (let i = 0; i < 50; i++) {
      const { handlers, speak } = speaks();
      client.invite(
        { uri: ROOM, from: ALICE, session: handlers },
        {
          onAccepted: (session) => {
            speak(session);
            return undefined;
          },
          onFailed: () => t.fail('failed'),
        },
      );
      clock.advance(37);
    }
    clock.advance(600_000);
    t.equal(heard.length, 100);
    t.ok(
      heard.every((texts) => texts.join() === said.join()),
      'all, once, in order',
    );
    t.strictSame([...statuses], [[200, 2100]]);
    t.equal(server.counts.serverTransactions, 0);
    t.equal(client.counts.clientTransactions, 0);
    t.end();
  },
);
