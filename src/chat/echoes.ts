/**
 * Loops of what is said to everybody: two rooms that are joined twice over give each text back to each other for ever,
 * by whatever protocol. Known by what comes back through one endpoint again and again right after others have said it,
 * and it has reached that endpoint. Programs that report the same as others do not give back all they hear.
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
  /**
   * The same for texts of fewer characters than `short`, with which people agree, thank each other, and say good night,
   * and for what an endpoint has just said itself: it may report the same as others do, in its own name.
   */
  readonly toleratedOften: number;
  readonly short: number;
  /** So many more than it gives back may have reached an endpoint, while it gives texts back. */
  readonly passed: number;
  /** Endpoints that are counted at a time. */
  readonly endpoints: number;
}

const DEFAULT_ECHO_LIMITS: EchoLimits = {
  memory: 5_000,
  texts: 32,
  length: 500,
  within: 8,
  tolerated: 1,
  toleratedOften: 4,
  short: 16,
  passed: 8,
  endpoints: 1_000,
};

/** Texts in a row that an endpoint has given back. */
interface Row {
  count: number;
  /** How many texts of all had been judged before the first. */
  readonly from: number;
}

/** Watches one room. */
export class Echoes {
  readonly #limits: EchoLimits;
  /** The oldest first. */
  readonly #heard: { readonly text: string; readonly by: EndpointId; readonly at: number }[] = [];
  readonly #rows: Recent<EndpointId, Row>;
  #judged = 0;

  constructor(limits: Partial<EchoLimits> = {}) {
    this.#limits = { ...DEFAULT_ECHO_LIMITS, ...limits };
    this.#rows = new Recent(this.#limits.endpoints);
  }

  /**
   * Somebody says something to everybody. `first`: a loop has just been found; `again`: it goes on.
   * @param underWay texts that are not known to have reached who speaks
   */
  judge(by: EndpointId, whole: string | undefined, underWay: number, now: number): 'fine' | 'first' | 'again' {
    const text = whole?.slice(0, this.#limits.length) ?? '';
    if (text === '') return 'fine';
    const { memory, texts, short } = this.#limits;
    const isOften = text.length < short || this.#heard.some((own) => own.by === by && own.text === text);
    const tolerated = isOften ? this.#limits.toleratedOften : this.#limits.tolerated;
    for (let [oldest] = this.#heard; oldest !== undefined && now - oldest.at > memory; [oldest] = this.#heard) {
      this.#heard.shift();
    }
    const count = this.#isEcho(by, text, underWay) ? this.#inRow(by, underWay) : 0;
    if (count === 0) this.#rows.delete(by);
    this.#judged += 1;
    this.#heard.push({ text, by, at: now });
    if (this.#heard.length > texts) this.#heard.shift();
    if (count <= tolerated) return 'fine';
    return count === tolerated + 1 ? 'first' : 'again';
  }

  /** Whether others have said a text, and it has reached whoever says it now. */
  #isEcho(by: EndpointId, text: string, underWay: number): boolean {
    let ofOthers = 0;
    for (let i = this.#heard.length - 1; i >= 0; i -= 1) {
      const heard = this.#heard[i];
      if (heard === undefined || heard.by === by) continue;
      ofOthers += 1;
      // One may come back before its reception is told.
      if (ofOthers > underWay - 1 && this.#gives(text, heard.text)) return true;
    }
    return false;
  }

  /** Counts one more text that an endpoint gives back; whoever lets pass what others say begins anew. */
  #inRow(by: EndpointId, underWay: number): number {
    const known = this.#rows.get(by) ?? { count: 0, from: this.#judged - 1 };
    const passed = this.#judged - known.from - 2 * known.count - Math.min(underWay, this.#judged);
    const row = passed > this.#limits.passed ? { count: 0, from: this.#judged - 1 } : known;
    row.count += 1;
    this.#rows.set(by, row);
    return row.count;
  }

  #gives(text: string, heard: string): boolean {
    return text === heard || (heard.length >= this.#limits.within && text.includes(heard));
  }
}
