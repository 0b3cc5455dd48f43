/**
 * What went wrong, in a word:
 * - `address`: the room's address cannot be read;
 * - `unreachable`: no connection to the server;
 * - `refused`: the server said no (`status` is its SIP or MSRP code);
 * - `lost`: the connection, the call or the chat session broke: one may come back;
 * - `dismissed`: the room has ended the call;
 * - `over`: the conference has ended.
 */
export type ClientFault = 'address' | 'unreachable' | 'refused' | 'lost' | 'dismissed' | 'over';

/** The one error of this client. Its message is a sentence for the user. */
export class ClientError extends Error {
  override readonly name = 'ClientError';
  readonly fault: ClientFault;
  readonly status: number | undefined;
  /** Seconds before which the server does not want to be asked again. */
  readonly retryAfter: number | undefined;

  constructor(fault: ClientFault, message: string, status?: number, retryAfter?: number) {
    super(message);
    this.fault = fault;
    this.status = status;
    this.retryAfter = retryAfter;
  }
}
