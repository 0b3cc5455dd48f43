import { existsSync, readFileSync } from 'node:fs';
import t from 'tap';

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
