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
  rest: Buffer;
  queued: Buffer[];
}

const members = new Set<Member>();
const dirty = new Set<Member>();
let turn = false;
let count = 0;

function flush(): void {
  turn = false;
  for (const member of dirty) {
    const first = member.queued[0];
    if (first === undefined) continue;
    member.socket.write(member.queued.length === 1 ? first : Buffer.concat(member.queued));
    member.queued = [];
  }
  dirty.clear();
}

function send(member: Member, bytes: Buffer): void {
  member.queued.push(bytes);
  dirty.add(member);
  if (turn) return;
  turn = true;
  setImmediate(flush);
}

/** Everything of a SEND that is the same for all: from its Message-ID header to the end-line's dashes. */
function sharedPart(frame: Buffer, tail: number): Buffer {
  return Buffer.from(frame.subarray(frame.indexOf('\r\nMessage-ID:') + 2, tail));
}

function fanOut(from: Member, frame: Buffer, tail: number): void {
  const shared = sharedPart(frame, tail);
  for (const member of members) {
    if (member === from) continue;
    count += 1;
    const id = count.toString(36).padStart(16, '0');
    const head = 5 + 16 + 7;
    const out = Buffer.allocUnsafe(head + member.head.length + shared.length + 16 + 3);
    out.write(`MSRP ${id} SEND\r\n`, 0, 'latin1');
    let at = head;
    at += member.head.copy(out, at);
    at += shared.copy(out, at);
    out.write(`${id}$\r\n`, at, 'latin1');
    send(member, out);
  }
}

function handle(member: Member, frame: Buffer, id: string, tail: number): void {
  const method = frame.toString('latin1', 5 + id.length + 1, 5 + id.length + 5);
  if (method !== 'SEND') return;
  send(member, Buffer.from(`MSRP ${id} 200 OK\r\n${member.head.toString('latin1')}-------${id}$\r\n`, 'latin1'));
  if (frame.includes('\r\nContent-Type:')) fanOut(member, frame, tail);
}

function receive(member: Member, data: Buffer): void {
  let bytes = member.rest.length === 0 ? data : Buffer.concat([member.rest, data]);
  for (;;) {
    const space = bytes.indexOf(32, 5);
    if (space < 0) break;
    const id = bytes.toString('latin1', 5, space);
    const end = bytes.indexOf(`-------${id}`, space, 'latin1');
    const next = end + 7 + id.length + 3;
    if (end < 0 || next > bytes.length) break;
    handle(member, bytes.subarray(0, next), id, end + 7);
    bytes = bytes.subarray(next);
  }
  member.rest = bytes;
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
        rest: Buffer.alloc(0),
        queued: [],
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
