/**
 * Calls that bring nothing but files (RFC 5547): several clients make one beside the call in which they chat. Such a call
 * takes part in nothing: it is in no roster, and ends with its files.
 */
import type {
  Answer,
  IncomingInvite,
  IncomingOffer,
  InviteSession,
  SessionHandlers,
  SipRequest,
} from '../../sip/index.ts';
import type { Release, Watcher } from '../chat/host.ts';
import type { ChatRoom } from '../chat/room.ts';
import { sipReason } from '../chat/sip-reason.ts';
import type { Speaker } from '../chat/speaker.ts';
import type { Logged } from '../log/room-log.ts';
import { instanceOf } from './arrival.ts';
import { speakerOf, type Approach } from './caller.ts';
import { FOCUS_CONTACT } from './contact.ts';
import { type LegMaker, newEndpointId } from './leg-maker.ts';
import type { LegMedia } from './leg-media.ts';
import { ownLeg } from './own-leg.ts';
import type { PinGate } from './pin-gate.ts';
import { readSdp, sdpContent, sdpOf } from './sdp-body.ts';
import { noMediaAnswer } from './warnings.ts';

/** What the calls for files are made with. */
export interface FileCallsParts {
  readonly legs: () => LegMaker;
  /** Milliseconds after its last file in which the peer may end its call, or bring another file. */
  readonly grace: number;
  /** Such calls that one user may have going in a room. */
  readonly maxCalls: number;
}

/** Who calls, where and how. */
export interface FileEntrance extends Approach {
  readonly invite: IncomingInvite;
  readonly room: ChatRoom;
  readonly release: Release;
  readonly pins: PinGate;
}

/** All calls that only bring files. */
export class FileCalls implements Watcher {
  readonly #parts: FileCallsParts;
  readonly #alive = new Set<FileCall>();

  constructor(parts: FileCallsParts) {
    this.#parts = parts;
  }

  /**
   * Answers a call that only brings files. It is taken from who is in the room, as his, and from others as the room takes
   * what strangers say.
   */
  async answer(entrance: FileEntrance): Promise<void> {
    const { invite, room, release } = entrance;
    const sender = this.#senderOf(entrance);
    const offer = sdpOf(invite.request);
    if ('status' in sender || offer === undefined) {
      invite.refuse('status' in sender ? sender : { status: 488 });
      release();
      return;
    }
    const call: FileCall = new FileCall({
      room,
      speaker: sender,
      media: (over) => this.#parts.legs().fileMedia({ ...entrance, local: invite.flow.local.address }, sender, over),
      grace: this.#parts.grace,
      onGone: () => {
        this.#alive.delete(call);
        release();
      },
    });
    this.#alive.add(call);
    try {
      const answer = await call.media.answer(offer);
      if ('faults' in answer) invite.refuse(noMediaAnswer(answer, 'no call'));
      else {
        const session = invite.accept({ ...sdpContent(answer), contact: FOCUS_CONTACT, session: call });
        if (session !== undefined) call.answered(session);
      }
    } finally {
      if (!call.stands) call.end('the call was not made');
    }
  }

  /** From the host: who has left, or had to, sends no more. */
  happened(room: ChatRoom, { event }: Logged): void {
    if (event.type !== 'left') return;
    for (const call of [...this.#alive]) {
      const { speaker } = call;
      if (call.room !== room || speaker.outside === true) continue;
      if (room.conference.endpointsOf(speaker.user).length === 0) call.end('its sender has left');
    }
  }

  /** From the host; nothing that a call could show. */
  changed(): void {
    // The roster alone has changed.
  }

  /** Ends them all. */
  close(reason: string): void {
    for (const call of [...this.#alive]) call.end(reason);
  }

  /** As whom the caller sends: as the device by which he is in the room, if it is that one. */
  #senderOf(entrance: FileEntrance): Speaker | Answer {
    const { invite, room, caller, pins } = entrance;
    const legs = this.#parts.legs();
    const { request, flow } = invite;
    const shown = pins.shownBy(request, room);
    const own = ownLeg(legs, room, { request, flow, caller, shown });
    if (own !== undefined && 'refused' in own) return pins.answer(request, room, own, shown);
    const { user } = own?.speaker ?? caller;
    const going = [...this.#alive].filter((call) => call.room === room && call.speaker.user === user);
    if (going.length >= this.#parts.maxCalls) return { status: 486, reason: 'Too Many Files At Once' };
    if (own !== undefined) {
      const instance = instanceOf(request);
      const isOther = instance !== undefined && own.instance !== undefined && instance !== own.instance;
      return isOther ? { ...own.speaker, endpoint: newEndpointId() } : own.speaker;
    }
    const refusal = room.rules.stranger({ ...caller, ...shown });
    if (refusal !== undefined) return pins.answer(request, room, refusal, shown);
    return speakerOf(entrance, newEndpointId(), true);
  }
}

/** What one call is made with. */
interface FileCallParts {
  readonly room: ChatRoom;
  readonly speaker: Speaker;
  /** Its media; they tell when a file has come, or will not. */
  readonly media: (over: () => void) => LegMedia;
  readonly grace: number;
  /** It is over, once. */
  readonly onGone: () => void;
}

/** One call that only brings files. */
class FileCall implements SessionHandlers {
  readonly media: LegMedia;
  readonly #parts: FileCallParts;
  #session: InviteSession | undefined;
  #grace: NodeJS.Timeout | undefined;
  #gone = false;

  constructor(parts: FileCallParts) {
    this.#parts = parts;
    this.media = parts.media(() => this.#linger());
  }

  get room(): ChatRoom {
    return this.#parts.room;
  }

  get speaker(): Speaker {
    return this.#parts.speaker;
  }

  /** Whether it has been accepted. */
  get stands(): boolean {
    return this.#session !== undefined;
  }

  /** The 200 has gone out. */
  answered(session: InviteSession): void {
    this.#session = session;
    this.media.admitFiles();
  }

  /** From the dialog: other files, or none any more. */
  async onOffer({ offer, request }: IncomingOffer): Promise<Answer> {
    const description = offer ? sdpOf(request) : undefined;
    const answer = description === undefined ? await this.media.offer() : await this.media.answer(description);
    if ('faults' in answer) return noMediaAnswer(answer, 'call');
    this.#linger();
    return { status: 200, ...sdpContent(answer) };
  }

  /** From the dialog: the answer to an offer of ours, which may close lines. */
  onOfferAck(ack: SipRequest): void {
    const answer = readSdp(ack);
    if (answer !== undefined && !('faults' in answer)) this.media.settle(answer);
  }

  /** From the dialog: it is over. */
  onEnded(): void {
    this.#finish('the call is over');
  }

  /** Ends the call by BYE; what is still to come of its files is given up. */
  end(reason: string): void {
    const session = this.#session;
    this.#finish(reason);
    session?.close([{ name: 'Reason', value: sipReason(200, reason) }]);
  }

  /** Its sender ends it when all has come (RFC 5547 §8.4), or brings more; if he does neither, it ends by itself. */
  #linger(): void {
    clearTimeout(this.#grace);
    if (this.#gone || !this.media.filesAreOver) return;
    this.#grace = setTimeout(() => {
      if (this.media.filesAreOver) this.end('no more files');
    }, this.#parts.grace);
  }

  #finish(detail: string): void {
    if (this.#gone) return;
    this.#gone = true;
    clearTimeout(this.#grace);
    this.media.close(detail);
    this.#parts.onGone();
  }
}
