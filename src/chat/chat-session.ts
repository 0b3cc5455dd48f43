import {
  AGGREGATE_MEDIA_TYPE,
  ISCOMPOSING_MEDIA_TYPE,
  type CloseReason,
  type Fingerprint,
  type Incoming,
  type IncomingMessage,
  type MessageOpening,
  type MsrpPath,
  type MsrpSession,
  type NicknameRequest,
  type Outcome,
  type Outgoing,
  type Reception,
  type Report,
  type SessionHandlers,
} from '../../msrp/index.ts';
import { type EndpointId, type EventNumber, eventNumber, type UserUri } from '../conference/ids.ts';
import {
  type ChatAbilities,
  formOf,
  lossOf,
  obstacleTo,
  readerOfBare,
  reads,
  takes,
  takesPrivate,
  tooLarge,
  UNMET,
} from './abilities.ts';
import { Aggregate } from './aggregation.ts';
import { decode, wrap } from './bare-text.ts';
import { Congestion, type CongestionStep } from './congestion.ts';
import { type Copy, numberOf } from './copy.ts';
import type { Failure } from './fates.ts';
import { LargeCopy } from './large-copy.ts';
import { LargePosting } from './large-posting.ts';
import type { Posting } from './post.ts';
import type { Recipient } from './recipient.ts';
import { msrpStatusOf, reasonOf } from './refusals.ts';
import { rename } from './renaming.ts';
import { RoomSession, type RoomSessionParts } from './room-session.ts';
import type { Detached, Reader, SharedStream } from './shared-stream.ts';

/** A large message on its way to the peer. */
interface Passing {
  readonly copy: LargeCopy;
  readonly reader: Reader;
}

const SENT_TOO_SLOWLY = 'came too slowly for a client that takes no chunks';
const TOO_MANY = 'too many large ones at once';

/** What a chat session is made with. */
export interface ChatSessionParts extends RoomSessionParts {
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
export class ChatSession extends RoomSession implements Recipient, SessionHandlers {
  readonly endpoint: EndpointId;
  readonly user: UserUri;
  readonly roomUri: string;
  readonly #parts: ChatSessionParts;
  readonly #congestion: Congestion;
  /** Large messages on their way to the peer. */
  readonly #passing = new Map<Outgoing, Passing>();
  #peer = UNMET;
  /** The last kept message that was given to the session, and the first of those that it lost. */
  #through: EventNumber | undefined;
  #missed: EventNumber | undefined;

  constructor(parts: ChatSessionParts) {
    super(parts);
    this.#parts = parts;
    this.endpoint = parts.speaker.endpoint;
    this.user = parts.speaker.user;
    this.roomUri = parts.speaker.roomUri;
    const { room } = parts;
    this.#congestion = new Congestion({
      session: this.session,
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

  /** Whether a connection carries it. */
  get isBound(): boolean {
    return this.session.state === 'bound';
  }

  get backlog(): number {
    return this.session.queuedBytes;
  }

  get maxBacklog(): number {
    return this.session.maxQueuedBytes;
  }

  /** The last message up to which the peer has surely had all that was for it; undefined when there was none. */
  get position(): EventNumber | undefined {
    return this.#missed === undefined ? this.#through : eventNumber(this.#missed - 1);
  }

  /** As `position`, without what is still on its way: a peer that is gone answers to nothing any more. */
  get answered(): EventNumber | undefined {
    let first = Infinity;
    this.session.waits((id) => {
      first = Math.min(first, numberOf(id) ?? Infinity);
      return false;
    });
    const { position } = this;
    return position === undefined || position < first ? position : eventNumber(first - 1);
  }

  get knowsRooms(): boolean {
    return this.#peer.chatroom;
  }

  get takesPrivate(): boolean {
    return takesPrivate(this.#peer, this.#parts.speaker);
  }

  /** The peer's side has become known by its offer or answer. */
  meet(path: MsrpPath, abilities: ChatAbilities): void {
    this.#peer = abilities;
    this.session.setRemotePath(path, abilities.manners);
  }

  /** The certificates that it announces have become known by its answer (RFC 8122 §6.2). */
  vouch(fingerprints: readonly Fingerprint[]): void {
    this.session.setFingerprints(fingerprints);
  }

  /** Connects to the peer, when it is us who connect (RFC 4145 §4). */
  dial(): void {
    this.session.dial();
  }

  /**
   * RFC 7701 §6.1: not to be sent where the wrapped type is known not to be acceptable; it is told in words there, so
   * that nobody misses that something was said.
   */
  deliver(copy: Copy): void {
    // Between its chunks the line that stands for it, which has the same Message-ID, would be taken for a part of it.
    if (this.#isPassing(copy)) return;
    if (copy instanceof Aggregate && !takes(this.#peer, AGGREGATE_MEDIA_TYPE)) {
      for (const notification of copy.apart) this.deliver(notification);
      return;
    }
    const { wrappedType } = copy.said;
    const readable = reads(this.#peer, wrappedType);
    const form = formOf(copy, readable, this.#peer, this.#parts.room);
    if (form?.is !== 'whole' && copy.n !== undefined && !(copy instanceof LargeCopy)) {
      const loss = lossOf(copy, form, readable, this.#peer);
      if (loss !== undefined) this.#failed(copy.n, loss);
    }
    if (form === undefined) return;
    // First, since a message that is left out at once is missing from then on.
    // Notifications of before come behind what was said since.
    if (copy.through !== undefined && copy.through > (this.#through ?? 0)) this.#through = copy.through;
    const queued = this.#congestion.send(form.message, wrappedType === ISCOMPOSING_MEDIA_TYPE);
    if (copy.n !== undefined && queued !== 'queued') this.#miss(copy.n, { is: 'left' });
    if (copy instanceof LargeCopy) this.#parts.room.streams.noteTold(copy, this.endpoint);
  }

  /** Whether it is large, and some of its octets are on their way to the peer. */
  #isPassing({ n }: Copy): boolean {
    if (n === undefined || this.#passing.size === 0) return false;
    return [...this.#passing.values()].some(({ copy }) => copy.n === n);
  }

  #notTaken({ n }: Copy, detail: string): void {
    if (n !== undefined) this.#failed(n, { is: 'not taken', detail });
  }

  /** RFC 7701 §6.1: what is too large to be collected is passed on piece by piece. */
  deliverLarge(copy: LargeCopy, stream: SharedStream): void {
    const { contentType, size } = copy.opened;
    const { maxSize: maximum = Infinity, manners } = this.#peer;
    const obstacle = obstacleTo(copy.opened, this.#peer);
    if (obstacle !== undefined) {
      this.#notTaken(copy, obstacle);
      this.deliver(copy);
      return;
    }
    let wake = (): void => undefined;
    const detached = (why: Detached): void => {
      if (why !== 'too slow') return this.#notTaken(copy, why === 'too large' ? tooLarge(maximum) : SENT_TOO_SLOWLY);
      this.#parts.onCongestion('left_out');
      if (copy.n !== undefined) this.#failed(copy.n, { is: 'congested' });
      this.#congestion.leaveStream();
    };
    const holdsUp = (): boolean => this.session.queuedBytes > 0 || this.#passing.size > 1;
    const unbroken = manners.chunks === false ? { holdsUp } : {};
    const reader = stream.reader({ ...unbroken, wake: () => wake(), maximum, detached });
    const { messageId: id } = copy.msrp;
    const options = {
      messageId: id,
      contentType,
      outcomes: 'all',
      ...(size === undefined ? {} : { total: size }),
    } as const;
    const sending = this.session.stream(options, reader);
    if (copy.n !== undefined) this.#through = copy.n;
    if (typeof sending === 'string') {
      reader.close();
      // They wait for their senders: where the peer is too slow, each of them finds out by itself.
      if (sending === 'full') {
        this.#notTaken(copy, TOO_MANY);
        this.deliver(copy);
      } else if (copy.n !== undefined) this.#miss(copy.n, { is: 'left' });
      return;
    }
    this.#passing.set(sending, { copy, reader });
    wake = () => {
      sending.wake();
    };
  }

  get underWay(): number {
    return this.session.underWay;
  }

  waits(n: EventNumber): boolean {
    return this.session.waits((id) => numberOf(id) === n);
  }

  isInPieces(n: EventNumber): boolean {
    return this.session.isInPieces((id) => numberOf(id) === n);
  }

  goesOnAfter(n: EventNumber): void {
    this.#through = n;
    this.#missed = undefined;
  }

  takeBack(n: EventNumber): void {
    const isIt = ({ messageId }: { readonly messageId: string }): boolean => numberOf(messageId) === n;
    const waiting = this.session.thin(0, isIt);
    // Of what has gone out to its end only the answer is still to come.
    const passing = [...this.#passing].filter(([message]) => isIt(message) && this.session.cancel(message));
    for (const [message, { reader }] of passing) {
      reader.close();
      this.#passing.delete(message);
    }
    if (waiting.length > 0 || passing.length > 0) this.#failed(n, { is: 'taken back' });
  }

  /** From the MSRP session: what was sent has not arrived. */
  outcome(_session: MsrpSession, message: Outgoing, outcome: Outcome): void {
    const passing = this.#passing.get(message);
    const n = numberOf(message.messageId);
    if (n === undefined) return;
    let isToldInWords = false;
    if (passing !== undefined) {
      passing.reader.close();
      this.#passing.delete(message);
      // Only now: before its end the line, which has the same Message-ID, would be taken for a part of it.
      isToldInWords = this.open && outcome.kind !== 'refused' && passing.reader.hasMissed;
      if (isToldInWords) this.deliver(passing.copy);
    }
    if (outcome.kind === 'delivered' || outcome.kind === 'aborted') return;
    if (outcome.kind === 'refused')
      return this.#failed(n, { is: 'refused', detail: `${outcome.status} ${outcome.comment}` });
    const failure: Failure = { is: outcome.kind === 'timeout' ? 'unanswered' : 'left' };
    if (isToldInWords) this.#failed(n, failure);
    else this.#miss(n, failure);
  }

  /** From the MSRP session. RFC 4975 §7.3.2: a report of failure counts like an answer with that code, also after a 200. */
  report(_session: MsrpSession, { messageId, status }: Report): void {
    const n = numberOf(messageId);
    if (n === undefined || n > (this.#through ?? 0) || status.namespace !== '000' || status.code < 300) return;
    this.#failed(n, { is: 'refused', detail: `${status.code} ${status.comment}` });
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
  opening(_session: MsrpSession, opening: MessageOpening): Reception {
    const { room, collected } = this.#parts;
    if (opening.total !== undefined && opening.total <= collected) return 'collect';
    // What comes bare is wrapped when all of it is there.
    const isBare = readerOfBare(this.#peer, opening.contentType) !== undefined;
    const maximum = isBare ? collected : room.rules.maxMessage;
    if ((opening.total ?? 0) > maximum) {
      const refusal = { refused: 'too-large', maximum } as const;
      return { refuse: { status: msrpStatusOf(refusal), comment: reasonOf(refusal) } };
    }
    return { sink: new LargePosting(this.large(opening, maximum)) };
  }

  /** From the MSRP session. */
  message(_session: MsrpSession, message: IncomingMessage): void {
    this.whenAdmitted(() => this.post(message, message.body));
  }

  /** From the MSRP session. */
  nickname(_session: MsrpSession, request: NicknameRequest): void {
    this.whenAdmitted(() => {
      rename(this.#parts.room, this.#parts.speaker, request.nickname, (refusal) => {
        if (refusal === undefined) request.respond(200);
        else request.respond(msrpStatusOf(refusal), reasonOf(refusal));
      });
    });
  }

  protected post(message: Incoming, body: Uint8Array): void {
    this.take(message, this.#wrapped(message.contentType, body), (verdict) => {
      // Who says something has had all that was said before it, unless his line is on hold or he is still catching up.
      const hears = this.#parts.room.arrivals.isUpToDate(this);
      if (hears && typeof verdict === 'number' && verdict > (this.#through ?? 0)) this.#through = verdict;
    });
  }

  /**
   * Deviation: RFC 7701 §6 has 415 for all that is not CPIM. A family of clients that is known to send nothing else would
   * have no say; From is who it is known to be, as for a text by SIP MESSAGE.
   */
  #wrapped(contentType: string, body: Uint8Array): Omit<Posting, 'messageId'> {
    const readBare = readerOfBare(this.#peer, contentType);
    if (readBare === undefined) return { contentType, body };
    const { speaker, room, now } = this.#parts;
    const text = decode(/;\s*charset="?([^\s;"]+)/i.exec(contentType)?.[1], body);
    return wrap(readBare(text), speaker, room, now());
  }

  /** From the MSRP session. */
  closed(_session: MsrpSession, reason: CloseReason, detail: string): void {
    this.#congestion.stop();
    this.#parts.onClosed(reason, detail);
  }
}
