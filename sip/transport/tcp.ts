import { connect, createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import type { Address, Target, TransportFailure } from './flow.ts';

/** Called once with the socket, connected and ready, or with why there is none. Gives up when `abort` is called. */
export type Dialling = { readonly abort: () => void };

/** A server socket that gives each connection to `accepted` unread. IPv6 and IPv4 are listened on apart. */
export function listenTcp(host: string, port: number, accepted: (socket: Socket) => void): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer({ allowHalfOpen: true }, accepted);
    server.once('error', reject);
    server.listen({ host, port, ipv6Only: true, backlog: 1024 }, () => {
      server.off('error', reject);
      resolve(server);
    });
  });
}

/** Where a listening server is bound. */
export function boundTo(server: Server): Address {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('not listening on an IP address');
  return { address: address.address, port: address.port };
}

/** Opens a TCP connection. */
export function dialTcp(target: Target, timeout: number, done: (result: Socket | TransportFailure) => void): Dialling {
  const { address, port } = target.remote;
  const socket = connect({ host: address, port, allowHalfOpen: true });
  return settleDial(socket, 'connect', timeout, done, () => 'refused');
}

/** Waits for the event that says "ready", the first error or the timeout: whichever comes first is the result. */
export function settleDial<S extends Socket>(
  socket: S,
  ready: 'connect' | 'secureConnect',
  timeout: number,
  done: (result: S | TransportFailure) => void,
  kindOf: (error: Error) => TransportFailure['failed'],
): Dialling {
  let settled = false;
  const settle = (result: S | TransportFailure): void => {
    if (settled) return;
    settled = true;
    clearTimeout(timer);
    socket.off(ready, onReady).off('error', onError).off('close', onClose);
    if ('failed' in result) {
      // Errors that come later find no one waiting.
      socket.on('error', () => undefined);
      socket.destroy();
    }
    done(result);
  };
  const onReady = (): void => {
    settle(socket);
  };
  const onError = (error: Error): void => {
    settle({ failed: kindOf(error), reason: error.message });
  };
  const onClose = (): void => {
    settle({ failed: 'refused', reason: 'closed while connecting' });
  };
  const timer = setTimeout(() => {
    // After what has arrived is read: when we were held up, that is no fault of the peer's.
    setImmediate(() => {
      settle({ failed: 'timeout', reason: `no connection within ${timeout} ms` });
    });
  }, timeout);
  socket.on(ready, onReady).on('error', onError).on('close', onClose);
  return {
    abort: () => {
      settle({ failed: 'closed', reason: 'the transport is closing' });
    },
  };
}
