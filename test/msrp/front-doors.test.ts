import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createContext, runInContext } from 'node:vm';
import { build } from 'esbuild';
import t from 'tap';
import { run } from '../interop/programs.ts';

t.test('the examples of msrp/README.md do what they say, and end', async (t) => {
  const blocks = [...readFileSync('msrp/README.md', 'utf8').matchAll(/```js\n([^]*?)```/g)].map(
    ([, code = '']) => code,
  );
  const says = ['hello bob\n', '42\n', 'delivered\n'];
  t.equal(blocks.length, says.length);
  for (const [n, code] of blocks.entries()) {
    const cwd = t.testdir({ 'example.mjs': code });
    const example = spawn(process.execPath, ['example.mjs'], { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
    t.teardown(() => example.kill());
    example.stderr.on('data', (bytes: Buffer) => t.fail(bytes.toString()));
    const [said] = (await once(example.stdout, 'data')) as [Buffer];
    t.equal(said.toString(), says[n]);
    // They end by themselves, having closed all that they opened.
    t.same(await once(example, 'exit'), [0, null]);
    if (n === 2) t.equal(readFileSync(join(cwd, 'received'), 'utf8'), code);
  }
});

/** Two endpoints in a world without Node: flows by hand, turns as microtasks. Gives what was heard. */
const PORTABLE = `
  const heard = [];
  const flows = () => {
    const make = (secure) => ({
      framing: 'stream', keepsBytes: true, secure, peer: { address: '', port: 0 }, other: undefined, handlers: undefined,
      start(handlers) { this.handlers = handlers; },
      write(bytes) { queueMicrotask(() => this.other.handlers.receive(bytes)); return true; },
      pause() {}, resume() {}, end() {}, destroy() {},
    });
    const [one, other] = [make(true), make(true)];
    one.other = other;
    other.other = one;
    return [one, other];
  };
  const [near, far] = flows();
  const there = MSRP.newEndpoint();
  const here = MSRP.newEndpoint({ dialer: async () => near });
  there.accept(far);
  const at = { scheme: 'msrps', host: 'a.example.com', port: 443, transport: 'ws' };
  const text = new TextDecoder();
  const bob = there.session({ at, handlers: { message(session, message) {
    heard.push(text.decode(message.body));
    message.respond(200);
    if (heard.length === 2) done(heard);
  } } });
  const alice = here.session({ at, remotePath: bob.localPath, handlers: { message() {}, outcome(s, m, o) { heard.push(o.kind); } } });
  bob.setRemotePath(alice.localPath);
  alice.send(MSRP.prepare({ contentType: 'text/plain', body: new TextEncoder().encode('gr\\u00fcn\\r\\n-------') }));
  alice.send(MSRP.prepare({ contentType: 'text/plain', body: new Uint8Array(200000).fill(45) }));
  alice.dial();
`;

t.test('a browser’s WebSocket is one that webSocketFlow takes, by their types', async (t) => {
  const code = [
    `import { newEndpoint, webSocketFlow } from ${JSON.stringify(join(process.cwd(), 'dist/msrp/index.js'))};`,
    `const socket = new WebSocket('wss://chat.example.com/', 'msrp');`,
    `newEndpoint({ dialer: async () => webSocketFlow(socket, { secure: true }) });`,
  ];
  const cwd = t.testdir({ 'page.mts': code.join('\n') });
  const options = '--ignoreConfig --noEmit --strict --module NodeNext --target ES2023 --lib ES2023,DOM'.split(' ');
  const compiler = join('node_modules', 'typescript', 'bin', 'tsc');
  const { code: exit, output } = await run(process.execPath, [compiler, ...options, join(cwd, 'page.mts')], 120);
  t.equal(exit, 0, output);
});

t.test('msrp/index.ts bundles for a browser, and works where there is no Node', async (t) => {
  const { outputFiles, metafile } = await build({
    entryPoints: ['msrp/index.ts'],
    bundle: true,
    minify: true,
    platform: 'browser',
    format: 'iife',
    globalName: 'MSRP',
    write: false,
    metafile: true,
    logLevel: 'silent',
  });
  const [file] = outputFiles;
  const imports = Object.values(metafile.outputs).flatMap(({ imports }) => imports.map(({ path }) => path));
  t.same(imports, [], 'nothing is left to be imported');
  const inputs = Object.keys(metafile.inputs);
  t.same(
    inputs.filter((input) => /tcp|node\.ts/.test(input)),
    [],
  );
  const { TextEncoder, TextDecoder, crypto, performance, setInterval, clearInterval, queueMicrotask } = globalThis;
  const heard = await new Promise((done) => {
    const world = { TextEncoder, TextDecoder, crypto, performance, setInterval, clearInterval, queueMicrotask, done };
    const context = createContext({ ...world, ArrayBuffer, Uint8Array, DataView });
    runInContext(`${file?.text ?? ''}\n;(() => {${PORTABLE}})()`, context);
    t.equal(runInContext('typeof Buffer', context), 'undefined');
  });
  t.same(heard, ['grün\r\n-------', '-'.repeat(200_000)]);
});
