/** What the configuration allows in a room, beyond what the conference itself holds (roles, lock, bans, mutes). */
import type { Millis, Role } from '../conference/events.ts';
import type { UserUri } from '../conference/ids.ts';

/** How often somebody may do something. */
export interface Rate {
  /** So many a second in the long run. */
  readonly perSecond: number;
  /** So many at once after a pause. */
  readonly burst: number;
}

/** The policy of one room; `DEFAULT_ROOM_POLICY` is a friendly open room. */
export interface RoomPolicy {
  /** What the first to come is, in a conference that has no owner yet; absent: like everybody else. */
  readonly creatorRole?: Role;
  /** The PIN that is configured. */
  readonly pin?: string;
  /** Who may subscribe to the roster. */
  readonly watchers: 'anybody' | 'participants';
  /** Whether those who are not in the call may say something to all by SIP MESSAGE. */
  readonly strangers: 'refuse' | 'allow';
  /** What becomes of texts that machines say to each other without end. */
  readonly loops: 'refuse' | 'allow';
  /** Most endpoints of one user at a time. */
  readonly maxDevices: number;
  /** Largest message, in octets (RFC 7701 §6.1, SDP max-size). */
  readonly maxMessage: number;
  /** How fast one user may speak. */
  readonly messageRate: Rate;
  /** How fast one user may say that it is typing (RFC 3994). */
  readonly typingRate: Rate;
  /** Nicknames are taken (RFC 7701 §7). */
  readonly nicknames: boolean;
  /** Nicknames nobody may have. */
  readonly reservedNicknames: readonly string[];
  /** Nicknames that only one account may have, by nickname. */
  readonly accountNicknames: ReadonlyMap<string, UserUri>;
  /** Chat sessions must be protected by TLS (RFC 7701 §4.1, §11). */
  readonly requireTls: boolean;
  /** The conference ends when who opened it leaves (RFC 7701 §4.1, §5.3). */
  readonly endsWithCreator: boolean;
  /** How long a nickname that was given up is kept for who had it, in milliseconds. */
  readonly nicknameQuarantine: Millis;
  /** How much of the past comes by SIP MESSAGE, one after the other, to a telephone that does not ask for more or less. */
  readonly historyByMessage: number;
  /** How long notifications about one message wait for others, to go together (RFC 5438 §8.3); 0: each goes at once. */
  readonly notificationPeriod: Millis;
}

/** Anybody watches, ten devices, 10 MB, ten messages a second, nicknames with a minute of quarantine. */
export const DEFAULT_ROOM_POLICY: RoomPolicy = {
  watchers: 'anybody',
  strangers: 'refuse',
  loops: 'refuse',
  maxDevices: 10,
  maxMessage: 10_000_000,
  messageRate: { perSecond: 10, burst: 50 },
  typingRate: { perSecond: 1, burst: 5 },
  nicknames: true,
  reservedNicknames: [],
  accountNicknames: new Map(),
  nicknameQuarantine: 60_000,
  historyByMessage: 5,
  notificationPeriod: 0,
  requireTls: false,
  endsWithCreator: false,
};
