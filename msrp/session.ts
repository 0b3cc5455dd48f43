import type {
  CloseReason,
  MsrpSession,
  OutgoingStream,
  PeerManners,
  Queued,
  SessionHandlers,
  SessionOptions,
} from './contract.ts';
import { formatNickname } from './encode.ts';
import type { EndpointLimits } from './limits.ts';
import { Envelope } from './envelope.ts';
import { ID_PART, newMessageId, newMessagePart, newSessionId } from './ids.ts';
import type { MessageId, RequestHead, ResponseHead } from './message.ts';
import { Outbox } from './outbox.ts';
import type { Outcome, Outgoing, StreamOptions, StreamSource } from './outgoing.ts';
import { PreparedMessage } from './prepare.ts';
import { Question } from './question.ts';
import { Receiver, type ReceiverHost } from './receiver.ts';
import { Sending, type Chunk } from './sending.ts';
import { Transactions } from './transactions.ts';
import type { Turn } from './turn.ts';
import {
  formatMsrpPath,
  formatMsrpUri,
  newMsrpUri,
  nextHop,
  parseMsrpPath,
  peerOf,
  sameMsrpPath,
  type MsrpPath,
  type MsrpUri,
} from './uri.ts';

/** What a session needs of the connection it is bound to. */
export interface Line {
  /** Queues a response or report, to go out before any message. */
  answer(text: string): void;
  /** The session has something to write. */
  ready(session: Session): void;
  /** Writes at once what waits to be written, as far as the peer takes it. */
  flush(): void;
  /** The session is over; a chunk of it that is open is ended. */
  leave(session: Session): void;
  pause(session: Session): void;
  resume(session: Session): void;
  /** The certificates that the session's peer announces are known now. */
  prove(session: Session): void;
  /** When a response to what was handed over at `sentAt` can have been awaited from. */
  awaitedFrom(sentAt: number): number;
}

/** What a session needs of its endpoint. */
export interface Home {
  readonly limits: EndpointLimits;
  now(): number;
  dial(session: Session, via: { readonly host: string; readonly port: number } | undefined): void;
  forget(session: Session): void;
}

type State =
  | { readonly is: 'expected' }
  | { readonly is: 'binding'; readonly line: Line }
  | { readonly is: 'bound'; readonly line: Line }
  | { readonly is: 'closed' };

const DELIVERED: Outcome = { kind: 'delivered' };
const TIMEOUT: Outcome = { kind: 'timeout' };
const LOST: Outcome = { kind: 'lost' };

/** How many times as much as should wait may wait for a moment. */
const FARTHEST = 16;

/** `MSRP`, ` 200`, `----` as words, and what surrounds them. */
const [WORD_MSRP, WORD_200, WORD_DASHES] = [0x4d535250, 0x20323030, 0x2d2d2d2d] as const;
/** Seven dashes, two id parts, flag and CRLF. */
const END_LINE = 7 + 2 * ID_PART + 3;

type Waiting = PreparedMessage | Chunk | Question;

/** An `MsrpSession` with the side that its connection and its endpoint see. */
export class Session implements MsrpSession, ReceiverHost {
  readonly localUri: MsrpUri;
  readonly localPath: MsrpPath;
  readonly outbox: Outbox;
  readonly transactions: Transactions<Waiting>;
  /** What the peer sends goes through it. */
  readonly receiver: Receiver;
  /** When it is closed unless it is bound by then. */
  readonly bindBefore: number;
  readonly matchBySessionId: boolean;
  readonly #home: Home;
  readonly #handlers: SessionHandlers;
  readonly #options: SessionOptions;
  readonly localText: string;
  #fingerprints: SessionOptions['fingerprints'];
  readonly #relays: readonly MsrpUri[];
  #remotePath: MsrpPath | undefined;
  #manners: PeerManners = {};
  #envelope: Envelope | undefined;
  #state: State = { is: 'expected' };
  /** The request that bound the session waits for its 200; nothing may go out before that. */
  #bindRequest: string | undefined;
  /** Paths of the last request that was checked, as written. */
  #seenTo = '';
  #seenFrom = '';
  /** When the peer was last asked whether it is there. */
  #provedAt: number;
  /** Since when more octets wait than should; undefined while no more do. */
  #beyondSince: number | undefined;
  /** Octets of the last 200 that came, a good guess for the next. */
  #responseLength = 0;

  constructor(home: Home, options: SessionOptions) {
    this.#home = home;
    this.#options = options;
    this.#handlers = options.handlers;
    const { scheme, host, port, transport = 'tcp' } = options.at;
    this.localUri = newMsrpUri({ scheme, host, port, transport, sessionId: newSessionId() });
    this.localText = formatMsrpUri(this.localUri);
    this.#relays = options.relays ?? [];
    const [first, ...rest] = [...this.#relays].reverse().concat(this.localUri);
    this.localPath = first === undefined ? [this.localUri] : [first, ...rest];
    this.matchBySessionId = options.matchBySessionId ?? false;
    this.#fingerprints = options.fingerprints;
    this.receiver = new Receiver(this, this, options);
    this.outbox = new Outbox(this, options.maxQueuedBytes ?? 1024 * 1024, options.maxStreams ?? 64);
    this.transactions = new Transactions(home.limits.maxOutstanding);
    this.#provedAt = home.now();
    this.bindBefore = home.now() + (options.bindTimeout ?? 30_000);
    this.#mind(options);
    if (options.remotePath !== undefined) this.setRemotePath(options.remotePath);
  }

  // ---- what its owner sees ----

  get state(): 'expected' | 'bound' | 'closed' {
    return this.#state.is === 'binding' ? 'expected' : this.#state.is;
  }

  get remotePath(): MsrpPath | undefined {
    return this.#remotePath;
  }

  get underWay(): number {
    return this.outbox.size + this.transactions.size;
  }

  get queuedBytes(): number {
    return this.outbox.bytes;
  }

  get maxQueuedBytes(): number {
    return this.outbox.maxBytes;
  }

  /** Own relays, then the peer's path: what requests of ours name (RFC 4976 §5.1). */
  get #toPath(): MsrpPath | undefined {
    const [first, ...rest] = [...this.#relays, ...(this.#remotePath ?? [])];
    return this.#remotePath === undefined || first === undefined ? undefined : [first, ...rest];
  }

  setRemotePath(path: MsrpPath, manners: PeerManners = {}): void {
    this.#remotePath = path;
    this.#mind({ ...this.#manners, ...manners });
    const text = [...this.#relays.map(formatMsrpUri), formatMsrpPath(path)].join(' ');
    if (text === this.#envelope?.toPath) return;
    this.#envelope = new Envelope(text, this.localText, this.#envelope?.idPart);
    this.#askToWrite();
  }

  #mind(manners: PeerManners): void {
    const { chunks = true, bareNicknames = false } = manners;
    const { maxChunkBytes = Infinity, maxRelayedChunkBytes = Infinity } = this.#options;
    const relayed = (this.#toPath?.length ?? 1) > 1;
    const bound = relayed ? Math.min(maxChunkBytes, maxRelayedChunkBytes) : maxChunkBytes;
    this.#manners = { chunks, bareNicknames };
    this.outbox.maxChunkBytes = chunks ? bound : 'unbroken';
    this.receiver.bareNicknames = bareNicknames;
  }

  dial(via?: { readonly host: string; readonly port: number }): void {
    if (this.#state.is === 'expected') this.#home.dial(this, via);
  }

  get fingerprints(): SessionOptions['fingerprints'] {
    return this.#fingerprints;
  }

  setFingerprints(fingerprints: NonNullable<SessionOptions['fingerprints']>): void {
    this.#fingerprints ??= fingerprints;
    this.line?.prove(this);
  }

  /** Where to connect (RFC 4975 §8.3). */
  get target(): MsrpUri | undefined {
    const path = this.#toPath;
    return path === undefined ? undefined : nextHop(path);
  }

  send(message: PreparedMessage): Queued {
    if (this.#state.is === 'closed') return 'closed';
    const { outbox } = this;
    if (!outbox.hasRoomFor(message)) this.line?.flush();
    if (outbox.hasRoomFor(message)) this.#beyondSince = undefined;
    else if (this.#isFull()) return this.#overflow('octets');
    outbox.add(message);
    this.#askToWrite();
    return 'queued';
  }

  stream(options: StreamOptions, source: StreamSource): OutgoingStream | 'full' | 'closed' {
    if (this.#state.is === 'closed') return 'closed';
    const { outbox } = this;
    if (!outbox.hasRoomForStream) this.line?.flush();
    if (!outbox.hasRoomForStream) return this.#overflow('streams');
    const sending = outbox.addStream(options, source);
    this.#askToWrite();
    return sending;
  }

  /**
   * More waits than should. What came in this very turn has been written as far as it could be, but what is said in one
   * moment takes more turns than one, however fast the peer reads.
   */
  #isFull(): boolean {
    const now = this.#home.now();
    this.#beyondSince ??= now;
    const { isFull, bytes, maxBytes } = this.outbox;
    return isFull || now - this.#beyondSince >= (this.#options.fullAfter ?? 0) || bytes >= FARTHEST * maxBytes;
  }

  #overflow(of: 'octets' | 'streams'): 'full' {
    this.outbox.overflows(of);
    return 'full';
  }

  cancel(message: Outgoing): boolean {
    return this.outbox.cancel(message) !== 'absent';
  }

  thin(downTo: number, mayDrop: (message: PreparedMessage) => boolean = () => true): readonly PreparedMessage[] {
    return this.outbox.thin(downTo, mayDrop);
  }

  waits(isIt: (messageId: MessageId) => boolean): boolean {
    return (
      this.outbox.has(isIt) ||
      this.transactions.some((waiting) => {
        if (waiting instanceof Question) return false;
        return isIt((waiting instanceof PreparedMessage ? waiting : waiting.sending).messageId);
      })
    );
  }

  isInPieces(isIt: (messageId: MessageId) => boolean): boolean {
    return this.outbox.isInPieces(isIt);
  }

  pause(): void {
    this.line?.pause(this);
  }

  resume(): void {
    this.line?.resume(this);
  }

  nickname(name: string): Promise<{ readonly status: number; readonly comment: string }> {
    return new Promise((resolve) => {
      const field = `Use-Nickname: ${formatNickname(name)}\r\n`;
      this.#ask('NICKNAME', field, (status, comment) => resolve({ status, comment }));
    });
  }

  close(detail = 'closed'): void {
    this.end('local', detail);
  }

  // ---- being bound ----

  get line(): Line | undefined {
    return 'line' in this.#state ? this.#state.line : undefined;
  }

  /** Whether messages may be written now. */
  get mayWrite(): boolean {
    return this.#state.is === 'bound' && this.#bindRequest === undefined && this.#envelope !== undefined;
  }

  get envelope(): Envelope | undefined {
    return this.#envelope;
  }

  /** Whether these are the paths of the request that was checked last. */
  matches(toPath: string, fromPath: string): boolean {
    return toPath === this.#seenTo && fromPath === this.#seenFrom;
  }

  /**
   * Checks From-Path against what the peer's SDP said; learns it, when that is not known yet (an INVITE without offer).
   */
  admits(head: RequestHead): boolean {
    const from = parseMsrpPath(head.fromPath);
    if (this.#remotePath === undefined) {
      this.setRemotePath(from);
    } else {
      const expected = this.#toPath ?? from;
      const same = this.matchBySessionId
        ? peerOf(from).sessionId === peerOf(expected).sessionId
        : sameMsrpPath(from, expected);
      if (!same) return false;
    }
    this.#seenTo = head.toPath;
    this.#seenFrom = head.fromPath;
    return true;
  }

  /** Bound by a request of the peer, who is active (RFC 4975 §5.4). */
  bindBy(head: RequestHead, line: Line): void {
    this.#state = { is: 'bound', line };
    if (head.failureReport === 'yes' && head.method !== 'REPORT') this.#bindRequest = head.transactionId;
    this.#handlers.bound?.(this);
    this.#askToWrite();
  }

  /** Binds itself to a connection that it has asked for: a SEND at once (RFC 4975 §5.4). */
  bindTo(line: Line): void {
    this.#state = { is: 'binding', line };
    this.#ask('SEND', bodiless(), (status, comment) => {
      if (this.#state.is !== 'binding') return;
      if (status !== 200) return this.end('rejected', `${status} ${comment}`);
      this.#state = { is: 'bound', line };
      this.#handlers.bound?.(this);
      this.#askToWrite();
    });
  }

  end(reason: CloseReason, detail: string): void {
    if (this.#state.is === 'closed') return;
    const line = this.line;
    line?.leave(this);
    this.#state = { is: 'closed' };
    this.#home.forget(this);
    this.receiver.close();
    for (const waiting of this.transactions.drain()) this.#settle(waiting, LOST);
    for (const unsent of this.outbox.drain()) {
      if (unsent instanceof Sending) this.#settleSending(unsent, LOST);
      else this.#tell(unsent, LOST);
    }
    this.#handlers.closed?.(this, reason, detail);
  }

  // ---- what its receiver needs ----

  now(): number {
    return this.#home.now();
  }

  newTransactionId(): string {
    return `${this.#envelope?.idPart ?? newMessagePart()}${newMessagePart()}`;
  }

  answered(transactionId: string): void {
    if (transactionId !== this.#bindRequest) return;
    this.#bindRequest = undefined;
    this.#askToWrite();
  }

  failureReported(messageId: MessageId, code: number, comment: string): void {
    const sending = this.outbox.find(messageId);
    if (sending === undefined) return;
    this.#stop(sending, outcomeOf(code, comment));
  }

  // ---- requests of ours ----

  /** A request without a body that is not a message. */
  #ask(method: string, fields: string, settle: (status: number, comment: string) => void): void {
    const line = this.line;
    const envelope = this.#envelope;
    if (line === undefined || envelope === undefined) return settle(481, 'no connection');
    const id = newMessagePart();
    this.transactions.push(new Question(id, settle), this.#home.now());
    line.answer(`${envelope.head(id, method)}${fields}-------${envelope.idPart}${id}$\r\n`);
  }

  #askToWrite(): void {
    if (this.#state.is === 'bound' && this.mayWrite && this.outbox.ready) this.#state.line.ready(this);
  }

  /** A sending has something to write again. */
  woken(): void {
    this.#askToWrite();
  }

  /** Renders small messages, as far as `outbox.writeSmall` goes. */
  writeSmall(turn: Turn, now: number, budget: number): void {
    if (this.#envelope === undefined) return;
    this.outbox.writeSmall(turn, this.#envelope, this.transactions, now, budget);
  }

  /** Responses have come: what had no place among the transactions may have one now. */
  refreshed(): void {
    this.#askToWrite();
  }

  /** Room was made in the queue, or among the transactions. */
  relieved(): void {
    if (this.outbox.becameFree()) this.#handlers.drained?.(this);
  }

  /** A chunk has been handed over, and its response is awaited. */
  awaitResponse(chunk: Chunk, now: number): void {
    const { sending } = chunk;
    if (sending.failureReport === 'no' || chunk.answered) return;
    sending.waiting++;
    this.transactions.push(chunk, now);
  }

  /** Nothing more of it will be written. */
  written(sending: Sending): void {
    this.outbox.drop(sending);
    if (sending.fate !== undefined) this.#settleSending(sending, sending.fate);
    else if (sending.failureReport !== 'no' && sending.waiting === 0) this.#settleSending(sending, DELIVERED);
  }

  /**
   * How many octets at `at` are a 200 to the request whose turn it is, byte for byte as the last one came; it is then
   * settled. 0 when they are not.
   */
  expected(view: DataView, at: number): number {
    const likely = this.transactions.likely;
    const length = this.#responseLength;
    const end = at + length - END_LINE;
    if (likely === undefined || length === 0 || at + length > view.byteLength) return 0;
    const envelope = this.#envelope;
    if (envelope === undefined || view.getInt32(at + 13) !== likely.idHigh) return 0;
    const same =
      view.getInt32(at + 17) === likely.idLow &&
      view.getInt32(at) === WORD_MSRP &&
      view.getInt32(at + 5) === envelope.idHigh &&
      view.getInt32(at + 9) === envelope.idLow &&
      view.getInt32(at + 21) === WORD_200 &&
      view.getInt32(end) === WORD_DASHES &&
      view.getInt32(end + 3) === WORD_DASHES &&
      view.getInt32(end + 7) === envelope.idHigh &&
      view.getInt32(end + 11) === envelope.idLow &&
      view.getInt32(end + 15) === likely.idHigh &&
      view.getInt32(end + 19) === likely.idLow &&
      view.getUint8(at + 4) === 0x20 &&
      view.getUint8(at + 25) <= 0x20 &&
      view.getInt16(end - 2) === 0x0d0a &&
      view.getUint8(end + 23) === 0x24 &&
      view.getInt16(end + 24) === 0x0d0a;
    if (!same) return 0;
    this.transactions.takeLikely();
    if (likely instanceof PreparedMessage) {
      if (likely.outcomes === 'all') this.#handlers.outcome?.(this, likely, DELIVERED);
    } else this.#answered(likely, 200, 'OK');
    return length;
  }

  /** A response, of `length` octets. */
  receiveResponse(head: ResponseHead, idHigh: number, idLow: number, length: number): void {
    const waiting = this.transactions.take(idHigh, idLow);
    const open = waiting === undefined ? this.outbox.openChunk(idHigh, idLow) : undefined;
    if (waiting !== undefined) {
      if (head.status === 200) this.#responseLength = length;
      this.#answered(waiting, head.status, head.comment);
    } else if (open !== undefined) {
      // RFC 4975 §10.5: whoever wants no more of a message need not wait for the end of its chunk.
      open.answered = true;
      if (head.status >= 300) this.#stop(open.sending, outcomeOf(head.status, head.comment));
    } else return;
    this.#askToWrite();
    // RFC 4975 §10.8, §10.10: the peer has no such session, or not with us.
    if (head.status === 481 || head.status === 506) this.end('rejected', `${head.status} ${head.comment}`);
  }

  #answered(waiting: Waiting, status: number, comment: string): void {
    if (waiting instanceof Question) return waiting.settle(status, comment);
    if (waiting instanceof PreparedMessage) return this.#tell(waiting, outcomeOf(status, comment));
    const { sending } = waiting;
    sending.waiting--;
    if (status >= 300) this.#stop(sending, outcomeOf(status, comment));
    else if (sending.over && sending.waiting === 0) this.#settleSending(sending, DELIVERED);
  }

  /** Looks for what has waited too long. */
  sweep(now: number): void {
    this.receiver.sweep(now);
    const line = this.line;
    if (line === undefined) {
      if (this.#state.is === 'expected' && now >= this.bindBefore) this.end('unbound', 'no connection in time');
      return;
    }
    const limit = now - this.#home.limits.responseTimeout;
    for (const late of this.transactions.expire((sentAt) => line.awaitedFrom(sentAt) <= limit)) {
      this.#settle(late, TIMEOUT);
    }
    this.#askToWrite();
    this.#keepAlive(now);
  }

  /** RFC 4975 §7.1: a SEND without a body keeps what is between open, and shows whether the peer is there. */
  #keepAlive(now: number): void {
    const { keepAlive } = this.#options;
    if (keepAlive === undefined || this.#state.is !== 'bound' || now - this.#provedAt < keepAlive) return;
    this.#provedAt = now;
    this.#ask('SEND', bodiless(), (status) => {
      if (status === 408) this.end('disconnected', 'a keep-alive was not answered');
    });
  }

  #settle(waiting: Waiting, outcome: Outcome): void {
    if (waiting instanceof Question) return waiting.settle(408, outcome.kind);
    if (waiting instanceof PreparedMessage) {
      // RFC 4975 §7.1.1: with `partial` no answer is what success looks like.
      if (waiting.failureReport === 'yes') this.#tell(waiting, outcome);
      return;
    }
    const { sending } = waiting;
    sending.waiting--;
    if (sending.failureReport === 'yes') this.#stop(sending, outcome);
  }

  /** It has failed: the rest of it is not sent. Who has refused it awaits nothing more; else its end goes out first. */
  #stop(sending: Sending, outcome: Outcome): void {
    sending.giveUp(outcome);
    if (sending.over || outcome.kind === 'refused') this.#settleSending(sending, outcome);
  }

  #settleSending(sending: Sending, outcome: Outcome): void {
    if (sending.settled) return;
    sending.settled = true;
    this.#tell(sending, outcome);
  }

  #tell(outgoing: PreparedMessage | Sending, outcome: Outcome): void {
    const { outcomes } = outgoing;
    if (
      outcomes === 'none' ||
      (outcomes === 'failures' && (outcome.kind === 'delivered' || outcome.kind === 'aborted'))
    )
      return;
    this.#handlers.outcome?.(this, outgoing instanceof Sending ? (outgoing.message ?? outgoing) : outgoing, outcome);
  }
}

/** RFC 4975 §7.1.1: the fields of a SEND that carries nothing. */
function bodiless(): string {
  return `Message-ID: ${newMessageId()}\r\nByte-Range: 1-0/0\r\n`;
}

function outcomeOf(status: number, comment: string): Outcome {
  if (status < 300) return DELIVERED;
  // RFC 4975 §10.4
  return status === 408 ? TIMEOUT : { kind: 'refused', status, comment };
}
