import { encodeText, findBytes, octets } from './bytes.ts';
import type { Envelope } from './envelope.ts';
import { idWord, newMessageId, newMessagePart } from './ids.ts';
import type { FailureReport, MessageId } from './message.ts';
import type { OutgoingStream } from './contract.ts';
import type { Outcome, StreamOptions, StreamSource } from './outgoing.ts';
import { INTERRUPTIBLE_ABOVE, chunkFields, type ChunkFields, type PreparedMessage } from './prepare.ts';
import type { Pending } from './transactions.ts';
import type { Turn } from './turn.ts';

/** Octets of a Byte-Range field at most. */
const RANGE = 64;
/** Octets left free for the end-line and the octet held back. */
const CHUNK_OVERHEAD = 256;

/** A chunk that is under way, or waits for its response. */
export class Chunk implements Pending {
  readonly idPart: string;
  readonly idHigh: number;
  readonly idLow: number;
  readonly sending: Sending;
  /** Its response came while it was still being written. */
  answered = false;

  constructor(sending: Sending, idPart: string) {
    this.sending = sending;
    this.idPart = idPart;
    this.idHigh = idWord(idPart, 0);
    this.idLow = idWord(idPart, 4);
  }
}

const ABORTED: Outcome = { kind: 'aborted' };

/** What a `Sending` tells the outbox it belongs to. */
export interface SendingOwner {
  /** It may have something to write now. */
  woken(sending: Sending): void;
}

/**
 * A message that is sent piece by piece (RFC 4975 §5.1, §7.1.1): in as few chunks as possible, each interrupted only
 * when other traffic waits or at its bound, or in one unbroken chunk for peers that cannot put chunks together.
 */
export class Sending implements OutgoingStream {
  readonly messageId: MessageId;
  /** The token that stands for it towards the application. */
  readonly message: PreparedMessage | undefined;
  readonly failureReport: FailureReport;
  readonly outcomes: 'all' | 'failures' | 'none';
  /** Whether it may be broken into chunks. */
  readonly interruptible: boolean;
  readonly #maxChunkBytes: number;
  readonly #fields: ChunkFields;
  readonly #total: number | undefined;
  readonly #source: StreamSource;
  readonly #owner: SendingOwner;
  /** Octets written of the message. */
  #sent = 0;
  /** The last octet pulled is held back until there is another or the end is known: no chunk may end up empty. */
  #kept: number | undefined;
  #chunk: Chunk | undefined;
  /** What had been sent before it. */
  #chunkFrom = 0;
  #chunkEnd: Uint8Array = new Uint8Array(0);
  /** The small messages of its session that were queued before it: their count since the beginning. */
  behind = 0;
  /** The last octets of the open chunk, in which an end-line may have begun. */
  #tail: Uint8Array = new Uint8Array(0);
  /** What is told of it, once it is given up. */
  #fate: Outcome | undefined;
  /** Octets that were taken back, and come before what the source has next. */
  #again: Uint8Array | undefined;
  /** The source has nothing at the moment. */
  asleep = false;
  /** Nothing more will be written. */
  over = false;
  /** Chunks that wait for a response. */
  waiting = 0;
  /** Its outcome has been told. */
  settled = false;

  constructor(
    options: StreamOptions,
    source: StreamSource,
    owner: SendingOwner,
    maxChunkBytes: number | 'unbroken',
    message?: PreparedMessage,
  ) {
    this.messageId = options.messageId ?? newMessageId();
    this.message = message;
    this.failureReport = options.failureReport ?? 'yes';
    this.outcomes = options.outcomes ?? 'failures';
    this.interruptible = maxChunkBytes !== 'unbroken';
    this.#maxChunkBytes = maxChunkBytes === 'unbroken' ? Infinity : maxChunkBytes;
    this.#fields = message?.fields ?? chunkFields(this.messageId, options);
    this.#total = options.total;
    this.#source = source;
    this.#owner = owner;
  }

  /** Whether octets of it have gone out. */
  get begun(): boolean {
    return this.#sent > 0 || this.#chunk !== undefined;
  }

  /** The chunk of it that is open on the connection, where nothing else may be written. */
  get chunk(): Chunk | undefined {
    return this.#chunk;
  }

  /** What is told of it when it was given up; undefined otherwise. */
  get fate(): Outcome | undefined {
    return this.#fate;
  }

  /** Octets that wait here: those of a stream wait in its source. */
  get unsent(): number {
    return this.message === undefined ? 0 : this.message.size - this.#sent;
  }

  wake(): void {
    this.asleep = false;
    if (!this.over) this.#owner.woken(this);
  }

  abort(): void {
    this.giveUp(ABORTED);
  }

  /** Ends it with `#`, if anything of it has gone out; `fate` is what is told of it. */
  giveUp(fate: Outcome): void {
    if (this.over) return;
    this.#fate ??= fate;
    this.wake();
  }

  /** Whether it has something to write. */
  get ready(): boolean {
    return !this.over && (!this.asleep || this.#fate !== undefined);
  }

  /** Room for a head, an end-line and as much of a body as makes a chunk worth while (RFC 4975 §7.1.1). */
  #roomToOpen(envelope: Envelope): number {
    return this.#headRoom(envelope) + INTERRUPTIBLE_ABOVE + CHUNK_OVERHEAD;
  }

  /** Octets that the head of a chunk may have: a character has up to three. */
  #headRoom(envelope: Envelope): number {
    const fields = this.#fields.before.length + this.#fields.after.length;
    return 3 * (envelope.send.length + fields) + RANGE;
  }

  /** Room that it takes as one unbroken chunk; 0 when it may be broken, or its octets are not all there. */
  roomUnbroken(envelope: Envelope): number {
    if (this.interruptible || this.message === undefined) return 0;
    return this.#headRoom(envelope) + this.message.size + CHUNK_OVERHEAD;
  }

  /**
   * Writes about `budget` octets, as far as there is room. Gives the chunk that was ended by it, if any: its response is
   * awaited from then on.
   */
  write(turn: Turn, envelope: Envelope, budget: number): Chunk | undefined {
    const until = Math.min(turn.at + budget, turn.bytes.length - CHUNK_OVERHEAD);
    while (this.#fate === undefined && turn.at < until) {
      if (this.#chunk === undefined && turn.room < this.#roomToOpen(envelope)) return undefined;
      const head = this.#chunk === undefined ? this.#headRoom(envelope) : 0;
      const left = this.#maxChunkBytes - (this.#chunk === undefined ? 0 : this.#sent - this.#chunkFrom);
      const piece = this.#pull(
        Math.max(1, Math.min(until - turn.at - head, this.#kept === undefined ? left + 1 : left)),
      );
      if (piece === 'later') {
        this.asleep = true;
        return undefined;
      }
      if (piece === 'abort') {
        this.#fate ??= ABORTED;
        break;
      }
      if (piece === 'end') return this.#finish(turn, envelope);
      if (piece.length === 0) continue;
      if (!this.#writePiece(turn, envelope, piece)) return this.#interruptAt(turn, envelope, piece);
      if (this.#sent - this.#chunkFrom >= this.#maxChunkBytes) return this.#endChunk(turn, '+');
    }
    if (this.#fate === undefined && turn.at >= until) return undefined;
    return turn.room < this.#roomToOpen(envelope) ? undefined : this.#end(turn, envelope);
  }

  #pull(max: number): Uint8Array | 'later' | 'end' | 'abort' {
    const piece = this.#again ?? this.#source.pull(max);
    this.#again = undefined;
    if (typeof piece === 'string' || piece.length <= max) return piece;
    this.#again = new Uint8Array(piece.subarray(max));
    return piece.subarray(0, max);
  }

  /** Ends the open chunk so that others get their turn (RFC 4975 §7.1.1). */
  interrupt(turn: Turn): Chunk | undefined {
    return this.#endChunk(turn, '+');
  }

  #open(turn: Turn, envelope: Envelope): Chunk {
    if (this.#chunk !== undefined) return this.#chunk;
    // The whole body has been searched for this id when the message was rendered.
    const idPart = this.begun ? newMessagePart() : (this.message?.idPart ?? newMessagePart());
    const chunk = new Chunk(this, idPart);
    this.#chunk = chunk;
    this.#chunkFrom = this.#sent;
    this.#chunkEnd = octets(encodeText(`\r\n-------${envelope.idPart}${idPart}`));
    this.#tail = new Uint8Array(0);
    turn.text(envelope.head(idPart, 'SEND'));
    const range = this.#empty ? `1-0/${this.#total ?? 0}` : `${this.#sent + 1}-*/${this.#total ?? '*'}`;
    turn.text(`${this.#fields.before}Byte-Range: ${range}\r\n${this.#fields.after}`);
    return chunk;
  }

  #empty = false;

  /** Writes what was kept and all but the last octet of `piece`; false when an end-line would stand in the chunk. */
  #writePiece(turn: Turn, envelope: Envelope, piece: Uint8Array): boolean {
    this.#open(turn, envelope);
    const from = turn.at;
    if (this.#kept !== undefined) {
      turn.bytes[turn.at++] = this.#kept;
      this.#sent++;
    }
    turn.octets(piece.subarray(0, -1));
    this.#sent += piece.length - 1;
    this.#kept = piece[piece.length - 1];
    if (!this.interruptible && this.message !== undefined) return true;
    return !this.#endLineWithin(turn, from);
  }

  /** RFC 4975 §7.1: the end-line must not stand in the body; looks for it also across the pieces. */
  #endLineWithin(turn: Turn, from: number): boolean {
    const needle = this.#chunkEnd;
    const written = turn.bytes.subarray(from, turn.at);
    const seam = new Uint8Array(this.#tail.length + Math.min(written.length, needle.length));
    seam.set(this.#tail);
    seam.set(written.subarray(0, needle.length), this.#tail.length);
    const found = findBytes(octets(seam), needle) >= 0 || findBytes(octets(written), needle) >= 0;
    const end = written.length >= needle.length ? written : seam;
    this.#tail = new Uint8Array(end.subarray(-needle.length));
    return found;
  }

  /** Takes `piece` back: it comes again in a chunk with another id, in which the look-alike is none. */
  #interruptAt(turn: Turn, envelope: Envelope, piece: Uint8Array): Chunk | undefined {
    const back = piece.length - 1;
    turn.at -= back;
    this.#sent -= back;
    this.#kept = undefined;
    if (!this.interruptible) {
      // It cannot be sent at all: not what its owner wanted.
      this.#fate = { kind: 'lost' };
      return this.#end(turn, envelope);
    }
    this.#again = new Uint8Array(piece);
    return this.#endChunk(turn, '+');
  }

  #finish(turn: Turn, envelope: Envelope): Chunk | undefined {
    if (!this.begun && this.#kept === undefined) this.#empty = true;
    this.#open(turn, envelope);
    if (this.#kept !== undefined) {
      turn.bytes[turn.at++] = this.#kept;
      this.#sent++;
    }
    this.over = true;
    return this.#endChunk(turn, '$');
  }

  /**
   * RFC 4975 §7.1: `#` in the open chunk, or in one of its own, whose range then is empty (§7.1.1), but for whom has
   * answered 413, and must be sent no further chunk (§10.5).
   */
  #end(turn: Turn, envelope: Envelope): Chunk | undefined {
    this.over = true;
    if (!this.begun) return undefined;
    this.#empty = this.#chunk === undefined;
    if (this.#empty && this.#fate?.kind === 'refused' && this.#fate.status === 413) return undefined;
    this.#open(turn, envelope);
    return this.#endChunk(turn, '#');
  }

  #endChunk(turn: Turn, flag: '$' | '+' | '#'): Chunk | undefined {
    const chunk = this.#chunk;
    if (chunk === undefined) return undefined;
    turn.octets(this.#chunkEnd);
    turn.text(`${flag}\r\n`);
    this.#chunk = undefined;
    return chunk;
  }
}

/** The octets of a whole message as a source. */
export function sourceOf(body: Uint8Array): StreamSource {
  let at = 0;
  return {
    pull(max) {
      if (at === body.length) return 'end';
      const piece = body.subarray(at, at + max);
      at += piece.length;
      return piece;
    },
  };
}
