import { type NameAddr, P_ASSERTED_IDENTITY, P_PREFERRED_IDENTITY } from './fields.ts';
import type { SipMessage } from './message.ts';
import { Params } from './params.ts';
import { sipUri } from './uri.ts';

/*
 * Who a network says that somebody is, and what of it others may see (RFC 3325, RFC 3323). Whether the one who says so
 * is to be believed (the trust domain, RFC 3325 §3) is decided by who calls this.
 */

/** An asserted or preferred identity: a SIP URI, a telephone number, or both (RFC 3325 §9.1, §9.2). */
export interface Identity {
  readonly sip?: NameAddr;
  readonly tel?: NameAddr;
}

function identity(values: readonly NameAddr[]): Identity | undefined {
  // At most one SIP and one tel URI may stand there. Anything else is left aside rather than refused: no request needs
  // this header to be processed.
  const sip = values.find(({ uri }) => uri.kind === 'sip');
  const tel = values.find(({ uri }) => uri.kind === 'tel');
  if (sip === undefined && tel === undefined) return undefined;
  return { ...(sip === undefined ? undefined : { sip }), ...(tel === undefined ? undefined : { tel }) };
}

/** What P-Asserted-Identity says (RFC 3325 §9.1): to be believed only of a peer in the trust domain. */
export function assertedIdentity(message: SipMessage): Identity | undefined {
  return identity(message.assertedIdentities);
}

/** What P-Preferred-Identity asks for (RFC 3325 §9.2). */
export function preferredIdentity(message: SipMessage): Identity | undefined {
  return identity(message.preferredIdentities);
}

/** The levels of privacy that a message asks for (RFC 3323 §4.2, RFC 3325 §9.3). */
export interface Privacy {
  /** No privacy, explicitly: nothing may be added. */
  readonly none: boolean;
  /** The asserted identity stays inside the trust domain (RFC 3325 §9.3). */
  readonly id: boolean;
  /** Headers that a user cannot hide by himself are to be hidden. */
  readonly header: boolean;
  /** Session descriptions, too. */
  readonly session: boolean;
  /** What a user agent would hide by itself is to be hidden for it. */
  readonly user: boolean;
  /** Rather refuse the request than fail in any of these. */
  readonly critical: boolean;
}

/** What the Privacy header of a message asks for. `none` counts only alone (RFC 3323 §4.2). */
export function privacyOf(message: SipMessage): Privacy {
  const values = message.privacy;
  const has = (value: string): boolean => values.includes(value);
  return {
    none: values.length === 1 && has('none'),
    id: has('id'),
    header: has('header'),
    session: has('session'),
    user: has('user'),
    critical: has('critical'),
  };
}

/** Whether others may be told who the sender is. */
export function asksForAnonymity(privacy: Privacy): boolean {
  return privacy.id || privacy.user || privacy.header;
}

/** Takes asserted and preferred identities off a message that leaves the trust domain (RFC 3325 §5, §7). */
export function withholdIdentity(message: SipMessage): void {
  message.headers.write(P_ASSERTED_IDENTITY, undefined);
  message.headers.write(P_PREFERRED_IDENTITY, undefined);
}

/** The From of somebody who wants no name (RFC 3323 §4.1.1.3). */
export function anonymousFrom(tag: string): NameAddr {
  return {
    displayName: 'Anonymous',
    uri: sipUri({ user: 'anonymous', host: 'anonymous.invalid' }),
    params: Params.of({ tag }),
  };
}

/** Whether a From hides its sender already, as RFC 3323 §4.1.1.3 has it. */
export function isAnonymous({ uri }: NameAddr): boolean {
  return uri.kind === 'sip' && (uri.host === 'anonymous.invalid' || uri.user?.toLowerCase() === 'anonymous');
}
