import { readFileSync } from 'node:fs';
import { deflateRawSync, deflateSync, gzipSync } from 'node:zlib';
import fc from '../fast-check.ts';
import t from 'tap';
import {
  anonymousFrom,
  answerDirection,
  asksForAnonymity,
  assertedIdentity,
  attributeValue,
  attributeValues,
  bodyOf,
  checkNewOffer,
  connectionOf,
  createAnswer,
  createOffer,
  createRequest,
  type Direction,
  directionOf,
  findPart,
  formatMessage,
  formatMultipart,
  formatNameAddr,
  formatSdp,
  inspectBody,
  inspectRequest,
  isAnonymous,
  isRejected,
  leafParts,
  matchAnswer,
  matchesMediaType,
  newOrigin,
  parseMediaType,
  parseMessage,
  parseNameAddr,
  parseSdp,
  parseUri,
  partById,
  preferredIdentity,
  privacyOf,
  rejectMedia,
  reverseDirection,
  rootPart,
  type SdpMedia,
  type SessionDescription,
  SipError,
  type SipRequest,
  succeed,
  withDirection,
  withholdIdentity,
} from '../../sip/index.ts';

function refusal(run: () => unknown): SipError {
  try {
    run();
  } catch (error) {
    if (error instanceof SipError) return error;
    throw error;
  }
  throw new Error('nothing was refused');
}

/** An INVITE with a body; headers as `Name: value`. */
function request(
  contentType: string | undefined,
  body: Uint8Array | string,
  ...headers: readonly string[]
): SipRequest {
  const made = createRequest({
    method: 'INVITE',
    uri: parseUri('sip:room@example.com'),
    from: parseNameAddr('<sip:alice@example.com>;tag=1'),
    to: parseNameAddr('<sip:room@example.com>'),
    callId: 'c',
    seq: 1,
    headers: headers.map((line) => {
      const [name = '', value = ''] = line.split(/: ?(.*)/s);
      return { name, value };
    }),
  });
  if (contentType === undefined) made.body = Buffer.from(body);
  else made.setBody(contentType, body);
  return made;
}

// ---------------------------------------------------------------------------------------------------------------------
// RFC 8866

const EXAMPLE = [
  'v=0',
  'o=jdoe 3724394400 3724394405 IN IP4 198.51.100.1',
  's=Call to John Smith',
  'i=SDP Offer #1',
  'u=http://www.jdoe.example.com/home.html',
  'e=Jane Doe <jane@jdoe.example.com>',
  'p=+1 617 555-6011',
  'c=IN IP4 198.51.100.1',
  'b=X-YZ:128',
  't=0 0',
  't=3034423619 3042462419',
  'r=604800 3600 0 90000',
  'z=2882844526 -1h 2898848070 0',
  'k=prompt',
  'a=recvonly',
  'a=x-unknown: keeps  its blanks ',
  'm=audio 49170/2 RTP/AVP 0 96',
  'i=the sound',
  'c=IN IP4 224.2.1.1/127/3',
  'c=IN IP4 224.2.1.4/127',
  'b=AS:64',
  'k=clear:x',
  'a=rtpmap:96 opus/48000',
  'm=message 7654 TCP/TLS/MSRP *',
  'c=IN IP6 2001:db8::1',
  'a=fingerprint:SHA-1 4A:AD',
  'a=fingerprint:SHA-256 12:DF',
  'a=accept-types:message/cpim text/plain',
  'a=path:msrps://h:7654/x;tcp',
  'a=sendrecv',
  '',
].join('\r\n');

t.test('RFC 8866 §5: a whole description, both ways, nothing lost and nothing moved', (t) => {
  const session = parseSdp(EXAMPLE);
  t.equal(formatSdp(session), EXAMPLE.replace(/k=.*\r\n/g, ''), '§5.12: but for keys, which are discarded');
  t.match(session, {
    origin: { username: 'jdoe', sessionId: '3724394400', sessionVersion: '3724394405', address: '198.51.100.1' },
    name: 'Call to John Smith',
    times: [{ repeats: [] }, { start: '3034423619', repeats: ['604800 3600 0 90000'] }],
  });
  const [audio, message] = session.media;
  t.match(audio, { media: 'audio', port: 49170, portCount: 2, formats: ['0', '96'] });
  t.equal(audio?.moreConnections?.length, 1);
  t.equal(message?.protocol, 'TCP/TLS/MSRP');
  t.same(message && attributeValues(message, 'fingerprint'), ['SHA-1 4A:AD', 'SHA-256 12:DF'], 'both of them');
  t.equal(attributeValue(session, 'recvonly'), '');
  t.equal(attributeValue(session, 'absent'), undefined);
  t.equal(attributeValue(session, 'x-unknown'), ' keeps  its blanks ');
  t.equal(message && connectionOf(session, message)?.address, '2001:db8::1');
  t.same(parseSdp(Buffer.from(EXAMPLE)), session, 'from bytes');
  t.same(parseSdp(EXAMPLE.replaceAll('\r\n', '\n')), session, 'lines ended by LF alone (§5)');
  t.end();
});

t.test('RFC 8866 §5: what is met in the wild', (t) => {
  const [before, media] = EXAMPLE.split('m=audio') as [string, string];
  t.ok(media);
  t.equal(
    parseSdp(`${before}m=audio 9 RTP/AVP 0\r\na=mid:1\r\nc=IN IP4 192.0.2.1\r\n`).media[0]?.connection?.address,
    '192.0.2.1',
  );
  const small = 'v=0\r\no=- 1 1 IN IP4 h\r\ns=\r\nt=0 0\r\n';
  t.equal(parseSdp(small).name, '');
  t.same(parseSdp(small).media, []);
  t.equal(parseSdp(`${small}\r\n\r\n`).media.length, 0);
  t.equal(
    parseSdp(Buffer.from(small.replace('s=', 's=Gr\u00fc\u00dfe'), 'latin1')).name,
    'Gr\u00fc\u00dfe',
    'ISO 8859-1',
  );
  t.end();
});

t.test('RFC 8866 §9: what is no session description', (t) => {
  const lines = EXAMPLE.split('\r\n');
  const without = (type: string): string => lines.filter((line) => !line.startsWith(`${type}=`)).join('\r\n');
  const changed = (from: string, to: string): string => EXAMPLE.replace(from, to);
  for (const text of [
    '',
    'hello',
    without('v'),
    without('o'),
    without('s'),
    without('t'),
    changed('v=0', 'v=1'),
    changed('o=jdoe 3724394400', 'o=jdoe x'),
    changed('o=jdoe ', 'o='),
    changed('IN IP4 198.51.100.1', 'IN IP4'),
    changed('t=0 0', 't=0'),
    changed('t=0 0', 't=now then'),
    changed('b=X-YZ:128', 'b=128'),
    changed('k=prompt', 'x=unknown'),
    changed('k=prompt', ''),
    changed('a=recvonly', 'a='),
    changed('a=recvonly', 'a=a b:c'),
    changed('a=recvonly', 'a recvonly'),
    changed('a=recvonly', 'a=rec\0vonly'),
    changed('49170/2', '65536'),
    changed('49170/2', '49170/0'),
    changed('49170/2', '-1'),
    changed(' RTP/AVP 0 96', ' RTP/AVP'),
    changed(' RTP/AVP 0', ' RTP/ 0'),
    changed('m=audio', 'm=au/dio'),
    changed('c=IN IP6 2001:db8::1', 'c=IN IP6 2001:db8::1 x'),
    `${EXAMPLE}v=0\r\n`,
    '\r\n'.repeat(100_000) + 'x',
  ]) {
    t.equal(refusal(() => parseSdp(text)).status, 400, JSON.stringify(text.slice(0, 60)));
  }
  const session = parseSdp(EXAMPLE);
  t.throws(() => formatSdp({ ...session, name: 'x\r\na=injected' }), TypeError);
  t.end();
});

t.test('RFC 8866: a printed description is the same description', (t) => {
  const text = fc.stringMatching(/^[!-~][ -~]{0,12}$/);
  const token = fc.stringMatching(/^[A-Za-z0-9.!-]{1,8}$/);
  const digits = fc.stringMatching(/^\d{1,12}$/);
  const connection = fc.record({ netType: token, addressType: token, address: fc.stringMatching(/^[\w.:/]{1,12}$/) });
  const attributes = fc.array(fc.record({ name: token, value: text }, { requiredKeys: ['name'] }), { maxLength: 4 });
  const section = {
    information: text,
    connection,
    bandwidths: fc.array(fc.record({ type: token, value: digits }), { maxLength: 2 }),
    attributes,
  };
  const media = fc.record(
    {
      ...section,
      media: token,
      port: fc.nat(65535),
      protocol: token,
      formats: fc.array(token, { minLength: 1, maxLength: 3 }),
    },
    { requiredKeys: ['bandwidths', 'attributes', 'media', 'port', 'protocol', 'formats'] },
  );
  const session = fc.record(
    {
      ...section,
      origin: fc.record({
        username: token,
        sessionId: digits,
        sessionVersion: digits,
        netType: token,
        addressType: token,
        address: token,
      }),
      name: text,
      uri: text,
      emails: fc.array(text, { maxLength: 2 }),
      phones: fc.array(text, { maxLength: 2 }),
      times: fc.array(fc.record({ start: digits, stop: digits, repeats: fc.array(text, { maxLength: 2 }) }), {
        minLength: 1,
        maxLength: 3,
      }),
      media: fc.array(media, { maxLength: 4 }),
    },
    { requiredKeys: ['bandwidths', 'attributes', 'origin', 'name', 'emails', 'phones', 'times', 'media'] },
  );
  fc.assert(
    fc.property(session, (made) => {
      const printed = formatSdp(made);
      t.strictSame(JSON.parse(JSON.stringify(parseSdp(printed))), JSON.parse(JSON.stringify(made)));
      return formatSdp(parseSdp(printed)) === printed;
    }),
  );
  t.end();
});

// ---------------------------------------------------------------------------------------------------------------------
// RFC 3264

const OURS = {
  connection: { netType: 'IN', addressType: 'IP4', address: '192.0.2.9' },
  origin: newOrigin({ netType: 'IN', addressType: 'IP4', address: '192.0.2.9' }, 1000),
};
const line = (media: string, port: number): SdpMedia => ({
  ...{ media, port, protocol: 'RTP/AVP', formats: ['0'], bandwidths: [], attributes: [] },
});

t.test('RFC 3264 §6: an answer has the lines of the offer, in its order, and its times', (t) => {
  const offer = parseSdp(EXAMPLE.replace('m=message', 'm=video 0 RTP/AVP 31\r\nm=message'));
  const asked: string[] = [];
  const answer = createAnswer(OURS, offer, (offered, index) => {
    asked.push(`${String(index)} ${offered.media}`);
    return offered.media === 'message' ? { ...offered, port: 2855 } : undefined;
  });
  t.same(asked, ['0 audio', '2 message'], 'not asked about what is offered with port 0 (§8.2)');
  t.same(
    answer.media.map(({ media, port }) => [media, port]),
    [
      ['audio', 0],
      ['video', 0],
      ['message', 2855],
    ],
  );
  t.same(answer.times, offer.times);
  t.equal(answer.origin.address, '192.0.2.9');
  t.same(answer.media[0], { ...line('audio', 0), formats: ['0', '96'] }, 'one format at least');
  t.ok(answer.media[0] && isRejected(answer.media[0]));
  t.same(rejectMedia(line('audio', 9)), line('audio', 0));
  t.equal(parseSdp(formatSdp(answer)).media.length, 3);
  t.end();
});

t.test('RFC 3264 §5.1, §6.1: directions', (t) => {
  const media = parseSdp(EXAMPLE).media;
  const session = parseSdp(EXAMPLE);
  t.same(
    media.map((medium) => directionOf(session, medium)),
    ['recvonly', 'sendrecv'],
  );
  t.equal(directionOf({ ...session, attributes: [] }, line('audio', 9)), 'sendrecv');
  const table: readonly (readonly [Direction, Direction, Direction])[] = [
    ['sendrecv', 'sendrecv', 'sendrecv'],
    ['sendrecv', 'sendonly', 'sendonly'],
    ['sendrecv', 'recvonly', 'recvonly'],
    ['sendonly', 'sendrecv', 'recvonly'],
    ['sendonly', 'sendonly', 'inactive'],
    ['recvonly', 'sendrecv', 'sendonly'],
    ['recvonly', 'recvonly', 'inactive'],
    ['inactive', 'sendrecv', 'inactive'],
    ['sendrecv', 'inactive', 'inactive'],
  ];
  for (const [offered, wanted, answered] of table)
    t.equal(answerDirection(offered, wanted), answered, `${offered} ${wanted}`);
  t.equal(reverseDirection('sendonly'), 'recvonly');
  t.same(withDirection([{ name: 'sendrecv' }, { name: 'mid', value: '1' }], 'inactive'), [
    { name: 'mid', value: '1' },
    { name: 'inactive' },
  ]);
  t.end();
});

t.test('RFC 3264 §6, §8: answers that do not fit, offers that shrink, versions', (t) => {
  const offer = createOffer(OURS, [line('audio', 9), line('message', 9)]);
  const answer = (...media: SdpMedia[]): SessionDescription => createOffer(OURS, media);
  t.same(
    matchAnswer(offer, answer(line('audio', 1), line('message', 0))).map(({ offered, answered }) => [
      offered.port,
      answered.port,
    ]),
    [
      [9, 1],
      [9, 0],
    ],
  );
  t.equal(refusal(() => matchAnswer(offer, answer(line('audio', 1)))).status, 488);
  t.equal(refusal(() => matchAnswer(offer, answer(line('message', 1), line('audio', 1)))).status, 488);
  checkNewOffer(offer, answer(line('audio', 0), line('message', 9), line('video', 9)));
  t.equal(refusal(() => checkNewOffer(offer, answer(line('audio', 9)))).status, 488);
  t.equal(succeed(offer, { ...offer, origin: newOrigin(OURS.connection, 5) }), offer, 'nothing has changed');
  const next = succeed(offer, answer(line('audio', 0), line('message', 9)));
  t.same(next.origin, { ...offer.origin, sessionVersion: '1001' });
  t.end();
});

// ---------------------------------------------------------------------------------------------------------------------
// RFC 5621, RFC 2046, RFC 2387

t.test('RFC 5621 §3, §4: multipart both ways', (t) => {
  const lists = '<?xml version="1.0"?><resource-lists/>';
  const { contentType, body } = formatMultipart('mixed', [
    { contentType: 'application/sdp', body: 'v=0\r\n' },
    { contentType: 'application/resource-lists+xml', disposition: 'recipient-list', contentId: 'list@x', body: lists },
    {
      contentType: 'application/octet-stream',
      disposition: 'render;handling=optional',
      body: Buffer.from([0, 255, 13, 10]),
    },
  ]);
  const received = parseMessage(formatMessage(withVia(request(contentType, body))));
  const parts = bodyOf(received)?.parts ?? [];
  t.same(
    parts.map((part) => [part.type.type, part.disposition, part.optional, part.contentId]),
    [
      ['application/sdp', 'session', false, undefined],
      ['application/resource-lists+xml', 'recipient-list', false, 'list@x'],
      ['application/octet-stream', 'render', true, undefined],
    ],
  );
  t.equal(Buffer.from(parts[0]?.body ?? []).toString(), 'v=0\r\n');
  t.same(parts[2]?.body, Buffer.from([0, 255, 13, 10]));
  const whole = bodyOf(received);
  t.equal(Buffer.from(partById(whole, 'cid:list%40x')?.body ?? []).toString(), lists, 'RFC 2392');
  t.equal(partById(whole, '<list@x>')?.disposition, 'recipient-list');
  t.equal(partById(whole, 'cid:other'), undefined);
  t.equal(findPart(whole, 'application/sdp')?.disposition, 'session');
  t.equal(findPart(whole, 'text/html'), undefined);
  t.end();
});

function withVia(made: SipRequest): SipRequest {
  made.headers.prepend('Via', 'SIP/2.0/TCP a;branch=z9hG4bK1');
  return made;
}

t.test('RFC 2046 §5.1: preamble, epilogue, padding, nesting, boundaries that begin alike, bare line feeds', (t) => {
  const text = [
    'this is not for you',
    '--b  ',
    '',
    'no headers: text/plain',
    '--bb',
    'not a boundary of ours',
    '--b',
    'content-type: multipart/alternative; boundary="i n"',
    '',
    '--i n',
    'Content-Type: text/plain',
    '',
    'plain',
    '--i n',
    'Content-Type: text/html',
    '',
    '<b>rich</b>',
    '--i n--',
    '--b',
    'Content-Type: text/x-empty',
    '',
    '--b--',
    'nor this',
  ];
  for (const end of ['\r\n', '\n']) {
    const body = bodyOf(request('multipart/mixed;boundary=b', text.join(end)));
    t.same(body && leafParts(body).map((part) => [part.type.type, Buffer.from(part.body).toString()]), [
      ['text/plain', `no headers: text/plain${end}--bb${end}not a boundary of ours`],
      ['text/html', '<b>rich</b>'],
      ['text/x-empty', ''],
    ]);
    t.same(
      body &&
        leafParts(body, (part) => part.type.type === 'text/plain').map((part) => Buffer.from(part.body).toString()),
      [`no headers: text/plain${end}--bb${end}not a boundary of ours`, 'plain', ''],
      'RFC 5621 §6.1: the last alternative that is understood',
    );
  }
  t.end();
});

t.test('RFC 2387 §3: multipart/related and its root', (t) => {
  const parts = [
    { contentType: 'application/rlmi+xml;charset=utf-8', contentId: 'root@x', body: '<list/>' },
    { contentType: 'application/conference-info+xml', contentId: 'a@x', body: '<conference-info/>' },
  ];
  const { contentType, body } = formatMultipart('related', parts, 'edge');
  t.equal(contentType, 'multipart/related;type="application/rlmi+xml";start="<root@x>";boundary=edge');
  const related = bodyOf(request(contentType, body));
  t.equal(related && rootPart(related)?.contentId, 'root@x');
  const moved = bodyOf(request(contentType.replace('root@x', 'a@x'), body));
  t.equal(moved && rootPart(moved)?.contentId, 'a@x');
  const first = bodyOf(request('multipart/related;boundary=edge', body));
  t.equal(first && rootPart(first)?.contentId, 'root@x');
  t.end();
});

t.test('RFC 5621 §3.2, RFC 3261 §20.12: encodings undone, within bounds', (t) => {
  const text = Buffer.from('hello '.repeat(100));
  for (const [encoding, packed] of [
    ['deflate', deflateSync(text)],
    ['deflate', deflateRawSync(text)],
    ['GZIP', gzipSync(text)],
    ['identity', text],
    ['gzip, deflate', deflateSync(gzipSync(text))],
  ] as const) {
    t.same(bodyOf(request('text/plain', packed, `Content-Encoding: ${encoding}`))?.body, text, encoding);
  }
  const bomb = request('text/plain', gzipSync(Buffer.alloc(5_000_000)), 'Content-Encoding: gzip');
  t.equal(refusal(() => bodyOf(bomb)).status, 413);
  t.equal(refusal(() => bodyOf(request('text/plain', 'x', 'Content-Encoding: gzip'))).status, 400);
  const unknown = refusal(() => bodyOf(request('text/plain', 'x', 'Content-Encoding: br')));
  t.match(unknown, { status: 415, headers: [{ name: 'Accept-Encoding', value: 'identity, deflate, gzip' }] });
  const part = (encoding: string, content: string): unknown => {
    const body = `--b\r\nContent-Transfer-Encoding: ${encoding}\r\n\r\n${content}\r\n--b--`;
    return Buffer.from(bodyOf(request('multipart/mixed;boundary=b', body))?.parts[0]?.body ?? []).toString();
  };
  t.equal(part('base64', 'aGVs\r\nbG8='), 'hello');
  t.equal(part('Quoted-Printable', 'caf=C3=A9 \r\nsoft=  \r\n break='), 'café\r\nsoft break');
  t.equal(part('binary', 'a=3D'), 'a=3D');
  t.end();
});

t.test('bodies that are malformed or too much', (t) => {
  const nested = (depth: number): string =>
    depth === 0
      ? 'x'
      : `--b${String(depth)}\r\nContent-Type: multipart/mixed;boundary=b${String(depth - 1)}\r\n\r\n${nested(depth - 1)}\r\n--b${String(depth)}--`;
  t.equal(refusal(() => bodyOf(request('multipart/mixed;boundary=b6', nested(6)))).status, 413, 'too deep');
  t.equal(
    refusal(() => bodyOf(request('multipart/mixed;boundary=b', '--b\r\n\r\nx\r\n'.repeat(70) + '--b--'))).status,
    413,
    'too many',
  );
  for (const [type, body] of [
    ['multipart/mixed', '--b\r\n\r\nx\r\n--b--'],
    ['multipart/mixed;boundary=""', '--\r\n\r\nx\r\n----'],
    ['multipart/mixed;boundary=b', 'x'],
    ['multipart/mixed;boundary=b', '--b\r\n\r\nx'],
    ['multipart/mixed;boundary=b', '--b\r\nno header\r\n\r\nx\r\n--b--'],
    ['multipart/mixed;boundary=b', '--b\r\nContent-Type: nonsense\r\n\r\nx\r\n--b--'],
    ['nonsense', 'x'],
    [undefined, 'x'],
  ] as const) {
    t.equal(refusal(() => bodyOf(request(type, body))).status, 400, `${type ?? ''} ${body}`);
  }
  t.equal(bodyOf(request('text/plain', '')), undefined);
  t.end();
});

t.test('multipart: whatever the parts are, they come back', (t) => {
  const bytes = fc.oneof(
    fc.uint8Array(),
    fc.stringMatching(/^(?:--|\r\n|b|-| )*$/).map((text) => Buffer.from(text)),
  );
  fc.assert(
    fc.property(fc.array(bytes, { minLength: 1, maxLength: 5 }), (bodies) => {
      const { contentType, body } = formatMultipart(
        'mixed',
        bodies.map((content) => ({ contentType: 'x/y', body: content })),
      );
      const parts = bodyOf(request(contentType, body))?.parts ?? [];
      return (
        parts.length === bodies.length &&
        parts.every((part, i) => Buffer.from(part.body).equals(bodies[i] ?? Buffer.alloc(0)))
      );
    }),
  );
  t.end();
});

// ---------------------------------------------------------------------------------------------------------------------
// RFC 3261 §8.2

t.test('RFC 3261 §8.2.1 – 8.2.2.3: what a server cannot do, and what it says', (t) => {
  const can = { methods: ['INVITE', 'ACK', 'OPTIONS'], extensions: ['timer', 'replaces'] };
  const asking = (method: string, uri: string, ...headers: { name: string; value: string }[]): SipRequest =>
    createRequest({
      method,
      uri: parseUri(uri),
      from: parseNameAddr('<sip:a@b>'),
      to: parseNameAddr('<sip:c@d>'),
      callId: 'c',
      seq: 1,
      headers,
    });
  const requiring = (value: string): { name: string; value: string } => ({ name: 'Require', value });
  inspectRequest(asking('INVITE', 'sips:x@y', requiring('Timer')), can);
  inspectRequest(asking('ACK', 'sip:x@y', requiring('100rel')), can);
  t.match(
    refusal(() => inspectRequest(asking('REGISTER', 'sip:x@y'), can)),
    { status: 405, headers: [{ name: 'Allow', value: 'INVITE, ACK, OPTIONS' }] },
  );
  t.match(
    refusal(() => inspectRequest(asking('invite', 'sip:x@y'), can)),
    { status: 501, headers: [{ name: 'Allow' }] },
  );
  t.equal(refusal(() => inspectRequest(asking('INVITE', 'tel:+1'), can)).status, 416);
  inspectRequest(asking('INVITE', 'tel:+1'), { ...can, schemes: ['tel'] });
  t.match(
    refusal(() => inspectRequest(asking('OPTIONS', 'sip:x@y', requiring('timer, 100rel, x')), can)),
    {
      status: 420,
      headers: [{ name: 'Unsupported', value: '100rel, x' }],
    },
  );
  const replacing = { name: 'Replaces', value: 'c;to-tag=1;from-tag=2' };
  inspectRequest(asking('INVITE', 'sip:x@y', replacing), can);
  t.equal(refusal(() => inspectRequest(asking('OPTIONS', 'sip:x@y', replacing), can)).status, 400, 'RFC 3891 §3');
  inspectRequest(asking('OPTIONS', 'sip:x@y', replacing), { ...can, extensions: ['timer'] });
  t.end();
});

t.test('RFC 3261 §8.2.3, RFC 5621 §8: bodies that must be understood', (t) => {
  const types = ['application/sdp', 'text/*'];
  t.equal(inspectBody(request('Text/HTML', 'x'), types)?.type.type, 'text/html');
  t.equal(inspectBody(request('text/plain', ''), types), undefined);
  t.match(
    refusal(() => inspectBody(request('image/png', 'x'), types)),
    { status: 415, headers: [{ name: 'Accept', value: 'application/sdp, text/*' }] },
  );
  t.equal(inspectBody(request('image/png', 'x', 'Content-Disposition: icon;handling=optional'), types), undefined);
  const mixed = (...kinds: (readonly [string, string?])[]): SipRequest => {
    const { contentType, body } = formatMultipart(
      'mixed',
      kinds.map(([contentType, disposition]) => ({
        contentType,
        body: 'x',
        ...(disposition === undefined ? undefined : { disposition }),
      })),
    );
    return request(contentType, body);
  };
  t.equal(inspectBody(mixed(['application/sdp'], ['image/png', 'render;handling=optional']), types)?.parts.length, 2);
  t.equal(refusal(() => inspectBody(mixed(['application/sdp'], ['image/png']), types)).status, 415);
  const alternative = formatMultipart('alternative', [
    { contentType: 'text/plain', body: 'x' },
    { contentType: 'x/y', body: 'x' },
  ]);
  t.ok(inspectBody(request(alternative.contentType, alternative.body), types));
  t.ok(matchesMediaType(parseMediaType('a/b'), ['*/*']));
  t.notOk(matchesMediaType(parseMediaType('texts/b'), ['text/*']));
  t.end();
});

// ---------------------------------------------------------------------------------------------------------------------
// RFC 3325, RFC 3323

t.test('RFC 3325 §9, RFC 3323 §4: who the network says it is, and what others may see', (t) => {
  const made = request(
    'text/plain',
    'x',
    'P-Asserted-Identity: "Alice" <sip:alice@h>, <tel:+1-201>, <http://x>',
    'P-Preferred-Identity: <sip:a@h>',
    'Privacy: id; header',
  );
  t.equal(assertedIdentity(made)?.sip?.displayName, 'Alice');
  t.equal(assertedIdentity(made)?.tel?.uri.kind, 'tel');
  t.ok(preferredIdentity(made)?.sip);
  t.match(privacyOf(made), { none: false, id: true, header: true, session: false, user: false, critical: false });
  t.ok(asksForAnonymity(privacyOf(made)));
  withholdIdentity(made);
  t.equal(assertedIdentity(made), undefined);
  t.equal(preferredIdentity(made), undefined);
  t.ok(privacyOf(request('text/plain', 'x', 'Privacy: none')).none);
  t.notOk(privacyOf(request('text/plain', 'x', 'Privacy: none;id')).none, 'counts only alone');
  t.notOk(asksForAnonymity(privacyOf(request('text/plain', 'x'))));
  t.equal(formatNameAddr(anonymousFrom('1')), '"Anonymous" <sip:anonymous@anonymous.invalid>;tag=1');
  t.ok(isAnonymous(anonymousFrom('1')));
  t.notOk(isAnonymous(made.from));
  t.end();
});

t.test('the session descriptions of RFC 4475 are read', (t) => {
  for (const name of ['wsinv', 'esc01', 'longreq', 'inv2543', 'unreason']) {
    t.ok(parseSdp(parseMessage(readFileSync(`test/vectors/sip/torture/${name}.dat`)).body).media.length > 0, name);
  }
  t.end();
});
