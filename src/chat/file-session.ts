import {
  Assembler,
  type FileDescription,
  type Incoming,
  type IncomingMessage,
  type MessageOpening,
  type MsrpEndpoint,
  type MsrpPath,
  type MsrpSession,
  type Reception,
  type SessionHandlers,
  type SessionOptions,
} from '../../msrp/index.ts';
import { messageId } from '../conference/ids.ts';
import { Admission } from './admission.ts';
import { FilePosting } from './file-posting.ts';
import { msrpStatusOf, reasonOf } from './refusals.ts';
import type { ChatRoom } from './room.ts';
import type { Speaker } from './speaker.ts';

/** What the session of a file is made with. */
export interface FileSessionParts {
  readonly endpoint: MsrpEndpoint;
  readonly room: ChatRoom;
  readonly speaker: Speaker;
  /** As the sender's SDP described it. */
  readonly file: FileDescription;
  readonly session: Omit<SessionOptions, 'handlers' | 'remotePath' | 'successReports' | 'assembler'>;
  /** Octets up to which a message is collected; a larger one is passed on as it comes (RFC 7701 §6.1). */
  readonly collected: number;
  /** Milliseconds for which a recipient may read too slowly. */
  readonly congestedFor: number;
  /** Milliseconds without a chunk after which the file is given up. */
  readonly chunkTimeout: number;
  /** The file has come, or will not. Comes when either is known first. */
  readonly onOver?: () => void;
  readonly now: () => number;
}

/** The MSRP session by which somebody sends one file to the room (RFC 5547). Nothing is sent to its peer. */
export class FileSession implements SessionHandlers {
  readonly file: FileDescription;
  readonly #parts: FileSessionParts;
  readonly #session: MsrpSession;
  readonly #assembler: Assembler;
  readonly #admission = new Admission();
  #taken = false;
  #over = false;

  constructor(parts: FileSessionParts) {
    this.#parts = parts;
    this.file = parts.file;
    this.#assembler = new Assembler({ maxMessages: 1, chunkTimeout: parts.chunkTimeout });
    this.#session = parts.endpoint.session({ ...parts.session, assembler: this.#assembler, handlers: this });
  }

  /** What stands in our `a=path`. */
  get localPath(): MsrpPath {
    return this.#session.localPath;
  }

  get remotePath(): MsrpPath | undefined {
    return this.#session.remotePath;
  }

  /** Whether it can still be used. */
  get open(): boolean {
    return this.#session.state !== 'closed';
  }

  /** The file has come, or will not. */
  get over(): boolean {
    return this.#over;
  }

  /** The peer's side is known. `dial`: it is us who connect (RFC 4145 §4). */
  meet(path: MsrpPath, { dial }: { readonly dial: boolean }): void {
    this.#session.setRemotePath(path);
    if (dial && this.#session.state === 'expected') this.#session.dial();
  }

  /** The log has taken the participant into the room: what it sends may be judged. */
  admit(): void {
    this.#admission.admit(this.#session);
  }

  /** Ends the session. A file that is not complete is given up for all. */
  close(detail: string): void {
    this.#session.close(detail);
  }

  /** From the MSRP session. */
  opening(session: MsrpSession, opening: MessageOpening): Reception {
    if (this.#taken) return { refuse: { status: 413, comment: 'this line was for one file' } };
    const { room, speaker, file, collected, congestedFor, now } = this.#parts;
    const sink = new FilePosting({
      streams: room.streams,
      maximum: room.rules.maxMessage,
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
      complete: () => {
        this.#taken = true;
        this.#end();
      },
      file,
      now: now(),
    });
    return { sink };
  }

  /** From the MSRP session. Each message goes to a sink, so that none comes whole. */
  message(_session: MsrpSession, message: IncomingMessage): void {
    message.respond(413);
  }

  /** From the MSRP session. */
  closed(): void {
    this.#assembler.abort('its session is over');
    this.#end();
  }

  #end(): void {
    if (this.#over) return;
    this.#over = true;
    this.#parts.onOver?.();
  }

  #post(message: Incoming, body: Uint8Array): void {
    const posting = { messageId: messageId(message.messageId), contentType: 'message/cpim', body };
    this.#parts.room.posts.take(this.#parts.speaker, posting, (verdict) => {
      if (typeof verdict !== 'object') {
        message.respond(200);
        return;
      }
      // It may be sent again, when what stood against it is over.
      this.#taken = false;
      this.#over = false;
      message.respond(msrpStatusOf(verdict), reasonOf(verdict));
    });
  }
}
