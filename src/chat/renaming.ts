import type { Renamed } from '../conference/events.ts';
import { enforceNickname } from '../conference/nickname.ts';
import type { ChatRefusal } from './refusals.ts';
import type { ChatRoom } from './room.ts';
import type { Speaker } from './speaker.ts';

/**
 * Somebody asks for a nickname, or gives it up with '' (RFC 7701 §7); undefined is one that cannot be read. `settled` hears once, now or when the log has kept
 * it, whether it is his.
 *
 * Deviation: RFC 7701 §7.1 gives it by itself to no second session of the same user. RFC 6501 has it in `<user>`, so that others
 * see all his devices with it.
 */
export function rename(
  room: ChatRoom,
  { user, endpoint }: Speaker,
  wanted: string | undefined,
  settled: (refusal?: ChatRefusal) => void,
): void {
  const { conference } = room;
  const nickname = enforceNickname(wanted ?? '');
  const refusal = room.rules.nickname(user, wanted);
  if (refusal !== undefined) {
    settled(refusal);
    return;
  }
  const entity = conference.endpoint(endpoint)?.entity;
  if (entity === undefined) {
    settled({ refused: 'not-here' });
    return;
  }
  if (conference.participant(entity)?.nickname === nickname) {
    settled();
    return;
  }
  const tooFast = room.rules.pace(user);
  if (tooFast !== undefined) {
    settled(tooFast);
    return;
  }
  const event: Renamed = { type: 'renamed', at: room.now(), user, endpoint, by: user };
  room.append(nickname === undefined ? event : { ...event, nickname }, (outcome) => {
    if (typeof outcome !== 'number') settled(outcome);
    // Two may have asked in the same moment; the log has decided.
    else if (nickname !== undefined && conference.nicknameHolder(nickname) !== user) {
      settled({ refused: 'nickname-taken' });
    } else settled();
  });
}
