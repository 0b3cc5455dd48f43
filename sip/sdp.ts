import { isUtf8 } from 'node:buffer';
import { SipError } from './errors.ts';

/*
 * Session descriptions (RFC 8866, which replaces RFC 4566): the whole of one, both ways, but for `k=`. Attributes are
 * kept as they came, all of them, in their order: what they mean is for those who use them to say.
 */

/** `a=name` or `a=name:value` (RFC 8866 §5.13). */
export interface SdpAttribute {
  readonly name: string;
  /** Absent for a property attribute (`a=recvonly`). */
  readonly value?: string;
}

/** `c=` (RFC 8866 §5.7). */
export interface SdpConnection {
  /** `IN`. */
  readonly netType: string;
  /** `IP4` or `IP6`. */
  readonly addressType: string;
  readonly address: string;
}

/** `o=` (RFC 8866 §5.2). */
export interface SdpOrigin extends SdpConnection {
  /** `-` where there is none. */
  readonly username: string;
  /** Numeric; with the other parts but the version it names the session. */
  readonly sessionId: string;
  /** Numeric; grows with each change (RFC 3264 §8). */
  readonly sessionVersion: string;
}

/** `b=` (RFC 8866 §5.8). */
export interface SdpBandwidth {
  /** `CT`, `AS`, `TIAS`, … */
  readonly type: string;
  /** Kilobits per second for CT and AS. */
  readonly value: string;
}

/** `t=` with the `r=` and `z=` that follow it, kept as text (RFC 8866 §5.9 – 5.11). */
export interface SdpTime {
  readonly start: string;
  readonly stop: string;
  readonly repeats: readonly string[];
  readonly zones?: string;
}

/** What the session and each medium may have. */
interface SdpSection {
  /** `i=`. */
  readonly information?: string;
  /** `c=`: for a medium its own; `connectionOf` tells which one holds. */
  readonly connection?: SdpConnection;
  readonly bandwidths: readonly SdpBandwidth[];
  readonly attributes: readonly SdpAttribute[];
}

/** A media description: `m=` and what follows it (RFC 8866 §5.14). */
export interface SdpMedia extends SdpSection {
  /** `audio`, `video`, `text`, `message`, … */
  readonly media: string;
  /** 0: rejected, or withdrawn (RFC 3264 §6, §8.2). */
  readonly port: number;
  /** How many ports, where it is said. */
  readonly portCount?: number;
  /** `RTP/AVP`, `TCP/TLS/MSRP`, … */
  readonly protocol: string;
  /** At least one. */
  readonly formats: readonly string[];
  /** Further `c=` lines of layered multicast. */
  readonly moreConnections?: readonly SdpConnection[];
}

/** A session description (RFC 8866 §5). */
export interface SessionDescription extends SdpSection {
  readonly origin: SdpOrigin;
  /** `s=`; `-` where there is none. */
  readonly name: string;
  readonly uri?: string;
  readonly emails: readonly string[];
  readonly phones: readonly string[];
  /** At least one. */
  readonly times: readonly SdpTime[];
  readonly media: readonly SdpMedia[];
}

function bad(what: string): SipError {
  return new SipError(400, `bad session description: ${what}`);
}

const LINE = /^[a-z]=/;
const TOKEN = /^[A-Za-z0-9!#$%&'*+.^_`{|}~-]+$/;
const PORT = /^(\d{1,5})(?:\/([1-9]\d{0,4}))?$/;

/** Type and value of each line, read one after another. */
class Lines {
  readonly #lines: readonly string[];
  #at = 0;

  constructor(text: string) {
    // A single line feed is tolerated as a line's end (RFC 8866 §5); empty lines at the end say nothing.
    const lines = text.split(/\r?\n/);
    while (lines.at(-1) === '') lines.pop();
    for (const line of lines) {
      if (!LINE.test(line)) throw bad(`${JSON.stringify(line.slice(0, 40))} is no line of SDP`);
      if (/[\r\0]/.test(line)) throw bad('control character');
    }
    this.#lines = lines;
  }

  /** Type of the next line; undefined at the end. */
  get type(): string | undefined {
    return this.#lines[this.#at]?.[0];
  }

  /** Value of the next line, which is thereby taken. */
  take(): string {
    return this.#lines[this.#at++]?.slice(2) ?? '';
  }

  takeIf(type: string): string | undefined {
    return this.type === type ? this.take() : undefined;
  }

  must(type: string): string {
    if (this.type !== type) throw bad(`${type}= expected`);
    return this.take();
  }

  all(type: string): string[] {
    const values: string[] = [];
    while (this.type === type) values.push(this.take());
    return values;
  }
}

/**
 * Parses a session description: order of the parts, required lines and the syntax of o, c, b, t, m and a are checked.
 * Within a section the lines i, c, b, k, a are taken in any order, and a media description without any `c=` is let
 * pass: both are met in the wild and mistake nothing.
 *
 * @throws SipError 400 when it is none, or has a line type that RFC 8866 does not know (§5: such a description is to be
 * rejected)
 */
export function parseSdp(body: Uint8Array | string): SessionDescription {
  const lines = new Lines(typeof body === 'string' ? body : decode(body));
  if (lines.must('v') !== '0') throw bad('version is not 0');
  const origin = parseOrigin(lines.must('o'));
  const name = lines.must('s');
  const information = lines.takeIf('i');
  const uri = lines.takeIf('u');
  const emails = lines.all('e');
  const phones = lines.all('p');
  const head = parseSection(lines);
  const times: SdpTime[] = [];
  while (lines.type === 't') times.push(parseTime(lines));
  if (times.length === 0) throw bad('t= expected');
  const tail = parseSection(lines);
  const media: SdpMedia[] = [];
  while (lines.type === 'm') media.push(parseMedia(lines));
  if (lines.type !== undefined) throw bad(`unexpected ${lines.type}=`);

  const [connection] = [...head.connections, ...tail.connections];
  return {
    origin,
    name,
    ...given('information', information ?? head.information ?? tail.information),
    ...given('uri', uri),
    emails,
    phones,
    ...given('connection', connection),
    bandwidths: [...head.bandwidths, ...tail.bandwidths],
    times,
    attributes: [...head.attributes, ...tail.attributes],
    media,
  };
}

/** `{ [name]: value }`, or nothing for `undefined`. */
function given<K extends string, V>(name: K, value: V | undefined): { readonly [key in K]?: V } {
  if (value === undefined) return {};
  const object: { [key in K]?: V } = {};
  object[name] = value;
  return object;
}

/** UTF-8 (RFC 8866 §5); bytes that are none are taken as ISO 8859-1. */
function decode(body: Uint8Array): string {
  return Buffer.from(body.buffer, body.byteOffset, body.length).toString(isUtf8(body) ? 'utf8' : 'latin1');
}

interface Section {
  information?: string;
  readonly connections: SdpConnection[];
  readonly bandwidths: SdpBandwidth[];
  readonly attributes: SdpAttribute[];
}

function parseSection(lines: Lines): Section {
  const section: Section = { connections: [], bandwidths: [], attributes: [] };
  for (;;) {
    switch (lines.type) {
      case 'i':
        section.information = lines.take();
        break;
      case 'c':
        section.connections.push(parseConnection(lines.take()));
        break;
      case 'b':
        section.bandwidths.push(parseBandwidth(lines.take()));
        break;
      case 'k':
        lines.take(); // RFC 8866 §5.12: obsolete, and to be discarded
        break;
      case 'a':
        section.attributes.push(parseAttribute(lines.take()));
        break;
      default:
        return section;
    }
  }
}

function parseOrigin(value: string): SdpOrigin {
  const [username, sessionId, sessionVersion, netType, addressType, address, ...rest] = words(value);
  if (address === undefined || rest.length > 0) throw bad('o=');
  if (username === undefined || sessionId === undefined || sessionVersion === undefined) throw bad('o=');
  if (!/^\d+$/.test(sessionId) || !/^\d+$/.test(sessionVersion)) throw bad('o=: id and version are numbers');
  return { username, sessionId, sessionVersion, ...checkedConnection(netType, addressType, address) };
}

function words(value: string): string[] {
  return value.trim().split(/ +/);
}

function parseConnection(value: string): SdpConnection {
  const [netType, addressType, address, ...rest] = words(value);
  if (rest.length > 0) throw bad('c=');
  return checkedConnection(netType, addressType, address);
}

function checkedConnection(netType = '', addressType = '', address = ''): SdpConnection {
  if (!TOKEN.test(netType) || !TOKEN.test(addressType) || address === '') throw bad('address');
  return { netType, addressType, address };
}

function parseBandwidth(value: string): SdpBandwidth {
  const match = /^([^:]+):(\d+)\s*$/.exec(value);
  if (match === null) throw bad('b=');
  const [, type = '', bandwidth = ''] = match;
  return { type, value: bandwidth };
}

function parseTime(lines: Lines): SdpTime {
  const match = /^(\d+) +(\d+)\s*$/.exec(lines.take());
  if (match === null) throw bad('t=');
  const [, start = '', stop = ''] = match;
  const repeats = lines.all('r');
  return { start, stop, repeats, ...given('zones', lines.takeIf('z')) };
}

function parseAttribute(value: string): SdpAttribute {
  const colon = value.indexOf(':');
  const name = (colon === -1 ? value : value.slice(0, colon)).trim();
  if (!TOKEN.test(name)) throw bad(`attribute ${JSON.stringify(name.slice(0, 40))}`);
  return colon === -1 ? { name } : { name, value: value.slice(colon + 1) };
}

function parseMedia(lines: Lines): SdpMedia {
  const [media = '', ports = '', protocol = '', ...formats] = words(lines.take());
  const match = PORT.exec(ports);
  const port = Number(match?.[1]);
  if (!TOKEN.test(media) || !(port <= 65535) || !/^[^/]+(?:\/[^/]+)*$/.test(protocol) || formats.length === 0) {
    throw bad('m=');
  }
  const { connections, ...section } = parseSection(lines);
  const [connection, ...more] = connections;
  return {
    media,
    port,
    ...(match?.[2] === undefined ? undefined : { portCount: Number(match[2]) }),
    protocol,
    formats,
    ...given('connection', connection),
    ...(more.length === 0 ? undefined : { moreConnections: more }),
    ...section,
  };
}

/** Prints a session description, in the order of RFC 8866 §5, lines ended by CRLF. */
export function formatSdp(session: SessionDescription): string {
  const { origin: o } = session;
  const out = [
    'v=0',
    `o=${o.username} ${o.sessionId} ${o.sessionVersion} ${o.netType} ${o.addressType} ${o.address}`,
    `s=${session.name}`,
    ...line('i', session.information),
    ...line('u', session.uri),
    ...session.emails.map((email) => `e=${email}`),
    ...session.phones.map((phone) => `p=${phone}`),
    ...line('c', session.connection && formatConnection(session.connection)),
    ...session.bandwidths.map((b) => `b=${b.type}:${b.value}`),
    ...session.times.flatMap((t) => [
      `t=${t.start} ${t.stop}`,
      ...t.repeats.map((repeat) => `r=${repeat}`),
      ...line('z', t.zones),
    ]),
    ...session.attributes.map(formatAttribute),
    ...session.media.flatMap(formatMedia),
  ];
  // A line break in a value would be a line of somebody else's choice.
  if (out.some((text) => /[\r\n\0]/.test(text))) throw new TypeError('line break in session description');
  return `${out.join('\r\n')}\r\n`;
}

function line(type: string, value: string | undefined): string[] {
  return value === undefined ? [] : [`${type}=${value}`];
}

function formatConnection({ netType, addressType, address }: SdpConnection): string {
  return `${netType} ${addressType} ${address}`;
}

function formatAttribute({ name, value }: SdpAttribute): string {
  return value === undefined ? `a=${name}` : `a=${name}:${value}`;
}

function formatMedia(media: SdpMedia): string[] {
  const ports = media.portCount === undefined ? String(media.port) : `${String(media.port)}/${String(media.portCount)}`;
  const connections = media.connection === undefined ? [] : [media.connection, ...(media.moreConnections ?? [])];
  return [
    `m=${media.media} ${ports} ${media.protocol} ${media.formats.join(' ')}`,
    ...line('i', media.information),
    ...connections.map((connection) => `c=${formatConnection(connection)}`),
    ...media.bandwidths.map((b) => `b=${b.type}:${b.value}`),
    ...media.attributes.map(formatAttribute),
  ];
}

/** The values of all attributes of that name, in their order; '' for one without value. */
export function attributeValues(section: { readonly attributes: readonly SdpAttribute[] }, name: string): string[] {
  return section.attributes.filter((attribute) => attribute.name === name).map(({ value }) => value ?? '');
}

/** The value of the first attribute of that name; '' where it has none, `undefined` where it is absent. */
export function attributeValue(
  section: { readonly attributes: readonly SdpAttribute[] },
  name: string,
): string | undefined {
  const found = section.attributes.find((attribute) => attribute.name === name);
  return found && (found.value ?? '');
}

/** The connection that holds for a medium: its own, else the session's (RFC 8866 §5.7). */
export function connectionOf(session: SessionDescription, media: SdpMedia): SdpConnection | undefined {
  return media.connection ?? session.connection;
}
