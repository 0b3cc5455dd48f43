import { type Answer, WARNING } from '../../sip/index.ts';
import { sipReason } from '../chat/sip-reason.ts';
import type { NoMedia } from './media-plan.ts';

/** A 488 tells so many reasons at most; an offer may have any number of lines. */
const MOST = 4;

/** Characters of a reason at most. */
const LONGEST = 200;

/** The 488 to an offer none of whose lines can be used, with Warnings that say why (RFC 3261 §20.43, RFC 3264 §6). */
export function noMediaAnswer({ faults }: NoMedia): Answer {
  const warnings = faults
    .slice(0, MOST)
    .map(({ code, text }) => ({ code, agent: 'focus', text: text.slice(0, LONGEST) }));
  return { status: 488, headers: [{ name: 'Warning', value: WARNING.format(warnings).join(', ') }] };
}

/** The same for a call that has been answered: the Reason of its BYE (RFC 3326). */
export function noMediaReason({ faults }: NoMedia): string {
  const text = faults.map((fault) => fault.text).join('; ');
  return sipReason(488, text.slice(0, LONGEST));
}
