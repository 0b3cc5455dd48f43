/**
 * What a configuration may say. `config/default.yaml` explains every key where it stands and is itself loaded as the
 * defaults, so nothing here has one. Names are those of the file; durations come out as milliseconds, sizes as octets.
 */
import { resolve } from 'node:path';
import { z } from 'zod';
import { count, duration, host, hosts, network, period, port, size, sizeFrom } from './units.ts';

const advertise = z.strictObject({ host: host.nullable(), port: port.nullable() });

// What would be no URI when a room opens must not pass here: its callers would get a 500.
const CHARACTERS = /^(?:[\w\-.~!$&'()*+,;=:@/?#[\]]|%[0-9A-Fa-f]{2}){1,2048}$/;
const isUri = (text: string): boolean =>
  CHARACTERS.test(text) && /^[^:#]+:[^#]+(?:#[^#]*)?$/.test(text) && URL.canParse(text);

const absoluteUri = z.string().refine(isUri, 'expected an absolute URI such as xmpp:room@muc.example.org');

const sipUri = z
  .string()
  .refine((text) => isUri(text) && /^sips?:/i.test(text), 'expected a SIP URI such as sip:proxy.example.org;lr');

const identity = z
  .string()
  .refine(
    (text) => isUri(text) && /^(?:sips?:[^@]+@[^@/?#]+|tel:[^@/?#]+)$/.test(text),
    'expected an address of record such as sip:alice@example.org',
  );

const origin = z
  .string()
  .regex(/^(?:\*|https?:\/\/[^/\s]+)$/, "expected an origin such as https://chat.example.org, or '*'");

const role = z.enum(['owner', 'moderator', 'participant', 'visitor']);

/**
 * Octets that wait for the disk beyond which large texts wait before they are read: small ones must not wait behind them.
 * With a smaller backlog people would be refused before that.
 */
export const LOG_BUSY = 1_048_576;

/** An entry of one of the lists of URIs of the conference document (RFC 4575 §5.3.1). */
const uriEntry = z.strictObject({
  uri: absoluteUri,
  purpose: z.string().min(1).nullable().default(null),
  display_text: z.string().nullable().default(null),
});

/** The same, with the purpose that it has where none is given. */
const uriEntryFor = (purpose: string): typeof uriEntry =>
  uriEntry.extend({ purpose: uriEntry.shape.purpose.unwrap().default(purpose) });

const room = z.strictObject({
  permanent: z.boolean(),
  display_text: z.string().nullable(),
  subject: z.string().nullable(),
  free_text: z.string().nullable(),
  keywords: z.array(z.string().min(1)),
  web_page: absoluteUri.nullable(),
  host_display_text: z.string().nullable(),
  host_uris: z.array(uriEntry),
  conf_uris: z.array(uriEntryFor('participation')),
  services: z.array(uriEntryFor('grouptextchat')),
  maximum_users: count.nullable(),
  maximum_devices: count,
  messages_per_second: count,
  messages_at_once: count,
  roles: z.record(identity, role),
  default_role: role,
  creator_role: role.nullable(),
  ends_with_creator: z.boolean(),
  require_tls: z.boolean(),
  members_only: z.boolean(),
  lobby: z.boolean(),
  pin: z
    .string()
    .regex(/^[A-Za-z0-9\-_.!~*'()]{1,64}$/, 'expected letters, digits and marks that a SIP URI may hold')
    .nullable(),
  slow_mode: duration,
  private_messages: z.boolean(),
  nicknames: z.boolean(),
  reserved_nicknames: z.array(z.string().min(1)),
  account_nicknames: z.record(z.string().min(1), identity),
  nickname_quarantine: duration,
  watchers: z.enum(['anybody', 'participants']),
  strangers: z.enum(['refuse', 'allow']),
  loops: z.enum(['refuse', 'allow']),
  durability: z.enum(['disk', 'memory']),
  keep_messages: z.int().min(0),
  keep_for: duration,
  keep_bytes: size,
  welcome: z.string().nullable(),
  history_messages: z.int().min(0).max(10_000),
  history_within: duration.nullable(),
  missed_messages: z.int().min(0).max(10_000),
  history_by_message: z.int().min(0).max(10_000),
  aggregate_notifications: duration,
});

/** One entry of such a list. */
export type UriEntryConfig = z.infer<typeof uriEntry>;

/** All that is configured of one room. */
export type RoomConfig = z.infer<typeof room>;

/** The user part of the URI that makes conferences on call (RFC 4579 §5.4): no room has that name. */
export const FACTORY = 'conference-factory';

const roomName = z
  .string()
  .regex(/^[A-Za-z0-9\-_.!~*'()&=+$,;?/%]{1,128}$/, 'expected the user part of a SIP URI')
  .refine(hasNeededEscapes, 'expected escapes such as %C3%A9 in capitals, and only where they are needed')
  .refine((name) => name !== FACTORY, 'that name is the factory: see the section of that name');

/** Whether a name is written as names are compared (RFC 3261 §19.1.4): by another spelling no call would find it. */
function hasNeededEscapes(name: string): boolean {
  return [...name.matchAll(/%(.{0,2})/g)].every(
    ([, hex = '']) => /^[0-9A-F]{2}$/.test(hex) && !/[\w\-.!~*'()]/.test(String.fromCharCode(Number.parseInt(hex, 16))),
  );
}

const peer = z.strictObject({
  user_agent: z.string().min(1),
  chunks: z.boolean().optional(),
  bare_text: z.boolean().optional(),
  roster: z.enum(['full', 'partial']).optional(),
  message: z.enum(['in-dialog', 'out-of-dialog', 'none']).optional(),
  text: z.enum(['plain', 'cpim']).optional(),
});

/** Manners of one family of clients; what is not given stays as the built-in table or the peer's own words have it. */
export type PeerConfig = z.infer<typeof peer>;

/** The words with which an operator takes the risks of an unprotected server. */
export const OPENLY = { auth: 'anybody may join', tls: 'others may read along' } as const;

/** The whole configuration, as it is read from all its places together. */
export const schema = z.strictObject({
  domains: z.array(host),
  open_to_network: z.array(z.enum([OPENLY.auth, OPENLY.tls])),
  data: z.string().min(1),

  sip: z.strictObject({
    host: hosts,
    port,
    udp: z.boolean(),
    tcp: z.boolean(),
    tls_port: port.nullable(),
    advertise,
    t1: duration,
    t2: duration,
    t4: duration,
    session_expires: duration,
    session_minimum: duration,
    message_bytes: sizeFrom(65_535, 'must be at least 65535, the largest that UDP can bring (RFC 3261 §18.1.1)'),
    header_line: sizeFrom(1024, 'must be at least 1KiB'),
    connections_per_address: count,
    transactions: count,
    dialogs: count,
    dialogs_per_address: count,
    pending_invites: count,
    pending_invites_per_address: count,
  }),

  msrp: z.strictObject({
    host: hosts,
    port,
    advertise,
    max_message: sizeFrom(2048, 'must be at least 2KiB, for a text with its CPIM head'),
    stream_above: sizeFrom(2048, 'must be at least 2KiB, for a text with its CPIM head'),
    bind_timeout: period,
    grace: duration,
    chunk_timeout: period,
    idle_timeout: duration,
    relayed_chunk: sizeFrom(2048, 'no chunk may be smaller than 2KiB (RFC 4975 §7.1.1)'),
    queue_bytes: size,
    congested_for: period,
    unbound_per_address: count,
    sessions_per_connection: count,
    files_at_once: count,
  }),

  http: z.strictObject({
    host,
    port,
    tls: z.boolean(),
    proxies: z.array(network),
    forwarded_for: z.boolean(),
    origins: z.array(origin),
    websockets_per_address: count,
  }),

  tls: z.strictObject({ certificate: z.string().min(1).nullable(), key: z.string().min(1).nullable() }),

  auth: z.strictObject({
    mode: z.enum(['open', 'digest']),
    realm: z.string().regex(/^[\x20-\x7e]+$/, 'expected printable ASCII'),
    users: z.string().min(1),
    algorithms: z.array(z.enum(['SHA-256', 'MD5'])).min(1),
    nonce_lifetime: period,
  }),

  rooms: z.strictObject({
    on_demand: z.boolean(),
    maximum: count,
    pin_tries: count,
    pin_tries_per_address: count,
    defaults: room,
    named: z.record(roomName, room.partial()),
  }),

  factory: z.strictObject({
    creators: z.union([z.enum(['anybody', 'authenticated', 'nobody']), z.array(identity).min(1)]),
    answer: z.enum(['accept', 'redirect']),
    rooms_per_minute: count,
    rooms_at_once: count,
  }),

  dialling: z.strictObject({
    domains: z.array(z.union([z.literal('*'), host])),
    proxy: sipUri.nullable(),
    ring: period,
    redirects: z.int().min(0).max(20),
    calls: count,
    calls_per_user: count,
    list_entries: count,
  }),

  roster: z.strictObject({
    interval: duration,
    expires: period,
    expires_minimum: duration,
    subscriptions: count,
    call_info: z.boolean(),
  }),

  log: z.strictObject({
    file: z.string().min(1),
    duplicate_window: count,
    backlog_bytes: sizeFrom(LOG_BUSY, 'must be at least 1MiB: beyond it people are refused'),
  }),

  audio: z.strictObject({ mode: z.enum(['silence', 'inactive', 'decline']), first_port: port, last_port: port }),

  peers: z.array(peer),

  logging: z.strictObject({
    level: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'silent']),
    format: z.enum(['text', 'json']),
  }),

  shutdown: duration,
});

/** A whole configuration, checked: what `loadConfig` gives. */
export type Config = z.infer<typeof schema>;

/** The path of one of the service's own files: relative names stand in the data directory. */
export function dataPath(config: Config, file: string): string {
  return resolve(config.data, file);
}

/** Whether a room asks for the disk: else all is kept in memory alone. */
export function keepsOnDisk({ rooms: { defaults, named } }: Config): boolean {
  return [defaults, ...Object.values(named)].some((room) => (room.durability ?? defaults.durability) === 'disk');
}

/** What holds for one room: its own settings over the defaults of all. */
export function roomConfig(config: Config, name: string): RoomConfig {
  const own = Object.hasOwn(config.rooms.named, name) ? config.rooms.named[name] : undefined;
  const merged: RoomConfig = { ...config.rooms.defaults };
  return own === undefined ? merged : { ...merged, ...given(own) };
}

/** The keys of an object that have a value. */
function given<T extends object>(partial: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  const kept: { [K in keyof T]?: Exclude<T[K], undefined> } = {};
  for (const key in partial) {
    const value = partial[key];
    if (value !== undefined) kept[key] = value as Exclude<T[typeof key], undefined>;
  }
  return kept;
}
