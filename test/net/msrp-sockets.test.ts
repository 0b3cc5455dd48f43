import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { connect as connectTls, createServer as createTlsServer, type TLSSocket } from 'node:tls';
import { X509Certificate, createHash } from 'node:crypto';
import { generate } from 'selfsigned';
import t, { type Test } from 'tap';
import {
  listen,
  newNodeEndpoint,
  parseMsrpPath,
  prepare,
  tcpDialer,
  type EndpointOptions,
  type ListenOptions,
  type MsrpSession,
  type PreparedMessage,
  type SessionOptions,
} from '../../msrp/node.ts';
import { PEER, Told, answerTo, askingFrom, framesOf, latin1, utf8 } from '../msrp/rig.ts';

/** What a session told, to be waited for. */
class Heard extends Told {
  #wake: () => void = () => undefined;

  override bound(session: MsrpSession): void {
    super.bound(session);
    this.#wake();
  }

  override message(...args: Parameters<Told['message']>): void {
    super.message(...args);
    this.#wake();
  }

  override outcome(...args: Parameters<Told['outcome']>): void {
    super.outcome(...args);
    this.#wake();
  }

  override closed(...args: Parameters<Told['closed']>): void {
    super.closed(...args);
    this.#wake();
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => (this.#wake = resolve));
  }
}

async function device(t: Test, options: EndpointOptions = {}, listening: Partial<ListenOptions> = {}) {
  const endpoint = newNodeEndpoint(options);
  const listener = await listen(endpoint, { host: '127.0.0.1', port: 0, ...listening });
  t.teardown(async () => {
    endpoint.close();
    await listener.close();
  });
  const session = (more: Partial<SessionOptions> = {}) => {
    const told = new Heard();
    return { told, session: endpoint.session({ at: listener.address(), handlers: told, ...more }) };
  };
  return { endpoint, listener, session };
}

/** A peer made of text, over a real socket. */
class RawPeer {
  readonly socket: Socket;
  #heard = '';
  #wake: () => void = () => undefined;
  ended = false;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (bytes) => {
      this.#heard += latin1(bytes);
      this.#wake();
    });
    socket.on('error', () => undefined);
    const over = (): void => {
      this.ended = true;
      socket.end();
      this.#wake();
    };
    socket.on('end', over).on('close', over);
  }

  say(text: string): void {
    this.socket.write(text, 'latin1');
  }

  async hears(pattern: RegExp): Promise<string> {
    while (!pattern.test(this.#heard)) {
      if (this.ended) throw new Error(`closed after ${JSON.stringify(this.#heard)}`);
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
    const heard = this.#heard;
    this.#heard = '';
    return heard;
  }

  async end(): Promise<string> {
    while (!this.ended) await new Promise<void>((resolve) => (this.#wake = resolve));
    return this.#heard;
  }
}

async function raw(t: Test, port: number): Promise<RawPeer> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true });
  await once(socket, 'connect');
  t.teardown(() => socket.destroy());
  return new RawPeer(socket);
}

const BIND = ['Message-ID: bindbind', 'Byte-Range: 1-0/0'];
const TEXT = ['Message-ID: mess0001', 'Byte-Range: 1-5/5', 'Content-Type: text/plain'];
const plain = (body: string) => prepare({ contentType: 'text/plain', body: utf8(body), outcomes: 'all' });

t.test('a listener that closes waits for its connections, or cuts off what is left after a while', async (t) => {
  const { endpoint, listener } = await device(t);
  // Never closes its side, whatever it is told.
  const socket = connect({ port: listener.port, host: '127.0.0.1', allowHalfOpen: true });
  socket.on('error', () => undefined);
  t.teardown(() => socket.destroy());
  await once(socket, 'connect');
  socket.resume();
  const ended = once(socket, 'end');
  while (endpoint.connectionCount === 0) await new Promise(setImmediate);
  endpoint.close();
  await ended;
  const waits = listener.close();
  t.equal(await Promise.race([waits, new Promise((resolve) => setImmediate(resolve, 'waits'))]), 'waits');
  await listener.close(1);
  t.pass('cut off');
  await waits;
});

t.test('RFC 4975 §4: two endpoints exchange messages, small and large, both ways', async (t) => {
  const [alice, bob] = [await device(t), await device(t)];
  const b = bob.session();
  const a = alice.session({ remotePath: b.session.localPath });
  b.session.setRemotePath(a.session.localPath);
  a.session.dial();
  const large = 'large '.repeat(150_000);
  for (const text of ['hello bob', large.slice(0, 900_000), 'still there?']) a.session.send(plain(text));
  for (const text of ['hello alice', 'é']) b.session.send(plain(text));
  await b.told.until(() => b.told.messages.length === 3);
  await a.told.until(() => a.told.messages.length === 2 && a.told.outcomes.length === 3);
  t.same(b.told.texts.toSorted(), ['hello bob', large, 'still there?'].toSorted());
  t.same(a.told.texts, ['hello alice', latin1(utf8('é'))]);
  t.ok(a.told.outcomes.every(({ outcome }) => outcome.kind === 'delivered'));
  a.session.close();
  await b.told.until(() => b.told.closings.length === 1);
  t.equal(b.told.closings[0]?.reason, 'disconnected');
  t.same([alice.endpoint.sessionCount, bob.endpoint.sessionCount], [0, 0]);
});

t.test('RFC 4975 §5.4, §14.4: TLS and plain MSRP on one port', async (t) => {
  const first = await generate([{ name: 'commonName', value: 'localhost' }]);
  const second = await generate([{ name: 'commonName', value: 'localhost' }]);
  const print = (pem: string) => new X509Certificate(pem).fingerprint256;
  const bob = await device(t, {}, { tls: { cert: first.cert, key: first.private } });
  const alice = await device(t);
  const secured = (dialer: Partial<SessionOptions>) => {
    const b = bob.session({ at: bob.listener.address('msrps') });
    const a = alice.session({ remotePath: b.session.localPath, ...dialer });
    b.session.setRemotePath(a.session.localPath);
    a.session.dial();
    return { a, b };
  };
  const known = secured({ fingerprints: [{ hash: 'SHA-256', value: print(first.cert) }] });
  known.a.session.send(plain('over TLS'));
  known.b.session.send(plain('x'.repeat(300_000)));
  await known.b.told.until(() => known.b.told.messages.length === 1);
  await known.a.told.until(() => known.a.told.messages.length === 1);
  t.equal(known.a.told.texts[0]?.length, 300_000);

  const wrong = secured({ fingerprints: [{ hash: 'sha-256', value: print(second.cert) }] });
  await wrong.a.told.until(() => wrong.a.told.closings.length === 1);
  t.match(wrong.a.told.closings[0], { reason: 'unreachable', detail: /not the one announced/ });
  const untrusted = secured({});
  await untrusted.a.told.until(() => untrusted.a.told.closings.length === 1);
  t.match(untrusted.a.told.closings[0], { reason: 'unreachable', detail: /self-signed/ });

  const open = bob.session();
  const peer = await raw(t, bob.listener.port);
  peer.say(askingFrom(String(open.session.localUri))('SEND', BIND));
  await peer.hears(/ 200 OK/);

  bob.listener.renew({ cert: second.cert, key: second.private });
  const renewed = connectTls({ port: bob.listener.port, host: '127.0.0.1', rejectUnauthorized: false });
  await once(renewed, 'secureConnect');
  t.equal(renewed.getPeerX509Certificate()?.fingerprint256, print(second.cert));
  renewed.destroy();
});

t.test(
  'RFC 4975 §14.2: the host is named when TLS begins; an RSA key serves the suite that is mandatory',
  async (t) => {
    const { cert, private: key } = await generate([{ name: 'commonName', value: 'localhost' }], { keyType: 'rsa' });
    const server = createTlsServer({ cert, key }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.teardown(() => server.close());
    const { port } = server.address() as AddressInfo;
    const secured = once(server, 'secureConnection') as Promise<[TLSSocket]>;
    const dial = tcpDialer({ tls: { rejectUnauthorized: false } });
    const flow = await dial({ host: 'localhost', port, secure: true, transport: 'tcp', fingerprints: [] });
    const [socket] = await secured;
    t.equal(socket.servername, 'localhost');
    flow.destroy();

    const bob = await device(t, {}, { tls: { cert, key } });
    const suite = { ciphers: 'AES128-SHA', maxVersion: 'TLSv1.2', rejectUnauthorized: false } as const;
    const old = connectTls({ port: bob.listener.port, host: '127.0.0.1', ...suite });
    await once(old, 'secureConnect');
    t.equal(old.getCipher().standardName, 'TLS_RSA_WITH_AES_128_CBC_SHA');
    old.destroy();
  },
);

t.test('what is said in one turn goes out over TLS as over TCP, though it is more than a queue holds', async (t) => {
  const { cert, private: key } = await generate([{ name: 'commonName', value: 'localhost' }]);
  const bob = await device(t, {}, { tls: { cert, key } });
  const alice = await device(t);
  for (const scheme of ['msrp', 'msrps'] as const) {
    const b = bob.session({ at: bob.listener.address(scheme), maxQueuedBytes: 50_000 });
    const fingerprints = [{ hash: 'SHA-256', value: new X509Certificate(cert).fingerprint256 }];
    const a = alice.session({ remotePath: b.session.localPath, ...(scheme === 'msrps' && { fingerprints }) });
    b.session.setRemotePath(a.session.localPath);
    a.session.dial();
    await b.told.until(() => b.session.state === 'bound');
    await a.told.until(() => a.session.state === 'bound');
    const texts = Array.from({ length: 100 }, (_, n) => `${n} ${'x'.repeat(2000)}`);
    for (const text of texts) t.equal(b.session.send(plain(text)), 'queued', scheme);
    await a.told.until(() => a.told.messages.length === texts.length);
    t.same(a.told.texts, texts);
  }
});

t.test('RFC 8122 §5, §5.1: fingerprints by any known hash function; the strongest decides', async (t) => {
  const own = await generate([{ name: 'commonName', value: 'localhost' }]);
  const other = await generate([{ name: 'commonName', value: 'localhost' }]);
  const print = (hash: string, { cert }: { readonly cert: string } = own) => {
    const digest = createHash(hash.toLowerCase().replace('-', '')).update(new X509Certificate(cert).raw);
    return { hash, value: digest.digest('hex').replace(/..(?=.)/g, '$&:') };
  };
  const bob = await device(t, {}, { tls: { cert: own.cert, key: own.private } });
  const alice = await device(t);
  const dialling = (fingerprints: SessionOptions['fingerprints'] & object) => {
    const b = bob.session({ at: bob.listener.address('msrps') });
    const a = alice.session({ remotePath: b.session.localPath, fingerprints });
    b.session.setRemotePath(a.session.localPath);
    a.session.dial();
    return a.told;
  };
  const unknown = { hash: 'md5', value: '00:11' };
  for (const hash of ['sha-1', 'sha-224', 'sha-256', 'SHA-384', 'sha-512']) {
    const told = dialling([print(hash), unknown]);
    await told.until(() => told.bounds.length + told.closings.length > 0);
    t.equal(told.bounds.length, 1, hash);
  }
  const either = dialling([print('sha-256', other), print('sha-256')]);
  await either.until(() => either.bounds.length + either.closings.length > 0);
  t.equal(either.bounds.length, 1, 'one of several by the same function');
  const refused = { 'the weaker one': [print('sha-256'), print('SHA-384', other)], 'no known one': [unknown] };
  for (const [what, fingerprints] of Object.entries(refused)) {
    const told = dialling(fingerprints);
    await told.until(() => told.bounds.length + told.closings.length > 0);
    t.match(told.closings, [{ reason: 'unreachable', detail: /not the one announced/ }], what);
  }
});

t.test('RFC 8122 §6.2: who connects is asked for a certificate, and it must be the one announced', async (t) => {
  const [own, other] = await Promise.all([0, 1].map(() => generate([{ name: 'commonName', value: 'localhost' }])));
  if (own === undefined || other === undefined) throw new Error('no certificates');
  const bob = await device(t, {}, { tls: { cert: own.cert, key: own.private } });
  const announced = [{ hash: 'sha-256', value: new X509Certificate(own.cert).fingerprint256 }];
  const port = bob.listener.port;
  const bindBy = async (certificate: { cert?: string; key?: string; session?: Buffer }): Promise<string> => {
    const b = bob.session({ at: bob.listener.address('msrps'), fingerprints: announced });
    const socket = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false, ...certificate });
    t.teardown(() => socket.destroy());
    ended = once(socket, 'end');
    const peer = new RawPeer(socket);
    socket.on('session', (resumable) => (ticket = resumable));
    peer.say(askingFrom(String(b.session.localUri))('SEND', BIND));
    const heard = await peer.hears(/MSRP \S+ \d+.*\r\n/);
    resumed = socket.isSessionReused();
    return / (\d{3} .*)\r/.exec(heard)?.[1] ?? '';
  };
  let ended: Promise<unknown> = Promise.resolve();
  let ticket: Buffer | undefined;
  let resumed = false;
  t.equal(await bindBy({ cert: own.cert, key: own.private }), '200 OK');
  if (ticket === undefined) throw new Error('no session to resume');
  t.equal(await bindBy({ cert: own.cert, key: own.private, session: ticket }), '200 OK');
  t.ok(resumed, 'a resumed session is still known by its certificate');
  t.equal(await bindBy({ cert: other.cert, key: other.private }), '481 the certificate is not the one announced');
  await ended;
  t.equal(await bindBy({}), '200 OK', 'without a certificate the path is the proof');
});

t.test('RFC 4975 §6.2: a port where nobody listens', async (t) => {
  const gone = await device(t);
  const { port } = gone.listener;
  const alice = await device(t, { dialer: tcpDialer({ timeout: 5000 }) });
  await gone.listener.close();
  const { session, told } = alice.session({ remotePath: parseMsrpPath(`msrp://127.0.0.1:${port}/abcdefgh1234;tcp`) });
  session.dial();
  await told.until(() => told.closings.length === 1);
  t.match(told.closings[0], { reason: 'unreachable', detail: /ECONNREFUSED/ });
});

t.test('RFC 5246 §7.2.2: a peer that breaks TLS when the handshake has failed already ends no program', async (t) => {
  const own = await generate([{ name: 'commonName', value: 'localhost' }]);
  const bob = await device(t, {}, { tls: { cert: own.cert, key: own.private, maxVersion: 'TLSv1.2' } });
  const between = createServer((near) => {
    const far = connect(bob.listener.port, '127.0.0.1');
    for (const socket of [near, far]) socket.on('error', () => undefined);
    near.on('data', (bytes) => far.write(bytes)).on('close', () => far.destroy());
    let said = Buffer.alloc(0);
    let change: Buffer | undefined;
    far.on('data', (bytes) => {
      said = Buffer.concat([said, bytes]);
      for (let end = recordEnd(said); end !== undefined; end = recordEnd(said)) {
        const record = Buffer.from(said.subarray(0, end));
        said = said.subarray(end);
        // ChangeCipherSpec waits for the Finished behind it, which ends the handshake: what breaks TLS comes with it.
        if (record[0] === 20) change = record;
        else near.write(change === undefined ? record : Buffer.concat([change, record, JUNK]));
      }
    });
  });
  between.listen(0, '127.0.0.1');
  await once(between, 'listening');
  t.teardown(() => between.close());
  const { port } = between.address() as AddressInfo;
  const alice = await device(t);
  const { session, told } = alice.session({ remotePath: parseMsrpPath(`msrps://localhost:${port}/abcdefgh1234;tcp`) });
  session.dial();
  await told.until(() => told.closings.length === 1);
  t.match(told.closings[0], { reason: 'unreachable', detail: /self-signed/ });
});

/** A TLS record of application data that fits no key. */
const JUNK = Buffer.concat([Buffer.from([23, 3, 3, 0, 40]), Buffer.alloc(40, 7)]);

/** Where the first TLS record ends, when it is there whole (RFC 5246 §6.2.1). */
function recordEnd(bytes: Buffer): number | undefined {
  const end = bytes.length < 5 ? Infinity : 5 + bytes.readUInt16BE(3);
  return end <= bytes.length ? end : undefined;
}

t.test('RFC 7977 §5.2.1: a URI for WebSocket is not reached by bare TCP', async (t) => {
  const bob = await device(t);
  const alice = await device(t);
  const path = parseMsrpPath(`msrp://127.0.0.1:${bob.listener.port}/abcdefgh1234;ws`);
  const { session, told } = alice.session({ remotePath: path });
  session.dial();
  await told.until(() => told.closings.length === 1);
  t.match(told.closings[0], { reason: 'unreachable', detail: /no dialer for transport ws/ });
  t.equal(bob.endpoint.connectionCount, 0);
});

t.test('every frame leaves in one write, and many in one', async (t) => {
  const bob = await device(t);
  const { session, told } = bob.session({ remotePath: parseMsrpPath(PEER) });
  const peer = await raw(t, bob.listener.port);
  const ask = askingFrom(String(session.localUri));
  peer.say(ask('SEND', BIND));
  await peer.hears(/ 200 OK[^$]*\$/);
  const pieces: string[] = [];
  peer.socket.on('data', (bytes) => pieces.push(latin1(bytes)));
  for (let i = 0; i < 20; i++) session.send(plain(`line ${i}`));
  const text = await peer.hears(/line 19[^$]*\$/);
  t.equal(pieces.length, 1);
  peer.say(
    framesOf(text)
      .map((frame) => answerTo(frame))
      .join(''),
  );
  await told.until(() => told.outcomes.length === 20);
});

t.test('bad input: 400 where a transaction can be told, then the end; others notice nothing', async (t) => {
  const bob = await device(t);
  const other = bob.session({ remotePath: parseMsrpPath(PEER) });
  const bystander = await raw(t, bob.listener.port);
  const askOther = askingFrom(String(other.session.localUri));
  bystander.say(askOther('SEND', BIND));
  await bystander.hears(/ 200 OK/);

  const http = await raw(t, bob.listener.port);
  http.say('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
  t.equal(await http.end(), '');
  const endless = await raw(t, bob.listener.port);
  endless.say(`MSRP abcdefgh SEND\r\nTo-Path: ${PEER}\r\nFrom-Path: ${PEER}\r\nX: ${'x'.repeat(30_000)}`);
  t.match(await endless.end(), /^MSRP abcdefgh 400 /);
  const tls = await raw(t, bob.listener.port);
  tls.socket.write(Uint8Array.of(0x16, 3, 1, 0, 200, 1));
  t.equal(await tls.end(), '');

  bystander.say(askOther('SEND', TEXT, 'hello', 'afterall'));
  t.match(await bystander.hears(/ 200 OK/), /afterall/);
});

t.test('a reset, and a half-close in the middle of a chunk', async (t) => {
  const bob = await device(t);
  const bind = async () => {
    const made = bob.session({ remotePath: parseMsrpPath(PEER) });
    const peer = await raw(t, bob.listener.port);
    const ask = askingFrom(String(made.session.localUri));
    peer.say(ask('SEND', BIND));
    await peer.hears(/ 200 OK/);
    return { ...made, peer, ask };
  };
  const reset = await bind();
  const message = plain('unanswered');
  reset.session.send(message);
  await reset.peer.hears(/unanswered/);
  reset.peer.socket.resetAndDestroy();
  await reset.told.until(() => reset.told.closings.length === 1);
  t.match(reset.told.closings[0], { reason: 'disconnected', detail: /ECONNRESET/ });
  t.same(reset.told.outcomes, [{ message, outcome: { kind: 'lost' } }]);

  const half = await bind();
  half.peer.say(half.ask('SEND', TEXT, 'hello', 'lastwords') + half.ask('SEND', TEXT, 'never ended').slice(0, -20));
  half.peer.socket.end();
  t.match(await half.peer.end(), /^MSRP lastwords 200 OK/, 'what was answered still comes');
  t.same(half.told.texts, ['hello']);
  t.equal(half.told.closings[0]?.reason, 'disconnected');
  t.equal(bob.endpoint.sessionCount, 0);
});

t.test('a slow reader costs its bound, and gets everything that was queued when it reads again', async (t) => {
  const bob = await device(t);
  const { session, told } = bob.session({ remotePath: parseMsrpPath(PEER), maxQueuedBytes: 200_000 });
  const peer = await raw(t, bob.listener.port);
  peer.say(askingFrom(String(session.localUri))('SEND', BIND));
  await peer.hears(/ 200 OK[^$]*\$\r\n/);
  peer.socket.pause();
  const next = (): PreparedMessage =>
    prepare({ contentType: 'a/b', body: utf8(`<${queued}>${'x'.repeat(2000)}`), failureReport: 'no' });
  let queued = 0;
  // Until the system's own buffers are full, and then ours.
  while (session.send(next()) === 'queued') {
    if (++queued > 50_000) throw new Error('there is no end to what the system takes');
  }
  t.ok(session.queuedBytes > 195_000 && session.queuedBytes <= 200_000);
  const before = told.drains;
  session.send(plain('refused, because it is full'));
  peer.socket.resume();
  const heard = await peer.hears(new RegExp(`<${queued - 1}>x+\\r\\n-------\\w{16}\\$`));
  t.same(
    [...heard.matchAll(/<(\d+)>/g)].map(([, n]) => Number(n)),
    Array.from({ length: queued }, (_, n) => n),
  );
  t.equal(told.drains, before + 1);
  t.equal(session.queuedBytes, 0);
});

t.test('a port that is taken is told', async (t) => {
  const bob = await device(t);
  await t.rejects(listen(bob.endpoint, { host: '127.0.0.1', port: bob.listener.port }), { code: 'EADDRINUSE' });
});

t.test('RFC 6135 §4.2.2: what is advertised stands in our path', async (t) => {
  const bob = await device(t, {}, { advertise: { host: 'chat.example.com', port: 2855 } });
  const { session } = bob.session();
  t.match(session.localUri.toString(), /^msrp:\/\/chat\.example\.com:2855\/[A-Za-z0-9]{20};tcp$/);
});
