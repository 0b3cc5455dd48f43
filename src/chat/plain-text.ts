import { type CpimMessage, MsrpError, parseCpim, textOf } from '../../msrp/index.ts';
import type { Said } from '../conference/events.ts';
import { htmlToText } from './html-text.ts';

/** Signs that programs make for programs: no text for people. */
const SIGNS: ReadonlySet<string> = new Set(['application/im-iscomposing+xml', 'message/imdn+xml']);

/** What was said, read once for all who cannot take it as it is. */
export interface PlainText {
  readonly text: string;
  /** The message it was wrapped in. */
  readonly cpim: CpimMessage;
}

/**
 * A message as plain text, for peers that can show no more: text as it is, HTML as its text, anything else as a line
 * that says what came. `undefined` for what is no text for people: signs of writing, reports.
 */
export function plainTextOf(said: Said): PlainText | undefined {
  if (said.wrappedType !== undefined && SIGNS.has(said.wrappedType)) return undefined;
  const cpim = read(said.cpim);
  if (cpim === undefined) return undefined;
  const { mediaType } = cpim.contentType;
  if (SIGNS.has(mediaType)) return undefined;
  return { text: shown(cpim, mediaType), cpim };
}

function read(bytes: Uint8Array): CpimMessage | undefined {
  try {
    return parseCpim(bytes);
  } catch (fault) {
    if (fault instanceof MsrpError) return undefined;
    throw fault;
  }
}

function shown(cpim: CpimMessage, mediaType: string): string {
  if (!mediaType.startsWith('text/')) return `[${mediaType}, ${sizeOf(cpim.content.length)}]`;
  const text = decoded(cpim);
  return (mediaType === 'text/html' ? htmlToText(text) : text).trim();
}

function decoded(cpim: CpimMessage): string {
  try {
    return textOf(cpim);
  } catch (fault) {
    if (fault instanceof MsrpError) return '';
    throw fault;
  }
}

function sizeOf(bytes: number): string {
  return bytes < 1024 ? `${String(bytes)} bytes` : `${String(Math.round(bytes / 1024))} kB`;
}
