import { type ContentType, parameterOf, parseContentType } from './content-type.ts';
import { MsrpError } from './errors.ts';
import { decodeText as decodeUtf8, octets } from './bytes.ts';

/** The namespace of the headers of RFC 3862 itself: the default one (§4). */
export const CPIM_NAMESPACE = 'urn:ietf:params:cpim-headers:';

/** A person or place: `[ Formal-name ] "<" URI ">"` (RFC 3862 §4.1). */
export interface CpimAddress {
  /** Without quotes and escapes. */
  readonly name?: string;
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

const LF = 10;
const CR = 13;
const EQUALS = 61;
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const HEADER =
  /^((?:([!#-'*+\-0-9A-Z^-`a-z|~]+)\.)?([!#-'*+\-0-9A-Z^-`a-z|~]+(?:\.[!#-'*+\-0-9A-Z^-`a-z|~]+)*)):((?:;[^\s";]+(?:"(?:[^"\\]|\\.)*")?)*)[ \t]*(.*)$/s;
const MIME_HEADER = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+)[ \t]*:[ \t]*(.*)$/s;
const BARE_URI = /^[A-Za-z][A-Za-z0-9+.-]*:[^\s<>]+$/;
/** CTL but for the tab, which clients do send between words. */
const CONTROL = /[^\P{Cc}\t\u0080-\u009f]/u;

/**
 * Reads a message/cpim object in one pass. Bare LF line ends, blanks around values, unquoted display names, a missing
 * Content-Type and an empty Content-Transfer-Encoding are taken, because clients in use send them. Throws `MsrpError`:
 * 400 for what cannot be read or has two authors, 413 beyond the limits.
 */
export function parseCpim(bytes: Uint8Array, limits: CpimLimits = {}): CpimMessage {
  const reader = new HeadReader(bytes, limits.maxHeaders ?? 500, limits.maxHeadBytes ?? 65_536);
  const headers = headersOf(reader.block());
  const mimeHeaders = mimeHeadersOf(reader.block());
  const content = bytes.subarray(reader.position);
  const own = headers.filter(({ namespace }) => namespace === CPIM_NAMESPACE);
  const valuesOf = (name: string): string[] => own.filter((header) => header.name === name).map(({ value }) => value);
  const isAuthor = ({ written, name, namespace }: CpimHeader): boolean =>
    written === 'From' || (name === 'From' && namespace === CPIM_NAMESPACE);
  if (headers.filter(isAuthor).length > 1) {
    // Whichever From we checked, some client would show the other one.
    throw new MsrpError(400, 'CPIM with two From headers');
  }
  const [from] = valuesOf('From');
  const [dateTime] = valuesOf('DateTime');
  const contentType = mimeHeaders.find(({ name }) => name === 'content-type')?.value;
  return {
    bytes,
    headers,
    from: from === undefined ? undefined : parseCpimAddress(from),
    to: valuesOf('To').map(parseCpimAddress),
    cc: valuesOf('cc').map(parseCpimAddress),
    dateTime: dateTime === undefined ? undefined : parseDateTime(dateTime),
    subjects: own.filter(({ name }) => name === 'Subject').map(subjectOf),
    require: valuesOf('Require')
      .flatMap((value) => value.split(','))
      .map((name) => name.trim())
      .filter((name) => name !== ''),
    mimeHeaders,
    contentType: parseContentType(contentType === undefined || contentType === '' ? 'text/plain' : contentType),
    content,
  };
}

/** The values of a header of some namespace, escapes undone, in order (RFC 3862 §3.4). */
export function cpimValues(message: CpimMessage, namespace: string, name: string): string[] {
  return message.headers
    .filter((header) => header.name === name && header.namespace === namespace)
    .map(({ value }) => unescapeCpim(value));
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
  const prefixes = new Map(message.headers.map(({ written, name, namespace }) => [written, { name, namespace }]));
  return message.require.filter((written) => {
    const header = prefixes.get(written) ?? {
      namespace: written.includes('.') ? undefined : CPIM_NAMESPACE,
      name: written,
    };
    return !understood(header.namespace, header.name);
  });
}

/** The content without its transfer encoding (RFC 2045 §6). Throws `MsrpError` 400 for broken base64. */
export function contentOf(message: CpimMessage): Uint8Array {
  const encoding = mimeValue(message, 'content-transfer-encoding')?.trim().toLowerCase();
  if (encoding === 'base64') return fromBase64(message.content);
  if (encoding === 'quoted-printable') return fromQuotedPrintable(message.content);
  return message.content;
}

/** The content as text; octets that its charset does not know become U+FFFD, an unknown charset is read as UTF-8. */
export function textOf(message: CpimMessage): string {
  const charset = parameterOf(message.contentType, 'charset')?.trim().toLowerCase() ?? 'utf-8';
  return decodeText(charset, contentOf(message));
}

/** Reads `[ Formal-name ] "<" URI ">"`; also a bare URI. Throws `MsrpError` 400. */
export function parseCpimAddress(value: string): CpimAddress {
  const text = value.trim();
  const open = text.lastIndexOf('<');
  const close = text.indexOf('>', open);
  if (open < 0 || close < 0) {
    if (BARE_URI.test(text)) return { uri: text };
    throw new MsrpError(400, 'CPIM address without a URI');
  }
  const uri = text.slice(open + 1, close).trim();
  if (!BARE_URI.test(uri)) throw new MsrpError(400, 'CPIM address without a URI');
  const formal = text.slice(0, open).trim();
  const quoted = formal.length > 1 && formal.startsWith('"') && formal.endsWith('"');
  const name = unescapeCpim(quoted ? formal.slice(1, -1) : formal);
  return name === '' ? { uri } : { name, uri };
}

const ESCAPES: Readonly<Record<string, string>> = { b: '\b', t: '\t', n: '\n', r: '\r' };

/** Undoes the escapes of a header value (RFC 3862 §2.3). */
export function unescapeCpim(value: string): string {
  if (!value.includes('\\')) return value;
  return value.replace(/\\(?:u([0-9A-Fa-f]{4})|(.)|$)/gsu, (_, hex: string | undefined, char: string | undefined) => {
    if (hex !== undefined) return String.fromCharCode(parseInt(hex, 16));
    return char === undefined ? '' : (ESCAPES[char] ?? char);
  });
}

/** Reads the date and time of RFC 3339; undefined for anything else, so for years beyond 9999. */
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
  return Number.isNaN(date.getTime()) ? undefined : date;
}

/** Walks the lines of the two header blocks; every octet is looked at once. */
class HeadReader {
  readonly #bytes: Uint8Array;
  readonly #maxBytes: number;
  #linesLeft: number;
  position = 0;

  constructor(bytes: Uint8Array, maxHeaders: number, maxBytes: number) {
    this.#bytes = bytes;
    this.#linesLeft = maxHeaders;
    this.#maxBytes = maxBytes;
  }

  /** The lines up to the next blank one, which is passed over, or to the end. */
  block(): string[] {
    const start = this.position;
    for (;;) {
      const lf = this.#bytes.indexOf(LF, this.position);
      const end = lf < 0 ? this.#bytes.length : lf;
      if (end > this.#maxBytes) throw new MsrpError(413, `CPIM with more than ${this.#maxBytes} octets of headers`);
      const blank = end === this.position || (end === this.position + 1 && this.#bytes[this.position] === CR);
      const lineStart = this.position;
      this.position = lf < 0 ? end : lf + 1;
      if (blank || lf < 0) return this.#lines(start, blank ? lineStart : end);
      if (--this.#linesLeft < 0) throw new MsrpError(413, 'CPIM with too many headers');
    }
  }

  #lines(start: number, end: number): string[] {
    if (start === end) return [];
    const text = decodeHead(this.#bytes.subarray(start, end));
    const lines = text.split('\n').map((line) => (line.endsWith('\r') ? line.slice(0, -1) : line));
    if (lines[lines.length - 1] === '') lines.pop();
    return lines;
  }
}

function decodeHead(bytes: Uint8Array): string {
  const text = decodeUtf8(octets(bytes));
  // What is no UTF-8 became U+FFFD, which might also have been written: only then the slower decoder has to look.
  if (!text.includes('\ufffd')) return text;
  try {
    return utf8.decode(bytes);
  } catch {
    throw new MsrpError(400, 'CPIM headers are not UTF-8');
  }
}

/** Gives each header the namespace that is in force where it stands (RFC 3862 §3.4). */
function headersOf(lines: readonly string[]): CpimHeader[] {
  const namespaces = new Map<string, string>();
  let inForce = CPIM_NAMESPACE;
  return lines.map((line) => {
    const parts = CONTROL.test(line) ? null : HEADER.exec(line);
    if (parts === null) throw new MsrpError(400, 'CPIM with a line that is no header');
    const [, written = '', prefix, rest = '', parameters = '', blankEnded = ''] = parts;
    const value = blankEnded.trimEnd();
    const namespace = prefix === undefined ? inForce : namespaces.get(prefix);
    if (written === 'NS') {
      const [, declared, uri] = /^([^\s<]*)\s*<([^<>\s]+)>$/.exec(value) ?? [];
      if (declared === '' && uri !== undefined) inForce = uri;
      else if (declared !== undefined && uri !== undefined) namespaces.set(declared, uri);
      return { written, name: rest, namespace: CPIM_NAMESPACE, parameters, value };
    }
    return { written, name: rest, namespace, parameters, value };
  });
}

/** MIME headers may be folded (RFC 2045 by way of RFC 822). */
function mimeHeadersOf(lines: readonly string[]): MimeHeader[] {
  const unfolded: string[][] = [];
  for (const line of lines) {
    const last = unfolded[unfolded.length - 1];
    if (last !== undefined && /^[ \t]/.test(line)) last.push(line.trim());
    else unfolded.push([line]);
  }
  return unfolded.map((folded) => {
    const parts = MIME_HEADER.exec(folded.join(' '));
    if (parts === null) throw new MsrpError(400, 'CPIM content with a line that is no MIME header');
    const [, name = '', value = ''] = parts;
    return { name: name.toLowerCase(), value: value.trim() };
  });
}

function subjectOf(header: CpimHeader): CpimSubject {
  const text = unescapeCpim(header.value);
  const language = /;lang=([^;]+)/.exec(header.parameters)?.[1];
  return language === undefined ? { text } : { text, language };
}

function decodeText(charset: string, bytes: Uint8Array): string {
  try {
    return new TextDecoder(charset).decode(bytes);
  } catch {
    return new TextDecoder().decode(bytes);
  }
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
