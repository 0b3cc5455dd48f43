import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import fc from '../fast-check.ts';
import { Conference } from '../../src/conference/conference.ts';
import { DocumentWriter } from '../../src/conference/document.ts';
import type { DocumentStyle } from '../../src/conference/document.ts';
import { absoluteUri, eventNumber, roomUri } from '../../src/conference/ids.ts';
import { parseConferenceInfo } from '../../src/conference/parse-document.ts';
import type { ConferenceSettings } from '../../src/conference/settings.ts';
import { ConferenceView } from '../../src/conference/view.ts';
import type { Logged } from '../../src/log/room-log.ts';
import { MemoryLog } from '../../src/log/memory.ts';
import { hostile, life, uri, user } from './happenings.ts';

const ENTITY = roomUri('sip:room@example.com');
const NOW = Date.UTC(2026, 1, 2);

const STYLES: readonly DocumentStyle[] = [
  {},
  { callInfo: 'all' },
  {
    roleNames: { owner: 'admin', moderator: 'admin', participant: 'participant', visitor: 'participant' },
    withoutFreeText: true,
    withoutMediaStatus: true,
    callInfo: 'all',
  },
];

const settings: fc.Arbitrary<ConferenceSettings> = fc.record(
  {
    displayText: hostile,
    subject: hostile,
    freeText: hostile,
    keywords: fc.array(hostile, { maxLength: 3 }),
    confUris: fc.array(fc.record({ uri, purpose: hostile }), { maxLength: 2 }),
    serviceUris: fc.array(
      fc.record({
        uri: fc.oneof(uri, fc.constantFrom(ENTITY, absoluteUri('irc://irc.example.com/%23room'))),
        displayText: hostile,
        purpose: fc.constantFrom('grouptextchat', 'web-page'),
      }),
      { maxLength: 4 },
    ),
    hostInfo: fc.record(
      { displayText: hostile, webPage: uri, uris: fc.array(fc.record({ uri }), { maxLength: 2 }) },
      { requiredKeys: [] },
    ),
    maximumUsers: fc.oneof(fc.integer(), fc.constantFrom(1e12, -1, NaN)),
    roles: user.map((one) => new Map([[one, 'owner' as const]])),
    defaultRole: fc.constantFrom('participant', 'visitor'),
  },
  { requiredKeys: [] },
);

/** What a document says, in an order of its own. */
function picture(view: ConferenceView): unknown {
  const byEntity = (a: { entity: string }, b: { entity: string }): number => (a.entity < b.entity ? -1 : 1);
  return {
    description: view.description,
    host: view.host,
    state: view.conferenceState,
    users: view.users.map((one) => ({ ...one, endpoints: [...one.endpoints].sort(byEntity) })).sort(byEntity),
  };
}

function pictureOf(xml: string): unknown {
  const view = new ConferenceView();
  view.receive(parseConferenceInfo(xml));
  return picture(view);
}

t.test('RFC 4575 §6: every document of every life is valid by the schema', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'conference-info-'));
  t.teardown(() => {
    rmSync(folder, { recursive: true });
  });
  const files: string[] = [];
  const put = (xml: string | undefined): void => {
    if (xml === undefined) return;
    const file = join(folder, `${String(files.length)}.xml`);
    writeFileSync(file, xml);
    files.push(file);
  };
  fc.assert(
    fc.property(settings, life(25), fc.constantFrom(...STYLES), uri, (settings, events, style, entity) => {
      const conference = new Conference(settings, { maxDeparted: 3 });
      const writer = new DocumentWriter(style);
      events.forEach((event, i) => {
        const since = conference.revision;
        conference.apply(event, eventNumber(i + 1));
        if (i % 8 === 0) put(writer.partial(conference, since, { entity, version: i + 1 }));
      });
      put(writer.full(conference, { entity: ENTITY, version: 0xffffffff }));
      put(writer.deleted({ entity: ENTITY, version: 2 }));
    }),
    { numRuns: 120 },
  );
  t.ok(files.length > 200, 'documents were written');
  const schema = 'test/vectors/conference-info.xsd';
  const checked = spawnSync('xmllint', ['--nonet', '--noout', '--schema', schema, ...files], { encoding: 'utf8' });
  if (checked.error !== undefined && process.env['CI'] === undefined) {
    t.comment('xmllint is not installed: the documents were not checked');
    t.end();
    return;
  }
  const faults = checked.stderr.split('\n').filter((line) => line !== '' && !line.endsWith(' validates'));
  if (checked.status !== 0) {
    const first = files.find((file) =>
      faults.some((line) => line.startsWith(`${file}:`) || line.startsWith(`${file} `)),
    );
    t.comment(first === undefined ? '' : readFileSync(first, 'utf8'));
  }
  t.same(faults.slice(0, 5), []);
  t.equal(checked.status, 0);
  t.end();
});

t.test('RFC 4575 §4.6: full state and partial updates give the same picture as the latest full state', (t) => {
  fc.assert(
    fc.property(
      settings,
      life(40),
      fc.constantFrom(...STYLES),
      fc.array(fc.boolean()),
      (settings, events, style, told) => {
        const conference = new Conference(settings, { maxDeparted: 2 });
        const writer = new DocumentWriter(style);
        const view = new ConferenceView();
        let version = 1;
        let since = conference.revision;
        view.receive(parseConferenceInfo(writer.full(conference, { entity: ENTITY, version })));
        events.forEach((event, i) => {
          conference.apply(event, eventNumber(i + 1));
          // Several changes may come together in one document.
          if (told[i % (told.length || 1)] === false) return;
          version++;
          const heading = { entity: ENTITY, version };
          const document = writer.partial(conference, since, heading) ?? writer.full(conference, heading);
          since = conference.revision;
          t.equal(view.receive(parseConferenceInfo(document)), 'applied');
          const full = new DocumentWriter(style).full(conference, heading);
          t.same(picture(view), pictureOf(full), `after event ${String(i + 1)}: ${event.type}`);
          t.equal(
            writer.full(conference, heading),
            full,
            'what was kept of earlier documents is what would be written now',
          );
          if (!t.passing()) throw new Error('a counterexample');
        });
      },
    ),
    { numRuns: 150 },
  );
  t.end();
});

/** Everything that outlives a restart, and everything that does not. */
function stateOf(conference: Conference): unknown {
  return {
    document: new DocumentWriter().full(conference, { entity: ENTITY, version: 1 }),
    bans: [...conference.bans()].sort((a, b) => (JSON.stringify(a.target) < JSON.stringify(b.target) ? -1 : 1)),
    locked: conference.locked,
    slowMode: conference.slowMode,
    lobby: conference.setting('lobby'),
    pin: conference.setting('pinHash'),
    tombstone: conference.tombstone,
    creator: conference.creator,
  };
}

function hear(events: readonly Logged[]): Conference {
  const conference = new Conference();
  for (const { n, event } of events) conference.apply(event, n);
  return conference;
}

const everything = { durability: 'memory', maxAge: Infinity, maxMessages: 1000, maxBytes: 1e6 } as const;
const hardlyAnything = { durability: 'memory', maxAge: Infinity, maxMessages: 3, maxBytes: 50 } as const;
const restarted = { type: 'restarted', at: NOW } as const;

t.test('hosts that hear the same log hold the same state', async (t) => {
  await fc.assert(
    fc.asyncProperty(life(40), async (events) => {
      const log = new MemoryLog({ keeping: () => everything });
      const heard: Logged[] = [];
      log.follow(ENTITY, (logged) => heard.push(logged));
      for (const event of events) log.append(ENTITY, event);
      t.same(stateOf(hear(await log.read(ENTITY))), stateOf(hear(heard)));
      if (!t.passing()) throw new Error('a counterexample');
    }),
    { numRuns: 60 },
  );
  t.end();
});

t.test('the facts of a log restore what a restart leaves of a conference', async (t) => {
  await fc.assert(
    fc.asyncProperty(life(40), async (events) => {
      const log = new MemoryLog({ keeping: () => hardlyAnything });
      const whole = new MemoryLog({ keeping: () => everything });
      for (const event of [...events, restarted]) {
        log.append(ENTITY, event);
        whole.append(ENTITY, event);
      }
      const facts = await log.facts(ENTITY);
      t.same(stateOf(hear(facts)), stateOf(hear(await whole.read(ENTITY))));
      if (!t.passing()) throw new Error('a counterexample');
    }),
    { numRuns: 100 },
  );
  t.end();
});
