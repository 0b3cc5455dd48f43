import type { Socket } from 'node:net';
import { SipFramer } from '../framer.ts';
import type { Frame } from '../framer.ts';
import { Connection, LARGE } from './connection.ts';
import type { ConnectionFacts, FlowContext, Verdict } from './connection.ts';

const pong = Buffer.from('\r\n');

/** How long a closed stream waits for its queue to drain and the peer to close, and how much it still takes meanwhile. */
const farewell = { milliseconds: 2_000, bytes: 1_048_576 };

/** A flow over a byte stream: TCP, or TLS over it. */
export class StreamConnection extends Connection {
  readonly #socket: Socket;
  readonly #framer: SipFramer;
  #partialSince: number | undefined;
  #corked = false;
  /** Messages that have come wait for a turn to come. */
  #behind = false;
  /** What has been read last, where it was too large to be taken at once. */
  #held: Frame | undefined;
  /** The peer has ended its direction. */
  #ended = false;
  /** Why the connection is gone below, once it is: what has come by it is taken all the same. */
  #broken: string | undefined;
  #discarded = 0;

  constructor(socket: Socket, facts: ConnectionFacts, context: FlowContext, ended: (connection: Connection) => void) {
    super(facts, context, ended);
    this.#socket = socket;
    this.#framer = new SipFramer(context.limits);
    // A dead peer is found by the system's own probes; we need no timer for it.
    socket.setKeepAlive(true, 60_000);
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => {
      this.#receive(chunk);
    });
    socket.on('end', () => {
      this.#ended = true;
      if (!this.#behind) this.#endOfInput();
    });
    let fault = 'closed by the peer';
    socket.on('error', (error) => {
      fault = error.message;
    });
    socket.on('close', () => {
      this.#broken = fault;
      if (!this.#behind) this.gone(fault);
    });
  }

  get queued(): number {
    return this.#socket.writableLength;
  }

  protected write(bytes: Uint8Array): void {
    if (!this.#corked) {
      // What one turn sends leaves in one write of the system's.
      this.#corked = true;
      this.#socket.cork();
      process.nextTick(this.#uncork);
    }
    this.#socket.write(bytes);
    // What is large gains nothing by waiting, and its writing is a part of the work of who sends it.
    if (bytes.length > LARGE) this.#uncork();
  }

  readonly #uncork = (): void => {
    if (!this.#corked) return;
    this.#corked = false;
    this.#socket.uncork();
  };

  protected finish(): void {
    // What the peer has under way is read and dropped: closing on unread bytes would reset the connection,
    // and the peer would lose our last answer with it.
    this.#socket.end();
    this.#socket.setTimeout(farewell.milliseconds, () => {
      this.#socket.destroy();
    });
  }

  discard(): void {
    this.#socket.destroy();
  }

  protected check(now: number): Verdict {
    const since = this.#partialSince;
    if (since === undefined || now - since <= this.context.limits.messageTimeout) return undefined;
    this.warn('closed: a message was begun and not finished in time');
    return 'a message was not finished in time';
  }

  #receive(chunk: Buffer): void {
    if (!this.answerable) {
      this.#discarded += chunk.length;
      if (this.#discarded > farewell.bytes) this.#socket.destroy();
      return;
    }
    this.heard();
    this.#framer.push(chunk);
    if (!this.#behind) this.#readFrames();
  }

  /** Takes what has come; false when some of it waits for a turn to come. */
  #readFrames(): boolean {
    const { turnstile } = this.context;
    // The core may close this flow within any of these calls.
    while (this.answerable && (this.#held !== undefined || this.#framer.pending)) {
      if (!turnstile.pass()) {
        this.#stop();
        turnstile.wait(this.#goOn);
        return false;
      }
      const frame = this.#held ?? this.#framer.next();
      this.#held = undefined;
      if (frame === undefined) break;
      if (frame.is === 'message' && this.mustWait(frame.bytes.length)) {
        this.#held = frame;
        // It is whole: whatever it waits for is not its peer.
        this.#partialSince = undefined;
        this.#stop();
        turnstile.waitLonger(this.#goOn);
        return false;
      }
      this.#take(frame);
      if (frame.is === 'message' && frame.bytes.length > LARGE) {
        // What it sets going is done before it is asked whether there is room for another.
        this.#stop();
        turnstile.wait(this.#goOn);
        return false;
      }
    }
    this.#partialSince = this.#framer.pending ? (this.#partialSince ?? this.context.clock()) : undefined;
    return true;
  }

  #stop(): void {
    this.#behind = true;
    this.#socket.pause();
  }

  readonly #goOn = (): void => {
    this.#behind = false;
    if (!this.#readFrames()) return;
    if (this.#broken !== undefined) {
      this.gone(this.#broken);
      return;
    }
    this.#socket.resume();
    if (this.#ended) this.#endOfInput();
  };

  #take(frame: Frame): void {
    switch (frame.is) {
      case 'message':
        // The next message has its own time.
        this.#partialSince = undefined;
        this.deliver(frame.bytes);
        return;
      case 'ping':
        this.answer(pong);
        return;
      case 'fault':
        this.warn(`closed: ${frame.reason}`);
        this.context.handlers.unframeable(frame.head, frame.status, frame.reason, this);
        this.close(frame.reason);
        return;
    }
  }

  #endOfInput(): void {
    if (!this.answerable) {
      this.#socket.destroy();
      return;
    }
    if (this.#framer.pending) this.warn('the peer ended in the middle of a message, which is dropped');
    this.#partialSince = undefined;
    // What came whole before is still answered.
    this.halfClosed();
  }
}
