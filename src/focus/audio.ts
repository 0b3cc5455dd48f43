/**
 * What stands behind the audio lines of a conference's calls. Today it is silence (a chat room has no mixer); a real
 * mixer takes its place by implementing the same two interfaces.
 */

/** The two codecs that every telephone speaks (RFC 3551 §6): name, static payload type, and the octet that is silence. */
export const AUDIO_CODECS = [
  { name: 'PCMU', payloadType: 0, silence: 0xff },
  { name: 'PCMA', payloadType: 8, silence: 0xd5 },
] as const;

/** One of the codecs we can send. */
export type AudioCodec = (typeof AUDIO_CODECS)[number];

/** Direction of a media line as seen from the side that wrote it (RFC 8866 §6.7). */
export type Direction = 'sendrecv' | 'sendonly' | 'recvonly' | 'inactive';

/** Where the peer of an audio line listens, and what may be sent to it. */
export interface AudioPeer {
  /** Address literal of the peer's RTP socket. */
  readonly host: string;
  /** Its RTP port. */
  readonly port: number;
  /** Its RTCP port; undefined where there can be none: it is sent no reports. */
  readonly rtcpPort: number | undefined;
  /** The codec agreed, and the payload type number the peer gave it. */
  readonly codec: AudioCodec;
  /** The payload type number the peer mapped the codec to. */
  readonly payloadType: number;
  /** Our direction on this line. */
  readonly direction: Direction;
}

/** Our end of one call's audio line. */
export interface AudioLine {
  /** The address to print in `c=`. */
  readonly host: string;
  /** The RTP port to print in `m=`; RTCP is on the next one (RFC 3550 §11). */
  readonly port: number;
  /** Whether it can send to this address: IPv4 and IPv6 are ways of their own. */
  reaches(host: string): boolean;
  /** Tells where to send from now on; called after each completed offer and answer. */
  direct(peer: AudioPeer): void;
  /** Sends RTCP BYE and gives the ports back. Idempotent. */
  close(): void;
}

/** Gives each call its audio line. */
export interface AudioBridge {
  /** Whether a line can be had that sends to this address. */
  reaches(host: string): boolean;
  /**
   * Takes a pair of ports for one call.
   * @param local the address of ours to which the peer's SIP came
   * @param peer where the peer listens, once that is known. What cannot reach it there is a line all the same: a telephone
   *   that names its IPv6 address mostly has one of IPv4, too, and is sent to where it is heard from.
   * @returns undefined when the configured range is used up: the line is then declined with port 0, or the call for a while
   *   where there is no other.
   */
  open(local: string, peer?: string): Promise<AudioLine | undefined>;
  /** Ends every line. */
  close(): void;
}
