/**
 * Machines that answer to everything: a notice of absence, or that a message could not be delivered. Two of them would
 * talk with each other for ever, by whatever protocol. They are known by being regular in all respects at once: each text
 * that has reached them is answered, once, at once, and in the same words. People repeat themselves, too: later, or more
 * often, or not each time. Programs that report are no such machines, however fast they are and whoever reports beside
 * them: they let pass what others say, or speak before it has reached them, or when nobody has said anything.
 */
import type { UserUri } from '../conference/ids.ts';
import { Recent } from '../conference/recent.ts';

/** When answers count as made by a machine. */
export interface AutoReplyLimits {
  /** So many such answers in a row may be a person's. */
  readonly repetitions: number;
  /** So many in a row may be given by all together, of those who have given two before. */
  readonly chain: number;
  /** So many of the texts that have reached it may have stayed without an answer. */
  readonly unanswered: number;
  /** So many it may answer before it says that it has got them. */
  readonly ahead: number;
  /** Of what it says while others say nothing, so many may be such answers. */
  readonly atOnce: number;
  /**
   * Where more than two answer, each has more to answer than it has said: so many more texts for each of its answers. Of
   * those of the last `lag` ms it is not known yet whether they stay without; where still more come, it takes `crowd` ms
   * and `crowdTries` answers until one is taken for a machine.
   */
  readonly more: number;
  readonly lag: number;
  readonly crowd: number;
  readonly crowdTries: number;
  /** While more than so many are on their way to it, it is not known what it answers. */
  readonly underWay: number;
  /** So many texts that answer nothing may be beginnings of loops; whoever says more of them speaks for itself. */
  readonly beginnings: number;
  /** Nobody is taken to answer one who has said more of them than this: it is no loop, and two may report each hour. */
  readonly monologue: number;
  /** What it can still answer of so many texts: what was said before is past. */
  readonly owed: number;
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
  chain: 3,
  unanswered: 3,
  ahead: 3,
  atOnce: 2,
  more: 2,
  lag: 1_000,
  crowd: 5_000,
  crowdTries: 20,
  underWay: 6,
  beginnings: 3,
  monologue: 8,
  owed: 25,
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
  /** Texts on their way to the source: not known to have reached it. */
  readonly underWay: number;
  /** Nobody will hear it, whatever it is: its source is too fast. Default false. */
  readonly refused?: boolean;
  readonly now: number;
}

/** Texts of one source that are alike, one after the other. */
interface Run {
  /** Its last one. */
  text: Words;
  readonly to: UserUri | undefined;
  tries: number;
  /** When it began. */
  readonly since: number;
  /** Texts that were said to it. */
  heard: number;
  /** How many it has said since others have said something. */
  burst: number;
  /** How many more it has said than it can have answered; each answer takes away more than it gives. */
  alone: number;
  /** Its answers in a row that were as a machine gives them. */
  count: number;
  silent: boolean;
  /** It was seen to say this by itself. */
  own: boolean;
  /** Its last try, and what had been said to everybody, and to it alone, by then. */
  at: number;
  public: number;
  prompts: number;
  private: number;
}

/** A run before its first try. */
function begun({ to, now }: Utterance, text: Words, heard: number, own: boolean): Run {
  return {
    text,
    to,
    tries: 0,
    since: now,
    heard,
    burst: 0,
    alone: 0,
    count: 0,
    silent: false,
    own,
    at: now,
    public: 0,
    prompts: 0,
    private: 0,
  };
}

/** Watches one room. */
export class AutoReplies {
  readonly #limits: AutoReplyLimits;
  readonly #runs: Recent<string, Run>;
  readonly #privately: Recent<UserUri, { readonly count: number; readonly at: number }>;
  /** What was said to everybody: all, and what one may be taken to answer. */
  readonly #public: Tally;
  readonly #prompts: Tally;
  /** When somebody has spoken to everybody last, and when somebody else has before him. */
  #last: { readonly source: string; readonly at: number } | undefined;
  #lastOther: { readonly source: string; readonly at: number } | undefined;
  /** The last texts in a row that were such answers. */
  #chain = 0;

  constructor(limits: Partial<AutoReplyLimits> = {}) {
    this.#limits = { ...DEFAULT_LIMITS, ...limits };
    this.#public = new Tally(this.#limits.lag);
    this.#prompts = new Tally(this.#limits.reflex);
    this.#runs = new Recent(this.#limits.speakers);
    this.#privately = new Recent(this.#limits.speakers);
  }

  /** Somebody says something. `first`: a machine has just been found out, and is not to be heard; `again`: it goes on. */
  judge(said: Utterance): 'fine' | 'first' | 'again' {
    if (said.text === undefined) {
      this.#chain = 0;
      this.#note(said, true);
      return 'fine';
    }
    const run = this.#run(said, new Words(said.text, this.#limits.length));
    const isAnswer = this.#isAnswer(run, said);
    if (isAnswer) run.count += 1;
    else if (!this.#isQuick(said, run.text)) run.count = 0;
    const { repetitions, chain, beginnings, monologue } = this.#limits;
    const repeats = isAnswer && run.count > 2;
    const isMachine = run.count > repetitions || (repeats && this.#chain >= chain) || this.#answersInCrowd(run, said);
    const wasSilent = run.silent;
    run.own ||= run.alone > (wasSilent ? beginnings : monologue);
    run.silent = !run.own && (wasSilent || isMachine);
    if (run.silent) return wasSilent ? 'again' : 'first';
    if (said.refused === true) return 'fine';
    this.#chain = repeats ? this.#chain + 1 : 0;
    this.#note(said, !run.own);
    run.public = this.#public.count;
    run.prompts = this.#prompts.count;
    return 'fine';
  }

  /** The run that a text goes on with, or a new one, with this text. */
  #run(said: Utterance, text: Words): Run {
    const known = this.#runs.get(said.source);
    const aside = this.#privateCount(said) - (known?.private ?? 0);
    const settled = this.#prompts.settled(said.now);
    const isLong = said.now - this.#lastHeard(said) > this.#limits.reflex;
    const answerable = isLong ? 0 : this.#prompts.count - Math.max(known?.prompts ?? 0, settled) + aside;
    const heard = this.#public.count - (known?.public ?? 0) + aside;
    const isAsBefore = known !== undefined && known.to === said.to && isAlike(known.text.words, text.words);
    // What was said a while ago is not what it answers.
    const already = Math.min(answerable, this.#limits.unanswered + 1) - heard;
    const run = (isAsBefore && this.#goesOn(known, said, heard)) || begun(said, text, already, isAsBefore && known.own);
    run.tries += 1;
    run.heard += heard;
    run.burst = heard === 0 ? run.burst + 1 : 1;
    // What is too fast may be the last of many answers.
    const alone = run.alone + (said.refused === true ? 0 : 1) - (answerable === 0 ? 0 : answerable + 1 / 4);
    run.alone = Math.max(alone, -this.#limits.owed);
    run.text = text;
    run.at = said.now;
    run.public = this.#public.count;
    run.prompts = this.#prompts.count;
    run.private = this.#privateCount(said);
    this.#runs.set(said.source, run);
    return run;
  }

  /** A run that goes on; not when its source lets pass what others say, as people do, and machines that speak for themselves. */
  #goesOn(run: Run, said: Utterance, heard: number): Run | false {
    const { unanswered, silence } = this.#limits;
    const passed = run.heard + heard - said.underWay - (run.tries + 1);
    return passed - this.#recent(said) <= unanswered && !(run.silent && said.now - run.at > silence) && run;
  }

  /** Whether it can be the answer to a text that has reached its source, given as a machine does. */
  #isAnswer({ tries, heard, burst, count, text }: Run, said: Utterance): boolean {
    const { underWay, ahead, atOnce, unanswered, more } = this.#limits;
    if (!this.#isQuick(said, text) || said.underWay > underWay || burst > atOnce || tries > heard) return false;
    const reached = heard - said.underWay;
    return tries <= reached + ahead && reached - tries <= unanswered + more * count;
  }

  /** Whether a source has answered for long all that several others say so fast that they are taken for such machines. */
  #answersInCrowd({ tries, heard, since, text }: Run, said: Utterance): boolean {
    const { underWay, crowd, crowdTries } = this.#limits;
    if (!this.#isQuick(said, text) || said.underWay > underWay || tries > heard) return false;
    return tries >= crowdTries && said.now - since >= crowd;
  }

  /** How many texts were said in the last while. */
  #recent({ now }: Utterance): number {
    return this.#public.count - this.#public.settled(now);
  }

  #privateCount({ user }: Utterance): number {
    return this.#privately.get(user)?.count ?? 0;
  }

  /** When the last text was said to a source. */
  #lastHeard({ source, user }: Utterance): number {
    const other = this.#last?.source === source ? this.#lastOther : this.#last;
    return Math.max(other?.at ?? -Infinity, this.#privately.get(user)?.at ?? -Infinity);
  }

  /** It will be heard by others, who can be taken to answer it, or not. */
  #note({ source, to, now }: Utterance, prompts: boolean): void {
    if (to !== undefined) {
      this.#privately.set(to, { count: (this.#privately.get(to)?.count ?? 0) + 1, at: now });
      return;
    }
    this.#public.add(now);
    if (!prompts) return;
    this.#prompts.add(now);
    if (this.#last !== undefined && this.#last.source !== source) this.#lastOther = this.#last;
    this.#last = { source, at: now };
  }

  #isQuick(said: Utterance, text: Words): boolean {
    const { quick, reflex, short } = this.#limits;
    return said.now - this.#lastHeard(said) <= (text.length < short ? quick : reflex);
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
