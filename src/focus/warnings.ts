import { type Answer, WARNING } from '../../sip/index.ts';
import { sipReason } from '../chat/sip-reason.ts';
import type { NoMedia } from './media-plan.ts';

/** A 488 tells so many reasons at most; an offer may have any number of lines. */
const MOST = 4;

/** Characters of a reason at most. */
const LONGEST = 200;

/** Seconds after which a call may find free what was used up. */
const COME_AGAIN = '30';

/**
 * The answer to an offer none of whose lines can be used, with Warnings that say why (RFC 3261 §20.43, RFC 3264 §6): 488; or
 * 480 where the offer is well and we have nothing left for it, since 503 would keep a proxy from the calls that need none of
 * it (RFC 3261 §21.5.4). Within a call that is 500: 480 would end it (RFC 5057 §5.1).
 */
export function noMediaAnswer({ faults, forNow }: NoMedia, within: 'call' | 'no call'): Answer {
  const warnings = faults
    .slice(0, MOST)
    .map(({ code, text }) => ({ code, agent: 'focus', text: text.slice(0, LONGEST) }));
  const headers = [{ name: 'Warning', value: WARNING.format(warnings).join(', ') }];
  if (forNow !== true) return { status: 488, headers };
  return { status: within === 'call' ? 500 : 480, headers: [...headers, { name: 'Retry-After', value: COME_AGAIN }] };
}

/** The same for a call that has been answered: the Reason of its BYE (RFC 3326). */
export function noMediaReason({ faults }: NoMedia): string {
  const text = faults.map((fault) => fault.text).join('; ');
  return sipReason(488, text.slice(0, LONGEST));
}
