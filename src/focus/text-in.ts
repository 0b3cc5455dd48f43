import { createHash } from 'node:crypto';
import { htmlToText } from '../../msrp/index.ts';
import { type BodyPart, inspectBody, leafParts, matchesMediaType, SipError, type SipRequest } from '../../sip/index.ts';
import { type BareText, decode, wrap } from '../chat/bare-text.ts';
import type { Posting } from '../chat/post.ts';
import type { ChatRoom } from '../chat/room.ts';
import type { Speaker } from '../chat/speaker.ts';
import { type MessageId, messageId } from '../conference/ids.ts';
import type { PeerProfile } from './peers.ts';

/** Texts that one leg of Asterisk's ConfBridge carries for many. */
const CONFBRIDGE = 'application/x-asterisk-confbridge-chat+json';
const TYPING = 'application/im-iscomposing+xml';
/** RFC 5438 §7.2.1 wants it in CPIM; clients of texts without CPIM have none to put it in, and send it bare. */
const NOTIFICATION = 'message/imdn+xml';
/** What goes on as it came: signs of writing, notifications, and what stands for a file on a server or a place. */
const AS_IT_CAME: readonly string[] = [
  TYPING,
  NOTIFICATION,
  'application/vnd.gsma.rcs-ft-http+xml',
  'application/vnd.gsma.rcspushlocation+xml',
];
/** What a MESSAGE may bring: the Accept of a 415. */
export const MESSAGE_TYPES: readonly string[] = ['text/plain', 'text/html', 'message/cpim', CONFBRIDGE, ...AS_IT_CAME];

/** What a MESSAGE says, ready for the room. */
export interface Incoming {
  readonly posting: Posting;
  /** Its text, where it is one that we read; for the guard against loops. */
  readonly text: string | undefined;
  /** It names its real author: its sender speaks for others. */
  readonly namesAuthor: boolean;
}

/** Who writes where. */
export interface MessagePlace {
  readonly room: ChatRoom;
  readonly speaker: Speaker;
  readonly profile: PeerProfile;
  /** Milliseconds since 1970. */
  readonly now: number;
}

/**
 * Reads a MESSAGE as a posting to the room (RFC 3428 §7): what is message/cpim already goes as it is, all else is wrapped.
 * @throws SipError 415 with Accept, 413, or 400
 */
export function readMessage(request: SipRequest, { room, speaker, profile, now }: MessagePlace): Incoming {
  const body = inspectBody(request, MESSAGE_TYPES);
  const parts = body === undefined ? [] : leafParts(body, isKnown).filter(isKnown);
  const [part] = parts;
  if (part === undefined) throw new SipError(400, 'no text in it');
  const id = idOf(request);
  const { type } = part.type;
  if (type === 'message/cpim') {
    // The parser's bytes are a slice of what the socket gave.
    return {
      posting: { messageId: id, contentType: 'message/cpim', body: part.body.slice() },
      text: undefined,
      namesAuthor: false,
    };
  }
  const said = AS_IT_CAME.includes(type) ? undefined : saidIn(parts, profile);
  const notification = type === NOTIFICATION ? { notification: id } : {};
  const wrapped = wrap(said ?? { contentType: type, content: part.body, ...notification }, speaker, room, now);
  return {
    posting: { ...wrapped, messageId: id },
    text: said?.text,
    namesAuthor: said?.author !== undefined,
  };
}

function isKnown(part: BodyPart): boolean {
  return matchesMediaType(part.type, MESSAGE_TYPES);
}

/**
 * One id for one MESSAGE: the same request repeated keeps it, a later one has a higher CSeq. Everybody in the room sees it,
 * and shall not know by what Call-ID and tag its author is known to us: where he is stands in many a Call-ID.
 */
function idOf({ callId, fromTag = '', cseq }: SipRequest): MessageId {
  return messageId(
    createHash('sha256')
      .update(`${callId};${fromTag};${String(cseq.seq)}`)
      .digest('base64url'),
  );
}

/** The text of all parts that are text: nothing is lost of a multipart/mixed. */
function saidIn(parts: readonly BodyPart[], profile: PeerProfile): BareText {
  const [first, ...more] = parts
    .filter(({ type: { type } }) => type !== 'message/cpim' && !AS_IT_CAME.includes(type))
    .map((part) => textOf(part, profile));
  return { ...first, text: [first, ...more].map((said) => said?.text ?? '').join('\n') };
}

function textOf(part: BodyPart, profile: PeerProfile): BareText {
  const text = decode(part.type.params.get('charset'), part.body);
  switch (part.type.type) {
    case CONFBRIDGE:
      return fromConfBridge(text);
    case 'text/html':
      return { text: htmlToText(text) };
    default:
      return plainText(text, profile);
  }
}

/** `{"From": "…", "Body": "…"}`. */
function fromConfBridge(json: string): BareText {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    throw new SipError(400, 'body is no JSON');
  }
  const member = (name: string): string | undefined => {
    const found =
      typeof value === 'object' && value !== null ? Object.entries(value).find(([key]) => key === name) : undefined;
    return typeof found?.[1] === 'string' ? found[1] : undefined;
  };
  const text = member('Body');
  if (text === undefined) throw new SipError(400, 'no Body in the JSON');
  return withAuthor(text, member('From'));
}

/** What plain text of such a peer says: where it speaks for many, `NAME::` and a line break stand before the text. */
export function plainText(text: string, { bridge }: Pick<PeerProfile, 'bridge'>): BareText {
  if (bridge !== 'freeswitch') return { text };
  const match = /^([^\r\n]{1,80})::\r?\n/.exec(text);
  return match === null ? { text } : withAuthor(text.slice(match[0].length), match[1]);
}

function withAuthor(text: string, author: string | undefined): BareText {
  const name =
    author
      ?.replace(/\p{Cc}/gu, ' ')
      .trim()
      .slice(0, 80) ?? '';
  return name === '' ? { text } : { text, author: name };
}
