/** The yardstick: passes what the last one to connect sends on to all others, waiting for the slowest. */
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { reportCpu } from '../fanout/cpu.ts';

const others: Socket[] = [];
const members = Number(process.argv[2] ?? '0');
const server = createServer({ noDelay: true }, (socket) => {
  socket.on('error', () => undefined);
  if (others.length < members) {
    others.push(socket);
    return;
  }
  let full = 0;
  socket.on('data', (bytes) => {
    for (const other of others) {
      if (other.write(bytes)) continue;
      full += 1;
      socket.pause();
      other.once('drain', () => {
        full -= 1;
        if (full === 0) socket.resume();
      });
    }
  });
});
server.listen(0, '127.0.0.1', () => {
  reportCpu({ msrp: (server.address() as AddressInfo).port });
});
