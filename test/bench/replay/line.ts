/** The receiving end of one MSRP session, as cheap as it can be: every SEND is answered with 200. */
import { connect, type Socket } from 'node:net';
import { dialRoom } from '../fanout/dial.ts';

export interface Line {
  readonly socket: Socket;
  readonly own: string;
  readonly room: string;
}

/** Comes into the room and binds a session; `heard` gets the text of each SEND. */
export async function openLine(
  ports: { readonly sip: number; readonly msrp: number },
  name: string,
  heard: (send: string) => void,
): Promise<Line> {
  const own = `msrp://127.0.0.1:9/${name};tcp`;
  const room = await dialRoom(ports.sip, name, own);
  const socket = connect({ port: ports.msrp, host: '127.0.0.1', noDelay: true });
  socket.write(
    `MSRP bindbindbind SEND\r\nTo-Path: ${room}\r\nFrom-Path: ${own}\r\nMessage-ID: bind1234\r\n` +
      'Byte-Range: 1-0/0\r\n-------bindbindbind$\r\n',
  );
  socket.on('error', () => undefined);
  let rest = '';
  socket.on('data', (data) => {
    const text = rest + data.toString('latin1');
    let [at, answers] = [0, ''];
    for (;;) {
      const space = text.indexOf(' ', at + 5);
      const id = text.slice(at + 5, space);
      const end = space < 0 ? -1 : text.indexOf(`-------${id}`, space);
      const next = end + 7 + id.length + 3;
      if (end < 0 || next > text.length) break;
      if (text.startsWith(' SEND', space)) {
        answers += `MSRP ${id} 200 OK\r\nTo-Path: ${room}\r\nFrom-Path: ${own}\r\n-------${id}$\r\n`;
        heard(text.slice(at, next));
      }
      at = next;
    }
    rest = text.slice(at);
    if (answers !== '') socket.write(answers, 'latin1');
  });
  return { socket, own, room };
}

/** Says a text in CPIM; nobody waits for the answer. */
export function sayOn({ socket, own, room }: Line, from: string, id: string, text: string): void {
  const cpim =
    `From: <sip:${from}@127.0.0.1>\r\nTo: <sip:bench@127.0.0.1>\r\nDateTime: 2026-01-01T00:00:00Z\r\n\r\n` +
    `Content-Type: text/plain\r\n\r\n${text}`;
  socket.write(
    `MSRP say${id} SEND\r\nTo-Path: ${room}\r\nFrom-Path: ${own}\r\nMessage-ID: ${id}\r\n` +
      `Byte-Range: 1-${cpim.length}/${cpim.length}\r\nContent-Type: message/cpim\r\n\r\n${cpim}\r\n-------say${id}$\r\n`,
  );
}
