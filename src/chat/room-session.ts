import type {
  Incoming,
  IncomingMessage,
  MessageOpening,
  MsrpEndpoint,
  MsrpPath,
  MsrpSession,
  SessionHandlers,
  SessionOptions,
} from '../../msrp/index.ts';
import { messageId } from '../conference/ids.ts';
import type { LargePostingParts } from './large-posting.ts';
import type { Posting } from './post.ts';
import type { Verdict } from './posts.ts';
import { msrpStatusOf, reasonOf } from './refusals.ts';
import type { ChatRoom } from './room.ts';
import type { Speaker } from './speaker.ts';

/** What a session of a room is made with. */
export interface RoomSessionParts {
  readonly endpoint: MsrpEndpoint;
  readonly room: ChatRoom;
  readonly speaker: Speaker;
  readonly session: Omit<SessionOptions, 'handlers' | 'remotePath' | 'successReports' | 'fullAfter'>;
  /** Octets up to which a message is collected; a larger one is passed on as it comes (RFC 7701 §6.1). */
  readonly collected: number;
  /** Milliseconds for which a recipient may read too slowly (RFC 7701 §6.4). */
  readonly congestedFor: number;
  readonly now: () => number;
}

/**
 * An MSRP session by which somebody sends to a room. What comes before the log has taken him into the room waits until it
 * has, and is not read on meanwhile.
 */
export abstract class RoomSession implements SessionHandlers {
  protected readonly session: MsrpSession;
  readonly #parts: RoomSessionParts;
  /** What waits for its sender to be in; undefined once he is. */
  #early: (() => void)[] | undefined = [];

  constructor(parts: RoomSessionParts) {
    this.#parts = parts;
    // Nobody reads too slowly who has been given no time to read.
    const fullAfter = parts.congestedFor / 30;
    this.session = parts.endpoint.session({ ...parts.session, fullAfter, handlers: this });
  }

  /** What stands in our `a=path`. */
  get localPath(): MsrpPath {
    return this.session.localPath;
  }

  /** What the peer's `a=path` said last. */
  get remotePath(): MsrpPath | undefined {
    return this.session.remotePath;
  }

  /** Whether it can still be used. */
  get open(): boolean {
    return this.session.state !== 'closed';
  }

  /** The log has taken the participant into the room: what it sends may be judged. */
  admit(): void {
    const early = this.#early;
    if (early === undefined) return;
    this.#early = undefined;
    for (const act of early) act();
    if (early.length > 0) this.session.resume();
  }

  /** Ends the session. What is not complete is given up, and nothing more is given. */
  close(detail: string): void {
    this.session.close(detail);
  }

  abstract message(session: MsrpSession, message: IncomingMessage): void;

  /** A whole message of an admitted sender. */
  protected abstract post(message: Incoming, body: Uint8Array): void;

  /** Acts now, or when the sender is in. */
  protected whenAdmitted(act: () => void): void {
    if (this.#early === undefined) {
      act();
      return;
    }
    this.#early.push(act);
    // Only what has been read already can still come.
    this.session.pause();
  }

  /** What receives a message that may be too large to be collected. */
  protected large(opening: MessageOpening, maximum: number): LargePostingParts {
    const { room, speaker, collected, congestedFor } = this.#parts;
    return {
      streams: room.streams,
      maximum,
      speaker,
      opening,
      sender: this.session,
      collected,
      patience: congestedFor / 3,
      whenAdmitted: (act) => {
        this.whenAdmitted(act);
      },
      post: (message, body) => {
        this.whenAdmitted(() => {
          this.post(message, body);
        });
      },
    };
  }

  /** Has the room judge it, and answers it accordingly; `judged` hears of it first. */
  protected take(message: Incoming, posting: Omit<Posting, 'messageId'>, judged: (verdict: Verdict) => void): void {
    const { room, speaker } = this.#parts;
    const { contentType, body, toNobody } = posting;
    // Written out: on V8 what is copied into another object has a place apart in it, which each reader has to look up.
    const whole = { messageId: messageId(message.messageId), contentType, body, toNobody };
    room.posts.take(speaker, whole, (verdict) => {
      judged(verdict);
      if (typeof verdict === 'object') message.respond(msrpStatusOf(verdict), reasonOf(verdict));
      else message.respond(200);
    });
  }
}
