import {
  decisiveFingerprints,
  type Fingerprint,
  type LocalAddress,
  type MsrpMedia,
  type MsrpScheme,
  peerOf,
} from '../../msrp/index.ts';

/** Where MSRP sessions can be had, and what is said of them. */
export interface MsrpPlaces {
  /**
   * Our address for a scheme and a transport (`tcp`, `ws`) that somebody reaches whose SIP came to `local`; undefined
   * where there is none.
   */
  readonly at: (scheme: MsrpScheme, transport: string, local: string) => LocalAddress | undefined;
  /** Of our certificate, for TLS lines. */
  readonly fingerprints: readonly Fingerprint[];
  /** Largest message taken, in octets. */
  readonly maxSize: number;
}

/** Where a session is to be made. */
export interface MsrpPlace {
  /** One of our addresses. */
  readonly at: LocalAddress;
  /** Where it is us who connect with TLS, the peer's certificate must have one of these (RFC 8122 §6.2). */
  readonly fingerprints?: readonly Fingerprint[];
}

/** The place for a session with the peer of that line, whose SIP came to `local`; undefined where there is none. */
export function placeFor(media: MsrpMedia, places: MsrpPlaces, local: string): MsrpPlace | undefined {
  const scheme = media.protocol === 'TCP/TLS/MSRP' ? 'msrps' : 'msrp';
  const at = places.at(scheme, peerOf(media.path).transport, local);
  if (at === undefined) return undefined;
  const fingerprints = decisiveFingerprints(media.fingerprints);
  return fingerprints.length === 0 ? { at } : { at, fingerprints };
}
