import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { type InviteSession, parseNameAddr, parseUri, type SessionEnd, UserAgent } from '../../sip/index.ts';
import { FakeClock, Network } from './network.ts';

const ALICE = parseNameAddr('Alice <sip:alice@10.0.0.1>');
const ROOM = parseUri('sip:room@10.0.0.2');

t.test('RFC 3261 §13: INVITE, 200, ACK, BYE', (t) => {
  for (const transport of ['UDP', 'TCP'] as const) {
    const clock = new FakeClock();
    const lines: string[] = [];
    const network = new Network({
      clock,
      transport,
      seen: ({ bytes }) => lines.push(bytes.toString('latin1').split(' SIP/2.0')[0]?.split('\r\n')[0] ?? ''),
    });
    const ended: SessionEnd['why'][] = [];
    let session: InviteSession | undefined;
    let acked = 0;
    const server = new UserAgent(
      { transport: network.host('10.0.0.2'), clock },
      {
        onInvite: (invite) => {
          invite.accept({
            contentType: 'application/sdp',
            body: 'v=0',
            session: { onAck: () => acked++, onEnded: ({ why }) => ended.push(why) },
          });
        },
        onSubscribe: () => undefined,
      },
    );
    const client = new UserAgent(
      { transport: network.host('10.0.0.1'), clock },
      { onInvite: () => undefined, onSubscribe: () => undefined },
    );
    client.invite(
      { uri: ROOM, from: ALICE, session: { onEnded: ({ why }) => ended.push(why) } },
      {
        onAccepted: (accepted) => {
          session = accepted;
          return undefined;
        },
        onFailed: () => t.fail('INVITE failed'),
      },
    );
    clock.advance(100);
    t.equal(acked, 1, 'the ACK came');
    t.equal(server.counts.dialogs, 1);
    session?.close();
    clock.advance(100);
    t.strictSame(ended, ['closed', 'bye']);
    t.strictSame(
      lines,
      [
        'INVITE sip:room@10.0.0.2',
        'SIP/2.0 200 OK',
        'ACK sip:room@10.0.0.2:5060',
        'BYE sip:room@10.0.0.2:5060',
        'SIP/2.0 200 OK',
      ].map((line) => (transport === 'UDP' || !line.includes(':5060') ? line : `${line};transport=tcp`)),
    );
    clock.advance(64_000);
    for (const { counts } of [server, client])
      t.strictSame(counts, {
        serverTransactions: 0,
        clientTransactions: 0,
        dialogs: 0,
        subscriptions: 0,
        pendingInvites: 0,
      });
    t.equal(clock.waiting, 0, 'no timer is left');
  }
  t.end();
});

t.test('the example of sip/README.md does what it says, and ends', async (t) => {
  const [, code = ''] = /```js\n([^]*?)```/.exec(readFileSync('sip/README.md', 'utf8')) ?? [];
  const file = join(t.testdir(), 'example.mjs');
  writeFileSync(file, code);
  const example = spawn(process.execPath, [file], { stdio: ['ignore', 'pipe', 'pipe'] });
  t.teardown(() => example.kill());
  let said = '';
  example.stdout.on('data', (bytes: Buffer) => (said += bytes.toString()));
  example.stderr.on('data', (bytes: Buffer) => t.fail(bytes.toString()));
  const [status] = (await once(example, 'close')) as [number];
  t.equal(said, '200 heard: hello\n');
  t.equal(status, 0);
});
