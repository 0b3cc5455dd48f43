/** A telephone for plays: one TCP connection, SIP as text in and out, made for saying exactly what a play wants said. */
import { connect, type Socket } from 'node:net';
import { parseMessage, type SipMessage, type SipRequest, type SipResponse } from '../../sip/index.ts';

/** A dialog as the phone sees it. */
export interface PhoneDialog {
  readonly callId: string;
  readonly localTag: string;
  readonly room: string;
  remote: string;
  target: string;
  seq: number;
}

/** What a play adds to a request. */
export interface Extra {
  readonly headers?: readonly string[];
  readonly body?: string;
  readonly contentType?: string;
  /** The URN of the device, for those who name it in their Contact. */
  readonly instance?: string;
  /** The URI of its From, where that is not the phone's own. */
  readonly from?: string;
  /** The display name of its From, where that is not the phone's name. */
  readonly display?: string;
}

let count = 0;

/** One user agent of one user. */
export class SipPhone {
  readonly name: string;
  readonly uri: string;
  readonly #socket: Socket;
  readonly #answers = new Map<string, (response: SipResponse) => void>();
  readonly #requests: SipRequest[] = [];
  readonly #waiting: { readonly method: string; readonly take: (request: SipRequest) => void }[] = [];
  /** Requests that are answered with something else than 200. */
  readonly replies = new Map<string, string>();
  /** Methods whose requests the play answers itself, when it wants to. */
  readonly late = new Set<string>();
  /** What it answers a call of the room's with: its SDP; without one there is no body. */
  sdp: string | undefined;
  /** Its Server header in that answer. */
  server: string | undefined;
  /** Whether calls ring before they are answered. */
  rings = false;
  #rest = Buffer.alloc(0);
  gone = false;
  /** The URN of the device, for those who name it in their Contact. */
  instance: string | undefined;
  /** Further parameters of the Contact, each with its semicolon. */
  contactParams = '';
  /** What has come, in order: `200 SUBSCRIBE`, `NOTIFY`. */
  readonly arrived: string[] = [];

  private constructor(name: string, socket: Socket) {
    this.name = name;
    this.uri = `sip:${name}@127.0.0.1`;
    this.#socket = socket;
    socket.on('data', (data) => {
      this.#receive(data);
    });
    socket.on('close', () => {
      this.gone = true;
    });
    socket.on('error', () => undefined);
  }

  /** @param own the address that it calls from; default: what the system chooses */
  static async connect(name: string, port: number, host = '127.0.0.1', own?: string): Promise<SipPhone> {
    const socket = connect({ port, host, noDelay: true, ...(own === undefined ? {} : { localAddress: own }) });
    await new Promise((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    return new SipPhone(name, socket);
  }

  get contact(): string {
    const device = this.instance === undefined ? '' : `;+sip.instance="<${this.instance}>"`;
    return `<sip:${this.name}@127.0.0.1:${String(this.#socket.localPort)};transport=tcp>${device}${this.contactParams}`;
  }

  /** A request outside of dialogs; gives its final response. The dialog is for requests that make one. */
  async request(
    method: string,
    room: string,
    extra: Extra = {},
  ): Promise<{ readonly response: SipResponse; readonly dialog: PhoneDialog }> {
    count += 1;
    const id = `${this.name}-${String(count)}`;
    const dialog: PhoneDialog = { callId: `${id}@play`, localTag: id, room, remote: `<${room}>`, target: room, seq: 1 };
    const response = await this.within(dialog, method, extra);
    dialog.remote = response.headers.get('To') ?? dialog.remote;
    dialog.target = /<([^>]*)>/.exec(response.headers.get('Contact') ?? '')?.[1] ?? dialog.target;
    return { response, dialog };
  }

  /** A request in a dialog; gives its final response. */
  within(dialog: PhoneDialog, method: string, extra: Extra = {}): Promise<SipResponse> {
    const seq = dialog.seq;
    dialog.seq += 1;
    return new Promise((resolve) => {
      this.#answers.set(`${dialog.callId} ${String(seq)} ${method}`, resolve);
      this.#write(dialog, method, seq, extra);
    });
  }

  /** ACK of a 200. */
  ack(dialog: PhoneDialog, extra: Extra = {}): void {
    this.#write(dialog, 'ACK', dialog.seq - 1, extra);
  }

  /** The next request of that method that comes in; it has been answered. */
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

  /** Reads nothing more, and so answers nothing. */
  pause(): void {
    this.#socket.pause();
  }

  hangUp(): void {
    this.#socket.destroy();
  }

  #write(dialog: PhoneDialog, method: string, seq: number, extra: Extra): void {
    const { headers = [], body = '', contentType, from = this.uri, display = this.name } = extra;
    count += 1;
    const lines = [
      `${method} ${dialog.target} SIP/2.0`,
      `Via: SIP/2.0/TCP 127.0.0.1:${String(this.#socket.localPort)};branch=z9hG4bKplay${String(count)}`,
      'Max-Forwards: 70',
      `From: "${display}" <${from}>;tag=${dialog.localTag}`,
      `To: ${dialog.remote}`,
      `Call-ID: ${dialog.callId}`,
      `CSeq: ${String(seq)} ${method}`,
      `Contact: ${this.contact}`,
      ...headers,
      ...(contentType === undefined ? [] : [`Content-Type: ${contentType}`]),
      `Content-Length: ${String(Buffer.byteLength(body))}`,
    ];
    this.#socket.write(`${lines.join('\r\n')}\r\n\r\n${body}`);
  }

  #receive(data: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, data]);
    for (;;) {
      const head = this.#rest.indexOf('\r\n\r\n');
      if (head < 0) return;
      const length = Number(
        /^(?:Content-Length|l) *: *(\d+)/im.exec(this.#rest.toString('latin1', 0, head))?.[1] ?? '0',
      );
      const end = head + 4 + length;
      if (this.#rest.length < end) return;
      const message = parseMessage(Buffer.from(this.#rest.subarray(0, end)));
      this.#rest = this.#rest.subarray(end);
      this.#take(message);
    }
  }

  #take(message: SipMessage): void {
    this.arrived.push(message.kind === 'request' ? message.method : `${String(message.status)} ${message.cseq.method}`);
    if (message.kind === 'response') {
      const key = `${message.callId} ${String(message.cseq.seq)} ${message.cseq.method}`;
      if (message.status < 200) return;
      if (message.status >= 300 && message.cseq.method === 'INVITE') this.#acknowledge(message);
      const answer = this.#answers.get(key);
      this.#answers.delete(key);
      answer?.(message);
      return;
    }
    if (message.method !== 'ACK' && !this.late.has(message.method)) this.answer(message);
    const found = this.#waiting.findIndex(({ method }) => method === message.method);
    const [waiting] = found < 0 ? [] : this.#waiting.splice(found, 1);
    if (waiting === undefined) this.#requests.push(message);
    else waiting.take(message);
  }

  /** RFC 3261 §17.1.1.3: the ACK of a failure belongs to its transaction. */
  #acknowledge(response: SipResponse): void {
    const copied = ['via', 'from', 'to', 'call-id'];
    const lines = [...response.headers]
      .filter(({ key }) => copied.includes(key))
      .map(({ name, value }) => `${name}: ${value}`);
    const seq = String(response.cseq.seq);
    this.#socket.write(
      `ACK sip:focus SIP/2.0\r\n${lines.join('\r\n')}\r\nCSeq: ${seq} ACK\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n`,
    );
  }

  /** The address at which the room can call it: that of its connection. */
  get address(): string {
    return `sip:${this.name}@127.0.0.1:${String(this.#socket.localPort)};transport=tcp`;
  }

  /** The dialog of a call that has come in and was answered. */
  called(invite: SipRequest): PhoneDialog {
    return {
      callId: invite.callId,
      localTag: `of-${this.name}`,
      room: invite.requestUri,
      remote: invite.headers.get('From') ?? '',
      target: /<([^>]*)>/.exec(invite.headers.get('Contact') ?? '')?.[1] ?? '',
      seq: 1,
    };
  }

  /** Answers a request, as `replies` has it. */
  answer(request: SipRequest): void {
    const copied = ['via', 'from', 'to', 'call-id', 'cseq'];
    const lines = [...request.headers]
      .filter(({ key }) => copied.includes(key))
      .map(({ name, value }) =>
        name === 'To' && request.toTag === undefined ? `To: ${value};tag=of-${this.name}` : `${name}: ${value}`,
      );
    if (request.method === 'INVITE' && this.rings) {
      this.#socket.write(`SIP/2.0 180 Ringing\r\n${lines.join('\r\n')}\r\nContent-Length: 0\r\n\r\n`);
    }
    const status = this.replies.get(request.method) ?? '200 OK';
    const body = request.method === 'INVITE' && status.startsWith('2') ? (this.sdp ?? '') : '';
    const type = body === '' ? '' : 'Content-Type: application/sdp\r\n';
    if (this.server !== undefined) lines.push(`Server: ${this.server}`);
    this.#socket.write(
      `SIP/2.0 ${status}\r\n${lines.join('\r\n')}\r\nContact: ${this.contact}\r\n${type}Content-Length: ${String(Buffer.byteLength(body))}\r\n\r\n${body}`,
    );
  }
}
