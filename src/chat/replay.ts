import type { Millis } from '../conference/events.ts';
import { type EndpointId, type EventNumber, eventNumber, type UserUri } from '../conference/ids.ts';
import { LogReadError, MAX_READ } from '../log/room-log.ts';
import { type Aggregation, notificationsIn } from './aggregation.ts';
import type { Copy } from './copy.ts';
import { LargeCopy } from './large-copy.ts';
import { type Mark, markOf, type Past } from './past.ts';
import type { PastWish } from './past-wish.ts';
import type { Recipient } from './recipient.ts';
import type { Reader, SharedStream } from './shared-stream.ts';

/** How much of its past a room gives. */
export interface HistoryPolicy {
  /** Messages for somebody who comes in. */
  readonly messages: number;
  /** How old they may be, in milliseconds; undefined: of any age. */
  readonly within?: Millis;
  /** Messages for a device that has been here before: the newest of those it has missed. */
  readonly missed: number;
}

/** What a replay is made with. */
export interface ReplayParts {
  readonly past: Past;
  readonly recipient: Recipient;
  readonly policy: HistoryPolicy;
  readonly wish: PastWish;
  /** The device has had everything up to here; undefined for one that is new, or has asked. */
  readonly after: EventNumber | undefined;
  /** The newest event when it began. What comes behind is news, whatever is wanted of the past. */
  readonly present: EventNumber;
  /** Somebody who is here has asked for it: his own words are among what he gets. */
  readonly asked: boolean;
  readonly now: Millis;
  readonly notifications: Pick<Aggregation, 'flush' | 'gather'>;
  /** A line of the room that goes before the messages. `more`: there may have been more than what is given. */
  readonly heading: (count: number, since: Millis, more: boolean) => Copy;
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
const LOOKED_AT = 1000;

/** Most notifications that come while somebody catches up, and most messages during one read; the oldest are left out first. */
const MOST_ASIDE = 1000;

/** Most large messages that are kept from their first octet for somebody who catches up; the oldest are let go first. */
const MOST_HELD = 4;

/** A large message that began while its recipient was catching up. */
interface Held {
  readonly stream: SharedStream;
  /** Stands at its first octet. */
  readonly place: Reader;
}

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
  readonly #held = new Map<EventNumber, Held>();
  /** What is wanted of the past, newest first, and how many messages were looked at for it. */
  #wanted: Mark[] = [];
  #lookedBack = 0;
  /** What is still to be given of the past, newest first, and the newest of it all. */
  #chosen: Mark[] = [];
  #last = eventNumber(0);
  /** The last message that was looked at. */
  #looked: EventNumber | undefined;
  /** The last message that was delivered. */
  #delivered: EventNumber | undefined;

  constructor(parts: ReplayParts) {
    this.#parts = parts;
    this.endpoint = parts.recipient.endpoint;
    this.user = parts.recipient.user;
    this.#letGo = parts.past.use();
    const begin = (): void => {
      this.#lookBack(parts.present);
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
    const letGo = (): void => this.#letGoOf(n);
    const place = stream.reader({ unbroken: false, brief: true, maximum: Infinity, wake: ignore, detached: letGo });
    this.#held.set(n, { stream, place });
    const [oldest] = this.#held.keys();
    if (this.#held.size > MOST_HELD && oldest !== undefined) this.#letGoOf(oldest);
  }

  /** What it has not come to is looked at when its turn comes. */
  takeBack(n: EventNumber): void {
    this.#letGoOf(n);
    this.#meanwhile = this.#meanwhile.filter((copy) => copy.n !== n);
    this.#parts.recipient.takeBack(n);
  }

  #letGoOf(n: EventNumber): void {
    this.#held.get(n)?.place.close();
    this.#held.delete(n);
  }

  #letGoOfAll(): void {
    for (const n of [...this.#held.keys()]) this.#letGoOf(n);
  }

  #give(copy: Copy): void {
    const { recipient, present, notWhole } = this.#parts;
    const { n } = copy;
    if (!(copy instanceof LargeCopy) || n === undefined || n <= present) {
      recipient.deliver(copy);
      return;
    }
    const held = this.#held.get(n);
    if (held === undefined) {
      recipient.deliver(copy);
      notWhole(n);
    } else recipient.deliverLarge(copy, held.stream);
    this.#letGoOf(n);
  }

  /** Gives up on a recipient that is gone. Idempotent. */
  stop(): void {
    if (this.#state === 'over') return;
    this.#state = 'over';
    this.#letGo();
    this.#letGoOfAll();
  }

  /** Delivers up to so many, or chooses first; gives how many it were, or to how many that comes. */
  step(budget: number): number {
    const { past, recipient, present, given, notifications } = this.#parts;
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
      if (past.isTakenBack(markOf(copy))) {
        if (copy.n !== undefined) this.#letGoOf(copy.n);
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
    const range = { most: LOOKED_AT, end: 'newest', through, ...(after === undefined ? {} : { after }) } as const;
    this.#takeInTurn(past.read(range), (copies) => {
      for (const copy of copies.toReversed()) if (this.#isWanted(copy)) this.#wanted.push(markOf(copy));
      this.#lookedBack += copies.length;
      const oldest = copies[0]?.n;
      const enough = this.#wanted.length > this.#most || this.#lookedBack >= this.#farthest;
      if (oldest === undefined) this.#beginWithAll();
      else if (enough) this.#begin(true);
      else this.#lookBack(eventNumber(oldest - 1));
    });
  }

  /** All that is kept was looked at: it may not be all that was missed. */
  #beginWithAll(): void {
    const { past, after, present } = this.#parts;
    if (after === undefined || after >= present || this.#wanted.length === 0) this.#begin(false);
    else this.#take(past.isForgottenBehind(after), (more) => this.#begin(more));
  }

  /** Most messages of the past that are given. */
  get #most(): number {
    const { policy, wish, after } = this.#parts;
    return Math.min(after === undefined ? policy.messages : policy.missed, wish.messages ?? Infinity);
  }

  /** How many messages are looked at for those. */
  get #farthest(): number {
    const { policy, after } = this.#parts;
    return after === undefined ? Math.max(LOOKED_AT, policy.messages) : MAX_READ;
  }

  /**
   * All that is to be given of the past is known: a line that says so goes before it.
   * @param more there may be more than that
   */
  #begin(more: boolean): void {
    const { past, after, asked, present, now, recipient, heading } = this.#parts;
    const places = this.#wanted.slice(0, this.#most);
    const [newest] = places;
    const oldest = places.at(-1);
    this.#wanted = [];
    this.#heading = () => {
      const left = places.filter((mark) => !past.isTakenBack(mark));
      // Who has asked is answered, also when there is nothing.
      if (left.length > 0 || asked) recipient.deliver(heading(left.length, left.at(-1)?.at ?? now, more));
    };
    this.#looked = oldest === undefined ? later(present, after) : eventNumber(oldest.n - 1);
    if (newest !== undefined) this.#last = newest.n;
    this.#chosen = [...places];
    this.#state = 'delivering';
  }

  /** Looks at what comes next. When there is nothing, the present has been reached. */
  #read(): void {
    this.#state = 'reading';
    const looked = this.#looked === undefined ? {} : { after: this.#looked };
    this.#takeInTurn(this.#parts.past.read({ most: LOOKED_AT, end: 'oldest', ...looked }), (copies) => {
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

  /** Of the past: whether the room gives it, and the peer wants it. */
  #isWanted(copy: Copy): boolean {
    const { past, policy, wish, after, asked, now } = this.#parts;
    const within = Math.min(after === undefined ? (policy.within ?? Infinity) : Infinity, wish.within ?? Infinity);
    return this.#concerns(copy, asked) && now - copy.said.at <= within && !past.isTakenBack(markOf(copy));
  }

  /** Whether it is delivered when its turn comes: of the past what was chosen, of the news what concerns him. */
  #isNext(copy: Copy): boolean {
    const { n = 0 } = copy;
    if (n > this.#parts.present) return this.#concerns(copy);
    while ((this.#chosen.at(-1)?.n ?? Infinity) < n) this.#chosen.pop();
    if (this.#chosen.at(-1)?.n !== n) return false;
    this.#chosen.pop();
    return true;
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
    this.#letGoOfAll();
  }
}

function ignore(): void {
  // Nothing is read at that place.
}

const later = (one: EventNumber, other: EventNumber | undefined): EventNumber =>
  other === undefined || other < one ? one : other;

/** Messages of the past that are delivered in one turn of the event loop, over all who catch up. */
const PER_TURN = 64;

/** Of them to one at a time, so that they leave in few writes: on Node these are the cost. */
const AT_A_TIME = 32;

/** To choose of what has been read takes about as long as to deliver so many. */
const CHOICE = 32;

/** How long to wait, in milliseconds, when nobody could take anything. */
const PAUSE = 10;

/** Runs all replays side by side, a few messages at a time, so that what is said now need not wait for what was. */
export class ReplayPump {
  readonly #replays = new Set<Replay>();
  #running = false;

  /** Runs a replay until it is over. */
  add(replay: Replay): void {
    this.#replays.add(replay);
    if (this.#running) return;
    this.#running = true;
    setImmediate(() => this.#turn());
  }

  #turn(): void {
    const share = Math.max(AT_A_TIME, Math.floor(PER_TURN / this.#replays.size));
    let delivered = 0;
    for (const replay of [...this.#replays]) {
      delivered += replay.step(share);
      // Who had a turn goes behind those who had none.
      this.#replays.delete(replay);
      if (!replay.over) this.#replays.add(replay);
      if (delivered >= PER_TURN) break;
    }
    this.#running = this.#replays.size > 0;
    if (!this.#running) return;
    if (delivered > 0) setImmediate(() => this.#turn());
    else setTimeout(() => this.#turn(), PAUSE);
  }
}
