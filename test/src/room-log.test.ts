import { deepEqual } from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import t from 'tap';
import fc from '../fast-check.ts';
import Database from 'libsql';
import type { ConferenceEvent, Millis } from '../../src/conference/events.ts';
import { endpointId, eventNumber, messageId, roomUri, streamId, userUri } from '../../src/conference/ids.ts';
import type { RoomUri, UserUri } from '../../src/conference/ids.ts';
import { MemoryLog } from '../../src/log/memory.ts';
import { DEFAULT_KEEPING, LogReadError } from '../../src/log/room-log.ts';
import type { Logged, Outcome, RoomKeeping, RoomLog } from '../../src/log/room-log.ts';
import { LogOpenError, openSqliteLog } from '../../src/log/sqlite.ts';
import type { SqliteLogOptions } from '../../src/log/sqlite.ts';
import { BatchWriter } from '../../src/log/sqlite-records.ts';
import { SqliteStore } from '../../src/log/sqlite-store.ts';
import { life } from '../properties/happenings.ts';

const ROOM = roomUri('sip:room@example.com');
const OTHER = roomUri('sip:other@example.com');
const ALICE = userUri('sip:alice@example.com');
const BOB = userUri('sip:bob@example.com');
const NOW = Date.UTC(2026, 1, 1);
const forever: RoomKeeping = { ...DEFAULT_KEEPING, maxAge: Infinity };

const folder = mkdtempSync(join(tmpdir(), 'room-log-'));
let files = 0;
const newFile = (): string => join(folder, `log${String(++files)}.db`);
t.teardown(() => {
  rmSync(folder, { recursive: true });
});

function said(id: string, at = NOW, size = 5): ConferenceEvent {
  return {
    type: 'said',
    at,
    by: ALICE,
    messageId: messageId(id),
    audience: { to: 'everyone' },
    contentType: 'message/cpim',
    cpim: new Uint8Array(size).fill(0x61),
  };
}

const notification = (of: string, to: UserUri, size = 3): ConferenceEvent => ({
  type: 'disposition',
  at: NOW,
  of: messageId(of),
  by: BOB,
  to,
  notification: 'display',
  status: 'displayed',
  contentType: 'message/cpim',
  cpim: new Uint8Array(size).fill(0x62),
});

const left = (at = NOW): ConferenceEvent => ({ type: 'left', at, endpoint: endpointId('e'), method: 'departed' });

function kept(log: RoomLog, event: ConferenceEvent, room: RoomUri = ROOM): Promise<Outcome> {
  return new Promise((resolve) => {
    const outcome = log.append(room, event, resolve);
    if (typeof outcome !== 'number') resolve(outcome);
  });
}

async function keptAll(log: RoomLog, events: readonly ConferenceEvent[], room: RoomUri = ROOM): Promise<void> {
  await Promise.all(events.map((event) => kept(log, event, room)));
}

const told = (outcome: Outcome): string => (typeof outcome === 'number' ? String(outcome) : outcome.reason);
const numbers = (events: readonly Logged[]): readonly number[] => events.map(({ n }) => n);
const ids = (events: readonly Logged[]): readonly string[] =>
  events.map(({ event }) => ('messageId' in event ? event.messageId : event.type));

type Test = Pick<typeof t, 'teardown'>;

function closedAfter(t: Test, log: RoomLog): RoomLog {
  t.teardown(() => log.close());
  return log;
}

type Clock = () => Millis;

const logs = {
  memory: (keeping: RoomKeeping, now: Clock) =>
    Promise.resolve<RoomLog>(new MemoryLog({ keeping: () => keeping, now })),
  'SQLite, kept on disk': (keeping: RoomKeeping, now: Clock) =>
    openSqliteLog({ file: newFile(), keeping: () => keeping, now }),
  'SQLite, kept in memory first': (keeping: RoomKeeping, now: Clock) =>
    openSqliteLog({ file: newFile(), keeping: () => ({ ...keeping, durability: 'memory' }), now }),
};

for (const [name, make] of Object.entries(logs)) {
  const open = async (t: Test, keeping: RoomKeeping, now: Clock = () => NOW): Promise<RoomLog> =>
    closedAfter(t, await make(keeping, now));
  t.test(`the contract of a room log: ${name}`, async (t) => {
    t.test('numbers at once, from 1, each room for itself; followers hear it before who appended', async (t) => {
      const log = await open(t, forever);
      const heard: string[] = [];
      log.follow(ROOM, ({ n, event }) => heard.push(`heard ${String(n)} ${event.type}`));
      t.equal(log.last(ROOM), 0);
      const outcomes: Outcome[] = [];
      const settled = new Promise<void>((resolve) => {
        outcomes.push(log.append(ROOM, said('a'), (outcome) => heard.push(`settled ${told(outcome)}`)));
        outcomes.push(log.append(OTHER, said('x')));
        outcomes.push(log.append(ROOM, left()));
        outcomes.push(
          log.append(ROOM, said('b'), (outcome) => {
            heard.push(`settled ${told(outcome)}`);
            resolve();
          }),
        );
      });
      t.same(outcomes, [1, 1, 2, 3]);
      t.equal(log.last(ROOM), 3);
      await settled;
      t.same(heard, ['heard 1 said', 'settled 1', 'heard 2 left', 'heard 3 said', 'settled 3']);
      t.same([...log.rooms()].sort(), [OTHER, ROOM]);
      t.equal(log.health(), 'well');
    });

    t.test('what is appended while an event is being heard comes after it for everybody', async (t) => {
      const log = await open(t, forever);
      const heard: string[] = [];
      let answered = false;
      log.follow(ROOM, ({ n }) => {
        heard.push(`first ${String(n)}`);
        if (!answered) log.append(ROOM, left());
        answered = true;
      });
      const done = new Promise<void>((resolve) => {
        log.follow(ROOM, ({ n }) => {
          heard.push(`second ${String(n)}`);
          if (n === 2) resolve();
        });
      });
      log.append(ROOM, said('a'), () => heard.push('settled'));
      await done;
      t.same(heard, ['first 1', 'second 1', 'settled', 'first 2', 'second 2']);
    });

    t.test('one who stops following hears no more', async (t) => {
      const log = await open(t, forever);
      const heard: number[] = [];
      const stop = log.follow(ROOM, ({ n }) => heard.push(n));
      await kept(log, said('a'));
      stop();
      stop();
      await kept(log, said('b'));
      t.same(heard, [1]);
    });

    t.test('reads a range, the newest of it, messages only', async (t) => {
      const log = await open(t, forever);
      await keptAll(log, [said('a'), left(), said('b'), left(), said('c')]);
      t.same(numbers(await log.read(ROOM)), [1, 2, 3, 4, 5]);
      t.same(ids(await log.read(ROOM, { messagesOnly: true })), ['a', 'b', 'c']);
      t.same(numbers(await log.read(ROOM, { from: eventNumber(3) })), [3, 4, 5]);
      t.same(ids(await log.read(ROOM, { messagesOnly: true, last: 2 })), ['b', 'c']);
      t.same(ids(await log.read(ROOM, { messagesOnly: true, first: 2 })), ['a', 'b']);
      t.same(ids(await log.read(ROOM, { messagesOnly: true, first: 2, from: eventNumber(2) })), ['b', 'c']);
      t.same(ids(await log.read(ROOM, { messagesOnly: true, last: 1, through: eventNumber(4) })), ['b']);
      t.same(ids(await log.read(ROOM, { knownBy: 'b' })), ['b']);
      t.same(await log.read(ROOM, { knownBy: 'nobody' }), []);
      await kept(log, { type: 'aborted', at: NOW, stream: streamId('gone'), reason: 'given up' });
      t.same(numbers(await log.read(ROOM, { knownBy: 'gone' })), [6], 'that a large one was aborted');
      t.same(numbers(await log.read(ROOM, { comingsOnly: true })), [2, 4]);
      t.same(await log.read(ROOM, { last: 0 }), []);
      t.same(await log.read(ROOM, { from: eventNumber(7) }), []);
      t.same(await log.read(OTHER), []);
    });

    t.test('RFC 5438: notifications of one user; they are not among the messages', async (t) => {
      const log = await open(t, forever);
      const events = [said('a'), notification('a', ALICE), said('b'), notification('b', BOB), notification('b', ALICE)];
      await keptAll(log, events);
      t.same(ids(await log.read(ROOM, { messagesOnly: true, last: 2 })), ['a', 'b']);
      t.same(numbers(await log.read(ROOM, { notificationsTo: ALICE })), [2, 5]);
      t.same(numbers(await log.read(ROOM, { notificationsTo: ALICE, from: eventNumber(3) })), [5]);
      t.same(numbers(await log.read(ROOM, { notificationsTo: ALICE, last: 1 })), [5]);
      t.same(
        (await log.read(ROOM, { notificationsTo: BOB })).map(({ event }) => event),
        [events[3]],
      );
    });

    t.test('every event comes back as it was', async (t) => {
      const log = await open(t, { ...forever, maxMessages: 1e6 });
      let number = 0;
      await fc.assert(
        fc.asyncProperty(life(15), async (events) => {
          const room = roomUri(`sip:room${String(++number)}@example.com`);
          await keptAll(log, events, room);
          const back = (await log.read(room)).map(({ event }) => event);
          // JSON knows no undefined, no -0 and no unpaired surrogates within UTF-8.
          t.same(back.map(comparable), events.map(comparable));
          if (!t.passing()) throw new Error('a counterexample');
        }),
        { numRuns: 25 },
      );
    });

    t.test('facts: the newest under each key, without what was undone or ended', async (t) => {
      const log = await open(t, { ...forever, maxMessages: 2 });
      await keptAll(log, [
        { type: 'subject', at: NOW, subject: 'old' },
        { type: 'role', at: NOW, user: ALICE, role: 'owner' },
        { type: 'ended', at: NOW },
        { type: 'banned', at: NOW, target: { kind: 'user', user: BOB } },
        { type: 'banned', at: NOW, target: { kind: 'domain', domain: 'EXAMPLE.net' } },
        { type: 'unbanned', at: NOW, target: { kind: 'domain', domain: 'example.NET' } },
        { type: 'muted', at: NOW, user: BOB },
        { type: 'muted', at: NOW, user: ALICE },
        { type: 'unmuted', at: NOW, user: BOB },
        { type: 'caughtUp', at: NOW, user: BOB, instance: 'i', through: eventNumber(2) },
        said('a'),
      ]);
      t.same(numbers(await log.facts(ROOM)), [4, 8, 10]);
    });

    t.test(
      'retention: by age, by count and by size; facts outlive it, positions as long as there are messages',
      async (t) => {
        const log = await open(t, { ...forever, maxAge: 1000, maxMessages: 3, maxBytes: 100 });
        log.follow(ROOM, () => undefined);
        await keptAll(log, [
          { type: 'subject', at: NOW, subject: 'kept' },
          { type: 'caughtUp', at: NOW, user: BOB, instance: 'i', through: eventNumber(1) },
          ...['a', 'b', 'c', 'd'].map((id) => said(id, NOW)),
        ]);
        log.prune(NOW);
        t.same(ids(await log.read(ROOM, { messagesOnly: true })), ['b', 'c', 'd'], 'at most three');
        await keptAll(log, [said('e', NOW + 500, 90), said('f', NOW + 500, 9)]);
        log.prune(NOW + 500);
        t.same(ids(await log.read(ROOM)), ['e', 'f'], 'at most 100 octets');
        t.same(numbers(await log.facts(ROOM)), [1, 2], 'Bob has missed what is kept');
        log.prune(NOW + 1500);
        t.same(ids(await log.read(ROOM)), ['e', 'f'], 'one second old');
        log.prune(NOW + 1501);
        t.same(await log.read(ROOM), []);
        t.same(numbers(await log.facts(ROOM)), [1]);
        t.equal(await kept(log, said('g', NOW + 1501)), 9, 'numbers go on');
      },
    );

    t.test('retention: of devices that come and never come back, the newest 10,000 are remembered', async (t) => {
      const log = await open(t, forever);
      const positions = Array.from({ length: 10_001 }, (_, i): ConferenceEvent => ({
        type: 'caughtUp',
        at: NOW,
        user: BOB,
        instance: String(i),
        through: eventNumber(1),
      }));
      await keptAll(log, [said('a'), ...positions]);
      log.prune(NOW);
      const facts = await log.facts(ROOM);
      t.same([facts[0]?.n, facts.length], [3, 10_000]);
    });

    t.test('retention: what is too old is not read any more, also before it is pruned', async (t) => {
      let now = NOW;
      const log = await open(t, { ...forever, maxAge: 1000 }, () => now);
      await keptAll(log, [said('a'), notification('a', ALICE), left(), said('b', NOW + 500)]);
      now = NOW + 1000;
      t.same(numbers(await log.read(ROOM)), [1, 2, 3, 4], 'one second old');
      now = NOW + 1001;
      t.same(numbers(await log.read(ROOM)), [4]);
      t.same(numbers(await log.read(ROOM, { messagesOnly: true })), [4]);
      t.same(await log.read(ROOM, { notificationsTo: ALICE }), []);
    });

    t.test('retention: what is too much is not read any more, also before it is pruned', async (t) => {
      const many = Array.from({ length: 40 }, (_, i) => said(`m${String(i)}`, NOW, 100));
      const names = many.map((_, i) => `m${String(i)}`);
      for (const { limits, keeps } of [
        { limits: { maxMessages: 0 }, keeps: 0 },
        { limits: { maxMessages: 5 }, keeps: 5 },
        { limits: { maxBytes: 1023 }, keeps: 10 },
        { limits: { maxBytes: 99 }, keeps: 0 },
        { limits: { maxMessages: 30, maxBytes: 4000 }, keeps: 30 },
      ]) {
        for (const atOnce of [7, 40]) {
          const log = await open(t, { ...forever, ...limits });
          for (let i = 0; i < many.length; i += atOnce) await keptAll(log, many.slice(i, i + atOnce));
          const all = names.slice(many.length - keeps);
          const which = `${JSON.stringify(limits)}, ${String(atOnce)} at once`;
          t.same(ids(await log.read(ROOM)), all, which);
          t.same(ids(await log.read(ROOM, { messagesOnly: true, last: 1000 })), all, which);
          t.same(ids(await log.read(ROOM, { messagesOnly: true, first: 3 })), all.slice(0, 3), which);
          t.same(ids(await log.read(ROOM, { through: eventNumber(38) })), all.slice(0, -2), which);
          t.same(await log.read(ROOM, { knownBy: 'm0' }), [], which);
          log.prune(NOW);
          t.same(ids(await log.read(ROOM)), all, `${which}, when it is pruned`);
        }
      }
    });

    t.test('of other happenings as many are kept as of messages', async (t) => {
      const log = await open(t, { ...forever, maxMessages: 3 });
      await keptAll(log, [left(), left(), left(), left(), left()]);
      t.same(numbers(await log.read(ROOM)), [3, 4, 5]);
      t.same(numbers(await log.read(ROOM, { comingsOnly: true })), [3, 4, 5]);
      log.prune(NOW);
      t.same(numbers(await log.read(ROOM)), [3, 4, 5]);
    });

    t.test('RFC 5438: notifications push out no message, neither by their number nor by their size', async (t) => {
      const log = await open(t, { ...forever, maxMessages: 3, maxBytes: 100 });
      await keptAll(log, [said('a', NOW, 50), ...['b', 'c', 'd', 'e'].map((of) => notification(of, ALICE, 90))]);
      await keptAll(log, [said('f', NOW, 50)]);
      for (const pruned of [false, true]) {
        if (pruned) log.prune(NOW);
        t.same(ids(await log.read(ROOM, { messagesOnly: true })), ['a', 'f']);
        t.same(numbers(await log.read(ROOM, { notificationsTo: ALICE })), [3, 4, 5]);
      }
      await keptAll(log, [said('g', NOW, 50)]);
      t.same(ids(await log.read(ROOM, { messagesOnly: true })), ['f', 'g']);
      t.same(numbers(await log.read(ROOM, { notificationsTo: ALICE })), [3, 4, 5]);
    });

    t.test('a message outlives any number of other happenings', async (t) => {
      const log = await open(t, { ...forever, maxMessages: 3 });
      log.follow(ROOM, () => undefined);
      await keptAll(log, [said('a'), ...Array.from({ length: 50 }, () => left()), said('b')]);
      log.prune(NOW);
      t.same(ids(await log.read(ROOM, { messagesOnly: true })), ['a', 'b']);
      t.same(numbers(await log.read(ROOM)), [1, 49, 50, 51, 52], 'and the newest of the happenings');
      await keptAll(log, [said('c'), said('d'), said('e')]);
      log.prune(NOW);
      t.same(numbers(await log.read(ROOM)), [53, 54, 55], 'those before a message that is forgotten go with it');
    });

    t.test('a room of which nothing is left is forgotten, unless somebody follows it', async (t) => {
      const log = await open(t, { ...forever, maxAge: 10 });
      const stop = log.follow(OTHER, () => undefined);
      await kept(log, said('a'));
      await kept(log, said('b'), OTHER);
      log.prune(NOW + 100);
      await log.read(ROOM);
      await turn(() => log.rooms().length === 1);
      t.same(log.rooms(), [OTHER]);
      t.equal(await kept(log, said('c'), OTHER), 2);
      stop();
    });

    t.test('refuses when it is closed', async (t) => {
      const log = await open(t, forever);
      await kept(log, said('a'));
      await log.close();
      const outcome = log.append(ROOM, said('b'), () => t.fail('settled twice'));
      t.match(outcome, { refused: 'not-kept', reason: /closed/ });
      t.match(log.health(), { refused: 'not-kept' });
    });
    t.end();
  });
}

t.test('both logs give the same of any past, by any limits', async (t) => {
  const event = fc.oneof(
    fc.nat(60).map((size) => said('m', NOW, size)),
    fc.nat(60).map((size) => notification('m', ALICE, size)),
    fc.constant(left()),
  );
  const limits = fc.record({ maxMessages: fc.nat(12), maxBytes: fc.nat(300) });
  let keeping = forever;
  const disk = await diskLog(t, { keeping: () => keeping });
  const memory = closedAfter(t, new MemoryLog({ keeping: () => keeping, now: () => NOW }));
  let rooms = 0;
  await fc.assert(
    fc.asyncProperty(
      limits,
      fc.array(fc.tuple(fc.array(event, { minLength: 1, maxLength: 6 }), fc.boolean()), { maxLength: 8 }),
      async (wanted, batches) => {
        keeping = { ...forever, ...wanted };
        const room = roomUri(`sip:room${String(++rooms)}@example.com`);
        // Else it would begin anew when nothing of it is left.
        disk.follow(room, () => undefined);
        for (const [events, prunes] of batches) {
          for (const log of [memory, disk]) await keptAll(log, events, room);
          if (prunes) disk.prune(NOW);
          const [expected, found] = await Promise.all([memory, disk].map((log) => log.read(room)));
          deepEqual(numbers(found ?? []), numbers(expected ?? []));
        }
      },
    ),
    { numRuns: 50 },
  );
});

/** The event as plain data that says the same. */
function comparable(event: ConferenceEvent): unknown {
  const { cpim, ...rest } = { cpim: undefined, ...event };
  const plain: unknown = JSON.parse(Buffer.from(JSON.stringify(rest)).toString());
  return [plain, cpim === undefined ? undefined : Buffer.from(cpim).toString('hex')];
}

/** Waits turn by turn of the event loop for something that other threads bring about. */
async function turn(condition: () => boolean): Promise<void> {
  while (!condition()) await setImmediate();
}

/** A sink whose lines can be waited for. */
class Lines {
  readonly lines: string[] = [];
  warn(line: string): void {
    this.lines.push(`warn ${line}`);
  }
  info(line: string): void {
    this.lines.push(`info ${line}`);
  }
}

const diskLog = async (t: Test, options: Partial<SqliteLogOptions> = {}): Promise<RoomLog> =>
  closedAfter(t, await openSqliteLog({ file: newFile(), keeping: () => forever, retryAfter: 10, ...options }));

t.test('in memory: what a room forgets by its size is let go at once, also when that is few messages', async (t) => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const MIB = 1024 * 1024;
  const log = closedAfter(t, new MemoryLog({ keeping: () => ({ ...forever, maxBytes: 2 * MIB }), now: () => NOW }));
  collect();
  const before = process.memoryUsage().arrayBuffers;
  for (let i = 0; i < 100; i++) await kept(log, said(`m${String(i)}`, NOW, MIB));
  let grown = Infinity;
  // V8 frees in a thread of its own: not all is gone in the moment.
  for (let tries = 0; tries < 100 && grown >= 40 * MIB; tries += 1) {
    await setImmediate();
    collect();
    grown = process.memoryUsage().arrayBuffers - before;
  }
  t.ok(grown < 40 * MIB, `${String(Math.round(grown / MIB))} MiB are held`);
  t.same(ids(await log.read(ROOM)), ['m98', 'm99']);
});

t.test('SQLite: a log that is opened again goes on where it was', async (t) => {
  const file = newFile();
  const first = await diskLog(t, { file });
  await keptAll(first, [said('a'), { type: 'banned', at: NOW, target: { kind: 'user', user: BOB } }, said('b')]);
  await first.close();
  const second = await diskLog(t, { file });
  t.same(second.rooms(), [ROOM]);
  t.equal(second.last(ROOM), 3);
  t.same(ids(await second.read(ROOM)), ['a', 'banned', 'b']);
  t.same(numbers(await second.facts(ROOM)), [2]);
  t.equal(await kept(second, said('c')), 4);
});

t.test('SQLite: a file of format 1, which had a row for each event, is taken over whole', async (t) => {
  const file = newFile();
  const old = new Database(file);
  old.exec(`
    CREATE TABLE rooms (id INTEGER PRIMARY KEY, uri TEXT NOT NULL UNIQUE, last INTEGER NOT NULL);
    CREATE TABLE events (
      room INTEGER NOT NULL, n INTEGER NOT NULL, at INTEGER NOT NULL, kind INTEGER NOT NULL,
      event TEXT NOT NULL, body BLOB, PRIMARY KEY (room, n)
    ) WITHOUT ROWID;
    CREATE TABLE facts (
      room INTEGER NOT NULL, key TEXT NOT NULL, n INTEGER NOT NULL, lasts INTEGER NOT NULL,
      event TEXT NOT NULL, PRIMARY KEY (room, key)
    ) WITHOUT ROWID;
    CREATE TABLE probe (id INTEGER PRIMARY KEY, at INTEGER NOT NULL);
    PRAGMA user_version = 1;
  `);
  const rooms = { [ROOM]: 1, [OTHER]: 2, 'sip:silent@example.com': 3 };
  for (const [uri, id] of Object.entries(rooms)) old.prepare('INSERT INTO rooms VALUES (?, ?, 300)').run(id, uri);
  const addOld = (room: number, n: number, kind: number, event: ConferenceEvent): void => {
    const body = 'cpim' in event ? Buffer.from(event.cpim) : null;
    const json = JSON.stringify({ ...event, cpim: undefined });
    old.prepare('INSERT INTO events VALUES (?, ?, ?, ?, ?, ?)').run(room, n, event.at, kind, json, body);
  };
  const banned: ConferenceEvent = { type: 'banned', at: NOW, target: { kind: 'user', user: BOB } };
  for (let n = 1; n < 300; n++) addOld(1, n, 1, said(`m${String(n)}`, NOW, n * 5));
  addOld(1, 300, 2, banned);
  addOld(2, 299, 0, left());
  addOld(2, 300, 1, said('other'));
  old.prepare('INSERT INTO facts VALUES (1, ?, 300, 2, ?)').run('ban', JSON.stringify(banned));
  old.close();
  for (const appended of [0, 1]) {
    const told = new Lines();
    const log = await diskLog(t, { file, log: told });
    if (appended === 0) {
      t.match(told.lines, [
        /^info room log .*: its format is 1: it is brought to format 3, which can take a while$/,
        /^info room log .*: it is in the new format: 302 events in [\d.]+ s$/,
      ]);
    }
    t.equal(told.lines.length, appended === 0 ? 2 : 0, 'the operator is told once');
    const events = await log.read(ROOM);
    t.same(
      numbers(events),
      Array.from({ length: 300 + appended }, (_, i) => i + 1),
    );
    t.same(comparable(events[208]?.event ?? banned), comparable(said('m209', NOW, 1045)));
    t.same(await log.facts(ROOM), [{ n: 300, event: banned }]);
    t.same(ids(await log.read(OTHER)), ['left', 'other']);
    t.equal(log.last(roomUri('sip:silent@example.com')), 300, 'numbers go on, also where nothing else is left');
    if (appended === 0) t.equal(await kept(log, said('new')), 301);
    await log.close();
  }
});

t.test(
  'SQLite: a file of format 2, which counted notifications among the octets of messages, is read as it is',
  async (t) => {
    const file = newFile();
    const first = await diskLog(t, { file });
    await keptAll(first, [said('a', NOW, 50), notification('a', ALICE, 90), said('b', NOW, 50)]);
    await first.close();
    const old = new Database(file);
    old.exec('UPDATE segments SET octets = octets + 90 WHERE happenings > 0; PRAGMA user_version = 2');
    old.close();
    const log = await diskLog(t, { file, keeping: () => ({ ...forever, maxBytes: 250 }) });
    t.same(ids(await log.read(ROOM)), ['a', 'disposition', 'b']);
    await keptAll(log, [notification('b', ALICE, 90), said('c', NOW, 50)]);
    log.prune(NOW);
    t.same(ids(await log.read(ROOM, { messagesOnly: true })), ['a', 'b', 'c']);
    await keptAll(log, [said('d', NOW, 250)]);
    t.same(ids(await log.read(ROOM, { messagesOnly: true })), ['d']);
    await log.close();
    const damaged = new Database(file);
    damaged.exec('UPDATE segments SET octets = octets + 1');
    damaged.close();
    const cut = await diskLog(t, { file });
    await t.rejects(cut.read(ROOM), LogReadError, 'what is neither is damaged');
  },
);

t.test('SQLite: a file of a format to come is refused', async (t) => {
  const file = newFile();
  const later = new Database(file);
  later.exec('PRAGMA user_version = 4');
  later.close();
  await t.rejects(diskLog(t, { file }), /its format is 4, not 3/);
});

t.test('SQLite: a process that is killed has in its history every message that was answered', async (t) => {
  const file = newFile();
  const writer = spawn(process.execPath, ['dist/test/src/room-log-writer.js', file], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const answered: string[] = [];
  for await (const line of createInterface(writer.stdout)) {
    answered.push(line);
    if (answered.length === 200) writer.kill('SIGKILL');
  }
  if (writer.signalCode === null) await once(writer, 'exit');
  t.equal(writer.signalCode, 'SIGKILL');
  const log = await diskLog(t, { file, keeping: () => ({ ...forever, maxMessages: 1e6 }) });
  const history = new Set(
    (await log.read(ROOM)).map(({ n, event }) => `${String(n)} ${'messageId' in event ? event.messageId : ''}`),
  );
  t.ok(answered.length >= 200);
  t.same(
    answered.filter((line) => !history.has(line)),
    [],
  );
});

t.test('SQLite: events that come while the disk is busy share a commit, and all are heard in order', async (t) => {
  const log = await diskLog(t);
  const heard: Outcome[] = [];
  log.follow(ROOM, ({ n }) => heard.push(n));
  const outcomes = await Promise.all(Array.from({ length: 2000 }, (_, i) => kept(log, said(`m${String(i)}`))));
  t.same(heard, outcomes);
  t.equal(heard.length, 2000);
});

t.test(
  'SQLite: of what the disk has kept together some is heard in each turn, and nothing of it read before',
  async (t) => {
    const log = await diskLog(t, { file: newFile(), heardAtOnce: 1000 });
    let [heard, thisTurn, most] = [0, 0, 0];
    let reading: Promise<readonly number[]> | undefined;
    log.follow(ROOM, ({ n }) => {
      heard += 1;
      thisTurn += 1;
      most = Math.max(most, thisTurn);
      t.equal(n, heard, 'in order');
      reading ??= log.read(ROOM).then(({ length }) => [length, heard]);
    });
    const all = Array.from({ length: 20 }, (_, i) => said(`m${String(i)}`, NOW, 400));
    const over = keptAll(log, all);
    while (heard < all.length) {
      await setImmediate();
      thisTurn = 0;
    }
    await over;
    t.equal(most, 3, 'as many as make 1000 octets');
    t.same(await reading, [20, 20]);
  },
);

t.test('SQLite: what was kept is heard, also when it is closed before all of it is', async (t) => {
  const log = await diskLog(t, { file: newFile(), heardAtOnce: 1 });
  const heard: number[] = [];
  log.follow(ROOM, ({ n }) => heard.push(n));
  const outcomes = Array.from({ length: 5 }, (_, i) => kept(log, said(`m${String(i)}`)));
  await outcomes[0];
  await log.close();
  t.same(await Promise.all(outcomes), [1, 2, 3, 4, 5]);
  t.same(heard, [1, 2, 3, 4, 5]);
});

t.test('SQLite: a lone event waits for no other', async (t) => {
  const log = closedAfter(t, await openSqliteLog({ file: newFile(), keeping: () => forever, gathering: 3_600_000 }));
  for (const id of ['a', 'b', 'c']) t.type(await kept(log, said(id)), 'number');
});

t.test('SQLite: two groups that would take turns for ever become one', async (t) => {
  const file = newFile();
  const log = await openSqliteLog({ file, keeping: () => forever, gathering: 300 });
  const [ROUNDS, GROUP] = [20, 4];
  const talk = async (who: string): Promise<void> => {
    for (let round = 0; round < ROUNDS; round++) {
      await kept(log, said(`${who}${String(round)}`));
      await setImmediate();
    }
  };
  const group = (name: string): readonly Promise<void>[] =>
    Array.from({ length: GROUP }, (_, i) => talk(`${name}${String(i)}`));
  const first = group('first');
  // The disk is busy with those.
  await setImmediate();
  await setImmediate();
  await Promise.all([...first, ...group('second')]);
  await log.close();
  const db = new Database(file);
  const commits = db.prepare('SELECT id FROM segments').all().length;
  db.close();
  t.ok(commits < 1.5 * ROUNDS, `${String(commits)} commits, of ${String(2 * ROUNDS)} if they took turns`);
});

t.test('SQLite: a long read pauses, so that commits can go before its end, and is not mixed up by them', async (t) => {
  const store = new SqliteStore(newFile());
  t.teardown(() => store.close());
  const write = (n: number): void => {
    const writer = new BatchWriter();
    writer.add(ROOM, { n: eventNumber(n), event: said(`m${String(n)}`) });
    store.write(writer.take());
  };
  for (let n = 1; n <= 100; n++) write(n);
  const limits = { since: 0, maxMessages: 1e6, maxBytes: 1e6 };
  const range = { from: 1, through: 1e6, ...limits, limit: 90, to: undefined, knownBy: undefined, comingsOnly: false };
  for (const end of ['newest', 'oldest'] as const) {
    const reading = store.read(ROOM, { ...range, end, messagesOnly: true });
    let [pauses, found] = [0, reading.next()];
    for (; found.done !== true; found = reading.next()) write(101 + pauses++ + (end === 'oldest' ? 50 : 0));
    t.ok(pauses >= 4, end);
    const first = end === 'newest' ? 11 : 1;
    t.same(
      found.value.map(({ n }) => n),
      Array.from({ length: 90 }, (_, i) => first + i),
    );
  }
});

t.test('SQLite: what was appended before it is closed is kept', async (t) => {
  const file = newFile();
  const log = await diskLog(t, { file });
  const outcomes: Outcome[] = [];
  for (let i = 0; i < 50; i++) log.append(ROOM, said(`m${String(i)}`), (outcome) => outcomes.push(outcome));
  await log.close();
  t.equal(outcomes.length, 50);
  const again = await diskLog(t, { file });
  t.equal((await again.read(ROOM)).length, 50);
});

t.test('SQLite: a log can be closed while it prunes', async (t) => {
  const rooms = Array.from({ length: 100 }, (_, i) => roomUri(`sip:room${String(i)}@example.com`));
  const log = await diskLog(t, { keeping: () => ({ ...forever, maxAge: 10 }) });
  await Promise.all(rooms.map((room) => kept(log, said('old'), room)));
  log.prune(NOW + 100);
  await turn(() => log.rooms().length < rooms.length);
  await log.close();
  t.match(log.health(), { refused: 'not-kept' }, 'and ends no process by it');
});

t.test('SQLite: a room whose past goes while its next event is on its way to the disk counts on', async (t) => {
  const log = await diskLog(t, { keeping: () => ({ ...forever, maxAge: 10 }), now: () => NOW + 100 });
  await kept(log, said('old'));
  await kept(log, said('others'), OTHER);
  log.prune(NOW + 100);
  t.equal(await kept(log, said('new', NOW + 100)), 2);
  await turn(() => !log.rooms().includes(OTHER));
  t.equal(await kept(log, said('newer', NOW + 100)), 3);
  t.same(numbers(await log.read(ROOM)), [2, 3]);
});

t.test('SQLite: a backlog is bounded, and refused beyond its bound', async (t) => {
  const log = await diskLog(t, { maxBacklogBytes: 10_000 });
  const outcomes = Array.from({ length: 20 }, (_, i) => log.append(ROOM, said(`m${String(i)}`, NOW, 1000)));
  t.ok(outcomes.slice(0, 5).every((outcome) => typeof outcome === 'number'));
  t.match(outcomes.at(-1), { refused: 'not-kept', reason: /keep up/ });
  const heard: string[] = [];
  log.follow(ROOM, ({ event }) => heard.push(event.type));
  t.equal(typeof log.append(ROOM, left()), 'number', 'but who goes is known to have gone');
  t.same(heard, ['left']);
  await log.read(ROOM);
  t.equal(typeof (await kept(log, said('later'))), 'number');
});

t.test('SQLite: it is known how much waits for the disk', async (t) => {
  const log = await diskLog(t);
  t.equal(log.backlog, 0);
  const all = ['a', 'b', 'c'].map((id) => kept(log, said(id, NOW, 100_000)));
  t.ok(log.backlog >= 300_000, String(log.backlog));
  await log.read(ROOM);
  await Promise.all(all);
  t.equal(log.backlog, 0);
});

t.test('SQLite: a full disk is told and refused, and when there is room again all goes on', async (t) => {
  const lines = new Lines();
  let keeping = forever;
  const log = await diskLog(t, { maxPages: 40, log: lines, keeping: () => keeping });
  const heard: number[] = [];
  log.follow(ROOM, ({ n }) => heard.push(n));
  const outcomes: Outcome[] = [];
  while (typeof (outcomes.at(-1) ?? 0) === 'number') {
    outcomes.push(await kept(log, said(`m${String(outcomes.length)}`, NOW, 3000)));
  }
  const refusal = outcomes.at(-1);
  t.match(refusal, { refused: 'not-kept', reason: 'Nothing can be kept now: the disk is full' });
  t.match(lines.lines[0], /^warn room log .*SQLITE_FULL.*, not kept: 1; nothing is taken until the disk recovers/);
  t.match(log.health(), { refused: 'not-kept' });
  t.match(log.append(ROOM, said('next')), { refused: 'not-kept' }, 'at once');
  const keptOnes = outcomes.slice(0, -1);
  t.same(heard, keptOnes, 'nobody heard what was refused');
  // In the same turn: the next probe may find that the disk takes a little.
  const went = log.append(ROOM, left());
  t.equal(heard.at(-1), went, 'who goes is heard all the same');
  t.same(numbers(await log.read(ROOM, { messagesOnly: true })), keptOnes, 'what was refused is not in the history');
  keeping = { ...forever, maxMessages: 3 };
  log.prune(NOW);
  await turn(() => log.health() === 'well');
  t.match(lines.lines.at(-1), /^info .*well again/);
  const next = await kept(log, said('after'));
  t.equal(next, outcomes.length + 2, 'the number of what was refused stays unused');
  t.same(ids((await log.read(ROOM)).slice(-2)), ['left', 'after'], 'and is written when it can be');
});

t.test('SQLite: a log with a full disk can be closed, and a poisoned event does not stop it for ever', async (t) => {
  const full = await diskLog(t, { maxPages: 20, retryAfter: 1e6 });
  let outcome: Outcome = eventNumber(1);
  while (typeof outcome === 'number') outcome = await kept(full, said('m', NOW, 3000));
  full.append(ROOM, left());
  await full.close();
  const log = await diskLog(t);
  const heard: string[] = [];
  log.follow(ROOM, ({ event }) => heard.push(event.type));
  log.append(ROOM, { ...left(), at: NaN });
  await turn(() => log.health() !== 'well');
  await turn(() => log.health() === 'well');
  t.equal(typeof (await kept(log, said('a'))), 'number');
  t.same(heard, ['left', 'said']);
});

t.test('SQLite: a file that is no database is refused by name, and left as it is', async (t) => {
  const file = newFile();
  writeFileSync(file, 'These are my notes, not a database.'.repeat(200));
  await t.rejects(openSqliteLog({ file }), { name: 'LogOpenError', message: new RegExp(`${file}.*not a database`) });
  await t.rejects(openSqliteLog({ file: join(folder, 'nowhere', 'log.db') }), LogOpenError);
});

t.test('SQLite: a file in use by another log is refused', async (t) => {
  const file = newFile();
  const log = await diskLog(t, { file });
  await kept(log, said('a'));
  await t.rejects(diskLog(t, { file }), /in use by another process: is the service running already\?/);
  const files = readdirSync(folder).filter((name) => join(folder, name).startsWith(file));
  t.same(
    files.map((name) => statSync(join(folder, name)).mode & 0o077),
    files.map(() => 0),
    'what is said is for nobody else on this machine',
  );
  await log.close();
  t.equal((await diskLog(t, { file })).last(ROOM), 1);
});

t.test('SQLite: a file with damaged pages is not opened', async (t) => {
  const file = newFile();
  const log = await diskLog(t, { file });
  await keptAll(
    log,
    Array.from({ length: 100 }, (_, i) => said(`m${String(i)}`, NOW, 3000)),
  );
  await log.close();
  const whole = readFileSync(file);
  // The first page, with the schema, stays as it is; so does the second, with the rooms.
  writeFileSync(file, Buffer.concat([whole.subarray(0, 24_576), randomBytes(8192), whole.subarray(32_768)]));
  await t.rejects(diskLog(t, { file }), /damaged|malformed/);
  writeFileSync(file, whole);
  t.equal((await diskLog(t, { file })).last(ROOM), 100);
});

t.test('SQLite: nothing is taken into a file that was removed while open, until another is in its place', async (t) => {
  const lines = new Lines();
  const file = newFile();
  const log = await diskLog(t, { file, log: lines });
  t.equal(await kept(log, said('x')), 1);
  for (const name of readdirSync(folder)) if (join(folder, name).startsWith(file)) rmSync(join(folder, name));
  t.match(await kept(log, said('y')), { refused: 'not-kept', reason: /the log has been moved away/ });
  t.match(lines.lines[0], /^warn .*has been moved away or removed.*not kept: 1/);
  await turn(() => log.health() === 'well');
  t.equal(await kept(log, said('z')), 3, 'numbers go on');
  await log.close();
  const again = await diskLog(t, { file });
  t.same(ids(await again.read(ROOM)), ['z']);
  await again.close();
});

for (const [part, suffix] of [
  ['the file', ''],
  ['the WAL', '-wal'],
] as const) {
  t.test(`SQLite: nothing is taken any more when ${part} was cut short while open`, async (t) => {
    const lines = new Lines();
    const file = newFile();
    const log = await diskLog(t, { file, log: lines });
    t.equal(await kept(log, said('x')), 1);
    truncateSync(`${file}${suffix}`, 0);
    t.match(await kept(log, said('y')), { refused: 'not-kept', reason: /the log is damaged/ });
    t.match(lines.lines[0], /^warn .*cut it short.*not kept: 1/);
    t.match(log.health(), { reason: /the log is damaged/ });
    await log.close();
  });
}

t.test(
  'SQLite: a file that was destroyed while open is told, refused, and replaced when it is moved away',
  async (t) => {
    const lines = new Lines();
    const file = newFile();
    const first = await diskLog(t, { file });
    await keptAll(
      first,
      Array.from({ length: 100 }, (_, i) => said(`m${String(i)}`, NOW, 3000)),
    );
    await first.close();
    const log = await diskLog(t, { file, log: lines });
    truncateSync(file, 8192);
    await t.rejects(log.read(ROOM), LogReadError);
    t.match(lines.lines[0], /^warn .*(malformed|disk I\/O|corrupt)/);
    const outcome = await kept(log, said('x', NOW, 3000));
    t.match(outcome, { refused: 'not-kept', reason: /the log is damaged|the disk fails/ });
    for (const name of readdirSync(folder)) if (join(folder, name).startsWith(file)) rmSync(join(folder, name));
    await turn(() => log.health() === 'well');
    t.equal(await kept(log, said('y')), 102, 'numbers go on above those that were known');
    t.same(ids(await log.read(ROOM)), ['y']);
    await log.close();
  },
);

t.test(
  'SQLite: what is damaged of a room is not passed over, and hinders neither pruning nor other rooms',
  async (t) => {
    const file = newFile();
    const noise: Readonly<Record<string, string>> = {
      zeros: 'zeroblob(length(events))',
      random: 'randomblob(length(events))',
      'cut short': 'substr(events, 1, length(events) - 1)',
      'one number changed': "CAST(substr(events, 1, 7) || x'7f' || substr(events, 9) AS BLOB)",
      'one that is missing': 'substr(events, 1 + length(events) / 2)',
      nothing: "x''",
    };
    const rooms = new Map(Object.keys(noise).map((kind, i) => [kind, roomUri(`sip:damaged${String(i)}@example.com`)]));
    const first = await diskLog(t, { file });
    for (const room of [...rooms.values(), OTHER]) {
      await keptAll(first, [said('a', 1), said('b', 1)], room);
      await keptAll(first, [said('c', NOW), said('d', NOW)], room);
    }
    await first.close();
    const db = new Database(file);
    for (const [kind, room] of rooms) {
      const id = `(SELECT id FROM rooms WHERE uri = '${room}')`;
      db.exec(`UPDATE segments SET events = ${noise[kind] ?? ''} WHERE first = 1 AND room = ${id}`);
    }
    db.close();
    const lines = new Lines();
    const keeping = { ...forever };
    const log = await diskLog(t, { file, keeping: () => keeping, log: lines, now: () => NOW });
    for (const [kind, room] of rooms) {
      await t.rejects(log.read(room, { messagesOnly: true }), LogReadError, kind);
      t.match(lines.lines.pop(), new RegExp(`: ${room} cannot be read: .*1 to 2 .*damaged`));
      t.same(ids(await log.read(room, { from: eventNumber(3) })), ['c', 'd'], 'the rest can be read');
      t.equal(await kept(log, said('e', NOW), room), 5);
    }
    Object.assign(keeping, { maxAge: 1000, maxMessages: 3 });
    log.prune(NOW);
    for (const room of rooms.values()) t.same(ids(await log.read(room, { from: eventNumber(3) })), ['c', 'd', 'e']);
    t.same(ids(await log.read(OTHER)), ['c', 'd'], 'another room is pruned');
    await log.close();
  },
);

t.test('SQLite: the rest of a damaged room is saved as the README says, and its numbers go on', async (t) => {
  const [, sql = ''] = /sqlite3 rooms\.sqlite "([^"]*)"/.exec(readFileSync('README.md', 'utf8')) ?? [];
  const file = newFile();
  const first = await diskLog(t, { file });
  await keptAll(first, [said('a'), said('b')], OTHER);
  for (const batch of [
    [said('a'), { type: 'banned', at: NOW, target: { kind: 'user', user: BOB } }],
    [said('c'), said('d')],
  ] as const) {
    await keptAll(first, batch);
  }
  await first.close();
  const db = new Database(file);
  db.exec('UPDATE segments SET events = zeroblob(length(events)) WHERE first = 3');
  db.close();
  const lines = new Lines();
  const damaged = await diskLog(t, { file, log: lines });
  await t.rejects(damaged.read(ROOM), LogReadError);
  await damaged.close();
  const [, room = '', from = '', to = ''] =
    /: (sip:\S+) cannot be read: .* events (\d+) to (\d+) is damaged/.exec(lines.lines[0] ?? '') ?? [];
  const saving = new Database(file);
  saving.exec(sql.replaceAll('sip:NAME@localhost', room).replaceAll('FIRST', from).replaceAll('LAST', to));
  saving.close();
  const saved = await diskLog(t, { file });
  t.same(ids(await saved.read(ROOM)), ['a', 'banned']);
  t.same(ids(await saved.read(OTHER)), ['a', 'b'], 'nothing of another room is touched');
  t.same(numbers(await saved.facts(ROOM)), [2]);
  t.equal(await kept(saved, said('e')), 5, 'no number is used twice');
});

t.test('SQLite: a text that is no UTF-8 any more is told, and does not end the process', async (t) => {
  const file = newFile();
  const first = await diskLog(t, { file });
  for (const room of [ROOM, OTHER]) {
    await keptAll(first, [said('a'), { type: 'banned', at: NOW, target: { kind: 'user', user: BOB } }], room);
  }
  await first.close();
  const damage = (sql: string): void => {
    const db = new Database(file);
    db.exec(sql);
    db.close();
  };
  damage(`UPDATE facts SET event = CAST(x'7bff7d' AS TEXT) WHERE room = 1`);
  damage(`UPDATE segments SET messages = CAST(x'ff' AS TEXT) WHERE room = 1`);
  const log = await diskLog(t, { file, keeping: () => ({ ...forever, maxMessages: 1 }), now: () => NOW });
  await t.rejects(log.facts(ROOM), /damaged/);
  await t.rejects(log.read(ROOM), /damaged/);
  log.prune(NOW);
  t.same(ids(await log.read(OTHER)), ['a', 'banned']);
  t.same(numbers(await log.facts(OTHER)), [2]);
  t.equal(await kept(log, said('b')), 3);
  await log.close();
  damage(`UPDATE rooms SET uri = CAST(x'ff' AS TEXT) WHERE id = 1`);
  await t.rejects(diskLog(t, { file }), { name: 'LogOpenError', message: /a text in the file is damaged/ });
});
