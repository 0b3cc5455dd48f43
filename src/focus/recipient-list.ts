import { type Answer, bodyOf, type BodyPart, findPart, leafParts, type SipRequest } from '../../sip/index.ts';
import { joinLists, parseResourceLists, type Recipient } from '../conference/resource-lists.ts';

/** Option tag of lists in an INVITE (RFC 5366 §8). */
export const RECIPIENT_LIST_INVITE = 'recipient-list-invite';
const LISTS = 'application/resource-lists+xml';

/**
 * Those whom an INVITE wants to have called (RFC 5366 §5): none without a list, or the answer that refuses it.
 *
 * @param entries how many they may be at most
 */
export function recipientsOf(request: SipRequest, entries: number): readonly Recipient[] | Answer {
  const lists: (readonly Recipient[])[] = [];
  for (const part of listsIn(request)) {
    if (part.disposition === 'recipient-list-history') continue;
    if (!isForRecipients(part)) {
      if (part.optional) continue;
      return { status: 415, reason: 'A List for Nothing That Is Done Here' };
    }
    const recipients = parseResourceLists(part.body, { entries });
    if ('refused' in recipients) return { status: recipients.refused, reason: recipients.reason };
    lists.push(recipients);
  }
  const all = joinLists(lists, entries);
  return 'refused' in all ? { status: all.refused, reason: all.reason } : all;
}

function listsIn(request: SipRequest): readonly BodyPart[] {
  const body = bodyOf(request);
  return body === undefined ? [] : leafParts(body).filter(({ type }) => type.type === LISTS);
}

/** Whether a body holds nothing but a list, which does not ask for a session of its own. */
export function isListAlone(request: SipRequest): boolean {
  return request.body.length > 0 && findPart(bodyOf(request), LISTS)?.type.type === LISTS;
}

/** RFC 5366 §5.1: in a re-INVITE lists mean nothing. The extension is refused, as is a list that comes without its tag. */
export function noListHere(request: SipRequest): Answer | undefined {
  if (request.require.some((tag) => tag.toLowerCase() === RECIPIENT_LIST_INVITE)) {
    return { status: 420, headers: [{ name: 'Unsupported', value: RECIPIENT_LIST_INVITE }] };
  }
  const part = request.body.length === 0 ? undefined : findPart(bodyOf(request), LISTS);
  if (part?.type.type !== LISTS || part.optional || !isForRecipients(part)) return undefined;
  return { status: 415, reason: 'A List Means Nothing within a Call' };
}

/** Whether a list names who is to be called; one that does not say what it is for is taken for that. */
function isForRecipients({ disposition }: BodyPart): boolean {
  return disposition === 'recipient-list' || disposition === 'render';
}
