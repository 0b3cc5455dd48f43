/**
 * The room under load, in a process of its own: N members over N connections, one of them speaking, all others
 * acknowledging each delivery with its 200. `window` messages are in flight at a time; a message is done when the last
 * member has it.
 */
import { connect, type Socket } from 'node:net';
import { dialRoom } from './dial.ts';

/** What the parent asks for. */
export interface LoadOrder {
  readonly msrp: number;
  readonly sip?: number;
  readonly members: number;
  readonly bodyBytes: number;
  readonly window: number;
  /** Messages to say each time that the parent says `go`, after the warm-up. */
  readonly messages: number;
  readonly warmUp: number;
}

/** What a phase did. */
export interface LoadResult {
  readonly deliveries: number;
  readonly seconds: number;
}

interface Member {
  readonly socket: Socket;
  readonly own: string;
  readonly room: string;
  rest: string;
}

function members(order: LoadOrder): Promise<readonly Member[]> {
  return Promise.all(
    Array.from({ length: order.members }, async (_, index): Promise<Member> => {
      const own = `msrp://127.0.0.1:9/member${String(index)};tcp`;
      const room =
        order.sip === undefined
          ? `msrp://127.0.0.1:${String(order.msrp)}/room${String(index)};tcp`
          : await dialRoom(order.sip, `member${String(index)}`, own);
      return bind(order.msrp, own, room);
    }),
  );
}

/** Connects and sends the empty SEND that binds the session (RFC 4975 §7.1). */
function bind(port: number, own: string, room: string): Promise<Member> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    const member: Member = { socket, own, room, rest: '' };
    socket.once('error', reject);
    socket.write(
      `MSRP bindbindbind SEND\r\nTo-Path: ${room}\r\nFrom-Path: ${own}\r\nMessage-ID: bind1234\r\n` +
        'Byte-Range: 1-0/0\r\n-------bindbindbind$\r\n',
    );
    socket.once('data', (data) => {
      const answer = data.toString('latin1');
      // What comes behind the answer must wait for its reader.
      socket.pause();
      member.rest = answer.slice(answer.indexOf('-------bindbindbind$\r\n') + 22);
      if (answer.startsWith('MSRP bindbindbind 200')) resolve(member);
      else reject(new Error(`not bound: ${answer}`));
    });
  });
}

class Room {
  readonly #order: LoadOrder;
  readonly #members: readonly Member[];
  readonly #text: string;
  readonly #left = new Map<string, number>();
  #said = 0;
  #goal = 0;
  #deliveries = 0;
  #done: (() => void) | undefined;

  constructor(order: LoadOrder, all: readonly Member[]) {
    this.#order = order;
    this.#members = all;
    this.#text = 'x'.repeat(order.bodyBytes);
    for (const member of all) {
      member.socket.removeAllListeners('data');
      member.socket.on('data', (data) => {
        this.#receive(member, data.toString('latin1'));
      });
      member.socket.resume();
      this.#receive(member, '');
    }
  }

  /** Says so many messages and ends when everybody has them all. */
  async run(messages: number): Promise<LoadResult> {
    const before = this.#deliveries;
    const start = process.hrtime.bigint();
    this.#goal = this.#said + messages;
    await new Promise<void>((resolve) => {
      this.#done = resolve;
      while (this.#left.size < this.#order.window && this.#said < this.#goal) this.#say();
    });
    return { deliveries: this.#deliveries - before, seconds: Number(process.hrtime.bigint() - start) / 1e9 };
  }

  #say(): void {
    const speaker = this.#members[0];
    if (speaker === undefined) return;
    this.#said += 1;
    const id = this.#said.toString(36).padStart(12, '0');
    this.#left.set(id, this.#members.length - 1);
    const cpim =
      'From: <sip:member0@127.0.0.1>\r\nTo: <sip:bench@127.0.0.1>\r\nDateTime: 2026-01-01T00:00:00Z\r\n' +
      `Subject: ${id}\r\n\r\nContent-Type: text/plain\r\n\r\n${this.#text}`;
    const length = String(cpim.length);
    speaker.socket.write(
      `MSRP say${id} SEND\r\nTo-Path: ${speaker.room}\r\nFrom-Path: ${speaker.own}\r\nMessage-ID: ${id}\r\n` +
        `Byte-Range: 1-${length}/${length}\r\nContent-Type: message/cpim\r\n\r\n${cpim}\r\n-------say${id}$\r\n`,
    );
  }

  #receive(member: Member, data: string): void {
    const text = member.rest + data;
    let at = 0;
    let answers = '';
    for (;;) {
      const space = text.indexOf(' ', at + 5);
      if (space < 0) break;
      const id = text.slice(at + 5, space);
      const end = text.indexOf(`-------${id}`, space);
      const next = end + 7 + id.length + 3;
      if (end < 0 || next > text.length) break;
      if (text.startsWith(' SEND', space)) {
        answers += `MSRP ${id} 200 OK\r\nTo-Path: ${member.room}\r\nFrom-Path: ${member.own}\r\n-------${id}$\r\n`;
        const subject = text.indexOf('\r\nSubject: ', space);
        if (subject >= 0 && subject < end) this.#delivered(text.slice(subject + 11, subject + 23));
      } else if (!text.startsWith(' 200', space)) {
        throw new Error(`unexpected: ${text.slice(at, next)}`);
      }
      at = next;
    }
    member.rest = text.slice(at);
    if (answers !== '') member.socket.write(answers, 'latin1');
  }

  #delivered(id: string): void {
    this.#deliveries += 1;
    const left = (this.#left.get(id) ?? 0) - 1;
    if (left > 0) {
      this.#left.set(id, left);
      return;
    }
    this.#left.delete(id);
    if (this.#said < this.#goal) this.#say();
    else if (this.#left.size === 0) this.#done?.();
  }
}

process.once('message', (order: LoadOrder) => {
  void (async () => {
    const room = new Room(order, await members(order));
    // A durable room delivers to those whose coming it has kept, which is a moment later.
    await new Promise((resolve) => setTimeout(resolve, 500));
    await room.run(order.warmUp);
    process.send?.('warm');
    for (;;) {
      await new Promise((resolve) => process.once('message', resolve));
      process.send?.(await room.run(order.messages));
    }
  })();
});
process.on('disconnect', () => {
  process.exit(0);
});
process.send?.('ready');
