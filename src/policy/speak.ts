/** Who may say something, to whom, how much and how often. */
import type { Conference } from '../conference/conference.ts';
import type { Audience, Millis } from '../conference/events.ts';
import type { UserUri } from '../conference/ids.ts';
import { isAtLeast } from './roles.ts';
import type { RateLimiter } from './rate.ts';
import type { RoomPolicy } from './room-policy.ts';
import type { Rule } from './rule.ts';

/** Somebody sends something into the room. */
export interface SpeakRequest {
  readonly conference: Conference;
  readonly policy: RoomPolicy;
  /** The authenticated identity. */
  readonly user: UserUri;
  readonly audience: Audience;
  /**
   * `message`: what people read; `typing`: a sign of writing (RFC 3994); `disposition`: a report to the author of a
   * message (RFC 5438), which the muted may send and no mode slows down.
   */
  readonly kind: 'message' | 'typing' | 'disposition';
  /** It comes from somebody who is not in the call, and was judged at the door (`RoomPolicy.strangers`). Default false. */
  readonly outside?: boolean;
  /** Octets of the body, as far as known. */
  readonly size: number;
  readonly now: Millis;
}

/** Rules for speaking that depend on nothing but the request; those of `rateRules` go after them. */
export const SPEAK_RULES: readonly Rule<SpeakRequest>[] = [
  ({ conference, user, outside }) => {
    if (outside === true || conference.isHere(user)) return undefined;
    return {
      refused: conference.endpointsOf(user).some(({ status }) => status === 'pending') ? 'in-lobby' : 'not-here',
    };
  },
  ({ policy, size }) => (size > policy.maxMessage ? { refused: 'too-large', maximum: policy.maxMessage } : undefined),
  ({ conference, user, kind }) =>
    kind !== 'disposition' && conference.isMuted(user) ? { refused: 'muted' } : undefined,
  ({ conference, user, kind }) =>
    kind !== 'disposition' && conference.roleOf(user) === 'visitor' ? { refused: 'listens-only' } : undefined,
  ({ audience, outside }) => (outside === true && audience.to === 'user' ? { refused: 'not-here' } : undefined),
  // Deviation: RFC 7701 §6.2 makes a message to one participant a private one; a disposition report goes to the author
  // of a message that the room itself has carried, so it is taken also where private messages are not.
  ({ conference, audience, kind }) =>
    audience.to === 'user' && kind !== 'disposition' && conference.setting('privateMessages') === false
      ? { refused: 'no-private-messages' }
      : undefined,
  // RFC 7701 §6.2: 404.
  ({ conference, audience }) =>
    audience.to === 'user' && !conference.isHere(audience.user) ? { refused: 'recipient-unknown' } : undefined,
  ({ conference, user, audience, kind, now }) => {
    if (conference.slowMode === 0 || kind !== 'message' || audience.to === 'user') return undefined;
    if (isAtLeast(conference.roleOf(user), 'moderator')) return undefined;
    const last = conference.lastSaid(user);
    const retryAfter = last === undefined ? 0 : last + conference.slowMode * 1000 - now;
    return retryAfter > 0 ? { refused: 'slow-mode', retryAfter } : undefined;
  },
];

/** The rates of one room. They count, so they are asked last. */
export function rateRules(messages: RateLimiter, typing: RateLimiter): readonly Rule<SpeakRequest>[] {
  return [
    ({ user, kind, now }) => {
      const limiter = kind === 'typing' ? typing : messages;
      const retryAfter = kind === 'disposition' ? 0 : limiter.take(user, now);
      return retryAfter > 0 ? { refused: 'too-fast', retryAfter } : undefined;
    },
  ];
}
