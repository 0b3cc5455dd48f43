import type { ConferenceView } from '../conference/view.ts';

/** Somebody in the room, as the conference document shows them (RFC 4575 §5.6). */
export interface Participant {
  readonly uri: string;
  /** Nickname, else display name, else the user part of the address. */
  readonly name: string;
  readonly nickname: string | undefined;
  readonly roles: readonly string[];
  /** Devices connected. */
  readonly endpoints: number;
  /** Whether one of them is this one: the room may know its user by another address than the one given. */
  readonly own: boolean;
}

/** What a new document changed. */
export interface RosterChange {
  readonly joined: readonly Participant[];
  readonly left: readonly Participant[];
  readonly renamed: readonly { readonly before: Participant; readonly after: Participant }[];
}

/** Those who are connected, by their address. */
export type Roster = ReadonlyMap<string, Participant>;

/**
 * The participants whom a view shows as connected.
 * @param device the host in the Contact of this device, where it is in the room
 */
export function rosterOf(view: ConferenceView, device?: string): Roster {
  const present = view.users.map((user): Participant => {
    const endpoints = user.endpoints.filter(({ status }) => status !== 'disconnected');
    return {
      uri: user.entity,
      name: user.nickname ?? user.displayText ?? userPart(user.entity),
      nickname: user.nickname,
      roles: user.roles,
      endpoints: endpoints.length,
      own: device !== undefined && endpoints.some(({ entity }) => entity.includes(`@${device}`)),
    };
  });
  return new Map(present.filter(({ endpoints }) => endpoints > 0).map((participant) => [participant.uri, participant]));
}

/** What happened between two rosters; undefined when nothing did. */
export function changeBetween(before: Roster, after: Roster): RosterChange | undefined {
  const joined = [...after.values()].filter(({ uri }) => !before.has(uri));
  const left = [...before.values()].filter(({ uri }) => !after.has(uri));
  const renamed = [...after.values()].flatMap((participant) => {
    const earlier = before.get(participant.uri);
    return earlier === undefined || earlier.name === participant.name ? [] : [{ before: earlier, after: participant }];
  });
  return joined.length + left.length + renamed.length === 0 ? undefined : { joined, left, renamed };
}

/** The part of an address before the host, readable. */
export function userPart(uri: string): string {
  const user = /^(?:sips?|im|pres):([^@;?]+)@/i.exec(uri)?.[1] ?? uri;
  try {
    return decodeURIComponent(user);
  } catch {
    return user;
  }
}
