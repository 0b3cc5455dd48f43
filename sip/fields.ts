import { SipError } from './errors.ts';
import { Cursor, parseInteger, quote, singleLine, splitList } from './grammar.ts';
import type { HeaderKind } from './headers.ts';
import { formatParam, type Param, Params, readParam, readParams } from './params.ts';
import { formatUri, parseUri, type Uri } from './uri.ts';

/*
 * The header fields of RFC 3261 §20 and of the extensions this library serves: a type for each form of value, and one
 * HeaderKind per header.
 */

/** Largest delta-seconds and sequence number (RFC 3261 §20.19, §20.16): both are 32-bit unsigned integers. */
const MAX_SECONDS = 0xffffffff;
const MAX_SEQUENCE = 0xffffffff;

// ---------------------------------------------------------------------------------------------------------------------
// Forms of values

/** One Via value (RFC 3261 §20.42). */
export interface Via {
  /** Name and version of the protocol where they are not `SIP/2.0`. */
  readonly protocol?: string;
  /** `UDP`, `TCP`, `TLS`, `WS`, `WSS`, … in upper case. */
  readonly transport: string;
  /** The host of sent-by, in lower case; an IPv6 reference in its brackets. */
  readonly host: string;
  /** The port of sent-by. */
  readonly port?: number;
  /** branch, received, rport, maddr, ttl, … */
  readonly params: Params;
}

/** name-addr or addr-spec with the parameters of its header (RFC 3261 §20.10): From, To, Contact, Route, Refer-To, … */
export interface NameAddr {
  /** The display name as text, quotes and escapes removed; absent when there is none or it is empty. */
  readonly displayName?: string;
  readonly uri: Uri;
  /** The header's parameters (`tag`, `expires`, `q`, `isfocus`, …), not those of the URI. */
  readonly params: Params;
}

/** CSeq (RFC 3261 §20.16). */
export interface CSeq {
  /** 0 – 2^32-1 as received; what we send stays below 2^31 (§8.1.1.5). */
  readonly seq: number;
  readonly method: string;
}

/** A token with parameters: Event, Content-Disposition, Subscription-State, Content-Encoding, … ; in lower case. */
export interface TokenWithParams {
  readonly value: string;
  readonly params: Params;
}

/** Content-Type, or one element of Accept (RFC 3261 §20.15, §20.1). */
export interface MediaType {
  /** `type/subtype` in lower case. */
  readonly type: string;
  /** `charset`, `boundary`, `q`, … */
  readonly params: Params;
}

/** Session-Expires (RFC 4028 §4) and Min-SE (§5), Retry-After (RFC 3261 §20.33): seconds with parameters. */
export interface SecondsWithParams {
  readonly seconds: number;
  /** The comment of a Retry-After. */
  readonly comment?: string;
  readonly params: Params;
}

/** Replaces (RFC 3891), Join (RFC 3911), Target-Dialog (RFC 4538): names a dialog. */
export interface DialogReference {
  readonly callId: string;
  readonly params: Params;
}

/** RAck (RFC 3262 §7.2). */
export interface RAck {
  readonly rseq: number;
  readonly seq: number;
  readonly method: string;
}

/** Call-Info, Alert-Info, Error-Info (RFC 3261 §20.9): a URI in angle brackets with parameters. */
export interface Info {
  readonly uri: Uri;
  readonly params: Params;
}

/** One warning-value (RFC 3261 §20.43). */
export interface Warning {
  /** 300–399. */
  readonly code: number;
  /** Host, host and port, or pseudonym of who warns. */
  readonly agent: string;
  readonly text: string;
}

/** Timestamp (RFC 3261 §20.38), in seconds. */
export interface Timestamp {
  readonly value: string;
  readonly delay?: string;
}

/** A challenge or the credentials that answer it (RFC 3261 §20.7, §20.44; RFC 7616): scheme and auth-params. */
export interface AuthValue {
  /** `Digest` or another, as it came. */
  readonly scheme: string;
  readonly params: Params;
}

// ---------------------------------------------------------------------------------------------------------------------
// Readers and printers of the forms

/** One Via value. */
export function parseVia(text: string): Via {
  const cursor = new Cursor(text, 'Via');
  const protocol = readSentProtocol(cursor.space());
  const transport = cursor.token('transport').toUpperCase();
  const gap = cursor.at;
  if (cursor.space().at === gap) throw cursor.error('white space');
  const host = cursor.host();
  const port = cursor.separator(58) ? cursor.integer(65535) : undefined;
  const params = readParams(cursor);
  cursor.end();
  const via: { -readonly [K in keyof Via]: Via[K] } = { transport, host, params };
  if (port !== undefined) via.port = port;
  if (protocol !== 'SIP/2.0') via.protocol = protocol;
  return via;
}

/** `protocol-name SLASH protocol-version SLASH`, in upper case. */
function readSentProtocol(cursor: Cursor): string {
  if (cursor.text.startsWith('SIP/2.0/', cursor.at)) {
    cursor.at += 8;
    cursor.space();
    return 'SIP/2.0';
  }
  const name = cursor.token('protocol');
  if (!cursor.separator(47)) throw cursor.error('"/"');
  const version = cursor.token('version');
  if (!cursor.separator(47)) throw cursor.error('"/"');
  return `${name}/${version}`.toUpperCase();
}

/** Writes one Via value. */
export function formatVia({ protocol = 'SIP/2.0', transport, host, port, params }: Via): string {
  return `${protocol}/${transport} ${host}${port === undefined ? '' : `:${String(port)}`}${params.toString()}`;
}

/** The sent-by of a Via: `host` or `host:port`. */
export function sentBy({ host, port }: Via): string {
  return port === undefined ? host : `${host}:${String(port)}`;
}

/** name-addr or addr-spec with header parameters, being the whole of `text`. `what` names the header in errors. */
export function parseNameAddr(text: string, what = 'address'): NameAddr {
  const cursor = new Cursor(text, what);
  const address = readNameAddr(cursor.space());
  cursor.end();
  return address;
}

function readNameAddr(cursor: Cursor): NameAddr {
  const { text } = cursor;
  const start = cursor.at;
  if (cursor.peek() === 34) {
    const displayName = cursor.quoted();
    cursor.space();
    if (cursor.peek() !== 60) throw cursor.error('"<"');
    return readAngled(cursor, displayName);
  }
  const open = text.indexOf('<', start);
  if (open !== -1 && isDisplayName(text, start, open)) {
    cursor.at = open;
    return readAngled(cursor, text.slice(start, open).trim());
  }
  // addr-spec without brackets: "the semicolon-delimited parameters are header-parameters, not URI parameters",
  // and the URI holds no comma or question mark (RFC 3261 §20).
  for (;;) {
    const code = cursor.peek();
    if (!(code > 32 && code !== 59 && code !== 44 && code !== 60 && code !== 62 && code !== 34)) break;
    if (code === 63) throw cursor.error('"<" before a URI with "?"');
    cursor.at++;
  }
  const uri = parseUri(text.slice(start, cursor.at));
  return { uri, params: readParams(cursor) };
}

/**
 * What may stand before `<`: `*(token LWS)` by the grammar. More is let pass, as phones send dots, UTF-8 and the like
 * without quotes (RFC 4475 §3.1.1.6 asks for leniency); but nothing that separates values or makes it a URI already.
 */
function isDisplayName(text: string, start: number, end: number): boolean {
  for (let i = start; i < end; i++) {
    const code = text.charCodeAt(i);
    if (code === 34 || code === 44 || code === 59 || code === 58 || code === 62) return false;
  }
  return true;
}

function readAngled(cursor: Cursor, displayName: string): NameAddr {
  const close = cursor.text.indexOf('>', cursor.at);
  if (close === -1) throw cursor.error('">"');
  const uri = parseUri(cursor.text.slice(cursor.at + 1, close));
  cursor.at = close + 1;
  const params = readParams(cursor);
  return displayName === '' ? { uri, params } : { displayName, uri, params };
}

/** As name-addr, always with angle brackets. */
export function formatNameAddr({ displayName, uri, params }: NameAddr): string {
  const name = displayName === undefined ? '' : `${quote(singleLine(displayName))} `;
  return `${name}<${formatUri(uri)}>${params.toString()}`;
}

/** `type/subtype` with parameters, being the whole of `text`. */
export function parseMediaType(text: string): MediaType {
  const cursor = new Cursor(text, 'media type');
  const type = cursor.space().token('type');
  if (!cursor.separator(47)) throw cursor.error('"/"');
  const subtype = cursor.token('subtype');
  const params = readParams(cursor);
  cursor.end();
  return { type: `${type}/${subtype}`.toLowerCase(), params };
}

/** Writes a Content-Type, or one element of Accept. */
export function formatMediaType({ type, params }: MediaType): string {
  return `${type}${params.toString()}`;
}

function parseTokenWithParams(text: string): TokenWithParams {
  const cursor = new Cursor(text, 'value');
  const value = cursor.space().token().toLowerCase();
  const params = readParams(cursor);
  cursor.end();
  return { value, params };
}

function formatTokenWithParams({ value, params }: TokenWithParams): string {
  return `${value}${params.toString()}`;
}

function parseInfo(text: string): Info {
  const cursor = new Cursor(text, 'URI in angle brackets').space();
  if (cursor.peek() !== 60) throw cursor.error('"<"');
  const { uri, params } = readAngled(cursor, '');
  cursor.end();
  return { uri, params };
}

function parseSeconds(text: string, what: string): SecondsWithParams {
  const cursor = new Cursor(text, what).space();
  const seconds = cursor.integer(MAX_SECONDS);
  const comment = cursor.space().peek() === 40 ? cursor.comment() : undefined;
  const params = readParams(cursor);
  cursor.end();
  return comment === undefined ? { seconds, params } : { seconds, comment, params };
}

function formatSeconds({ seconds, comment, params }: SecondsWithParams): string {
  return `${String(seconds)}${comment === undefined ? '' : ` (${comment})`}${params.toString()}`;
}

function parseCallId(text: string): string {
  const cursor = new Cursor(text, 'Call-ID').space();
  const start = cursor.at;
  cursor.word();
  if (cursor.takes(64)) cursor.word();
  const callId = text.slice(start, cursor.at);
  cursor.end();
  return callId;
}

function parseCSeq(text: string): CSeq {
  const cursor = new Cursor(text, 'CSeq').space();
  const seq = cursor.integer(MAX_SEQUENCE);
  const gap = cursor.at;
  if (cursor.space().at === gap) throw cursor.error('white space');
  const method = cursor.token('method');
  cursor.end();
  return { seq, method };
}

function parseRAck(text: string): RAck {
  const cursor = new Cursor(text, 'RAck').space();
  const rseq = cursor.integer(MAX_SECONDS);
  const seq = cursor.space().integer(MAX_SEQUENCE);
  const method = cursor.space().token('method');
  cursor.end();
  return { rseq, seq, method };
}

function parseDialogReference(text: string): DialogReference {
  const end = text.indexOf(';');
  const callId = parseCallId(end === -1 ? text : text.slice(0, end));
  const cursor = new Cursor(text, 'dialog reference', end === -1 ? text.length : end);
  const params = readParams(cursor);
  cursor.end();
  return { callId, params };
}

function formatDialogReference({ callId, params }: DialogReference): string {
  return `${callId}${params.toString()}`;
}

function parseWarning(text: string): Warning {
  const match = /^\s*(\d{3})\s+([^\s"]+)\s+(?=")/.exec(text);
  if (match === null) throw new SipError(400, 'bad Warning');
  const [whole, code, agent = ''] = match;
  const cursor = new Cursor(text, 'Warning', whole.length);
  const warning: Warning = { code: Number(code), agent, text: cursor.quoted() };
  cursor.end();
  return warning;
}

/** A challenge or credentials: `scheme SP name=value *( "," name=value )`. */
export function parseAuthValue(text: string): AuthValue {
  const cursor = new Cursor(text, 'authentication').space();
  const scheme = cursor.token('scheme');
  const list: Param[] = [];
  cursor.space();
  do list.push(readParam(cursor));
  while (cursor.separator(44));
  cursor.end();
  return { scheme, params: new Params(list) };
}

/** Writes a challenge or credentials. */
export function formatAuthValue({ scheme, params }: AuthValue): string {
  return `${scheme} ${[...params].map(formatParam).join(', ')}`;
}

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
const SIP_DATE =
  /^\s*(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), (\d\d) (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) (\d{4}) (\d\d):(\d\d):(\d\d) GMT\s*$/i;

function parseDate(text: string): Date {
  const match = SIP_DATE.exec(text);
  if (match === null) throw new SipError(400, 'bad Date');
  const [, day, month = '', year, hours, minutes, seconds] = match;
  const index = MONTHS.findIndex((name) => name.toLowerCase() === month.toLowerCase());
  return new Date(Date.UTC(Number(year), index, Number(day), Number(hours), Number(minutes), Number(seconds)));
}

// ---------------------------------------------------------------------------------------------------------------------
// Kinds: how many values and lines a header may have

/** A header with one value, on one line. RFC 3261 §7.3.1: such a header must not be repeated. */
function single<T>(name: string, parse: (text: string) => T, format: (value: T) => string): HeaderKind<T> {
  return {
    name,
    parse: (values) => {
      const [value] = values;
      if (value === undefined || values.length > 1) throw new SipError(400, `more than one ${name}`);
      return parse(value);
    },
    format: (value) => [format(value)],
  };
}

/** A header of any number of values: repeated, comma-separated, or both (RFC 3261 §7.3.1). */
function list<T>(name: string, parse: (text: string) => T, format: (value: T) => string): HeaderKind<readonly T[]> {
  return {
    name,
    parse: (values) => {
      const found: T[] = [];
      for (const value of values) for (const element of splitList(value)) found.push(parse(element));
      return found;
    },
    format: (value) => value.map(format),
  };
}

/** A list that is printed on one line, comma-separated; an empty one as an empty header (`Supported:`). */
function oneLine<T>(name: string, parse: (text: string) => T, format: (value: T) => string): HeaderKind<readonly T[]> {
  return {
    ...list(name, parse, format),
    format: (value) => [value.map(format).join(', ')],
  };
}

function tokens(name: string): HeaderKind<readonly string[]> {
  return {
    name,
    parse: (values) => {
      const found: string[] = [];
      for (const value of values) {
        const cursor = new Cursor(value, name).space();
        while (!cursor.done) {
          const token = cursor.tokenOrNothing();
          if (token !== '') found.push(token);
          // An empty element (",,") says nothing; it is met in the wild.
          if (!cursor.separator(44)) cursor.end();
        }
      }
      return found;
    },
    format: (value) => [value.join(', ')],
  };
}

function seconds(name: string): HeaderKind<number> {
  return single(name, (text) => parseInteger(text.trim(), MAX_SECONDS, name), String);
}

function text(name: string): HeaderKind<string> {
  return single(name, (value) => value, singleLine);
}

function address(name: string): HeaderKind<NameAddr> {
  return single(name, (value) => parseNameAddr(value, name), formatNameAddr);
}

function addresses(name: string): HeaderKind<readonly NameAddr[]> {
  return list(name, (value) => parseNameAddr(value, name), formatNameAddr);
}

function infos(name: string): HeaderKind<readonly Info[]> {
  return list(name, parseInfo, ({ uri, params }) => `<${formatUri(uri)}>${params.toString()}`);
}

/** Each challenge or set of credentials stands on a line of its own (RFC 3261 §7.3.1: these are never combined). */
function auth(name: string): HeaderKind<readonly AuthValue[]> {
  return {
    name,
    parse: (values) => values.map(parseAuthValue),
    format: (value) => value.map(formatAuthValue),
  };
}

function tokenWithParams(name: string): HeaderKind<TokenWithParams> {
  return single(name, parseTokenWithParams, formatTokenWithParams);
}

function dialogReference(name: string): HeaderKind<DialogReference> {
  return single(name, parseDialogReference, formatDialogReference);
}

// ---------------------------------------------------------------------------------------------------------------------
// The headers

export const VIA = list('Via', parseVia, formatVia);
/** The first Via value alone: those below it are of no concern to who sends a response. Not for writing. */
export const TOP_VIA: HeaderKind<Via> = {
  name: 'Via',
  parse: (values) => {
    const [top] = values.flatMap(splitList);
    if (top === undefined) throw new SipError(400, 'Missing Via header field');
    return parseVia(top);
  },
  format: (via) => [formatVia(via)],
};
export const FROM = address('From');
export const TO = address('To');
export const CALL_ID = single('Call-ID', parseCallId, (callId) => callId);
export const CSEQ = single('CSeq', parseCSeq, ({ seq, method }) => `${String(seq)} ${method}`);
/** 0–255 (RFC 3261 §20.22). */
export const MAX_FORWARDS = single('Max-Forwards', (value) => parseInteger(value.trim(), 255, 'Max-Forwards'), String);

/** The Contacts of a message, or `*` (RFC 3261 §10.2.2: alone, in a REGISTER that removes all bindings). */
export const CONTACT: HeaderKind<readonly NameAddr[] | '*'> = {
  name: 'Contact',
  parse: (values) => {
    const elements = values.flatMap(splitList);
    if (elements.some((element) => element.trim() === '*')) {
      if (elements.length > 1) throw new SipError(400, 'bad Contact: "*" beside others');
      return '*';
    }
    return elements.map((element) => parseNameAddr(element, 'Contact'));
  },
  format: (value) => (value === '*' ? ['*'] : value.map(formatNameAddr)),
};

export const ROUTE = addresses('Route');
export const RECORD_ROUTE = addresses('Record-Route');
export const REPLY_TO = address('Reply-To');
export const EXPIRES = seconds('Expires');
export const MIN_EXPIRES = seconds('Min-Expires');
export const CONTENT_TYPE = single('Content-Type', parseMediaType, formatMediaType);
export const CONTENT_DISPOSITION = tokenWithParams('Content-Disposition');
export const CONTENT_LENGTH: HeaderKind<number> = {
  name: 'Content-Length',
  // Repeating the same number is no harm; two different ones are (RFC 4475 §3.3.9).
  parse: (values) => {
    const lengths = values.map((value) => parseInteger(value.trim(), Number.MAX_SAFE_INTEGER, 'Content-Length'));
    const [length = 0] = lengths;
    if (lengths.some((other) => other !== length)) throw new SipError(400, 'conflicting Content-Length');
    return length;
  },
  format: (value) => [String(value)],
};
export const CONTENT_ENCODING = tokens('Content-Encoding');
export const CONTENT_LANGUAGE = tokens('Content-Language');
/** The Content-ID of a body, without its angle brackets (RFC 5621 §9). */
export const CONTENT_ID = single(
  'Content-ID',
  (value) => value.trim().replace(/^<(.*)>$/s, '$1'),
  (id) => `<${id}>`,
);
export const REQUIRE = tokens('Require');
export const PROXY_REQUIRE = tokens('Proxy-Require');
export const SUPPORTED = tokens('Supported');
export const UNSUPPORTED = tokens('Unsupported');
export const ALLOW = tokens('Allow');
export const ALLOW_EVENTS = tokens('Allow-Events');
/** Media ranges; an empty list: no body is accepted (RFC 3261 §20.1). */
export const ACCEPT = oneLine('Accept', parseMediaType, formatMediaType);
export const ACCEPT_ENCODING = oneLine('Accept-Encoding', parseTokenWithParams, formatTokenWithParams);
export const ACCEPT_LANGUAGE = oneLine('Accept-Language', parseTokenWithParams, formatTokenWithParams);
/** RFC 6665 §8.2.1; event packages are compared without regard to case here, which harms nobody. */
export const EVENT = tokenWithParams('Event');
/** RFC 6665 §8.2.3. */
export const SUBSCRIPTION_STATE = tokenWithParams('Subscription-State');
/** RFC 4028 §4. */
export const SESSION_EXPIRES = single(
  'Session-Expires',
  (value) => parseSeconds(value, 'Session-Expires'),
  formatSeconds,
);
/** RFC 4028 §5. */
export const MIN_SE = single('Min-SE', (value) => parseSeconds(value, 'Min-SE'), formatSeconds);
/** RFC 3515 §2.1. */
export const REFER_TO = address('Refer-To');
/** RFC 3892 §3. */
export const REFERRED_BY = address('Referred-By');
/** RFC 4488 §4. */
export const REFER_SUB = single(
  'Refer-Sub',
  (value) => {
    const { value: word } = parseTokenWithParams(value);
    if (word !== 'true' && word !== 'false') throw new SipError(400, 'bad Refer-Sub');
    return word === 'true';
  },
  String,
);
/** RFC 3891 §6.1. */
export const REPLACES = dialogReference('Replaces');
/** RFC 3911 §7.1. */
export const JOIN = dialogReference('Join');
/** RFC 4538 §7. */
export const TARGET_DIALOG = dialogReference('Target-Dialog');
/** RFC 3262 §7.2. */
export const RACK = single('RAck', parseRAck, (r) => `${String(r.rseq)} ${String(r.seq)} ${r.method}`);
/** RFC 3262 §7.1. */
export const RSEQ = seconds('RSeq');
/** RFC 3326 §2: the protocol (`sip`, `q.850`) with `cause` and `text`. */
export const REASON = list(
  'Reason',
  parseTokenWithParams,
  ({ value, params }) => `${value.toUpperCase()}${params.toString()}`,
);
export const RETRY_AFTER = single('Retry-After', (value) => parseSeconds(value, 'Retry-After'), formatSeconds);
export const WARNING = list(
  'Warning',
  parseWarning,
  (warning) => `${String(warning.code)} ${warning.agent} ${quote(warning.text)}`,
);
/** RFC 3325 §9.1. */
export const P_ASSERTED_IDENTITY = addresses('P-Asserted-Identity');
/** RFC 3325 §9.2. */
export const P_PREFERRED_IDENTITY = addresses('P-Preferred-Identity');
/** RFC 3323 §4.2: priv-values, in lower case, separated by semicolons. */
export const PRIVACY: HeaderKind<readonly string[]> = {
  name: 'Privacy',
  parse: (values) =>
    values
      .flatMap((value) => value.split(/[;,]/))
      .map((value) => value.trim().toLowerCase())
      .filter((value) => value !== ''),
  format: (value) => [value.join(';')],
};
export const AUTHORIZATION = auth('Authorization');
export const PROXY_AUTHORIZATION = auth('Proxy-Authorization');
export const WWW_AUTHENTICATE = auth('WWW-Authenticate');
export const PROXY_AUTHENTICATE = auth('Proxy-Authenticate');
/** Authentication-Info has parameters without a scheme (RFC 3261 §20.6). */
export const AUTHENTICATION_INFO = single(
  'Authentication-Info',
  (value) => parseAuthValue(`Info ${value}`).params,
  (params) => [...params].map(formatParam).join(', '),
);
export const USER_AGENT = text('User-Agent');
export const SERVER = text('Server');
export const SUBJECT = text('Subject');
export const ORGANIZATION = text('Organization');
export const PRIORITY = text('Priority');
export const DATE = single('Date', parseDate, (date) => date.toUTCString());
export const TIMESTAMP = single(
  'Timestamp',
  (value): Timestamp => {
    const match = /^(\d+(?:\.\d*)?)(?:[ \t]+(\d*(?:\.\d*)?))?$/.exec(value.trim());
    if (match === null) throw new SipError(400, 'bad Timestamp');
    const [, stamp = '', delay] = match;
    return delay === undefined || delay === '' ? { value: stamp } : { value: stamp, delay };
  },
  ({ value, delay }) => (delay === undefined ? value : `${value} ${delay}`),
);
export const CALL_INFO = infos('Call-Info');
export const ALERT_INFO = infos('Alert-Info');
export const ERROR_INFO = infos('Error-Info');
export const IN_REPLY_TO = list('In-Reply-To', parseCallId, (callId) => callId);
export const MIME_VERSION = text('MIME-Version');
