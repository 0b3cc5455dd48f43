import fc from '../fast-check.ts';
import t from 'tap';
import {
  ACCEPT,
  AUTHENTICATION_INFO,
  CALL_INFO,
  CONTACT,
  createErrorResponse,
  createRequest,
  createResponse,
  createVia,
  DATE,
  type HeaderKind,
  Headers,
  IN_REPLY_TO,
  newBranch,
  newCallId,
  newTag,
  Params,
  parseAuthValue,
  parseNameAddr,
  parseUri,
  parseVia,
  PRIVACY,
  reasonPhrase,
  RETRY_AFTER,
  ROUTE,
  sentBy,
  SipError,
  SipRequest,
  SUPPORTED,
  TIMESTAMP,
  VIA,
  WARNING,
} from '../../sip/index.ts';

function refused(
  t: { throws: (fn: () => unknown, error: Error, name: string) => unknown },
  read: () => unknown,
  name: string,
): void {
  t.throws(read, new SipError(400, ''), name);
}

/** A request with these header lines. */
function requestWith(...lines: readonly string[]): SipRequest {
  const headers = new Headers();
  for (const line of lines) {
    const colon = line.indexOf(':');
    headers.add(line.slice(0, colon), line.slice(colon + 1).trim());
  }
  return new SipRequest('OPTIONS', parseUri('sip:x@y'), headers);
}

t.test('RFC 3261 §7.3.1, §7.3.3: names in any case and in compact form; order kept; several values', (t) => {
  const request = requestWith(
    'v: SIP/2.0/UDP a;branch=z9hG4bK1',
    'Subject: one',
    'VIA: SIP/2.0/TCP b;branch=z9hG4bK2 , SIP/2.0/TLS c',
    'X-Unknown: a, b',
    'k: 100rel',
    'Supported: timer, replaces',
    'SUPPORTED:',
  );
  t.same(
    request.via.map((via) => via.host),
    ['a', 'b', 'c'],
  );
  t.same(request.supported, ['100rel', 'timer', 'replaces']);
  t.equal(request.subject, 'one');
  t.equal(request.headers.get('s'), 'one');
  t.same(request.headers.all('x-UNKNOWN'), ['a, b']);
  t.ok(request.headers.has('V'));
  t.notOk(request.headers.has('w'));
  t.end();
});

t.test('headers are remembered until they change', (t) => {
  const request = requestWith('Via: SIP/2.0/UDP a', 'Route: <sip:p1;lr>', 'Max-Forwards: 3');
  t.equal(request.via, request.via, 'parsed once');
  request.pushVia(parseVia('SIP/2.0/UDP z'));
  t.equal(request.topVia.host, 'z');
  request.headers.write(ROUTE, [parseNameAddr('<sip:p2;lr>'), parseNameAddr('<sip:p3;lr>')]);
  t.same(request.headers.all('route'), ['<sip:p2;lr>', '<sip:p3;lr>']);
  t.same(
    [...request.headers].map(({ name }) => name),
    ['Via', 'Via', 'Route', 'Route', 'Max-Forwards'],
    'where the old ones stood',
  );
  request.headers.write(ROUTE, undefined);
  t.same(request.route, []);
  request.headers.set('Supported', '');
  t.same(request.supported, []);
  t.throws(() => request.headers.add('Subject', 'a\r\nBcc: b'), TypeError);
  t.end();
});

t.test('RFC 3261 §20.42: Via', (t) => {
  const via = parseVia(
    'SIP / 2.0 / udp [2001:DB8::9]:5070 ; rport ; received=2001:db8::1;branch=z9hG4bKa;maddr=224.0.0.1;ttl=16',
  );
  t.match(via, { transport: 'UDP', host: '[2001:db8::9]', port: 5070 });
  t.equal(via.params.get('rport'), '');
  t.equal(via.params.get('received'), '2001:db8::1');
  t.equal(sentBy(via), '[2001:db8::9]:5070');
  t.same(VIA.format([via]), [
    'SIP/2.0/UDP [2001:db8::9]:5070;rport;received=2001:db8::1;branch=z9hG4bKa;maddr=224.0.0.1;ttl=16',
  ]);
  for (const text of [
    'SIP/2.0/UDP',
    'SIP/2.0 UDP a',
    'SIP/2.0/UDP a:b',
    'SIP/2.0/UDP a:70000',
    'SIP/2.0/UDP a x',
    'SIP/2.0/UDP[::1]',
    '',
  ]) {
    refused(t, () => parseVia(text), text);
  }
  refused(t, () => requestWith('Subject: x').topVia, 'none at all');
  refused(t, () => requestWith('Via: ,').topVia, 'only commas');
  t.end();
});

t.test('RFC 3261 §18.2.1, RFC 3581 §4: where a request came from', (t) => {
  const stamped = (via: string): string | undefined => {
    const request = requestWith(`Via: ${via}, SIP/2.0/TCP other`);
    request.stampSource('192.0.2.1', 6000);
    t.equal(request.via.length, 2);
    return request.headers.get('Via');
  };
  t.equal(
    stamped('SIP/2.0/UDP 192.0.2.1;branch=b'),
    'SIP/2.0/UDP 192.0.2.1;branch=b, SIP/2.0/TCP other',
    'nothing to note',
  );
  t.equal(stamped('SIP/2.0/UDP pc;branch=b'), 'SIP/2.0/UDP pc;branch=b;received=192.0.2.1');
  t.equal(stamped('SIP/2.0/UDP pc;rport;branch=b'), 'SIP/2.0/UDP pc;rport=6000;branch=b;received=192.0.2.1');
  t.equal(stamped('SIP/2.0/UDP 192.0.2.1;rport'), 'SIP/2.0/UDP 192.0.2.1;rport=6000;received=192.0.2.1');
  t.equal(
    stamped('SIP/2.0/UDP pc;received=10.0.0.1'),
    'SIP/2.0/UDP pc;received=192.0.2.1',
    'not what the sender claims',
  );
  const six = requestWith('Via: SIP/2.0/UDP [2001:db8::1]:5060');
  six.stampSource('2001:db8::1', 5060);
  t.equal(six.headers.get('Via'), 'SIP/2.0/UDP [2001:db8::1]:5060');
  six.stampSource('2001:db8::2', 5060);
  t.equal(six.headers.get('Via'), 'SIP/2.0/UDP [2001:db8::1]:5060;received=2001:db8::2');
  t.end();
});

t.test('RFC 3261 §20.10, §25.1: addresses, quoted or not, in brackets or not', (t) => {
  for (const [text, displayName, uri, params] of [
    [
      '"Mr. Watson" <sip:watson@worcester.bell-telephone.com>;q=0.7',
      'Mr. Watson',
      'sip:watson@worcester.bell-telephone.com',
      ';q=0.7',
    ],
    ['sip:carol@chicago.com;tag=1;x', undefined, 'sip:carol@chicago.com', ';tag=1;x'],
    ['<sip:carol@chicago.com;lr>;tag=1', undefined, 'sip:carol@chicago.com;lr', ';tag=1'],
    ['"A, \\"B\\" <C>; \\\\" <sip:a@b>', 'A, "B" <C>; \\', 'sip:a@b', ''],
    ['Zoë Müller <sip:zoe@h>', 'Zoë Müller', 'sip:zoe@h', ''],
    ['J. Doe<sip:j@h> ; tag = x', 'J. Doe', 'sip:j@h', ';tag=x'],
    ['"" <sip:a@b>', undefined, 'sip:a@b', ''],
    ['"大停電"<sip:a@b>', '大停電', 'sip:a@b', ''],
    [
      '<sip:r@h>;+sip.instance="<urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6>";;text',
      undefined,
      'sip:r@h',
      ';+sip.instance="<urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6>";text',
    ],
    ['<sip:a@b?Subject=x,y>', undefined, 'sip:a@b?Subject=x,y', ''],
    ['<tel:+1-201-555-0123;ext=1>;tag=1', undefined, 'tel:+1-201-555-0123;ext=1', ';tag=1'],
  ] as const) {
    const address = parseNameAddr(text);
    t.equal(address.displayName, displayName, text);
    t.same(address.uri, parseUri(uri), text);
    t.equal(address.params.toString(), params, text);
    const [printed = ''] = CONTACT.format([address]);
    t.same(parseNameAddr(printed), address, printed);
  }
  for (const text of [
    '',
    '<>',
    'Bob',
    '"Bob <sip:a@b>',
    '"Bob" sip:a@b',
    'A, B <sip:a@b>',
    '<sip:a@b',
    '<sip:a@b> x',
    'sip:a@b?x=y',
    '<sip:a@b>;=x',
    '<sip:a@b>;x="y',
    '"Bob\\',
  ]) {
    refused(t, () => parseNameAddr(text), text);
  }
  t.end();
});

t.test('RFC 3261 §20.10: Contact lists and "*"', (t) => {
  const request = requestWith('Contact: "a, b" <sip:a@h;x=1?y=1,2>, sip:b@h;expires=3', 'm: <sip:c@h>;isfocus');
  t.equal(request.contacts.length, 3);
  t.equal(request.contact?.displayName, 'a, b');
  t.ok(request.contacts !== '*' && request.contacts[2]?.params.has('isfocus'));
  t.equal(requestWith('Contact: *').contacts, '*');
  t.equal(requestWith('Contact: *').contact, undefined);
  t.same(CONTACT.format('*'), ['*']);
  t.same(requestWith('To: x').contacts, []);
  refused(t, () => requestWith('Contact: *, <sip:a@b>').contacts, '* and another');
  t.end();
});

t.test('single-valued headers stand once, and are what they must be', (t) => {
  const reads: readonly (readonly [string, (request: SipRequest) => unknown, unknown])[] = [
    ['CSeq: 0009 \t INVITE', (r) => r.cseq, { seq: 9, method: 'INVITE' }],
    ['CSeq: 4294967295 X', (r) => r.cseq.seq, 4294967295],
    ['i: a@b', (r) => r.callId, 'a@b'],
    ['Max-Forwards: 0068', (r) => r.maxForwards, 68],
    ['Expires: 3600', (r) => r.expires, 3600],
    ['Min-Expires: 60', (r) => r.minExpires, 60],
    ['c: Text / Plain ; charset = utf-8', (r) => r.contentType?.type, 'text/plain'],
    ['c: text/plain;charset="utf-8"', (r) => r.contentType?.params.get('charset'), 'utf-8'],
    ['Content-Disposition: Recipient-List; handling=optional', (r) => r.contentDisposition?.value, 'recipient-list'],
    ['l: 12', (r) => r.contentLength, 12],
    ['e: deflate', (r) => r.contentEncoding, ['deflate']],
    ['o: conference;id=7', (r) => [r.event?.value, r.event?.params.get('id')], ['conference', '7']],
    ['Subscription-State: Active;expires=3', (r) => r.subscriptionState?.params.get('expires'), '3'],
    ['x: 90;refresher=uas', (r) => [r.sessionExpires?.seconds, r.sessionExpires?.params.get('refresher')], [90, 'uas']],
    ['Min-SE: 90', (r) => r.minSe, 90],
    ['r: <sip:c@h;method=BYE>', (r) => r.referTo?.uri.kind, 'sip'],
    ['b: sip:a@h', (r) => r.referredBy?.uri.kind, 'sip'],
    ['Refer-Sub: false', (r) => r.referSub, false],
    [
      'Replaces: a@b;to-tag=1;from-tag=2;early-only',
      (r) => [r.replaces?.callId, r.replaces?.params.has('early-only')],
      ['a@b', true],
    ],
    ['Join: a;to-tag=1', (r) => r.join?.params.get('to-tag'), '1'],
    ['Target-Dialog: a;local-tag=1', (r) => r.targetDialog?.callId, 'a'],
    ['RAck: 776656 1 INVITE', (r) => r.rack, { rseq: 776656, seq: 1, method: 'INVITE' }],
    ['RSeq: 1', (r) => r.rseq, 1],
    [
      'Reason: SIP ;cause=200 ;text="Call completed elsewhere", Q.850;cause=16',
      (r) => r.reasons.map((x) => x.params.get('cause')),
      ['200', '16'],
    ],
    [
      'Retry-After: 18000 (in (my) office);duration=3600',
      (r) => [r.retryAfter?.seconds, r.retryAfter?.comment],
      [18000, 'in (my) office'],
    ],
    [
      'Warning: 370 h.example:5060 "no \\"room\\"", 399 - "x, y"',
      (r) => r.warnings.map((w) => w.text),
      ['no "room"', 'x, y'],
    ],
    ['P-Asserted-Identity: "A" <sip:a@h>, tel:+1', (r) => r.assertedIdentities.length, 2],
    ['P-Preferred-Identity: <sip:a@h>', (r) => r.preferredIdentities.length, 1],
    ['Privacy: Id; critical', (r) => r.privacy, ['id', 'critical']],
    ['User-Agent: Softphone (a b) / 3', (r) => r.userAgent, 'Softphone (a b) / 3'],
    ['s: Besprechung über Größe', (r) => r.subject, 'Besprechung über Größe'],
    ['Date: Sat, 13 Nov 2010 23:29:00 GMT', (r) => r.date?.getTime(), Date.UTC(2010, 10, 13, 23, 29)],
    ['Timestamp: 54.1 .3', (r) => r.timestamp, { value: '54.1', delay: '.3' }],
    [
      'Call-Info: <http://h/p>;purpose=icon , <http://h/q>',
      (r) => r.callInfo.map((i) => i.params.get('purpose')),
      ['icon', undefined],
    ],
    ['Allow: INVITE, ACK', (r) => r.allow, ['INVITE', 'ACK']],
    ['u: conference, refer', (r) => r.allowEvents, ['conference', 'refer']],
    [
      'Accept: application/sdp;level=1, text/html;q=0.5',
      (r) => r.accept?.map((a) => a.type),
      ['application/sdp', 'text/html'],
    ],
    ['Accept:', (r) => r.accept, []],
    ['Accept-Encoding: gzip;q=1, *', (r) => r.acceptEncoding?.map((a) => a.value), ['gzip', '*']],
    ['Require: a', (r) => r.require, ['a']],
    ['Proxy-Require: a', (r) => r.proxyRequire, ['a']],
    ['Unsupported: a', (r) => r.unsupported, ['a']],
    ['Record-Route: <sip:p;lr>', (r) => r.recordRoute.length, 1],
    ['Authorization: Digest a="b, c", d=e', (r) => r.authorization[0]?.params.get('a'), 'b, c'],
    ['Server: x', (r) => r.server, 'x'],
    ['Date: Sat, 13 Nov 2010 23:29:00 UTC', (r) => r.date, SipError],
    ['CSeq: 1', (r) => r.cseq, SipError],
    ['CSeq: 4294967296 X', (r) => r.cseq, SipError],
    ['CSeq: -1 X', (r) => r.cseq, SipError],
    ['Call-ID: a b', (r) => r.callId, SipError],
    ['Call-ID: a@b@c', (r) => r.callId, SipError],
    ['Call-ID:', (r) => r.callId, SipError],
    ['Max-Forwards: 256', (r) => r.maxForwards, SipError],
    ['Expires: 1.5', (r) => r.expires, SipError],
    ['Expires: 4294967296', (r) => r.expires, SipError],
    ['Content-Type: text', (r) => r.contentType, SipError],
    ['Content-Type: text/plain charset', (r) => r.contentType, SipError],
    ['Refer-Sub: maybe', (r) => r.referSub, SipError],
    ['Require: a b', (r) => r.require, SipError],
    ['Retry-After: 1 (open', (r) => r.retryAfter, SipError],
    ['Warning: 1812 x "y"', (r) => r.warnings, SipError],
    ['Timestamp: x', (r) => r.timestamp, SipError],
    ['Call-Info: http://h', (r) => r.callInfo, SipError],
    ['Authorization: Digest', (r) => r.authorization, SipError],
    ['RAck: 1 2', (r) => r.rack, SipError],
  ];
  for (const [line, read, expected] of reads) {
    if (expected === SipError) refused(t, () => read(requestWith(line)), line);
    else t.same(read(requestWith(line)), expected, line);
  }
  refused(t, () => requestWith('To: <sip:a@b>', 't: <sip:a@b>').to, 'twice');
  refused(t, () => requestWith('l: 1', 'l: 2').contentLength, 'two lengths');
  t.equal(requestWith('l: 1', 'l: 1').contentLength, 1);
  t.equal(requestWith('Subject: x').allow, undefined);
  t.end();
});

t.test('a printed header value says the same', (t) => {
  const reprints = <T>(kind: HeaderKind<T>, value: string): void => {
    t.same(kind.format(kind.parse([value])), [value], kind.name);
  };
  reprints(WARNING, '370 h:5060 "no \\"room\\""');
  reprints(RETRY_AFTER, '5 (a (b));duration=3');
  reprints(PRIVACY, 'id;critical');
  reprints(DATE, 'Sat, 13 Nov 2010 23:29:00 GMT');
  reprints(TIMESTAMP, '54.1 .3');
  reprints(ACCEPT, 'application/sdp;level=1, text/html;q=0.5');
  reprints(SUPPORTED, '');
  reprints(CALL_INFO, '<http://h/p>;purpose=icon');
  reprints(IN_REPLY_TO, 'a@b');
  reprints(AUTHENTICATION_INFO, 'nextnonce="x", qop=auth, nc=00000001');
  t.end();
});

t.test('parameters: names in any case, values quoted where they must be', (t) => {
  const params = Params.of({ tag: 'a b', lr: true, expires: 60, none: undefined });
  t.equal(params.toString(), ';tag="a b";lr;expires=60');
  t.equal(params.get('EXPIRES'), '60');
  t.equal(params.with('Expires', 5).toString(), ';tag="a b";lr;Expires=5');
  t.equal(params.with('x', 'y', true).without('TAG').toString(), ';lr;expires=60;x="y"');
  t.equal(params.without('absent'), params);
  t.equal(Params.of({}), Params.none);
  t.same([...Params.of({ a: 'b\r\nc' })].length, 1);
  t.equal(Params.of({ a: 'b\r\nc' }).toString(), ';a="b c"', 'no line break gets out');
  t.end();
});

t.test('quoted text survives print and parse, whatever it is', (t) => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'grapheme' }), (name, value) => {
      const clean = (text: string): string => text.replace(/\p{Cc}+/gu, ' ').trim();
      const [printed = ''] = CONTACT.format([
        { displayName: clean(name), uri: parseUri('sip:a@b'), params: Params.of({ p: clean(value) }) },
      ]);
      const back = parseNameAddr(printed);
      return (back.displayName ?? '') === clean(name) && back.params.get('p') === clean(value);
    }),
  );
  t.end();
});

t.test('RFC 3261 §8.2.6: a response copies what it must, and adds a tag', (t) => {
  const request = requestWith(
    'Via: SIP/2.0/UDP a;branch=1',
    'From:  "Ä" <sip:a@b>;tag=1;x',
    'To: sip:c@d',
    'Timestamp: 5',
    'Via: SIP/2.0/UDP b',
    'i: id@x',
    'CSeq: 7 OPTIONS',
    'Record-Route: <sip:p;lr>',
  );
  const ok = createResponse(request, 200, {
    toTag: 'mine',
    contact: parseNameAddr('<sip:me@here>;isfocus'),
    headers: [{ name: 'Server', value: 'x' }],
    contentType: 'text/plain',
    body: 'hé',
  });
  t.same(
    [...ok.headers].map(({ name, value }) => `${name}: ${value}`),
    [
      'Via: SIP/2.0/UDP a;branch=1',
      'From: "Ä" <sip:a@b>;tag=1;x',
      'To: sip:c@d;tag=mine',
      'Via: SIP/2.0/UDP b',
      'i: id@x',
      'CSeq: 7 OPTIONS',
      'Contact: <sip:me@here>;isfocus',
      'Server: x',
      'Content-Type: text/plain',
    ],
  );
  t.equal(ok.toTag, 'mine');
  t.equal(ok.body.length, 3);
  const trying = createResponse(request, 100);
  t.equal(trying.toTag, undefined, 'a 100 needs none');
  t.equal(trying.timestamp?.value, '5', 'RFC 3261 §8.2.6.1');
  t.match(createResponse(request, 404).toTag, /^[0-9a-f]{16}$/);
  t.equal(createResponse(request, 299).reason, 'OK');
  t.equal(createResponse(request, 500, { reason: 'a\r\nb' }).reason, 'a b');
  const refusal = createErrorResponse(request, new SipError(405, 'x', [{ name: 'Allow', value: 'INVITE' }]));
  t.match(refusal, { status: 405, reason: 'Method Not Allowed' });
  t.same(refusal.allow, ['INVITE']);
  t.equal(createErrorResponse(request, new SipError(400, 'bad X')).reason, 'Bad Request - bad X');
  const within = requestWith(
    'Via: SIP/2.0/UDP a',
    'To: <sip:c@d>;tag=theirs',
    'From: <sip:a@b>',
    'Call-ID: 1',
    'CSeq: 1 OPTIONS',
  );
  t.equal(createResponse(within, 200, { toTag: 'mine' }).toTag, 'theirs');
  ok.popVia();
  t.equal(ok.via.length, 1);
  t.end();
});

t.test('RFC 3261 §8.1.1: a request', (t) => {
  const request = createRequest({
    method: 'INVITE',
    uri: parseUri('sip:Bob%40home@biloxi.com'),
    from: parseNameAddr('<sip:alice@atlanta.com>;tag=1'),
    to: parseNameAddr('<sip:bob@biloxi.com>'),
    callId: newCallId(),
    seq: 1,
    route: [parseNameAddr('<sip:p;lr>')],
    contact: parseNameAddr('<sip:alice@pc>'),
    contentType: 'application/sdp',
    body: Buffer.from('v=0\r\n'),
  });
  request.pushVia(createVia('TLS', '2001:db8::1', 5061));
  t.equal(request.maxForwards, 70);
  t.equal(request.requestUri, 'sip:Bob%40home@biloxi.com');
  t.match(request.headers.get('Via'), /^SIP\/2\.0\/TLS \[2001:db8::1\]:5061;branch=z9hG4bK[0-9a-f]{24};rport$/);
  t.same(request.essentials().cseq, { seq: 1, method: 'INVITE' });
  t.equal(request.contentType?.type, 'application/sdp');
  t.not(newBranch(), newBranch());
  t.not(newTag(), newTag());
  t.equal(createVia('UDP', 'h').port, undefined);
  t.end();
});

t.test('RFC 3261 §21: reason phrases, also of codes nobody has heard of', (t) => {
  t.equal(reasonPhrase(486), 'Busy Here');
  t.equal(reasonPhrase(199), 'Early Dialog Terminated');
  t.equal(reasonPhrase(499), 'Bad Request');
  t.equal(reasonPhrase(699), 'Busy Everywhere');
  t.equal(reasonPhrase(999), 'Unknown');
  t.equal(parseAuthValue('Digest  a = "b" , c=d').params.get('c'), 'd');
  t.end();
});
