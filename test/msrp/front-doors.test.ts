import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createContext, runInContext } from 'node:vm';
import { build } from 'esbuild';
import t from 'tap';

t.test('the ten lines of msrp/README.md do what they say', async (t) => {
  const [, code = ''] = /```js\n([^]*?)```/.exec(readFileSync('msrp/README.md', 'utf8')) ?? [];
  const file = join(t.testdir(), 'example.mjs');
  writeFileSync(file, code);
  const example = spawn(process.execPath, [file], { stdio: ['ignore', 'pipe', 'pipe'] });
  t.teardown(() => example.kill());
  example.stderr.on('data', (bytes: Buffer) => t.fail(bytes.toString()));
  const [said] = (await once(example.stdout, 'data')) as [Buffer];
  t.equal(said.toString(), 'hello bob\n');
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
