/** When texts from one peer count as made by a machine that answers to ours. */
export interface LoopLimits {
  /** How long a text sent to the peer is remembered, and how long repetitions count, in ms. */
  readonly memory: number;
  /** Texts remembered in each direction. */
  readonly texts: number;
  /** The same text more often than that within `memory` is a machine's. */
  readonly repetitions: number;
  /** An answer within this time after a text of ours may be a machine's, in ms. */
  readonly reflex: number;
  /** How long what such a machine repeats is not taken, in ms. */
  readonly silence: number;
}

const DEFAULT_LOOP_LIMITS: LoopLimits = {
  memory: 60_000,
  texts: 32,
  repetitions: 4,
  reflex: 5_000,
  silence: 600_000,
};

/** What the guard thinks of a text: `fine`; a text of ours that came `back`; an answer that a machine `repeats`. */
export type LoopVerdict = 'fine' | 'back' | 'repeats';

/**
 * Watches the texts of one peer for loops: another room that gives back what it is told, an auto-reply, a notice that a
 * message could not be delivered. People repeat themselves, too; but not at once after each text that reaches them.
 */
export class LoopGuard {
  readonly #limits: LoopLimits;
  #sent: { readonly text: string; readonly at: number }[] = [];
  /** Answers that came at once, by their text without what changes from one to the next. */
  readonly #answers = new Map<string, { count: number; at: number; silent: boolean }>();
  #lastSent = Number.NEGATIVE_INFINITY;

  constructor(limits: Partial<LoopLimits> = {}) {
    this.#limits = { ...DEFAULT_LOOP_LIMITS, ...limits };
  }

  /** A text goes to the peer, as it will read it. */
  sent(text: string, now: number): void {
    this.#lastSent = now;
    this.#sent.push({ text: text.trim(), at: now });
    if (this.#sent.length > this.#limits.texts) this.#sent.shift();
  }

  /** A text comes from the peer. */
  judge(text: string, now: number): LoopVerdict {
    const { memory, repetitions, reflex, silence, texts } = this.#limits;
    const trimmed = text.trim();
    this.#sent = this.#sent.filter(({ at }) => now - at <= memory);
    // Another room puts a name before it.
    if (this.#sent.some((sent) => sent.text !== '' && trimmed.endsWith(sent.text))) return 'back';
    const key = withoutNumbers(trimmed);
    const answer = this.#answers.get(key);
    if (answer !== undefined && now - answer.at > (answer.silent ? silence : memory)) this.#answers.delete(key);
    else if (answer?.silent === true) return 'repeats';
    if (now - this.#lastSent > reflex) return 'fine';
    const again = this.#answers.get(key) ?? { count: 0, at: now, silent: false };
    again.count += 1;
    again.at = now;
    again.silent = again.count > repetitions;
    this.#answers.delete(key);
    this.#answers.set(key, again);
    for (const oldest of this.#answers.keys()) {
      if (this.#answers.size <= texts) break;
      this.#answers.delete(oldest);
    }
    return again.silent ? 'repeats' : 'fine';
  }
}

/** Notices differ by their ids and times only. */
function withoutNumbers(text: string): string {
  return text
    .slice(0, 500)
    .toLowerCase()
    .replace(/[0-9a-f-]*\d[0-9a-f-]*/g, '#');
}
