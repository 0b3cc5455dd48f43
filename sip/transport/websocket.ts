import { isUtf8 } from 'node:buffer';
import { Connection, LARGE } from './connection.ts';
import type { ConnectionFacts, FlowContext, Verdict } from './connection.ts';

/** What this library uses of a WebSocket; that of the package `ws` is one. */
export interface WebSocketLike {
  readonly bufferedAmount: number;
  send(data: Uint8Array, options: { binary: boolean }): void;
  ping(): void;
  /** Nothing more is read, and so no more messages come but those that have been read. */
  pause(): void;
  resume(): void;
  close(code?: number, reason?: string): void;
  terminate(): void;
  on(event: 'message', listener: (data: Buffer | ArrayBuffer | Buffer[], isBinary: boolean) => void): unknown;
  on(event: 'pong', listener: () => void): unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
  on(event: 'close', listener: (code: number) => void): unknown;
}

const keepAlive = /^[\r\n]*$/;
const pong = Buffer.from('\r\n');
/** RFC 6455 §7.4.1: normal closure, and a message too big to be read. */
const closure = { normal: 1000 };
/** How long a peer has to answer the closing handshake. */
const closeTimeout = 2_000;

/** A flow over a WebSocket: each of its messages is one SIP message (RFC 7118 §5). */
export class WebSocketConnection extends Connection {
  readonly #webSocket: WebSocketLike;
  #pingedAt: number | undefined;
  /** Messages that have come and wait for a turn to come. */
  readonly #waiting: Buffer[] = [];
  /** Why the connection is gone below, once it is: what has come by it is taken all the same. */
  #broken: string | undefined;

  constructor(
    webSocket: WebSocketLike,
    facts: ConnectionFacts,
    context: FlowContext,
    ended: (connection: Connection) => void,
  ) {
    super(facts, context, ended);
    this.#webSocket = webSocket;
    webSocket.on('message', (data) => {
      this.#hear(Array.isArray(data) ? Buffer.concat(data) : Buffer.isBuffer(data) ? data : Buffer.from(data));
    });
    webSocket.on('pong', () => {
      this.heard();
    });
    let fault: string | undefined;
    webSocket.on('error', (error) => {
      fault = error.message;
    });
    webSocket.on('close', (code) => {
      this.#broken = fault ?? `closed by the peer with ${code}`;
      if (this.#waiting.length === 0) this.gone(this.#broken);
    });
  }

  get queued(): number {
    return this.#webSocket.bufferedAmount;
  }

  protected write(bytes: Uint8Array): void {
    // RFC 7118 §4.2: what is not UTF-8 throughout must be a binary message; browsers like text.
    this.#webSocket.send(bytes, { binary: !isUtf8(bytes) });
  }

  protected finish(): void {
    this.#webSocket.close(closure.normal);
    setTimeout(() => {
      this.#webSocket.terminate();
    }, closeTimeout).unref();
  }

  discard(): void {
    this.#webSocket.terminate();
  }

  /** RFC 7118 §6: a browser is silent by nature, so we ask whether it is still there. */
  protected check(now: number, heardAt: number): Verdict {
    const { pingInterval } = this.context.limits;
    if (this.#pingedAt !== undefined && heardAt >= this.#pingedAt) this.#pingedAt = undefined;
    if (this.#pingedAt !== undefined) return now - this.#pingedAt > pingInterval ? 'no answer to a ping' : undefined;
    if (now - heardAt > pingInterval) {
      this.#pingedAt = now;
      this.#webSocket.ping();
    }
    return undefined;
  }

  #hear(data: Buffer): void {
    if (!this.answerable) return;
    this.heard();
    if (this.#waiting.length === 0 && !this.mustWait(data.length) && this.context.turnstile.pass()) {
      this.#take(data);
      return;
    }
    // What was read with it comes all the same: as much as one read of the socket brings.
    this.#waiting.push(data);
    if (this.#waiting.length === 1) this.#goOnLater(data);
  }

  #goOnLater(first: Buffer): void {
    const { turnstile } = this.context;
    this.#webSocket.pause();
    if (this.mustWait(first.length)) turnstile.waitLonger(this.#takeWaiting);
    else turnstile.wait(this.#takeWaiting);
  }

  readonly #takeWaiting = (): void => {
    let [first] = this.#waiting;
    let taken: number;
    do {
      if (first === undefined || this.mustWait(first.length)) break;
      taken = first.length;
      this.#waiting.shift();
      this.#take(first);
      [first] = this.#waiting;
      // What a large one sets going is done before it is asked whether there is room for another.
    } while (first !== undefined && taken <= LARGE && this.context.turnstile.pass());
    if (first !== undefined) this.#goOnLater(first);
    else if (this.#broken === undefined) this.#webSocket.resume();
    else this.gone(this.#broken);
  };

  #take(data: Buffer): void {
    if (!this.answerable) return;
    const { maxHeadBytes, maxBodyBytes } = this.context.limits;
    if (data.length <= 4 && keepAlive.test(data.toString('latin1'))) {
      // A double CRLF asks, a single one answers (RFC 7118 §6, RFC 5626 §3.5.1).
      if (data.length === 4) this.answer(pong);
    } else if (data.length > maxHeadBytes + maxBodyBytes) {
      this.#refuse(data);
    } else {
      this.deliver(data);
    }
  }

  #refuse(data: Buffer): void {
    const reason = `a message of ${data.length} bytes`;
    this.warn(`closed: ${reason}`);
    this.context.handlers.unframeable(data.subarray(0, this.context.limits.maxHeadBytes), 513, reason, this);
    this.close(reason);
  }
}
