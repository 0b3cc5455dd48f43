import fc from '../fast-check.ts';
import t from 'tap';
import {
  decodeEscaped,
  decodeUser,
  encodeHeaderValue,
  encodeUser,
  formatUri,
  parseUri,
  SipError,
  type SipUri,
  sipUri,
  type TelUri,
  uriEquals,
  uriKey,
} from '../../sip/index.ts';

function sip(text: string): SipUri {
  const uri = parseUri(text);
  if (uri.kind !== 'sip') throw new Error(`${text} is no SIP URI`);
  return uri;
}

t.test('RFC 3261 §19.1.3: the examples, part by part', (t) => {
  const example = sip('sips:alice:secretword@Atlanta.COM:5061;transport=tcp;lr?subject=project%20x&priority=urgent');
  t.match(example, { scheme: 'sips', user: 'alice', password: 'secretword', host: 'atlanta.com', port: 5061 });
  t.equal(example.params.get('TRANSPORT'), 'tcp');
  t.equal(example.params.get('lr'), '');
  t.equal(example.params.get('maddr'), undefined);
  t.same(example.headers, [
    { name: 'subject', value: 'project%20x' },
    { name: 'priority', value: 'urgent' },
  ]);
  t.equal(sip('sip:alice;day=tuesday@atlanta.com').user, 'alice;day=tuesday');
  t.equal(sip('sip:+1-212-555-1212:1234@gateway.com;user=phone').password, '1234');
  t.equal(sip('sip:atlanta.com;method=REGISTER?to=alice%40atlanta.com').user, undefined);
  t.equal(sip('sip:[2001:DB8::1]:5070').host, '[2001:db8::1]');
  t.equal(sip('sip:bob@[::ffff:192.0.2.1]').port, undefined);
  for (const text of [
    'sip:alice@atlanta.com',
    'sip:alice:secretword@atlanta.com;transport=tcp',
    'sips:alice@atlanta.com?subject=project%20x&priority=urgent',
    'sip:+1-212-555-1212:1234@gateway.com;user=phone',
    'sips:1212@gateway.com',
    'sip:alice@192.0.2.4',
    'sip:atlanta.com;method=REGISTER?to=alice%40atlanta.com',
    'sip:alice;day=tuesday@atlanta.com',
    'sip:%61@[2001:db8::1]:5070;lr;x=%41',
    'tel:+1-201-555-0123;ext=1;phone-context=example.com',
    'urn:service:sos',
  ]) {
    t.equal(formatUri(parseUri(text)), text);
  }
  t.end();
});

t.test('RFC 3261 §19.1.4: URIs that are equivalent', (t) => {
  for (const [a, b] of [
    ['sip:%61lice@atlanta.com;transport=TCP', 'sip:alice@AtLanTa.CoM;Transport=tcp'],
    ['sip:carol@chicago.com', 'sip:carol@chicago.com;newparam=5'],
    ['sip:carol@chicago.com', 'sip:carol@chicago.com;security=on'],
    [
      'sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com',
      'sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com',
    ],
    [
      'sip:alice@atlanta.com?subject=project%20x&priority=urgent',
      'sip:alice@atlanta.com?priority=urgent&subject=project%20x',
    ],
    ['sip:a%40b@h', 'sip:a%40b@h'],
    ['sip:a@[2001:db8::1]', 'sip:a@[2001:DB8:0:0::1]'],
  ] as const) {
    t.ok(uriEquals(parseUri(a), parseUri(b)), `${a} = ${b}`);
    t.ok(uriEquals(parseUri(b), parseUri(a)), `${b} = ${a}`);
  }
  t.end();
});

t.test('RFC 3261 §19.1.4: URIs that are not', (t) => {
  for (const [a, b] of [
    ['SIP:ALICE@AtLanTa.CoM;Transport=udp', 'sip:alice@AtLanTa.CoM;Transport=UDP'],
    ['sip:bob@biloxi.com', 'sip:bob@biloxi.com:5060'],
    ['sip:bob@biloxi.com', 'sip:bob@biloxi.com;transport=udp'],
    ['sip:bob@biloxi.com', 'sip:bob@biloxi.com:6000;transport=tcp'],
    ['sip:carol@chicago.com', 'sip:carol@chicago.com?Subject=next%20meeting'],
    ['sip:bob@phone21.boxesbybob.com', 'sip:bob@192.0.2.4'],
    ['sip:carol@chicago.com;security=on', 'sip:carol@chicago.com;security=off'],
    ['sip:bob@biloxi.com', 'sips:bob@biloxi.com'],
    ['sip:bob@biloxi.com', 'sip:bob@biloxi.com;user=ip'],
    ['sip:bob@biloxi.com', 'sip:bob@biloxi.com;maddr=192.0.2.1'],
    ['sip:bob@biloxi.com', 'sip:bob:@biloxi.com'],
    ['sip:bob@biloxi.com', 'sip:biloxi.com'],
    ['sip:a%40b@h', 'sip:a%41b@h'],
    ['sip:a%3Bb@h', 'sip:a;b@h'],
  ] as const) {
    t.notOk(uriEquals(parseUri(a), parseUri(b)), `${a} ≠ ${b}`);
    t.notOk(uriEquals(parseUri(b), parseUri(a)), `${b} ≠ ${a}`);
  }
  t.end();
});

t.test('RFC 3966 §3, §4: tel URIs; other schemes are kept as text', (t) => {
  const tel = parseUri('tel:+1-201-555-0123;phone-context=x') as TelUri;
  t.match(tel, { kind: 'tel', number: '+1-201-555-0123' });
  t.ok(uriEquals(parseUri('tel:+1-201-555-0123'), parseUri('TEL:+12015550123')));
  t.ok(uriEquals(parseUri('tel:7042;phone-context=Example.com'), parseUri('tel:70.42;phone-context=example.com')));
  t.ok(uriEquals(parseUri('tel:863;phone-context=+1-914-555'), parseUri('tel:863;phone-context=+1914555')));
  t.notOk(uriEquals(parseUri('tel:+12015550123'), parseUri('tel:12015550123')));
  t.notOk(uriEquals(parseUri('tel:+12015550123;ext=1'), parseUri('tel:+12015550123')));
  t.same(parseUri('HTTP://Example.com/x?y'), { kind: 'other', scheme: 'http', text: 'HTTP://Example.com/x?y' });
  t.ok(uriEquals(parseUri('HTTP://a'), parseUri('http://a')));
  t.notOk(uriEquals(parseUri('http://a'), parseUri('http://A')));
  t.notOk(uriEquals(parseUri('tel:+1'), parseUri('sip:+1@h')));
  t.end();
});

t.test('RFC 3261 §25.1: what is no URI', (t) => {
  for (const text of [
    '',
    'sip',
    ':x',
    'sip:',
    'sip:@host',
    'sip:a@',
    'sip:a b@h',
    'sip:a@h ',
    'sip:a"b@h',
    'sip:a<b>@h',
    'sip:a%4@h',
    'sip:a%zz@h',
    'sip:a@h%61st',
    'sip:a@h:port',
    'sip:a@h:0',
    'sip:a@h:65536',
    'sip:a@h:',
    'sip:a@[::1',
    'sip:a@[nonsense]',
    'sip:a@::1',
    'sip:a@h;=x',
    'sip:a@h?x',
    'sip:a@h?=x',
    'sip:a@h\u00a0',
    'sip:a\r\n@h',
    'tel:',
    'tel:+',
    'tel:abc-xyz',
    'tel:+49abc',
    '1x:y',
    'x:',
  ]) {
    t.throws(() => parseUri(text), new SipError(400, ''), JSON.stringify(text));
  }
  t.end();
});

t.test('RFC 3261 §19.1.2: escapes', (t) => {
  t.equal(encodeUser('j@s0n'), 'j%40s0n');
  t.equal(encodeUser('Zoë Q. (the 1st)'), 'Zo%C3%AB%20Q.%20(the%201st)');
  t.equal(encodeHeaderValue('<sip:a@b>;x=1&y'), '%3Csip:a%40b%3E%3Bx%3D1%26y');
  t.equal(decodeEscaped('%00%zz'), '%00%zz', 'left as it is when it is no UTF-8 text');
  const made = sipUri({ user: 'Zoë', host: '2001:DB8::1', port: 5060 });
  t.equal(formatUri(made), 'sip:Zo%C3%AB@[2001:db8::1]:5060');
  t.equal(decodeUser(made), 'Zoë');
  t.equal(decodeUser(sip('sip:h')), undefined);
  t.end();
});

t.test('one key for all URIs of a room', (t) => {
  for (const text of [
    'sip:Room@Example.com',
    'sips:Room@example.com.:5061;transport=tcp',
    'sip:%52oom:pw@EXAMPLE.com?a=b',
  ]) {
    t.equal(uriKey(parseUri(text)), 'Room@example.com', text);
  }
  t.not(uriKey(parseUri('sip:room@example.com')), uriKey(parseUri('sip:Room@example.com')), 'users keep their case');
  t.equal(uriKey(parseUri('sip:a%2fb@h')), uriKey(parseUri('sip:a%2Fb@h')));
  t.not(uriKey(parseUri('sip:a%2Fb@h')), uriKey(parseUri('sip:a/b@h')));
  t.equal(uriKey(parseUri('sip:h')), '@h');
  t.equal(uriKey(parseUri('sip:r@[2001:DB8:0::1]')), 'r@[2001:db8::1]');
  t.equal(uriKey(parseUri('tel:+1-201')), 'tel:+1201');
  t.equal(uriKey(parseUri('urn:x:y')), 'urn:x:y');
  t.end();
});

t.test('a printed URI is the same URI', (t) => {
  const word = fc.stringMatching(/^[A-Za-z0-9._~!*'()&=+$-]{1,12}$/);
  const host = fc.constantFrom('h', 'example.com', '192.0.2.1', '[2001:db8::1]', 'a-b.c_d.');
  const uris = fc
    .record({
      scheme: fc.constantFrom('sip', 'sips'),
      user: fc.option(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 })),
      host,
      port: fc.option(fc.integer({ min: 1, max: 65535 })),
      // No parameter name stands twice (RFC 3261 §19.1.1).
      params: fc.uniqueArray(
        fc.tuple(fc.stringMatching(/^[a-z-]{1,6}$/), fc.option(fc.stringMatching(/^[\w:/[\]-]{1,6}$/))),
        { selector: ([name]) => name },
      ),
      headers: fc.array(
        fc.tuple(
          word.filter((w) => !/[&=]/.test(w)),
          fc.string({ unit: 'grapheme' }),
        ),
      ),
    })
    .map(({ scheme, user, host, port, params, headers }) => {
      const userinfo = user === null ? '' : `${encodeUser(user)}@`;
      const list = params.map(([name, value]) => (value === null ? `;${name}` : `;${name}=${value}`)).join('');
      const query = headers.map(([name, value]) => `${name}=${encodeHeaderValue(value)}`).join('&');
      return `${scheme}:${userinfo}${host}${port === null ? '' : `:${port}`}${list}${query === '' ? '' : `?${query}`}`;
    });
  fc.assert(
    fc.property(uris, (text) => {
      const uri = parseUri(text);
      return formatUri(uri) === text && uriEquals(uri, parseUri(formatUri(uri)));
    }),
  );
  fc.assert(fc.property(fc.string({ unit: 'grapheme' }), (text) => decodeEscaped(encodeUser(text)) === text));
  t.end();
});
