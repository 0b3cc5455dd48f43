/** What the network of this machine allows, tried out. */
import { createSocket } from 'node:dgram';
import { lookup } from 'node:dns/promises';
import { createServer } from 'node:net';

/** Why one cannot listen there; `undefined` if one can. Nothing stays open. */
export function listenFault(transport: 'UDP' | 'TCP', host: string, port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    if (transport === 'UDP') {
      const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4');
      socket.once('error', (error) => {
        resolve(error.message);
        socket.close();
      });
      socket.bind({ address: host, port, exclusive: true }, () => socket.close(() => resolve(undefined)));
    } else {
      const server = createServer();
      server.once('error', (error) => resolve(error.message));
      server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(undefined)));
    }
  });
}

/** The address of a host; one that is given as an address stays. Rejects with what the system says. */
export async function lookUp(host: string): Promise<string> {
  return (await lookup(host)).address;
}

/** Why a name has no address; `undefined` if it has one. */
export async function nameFault(name: string): Promise<string | undefined> {
  try {
    await lookUp(name);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
