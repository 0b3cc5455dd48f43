/** A subscriber's picture of a conference, kept coherent over full and partial documents (RFC 4575 §4.6). */
import type {
  ConferenceInfo,
  ElementState,
  InfoDescription,
  InfoEndpoint,
  InfoHost,
  InfoMedium,
  InfoState,
  InfoUser,
} from './parse-document.ts';

/**
 * What became of a document:
 * - `applied`: the picture is up to date;
 * - `stale`: it was older than what is known, nothing changed;
 * - `gap`: something in between is missing: refresh the subscription to get the full state;
 * - `ended`: the conference has ceased to exist: end the subscription.
 */
export type Received = 'applied' | 'stale' | 'gap' | 'ended';

/** What one subscription has told of a conference so far. */
export class ConferenceView {
  #version: number | undefined;
  #entity: string | undefined;
  #description: InfoDescription | undefined;
  #host: InfoHost | undefined;
  #state: InfoState | undefined;
  readonly #users = new Map<string, InfoUser>();

  /** The conference URI; absent before the first document. */
  get entity(): string | undefined {
    return this.#entity;
  }

  /** Version of the last document taken. */
  get version(): number | undefined {
    return this.#version;
  }

  get description(): InfoDescription | undefined {
    return this.#description;
  }

  get host(): InfoHost | undefined {
    return this.#host;
  }

  get conferenceState(): InfoState | undefined {
    return this.#state;
  }

  /** All users, in the order in which they were told. */
  get users(): readonly InfoUser[] {
    return [...this.#users.values()];
  }

  /** Takes the document of a NOTIFY. */
  receive(document: ConferenceInfo): Received {
    if (this.#version !== undefined && document.version <= this.#version) return 'stale';
    if (document.state === 'partial' && document.version !== (this.#version ?? NaN) + 1) return 'gap';
    this.#version = document.version;
    this.#entity = document.entity;
    if (document.state !== 'partial') this.#forget();
    if (document.state === 'deleted') {
      this.#state = { userCount: 0, active: false };
      return 'ended';
    }
    this.#description = document.description ?? this.#description;
    this.#host = document.host ?? this.#host;
    this.#state = document.conferenceState ?? this.#state;
    if (document.users !== undefined) {
      if (document.users.state !== 'partial') this.#users.clear();
      if (document.users.state !== 'deleted') for (const user of document.users.list) this.#receiveUser(user);
    }
    return 'applied';
  }

  #forget(): void {
    this.#description = undefined;
    this.#host = undefined;
    this.#state = undefined;
    this.#users.clear();
  }

  #receiveUser(user: InfoUser): void {
    const known = this.#users.get(user.entity);
    if (user.state === 'deleted') {
      this.#users.delete(user.entity);
    } else if (user.state === 'full' || known === undefined) {
      this.#users.set(user.entity, { ...user, state: 'full', endpoints: user.endpoints.map(asFull) });
    } else {
      const endpoints = merge(known.endpoints, user.endpoints, (one) => one.entity, mergeEndpoint);
      const roles = user.roles.length > 0 ? user.roles : known.roles;
      this.#users.set(user.entity, { ...known, ...user, state: 'full', roles, endpoints });
    }
  }
}

function mergeEndpoint(known: InfoEndpoint, update: InfoEndpoint): InfoEndpoint {
  if (update.state === 'full') return update;
  const media = merge<InfoMedium>(
    known.media,
    update.media,
    (medium) => medium.id,
    (_known, medium) => medium,
  );
  return { ...known, ...update, state: 'full', media };
}

function asFull<T extends { readonly state: ElementState }>(element: T): T {
  return { ...element, state: 'full' };
}

/** RFC 4575 §4.6 step 3.1: rows by key are added, changed or taken away. */
function merge<T extends object>(
  known: readonly T[],
  updates: readonly T[],
  keyOf: (row: T) => string,
  change: (known: T, update: T) => T,
): readonly T[] {
  const rows = new Map(known.map((row) => [keyOf(row), row]));
  for (const update of updates) {
    const row = rows.get(keyOf(update));
    if ('state' in update && update.state === 'deleted') rows.delete(keyOf(update));
    else rows.set(keyOf(update), row === undefined ? update : change(row, update));
  }
  return [...rows.values()];
}
