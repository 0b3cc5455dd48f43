/** The service as a process: how it goes in good order, and what is left when it is killed. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join as joinPath } from 'node:path';
import t from 'tap';
import { cpim } from './msrp-line.ts';
import { SipPhone } from './sip-phone.ts';
import { join, messageSdp, newPath, ROOM } from './stage.ts';

// Run by itself, a file has 30 s: not enough where others keep the machine busy.
t.setTimeout(600_000);

interface Process {
  readonly child: ChildProcessWithoutNullStreams;
  /** SIP over TCP. */
  readonly sip: number;
  readonly errors: () => string;
}

/** Starts the service with its rooms in a directory, and waits until it serves. */
async function serve(data: string, ...more: readonly string[]): Promise<Process> {
  return serveWith([], data, ...more);
}

async function serveWith(node: readonly string[], data: string, ...more: readonly string[]): Promise<Process> {
  const keys = [
    'sip.port=0',
    'msrp.port=0',
    'http.port=0',
    `data=${data}`,
    'roster.interval=50ms',
    'rooms.defaults.history_messages=100',
    ...more,
  ];
  const child = spawn(process.execPath, [
    ...node,
    'dist/src/cli.js',
    'serve',
    ...keys.flatMap((key) => ['--set', key]),
  ]);
  let output = '';
  let errors = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text));
  child.stdout.setEncoding('utf8');
  for (;;) {
    const [text] = (await once(child.stdout, 'data')) as [string];
    output += text;
    const port = /SIP\s+127\.0\.0\.1:(\d+)/.exec(output)?.[1];
    if (port !== undefined) return { child, sip: Number(port), errors: () => errors };
  }
}

const host = '127.0.0.1';
const directory = (): string => mkdtempSync(joinPath(tmpdir(), 'grouptextchat-'));

t.test('SIGTERM: no new joins, BYE and terminated NOTIFY to all, exit 0 within 5 s', async (t) => {
  const data = directory();
  t.teardown(() => {
    rmSync(data, { recursive: true, force: true });
  });
  const { child, sip, errors } = await serve(data);
  const alice = await join({ sip, host }, 'alice');
  const bob = await join({ sip, host }, 'bob');
  const carol = await SipPhone.connect('carol', sip);
  await carol.request('SUBSCRIBE', ROOM, { headers: ['Event: conference', 'Expires: 600'] });
  t.equal(await alice.say('before the end'), '200');
  await bob.hears('before the end');
  const start = performance.now();
  const exit = once(child, 'exit');
  child.kill('SIGTERM');
  for (const { phone } of [alice, bob]) {
    const bye = await phone.next('BYE');
    t.match(bye.headers.get('Reason'), /SIP;cause=503;text="the service is stopping"/);
  }
  for (;;) {
    const notify = await carol.next('NOTIFY');
    if (notify.subscriptionState?.value === 'terminated') break;
  }
  const [code] = (await exit) as [number | null];
  t.equal(code, 0);
  t.ok(performance.now() - start < 5_000);
  t.notMatch(errors(), /error/);
});

for (const [what, fault] of [
  ['an exception', 'throw new Error("a bug")'],
  ['a promise that nobody waits for', 'void Promise.reject(new Error("a bug"))'],
]) {
  t.test(
    `a fault of the program itself, by ${what ?? ''}: people are told, what was said is kept, exit 1`,
    async (t) => {
      const data = directory();
      t.teardown(() => {
        rmSync(data, { recursive: true, force: true });
      });
      const code = `process.on("SIGUSR2", () => { ${fault ?? ''}; })`;
      const { child, sip, errors } = await serveWith(
        ['--import', `data:text/javascript,${encodeURIComponent(code)}`],
        data,
      );
      const alice = await join({ sip, host }, 'alice');
      t.equal(await alice.say('before the fault'), '200');
      const exit = once(child, 'exit');
      child.kill('SIGUSR2');
      await alice.phone.next('BYE');
      const [status] = (await exit) as [number | null];
      t.equal(status, 1);
      t.match(errors(), /^\S+ error a fault of this program: .*a bug/m);

      const again = await serve(data);
      t.teardown(() => {
        again.child.kill('SIGTERM');
      });
      const bob = await join({ sip: again.sip, host }, 'bob');
      await bob.hears('before the fault');
    },
  );
}

t.test(
  'SIGTERM: peers that answer nothing and close nothing delay the end, and do not make it a failure',
  async (t) => {
    const data = directory();
    t.teardown(() => {
      rmSync(data, { recursive: true, force: true });
    });
    const { child, sip, errors } = await serve(data, 'shutdown=1s');
    const alice = await join({ sip, host }, 'alice');
    // Nothing that comes is read any more: the BYE is not answered, the end of the connections is not seen.
    alice.phone.pause();
    alice.line.pause();
    const start = performance.now();
    const exit = once(child, 'exit');
    child.kill('SIGTERM');
    const [code] = (await exit) as [number | null];
    t.equal(code, 0);
    t.ok(performance.now() - start < 5_000);
    t.notMatch(errors(), /error/);
    alice.phone.hangUp();
    alice.line.close();
  },
);

t.test('kill -9: every message that got its 200 is in the history after the restart', async (t) => {
  const data = directory();
  t.teardown(() => {
    rmSync(data, { recursive: true, force: true });
  });
  const first = await serve(data);
  const alice = await join({ ...first, host }, 'alice');
  const answered: string[] = [];
  const gone = once(first.child, 'exit');
  // A stream of messages is under way when the end comes.
  for (let i = 0; i < 40; i += 1) {
    const text = `message ${String(i)}.`;
    void alice.line.request('SEND', ...cpim(alice.uri, ROOM, text)).then(({ what }) => {
      if (what === '200') answered.push(text);
      if (answered.length === 10) first.child.kill('SIGKILL');
    });
  }
  await gone;
  t.ok(answered.length >= 10);
  alice.phone.hangUp();

  const second = await serve(data);
  t.teardown(async () => {
    const exit = once(second.child, 'exit');
    second.child.kill('SIGTERM');
    await exit;
  });
  const own = newPath();
  const offer = { body: messageSdp(own) };
  const bob = await join({ ...second, host }, 'bob', ROOM, offer, own);
  for (const text of answered) await bob.hears(text);
  t.pass(`${String(answered.length)} answered, all of them in the history`);
  await bob.leave();
});

t.test('kill -9: a device that was in the room is sent what is said before it comes back, however much', async (t) => {
  const data = directory();
  t.teardown(() => {
    rmSync(data, { recursive: true, force: true });
  });
  const few = 'rooms.defaults.history_messages=1';
  const instance = 'urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6';
  const first = await serve(data, few);
  const alice = await join({ ...first, host }, 'alice');
  const bob = await join({ ...first, host }, 'bob', ROOM, { instance });
  t.equal(await alice.say('one'), '200');
  await bob.hears('one');
  const gone = once(first.child, 'exit');
  first.child.kill('SIGKILL');
  await gone;
  for (const { phone, line } of [alice, bob]) {
    phone.hangUp();
    line.close();
  }

  const second = await serve(data, few);
  t.teardown(async () => {
    const exit = once(second.child, 'exit');
    second.child.kill('SIGTERM');
    await exit;
  });
  const again = await join({ ...second, host }, 'alice');
  for (const word of ['two', 'three', 'four']) t.equal(await again.say(word), '200');
  const back = await join({ ...second, host }, 'bob', ROOM, { instance });
  for (const word of ['that you missed', 'two', 'three', 'four']) await back.hears(word);
  await back.leave();
  await again.leave();
});
