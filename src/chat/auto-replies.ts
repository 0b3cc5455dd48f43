/**
 * Machines that answer to everything: a notice of absence, or that a message could not be delivered. Two of them would
 * talk with each other for ever, by whatever protocol. They are known by being regular in all respects at once: each text
 * that reaches them is answered, once, at once, and in the same words. People repeat themselves, too: later, or more
 * often, or not each time.
 */
import type { UserUri } from '../conference/ids.ts';
import { Recent } from '../conference/recent.ts';

/** When answers count as made by a machine. */
export interface AutoReplyLimits {
  /** So many such answers in a row may be a person's. */
  readonly repetitions: number;
  /** So many texts among those that it answers may have stayed without an answer, but for those of the last `lag` ms. */
  readonly unanswered: number;
  readonly lag: number;
  /** Of the last `lag` ms, so many for each of its answers: of more it is not known whether they are what it answers. */
  readonly crowd: number;
  /** How quickly a machine answers, in ms. */
  readonly reflex: number;
  /** The same for what is typed so quickly by hand: a text of fewer characters than `short`. */
  readonly quick: number;
  readonly short: number;
  /** How long what it repeats is not taken, from its last try, in ms. */
  readonly silence: number;
  /** Characters of each text that are compared. */
  readonly length: number;
  /** Speakers that are watched at a time. */
  readonly speakers: number;
}

const DEFAULT_LIMITS: AutoReplyLimits = {
  repetitions: 4,
  unanswered: 3,
  lag: 1_000,
  crowd: 4,
  reflex: 5_000,
  quick: 1_000,
  short: 16,
  silence: 600_000,
  length: 500,
  speakers: 1_000,
};

/** Who says something, and to whom. */
export interface Utterance {
  /** Tells one source of texts from another. */
  readonly source: string;
  readonly user: UserUri;
  /** Whom it is for alone; undefined: for everybody. */
  readonly to: UserUri | undefined;
  /** Undefined for what is no text. */
  readonly text: string | undefined;
  readonly now: number;
}

/** Texts of one source that are alike, one after the other. */
interface Run {
  /** Its last one. */
  text: Words;
  readonly to: UserUri | undefined;
  /** What had been said to everybody, and to it alone, before what it heard first. */
  readonly base: number;
  readonly basePrivate: number;
  tries: number;
  /** Those of them that were said to everybody. */
  own: number;
  /** Those that were as a machine gives them. */
  count: number;
  silent: boolean;
  /** Its last try, and what had been said to everybody, and to it alone, by then. */
  at: number;
  public: number;
  private: number;
}

/** Watches one room. */
export class AutoReplies {
  readonly #limits: AutoReplyLimits;
  readonly #runs: Recent<string, Run>;
  readonly #privately: Recent<UserUri, { readonly count: number; readonly at: number }>;
  readonly #public: Tally;
  /** When somebody has spoken to everybody last, and when somebody else has before him. */
  #last: { readonly source: string; readonly at: number } | undefined;
  #lastOther: { readonly source: string; readonly at: number } | undefined;

  constructor(limits: Partial<AutoReplyLimits> = {}) {
    this.#limits = { ...DEFAULT_LIMITS, ...limits };
    this.#public = new Tally(this.#limits.lag);
    this.#runs = new Recent(this.#limits.speakers);
    this.#privately = new Recent(this.#limits.speakers);
  }

  /** Somebody says something. `first`: a machine has just been found out, and is not to be heard; `again`: it goes on. */
  judge(said: Utterance): 'fine' | 'first' | 'again' {
    const verdict = said.text === undefined ? 'fine' : this.#judge(said, new Words(said.text, this.#limits.length));
    if (verdict === 'fine') this.#note(said);
    return verdict;
  }

  #judge(said: Utterance, text: Words): 'fine' | 'first' | 'again' {
    const known = this.#runs.get(said.source);
    const isQuick = said.now - this.#lastHeard(said) <= this.#patience(text);
    const run = this.#continued(known, said, text, isQuick) ?? this.#begun(known, said, text, isQuick);
    run.tries += 1;
    if (isQuick && this.#heardBy(run, said) >= run.tries) run.count += 1;
    const wasSilent = run.silent;
    run.silent ||= run.count > this.#limits.repetitions;
    run.text = text;
    run.at = said.now;
    run.public = this.#public.count;
    run.private = this.#privateCount(said);
    this.#runs.set(said.source, run);
    if (!run.silent) return 'fine';
    return wasSilent ? 'again' : 'first';
  }

  /** The run that a text goes on with; undefined when it shows that it is no machine's, or no longer the same one's. */
  #continued(known: Run | undefined, said: Utterance, text: Words, isQuick: boolean): Run | undefined {
    if (known === undefined || known.to !== said.to) return undefined;
    const { silence, unanswered, crowd } = this.#limits;
    const waiting = this.#heardBy(known, said) - known.tries;
    // Whoever lets texts pass is a person, or a machine that speaks for itself.
    if (waiting > unanswered + crowd * known.tries) return undefined;
    if (this.#heardBy(known, said, this.#public.settled(said.now)) - known.tries > unanswered) return undefined;
    const goesOn = known.silent ? said.now - known.at <= silence : isQuick && waiting > 0;
    return goesOn && isAlike(known.text.words, text.words) ? known : undefined;
  }

  /** A new run: what was said a while ago is not what it answers, but for the last text. */
  #begun(known: Run | undefined, said: Utterance, text: Words, isQuick: boolean): Run {
    const heard = this.#privateCount(said);
    const sinceLast = known?.public ?? 0;
    const most = this.#public.count - this.#limits.unanswered - 1;
    const lately = Math.max(sinceLast, most, this.#public.settled(said.now));
    const answersLast = isQuick && lately === this.#public.count && lately > sinceLast;
    return {
      text,
      to: said.to,
      base: answersLast ? lately - 1 : lately,
      basePrivate: isQuick && heard > (known?.private ?? 0) ? heard - 1 : heard,
      tries: 0,
      own: 0,
      count: 0,
      silent: false,
      at: said.now,
      public: 0,
      private: 0,
    };
  }

  /** How many texts have reached a source in its run, of so many that were said to everybody. */
  #heardBy({ base, own, basePrivate }: Run, said: Utterance, all = this.#public.count): number {
    return all - base - own + this.#privateCount(said) - basePrivate;
  }

  #privateCount({ user }: Utterance): number {
    return this.#privately.get(user)?.count ?? 0;
  }

  /** When the last text has reached a source. */
  #lastHeard({ source, user }: Utterance): number {
    const other = this.#last?.source === source ? this.#lastOther : this.#last;
    return Math.max(other?.at ?? -Infinity, this.#privately.get(user)?.at ?? -Infinity);
  }

  /** It will be heard by others. */
  #note({ source, to, now }: Utterance): void {
    if (to !== undefined) {
      this.#privately.set(to, { count: (this.#privately.get(to)?.count ?? 0) + 1, at: now });
      return;
    }
    this.#public.add(now);
    if (this.#last !== undefined && this.#last.source !== source) this.#lastOther = this.#last;
    this.#last = { source, at: now };
    const run = this.#runs.get(source);
    if (run === undefined) return;
    // Nobody hears himself.
    run.own += 1;
    run.public = this.#public.count;
  }

  #patience(text: Words): number {
    const { quick, reflex, short } = this.#limits;
    return text.length < short ? quick : reflex;
  }
}

/** A text, read when it has to be compared: most are not. */
class Words {
  readonly length: number;
  readonly #text: string;
  #words: string | undefined;

  constructor(text: string, most: number) {
    this.#text = text.slice(0, most);
    this.length = this.#text.length;
  }

  /** The text without what differs from one notice to the next: ids, times and counts; they may also be all that it says. */
  get words(): string {
    if (this.#words !== undefined) return this.#words;
    const whole = this.#text.toLowerCase().replace(/\s+/g, ' ').trim();
    const words = whole.replace(/[0-9a-f-]+/g, (run) => (/\d/.test(run) ? '#' : run));
    this.#words = /\p{L}.*\p{L}.*\p{L}/u.test(words) ? words : whole;
    return this.#words;
  }
}

/** Counts, and knows roughly how many there were a while ago. */
class Tally {
  count = 0;
  readonly #while: number;
  #last = -Infinity;
  /** Since when it has counted from `#start`, and from how many before that. */
  #since = -Infinity;
  #start = 0;
  #before = 0;

  constructor(ms: number) {
    this.#while = ms;
  }

  add(now: number): void {
    if (now - this.#since >= this.#while) {
      this.#before = this.#start;
      this.#start = this.count;
      this.#since = now;
    }
    this.#last = now;
    this.count += 1;
  }

  /** How many there were a while ago; a little fewer, perhaps. */
  settled(now: number): number {
    if (now - this.#last >= this.#while) return this.count;
    return now - this.#since >= this.#while ? this.#start : this.#before;
  }
}

/** Of a text that is alike, so much of the shorter one is at its beginning and its end: what it quotes stands between. */
const ALIKE = 0.75;
const ALIKE_AT_LEAST = 12;

function isAlike(one: string, other: string): boolean {
  if (one === other) return true;
  const shorter = Math.min(one.length, other.length);
  let start = 0;
  while (start < shorter && one[start] === other[start]) start += 1;
  let end = 0;
  while (end < shorter - start && one[one.length - 1 - end] === other[other.length - 1 - end]) end += 1;
  return start + end >= Math.max(ALIKE_AT_LEAST, ALIKE * shorter);
}
