import {
  type Answer,
  canonicalHost,
  type NameAddr,
  Params,
  parseUri,
  SipError,
  type SipUri,
  type Uri,
} from '../../sip/index.ts';
import type { Domains } from '../chat/domains.ts';
import type { RoomUri, UserUri } from '../conference/ids.ts';
import { canonicalUser } from './caller.ts';
import { THE_ROOM_ITSELF } from './refusals.ts';

/** Whom the focus may call at the wish of others (RFC 5363 §5.2, RFC 5366 §7). */
export interface TargetOptions {
  /** Domains besides our own whose people have opted in by being listed; `*` is every domain. */
  readonly domains: readonly string[];
  /** Where calls go first: the registrar or proxy that knows the people of our domains. */
  readonly proxy: Uri | undefined;
  /** Whether addresses of our own names may have a port: out of the box, where all is open, to this machine alone. */
  readonly anyPort: boolean;
  /** Ports at which we listen for SIP ourselves. */
  readonly ownPorts: () => ReadonlySet<number>;
}

/** Somebody who may be called. */
export interface Target {
  /** Without what a URI must not bring along (RFC 3261 §19.1.5): headers, a method. */
  readonly uri: SipUri;
  /** As whom he is known. */
  readonly user: UserUri;
  /** By our proxy. */
  readonly route: readonly NameAddr[] | undefined;
  /** Whether the URI alone leads back to ourselves: only who has a connection to us can be called. */
  readonly byFlowOnly: boolean;
}

/** To who wants somebody of a domain called that is none of ours and is not configured. */
export const FOREIGN_DOMAIN: Answer = { status: 403, reason: 'That Domain Is Not Called from Here' };

/**
 * Tells whom the focus may call.
 *
 * Deviation: RFC 5363 §5.2 wants everybody asked first, as RFC 5360 has it. Here who is connected to this service, or is of a
 * domain that its operator lists, counts as one who wants to be called. It also wants who asks authenticated: an open service
 * cannot do that, and is one for this machine alone, or says so in its configuration.
 */
export class Targets {
  readonly #options: TargetOptions;
  readonly #domains: Domains;

  constructor(options: TargetOptions, domains: Domains) {
    this.#options = options;
    this.#domains = domains;
  }

  /** The one that a URI names, or the answer that says why he is not called into that room. */
  judge(uri: Uri, room: RoomUri): Target | Answer {
    if (uri.kind !== 'sip') return { status: 416, reason: 'Only sip and sips URIs Are Called' };
    if (uri.user === undefined) return { status: 403, reason: 'The URI Names Nobody' };
    const { proxy, anyPort } = this.#options;
    // RFC 3261 §19.1.1: maddr is where the request goes, whatever the host.
    const goesTo = uri.params.get('maddr') ?? uri.host;
    if (!this.#mayCall(uri.host) || !this.#mayCall(goesTo)) {
      return FOREIGN_DOMAIN;
    }
    const ours = this.#domains.serves(goesTo);
    // Whoever answers is in the room as who the host says, with his role: so he has to be where that leads.
    if (!isSameHost(uri.host, goesTo) && !(ours && this.#domains.serves(uri.host))) {
      return { status: 403, reason: 'Not Called at an Address That Another Domain Has' };
    }
    const params = uri.params.without('method');
    const target: SipUri = { ...uri, params, headers: [] };
    const user = canonicalUser(this.#domains.person(target));
    if (user === undefined) return { status: 403, reason: 'The URI Names Nobody' };
    const back = ours && (uri.port === undefined || this.#options.ownPorts().has(uri.port));
    // A proxy, too, may take a port for that of somebody else, unless it is its own.
    const itself = proxy?.kind === 'sip' && (proxy.port ?? 5060) === uri.port;
    if (ours && !back && !itself && !anyPort) return { status: 403, reason: 'That Port Is Not Called from Here' };
    if (!back && this.#domains.isRoom(room, user)) return THE_ROOM_ITSELF;
    if (proxy !== undefined) return { uri: target, user, route: [address(proxy)], byFlowOnly: false };
    return { uri: target, user, route: undefined, byFlowOnly: back };
  }

  #mayCall(host: string): boolean {
    const { domains } = this.#options;
    return this.#domains.serves(host) || domains.some((name) => name === '*' || isSameHost(name, host));
  }
}

/** Reads the URI of somebody who is to be called; undefined for what is none. */
export function readTarget(text: string): Uri | undefined {
  try {
    return parseUri(/^[a-z][a-z0-9+.-]*:/i.test(text) ? text : `sip:${text}`);
  } catch (fault) {
    if (fault instanceof SipError) return undefined;
    throw fault;
  }
}

const isSameHost = (one: string, other: string): boolean => canonicalHost(one) === canonicalHost(other);

const address = (uri: Uri): NameAddr => ({ uri, params: Params.none });
