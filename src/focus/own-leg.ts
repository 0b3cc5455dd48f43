import type { Flow, SipRequest } from '../../sip/index.ts';
import type { ChatRoom } from '../chat/room.ts';
import type { Newcomer } from '../chat/rules.ts';
import { readIpAddress } from '../conference/ids.ts';
import type { Refusal } from '../policy/refusal.ts';
import { type Caller, isLarge, isNameless } from './caller.ts';
import type { Leg } from './leg.ts';
import type { LegMaker } from './leg-maker.ts';

/** A request from outside of a call, and what it shows of the room's PIN. */
export interface OutsideRequest {
  readonly request: SipRequest;
  readonly flow: Flow;
  readonly caller: Caller;
  readonly shown: Pick<Newcomer, 'pin' | 'pinProof'>;
}

/**
 * The leg of somebody who sends a request from outside of his call: that of the same flow, else, of somebody who proves
 * who he is, any of his. Where nobody proves it, another flow counts only where the request could not come by that of the
 * call, and then only from whom the room would let in as he is. Who gives no name has his flow alone. A refusal says why
 * it does not count; undefined: nobody of that name is here, though his telephone may ring.
 */
export function ownLeg(legs: LegMaker, room: ChatRoom, from: OutsideRequest): Leg | Refusal | undefined {
  const { caller, flow, shown } = from;
  if (isNameless(caller)) return namelessLeg(legs, room, from);
  const own = legs.of(room, caller.user).filter(({ session }) => session !== undefined);
  const onFlow = own.find(({ session }) => isSame(session?.dialog.flow, flow));
  if (onFlow !== undefined || caller.proven || own.length === 0) return onFlow ?? own[0];
  const near = own.find((leg) => needsAnotherFlow(leg, from));
  if (near === undefined) return { refused: 'other-flow' };
  const seat = room.rules.join({ ...caller, ...shown });
  // He has his places already, however many there may be.
  if ('refused' in seat) return isFullness(seat) ? near : seat;
  seat.free();
  return near;
}

/**
 * Whether a call is that of who wants another to take its place (RFC 3891 §3): he proves who he is, or comes by the flow of
 * that call, or from its address, as he might for a further call. Who gives no name has his flow alone.
 */
export function isOwn(leg: Leg, from: Omit<OutsideRequest, 'shown'>): boolean {
  const { caller, flow } = from;
  const onFlow = isSame(leg.session?.dialog.flow, flow);
  if (isNameless(caller)) return isNameless(leg.caller) && onFlow && !caller.proxied && !leg.caller.proxied;
  return leg.caller.user === caller.user && (caller.proven || onFlow || needsAnotherFlow(leg, from));
}

/** The one leg without a name that has this flow; several, and those of a proxy, which serves others too, are nobody's. */
function namelessLeg(legs: LegMaker, room: ChatRoom, { caller, flow }: OutsideRequest): Leg | undefined {
  const [one, ...others] = [...legs.alive].filter(
    (leg) => leg.room === room && isNameless(leg.caller) && isSame(leg.session?.dialog.flow, flow),
  );
  return caller.proxied || one?.caller.proxied !== false || others.length > 0 ? undefined : one;
}

/** A flow of UDP may have been forgotten and met again. */
function isSame(one: Flow | undefined, other: Flow): boolean {
  if (one === undefined || one === other || one.reliable || other.reliable) return one === other;
  const [here, there] = [one.remote, other.remote];
  return here.address === there.address && here.port === there.port && one.local.port === other.local.port;
}

/** Whether who has this call would, from the same address, send such a request by another flow than that of the call. */
function needsAnotherFlow(leg: Leg, { request, flow, caller }: Omit<OutsideRequest, 'shown'>): boolean {
  const known = leg.session?.dialog.flow;
  const address = known === undefined ? leg.caller.address : readIpAddress(known.remote.address);
  if (address === undefined || address !== caller.address) return false;
  // He might as well call once more, for whatever he brings.
  if (request.method === 'INVITE') return true;
  // Its connection is lost, or never was his own.
  if (known?.open !== true || (leg.dialledOut && known.reliable)) return true;
  // RFC 3261 §18.1.1: of one client, what is too large for UDP goes over TCP, and all else by UDP.
  if (known.reliable ? leg.caller.large && !flow.reliable : isLarge(request, flow)) return true;
  // A proxy has as many connections as it likes; it is for the proxy to tell its users apart.
  return leg.caller.proxied && caller.proxied;
}

function isFullness({ refused }: Refusal): boolean {
  return refused === 'full' || refused === 'too-many-devices';
}
