import { NameAddrHeader, type URI } from 'sip.js';
import { parseRoomUri } from './identity.ts';
import type { ResponseHead } from './refusal.ts';
import { userPart } from './roster.ts';

/**
 * The conference that a call has led to, where it is another than was called, as with a conference factory: that of the
 * Contact with `isfocus` (RFC 4579 §5.4), under the name for others that Call-Info gives it (RFC 7106), if it does.
 */
export function conferenceMade(answer: ResponseHead, called: URI): URI | undefined {
  const contact: unknown = answer.parseHeader('contact');
  if (!(contact instanceof NameAddrHeader) || !contact.hasParam('isfocus')) return undefined;
  const user = userPart(contact.uri.toString());
  if (user === userPart(called.toString())) return undefined;
  const chats = answer
    .getHeaders('call-info')
    .map((value) => /<([^<>]+)>\s*;(?:.*;)?\s*purpose\s*=\s*grouptextchat\s*(?:;|$)/i.exec(value)?.[1]);
  const address = chats.find((uri) => uri !== undefined && /^sips?:/i.test(uri) && userPart(uri) === user);
  if (address === undefined) return contact.uri;
  const conference = parseRoomUri(address);
  // It may come back with what we have asked for of the past.
  conference.deleteParam('history');
  return conference;
}
