/** A dialog as its parties name it (RFC 3261 §12). */
export interface DialogName {
  readonly callId: string;
  readonly localTag: string;
  readonly remoteTag: string;
}

/** Bounds of what is remembered of calls that are over. */
export interface EndedCallLimits {
  /** Calls; of more, the newest. */
  readonly calls: number;
  /** For how long, in ms. */
  readonly kept: number;
}

/** As long as an INVITE that was sent before the end may be on its way (RFC 3261 §17.1.1.2: 64 times T1). */
export const DEFAULT_ENDED_CALL_LIMITS: EndedCallLimits = { calls: 1000, kept: 32_000 };

/** Calls that have just ended: who wants to take the place of one comes too late (RFC 3891 §3). */
export class EndedCalls {
  readonly #limits: EndedCallLimits;
  readonly #now: () => number;
  /** When each has ended, the oldest first. */
  readonly #ended = new Map<string, number>();

  constructor(now: () => number, limits: EndedCallLimits = DEFAULT_ENDED_CALL_LIMITS) {
    this.#now = now;
    this.#limits = limits;
  }

  /** The call with that dialog is over. */
  add(dialog: DialogName): void {
    this.#ended.set(keyOf(dialog), this.#now());
    for (const [key, at] of this.#ended) {
      if (this.#ended.size <= this.#limits.calls && !this.#isOld(at)) return;
      this.#ended.delete(key);
    }
  }

  /** Whether the call with that dialog has ended a moment ago. */
  has(dialog: DialogName): boolean {
    const at = this.#ended.get(keyOf(dialog));
    return at !== undefined && !this.#isOld(at);
  }

  #isOld(at: number): boolean {
    return this.#now() - at > this.#limits.kept;
  }
}

function keyOf({ callId, localTag, remoteTag }: DialogName): string {
  return [callId, localTag, remoteTag].join(' ');
}
