/** A caller for plays over UDP or TCP, who sends one request after the other and looks at the status only. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect } from 'node:net';
import type { Test } from 'tap';
import { parseMessage, SipResponse } from '../../sip/index.ts';

let count = 0;

/** One caller with one flow. */
export class RawCaller {
  readonly #name: string;
  readonly #from: string;
  readonly #transport: 'udp' | 'tcp';
  readonly #port: number;
  readonly #write: (text: string) => void;
  readonly #waiting = new Map<string, (response: SipResponse) => void>();
  /** Ends its flow; of a connection it is known then that the other side has seen it. */
  readonly close: () => Promise<void>;

  private constructor(
    name: string,
    from: string,
    transport: 'udp' | 'tcp',
    port: number,
    write: (text: string) => void,
    close: () => Promise<void>,
  ) {
    this.close = close;
    this.#name = name;
    this.#from = from;
    this.#transport = transport;
    this.#port = port;
    this.#write = write;
  }

  /** Opens a flow, which is there until the test is over; `from` is the URI of its From. */
  static async connect(
    t: Test,
    transport: 'udp' | 'tcp',
    server: number,
    name: string,
    from = `sip:${name}@127.0.0.1`,
  ): Promise<RawCaller> {
    if (transport === 'udp') {
      const socket = createSocket('udp4');
      t.teardown(() => socket.close());
      socket.bind(0, '127.0.0.1');
      await once(socket, 'listening');
      const send = (text: string): void => {
        socket.send(text, server, '127.0.0.1');
      };
      const caller = new RawCaller(name, from, transport, socket.address().port, send, () => Promise.resolve());
      socket.on('message', (data) => {
        caller.#receive(data);
      });
      return caller;
    }
    const socket = connect({ port: server, host: '127.0.0.1', noDelay: true });
    t.teardown(() => socket.destroy());
    await once(socket, 'connect');
    const send = (text: string): void => {
      socket.write(text);
    };
    const caller = new RawCaller(name, from, transport, socket.localPort ?? 0, send, async () => {
      socket.end();
      await once(socket, 'close');
    });
    let rest = Buffer.alloc(0);
    socket.on('data', (data) => {
      rest = Buffer.concat([rest, data]);
      for (;;) {
        const head = rest.indexOf('\r\n\r\n');
        const size = /^(?:Content-Length|l) *: *(\d+)/im.exec(rest.toString('latin1', 0, Math.max(head, 0)))?.[1];
        const end = head + 4 + Number(size ?? '0');
        if (head < 0 || rest.length < end) return;
        caller.#receive(Buffer.from(rest.subarray(0, end)));
        rest = rest.subarray(end);
      }
    });
    return caller;
  }

  /** Calls a room with that SDP, and acknowledges a 200; gives the status. */
  async invite(room: string, sdp: string, headers: readonly string[] = []): Promise<number> {
    const more = ['Content-Type: application/sdp', 'Allow: INVITE, ACK, BYE, MESSAGE', ...headers];
    return this.request('INVITE', room, sdp, more);
  }

  /** Sends a text out of any call; gives the status. */
  message(room: string, text: string, headers: readonly string[] = []): Promise<number> {
    return this.request('MESSAGE', room, text, ['Content-Type: text/plain', ...headers]);
  }

  /** Sends a request outside of dialogs; gives the status. */
  async request(method: string, room: string, body: string, headers: readonly string[]): Promise<number> {
    count += 1;
    const id = `raw${String(count)}`;
    const response = await new Promise<SipResponse>((take) => {
      this.#waiting.set(`${id}@play ${method}`, take);
      this.#send(method, id, room, `<${room}>`, body, headers);
    });
    if (method === 'INVITE') this.#send('ACK', id, room, response.headers.get('To') ?? '', '', []);
    return response.status;
  }

  #send(method: string, id: string, room: string, to: string, body: string, headers: readonly string[]): void {
    count += 1;
    const via = `SIP/2.0/${this.#transport.toUpperCase()} 127.0.0.1:${String(this.#port)}`;
    const lines = [
      `${method} ${room} SIP/2.0`,
      `Via: ${via};rport;branch=z9hG4bKraw${String(count)}`,
      'Max-Forwards: 70',
      `From: <${this.#from}>;tag=${id}`,
      `To: ${to}`,
      `Call-ID: ${id}@play`,
      `CSeq: 1 ${method}`,
      `Contact: <sip:${this.#name}@127.0.0.1:${String(this.#port)};transport=${this.#transport}>`,
      ...headers,
      `Content-Length: ${String(Buffer.byteLength(body))}`,
    ];
    this.#write(`${lines.join('\r\n')}\r\n\r\n${body}`);
  }

  #receive(data: Buffer): void {
    const message = parseMessage(data);
    if (!(message instanceof SipResponse) || message.status < 200) return;
    const key = `${message.callId} ${message.cseq.method}`;
    this.#waiting.get(key)?.(message);
    this.#waiting.delete(key);
  }
}
