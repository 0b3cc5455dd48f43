declare const messageIdBrand: unique symbol;
/**
 * Names one version of one message, in all its chunks and reports (RFC 4975 §7.1.1): an `ident` of 4–32 characters, a peer's
 * of up to 64. */
export type MessageId = string & { readonly [messageIdBrand]: true };

/** End of an end-line (RFC 4975 §7.1): `$` the message is complete, `+` more chunks follow, `#` the sender gave it up. */
export type ContinuationFlag = '$' | '+' | '#';

/** What a sender wants to hear of failures (RFC 4975 §5.3); `yes` is the meaning of an absent header. */
export type FailureReport = 'yes' | 'partial' | 'no';

/** One header field as it stands in a message. Names are compared without case. */
export interface Header {
  readonly name: string;
  readonly value: string;
}

/** Byte-Range (RFC 4975 §7.1.1). Positions count from 1; undefined stands for `*`. */
export interface ByteRange {
  readonly start: number;
  readonly end: number | undefined;
  readonly total: number | undefined;
}

/** The Status header field of a REPORT (RFC 4975 §7.1.2). */
export interface ReportStatus {
  /** `000`: `code` means what it means in a response. Nothing else is defined so far. */
  readonly namespace: string;
  readonly code: number;
  readonly comment: string;
}

/** The part of a request in front of its body. */
export interface RequestHead {
  readonly kind: 'request';
  readonly transactionId: string;
  /** `SEND`, `REPORT`, `NICKNAME`, `AUTH`, or any other, carried as it came. */
  readonly method: string;
  /** To-Path as written; `parseMsrpPath` makes URIs of it. */
  readonly toPath: string;
  /** From-Path as written. */
  readonly fromPath: string;
  readonly messageId: MessageId | undefined;
  readonly byteRange: ByteRange | undefined;
  readonly failureReport: FailureReport;
  readonly successReport: boolean;
  readonly status: ReportStatus | undefined;
  /** Absent means: no body at all, which is not the same as an empty one (RFC 4975 §7.1). */
  readonly contentType: string | undefined;
  /** Every other header field in the order received: extensions and MIME fields alike. */
  readonly headers: readonly Header[];
}

/** A response (RFC 4975 §7.2); it has no body. */
export interface ResponseHead {
  readonly kind: 'response';
  readonly transactionId: string;
  readonly status: number;
  readonly comment: string;
  readonly toPath: string;
  readonly fromPath: string;
  readonly headers: readonly Header[];
}

/** The head of a request or of a response. */
export type Head = RequestHead | ResponseHead;
