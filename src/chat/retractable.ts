import type { Retracted, Said } from '../conference/events.ts';
import type { EventNumber, MessageId, UserUri } from '../conference/ids.ts';
import { isIdOf } from './copy.ts';

/** A message that can be taken back. */
export interface Meant {
  readonly author: UserUri;
  readonly messageId: MessageId;
}

interface Entry extends Pick<Said, 'at' | 'by' | 'messageId' | 'imdnId'> {
  readonly n: EventNumber;
}

/** The newest messages to everybody that were not taken back, so that one of them can be meant. */
export class Retractable {
  readonly #limit: number;
  /** Oldest first. */
  #entries: Entry[] = [];

  /** @param limit messages remembered; the oldest is forgotten first */
  constructor(limit = 1000) {
    this.#limit = limit;
  }

  /**
   * Notes a message, as soon as it has its number: its author may mean it before it is kept. What is said to one alone
   * others do not know of.
   */
  note(n: EventNumber, { at, by, messageId, imdnId, audience }: Said): void {
    if (audience.to !== 'everyone' || n <= (this.#entries.at(-1)?.n ?? -1)) return;
    this.#entries.push(imdnId === undefined ? { n, at, by, messageId } : { n, at, by, messageId, imdnId });
    // Seldom and many at once: each time would move them all.
    if (this.#entries.length >= 2 * this.#limit) this.#entries = this.#entries.slice(-this.#limit);
  }

  /** The message of that number could not be kept after all. */
  unsaid(n: EventNumber): void {
    this.#entries = this.#entries.filter((entry) => entry.n !== n);
  }

  /** A message was taken back; gives its number, or the numbers of all that its author has said under that id. */
  forget({ author, messageId }: Retracted): readonly EventNumber[] {
    const gone = this.#entries.filter((entry) => entry.by === author && entry.messageId === messageId);
    if (gone.length > 0) this.#entries = this.#entries.filter((entry) => !gone.includes(entry));
    return gone.map(({ n }) => n);
  }

  /** The last message of somebody, or the one so many before it, 1 being the last. */
  last(author: UserUri, nth: number): Meant | undefined {
    const own = this.#recent().filter(({ by }) => by === author);
    return meant(own.at(-nth));
  }

  /**
   * The message with an id: its Message-ID as its author has given it or as the room sends it, or its IMDN Message-ID
   * (RFC 5438 §6.3). Of several, the newest of `preferred`, else the newest.
   */
  find(id: string, preferred: UserUri | undefined): Meant | undefined {
    const found = this.#recent().filter(
      (entry) => entry.messageId === id || entry.imdnId === id || isIdOf(id, entry.n, entry),
    );
    return meant(found.findLast(({ by }) => by === preferred) ?? found.at(-1));
  }

  #recent(): readonly Entry[] {
    return this.#entries.slice(-this.#limit);
  }
}

function meant(entry: Entry | undefined): Meant | undefined {
  return entry === undefined ? undefined : { author: entry.by, messageId: entry.messageId };
}
