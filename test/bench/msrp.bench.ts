/**
 * What MSRP costs: frames per second of one core beside one native search over the same octets; messages per second between
 * two endpoints beside a bare echo of the same octets; memory of an idle session; memory while a gigabyte passes.
 * Figures are printed, never judged.
 *
 *   node --expose-gc dist/test/bench/msrp.bench.js
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { Framer, type FrameHandlers } from '../../msrp/framer.ts';
import { DEFAULT_LIMITS } from '../../msrp/limits.ts';
import {
  listen,
  newNodeEndpoint,
  parseMsrpPath,
  prepare,
  type MsrpEndpoint,
  type MsrpSession,
  type PreparedMessage,
  type SessionHandlers,
} from '../../msrp/node.ts';
import { PEER, Rig, answerTo, askingFrom, bindSession, framesOf, utf8 } from '../msrp/rig.ts';

const READ = 64 * 1024;

function seconds(run: () => void): number {
  const before = process.cpuUsage();
  run();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}

function row(name: string, ...cells: string[]): void {
  process.stdout.write(`${name.padEnd(46)}${cells.map((cell) => cell.padStart(24)).join('')}\n`);
}

const count = (value: number): string => Math.round(value).toLocaleString('en');

/** Octets given in pieces as a socket gives them. */
function inReads(bytes: Buffer, take: (piece: Buffer) => void): void {
  for (let at = 0; at < bytes.length; at += READ) take(bytes.subarray(at, at + READ));
}

const deaf: FrameHandlers = {
  request: () => undefined,
  response: () => undefined,
  begin: () => undefined,
  piece: () => undefined,
  end: () => undefined,
  expected: () => 0,
  unreadable: (fault) => {
    throw fault;
  },
  broken: (fault) => {
    throw fault;
  },
};

function perFrame(name: string, frames: number, bytes: Buffer, took: number): void {
  const needle = Buffer.from('\r\n-------no such end-line');
  const search = seconds(() => {
    for (let i = 0; i < 20; i++) bytes.indexOf(needle);
  });
  const ratio = took / (search / 20);
  row(name, `${count(frames / took)}/s`, `${((took / frames) * 1e6).toFixed(3)} µs`, `${ratio.toFixed(1)} × search`);
}

function framerBench(): void {
  const local = 'msrp://chat.example.com:2855/kjhd37s2s20w2akjhd37;tcp';
  const small = Array.from(
    { length: 200_000 },
    (_, i) => `MSRP d93kswow${i} 200 OK\r\nTo-Path: ${local}\r\nFrom-Path: ${PEER}\r\n-------d93kswow${i}$\r\n`,
  ).join('');
  const ask = askingFrom(local);
  const fields = ['Message-ID: 87652491', 'Byte-Range: 1-400/400', 'Content-Type: message/cpim'];
  const sends = Array.from({ length: 100_000 }, (_, i) => ask('SEND', fields, 'x'.repeat(400), `d93kswow${i}`)).join(
    '',
  );
  for (const [name, frames, text] of [
    ['general small frames (200 OK)', 200_000, small],
    ['SEND of 400 octets', 100_000, sends],
  ] as const) {
    const bytes = Buffer.from(text, 'latin1');
    const pass = (): void => {
      const framer = new Framer(DEFAULT_LIMITS, deaf);
      inReads(bytes, (piece) => framer.receive(piece));
    };
    pass();
    perFrame(name, frames, bytes, Math.min(seconds(pass), seconds(pass), seconds(pass)));
  }
}

/** 200s that are expected: through connection and session, the outcome included. */
function expectedBench(): void {
  const rig = new Rig({ limits: { maxOutstanding: 1 << 20 } });
  const { session, flow } = bindSession(rig, { maxQueuedBytes: 1 << 30 });
  const message = (): PreparedMessage => prepare({ contentType: 'text/plain', body: utf8('x'.repeat(100)) });
  const frames = 50_000;
  const best: number[] = [];
  let bytes = Buffer.alloc(0);
  for (let round = 0; round < 5; round++) {
    for (let i = 0; i < frames; i++) session.send(message());
    rig.settle();
    bytes = Buffer.from(
      framesOf(flow.read())
        .map((frame) => answerTo(frame))
        .join(''),
      'latin1',
    );
    best.push(seconds(() => inReads(bytes, (piece) => flow.say(piece))));
  }
  perFrame('expected 200s', frames, bytes, Math.min(...best));
}

async function twoEndpoints(handlers: SessionHandlers, answering: SessionHandlers) {
  const [here, there] = [newNodeEndpoint(), newNodeEndpoint()];
  const listener = await listen(there, { host: '127.0.0.1', port: 0 });
  const far = there.session({ at: listener.address(), handlers: answering });
  const at = { scheme: 'msrp', host: '127.0.0.1', port: 9 } as const;
  const bound = new Promise<MsrpSession>((resolve) => {
    const near = here.session({ at, remotePath: far.localPath, handlers: { ...handlers, bound: resolve } });
    far.setRemotePath(near.localPath);
    near.dial();
  });
  return { near: await bound, close: () => [here, there].map((one) => one.close()).concat(void listener.close()) };
}

async function messagesBench(bodyBytes: number): Promise<void> {
  const total = 200_000;
  const window = 64;
  const body = Buffer.alloc(bodyBytes, 'x');
  let sent = 0;
  let delivered = 0;
  const { promise, resolve } = deferred();
  const next = (session: MsrpSession): void => {
    sent++;
    session.send(prepare({ contentType: 'text/plain', body, outcomes: 'all' }));
  };
  const { near, close } = await twoEndpoints(
    {
      message: () => undefined,
      outcome: (session) => {
        if (++delivered === total) resolve();
        else if (sent < total) next(session);
      },
    },
    { message: (_session, message) => message.respond(200) },
  );
  const started = performance.now();
  const cpu = process.cpuUsage();
  for (let i = 0; i < window; i++) next(near);
  await promise;
  const perSecond = total / ((performance.now() - started) / 1000);
  const ours = process.cpuUsage(cpu);
  close();
  const bare = await echoBench(total, window, 320 + bodyBytes, 200);
  const used = (usage: NodeJS.CpuUsage) => (usage.user + usage.system) / total;
  const name = `messages of ${bodyBytes} octets, window ${window}, both ends`;
  row(name, `${count(perSecond)}/s`, `${used(ours).toFixed(2)} µs CPU`, `bare ${used(bare).toFixed(2)} µs CPU`);
}

function deferred(): { promise: Promise<void>; resolve: () => void } {
  let resolve: () => void = () => undefined;
  const promise = new Promise<void>((done) => (resolve = done));
  return { promise, resolve };
}

/** The same octets there and back between two bare sockets, gathered into one write per turn as well. */
async function echoBench(total: number, window: number, there: number, back: number): Promise<NodeJS.CpuUsage> {
  const server = createServer({ noDelay: true }, (socket) => counting(socket, there, back));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const socket = connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', noDelay: true });
  await once(socket, 'connect');
  const cpu = process.cpuUsage();
  const { promise, resolve } = deferred();
  let answered = 0;
  let sent = window;
  counting(socket, back, there, (frames) => {
    answered += frames;
    if (answered >= total) resolve();
    const more = Math.min(frames, total - sent);
    sent += more;
    return more;
  });
  socket.write(Buffer.alloc(there * window));
  await promise;
  const used = process.cpuUsage(cpu);
  socket.destroy();
  server.close();
  return used;
}

function counting(socket: Socket, take: number, give: number, how = (frames: number) => frames): void {
  let held = 0;
  let owed = 0;
  let scheduled = false;
  socket.on('data', (bytes) => {
    held += bytes.length;
    owed += how(Math.floor(held / take));
    held %= take;
    if (scheduled) return;
    scheduled = true;
    setImmediate(() => {
      scheduled = false;
      if (owed > 0) socket.write(Buffer.alloc(give * owed));
      owed = 0;
    });
  });
}

/** Heap of an idle bound session over its own connection, beyond that of a bare socket. */
async function idleBench(): Promise<void> {
  const sessions = 1000;
  const heap = async (): Promise<number> => {
    for (let i = 0; i < 4; i++) {
      globalThis.gc?.();
      await new Promise(setImmediate);
    }
    const { heapUsed, external } = process.memoryUsage();
    return heapUsed + external;
  };
  const client = async (port: number, hello: (i: number) => string): Promise<Socket[]> => {
    const sockets = Array.from({ length: sessions }, () => connect({ port, host: '127.0.0.1' }));
    for (const [i, socket] of sockets.entries()) {
      if (socket.connecting) await once(socket, 'connect');
      socket.write(hello(i));
      await once(socket, 'data');
    }
    return sockets;
  };
  const measure = async (port: number, hello: (i: number) => string): Promise<number> => {
    const before = await heap();
    const sockets = await client(port, hello);
    const used = (await heap()) - before;
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => setTimeout(resolve, 200));
    return used / sessions;
  };
  const bare = createServer((socket) => socket.on('data', () => socket.write('x')).on('error', () => undefined));
  bare.listen(0, '127.0.0.1');
  await once(bare, 'listening');
  const bareBytes = await measure((bare.address() as AddressInfo).port, () => 'x');
  bare.close();
  const endpoint: MsrpEndpoint = newNodeEndpoint({ limits: { maxUnboundPerAddress: sessions } });
  const listener = await listen(endpoint, { host: '127.0.0.1', port: 0 });
  const made: MsrpSession[] = [];
  const ours = await measure(listener.port, (i) => {
    const session = endpoint.session({
      at: listener.address(),
      remotePath: parseMsrpPath(`msrp://client.example.com:7777/peersession${i};tcp`),
      handlers: { message: () => undefined },
    });
    made.push(session);
    const from = `msrp://client.example.com:7777/peersession${i};tcp`;
    return askingFrom(String(session.localUri), from)('SEND', ['Message-ID: bindbind']);
  });
  endpoint.close();
  await listener.close();
  const kib = (bytes: number) => `${(bytes / 1024).toFixed(1)} KiB`;
  row(
    'idle session, both ends of its connection',
    kib(ours),
    `bare ${kib(bareBytes)}`,
    `beyond ${kib(ours - bareBytes)}`,
  );
}

/** A gigabyte from one process to another; peak memory of both. */
async function gigabyteBench(): Promise<void> {
  const [receiver, sender] = ['receive', 'send'].map((role) =>
    fork(new URL(import.meta.url), [role], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] }),
  );
  if (receiver === undefined || sender === undefined) return;
  const [path] = (await once(receiver, 'message')) as [string];
  sender.send(path);
  const [from] = (await once(sender, 'message')) as [string];
  receiver.send(from);
  const peaks = await Promise.all([once(sender, 'message'), once(receiver, 'message')]);
  const [[ours], [theirs]] = peaks as [[{ peak: number; took: number }], [number]];
  sender.kill();
  receiver.kill();
  const mb = (bytes: number) => `${(bytes / 1e6).toFixed(0)} MB`;
  const speed = `${(GIGABYTE / 1e6 / ours.took).toFixed(0)} MB/s`;
  row('one gigabyte, streamed', speed, `sender ${mb(ours.peak)}`, `receiver ${mb(theirs)}`);
}

const GIGABYTE = 1024 ** 3;

async function send(): Promise<void> {
  const [path] = (await once(process, 'message')) as [string];
  const endpoint = newNodeEndpoint();
  const piece = Buffer.alloc(READ, 'x');
  let given = 0;
  let peak = 0;
  let started = 0;
  const session = endpoint.session({
    at: { scheme: 'msrp', host: '127.0.0.1', port: 9 },
    remotePath: parseMsrpPath(path),
    handlers: {
      bound: () => (started = performance.now()),
      message: () => undefined,
      outcome: () => process.send?.({ peak, took: (performance.now() - started) / 1000 }),
    },
  });
  process.send?.(String(session.localUri));
  session.dial();
  session.stream(
    { contentType: 'application/octet-stream', total: GIGABYTE, outcomes: 'all' },
    {
      pull: (max) => {
        if (given === GIGABYTE) return 'end';
        const bytes = piece.subarray(0, Math.min(max, GIGABYTE - given));
        given += bytes.length;
        if ((given & 0xffffff) < READ) peak = Math.max(peak, process.memoryUsage.rss());
        return bytes;
      },
    },
  );
}

async function receive(): Promise<void> {
  const endpoint = newNodeEndpoint();
  const listener = await listen(endpoint, { host: '127.0.0.1', port: 0 });
  let peak = 0;
  let received = 0;
  const session = endpoint.session({
    at: listener.address(),
    handlers: {
      message: () => undefined,
      opening: () => ({
        sink: {
          write(piece) {
            received += piece.length;
            if ((received & 0xffffff) < READ) peak = Math.max(peak, process.memoryUsage.rss());
            return undefined;
          },
          end(incoming) {
            incoming.respond(200);
            process.send?.(peak);
          },
          abort(reason) {
            throw new Error(reason);
          },
        },
      }),
    },
  });
  process.on('message', (path) => session.setRemotePath(parseMsrpPath(String(path))));
  process.send?.(String(session.localUri));
}

if (process.argv[2] === 'receive') await receive();
else if (process.argv[2] === 'send') await send();
else {
  framerBench();
  expectedBench();
  await messagesBench(100);
  await messagesBench(1000);
  await idleBench();
  await gigabyteBench();
}
