import {
  Assembler,
  AcceptedTypes,
  contentOf,
  CPIM_NAMESPACE,
  type CpimDraft,
  type CpimMessage,
  cpimValues,
  formatCpim,
  formatImdn,
  formatIsComposing,
  htmlToText,
  IMDN_MEDIA_TYPE,
  IMDN_NAMESPACE,
  imdnExtensions,
  imdnHeadersOf,
  type IncomingMessage,
  ISCOMPOSING_MEDIA_TYPE,
  type Imdn,
  type ImdnHeaders,
  isAggregate,
  isImdn,
  isMessageId,
  type MessageId,
  mimeValue,
  MsrpError,
  type MsrpDescription,
  type MsrpSession,
  newMessageId,
  notUnderstood,
  type Outcome,
  type Outgoing,
  parseCpim,
  parseAggregate,
  parseImdn,
  parseIsComposing,
  partsToRead,
  prepare,
  type SessionHandlers,
  textOf,
} from '../../msrp/index.ts';
import { sameAddress } from './address.ts';
import { ClientError } from './errors.ts';
import type { Identity } from './identity.ts';
import type { ChatMessage, OutgoingFile, Receipt, Room, Said } from './contract.ts';

/** Under this namespace rooms of this service say how many messages of the past come next. */
const PAST_NAMESPACE = 'urn:x-grouptextchat:past';

/** What comes out of the chat session. */
export interface ChatHandlers {
  bound(): void;
  message(message: ChatMessage): void;
  composing(from: string, active: boolean, refresh: number): void;
  receipt(receipt: Receipt): void;
  closed(why: ClientError): void;
}

/** What is to be said of messages when they were read (RFC 5438 §7.2.1, §11.1.4), and those of which it was. */
const asked = new WeakMap<ChatMessage, Pick<ImdnHeaders, 'originalTo' | 'recordRoute'>>();
const told = new WeakSet<ChatMessage>();

/** The MSRP half of being in a room: CPIM out and in (RFC 7701 §6). */
export class ChatSession {
  readonly #identity: Identity;
  readonly #room: Pick<Room, 'uri'>;
  readonly #handlers: ChatHandlers;
  readonly #waiting = new Map<Outgoing, (outcome: Outcome) => void>();
  #session: MsrpSession | undefined;
  /** So many messages of the past are still to come. DateTime tells less: it is by the clocks of their authors. */
  #past = 0;

  constructor(identity: Identity, room: Pick<Room, 'uri'>, handlers: ChatHandlers) {
    this.#identity = identity;
    this.#room = room;
    this.#handlers = handlers;
  }

  /** For the session's options. */
  get sessionHandlers(): SessionHandlers {
    return {
      bound: (session) => {
        this.#session = session;
        this.#handlers.bound();
      },
      message: (_session, message) => this.#receive(message),
      outcome: (_session, message, outcome) => {
        this.#waiting.get(message)?.(outcome);
        this.#waiting.delete(message);
      },
      closed: (_session, reason, detail) => {
        this.#session = undefined;
        this.#handlers.closed(
          new ClientError('lost', `the chat session has ended: ${detail === '' ? reason : detail}`),
        );
      },
    };
  }

  /** Sends text to the room, or to one participant. Resolves when the room has kept it, or with why it has not. */
  say(text: string, to: string, receipt: boolean, again?: string): Promise<Said> {
    const id = again !== undefined && isMessageId(again) ? again : newMessageId();
    return this.#post(id, to, receipt, { contentType: 'text/plain;charset=utf-8', content: text });
  }

  /** The same with a file. */
  sendFile({ name, contentType, content }: OutgoingFile, to: string): Promise<Said> {
    const mimeHeaders = [{ name: 'Content-Disposition', value: `attachment; filename="${fileNameOf(name)}"` }];
    return this.#post(newMessageId(), to, false, { contentType, content, mimeHeaders });
  }

  /** Tells the author of a message that it was read (RFC 5438 §7.2.1.2). */
  seen(message: ChatMessage): void {
    // RFC 5438 §7.2.1: one notification of a kind.
    if (!message.wantsReceipt || message.messageId === undefined || told.has(message)) return;
    told.add(message);
    const { originalTo, recordRoute = [] } = asked.get(message) ?? {};
    const body = formatCpim({
      from: this.#identity,
      to: [{ uri: message.from }],
      dateTime: new Date(),
      extensions: imdnExtensions({ messageId: newMessageId(), route: recordRoute }),
      contentType: IMDN_MEDIA_TYPE,
      mimeHeaders: [{ name: 'Content-Disposition', value: 'notification' }],
      content: formatImdn({
        messageId: message.messageId,
        dateTime: message.at.toISOString(),
        recipientUri: this.#identity.uri,
        ...(originalTo === undefined ? {} : { originalRecipientUri: originalTo.uri }),
        disposition: { kind: 'display', status: 'displayed' },
      }),
    });
    this.#session?.send(prepare({ contentType: 'message/cpim', body, failureReport: 'no', outcomes: 'none' }));
  }

  /** The Message-ID of MSRP and that of IMDN are one, so that a second attempt is known as such (RFC 4975 §5.4). */
  async #post(
    messageId: MessageId,
    to: string,
    receipt: boolean,
    content: Pick<CpimDraft, 'contentType' | 'content' | 'mimeHeaders'>,
  ): Promise<Said> {
    const dispositionNotification = receipt ? ['display'] : [];
    const body = formatCpim({
      from: this.#identity,
      to: [{ uri: to }],
      dateTime: new Date(),
      extensions: imdnExtensions({ messageId, dispositionNotification }),
      ...content,
    });
    const outcome = await this.#send(messageId, body);
    switch (outcome.kind) {
      case 'delivered':
        return { said: true, messageId };
      case 'refused':
        return { said: false, messageId, status: outcome.status, reason: outcome.comment, ...pauseIn(outcome.comment) };
      case 'timeout':
        return { said: false, messageId, status: 408, reason: 'no answer' };
      case 'lost':
      case 'aborted':
        return { said: false, messageId, reason: 'the chat session has ended' };
    }
  }

  /** Tells the room that we write, or no longer do (RFC 3994); nobody answers to it. */
  composing(active: boolean): void {
    const body = formatCpim({
      from: this.#identity,
      to: [{ uri: this.#room.uri }],
      contentType: ISCOMPOSING_MEDIA_TYPE,
      content: formatIsComposing(active ? { state: 'active', refresh: 60 } : { state: 'idle' }),
    });
    this.#session?.send(prepare({ contentType: 'message/cpim', body, failureReport: 'no', outcomes: 'none' }));
  }

  #send(messageId: MessageId, body: Uint8Array): Promise<Outcome> {
    return new Promise((resolve) => {
      const message = prepare({ messageId, contentType: 'message/cpim', body, outcomes: 'all' });
      if (this.#session?.send(message) === 'queued') this.#waiting.set(message, resolve);
      else resolve({ kind: 'lost' });
    });
  }

  #receive(incoming: IncomingMessage): void {
    if (!/^message\/cpim\s*(;|$)/i.test(incoming.contentType)) {
      incoming.respond(415);
      return;
    }
    try {
      const message = parseCpim(incoming.body);
      const needs = notUnderstood(message, isUnderstood);
      this.#tell(message, incoming.messageId, needs);
      if (needs.length === 0) incoming.respond(200);
      else incoming.respond(415, `not understood here: ${needs.join(', ')}`);
    } catch (fault) {
      if (!(fault instanceof MsrpError)) throw fault;
      incoming.respond(400, fault.message);
    }
  }

  #tell(message: CpimMessage, sentAs: string, needs: readonly string[]): void {
    const { from } = message;
    if (from === undefined) throw new MsrpError(400, 'nobody has written this');
    if (needs.length > 0) {
      // RFC 3862 §3.5: it might be shown as what it is not.
      const text = `[a message that cannot be shown here, since it needs ${needs.join(', ')}]`;
      this.#handlers.message({ ...this.#chatMessage(message, from, sentAs), text, wantsReceipt: false });
      return;
    }
    const { mediaType } = message.contentType;
    if (mediaType === ISCOMPOSING_MEDIA_TYPE) {
      const { state, refresh = 120 } = parseIsComposing(message.content);
      this.#handlers.composing(from.uri, state === 'active', refresh);
    } else if (isImdn(message)) {
      this.#tellReceipt(parseImdn(contentOf(message)), from.uri);
    } else if (isAggregate(message)) {
      for (const imdn of parseAggregate(message)) this.#tellReceipt(imdn, imdn.recipientUri ?? from.uri);
    } else {
      this.#handlers.message(this.#chatMessage(message, from, sentAs));
    }
  }

  #tellReceipt({ messageId, disposition }: Imdn, from: string): void {
    this.#handlers.receipt({ messageId, from, status: disposition?.status ?? 'unknown' });
  }

  #chatMessage(
    message: CpimMessage,
    from: { readonly name?: string; readonly uri: string },
    sentAs: string,
  ): ChatMessage {
    const { mediaType } = message.contentType;
    const to = message.to[0]?.uri ?? this.#room.uri;
    const imdn = imdnHeadersOf(message);
    const { messageId } = imdn;
    const wantsReceipt = messageId !== undefined && imdn.dispositionNotification.includes('display');
    const subject = message.subjects[0]?.text;
    const isRooms = sameAddress(from.uri, this.#room.uri);
    const history = !isRooms && this.#past > 0;
    if (history) this.#past -= 1;
    const announced = /^\d{1,6}$/.exec(cpimValues(message, PAST_NAMESPACE, 'History')[0] ?? '')?.[0];
    const heads = isRooms && announced !== undefined ? Number(announced) : undefined;
    if (heads !== undefined) this.#past = heads;
    const fileName = /filename="?([^";]+)/i.exec(mimeValue(message, 'content-disposition') ?? '')?.[1];
    const shown: ChatMessage = {
      from: from.uri,
      fromName: from.name,
      to,
      // Whoever wants to look like the room can mark what he says as a status line.
      status: isRooms,
      history,
      ...(heads === undefined ? {} : { heads }),
      private: sameAddress(to, this.#identity.uri),
      at: message.dateTime ?? new Date(),
      contentType: mediaType,
      text: wordsOf(message),
      content: contentOf(message),
      sentAs,
      wantsReceipt,
      ...(messageId === undefined ? {} : { messageId }),
      ...(subject === undefined ? {} : { subject }),
      ...(fileName === undefined ? {} : { fileName }),
    };
    if (wantsReceipt) asked.set(shown, imdn);
    return shown;
  }
}

/** What a message may say must be understood (RFC 3862 §3.5). */
function isUnderstood(namespace: string | undefined, name: string): boolean {
  if (namespace === CPIM_NAMESPACE) return ['From', 'To', 'cc', 'DateTime', 'Subject', 'NS', 'Require'].includes(name);
  if (namespace === IMDN_NAMESPACE)
    return ['Message-ID', 'Disposition-Notification', 'IMDN-Record-Route'].includes(name);
  return namespace === PAST_NAMESPACE && name === 'History';
}

/** RFC 4975 §7.3.1, §14.3: of a multipart what people are to read. */
function wordsOf(message: CpimMessage): string | undefined {
  const words = partsToRead(message).flatMap((part) => wordsOfPart(part) ?? []);
  return words.length === 0 ? undefined : words.join('\n');
}

function wordsOfPart(message: CpimMessage): string | undefined {
  const { mediaType } = message.contentType;
  if (!mediaType.startsWith('text/')) return undefined;
  if (mediaType !== 'text/html') return textOf(message);
  const words = htmlToText(textOf(message));
  // Of nothing but pictures, say.
  return words === '' ? undefined : words;
}

/** MSRP has no field for it: rooms of this service say so in words. */
function pauseIn(comment: string): { readonly retryAfter?: number } {
  const seconds = /\bagain in (\d{1,6}) seconds?\b/.exec(comment)?.[1];
  return seconds === undefined ? {} : { retryAfter: Number(seconds) };
}

/** A name that can stand in quotes, without folders. */
function fileNameOf(name: string): string {
  return (/[^/\\]*$/.exec(name)?.[0] ?? '').replace(/["\r\n]/g, '_');
}

/** Octets of a message that we take: a file that can be sent can be received. */
const MAX_SIZE = 32 * 1024 * 1024;

/** Puts together what comes in, up to what we say that we take; larger files come as a line (RFC 7701 §6.1). */
export function ownAssembler(): Assembler {
  return new Assembler({ maxMessageBytes: MAX_SIZE, maxBytes: 2 * MAX_SIZE });
}

/** What we say of our end of the chat session (RFC 4975 §8, RFC 7701 §8). */
export function ownDescription(session: MsrpSession): MsrpDescription {
  return {
    path: session.localPath,
    acceptTypes: new AcceptedTypes(['message/cpim']),
    acceptWrappedTypes: new AcceptedTypes(['*']),
    maxSize: MAX_SIZE,
    setup: 'active',
    chatroom: ['nickname', 'private-messages'],
  };
}
