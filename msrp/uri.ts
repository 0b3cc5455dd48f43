import { MsrpError } from './errors.ts';
import * as rule from './grammar.ts';

/** IANA's port for MSRP (RFC 4975 §15.4): used for a URI without a port, and no part of any comparison. */
export const MSRP_PORT = 2855;

/** `msrps` demands TLS below (RFC 4975 §6). */
export type MsrpScheme = 'msrp' | 'msrps';

declare const sessionIdBrand: unique symbol;
/** The part of a URI that names one session at a device; case-sensitive (RFC 4975 §6.1 rule 4). */
export type SessionId = string & { readonly [sessionIdBrand]: true };

/** A URI-parameter behind the transport; RFC 4975 defines none, all are carried. */
export interface UriParameter {
  readonly name: string;
  readonly value?: string;
}

/** What `newMsrpUri` makes a URI of. */
export interface MsrpUriParts {
  readonly scheme: MsrpScheme;
  readonly userinfo?: string;
  /** Name, IPv4 address, or IPv6 address without brackets. */
  readonly host: string;
  /** 0–65535. */
  readonly port?: number;
  readonly sessionId?: string;
  /** `tcp` (RFC 4975) unless given; `ws` for WebSocket (RFC 7977 §5.2.1). */
  readonly transport?: string;
  readonly parameters?: readonly UriParameter[];
}

const MSRP_URI = new RegExp(
  `^(msrps?)://(?:(${rule.userinfo})@)?(?:\\[(${rule.ipLiteral})\\]|(${rule.regName}))(?::([0-9]{1,5}))?` +
    `(?:/(${rule.sessionId}))?;(${rule.transport})((?:;${rule.token}(?:=${rule.token})?)*)$`,
  'i',
);
const IPV4 = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?=\d)|$)){4}$/;
const SESSION_ID = new RegExp(`^${rule.sessionId}$`);

/**
 * An MSRP URI (RFC 4975 §6 and §9, RFC 7977 §5.2.1). Made by `parseMsrpUri` and `newMsrpUri` only. It keeps the very
 * text it came in, since a peer may compare the URI that we send back byte by byte.
 */
class MsrpUri {
  readonly scheme: MsrpScheme;
  readonly userinfo: string | undefined;
  /** As written; an IPv6 address without its brackets. */
  readonly host: string;
  /** Absent when the URI names none; `MSRP_PORT` is then a good guess for connecting. */
  readonly port: number | undefined;
  /** Absent when the URI names a device (a relay, for instance) and no session. */
  readonly sessionId: SessionId | undefined;
  /** In lower case. */
  readonly transport: string;
  readonly parameters: readonly UriParameter[];
  readonly #text: string;
  #key: string | undefined;

  constructor(text: string) {
    const parts = MSRP_URI.exec(text);
    if (parts === null) throw new MsrpError(400, `not an MSRP URI: ${excerpt(text)}`);
    const [, scheme = '', userinfo, literal, name, port, session, transport = '', parameters = ''] = parts;
    this.#text = text;
    this.scheme = scheme.length === 5 ? 'msrps' : 'msrp';
    this.userinfo = userinfo;
    this.host = literal ?? name ?? '';
    if (literal !== undefined && ipv6Groups(literal) === undefined) {
      throw new MsrpError(400, `not an IPv6 address: ${excerpt(literal)}`);
    }
    this.port = port === undefined ? undefined : Number(port);
    if (this.port !== undefined && this.port > 65535) throw new MsrpError(400, `port out of range: ${excerpt(text)}`);
    this.sessionId = session !== undefined && isSessionId(session) ? session : undefined;
    this.transport = transport.toLowerCase();
    this.parameters = parameters === '' ? [] : parameters.slice(1).split(';').map(parameterOf);
  }

  get text(): string {
    return this.#text;
  }

  get key(): string {
    this.#key ??= `${this.scheme}://${hostKey(this.host)}:${this.port ?? ''}/${this.sessionId ?? ''};${this.transport}`;
    return this.#key;
  }

  toString(): string {
    return this.#text;
  }
}
export type { MsrpUri };

/** Reads one MSRP URI. Throws `MsrpError` 400. */
export function parseMsrpUri(text: string): MsrpUri {
  return new MsrpUri(text);
}

/** The URI as it was received or made; `formatMsrpUri(parseMsrpUri(text)) === text`. */
export function formatMsrpUri(uri: MsrpUri): string {
  return uri.text;
}

/** Makes a URI of its parts. Throws `MsrpError` 400 when a part cannot stand in a URI. */
export function newMsrpUri(parts: MsrpUriParts): MsrpUri {
  const { scheme, host, transport = 'tcp', parameters = [] } = parts;
  const user = parts.userinfo === undefined ? '' : `${parts.userinfo}@`;
  const port = parts.port === undefined ? '' : `:${parts.port}`;
  const session = parts.sessionId === undefined ? '' : `/${parts.sessionId}`;
  const rest = parameters.map(({ name, value }) => (value === undefined ? `;${name}` : `;${name}=${value}`)).join('');
  const authority = `${user}${host.includes(':') ? `[${host}]` : host}${port}`;
  const uri = new MsrpUri(`${scheme}://${authority}${session};${transport}${rest}`);
  // A delimiter inside a part would have moved text into its neighbour.
  const kept = uri.host === host && uri.sessionId === parts.sessionId && uri.transport === transport.toLowerCase();
  if (!kept || uri.userinfo !== parts.userinfo || uri.parameters.length !== parameters.length) {
    throw new MsrpError(400, `parts that make no URI: ${excerpt(uri.text)}`);
  }
  return uri;
}

/** Whether two URIs name the same thing: RFC 4975 §6.1. Userinfo and unknown parameters do not count. */
export function sameMsrpUri(one: MsrpUri, other: MsrpUri): boolean {
  return one.text === other.text || one.key === other.key;
}

/** A string that is equal for two URIs exactly when `sameMsrpUri` holds: a key for tables. */
export function msrpUriKey(uri: MsrpUri): string {
  return uri.key;
}

/** Whether a text can be a session id (RFC 4975 §9). */
export function isSessionId(text: string): text is SessionId {
  return SESSION_ID.test(text);
}

/**
 * One or more URIs, as in To-Path, From-Path, Use-Path and `a=path`. For whoever received it: the leftmost is the next
 * hop, the rightmost the peer (RFC 4975 §8.2).
 */
export type MsrpPath = readonly [MsrpUri, ...MsrpUri[]];

/** How many URIs a path may hold before it is refused. */
export const MAX_HOPS = 16;

/** Characters of a path at most: it stands in the head of every request, and with room for the rest of it. */
export const MAX_PATH_LENGTH = 4096;

/** Reads URIs parted by single spaces. Throws `MsrpError` 400; also for more than `maxHops` URIs or `MAX_PATH_LENGTH`. */
export function parseMsrpPath(text: string, maxHops = MAX_HOPS): MsrpPath {
  if (text.length > MAX_PATH_LENGTH) throw new MsrpError(400, `a path of more than ${MAX_PATH_LENGTH} characters`);
  const [first = '', ...rest] = text.split(' ', maxHops + 1);
  if (rest.length >= maxHops) throw new MsrpError(400, `a path of more than ${maxHops} URIs`);
  return [new MsrpUri(first), ...rest.map((uri) => new MsrpUri(uri))];
}

/** The path as in a header or SDP attribute. */
export function formatMsrpPath(path: MsrpPath): string {
  return path.length === 1 ? path[0].text : path.map(formatMsrpUri).join(' ');
}

/** Whether two paths name the same hops in the same order (RFC 4975 §6.1). */
export function sameMsrpPath(one: MsrpPath, other: MsrpPath): boolean {
  return one.length === other.length && one.every((uri, at) => other[at] !== undefined && sameMsrpUri(uri, other[at]));
}

/** The rightmost URI: the endpoint and session (RFC 4975 §8.2). */
export function peerOf(path: MsrpPath): MsrpUri {
  return path[path.length - 1] ?? path[0];
}

/** The leftmost URI: where to connect (RFC 4975 §8.3). */
export function nextHop(path: MsrpPath): MsrpUri {
  return path[0];
}

function parameterOf(text: string): UriParameter {
  const at = text.indexOf('=');
  return at < 0 ? { name: text } : { name: text.slice(0, at), value: text.slice(at + 1) };
}

/** RFC 4975 §6.1 rule 2: addresses by value, names without case, needless percent-encoding undone. */
function hostKey(host: string): string {
  const plain = host.includes('%') ? host.replace(/%([0-9A-Fa-f]{2})/g, decodeUnreserved) : host;
  const groups = plain.includes(':') ? ipv6Groups(plain) : undefined;
  return groups === undefined ? plain.toLowerCase() : `[${groups.map((group) => group.toString(16)).join(':')}]`;
}

function decodeUnreserved(encoded: string, hex: string): string {
  const char = String.fromCharCode(parseInt(hex, 16));
  return /[A-Za-z0-9\-._~]/.test(char) ? char : encoded;
}

/** The eight groups of an IPv6 address, or undefined when the text is none (RFC 3986 §3.2.2). */
function ipv6Groups(text: string): number[] | undefined {
  const [head = '', tail, ...more] = text.split('::');
  if (more.length > 0) return undefined;
  const left = groupsOf(head, tail === undefined);
  const right = tail === undefined ? [] : groupsOf(tail, true);
  if (left === undefined || right === undefined) return undefined;
  const missing = 8 - left.length - right.length;
  if (tail === undefined ? missing !== 0 : missing < 1) return undefined;
  return [...left, ...new Array<number>(missing).fill(0), ...right];
}

/** Groups between colons; only the last of an address may be in the dotted form of IPv4. */
function groupsOf(text: string, last: boolean): number[] | undefined {
  if (text === '') return [];
  const groups: number[] = [];
  const parts = text.split(':');
  for (const [at, part] of parts.entries()) {
    if (/^[0-9A-Fa-f]{1,4}$/.test(part)) groups.push(parseInt(part, 16));
    else if (last && at === parts.length - 1 && IPV4.test(part)) {
      const [a = 0, b = 0, c = 0, d = 0] = part.split('.').map(Number);
      groups.push(a * 256 + b, c * 256 + d);
    } else return undefined;
  }
  return groups;
}

function excerpt(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);
}
