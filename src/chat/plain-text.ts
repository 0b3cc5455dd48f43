import { type CpimMessage, htmlToText, MsrpError, parseCpim, partsToRead, textOf } from '../../msrp/index.ts';
import type { Said } from '../conference/events.ts';
import { describedBody, type Marks, marksOf, needsOf, sizeOf } from './marks.ts';
import { userPart } from './names.ts';

/** Signs that programs make for programs: no text for people. */
const SIGNS: ReadonlySet<string> = new Set(['application/im-iscomposing+xml', 'message/imdn+xml']);

/** What was said, read once for all who cannot take it as it is. */
export interface PlainText {
  readonly text: string;
  /** The message it was wrapped in. */
  readonly cpim: CpimMessage;
}

/** The beginning of a message with that imdn.Message-ID, if it is remembered. */
export type QuoteOf = (id: string) => string | undefined;

/**
 * A message as plain text, for peers that can show no more: text as it is, HTML as its text, anything else as a line
 * that says what came. `undefined` for what is no text for people: signs of writing, reports.
 */
export function plainTextOf(said: Said, quoteOf: QuoteOf = () => undefined): PlainText | undefined {
  if (said.wrappedType !== undefined && SIGNS.has(said.wrappedType)) return undefined;
  const cpim = read(said.cpim);
  if (cpim === undefined) return undefined;
  const { mediaType } = cpim.contentType;
  if (SIGNS.has(mediaType)) return undefined;
  const needs = needsOf(cpim);
  if (needs.length > 0)
    return { text: `[a message that cannot be shown here, since it needs ${needs.join(', ')}]`, cpim };
  return { text: marked(cpim, marksOf(cpim), quoteOf), cpim };
}

function read(bytes: Uint8Array): CpimMessage | undefined {
  try {
    return parseCpim(bytes);
  } catch (fault) {
    if (fault instanceof MsrpError) return undefined;
    throw fault;
  }
}

/** The text with what its marks say in words: a reply, a reaction, something passed on. */
function marked(cpim: CpimMessage, marks: Marks, quoteOf: QuoteOf): string {
  const text = shown(cpim, marks);
  const { reactionTo, replyTo, replyToSender } = marks;
  if (reactionTo !== undefined) {
    const quote = quoteOf(reactionTo);
    return `reacts with ${text}${quote === undefined ? '' : ` to “${quote}”`}`;
  }
  if (replyTo !== undefined) {
    const quote = quoteOf(replyTo);
    if (quote !== undefined) return `> ${quote}\n${text}`;
    if (replyToSender !== undefined) return `(to ${userPart(replyToSender)}) ${text}`;
  }
  return marks.forwarded ? `(passed on) ${text}` : text;
}

/** RFC 4975 §7.3.1, §14.3: of a multipart what people are to read, each part on lines of its own. */
function shown(cpim: CpimMessage, marks: Marks): string {
  const parts = marks.fileName === undefined ? partsToRead(cpim) : [cpim];
  return parts.map((part) => shownPart(part, part === cpim ? marks : marksOf(part))).join('\n');
}

function shownPart(cpim: CpimMessage, { fileName }: Marks): string {
  const described = describedBody(cpim);
  if (described !== undefined) return described;
  const { mediaType } = cpim.contentType;
  const isFile = fileName !== undefined || !mediaType.startsWith('text/');
  const text = isFile ? '' : decoded(cpim);
  const read = (mediaType === 'text/html' ? htmlToText(text) : text).trim();
  // HTML that holds nothing but a picture is no text either.
  if (!isFile && (read !== '' || mediaType !== 'text/html')) return read;
  const words = [fileName?.replace(/\s+/g, ' '), mediaType, sizeOf(cpim.content.length)];
  return `[${words.filter((word) => word !== undefined).join(', ')}]`;
}

function decoded(cpim: CpimMessage): string {
  try {
    return textOf(cpim);
  } catch (fault) {
    if (fault instanceof MsrpError) return '';
    throw fault;
  }
}
