import {
  type CpimMessage,
  cpimValues,
  formatCpim,
  formatImdn,
  type Imdn,
  IMDN_MEDIA_TYPE,
  IMDN_NAMESPACE,
  imdnExtensions,
} from '../../msrp/index.ts';
import type { Audience, Disposition, Said } from '../conference/events.ts';
import { messageId, type MessageId, type UserUri } from '../conference/ids.ts';
import type { Notification, Posting } from './post.ts';
import type { Speaker } from './speaker.ts';

/** What a room remembers of a message, to send notifications about it back. */
interface Origin {
  readonly author: UserUri;
  readonly audience: Audience;
  /** Who has told what of it, by kind: one notification of each kind from each (RFC 5438 §7.2.1). */
  readonly told: Map<string, Set<UserUri>>;
  /** How many of each kind the log has given back. */
  readonly heard: Map<string, number>;
}

/** Where a notification goes. */
export type Route = { readonly to: UserUri } | 'nowhere' | 'not-yours';

/** RFC 5438 §10 has a token; what is longer than this is not remembered. */
const MESSAGE_ID = /^[\x21-\x7e]{1,255}$/;
/** Most notifications of one kind about one message that are told apart; later ones go nowhere. */
const MAX_TOLD = 4096;

/**
 * Disposition notifications (RFC 5438) in a room: each goes to the author of the message that it is about, and to nobody
 * else. Whom a message is from is remembered for a bounded number of messages.
 */
export class Dispositions {
  readonly #origins = new Map<MessageId, Origin>();
  readonly #window: number;

  /** @param window messages remembered; the oldest is forgotten first */
  constructor(window = 5000) {
    this.#window = window;
  }

  /** Remembers a message that was said. Who used a Message-ID first keeps it. */
  note({ imdnId, by, audience }: Pick<Said, 'imdnId' | 'by' | 'audience'>): void {
    if (imdnId === undefined || this.#origins.has(imdnId)) return;
    this.#origins.set(imdnId, { author: by, audience, told: new Map(), heard: new Map() });
    for (const oldest of this.#origins.keys()) {
      if (this.#origins.size <= this.#window) break;
      this.#origins.delete(oldest);
    }
  }

  /**
   * Where a notification from this user goes: `nowhere` when the message is forgotten, the user's own, or this has been
   * told already; `not-yours` when the user never got the message.
   */
  route(user: UserUri, { messageId: id, disposition }: Imdn): Route {
    const about = idOf(id);
    const origin = about === undefined ? undefined : this.#origins.get(about);
    if (origin === undefined || origin.author === user) return 'nowhere';
    if (origin.audience.to === 'user' && origin.audience.user !== user) return 'not-yours';
    const kind = disposition?.kind ?? 'processing';
    const told = origin.told.get(kind) ?? new Set();
    if (told.has(user) || told.size >= MAX_TOLD) return 'nowhere';
    origin.told.set(kind, told.add(user));
    return { to: origin.author };
  }

  /**
   * A notification has come back from the log; of several that were under way together, only the last one completes what
   * is told: whether with it all have told this kind of thing of a message who could, its addressee, or so many others.
   */
  completes({ of, notification }: Disposition, others: number): boolean {
    const origin = this.#origins.get(of);
    if (origin === undefined) return false;
    const heard = (origin.heard.get(notification) ?? 0) + 1;
    origin.heard.set(notification, heard);
    return heard >= (origin.audience.to === 'user' ? 1 : others);
  }
}

/** The Message-ID that notifications about a message will name (RFC 5438 §6.3). */
export function imdnIdOf(cpim: CpimMessage): MessageId | undefined {
  return idOf(cpimValues(cpim, IMDN_NAMESPACE, 'Message-ID')[0]?.trim() ?? '');
}

function idOf(text: string): MessageId | undefined {
  return MESSAGE_ID.test(text) ? messageId(text) : undefined;
}

/** A notification as an event on its way to the author of the message that it is about. */
export function dispositionEvent(
  speaker: Speaker,
  posting: Posting,
  { cpim, imdn }: Notification,
  to: UserUri,
  at: number,
): Disposition {
  const { messageId: of, disposition } = imdn;
  return {
    type: 'disposition',
    at,
    of: messageId(of),
    by: speaker.user,
    to,
    notification: disposition?.kind ?? 'processing',
    status: disposition?.status ?? 'other',
    contentType: posting.contentType,
    // RFC 5438 §8: who is anonymous here is not named by what he tells.
    cpim: speaker.shown === speaker.user ? posting.body : withoutRecipient(cpim, imdn),
  };
}

/** A notification as something that its author's devices are sent. */
export function asSaid(event: Disposition): Said {
  const { at, of, by, to, contentType, cpim } = event;
  const audience = { to: 'user', user: to } as const;
  return { type: 'said', at, messageId: of, by, audience, contentType, wrappedType: IMDN_MEDIA_TYPE, cpim };
}

/** RFC 5438 §8: the notification without what it tells of its sender's own addresses. */
function withoutRecipient(cpim: CpimMessage, { messageId: id, dateTime, disposition }: Imdn): Uint8Array {
  const own = imdnIdOf(cpim);
  return formatCpim({
    ...(cpim.from === undefined ? {} : { from: cpim.from }),
    to: cpim.to,
    ...(cpim.dateTime === undefined ? {} : { dateTime: cpim.dateTime }),
    extensions: imdnExtensions(own === undefined ? {} : { messageId: own }),
    contentType: 'message/imdn+xml',
    mimeHeaders: [{ name: 'Content-Disposition', value: 'notification' }],
    content: formatImdn({ messageId: id, dateTime, disposition }),
  });
}
