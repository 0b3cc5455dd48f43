import type { Flow } from '../../sip/index.ts';
import type { ChatRoom } from '../chat/room.ts';
import type { Caller } from './caller.ts';
import type { Leg } from './leg.ts';
import type { LegMaker } from './leg-maker.ts';

/**
 * The leg of somebody who writes to a room from outside of his call: that of the same connection, else any of his. Where
 * nobody proves who he is, his address has to tell him from another of that name: a program that sends each request from
 * a port of its own is taken, too. There, whoever shares the address can also call in that name.
 */
export function ownLeg(legs: LegMaker, room: ChatRoom, caller: Caller, flow: Flow): Leg | undefined {
  const own = legs.of(room, caller.user);
  const onFlow = own.find(({ session }) => session?.dialog.flow === flow);
  return onFlow ?? own.find((leg) => caller.proven || leg.caller.address === caller.address);
}
