import { connect } from 'node:net';
import type { Socket } from 'node:net';
import t from 'tap';
import type { Test } from 'tap';
import type { Flow, TransportFailure, TransportHandlers, ViaAddress } from '../../sip/transport/flow.ts';
import { SocketTransport } from '../../sip/transport/layer.ts';
import type { SocketTransportOptions } from '../../sip/transport/layer.ts';

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');

/** A whole message of a given Call-ID and body. */
function options(id: string, body = ''): string {
  return [
    'OPTIONS sip:room@example.com SIP/2.0',
    'Via: SIP/2.0/TCP client.invalid;branch=z9hG4bK' + id,
    'Max-Forwards: 70',
    'To: <sip:room@example.com>',
    'From: <sip:alice@example.com>;tag=a',
    'Call-ID: ' + id,
    'CSeq: 1 OPTIONS',
    `Content-Length: ${body.length}`,
    '',
    body,
  ].join('\r\n');
}

const ok = 'SIP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n';

/** Things as they happen, to be awaited one by one. */
class Inbox<T> {
  readonly #items: T[] = [];
  readonly #waiting: ((item: T) => void)[] = [];

  put(item: T): void {
    const first = this.#waiting.shift();
    if (first === undefined) this.#items.push(item);
    else first(item);
  }

  next(): Promise<T> {
    const first = this.#items.shift();
    return first === undefined ? new Promise((resolve) => this.#waiting.push(resolve)) : Promise.resolve(first);
  }

  get size(): number {
    return this.#items.length;
  }
}

interface Received {
  readonly message: string;
  readonly flow: Flow;
}

interface Side {
  readonly layer: SocketTransport;
  readonly received: Inbox<Received>;
  readonly unframeable: Inbox<{ head: string | undefined; status: number; flow: Flow }>;
  readonly closed: Inbox<{ flow: Flow; reason: string }>;
  readonly log: string[];
}

/** A transport layer whose events can be awaited; it ends with the test. */
function side(test: Test, given: SocketTransportOptions = {}, handlers: Partial<TransportHandlers> = {}): Side {
  const received = new Inbox<Received>();
  const unframeable = new Inbox<{ head: string | undefined; status: number; flow: Flow }>();
  const closed = new Inbox<{ flow: Flow; reason: string }>();
  const log: string[] = [];
  const note = (line: string): void => {
    log.push(line);
  };
  const layer = new SocketTransport(
    {
      log: { info: note, warn: note, error: note },
      ...given,
      limits: { sweepInterval: 5, ...given.limits },
    },
    {
      receive: (message, flow) => {
        received.put({ message: text(message), flow });
      },
      unframeable: (head, status, _reason, flow) => {
        unframeable.put({ head: head && text(head), status, flow });
      },
      flowClosed: (flow, reason) => {
        closed.put({ flow, reason });
      },
      ...handlers,
    },
  );
  test.teardown(() => layer.close());
  return { layer, received, unframeable, closed, log };
}

/** A bare client socket and what it hears. */
async function client(test: Test, port: number, host = '127.0.0.1') {
  const socket: Socket = connect({ host, port, allowHalfOpen: true });
  const heard = new Inbox<string>();
  const ended = new Promise<void>((resolve) => socket.once('end', resolve));
  const closed = new Promise<void>((resolve) =>
    socket.once('close', () => {
      resolve();
    }),
  );
  socket.on('data', (chunk: Buffer) => {
    heard.put(text(chunk));
  });
  socket.on('error', () => undefined);
  await new Promise((resolve) => socket.once('connect', resolve));
  test.teardown(() => socket.destroy());
  return { socket, heard, ended, closed };
}

function viaOf(transport: string, port: number | undefined, more: Partial<ViaAddress> = {}): ViaAddress {
  return { transport, host: '127.0.0.1', port, maddr: undefined, received: undefined, rport: undefined, ...more };
}

function flowOf(result: Flow | TransportFailure): Flow {
  if ('failed' in result) throw new Error(`${result.failed}: ${result.reason}`);
  return result;
}

t.test('RFC 3261 §18.2.2: over TCP the response leaves by the connection of its request', async (t) => {
  const server = side(t);
  const { port } = await server.layer.listen({ transport: 'TCP', host: '127.0.0.1', port: 0 });
  const { socket, heard } = await client(t, port);
  socket.write(options('1', 'body') + options('2'));
  const first = await server.received.next();
  const second = await server.received.next();
  t.equal(first.message, options('1', 'body'));
  t.equal(second.message, options('2'));
  t.equal(first.flow, second.flow, 'one connection is one flow');
  t.match(first.flow, { transport: 'TCP', reliable: true, secure: false, open: true });
  t.strictSame(first.flow.advertised, { host: '127.0.0.1', port });
  server.layer.respond(first.flow, viaOf('TCP', 9), Buffer.from('one'));
  server.layer.respond(second.flow, viaOf('TCP', 9), Buffer.from('two'));
  t.equal(await heard.next(), 'onetwo', 'what one turn sends leaves in one write');
});

t.test('RFC 3261 §18: a connection that stands is used again, and dialled once', async (t) => {
  const server = side(t);
  const caller = side(t);
  const { port } = await server.layer.listen({ transport: 'TCP', host: '127.0.0.1', port: 0 });
  const target = { transport: 'TCP', remote: { address: '127.0.0.1', port }, serverName: '127.0.0.1' } as const;
  const flows = await Promise.all(
    [1, 2].map(
      () =>
        new Promise<Flow | TransportFailure>((r) => {
          caller.layer.connect(target, r);
        }),
    ),
  );
  t.equal(flows[0], flows[1], 'while it was being opened');
  const flow = flowOf(flows[0] as Flow);
  t.ok(flow.send(Buffer.from(options('1'))));
  const { flow: atServer } = await server.received.next();
  t.strictSame(atServer.remote, flow.local);
  let again: unknown;
  caller.layer.connect(target, (flow) => (again = flow));
  t.equal(again, flow, 'at once');
  const back = { transport: 'TCP', remote: flow.local, serverName: '' } as const;
  server.layer.connect(back, (flow) => (again = flow));
  t.equal(again, atServer, 'also by the side that accepted it');
  t.equal(caller.layer.connections, 1);
  atServer.send(Buffer.from(ok));
});
