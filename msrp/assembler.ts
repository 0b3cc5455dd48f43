import { allocate } from './bytes.ts';
import type { MessageOpening, MessageSink, Reception } from './incoming.ts';
import type { ContinuationFlag, MessageId } from './message.ts';
import type { Refusal } from './status.ts';

/** Bounds of what is being put together. */
export interface AssemblerOptions {
  /** Octets of one collected message; 1 MiB unless given. Streams are not bounded by it. */
  readonly maxMessageBytes?: number;
  /** Octets of memory of all messages being collected; 4 MiB unless given. */
  readonly maxBytes?: number;
  /** Messages begun and not complete; 32 unless given. */
  readonly maxMessages?: number;
  /** Separate ranges of one collected message, that is, gaps plus one; 256 unless given. */
  readonly maxRanges?: number;
  /** Milliseconds without a chunk after which a message counts as given up (RFC 7701 §6.1); 540,000 unless given. */
  readonly chunkTimeout?: number;
}

/** One chunk while it arrives. */
export interface ChunkReceiver {
  /** The next octets of the chunk. A refusal ends the message; what follows of it is discarded. */
  write(bytes: Uint8Array): Refusal | undefined;
  /** The chunk's end-line. */
  end(flag: ContinuationFlag): ChunkResult;
}

/** What the end of a chunk has come to. */
export type ChunkResult =
  /** The message is not complete yet, or its sender gave it up: the chunk is answered with 200. */
  | { readonly kind: 'taken' }
  | { readonly kind: 'refused'; readonly refusal: Refusal }
  /** This chunk completed a collected message. */
  | {
      readonly kind: 'complete';
      readonly opening: MessageOpening;
      readonly body: Uint8Array;
    }
  /** This chunk completed a message whose octets went to a sink. */
  | {
      readonly kind: 'streamed';
      readonly opening: MessageOpening;
      readonly sink: MessageSink;
      readonly size: number;
    };

const TAKEN: ChunkResult = { kind: 'taken' };

/** A message of which at least one chunk has begun. */
interface OpenMessage {
  readonly opening: MessageOpening;
  /** When octets of it came last; undefined: since the last sweep. */
  heard: number | undefined;
  /** Puts octets where they belong; `at` counts from 0. */
  place(at: number, bytes: Uint8Array): Refusal | undefined;
  /** A chunk has ended at `at`. */
  end(at: number, flag: ContinuationFlag): ChunkResult;
  /** Octets of memory it holds. */
  readonly held: number;
  abort(reason: string): void;
}

/**
 * Puts chunks together (RFC 4975 §7.3.1), in any order and with overlap; bounded in octets, messages and time. One
 * assembler may serve all sessions of a user, since a message may go on over another session (§5.4).
 */
export class Assembler {
  readonly #limits: Required<AssemblerOptions>;
  readonly #open = new Map<MessageId, OpenMessage>();

  constructor(options: AssemblerOptions = {}) {
    this.#limits = {
      maxMessageBytes: options.maxMessageBytes ?? 1024 * 1024,
      maxBytes: options.maxBytes ?? 4 * 1024 * 1024,
      maxMessages: options.maxMessages ?? 32,
      maxRanges: options.maxRanges ?? 256,
      chunkTimeout: options.chunkTimeout ?? 540_000,
    };
  }

  /** Octets of one collected message at most. */
  get maxMessageBytes(): number {
    return this.#limits.maxMessageBytes;
  }

  /** Messages begun and not complete. */
  get openMessages(): number {
    return this.#open.size;
  }

  /** Octets of memory held for them. */
  get heldBytes(): number {
    let sum = 0;
    for (const message of this.#open.values()) sum += message.held;
    return sum;
  }

  /** Whether chunks of this message have arrived, and more are awaited. */
  has(messageId: MessageId): boolean {
    return this.#open.has(messageId);
  }

  /**
   * A chunk begins at position `start` (counted from 1). `decide` is asked once per message how to receive it.
   */
  begin(
    opening: MessageOpening,
    start: number,
    now: number,
    decide: (opening: MessageOpening) => Reception,
  ): ChunkReceiver {
    const message = this.#open.get(opening.messageId) ?? this.#admit(opening, decide);
    message.heard = now;
    let at = start - 1;
    let refusal: Refusal | undefined;
    return {
      write: (bytes) => {
        if (refusal !== undefined) return undefined;
        message.heard = undefined;
        refusal = message.place(at, bytes);
        at += bytes.length;
        if (refusal !== undefined) this.#refuse(message, refusal);
        return refusal;
      },
      end: (flag) => {
        message.heard = now;
        const result: ChunkResult = refusal === undefined ? message.end(at, flag) : { kind: 'refused', refusal };
        const over = flag !== '+' || result.kind === 'complete' || result.kind === 'streamed';
        const stillOpen = this.#open.get(opening.messageId);
        if (over && !(flag === '$' && stillOpen === message && result.kind === 'taken')) {
          this.#open.delete(opening.messageId);
        }
        return result;
      },
    };
  }

  /** Gives up messages of which no chunk came for too long. */
  sweep(now: number): void {
    for (const [id, message] of this.#open) {
      message.heard ??= now;
      if (now - message.heard < this.#limits.chunkTimeout) continue;
      this.#open.delete(id);
      message.abort('no further chunk in time');
    }
  }

  /** Gives up all. */
  abort(reason: string): void {
    const messages = [...this.#open.values()];
    this.#open.clear();
    for (const message of messages) message.abort(reason);
  }

  #admit(opening: MessageOpening, decide: (opening: MessageOpening) => Reception): OpenMessage {
    const message = this.#receive(opening, decide);
    if (this.#open.size < this.#limits.maxMessages) this.#open.set(opening.messageId, message);
    return message;
  }

  /** Makes place when there is none: of what was refused most senders send no more (RFC 4975 §10.5). */
  #hasPlace(): boolean {
    if (this.#open.size < this.#limits.maxMessages) return true;
    const [refused] = [...this.#open].find(([, message]) => message instanceof Refused) ?? [];
    return refused !== undefined && this.#open.delete(refused);
  }

  #receive(opening: MessageOpening, decide: (opening: MessageOpening) => Reception): OpenMessage {
    if (!this.#hasPlace()) {
      return new Refused(opening, {
        status: 413,
        comment: 'too many messages at once',
      });
    }
    const reception = decide(opening);
    if (reception !== 'collect') {
      return 'sink' in reception ? new Streamed(opening, reception.sink) : new Refused(opening, reception.refuse);
    }
    if ((opening.total ?? 0) > this.#limits.maxMessageBytes) return new Refused(opening, TOO_LARGE);
    const { maxMessageBytes, maxRanges, maxBytes } = this.#limits;
    return new Collected(opening, maxMessageBytes, maxRanges, (more) => this.heldBytes + more <= maxBytes);
  }

  /** What is refused half-way stays refused for its further chunks. */
  #refuse(message: OpenMessage, refusal: Refusal): void {
    const id = message.opening.messageId;
    if (this.#open.get(id) !== message) return;
    const refused = new Refused(message.opening, refusal);
    refused.heard = message.heard;
    this.#open.set(id, refused);
  }
}

const TOO_LARGE: Refusal = { status: 413, comment: 'message too large' };

class Refused implements OpenMessage {
  readonly opening: MessageOpening;
  readonly held = 0;
  heard: number | undefined;
  readonly #refusal: Refusal;

  constructor(opening: MessageOpening, refusal: Refusal) {
    this.opening = opening;
    this.#refusal = refusal;
  }

  place(): Refusal {
    return this.#refusal;
  }

  end(): ChunkResult {
    return { kind: 'refused', refusal: this.#refusal };
  }

  abort(): void {
    // Its sender has its answer; nobody here waits for it.
  }
}

/** Octets in one growing array, and which of them have been received. */
class Collected implements OpenMessage {
  readonly opening: MessageOpening;
  heard: number | undefined;
  #buffer: Uint8Array = new Uint8Array(0);
  /** Ascending, apart from each other: [from, to) pairs in one list. */
  #ranges: number[] = [];
  #total: number | undefined;
  #over = false;
  readonly #maxBytes: number;
  readonly #maxRanges: number;
  readonly #mayHold: (more: number) => boolean;

  constructor(opening: MessageOpening, maxBytes: number, maxRanges: number, mayHold: (more: number) => boolean) {
    this.opening = opening;
    this.#maxBytes = maxBytes;
    this.#maxRanges = maxRanges;
    this.#mayHold = mayHold;
  }

  get held(): number {
    return this.#buffer.length;
  }

  place(at: number, bytes: Uint8Array): Refusal | undefined {
    if (this.#over) return GONE;
    const end = at + bytes.length;
    if (end > this.#maxBytes) return TOO_LARGE;
    if (end > this.#buffer.length && !this.#grow(end)) return { status: 413, comment: 'too much at once' };
    this.#buffer.set(bytes, at);
    this.#cover(at, end);
    return this.#ranges.length > 2 * this.#maxRanges ? { status: 413, comment: 'too many gaps' } : undefined;
  }

  end(at: number, flag: ContinuationFlag): ChunkResult {
    if (this.#over) return { kind: 'refused', refusal: GONE };
    if (flag === '#') return TAKEN;
    if (flag === '$') this.#total = at;
    if (this.#total === undefined || !this.#covers(this.#total)) return TAKEN;
    const body =
      this.#buffer.length === this.#total ? this.#buffer : new Uint8Array(this.#buffer.subarray(0, this.#total));
    return { kind: 'complete', opening: this.opening, body };
  }

  abort(): void {
    this.#over = true;
    this.#buffer = new Uint8Array(0);
  }

  /** Doubles, so that many small chunks cost linear time; an announced total is only a hint, and only a bounded one. */
  #grow(size: number): boolean {
    const wanted = Math.max(size, Math.min(this.#buffer.length * 2, this.#maxBytes));
    const enough = Math.max(wanted, Math.min(this.opening.total ?? 0, 64 * 1024));
    if (!this.#mayHold(enough - this.#buffer.length)) return false;
    const grown = allocate(enough);
    grown.set(this.#buffer);
    // Gaps would show what the memory held before.
    grown.fill(0, this.#buffer.length);
    this.#buffer = grown;
    return true;
  }

  #covers(total: number): boolean {
    return total === 0 || (this.#ranges[0] === 0 && (this.#ranges[1] ?? 0) >= total);
  }

  #cover(from: number, to: number): void {
    if (from === to) return;
    const ranges = this.#ranges;
    const last = ranges.length - 1;
    if (last > 0 && from === ranges[last]) {
      ranges[last] = to;
      return;
    }
    const merged: number[] = [];
    let [low, high] = [from, to];
    let placed = false;
    for (let i = 0; i < ranges.length; i += 2) {
      const [start = 0, end = 0] = ranges.slice(i, i + 2);
      if (end < low) merged.push(start, end);
      else if (start > high) {
        if (!placed) merged.push(low, high);
        placed = true;
        merged.push(start, end);
      } else [low, high] = [Math.min(low, start), Math.max(high, end)];
    }
    if (!placed) merged.push(low, high);
    this.#ranges = merged;
  }
}

/** Octets handed on as they come. A sink cannot take back what it has shown, so what comes twice is skipped. */
class Streamed implements OpenMessage {
  readonly opening: MessageOpening;
  readonly held = 0;
  heard: number | undefined;
  #next = 0;
  #over = false;
  readonly #sink: MessageSink;

  constructor(opening: MessageOpening, sink: MessageSink) {
    this.opening = opening;
    this.#sink = sink;
  }

  place(at: number, bytes: Uint8Array): Refusal | undefined {
    if (this.#over) return GONE;
    if (at > this.#next) {
      this.abort('a chunk is missing');
      return { status: 413, comment: 'a chunk is missing' };
    }
    const fresh = bytes.subarray(this.#next - at);
    if (fresh.length === 0) return undefined;
    this.#next += fresh.length;
    const refusal = this.#sink.write(fresh);
    if (refusal !== undefined) this.#over = true;
    return refusal;
  }

  end(at: number, flag: ContinuationFlag): ChunkResult {
    if (this.#over) return { kind: 'refused', refusal: GONE };
    if (flag === '+') return TAKEN;
    if (flag === '$' && at >= this.#next) {
      this.#over = true;
      return {
        kind: 'streamed',
        opening: this.opening,
        sink: this.#sink,
        size: this.#next,
      };
    }
    this.abort(flag === '#' ? 'given up by its sender' : 'shorter than what came before');
    return TAKEN;
  }

  abort(reason: string): void {
    if (this.#over) return;
    this.#over = true;
    this.#sink.abort(reason);
  }
}

const GONE: Refusal = { status: 413, comment: 'message is over' };
