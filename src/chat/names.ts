import { decodeUser, parseUri, SipError } from '../../sip/index.ts';
import type { Conference } from '../conference/conference.ts';
import type { Said } from '../conference/events.ts';
import type { UserUri } from '../conference/ids.ts';
import type { Participant } from '../conference/roster.ts';

/** The name under which others know the author of a message: nickname, else display name, else the user of the URI. */
export function shownName(conference: Conference, said: Said): string {
  const endpoint = said.endpoint === undefined ? undefined : conference.endpoint(said.endpoint);
  const entity = endpoint?.entity ?? said.by;
  return nameOf(conference.participant(entity)) ?? userPart(entity);
}

/** The name under which others know a participant; `undefined` where it has none but its URI. */
export function nameOf(participant: Participant | undefined): string | undefined {
  return participant?.nickname ?? participant?.displayName;
}

/** What a user is called in a room: nickname, display name or URI as the roster shows it. */
export function nameOfUser(conference: Conference, user: UserUri): string {
  const entity = conference.endpointsOf(user)[0]?.entity;
  const shown = entity === undefined ? undefined : conference.participant(entity);
  return nameOf(shown) ?? entity ?? user;
}

/** The user part of a URI as text; the URI where it has none. */
export function userPart(text: string): string {
  try {
    const uri = parseUri(text);
    return (uri.kind === 'sip' ? decodeUser(uri) : uri.kind === 'tel' ? uri.number : undefined) ?? text;
  } catch (fault) {
    if (fault instanceof SipError) return text;
    throw fault;
  }
}
