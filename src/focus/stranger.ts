import type { Answer, SipRequest } from '../../sip/index.ts';
import type { Verdict } from '../chat/posts.ts';
import type { ChatRoom } from '../chat/room.ts';
import { endpointId } from '../conference/ids.ts';
import { speakerOf, type Approach } from './caller.ts';
import type { PinGate } from './pin-gate.ts';
import { messageRefusal } from './refusals.ts';
import { readMessage } from './text-in.ts';

/** Who writes to a room without being in it. */
export interface Stranger extends Approach {
  readonly room: ChatRoom;
  readonly pins: PinGate;
}

/** The endpoint of all that is said by those who have none. */
const NOWHERE = endpointId('stranger');

/** A MESSAGE of somebody who is not in the call (RFC 3428), where the room allows it. Throws SipError for what cannot be read. */
export async function hearStranger(request: SipRequest, stranger: Stranger): Promise<Answer> {
  const { room, caller, profile, pins } = stranger;
  const shown = pins.shownBy(request, room);
  const refusal = room.rules.stranger({ ...caller, ...shown });
  if (refusal !== undefined) return pins.answer(request, room, refusal, shown);
  const taken = { status: profile.messageTaken };
  if (request.body.length === 0) return taken;
  const speaker = speakerOf(stranger, NOWHERE, true);
  const { posting } = readMessage(request, { room, speaker, profile, now: room.now() });
  const verdict = await new Promise<Verdict>((settled) => {
    room.posts.take(speaker, posting, settled);
  });
  return typeof verdict === 'object' ? messageRefusal(verdict, false) : taken;
}
