import type { Sending } from './sending.ts';
import type { Session } from './session.ts';
import type { Flow } from './transport/flow.ts';
import type { Speaker, Turn } from './turn.ts';

/** What a writer needs of its connection. */
export interface WriterHost {
  now(): number;
  /** Octets of answers wait to be written: more than a while ago, or none any more. */
  answersWait(octets: number): void;
  /** A turn is over; `clear`: nothing keeps from writing more. */
  spoken(clear: boolean): void;
}

/** Octets of small messages that a session may write before the next session's turn. */
const SMALL_BUDGET = 16 * 1024;
/** The same of a message that goes piece by piece. */
const PIECE_BUDGET = 64 * 1024;
/** Writes in one turn, so that a fast peer does not keep the others waiting. */
const WRITES_PER_TURN = 8;
/** Room below which what was rendered is handed over before more is. */
const RESERVE = 16 * 1024;

/** A chunk that has been begun and not ended: nothing else may be written. */
interface OpenChunk {
  readonly session: Session;
  readonly sending: Sending;
}

/**
 * The writing half of a connection: what is written in which order, gathered into one write per turn. Answers go before
 * messages, sessions take turns, and a chunk that is open is interrupted when others wait (RFC 4975 §7.1.1).
 */
export class Writer implements Speaker {
  readonly #flow: Flow;
  readonly #turn: Turn;
  readonly #host: WriterHost;
  /** RFC 7977 §5.1: one chunk per write. */
  readonly #single: boolean;
  #answers: string[] = [];
  /** How many of them have been written. */
  #answered = 0;
  #answerBytes = 0;
  /** Sessions that have something to write, in the order of their turns. */
  readonly #ready = new Set<Session>();
  #open: OpenChunk | undefined;
  #asked = false;
  #blocked = false;
  /** When the last write was left untaken, and when it was taken at last. */
  #blockedAt = -1;
  #drainedAt = 0;
  /** The memory of the last write, which the flow keeps until it is drained. */
  #lent: Uint8Array | undefined;

  constructor(flow: Flow, turn: Turn, host: WriterHost) {
    this.#flow = flow;
    this.#turn = turn;
    this.#host = host;
    this.#single = flow.framing === 'message';
  }

  /** Since when the peer has taken nothing of what was written; undefined when nothing waits for it. */
  get blockedSince(): number | undefined {
    return this.#blocked ? this.#blockedAt : undefined;
  }

  /** From when a response to what was handed over at `sentAt` can be awaited: when the system took it. */
  awaitedFrom(sentAt: number): number {
    if (this.#blocked && sentAt >= this.#blockedAt) return Infinity;
    return sentAt >= this.#blockedAt && sentAt < this.#drainedAt ? this.#drainedAt : sentAt;
  }

  /** Queues a response or report. */
  answer(text: string): void {
    this.#answers.push(text);
    this.#answerBytes += text.length;
    this.#host.answersWait(this.#answerBytes);
    this.ask();
  }

  /** The session has something to write. */
  ready(session: Session): void {
    this.#ready.add(session);
    this.ask();
  }

  /**
   * The session is over. What it had queued still goes out, as far as the peer takes it now. False when a chunk of it
   * stays open, so that nothing more can be written.
   */
  leave(session: Session): boolean {
    if (this.#open?.session === session) this.#open.sending.giveUp({ kind: 'lost' });
    if (session.mayWrite && session.outbox.ready) this.#ready.add(session);
    this.speak(this.#turn);
    this.#ready.delete(session);
    return this.#open?.session !== session;
  }

  /** Writes at once, rather than when the turn ends; that there is room again is told then all the same. */
  flush(): void {
    if (this.#blocked || this.#turn.at > 0) return;
    this.#writeNow(this.#turn);
    this.ask();
  }

  /** Asks to be called when the turn ends. */
  ask(): void {
    if (this.#asked || this.#blocked) return;
    this.#asked = true;
    this.#turn.ask(this);
  }

  speak(turn: Turn): void {
    this.#asked = false;
    // Somebody who was asked for octets has closed a session: not in the middle of another one's.
    if (turn.at > 0) return this.ask();
    const clear = this.#writeNow(turn);
    if (clear === undefined) this.ask();
    else this.#host.spoken(clear);
  }

  /** As `#speak`, with an end to the connection when something throws. */
  #writeNow(turn: Turn): boolean | undefined {
    turn.prepare();
    try {
      return this.#speak(turn, this.#host.now());
    } catch (bug) {
      // Nobody knows how much of it the peer has: what would follow could be read as part of something else.
      turn.take();
      this.stop();
      this.#flow.destroy();
      throw bug;
    }
  }

  /** Writes what there is; false when the flow does not take it, undefined when there is more than one turn takes. */
  #speak(turn: Turn, now: number): boolean | undefined {
    let clear = !this.#blocked;
    for (let writes = 0; clear; writes++) {
      if (writes === WRITES_PER_TURN && !this.#single) return undefined;
      const more = this.#fill(turn, now);
      clear = this.#flush(turn, now);
      if (!more) break;
    }
    return clear;
  }

  /** Renders as much as one write takes; false when there is nothing more. */
  #fill(turn: Turn, now: number): boolean {
    for (;;) {
      const before = turn.at;
      if (!this.#step(turn, now)) return turn.at > before;
      if (turn.at === before ? turn.at > 0 : this.#single || turn.room < RESERVE) return true;
    }
  }

  /** Renders one more thing; false when there is none. */
  #step(turn: Turn, now: number): boolean {
    if (this.#open !== undefined) return this.#goOn(this.#open, turn, now);
    const answer = this.#answers[this.#answered];
    if (answer !== undefined) {
      this.#writeAnswer(answer, turn);
      return true;
    }
    const [session] = this.#ready;
    if (session === undefined) return false;
    this.#ready.delete(session);
    this.#write(session, turn, now);
    return true;
  }

  #writeAnswer(answer: string, turn: Turn): void {
    if (turn.room < 3 * answer.length) {
      if (turn.at > 0) return;
      // Larger than what is gathered for one write: nobody would ever find room for it.
      turn.grow(3 * answer.length);
    }
    turn.text(answer);
    this.#answers[this.#answered++] = '';
    this.#answerBytes -= answer.length;
    if (this.#answered < this.#answers.length) return;
    this.#answers = [];
    this.#answered = this.#answerBytes = 0;
    this.#host.answersWait(0);
  }

  #write(session: Session, turn: Turn, now: number): void {
    if (!session.mayWrite) return;
    const before = turn.at;
    session.writeSmall(turn, now, this.#single ? 1 : SMALL_BUDGET);
    const sending = session.outbox.nextSending();
    const alone = this.#single && turn.at > before;
    if (!alone && sending !== undefined && !session.transactions.full)
      this.#writePiece({ session, sending }, turn, now);
    if (session.outbox.ready && !session.transactions.full) this.#ready.add(session);
  }

  #writePiece(chunk: OpenChunk, turn: Turn, now: number): void {
    const { session, sending } = chunk;
    if (session.envelope === undefined) return;
    // One write is one chunk, so an unbroken one takes all its room at once.
    const unbroken = this.#single ? sending.roomUnbroken(session.envelope) : 0;
    if (unbroken > turn.room) turn.grow(unbroken);
    const waited = sending.unsent;
    const ended = sending.write(turn, session.envelope, Math.max(PIECE_BUDGET, unbroken));
    session.outbox.wrote(waited - sending.unsent);
    if (ended !== undefined) session.awaitResponse(ended, now);
    this.#open = sending.chunk === undefined ? undefined : chunk;
    if (sending.chunk !== undefined && this.#single) this.#interrupt(chunk, turn, now);
    if (sending.over) session.written(sending);
  }

  #interrupt({ session, sending }: OpenChunk, turn: Turn, now: number): void {
    const ended = sending.interrupt(turn);
    if (ended !== undefined) session.awaitResponse(ended, now);
    session.outbox.putBack(sending);
    this.#open = undefined;
    if (session.outbox.ready) this.#ready.add(session);
  }

  /** A chunk is open: interrupt it when others wait, else go on with it; false when it cannot go on. */
  #goOn(chunk: OpenChunk, turn: Turn, now: number): boolean {
    const { session, sending } = chunk;
    if (sending.interruptible && this.#othersWait(chunk)) {
      this.#interrupt(chunk, turn, now);
      return true;
    }
    if (!sending.ready) return false;
    this.#ready.delete(session);
    // Deviation: a peer that cannot put chunks together gets its message unbroken, and so all others on this
    // connection wait, although RFC 4975 §7.1.1 wants it interrupted for responses.
    this.#writePiece(chunk, turn, now);
    if (session.outbox.ready) this.#ready.add(session);
    return true;
  }

  #othersWait({ session, sending }: OpenChunk): boolean {
    if (this.#answers.length > 0 || session.outbox.hasSmall || session.outbox.othersReady(sending)) return true;
    return this.#ready.size > (this.#ready.has(session) ? 1 : 0);
  }

  /** Hands over what was rendered; false when no more may be. */
  #flush(turn: Turn, now: number): boolean {
    if (turn.at === 0) return !this.#blocked;
    const rendered = turn.take();
    const keeps = this.#flow.keepsBytes;
    if (this.#flow.write(keeps ? new Uint8Array(rendered) : rendered)) return true;
    if (!keeps) this.#lent = turn.lend();
    this.#blocked = true;
    this.#blockedAt = now;
    return false;
  }

  /** The flow has taken what it had kept. */
  drained(): void {
    if (!this.#blocked) return;
    this.#blocked = false;
    this.#drainedAt = this.#host.now();
    if (this.#lent !== undefined) this.#turn.giveBack(this.#lent);
    this.#lent = undefined;
    this.ask();
  }

  /** The flow is gone: nothing more is written. */
  stop(): void {
    this.#blocked = true;
    this.#answers = [];
    this.#answered = this.#answerBytes = 0;
    this.#ready.clear();
    this.#open = undefined;
  }
}
