import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { mock } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import t from 'tap';
import { commandNames, seemsCommand } from '../../src/chat/commands.ts';
import type { Room } from '../../src/client/index.ts';
import { ConferenceView } from '../../src/conference/view.ts';
import { completions, enter } from '../../src/terminal/commands.ts';
import { Composing } from '../../src/terminal/composing.ts';
import { fileToSend, Inbox, sizeText } from '../../src/terminal/files.ts';
import { Writers } from '../../src/terminal/writers.ts';
import { type ChatEvent, type Person, roomEvent } from '../../src/terminal/events.ts';
import { formatEvent } from '../../src/terminal/format.ts';
import { Screen, type Terminal } from '../../src/terminal/screen.ts';
import { colourDress, harmless, harmlessLine, plainDress, timeOf } from '../../src/terminal/text.ts';
import { formatView } from '../../src/terminal/watch.ts';

const NOW = new Date(2026, 0, 2, 12, 34);
const zoe: Person = { name: 'Zoe', uri: 'sip:zoe@x' };
const me: Person = { name: 'Me', uri: 'sip:me@x' };
const message = (text: string, more: object = {}): ChatEvent => ({
  type: 'message',
  at: NOW.toISOString(),
  from: zoe,
  private: false,
  history: false,
  contentType: 'text/plain',
  text,
  ...more,
});
const words = (event: ChatEvent): string | undefined => formatEvent(event, me.uri, plainDress, NOW);

t.test('what others write cannot steer the terminal', async (t) => {
  t.equal(harmless('a\u001b[2Jb\u0007\u009b31m'), 'a[2Jb31m');
  t.equal(harmless('one\r\ntwo\rthree\n'), 'one\n  two\n  three\n  ', 'further lines cannot pass for messages');
  t.equal(harmless('\u202eevil\u2066'), 'evil', 'no turning of the direction');
  t.equal(harmless('tab\tü👋'), 'tab\tü👋');
  t.equal(harmlessLine(' a \n b\u0000'), ' a b');
  t.equal(
    words(message('hi\n12:34 Bob: fake', { from: { name: 'Z\noe\u001b[1m', uri: 'x' } })),
    '12:34 Z oe[1m: hi\n  12:34 Bob: fake',
  );
});

t.test('events in words', async (t) => {
  t.equal(words(message('hi')), '12:34 Zoe: hi');
  t.equal(words(message('hi', { private: true })), '12:34 Zoe (to you alone): hi');
  t.equal(words(message('hi', { to: zoe, from: me })), '12:34 Me (to Zoe alone): hi', 'our own, out of the past');
  t.equal(words(message('hi', { at: new Date(2025, 11, 31, 9, 5).toISOString() })), '2025-12-31 09:05 Zoe: hi');
  t.equal(words({ type: 'joined', person: zoe }), '* Zoe joined');
  t.equal(words({ type: 'left', person: zoe }), '* Zoe left');
  t.equal(words({ type: 'renamed', person: zoe, before: 'Z' }), '* Z is now Zoe');
  t.equal(words({ type: 'renamed', person: me, before: 'Z' }), undefined, 'told by the answer to /nick');
  t.equal(words({ type: 'announcement', at: '', text: 'Subject: tea' }), '* Subject: tea');
  t.equal(words({ type: 'announcement', at: '', text: 'a\nb' }), '  a\n  b', 'a list stands by itself');
  t.equal(words({ type: 'said', id: '1', text: 'hi' }), undefined, 'what was typed is there already');
  t.equal(words({ type: 'said', id: '1', text: 'hi', to: zoe }), 'to Zoe alone: hi');
  t.equal(words({ type: 'said', id: '1', text: '[a.png, 3 bytes]', fileName: 'a.png' }), '* sent: [a.png, 3 bytes]');
  t.equal(words({ type: 'refused', id: '1', text: 'hi', status: 403, reason: 'muted' }), '! not sent: hi (403 muted)');
  t.equal(words({ type: 'refused', id: '1', text: 'hi', reason: 'gone' }), '! not sent: hi (gone)');
  t.equal(words({ type: 'composing', person: zoe, active: true }), undefined);
  t.equal(words({ type: 'receipt', id: '1', person: zoe, status: 'displayed' }), undefined);
  t.equal(words({ type: 'receipt', id: '1', person: zoe, status: 'failed' }), '! Zoe did not get your message');
  t.equal(words({ type: 'closed', reason: 'over', status: 410 }), '! over (410)');
  t.equal(words({ type: 'closed', reason: 'Kicked: bye now', status: 200 }), '* Kicked: bye now');
  t.equal(words({ type: 'away', reason: 'gone' }), '! gone; trying to come back …');
  t.equal(words({ type: 'back' }), '* back in the room');
  t.equal(
    words({ type: 'closed', reason: 'sip:r@x does not let us in: 404 Not Here', status: 404 }),
    '! sip:r@x does not let us in: 404 Not Here',
  );
  t.equal(words({ type: 'entered', room: 'sip:r@x', as: me }), 'You are in sip:r@x as Me (sip:me@x).');
  t.equal(
    words({ type: 'room', uri: 'sip:r@x', subject: 'tea', people: [zoe, me], chatUris: ['sip:r@x', 'xmpp:r@y'] }),
    'Here: Zoe, Me (you)\nSubject: tea\nAddress of this room: sip:r@x xmpp:r@y',
  );
  t.equal(
    words({ type: 'room', uri: 'sip:r@x', people: [], chatUris: [] }),
    'Here: nobody\nAddress of this room: sip:r@x',
  );
  t.match(formatEvent(message('hi'), '', colourDress, NOW), /\u001b\[\d+mZoe\u001b\[0m: hi$/);
  t.equal(colourDress.name('Zoe'), colourDress.name('Zoe'), 'somebody keeps a colour');
});

t.test('RFC 4575: a conference document in words', async (t) => {
  const view = new ConferenceView();
  t.match(roomEvent(view, 'sip:r@x', []), { uri: 'sip:r@x', chatUris: [] });
  t.match(roomEvent(view, 'sip:r@x;PIN=4711;transport=tcp;history=0', []), { uri: 'sip:r@x;transport=tcp' });
  view.receive({
    entity: 'sip:r@x',
    state: 'full',
    version: 1,
    description: {
      displayText: 'Tea room',
      subject: 'tea\u001b',
      freeText: 'at four',
      confUris: [
        { uri: 'sip:r@x', purpose: 'participation' },
        { uri: 'tel:+1', purpose: 'participation' },
      ],
      serviceUris: [
        { uri: 'sip:r@x', purpose: 'grouptextchat', displayText: 'Chat' },
        { uri: 'https://x/r', purpose: 'web-page' },
      ],
      availableMedia: [],
    },
    host: { displayText: 'The house', webPage: 'https://x/', uris: [{ uri: 'mailto:h@x' }] },
    conferenceState: { userCount: 1, active: true, locked: true },
    users: {
      state: 'full',
      list: [
        {
          entity: 'sip:zoe@x',
          state: 'full',
          nickname: 'Zo',
          roles: ['moderator'],
          endpoints: [
            {
              entity: 'e',
              state: 'full',
              status: 'connected',
              media: [{ id: '1', type: 'message', status: 'sendrecv' }],
            },
          ],
        },
        {
          entity: 'sip:yan@x',
          state: 'full',
          roles: [],
          endpoints: [{ entity: 'f', state: 'full', media: [{ id: '1' }] }],
        },
      ],
    },
  });
  t.equal(
    formatView(view, plainDress, NOW),
    [
      'sip:r@x  active, locked, 1 here, 12:34',
      '  name: Tea room',
      '  subject: tea',
      '  about: at four',
      '  page: https://x/',
      '  host: The house',
      '  people:',
      '    Zo  sip:zoe@x  moderator',
      '      connected, message sendrecv',
      '    sip:yan@x  sip:yan@x',
      '      unknown, ?',
      '  addresses:',
      '    grouptextchat  sip:r@x  Chat',
      '    web-page  https://x/r',
      '    participation  tel:+1',
      '    mailto:h@x',
    ].join('\n'),
  );
  t.same(roomEvent(view, 'sip:r@x', [zoe]), {
    type: 'room',
    uri: 'sip:r@x',
    subject: 'tea\u001b',
    people: [zoe],
    chatUris: ['sip:r@x'],
  });
  t.equal(timeOf(NOW, NOW), '12:34');
});

t.test('commands', async (t) => {
  const shown: string[] = [];
  const said: string[] = [];
  let left = 0;
  let asked: string | undefined;
  const features: string[] = ['private-messages'];
  const room: Pick<Room, 'features' | 'nickname' | 'server'> = {
    features,
    server: 'elsewhere',
    nickname: (name) => {
      asked = name;
      return Promise.resolve(name === 'taken' ? { status: 425, comment: 'in use' } : { status: 200, comment: 'OK' });
    },
  };
  const context = {
    room,
    show: (event: ChatEvent) => shown.push(words(event) ?? ''),
    complain: (why: string) => shown.push(`! ${why}`),
    say: (text: string, to?: Person) => void said.push(to === undefined ? text : `${to.name}: ${text}`),
    order: (line: string) => void said.push(`order: ${line}`),
    recall: (wish: string) => void said.push(`recall: ${wish}`),
    people: () => [zoe, { name: 'Zoe van Dyk', uri: 'sip:zvd@x' }],
    who: () => shown.push('who'),
    leave: () => left++,
    sendFile: (path: string) => void shown.push(`send ${path}`),
    saveFile: (number: number, path?: string) => void shown.push(`save ${number} ${path ?? 'here'}`),
    readers: () => shown.push('readers'),
  };
  const type = (line: string): void => void enter(line, context);
  for (const line of ['hello', ' spaced ', '//slash', '/ no command', '', '   ', 'a /who']) type(line);
  t.same(said.splice(0), ['hello', ' spaced ', '/slash', '/ no command', 'a /who']);
  type('/msg Zoe hi there');
  type('/MSG "zoe VAN dyk"  hi');
  type('/msg sip:zvd@x you');
  t.same(said.splice(0), ['Zoe: hi there', 'Zoe van Dyk: hi', 'Zoe van Dyk: you']);
  type('/msg');
  t.equal(shown.pop(), '! write it so: /msg WHO TEXT');
  for (const line of ['/msg', '/msg Zoe', '/msg Nobody hi', '/constructor', '/nonsense x']) type(line);
  t.same(said, []);
  t.equal(shown.splice(0).filter((text) => text.startsWith('!')).length, 5);
  features.pop();
  type('/msg Zoe hi');
  t.match(shown.pop(), /no private messages/);
  type('/nick taken');
  await setImmediate();
  t.equal(shown.pop(), '! no nickname: 425 in use');
  type('/nick Z Z');
  await setImmediate();
  t.equal(asked, 'Z Z');
  t.equal(shown.pop(), '* you are now Z Z');
  type('/nick "Queen of Z"');
  t.equal(asked, 'Queen of Z', 'as /msg wants it');
  await setImmediate();
  shown.pop();
  type('/nick');
  await setImmediate();
  t.equal(asked, '');
  type('/help');
  t.match(shown.pop(), /\/who/);
  type('/who');
  t.equal(shown.pop(), 'who');
  type('/leave');
  t.equal(left, 1);
  shown.length = 0;
  for (const line of ['/file a b.png', '/save 3', '/save 12 x y', '/seen']) type(line);
  t.same(shown.splice(0), ['send a b.png', 'save 3 here', 'save 12 x y', 'readers']);
  for (const line of ['/file', '/save', '/save x', '/kick Zoe', '/history 2']) type(line);
  t.equal(shown.splice(0).filter((text) => text.startsWith('!')).length, 5, 'no order for a room of another service');
  t.same(said, []);
  const here = { ...context, room: { ...room, server: 'grouptextchat 1' } };
  for (const line of ['/kick Zoe for a reason', '/HELP', '/nonsense', '/history 2h', '/history'])
    void enter(line, here);
  const orders = ['order: /kick Zoe for a reason', 'order: /HELP', 'recall: 2h', 'recall: '];
  t.same(said.splice(0), orders, 'what the room itself knows goes to it');
  for (const line of ['//kick Zoe', '//pin:4711', '//usr/bin is full']) enter(line, here);
  const literally = [' /kick Zoe', ' /pin:4711', '/usr/bin is full'];
  t.same(said.splice(0), literally, 'what it would take for an order is said behind a blank');
  shown.length = 0;
  for (const line of ['/pin:4711', '/msg: Zoe hi', '/leave!', ' /kik Zoe', '/кик Zoe']) enter(line, here);
  t.same(said, [], 'a slip is not said');
  t.equal(shown.length, 5);
  t.match(shown[0], /^! there is no \/pin:4711; .* \/\/pin:4711 says it to all/);
  enter('/me waves', here);
  t.same(said.splice(0), ['/me waves']);
  for (const name of commandNames()) {
    enter(`/${name} x`, here);
    t.match(said.splice(0), [/^(?:order|recall): /], `/${name} goes to the room`);
  }
  for (const sign of [...Array.from(' \t:=,;!?.-/_()"@#+*0é'), '. ', ' . ']) {
    const line = `/kik${sign}x`;
    enter(line, here);
    t.equal(said.splice(0).length === 0, seemsCommand(line), `${line}: a slip here is one there`);
  }
});

t.test('completion', async (t) => {
  const people = [zoe, { name: 'Zoe van Dyk', uri: 'y' }, { name: 'Yan', uri: 'x' }];
  const choices = (line: string, among = people): readonly string[] => completions(line, among).choices;
  t.same(choices('/n'), ['/nick ']);
  t.same(choices('/mu'), ['/mute ']);
  t.same(choices('/hi'), ['/history ']);
  t.same(choices('hello Y'), ['Yan ']);
  t.same(choices('/msg '), ['Zoe ', '"Zoe van Dyk" ', 'Yan ']);
  t.same(choices('x', []), []);
  t.same(
    completions('/msg zo', people),
    { choices: ['Zoe ', '"Zoe van Dyk" '], word: 'zo' },
    'quotes need not be typed',
  );
  t.same(completions('/msg "zoe v', people), { choices: ['"Zoe van Dyk" '], word: '"zoe v' }, 'nor end the word');
  const folder = t.testdir({ 'a file.txt': '', album: {}, '.hidden': '' });
  t.same(choices(`/file ${folder}/`), [`${folder}/a file.txt`, `${folder}/album/`]);
  t.same(completions(`/file ${folder}/a f`, people), { choices: [`${folder}/a file.txt`], word: `${folder}/a f` });
  t.same(choices(`/file ${folder}/nowhere/x`), []);
});

/** A terminal made of streams. */
function terminalOf(
  tty: boolean,
  env: Record<string, string> = {},
): { terminal: Terminal; input: PassThrough; text(): string } {
  const input = Object.assign(new PassThrough(), { isTTY: tty, setRawMode: () => input });
  const output = Object.assign(new PassThrough(), { isTTY: tty, columns: 80 });
  let text = '';
  output.on('data', (piece: Buffer) => (text += piece.toString()));
  return { terminal: { input, output, env }, input, text: () => text };
}

t.test('the screen in a pipe, on a dumb terminal, and on a lively one', async (t) => {
  for (const [kind, tty, env] of [
    ['pipe', false, { TERM: 'xterm' }],
    ['dumb', true, { TERM: 'dumb' }],
  ] as const) {
    const { terminal, input, text } = terminalOf(tty, env);
    const screen = new Screen(terminal, { json: false, colour: true });
    const lines: string[] = [];
    let ended = 0;
    screen.listen({ line: (line) => void lines.push(line), ended: () => ended++ });
    screen.show(message('hi'), NOW);
    input.end('one\ntwo');
    await new Promise((resolve) => input.once('end', resolve));
    await setImmediate();
    t.same(lines, ['one', 'two'], kind);
    t.equal(ended, 1);
    t.equal(text(), '12:34 Zoe: hi\n', `${kind}: words and nothing else`);
    screen.close();
  }
  const { terminal, input, text } = terminalOf(true, { TERM: 'xterm' });
  const screen = new Screen(terminal, { json: false, colour: true });
  const lines: string[] = [];
  const typed: string[] = [];
  screen.listen({ line: (line) => void lines.push(line), ended: () => undefined, typed: (line) => typed.push(line) });
  input.write('hel');
  await setImmediate();
  screen.show(message('hi'), NOW);
  t.ok(text().endsWith('> hel\u001b[6G'), 'the line being typed is back below the message');
  t.match(text(), /\r\u001b\[J.*12:34.*Zoe.*: hi\n/s);
  t.match(text(), /\u001b\[\d+mZoe/, 'in colour');
  input.write('lo\r');
  await setImmediate();
  t.same(lines, ['hello']);
  t.same(typed.includes('hel'), true);
  screen.close();
  t.ok(screen.attended);

  const plain = terminalOf(true, { TERM: 'xterm', NO_COLOR: '1' });
  new Screen(plain.terminal, { json: false, colour: true }).show(message('hi'), NOW);
  t.equal(plain.text(), '12:34 Zoe: hi\n', 'NO_COLOR');
  const json = terminalOf(true, { TERM: 'xterm' });
  new Screen(json.terminal, { json: true, colour: true }).show({ type: 'composing', person: zoe, active: true });
  t.same(JSON.parse(json.text()), { type: 'composing', person: zoe, active: true });
});

t.test('files', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'grouptextchat-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const picture = join(folder, 'a b.PNG');
  writeFileSync(picture, 'png');
  t.match(await fileToSend(picture), { name: 'a b.PNG', contentType: 'image/png' });
  writeFileSync(join(folder, 'thing'), '');
  await t.rejects(fileToSend('/dev/null'), /\/dev\/null: it is no file/, 'others of its kind have no end');
  await t.rejects(fileToSend(folder), /: it is a folder/);
  t.match(await fileToSend(join(folder, 'thing')), { name: 'thing', contentType: 'application/octet-stream' });
  await t.rejects(fileToSend(join(folder, 'nothing')), /nothing: there is no such file/);
  truncateSync(picture, 40 * 1024 * 1024);
  await t.rejects(fileToSend(picture), /larger than 30\.0 MiB/);

  const before = process.cwd();
  process.chdir(folder);
  t.teardown(() => process.chdir(before));
  const inbox = new Inbox();
  const content = Buffer.from('hello');
  t.equal(inbox.keep({ name: '../../etc/passwd', content }), 1);
  t.equal(await inbox.save(1), '__.._etc_passwd', 'a name is no path');
  await t.rejects(inbox.save(1), /: there is such a file already/, 'nothing is written over');
  t.equal(await inbox.save(1, join(folder, 'mine')), join(folder, 'mine'));
  t.equal(readFileSync(join(folder, 'mine'), 'utf8'), 'hello');
  await t.rejects(inbox.save(2), /no file 2/);
  for (let at = 0; at < 30; at++) inbox.keep({ name: '', content });
  await t.rejects(inbox.save(1), /no file 1/, 'only the last are kept');
  t.equal(await inbox.save(31), 'file');
  t.equal(inbox.keep({ name: 'big', content: Buffer.alloc(65 * 1024 * 1024) }), 32);
  await t.rejects(inbox.save(31), /no file 31/, 'and not more than there is room for');
  t.same([5, 2048, 3 * 1024 * 1024].map(sizeText), ['5 bytes', '2 KiB', '3.0 MiB']);
});

t.test('RFC 3994 §3.2: told when one begins to write, while one goes on, and when one has stopped', async (t) => {
  mock.timers.enable({ apis: ['setTimeout'] });
  t.teardown(() => mock.timers.reset());
  const told: boolean[] = [];
  const since = (): boolean[] => told.splice(0);
  const composing = new Composing((active) => told.push(active));
  for (const line of ['h', 'he']) composing.typed(line);
  t.same(since(), [true], 'once');
  for (let second = 0; second < 56; second += 14) {
    mock.timers.tick(14_000);
    composing.typed('hell');
  }
  t.same(since(), [], 'not before a minute');
  mock.timers.tick(5000);
  composing.typed('hello');
  t.same(since(), [true], 'and then again');
  mock.timers.tick(15_000);
  t.same(since(), [false], 'nothing for fifteen seconds');
  composing.typed('hello b');
  t.same(since(), [true]);
  composing.typed('');
  t.same(since(), [false], 'taken back');
  composing.typed('/help');
  t.same(since(), [], 'an order is for nobody else');
  composing.typed('hello');
  composing.said();
  mock.timers.tick(120_000);
  t.same(since(), [true], 'what was said tells by itself');
  composing.typed('more');
  t.same(since(), [true], 'the next one is another');
  composing.said();
});

t.test('RFC 3994 §3.3: who writes', async (t) => {
  mock.timers.enable({ apis: ['setTimeout'] });
  t.teardown(() => mock.timers.reset());
  const told: (readonly string[])[] = [];
  const writers = new Writers((names) => told.push(names));
  writers.begin('a', 'Alice', 60);
  writers.begin('b', 'Bob', 120);
  t.same(told.at(-1), ['Alice', 'Bob']);
  mock.timers.tick(59_000);
  writers.begin('a', 'Alice', 60);
  mock.timers.tick(2_000);
  t.same(told.at(-1)?.length, 2, 'told again in time');
  writers.end('b');
  writers.end('b');
  t.same(told.at(-1), ['Alice']);
  mock.timers.tick(60_000);
  t.same(told.at(-1), [], 'silent for too long');

  const { terminal, text } = terminalOf(true, { TERM: 'xterm' });
  const screen = new Screen(terminal, { json: false, colour: false });
  screen.hint(['too early']);
  screen.listen({ line: () => undefined, ended: () => undefined });
  screen.hint(['Bob']);
  t.ok(text().includes('Bob … > '));
  screen.hint(['Bob', 'Zoe', 'Yan']);
  t.ok(text().includes('3 people write > '));
  screen.hint([]);
  t.ok(text().endsWith('> \u001b[3G'));
  screen.close();
});
