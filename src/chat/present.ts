import type { EndpointId, RoomUri, UserUri } from '../conference/ids.ts';
import { type Domains, personKey } from './domains.ts';
import { type Addressee, EVERYONE } from './post.ts';
import type { Speaker } from './speaker.ts';

/** Who is in a room, by the URIs under which others write to them. */
export class Present {
  readonly #room: RoomUri;
  readonly #domains: Domains;
  /** Whom the URIs mean, and by how many endpoints each is given. */
  readonly #named = new Map<string, { readonly user: UserUri; endpoints: number }>();
  /** Endpoints that speak for many. */
  readonly #bridges = new Set<EndpointId>();

  constructor(room: RoomUri, domains: Domains) {
    this.#room = room;
    this.#domains = domains;
  }

  /** Makes the URIs of a speaker known as those of somebody who is here. */
  enter(speaker: Speaker): void {
    if (speaker.speaksForMany) this.#bridges.add(speaker.endpoint);
    for (const name of speaker.names) {
      const known = this.#named.get(name);
      if (known === undefined) this.#named.set(name, { user: speaker.user, endpoints: 1 });
      else known.endpoints += 1;
    }
  }

  /** Takes back `enter`. */
  leave(speaker: Speaker): void {
    this.#bridges.delete(speaker.endpoint);
    for (const name of speaker.names) {
      const known = this.#named.get(name);
      if (known === undefined) continue;
      known.endpoints -= 1;
      if (known.endpoints === 0) this.#named.delete(name);
    }
  }

  /** Whether what comes from an endpoint names its real author itself. */
  speaksForMany(endpoint: EndpointId | undefined): boolean {
    return endpoint !== undefined && this.#bridges.has(endpoint);
  }

  /** Whom a CPIM To means (RFC 7701 §6.1, §6.2): the room, one participant, or nobody we know. */
  addressee(uri: string): Addressee {
    if (this.#domains.roomNamed(uri) === this.#room) return EVERYONE;
    const user = this.#userAt(uri);
    return user === undefined ? { refused: 'recipient-unknown' } : { to: 'user', user };
  }

  /** Whether a CPIM To fits the one whom a notification is for: it is his URI, or the room's. */
  means(to: string, user: UserUri): boolean {
    if (this.#domains.roomNamed(to) === this.#room || personKey(to) === personKey(user)) return true;
    return this.#userAt(to) === user;
  }

  #userAt(uri: string): UserUri | undefined {
    const key = personKey(uri);
    return key === undefined ? undefined : this.#named.get(key)?.user;
  }
}
