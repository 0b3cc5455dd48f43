import type { CpimAddress, CpimSubject, MimeHeader } from './cpim.ts';

/** A header of another namespace than RFC 3862's own, with the prefix it is to be written with. */
export interface CpimExtension {
  /** URI of the namespace, declared by an NS header before its first use. */
  readonly namespace: string;
  readonly prefix: string;
  readonly name: string;
  /** Plain text: escapes are added in printing. */
  readonly value: string;
}

/** What a message/cpim object is made of. */
export interface CpimDraft {
  readonly from?: CpimAddress;
  readonly to: readonly CpimAddress[];
  readonly cc?: readonly CpimAddress[];
  readonly dateTime?: Date;
  readonly subjects?: readonly CpimSubject[];
  readonly extensions?: readonly CpimExtension[];
  /** Names as written, prefix included (RFC 3862 §3.5). */
  readonly require?: readonly string[];
  /** The Content-Type value, parameters and all. */
  readonly contentType: string;
  /** Further MIME headers: Content-Disposition, Content-ID, … */
  readonly mimeHeaders?: readonly MimeHeader[];
  /** A string is sent as UTF-8. */
  readonly content: Uint8Array | string;
}

/** How to print for a peer's parser. */
export interface CpimStyle {
  /**
   * Display names: `grammar` keeps exactly to RFC 3862 (`Zoe MSRP <uri>`, `"Zoe, Dr."<uri>`, never a blank between
   * quote and bracket); `plain` never quotes and drops what would need it; `none` prints the URI alone.
   */
  readonly names?: 'grammar' | 'plain' | 'none';
}

/** TOKENCHAR of RFC 3862 §3.6, in words parted by single blanks. */
const TOKENS = /^[!#-'*+\-.0-9A-Z^-`a-z|~\u0080-\u{10ffff}]+(?: [!#-'*+\-.0-9A-Z^-`a-z|~\u0080-\u{10ffff}]+)*$/u;
const NOT_TOKEN = /[^!#-'*+\-.0-9A-Z^-`a-z|~\u0080-\u{10ffff}]+/gu;
/** What is no NAMECHAR; the dot parts a prefix from its name. */
const NOT_NAME = /[^!#-'*+\-.0-9A-Z^-`a-z|~]+/g;
const ESCAPED: Readonly<Record<string, string>> = { '\\': '\\\\', '\b': '\\b', '\t': '\\t', '\n': '\\n', '\r': '\\r' };
const encoder = new TextEncoder();

/**
 * Writes a message/cpim object: CRLF line ends, one space after each colon, each URI in angle brackets. No text given
 * can break out of its header. `parseCpim` gives back the same values, but for blanks at their ends (§2.2) and names under
 * `plain`. Throws what `formatDateTime` throws.
 */
export function formatCpim(draft: CpimDraft, style: CpimStyle = {}): Uint8Array {
  const lines: string[] = [];
  const add = (name: string, value: string): void => {
    lines.push(`${name}: ${value.trim()}`);
  };
  const address = (who: CpimAddress): string => formatCpimAddress(who, style);
  if (draft.from !== undefined) add('From', address(draft.from));
  for (const to of draft.to) add('To', address(to));
  for (const cc of draft.cc ?? []) add('cc', address(cc));
  if (draft.dateTime !== undefined) add('DateTime', formatDateTime(draft.dateTime));
  for (const { text, language } of draft.subjects ?? []) {
    lines.push(
      `Subject:${language === undefined ? '' : `;lang=${language.replace(/[^A-Za-z0-9-]/g, '')}`} ${escapeCpim(text).trim()}`,
    );
  }
  addExtensions(draft.extensions ?? [], add);
  if (draft.require !== undefined && draft.require.length > 0) add('Require', escapeCpim(draft.require.join(',')));
  lines.push('', `Content-Type: ${oneLine(draft.contentType)}`);
  for (const { name, value } of draft.mimeHeaders ?? []) add(oneLine(name), oneLine(value));
  const head = encoder.encode(`${lines.join('\r\n')}\r\n\r\n`);
  const content = typeof draft.content === 'string' ? encoder.encode(draft.content) : draft.content;
  const bytes = new Uint8Array(head.length + content.length);
  bytes.set(head);
  bytes.set(content, head.length);
  return bytes;
}

/**
 * Writes the date and time of RFC 3339, in UTC; `parseDateTime` gives back the same. Throws a RangeError for a date that
 * is invalid, or of a year that has not four digits; none that `parseDateTime` gives is so.
 */
export function formatDateTime(date: Date): string {
  const text = date.toISOString();
  if (/^[+-]/.test(text)) throw new RangeError(`a year that RFC 3339 cannot tell: ${text}`);
  return text;
}

/** Writes `[ Formal-name ] "<" URI ">"` (RFC 3862 §4.1). */
export function formatCpimAddress({ name, uri }: CpimAddress, style: CpimStyle = {}): string {
  const place = uriText(uri);
  const names = style.names ?? 'grammar';
  if (name === undefined || name === '' || names === 'none') return place;
  if (TOKENS.test(name)) return `${name} ${place}`;
  if (names === 'grammar') return `"${escapeCpim(name).replace(/"/g, '\\"')}"${place}`;
  const plain = name.replace(NOT_TOKEN, ' ').trim();
  return plain === '' ? place : `${plain} ${place}`;
}

/** Writes text as a header value (RFC 3862 §2.3.1). */
export function escapeCpim(text: string): string {
  return text.replace(/[\\\p{Cc}]/gu, (char) => {
    const code = char.charCodeAt(0);
    if (code > 0x7f) return char;
    return ESCAPED[char] ?? `\\u${code.toString(16).padStart(4, '0')}`;
  });
}

function addExtensions(extensions: readonly CpimExtension[], add: (name: string, value: string) => void): void {
  const declared = new Map<string, string>();
  for (const { namespace, name, value, ...extension } of extensions) {
    const prefix = extension.prefix.replace(NOT_NAME, '');
    if (declared.get(prefix) !== namespace) {
      add('NS', `${prefix} ${uriText(namespace)}`);
      declared.set(prefix, namespace);
    }
    add(`${prefix}.${name.replace(NOT_NAME, '')}`, escapeCpim(value));
  }
}

function uriText(uri: string): string {
  return `<${uri.replace(/[\p{Cc}\s<>]/gu, (char) => encodeURIComponent(char))}>`;
}

function oneLine(text: string): string {
  return text.replace(/[\r\n\0]+/g, ' ');
}
