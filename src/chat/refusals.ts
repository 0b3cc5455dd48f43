import type { RefusalStatus } from '../../msrp/index.ts';

/**
 * Why a message was not taken, and the MSRP status that says so. A refusal without a code does not compile.
 */
const STATUS = {
  /** RFC 7701 §6.3. */
  'not-cpim': 415,
  unreadable: 400,
  'too-large': 413,
  /** RFC 7701 §6.3: the From is not one of the sender's own. */
  'wrong-sender': 403,
  /** RFC 7701 §6.1, §6.2. */
  'several-recipients': 403,
  'unknown-recipient': 404,
  'no-private-messages': 403,
  'recipient-takes-no-private': 428,
  /** What the room's rules do not allow. */
  'not-allowed': 403,
  /** RFC 4975 §10.5: the sender is to stop; the sentence tells why the log cannot keep it. */
  'not-kept': 413,
  /** The sender is not in the room any more. */
  gone: 481,
} as const satisfies Record<string, RefusalStatus>;

/** Why a message was not taken, in a word for us and in a sentence for the sender. */
export interface ChatRefusal {
  readonly refused: keyof typeof STATUS;
  readonly reason: string;
}

/** The MSRP status of a refusal. */
export function msrpStatusOf(refusal: ChatRefusal): RefusalStatus {
  return STATUS[refusal.refused];
}
