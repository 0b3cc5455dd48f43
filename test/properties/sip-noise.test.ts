import fc from '../fast-check.ts';
import t from 'tap';
import {
  bodyOf,
  type BodyPart,
  formatMessage,
  formatSdp,
  formatUri,
  formatVia,
  inspectBody,
  inspectRequest,
  leafParts,
  parseMessage,
  parseSdp,
  parseVia,
  refuse,
  SipError,
  type SipMessage,
} from '../../sip/index.ts';
import { mutate, MULTIPART, newRandom } from './sip-corpus.ts';

/*
 * Any noise gives a message or a SipError, never anything else: good messages with bytes changed, cut out, doubled and
 * swapped among each other, from a seed that is printed when it matters.
 */

/** All that may be asked of a message; what each gives does not matter here. */
const QUESTIONS: readonly ((message: SipMessage) => unknown)[] = [
  (m) => m.contacts,
  (m) => [m.route, m.recordRoute],
  (m) => [m.maxForwards, m.expires, m.minExpires, m.contentLength],
  (m) => [m.contentType, m.contentDisposition, m.contentEncoding],
  (m) => [m.require, m.supported, m.unsupported, m.proxyRequire, m.allow, m.allowEvents],
  (m) => [m.accept, m.acceptEncoding],
  (m) => [m.event, m.subscriptionState],
  (m) => [m.sessionExpires, m.minSe],
  (m) => [m.referTo, m.referredBy, m.referSub],
  (m) => [m.replaces, m.join, m.targetDialog],
  (m) => [m.rack, m.rseq],
  (m) => [m.reasons, m.retryAfter],
  (m) => m.warnings,
  (m) => [m.assertedIdentities, m.preferredIdentities, m.privacy],
  (m) => [m.userAgent, m.server, m.subject],
  (m) => m.date,
  (m) => m.timestamp,
  (m) => m.callInfo,
  (m) => (m.kind === 'request' ? [m.authorization, m.proxyAuthorization] : [m.wwwAuthenticate, m.proxyAuthenticate]),
  (m) => m.kind === 'request' && inspectRequest(m, { methods: ['INVITE', 'OPTIONS'], extensions: [] }),
  (m) => inspectBody(m, ['application/sdp']),
  (m) => readBody(bodyOf(m)),
  (m) => m.kind === 'request' && m.stampSource('192.0.2.250', 5060),
  (m) => parseSdp(m.body),
];

function readBody(body: BodyPart | undefined): void {
  for (const part of body === undefined ? [] : leafParts(body)) {
    if (part.type.type === 'application/sdp') formatSdp(parseSdp(part.body));
  }
}

/** Runs it; a SipError is an answer, anything else goes through. */
function tolerant<T>(run: () => T): T | SipError {
  try {
    return run();
  } catch (error) {
    if (error instanceof SipError) return error;
    throw error;
  }
}

function shake(bytes: Buffer): 'message' | 'refused' {
  const message = tolerant(() => parseMessage(bytes));
  if (message instanceof SipError) {
    const answer = refuse(bytes, message, { address: '2001:db8::1', port: 1 });
    // What we answer must be fit to be sent, whatever we answered.
    if (answer !== undefined) parseVia(formatVia(answer.topVia));
    if (answer !== undefined) formatMessage(answer);
    return 'refused';
  }
  const printed = formatMessage(message);
  const again = parseMessage(printed);
  if (!formatMessage(again).equals(printed)) throw new Error('printed and parsed it is another message');
  for (const question of QUESTIONS) tolerant(() => question(message));
  if (message.kind === 'request') formatUri(message.uri);
  return 'message';
}

t.test('100,000 mutations of good messages: a message or a SipError, and nothing else', (t) => {
  const seed = Number(process.env['SIP_NOISE_SEED'] ?? 3261);
  const random = newRandom(seed);
  const counts = { message: 0, refused: 0 };
  for (let i = 0; i < 100_000; i++) {
    const bytes = mutate(random);
    try {
      counts[shake(bytes)]++;
    } catch (error) {
      t.comment(`SIP_NOISE_SEED=${String(seed)}, mutation ${String(i)}: ${JSON.stringify(bytes.toString('latin1'))}`);
      throw error;
    }
  }
  t.comment(`seed ${String(seed)}: ${String(counts.message)} messages, ${String(counts.refused)} refused`);
  t.ok(counts.message > 10_000, 'enough of them are still messages');
  t.ok(counts.refused > 10_000, 'enough of them are none');
  t.end();
});

t.test('pure noise, too', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (noise) => {
      shake(Buffer.from(noise));
      shake(Buffer.concat([MULTIPART.subarray(0, 200), noise, MULTIPART.subarray(200)]));
      tolerant(() => formatSdp(parseSdp(noise)));
    }),
  );
  t.end();
});

t.test('RFC 3261 §7: what is printed and parsed is the same message', (t) => {
  const name = fc.constantFrom('Subject', 'X-a', 'k', 'User-Agent', 'Route', 'x-B');
  const value = fc
    .string({ unit: 'grapheme', maxLength: 30 })
    .map((text) => text.replace(/[\p{Cc}]/gu, '').replace(/^[ \t]+|[ \t]+$/g, ''));
  fc.assert(
    fc.property(
      fc.array(fc.tuple(name, value), { maxLength: 12 }),
      fc.uint8Array({ maxLength: 200 }),
      (lines, body) => {
        const head = [
          'MESSAGE sip:a@b SIP/2.0',
          'Via: SIP/2.0/WSS x.invalid;branch=z9hG4bK1',
          ...lines.map(([header, text]) => `${header}: ${text}`),
          'From: <sip:a@b>;tag=1',
          'To: <sip:c@d>',
          'Call-ID: 1',
          'CSeq: 1 MESSAGE',
          `Content-Length: ${String(body.length)}`,
          '\r\n',
        ];
        const bytes = Buffer.concat([Buffer.from(head.join('\r\n')), body]);
        return formatMessage(parseMessage(bytes)).equals(bytes);
      },
    ),
  );
  t.end();
});

t.test('long runs of anything are read in linear time', (t) => {
  // With a pattern or a loop of quadratic time, any one of these would take minutes.
  const long = (piece: string, bytes = 250_000): string =>
    piece.repeat(Math.ceil(bytes / piece.length)).slice(0, bytes);
  const shaken = (text: string): void => {
    shake(Buffer.from(text, 'latin1'));
    tolerant(() => parseSdp(text));
    tolerant(() => parseSdp(`v=0\r\no=- 1 1 IN IP4 h\r\ns=-\r\nt=0 0\r\na=x:${text}`));
  };
  for (const piece of [
    ' ',
    '\r\n',
    '\r\n ',
    '\n',
    ',',
    ';',
    '"',
    '\\',
    '<',
    '>',
    '(',
    '=',
    '%',
    ':',
    'a:b\r\n',
    'SIP/2.0 ',
    '--b1\r\n',
    '1',
    '.',
    '-',
    '[',
  ]) {
    const run = long(piece);
    shaken(run);
    for (const at of [10, 60, 300, MULTIPART.indexOf('\r\n\r\n') + 4, MULTIPART.length - 4]) {
      shaken(`${MULTIPART.toString('latin1', 0, at)}${run}x${MULTIPART.toString('latin1', at)}`);
    }
    for (const header of [
      'From',
      'To',
      'Contact',
      'Timestamp',
      'Retry-After',
      'Warning',
      'Date',
      'Via',
      'Content-Type',
    ]) {
      const line = `${header}: ${run.slice(0, 8000)}x\r\n`;
      shaken(MULTIPART.toString('latin1').replace(/\r\nMax-Forwards/, `\r\n${line.repeat(30)}Max-Forwards`));
    }
    shaken(MULTIPART.toString('latin1').replace('base64', 'quoted-printable').replace('PHJlc291', run));
    shaken(MULTIPART.toString('latin1').replace('sip:factory@', `tel:+${run.slice(0, 8000)}x`));
  }
  t.pass('all of them');
  t.end();
});
