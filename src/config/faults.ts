/** What can be wrong with a configuration, said so that it can be found and mended. */

/** One fault: where it stands, which key it is about, and what is the matter. */
export interface ConfigFault {
  /** `FILE:LINE:COLUMN`, the name of a variable, or the option of the command line. */
  readonly place: string;
  /** The key as a dotted path; empty when the fault is about the whole. */
  readonly key: string;
  readonly message: string;
}

/** The configuration cannot be used. Carries all its faults; the message lists them, one a line. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly faults: readonly ConfigFault[];

  constructor(faults: readonly ConfigFault[]) {
    super(faults.map(formatFault).join('\n'));
    this.faults = faults;
  }
}

/**
 * Longest part of a fault that is shown, in UTF-16 code units: enough to list the keys that are known, and an end to what is
 * quoted of a file that is no configuration.
 */
const LONGEST = 1000;

/** One fault as one line: `PLACE: KEY: message`. What a terminal would not print is shown by its number. */
export function formatFault(fault: ConfigFault): string {
  return [fault.place, fault.key, fault.message]
    .filter((part) => part !== '')
    .map((part) => printable(part.length > LONGEST ? `${part.slice(0, LONGEST)} …` : part))
    .join(': ');
}

function printable(text: string): string {
  return text.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, (odd) => `\\u{${(odd.codePointAt(0) ?? 0).toString(16)}}`);
}

/** The known name that was most likely meant, if one is near enough to be worth naming. */
export function nearest(name: string, known: Iterable<string>): string | undefined {
  let best: string | undefined;
  let bound = (name.length < 4 ? 1 : Math.max(2, Math.floor(name.length / 3))) + 1;
  for (const candidate of known) {
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase());
    if (distance < bound) [best, bound] = [candidate, distance];
  }
  return best;
}

/** Levenshtein distance: how many characters must be put in, taken out or changed. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 0; i < a.length; i++) {
    let [diagonal = 0, left] = [row[0], i + 1];
    const next = [left];
    for (let j = 1; j <= b.length; j++) {
      const above = row[j] ?? 0;
      left = Math.min(above + 1, left + 1, diagonal + (b[j - 1] === a[i] ? 0 : 1));
      next.push(left);
      diagonal = above;
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
