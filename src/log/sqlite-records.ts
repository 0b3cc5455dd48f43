/**
 * Events as bytes. They are packed once, as they travel to the worker, lie in the file and travel back: records one
 * behind the other (number, time, kind, JSON, message body). The worker cuts and joins them and need not read them.
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

/** One event as it lies among the bytes of a segment. The buffers are views of these. */
export interface StoredRecord {
  readonly n: number;
  readonly at: number;
  readonly kind: number;
  readonly json: Buffer;
  readonly body: Buffer | null;
  /** All of it. */
  readonly bytes: Buffer;
}

/** What the database must know of a segment, so that it need look into those only that matter. */
export interface SegmentHead {
  readonly first: number;
  readonly last: number;
  /** When the oldest of its events happened. */
  readonly oldest: number;
  readonly messages: number;
  /** Events that are no messages. */
  readonly happenings: number;
  /** Octets of message bodies; in files of before format 3 those of notifications are among them. */
  readonly octets: number;
}

/** A stretch of one room's events in a batch. */
export interface Segment {
  readonly room: string;
  readonly head: SegmentHead;
  /** Where its bytes lie in the batch: begin and end of each piece. */
  readonly pieces: readonly number[];
}

/** What an event changes in the facts of its room. */
export type FactChange =
  | {
      readonly change: 'put';
      readonly room: string;
      readonly key: string;
      readonly n: number;
      readonly lasts: number;
      readonly json: string;
    }
  | { readonly change: 'drop'; readonly room: string; readonly key: string }
  | { readonly change: 'end'; readonly room: string };

/** Events on their way to the worker. */
export interface PackedBatch {
  readonly buffer: ArrayBuffer;
  readonly segments: readonly Segment[];
  /** In the order of their events. */
  readonly facts: readonly FactChange[];
}

/** A segment takes no more events once it has so many octets, so that reading one event means reading little else. */
export const SEGMENT_OCTETS = 64 * 1024;

/** The event as JSON, and the message bytes apart from it. */
function split(event: ConferenceEvent): { readonly json: string; readonly body: Uint8Array | undefined } {
  if (!('cpim' in event)) return { json: JSON.stringify(event), body: undefined };
  return { json: JSON.stringify({ ...event, cpim: undefined }), body: event.cpim };
}

const NO_BODY = 0xffffffff;

/** A growing stretch of bytes in a buffer of its own, which can be transferred. */
class Bytes {
  #buffer: Buffer<ArrayBuffer>;
  #length = 0;

  constructor(room: number) {
    this.#buffer = Buffer.from(new ArrayBuffer(room));
  }

  get length(): number {
    return this.#length;
  }

  /** The bytes with nothing before them and room behind them; the writer is of no use afterwards. */
  take(): { readonly buffer: ArrayBuffer; readonly length: number } {
    // Made over an ArrayBuffer of its own, here and in #reserve.
    return { buffer: this.#buffer.buffer, length: this.#length };
  }

  record(n: number, at: number, kind: number, json: string, body: Uint8Array | undefined | null): void {
    this.double(n);
    this.double(at);
    this.byte(kind);
    this.text(json);
    this.bytes(body);
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

/** The records in some bytes. Throws when these end in the midst of one: they were changed by somebody else. */
function* recordsIn(bytes: Buffer): Generator<StoredRecord> {
  let at = 0;
  const part = (): Buffer | null => {
    const length = bytes.readUInt32LE(at);
    at += 4;
    if (length === NO_BODY) return null;
    at += length;
    if (at > bytes.length) throw new RangeError('a record is cut short');
    return bytes.subarray(at - length, at);
  };
  while (at < bytes.length) {
    const begin = at;
    const n = bytes.readDoubleLE(at);
    const when = bytes.readDoubleLE(at + 8);
    const kind = bytes.readUInt8(at + 16);
    at += 17;
    const json = part() ?? NOTHING;
    const body = part();
    yield { n, at: when, kind, json, body, bytes: bytes.subarray(begin, at) };
  }
}

const NOTHING = Buffer.alloc(0);

/** The head of a segment that grows. */
class GrowingHead {
  first = 0;
  last = 0;
  oldest = Infinity;
  messages = 0;
  happenings = 0;
  octets = 0;

  note(n: number, at: number, kind: number, octets: number): void {
    if (this.last === 0) this.first = n;
    this.last = n;
    this.oldest = Math.min(this.oldest, at);
    if (kind === KIND.message) {
      this.messages += 1;
      this.octets += octets;
    } else this.happenings += 1;
  }
}

interface GrowingSegment {
  readonly room: string;
  readonly head: GrowingHead;
  readonly pieces: number[];
  size: number;
}

/** Memory that a batch begins with, in octets. */
const MIN_ROOM = 16 * 1024;
const MAX_ROOM = 1024 * 1024;

/** Collects events for the worker. */
export class BatchWriter {
  readonly #bytes: Bytes;
  readonly #segments: GrowingSegment[] = [];
  /** Those that still take events. */
  readonly #open = new Map<string, GrowingSegment>();
  readonly #facts: FactChange[] = [];

  /** @param expected octets that will probably come: there is room for those and some more before it must grow */
  constructor(expected = 0) {
    this.#bytes = new Bytes(Math.min(Math.max(1.5 * expected, MIN_ROOM), MAX_ROOM));
  }

  /** Octets so far. */
  get length(): number {
    return this.#bytes.length;
  }

  add(room: RoomUri, { n, event }: Logged): void {
    const { json, body } = split(event);
    const retention = retentionOf(event);
    const kind = KIND[retention.keep];
    const begin = this.#bytes.length;
    this.#bytes.record(n, event.at, kind, json, body);
    const segment = this.#segmentOf(room);
    segment.head.note(n, event.at, kind, body?.length ?? 0);
    const end = this.#bytes.length;
    segment.size += end - begin;
    // Mostly one event follows another of the same room.
    if (segment.pieces.at(-1) === begin) segment.pieces[segment.pieces.length - 1] = end;
    else segment.pieces.push(begin, end);
    if (retention.keep === 'end') this.#facts.push({ change: 'end', room });
    if (retention.keep !== 'fact') return;
    const { key, clears } = retention;
    const lasts = LASTS[retention.lasts];
    this.#facts.push(clears ? { change: 'drop', room, key } : { change: 'put', room, key, n, lasts, json });
  }

  #segmentOf(room: string): GrowingSegment {
    const open = this.#open.get(room);
    if (open !== undefined && open.size < SEGMENT_OCTETS) return open;
    const segment: GrowingSegment = { room, head: new GrowingHead(), pieces: [], size: 0 };
    this.#segments.push(segment);
    this.#open.set(room, segment);
    return segment;
  }

  /** What has been collected; the writer is of no use afterwards. */
  take(): PackedBatch {
    return { buffer: this.#bytes.take().buffer, segments: this.#segments, facts: this.#facts };
  }
}

/** The bytes of a segment. */
export function segmentBytes(buffer: ArrayBuffer, { pieces }: Segment): Buffer {
  const parts: Buffer[] = [];
  for (let i = 0; i < pieces.length; i += 2) {
    const begin = pieces[i] ?? 0;
    parts.push(Buffer.from(buffer, begin, (pieces[i + 1] ?? 0) - begin));
  }
  const [only] = parts;
  return only !== undefined && parts.length === 1 ? only : Buffer.concat(parts);
}

/** The head of a segment of these records, of which there is one at least. */
export function headOf(records: readonly StoredRecord[]): SegmentHead {
  const head = new GrowingHead();
  for (const { n, at, kind, body } of records) head.note(n, at, kind, body?.length ?? 0);
  return head;
}

/** The records of a segment; undefined when they are not those that its head tells of: somebody else has changed the file. */
export function recordsOf(head: SegmentHead, bytes: Buffer): readonly StoredRecord[] | undefined {
  let records: readonly StoredRecord[];
  try {
    records = [...recordsIn(bytes)];
  } catch {
    return undefined;
  }
  const found: SegmentHead = headOf(records);
  const keys = ['first', 'last', 'oldest', 'messages', 'happenings'] as const;
  const inOrder = records.every(({ n }, i) => i === 0 || n > (records[i - 1]?.n ?? Infinity));
  const isAsSaid = keys.every((key) => found[key] === head[key]);
  const counted = found.octets === head.octets || octetsInFormat2(records) === head.octets;
  return inOrder && isAsSaid && counted ? records : undefined;
}

/** It counted the bodies of notifications as well. */
function octetsInFormat2(records: readonly StoredRecord[]): number {
  return records.reduce((octets, { body }) => octets + (body?.length ?? 0), 0);
}

/** A fact, or a row of the first format, as a record. */
export function recordOf(
  n: number,
  at: number,
  kind: number,
  json: string,
  body: Uint8Array | null = null,
): StoredRecord {
  const bytes = new Bytes(1024);
  bytes.record(n, at, kind, json, body);
  const { buffer, length } = bytes.take();
  const [record] = recordsIn(Buffer.from(buffer, 0, length));
  if (record === undefined) throw new Error('no record');
  return record;
}

/** Packs records for the way back. */
export function packRecords(records: readonly StoredRecord[]): ArrayBuffer {
  const packed = new Uint8Array(records.reduce((length, { bytes }) => length + bytes.length, 0));
  let at = 0;
  for (const { bytes } of records) {
    packed.set(bytes, at);
    at += bytes.length;
  }
  return packed.buffer;
}

/** Records that are read in one turn of the event loop: others have their turns between them. */
const RECORDS_PER_TURN = 100;

/**
 * Reads records as the events they are, some in each turn. Rejects when one does not hold an event: the file was changed
 * by somebody else.
 */
export async function unpackRecords(buffer: ArrayBuffer): Promise<readonly Logged[]> {
  const events: Logged[] = [];
  for (const { n, json, body } of recordsIn(Buffer.from(buffer))) {
    if (events.length > 0 && events.length % RECORDS_PER_TURN === 0) await setImmediate();
    const parsed: unknown = JSON.parse(json.toString());
    if (typeof parsed !== 'object' || parsed === null || !('type' in parsed)) throw new TypeError('not an event');
    // `BatchWriter.add` has written it, from an event.
    const event = (body === null ? parsed : { ...parsed, cpim: new Uint8Array(body) }) as ConferenceEvent;
    events.push({ n: eventNumber(n), event });
  }
  return events;
}
