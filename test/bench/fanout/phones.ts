/**
 * Telephones in the room under load, in a process of their own: each in a call without MSRP, over one TCP connection,
 * answering every MESSAGE with 200. The first one may write, some MESSAGEs at a time.
 */
import { connect, type Socket } from 'node:net';

/** What the parent asks for. */
export interface PhonesOrder {
  readonly sip: number;
  readonly phones: number;
  /** They take no MESSAGE themselves. */
  readonly deaf?: boolean;
}

/** What the parent asks next: to write so many texts, so many at a time; 0 texts: only to count. */
export interface WriteOrder {
  readonly texts: number;
  readonly window: number;
  /** So many MESSAGEs are to come; default: one to each of the others for each text. */
  readonly expected?: number;
}

/** Or to write so many texts a second for so long, one phone after the other. */
export interface PaceOrder {
  readonly perSecond: number;
  readonly forSeconds: number;
}

/** What came of that. */
export interface PaceResult {
  readonly sent: number;
  readonly taken: number;
  readonly seconds: number;
  /** Milliseconds from a text to its answer: half of them, and 99 of 100, were quicker. */
  readonly median: number;
  readonly slow: number;
}

/** What came of it. */
export interface WriteResult {
  /** MESSAGEs that were taken. */
  readonly taken: number;
  /** MESSAGEs that came to the phones since the last time. */
  readonly received: number;
  readonly seconds: number;
}

const SDP = [
  'v=0',
  'o=- 1 1 IN IP4 127.0.0.1',
  's=-',
  'c=IN IP4 127.0.0.1',
  't=0 0',
  'm=audio 9 RTP/AVP 0',
  'a=inactive',
  '',
].join('\r\n');
const COPIED = /^(?:Via|From|To|Call-ID|CSeq|v|f|t|i) *:/i;

class Phones {
  readonly #socket: Socket;
  readonly #waiting = new Map<string, (answer: string) => void>();
  #rest = '';
  #seq = 1;
  received = 0;
  /** Resolves when so many have come. */
  #goal: { readonly count: number; readonly reached: () => void } | undefined;

  constructor(port: number) {
    this.#socket = connect({ port, host: '127.0.0.1', noDelay: true });
    this.#socket.on('error', () => undefined);
    this.#socket.on('data', (data) => {
      this.#take(data.toString('latin1'));
    });
  }

  /** INVITE and ACK; gives the To of the room. */
  async join(name: string, deaf: boolean): Promise<string> {
    const answer = await this.#ask(
      'INVITE',
      name,
      1,
      '<sip:bench@127.0.0.1>',
      [
        ...[
          `Allow: INVITE, ACK, BYE, CANCEL${deaf ? '' : ', MESSAGE'}`,
          `Contact: <sip:${name}@127.0.0.1:9;transport=tcp>`,
        ],
        'Content-Type: application/sdp',
      ],
      SDP,
    );
    if (!answer.startsWith('SIP/2.0 200')) throw new Error(`not let in: ${answer}`);
    const to = /^(?:To|t) *: *(.*)$/im.exec(answer)?.[1] ?? '';
    this.#write('ACK', name, 1, to, [], '');
    return to;
  }

  /** Writes texts within the call; gives how many were taken. */
  async write(name: string, to: string, { texts, window }: WriteOrder): Promise<number> {
    let left = texts;
    let taken = 0;
    const lane = async (): Promise<void> => {
      while (left > 0) {
        left -= 1;
        this.#seq += 1;
        const answer = await this.#ask(
          'MESSAGE',
          name,
          this.#seq,
          to,
          ['Content-Type: text/plain'],
          `text ${String(left)}`,
        );
        if (answer.startsWith('SIP/2.0 20')) taken += 1;
      }
    };
    await Promise.all(Array.from({ length: window }, lane));
    return taken;
  }

  /** Writes at a pace, from one call after the other. */
  async pace(rooms: readonly string[], { perSecond, forSeconds }: PaceOrder): Promise<PaceResult> {
    const start = performance.now();
    const waits: number[] = [];
    const answers: Promise<void>[] = [];
    const total = perSecond * forSeconds;
    let taken = 0;
    while (answers.length < total) {
      const due = Math.min(total, Math.floor(((performance.now() - start) / 1000) * perSecond));
      while (answers.length < due) {
        const i = answers.length % rooms.length;
        this.#seq += 1;
        const at = performance.now();
        const body = `text ${String(answers.length)}`;
        const asked = this.#ask(
          'MESSAGE',
          `phone${String(i)}`,
          this.#seq,
          rooms[i] ?? '',
          ['Content-Type: text/plain'],
          body,
        );
        answers.push(
          asked.then((answer) => {
            waits.push(performance.now() - at);
            if (answer.startsWith('SIP/2.0 20')) taken += 1;
          }),
        );
      }
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    await Promise.all(answers);
    waits.sort((a, b) => a - b);
    const of = (share: number): number => waits[Math.floor(waits.length * share)] ?? 0;
    return { sent: total, taken, seconds: (performance.now() - start) / 1000, median: of(0.5), slow: of(0.99) };
  }

  /** Waits until so many MESSAGEs have come, or none comes for a second. */
  reach(count: number): Promise<void> {
    return new Promise((resolve) => {
      let last = -1;
      const watch = setInterval(() => {
        if (this.received === last) done();
        last = this.received;
      }, 1000);
      const done = (): void => {
        clearInterval(watch);
        this.#goal = undefined;
        resolve();
      };
      this.#goal = { count, reached: done };
      if (this.received >= count) done();
    });
  }

  #ask(method: string, name: string, seq: number, to: string, more: readonly string[], body: string): Promise<string> {
    return new Promise((resolve) => {
      this.#waiting.set(`${name} ${String(seq)} ${method}`, resolve);
      this.#write(method, name, seq, to, more, body);
    });
  }

  #write(method: string, name: string, seq: number, to: string, more: readonly string[], body: string): void {
    const lines = [
      ...[
        `${method} sip:bench@127.0.0.1 SIP/2.0`,
        `Via: SIP/2.0/TCP 127.0.0.1:9;branch=z9hG4bK${name}-${String(seq)}-${method}`,
      ],
      ...['Max-Forwards: 70', `From: <sip:${name}@127.0.0.1>;tag=${name}`, `To: ${to}`, `Call-ID: ${name}`],
      ...[`CSeq: ${String(seq)} ${method}`, ...more, `Content-Length: ${String(body.length)}`],
    ];
    this.#socket.write(`${lines.join('\r\n')}\r\n\r\n${body}`);
  }

  #take(data: string): void {
    this.#rest += data;
    let answers = '';
    for (;;) {
      const head = this.#rest.indexOf('\r\n\r\n');
      if (head < 0) break;
      const length = Number(/^(?:Content-Length|l) *: *(\d+)/im.exec(this.#rest.slice(0, head))?.[1] ?? '0');
      const end = head + 4 + length;
      if (this.#rest.length < end) break;
      const message = this.#rest.slice(0, head);
      this.#rest = this.#rest.slice(end);
      if (message.startsWith('SIP/2.0')) this.#settle(message);
      else answers += this.#answer(message);
    }
    if (answers !== '') this.#socket.write(answers);
    if (this.#goal !== undefined && this.received >= this.#goal.count) this.#goal.reached();
  }

  #answer(request: string): string {
    if (request.startsWith('MESSAGE')) this.received += 1;
    const copied = request.split('\r\n').filter((line) => COPIED.test(line));
    return `SIP/2.0 200 OK\r\n${copied.join('\r\n')}\r\nContent-Length: 0\r\n\r\n`;
  }

  #settle(response: string): void {
    if (/^SIP\/2\.0 1/.test(response)) return;
    const callId = /^(?:Call-ID|i) *: *(\S+)/im.exec(response)?.[1] ?? '';
    const cseq = /^CSeq *: *(.*)$/im.exec(response)?.[1]?.trim() ?? '';
    const answer = this.#waiting.get(`${callId} ${cseq}`);
    this.#waiting.delete(`${callId} ${cseq}`);
    answer?.(response);
  }
}

let phones: Phones | undefined;
const rooms: string[] = [];

async function serve(order: PhonesOrder | WriteOrder | PaceOrder): Promise<string | WriteResult | PaceResult> {
  if ('phones' in order) {
    phones = new Phones(order.sip);
    for (let i = 0; i < order.phones; i += 1) rooms.push(await phones.join(`phone${String(i)}`, order.deaf === true));
    return 'ready';
  }
  if (phones === undefined) throw new Error('nobody has joined');
  if ('perSecond' in order) return phones.pace(rooms, order);
  const { texts, expected = texts === 0 ? Number.POSITIVE_INFINITY : texts * (rooms.length - 1) } = order;
  const start = process.hrtime.bigint();
  phones.received = 0;
  const taken = await phones.write('phone0', rooms[0] ?? '', order);
  await phones.reach(expected);
  const seconds = Number(process.hrtime.bigint() - start) / 1e9;
  return { taken, received: phones.received, seconds };
}

process.on('message', (order: PhonesOrder | WriteOrder | PaceOrder) => {
  void serve(order).then((answer) => process.send?.(answer));
});
process.on('disconnect', () => {
  process.exit(0);
});
process.send?.('up');
