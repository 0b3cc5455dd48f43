import type { Incoming, MessageOpening, MessageSink, Refusal as MsrpRefusal } from '../../msrp/index.ts';
import { messageId, type StreamId } from '../conference/ids.ts';
import type { Posting } from './post.ts';
import { type ChatRefusal, msrpStatusOf, reasonOf } from './refusals.ts';
import { SharedStream, type StreamSender } from './shared-stream.ts';
import type { Speaker } from './speaker.ts';
import type { StreamVerdict, Streams } from './streams.ts';

/** What a large posting is made with. */
export interface LargePostingParts {
  readonly streams: Streams;
  /** Octets of a message at most. */
  readonly maximum: number;
  readonly speaker: Speaker;
  readonly opening: MessageOpening;
  /** Its sender's session. */
  readonly sender: StreamSender;
  /** Milliseconds for which one reader may hold up the others. */
  readonly patience: number;
  /** Octets up to which a message is collected. */
  readonly collected: number;
  /** Runs what judges the sender, now or when the room has taken him in. */
  readonly whenAdmitted: (act: () => void) => void;
  /** A message that turns out to be small enough. */
  readonly post: (message: Incoming, body: Uint8Array) => void;
}

type State =
  /** Too little has come to know whether it is large. */
  | { readonly is: 'gathering' }
  /** Its pieces go through the room. */
  | { readonly is: 'streaming'; readonly id: StreamId }
  /** It has been sent before: its octets are nobody's. */
  | { readonly is: 'repeated' }
  | { readonly is: 'refused'; readonly refusal: MsrpRefusal }
  | { readonly is: 'over' };

/**
 * What somebody sends that may be too large to be collected (RFC 7701 §6.1): gathered until that is known, and then passed
 * on as it comes.
 */
export class LargePosting implements MessageSink {
  readonly #parts: LargePostingParts;
  readonly #stream: SharedStream;
  #state: State = { is: 'gathering' };
  #gathered: Uint8Array[] = [];
  #size = 0;
  #asked = false;
  #incoming: Incoming | undefined;
  #verdict: StreamVerdict | undefined;

  constructor(parts: LargePostingParts) {
    this.#parts = parts;
    this.#stream = new SharedStream(parts.sender, { patience: parts.patience });
  }

  write(piece: Uint8Array): MsrpRefusal | undefined {
    this.#size += piece.length;
    const { maximum, collected, whenAdmitted } = this.#parts;
    if (this.#state.is === 'refused') return this.#state.refusal;
    if (this.#size > maximum) return this.#refuse(msrpRefusal({ refused: 'too-large', maximum }));
    if (this.#state.is === 'streaming') this.#stream.append(piece);
    if (this.#stream.overrun) return this.#refuse({ status: 413, comment: 'faster than it can be passed on' });
    if (this.#state.is !== 'gathering') return undefined;
    this.#gathered.push(new Uint8Array(piece));
    if (this.#size <= collected || this.#asked) return undefined;
    this.#asked = true;
    whenAdmitted(() => this.#open());
    return this.#refusal();
  }

  #refusal(): MsrpRefusal | undefined {
    return this.#state.is === 'refused' ? this.#state.refusal : undefined;
  }

  end(incoming: Incoming): void {
    this.#incoming = incoming;
    const { whenAdmitted, post, streams } = this.#parts;
    if (this.#state.is === 'gathering' && !this.#asked) {
      this.#state = { is: 'over' };
      this.#stream.abort();
      post(incoming, this.#takeGathered());
      return;
    }
    whenAdmitted(() => {
      if (this.#state.is === 'streaming') streams.close(this.#state.id, this.#size);
      this.#answer();
    });
  }

  abort(reason: string): void {
    const state = this.#state;
    this.#state = { is: 'over' };
    if (state.is === 'streaming') this.#parts.streams.abort(state.id, reason);
    else this.#stream.abort();
  }

  #open(): void {
    if (this.#state.is !== 'gathering') return;
    const { streams, speaker, opening } = this.#parts;
    const body = this.#takeGathered();
    const posting: Posting = { messageId: messageId(opening.messageId), contentType: opening.contentType, body };
    this.#stream.append(body);
    const opened = streams.open(speaker, posting, opening.total, this.#stream, (verdict) => this.#settled(verdict));
    if (opened === 'repeated') this.#state = { is: 'repeated' };
    else if (typeof opened === 'string') this.#state = { is: 'streaming', id: opened };
    else this.#refuse(msrpRefusal(opened));
  }

  /** What became of it, or of the first one with its id; before or after its end. */
  #settled(verdict: StreamVerdict): void {
    this.#verdict = verdict;
    if (typeof verdict === 'object' && this.#state.is !== 'over') this.#refuse(msrpRefusal(verdict));
    this.#answer();
  }

  #answer(): void {
    const verdict = this.#verdict;
    if (this.#incoming === undefined) return;
    if (this.#state.is === 'refused') this.#incoming.respond(this.#state.refusal.status, this.#state.refusal.comment);
    else if (typeof verdict === 'number') this.#incoming.respond(200);
  }

  #refuse(refusal: MsrpRefusal): MsrpRefusal {
    const state = this.#state;
    this.#state = { is: 'refused', refusal };
    this.#gathered = [];
    if (state.is === 'streaming') this.#parts.streams.abort(state.id, refusal.comment ?? 'refused');
    else this.#stream.abort();
    return refusal;
  }

  #takeGathered(): Uint8Array {
    const whole = Buffer.concat(this.#gathered);
    this.#gathered = [];
    return new Uint8Array(whole);
  }
}

function msrpRefusal(refusal: ChatRefusal): MsrpRefusal {
  return { status: msrpStatusOf(refusal), comment: reasonOf(refusal) };
}
