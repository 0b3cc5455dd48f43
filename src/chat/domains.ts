import { canonicalHost, formatUri, parseUri, SipError, type Uri, uriKey } from '../../sip/index.ts';
import { IdError, roomUri, type RoomUri, type UserUri } from '../conference/ids.ts';

/** Ends the user part of the URI from which a room sends texts outside of calls. */
const TEXT = '~text';

/** Another URI of the same room, for texts outside of calls: `sip:lobby~text@example.com`. `Domains` knows the room by it. */
export function textAlias(uri: Uri): Uri {
  return uri.kind === 'sip' ? { ...uri, user: `${uri.user ?? ''}${TEXT}` } : uri;
}

/** How many texts of URIs are remembered with what they mean. */
const MEMORY = 4096;

/**
 * The names of the domain we serve. All of them name the same rooms: `sip:lobby@localhost`, `sips:lobby@127.0.0.1:5061`
 * and `sip:lobby@chat.example.com;transport=tcp` are one.
 */
export class Domains {
  readonly #names: ReadonlySet<string>;
  readonly #canonical: string;
  readonly #accounts: string | undefined;
  readonly #rooms = new Map<string, RoomUri | undefined>();

  /**
   * @param names host names and address literals (IPv6 in brackets); the first one stands in canonical URIs
   * @param accounts the name among them under which people with accounts are known, whatever name is used for them; none:
   *   everybody is who his URI says
   */
  constructor(names: readonly [string, ...string[]], accounts?: string) {
    this.#accounts = accounts === undefined ? undefined : canonicalHost(accounts);
    this.#names = new Set(names.map(canonicalHost));
    this.#canonical = canonicalHost(names[0]);
  }

  /** Whether the host is ours, however it is written. */
  serves(host: string): boolean {
    return this.#names.has(canonicalHost(host));
  }

  /** The URI under which somebody is known who is named by this one. */
  person(uri: Uri): Uri {
    return uri.kind === 'sip' ? { ...uri, host: this.peopleOf(uri.host) } : uri;
  }

  /** The same for text; what is no URI is left as it is. */
  personNamed(text: string): string {
    const uri = this.#accounts === undefined ? undefined : readUri(text.replace(/^<(.*)>$/, '$1'));
    return uri === undefined ? text : formatUri(this.person(uri));
  }

  /** The host under which the people of a host are known. */
  peopleOf(host: string): string {
    return this.#accounts !== undefined && this.serves(host) ? this.#accounts : host;
  }

  /** The room that a URI names; undefined when it is none of ours. Parameters and port do not matter. */
  roomOf(uri: Uri): RoomUri | undefined {
    if (uri.kind !== 'sip' || uri.user === undefined || !this.serves(uri.host)) return undefined;
    const key = uriKey(uri);
    const user = key.slice(0, key.lastIndexOf('@'));
    try {
      return roomUri(`sip:${user.endsWith(TEXT) ? user.slice(0, -TEXT.length) : user}@${this.#canonical}`);
    } catch (fault) {
      if (fault instanceof IdError) return undefined;
      throw fault;
    }
  }

  /** Whether somebody has the address of a room: in it he would speak as the room, and what is for him alone go to all. */
  isRoom(room: RoomUri, user: UserUri): boolean {
    return this.roomNamed(user) === room;
  }

  /** The room that somebody who runs the service means: by its name alone, with the domain, or by a URI. */
  roomCalled(name: string): RoomUri | undefined {
    if (/^sips?:/i.test(name)) return this.roomNamed(name);
    return this.roomNamed(name.includes('@') ? `sip:${name}` : `sip:${name}@${this.#canonical}`);
  }

  /** The same for text, as it stands in CPIM headers; what is no URI names nothing. */
  roomNamed(text: string): RoomUri | undefined {
    const known = this.#rooms.get(text);
    if (known !== undefined || this.#rooms.has(text)) return known;
    const uri = readUri(text);
    const room = uri === undefined ? undefined : this.roomOf(uri);
    if (this.#rooms.size >= MEMORY) this.#rooms.clear();
    this.#rooms.set(text, room);
    return room;
  }
}

const keys = new Map<string, string | undefined>();

/**
 * What two URIs of one person have in common: user and host for `sip:`, `sips:` and `im:` (RFC 3860 §4: the same
 * address), the digits for `tel:`. Undefined for what is no URI.
 */
export function personKey(text: string): string | undefined {
  const known = keys.get(text);
  if (known !== undefined || keys.has(text)) return known;
  const uri = readUri(text.replace(/^im:/i, 'sip:'));
  const key = uri === undefined ? undefined : uriKey(uri);
  if (keys.size >= MEMORY) keys.clear();
  keys.set(text, key);
  return key;
}

function readUri(text: string): Uri | undefined {
  try {
    return parseUri(text);
  } catch (fault) {
    if (fault instanceof SipError) return undefined;
    throw fault;
  }
}
