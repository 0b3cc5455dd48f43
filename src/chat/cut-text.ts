/** Ends a text of which there is more. */
const CUT = ' […]';
const CUT_BYTES = Buffer.byteLength(CUT);

/** A text if it has no more octets than that in UTF-8, else its beginning with a mark, in at most so many octets. */
export function cutText(text: string, octets: number): string {
  // No character of JavaScript's has more than three.
  if (text.length * 3 <= octets) return text;
  // A character has one octet at least: the rest need not be looked at, however long a text is.
  const bytes = Buffer.from(text.slice(0, octets + 1));
  if (bytes.length <= octets) return text;
  // A character cut in two shows as U+FFFD: it goes, too.
  return `${bytes.toString('utf8', 0, Math.max(0, octets - CUT_BYTES)).replace(/\uFFFD+$/, '')}${CUT}`;
}
