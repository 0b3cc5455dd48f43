import type { BodyAndContentType, SessionDescriptionHandler } from 'sip.js';
import {
  formatMsrpMedia,
  MsrpError,
  type MsrpDescription,
  type MsrpMedia,
  parseMsrpMedia,
  type SdpAttribute,
  type SdpMediaLine,
} from '../../msrp/index.ts';

/** Our side of the call in the form sip.js asks for: one message line, the same in every offer and answer. */
export class MessageDescription implements SessionDescriptionHandler {
  readonly #own: MsrpDescription;
  readonly #sessionId = Date.now();
  readonly #onRemote: (media: MsrpMedia | MsrpError) => void;

  /** `onRemote` gets each description of the peer, or why it cannot be used: sip.js takes no refusal here. */
  constructor(own: MsrpDescription, onRemote: (media: MsrpMedia | MsrpError) => void) {
    this.#own = own;
    this.#onRemote = onRemote;
  }

  close(): void {
    // Nothing is held.
  }

  getDescription(): Promise<BodyAndContentType> {
    return Promise.resolve({
      contentType: 'application/sdp',
      body: formatSdp(formatMsrpMedia(this.#own), this.#sessionId),
    });
  }

  hasDescription(contentType: string): boolean {
    return contentType.toLowerCase() === 'application/sdp';
  }

  setDescription(sdp: string): Promise<void> {
    this.#onRemote(remoteMedia(sdp));
    return Promise.resolve();
  }

  sendDtmf(): boolean {
    return false;
  }
}

function remoteMedia(sdp: string): MsrpMedia | MsrpError {
  const { session, media } = parseSdp(sdp);
  const line = media.find((each) => each.media === 'message' && each.port !== 0);
  if (line === undefined) return new MsrpError(415, 'the room takes no chat session');
  try {
    return parseMsrpMedia(line, session);
  } catch (fault) {
    if (fault instanceof MsrpError) return fault;
    throw fault;
  }
}

/** A session description of one media line (RFC 8866). */
export function formatSdp(line: SdpMediaLine, sessionId: number): string {
  const { addressType, address } = line.connection ?? { addressType: 'IP4', address: '0.0.0.0' };
  const connection = `IN ${addressType} ${address}`;
  return [
    'v=0',
    `o=- ${sessionId} 1 ${connection}`,
    's=-',
    't=0 0',
    `m=${line.media} ${line.port} ${line.protocol} ${line.formats.join(' ')}`,
    `c=${connection}`,
    ...line.attributes.map(({ name, value }) => (value === undefined ? `a=${name}` : `a=${name}:${value}`)),
    '',
  ].join('\r\n');
}

/** The media lines of a session description, and the attributes of its session part (RFC 8866 §5). */
export function parseSdp(sdp: string): { session: readonly SdpAttribute[]; media: readonly SdpMediaLine[] } {
  const session: SdpAttribute[] = [];
  const media: (Omit<SdpMediaLine, 'attributes'> & { attributes: SdpAttribute[] })[] = [];
  for (const line of sdp.split(/\r?\n/)) {
    const value = line.slice(2);
    if (line.startsWith('m=')) {
      const [kind = '', port = '0', protocol = '', ...formats] = value.trim().split(/\s+/);
      media.push({ media: kind, port: parseInt(port, 10), protocol, formats, attributes: [] });
    } else if (line.startsWith('a=')) {
      const at = value.indexOf(':');
      const attribute = at < 0 ? { name: value.trim() } : { name: value.slice(0, at), value: value.slice(at + 1) };
      (media.at(-1)?.attributes ?? session).push(attribute);
    }
  }
  return { session, media };
}
