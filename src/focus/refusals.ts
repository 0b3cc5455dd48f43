import { type Answer, type HeaderLine, WARNING } from '../../sip/index.ts';
import { type ChatRefusal, isPostFault, type PostFault, reasonOf } from '../chat/refusals.ts';
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
  'other-flow': 403,
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
  'moves-to-itself': 403,
  'no-nicknames': 403,
  'nickname-malformed': 400,
  'nickname-reserved': 403,
  'nickname-taken': 403,
};

/** To who has the address of the room that he turns to; so has a room that calls itself, by whatever way. */
export const THE_ROOM_ITSELF: Answer = {
  status: 403,
  reason: 'This Room Has Your Address: Take Another Name or Room',
};

/** The answer to a request that the rules do not allow: the status, and the sentence where people see it. */
export function refusalAnswer(refusal: Refusal): Answer {
  const sentence = sentenceOf(refusal);
  const warnings = WARNING.format([{ code: 399, agent: 'focus', text: sentence }]);
  const headers: HeaderLine[] = warnings.map((value) => ({ name: 'Warning', value }));
  if ('retryAfter' in refusal) {
    headers.push({ name: 'Retry-After', value: String(Math.max(1, Math.ceil(refusal.retryAfter / 1000))) });
  }
  if (refusal.refused !== 'moved') return { status: STATUS[refusal.refused], reason: sentence, headers };
  if (refusal.to === undefined) return { status: 410, reason: sentence, headers };
  return { status: 302, headers: [...headers, { name: 'Contact', value: `<${refusal.to}>` }] };
}

/** The SIP status of each fault of a posting. */
const POST_STATUS: Readonly<Record<PostFault['refused'], number>> = {
  'not-cpim': 415,
  unreadable: 400,
  'head-too-large': 413,
  'wrong-sender': 403,
  'several-recipients': 403,
  'no-recipient': 400,
  'to-nobody': 404,
  'no-such-order': 403,
  'not-hearing': 403,
  'recipient-takes-no-private': 403,
  // RFC 3261 §21.4.20: to what a machine gives back.
  loop: 482,
  'not-kept': 500,
};

/** How long a sender waits when the log cannot keep anything, in seconds. */
const LOG_PAUSE = '5';

/**
 * The answer to a MESSAGE that is not taken. Within a call none of them may end it, as some do by what they mean for the
 * dialog (RFC 5057 §5.1). One that comes too fast is told when to come again: by 480, or within a call by 500, since 503
 * would silence the client altogether (RFC 3261 §21.5.4).
 */
export function messageRefusal(refusal: ChatRefusal, inDialog: boolean): Answer {
  const answer = answerTo(refusal);
  return inDialog ? { ...answer, status: WITHIN_CALL.get(answer.status) ?? answer.status } : answer;
}

function answerTo(refusal: ChatRefusal): Answer {
  if (isPostFault(refusal)) {
    const retry = refusal.refused === 'not-kept' ? [{ name: 'Retry-After', value: LOG_PAUSE }] : [];
    return { status: POST_STATUS[refusal.refused], reason: reasonOf(refusal), headers: retry };
  }
  return refusalAnswer(refusal);
}

/** What stands within a call for a status that would end it. */
const WITHIN_CALL: ReadonlyMap<number, number> = new Map([
  [404, 403],
  [480, 500],
  [482, 403],
]);
