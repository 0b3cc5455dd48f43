import { readdirSync, readFileSync } from 'node:fs';

const FOLDER = 'test/vectors/sip/torture';

/** An INVITE that has nearly every header there is. */
export const MULTIPART = Buffer.from(
  [
    'INVITE sip:factory@example.com;transport=tcp SIP/2.0',
    'Via: SIP/2.0/TCP [2001:db8::9]:5060;branch=z9hG4bK77;rport;alias',
    'Max-Forwards: 70',
    'From: "Zoë \\"Z\\"" <sip:zoe@example.com>;tag=9fxced76sl',
    'To: <sip:factory@example.com>',
    'Call-ID: 3848276298220188511@example.com',
    'CSeq: 1 INVITE',
    'Contact: <sip:zoe@client.example.com;transport=tcp;ob>;+sip.instance="<urn:uuid:00000000-0000-1000-8000-000A95A0E128>";text',
    'Route: <sip:p1.example.com;lr>,<sip:p2.example.com;lr>',
    'Allow: INVITE, ACK, BYE, CANCEL, MESSAGE, REFER, NOTIFY, SUBSCRIBE, UPDATE, OPTIONS',
    'Supported: replaces, timer, norefersub, recipient-list-invite',
    'Require: recipient-list-invite',
    'Session-Expires: 1800;refresher=uac',
    'Min-SE: 90',
    'Subject: grüße an alle',
    'P-Asserted-Identity: "Zoë" <sip:zoe@example.com>, <tel:+1-201-555-0123>',
    'Privacy: id',
    'Reason: SIP;cause=200;text="Call completed elsewhere"',
    'Refer-To: <sip:bob@example.com?Replaces=abc%3Bto-tag%3D1%3Bfrom-tag%3D2>',
    'Replaces: abc;to-tag=1;from-tag=2',
    'Event: conference;id=4',
    'Subscription-State: active;expires=600',
    'Retry-After: 120 (in a (nested) meeting);duration=3600',
    'Warning: 399 example.com:5060 "no \\"such\\" room"',
    'Timestamp: 54.21 0.3',
    'RAck: 1 2 INVITE',
    'Authorization: Digest username="zoe", realm="example.com", nonce="n", uri="sip:factory@example.com", response="00", qop=auth, nc=00000001, cnonce="c"',
    'Call-Info: <http://example.com/icon.png>;purpose=icon',
    'Date: Sat, 13 Nov 2010 23:29:00 GMT',
    'Content-Type: multipart/mixed;boundary="b1"',
    '',
    '--b1',
    'Content-Type: application/sdp',
    '',
    'v=0',
    'o=- 1 1 IN IP4 192.0.2.1',
    's=-',
    'c=IN IP4 192.0.2.1',
    't=0 0',
    'm=message 7654 TCP/TLS/MSRP *',
    'a=path:msrps://192.0.2.1:7654/x;tcp',
    'a=fingerprint:SHA-256 00:11',
    '',
    '--b1',
    'Content-Type: application/resource-lists+xml',
    'Content-Disposition: recipient-list',
    'Content-ID: <l@x>',
    'Content-Transfer-Encoding: base64',
    '',
    'PHJlc291cmNlLWxpc3RzLz4=',
    '--b1--',
    '',
  ].join('\r\n'),
);

const RESPONSE = Buffer.from(
  [
    'SIP/2.0 401 Unauthorized',
    'v: SIP/2.0/UDP a;branch=z9hG4bK1;received=192.0.2.1;rport=5060',
    'f: <sip:a@b>;tag=1',
    't: <sip:c@d>;tag=2',
    'i: x@y',
    'CSeq: 2 REGISTER',
    'WWW-Authenticate: Digest realm="r", nonce="n", algorithm=SHA-256, qop="auth,auth-int"',
    'WWW-Authenticate: Digest realm="r", nonce="n", algorithm=MD5, qop="auth", stale=true',
    'l: 0',
    '',
    '',
  ].join('\r\n'),
);

/** Good messages, and those of RFC 4475. */
export const CORPUS: readonly Buffer[] = [
  MULTIPART,
  RESPONSE,
  ...readdirSync(FOLDER)
    .filter((name) => name.endsWith('.dat'))
    .sort()
    .map((name) => readFileSync(`${FOLDER}/${name}`)),
];

/** Small and fast; the same numbers for the same seed (xorshift). */
export function newRandom(seed: number): (below: number) => number {
  let state = seed | 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

const BITES = [
  '\r\n',
  '\r\n\r\n',
  ' ',
  '\t',
  '"',
  '\\',
  '<',
  '>',
  ',',
  ';',
  ':',
  '=',
  '@',
  '%',
  '%00',
  '\0',
  '[',
  ']',
  '(',
  ')',
  '*',
  '?',
  '&',
]
  .concat(['--b1', 'é', '\u{1F600}', '99999999999999999999', '-1', 'SIP/2.0', 'sip:', 'Content-Length: 7\r\n', '\xff'])
  .map((text) => Buffer.from(text, text === '\xff' ? 'latin1' : 'utf8'));

/** A good message with one to three faults; half of them from the first, which has everything. */
export function mutate(random: (below: number) => number, corpus: readonly Buffer[] = CORPUS): Buffer {
  let bytes = corpus[random(2) * random(corpus.length)] ?? MULTIPART;
  for (let edits = 1 + random(3); edits > 0; edits--) {
    const at = random(bytes.length + 1);
    const end = Math.min(bytes.length, at + random(16));
    const bite = BITES[random(BITES.length)] ?? MULTIPART;
    switch (random(6)) {
      case 0: // a byte changed
        bytes = Buffer.from(bytes);
        if (at < bytes.length) bytes[at] = random(256);
        break;
      case 1: // some cut out
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(end)]);
        break;
      case 2: // something put in
        bytes = Buffer.concat([bytes.subarray(0, at), bite, bytes.subarray(at)]);
        break;
      case 3: // some replaced
        bytes = Buffer.concat([bytes.subarray(0, at), bite, bytes.subarray(end)]);
        break;
      case 4: // some doubled
        bytes = Buffer.concat([bytes.subarray(0, end), bytes.subarray(at)]);
        break;
      default: {
        // the rest of another message
        const other = corpus[random(corpus.length)] ?? MULTIPART;
        bytes = Buffer.concat([bytes.subarray(0, at), other.subarray(random(other.length + 1))]);
      }
    }
  }
  return bytes;
}
