import { createHash } from 'node:crypto';
import t from 'tap';
import { MsrpLine } from './msrp-line.ts';
import { type Extra, SipPhone } from './sip-phone.ts';
import { join, type Member, messageSdp, newPath, raise, ROOM, type Stage } from './stage.ts';

/** What a client says of a file that it wants to send. */
interface Wish {
  readonly name?: string;
  readonly type?: string;
  readonly size: number;
  readonly sha1?: string;
  readonly direction?: string;
  readonly port?: number;
}

let transfers = 0;

function sha1(content: string): string {
  const digest = createHash('sha1').update(content, 'latin1').digest('hex').toUpperCase();
  return digest.match(/../g)?.join(':') ?? '';
}

function fileLine(path: string, wish: Wish, id = `transfer${String((transfers += 1))}`): string[] {
  const { name = 'beach "1".jpg', type = 'image/jpeg', size, sha1: hash, direction = 'sendonly', port = 9 } = wish;
  const selector = [
    `name:"${name.replaceAll('"', '%22')}"`,
    ...[`type:${type}`, `size:${String(size)}`],
    ...(hash === undefined ? [] : [`hash:sha-1:${hash}`]),
  ];
  return [
    ...[
      `m=message ${String(port)} TCP/MSRP *`,
      `a=${direction}`,
      'a=accept-types:message/cpim',
      'a=accept-wrapped-types:*',
    ],
    ...['a=setup:active', `a=path:${path}`, `a=file-selector:${selector.join(' ')}`, `a=file-transfer-id:${id}`],
    ...['a=file-disposition:attachment', 'a=file-date:creation:"Mon, 15 May 2006 15:01:31 +0300"'],
  ];
}

/** The lines of an answer, by media line. */
function linesOf(body: Uint8Array | string): string[] {
  return Buffer.from(body).toString().split(/^m=/m).slice(1);
}

/** Offers a file by re-INVITE. */
async function offerFile(member: Member, wish: Wish, id?: string) {
  const own = newPath();
  const chat = messageSdp(member.line.own, fileLine(own, wish, id));
  const response = await member.phone.within(member.dialog, 'INVITE', { contentType: 'application/sdp', body: chat });
  member.phone.ack(member.dialog);
  const [, line = ''] = linesOf(response.body);
  const path = /^a=path:(\S+)/m.exec(line)?.[1] ?? '';
  return { response, line, own, path };
}

/** Sends octets in chunks; gives the answers. */
async function send(line: MsrpLine, content: string, type = 'image/jpeg', step = 50_000): Promise<string[]> {
  const answers: string[] = [];
  const id = `file${String((transfers += 1))}`;
  for (let at = 0; at < content.length; at += step) {
    const headers = [
      `Message-ID: ${id}`,
      `Byte-Range: ${String(at + 1)}-*/${String(content.length)}`,
      `Content-Type: ${type}`,
    ];
    const flag = at + step < content.length ? '+' : '$';
    const transaction = line.send('SEND', headers, content.slice(at, at + step), flag);
    const { what, comment } = await line.next((frame) => frame.id === transaction && /^\d/.test(frame.what));
    answers.push(comment === 'OK' ? what : `${what} ${comment}`);
    if (what !== '200') break;
  }
  return answers;
}

/** The next message that comes in chunks, put together. */
async function receive(member: Member, contains: string): Promise<{ readonly text: string; readonly flag: string }> {
  const first = await member.line.next((frame) => frame.what === 'SEND' && frame.body?.includes(contains) === true);
  const id = first.headers.get('Message-ID');
  let text = '';
  for (let frame = first; ; frame = await member.line.next((next) => next.headers.get('Message-ID') === id)) {
    text += frame.body ?? '';
    if (frame.flag !== '+') return { text, flag: frame.flag };
  }
}

const small = 'a small picture '.repeat(100);
const large = 'a large picture '.repeat(20_000);

t.test('RFC 5547 §8.3.1: a second message line brings a file to all, in CPIM, and the answer says which', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const [alice, bob] = [await join(stage, 'alice'), await join(stage, 'bob')];
  for (const content of [small, large]) {
    const { response, line, own, path } = await offerFile(alice, { size: content.length, sha1: sha1(content) });
    t.equal(response.status, 200);
    const [chat] = linesOf(response.body);
    t.match(alice.answer, /^a=path:(\S+)/m.exec(chat ?? '')?.[0], 'the chat is as it was');
    t.match(line, /^a=recvonly\r$/m);
    t.match(line, /^a=setup:passive\r$/m);
    t.match(line, `a=file-selector:name:"beach %221%22.jpg" type:image/jpeg size:${String(content.length)}\r\n`);
    t.match(line, /^a=file-transfer-id:transfer\d+\r$/m);
    t.match(line, /^a=max-size:\d+\r$/m);
    t.notMatch(line, /file-(?:disposition|date|icon)/);
    t.match(line, /^a=accept-types:message\/cpim \*\r$/m);
    t.notMatch(line, /accept-wrapped-types/, 'RFC 4975 §8.6: no type stands in both');
    const heard = receive(bob, 'beach');
    const session = await MsrpLine.bind(own, path);
    t.same(new Set(await send(session, content)), new Set(['200']));
    const { text, flag } = await heard;
    t.equal(flag, '$');
    t.match(text, `From: <${alice.uri}>`);
    t.match(text, `To: <${ROOM}>`);
    t.match(text, 'Content-Type: image/jpeg\r\n');
    t.match(
      text,
      `Content-Disposition: attachment; filename="beach \\"1\\".jpg"; size=${String(content.length)}\r\n\r\n`,
    );
    t.ok(text.endsWith(`\r\n\r\n${content}`), 'every octet');
    t.match(await send(session, content), ['413 this line was for one file']);
    t.equal(await alice.say(`that was ${String(content.length)}`), '200');
    await bob.hears(`that was ${String(content.length)}`);
  }
  t.same(alice.line.heard(), [], 'nothing comes back to its sender');
});

t.test('RFC 5547 §8.3.1: a file in an INVITE, before its sender is in the room', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const bob = await join(stage, 'bob');
  const phone = await SipPhone.connect('alice', stage.sip);
  const [chat, own] = [newPath(), newPath()];
  const body = messageSdp(chat, fileLine(own, { size: large.length, sha1: sha1(large) }));
  const { response, dialog } = await phone.request('INVITE', ROOM, { contentType: 'application/sdp', body });
  const [, line = ''] = linesOf(response.body);
  const heard = receive(bob, 'beach');
  // Without an ACK it is nobody yet.
  const session = await MsrpLine.bind(own, /^a=path:(\S+)/m.exec(line)?.[1] ?? '');
  const sent = send(session, large, 'image/jpeg', large.length);
  phone.ack(dialog);
  t.same(await sent, ['200']);
  t.ok((await heard).text.endsWith(large));
});

t.test('RFC 5547 §8.3.1: what is not the file that was announced has failed, and its sender is told', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const [alice, bob] = [await join(stage, 'alice'), await join(stage, 'bob')];
  const attempt = async (content: string, wish: Wish): Promise<string | undefined> => {
    const { own, path } = await offerFile(alice, wish);
    const answers = await send(await MsrpLine.bind(own, path), content);
    return answers.at(-1);
  };
  t.equal(
    await attempt(small, { size: small.length, sha1: sha1('another') }),
    '400 not the file that was announced: its hash is another',
  );
  t.equal(await attempt(small, { size: 2000 }), '400 1600 octets instead of the 2000 announced');
  t.equal(await attempt(small, { size: 1000 }), '413 larger than the 1000 octets announced');
  t.equal(await alice.say('three failed'), '200');
  await bob.hears('three failed');
  t.same(bob.line.heard(), [], 'nothing of them is passed on');
  const heard = receive(bob, 'beach');
  t.match(await attempt(large, { size: large.length, sha1: sha1('another') }), /^400 not the file/);
  t.equal((await heard).flag, '#', 'what was under way is given up for all');
});

t.test('RFC 5547 §8.2.1: a file is given up for all when its line is closed, or its sender leaves', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const [alice, bob] = [await join(stage, 'alice'), await join(stage, 'bob')];
  for (const end of ['close', 'leave']) {
    const wish = { size: large.length };
    const { own, path } = await offerFile(alice, wish, `ended-${end}`);
    const session = await MsrpLine.bind(own, path);
    const heard = receive(bob, 'beach');
    const transaction = session.send(
      'SEND',
      [`Message-ID: ended-${end}`, `Byte-Range: 1-*/${String(large.length)}`, 'Content-Type: image/jpeg'],
      large.slice(0, 100_000),
      '+',
    );
    await session.next((frame) => frame.id === transaction);
    if (end === 'close') {
      const { response, line } = await offerFile(alice, { ...wish, port: 0 }, `ended-${end}`);
      t.equal(response.status, 200);
      t.match(line, /^message 0 /);
    } else await alice.leave();
    t.equal((await heard).flag, '#', end);
  }
});

t.test('RFC 5547 §8.3.1: a repeated offer changes nothing, and the file goes on', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const [alice, bob] = [await join(stage, 'alice'), await join(stage, 'bob')];
  const wish = { size: small.length };
  const first = await offerFile(alice, wish, 'again');
  const body = messageSdp(alice.line.own, fileLine(first.own, wish, 'again'));
  const again = await alice.phone.within(alice.dialog, 'INVITE', { contentType: 'application/sdp', body });
  alice.phone.ack(alice.dialog);
  t.equal(/^a=path:(\S+)/m.exec(linesOf(again.body)[1] ?? '')?.[1], first.path);
  const heard = receive(bob, 'beach');
  t.same(await send(await MsrpLine.bind(first.own, first.path), small), ['200']);
  await heard;
});

t.test('RFC 5547: files that are not taken have port 0, and the chat goes on', async (t) => {
  const stage = await raise('msrp.max_message=200kB', 'msrp.queue_bytes=1MiB');
  t.teardown(() => stage.close());
  const alice = await join(stage, 'alice');
  for (const [wish, why] of [
    [{ size: 10, direction: 'recvonly' }, 'a file that is asked for'],
    [{ size: 300_000 }, 'a file that is too large'],
  ] as const) {
    const { response, line } = await offerFile(alice, wish);
    t.equal(response.status, 200);
    t.match(line, /^message 0 /, why);
    t.match(
      line,
      /^a=file-selector:name:"beach %221%22\.jpg" type:image\/jpeg size:\d+\r\na=file-transfer-id:\w+\r$/m,
      '§8.3',
    );
  }
  t.equal(await alice.say('still here'), '200');
});

/** Calls a room with nothing but lines for files. */
async function callForFile(stage: Stage, name: string, wish: Wish, extra: Extra = {}) {
  const phone = await SipPhone.connect(name, stage.sip);
  phone.instance = extra.instance;
  const own = newPath();
  const [head = ''] = messageSdp(own).split('m=message');
  const body = `${head}${fileLine(own, wish).join('\r\n')}\r\n`;
  const { response, dialog } = await phone.request('INVITE', ROOM, { contentType: 'application/sdp', body, ...extra });
  if (response.status === 200) phone.ack(dialog);
  const [line = ''] = linesOf(response.body);
  return { phone, dialog, response, line, own, path: /^a=path:(\S+)/m.exec(line)?.[1] ?? '' };
}

t.test(
  'RFC 5547 §8.3.1: a call of its own brings a file of who is in the room, and takes part in nothing',
  async (t) => {
    const stage = await raise('msrp.grace=100ms');
    t.teardown(() => stage.close());
    const instance = 'urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6';
    const alice = await join(stage, 'alice', ROOM, { instance });
    const desk = await join(stage, 'alice', ROOM, { instance: 'urn:uuid:00000000-0000-0000-0000-000000000002' });
    const bob = await join(stage, 'bob');
    for (const content of [small, large]) {
      const call = await callForFile(stage, 'alice', { size: content.length, sha1: sha1(content) }, { instance });
      t.equal(call.response.status, 200);
      t.match(call.line, /^a=recvonly\r$/m);
      t.notMatch(call.line, /^a=chatroom/m);
      const [heard, atDesk] = [receive(bob, 'beach'), receive(desk, 'beach')];
      t.same(new Set(await send(await MsrpLine.bind(call.own, call.path), content)), new Set(['200']));
      t.match((await heard).text, /^From: <sip:alice@127\.0\.0\.1>\r\nTo: <sip:lobby@127\.0\.0\.1>\r\n/);
      t.ok((await atDesk).text.endsWith(content), 'her other device gets it, too');
      t.match((await call.phone.next('BYE')).headers.get('Reason'), /no more files/, 'it ends after its last file');
    }
    await bob.say('end');
    await alice.hears('end');
    t.same(alice.line.heard(), [], 'not the device that has sent it');
    const roster = await bob.phone.request('SUBSCRIBE', ROOM, { headers: ['Event: conference', 'Expires: 60'] });
    t.equal(roster.response.status, 200);
    const document = Buffer.from((await bob.phone.next('NOTIFY')).body).toString();
    t.equal(document.match(/<endpoint /g)?.length, 3, 'in the roster are the three who take part');
  },
);

t.test(
  'RFC 5547: a call for a file is refused in words to who is not in the room, and ends with who leaves',
  async (t) => {
    const stage = await raise('msrp.max_message=200kB');
    t.teardown(() => stage.close());
    const { response: stranger } = await callForFile(stage, 'carol', { size: 10 });
    t.equal(stranger.status, 403);
    t.match(stranger.headers.get('Warning'), 'You are not a participant of this conference');
    const alice = await join(stage, 'alice');
    const { response: asks } = await callForFile(stage, 'alice', { size: 10, direction: 'recvonly' });
    t.equal(asks.status, 488);
    t.match(asks.headers.get('Warning'), 'no files to be had here');
    const { response: huge } = await callForFile(stage, 'alice', { size: 300_000 });
    t.match(huge.headers.get('Warning'), 'files of at most 200000 octets');
    const calls = [];
    for (let i = 0; i < 8; i += 1) calls.push(await callForFile(stage, 'alice', { size: 100_000 }));
    t.same(new Set(calls.map(({ response }) => response.status)), new Set([200]));
    t.equal((await callForFile(stage, 'alice', { size: 10 })).response.status, 486, 'eight at once');
    await alice.leave();
    for (const call of calls) t.match((await call.phone.next('BYE')).headers.get('Reason'), /its sender has left/);
  },
);

t.test('RFC 5547 §8.1: a file-transfer-id that stands for another file than before is refused', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const [alice, bob] = [await join(stage, 'alice'), await join(stage, 'bob')];
  const own = newPath();
  const offer = async (wish: Wish) => {
    const body = messageSdp(alice.line.own, fileLine(own, wish, 'once'));
    const response = await alice.phone.within(alice.dialog, 'INVITE', { contentType: 'application/sdp', body });
    alice.phone.ack(alice.dialog);
    return linesOf(response.body)[1] ?? '';
  };
  const hash = sha1(small);
  const path = /^a=path:(\S+)/m.exec(await offer({ size: small.length }))?.[1] ?? '';
  const heard = receive(bob, 'beach');
  t.same(await send(await MsrpLine.bind(own, path), small), ['200']);
  t.ok((await heard).text.endsWith(small));
  t.match(await offer({ size: small.length, sha1: hash }), `a=path:${path}`, 'the same, told more exactly');
  for (const wish of [{ size: 7 }, { size: small.length, name: 'other.jpg' }, { size: small.length, type: 'a/b' }]) {
    const line = await offer(wish);
    t.match(line, /^message 0 /);
    t.match(line, /^a=file-transfer-id:once\r$/m, 'RFC 5547 §8.3: as it was offered');
  }
  t.match(await offer({ size: small.length, sha1: hash }), /^message [1-9]/, 'the one that it always stood for');
  t.equal(await alice.say('still here'), '200');
  await bob.hears('still here');
});

t.test('RFC 5547 §8.4: the line of a file that is refused half-way is closed by an offer of ours', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const [alice, bob] = [await join(stage, 'alice'), await join(stage, 'bob')];
  const { own, path } = await offerFile(alice, { size: large.length }, 'toolarge');
  const line = await MsrpLine.bind(own, path);
  const answers = await send(line, `${large}and more`);
  t.match(answers.at(-1), /^413 larger than the 320000 octets announced/);
  const [chat = '', file = ''] = linesOf((await alice.phone.next('INVITE')).body);
  t.match(chat, `a=path:${alice.line.room}`);
  t.match(file, /^message 0 TCP\/MSRP \*/);
  for (const attribute of ['a=recvonly', 'a=file-transfer-id:toolarge']) t.match(file, `${attribute}\r\n`);
  t.match(file, /^a=file-selector:.*size:320000\r$/m);
  t.equal(await alice.say('as before'), '200');
  await bob.hears('as before');
});

t.test('RFC 5547: where strangers may say something, they may send a file', async (t) => {
  const stage = await raise('rooms.defaults.strangers=allow');
  t.teardown(() => stage.close());
  const bob = await join(stage, 'bob');
  const call = await callForFile(stage, 'carol', { size: small.length });
  const heard = receive(bob, 'beach');
  t.same(await send(await MsrpLine.bind(call.own, call.path), small), ['200']);
  t.match((await heard).text, /^From: <sip:carol@/);
  await call.phone.within(call.dialog, 'BYE');
});

t.test('RFC 5547 §9.1: a file that comes in CPIM goes on as it is', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const [alice, bob] = [await join(stage, 'alice'), await join(stage, 'bob')];
  for (const content of [small, large]) {
    const { own, path } = await offerFile(alice, { size: content.length, sha1: sha1(content) });
    const head = `From: <${alice.uri}>\r\nTo: <${ROOM}>\r\n\r\nContent-Type: image/jpeg\r\n\r\n`;
    const heard = receive(bob, 'image/jpeg');
    t.same(
      new Set(await send(await MsrpLine.bind(own, path), head + content, 'message/cpim', 60_001)),
      new Set(['200']),
    );
    t.ok((await heard).text === head + content);
  }
});

t.test('RFC 7701 §6.1: who cannot take the type of a file is told its name, type and size', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const alice = await join(stage, 'alice');
  const own = newPath();
  const body = messageSdp(own).replace('accept-wrapped-types:*', 'accept-wrapped-types:text/plain');
  const bob = await join(stage, 'bob', ROOM, { body, contentType: 'application/sdp' }, own);
  for (const content of [small, large]) {
    const offered = await offerFile(alice, { size: content.length, name: 'beach.jpg' });
    t.equal((await send(await MsrpLine.bind(offered.own, offered.path), content)).at(-1), '200');
    const { text } = await receive(bob, '[beach.jpg, image/jpeg, ');
    t.match(text, `From: <${alice.uri}>`);
  }
  const tight = newPath();
  const carol = await join(stage, 'carol', ROOM, { body: messageSdp(tight, ['a=max-size:500']) }, tight);
  for (const [member, type] of [
    [bob, 'image/gif'],
    [carol, 'image/png'],
  ] as const) {
    const nameless = `From: <${alice.uri}>\r\nTo: <${ROOM}>\r\n\r\nContent-Type: ${type}\r\n\r\n${'x'.repeat(1000)}`;
    t.same(await send(alice.line, nameless, 'message/cpim'), ['200'], 'also in the chat, and without a name');
    await member.line.hears(`[${type}, 1000 bytes]`);
  }
});

t.test('RFC 5547 §6: the name of a file is given on as a name, whatever it is', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const [alice, bob] = [await join(stage, 'alice'), await join(stage, 'bob')];
  const offered = await offerFile(alice, { size: small.length, name: '../../etc/x%0D%0AX-Evil: y' });
  const heard = receive(bob, 'image/jpeg');
  t.same(await send(await MsrpLine.bind(offered.own, offered.path), small), ['200']);
  const { text } = await heard;
  t.match(text, 'Content-Disposition: attachment; filename="xX-Evil: y"; size=');
});

t.test('a file that begins like a command is a file', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const [alice, bob] = [await join(stage, 'alice'), await join(stage, 'bob')];
  const content = '/subject gone';
  const { own, path } = await offerFile(alice, { size: content.length, name: 'orders.txt', type: 'text/plain' });
  const heard = receive(bob, 'orders.txt');
  t.same(await send(await MsrpLine.bind(own, path), content, 'text/plain'), ['200']);
  t.ok((await heard).text.endsWith(content));
});

t.test('RFC 3264 §8: offers of the room keep the line of a file while it lives, and close it then', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const [alice, bob] = [await join(stage, 'alice'), await join(stage, 'bob')];
  const { own, path } = await offerFile(bob, { size: small.length });
  const line = await MsrpLine.bind(own, path);
  const offered = async (order: string): Promise<string> => {
    t.equal(await alice.say(order), '200');
    return linesOf((await bob.phone.next('INVITE')).body)[1] ?? '';
  };
  bob.phone.sdp = messageSdp(bob.line.own, fileLine(own, { size: small.length }));
  const kept = await offered('/mute bob');
  t.match(kept, `a=path:${path}\r\n`);
  t.match(kept, /^a=recvonly\r$/m);
  t.match((await send(line, small)).at(-1), /^403 /, 'who may not speak sends no files');
  bob.phone.sdp = messageSdp(bob.line.own, fileLine(own, { size: small.length, port: 0 }));
  t.match(await offered('/unmute bob'), `a=path:${path}\r\n`);
  await line.closed;
  t.match(await offered('/mute bob'), /^message 0 /);
  t.equal(await alice.say('the call goes on'), '200');
  await bob.hears('the call goes on');
});

t.test('RFC 5547: how many files at a time is configured', async (t) => {
  const stage = await raise('msrp.files_at_once=1');
  t.teardown(() => stage.close());
  const alice = await join(stage, 'alice');
  const own = newPath();
  const [chat, ...files] = [messageSdp(alice.line.own), fileLine(own, { size: 10 }), fileLine(own, { size: 10 })];
  const body = [chat.trimEnd(), ...files.flat(), ''].join('\r\n');
  const response = await alice.phone.within(alice.dialog, 'INVITE', { contentType: 'application/sdp', body });
  alice.phone.ack(alice.dialog);
  t.match(linesOf(response.body), [/^message (?!0 )/, /^message (?!0 )/, /^message 0 /], 'lines of one call');
  const calls = [];
  for (let i = 0; i < 2; i += 1) calls.push(await callForFile(stage, 'alice', { size: 10 }));
  t.same(
    calls.map((call) => call.response.status),
    [200, 486],
    'calls of one user',
  );
});
