/**
 * Who is in a conference, in the words of RFC 4575: users with their endpoints and media, each with the revision at
 * which it last changed and marks of what was taken away, so that "all that changed since revision r" can be told to
 * any subscriber without keeping a queue for it.
 */
import type {
  CallInfo,
  DisconnectionMethod,
  EndpointStatus,
  Joined,
  JoiningMethod,
  Medium,
  Millis,
  Role,
} from './events.ts';
import type { EndpointId, IpAddress, UserUri } from './ids.ts';

/** Counts the changes of one live conference that its document shows. Local to the node that holds it. */
export type Revision = number;

/** How and when an endpoint went away (RFC 4575 §5.7.6, §5.7.7). */
export interface Departure {
  readonly at: Millis;
  readonly method: DisconnectionMethod;
  readonly reason?: string;
  readonly by?: UserUri;
}

/** One device or call leg of a user (RFC 4575 §5.7). */
export interface Endpoint {
  readonly id: EndpointId;
  /** Key in the document, unique among the endpoints of its user. */
  readonly key: string;
  /** Authenticated identity of its user. */
  readonly user: UserUri;
  /** The roster entry it belongs to: `user`, or the alias of somebody anonymous. */
  readonly entity: UserUri;
  readonly status: EndpointStatus | 'disconnected';
  readonly method: JoiningMethod;
  readonly joinedAt: Millis;
  readonly joinedBy?: UserUri;
  readonly joinReason?: string;
  readonly media: readonly Medium[];
  readonly callInfo?: CallInfo;
  readonly instance?: string;
  readonly address?: IpAddress;
  /** Set when `status` is `disconnected`. */
  readonly departure?: Departure;
  /** When it last changed. */
  readonly changed: Revision;
}

/** One user of the roster (RFC 4575 §5.6). A user who joined both openly and anonymously has two entries. */
export interface Participant {
  /** Key of the roster: the identity, or the anonymous alias. */
  readonly entity: UserUri;
  /** The authenticated identity; not shown when it differs from `entity`. */
  readonly user: UserUri;
  readonly displayName?: string;
  readonly nickname?: string;
  readonly role: Role;
  readonly muted: boolean;
  /** In the order of joining; departed ones among them until they are forgotten. */
  readonly endpoints: readonly Endpoint[];
  /** When something of the user itself last changed. */
  readonly changed: Revision;
  /** When it or one of its endpoints last changed. */
  readonly touched: Revision;
}

/** Whether the endpoint takes part: neither gone nor still on its way in. */
export function isPresent(endpoint: Endpoint): boolean {
  switch (endpoint.status) {
    case 'connected':
    case 'on-hold':
    case 'muted-via-focus':
      return true;
    case 'pending':
    case 'dialing-in':
    case 'dialing-out':
    case 'alerting':
    case 'disconnecting':
    case 'disconnected':
      return false;
  }
}

/** What a roster entry says of the user itself. */
export type RosterName = Omit<Participant, 'endpoints' | 'changed' | 'touched'>;

/** The entry under these names, which may be absent. */
export function named(entry: RosterName, displayName: string | undefined, nickname: string | undefined): RosterName {
  const { entity, user, role, muted } = entry;
  return {
    entity,
    user,
    role,
    muted,
    ...(displayName === undefined ? {} : { displayName }),
    ...(nickname === undefined ? {} : { nickname }),
  };
}

/** Whether a `joined` may take the place of the endpoint: it has gone, or was only being called. */
export function isReplaceable({ status }: Endpoint): boolean {
  return status === 'disconnected' || status === 'dialing-out' || status === 'alerting';
}

/** What the roster says of an endpoint that comes into this entry, under that key. */
export function endpointOf(event: Joined, entity: UserUri, key: string): Omit<Endpoint, 'changed'> {
  return {
    id: event.endpoint,
    key,
    user: event.user,
    entity,
    status: event.status ?? 'connected',
    method: event.method,
    joinedAt: event.at,
    media: event.media,
    ...(event.by === undefined ? {} : { joinedBy: event.by }),
    ...(event.reason === undefined ? {} : { joinReason: event.reason }),
    ...(event.callInfo === undefined ? {} : { callInfo: event.callInfo }),
    ...(event.instance === undefined ? {} : { instance: event.instance }),
    ...(event.address === undefined ? {} : { address: event.address }),
  };
}

/** A user or an endpoint that was taken out of the roster. */
export interface Removal {
  readonly entity: UserUri;
  /** Absent: the whole user. */
  readonly endpointKey?: string;
  readonly at: Revision;
}

/** Most marks of removal that are kept; a subscriber older than the oldest one needs the full state. */
export const MAX_REMOVALS = 2_000;

/** The table of users of one conference. Its owner, `Conference`, says what happens and at which revision. */
export class Roster {
  readonly #users = new Map<UserUri, Participant>();
  /** The entries of each identity. */
  readonly #entries = new Map<UserUri, Set<UserUri>>();
  readonly #endpoints = new Map<EndpointId, Endpoint>();
  /** In the order of their revisions. */
  readonly #removals = new Map<string, Removal>();
  /** Changes up to this revision can no longer be told apart. */
  #floor: Revision = 0;
  /** Departed endpoints in the order in which they went. */
  readonly #departed = new Set<EndpointId>();

  /** All users, in the order of joining. */
  users(): IterableIterator<Participant> {
    return this.#users.values();
  }

  /** The roster entry with this key. */
  user(entity: UserUri): Participant | undefined {
    return this.#users.get(entity);
  }

  /** The entries of one identity: itself, and what it joined as anonymously. */
  entriesOf(user: UserUri): readonly Participant[] {
    return [...(this.#entries.get(user) ?? [])].flatMap((entity) => this.#users.get(entity) ?? []);
  }

  /** Whether somebody takes part by one endpoint at least. */
  has(user: UserUri): boolean {
    for (const entity of this.#entries.get(user) ?? []) {
      if (this.#users.get(entity)?.endpoints.some(isPresent) === true) return true;
    }
    return false;
  }

  /** The endpoint, also when it has departed and is still shown. */
  endpoint(id: EndpointId): Endpoint | undefined {
    return this.#endpoints.get(id);
  }

  /** Departed endpoints that are still shown, oldest first; each may be removed as it is given. */
  *departed(): IterableIterator<Endpoint> {
    for (const id of this.#departed) {
      const endpoint = this.#endpoints.get(id);
      if (endpoint !== undefined) yield endpoint;
    }
  }

  /** How many departed endpoints are still shown. */
  get departedCount(): number {
    return this.#departed.size;
  }

  /** What was removed after the revision, or `undefined` if that is no longer known. */
  removalsSince(since: Revision): readonly Removal[] | undefined {
    if (since < this.#floor) return undefined;
    return [...this.#removals.values()].filter((removal) => removal.at > since);
  }

  /** Puts a new user in, or replaces what is known of one. Its endpoints are not touched. */
  putUser(user: RosterName, at: Revision): void {
    const endpoints = this.#users.get(user.entity)?.endpoints ?? [];
    this.#removals.delete(removalKey(user.entity));
    this.#users.set(user.entity, { ...user, endpoints, changed: at, touched: at });
    const entries = this.#entries.get(user.user);
    if (entries === undefined) this.#entries.set(user.user, new Set([user.entity]));
    else entries.add(user.entity);
  }

  /** Puts a new endpoint of a known user in, or replaces what is known of one. */
  putEndpoint(endpoint: Omit<Endpoint, 'changed'>, at: Revision): void {
    const user = this.#users.get(endpoint.entity);
    if (user === undefined) return;
    const changed: Endpoint = { ...endpoint, changed: at };
    const known = this.#endpoints.has(endpoint.id);
    const endpoints = known
      ? user.endpoints.map((one) => (one.id === endpoint.id ? changed : one))
      : [...user.endpoints, changed];
    this.#removals.delete(removalKey(endpoint.entity, endpoint.key));
    this.#endpoints.set(endpoint.id, changed);
    if (changed.status === 'disconnected') this.#departed.add(changed.id);
    this.#users.set(user.entity, { ...user, endpoints, touched: at });
  }

  /** Takes an endpoint out, and with its last endpoint the user. */
  removeEndpoint(id: EndpointId, at: Revision): void {
    const endpoint = this.#endpoints.get(id);
    if (endpoint === undefined) return;
    this.#endpoints.delete(id);
    this.#departed.delete(id);
    const user = this.#users.get(endpoint.entity);
    if (user === undefined) return;
    const endpoints = user.endpoints.filter((one) => one.id !== id);
    if (endpoints.length === 0) {
      this.#users.delete(user.entity);
      const entries = this.#entries.get(user.user);
      entries?.delete(user.entity);
      if (entries?.size === 0) this.#entries.delete(user.user);
      this.#mark({ entity: user.entity, at });
    } else {
      this.#users.set(user.entity, { ...user, endpoints, touched: at });
      this.#mark({ entity: user.entity, endpointKey: endpoint.key, at });
    }
  }

  #mark(removal: Removal): void {
    const key = removalKey(removal.entity, removal.endpointKey);
    this.#removals.delete(key);
    this.#removals.set(key, removal);
    for (const [oldest, mark] of this.#removals) {
      if (this.#removals.size <= MAX_REMOVALS) break;
      this.#removals.delete(oldest);
      this.#floor = mark.at;
    }
  }
}

function removalKey(entity: UserUri, endpointKey?: string): string {
  return endpointKey === undefined ? entity : `${entity} ${endpointKey}`;
}
