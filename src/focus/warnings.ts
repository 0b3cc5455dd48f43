import type { Answer } from '../../sip/index.ts';
import type { NoMedia } from './leg-media.ts';

/** The 488 to an offer none of whose lines can be used, with a Warning that says why (RFC 3261 §20.43, RFC 3264 §6). */
export function noMediaAnswer(faults: NoMedia): Answer {
  return { status: 488, headers: [{ name: 'Warning', value: `304 focus ${quoted(faults)}` }] };
}

/** The same for a call that has been answered: the Reason of its BYE (RFC 3326). */
export function noMediaReason(faults: NoMedia): string {
  return `SIP;cause=488;text=${quoted(faults)}`;
}

function quoted({ faults }: NoMedia): string {
  const text = faults
    .join('; ')
    .replace(/["\\\r\n]/g, ' ')
    .slice(0, 200);
  return `"${text}"`;
}
