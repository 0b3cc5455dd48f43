import { parseCpim } from '../../msrp/index.ts';
import type { Opened } from '../conference/events.ts';
import type { EndpointId, EventNumber, StreamId } from '../conference/ids.ts';
import type { Append, Logged } from '../log/room-log.ts';
import { type Duplicates, fingerprintOf, type FirstSending } from './duplicates.ts';
import { fileNameOf } from './file-name.ts';
import { formatNote, LargeCopy, newStreamId } from './large-copy.ts';
import type { Message, Posting } from './post.ts';
import { type ChatRefusal, reasonOf } from './refusals.ts';
import { saidOf } from './said.ts';
import type { SharedStream } from './shared-stream.ts';
import type { Speaker } from './speaker.ts';

/** What became of a large message. */
export type StreamVerdict = EventNumber | ChatRefusal;

/** What the streams of a room need of it. */
export interface StreamsParts {
  /** Reads and judges a posting of that many octets. */
  readonly judge: (speaker: Speaker, posting: Posting, size: number) => Message | ChatRefusal;
  readonly duplicates: Duplicates;
  readonly append: Append;
  /** Gives a large message to those who may have it. */
  readonly fanOut: (copy: LargeCopy, stream: SharedStream | undefined) => void;
  /** The rest of one does not come: it was given up, or its end could not be kept. */
  readonly aborted: (id: StreamId) => void;
  /** The same of one that others were told of, by the line that stands for it and no more: so they do not see it. */
  readonly abortedFor: (told: Iterable<EndpointId>, copy: LargeCopy, reason: string) => void;
  readonly now: () => number;
}

/** A large message under way. */
interface UnderWay {
  readonly stream: SharedStream;
  readonly first: FirstSending;
  /** Its number, once the log has kept its beginning. */
  n: EventNumber | undefined;
  /** All of it has come. */
  ended: boolean;
  /** Those of the room who have been sent the line that stands for it, and none of its octets. */
  readonly told: Set<EndpointId>;
  /** That line, once it has been sent to somebody. */
  copy: LargeCopy | undefined;
}

/**
 * The large messages that go through a room (RFC 7701 §6.1, fast forwarding). That one has begun, and how it ended, goes
 * through the log, which gives it its place among all that is said; its octets do not, so the answers to its chunks promise
 * that they are passed on, and no more.
 */
export class Streams {
  readonly #parts: StreamsParts;
  readonly #underWay = new Map<StreamId, UnderWay>();

  constructor(parts: StreamsParts) {
    this.#parts = parts;
  }

  /**
   * Somebody begins one. `posting` has its first octets, at least all headers; `size` is what its sender says that it will
   * have. `settled` hears once what became of it, or of the first one with its id if it is `repeated`.
   */
  open(
    speaker: Speaker,
    posting: Posting,
    size: number | undefined,
    stream: SharedStream,
    settled: (verdict: StreamVerdict) => void,
  ): StreamId | 'repeated' | ChatRefusal {
    const { judge, duplicates, append } = this.#parts;
    const fingerprint = fingerprintOf(beginningOf(posting.body));
    this.#giveUpFor(duplicates.known(speaker.user, posting.messageId, { fingerprint }));
    const first = duplicates.begin(speaker.user, posting.messageId, { fingerprint }, settled);
    if (first === undefined) return 'repeated';
    const post = judge(speaker, posting, size ?? posting.body.length);
    if ('refused' in post) {
      duplicates.settle(first, post);
      return post;
    }
    const id = newStreamId();
    const underWay: UnderWay = { stream, first, n: undefined, ended: false, told: new Set(), copy: undefined };
    this.#underWay.set(id, underWay);
    append(this.#opened(id, speaker, posting, post, size, fingerprint), (outcome) => {
      if (typeof outcome === 'number') underWay.n = outcome;
      else this.#fail(id, outcome);
    });
    return id;
  }

  /**
   * Who begins the same again before all of it has come has lost the connection it came by, perhaps before anybody here
   * knows: nobody waits for the rest.
   */
  #giveUpFor(known: FirstSending | undefined): void {
    if (known === undefined) return;
    for (const { first, ended } of this.#underWay.values()) {
      if (first === known && !ended) this.#parts.duplicates.settle(first, SENT_AGAIN);
    }
  }

  #opened(
    id: StreamId,
    speaker: Speaker,
    posting: Posting,
    post: Message,
    size: number | undefined,
    fingerprint: string,
  ): Opened {
    const now = this.#parts.now();
    const fileName = fileNameOf(post.cpim);
    return {
      ...saidOf(speaker, posting, post, now),
      type: 'opened',
      stream: id,
      fingerprint,
      cpim: formatNote(post.cpim, size, now),
      ...(size === undefined ? {} : { size }),
      ...(fileName === undefined ? {} : { fileName }),
    };
  }

  /** All of it has come. */
  close(id: StreamId, size: number): void {
    const underWay = this.#underWay.get(id);
    if (underWay === undefined) return;
    underWay.ended = true;
    this.#parts.append({ type: 'closed', at: this.#parts.now(), stream: id, size }, (outcome) => {
      if (typeof outcome !== 'number') this.#fail(id, outcome);
      else this.#parts.duplicates.settle(underWay.first, underWay.n ?? outcome);
    });
  }

  /** The rest of it will not come. */
  abort(id: StreamId, reason: string): void {
    if (!this.#underWay.has(id)) return;
    this.#parts.append({ type: 'aborted', at: this.#parts.now(), stream: id, reason }, (outcome) => {
      this.#fail(id, typeof outcome === 'number' ? { refused: 'not-kept', reason } : outcome);
    });
  }

  /** The message of that number was taken back: what is still to come of it is wanted no more. */
  takeBack(n: EventNumber): void {
    for (const [id, underWay] of this.#underWay) if (underWay.n === n && !underWay.ended) this.abort(id, 'taken back');
  }

  /** An endpoint is sent the line that stands for a large message, which may be under way still. */
  noteTold(copy: LargeCopy, endpoint: EndpointId): void {
    const underWay = this.#underWay.get(copy.opened.stream);
    underWay?.told.add(endpoint);
    if (underWay !== undefined) underWay.copy ??= copy;
  }

  #fail(id: StreamId, refusal: ChatRefusal): void {
    const underWay = this.#underWay.get(id);
    if (underWay === undefined) return;
    this.#aborted(id, reasonOf(refusal));
    this.#underWay.delete(id);
    this.#parts.duplicates.settle(underWay.first, refusal);
  }

  #aborted(id: StreamId, reason: string): void {
    this.#parts.aborted(id);
    const underWay = this.#underWay.get(id);
    if (underWay === undefined) return;
    const { stream, told, copy } = underWay;
    stream.abort();
    if (copy !== undefined) this.#parts.abortedFor(told, copy, reason);
    // This is heard of twice: from the log, and as the outcome of what was appended to it.
    told.clear();
  }

  /** From the log. */
  hear({ n, event }: Logged): void {
    if (event.type === 'opened') {
      const stream = this.#underWay.get(event.stream)?.stream;
      this.#parts.fanOut(new LargeCopy(event, n), stream);
      stream?.start();
    } else if (event.type === 'closed') {
      this.#underWay.get(event.stream)?.stream.complete();
      this.#underWay.delete(event.stream);
    } else if (event.type === 'aborted') {
      this.#aborted(event.stream, event.reason);
    } else if (event.type === 'left') {
      for (const { told } of this.#underWay.values()) told.delete(event.endpoint);
    }
  }
}

const SENT_AGAIN: ChatRefusal = { refused: 'not-kept', reason: 'its sender has begun it again' };

/** What a large message says first, as far as it is known: behind its headers, when these can be read. */
function beginningOf(body: Uint8Array): { readonly beginning: Uint8Array } {
  try {
    return { beginning: parseCpim(body).content };
  } catch {
    // It will be refused, whatever it is.
    return { beginning: body };
  }
}
