import {
  contentOf,
  type CpimMessage,
  type Imdn,
  isImdn,
  mimeValue,
  MsrpError,
  parseCpim,
  parseImdn,
  textOf,
} from '../../msrp/index.ts';
import type { Audience } from '../conference/events.ts';
import type { MessageId } from '../conference/ids.ts';
import { isCommand, seemsCommand } from './commands.ts';
import { personKey } from './domains.ts';
import type { ChatRefusal } from './refusals.ts';
import type { Speaker } from './speaker.ts';

/** What somebody sends to the room, before anybody has looked at it. */
export interface Posting {
  readonly messageId: MessageId;
  /** Content-Type as it came. */
  readonly contentType: string;
  /** The posting's own bytes: they are kept as they are. */
  readonly body: Uint8Array;
  /** It was written to one alone, by a name that nobody has. */
  readonly toNobody?: boolean | undefined;
}

/** A posting that has been read: to whom it goes and what it is. */
export type Post = Message | Notification;

/** What is said, or shown while it is being written. */
export interface Message {
  readonly cpim: CpimMessage;
  /** Type of the wrapped content, in lower case, without parameters. */
  readonly wrappedType: string;
  readonly audience: Audience;
  readonly kind: PostKind;
}

/** What somebody tells of a message that he got (RFC 5438): it goes to the author of that message. */
export interface Notification {
  readonly cpim: CpimMessage;
  readonly wrappedType: string;
  readonly kind: 'disposition';
  readonly imdn: Imdn;
  /** Its CPIM To: the author, or the room. */
  readonly to: string;
}

/**
 * What becomes of a post: a `message` is kept and said; `typing` is passed on and forgotten (RFC 3994 §3); `noise`, which
 * clients make by themselves, is taken and goes nowhere; a `command` to the room is carried out and not said.
 */
export type PostKind = 'message' | 'typing' | 'noise' | 'command';

/** What goes to the whole room. */
export const EVERYONE: Audience = { to: 'everyone' };

/** Whom a CPIM To names. */
export type Addressee = Audience | ChatRefusal;

/** Reads a posting by the order of RFC 7701 §6: wrapper, From, To; then what it is. */
export function readPost(
  posting: Posting,
  speaker: Speaker,
  present: { addressee(uri: string): Addressee },
): Post | ChatRefusal {
  if (!/^message\/cpim *(?:;|$)/i.test(posting.contentType)) {
    return { refused: 'not-cpim', reason: 'this room takes message/cpim only' };
  }
  // It goes on as it came, and has to leave room for what stands beside it in a head.
  if (posting.contentType.length > MAX_CONTENT_TYPE) {
    return { refused: 'head-too-large', reason: `a Content-Type of more than ${MAX_CONTENT_TYPE} characters` };
  }
  if (posting.toNobody === true) return TO_NOBODY;
  const cpim = readCpim(posting.body);
  if ('refused' in cpim) return cpim;
  // RFC 7701 §6.3 has 403 for a From that is not the sender's; this is none at all.
  if (cpim.from === undefined) return { refused: 'unreadable', reason: 'CPIM without a From' };
  const key = personKey(cpim.from.uri);
  if (key === undefined || !speaker.names.has(key)) {
    return { refused: 'wrong-sender', reason: `you are known here as ${speaker.shown}` };
  }
  const [to, ...more] = cpim.to;
  if (more.length > 0) return { refused: 'several-recipients', reason: 'one To only: the room or one participant' };
  if (to === undefined) return { refused: 'no-recipient', reason: 'no To header' };
  const wrappedType = cpim.contentType.mediaType;
  if (isImdn(cpim)) return readNotification(cpim, to.uri);
  const audience = present.addressee(to.uri);
  if ('refused' in audience) return audience;
  const kind = kindOf(cpim, wrappedType, speaker, audience);
  if (kind === 'slip') return NO_SUCH_ORDER;
  return { cpim, wrappedType, audience, kind };
}

function readCpim(body: Uint8Array): CpimMessage | ChatRefusal {
  try {
    return parseCpim(body);
  } catch (fault) {
    return unreadable(fault);
  }
}

function readNotification(cpim: CpimMessage, to: string): Notification | ChatRefusal {
  try {
    return { kind: 'disposition', cpim, wrappedType: cpim.contentType.mediaType, imdn: parseImdn(contentOf(cpim)), to };
  } catch (fault) {
    return unreadable(fault);
  }
}

function unreadable(fault: unknown): ChatRefusal {
  if (!(fault instanceof MsrpError)) throw fault;
  return { refused: fault.status === 413 ? 'head-too-large' : 'unreadable', reason: fault.message };
}

function kindOf(cpim: CpimMessage, wrappedType: string, speaker: Speaker, audience: Audience): PostKind | 'slip' {
  if (wrappedType === 'application/im-iscomposing+xml') return 'typing';
  if (wrappedType.startsWith('text/') && speaker.swallow.length > 0) {
    const start = startOf(cpim.content);
    if (speaker.swallow.some((text) => start.startsWith(text))) return 'noise';
  }
  if (audience.to === 'everyone' && wrappedType === 'text/plain' && cpim.content[0] === SLASH && !isFile(cpim)) {
    if (cpim.content.length <= MAX_COMMAND && isCommand(textOf(cpim))) return 'command';
    // Who speaks for many passes on what people wrote who do not know these orders.
    if (!speaker.speaksForMany && seemsCommand(textOf(cpim, MAX_WORD))) return 'slip';
  }
  return 'message';
}

/** What is not said to all, since its author may have meant one alone. */
const TO_NOBODY: ChatRefusal = {
  refused: 'to-nobody',
  reason: 'Said to no one, since nobody here has that name; @all or a blank before it says it to all',
};

/** What is not said to all, since its author may have meant an order. */
const NO_SUCH_ORDER: ChatRefusal = {
  refused: 'no-such-order',
  reason: 'Said to no one, since there is no such order (/help lists them); a blank before it says it to all',
};

/** A file that begins like a command is no command. */
function isFile(cpim: CpimMessage): boolean {
  return mimeValue(cpim, 'content-disposition') !== undefined;
}

const SLASH = 0x2f;

/** Longest Content-Type of what is said, parameters and all. */
const MAX_CONTENT_TYPE = 1024;

/** Longest text that is looked at as a command, in octets. */
const MAX_COMMAND = 2048;

/** Longest word that is looked at as a slip, in octets. */
const MAX_WORD = 64;

/** Enough of a text to know it by. */
function startOf(content: Uint8Array): string {
  let text = '';
  for (let i = 0; i < content.length && i < 16; i += 1) text += String.fromCharCode(content[i] ?? 0);
  return text;
}
