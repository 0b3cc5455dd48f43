import {
  type Answer,
  type IncomingOffer,
  type IncomingRequest,
  type InviteSession,
  type OutgoingInvite,
  type SessionDescription,
  type SessionEnd,
  type SessionHandlers,
  type SipRequest,
} from '../../sip/index.ts';
import type { ChatSession } from '../chat/chat-session.ts';
import type { Release } from '../chat/host.ts';
import type { PastWish } from '../chat/past-wish.ts';
import type { Recipient } from '../chat/recipient.ts';
import type { ChatRoom } from '../chat/room.ts';
import type { Seat } from '../chat/rules.ts';
import { sipReason } from '../chat/sip-reason.ts';
import type { Speaker } from '../chat/speaker.ts';
import type { Left, Medium } from '../conference/events.ts';
import { type EndpointId, type EventNumber, later } from '../conference/ids.ts';
import type { Caller } from './caller.ts';
import type { DialogName } from './ended-calls.ts';
import type { LegMedia } from './leg-media.ts';
import { type NoMedia, noMedia } from './media-plan.ts';
import type { PeerProfile } from './peers.ts';
import { Progress } from './progress.ts';
import { noListHere } from './recipient-list.ts';
import { type Comer, departureOf, type LegEnd, whenLeft, whenPresent, whileDialled } from './roster-entry.ts';
import { readSdp, sdpContent, sdpOf } from './sdp-body.ts';
import type { TextLeg } from './text-leg.ts';
import { noMediaAnswer, noMediaReason } from './warnings.ts';

/** What a leg is made with. */
export interface LegParts extends Comer {
  readonly room: ChatRoom;
  readonly speaker: Speaker;
  readonly profile: PeerProfile;
  /** It is in the roster. */
  readonly onJoined: (() => void) | undefined;
  readonly media: LegMedia;
  /** SIP MESSAGE in both directions. */
  readonly texts: TextLeg;
  readonly seat: Seat;
  /** The Subject header of the INVITE. */
  readonly subject: string | undefined;
  /** Lets the room go. */
  readonly release: Release;
  /** What of the past it wants, at most. */
  readonly wish: PastWish;
  /** Other legs of the same device in the room that are not over. */
  readonly others: () => Iterable<Leg>;
  /** How long the dialog waits for a new chat session when the old one is lost, in ms (RFC 4975 §5.4). */
  readonly grace: number;
  /** It is over, once. */
  readonly onGone: (leg: Leg, dialog: DialogName | undefined) => void;
  /** A line for the operator. */
  readonly info: (line: string) => void;
}

type LegState =
  /** We call; it is in the roster already (RFC 4575 §5.7.3). */
  | { readonly is: 'dialling'; readonly call: OutgoingInvite }
  /** The 200 is out. */
  | { readonly is: 'answered'; readonly session: InviteSession }
  /** In the roster, or on its way into it. */
  | { readonly is: 'present'; readonly session: InviteSession }
  | { readonly is: 'ended' };

/**
 * One endpoint in the conference: its INVITE dialog plus, while it has one, its chat session. The dialog outlives the
 * session by a grace time in which a new offer may bring another, and wholly while audio serves.
 */
export class Leg implements SessionHandlers {
  readonly #parts: LegParts;
  /** How far its device has come in what is said. */
  readonly progress: Progress;
  #state: LegState | undefined;
  #joined = false;
  /** What it is to be told when it hears the room. */
  readonly #untold: string[] = [];
  /** Texts and orders that wait for the log to have taken their author in. */
  readonly #early: (() => void)[] = [];
  #grace: NodeJS.Timeout | undefined;
  /** The last Subject header of the peer. */
  #subject: string | undefined;
  #profile: PeerProfile;

  constructor(parts: LegParts) {
    this.#parts = parts;
    const others = (): Iterable<Progress> => [...parts.others()].map(({ progress }) => progress);
    this.progress = new Progress({ ...parts, others });
    this.#subject = parts.subject;
    this.#profile = parts.profile;
  }

  get id(): EndpointId {
    return this.#parts.id;
  }

  get caller(): Caller {
    return this.#parts.caller;
  }

  get room(): ChatRoom {
    return this.#parts.room;
  }

  get profile(): PeerProfile {
    return this.#profile;
  }

  get media(): LegMedia {
    return this.#parts.media;
  }

  /** The Subject header of the last INVITE of the peer that had one. */
  get subject(): string | undefined {
    return this.#subject;
  }

  /** Whether we have made the call. */
  get dialledOut(): boolean {
    return this.#parts.method === 'dialed-out';
  }

  /** The URI of the room as the peer knows it. */
  get roomUri(): string {
    return this.#parts.speaker.roomUri;
  }

  /** As whom it sends into the room. */
  get speaker(): Speaker {
    return this.#parts.speaker;
  }

  /** The device, where it names itself. */
  get instance(): string | undefined {
    return this.#parts.instance;
  }

  /** Its dialog, while it is not over. */
  get session(): InviteSession | undefined {
    return this.#state?.is === 'answered' || this.#state?.is === 'present' ? this.#state.session : undefined;
  }

  /** The 200 has gone out. */
  answered(session: InviteSession): void {
    this.#state = { is: 'answered', session };
    this.room.present.enter(this.#parts.speaker);
  }

  /** We call it: the roster shows it (RFC 4579 §5.2). */
  dialling(call: OutgoingInvite): void {
    this.#state = { is: 'dialling', call };
    this.room.present.enter(this.#parts.speaker);
    this.room.append(whileDialled(this.#parts));
  }

  /** It rings there. */
  alerting(): void {
    if (this.#state?.is !== 'dialling') return;
    this.room.append({ type: 'statusChanged', at: this.#parts.now(), endpoint: this.id, status: 'alerting' });
  }

  /** Whom we call has answered: by this session, with this answer to our offer. */
  accepted(session: InviteSession, answer: SessionDescription | NoMedia | undefined, profile: PeerProfile): void {
    if (this.#state?.is !== 'dialling') {
      session.close();
      return;
    }
    this.#profile = profile;
    this.#state = { is: 'answered', session };
    const refusal = this.#taken(answer);
    if (refusal === undefined) this.#join();
    else this.end({ method: 'failed', reason: noMediaReason(refusal) });
  }

  /** Whom we call does not come. */
  unreached(end: LegEnd): void {
    if (this.#state?.is === 'dialling') this.#finish(end);
  }

  /** The dialog never came to be. */
  abandon(): void {
    if (this.#state !== undefined) return;
    this.#state = { is: 'ended' };
    this.#close('the call was not made');
  }

  /** From the dialog: the peer is there (RFC 4579 §5.1); its answer comes with it when we made the offer. */
  onAck(ack: SipRequest): void {
    if (this.#settle(ack)) this.#join();
  }

  /** From the dialog: the peer does something. A text of its own out of the call counts as well. */
  onHeard(): void {
    if (this.#state?.is !== 'present' || this.media.chat?.open === true || !this.#parts.texts.resume()) return;
    this.#attach();
    this.room.voice.tell(this.room.voice.texts.again, this.id);
    this.#showMedia(this.#state.session);
  }

  /** From the dialog: a re-INVITE or UPDATE. */
  async onOffer(incoming: IncomingOffer): Promise<Answer> {
    const { request } = incoming;
    const unsupported = noListHere(request);
    if (unsupported !== undefined) return unsupported;
    const offer = incoming.offer ? sdpOf(request) : undefined;
    const answer = offer === undefined ? await this.media.offerAnew() : await this.media.answer(offer);
    if ('faults' in answer) return noMediaAnswer(answer, 'call');
    if (offer !== undefined) this.#mediaChanged();
    this.#readSubject(request);
    return { status: 200, ...sdpContent(answer) };
  }

  /** A re-INVITE with another Subject than the calls before it gives the conference that subject, if its rules allow it. */
  #readSubject(request: SipRequest): void {
    const subject = request.headers.get('Subject')?.trim();
    if (request.method !== 'INVITE' || subject === undefined || subject === this.#subject) return;
    this.#subject = subject;
    // One that says nothing is none: it takes away what there is.
    if (subject === '' && this.room.conference.subject === undefined) return;
    const order = { order: 'subject', ...(subject === '' ? {} : { subject }) } as const;
    this.room.moderation.order(this.caller.user, order, 'INVITE', () => undefined);
  }

  /** From the dialog: the ACK of a re-INVITE, with the answer when the offer was ours. */
  onOfferAck(ack: SipRequest): void {
    if (ack.body.length > 0 && this.#settle(ack)) this.#mediaChanged();
  }

  /** From the dialog, or from outside of it: a text by SIP MESSAGE. */
  async onMessage(incoming: IncomingRequest): Promise<Answer> {
    if (!(await this.isIn())) return COME_AGAIN;
    if (incoming.session === undefined) this.onHeard();
    return this.#parts.texts.receive(incoming);
  }

  /**
   * Whether it is in the room: who does something at once may be on the way into it still, and is waited for. While it
   * rings there it is not, however long that takes.
   */
  async isIn(): Promise<boolean> {
    if (this.#joined) return this.#state?.is === 'present';
    if (this.session === undefined || this.#early.length >= MAX_EARLY) return false;
    await new Promise<void>((admitted) => this.#early.push(admitted));
    return this.#state?.is === 'present';
  }

  /** From the dialog: it is over. */
  onEnded(end: SessionEnd): void {
    this.#finish(departureOf(end));
  }

  /** From the chat session: its first request has been answered. */
  chatBound(): void {
    this.#calm();
    // Only our 200 could tell the peer where to connect, so it has come: the ACK may still be on its way. Where it has to
    // bring the answer to our offer, that tells first whose certificate it must be (RFC 8122 §6.2).
    if (!this.media.awaitsAnswer) this.#join();
    if (!this.#joined && !this.#parts.seat.waits) this.progress.connected();
    this.#attach();
  }

  /** From its texts: it gets no more of them, since it refuses them, or has not taken several in a row. */
  textsOver(): void {
    if (this.#state?.is === 'present') this.#showMedia(this.#state.session);
  }

  /** From the chat session: it is gone. */
  chatClosed(detail: string): void {
    if (this.#state === undefined || this.#state.is === 'ended') return;
    const { chat } = this.media;
    if (chat === undefined) this.room.arrivals.detach(this.id);
    else this.room.arrivals.deafen(chat);
    this.#attach();
    this.#mourn(detail);
  }

  /** Ends the leg by BYE. */
  end(end: LegEnd): void {
    const state = this.#state;
    if (state === undefined || state.is === 'ended') return;
    this.#finish(end);
    hangUp(state, end.reason);
  }

  /** From the log: a moderator has taken it out of the roster. It ends by BYE. */
  expelled({ method, reason }: Left): void {
    const state = this.#state;
    if (state === undefined || state.is === 'ended') return;
    this.#finish({ method, ...(reason === undefined ? {} : { reason }) }, 'told');
    hangUp(state, reason);
  }

  /** From the log: it need not wait in the lobby any longer. */
  admitted(): void {
    this.#attach();
  }

  /** The room says something to it alone, as soon as it hears the room. */
  tell(text: string): void {
    this.#untold.push(text);
    this.#attach();
  }

  /**
   * It may speak, or may not. A peer that can take it is told by a re-INVITE (RFC 3264 §8.4); for the others, and for one
   * that refuses, it is told when it speaks.
   */
  silence(silenced: boolean): void {
    if (this.#state?.is !== 'present' || !this.profile.directions || !this.media.silence(silenced)) return;
    this.#offer(this.#state.session);
  }

  /** From the session of a file that it sends: it was refused half-way, and so its line is closed (RFC 5547 §8.4). */
  fileAborted(): void {
    if (this.#state?.is === 'present') this.#offer(this.#state.session);
  }

  #offer(session: InviteSession): void {
    void this.media.offer().then((offer) => {
      session.reInvite(sdpContent(offer), (outcome) => {
        if (outcome.is !== 'response' || outcome.response.status >= 300) return;
        if (this.#taken(readSdp(outcome.response)) === undefined) this.#mediaChanged();
      });
    });
  }

  #join(): void {
    if (this.#state?.is !== 'answered') return;
    const { session } = this.#state;
    this.#state = { is: 'present', session };
    this.room.append(whenPresent(this.#parts, session.dialog, this.#shownMedia(session)), (outcome) => {
      this.#parts.seat.free();
      if (typeof outcome === 'number') {
        this.#joined = true;
        this.#attach();
        this.#admitEarly();
        this.#parts.onJoined?.();
        return;
      }
      this.end({ method: 'failed', reason: sipReason(503, outcome.reason) });
    });
    // An offer whose session was never bound is as lost as one that broke.
    if (this.media.chat?.open === false) this.#mourn('never bound');
  }

  /** Opens both ways as soon as the peer is in the room: to speak at once, to hear when it is connected and willing. */
  #attach(): void {
    const { chat } = this.media;
    if (!this.#joined || this.#state?.is !== 'present') return;
    this.media.admitFiles();
    if (chat?.open !== true) {
      // Who has nothing but the chat brings another session within the grace time, and is sent there what it has missed.
      if (chat !== undefined && !this.media.hasAudio) return;
      const byMessage = this.#parts.texts.recipient(this.#state.session);
      if (byMessage === undefined) return;
      const { messages = this.room.rules.historyByMessage, within } = this.#parts.wish;
      // What waits there since it had no line before goes on from there.
      this.#hears(byMessage, { messages, ...(within === undefined ? {} : { within }) }, this.#parts.texts.given);
      return;
    }
    if (chat.isBound) this.#listens(chat);
    else if (!this.progress.begun) this.#cannotHear(chat, 'expected');
    // Behind it: what it has asked for while it came in is answered to who hears already.
    chat.admit();
  }

  #listens(chat: ChatSession): void {
    if (!this.media.listens) {
      this.#cannotHear(chat, 'on hold');
      return;
    }
    // What it has read by SIP MESSAGE does not come by its chat as well.
    if (this.#parts.texts.hush(() => this.#attach())) {
      this.room.arrivals.deafen(chat);
      return;
    }
    this.progress.left(this.#parts.texts);
    this.#hears(chat, this.#parts.wish);
    this.#parts.texts.end();
  }

  /** It is in the roster, so what is said is for it, though it cannot be given it yet. */
  #cannotHear(chat: ChatSession, line: 'expected' | 'on hold'): void {
    this.room.arrivals.deafen(chat);
    if (!this.#isInLobby) this.progress.wait(line);
  }

  /** @param given the newest message that the recipient has, and will deliver */
  #hears(recipient: Recipient, wanted: PastWish, given?: EventNumber): void {
    // What it wants of the past is about what was before it came, and not about what it misses in this call.
    const wish = this.progress.begun ? {} : wanted;
    const after = later(this.progress.reached, given);
    this.room.arrivals.attach(recipient, { wish, after, cameAt: this.progress.cameAt });
    if (!this.#isInLobby) this.progress.begin();
    for (const text of this.#untold.splice(0)) recipient.deliver(this.room.voice.line(text, recipient));
  }

  /** Who waits in the lobby hears nothing of the room yet. */
  get #isInLobby(): boolean {
    return this.room.conference.endpoint(this.id)?.status === 'pending';
  }

  /** Where the offer was ours, the ACK has the answer (RFC 3261 §13.2.2.4); one that has none, or junk, ends the call. */
  #settle(ack: SipRequest): boolean {
    if (!this.media.awaitsAnswer) return true;
    const refusal = this.#taken(readSdp(ack));
    if (refusal === undefined) return true;
    this.end({ method: 'failed', reason: noMediaReason(refusal) });
    return false;
  }

  /** Takes the answer to our offer, or tells why it cannot. */
  #taken(answer: SessionDescription | NoMedia | undefined): NoMedia | undefined {
    if (answer === undefined) return noMedia('no answer to our offer');
    return 'faults' in answer ? answer : this.media.settle(answer);
  }

  #mediaChanged(): void {
    if (this.#state?.is !== 'present') return;
    const { chat } = this.media;
    if (chat === undefined || chat.isBound) this.#calm();
    this.#attach();
    this.#showMedia(this.#state.session);
  }

  #showMedia(session: InviteSession): void {
    const media = this.#shownMedia(session);
    this.room.append({ type: 'mediaChanged', at: this.#parts.now(), endpoint: this.id, media });
  }

  /** What the roster shows: who has no message line but gets the chat by SIP MESSAGE has a message medium all the same. */
  #shownMedia(session: InviteSession): readonly Medium[] {
    const media = this.media.roster();
    const hasLine = media.some(({ type }) => type === 'message');
    return hasLine || !this.#parts.texts.takes(session) ? media : [...media, BY_MESSAGE];
  }

  /** Waits for a new chat session, unless audio keeps the call. */
  #mourn(detail: string): void {
    if (this.media.hasAudio || this.#grace !== undefined || this.#state?.is !== 'present') return;
    this.#parts.info(`${this.caller.user}: chat session lost (${detail})`);
    this.#grace = setTimeout(() => {
      this.end({ method: 'failed', reason: sipReason(408, `chat session lost: ${detail}`) });
    }, this.#parts.grace);
  }

  #admitEarly(): void {
    for (const admitted of this.#early.splice(0)) admitted();
  }

  #calm(): void {
    clearTimeout(this.#grace);
    this.#grace = undefined;
  }

  #finish(end: LegEnd, log: 'to be told' | 'told' = 'to be told'): void {
    const state = this.#state;
    if (state === undefined || state.is === 'ended') return;
    this.#state = { is: 'ended' };
    const detail = end.reason ?? end.method;
    this.room.arrivals.detach(this.id);
    this.media.close(detail);
    if (state.is === 'present') this.progress.keep();
    const listed = state.is === 'present' || this.#parts.method === 'dialed-out';
    if (listed && log === 'to be told') {
      this.room.append(whenLeft(this.#parts, end));
    }
    this.room.present.leave(this.#parts.speaker);
    this.#close(detail, 'session' in state ? state.session.dialog : undefined);
  }

  #close(detail: string, dialog?: DialogName): void {
    this.#calm();
    this.#admitEarly();
    this.#parts.texts.close();
    this.media.close(detail);
    this.#parts.seat.free();
    this.#parts.release();
    this.#parts.onGone(this, dialog);
  }
}

/** RFC 4575 §5.8: the id is that of no m= line. */
const BY_MESSAGE: Medium = { id: 'texts', type: 'message', displayText: 'SIP MESSAGE', status: 'sendrecv' };
/** Texts and orders that may wait for their author's place in the room: for the moment that the log takes, so that nobody needs more. */
const MAX_EARLY = 32;
const COME_AGAIN: Answer = { status: 500, headers: [{ name: 'Retry-After', value: '1' }] };

/** BYE, or CANCEL while it rings. */
function hangUp(state: Exclude<LegState, { readonly is: 'ended' }>, reason: string | undefined): void {
  if (state.is === 'dialling') state.call.cancel();
  else state.session.close(reason === undefined ? [] : [{ name: 'Reason', value: reason }]);
}
