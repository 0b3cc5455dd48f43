/** Status codes by which a fault of the peer is answered (RFC 4975 §10, RFC 7701 §7.1, RFC 4976 §4). */
export type FaultStatus = 400 | 403 | 404 | 413 | 415 | 423 | 424 | 425 | 428 | 481 | 501 | 506;

/**
 * The peer's fault: what it sent cannot be taken. Carries the status a request with this fault is answered with.
 * Everything else that is thrown out of this library is a bug of ours.
 */
export class MsrpError extends Error {
  override readonly name = 'MsrpError';
  /** What a request with this fault is answered with. */
  readonly status: FaultStatus;

  constructor(status: FaultStatus, reason: string) {
    super(reason);
    this.status = status;
  }
}
