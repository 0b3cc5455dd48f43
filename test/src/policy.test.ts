import t from 'tap';
import fc from '../fast-check.ts';
import { Conference } from '../../src/conference/conference.ts';
import type { ConferenceEvent, EndpointStatus, Role } from '../../src/conference/events.ts';
import {
  absoluteUri,
  endpointId,
  eventNumber,
  ipAddress,
  messageId,
  roomUri,
  userUri,
} from '../../src/conference/ids.ts';
import type { UserUri } from '../../src/conference/ids.ts';
import type { ConferenceSettings } from '../../src/conference/settings.ts';
import { CREATE_RULES, JOIN_RULES, pinRule, PinTries, waitsInLobby, WATCH_RULES } from '../../src/policy/join.ts';
import type { CreateRequest, JoinRequest } from '../../src/policy/join.ts';
import { MANAGE_RULES } from '../../src/policy/manage.ts';
import type { ManageRequest } from '../../src/policy/manage.ts';
import type { Act } from '../../src/policy/roles.ts';
import { NICKNAME_RULES } from '../../src/policy/nicknames.ts';
import { hashPin, isPin, KnownPins } from '../../src/policy/pin.ts';
import { RateLimiter } from '../../src/policy/rate.ts';
import { sentenceOf } from '../../src/policy/refusal.ts';
import { DEFAULT_ROOM_POLICY } from '../../src/policy/room-policy.ts';
import type { RoomPolicy } from '../../src/policy/room-policy.ts';
import { firstRefusal } from '../../src/policy/rule.ts';
import { rateRules, SPEAK_RULES } from '../../src/policy/speak.ts';
import type { SpeakRequest } from '../../src/policy/speak.ts';

const ALICE = userUri('sip:alice@example.com');
const BOB = userUri('sip:bob@example.com');
const CAROL = userUri('sip:carol@example.com');
const ROOM = roomUri('sip:room@example.com');
const NOW = Date.UTC(2026, 1, 1);
const policy = DEFAULT_ROOM_POLICY;

/** A conference to which all of this has happened, at NOW. */
function after(settings: ConferenceSettings, ...events: readonly ConferenceEvent[]): Conference {
  const conference = new Conference(settings);
  events.forEach((event, i) => conference.apply(event, eventNumber(i + 1)));
  return conference;
}

let legs = 0;
function joins(user: UserUri, status: EndpointStatus = 'connected'): ConferenceEvent {
  const endpoint = endpointId(`leg${String(++legs)}`);
  return { type: 'joined', at: NOW, endpoint, user, status, method: 'dialed-in', media: [] };
}

const gives = (user: UserUri, role: Role): ConferenceEvent => ({ type: 'role', at: NOW, user, role });

t.test('joining: moved, banned, over, members only, locked, full, too many devices', (t) => {
  const judge = (conference: Conference, request: Partial<JoinRequest> = {}): string | undefined =>
    firstRefusal(JOIN_RULES, { conference, policy, user: CAROL, now: NOW, ...request })?.refused;

  t.equal(judge(after({})), undefined);
  t.equal(judge(after({}, { type: 'tombstoned', at: NOW, to: absoluteUri('sip:new@example.com') })), 'moved');
  const target = { kind: 'user', user: CAROL } as const;
  t.equal(judge(after({}, { type: 'banned', at: NOW, target, until: NOW + 1 })), 'banned');
  t.equal(judge(after({}, { type: 'banned', at: NOW, target, until: NOW })), undefined, 'the ban has run out');
  t.equal(judge(after({}, { type: 'banned', at: NOW, target }, { type: 'unbanned', at: NOW, target })), undefined);
  const banned = after({}, { type: 'banned', at: NOW, target: { kind: 'address', address: ipAddress('192.0.2.1') } });
  t.equal(judge(banned, { address: ipAddress('192.0.2.1') }), 'banned');
  t.equal(judge(banned, { address: ipAddress('192.0.2.2') }), undefined);
  t.equal(judge(banned, { address: ipAddress('::ffff:192.0.2.1') }), 'banned');
  const many = { type: 'banned', at: NOW, target: { kind: 'domain', domain: 'example.com' } } as const;
  for (const role of ['owner', 'moderator'] as const) {
    const roles = new Map([[CAROL, role]]);
    t.equal(judge(after({ roles }, many)), undefined, `a ban of many keeps no ${role} out`);
    t.equal(judge(after({ roles }, { type: 'banned', at: NOW, target })), 'banned', 'one by name does');
  }
  t.equal(judge(after({ roles: new Map([[CAROL, 'participant' as const]]) }, many)), 'banned');
  t.equal(judge(after({ endsAt: NOW })), 'over');

  const members = { membersOnly: true, roles: new Map([[ALICE, 'participant' as const]]) };
  t.equal(judge(after(members)), 'not-a-member');
  t.equal(judge(after(members), { user: ALICE }), undefined);
  t.equal(judge(after(members), { invited: true }), undefined);
  t.equal(judge(after(members, gives(CAROL, 'visitor'))), undefined);
  t.equal(
    judge(after(members, { type: 'setting', at: NOW, change: { setting: 'membersOnly', value: false } })),
    undefined,
  );

  const locked = after({}, joins(ALICE), { type: 'locked', at: NOW });
  t.equal(judge(locked), 'locked');
  t.equal(judge(locked, { user: ALICE }), undefined, 'another device adds nobody to the roster');
  t.equal(judge(after({}, { type: 'locked', at: NOW }, { type: 'unlocked', at: NOW })), undefined);

  const full = after({ maximumUsers: 2 }, joins(ALICE), joins(ALICE), joins(BOB, 'dialing-out'));
  t.same(firstRefusal(JOIN_RULES, { conference: full, policy, user: CAROL, now: NOW }), {
    refused: 'full',
    maximum: 2,
  });
  t.equal(judge(full, { user: ALICE }), undefined);
  t.equal(judge(full, { user: ALICE, policy: { ...policy, maxDevices: 2 } }), 'too-many-devices');
  t.end();
});

t.test('a PIN is kept hashed, and cannot be tried out', (t) => {
  const pinHash = hashPin('4711');
  t.notMatch(pinHash, /4711/);
  t.not(hashPin('4711'), pinHash, 'salted');
  t.ok(isPin('4711', pinHash));
  t.notOk(isPin('4712', pinHash));
  t.notOk(isPin('4711', 'plain$4711'));

  const known = new KnownPins();
  const rule = pinRule(new PinTries({ perSecond: 1 / 60, burst: 3 }, { perSecond: 1 / 60, burst: 8 }, 2), ROOM, known);
  const conference = after({ pinHash }, gives(ALICE, 'moderator'));
  const judge = (pin: string | undefined, now: number, user = CAROL, address = '192.0.2.1'): string | undefined =>
    rule({ conference, policy, user, address: ipAddress(address), now, ...(pin === undefined ? {} : { pin }) })
      ?.refused;
  t.equal(judge(undefined, NOW), 'pin-needed');
  t.equal(known.of(pinHash), undefined);
  t.equal(judge('4711', NOW), undefined);
  t.equal(known.of(pinHash), '4711', 'who has dialled it has made it known');
  const proves = (pinProof: boolean, user: UserUri, address: string): string | undefined =>
    rule({ conference, policy, user, address: ipAddress(address), now: NOW, pinProof })?.refused;
  t.equal(proves(true, userUri('sip:kim@example.com'), '192.0.2.9'), undefined);
  for (let i = 0; i < 3; i++) t.equal(proves(false, userUri('sip:kim@example.com'), '192.0.2.9'), 'pin-wrong');
  t.equal(proves(true, userUri('sip:kim@example.com'), '192.0.2.9'), 'pin-too-often', 'by digest as well');
  for (let i = 0; i < 3; i++) t.equal(judge('1', NOW), 'pin-wrong');
  t.equal(judge('4711', NOW), 'pin-too-often', 'now even the right one must wait');
  t.equal(judge('4711', NOW, BOB), undefined, 'who shares the address is not punished for it');
  t.equal(judge('4711', NOW, CAROL, '192.0.2.2'), undefined, 'nor who has the same From elsewhere');
  t.equal(judge('4711', NOW + 60_000), undefined);
  t.equal(judge(undefined, NOW, ALICE), undefined, 'a moderator needs none');
  t.equal(
    pinRule(
      new PinTries({ perSecond: 1, burst: 1 }, { perSecond: 1, burst: 1 }),
      ROOM,
      known,
    )({ conference: after({}), policy, user: BOB, now: NOW }),
    undefined,
  );
  t.end();
});

t.test('a PIN cannot be tried out under many names, and who has come in before is not locked out by it', (t) => {
  const pinHash = hashPin('4711');
  const [byCaller, byNetwork] = [
    { perSecond: 1 / 60, burst: 3 },
    { perSecond: 1 / 60, burst: 8 },
  ];
  const conference = after({ pinHash });
  const judges = (guests: number): ((user: string, pin: string, more?: Partial<JoinRequest>) => unknown) => {
    const rule = pinRule(new PinTries(byCaller, byNetwork, guests), ROOM, new KnownPins());
    return (user, pin, more = {}) =>
      rule({
        ...{ conference, policy, user: userUri(`sip:${user}@example.com`), pin, now: NOW },
        ...{ address: ipAddress('2001:db8:1:2::1'), ...more },
      })?.refused;
  };
  const judge = judges(2);
  t.equal(judge('kim', '4711'), undefined);
  const neighbour = (i: number): Partial<JoinRequest> => ({ address: ipAddress(`2001:db8:1:2::${String(i + 2)}`) });
  const guesses = Array.from({ length: 1000 }, (_, i) => judge(`m${String(i)}`, String(i), neighbour(i % 9)));
  t.equal(guesses.filter((each) => each === 'pin-wrong').length, 8, 'however many names, in one /64');
  t.equal(guesses.at(-1), 'pin-too-often');
  t.equal(judge('lou', '4711'), 'pin-too-often', 'who was never here has to wait with them');
  t.equal(judge('lou', '4711', { address: ipAddress('2001:db8:1:3::1') }), undefined, 'not elsewhere');
  t.equal(judge('kim', '4711'), undefined, 'who has known it once is believed to be no guesser');
  for (let i = 0; i < 3; i++) t.equal(judge('kim', '1'), 'pin-wrong');
  t.equal(judge('kim', '4711'), 'pin-too-often', 'and stopped when he is one');
  for (let i = 0; i < 3; i++) {
    const address = ipAddress(`192.0.2.${String(i)}`);
    t.equal(judge('ann', '1', { proven: true, address }), 'pin-wrong');
  }
  const elsewhere = { address: ipAddress('192.0.2.9') };
  t.equal(judge('ann', '4711', { proven: true, ...elsewhere }), 'pin-too-often', 'an account is one, wherever it is');
  t.equal(judge('ann', '4711', elsewhere), undefined, 'nobody else can lock a From out');

  const forgetful = judges(1);
  t.equal(forgetful('kim', '4711'), undefined);
  t.equal(forgetful('lou', '4711'), undefined);
  for (let i = 0; i < 8; i++) forgetful(`m${String(i)}`, '1');
  t.equal(forgetful('kim', '4711'), 'pin-too-often', 'of those who have come in the latest are remembered');
  t.equal(forgetful('lou', '4711'), undefined);
  t.end();
});

t.test('the lobby holds newcomers until somebody admits them', (t) => {
  const request = { policy, now: NOW } as const;
  const lobby = after({ lobby: true, roles: new Map([[ALICE, 'moderator' as const]]) }, joins(BOB, 'pending'));
  t.equal(waitsInLobby({ ...request, conference: lobby, user: CAROL }), true);
  t.equal(waitsInLobby({ ...request, conference: lobby, user: BOB }), true, 'his other device waits still');
  t.equal(waitsInLobby({ ...request, conference: lobby, user: CAROL, invited: true }), false);
  t.equal(waitsInLobby({ ...request, conference: lobby, user: ALICE }), false);
  const [bob] = lobby.endpointsOf(BOB);
  if (bob !== undefined) lobby.apply({ type: 'admitted', at: NOW, endpoint: bob.id }, eventNumber(9));
  t.equal(waitsInLobby({ ...request, conference: lobby, user: BOB }), false);
  t.end();
});

t.test('RFC 4579 §5.4: who may make a room', (t) => {
  const judge = (request: Partial<CreateRequest>): string | undefined =>
    firstRefusal(CREATE_RULES, {
      user: BOB,
      authenticated: true,
      rooms: 0,
      maxRooms: 2,
      creators: 'anybody',
      ...request,
    })?.refused;
  t.equal(judge({ authenticated: false }), undefined);
  t.equal(judge({ rooms: 2 }), 'too-many-rooms');
  t.equal(judge({ creators: 'authenticated' }), undefined);
  t.equal(judge({ creators: 'authenticated', authenticated: false }), 'may-not-create');
  t.equal(judge({ creators: 'nobody' }), 'may-not-create');
  t.equal(judge({ creators: new Set([BOB]) }), undefined);
  t.equal(judge({ creators: new Set([BOB]), authenticated: false }), 'may-not-create');
  t.equal(judge({ creators: new Set([ALICE]) }), 'may-not-create');
  t.end();
});

t.test('RFC 4575 §8.2: who may watch the roster', (t) => {
  const judge = (conference: Conference, policy: RoomPolicy, user = CAROL): string | undefined =>
    firstRefusal(WATCH_RULES, { conference, policy, user, now: NOW })?.refused;
  const closed: RoomPolicy = { ...policy, watchers: 'participants' };
  t.equal(judge(after({}), policy), undefined);
  t.equal(judge(after({}), closed), 'may-not-watch');
  t.equal(judge(after({}, joins(CAROL)), closed), undefined);
  t.equal(judge(after({ roles: new Map([[CAROL, 'moderator' as const]]) }), closed), undefined);
  t.equal(
    judge(after({}, { type: 'banned', at: NOW, target: { kind: 'user', user: CAROL } }), policy),
    'may-not-watch',
  );
  t.end();
});

t.test('RFC 7701 §6: who may speak', (t) => {
  const everyone = { to: 'everyone' } as const;
  const judge = (conference: Conference, request: Partial<SpeakRequest> = {}): string | undefined =>
    firstRefusal(SPEAK_RULES, {
      conference,
      policy,
      user: ALICE,
      audience: everyone,
      kind: 'message',
      size: 10,
      now: NOW,
      ...request,
    })?.refused;
  const toBob = { to: 'user', user: BOB } as const;
  const here = after({}, joins(ALICE), joins(BOB));
  t.equal(judge(here), undefined);
  t.equal(judge(here, { user: CAROL }), 'not-here');
  t.equal(judge(after({}, joins(ALICE, 'pending'))), 'in-lobby');
  t.equal(judge(here, { size: policy.maxMessage + 1 }), 'too-large');
  t.equal(judge(here, { audience: toBob }), undefined);
  t.equal(judge(here, { audience: { to: 'user', user: CAROL } }), 'recipient-unknown');

  const muted = after({}, joins(ALICE), joins(BOB), { type: 'muted', at: NOW, user: ALICE });
  t.equal(judge(muted), 'muted');
  t.equal(judge(muted, { kind: 'typing' }), 'muted');
  t.equal(judge(muted, { kind: 'disposition', audience: toBob }), undefined, 'RFC 5438: the muted may still report');
  t.equal(judge(after({ defaultRole: 'visitor' }, joins(ALICE))), 'listens-only');

  const open = after({ privateMessages: false }, joins(ALICE), joins(BOB));
  t.equal(judge(open, { audience: toBob }), 'no-private-messages');
  t.equal(judge(open, { audience: toBob, kind: 'disposition' }), undefined);
  t.end();
});

t.test('slow mode: once in so many seconds, not for moderators', (t) => {
  const conference = after({}, joins(ALICE), joins(BOB), gives(BOB, 'moderator'), {
    type: 'slowMode',
    at: NOW,
    seconds: 10,
  });
  const judge = (user: UserUri, now: number): unknown =>
    firstRefusal(SPEAK_RULES, {
      conference,
      policy,
      user,
      audience: { to: 'everyone' },
      kind: 'message',
      size: 1,
      now,
    });
  t.equal(judge(ALICE, NOW), undefined);
  for (const by of [ALICE, BOB]) {
    const event = { messageId: messageId('m'), audience: { to: 'everyone' }, contentType: 'message/cpim' } as const;
    conference.apply({ type: 'said', at: NOW, by, cpim: new Uint8Array(), ...event }, eventNumber(10));
  }
  t.same(judge(ALICE, NOW + 4000), { refused: 'slow-mode', retryAfter: 6000 });
  t.equal(judge(BOB, NOW), undefined);
  t.equal(judge(ALICE, NOW + 10_000), undefined);
  t.end();
});

t.test('rates: a burst, then so many a second; typing has its own', (t) => {
  const conference = after({}, joins(ALICE));
  const rules = rateRules(new RateLimiter({ perSecond: 2, burst: 3 }), new RateLimiter({ perSecond: 1, burst: 1 }));
  const judge = (now: number, kind: SpeakRequest['kind'] = 'message', user = ALICE): unknown =>
    firstRefusal(rules, { conference, policy, user, audience: { to: 'everyone' }, kind, size: 1, now });
  for (let i = 0; i < 3; i++) t.equal(judge(NOW), undefined);
  t.same(judge(NOW), { refused: 'too-fast', retryAfter: 500 });
  t.equal(judge(NOW, 'disposition'), undefined);
  t.equal(judge(NOW, 'typing'), undefined);
  t.same(judge(NOW, 'typing'), { refused: 'too-fast', retryAfter: 1000 });
  t.equal(judge(NOW, 'message', BOB), undefined);
  t.equal(judge(NOW + 500), undefined);
  t.end();
});

t.test(
  'a rate limiter never lets more through than burst + rate × time, and remembers a bounded number of keys',
  (t) => {
    fc.assert(
      fc.property(fc.array(fc.nat(2000), { maxLength: 60 }), fc.integer({ min: 1, max: 5 }), (gaps, burst) => {
        const limiter = new RateLimiter({ perSecond: 2, burst });
        let now = NOW;
        let taken = 0;
        for (const gap of gaps) {
          now += gap;
          const wait = limiter.wait('k', now);
          const took = limiter.take('k', now);
          t.equal(took, wait, 'what is said beforehand comes true');
          if (took === 0) taken++;
          else t.equal(limiter.wait('k', now + took), 0);
        }
        t.ok(taken <= burst + ((now - NOW) / 1000) * 2 + 1e-9);
      }),
      { numRuns: 50 },
    );
    const small = new RateLimiter({ perSecond: 0.001, burst: 1 }, 2);
    for (const key of ['a', 'b', 'c']) small.take(key, NOW);
    t.equal(small.take('a', NOW), 0, 'forgotten');
    t.not(small.take('c', NOW), 0);
    const clock = new RateLimiter({ perSecond: 1, burst: 1 });
    clock.take('k', NOW);
    t.equal(clock.take('k', NOW - 5000), 1000, 'a clock that is set back');
    t.end();
  },
);

t.test('managing: what each role may do, and to whom', (t) => {
  const conference = after(
    {
      roles: new Map([
        [ALICE, 'owner' as const],
        [BOB, 'moderator' as const],
      ]),
    },
    joins(ALICE),
    joins(BOB),
    joins(CAROL),
  );
  const judge = (by: ManageRequest['by'], act: Act, target?: UserUri, role?: Role): unknown => {
    const who = { conference, by, act, now: NOW } as const;
    return firstRefusal(MANAGE_RULES, {
      ...who,
      ...(target === undefined ? {} : { target }),
      ...(role === undefined ? {} : { role }),
    });
  };
  t.equal(judge(BOB, 'kick', CAROL), undefined);
  t.same(judge(CAROL, 'kick', BOB), { refused: 'role-too-low', needed: 'moderator' });
  t.same(judge(BOB, 'mute', ALICE), { refused: 'outranked' });
  t.equal(judge(ALICE, 'mute', BOB), undefined);
  t.same(judge(BOB, 'end'), { refused: 'role-too-low', needed: 'owner' });
  t.equal(judge('administrator', 'end'), undefined);
  t.equal(judge(CAROL, 'subject'), undefined);
  t.equal(judge(CAROL, 'invite', userUri('sip:new@example.com')), undefined);
  t.equal(judge(CAROL, 'retract', CAROL), undefined, 'what one wrote oneself');
  t.equal(judge(CAROL, 'kick', CAROL), undefined, 'one’s own devices');
  t.same(judge(CAROL, 'retract', BOB), { refused: 'role-too-low', needed: 'moderator' });
  t.equal(judge(BOB, 'role', CAROL, 'moderator'), undefined);
  t.same(judge(BOB, 'role', CAROL, 'owner'), { refused: 'outranked' });
  t.equal(judge(BOB, 'role', BOB, 'visitor'), undefined, 'stepping down');
  t.same(judge(BOB, 'role', BOB, 'owner'), { refused: 'outranked' });
  t.same(judge(CAROL, 'role', CAROL, 'moderator'), { refused: 'role-too-low', needed: 'moderator' });
  t.same(judge(userUri('sip:stranger@example.com'), 'subject'), { refused: 'not-here' });
  t.end();
});

t.test('RFC 7701 §7.1: who may have which nickname', (t) => {
  const conference = after({}, joins(ALICE), joins(BOB), { type: 'renamed', at: NOW, user: ALICE, nickname: 'Zoe' });
  const named: RoomPolicy = {
    ...policy,
    reservedNicknames: ['admin', 'Room'],
    accountNicknames: new Map([['The Chief', CAROL]]),
  };
  const judge = (nickname: string, user = BOB, now = NOW, rules = named): string | undefined =>
    firstRefusal(NICKNAME_RULES, { conference, policy: rules, user, nickname, now })?.refused;
  t.equal(judge('Bobby'), undefined);
  t.equal(judge('Bobby', BOB, NOW, { ...named, nicknames: false }), 'no-nicknames');
  t.equal(judge('a\u0000'), 'nickname-malformed');
  t.equal(judge('x'.repeat(1023)), undefined);
  t.equal(judge('x'.repeat(1024)), 'nickname-malformed');
  t.equal(judge('ADMIN'), 'nickname-reserved');
  t.equal(judge('\uff52oom'), 'nickname-reserved', 'compared by RFC 8266');
  t.equal(judge('the  chief'), 'nickname-reserved');
  t.equal(judge('the  chief', CAROL), undefined);
  t.equal(judge(' ZOE'), 'nickname-taken');
  t.equal(judge('zoe', ALICE), undefined, 'the same user, from another device');
  conference.apply({ type: 'renamed', at: NOW, user: ALICE }, eventNumber(9));
  t.equal(judge('Zoe'), 'nickname-taken', 'in quarantine');
  t.equal(judge('Zoe', ALICE), undefined);
  t.equal(judge('Zoe', BOB, NOW + named.nicknameQuarantine), undefined);
  t.end();
});

t.test('each refusal has a sentence that every header can carry', (t) => {
  const sentences = [
    sentenceOf({ refused: 'banned', until: NOW }),
    sentenceOf({ refused: 'slow-mode', retryAfter: 1 }),
    sentenceOf({ refused: 'too-fast', retryAfter: 1500 }),
    sentenceOf({ refused: 'moved', to: absoluteUri('sip:b@c') }),
  ];
  t.same(sentences, [
    'You are banned from this room until 2026-02-01T00:00:00.000Z',
    'This room is in slow mode, speak again in 1 second',
    'Too fast, try again in 2 seconds',
    'This room has moved to sip:b@c',
  ]);
  t.end();
});
