import { answerPath, answeredBy, formatResponse, wantsAnswer } from './encode.ts';
import { shownCertificate } from './certificate.ts';
import type { CloseReason } from './contract.ts';
import type { Remains } from './decode.ts';
import { MsrpError } from './errors.ts';
import { Framer, type FrameHandlers } from './framer.ts';
import { ID_PART, idWord } from './ids.ts';
import type { AuthRequest } from './incoming.ts';
import type { EndpointLimits } from './limits.ts';
import type { Log } from './log.ts';
import type { ContinuationFlag, RequestHead, ResponseHead } from './message.ts';
import type { Inflow } from './receiver.ts';
import type { Line, Session } from './session.ts';
import type { StatusCode } from './status.ts';
import type { Flow, FlowHandlers, PeerAddress } from './transport/flow.ts';
import type { Turn } from './turn.ts';
import { parseMsrpPath, sameMsrpUri, type MsrpUri } from './uri.ts';
import { Writer, type WriterHost } from './writer.ts';

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

/** Milliseconds that a connection we have ended waits for the peer to end it too. */
const LINGER = 5000;

/** One flow: octets in, sessions to find, octets out; several sessions may share it (RFC 4975 §5.4). */
export class Connection implements Line, WriterHost, FrameHandlers, FlowHandlers {
  readonly flow: Flow;
  /** It came in, rather than being dialled. */
  readonly accepted: boolean;
  readonly #exchange: Exchange;
  readonly #framer: Framer;
  readonly #writer: Writer;
  readonly #sessions = new Set<Session>();
  /** The session of the last request or response: most likely that of the next, too. */
  #last: Session | undefined;
  /** The chunk that is arriving in pieces; undefined within one that nobody takes. */
  #inflow: Inflow | undefined;
  /** Whose it is. */
  #inflowTo: Session | undefined;
  #state: 'open' | 'ending' | 'closed' = 'open';
  #heardAt: number;
  /** Since when no session is bound to it. */
  #vacantSince: number;
  /** Frames that could not be read. */
  #faults = 0;
  #endingSince = 0;
  /** Who wants reading stopped. */
  readonly #pausers = new Set<object>();

  constructor(flow: Flow, accepted: boolean, exchange: Exchange) {
    this.flow = flow;
    this.accepted = accepted;
    this.#exchange = exchange;
    this.#framer = new Framer(exchange.limits, this);
    this.#writer = new Writer(flow, exchange.turn, this);
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
    const clean = this.#state !== 'open' || this.#writer.leave(session);
    this.resume(session);
    if (this.#last === session) this.#last = undefined;
    this.#sessions.delete(session);
    if (this.#inflowTo === session) this.#inflow = undefined;
    // A chunk that cannot be ended makes all that would follow it a part of its body.
    if (!clean) return this.fail('stalled', 'a session closed within a chunk that the peer does not take');
    if (this.#sessions.size > 0 || this.#state === 'closed') return;
    this.#vacantSince = this.#exchange.now();
    this.#exchange.occupied(this, false);
    // RFC 4975 §5.4: not closed while there are sessions; without any there is no use for it.
    this.finish();
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
    try {
      this.#framer.receive(bytes);
    } catch (bug) {
      // What came behind it has not been read, and nobody would ever notice.
      this.#framer.stop();
      this.flow.destroy();
      throw bug;
    }
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
    this.#inflowTo = this.#route(head);
    this.#inflow = this.#inflowTo?.receiver.begin(head);
  }

  piece(bytes: Uint8Array): void {
    this.#inflow?.write(bytes);
  }

  end(flag: ContinuationFlag): void {
    const inflow = this.#inflow;
    this.#inflow = this.#inflowTo = undefined;
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
    if (++this.#faults > this.#exchange.limits.maxFaults) this.fail('protocol', 'too much that cannot be read');
  }

  broken(fault: MsrpError, remains: Remains | undefined): void {
    this.#complain(fault, remains);
    this.fail('protocol', fault.message);
  }

  #complain(fault: MsrpError, remains: Remains | undefined): void {
    if (remains === undefined || !wantsAnswer(remains, fault.status)) return;
    this.answer(
      formatResponse(remains.transactionId, fault.status, fault.message, answerPath(remains), answeredBy(remains)),
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
      return this.#bind(this.#lookUp(head), head);
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
    return session;
  }

  #bind(session: Session, head: RequestHead): Session | undefined {
    if (session.line === undefined) {
      if (this.#isAnothers(session)) {
        this.#refuse(head, 481, ANOTHERS);
        this.fail('protocol', ANOTHERS);
        return undefined;
      }
      this.#join(session);
      session.bindBy(head, this);
    }
    this.#last = session;
    return session;
  }

  prove(session: Session): void {
    if (this.#isAnothers(session)) this.fail('protocol', ANOTHERS);
  }

  #isAnothers({ fingerprints = [] }: Session): boolean {
    // Deviation: RFC 8122 §6.2 wants a connection without a certificate ended, too. Clients that show none are common,
    // and they know the path, which nobody else was told.
    return fingerprints.length > 0 && shownCertificate(this.flow, fingerprints) === 'another';
  }

  #refuse(head: RequestHead, status: StatusCode, comment?: string): void {
    this.#exchange.log.debug(`msrp ${this.name}: ${head.method} to ${head.toPath} refused: ${status} ${comment ?? ''}`);
    if (!wantsAnswer(head, status)) return;
    this.answer(formatResponse(head.transactionId, status, comment, answerPath(head), answeredBy(head)));
  }

  #authenticate(head: RequestHead): void {
    const { auth } = this.#exchange;
    // One that goes on to another relay is not for us (RFC 4976 §6).
    if (auth === undefined || head.toPath.includes(' ')) {
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
    if (this.#state === 'open') this.#writer.answer(text);
  }

  ready(session: Session): void {
    this.#writer.ready(session);
  }

  flush(): void {
    this.#writer.flush();
  }

  awaitedFrom(sentAt: number): number {
    return this.#writer.awaitedFrom(sentAt);
  }

  drained(): void {
    this.#writer.drained();
  }

  now(): number {
    return this.#exchange.now();
  }

  answersWait(octets: number): void {
    const { maxAnswerBytes, maxHeadBytes } = this.#exchange.limits;
    // Nobody knows yet whose connection it is, and there may be many: it gets refusals only, and not many are needed.
    const most = this.#sessions.size > 0 ? maxAnswerBytes : Math.min(maxAnswerBytes, maxHeadBytes);
    if (octets > most) this.pause(this);
    else if (octets === 0) this.resume(this);
  }

  spoken(clear: boolean): void {
    if (this.#state === 'ending' && clear) return this.flow.end();
    for (const session of this.#sessions) session.relieved();
  }

  // ---- the end ----

  /** What is written goes out, then it is closed. */
  finish(): void {
    if (this.#state !== 'open') return;
    this.#end();
    this.#writer.ask();
  }

  /** The peer's fault: what was answered goes out, then it is closed. */
  fail(reason: CloseReason, detail: string): void {
    if (this.#state === 'closed') return;
    this.#exchange.log.warn(`msrp ${this.name}: closed: ${reason}: ${detail}`);
    this.#end();
    for (const session of [...this.#sessions]) session.end(reason, detail);
    this.#writer.speak(this.#exchange.turn);
    if (this.#writer.blockedSince !== undefined) this.flow.destroy();
  }

  #end(): void {
    this.#state = 'ending';
    this.#endingSince = this.#exchange.now();
    this.#framer.stop();
  }

  /** The peer will say no more: what has been answered goes out. */
  ended(): void {
    if (this.#state === 'closed') return;
    this.#writer.speak(this.#exchange.turn);
    this.flow.end();
    this.closed('ended by the peer');
  }

  closed(reason: string): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#framer.stop();
    this.#writer.stop();
    this.#exchange.closed(this);
    for (const session of [...this.#sessions]) session.end('disconnected', reason);
  }

  /** Looks for what has taken too long. */
  sweep(now: number): void {
    const { unboundTimeout, idleTimeout, stallTimeout } = this.#exchange.limits;
    if (now - (this.#writer.blockedSince ?? now) >= stallTimeout) {
      this.fail('stalled', 'the peer takes nothing');
    } else if (this.#state === 'ending') {
      if (now - this.#endingSince >= LINGER) this.flow.destroy();
    } else if (this.#sessions.size === 0 && now - this.#vacantSince >= unboundTimeout) {
      this.fail('unbound', 'no session in time');
    } else if (idleTimeout > 0 && now - this.#heardAt >= idleTimeout) {
      this.fail('disconnected', 'nothing heard for too long');
    }
  }
}

const ANOTHERS = 'the certificate is not the one announced';

function names(uri: MsrpUri, session: Session): boolean {
  return session.matchBySessionId || sameMsrpUri(uri, session.localUri);
}
