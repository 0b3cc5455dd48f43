import type { Audience } from '../conference/events.ts';
import type { Conference } from '../conference/conference.ts';
import type { IpAddress, RoomUri, UserUri } from '../conference/ids.ts';
import { plainText } from '../conference/xml.ts';
import { JOIN_RULES, type JoinRequest, pinRule, PinTries, waitsInLobby, WATCH_RULES } from '../policy/join.ts';
import { isReserved, NICKNAME_RULES, nicknamesAllowed, seenOf } from '../policy/nicknames.ts';
import { KnownPins } from '../policy/pin.ts';
import { RateLimiter } from '../policy/rate.ts';
import type { Refusal } from '../policy/refusal.ts';
import type { RoomPolicy } from '../policy/room-policy.ts';
import { firstRefusal, type Rule } from '../policy/rule.ts';
import { rateRules, SPEAK_RULES, type SpeakRequest } from '../policy/speak.ts';
import { EVERYONE } from './post.ts';
import type { Speaker } from './speaker.ts';

/** A place kept for somebody who is let in but not in the roster yet. */
export interface Seat {
  /** It is in the lobby, until a moderator admits whoever takes it. */
  readonly waits: boolean;
  /** The roster has taken over, or nobody comes after all. Idempotent. */
  free(): void;
}

/** Who wants to come in, and what he shows. */
export type Newcomer = Pick<JoinRequest, 'user' | 'proven' | 'address' | 'pin' | 'pinProof' | 'invited' | 'replaces'>;

/** How many wrong PINs may be given in a room before one has to wait for a minute with each. */
export interface PinTryLimits {
  /** By one caller. */
  readonly caller: number;
  /** By all who share an address. */
  readonly address: number;
}

/** What is counted at the doors of all rooms; it outlives each of them, since a room that is empty may be forgotten at once. */
export class Doors {
  /** How often a wrong PIN may be tried in a room. */
  readonly pinTries: PinTries;
  /** The PINs of rooms, as far as they are known. */
  readonly pins = new KnownPins();
  /** How many lines there are about who is not let in: whoever tries out PINs shall not fill the disk. */
  readonly refusalLines = new RateLimiter({ perSecond: 0.2, burst: 20 });

  constructor({ caller, address }: PinTryLimits = { caller: 5, address: 20 }) {
    // One a minute guesses the half of 10,000 PINs in three days and a half, and lets in who has mistyped his.
    const perSecond = 1 / 60;
    this.pinTries = new PinTries({ perSecond, burst: caller }, { perSecond, burst: address });
  }
}

/**
 * How often one user may ask for a nickname, beside how fast he may speak. Fixed: everybody is told of each new name, and
 * nobody needs more of them.
 */
const NICKNAME_TRIES = { perSecond: 1, burst: 5 };

/** All that may say no in one room, with the counts that such rules keep. */
export class RoomRules {
  readonly #policy: RoomPolicy;
  readonly #pins: KnownPins;
  readonly #conference: Conference;
  readonly #now: () => number;
  readonly #join: readonly Rule<JoinRequest>[];
  readonly #speak: readonly Rule<SpeakRequest>[];
  readonly #rates: readonly Rule<SpeakRequest>[];
  readonly #strangerRate: RateLimiter;
  readonly #nicknameTries = new RateLimiter(NICKNAME_TRIES);
  readonly #seats = new Map<UserUri, number>();

  constructor(room: RoomUri, doors: Doors, policy: RoomPolicy, conference: Conference, now: () => number) {
    this.#policy = policy;
    this.#pins = doors.pins;
    const configured = conference.setting('pinHash');
    if (policy.pin !== undefined && configured !== undefined) doors.pins.learn(policy.pin, configured);
    this.#conference = conference;
    this.#now = now;
    // Whoever may give any name could give another one for each text.
    this.#strangerRate = new RateLimiter(policy.messageRate);
    this.#join = [...JOIN_RULES, pinRule(doors.pinTries, room, doors.pins)];
    this.#rates = rateRules(new RateLimiter(policy.messageRate), new RateLimiter(policy.typingRate));
    this.#speak = [...SPEAK_RULES, ...this.#rates];
  }

  /** The PIN of the room in clear; undefined when it has none, or one that is known by its hash only. */
  get pin(): string | undefined {
    return this.#pins.of(this.#conference.setting('pinHash'));
  }

  /** Whether chat sessions must use TLS (RFC 7701 §11). */
  get requiresTls(): boolean {
    return this.#policy.requireTls;
  }

  /** Whether texts that machines give back, or answer to everything, are refused. */
  get stopsLoops(): boolean {
    return this.#policy.loops === 'refuse';
  }

  /** Messages of the past that a telephone is sent which does not ask for more or less. */
  get historyByMessage(): number {
    return this.#policy.historyByMessage;
  }

  /** Octets of a message at most. */
  get maxMessage(): number {
    return this.#policy.maxMessage;
  }

  /** Judges who wants to come in; gives a seat, since it takes a while from the INVITE to the roster. */
  join(newcomer: Newcomer): Seat | Refusal {
    const request = { ...newcomer, conference: this.#conference, policy: this.#policy, now: this.#now() };
    const { user } = newcomer;
    const refusal = firstRefusal(this.#join, request) ?? this.#full(user) ?? this.#manyDevices(newcomer);
    if (refusal !== undefined) return refusal;
    const waits = waitsInLobby(request);
    this.#seats.set(user, (this.#seats.get(user) ?? 0) + 1);
    let taken = true;
    return {
      waits,
      free: () => {
        if (!taken) return;
        taken = false;
        const left = (this.#seats.get(user) ?? 1) - 1;
        if (left === 0) this.#seats.delete(user);
        else this.#seats.set(user, left);
      },
    };
  }

  /** Whether somebody may only listen: muted, or a visitor. */
  isSilenced(user: UserUri): boolean {
    return this.#conference.isMuted(user) || this.#conference.roleOf(user) === 'visitor';
  }

  /** Judges who wants to say something without coming in: by the rules for who does, and how much comes from his address. */
  stranger(newcomer: Newcomer): Refusal | undefined {
    const request = { ...newcomer, conference: this.#conference, policy: this.#policy, now: this.#now() };
    if (this.#policy.strangers === 'refuse') return { refused: 'not-here' };
    const refusal = firstRefusal(this.#join, request);
    if (refusal !== undefined) return refusal;
    if (waitsInLobby(request)) return { refused: 'in-lobby' };
    const retryAfter = this.#strangerRate.take(newcomer.address ?? newcomer.user, request.now);
    return retryAfter > 0 ? { refused: 'too-fast', retryAfter } : undefined;
  }

  /** Judges what somebody wants to say; `outside`: without having come in. */
  speak(
    { user, outside = false }: Pick<Speaker, 'user' | 'outside'>,
    audience: Audience,
    kind: SpeakRequest['kind'],
    size: number,
  ): Refusal | undefined {
    const conference = this.#conference;
    return firstRefusal(this.#speak, {
      conference,
      policy: this.#policy,
      user,
      audience,
      kind,
      size,
      outside,
      now: this.#now(),
    });
  }

  /** Whether somebody gives orders, or takes nicknames, faster than he may speak. */
  pace(user: UserUri): Refusal | undefined {
    const conference = this.#conference;
    const request = { conference, policy: this.#policy, user, audience: EVERYONE, size: 0, now: this.#now() };
    return firstRefusal(this.#rates, { ...request, kind: 'message' });
  }

  /** Judges who asks for a nickname (RFC 7701 §7.1), or gives his up with '' (§7.3); undefined is what cannot be read. */
  nickname(user: UserUri, wanted: string | undefined): Refusal | undefined {
    const now = this.#now();
    const refusal = firstRefusal(wanted === '' ? [nicknamesAllowed] : NICKNAME_RULES, {
      conference: this.#conference,
      policy: this.#policy,
      user,
      nickname: wanted ?? '',
      now,
    });
    if (refusal !== undefined || wanted === '') return refusal;
    const retryAfter = this.#nicknameTries.take(user, now);
    return retryAfter > 0 ? { refused: 'too-fast', retryAfter } : undefined;
  }

  /**
   * The name under which others see somebody who calls himself so; undefined where that is kept for another, or for nobody,
   * and where nobody would see anything. It is one line, or it could begin another, as if that were somebody else's.
   */
  shownAs(user: UserUri, name: string | undefined): string | undefined {
    const seen = seenOf(name ?? '');
    if (name === undefined || seen === '') return undefined;
    const isFree = (each: string): boolean =>
      !isReserved(each, user, this.#policy) && (this.#conference.nicknameHolder(each) ?? user) === user;
    return isFree(name) && isFree(seen) ? plainText(name) : undefined;
  }

  /** What the room allows, as tokens of the SDP attribute `chatroom` (RFC 7701 §8). */
  get features(): readonly string[] {
    return [
      ...(this.#policy.nicknames ? ['nickname'] : []),
      ...(this.#conference.setting('privateMessages') === false ? [] : ['private-messages']),
    ];
  }

  /** Judges who wants to see the roster. */
  watch(user: UserUri, address: IpAddress | undefined): Refusal | undefined {
    const conference = this.#conference;
    return firstRefusal(WATCH_RULES, { conference, policy: this.#policy, user, address, now: this.#now() });
  }

  /** Devices that are on their way count like those that are in the roster. */
  #manyDevices({ user, replaces }: Newcomer): Refusal | undefined {
    const maximum = this.#policy.maxDevices;
    const coming = (this.#seats.get(user) ?? 0) - (replaces === true ? 1 : 0);
    return this.#conference.endpointsOf(user).length + coming >= maximum
      ? { refused: 'too-many-devices', maximum }
      : undefined;
  }

  /** The rule of the roster counts those who are in it; these are on their way. */
  #full(user: UserUri): Refusal | undefined {
    const maximum = this.#conference.setting('maximumUsers');
    if (maximum === undefined || this.#seats.has(user) || this.#conference.endpointsOf(user).length > 0)
      return undefined;
    let coming = 0;
    for (const seated of this.#seats.keys()) if (this.#conference.endpointsOf(seated).length === 0) coming += 1;
    return this.#conference.occupancy + coming >= maximum ? { refused: 'full', maximum } : undefined;
  }
}
