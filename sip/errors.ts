import { reasonPhrase } from './status.ts';

/** A header line that belongs to an answer: its name in long form and its value as it goes on the wire. */
export interface HeaderLine {
  readonly name: string;
  readonly value: string;
}

/**
 * A peer's fault: what it sent cannot be understood or will not be served. Carries the status to answer it with
 * (RFC 3261 §21) and the headers that answer must have (Unsupported with 420, Accept with 415, Allow with 405, …).
 * The only error that this library throws because of what came from the network.
 */
export class SipError extends Error {
  override readonly name = 'SipError';
  /** The status code to answer a request with; 400 for whatever cannot be parsed. */
  readonly status: number;
  /** Headers for the answer. */
  readonly headers: readonly HeaderLine[];

  /**
   * @param status status code of the answer, 300–699
   * @param message what is wrong, in words for the peer's developer; no line breaks
   * @param headers header lines the answer must carry
   */
  constructor(status: number, message: string, headers: readonly HeaderLine[] = []) {
    super(message);
    this.status = status;
    this.headers = headers;
  }

  /**
   * The reason phrase of the answer. For 400 it says what is wrong (RFC 3261 §21.4.1: "SHOULD identify the syntax
   * problem in more detail"); otherwise it is the usual one of the status.
   */
  get reason(): string {
    return this.status === 400 ? `Bad Request - ${this.message}` : reasonPhrase(this.status);
  }
}
