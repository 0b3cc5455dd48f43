/** The bounds of one message on a stream, in bytes. */
export interface FramerLimits {
  /** Start line and header fields with the empty line after them. */
  readonly maxHeadBytes: number;
  readonly maxBodyBytes: number;
}

/** What a stream holds next. */
export type Frame =
  /** One message, head and body, no more and no less. Its memory is not used again. */
  | { readonly is: 'message'; readonly bytes: Buffer }
  /** A keep-alive between messages that wants one CRLF back (RFC 5626 §4.4.1). */
  | { readonly is: 'ping' }
  /** The stream cannot be read any further; `head` is what may be read of the head, if it is one. It is the last frame. */
  | {
      readonly is: 'fault';
      readonly status: 400 | 413 | 513;
      readonly reason: string;
      readonly head: Buffer | undefined;
    };

const CR = 13;
const LF = 10;
const nothing = Buffer.alloc(0);
const endOfHead = Buffer.from('\r\n\r\n');
/** `token` characters (RFC 3261 §25.1), with which a method and `SIP/2.0` begin. */
const startsMessage = /^[\w\-.!%*+`'~]$/;
/** The header's name or its compact form at the start of a line, and its value, which may stand on a continuation line. */
const contentLength = /\r\n(?:content-length|l)[ \t]*:[ \t]*(?:\r\n[ \t]+)?([^\r\n]*)/gi;

/**
 * Cuts a byte stream into SIP messages by Content-Length (RFC 3261 §18.3, §7.5). Bytes go in by `push` in pieces of any
 * cut, frames come out of `next` until it gives undefined. The work is linear in the bytes however they are cut, and
 * no more is held than one message and the last piece.
 */
export class SipFramer {
  readonly #limits: FramerLimits;
  #buffer: Buffer = nothing;
  /** Whether the buffer is ours to append to; a piece as it came from below is not. */
  #ours = false;
  #start = 0;
  #end = 0;
  /** How far the end of the head has been looked for. */
  #searched = 0;
  /** Length of the message at `#start` once its head is known. */
  #length: number | undefined;
  /** Line ends since the last message or ping: the second makes a ping. */
  #lineEnds = 0;
  #failed = false;

  constructor(limits: FramerLimits) {
    this.#limits = limits;
  }

  /** Whether a message has begun and not ended. */
  get pending(): boolean {
    return this.#end > this.#start;
  }

  /** Takes the next bytes of the stream; the memory must not be used again. */
  push(piece: Buffer): void {
    if (this.#failed || piece.length === 0) return;
    if (!this.pending) {
      this.#buffer = piece;
      this.#ours = false;
      this.#start = 0;
      this.#end = piece.length;
      this.#searched = 0;
    } else {
      this.#append(piece);
    }
  }

  /** The next frame, or undefined until more bytes come. */
  next(): Frame | undefined {
    if (this.#failed) return undefined;
    if (this.#length === undefined) {
      if (this.#skipLineEnds()) return { is: 'ping' };
      if (!this.pending) return undefined;
      const fault = this.#readHead();
      if (fault !== undefined) {
        this.#failed = true;
        this.#release();
        return fault;
      }
    }
    return this.#takeMessage();
  }

  #append(piece: Buffer): void {
    const held = this.#end - this.#start;
    if (!this.#ours || this.#end + piece.length > this.#buffer.length) {
      // Doubling keeps the copying linear; what is known to come is not exceeded by much.
      const larger = Buffer.allocUnsafeSlow(Math.max(held + piece.length, 2 * held));
      this.#buffer.copy(larger, 0, this.#start, this.#end);
      this.#searched -= this.#start;
      this.#buffer = larger;
      this.#ours = true;
      this.#start = 0;
      this.#end = held;
    }
    piece.copy(this.#buffer, this.#end);
    this.#end += piece.length;
  }

  /** True at each second line end in front of a message (RFC 3261 §7.5 has the others ignored). */
  #skipLineEnds(): boolean {
    while (this.pending) {
      const byte = this.#buffer[this.#start];
      if (byte !== CR && byte !== LF) return false;
      this.#start += 1;
      if (byte === LF && ++this.#lineEnds === 2) {
        this.#lineEnds = 0;
        return true;
      }
    }
    this.#release();
    return false;
  }

  #readHead(): Frame | undefined {
    if (!startsMessage.test(String.fromCharCode(this.#buffer[this.#start] ?? 0))) {
      return { is: 'fault', status: 400, reason: 'not a SIP message', head: undefined };
    }
    const filled = this.#buffer.subarray(0, this.#end);
    const found = filled.indexOf(endOfHead, Math.max(this.#searched, this.#start));
    const headLength = found < 0 ? this.#end - this.#start : found + endOfHead.length - this.#start;
    if (headLength > this.#limits.maxHeadBytes) {
      const head = filled.subarray(this.#start, this.#start + this.#limits.maxHeadBytes);
      return { is: 'fault', status: 513, reason: `a head of ${headLength} bytes or more`, head };
    }
    if (found < 0) {
      this.#searched = this.#end - endOfHead.length + 1;
      return undefined;
    }
    const head = filled.subarray(this.#start, this.#start + headLength);
    const bodyLength = readContentLength(head);
    if (typeof bodyLength === 'string') return { is: 'fault', status: 400, reason: bodyLength, head };
    if (bodyLength > this.#limits.maxBodyBytes) {
      return { is: 'fault', status: 413, reason: `a body of ${bodyLength} bytes`, head };
    }
    this.#length = headLength + bodyLength;
    return undefined;
  }

  #takeMessage(): Frame | undefined {
    const length = this.#length;
    if (length === undefined || this.#end - this.#start < length) return undefined;
    const bytes = this.#buffer.subarray(this.#start, this.#start + length);
    this.#start += length;
    this.#searched = this.#start;
    this.#length = undefined;
    this.#lineEnds = 0;
    if (!this.pending) this.#release();
    return { is: 'message', bytes };
  }

  #release(): void {
    this.#buffer = nothing;
    this.#ours = false;
    this.#start = 0;
    this.#end = 0;
  }
}

/** The Content-Length of a head; a text says why there is none to go by. */
function readContentLength(head: Buffer): number | string {
  const text = head.toString('latin1');
  contentLength.lastIndex = 0;
  const first = contentLength.exec(text)?.[1]?.trim();
  if (first === undefined) return 'no Content-Length on a stream';
  if (!/^\d{1,9}$/.test(first)) return 'Content-Length is not a number';
  for (let next = contentLength.exec(text); next !== null; next = contentLength.exec(text)) {
    if (next[1]?.trim() !== first) return 'two Content-Lengths that differ';
  }
  return Number(first);
}
