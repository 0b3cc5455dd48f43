/** The lines of our offers and answers as they are written (RFC 8866). */
import { formatMsrpMedia, type MsrpDescription, peerOf } from '../../msrp/index.ts';
import type { SdpConnection, SdpMedia } from '../../sip/index.ts';
import { AUDIO_CODECS, type AudioLine, type Direction } from './audio.ts';
import type { AudioOffer } from './media-plan.ts';

/** A message line. The fingerprints of our certificate may always be given: they are written where its path is of TLS. */
export function msrpLine(own: MsrpDescription): SdpMedia {
  const { fingerprints = [], path } = own;
  const isSecure = peerOf(path).scheme === 'msrps';
  const { connection, attributes, ...line } = formatMsrpMedia({ ...own, fingerprints: isSecure ? fingerprints : [] });
  return {
    ...line,
    ...(connection === undefined ? {} : { connection: { netType: 'IN', ...connection } }),
    bandwidths: [],
    attributes: attributes.map(({ name, value }) => (value === undefined ? { name } : { name, value })),
  };
}

/** A line of audio that we offer. */
export function audioOffer(audio: AudioLine, direction: Direction): SdpMedia {
  return audioLine(audio, AUDIO_FORMATS, AUDIO_MAPS, direction);
}

/** Our answer to a line of audio, with the codec chosen of it. */
export function audioAnswer(audio: AudioLine, { peer }: AudioOffer, offered: SdpMedia, direction: Direction): SdpMedia {
  const format = String(peer.payloadType);
  const formats = offered.formats.includes(format) ? [format] : offered.formats;
  return audioLine(audio, formats, [rtpmap({ name: peer.codec.name, payloadType: peer.payloadType })], direction);
}

/** A line of audio with all that we take, besides what it has already: its numbers keep their meaning (RFC 3264 §8.3.2). */
export function withAllCodecs(line: SdpMedia): SdpMedia {
  const known = line.attributes.flatMap(({ name, value = '' }) => (name === 'rtpmap' ? [value.toUpperCase()] : []));
  const more = AUDIO_CODECS.filter(
    ({ name, payloadType }) =>
      !line.formats.includes(String(payloadType)) && !known.some((map) => map.includes(` ${name}/`)),
  );
  const formats = [...line.formats, ...more.map(({ payloadType }) => String(payloadType))];
  return { ...line, formats, attributes: [...more.map(rtpmap), ...line.attributes] };
}

/** The address of a line, or of all lines. */
export function connectionTo(host: string): SdpConnection {
  return { netType: 'IN', addressType: host.includes(':') ? 'IP6' : 'IP4', address: host };
}

const AUDIO_FORMATS = AUDIO_CODECS.map(({ payloadType }) => String(payloadType));
const AUDIO_MAPS = AUDIO_CODECS.map(rtpmap);

/** Which codec a number stands for (RFC 8866 §6.6). */
function rtpmap(codec: { readonly payloadType: number; readonly name: string }): SdpMedia['attributes'][number] {
  return { name: 'rtpmap', value: `${String(codec.payloadType)} ${codec.name}/8000` };
}

function audioLine(
  audio: AudioLine,
  formats: readonly string[],
  maps: SdpMedia['attributes'],
  direction: Direction,
): SdpMedia {
  return {
    media: 'audio',
    port: audio.port,
    protocol: 'RTP/AVP',
    formats,
    connection: connectionTo(audio.host),
    bandwidths: [],
    attributes: [...maps, { name: direction }],
  };
}
