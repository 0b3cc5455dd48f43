/** The room log that lives as long as the process. */
import { retentionOf } from '../conference/events.ts';
import type { ConferenceEvent, Millis } from '../conference/events.ts';
import { eventNumber } from '../conference/ids.ts';
import type { EventNumber, RoomUri } from '../conference/ids.ts';
import { Delivery } from './delivery.ts';
import { DEFAULT_KEEPING, MAX_READ } from './room-log.ts';
import type { Logged, NotKept, Outcome, ReadRange, RoomKeeping, RoomListener, RoomLog } from './room-log.ts';

/** What a memory log may be told. */
export interface MemoryLogOptions {
  /** How a room is kept; durability is always `memory`. Default `DEFAULT_KEEPING` for all. */
  readonly keeping?: (room: RoomUri) => RoomKeeping;
}

const CLOSED: NotKept = { refused: 'not-kept', reason: 'The room log is closed' };

/** A log in memory: what is appended is kept at once. */
export class MemoryLog implements RoomLog {
  readonly #rooms = new Map<RoomUri, RoomPast>();
  readonly #delivery = new Delivery();
  readonly #keeping: (room: RoomUri) => RoomKeeping;
  #closed = false;

  constructor(options: MemoryLogOptions = {}) {
    this.#keeping = options.keeping ?? (() => DEFAULT_KEEPING);
  }

  append(room: RoomUri, event: ConferenceEvent, settled?: (outcome: Outcome) => void): Outcome {
    if (this.#closed) return CLOSED;
    let past = this.#rooms.get(room);
    if (past === undefined) {
      past = new RoomPast(this.#keeping(room));
      this.#rooms.set(room, past);
    }
    const logged = past.append(event);
    this.#delivery.deliver(room, logged, settled);
    return logged.n;
  }

  read(room: RoomUri, range: ReadRange = {}): Promise<readonly Logged[]> {
    return Promise.resolve(this.#rooms.get(room)?.read(range) ?? []);
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

  health(): 'well' | NotKept {
    return this.#closed ? CLOSED : 'well';
  }

  close(): Promise<void> {
    this.#closed = true;
    return Promise.resolve();
  }
}

/** What one room keeps of its past. */
class RoomPast {
  readonly #keeping: RoomKeeping;
  /** Oldest first; what stands before `#start` is forgotten. */
  #events: Logged[] = [];
  #start = 0;
  readonly #facts = new Map<string, Logged>();
  #messages = 0;
  #bytes = 0;
  #last = eventNumber(0);

  constructor(keeping: RoomKeeping) {
    this.#keeping = keeping;
  }

  get last(): EventNumber {
    return this.#last;
  }

  get empty(): boolean {
    return this.#start === this.#events.length && this.#facts.size === 0;
  }

  append(event: ConferenceEvent): Logged {
    this.#last = eventNumber(this.#last + 1);
    const logged: Logged = { n: this.#last, event };
    const retention = retentionOf(event);
    if (retention.keep === 'fact') {
      this.#facts.delete(retention.key);
      if (!retention.clears) this.#facts.set(retention.key, logged);
    } else if (retention.keep === 'end') {
      for (const [key, fact] of this.#facts) if (lasts(fact) === 'conference') this.#facts.delete(key);
    } else if (retention.keep === 'message') {
      this.#messages++;
      this.#bytes += sizeOf(event);
    }
    this.#events.push(logged);
    this.prune(event.at);
    return logged;
  }

  prune(now: Millis): void {
    const { maxAge, maxMessages, maxBytes } = this.#keeping;
    for (let oldest = this.#events[this.#start]; oldest !== undefined; oldest = this.#events[this.#start]) {
      const kept = this.#events.length - this.#start;
      const crowded = this.#messages > maxMessages || this.#bytes > maxBytes || kept - this.#messages > maxMessages;
      if (!crowded && oldest.event.at >= now - maxAge) break;
      this.#forgetOldest(oldest);
    }
    // Moving the rest down each time would cost as much as the room is long.
    if (this.#start > 1024 && this.#start > this.#events.length / 2) {
      this.#events = this.#events.slice(this.#start);
      this.#start = 0;
    }
  }

  #forgetOldest(oldest: Logged): void {
    this.#start++;
    const retention = retentionOf(oldest.event);
    if (retention.keep === 'message') {
      this.#messages--;
      this.#bytes -= sizeOf(oldest.event);
    } else if (retention.keep === 'fact' && retention.lasts === 'messages') {
      if (this.#facts.get(retention.key) === oldest) this.#facts.delete(retention.key);
    }
  }

  read({ from, last, messagesOnly, notificationsTo: user }: ReadRange): readonly Logged[] {
    const wanted = this.#events.slice(this.#start).filter(({ n, event }) => {
      if (n < (from ?? 0) || (messagesOnly === true && retentionOf(event).keep !== 'message')) return false;
      return user === undefined || (event.type === 'disposition' && event.to === user);
    });
    const most = Math.min(last ?? MAX_READ, MAX_READ);
    return most === 0 ? [] : wanted.slice(-most);
  }

  facts(): readonly Logged[] {
    return [...this.#facts.values()].sort((a, b) => a.n - b.n);
  }
}

function lasts(logged: Logged): string | undefined {
  const retention = retentionOf(logged.event);
  return retention.keep === 'fact' ? retention.lasts : undefined;
}

function sizeOf(event: ConferenceEvent): number {
  return 'cpim' in event ? event.cpim.byteLength : 0;
}
