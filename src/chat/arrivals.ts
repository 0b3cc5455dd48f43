import type { Conference } from '../conference/conference.ts';
import { type EndpointId, type EventNumber, eventNumber, type RoomUri, type UserUri } from '../conference/ids.ts';
import { isPresent } from '../conference/roster.ts';
import type { Aggregation } from './aggregation.ts';
import type { Fates } from './fates.ts';
import { nameOf } from './names.ts';
import type { Past } from './past.ts';
import type { HistoryPolicy } from './past-choice.ts';
import type { PastWish } from './past-wish.ts';
import type { Recipient } from './recipient.ts';
import { Replay } from './replay.ts';
import type { ReplayPump } from './replay-pump.ts';
import type { MsrpSwitch } from './switch.ts';
import type { Voice } from './voice.ts';

/** What somebody is told who comes in. */
export interface Welcome {
  /** What the room says to everybody who comes in; undefined: nothing. */
  readonly text: string | undefined;
  readonly history: HistoryPolicy;
}

/** What is known of who comes in, and wants to be brought up to date. */
export interface Arrival {
  readonly wish: PastWish;
  /** The last message that this device has had; undefined for one that is new. */
  readonly after: EventNumber | undefined;
  /** The newest event when one that is new came in, if it could not hear then: all that was said since is for it. */
  readonly cameAt?: EventNumber | undefined;
}

/** What arrivals need of their room. */
export interface ArrivalsParts {
  readonly uri: RoomUri;
  readonly conference: Conference;
  readonly switch: MsrpSwitch;
  readonly voice: Voice;
  readonly fates: Fates;
  readonly past: Past;
  readonly notifications: Aggregation;
  readonly welcome: Welcome;
  /** Runs the replays of all rooms. */
  readonly pump: ReplayPump;
  readonly now: () => number;
  /** A line for the operator. */
  readonly warn: (line: string) => void;
}

/** How many people are named to who does not see the roster. */
const MAX_NAMES = 50;

/** Who begins to hear a room, or waits for it: the lobby, the welcome, and the past that comes before the present. */
export class Arrivals {
  readonly #parts: ArrivalsParts;
  /** Endpoints that have been told that they must wait. */
  readonly #lobby = new Set<EndpointId>();
  /** What endpoints have asked for that are being sent something of the past already. */
  readonly #asked = new Map<EndpointId, PastWish>();

  constructor(parts: ArrivalsParts) {
    this.#parts = parts;
  }

  /**
   * From now on the recipient gets what is said; before that, when it arrives, what the room says to newcomers and what
   * it has missed. One that is attached already stays as it is; one that waits in the lobby is told so, and comes again.
   */
  attach(recipient: Recipient, arrival?: Arrival): void {
    const { conference, voice } = this.#parts;
    const { endpoint } = recipient;
    if (this.#isAttached(recipient)) return;
    if (conference.endpoint(endpoint)?.status === 'pending') {
      if (!this.#lobby.has(endpoint)) recipient.deliver(voice.line(voice.texts.inLobby, recipient));
      this.#lobby.add(endpoint);
      return;
    }
    if (this.#lobby.delete(endpoint)) recipient.deliver(voice.line(voice.texts.admitted, recipient));
    this.detach(endpoint);
    this.#parts.notifications.flush(recipient.user);
    if (arrival === undefined) this.#parts.switch.add(recipient);
    else {
      this.#welcome(recipient, arrival);
      if (arrival.after !== undefined) recipient.goesOnAfter?.(arrival.after);
      this.#replay(recipient, arrival);
    }
  }

  /**
   * Somebody who is here wants something of the past, within what the room gives to newcomers: it comes to that endpoint
   * alone, the messages as they were, and what is said meanwhile behind them. Tells why not, in words.
   */
  recall(endpoint: EndpointId, wish: PastWish): string | undefined {
    const recipient = this.#parts.switch.at(endpoint);
    if (recipient === undefined) return undefined;
    if (recipient instanceof Replay) {
      if (this.#asked.has(endpoint)) return this.#parts.voice.texts.pastIsComing;
      this.#asked.set(endpoint, wish);
      return undefined;
    }
    this.#replay(recipient, { wish, after: undefined }, true);
    return undefined;
  }

  /** Whether what is said goes to the recipient at once: it hears the room, and has been sent what was before. */
  isUpToDate(recipient: Recipient): boolean {
    return this.#parts.switch.at(recipient.endpoint) === recipient;
  }

  /** The recipient gets nothing more; should it be the one of its endpoint that does, another will come. */
  leave(recipient: Recipient): void {
    if (this.#isAttached(recipient)) this.deafen(recipient);
  }

  #isAttached(recipient: Recipient): boolean {
    const there = this.#parts.switch.at(recipient.endpoint);
    return there === recipient || (there instanceof Replay && there.recipient === recipient);
  }

  /**
   * The recipient gets nothing until it is attached again, since its line is on hold, lost, or not there yet: then what is
   * said meanwhile. Who waits in the lobby gets none of that either.
   */
  deafen(recipient: Recipient): void {
    const { endpoint } = recipient;
    this.detach(endpoint);
    const there = this.#parts.conference.endpoint(endpoint);
    if (there !== undefined && isPresent(there)) this.#parts.switch.deafen(recipient);
  }

  /** The endpoint gets nothing more, until `attach`. */
  detach(endpoint: EndpointId): void {
    const there = this.#parts.switch.at(endpoint);
    this.#lobby.delete(endpoint);
    this.#asked.delete(endpoint);
    if (there !== undefined) this.#parts.notifications.flush(there.user);
    if (there instanceof Replay) there.stop();
    this.#parts.switch.remove(endpoint);
  }

  #welcome(recipient: Recipient, { after }: Arrival): void {
    const { conference, voice, welcome } = this.#parts;
    const { texts } = voice;
    const { user, endpoint } = recipient;
    const tell = (text: string): void => {
      recipient.deliver(voice.line(text, recipient));
    };
    const entity = conference.endpoint(endpoint)?.entity;
    // RFC 7701 §6.1: he has to call himself so, and sees it nowhere else before he speaks.
    if (entity !== undefined && (entity !== user || isAnonymous(entity))) tell(texts.anonymous(entity));
    if (after !== undefined) return;
    if (!recipient.knowsRooms) tell(texts.thisIsARoom(this.#namesBut(user)));
    if (welcome.text !== undefined) tell(welcome.text);
    if (conference.subject !== undefined) tell(texts.subjectIs(conference.subject));
  }

  /** The names of those who are here, but for one: at most 50, and how many more. */
  #namesBut(user: UserUri): readonly string[] {
    const others = [...this.#parts.conference.users()].filter(
      (one) => one.user !== user && one.endpoints.some(isPresent),
    );
    const names = others.slice(0, MAX_NAMES).map((one) => nameOf(one) ?? one.entity);
    return others.length > MAX_NAMES ? [...names, `+${others.length - MAX_NAMES}`] : names;
  }

  #replay(recipient: Recipient, { wish, after, cameAt }: Arrival, asked = false): void {
    const { uri, conference, voice, fates, past, notifications, welcome, pump, now, warn } = this.#parts;
    const { texts } = voice;
    const present = eventNumber(conference.last);
    const replay: Replay = new Replay({
      past,
      recipient,
      policy: welcome.history,
      wish,
      after,
      present,
      cameAt,
      asked,
      now: now(),
      notifications,
      heading: (count, since, more) => {
        const which = asked ? 'asked' : after === undefined ? 'history' : 'missed';
        return voice.heading(texts[which](count, new Date(since), more), recipient, count);
      },
      instead: (why) =>
        why === 'coming'
          ? voice.line(texts.pastIsComing, recipient)
          : voice.line(texts.missedAllGone, recipient, [], present),
      given: fates.replaying(recipient),
      notWhole: (n) => {
        fates.failed(n, recipient.endpoint, { is: 'not taken', detail: 'came while it was under way' });
      },
      done: (fault) => {
        if (fault !== undefined) {
          warn(`${uri}: the past cannot be read: ${fault.message}`);
          recipient.deliver(voice.line(texts.pastUnreadable, recipient));
        }
        const { endpoint } = recipient;
        if (this.#parts.switch.at(endpoint) !== replay) return;
        this.#parts.switch.add(recipient);
        const next = this.#asked.get(endpoint);
        if (next !== undefined && this.#asked.delete(endpoint)) this.recall(endpoint, next);
      },
    });
    this.#parts.switch.add(replay);
    pump.add(replay);
  }
}

/** RFC 3323 §4.1.1.3: nobody's own address is there. */
function isAnonymous(user: UserUri): boolean {
  return user.endsWith('@anonymous.invalid');
}
