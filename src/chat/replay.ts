import type { Millis } from '../conference/events.ts';
import { type EndpointId, type EventNumber, eventNumber, later, type UserUri } from '../conference/ids.ts';
import { LogReadError } from '../log/room-log.ts';
import { type Aggregation, notificationsIn } from './aggregation.ts';
import type { Copy } from './copy.ts';
import { HeldStreams } from './held-streams.ts';
import { LargeCopy } from './large-copy.ts';
import { type Mark, markOf, type Past } from './past.ts';
import { PastChoice, type PastChoiceParts } from './past-choice.ts';
import type { Recipient } from './recipient.ts';
import type { SharedStream } from './shared-stream.ts';

/** What a replay is made with. */
export interface ReplayParts extends PastChoiceParts {
  readonly past: Past;
  readonly recipient: Recipient;
  /** The newest event when it began. What comes behind is news, whatever is wanted of the past. */
  readonly present: EventNumber;
  /** The newest event when somebody came in who could not hear then, if that is earlier: news begins behind it. */
  readonly cameAt?: EventNumber | undefined;
  /** Somebody who is here has asked for it: his own words are among what he gets. */
  readonly asked: boolean;
  readonly notifications: Pick<Aggregation, 'flush' | 'gather'>;
  /** A line of the room that goes before the messages. `more`: there may have been more than what is given. */
  readonly heading: (count: number, since: Millis, more: boolean) => Copy;
  /** Instead, where all that was missed is not kept any more, or what is asked for is on its way. */
  readonly instead: (why: 'gone' | 'coming') => Copy;
  /** The message of that number, which is past, has been given to the recipient. */
  readonly given: (n: EventNumber) => void;
  /** Of a large message that is news, the recipient has been given no more than the line that stands for it. */
  readonly notWhole: (n: EventNumber) => void;
  /** All that is past has been delivered, or cannot be: what is said from now on goes to the recipient directly. */
  readonly done: (fault?: LogReadError) => void;
}

/** A recipient with more than this waiting, in octets, is given nothing of the past for a while. */
const ENOUGH_WAITING = 64 * 1024;

/** Whether a message of the past finds its place in half of what may wait: nothing is to be left out for it (RFC 7701 §6.4). */
function hasPlace({ backlog, maxBacklog }: Recipient, octets = 0): boolean {
  return backlog === 0 || (backlog < ENOUGH_WAITING && backlog + octets <= maxBacklog / 2);
}

/** How many messages are looked at in one go for those that concern somebody. */
const AT_ONCE = 1000;

/** Most notifications that come while somebody catches up, and most messages during one read; the oldest are left out first. */
const MOST_ASIDE = 1000;

/**
 * Brings a recipient up to date: first the past, then what was said meanwhile, until there is nothing between it and the
 * present. It takes the recipient's place in the switch, and need not keep what is said, since the log does.
 */
export class Replay implements Recipient {
  readonly endpoint: EndpointId;
  readonly user: UserUri;
  readonly #parts: ReplayParts;
  readonly #letGo: () => void;
  #state: 'reading' | 'read' | 'delivering' | 'over' = 'reading';
  /** Chooses of what has been read. */
  #choosing: () => void = () => undefined;
  /** Goes before the first message of the past: only then it is known which of them have not been taken back. */
  #heading: (() => void) | undefined;
  /** To be delivered, oldest first, and how far that is. */
  #ahead: readonly Copy[] = [];
  #at = 0;
  /** What was said while the past was being read: it is among what is read, unless that fails. */
  #meanwhile: Copy[] = [];
  /** Notifications (RFC 5438) that go behind the messages which they may be about. */
  #aside: Copy[] = [];
  /** Large messages that are news. */
  readonly #held = new HeldStreams();
  /** What is given of the past, and the newest of it. */
  readonly #choice: PastChoice;
  #last = eventNumber(0);
  /** The newest message to all when it began. */
  readonly #newestToAll: EventNumber;
  /** What is on its way to who has asked for it, in pieces: another beginning would be taken for one more of them. */
  readonly #coming = new Set<EventNumber>();
  /** The last message that was looked at. */
  #looked: EventNumber | undefined;
  /** The last message that was delivered. */
  #delivered: EventNumber | undefined;

  constructor(parts: ReplayParts) {
    this.#parts = parts;
    this.endpoint = parts.recipient.endpoint;
    this.user = parts.recipient.user;
    this.#letGo = parts.past.use();
    this.#newestToAll = parts.past.newestToAll;
    this.#choice = new PastChoice(parts, (copy) => this.#concerns(copy, parts.asked));
    const begin = (): void => {
      this.#lookBack(this.#newsAfter);
    };
    const { past, after } = parts;
    if (after === undefined) begin();
    else
      this.#take(past.notifications(this.user, after), (missed) => {
        if (this.#state === 'over') return;
        // What waits to go with others may be among the missed ones.
        parts.notifications.flush(this.user);
        const last = missed.at(-1)?.n ?? after;
        this.#aside = [...missed, ...this.#aside.filter(({ n }) => n === undefined || n > last)];
        begin();
      });
  }

  get roomUri(): string {
    return this.#parts.recipient.roomUri;
  }

  get knowsRooms(): boolean {
    return this.#parts.recipient.knowsRooms;
  }

  get takesPrivate(): boolean {
    return this.#parts.recipient.takesPrivate;
  }

  get backlog(): number {
    return this.#parts.recipient.backlog;
  }

  get maxBacklog(): number {
    return this.#parts.recipient.maxBacklog;
  }

  /** It is not known how many those are that it has not come to yet. */
  get underWay(): number {
    return Infinity;
  }

  /** What it has not come to yet is on its way. */
  waits(n: EventNumber): boolean {
    const { asked, present } = this.#parts;
    return n > Math.max(this.#delivered ?? 0, asked ? present : 0) || this.#parts.recipient.waits(n);
  }

  isInPieces(n: EventNumber): boolean {
    return this.#parts.recipient.isInPieces(n);
  }

  /** Whose place it holds. */
  get recipient(): Recipient {
    return this.#parts.recipient;
  }

  /** Whether there is nothing more to do. */
  get over(): boolean {
    return this.#state === 'over';
  }

  /** What is kept comes when its turn has come, and what is neither kept nor the room's own is late by then. */
  deliver(copy: Copy): void {
    const notifications = notificationsIn(copy);
    if (notifications.length > 0) {
      this.#aside.push(...notifications);
      if (this.#aside.length > MOST_ASIDE) this.#aside.splice(0, this.#aside.length - MOST_ASIDE);
    } else if (copy.n === undefined) {
      if (copy.said.endpoint === undefined) this.#parts.recipient.deliver(copy);
    } else if (this.#state === 'reading') {
      this.#meanwhile.push(copy);
      if (this.#meanwhile.length > MOST_ASIDE) this.#meanwhile.shift();
    }
  }

  /**
   * RFC 7701 §6.1: chunks go to those who were there for the first one. Its place is among the rest, which comes first; so
   * it is kept until then, for as long as that makes nobody else wait. After that a line stands for it.
   */
  deliverLarge(copy: LargeCopy, stream: SharedStream): void {
    const { n } = copy;
    if (n === undefined || this.#state === 'over') return;
    this.deliver(copy);
    this.#held.hold(n, stream);
  }

  /** What it has not come to is looked at when its turn comes. */
  takeBack(n: EventNumber): void {
    this.#held.letGo(n);
    this.#meanwhile = this.#meanwhile.filter((copy) => copy.n !== n);
    this.#parts.recipient.takeBack(n);
  }

  #give(copy: Copy): void {
    const { recipient, present, notWhole } = this.#parts;
    const { n } = copy;
    if (!(copy instanceof LargeCopy) || n === undefined || n <= present) {
      recipient.deliver(copy);
      return;
    }
    const stream = this.#held.of(n);
    if (stream === undefined) {
      recipient.deliver(copy);
      notWhole(n);
    } else recipient.deliverLarge(copy, stream);
    this.#held.letGo(n);
  }

  /** Gives up on a recipient that is gone. Idempotent. */
  stop(): void {
    if (this.#state === 'over') return;
    this.#state = 'over';
    this.#letGo();
    this.#held.letGoOfAll();
  }

  /** Delivers up to so many, or chooses first; gives how many it were, or to how many that comes. */
  step(budget: number): number {
    const { recipient, present, given, notifications } = this.#parts;
    if (this.#state === 'read') {
      this.#choosing();
      return CHOICE;
    }
    if (this.#state === 'delivering' && recipient.backlog < ENOUGH_WAITING) {
      this.#heading?.();
      this.#heading = undefined;
    }
    let count = 0;
    while (this.#state === 'delivering' && count < budget && hasPlace(recipient)) {
      const copy = this.#ahead[this.#at];
      if (copy === undefined && this.#aside.length > 0 && (this.#looked ?? 0) >= this.#last) {
        this.#ahead = notifications.gather(this.#aside, recipient);
        this.#aside = [];
        this.#at = 0;
        continue;
      }
      if (copy === undefined) {
        this.#read();
        continue;
      }
      if (!hasPlace(recipient, copy.said.cpim.length)) break;
      this.#at += 1;
      if (this.#isLeftOut(markOf(copy))) {
        if (copy.n !== undefined) this.#held.letGo(copy.n);
        continue;
      }
      this.#give(copy);
      if (notificationsIn(copy).length === 0) {
        this.#delivered = copy.n;
        if (copy.n !== undefined && copy.n <= present) given(copy.n);
      }
      count += 1;
    }
    return count;
  }

  /**
   * Looks back, from that message on, for what is to be given of the past: by steps, since not all of it need find a place
   * in memory at once.
   */
  #lookBack(through: EventNumber): void {
    const { past, after } = this.#parts;
    const range = { most: AT_ONCE, end: 'newest', through, ...(after === undefined ? {} : { after }) } as const;
    this.#takeInTurn(past.read(range), (copies) => {
      const enough = this.#choice.look(copies);
      const oldest = copies[0]?.n;
      if (oldest === undefined) this.#beginWithAll();
      else if (enough) this.#begin(true);
      else this.#lookBack(eventNumber(oldest - 1));
    });
  }

  /** All that is kept was looked at: it may not be all that was missed. */
  #beginWithAll(): void {
    const { past, after, present } = this.#parts;
    const newestToAll = this.#newestToAll;
    if (after === undefined || after >= present) this.#begin(false);
    else if (!this.#choice.empty) this.#take(past.isForgottenBehind(after), (more) => this.#begin(more));
    else if (newestToAll <= after) this.#begin(false);
    else this.#take(past.isForgottenBehind(eventNumber(newestToAll - 1)), (gone) => this.#begin(false, gone));
  }

  /**
   * All that is to be given of the past is known: a line that says so goes before it.
   * @param more there may be more than that
   * @param gone all that was missed is not kept any more
   */
  #begin(more: boolean, gone = false): void {
    if (this.#state === 'over') return;
    const { after, asked, now, recipient, heading, instead } = this.#parts;
    const places = this.#choice.close();
    const [newest] = places;
    const oldest = places.at(-1);
    this.#heading = () => {
      if (asked) for (const { n } of places) if (recipient.isInPieces(n)) this.#coming.add(n);
      const left = places.filter((mark) => !this.#isLeftOut(mark));
      if (gone) recipient.deliver(instead('gone'));
      else if (left.length === 0 && this.#coming.size > 0) recipient.deliver(instead('coming'));
      // Who has asked is answered, also when there is nothing.
      else if (left.length > 0 || asked) recipient.deliver(heading(left.length, left.at(-1)?.at ?? now, more));
    };
    this.#looked = oldest === undefined ? later(this.#newsAfter, after) : eventNumber(oldest.n - 1);
    if (newest !== undefined) this.#last = newest.n;
    this.#state = 'delivering';
  }

  /** Whether a message that was to be given is not. */
  #isLeftOut(mark: Mark): boolean {
    return this.#coming.has(mark.n) || this.#parts.past.isTakenBack(mark);
  }

  /** Looks at what comes next. When there is nothing, the present has been reached. */
  #read(): void {
    this.#state = 'reading';
    const looked = this.#looked === undefined ? {} : { after: this.#looked };
    this.#takeInTurn(this.#parts.past.read({ most: AT_ONCE, end: 'oldest', ...looked }), (copies) => {
      if (copies.length === 0 && this.#aside.length === 0) {
        this.#finish();
        return;
      }
      this.#looked = copies.at(-1)?.n ?? later(this.#last, this.#looked);
      this.#meanwhile = [];
      this.#ahead = copies.filter((copy) => this.#isNext(copy));
      this.#at = 0;
      this.#state = 'delivering';
    });
  }

  /** Many who wait for one read would all choose in one turn. That there is nothing holds only now. */
  #takeInTurn(read: readonly Copy[] | Promise<readonly Copy[]>, take: (copies: readonly Copy[]) => void): void {
    if (!(read instanceof Promise)) {
      take(read);
      return;
    }
    this.#take(read, (copies) => {
      if (this.#state === 'over') return;
      if (copies.length === 0) {
        take(copies);
        return;
      }
      this.#state = 'read';
      this.#choosing = () => {
        this.#state = 'reading';
        take(copies);
      };
    });
  }

  #take<T>(read: Promise<T>, take: (found: T) => void): void {
    read.then(take, (fault: unknown) => {
      if (!(fault instanceof LogReadError)) throw fault;
      this.#finish(fault);
    });
  }

  /** Up to here it is chosen what is given; all that is said later is. */
  get #newsAfter(): EventNumber {
    const { cameAt, present } = this.#parts;
    return cameAt ?? present;
  }

  /** Whether it is delivered when its turn comes: of the past what was chosen, of the news what concerns him. */
  #isNext(copy: Copy): boolean {
    const { n = 0 } = copy;
    return n > this.#newsAfter ? this.#concerns(copy) : this.#choice.isNext(n);
  }

  /** Whether it would have been delivered, had the recipient been there (RFC 7701 §6.1, §6.2), or is wanted as his own. */
  #concerns({ said }: Copy, own = false): boolean {
    if (said.endpoint === this.endpoint && !own) return false;
    if (said.audience.to === 'everyone') return true;
    return this.takesPrivate && (said.audience.user === this.user || said.by === this.user);
  }

  #finish(fault?: LogReadError): void {
    if (this.#state === 'over') return;
    this.#state = 'over';
    this.#letGo();
    this.#parts.done(fault);
    if (fault !== undefined) for (const copy of this.#meanwhile) this.#give(copy);
    this.#held.letGoOfAll();
  }
}

/** To choose of what has been read takes about as long as to deliver so many. */
const CHOICE = 32;
