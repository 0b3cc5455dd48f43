import { Assembler, type ChunkReceiver, type ChunkResult } from './assembler.ts';
import { copyOf } from './bytes.ts';
import type { MsrpSession, SessionHandlers, SessionOptions } from './contract.ts';
import { answerPath, formatReport, formatResponse, parseNickname, wantsAnswer } from './encode.ts';
import type { MessageOpening, Reception } from './incoming.ts';
import type { ContinuationFlag, Header, MessageId, RequestHead } from './message.ts';
import { Received, ReceivedMessage, openingOf, type AnswerWay } from './received.ts';
import type { Refusal, StatusCode } from './status.ts';

/** What a receiver needs of its session. */
export interface ReceiverHost {
  readonly localText: string;
  readonly line: { answer(text: string): void } | undefined;
  now(): number;
  newTransactionId(): string;
  /** The request with this id has been answered. */
  answered(transactionId: string): void;
  /** The peer reports that a message of ours has failed. */
  failureReported(messageId: MessageId, code: number, comment: string): void;
}

/** The receiving half of a session (RFC 4975 §7.2, §7.3): requests of the peer, and the answers to them. */
export class Receiver implements AnswerWay {
  readonly automaticReports: boolean;
  readonly #session: MsrpSession;
  readonly #host: ReceiverHost;
  readonly #handlers: SessionHandlers;
  /** Whether a Use-Nickname without its quotes is taken. */
  bareNicknames = false;
  readonly #assembler: Assembler;
  readonly #ownAssembler: boolean;

  constructor(session: MsrpSession, host: ReceiverHost, options: SessionOptions) {
    this.#session = session;
    this.#host = host;
    this.#handlers = options.handlers;
    this.automaticReports = options.successReports !== 'manual';
    this.#assembler = options.assembler ?? new Assembler();
    this.#ownAssembler = options.assembler === undefined;
  }

  /** A request with all its octets. */
  receive(head: RequestHead, body: Uint8Array | undefined, flag: ContinuationFlag): void {
    switch (head.method) {
      case 'SEND':
        return this.#receiveSend(head, body, flag);
      case 'REPORT':
        return this.#receiveReport(head);
      case 'NICKNAME':
        return this.#receiveNickname(head);
      default:
        return this.#receiveOther(head, body, flag);
    }
  }

  #receiveSend(head: RequestHead, body: Uint8Array | undefined, flag: ContinuationFlag): void {
    // RFC 4975 §7.1: no body, nothing to show; such requests bind, and keep connections open.
    const { messageId } = head;
    if (body === undefined) {
      // A chunk of no octets may still be the one that gives the message up.
      if (flag === '#' && messageId !== undefined && this.#assembler.has(messageId)) this.begin(head)?.end(flag);
      else this.answer(head, 200);
      return;
    }
    if (messageId === undefined) return this.answer(head, 400, 'no Message-ID');
    const whole = flag === '$' && (head.byteRange?.start ?? 1) === 1;
    if (whole && !this.#assembler.has(messageId)) return this.#receiveWhole(head, messageId, body);
    const inflow = this.begin(head);
    inflow?.write(body);
    inflow?.end(flag);
  }

  /** RFC 4975 §7.3.1: one chunk, the entire message, whatever its Byte-Range says of end and total. */
  #receiveWhole(head: RequestHead, messageId: MessageId, body: Uint8Array): void {
    const opening = openingOf(head, messageId);
    const reception = this.#decide(opening);
    if (reception === 'collect') {
      if (body.length > this.#assembler.maxMessageBytes) return this.answer(head, 413, 'message too large');
      // The octets given are the connection's; the message gets its own.
      this.#handlers.message(this.#session, new ReceivedMessage(opening, copyOf(body), head, this));
    } else if ('refuse' in reception) {
      this.answer(head, reception.refuse.status, reception.refuse.comment);
    } else {
      const refusal = body.length === 0 ? undefined : reception.sink.write(body);
      if (refusal !== undefined) this.answer(head, refusal.status, refusal.comment);
      else reception.sink.end(new Received(opening, body.length, head, this));
    }
  }

  #decide(opening: MessageOpening): Reception {
    return this.#handlers.opening?.(this.#session, opening) ?? 'collect';
  }

  /** A chunk begins; undefined when nothing of it can be taken, and it has been answered. */
  begin(head: RequestHead): Inflow | undefined {
    if (head.messageId === undefined) {
      this.answer(head, 400, 'no Message-ID');
      return undefined;
    }
    const opening = openingOf(head, head.messageId);
    const start = head.byteRange?.start ?? 1;
    if (start > 1 && !isRelayed(head) && !this.#assembler.has(head.messageId)) {
      this.answer(head, 400, 'nothing that precedes this chunk came here: send the whole message');
      return undefined;
    }
    return new Inflow(
      this,
      head,
      this.#assembler.begin(opening, start, this.#host.now(), (first) => this.#decide(first)),
    );
  }

  /** What a chunk has come to. */
  take(head: RequestHead, result: ChunkResult): void {
    switch (result.kind) {
      case 'taken':
        return this.answer(head, 200);
      case 'refused':
        return this.answer(head, result.refusal.status, result.refusal.comment);
      case 'complete':
        return this.#handlers.message(this.#session, new ReceivedMessage(result.opening, result.body, head, this));
      case 'streamed':
        return result.sink.end(new Received(result.opening, result.size, head, this));
    }
  }

  #receiveReport(head: RequestHead): void {
    // RFC 4975 §7.1.2: a REPORT is never answered, whatever is wrong with it.
    if (head.messageId === undefined || head.status === undefined) return;
    const { messageId, status, byteRange } = head;
    // §7.3.2: a report of failure counts like a response with that code.
    // Deviation: it does not fail the session (§7.3.2, MUST), since gateways report what is wrong with one message alone.
    // Its owner is told by `report`, and can close it.
    if (status.namespace === '000' && status.code >= 300) {
      this.#host.failureReported(messageId, status.code, status.comment);
    }
    this.#handlers.report?.(this.#session, { messageId, status, byteRange });
  }

  #receiveNickname(head: RequestHead): void {
    if (this.#handlers.nickname === undefined) return this.answer(head, 501);
    const field = head.headers.find(({ name }) => name.toLowerCase() === 'use-nickname');
    if (field === undefined) return this.answer(head, 400, 'no Use-Nickname');
    let answered = false;
    this.#handlers.nickname(this.#session, {
      nickname: parseNickname(field.value, this.bareNicknames),
      respond: (status, comment) => {
        if (!answered) this.answer(head, status, comment);
        answered = true;
      },
    });
  }

  #receiveOther(head: RequestHead, body: Uint8Array | undefined, flag: ContinuationFlag): void {
    if (this.#handlers.request === undefined) return this.answer(head, 501);
    let answered = false;
    this.#handlers.request(this.#session, {
      head,
      // The octets given are the connection's.
      body: body && copyOf(body),
      flag,
      respond: (status, comment, headers) => {
        if (!answered) this.answer(head, status, comment, headers);
        answered = true;
      },
    });
  }

  answer(head: RequestHead, status: StatusCode, comment?: string, headers?: readonly Header[]): void {
    const { line, localText } = this.#host;
    if (line === undefined || !wantsAnswer(head, status)) return;
    line.answer(formatResponse(head.transactionId, status, comment, answerPath(head), localText, headers));
    this.#host.answered(head.transactionId);
  }

  report(head: RequestHead, size: number, status: StatusCode, comment?: string): void {
    const { line, localText } = this.#host;
    const { messageId } = head;
    if (line === undefined || messageId === undefined) return;
    const content = { messageId, size, total: head.byteRange?.total, status, comment };
    line.answer(formatReport(this.#host.newTransactionId(), head.fromPath, localText, content));
  }

  /** Looks for messages whose chunks have stopped coming. */
  sweep(now: number): void {
    this.#assembler.sweep(now);
  }

  /** What holds messages half received that another session may go on with; its timer runs on when this one has closed. */
  get interrupted(): Assembler | undefined {
    return this.#ownAssembler || this.#assembler.openMessages === 0 ? undefined : this.#assembler;
  }

  /** Gives up what is half received, unless another session may go on with it. */
  close(): void {
    if (this.#ownAssembler) this.#assembler.abort('session closed');
  }
}

/**
 * Whether a relay may have changed the order of the chunks; who is connected directly sends them in their order (RFC 4975
 * §7.1.1), so that what has not come before a chunk comes no more.
 */
function isRelayed({ fromPath }: RequestHead): boolean {
  return fromPath.includes(' ');
}

/** A chunk of the peer's while it arrives. */
export class Inflow {
  readonly #owner: Receiver;
  readonly #head: RequestHead;
  readonly #chunk: ChunkReceiver;
  #refused = false;

  constructor(owner: Receiver, head: RequestHead, chunk: ChunkReceiver) {
    this.#owner = owner;
    this.#head = head;
    this.#chunk = chunk;
  }

  write(bytes: Uint8Array): void {
    const refusal: Refusal | undefined = this.#chunk.write(bytes);
    if (refusal === undefined || this.#refused) return;
    // At once, not at its end: the sender is to interrupt it (RFC 4975 §10.5).
    this.#refused = true;
    this.#owner.answer(this.#head, refusal.status, refusal.comment);
  }

  end(flag: ContinuationFlag): void {
    const result = this.#chunk.end(flag);
    if (!this.#refused) this.#owner.take(this.#head, result);
  }
}
