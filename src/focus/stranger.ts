import type { Answer, SipRequest } from '../../sip/index.ts';
import type { Verdict } from '../chat/posts.ts';
import type { ChatRoom } from '../chat/room.ts';
import { endpointId } from '../conference/ids.ts';
import type { Caller } from './caller.ts';
import type { PeerProfile } from './peers.ts';
import type { PinGate } from './pin-gate.ts';
import { messageRefusal } from './refusals.ts';
import { readMessage } from './text-in.ts';

/** Who writes to a room without being in it. */
export interface Stranger {
  readonly room: ChatRoom;
  readonly caller: Caller;
  readonly profile: PeerProfile;
  /** The URI of the room as he knows it. */
  readonly roomUri: string;
  readonly pins: PinGate;
}

/** The endpoint of all that is said by those who have none. */
const NOWHERE = endpointId('stranger');

/** A MESSAGE of somebody who is not in the call (RFC 3428), where the room allows it. Throws SipError for what cannot be read. */
export async function hearStranger(request: SipRequest, stranger: Stranger): Promise<Answer> {
  const { room, caller, profile, roomUri, pins } = stranger;
  const shown = pins.shownBy(request, room);
  const refusal = room.rules.stranger({ ...caller, ...shown });
  if (refusal !== undefined) return pins.answer(request, room, refusal, shown);
  const taken = { status: profile.messageTaken };
  if (request.body.length === 0) return taken;
  const speaker = {
    endpoint: NOWHERE,
    user: caller.user,
    outside: true,
    names: caller.names,
    roomUri,
    shown: caller.alias ?? caller.user,
    swallow: profile.swallow,
    speaksForMany: false,
  };
  const { posting } = readMessage(request, { room, speaker, profile, now: Date.now() });
  const verdict = await new Promise<Verdict>((settled) => {
    room.posts.take(speaker, posting, settled);
  });
  return typeof verdict === 'object' ? messageRefusal(verdict, false) : taken;
}
