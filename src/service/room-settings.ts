import type { Domains } from '../chat/domains.ts';
import type { RoomSettings } from '../chat/host.ts';
import { identityOf } from '../chat/who.ts';
import { absoluteUri, type RoomUri, userUri, type UserUri } from '../conference/ids.ts';
import type { Role } from '../conference/events.ts';
import type { UriEntry } from '../conference/settings.ts';
import { type Config, FACTORY, type RoomConfig, roomConfig, type UriEntryConfig } from '../config/schema.ts';
import { hashPin } from '../policy/pin.ts';
import { DEFAULT_ROOM_POLICY, type RoomPolicy } from '../policy/room-policy.ts';
import type { RoomKeeping } from '../log/room-log.ts';

/** The name of a room as the configuration knows it: the user part of its URI. */
export function roomName(uri: RoomUri): string {
  return uri.slice(uri.indexOf(':') + 1, uri.lastIndexOf('@'));
}

/**
 * What is configured for a room; undefined when there is none and none may be made on demand.
 *
 * @param made set where the factory has made it: for whom, where that need not be who comes first
 */
export function settingsOf(
  config: Config,
  uri: RoomUri,
  domains: Domains,
  made?: { readonly owner: UserUri | undefined },
): RoomSettings | undefined {
  const name = roomName(uri);
  if (name === FACTORY) return undefined;
  if (made === undefined && !config.rooms.on_demand && !Object.hasOwn(config.rooms.named, name)) return undefined;
  const room = roomConfig(config, name);
  return {
    permanent: room.permanent,
    conference: conferenceSettings(room, domains, made?.owner),
    policy: roomPolicy(config, room, domains),
    welcome: welcomeOf(room),
  };
}

/** How the log keeps a room. */
export function keepingOf(config: Config, uri: RoomUri): RoomKeeping {
  const room = roomConfig(config, roomName(uri));
  return {
    durability: room.durability,
    maxAge: room.keep_for,
    maxMessages: room.keep_messages,
    maxBytes: room.keep_bytes,
  };
}

function welcomeOf(room: RoomConfig): RoomSettings['welcome'] {
  return {
    text: room.welcome ?? undefined,
    history: {
      messages: room.history_messages,
      missed: room.missed_messages,
      ...(room.history_within === null ? {} : { within: room.history_within }),
    },
  };
}

/** Who is meant by an identity in the configuration. */
export function userOf(identity: string, domains: Domains): UserUri {
  return identityOf(domains.personNamed(identity)) ?? userUri(identity);
}

function roomPolicy(config: Config, room: RoomConfig, domains: Domains): RoomPolicy {
  return {
    ...DEFAULT_ROOM_POLICY,
    watchers: room.watchers,
    strangers: room.strangers,
    loops: room.loops,
    ...(room.pin === null ? {} : { pin: room.pin }),
    maxDevices: room.maximum_devices,
    maxMessage: config.msrp.max_message,
    nicknames: room.nicknames,
    reservedNicknames: room.reserved_nicknames,
    accountNicknames: new Map(
      Object.entries(room.account_nicknames).map(([name, user]) => [name, userOf(user, domains)]),
    ),
    nicknameQuarantine: room.nickname_quarantine,
    historyByMessage: room.history_by_message,
    notificationPeriod: room.aggregate_notifications,
    ...(room.creator_role === null || room.permanent ? {} : { creatorRole: room.creator_role }),
    requireTls: room.require_tls,
    endsWithCreator: room.ends_with_creator && !room.permanent,
    messageRate: { perSecond: room.messages_per_second, burst: room.messages_at_once },
  };
}

function conferenceSettings(
  room: RoomConfig,
  domains: Domains,
  creator: UserUri | undefined,
): RoomSettings['conference'] {
  const roles = new Map<UserUri, Role>(Object.entries(room.roles).map(([user, role]) => [userOf(user, domains), role]));
  if (creator !== undefined && room.creator_role !== null && !roles.has(creator)) roles.set(creator, room.creator_role);
  return {
    ...(room.display_text === null ? {} : { displayText: room.display_text }),
    ...(room.subject === null ? {} : { subject: room.subject }),
    ...(room.free_text === null ? {} : { freeText: room.free_text }),
    ...(room.keywords.length === 0 ? {} : { keywords: room.keywords }),
    hostInfo: {
      ...(room.host_display_text === null ? {} : { displayText: room.host_display_text }),
      ...(room.web_page === null ? {} : { webPage: absoluteUri(room.web_page) }),
      uris: room.host_uris.map(uriEntry),
    },
    ...(room.maximum_users === null ? {} : { maximumUsers: room.maximum_users }),
    confUris: room.conf_uris.map(uriEntry),
    serviceUris: room.services.map(uriEntry),
    roles,
    defaultRole: room.default_role,
    membersOnly: room.members_only,
    lobby: room.lobby,
    slowMode: room.slow_mode / 1000,
    ...(room.pin === null ? {} : { pinHash: hashOf(room.pin) }),
    privateMessages: room.private_messages,
  };
}

function uriEntry({ uri, purpose, display_text }: UriEntryConfig): UriEntry {
  return {
    uri: absoluteUri(uri),
    ...(purpose === null ? {} : { purpose }),
    ...(display_text === null ? {} : { displayText: display_text }),
  };
}

const hashes = new Map<string, string>();

/** Hashing is slow on purpose, and the configuration is asked for every call. */
function hashOf(pin: string): string {
  const hash = hashes.get(pin) ?? hashPin(pin);
  hashes.set(pin, hash);
  return hash;
}
