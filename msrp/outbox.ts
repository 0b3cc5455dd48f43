import type { Envelope } from './envelope.ts';
import { SEND_PLACE } from './envelope.ts';
import type { MessageId } from './message.ts';
import type { Outgoing, StreamOptions, StreamSource } from './outgoing.ts';
import { OPEN_PLACE, type PreparedMessage } from './prepare.ts';
import { Sending, sourceOf, type Chunk, type SendingOwner } from './sending.ts';
import type { Pending, Transactions } from './transactions.ts';
import type { Turn } from './turn.ts';

const FIRST_SIZE = 8;

/**
 * What one session has to send and has not sent: small messages in a ring, and messages that go piece by piece. Each is
 * begun in the order in which it was queued, except one whose source has nothing yet. Bounded in octets. What is in it
 * has not been rendered, so any of it can still be taken back.
 */
export class Outbox {
  readonly #owner: SendingOwner;
  readonly maxBytes: number;
  /** While so many streams are under way, no further one has a place: its octets are not counted. */
  readonly #maxStreams: number;
  /** Octets of one chunk of what is queued from now on. */
  maxChunkBytes: number | 'unbroken' = Infinity;
  #ring: (PreparedMessage | undefined)[] = [];
  #first = 0;
  #next = 0;
  readonly #sendings: Sending[] = [];
  /** How many of them are streams. */
  #streams = 0;
  /** Octets of messages that wait, wholly or in part. */
  #bytes = 0;
  /** What it has been found full of, since there was room again. */
  readonly #fullOf = { octets: false, streams: false };

  constructor(owner: SendingOwner, maxBytes: number, maxStreams: number) {
    this.#owner = owner;
    this.maxBytes = maxBytes;
    this.#maxStreams = maxStreams;
  }

  /** Octets of messages that wait, wholly or in part. */
  get bytes(): number {
    return this.#bytes;
  }

  /** It has been found full of octets, and is not half empty yet. */
  get isFull(): boolean {
    return this.#fullOf.octets;
  }

  /** How many messages wait, wholly or in part, with those that were taken back and would be next to go. */
  get size(): number {
    return this.#next - this.#first + this.#sendings.length;
  }

  /** Whether a small message waits. */
  get hasSmall(): boolean {
    return this.#first < this.#next;
  }

  /** Whether there is something to write at once. */
  get ready(): boolean {
    return this.hasSmall || this.#sendings.some((sending) => sending.ready);
  }

  /** Whether it is within the bound. */
  hasRoomFor(message: PreparedMessage): boolean {
    // What is larger than the bound would never be sent to anybody, however fast he reads.
    return this.#bytes === 0 || this.#bytes + (message.tail?.length ?? message.size) <= this.maxBytes;
  }

  /** One more was not taken. */
  overflows(of: 'octets' | 'streams'): void {
    this.#fullOf[of] = true;
  }

  /** Queues a message. */
  add(message: PreparedMessage): void {
    if (message.tail === undefined) {
      const { messageId, failureReport, outcomes } = message;
      const options = { messageId, contentType: '', failureReport, outcomes, total: message.size };
      this.#queue(new Sending(options, sourceOf(message.body), this.#owner, this.maxChunkBytes, message));
      return;
    }
    if (this.#next - this.#first === this.#ring.length) this.#grow();
    this.#ring[this.#next++ & (this.#ring.length - 1)] = message;
    this.#bytes += message.tail.length;
  }

  /** Whether one more stream is within the bound. */
  get hasRoomForStream(): boolean {
    return this.#streams < this.#maxStreams;
  }

  /** Queues a message that comes piece by piece. */
  addStream(options: StreamOptions, source: StreamSource): Sending {
    return this.#queue(new Sending(options, source, this.#owner, this.maxChunkBytes));
  }

  #queue(sending: Sending): Sending {
    sending.behind = this.#next;
    this.#sendings.push(sending);
    this.#bytes += sending.unsent;
    if (sending.message === undefined) this.#streams++;
    return sending;
  }

  /** Up to where small messages may be written: what was queued behind a message that can begin waits for that. */
  get #smallEnd(): number {
    let end = this.#next;
    for (const sending of this.#sendings) {
      if (sending.behind < end && !sending.begun && sending.ready) end = sending.behind;
    }
    return end;
  }

  /** Whether there is room again for what there was none: it is half empty, or has a place for a stream; true once. */
  becameFree(): boolean {
    const full = this.#fullOf;
    const octets = full.octets && this.#bytes <= this.maxBytes / 2;
    const streams = full.streams && this.hasRoomForStream;
    if (octets) full.octets = false;
    if (streams) full.streams = false;
    return octets || streams;
  }

  /** Renders small messages as far as there is room, budget, and place among the transactions. */
  writeSmall(turn: Turn, envelope: Envelope, transactions: Transactions<Pending>, now: number, budget: number): void {
    const head = envelope.send;
    const until = turn.at + budget;
    const end = this.#sendings.length === 0 ? this.#next : this.#smallEnd;
    while (this.#first < end && turn.at < until && !transactions.full) {
      const place = this.#first & (this.#ring.length - 1);
      const message = this.#ring[place];
      this.#ring[place] = undefined;
      this.#first++;
      const tail = message?.tail;
      // Taken back.
      if (message === undefined || tail === undefined) continue;
      if (turn.room < head.length + tail.length) {
        this.#first--;
        this.#ring[place] = message;
        return;
      }
      this.#bytes -= tail.length;
      turn.view.setInt32(render(turn, head) + SEND_PLACE, message.idHigh);
      turn.view.setInt32(turn.at - head.length + SEND_PLACE + 4, message.idLow);
      render(turn, tail);
      turn.view.setInt32(turn.at - OPEN_PLACE, envelope.idHigh);
      turn.view.setInt32(turn.at - OPEN_PLACE + 4, envelope.idLow);
      if (message.failureReport !== 'no') transactions.push(message, now);
    }
  }

  /**
   * The message whose piece is to be written next; the same until it is over, asleep, or put back, or small messages wait
   * for another to begin.
   */
  nextSending(): Sending | undefined {
    if (this.#sendings.length === 0) return undefined;
    const first = this.#first;
    const isDue = (sending: Sending) => sending.ready && (sending.begun || sending.behind <= first);
    const isFresh = (sending: Sending) => !sending.begun && isDue(sending);
    return (this.hasSmall ? this.#sendings.find(isFresh) : undefined) ?? this.#sendings.find(isDue);
  }

  /** So many octets more of those that wait have been written. */
  wrote(octets: number): void {
    this.#bytes -= octets;
  }

  /** Whether a message other than this one could go on piece by piece. */
  othersReady(sending: Sending): boolean {
    return this.#sendings.some((other) => other !== sending && other.ready);
  }

  /** Lets the others go first from now on. */
  putBack(sending: Sending): void {
    const at = this.#sendings.indexOf(sending);
    if (at < 0 || this.#sendings.length === 1) return;
    this.#sendings.splice(at, 1);
    this.#sendings.push(sending);
  }

  /** It is over: nothing more of it will be written. */
  drop(sending: Sending): void {
    const at = this.#sendings.indexOf(sending);
    if (at < 0) return;
    this.#sendings.splice(at, 1);
    this.#bytes -= sending.unsent;
    if (sending.message === undefined) this.#streams--;
  }

  /** Whether a message waits, wholly or in part. */
  has(isIt: (messageId: MessageId) => boolean): boolean {
    return this.#ring.some((message) => message !== undefined && isIt(message.messageId)) || this.isInPieces(isIt);
  }

  /** Whether a message goes piece by piece, or will. */
  isInPieces(isIt: (messageId: MessageId) => boolean): boolean {
    return this.#sendings.some((sending) => isIt(sending.messageId));
  }

  /** Takes a message back. `begun`: octets of it have gone out, so it must be ended on the wire. */
  cancel(message: Outgoing): 'dropped' | 'begun' | 'absent' {
    const sending = this.#sendings.find((other) => other === message || other.message === message);
    if (sending !== undefined) {
      if (sending.begun) {
        sending.abort();
        return 'begun';
      }
      this.drop(sending);
      return 'dropped';
    }
    const mask = this.#ring.length - 1;
    for (let at = this.#first; at < this.#next; at++) {
      const waiting = this.#ring[at & mask];
      if (waiting === undefined || waiting !== message) continue;
      this.#ring[at & mask] = undefined;
      this.#bytes -= waiting.tail?.length ?? 0;
      return 'dropped';
    }
    return 'absent';
  }

  /** Drops messages of which nothing has gone out, oldest first, until at most `downTo` octets wait. */
  thin(downTo: number, mayDrop: (message: PreparedMessage) => boolean): PreparedMessage[] {
    const dropped: PreparedMessage[] = [];
    const mask = this.#ring.length - 1;
    for (let at = this.#first; at < this.#next && this.bytes > downTo; at++) {
      const waiting = this.#ring[at & mask];
      if (waiting === undefined || !mayDrop(waiting)) continue;
      this.#ring[at & mask] = undefined;
      this.#bytes -= waiting.tail?.length ?? 0;
      dropped.push(waiting);
    }
    for (const sending of [...this.#sendings]) {
      const message = sending.message;
      if (this.bytes <= downTo || message === undefined || sending.begun || !mayDrop(message)) continue;
      this.drop(sending);
      dropped.push(message);
    }
    return dropped;
  }

  /** Takes all out. */
  drain(): (PreparedMessage | Sending)[] {
    const mask = this.#ring.length - 1;
    const rest: (PreparedMessage | Sending)[] = [];
    for (; this.#first < this.#next; this.#first++) {
      const message = this.#ring[this.#first & mask];
      if (message !== undefined) rest.push(message);
    }
    rest.push(...this.#sendings.splice(0));
    this.#ring = [];
    this.#first = this.#next = this.#bytes = this.#streams = 0;
    return rest;
  }

  /** The chunk with this id, while it is open on the connection. */
  openChunk(idHigh: number, idLow: number): Chunk | undefined {
    const holds = ({ chunk }: Sending) => chunk?.idHigh === idHigh && chunk.idLow === idLow;
    return this.#sendings.find(holds)?.chunk;
  }

  /** The message this report or response is about, while it is under way piece by piece. */
  find(messageId: string): Sending | undefined {
    return this.#sendings.find((sending) => sending.messageId === messageId);
  }

  #grow(): void {
    const size = Math.max(FIRST_SIZE, 2 * this.#ring.length);
    const ring = new Array<PreparedMessage | undefined>(size).fill(undefined);
    for (let at = this.#first; at < this.#next; at++) ring[at & (size - 1)] = this.#ring[at & (this.#ring.length - 1)];
    this.#ring = ring;
  }
}

/** Gives where the octets were put. */
function render(turn: Turn, bytes: Uint8Array): number {
  const at = turn.at;
  turn.bytes.set(bytes, at);
  turn.at = at + bytes.length;
  return at;
}
