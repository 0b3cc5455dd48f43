/**
 * Comments of our responses by code: RFC 4975 §10, RFC 4976 §4.1 (401), RFC 7701 §6.2, §7.1 (404, 424, 425, 428).
 * A comment is for the human eye only; a code not listed is sent without one.
 */
export const STATUS_COMMENT: Readonly<Record<number, string>> = {
  200: 'OK',
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Recipient Not Found',
  408: 'Timeout',
  413: 'Stop Sending',
  415: 'Unsupported Media Type',
  423: 'Parameter Out Of Bounds',
  424: 'Malformed Nickname',
  425: 'Nickname Reserved Or In Use',
  428: 'Private Messages Not Supported',
  481: 'No Such Session',
  501: 'Unknown Method',
  506: 'Session Already In Use',
};

/** Codes by which a request is refused. */
export type RefusalStatus = 400 | 401 | 403 | 404 | 408 | 413 | 415 | 423 | 424 | 425 | 428 | 481 | 501 | 506;

/** Codes with which a request can be answered. */
export type StatusCode = 200 | RefusalStatus;

/** A request is refused with this code, and a comment for the human eye. */
export interface Refusal {
  readonly status: RefusalStatus;
  /** The comment of `STATUS_COMMENT` unless given. */
  readonly comment?: string;
}
