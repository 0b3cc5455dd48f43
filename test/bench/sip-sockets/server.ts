import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { SipFramer } from '../../../sip/framer.ts';
import { SocketTransport, UserAgent } from '../../../sip/index.ts';

/*
 * Answers OPTIONS at one port over UDP and TCP: `library` by the whole of it, `bare` by the same bytes for every
 * request from sockets of Node. Tells the port, and on each question the CPU time it has used.
 */

const [kind] = process.argv.slice(2);

async function library(): Promise<number> {
  let transport: SocketTransport | undefined;
  new UserAgent(
    { transport: (handlers) => (transport = new SocketTransport({}, handlers)) },
    { onInvite: () => undefined, onSubscribe: () => undefined },
  );
  if (transport === undefined) throw new Error('no transport');
  const { port } = await transport.listen({ transport: 'TCP', host: '127.0.0.1', port: 0 });
  await transport.listen({ transport: 'UDP', host: '127.0.0.1', port });
  return port;
}

/** As much as a stream needs to be cut, and nothing else. */
async function bare(): Promise<number> {
  const answer = Buffer.from(`SIP/2.0 200 OK\r\nContent-Length: 250\r\n\r\n${'x'.repeat(250)}`);
  const server = createServer((socket) => {
    const framer = new SipFramer({ maxHeadBytes: 65_536, maxBodyBytes: 65_536 });
    socket.on('error', () => undefined);
    socket.on('data', (chunk: Buffer) => {
      framer.push(chunk);
      socket.cork();
      while (framer.next() !== undefined) socket.write(answer);
      socket.uncork();
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const udp = createSocket({
    type: 'udp4',
    lookup: (host, _options, done) => {
      done(null, host, 4);
    },
  });
  udp.on('message', (_datagram, from) => {
    udp.send(answer, from.port, from.address);
  });
  await new Promise<void>((resolve) => {
    udp.bind(port, '127.0.0.1', resolve);
  });
  return port;
}

process.on('message', () => {
  const { user, system } = process.cpuUsage();
  process.send?.(user + system);
});
process.send?.(await (kind === 'bare' ? bare() : library()));
