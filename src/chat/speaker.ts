import type { EndpointId, UserUri } from '../conference/ids.ts';

/** Who sends into a room: one endpoint of one user. */
export interface Speaker {
  readonly endpoint: EndpointId;
  /** The authenticated identity: what the rules see. */
  readonly user: UserUri;
  /**
   * Keys (`personKey`) of the URIs it may give as its own in a CPIM From (RFC 7701 §6.1); for one that asked for privacy
   * the anonymous one only.
   */
  readonly names: ReadonlySet<string>;
  /** It is not in the call: it may say something to all, and nothing else. Default false. */
  readonly outside?: boolean;
  /** The URI by which it has dialled the room. */
  readonly roomUri: string;
  /** The URI that others see: its identity, or the anonymous one. */
  readonly shown: string;
  /** Starts of texts that its client makes by itself and that must not enter the room. */
  readonly swallow: readonly string[];
  /** Many people speak through it, and name themselves in the CPIM From: the leg of another bridge. */
  readonly speaksForMany: boolean;
}
