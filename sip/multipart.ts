import { randomBytes } from 'node:crypto';
import { decodeContent } from './content-encoding.ts';
import { type HeaderLine, SipError } from './errors.ts';
import { CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_ID, CONTENT_TYPE, type MediaType } from './fields.ts';
import { quote } from './grammar.ts';
import { Headers } from './headers.ts';
import type { SipMessage } from './message.ts';
import { Params } from './params.ts';
import { DEFAULT_PARSER_LIMITS, parseHeaderLines } from './parser.ts';

/*
 * Bodies in parts (RFC 2046 §5.1, RFC 2387, RFC 5621). Every body is read as a tree: a simple one is a single part.
 */

/** What a body may be at most. */
export interface MultipartLimits {
  /** Parts in all, on all levels. Default 64. */
  readonly parts: number;
  /** Multiparts within multiparts. Default 4. */
  readonly depth: number;
  /** Bytes that a Content-Encoding may unfold to. Default 1048576. */
  readonly unfoldedBytes: number;
}

/** The limits unless told otherwise. */
export const DEFAULT_MULTIPART_LIMITS: MultipartLimits = { parts: 64, depth: 4, unfoldedBytes: 1_048_576 };

/** A body, or a part of one. */
export interface BodyPart {
  readonly type: MediaType;
  /** The disposition type in lower case; by default `session` for application/sdp, else `render` (RFC 3261 §20.11). */
  readonly disposition: string;
  /** Whether it may be ignored when it is not understood: `handling=optional` (RFC 5621 §8.1). */
  readonly optional: boolean;
  /** Its Content-ID, without angle brackets. */
  readonly contentId?: string;
  /** The headers of the part; for the body of a message those of the message. */
  readonly headers: Headers;
  /** The bytes, Content-Encoding and Content-Transfer-Encoding undone. */
  readonly body: Uint8Array;
  /** The parts of a multipart; none for any other type. */
  readonly parts: readonly BodyPart[];
}

/**
 * The body of a message as a tree of parts; `undefined` when it has none.
 * @throws SipError 400 when it is malformed or has no Content-Type (RFC 3261 §20.15), 415 for a Content-Encoding that
 * is not known here, 413 beyond `limits`
 */
export function bodyOf(message: SipMessage, limits: MultipartLimits = DEFAULT_MULTIPART_LIMITS): BodyPart | undefined {
  if (message.body.length === 0) return undefined;
  const type = message.contentType;
  if (type === undefined) throw new SipError(400, 'Missing Content-Type header field');
  return readPart(type, message.headers, message.body, { limits, parts: 0 }, 0);
}

/** Shared by all levels of one body. */
interface Reading {
  readonly limits: MultipartLimits;
  parts: number;
}

function readPart(type: MediaType, headers: Headers, bytes: Uint8Array, reading: Reading, depth: number): BodyPart {
  const { limits } = reading;
  if (++reading.parts > limits.parts) throw new SipError(413, `body has more than ${limits.parts} parts`);
  const encodings = headers.read(CONTENT_ENCODING) ?? [];
  const transferred = undoTransferEncoding(bytes, headers.get('Content-Transfer-Encoding'));
  const body = decodeContent(transferred, encodings, limits.unfoldedBytes);
  const disposition = headers.read(CONTENT_DISPOSITION);
  const contentId = headers.read(CONTENT_ID);
  return {
    type,
    disposition: disposition?.value ?? (type.type === 'application/sdp' ? 'session' : 'render'),
    optional: disposition?.params.get('handling')?.toLowerCase() === 'optional',
    ...(contentId === undefined ? undefined : { contentId }),
    headers,
    body,
    parts: type.type.startsWith('multipart/') ? readParts(type, body, reading, depth + 1) : [],
  };
}

const TEXT_PLAIN: MediaType = { type: 'text/plain', params: Params.none };

function readParts(type: MediaType, body: Uint8Array, reading: Reading, depth: number): BodyPart[] {
  if (depth > reading.limits.depth) throw new SipError(413, `body is nested deeper than ${reading.limits.depth}`);
  const boundary = type.params.get('boundary');
  if (boundary === undefined || boundary === '' || boundary.length > 70) throw new SipError(400, 'bad boundary');
  return cutAtBoundary(Buffer.from(body.buffer, body.byteOffset, body.length), boundary).map((part) => {
    const { headers, content } = splitPart(part);
    return readPart(headers.read(CONTENT_TYPE) ?? TEXT_PLAIN, headers, content, reading, depth);
  });
}

const LF = 10;
const CR = 13;
const DASH = 45;

/**
 * What stands between the delimiter lines of a multipart, preamble and epilogue dropped (RFC 2046 §5.1.1). Lines that
 * end in a bare line feed are let pass.
 */
function cutAtBoundary(bytes: Buffer, boundary: string): Buffer[] {
  const parts: Buffer[] = [];
  const delimiter = `--${boundary}`;
  let start = -1;
  for (let at = bytes.indexOf(delimiter); at !== -1; at = bytes.indexOf(delimiter, at + 1)) {
    if (at > 0 && bytes[at - 1] !== LF) continue;
    let end = at + Buffer.byteLength(delimiter);
    const last = bytes[end] === DASH && bytes[end + 1] === DASH;
    if (last) end += 2;
    while (bytes[end] === 32 || bytes[end] === 9) end++;
    if (bytes[end] === CR) end++;
    // A line that goes on after the boundary is none: it belongs to another boundary with this one as its beginning.
    if (bytes[end] !== LF && end < bytes.length) continue;
    if (start !== -1) parts.push(bytes.subarray(start, Math.max(start, lineEndBefore(bytes, at))));
    if (last) return parts;
    start = end + 1;
  }
  throw new SipError(400, start === -1 ? 'multipart body without its boundary' : 'multipart body without its end');
}

/** The line break before a delimiter belongs to the delimiter. */
function lineEndBefore(bytes: Buffer, at: number): number {
  return bytes[at - 2] === CR ? at - 2 : at - 1;
}

/** Headers and content of a part; a part may begin with the empty line and have no headers. */
function splitPart(part: Buffer): { headers: Headers; content: Buffer } {
  if (part[0] === LF || (part[0] === CR && part[1] === LF)) {
    return { headers: new Headers(), content: part.subarray(part[0] === LF ? 1 : 2) };
  }
  const crlf = part.indexOf('\r\n\r\n');
  const lf = part.indexOf('\n\n');
  const bare = lf !== -1 && (crlf === -1 || lf < crlf);
  const end = bare ? lf : crlf;
  const head = part.toString('utf8', 0, end === -1 ? part.length : end).replace(/\r?\n$/, '');
  return {
    headers: new Headers(parseHeaderLines(head.replace(/\r?\n/g, '\r\n'), 0, DEFAULT_PARSER_LIMITS)),
    content: end === -1 ? part.subarray(part.length) : part.subarray(end + (bare ? 2 : 4)),
  };
}

/** RFC 2045 §6; SIP is 8-bit clean and needs none, but MIME libraries add them (RFC 5621 §3.2). */
function undoTransferEncoding(bytes: Uint8Array, encoding: string | undefined): Uint8Array {
  switch (encoding?.toLowerCase()) {
    case 'base64':
      return Buffer.from(Buffer.from(bytes).toString('latin1'), 'base64');
    case 'quoted-printable':
      return unquotePrintable(Buffer.from(bytes).toString('latin1'));
    default:
      return bytes;
  }
}

function unquotePrintable(text: string): Buffer {
  const lines = text.split(/\r?\n/).map((line) => line.trimEnd());
  const joined = lines
    .map((line, i) => (line.endsWith('=') ? line.slice(0, -1) : i === lines.length - 1 ? line : `${line}\r\n`))
    .join('');
  return Buffer.from(
    joined.replace(/=([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
    'latin1',
  );
}

/**
 * The parts that say something, in their order: multiparts are opened, of a multipart/alternative its last part that
 * `understands` (RFC 5621 §6.1).
 */
export function leafParts(part: BodyPart, understands: (part: BodyPart) => boolean = () => true): BodyPart[] {
  if (!part.type.type.startsWith('multipart/')) return [part];
  const choices = part.parts.map((inner) => leafParts(inner, understands));
  if (part.type.type !== 'multipart/alternative') return choices.flat();
  return choices.findLast((leaves) => leaves.length > 0 && leaves.every(understands)) ?? [];
}

/** The first part of a media type, wherever it stands in the body. */
export function findPart(body: BodyPart | undefined, type: string): BodyPart | undefined {
  if (body === undefined || body.type.type === type) return body;
  for (const inner of body.parts) {
    const found = findPart(inner, type);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** The part that a Content-ID, or a `cid:` URL (RFC 2392), names: what Refer-To of RFC 5368 points to. */
export function partById(body: BodyPart | undefined, id: string): BodyPart | undefined {
  if (body === undefined) return undefined;
  const wanted = id.startsWith('cid:') ? unescapeCid(id.slice(4)) : id.replace(/^<(.*)>$/s, '$1');
  if (body.contentId === wanted) return body;
  for (const inner of body.parts) {
    const found = partById(inner, wanted);
    if (found !== undefined) return found;
  }
  return undefined;
}

function unescapeCid(id: string): string {
  try {
    return decodeURIComponent(id);
  } catch {
    return id;
  }
}

/** The part of a multipart/related that is processed first: the one `start` names, else the first (RFC 2387 §3.2). */
export function rootPart(related: BodyPart): BodyPart | undefined {
  const start = related.type.params.get('start');
  return start === undefined ? related.parts[0] : partById(related, start);
}

/** A part to be sent. */
export interface PartToSend {
  /** With its parameters. */
  readonly contentType: string;
  /** `session`, `recipient-list;handling=optional`, … */
  readonly disposition?: string;
  /** Without angle brackets. */
  readonly contentId?: string;
  /** Further headers. */
  readonly headers?: readonly HeaderLine[];
  readonly body: Uint8Array | string;
}

/** Prints a multipart body; for multipart/related `type` and `start` name its first part (RFC 2387 §3). */
export function formatMultipart(
  subtype: 'mixed' | 'related' | 'alternative',
  parts: readonly PartToSend[],
  boundary = randomBytes(12).toString('hex'),
): { readonly contentType: string; readonly body: Buffer } {
  const pieces: Uint8Array[] = [];
  for (const part of parts) {
    const lines: HeaderLine[] = [{ name: 'Content-Type', value: part.contentType }, ...(part.headers ?? [])];
    if (part.contentId !== undefined) lines.push({ name: 'Content-ID', value: `<${part.contentId}>` });
    if (part.disposition !== undefined) lines.push({ name: 'Content-Disposition', value: part.disposition });
    const headers = new Headers();
    for (const { name, value } of lines) headers.add(name, value);
    const head = [...headers].map(({ name, value }) => `${name}: ${value}\r\n`).join('');
    pieces.push(Buffer.from(`--${boundary}\r\n${head}\r\n`));
    pieces.push(typeof part.body === 'string' ? Buffer.from(part.body) : part.body, Buffer.from('\r\n'));
  }
  pieces.push(Buffer.from(`--${boundary}--\r\n`));
  const [root] = parts;
  const related = subtype === 'related' && root !== undefined ? relatedParams(root) : '';
  return { contentType: `multipart/${subtype}${related};boundary=${boundary}`, body: Buffer.concat(pieces) };
}

function relatedParams({ contentType, contentId }: PartToSend): string {
  const type = contentType.split(';')[0]?.trim() ?? '';
  return `;type=${quote(type)}${contentId === undefined ? '' : `;start=${quote(`<${contentId}>`)}`}`;
}

/** Whether a message carries a session description, alone or as a part: an offer, or the answer to one. */
export function hasDescription(message: SipMessage): boolean {
  return findPart(bodyOf(message), 'application/sdp') !== undefined;
}
