/** Notifications about one message that reach its author together (RFC 5438 §8.3), where the room has it so. */
import { randomBytes } from 'node:crypto';
import {
  AGGREGATE_MEDIA_TYPE,
  contentOf,
  formatAggregate,
  formatCpim,
  formatImdn,
  IMDN_MEDIA_TYPE,
  imdnExtensions,
  MsrpError,
  newMessageId,
  parseCpim,
  parseImdn,
} from '../../msrp/index.ts';
import type { Millis, Said } from '../conference/events.ts';
import { type EventNumber, messageId, type MessageId, type RoomUri, type UserUri, userUri } from '../conference/ids.ts';
import { Copy } from './copy.ts';
import { personKey } from './domains.ts';
import type { Recipient } from './recipient.ts';

/** How much waits, and how long. */
export interface AggregationLimits {
  /** Milliseconds for which the first notification about a message waits for others; 0: none waits. Default 0. */
  readonly period: Millis;
  /** Notifications that go together. Default 100. */
  readonly together: number;
  /** Octets of them. Default 64 KiB. */
  readonly bytes: number;
  /** Messages that notifications wait for; beyond it the oldest go. Default 1000. */
  readonly messages: number;
}

/** The limits unless told otherwise. */
export const DEFAULT_AGGREGATION: AggregationLimits = {
  period: 0,
  together: 100,
  bytes: 64 * 1024,
  messages: 1000,
};

/** What an aggregation is made with. */
export interface AggregationParts {
  readonly room: RoomUri;
  readonly limits: AggregationLimits;
  readonly now: () => Millis;
  /** All endpoints through which a user is reached now. */
  readonly recipientsOf: (user: UserUri) => Iterable<Recipient>;
  /** The URI under which others know a user. */
  readonly shown: (user: UserUri) => string;
}

/** Several notifications in one message; its number is that of the first. */
export class Aggregate extends Copy {
  /** The notifications, each by itself. */
  readonly apart: readonly Copy[];

  constructor(said: Said, apart: readonly Copy[]) {
    super(said, apart[0]?.n);
    this.apart = apart;
  }

  /** The number of the last. */
  override get through(): EventNumber | undefined {
    return this.apart.at(-1)?.n;
  }

  override get text(): undefined {
    return undefined;
  }
}

/** The notifications that a copy brings, each by itself; none for what people say. */
export function notificationsIn(copy: Copy): readonly Copy[] {
  if (copy instanceof Aggregate) return copy.apart;
  return copy.said.wrappedType === IMDN_MEDIA_TYPE ? [copy] : [];
}

/** A notification, and its XML as it may stand among others; without that it goes alone. */
interface Single {
  readonly copy: Copy;
  readonly payload: Uint8Array | undefined;
}

/** What waits for one author about one message. */
interface Held {
  readonly to: UserUri;
  readonly timer: NodeJS.Timeout;
  readonly singles: Single[];
  bytes: number;
}

/**
 * Holds the notifications of one room until they go together: when everybody has told, when the time is over or there are
 * enough, and when a device of the author comes or goes. The log has them all before: what waits here is not all there is.
 */
export class Aggregation {
  readonly #parts: AggregationParts;
  /** By the message that they are about; the oldest first. */
  readonly #held = new Map<MessageId, Held>();

  constructor(parts: AggregationParts) {
    this.#parts = parts;
  }

  /**
   * A notification, as its author's devices are sent it, is to be delivered.
   * @param last nobody is left who might tell the same of this message
   */
  take(copy: Copy, to: UserUri, last: boolean): void {
    const { limits } = this.#parts;
    const payload = limits.period === 0 ? undefined : payloadOf(copy);
    if (payload === undefined) {
      this.#give(to, [{ copy, payload }]);
      return;
    }
    const about = copy.said.messageId;
    let held = this.#held.get(about);
    if (held === undefined) {
      const timer = setTimeout(() => this.#release(about), Math.min(limits.period, LONGEST_TIMER));
      held = { to, timer, singles: [], bytes: 0 };
      this.#held.set(about, held);
      const [oldest] = this.#held.keys();
      if (this.#held.size > limits.messages && oldest !== undefined) this.#release(oldest);
    }
    held.singles.push({ copy, payload });
    held.bytes += payload.length;
    if (last || held.singles.length >= limits.together || held.bytes >= limits.bytes) this.#release(about);
  }

  /** Gives a user all that waits for him. */
  flush(user: UserUri): void {
    for (const [about, { to }] of this.#held) if (to === user) this.#release(about);
  }

  /** Puts notifications together that a recipient is given later, those about one message in one. */
  gather(copies: readonly Copy[], recipient: Recipient): readonly Copy[] {
    const { period, together } = this.#parts.limits;
    if (period === 0) return copies;
    const open = new Map<MessageId, Single[]>();
    const groups: Single[][] = [];
    for (const copy of copies) {
      const single = { copy, payload: payloadOf(copy) };
      const group = single.payload === undefined ? undefined : open.get(copy.said.messageId);
      if (group !== undefined && group.length < together) group.push(single);
      else {
        const begun = [single];
        groups.push(begun);
        if (single.payload !== undefined) open.set(copy.said.messageId, begun);
      }
    }
    return groups.map((group) => this.#inOne(group, recipient));
  }

  #release(about: MessageId): void {
    const held = this.#held.get(about);
    if (held === undefined) return;
    this.#held.delete(about);
    clearTimeout(held.timer);
    this.#give(held.to, held.singles);
  }

  /** To all devices of a user; the same message for those that know the room under the same URI. */
  #give(user: UserUri, singles: readonly Single[]): void {
    const made = new Map<string, Copy>();
    for (const recipient of this.#parts.recipientsOf(user)) {
      const copy = made.get(recipient.roomUri) ?? this.#inOne(singles, recipient);
      made.set(recipient.roomUri, copy);
      recipient.deliver(copy);
    }
  }

  #inOne(singles: readonly Single[], { user, roomUri }: Recipient): Copy {
    const [only, ...others] = singles;
    if (only !== undefined && others.length === 0) return only.copy;
    const { room, now, shown } = this.#parts;
    const { contentType, content } = formatAggregate(
      singles.map(({ payload }) => payload).filter((payload) => payload !== undefined),
    );
    const at = now();
    const cpim = formatCpim({
      from: { uri: roomUri },
      to: [{ uri: shown(user) }],
      dateTime: new Date(at),
      extensions: imdnExtensions({ messageId: newMessageId() }),
      contentType,
      mimeHeaders: [{ name: 'Content-Disposition', value: 'notification' }],
      content,
    });
    const said: Said = {
      type: 'said',
      at,
      by: userUri(room),
      messageId: messageId(randomBytes(12).toString('hex')),
      audience: { to: 'user', user },
      contentType: 'message/cpim',
      wrappedType: AGGREGATE_MEDIA_TYPE,
      cpim,
    };
    return new Aggregate(
      said,
      singles.map(({ copy }) => copy),
    );
  }
}

/** A longer one would fire at once. */
const LONGEST_TIMER = 2 ** 31 - 1;

/**
 * The XML of a notification as it may stand among others: as it was received, when it names its sender, whose From has
 * been verified. One that names somebody else, or the room (RFC 5438 §11.1.3: the To of the message), is given its
 * sender's URI, without which the author could not tell whose it is (§7.1.2). Undefined when that cannot be done.
 */
function payloadOf({ said }: Copy): Uint8Array | undefined {
  try {
    const cpim = parseCpim(said.cpim);
    const { from } = cpim;
    const content = contentOf(cpim);
    const imdn = parseImdn(content);
    if (from === undefined) return undefined;
    if (imdn.recipientUri !== undefined && personKey(imdn.recipientUri) === personKey(from.uri)) return content;
    if (imdn.disposition === undefined) return undefined;
    return new TextEncoder().encode(formatImdn({ ...imdn, recipientUri: from.uri }));
  } catch (fault) {
    // One of somebody anonymous we have written ourselves: with its escapes it may be larger than what is read.
    if (fault instanceof MsrpError) return undefined;
    throw fault;
  }
}
