import fc from '../fast-check.ts';
import t from 'tap';
import { MsrpError } from '../../msrp/errors.ts';
import {
  formatMsrpPath,
  formatMsrpUri,
  isSessionId,
  MAX_HOPS,
  msrpUriKey,
  newMsrpUri,
  nextHop,
  parseMsrpPath,
  parseMsrpUri,
  peerOf,
  sameMsrpPath,
  sameMsrpUri,
} from '../../msrp/uri.ts';

const same = (one: string, other: string): boolean => sameMsrpUri(parseMsrpUri(one), parseMsrpUri(other));

t.test('RFC 4975 §6: the typical URI', async (t) => {
  const uri = parseMsrpUri('msrp://host.example.com:8493/asfd34;tcp');
  t.equal(uri.scheme, 'msrp');
  t.equal(uri.host, 'host.example.com');
  t.equal(uri.port, 8493);
  t.equal(uri.sessionId, 'asfd34');
  t.equal(uri.transport, 'tcp');
  t.equal(uri.userinfo, undefined);
  t.same(uri.parameters, []);
  t.equal(formatMsrpUri(uri), 'msrp://host.example.com:8493/asfd34;tcp');
  t.equal(String(uri), formatMsrpUri(uri));
});

t.test('RFC 4975 §9: every part of the syntax', async (t) => {
  const uri = parseMsrpUri('MSRPS://al%69ce@[2001:DB8::1]:7777/iau39+soe=2843z/x;TCP;Flag;other=4;n=~');
  t.equal(uri.scheme, 'msrps');
  t.equal(uri.userinfo, 'al%69ce');
  t.equal(uri.host, '2001:DB8::1');
  t.equal(uri.sessionId, 'iau39+soe=2843z/x');
  t.equal(uri.transport, 'tcp');
  t.same(uri.parameters, [{ name: 'Flag' }, { name: 'other', value: '4' }, { name: 'n', value: '~' }]);
  t.equal(parseMsrpUri('msrps://relay.example.net;tcp').sessionId, undefined);
  t.equal(parseMsrpUri('msrps://df7jal23ls0d.invalid/98cjs;ws').port, undefined);
});

t.test('RFC 7977 §5.2.1: ws and transports yet unknown', async (t) => {
  t.equal(parseMsrpUri('msrps://df7jal23ls0d.invalid:2855/98cjs;ws').transport, 'ws');
  t.equal(parseMsrpUri('msrp://h:1/s;sctp').transport, 'sctp');
});

t.test('RFC 4975 §9: what is no URI is the peer’s fault', async (t) => {
  for (const text of [
    '',
    'msrp:',
    'http://h:1/s;tcp',
    'msrp://h:1/s',
    'msrp://:1/s;tcp',
    'msrp://h:66000/s;tcp',
    'msrp://h:123456/s;tcp',
    'msrp://h:1/;tcp',
    'msrp://h:1/ä;tcp',
    'msrp://h:1/s;tcp;',
    'msrp://h:1/s;tcp;a=',
    'msrp://h:1/s;tcp ',
    'msrp://h:1/s;tcp\r\n',
    'msrp://u:password@h:1/s;tcp',
    'msrp://[1::2::3]:1/s;tcp',
    'msrp://[1:2:3:4:5:6:7]:1/s;tcp',
    'msrp://[1:2:3:4:5:6:7:8:9]:1/s;tcp',
    'msrp://[::256.1.1.1]:1/s;tcp',
    'msrp://[1.2.3.4::]:1/s;tcp',
    'msrp://[:1:2:3:4:5:6:7:8]:1/s;tcp',
    `msrp://${'h'.repeat(200)}`,
  ]) {
    t.throws(() => parseMsrpUri(text), { name: 'MsrpError', status: 400 }, text);
  }
});

t.test('RFC 4975 §6.1: comparison', async (t) => {
  const uri = 'msrp://host.example.com:8493/asfd34;tcp';
  t.ok(same(uri, 'MSRP://HOST.example.COM:8493/asfd34;TCP'), 'scheme, host and transport without case');
  t.ok(same(uri, 'msrp://bob@host.example.com:8493/asfd34;tcp'), 'userinfo does not count');
  t.ok(same(uri, 'msrp://host%2Eexample.c%6Fm:8493/asfd34;tcp'), 'percent-encoding normalisation');
  t.notOk(same('msrp://a%21:1/s;tcp', 'msrp://a!:1/s;tcp'), 'a reserved character stays encoded');
  t.ok(same('msrp://a%2b:1/s;tcp', 'msrp://a%2B:1/s;tcp'));
  t.notOk(same(uri, 'msrps://host.example.com:8493/asfd34;tcp'), 'rule 1: scheme');
  t.notOk(same(uri, 'msrp://host.example.org:8493/asfd34;tcp'), 'rule 2: authority');
  t.notOk(same(uri, 'msrp://host.example.com/asfd34;tcp'), 'rule 3: explicit port against none');
  t.notOk(same('msrp://host.example.com:2855/s;tcp', 'msrp://host.example.com/s;tcp'), 'rule 3: no default port');
  t.notOk(same(uri, 'msrp://host.example.com:8493/Asfd34;tcp'), 'rule 4: session-id with case');
  t.notOk(same(uri, 'msrp://host.example.com:8493;tcp'), 'rule 4: a session against none');
  t.notOk(same(uri, 'msrp://host.example.com:8493/asfd34;ws'), 'rule 5: transport');
  t.ok(same('msrp://[2001:db8::1]:1/s;tcp', 'msrp://[2001:0DB8:0:0:0:0:0:1]:1/s;tcp'), 'IPv6 by value');
  t.ok(same('msrp://[::ffff:192.0.2.1]:1/s;tcp', 'msrp://[::FFFF:c000:201]:1/s;tcp'), 'IPv6 with an IPv4 tail');
  t.ok(same('msrp://[::]:1/s;tcp', 'msrp://[0:0::0]:1/s;tcp'));
  t.notOk(same('msrp://[::1]:1/s;tcp', 'msrp://[::2]:1/s;tcp'));
});

t.test('RFC 4975 §8.2: paths', async (t) => {
  const text = 'msrps://a.example.com:2855/jui787s2f;tcp msrps://df7jal23ls0d.invalid:2855/98cjs;ws';
  const path = parseMsrpPath(text);
  t.equal(formatMsrpPath(path), text);
  t.equal(nextHop(path).host, 'a.example.com', 'the leftmost is the next hop');
  t.equal(peerOf(path).sessionId, '98cjs', 'the rightmost is the peer');
  const single = parseMsrpPath('msrp://h:1/s;tcp');
  t.equal(peerOf(single), nextHop(single));
  t.ok(
    sameMsrpPath(path, parseMsrpPath(text.toUpperCase().replace('JUI787S2F', 'jui787s2f').replace('98CJS', '98cjs'))),
  );
  t.notOk(sameMsrpPath(path, single));
  t.notOk(sameMsrpPath(single, path));
  for (const bad of [
    '',
    ' ',
    'msrp://h:1/s;tcp ',
    'msrp://h:1/s;tcp  msrp://h:1/s;tcp',
    'msrp://h:1/s;tcp,msrp://h:1/s;tcp',
  ]) {
    t.throws(() => parseMsrpPath(bad), MsrpError, JSON.stringify(bad));
  }
  const many = (count: number): string => new Array(count).fill('msrp://h:1/s;tcp').join(' ');
  t.equal(parseMsrpPath(many(MAX_HOPS)).length, MAX_HOPS);
  t.throws(() => parseMsrpPath(many(MAX_HOPS + 1)), { name: 'MsrpError', status: 400 }, 'more hops than allowed');
  t.throws(() => parseMsrpPath(many(3), 2), { name: 'MsrpError', status: 400 });
});

t.test('a URI is made of parts', async (t) => {
  t.equal(
    formatMsrpUri(newMsrpUri({ scheme: 'msrp', host: '::1', port: 2855, sessionId: 'abc' })),
    'msrp://[::1]:2855/abc;tcp',
  );
  t.equal(
    formatMsrpUri(
      newMsrpUri({
        scheme: 'msrps',
        userinfo: 'alice',
        host: 'h',
        transport: 'ws',
        parameters: [{ name: 'x' }, { name: 'y', value: '1' }],
      }),
    ),
    'msrps://alice@h;ws;x;y=1',
  );
  t.throws(() => newMsrpUri({ scheme: 'msrp', host: 'a b', port: 1 }), MsrpError);
  t.throws(() => newMsrpUri({ scheme: 'msrp', host: 'h', port: 1.5 }), MsrpError);
  t.throws(() => newMsrpUri({ scheme: 'msrp', host: 'h', port: 1, sessionId: 'a;b' }), MsrpError);
  t.ok(isSessionId('asfd34'));
  t.notOk(isSessionId('as fd'));
});

const chars = (alphabet: string, maxLength = 12): fc.Arbitrary<string> =>
  fc.string({ unit: fc.constantFrom(...Array.from(alphabet)), minLength: 1, maxLength });
const host = fc.oneof(fc.domain(), fc.ipV4(), fc.ipV6());
const parts = fc.record(
  {
    scheme: fc.constantFrom('msrp' as const, 'msrps' as const),
    host,
    userinfo: chars("ab9-._~!$&'()*+,;="),
    port: fc.nat(65535),
    sessionId: chars('abAB09-._~+=/'),
    transport: fc.constantFrom('tcp', 'ws', 'x9'),
    parameters: fc.array(fc.record({ name: chars('aB0!#'), value: chars("z9~'*") }, { requiredKeys: ['name'] }), {
      maxLength: 3,
    }),
  },
  { requiredKeys: ['scheme', 'host'] },
);

t.test('property: format ∘ parse is identity, and parts come back', async (t) => {
  fc.assert(
    fc.property(parts, (given) => {
      const uri = newMsrpUri(given);
      const again = parseMsrpUri(formatMsrpUri(uri));
      t.equal(formatMsrpUri(again), formatMsrpUri(uri));
      t.ok(sameMsrpUri(uri, again));
      return (
        again.host === given.host &&
        again.port === given.port &&
        again.sessionId === given.sessionId &&
        again.userinfo === given.userinfo &&
        again.parameters.length === (given.parameters ?? []).length &&
        msrpUriKey(again) === msrpUriKey(uri)
      );
    }),
    { numRuns: 300 },
  );
});

t.test('property: noise is a URI or an MsrpError', async () => {
  const noise = fc.oneof(
    fc.string({ maxLength: 60 }),
    chars('msrp:/[]@;=.%0aF ', 60),
    chars('msrp:/[]@;=.%0aF ', 30).map((tail) => `msrp://${tail};tcp`),
  );
  fc.assert(
    fc.property(noise, (text) => {
      try {
        return formatMsrpUri(parseMsrpUri(text)) === text;
      } catch (fault) {
        return fault instanceof MsrpError;
      }
    }),
    { numRuns: 2000 },
  );
});
