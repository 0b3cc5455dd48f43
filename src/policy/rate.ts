/** Token buckets: how fast somebody may do something. */
import type { Millis } from '../conference/events.ts';
import { Recent } from '../conference/recent.ts';
import type { Rate } from './room-policy.ts';

interface Bucket {
  readonly tokens: number;
  readonly at: Millis;
}

/** One bucket per key, for a bounded number of keys. */
export class RateLimiter {
  readonly #rate: Rate;
  readonly #buckets: Recent<string, Bucket>;

  /** `maxKeys`: most keys remembered; the one not seen for longest is forgotten (and so starts with a full bucket). */
  constructor(rate: Rate, maxKeys = 10_000) {
    this.#rate = rate;
    this.#buckets = new Recent(maxKeys);
  }

  /** Takes a token for the key: 0 when there was one, else the milliseconds until there will be. */
  take(key: string, now: Millis): Millis {
    const { perSecond, burst } = this.#rate;
    const tokens = this.#tokens(key, now);
    const left = tokens >= 1 ? tokens - 1 : tokens;
    this.#buckets.set(key, { tokens: left, at: now });
    if (tokens >= 1) return 0;
    return perSecond > 0 && burst >= 1 ? Math.ceil(((1 - tokens) / perSecond) * 1000) : Infinity;
  }

  /** How long until the key has a token, without taking one. */
  wait(key: string, now: Millis): Millis {
    const missing = 1 - this.#tokens(key, now);
    return missing <= 0 ? 0 : Math.ceil((missing / this.#rate.perSecond) * 1000);
  }

  #tokens(key: string, now: Millis): number {
    const bucket = this.#buckets.get(key);
    if (bucket === undefined) return this.#rate.burst;
    // A clock that was set back gives nothing and takes nothing.
    const passed = Math.max(0, now - bucket.at);
    return Math.min(this.#rate.burst, bucket.tokens + (passed / 1000) * this.#rate.perSecond);
  }
}
