import type { Assembler } from './assembler.ts';
import type { IncomingMessage, MessageOpening, NicknameRequest, OtherRequest, Reception, Report } from './incoming.ts';
import type { MessageId } from './message.ts';
import type { Outcome, Outgoing, StreamOptions, StreamSource } from './outgoing.ts';
import type { PreparedMessage } from './prepare.ts';
import type { MsrpPath, MsrpUri, MsrpScheme } from './uri.ts';

/** Why a session ended. */
export type CloseReason =
  /** `close` was called. */
  | 'local'
  /** Expected, but no request named it in time. */
  | 'unbound'
  /** The peer ended the connection, or it broke. */
  | 'disconnected'
  /** No connection to the peer could be made. */
  | 'unreachable'
  /** The peer knows no such session (481), or has it on another connection (506). */
  | 'rejected'
  /** The peer sent what is not MSRP, or passed a limit. */
  | 'protocol'
  /** The peer took no octet for too long. */
  | 'stalled';

/** An address of ours, as it stands in the URIs that peers get. */
export interface LocalAddress {
  readonly scheme: MsrpScheme;
  /** Host name or IP address that peers can reach; IPv6 without brackets. */
  readonly host: string;
  readonly port: number;
  /** `tcp` unless given; `ws` for WebSocket (RFC 7977 §5.2.1). */
  readonly transport?: string;
}

/** What a session tells its owner. Called synchronously; what is thrown here is a bug and is not caught. */
export interface SessionHandlers {
  /** A connection is bound to the session; messages flow. */
  bound?(session: MsrpSession): void;
  /** The first chunk of a message: how to receive it. `collect` unless given. */
  opening?(session: MsrpSession, opening: MessageOpening): Reception;
  /** A whole message, in the order in which messages were completed. It waits for its `respond`. */
  message(session: MsrpSession, message: IncomingMessage): void;
  /** Refused with 501 unless given (RFC 4975 §10.9). */
  nickname?(session: MsrpSession, request: NicknameRequest): void;
  /** Any method but SEND, REPORT, NICKNAME and AUTH. Refused with 501 unless given (RFC 4975 §10.9). */
  request?(session: MsrpSession, request: OtherRequest): void;
  report?(session: MsrpSession, report: Report): void;
  /** What became of a message, as far as its `outcomes` ask for it. */
  outcome?(session: MsrpSession, message: Outgoing, outcome: Outcome): void;
  /**
   * The queue, of which `send` had said `full`, is at half its bound or below. After a message larger than the whole
   * bound it is told too, with the next that goes out: there is room then, but never for that one.
   */
  drained?(session: MsrpSession): void;
  /** The session has ended; told once, last, also after `close`. */
  closed?(session: MsrpSession, reason: CloseReason, detail: string): void;
}

/** What a peer can and cannot do, where it is known to differ from the RFCs. */
export interface PeerManners {
  /**
   * False: never more than one chunk per message, for peers that cannot put chunks together. True unless given. Over a
   * WebSocket what `stream` sends is cut up all the same: one chunk is one WebSocket message there (RFC 7977 §5.1), and
   * cannot be sent before its octets are all there.
   */
  readonly chunks?: boolean;
  /** True: a Use-Nickname without its quotes is taken, as some clients send it. False unless given. */
  readonly bareNicknames?: boolean;
}

/** What a session is made with. */
export interface SessionOptions extends PeerManners {
  readonly handlers: SessionHandlers;
  /** Which of our addresses the peer shall use. */
  readonly at: LocalAddress;
  /** The peer's `a=path`; may be set later. */
  readonly remotePath?: MsrpPath;
  /** Path through our own relays, from an AUTH's Use-Path (RFC 4976 §5.1). */
  readonly relays?: MsrpPath;
  /**
   * Octets of one chunk at most; no bound unless given. Messages of up to 2048 octets are sent whole all the same (RFC
   * 4975 §7.1.1).
   */
  readonly maxChunkBytes?: number;
  /**
   * The same where the way to the peer has more than one URI, for relays that hold each chunk whole, as RFC 4976 §6.4.1
   * lets them; no other bound unless given.
   */
  readonly maxRelayedChunkBytes?: number;
  /** True: From-Path and To-Path are matched by session id only (RFC 6714, peers behind boxes). False unless given. */
  readonly matchBySessionId?: boolean;
  /** Shared by the sessions of one user, so that chunks may continue on another session (RFC 4975 §5.4). */
  readonly assembler?: Assembler;
  /**
   * Of the certificates the peer announced: when dialling by TLS, one of them must be shown (RFC 4975 §14.4), and a peer
   * that connects by TLS must show none but these (RFC 8122 §6.2). Only those with the strongest known hash function
   * count (§5.1); with none known nothing is connected.
   */
  readonly fingerprints?: readonly { readonly hash: string; readonly value: string }[];
  /** Octets that may wait to be sent before `send` says `full`; 1 MiB unless given. */
  readonly maxQueuedBytes?: number;
  /**
   * Milliseconds for which there may be more, up to sixteen times as much, since what comes in one moment takes a while to
   * be written and read: only then `send` says `full`, and goes on to say so until half of it is gone. 0 unless given.
   */
  readonly fullAfter?: number;
  /** Streams that may be under way before `stream` says `full`; 64 unless given. */
  readonly maxStreams?: number;
  /** Milliseconds after which a SEND without a body shows whether the peer is still there; never unless given. */
  readonly keepAlive?: number;
  /** Milliseconds a session may stay expected before it is closed as `unbound`; 30,000 unless given. */
  readonly bindTimeout?: number;
  /** `manual`: `respond(200)` sends no success REPORT, `report(200)` does. `automatic` unless given. */
  readonly successReports?: 'automatic' | 'manual';
}

/** A message under way piece by piece. */
export interface OutgoingStream extends Outgoing {
  /** Its source has more, or has ended. */
  wake(): void;
  /** Gives the message up: the peer sees `#`. */
  abort(): void;
}

/** What became of a message that was given to a session: it waits, finds no place, or comes too late. */
export type Queued = 'queued' | 'full' | 'closed';

/** One MSRP session (RFC 4975 §4): expected, then bound to one connection, then closed. */
export interface MsrpSession {
  readonly state: 'expected' | 'bound' | 'closed';
  /** Our URI in this session. */
  readonly localUri: MsrpUri;
  /** What stands in our SDP's `a=path`: our URI behind our relays (RFC 4975 §8.2, RFC 4976 §5.1). */
  readonly localPath: MsrpPath;
  readonly remotePath: MsrpPath | undefined;
  /**
   * The peer's path has become known, or has changed by a new offer or answer (RFC 4975 §8.4); and with it, maybe, what
   * kind of peer it is. What is queued already goes out as it would have.
   */
  setRemotePath(path: MsrpPath, manners?: PeerManners): void;
  /**
   * The certificates that the peer announces have become known: as `SessionOptions.fingerprints`, for who learns them by
   * the answer to an offer. Those that are known already stay. Who is connected and has shown another is let go (RFC 8122
   * §6.2).
   */
  setFingerprints(fingerprints: NonNullable<SessionOptions['fingerprints']>): void;
  /** Makes this the active endpoint: connects and sends a SEND at once (RFC 4975 §5.4). `via`: connect there (CEMA). */
  dial(via?: { readonly host: string; readonly port: number }): void;
  /**
   * Queues a message; allocates nothing. A session may queue a prepared message once only, because its transaction id
   * comes with it and must not occur twice (RFC 4975 §7.1): to say it again, `prepare` it again, with the same
   * `messageId` when it is a resend. This is not checked. A message larger than `maxQueuedBytes` is taken when
   * nothing else waits, and is `full` otherwise: `stream` is for those.
   */
  send(message: PreparedMessage): Queued;
  /** Queues a message whose octets are pulled from `source` as the connection takes them. */
  stream(options: StreamOptions, source: StreamSource): OutgoingStream | 'full' | 'closed';
  /** Takes a message back: unsent it is dropped, half sent it is ended with `#`, false when it is too late. */
  cancel(message: Outgoing): boolean;
  /** Drops messages not yet begun, oldest first, until at most `downTo` octets wait; gives those dropped. */
  thin(downTo: number, mayDrop?: (message: PreparedMessage) => boolean): readonly PreparedMessage[];
  /** Whether a message with such an id waits to be sent or to be answered. Looks through all that waits. */
  waits(isIt: (messageId: MessageId) => boolean): boolean;
  /** Whether a message with such an id is sent in pieces, and the last has not gone out: another under that id has to wait. */
  isInPieces(isIt: (messageId: MessageId) => boolean): boolean;
  /** How many requests and messages wait to be sent, wholly or in part, or to be answered. */
  readonly underWay: number;
  /** Octets that wait to be sent. */
  readonly queuedBytes: number;
  readonly maxQueuedBytes: number;
  /** Stops reading from the connection, which stops its other sessions too, until `resume`. */
  pause(): void;
  resume(): void;
  /** Asks for a nickname (RFC 7701 §7.1); resolves with the answer, 408 when none came. */
  nickname(name: string): Promise<{ readonly status: number; readonly comment: string }>;
  /** Ends the session; what is queued is lost, what was answered goes out. */
  close(detail?: string): void;
}
