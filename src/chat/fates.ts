/**
 * What became of each message for each recipient. That somebody got a message costs nothing to know: who was there is
 * noted once per message, in a list that all messages share until somebody comes or goes; only what went wrong is
 * written down.
 */
import type { Said } from '../conference/events.ts';
import type { EndpointId, EventNumber, MessageId, RoomUri, StreamId, UserUri } from '../conference/ids.ts';
import { isIdOf } from './copy.ts';
import type { Addressed, MsrpSwitch } from './switch.ts';

/** What became of a message for one recipient. */
export type Fate =
  /** Its peer has answered that it has it. */
  | { readonly is: 'delivered' }
  /** On its way: it waits to be sent, or for the answer. */
  | { readonly is: 'waiting'; readonly detail?: string }
  /** Sent again when the device came (back). */
  | { readonly is: 'replayed' }
  /** Its peer takes nothing of that type, or nothing so large: it was told of it in words at most. */
  | { readonly is: 'not taken'; readonly detail: string }
  /** The peer has answered with this status. */
  | { readonly is: 'refused'; readonly detail: string }
  /** Its beginning was delivered: the peer can be sent no text so long. */
  | { readonly is: 'cut' }
  /** Too much was waiting for a peer that reads too slowly. */
  | { readonly is: 'congested' }
  /** No answer came in time. */
  | { readonly is: 'unanswered' }
  /** It was taken back before it, or all of it, had gone out. */
  | { readonly is: 'taken back' }
  /** Its session was over before the answer. */
  | { readonly is: 'left' }
  /** Its sender gave up a large message, or was lost: nobody has got more than a part, or the line that stood for it. */
  | { readonly is: 'aborted' }
  /** Only on record: its device has since had, or refused, all up to this message and more. */
  | { readonly is: 'passed' }
  /** Only on record: it was in the room then. */
  | { readonly is: 'unknown'; readonly detail?: string };

/** What can be noted: what went wrong. */
export type Failure = Exclude<
  Fate,
  { readonly is: 'delivered' | 'waiting' | 'replayed' | 'aborted' | 'passed' | 'unknown' }
>;

/** One recipient of one message, and what became of it. */
export interface RecipientFate {
  readonly user: UserUri;
  readonly endpoint: EndpointId;
  readonly fate: Fate;
}

/** What is known of one message. */
export interface MessageFate {
  readonly room: RoomUri;
  readonly n: EventNumber;
  /** Who has said it, when, to whom, and under which id. */
  readonly said: Pick<Said, 'at' | 'by' | 'audience' | 'messageId'>;
  readonly recipients: readonly RecipientFate[];
  /** `log`: what became of it is not remembered, only that it was said, and what else is on record. */
  readonly from: 'memory' | 'log';
}

type SaidBriefly = MessageFate['said'];

/** A message without its content, of which a thousand would be more than all else that a room remembers. */
interface Entry extends SaidBriefly {
  readonly n: EventNumber;
  readonly author: EndpointId | undefined;
  readonly imdnId: MessageId | undefined;
  /** Those to whom it went; its sender's endpoint may be among them. */
  readonly to: readonly Addressed[];
  /** Of a large message: of the past there is no more than the line that stands for it. */
  readonly stream: StreamId | undefined;
  aborted: boolean;
  /** Once it was taken back: the replays that had passed it before. No later one has given it. */
  givenBefore?: readonly Stretch[];
  failures?: Map<EndpointId, Failure>;
}

/** A stretch of the past that was replayed to somebody. */
interface Stretch extends Addressed {
  readonly from: EventNumber;
  through: EventNumber;
}

/** How much is remembered of one room. */
export interface FatesLimits {
  /** Messages. Default 1000. */
  readonly messages: number;
  /** Replays. Default 1000. */
  readonly replays: number;
}

const DEFAULT_LIMITS: FatesLimits = { messages: 1000, replays: 1000 };

/** The fates of a room's latest messages. */
export class Fates {
  readonly #room: RoomUri;
  readonly #limits: FatesLimits;
  /** A ring: the oldest is where the next one goes. */
  readonly #entries: Entry[] = [];
  #next = 0;
  readonly #stretches: Stretch[] = [];
  readonly #failed: (failure: Failure) => void;

  /** `failed` is told of each failure, to be counted. */
  constructor(room: RoomUri, failed: (failure: Failure) => void, limits: Partial<FatesLimits> = {}) {
    this.#room = room;
    this.#failed = failed;
    this.#limits = { ...DEFAULT_LIMITS, ...limits };
  }

  /** A message goes out to these, a large one as a stream. The list is kept: it must not change any more. Its content is not. */
  sent(n: EventNumber, said: Said, to: readonly Addressed[], stream?: StreamId): void {
    const { at, by, audience, messageId, endpoint: author, imdnId } = said;
    this.#entries[this.#next] = { n, at, by, audience, messageId, author, imdnId, to, stream, aborted: false };
    this.#next = (this.#next + 1) % this.#limits.messages;
  }

  /** A message could not be delivered. */
  failed(n: EventNumber, endpoint: EndpointId, failure: Failure): void {
    const entry = this.#newest((each) => each.n === n);
    // A peer may say it twice: by its answer, and by a REPORT.
    if (entry?.failures?.get(endpoint)?.is === failure.is) return;
    this.#failed(failure);
    if (entry !== undefined) (entry.failures ??= new Map()).set(endpoint, failure);
  }

  /** The rest of a large message does not come. */
  aborted(stream: StreamId): void {
    const entry = this.#newest((each) => each.stream === stream);
    if (entry !== undefined) entry.aborted = true;
  }

  /** A message was taken back: from now on nobody is given it. */
  takenBack(n: EventNumber): void {
    const entry = this.#newest((each) => each.n === n);
    if (entry !== undefined) entry.givenBefore ??= this.#stretches.filter((stretch) => covers(stretch, entry));
  }

  /** Somebody begins to be given messages of the past. What comes back is to be told the number of each, in their order. */
  replaying({ user, endpoint }: Addressed): (n: EventNumber) => void {
    let stretch: Stretch | undefined;
    return (n) => {
      if (stretch !== undefined) {
        stretch.through = n;
        return;
      }
      stretch = { user, endpoint, from: n, through: n };
      this.#stretches.push(stretch);
      if (this.#stretches.length > this.#limits.replays) this.#stretches.shift();
    };
  }

  /**
   * The messages known by an id: their sender's Message-ID, the one under which the room sends them, or that of an IMDN
   * (RFC 5438 §6.3).
   * @param now who is delivered to now, and knows what is still on its way
   */
  find(id: string, now: Pick<MsrpSwitch, 'at' | 'isDeaf'>): readonly MessageFate[] {
    return this.#entries
      .filter((entry) => entry.messageId === id || entry.imdnId === id || isIdOf(id, entry.n, entry))
      .map((entry) => ({
        room: this.#room,
        n: entry.n,
        said: { at: entry.at, by: entry.by, audience: entry.audience, messageId: entry.messageId },
        recipients: this.#recipients(entry, now),
        from: 'memory',
      }));
  }

  /** Looks at the newest first: what fails, mostly fails soon. */
  #newest(isMeant: (entry: Entry) => boolean): Entry | undefined {
    const { length } = this.#entries;
    for (let i = 1; i <= length; i += 1) {
      const entry = this.#entries[(this.#next - i + length) % length];
      if (entry !== undefined && isMeant(entry)) return entry;
    }
    return undefined;
  }

  #recipients(entry: Entry, now: Pick<MsrpSwitch, 'at' | 'isDeaf'>): readonly RecipientFate[] {
    const { n, author, to, stream, aborted, givenBefore, failures } = entry;
    const got = aborted ? ABORTED : DELIVERED;
    const replayed = aborted ? ABORTED : stream === undefined ? REPLAYED : LINE_ONLY;
    const stretches = givenBefore ?? this.#stretches.filter((stretch) => covers(stretch, entry));
    const had = new Set(stretches.map(({ endpoint }) => endpoint));
    // Who could not hear it then is told of once: by what came of it later.
    const others = to.filter(({ endpoint, later }) => endpoint !== author && !(later === true && had.has(endpoint)));
    const first = others.map(({ user, endpoint, later }): RecipientFate => {
      const there = now.at(endpoint);
      if (there?.waits(n) === true) return { user, endpoint, fate: WAITING };
      const failure = failures?.get(endpoint);
      const isHeldBack = now.isDeaf(endpoint) && (later === true || comesAgain(failure));
      if (later !== true && !isHeldBack) return { user, endpoint, fate: failure ?? got };
      const fate = isHeldBack ? HELD_BACK : there === undefined ? LEFT : NOT_GIVEN;
      return { user, endpoint, fate: aborted ? ABORTED : givenBefore === undefined ? fate : TAKEN_BACK };
    });
    const again = stretches.map(({ user, endpoint }): RecipientFate => {
      const failure = failures?.get(endpoint);
      return { user, endpoint, fate: failure?.is === 'taken back' ? failure : replayed };
    });
    return [...first, ...again];
  }
}

const DELIVERED: Fate = { is: 'delivered' };
const WAITING: Fate = { is: 'waiting' };
const HELD_BACK: Fate = { is: 'waiting', detail: 'its line is on hold, lost, or not there yet' };
const LEFT: Fate = { is: 'left' };
const NOT_GIVEN: Fate = { is: 'not taken', detail: 'it has missed more than the room gives' };
const TAKEN_BACK: Fate = { is: 'taken back' };
const REPLAYED: Fate = { is: 'replayed' };
const ABORTED: Fate = { is: 'aborted' };
const LINE_ONLY: Fate = { is: 'not taken', detail: 'of the past there is only the line that stands for it' };

/** Whether it is sent again to who comes back: what was on its way, or was left out since too much was. */
const comesAgain = (failure: Failure | undefined): boolean =>
  failure?.is === 'left' || failure?.is === 'unanswered' || failure?.is === 'congested';

const covers = ({ from, through, user }: Stretch, entry: Entry): boolean =>
  from <= entry.n && entry.n <= through && concerns(entry, user);

const concerns = ({ audience, by }: SaidBriefly, user: UserUri): boolean =>
  audience.to === 'everyone' || audience.user === user || by === user;
