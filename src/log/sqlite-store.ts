/** The SQLite file of the room log: its schema and every statement. Used by the worker, where blocking hurts nobody. */
import { closeSync, openSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import Database from 'libsql';
import { readIpAddress } from '../conference/ids.ts';
import { MOST_POSITIONS, oldestKept } from './room-log.ts';
import type { KeptNow, RoomKeeping } from './room-log.ts';
import { headOf, KIND, LASTS, recordOf, recordsOf, segmentBytes } from './sqlite-records.ts';
import type { PackedBatch, SegmentHead, StoredRecord } from './sqlite-records.ts';
import { kindsOf, wantedOf } from './sqlite-range.ts';
import type { FirstKept, StoredRange } from './sqlite-range.ts';
import { asBytes, asNumber, blobOf, rowsOf, textOf } from './sqlite-rows.ts';
import type { Row } from './sqlite-rows.ts';
import { upgrade } from './sqlite-upgrade.ts';

/** 1 had a row for each event, 2 counted the octets of notifications among those of messages, and is read as it is. */
const FORMAT = 3;

/**
 * The segments of all rooms lie in the order in which they came, so that a commit writes few pages however many rooms it
 * is about. The index has all that pruning must know of those of a room. `rooms.last` is of rooms whose newest are gone.
 */
const SCHEMA = `
  CREATE TABLE IF NOT EXISTS rooms (id INTEGER PRIMARY KEY, uri TEXT NOT NULL UNIQUE, last INTEGER NOT NULL);
  CREATE TABLE IF NOT EXISTS segments (
    id INTEGER PRIMARY KEY, room INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
    oldest INTEGER NOT NULL, messages INTEGER NOT NULL, happenings INTEGER NOT NULL, octets INTEGER NOT NULL,
    events BLOB NOT NULL
  );
  CREATE INDEX IF NOT EXISTS places ON segments (room, first, last, oldest, messages, happenings, octets);
  CREATE TABLE IF NOT EXISTS facts (
    room INTEGER NOT NULL, key TEXT NOT NULL, n INTEGER NOT NULL, lasts INTEGER NOT NULL,
    event TEXT NOT NULL, PRIMARY KEY (room, key)
  ) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS probe (id INTEGER PRIMARY KEY, at INTEGER NOT NULL);
`;

/** A room in the file, and the number of its newest event. */
export interface StoredRoom {
  readonly uri: string;
  readonly last: number;
}

/** What is told of a file of an older format while it is taken over: that it begins, and what it came to. */
export type Upgrading =
  | { readonly is: 'begun'; readonly from: number; readonly to: number }
  | { readonly is: 'over'; readonly events: number; readonly milliseconds: number };

/** Segments that one step of reading looks into, and one of pruning deletes or shortens: commits in between need not wait long. */
const READ_STEP = 16;
const PRUNE_STEP = 250;

/** The open file. Every method throws libsql's error when the file or the disk fails. */
export class SqliteStore {
  readonly #path: string;
  /** The file and its WAL, as this connection has left them. */
  #left: readonly FileMark[];
  readonly #db: Database.Database;
  readonly #roomIds = new Map<string, number>();
  readonly #begin;
  readonly #commit;
  readonly #addRoom;
  readonly #insert;
  readonly #putFact;
  readonly #dropFact;
  readonly #endFacts;
  readonly #readNewest;
  readonly #readOldest;
  readonly #facts;
  readonly #sums;

  /**
   * Opens or makes the file. `maxPages` bounds it (tests; `undefined`: the disk does). `upgrading` hears when it is one of an
   * older format, since that can take seconds.
   */
  constructor(file: string, maxPages?: number, upgrading: (step: Upgrading) => void = () => undefined) {
    this.#path = resolve(file);
    // What is said in rooms is not for everybody with an account on this machine; SQLite gives its other files this mode.
    closeSync(openSync(this.#path, 'a', 0o600));
    const { db, version } = openWhole(this.#path);
    this.#db = db;
    try {
      db.exec(SCHEMA);
      const room = '(room, first, last, oldest, messages, happenings, octets, events)';
      this.#insert = db.prepare(`INSERT INTO segments ${room} VALUES (?, ?, ?, ?, ?, ?, ?, ?)`);
      this.#begin = db.prepare('BEGIN IMMEDIATE');
      this.#commit = db.prepare('COMMIT');
      const begun = performance.now();
      let events: number | undefined;
      this.#transaction(() => {
        if (version === 1) {
          upgrading({ is: 'begun', from: version, to: FORMAT });
          events = upgrade(db, (room, records) => this.#put(room, records));
        }
        db.pragma(`user_version = ${String(FORMAT)}`);
      });
      if (events !== undefined) upgrading({ is: 'over', events, milliseconds: performance.now() - begun });
      if (maxPages !== undefined) db.pragma(`max_page_count = ${String(maxPages)}`);
      for (const row of rowsOf(db.prepare(`SELECT id, ${asBytes('uri')} FROM rooms`).all())) {
        this.#roomIds.set(textOf(row['uri']), Number(row['id']));
      }
      this.#addRoom = db.prepare('INSERT INTO rooms (uri, last) VALUES (?, 0) RETURNING id');
      this.#putFact = db.prepare('INSERT OR REPLACE INTO facts VALUES (?, ?, ?, ?, ?)');
      this.#dropFact = db.prepare('DELETE FROM facts WHERE room = ? AND key = ?');
      this.#endFacts = db.prepare(`DELETE FROM facts WHERE room = ? AND lasts = ${String(LASTS.conference)}`);
      // The range begins within a segment, or between two.
      const read = (order: string): string =>
        `SELECT ${ROW} FROM segments WHERE room = ?1
           AND first >= ifnull((SELECT max(first) FROM segments WHERE room = ?1 AND first <= ?2), 0)
           AND first <= ?3 AND last >= ?2 AND messages >= ?4 AND happenings >= ?5 ORDER BY segments.first ${order} LIMIT ?6`;
      this.#readNewest = db.prepare(read('DESC'));
      this.#readOldest = db.prepare(read('ASC'));
      this.#facts = db.prepare(
        `SELECT ${asNumber('n')}, ${asBytes('event')} FROM facts WHERE room = ? ORDER BY facts.n`,
      );
      const sums = ['messages', 'happenings', 'octets'].map((column) => `CAST(sum(${column}) AS REAL) AS ${column}`);
      this.#sums = db.prepare(`SELECT ${sums.join()} FROM segments WHERE room = ?`);
      this.#left = this.#marks();
      this.#normaliseBans();
    } catch (error) {
      db.close();
      throw error;
    }
  }

  /**
   * What has become of the file that is open. SQLite would go on writing into one that was removed, or into the hole where
   * somebody has cut it, and a commit would be worth nothing; so this is asked before each.
   */
  place(): 'here' | 'moved' | 'cut short' {
    const [file, wal] = this.#marks();
    const [fileLeft, walLeft] = this.#left;
    if (file?.inode !== fileLeft?.inode) return 'moved';
    return isWhole(file, fileLeft) && isWhole(wal, walLeft) ? 'here' : 'cut short';
  }

  #marks(): readonly FileMark[] {
    return [this.#path, `${this.#path}-wal`].map((path) => {
      const found = statSync(path, { throwIfNoEntry: false });
      return { inode: found?.ino, size: found?.size ?? 0 };
    });
  }

  /** Addresses that were banned before they had one form get it: in any other a ban holds nobody back. */
  #normaliseBans(): void {
    const ban = `SELECT ${asNumber('room')}, ${asBytes('key')} FROM facts WHERE key GLOB '${BAN}*' ORDER BY n`;
    const bans = rowsOf(this.#db.prepare(ban).all()).map(({ room, key }) => ({ room, key: textOf(key) }));
    const old = bans.filter(({ key }) => inOneForm(key) !== key);
    if (old.length === 0) return;
    const put = this.#db
      .prepare(`INSERT INTO facts SELECT room, ?, n, lasts, json_set(event, '$.target.address', ?) FROM facts
      WHERE room = ? AND key = ? ON CONFLICT DO UPDATE SET n = excluded.n, event = excluded.event WHERE excluded.n > n`);
    this.#transaction(() => {
      for (const { room, key } of old) {
        const normal = inOneForm(key);
        put.run(normal, normal.slice(BAN.length), room, key);
        this.#dropFact.run(room, key);
      }
    });
  }

  /** All rooms of the file. */
  rooms(): readonly StoredRoom[] {
    const rows = rowsOf(this.#db.prepare(`SELECT ${asBytes('uri')}, ${LAST} AS last FROM rooms ORDER BY id`).all());
    return rows.map((row) => ({ uri: textOf(row['uri']), last: Number(row['last']) }));
  }

  /** Keeps a batch: all of it or, when it throws, nothing. */
  write({ buffer, segments, facts }: PackedBatch): void {
    const [only] = segments;
    const onlyRoom = only === undefined ? undefined : this.#roomIds.get(only.room);
    if (only !== undefined && onlyRoom !== undefined && segments.length === 1 && facts.length === 0) {
      // What is said in one room: one statement is a transaction by itself, for less.
      this.#insert.run(columns(onlyRoom, only.head, segmentBytes(buffer, only)));
      this.#left = this.#marks();
      return;
    }
    const newRooms: string[] = [];
    const roomId = (uri: string): number => {
      const known = this.#roomIds.get(uri);
      if (known !== undefined) return known;
      const id = Number(rowsOf([this.#addRoom.get(uri)])[0]?.['id']);
      this.#roomIds.set(uri, id);
      newRooms.push(uri);
      return id;
    };
    this.#transaction(
      () => {
        for (const segment of segments) {
          this.#insert.run(columns(roomId(segment.room), segment.head, segmentBytes(buffer, segment)));
        }
        for (const fact of facts) {
          const room = roomId(fact.room);
          if (fact.change === 'put') this.#putFact.run(room, fact.key, fact.n, fact.lasts, fact.json);
          else if (fact.change === 'drop') this.#dropFact.run(room, fact.key);
          else this.#endFacts.run(room);
        }
      },
      () => {
        for (const uri of newRooms) this.#roomIds.delete(uri);
      },
    );
  }

  #put(room: number, records: readonly StoredRecord[]): void {
    this.#insert.run(columns(room, headOf(records), Buffer.concat(records.map(({ bytes }) => bytes))));
  }

  /** The newest events of the range, or its oldest messages; oldest first. It may pause, and others use the file, where it yields. */
  *read(uri: string, range: StoredRange): Generator<undefined, readonly StoredRecord[]> {
    const room = this.#roomIds.get(uri);
    if (room === undefined) return [];
    const newest = range.end === 'newest';
    const kept = this.#within(room, range);
    const { needle, isWanted } = wantedOf(range, kept);
    const [messages, happenings] = kindsOf(range);
    const found: StoredRecord[] = [];
    let from = Math.max(range.from, kept.messages);
    let { through } = range;
    for (;;) {
      // Each holds one event or more.
      const most = Math.min(range.limit - found.length, READ_STEP);
      const statement = newest ? this.#readNewest : this.#readOldest;
      const rows = rowsOf(statement.all(room, from, through, messages, happenings, most));
      for (const row of rows) {
        const { first, last } = row;
        if (newest) through = Number(first) - 1;
        else from = Number(last) + 1;
        if (needle !== undefined && !blobOf(row['events']).includes(needle)) continue;
        const records = recordsOfRow(row);
        if (records === undefined)
          throw new Error(`what is kept of its events ${String(first)} to ${String(last)} is damaged`);
        const wanted = records.filter(isWanted);
        found.push(...(newest ? wanted.reverse() : wanted));
      }
      if (rows.length < most || found.length >= range.limit) break;
      yield;
    }
    const enough = found.slice(0, range.limit);
    return newest ? enough.reverse() : enough;
  }

  /** The lasting facts, oldest first. */
  facts(uri: string): readonly StoredRecord[] {
    const room = this.#roomIds.get(uri);
    if (room === undefined) return [];
    return rowsOf(this.#facts.all(room)).map(({ n, event }) => recordOf(Number(n), 0, KIND.fact, textOf(event)));
  }

  /** Whether the file can be written now; throws when not. */
  probe(now: number): void {
    this.#transaction(() => this.#db.prepare('INSERT OR REPLACE INTO probe VALUES (1, ?)').run(now));
  }

  /**
   * Forgets some of what the room need not keep any longer. Gives `more` when there is more to forget, `gone` when
   * nothing is left of the room.
   */
  prune(uri: string, keeping: RoomKeeping, now: number): 'done' | 'more' | 'gone' {
    const room = this.#roomIds.get(uri);
    if (room === undefined) return 'gone';
    let step = 0;
    this.#transaction(() => {
      const { messages, happenings } = this.#firstKept(room, keeping, now);
      const last = this.#last(room);
      const old = 'SELECT id FROM segments WHERE room = ? AND last < ? ORDER BY first LIMIT ?';
      step = this.#db.prepare(`DELETE FROM segments WHERE id IN (${old})`).run(room, messages, PRUNE_STEP).changes;
      if (step < PRUNE_STEP) step = this.#shorten(room, messages, happenings);
      // Numbers go on also when those that bore them are gone.
      if (this.#last(room) < last) this.#db.prepare('UPDATE rooms SET last = ? WHERE id = ?').run(last, room);
      const isEmpty = this.#number('SELECT EXISTS (SELECT 1 FROM segments WHERE room = ?)', room) === 0;
      const positions = `FROM facts WHERE room = ?1 AND lasts = ${String(LASTS.messages)}`;
      const newest = `SELECT key ${positions} ORDER BY n DESC LIMIT ?2`;
      this.#db.prepare(`DELETE ${positions} AND key NOT IN (${newest})`).run(room, isEmpty ? 0 : MOST_POSITIONS);
    });
    if (step === PRUNE_STEP) return 'more';
    const some = 'EXISTS (SELECT 1 FROM segments WHERE room = ?1) OR EXISTS (SELECT 1 FROM facts WHERE room = ?1)';
    if (this.#number(`SELECT ${some}`, room) === 1) return 'done';
    this.#transaction(() => this.#db.prepare('DELETE FROM rooms WHERE id = ?').run(room));
    this.#roomIds.delete(uri);
    return 'gone';
  }

  #last(room: number): number {
    return this.#number(`SELECT ${LAST} FROM rooms WHERE id = ?`, room);
  }

  /** The one value that is asked for; 0 when there is none. */
  #number(sql: string, ...values: readonly number[]): number {
    const [row] = rowsOf([this.#db.prepare(sql).get(...values)]);
    return Number(Object.values(row ?? {})[0] ?? 0);
  }

  /** Takes what is forgotten out of segments that keep the rest; gives how many those were. */
  #shorten(room: number, messages: number, happenings: number): number {
    const rows = rowsOf(
      this.#db
        .prepare(
          `SELECT id, ${ROW} FROM segments WHERE room = ? AND first < ? AND (first < ? OR happenings > 0)
           ORDER BY segments.first LIMIT ?`,
        )
        .all(room, happenings, messages, PRUNE_STEP),
    );
    let shortened = 0;
    for (const row of rows) {
      // What is damaged is kept until all of it may go: what is good of it may still be saved.
      const records = recordsOfRow(row) ?? [];
      const rest = records.filter(({ n, kind }) => n >= (kind === KIND.message ? messages : happenings));
      if (rest.length === records.length) continue;
      shortened += 1;
      this.#db.prepare('DELETE FROM segments WHERE id = ?').run(row['id']);
      if (rest.length > 0) this.#put(room, rest);
    }
    return shortened;
  }

  /** What is inside all of the room's limits. */
  #firstKept(room: number, keeping: RoomKeeping, now: number): FirstKept {
    const { messages, happenings } = this.#within(room, keeping);
    const young = this.#afterOlder(room, oldestKept(keeping, now));
    return { messages: Math.max(messages, young), happenings: Math.max(happenings, young) };
  }

  /**
   * What is inside the room's limits of count and size: asked for with each read, and mostly answered by the index alone.
   * Messages and other happenings apart, since any number of comings and goings must not push a message out.
   */
  #within(room: number, { maxMessages, maxBytes }: Omit<KeptNow, 'since'>): FirstKept {
    const [row = {}] = rowsOf([this.#sums.get(room)]);
    const after = (column: keyof typeof WEIGHT, most: number): number =>
      this.#afterFirst(room, column, Number(row[column]) - most);
    const messages = Math.max(after('messages', maxMessages), after('octets', maxBytes));
    return { messages, happenings: Math.max(messages, after('happenings', maxMessages)) };
  }

  /** The number behind the newest event from before that time. */
  #afterOlder(room: number, since: number): number {
    const sql = `SELECT ${ROW} FROM segments WHERE room = ? AND oldest < ? ORDER BY segments.first DESC LIMIT 1`;
    const [row] = rowsOf([this.#db.prepare(sql).get(room, since)]);
    if (row === undefined) return 0;
    const newest = recordsOfRow(row)?.findLast(({ at }) => at < since);
    return newest === undefined ? Number(row['first']) : newest.n + 1;
  }

  /** The number behind the oldest events that come to so much; 0 when that is nothing. */
  #afterFirst(room: number, column: keyof typeof WEIGHT, excess: number): number {
    if (excess <= 0) return 0;
    // Row by row from the oldest on, and no further than need be: mostly little is too much. ORDER BY would sort them all.
    const sums = `SELECT id, sum(${column}) OVER (ORDER BY first ROWS UNBOUNDED PRECEDING) AS gone FROM segments WHERE room = ?`;
    const found = `SELECT id, gone FROM (${sums}) WHERE gone >= ? LIMIT 1`;
    const sql = `SELECT CAST(gone AS REAL) AS gone, ${ROW} FROM (${found}) JOIN segments USING (id)`;
    const [row = {}] = rowsOf([this.#db.prepare(sql).get(room, excess)]);
    let [gone, after] = [Number(row['gone']) - Number(row[column]), Number(row['first'])];
    for (const record of recordsOfRow(row) ?? []) {
      if (gone >= excess) break;
      gone += WEIGHT[column](record);
      after = record.n + 1;
    }
    return after;
  }

  /** Gives the file back. */
  close(): void {
    this.#db.close();
  }

  #transaction(work: () => void, undone?: () => void): void {
    this.#begin.run();
    try {
      work();
      this.#commit.run();
      this.#left = this.#marks();
    } catch (error) {
      undone?.();
      // A full disk has rolled it back already (sqlite.org/lang_transaction.html §3.4).
      if (this.#db.inTransaction) this.#db.exec('ROLLBACK');
      throw error;
    }
  }
}

/** What the key of a banned address begins with. */
const BAN = 'ban address ';

/** The key of a banned address, with the address in the form in which it is compared. */
function inOneForm(key: string): string {
  return `${BAN}${readIpAddress(key.slice(BAN.length)) ?? key.slice(BAN.length)}`;
}

/** Throws what keeps a file that is there from being opened; the file stays as it is, also one of an older format. */
export function checkFile(file: string): void {
  if ((statSync(file, { throwIfNoEntry: false })?.size ?? 0) > 0) openWhole(resolve(file)).db.close();
}

/** The reason in words, for the log line and for whoever is refused. */
export function reasonOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? `${String(error.code)}: ` : '';
  return `${code}${error instanceof Error ? error.message : String(error)}`;
}

/** Opens a file whose pages are whole and whose format is known. Throws when it is another one. */
function openWhole(path: string): { readonly db: Database.Database; readonly version: number } {
  const db = new Database(path, { timeout: 1000 });
  try {
    // Of a text of usual size several fit into a page of 8 KiB; in one of 4 KiB each would spill over.
    db.pragma('page_size = 8192');
    // One process owns the file: a second one is told so instead of numbering events a second time.
    db.pragma('locking_mode = EXCLUSIVE');
    db.pragma('journal_mode = WAL');
    db.pragma('synchronous = FULL');
    db.pragma('journal_size_limit = 67108864');
    const version = rowsOf([db.prepare('PRAGMA user_version').get()])[0]?.['user_version'];
    if (typeof version !== 'number' || version > FORMAT)
      throw new Error(`its format is ${String(version)}, not ${String(FORMAT)}`);
    checkWhole(db);
    return { db, version };
  } catch (error) {
    db.close();
    throw error;
  }
}

/**
 * Throws when pages of the file are damaged: SQLite itself would not tell before it meets one of them, and until then what
 * is kept might be kept in a tree that cannot be read again.
 */
function checkWhole(db: Database.Database): void {
  const verdict = Object.values(rowsOf([db.prepare('PRAGMA quick_check(1)').get()])[0] ?? {})[0];
  if (verdict === 'ok') return;
  // Its first line names the database: we have but one.
  const [, where] = /^(?:\*{3} .*\n)?(.*)/.exec(String(verdict)) ?? [];
  throw new Error(`SQLITE_CORRUPT: the file is damaged (${String(where)})`);
}

/** A file as it was found; without an inode there was none. */
interface FileMark {
  readonly inode: number | undefined;
  readonly size: number;
}

const isWhole = (now: FileMark | undefined, left: FileMark | undefined): boolean =>
  left?.inode === undefined || (now?.inode === left.inode && now.size >= left.size);

function columns(room: number, head: SegmentHead, events: Buffer): readonly unknown[] {
  const { first, last, oldest, messages, happenings, octets } = head;
  return [room, first, last, oldest, messages, happenings, octets, events];
}

/** The records of a row; undefined when they are damaged. */
function recordsOfRow(row: Row): readonly StoredRecord[] | undefined {
  const value = (key: keyof SegmentHead): number => Number(row[key]);
  const place = { first: value('first'), last: value('last'), oldest: value('oldest') };
  const counts = { messages: value('messages'), happenings: value('happenings'), octets: value('octets') };
  return recordsOf({ ...place, ...counts }, blobOf(row['events']));
}

/** What `recordsOfRow` reads. */
const ROW = [
  ...['first', 'last', 'oldest', 'messages', 'happenings', 'octets'].map(asNumber),
  asBytes('events'),
].join();

/** What one event adds to these columns of its segment. */
const WEIGHT = {
  messages: ({ kind }: StoredRecord): number => (kind === KIND.message ? 1 : 0),
  happenings: ({ kind }: StoredRecord): number => (kind === KIND.message ? 0 : 1),
  octets: ({ kind, body }: StoredRecord): number => (kind === KIND.message ? (body?.length ?? 0) : 0),
} as const;

/** The number of a room's newest event. */
const LAST =
  'CAST(max(last, ifnull((SELECT last FROM segments WHERE room = rooms.id ORDER BY first DESC LIMIT 1), 0)) AS REAL)';
