import { MsrpError, parseCpim, textOf } from '../../msrp/index.ts';
import type { Retracted, Said } from '../conference/events.ts';

/** Longest quotation, in characters. */
const LONGEST = 60;
/** What is larger than this is no line that people quote. */
const MAX_BYTES = 8192;

/**
 * What was said lately to everyone, by its imdn.Message-ID, so that a reply or a reaction can name what it is about to
 * peers that cannot look it up. Nothing is read before it is asked for.
 */
export class Quotes {
  readonly #said = new Map<string, Said>();
  readonly #window: number;

  /** @param window messages remembered; the oldest is forgotten first */
  constructor(window = 500) {
    this.#window = window;
  }

  /** Remembers a message that everyone could hear. */
  note(said: Said): void {
    if (said.imdnId === undefined || said.audience.to !== 'everyone' || said.cpim.length > MAX_BYTES) return;
    this.#said.delete(said.imdnId);
    this.#said.set(said.imdnId, said);
    for (const oldest of this.#said.keys()) {
      if (this.#said.size <= this.#window) break;
      this.#said.delete(oldest);
    }
  }

  /** What was taken back is not quoted. */
  forget({ author, messageId }: Retracted): void {
    for (const [id, said] of this.#said) {
      if (said.by === author && said.messageId === messageId) this.#said.delete(id);
    }
  }

  /** The beginning of a message, on one line; undefined for one that is forgotten or no text. */
  of(id: string): string | undefined {
    const said = this.#said.get(id);
    if (said === undefined) return undefined;
    try {
      const cpim = parseCpim(said.cpim);
      if (cpim.contentType.mediaType !== 'text/plain') return undefined;
      const line = textOf(cpim).trim().replace(/\s+/g, ' ');
      return line.length > LONGEST ? `${line.slice(0, LONGEST - 1)}…` : line;
    } catch (fault) {
      if (fault instanceof MsrpError) return undefined;
      throw fault;
    }
  }
}
