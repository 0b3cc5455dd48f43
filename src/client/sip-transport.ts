import { type Core, EmitterImpl, type Transport, TransportState } from 'sip.js';
import { openWebSocket, type WebSocketLike, type WebSocketMaker } from './web-socket.ts';

/** What `SipTransport` is given through sip.js. */
export interface SipTransportOptions {
  readonly url: string;
  readonly webSocket: WebSocketMaker;
}

/** The header field in which sip.js finds what a 3xx has as Contact. */
export const MOVED_TO = 'x-moved-to';

/**
 * sip.js drops a message with a Contact that is no SIP URI, so that a request which is redirected to such a one (by 3xx, to
 * `xmpp:` or `tel:`) would stay unanswered: it is given the Contacts under another name.
 */
function readable(message: string): string {
  if (!message.startsWith('SIP/2.0 3')) return message;
  const end = message.indexOf('\r\n\r\n');
  const head = end < 0 ? message : message.slice(0, end);
  return head.replace(/^(?:contact|m)[ \t]*:/gim, `${MOVED_TO}:`) + message.slice(head.length);
}

/**
 * Whether sip.js can bear a message. A response whose status has no class or whose CSeq cannot be read makes it throw, which would
 * end the connection; after a 2xx to an INVITE that makes no dialog (RFC 3261 §12.1.1) it
 * would wait for ever. Of all these nothing is known, as if they had not come.
 */
function isBearable(message: string): boolean {
  const [head = ''] = message.split('\r\n\r\n', 1);
  const status = /^SIP\/2\.0\s+(\d+)/i.exec(head)?.[1];
  if (status === undefined) return true;
  if (!/^[1-6]\d\d$/.test(status) || /^cseq\s*:(?!\s*\d+\s+[\w.!%*+`'~-]+\s*$)/im.test(head)) return false;
  const makesDialog = /^(?:contact|m)\s*:/im.test(head) && /^(?:to|t)\s*:.*;\s*tag\s*=/im.test(head);
  return makesDialog || !status.startsWith('2') || !/^cseq\s*:\s*\d+\s+INVITE\s*$/im.test(head);
}

/** SIP over a WebSocket from anywhere (RFC 7118), in the form sip.js asks for. It connects once. */
export class SipTransport implements Transport {
  readonly protocol: string;
  readonly stateChange = new EmitterImpl<TransportState>();
  onConnect: (() => void) | undefined;
  onDisconnect: ((error?: Error) => void) | undefined;
  onMessage: ((message: string) => void) | undefined;
  readonly #logger: Pick<Core.Logger, 'error'>;
  readonly #options: SipTransportOptions;
  readonly #decoder = new TextDecoder();
  #state = TransportState.Disconnected;
  #socket: WebSocketLike | undefined;

  constructor(logger: Pick<Core.Logger, 'error'>, options: SipTransportOptions) {
    this.#logger = logger;
    this.#options = options;
    this.protocol = options.url.startsWith('wss:') ? 'WSS' : 'WS';
  }

  get state(): TransportState {
    return this.#state;
  }

  isConnected(): boolean {
    return this.#state === TransportState.Connected;
  }

  /** Rejects with a `ClientError`. */
  async connect(): Promise<void> {
    this.#enter(TransportState.Connecting);
    try {
      this.#socket = await openWebSocket(this.#options.webSocket, this.#options.url, 'sip');
    } catch (fault) {
      this.#enter(TransportState.Disconnected);
      throw fault;
    }
    this.#socket.addEventListener('message', ({ data }) => this.#receive(data));
    this.#socket.addEventListener('close', () => this.#closed());
    this.#enter(TransportState.Connected);
    this.onConnect?.();
  }

  async disconnect(): Promise<void> {
    if (this.#socket === undefined) return;
    const socket = this.#socket;
    this.#socket = undefined;
    this.#enter(TransportState.Disconnected);
    socket.close(1000);
    this.onDisconnect?.();
    return Promise.resolve();
  }

  dispose(): Promise<void> {
    return this.disconnect();
  }

  send(message: string): Promise<void> {
    if (this.#socket === undefined) return Promise.reject(new Error('no connection'));
    this.#socket.send(message);
    return Promise.resolve();
  }

  #receive(data: unknown): void {
    const text =
      typeof data === 'string'
        ? data
        : data instanceof ArrayBuffer || data instanceof Uint8Array
          ? this.#decoder.decode(data)
          : '';
    // Only line ends: a keep-alive (RFC 5626 §3.5.1).
    if (text.trim() === '' || !isBearable(text)) return;
    try {
      this.onMessage?.(readable(text));
    } catch (fault) {
      // Much of what sip.js takes to be impossible any server can say; what sip.js would do next nobody knows.
      this.#logger.error(fault instanceof Error ? (fault.stack ?? fault.message) : String(fault));
      const socket = this.#socket;
      this.#closed(
        `the server says what cannot be understood: ${fault instanceof Error ? fault.message : String(fault)}`,
      );
      socket?.close(1000);
    }
  }

  #closed(why = 'the server has ended the connection'): void {
    if (this.#socket === undefined) return;
    this.#socket = undefined;
    this.#enter(TransportState.Disconnected);
    this.onDisconnect?.(new Error(why));
  }

  #enter(state: TransportState): void {
    this.#state = state;
    this.stateChange.emit(state);
  }
}
