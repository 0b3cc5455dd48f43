import { readFileSync } from 'node:fs';
import fc from '../fast-check.ts';
import t from 'tap';
import { Conference } from '../../src/conference/conference.ts';
import { DocumentWriter } from '../../src/conference/document.ts';
import type { ConferenceEvent } from '../../src/conference/events.ts';
import {
  absoluteUri,
  endpointId,
  eventNumber,
  IdError,
  ipAddress,
  readIpAddress,
  roomUri,
  userUri,
} from '../../src/conference/ids.ts';
import { ConferenceInfoError, parseConferenceInfo } from '../../src/conference/parse-document.ts';
import type { ConferenceInfo } from '../../src/conference/parse-document.ts';
import { MAX_REMOVALS } from '../../src/conference/roster.ts';
import type { ConferenceSettings } from '../../src/conference/settings.ts';
import { ConferenceView } from '../../src/conference/view.ts';
import { SharedDocuments, SubscriptionDocuments } from '../../src/focus/documents.ts';
import type { NotifyCause } from '../../sip/index.ts';

const ROOM = roomUri('sip:room@example.com');
const ALICE = userUri('sip:alice@example.com');
const BOB = userUri('sip:bob@example.com');
const LAPTOP = endpointId('laptop');
const PHONE = endpointId('phone');
const TEN = Date.UTC(2026, 1, 1, 10);

/** A conference to which things happen one after the other, a second apart. */
class Story {
  readonly conference: Conference;
  #n = 0;

  constructor(settings: ConferenceSettings = {}) {
    this.conference = new Conference(settings, { departedFor: 30_000 });
  }

  then(
    event: ConferenceEvent extends infer E
      ? E extends ConferenceEvent
        ? Omit<E, 'at'> & { at?: number }
        : never
      : never,
  ): this {
    this.#n++;
    this.conference.apply({ at: TEN + this.#n * 1000, ...event }, eventNumber(this.#n));
    return this;
  }

  joins(user = ALICE, endpoint = LAPTOP, more: { displayName?: string; alias?: typeof ALICE } = {}): this {
    return this.then({
      type: 'joined',
      endpoint,
      user,
      method: 'dialed-in',
      media: [{ id: '1', type: 'message', status: 'sendrecv' }],
      ...more,
    });
  }

  xml(): string {
    return new DocumentWriter().full(this.conference, { entity: ROOM, version: 1 });
  }

  info(): ConferenceInfo {
    return parseConferenceInfo(this.xml());
  }

  partial(since: number): ConferenceInfo {
    const xml = new DocumentWriter().partial(this.conference, since, { entity: ROOM, version: 2 });
    if (xml === undefined) throw new Error('only the full state can be told');
    return parseConferenceInfo(xml);
  }
}

t.test('RFC 4575 §7.1: the basic example is read', (t) => {
  const info = parseConferenceInfo(readFileSync('test/vectors/conference-info-example-7.1.xml', 'utf8'));
  t.equal(info.entity, 'sips:conf233@example.com');
  t.equal(info.state, 'full');
  t.equal(info.description?.subject, "Agenda: This month's goals");
  t.same(info.description?.serviceUris, [{ uri: 'http://sharepoint/salesgroup/', purpose: 'web-page' }]);
  t.equal(info.conferenceState?.userCount, 33);
  const [bob, alice] = info.users?.list ?? [];
  t.equal(bob?.displayText, 'Bob Hoskins');
  t.same(bob?.endpoints[0], {
    entity: 'sip:bob@pc33.example.com',
    state: 'full',
    displayText: "Bob's Laptop",
    status: 'disconnected',
    disconnectionMethod: 'departed',
    disconnectionInfo: { when: '2005-03-04T20:00:00Z', reason: 'bad voice quality', by: 'sip:mike@example.com' },
    media: [{ id: '1', displayText: 'main audio', type: 'audio', label: '34567', srcId: '432424', status: 'sendrecv' }],
  });
  t.equal(alice?.endpoints[0]?.joiningMethod, 'dialed-out');
  t.end();
});

t.test('RFC 4575 §7.2: the rich example is read', (t) => {
  const info = parseConferenceInfo(readFileSync('test/vectors/conference-info-example-7.2.xml', 'utf8'));
  t.equal(info.description?.maximumUserCount, 100);
  t.equal(info.description?.availableMedia[0]?.type, 'audio');
  t.ok((info.description?.confUris.length ?? 0) > 0);
  t.ok((info.users?.list.length ?? 0) > 0);
  t.end();
});

t.test(
  'RFC 4575 §4: prefixes, character references and unknown elements are read, what is no document is refused',
  (t) => {
    const info = parseConferenceInfo(
      `<c:conference-info xmlns:c="urn:ietf:params:xml:ns:conference-info" entity="sip:a@b" version="7">
       <c:users state="partial"><c:user entity="sip:z@b" x:nickname="Zo&#235;"><new/><c:roles><c:entry>a</c:entry><c:entry>b</c:entry></c:roles></c:user><c:user/></c:users>
     </c:conference-info>`,
    );
    t.same(info.users, {
      state: 'partial',
      list: [{ entity: 'sip:z@b', state: 'full', nickname: 'Zoë', roles: ['a', 'b'], endpoints: [] }],
    });
    for (const bad of [
      '',
      'hello',
      '<conference-info version="1"/>',
      '<conference-info entity="sip:a@b"/>',
      '<conference-info entity="sip:a@b" version="x"/>',
      '<!DOCTYPE a [<!ENTITY b "c">]><conference-info entity="sip:a@b" version="1"/>',
      `<conference-info entity="sip:a@b" version="1">${'<x>'.repeat(100_000)}`,
      '<presence entity="sip:a@b" version="1"/>',
    ]) {
      t.throws(() => parseConferenceInfo(bad), ConferenceInfoError, bad.slice(0, 60));
    }
    t.end();
  },
);

t.test('RFC 7106: the conference advertises its own chat first, then the configured ones, each URI once', (t) => {
  const story = new Story({
    displayText: 'Sprint',
    serviceUris: [
      { uri: absoluteUri('xmpp:sprint@muc.example.com?join'), displayText: 'XMPP', purpose: 'grouptextchat' },
      { uri: ROOM, displayText: 'again', purpose: 'grouptextchat' },
      { uri: absoluteUri('https://example.com/sprint'), displayText: 'Page', purpose: 'web-page' },
    ],
  });
  t.same(story.info().description?.serviceUris, [
    { uri: 'sip:room@example.com', displayText: 'Sprint', purpose: 'grouptextchat' },
    { uri: 'xmpp:sprint@muc.example.com?join', displayText: 'XMPP', purpose: 'grouptextchat' },
    { uri: 'https://example.com/sprint', displayText: 'Page', purpose: 'web-page' },
  ]);
  const dialled = absoluteUri('sip:room@192.0.2.1:5070');
  const other = parseConferenceInfo(new DocumentWriter().full(story.conference, { entity: dialled, version: 1 }));
  t.equal(other.entity, dialled);
  t.equal(other.description?.serviceUris[0]?.uri, dialled, 'in the form the subscriber dialled');
  t.same(other.description?.confUris, [{ uri: dialled, purpose: 'participation' }]);
  t.end();
});

t.test('RFC 4575 §5.5: an empty conference is not active; count and lock follow', (t) => {
  const story = new Story();
  t.same(story.info().conferenceState, { userCount: 0, active: false, locked: false });
  t.same(story.info().users, { state: 'full', list: [] }, 'RFC 4575 §5.2: a full document has users');
  story.joins().joins(ALICE, PHONE).joins(BOB, endpointId('bob')).then({ type: 'locked' });
  t.same(story.info().conferenceState, { userCount: 2, active: true, locked: true });
  story.then({ type: 'left', endpoint: LAPTOP, method: 'departed' });
  t.equal(story.info().conferenceState?.userCount, 2, 'alice has another device');
  story.then({ type: 'left', endpoint: PHONE, method: 'departed' }).then({ type: 'unlocked' });
  t.same(story.info().conferenceState, { userCount: 1, active: true, locked: false });
  t.end();
});

t.test('RFC 4575 §5.7: an endpoint from its joining to its end', (t) => {
  const story = new Story();
  story.then({
    type: 'joined',
    endpoint: PHONE,
    user: ALICE,
    contact: 'sip:alice@192.0.2.7',
    displayName: 'Alice',
    status: 'dialing-out',
    method: 'dialed-out',
    by: BOB,
    reason: 'Reason: SIP;text="Ad-hoc Invitation"',
    media: [],
  });
  t.equal(story.conference.userCount, 0);
  t.equal(story.info().users?.list[0]?.endpoints[0]?.status, 'dialing-out');
  story
    .then({ type: 'statusChanged', endpoint: PHONE, status: 'connected' })
    .then({ type: 'mediaChanged', endpoint: PHONE, media: [{ id: '1', type: 'audio', status: 'sendrecv' }] });
  t.same(story.info().users?.list, [
    {
      entity: ALICE,
      state: 'full',
      displayText: 'Alice',
      roles: ['participant'],
      endpoints: [
        {
          entity: 'sip:alice@192.0.2.7',
          state: 'full',
          status: 'connected',
          joiningMethod: 'dialed-out',
          joiningInfo: { when: '2026-02-01T10:00:01.000Z', reason: 'Reason: SIP;text="Ad-hoc Invitation"', by: BOB },
          media: [{ id: '1', type: 'audio', status: 'sendrecv' }],
        },
      ],
    },
  ]);
  story.then({ type: 'left', endpoint: PHONE, method: 'booted', reason: 'SIP;cause=200;text="kicked"', by: BOB });
  const gone = story.info().users?.list[0]?.endpoints[0];
  t.equal(gone?.status, 'disconnected');
  t.equal(gone?.disconnectionMethod, 'booted');
  t.same(gone?.disconnectionInfo, { when: '2026-02-01T10:00:04.000Z', reason: 'SIP;cause=200;text="kicked"', by: BOB });
  const since = story.conference.revision;
  t.equal(story.conference.forgetDeparted(TEN + 33_000), false, 'it is shown for 30 s');
  t.equal(story.conference.forgetDeparted(TEN + 34_000), true);
  t.same(story.info().users?.list, []);
  t.same(
    story.partial(since).users?.list.map(({ entity, state }) => ({ entity, state })),
    [{ entity: ALICE, state: 'deleted' }],
  );
  t.end();
});

t.test('RFC 7701 §6.1: two devices are one user with two endpoints, their keys unique in the user', (t) => {
  const story = new Story();
  story.joins().joins(ALICE, PHONE);
  t.same(
    story.info().users?.list.map((user) => user.endpoints.map(({ entity }) => entity)),
    [['laptop', 'phone']],
  );
  t.equal(story.conference.endpointsOf(ALICE).length, 2);
  const since = story.conference.revision;
  story.then({ type: 'left', endpoint: LAPTOP, method: 'departed' });
  const [user] = story.partial(since).users?.list ?? [];
  t.equal(user?.state, 'partial');
  t.same(
    user?.endpoints.map(({ entity, status }) => ({ entity, status })),
    [{ entity: 'laptop', status: 'disconnected' }],
  );
  const same = { type: 'joined', user: BOB, contact: 'sip:bob@h', method: 'dialed-in', media: [] } as const;
  story.then({ ...same, endpoint: endpointId('b1') }).then({ ...same, endpoint: endpointId('b2') });
  t.same(
    story.info().users?.list[1]?.endpoints.map(({ entity }) => entity),
    ['sip:bob@h', 'b2'],
  );
  t.end();
});

t.test('RFC 4575 §5.6: an anonymous user is shown under its alias, apart from its open entry', (t) => {
  const alias = userUri('sip:anonymous1@anonymous.invalid');
  const story = new Story();
  story.joins(ALICE, LAPTOP, { alias, displayName: 'Anonymous' }).joins(ALICE, PHONE, { displayName: 'Alice' });
  story.then({ type: 'renamed', user: ALICE, endpoint: LAPTOP, nickname: 'Fox' });
  const [hidden, open] = story.info().users?.list ?? [];
  t.equal(hidden?.entity, alias);
  t.equal(hidden?.nickname, 'Fox');
  t.equal(open?.entity, ALICE);
  t.equal(open?.nickname, undefined, 'the nickname does not link the two');
  t.equal(story.conference.nicknameHolder('fox'), ALICE);
  t.end();
});

t.test('RFC 7701 §7: a nickname is one user’s, is shown as RFC 6501 says, and is released by the last device', (t) => {
  const story = new Story();
  story.joins(ALICE, LAPTOP).joins(ALICE, PHONE).joins(BOB, endpointId('bob'));
  story.then({ type: 'renamed', user: ALICE, nickname: 'Zoe' }).then({ type: 'renamed', user: BOB, nickname: 'ZOE ' });
  t.match(story.xml(), /<user entity="sip:alice@example.com" state="full" xcon:nickname="Zoe">/);
  t.equal(story.info().users?.list[1]?.nickname, undefined, 'the first in the log has it');
  t.equal(story.conference.nicknameHolder('zoe'), ALICE);
  story.then({ type: 'renamed', user: ALICE, nickname: 'Zed' });
  t.equal(story.conference.nicknameHolder('Zoe'), undefined, '§7.2: the old one is released');
  t.same(story.conference.nicknameReleased('zoe'), { user: ALICE, at: TEN + 6000 });
  story.then({ type: 'left', endpoint: LAPTOP, method: 'departed' });
  t.equal(story.conference.nicknameHolder('Zed'), ALICE);
  story.then({ type: 'left', endpoint: PHONE, method: 'departed' });
  t.equal(story.conference.nicknameHolder('Zed'), undefined);
  story.joins(ALICE, endpointId('again'));
  t.equal(story.info().users?.list.find(({ entity }) => entity === ALICE)?.nickname, undefined);
  story.then({ type: 'renamed', user: BOB, nickname: 'Bobby' }).then({ type: 'renamed', user: BOB });
  t.equal(story.conference.nicknameHolder('Bobby'), undefined, '§7.3: removed by the empty string');
  t.end();
});

t.test('RFC 4575 §5.6: an alias that is in use stays with whom it belongs to', (t) => {
  const alias = userUri('sip:anonymous-1@example.com');
  const story = new Story().joins(ALICE, LAPTOP, { alias }).joins(BOB, PHONE, { alias });
  t.same(
    [...story.conference.users()].map(({ entity, user }) => [entity, user]),
    [[alias, ALICE]],
  );
  t.end();
});

t.test('RFC 4575 §5.7.2: who has departed is shown until he comes back, and of many only the latest', (t) => {
  const story = new Story().joins().then({ type: 'left', endpoint: LAPTOP, method: 'departed' });
  t.same(
    story.info().users?.list.flatMap(({ endpoints }) => endpoints.map(({ status }) => status)),
    ['disconnected'],
  );
  story.joins(ALICE, PHONE);
  t.same(
    story.info().users?.list.flatMap(({ endpoints }) => endpoints.map(({ status }) => status)),
    ['connected'],
  );
  const conference = new Conference({}, { departedFor: 30_000, maxDeparted: 2 });
  let n = 0;
  const happens = (event: ConferenceEvent): unknown => conference.apply(event, eventNumber(++n));
  for (const name of ['a', 'b', 'c']) {
    const endpoint = endpointId(name);
    const user = userUri(`sip:${name}@example.com`);
    happens({ type: 'joined', at: TEN, endpoint, user, method: 'dialed-in', media: [] });
    happens({ type: 'left', at: TEN, endpoint, method: 'departed' });
  }
  t.same([...conference.users()].map(({ user }) => user).sort(), ['sip:b@example.com', 'sip:c@example.com']);
  t.end();
});

t.test('RFC 4575 §5.8.5: who is muted or a visitor is shown recvonly, and heard of as such', (t) => {
  const story = new Story({ defaultRole: 'visitor' });
  story.joins(ALICE, LAPTOP);
  const shown = (): unknown => {
    const endpoint = story.info().users?.list[0]?.endpoints[0];
    return [endpoint?.status, endpoint?.media[0]?.status];
  };
  t.same(shown(), ['muted-via-focus', 'recvonly']);
  story.then({ type: 'role', user: ALICE, role: 'moderator' });
  t.same(shown(), ['connected', 'sendrecv']);
  story.then({ type: 'muted', user: ALICE });
  t.same(shown(), ['muted-via-focus', 'recvonly']);
  const media = [
    { id: '1', type: 'message', status: 'sendrecv' },
    { id: '2', type: 'audio', status: 'sendrecv' },
  ] as const;
  story.then({ type: 'mediaChanged', endpoint: LAPTOP, media });
  t.same(shown(), ['connected', 'recvonly'], '§5.7.3: the most active medium counts');
  story.then({ type: 'unmuted', user: ALICE });
  t.same(shown(), ['connected', 'sendrecv']);
  t.end();
});

t.test('RFC 4575 §4.4: a partial document holds what changed and nothing else', (t) => {
  const story = new Story({ displayText: 'Room' });
  story.joins().joins(BOB, endpointId('bob'));
  const since = story.conference.revision;
  story.then({ type: 'subject', subject: 'Lunch' });
  const partial = story.partial(since);
  t.equal(partial.state, 'partial');
  t.equal(partial.description?.subject, 'Lunch');
  t.equal(partial.description?.displayText, 'Room', 'an element without a state is told as a whole');
  t.equal(partial.users, undefined);
  t.equal(partial.conferenceState, undefined);
  t.equal(new DocumentWriter().partial(story.conference, since + 100, { entity: ROOM, version: 2 }), undefined);
  t.end();
});

t.test('a subscriber of long ago needs the full state: marks of removal are bounded', (t) => {
  const story = new Story();
  story.joins(BOB, endpointId('bob'));
  const since = story.conference.revision;
  for (let i = 0; i <= MAX_REMOVALS; i++) {
    story.joins(userUri(`sip:u${String(i)}@example.com`), endpointId(`e${String(i)}`));
    story.then({ type: 'left', endpoint: endpointId(`e${String(i)}`), method: 'departed' });
  }
  story.conference.forgetDeparted(Infinity);
  t.equal(new DocumentWriter().partial(story.conference, since, { entity: ROOM, version: 2 }), undefined);
  t.equal(story.info().users?.list.length, 1);
  t.end();
});

t.test(
  'RFC 4575 §5.2: the documents of one subscription: dense versions, nothing twice, all when too much is gone',
  (t) => {
    const story = new Story();
    story.joins();
    const shared = new SharedDocuments({});
    const documents = new SubscriptionDocuments({ room: story, shared, partial: true, entity: ROOM, version: 6 });
    const next = (cause: NotifyCause): [state: string, version: number] | undefined => {
      const content = documents.next(cause);
      if (content === undefined) return undefined;
      const { state, version } = parseConferenceInfo(Buffer.from(content.body ?? '').toString());
      return [state, version];
    };
    t.same(next('subscribed'), ['full', 7]);
    t.equal(next('changed'), undefined, 'there is nothing that it has not had');
    story.joins(BOB, PHONE);
    t.same(next('changed'), ['partial', 8]);
    t.equal(next('changed'), undefined);
    t.same(next('refreshed'), ['full', 9], 'whatever has changed');
    for (let i = 0; i <= MAX_REMOVALS; i++) {
      story.joins(userUri(`sip:u${String(i)}@example.com`), endpointId(`e${String(i)}`));
      story.then({ type: 'left', endpoint: endpointId(`e${String(i)}`), method: 'departed' });
    }
    story.conference.forgetDeparted(Infinity);
    t.same(next('changed'), ['full', 10], 'not all that is gone is remembered');
    t.equal(next('terminated'), undefined, 'the subscription is over, not the conference');
    t.end();
  },
);

t.test('RFC 6446 §5.5.1: what would take more than the whole state is told as that', (t) => {
  const tells = (stay: number, go: number): string => {
    const story = new Story();
    const come = (name: string): void => void story.joins(userUri(`sip:${name}@example.com`), endpointId(name));
    for (let i = 0; i < stay; i++) come(`stays${String(i)}`);
    for (let i = 0; i < go; i++) come(`goes${String(i)}`);
    const shared = new SharedDocuments({});
    const documents = new SubscriptionDocuments({ room: story, shared, partial: true, entity: ROOM, version: 0 });
    documents.next('subscribed');
    for (let i = 0; i < go; i++)
      story.then({ type: 'left', endpoint: endpointId(`goes${String(i)}`), method: 'departed' });
    story.conference.forgetDeparted(Infinity);
    return parseConferenceInfo(Buffer.from(documents.next('changed')?.body ?? '').toString()).state;
  };
  t.equal(tells(1, 100), 'full', 'hardly anybody is left');
  t.equal(tells(100, 1), 'partial');
  t.equal(tells(20, 20), 'partial', 'a name takes less than what is shown of a user');
  t.end();
});

t.test('peer families: names of roles, no free-text, no status within media', (t) => {
  const story = new Story({ freeText: 'long' });
  story.joins(ALICE, LAPTOP, { displayName: 'Alice' });
  const roleNames = { owner: 'admin', moderator: 'admin', participant: 'member', visitor: 'guest' };
  const writer = new DocumentWriter({
    roleNames,
    withoutFreeText: true,
    withoutMediaStatus: true,
  });
  const xml = writer.full(story.conference, { entity: ROOM, version: 1 });
  t.notMatch(xml, /free-text/);
  t.match(xml, /<display-text>Alice<\/display-text><roles><entry>member<\/entry><\/roles>/);
  t.match(xml, /<media id="1"><type>message<\/type><label>chat<\/label><\/media>/);
  t.end();
});

t.test('RFC 4575 §5.7.9: call-info is shown where the style says so, and never of an anonymous user', (t) => {
  const story = new Story();
  const callInfo = { callId: 'call', fromTag: 'from', toTag: 'to' };
  const common = { type: 'joined', method: 'dialed-in', media: [], callInfo } as const;
  story.then({ ...common, endpoint: LAPTOP, user: ALICE });
  story.then({ ...common, endpoint: PHONE, user: BOB, alias: userUri('sip:anonymous@anonymous.invalid') });
  t.notMatch(story.xml(), /call-info/);
  const all = new DocumentWriter({ callInfo: 'all' }).full(story.conference, { entity: ROOM, version: 1 });
  t.equal(
    all.match(/<call-info><sip><call-id>call<\/call-id><from-tag>from<\/from-tag><to-tag>to<\/to-tag><\/sip>/g)?.length,
    1,
  );
  t.end();
});

t.test('RFC 4575 §4.6: the view of a subscriber tells stale documents, gaps and the end', (t) => {
  const view = new ConferenceView();
  const document = (version: number, state: 'full' | 'partial' | 'deleted'): ConferenceInfo => ({
    entity: ROOM,
    version,
    state,
  });
  t.equal(view.receive(document(1, 'partial')), 'gap', 'nothing full came before');
  t.equal(view.receive(document(4, 'full')), 'applied');
  t.equal(view.receive(document(4, 'partial')), 'stale');
  t.equal(view.receive(document(6, 'partial')), 'gap');
  t.equal(view.version, 4);
  t.equal(view.receive(document(5, 'partial')), 'applied');
  t.equal(view.receive(document(9, 'full')), 'applied');
  t.equal(view.receive(document(10, 'deleted')), 'ended');
  t.match(view.conferenceState, { active: false, userCount: 0 }, 'nobody is shown a conference that is over as active');
  t.same(view.users, []);
  t.end();
});

t.test('bans hold by identity, domain and address until their time is over', (t) => {
  const { conference } = new Story()
    .then({ type: 'banned', target: { kind: 'user', user: ALICE }, until: TEN + 60_000 })
    .then({ type: 'banned', target: { kind: 'domain', domain: 'Evil.example' } })
    .then({ type: 'banned', target: { kind: 'address', address: ipAddress('192.0.2.9') }, reason: 'flood' });
  t.ok(conference.banOf(ALICE, undefined, TEN));
  t.equal(conference.banOf(ALICE, undefined, TEN + 60_000), undefined);
  t.ok(conference.banOf(userUri('sip:x@evil.example'), undefined, TEN));
  t.equal(conference.banOf(BOB, ipAddress('192.0.2.9'), TEN)?.reason, 'flood');
  t.equal(conference.banOf(BOB, ipAddress('192.0.2.8'), TEN), undefined);
  const literal = new Story().then({
    type: 'banned',
    target: { kind: 'domain', domain: '[2001:DB8::0:1]' },
  }).conference;
  t.ok(literal.banOf(userUri('sip:x@[2001:db8::1]'), undefined, TEN));
  t.end();
});

t.test('RFC 5952 §4: an address is one address, however it is written', (t) => {
  const forms: readonly (readonly [string, string | undefined])[] = [
    ['192.0.2.9', '192.0.2.9'],
    ['::ffff:192.0.2.9', '192.0.2.9'],
    ['::FFFF:c000:0209', '192.0.2.9'],
    ['2001:0DB8:0:0:8:0800:200C:417A', '2001:db8::8:800:200c:417a'],
    ['[2001:db8::]', '2001:db8::'],
    ['fe80::1%eth0', 'fe80::1'],
    ['::1', '::1'],
    ['::127.0.0.1', '::7f00:1'],
    ...['192.0.2', '192.0.2.9.', '192.0.2.256', '010.0.0.1', '1.2.3.4.5', ':', ':::', '2001:db8', '::ffff:1.2.3'].map(
      (text) => [text, undefined] as const,
    ),
    ...['2001:db8::1::2', '12345::', 'example.org', '', '::1]/x[', '::1/64', '@::1'].map(
      (text) => [text, undefined] as const,
    ),
  ];
  for (const [text, address] of forms) t.equal(readIpAddress(text), address, text);
  t.throws(() => ipAddress('zoe'), IdError);
  t.end();
});

t.test('property: a ban of an address hits it in every form, and no other address', (t) => {
  const group = fc.integer({ min: 0, max: 0xffff });
  const mapped = fc.tuple(group, group).map((last) => [0, 0, 0, 0, 0, 0xffff, ...last]);
  const address = fc.oneof(
    fc.array(group, { minLength: 8, maxLength: 8 }),
    fc.array(fc.constantFrom(0, 1), { minLength: 8, maxLength: 8 }),
    mapped,
  );
  /** One of the ways to write it (RFC 4291 §2.2). */
  const written = (
    groups: readonly number[],
    padded: boolean,
    upper: boolean,
    dotted: boolean,
    zeros: number,
  ): string => {
    const hex = groups.map((each) => each.toString(16).padStart(padded ? 4 : 1, '0'));
    const last = groups.slice(6).flatMap((each) => [each >> 8, each & 255]);
    const parts = dotted ? [...hex.slice(0, 6), last.join('.')] : hex;
    // Any run of zeros may be left out, once.
    const run = groups.slice(0, dotted ? 6 : 8).findIndex((each, i) => each === 0 && i >= zeros);
    let end = run;
    while (run >= 0 && end < (dotted ? 6 : 8) && groups[end] === 0) end += 1;
    const text = run < 0 ? parts.join(':') : `${parts.slice(0, run).join(':')}::${parts.slice(end).join(':')}`;
    return upper ? text.toUpperCase() : text;
  };
  const form = fc.tuple(fc.boolean(), fc.boolean(), fc.boolean(), fc.nat(8));
  fc.assert(
    fc.property(address, address, form, form, (one, other, a, b) => {
      const target = { kind: 'address', address: ipAddress(written(one, ...a)) } as const;
      const { conference } = new Story().then({ type: 'banned', target });
      const isHit = (groups: readonly number[]): boolean =>
        conference.banOf(BOB, ipAddress(written(groups, ...b)), TEN) !== undefined;
      return isHit(one) && isHit(other) === (one.join() === other.join());
    }),
  );
  t.end();
});

t.test('the end of a conference voids what was given in it, not its bans', (t) => {
  const story = new Story({ subject: 'Configured' });
  story
    .joins()
    .then({ type: 'subject', subject: 'Given' })
    .then({ type: 'role', user: ALICE, role: 'owner' })
    .then({ type: 'locked' })
    .then({ type: 'setting', change: { setting: 'maximumUsers', value: 3 } })
    .then({ type: 'banned', target: { kind: 'user', user: BOB } });
  t.equal(story.conference.creator, ALICE);
  t.equal(story.info().description?.maximumUserCount, 3);
  story.then({ type: 'ended' });
  t.equal(story.conference.subject, 'Configured');
  t.equal(story.conference.roleOf(ALICE), 'participant');
  t.equal(story.conference.locked, false);
  t.equal(story.conference.setting('maximumUsers'), undefined);
  t.ok(story.conference.banOf(BOB, undefined, TEN));
  t.equal(story.conference.creator, undefined);
  t.ok(story.conference.endedAt);
  story.joins(BOB, PHONE);
  t.equal(story.conference.endedAt, undefined);
  t.end();
});

t.test('RFC 3986: identifiers are looked at once, where they are made', (t) => {
  const good = [
    'sip:alice@example.com',
    'sip:+1-555@[2001:db8::1]',
    'tel:+15550100',
    'sip:%41@b',
    'xmpp:a@b?join',
    'https://[::1]:80/x?y#z',
    'admin:ops',
  ];
  const bad = [
    '',
    'alice',
    'sip:',
    'sip:a b',
    'sip:a%zz',
    'sip:a\u0000',
    'sip:é@b',
    'sip:a<b',
    '//x',
    'sip:a@b#c#d',
    'https://a:b/',
    `sip:${'a'.repeat(2048)}`,
  ];
  for (const text of good) t.equal(absoluteUri(text), text);
  for (const text of bad) t.throws(() => absoluteUri(text), IdError, JSON.stringify(text.slice(0, 20)));
  t.throws(() => endpointId('a b'), IdError);
  t.throws(() => eventNumber(-1), IdError);
  t.end();
});
