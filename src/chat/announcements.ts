/** What the room says about what happens in it, so that all see it who do not read the roster. */
import type { BanTarget, ConferenceEvent } from '../conference/events.ts';
import type { Conference } from '../conference/conference.ts';
import type { EndpointId, UserUri } from '../conference/ids.ts';
import { isAtLeast } from '../policy/roles.ts';
import type { Texts } from './texts.ts';

/** A line of the room, to everybody or to some endpoints only. */
export interface Announcement {
  readonly text: string;
  readonly to?: readonly EndpointId[];
}

/** What the room says of an event that has just changed the conference; `undefined`: nothing. */
export function announcementOf(
  event: ConferenceEvent,
  conference: Conference,
  texts: Texts,
  nameOf: (user: UserUri) => string,
): Announcement | undefined {
  const by = event.by === undefined ? undefined : nameOf(event.by);
  switch (event.type) {
    case 'subject':
      return { text: texts.subject(event.subject, by) };
    case 'muted':
      return { text: texts.muted(nameOf(event.user), by, event.reason) };
    case 'unmuted':
      return { text: texts.unmuted(nameOf(event.user), by) };
    case 'left': {
      const endpoint = conference.endpoint(event.endpoint);
      if (event.method !== 'booted' || endpoint === undefined || conference.endpointsOf(endpoint.user).length > 0) {
        return undefined;
      }
      return { text: texts.booted(departedName(conference, event.endpoint), sentenceIn(event.reason)) };
    }
    case 'banned':
      return { text: texts.banned(targetName(event.target, nameOf), by, event.until, event.reason) };
    case 'unbanned':
      return { text: texts.unbanned(targetName(event.target, nameOf), by) };
    case 'role':
      // That somebody is the creator is no news to him, and nobody else is there yet.
      return event.by === event.user ? undefined : { text: texts.role(nameOf(event.user), event.role) };
    case 'retracted':
      return { text: texts.retracted(nameOf(event.author), by, event.reason) };
    case 'locked':
      return { text: texts.locked(by) };
    case 'unlocked':
      return { text: texts.unlocked(by) };
    case 'slowMode':
      return { text: texts.slowMode(event.seconds) };
    case 'setting': {
      const text = texts.setting(event.change, by);
      // What everybody feels, everybody is told; the rest is the moderators' business.
      const { setting } = event.change;
      return setting === 'privateMessages' || setting === 'endsAt' ? { text } : { text, to: moderators(conference) };
    }
    case 'tombstoned':
      return { text: texts.moved(event.to, event.reason) };
    case 'untombstoned':
      return { text: texts.hereAgain(by) };
    case 'ended':
      return { text: texts.ended(event.reason) };
    case 'joined': {
      if (event.status !== 'pending') return undefined;
      return { text: texts.waits(nameOf(event.user)), to: moderators(conference) };
    }
    case 'admitted': {
      const user = conference.endpoint(event.endpoint)?.user;
      return user && { text: texts.letIn(nameOf(user), by), to: moderators(conference) };
    }
    default:
      return undefined;
  }
}

/** Everybody who could let somebody in. */
function moderators(conference: Conference): readonly EndpointId[] {
  return [...conference.users()]
    .filter(({ role }) => isAtLeast(role, 'moderator'))
    .flatMap(({ endpoints }) => endpoints.map(({ id }) => id));
}

/** The name of somebody who is shown as departed still. */
function departedName(conference: Conference, id: EndpointId): string {
  const entity = conference.endpoint(id)?.entity;
  const shown = entity === undefined ? undefined : conference.participant(entity);
  return shown?.nickname ?? shown?.displayName ?? entity ?? id;
}

/** The text within a Reason (RFC 3326). */
function sentenceIn(reason: string | undefined): string | undefined {
  return reason === undefined ? undefined : (/text="([^"]*)"/.exec(reason)?.[1] ?? reason);
}

function targetName(target: BanTarget, nameOf: (user: UserUri) => string): string {
  switch (target.kind) {
    case 'user':
      return nameOf(target.user);
    case 'domain':
      return `*@${target.domain}`;
    case 'address':
      // Where somebody comes from is nobody's business.
      return 'an address';
  }
}
