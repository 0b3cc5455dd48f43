/** Joins and watches rooms by SIP with as little as it takes: one TCP connection for all members, one for each watcher. */
import { connect, type Socket } from 'node:net';

const trunks = new Map<string, Socket>();
const waiting = new Map<string, (answer: string) => void>();

/**
 * Sends INVITE for one member, acknowledges the 200 and gives the room's MSRP path.
 * @param port SIP over TCP on loopback
 * @param name user part of the member
 * @param path the member's own MSRP path
 */
export async function dialRoom(port: number, name: string, path: string): Promise<string> {
  const socket = trunkTo(port, 'members');
  const sdp =
    'v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=message 9 TCP/MSRP *\r\n' +
    `a=accept-types:message/cpim\r\na=accept-wrapped-types:text/plain\r\na=setup:active\r\na=chatroom\r\na=path:${path}\r\n`;
  const from = `From: <sip:${name}@127.0.0.1>;tag=${name}`;
  const via = `Via: SIP/2.0/TCP 127.0.0.1:9;branch=z9hG4bK${name}`;
  const answer = await new Promise<string>((resolve) => {
    waiting.set(name, resolve);
    socket.write(
      `INVITE sip:bench@127.0.0.1 SIP/2.0\r\n${via}\r\nMax-Forwards: 70\r\n${from}\r\nTo: <sip:bench@127.0.0.1>\r\n` +
        `Call-ID: ${name}\r\nCSeq: 1 INVITE\r\nContact: <sip:${name}@127.0.0.1:9;transport=tcp>\r\n` +
        `Content-Type: application/sdp\r\nContent-Length: ${String(sdp.length)}\r\n\r\n${sdp}`,
    );
  });
  if (!answer.startsWith('SIP/2.0 200')) throw new Error(`not let in: ${answer}`);
  const to = /^(?:To|t) *: *(.*)$/im.exec(answer)?.[1] ?? '';
  const room = /^a=path:(.*)$/m.exec(answer)?.[1]?.trim();
  if (room === undefined) throw new Error(`no path: ${answer}`);
  socket.write(
    `ACK sip:bench@127.0.0.1 SIP/2.0\r\n${via}ack\r\nMax-Forwards: 70\r\n${from}\r\nTo: ${to}\r\nCall-ID: ${name}\r\n` +
      'CSeq: 1 ACK\r\nContent-Length: 0\r\n\r\n',
  );
  return room;
}

/** How many NOTIFYs have come. */
export let notified = 0;

/** Subscribes to the room's conference document. */
export async function watchRoom(port: number, name: string): Promise<void> {
  const socket = trunkTo(port, name);
  const answer = await new Promise<string>((resolve) => {
    waiting.set(name, resolve);
    socket.write(
      `SUBSCRIBE sip:bench@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:9;branch=z9hG4bK${name}\r\n` +
        `Max-Forwards: 70\r\nFrom: <sip:${name}@127.0.0.1>;tag=${name}\r\nTo: <sip:bench@127.0.0.1>\r\n` +
        `Call-ID: ${name}\r\nCSeq: 1 SUBSCRIBE\r\nContact: <sip:${name}@127.0.0.1:9;transport=tcp>\r\n` +
        'Event: conference\r\nExpires: 3600\r\nContent-Length: 0\r\n\r\n',
    );
  });
  if (!answer.startsWith('SIP/2.0 200')) throw new Error(`may not watch: ${answer}`);
}

function trunkTo(port: number, owner: string): Socket {
  const key = `${owner} ${String(port)}`;
  const known = trunks.get(key);
  if (known !== undefined) return known;
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  // The service is ended when all is measured.
  socket.on('error', () => undefined);
  let rest = '';
  socket.on('data', (data) => {
    rest = take(socket, rest + data.toString('latin1'));
  });
  trunks.set(key, socket);
  return socket;
}

/** Takes whole messages off the front; gives back what is left. */
function take(socket: Socket, text: string): string {
  let rest = text;
  for (;;) {
    const head = rest.indexOf('\r\n\r\n');
    if (head < 0) return rest;
    const length = Number(/^(?:Content-Length|l) *: *(\d+)/im.exec(rest.slice(0, head))?.[1] ?? '0');
    const next = head + 4 + length;
    if (rest.length < next) return rest;
    settle(socket, rest.slice(0, next));
    rest = rest.slice(next);
  }
}

function settle(socket: Socket, message: string): void {
  if (!message.startsWith('SIP/2.0')) {
    if (message.startsWith('NOTIFY')) notified += 1;
    const copied = message.split('\r\n').filter((line) => /^(?:Via|From|To|Call-ID|CSeq|v|f|t|i) *:/i.test(line));
    socket.write(`SIP/2.0 200 OK\r\n${copied.join('\r\n')}\r\nContent-Length: 0\r\n\r\n`);
    return;
  }
  const callId = /^(?:Call-ID|i) *: *(\S+)/im.exec(message)?.[1] ?? '';
  const status = Number(/^SIP\/2\.0 (\d{3})/.exec(message)?.[1] ?? '0');
  if (status < 200) return;
  const answer = waiting.get(callId);
  waiting.delete(callId);
  answer?.(message);
}
