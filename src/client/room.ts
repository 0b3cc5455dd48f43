import { type Bye, Inviter, SessionState, type UserAgent } from 'sip.js';
import {
  type MsrpEndpoint,
  MsrpError,
  type MsrpMedia,
  type MsrpSession,
  newEndpoint,
  webSocketFlow,
} from '../../msrp/index.ts';
import { ConferenceView } from '../conference/view.ts';
import { ChatSession, ownDescription } from './chat-session.ts';
import type { ClientOptions, Room, RoomHandlers, Said } from './contract.ts';
import { MessageDescription } from './description.ts';
import { ClientError } from './errors.ts';
import { changeBetween, type Roster, rosterOf } from './roster.ts';
import { ConferenceSubscription } from './subscription.ts';
import { type Call, newUserAgent, planCall, startUserAgent, stopUserAgent } from './user-agent.ts';
import { openWebSocket } from './web-socket.ts';

/**
 * Enters a room: calls it (RFC 7701 §5.2), opens its chat session over WebSocket (RFC 7977) and subscribes to its
 * roster (RFC 4575). Resolves when one can speak. Rejects with a `ClientError`.
 */
export async function joinRoom(address: string, options: ClientOptions, handlers: RoomHandlers): Promise<Room> {
  const room = new JoinedRoom(planCall(address, options), options, handlers);
  await room.enter();
  return room;
}

class JoinedRoom implements Room {
  readonly uri: string;
  readonly ownUri: string;
  readonly #call: Call;
  readonly #handlers: RoomHandlers;
  readonly #userAgent: UserAgent;
  readonly #endpoint: MsrpEndpoint;
  readonly #session: MsrpSession;
  readonly #chat: ChatSession;
  readonly #inviter: Inviter;
  #media: MsrpMedia | MsrpError | undefined;
  #subscription: ConferenceSubscription | undefined;
  #roster: Roster | undefined;
  #state: 'entering' | 'in' | 'out' = 'entering';
  #fail: (why: ClientError) => void = () => undefined;
  #bound: () => void = () => undefined;

  constructor(call: Call, options: ClientOptions, handlers: RoomHandlers) {
    this.#call = call;
    this.#handlers = handlers;
    this.uri = call.room.toString();
    this.ownUri = call.identity.uri;
    const secure = call.server.toLowerCase().startsWith('wss:');
    this.#chat = new ChatSession(call.identity, this.uri, {
      bound: () => this.#bound(),
      message: (message) => handlers.message(message),
      composing: (from, active) => handlers.composing?.(from, active),
      receipt: (receipt) => handlers.receipt?.(receipt),
      closed: (why) => this.#end(why),
    });
    const { log = () => undefined } = options;
    this.#endpoint = newEndpoint({
      log: { debug: (line) => log(`debug msrp: ${line}`), warn: (line) => log(`warn msrp: ${line}`) },
      dialer: async () => webSocketFlow(await openWebSocket(options.webSocket, call.server, 'msrp'), { secure }),
    });
    this.#session = this.#endpoint.session({
      handlers: this.#chat.sessionHandlers,
      // RFC 6135 §4.2.2: port 9 for an endpoint that only connects.
      at: { scheme: secure ? 'msrps' : 'msrp', host: call.host, port: 9, transport: 'ws' },
      bindTimeout: 60_000,
    });
    const own = ownDescription(this.#session);
    this.#userAgent = newUserAgent(
      call,
      options,
      { onDisconnect: () => this.#end(new ClientError('lost', 'the server has ended the connection')) },
      () => new MessageDescription(own, (media) => this.#described(media)),
    );
    this.#inviter = new Inviter(this.#userAgent, call.room);
    this.#inviter.delegate = { onBye: (bye) => this.#dismissed(bye) };
  }

  get view(): ConferenceView {
    return this.#subscription?.view ?? new ConferenceView();
  }

  get roster(): Roster {
    return this.#roster ?? new Map();
  }

  get features(): readonly string[] {
    return this.#media === undefined || this.#media instanceof MsrpError ? [] : (this.#media.chatroom ?? []);
  }

  async enter(): Promise<void> {
    try {
      await startUserAgent(this.#userAgent);
      await this.#invited();
      await this.#connected();
    } catch (fault) {
      this.#state = 'out';
      await this.#close();
      throw fault;
    }
    this.#state = 'in';
    this.#subscription = new ConferenceSubscription(this.#userAgent, this.#call.room, {
      changed: (view) => this.#changed(view),
      ended: (why) => this.#handlers.rosterEnded?.(why),
    });
  }

  say(text: string, to = this.uri): Promise<Said> {
    return this.#chat.say(text, to);
  }

  nickname(name: string): Promise<{ readonly status: number; readonly comment: string }> {
    return this.#session.nickname(name);
  }

  composing(active: boolean): void {
    this.#chat.composing(active);
  }

  async leave(): Promise<void> {
    if (this.#state === 'out') return;
    this.#state = 'out';
    await this.#close();
  }

  /** Resolves when the call stands. */
  async #invited(): Promise<void> {
    const established = new Promise<void>((resolve, reject) => {
      this.#fail = reject;
      this.#inviter.stateChange.addListener((state) => {
        if (state === SessionState.Established) resolve();
        // Why it has ended, if sip.js knows, is told by a call of its own later in this turn.
        if (state === SessionState.Terminated) {
          queueMicrotask(() => this.#end(new ClientError('lost', 'the call has ended')));
        }
      });
    });
    const refused = (response: {
      message: { statusCode?: number | undefined; reasonPhrase?: string | undefined };
    }): void => {
      const { statusCode = 0, reasonPhrase = '' } = response.message;
      this.#fail(
        new ClientError('refused', `${this.uri} does not let us in: ${statusCode} ${reasonPhrase}`, statusCode),
      );
    };
    await this.#inviter.invite({ requestDelegate: { onReject: refused, onRedirect: refused } });
    await established;
    if (this.#media instanceof MsrpError) {
      throw new ClientError('refused', `${this.uri} offers no chat: ${this.#media.message}`, this.#media.status);
    }
  }

  /** Resolves when the chat session stands. */
  #connected(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#fail = reject;
      this.#bound = resolve;
      this.#session.dial();
    });
  }

  /** The room's side of the chat session, in its answer or in a later offer. */
  #described(media: MsrpMedia | MsrpError): void {
    this.#media = media;
    if (!(media instanceof MsrpError)) this.#session.setRemotePath(media.path);
  }

  #changed(view: ConferenceView): void {
    if (this.#state !== 'in') return;
    const before = this.#roster;
    this.#roster = rosterOf(view);
    this.#handlers.roster?.(this.#roster, before && changeBetween(before, this.#roster), view);
  }

  #dismissed(bye: Bye): void {
    const reason = bye.request.getHeader('reason') ?? '';
    const text = /text\s*=\s*"((?:[^"\\]|\\.)*)"/i.exec(reason)?.[1] ?? 'the room has ended the call';
    const cause = /cause\s*=\s*(\d{3})/i.exec(reason)?.[1];
    void bye.accept();
    const why = new ClientError('lost', text, cause === undefined ? undefined : Number(cause));
    // Not from within: sip.js has yet to note that the call has ended.
    queueMicrotask(() => this.#end(why));
  }

  #end(why: ClientError): void {
    if (this.#state === 'entering') this.#fail(why);
    if (this.#state !== 'in') return;
    this.#state = 'out';
    void this.#close();
    this.#handlers.closed(why);
  }

  /** Resolves when the server has heard that we hang up. */
  #hungUp(): Promise<void> {
    if (this.#inviter.state !== SessionState.Established) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => resolve();
      this.#inviter.bye({ requestDelegate: { onAccept: done, onReject: done, onRedirect: done } }).catch(done);
    });
  }

  async #close(): Promise<void> {
    const ending = [this.#subscription?.close() ?? Promise.resolve(), this.#hungUp()];
    await stopUserAgent(
      this.#userAgent,
      Promise.all(ending).then(() => undefined),
    );
    this.#endpoint.close();
  }
}
