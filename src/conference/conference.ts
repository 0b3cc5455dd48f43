/**
 * The state of one conference. It changes by `apply` only, and `apply` depends on nothing but the events and the
 * configuration, so hosts that hear the same log hold the same state.
 */
import { BanList } from './ban-list.ts';
import type {
  Banned,
  ConferenceEvent,
  Joined,
  Left,
  Millis,
  Renamed,
  Role,
  SettingChange,
  SettingValues,
  Tombstoned,
} from './events.ts';
import type { EndpointId, EventNumber, IpAddress, UserUri } from './ids.ts';
import { NicknameRegister } from './nickname-register.ts';
import type { ReleasedNickname } from './nickname-register.ts';
import { Recent } from './recent.ts';
import { endpointOf, isPresent, isReplaceable, named, Roster } from './roster.ts';
import type { Endpoint, Participant, Removal, Revision } from './roster.ts';
import type { ConferenceSettings } from './settings.ts';

/** Limits of what a conference remembers. */
export interface ConferenceLimits {
  /** How long a departed endpoint is shown as `disconnected`, in milliseconds. Default 30,000. */
  readonly departedFor?: Millis;
  /** Most departed endpoints shown at a time. Default 100. */
  readonly maxDeparted?: number;
  /** Most released nicknames, last times of speaking and history positions remembered, each. Default 10,000. */
  readonly maxRemembered?: number;
}

/** The live state of one conference (RFC 4575 words). */
export class Conference {
  readonly #roster = new Roster();
  readonly #limits: Required<ConferenceLimits>;
  readonly #settings: ConferenceSettings;
  #revision: Revision = 0;
  #descriptionChanged: Revision = 0;
  #stateChanged: Revision = 0;
  #userCount = 0;
  #countedAt: Revision = 0;
  #last: EventNumber | 0 = 0;

  #subject: string | null | undefined;
  #locked = false;
  #slowMode: number | undefined;
  #overrides: { readonly [Name in keyof SettingValues]?: SettingValues[Name] | null } = {};
  #startedAt: Millis | undefined;
  #creator: UserUri | undefined;
  #endedAt: Millis | undefined;
  #tombstone: Tombstoned | undefined;
  readonly #roles = new Map<UserUri, Role>();
  readonly #muted = new Set<UserUri>();
  readonly #bans = new BanList();
  readonly #nicknames: NicknameRegister;
  readonly #lastSaid: Recent<UserUri, Millis>;
  readonly #positions: Recent<string, EventNumber>;

  constructor(settings: ConferenceSettings = {}, limits: ConferenceLimits = {}) {
    this.#settings = settings;
    this.#limits = { departedFor: 30_000, maxDeparted: 100, maxRemembered: 10_000, ...limits };
    const { maxRemembered } = this.#limits;
    this.#nicknames = new NicknameRegister(maxRemembered);
    this.#lastSaid = new Recent(maxRemembered);
    this.#positions = new Recent(maxRemembered);
  }

  // ---- what it is

  /** Moves on with every change that the document shows. */
  get revision(): Revision {
    return this.#revision;
  }

  /** The number of the last event applied, 0 before the first. */
  get last(): EventNumber | 0 {
    return this.#last;
  }

  /** The configured side. */
  get settings(): ConferenceSettings {
    return this.#settings;
  }

  /** A setting as it is now: changed in the conference, else as configured. */
  setting<Name extends keyof SettingValues>(name: Name): SettingValues[Name] | undefined {
    const configured: Partial<SettingValues> = this.#settings;
    const given: SettingValues[Name] | null | undefined = this.#overrides[name];
    return given === null ? undefined : (given ?? configured[name]);
  }

  /** The subject, given or configured. */
  get subject(): string | undefined {
    return this.#subject === undefined ? this.#settings.subject : (this.#subject ?? undefined);
  }

  /** Nobody new may come in. */
  get locked(): boolean {
    return this.#locked;
  }

  /** Seconds between two texts of one participant; 0: no limit. */
  get slowMode(): number {
    return this.#slowMode ?? this.#settings.slowMode ?? 0;
  }

  /** Where the room has moved to, if it has. */
  get tombstone(): Tombstoned | undefined {
    return this.#tombstone;
  }

  /** When the first participant came; absent before and after. */
  get startedAt(): Millis | undefined {
    return this.#startedAt;
  }

  /** When the conference ended; absent while it has not, or has begun anew. */
  get endedAt(): Millis | undefined {
    return this.#endedAt;
  }

  /** Who came first. */
  get creator(): UserUri | undefined {
    return this.#creator;
  }

  // ---- who is there

  /** The roster, in the order of joining. */
  users(): IterableIterator<Participant> {
    return this.#roster.users();
  }

  /** The roster entry that others know by this URI (identity or alias). */
  participant(entity: UserUri): Participant | undefined {
    return this.#roster.user(entity);
  }

  /** The endpoint, also one that has departed and is still shown. */
  endpoint(id: EndpointId): Endpoint | undefined {
    return this.#roster.endpoint(id);
  }

  /** All endpoints of a user that have not departed, whatever entry they are under. */
  endpointsOf(user: UserUri): readonly Endpoint[] {
    return this.#roster
      .entriesOf(user)
      .flatMap((entry) => entry.endpoints.filter((endpoint) => endpoint.status !== 'disconnected'));
  }

  /** Whether a user takes part now: has an endpoint that is neither gone nor still coming. */
  isHere(user: UserUri): boolean {
    return this.#roster.has(user);
  }

  /** How many users take part now: have an endpoint that is neither gone nor still coming (RFC 4575 §5.5.1). */
  get userCount(): number {
    if (this.#countedAt !== this.#stateChanged) {
      this.#countedAt = this.#stateChanged;
      this.#userCount = 0;
      for (const user of this.#roster.users()) if (user.endpoints.some(isPresent)) this.#userCount++;
    }
    return this.#userCount;
  }

  /** How many users are here or on their way in, each once: what a limit is compared with. */
  get occupancy(): number {
    const here = new Set<UserUri>();
    for (const { user, endpoints } of this.#roster.users()) {
      if (endpoints.some(({ status }) => status !== 'disconnected')) here.add(user);
    }
    return here.size;
  }

  /** Whether anybody is in it (RFC 4575 §5.5.2). */
  get active(): boolean {
    return this.userCount > 0;
  }

  /** The role of a user, present or not: given in the conference, else configured, else the room's default. */
  roleOf(user: UserUri): Role {
    return this.#roles.get(user) ?? this.#settings.roles?.get(user) ?? this.#settings.defaultRole ?? 'participant';
  }

  /** Whether the user has a role of its own, given or configured: a member of the room. */
  isMember(user: UserUri): boolean {
    return this.#roles.has(user) || this.#settings.roles?.has(user) === true;
  }

  /** Whether anybody, here or not, is an owner. */
  get hasOwner(): boolean {
    const roles = [...this.#roles.values(), ...(this.#settings.roles?.values() ?? [])];
    return roles.includes('owner');
  }

  /** Whether the user may not speak. */
  isMuted(user: UserUri): boolean {
    return this.#muted.has(user);
  }

  /** Who holds a nickname that compares equal (RFC 8266 §2.4). */
  nicknameHolder(nickname: string): UserUri | undefined {
    return this.#nicknames.holder(nickname);
  }

  /** Who last gave up a nickname that compares equal, and when. */
  nicknameReleased(nickname: string): ReleasedNickname | undefined {
    return this.#nicknames.released(nickname);
  }

  /** When the user last said something to everyone. */
  lastSaid(user: UserUri): Millis | undefined {
    return this.#lastSaid.get(user);
  }

  /** Up to where a device of a user has surely been given the history. */
  position(user: UserUri, instance: string): EventNumber | undefined {
    return this.#positions.get(`${user} ${instance}`);
  }

  /** All bans, also those that have run out. */
  bans(): IterableIterator<Banned> {
    return this.#bans.all();
  }

  /** The ban that is meant for this user, or for anybody from this address, now: one by name before one for many. */
  banOf(user: UserUri, address: IpAddress | undefined, now: Millis): Banned | undefined {
    return this.#bans.of(user, address, now);
  }

  // ---- what changed since

  /** Whether the conference-description changed after the revision. */
  descriptionChangedSince(since: Revision): boolean {
    return this.#descriptionChanged > since;
  }

  /** Whether the conference-state (user count, active, locked) may have changed after the revision. */
  stateChangedSince(since: Revision): boolean {
    return this.#stateChanged > since;
  }

  /** What was taken out of the roster after the revision; `undefined`: too long ago to know, the full state is needed. */
  removalsSince(since: Revision): readonly Removal[] | undefined {
    return this.#roster.removalsSince(since);
  }

  // ---- what changes it

  /** Forgets departed endpoints that were shown long enough. Tells whether the document changed. */
  forgetDeparted(now: Millis): boolean {
    const before = this.#revision;
    for (const endpoint of this.#roster.departed()) {
      const gone = endpoint.departure?.at ?? 0;
      if (gone + this.#limits.departedFor > now && this.#roster.departedCount <= this.#limits.maxDeparted) break;
      this.#roster.removeEndpoint(endpoint.id, ++this.#revision);
    }
    return this.#revision !== before;
  }

  /** Takes the next event of the log. Tells whether the document changed. */
  apply(event: ConferenceEvent, n: EventNumber): boolean {
    const before = this.#revision;
    this.#last = n;
    if (this.#roster.departedCount > 0) this.forgetDeparted(event.at);
    this.#applyOne(event);
    return this.#revision !== before;
  }

  #applyOne(event: ConferenceEvent): void {
    switch (event.type) {
      case 'said':
      case 'opened':
        if (event.audience.to === 'everyone') this.#lastSaid.set(event.by, event.at);
        return;
      case 'closed':
      case 'aborted':
      case 'disposition':
      case 'retracted':
        return; // Matters to the history and to who is connected, not to the state.
      case 'joined':
        this.#join(event);
        return;
      case 'left':
        this.#leave(event.endpoint, event);
        return;
      case 'statusChanged':
        this.#changeEndpoint(event.endpoint, { status: event.status });
        return;
      case 'admitted':
        if (this.#roster.endpoint(event.endpoint)?.status === 'pending') {
          this.#changeEndpoint(event.endpoint, { status: 'connected' });
        }
        return;
      case 'mediaChanged':
        this.#changeEndpoint(event.endpoint, { media: event.media });
        return;
      case 'caughtUp':
        this.#positions.set(`${event.user} ${event.instance}`, event.through);
        return;
      case 'renamed':
        this.#rename(event);
        return;
      case 'displayNameChanged':
        this.#showName(event.user, event.displayName);
        return;
      case 'subject':
        this.#subject = event.subject ?? null;
        this.#descriptionChanged = ++this.#revision;
        return;
      case 'muted':
        this.#muted.add(event.user);
        this.#refreshUser(event.user);
        return;
      case 'unmuted':
        this.#muted.delete(event.user);
        this.#refreshUser(event.user);
        return;
      case 'banned':
        this.#bans.add(event);
        return;
      case 'unbanned':
        this.#bans.lift(event.target);
        return;
      case 'role':
        this.#roles.set(event.user, event.role);
        this.#refreshUser(event.user);
        return;
      case 'locked':
      case 'unlocked':
        this.#locked = event.type === 'locked';
        this.#stateChanged = ++this.#revision;
        return;
      case 'slowMode':
        this.#slowMode = event.seconds;
        return;
      case 'setting':
        this.#override(event.change);
        return;
      case 'tombstoned':
        this.#tombstone = event;
        return;
      case 'untombstoned':
        this.#tombstone = undefined;
        return;
      case 'restarted':
        this.#empty(event.at);
        return;
      case 'ended':
        this.#end(event.at);
        return;
    }
  }

  #join(event: Joined): void {
    const entity = event.alias ?? event.user;
    const known = this.#roster.user(entity);
    const before = this.#roster.endpoint(event.endpoint);
    // Endpoint ids and aliases are given out once. One that is in use stays with whom it belongs to; one that was being
    // called is known better when it has answered.
    if ((before !== undefined && !isReplaceable(before)) || (known?.user ?? event.user) !== event.user) return;
    const at = ++this.#revision;
    if (this.#startedAt === undefined) {
      this.#startedAt = event.at;
      this.#creator = event.user;
      this.#endedAt = undefined;
    }
    if (before !== undefined) this.#roster.removeEndpoint(before.id, at);
    const nickname = this.#nicknames.holdsOne(event.user) ? known?.nickname : undefined;
    const displayName = event.displayName ?? known?.displayName;
    const { user } = event;
    this.#roster.putUser(
      named({ entity, user, role: this.roleOf(user), muted: this.#muted.has(user) }, displayName, nickname),
      at,
    );
    const others = (known?.endpoints ?? []).filter((one) => one.id !== event.endpoint);
    const wanted = event.contact ?? event.endpoint;
    const free = !others.some((one) => one.key === wanted && one.status !== 'disconnected');
    this.#roster.putEndpoint(endpointOf(event, entity, free ? wanted : event.endpoint), at);
    // A device that comes back takes the place of what was left of it.
    for (const one of others) if (one.status === 'disconnected') this.#roster.removeEndpoint(one.id, at);
    this.#stateChanged = at;
  }

  #leave(id: EndpointId, event: Pick<Left, 'at' | 'by' | 'method' | 'reason'>): void {
    const endpoint = this.#roster.endpoint(id);
    if (endpoint === undefined || endpoint.status === 'disconnected') return;
    const departure = {
      at: event.at,
      method: event.method,
      ...(event.reason === undefined ? {} : { reason: event.reason }),
      ...(event.by === undefined ? {} : { by: event.by }),
    };
    this.#changeEndpoint(id, { status: 'disconnected', departure });
    this.#stateChanged = this.#revision;
    if (this.endpointsOf(endpoint.user).length === 0) this.#nicknames.release(endpoint.user, event.at);
    this.forgetDeparted(event.at);
  }

  #changeEndpoint(id: EndpointId, change: Partial<Endpoint>): void {
    const endpoint = this.#roster.endpoint(id);
    if (endpoint === undefined || endpoint.status === 'disconnected') return;
    const at = ++this.#revision;
    this.#roster.putEndpoint({ ...endpoint, ...change }, at);
    if (change.status !== undefined) this.#stateChanged = at;
  }

  /** Role and mute of the user may have changed: what is shown of it is taken anew. */
  #refreshUser(user: UserUri): void {
    const entries = [...this.#roster.entriesOf(user)];
    if (entries.length === 0) return;
    const at = ++this.#revision;
    for (const entry of entries) this.#refresh(entry, at);
  }

  #refresh(entry: Participant, at: Revision): void {
    this.#roster.putUser({ ...entry, role: this.roleOf(entry.user), muted: this.#muted.has(entry.user) }, at);
  }

  #showName(user: UserUri, displayName: string | undefined): void {
    const at = ++this.#revision;
    for (const entry of this.#roster.entriesOf(user)) {
      this.#roster.putUser(named(entry, displayName, entry.nickname), at);
    }
  }

  #rename(event: Renamed): void {
    const { user, nickname } = event;
    if (this.endpointsOf(user).length === 0) return;
    // Two who asked in the same moment: the first in the log has it.
    if (!this.#nicknames.take(user, nickname, event.at)) return;
    const at = ++this.#revision;
    const asked = event.endpoint === undefined ? undefined : this.#roster.endpoint(event.endpoint)?.entity;
    for (const entry of this.#roster.entriesOf(user)) {
      const shown = asked === undefined || asked === entry.entity ? nickname : undefined;
      this.#roster.putUser(named(entry, entry.displayName, shown), at);
    }
  }

  #override(change: SettingChange): void {
    this.#overrides = { ...this.#overrides, [change.setting]: change.value };
    if (change.setting === 'maximumUsers') this.#descriptionChanged = ++this.#revision;
  }

  #empty(now: Millis): void {
    const at = ++this.#revision;
    for (const user of [...this.#roster.users()]) {
      for (const endpoint of user.endpoints) this.#roster.removeEndpoint(endpoint.id, at);
      this.#nicknames.release(user.user, now);
    }
    this.#stateChanged = at;
    this.#startedAt = undefined;
    this.#creator = undefined;
  }

  #end(at: Millis): void {
    this.#empty(at);
    this.#descriptionChanged = this.#revision;
    this.#subject = undefined;
    this.#locked = false;
    this.#slowMode = undefined;
    this.#overrides = {};
    this.#endedAt = at;
    this.#roles.clear();
    this.#muted.clear();
    this.#lastSaid.clear();
  }
}
