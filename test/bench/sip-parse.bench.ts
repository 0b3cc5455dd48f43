/**
 * What it costs to parse a message and to read what a user agent server reads of it, and to print a response; beside the
 * bare cost of the same bytes: decoding the head and splitting it at its line ends.
 *
 *   node dist/test/bench/sip-parse.bench.js [seconds per case]
 */
import { createResponse, formatMessage, parseMessage, parseSdp, type SipRequest } from '../../sip/index.ts';

const SECONDS = Number(process.argv[2] ?? 2);

const OPTIONS = Buffer.from(
  [
    'OPTIONS sip:room@conference.example.com SIP/2.0',
    'Via: SIP/2.0/UDP 198.51.100.7:5062;branch=z9hG4bK776asdhds;rport',
    'Max-Forwards: 70',
    'To: <sip:room@conference.example.com>',
    'From: "Alice" <sip:alice@example.com>;tag=1928301774',
    'Call-ID: a84b4c76e66710@pc33.example.com',
    'CSeq: 63104 OPTIONS',
    'Contact: <sip:alice@198.51.100.7:5062>',
    'Accept: application/sdp',
    'Content-Length: 0',
    '',
    '',
  ].join('\r\n'),
);

const SDP = [
  'v=0',
  'o=- 3724394400 3724394405 IN IP4 198.51.100.7',
  's=-',
  'c=IN IP4 198.51.100.7',
  't=0 0',
  'm=audio 49170 RTP/AVP 0 8 96',
  'a=rtpmap:96 opus/48000/2',
  'm=message 7654 TCP/TLS/MSRP *',
  'a=accept-types:message/cpim text/plain',
  'a=accept-wrapped-types:*',
  'a=setup:active',
  'a=chatroom:nickname private-messages',
  'a=path:msrps://198.51.100.7:7654/jshA7weztas;tcp',
  '',
].join('\r\n');

const INVITE = Buffer.from(
  [
    'INVITE sip:room@conference.example.com;transport=tcp SIP/2.0',
    'Via: SIP/2.0/TCP 198.51.100.7:5062;branch=z9hG4bKnashds8;rport;alias',
    'Via: SIP/2.0/TCP 10.0.0.9:5060;branch=z9hG4bK4b43c2ff8.1;received=198.51.100.7',
    'Record-Route: <sip:proxy.example.com;transport=tcp;lr>',
    'Max-Forwards: 69',
    'To: <sip:room@conference.example.com>',
    'From: "Alice Liddell" <sip:alice@example.com>;tag=9fxced76sl',
    'Call-ID: 3848276298220188511@example.com',
    'CSeq: 1 INVITE',
    'Contact: <sip:alice@198.51.100.7:5062;transport=tcp;ob>;+sip.instance="<urn:uuid:00000000-0000-1000-8000-000A95A0E128>"',
    'Allow: INVITE, ACK, BYE, CANCEL, OPTIONS, MESSAGE, REFER, NOTIFY, SUBSCRIBE, UPDATE, INFO',
    'Supported: replaces, outbound, timer, gruu, norefersub',
    'Session-Expires: 1800;refresher=uac',
    'User-Agent: Example/1.0 (bench)',
    'Content-Type: application/sdp',
    `Content-Length: ${String(SDP.length)}`,
    '',
    SDP,
  ].join('\r\n'),
);

/** Reads what a user agent server reads of every request: enough to match it, and to answer it. */
function touch(request: SipRequest): number {
  return (
    request.essentials().cseq.seq +
    (request.branch?.length ?? 0) +
    (request.fromTag?.length ?? 0) +
    (request.toTag?.length ?? 0) +
    request.uri.scheme.length +
    request.require.length
  );
}

/** Reads, besides, what makes a dialog of an INVITE. */
function touchInvite(request: SipRequest): number {
  return (
    touch(request) +
    (request.contact?.params.size ?? 0) +
    request.recordRoute.length +
    request.supported.length +
    (request.allow?.length ?? 0) +
    (request.sessionExpires?.seconds ?? 0) +
    (request.contentType?.type.length ?? 0)
  );
}

function request(bytes: Buffer): SipRequest {
  const message = parseMessage(bytes);
  if (message.kind !== 'request') throw new Error('no request');
  return message;
}

function bare(bytes: Buffer): number {
  return bytes.toString('latin1', 0, bytes.indexOf('\r\n\r\n')).split('\r\n').length;
}

let sink = 0;

/** Runs it for a while; how often in a second of one core's time, so that other work on the machine does not count. */
function measure(run: () => number): number {
  for (let i = 0; i < 20_000; i++) sink += run();
  const start = process.cpuUsage();
  let count = 0;
  let seconds = 0;
  while (seconds < SECONDS) {
    for (let i = 0; i < 1000; i++) sink += run();
    count += 1000;
    const { user, system } = process.cpuUsage(start);
    seconds = (user + system) / 1e6;
  }
  return count / seconds;
}

const cases: readonly (readonly [string, () => number])[] = [
  ['bare: decode and split an OPTIONS', () => bare(OPTIONS)],
  ['parse an OPTIONS and read it', () => touch(request(OPTIONS))],
  ['parse, answer 200, print', () => formatMessage(createResponse(request(OPTIONS), 200, { toTag: 'x' })).length],
  ['bare: decode and split an INVITE', () => bare(INVITE)],
  ['parse an INVITE and read it', () => touchInvite(request(INVITE))],
  ['parse an INVITE and its SDP', () => parseSdp(request(INVITE).body).media.length],
];

console.log(
  `Node ${process.version}, ${String(SECONDS)} s each; OPTIONS ${String(OPTIONS.length)} B, INVITE ${String(INVITE.length)} B`,
);
for (const [name, run] of cases)
  console.log(`${name.padEnd(38)} ${Math.round(measure(run)).toLocaleString('en').padStart(10)} /s`);
if (Number.isNaN(sink)) throw new Error('nothing was read');
