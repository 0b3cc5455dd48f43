import type { ConferenceEvent, Millis } from '../conference/events.ts';
import { type EventNumber, eventNumber, type RoomUri, type UserUri } from '../conference/ids.ts';
import { retentionOf } from '../conference/retention.ts';
import type { Logged, RoomLog } from '../log/room-log.ts';
import { Copy } from './copy.ts';
import { asSaid } from './dispositions.ts';
import { LargeCopy } from './large-copy.ts';
import type { QuoteOf } from './plain-text.ts';

/** What of a room's past is kept at hand, so that many who come at once cost the log one read. */
export interface PastLimits {
  /** Messages read to be at hand; of what is said meanwhile, or taken back, as many again. Default 1000. */
  readonly messages: number;
  /** Octets of them. Default 4 MiB. */
  readonly bytes: number;
}

const DEFAULT_LIMITS: PastLimits = { messages: 1000, bytes: 4 * 1024 * 1024 };

/** Messages that are read from the log at once of what is not at hand: each may be large. */
const READ_AT_ONCE = 100;

/** How many that were taken back are remembered while somebody is catching up. */
const MOST_TAKEN_BACK = 10_000;

/** What must be remembered of a message that is going to be given: much less than the message. */
export interface Mark {
  readonly n: EventNumber;
  readonly at: Millis;
  readonly by: UserUri;
  readonly messageId: string;
  /** Of a large one. */
  readonly stream: string | undefined;
}

/** What must be remembered of a message. */
export function markOf(copy: Copy): Mark {
  const { at, by, messageId } = copy.said;
  const stream = copy instanceof LargeCopy ? copy.opened.stream : undefined;
  return { n: copy.n ?? eventNumber(0), at, by, messageId, stream };
}

/** Which messages of the past are wanted. */
export interface PastRange {
  /** Only those after this number. */
  readonly after?: EventNumber;
  /** Only those up to this number. */
  readonly through?: EventNumber;
  /** Of them, so many: the newest, or the oldest. */
  readonly most: number;
  readonly end: 'newest' | 'oldest';
}

/**
 * The messages a room has kept, as copies to deliver. The newest of them are at hand while somebody is catching up, and
 * what is said meanwhile joins them; older ones are read from the log.
 */
export class Past {
  readonly #log: RoomLog;
  readonly #room: RoomUri;
  readonly #limits: PastLimits;
  readonly #quoteOf: QuoteOf;
  /** Oldest first; undefined while nobody asks. */
  #window: Copy[] | undefined;
  /** The window reaches back to the oldest message that is kept. */
  #whole = false;
  #bytes = 0;
  /** Of what is at hand, with what leaves nothing to deliver: the room's limits count it, too. */
  #sizes: { readonly n: EventNumber; readonly at: Millis; readonly octets: number }[] = [];
  #loading: Promise<void> | undefined;
  /** The newest event that was heard. */
  #newest = eventNumber(0);
  /** The newest message to all that was heard. */
  #newestToAll = eventNumber(0);
  /** What happened while the window was being read. */
  #meanwhile: Logged[] = [];
  #users = 0;
  /** What is known to have been taken back, and when, while somebody is catching up. */
  readonly #takenBack = new Map<string, EventNumber>();

  /** @param quoteOf what a reply or reaction of the past is about */
  constructor(log: RoomLog, room: RoomUri, quoteOf: QuoteOf, limits: Partial<PastLimits> = {}) {
    this.#quoteOf = quoteOf;
    this.#log = log;
    this.#room = room;
    this.#limits = { ...DEFAULT_LIMITS, ...limits };
  }

  /** Keeps messages at hand until the function is called that this gives. */
  use(): () => void {
    this.#users += 1;
    return () => {
      this.#users -= 1;
      if (this.#users === 0) this.#forget();
    };
  }

  #forget(): void {
    this.#window = undefined;
    this.#bytes = 0;
    this.#sizes = [];
    this.#takenBack.clear();
  }

  /** Takes note of what the log has kept. */
  hear(logged: Logged): void {
    const { n, event } = logged;
    this.#newest = n;
    if ((event.type === 'said' || event.type === 'opened') && event.audience.to === 'everyone') this.#newestToAll = n;
    this.#noteTakenBack(logged);
    if (this.#loading !== undefined) this.#meanwhile.push(logged);
    else if (this.#window !== undefined) this.#note(logged);
  }

  /**
   * The messages of a range, oldest first; at once when they are at hand, and then nothing can have been said that is not
   * among them. Rejects with `LogReadError`.
   */
  read(range: PastRange): readonly Copy[] | Promise<readonly Copy[]> {
    const { after, through, most, end } = range;
    if (most <= 0) return [];
    const window = this.#window;
    if (window === undefined) {
      // Where nobody uses it any more, who waits has gone.
      return (this.#loading ??= this.#fill(through)).then(() => (this.#users === 0 ? [] : this.read(range)));
    }
    const from = firstAfter(window, end === 'newest' ? Math.max(after ?? 0, this.#forgotten) : (after ?? 0));
    const found = window.slice(from, through === undefined ? undefined : firstAfter(window, through));
    const covers = this.#whole || from > 0 || (end === 'newest' && found.length >= most);
    if (!covers) return end === 'newest' ? this.#readNewest(range) : this.#readOldest(range);
    return end === 'newest' ? found.slice(-most) : found.slice(0, most);
  }

  /**
   * The number of the newest message that the room need not keep any more: it may be at hand all the same, for those who
   * have been catching up since before.
   */
  get #forgotten(): number {
    const { since, maxMessages, maxBytes } = this.#log.keeps(this.#room);
    let [messages, bytes] = [0, 0];
    const gone = this.#sizes.findLast(({ at, octets }) => {
      messages += 1;
      bytes += octets;
      return messages > maxMessages || bytes > maxBytes || at < since;
    });
    return gone?.n ?? 0;
  }

  /** The number of the newest message to all since the room is alive, kept or not. */
  get newestToAll(): EventNumber {
    return this.#newestToAll;
  }

  /**
   * Whether what happened right behind that number is not kept any more, so that messages may be gone with it. Rejects with
   * `LogReadError`.
   */
  async isForgottenBehind(n: EventNumber): Promise<boolean> {
    const next = eventNumber(n + 1);
    return (await this.#log.read(this.#room, { from: next, through: next })).length === 0;
  }

  /** Whether a message that `read` has given, to somebody who uses this, was taken back since. */
  isTakenBack({ n, by, messageId, stream = '' }: Mark): boolean {
    // It is asked for each message that is given, and mostly nothing was.
    if (this.#takenBack.size === 0) return false;
    return [stream, `${by} ${messageId}`].some((name) => (this.#takenBack.get(name) ?? 0) > n);
  }

  #noteTakenBack({ n, event }: Logged): void {
    if (this.#users === 0 || (event.type !== 'retracted' && event.type !== 'aborted')) return;
    const key = event.type === 'aborted' ? event.stream : `${event.author} ${event.messageId}`;
    this.#takenBack.set(key, eventNumber(Math.max(n, this.#takenBack.get(key) ?? 0)));
    const [oldest] = this.#takenBack.keys();
    if (this.#takenBack.size > MOST_TAKEN_BACK && oldest !== undefined) this.#takenBack.delete(oldest);
  }

  /** The newest notifications (RFC 5438) for a user after that number, oldest first. Rejects with `LogReadError`. */
  async notifications(user: UserUri, after: EventNumber): Promise<readonly Copy[]> {
    const range = { from: eventNumber(after + 1), last: this.#limits.messages, notificationsTo: user };
    const logged = await this.#log.read(this.#room, range);
    return logged.flatMap(({ n, event }) => (event.type === 'disposition' ? [new Copy(asSaid(event), n)] : []));
  }

  async #readNewest({ after, through, most }: PastRange): Promise<readonly Copy[]> {
    const range = { from: eventNumber((after ?? 0) + 1), last: Math.min(most, READ_AT_ONCE), messagesOnly: true };
    let last = through;
    for (;;) {
      const logged = await this.#log.read(this.#room, { ...range, ...(last === undefined ? {} : { through: last }) });
      const copies = this.#replayable(logged);
      const [oldest] = logged;
      // What was taken back leaves nothing to deliver, which must not be mistaken for the end.
      if (copies.length > 0 || oldest === undefined) return copies;
      last = eventNumber(oldest.n - 1);
    }
  }

  async #readOldest({ after, most }: PastRange): Promise<readonly Copy[]> {
    let from = eventNumber((after ?? 0) + 1);
    for (;;) {
      const atHand = this.#window?.[0]?.n;
      const heard = this.#newest;
      const before = atHand === undefined ? {} : { through: eventNumber(atHand - 1) };
      const first = Math.min(most, READ_AT_ONCE);
      const logged = await this.#log.read(this.#room, { from, ...before, first, messagesOnly: true });
      const copies = this.#replayable(logged);
      const last = logged.at(-1);
      if (copies.length > 0) return copies;
      // Nothing is kept of before what is at hand, which may be more than is kept. Where nothing is, as after a message that
      // is larger than may be, what was said meanwhile has to be read.
      const isSame = atHand === undefined ? this.#newest === heard : this.#window?.[0]?.n === atHand;
      if (last === undefined && isSame) return this.#window?.slice(0, most) ?? [];
      from = eventNumber(last === undefined ? (atHand ?? from) : last.n + 1);
    }
  }

  async #fill(through: EventNumber | undefined): Promise<void> {
    try {
      // What is said while it is read must not be counted, or it would cost those who wait the oldest that they want.
      const present = through !== undefined && through >= this.#newest ? { through } : {};
      const logged = await this.#log.read(this.#room, { ...present, last: this.#limits.messages, messagesOnly: true });
      this.#window = [];
      this.#bytes = 0;
      this.#sizes = [];
      this.#whole = logged.length < this.#limits.messages;
      const newest = logged.at(-1)?.n ?? 0;
      for (const each of logged) {
        this.#noteTakenBack(each);
        this.#note(each);
      }
      for (const each of this.#meanwhile) if (each.n > newest) this.#note(each);
    } finally {
      // At once, and not when those who wait are called: something may be said before that.
      this.#loading = undefined;
      this.#meanwhile = [];
      if (this.#users === 0) this.#forget();
    }
  }

  #note({ n, event }: Logged): void {
    const window = this.#window;
    if (window === undefined) return;
    const isGone = takenBackBy(event);
    if (isGone !== undefined) {
      this.#window = window.filter((copy) => !isGone(copy));
      for (const copy of window) if (isGone(copy)) this.#bytes -= copy.said.cpim.length;
    }
    if (retentionOf(event).keep === 'message') {
      this.#sizes.push({ n, at: event.at, octets: 'cpim' in event ? event.cpim.length : 0 });
      if (this.#sizes.length > 2 * this.#limits.messages) this.#sizes.shift();
    }
    const copy = this.#copyOf({ n, event });
    if (copy === undefined) return;
    window.push(copy);
    this.#bytes += copy.said.cpim.length;
    while (window.length > 2 * this.#limits.messages || this.#bytes > this.#limits.bytes) {
      this.#bytes -= window.shift()?.said.cpim.length ?? 0;
      this.#whole = false;
    }
  }

  /** The messages among events, without those that were taken back later. */
  #replayable(logged: readonly Logged[]): readonly Copy[] {
    let copies: Copy[] = [];
    for (const each of logged) {
      const { event } = each;
      this.#noteTakenBack(each);
      const copy = this.#copyOf(each);
      if (copy !== undefined) copies.push(copy);
      const isGone = takenBackBy(event);
      if (isGone !== undefined) copies = copies.filter((other) => !isGone(other));
    }
    return copies;
  }

  /** What is delivered of an event of the past: of a large message the line that stands for it. */
  #copyOf({ n, event }: Logged): Copy | undefined {
    if (event.type === 'said') return new Copy(event, n, this.#quoteOf);
    return event.type === 'opened' ? new LargeCopy(event, n) : undefined;
  }
}

/** Which copies an event takes back; undefined: none. */
function takenBackBy(event: ConferenceEvent): ((copy: Copy) => boolean) | undefined {
  if (event.type === 'retracted') {
    const { author, messageId } = event;
    return ({ said }) => said.messageId === messageId && said.by === author;
  }
  if (event.type !== 'aborted') return undefined;
  const { stream } = event;
  return (copy) => copy instanceof LargeCopy && copy.opened.stream === stream;
}

/** The place of the first copy with a number above `after`. */
function firstAfter(copies: readonly Copy[], after: number): number {
  let [low, high] = [0, copies.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((copies[middle]?.n ?? 0) > after) high = middle;
    else low = middle + 1;
  }
  return low;
}
