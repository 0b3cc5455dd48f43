/** A rule may say no. It is asked with all it needs to know; it changes nothing but a count of its own. */
import type { Refusal } from './refusal.ts';

/** Says why the request is not allowed, or nothing. */
export type Rule<Request> = (request: Request) => Refusal | undefined;

/** The first objection of the rules, in their order; `undefined` when the request is allowed. */
export function firstRefusal<Request>(rules: readonly Rule<Request>[], request: Request): Refusal | undefined {
  for (const rule of rules) {
    const refusal = rule(request);
    if (refusal !== undefined) return refusal;
  }
  return undefined;
}
