/**
 * All that can happen in a conference. An allowed request becomes one of these, is appended to the room's log, and only
 * what comes back from the log changes state or reaches a participant.
 *
 * Events are plain data (`JSON` round trip, apart from the message bytes) and immutable. What an event means to the
 * state is `Conference.apply`; how long the log must keep it is `retentionOf`.
 */
import type { AbsoluteUri, EndpointId, EventNumber, IpAddress, MessageId, StreamId, UserUri } from './ids.ts';

/** Milliseconds since 1970-01-01T00:00:00Z. */
export type Millis = number;

/** Direction of a medium from the participant's point of view (RFC 4575 §5.8.5). */
export type MediaDirection = 'sendrecv' | 'sendonly' | 'recvonly' | 'inactive';

/** One media stream of an endpoint (RFC 4575 §5.8). */
export interface Medium {
  /** Unique within the endpoint and stable over re-INVITEs: the index of the m= line, where there is one. */
  readonly id: string;
  /** Registered SDP media type: `message`, `audio`, `video`, `text`… */
  readonly type: string;
  readonly status: MediaDirection;
  /** The i= line of the medium. */
  readonly displayText?: string;
  /** The SDP `label` of the medium in the conference. */
  readonly label?: string;
  /** SSRC of the sender, in decimal (RFC 4575 §5.8.4). */
  readonly srcId?: string;
}

/** Where an endpoint is in its call (RFC 4575 §5.7.3). `pending` also stands for one that waits in the lobby. */
export type EndpointStatus =
  'pending' | 'dialing-out' | 'dialing-in' | 'alerting' | 'on-hold' | 'connected' | 'muted-via-focus' | 'disconnecting';

/** RFC 4575 §5.7.4. */
export type JoiningMethod = 'dialed-in' | 'dialed-out' | 'focus-owner';

/** RFC 4575 §5.7.6. */
export type DisconnectionMethod = 'departed' | 'booted' | 'failed' | 'busy';

/** What a user may do. `owner` > `moderator` > `participant` > `visitor` (may only listen). */
export type Role = 'owner' | 'moderator' | 'participant' | 'visitor';

/** The SIP dialog of an endpoint (RFC 4575 §5.7.9). Shown only where the room's privacy rules allow it. */
export interface CallInfo {
  readonly callId: string;
  readonly fromTag: string;
  readonly toTag: string;
}

/** What every event carries. */
interface Happening {
  /** Wall-clock time at which it was decided. */
  readonly at: Millis;
  /** Who caused it; absent when the service itself did. */
  readonly by?: UserUri;
}

/** An endpoint came into the conference, or is being brought in (`status` other than `connected`). */
export interface Joined extends Happening {
  readonly type: 'joined';
  readonly endpoint: EndpointId;
  /** The authenticated identity; rules, nicknames and bans hang on it. */
  readonly user: UserUri;
  /** The URI shown instead of `user` to everybody else (RFC 7701 §5.2, RFC 3323): the anonymous participant's name in roster and CPIM. Belongs to this user alone in this conference. */
  readonly alias?: UserUri;
  /** Display name of the user as it came, unchecked text. */
  readonly displayName?: string;
  /** The `entity` of the endpoint in the roster: its Contact or GRUU, without secrets. Default: the endpoint id. */
  readonly contact?: string;
  /** Default `connected`. */
  readonly status?: EndpointStatus;
  readonly method: JoiningMethod;
  /** Human sentence or RFC 3326 Reason: why it joined. */
  readonly reason?: string;
  /** The device (`+sip.instance`), which history positions hang on. */
  readonly instance?: string;
  /** Transport address it came from, for bans by address and for the audit line. Never shown in a roster. */
  readonly address?: IpAddress;
  readonly media: readonly Medium[];
  readonly callInfo?: CallInfo;
}

/** The endpoint's call moved on: answered, held, ringing. */
export interface StatusChanged extends Happening {
  readonly type: 'statusChanged';
  readonly endpoint: EndpointId;
  readonly status: EndpointStatus;
}

/** A re-INVITE or UPDATE changed the media of an endpoint; the list is the whole new one. */
export interface MediaChanged extends Happening {
  readonly type: 'mediaChanged';
  readonly endpoint: EndpointId;
  readonly media: readonly Medium[];
}

/** A moderator let an endpoint in that waited in the lobby (`pending` becomes `connected`). */
export interface Admitted extends Happening {
  readonly type: 'admitted';
  readonly endpoint: EndpointId;
}

/** An endpoint is gone. */
export interface Left extends Happening {
  readonly type: 'left';
  readonly endpoint: EndpointId;
  readonly method: DisconnectionMethod;
  /** RFC 3326 form recommended: `SIP;cause=200;text="…"`. */
  readonly reason?: string;
}

/** The device of a user has surely been given everything up to `through`; where its next history replay starts. */
export interface CaughtUp extends Happening {
  readonly type: 'caughtUp';
  readonly user: UserUri;
  readonly instance: string;
  readonly through: EventNumber;
}

/** A user took a nickname (RFC 7701 §7.1), changed it (§7.2) or gave it up (§7.3, `nickname` absent). */
export interface Renamed extends Happening {
  readonly type: 'renamed';
  readonly user: UserUri;
  /** The endpoint it was asked from: the nickname is shown with that endpoint's roster entry, so that it never links an anonymous entry to an open one of the same user. Absent: with all of them. */
  readonly endpoint?: EndpointId;
  /** As enforced by RFC 8266 §2.3. If another user took an equal one first, the event changes nothing. */
  readonly nickname?: string;
}

/** The display name of a user changed. */
export interface DisplayNameChanged extends Happening {
  readonly type: 'displayNameChanged';
  readonly user: UserUri;
  readonly displayName?: string;
}

/** Who may get a message: everyone in the room, or only the addressee of a private one (with its author, RFC 7701 §6.2). */
export type Audience = { readonly to: 'everyone' } | { readonly to: 'user'; readonly user: UserUri };

/** What `said` and `opened` have in common. */
export interface MessageFields extends Happening {
  readonly messageId: MessageId;
  readonly by: UserUri;
  /** The author's endpoint: it alone gets no copy. Absent for what comes from outside a call (an administrator's line). */
  readonly endpoint?: EndpointId;
  readonly audience: Audience;
  /** Type of the bytes, normally `message/cpim`. */
  readonly contentType: string;
  /** Type of what the CPIM message wraps, without parameters, in lower case (RFC 7701 §5.2 accept-wrapped-types). */
  readonly wrappedType?: string;
  /** The IMDN Message-ID within the CPIM headers, where there is one (RFC 5438 §6.3). */
  readonly imdnId?: MessageId;
}

/** A whole message was sent to the room or to one of its users. */
export interface Said extends MessageFields {
  readonly type: 'said';
  /** The bytes as received, never to be changed by anybody (RFC 7701 §6.1). */
  readonly cpim: Uint8Array;
}

/** A large message began to stream through the room; its chunks bypass the log. */
export interface Opened extends MessageFields {
  readonly type: 'opened';
  readonly stream: StreamId;
  /** Whole size in octets, when Byte-Range told it. */
  readonly size?: number;
  /** File name, when a header told it. */
  readonly fileName?: string;
  /** Of its beginning, by which it is known when it is sent again. */
  readonly fingerprint?: string;
  /** A message/cpim object in plain text that stands for it where it cannot go itself: who sends what. */
  readonly cpim: Uint8Array;
}

/** The streamed message is complete. */
export interface Closed extends Happening {
  readonly type: 'closed';
  readonly stream: StreamId;
  /** Octets that went through. */
  readonly size: number;
}

/** The streamed message was broken off by its sender (`#`) or lost its sender. */
export interface Aborted extends Happening {
  readonly type: 'aborted';
  readonly stream: StreamId;
  readonly reason: string;
}

/** A disposition notification on its way to the author of the message (RFC 5438). */
export interface Disposition extends Happening {
  readonly type: 'disposition';
  /** The message whose fate is told. */
  readonly of: MessageId;
  readonly by: UserUri;
  /** The author of that message: the only one who gets this. */
  readonly to: UserUri;
  readonly notification: 'delivery' | 'display' | 'processing';
  /** The status element's name: `delivered`, `displayed`, `failed`, `forbidden`, `error`… */
  readonly status: string;
  readonly contentType: string;
  /** The bytes as they shall reach the author. */
  readonly cpim: Uint8Array;
}

/** A message was taken back by its author or by a moderator: it is not replayed any more. */
export interface Retracted extends Happening {
  readonly type: 'retracted';
  readonly messageId: MessageId;
  /** The author of the message, since Message-IDs are unique per sender only. */
  readonly author: UserUri;
  readonly reason?: string;
}

/** The subject of the conference changed; absent `subject` removes it. */
export interface Subject extends Happening {
  readonly type: 'subject';
  readonly subject?: string;
}

/** A user may not speak until `unmuted`. */
export interface Muted extends Happening {
  readonly type: 'muted';
  readonly user: UserUri;
  readonly reason?: string;
}

/** A muted user may speak again. */
export interface Unmuted extends Happening {
  readonly type: 'unmuted';
  readonly user: UserUri;
}

/** Whom a ban keeps out: an identity, a whole domain (`*@example.com`), or a transport address without port. */
export type BanTarget =
  | { readonly kind: 'user'; readonly user: UserUri }
  | { readonly kind: 'domain'; readonly domain: string }
  | { readonly kind: 'address'; readonly address: IpAddress };

/** Somebody may not come in, for a time or for ever. */
export interface Banned extends Happening {
  readonly type: 'banned';
  readonly target: BanTarget;
  /** End of the ban; absent: none. */
  readonly until?: Millis;
  readonly reason?: string;
}

/** A ban was lifted. */
export interface Unbanned extends Happening {
  readonly type: 'unbanned';
  readonly target: BanTarget;
}

/** A user was given a role. */
export interface RoleGiven extends Happening {
  readonly type: 'role';
  readonly user: UserUri;
  readonly role: Role;
}

/** Nobody new may come in (RFC 4575 §5.5.3). */
export interface Locked extends Happening {
  readonly type: 'locked';
}

/** The conference takes participants again. */
export interface Unlocked extends Happening {
  readonly type: 'unlocked';
}

/** Each participant may speak once in so many seconds; 0 turns it off. */
export interface SlowMode extends Happening {
  readonly type: 'slowMode';
  readonly seconds: number;
}

/** What a moderator or the administrator may change of a room while it lives. */
export interface SettingValues {
  /** Most users at a time. */
  readonly maximumUsers: number;
  /** Newcomers wait until a moderator admits them. */
  readonly lobby: boolean;
  /** Only members may join. */
  readonly membersOnly: boolean;
  /** Private messages are taken (RFC 7701 §6.2). */
  readonly privateMessages: boolean;
  /** The conference ends at this time. */
  readonly endsAt: Millis;
  /** Salted hash of the PIN that one must give to join, never the PIN. */
  readonly pinHash: string;
}

/** One setting and its new value; `null` is none, also where one is configured. */
export type SettingChange = {
  readonly [Name in keyof SettingValues]: { readonly setting: Name; readonly value: SettingValues[Name] | null };
}[keyof SettingValues];

/** A setting of the room was changed while it lives. */
export interface SettingChanged extends Happening {
  readonly type: 'setting';
  readonly change: SettingChange;
}

/** The room has moved: who comes is told where (301/302). */
export interface Tombstoned extends Happening {
  readonly type: 'tombstoned';
  /** Where it moved to; absent: nowhere, the room is only closed. */
  readonly to?: AbsoluteUri;
  readonly reason?: string;
}

/** The room is where it was before it had moved. */
export interface Untombstoned extends Happening {
  readonly type: 'untombstoned';
}

/** The service was started again: every endpoint of before is gone and every unfinished stream aborted. */
export interface Restarted extends Happening {
  readonly type: 'restarted';
}

/** The conference is over: subject, roles, mutes and settings given in it are void; bans and a tombstone stay. A later `joined` begins it anew. */
export interface Ended extends Happening {
  readonly type: 'ended';
  readonly reason?: string;
}

/** Everything that can happen in a conference. */
export type ConferenceEvent =
  | Joined
  | StatusChanged
  | MediaChanged
  | Admitted
  | Left
  | CaughtUp
  | Renamed
  | DisplayNameChanged
  | Said
  | Opened
  | Closed
  | Aborted
  | Disposition
  | Retracted
  | Subject
  | Muted
  | Unmuted
  | Banned
  | Unbanned
  | RoleGiven
  | Locked
  | Unlocked
  | SlowMode
  | SettingChanged
  | Tombstoned
  | Untombstoned
  | Restarted
  | Ended;
