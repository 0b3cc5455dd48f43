import type { Conference } from '../conference/conference.ts';
import type { ConferenceSettings } from '../conference/settings.ts';
import { eventNumber, type RoomUri } from '../conference/ids.ts';
import { type Logged, LogReadError } from '../log/room-log.ts';
import type { RoomPolicy } from '../policy/room-policy.ts';
import { ReplayPump } from './replay-pump.ts';
import { Doors, type PinTryLimits } from './rules.ts';
import { ChatRoom, type ChatRoomParts } from './room.ts';
import type { Welcome } from './arrivals.ts';

/** What the configuration says of one room. */
export interface RoomSettings {
  readonly conference: ConferenceSettings;
  readonly policy: RoomPolicy;
  readonly welcome: Welcome;
  /** The room stays when its last participant has left; otherwise the conference ends with it. */
  readonly permanent: boolean;
}

/** Watches what happens in all rooms. It changes nothing. */
export interface Watcher {
  /** After the event has changed the state and has been passed on. `changed`: the conference document shows it. */
  happened(room: ChatRoom, logged: Logged, changed: boolean): void;
  /** Time alone has changed the document: departed endpoints are no longer shown. */
  changed(room: ChatRoom): void;
}

/** What the host is made with. */
export interface ConferenceHostParts extends Pick<
  ChatRoomParts,
  'log' | 'domains' | 'now' | 'texts' | 'warn' | 'audit' | 'deliveryFailed' | 'duplicateWindow'
> {
  /** What is configured for a room; undefined when there is none and none may be made on demand. */
  readonly settingsOf: (room: RoomUri) => RoomSettings | undefined;
  readonly newConference: (settings: ConferenceSettings) => Conference;
  readonly watchers: readonly Watcher[];
  /** Rooms alive at once. */
  readonly maxRooms: number;
  /** Default: five by one caller, twenty from one address. */
  readonly pinTries?: PinTryLimits;
}

/** A room that is alive, and what keeps it so. */
interface Live {
  readonly room: ChatRoom;
  readonly unfollow: () => void;
  readonly settings: RoomSettings;
  /** Legs, from the INVITE to the end. */
  legs: number;
  /** Legs, and whoever else looks at the room. */
  holds: number;
  /** Its end has been given to the log, or was refused and waits for the next sweep. */
  ending: boolean;
}

/** Keeps a room alive until it is called. Idempotent. */
export type Release = () => void;

/**
 * The conferences alive on this node. Everything that happens in them comes back from the log through `#hear`, which is
 * the one place where it is seen.
 */
export class ConferenceHost {
  readonly #parts: ConferenceHostParts;
  readonly #pump = new ReplayPump();
  readonly #doors: Doors;
  readonly #live = new Map<RoomUri, Live>();
  readonly #opening = new Map<RoomUri, Promise<Live>>();

  constructor(parts: ConferenceHostParts) {
    this.#parts = parts;
    this.#doors = new Doors(parts.pinTries);
  }

  /** The room, if it is alive. */
  find(uri: RoomUri): ChatRoom | undefined {
    return this.#live.get(uri)?.room;
  }

  /** Whether there is, or could be, such a room. */
  exists(uri: RoomUri): boolean {
    return this.#live.has(uri) || this.#parts.settingsOf(uri) !== undefined;
  }

  /** Whether that room is there also when nobody is in it. */
  isPermanent(uri: RoomUri): boolean {
    return this.#parts.settingsOf(uri)?.permanent === true;
  }

  /** How many rooms are alive. */
  get size(): number {
    return this.#live.size;
  }

  /** All rooms that are alive. */
  *rooms(): IterableIterator<ChatRoom> {
    for (const { room } of this.#live.values()) yield room;
  }

  /**
   * The room with what lasts of its past (bans, subject, …), alive until `release` is called by everybody who has opened
   * it. A `leg` also keeps the conference from ending, from its INVITE on. Undefined when there is no such room or no place
   * for one more. Rejects with `LogReadError` when what lasts cannot be read.
   */
  async open(
    uri: RoomUri,
    as: 'leg' | 'watcher',
  ): Promise<{ readonly room: ChatRoom; readonly release: Release } | undefined> {
    let live = this.#live.get(uri);
    if (live === undefined) {
      const settings = this.#parts.settingsOf(uri);
      if (settings === undefined) return undefined;
      if (!this.#opening.has(uri) && this.#live.size + this.#opening.size >= this.#parts.maxRooms) return undefined;
      live = await this.#revive(uri, settings);
    }
    const held = live;
    held.holds += 1;
    if (as === 'leg') held.legs += 1;
    let released = false;
    return {
      room: held.room,
      release: () => {
        if (released) return;
        released = true;
        held.holds -= 1;
        if (as === 'leg') held.legs -= 1;
        this.#settle(held);
      },
    };
  }

  /** Forgets what was shown long enough; to be called every few seconds. */
  sweep(): void {
    for (const live of [...this.#live.values()]) {
      const { room } = live;
      room.endInTime();
      live.ending = false;
      this.#settle(live);
      if (!room.conference.forgetDeparted(this.#parts.now())) continue;
      for (const watcher of this.#parts.watchers) watcher.changed(room);
    }
  }

  #revive(uri: RoomUri, settings: RoomSettings): Promise<Live> {
    let opening = this.#opening.get(uri);
    if (opening === undefined) {
      opening = this.#load(uri, settings).finally(() => this.#opening.delete(uri));
      this.#opening.set(uri, opening);
    }
    return opening;
  }

  async #load(uri: RoomUri, settings: RoomSettings): Promise<Live> {
    const { log } = this.#parts;
    const conference = this.#parts.newConference(settings.conference);
    const onIdle = (): void => {
      this.#settle(live);
    };
    const room = new ChatRoom({
      ...this.#parts,
      ...settings,
      uri,
      conference,
      pump: this.#pump,
      doors: this.#doors,
      onIdle,
    });
    // What happens while the past is being read waits its turn.
    let waiting: Logged[] | undefined = [];
    const unfollow = log.follow(uri, (logged) => {
      if (waiting === undefined) this.#hear(live, logged);
      else waiting.push(logged);
    });
    const live: Live = { room, unfollow, settings, legs: 0, holds: 0, ending: false };
    try {
      for (const { event, n } of await log.facts(uri)) conference.apply(event, n);
      await this.#restore(room);
    } catch (fault) {
      unfollow();
      throw fault;
    }
    const late = waiting;
    waiting = undefined;
    this.#live.set(uri, live);
    for (const logged of late) if (logged.n > (conference.last || eventNumber(0))) this.#hear(live, logged);
    return live;
  }

  /**
   * Gives the room what it remembers of the newest messages. Where these cannot be read, it goes on without: what lasts is
   * known, and so who may come in; newcomers are told that the past cannot be read.
   */
  async #restore(room: ChatRoom): Promise<void> {
    const { log, duplicateWindow, warn } = this.#parts;
    try {
      room.restore(await log.read(room.uri, { last: duplicateWindow, messagesOnly: true }));
    } catch (fault) {
      if (!(fault instanceof LogReadError)) throw fault;
      warn(
        `${room.uri} is opened without its past: ${fault.message}; what was said before is not shown, cannot be taken back by its place, and is said again when its sender repeats it`,
      );
    }
  }

  #hear(live: Live, logged: Logged): void {
    const changed = live.room.hear(logged);
    for (const watcher of this.#parts.watchers) watcher.happened(live.room, logged, changed);
  }

  /** A conference ends with its last participant; a room that nobody holds is forgotten. */
  #settle(live: Live): void {
    const { room, settings } = live;
    if (this.#live.get(room.uri) !== live || room.busy || live.legs > 0 || room.conference.active) return;
    if (room.conference.startedAt !== undefined && !settings.permanent) {
      // A log that refuses says so at once: to ask again at once would never end.
      if (live.ending) return;
      live.ending = true;
      room.append({ type: 'ended', at: this.#parts.now() }, (outcome) => {
        if (typeof outcome === 'number') live.ending = false;
      });
      return;
    }
    if (live.holds > 0) return;
    live.unfollow();
    this.#live.delete(room.uri);
  }
}
