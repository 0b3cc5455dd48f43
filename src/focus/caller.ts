import type { Answer, Flow, SipRequest } from '../../sip/index.ts';
import { formatMessage, formatUri, type Uri, uriKey } from '../../sip/index.ts';
import { randomBytes } from 'node:crypto';
import { type EndpointId, IdError, readIpAddress, type IpAddress, userUri, type UserUri } from '../conference/ids.ts';
import { personKey } from '../chat/domains.ts';
import type { Speaker } from '../chat/speaker.ts';
import type { PeerProfile } from './peers.ts';

/** Who sends a request, as far as the service knows and believes it. */
export interface Caller {
  /** The verified identity; with no authentication, the From. */
  readonly user: UserUri;
  /** Whether it is verified. */
  readonly proven: boolean;
  readonly displayName: string | undefined;
  /** Keys of the URIs it may call its own in messages. */
  readonly names: ReadonlySet<string>;
  /** The URI that others see instead of its identity, when it asked for privacy (RFC 3323, RFC 4575 §5.6). */
  readonly alias: UserUri | undefined;
  /** The address it speaks from, without port; undefined where that is not known. */
  readonly address: IpAddress | undefined;
  /** Whether the request has come through a proxy. */
  readonly proxied: boolean;
  /** Whether it has called by an INVITE that came over TCP as one that is too large for UDP; of other requests false. */
  readonly large: boolean;
}

/** Lets a request in with the identity it proves, or answers it (401, 403). */
export interface Gate {
  admit(request: SipRequest, flow: Flow): Caller | Answer | Promise<Caller | Answer>;
}

/** The gate of an open service: everybody is who the From says. */
export const OPEN_GATE: Gate = {
  admit: (request, flow) => callerOf(request, flow, undefined),
};

/**
 * Makes a caller of a request.
 * @param identity the authenticated URI; undefined where nobody authenticates, and the From is believed
 * @param isSame whether a From is only another way to write the authenticated URI
 */
export function callerOf(
  request: SipRequest,
  flow: Flow,
  identity: Uri | undefined,
  isSame: (identity: Uri, from: Uri) => boolean = () => false,
): Caller | Answer {
  const { from } = request;
  const user = canonicalUser(identity ?? from.uri);
  if (user === undefined) return { status: 403, reason: 'From names nobody' };
  const address = readIpAddress(flow.remote.address);
  const proven = identity !== undefined;
  const { displayName } = from;
  const way = {
    address,
    proxied: request.via.length > 1,
    large: request.method === 'INVITE' && isLarge(request, flow),
  };
  if (wantsPrivacy(request)) {
    const shown = anonymous();
    // Several who give no name are not one person.
    return { ...shown, user: isAnonymous(from.uri) && !proven ? shown.alias : user, proven, ...way };
  }
  const own = identity === undefined || isSame(identity, from.uri) ? [user, formatUri(from.uri)] : [user];
  return {
    user,
    proven,
    displayName,
    names: new Set(own.flatMap((uri) => personKey(uri) ?? [])),
    alias: undefined,
    ...way,
  };
}

/** Whether a request has come over TCP as one that is too large for UDP (RFC 3261 §18.1.1). Writes all of it to know. */
export function isLarge(request: SipRequest, { transport }: Flow): boolean {
  return transport === 'TCP' && formatMessage(request).length > MOST_BY_UDP;
}

/** Octets of a request by UDP, while nobody knows what the way bears (RFC 3261 §18.1.1; for MESSAGE, RFC 3428 §8). */
export const MOST_BY_UDP = 1300;

/** Who turns to a room, with what client, and by what name of it. */
export interface Approach {
  readonly caller: Caller;
  readonly profile: PeerProfile;
  /** The URI of the room as he knows it. */
  readonly roomUri: string;
}

/** As whom a caller sends into a room by an endpoint; `outside`: without being in it. */
export function speakerOf({ caller, profile, roomUri }: Approach, endpoint: EndpointId, outside = false): Speaker {
  return {
    endpoint,
    user: caller.user,
    outside,
    names: caller.names,
    roomUri,
    shown: caller.alias ?? caller.user,
    swallow: profile.swallow,
    speaksForMany: !outside && profile.bridge !== 'none',
  };
}

/** What others see of somebody who does not want to be known: a URI that is given out once. */
export function anonymous(): Pick<Caller, 'displayName' | 'names'> & { readonly alias: UserUri } {
  const alias = userUri(`sip:anonymous-${randomBytes(6).toString('hex')}@anonymous.invalid`);
  const key = personKey(alias);
  return { displayName: 'Anonymous', names: new Set(key === undefined ? [] : [key]), alias };
}

/** The identity under which a user is known: an address of record without parameters. Undefined for what names nobody. */
export function canonicalUser(uri: Uri): UserUri | undefined {
  const key = uriKey(uri);
  const text = uri.kind === 'sip' ? `sip:${key.startsWith('@') ? key.slice(1) : key}` : key;
  try {
    return userUri(text);
  } catch (fault) {
    if (fault instanceof IdError) return undefined;
    throw fault;
  }
}

/** Whether its sender does not want to be known by it (RFC 3323 §4.1.1.3, §4.2; RFC 3325 §9.3). */
export function wantsPrivacy(request: SipRequest): boolean {
  return request.privacy.some((kind) => kind === 'id' || kind === 'user') || isAnonymous(request.from.uri);
}

/** Whether nobody knows who it is: it proves no identity, and gives no name (RFC 3323 §4.1.1.3). */
export function isNameless({ user, alias }: Pick<Caller, 'user' | 'alias'>): boolean {
  return user === alias;
}

/** RFC 3323 §4.1.1.3. */
function isAnonymous(uri: Uri): boolean {
  return uri.kind === 'sip' && (uri.host === 'anonymous.invalid' || uri.host.endsWith('.anonymous.invalid'));
}
