import type { StreamSource } from '../../msrp/index.ts';

/** Bounds of one stream. */
export interface StreamLimits {
  /** Octets that its slowest reader may be behind before its sender is paused. Default 1 MiB. */
  readonly window: number;
  /** Milliseconds for which one reader may hold up others, all in all, before it is let go. Default 10,000. */
  readonly patience: number;
}

const DEFAULT_LIMITS: StreamLimits = { window: 1024 * 1024, patience: 10_000 };

/** How many windows a sender may be ahead that was told to wait: what was under way then still comes. */
const OVERRUN = 4;

/** How often it is seen who holds up whom, in milliseconds. */
const LOOK = 500;

/** Who sends the octets: may be told to wait. */
export interface StreamSender {
  pause(): void;
  resume(): void;
}

/**
 * Why a reader is let go: it has held up the others for too long, was kept waiting itself for too long, or there is more
 * than its peer takes.
 */
export type Detached = 'too slow' | 'kept waiting' | 'too large';

/** What a reader is made with. */
export interface ReaderParts {
  /**
   * For a peer that can take nothing else until the message is complete, and so is not kept waiting for octets for long:
   * whether something else waits for it.
   */
  readonly holdsUp?: () => boolean;
  /** There are more octets, or there will be none: ask again. */
  readonly wake: () => void;
  /** It is not there for itself, and holds up nobody for longer than it takes to see that. Default false. */
  readonly brief?: boolean;
  /** Octets that its peer takes at most (RFC 4975 §8.6); what is larger shows only when it has come. */
  readonly maximum: number;
  /** It gets no more. */
  readonly detached: (why: Detached) => void;
}

/**
 * A large message on its way through the room (RFC 7701 §6.1, fast forwarding): one bounded list of pieces, and a place in
 * it for each reader. Its sender is paused while the slowest reader is too far behind, and a reader that holds up the
 * others for too long is let go; so a message of any size costs no more memory than the window.
 */
export class SharedStream {
  readonly #limits: StreamLimits;
  readonly #sender: StreamSender;
  readonly #readers = new Set<Reader>();
  /** Pieces that some reader has not had yet. */
  #pieces: Uint8Array[] = [];
  /** How many pieces, and octets, came before the first of them. */
  #gone = 0;
  #goneBytes = 0;
  /** Octets that have come. */
  #size = 0;
  #state: 'flowing' | 'complete' | 'aborted' = 'flowing';
  /** Readers may still come: everything is kept. */
  #open = true;
  #paused = false;
  /** Milliseconds for which nothing has come, in looks: where we ourselves are late, nobody is to blame. */
  #quietFor = 0;
  readonly #timer: ReturnType<typeof setInterval>;

  constructor(sender: StreamSender, limits: Partial<StreamLimits> = {}) {
    this.#sender = sender;
    this.#limits = { ...DEFAULT_LIMITS, ...limits };
    this.#timer = setInterval(() => this.#look(), LOOK);
    this.#timer.unref();
  }

  /** Octets kept for readers. */
  get heldBytes(): number {
    return this.#size - this.#goneBytes;
  }

  /** Its sender does not wait although it was told to. */
  get overrun(): boolean {
    return this.heldBytes > OVERRUN * this.#limits.window;
  }

  get readers(): number {
    return this.#readers.size;
  }

  /** The rest of it does not come, for nobody. */
  get isAborted(): boolean {
    return this.#state === 'aborted';
  }

  /** The next octets. They are copied. */
  append(bytes: Uint8Array): void {
    if (this.#state !== 'flowing' || bytes.length === 0) return;
    this.#size += bytes.length;
    this.#quietFor = 0;
    if (!this.#open && this.#readers.size === 0) {
      this.#goneBytes = this.#size;
      return;
    }
    this.#pieces.push(new Uint8Array(bytes));
    this.#regulate();
    this.#wake();
  }

  /** That was all. */
  complete(): void {
    this.#finish('complete');
  }

  /** The rest will not come: readers' peers are told so (RFC 4975 §7.1, `#`). */
  abort(): void {
    this.#finish('aborted');
  }

  #finish(state: 'complete' | 'aborted'): void {
    if (this.#state !== 'flowing') return;
    this.#state = state;
    clearInterval(this.#timer);
    if (this.#paused) this.#sender.resume();
    this.#paused = false;
    this.#wake();
  }

  /** A reader from the first octet on; only until `start`, or while another stands there. */
  reader(parts: ReaderParts): Reader {
    const reader = new Reader(this, parts);
    this.#readers.add(reader);
    return reader;
  }

  /** All readers are there: what all of them have had is let go from now on. */
  start(): void {
    this.#open = false;
    this.#drop();
  }

  /** For readers: what comes at a place. */
  at(piece: number): Uint8Array | 'later' | 'end' | 'abort' {
    if (this.#state === 'aborted') return 'abort';
    return this.#pieces[piece - this.#gone] ?? (this.#state === 'complete' ? 'end' : 'later');
  }

  /** For readers: it has got on. */
  moved(): void {
    this.#drop();
  }

  /** For readers: it wants no more. */
  leave(reader: Reader): void {
    if (this.#readers.delete(reader)) this.#drop();
  }

  #wake(): void {
    for (const reader of [...this.#readers]) reader.wake();
  }

  #drop(): void {
    if (this.#open) return;
    let slowest = this.#gone + this.#pieces.length;
    for (const { piece } of this.#readers) slowest = Math.min(slowest, piece);
    for (; this.#gone < slowest; this.#gone++) this.#goneBytes += this.#pieces[0] === undefined ? 0 : this.#shift();
    this.#regulate();
  }

  #shift(): number {
    return this.#pieces.shift()?.length ?? 0;
  }

  #regulate(): void {
    if (this.#state !== 'flowing') return;
    const { window } = this.#limits;
    if (!this.#paused && this.heldBytes > window) {
      this.#paused = true;
      this.#sender.pause();
    } else if (this.#paused && this.heldBytes <= window / 2) {
      this.#paused = false;
      this.#sender.resume();
    }
  }

  /** Who is to blame for a pause that lasts, and who waits in vain. */
  #look(): void {
    const { patience, window } = this.#limits;
    this.#quietFor += LOOK;
    if (this.#paused && !this.#open) {
      // When all of them are behind, none holds up the others.
      if (![...this.#readers].some(({ bytes }) => this.#size - bytes < window / 4)) return;
      for (const reader of [...this.#readers]) {
        const bearable = reader.brief ? 0 : patience;
        if (this.#size - reader.bytes > window / 2 && reader.blame(LOOK) >= bearable) reader.detach('too slow');
      }
      return;
    }
    for (const reader of [...this.#readers]) {
      if (!reader.unbroken || reader.bytes < this.#size) continue;
      const holdsUp = reader.holdsUpOthers && reader.blame(LOOK) >= patience;
      if (holdsUp || this.#quietFor > patience) reader.detach('kept waiting');
    }
  }
}

/** A reader's place in a stream. */
export class Reader implements StreamSource {
  readonly unbroken: boolean;
  readonly brief: boolean;
  readonly #stream: SharedStream;
  readonly #parts: ReaderParts;
  /** The piece it is at, and how many octets of it, and of all, it has had. */
  piece = 0;
  bytes = 0;
  #offset = 0;
  #heldUp = 0;
  #state: 'reading' | 'detached' | 'had all' | 'over' = 'reading';

  constructor(stream: SharedStream, parts: ReaderParts) {
    this.#stream = stream;
    this.#parts = parts;
    this.unbroken = parts.holdsUp !== undefined;
    this.brief = parts.brief === true;
  }

  pull(max: number): Uint8Array | 'later' | 'end' | 'abort' {
    if (this.#state !== 'reading') return 'abort';
    const piece = this.#stream.at(this.piece);
    if (typeof piece === 'string') {
      if (piece !== 'later') this.#leave(piece === 'end' ? 'had all' : 'over');
      return piece;
    }
    const given = piece.subarray(this.#offset, this.#offset + max);
    if (this.bytes + given.length > this.#parts.maximum) {
      this.detach('too large');
      return 'abort';
    }
    this.bytes += given.length;
    this.#offset += given.length;
    if (this.#offset === piece.length) {
      this.#offset = 0;
      this.piece += 1;
      this.#stream.moved();
    }
    return given;
  }

  /** Something else waits for its peer until the message is complete. */
  get holdsUpOthers(): boolean {
    return this.#parts.holdsUp?.() === true;
  }

  wake(): void {
    this.#parts.wake();
  }

  /** It has held up others, or what else is for its peer, for so much longer; gives for how long in all. */
  blame(milliseconds: number): number {
    return (this.#heldUp += milliseconds);
  }

  /** It is let go: its peer is told that the rest does not come. */
  detach(why: Detached): void {
    if (this.#state !== 'reading') return;
    this.#leave('detached');
    this.#parts.wake();
    this.#parts.detached(why);
  }

  /** It wants no more. Idempotent. */
  close(): void {
    if (this.#state === 'reading') this.#leave('over');
  }

  #leave(state: 'detached' | 'had all' | 'over'): void {
    this.#state = state;
    this.#stream.leave(this);
  }

  /** It has not had all of what others have, or will have. */
  get hasMissed(): boolean {
    return this.#state !== 'had all' && !this.#stream.isAborted;
  }
}
