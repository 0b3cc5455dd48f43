import { encodeText } from '../bytes.ts';
import type { Flow, FlowHandlers, PeerAddress } from './flow.ts';

/** What a browser's WebSocket, and one of the `ws` package, have in common. */
export interface WebSocketLike {
  binaryType: string;
  readonly bufferedAmount: number;
  /** @param sent called when the octets have left the socket's buffer, by those of the `ws` package only */
  send(data: Uint8Array<ArrayBuffer>, sent?: () => void): void;
  close(code?: number, reason?: string): void;
  terminate?(): void;
  pause?(): void;
  resume?(): void;
  addEventListener(type: 'message', listener: (event: { readonly data: unknown }) => void): void;
  addEventListener(type: 'close', listener: (event: { readonly reason?: string }) => void): void;
  addEventListener(type: 'error', listener: (event: object) => void): void;
}

/** Octets in the socket's own buffer beyond which we wait. */
const HIGH_WATER = 256 * 1024;
/** Milliseconds between looks at a full buffer: in a browser there is no event for it. */
const LOOK_AGAIN = 20;

/** An open WebSocket with the sub-protocol `msrp` (RFC 7977). */
class WebSocketFlow implements Flow {
  readonly framing = 'message';
  readonly keepsBytes = true;
  readonly secure: boolean;
  readonly peer: PeerAddress;
  readonly #socket: WebSocketLike;
  #handlers: FlowHandlers | undefined;
  #paused = false;
  /** What a socket that cannot be paused has brought meanwhile. */
  #held: Uint8Array[] = [];
  #ended = false;
  /** Its buffer is full, until it is half empty. */
  #full = false;
  #looking = false;

  constructor(socket: WebSocketLike, options: { readonly secure?: boolean; readonly peer?: PeerAddress }) {
    this.#socket = socket;
    this.secure = options.secure ?? false;
    this.peer = options.peer ?? { address: '', port: 0 };
  }

  start(handlers: FlowHandlers): void {
    this.#handlers = handlers;
    this.#socket.binaryType = 'arraybuffer';
    this.#socket.addEventListener('message', ({ data }) => this.#receive(data));
    this.#socket.addEventListener('close', ({ reason }) => {
      this.#ended = true;
      handlers.closed(reason === undefined || reason === '' ? 'closed' : reason);
    });
    // The close event tells it too; without a listener some sockets would throw.
    this.#socket.addEventListener('error', () => undefined);
  }

  /** RFC 7977 §5.1: one chunk, in a text or a binary message. */
  #receive(data: unknown): void {
    const bytes = octetsOf(data);
    if (bytes === undefined) return;
    if (this.#paused) this.#held.push(bytes);
    else this.#handlers?.receive(bytes);
  }

  write(bytes: Uint8Array): boolean {
    if (this.#ended) return true;
    this.#socket.send(isUnshared(bytes) ? bytes : new Uint8Array(bytes), this.#sent);
    if (this.#socket.bufferedAmount <= HIGH_WATER) return true;
    this.#full = true;
    this.#lookAgain();
    return false;
  }

  readonly #sent = (): void => {
    if (!this.#full || this.#ended || this.#socket.bufferedAmount > HIGH_WATER / 2) return;
    this.#full = false;
    this.#handlers?.drained();
  };

  #lookAgain(): void {
    if (this.#looking) return;
    this.#looking = true;
    setTimeout(() => {
      this.#looking = false;
      this.#sent();
      if (this.#full && !this.#ended) this.#lookAgain();
    }, LOOK_AGAIN);
  }

  pause(): void {
    this.#paused = true;
    this.#socket.pause?.();
  }

  resume(): void {
    this.#paused = false;
    this.#socket.resume?.();
    const held = this.#held;
    this.#held = [];
    // Whoever is given the first may pause again.
    for (const bytes of held) this.#receive(bytes);
  }

  end(): void {
    this.#socket.close(1000);
  }

  destroy(): void {
    if (this.#socket.terminate === undefined) this.#socket.close(1000);
    else this.#socket.terminate();
  }
}

/** Browsers send no memory that other threads may change. */
function isUnshared(bytes: Uint8Array): bytes is Uint8Array<ArrayBuffer> {
  return bytes.buffer instanceof ArrayBuffer;
}

function octetsOf(data: unknown): Uint8Array | undefined {
  if (typeof data === 'string') return encodeText(data);
  if (data instanceof ArrayBuffer) return new Uint8Array(data);
  return data instanceof Uint8Array ? data : undefined;
}

/**
 * A flow over a WebSocket that is open and has agreed on the sub-protocol `msrp`. `secure`: it is a `wss` one, or TLS
 * ends in front of us.
 */
export function webSocketFlow(
  socket: WebSocketLike,
  options: { readonly secure?: boolean; readonly peer?: PeerAddress } = {},
): Flow {
  return new WebSocketFlow(socket, options);
}
