/**
 * What moderators do to a room and its people, however they ask for it: by a line in the chat, by REFER, over the HTTP
 * API or from the command line. An order is judged by the rules and becomes events; nothing else changes anything.
 */
import { isMeant } from '../conference/ban-list.ts';
import type { Conference } from '../conference/conference.ts';
import type { BanTarget, ConferenceEvent, Joined, Millis, Role, SettingChange } from '../conference/events.ts';
import type { AbsoluteUri, IpAddress, MessageId, UserUri } from '../conference/ids.ts';
import { isHit } from '../policy/join.ts';
import { hashPin } from '../policy/pin.ts';
import type { Act } from '../policy/roles.ts';
import { sipReason } from './sip-reason.ts';

/** One order. Users are identities, as the rules see them. */
export type Order =
  | { readonly order: 'mute' | 'kick'; readonly user: UserUri; readonly reason?: string }
  | { readonly order: 'unmute' | 'admit'; readonly user: UserUri }
  | { readonly order: 'ban'; readonly target: BanTarget; readonly until?: Millis; readonly reason?: string }
  | { readonly order: 'unban'; readonly target: BanTarget }
  | { readonly order: 'role'; readonly user: UserUri; readonly role: Role }
  | { readonly order: 'retract'; readonly author: UserUri; readonly messageId: MessageId; readonly reason?: string }
  | { readonly order: 'subject'; readonly subject?: string }
  | { readonly order: 'slow'; readonly seconds: number }
  | { readonly order: 'lock' | 'unlock' }
  | { readonly order: 'setting'; readonly change: Exclude<SettingChange, { readonly setting: 'pinHash' }> }
  /** Absent: the configured one again, or none. */
  | { readonly order: 'pin'; readonly pin?: string }
  | { readonly order: 'move'; readonly to?: AbsoluteUri; readonly reason?: string }
  /** It has not moved after all. */
  | { readonly order: 'unmove' }
  | { readonly order: 'end'; readonly reason?: string };

/** What the rules are asked about an order. */
export interface Judged {
  readonly act: Act;
  readonly target?: UserUri;
  readonly role?: Role;
  /** Where the room is to move. */
  readonly to?: AbsoluteUri;
}

/** The act that an order is, and whom it is done to. */
export function actOf(order: Order): Judged {
  switch (order.order) {
    case 'mute':
    case 'unmute':
      return { act: 'mute', target: order.user };
    case 'kick':
      return { act: 'kick', target: order.user };
    case 'admit':
      return { act: 'admit', target: order.user };
    case 'ban':
    case 'unban':
      return order.target.kind === 'user' ? { act: 'ban', target: order.target.user } : { act: 'ban' };
    case 'role':
      return { act: 'role', target: order.user, role: order.role };
    case 'retract':
      return { act: 'retract', target: order.author };
    case 'subject':
      return { act: 'subject' };
    case 'slow':
      return { act: 'slow-mode' };
    case 'lock':
    case 'unlock':
      return { act: 'lock' };
    case 'setting':
    case 'pin':
      return { act: 'setting' };
    case 'move':
      return { act: 'tombstone', ...(order.to === undefined ? {} : { to: order.to }) };
    case 'unmove':
      return { act: 'tombstone' };
    case 'end':
      return { act: 'end' };
  }
}

/** Whether an order is carried out on the endpoints of whoever joins, and not only noted of the user. */
export function isMeantBy(order: Order, { user, address }: Joined): boolean {
  switch (order.order) {
    case 'kick':
    case 'admit':
    case 'mute':
    case 'unmute':
    case 'role':
      return order.user === user;
    case 'ban':
      return isMeant(order.target, user, address);
    case 'end':
      return true;
    default:
      return false;
  }
}

/**
 * The events that carry an order out, in their order; none when there is nobody to do it to. Whoever gives the order goes
 * last, so that he still hears that it was carried out.
 */
export function eventsOf(
  order: Order,
  conference: Conference,
  now: Millis,
  by: UserUri | undefined,
): readonly ConferenceEvent[] {
  const happening = { at: now, ...(by === undefined ? {} : { by }) };
  switch (order.order) {
    case 'mute':
      return [{ ...happening, type: 'muted', user: order.user, ...because(order) }];
    case 'unmute':
      return [{ ...happening, type: 'unmuted', user: order.user }];
    case 'kick':
      return departures(conference, happening, reasonOf('Kicked', order.reason), (user) => user === order.user);
    case 'ban': {
      const { target, until } = order;
      const banned = { ...happening, type: 'banned', target, ...because(order) } as const;
      return [
        until === undefined ? banned : { ...banned, until },
        ...departures(conference, happening, reasonOf('Banned', order.reason), (user, address) =>
          isHit(target, conference.roleOf(user), user, address),
        ),
      ];
    }
    case 'unban':
      return [{ ...happening, type: 'unbanned', target: order.target }];
    case 'role':
      return [{ ...happening, type: 'role', user: order.user, role: order.role }];
    case 'admit':
      return conference
        .endpointsOf(order.user)
        .filter(({ status }) => status === 'pending')
        .map(({ id }) => ({ ...happening, type: 'admitted', endpoint: id }));
    case 'retract': {
      const { author, messageId } = order;
      return [{ ...happening, type: 'retracted', author, messageId, ...because(order) }];
    }
    case 'subject':
      return [{ ...happening, type: 'subject', ...(order.subject === undefined ? {} : { subject: order.subject }) }];
    case 'slow':
      return [{ ...happening, type: 'slowMode', seconds: order.seconds }];
    case 'lock':
      return [{ ...happening, type: 'locked' }];
    case 'unlock':
      return [{ ...happening, type: 'unlocked' }];
    case 'setting':
      return [{ ...happening, type: 'setting', change: order.change }];
    case 'pin': {
      const value = order.pin === undefined ? null : hashPin(order.pin);
      return [{ ...happening, type: 'setting', change: { setting: 'pinHash', value } }];
    }
    case 'move':
      return [
        { ...happening, type: 'tombstoned', ...(order.to === undefined ? {} : { to: order.to }), ...because(order) },
      ];
    case 'unmove':
      return [{ ...happening, type: 'untombstoned' }];
    case 'end':
      // First, so that the room says once that all have to leave, and not of each.
      return [
        { ...happening, type: 'ended', ...because(order) },
        ...departures(conference, happening, reasonOf('The conference was ended', order.reason), (user) => user !== by),
        ...departures(conference, happening, reasonOf('The conference was ended', order.reason), (user) => user === by),
      ];
  }
}

/** Everybody who `goes` leaves, `booted` (RFC 4575 §5.7.6). */
function departures(
  conference: Conference,
  happening: { readonly at: Millis; readonly by?: UserUri },
  reason: string,
  goes: (user: UserUri, address: IpAddress | undefined) => boolean,
): readonly ConferenceEvent[] {
  const endpoints = [...conference.users()].flatMap((user) => user.endpoints);
  return endpoints
    .filter(({ status, user, address }) => status !== 'disconnected' && goes(user, address))
    .map(({ id }) => ({ ...happening, type: 'left', endpoint: id, method: 'booted', reason }));
}

/** RFC 3326, as the roster and the BYE say it. */
function reasonOf(what: string, why: string | undefined): string {
  return sipReason(200, why === undefined ? what : `${what}: ${why}`);
}

function because({ reason }: { readonly reason?: string }): { readonly reason?: string } {
  return reason === undefined ? {} : { reason };
}

/** An order as a line for the operator: what is done to whom. */
export function describeOrder(order: Order): string {
  const { order: what, ...rest } = { ...order, ...timesOf(order) };
  const details = Object.entries(rest).map(
    ([name, value]) => `${name}=${name === 'pin' ? '***' : JSON.stringify(value)}`,
  );
  return [what, ...details].join(' ');
}

/** Points in time within an order, as people read them. */
function timesOf(order: Order): object {
  if (order.order === 'ban' && order.until !== undefined) return { until: new Date(order.until).toISOString() };
  if (order.order !== 'setting' || order.change.setting !== 'endsAt' || order.change.value === null) return {};
  return { change: { ...order.change, value: new Date(order.change.value).toISOString() } };
}
