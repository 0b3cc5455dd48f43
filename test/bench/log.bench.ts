/**
 * What it costs to keep an event: CPU of the whole process (main thread and the log's worker) and wall time, for the
 * memory log and for SQLite with synchronous FULL. `window` events are on their way at a time, as with so many senders
 * that each wait for their 200. Beside them `bare`: SQLite alone, which commits a row for each event, `window` at a time,
 * by one prepared insert, in the main thread, and nobody waits for it.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'libsql';
import type { ConferenceEvent } from '../../src/conference/events.ts';
import { endpointId, messageId, roomUri, userUri } from '../../src/conference/ids.ts';
import { MemoryLog } from '../../src/log/memory.ts';
import { DEFAULT_KEEPING } from '../../src/log/room-log.ts';
import type { RoomLog } from '../../src/log/room-log.ts';
import { openSqliteLog } from '../../src/log/sqlite.ts';

const room = roomUri('sip:room@example.com');
const by = userUri('sip:alice@example.com');
const endpoint = endpointId('leg1');
const keeping = { ...DEFAULT_KEEPING, maxMessages: 1_000_000 };
const EVENTS = process.argv.includes('--quick') ? 5_000 : 50_000;

function said(i: number, cpim: Buffer): ConferenceEvent {
  return {
    type: 'said',
    at: Date.now(),
    by,
    endpoint,
    messageId: messageId(`m${String(i)}`),
    audience: { to: 'everyone' },
    contentType: 'message/cpim',
    wrappedType: 'text/plain',
    cpim,
  };
}

/** Keeps so many events, and is done when all are kept. */
type Keep = (window: number, octets: number, events: number) => Promise<void>;

/** Appends with so many on their way at a time, until all are kept. */
function run(log: RoomLog, window: number, octets: number, events: number): Promise<void> {
  return new Promise((resolve) => {
    const body = Buffer.alloc(octets, 0x61);
    let sent = 0;
    let kept = 0;
    const next = (): void => {
      sent += 1;
      log.append(room, said(sent, body), (outcome) => {
        if (typeof outcome !== 'number') throw new Error(outcome.reason);
        kept += 1;
        if (kept === events) resolve();
        // Not from within, as no sender answers in the same turn.
        else if (sent < events) setImmediate(next);
      });
    };
    for (let i = 0; i < window; i += 1) next();
  });
}

/** The same octets to the same disk, with as little as SQLite can do it. */
function runBare(db: Database.Database, window: number, octets: number, events: number): Promise<void> {
  const [begin, commit] = [db.prepare('BEGIN'), db.prepare('COMMIT')];
  const insert = db.prepare('INSERT INTO events (event, body) VALUES (?, ?)');
  const body = Buffer.alloc(octets, 0x61);
  const json = JSON.stringify({ ...said(1, body), cpim: undefined });
  for (let kept = 0; kept < events; kept += window) {
    begin.run();
    for (let i = 0; i < window; i += 1) insert.run(json, body);
    commit.run();
  }
  return Promise.resolve();
}

async function measure(name: string, window: number, octets: number, keep: Keep): Promise<void> {
  const events = window === 1 ? EVENTS / 10 : EVENTS;
  await keep(window, octets, 1000);
  const cpu = process.cpuUsage();
  const begun = process.hrtime.bigint();
  await keep(window, octets, events);
  const { user, system } = process.cpuUsage(cpu);
  const wall = Number(process.hrtime.bigint() - begun) / 1000;
  const columns = [
    name.padEnd(8),
    `window ${String(window)}`.padEnd(12),
    `${String(octets)} octets`.padEnd(13),
    `${((user + system) / events).toFixed(1)} us CPU an event`.padEnd(24),
    `${Math.round((events / wall) * 1e6).toLocaleString('en')} events/s`,
  ];
  process.stdout.write(`${columns.join('')}\n`);
}

async function measureLog(name: string, log: RoomLog, window: number, octets: number): Promise<void> {
  log.follow(room, () => undefined);
  await measure(name, window, octets, (...order) => run(log, ...order));
  await log.close();
}

for (const octets of [300, 1200]) {
  for (const window of [1, 32, 256]) {
    const folder = mkdtempSync(join(tmpdir(), 'log-bench-'));
    const bare = new Database(join(folder, 'bare.db'));
    for (const setting of ['page_size = 8192', 'journal_mode = WAL', 'synchronous = FULL']) bare.pragma(setting);
    bare.exec('CREATE TABLE events (n INTEGER PRIMARY KEY, event TEXT NOT NULL, body BLOB)');
    await measure('bare', window, octets, (...order) => runBare(bare, ...order));
    bare.close();
    await measureLog('memory', new MemoryLog({ keeping: () => keeping }), window, octets);
    const disk = await openSqliteLog({ file: join(folder, 'log.db'), keeping: () => keeping });
    await measureLog('disk', disk, window, octets);
    rmSync(folder, { recursive: true });
  }
}
