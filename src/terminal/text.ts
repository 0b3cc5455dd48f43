/** Colours by the number of their control sequence (ECMA-48 §8.3.117). */
const COLOURS = [32, 33, 34, 35, 36, 92, 93, 94, 95, 96] as const;

/** How text is dressed for a terminal, or not at all. */
export interface Dress {
  name(name: string): string;
  dim(text: string): string;
  bold(text: string): string;
}

/** For pipes and terminals that know no colours. */
export const plainDress: Dress = { name: (name) => name, dim: (text) => text, bold: (text) => text };

/** For terminals with colours; somebody always has the same one. */
export const colourDress: Dress = {
  name: (name) => dressed(COLOURS[sumOf(name) % COLOURS.length] ?? 32, name),
  dim: (text) => dressed(2, text),
  bold: (text) => dressed(1, text),
};

/**
 * What others write, made harmless: control characters, which could steer the terminal, and marks that turn the
 * direction of text are taken out; further lines are indented, so that none can look like another message.
 */
export function harmless(text: string): string {
  return oneLineEach(text.replace(/\r\n?/g, '\n')).join('\n  ');
}

/** The same on one line: for names and subjects. */
export function harmlessLine(text: string): string {
  return oneLineEach(text.replace(/\s+/g, ' ')).join(' ');
}

/** Hours and minutes of today, the date too for any other day. */
export function timeOf(at: Date, now: Date): string {
  const two = (number: number): string => String(number).padStart(2, '0');
  const time = `${two(at.getHours())}:${two(at.getMinutes())}`;
  if (at.toDateString() === now.toDateString()) return time;
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${time}`;
}

function oneLineEach(text: string): string[] {
  return text
    .split('\n')
    .map((line) => line.replace(/[^\P{Cc}\t]|[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu, ''));
}

function dressed(code: number, text: string): string {
  return `\u001b[${code}m${text}\u001b[0m`;
}

function sumOf(text: string): number {
  let sum = 0;
  for (let at = 0; at < text.length; at++) sum = (sum * 31 + text.charCodeAt(at)) % 65_536;
  return sum;
}
