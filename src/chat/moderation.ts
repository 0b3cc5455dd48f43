/**
 * Moderation of one room: every order, whoever gives it and by whatever way, is judged by the same rules, becomes events
 * in the log, and leaves one line for the operator.
 */
import type { Conference } from '../conference/conference.ts';
import type { ConferenceEvent, Joined, Millis, Retracted, Said } from '../conference/events.ts';
import type { EndpointId, EventNumber, IpAddress, RoomUri, UserUri } from '../conference/ids.ts';
import { nicknameKey } from '../conference/nickname.ts';
import { Recent } from '../conference/recent.ts';
import type { Append } from '../log/room-log.ts';
import { MANAGE_RULES } from '../policy/manage.ts';
import type { Refusal } from '../policy/refusal.ts';
import type { RoomPolicy } from '../policy/room-policy.ts';
import { firstRefusal } from '../policy/rule.ts';
import { Coming } from './coming.ts';
import { type NoOrder, readCommand } from './commands.ts';
import type { Domains } from './domains.ts';
import { userPart } from './names.ts';
import { actOf, describeOrder, eventsOf, isMeantBy, type Order } from './orders.ts';
import type { ChatRefusal } from './refusals.ts';
import { Retractable } from './retractable.ts';
import type { Doors } from './rules.ts';

/** By what way an order came, for the operator's line. */
export type Way = 'chat' | 'INVITE' | 'REFER' | 'API' | 'clock' | 'policy';

/** Who gives an order: a user, or whoever runs the service. */
export type Commander = UserUri | 'administrator';

/** What became of an order. */
export type Carried = 'done' | ChatRefusal;

/** What moderation is made with. */
export interface ModerationParts {
  readonly uri: RoomUri;
  /** Knows the room by all its names, and people. */
  readonly domains: Pick<Domains, 'roomNamed' | 'personNamed' | 'peopleOf'>;
  readonly conference: Conference;
  readonly policy: RoomPolicy;
  readonly doors: Doors;
  readonly now: () => Millis;
  readonly append: Append;
  /** One line for each order, carried out or refused. */
  readonly audit: (line: string) => void;
}

/** Most names that are remembered, so that who has them can be meant when he has left. */
const REMEMBERED = 1000;

/** Carries orders out. */
export class Moderation {
  readonly #parts: ModerationParts;
  /** Who has which name, or had it last; asked only for those who are not here. */
  readonly #departed = new Recent<string, UserUri>(REMEMBERED);
  /** Who opens the conference is on his way to the log. */
  #opening = false;
  readonly #messages = new Retractable();
  readonly #coming = new Coming();

  constructor(parts: ModerationParts) {
    this.#parts = parts;
  }

  /**
   * Judges an order and carries it out, when those whom it concerns are in the roster who are on their way into it.
   * `settled` hears once, now or when the log has kept it.
   */
  order(by: Commander, order: Order, way: Way, settled: (carried: Carried) => void): void {
    const { conference } = this.#parts;
    const isAwaited = (join: Joined): boolean =>
      isMeantBy(order, join) || (join.user === by && conference.endpointsOf(join.user).length === 0);
    const carryOut = (): void => {
      this.#carryOut(by, order, way, settled);
    };
    if (!this.#coming.after(isAwaited, carryOut)) carryOut();
  }

  #carryOut(by: Commander, order: Order, way: Way, settled: (carried: Carried) => void): void {
    const { uri, domains, conference, now, audit } = this.#parts;
    const told = (carried: Carried): void => {
      const result = carried === 'done' ? 'done' : `refused: ${carried.refused}`;
      audit(`${by} by ${way}: ${describeOrder(order)}: ${result}`);
      settled(carried);
    };
    const { to, ...judged } = actOf(order);
    const toItself = to !== undefined && domains.roomNamed(to) === uri;
    const refusal: Refusal | undefined = firstRefusal(MANAGE_RULES, {
      conference,
      by,
      ...judged,
      toItself,
      now: now(),
    });
    if (refusal !== undefined) {
      told(refusal);
      return;
    }
    const events = eventsOf(order, conference, now(), by === 'administrator' ? undefined : by);
    this.#learnPin(order, events);
    if (events.length === 0) {
      told({ refused: 'recipient-unknown' });
      return;
    }
    this.#append(events, told);
  }

  #learnPin(order: Order, events: readonly ConferenceEvent[]): void {
    if (order.order !== 'pin' || order.pin === undefined) return;
    for (const event of events) {
      if (event.type === 'setting' && event.change.setting === 'pinHash' && event.change.value !== null) {
        this.#parts.doors.pins.learn(order.pin, event.change.value);
      }
    }
  }

  /** Judges who wants somebody called into the room. Undefined: it may be done. */
  mayInvite(by: Commander, target: UserUri): Refusal | undefined {
    const { conference, now } = this.#parts;
    return firstRefusal(MANAGE_RULES, { conference, by, act: 'invite', target, now: now() });
  }

  /** Somebody is called into the room, or is not for that reason: the line for the operator. */
  invited(by: Commander, target: string, way: Way, refusal: string | undefined): void {
    const result = refusal === undefined ? 'done' : `refused: ${refusal}`;
    this.#parts.audit(`${by} by ${way}: invite user=${JSON.stringify(target)}: ${result}`);
  }

  /** An order as it is written in the chat: `/kick Zoe`. What is none is answered with how to write it. */
  command(by: Commander, text: string, way: Way, settled: (carried: Carried | NoOrder) => void): void {
    const read = this.#read(by, text);
    if ('order' in read) {
      this.order(by, read, way, settled);
      return;
    }
    const again = (): void => {
      const late = this.#read(by, text);
      if ('order' in late) this.order(by, late, way, settled);
      else settled(late);
    };
    // He may be on his way into the roster.
    if (read.say !== 'nobody' || !this.#coming.after(() => true, again)) settled(read);
  }

  #read(by: Commander, text: string): Order | NoOrder {
    const { conference, domains, now } = this.#parts;
    const user = by === 'administrator' ? undefined : by;
    const departed = (name: string): UserUri | undefined => this.#departed.get(nameKey(name));
    return readCommand(text, { conference, user, now: now(), messages: this.#messages, domains, departed });
  }

  /** Somebody was not let in: a line for the operator, but not thousands of them. */
  turnedAway(
    { user, address }: { readonly user: UserUri; readonly address: IpAddress | undefined },
    { refused }: Refusal,
  ): void {
    if (this.#parts.doors.refusalLines.take('', this.#parts.now()) === 0) {
      this.#parts.audit(`${user} from ${address} is not let in: ${refused}`);
    }
  }

  /**
   * Somebody is about to be noted in the roster; gives what is to be noted. Who opens a conference that nobody owns gets
   * the role of its creator, and gets it first, so that no document shows him without it; nobody else could let him in.
   * `settled` of the join has to call `opened` with what was given.
   */
  opens(join: Joined): Joined {
    const { user } = join;
    const { conference, policy, append, now } = this.#parts;
    const isTaken = this.#opening || conference.startedAt !== undefined || conference.hasOwner;
    if (isTaken || policy.creatorRole === undefined) {
      this.#coming.begins(join);
      return join;
    }
    this.#opening = true;
    append({ type: 'role', at: now(), by: user, user, role: policy.creatorRole });
    const { status, ...rest } = join;
    const opening: Joined = status === 'pending' ? rest : join;
    this.#coming.begins(opening);
    return opening;
  }

  /** What became of a join is known: the next one finds the conference open, or opens it. */
  opened(join: Joined): void {
    this.#opening = false;
    this.#coming.ends(join);
  }

  /**
   * Takes note of what has happened: where the room's policy says so the conference ends when its creator leaves
   * (RFC 7701 §5.3).
   */
  heard(event: ConferenceEvent): void {
    this.#noteNames(event);
    if (event.type === 'left' && this.#parts.policy.endsWithCreator) this.#endWithCreator(event.endpoint);
  }

  #endWithCreator(endpoint: EndpointId): void {
    const { conference } = this.#parts;
    const { creator } = conference;
    if (creator === undefined || conference.endpoint(endpoint)?.user !== creator) return;
    if (conference.endpointsOf(creator).length > 0 || !conference.active) return;
    this.order('administrator', { order: 'end', reason: 'its creator has left' }, 'policy', () => undefined);
  }

  /** Notes under what names somebody is here, so that he can be meant when he has left. */
  #noteNames(event: ConferenceEvent): void {
    if (event.type !== 'joined' && event.type !== 'renamed') return;
    const { user } = event;
    const entity = event.type === 'joined' ? (event.alias ?? user) : user;
    const names = event.type === 'joined' ? [event.displayName, userPart(entity), entity] : [event.nickname];
    for (const name of names) if (name !== undefined) this.#departed.set(nameKey(name), user);
  }

  /** Notes what was said, so that it can be taken back. */
  remember(n: EventNumber, said: Said): void {
    this.#messages.note(n, said);
  }

  /** What was noted could not be kept. */
  unsaid(n: EventNumber): void {
    this.#messages.unsaid(n);
  }

  /** Notes what was taken back; gives the numbers of it that are remembered. */
  forget(retracted: Retracted): readonly EventNumber[] {
    return this.#messages.forget(retracted);
  }

  /** It is done when the last event is kept, and refused when one of them is not. */
  #append(events: readonly ConferenceEvent[], told: (carried: Carried) => void): void {
    let open = events.length;
    let failed: ChatRefusal | undefined;
    for (const event of events) {
      this.#parts.append(event, (outcome) => {
        open -= 1;
        if (typeof outcome !== 'number') failed ??= outcome;
        if (open === 0) told(failed ?? 'done');
      });
    }
  }
}

function nameKey(name: string): string {
  return nicknameKey(name) ?? name;
}
