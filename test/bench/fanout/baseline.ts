/**
 * The yardstick: the least that a bare `node:net` server can do and still fan MSRP bytes out to a room. It frames requests
 * by their end-line, answers the sender, copies each SEND to everybody else with one write per socket and turn, and
 * reads the 200s. It checks nothing, keeps nothing and knows no SIP.
 */
import { createServer, type Socket } from 'node:net';
import { reportCpu } from './cpu.ts';

interface Member {
  readonly socket: Socket;
  /** `To-Path` and `From-Path` lines of everything sent to this member. */
  readonly head: Buffer;
  rest: Buffer | undefined;
  /** Answers of this turn, and the parts that are the same for all of messages to be sent. */
  readonly answers: Buffer[];
  readonly messages: Buffer[];
  bytes: number;
}

/** Transaction ids of ours have one width, so that lengths are known beforehand. */
const ID = 12;
const START = 'MSRP '.length + ID + ' SEND\r\n'.length;
const END = ID + '$\r\n'.length;
const DASHES = Buffer.from('\r\n-------');
const SPACE = 0x20;
const TWO = 0x32;

const members = new Set<Member>();
let dirty: Member[] = [];
let count = 0;

/** One buffer and one write for all that a member gets in this turn. */
function flush(): void {
  const due = dirty;
  dirty = [];
  for (const member of due) {
    const out = Buffer.allocUnsafe(member.bytes);
    let at = 0;
    for (const answer of member.answers) at += answer.copy(out, at);
    for (const shared of member.messages) {
      count += 1;
      const id = count.toString(36).padStart(ID, '0');
      at += out.write(`MSRP ${id} SEND\r\n`, at, 'latin1');
      at += member.head.copy(out, at);
      at += shared.copy(out, at);
      at += out.write(`${id}$\r\n`, at, 'latin1');
    }
    member.answers.length = 0;
    member.messages.length = 0;
    member.bytes = 0;
    member.socket.write(out);
  }
}

function due(member: Member, bytes: number): void {
  if (member.bytes === 0) {
    if (dirty.length === 0) setImmediate(flush);
    dirty.push(member);
  }
  member.bytes += bytes;
}

function fanOut(from: Member, frame: Buffer, tail: number): void {
  // Everything from the Message-ID header to the end-line's dashes is the same for all.
  const shared = Buffer.from(frame.subarray(frame.indexOf('\r\nMessage-ID:') + 2, tail));
  for (const member of members) {
    if (member === from) continue;
    member.messages.push(shared);
    due(member, START + member.head.length + shared.length + END);
  }
}

function handle(member: Member, frame: Buffer, id: string, tail: number): void {
  const answer = Buffer.from(`MSRP ${id} 200 OK\r\n${member.head.toString('latin1')}-------${id}$\r\n`, 'latin1');
  member.answers.push(answer);
  due(member, answer.length);
  if (frame.includes('\r\nContent-Type:')) fanOut(member, frame, tail);
}

function receive(member: Member, data: Buffer): void {
  const bytes = member.rest === undefined ? data : Buffer.concat([member.rest, data]);
  let at = 0;
  for (;;) {
    if (bytes[at + 5 + ID] === SPACE && bytes[at + 5 + ID + 1] === TWO) {
      // A 200 to one of ours: nothing to do but to find where it ends.
      const end = bytes.indexOf(DASHES, at);
      if (end < 0 || end + DASHES.length + END > bytes.length) break;
      at = end + DASHES.length + END;
      continue;
    }
    const space = bytes.indexOf(32, at + 5);
    if (space < 0) break;
    const id = bytes.toString('latin1', at + 5, space);
    const end = bytes.indexOf(`-------${id}`, space, 'latin1');
    const next = end + 7 + id.length + 3;
    if (end < 0 || next > bytes.length) break;
    handle(member, bytes.subarray(at, next), id, end + 7 - at);
    at = next;
  }
  member.rest = at === bytes.length ? undefined : Buffer.from(bytes.subarray(at));
}

const server = createServer({ noDelay: true }, (socket) => {
  let member: Member | undefined;
  socket.on('error', () => undefined);
  socket.on('close', () => {
    if (member !== undefined) members.delete(member);
  });
  socket.on('data', (data) => {
    if (member === undefined) {
      const text = data.toString('latin1');
      const to = /To-Path: (\S+)/.exec(text)?.[1] ?? '';
      const from = /From-Path: (\S+)/.exec(text)?.[1] ?? '';
      member = {
        socket,
        head: Buffer.from(`To-Path: ${from}\r\nFrom-Path: ${to}\r\n`, 'latin1'),
        rest: undefined,
        answers: [],
        messages: [],
        bytes: 0,
      };
      members.add(member);
    }
    receive(member, data);
  });
});

server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  reportCpu({ msrp: typeof address === 'object' && address !== null ? address.port : 0 });
});
