import type { Answer } from '../../sip/index.ts';
import type { Release } from '../chat/host.ts';
import type { Commander } from '../chat/moderation.ts';
import { RateLimiter } from '../policy/rate.ts';

/** Calls not answered yet, in all and at the wish of one user. */
export interface CallLimits {
  readonly calls: number;
  readonly callsPerUser: number;
}

/** Counts the calls that are under way at the wish of others. */
export class CallCounts {
  readonly #limits: CallLimits;
  readonly #underWay = new Map<Commander, number>();
  readonly #rate: RateLimiter;
  #calls = 0;

  constructor(limits: CallLimits) {
    this.#limits = limits;
    this.#rate = new RateLimiter({ perSecond: 1, burst: limits.callsPerUser });
  }

  /** Whether there are too many for one more; asking counts as a try of that user. */
  full(by: Commander, now: number): Answer | undefined {
    const { calls, callsPerUser } = this.#limits;
    const retry = [{ name: 'Retry-After', value: '30' }];
    if (this.#calls >= calls) return { status: 503, reason: 'Too Many Calls at a Time', headers: retry };
    if (by === 'administrator') return undefined;
    if ((this.#underWay.get(by) ?? 0) >= callsPerUser || this.#rate.take(by, now) > 0) {
      return { status: 480, reason: 'You Have Too Many Called', headers: retry };
    }
    return undefined;
  }

  /** Counts a call until it is released. */
  count(by: Commander): Release {
    this.#calls += 1;
    this.#underWay.set(by, (this.#underWay.get(by) ?? 0) + 1);
    let counted = true;
    return () => {
      if (!counted) return;
      counted = false;
      this.#calls -= 1;
      const left = (this.#underWay.get(by) ?? 1) - 1;
      if (left > 0) this.#underWay.set(by, left);
      else this.#underWay.delete(by);
    };
  }
}
