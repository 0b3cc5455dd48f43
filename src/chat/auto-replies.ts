/**
 * Machines that answer to everything: a notice of absence, or that a message could not be delivered. Several of them would
 * talk with each other for ever, by whatever protocol. The rule:
 *
 * - A source **repeats an answer** when it says the same as before, or much the same, or quotes again, soon after
 *   something has reached it that others have said.
 * - It is a machine when it alone has done so four times in a row and passed over hardly anything; or two have, four and
 *   three times; or three and more: as soon as it is the very same for three of them, else when they have done so five
 *   times together.
 * - A source that **speaks for itself** is none: a program that reports begins to when nobody has said anything to it,
 *   goes on when nobody says more, and passes over what others say; one that says the same each time keeps to its clock.
 */
import type { UserUri } from '../conference/ids.ts';
import { Recent } from '../conference/recent.ts';
import { isAlike } from './alike.ts';

/** When answers count as made by a machine. */
export interface AutoReplyLimits {
  /** Answers repeated in a row, from which one is taken for a machine; and how many count of each of several. */
  readonly alone: number;
  readonly together: number;
  /** So many texts that have reached it one may have left without an answer; and where several answer each other. */
  readonly unanswered: number;
  readonly behind: number;
  /** So many texts that answer nothing show that somebody speaks for himself. */
  readonly unprompted: number;
  /** How soon a machine answers, in ms; and one that is alone. */
  readonly reflex: number;
  readonly reflexAlone: number;
  /** After a longer pause, in ms, what one repeats has nothing to do with what others do. */
  readonly pause: number;
  /** What is typed quickly by hand, fewer characters than `short`, must come so many times as fast. */
  readonly short: number;
  readonly haste: number;
  /** Who began by himself and says the same no more often than this, in ms, speaks for himself. */
  readonly beat: number;
  /** Delays that differ by less, in ms, are the same. */
  readonly regular: number;
  /** How long one who says nothing is remembered for what he has repeated, and for what he must not say again, in ms. */
  readonly memory: number;
  readonly silence: number;
  /** Characters of each text that are compared. */
  readonly length: number;
  /** Sources that are watched at a time. */
  readonly sources: number;
}

const DEFAULT_LIMITS: AutoReplyLimits = {
  alone: 4,
  together: 3,
  unanswered: 3,
  behind: 10,
  unprompted: 3,
  reflex: 8_000,
  reflexAlone: 5_000,
  pause: 15_000,
  short: 16,
  haste: 8,
  beat: 2_000,
  regular: 500,
  memory: 60_000,
  silence: 600_000,
  length: 500,
  sources: 1_000,
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
  /** It gives back what its source was just told; or has done so too often. Default no. */
  readonly quotes?: 'once' | 'again' | undefined;
  /** Texts on their way to the source: not known to have reached it. */
  readonly underWay: number;
  /** Nobody will hear it, whatever it is: its source is too fast. Default false. */
  readonly refused?: boolean;
  readonly now: number;
}

/** What one source has said: texts that are alike, one after the other. */
interface Run {
  text: string;
  readonly to: UserUri | undefined;
  at: number;
  /** The number of the room's last text that is known to have reached it. */
  reached: number;
  /** When those were said that have reached it and that it has not answered, and the last that can have prompted it. */
  readonly due: number[];
  prompted: number;
  /** Texts that it has not answered, with those that are on their way to it. */
  behind: number;
  /** How long after what it answers, and after what it said before, the repetitions came. */
  readonly lag: Spread;
  readonly gap: Spread;
  /** Answers that repeat the one before; and of these, those that are the very same. */
  repeats: number;
  same: number;
  /** Texts that answer nothing; and whether the first was one. */
  unprompted: number;
  begunUnprompted: boolean;
  /** It has once said something that answers nothing, or nothing of late. */
  strayed: boolean;
  /** It speaks for itself, which nobody who answers everything does; or seems to, by the clock. */
  own: 'no' | 'by the clock' | 'yes';
  silent: boolean;
}

/** A text that was said. */
interface Heard {
  readonly source: string;
  readonly to: UserUri | undefined;
  readonly at: number;
  readonly run: Run | undefined;
}

/**
 * What a text can be: an answer; something beside that, where somebody reports or nothing new has come; an answer to what
 * was said too long ago; none.
 */
type Answer = 'answer' | 'beside' | 'late' | 'none';

/** The texts of a room that are looked at: what was said before the last so many is past. */
const HEARD = 64;

/** Watches one room. */
export class AutoReplies {
  readonly #limits: AutoReplyLimits;
  readonly #runs: Recent<string, Run>;
  /** Those that have repeated an answer. */
  readonly #repeating = new Set<Run>();
  /** The last texts, by their number modulo HEARD, and how many there were. */
  readonly #heard: Heard[] = [];
  #count = 0;

  constructor(limits: Partial<AutoReplyLimits> = {}) {
    this.#limits = { ...DEFAULT_LIMITS, ...limits };
    this.#runs = new Recent(this.#limits.sources);
  }

  /** Somebody says something. `first`: a machine has just been found out, and is not to be heard; `again`: it goes on. */
  judge(said: Utterance): 'fine' | 'first' | 'again' {
    const { source, to, now } = said;
    if (said.text === undefined) {
      this.#note({ source, to, at: now, run: undefined });
      return 'fine';
    }
    const run = this.#follow(said, said.text.slice(0, this.#limits.length));
    const wasSilent = run.silent;
    const mayBe = run.own === 'no' && !this.#isTimed(run);
    run.silent = mayBe && (wasSilent || said.quotes === 'again' || this.#isMachine(run, now));
    if (run.silent) return wasSilent ? 'again' : 'first';
    if (said.refused !== true) this.#note({ source, to, at: now, run });
    return 'fine';
  }

  /** The run that a text goes on with, or a new one. */
  #follow(said: Utterance, text: string): Run {
    const last = this.#runs.get(said.source);
    if (last === undefined || !this.#goesOn(last, said)) return this.#begin(said, text, last);
    const likeness = said.quotes === undefined ? likenessOf(last.text, text, last.own === 'yes') : 'same';
    if (likeness === 'none') return this.#begin(said, text, last);
    const since = said.now - last.at;
    if (last.own !== 'no') this.#goesOnByItself(last, said, likeness, since);
    else {
      const answer = this.#answers(last, said, text);
      if (answer === 'answer' && last.begunUnprompted && since > this.#limits.pause)
        return this.#begin(said, text, last);
      this.#repeat(last, answer, likeness, since);
    }
    last.text = text;
    last.at = said.now;
    return last;
  }

  #repeat(run: Run, answer: Answer, likeness: 'same' | 'alike', since: number): void {
    const { unprompted, pause, behind, beat } = this.#limits;
    if (answer === 'none') run.unprompted += 1;
    if (answer === 'none' || answer === 'late') {
      run.repeats = run.same = 0;
      run.strayed = true;
      run.lag.clear();
      run.gap.clear();
    } else if (answer === 'answer' || likeness === 'same') {
      run.repeats += 1;
      if (likeness === 'same') run.same += 1;
    }
    run.gap.add(since);
    if (run.repeats > 0 && since <= this.#soon(pause, run.text) && run.behind <= behind) this.#repeating.add(run);
    else this.#repeating.delete(run);
    if (run.unprompted >= unprompted || (run.begunUnprompted && likeness === 'alike')) run.own = 'yes';
    else if (run.begunUnprompted && since >= beat) run.own = 'by the clock';
  }

  /** Who says the same by the clock keeps to it: else he has but said it once unasked, as in answer to the room itself. */
  #goesOnByItself(run: Run, { underWay }: Utterance, likeness: 'same' | 'alike', since: number): void {
    run.reached = this.#count - Math.min(underWay, this.#count);
    if (run.own === 'yes') return;
    run.gap.add(since);
    if (likeness === 'alike') run.own = 'yes';
    else if (run.gap.size > this.#limits.regular + since / 3) {
      run.own = 'no';
      run.begunUnprompted = false;
    }
  }

  #begin(said: Utterance, text: string, last: Run | undefined): Run {
    if (last !== undefined) this.#repeating.delete(last);
    const run: Run = {
      text,
      to: said.to,
      at: last?.at ?? -Infinity,
      reached: last?.reached ?? 0,
      due: last?.due.filter((at) => said.now - at <= this.#limits.reflex) ?? [],
      prompted: last?.prompted ?? -Infinity,
      behind: 0,
      lag: new Spread(),
      gap: new Spread(),
      repeats: 0,
      same: 0,
      unprompted: 0,
      begunUnprompted: false,
      strayed: false,
      own: 'no',
      silent: false,
    };
    run.begunUnprompted = this.#answers(run, said, text) === 'none';
    if (run.begunUnprompted) {
      run.unprompted = 1;
      run.strayed = true;
    }
    run.at = said.now;
    this.#runs.set(said.source, run);
    return run;
  }

  #goesOn(run: Run, { to, now }: Utterance): boolean {
    return run.to === to && now - run.at <= (run.silent ? this.#limits.silence : this.#limits.memory);
  }

  /** What a text can be by what has reached its source and is not yet answered. */
  #answers(run: Run, { source, user, underWay, now }: Utterance, text: string): Answer {
    const soon = this.#soon(this.#limits.reflex, text);
    // One may be answered before its reception is told.
    let ahead = underWay <= 1 ? 0 : underWay;
    let [isNew, reports] = [false, false];
    let reached = run.reached;
    const due: number[] = [];
    for (let n = this.#count; n > run.reached && n > this.#count - HEARD; n -= 1) {
      const heard = this.#heard[n % HEARD];
      if (heard === undefined) break;
      if (heard.source === source || (heard.to !== undefined && heard.to !== user)) continue;
      if (ahead > 0) {
        ahead -= 1;
        continue;
      }
      reached = Math.max(reached, n);
      due.push(heard.at);
      if (heard.run !== undefined && heard.run.own !== 'no') reports = true;
      else {
        isNew = true;
        // What had not reached it when it spoke last has done so since.
        run.prompted = Math.max(run.prompted, heard.at, run.at);
      }
    }
    run.reached = reached;
    run.due.push(...due.reverse());
    if (run.due.length > HEARD) run.due.splice(0, run.due.length - HEARD);
    const answered = run.due.shift();
    run.behind = run.due.length + underWay;
    if (answered === undefined) return 'none';
    if (now - run.prompted > soon) return 'late';
    run.lag.add(now - answered);
    // Who has begun to answer may be at work on what it was told before; who pastes many lines is not.
    return reports || !(isNew || run.repeats > 0) ? 'beside' : 'answer';
  }

  /** Within how long a text must come that may be typed by hand. */
  #soon(ms: number, text: string): number {
    return text.length < this.#limits.short ? ms / this.#limits.haste : ms;
  }

  /** Whether one has so often repeated an answer, or several have together. */
  #isMachine(run: Run, now: number): boolean {
    const { alone, together, unanswered, reflexAlone, regular, pause } = this.#limits;
    const isSteady = run.lag.size <= 2 * regular && now - run.prompted <= reflexAlone;
    if (run.repeats >= alone && run.behind <= unanswered && isSteady) return true;
    if (!this.#repeating.has(run)) return false;
    let [sources, sourcesSame, repeats] = [0, 0, 0];
    for (const each of this.#repeating) {
      if (each.own !== 'no' || now - each.at > pause) this.#repeating.delete(each);
      else if (!this.#isTimed(each)) {
        sources += 1;
        if (each.same > 0) sourcesSame += 1;
        repeats += Math.min(each.repeats, together);
      }
    }
    if (sources === 2) return run.repeats >= alone && repeats >= 2 * together;
    return sources > 2 && ((run.same > 0 && sourcesSame > 2) || (run.repeats > 1 && repeats >= 5));
  }

  /** Whether it speaks by the clock: more regularly after itself than after what it would answer. */
  #isTimed({ strayed, repeats, lag, gap }: Run): boolean {
    const { together, regular } = this.#limits;
    return strayed && repeats >= together && lag.size > regular && gap.size < lag.size / 2;
  }

  #note(heard: Heard): void {
    this.#count += 1;
    this.#heard[this.#count % HEARD] = heard;
  }
}

/** How far the numbers lie apart that were seen. */
class Spread {
  #least = Infinity;
  #most = -Infinity;

  add(value: number): void {
    this.#least = Math.min(this.#least, value);
    this.#most = Math.max(this.#most, value);
  }

  get size(): number {
    return this.#most - this.#least;
  }

  clear(): void {
    this.#least = Infinity;
    this.#most = -Infinity;
  }
}

/** Ids and times, which tell one notice from the next; and any number, as programs report. */
const STAMPS = /\d{4}-\d\d-\d\d|T?\d{1,2}:\d\d(?::\d\d(?:\.\d+)?)?Z?|(?=[a-f-]*\d)(?=[\d-]*[a-f])[\da-f-]{6,}|\d{8,}/gi;
const NUMBERS = /(?=[a-f-]*\d)[\da-f-]+/gi;

/** `roughly`: it does not matter whether they are the same. */
function likenessOf(one: string, other: string, roughly: boolean): 'same' | 'alike' | 'none' {
  if (one === other) return 'same';
  const isAsItIs = isAlike(one, other);
  if (isAsItIs && roughly) return 'alike';
  if (!isAsItIs && !/\d/.test(one)) return 'none';
  if (one.replace(STAMPS, '#') === other.replace(STAMPS, '#')) return 'same';
  const alike = isAsItIs || isAlike(one.replace(NUMBERS, '#'), other.replace(NUMBERS, '#'));
  // Numbers may be all that it says.
  return alike && /\p{L}.*\p{L}.*\p{L}/su.test(one.replace(NUMBERS, '')) ? 'alike' : 'none';
}
