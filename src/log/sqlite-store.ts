/** The SQLite file of the room log: its schema and every statement. Used by the worker, where blocking hurts nobody. */
import { closeSync, openSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import Database from 'libsql';
import { readIpAddress } from '../conference/ids.ts';
import { oldestKept } from './room-log.ts';
import type { RoomKeeping } from './room-log.ts';
import { KIND, LASTS, readBatch } from './sqlite-records.ts';
import type { StoredRow } from './sqlite-records.ts';

const FORMAT = 1;

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS rooms (id INTEGER PRIMARY KEY, uri TEXT NOT NULL UNIQUE, last INTEGER NOT NULL);
  CREATE TABLE IF NOT EXISTS events (
    room INTEGER NOT NULL, n INTEGER NOT NULL, at INTEGER NOT NULL, kind INTEGER NOT NULL,
    event TEXT NOT NULL, body BLOB, PRIMARY KEY (room, n)
  ) WITHOUT ROWID;
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

/** What a row of `events` holds, in the order of its columns. */
type EventRow = [room: number, n: number, at: number, kind: number, event: Buffer, body: Buffer | null];

/** What to read of a room. */
export interface StoredRange {
  readonly from: number;
  readonly through: number;
  /** Only what happened then or later. */
  readonly since: number;
  readonly limit: number;
  /** Which of the range the limit leaves; the oldest only of messages. */
  readonly end: 'newest' | 'oldest';
  readonly messagesOnly: boolean;
  /** Only notifications for this user. */
  readonly to: string | undefined;
  /** Only messages known by this id. */
  readonly knownBy: string | undefined;
  /** Only who came, was let in, and left. */
  readonly comingsOnly: boolean;
}

/** Rows that go into the file by one statement, where there are so many: a call costs as much as three rows. */
const ROWS = 16;

/** Most rows that one step of pruning deletes, so that commits in between need not wait long. */
const PRUNE_STEP = 2_000;

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
  readonly #setLast;
  readonly #insert;
  readonly #insertMany;
  readonly #putFact;
  readonly #dropFact;
  readonly #endFacts;
  readonly #read;
  readonly #readMessages;
  readonly #readFirstMessages;
  readonly #readNotifications;
  readonly #readKnown;
  readonly #readComings;
  readonly #facts;

  /** Opens or makes the file. `maxPages` bounds it (tests; `undefined`: the disk does). */
  constructor(file: string, maxPages?: number) {
    this.#path = resolve(file);
    // What is said in rooms is not for everybody with an account on this machine; SQLite gives its other files this mode.
    closeSync(openSync(this.#path, 'a', 0o600));
    const db = new Database(this.#path, { timeout: 1000 });
    this.#db = db;
    try {
      // Of a text of usual size several fit into a page of 8 KiB; in one of 4 KiB each would spill over.
      db.pragma('page_size = 8192');
      // One process owns the file: a second one is told so instead of numbering events a second time.
      db.pragma('locking_mode = EXCLUSIVE');
      db.pragma('journal_mode = WAL');
      db.pragma('synchronous = FULL');
      db.pragma('journal_size_limit = 67108864');
      const version = rowsOf([db.prepare('PRAGMA user_version').get()])[0]?.['user_version'];
      if (version !== 0 && version !== FORMAT)
        throw new Error(`its format is ${String(version)}, not ${String(FORMAT)}`);
      checkWhole(db);
      db.exec(SCHEMA);
      db.pragma(`user_version = ${String(FORMAT)}`);
      if (maxPages !== undefined) db.pragma(`max_page_count = ${String(maxPages)}`);
      for (const row of rowsOf(db.prepare('SELECT id, uri FROM rooms').all())) {
        this.#roomIds.set(String(row['uri']), Number(row['id']));
      }
      this.#begin = db.prepare('BEGIN IMMEDIATE');
      this.#commit = db.prepare('COMMIT');
      this.#addRoom = db.prepare('INSERT INTO rooms (uri, last) VALUES (?, 0) RETURNING id');
      this.#setLast = db.prepare('UPDATE rooms SET last = ? WHERE id = ?');
      // Bound as bytes, stored as text: the worker need not decode it, and a human can read it.
      const row = '(?, ?, ?, ?, CAST(? AS TEXT), ?)';
      this.#insert = db.prepare(`INSERT INTO events VALUES ${row}`);
      this.#insertMany = db.prepare(`INSERT INTO events VALUES ${new Array(ROWS).fill(row).join(', ')}`);
      this.#putFact = db.prepare('INSERT OR REPLACE INTO facts VALUES (?, ?, ?, ?, CAST(? AS TEXT))');
      this.#dropFact = db.prepare('DELETE FROM facts WHERE room = ? AND key = ?');
      this.#endFacts = db.prepare(`DELETE FROM facts WHERE room = ? AND lasts = ${String(LASTS.conference)}`);
      const read = (condition: string, order = 'DESC'): string =>
        `SELECT n, event, body FROM events WHERE room = ? AND n BETWEEN ? AND ? AND at >= ? ${condition} ORDER BY n ${order} LIMIT ?`;
      this.#read = db.prepare(read(''));
      const isMessage = `AND kind = ${String(KIND.message)}`;
      this.#readMessages = db.prepare(read(isMessage));
      this.#readFirstMessages = db.prepare(read(isMessage, 'ASC'));
      const isNotification = `AND json_extract(event, '$.type') = 'disposition' AND json_extract(event, '$.to') = ?`;
      this.#readNotifications = db.prepare(read(isNotification));
      const isKnown = `${isMessage} AND instr(event, ?) > 0`;
      const bears = (name: string): string => `json_extract(event, '$.${name}') = ?`;
      this.#readKnown = db.prepare(read(`${isKnown} AND (${bears('messageId')} OR ${bears('imdnId')})`));
      const isComing = `AND json_extract(event, '$.type') IN ('joined', 'admitted', 'left')`;
      this.#readComings = db.prepare(read(`AND kind = ${String(KIND.moment)} ${isComing}`));
      this.#facts = db.prepare('SELECT n, event, NULL AS body FROM facts WHERE room = ? ORDER BY n');
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
    const bans = rowsOf(this.#db.prepare("SELECT * FROM facts WHERE key GLOB 'ban address *' ORDER BY n").all());
    const old = bans.filter(({ key }) => inOneForm(String(key)) !== key);
    if (old.length === 0) return;
    const put = this.#db.prepare(`INSERT INTO facts VALUES (?, ?, ?, ?, json_set(?, '$.target.address', ?))
      ON CONFLICT DO UPDATE SET n = excluded.n, event = excluded.event WHERE excluded.n > n`);
    this.#transaction(() => {
      for (const { room, key, n, lasts, event } of old) {
        const normal = inOneForm(String(key));
        this.#dropFact.run(room, key);
        put.run(room, normal, n, lasts, event, normal.slice(BAN.length));
      }
    });
  }

  /** All rooms of the file. */
  rooms(): readonly StoredRoom[] {
    const rows = rowsOf(this.#db.prepare('SELECT uri, last FROM rooms ORDER BY id').all());
    return rows.map((row) => ({ uri: String(row['uri']), last: Number(row['last']) }));
  }

  /** Keeps a batch: all of it or, when it throws, nothing. */
  write(buffer: ArrayBuffer, length: number): void {
    const newRooms: string[] = [];
    this.#transaction(
      () => {
        const last = new Map<number, number>();
        let rows: EventRow[] = [];
        for (const record of readBatch(buffer, length)) {
          let room = this.#roomIds.get(record.room);
          if (room === undefined) {
            room = Number(rowsOf([this.#addRoom.get(record.room)])[0]?.['id']);
            this.#roomIds.set(record.room, room);
            newRooms.push(record.room);
          }
          const kind = record.kind === KIND.end ? KIND.moment : record.kind;
          rows.push([room, record.n, record.at, kind, record.json, record.body]);
          if (rows.length === ROWS) {
            this.#insertMany.run(rows.flat());
            rows = [];
          }
          if (record.kind === KIND.end) this.#endFacts.run(room);
          if (record.kind === KIND.fact) {
            if (record.clears) this.#dropFact.run(room, record.key);
            else this.#putFact.run(room, record.key, record.n, record.lasts, record.json);
          }
          last.set(room, record.n);
        }
        for (const row of rows) this.#insert.run(row);
        for (const [room, n] of last) this.#setLast.run(n, room);
      },
      () => {
        for (const uri of newRooms) this.#roomIds.delete(uri);
      },
    );
  }

  /** The newest events of the range, or its oldest messages; oldest first. */
  read(uri: string, range: StoredRange): readonly StoredRow[] {
    const room = this.#roomIds.get(uri);
    if (room === undefined) return [];
    if (range.end === 'oldest') {
      const { from, through, since, limit } = range;
      return rowsOf(this.#readFirstMessages.all(room, from, through, since, limit)).map(storedRow);
    }
    return rowsOf(this.#rows(room, range)).map(storedRow).reverse();
  }

  #rows(room: number, range: StoredRange): readonly unknown[] {
    const { from, through, since, limit, messagesOnly, to, knownBy, comingsOnly } = range;
    if (to !== undefined) return this.#readNotifications.all(room, from, through, since, to, limit);
    if (knownBy !== undefined) {
      // As it stands in JSON, so that most rows need not be read as such.
      return this.#readKnown.all(room, from, through, since, JSON.stringify(knownBy), knownBy, knownBy, limit);
    }
    if (comingsOnly) return this.#readComings.all(room, from, through, since, limit);
    return (messagesOnly ? this.#readMessages : this.#read).all(room, from, through, since, limit);
  }

  /** The lasting facts, oldest first. */
  facts(uri: string): readonly StoredRow[] {
    const room = this.#roomIds.get(uri);
    return room === undefined ? [] : rowsOf(this.#facts.all(room)).map(storedRow);
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
    let deleted = 0;
    this.#transaction(() => {
      const { messages, happenings } = this.#firstKept(room, keeping, now);
      const step = `SELECT n FROM events WHERE room = ? AND (n < ? OR (n < ? AND kind <> ${String(KIND.message)}))
        ORDER BY n LIMIT ${String(PRUNE_STEP)}`;
      const forget = this.#db.prepare(`DELETE FROM events WHERE room = ? AND n IN (${step})`);
      deleted = forget.run(room, room, messages, happenings).changes;
      const oldest = rowsOf([this.#db.prepare('SELECT min(n) AS n FROM events WHERE room = ?').get(room)])[0]?.['n'];
      this.#db
        .prepare(`DELETE FROM facts WHERE room = ? AND lasts = ${String(LASTS.messages)} AND n < ?`)
        .run(room, typeof oldest === 'number' ? Math.max(oldest, happenings) : Number.MAX_SAFE_INTEGER);
    });
    if (deleted === PRUNE_STEP) return 'more';
    const left = this.#db
      .prepare(
        'SELECT EXISTS (SELECT 1 FROM events WHERE room = ?1) OR EXISTS (SELECT 1 FROM facts WHERE room = ?1) AS some',
      )
      .get(room);
    if (rowsOf([left])[0]?.['some'] === 1) return 'done';
    this.#transaction(() => this.#db.prepare('DELETE FROM rooms WHERE id = ?').run(room));
    this.#roomIds.delete(uri);
    return 'gone';
  }

  /**
   * The lowest numbers of messages, and of other happenings, that are inside the room's limits; apart, since any number of
   * comings and goings must not push a message out.
   */
  #firstKept(
    room: number,
    keeping: RoomKeeping,
    now: number,
  ): { readonly messages: number; readonly happenings: number } {
    const { maxMessages, maxBytes } = keeping;
    const first = (sql: string, ...values: readonly number[]): number => {
      const n = rowsOf([this.#db.prepare(sql).get(room, ...values)])[0]?.['n'];
      return typeof n === 'number' ? n : 0;
    };
    const newest = (kind: string): string =>
      `SELECT n + 1 AS n FROM events WHERE room = ? AND kind ${kind} ORDER BY n DESC LIMIT 1 OFFSET ?`;
    const bounds = [
      first('SELECT max(n) + 1 AS n FROM events WHERE room = ? AND at < ?', oldestKept(keeping, now)),
      first(newest(`= ${String(KIND.message)}`), maxMessages),
    ];
    const bytes = first('SELECT sum(length(body)) AS n FROM events WHERE room = ?');
    if (bytes > maxBytes) {
      bounds.push(
        first(
          `SELECT max(n) + 1 AS n FROM
             (SELECT n, sum(length(body)) OVER (ORDER BY n DESC) AS size FROM events WHERE room = ? AND body IS NOT NULL)
           WHERE size > ?`,
          maxBytes,
        ),
      );
    }
    const messages = Math.max(...bounds);
    return { messages, happenings: Math.max(messages, first(newest(`<> ${String(KIND.message)}`), maxMessages)) };
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

/**
 * Throws when pages of the file are damaged: SQLite itself would not tell before it meets one of them, and until then what
 * is kept might be kept in a tree that cannot be read again.
 */
function checkWhole(db: Database.Database): void {
  const verdict = Object.values(rowsOf([db.prepare('PRAGMA quick_check(1)').get()])[0] ?? {})[0];
  if (verdict !== 'ok') {
    throw new Error(`SQLITE_CORRUPT: the file is damaged (${String(verdict)}): recover it, or move it away`);
  }
}

/** A file as it was found; without an inode there was none. */
interface FileMark {
  readonly inode: number | undefined;
  readonly size: number;
}

const isWhole = (now: FileMark | undefined, left: FileMark | undefined): boolean =>
  left?.inode === undefined || (now?.inode === left.inode && now.size >= left.size);

type Row = Readonly<Record<string, unknown>>;

function rowsOf(values: readonly unknown[]): readonly Row[] {
  return values.filter((value): value is Row => typeof value === 'object' && value !== null);
}

function storedRow(row: Row): StoredRow {
  // libsql gives blobs as ArrayBuffer from `all`, as Buffer from `get`.
  const blob = row['body'];
  const body = blob instanceof ArrayBuffer ? new Uint8Array(blob) : blob instanceof Uint8Array ? blob : null;
  return { n: Number(row['n']), event: String(row['event']), body };
}
