/** Who may come in, make a room, or watch one. */
import { isMeant } from '../conference/ban-list.ts';
import type { Conference } from '../conference/conference.ts';
import type { Banned, BanTarget, Millis, Role } from '../conference/events.ts';
import { type IpAddress, networkOf, type RoomUri, type UserUri } from '../conference/ids.ts';
import { Recent } from '../conference/recent.ts';
import { isAtLeast } from './roles.ts';
import { isPin, type KnownPins } from './pin.ts';
import { RateLimiter } from './rate.ts';
import type { Rate, RoomPolicy } from './room-policy.ts';
import type { Rule } from './rule.ts';

/** Somebody wants to join, or is to be dialled. */
export interface JoinRequest {
  readonly conference: Conference;
  readonly policy: RoomPolicy;
  /** The authenticated identity. */
  readonly user: UserUri;
  /** Transport address without port. */
  readonly address?: IpAddress | undefined;
  /** Whether the identity is verified. Default false. */
  readonly proven?: boolean;
  /** The PIN given with the request. */
  readonly pin?: string;
  /** Whether the digest credentials of the request are made of the PIN (RFC 3261 §22); undefined: it has none. */
  readonly pinProof?: boolean;
  /** A moderator asked for this user: lock, PIN and membership do not stand against it. Default false. */
  readonly invited?: boolean;
  /** Another device of this user's goes when this one has come (RFC 3891). Default false. */
  readonly replaces?: boolean;
  readonly now: Millis;
}

/**
 * Whether a ban hits somebody. One for many is given without a look at who they are: whoever has a say in the room is
 * banned by name, by those who may.
 */
export function isHit(target: BanTarget, role: Role, user: UserUri, address: IpAddress | undefined): boolean {
  return isMeant(target, user, address) && (target.kind === 'user' || !isAtLeast(role, 'moderator'));
}

function banOf(conference: Conference, user: UserUri, address: IpAddress | undefined, now: Millis): Banned | undefined {
  // One by name is found before one for many.
  const ban = conference.banOf(user, address, now);
  return ban !== undefined && isHit(ban.target, conference.roleOf(user), user, address) ? ban : undefined;
}

/** Rules for joining that depend on nothing but the request; `pinRule` goes with them. */
export const JOIN_RULES: readonly Rule<JoinRequest>[] = [
  ({ conference: { tombstone } }) => {
    if (tombstone === undefined) return undefined;
    const { to, reason } = tombstone;
    return {
      refused: 'moved',
      ...(to === undefined ? {} : { to }),
      ...(reason === undefined ? {} : { reason }),
    };
  },
  ({ conference, user, address, now }) => {
    const ban = banOf(conference, user, address, now);
    if (ban === undefined) return undefined;
    return {
      refused: 'banned',
      ...(ban.until === undefined ? {} : { until: ban.until }),
      ...(ban.reason === undefined ? {} : { reason: ban.reason }),
    };
  },
  ({ conference, now }) => ((conference.setting('endsAt') ?? Infinity) <= now ? { refused: 'over' } : undefined),
  ({ conference, user, invited }) =>
    conference.setting('membersOnly') === true && invited !== true && !conference.isMember(user)
      ? { refused: 'not-a-member' }
      : undefined,
  // RFC 4575 §5.5.3: the roster cannot be added to. Another device of somebody in it adds nobody.
  ({ conference, user, invited }) =>
    conference.locked &&
    invited !== true &&
    conference.endpointsOf(user).length === 0 &&
    conference.roleOf(user) !== 'owner'
      ? { refused: 'locked' }
      : undefined,
  ({ conference, user }) => {
    const maximum = conference.setting('maximumUsers');
    if (maximum === undefined || conference.endpointsOf(user).length > 0) return undefined;
    return conference.occupancy >= maximum ? { refused: 'full', maximum } : undefined;
  },
  ({ conference, policy, user, replaces }) =>
    conference.endpointsOf(user).length - (replaces === true ? 1 : 0) >= policy.maxDevices
      ? { refused: 'too-many-devices', maximum: policy.maxDevices }
      : undefined,
];

/** What is counted of the PINs of all rooms; it must outlive each of them, which may be gone between two tries. */
export class PinTries {
  readonly #byCaller: RateLimiter;
  readonly #byNetwork: RateLimiter;
  readonly #guests: Recent<string, true>;

  /**
   * @param byCaller how often one may give a wrong PIN: a proven identity, else a From at an address
   * @param byNetwork the same for all who share an address (of IPv6 a /64), but for those who have come in from there before
   * @param guests of these, how many are remembered
   */
  constructor(byCaller: Rate, byNetwork: Rate, guests = 10_000) {
    this.#byCaller = new RateLimiter(byCaller);
    this.#byNetwork = new RateLimiter(byNetwork);
    this.#guests = new Recent(guests);
  }

  /** Milliseconds until he may try again. */
  wait(room: RoomUri, request: JoinRequest): Millis {
    const { caller, network } = keysOf(room, request);
    const others = this.#guests.get(caller) === undefined ? this.#byNetwork.wait(network, request.now) : 0;
    return Math.max(this.#byCaller.wait(caller, request.now), others);
  }

  /** He was wrong. */
  failed(room: RoomUri, request: JoinRequest): void {
    const { caller, network } = keysOf(room, request);
    this.#byCaller.take(caller, request.now);
    this.#byNetwork.take(network, request.now);
  }

  /** He was right. */
  succeeded(room: RoomUri, request: JoinRequest): void {
    this.#guests.set(keysOf(room, request).caller, true);
  }
}

/** Anybody may give any From, so one that is not proven is locked out only where it was tried. */
function keysOf(
  room: RoomUri,
  { user, proven, address }: JoinRequest,
): { readonly caller: string; readonly network: string } {
  const network = address === undefined ? '' : networkOf(address);
  return { caller: proven === true ? `${room} ${user}` : `${room} ${network} ${user}`, network: `${room} ${network}` };
}

/**
 * The PIN of a room, where it has one. Wrong ones are counted, so that they cannot be tried out: while one has to wait,
 * even the right one is not looked at. A PIN that is right is `known` from then on.
 */
export function pinRule(tries: PinTries, room: RoomUri, known: KnownPins): Rule<JoinRequest> {
  return (request) => {
    const { conference, user, pin, pinProof, invited } = request;
    const hash = conference.setting('pinHash');
    if (hash === undefined || invited === true || isAtLeast(conference.roleOf(user), 'moderator')) return undefined;
    if (pin === undefined && pinProof === undefined) return { refused: 'pin-needed' };
    const retryAfter = tries.wait(room, request);
    if (retryAfter > 0) return { refused: 'pin-too-often', retryAfter };
    const dialled = pin !== undefined && isPin(pin, hash);
    if (pinProof !== true && !dialled) {
      tries.failed(room, request);
      return { refused: 'pin-wrong' };
    }
    if (dialled) known.learn(pin, hash);
    tries.succeeded(room, request);
    return undefined;
  };
}

/** Whether somebody who may join has to wait in the lobby until a moderator admits him. */
export function waitsInLobby({ conference, user, invited }: JoinRequest): boolean {
  if (conference.setting('lobby') !== true || invited === true || conference.isMember(user)) return false;
  return !conference.endpointsOf(user).some(({ status }) => status !== 'pending');
}

/** Somebody calls a room that does not exist yet, or the factory (RFC 4579 §5.4). */
export interface CreateRequest {
  readonly user: UserUri;
  readonly authenticated: boolean;
  /** Rooms alive now. */
  readonly rooms: number;
  /** Most rooms alive at a time. */
  readonly maxRooms: number;
  /** Who may open rooms. */
  readonly creators: 'anybody' | 'authenticated' | 'nobody' | ReadonlySet<UserUri>;
}

/** Rules for making a room. */
export const CREATE_RULES: readonly Rule<CreateRequest>[] = [
  ({ creators, user, authenticated }) => {
    if (creators === 'anybody' || (creators === 'authenticated' && authenticated)) return undefined;
    return typeof creators === 'object' && authenticated && creators.has(user)
      ? undefined
      : { refused: 'may-not-create' };
  },
  ({ rooms, maxRooms }) => (rooms >= maxRooms ? { refused: 'too-many-rooms', maximum: maxRooms } : undefined),
];

/** Somebody subscribes to the roster (RFC 4575). */
export interface WatchRequest {
  readonly conference: Conference;
  readonly policy: RoomPolicy;
  readonly user: UserUri;
  readonly address?: IpAddress | undefined;
  readonly now: Millis;
}

/** Rules for watching. */
export const WATCH_RULES: readonly Rule<WatchRequest>[] = [
  ({ conference, user, address, now }) =>
    banOf(conference, user, address, now) === undefined ? undefined : { refused: 'may-not-watch' },
  ({ conference, policy, user }) =>
    policy.watchers === 'anybody' || conference.isMember(user) || conference.endpointsOf(user).length > 0
      ? undefined
      : { refused: 'may-not-watch' },
];
