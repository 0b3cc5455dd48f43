/** Receivers and one sender of a large message, in a process of their own; over MSRP, or over bare sockets. */
import { connect } from 'node:net';
import { once } from 'node:events';
import {
  newNodeEndpoint,
  parseMsrpPath,
  type MsrpSession,
  type Reception,
  type SessionHandlers,
} from '../../../msrp/node.ts';
import { dialRoom } from '../fanout/dial.ts';

/** What is to be measured. */
export interface LargeOrder {
  readonly msrp: number;
  readonly sip?: number;
  readonly receivers: number;
  readonly bytes: number;
  /** One of the receivers reads slowly: so many octets a second. */
  readonly slow?: number;
}

/** What came of it. */
export interface LargeResult {
  readonly seconds: number;
  /** Of the receivers that are not slow. */
  readonly complete: number;
  /** What became of the slow one. */
  readonly slow: string;
}

const PIECE = 64 * 1024;

function deferred(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve = (): void => undefined;
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}

async function overMsrp({ sip = 0, receivers, bytes, slow }: LargeOrder): Promise<LargeResult> {
  let complete = 0;
  let ended = 0;
  let slowFate = slow === undefined ? 'none' : 'still reading';
  const { promise, resolve } = deferred();
  const reading = (name: string): SessionHandlers['opening'] => {
    const isSlow = slow !== undefined && name === 'member0';
    return (session, { total }): Reception =>
      total !== bytes
        ? 'collect'
        : {
            sink: {
              write: (piece) => {
                if (!isSlow) return undefined;
                session.pause();
                setTimeout(
                  () => {
                    session.resume();
                  },
                  (piece.length / slow) * 1000,
                );
                return undefined;
              },
              end: (incoming) => {
                incoming.respond(200);
                if (isSlow) slowFate = 'complete';
                else complete += 1;
                ended = performance.now();
                if (complete === receivers - (slow === undefined ? 0 : 1)) resolve();
              },
              abort: (reason) => {
                if (isSlow) slowFate = `left out (${reason})`;
                else throw new Error(reason);
              },
            },
          };
  };
  const come = async (name: string): Promise<MsrpSession> => {
    // Each with a connection of its own, as people have.
    const endpoint = newNodeEndpoint();
    const bound = deferred();
    const opening = reading(name);
    const session = endpoint.session({
      at: { scheme: 'msrp', host: '127.0.0.1', port: 9 },
      handlers: {
        bound: () => {
          bound.resolve();
        },
        message: (_session, message) => {
          message.respond(200);
        },
        ...(opening === undefined ? {} : { opening }),
      },
    });
    session.setRemotePath(parseMsrpPath(await dialRoom(sip, name, String(session.localUri))));
    session.dial();
    await bound.promise;
    return session;
  };
  for (let i = 0; i < receivers; i += 1) await come(`member${String(i)}`);
  const sender = await come('sender');
  const head = Buffer.from(
    'From: <sip:sender@127.0.0.1>\r\nTo: <sip:bench@127.0.0.1>\r\n\r\nContent-Type: text/plain\r\n\r\n',
  );
  const piece = Buffer.alloc(PIECE, 'x');
  let given = 0;
  const started = performance.now();
  sender.stream(
    { contentType: 'message/cpim', total: bytes },
    {
      pull: (max) => {
        if (given === bytes) return 'end';
        const next = given === 0 ? head : piece.subarray(0, Math.min(max, bytes - given));
        given += next.length;
        return next;
      },
    },
  );
  await promise;
  return { seconds: (ended - started) / 1000, complete, slow: slowFate };
}

async function overSockets({ msrp: port, receivers, bytes }: LargeOrder): Promise<LargeResult> {
  const { promise, resolve } = deferred();
  let complete = 0;
  for (let i = 0; i < receivers; i += 1) {
    const socket = connect({ port, host: '127.0.0.1' });
    let received = 0;
    socket.on('data', (data) => {
      received += data.length;
      if (received < bytes) return;
      complete += 1;
      if (complete === receivers) resolve();
    });
    await once(socket, 'connect');
  }
  const sender = connect({ port, host: '127.0.0.1' });
  await once(sender, 'connect');
  const piece = Buffer.alloc(PIECE, 'x');
  const started = performance.now();
  for (let given = 0; given < bytes; given += piece.length) if (!sender.write(piece)) await once(sender, 'drain');
  await promise;
  return { seconds: (performance.now() - started) / 1000, complete, slow: 'none' };
}

process.on('message', (order: LargeOrder) => {
  void (order.sip === undefined ? overSockets(order) : overMsrp(order)).then((result) => process.send?.(result));
});
process.send?.('ready');
