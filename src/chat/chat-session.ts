import {
  AGGREGATE_MEDIA_TYPE,
  ISCOMPOSING_MEDIA_TYPE,
  type AcceptedTypes,
  type CloseReason,
  type Incoming,
  type IncomingMessage,
  type MessageOpening,
  type MsrpEndpoint,
  type MsrpPath,
  type MsrpSession,
  type NicknameRequest,
  type Outcome,
  type Outgoing,
  type PeerManners,
  type PreparedMessage,
  type Reception,
  type SessionHandlers,
  type SessionOptions,
} from '../../msrp/index.ts';
import { type EndpointId, type EventNumber, eventNumber, messageId, type UserUri } from '../conference/ids.ts';
import { Admission } from './admission.ts';
import { Aggregate } from './aggregation.ts';
import { type BareText, decode, nameBefore, wrap } from './bare-text.ts';
import { Congestion, type CongestionStep } from './congestion.ts';
import { type Copy, numberOf } from './copy.ts';
import type { Failure } from './fates.ts';
import type { LargeCopy } from './large-copy.ts';
import { LargePosting } from './large-posting.ts';
import type { Posting } from './post.ts';
import type { Verdict } from './posts.ts';
import type { Recipient } from './recipient.ts';
import { msrpStatusOf, reasonOf } from './refusals.ts';
import { rename } from './renaming.ts';
import type { ChatRoom } from './room.ts';
import type { Reader, SharedStream } from './shared-stream.ts';
import type { Speaker } from './speaker.ts';

/** What the peer of a chat session can take, as its SDP said (RFC 7701 §5.2, §8). */
export interface ChatAbilities {
  /** Types it takes bare; what it takes bare it takes wrapped too (RFC 4975 §8.6). */
  readonly acceptTypes: AcceptedTypes;
  readonly acceptWrappedTypes: AcceptedTypes;
  /** Octets of the largest message it takes (RFC 4975 §8.6); undefined when it does not say. */
  readonly maxSize?: number | undefined;
  /** It has a `chatroom` attribute. */
  readonly chatroom: boolean;
  /** It listed `private-messages` in its `chatroom` attribute. */
  readonly privateMessages: boolean;
  /** What its family of clients does otherwise than the RFCs say. */
  readonly manners: ChatManners;
}

/** What a family of clients does otherwise than the RFCs say, as far as the chat is concerned. */
export interface ChatManners extends PeerManners {
  /** It sends plain text without CPIM; this says what such a text says. Undefined: it must not (RFC 7701 §6). */
  readonly readBare: ((text: string) => BareText) | undefined;
}

/** What a chat session is made with. */
export interface ChatSessionParts {
  readonly endpoint: MsrpEndpoint;
  readonly room: ChatRoom;
  readonly speaker: Speaker;
  readonly session: Omit<SessionOptions, 'handlers' | 'remotePath' | 'successReports' | keyof PeerManners>;
  /** Octets up to which a message is collected; a larger one is passed on as it comes (RFC 7701 §6.1). */
  readonly collected: number;
  /** Milliseconds for which the peer may read too slowly (RFC 7701 §6.4). */
  readonly congestedFor: number;
  readonly now: () => number;
  /** Its first request has been answered: what is said may be sent to it. */
  readonly onBound: () => void;
  /** The peer reads too slowly; each step of what is done about it. `leftOut`: how many messages were, until it was relieved. */
  readonly onCongestion: (step: CongestionStep, leftOut?: number) => void;
  /** It is over, once; also after `close`. */
  readonly onClosed: (reason: CloseReason, detail: string) => void;
}

/**
 * One MSRP session of a chat room: what its peer sends is posted to the room, what the room says is sent to it.
 */
export class ChatSession implements Recipient, SessionHandlers {
  readonly endpoint: EndpointId;
  readonly user: UserUri;
  readonly roomUri: string;
  readonly #parts: ChatSessionParts;
  readonly #session: MsrpSession;
  readonly #congestion: Congestion;
  /** Large messages on their way to the peer. */
  readonly #reading = new Map<Outgoing, Reader>();
  #abilities: ChatAbilities | undefined;
  #takesCpim = true;
  /** The last kept message that was given to the session, and the first of those that it lost. */
  #through: EventNumber | undefined;
  #missed: EventNumber | undefined;
  readonly #admission = new Admission();

  constructor(parts: ChatSessionParts) {
    this.#parts = parts;
    this.endpoint = parts.speaker.endpoint;
    this.user = parts.speaker.user;
    this.roomUri = parts.speaker.roomUri;
    this.#session = parts.endpoint.session({ ...parts.session, handlers: this });
    const { room } = parts;
    this.#congestion = new Congestion({
      session: this.#session,
      congestedFor: parts.congestedFor,
      leftOut: ({ messageId: id }) => {
        const n = numberOf(id);
        if (n !== undefined) this.#miss(n, { is: 'congested' });
      },
      began: () => {
        parts.onCongestion('marked');
        room.voice.tell(room.voice.texts.tooSlow, this.endpoint);
        parts.onCongestion('told');
      },
      over: (leftOut) => {
        parts.onCongestion('relieved', leftOut);
        if (leftOut > 0) room.voice.tell(room.voice.texts.leftOut(leftOut), this.endpoint);
      },
      hopeless: () => {
        parts.onCongestion('let_go');
      },
    });
  }

  /** What stands in our `a=path`. */
  get localPath(): MsrpPath {
    return this.#session.localPath;
  }

  /** What the peer's `a=path` said last. */
  get remotePath(): MsrpPath | undefined {
    return this.#session.remotePath;
  }

  /** Whether it can still be used. */
  get open(): boolean {
    return this.#session.state !== 'closed';
  }

  /** Whether a connection carries it. */
  get isBound(): boolean {
    return this.#session.state === 'bound';
  }

  get backlog(): number {
    return this.#session.queuedBytes;
  }

  /** The last message up to which the peer has surely had all that was for it; undefined when there was none. */
  get position(): EventNumber | undefined {
    return this.#missed === undefined ? this.#through : eventNumber(this.#missed - 1);
  }

  get knowsRooms(): boolean {
    return this.#abilities?.chatroom !== false;
  }

  get takesPrivate(): boolean {
    return this.#abilities?.privateMessages === true;
  }

  /** The peer's side has become known by its offer or answer. */
  meet(path: MsrpPath, abilities: ChatAbilities): void {
    this.#abilities = abilities;
    this.#takesCpim = abilities.acceptTypes.accepts('message/cpim');
    this.#session.setRemotePath(path, abilities.manners);
  }

  /** The log has taken the participant into the room: what it says may be judged. */
  admit(): void {
    this.#admission.admit(this.#session);
  }

  /** Connects to the peer, when it is us who connect (RFC 4145 §4). */
  dial(): void {
    this.#session.dial();
  }

  /** Ends the session and gives nothing more. */
  close(detail: string): void {
    this.#session.close(detail);
  }

  /**
   * RFC 7701 §6.1: not to be sent where the wrapped type is known not to be acceptable; it is told in words there, so
   * that nobody misses that something was said.
   */
  deliver(copy: Copy): void {
    if (copy instanceof Aggregate && !this.#takes(AGGREGATE_MEDIA_TYPE)) {
      for (const notification of copy.apart) this.deliver(notification);
      return;
    }
    const message = this.#formOf(copy);
    if (message === undefined) return;
    // First, since a message that is left out at once is missing from then on.
    // Notifications of before come behind what was said since.
    if (copy.through !== undefined && copy.through > (this.#through ?? 0)) this.#through = copy.through;
    const queued = this.#congestion.send(message, copy.said.wrappedType === ISCOMPOSING_MEDIA_TYPE);
    if (copy.n !== undefined && queued !== 'queued') this.#miss(copy.n, { is: 'left' });
  }

  /** The form in which the peer takes it, or is told of it; undefined if there is none. */
  #formOf(copy: Copy): PreparedMessage | undefined {
    const { wrappedType, cpim } = copy.said;
    const isPlain = wrappedType === 'text/plain';
    if (!this.#takesCpim) {
      if (!isPlain) this.#notTaken(copy);
      // Deviation: RFC 7701 §5.2 has nothing but CPIM sent by a room. Some clients cannot read it; what it would show
      // them stands before the text.
      return copy.bare(nameBefore(copy, this.#parts.room));
    }
    if (wrappedType !== undefined && !this.#takes(wrappedType)) {
      this.#notTaken(copy);
      return this.#inWords(copy);
    }
    const maximum = this.#abilities?.maxSize ?? Infinity;
    // What has no words is sent all the same: its peer refuses it, if it must (RFC 4975 §8.6, §10.5).
    return (cpim.length > maximum && !isPlain ? this.#inWords(copy) : undefined) ?? copy.msrp;
  }

  #inWords(copy: Copy): PreparedMessage | undefined {
    return this.#takes('text/plain') ? copy.inWords : undefined;
  }

  #notTaken({ n, said: { wrappedType } }: Copy): void {
    if (n !== undefined && wrappedType !== undefined) this.#failed(n, { is: 'not taken', detail: wrappedType });
  }

  /** RFC 7701 §6.1: what is too large to be collected is passed on piece by piece. */
  deliverLarge(copy: LargeCopy, stream: SharedStream): void {
    const { wrappedType, contentType, size } = copy.opened;
    const maximum = this.#abilities?.maxSize ?? Infinity;
    if (!this.#takesCpim || (wrappedType !== undefined && !this.#takes(wrappedType)) || (size ?? 0) > maximum) {
      this.deliver(copy);
      return;
    }
    let wake = (): void => undefined;
    const reader = stream.reader({
      unbroken: this.#abilities?.manners.chunks === false,
      wake: () => {
        wake();
      },
      maximum,
      detached: (why) => {
        if (why === 'too large') this.deliver(copy);
        else if (copy.n !== undefined) this.#miss(copy.n, { is: 'congested' });
      },
    });
    const { messageId: id } = copy.msrp;
    const options = {
      messageId: id,
      contentType,
      outcomes: 'all',
      ...(size === undefined ? {} : { total: size }),
    } as const;
    const sending = this.#session.stream(options, reader);
    if (copy.n !== undefined) this.#through = copy.n;
    if (typeof sending === 'string') {
      reader.close();
      if (copy.n !== undefined) this.#miss(copy.n, { is: sending === 'full' ? 'congested' : 'left' });
      return;
    }
    this.#reading.set(sending, reader);
    wake = () => {
      sending.wake();
    };
  }

  get underWay(): number {
    return this.#session.underWay;
  }

  waits(n: EventNumber): boolean {
    return this.#session.waits((id) => numberOf(id) === n);
  }

  /** From the MSRP session: what was sent has not arrived. */
  outcome(_session: MsrpSession, message: Outgoing, outcome: Outcome): void {
    this.#reading.get(message)?.close();
    this.#reading.delete(message);
    const n = numberOf(message.messageId);
    if (n === undefined || outcome.kind === 'delivered' || outcome.kind === 'aborted') return;
    if (outcome.kind === 'refused') this.#failed(n, { is: 'refused', detail: `${outcome.status} ${outcome.comment}` });
    else this.#miss(n, { is: outcome.kind === 'timeout' ? 'unanswered' : 'left' });
  }

  #failed(n: EventNumber, failure: Failure): void {
    this.#parts.room.fates.failed(n, this.endpoint, failure);
  }

  /** One that it must get when it comes again. */
  #miss(n: EventNumber, failure: Failure): void {
    this.#failed(n, failure);
    if (failure.is === 'congested') this.#parts.onCongestion('left_out');
    if (this.#missed === undefined || n < this.#missed) this.#missed = n;
  }

  /** From the MSRP session. */
  drained(): void {
    this.#congestion.relieved();
  }

  /** From the MSRP session. */
  bound(): void {
    this.#parts.onBound();
  }

  /** From the MSRP session. */
  opening(session: MsrpSession, opening: MessageOpening): Reception {
    const { room, speaker, collected, congestedFor } = this.#parts;
    if (opening.total !== undefined && opening.total <= collected) return 'collect';
    // What comes bare is wrapped when all of it is there.
    const isBare = this.#readBare(opening.contentType) !== undefined;
    const maximum = isBare ? collected : room.rules.maxMessage;
    if ((opening.total ?? 0) > maximum) {
      const refusal = { refused: 'too-large', maximum } as const;
      return { refuse: { status: msrpStatusOf(refusal), comment: reasonOf(refusal) } };
    }
    const sink = new LargePosting({
      streams: room.streams,
      maximum,
      speaker,
      opening,
      sender: session,
      collected,
      patience: congestedFor / 3,
      whenAdmitted: (act) => {
        this.#admission.whenAdmitted(session, act);
      },
      post: (message, body) => {
        this.#admission.whenAdmitted(session, () => {
          this.#post(message, body);
        });
      },
    });
    return { sink };
  }

  /** From the MSRP session. */
  message(session: MsrpSession, message: IncomingMessage): void {
    this.#admission.whenAdmitted(session, () => this.#post(message, message.body));
  }

  /** From the MSRP session. */
  nickname(session: MsrpSession, request: NicknameRequest): void {
    this.#admission.whenAdmitted(session, () => {
      rename(this.#parts.room, this.#parts.speaker, request.nickname, (refusal) => {
        if (refusal === undefined) request.respond(200);
        else request.respond(msrpStatusOf(refusal), reasonOf(refusal));
      });
    });
  }

  #post(message: Incoming, body: Uint8Array): void {
    const posting = { messageId: messageId(message.messageId), ...this.#wrapped(message.contentType, body) };
    this.#parts.room.posts.take(this.#parts.speaker, posting, (verdict) => {
      // Who says something has had all that was said before it.
      if (typeof verdict === 'number' && verdict > (this.#through ?? 0)) this.#through = verdict;
      answer(message, verdict);
    });
  }

  /**
   * Deviation: RFC 7701 §6 has 415 for all that is not CPIM. A family of clients that is known to send nothing else would
   * have no say; From is who it is known to be, as for a text by SIP MESSAGE.
   */
  #wrapped(contentType: string, body: Uint8Array): Pick<Posting, 'contentType' | 'body'> {
    const readBare = this.#readBare(contentType);
    if (readBare === undefined) return { contentType, body };
    const { speaker, room, now } = this.#parts;
    const text = decode(/;\s*charset="?([^\s;"]+)/i.exec(contentType)?.[1], body);
    return { contentType: 'message/cpim', body: wrap(readBare(text), speaker, room, now()) };
  }

  /** How to read a text that comes without a wrapper; undefined for what is none, or should have one. */
  #readBare(contentType: string): ChatManners['readBare'] {
    const read = this.#abilities?.manners.readBare;
    return read !== undefined && /^text\/plain *(?:;|$)/i.test(contentType) ? read : undefined;
  }

  /** From the MSRP session. */
  closed(_session: MsrpSession, reason: CloseReason, detail: string): void {
    this.#congestion.stop();
    this.#parts.onClosed(reason, detail);
  }

  #takes(wrappedType: string): boolean {
    const abilities = this.#abilities;
    if (abilities === undefined) return true;
    const { acceptTypes, acceptWrappedTypes } = abilities;
    // RFC 7701 §5.2 only recommends accept-wrapped-types: where the peer says nothing, nothing is known to be refused.
    if (acceptWrappedTypes.empty) return true;
    return acceptWrappedTypes.accepts(wrappedType) || acceptTypes.accepts(wrappedType);
  }
}

function answer(message: Incoming, verdict: Verdict): void {
  if (typeof verdict === 'object') message.respond(msrpStatusOf(verdict), reasonOf(verdict));
  else message.respond(200);
}
