/**
 * Loops of what is said to everybody: two rooms that are joined twice over give each text back to each other for ever,
 * by whatever protocol. Known by what comes back through one endpoint again and again right after others have said it.
 */
import type { EndpointId } from '../conference/ids.ts';
import { Recent } from '../conference/recent.ts';

/** When a text counts as one that came back. */
export interface EchoLimits {
  /** How long a text is remembered, in ms: machines answer at once. */
  readonly memory: number;
  /** Texts remembered. */
  readonly texts: number;
  /** Characters of each that are compared. */
  readonly length: number;
  /** A text of at least so many characters is known again also within a longer one: a relay adds a name. */
  readonly within: number;
  /** So many in a row come back by accident, or in fun. */
  readonly tolerated: number;
  /** The same for texts of fewer characters than `short`: people agree, thank each other, and say good night. */
  readonly toleratedShort: number;
  readonly short: number;
  /** Endpoints that are counted at a time. */
  readonly endpoints: number;
}

const DEFAULT_ECHO_LIMITS: EchoLimits = {
  memory: 5_000,
  texts: 32,
  length: 500,
  within: 8,
  tolerated: 1,
  toleratedShort: 4,
  short: 16,
  endpoints: 1_000,
};

/** Watches one room. */
export class Echoes {
  readonly #limits: EchoLimits;
  /** The oldest first. */
  readonly #heard: { readonly text: string; readonly by: EndpointId; readonly at: number }[] = [];
  /** How many texts in a row an endpoint has given back. */
  readonly #inRow: Recent<EndpointId, number>;

  constructor(limits: Partial<EchoLimits> = {}) {
    this.#limits = { ...DEFAULT_ECHO_LIMITS, ...limits };
    this.#inRow = new Recent(this.#limits.endpoints);
  }

  /** Somebody says something to everybody. `first`: a loop has just been found; `again`: it goes on. */
  judge(by: EndpointId, whole: string | undefined, now: number): 'fine' | 'first' | 'again' {
    const text = whole?.slice(0, this.#limits.length) ?? '';
    if (text === '') return 'fine';
    const { memory, texts, short } = this.#limits;
    const tolerated = text.length < short ? this.#limits.toleratedShort : this.#limits.tolerated;
    for (let [oldest] = this.#heard; oldest !== undefined && now - oldest.at > memory; [oldest] = this.#heard) {
      this.#heard.shift();
    }
    const isEcho = this.#heard.some((heard) => heard.by !== by && this.#gives(text, heard.text));
    if (!isEcho) this.#inRow.delete(by);
    const inRow = isEcho ? (this.#inRow.get(by) ?? 0) + 1 : 0;
    if (isEcho) this.#inRow.set(by, inRow);
    this.#heard.push({ text, by, at: now });
    if (this.#heard.length > texts) this.#heard.shift();
    if (inRow <= tolerated) return 'fine';
    return inRow === tolerated + 1 ? 'first' : 'again';
  }

  #gives(text: string, heard: string): boolean {
    return text === heard || (heard.length >= this.#limits.within && text.includes(heard));
  }
}
