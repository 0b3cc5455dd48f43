import { AcceptedTypes } from './content-type.ts';
import { MsrpError } from './errors.ts';
import { type FileDescription, formatFile, parseFile } from './file-selector.ts';
import { formatMsrpPath, type MsrpPath, type MsrpUri, parseMsrpPath, peerOf, sameMsrpUri, newMsrpUri } from './uri.ts';

/** One `a=` line; a property attribute such as `a=sendonly` has no value. */
export interface SdpAttribute {
  readonly name: string;
  readonly value?: string | undefined;
}

/** One media description (RFC 8866 §5.14) in the least form that any SDP parser can give and take. */
export interface SdpMediaLine {
  readonly media: string;
  /** 0 for a refused line (RFC 3264 §6). */
  readonly port: number;
  readonly protocol: string;
  readonly formats: readonly string[];
  /** The line's own `c=`, or the session's. */
  readonly connection?: { readonly addressType: string; readonly address: string } | undefined;
  readonly attributes: readonly SdpAttribute[];
}

/** `TCP/MSRP`, or with TLS below (RFC 4975 §8.1); MSRP over WebSocket adds none (RFC 7977 §5.2.2). */
export type MsrpProtocol = 'TCP/MSRP' | 'TCP/TLS/MSRP';

/** Who connects (RFC 4145 §4). `holdconn` is taken for no attribute at all, and never sent (RFC 6135 §4.2.1). */
export type Setup = 'active' | 'passive' | 'actpass';

/** Which way messages go (RFC 4975 §8.9). */
export type Direction = 'sendrecv' | 'sendonly' | 'recvonly' | 'inactive';

/** A certificate's fingerprint (RFC 8122 §5). */
export interface Fingerprint {
  /** Name of the hash function in lower case: `sha-256`, … */
  readonly hash: string;
  /** Upper-case hexadecimal octets joined by colons. */
  readonly value: string;
}

/** What an endpoint says about its end of an MSRP session. */
export interface MsrpDescription {
  /** To whoever reads this description: leftmost the next hop, rightmost the endpoint (RFC 4975 §8.3). */
  readonly path: MsrpPath;
  readonly acceptTypes: AcceptedTypes;
  /** What is accepted inside a container, beyond `acceptTypes` (RFC 4975 §8.6). */
  readonly acceptWrappedTypes: AcceptedTypes;
  /** Octets of a whole message; a hint. */
  readonly maxSize?: number;
  readonly setup?: Setup;
  /** `sendrecv` when absent. */
  readonly direction?: Direction;
  /** Tokens of `a=chatroom` (RFC 7701 §8), maybe none; absent for an endpoint that knows nothing of chat rooms. */
  readonly chatroom?: readonly string[];
  /** `a=msrp-cema` (RFC 6714 §5); false when absent. */
  readonly cema?: boolean;
  readonly fingerprints?: readonly Fingerprint[];
  /** The file to be transferred, when the line is for one (RFC 5547). */
  readonly file?: FileDescription;
}

/** A received message line. */
export interface MsrpMedia extends MsrpDescription {
  readonly protocol: MsrpProtocol;
  readonly port: number;
  readonly direction: Direction;
  readonly cema: boolean;
  readonly fingerprints: readonly Fingerprint[];
}

/** Lists are never printed longer, because modems in use overflow on the thirteenth token. */
export const MAX_LIST_TOKENS = 12;

const SETUPS: readonly string[] = ['active', 'passive', 'actpass'] satisfies Setup[];
const DIRECTIONS: readonly string[] = ['sendrecv', 'sendonly', 'recvonly', 'inactive'] satisfies Direction[];

/** The protocol of a line for MSRP; undefined for every other line. */
export function msrpProtocolOf(line: SdpMediaLine): MsrpProtocol | undefined {
  if (line.media.toLowerCase() !== 'message') return undefined;
  const protocol = line.protocol.toUpperCase();
  return protocol === 'TCP/MSRP' || protocol === 'TCP/TLS/MSRP' ? protocol : undefined;
}

/**
 * Reads a message line. `setup`, `fingerprint` and the direction may stand in the session part (RFC 4145 §4, RFC 8122
 * §5, RFC 8866 §6.7), so give its attributes too. `connection` and all unknown attributes are ignored (RFC 6135 §4.4).
 * Throws `MsrpError`: 415 when the line is not for MSRP, 400 without a readable path.
 */
export function parseMsrpMedia(line: SdpMediaLine, session: readonly SdpAttribute[] = []): MsrpMedia {
  const protocol = msrpProtocolOf(line);
  if (protocol === undefined) throw new MsrpError(415, 'not a media line for MSRP');
  const own = line.attributes;
  const path = valueOf(own, 'path');
  if (path === undefined) throw new MsrpError(400, 'a message line without a path');
  const maxSize = sizeOf(valueOf(own, 'max-size'));
  const setup = setupOf(own) ?? setupOf(session);
  const fingerprints = fingerprintsOf(own);
  const chatroom = chatroomOf(own);
  const file = parseFile(own);
  return {
    protocol,
    port: line.port,
    path: parseMsrpPath(path.trim().replace(/\s+/g, ' ')),
    acceptTypes: typesOf(own, 'accept-types'),
    acceptWrappedTypes: typesOf(own, 'accept-wrapped-types'),
    direction: directionOf(own) ?? directionOf(session) ?? 'sendrecv',
    cema: own.some(({ name }) => name === 'msrp-cema'),
    fingerprints: fingerprints.length > 0 ? fingerprints : fingerprintsOf(session),
    ...(maxSize === undefined ? {} : { maxSize }),
    ...(setup === undefined ? {} : { setup }),
    ...(chatroom === undefined ? {} : { chatroom }),
    ...(file === undefined ? {} : { file }),
  };
}

/**
 * Writes a message line. Protocol, port and address follow from the path as RFC 4975 §8.1 demands: of the endpoint
 * itself, or with `cema` of the next hop (RFC 6714 §4.2, §4.3). Lists are cut after `MAX_LIST_TOKENS`. Throws a
 * RangeError for an invalid date of a file.
 */
export function formatMsrpMedia(own: MsrpDescription): SdpMediaLine {
  const shown = own.cema === true ? own.path[0] : peerOf(own.path);
  const attributes: SdpAttribute[] = [];
  const add = (name: string, value?: string): void => {
    // What a byte-string of RFC 8866 §9 cannot hold would begin a line of its own.
    attributes.push(value === undefined ? { name } : { name, value: value.replace(/[\0\r\n]+/g, ' ') });
  };
  add('accept-types', listOf(own.acceptTypes.entries));
  if (!own.acceptWrappedTypes.empty) add('accept-wrapped-types', listOf(own.acceptWrappedTypes.entries));
  if (own.maxSize !== undefined) add('max-size', String(own.maxSize));
  if (own.setup !== undefined) add('setup', own.setup);
  add('path', formatMsrpPath(own.path));
  if (own.chatroom !== undefined) add('chatroom', own.chatroom.length === 0 ? undefined : listOf(own.chatroom));
  if (own.cema === true) add('msrp-cema');
  for (const { hash, value } of own.fingerprints ?? []) add('fingerprint', `${hash} ${value}`);
  if (own.direction !== undefined && own.direction !== 'sendrecv') add(own.direction);
  if (own.file !== undefined) for (const { name, value } of formatFile(own.file)) add(name, value);
  return {
    media: 'message',
    port: shown.port ?? 9,
    protocol: shown.scheme === 'msrps' ? 'TCP/TLS/MSRP' : 'TCP/MSRP',
    formats: ['*'],
    connection: { addressType: shown.host.includes(':') ? 'IP6' : 'IP4', address: shown.host },
    attributes,
  };
}

/**
 * What we answer to an offered `setup` (RFC 4145 §4.1, RFC 6135 §4.2.2): passive wherever the offer allows it, because
 * we can be reached; an offer without the attribute means `active`.
 */
export function answerSetup(offered: Setup | undefined): 'active' | 'passive' {
  return offered === 'passive' ? 'active' : 'passive';
}

/** What we do when our offer got its answer: `offered` is ours, an answer without the attribute means `passive`. */
export function setupAfterAnswer(offered: Setup, answered: Setup | undefined): 'active' | 'passive' {
  if (offered !== 'actpass') return offered;
  return answered === 'active' ? 'passive' : 'active';
}

/** Whether content of this media type may be sent unwrapped (RFC 4975 §8.6). */
export function acceptsRoot(peer: MsrpDescription, mediaType: string): boolean {
  return peer.acceptTypes.accepts(mediaType);
}

/** Whether content of this media type may be sent inside a container (RFC 4975 §8.6). */
export function acceptsWrapped(peer: MsrpDescription, mediaType: string): boolean {
  return peer.acceptWrappedTypes.accepts(mediaType) || peer.acceptTypes.accepts(mediaType);
}

/** Hash functions for fingerprints, the most preferred first; MD5 and MD2 are not to be used (RFC 8122 §5). */
const HASHES = ['sha-512', 'sha-384', 'sha-256', 'sha-224', 'sha-1'];

/** The fingerprints of the most preferred hash function among those offered: one must match (RFC 8122 §5.1). */
export function decisiveFingerprints(offered: readonly Fingerprint[]): readonly Fingerprint[] {
  const by = (hash: string) => offered.filter((fingerprint) => fingerprint.hash.toLowerCase() === hash);
  return HASHES.map(by).find((found) => found.length > 0) ?? [];
}

/**
 * Whether `c=` and `m=` name the place that the path's next hop or endpoint names (RFC 6714 §4.4). Where one side is a
 * name and the other an address only DNS can tell: `unknown`.
 */
export function addressMatch(line: SdpMediaLine, path: MsrpPath): 'same' | 'different' | 'unknown' {
  const { connection } = line;
  if (connection === undefined) return 'unknown';
  const shown = hostUri(connection.address, line.port);
  if (shown === undefined) return 'unknown';
  const places = [path[0], peerOf(path)].map((uri) => hostUri(uri.host, uri.port));
  if (places.some((place) => place !== undefined && sameMsrpUri(place, shown))) return 'same';
  const comparable = places.every((place) => place !== undefined && isAddress(place.host) === isAddress(shown.host));
  return comparable ? 'different' : 'unknown';
}

function hostUri(host: string, port: number | undefined): MsrpUri | undefined {
  try {
    return newMsrpUri({ scheme: 'msrp', host, ...(port === undefined ? {} : { port }) });
  } catch (fault) {
    if (fault instanceof MsrpError) return undefined;
    throw fault;
  }
}

function isAddress(host: string): boolean {
  return host.includes(':') || /^[\d.]+$/.test(host);
}

function valueOf(attributes: readonly SdpAttribute[], name: string): string | undefined {
  return attributes.find((attribute) => attribute.name === name && attribute.value !== undefined)?.value;
}

function tokensOf(attributes: readonly SdpAttribute[], name: string): string[] {
  const lines = attributes.filter((attribute) => attribute.name === name);
  return lines.flatMap(({ value = '' }) => value.split(/\s+/)).filter((token) => token !== '');
}

function typesOf(attributes: readonly SdpAttribute[], name: string): AcceptedTypes {
  return new AcceptedTypes(tokensOf(attributes, name));
}

function chatroomOf(attributes: readonly SdpAttribute[]): readonly string[] | undefined {
  if (!attributes.some(({ name }) => name === 'chatroom')) return undefined;
  return [...new Set(tokensOf(attributes, 'chatroom'))];
}

function isSetup(value: string): value is Setup {
  return SETUPS.includes(value);
}

function setupOf(attributes: readonly SdpAttribute[]): Setup | undefined {
  const value = valueOf(attributes, 'setup')?.trim().toLowerCase();
  return value !== undefined && isSetup(value) ? value : undefined;
}

function isDirection(name: string): name is Direction {
  return DIRECTIONS.includes(name);
}

function directionOf(attributes: readonly SdpAttribute[]): Direction | undefined {
  return attributes.map(({ name }) => name).find(isDirection);
}

/** max-size is a hint (RFC 4975 §8.6): what is no number says nothing. */
function sizeOf(value: string | undefined): number | undefined {
  const digits = value?.trim();
  if (digits === undefined || !/^\d+$/.test(digits)) return undefined;
  return Math.min(Number(digits), Number.MAX_SAFE_INTEGER);
}

function fingerprintsOf(attributes: readonly SdpAttribute[]): readonly Fingerprint[] {
  return attributes.flatMap(({ name, value }) => {
    const [, hash, digest] = /^\s*(\S+)\s+([0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2})*)\s*$/.exec(value ?? '') ?? [];
    if (name !== 'fingerprint' || hash === undefined || digest === undefined) return [];
    return [{ hash: hash.toLowerCase(), value: digest.toUpperCase() }];
  });
}

function listOf(tokens: readonly string[]): string {
  return tokens.slice(0, MAX_LIST_TOKENS).join(' ');
}
