import { ownText } from '../../msrp/index.ts';

/** When texts from one peer count as given back. */
export interface LoopLimits {
  /** How long a text sent to the peer is remembered, in ms. */
  readonly memory: number;
  /** Texts remembered. */
  readonly texts: number;
  /** Characters by which a text is known again: its last ones. */
  readonly known: number;
}

const DEFAULT_LOOP_LIMITS: LoopLimits = { memory: 60_000, texts: 32, known: 1_024 };

/**
 * Knows texts again that a peer gives back as it was sent them, with the name of who said them: another room. That cannot
 * be anybody's own text, so the first one tells; what all clients may do without knowing is for the room to notice.
 */
export class LoopGuard {
  readonly #limits: LoopLimits;
  #sent: { readonly text: string; readonly at: number }[] = [];

  constructor(limits: Partial<LoopLimits> = {}) {
    this.#limits = { ...DEFAULT_LOOP_LIMITS, ...limits };
  }

  /** A text goes to the peer, as it will read it. */
  sent(text: string, now: number): void {
    const { known } = this.#limits;
    const trimmed = text.trim();
    this.#sent.push({ text: trimmed.length > known ? ownText(trimmed.slice(-known)) : trimmed, at: now });
    if (this.#sent.length > this.#limits.texts) this.#sent.shift();
  }

  /** Whether a text from the peer is one that it was sent. */
  givesBack(text: string, now: number): boolean {
    const trimmed = text.trim();
    this.#sent = this.#sent.filter(({ at }) => now - at <= this.#limits.memory);
    // Another room puts a name before it.
    return this.#sent.some((sent) => sent.text !== '' && trimmed.endsWith(sent.text));
  }
}
