/**
 * Branded identifiers of a conference. Only the functions here make them, so that a string that reaches an event has
 * been looked at once, where it came in.
 */

declare const brand: unique symbol;

/** A string (or number) that only its own maker function gives out. One with two names is also taken where one of them is asked for. */
type Branded<T, Name extends string> = T & { readonly [brand]: { readonly [N in Name]: true } };

/** A URI with a scheme, in the characters of RFC 3986. */
export type AbsoluteUri = Branded<string, 'AbsoluteUri'>;

/** Canonical URI of a room: the key under which its log and its live state are found. */
export type RoomUri = Branded<string, 'AbsoluteUri' | 'RoomUri'>;

/** Identity of a user as the service has verified it: an address of record without parameters (RFC 7701 §7: the nickname, the roster and every rule hang on it). */
export type UserUri = Branded<string, 'AbsoluteUri' | 'UserUri'>;

/** Key of one endpoint (device, call leg) within its conference; never used twice in one conference. */
export type EndpointId = Branded<string, 'EndpointId'>;

/** Message-ID of a message: the MSRP one (RFC 4975 §7.1) or the IMDN one (RFC 5438 §6.3). */
export type MessageId = Branded<string, 'MessageId'>;

/** Key of a large message that is streamed through the room, unique in its room. */
export type StreamId = Branded<string, 'StreamId'>;

/** Position of an event in its room's log: starts at 1, strictly increasing. */
export type EventNumber = Branded<number, 'EventNumber'>;

/** The later of two positions, as far as there are any. */
export function later<N extends EventNumber | undefined>(one: N, other: EventNumber | undefined): N | EventNumber {
  return other === undefined || (one !== undefined && one >= other) ? one : other;
}

/** An IP address in the one form in which addresses are compared (RFC 5952; an IPv4-mapped one as IPv4). */
export type IpAddress = Branded<string, 'IpAddress'>;

/** The text is no identifier of that kind. A peer's bytes are parsed by a protocol library first, so this is a fault of ours. */
export class IdError extends Error {
  override readonly name = 'IdError';
}

/** Longest identifier taken, in UTF-16 code units. */
const MAX_ID_LENGTH = 2048;

// RFC 3986 §3 and Appendix A. An IRI would be valid in the XML document but not in a SIP header. An IPv6 literal is also
// taken where RFC 3261 §25.1 puts it: after the "@" of a URI that has no "//".
const PCHAR = String.raw`(?:[\w\-.~!$&'()*+,;=:@]|%[0-9A-Fa-f]{2})`;
const LITERAL = String.raw`\[[0-9A-Fa-f:.]+\]`;
const AUTHORITY = String.raw`\/\/(?:(?:[\w\-.~!$&'()*+,;=:]|%[0-9A-Fa-f]{2})*@)?(?:${LITERAL}|(?:[\w\-.~!$&'()*+,;=]|%[0-9A-Fa-f]{2})*)(?::\d*)?(?:\/(?:${PCHAR}|\/)*)?`;
const OPAQUE = String.raw`(?!\/\/)(?:(?:(?!@)${PCHAR})*@)?(?:${LITERAL})?(?:${PCHAR}|\/)*`;
const ABSOLUTE_URI = new RegExp(
  String.raw`^[A-Za-z][A-Za-z0-9+.\-]*:(?!$)(?:${AUTHORITY}|${OPAQUE})(?:\?(?:${PCHAR}|[/?])*)?(?:#(?:${PCHAR}|[/?])*)?$`,
);
const VISIBLE = /^[\x21-\x7e]+$/;

function isAbsolute(text: string): boolean {
  return text.length <= MAX_ID_LENGTH && ABSOLUTE_URI.test(text);
}

/** An absolute URI of at most 2048 characters (RFC 3986). Throws `IdError`. */
function absolute(text: string, what: string): string {
  if (!isAbsolute(text)) throw new IdError(`not a ${what}: ${text.slice(0, 80)}`);
  return text;
}

/** Visible ASCII of at most 2048 characters. Throws `IdError`. */
function visible(text: string, what: string): string {
  if (text.length > MAX_ID_LENGTH || !VISIBLE.test(text)) throw new IdError(`not a ${what}: ${text.slice(0, 80)}`);
  return text;
}

/** A URI as it stands. Throws `IdError` if it is not an absolute URI of at most 2048 characters. */
export function absoluteUri(text: string): AbsoluteUri {
  return absolute(text, 'URI') as AbsoluteUri;
}

/** The same, where the text may be anybody's: undefined if it is none. */
export function readAbsoluteUri(text: string): AbsoluteUri | undefined {
  return isAbsolute(text) ? (text as AbsoluteUri) : undefined;
}

/** The canonical URI of a room. Throws `IdError` if it is not an absolute URI. */
export function roomUri(text: string): RoomUri {
  return absolute(text, 'room URI') as RoomUri;
}

/** The identity of a user, already reduced to its canonical form by the caller. Throws `IdError` if it is not an absolute URI. */
export function userUri(text: string): UserUri {
  return absolute(text, 'user URI') as UserUri;
}

/** A key that the caller has chosen to be unique in its conference. Throws `IdError` unless it is visible ASCII. */
export function endpointId(text: string): EndpointId {
  return visible(text, 'endpoint id') as EndpointId;
}

/** A Message-ID as it came. Throws `IdError` unless it is visible ASCII. */
export function messageId(text: string): MessageId {
  return visible(text, 'Message-ID') as MessageId;
}

/** A key that the caller has chosen to be unique in its room. Throws `IdError` unless it is visible ASCII. */
export function streamId(text: string): StreamId {
  return visible(text, 'stream id') as StreamId;
}

/** A position in a log: a safe integer of at least 0 (0 stands before the first event). Throws `IdError`. */
export function eventNumber(n: number): EventNumber {
  if (!Number.isSafeInteger(n) || n < 0) throw new IdError(`not an event number: ${String(n)}`);
  return n as EventNumber;
}

const IPV4 = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/;

/**
 * The address that a text means, however it is written: with brackets or a zone, in any case, compressed or not.
 * Undefined for what is no address.
 */
export function readIpAddress(text: string): IpAddress | undefined {
  const [bare = ''] = text.replace(/^\[(.*)\]$/, '$1').split('%');
  if (IPV4.test(bare)) return bare as IpAddress;
  const url = `http://[${bare}]`;
  // What else might stand in a URL is none either.
  if (!/^[\da-f:.]{2,45}$/i.test(bare) || !URL.canParse(url)) return undefined;
  const ipv6 = new URL(url).hostname.slice(1, -1);
  const mapped = /^::ffff:([\da-f]+):([\da-f]+)$/.exec(ipv6)?.slice(1);
  if (mapped === undefined) return ipv6 as IpAddress;
  return mapped
    .map((group) => parseInt(group, 16))
    .flatMap((group) => [group >> 8, group & 255])
    .join('.') as IpAddress;
}

/** The same for a text that must be an address. Throws `IdError`. */
export function ipAddress(text: string): IpAddress {
  const address = readIpAddress(text);
  if (address === undefined) throw new IdError(`not an IP address: ${text.slice(0, 80)}`);
  return address;
}

/** What one subscriber is given: the address of IPv4, of IPv6 the /64 (RFC 4291 §2.5.4). */
export function networkOf(address: IpAddress): string {
  if (!address.includes(':')) return address;
  const [head = [], tail = []] = address.split('::').map((groups) => groups.split(':').filter((group) => group !== ''));
  const between = Array<string>(8 - head.length - tail.length).fill('0');
  return [...head, ...between, ...tail].slice(0, 4).join(':');
}
