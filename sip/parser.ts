import { isAscii, isUtf8 } from 'node:buffer';
import { SipError } from './errors.ts';
import { CONTENT_LENGTH, formatVia, parseVia, type Via } from './fields.ts';
import { isToken, singleLine, splitList } from './grammar.ts';
import { type HeaderField, headerKey, Headers } from './headers.ts';
import { type SipMessage, SipRequest, SipResponse, stampedVia, statelessTag } from './message.ts';
import { parseUri } from './uri.ts';

/** What a message may be at most; beyond it is refused before anything is built from it. */
export interface ParserLimits {
  /** Bytes of a whole message. Default 262144. */
  readonly messageBytes: number;
  /** Header lines, folded ones counted once. Default 256. */
  readonly headers: number;
  /** Characters of one header line with its folds. Default 8192. */
  readonly headerLine: number;
  /** Via values: more means that the request has run in circles (RFC 5393). Default 70. */
  readonly viaDepth: number;
}

/** The limits unless told otherwise. */
export const DEFAULT_PARSER_LIMITS: ParserLimits = {
  messageBytes: 262_144,
  headers: 256,
  headerLine: 8192,
  viaDepth: 70,
};

const CR = 13;
const LF = 10;

/** Up to this many characters a head is worth less than the copying of its values. */
const SLICED_BELOW = 2048;

const same = (text: string): string => text;

/** The same text in memory of its own. */
const copied = (text: string): string => Buffer.from(text).toString();

/**
 * Parses one whole message: a datagram, or what the framer cut out of a stream (RFC 3261 §7). Start line, header lines
 * and Content-Length are checked, and the headers that every message has (Via, From, To, Call-ID, CSeq) are parsed;
 * all others are parsed on first use. The body is a slice of `bytes`; what follows it in a datagram is dropped (§18.3).
 *
 * @throws SipError 400 for what is malformed, 505 for another version of SIP, 513 for what exceeds `limits`, 483 for
 * too many Vias. A request is then answered with `refuse`, a response is dropped.
 */
export function parseMessage(bytes: Buffer, limits: ParserLimits = DEFAULT_PARSER_LIMITS): SipMessage {
  if (bytes.length > limits.messageBytes) throw new SipError(513, `message exceeds ${limits.messageBytes} bytes`);
  const start = skipLineBreaks(bytes);
  const blank = bytes.indexOf('\r\n\r\n', start, 'latin1');
  if (blank === -1) throw new SipError(400, 'no empty line after the headers');
  const head = decodeHead(bytes, start, blank);
  const lineEnd = endOfLine(head, 0);
  const headers = new Headers(parseHeaderLines(head, lineEnd + 2, limits));
  const body = cutBody(bytes, blank + 4, headers);
  const startLine = head.slice(0, lineEnd);
  const message = parseStartLine(head.length > SLICED_BELOW ? copied(startLine) : startLine, headers, body);
  checkMandatory(message, limits);
  return message;
}

/** RFC 3261 §7.5: line breaks before the start line are ignored. */
function skipLineBreaks(bytes: Uint8Array): number {
  let at = 0;
  while (bytes[at] === CR || bytes[at] === LF) at++;
  return at;
}

/** Headers are UTF-8 (RFC 3261 §7). Bytes that are none are taken as ISO 8859-1, which is what old phones send. */
function decodeHead(bytes: Buffer, start: number, end: number): string {
  const head = bytes.subarray(start, end);
  return head.toString(!isAscii(head) && isUtf8(head) ? 'utf8' : 'latin1');
}

function endOfLine(head: string, from: number): number {
  const end = head.indexOf('\r\n', from);
  return end === -1 ? head.length : end;
}

/** Header lines of `head` from `start` to its end, which are parted by CRLF; folds become spaces (RFC 3261 §7.3.1). */
export function parseHeaderLines(head: string, start: number, limits: ParserLimits): HeaderField[] {
  const fields: HeaderField[] = [];
  // A slice keeps the whole head alive: whoever remembers a Call-ID would remember what came with it.
  const keep = head.length > SLICED_BELOW ? copied : same;
  for (let at = start; at < head.length;) {
    let end = endOfLine(head, at);
    let folded = false;
    while (isBlank(head.charCodeAt(end + 2))) {
      folded = true;
      end = endOfLine(head, end + 2);
    }
    if (end - at > limits.headerLine) throw new SipError(513, `header line exceeds ${limits.headerLine} characters`);
    if (fields.length >= limits.headers) throw new SipError(513, `more than ${limits.headers} header lines`);
    fields.push(parseField(head, at, end, folded, keep));
    at = end + 2;
  }
  return fields;
}

function isBlank(code: number): boolean {
  return code === 32 || code === 9;
}

/** `header-name HCOLON header-value` (RFC 3261 §25.1) from `at` to `end`; folds become spaces. */
function parseField(
  head: string,
  at: number,
  end: number,
  folded: boolean,
  keep: (text: string) => string,
): HeaderField {
  const colon = head.indexOf(':', at);
  if (colon === -1 || colon > end) throw new SipError(400, 'header line without a colon');
  let nameEnd = colon;
  while (isBlank(head.charCodeAt(nameEnd - 1))) nameEnd--;
  const name = head.slice(at, nameEnd);
  if (!isToken(name)) throw new SipError(400, 'bad header name');
  const raw = head.slice(colon + 1, end);
  const value = folded ? unfold(raw) : trimBlanks(raw);
  if (value.includes('\r') || value.includes('\n')) throw new SipError(400, `line break in ${name}`);
  return { name, key: headerKey(name), value: keep(value) };
}

/** A fold is one space; folds at either end are none (RFC 3261 §7.3.1). */
function unfold(value: string): string {
  let out = '';
  for (const line of value.split('\r\n')) {
    const text = trimBlanks(line);
    if (text !== '') out += out === '' ? text : ` ${text}`;
  }
  return out;
}

/** Without the spaces and tabs at either end. A pattern for it would take quadratic time. */
function trimBlanks(text: string): string {
  let from = 0;
  let to = text.length;
  while (from < to && isBlank(text.charCodeAt(from))) from++;
  while (to > from && isBlank(text.charCodeAt(to - 1))) to--;
  return text.slice(from, to);
}

/** RFC 3261 §18.3: Content-Length bytes of body; to the end of the datagram where the header is absent. */
function cutBody(bytes: Buffer, start: number, headers: Headers): Uint8Array {
  const length = headers.read(CONTENT_LENGTH);
  if (length === undefined) return bytes.subarray(start);
  if (length > bytes.length - start) throw new SipError(400, 'body shorter than Content-Length');
  return bytes.subarray(start, start + length);
}

function parseStartLine(line: string, headers: Headers, body: Uint8Array): SipMessage {
  if (/^SIP\//i.test(line)) return parseStatusLine(line, headers, body);
  const first = line.indexOf(' ');
  const last = line.lastIndexOf(' ');
  if (first === -1 || first === last) throw new SipError(400, 'bad request line');
  const method = line.slice(0, first);
  if (!isToken(method)) throw new SipError(400, 'bad method');
  checkVersion(line.slice(last + 1));
  const uri = line.slice(first + 1, last);
  return new SipRequest(method, parseUri(uri), headers, body, uri);
}

function parseStatusLine(line: string, headers: Headers, body: Uint8Array): SipResponse {
  const match = /^(\S+) ([1-6]\d\d)(?: (.*))?$/.exec(line);
  if (match === null) throw new SipError(400, 'bad status line');
  const [, version = '', status, reason = ''] = match;
  checkVersion(version);
  return new SipResponse(Number(status), reason, headers, body);
}

/** RFC 3261 §7.1: "implementations MUST send upper-case" but compare without regard to case. */
function checkVersion(version: string): void {
  if (version === 'SIP/2.0') return;
  const match = /^SIP\/(\d+)\.(\d+)$/i.exec(version);
  if (match === null) throw new SipError(400, 'bad SIP version');
  if (Number(match[1]) !== 2 || Number(match[2]) !== 0) throw new SipError(505, 'SIP version is not 2.0');
}

function checkMandatory(message: SipMessage, limits: ParserLimits): void {
  const { via, cseq } = message.essentials();
  if (via.length > limits.viaDepth) throw new SipError(483, `more than ${limits.viaDepth} Via values`);
  if (message.kind === 'request' && cseq.method !== message.method) {
    throw new SipError(400, 'CSeq method is not the method of the request');
  }
}

/** What a response copies from its request (RFC 3261 §8.2.6.2), in this order. */
const COPIED = ['via', 'from', 'to', 'call-id', 'cseq'] as const;

/** As much of a request line as tells one from noise, but for an ACK, which nobody answers. */
const REQUEST_LINE = /^(?!ACK\s)\S+\s.*SIP\/\d+\.\d+\s*$/i;

/**
 * The answer to bytes that `parseMessage` refused with `error`, made without state of whatever can be told of them.
 * `undefined` where there is nothing to answer: a response, an ACK, noise, or a request without a Via to send it by
 * and a CSeq to know it by. From, To and Call-ID are copied where they are (RFC 4475 §3.3.1). Never throws.
 *
 * @param source where the bytes came from: goes into the top Via (RFC 3261 §18.2.1, RFC 3581 §4)
 */
export function refuse(
  bytes: Buffer,
  error: SipError,
  source?: { readonly address: string; readonly port: number },
): SipResponse | undefined {
  const lines = legibleLines(bytes);
  if (!REQUEST_LINE.test(lines.shift() ?? '')) return undefined;
  const fields = legibleFields(lines);
  const headers = new Headers(
    COPIED.flatMap((key) => {
      const found = fields.filter((field) => field.key === key);
      return key === 'via' ? found : found.slice(0, 1);
    }),
  );
  if (!headers.has('CSeq') || !stampFirstVia(headers, source)) return undefined;
  const to = headers.get('To');
  if (to !== undefined && !/;\s*tag\s*=/i.test(to)) {
    headers.set('To', `${to};tag=${statelessTag([...headers].map(({ value }) => value))}`);
  }
  for (const { name, value } of error.headers) headers.add(name, value);
  return new SipResponse(error.status, singleLine(error.reason), headers);
}

/** At most so many bytes of a head that is broken are looked at for an answer. */
const LEGIBLE = 65_536;

/** And so many of its lines. */
const LEGIBLE_LINES = 512;

function legibleLines(bytes: Buffer): string[] {
  const start = skipLineBreaks(bytes);
  const blank = bytes.indexOf('\r\n\r\n', start, 'latin1');
  // Without its end a head may be cut anywhere: its last line is whole only with its line break.
  const whole = blank !== -1 && blank - start <= LEGIBLE;
  const end = whole ? blank : Math.max(start, bytes.lastIndexOf('\r\n', start + LEGIBLE, 'latin1'));
  return decodeHead(bytes, start, end)
    .replace(/\r\n[ \t]+/g, ' ')
    .split(/\r?\n/, LEGIBLE_LINES);
}

function legibleFields(lines: readonly string[]): HeaderField[] {
  const fields: HeaderField[] = [];
  for (const line of lines) {
    const colon = line.indexOf(':');
    if (colon === -1) continue;
    const name = line.slice(0, colon).trim();
    const value = singleLine(line.slice(colon + 1));
    if (isToken(name) && value !== '') fields.push({ name, key: headerKey(name), value });
  }
  return fields;
}

/** The first Via must be legible, or nobody would get the answer. */
function stampFirstVia(
  headers: Headers,
  source: { readonly address: string; readonly port: number } | undefined,
): boolean {
  const [first = '', ...rest] = headers.all('Via').flatMap(splitList);
  let via: Via;
  try {
    via = parseVia(first);
  } catch {
    return false;
  }
  const stamped = source === undefined ? via : stampedVia(via, source.address, source.port);
  headers.set('Via', stamped === via ? first : formatVia(stamped), ...rest);
  return true;
}
