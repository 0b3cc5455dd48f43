/** Takes over what files of older formats hold. */
import type Database from 'libsql';
import { recordOf, SEGMENT_OCTETS } from './sqlite-records.ts';
import type { StoredRecord } from './sqlite-records.ts';
import { asBytes, asNumber, blobOf, rowsOf, textOf } from './sqlite-rows.ts';

/** Rows that are read at a time. */
const ROWS = 100;

/**
 * From format 1, which had a row for each event: gives `put` the events of each room by segments, and drops the old table.
 * To be called in a transaction. Gives how many events there were.
 */
export function upgrade(db: Database.Database, put: (room: number, records: readonly StoredRecord[]) => void): number {
  let events = 0;
  for (const { id } of rowsOf(db.prepare('SELECT id FROM rooms').all())) {
    let [records, octets]: [StoredRecord[], number] = [[], 0];
    for (const record of oldRecords(db, Number(id))) {
      records.push(record);
      events += 1;
      octets += record.bytes.length;
      if (octets < SEGMENT_OCTETS) continue;
      put(Number(id), records);
      [records, octets] = [[], 0];
    }
    if (records.length > 0) put(Number(id), records);
  }
  db.exec('DROP TABLE events');
  return events;
}

function* oldRecords(db: Database.Database, room: number): Generator<StoredRecord> {
  const columns = [...['n', 'at', 'kind'].map(asNumber), asBytes('event'), asBytes('body')].join();
  const read = db.prepare(`SELECT ${columns} FROM events WHERE room = ? AND n > ? ORDER BY events.n LIMIT ?`);
  for (let after = 0; ;) {
    const rows = rowsOf(read.all(room, after, ROWS));
    for (const { n, at, kind, event, body } of rows) {
      after = Number(n);
      yield recordOf(after, Number(at), Number(kind), textOf(event), body === null ? null : blobOf(body));
    }
    if (rows.length < ROWS) return;
  }
}
