/** Moderation and control: who may do what to whom. By whatever way it is asked for, it is judged here. */
import type { Conference } from '../conference/conference.ts';
import type { Millis, Role } from '../conference/events.ts';
import type { UserUri } from '../conference/ids.ts';
import { isPresent } from '../conference/roster.ts';
import { isAtLeast, isHigher, ROLE_NEEDED } from './roles.ts';
import type { Act } from './roles.ts';
import type { Rule } from './rule.ts';

/** Somebody wants to change something. */
export interface ManageRequest {
  readonly conference: Conference;
  /** The authenticated identity, or the administrator (HTTP API, command line), who may do everything. */
  readonly by: UserUri | 'administrator';
  readonly act: Act;
  /** To whom it is done: the user to mute, the author of the message to retract… */
  readonly target?: UserUri;
  /** With `role`: the role to be given. */
  readonly role?: Role;
  /** With `tombstone`: it would move to where it is, and send all who come in a circle. Default false. */
  readonly toItself?: boolean;
  readonly now: Millis;
}

/** Rules for everything that takes a role, in the order in which they are asked. */
export const MANAGE_RULES: readonly Rule<ManageRequest>[] = [
  // Who is neither here nor has a role of its own in this room has nothing to say in it, and who waits in the lobby is not
  // here yet: he may only go.
  ({ conference, by, act, target }) => {
    if (by === 'administrator' || conference.isMember(by)) return undefined;
    const endpoints = conference.endpointsOf(by);
    if (endpoints.some(isPresent) || (endpoints.length > 0 && isOwnAffair(act, by, target))) return undefined;
    return { refused: endpoints.length > 0 ? 'in-lobby' : 'not-here' };
  },
  // Who has a role by name keeps it while he is banned.
  ({ conference, by, now }) =>
    by !== 'administrator' && conference.banOf(by, undefined, now)?.target.kind === 'user'
      ? { refused: 'banned' }
      : undefined,
  ({ conference, by, act, target }) => {
    if (by === 'administrator' || isOwnAffair(act, by, target)) return undefined;
    const needed = ROLE_NEEDED[act];
    return isAtLeast(conference.roleOf(by), needed) ? undefined : { refused: 'role-too-low', needed };
  },
  // A subject is read by everybody: it is no way around a mute. Moderators keep their orders.
  ({ conference, by, act }) =>
    by !== 'administrator' &&
    act === 'subject' &&
    conference.isMuted(by) &&
    !isAtLeast(conference.roleOf(by), 'moderator')
      ? { refused: 'muted' }
      : undefined,
  // Nobody moderates those of the same or a higher role, only an owner may do so to owners.
  ({ conference, by, act, target }) => {
    if (by === 'administrator' || act === 'invite' || act === 'admit') return undefined;
    const own = conference.roleOf(by);
    if (own === 'owner') return undefined;
    const outranked = target !== undefined && target !== by && !isHigher(own, conference.roleOf(target));
    return outranked ? { refused: 'outranked' } : undefined;
  },
  // Nobody gives a role that is higher than his own.
  ({ conference, by, act, role }) =>
    act === 'role' && role !== undefined && by !== 'administrator' && !isAtLeast(conference.roleOf(by), role)
      ? { refused: 'outranked' }
      : undefined,
  ({ act, toItself }) => (act === 'tombstone' && toItself === true ? { refused: 'moves-to-itself' } : undefined),
];

/** What everybody may do to himself: take back what he wrote, leave by any of his devices. */
function isOwnAffair(act: Act, by: UserUri, target: UserUri | undefined): boolean {
  return by === target && (act === 'retract' || act === 'kick');
}
