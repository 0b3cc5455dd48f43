/**
 * Loops of what is said to everybody: two rooms that are joined twice over give each text back to each other for ever,
 * and so do machines that quote what they answer, by whatever protocol. The rule: an endpoint that twice in a row gives
 * back what others have just said, whole or its beginning, is a loop. What has not reached it, it cannot give back; and
 * what was said before it came is no matter: it may know that as the past, but who comes again says the same as before.
 */
import type { EndpointId } from '../conference/ids.ts';
import { Recent } from '../conference/recent.ts';
import { isAlike } from './alike.ts';

/** When a text counts as one that came back. */
export interface EchoLimits {
  /** How long a text is remembered, in ms: machines answer soon. */
  readonly memory: number;
  /** Texts remembered. */
  readonly texts: number;
  /** A text of at least so many characters is known again also within a longer one: a relay adds a name. */
  readonly within: number;
  /** Of a longer one its first so many are enough: who quotes it may cut it. */
  readonly quoted: number;
  /** So many in a row come back by accident, or in fun; and of those that are quoted among so many characters. */
  readonly tolerated: number;
  readonly toleratedQuoted: number;
  readonly words: number;
  /**
   * The same for texts of fewer characters than `short`, with which people agree, thank each other, and say good night,
   * and for what is like that which an endpoint has just said itself: it may report the same as others do, in its own
   * name.
   */
  readonly toleratedOften: number;
  readonly short: number;
  /** So many more than it gives back may have reached an endpoint, while it gives texts back. */
  readonly passed: number;
  /** Endpoints that are counted at a time. */
  readonly endpoints: number;
}

const DEFAULT_ECHO_LIMITS: EchoLimits = {
  memory: 8_000,
  texts: 32,
  within: 8,
  quoted: 16,
  tolerated: 1,
  toleratedQuoted: 2,
  words: 16,
  toleratedOften: 4,
  short: 16,
  passed: 8,
  endpoints: 1_000,
};

/** What was said, one line of it: quotation marks of mail and breaks of lines are no difference. */
interface Heard {
  readonly by: EndpointId;
  readonly line: string;
  readonly start: string;
  readonly at: number;
}

/** What one endpoint has said last, and given back before. */
interface Row {
  last: string;
  /** How many in a row it has given back, and how many texts of all had been judged before the first. */
  count: number;
  from: number;
}

/** Watches one room. */
export class Echoes {
  readonly #limits: EchoLimits;
  /** By their number modulo `texts`. */
  readonly #heard: Heard[] = [];
  readonly #rows: Recent<EndpointId, Row>;
  #judged = 0;

  constructor(limits: Partial<EchoLimits> = {}) {
    this.#limits = { ...DEFAULT_ECHO_LIMITS, ...limits };
    this.#rows = new Recent(this.#limits.endpoints);
  }

  /**
   * Somebody says something to everybody. `echo`: what others have just said; `first`: a loop has just been found;
   * `again`: it goes on.
   * @param underWay texts that are not known to have reached who speaks
   * @param came when it came; `-Infinity`: it has always been there
   */
  judge(
    by: EndpointId,
    text: string,
    underWay: number,
    now: number,
    came = -Infinity,
  ): 'fine' | 'echo' | 'first' | 'again' {
    const line = lineOf(text);
    const row = this.#rows.get(by) ?? { last: '', count: 0, from: 0 };
    this.#rows.set(by, row);
    const echo = this.#echo(by, line, row.last, underWay, Math.max(came, now - this.#limits.memory));
    const { tolerated, toleratedQuoted, toleratedOften, short, words, texts } = this.#limits;
    const { last } = row;
    row.last = line;
    row.count = echo === undefined ? 0 : this.#inRow(row, underWay);
    this.#heard[this.#judged % texts] = { by, line, start: line.slice(0, this.#limits.quoted), at: now };
    this.#judged += 1;
    if (echo === undefined) return 'fine';
    // What a relay gives back once more, it says with more words.
    const isReport = line === last || (line === echo.line && isAlike(line, last) && !line.includes(last));
    const often = line.length < short || isReport;
    const isQuoted = line.length - echo.line.length > words || !line.includes(echo.line);
    const most = often ? toleratedOften : isQuoted ? toleratedQuoted : tolerated;
    if (row.count <= most) return often ? 'fine' : 'echo';
    return row.count === most + 1 ? 'first' : 'again';
  }

  /** What others have said since then of which this gives back something, and which has reached whoever says it now. */
  #echo(by: EndpointId, line: string, before: string, underWay: number, since: number): Heard | undefined {
    const { texts } = this.#limits;
    // One may come back before its reception is told.
    let ahead = underWay <= 1 ? 0 : underWay;
    for (let n = this.#judged - 1; n >= 0 && n >= this.#judged - texts; n -= 1) {
      const heard = this.#heard[n % texts];
      if (heard === undefined || heard.at < since) return undefined;
      if (heard.by === by) continue;
      if (ahead > 0) ahead -= 1;
      else if (this.#gives(line, heard, before)) return heard;
    }
    return undefined;
  }

  #gives(line: string, heard: Heard, before: string): boolean {
    const { within, quoted } = this.#limits;
    if (line === heard.line) return true;
    if (heard.start.length < within || line.length < within) return false;
    const at = line.indexOf(heard.start);
    if (at < 0) return false;
    if (heard.line.length <= quoted) return true;
    // Who reports begins like others who do, and like himself: that is no quotation.
    const length = shared(line, at, heard.line);
    if (length === heard.line.length) return true;
    const own = before.indexOf(heard.start);
    return length >= (at === 0 ? 2 : 1) * quoted && (own < 0 || length >= shared(before, own, heard.line) + within);
  }

  /** Counts one more text that an endpoint gives back; whoever lets pass what others say begins anew. */
  #inRow(row: Row, underWay: number): number {
    const passed = this.#judged - row.from - 2 * row.count - Math.min(underWay, this.#judged);
    if (row.count > 0 && passed <= this.#limits.passed) return row.count + 1;
    row.from = this.#judged - 1;
    return 1;
  }
}

/** How many characters of another line a line has from there. */
function shared(line: string, at: number, other: string): number {
  let length = 0;
  while (length < other.length && line[at + length] === other[length]) length += 1;
  return length;
}

function lineOf(text: string): string {
  return /[>\r\n\t]| {2}/.test(text) ? text.replace(/[\s>]+/g, ' ').trim() : text;
}
