/** Moderation and control: who may do what to whom. The four ways to ask for it are all judged here. */
import type { Conference } from '../conference/conference.ts';
import type { Role } from '../conference/events.ts';
import type { UserUri } from '../conference/ids.ts';
import type { RoomPolicy } from './room-policy.ts';
import type { Rule } from './rule.ts';

/** Everything that takes a role. */
export type Act =
  | 'invite'
  | 'subject'
  | 'mute'
  | 'kick'
  | 'ban'
  | 'admit'
  | 'retract'
  | 'slow-mode'
  | 'lock'
  | 'setting'
  | 'role'
  | 'tombstone'
  | 'end';

/** The lowest role that may do it, where the room's policy says nothing else. Undoing takes the same as doing. */
export const ROLE_NEEDED: Readonly<Record<Act, Role>> = {
  invite: 'participant',
  subject: 'participant',
  mute: 'moderator',
  kick: 'moderator',
  ban: 'moderator',
  admit: 'moderator',
  retract: 'moderator',
  'slow-mode': 'moderator',
  lock: 'moderator',
  setting: 'moderator',
  role: 'moderator',
  tombstone: 'owner',
  end: 'owner',
};

const RANK: Readonly<Record<Role, number>> = { visitor: 0, participant: 1, moderator: 2, owner: 3 };

/** Whether a role is at least as high as another. */
export function isAtLeast(role: Role, other: Role): boolean {
  return RANK[role] >= RANK[other];
}

/** Somebody wants to change something. */
export interface ManageRequest {
  readonly conference: Conference;
  readonly policy: RoomPolicy;
  /** The authenticated identity, or the administrator (HTTP API, command line), who may do everything. */
  readonly by: UserUri | 'administrator';
  readonly act: Act;
  /** To whom it is done: the user to mute, the author of the message to retract… */
  readonly target?: UserUri;
  /** With `role`: the role to be given. */
  readonly role?: Role;
}

/** Rules for everything that takes a role, in the order in which they are asked. */
export const MANAGE_RULES: readonly Rule<ManageRequest>[] = [
  // Who is neither here nor has a role of its own in this room has nothing to say in it.
  ({ conference, by }) =>
    by === 'administrator' || conference.isMember(by) || conference.endpointsOf(by).length > 0
      ? undefined
      : { refused: 'not-here' },
  ({ conference, policy, by, act, target }) => {
    if (by === 'administrator' || isOwnAffair(act, by, target)) return undefined;
    const needed = policy.roleNeeded[act] ?? ROLE_NEEDED[act];
    return isAtLeast(conference.roleOf(by), needed) ? undefined : { refused: 'role-too-low', needed };
  },
  // Nobody moderates those of the same or a higher role, only an owner may do so to owners.
  ({ conference, by, act, target }) => {
    if (by === 'administrator' || target === undefined || act === 'invite' || act === 'admit') return undefined;
    if (by === target) return undefined;
    const own = conference.roleOf(by);
    return own === 'owner' || RANK[own] > RANK[conference.roleOf(target)] ? undefined : { refused: 'outranked' };
  },
  // Nobody gives a role that is higher than his own.
  ({ conference, by, act, role }) =>
    act === 'role' && role !== undefined && by !== 'administrator' && !isAtLeast(conference.roleOf(by), role)
      ? { refused: 'outranked' }
      : undefined,
];

/** What everybody may do to himself: take back what he wrote, leave by any of his devices. */
function isOwnAffair(act: Act, by: UserUri, target: UserUri | undefined): boolean {
  return by === target && (act === 'retract' || act === 'kick');
}
