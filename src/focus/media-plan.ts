import { type FileDescription, MsrpError, type MsrpMedia, msrpProtocolOf, parseMsrpMedia } from '../../msrp/index.ts';
import {
  connectionOf,
  directionOf,
  isRejected,
  type SdpMedia,
  type SessionDescription,
  SipError,
} from '../../sip/index.ts';
import { AUDIO_CODECS, type AudioPeer, type Direction } from './audio.ts';
import { isPort, portAfter } from './rtp.ts';

/** What the service does with lines of audio. */
export type AudioMode = 'silence' | 'inactive' | 'decline';

/** What a room can take. */
export interface MediaPolicy {
  readonly audio: AudioMode;
  /** Whether there is an address for `TCP/TLS/MSRP`. */
  readonly tls: boolean;
  /** Whether chat sessions without TLS are taken (RFC 7701 §11). */
  readonly plain: boolean;
  /** Whether who takes bare text only is taken, too. */
  readonly bareText: boolean;
  /** Octets of the largest file taken. */
  readonly maxFile: number;
  /** Files that one leg may be sending at once. */
  readonly maxFiles: number;
}

/** A message line that will be the chat session. */
export interface MessageLine {
  readonly index: number;
  readonly media: MsrpMedia;
}

/** A message line by which the peer wants to send one file (RFC 5547). */
export interface FileLine extends MessageLine {
  readonly file: FileDescription;
}

/** An audio line that will carry silence, or nothing. */
export interface AudioOffer {
  readonly index: number;
  readonly peer: Omit<AudioPeer, 'direction'>;
  /** As the peer said it. */
  readonly direction: Direction;
}

/** Which lines of an offer or answer are used; all others are refused. */
export interface MediaPlan {
  readonly message: MessageLine | undefined;
  readonly audio: AudioOffer | undefined;
  readonly files: readonly FileLine[];
  /** Why lines were not used, for the Warnings of a 488. */
  readonly faults: readonly MediaFault[];
}

/**
 * A warn-code of RFC 3261 §20.43 about a session description: 301 address format, 302 transport protocol, 304 media type,
 * 305 media format, 306 attribute, 399 anything else.
 */
export type WarnCode = 301 | 302 | 304 | 305 | 306 | 399;

/** Why a line, or a whole description, cannot be used. */
export class MediaFault {
  readonly code: WarnCode;
  /** A sentence for people. */
  readonly text: string;

  constructor(code: WarnCode, text: string) {
    this.code = code;
    this.text = text;
  }
}

/** A description that cannot be used: what a 488 says. */
export interface NoMedia {
  readonly faults: readonly MediaFault[];
  /** It could be used if we had what it takes: the same may do in a while. */
  readonly forNow?: true;
}

/** A description that cannot be used for a reason that has no code of its own. */
export function noMedia(text: string): NoMedia {
  return { faults: [new MediaFault(399, text)] };
}

/** Why a description cannot be used that breaks a rule, if it does. */
export function faultOf(check: () => void): NoMedia | undefined {
  try {
    check();
    return undefined;
  } catch (fault) {
    if (fault instanceof SipError) return noMedia(fault.message);
    throw fault;
  }
}

/**
 * Chooses the lines of a description that a room can use: the first message line that fits, the first audio line, and the
 * lines that bring files; or nothing but these.
 */
export function planMedia(description: SessionDescription, policy: MediaPolicy, filesOnly = false): MediaPlan {
  const faults: MediaFault[] = [];
  let message: MessageLine | undefined;
  let audio: AudioOffer | undefined;
  const files: FileLine[] = [];
  for (const [index, line] of description.media.entries()) {
    if (isRejected(line)) continue;
    if (isForFile(line)) {
      const file =
        files.length < policy.maxFiles
          ? readFile(description, line, policy)
          : new MediaFault(399, 'too many files at once');
      if (file instanceof MediaFault) faults.push(file);
      else files.push({ index, ...file });
    } else if (filesOnly) {
      faults.push(new MediaFault(399, 'this call only brings files'));
    } else if (line.media === 'message' && message === undefined) {
      const media = readMessage(description, line, policy);
      if (media instanceof MediaFault) faults.push(media);
      else message = { index, media };
    } else if (line.media === 'audio' && audio === undefined) {
      const peer = policy.audio === 'decline' ? new MediaFault(304, 'no audio here') : readAudio(description, line);
      if (peer instanceof MediaFault) faults.push(peer);
      else audio = { index, peer, direction: isNowhere(peer.host) ? 'inactive' : directionOf(description, line) };
    } else {
      faults.push(new MediaFault(304, `no use for this ${line.media} line`));
    }
  }
  return { message, audio, files, faults };
}

/** Whether an offer is only for files (RFC 5547): who calls so does not come to take part. */
export function bringsOnlyFiles({ media }: SessionDescription): boolean {
  const lines = media.filter((line) => !isRejected(line));
  return lines.length > 0 && lines.every(isForFile);
}

/** RFC 7701 §5.2: CPIM is what a room speaks, but for families of clients that are known to speak none. */
function readMessage(description: SessionDescription, line: SdpMedia, policy: MediaPolicy): MsrpMedia | MediaFault {
  const media = readMsrp(description, line, policy);
  if (media instanceof MediaFault) return media;
  const { acceptTypes } = media;
  if (acceptTypes.accepts('message/cpim') || (policy.bareText && acceptTypes.accepts('text/plain'))) return media;
  return new MediaFault(305, 'message/cpim must be among accept-types');
}

function isForFile(line: SdpMedia): boolean {
  return line.media === 'message' && line.attributes.some(({ name }) => name === 'file-selector');
}

/** RFC 5547 §8.3.1: a file to be pushed, in one piece. */
function readFile(
  description: SessionDescription,
  line: SdpMedia,
  policy: MediaPolicy,
): Omit<FileLine, 'index'> | MediaFault {
  const media = readMsrp(description, line, policy);
  if (media instanceof MediaFault) return media;
  const { file, direction } = media;
  if (file === undefined || direction === 'recvonly' || direction === 'inactive') {
    return new MediaFault(399, 'no files to be had here');
  }
  const { size } = file.selector;
  if ((size ?? 0) > policy.maxFile) return new MediaFault(399, `files of at most ${policy.maxFile} octets`);
  const { start = 1, stop } = file.range ?? {};
  if (start !== 1 || (stop !== undefined && stop !== size)) return new MediaFault(399, 'whole files only');
  return { media, file };
}

function readMsrp(description: SessionDescription, line: SdpMedia, policy: MediaPolicy): MsrpMedia | MediaFault {
  const protocol = msrpProtocolOf(line);
  if (protocol === undefined) return new MediaFault(302, `${line.protocol} is not MSRP`);
  if (protocol === 'TCP/TLS/MSRP' && !policy.tls) return new MediaFault(302, 'no TLS for MSRP here');
  if (protocol === 'TCP/MSRP' && !policy.plain) {
    return new MediaFault(302, 'this room takes MSRP over TLS only');
  }
  try {
    return parseMsrpMedia(line, description.attributes);
  } catch (fault) {
    if (fault instanceof MsrpError) return new MediaFault(306, fault.message);
    throw fault;
  }
}

function readAudio(description: SessionDescription, line: SdpMedia): Omit<AudioPeer, 'direction'> | MediaFault {
  if (line.protocol !== 'RTP/AVP') return new MediaFault(302, `no ${line.protocol} here`);
  const connection = connectionOf(description, line);
  // A name would be looked up for each packet; what listens nowhere (RFC 3264 §8.4 of old) is not spoken to.
  if (connection === undefined || !ADDRESS.test(connection.address)) {
    return new MediaFault(301, 'no address for the audio line');
  }
  const chosen = codecOf(line);
  if (chosen === undefined) return new MediaFault(305, 'PCMU or PCMA must be among the audio formats');
  return { host: connection.address, port: line.port, rtcpPort: rtcpPortOf(line), ...chosen };
}

/** RTCP is next to RTP (RFC 3550 §11), unless the line says where it is (RFC 3605 §2.1). Undefined: there is no such port. */
function rtcpPortOf({ attributes, port }: SdpMedia): number | undefined {
  const said = attributes.find(({ name }) => name === 'rtcp')?.value;
  const named = Number(/^\d+(?= |$)/.exec(said ?? '')?.[0] ?? 0);
  return isPort(named) ? named : portAfter(port);
}

const ADDRESS = /^(?:[0-9.]+|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*)$/;

/** The address by which a call was put on hold before there were directions (RFC 3264 §8.4). */
function isNowhere(host: string): boolean {
  return /^(?:0\.0\.0\.0|::)$/.test(host);
}

/** The first format of the peer's that is one of ours, by its static number or its rtpmap. */
function codecOf(line: SdpMedia): Pick<AudioPeer, 'codec' | 'payloadType'> | undefined {
  for (const format of line.formats) {
    const mapped = line.attributes.find(
      ({ name, value }) => name === 'rtpmap' && value?.startsWith(`${format} `) === true,
    );
    const name = mapped?.value?.split(/[ /]/)[1]?.toUpperCase();
    const codec = AUDIO_CODECS.find((each) =>
      name === undefined ? String(each.payloadType) === format : each.name === name,
    );
    if (codec !== undefined) return { codec, payloadType: Number(format) };
  }
  return undefined;
}
