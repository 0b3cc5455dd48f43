/**
 * The thread that owns the SQLite file. It takes batches and questions, one after the other, and waits for the disk; what
 * would take long (much to read, much to forget) it does by steps, with room for a batch between two of them.
 */
import { parentPort, workerData } from 'node:worker_threads';
import type { RoomKeeping } from './room-log.ts';
import type { StoredRange } from './sqlite-range.ts';
import { packRecords } from './sqlite-records.ts';
import type { PackedBatch, StoredRecord } from './sqlite-records.ts';
import { reasonOf, SqliteStore } from './sqlite-store.ts';
import type { StoredRoom, Upgrading } from './sqlite-store.ts';

/** What the worker is started with. */
export interface WorkerData {
  readonly file: string;
  readonly maxPages: number | undefined;
}

/** To the worker. */
export type ToWorker =
  | { readonly type: 'batch'; readonly batch: PackedBatch }
  | { readonly type: 'read'; readonly id: number; readonly room: string; readonly range: StoredRange }
  | { readonly type: 'facts'; readonly id: number; readonly room: string }
  | { readonly type: 'prune'; readonly rooms: readonly (readonly [string, RoomKeeping])[]; readonly now: number }
  | { readonly type: 'probe'; readonly now: number }
  | { readonly type: 'close' };

/** From the worker. A batch is answered by `kept` or `failed`, in order. */
export type FromWorker =
  | { readonly type: 'opened'; readonly rooms: readonly StoredRoom[] }
  | { readonly type: 'broken'; readonly reason: string }
  | { readonly type: 'upgrading'; readonly step: Upgrading }
  | { readonly type: 'kept' }
  | { readonly type: 'failed'; readonly reason: string }
  | { readonly type: 'records'; readonly id: number; readonly buffer: ArrayBuffer }
  | { readonly type: 'unread'; readonly id: number; readonly reason: string }
  | { readonly type: 'gone'; readonly room: string };

const port = parentPort;
if (port === null) throw new Error('sqlite-worker runs as a worker thread only');

const tell = (message: FromWorker, transfer: readonly ArrayBuffer[] = []): void => {
  port.postMessage(message, transfer);
};

const { file, maxPages } = workerData as WorkerData;
let store: SqliteStore | undefined;
let closed = false;

/** The open file. Throws when it cannot be opened, and when what is kept in it would not be found again. */
function opened(): SqliteStore {
  store ??= new SqliteStore(file, maxPages, (step) => {
    tell({ type: 'upgrading', step });
  });
  switch (store.place()) {
    case 'here':
      return store;
    case 'moved':
      throw new Error('SQLITE_READONLY_DBMOVED: the file has been moved away or removed');
    case 'cut short':
      throw new Error('SQLITE_CORRUPT: the file or its WAL is corrupt, somebody has cut it short: move both away');
  }
}

/**
 * The open file, or that, old or new, which has taken its place (somebody moved a broken one away). Never the same file
 * again: libsql holds its lock until the old connection's statements are collected.
 */
function openedAgain(): SqliteStore {
  if (store?.place() === 'moved') {
    store.close();
    store = undefined;
  }
  return opened();
}

/** Answers a question with what `read` gives; when it gives nothing, it goes on later. */
function answer(id: number, read: () => readonly StoredRecord[] | undefined): void {
  try {
    const records = read();
    if (records === undefined) return;
    const buffer = packRecords(records);
    tell({ type: 'records', id, buffer }, [buffer]);
  } catch (error) {
    tell({ type: 'unread', id, reason: reasonOf(error) });
  }
}

/** One step of reading; the next one lets commits go first. */
function step(
  id: number,
  of: SqliteStore,
  reading: ReturnType<SqliteStore['read']>,
): readonly StoredRecord[] | undefined {
  const { done, value } = reading.next();
  if (done === true) return value;
  setImmediate(() => {
    answer(id, () => {
      // libsql ends the whole process when it is asked something after it was closed.
      if (closed || of !== store) throw new Error('the file has been closed');
      return step(id, of, reading);
    });
  });
  return undefined;
}

/**
 * Prunes room after room, with room for commits in between. That a room is gone is told before any commit that may bring
 * it back.
 */
function prune(rooms: readonly (readonly [string, RoomKeeping])[], now: number): void {
  const [first, ...others] = rooms;
  // libsql ends the whole process when it is asked something after it was closed.
  if (first === undefined || closed) return;
  const [room, keeping] = first;
  try {
    const result = opened().prune(room, keeping, now);
    if (result === 'gone') tell({ type: 'gone', room });
    setImmediate(prune, result === 'more' ? rooms : others, now);
  } catch {
    // The next batch or probe meets the same disk and tells the reason.
  }
}

function receive(message: ToWorker): void {
  switch (message.type) {
    case 'batch':
      try {
        opened().write(message.batch);
        tell({ type: 'kept' });
      } catch (error) {
        tell({ type: 'failed', reason: reasonOf(error) });
      }
      return;
    case 'read':
      answer(message.id, () => {
        const of = opened();
        return step(message.id, of, of.read(message.room, message.range));
      });
      return;
    case 'facts':
      answer(message.id, () => opened().facts(message.room));
      return;
    case 'prune':
      prune(message.rooms, message.now);
      return;
    case 'probe':
      try {
        const found = openedAgain();
        found.probe(message.now);
        tell({ type: 'opened', rooms: found.rooms() });
      } catch (error) {
        tell({ type: 'broken', reason: reasonOf(error) });
      }
      return;
    case 'close':
      closed = true;
      store?.close();
      port?.close();
      return;
  }
}

port.on('message', receive);
