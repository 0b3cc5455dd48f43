import { createHash, X509Certificate } from 'node:crypto';
import { type IncomingMessage, request } from 'node:http';
import { statSync, writeFileSync } from 'node:fs';
import { connect, type AddressInfo } from 'node:net';
import { once } from 'node:events';
import { join } from 'node:path';
import { mock } from 'node:test';
import { connect as connectTls, createServer } from 'node:tls';
import { generate } from 'selfsigned';
import t, { type Test } from 'tap';
import { WebSocket } from 'ws';
import { adminToken, type ApiRoute } from '../../../src/ops/api.ts';
import { CertificateError, makeCertificate, readCertificate } from '../../../src/ops/certificate.ts';
import { HttpServer, type Health, type HttpHandlers, type HttpOptions } from '../../../src/ops/http.ts';
import { Logger } from '../../../src/ops/logger.ts';
import { Metrics } from '../../../src/ops/metrics.ts';

const silent = Logger.create({ level: 'silent', format: 'json' });

interface Running {
  readonly server: HttpServer;
  readonly metrics: Metrics;
  readonly at: string;
  readonly port: number;
}

/** A server on a port of the system's choice, closed with the test. */
async function serve(
  t: Test,
  handlers: Partial<HttpHandlers> = {},
  options: Partial<HttpOptions> = {},
): Promise<Running> {
  const metrics = new Metrics();
  const server = new HttpServer(
    { host: '127.0.0.1', port: 0, ...options },
    { health: () => ({ well: true }), webSocket: () => undefined, ...handlers },
    metrics,
    silent,
  );
  const { port } = await server.listen();
  t.teardown(() => server.close());
  return { server, metrics, port, at: `127.0.0.1:${port}` };
}

/** The HTTP status and body with which a WebSocket is refused. */
function refusalOf(
  url: string,
  protocols: string[],
  headers = {},
): Promise<{ status: number | undefined; body: string }> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url, protocols, { headers });
    socket.on('error', () => undefined);
    socket.on('open', () => {
      socket.terminate();
      reject(new Error('was opened'));
    });
    socket.on('unexpected-response', (_request, response) => {
      let body = '';
      response.on('data', (piece: Buffer) => (body += piece.toString()));
      response.on('end', () => resolve({ status: response.statusCode, body }));
    });
  });
}

t.test('/health says whether the service does its work', async (t) => {
  let health: Health = { well: true };
  const { at } = await serve(t, { health: () => health });
  const well = await fetch(`http://${at}/health`);
  t.same([well.status, await well.json()], [200, { status: 'well' }]);
  health = { well: false, reason: 'the disk is full' };
  const ill = await fetch(`http://${at}/health`);
  t.same([ill.status, await ill.json()], [503, { status: 'ill', reason: 'the disk is full' }]);
});

t.test('/metrics has what was counted and what is read', async (t) => {
  const { at, metrics } = await serve(t);
  const messages = metrics.counter('messages_total', 'Messages', 'kind');
  for (const kind of ['text', 'file', 'text']) messages(kind);
  let rooms = 3;
  metrics.gauge('rooms', 'Rooms', () => rooms++);
  const answer = await fetch(`http://${at}/metrics`);
  const text = await answer.text();
  t.match(answer.headers.get('content-type'), /^text\/plain; version=0\.0\.4/);
  t.match(text, /^grouptextchat_messages_total\{kind="text"\} 2$/m);
  t.match(text, /^grouptextchat_messages_total\{kind="file"\} 1$/m);
  t.match(text, /^grouptextchat_rooms 3$/m);
  t.match(text, /^process_cpu_seconds_total /m);
  messages('text');
  const again = await (await fetch(`http://${at}/metrics`)).text();
  t.match(again, /^grouptextchat_messages_total\{kind="text"\} 3$/m);
  t.match(again, /^grouptextchat_rooms 4$/m);
});

t.test('RFC 7118 §4, RFC 7977 §5: the sub-protocol chooses who gets the WebSocket', async (t) => {
  const opened: string[] = [];
  const { at } = await serve(t, {
    webSocket: (protocol, socket, peer) => {
      opened.push(`${protocol} ${peer.address} ${peer.local.address} ${peer.secure}`);
      socket.on('message', (data: Buffer) => socket.send(`${protocol}:${data.toString()}`));
    },
  });
  for (const [offered, chosen] of [
    [['sip'], 'sip'],
    [['msrp'], 'msrp'],
    [['xmpp', 'msrp', 'sip'], 'msrp'],
  ] as const) {
    const socket = new WebSocket(`ws://${at}/ws`, [...offered]);
    await once(socket, 'open');
    t.equal(socket.protocol, chosen);
    socket.send('hello');
    const [data] = (await once(socket, 'message')) as [Buffer];
    t.equal(data.toString(), `${chosen}:hello`);
    socket.close();
    await once(socket, 'close');
  }
  t.same(
    opened,
    ['sip', 'msrp', 'msrp'].map((name) => `${name} 127.0.0.1 127.0.0.1 false`),
  );
});

t.test('what is not wanted is refused before the upgrade, with an HTTP error and words', async (t) => {
  const { at } = await serve(t, { webSocket: () => t.fail('opened') });
  t.same(await refusalOf(`ws://${at}/ws`, ['xmpp']), { status: 400, body: 'the sub-protocol must be sip or msrp\n' });
  t.match(await refusalOf(`ws://${at}/ws`, []), { status: 400 });
  t.match(await refusalOf(`ws://${at}/other`, ['sip']), { status: 404, body: /\/ws/ });
  t.match(await refusalOf(`ws://${at}//`, ['sip']), { status: 404 });
  t.equal((await fetch(`http://${at}/ws`)).status, 426);
  t.equal((await fetch(`http://${at}/other`)).status, 404);
});

t.test('RFC 7977 §7: a page that is welcome is told so in the 101', async (t) => {
  const { at } = await serve(t, {}, { origins: ['https://chat.example.org'] });
  const allowed = async (origin?: string): Promise<string | undefined> => {
    const socket = new WebSocket(`ws://${at}/ws`, ['msrp'], origin === undefined ? {} : { origin });
    const [response] = (await once(socket, 'upgrade')) as [IncomingMessage];
    socket.on('error', () => undefined).terminate();
    return response.headers['access-control-allow-origin'];
  };
  t.equal(await allowed('https://chat.example.org'), 'https://chat.example.org');
  t.equal(await allowed(`http://${at}`), `http://${at}`);
  t.equal(await allowed(), undefined);
});

t.test('pages of other origins are refused, as browsers do not do it', async (t) => {
  const { at, port } = await serve(t, {}, { origins: ['https://chat.example.org'] });
  const opens = async (Origin: string): Promise<boolean> => {
    const socket = new WebSocket(`ws://${at}/ws`, ['sip'], { headers: { Origin } });
    const result = await new Promise<boolean>((resolve) => {
      socket.on('open', () => resolve(true));
      socket.on('error', () => resolve(false));
    });
    socket.terminate();
    return result;
  };
  t.equal(await opens(`http://127.0.0.1:${port}`), true, 'this host');
  t.equal(await opens('https://chat.example.org'), true, 'configured');
  t.equal(await opens('https://evil.example'), false);
  t.equal(await opens('null'), false);
  t.match(await refusalOf(`ws://${at}/ws`, ['sip'], { Origin: 'https://evil.example' }), {
    status: 403,
    body: /http\.origins/,
  });
});

t.test('a malformed handshake harms nobody', async (t) => {
  const { at, port } = await serve(t);
  const socket = connect(port, '127.0.0.1');
  socket.write(
    'GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Protocol: sip\r\n\r\n',
  );
  const [answer] = (await once(socket, 'data')) as [Buffer];
  t.match(answer.toString(), /^HTTP\/1\.1 400 /);
  socket.destroy();
  t.equal((await fetch(`http://${at}/health`)).status, 200);
});

t.test('a message above the bound closes its WebSocket with 1009', async (t) => {
  const { at } = await serve(t, {}, { maxMessageBytes: { sip: 10, msrp: 20 } });
  for (const [protocol, bytes] of [
    ['sip', 11],
    ['msrp', 21],
  ] as const) {
    const socket = new WebSocket(`ws://${at}/ws`, [protocol]);
    await once(socket, 'open');
    socket.send('x'.repeat(bytes));
    const [code] = (await once(socket, 'close')) as [number];
    t.equal(code, 1009, protocol);
  }
});

t.test('one address opens no more WebSockets than the bound', async (t) => {
  const gone: Promise<unknown>[] = [];
  const webSocket = (_: string, socket: WebSocket): void => void gone.push(once(socket, 'close'));
  const { at } = await serve(t, { webSocket }, { webSocketsPerAddress: 1, proxies: [] });
  const first = new WebSocket(`ws://${at}/ws`, ['sip']);
  await once(first, 'open');
  t.match(await refusalOf(`ws://${at}/ws`, ['sip']), { status: 503, body: /too many/ });
  first.close();
  await gone[0];
  const next = new WebSocket(`ws://${at}/ws`, ['msrp']);
  await once(next, 'open');
  t.match(await refusalOf(`ws://${at}/ws`, ['sip']), { status: 503 }, 'the place of one that has gone is given once');
  const trusting = await serve(t, {}, { webSocketsPerAddress: 1 });
  const sockets = [1, 2].map(() => new WebSocket(`ws://${trusting.at}/ws`, ['sip']));
  await Promise.all(sockets.map((socket) => once(socket, 'open')));
  for (const socket of [next, ...sockets]) socket.terminate();
});

t.test('a peer that does not answer pings is ended', async (t) => {
  mock.timers.enable({ apis: ['setInterval'] });
  t.teardown(() => mock.timers.reset());
  const { at } = await serve(t, {
    webSocket: (_protocol, socket) => socket.on('message', (data: Buffer) => socket.send(data.toString())),
  });
  const deaf = new WebSocket(`ws://${at}/ws`, ['sip'], { autoPong: false });
  await once(deaf, 'open');
  const alive = new WebSocket(`ws://${at}/ws`, ['sip']);
  await once(alive, 'open');
  const closed = once(deaf, 'close');
  for (let round = 0; round < 3; round += 1) {
    const pinged = once(alive, 'ping');
    mock.timers.tick(30_000);
    await pinged;
    // What is said behind an answer comes behind it.
    alive.send('hello');
    await once(alive, 'message');
  }
  await closed;
  t.equal(alive.readyState, WebSocket.OPEN);
  alive.terminate();
});

t.test('an answer to a ping counts that has arrived when the service was held up, and is not read yet', async (t) => {
  mock.timers.enable({ apis: ['setInterval'] });
  t.teardown(() => mock.timers.reset());
  let answered = 0;
  const { at } = await serve(t, { webSocket: (_protocol, socket) => socket.on('pong', () => (answered += 1)) });
  const alive = new WebSocket(`ws://${at}/ws`, ['sip']);
  await once(alive, 'open');
  const pinged = once(alive, 'ping');
  mock.timers.tick(30_000);
  await pinged;
  // Held up for longer than this timer runs, so that it comes before the sockets are read.
  const due = new Promise((resolve) => setTimeout(resolve, 1));
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
  await due;
  t.equal(answered, 0, 'it waits to be read');
  const again = once(alive, 'ping');
  mock.timers.tick(30_000);
  await again;
  t.equal(alive.readyState, WebSocket.OPEN);
  t.equal(answered, 1);
  alive.terminate();
});

t.test('close ends the WebSockets with 1001, also those that do not answer, and refuses new ones', async (t) => {
  const { server, at, port } = await serve(t);
  const polite = new WebSocket(`ws://${at}/ws`, ['msrp']);
  await once(polite, 'open');
  const rude = connect(port, '127.0.0.1');
  rude.write(
    'GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n' +
      'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: sip\r\n\r\n',
  );
  const [answer] = (await once(rude, 'data')) as [Buffer];
  t.match(answer.toString(), /^HTTP\/1\.1 101 /);
  rude.on('error', () => undefined);
  const closed = once(polite, 'close') as Promise<[number]>;
  await Promise.all([closed, once(rude, 'close'), server.close()]);
  t.equal((await closed)[0], 1001);
  await t.rejects(fetch(`http://${at}/health`));
});

t.test('a port that is taken is an error of listen', async (t) => {
  const { port } = await serve(t);
  const handlers: HttpHandlers = { health: () => ({ well: true }), webSocket: () => undefined };
  const second = new HttpServer({ host: '127.0.0.1', port }, handlers, new Metrics(), silent);
  await t.rejects(second.listen(), { code: 'EADDRINUSE' });
  await second.close();
});

t.test('https and wss with a certificate', async (t) => {
  const made = await makeCertificate(['localhost', '127.0.0.1', '::1']);
  const peers: boolean[] = [];
  const { at } = await serve(t, { webSocket: (_protocol, _socket, peer) => peers.push(peer.secure) }, { tls: made });
  const socket = new WebSocket(`wss://${at}/ws`, ['sip'], { ca: made.certificate });
  await once(socket, 'open');
  t.same(peers, [true]);
  socket.terminate();
});

t.test('what a proxy of this machine says of TLS counts, and of nobody else', async (t) => {
  const peers: unknown[] = [];
  const handlers: Partial<HttpHandlers> = {
    webSocket: (_protocol, _socket, { secure, proxied }) => peers.push({ secure, proxied }),
  };
  const [near, far] = [await serve(t, handlers), await serve(t, handlers, { proxies: ['192.0.2.0/24', '::2'] })];
  const says = async ({ at }: Running, headers: Record<string, string>): Promise<unknown> => {
    const socket = new WebSocket(`ws://${at}/ws`, ['msrp'], { headers });
    await once(socket, 'open');
    socket.terminate();
    return peers.pop();
  };
  t.same(await says(near, {}), { secure: false, proxied: true }, 'it does not say');
  t.same(await says(near, { 'X-Forwarded-Proto': 'https' }), { secure: true, proxied: false });
  t.same(await says(near, { 'X-Forwarded-Proto': 'HTTPS, http' }), { secure: true, proxied: false }, 'the first proxy');
  t.same(await says(near, { 'X-Forwarded-Proto': 'http' }), { secure: false, proxied: false });
  t.same(await says(far, { 'X-Forwarded-Proto': 'https' }), { secure: false, proxied: false }, 'anybody can say so');
  const both = await serve(t, handlers, { host: '::', proxies: ['127.0.0.0/24'] });
  t.same(await says({ ...both, at: `127.0.0.1:${both.port}` }, {}), { secure: false, proxied: true }, 'IPv4 as IPv6');
});

t.test('whose a WebSocket is a proxy of this machine says, where that is configured, and nobody else', async (t) => {
  const addresses: string[] = [];
  const handlers: Partial<HttpHandlers> = { webSocket: (_protocol, _socket, { address }) => addresses.push(address) };
  const says = async ({ at }: Running, said: string): Promise<string | undefined> => {
    const socket = new WebSocket(`ws://${at}/ws`, ['sip'], { headers: { 'X-Forwarded-For': said } });
    t.teardown(() => {
      socket.terminate();
    });
    await once(socket, 'open');
    return addresses.pop();
  };
  const near = await serve(t, handlers, { forwardedFor: true, webSocketsPerAddress: 2 });
  t.equal(await says(near, '203.0.113.7'), '203.0.113.7');
  t.equal(
    await says(near, '198.51.100.1, 203.0.113.7, 127.0.0.2'),
    '203.0.113.7',
    'what its peer has added is not asked',
  );
  t.match(
    await refusalOf(`ws://${near.at}/ws`, ['sip'], { 'X-Forwarded-For': '203.0.113.7' }),
    { status: 503 },
    'its bounds are its own',
  );
  t.equal(await says(near, '2001:db8::7'), '2001:db8::7');
  for (const none of ['', 'unknown', '203.0.113.7, unknown', '127.0.0.1'])
    t.equal(await says(near, none), '127.0.0.1', none);
  t.equal(await says(await serve(t, handlers), '203.0.113.7'), '127.0.0.1', 'unless configured');
  const far = await serve(t, handlers, { forwardedFor: true, proxies: ['192.0.2.1'] });
  t.equal(await says(far, '203.0.113.7'), '127.0.0.1', 'no proxy of ours');
});

t.test('RFC 4975 §14.4, RFC 8122 §5: the made certificate is the one its fingerprint names', async (t) => {
  const made = await makeCertificate(['localhost', '127.0.0.1', '::1']);
  t.match(made.fingerprint, /^(?:[0-9A-F]{2}:){31}[0-9A-F]{2}$/);
  t.equal(made.selfSigned, true);
  const days = (made.expires.getTime() - Date.now()) / 86_400_000;
  t.ok(days > 3649 && days < 3650, `good for ${days} days`);
  const parsed = new X509Certificate(made.certificate);
  t.equal(parsed.subjectAltName, 'DNS:localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1');

  const server = createServer({ cert: made.certificate, key: made.key }, (socket) => socket.end());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const { port } = server.address() as AddressInfo;
  const client = connectTls({ port, host: '127.0.0.1', ca: made.certificate, servername: 'localhost' });
  await once(client, 'secureConnect');
  t.equal(client.authorized, true);
  t.equal(client.getPeerCertificate().fingerprint256, made.fingerprint);
  client.destroy();
});

t.test('RFC 8122 §5.1: a fingerprint by SHA-256, and by the hash function of the signature', async (t) => {
  const dir = t.testdir();
  for (const keyType of ['ec', 'rsa'] as const) {
    for (const algorithm of ['sha1', 'sha256', 'sha384', 'sha512']) {
      if (keyType === 'ec' && algorithm === 'sha1') continue;
      const made = await generate([{ name: 'commonName', value: 'a.example' }], { keyType, algorithm });
      const [crt, key] = [join(dir, 'one.crt'), join(dir, 'one.key')];
      writeFileSync(crt, made.cert);
      writeFileSync(key, made.private);
      const { fingerprints } = readCertificate(crt, key);
      const parsed = new X509Certificate(made.cert);
      const known: Record<string, string> = {
        sha1: parsed.fingerprint,
        sha256: parsed.fingerprint256,
        sha512: parsed.fingerprint512,
        sha384: createHash('sha384')
          .update(parsed.raw)
          .digest('hex')
          .toUpperCase()
          .replace(/..(?=.)/g, '$&:'),
      };
      const expected = [...new Set(['sha256', algorithm])].map((name) => ({
        hash: name.replace('sha', 'sha-'),
        value: known[name],
      }));
      t.same(fingerprints, expected, `${keyType}, signed by ${algorithm}`);
    }
  }
});

t.test("the operator's certificate and key are read, or it is said what is wrong with them", async (t) => {
  const [one, two] = [await makeCertificate(['one.example']), await makeCertificate(['two.example'])];
  const dir = t.testdir();
  const at = (name: string): string => join(dir, name);
  writeFileSync(at('one.crt'), one.certificate);
  writeFileSync(at('one.key'), one.key);
  writeFileSync(at('two.key'), two.key);
  const read = readCertificate(at('one.crt'), at('one.key'));
  t.match(read, { fingerprint: one.fingerprint, selfSigned: false, expires: one.expires });
  t.throws(() => readCertificate(at('one.crt'), at('two.key')), CertificateError);
  t.throws(() => readCertificate(at('none.crt'), at('one.key')), /none\.crt cannot be read/);
  t.throws(() => readCertificate(at('no.crt'), at('no.key')), /no\.crt cannot be read.*no\.key cannot be read/);
  t.throws(() => readCertificate(at('one.key'), at('one.key')), /no certificate and its key/);
});

t.test('the log: one line each, its level can change, nothing a peer sent starts a line', async (t) => {
  const lines: string[] = [];
  const log = Logger.create({ level: 'info', format: 'text', write: (line) => lines.push(line) });
  const sip = log.child('sip');
  sip.warn('refused\nfake line', { peer: '192.0.2.1', reason: 'a b', from: '\u001b[2J', none: undefined, n: 3 });
  sip.debug('not told');
  log.setLevel('debug');
  sip.child('udp').debug('told');
  t.match(
    lines[0],
    /^\d\d:\d\d:\d\d\.\d{3} warn {2}sip: refused\\u000afake line peer=192\.0\.2\.1 reason="a b" from="\\u001b\[2J" n=3\n$/,
  );
  t.match(lines[1], /^\S+ debug sip\/udp: told\n$/);
  t.equal(lines.length, 2);
});

t.test('the log as JSON', async (t) => {
  const lines: string[] = [];
  const log = Logger.create({ level: 'error', format: 'json', write: (line) => lines.push(line) }).child('log');
  for (const level of ['trace', 'debug', 'info', 'warn', 'error'] as const) log[level]('disk', { code: 'ENOSPC' });
  t.match(
    lines.map((line): unknown => JSON.parse(line)),
    [{ level: 'error', part: 'log', msg: 'disk', code: 'ENOSPC', time: Number }],
  );
  t.equal(lines.length, 1);
});

t.test('a request that is cut off in the middle harms nobody', async (t) => {
  const { at, port } = await serve(t);
  const cut = request({ port, host: '127.0.0.1', path: '/health', headers: { 'Content-Length': 10 } });
  cut.on('error', () => undefined);
  cut.write('x');
  cut.destroy();
  t.equal((await fetch(`http://${at}/health`)).status, 200);
});

t.test('the API is for those who show the token', async (t) => {
  const api: readonly ApiRoute[] = [
    {
      method: 'GET',
      path: '/api/rooms/:room',
      handle: ({ params, query }) => ({ status: 200, body: { params, query } }),
    },
    { method: 'POST', path: '/api/echo', handle: async ({ body }) => ({ status: 201, body }) },
    { method: 'DELETE', path: '/api/bug', handle: () => Promise.reject(new Error('a bug')) },
  ];
  const { at } = await serve(t, { api }, { apiToken: 'secret' });
  const call = (path: string, init: RequestInit = {}, token = 'Bearer secret') => {
    const request = new Request(`http://${at}${path}`, init);
    request.headers.set('Authorization', token);
    return fetch(request);
  };
  const found = await call('/api/rooms/sip%3Aa%40b?last=3');
  t.same([found.status, await found.json()], [200, { params: { room: 'sip:a@b' }, query: { last: '3' } }]);
  const headers = { 'Content-Type': 'application/json' };
  const made = await call('/api/echo', { method: 'POST', headers, body: '{"a":1}' });
  t.same([made.status, await made.json()], [201, { a: 1 }]);
  t.equal((await call('/api/echo', { method: 'POST', headers, body: '{' })).status, 400);
  const form = { 'Content-Type': 'application/x-www-form-urlencoded' };
  const unsaid = await call('/api/echo', { method: 'POST', headers: form, body: '{"a":1}' });
  t.equal(unsaid.status, 415);
  t.match(await unsaid.json(), { reason: /Content-Type: application\/json/ }, 'what curl says by itself');
  t.equal((await call('/api/bug', { method: 'DELETE' })).status, 500);
  for (const token of ['', 'Bearer', 'Bearer wrong', 'Basic secret', 'Bearer secret secret']) {
    t.equal((await call('/api/rooms/x', {}, token)).status, 401, token);
  }
  const closed = await serve(t, { api });
  t.equal((await fetch(`http://${closed.at}/api/rooms/x`)).status, 404, 'without a token there is no API');
});

t.test('the admin token is made once and kept to its owner', async (t) => {
  const file = join(t.testdir(), 'admin-token');
  const token = adminToken(file);
  t.match(token, /^[\w-]{43}$/);
  t.equal(adminToken(file), token);
  t.equal(statSync(file).mode & 0o777, 0o600);
});
