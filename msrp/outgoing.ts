import type { FailureReport, Header, MessageId } from './message.ts';

/** What became of a message that was sent. */
export type Outcome =
  /** Every chunk was answered with 200. */
  | { readonly kind: 'delivered' }
  /** The peer said no; a 408 is told as `timeout` (RFC 4975 §10.4). */
  | {
      readonly kind: 'refused';
      readonly status: number;
      readonly comment: string;
    }
  /** No answer within 30 s of handing the octets to the system (RFC 4975 §7.1.1). */
  | { readonly kind: 'timeout' }
  /** The session ended before the answer, or before it was sent at all. */
  | { readonly kind: 'lost' }
  /** Given up half-way by us, with `cancel`, `abort`, or by its source: no failure, so only `all` tells it. */
  | { readonly kind: 'aborted' };

/** Anything under way to a peer. */
export interface Outgoing {
  readonly messageId: MessageId;
}

/** What a message is made of. */
export interface MessageOptions {
  /** A fresh one unless given. A resend keeps the id of its first attempt (RFC 4975 §5.4). */
  readonly messageId?: MessageId;
  readonly contentType: string;
  /** Must not be changed as long as the message is under way. */
  readonly body: Uint8Array;
  /** Further header fields in order; names of this protocol's own fields are refused. */
  readonly headers?: readonly Header[];
  /** False unless given. */
  readonly successReport?: boolean;
  /** `yes` unless given (RFC 4975 §7.1.1). */
  readonly failureReport?: FailureReport;
  /** Which outcomes are told to the session's `outcome` handler: `failures` unless given. */
  readonly outcomes?: 'all' | 'failures' | 'none';
}

/** The opening of a message whose octets come piece by piece. */
export interface StreamOptions extends Omit<MessageOptions, 'body'> {
  /** Octets of the whole message, when known: what `source` will give in sum. */
  readonly total?: number;
}

/** Where the octets of a streamed message come from. */
export interface StreamSource {
  /**
   * The next at most `max` octets, asked for only when the connection can take them. `later`: none at the moment, call
   * `stream.wake()` when there are; `end`: the message is complete; `abort`: it will not be completed (the peer sees
   * `#`). The bytes are copied before `pull` is called again.
   */
  pull(max: number): Uint8Array | 'later' | 'end' | 'abort';
}
