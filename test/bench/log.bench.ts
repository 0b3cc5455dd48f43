/**
 * What it costs to keep an event: CPU of the whole process (main thread and the log's worker) and wall time, for the
 * memory log and for SQLite with synchronous FULL. `window` events are on their way at a time, as with so many senders
 * that each wait for their 200.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
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

function said(i: number, octets: number): ConferenceEvent {
  return {
    type: 'said',
    at: Date.now(),
    by,
    endpoint,
    messageId: messageId(`m${String(i)}`),
    audience: { to: 'everyone' },
    contentType: 'message/cpim',
    wrappedType: 'text/plain',
    cpim: Buffer.alloc(octets, 0x61),
  };
}

/** Appends with so many on their way at a time, until all are kept. */
function run(log: RoomLog, window: number, octets: number, events: number): Promise<void> {
  return new Promise((resolve) => {
    let sent = 0;
    let kept = 0;
    const next = (): void => {
      sent += 1;
      log.append(room, said(sent, octets), (outcome) => {
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

async function measure(name: string, log: RoomLog, window: number, octets: number): Promise<void> {
  const events = window === 1 ? EVENTS / 10 : EVENTS;
  log.follow(room, () => undefined);
  await run(log, window, octets, 1000);
  const cpu = process.cpuUsage();
  const begun = process.hrtime.bigint();
  await run(log, window, octets, events);
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

for (const octets of [300, 1200]) {
  for (const window of [1, 32, 256]) {
    const memory = new MemoryLog({ keeping: () => keeping });
    await measure('memory', memory, window, octets);
    await memory.close();
    const folder = mkdtempSync(join(tmpdir(), 'log-bench-'));
    const disk = await openSqliteLog({ file: join(folder, 'log.db'), keeping: () => keeping });
    await measure('disk', disk, window, octets);
    await disk.close();
    rmSync(folder, { recursive: true });
  }
}
