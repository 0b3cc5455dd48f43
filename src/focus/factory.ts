import { randomBytes } from 'node:crypto';
import type { HeaderLine, SipUri, Uri } from '../../sip/index.ts';
import type { Domains } from '../chat/domains.ts';
import type { RoomUri, UserUri } from '../conference/ids.ts';
import { Recent } from '../conference/recent.ts';
import { CREATE_RULES, type CreateRequest } from '../policy/join.ts';
import { RateLimiter } from '../policy/rate.ts';
import type { Refusal } from '../policy/refusal.ts';
import type { Rate } from '../policy/room-policy.ts';
import { firstRefusal } from '../policy/rule.ts';
import { type Caller, isNameless } from './caller.ts';
import { contributionIn } from './group-names.ts';

/** What the factory is made with. */
export interface FactoryParts {
  /** Its user part. */
  readonly name: string;
  readonly creators: CreateRequest['creators'];
  /** Whether callers are sent to the new conference by 302, instead of being in it at once. */
  readonly redirects: boolean;
  /** Rooms alive. */
  readonly rooms: () => number;
  /** Most rooms alive, and most names given out that are remembered. */
  readonly maxRooms: number;
  /** How often one user may have a conference made. */
  readonly rate: Rate;
  readonly domains: Domains;
  readonly now: () => number;
}

/** Makes conferences for those who call the conference factory (RFC 4579 §3.2, §5.4). */
export class Factory {
  readonly #parts: FactoryParts;
  /** Rooms that were made, and who has asked for them, where that is known. */
  readonly #made = new Map<RoomUri, UserUri | undefined>();
  readonly #rate: RateLimiter;
  /** By user and Contribution-ID. */
  readonly #groups: Recent<string, SipUri>;
  readonly #names: Recent<RoomUri, readonly HeaderLine[]>;

  constructor(parts: FactoryParts) {
    this.#parts = parts;
    this.#rate = new RateLimiter(parts.rate);
    this.#groups = new Recent(parts.maxRooms);
    this.#names = new Recent(parts.maxRooms);
  }

  get redirects(): boolean {
    return this.#parts.redirects;
  }

  /** Whether a URI is the factory's. */
  isMeant(uri: Uri): uri is SipUri {
    return uri.kind === 'sip' && uri.user === this.#parts.name && this.#parts.domains.serves(uri.host);
  }

  /** Why somebody has no conference made; undefined: he may. */
  refusal({ user, proven: authenticated }: Caller): Refusal | undefined {
    const { creators, rooms, maxRooms } = this.#parts;
    return firstRefusal(CREATE_RULES, { user, authenticated, rooms: rooms(), maxRooms, creators });
  }

  /**
   * The URI of a new conference, at the same host: 120 random bits that nobody guesses. Who asks again under the same
   * Contribution-ID gets the one that was made for him, or his group would be in two.
   * @param names what the request calls the group chat
   */
  make(factory: SipUri, caller: Caller, names: readonly HeaderLine[] = []): SipUri | Refusal {
    const { user } = caller;
    const { domains, maxRooms, now } = this.#parts;
    const refusal = this.refusal(caller);
    if (refusal !== undefined) return refusal;
    const contribution = contributionIn(names);
    const group = contribution === undefined ? undefined : `${user} ${contribution}`;
    const known = group === undefined ? undefined : this.#groups.get(group);
    if (known !== undefined) return known;
    const retryAfter = this.#rate.take(user, now());
    if (retryAfter > 0) return { refused: 'too-fast', retryAfter };
    const made = { ...factory, user: `chat-${randomBytes(15).toString('base64url')}` };
    const room = domains.roomOf(made);
    if (room !== undefined) this.#made.set(room, isNameless(caller) ? undefined : user);
    if (room !== undefined && names.length > 0) this.#names.set(room, names);
    if (group !== undefined) this.#groups.set(group, made);
    for (const oldest of this.#made.keys()) {
      if (this.#made.size <= maxRooms) break;
      this.#made.delete(oldest);
    }
    return made;
  }

  /** What the caller for whom a room was made calls it. */
  namesOf(room: RoomUri): readonly HeaderLine[] {
    return this.#names.get(room) ?? [];
  }

  /** For whom a room was made who was sent there, and need not be the first to come; undefined: it is who comes first. */
  ownerOf(room: RoomUri): UserUri | undefined {
    return this.redirects ? this.#made.get(room) : undefined;
  }

  /** Whether a room is one that it has made. */
  hasMade(room: RoomUri): boolean {
    return this.#made.has(room);
  }
}
