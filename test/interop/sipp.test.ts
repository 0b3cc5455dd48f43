import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import type { Test } from 'tap';
import {
  type Content,
  type InviteSession,
  type Outcome,
  parseNameAddr,
  parseUri,
  type SessionEnd,
  type Uri,
} from '../../sip/index.ts';
import { pcapOf } from './pcap.ts';
import { run, skipWithout } from './programs.ts';
import { bound, freePort, sipp, transports } from './sipp.ts';
import { account, sdp, SmallUserAgent } from './small-user-agent.ts';

// sipp 3.6 reads the first challenge only, and knows MD5 only.
const agent = new SmallUserAgent(['MD5', 'SHA-256']);
t.before(() => agent.listen());
t.teardown(() => agent.close());

const skip = skipWithout('sipp');

/** What sipp does as caller: the scenario, whom it asks for, and whether a call or only a request. */
const callers: readonly (readonly [string, string])[] = [
  ['uac-session', 'room'],
  ['uac-cancel', 'ring'],
  ['uac-prack', 'early'],
  ['uac-options', 'room'],
  ['uac-message', 'room'],
  ['uac-digest', 'proved'],
  ['uac-digest-message', 'proved'],
  ['uac-refer', 'room'],
  ['uac-subscribe', 'room'],
];

const caller = parseNameAddr('<sip:small@127.0.0.1>');

/** A request of ours outside of dialogs, and what became of it. */
function ask(uri: Uri, method: string): Promise<Outcome> {
  const credentials = () => account;
  return new Promise((resolve) => {
    const content = method === 'MESSAGE' ? { contentType: 'text/plain', body: 'hello' } : {};
    agent.userAgent.request({ method, uri, from: caller, credentials, ...content }, resolve);
  });
}

/** The final status of a request in a session. */
function inside(session: InviteSession, method: string, content: Content): Promise<number> {
  return new Promise((resolve) => {
    const done = (outcome: Outcome): void => {
      resolve(statusOf(outcome));
    };
    if (method === 'INVITE') session.reInvite(content, done);
    else if (method === 'UPDATE') session.update(content, done);
    else session.request(method, content, done);
  });
}

function statusOf(outcome: Outcome): number {
  return outcome.is === 'response' ? outcome.response.status : outcome.status;
}

/** Calls and waits for the answer; `ended` resolves when the session is over. */
async function call(uri: Uri): Promise<{ session: InviteSession; ended: Promise<SessionEnd> }> {
  let over: (end: SessionEnd) => void = () => undefined;
  const ended = new Promise<SessionEnd>((resolve) => {
    over = resolve;
  });
  const session = await new Promise<InviteSession>((resolve, reject) => {
    agent.userAgent.invite(
      { uri, from: caller, ...sdp, credentials: () => account, session: { onEnded: over } },
      {
        onAccepted: (accepted) => {
          resolve(accepted);
          return undefined;
        },
        onFailed: (outcome) => {
          reject(new Error(`the call failed: ${statusOf(outcome)}`));
        },
      },
    );
  });
  return { session, ended };
}

/** What we do while sipp plays a callee. */
const callees: Readonly<Record<string, (uri: Uri, t: Test) => Promise<void>>> = {
  'uas-session': async (uri, t) => {
    const { session, ended } = await call(uri);
    t.equal(await inside(session, 'INVITE', sdp), 200);
    t.equal(await inside(session, 'UPDATE', sdp), 200);
    t.equal(await inside(session, 'INFO', { contentType: 'application/dtmf-relay', body: 'Signal=1\r\n' }), 200);
    t.equal(await inside(session, 'MESSAGE', { contentType: 'text/plain', body: 'in the call' }), 200);
    t.equal(await inside(session, 'OPTIONS', {}), 200);
    session.close();
    t.equal((await ended).why, 'closed');
  },
  'uas-bye': async (uri, t) => {
    const { ended } = await call(uri);
    t.equal((await ended).why, 'bye');
  },
  'uas-cancel': async (uri, t) => {
    const outcome = await new Promise<Outcome>((resolve) => {
      const invite = agent.userAgent.invite(
        { uri, from: caller, ...sdp },
        {
          onProgress: () => {
            invite.cancel();
          },
          onAccepted: () => undefined,
          onFailed: resolve,
        },
      );
    });
    t.equal(statusOf(outcome), 487);
  },
  'uas-digest': async (uri, t) => {
    t.equal(statusOf(await ask(uri, 'MESSAGE')), 200);
  },
  'uas-digest-invite': async (uri, t) => {
    const { session, ended } = await call(uri);
    session.close();
    t.equal((await ended).why, 'closed');
  },
  'uas-prack': async (uri, t) => {
    const { session, ended } = await call(uri);
    session.close();
    t.equal((await ended).why, 'closed');
  },
  'uas-message': async (uri, t) => {
    t.equal(statusOf(await ask(uri, 'MESSAGE')), 200);
  },
  'uas-options': async (uri, t) => {
    t.equal(statusOf(await ask(uri, 'OPTIONS')), 200);
  },
};

for (const transport of transports) {
  t.test(`sipp calls, over ${transport}`, { skip }, async (t) => {
    await Promise.all(
      callers.map(async ([scenario, service]) => {
        const ports = { port: await freePort(), target: agent.port };
        const { code, output } = await sipp(scenario, transport, { ...ports, service });
        t.equal(code, 0, scenario, { output });
      }),
    );
  });

  t.test(`sipp is called, over ${transport}`, { skip }, async (t) => {
    await Promise.all(
      Object.entries(callees).map(async ([scenario, play]) => {
        const port = await freePort();
        const ended = sipp(scenario, transport, { port, target: agent.port });
        await bound(transport, port);
        await play(parseUri(`sip:sipp@127.0.0.1:${port};transport=${transport.toLowerCase()}`), t);
        const { code, output } = await ended;
        t.equal(code, 0, scenario, { output });
      }),
    );
  });
}

t.test('tshark finds nothing wrong in what we sent', { skip: skip || skipWithout('tshark') }, async (t) => {
  const sent = agent.traced.filter(({ direction }) => direction === 'out');
  t.ok(sent.length > 100, `${sent.length} messages`);
  const folder = await mkdtemp(join(tmpdir(), 'grouptextchat-'));
  t.teardown(() => rm(folder, { recursive: true }));
  const file = join(folder, 'sent.pcap');
  // The last one is broken, to see that it would be seen.
  const broken = Buffer.from('OPTIONS sip:a@b SIP/2.0\r\nCSeq: 1 OPTIONS\r\nno header\r\n\r\n');
  await writeFile(file, pcapOf([...sent, { at: Date.now(), message: broken }]));
  const fields = ['frame.number', 'sip.Method', 'sip.Status-Code', '_ws.expert.severity', '_ws.expert.message'];
  const { code, output } = await run('tshark', [
    ...['-r', file, '-T', 'fields', '-E', 'separator=|'],
    ...fields.flatMap((field) => ['-e', field]),
  ]);
  t.equal(code, 0, 'tshark ran', { output });
  const lines = output.split('\n').filter((line) => /^\d+\|/.test(line));
  t.equal(lines.length, sent.length + 1, 'every message was read');
  t.strictSame(
    lines.filter((line) => !/^\d+\|(?:[A-Z]+\||\|\d{3})/.test(line)),
    [],
    'as SIP',
  );
  // Warnings and errors, as tshark numbers them (`tshark -G values`).
  const severe = lines.filter((line) => /\b(?:6291456|8388608)\b/.test(line));
  t.strictSame(
    severe.map((line) => line.split('|')[0]),
    [String(sent.length + 1)],
  );
});

t.test('nothing went wrong unseen', { skip }, (t) => {
  t.strictSame(agent.faults, []);
  t.end();
});
