import t from 'tap';
import fc from '../fast-check.ts';
import { commandHelp, type CommandContext, isCommand, readCommand } from '../../src/chat/commands.ts';
import { readDuration } from '../../src/chat/past-wish.ts';
import { Coming } from '../../src/chat/coming.ts';
import { Domains } from '../../src/chat/domains.ts';
import { ConferenceHost } from '../../src/chat/host.ts';
import { actOf, describeOrder, eventsOf, type Order } from '../../src/chat/orders.ts';
import { Retractable } from '../../src/chat/retractable.ts';
import { ENGLISH } from '../../src/chat/texts.ts';
import { userNamed } from '../../src/chat/who.ts';
import { Conference } from '../../src/conference/conference.ts';
import type { ConferenceEvent, Said } from '../../src/conference/events.ts';
import {
  endpointId,
  eventNumber,
  ipAddress,
  type IpAddress,
  messageId,
  roomUri,
  userUri,
  type UserUri,
} from '../../src/conference/ids.ts';
import type { ConferenceSettings } from '../../src/conference/settings.ts';
import { MemoryLog } from '../../src/log/memory.ts';
import type { RoomLog } from '../../src/log/room-log.ts';
import { isPin } from '../../src/policy/pin.ts';
import { DEFAULT_ROOM_POLICY } from '../../src/policy/room-policy.ts';

const ALICE = userUri('sip:alice@example.com');
const BOB = userUri('sip:bob@example.com');
const KIM = userUri('sip:kim@example.com');
const NOW = Date.UTC(2026, 1, 1);

let legs = 0;
function joins(
  user: UserUri,
  more: { displayName?: string; alias?: UserUri; address?: IpAddress } = {},
): ConferenceEvent {
  legs += 1;
  const endpoint = endpointId(`leg${String(legs)}`);
  return { type: 'joined', at: NOW, endpoint, user, method: 'dialed-in', media: [], ...more };
}

function after(...events: readonly ConferenceEvent[]): Conference {
  const conference = new Conference();
  events.forEach((event, i) => conference.apply(event, eventNumber(i + 1)));
  return conference;
}

const named = after(
  joins(ALICE, { displayName: 'Alice B' }),
  joins(BOB, { displayName: 'Bob' }),
  joins(userUri('sip:bob@elsewhere.example'), { displayName: 'Bob' }),
  joins(userUri('sip:secret@example.com'), { displayName: 'Anonymous', alias: userUri('sip:fox@anonymous.invalid') }),
  { type: 'renamed', at: NOW, user: ALICE, nickname: 'Zoe' },
);

t.test('a name means a URI, a nickname, or what only one is called', (t) => {
  const means = (name: string): unknown => userNamed(named, name);
  t.equal(means('sip:alice@example.com'), ALICE);
  t.equal(means('<sip:alice@EXAMPLE.com:5060;transport=tcp>'), ALICE);
  t.equal(means('zoe'), ALICE);
  t.equal(means('alice b'), ALICE);
  t.equal(means('alice'), ALICE);
  t.same(means('Bob'), { refused: 'several' });
  t.equal(means('sip:fox@anonymous.invalid'), 'sip:secret@example.com');
  t.same(means('sip:secret@example.com'), { refused: 'nobody' }, 'who hides is not found by his address');
  t.same(means('secret'), { refused: 'nobody' });
  t.same(means(''), { refused: 'nobody' });
  const odd = userUri('sip:team%20zo%C3%AB@example.com');
  t.equal(userNamed(after(joins(odd)), 'Team Zoë'), odd, 'as it is shown, and not as it is written in the URI');
  const taken = after(joins(ALICE, { displayName: 'Zoe' }), joins(BOB, { displayName: 'Bob' }), {
    type: 'renamed',
    at: NOW,
    user: BOB,
    nickname: 'zoe',
  });
  t.same(userNamed(taken, 'Zoe'), { refused: 'several' }, 'a nickname gets nobody what is meant for who is shown so');
  t.end();
});

const context: CommandContext = {
  conference: named,
  user: ALICE,
  now: NOW,
  messages: {
    last: (author, nth) =>
      author === ALICE && nth < 4 ? { author, messageId: messageId(`last${String(nth)}`) } : undefined,
    find: (id) => (id === 'some-id' ? { author: BOB, messageId: messageId('m') } : undefined),
  },
  domains: new Domains(['example.com']),
  departed: (name) => (name === 'kim' ? KIM : undefined),
};
const read = (text: string): unknown => readCommand(text, context);

t.test('what is written in the chat becomes an order', (t) => {
  const table: readonly (readonly [string, unknown])[] = [
    ['/mute Zoe', { order: 'mute', user: ALICE }],
    ['/MUTE "Alice B"  far too loud ', { order: 'mute', user: ALICE, reason: 'far too loud' }],
    ['/kick zoe', { order: 'kick', user: ALICE }],
    ['/ban zoe', { order: 'ban', target: { kind: 'user', user: ALICE } }],
    [
      '/ban zoe 2h flood',
      { order: 'ban', target: { kind: 'user', user: ALICE }, until: NOW + 7_200_000, reason: 'flood' },
    ],
    ['/ban zoe flood', { order: 'ban', target: { kind: 'user', user: ALICE }, reason: 'flood' }],
    [
      '/ban *@evil.example 7d',
      { order: 'ban', target: { kind: 'domain', domain: 'evil.example' }, until: NOW + 604_800_000 },
    ],
    ['/ban 192.0.2.1', { order: 'ban', target: { kind: 'address', address: '192.0.2.1' } }],
    ['/ban 2001:db8::1', { order: 'ban', target: { kind: 'address', address: '2001:db8::1' } }],
    ['/ban ::ffff:7f00:1', { order: 'ban', target: { kind: 'address', address: '127.0.0.1' } }],
    [
      '/ban ::ffff:127.0.0.1 2h',
      { order: 'ban', target: { kind: 'address', address: '127.0.0.1' }, until: NOW + 7_200_000 },
    ],
    ['/ban [2001:DB8:0:0::01]', { order: 'ban', target: { kind: 'address', address: '2001:db8::1' } }],
    ['/ban "192.0.2.1"', { say: 'nobody', name: '192.0.2.1' }],
    ['/ban 192.0.2.256', { say: 'nobody', name: '192.0.2.256' }],
    ['/ban sip:gone@example.com', { order: 'ban', target: { kind: 'user', user: 'sip:gone@example.com' } }],
    ['/unban sip:gone@example.com', { order: 'unban', target: { kind: 'user', user: 'sip:gone@example.com' } }],
    ['/ban kim', { order: 'ban', target: { kind: 'user', user: KIM } }],
    ['/ban sip:kim@EXAMPLE.com;transport=tcp', { order: 'ban', target: { kind: 'user', user: KIM } }],
    ['/unban kim', { order: 'unban', target: { kind: 'user', user: KIM } }],
    ['/unmute kim', { order: 'unmute', user: KIM }],
    ['/role sip:kim@example.com participant', { order: 'role', user: KIM, role: 'participant' }],
    ['/kick kim', { say: 'nobody', name: 'kim' }],
    ['/role zoe visitor', { order: 'role', user: ALICE, role: 'visitor' }],
    ['/retract', { order: 'retract', author: ALICE, messageId: 'last1' }],
    ['/retract 3', { order: 'retract', author: ALICE, messageId: 'last3' }],
    ['/retract 4', { say: 'no-message' }],
    ['/retract zoe spam', { order: 'retract', author: ALICE, messageId: 'last1', reason: 'spam' }],
    ['/retract "Alice B" 2 spam', { order: 'retract', author: ALICE, messageId: 'last2', reason: 'spam' }],
    ['/retract zoe 3rd time', { order: 'retract', author: ALICE, messageId: 'last1', reason: '3rd time' }],
    ['/retract some-id', { order: 'retract', author: BOB, messageId: 'm' }],
    ['/retract some-id spam', { order: 'retract', author: BOB, messageId: 'm', reason: 'spam' }],
    ['/retract other-id', { say: 'nobody', name: 'other-id' }],
    ['/subject Lunch at noon', { order: 'subject', subject: 'Lunch at noon' }],
    ['/subject off', { order: 'subject' }],
    ['/subject off we go', { order: 'subject', subject: 'off we go' }],
    ['/subject', { say: 'subject', subject: undefined }],
    ['/slow 1m', { order: 'slow', seconds: 60 }],
    ['/slow off', { order: 'slow', seconds: 0 }],
    ['/slow 0', { order: 'slow', seconds: 0 }],
    ['/slow 0s', { order: 'slow', seconds: 0 }],
    ['/lobby on', { order: 'setting', change: { setting: 'lobby', value: true } }],
    ['/limit 20', { order: 'setting', change: { setting: 'maximumUsers', value: 20 } }],
    ['/limit off', { order: 'setting', change: { setting: 'maximumUsers', value: null } }],
    ['/pin 4711', { order: 'pin', pin: '4711' }],
    ['/pin off', { order: 'pin' }],
    ['/extend 30m', { order: 'setting', change: { setting: 'endsAt', value: NOW + 1_800_000 } }],
    ['/move sip:new@example.com more space', { order: 'move', to: 'sip:new@example.com', reason: 'more space' }],
    ['/move off', { order: 'unmove' }],
    ['/end', { order: 'end' }],
    ['/help', { say: 'help' }],
    ['/mute', { say: 'usage', usage: '/mute NAME [REASON]' }],
    ['/mute nobody', { say: 'nobody', name: 'nobody' }],
    ['/mute bob', { say: 'several', name: 'bob' }],
    ['/slow often', { say: 'usage', usage: '/slow 30s|off' }],
    ['/limit 0', { say: 'usage', usage: '/limit USERS|off' }],
    ['/move nowhere', { say: 'usage', usage: '/move URI [REASON], /move off' }],
  ];
  for (const [text, order] of table) t.same(read(text), order, text);
  t.end();
});

t.test('only known commands are commands', (t) => {
  for (const text of ['/kick', '/KICK zoe', '/help ']) t.ok(isCommand(text), text);
  for (const text of ['/usr/bin', '/kicker', 'kick', ' /kick', '//kick', '/constructor', '/__proto__', '/']) {
    t.notOk(isCommand(text), text);
  }
  t.match(commandHelp(), /^Orders to the room/, 'under a heading');
  t.match(commandHelp(), /^\/mute NAME \[REASON\] +somebody may not speak any more$/m);
  t.end();
});

t.test('any line after a slash is an order, an answer, or no command', (t) => {
  fc.assert(
    fc.property(
      fc.constantFrom('mute', 'ban', 'role', 'slow', 'limit', 'extend', 'move', 'pin'),
      fc.string(),
      (name, rest) => {
        const result = readCommand(`/${name} ${rest}`, context);
        t.ok('order' in result || 'say' in result);
      },
    ),
  );
  t.end();
});

t.test('durations', (t) => {
  t.same(['30s', '10m', '2h', '7d'].map(readDuration), [30_000, 600_000, 7_200_000, 604_800_000]);
  t.same(['', '5', 'm', '1y', '-1s', '1.5h', '1234567s', undefined].map(readDuration), Array(8).fill(undefined));
  t.end();
});

t.test('an order becomes the events that carry it out', (t) => {
  const by = ALICE;
  const conference = after(
    joins(ALICE, { address: ipAddress('192.0.2.1') }),
    joins(BOB, { address: ipAddress('192.0.2.2') }),
    joins(BOB, { address: ipAddress('192.0.2.3') }),
  );
  const types = (order: Order): readonly string[] => eventsOf(order, conference, NOW, by).map(({ type }) => type);
  t.same(types({ order: 'kick', user: BOB }), ['left', 'left'], 'with all devices');
  t.same(types({ order: 'kick', user: userUri('sip:nobody@example.com') }), []);
  t.same(types({ order: 'ban', target: { kind: 'address', address: ipAddress('192.0.2.3') } }), ['banned', 'left']);
  t.same(types({ order: 'ban', target: { kind: 'domain', domain: 'Example.com' } }), [
    'banned',
    'left',
    'left',
    'left',
  ]);
  t.same(types({ order: 'end' }), ['ended', 'left', 'left', 'left'], 'said before anybody goes');
  t.same(types({ order: 'admit', user: BOB }), [], 'nobody waits');
  const [kick] = eventsOf({ order: 'kick', user: BOB, reason: 'say "no"\r\nmore' }, conference, NOW, by);
  t.match(kick, { type: 'left', method: 'booted', by: ALICE, reason: 'SIP;cause=200;text="Kicked: say  no   more"' });
  const [pin] = eventsOf({ order: 'pin', pin: '4711' }, conference, NOW, undefined);
  const value = pin?.type === 'setting' && pin.change.setting === 'pinHash' ? (pin.change.value ?? '') : '';
  t.ok(isPin('4711', value));
  t.notOk(pin !== undefined && 'by' in pin);
  t.end();
});

t.test('what the rules are asked, and what the operator reads', (t) => {
  t.same(actOf({ order: 'unban', target: { kind: 'user', user: BOB } }), { act: 'ban', target: BOB });
  t.same(actOf({ order: 'ban', target: { kind: 'domain', domain: 'x' } }), { act: 'ban' });
  t.same(actOf({ order: 'retract', author: BOB, messageId: messageId('m') }), { act: 'retract', target: BOB });
  t.equal(describeOrder({ order: 'pin', pin: '4711' }), 'pin pin=***');
  t.equal(describeOrder({ order: 'lock' }), 'lock');
  const until = Date.UTC(2026, 0, 31, 12);
  t.equal(
    describeOrder({ order: 'ban', target: { kind: 'user', user: BOB }, until, reason: 'flood' }),
    'ban target={"kind":"user","user":"sip:bob@example.com"} until="2026-01-31T12:00:00.000Z" reason="flood"',
  );
  const ends = (value: number | null): string =>
    describeOrder({ order: 'setting', change: { setting: 'endsAt', value } });
  t.equal(ends(until), 'setting change={"setting":"endsAt","value":"2026-01-31T12:00:00.000Z"}');
  t.equal(ends(null), 'setting change={"setting":"endsAt","value":null}');
  t.equal(
    describeOrder({ order: 'mute', user: BOB, reason: 'a\nb' }),
    'mute user="sip:bob@example.com" reason="a\\nb"',
  );
  t.end();
});

/** A host of permanent rooms with these settings, and what it tells the operator. */
function hostOf(
  conference: ConferenceSettings,
  { log = new MemoryLog(), now = () => NOW }: { readonly log?: RoomLog; readonly now?: () => number },
): { readonly host: ConferenceHost; readonly lines: string[] } {
  const lines: string[] = [];
  const host = new ConferenceHost({
    log,
    domains: new Domains(['example.com']),
    settingsOf: () => ({
      conference,
      policy: DEFAULT_ROOM_POLICY,
      permanent: true,
      welcome: { text: undefined, history: { messages: 0, missed: 0 } },
    }),
    newConference: (settings) => new Conference(settings),
    watchers: [],
    maxRooms: 1,
    texts: ENGLISH,
    deliveryFailed: () => undefined,
    duplicateWindow: 10,
    warn: () => undefined,
    audit: (line) => lines.push(line),
    now,
  });
  return { host, lines };
}

t.test('who is on his way into the roster is meant by what is ordered, and may order', async (t) => {
  const held: (() => void)[] = [];
  const memory = new MemoryLog();
  /** A log that keeps nothing before it is told to. */
  const log = new Proxy<RoomLog>(memory, {
    get: (target, name) => {
      if (name === 'append') {
        return (...args: Parameters<RoomLog['append']>) => {
          held.push(() => target.append(...args));
          return eventNumber(held.length);
        };
      }
      const member: unknown = Reflect.get(target, name);
      return typeof member === 'function' ? (member.bind(target) as unknown) : member;
    },
  });
  const { host, lines } = hostOf({ roles: new Map([[ALICE, 'owner' as const]]) }, { log });
  const opened = await host.open(roomUri('sip:room@example.com'), 'watcher');
  const room = opened?.room;
  if (room === undefined) throw new Error('no room');
  const keep = (): void => {
    for (const append of held.splice(0)) append();
  };
  const results: unknown[] = [];
  const told = (result: unknown): void => {
    results.push(result);
  };
  const address = ipAddress('192.0.2.9');
  const orders: readonly (() => void)[] = [
    () => {
      room.moderation.order(ALICE, { order: 'kick', user: BOB }, 'REFER', told);
    },
    () => {
      room.moderation.command('administrator', '/kick bob', 'API', told);
    },
    () => {
      room.moderation.order(ALICE, { order: 'ban', target: { kind: 'address', address } }, 'chat', told);
    },
  ];
  for (const order of orders) {
    room.append(joins(BOB, { address }));
    order();
    t.same(results, [], 'not before it is known whether he is in');
    keep();
    keep();
    t.same(results.splice(0), ['done']);
    t.same(room.conference.endpointsOf(BOB), [], 'he is out');
    t.match(lines.pop(), /done$/);
  }
  room.append(joins(KIM));
  room.moderation.order(KIM, { order: 'subject', subject: 'At once' }, 'INVITE', told);
  keep();
  keep();
  t.same(results.splice(0), ['done']);
  t.equal(room.conference.subject, 'At once');

  const coming = new Coming(1);
  const join = joins(BOB);
  if (join.type !== 'joined') throw new Error('no join');
  const done: string[] = [];
  coming.begins(join);
  t.ok(
    coming.after(
      () => true,
      () => done.push('first'),
    ),
  );
  t.notOk(
    coming.after(
      () => true,
      () => done.push('second'),
    ),
    'what waits is bounded',
  );
  coming.ends(join);
  t.same(done, ['first']);
  t.notOk(
    coming.after(
      () => true,
      () => done.push('third'),
    ),
    'nobody comes',
  );
  opened?.release();
});

t.test('a conference ends when its time is over', async (t) => {
  let now = NOW;
  const { host, lines } = hostOf({ endsAt: NOW + 60_000 }, { now: () => now });
  const opened = await host.open(roomUri('sip:room@example.com'), 'watcher');
  const room = opened?.room;
  room?.append(joins(ALICE));
  now += 59_999;
  host.sweep();
  t.equal(room?.conference.active, true);
  now += 1;
  host.sweep();
  t.equal(room?.conference.active, false);
  t.ok(room?.conference.endedAt);
  t.same(lines, ['sip:room@example.com: administrator by clock: end reason="its time is over": done']);
  host.sweep();
  t.equal(lines.length, 1, 'once');
  opened?.release();
});

t.test('which message is meant: by id, or by count from the end', (t) => {
  const messages = new Retractable(3);
  const said = (by: UserUri, id: string, to?: UserUri): Said => ({
    ...{ type: 'said', at: NOW, by, messageId: messageId(id), contentType: 'message/cpim' },
    ...{ wrappedType: 'text/plain', cpim: new Uint8Array(0), imdnId: messageId(`imdn-${id}`) },
    audience: to === undefined ? { to: 'everyone' } : { to: 'user', user: to },
  });
  const all = [said(ALICE, 'a1'), said(BOB, 'b1'), said(BOB, 'same'), said(ALICE, 'private', BOB), said(ALICE, 'same')];
  for (const [i, each] of all.entries()) messages.note(eventNumber(i + 1), each);
  t.equal(messages.find('a1', ALICE), undefined, 'only the newest are remembered');
  t.equal(messages.find('private', ALICE), undefined);
  t.same(messages.find('imdn-b1', ALICE), { author: BOB, messageId: 'b1' });
  t.same([messages.find('same', BOB)?.author, messages.find('same', undefined)?.author], [BOB, ALICE]);
  for (const id of ['nzzzzzzzzzzz.a.a', 'n.a.a', 'n-1.a.a']) {
    t.equal(messages.find(id, ALICE), undefined, `${id}: whatever a peer writes is no fault of ours`);
  }
  t.same(messages.last(BOB, 2), { author: BOB, messageId: 'b1' });
  messages.forget({ type: 'retracted', at: NOW, author: BOB, messageId: messageId('same') });
  t.same(messages.last(BOB, 1), { author: BOB, messageId: 'b1' });
  t.equal(messages.last(BOB, 2), undefined);
  for (let i = 0; i < 20; i++) messages.note(eventNumber(i + 10), said(ALICE, `more${String(i)}`));
  t.equal(messages.last(ALICE, 3)?.messageId, 'more17');
  t.equal(messages.last(ALICE, 4), undefined);
  t.end();
});
