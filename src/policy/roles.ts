/** Roles and what they are needed for. */
import type { Role } from '../conference/events.ts';

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

/** The lowest role that may do it. Undoing takes the same as doing. */
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

/** Whether a role is higher than another. */
export function isHigher(role: Role, other: Role): boolean {
  return RANK[role] > RANK[other];
}
