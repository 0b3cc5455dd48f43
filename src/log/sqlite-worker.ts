/** The thread that owns the SQLite file. It takes batches and questions, one after the other, and waits for the disk. */
import { parentPort, workerData } from 'node:worker_threads';
import type { RoomKeeping } from './room-log.ts';
import { packRows } from './sqlite-records.ts';
import type { StoredRow } from './sqlite-records.ts';
import { SqliteStore } from './sqlite-store.ts';
import type { StoredRange, StoredRoom } from './sqlite-store.ts';

/** What the worker is started with. */
export interface WorkerData {
  readonly file: string;
  readonly maxPages: number | undefined;
}

/** To the worker. */
export type ToWorker =
  | { readonly type: 'batch'; readonly buffer: ArrayBuffer; readonly length: number }
  | { readonly type: 'read'; readonly id: number; readonly room: string; readonly range: StoredRange }
  | { readonly type: 'facts'; readonly id: number; readonly room: string }
  | { readonly type: 'prune'; readonly rooms: readonly (readonly [string, RoomKeeping])[]; readonly now: number }
  | { readonly type: 'probe'; readonly now: number }
  | { readonly type: 'close' };

/** From the worker. A batch is answered by `kept` or `failed`, in order. */
export type FromWorker =
  | { readonly type: 'opened'; readonly rooms: readonly StoredRoom[] }
  | { readonly type: 'broken'; readonly reason: string }
  | { readonly type: 'kept' }
  | { readonly type: 'failed'; readonly reason: string }
  | { readonly type: 'rows'; readonly id: number; readonly buffer: ArrayBuffer; readonly length: number }
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
  store ??= new SqliteStore(file, maxPages);
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

/** The reason in words, for the log line and for whoever is refused. */
function reasonOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? `${String(error.code)}: ` : '';
  return `${code}${error instanceof Error ? error.message : String(error)}`;
}

function answerRows(id: number, read: () => readonly StoredRow[]): void {
  try {
    const { buffer, length } = packRows(read());
    tell({ type: 'rows', id, buffer, length }, [buffer]);
  } catch (error) {
    tell({ type: 'unread', id, reason: reasonOf(error) });
  }
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
        opened().write(message.buffer, message.length);
        tell({ type: 'kept' });
      } catch (error) {
        tell({ type: 'failed', reason: reasonOf(error) });
      }
      return;
    case 'read':
      answerRows(message.id, () => opened().read(message.room, message.range));
      return;
    case 'facts':
      answerRows(message.id, () => opened().facts(message.room));
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
