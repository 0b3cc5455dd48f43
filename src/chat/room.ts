import type { Conference } from '../conference/conference.ts';
import type { Audience, ConferenceEvent, Renamed, Said } from '../conference/events.ts';
import type { EndpointId, EventNumber, RoomUri, UserUri } from '../conference/ids.ts';
import { enforceNickname } from '../conference/nickname.ts';
import { isPresent } from '../conference/roster.ts';
import type { Logged, Outcome, RoomLog } from '../log/room-log.ts';
import { textOf } from '../../msrp/index.ts';
import { announcementOf } from './announcements.ts';
import { commandHelp, type NoOrder } from './commands.ts';
import { Copy } from './copy.ts';
import { type Domains, personKey } from './domains.ts';
import { asSaid, dispositionEvent, Dispositions, imdnIdOf } from './dispositions.ts';
import { Duplicates } from './duplicates.ts';
import { type Failure, Fates, type MessageFate } from './fates.ts';
import { Moderation } from './moderation.ts';
import { type Addressee, type Message, type Notification, type Posting, readPost } from './post.ts';
import { Past } from './past.ts';
import { Echoes } from './echoes.ts';
import { Quotes } from './quotes.ts';
import type { Recipient } from './recipient.ts';
import { type HistoryPolicy, type PastWish, Replay, type ReplayPump } from './replay.ts';
import { roomLine } from './room-line.ts';
import type { RoomPolicy } from '../policy/room-policy.ts';
import { type ChatRefusal, reasonOf } from './refusals.ts';
import { type Doors, RoomRules } from './rules.ts';
import type { Speaker } from './speaker.ts';
import { Streams } from './streams.ts';
import { MsrpSwitch } from './switch.ts';
import type { Texts } from './texts.ts';

/** What became of a posting: kept under a number, taken without a trace, or refused. */
export type Verdict = EventNumber | 'taken' | ChatRefusal;

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
}

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
 * The chat room of one conference: the decisions of RFC 7701 §6. A post is judged here and appended to the log; it
 * reaches people only when the log gives it back to `hear`.
 */
export class ChatRoom {
  readonly uri: RoomUri;
  readonly conference: Conference;
  /** What may say no here. */
  readonly rules: RoomRules;
  /** What became of what was said. */
  readonly fates: Fates;
  /** Mutes, kicks, locks… */
  readonly moderation: Moderation;
  /** The large messages on their way. */
  readonly streams: Streams;
  readonly #parts: ChatRoomParts;
  readonly #switch = new MsrpSwitch();
  readonly #duplicates: Duplicates;
  readonly #past: Past;
  readonly #dispositions = new Dispositions();
  readonly #quotes = new Quotes();
  readonly #echoes = new Echoes();
  /** Whom the URIs of those present mean, and by how many endpoints each is given. */
  readonly #present = new Map<string, { readonly user: UserUri; endpoints: number }>();
  /** Endpoints that speak for many. */
  readonly #bridges = new Set<EndpointId>();
  /** Endpoints that have been told that they must wait. */
  readonly #lobby = new Set<EndpointId>();
  /** Events given to the log whose fate is not known yet. */
  #underWay = 0;

  constructor(parts: ChatRoomParts) {
    this.uri = parts.uri;
    this.conference = parts.conference;
    this.rules = new RoomRules(parts.uri, parts.doors, parts.policy, parts.conference, parts.now);
    this.fates = new Fates(parts.uri, parts.deliveryFailed);
    this.#duplicates = new Duplicates(parts.duplicateWindow);
    this.#past = new Past(parts.log, parts.uri, (id) => this.#quotes.of(id));
    this.moderation = new Moderation({
      ...parts,
      audit: (line) => {
        parts.audit(`${parts.uri}: ${line}`);
      },
      append: (event, settled) => {
        this.append(event, settled);
      },
    });
    this.streams = new Streams({
      judge: (speaker, posting, size) => this.#judgeLarge(speaker, posting, size),
      duplicates: this.#duplicates,
      append: (event, settled) => {
        this.append(event, settled);
      },
      fanOut: (copy, stream) => {
        this.#note(copy);
        if (stream !== undefined) this.#switch.fanOut(copy, (recipient) => recipient.deliverLarge(copy, stream));
      },
      now: parts.now,
    });
    this.#parts = parts;
  }

  /** What the room says, in its language. */
  get texts(): Texts {
    return this.#parts.texts;
  }

  /** How many endpoints the room delivers to. */
  get recipients(): number {
    return this.#switch.size;
  }

  /** Whether something is on its way to the log. */
  get busy(): boolean {
    return this.#underWay > 0;
  }

  /** Makes the URIs of a speaker known as those of somebody who is here. */
  enter(speaker: Speaker): void {
    if (speaker.speaksForMany) this.#bridges.add(speaker.endpoint);
    for (const name of speaker.names) {
      const known = this.#present.get(name);
      if (known === undefined) this.#present.set(name, { user: speaker.user, endpoints: 1 });
      else known.endpoints += 1;
    }
  }

  /** Takes back `enter`, and delivers nothing more to the endpoint. */
  leave(speaker: Speaker): void {
    this.detach(speaker.endpoint);
    this.#bridges.delete(speaker.endpoint);
    for (const name of speaker.names) {
      const known = this.#present.get(name);
      if (known === undefined) continue;
      known.endpoints -= 1;
      if (known.endpoints === 0) this.#present.delete(name);
    }
  }

  /** Whether what comes from an endpoint names its real author itself. */
  speaksForMany(endpoint: EndpointId | undefined): boolean {
    return endpoint !== undefined && this.#bridges.has(endpoint);
  }

  /**
   * From now on the recipient gets what is said; before that, when it arrives, what the room says to newcomers and what
   * it has missed. One that is attached already stays as it is; one that waits in the lobby is told so, and comes again.
   */
  attach(recipient: Recipient, arrival?: Arrival): void {
    const there = this.#switch.at(recipient.endpoint);
    if (there === recipient || (there instanceof Replay && there.recipient === recipient)) return;
    if (this.conference.endpoint(recipient.endpoint)?.status === 'pending') {
      if (!this.#lobby.has(recipient.endpoint)) recipient.deliver(this.#line(this.#parts.texts.inLobby, recipient));
      this.#lobby.add(recipient.endpoint);
      return;
    }
    if (this.#lobby.delete(recipient.endpoint)) recipient.deliver(this.#line(this.#parts.texts.admitted, recipient));
    this.detach(recipient.endpoint);
    if (arrival === undefined) this.#switch.add(recipient);
    else this.#welcome(recipient, arrival);
  }

  /** The endpoint gets nothing more, until `attach`. */
  detach(endpoint: EndpointId): void {
    const there = this.#switch.at(endpoint);
    this.#lobby.delete(endpoint);
    if (there instanceof Replay) there.stop();
    this.#switch.remove(endpoint);
  }

  /** The room itself says something, to all or to one endpoint. It is not kept. */
  tell(text: string, to?: EndpointId): void {
    const lines = new Map<string, Copy>();
    const there = to === undefined ? this.#switch.all() : [this.#switch.at(to)];
    for (const recipient of there) {
      if (recipient === undefined) continue;
      let line = lines.get(recipient.roomUri);
      if (line === undefined) {
        line = this.#line(text, recipient);
        lines.set(recipient.roomUri, line);
      }
      recipient.deliver(line);
    }
  }

  /** What became of the messages known by an id; those of the last while. */
  why(id: string): readonly MessageFate[] {
    return this.fates.find(id, (endpoint) => this.#switch.at(endpoint));
  }

  /** What a user is called here: nickname, display name or URI as the roster shows it. */
  nameOf(user: UserUri): string {
    const entity = this.conference.endpointsOf(user)[0]?.entity;
    const shown = entity === undefined ? undefined : this.conference.participant(entity);
    return shown?.nickname ?? shown?.displayName ?? entity ?? user;
  }

  /**
   * Somebody says something. `settled` hears the verdict once, now or when the log has kept it; the sender's 2xx waits for
   * that. Nothing is awaited before the log has numbered it, so what one sender says keeps its order.
   */
  post(speaker: Speaker, posting: Posting, settled: (verdict: Verdict) => void): void {
    const post = readPost(posting, speaker, (uri) => this.#addressee(uri));
    if ('refused' in post) {
      settled(post);
      return;
    }
    if (post.kind === 'noise') {
      settled('taken');
      return;
    }
    if (speaker.outside === true && post.kind !== 'message') {
      settled({ refused: 'not-here' });
      return;
    }
    if (post.kind === 'command') {
      this.#command(speaker, textOf(post.cpim), settled);
      return;
    }
    if (post.kind === 'disposition') {
      this.#report(speaker, posting, post, settled);
      return;
    }
    // What was said once stays said: no rule is asked again about a message that is only sent again.
    if (post.kind === 'message' && this.#duplicates.repeats(speaker.user, posting.messageId, settled)) return;
    const refusal = this.#objection(speaker, post.audience, post.kind, posting.body.length);
    if (post.kind === 'message') {
      this.#say(speaker, posting, post, refusal);
      return;
    }
    if (refusal === undefined) this.#switch.fanOut(new Copy(this.#said(speaker, posting, post)));
    // A sign of writing that comes too fast is passed over: nobody misses it.
    settled(refusal === undefined || refusal.refused === 'too-fast' ? 'taken' : refusal);
  }

  #say(speaker: Speaker, posting: Posting, post: Message, refusal: ChatRefusal | undefined): void {
    const { user } = speaker;
    const { messageId } = posting;
    const objection = refusal ?? this.#echo(speaker, post);
    if (objection !== undefined) {
      this.#duplicates.settle(user, messageId, objection);
      return;
    }
    this.append(this.#said(speaker, posting, post), (outcome) => {
      const verdict =
        typeof outcome === 'number' ? outcome : ({ refused: 'not-kept', reason: outcome.reason } as const);
      this.#duplicates.settle(user, messageId, verdict);
    });
  }

  /** Two rooms joined to each other must not talk for ever. */
  #echo({ endpoint, user }: Speaker, { audience, cpim }: Message): ChatRefusal | undefined {
    if (audience.to !== 'everyone') return undefined;
    const echo = this.#echoes.judge(endpoint, cpim, this.#parts.now());
    if (echo === 'fine') return undefined;
    if (echo === 'first') this.#parts.warn(`${this.uri}: ${user} gives back what others say: a loop, not said again`);
    return { refused: 'loop', reason: 'A loop: this was just said here' };
  }

  /** RFC 7701 §6.2: what the room forbids (403), who is not here (404), who cannot take it (428). */
  #objection(by: Speaker, audience: Audience, kind: 'message' | 'typing', size: number): ChatRefusal | undefined {
    const refusal = this.rules.speak(by, audience, kind, size);
    if (refusal !== undefined || audience.to === 'everyone') return refusal;
    if ([...this.#switch.of(audience.user)].some((device) => device.takesPrivate)) return undefined;
    return { refused: 'recipient-takes-no-private', reason: 'Nobody can write to this participant alone' };
  }

  /** Sends a notification to the author of the message that it is about (RFC 5438). */
  #report(speaker: Speaker, posting: Posting, post: Notification, settled: (verdict: Verdict) => void): void {
    const refusal = this.rules.speak(speaker, EVERYONE, post.kind, posting.body.length);
    const route = refusal === undefined ? this.#dispositions.route(speaker.user, post.imdn) : 'nowhere';
    if (refusal !== undefined) settled(refusal);
    else if (route === 'nowhere') settled('taken');
    else if (route === 'not-yours' || !this.#means(post.to, route.to)) settled({ refused: 'recipient-unknown' });
    else {
      const event = dispositionEvent(speaker, posting, post, route.to, this.#parts.now());
      this.append(event, (outcome) => {
        settled(typeof outcome === 'number' ? outcome : { refused: 'not-kept', reason: outcome.reason });
      });
    }
  }

  /** Whether a To of a notification fits its addressee: his URI, or the room's. */
  #means(to: string, user: UserUri): boolean {
    const key = personKey(to);
    if (this.#parts.domains.roomNamed(to) === this.uri || key === personKey(user)) return true;
    return key !== undefined && this.#present.get(key)?.user === user;
  }

  /**
   * Somebody asks for a nickname, or gives it up with '' (RFC 7701 §7). `settled` hears once, now or when the log has kept
   * it, whether it is his.
   */
  rename(speaker: Speaker, wanted: string, settled: (refusal?: ChatRefusal) => void): void {
    const { conference } = this;
    const nickname = wanted === '' ? undefined : enforceNickname(wanted);
    const refusal = wanted === '' ? undefined : this.rules.nickname(speaker.user, wanted);
    if (refusal !== undefined) {
      settled(refusal);
      return;
    }
    const entity = conference.endpoint(speaker.endpoint)?.entity;
    if (entity === undefined) {
      settled({ refused: 'not-here' });
      return;
    }
    if (conference.participant(entity)?.nickname === nickname) {
      settled();
      return;
    }
    const { user, endpoint } = speaker;
    const event: Renamed = { type: 'renamed', at: this.#parts.now(), user, endpoint, by: user };
    this.append(nickname === undefined ? event : { ...event, nickname }, (outcome) => {
      if (typeof outcome !== 'number') settled({ refused: 'not-kept', reason: outcome.reason });
      // Two may have asked in the same moment; the log has decided.
      else if (nickname !== undefined && conference.nicknameHolder(nickname) !== user) {
        settled({ refused: 'nickname-taken' });
      } else settled();
    });
  }

  /** Ends the conference when its time is over. */
  endInTime(): void {
    const { conference, moderation } = this;
    if (!conference.active || (conference.setting('endsAt') ?? Infinity) > this.#parts.now() || this.busy) return;
    moderation.order('administrator', { order: 'end', reason: 'its time is over' }, 'clock', ignore);
  }

  /** Gives an event to the log. `settled` hears once, now or later, what became of it. */
  append(event: ConferenceEvent, settled: (outcome: Outcome) => void = ignore): void {
    const settle = (outcome: Outcome): void => {
      this.#underWay -= 1;
      settled(outcome);
      if (this.#underWay === 0) this.#parts.onIdle?.();
    };
    this.#underWay += 1;
    const outcome = this.#parts.log.append(this.uri, event, settle);
    if (typeof outcome !== 'number') settle(outcome);
  }

  /** Takes an event back from the log: state first, then the people. Tells whether the roster shows it. */
  hear({ n, event }: Logged): boolean {
    const changed = this.conference.apply(event, n);
    this.#past.hear({ n, event });
    if (event.type === 'said') {
      const copy = new Copy(event, n, (id) => this.#quotes.of(id));
      this.#note(copy);
      this.#switch.fanOut(copy);
      return changed;
    }
    this.streams.hear({ n, event });
    if (event.type === 'disposition') this.#switch.give(event.to, new Copy(asSaid(event), n));
    this.moderation.heard(event);
    const said = announcementOf(event, this.conference, this.#parts.texts, (user) => this.nameOf(user));
    if (said?.to === undefined) {
      if (said !== undefined) this.tell(said.text);
    } else for (const endpoint of said.to) this.tell(said.text, endpoint);
    return changed;
  }

  /** Notes what will be asked about a message that goes out. */
  #note({ n, said }: Copy): void {
    this.moderation.remember(said);
    this.#dispositions.note(said);
    if (n !== undefined) this.fates.sent(n, said, this.#switch.addressed(said));
    this.#quotes.note(said);
  }

  /** Reads and judges a message by its beginning. What programs say to programs is never so large. */
  #judgeLarge(speaker: Speaker, posting: Posting, size: number): Message | ChatRefusal {
    const post = readPost(posting, speaker, (uri) => this.#addressee(uri));
    if ('refused' in post) return post;
    if (post.kind !== 'message') return { refused: 'head-too-large', reason: `too large for ${post.wrappedType}` };
    return this.#objection(speaker, post.audience, post.kind, size) ?? post;
  }

  /** Notes a message of the past, so that it is known when it is sent again. */
  remember({ n, event }: Logged): void {
    if (event.type !== 'said') return;
    this.#duplicates.restore(event.by, event.messageId, n);
    this.#dispositions.note(event);
    this.#quotes.note(event);
    this.moderation.remember(event);
  }

  /** The names of those who are here, but for one: at most 50, and how many more. */
  #namesBut(user: UserUri): readonly string[] {
    const others = [...this.conference.users()].filter((one) => one.user !== user && one.endpoints.some(isPresent));
    const names = others.slice(0, MAX_NAMES).map((one) => one.nickname ?? one.displayName ?? one.entity);
    return others.length > MAX_NAMES ? [...names, `+${others.length - MAX_NAMES}`] : names;
  }

  #welcome(recipient: Recipient, { wish, after }: Arrival): void {
    const { welcome, texts, now, pump, warn } = this.#parts;
    const { user, endpoint } = recipient;
    const entity = this.conference.endpoint(endpoint)?.entity;
    // RFC 7701 §6.1: he has to call himself so, and sees it nowhere else before he speaks.
    if (entity !== undefined && entity !== user) recipient.deliver(this.#line(texts.anonymous(entity), recipient));
    if (after === undefined) {
      const { subject } = this.conference;
      if (!recipient.knowsRooms) {
        recipient.deliver(this.#line(texts.thisIsARoom(this.#namesBut(recipient.user)), recipient));
      }
      if (welcome.text !== undefined) recipient.deliver(this.#line(welcome.text, recipient));
      if (subject !== undefined) recipient.deliver(this.#line(texts.subjectIs(subject), recipient));
    }
    const replay: Replay = new Replay({
      past: this.#past,
      recipient,
      policy: welcome.history,
      wish,
      after,
      now: now(),
      heading: (count, since, missed) =>
        this.#line(missed ? texts.missed(count, new Date(since)) : texts.history(count, new Date(since)), recipient),
      chosen: (copies) => {
        const [from, through] = [copies[0]?.n, copies.at(-1)?.n];
        if (from !== undefined && through !== undefined) this.fates.replayed(recipient, from, through);
      },
      done: (fault) => {
        if (fault !== undefined) warn(`${this.uri}: the past cannot be read: ${fault.message}`);
        if (this.#switch.at(recipient.endpoint) === replay) this.#switch.add(recipient);
      },
    });
    this.#switch.add(replay);
    pump.add(replay);
  }

  /** An order in the chat: what comes of it, the one who gave it is told; what it changes, all see. */
  #command(speaker: Speaker, text: string, settled: (verdict: Verdict) => void): void {
    const { texts } = this.#parts;
    const tell = (line: string): void => {
      this.tell(line, speaker.endpoint);
    };
    const refusal = this.rules.pace(speaker.user);
    if (refusal !== undefined) {
      settled(refusal);
      return;
    }
    this.moderation.command(speaker.user, text, 'chat', (result) => {
      if (result === 'done') settled('taken');
      else if ('refused' in result) {
        tell(reasonOf(result));
        settled(result);
      } else {
        tell(answerTo(result, texts));
        settled('taken');
      }
    });
  }

  #line(text: string, { roomUri }: Recipient): Copy {
    return roomLine(this.uri, roomUri, text, this.#parts.now());
  }

  #said(speaker: Speaker, posting: Posting, post: Message): Said {
    const imdnId = imdnIdOf(post.cpim);
    return {
      type: 'said',
      at: this.#parts.now(),
      by: speaker.user,
      endpoint: speaker.endpoint,
      messageId: posting.messageId,
      audience: post.audience,
      contentType: posting.contentType,
      wrappedType: post.wrappedType,
      cpim: posting.body,
      ...(imdnId === undefined ? {} : { imdnId }),
    };
  }

  /** RFC 7701 §6.1, §6.2: the room, one participant, or nobody we know. */
  #addressee(uri: string): Addressee {
    if (this.#parts.domains.roomNamed(uri) === this.uri) return EVERYONE;
    const key = personKey(uri);
    const known = key === undefined ? undefined : this.#present.get(key);
    if (known === undefined) return { refused: 'recipient-unknown' };
    return { to: 'user', user: known.user };
  }
}

function answerTo(no: NoOrder, texts: Texts): string {
  switch (no.say) {
    case 'help':
      return commandHelp();
    case 'usage':
      return texts.usage(no.usage);
    case 'nobody':
      return texts.nobody(no.name);
    case 'several':
      return texts.several(no.name);
  }
}

const EVERYONE = { to: 'everyone' } as const;
/** How many people are named to who does not see the roster. */
const MAX_NAMES = 50;

function ignore(): void {
  // Nobody waits for the outcome.
}
