import type { WebSocketLike as MsrpWebSocket } from '../../msrp/index.ts';
import { ClientError } from './errors.ts';

/** What this client needs of a WebSocket: browsers' own and the one of `ws` both have it. */
export interface WebSocketLike extends MsrpWebSocket {
  send(data: string | Uint8Array): void;
  addEventListener(type: 'message', listener: (event: { readonly data: unknown }) => void): void;
  addEventListener(type: 'close', listener: (event: { readonly code: number; readonly reason: string }) => void): void;
  addEventListener(type: 'open' | 'error', listener: (event: object) => void): void;
}

/** Begins to open a WebSocket: `(url, protocol) => new WebSocket(url, protocol)`. */
export type WebSocketMaker = (url: string, subProtocol: 'sip' | 'msrp') => WebSocketLike;

/** Browsers keep from a page why a WebSocket was refused. */
const UNTOLD =
  'there is no server, or it takes no WebSocket of this page (http.origins), or its certificate is not trusted';

/** Opens a WebSocket. Rejects with a `ClientError` `unreachable`, after `timeout` milliseconds at the latest. */
export function openWebSocket(
  make: WebSocketMaker,
  url: string,
  subProtocol: 'sip' | 'msrp',
  timeout = 10_000,
): Promise<WebSocketLike> {
  return new Promise((resolve, reject) => {
    const fail = (why: string): void => {
      clearTimeout(timer);
      reject(new ClientError('unreachable', `no ${subProtocol} connection to ${url}: ${why}`));
    };
    const socket = make(url, subProtocol);
    const timer = setTimeout(() => {
      fail(`no answer for ${timeout / 1000} s`);
      socket.close();
    }, timeout);
    socket.binaryType = 'arraybuffer';
    socket.addEventListener('open', () => {
      clearTimeout(timer);
      resolve(socket);
    });
    socket.addEventListener('error', (event) => {
      fail('message' in event && typeof event.message === 'string' && event.message !== '' ? event.message : UNTOLD);
    });
    socket.addEventListener('close', ({ code }) => {
      fail(`closed (${code})`);
    });
  });
}
