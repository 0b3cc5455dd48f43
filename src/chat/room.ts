import { parseCpim } from '../../msrp/index.ts';
import type { Conference } from '../conference/conference.ts';
import type { ConferenceEvent, Retracted, Said } from '../conference/events.ts';
import type { EventNumber, RoomUri, StreamId } from '../conference/ids.ts';
import type { Append, Logged, Outcome, RoomLog } from '../log/room-log.ts';
import type { RoomPolicy } from '../policy/room-policy.ts';
import { Aggregation, DEFAULT_AGGREGATION } from './aggregation.ts';
import { Arrivals, type Welcome } from './arrivals.ts';
import { Copy } from './copy.ts';
import { asSaid, Dispositions } from './dispositions.ts';
import type { Domains } from './domains.ts';
import { Duplicates } from './duplicates.ts';
import { type Failure, Fates, type MessageFate } from './fates.ts';
import { noteOf } from './large-copy.ts';
import { Moderation } from './moderation.ts';
import { shownName } from './names.ts';
import { Past } from './past.ts';
import { Posts } from './posts.ts';
import { Present } from './present.ts';
import { Quotes } from './quotes.ts';
import type { ReplayPump } from './replay-pump.ts';
import { type Doors, RoomRules } from './rules.ts';
import { Streams } from './streams.ts';
import { MsrpSwitch } from './switch.ts';
import type { Texts } from './texts.ts';
import { Voice } from './voice.ts';

/** What a room is made with. */
export interface ChatRoomParts {
  readonly uri: RoomUri;
  readonly conference: Conference;
  readonly log: RoomLog;
  readonly domains: Domains;
  readonly policy: RoomPolicy;
  readonly doors: Doors;
  readonly welcome: Welcome;
  /** Runs the replays of all rooms. */
  readonly pump: ReplayPump;
  readonly texts: Texts;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Nothing is on its way to the log any more. */
  readonly onIdle?: () => void;
  /** A line for the operator. */
  readonly warn: (line: string) => void;
  /** A message could not be delivered; for counting. */
  readonly deliveryFailed: (failure: Failure) => void;
  /** Messages that are known again when they are sent again. */
  readonly duplicateWindow: number;
  /** A line for the operator on each order that somebody has given here. */
  readonly audit: (line: string) => void;
}

/**
 * The chat room of one conference: its parts, and the way between them. What they decide is appended to the log; it
 * reaches people only when the log gives it back to `hear`.
 */
export class ChatRoom {
  readonly uri: RoomUri;
  readonly conference: Conference;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** What may say no here. */
  readonly rules: RoomRules;
  /** Who is here, by their URIs. */
  readonly present: Present;
  /** Who begins to hear what is said here. */
  readonly arrivals: Arrivals;
  /** What is said here. */
  readonly posts: Posts;
  /** The large messages on their way. */
  readonly streams: Streams;
  /** What became of what was said. */
  readonly fates: Fates;
  /** What the room itself says. */
  readonly voice: Voice;
  /** Mutes, kicks, locks… */
  readonly moderation: Moderation;
  readonly #parts: ChatRoomParts;
  readonly #switch = new MsrpSwitch();
  readonly #duplicates: Duplicates;
  readonly #past: Past;
  readonly #quotes = new Quotes();
  readonly #quoteOf = (id: string): string | undefined => this.#quotes.of(id);
  readonly #dispositions = new Dispositions();
  readonly #notifications: Aggregation;
  /** Events given to the log whose fate is not known yet. */
  #underWay = 0;

  constructor(parts: ChatRoomParts) {
    const { uri, conference, domains, now } = parts;
    this.#parts = parts;
    this.uri = uri;
    this.conference = conference;
    this.now = now;
    this.rules = new RoomRules(uri, parts.doors, parts.policy, conference, now);
    this.present = new Present(uri, domains);
    this.fates = new Fates(uri, parts.deliveryFailed);
    this.voice = new Voice(parts, this.#switch);
    this.#past = new Past(parts.log, uri, this.#quoteOf);
    const { rules, present, fates, voice } = this;
    const append: Append = (event, settled) => {
      this.append(event, settled);
    };
    this.moderation = new Moderation({
      ...parts,
      audit: (line) => {
        parts.audit(`${uri}: ${line}`);
      },
      append,
    });
    this.#notifications = new Aggregation({
      room: uri,
      limits: { ...DEFAULT_AGGREGATION, period: parts.policy.notificationPeriod },
      now,
      recipientsOf: (user) => this.#switch.of(user),
      shown: (user) => conference.endpointsOf(user)[0]?.entity ?? user,
    });
    const heard = { past: this.#past, notifications: this.#notifications };
    this.arrivals = new Arrivals({ ...parts, ...heard, switch: this.#switch, voice, fates });
    const duplicates = (this.#duplicates = new Duplicates(parts.duplicateWindow));
    const { moderation } = this;
    const judges = { rules, present, moderation, duplicates, dispositions: this.#dispositions };
    this.posts = new Posts({
      ...parts,
      ...judges,
      switch: this.#switch,
      voice,
      recall: (endpoint, wish) => this.arrivals.recall(endpoint, wish),
      append,
    });
    this.streams = new Streams({
      judge: (speaker, posting, size) => this.posts.judgeLarge(speaker, posting, size),
      duplicates,
      append,
      fanOut: (copy, stream) => {
        this.#note(copy, copy.opened.stream);
        if (stream !== undefined) this.#switch.fanOut(copy, (recipient) => recipient.deliverLarge(copy, stream));
      },
      aborted: (id) => {
        fates.aborted(id);
      },
      abortedFor: (told, copy, reason) => {
        const text = voice.texts.aborted(copy.text?.text ?? '', shownName(conference, copy.said), reason);
        for (const endpoint of told) voice.tell(text, endpoint);
      },
      now,
    });
  }

  /** How many endpoints the room delivers to. */
  get recipients(): number {
    return this.#switch.size;
  }

  /** Whether something is on its way to the log. */
  get busy(): boolean {
    return this.#underWay > 0;
  }

  /** What became of the messages known by an id; those of the last while. */
  why(id: string): readonly MessageFate[] {
    return this.fates.find(id, this.#switch);
  }

  /** Ends the conference when its time is over. */
  endInTime(): void {
    const { conference, moderation } = this;
    if (!conference.active || (conference.setting('endsAt') ?? Infinity) > this.now() || this.busy) return;
    moderation.order('administrator', { order: 'end', reason: 'its time is over' }, 'clock', ignore);
  }

  /** Gives an event to the log. `settled` hears once, now or later, what became of it. */
  append(given: ConferenceEvent, settled: (outcome: Outcome) => void = ignore): void {
    const event = given.type === 'joined' ? this.moderation.opens(given) : given;
    let n: EventNumber | undefined;
    const settle = (outcome: Outcome): void => {
      if (typeof outcome !== 'number' && n !== undefined) this.moderation.unsaid(n);
      this.#underWay -= 1;
      settled(outcome);
      if (event.type === 'joined') this.moderation.opened(event);
      if (this.#underWay === 0) this.#parts.onIdle?.();
    };
    this.#underWay += 1;
    const outcome = this.#parts.log.append(this.uri, event, settle);
    if (typeof outcome !== 'number') settle(outcome);
    else {
      n = outcome;
      this.#expect(n, event);
    }
  }

  /** Who has said it may take it back by his very next words, before it is kept. */
  #expect(n: EventNumber, event: ConferenceEvent): void {
    if (event.type === 'said') this.moderation.remember(n, event);
    if (event.type === 'opened') this.moderation.remember(n, noteOf(event));
  }

  /** Takes an event back from the log: state first, then the people. Tells whether the roster shows it. */
  hear(logged: Logged): boolean {
    const { n, event } = logged;
    const changed = this.conference.apply(event, n);
    this.#past.hear(logged);
    if (event.type === 'said') {
      const copy = new Copy(event, n, this.#quoteOf);
      this.#note(copy);
      this.#switch.fanOut(copy);
      return changed;
    }
    this.streams.hear(logged);
    if (event.type === 'retracted') this.#takeBack(event);
    if (event.type === 'disposition') {
      const all = this.#dispositions.completes(event, this.conference.userCount - 1);
      this.#notifications.take(new Copy(asSaid(event), n), event.to, all);
    }
    this.moderation.heard(event);
    this.voice.announce(event);
    return changed;
  }

  /** Notes what will be asked about a message that goes out. */
  #note({ n, said }: Copy, stream?: StreamId): void {
    if (n === undefined) return;
    this.fates.sent(n, said, this.#switch.addressed(said), stream);
    this.#remember(n, said);
  }

  /** Notes the messages of the past, so that they are known when they are sent again. */
  restore(past: readonly Logged[]): void {
    // Of a large one that has no end nobody has the whole: it may be said again.
    const ended = new Set(past.map(({ event }) => (event.type === 'closed' ? event.stream : undefined)));
    for (const { n, event } of past) {
      if (event.type === 'retracted') this.#forget(event);
      if (event.type === 'said') {
        this.#duplicates.restore(event.by, event.messageId, parseCpim(event.cpim).content, n);
        this.#remember(n, event);
      } else if (event.type === 'opened' && ended.has(event.stream)) {
        const { fingerprint } = event;
        if (fingerprint !== undefined) this.#duplicates.restore(event.by, event.messageId, { fingerprint }, n);
        this.#remember(n, noteOf(event));
      }
    }
  }

  #remember(n: EventNumber, said: Said): void {
    this.#dispositions.note(said);
    this.moderation.remember(n, said);
    this.#quotes.note(said);
  }

  /** Nobody is sent any more what still waits for somebody. */
  #takeBack(retracted: Retracted): void {
    for (const n of this.#forget(retracted)) {
      this.streams.takeBack(n);
      this.fates.takenBack(n);
      for (const recipient of this.#switch.all()) recipient.takeBack(n);
    }
  }

  #forget(retracted: Retracted): readonly EventNumber[] {
    this.#quotes.forget(retracted);
    return this.moderation.forget(retracted);
  }
}

function ignore(): void {
  // Nobody waits for the outcome.
}
