/**
 * Octets and text, natively on both platforms: Node's Buffer where there is one, else what browsers have.
 */

const NodeBuffer = typeof Buffer === 'function' ? Buffer : undefined;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** The same memory in the form that the functions below are fastest with. */
export function octets(bytes: Uint8Array): Uint8Array {
  if (NodeBuffer === undefined || bytes instanceof NodeBuffer) return bytes;
  return NodeBuffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** UTF-8 of a text. For what is soon done with: the octets may share memory with others. */
export function encodeText(text: string): Uint8Array {
  return NodeBuffer === undefined ? encoder.encode(text) : NodeBuffer.from(text);
}

/** Writes UTF-8 of a text at a place that has room for it: three octets per character do; gives the number of octets. */
export function writeText(target: Uint8Array, at: number, text: string): number {
  if (NodeBuffer !== undefined && target instanceof NodeBuffer) return target.write(text, at, 'utf8');
  return encoder.encodeInto(text, target.subarray(at)).written;
}

/** How many octets a text has in UTF-8. */
export function octetsOf(text: string): number {
  return NodeBuffer === undefined ? encoder.encode(text).length : NodeBuffer.byteLength(text);
}

/** The octets from `start` to before `end` as UTF-8; what is no UTF-8 becomes U+FFFD. */
export function decodeText(bytes: Uint8Array, start = 0, end = bytes.length): string {
  if (NodeBuffer !== undefined && bytes instanceof NodeBuffer) return bytes.toString('utf8', start, end);
  return decoder.decode(bytes.subarray(start, end));
}

/** Above so many characters a part keeps too much. */
const LONG = 2048;

/** A part of a text, as memory of its own where the whole is long: for what may outlive the whole. */
export function ownPart(part: string, whole: string): string {
  return whole.length > LONG ? ownText(part) : part;
}

/** A text that was cut from another, as memory of its own: on V8 a slice holds all that it was cut from. */
export function ownText(part: string): string {
  // To be cut, what was joined is first copied into one piece, which holds this text and one character more.
  return ` ${part}`.slice(1);
}

/** Where `needle` is at or behind `from`, or -1: one native search, linear. */
export function findBytes(bytes: Uint8Array, needle: Uint8Array, from = 0): number {
  if (NodeBuffer !== undefined && bytes instanceof NodeBuffer) return bytes.indexOf(needle, from);
  const first = needle[0] ?? 0;
  for (let at = bytes.indexOf(first, from); at >= 0; at = bytes.indexOf(first, at + 1)) {
    if (at + needle.length > bytes.length) return -1;
    let same = 1;
    while (same < needle.length && bytes[at + same] === needle[same]) same++;
    if (same === needle.length) return at;
  }
  return -1;
}

/** The same for a needle of ASCII characters. */
export function findAscii(bytes: Uint8Array, needle: string): number {
  if (NodeBuffer !== undefined && bytes instanceof NodeBuffer) return bytes.indexOf(needle, 0, 'latin1');
  return findBytes(bytes, encoder.encode(needle));
}

/** Memory that is given away in pieces, and how far it has been. */
let brief: Uint8Array = new Uint8Array(0);
let briefUsed = 0;
const BRIEF_BYTES = 32 * 1024;

/**
 * Memory for what is soon done with, its content arbitrary: cheaper than memory of its own. It shares memory with others
 * of its kind alone, since what is kept for long would keep them, too.
 */
export function allocateBriefly(size: number): Uint8Array {
  if (size > BRIEF_BYTES / 8) return allocate(size);
  if (briefUsed + size > brief.length) {
    brief = allocate(BRIEF_BYTES);
    briefUsed = 0;
  }
  const begin = briefUsed;
  briefUsed = begin + size;
  return brief.subarray(begin, briefUsed);
}

/** A copy, for as long as somebody likes; a small one may share memory with others, so that `buffer` is not its own. */
export function copyOf(bytes: Uint8Array): Uint8Array {
  return NodeBuffer === undefined ? new Uint8Array(bytes) : NodeBuffer.from(bytes);
}

/** Fresh memory of this size, its content arbitrary. */
export function allocate(size: number): Uint8Array {
  return NodeBuffer === undefined ? new Uint8Array(size) : NodeBuffer.allocUnsafeSlow(size);
}
