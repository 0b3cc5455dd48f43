import type { ChatRoom } from '../chat/room.ts';
import { type EventNumber, eventNumber } from '../conference/ids.ts';
import type { Caller } from './caller.ts';

/** How far somebody has surely been given what was for him; undefined when there was none. */
interface Reader {
  readonly position: EventNumber | undefined;
}

/** Whose progress it is, and by what it is made. */
export interface ProgressParts {
  readonly room: Pick<ChatRoom, 'conference' | 'append'>;
  readonly caller: Pick<Caller, 'user'>;
  /** The device, where it names itself. */
  readonly instance: string | undefined;
  /** Its chat session of now. */
  readonly media: { readonly chat: Reader | undefined };
  /** SIP MESSAGE. */
  readonly texts: Reader;
  readonly now: () => number;
}

/** How far a device has come in what its room says, by one call after the other: where the next one goes on. */
export class Progress {
  readonly #parts: ProgressParts;
  /** How far chat sessions of this call that are gone have brought it. */
  #left: EventNumber | undefined;
  /** The newest number when it began to be told what is said. */
  #heardFrom: EventNumber | undefined;

  constructor(parts: ProgressParts) {
    this.#parts = parts;
  }

  /** It is told what is said from now on. */
  begin(): void {
    this.#heardFrom ??= eventNumber(this.#parts.room.conference.last);
  }

  /** Whether it has been told in this call what is said. */
  get begun(): boolean {
    return this.#heardFrom !== undefined;
  }

  /** A chat session of this call is gone. */
  left({ position }: Reader): void {
    this.#left = position ?? this.#left;
  }

  /** The last message that the device has had: in this call, or when it was here last; what was said before it came is past. */
  get reached(): EventNumber | undefined {
    return this.#here ?? this.#before ?? this.#heardFrom;
  }

  /** Lets the room remember it. */
  keep(): void {
    const { room, caller, instance, now } = this.#parts;
    if (instance === undefined) return;
    // One to whom nothing was said has missed nothing until it went, and what comes from now on.
    const through = this.#here ?? (this.#before === undefined ? this.#heardFrom : undefined);
    if (through === undefined) return;
    room.append({ type: 'caughtUp', at: now(), user: caller.user, instance, through });
  }

  /** How far this call has brought it, by whatever way. */
  get #here(): EventNumber | undefined {
    const chat = this.#parts.media.chat?.position ?? this.#left;
    const { position } = this.#parts.texts;
    return chat === undefined || (position !== undefined && position > chat) ? position : chat;
  }

  /** How far it came when it was here last. */
  get #before(): EventNumber | undefined {
    const { room, caller, instance } = this.#parts;
    return instance === undefined ? undefined : room.conference.position(caller.user, instance);
  }
}
