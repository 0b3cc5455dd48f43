/**
 * What one OPTIONS over a real socket costs the server: its CPU per request through the whole library, beside sockets
 * of Node that answer fixed bytes, in the same run. The server is a process of its own.
 *
 *   node dist/test/bench/sip-sockets.bench.js [--requests 40000]
 */
import { fork, type ChildProcess } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect } from 'node:net';
import { parseArgs } from 'node:util';

const { values } = parseArgs({ options: { requests: { type: 'string', default: '40000' } } });
const REQUESTS = Number(values.requests);
/** Requests on their way at one time. */
const WINDOW = 64;

async function hear(child: ChildProcess): Promise<number> {
  const [value] = (await once(child, 'message')) as [number];
  return value;
}

async function cpu(child: ChildProcess): Promise<number> {
  const answer = hear(child);
  child.send('cpu');
  return await answer;
}

let serial = 0;
function request(transport: string): string {
  serial += 1;
  return [
    'OPTIONS sip:room@127.0.0.1 SIP/2.0',
    `Via: SIP/2.0/${transport} 127.0.0.1:9;rport;branch=z9hG4bK${serial}`,
    'Max-Forwards: 70',
    'To: <sip:room@127.0.0.1>',
    `From: <sip:load@127.0.0.1>;tag=${serial}`,
    `Call-ID: ${serial}@load.example.com`,
    'CSeq: 1 OPTIONS',
    'Contact: <sip:load@127.0.0.1:9>',
    'Content-Length: 0',
    '',
    '',
  ].join('\r\n');
}

/** Keeps the window full until all requests are answered. */
async function overTcp(port: number): Promise<void> {
  const socket = connect({ host: '127.0.0.1', port });
  await once(socket, 'connect');
  let sent = 0;
  let answered = 0;
  const send = (count: number): void => {
    let bytes = '';
    for (let n = 0; n < count && sent < REQUESTS; n += 1, sent += 1) bytes += request('TCP');
    if (bytes !== '') socket.write(bytes);
  };
  send(WINDOW);
  await new Promise<void>((resolve) => {
    socket.on('data', (chunk: Buffer) => {
      let count = 0;
      for (let at = chunk.indexOf('SIP/2.0 200'); at >= 0; at = chunk.indexOf('SIP/2.0 200', at + 1)) count += 1;
      answered += count;
      if (answered >= REQUESTS - 1) resolve();
      else send(count);
    });
  });
  socket.destroy();
}

async function overUdp(port: number): Promise<void> {
  const socket = createSocket({
    type: 'udp4',
    lookup: (host, _options, done) => {
      done(null, host, 4);
    },
  });
  await new Promise<void>((resolve) => {
    socket.bind(0, '127.0.0.1', resolve);
  });
  let sent = 0;
  let answered = 0;
  await new Promise<void>((resolve) => {
    const send = (): void => {
      sent += 1;
      socket.send(request('UDP'), port, '127.0.0.1');
    };
    socket.on('message', () => {
      answered += 1;
      if (answered >= REQUESTS) resolve();
      else if (sent < REQUESTS) send();
    });
    for (let n = 0; n < WINDOW; n += 1) send();
  });
  socket.close();
}

for (const [transport, load] of [
  ['TCP', overTcp],
  ['UDP', overUdp],
] as const) {
  const costs: number[] = [];
  for (const kind of ['bare', 'library']) {
    const child = fork(new URL('./sip-sockets/server.js', import.meta.url), [kind], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    const port = await hear(child);
    await load(port);
    const before = await cpu(child);
    const begin = performance.now();
    await load(port);
    const cost = ((await cpu(child)) - before) / REQUESTS;
    const seconds = (performance.now() - begin) / 1000;
    costs.push(cost);
    console.log(
      `${transport} ${kind.padEnd(8)} ${cost.toFixed(1)} µs of CPU per request, ${Math.round(REQUESTS / seconds)} a second`,
    );
    child.kill();
  }
  const [bare = 1, library = 0] = costs;
  console.log(`${transport} library ${(library / bare).toFixed(1)} × bare`);
}
