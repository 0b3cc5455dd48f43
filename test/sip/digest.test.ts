import t from 'tap';
import { createHash } from 'node:crypto';
import {
  createRequest,
  createResponse,
  createVia,
  type DigestAlgorithm,
  DigestClient,
  digestHa1,
  digestHash,
  digestResponse,
  DigestServer,
  type HeaderLine,
  parseDigestVariant,
  parseNameAddr,
  parseUri,
  SipError,
  type SipRequest,
  type SipResponse,
} from '../../sip/index.ts';

const NONE = new Uint8Array(0);

t.test('RFC 7616 §3.9.1: the example with SHA-256 and MD5', (t) => {
  const compute = (algorithm: DigestAlgorithm): string =>
    digestResponse({
      variant: { algorithm, session: false },
      ha1: digestHa1(algorithm, 'Mufasa', 'http-auth@example.org', 'Circle of Life'),
      nonce: '7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v',
      nc: '00000001',
      cnonce: 'f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ',
      qop: 'auth',
      method: 'GET',
      uri: '/dir/index.html',
      body: NONE,
    });
  t.equal(compute('MD5'), '8ca523f5e9506fed4657c9700eebdbec');
  t.equal(compute('SHA-256'), '753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1');
  t.end();
});

t.test('RFC 7616 §3.9.2: SHA-512-256 with a UTF-8 username', (t) => {
  // FIPS 180-4 gives SHA-512/256 of "abc" so. The figures printed in RFC 7616 §3.9.2 come from a SHA-512 cut to 256
  // bits instead, which no peer computes: the example is checked with that hash, then told apart from ours.
  t.equal(digestHash('SHA-512-256', 'abc'), '53048e2681941ef99b2e29b76b4c7dabe4c2d0c634fc6d46e0e2f13107e7af23');
  const printed = 'ae66e67d6b427bd3f120414a82e4acff38e8ecd9101d6c861229025f607a79dd';
  const nonce = '5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK';
  const cnonce = 'NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v';
  const a1 = 'J\u00e4s\u00f8n Doe:api@example.org:Secret, or not?';
  const by = (hash: (data: string) => string): string =>
    hash(`${hash(a1)}:${nonce}:00000001:${cnonce}:auth:${hash('GET:/doe.json')}`);
  t.equal(
    by((data) => createHash('sha512').update(data).digest('hex').slice(0, 64)),
    printed,
  );
  const response = digestResponse({
    variant: { algorithm: 'SHA-512-256', session: false },
    ha1: digestHa1('SHA-512-256', 'J\u00e4s\u00f8n Doe', 'api@example.org', 'Secret, or not?'),
    nonce,
    nc: '00000001',
    cnonce,
    qop: 'auth',
    method: 'GET',
    uri: '/doe.json',
    body: NONE,
  });
  t.equal(
    response,
    by((data) => digestHash('SHA-512-256', data)),
  );
  t.end();
});

t.test('RFC 7616 §3.4.2, §3.4.3: session variants and auth-int', (t) => {
  t.same(parseDigestVariant(undefined), { algorithm: 'MD5', session: false });
  t.same(parseDigestVariant('sha-256-SESS'), { algorithm: 'SHA-256', session: true });
  t.equal(parseDigestVariant('SHA3'), undefined);
  const body = Buffer.from('hello');
  const common = { ha1: 'cafe', nonce: 'n', nc: '00000001', cnonce: 'c', method: 'MESSAGE', uri: 'sip:a@b', body };
  const md5 = (data: string): string => digestHash('MD5', data);
  t.equal(
    digestResponse({ ...common, variant: { algorithm: 'MD5', session: true }, qop: 'auth-int' }),
    md5(`${md5('cafe:n:c')}:n:00000001:c:auth-int:${md5(`MESSAGE:sip:a@b:${md5('hello')}`)}`),
  );
  // RFC 8760 §2.6 number 7.
  t.equal(digestHash('SHA-256', ''), 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');
  t.end();
});

const REALM = 'example.com';
const LOOKUP = (username: string, realm: string, algorithm: DigestAlgorithm): string | undefined =>
  username === 'alice' ? digestHa1(algorithm, 'alice', realm, 'secret') : undefined;

function newRequest(uri = 'sip:room@example.com', userAgent?: string): SipRequest {
  return createRequest({
    method: 'INVITE',
    uri: parseUri(uri),
    from: parseNameAddr('<sip:alice@example.com>;tag=1'),
    to: parseNameAddr('<sip:room@example.com>'),
    callId: 'c1',
    seq: 1,
    headers: userAgent === undefined ? [] : [{ name: 'User-Agent', value: userAgent }],
  });
}

function refusal(request: SipRequest, headers: readonly HeaderLine[]): SipResponse {
  request.pushVia(createVia('TCP', 'client.invalid'));
  return createResponse(request, 401, { headers });
}

/** The same request with these header lines. */
function retried(lines: readonly HeaderLine[] | undefined): SipRequest {
  const request = newRequest();
  for (const { name, value } of lines ?? []) request.headers.add(name, value);
  return request;
}

const alice = (): DigestClient => new DigestClient(() => ({ username: 'alice', password: 'secret' }));

t.test(
  'RFC 8760 §2.3: challenges side by side, the preferred first, and MD5 last for clients that read but the last',
  (t) => {
    const server = new DigestServer({ realm: REALM, algorithms: ['SHA-512-256', 'MD5', 'SHA-256'] });
    const algorithms = (userAgent?: string): (string | undefined)[] => {
      const request = newRequest(undefined, userAgent);
      return refusal(request, server.challenge(request, 0)).wwwAuthenticate.map(({ params }) =>
        params.get('algorithm'),
      );
    };
    t.same(algorithms('Linphone/5.2'), ['SHA-512-256', 'MD5', 'SHA-256']);
    t.same(algorithms('SIP.js/0.21.2'), ['SHA-512-256', 'SHA-256', 'MD5']);
    t.same(algorithms('JsSIP 3.10.0'), ['SHA-512-256', 'SHA-256', 'MD5']);
    const [first] = new DigestServer({ realm: 'a "b"' }).challenge(newRequest(), 0);
    t.match(
      first?.value,
      /^Digest realm="a \\"b\\"", nonce="[\w-]{38}", opaque="[0-9a-f]{32}", qop="auth", algorithm=SHA-256, charset=UTF-8$/,
      'RFC 7616 §4: and what a name and a password are encoded in',
    );
    t.end();
  },
);

t.test('RFC 8760 §2.4, RFC 3261 §22: client answers, server accepts', async (t) => {
  const server = new DigestServer({ realm: REALM });
  const client = alice();
  const first = newRequest();
  t.same(server.claim(first, 0), { challenge: 'none' });
  const lines = client.answer(first, refusal(first, server.challenge(first, 0)));
  t.match(lines?.[0]?.value, /algorithm=SHA-256/);
  t.same(await server.verify(retried(lines), 10, LOOKUP), { username: 'alice' });
  t.same(await server.verify(retried(client.authorize(newRequest())), 20, LOOKUP), { username: 'alice' });
});

t.test('RFC 7616 §3.3: a nonce that is too old, or not ours, is stale', async (t) => {
  const server = new DigestServer({ realm: REALM, nonceLifetime: 1000 });
  const client = alice();
  const first = newRequest();
  const lines = client.answer(first, refusal(first, server.challenge(first, 5000)));
  const late = retried(lines);
  t.same(await server.verify(late, 6001, LOOKUP), { challenge: 'stale' });
  const challenge = server.challenge(late, 6001, 'stale');
  t.ok(challenge.every(({ value }) => value.endsWith('stale=true')));
  const again = client.answer(late, refusal(late, challenge));
  t.same(await server.verify(retried(again), 6002, LOOKUP), { username: 'alice' });
  t.same(await server.verify(retried(again), 5999, LOOKUP), { challenge: 'stale' }, 'a nonce of the future');
  const other = new DigestServer({ realm: REALM });
  t.same(await other.verify(retried(again), 6002, LOOKUP), { challenge: 'stale' }, 'signed by another');
});

t.test('RFC 7616 §3.4: a nonce count is good once, in any order within 32', async (t) => {
  const server = new DigestServer({ realm: REALM });
  const client = alice();
  const first = newRequest();
  const tries = [client.answer(first, refusal(first, server.challenge(first, 0)))];
  for (let i = 2; i <= 40; i++) tries.push(client.authorize(newRequest()));
  const verify = (count: number): Promise<unknown> => server.verify(retried(tries[count - 1]), 1, LOOKUP);
  t.same(await verify(1), { username: 'alice' });
  t.same(await verify(1), { challenge: 'replayed' });
  t.same(await verify(3), { username: 'alice' });
  t.same(await verify(2), { username: 'alice' });
  t.same(await verify(2), { challenge: 'replayed' });
  t.same(await verify(40), { username: 'alice' });
  t.same(await verify(9), { username: 'alice' });
  t.same(await verify(9), { challenge: 'replayed' });
  t.same(await verify(8), { challenge: 'replayed' }, 'too far behind to know');
});

t.test('the table of nonce counts is bounded, and what falls out of it cannot be replayed', async (t) => {
  const server = new DigestServer({ realm: REALM, rememberedNonces: 2 });
  const answers = [1, 2, 3].map((now) => {
    const request = newRequest();
    return alice().answer(request, refusal(request, server.challenge(request, now)));
  });
  for (const answer of answers) t.same(await server.verify(retried(answer), 10, LOOKUP), { username: 'alice' });
  t.same(await server.verify(retried(answers[0]), 10, LOOKUP), { challenge: 'stale' });
  t.same(await server.verify(retried(answers[2]), 10, LOOKUP), { challenge: 'replayed' });
});

t.test('RFC 3261 §22.2: wrong password, no such user; the client does not repeat itself', async (t) => {
  const server = new DigestServer({ realm: REALM });
  for (const [username, password] of [
    ['alice', 'guess'],
    ['mallory', 'secret'],
  ] as const) {
    const client = new DigestClient(() => ({ username, password }));
    const first = newRequest();
    const second = retried(client.answer(first, refusal(first, server.challenge(first, 0))));
    t.same(await server.verify(second, 0, LOOKUP), { challenge: 'wrong' });
    t.equal(client.answer(second, refusal(second, server.challenge(second, 0, 'wrong'))), undefined);
  }
  const stranger = new DigestClient(() => undefined);
  const first = newRequest();
  t.equal(stranger.answer(first, refusal(first, server.challenge(first, 0))), undefined);
});

t.test('RFC 7616 §3.4, RFC 8760 §2.6: malformed credentials, and those made for somebody else', async (t) => {
  const server = new DigestServer({ realm: REALM });
  const client = alice();
  const first = newRequest();
  const good = client.answer(first, refusal(first, server.challenge(first, 0)))?.[0]?.value ?? '';
  const refused = async (value: string): Promise<void> => {
    await t.rejects(server.verify(retried([{ name: 'Authorization', value }]), 0, LOOKUP), SipError, value);
  };
  await refused(good.replace(/nc=\d+/, 'nc=1'));
  await refused(good.replace(/cnonce="[^"]*"/, 'cnonce=""'));
  await refused(good.replace(/response="[^"]*", /, ''));
  await refused(good.replace('qop=auth', 'qop=auth-conf'));
  await refused(good.replace('uri="sip:room@example.com"', 'uri="sip:other@elsewhere.example"'));
  await refused(good.replace('username=', `username*=UTF-8''alice, username=`));
  const check = (value: string): Promise<unknown> =>
    server.verify(retried([{ name: 'Authorization', value }]), 0, LOOKUP);
  t.same(await check(good.replace('algorithm=SHA-256', 'algorithm=SHA-999')), { challenge: 'none' });
  t.same(await check(good.replace('Digest', 'Basic')), { challenge: 'none' });
  t.same(await check(good.replace('realm="example.com"', 'realm="other"')), { challenge: 'none' });
  t.same(await check(good.replace('username="alice"', `username*=UTF-8''%61lice`)), { username: 'alice' });
});

t.test('RFC 3261 §22.4: a client without qop is served, each nonce once', async (t) => {
  const server = new DigestServer({ realm: REALM, algorithms: ['MD5'] });
  const request = newRequest();
  const [challenge] = refusal(request, server.challenge(request, 0)).wwwAuthenticate;
  const nonce = challenge?.params.get('nonce') ?? '';
  const ha1 = digestHa1('MD5', 'alice', REALM, 'secret');
  const response = digestHash('MD5', `${ha1}:${nonce}:${digestHash('MD5', 'INVITE:sip:room@example.com')}`);
  const value = `Digest username="alice",realm="${REALM}",nonce="${nonce}",uri="sip:room@example.com",response="${response}"`;
  const verify = (): Promise<unknown> => server.verify(retried([{ name: 'Authorization', value }]), 0, LOOKUP);
  t.same(await verify(), { username: 'alice' });
  t.same(await verify(), { challenge: 'replayed' });
});

t.test('RFC 8760 §2.4: a client takes what it understands, from a proxy and a server at once', (t) => {
  const client = new DigestClient(
    (realm) => ({ username: `me@${realm}`, password: 'p' }),
    () => 'fixed',
  );
  const request = newRequest();
  request.pushVia(createVia('TCP', 'client.invalid'));
  const response = createResponse(request, 407, {
    headers: [
      { name: 'WWW-Authenticate', value: 'Digest realm="a", nonce="n1", algorithm=FUTURE, qop="auth"' },
      { name: 'WWW-Authenticate', value: 'Digest realm="a", nonce="n2", algorithm=MD5, qop="auth"' },
      { name: 'WWW-Authenticate', value: 'Digest realm="a", nonce="n3", algorithm=SHA-256-sess, qop="auth-int"' },
      { name: 'WWW-Authenticate', value: 'Digest realm="b", nonce="n4", qop="token-we-do-not-know"' },
      { name: 'WWW-Authenticate', value: 'Basic realm="c"' },
      { name: 'Proxy-Authenticate', value: 'Digest realm="p", nonce="n5", opaque="o"' },
    ],
  });
  const lines = client.answer(request, response) ?? [];
  t.same(
    lines.map(({ name }) => name),
    ['Authorization', 'Proxy-Authorization'],
  );
  const [own, proxy] = lines.map(({ value }) => value);
  const sha = (data: string): string => digestHash('SHA-256', data);
  const ha1 = sha(`${digestHa1('SHA-256', 'me@a', 'a', 'p')}:n3:fixed`);
  const ha2 = sha(`INVITE:sip:room@example.com:${sha('')}`);
  const expected = sha(`${ha1}:n3:00000001:fixed:auth-int:${ha2}`);
  t.ok(own?.includes(`response="${expected}"`), own ?? '');
  t.match(own, /nonce="n3".*algorithm=SHA-256-sess, cnonce="fixed", qop=auth-int, nc=00000001$/);
  t.match(
    proxy,
    /^Digest username="me@p", realm="p", nonce="n5", uri="sip:room@example.com", response="[0-9a-f]{32}", opaque="o"$/,
  );
  t.same(
    client.authorize(newRequest()).map(({ name }) => name),
    ['Authorization'],
    'a nonce without qop is used once',
  );
  t.end();
});
