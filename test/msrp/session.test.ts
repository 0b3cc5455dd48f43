import t from 'tap';
import { prepare, type IncomingMessage, type MsrpSession } from '../../msrp/index.ts';
import { listen, newNodeEndpoint } from '../../msrp/node.ts';

const text = (message: IncomingMessage) => new TextDecoder().decode(message.body);
const utf8 = (body: string) => new TextEncoder().encode(body);

/** Two endpoints on loopback, each with a listener. */
async function twoEndpoints(test: { teardown(run: () => Promise<void>): void }) {
  const endpoints = [newNodeEndpoint(), newNodeEndpoint()] as const;
  const at = { host: '127.0.0.1', port: 0 };
  const listeners = [await listen(endpoints[0], at), await listen(endpoints[1], at)] as const;
  test.teardown(async () => {
    for (const endpoint of endpoints) endpoint.close();
    await Promise.all(listeners.map((listener) => listener.close()));
  });
  return { endpoints, listeners };
}

t.test('RFC 4975 §4: two endpoints exchange messages over TCP', async (t) => {
  const { endpoints, listeners } = await twoEndpoints(t);
  const [alice, bob] = endpoints;
  const [atAlice, atBob] = listeners;
  const said: string[] = [];
  await new Promise<void>((done) => {
    const b: MsrpSession = bob.session({
      at: atBob.address(),
      handlers: {
        bound: () => said.push('bound'),
        message: (session, message) => {
          said.push(text(message));
          message.respond(200);
          session.send(prepare({ contentType: 'text/plain', body: utf8('hello alice'), outcomes: 'all' }));
        },
        outcome: (_session, _message, outcome) => {
          said.push(outcome.kind);
          done();
        },
      },
    });
    const a: MsrpSession = alice.session({
      at: atAlice.address(),
      remotePath: b.localPath,
      handlers: {
        bound: (session) => session.send(prepare({ contentType: 'text/plain', body: utf8('hello bob') })),
        message: (_session, message) => {
          said.push(text(message));
          message.respond(200);
        },
      },
    });
    b.setRemotePath(a.localPath);
    a.dial();
  });
  t.same(said, ['bound', 'hello bob', 'hello alice', 'delivered']);
});
