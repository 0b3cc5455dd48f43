import type { ChatRoom } from '../chat/room.ts';
import { type EventNumber, eventNumber, later } from '../conference/ids.ts';
import type { Caller } from './caller.ts';

/** How far somebody has been given what was for him; undefined when there was none. */
interface Reader {
  readonly position: EventNumber | undefined;
  /** The same without what is still on its way to him. */
  readonly answered: EventNumber | undefined;
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
  /** Other calls of the same device in the room that are not over, as far as is known: it may be back after it was lost. */
  readonly others: () => Iterable<Progress>;
  readonly now: () => number;
}

/** How far a device has come in what its room says, by one call after the other: where the next one goes on. */
export class Progress {
  readonly #parts: ProgressParts;
  /** How far what is gone of this call has brought it. */
  #left: EventNumber | undefined;
  /** The newest number when it began to be told what is said. */
  #heardFrom: EventNumber | undefined;
  /** The newest number when it came in, where it could not be told then what is said. */
  #cameAt: EventNumber | undefined;
  /** It had never been here before that. */
  #isNew = false;
  /** The newest number when a device that was new was there for the first time, though it could not be told what is said. */
  #thereSince: EventNumber | undefined;

  constructor(parts: ProgressParts) {
    this.#parts = parts;
  }

  /** It has connected, and the log has not kept yet that it is in: it may be gone before that, and has been here all the same. */
  connected(): void {
    this.#isThereSince(eventNumber(this.#parts.room.conference.last));
  }

  /** It is told what is said from now on. The room remembers who is new at once: nobody says goodbye when the service is killed. */
  begin(): void {
    if (this.#heardFrom !== undefined) return;
    this.#isNew = this.#before === undefined;
    this.#heardFrom = this.#cameAt ?? eventNumber(this.#parts.room.conference.last);
    if (this.#isNew) this.#remember(this.#heardFrom);
  }

  /**
   * It is in the room, and cannot be told now what is said: that is for it all the same, when it can. Who is never heard of on
   * a line that was `expected` is a newcomer when he calls again; who has it on hold has been here.
   */
  wait(line: 'expected' | 'on hold'): void {
    if (this.#heardFrom !== undefined) return;
    this.#cameAt ??= eventNumber(this.#parts.room.conference.last);
    if (line === 'on hold') this.#isThereSince(this.#cameAt);
  }

  #isThereSince(n: EventNumber): void {
    if (this.#before === undefined) this.#thereSince ??= n;
  }

  /** Where a device that is new began to wait, if it still does. */
  get cameAt(): EventNumber | undefined {
    return this.begun || this.#before !== undefined ? undefined : this.#cameAt;
  }

  /** Whether it has been told in this call what is said. */
  get begun(): boolean {
    return this.#heardFrom !== undefined;
  }

  /** A chat session of this call is gone, or its texts by SIP MESSAGE end, since it has one. */
  left({ position }: Pick<Reader, 'position'>): void {
    this.#left = later(this.#left, position);
  }

  /** The last message that the device has had: in this call, or when it was here last; what was said before it came is past. */
  get reached(): EventNumber | undefined {
    return this.#here ?? this.#before ?? this.#heardFrom;
  }

  /** The last message that has surely arrived in this call. */
  get arrived(): EventNumber | undefined {
    const { media, texts } = this.#parts;
    return later(media.chat?.answered ?? this.#left, texts.answered) ?? this.#nothingMissed;
  }

  /** Lets the room remember it. */
  keep(): void {
    const through = this.#here ?? this.#nothingMissed;
    if (through !== undefined) this.#remember(through);
  }

  /** The device may have come further by another call meanwhile. */
  #remember(through: EventNumber): void {
    const { room, caller, instance, now } = this.#parts;
    if (instance === undefined || through <= (room.conference.position(caller.user, instance) ?? -1)) return;
    room.append({ type: 'caughtUp', at: now(), user: caller.user, instance, through });
  }

  /** One to whom nothing was said has missed nothing until it went, and what comes from now on. */
  get #nothingMissed(): EventNumber | undefined {
    if (!this.begun) return this.#thereSince;
    return this.#isNew ? this.#heardFrom : undefined;
  }

  /** How far this call has brought it, by whatever way. */
  get #here(): EventNumber | undefined {
    const { media, texts } = this.#parts;
    return later(media.chat?.position ?? this.#left, texts.position);
  }

  /** How far it came when it was here last, or has come by a call that is not known to be over. */
  get #before(): EventNumber | undefined {
    const { room, caller, instance, others } = this.#parts;
    if (instance === undefined) return undefined;
    const kept = room.conference.position(caller.user, instance);
    return [...others()].reduce((most, { arrived }) => later(most, arrived), kept);
  }
}
