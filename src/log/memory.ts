/** The room log that lives as long as the process. */
import type { ConferenceEvent, Millis } from '../conference/events.ts';
import { eventNumber } from '../conference/ids.ts';
import type { EventNumber, RoomUri } from '../conference/ids.ts';
import { retentionOf } from '../conference/retention.ts';
import { Delivery } from './delivery.ts';
import { DEFAULT_KEEPING, keptAt, MAX_READ, MOST_POSITIONS } from './room-log.ts';
import type { KeptNow, Logged, NotKept, Outcome, ReadRange, RoomKeeping, RoomListener, RoomLog } from './room-log.ts';

/** What a memory log may be told. */
export interface MemoryLogOptions {
  /** How a room is kept; durability is always `memory`. Default `DEFAULT_KEEPING` for all. */
  readonly keeping?: (room: RoomUri) => RoomKeeping;
  /** The wall clock that the age of events is read from. Default `Date.now`. */
  readonly now?: () => Millis;
}

const CLOSED: NotKept = { refused: 'not-kept', reason: 'The room log is closed' };

/** A log in memory: what is appended is kept at once. */
export class MemoryLog implements RoomLog {
  readonly #rooms = new Map<RoomUri, RoomPast>();
  readonly #delivery = new Delivery();
  readonly #keeping: (room: RoomUri) => RoomKeeping;
  readonly #now: () => Millis;
  #closed = false;

  constructor(options: MemoryLogOptions = {}) {
    this.#keeping = options.keeping ?? (() => DEFAULT_KEEPING);
    this.#now = options.now ?? Date.now;
  }

  append(room: RoomUri, event: ConferenceEvent, settled?: (outcome: Outcome) => void): Outcome {
    if (this.#closed) return CLOSED;
    let past = this.#rooms.get(room);
    if (past === undefined) {
      past = new RoomPast((now) => keptAt(this.#keeping(room), now));
      this.#rooms.set(room, past);
    }
    const logged = past.append(event);
    this.#delivery.deliver(room, logged, settled);
    return logged.n;
  }

  read(room: RoomUri, range: ReadRange = {}): Promise<readonly Logged[]> {
    return Promise.resolve(this.#rooms.get(room)?.read(range, this.#now()) ?? []);
  }

  keeps(room: RoomUri): KeptNow {
    return keptAt(this.#keeping(room), this.#now());
  }

  facts(room: RoomUri): Promise<readonly Logged[]> {
    return Promise.resolve(this.#rooms.get(room)?.facts() ?? []);
  }

  follow(room: RoomUri, listener: RoomListener): () => void {
    return this.#delivery.follow(room, listener);
  }

  last(room: RoomUri): EventNumber {
    return this.#rooms.get(room)?.last ?? eventNumber(0);
  }

  rooms(): readonly RoomUri[] {
    return [...this.#rooms.keys()];
  }

  prune(now: Millis): void {
    for (const [room, past] of this.#rooms) {
      past.prune(now);
      if (past.empty && !this.#delivery.isFollowed(room)) this.#rooms.delete(room);
    }
  }

  readonly backlog = 0;

  health(): 'well' | NotKept {
    return this.#closed ? CLOSED : 'well';
  }

  close(): Promise<void> {
    this.#closed = true;
    return Promise.resolve();
  }
}

/** Events in their order, which are forgotten from the front. */
class Line {
  /** Those before the first are forgotten: in their places is nothing, since what stood there may have been large. */
  #events: (Logged | undefined)[] = [];
  #start = 0;

  get length(): number {
    return this.#events.length - this.#start;
  }

  get first(): Logged | undefined {
    return this.#events[this.#start];
  }

  push(logged: Logged): void {
    this.#events.push(logged);
  }

  shift(): void {
    this.#events[this.#start] = undefined;
    this.#start++;
    // Moving the rest down each time would cost as much as the room is long.
    if (this.#start <= 1024 || this.#start <= this.#events.length / 2) return;
    this.#events = this.#events.slice(this.#start);
    this.#start = 0;
  }

  all(): Logged[] {
    return this.#events.slice(this.#start).filter((logged) => logged !== undefined);
  }
}

/** What one room keeps of its past. */
class RoomPast {
  readonly #kept: (now: Millis) => KeptNow;
  // Apart, since any number of comings and goings must not push a message out.
  readonly #messages = new Line();
  readonly #happenings = new Line();
  readonly #facts = new Map<string, Logged>();
  /** Facts that go with the messages, oldest first. */
  readonly #positions = new Map<string, Logged>();
  #bytes = 0;
  #last = eventNumber(0);
  /** The newest message that is no longer kept: what happened before it goes with it. */
  #forgotten = eventNumber(0);

  constructor(kept: (now: Millis) => KeptNow) {
    this.#kept = kept;
  }

  get last(): EventNumber {
    return this.#last;
  }

  get empty(): boolean {
    return this.#messages.length + this.#happenings.length + this.#facts.size + this.#positions.size === 0;
  }

  append(event: ConferenceEvent): Logged {
    this.#last = eventNumber(this.#last + 1);
    const logged: Logged = { n: this.#last, event };
    const retention = retentionOf(event);
    if (retention.keep === 'fact') {
      const facts = retention.lasts === 'messages' ? this.#positions : this.#facts;
      facts.delete(retention.key);
      if (!retention.clears) facts.set(retention.key, logged);
    } else if (retention.keep === 'end') {
      for (const [key, fact] of this.#facts) if (lasts(fact) === 'conference') this.#facts.delete(key);
    }
    if (retention.keep === 'message') {
      this.#messages.push(logged);
      this.#bytes += sizeOf(event);
    } else this.#happenings.push(logged);
    this.prune(event.at);
    return logged;
  }

  prune(now: Millis): void {
    const { since, maxMessages, maxBytes } = this.#kept(now);
    const old = ({ event }: Logged): boolean => event.at < since;
    for (let oldest = this.#messages.first; oldest !== undefined; oldest = this.#messages.first) {
      if (this.#messages.length <= maxMessages && this.#bytes <= maxBytes && !old(oldest)) break;
      this.#messages.shift();
      this.#bytes -= sizeOf(oldest.event);
      this.#forgotten = oldest.n;
    }
    for (let oldest = this.#happenings.first; oldest !== undefined; oldest = this.#happenings.first) {
      if (this.#happenings.length <= maxMessages && oldest.n > this.#forgotten && !old(oldest)) break;
      this.#happenings.shift();
    }
    const most = this.#messages.length + this.#happenings.length === 0 ? 0 : MOST_POSITIONS;
    for (const key of this.#positions.keys()) {
      if (this.#positions.size <= most) break;
      this.#positions.delete(key);
    }
  }

  read({ from = eventNumber(0), through, last, first, ...only }: ReadRange, now: Millis): readonly Logged[] {
    this.prune(now);
    const messages = only.messagesOnly === true || only.knownBy !== undefined;
    const all = messages ? this.#messages.all() : [...this.#messages.all(), ...this.#happenings.all()];
    const to = through ?? Infinity;
    const wanted = all
      .filter(({ n, event }) => n >= from && n <= to && isWanted(event, only))
      .sort((a, b) => a.n - b.n);
    if (first !== undefined) return wanted.slice(0, Math.min(first, MAX_READ));
    const most = Math.min(last ?? MAX_READ, MAX_READ);
    return most === 0 ? [] : wanted.slice(-most);
  }

  facts(): readonly Logged[] {
    return [...this.#facts.values(), ...this.#positions.values()].sort((a, b) => a.n - b.n);
  }
}

type Only = Pick<ReadRange, 'notificationsTo' | 'knownBy' | 'comingsOnly'>;

function isWanted(event: ConferenceEvent, { notificationsTo, knownBy, comingsOnly }: Only): boolean {
  if (notificationsTo !== undefined) return event.type === 'disposition' && event.to === notificationsTo;
  if (knownBy !== undefined) {
    const { type } = event;
    if (type === 'aborted') return event.stream === knownBy;
    return (type === 'said' || type === 'opened') && (event.messageId === knownBy || event.imdnId === knownBy);
  }
  return comingsOnly !== true || ['joined', 'admitted', 'left'].includes(event.type);
}

function lasts(logged: Logged): string | undefined {
  const retention = retentionOf(logged.event);
  return retention.keep === 'fact' ? retention.lasts : undefined;
}

/** Octets of a message's body. */
function sizeOf(event: ConferenceEvent): number {
  return 'cpim' in event ? event.cpim.byteLength : 0;
}
