/**
 * Events as bytes: how a batch travels to the worker and how rows travel back, one transferred buffer each. Nothing of
 * it is stored; the database has the parts in its columns.
 */
import { setImmediate } from 'node:timers/promises';
import type { ConferenceEvent } from '../conference/events.ts';
import { eventNumber } from '../conference/ids.ts';
import type { RoomUri } from '../conference/ids.ts';
import { retentionOf } from '../conference/retention.ts';
import type { Logged } from './room-log.ts';

/** What a record is to the log's retention. Stored, so the numbers stay what they are. */
export const KIND = { moment: 0, message: 1, fact: 2, end: 3 } as const;

/** How long a fact lasts. Stored, so the numbers stay what they are. */
export const LASTS = { conference: 1, room: 2, messages: 3 } as const;

/** One event on its way into the database. The buffers are views of the batch. */
export interface StoredRecord {
  readonly room: string;
  readonly n: number;
  readonly at: number;
  readonly kind: number;
  /** Of a fact; 0 otherwise. */
  readonly lasts: number;
  readonly clears: boolean;
  /** Of a fact; empty otherwise. */
  readonly key: string;
  readonly json: Buffer;
  readonly body: Buffer | null;
}

/** The event as JSON, and the message bytes apart from it. */
function split(event: ConferenceEvent): { readonly json: string; readonly body: Uint8Array | undefined } {
  if (!('cpim' in event)) return { json: JSON.stringify(event), body: undefined };
  return { json: JSON.stringify({ ...event, cpim: undefined }), body: event.cpim };
}

const NO_BODY = 0xffffffff;

/** A growing stretch of bytes in a buffer of its own, which can be transferred. */
class Bytes {
  #buffer = Buffer.from(new ArrayBuffer(16 * 1024));
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** The bytes with nothing before them and room behind them; the writer is of no use afterwards. */
  take(): { readonly buffer: ArrayBuffer; readonly length: number } {
    // Made over an ArrayBuffer of its own, here and in #reserve.
    return { buffer: this.#buffer.buffer, length: this.#length };
  }

  #reserve(size: number): void {
    if (this.#length + size <= this.#buffer.length) return;
    const larger = Buffer.from(new ArrayBuffer(Math.max(this.#buffer.length * 2, this.#length + size)));
    this.#buffer.copy(larger, 0, 0, this.#length);
    this.#buffer = larger;
  }

  double(value: number): void {
    this.#reserve(8);
    this.#length = this.#buffer.writeDoubleLE(value, this.#length);
  }

  uint32(value: number): void {
    this.#reserve(4);
    this.#length = this.#buffer.writeUInt32LE(value, this.#length);
  }

  byte(value: number): void {
    this.#reserve(1);
    this.#length = this.#buffer.writeUInt8(value, this.#length);
  }

  text(value: string): void {
    this.#reserve(4 + value.length * 3);
    const written = this.#buffer.write(value, this.#length + 4, 'utf8');
    this.#buffer.writeUInt32LE(written, this.#length);
    this.#length += 4 + written;
  }

  bytes(value: Uint8Array | undefined | null): void {
    this.uint32(value?.length ?? NO_BODY);
    if (value === undefined || value === null) return;
    this.#reserve(value.length);
    this.#buffer.set(value, this.#length);
    this.#length += value.length;
  }
}

/** Reads what `Bytes` wrote. */
class Cursor {
  readonly #buffer: Buffer;
  #at = 0;

  constructor(buffer: ArrayBuffer, length: number) {
    this.#buffer = Buffer.from(buffer, 0, length);
  }

  get done(): boolean {
    return this.#at >= this.#buffer.length;
  }

  double(): number {
    this.#at += 8;
    return this.#buffer.readDoubleLE(this.#at - 8);
  }

  byte(): number {
    this.#at += 1;
    return this.#buffer.readUInt8(this.#at - 1);
  }

  bytes(): Buffer | null {
    const length = this.#buffer.readUInt32LE(this.#at);
    this.#at += 4;
    if (length === NO_BODY) return null;
    this.#at += length;
    return this.#buffer.subarray(this.#at - length, this.#at);
  }

  text(): string {
    return this.bytes()?.toString('utf8') ?? '';
  }
}

/** Collects events for the worker. */
export class BatchWriter {
  readonly #bytes = new Bytes();
  #room: string | undefined;

  /** Octets so far. */
  get length(): number {
    return this.#bytes.length;
  }

  add(room: RoomUri, { n, event }: Logged): void {
    const bytes = this.#bytes;
    const { json, body } = split(event);
    const retention = retentionOf(event);
    // Mostly one event follows another of the same room.
    bytes.text(room === this.#room ? '' : room);
    this.#room = room;
    bytes.double(n);
    bytes.double(event.at);
    bytes.byte(KIND[retention.keep]);
    if (retention.keep === 'fact') {
      bytes.byte(LASTS[retention.lasts]);
      bytes.byte(retention.clears ? 1 : 0);
      bytes.text(retention.key);
    }
    bytes.text(json);
    bytes.bytes(body);
  }

  take(): { readonly buffer: ArrayBuffer; readonly length: number } {
    return this.#bytes.take();
  }
}

/** Reads a batch, record by record. */
export function* readBatch(buffer: ArrayBuffer, length: number): Generator<StoredRecord> {
  const cursor = new Cursor(buffer, length);
  let room = '';
  while (!cursor.done) {
    room = cursor.text() || room;
    const n = cursor.double();
    const at = cursor.double();
    const kind = cursor.byte();
    const lasts = kind === KIND.fact ? cursor.byte() : 0;
    const clears = kind === KIND.fact && cursor.byte() === 1;
    const key = kind === KIND.fact ? cursor.text() : '';
    const json = cursor.bytes() ?? Buffer.alloc(0);
    yield { room, n, at, kind, lasts, clears, key, json, body: cursor.bytes() };
  }
}

/** A row as the database gives it. */
export interface StoredRow {
  readonly n: number;
  readonly event: string;
  readonly body: Uint8Array | null;
}

/** Packs rows for the way back. */
export function packRows(rows: readonly StoredRow[]): { readonly buffer: ArrayBuffer; readonly length: number } {
  const bytes = new Bytes();
  for (const row of rows) {
    bytes.double(row.n);
    bytes.text(row.event);
    bytes.bytes(row.body);
  }
  return bytes.take();
}

/** Rows that are read in one turn of the event loop: others have their turns between them. */
const ROWS_PER_TURN = 100;

/**
 * Reads rows as the events they are, some in each turn. Rejects when a row does not hold one: the file was changed by
 * somebody else.
 */
export async function unpackRows(buffer: ArrayBuffer, length: number): Promise<readonly Logged[]> {
  const cursor = new Cursor(buffer, length);
  const events: Logged[] = [];
  while (!cursor.done) {
    if (events.length > 0 && events.length % ROWS_PER_TURN === 0) await setImmediate();
    const n = eventNumber(cursor.double());
    const parsed: unknown = JSON.parse(cursor.text());
    const body = cursor.bytes();
    if (typeof parsed !== 'object' || parsed === null || !('type' in parsed)) throw new TypeError('not an event');
    // `BatchWriter.add` has written it, from an event.
    const event = (body === null ? parsed : { ...parsed, cpim: new Uint8Array(body) }) as ConferenceEvent;
    events.push({ n, event });
  }
  return events;
}
