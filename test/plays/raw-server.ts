/** A SIP server for plays that answers exactly what a play wants, over UDP or TCP: for whom the room calls. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import type { Test } from 'tap';
import {
  createResponse,
  formatMessage,
  parseMessage,
  parseNameAddr,
  type ResponseParts,
  SipRequest,
} from '../../sip/index.ts';

/** Answers a request; the Contact of one that makes a dialog is ours. */
export type Answering = (status: number, parts?: ResponseParts) => void;

/** One server. */
export class RawServer {
  readonly transport: 'udp' | 'tcp';
  readonly #onRequest: (request: SipRequest, answer: Answering) => void;
  readonly #requests: SipRequest[] = [];
  readonly #waiting: { readonly method: string; readonly take: (request: SipRequest) => void }[] = [];
  readonly #seen = new Set<string>();
  #port = 0;

  private constructor(transport: 'udp' | 'tcp', onRequest: (request: SipRequest, answer: Answering) => void) {
    this.transport = transport;
    this.#onRequest = onRequest;
  }

  /** Listens until the test is over. `onRequest` is asked about each request but ACK, once. */
  static async listen(
    t: Test,
    transport: 'udp' | 'tcp',
    onRequest: (request: SipRequest, answer: Answering) => void,
  ): Promise<RawServer> {
    const server = new RawServer(transport, onRequest);
    if (transport === 'udp') await server.#listenUdp(t);
    else await server.#listenTcp(t);
    return server;
  }

  /** The URI at which it answers for somebody. */
  address(user: string): string {
    return `sip:${user}@127.0.0.1:${String(this.#port)};transport=${this.transport}`;
  }

  /** The next request of that method that comes in. */
  next(method: string): Promise<SipRequest> {
    const found = this.#requests.findIndex((request) => request.method === method);
    const [request] = found < 0 ? [] : this.#requests.splice(found, 1);
    if (request !== undefined) return Promise.resolve(request);
    return new Promise((take) => this.#waiting.push({ method, take }));
  }

  /** How many requests of that method came and were not asked for. */
  waiting(method: string): number {
    return this.#requests.filter((request) => request.method === method).length;
  }

  async #listenUdp(t: Test): Promise<void> {
    const socket = createSocket('udp4');
    t.teardown(() => socket.close());
    socket.on('message', (data, { address, port }) => {
      this.#receive(data, (answer) => {
        socket.send(answer, port, address);
      });
    });
    socket.bind(0, '127.0.0.1');
    await once(socket, 'listening');
    this.#port = socket.address().port;
  }

  async #listenTcp(t: Test): Promise<void> {
    const server = createServer((socket) => {
      let rest = Buffer.alloc(0);
      t.teardown(() => socket.destroy());
      socket.on('error', () => undefined);
      socket.on('data', (data) => {
        rest = Buffer.concat([rest, data]);
        for (let end = endOf(rest); end !== undefined; end = endOf(rest)) {
          this.#receive(Buffer.from(rest.subarray(0, end)), (answer) => socket.write(answer));
          rest = rest.subarray(end);
        }
      });
    });
    t.teardown(() => server.close());
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address: AddressInfo | string | null = server.address();
    this.#port = typeof address === 'object' && address !== null ? address.port : 0;
  }

  #receive(data: Buffer, write: (bytes: Uint8Array) => void): void {
    const request = parseMessage(data);
    if (!(request instanceof SipRequest)) return;
    const key = `${request.branch ?? ''} ${request.method}`;
    if (this.#seen.has(key)) return;
    this.#seen.add(key);
    if (request.method !== 'ACK') {
      const contact = parseNameAddr(`<${this.address('me')}>`);
      this.#onRequest(request, (status, parts = {}) => {
        const own = status > 100 && status < 300 ? { contact } : {};
        write(formatMessage(createResponse(request, status, { toTag: 'raw', ...own, ...parts })));
      });
    }
    const found = this.#waiting.findIndex(({ method }) => method === request.method);
    const [waiting] = found < 0 ? [] : this.#waiting.splice(found, 1);
    if (waiting === undefined) this.#requests.push(request);
    else waiting.take(request);
  }
}

/** Where the first message ends, when it is there whole. */
function endOf(bytes: Buffer): number | undefined {
  const head = bytes.indexOf('\r\n\r\n');
  if (head < 0) return undefined;
  const length = Number(/^(?:Content-Length|l) *: *(\d+)/im.exec(bytes.toString('latin1', 0, head))?.[1] ?? '0');
  return bytes.length < head + 4 + length ? undefined : head + 4 + length;
}
