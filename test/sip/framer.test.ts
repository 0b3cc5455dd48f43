import fc from '../fast-check.ts';
import t from 'tap';
import { SipFramer } from '../../sip/framer.ts';
import type { Frame } from '../../sip/framer.ts';

const limits = { maxHeadBytes: 300, maxBodyBytes: 1_000 };

/** All frames of the pieces, as text. */
function frames(pieces: readonly string[], framer = new SipFramer(limits)): string[] {
  const found: string[] = [];
  for (const piece of pieces) {
    framer.push(Buffer.from(piece, 'latin1'));
    for (let frame = framer.next(); frame !== undefined; frame = framer.next()) found.push(describe(frame));
  }
  return found;
}

function describe(frame: Frame): string {
  switch (frame.is) {
    case 'message':
      return frame.bytes.toString('latin1');
    case 'ping':
      return 'ping';
    case 'fault':
      return `${frame.status} ${frame.head === undefined ? 'without head' : 'with head'}`;
  }
}

const message = (headers: string, body = ''): string => `MESSAGE sip:a@b SIP/2.0\r\n${headers}\r\n\r\n${body}`;

t.test('RFC 3261 §18.3, §20.14: Content-Length in every form', (t) => {
  for (const header of [
    'Content-Length: 4',
    'content-length:4',
    'CONTENT-LENGTH  :\t 4  ',
    'l: 4',
    'L:4',
    'l:\r\n 4',
    'To: x\r\nl: 4\r\nFrom: y',
    'l: 4\r\nContent-Length: 4',
    'Content-Length: 004\r\nX: y',
  ]) {
    t.strictSame(frames([message(header, 'body')]), [message(header, 'body')], JSON.stringify(header));
  }
  t.strictSame(frames([message('l: 0') + message('l: 1', 'x')]), [message('l: 0'), message('l: 1', 'x')]);
  t.strictSame(
    frames([message('Subject: a\r\n l: 9\r\nl: 0')]),
    [message('Subject: a\r\n l: 9\r\nl: 0')],
    'folded text is no header',
  );
  t.end();
});

t.test('a stream that cannot be framed ends in one fault', (t) => {
  const more = message('l: 0');
  for (const [sent, fault] of [
    [message('To: x'), '400 with head'],
    [message('l: x'), '400 with head'],
    [message('l: -1'), '400 with head'],
    [message('l:'), '400 with head'],
    [message('l: 1\r\nl: 2'), '400 with head'],
    [message('l: 9999999999'), '400 with head'],
    [message('l: 1001'), '413 with head'],
    [message(`l: 0\r\nX: ${'x'.repeat(300)}`), '513 with head'],
    ['x'.repeat(301), '513 with head'],
    ['\x16\x03\x01', '400 without head'],
    [' OPTIONS', '400 without head'],
    ['GET / HTTP/1.1\r\nHost: x\r\n\r\n', '400 with head'],
  ] as const) {
    t.strictSame(frames([sent, more, more]), [fault], JSON.stringify(sent.slice(0, 40)));
  }
  t.end();
});

t.test('RFC 5626 §4.4.1, RFC 3261 §7.5: line ends between messages', (t) => {
  t.strictSame(frames(['\r\n\r\n']), ['ping']);
  t.strictSame(frames(['\r', '\n', '\r', '\n', '\r\n']), ['ping']);
  t.strictSame(frames(['\r\n' + message('l: 0') + '\r\n']), [message('l: 0')], 'a single one is nothing');
  t.strictSame(frames(['\r\n\r\n' + message('l: 0') + '\r\n\r\n\r\n\r\n']), ['ping', message('l: 0'), 'ping', 'ping']);
  const framer = new SipFramer(limits);
  t.strictSame(frames([message('l: 9', '\r\n\r\n\r\n')], framer), [], 'inside a message it is the body');
  t.equal(framer.pending, true);
  t.strictSame(frames(['xyz\r\n'], framer), [message('l: 9', '\r\n\r\n\r\nxyz')]);
  t.equal(framer.pending, false);
  t.end();
});

t.test('any cut of the bytes gives the same frames, and the bytes given out are not written again', (t) => {
  const piece = fc.oneof(
    fc.constantFrom('\r\n', '\r\n\r\n', message('l: 0'), message('To: x\r\nl: 3', '\r\n\r')),
    fc.nat(200).map((size) => message(`l: ${size}`, 'b'.repeat(size))),
    fc.string({ maxLength: 20 }),
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 8 }), fc.array(fc.nat(700), { maxLength: 12 }), (parts, cuts) => {
      const whole = parts.join('');
      const at = [...new Set(cuts.filter((cut) => cut < whole.length))].sort((a, b) => a - b);
      const pieces = [...at, whole.length].map((end, index) => whole.slice(at[index - 1] ?? 0, end));
      const framer = new SipFramer(limits);
      const held: Frame[] = [];
      for (const bytes of pieces) {
        framer.push(Buffer.from(bytes, 'latin1'));
        for (let frame = framer.next(); frame !== undefined; frame = framer.next()) held.push(frame);
      }
      t.strictSame(held.map(describe), frames([whole]));
    }),
    { numRuns: 300 },
  );
  const bytewise = [message('l: 5', 'hello'), message('l: 0'), '\r\n\r\n'].join('');
  t.strictSame(frames(Array.from(bytewise)), frames([bytewise]));
  t.end();
});
