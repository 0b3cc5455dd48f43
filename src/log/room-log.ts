/**
 * The numbered events of each room. All that happens goes through here: a request that the rules allow is appended, and
 * only what `follow` gives back changes state and reaches participants. One node with a memory log, one with SQLite and,
 * later, several nodes with a shared log all run this same path.
 */
import type { ConferenceEvent, Millis } from '../conference/events.ts';
import type { EventNumber, RoomUri, UserUri } from '../conference/ids.ts';

/** An event with its place in the room's log. */
export interface Logged {
  readonly n: EventNumber;
  readonly event: ConferenceEvent;
}

/** The log cannot keep an event. The sentence in `reason` is fit for the peer that asked. */
export interface NotKept {
  readonly refused: 'not-kept';
  readonly reason: string;
}

/** `number`: kept under this number, as durably as the room is configured. */
export type Outcome = EventNumber | NotKept;

/** Gives an event to the log of one room. `settled` hears once, now or later, what became of it. */
export type Append = (event: ConferenceEvent, settled?: (outcome: Outcome) => void) => void;

/** What "kept" means: `memory`, it is in this process; `disk`, it survives the death of the process and a power cut. */
export type Durability = 'memory' | 'disk';

/** How one room's events are kept. Facts (bans, roles, subject…) are kept beyond these limits, see `retentionOf`. */
export interface RoomKeeping {
  readonly durability: Durability;
  /** Oldest message kept, in milliseconds. */
  readonly maxAge: Millis;
  /** Most messages kept. Of other happenings as many again. */
  readonly maxMessages: number;
  /** Most octets of message bodies kept; those of notifications (`disposition`) are not among them. */
  readonly maxBytes: number;
}

/**
 * Most facts of a room that last as long as `messages` (how far each device has come), the newest; with its last message
 * they go. A device must be known again as long as something is kept that it has missed.
 */
export const MOST_POSITIONS = 10_000;

/** A month of at most 10,000 messages and 64 MiB, on disk. */
export const DEFAULT_KEEPING: RoomKeeping = {
  durability: 'disk',
  maxAge: 30 * 24 * 3600 * 1000,
  maxMessages: 10_000,
  maxBytes: 64 * 1024 * 1024,
};

/** What a room keeps at some time, whether the rest has been forgotten already or not. */
export interface KeptNow extends Pick<RoomKeeping, 'maxMessages' | 'maxBytes'> {
  /** When the oldest events happened. */
  readonly since: Millis;
}

/** What a room that is kept so keeps at that time. */
export function keptAt(keeping: RoomKeeping, now: Millis): KeptNow {
  const { maxMessages, maxBytes } = keeping;
  return { since: oldestKept(keeping, now), maxMessages, maxBytes };
}

/** When the oldest events happened that a room still keeps. */
export function oldestKept({ maxAge }: RoomKeeping, now: Millis): Millis {
  return Number.isFinite(maxAge) ? Math.max(0, Math.trunc(now - maxAge)) : 0;
}

/** Which events `read` gives; of what begins with "only", one. */
export interface ReadRange {
  /** First number wanted. Default: the oldest kept. */
  readonly from?: EventNumber;
  /** Last number wanted. Default: the newest. */
  readonly through?: EventNumber;
  /** Only the last so many of the range; at most `MAX_READ`, which is also the default. */
  readonly last?: number;
  /** Only the first so many of the range instead, at most `MAX_READ`; goes with `messagesOnly`. */
  readonly first?: number;
  /** Only messages (`said`, `opened`… see `retentionOf`), not the comings and goings. */
  readonly messagesOnly?: boolean;
  /** Only notifications (`disposition`) for this user. */
  readonly notificationsTo?: UserUri;
  /** Only messages known by this id: their sender's Message-ID, that of an IMDN, or the stream of one that was aborted. */
  readonly knownBy?: string;
  /** Only who came, was let in, and left (`joined`, `admitted`, `left`). */
  readonly comingsOnly?: boolean;
}

/** Most events that one `read` gives. */
export const MAX_READ = 10_000;

/** Hears every kept event of one room, in the order of numbers, each once. One that throws has a bug of ours: it is not caught. */
export type RoomListener = (logged: Logged) => void;

/** Where rooms keep what happened. One writer per room: the process that owns it. */
export interface RoomLog {
  /**
   * Numbers the event at once and starts to keep it. Gives its number, or at once a refusal when the log cannot take it
   * (backlog full, disk known to be broken): then nothing else happens.
   *
   * When the event is kept as durably as the room wants, the room's followers hear it, and after them `settled` gets its
   * number, in the same turn. If it could not be kept after all, nobody hears it, its number stays unused, and `settled`
   * gets the refusal. Exactly one of the two happens, exactly once. Moments (`retentionOf`: who comes and who goes) are
   * heard even when nothing can be kept; only a closed log refuses them. With a memory log all this is over when `append`
   * returns, unless it was called by a listener or from `settled`: then it is done right after that one.
   *
   * The log owns the event from here on: neither it nor its bytes may be changed.
   */
  append(room: RoomUri, event: ConferenceEvent, settled?: (outcome: Outcome) => void): Outcome;

  /**
   * The kept events of a range, oldest first. Never gives what is not kept yet, nor what is older or more than the room
   * keeps (`RoomKeeping`), whether it has been forgotten already or not. Rejects with `LogReadError` when the store cannot
   * be read.
   */
  read(room: RoomUri, range?: ReadRange): Promise<readonly Logged[]>;

  /** What the room keeps now. */
  keeps(room: RoomUri): KeptNow;

  /** What must be applied to an empty conference to get the room's lasting state (facts only, oldest first). Rejects with `LogReadError`. */
  facts(room: RoomUri): Promise<readonly Logged[]>;

  /** Calls the listener for every event of the room from now on. Gives the function that ends it. */
  follow(room: RoomUri, listener: RoomListener): () => void;

  /** The number of the room's newest numbered event; 0 if it has none. */
  last(room: RoomUri): EventNumber;

  /** All rooms that have events kept. */
  rooms(): readonly RoomUri[];

  /** Forgets what the rooms need no longer keep, and rooms of which nothing is left and that nobody follows. For a timer. */
  prune(now: Millis): void;

  /** Octets of what has been appended and waits for the disk. */
  readonly backlog: number;

  /** Whether appends are being taken, and if not why not: for health checks. */
  health(): 'well' | NotKept;

  /** Keeps what has been appended and gives the store back. Appends after it are refused. */
  close(): Promise<void>;
}

/** The kept past could not be read (corrupt file, failing disk). */
export class LogReadError extends Error {
  override readonly name = 'LogReadError';
}
