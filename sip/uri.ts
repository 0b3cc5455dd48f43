import { SipError } from './errors.ts';
import { hasUriCharacters, isHost, parseInteger } from './grammar.ts';
import { type Param, Params } from './params.ts';

/** A header field carried in a URI (`?name=value`), escapes as they came (RFC 3261 §19.1.1). */
export interface UriHeader {
  readonly name: string;
  readonly value: string;
}

/** A `sip:` or `sips:` URI (RFC 3261 §19.1.1). */
export interface SipUri {
  readonly kind: 'sip';
  readonly scheme: 'sip' | 'sips';
  /** The user part with its escapes as it came, case kept; never empty. `decodeUser` gives its text. */
  readonly user?: string;
  /** The password, as it came. */
  readonly password?: string;
  /** Host name, IPv4 address or IPv6 reference in its brackets; in lower case. */
  readonly host: string;
  /** 1–65535. */
  readonly port?: number;
  /** The URI parameters, values with their escapes as they came. */
  readonly params: Params;
  /** The URI headers, in their order. */
  readonly headers: readonly UriHeader[];
}

/** A `tel:` URI (RFC 3966). */
export interface TelUri {
  readonly kind: 'tel';
  readonly scheme: 'tel';
  /** The number as it came: `+` for a global one, visual separators kept. */
  readonly number: string;
  readonly params: Params;
}

/** A URI of a scheme that this library only carries. */
export interface OtherUri {
  readonly kind: 'other';
  /** In lower case. */
  readonly scheme: string;
  /** The whole URI as it came. */
  readonly text: string;
}

/** Any URI that a SIP message may hold (addr-spec, RFC 3261 §25.1). */
export type Uri = SipUri | TelUri | OtherUri;

const NO_HEADERS: readonly UriHeader[] = [];

function bad(text: string, why: string): SipError {
  const shown = text.length > 80 ? `${text.slice(0, 80)}...` : text;
  return new SipError(400, `bad URI ${JSON.stringify(shown)}: ${why}`);
}

const BAD_ESCAPE = /%(?![0-9A-Fa-f]{2})/;
const SCHEME = /^[A-Za-z][A-Za-z0-9+.-]*$/;
/** Each looked for by itself: one pattern for "digits and separators, at least one digit" would take quadratic time. */
const GLOBAL_NUMBER = /^\+[\d().-]+$/;
const LOCAL_NUMBER = /^[\dA-Fa-f*#().-]+$/;
const PHONE_DIGIT = /[\dA-Fa-f*#]/;

/**
 * Parses a URI that is the whole of `text`.
 * @throws SipError 400 when it is none. A scheme that is not known is no fault here: a server answers it 416 where it
 * stands in a Request-URI (RFC 3261 §8.2.2.1).
 */
export function parseUri(text: string): Uri {
  const colon = text.indexOf(':');
  if (colon < 1) throw bad(text, 'no scheme');
  if (!hasUriCharacters(text)) throw bad(text, 'a character must be escaped');
  const scheme = text.slice(0, colon).toLowerCase();
  switch (scheme) {
    case 'sip':
    case 'sips':
      if (text.includes('%') && BAD_ESCAPE.test(text)) throw bad(text, 'bad escape');
      return parseSipUri(scheme, text, colon + 1);
    case 'tel':
      return parseTelUri(text);
    default:
      if (!SCHEME.test(scheme)) throw bad(text, 'bad scheme');
      if (colon === text.length - 1) throw bad(text, 'nothing after the scheme');
      return { kind: 'other', scheme, text };
  }
}

function parseSipUri(scheme: 'sip' | 'sips', text: string, start: number): SipUri {
  const at = text.indexOf('@', start);
  let question = text.indexOf('?', at === -1 ? start : at);
  if (question === -1) question = text.length;
  let semicolon = text.indexOf(';', at === -1 ? start : at);
  if (semicolon === -1 || semicolon > question) semicolon = question;

  const hostStart = at === -1 ? start : at + 1;
  const hostport = text.slice(hostStart, semicolon);
  const bracket = hostport.startsWith('[') ? hostport.indexOf(']') : 0;
  const colon = hostport.indexOf(':', bracket === -1 ? 0 : bracket);
  const host = (colon === -1 ? hostport : hostport.slice(0, colon)).toLowerCase();
  if (!isHost(host)) throw bad(text, 'bad host');

  // Members are set one by one where there is something to set: four times as fast as spreading what may be nothing.
  const uri: Writable<SipUri> = {
    kind: 'sip',
    scheme,
    host,
    params: parseUriParams(text, semicolon, question),
    headers: question === text.length ? NO_HEADERS : parseUriHeaders(text, question + 1),
  };
  if (at !== -1) setUserinfo(uri, text, start, at);
  if (colon !== -1) uri.port = parsePort(text, hostport.slice(colon + 1));
  return uri;
}

type Writable<T> = { -readonly [K in keyof T]: T[K] };

function setUserinfo(uri: Writable<SipUri>, text: string, start: number, at: number): void {
  const colon = text.indexOf(':', start);
  const split = colon !== -1 && colon < at;
  uri.user = text.slice(start, split ? colon : at);
  if (uri.user === '') throw bad(text, 'empty user');
  if (split) uri.password = text.slice(colon + 1, at);
}

function parsePort(text: string, digits: string): number {
  const port = parseInteger(digits, 65535, 'port in URI');
  if (port === 0) throw bad(text, 'port 0');
  return port;
}

function parseUriParams(text: string, start: number, end: number): Params {
  if (start >= end) return Params.none;
  const list: Param[] = [];
  for (const part of text.slice(start + 1, end).split(';')) {
    if (part === '') continue;
    const equal = part.indexOf('=');
    if (equal === 0) throw bad(text, 'parameter without a name');
    list.push(equal === -1 ? { name: part } : { name: part.slice(0, equal), value: part.slice(equal + 1) });
  }
  return new Params(list);
}

function parseUriHeaders(text: string, start: number): readonly UriHeader[] {
  return text
    .slice(start)
    .split('&')
    .map((part) => {
      const equal = part.indexOf('=');
      if (equal < 1) throw bad(text, 'bad header');
      return { name: part.slice(0, equal), value: part.slice(equal + 1) };
    });
}

function parseTelUri(text: string): TelUri {
  const end = text.indexOf(';');
  const number = text.slice(4, end === -1 ? text.length : end);
  const pattern = number.startsWith('+') ? GLOBAL_NUMBER : LOCAL_NUMBER;
  if (!pattern.test(number) || !PHONE_DIGIT.test(number)) throw bad(text, 'bad telephone number');
  return {
    kind: 'tel',
    scheme: 'tel',
    number,
    params: parseUriParams(text, end === -1 ? text.length : end, text.length),
  };
}

/** Prints a URI. `parseUri` of the result is equal to it, part by part. */
export function formatUri(uri: Uri): string {
  switch (uri.kind) {
    case 'other':
      return uri.text;
    case 'tel':
      return `tel:${uri.number}${formatUriParams(uri.params)}`;
    case 'sip': {
      let out = `${uri.scheme}:`;
      if (uri.user !== undefined) out += uri.password === undefined ? `${uri.user}@` : `${uri.user}:${uri.password}@`;
      out += uri.host;
      if (uri.port !== undefined) out += `:${String(uri.port)}`;
      if (uri.params.size > 0) out += formatUriParams(uri.params);
      if (uri.headers.length > 0) out += `?${uri.headers.map((h) => `${h.name}=${h.value}`).join('&')}`;
      return out;
    }
  }
}

function formatUriParams(params: Params): string {
  let out = '';
  for (const { name, value } of params) out += value === undefined ? `;${name}` : `;${name}=${value}`;
  return out;
}

/** A `sip:` URI made of parts; `user` is plain text and is escaped here. */
export function sipUri(parts: {
  readonly user?: string;
  readonly host: string;
  readonly port?: number;
  readonly scheme?: 'sip' | 'sips';
  readonly params?: Params;
}): SipUri {
  const host = parts.host.includes(':') && !parts.host.startsWith('[') ? `[${parts.host}]` : parts.host;
  return {
    kind: 'sip',
    scheme: parts.scheme ?? 'sip',
    ...(parts.user === undefined ? undefined : { user: encodeUser(parts.user) }),
    host: host.toLowerCase(),
    ...(parts.port === undefined ? undefined : { port: parts.port }),
    params: parts.params ?? Params.none,
    headers: NO_HEADERS,
  };
}

/** Text as a user part: whatever RFC 3261 §25.1 `user` does not allow is escaped (as UTF-8). */
export function encodeUser(text: string): string {
  return encodeEscaped(text, /[A-Za-z0-9\-_.!~*'()&=+$,;?/]/);
}

/** Text as the value of a URI header (`hvalue`, RFC 3261 §25.1), escaped (as UTF-8). */
export function encodeHeaderValue(text: string): string {
  return encodeEscaped(text, /[A-Za-z0-9\-_.!~*'()[\]/?:+$]/);
}

function encodeEscaped(text: string, plain: RegExp): string {
  let out = '';
  for (const character of text) {
    if (plain.test(character)) out += character;
    else for (const byte of Buffer.from(character)) out += `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return out;
}

/** The text that an escaped part of a URI stands for; as it came where its escapes are not UTF-8. */
export function decodeEscaped(part: string): string {
  if (!part.includes('%')) return part;
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** The text of the user part, its escapes resolved; `undefined` where there is none. */
export function decodeUser(uri: SipUri): string | undefined {
  return uri.user === undefined ? undefined : decodeEscaped(uri.user);
}

/** `reserved` of RFC 2396, and what could not stand unescaped: escapes of these stay when escapes are compared. */
const MUST_STAY_ESCAPED = /[^A-Za-z0-9\-_.!~*'()]/;

/**
 * Escapes of one part in the one form that compares (RFC 3261 §19.1.4: "Characters other than those in the reserved
 * set are equivalent to their encoding").
 */
function canonicalEscapes(part: string): string {
  if (!part.includes('%')) return part;
  return part.replace(/%([0-9A-Fa-f]{2})/g, (escape, hex: string) => {
    const character = String.fromCharCode(Number.parseInt(hex, 16));
    return MUST_STAY_ESCAPED.test(character) ? escape.toUpperCase() : character;
  });
}

/** The one form of a host that compares: in lower case, IPv6 references as short as can be, names without the final dot. */
export function canonicalHost(name: string): string {
  const host = name.toLowerCase();
  // The WHATWG parser knows the one shortest form of an IPv6 address (RFC 5952); it refuses what is none.
  if (host.startsWith('[') && URL.canParse(`http://${host}`)) return new URL(`http://${host}`).hostname;
  return host.endsWith('.') ? host.slice(0, -1) : host;
}

/** Parameters that must stand in both URIs or in neither (RFC 3261 §19.1.4), besides those that both have. */
const NEVER_IGNORED = ['user', 'ttl', 'method', 'maddr', 'transport'] as const;

/**
 * Whether two URIs are equivalent: RFC 3261 §19.1.4 for sip and sips, RFC 3966 §4 for tel, the same text for others.
 * Not transitive (§19.1.4), so nothing to make a key of: for that there is `uriKey`.
 */
export function uriEquals(a: Uri, b: Uri): boolean {
  if (a.kind === 'sip' && b.kind === 'sip') return sipUriEquals(a, b);
  if (a.kind === 'tel' && b.kind === 'tel') return telUriEquals(a, b);
  return a.kind === 'other' && b.kind === 'other' && a.scheme === b.scheme && restOf(a) === restOf(b);
}

function restOf(uri: OtherUri): string {
  return uri.text.slice(uri.scheme.length);
}

function sipUriEquals(a: SipUri, b: SipUri): boolean {
  return (
    a.scheme === b.scheme &&
    a.port === b.port &&
    canonicalHost(a.host) === canonicalHost(b.host) &&
    canonicalEscapes(a.user ?? '') === canonicalEscapes(b.user ?? '') &&
    (a.password === undefined) === (b.password === undefined) &&
    canonicalEscapes(a.password ?? '') === canonicalEscapes(b.password ?? '') &&
    NEVER_IGNORED.every((name) => a.params.has(name) === b.params.has(name)) &&
    [...a.params].every(({ name, value }) => {
      const other = b.params.get(name);
      return other === undefined || canonicalValue(other) === canonicalValue(value ?? '');
    }) &&
    headersEqual(a.headers, b.headers)
  );
}

function canonicalValue(value: string): string {
  return canonicalEscapes(value).toLowerCase();
}

function headersEqual(a: readonly UriHeader[], b: readonly UriHeader[]): boolean {
  if (a.length !== b.length) return false;
  const canonical = (headers: readonly UriHeader[]): string[] =>
    headers.map((h) => `${canonicalValue(h.name)}=${canonicalEscapes(h.value)}`).sort();
  const [left, right] = [canonical(a), canonical(b)];
  return left.every((header, i) => header === right[i]);
}

function telDigits(number: string): string {
  return number.replace(/[-.()]/g, '').toLowerCase();
}

function telUriEquals(a: TelUri, b: TelUri): boolean {
  const canonical = (uri: TelUri): string =>
    [...uri.params]
      .map(
        ({ name, value = '' }) =>
          `${name.toLowerCase()}=${value.startsWith('+') ? telDigits(value) : canonicalValue(value)}`,
      )
      .sort()
      .join(';');
  return telDigits(a.number) === telDigits(b.number) && canonical(a) === canonical(b);
}

/**
 * One text for all URIs that name the same user or room: `user@host` without scheme, password, port, parameters and
 * headers; host in lower case, escapes in one form. The user part keeps its case (RFC 3261 §19.1.4). So
 * `sips:Room@Example.com:5061;transport=tcp` and `sip:Room@example.com` are one room, as a caller expects; a host
 * without user is `@host`. For tel the digits, else the text.
 */
export function uriKey(uri: Uri): string {
  switch (uri.kind) {
    case 'sip':
      return `${canonicalEscapes(uri.user ?? '')}@${canonicalHost(uri.host)}`;
    case 'tel':
      return `tel:${telDigits(uri.number)}`;
    case 'other':
      return uri.text;
  }
}
