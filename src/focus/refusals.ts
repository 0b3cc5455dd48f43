import type { Answer, HeaderLine } from '../../sip/index.ts';
import { type Refusal, sentenceOf } from '../policy/refusal.ts';

/** The SIP status of each refusal (RFC 3261 §21); one without a status does not compile. */
const STATUS: Readonly<Record<Refusal['refused'], number>> = {
  moved: 302,
  banned: 403,
  over: 410,
  'not-a-member': 403,
  'pin-needed': 403,
  'pin-wrong': 403,
  'pin-too-often': 480,
  locked: 403,
  // RFC 4575 §5.7.6: `busy` is who dialled in and got 486.
  full: 486,
  'too-many-devices': 403,
  'may-not-create': 403,
  'too-many-rooms': 503,
  'not-here': 403,
  'in-lobby': 403,
  muted: 403,
  'listens-only': 403,
  'slow-mode': 480,
  'too-fast': 480,
  'too-large': 413,
  'no-private-messages': 403,
  'recipient-unknown': 404,
  'may-not-watch': 403,
  'role-too-low': 403,
  outranked: 403,
  'no-nicknames': 403,
  'nickname-malformed': 400,
  'nickname-too-long': 400,
  'nickname-reserved': 403,
  'nickname-taken': 403,
};

/** The answer to a request that the rules do not allow: the status, and the sentence where people see it. */
export function refusalAnswer(refusal: Refusal): Answer {
  const sentence = sentenceOf(refusal);
  const headers: HeaderLine[] = [{ name: 'Warning', value: `399 focus "${sentence.replace(/["\\]/g, ' ')}"` }];
  if ('retryAfter' in refusal) {
    headers.push({ name: 'Retry-After', value: String(Math.max(1, Math.ceil(refusal.retryAfter / 1000))) });
  }
  if (refusal.refused !== 'moved') return { status: STATUS[refusal.refused], reason: sentence, headers };
  if (refusal.to === undefined) return { status: 410, reason: sentence, headers };
  return { status: 302, headers: [...headers, { name: 'Contact', value: `<${refusal.to}>` }] };
}
