/** The first two minutes of a newcomer, with the very commands of the README: real processes, real sockets. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import t from 'tap';

// Run by itself, a file has 30 s: not enough where others keep the machine busy.
t.setTimeout(600_000);

const ROOM = 'sip:lobby@127.0.0.1';
/** A room in which one is soon too fast. */
const HURRIED = ['rooms.named.hurried.messages_per_second=10', 'rooms.named.hurried.messages_at_once=2'];

/** A command running, whose output can be waited for. */
class Running {
  readonly process: ChildProcessWithoutNullStreams;
  readonly exit: Promise<number | null>;
  output = '';
  errors = '';
  #over = false;
  #wake: () => void = () => undefined;

  /** @param cwd the folder it runs in */
  constructor(args: readonly string[], env: NodeJS.ProcessEnv = {}, cwd = '.') {
    const command = [resolve('dist/src/cli.js'), ...args];
    this.process = spawn(process.execPath, command, { env: { ...process.env, ...env }, cwd });
    this.process.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.output += text;
      this.#wake();
    });
    this.process.stderr.setEncoding('utf8').on('data', (text: string) => (this.errors += text));
    // Not `exit`: what it has written last may be read after that.
    this.exit = once(this.process, 'close').then(([code]) => {
      this.#over = true;
      this.#wake();
      return code as number | null;
    });
  }

  /** Resolves with what the pattern finds in the output. */
  async shows(pattern: RegExp): Promise<string> {
    for (;;) {
      const found = pattern.exec(this.output);
      if (found !== null) return found[1] ?? found[0];
      if (this.#over) throw new Error(`ended without ${String(pattern)}: ${this.output}${this.errors}`);
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  type(line: string): void {
    this.process.stdin.write(`${line}\n`);
  }

  get json(): Record<string, unknown>[] {
    const lines = this.output.split('\n').filter((line) => line !== '');
    return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  }
}

const running: Running[] = [];
const start = (...args: readonly string[]): Running => {
  const command = new Running(args);
  running.push(command);
  return command;
};
const data = mkdtempSync(join(tmpdir(), 'grouptextchat-'));
let server: string[] = [];

t.before(async () => {
  const ports = ['sip.port=0', 'msrp.port=0', 'http.port=0', `data=${data}`, 'roster.interval=50ms', ...HURRIED];
  const service = start('serve', ...ports.flatMap((setting) => ['--set', setting]));
  server = ['--server', await service.shows(/(ws:\/\/127\.0\.0\.1:\d+\/ws)/)];
  t.equal(service.errors, '', 'the first command prints no warning');
});

t.teardown(async () => {
  for (const { process: child } of running) if (child.exitCode === null) child.kill('SIGTERM');
  await Promise.all(running.map(({ exit }) => exit));
  rmSync(data, { recursive: true, force: true });
});

t.test('Alice and Bob talk, see who joins and leaves, and the room’s full address', async (t) => {
  const alice = start('chat', ROOM, '--name', 'Alice', ...server);
  await alice.shows(/You are in sip:lobby@127\.0\.0\.1 as Alice/);
  await alice.shows(/Here: Alice \(you\)\nAddress of this room: sip:lobby@127\.0\.0\.1\n/);
  const bob = start('chat', ROOM, '--name', 'Bob', ...server);
  await alice.shows(/\* Bob joined/);
  alice.type('hello Bob');
  await bob.shows(/Alice: hello Bob\n/);
  bob.type('hello Alice');
  await alice.shows(/Bob: hello Alice\n/);
  bob.type('/who');
  await bob.shows(/Here: (Alice, Bob \(you\)|Bob \(you\), Alice)\n/);
  bob.type('/help');
  await bob.shows(/\/msg WHO TEXT/);
  bob.type('/nonsense');
  await bob.shows(/there is no \/nonsense/);
  bob.type('/leave');
  t.equal(await bob.exit, 1, 'one of its lines was none');
  await alice.shows(/\* Bob left/);
  alice.process.stdin.end();
  t.equal(await alice.exit, 0, 'the end of the input leaves');
  t.notMatch(alice.output, /\u001b/, 'no control sequences in a pipe');
});

t.test('RFC 7701 §11: what others send is neither run nor written anywhere until its reader asks for it', async (t) => {
  const folder = t.testdir({ alice: { 'page.html': '<script>alert(1)</script>' }, bob: {} });
  const bob = new Running(['chat', ROOM, '--name', 'Bob', ...server], {}, join(folder, 'bob'));
  running.push(bob);
  await bob.shows(/You are in .* as Bob/);
  const alice = start('chat', ROOM, '--name', 'Alice', ...server);
  await alice.shows(/You are in .* as Alice/);
  alice.type(`/file ${join(folder, 'alice', 'page.html')}`);
  await bob.shows(/Alice: \[page\.html, text\/html, 25 bytes; \/save 1 keeps it\]/);
  t.notMatch(bob.output, 'alert', 'nothing of it is shown');
  t.same(readdirSync(join(folder, 'bob')), []);
  bob.type('/save 1');
  await bob.shows(/page\.html\n$/);
  t.same(readdirSync(join(folder, 'bob')), ['page.html']);
  for (const { process: child } of [alice, bob]) child.stdin.end();
  t.same(await Promise.all([alice.exit, bob.exit]), [0, 0]);
});

t.test('watch shows the conference document live', async (t) => {
  const watch = start('watch', ROOM, ...server);
  await watch.shows(/not active, 0 here/);
  await watch.shows(/grouptextchat {2}sip:lobby@127\.0\.0\.1/);
  const alice = start('chat', ROOM, '--name', 'Alice', ...server);
  await watch.shows(/Alice {2}sip:alice@127\.0\.0\.1 {2}owner\n +connected, message sendrecv/);
  const once = start('watch', ROOM, '--once', '--json', ...server);
  t.equal(await once.exit, 0);
  t.match(once.json, [{ type: 'conference', entity: ROOM, state: { userCount: 1, active: true } }]);
  const port = new URL(server[1] ?? '').port;
  const list = start('room', 'list', '--set', `data=${data}`, '--set', `http.port=${port}`);
  t.equal(await list.exit, 0);
  t.equal(list.output, `${ROOM}  1 user\n`, 'under the name that one knows');
  alice.process.kill('SIGTERM');
  t.equal(await alice.exit, 0, 'a signal leaves in good order');
  await watch.shows(/the conference is over/);
  t.equal(await watch.exit, 0);
  t.notMatch(watch.output, / {2}active, 0 here/);
});

t.test('scripts: --say, --json and pipes', async (t) => {
  const listener = start('chat', ROOM, '--name', 'Logger', '--json', '--stay', ...server);
  listener.process.stdin.end();
  await listener.shows(/"type":"room"/);
  const say = start(
    'chat',
    ROOM,
    '--name',
    'Cron',
    '--say',
    'backup done',
    '--say',
    '',
    '--say',
    'zweite Zeile: ü',
    ...server,
  );
  t.equal(await say.exit, 0);
  t.equal(
    say.output,
    `You are in ${ROOM} as Cron (sip:cron@127.0.0.1).\n`,
    'what others say and do is not its business',
  );
  await listener.shows(/zweite Zeile/);
  const heard = listener.json.filter(({ type }) => type === 'message');
  t.equal(heard.at(-2)?.['text'], 'backup done', 'and of nothing, no message is made');
  t.match(heard.slice(-2), [
    { text: 'backup done', from: { name: 'Cron', uri: 'sip:cron@127.0.0.1' }, private: false },
    { text: 'zweite Zeile: ü' },
  ]);
  const pipe = start('chat', ROOM, '--name', 'Pipe', '--json', ...server);
  pipe.process.stdin.end('one\ntwo\n');
  t.equal(await pipe.exit, 0);
  t.equal(pipe.json[0]?.['type'], 'entered', 'where one is comes before what is there');
  t.same(
    pipe.json.filter(({ type }) => type === 'said').map(({ text }) => text),
    ['one', 'two'],
    'every line was kept by the room before the end',
  );
  await listener.shows(/"text":"two"/);
  const writer = start('chat', ROOM, '--name', 'Uptime', ...server);
  writer.process.stdin.end('up 3 days\n');
  t.equal(await writer.exit, 0);
  t.match(writer.output, /^You are in /);
  t.notMatch(writer.output, /before you came|one/, 'who only writes is not told the past');
  listener.process.kill('SIGINT');
  t.equal(await listener.exit, 0);
});

t.test(
  'what one has said to the room under another of its names is not taken for something said to one alone',
  async (t) => {
    const other = start('chat', 'sip:names@127.0.0.1:5099', '--name', 'Nora', '--say', 'to all', ...server);
    t.equal(await other.exit, 0);
    const again = start('chat', 'sip:names@127.0.0.1', '--name', 'Nora', '--json', '--stay', ...server);
    again.process.stdin.end();
    await again.shows(/"text":"to all"/);
    const heard = again.json.find(({ text }) => text === 'to all');
    t.match(heard, { from: { uri: 'sip:nora@127.0.0.1' }, private: false });
    t.notOk(heard && 'to' in heard);
    again.process.kill('SIGINT');
    t.equal(await again.exit, 0);
  },
);

t.test('scripts: what needs the roster waits for it, and what could not be done is in the exit code', async (t) => {
  const script = (lines: string, ...more: readonly string[]): Running => {
    const command = start('chat', ROOM, '--name', 'Dora', ...more, ...server);
    command.process.stdin.end(lines);
    return command;
  };
  const alice = start('chat', ROOM, '--name', 'Alice', ...server);
  await alice.shows(/Here: Alice/);
  const asks = script('/who\n/msg Alice psst\n/leave\nnever said\n');
  t.equal(await asks.exit, 0);
  t.notMatch(asks.output, /Here: Dora \(you\)\n|nobody here|never said/);
  await alice.shows(/Dora \(to you alone\): psst\n/);
  const failing = ['/msg Nobody psst\nhello\n', '/nonsense\n', '/file /nowhere/at-all\n', '/nick admin\n'].map(
    (lines) => script(lines),
  );
  failing.push(script('hello\n', '--nick', 'admin'));
  t.same(await Promise.all(failing.map(({ exit }) => exit)), [1, 1, 1, 1, 1]);
  await alice.shows(/Dora: hello\n/);
  alice.process.stdin.end();
  t.equal(await alice.exit, 0);
});

t.test('scripts: who is too fast waits as long as the room says, and loses no line', async (t) => {
  const room = 'sip:hurried@127.0.0.1';
  const listener = start('chat', room, '--name', 'Logger', '--json', '--stay', ...server);
  listener.process.stdin.end();
  await listener.shows(/"type":"room"/);
  const textsOf = (name: string): string[] => Array.from({ length: 7 }, (_, at) => `${name} ${String(at)}`);
  const pipe = start('chat', room, '--name', 'Seq', ...server);
  pipe.process.stdin.end(textsOf('Seq').join('\n'));
  const say = start('chat', room, '--name', 'Say', ...server, ...textsOf('Say').flatMap((text) => ['--say', text]));
  t.same(await Promise.all([pipe.exit, say.exit]), [0, 0]);
  for (const name of ['Seq', 'Say']) {
    await listener.shows(new RegExp(`"name":"${name}"[^\\n]*"text":"${name} 6"`));
    const heard = listener.json.filter(
      ({ type, from }) => type === 'message' && (from as { name: string }).name === name,
    );
    t.same(
      heard.map(({ text }) => text),
      textsOf(name),
      `${name}: all, in their order`,
    );
  }
  listener.process.kill('SIGINT');
  t.equal(await listener.exit, 0);
});

t.test('scripts: what was about to be said when the service died is named', async (t) => {
  const settings = ['sip.port=0', 'msrp.port=0', 'http.port=0', `data=${join(data, 'dying')}`];
  // After the first text, the next one waits for longer than the service lives.
  settings.push('rooms.named.slow.slow_mode=5m', 'rooms.named.slow.creator_role=participant');
  const service = start('serve', ...settings.flatMap((setting) => ['--set', setting]));
  const there = ['--server', await service.shows(/(ws:\/\/127\.0\.0\.1:\d+\/ws)/)];
  const room = 'sip:slow@127.0.0.1';
  const pipe = start('chat', room, '--name', 'Pipe', '--json', ...there);
  const say = start(
    'chat',
    room,
    '--name',
    'Say',
    '--json',
    ...there,
    '--say',
    'one',
    '--say',
    'two',
    '--say',
    'three',
  );
  pipe.process.stdin.end('one\ntwo\n');
  for (const script of [pipe, say]) await script.shows(/"type":"said"[^\n]*"text":"one"/);
  service.process.kill('SIGKILL');
  t.same(await Promise.all([pipe.exit, say.exit]), [1, 1]);
  const unsaid = (script: Running): unknown[] =>
    script.json.filter(({ type }) => type === 'refused').map(({ text }) => text);
  t.same([unsaid(pipe), unsaid(say)], [['two'], ['two', 'three']]);
});

t.test('whoever reads the output may have seen enough', async (t) => {
  const cut = [start('watch', ROOM, '--json', ...server), start('chat', ROOM, '--json', '--stay', ...server)];
  await cut[0]?.shows(/"version":/);
  await cut[1]?.shows(/"type":"room"/);
  for (const command of cut) command.process.stdout.destroy();
  const bob = start('chat', ROOM, '--name', 'Bob', '--say', 'hi', ...server);
  t.equal(await bob.exit, 0);
  for (const command of cut) {
    t.equal(await command.exit, 0);
    t.equal(command.errors, '');
  }
});

t.test('exit codes tell what went wrong', async (t) => {
  const address = start('chat', 'lobby', ...server);
  const own = start('chat', ROOM, '--as', 'zed', ...server);
  const history = start('chat', ROOM, '--history', 'much', ...server);
  const unreachable = start('chat', ROOM, '--server', 'ws://127.0.0.1:1/ws');
  const refused = start('watch', 'sip:lobby@elsewhere.example', ...server);
  t.equal(await address.exit, 2);
  t.match(address.output, /no address of a room/);
  t.equal(await own.exit, 2);
  t.match(own.output, /zed is no SIP address/);
  t.equal(await history.exit, 1);
  t.match(history.errors, /--history .*'much' is invalid\. Give a number of messages/);
  t.equal(await unreachable.exit, 3);
  t.equal(await refused.exit, 1);
});

t.test('who has to prove who he is, is told how', async (t) => {
  const settings = ['sip.port=0', 'msrp.port=0', 'http.port=0', `data=${join(data, 'digest')}`, 'auth.mode=digest'];
  const service = start('serve', ...settings.flatMap((setting) => ['--set', setting]));
  const there = ['--server', await service.shows(/(ws:\/\/127\.0\.0\.1:\d+\/ws)/)];
  const chat = start('chat', ROOM, '--say', 'hi', ...there);
  const watch = start('watch', ROOM, '--once', ...there);
  t.equal(await chat.exit, 1);
  t.match(chat.output, /--as.*GTC_PASSWORD/);
  t.equal(await watch.exit, 1);
  t.match(watch.output, /--as.*GTC_PASSWORD/);
  const wrong = new Running(['watch', ROOM, '--once', ...there], { GTC_PASSWORD: 'guessed' });
  running.push(wrong);
  t.equal(await wrong.exit, 1);
  t.match(wrong.output, /what is in GTC_PASSWORD, is not right/);

  for (const name of ['alice', 'bob']) {
    const add = start('user', 'add', name, ...settings.flatMap((setting) => ['--set', setting]));
    add.type(`of ${name}`);
    t.equal(await add.exit, 0);
  }
  const enter = (name: string): Running => {
    const as = `sip:${name}@127.0.0.1`;
    const chat = new Running(['chat', ROOM, ...there, '--as', as, '--stay', '--json'], { GTC_PASSWORD: `of ${name}` });
    running.push(chat);
    return chat;
  };
  const alice = enter('alice');
  await alice.shows(/"type":"room"/);
  const bob = enter('bob');
  await bob.shows(/"type":"room"/);
  const here = bob.json.find(({ type }) => type === 'room');
  const people = here?.people as readonly { readonly name: string }[] | undefined;
  t.same(people?.map(({ name }) => name).sort(), ['alice', 'bob'], 'each once, by the name of his account');
  await alice.shows(/"joined"/);
  const joined = alice.json
    .filter(({ type }) => type === 'joined')
    .map(({ person }) => (person as { name: string }).name);
  t.same(joined, ['bob'], 'and who comes in is not told of himself');
});
