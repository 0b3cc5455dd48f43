import { type Answer, bodyOf, findPart, type SipRequest } from '../../sip/index.ts';
import { parseResourceLists, type Recipient } from '../conference/resource-lists.ts';

/** Option tag of lists in an INVITE (RFC 5366 §8). */
export const RECIPIENT_LIST_INVITE = 'recipient-list-invite';
const LISTS = 'application/resource-lists+xml';

/**
 * Those whom an INVITE wants to have called (RFC 5366 §5): none without a list, or the answer that refuses it.
 *
 * @param entries how many they may be at most
 */
export function recipientsOf(request: SipRequest, entries: number): readonly Recipient[] | Answer {
  const part = findPart(bodyOf(request), LISTS);
  if (part?.type.type !== LISTS || part.disposition === 'recipient-list-history') return [];
  const recipients = parseResourceLists(part.body, { entries });
  return 'refused' in recipients ? { status: recipients.refused, reason: recipients.reason } : recipients;
}

/** Whether a body holds nothing but a list, which does not ask for a session of its own. */
export function isListAlone(request: SipRequest): boolean {
  return request.body.length > 0 && findPart(bodyOf(request), LISTS)?.type.type === LISTS;
}

/** RFC 5366 §5.1: in a re-INVITE lists mean nothing, and the extension is refused. */
export function noListHere(request: SipRequest): Answer | undefined {
  if (!request.require.some((tag) => tag.toLowerCase() === RECIPIENT_LIST_INVITE)) return undefined;
  return { status: 420, headers: [{ name: 'Unsupported', value: RECIPIENT_LIST_INVITE }] };
}
