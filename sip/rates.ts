/** How often a subscriber wants to be notified (RFC 6446), as far as we go along with it. */
import type { TokenWithParams } from './fields.ts';
import { Params } from './params.ts';

/** The rates agreed for one subscription, as times between two NOTIFYs in milliseconds; undefined where none was asked for. */
export interface Rates {
  /** Least time: the reciprocal of `max-rate`. */
  readonly least: number | undefined;
  /** Longest time: the reciprocal of `min-rate`. */
  readonly longest: number | undefined;
}

/** What bounds the rates that are agreed. */
export interface RateBounds {
  /** Least time between two NOTIFYs that we allow ourselves, in milliseconds. */
  readonly pacing: number;
  /** What is left of the subscription, in milliseconds. */
  readonly remaining: number;
}

/** 1*2DIGIT ["." 1*10DIGIT] (RFC 6446 §9.2); zero is not a rate. */
const RATE = /^(?=.*[1-9])\d{1,2}(?:\.\d{1,10})?$/;
/** Not even a package without pacing tells more often that nothing has happened, in milliseconds. */
const LEAST_REPETITION = 1000;

/**
 * The rates for what an Event header asks. A `max-rate` so small that nothing would come before the end is raised (§5.3),
 * a `min-rate` above `max-rate` is lowered to it (§8). What is no rate is not answered, and so is `adaptive-min-rate`:
 * its absence tells the subscriber that it is not kept to (§7.2).
 */
export function ratesOf({ params }: TokenWithParams, { pacing, remaining }: RateBounds): Rates {
  const maximum = interval(params.get('max-rate'));
  const least = maximum === undefined ? undefined : Math.max(pacing, Math.min(maximum, remaining));
  const minimum = interval(params.get('min-rate'));
  const longest = minimum === undefined ? undefined : Math.max(minimum, least ?? pacing, LEAST_REPETITION);
  return { least, longest };
}

/** The parameters of Subscription-State that tell the rates (§5.2, §6.2). */
export function formatRates({ least, longest }: Rates): string {
  const rate = (ms: number | undefined): string | undefined =>
    ms === undefined ? undefined : String(Number((1000 / ms).toFixed(10)));
  return Params.of({ 'max-rate': rate(least), 'min-rate': rate(longest) }).toString();
}

function interval(rate: string | undefined): number | undefined {
  return rate === undefined || !RATE.test(rate) ? undefined : 1000 / Number(rate);
}
