/** One MSRP session for plays: frames as text, so that a play can be as right or as wrong as it wants. */
import { connect, type Socket } from 'node:net';

/** A frame that came in. */
export interface Frame {
  readonly id: string;
  /** `SEND`, `REPORT`, … or a status such as `200`. */
  readonly what: string;
  /** Of a response. */
  readonly comment: string;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string | undefined;
  readonly flag: string;
}

let count = 0;

export class MsrpLine {
  readonly own: string;
  readonly room: string;
  readonly #socket: Socket;
  readonly #frames: Frame[] = [];
  readonly #waiting: { readonly fits: (frame: Frame) => boolean; readonly take: (frame: Frame) => void }[] = [];
  #rest = Buffer.alloc(0);
  /** The very first frame that came. */
  first: Frame | undefined;
  /** Whether each SEND that comes in is answered with 200. */
  answers = true;
  /** Other lines are on its connection: it takes only what is addressed to it. */
  #shared = false;
  readonly closed: Promise<void>;

  private constructor(own: string, room: string, socket: Socket) {
    this.own = own;
    this.room = room;
    this.#socket = socket;
    this.closed = new Promise((resolve) =>
      socket.once('close', () => {
        resolve();
      }),
    );
    socket.on('error', () => undefined);
    socket.on('data', (data) => {
      this.#receive(data);
    });
  }

  /** Begins to connect to the room's path; the first request that it sends binds the session. */
  static open(own: string, room: string, port = Number(/:(\d+)\//.exec(room)?.[1])): MsrpLine {
    return new MsrpLine(own, room, connect({ port, host: '127.0.0.1', noDelay: true }));
  }

  /** Connects to the room's path and binds the session by an empty SEND (RFC 4975 §5.4). */
  static async bind(
    own: string,
    room: string,
    port = Number(/:(\d+)\//.exec(room)?.[1]),
    id = 'bind1234',
  ): Promise<MsrpLine> {
    const line = MsrpLine.open(own, room, port);
    const answer = await line.request('SEND', [`Message-ID: ${id}`, 'Byte-Range: 1-0/0']);
    if (answer.what !== '200') throw new Error(`not bound: ${answer.what}`);
    return line;
  }

  /** Binds one more session by the same connection (RFC 4975 §5.4). */
  async another(own: string, room: string): Promise<MsrpLine> {
    const line = new MsrpLine(own, room, this.#socket);
    this.#shared = line.#shared = true;
    const answer = await line.request('SEND', ['Message-ID: bind5678', 'Byte-Range: 1-0/0']);
    if (answer.what !== '200') throw new Error(`not bound: ${answer.what}`);
    return line;
  }

  /** Sends a request; gives its response. */
  request(method: string, headers: readonly string[], body?: string): Promise<Frame> {
    const id = this.send(method, headers, body);
    return this.next((frame) => frame.id === id && /^\d/.test(frame.what));
  }

  /** Sends a request and waits for nothing; gives its transaction id. */
  send(method: string, headers: readonly string[], body?: string, flag = '$'): string {
    count += 1;
    const id = `play${String(count).padStart(8, '0')}`;
    const head = [`MSRP ${id} ${method}`, `To-Path: ${this.room}`, `From-Path: ${this.own}`, ...headers].join('\r\n');
    this.write(`${head}\r\n${body === undefined ? '' : `\r\n${body}\r\n`}-------${id}${flag}\r\n`);
    return id;
  }

  /** Says something to the room in CPIM; gives the response. */
  say(from: string, to: string, text: string, more: readonly string[] = []): Promise<Frame> {
    return this.request('SEND', ...cpim(from, to, text, more));
  }

  write(text: string | Uint8Array): void {
    this.#socket.write(text);
  }

  /** The next frame that fits, from those that came already or are to come. */
  next(fits: (frame: Frame) => boolean): Promise<Frame> {
    const found = this.#frames.findIndex(fits);
    const [frame] = found < 0 ? [] : this.#frames.splice(found, 1);
    if (frame !== undefined) return Promise.resolve(frame);
    return new Promise((take) => this.#waiting.push({ fits, take }));
  }

  /** All SENDs with content that came so far and were not asked for yet. */
  heard(): readonly Frame[] {
    return this.#frames.filter((frame) => frame.what === 'SEND' && frame.body !== undefined);
  }

  /** Takes those that came so far and fit. */
  take(fits: (frame: Frame) => boolean): readonly Frame[] {
    const taken = this.#frames.filter(fits);
    for (const frame of taken) this.#frames.splice(this.#frames.indexOf(frame), 1);
    return taken;
  }

  /** The next SEND that has this text in it. */
  hears(text: string): Promise<Frame> {
    return this.next((frame) => frame.what === 'SEND' && frame.body?.includes(text) === true);
  }

  /** Stops reading, as a client that hangs does. */
  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  close(): void {
    this.#socket.destroy();
  }

  #receive(data: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, data]);
    for (;;) {
      const text = this.#rest.toString('latin1');
      const [start, id = '', what = '', comment = ''] = /^MSRP (\S+) (\S+) ?([^\r]*)\r\n/.exec(text) ?? [];
      if (start === undefined) return;
      const end = text.indexOf(`-------${id}`);
      const next = end + 7 + id.length + 3;
      if (end < 0 || next > text.length) return;
      const flag = text[next - 3] ?? '';
      const content = this.#rest.toString('utf8', start.length, end);
      this.#rest = this.#rest.subarray(next);
      this.#take(read(id, what, comment, content, flag));
    }
  }

  #take(frame: Frame): void {
    if (this.#shared && frame.headers.get('To-Path') !== this.own) return;
    this.first ??= frame;
    if (frame.what === 'SEND' && this.answers) {
      this.write(
        `MSRP ${frame.id} 200 OK\r\nTo-Path: ${this.room}\r\nFrom-Path: ${this.own}\r\n-------${frame.id}$\r\n`,
      );
    }
    const found = this.#waiting.findIndex(({ fits }) => fits(frame));
    const [waiting] = found < 0 ? [] : this.#waiting.splice(found, 1);
    if (waiting === undefined) this.#frames.push(frame);
    else waiting.take(frame);
  }
}

/** Headers and body of a text in CPIM, as arguments of `request` and `send`. */
export function cpim(
  from: string,
  to: string,
  text: string,
  more: readonly string[] = [],
): [headers: readonly string[], body: string] {
  count += 1;
  const body =
    `From: <${from}>\r\nTo: <${to}>\r\nDateTime: 2026-01-01T00:00:00Z\r\n\r\n` +
    `Content-Type: text/plain; charset=utf-8\r\n\r\n${text}`;
  const size = String(Buffer.byteLength(body));
  const id = more.some((line) => line.startsWith('Message-ID:'))
    ? []
    : [`Message-ID: m${String(count).padStart(8, '0')}`];
  return [[...id, `Byte-Range: 1-${size}/${size}`, ...more, 'Content-Type: message/cpim'], body];
}

function read(id: string, what: string, comment: string, content: string, flag: string): Frame {
  const blank = content.startsWith('\r\n') ? 0 : content.indexOf('\r\n\r\n');
  const head = blank < 0 ? content : content.slice(0, blank);
  const headers = new Map(
    head
      .split('\r\n')
      .filter((line) => line.includes(':'))
      .map((line): [string, string] => {
        const colon = line.indexOf(':');
        return [line.slice(0, colon), line.slice(colon + 1).trim()];
      }),
  );
  return { id, what, comment, headers, body: blank < 0 ? undefined : content.slice(blank + 4, -2), flag };
}
