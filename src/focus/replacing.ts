import type { Answer, IncomingInvite } from '../../sip/index.ts';
import type { ChatRoom } from '../chat/room.ts';
import type { Caller } from './caller.ts';
import type { Leg } from './leg.ts';
import type { LegMaker } from './leg-maker.ts';
import { isOwn } from './own-leg.ts';

/**
 * The leg whose place an INVITE wants to take (RFC 3891 §3): only one's own, and of the same conference. An answer says
 * why it is not given; undefined: it wants nobody's place.
 *
 * Deviation: §3 would let in who is sent by its owner, as Referred-By says, which anybody can write (RFC 3892 §2.3 asks for
 * S/MIME). And §8 wants who asks authenticated: where nobody is, the call itself or its address shows whose it is.
 */
export function replacedLeg(
  { request, flow }: IncomingInvite,
  room: ChatRoom,
  caller: Caller,
  legs: LegMaker,
): Leg | Answer | undefined {
  const { replaces } = request;
  if (request.headers.get('Join') !== undefined) {
    // RFC 3911 §4 is for who talks to one other; here all who call the URI are joined anyway.
    return { status: replaces === undefined ? 403 : 400, reason: 'Call without Join to Join This Conference' };
  }
  if (replaces === undefined) return undefined;
  const { callId, params } = replaces;
  const [localTag, remoteTag] = [params.get('to-tag'), params.get('from-tag')];
  // §6.1: exactly one of each.
  if (localTag === undefined || remoteTag === undefined) return { status: 400, reason: 'Replaces without Its Tags' };
  const leg = legs.inDialog(callId, localTag, remoteTag);
  if (leg === undefined && legs.ended.has({ callId, localTag, remoteTag })) {
    return { status: 603, reason: 'The Call to Replace Has Ended' };
  }
  if (leg?.room !== room) return { status: 481, reason: 'No Such Call to Replace' };
  if (!isOwn(leg, { request, flow, caller })) return { status: 403, reason: 'Only Your Own Call Can Be Replaced' };
  // §3: what is only to be replaced while it rings.
  return params.has('early-only') ? { status: 486, reason: 'The Call Was Answered' } : leg;
}
