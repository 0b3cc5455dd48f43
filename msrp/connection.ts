import { answerPath, formatResponse, wantsAnswer } from './encode.ts';
import type { CloseReason } from './contract.ts';
import type { Remains } from './decode.ts';
import { MsrpError } from './errors.ts';
import { Framer, type FrameHandlers } from './framer.ts';
import { ID_PART, idWord } from './ids.ts';
import type { AuthRequest } from './incoming.ts';
import type { EndpointLimits } from './limits.ts';
import type { Log } from './log.ts';
import type { ContinuationFlag, RequestHead, ResponseHead } from './message.ts';
import { type Sending } from './sending.ts';
import type { Inflow } from './receiver.ts';
import type { Line, Session } from './session.ts';
import type { StatusCode } from './status.ts';
import type { Flow, FlowHandlers, PeerAddress } from './transport/flow.ts';
import type { Speaker, Turn } from './turn.ts';
import { parseMsrpPath, sameMsrpUri, type MsrpUri } from './uri.ts';

/** What a connection needs of its endpoint. */
export interface Exchange {
  readonly limits: EndpointLimits;
  readonly turn: Turn;
  readonly log: Log;
  now(): number;
  /** The session a To-Path names (RFC 4975 §7.3). */
  find(uri: MsrpUri): Session | undefined;
  readonly auth: ((request: AuthRequest, peer: PeerAddress) => void) | undefined;
  /** Its first session was bound, or its last one left. */
  occupied(connection: Connection, occupied: boolean): void;
  closed(connection: Connection): void;
}

/** Octets of small messages that a session may write before the next session's turn. */
const SMALL_BUDGET = 16 * 1024;
/** The same of a message that goes piece by piece. */
const PIECE_BUDGET = 64 * 1024;
/** Writes in one turn, so that a fast peer does not keep the others waiting. */
const WRITES_PER_TURN = 4;

/** Milliseconds that a connection we have ended waits for the peer to end it too. */
const LINGER = 5000;

/** One flow: octets in, sessions to find, octets out; several sessions may share it (RFC 4975 §5.4). */
export class Connection implements Line, Speaker, FrameHandlers, FlowHandlers {
  readonly flow: Flow;
  /** It came in, rather than being dialled. */
  readonly accepted: boolean;
  readonly #exchange: Exchange;
  readonly #framer: Framer;
  readonly #sessions = new Set<Session>();
  /** The session of the last request or response: most likely that of the next, too. */
  #last: Session | undefined;
  /** The chunk that is arriving in pieces; undefined within one that nobody takes. */
  #inflow: Inflow | undefined;
  #answers: string[] = [];
  #answerBytes = 0;
  readonly #ready = new Set<Session>();
  /** A chunk has been begun and not ended: nothing else may be written. */
  #open: { readonly session: Session; readonly sending: Sending } | undefined;
  #asked = false;
  #state: 'open' | 'ending' | 'closed' = 'open';
  /** When the last write was left untaken, and when it was taken at last. */
  #blockedAt = -1;
  #drainedAt = 0;
  #blocked = false;
  /** The memory of the last write, which the flow keeps until it is drained. */
  #lent: Uint8Array | undefined;
  #heardAt: number;
  /** Since when no session is bound to it. */
  #vacantSince: number;
  #endingSince = 0;
  /** Who wants reading stopped. */
  readonly #pausers = new Set<object>();

  constructor(flow: Flow, accepted: boolean, exchange: Exchange) {
    this.flow = flow;
    this.accepted = accepted;
    this.#exchange = exchange;
    this.#framer = new Framer(exchange.limits, this);
    this.#heardAt = this.#vacantSince = exchange.now();
    flow.start(this);
  }

  get sessionCount(): number {
    return this.#sessions.size;
  }

  /** For log lines. */
  get name(): string {
    return `${this.flow.peer.address}:${this.flow.peer.port}`;
  }

  // ---- sessions ----

  /** Gives a session that asked for this connection its connection. */
  adopt(session: Session): void {
    this.#join(session);
    session.bindTo(this);
  }

  #join(session: Session): void {
    this.#sessions.add(session);
    this.#last = session;
    if (this.#sessions.size === 1) this.#exchange.occupied(this, true);
  }

  leave(session: Session): void {
    if (this.#state === 'open') this.#sayLast(session);
    this.#ready.delete(session);
    this.resume(session);
    if (this.#last === session) this.#last = undefined;
    if (!this.#sessions.delete(session) || this.#sessions.size > 0) return;
    this.#vacantSince = this.#exchange.now();
    this.#exchange.occupied(this, false);
    // RFC 4975 §5.4: not closed while there are sessions; without any there is no use for it.
    this.finish();
  }

  /** What a session had queued before it was closed still goes out, as far as the peer takes it now. */
  #sayLast(session: Session): void {
    if (this.#open?.session === session) this.#open.sending.abort();
    if (session.mayWrite && session.outbox.ready) this.#ready.add(session);
    this.speak(this.#exchange.turn);
    if (this.#open?.session !== session) return;
    // A chunk that cannot be ended makes all that would follow it a part of its body.
    this.fail('stalled', 'a session closed within a chunk that the peer does not take');
  }

  awaitedFrom(sentAt: number): number {
    if (this.#blocked && sentAt >= this.#blockedAt) return Infinity;
    return sentAt >= this.#blockedAt && sentAt < this.#drainedAt ? this.#drainedAt : sentAt;
  }

  pause(pauser: object): void {
    if (this.#pausers.size === 0) this.flow.pause();
    this.#pausers.add(pauser);
  }

  resume(pauser: object): void {
    if (this.#pausers.delete(pauser) && this.#pausers.size === 0) this.flow.resume();
  }

  // ---- octets in ----

  receive(bytes: Uint8Array): void {
    if (this.#state === 'closed') return;
    this.#heardAt = this.#exchange.now();
    this.#framer.receive(bytes);
    this.#last?.refreshed();
  }

  expected(view: DataView, at: number): number {
    return this.#last === undefined ? 0 : this.#last.expected(view, at);
  }

  request(head: RequestHead, body: Uint8Array | undefined, flag: ContinuationFlag): void {
    const session = this.#route(head);
    session?.receiver.receive(head, body, flag);
  }

  begin(head: RequestHead): void {
    this.#inflow = this.#route(head)?.receiver.begin(head);
  }

  piece(bytes: Uint8Array): void {
    this.#inflow?.write(bytes);
  }

  end(flag: ContinuationFlag): void {
    const inflow = this.#inflow;
    this.#inflow = undefined;
    inflow?.end(flag);
  }

  response(head: ResponseHead, length: number): void {
    const id = head.transactionId;
    if (id.length !== 2 * ID_PART) return;
    const part = id.slice(0, ID_PART);
    const session =
      this.#last?.envelope?.idPart === part
        ? this.#last
        : [...this.#sessions].find(({ envelope }) => envelope?.idPart === part);
    if (session === undefined) return;
    this.#last = session;
    session.receiveResponse(head, idWord(id, ID_PART), idWord(id, ID_PART + 4), length);
  }

  unreadable(fault: MsrpError, remains: Remains | undefined): void {
    this.#exchange.log.warn(`msrp ${this.name}: unreadable ${remains?.method ?? 'frame'}: ${fault.message}`);
    this.#complain(fault, remains);
  }

  broken(fault: MsrpError, remains: Remains | undefined): void {
    this.#complain(fault, remains);
    this.fail('protocol', fault.message);
  }

  #complain(fault: MsrpError, remains: Remains | undefined): void {
    if (remains === undefined || !wantsAnswer(remains, fault.status)) return;
    this.answer(
      formatResponse(remains.transactionId, fault.status, fault.message, answerPath(remains), remains.toPath),
    );
  }

  // ---- whose request it is (RFC 4975 §5.4, §7.3) ----

  #route(head: RequestHead): Session | undefined {
    const last = this.#last;
    if (last?.matches(head.toPath, head.fromPath) === true) return last;
    if (head.method === 'AUTH') {
      this.#authenticate(head);
      return undefined;
    }
    try {
      return this.#lookUp(head);
    } catch (fault) {
      if (!(fault instanceof MsrpError)) throw fault;
      this.#refuse(head, fault.status, fault.message);
      return undefined;
    }
  }

  /** Throws `MsrpError` when it is nobody's. */
  #lookUp(head: RequestHead): Session {
    const to = parseMsrpPath(head.toPath);
    const session = this.#exchange.find(to[0]);
    if (session === undefined || to.length > 1 || !names(to[0], session)) throw new MsrpError(481, 'no such session');
    if (session.line !== undefined && session.line !== this) throw new MsrpError(506, 'session in use');
    // RFC 4975 §6: `msrps` means that every octet was protected.
    if (session.localUri.scheme === 'msrps' && !this.flow.secure) throw new MsrpError(481, 'TLS is needed');
    if (session.line === undefined && this.#sessions.size >= this.#exchange.limits.maxSessionsPerConnection) {
      throw new MsrpError(403, 'too many sessions');
    }
    if (!session.admits(head)) throw new MsrpError(481, 'From-Path is not the one agreed on');
    if (session.line === undefined) {
      this.#join(session);
      session.bindBy(head, this);
    }
    this.#last = session;
    return session;
  }

  #refuse(head: RequestHead, status: StatusCode, comment?: string): void {
    this.#exchange.log.debug(`msrp ${this.name}: ${head.method} to ${head.toPath} refused: ${status} ${comment ?? ''}`);
    if (!wantsAnswer(head, status)) return;
    this.answer(formatResponse(head.transactionId, status, comment, answerPath(head), head.toPath));
  }

  #authenticate(head: RequestHead): void {
    const { auth } = this.#exchange;
    if (auth === undefined) {
      this.#refuse(head, 501);
      return;
    }
    let answered = false;
    const { toPath, fromPath, headers } = head;
    const respond = (status: StatusCode, more: AuthRequest['headers'] = []) => {
      if (answered || this.#state !== 'open') return;
      answered = true;
      this.answer(formatResponse(head.transactionId, status, undefined, fromPath, toPath, more));
    };
    auth({ toPath, fromPath, headers, respond }, this.flow.peer);
  }

  // ---- octets out ----

  answer(text: string): void {
    if (this.#state !== 'open') return;
    this.#answers.push(text);
    this.#answerBytes += text.length;
    if (this.#answerBytes > this.#exchange.limits.maxAnswerBytes) this.pause(this);
    this.#ask();
  }

  ready(session: Session): void {
    this.#ready.add(session);
    this.#ask();
  }

  #ask(): void {
    if (this.#asked || this.#blocked) return;
    this.#asked = true;
    this.#exchange.turn.ask(this);
  }

  speak(turn: Turn): void {
    this.#asked = false;
    if (this.#state === 'closed') return;
    // Somebody who is asked for octets has closed a session: not in the middle of another one's.
    if (turn.at > 0) return this.#ask();
    turn.prepare();
    const now = this.#exchange.now();
    const single = this.flow.framing === 'message';
    let clear = !this.#blocked;
    for (let writes = 0; clear;) {
      if (!single && writes === WRITES_PER_TURN) return this.#ask();
      const before = turn.at;
      const more = this.#step(turn, now, single);
      if (turn.at === before && !more) break;
      if (!single && turn.room >= TURN_RESERVE && turn.at > before) continue;
      clear = this.#flush(turn, now);
      writes++;
    }
    clear = this.#flush(turn, now);
    if (this.#state === 'ending' && clear) return this.flow.end();
    for (const session of this.#sessions) session.relieved();
  }

  /** Renders one more thing; false when there is nothing, or no room for it. */
  #step(turn: Turn, now: number, single: boolean): boolean {
    if (this.#open !== undefined) return this.#goOn(this.#open, turn, now, single);
    const answer = this.#answers[this.#answered];
    if (answer !== undefined) {
      if (turn.room < 3 * answer.length) return turn.at > 0;
      turn.text(answer);
      this.#answers[this.#answered++] = '';
      this.#answerBytes -= answer.length;
      if (this.#answered === this.#answers.length) this.#noAnswers();
      return true;
    }
    const [session] = this.#ready;
    if (session === undefined) return false;
    this.#ready.delete(session);
    this.#write(session, turn, now, single);
    return true;
  }

  /** Answers written of `#answers`. */
  #answered = 0;

  #noAnswers(): void {
    this.#answers = [];
    this.#answered = 0;
    this.resume(this);
  }

  #write(session: Session, turn: Turn, now: number, single: boolean): void {
    if (!session.mayWrite) return;
    session.writeSmall(turn, now, single ? 1 : SMALL_BUDGET);
    const small = turn.at > 0 && single;
    const sending = session.outbox.nextSending();
    if (!small && sending !== undefined && !session.transactions.full) {
      this.#writePiece(session, sending, turn, now, single);
    }
    if (session.outbox.ready && !session.transactions.full) this.#ready.add(session);
  }

  #writePiece(session: Session, sending: Sending, turn: Turn, now: number, single: boolean): void {
    const { envelope } = session;
    if (envelope === undefined) return;
    const ended = sending.write(turn, envelope, PIECE_BUDGET);
    if (ended !== undefined) session.awaitResponse(ended, now);
    this.#open = sending.open ? { session, sending } : undefined;
    // RFC 7977 §5.1: one chunk per WebSocket message, and no chunk in two.
    if (single && sending.open) this.#interrupt(session, sending, turn, now);
    if (sending.over) session.outbox.drop(sending);
  }

  #interrupt(session: Session, sending: Sending, turn: Turn, now: number): void {
    const ended = sending.interrupt(turn);
    if (ended !== undefined) session.awaitResponse(ended, now);
    session.outbox.putBack(sending);
    this.#open = undefined;
    if (session.outbox.ready) this.#ready.add(session);
  }

  /** A chunk is open: interrupt it when others wait (RFC 4975 §7.1.1), else go on with it. */
  #goOn(open: { session: Session; sending: Sending }, turn: Turn, now: number, single: boolean): boolean {
    const { session, sending } = open;
    const othersWait =
      this.#answers.length > 0 ||
      session.outbox.hasSmall ||
      this.#ready.size > (this.#ready.has(session) ? 1 : 0) ||
      session.outbox.othersReady(sending);
    if (othersWait && sending.interruptible) {
      this.#interrupt(session, sending, turn, now);
      return true;
    }
    if (!sending.ready) return false;
    this.#ready.delete(session);
    // Deviation: a peer that cannot put chunks together gets its message unbroken, and so all others on this
    // connection wait, although RFC 4975 §7.1.1 wants it interrupted for responses.
    const before = turn.at;
    this.#writePiece(session, sending, turn, now, single);
    if (session.outbox.ready) this.#ready.add(session);
    return turn.at > before;
  }

  /** Hands over what was rendered; false when no more may be. */
  #flush(turn: Turn, now: number): boolean {
    if (turn.at === 0) return !this.#blocked;
    const rendered = turn.take();
    const { flow } = this;
    if (flow.write(flow.keepsBytes ? rendered.slice() : rendered)) return true;
    if (!flow.keepsBytes) this.#lent = turn.lend();
    this.#blocked = true;
    this.#blockedAt = now;
    return false;
  }

  drained(): void {
    if (!this.#blocked) return;
    this.#blocked = false;
    if (this.#lent !== undefined) this.#exchange.turn.giveBack(this.#lent);
    this.#lent = undefined;
    this.#drainedAt = this.#exchange.now();
    if (this.#answers.length > 0 || this.#ready.size > 0 || this.#open !== undefined || this.#state === 'ending') {
      this.#ask();
    }
  }

  // ---- the end ----

  /** What is written goes out, then it is closed. */
  finish(): void {
    if (this.#state !== 'open') return;
    this.#state = 'ending';
    this.#endingSince = this.#exchange.now();
    this.#framer.stop();
    this.#ask();
  }

  /** The peer's fault: what was answered goes out, then it is closed. */
  fail(reason: CloseReason, detail: string): void {
    if (this.#state === 'closed') return;
    this.#exchange.log.warn(`msrp ${this.name}: closed: ${reason}: ${detail}`);
    this.#state = 'ending';
    this.#endingSince = this.#exchange.now();
    this.#framer.stop();
    for (const session of [...this.#sessions]) session.end(reason, detail);
    this.speak(this.#exchange.turn);
    if (this.#blocked) this.flow.destroy();
  }

  /** The peer will say no more: what has been answered goes out. */
  ended(): void {
    if (this.#state === 'closed') return;
    this.speak(this.#exchange.turn);
    this.flow.end();
    this.closed('ended by the peer');
  }

  closed(reason: string): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#framer.stop();
    this.#exchange.closed(this);
    for (const session of [...this.#sessions]) session.end('disconnected', reason);
  }

  /** Looks for what has taken too long. */
  sweep(now: number): void {
    const { unboundTimeout, idleTimeout, stallTimeout } = this.#exchange.limits;
    if (this.#blocked && now - this.#blockedAt >= stallTimeout) {
      this.fail('stalled', 'the peer takes nothing');
      this.flow.destroy();
    } else if (this.#state === 'ending' && now - this.#endingSince >= LINGER) {
      this.flow.destroy();
    } else if (this.#sessions.size === 0 && now - this.#vacantSince >= unboundTimeout) {
      this.fail('unbound', 'no session in time');
    } else if (idleTimeout > 0 && now - this.#heardAt >= idleTimeout) {
      this.fail('disconnected', 'nothing heard for too long');
    }
  }
}

/** Room below which what was rendered is handed over before more is. */
const TURN_RESERVE = 48 * 1024;

function names(uri: MsrpUri, session: Session): boolean {
  return session.matchBySessionId || sameMsrpUri(uri, session.localUri);
}
