import t, { type Test } from 'tap';
import type { URI } from 'sip.js';
import { WebSocket, WebSocketServer } from 'ws';
import { type AddressInfo, connect } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join as joinPath } from 'node:path';
import { mock } from 'node:test';
import { formatMsrpPath, parseMsrpMedia } from '../../msrp/index.ts';
import {
  type ChatMessage,
  ClientError,
  type ClientOptions,
  joinRoom,
  keepWatching,
  type Receipt,
  type Room,
  type RosterChange,
  stayInRoom,
  sameAddress,
  userPart,
  watchRoom,
} from '../../src/client/index.ts';
import { ComingBack } from '../../src/client/coming-back.ts';
import { parseSdp } from '../../src/client/description.ts';
import { defaultServer, identityOf, parseRoomUri } from '../../src/client/identity.ts';
import { movedTo, Targets } from '../../src/client/redirect.ts';
import { changeBetween, type Participant } from '../../src/client/roster.ts';
import { nodeWebSocket } from '../../src/client/transport/node.ts';
import { makeCertificate } from '../../src/ops/certificate.ts';
import { ownAddress } from '../own-address.ts';
import { join, messageSdp, newPath, raise, ROOM, type Stage } from '../plays/stage.ts';

/** What a room has told, and a way to wait for it. */
class Diary {
  readonly messages: ChatMessage[] = [];
  readonly changes: (RosterChange | undefined)[] = [];
  readonly closings: ClientError[] = [];
  readonly composing: string[] = [];
  readonly receipts: string[] = [];
  #wake: () => void = () => undefined;

  readonly handlers = {
    message: (message: ChatMessage) => this.#note(() => this.messages.push(message)),
    roster: (_: unknown, change: RosterChange | undefined) => this.#note(() => this.changes.push(change)),
    composing: (from: string, active: boolean) => this.#note(() => this.composing.push(`${from} ${String(active)}`)),
    receipt: ({ messageId, from, status }: Receipt) =>
      this.#note(() => this.receipts.push(`${messageId} ${from} ${status}`)),
    closed: (why: ClientError) => this.#note(() => this.closings.push(why)),
  };

  async until<T>(find: () => T | undefined | false): Promise<T> {
    for (;;) {
      const found = find();
      if (found !== undefined && found !== false) return found;
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  joined(name: string): Promise<Participant> {
    return this.until(() => this.changes.flatMap((change) => change?.joined ?? []).find((one) => one.name === name));
  }

  left(name: string): Promise<Participant> {
    return this.until(() => this.changes.flatMap((change) => change?.left ?? []).find((one) => one.name === name));
  }

  heard(text: string): Promise<ChatMessage> {
    return this.until(() => this.messages.find((message) => message.text === text));
  }

  #note(take: () => unknown): void {
    take();
    this.#wake();
  }
}

const serverOf = (stage: Stage): string => {
  const { host, port } = stage.service.addresses.find(({ protocol }) => protocol === 'HTTP') ?? { host: '', port: 0 };
  return `ws://${host}:${port}/ws`;
};
const optionsFor = (stage: Stage, name: string): ClientOptions => ({
  name,
  webSocket: nodeWebSocket,
  server: serverOf(stage),
});
const enter = async (
  stage: Stage,
  name: string,
  more: Partial<ClientOptions> = {},
): Promise<{ room: Room; diary: Diary }> => {
  const diary = new Diary();
  return { room: await joinRoom(ROOM, { ...optionsFor(stage, name), ...more }, diary.handlers), diary };
};

t.test('RFC 7977 and RFC 7701: people talk over WebSocket', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const alice = await enter(stage, 'Alice Ä.');
  await alice.diary.until(() => alice.diary.changes.length > 0);
  const bob = await enter(stage, 'Bob');
  const seen = await alice.diary.joined('Bob');
  t.equal(seen.uri, 'sip:bob@127.0.0.1');
  t.equal(bob.room.uri, ROOM);
  t.ok(bob.room.features.includes('private-messages'));

  const said = await alice.room.say('Grüße\nan alle 👋');
  t.equal(said.said, true);
  const heard = await bob.diary.heard('Grüße\nan alle 👋');
  t.equal(heard.fromName, 'Alice Ä.');
  t.equal(heard.from, alice.room.ownUri);
  t.equal(heard.messageId, said.messageId, 'known by the same id at both ends');
  t.equal(heard.private, false);
  t.same(alice.diary.messages, [], 'nobody hears himself');

  const carol = await join(stage, 'carol');
  await carol.say('hello from a telephone');
  const fromCarol = await bob.diary.heard('hello from a telephone');
  t.equal(userPart(fromCarol.from), 'carol');
  await bob.room.say('hello Carol');
  await carol.hears('hello Carol');

  t.equal(alice.room.view.entity, ROOM);
  t.same(
    alice.room.view.description?.serviceUris.map(({ purpose, uri }) => [purpose, uri]),
    [['grouptextchat', ROOM]],
    'RFC 7106: the room is advertised',
  );
  await bob.room.leave();
  await alice.diary.left('Bob');
  t.same(bob.diary.closings, [], 'who leaves is not told that he has left');
  t.match(await bob.room.say('too late'), { said: false });
  await carol.leave();
  await alice.room.leave();
  await alice.room.leave();
});

t.test('RFC 4975 §6: people talk over wss where a proxy of this machine ends the TLS', async (t) => {
  const stage = await raise('rooms.defaults.require_tls=true');
  t.teardown(() => stage.close());
  const { port } = new URL(serverOf(stage));
  const { certificate: cert, key } = await makeCertificate(['localhost']);
  const proxy = createTlsServer({ cert, key }, (outside) => {
    const inside = connect(Number(port), '127.0.0.1');
    outside.pipe(inside).pipe(outside);
    for (const socket of [outside, inside]) socket.on('error', () => socket.destroy());
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  t.teardown(() => proxy.close());
  const server = `wss://127.0.0.1:${String((proxy.address() as AddressInfo).port)}/ws`;
  const webSocket: ClientOptions['webSocket'] = (url, protocol) =>
    new WebSocket(url, protocol, { rejectUnauthorized: false });
  const [alice, bob] = [
    await enter(stage, 'Alice', { server, webSocket }),
    await enter(stage, 'Bob', { server, webSocket }),
  ];
  t.match(await alice.room.say('behind a proxy'), { said: true });
  await bob.diary.heard('behind a proxy');
  await bob.room.leave();
  await alice.room.leave();
});

t.test('who comes through a proxy is known by his own address, where that is configured', async (t) => {
  for (const [forwarded, address] of [
    ['true', '203.0.113.7'],
    ['false', '127.0.0.1'],
  ] as const) {
    const stage = await raise('rooms.defaults.pin=4711', `http.forwarded_for=${forwarded}`);
    t.teardown(() => stage.close());
    const webSocket: ClientOptions['webSocket'] = (url, protocol) =>
      new WebSocket(url, protocol, { headers: { 'X-Forwarded-For': '203.0.113.7' } });
    await t.rejects(enter(stage, 'Eve', { webSocket, password: '1234' }));
    const line = stage.lines.find((each) => each.includes('is not let in: pin-wrong'));
    t.match(line, `sip:eve@127.0.0.1 from ${address} `);
    const { room } = await enter(stage, 'Eve', { webSocket, password: '4711' });
    t.match(await room.say('it was 4711'), { said: true });
    await room.leave();
  }
});

t.test('RFC 7701 §6.2: what is said to one alone', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const [alice, bob] = [await enter(stage, 'Alice'), await enter(stage, 'Bob')];
  const carol = await join(stage, 'carol');
  t.match(await alice.room.say('psst', carol.uri), { said: true });
  const { body = '' } = await carol.line.hears('psst');
  t.same(
    body.match(/^(?:To|From|cc):.*$/gim)?.map((line) => /<(.*)>/.exec(line)?.[1]),
    [alice.room.ownUri, carol.uri],
  );
  t.equal((await carol.line.say(carol.uri, alice.room.ownUri, 'what?')).what, '200');
  t.match(await alice.diary.heard('what?'), { private: true, from: carol.uri });
  await carol.say('for all');
  t.match(await bob.diary.heard('for all'), { private: false });
  t.same(
    bob.diary.messages.map(({ text }) => text),
    ['for all'],
    'and nothing before it',
  );
});

t.test('RFC 7701 §11: of HTML its text is told, and the HTML itself is the content', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const bob = await enter(stage, 'Bob');
  const carol = await join(stage, 'carol');
  const says = async (html: string): Promise<void> => {
    const head = `From: <${carol.uri}>\r\nTo: <${ROOM}>\r\n\r\nContent-Type: text/html; charset=utf-8\r\n\r\n`;
    const size = String(Buffer.byteLength(head + html));
    const headers = [`Message-ID: html-${size}`, `Byte-Range: 1-${size}/${size}`, 'Content-Type: message/cpim'];
    t.equal((await carol.line.request('SEND', headers, head + html)).what, '200');
  };
  const html = '<style>p { color: red }</style><p>Gr&uuml;&szlig;e an <b>alle</b> 👋</p><script>alert(1)</script>';
  await says(html);
  const heard = await bob.diary.heard('Grüße an alle 👋');
  t.match(heard, { contentType: 'text/html', fileName: undefined });
  t.equal(Buffer.from(heard.content).toString(), html);
  await says('<img src="https://example.org/tracker">');
  await carol.say('that was a picture');
  await bob.diary.heard('that was a picture');
  t.equal(bob.diary.messages.at(-2)?.text, undefined, 'HTML without a word in it is no text');
  await bob.room.leave();
});

t.test('RFC 3994: who writes', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const alice = await enter(stage, 'Alice');
  const bob = await enter(stage, 'Bob');
  alice.room.composing(true);
  await bob.diary.until(() => bob.diary.composing.includes('sip:alice@127.0.0.1 true'));
  alice.room.composing(false);
  await bob.diary.until(() => bob.diary.composing.includes('sip:alice@127.0.0.1 false'));
  await Promise.all([alice.room.leave(), bob.room.leave()]);
});

t.test('RFC 5438: who has read what', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const alice = await enter(stage, 'Alice', { receipts: true });
  const bob = await enter(stage, 'Bob');
  const said = await alice.room.say('read this');
  const heard = await bob.diary.heard('read this');
  t.ok(heard.wantsReceipt);
  bob.room.seen(heard);
  await alice.diary.until(() => alice.diary.receipts.includes(`${said.messageId} sip:bob@127.0.0.1 displayed`));
  await bob.room.say('no wish');
  const plain = await alice.diary.heard('no wish');
  t.notOk(plain.wantsReceipt);
  alice.room.seen(plain);
  t.match(alice.room.server, /^grouptextchat/);
  await Promise.all([alice.room.leave(), bob.room.leave()]);
});

t.test('RFC 5438 §7.2.1, §11.1.4: a notification goes the way that the message came, once', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const alice = await join(stage, 'alice');
  const bob = await enter(stage, 'Bob');
  const body = [
    ...[`From: <${alice.uri}>`, `To: <${ROOM}>`, 'DateTime: 2026-01-01T00:00:00Z', 'NS: imdn <urn:ietf:params:imdn>'],
    ...[
      'imdn.Message-ID: read12345',
      'imdn.Disposition-Notification: display',
      'imdn.Original-To: <sip:b@old.example>',
    ],
    ...['imdn.IMDN-Record-Route: <sip:second@example.com>', 'imdn.IMDN-Record-Route: <sip:first@example.com>'],
    ...['', 'Content-Type: text/plain', '', 'read this'],
  ].join('\r\n');
  const size = String(body.length);
  const headers = ['Message-ID: read12345', `Byte-Range: 1-${size}/${size}`, 'Content-Type: message/cpim'];
  t.equal((await alice.line.request('SEND', headers, body)).what, '200');
  const heard = await bob.diary.heard('read this');
  bob.room.seen(heard);
  bob.room.seen(heard);
  await bob.room.say('that was it');
  const notification = (await alice.line.hears('<displayed/>')).body ?? '';
  const routes = notification.split('\r\n').filter((line) => line.includes('Route'));
  t.same(routes, ['imdn.IMDN-Route: <sip:second@example.com>', 'imdn.IMDN-Route: <sip:first@example.com>']);
  t.match(notification, '<original-recipient-uri>sip:b@old.example</original-recipient-uri>');
  await alice.hears('that was it');
  t.same(alice.line.heard(), [], 'once');
  await bob.room.leave();
});

t.test('RFC 3862 §3.5, RFC 4975 §13: what must be understood and is not is not shown as if it were', async (t) => {
  const stage = await raise('peers=[{user_agent: "Bare/*", bare_text: true}]');
  t.teardown(() => stage.close());
  const alice = await join(stage, 'alice');
  const bob = await enter(stage, 'Bob');
  const own = newPath();
  const plain = messageSdp(own).replace('message/cpim', 'text/plain');
  const carol = await join(stage, 'carol', ROOM, { body: plain, headers: ['User-Agent: Bare/1.0'] }, own);
  const say = async (head: readonly string[], text: string): Promise<string> => {
    const from = [`From: <${alice.uri}>`, `To: <${ROOM}>`];
    const body = [...from, ...head, '', 'Content-Type: text/plain', '', text].join('\r\n');
    const size = String(body.length);
    const headers = [`Message-ID: ${text}`, `Byte-Range: 1-${size}/${size}`, 'Content-Type: message/cpim'];
    return (await alice.line.request('SEND', headers, body)).what;
  };
  const vital = ['NS: My <mid:MessageFeatures@id.foo.com>', 'Require: My.VitalMessageOption'];
  t.equal(await say(vital, 'negated'), '200', 'the room passes it on');
  t.equal(await say(['NS: imdn <urn:ietf:params:imdn>', 'Require: imdn.Message-ID,To'], 'as-usual'), '200');
  const words = '[a message that cannot be shown here, since it needs My.VitalMessageOption]';
  t.equal((await carol.line.hears('alice')).body, `alice: ${words}`);
  t.equal((await carol.line.hears('alice')).body, 'alice: as-usual');
  await bob.diary.heard('as-usual');
  t.same(
    bob.diary.messages.map(({ text }) => text),
    [words, 'as-usual'],
  );
  await bob.room.leave();
});

t.test('RFC 4975 §7.3.1, §14.3: of a multipart people read its text', async (t) => {
  const stage = await raise('peers=[{user_agent: "Bare/*", bare_text: true}]');
  t.teardown(() => stage.close());
  const alice = await join(stage, 'alice');
  const bob = await enter(stage, 'Bob');
  const own = newPath();
  const bare = messageSdp(own).replace('message/cpim', 'text/plain');
  const carol = await join(stage, 'carol', ROOM, { body: bare, headers: ['User-Agent: Bare/1.0'] }, own);
  const say = async (type: string, ...parts: readonly (readonly string[])[]): Promise<void> => {
    const content = parts.map((part) => ['--cut', ...part, ''].join('\r\n')).join('');
    const head = [`From: <${alice.uri}>`, `To: <${ROOM}>`, '', `Content-Type: ${type};boundary=cut`, '', ''];
    const body = `${head.join('\r\n')}${content}--cut--`;
    const size = String(body.length);
    const headers = [`Message-ID: ${type.slice(10)}`, `Byte-Range: 1-${size}/${size}`, 'Content-Type: message/cpim'];
    t.equal((await alice.line.request('SEND', headers, body)).what, '200');
  };
  const html = ['Content-Type: text/html', '', '<b>hello</b>'];
  const plain = ['Content-Type: text/plain', '', 'hello'];
  const picture = ['Content-Type: image/png', 'Content-Disposition: attachment; filename="a.png"', '', 'pixels'];
  await say('multipart/alternative', plain, html);
  await say('multipart/signed', ['Content-Type: text/plain', '', 'signed'], ['Content-Type: a/signature', '', 'xyz']);
  await say('multipart/mixed', ['', 'look at this'], picture);
  for (const text of ['hello', 'signed', 'look at this\n[a.png, image/png, 6 bytes]']) {
    t.equal((await carol.line.hears('alice')).body, `alice: ${text}`);
  }
  await bob.diary.heard('look at this');
  t.same(
    bob.diary.messages.map(({ text }) => text),
    ['hello', 'signed', 'look at this'],
  );
  t.equal(bob.diary.messages[2]?.contentType, 'multipart/mixed', 'all of it is there as well');
  await bob.room.leave();
});

t.test('RFC 5438 §8.3: who has read what, told together', async (t) => {
  const stage = await raise('rooms.defaults.aggregate_notifications=1h');
  t.teardown(() => stage.close());
  const alice = await enter(stage, 'Alice', { receipts: true });
  const readers = [await enter(stage, 'Bob'), await enter(stage, 'Carol')];
  const said = await alice.room.say('read this');
  for (const { room, diary } of readers) room.seen(await diary.heard('read this'));
  await alice.diary.until(() => alice.diary.receipts.length === 2);
  t.same(alice.diary.receipts.toSorted(), [
    `${said.messageId} sip:bob@127.0.0.1 displayed`,
    `${said.messageId} sip:carol@127.0.0.1 displayed`,
  ]);
  await Promise.all([alice, ...readers].map(({ room }) => room.leave()));
});

t.test('files go to everybody, up to what the room takes', async (t) => {
  const stage = await raise('msrp.max_message=200KiB');
  t.teardown(() => stage.close());
  const alice = await enter(stage, 'Alice');
  const bob = await enter(stage, 'Bob');
  const content = new Uint8Array(150_000).map((_, at) => at % 251);
  const file = { name: '/home/alice/"my" cat.png', contentType: 'image/png', content };
  t.equal((await alice.room.sendFile(file)).said, true);
  const came = await bob.diary.until(() => bob.diary.messages[0]);
  t.equal(came.fileName, '_my_ cat.png');
  t.equal(came.contentType, 'image/png');
  t.equal(came.text, undefined);
  t.same(Buffer.compare(came.content, content), 0);
  t.match(await alice.room.sendFile({ ...file, content: new Uint8Array(300_000) }), { said: false, status: 413 });
  await Promise.all([alice.room.leave(), bob.room.leave()]);
});

t.test('a file of several megabytes, which is passed on as it comes', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const alice = await enter(stage, 'Alice');
  const bob = await enter(stage, 'Bob');
  const content = new Uint8Array(3_000_000).map((_, at) => at % 251);
  const file = { name: 'cat.bin', contentType: 'application/octet-stream', content };
  t.equal((await alice.room.sendFile(file)).said, true);
  const came = await bob.diary.until(() => bob.diary.messages[0]);
  t.equal(came.fileName, 'cat.bin');
  t.equal(Buffer.compare(came.content, content), 0, 'and not the line that stands for it');
  await Promise.all([alice.room.leave(), bob.room.leave()]);
});

t.test('the past, as much of it as asked for', async (t) => {
  const stage = await raise('rooms.defaults.history_messages=10');
  t.teardown(() => stage.close());
  const alice = await enter(stage, 'Alice');
  for (const text of ['one', 'two', 'three']) await alice.room.say(text);
  const bob = await enter(stage, 'Bob', { history: '2' });
  await bob.diary.heard('three');
  const texts = bob.diary.messages.filter(({ status }) => !status).map(({ text }) => text);
  t.same(texts, ['two', 'three']);
  t.ok(bob.diary.messages.every(({ status, history }) => status || history));
  await alice.room.say('four');
  t.match(await bob.diary.heard('four'), { history: false }, 'and this is not of the past');
  await Promise.all([alice.room.leave(), bob.room.leave()]);
});

t.test('nobody but the room makes the past of what is said, or a line of the room', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const [alice, carol] = [await enter(stage, 'Alice'), await join(stage, 'carol')];
  for (const text of ['one', 'two']) {
    const body =
      `From: <${carol.uri}>\r\nTo: <${ROOM}>\r\nNS: gtc <urn:x-grouptextchat:past>\r\ngtc.History: 9\r\n` +
      `NS: agp <urn:ag-projects:xml:ns:cpim>\r\nagp.Message-Type: status\r\n\r\n` +
      `Content-Type: text/plain\r\n\r\n${text}`;
    const head = [
      `Message-ID: ${text}1234`,
      `Byte-Range: 1-${body.length}/${body.length}`,
      'Content-Type: message/cpim',
    ];
    t.equal((await carol.line.request('SEND', head, body)).what, '200');
  }
  await alice.diary.heard('two');
  t.notOk(alice.diary.messages.some(({ history }) => history));
  t.notOk(alice.diary.messages.some(({ text, status }) => text === 'two' && status));
  await Promise.all([alice.room.leave(), carol.leave()]);
});

t.test('what is answered at once, before one knows that one is in, is said then', async (t) => {
  const stage = await raise('rooms.defaults.history_messages=10');
  t.teardown(() => stage.close());
  const alice = await enter(stage, 'Alice');
  await alice.room.say('question');
  const diary = new Diary();
  const room = await stayInRoom(ROOM, optionsFor(stage, 'Bob'), {
    ...diary.handlers,
    message: (message, here) => {
      if (message.text === 'question') void here.say(`answer of ${here.ownUri}`);
    },
  });
  await alice.diary.heard('answer of sip:bob@127.0.0.1');
  await Promise.all([alice.room.leave(), room.leave()]);
});

t.test('the past once more, though it was shown before', async (t) => {
  const stage = await raise('rooms.defaults.history_messages=10');
  t.teardown(() => stage.close());
  const alice = await enter(stage, 'Alice');
  const diary = new Diary();
  const bob = await stayInRoom(ROOM, optionsFor(stage, 'Bob'), diary.handlers);
  for (const text of ['one', 'two']) await alice.room.say(text);
  await diary.heard('two');
  t.match(await bob.recall('2'), { said: true });
  await diary.until(() => diary.messages.filter(({ text }) => text === 'two').length === 2);
  t.same(
    diary.messages.map(({ text, status }) => (status ? text?.slice(0, 16) : text)),
    ['one', 'two', '2 messages again', 'one', 'two'],
  );
  t.same(
    diary.messages.filter(({ status }) => !status).map(({ history }) => history),
    [false, false, true, true],
  );
  t.match(await bob.recall(''), { said: true }, 'as many as newcomers get');
  await diary.until(() => diary.messages.length === 8);
  await Promise.all([alice.room.leave(), bob.leave()]);
});

t.test(
  'what the room sends again under the same Message-ID is shown once, though its author gives no IMDN id',
  async (t) => {
    const stage = await raise('rooms.defaults.history_messages=10');
    t.teardown(() => stage.close());
    const alice = await join(stage, 'alice');
    const diary = new Diary();
    const bob = await stayInRoom(ROOM, optionsFor(stage, 'Bob'), diary.handlers);
    t.equal(await alice.say('one'), '200');
    await diary.heard('one');
    t.match(await bob.say('two'), { said: true });
    t.match(await bob.say('/history 5'), { said: true });
    // What is said now comes behind what was asked for.
    t.equal(await alice.say('three'), '200');
    await diary.heard('three');
    t.same(
      diary.messages.filter(({ status }) => !status).map(({ text }) => text),
      ['one', 'three'],
    );
    await Promise.all([alice.leave(), bob.leave()]);
  },
);

t.test('RFC 4975 §5.4: back by himself, nothing lost and nothing twice', async (t) => {
  const data = mkdtempSync(joinPath(tmpdir(), 'grouptextchat-'));
  t.teardown(() => rmSync(data, { recursive: true, force: true }));
  // Where nobody else can take its port while it is not there.
  const lasting = [
    ...['rooms.defaults.durability=disk', 'rooms.defaults.history_messages=20', `data=${data}`],
    `http.host=${ownAddress}`,
  ];
  const named = 'rooms.named.lobby.permanent=true';
  const first = await raise(...lasting, named);
  const port = new URL(serverOf(first)).port;
  const diary = new Diary();
  const states: string[] = [];
  let wake: () => void = () => undefined;
  const reached = async (state: string): Promise<void> => {
    while (!states.includes(state)) await new Promise<void>((resolve) => (wake = resolve));
  };
  const note = (state: string): void => {
    states.push(state);
    wake();
  };
  const room = await stayInRoom(
    ROOM,
    { ...optionsFor(first, 'Alice'), pauses: [20] },
    { ...diary.handlers, away: () => note('away'), back: () => note('back') },
  );
  t.match(await room.nickname('Al'), { status: 200 });
  const bob = await enter(first, 'Bob');
  await bob.room.say('before');
  await diary.heard('before');
  await bob.room.leave();
  // What a killed service leaves behind: nobody has left, and nobody has noted how far Alice has read.
  const left = mkdtempSync(joinPath(tmpdir(), 'grouptextchat-'));
  t.teardown(() => rmSync(left, { recursive: true, force: true }));
  cpSync(data, left, { recursive: true, filter: (path) => !path.endsWith('-shm') });
  await first.close();
  await reached('away');
  const waiting = room.say('said while away');
  const second = await raise(...lasting, named, `http.port=${port}`, `data=${left}`);
  t.teardown(() => second.close());
  await reached('back');
  t.match(await waiting, { said: true }, 'what was said meanwhile is said then');
  const carol = await enter(second, 'Carol');
  await carol.diary.heard('said while away');
  await carol.room.say('after');
  await diary.heard('after');
  t.equal(diary.messages.filter(({ text }) => text === 'before').length, 1, 'shown once');
  t.notOk(
    diary.messages.some(({ text = '' }) => /before you came|that you missed/.test(text)),
    'and no line heads what is not shown',
  );
  await diary.until(() => room.roster.get(room.ownUri)?.nickname === 'Al');
  t.same(diary.closings, []);
  await Promise.all([room.leave(), carol.room.leave()]);
});

t.test('who is told to go does not come back, and who cannot gives up', async (t) => {
  const stage = await raise();
  const diary = new Diary();
  const boss = await enter(stage, 'Boss');
  const room = await stayInRoom(ROOM, { ...optionsFor(stage, 'Alice'), pauses: [10], patience: 100 }, diary.handlers);
  await boss.diary.until(() => boss.room.roster.has('sip:alice@127.0.0.1'));
  await boss.room.say('/kick Alice enough');
  const why = await diary.until(() => diary.closings[0]);
  t.equal(why.fault, 'dismissed');
  t.match(await room.say('me?'), { said: false });
  const lost = new Diary();
  await stayInRoom(ROOM, { ...optionsFor(stage, 'Zoe'), pauses: [10], patience: 100 }, lost.handlers);
  await stage.close();
  t.ok(await lost.until(() => lost.closings[0]), 'patience has an end');
  await boss.room.leave();
});

t.test('RFC 4575: a watcher sees who comes and goes', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const diary = new Diary();
  const watch = await watchRoom(ROOM, optionsFor(stage, 'watcher'), diary.handlers);
  t.equal(watch.view.conferenceState?.active, false, 'an empty room has a state too');
  t.equal(watch.roster.size, 0);
  const alice = await enter(stage, 'Alice');
  await diary.joined('Alice');
  await alice.room.leave();
  const why = await diary.until(() => diary.closings[0]);
  t.equal(why.fault, 'over', 'a conference made on demand ends with its last participant');
  await watch.stop();

  const second = await watchRoom(ROOM, optionsFor(stage, 'watcher'), diary.handlers);
  await second.stop();
  await second.stop();
  t.equal(diary.closings.length, 1, 'who stops is not told');
  t.notOk(
    stage.lines.some((line) => line.includes('NOTIFY failed')),
    'the last NOTIFY was waited for',
  );
});

t.test(
  'RFC 6665 §4.1.3: a watcher whose subscription was deactivated subscribes anew, as often as it takes',
  async (t) => {
    // Where nobody else can take its port while it is not there.
    const first = await raise(`http.host=${ownAddress}`);
    const port = new URL(serverOf(first)).port;
    const diary = new Diary();
    const states: string[] = [];
    let isBack: () => void = () => undefined;
    const back = new Promise<void>((resolve) => (isBack = resolve));
    const options = { ...optionsFor(first, 'watcher'), pauses: [10], patience: 60_000 };
    const watch = await keepWatching(ROOM, options, {
      ...diary.handlers,
      away: ({ fault, message }) => states.push(`${fault}: ${message}`),
      back: () => {
        states.push('back');
        isBack();
      },
    });
    await first.close();
    const second = await raise(`http.host=${ownAddress}`, `http.port=${port}`);
    t.teardown(() => second.close());
    const alice = await enter(second, 'Alice');
    await diary.joined('Alice');
    await diary.until(() => watch.roster.has('sip:alice@127.0.0.1'));
    await back;
    t.match(states, [/^lost: the server has ended the /, 'back']);
    t.equal(states.length, 2, 'told once, however often it is tried');
    await alice.room.leave();
    t.match(await diary.until(() => diary.closings[0]), { fault: 'over' }, 'what has an end is not asked for again');
    await watch.stop();

    const lost = new Diary();
    const third = await raise();
    await keepWatching(ROOM, { ...optionsFor(third, 'w'), pauses: [10], patience: 50 }, lost.handlers);
    await third.close();
    t.match(await lost.until(() => lost.closings[0]), { fault: 'dismissed' }, 'patience has an end');
  },
);

t.test(
  'RFC 6665 §4.1.3: what is lost again at once is not asked for in a hurry, nor before the server wants it',
  async (t) => {
    let wake: () => void = () => undefined;
    let attempts = 0;
    const comingBack = new ComingBack(
      { pauses: [0, 60] },
      {
        again: () => {
          attempts += 1;
          return Promise.resolve();
        },
        back: () => wake(),
        gaveUp: () => undefined,
      },
    );
    mock.timers.enable({ apis: ['setTimeout', 'Date'] });
    t.teardown(() => mock.timers.reset());
    const comesBackAfter = async (ms: number, why: ClientError, what: string): Promise<void> => {
      const [before, back] = [attempts, new Promise<void>((resolve) => (wake = resolve))];
      comingBack.begin(why);
      if (ms > 0) mock.timers.tick(ms - 1);
      t.equal(attempts, before, `${what}: not yet`);
      mock.timers.tick(1);
      t.equal(attempts, before + 1, what);
      await back;
    };
    await comesBackAfter(0, new ClientError('lost', 'ended'), 'the first time at once');
    await comesBackAfter(60, new ClientError('lost', 'ended'), 'the second time there is a pause');
    await comesBackAfter(200, new ClientError('lost', 'ended', 503, 0.2), 'retry-after is honoured');
  },
);

t.test('RFC 4579 §5.4: who calls the factory is in the conference that it makes, and comes back to that', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const diary = new Diary();
  const sockets: { close(): void }[] = [];
  const webSocket: ClientOptions['webSocket'] = (url, protocol) => {
    const socket = nodeWebSocket(url, protocol);
    sockets.push(socket);
    return socket;
  };
  let isBack: () => void = () => undefined;
  const back = new Promise<void>((resolve) => (isBack = resolve));
  const factory = 'sip:conference-factory@127.0.0.1';
  const room = await stayInRoom(
    factory,
    { ...optionsFor(stage, 'Zed'), webSocket, pauses: [10], history: '0' },
    { ...diary.handlers, back: isBack },
  );
  const { uri } = room;
  t.match(uri, /^sip:chat-[^@]+@127\.0\.0\.1$/);
  await diary.until(() => room.roster.has('sip:zed@127.0.0.1'));
  t.match(await room.say('x'), { said: true });
  const bob = await joinRoom(uri, optionsFor(stage, 'Bob'), new Diary().handlers);
  await diary.joined('Bob');
  await bob.say('hello Zed');
  t.match(await diary.heard('hello Zed'), { status: false, private: false });
  for (const socket of sockets) socket.close();
  await back;
  t.equal(room.uri, uri, 'not to a further one');
  await Promise.all([room.leave(), bob.leave()]);
});

t.test(
  'RFC 3261 §8.1.3.4: who calls a room that has moved is where it is now, as far as his server leads',
  async (t) => {
    const stage = await raise('factory.answer=redirect');
    t.teardown(() => stage.close());
    const move = async (from: string, to: string): Promise<void> => {
      const room = `sip:${from}@127.0.0.1`;
      const alice = await join(stage, 'alice', room);
      t.equal(await alice.say(`/move ${to}`), '200');
      await alice.leave();
    };
    await move('old', 'sip:new@127.0.0.1');
    await move('older', 'sip:old@127.0.0.1');
    const diary = new Diary();
    const zed = await stayInRoom('sip:older@127.0.0.1', optionsFor(stage, 'Zed'), diary.handlers);
    t.equal(zed.uri, 'sip:new@127.0.0.1');
    const carol = await join(stage, 'carol', 'sip:new@127.0.0.1');
    await carol.say('you have found it');
    t.match(await diary.heard('you have found it'), { private: false, status: false });
    t.match(await zed.say('at the second attempt'), { said: true });
    await carol.hears('at the second attempt');
    await zed.leave();
    const made = await joinRoom('sip:conference-factory@127.0.0.1', optionsFor(stage, 'Zed'), new Diary().handlers);
    t.match(made.uri, /^sip:chat-[^@]+@127\.0\.0\.1$/, 'as with a factory that sends on');
    await made.leave();

    const refused = (name: string, status: number, message: string): Promise<unknown> =>
      t.rejects(joinRoom(`sip:${name}@127.0.0.1`, optionsFor(stage, 'Zed'), new Diary().handlers), {
        fault: 'refused',
        status,
        message,
      });
    await move('circle', 'sip:back@127.0.0.1');
    await move('back', 'sip:circle@127.0.0.1');
    await refused(
      'circle',
      302,
      'sip:circle@127.0.0.1 has moved to sip:back@127.0.0.1, which has moved to sip:circle@127.0.0.1',
    );
    await move('away', 'xmpp:room@example.org');
    await refused('away', 302, 'sip:away@127.0.0.1 has moved to xmpp:room@example.org');
    await move('abroad', 'sip:room@example.org');
    await refused(
      'abroad',
      404,
      'sip:abroad@127.0.0.1 has moved to sip:room@example.org, which does not let us in: 404 No Such Conference',
    );
  },
);

t.test('RFC 3261 §8.1.3.4: where a 3xx leads, and in which order', (t) => {
  const addresses = (contacts: readonly string[], statusCode = 302): readonly string[] =>
    movedTo({
      statusCode,
      reasonPhrase: '',
      getHeader: () => undefined,
      getHeaders: () => [...contacts],
      parseHeader: () => undefined,
    });
  t.same(addresses(['<sip:a@b>;q=0.5, "x <y>, z" <sip:c@d;x=1?Subject=hi>;q=0.9;expires=1', 'sip:e@f;q=0.7']), [
    ...['sip:c@d;x=1?Subject=hi', 'sip:e@f', 'sip:a@b'],
  ]);
  t.same(addresses(['<tel:+1>, <https://x.y/z,z;q=0.1>', ' , ']), ['tel:+1', 'https://x.y/z,z;q=0.1']);
  t.same(addresses(['<sip:proxy@example.com>'], 305), [], 'a proxy');
  t.same(addresses([]), []);

  const called = (room: string, ...moves: readonly (readonly string[])[]): readonly (string | undefined)[] => {
    let at: URI | undefined = parseRoomUri(room);
    const targets = new Targets(at);
    return moves.map((contacts) => (at = at && targets.after(at, contacts))?.toString());
  };
  t.same(
    called('sip:a@h', ['sip:b@h;method=INVITE?Subject=x', 'mailto:a@h', 'sip:c@h'], ['sip:a@h', 'sip:d@h'], [], []),
    ['sip:b@h', 'sip:d@h', 'sip:c@h', undefined],
    'each once, what is found last first',
  );
  t.same(called('sips:a@h', ['sip:b@h', 'sips:c@h'], []), ['sips:c@h', undefined], 'security is kept');
  const many = Array.from({ length: 20 }, (_, i) => [`sip:m${String(i)}@h`]);
  t.equal(called('sip:a@h', ...many).filter((uri) => uri !== undefined).length, 4, 'and not for ever');
  t.end();
});

t.test('RFC 3261 §20.43: why one is not let in is told, and why there is no WebSocket', async (t) => {
  const stage = await raise('rooms.named.secret.require_tls=true', 'rooms.named.board.members_only=true');
  t.teardown(() => stage.close());
  const enterAt = (address: string, options: Partial<ClientOptions> = {}): Promise<Room> =>
    joinRoom(address, { ...optionsFor(stage, 'Alice'), ...options }, new Diary().handlers);
  await t.rejects(enterAt('sip:secret@127.0.0.1'), {
    fault: 'refused',
    message: /let us in: 488 Not Acceptable Here \(this room takes MSRP over TLS only\)$/,
  });
  await t.rejects(enterAt('sip:board@127.0.0.1'), { message: /let us in: 403 This room is for its members only$/ });
  await t.rejects(enterAt(ROOM, { server: `${serverOf(stage)}/elsewhere` }), {
    fault: 'unreachable',
    message: /: 404 Not Found \(WebSockets are opened at \/ws\)$/,
  });
  const server = createServer((_, response) => response.writeHead(200).end('<html>')).listen(0, '127.0.0.1');
  t.teardown(() => server.close());
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await t.rejects(enterAt(ROOM, { server: `ws://127.0.0.1:${port}/` }), { message: /: 200 OK$/ });
});

t.test('what can go wrong is told as a ClientError', async (t) => {
  const stage = await raise();
  const fails = async (address: string, more: Partial<ClientOptions>): Promise<ClientError> => {
    try {
      await joinRoom(address, { ...optionsFor(stage, 'Alice'), ...more }, new Diary().handlers);
    } catch (fault) {
      if (fault instanceof ClientError) return fault;
      throw fault;
    }
    throw new Error('it worked');
  };
  t.match(await fails('sip:@', {}), { fault: 'address' });
  t.match(await fails(ROOM, { server: 'http://127.0.0.1' }), { fault: 'address' });
  t.match(await fails(ROOM, { identity: 'nobody' }), { fault: 'address' });
  t.match(await fails(ROOM, { server: 'ws://127.0.0.1:1/ws' }), { fault: 'unreachable' });
  t.match(await fails('sip:lobby@elsewhere.example', {}), { fault: 'refused' });
  const refused = await watchRoom('sip:lobby@elsewhere.example', optionsFor(stage, 'w'), new Diary().handlers).catch(
    (fault: unknown) => fault,
  );
  t.match(refused, { name: 'ClientError', fault: 'refused' });

  const alice = await enter(stage, 'Alice');
  const watching = new Diary();
  const watch = await watchRoom(ROOM, optionsFor(stage, 'watcher'), watching.handlers);
  await stage.close();
  await alice.diary.until(() => alice.diary.closings[0]);
  await watching.until(() => watching.closings[0]);
  t.equal(alice.diary.closings.length, 1, 'told once that the server has gone');
  await alice.room.leave();
  await watch.stop();
});

/** A server that does as it likes with each message of the client, and how it is reached. */
async function rawServer(t: Test, onMessage: (socket: WebSocket, message: string) => void): Promise<ClientOptions> {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1', handleProtocols: () => 'sip' });
  t.teardown(() => server.close());
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.on('connection', (socket) => {
    socket.on('message', (data: Buffer) => {
      onMessage(socket, data.toString());
    });
  });
  return { name: 'Alice', webSocket: nodeWebSocket, server: `ws://127.0.0.1:${port}` };
}

t.test('a server that hangs up is not waited for', async (t) => {
  const options = await rawServer(t, (socket) => {
    socket.terminate();
  });
  await t.rejects(joinRoom(ROOM, options, new Diary().handlers), { name: 'ClientError', fault: 'lost' });
  await t.rejects(watchRoom(ROOM, options, new Diary().handlers), { name: 'ClientError', fault: 'lost' });
});

t.test('who has an odd name can speak', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  for (const name of ['100%', 'C++', 'Team: Zoë', 'a/b?', 'a\u0001b', '%41', '👩‍👩‍👧 "Q" <x>']) {
    const { room } = await enter(stage, name);
    t.match(await room.say('hi'), { said: true }, name);
    await room.leave();
  }
});

t.test('what no server may answer ends nothing, and keeps nobody waiting', async (t) => {
  const options = await rawServer(t, (socket, request) => {
    if (!request.startsWith('INVITE')) return;
    const lines = request.split('\r\n');
    const copied = (names: RegExp): readonly string[] => lines.filter((line) => names.test(line));
    const answer = (status: string, cseq = '1 INVITE', tag = ';tag=x'): void => {
      const to = copied(/^to:/i).map((line) => `${line}${tag}`);
      const head = [...copied(/^(?:via|from|call-id):/i), ...to, `CSeq: ${cseq}`, 'Content-Length: 0'];
      socket.send([`SIP/2.0 ${status}`, ...head, '', ''].join('\r\n'));
    };
    for (const status of ['999 What', '099 What', '700 What', '200 Without Contact']) answer(status);
    for (const cseq of ['x INVITE', '1', '']) answer('404 Not Found', cseq);
    answer('200 Without Tag', '1 INVITE', '');
    const [cseq = ''] = copied(/^cseq:/i);
    answer('486 Busy Here', cseq.slice('cseq:'.length).trim());
  });
  await t.rejects(joinRoom(ROOM, options, new Diary().handlers), { fault: 'refused', message: /486 Busy Here/ });
});

t.test('what sip.js takes to be impossible ends the connection, and no program', async (t) => {
  const options = await rawServer(t, (socket, request) => {
    const field = (name: string): string => new RegExp(`^${name}: *(.*)\r$`, 'im').exec(request)?.[1] ?? '';
    const copied = ['Via', 'From', 'Call-ID', 'CSeq'].map((name) => `${name}: ${field(name)}`);
    const own = ['Contact: <sip:lobby@127.0.0.1>', 'Content-Length: 3', '', 'v=0'];
    // A body without its type.
    if (request.startsWith('INVITE')) {
      socket.send(['SIP/2.0 200 OK', ...copied, `To: ${field('To')};tag=x`, ...own].join('\r\n'));
    }
    // A NOTIFY of nobody's dialog (RFC 3261 §8.1.1.3).
    if (request.startsWith('SUBSCRIBE')) {
      const head = ['Via: SIP/2.0/WS server.invalid;branch=z9hG4bKx', 'Max-Forwards: 70', 'CSeq: 1 NOTIFY'];
      const dialog = [`From: ${field('To')}`, `To: ${field('From')}`, `Call-ID: ${field('Call-ID')}`];
      const state = ['Event: conference', 'Subscription-State: active;expires=600'];
      socket.send(['NOTIFY sip:alice@127.0.0.1 SIP/2.0', ...head, ...dialog, ...state, ...own].join('\r\n'));
    }
  });
  const lost = { name: 'ClientError', fault: 'lost', message: /says what cannot be understood/ };
  await t.rejects(joinRoom(ROOM, options, new Diary().handlers), lost);
  await t.rejects(watchRoom(ROOM, options, new Diary().handlers), lost);
});

t.test('RFC 3261 §9.1: a room that only lets it ring is not waited for, and the call is taken back', async (t) => {
  const heard: string[] = [];
  let cancelled: () => void;
  const cancel = new Promise<void>((resolve) => (cancelled = resolve));
  let rings: () => void;
  const ringing = new Promise<void>((resolve) => (rings = resolve));
  const options = await rawServer(t, (socket, request) => {
    heard.push(request.split(' ', 1)[0] ?? '');
    if (request.startsWith('CANCEL')) cancelled();
    if (!request.startsWith('INVITE')) return;
    const copied = request.split('\r\n').filter((line) => /^(?:via|from|call-id|cseq|to):/i.test(line));
    const head = copied.map((line) => (/^to:/i.test(line) ? `${line};tag=x` : line));
    socket.send(['SIP/2.0 183 Session Progress', ...head, 'Content-Length: 0', '', ''].join('\r\n'));
    // What it has heard by the time it answers this.
    socket.once('pong', () => {
      rings();
    });
    socket.ping();
  });
  // Its patience ends when we say so, all other times as ever.
  const answerWithin = 4711;
  const { setTimeout: system } = globalThis;
  let impatient: () => void = () => undefined;
  const replaced = mock.method(globalThis, 'setTimeout', (...given: Parameters<typeof system>) => {
    if (given[1] !== answerWithin) return system(...given);
    impatient = given[0];
    return system(() => undefined, 0);
  });
  t.teardown(() => {
    replaced.mock.restore();
  });
  const refused = t.rejects(joinRoom(ROOM, { ...options, answerWithin }, new Diary().handlers), {
    fault: 'unreachable',
    message: /does not answer the call/,
  });
  await ringing;
  impatient();
  await refused;
  await cancel;
  t.same(heard, ['INVITE', 'CANCEL']);
});

t.test('addresses', async (t) => {
  t.equal(parseRoomUri('lobby@example.com').toString(), 'sip:lobby@example.com');
  t.equal(defaultServer(parseRoomUri('sip:lobby@example.com')), 'ws://example.com:8080/ws');
  t.equal(defaultServer(parseRoomUri('sips:lobby@example.com')), 'wss://example.com:8080/ws');
  for (const bad of ['', 'lobby', 'sip:example.com', 'mailto:a@b', 'sip:a b@c']) {
    t.throws(() => parseRoomUri(bad), { name: 'ClientError', fault: 'address' }, bad);
  }
  const room = parseRoomUri(ROOM);
  t.equal(identityOf('Alice', room).uri, 'sip:alice@127.0.0.1');
  t.equal(identityOf('Zoë  van Dyk', room).uri, 'sip:zo%C3%AB.van.dyk@127.0.0.1');
  t.equal(identityOf(' ', room).uri, 'sip:anonymous@127.0.0.1');
  t.equal(identityOf('Team: \u0001Zoë\ud800', room).uri, 'sip:team.zo%C3%AB@127.0.0.1');
  t.throws(() => parseRoomUri('sip:a%25b@127.0.0.1'), { name: 'ClientError', fault: 'address' });
  t.equal(identityOf('100% C++ a/b?', room).uri, 'sip:100.c.a.b@127.0.0.1');
  t.equal(identityOf('é'.repeat(3000), room).uri, `sip:${'%C3%A9'.repeat(64)}@127.0.0.1`);
  t.equal(identityOf('A', room, 'sip:a@example.org').uri, 'sip:a@example.org');
  t.equal(userPart('sip:zo%C3%AB@x'), 'zoë');
  t.equal(userPart('sip:%E0%A4@x'), '%E0%A4');
  t.equal(userPart('tel:+123'), 'tel:+123');
  t.ok(sameAddress('sip:a@X.org;transport=ws', 'SIPS:a@x.org'));
  t.notOk(sameAddress('sip:a@x', 'sip:A@x'), 'the user part has case');
});

t.test('RFC 8866: reading a session description', async (t) => {
  const { session, media } = parseSdp(
    'v=0\no=- 1 1 IN IP4 h\r\ns=-\r\na=setup:passive\r\nm=audio 4 RTP/AVP 0\r\na=sendrecv\r\nm=message 0 TCP/MSRP *\r\n' +
      'm=message 9 TCP/MSRP *\r\na=path:msrp://h:1/s;tcp\r\na=accept-types:*\r\n',
  );
  t.same(
    media.map(({ media: kind, port }) => [kind, port]),
    [
      ['audio', 4],
      ['message', 0],
      ['message', 9],
    ],
  );
  const last = media[2];
  const read = last && parseMsrpMedia(last, session);
  t.equal(read && formatMsrpPath(read.path), 'msrp://h:1/s;tcp');
  t.equal(read?.setup, 'passive');
});

t.test('what changed between two rosters', async (t) => {
  const person = (name: string, uri = `sip:${name}@x`): [string, Participant] => [
    uri,
    { name, uri, nickname: undefined, roles: [], endpoints: 1, own: false },
  ];
  const before = new Map([person('a'), person('b')]);
  const after = new Map([person('b2', 'sip:b@x'), person('c')]);
  const change = changeBetween(before, after);
  t.same(
    change?.joined.map(({ name }) => name),
    ['c'],
  );
  t.same(
    change?.left.map(({ name }) => name),
    ['a'],
  );
  t.same(
    change?.renamed.map((each) => [each.before.name, each.after.name]),
    [['b', 'b2']],
  );
  t.equal(changeBetween(before, new Map(before)), undefined);
});

t.test('the client is one bundle for a browser, without any Node module', async (t) => {
  const { build } = await import('esbuild');
  const { errors, outputFiles } = await build({
    stdin: { contents: "export * from './dist/src/client/index.js'", resolveDir: process.cwd() },
    bundle: true,
    write: false,
    minify: true,
    format: 'esm',
    platform: 'browser',
    logLevel: 'silent',
  });
  t.same(errors, []);
  const [bundle] = outputFiles;
  t.notMatch(bundle?.text, /from\s*"node:|require\("(?:node:|ws|fs|net)/);
  t.comment(`${Math.round((bundle?.contents.length ?? 0) / 1024)} KiB minified`);
});
