import type { Flow } from '../../sip/index.ts';
import type { ChatRoom } from '../chat/room.ts';
import type { Newcomer } from '../chat/rules.ts';
import type { Refusal } from '../policy/refusal.ts';
import type { Caller } from './caller.ts';
import type { Leg } from './leg.ts';
import type { LegMaker } from './leg-maker.ts';

/**
 * The leg of somebody who sends a request from outside of his call: that of the same flow, else, of somebody who proves
 * who he is, any of his. Where nobody proves it, a request by another flow counts only if it comes from the address of
 * the call, and only from whom the room would let in as he is: some programs send each request from a port of its own, a
 * NAT gives out new ones; who shares the address gains nothing that he could not have by calling. A refusal says why it
 * does not count.
 * @param shown what the request shows of the room's PIN
 */
export function ownLeg(
  legs: LegMaker,
  room: ChatRoom,
  caller: Caller,
  flow: Flow,
  shown: Pick<Newcomer, 'pin' | 'pinProof'>,
): Leg | Refusal | undefined {
  const own = legs.of(room, caller.user);
  const onFlow = own.find(({ session }) => session !== undefined && isSame(session.dialog.flow, flow));
  if (onFlow !== undefined || caller.proven) return onFlow ?? own[0];
  const near = own.find((leg) => leg.caller.address === caller.address);
  // Somebody else says that he is who is here already.
  if (near === undefined) return own.length > 0 ? { refused: 'not-here' } : undefined;
  const seat = room.rules.join({ ...caller, ...shown });
  // He has his places already, however many there may be.
  if ('refused' in seat) return isFullness(seat) ? near : seat;
  seat.free();
  return near;
}

/** A flow of UDP may have been forgotten and met again. */
function isSame(one: Flow | undefined, other: Flow): boolean {
  if (one === undefined || one === other || one.reliable || other.reliable) return one === other;
  const [here, there] = [one.remote, other.remote];
  return here.address === there.address && here.port === there.port && one.local.port === other.local.port;
}

function isFullness({ refused }: Refusal): boolean {
  return refused === 'full' || refused === 'too-many-devices';
}
