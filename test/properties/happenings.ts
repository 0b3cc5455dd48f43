/** Arbitrary lives of a conference: events that may follow one another in any order, hostile texts among them. */
import fc from '../fast-check.ts';
import type { ConferenceEvent, Medium } from '../../src/conference/events.ts';
import {
  absoluteUri,
  endpointId,
  eventNumber,
  ipAddress,
  messageId,
  streamId,
  userUri,
} from '../../src/conference/ids.ts';

const USERS = ['alice', 'bob', 'carol', 'dave'].map((name) => userUri(`sip:${name}@example.com`));
const ALIASES = ['a', 'b'].map((name) => userUri(`sip:anonymous-${name}@anonymous.invalid`));
const ENDPOINTS = [1, 2, 3, 4, 5, 6, 7, 8].map((n) => endpointId(`leg-${String(n)}`));

export const user = fc.constantFrom(...USERS);
const endpoint = fc.constantFrom(...ENDPOINTS);

/** Text as an attacker would choose it. */
export const hostile = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 12 }),
  fc.constantFrom(
    '',
    ' ',
    '\u0000\u001f',
    ']]>',
    '<!--',
    '&amp;<user>',
    '"\'',
    '\ud800',
    '\uffff',
    '\u202egnp.exe',
    'x'.repeat(3000),
    'Zoë\u0301 😀',
  ),
);

const media: fc.Arbitrary<readonly Medium[]> = fc.uniqueArray(
  fc.record(
    {
      id: fc.constantFrom('1', '2', '3'),
      type: fc.constantFrom('message', 'audio', 'video'),
      status: fc.constantFrom('sendrecv', 'sendonly', 'recvonly', 'inactive'),
      displayText: hostile,
      label: hostile,
      srcId: fc.constant('4711'),
    },
    { requiredKeys: ['id', 'type', 'status'] },
  ),
  { selector: (medium) => medium.id, maxLength: 3 },
);

const happening = fc.record(
  { at: fc.oneof(fc.integer({ min: 0, max: 200_000 }), fc.constant(Date.UTC(2026, 1, 1))), by: user },
  { requiredKeys: ['at'] },
);
const target = fc.oneof(
  fc.record({ kind: fc.constant('user' as const), user }),
  fc.record({ kind: fc.constant('domain' as const), domain: fc.constantFrom('example.com', 'Example.NET') }),
  fc.record({
    kind: fc.constant('address' as const),
    address: fc.constantFrom(ipAddress('192.0.2.1'), ipAddress('2001:db8::1')),
  }),
);
const said = {
  messageId: fc.constantFrom('m1', 'm2', 'm3').map(messageId),
  by: user,
  audience: fc.oneof(
    fc.constant({ to: 'everyone' as const }),
    user.map((u) => ({ to: 'user' as const, user: u })),
  ),
  contentType: fc.constant('message/cpim'),
};

/** Adds the fields that every event has to those of one type; the own ones win. */
function event<T extends ConferenceEvent['type'], R extends object>(
  type: T,
  fields: fc.Arbitrary<R>,
): fc.Arbitrary<{ readonly at: number } & R & { readonly type: T }> {
  return fc.tuple(happening, fields).map(([common, own]) => ({ ...common, ...own, type }));
}

const joined = event(
  'joined',
  fc.record(
    {
      endpoint,
      user,
      alias: fc.constantFrom(...ALIASES),
      displayName: hostile,
      contact: fc.constantFrom('sip:a@192.0.2.1', 'sip:b@192.0.2.2;gr=x', '<&"'),
      status: fc.constantFrom('connected', 'pending', 'dialing-out', 'alerting', 'on-hold'),
      method: fc.constantFrom('dialed-in', 'dialed-out', 'focus-owner'),
      reason: hostile,
      instance: fc.constant('urn:uuid:1'),
      media,
      callInfo: fc.record({ callId: hostile, fromTag: hostile, toTag: hostile }),
    },
    { requiredKeys: ['endpoint', 'user', 'method', 'media'] },
  ),
);
const left = event(
  'left',
  fc.record(
    { endpoint, method: fc.constantFrom('departed', 'booted', 'failed', 'busy'), reason: hostile },
    { requiredKeys: ['endpoint', 'method'] },
  ),
);
const change = fc.oneof(
  fc.record({ setting: fc.constant('maximumUsers' as const), value: fc.option(fc.integer()) }),
  fc.record({ setting: fc.constant('lobby' as const), value: fc.option(fc.boolean()) }),
  fc.record({ setting: fc.constant('pinHash' as const), value: fc.option(fc.string()) }),
);

/** Any event. */
export const anyEvent: fc.Arbitrary<ConferenceEvent> = fc.oneof(
  { arbitrary: joined, weight: 6 },
  { arbitrary: left, weight: 4 },
  event('statusChanged', fc.record({ endpoint, status: fc.constantFrom('connected', 'on-hold', 'disconnecting') })),
  event('mediaChanged', fc.record({ endpoint, media })),
  event('admitted', fc.record({ endpoint })),
  event(
    'caughtUp',
    fc.record({ user, instance: fc.constantFrom('i1', 'i2'), through: fc.nat(100).map((n) => eventNumber(n)) }),
  ),
  event(
    'renamed',
    fc.record(
      { user, endpoint, nickname: fc.oneof(hostile, fc.constantFrom('Zoe', 'ZOE', 'Bob')) },
      { requiredKeys: ['user'] },
    ),
  ),
  event('displayNameChanged', fc.record({ user, displayName: hostile }, { requiredKeys: ['user'] })),
  event('said', fc.record({ ...said, cpim: fc.uint8Array({ maxLength: 20 }) })),
  event(
    'opened',
    fc.record({ ...said, stream: fc.constantFrom('s1', 's2').map(streamId), cpim: fc.uint8Array({ maxLength: 20 }) }),
  ),
  event('closed', fc.record({ stream: fc.constant(streamId('s1')), size: fc.nat() })),
  event('aborted', fc.record({ stream: fc.constant(streamId('s2')), reason: hostile })),
  event('subject', fc.record({ subject: hostile }, { requiredKeys: [] })),
  event('muted', fc.record({ user })),
  event('unmuted', fc.record({ user })),
  event('banned', fc.record({ target, until: fc.nat(400_000), reason: hostile }, { requiredKeys: ['target'] })),
  event('unbanned', fc.record({ target })),
  event('role', fc.record({ user, role: fc.constantFrom('owner', 'moderator', 'participant', 'visitor') })),
  event('locked', fc.constant({})),
  event('unlocked', fc.constant({})),
  event('slowMode', fc.record({ seconds: fc.constantFrom(0, 10) })),
  event('setting', fc.record({ change })),
  event(
    'tombstoned',
    fc.record({ to: fc.constant(absoluteUri('sip:new@example.com')), reason: hostile }, { requiredKeys: [] }),
  ),
  event('untombstoned', fc.constant({})),
  event('restarted', fc.constant({})),
  event('ended', fc.record({ reason: hostile }, { requiredKeys: [] })),
);

/** A life of up to so many events. */
export function life(maxLength: number): fc.Arbitrary<readonly ConferenceEvent[]> {
  return fc.array(anyEvent, { maxLength, size: 'max' });
}

/** Any absolute URI that needs no IPv6 literal; xmllint takes a narrower view of those than the schema (RFC 2732). */
export const uri = fc
  .tuple(
    fc.constantFrom('sip:', 'sips:', 'xmpp:', 'irc://', 'https://', 'tel:', 'x:'),
    fc.stringMatching(/^(?:[a-z0-9.~-]|%4[0-9]){1,8}$/),
    fc.stringMatching(/^(?:[a-z0-9@;:=+$,!'()*&/~._-]|%4[0-9]){0,8}$/),
    fc.constantFrom('', '?', '?a=b?c/d', '#', '#a?b/c', '?x#y'),
  )
  .filter(([scheme, , rest]) => !(scheme.endsWith('//') && /[@:]/.test(rest)))
  .map((parts) => absoluteUri(parts.join('')));
