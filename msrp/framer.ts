import { allocate, decodeText, encodeText, findBytes, octets } from './bytes.ts';
import { decodeHead, remainsOf, type Remains } from './decode.ts';
import { MsrpError } from './errors.ts';
import type { ContinuationFlag, Head, RequestHead, ResponseHead } from './message.ts';

/** What a framer finds. Views given are valid only during the call. */
export interface FrameHandlers {
  /** A request with its whole body; undefined when it has none. */
  request(head: RequestHead, body: Uint8Array | undefined, flag: ContinuationFlag): void;
  /** A response, and how many octets it had. */
  response(head: ResponseHead, length: number): void;
  /** A request whose body is too large to wait for: its octets follow by `piece`, then `end`. */
  begin(head: RequestHead): void;
  piece(bytes: Uint8Array): void;
  end(flag: ContinuationFlag): void;
  /**
   * At the start of every frame: how many octets from `at` on are a response that was expected byte for byte and has
   * been dealt with; 0 leaves it to the framer.
   */
  expected(view: DataView, at: number): number;
  /** A request that ends where it says, but cannot be understood; what follows it can. */
  unreadable(fault: MsrpError, remains: Remains | undefined): void;
  /** Nothing that follows can be understood. Nothing is called after it. */
  broken(fault: MsrpError, remains: Remains | undefined): void;
}

/** Those of the `EndpointLimits` that matter to the framing. */
export interface FramerLimits {
  readonly maxHeadBytes: number;
  readonly maxHeaders: number;
  readonly wholeBodyBytes: number;
  readonly maxOtherBodyBytes: number;
}

const NONE = new Uint8Array(0);
const DOUBLE_BREAK = octets(encodeText('\r\n\r\n'));
/** `MSRP ident `, in octets at most. */
const LONGEST_ID = 32;
const BEFORE_ID = 9;
const [LF, CR, SPACE] = [10, 13, 32] as const;
const START = encodeText('MSRP ');

/**
 * Octets in, frames out (RFC 4975 §5.1, §9), whatever the cuts. Linear in what comes in: every octet is searched by
 * native code a bounded number of times. What it holds is bounded by the largest head, plus the largest body given on
 * whole, plus what one `receive` brings.
 */
export class Framer {
  readonly #limits: FramerLimits;
  readonly #handlers: FrameHandlers;
  /** CRLF, seven dashes and the id of the frame in hand: what its end-line begins with. */
  readonly #endLine = octets(new Uint8Array(encodeText(`\r\n-------${' '.repeat(LONGEST_ID)}`)));
  #needle: Uint8Array = NONE;
  /** The start of a frame that is not complete, in memory that grows by doubling. */
  #held: Uint8Array = NONE;
  #heldLength = 0;
  #state: 'between' | 'inside' | 'body' | 'stopped' = 'between';
  /** In a frame: how far behind its start the searches for end-line and empty line have come without result. */
  #endSearched = 0;
  #headSearched = 0;
  #headLength = -1;

  constructor(limits: FramerLimits, handlers: FrameHandlers) {
    this.#limits = limits;
    this.#handlers = handlers;
  }

  /** Octets held of a frame that is not complete. */
  get heldBytes(): number {
    return this.#heldLength;
  }

  /** Nothing more is called. */
  stop(): void {
    this.#state = 'stopped';
    this.#held = NONE;
    this.#heldLength = 0;
  }

  /** Takes octets. Throws nothing but what the handlers throw. */
  receive(incoming: Uint8Array): void {
    if (this.#stopped()) return;
    if (this.#heldLength > 0) return this.#receiveMore(incoming);
    const bytes = octets(incoming);
    const rest = this.#consume(bytes);
    if (this.#state === 'stopped' || rest === bytes.length) return;
    this.#heldLength = bytes.length - rest;
    this.#held = octets(allocate(Math.max(256, 2 * this.#heldLength)));
    this.#held.set(bytes.subarray(rest));
  }

  #receiveMore(incoming: Uint8Array): void {
    const length = this.#heldLength + incoming.length;
    if (length > this.#held.length) {
      const grown = octets(allocate(Math.max(length, 2 * this.#heldLength)));
      grown.set(this.#held.subarray(0, this.#heldLength));
      this.#held = grown;
    }
    const held = this.#held;
    held.set(incoming, this.#heldLength);
    const rest = this.#consume(held.subarray(0, length));
    this.#heldLength = this.#stopped() ? 0 : length - rest;
    if (this.#heldLength === 0) this.#held = NONE;
    else if (rest > 0) held.copyWithin(0, rest, length);
  }

  /** Gives the frames in `bytes` to the handlers; gives where the first incomplete one starts. */
  #consume(bytes: Uint8Array): number {
    const length = bytes.length;
    const view = new DataView(bytes.buffer, bytes.byteOffset, length);
    let at = 0;
    while (at < length) {
      if (this.#state === 'between') {
        const matched = this.#handlers.expected(view, at);
        if (matched > 0) {
          at += matched;
          continue;
        }
        if (!this.#startsAt(bytes, at, length)) break;
      }
      const next: number = this.#state === 'body' ? this.#bodyAt(bytes, at, length) : this.#frameAt(bytes, at, length);
      // The handlers may have stopped us; what is left is nobody's.
      if (this.#stopped()) return length;
      if (next === at) break;
      at = next;
      if (this.#state === 'body' && this.#waitsInBody) break;
    }
    return at;
  }

  #waitsInBody = false;

  #stopped(): boolean {
    return this.#state === 'stopped';
  }

  /** Reads `MSRP id ` into the end-line to look for; false while it is not complete, or broken. */
  #startsAt(bytes: Uint8Array, at: number, length: number): boolean {
    for (let i = 0; i < START.length && at + i < length; i++) {
      if (bytes[at + i] !== START[i]) return this.#break(new MsrpError(400, 'no MSRP'), bytes, at, length);
    }
    let id = 0;
    for (let from = at + START.length; from + id < length; id++) {
      const octet = bytes[from + id] ?? 0;
      if (octet === SPACE) {
        if (id < 4) break;
        // A view of what has just been written: with an id as long as the last one it shows that already.
        if (this.#needle.length !== BEFORE_ID + id) this.#needle = this.#endLine.subarray(0, BEFORE_ID + id);
        this.#state = 'inside';
        this.#endSearched = this.#headSearched = START.length + id;
        this.#headLength = -1;
        return true;
      }
      if (id >= LONGEST_ID || !mayStand(octet, id)) break;
      this.#endLine[BEFORE_ID + id] = octet;
    }
    if (at + START.length + id >= length) return false;
    return this.#break(new MsrpError(400, 'no transaction id'), bytes, at, length);
  }

  /** Deals with the frame at `at`, and gives the place behind it; `at` itself while it is not complete. */
  #frameAt(bytes: Uint8Array, at: number, length: number): number {
    const found = this.#findEnd(bytes, at + this.#endSearched, length);
    if (found.flag === undefined) {
      this.#endSearched = found.at - at;
      return this.#incomplete(bytes, at, length);
    }
    const headEnd = this.#headEnd(bytes, at, found.at + 2);
    const head = headEnd < 0 ? found.at : headEnd;
    if (head - at > this.#limits.maxHeadBytes) return this.#tooLarge(bytes, at, length);
    // CRLFCRLF right before the dashes: a body of no octets, whose sender has left out its own CRLF.
    const body = headEnd < 0 ? undefined : bytes.subarray(Math.min(headEnd + 4, found.at), found.at);
    this.#state = 'between';
    const next = found.at + this.#needle.length + 3;
    this.#give(decodeText(bytes, at, head), body, found.flag, next - at);
    return next;
  }

  /** Where the empty line in front of the body starts, or -1. A response has none (RFC 4975 §7.2). */
  #headEnd(bytes: Uint8Array, at: number, end: number): number {
    if (this.#headLength >= 0) return at + this.#headLength;
    const method = bytes[at + START.length + this.#needle.length - BEFORE_ID + 1] ?? 0;
    return method <= 0x39 ? -1 : this.#findHead(bytes, at, end);
  }

  #give(text: string, body: Uint8Array | undefined, flag: ContinuationFlag, length: number): void {
    let head: Head;
    try {
      head = decodeHead(text, this.#limits.maxHeaders);
      if (head.kind === 'request') this.#checkBody(head, body);
    } catch (fault) {
      if (!(fault instanceof MsrpError)) throw fault;
      this.#handlers.unreadable(fault, remainsOf(text));
      return;
    }
    if (head.kind === 'request') this.#handlers.request(head, body, flag);
    else this.#handlers.response(head, length);
  }

  #checkBody(head: RequestHead, body: Uint8Array | undefined): void {
    if ((body === undefined) !== (head.contentType === undefined)) {
      throw new MsrpError(400, body === undefined ? 'Content-Type without a body' : 'a body without Content-Type');
    }
    if (head.method !== 'SEND' && (body?.length ?? 0) > this.#limits.maxOtherBodyBytes) {
      throw new MsrpError(400, `${head.method} with a large body`);
    }
  }

  /** The frame at `at` goes on beyond `length`: wait, or give its body on as it comes, or refuse to hold so much. */
  #incomplete(bytes: Uint8Array, at: number, length: number): number {
    if (this.#headLength < 0) {
      const headEnd = this.#findHead(bytes, at, length);
      if (headEnd < 0) return length - at > this.#limits.maxHeadBytes ? this.#tooLarge(bytes, at, length) : at;
      this.#headLength = headEnd - at;
    }
    if (this.#headLength > this.#limits.maxHeadBytes) return this.#tooLarge(bytes, at, length);
    const bodyStart = at + this.#headLength + 4;
    if (length - bodyStart <= this.#limits.wholeBodyBytes) return at;
    const text = decodeText(bytes, at, at + this.#headLength);
    let head: Head;
    try {
      head = decodeHead(text, this.#limits.maxHeaders);
    } catch (fault) {
      if (!(fault instanceof MsrpError)) throw fault;
      this.#stopWith(fault, remainsOf(text));
      return length;
    }
    if (head.kind === 'response' || head.method !== 'SEND' || head.contentType === undefined) {
      this.#stopWith(new MsrpError(400, 'a large body where none belongs'), remainsOf(text));
      return length;
    }
    this.#state = 'body';
    this.#waitsInBody = false;
    this.#handlers.begin(head);
    return bodyStart;
  }

  /** Gives on the octets of a large body, but for those that may turn out to begin the end-line. */
  #bodyAt(bytes: Uint8Array, at: number, length: number): number {
    const found = this.#findEnd(bytes, at, length);
    if (found.at > at) this.#handlers.piece(bytes.subarray(at, found.at));
    if (found.flag === undefined) {
      this.#waitsInBody = true;
      return found.at;
    }
    if (this.#stopped()) return length;
    this.#waitsInBody = false;
    this.#state = 'between';
    this.#handlers.end(found.flag);
    return found.at + this.#needle.length + 3;
  }

  /** Where the end-line starts, with its flag; or, without a flag, from where it must be looked for again. */
  #findEnd(bytes: Uint8Array, from: number, length: number): { at: number; flag: ContinuationFlag | undefined } {
    for (let search = from; ; search++) {
      const at = findBytes(bytes, this.#needle, search);
      const behind = at + this.#needle.length;
      if (at < 0) return { at: Math.max(search, length - this.#needle.length + 1), flag: undefined };
      if (behind + 3 > length) {
        if (possibleEnd(bytes, behind, length)) return { at, flag: undefined };
      } else if (bytes[behind + 1] === CR && bytes[behind + 2] === LF) {
        const flag = flagOf(bytes[behind]);
        if (flag !== undefined) return { at, flag };
      }
      search = at;
    }
  }

  /** Where the empty line behind the head starts, or -1; looks no further than `end`. */
  #findHead(bytes: Uint8Array, at: number, end: number): number {
    const from = at + this.#headSearched;
    const found = findBytes(bytes.subarray(from, end), DOUBLE_BREAK);
    if (found >= 0) return from + found;
    this.#headSearched = Math.max(this.#headSearched, end - at - 3);
    return -1;
  }

  #tooLarge(bytes: Uint8Array, at: number, length: number): number {
    this.#break(new MsrpError(400, `a head of more than ${this.#limits.maxHeadBytes} octets`), bytes, at, length);
    return length;
  }

  #break(fault: MsrpError, bytes: Uint8Array, at: number, length: number): false {
    const text = decodeText(bytes, at, Math.min(length, at + this.#limits.maxHeadBytes));
    this.#stopWith(fault, remainsOf(text));
    return false;
  }

  #stopWith(fault: MsrpError, remains: Remains | undefined): void {
    this.stop();
    this.#handlers.broken(fault, remains);
  }
}

/** Whether an octet may stand at this place of a transaction id (RFC 4975 §9: ident). */
function mayStand(octet: number, place: number): boolean {
  if ((octet >= 0x61 && octet <= 0x7a) || (octet >= 0x41 && octet <= 0x5a)) return true;
  if (octet >= 0x30 && octet <= 0x39) return true;
  return place > 0 && (octet === 0x2e || octet === 0x2d || octet === 0x2b || octet === 0x25 || octet === 0x3d);
}

/** Whether what there is behind the id can still become flag and CRLF. */
function possibleEnd(bytes: Uint8Array, behind: number, length: number): boolean {
  if (behind >= length) return true;
  if (flagOf(bytes[behind]) === undefined) return false;
  return behind + 1 >= length || bytes[behind + 1] === CR;
}

function flagOf(octet: number | undefined): ContinuationFlag | undefined {
  if (octet === 0x24) return '$';
  if (octet === 0x2b) return '+';
  return octet === 0x23 ? '#' : undefined;
}
