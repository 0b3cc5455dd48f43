import type { Incoming, IncomingMessage, MessageOpening } from './incoming.ts';
import type { FailureReport, Header, MessageId, RequestHead } from './message.ts';
import type { StatusCode } from './status.ts';

/** Who carries the answers of a message back. */
export interface AnswerWay {
  /** Answers the request with this head, as its Failure-Report wants it (RFC 4975 §7.2). */
  answer(head: RequestHead, status: StatusCode, comment?: string): void;
  /** Sends a REPORT about a message whose completing request had this head. */
  report(head: RequestHead, size: number, status: StatusCode, comment?: string): void;
  readonly automaticReports: boolean;
}

/** A message received, and the way back to its sender. */
export class Received implements Incoming {
  readonly messageId: MessageId;
  readonly contentType: string;
  readonly total: number | undefined;
  readonly successReport: boolean;
  readonly failureReport: FailureReport;
  readonly headers: readonly Header[];
  readonly size: number;
  readonly #head: RequestHead;
  readonly #way: AnswerWay;
  #answered = false;

  constructor(opening: MessageOpening, size: number, head: RequestHead, way: AnswerWay) {
    this.messageId = opening.messageId;
    this.contentType = opening.contentType;
    this.total = opening.total;
    this.successReport = opening.successReport;
    this.failureReport = opening.failureReport;
    this.headers = opening.headers;
    this.size = size;
    this.#head = head;
    this.#way = way;
  }

  respond(status: StatusCode, comment?: string): void {
    if (this.#answered) return;
    this.#answered = true;
    this.#way.answer(this.#head, status, comment);
    if (status === 200 && this.successReport && this.#way.automaticReports) {
      this.#way.report(this.#head, this.size, 200, comment);
    }
  }

  report(status: StatusCode, comment?: string): void {
    // RFC 4975 §7.1.3, §7.1.4: only what the sender asked for.
    const wanted = status === 200 ? this.successReport && !this.#way.automaticReports : this.failureReport !== 'no';
    if (wanted) this.#way.report(this.#head, this.size, status, comment);
  }
}

/** The same with all its octets. */
export class ReceivedMessage extends Received implements IncomingMessage {
  readonly body: Uint8Array;

  constructor(opening: MessageOpening, body: Uint8Array, head: RequestHead, way: AnswerWay) {
    super(opening, body.length, head, way);
    this.body = body;
  }
}

/** What a head tells of the message it opens. */
export function openingOf(head: RequestHead, messageId: MessageId): MessageOpening {
  return {
    messageId,
    contentType: head.contentType ?? '',
    total: head.byteRange?.total,
    successReport: head.successReport,
    failureReport: head.failureReport,
    headers: head.headers,
  };
}
