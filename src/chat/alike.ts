/** Of a text that is alike, so much of the shorter one is at its beginning and its end: what it quotes stands between. */
const ALIKE = 0.75;
const ALIKE_AT_LEAST = 12;
const ALIKE_AT_MOST = 24;

/** Whether two texts say much the same. */
export function isAlike(one: string, other: string): boolean {
  const shorter = Math.min(one.length, other.length);
  let start = 0;
  while (start < shorter && one[start] === other[start]) start += 1;
  let end = 0;
  while (end < shorter - start && one[one.length - 1 - end] === other[other.length - 1 - end]) end += 1;
  return start + end >= Math.min(ALIKE_AT_MOST, Math.max(ALIKE_AT_LEAST, ALIKE * shorter));
}
