import { type Bye, Inviter, SessionState, type URI, type UserAgent } from 'sip.js';
import {
  type MsrpEndpoint,
  MsrpError,
  type MsrpMedia,
  type MsrpSession,
  newEndpoint,
  webSocketFlow,
} from '../../msrp/index.ts';
import { ConferenceView } from '../conference/view.ts';
import { ChatSession, ownAssembler, ownDescription } from './chat-session.ts';
import type { ChatMessage, ClientOptions, OutgoingFile, Room, RoomHandlers, Said } from './contract.ts';
import { MessageDescription } from './description.ts';
import { ClientError } from './errors.ts';
import { conferenceMade } from './focus.ts';
import { movedTo, Targets } from './redirect.ts';
import { refusalText, type ResponseHead } from './refusal.ts';
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

/** Octets that may wait to be sent: a file of the largest size that rooms take by default, and more. */
const MAX_QUEUED_BYTES = 32 * 1024 * 1024;
/** Milliseconds between signs of life over a chat session, so that a server that is gone is noticed (RFC 7977 §6). */
const KEEP_ALIVE = 30_000;
/** Milliseconds: a room has nobody who would have to come and take up the call. */
const ANSWER_WITHIN = 60_000;
/** Milliseconds before a roster is asked for again; a service that stops has hung up by then. */
const AGAIN = 1_000;
/** In a larger room everybody's word that he has read something would be more than what is said. */
const MAX_RECEIPTS = 30;

function withHistory(room: URI, history: string | undefined): URI {
  if (history === undefined) return room;
  const asking = room.clone();
  asking.setParam('history', history);
  return asking;
}

class JoinedRoom implements Room {
  readonly ownUri: string;
  readonly #handlers: RoomHandlers;
  readonly #userAgent: UserAgent;
  readonly #endpoint: MsrpEndpoint;
  readonly #session: MsrpSession;
  readonly #chat: ChatSession;
  readonly #device: string;
  readonly #history: string | undefined;
  readonly #receipts: boolean;
  readonly #answerWithin: number;
  #inviter: Inviter | undefined;
  /** Whom we are in, or still call. */
  #room: URI;
  #server = '';
  #media: MsrpMedia | MsrpError | undefined;
  #subscription: ConferenceSubscription | undefined;
  #roster: Roster | undefined;
  #again: ReturnType<typeof setTimeout> | undefined;
  #state: 'entering' | 'in' | 'out' = 'entering';
  #fail: (why: ClientError) => void = () => undefined;
  #bound: () => void = () => undefined;

  constructor(call: Call, options: ClientOptions, handlers: RoomHandlers) {
    this.#room = call.room;
    this.#handlers = handlers;
    this.ownUri = call.identity.uri;
    this.#device = call.host;
    const secure = call.server.toLowerCase().startsWith('wss:');
    this.#chat = new ChatSession(call.identity, this, {
      bound: () => this.#bound(),
      message: (message) => handlers.message(message, this),
      composing: (from, active, refresh) => handlers.composing?.(from, active, refresh),
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
      assembler: ownAssembler(),
      // RFC 6135 §4.2.2: port 9 for an endpoint that only connects.
      at: { scheme: secure ? 'msrps' : 'msrp', host: call.host, port: 9, transport: 'ws' },
      bindTimeout: 60_000,
      maxQueuedBytes: MAX_QUEUED_BYTES,
      keepAlive: KEEP_ALIVE,
    });
    const own = ownDescription(this.#session);
    this.#userAgent = newUserAgent(
      call,
      options,
      (why) => this.#end(why),
      () => new MessageDescription(own, (media) => this.#described(media)),
    );
    this.#receipts = options.receipts === true;
    this.#history = options.history;
    this.#answerWithin = options.answerWithin ?? ANSWER_WITHIN;
  }

  /** A call to the room at that address; To stays the same (RFC 3261 §8.1.3.4). */
  #newInviter(target: URI): Inviter {
    const inviter = new Inviter(this.#userAgent, withHistory(target, this.#history), {
      params: { toUri: this.#room },
    });
    inviter.delegate = { onBye: (bye) => this.#dismissed(bye) };
    return inviter;
  }

  get uri(): string {
    return this.#room.toString();
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
    this.#subscribe();
  }

  #subscribe(): void {
    if (this.#state !== 'in') return;
    this.#subscription = new ConferenceSubscription(this.#userAgent, this.#room, {
      changed: (view) => this.#changed(view),
      ended: (why, again) => {
        if (again) this.#again = setTimeout(() => this.#subscribe(), AGAIN);
        else this.#handlers.rosterEnded?.(why);
      },
    });
  }

  get server(): string {
    return this.#server;
  }

  say(text: string, to = this.uri, again?: string): Promise<Said> {
    return this.#chat.say(text, to, this.#receipts && this.roster.size <= MAX_RECEIPTS, again);
  }

  recall(wish: string): Promise<Said> {
    return this.#chat.say(`/history ${wish}`.trim(), this.uri, false);
  }

  async sendFile(file: OutgoingFile, to = this.uri): Promise<Said> {
    const limit = this.#media instanceof MsrpError ? undefined : this.#media?.maxSize;
    if (limit !== undefined && file.content.length + 1024 > limit) {
      return { said: false, messageId: '', status: 413, reason: `the room takes at most ${limit} bytes` };
    }
    return this.#chat.sendFile(file, to);
  }

  seen(message: ChatMessage): void {
    this.#chat.seen(message);
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

  /** Resolves when the call stands, wherever the room is now (RFC 3261 §8.1.3.4). */
  async #invited(): Promise<void> {
    const called = this.#room;
    const targets = new Targets(called);
    for (let target = called; ;) {
      const answer = await this.#answered(target);
      const { statusCode = 0 } = answer;
      if (statusCode < 300) {
        this.#server = answer.getHeader('server') ?? '';
        this.#room = conferenceMade(answer, target) ?? target;
        break;
      }
      const addresses = movedTo(answer);
      const became =
        addresses.length > 0 ? `has moved to ${addresses.join(', ')}` : `does not let us in: ${refusalText(answer)}`;
      const who = target === called ? this.uri : `${this.uri} has moved to ${target.toString()}, which`;
      const next = targets.after(target, addresses);
      if (next === undefined) throw new ClientError('refused', `${who} ${became}`, statusCode);
      target = next;
    }
    if (this.#media instanceof MsrpError) {
      throw new ClientError('refused', `${this.uri} offers no chat: ${this.#media.message}`, this.#media.status);
    }
  }

  /** Calls the room at that address; resolves when the call stands, or is refused or redirected. */
  #answered(target: URI): Promise<ResponseHead> {
    const inviter = this.#newInviter(target);
    this.#inviter = inviter;
    let late: ReturnType<typeof setTimeout> | undefined;
    const answer = new Promise<ResponseHead>((resolve, reject) => {
      this.#fail = reject;
      // To close what has been opened then takes the call back, too (RFC 3261 §9.1).
      late = setTimeout(() => {
        reject(new ClientError('unreachable', `${this.uri} does not answer the call`));
      }, this.#answerWithin);
      inviter.stateChange.addListener((state) => {
        if (state !== SessionState.Terminated) return;
        // Why it has ended, if sip.js knows, is told by a call of its own later in this turn.
        queueMicrotask(() => {
          if (inviter === this.#inviter) this.#end(new ClientError('lost', 'the call has ended'));
        });
      });
      const answered = ({ message }: { readonly message: ResponseHead }): void => resolve(message);
      const requestDelegate = { onAccept: answered, onReject: answered, onRedirect: answered };
      inviter.invite({ requestDelegate }).catch(reject);
    });
    return answer.finally(() => clearTimeout(late));
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
    this.#roster = rosterOf(view, this.#device);
    this.#handlers.roster?.(this.#roster, before && changeBetween(before, this.#roster), view);
  }

  #dismissed(bye: Bye): void {
    const reason = bye.request.getHeader('reason') ?? '';
    const text = /text\s*=\s*"((?:[^"\\]|\\.)*)"/i.exec(reason)?.[1] ?? 'the room has ended the call';
    const cause = Number(/cause\s*=\s*(\d{3})/i.exec(reason)?.[1] ?? 200);
    void bye.accept();
    // RFC 3326: a fault of the moment, such as a service that is started anew, or the end of our stay.
    const fault = cause === 408 || cause === 481 || cause >= 500 ? 'lost' : 'dismissed';
    const why = new ClientError(fault, text, cause);
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
    const inviter = this.#inviter;
    if (inviter?.state !== SessionState.Established) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => resolve();
      inviter.bye({ requestDelegate: { onAccept: done, onReject: done, onRedirect: done } }).catch(done);
    });
  }

  async #close(): Promise<void> {
    clearTimeout(this.#again);
    const ending = [this.#subscription?.close() ?? Promise.resolve(), this.#hungUp()];
    await stopUserAgent(
      this.#userAgent,
      Promise.all(ending).then(() => undefined),
    );
    this.#endpoint.close();
  }
}
