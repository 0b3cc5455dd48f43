import t from 'tap';
import {
  type Flow,
  type InviteSession,
  parseNameAddr,
  parseUri,
  type SessionEnd,
  SocketTransport,
  type TransportName,
  UserAgent,
  type UserAgentHandlers,
} from '../../sip/index.ts';

/** A user agent that listens at 127.0.0.1 by UDP and TCP. */
async function listening(
  handlers: Partial<UserAgentHandlers>,
): Promise<{ agent: UserAgent; port: (transport: 'UDP' | 'TCP') => number }> {
  const made: SocketTransport[] = [];
  const agent = new UserAgent(
    {
      transport: (below) => {
        const sockets = new SocketTransport({}, below);
        made.push(sockets);
        return sockets;
      },
    },
    { onInvite: () => undefined, onSubscribe: () => undefined, ...handlers },
  );
  const ports = new Map<TransportName, number>();
  for (const transport of ['UDP', 'TCP'] as const) {
    const bound = await made[0]?.listen({ transport, host: '127.0.0.1', port: 0 });
    ports.set(transport, bound?.port ?? 0);
  }
  return { agent, port: (transport) => ports.get(transport) ?? 0 };
}

function deferred<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => undefined;
  const promise = new Promise<T>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}

const ALICE = parseNameAddr('Alice <sip:alice@127.0.0.1>');

for (const transport of ['UDP', 'TCP'] as const)
  t.test(`RFC 3261 §13: a call, its texts both ways and its end over ${transport} sockets`, async (t) => {
    const ended: SessionEnd['why'][] = [];
    const texts: string[] = [];
    const confirmed = deferred<InviteSession>();
    const { agent: server, port } = await listening({
      onInvite: (invite) => {
        const session = invite.accept({
          contentType: 'application/sdp',
          body: 'v=0',
          session: {
            onAck: () => {
              if (session !== undefined) confirmed.resolve(session);
            },
            onMessage: ({ request }) => {
              texts.push(Buffer.from(request.body).toString());
              return { status: 200 };
            },
            onEnded: ({ why }) => ended.push(why),
          },
        });
      },
    });
    const { agent: client } = await listening({});
    t.teardown(() => Promise.all([server.close(0), client.close(0)]));
    const uri = parseUri(`sip:room@127.0.0.1:${String(port(transport))}${transport === 'TCP' ? ';transport=tcp' : ''}`);
    const called = deferred<InviteSession>();
    const over = deferred<undefined>();
    client.invite(
      {
        uri,
        from: ALICE,
        session: {
          onMessage: ({ request }) => {
            texts.push(Buffer.from(request.body).toString());
            return { status: 200 };
          },
          onEnded: ({ why }) => {
            ended.push(why);
            over.resolve(undefined);
          },
        },
      },
      {
        onAccepted: (session) => {
          called.resolve(session);
          return undefined;
        },
        onFailed: () => t.fail('failed'),
      },
    );
    const [ours, theirs] = await Promise.all([confirmed.promise, called.promise]);
    const say = (session: InviteSession, body: string): Promise<number> =>
      new Promise((resolve) => {
        session.request('MESSAGE', { contentType: 'text/plain', body }, (outcome) => {
          resolve(outcome.is === 'response' ? outcome.response.status : outcome.status);
        });
      });
    t.equal(await say(theirs, 'to the room'), 200);
    t.equal(await say(ours, 'from the room'), 200);
    // RFC 3261 §18.1.1: above 1300 bytes it goes by TCP also where the dialog is on UDP.
    t.equal(await say(ours, 'x'.repeat(20_000)), 200);
    ours.close();
    await over.promise;
    t.strictSame(texts, ['to the room', 'from the room', 'x'.repeat(20_000)]);
    t.strictSame(ended, ['closed', 'bye']);
  });

t.test('RFC 3261 §12: a dialog outlives its TCP connection', async (t) => {
  const flows: Flow[] = [];
  const texts: string[] = [];
  const sessions = deferred<InviteSession>();
  const { agent: server, port } = await listening({
    onInvite: (invite) => {
      flows.push(invite.flow);
      const session = invite.accept({
        session: {
          onAck: () => {
            if (session !== undefined) sessions.resolve(session);
          },
        },
      });
    },
  });
  const { agent: client } = await listening({});
  t.teardown(() => Promise.all([server.close(0), client.close(0)]));
  client.invite(
    {
      uri: parseUri(`sip:room@127.0.0.1:${String(port('TCP'))};transport=tcp`),
      from: ALICE,
      session: {
        onMessage: ({ request, flow }) => {
          flows.push(flow);
          texts.push(Buffer.from(request.body).toString());
          return { status: 200 };
        },
      },
    },
    { onAccepted: () => undefined, onFailed: () => t.fail('failed') },
  );
  const session = await sessions.promise;
  flows[0]?.close('test');
  const status = await new Promise((resolve) => {
    session.request('MESSAGE', { contentType: 'text/plain', body: 'still here' }, (outcome) => {
      resolve(outcome.is === 'response' ? outcome.response.status : outcome.reason);
    });
  });
  t.equal(status, 200);
  t.strictSame(texts, ['still here']);
  t.notOk(flows[0]?.open);
});
