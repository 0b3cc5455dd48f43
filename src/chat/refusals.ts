import type { RefusalStatus } from '../../msrp/index.ts';
import { type Refusal, sentenceOf } from '../policy/refusal.ts';

/** What is wrong with a posting itself, before any rule is asked. */
export interface PostFault {
  readonly refused:
    | 'not-cpim'
    | 'unreadable'
    | 'head-too-large'
    /** RFC 7701 §6.3: the From is not one of the sender's own. */
    | 'wrong-sender'
    /** RFC 7701 §6.1, §6.2. */
    | 'several-recipients'
    | 'no-recipient'
    /** Written to one alone, by a name that nobody has. */
    | 'to-nobody'
    /** It begins like an order. */
    | 'no-such-order'
    /** It wants an answer, and none can be sent: the line is on hold. */
    | 'not-hearing'
    | 'recipient-takes-no-private'
    /** What others have just said, again and again. */
    | 'loop'
    /** The log cannot keep it. */
    | 'not-kept';
  readonly reason: string;
}

/** Why a message was not taken. */
export type ChatRefusal = PostFault | Refusal;

/** The MSRP status of each refusal (RFC 4975 §10, RFC 7701 §10.3); one without a status does not compile. */
const STATUS: Readonly<Record<ChatRefusal['refused'], RefusalStatus>> = {
  'not-cpim': 415,
  unreadable: 400,
  'head-too-large': 413,
  'wrong-sender': 403,
  'several-recipients': 403,
  'no-recipient': 404,
  'to-nobody': 404,
  'no-such-order': 403,
  'not-hearing': 403,
  'recipient-takes-no-private': 428,
  loop: 403,
  // RFC 4975 §10.5 has no code for "try later"; 413 stops the sender, and the sentence says why.
  'not-kept': 413,
  'recipient-unknown': 404,
  'too-large': 413,
  'no-private-messages': 403,
  'not-here': 403,
  'other-flow': 403,
  'in-lobby': 403,
  muted: 403,
  'listens-only': 403,
  'slow-mode': 403,
  'too-fast': 403,
  moved: 403,
  banned: 403,
  over: 403,
  'not-a-member': 403,
  'pin-needed': 403,
  'pin-wrong': 403,
  'pin-too-often': 403,
  locked: 403,
  full: 403,
  'too-many-devices': 403,
  'may-not-create': 403,
  'too-many-rooms': 403,
  'may-not-watch': 403,
  'role-too-low': 403,
  outranked: 403,
  'moves-to-itself': 403,
  'no-nicknames': 403,
  'nickname-malformed': 424,
  'nickname-reserved': 425,
  'nickname-taken': 425,
};

/** The MSRP status of a refusal. */
export function msrpStatusOf(refusal: ChatRefusal): RefusalStatus {
  return STATUS[refusal.refused];
}

/** A sentence for the sender. */
export function reasonOf(refusal: ChatRefusal): string {
  return isPostFault(refusal) ? refusal.reason : sentenceOf(refusal);
}

const POST_FAULTS: ReadonlySet<string> = new Set<PostFault['refused']>([
  'not-cpim',
  'unreadable',
  'head-too-large',
  'wrong-sender',
  'several-recipients',
  'no-recipient',
  'to-nobody',
  'no-such-order',
  'not-hearing',
  'recipient-takes-no-private',
  'loop',
  'not-kept',
]);

/** Whether the posting itself is at fault, before any rule is asked. */
export function isPostFault(refusal: ChatRefusal): refusal is PostFault {
  return POST_FAULTS.has(refusal.refused);
}
