import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { PassThrough, Writable } from 'node:stream';
import t, { type Test } from 'tap';
import { addUser } from '../../../src/config/users.ts';
import { examine, formatFindings } from '../../../src/cli/doctor.ts';
import { askPassword, NoAnswer } from '../../../src/cli/prompt.ts';
import { greeting } from '../../../src/cli/serve.ts';
import { readConfig } from '../../../src/config/load.ts';
import { makeCertificate } from '../../../src/ops/certificate.ts';
import { listenFault } from '../../../src/ops/machine.ts';
import type { ServedAddress } from '../../../src/service.ts';

interface Ran {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** Ports of the system's choice, so that nothing else on this machine is in the way. */
const anywhere = ['sip.port=0', 'msrp.port=0', 'http.port=0', 'sip.tls_port=null'].flatMap((key) => ['--set', key]);

function start(args: readonly string[], env: Readonly<Record<string, string>> = {}): ChildProcessWithoutNullStreams {
  return spawn(process.execPath, ['dist/src/cli.js', ...args], { env: { PATH: process.env.PATH, ...env } });
}

/** Runs a command to its end. */
async function run(args: readonly string[], input = '', env: Readonly<Record<string, string>> = {}): Promise<Ran> {
  const child = start(args, env);
  let [out, err] = ['', ''];
  child.stdout.on('data', (piece: Buffer) => (out += piece.toString()));
  child.stderr.on('data', (piece: Buffer) => (err += piece.toString()));
  child.stdin.end(input);
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, out, err };
}

/** A running service that ends with the test. Its log goes to `log`, and `until` waits for a line of it. */
async function startServe(t: Test, dir: string, args: readonly string[]) {
  const child = start(['serve', ...anywhere, '--set', `data=${dir}/data`, ...args]);
  t.teardown(() => child.kill('SIGKILL'));
  let [out, log, heard] = ['', '', 0];
  child.stdout.on('data', (piece: Buffer) => (out += piece.toString()));
  child.stderr.on('data', (piece: Buffer) => (log += piece.toString()));
  const gone = once(child, 'exit').then(() => Promise.reject(new Error(`has ended: ${log}`)));
  gone.catch(() => undefined);
  const until = async (stream: NodeJS.ReadableStream, has: () => boolean): Promise<void> => {
    while (!has()) await Promise.race([once(stream, 'data'), gone]);
  };
  await until(child.stdout, () => out.includes('explains every key'));
  return {
    child,
    out: () => out,
    log: () => log,
    /** Waits for a text in the log, behind the one that was waited for before. */
    told: async (text: string) => {
      await until(child.stderr, () => log.includes(text, heard));
      heard = log.indexOf(text, heard) + text.length;
    },
  };
}

t.test('check-config: all is well', async (t) => {
  t.same(await run(['check-config']), { code: 0, out: 'the configuration is well\n', err: '' });
});

t.test('check-config: every fault, exit code 1', async (t) => {
  const config = join(t.testdir({ 'my.yaml': 'sip:\n  prt: 1\n' }), 'my.yaml');
  const { code, out, err } = await run(['check-config', '--config', config, '--set', 'x=1'], '', {
    GTC_MSRP_PORT: 'many',
  });
  t.equal(code, 1);
  t.equal(out, '');
  t.match(err, 'the configuration cannot be used:\n');
  t.match(err, `${config}:2:3: sip.prt: no such key; did you mean sip.port?\n`);
  t.match(err, 'GTC_MSRP_PORT: msrp.port: expected number');
  t.match(err, '--set x=1: x: no such key');
});

t.test('check-config: certificate and key are looked at, beside all else', async (t) => {
  const [made, other] = await Promise.all([makeCertificate(['a.example']), makeCertificate(['b.example'])]);
  const dir = t.testdir({ 'c.pem': made.certificate, 'k.pem': made.key, 'other.pem': other.key, junk: 'junk' });
  const config = join(dir, 'my.yaml');
  const check = (certificate: string, key: string): Promise<Ran> => {
    writeFileSync(config, `sip: { prt: 1 }\ntls:\n  certificate: ${dir}/${certificate}\n  key: ${dir}/${key}\n`);
    return run(['check-config', '--config', config]);
  };
  const [first, second] = [/my\.yaml:1:8: sip\.prt: no such key/, 'my.yaml:3:3: tls.certificate: '];
  for (const [certificate, key, reason] of [
    ['c.pem', 'other.pem', 'are no certificate and its key: '],
    ['junk', 'k.pem', 'are no certificate and its key: '],
    ['c.pem', 'junk', 'are no certificate and its key: '],
    ['none', 'k.pem', 'none cannot be read: ENOENT'],
  ] as const) {
    const { code, err } = await check(certificate, key);
    t.equal(code, 1);
    t.match(err, first);
    t.match(err, second);
    t.match(err, reason);
  }
  t.notMatch((await check('c.pem', 'k.pem')).err, 'tls');
});

t.test('check-config: GTC_CONFIG names the file, and --print shows what holds', async (t) => {
  const config = join(t.testdir({ 'my.yaml': 'shutdown: 1s\n' }), 'my.yaml');
  const { out } = await run(['check-config', '--print'], '', { GTC_CONFIG: config });
  t.match(JSON.parse(out), { shutdown: 1000, sip: { port: 5060 } });
});

t.test('user: add with the password on standard input, list, change, remove', async (t) => {
  const data = join(t.testdir(), 'data');
  const users = (...args: readonly string[]): readonly string[] => ['user', ...args, '--set', `data=${data}`];
  t.match(await run(users('add', 'alice'), 'secret\nrest'), { code: 0, out: /^alice was added/, err: '' });
  t.match(await run(users('add', 'alice'), 'other'), { code: 0, out: /^alice has a new password/ });
  t.equal(statSync(join(data, 'users.json')).mode & 0o777, 0o600);
  t.notMatch(readFileSync(join(data, 'users.json'), 'utf8'), /secret|other/);
  t.match(await run(users('list')), { code: 0, out: 'alice\n' });
  t.match(await run(users('remove', 'alice')), { code: 0, out: 'alice was removed\n' });
  t.match(await run(users('remove', 'alice')), { code: 1, err: 'grouptextchat: there is no user alice\n' });
  t.match(await run(users('add', 'bob'), ''), { code: 1, err: /no password was given/ });
  t.match(await run(users('add', 'b b'), 'x'), { code: 1, err: /cannot be a user/ });
});

t.test('a command that does not exist is told with a hint', async (t) => {
  const { code, err } = await run(['srve']);
  t.equal(code, 1);
  t.match(err, /Did you mean serve/);
});

t.test('a password at a terminal is asked for twice, and its letters are not echoed', async (t) => {
  const ask = (typed: readonly string[]): { readonly answer: Promise<string>; readonly shown: () => string } => {
    const input = Object.assign(new PassThrough(), {
      isTTY: true,
      setRawMode: () => input,
    }) as unknown as NodeJS.ReadStream;
    let shown = '';
    const rest = [...typed];
    const terminal = new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        shown += chunk.toString();
        const next = chunk.toString().endsWith(': ') ? rest.shift() : undefined;
        if (next !== undefined) setImmediate(() => input.push(`${next}\r`));
        done();
      },
    }) as unknown as NodeJS.WriteStream;
    return { answer: askPassword(input, terminal), shown: () => shown };
  };
  const same = ask(['secret', 'secret']);
  t.equal(await same.answer, 'secret');
  t.equal(same.shown(), 'Password: \nOnce more: \n');
  await t.rejects(ask(['secret', 'sekret']).answer, NoAnswer);
});

t.test('serve: prints where it is and how to use it, and ends well on SIGTERM and SIGINT', async (t) => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    const { child, out } = await startServe(t, t.testdir(), []);
    t.match(out(), /^grouptextchat \d+\.\d+\.\d+ is serving\n/);
    t.match(out(), /npx grouptextchat chat sip:lobby@127\.0\.0\.1.* --name Alice/);
    const health = /(http:\S+\/health)/.exec(out())?.[1] ?? '';
    t.equal((await fetch(health)).status, 200);
    child.kill(signal);
    const [code] = (await once(child, 'exit')) as [number | null];
    t.equal(code, 0, signal);
  }
});

t.test(
  'serve: SIGHUP takes over what it can, names what it cannot, and keeps going when the file is broken',
  async (t) => {
    const dir = t.testdir({ 'my.yaml': 'logging: { level: info }\n' });
    const config = join(dir, 'my.yaml');
    const { child, log, told } = await startServe(t, dir, ['--config', config]);
    writeFileSync(config, 'logging: { level: debug }\nsip: { t1: 600ms }\n');
    child.kill('SIGHUP');
    await told('needs a restart key=sip.t1');
    t.match(log(), 'taken over key=logging.level');
    writeFileSync(config, 'logging: { level: loud }\n');
    child.kill('SIGHUP');
    await told('the configuration is not taken over');
    t.match(log(), /fault=".*my\.yaml:1:12: logging\.level: /);
    writeFileSync(config, 'logging: { level: info }\n');
    child.kill('SIGHUP');
    await told('taken over key=logging.level\n');
    writeFileSync(config, 'logging: { level: info }\n# again\n');
    child.kill('SIGHUP');
    await told('the configuration has not changed');
    t.equal(log().split('needs a restart').length - 1, 1, 'what is again as it was at the start needs none');
    t.equal(child.exitCode, null);
  },
);

t.test('serve: a port that is taken is told in one line', async (t) => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const address = server.address();
  const port = typeof address === 'object' ? (address?.port ?? 0) : 0;
  const { code, err } = await run([
    'serve',
    ...anywhere,
    '--set',
    `data=${t.testdir()}/data`,
    '--set',
    `http.port=${port}`,
  ]);
  t.equal(code, 1);
  t.match(
    err,
    new RegExp(`^grouptextchat: .*EADDRINUSE.*:${port}; is the service running already\\? .*http\\.port.*\\n$`),
  );
});

t.test('a data directory that cannot be made is refused at once, by its key', async (t) => {
  const dir = t.testdir({ file: '' });
  // Nothing can be made in /proc, also by root.
  const places = [`${dir}/file`, `${dir}/file/below`, ...(process.platform === 'linux' ? ['/proc/x'] : [])];
  for (const place of places) {
    for (const command of [['serve'], ['doctor'], ['user', 'add', 'alice']]) {
      const { code, out, err } = await run([...command, ...anywhere, '--set', `data=${place}`], 'secret');
      t.equal(code, 1, `${command.join(' ')} ${place}`);
      t.match(`${out}${err}`, new RegExp(`data: .*${place}`), `${command.join(' ')} ${place}`);
    }
  }
  t.match(
    (await run(['serve', ...anywhere, '--set', `data=${dir}/file`])).err,
    /is there already, and is no directory/,
  );
  const { code, err } = await run(['serve', ...anywhere, '--set', `data=${dir}/d`, '--set', `log.file=${dir}/file/l`]);
  t.same([code, err], [1, `grouptextchat: log.file: ${dir}/file is there already, and is no directory\n`]);
});

t.test('serve: refuses to be open to the network without being told so', async (t) => {
  const { code, err } = await run(['serve', ...anywhere, '--set', 'sip.host=0.0.0.0']);
  t.equal(code, 1);
  t.match(err, /anybody may join/);
  t.match(err, /others may read along/);
});

t.test('the greeting names what is needed and no more', async (t) => {
  const at = (protocol: ServedAddress['protocol'], transport: string, host: string, port: number): ServedAddress => ({
    protocol,
    transport,
    host,
    port,
  });
  const standard = [
    at('SIP', 'UDP', '127.0.0.1', 5060),
    at('SIP', 'TCP', '127.0.0.1', 5060),
    at('MSRP', 'plain and TLS', '127.0.0.1', 2855),
    at('HTTP', 'TCP', '127.0.0.1', 8080),
  ];
  const text = greeting(readConfig({}), standard, '1.2.3');
  t.match(text, '  SIP        127.0.0.1:5060 (UDP, TCP)\n');
  t.match(text, '  MSRP       127.0.0.1:2855 (plain and TLS)\n');
  t.match(text, '  npx grouptextchat chat sip:lobby@127.0.0.1 --name Bob\n');
  t.match(text, 'Only this machine can reach it');
  const other = readConfig({
    options: ['domains=[a.example]', 'open_to_network=[anybody may join, others may read along]', "sip.host='::'"],
  });
  const elsewhere = greeting(other, [at('SIP', 'UDP', '::', 5070), at('HTTP', 'TCP', '::1', 81)], '1');
  t.match(elsewhere, '  SIP        [::]:5070 (UDP)\n');
  t.match(elsewhere, 'chat sip:lobby@a.example:5070 --server ws://[::1]:81/ws --name Alice');
  t.match(elsewhere, 'The network can reach it.');
  const mapped = readConfig({ options: ['sip.advertise={ host: 192.0.2.7, port: 5099 }'] });
  const outside = greeting(mapped, standard, '1');
  t.match(outside, 'Try sip:lobby@192.0.2.7:5099, from');
  t.match(outside, 'npx grouptextchat watch sip:lobby@192.0.2.7:5099\n');
  t.match(outside, '  SIP        127.0.0.1:5060 (UDP, TCP)\n', 'where it listens is another matter');
  const six = greeting(readConfig({ options: ["domains=['2001:db8::7']"] }), standard, '1');
  t.match(six, 'chat sip:lobby@[2001:db8::7] --name Alice');
  const none = greeting(readConfig({ options: ['rooms.on_demand=false'] }), standard, '1');
  t.notMatch(none, /lobby@|npx/);
  t.match(none, /^There is no room: no name is configured as one.*\n.*--set rooms\.named\.lobby\.permanent=true/m);
  const closed = readConfig({ options: ['auth.mode=digest', 'rooms.on_demand=false', 'rooms.named.den={}'] });
  const guarded = greeting(closed, standard, '1');
  t.match(guarded, /^Try sip:den@127\.0\.0\.1, .* `grouptextchat user add`,\nwith their passwords in GTC_PASSWORD:$/m);
  t.match(guarded, '  npx grouptextchat chat sip:den@127.0.0.1 --as sip:alice@127.0.0.1\n');
});

t.test('doctor looks into the room log, and leaves it as it is', async (t) => {
  const dir = t.testdir();
  const file = join(dir, 'data', 'rooms.sqlite');
  const { child } = await startServe(t, dir, ['--set', 'rooms.named.den.permanent=true']);
  child.kill('SIGTERM');
  await once(child, 'exit');
  const doctor = (): Promise<Ran> => run(['doctor', ...anywhere, '--set', `data=${dir}/data`]);
  t.match(await doctor(), { code: 0, out: `well  room log: ${file}\n` });
  const good = readFileSync(file);
  // The format stands in octets 60 to 63 of the file (sqlite.org/fileformat.html §1.3).
  const newer = Buffer.from(good);
  newer.writeUInt32BE(99, 60);
  const damages: readonly (readonly [string, Buffer])[] = [
    ['file is not a database: recover it .* or move it away', Buffer.alloc(4096, 'no database ')],
    [
      'is damaged \\([^*]{10,}\\): recover it .* or move it away',
      Buffer.concat([good.subarray(0, 8192), Buffer.alloc(good.length - 8192, 7)]),
    ],
    ['its format is 99', newer],
  ];
  for (const [reason, content] of damages) {
    writeFileSync(file, content);
    const { code, out } = await doctor();
    t.equal(code, 1, reason);
    t.match(out, new RegExp(`^fault room log: ${file} cannot be opened: .*${reason}`, 'm'));
    t.ok(readFileSync(file).equals(content), 'nothing is written');
    const started = await run(['serve', ...anywhere, '--set', `data=${dir}/data`]);
    t.match(started.err, new RegExp(reason), 'a start says the same');
  }
});

t.test('doctor finds what is in the way', async (t) => {
  const dir = t.testdir({ file: '' });
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const address = server.address();
  const taken = typeof address === 'object' ? (address?.port ?? 0) : 0;
  const made = await makeCertificate(['a.example']);
  writeFileSync(join(dir, 'c.pem'), made.certificate);
  writeFileSync(join(dir, 'k.pem'), made.key);
  const options = [
    'sip.port=0',
    'msrp.port=0',
    'http.port=0',
    'sip.tls_port=0',
    `data=${dir}/data`,
    `tls.certificate=${dir}/c.pem`,
    `tls.key=${dir}/k.pem`,
  ];
  const findings = async (more: readonly string[], now = new Date()): Promise<string> =>
    formatFindings(await examine(readConfig({ options: [...options, ...more] }), now));

  const before = await findings([`log.file=${dir}/logs/a/rooms.sqlite`]);
  t.notMatch(before, /^(?:care|fault)/m);
  t.match(before, /^well {2}data directory .*: is made at the start, \d+ MiB free$/m);
  t.same(readdirSync(dir).sort(), ['c.pem', 'file', 'k.pem'], 'it only looks');
  t.match(await findings([`http.port=${taken}`]), /^fault HTTP on TCP port \d+ of 127\.0\.0\.1: .*EADDRINUSE/m);
  t.match(
    await findings([`data=${dir}/file/data`]),
    /^fault data directory .* cannot be made: .*\/file is no directory/m,
  );
  t.match(await findings(['auth.mode=digest']), /^care {2}users: none yet/m);
  mkdirSync(join(dir, 'data'));
  t.match(await findings([]), /^well {2}data directory .*: \d+ MiB free$/m);
  t.same(readdirSync(join(dir, 'data')), []);
  addUser(join(dir, 'data', 'users.json'), 'grouptextchat', 'alice', 'secret');
  chmodSync(join(dir, 'data', 'users.json'), 0o644);
  t.match(await findings(['auth.mode=digest']), /^care {2}users: .*users\.json can be read by others/m);
  t.match(
    await findings([], new Date(made.expires.getTime() - 5 * 86_400_000)),
    /^care {2}certificate: ends in 5 days/m,
  );
  t.match(await findings([], new Date(made.expires.getTime() + 1)), /^fault certificate: ends in -1 days/m);
  t.match(await findings([`tls.key=${dir}/file`]), /^fault certificate: /m);
  t.match(await findings(['domains=[localhost]']), /^well {2}domain localhost: has an address/m);
  t.match(await findings(['domains=[no-such-name.invalid]']), /^care {2}domain no-such-name\.invalid: /m);
  t.match(await listenFault('UDP', '192.0.2.1', 0), /EADDRNOTAVAIL/);
});
