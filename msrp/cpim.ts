import { type ContentType, parameterOf, parseContentType } from './content-type.ts';
import { MsrpError } from './errors.ts';
import { decodeText as decodeUtf8, octets, ownPart } from './bytes.ts';

/** The namespace of the headers of RFC 3862 itself: the default one (§4). */
export const CPIM_NAMESPACE = 'urn:ietf:params:cpim-headers:';

/** A person or place: `[ Formal-name ] "<" URI ">"` (RFC 3862 §4.1). */
export interface CpimAddress {
  /** Without quotes and escapes. */
  readonly name?: string;
  /** Empty in a message that names somebody by what is no URI: whether that is 403 or 404 (RFC 7701 §6) its reader says. */
  readonly uri: string;
}

/** A message header in its place (RFC 3862 §3). */
export interface CpimHeader {
  /** As written, prefix included. */
  readonly written: string;
  /** The name behind the prefix. */
  readonly name: string;
  /** The URI that the prefix, or its absence, stands for at this place; undefined for a prefix never declared. */
  readonly namespace: string | undefined;
  /** `;lang=fr` and the like, as written; mostly empty. */
  readonly parameters: string;
  /** As written, escapes and all; `unescapeCpim` undoes them. */
  readonly value: string;
}

/** A Subject in one language (RFC 3862 §4.5). */
export interface CpimSubject {
  readonly text: string;
  readonly language?: string;
}

/** A MIME header of the content; its name in lower case. */
export interface MimeHeader {
  readonly name: string;
  readonly value: string;
}

/** A message/cpim object as received (RFC 3862). */
export interface CpimMessage {
  /** The whole object, not a byte changed: what is passed on (§6). */
  readonly bytes: Uint8Array;
  /** All message headers, known or not, in their order. */
  readonly headers: readonly CpimHeader[];
  readonly from: CpimAddress | undefined;
  readonly to: readonly CpimAddress[];
  readonly cc: readonly CpimAddress[];
  /** Undefined when absent, or no date of RFC 3339. */
  readonly dateTime: Date | undefined;
  readonly subjects: readonly CpimSubject[];
  /** Written names of headers and features that must be understood (§3.5). */
  readonly require: readonly string[];
  readonly mimeHeaders: readonly MimeHeader[];
  /** Of the content; `text/plain` when it does not say (RFC 2045 §5.2). */
  readonly contentType: ContentType;
  /** The content as it stands in `bytes`; `contentOf` undoes its transfer encoding. */
  readonly content: Uint8Array;
}

/** Bounds for reading. */
export interface CpimLimits {
  /** Message headers and MIME headers together. */
  readonly maxHeaders?: number;
  /** Octets before the content. */
  readonly maxHeadBytes?: number;
}

const [TAB, LF, CR, SPACE, DOT, COLON, SEMICOLON, EQUALS, DELETE] = [9, 10, 13, 32, 46, 58, 59, 61, 127] as const;
const BYTE_ORDER_MARK = 0xfeff;
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
/** By its code, whether a character may stand in the name of a message header between dots. */
const IN_NAME: readonly boolean[] = Array.from({ length: 128 }, (_, code) =>
  /[!#-'*+\-0-9A-Z^-`a-z|~]/.test(String.fromCharCode(code)),
);
const PARAMETERS = /^(?:;[^\s";]+(?:"(?:[^"\\]|\\.)*")?)*/;
const MIME_NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+[ \t]*$/;
const BARE_URI = /^[A-Za-z][A-Za-z0-9+.-]*:[^\s<>]+$/;
const ONLY_URI = /^<[A-Za-z][A-Za-z0-9+.-]*:[^\s<>]+>$/;
const QUOTED = /^"(?:[^"\\]|\\.)*"$/s;

/**
 * Reads a message/cpim object in one pass. Bare LF line ends, blanks around values, unquoted display names, a missing
 * Content-Type and an empty Content-Transfer-Encoding are taken, because clients in use send them. Throws `MsrpError`:
 * 400 for what cannot be read or has two authors, 413 beyond the limits.
 */
export function parseCpim(bytes: Uint8Array, limits: CpimLimits = {}): CpimMessage {
  const reader = new HeadReader(bytes, limits.maxHeaders ?? 500, limits.maxHeadBytes ?? 65_536);
  const headers = headersOf(reader.block());
  // Tabs apart, which clients do send between words.
  if (reader.sawControl) throw new MsrpError(400, 'CPIM with a control character in a header');
  const mimeHeaders = mimeHeadersOf(reader.block());
  return new ReceivedCpim(bytes, headers, mimeHeaders, bytes.subarray(reader.position));
}

/** What nearly nobody asks for is read when it is. */
class ReceivedCpim implements CpimMessage {
  readonly bytes: Uint8Array;
  readonly headers: readonly CpimHeader[];
  readonly mimeHeaders: readonly MimeHeader[];
  readonly content: Uint8Array;
  readonly from: CpimAddress | undefined;
  readonly to: readonly CpimAddress[];
  readonly cc: readonly CpimAddress[];
  readonly contentType: ContentType;

  constructor(
    bytes: Uint8Array,
    headers: readonly CpimHeader[],
    mimeHeaders: readonly MimeHeader[],
    content: Uint8Array,
  ) {
    this.bytes = bytes;
    this.headers = headers;
    this.mimeHeaders = mimeHeaders;
    this.content = content;
    const to: CpimAddress[] = [];
    const cc: CpimAddress[] = [];
    let from: CpimAddress | undefined;
    let authors = 0;
    for (const { written, name, namespace, value } of headers) {
      const isOwn = namespace === CPIM_NAMESPACE;
      if (written === 'From' || (isOwn && name === 'From')) authors += 1;
      if (!isOwn) continue;
      if (name === 'From') from ??= addressIn(value);
      else if (name === 'To') to.push(addressIn(value));
      else if (name === 'cc') cc.push(addressIn(value));
    }
    // Whichever From we checked, some client would show the other one.
    if (authors > 1) throw new MsrpError(400, 'CPIM with two From headers');
    this.from = from;
    this.to = to;
    this.cc = cc;
    const type = mimeHeaders.find(({ name }) => name === 'content-type')?.value;
    this.contentType = parseContentType(type === undefined || type === '' ? 'text/plain' : type);
  }

  get dateTime(): Date | undefined {
    const written = this.#own('DateTime')[0]?.value;
    return written === undefined ? undefined : parseDateTime(written);
  }

  get subjects(): readonly CpimSubject[] {
    return this.#own('Subject').map(subjectOf);
  }

  get require(): readonly string[] {
    return this.#own('Require')
      .flatMap(({ value }) => value.split(','))
      .map((name) => name.trim())
      .filter((name) => name !== '');
  }

  #own(name: string): readonly CpimHeader[] {
    return this.headers.filter((header) => header.name === name && header.namespace === CPIM_NAMESPACE);
  }
}

/** The values of a header of some namespace, escapes undone, in order (RFC 3862 §3.4). */
export function cpimValues(message: CpimMessage, namespace: string, name: string): string[] {
  const values: string[] = [];
  for (const header of message.headers) {
    if (header.name === name && header.namespace === namespace) values.push(unescapeCpim(header.value));
  }
  return values;
}

/** The value of a MIME header of the content. */
export function mimeValue(message: CpimMessage, name: string): string | undefined {
  return message.mimeHeaders.find((header) => header.name === name.toLowerCase())?.value;
}

/** Required headers whose namespace and name `understood` does not know (RFC 3862 §3.5). */
export function notUnderstood(
  message: CpimMessage,
  understood: (namespace: string | undefined, name: string) => boolean,
): string[] {
  const headers = new Map(message.headers.map((header) => [header.written, header]));
  const namespaces = new Map([['', CPIM_NAMESPACE]]);
  for (const { written, value } of message.headers) {
    const declared = written === 'NS' ? declarationOf(value) : undefined;
    if (declared !== undefined) namespaces.set(declared.prefix, declared.namespace);
  }
  return message.require.filter((written) => {
    const dot = written.indexOf('.');
    // A feature needs no header of its name.
    const header = headers.get(written) ?? {
      namespace: namespaces.get(written.slice(0, Math.max(0, dot))),
      name: written.slice(dot + 1),
    };
    return !understood(header.namespace, header.name);
  });
}

/** The content without its transfer encoding (RFC 2045 §6). Throws `MsrpError` 400 for broken base64. */
export function contentOf(message: CpimMessage): Uint8Array {
  return decoded(message, message.content);
}

function decoded(message: CpimMessage, content: Uint8Array): Uint8Array {
  const encoding = mimeValue(message, 'content-transfer-encoding')?.trim().toLowerCase();
  if (encoding === 'base64') return fromBase64(content);
  if (encoding === 'quoted-printable') return fromQuotedPrintable(content);
  return content;
}

/**
 * The content as text; octets that its charset does not know become U+FFFD, an unknown charset is read as UTF-8.
 * @param most octets of the content, with its transfer encoding, that are read
 */
export function textOf(message: CpimMessage, most = Infinity): string {
  const charset = parameterOf(message.contentType, 'charset')?.trim().toLowerCase() ?? 'utf-8';
  const { content } = message;
  return decodeText(charset, decoded(message, content.length > most ? content.subarray(0, most) : content));
}

/** Reads `[ Formal-name ] "<" URI ">"`; also a bare URI. Throws `MsrpError` 400. */
export function parseCpimAddress(value: string): CpimAddress {
  const address = addressIn(value);
  if (address.uri === '') throw new MsrpError(400, 'CPIM address without a URI');
  return address;
}

function addressIn(value: string): CpimAddress {
  const text = value.trim();
  // As most are.
  if (ONLY_URI.test(text)) return { uri: text.slice(1, -1) };
  const open = text.lastIndexOf('<');
  const close = text.indexOf('>', open);
  const uri = open < 0 || close < 0 ? text : text.slice(open + 1, close).trim();
  if (!BARE_URI.test(uri)) return NOBODY;
  const formal = text.slice(0, Math.max(0, open)).trim();
  const quoted = QUOTED.test(formal);
  const bracket = quoted ? -1 : formal.indexOf('<');
  // Whichever URI we took, some client would show the other one.
  if (bracket >= 0 && formal.includes('>', bracket)) return NOBODY;
  const name = unescapeCpim(quoted ? formal.slice(1, -1) : formal);
  return name === '' ? { uri } : { name, uri };
}

const NOBODY: CpimAddress = { uri: '' };

const ESCAPES: Readonly<Record<string, string>> = { b: '\b', t: '\t', n: '\n', r: '\r' };

/** Undoes the escapes of a header value (RFC 3862 §2.3). */
export function unescapeCpim(value: string): string {
  if (!value.includes('\\')) return value;
  return value.replace(/\\(?:u([0-9A-Fa-f]{4})|(.)|$)/gsu, (_, hex: string | undefined, char: string | undefined) => {
    if (hex !== undefined) return String.fromCharCode(parseInt(hex, 16));
    return char === undefined ? '' : (ESCAPES[char] ?? char);
  });
}

/** Reads the date and time of RFC 3339; undefined for anything else, so for years that in UTC have not four digits. */
export function parseDateTime(value: string): Date | undefined {
  const parts = /^(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d):(\d\d)(\.\d{1,30})?(?:([Zz])|([+-]\d\d):?(\d\d))?$/.exec(
    value.trim(),
  );
  if (parts === null) return undefined;
  const [, day = '', minute = '', second = '', fraction = '', , hours = '+00', minutes = '00'] = parts;
  // A leap second is told as the second before it, since Date has none.
  const date = new Date(
    `${day}T${minute}:${second === '60' ? '59' : second}${fraction.slice(0, 4)}${hours}:${minutes}`,
  );
  const year = date.getUTCFullYear();
  return year >= 0 && year <= 9999 ? date : undefined;
}

/** Walks the lines of the two header blocks; every octet is looked at once. */
class HeadReader {
  readonly #bytes: Uint8Array;
  readonly #maxBytes: number;
  #linesLeft: number;
  position = 0;
  /** Whether there was a control character that is no tab and does not end a line. */
  sawControl = false;

  constructor(bytes: Uint8Array, maxHeaders: number, maxBytes: number) {
    this.#bytes = octets(bytes);
    this.#linesLeft = maxHeaders;
    this.#maxBytes = maxBytes;
  }

  /** The text up to the next blank line, which is passed over, or to the end. */
  block(): string {
    const bytes = this.#bytes;
    const start = this.position;
    const last = Math.min(bytes.length, this.#maxBytes + 1);
    let line = start;
    for (let at = start; at < last; at++) {
      const octet = bytes[at] ?? 0;
      if (octet >= SPACE && octet !== DELETE) continue;
      if (octet === LF) {
        const length = at - line - (at > line && bytes[at - 1] === CR ? 1 : 0);
        this.position = at + 1;
        if (length === 0) return decodeHead(bytes, start, line);
        if (--this.#linesLeft < 0) throw new MsrpError(413, 'CPIM with too many headers');
        line = at + 1;
      } else if (octet !== TAB && !(octet === CR && (at + 1 === bytes.length || bytes[at + 1] === LF))) {
        this.sawControl = true;
      }
    }
    if (bytes.length > this.#maxBytes)
      throw new MsrpError(413, `CPIM with more than ${this.#maxBytes} octets of headers`);
    this.position = bytes.length;
    return decodeHead(bytes, start, bytes.length);
  }
}

/** Where the LF of the line at `at` is, or the end. */
function lineEnd(text: string, at: number): number {
  const lf = text.indexOf('\n', at);
  return lf < 0 ? text.length : lf;
}

function withoutCr(text: string, at: number, end: number): number {
  return end > at && text.charCodeAt(end - 1) === CR ? end - 1 : end;
}

function decodeHead(bytes: Uint8Array, start: number, end: number): string {
  const text = decodeUtf8(bytes, start, end);
  // What is no UTF-8 became U+FFFD, which might also have been written: only then the slower decoder has to look.
  if (!text.includes('\ufffd')) return text;
  try {
    return utf8.decode(bytes.subarray(start, end));
  } catch {
    throw new MsrpError(400, 'CPIM headers are not UTF-8');
  }
}

/** Gives each header the namespace that is in force where it stands (RFC 3862 §3.4). */
function headersOf(text: string): CpimHeader[] {
  const headers: CpimHeader[] = [];
  /** Other than the default one; most messages have none. */
  let namespaces: Map<string, string> | undefined;
  for (let at = 0; at < text.length;) {
    const lf = lineEnd(text, at);
    const end = withoutCr(text, at, lf);
    const colon = nameEnd(text, at, end);
    const parameters = parametersAt(text, colon + 1, end);
    const written = text.slice(at, colon);
    const value = valueIn(text, colon + 1 + parameters.length, end);
    const dot = written.indexOf('.');
    const name = dot < 0 ? written : written.slice(dot + 1);
    const prefix = dot < 0 ? '' : written.slice(0, dot);
    let namespace = namespaces?.get(prefix) ?? (dot < 0 ? CPIM_NAMESPACE : undefined);
    if (written === 'NS') {
      namespace = CPIM_NAMESPACE;
      const declared = declarationOf(value);
      if (declared !== undefined) (namespaces ??= new Map()).set(declared.prefix, declared.namespace);
    }
    headers.push({ written, name, namespace, parameters, value });
    at = lf + 1;
  }
  return headers;
}

/** Where the colon behind a header's name is: a prefix, if there is a dot, and what is behind it. */
function nameEnd(text: string, at: number, end: number): number {
  let before: number = DOT;
  for (let i = at; i < end; i++) {
    const code = text.charCodeAt(i);
    if (code === COLON && before !== DOT) return i;
    if (code === DOT ? before === DOT : IN_NAME[code] !== true) break;
    before = code;
  }
  throw new MsrpError(400, 'CPIM with a line that is no header');
}

/** The value of an NS header (§4.6); an empty prefix declares the default namespace. */
function declarationOf(value: string): { readonly prefix: string; readonly namespace: string } | undefined {
  const [, prefix, namespace] = /^([^\s<]*)\s*<([^<>\s]+)>$/.exec(value) ?? [];
  return prefix === undefined || namespace === undefined ? undefined : { prefix, namespace };
}

function parametersAt(text: string, at: number, end: number): string {
  if (text.charCodeAt(at) !== SEMICOLON) return '';
  return PARAMETERS.exec(text.slice(at, end))?.[0] ?? '';
}

/** What stands there, without blanks around it. */
function valueIn(text: string, from: number, to: number): string {
  let [start, end] = [from, to];
  while (start < end && isBlank(text.charCodeAt(start))) start++;
  while (end > start && isBlank(text.charCodeAt(end - 1))) end--;
  return ownPart(text.slice(start, end), text);
}

function isBlank(code: number): boolean {
  return code === SPACE || code === TAB;
}

/** MIME headers may be folded (RFC 2045 by way of RFC 822). */
function mimeHeadersOf(text: string): MimeHeader[] {
  const headers: MimeHeader[] = [];
  for (let at = 0; at < text.length;) {
    const lf = lineEnd(text, at);
    const end = withoutCr(text, at, lf);
    const colon = text.indexOf(':', at);
    const name = text.slice(at, colon < 0 || colon > end ? at : colon);
    if (!MIME_NAME.test(name)) throw new MsrpError(400, 'CPIM content with a line that is no MIME header');
    let value = valueIn(text, colon + 1, end);
    for (at = lf + 1; at < text.length && isBlank(text.charCodeAt(at));) {
      const next = lineEnd(text, at);
      value += ` ${valueIn(text, at, withoutCr(text, at, next))}`;
      at = next + 1;
    }
    headers.push({ name: ownPart(name, text).trimEnd().toLowerCase(), value: value.trim() });
  }
  return headers;
}

function subjectOf(header: CpimHeader): CpimSubject {
  const text = unescapeCpim(header.value);
  const language = /;lang=([^;]+)/.exec(header.parameters)?.[1];
  return language === undefined ? { text } : { text, language };
}

function decodeText(charset: string, bytes: Uint8Array): string {
  if (charset !== 'utf-8') {
    try {
      return new TextDecoder(charset).decode(bytes);
    } catch {
      // As UTF-8, then.
    }
  }
  const text = decodeUtf8(octets(bytes));
  return text.charCodeAt(0) === BYTE_ORDER_MARK ? text.slice(1) : text;
}

function fromBase64(bytes: Uint8Array): Uint8Array {
  try {
    return Uint8Array.from(atob(new TextDecoder('latin1').decode(bytes)), (char) => char.charCodeAt(0));
  } catch {
    throw new MsrpError(400, 'CPIM content is not the base64 it says it is');
  }
}

/** One pass over the octets: `=XX` is decoded, `=` at a line's end joins lines, all else stands for itself. */
function fromQuotedPrintable(bytes: Uint8Array): Uint8Array {
  const plain = new Uint8Array(bytes.length);
  let length = 0;
  for (let at = 0; at < bytes.length; at++) {
    const octet = bytes[at] ?? 0;
    const hex = octet === EQUALS ? String.fromCharCode(bytes[at + 1] ?? 0, bytes[at + 2] ?? 0) : '';
    if (/^[0-9A-Fa-f]{2}$/.test(hex)) {
      plain[length++] = parseInt(hex, 16);
      at += 2;
    } else if (octet === EQUALS && bytes[at + 1] === LF) at += 1;
    else if (hex === '\r\n') at += 2;
    else plain[length++] = octet;
  }
  return plain.subarray(0, length);
}
