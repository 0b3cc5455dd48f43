import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import t from 'tap';
import { join, raise } from '../plays/stage.ts';

const README = readFileSync('README.md', 'utf8');

t.test('every test that the README names is there', async (t) => {
  const files = new Set(Array.from(README.matchAll(/`(test\/[\w./-]+\.test\.ts)`/g), ([, file = '']) => file));
  t.ok(files.size > 10);
  for (const file of files) t.ok(existsSync(file), file);
});

t.test('RFC 7701: every requirement names a test that exists', async (t) => {
  const rows = Array.from(README.matchAll(/^\| ([\d., ]+) \| (.+) \| `(test\/[^`]+)`: (.+) \|$/gm));
  t.ok(rows.length > 40);
  for (const [, section = '', what = '', file = '', name = ''] of rows) {
    const text = existsSync(file) ? readFileSync(file, 'utf8') : '';
    t.ok(name === '*' ? text !== '' : text.includes(`'${name}'`), `§${section}: ${what}`);
  }
  const sections = new Set(rows.map(([, section = '']) => section.split(/[., ]/, 1)[0]));
  t.same([...sections].sort(), ['11', '5', '6', '7', '8']);
});

t.test('every mark of a message that is read stands in the README', async (t) => {
  const source = readFileSync('src/chat/marks.ts', 'utf8');
  const names = /linphone\('([^']+)'\)|LINPHONE = '([^']+)'|case '([^']+)'|IMDN_NAMESPACE, '([^']+)'/g;
  const read = Array.from(source.matchAll(names), (found) => found.slice(1).join(''));
  t.ok(read.length >= 7);
  for (const name of read) t.ok(README.includes(`\`${name}\``), name);
});

t.test('the bot in ten lines does what it says', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const { port } = stage.service.addresses.find(({ protocol }) => protocol === 'HTTP') ?? { port: 0 };
  const [, code = ''] = /```js\n(import \{ stayInRoom \}[^`]*(?:`[^`]+`[^`]*)*?)```/.exec(README) ?? [];
  t.match(code, /grouptextchat\/client\/node/);
  // As in a project that has the package installed, but for the port of this test.
  const file = `dist/bot-of-the-readme-${String(process.pid)}.mjs`;
  writeFileSync(file, code.replace("name: 'Clock',", `name: 'Clock', server: 'ws://127.0.0.1:${String(port)}/ws',`));
  t.teardown(() => rmSync(file));
  const alice = await join(stage, 'alice');
  for (const time of ['first', 'second']) {
    const bot: ChildProcess = spawn(process.execPath, [file], { stdio: 'inherit' });
    const ended = new Promise((resolve) => bot.once('close', resolve));
    t.teardown(() => bot.kill());
    await alice.hears('Ask me by !time.');
    await alice.say(`for the ${time} time`);
    await alice.say('!time');
    await alice.hears('it is 2');
    bot.kill();
    await ended;
  }
  const answers = alice.line.heard().filter(({ body }) => body?.includes('it is '));
  t.same(answers, [], 'one to each question: none to what was said before it came');
});
