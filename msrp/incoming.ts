import type {
  ByteRange,
  ContinuationFlag,
  FailureReport,
  Header,
  MessageId,
  ReportStatus,
  RequestHead,
} from './message.ts';
import type { Refusal, StatusCode } from './status.ts';

/** What the first chunk of a message tells about it (RFC 4975 §7.1.1). */
export interface MessageOpening {
  readonly messageId: MessageId;
  /** The Content-Type as written, parameters included. */
  readonly contentType: string;
  /** Octets of the whole message as the sender announced them; undefined when it does not know. Not to be trusted. */
  readonly total: number | undefined;
  readonly successReport: boolean;
  readonly failureReport: FailureReport;
  /** All other header fields of the first chunk, in order. */
  readonly headers: readonly Header[];
}

/** How a message is received, told at its first chunk. */
export type Reception =
  /** Gathered within the bounds of the session's assembler and given whole to `message`. */
  | 'collect'
  /** Not taken: answered at once, all its chunks discarded, its sender stopped (RFC 4975 §10.5 for 413). */
  | { readonly refuse: Refusal }
  /** Given away piece by piece as it arrives, however large. */
  | { readonly sink: MessageSink };

/** Takes a message piece by piece. After `end` or `abort` nothing more is called. */
export interface MessageSink {
  /**
   * The next octets of the message, without gap or overlap. The bytes are the receiver's buffer: valid only during the
   * call, so copy what is to be kept. To slow the sender down, use `session.pause()`. A refusal returned ends the
   * message: the sender is stopped with it and nothing more is called.
   */
  write(piece: Uint8Array): Refusal | undefined;
  /** The message is complete, and waits for its answer: call `incoming.respond`. */
  end(incoming: Incoming): void;
  /** The rest will not come: given up by its sender (`#`), timed out, session closed, or chunks lost. */
  abort(reason: string): void;
}

/** A message that has arrived and waits for its answer. */
export interface Incoming extends MessageOpening {
  /** Octets received. */
  readonly size: number;
  /**
   * Answers the message, now or later, once; further calls do nothing. What goes out follows from the sender's
   * Failure-Report and Success-Report (RFC 4975 §7.1.3, §7.1.4, §7.2): a response, a response and a success REPORT,
   * only a REPORT, or nothing at all. Never waits, never throws; if the connection is gone, nothing happens.
   */
  respond(status: StatusCode, comment?: string): void;
  /**
   * Tells the sender later that a message answered with 200 has failed after all (RFC 4975 §7.1.4), or, with 200 and
   * sessions whose `successReports` are `manual`, that it has arrived. Does nothing if the sender did not ask for it.
   */
  report(status: StatusCode, comment?: string): void;
}

/** A whole message. */
export interface IncomingMessage extends Incoming {
  /** All its octets: may be kept, must not be changed, nor transferred, since `body.buffer` may hold those of other messages. */
  readonly body: Uint8Array;
}

/** A NICKNAME request (RFC 7701 §7.1). */
export interface NicknameRequest {
  /**
   * Without its quotes and escapes; the empty string gives the nickname up (§7.3). At most 1023 octets. Undefined when it
   * is malformed: 424, unless nicknames are not allowed at all, which comes first (§7.1).
   */
  readonly nickname: string | undefined;
  /** Answers it: 200, 403, 424, 425 and the like; once. */
  respond(status: StatusCode, comment?: string): void;
}

/** A request of a method that this library knows nothing about (RFC 4975 §9, `other-method`), as it came. */
export interface OtherRequest {
  readonly head: RequestHead;
  /** Its own copy. Undefined where there is none, which is not the same as an empty one. */
  readonly body: Uint8Array | undefined;
  readonly flag: ContinuationFlag;
  /** Answers it, now or later, once, unless its Failure-Report says that no answer is wanted. */
  respond(status: StatusCode, comment?: string, headers?: readonly Header[]): void;
}

/** An AUTH request (RFC 4976 §5.1): sent by clients that want a relay, before any session. */
export interface AuthRequest {
  readonly toPath: string;
  readonly fromPath: string;
  readonly headers: readonly Header[];
  /** Answers it, with Use-Path and Expires (200), WWW-Authenticate (401), or neither. */
  respond(status: StatusCode, headers?: readonly Header[]): void;
}

/** A REPORT of the peer (RFC 4975 §7.1.2). It is never answered. */
export interface Report {
  readonly messageId: MessageId;
  readonly status: ReportStatus;
  readonly byteRange: ByteRange | undefined;
}
