import {
  Assembler,
  type FileDescription,
  type Incoming,
  type IncomingMessage,
  type MessageOpening,
  type MsrpPath,
  type MsrpSession,
  type Reception,
  type SessionHandlers,
} from '../../msrp/index.ts';
import { FilePosting } from './file-posting.ts';
import { RoomSession, type RoomSessionParts } from './room-session.ts';

/** What the session of a file is made with. */
export interface FileSessionParts extends RoomSessionParts {
  /** As the sender's SDP described it. */
  readonly file: FileDescription;
  /** Milliseconds without a chunk after which the file is given up. */
  readonly chunkTimeout: number;
  /** The file has come, or will not. Comes when either is known first. */
  readonly onOver?: () => void;
  /** The file was refused half-way. */
  readonly onAborted?: () => void;
}

/** The MSRP session by which somebody sends one file to the room (RFC 5547). Nothing is sent to its peer. */
export class FileSession extends RoomSession implements SessionHandlers {
  readonly file: FileDescription;
  readonly #parts: FileSessionParts;
  readonly #assembler: Assembler;
  #taken = false;
  #over = false;
  #aborted = false;

  constructor(parts: FileSessionParts) {
    const assembler = new Assembler({ maxMessages: 1, chunkTimeout: parts.chunkTimeout });
    super({ ...parts, session: { ...parts.session, assembler } });
    this.#parts = parts;
    this.file = parts.file;
    this.#assembler = assembler;
  }

  /** The file has come, or will not. */
  get over(): boolean {
    return this.#over;
  }

  /** The file was refused half-way: its line is to be closed (RFC 5547 §8.4). */
  get aborted(): boolean {
    return this.#aborted;
  }

  /** The peer's side is known. `dial`: it is us who connect (RFC 4145 §4). */
  meet(path: MsrpPath, { dial }: { readonly dial: boolean }): void {
    this.session.setRemotePath(path);
    if (dial && this.session.state === 'expected') this.session.dial();
  }

  /** From the MSRP session. */
  opening(_session: MsrpSession, opening: MessageOpening): Reception {
    if (this.#taken) return { refuse: { status: 413, comment: 'this line was for one file' } };
    const { room, file, now } = this.#parts;
    const sink = new FilePosting({
      ...this.large(opening, room.rules.maxMessage),
      complete: () => {
        this.#taken = true;
        this.#end();
      },
      aborted: () => {
        this.#abort();
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

  #abort(): void {
    if (this.#aborted) return;
    this.#aborted = true;
    this.#end();
    this.#parts.onAborted?.();
  }

  #end(): void {
    if (this.#over) return;
    this.#over = true;
    this.#parts.onOver?.();
  }

  protected post(message: Incoming, body: Uint8Array): void {
    this.take(message, { contentType: 'message/cpim', body }, (verdict) => {
      if (typeof verdict !== 'object') return;
      // It may be sent again, when what stood against it is over.
      this.#taken = false;
      this.#over = false;
    });
  }
}
