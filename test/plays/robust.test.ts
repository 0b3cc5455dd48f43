/** One participant's trouble is nobody else's. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect } from 'node:net';
import t from 'tap';
import { readConfig } from '../../src/config/load.ts';
import { userAgentLimits } from '../../src/service/limits.ts';
import { cpim } from './msrp-line.ts';
import { SipPhone } from './sip-phone.ts';
import { join, messageSdp, newPath, raise, ROOM } from './stage.ts';

t.test('a participant vanishes in the middle of a chunk', async (t) => {
  const stage = await raise('msrp.grace=100ms');
  t.teardown(() => stage.close());
  const alice = await join(stage, 'alice');
  const bob = await join(stage, 'bob');
  const [headers, body] = cpim(alice.uri, ROOM, 'x'.repeat(3000));
  const whole = `MSRP vanish01 SEND\r\nTo-Path: ${alice.line.room}\r\nFrom-Path: ${alice.line.own}\r\n${headers.join('\r\n')}\r\n\r\n${body}`;
  alice.line.write(whole.slice(0, 1500));
  alice.line.close();
  t.match((await alice.phone.next('BYE')).headers.get('Reason'), /chat session lost/);
  const carol = await join(stage, 'carol');
  t.equal(await carol.say('did you hear that?'), '200');
  await bob.hears('did you hear that?');
  t.same(bob.line.heard(), [], 'nothing of the half message');
});

for (const durability of ['memory', 'disk']) {
  t.test(`who reads at once is left out of nothing, however much comes together: ${durability}`, async (t) => {
    const stage = await raise(`rooms.defaults.durability=${durability}`, 'msrp.queue_bytes=64KiB');
    t.teardown(() => stage.close());
    const [alice, bob] = [await join(stage, 'alice'), await join(stage, 'bob')];
    const texts = Array.from({ length: 40 }, (_, i) => `${String(i)} ${'x'.repeat(8_000)}`);
    const answers = texts.map((text) => alice.say(text));
    t.ok((await Promise.all(answers)).every((status) => status === '200'));
    for (const text of texts) await bob.hears(text);
    t.same(bob.line.heard(), [], 'and is told nothing of it');
  });
}

t.test('a participant vanishes between two chunks', async (t) => {
  const stage = await raise('msrp.grace=100ms');
  t.teardown(() => stage.close());
  const alice = await join(stage, 'alice');
  const bob = await join(stage, 'bob');
  const [headers, body] = cpim(alice.uri, ROOM, 'y'.repeat(3000), ['Message-ID: two-chunks']);
  const size = String(body.length);
  const rest = headers.filter((line) => !line.startsWith('Byte-Range'));
  alice.line.send('SEND', [`Byte-Range: 1-2048/${size}`, ...rest], body.slice(0, 2048), '+');
  t.equal((await alice.line.next(({ what }) => what === '200')).what, '200');
  alice.line.close();
  await alice.phone.next('BYE');
  t.equal(await bob.say('alone'), '200');
  t.same(bob.line.heard(), []);
});

t.test('noise instead of MSRP costs its sender the connection, and nobody else anything', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const alice = await join(stage, 'alice');
  const bob = await join(stage, 'bob');
  const port = Number(/:(\d+)\//.exec(alice.line.room)?.[1]);
  for (const noise of ['GET / HTTP/1.1\r\nHost: x\r\n\r\n', '\0\0\0\0', 'MSRP', `MSRP ${'a'.repeat(100_000)}`]) {
    const socket = connect({ port, host: '127.0.0.1' });
    socket.on('error', () => undefined);
    socket.end(noise);
    await new Promise((resolve) => socket.once('close', resolve));
  }
  t.equal(await alice.say('hello'), '200');
  await bob.hears('hello');
});

t.test('somebody who knows a path but not its session, or takes one that is taken', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const alice = await join(stage, 'alice');
  const port = Number(/:(\d+)\//.exec(alice.line.room)?.[1]);
  const answerTo = async (path: string): Promise<string> => {
    const socket = connect({ port, host: '127.0.0.1' });
    socket.write(
      `MSRP thief001 SEND\r\nTo-Path: ${path}\r\nFrom-Path: msrp://127.0.0.1:9/thief;tcp\r\nMessage-ID: thief001\r\nByte-Range: 1-0/0\r\n-------thief001$\r\n`,
    );
    const data = await new Promise<Buffer>((resolve) => socket.once('data', resolve));
    socket.destroy();
    return data.toString().split(' ')[2]?.slice(0, 3) ?? '';
  };
  t.equal(await answerTo(`msrp://127.0.0.1:${String(port)}/guessed;tcp`), '481', 'RFC 4975 §5.4');
  t.equal(await answerTo(alice.line.room), '506', 'RFC 4975 §5.4: in use on another connection');
  t.equal(await alice.say('mine still'), '200');
});

t.test('one that stops reading is let go, and nobody waits for it', async (t) => {
  const stage = await raise(
    ...['msrp.queue_bytes=128KiB', 'msrp.stream_above=64KiB', 'msrp.congested_for=200ms', 'msrp.grace=100ms'],
    ...['rooms.defaults.messages_at_once=10000', 'rooms.defaults.messages_per_second=10000'],
  );
  t.teardown(() => stage.close());
  const alice = await join(stage, 'alice');
  const bob = await join(stage, 'bob');
  const sleeper = await join(stage, 'sleeper');
  sleeper.line.pause();
  const gone = sleeper.phone.next('BYE');
  const over = gone.then(() => 'over');
  // The system takes some megabytes before the queue fills.
  for (let i = 0, next = ''; next !== 'over'; i += 1) {
    const text = `${String(i)}. ${'z'.repeat(60_000)}`;
    const [answer] = await Promise.all([alice.say(text), bob.hears(`${String(i)}. z`)]);
    if (answer !== '200') t.fail(`message ${String(i)}: ${answer}`);
    next = await Promise.race([over, new Promise<string>((resolve) => setImmediate(resolve, 'on'))]);
  }
  t.match((await gone).headers.get('Reason'), /SIP;cause=\d+;text=/);
  t.equal(await alice.say('and on'), '200');
  await bob.hears('and on');
});

t.test('RFC 3862, RFC 7701 §6.1: hostile CPIM is refused with a reason, or passed on as it is', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const alice = await join(stage, 'alice');
  const bob = await join(stage, 'bob');
  const head = `From: <${alice.uri}>\r\nTo: <${ROOM}>\r\n`;
  const plain = '\r\nContent-Type: text/plain\r\n\r\n';
  const part = '--b\r\nContent-Type: multipart/mixed;boundary=b\r\n\r\n';
  const cases: readonly (readonly [what: string, status: string, body: string])[] = [
    ['10,000 headers', '413', `${head}${'X-A: b\r\n'.repeat(10_000)}${plain}many`],
    ['10,000 MIME headers', '413', `${head}\r\n${'X-A: b\r\n'.repeat(10_000)}${plain}many`],
    ['one long header', '413', `${head}Subject: ${'x'.repeat(500_000)}\r\n${plain}long`],
    ['lines that end in CR', '400', `${head}${plain}cr`.replaceAll('\r\n', '\r')],
    ['no From', '400', `To: <${ROOM}>\r\n${plain}x`],
    ['an empty From', '403', `From: \r\nTo: <${ROOM}>\r\n${plain}x`],
    ['two From', '400', `From: <sip:bob@127.0.0.1>\r\n${head}${plain}x`],
    ['a To behind a bare LF', '403', `${head}Subject: a\nTo: <${bob.uri}>\r\n${plain}x`],
    ['a document type', '400', `${head}\r\nContent-Type: message/imdn+xml\r\n\r\n<!DOCTYPE a><imdn/>`],
    ['bare LF', '200', `${head}${plain}linefeeds`.replaceAll('\r\n', '\n')],
    ['the year 99999', '200', `${head}DateTime: 99999-01-01T00:00:00Z\r\n${plain}later`],
    ['MIME within MIME', '200', `${head}\r\nContent-Type: multipart/mixed;boundary=b\r\n\r\n${part.repeat(5000)}deep`],
    ['invalid UTF-8', '200', `${head}${plain}\u00ff\u00fe\u00c0\u0080 bytes`],
  ];
  for (const [at, [what, status, body]] of cases.entries()) {
    const size = String(body.length);
    const id = `hostile${String(at)}`;
    const headers = [`Message-ID: ${id}`, `Byte-Range: 1-${size}/${size}`, 'Content-Type: message/cpim'];
    alice.line.write(
      Buffer.from(
        `MSRP ${id} SEND\r\nTo-Path: ${alice.line.room}\r\nFrom-Path: ${alice.line.own}\r\n${headers.join('\r\n')}\r\n\r\n${body}\r\n-------${id}$\r\n`,
        'latin1',
      ),
    );
    const answer = await alice.line.next((frame) => frame.id === id && /^\d/.test(frame.what));
    t.equal(answer.what, status, what);
    if (status === '200') {
      const heard = await bob.line.next((frame) => frame.body !== undefined);
      t.equal(heard.body, Buffer.from(body, 'latin1').toString(), `${what}: not an octet changed`);
    } else t.not(answer.comment, '', `${what}: with a sentence`);
  }
  t.equal(await alice.say('all is well'), '200');
  await bob.hears('all is well');
});

t.test(
  'a subscriber who vanishes is one line for the operator, and not even that when the service stops',
  async (t) => {
    const stage = await raise();
    const watchers = await Promise.all(['dave', 'erin'].map((name) => SipPhone.connect(name, stage.sip, stage.host)));
    const [dave, erin] = watchers;
    for (const watcher of watchers) {
      const { response } = await watcher.request('SUBSCRIBE', ROOM, { headers: ['Event: conference', 'Expires: 600'] });
      t.equal(response.status, 200);
      await watcher.next('NOTIFY');
    }
    dave?.hangUp();
    const alice = await join(stage, 'alice');
    await erin?.next('NOTIFY');
    await alice.leave();
    erin?.replies.set('NOTIFY', '481 Subscription does not exist');
    await stage.close();
    const about = stage.lines.filter((line) => /NOTIFY|connection/.test(line));
    t.equal(about.length, 1, about.join(''));
    t.match(about[0], /NOTIFY failed: connect ECONNREFUSED .* to=sip:dave@/);
  },
);

t.test('RFC 4975 §7.1: a Content-Type that leaves no room in a head is refused, and kept for nobody', async (t) => {
  const stage = await raise('rooms.defaults.history_messages=20', 'msrp.stream_above=8KiB');
  t.teardown(() => stage.close());
  const alice = await join(stage, 'alice');
  const bob = await join(stage, 'bob');
  for (const [type, status] of [
    [`message/cpim;note="${'x'.repeat(13_000)}"`, '413'],
    [`message/cpim;note="${'x'.repeat(1000)}"`, '200'],
  ] as const) {
    for (const text of ['small', 'large'.repeat(2000)]) {
      const [headers, body] = cpim(alice.uri, ROOM, text);
      const answer = await alice.line.request('SEND', [...headers.slice(0, -1), `Content-Type: ${type}`], body);
      t.equal(answer.what, status);
      if (status !== '200') t.match(answer.comment, /Content-Type/);
    }
  }
  t.equal((await bob.line.hears('small')).headers.get('Content-Type')?.length, 1020, 'one that leaves room goes on');
  const carol = await join(stage, 'carol');
  await carol.hears('small');
});

t.test('a call that cannot be read keeps no room alive', async (t) => {
  for (const [header, with_ = []] of [
    ['Replaces: ;;'],
    ['Authorization: Digest', ['rooms.named.lobby={pin: "4711"}']],
  ] as const) {
    const stage = await raise('rooms.maximum=1', ...with_);
    t.teardown(() => stage.close());
    const mallory = await SipPhone.connect('mallory', stage.sip);
    const offer = { contentType: 'application/sdp', body: messageSdp(newPath()) };
    const { response } = await mallory.request('INVITE', ROOM, { headers: [header], ...offer });
    t.equal(response.status, 400, header);
    const alice = await join(stage, 'alice', 'sip:other@127.0.0.1');
    t.equal(await alice.say('there is room for a room'), '200');
  }
});

t.test('RFC 3261 §18.1.2: responses that belong to nothing are no lines, since anybody can send them', async (t) => {
  const stage = await raise();
  const udp = stage.service.addresses.find(({ protocol, transport }) => protocol === 'SIP' && transport === 'UDP');
  const socket = createSocket('udp4');
  t.teardown(() => {
    socket.close();
  });
  const common =
    'From: <sip:x@127.0.0.1>;tag=x\r\nTo: <sip:y@127.0.0.1>\r\nCall-ID: stray\r\nContent-Length: 0\r\n\r\n';
  const via = 'Via: SIP/2.0/UDP 127.0.0.1;rport;branch=z9hG4bKstray\r\n';
  const send = (text: string): void => {
    socket.send(text, udp?.port ?? 0, udp?.host);
  };
  for (let at = 0; at < 20; at += 1) send(`SIP/2.0 200 OK\r\n${via}CSeq: ${String(at)} INVITE\r\n${common}`);
  const answer = once(socket, 'message');
  send(`OPTIONS sip:127.0.0.1 SIP/2.0\r\n${via}CSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\n${common}`);
  await answer;
  await stage.close();
  t.same(stage.lines, []);
});

t.test('a stop: each is hung up on, and told nothing of the others, who go as well', async (t) => {
  const stage = await raise();
  const all = [await join(stage, 'alice'), await join(stage, 'bob'), await join(stage, 'carol')];
  await Promise.all([stage.close(), ...all.map(({ phone }) => phone.next('BYE'))]);
  for (const { line } of all) t.same(line.heard(), []);
});

t.test('a stop: connections of chat sessions are closed while answers to the BYEs are awaited', async (t) => {
  const stage = await raise('shutdown=1h');
  const { phone, line } = await join(stage, 'alice');
  phone.pause();
  const stopped = stage.close();
  await line.closed;
  const late = connect({ port: Number(/:(\d+)\//.exec(line.room)?.[1]), host: '127.0.0.1' });
  const outcome = new Promise((resolve) => {
    late.once('error', resolve);
    late.once('connect', resolve);
  });
  t.match(await outcome, { code: 'ECONNREFUSED' });
  late.destroy();
  phone.hangUp();
  await stopped;
});

t.test('a stop: one BYE for each call and one NOTIFY for each subscription, however many go at once', async (t) => {
  const stage = await raise('roster.interval=1ms');
  const names = Array.from({ length: 20 }, (_, i) => `user${String(i)}`);
  const all = await Promise.all(names.map((name) => join(stage, name)));
  const watchers = all.slice(0, 5).map(({ phone }) => phone);
  for (const watcher of watchers) {
    await watcher.request('SUBSCRIBE', ROOM, { headers: ['Event: conference', 'Expires: 600'] });
    await watcher.next('NOTIFY');
  }
  const come = all.map(({ phone }) => phone.arrived.length);
  await Promise.all([stage.close(), ...all.map(({ phone }) => phone.next('BYE'))]);
  for (const [at, { phone }] of all.entries()) {
    t.same(phone.arrived.slice(come[at]).sort(), watchers.includes(phone) ? ['BYE', 'NOTIFY'] : ['BYE']);
  }
  const farewells = await Promise.all(watchers.map((watcher) => watcher.next('NOTIFY')));
  for (const { headers, body } of farewells) {
    t.match(headers.get('Subscription-State'), /^terminated;reason=noresource/, 'RFC 6665 §4.1.3');
    t.match(Buffer.from(body).toString(), /state="deleted"/, 'RFC 4575 §5.2: all are gone');
    t.notMatch(Buffer.from(body).toString(), /<user/, 'and nobody is named');
  }
});

t.test('RFC 3261 §21.5.14: a header line that is too long is answered 513, however long it is', async (t) => {
  const stage = await raise('sip.header_line=2KiB');
  t.teardown(() => stage.close());
  for (const [octets, status] of [
    [1_500, '200'],
    [3_000, '513'],
    [30_000, '513'],
    [60_000, '513'],
  ] as const) {
    const socket = connect({ port: stage.sip, host: '127.0.0.1' });
    const from = `From: "${'x'.repeat(octets)}" <sip:alice@127.0.0.1>;tag=1`;
    const via = 'Via: SIP/2.0/TCP 127.0.0.1;branch=z9hG4bKlong';
    const rest = `To: <${ROOM}>\r\nCall-ID: long\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0`;
    socket.write(`OPTIONS ${ROOM} SIP/2.0\r\n${via}\r\n${from}\r\n${rest}\r\n\r\n`);
    const [answer] = (await once(socket, 'data')) as [Buffer];
    socket.destroy();
    t.equal(answer.toString('latin1', 8, 11), status, `${String(octets)} octets`);
  }
});

t.test('the bounds of calls from one address are as configured', async (t) => {
  const given = ['dialogs_per_address=7', 'pending_invites=6', 'pending_invites_per_address=5'];
  const limits = userAgentLimits(readConfig({ options: given.map((each) => `sip.${each}`) }));
  t.match(limits, { dialogsPerAddress: 7, pendingInvites: 6, pendingInvitesPerAddress: 5 });
});
