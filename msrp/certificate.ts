import { decisiveFingerprints, type Fingerprint } from './sdp.ts';
import type { Flow } from './transport/flow.ts';

/**
 * Whether the certificate that the peer showed is one that its session description announced (RFC 8122 §6.2). `none` when
 * it showed none; `another` also when nothing was announced by a hash function that we know.
 */
export function shownCertificate(flow: Flow, announced: readonly Fingerprint[]): 'announced' | 'another' | 'none' {
  if (flow.fingerprint?.('sha-256') === undefined) return 'none';
  const shown = decisiveFingerprints(announced).some(
    ({ hash, value }) => flow.fingerprint?.(hash)?.toUpperCase() === value.toUpperCase(),
  );
  return shown ? 'announced' : 'another';
}
