/** Who may have which nickname (RFC 7701 §7.1). The strings themselves are judged by RFC 8266. */
import type { Conference } from '../conference/conference.ts';
import type { Millis } from '../conference/events.ts';
import type { UserUri } from '../conference/ids.ts';
import { enforceNickname, nicknameKey } from '../conference/nickname.ts';
import type { RoomPolicy } from './room-policy.ts';
import type { Rule } from './rule.ts';

/** A user asks for a nickname. */
export interface NicknameRequest {
  readonly conference: Conference;
  readonly policy: RoomPolicy;
  /** The authenticated identity: the nickname is tied to it, not to a display name. */
  readonly user: UserUri;
  /** As it was asked for; the empty string is none. */
  readonly nickname: string;
  readonly now: Millis;
}

/** Whether there are nicknames at all (403). To give one up (RFC 7701 §7.3), nothing else is asked. */
export const nicknamesAllowed: Rule<NicknameRequest> = ({ policy }) =>
  policy.nicknames ? undefined : { refused: 'no-nicknames' };

/** Whether a name is one that nobody may have, or somebody else alone. */
export function isReserved(
  name: string,
  user: UserUri,
  { reservedNicknames, accountNicknames }: Pick<RoomPolicy, 'reservedNicknames' | 'accountNicknames'>,
): boolean {
  const key = nicknameKey(name);
  if (reservedNicknames.some((reserved) => nicknameKey(reserved) === key)) return true;
  return [...accountNicknames].some(([bound, account]) => nicknameKey(bound) === key && account !== user);
}

// Controls, halves of surrogates, what Unicode calls ignorable (joiners, fillers, marks of direction), the empty Braille cell.
const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\p{Noncharacter_Code_Point}\u2800]/gu;

/** What can be seen of a name; without this, one that only looks like another would be none of RFC 8266, and so be free. */
export function seenOf(name: string): string {
  return name.replace(UNSEEN, '').trim();
}

/** Rules for a nickname, in the order of RFC 7701 §7.1: is it allowed at all (403), well-formed (424), free (425). */
export const NICKNAME_RULES: readonly Rule<NicknameRequest>[] = [
  nicknamesAllowed,
  ({ nickname }) =>
    enforceNickname(nickname) === undefined || nicknameKey(nickname) === undefined
      ? { refused: 'nickname-malformed' }
      : undefined,
  ({ nickname, user, policy }) => (isReserved(nickname, user, policy) ? { refused: 'nickname-reserved' } : undefined),
  ({ conference, nickname, user }) =>
    (conference.nicknameHolder(nickname) ?? user) === user ? undefined : { refused: 'nickname-taken' },
  // What somebody has just given up, nobody else speaks under for a while.
  ({ conference, nickname, user, policy, now }) => {
    const released = conference.nicknameReleased(nickname);
    if (released === undefined || released.user === user) return undefined;
    return now - released.at < policy.nicknameQuarantine ? { refused: 'nickname-taken' } : undefined;
  },
];
