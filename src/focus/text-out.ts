import { cpimValues, formatCpim, IMDN_NAMESPACE, imdnExtensions } from '../../msrp/index.ts';
import type { Content, Outcome, SipResponse } from '../../sip/index.ts';
import { authorOf, nameBefore, type NamingRoom } from '../chat/bare-text.ts';
import type { Copy } from '../chat/copy.ts';
import { cutText } from '../chat/cut-text.ts';
import type { Failure, Fates } from '../chat/fates.ts';
import { LargeCopy } from '../chat/large-copy.ts';
import type { Recipient } from '../chat/recipient.ts';
import type { Streams } from '../chat/streams.ts';
import { type EndpointId, type EventNumber, eventNumber, later, type UserUri } from '../conference/ids.ts';
import type { Turns } from './turns.ts';

/** Bounds of what waits for one peer, and patience with it. */
export interface TextLimits {
  /** Messages that wait for one peer; beyond it the oldest is left out, and the peer is told how many. */
  readonly waiting: number;
  /** Octets of all that waits for one peer; beyond it the same. */
  readonly waitingBytes: number;
  /** Octets of one text. */
  readonly largeText: number;
  /** Octets of one text in any case, however little room its MESSAGE has. */
  readonly leastText: number;
  /** Octets of a message up to which it goes out at once, to however many; of larger ones some do in each turn of the event loop. */
  readonly atOnce: number;
  /** How often one message is tried. */
  readonly tries: number;
  /** Messages lost in a row after which the peer gets no more until it is heard from. */
  readonly losses: number;
  /** Wait before a second try when the peer does not say, in ms; doubled each time. */
  readonly pause: number;
  /** Octets that wait for the peer's connection beyond which its texts wait, too: a proxy's carries those of many. */
  readonly flowBacklog: number;
  /** How often it is looked whether they have gone, in ms. */
  readonly lookAgain: number;
}

/**
 * The limits unless told otherwise; no configuration does. They are what telephones bear, and keep one of them to 1 MiB;
 * whoever reads much has MSRP, where `msrp.queue_bytes` and `msrp.congested_for` say how much, and for how long.
 */
export const DEFAULT_TEXT_LIMITS: TextLimits = {
  waiting: 100,
  waitingBytes: 1_048_576,
  largeText: 32_768,
  leastText: 100,
  atOnce: 8_192,
  tries: 3,
  losses: 5,
  pause: 2_000,
  flowBacklog: 262_144,
  lookAgain: 20,
};

/** What is asked of a room to deliver its texts. */
export interface TextRoom extends NamingRoom {
  readonly fates: Pick<Fates, 'failed'>;
  readonly streams: Pick<Streams, 'noteTold'>;
}

/** What the way out for texts of one leg is made with. */
export interface TextOutParts {
  readonly endpoint: EndpointId;
  readonly user: UserUri;
  readonly room: TextRoom;
  /** The URI under which the peer knows the room. */
  readonly roomUri: string;
  /** Whether what is for it alone would be shown to nobody else. */
  readonly takesPrivate: () => boolean;
  /** The form the peer shows. */
  readonly form: 'cpim' | 'plain';
  /** Octets of the body that the next MESSAGE may have: few out of a call over UDP (RFC 3428 §8), else Infinity. */
  readonly space: () => number;
  /** Octets that wait for the connection which a text would go by. */
  readonly flowQueued: () => number;
  /** Sends one MESSAGE; `done` comes once. */
  readonly send: (content: Content, done: (outcome: Outcome) => void) => void;
  /** A text goes out, as the peer will read it. */
  readonly onSent: (text: string) => void;
  /** For large messages; shared with all other ways out. */
  readonly turns: Pick<Turns, 'take'>;
  readonly limits: TextLimits;
  /** A line for the operator. */
  readonly info: (line: string) => void;
  /** It has stopped: the peer refuses texts, or did not take several in a row. */
  readonly over: () => void;
}

interface Waiting {
  readonly copy: Copy;
  tries: number;
  /** It went out last without its end. */
  cut: boolean;
}

/**
 * Delivers to one peer by SIP MESSAGE: one at a time (RFC 3428 §8), the rest waiting within bounds; in the form that the
 * peer shows, stepping down when it refuses one.
 */
export class TextOut implements Recipient {
  readonly endpoint: EndpointId;
  readonly user: UserUri;
  readonly roomUri: string;
  /** Texts by MESSAGE name their author and are read as such. */
  readonly knowsRooms = true;
  readonly #parts: TextOutParts;
  readonly #waiting: Waiting[] = [];
  #form: 'cpim' | 'plain';
  #state: 'idle' | 'sending' | 'pausing' | 'stopped' | 'closed' = 'idle';
  /** What becomes of all that is said while it has stopped. */
  #stopped: Failure | undefined;
  #pause: NodeJS.Timeout | undefined;
  /** It has been hushed: called when the one that is on its way is answered. */
  #answered: (() => void) | undefined;
  #backlog = 0;
  /** What the peer has yet to be told that it did not get. */
  #leftOut = 0;
  /** How many were left out since it has fallen behind. */
  #behind = 0;
  #losses = 0;
  /** The last message that the peer has had, and the first that it has not. */
  #through: EventNumber | undefined;
  #missed: EventNumber | undefined;

  constructor(parts: TextOutParts) {
    this.#parts = parts;
    this.endpoint = parts.endpoint;
    this.user = parts.user;
    this.roomUri = parts.roomUri;
    this.#form = parts.form;
  }

  /** Half of what may wait is enough: what is said now still finds its place. */
  get backlog(): number {
    return this.#waiting.length > this.#parts.limits.waiting / 2 ? Infinity : this.#backlog;
  }

  get maxBacklog(): number {
    return this.#parts.limits.waitingBytes;
  }

  /** A private text says that it is one. */
  get takesPrivate(): boolean {
    return this.#parts.takesPrivate();
  }

  /** The one that waits for the peer's answer may have been read. */
  get underWay(): number {
    return this.#waiting.length - (this.#state === 'sending' ? 1 : 0);
  }

  waits(n: EventNumber): boolean {
    return this.#waiting.some(({ copy }) => copy.n === n);
  }

  isInPieces(): boolean {
    return false;
  }

  /** The last message up to which the peer has had all that was for it, or has refused it; undefined when there was none. */
  get position(): EventNumber | undefined {
    return this.#missed === undefined ? this.#through : eventNumber(this.#missed - 1);
  }

  /** The newest of what waits or is on its way: whoever speaks on here has been given all up to it. */
  get given(): EventNumber | undefined {
    let newest: EventNumber | undefined;
    for (const { copy } of this.#waiting) newest = later(newest, copy.through);
    return newest;
  }

  /** The form in which the next one goes out. */
  get form(): 'cpim' | 'plain' {
    return this.#form;
  }

  /** Whether the peer has refused all texts. */
  get refuses(): boolean {
    return this.#stopped?.is === 'refused';
  }

  /** Whether it still delivers. */
  get open(): boolean {
    return this.#state !== 'closed' && this.#state !== 'stopped';
  }

  /** No MESSAGE is so large: a line stands for it. */
  deliverLarge(copy: LargeCopy): void {
    this.deliver(copy);
  }

  deliver(copy: Copy): void {
    if (this.#state === 'closed' || copy.text === undefined) return;
    if (this.#stopped !== undefined) {
      this.#miss(copy, this.#stopped);
      return;
    }
    const { wrappedType } = copy.said;
    if (copy instanceof LargeCopy) {
      this.#notTaken(copy, 'too large for a MESSAGE');
      this.#parts.room.streams.noteTold(copy, this.endpoint);
    } else if (wrappedType?.startsWith('text/') === false) this.#notTaken(copy, wrappedType);
    this.#waiting.push({ copy, tries: 0, cut: false });
    this.#backlog += copy.said.cpim.length;
    this.#leaveOut();
    if (this.#state === 'idle') this.#next();
  }

  /** Drops the oldest that waits, within bounds: never the one on its way, nor the only one. */
  #leaveOut(): void {
    const { waiting, waitingBytes } = this.#parts.limits;
    while (this.#waiting.length > 2 && (this.#waiting.length > waiting || this.#backlog > waitingBytes)) {
      const [oldest] = this.#waiting.splice(this.#state === 'sending' ? 1 : 0, 1);
      if (oldest === undefined) return;
      this.#backlog -= oldest.copy.said.cpim.length;
      this.#failed(oldest.copy, { is: 'congested' });
      this.#leftOut += 1;
      // One line for the operator, and not a thousand.
      if (this.#behind === 0) this.#parts.info(`${this.user} takes texts too slowly: the oldest are left out`);
      this.#behind += 1;
    }
  }

  /** All but the one that is under way: nobody knows whether it has been read. */
  takeBack(n: EventNumber): void {
    const at = this.#waiting.findIndex(({ copy }) => copy.n === n);
    if (at < 0 || (at === 0 && this.#state === 'sending')) return;
    this.#backlog -= this.#waiting.splice(at, 1)[0]?.copy.said.cpim.length ?? 0;
    this.#parts.room.fates.failed(n, this.endpoint, { is: 'taken back' });
    if (this.#waiting.length > 0 || this.#state !== 'pausing') return;
    clearTimeout(this.#pause);
    this.#next();
  }

  /** Nothing waits any more. */
  #caughtUp(): void {
    if (this.#behind > 0) this.#parts.info(`${this.user} has caught up: ${String(this.#behind)} texts were left out`);
    this.#behind = 0;
  }

  /** The first is done with. */
  #shift(): void {
    this.#backlog -= this.#waiting.shift()?.copy.said.cpim.length ?? 0;
  }

  /**
   * What is said goes another way from now on. True while the peer may have read one that it has not answered yet: then it is
   * closed, and `answered` called, when that is known, or not soon. Until `speakOn`.
   */
  hush(answered: () => void): boolean {
    if (this.#state !== 'sending') return false;
    if (this.#answered === undefined) this.#pause = setTimeout(() => this.#hushed(), this.#parts.limits.pause);
    this.#answered = answered;
    return true;
  }

  /** Takes back `hush`. */
  speakOn(): void {
    if (this.#answered === undefined) return;
    this.#answered = undefined;
    clearTimeout(this.#pause);
  }

  #hushed(): void {
    const answered = this.#answered;
    this.close();
    answered?.();
  }

  /** Nothing more goes out. */
  close(): void {
    this.#state = 'closed';
    this.#answered = undefined;
    clearTimeout(this.#pause);
    this.#backlog = 0;
    for (const { copy } of this.#waiting.splice(0)) this.#failed(copy, { is: 'left' });
  }

  /**
   * The peer has been heard from: if it had taken no texts for long, they go to it again from here, and it is told how many
   * it has not had. One more loss, and it has to be heard from again. Tells whether it was so.
   */
  resume(): boolean {
    if (this.#state !== 'stopped' || this.#stopped?.is !== 'unanswered') return false;
    this.#state = 'idle';
    this.#stopped = undefined;
    this.#losses = this.#parts.limits.losses - 1;
    const count = `${String(this.#leftOut)} texts were left out`;
    this.#parts.info(`${this.user} is heard from, and gets texts again: ${count}`);
    return true;
  }

  #next(): void {
    const [waiting] = this.#waiting;
    if (waiting === undefined) {
      this.#state = 'idle';
      this.#caughtUp();
      return;
    }
    const { flowQueued, limits, turns } = this.#parts;
    // More at once than the connection may hold would close it, for all who are reached through it.
    if (flowQueued() > limits.flowBacklog) {
      this.#later(limits.lookAgain);
      return;
    }
    const turn = waiting.copy.said.cpim.length > limits.atOnce ? turns.take() : undefined;
    if (turn === undefined) {
      this.#send(waiting);
      return;
    }
    this.#state = 'pausing';
    void turn.then(() => {
      // What stood first may have been left out meanwhile.
      const [first] = this.#waiting;
      if (this.#state === 'pausing' && first !== undefined) this.#send(first);
    });
  }

  #send(waiting: Waiting): void {
    this.#state = 'sending';
    waiting.tries += 1;
    const leftOut = this.#leftOut;
    this.#leftOut = 0;
    const { content, cut } = this.#render(waiting.copy, leftOut);
    waiting.cut = cut;
    this.#parts.send(content, (outcome) => {
      if (!this.open) return;
      const status = outcome.is === 'response' ? outcome.response.status : outcome.status;
      if (status < 300) this.#taken(waiting);
      if (this.#answered !== undefined) this.#hushed();
      else if (status < 300) this.#next();
      else this.#settle(waiting, leftOut, outcome, status);
    });
  }

  #taken({ copy: { n, through }, cut }: Waiting): void {
    this.#losses = 0;
    this.#through = through ?? this.#through;
    if (cut && n !== undefined) this.#parts.room.fates.failed(n, this.endpoint, { is: 'cut' });
    this.#shift();
  }

  /** It was not taken. */
  #settle(waiting: Waiting, leftOut: number, outcome: Outcome, status: number): void {
    // Whoever did not get this one was not told of those before it either.
    this.#leftOut += leftOut;
    if (REFUSES_FORM.has(status) && this.#form === 'cpim') {
      this.#form = 'plain';
      this.#parts.info(`${this.user} takes no message/cpim: plain text from now on`);
      this.#next();
    } else if (REFUSES_ALL.has(status)) {
      this.#parts.info(`${this.user} takes no MESSAGE (${String(status)}): it gets no more texts`);
      this.#shift();
      const refused = { is: 'refused', detail: String(status) } as const;
      this.#failed(waiting.copy, refused);
      this.#stop(refused);
    } else if (PASSES.has(status) && waiting.tries < this.#parts.limits.tries) {
      this.#later(this.#patience(waiting.tries, outcome));
    } else this.#lose(waiting.copy, outcome.is === 'response' ? status : undefined);
  }

  #later(wait: number): void {
    this.#state = 'pausing';
    this.#pause = setTimeout(() => {
      this.#next();
    }, wait);
  }

  #lose(copy: Copy, status: number | undefined): void {
    this.#shift();
    this.#failed(copy, status === undefined ? { is: 'unanswered' } : { is: 'refused', detail: String(status) });
    this.#leftOut += 1;
    this.#losses += 1;
    this.#parts.info(`${this.user} did not take a text (${String(status ?? 'no answer')})`);
    if (this.#losses < this.#parts.limits.losses) {
      this.#next();
      return;
    }
    this.#parts.info(`${this.user} gets no more texts: ${String(this.#losses)} were lost in a row`);
    this.#stop({ is: 'unanswered' });
  }

  /** Nothing goes out, and it is noted of each that is said. */
  #stop(why: Failure): void {
    this.#state = 'stopped';
    this.#stopped = why;
    this.#backlog = 0;
    for (const { copy } of this.#waiting.splice(0)) this.#miss(copy, why);
    this.#parts.over();
  }

  #miss(copy: Copy, why: Failure): void {
    this.#leftOut += 1;
    this.#failed(copy, why);
  }

  /** What it gets is a line that stands for it. */
  #notTaken({ n }: Copy, detail: string): void {
    if (n !== undefined) this.#parts.room.fates.failed(n, this.endpoint, { is: 'not taken', detail });
  }

  #failed({ n }: Copy, failure: Failure): void {
    if (n === undefined) return;
    // What it has refused it would refuse again.
    if (failure.is !== 'refused') this.#missed ??= n;
    this.#parts.room.fates.failed(n, this.endpoint, failure);
  }

  #patience(tries: number, outcome: Outcome): number {
    const wanted = outcome.is === 'response' ? retryAfter(outcome.response) : undefined;
    return wanted ?? this.#parts.limits.pause * 2 ** (tries - 1);
  }

  #render(copy: Copy, leftOut: number): { readonly content: Content; readonly cut: boolean } {
    const { room } = this.#parts;
    const author = authorOf(copy, room);
    const plain = copy.text;
    const note =
      leftOut === 0 ? '' : `[${leftOut === 1 ? 'One message was' : `${String(leftOut)} messages were`} left out]\n`;
    const name = nameBefore(copy, room);
    const whole = plain?.text ?? '';
    const isPlain = this.#form === 'plain';
    const head = (): number => (isPlain ? Buffer.byteLength(note + name) : this.#cpim(copy, author, note).length);
    const space = this.#parts.space();
    const text = this.#cut(whole, space, head);
    // Nobody says the note but the room: it stands before the name.
    const named = note + name + text;
    // As it comes back from another room, even where the name stands apart: a bare "yes" may be an answer.
    this.#parts.onSent(named);
    const make = (): Uint8Array => (isPlain ? Buffer.from(named) : this.#cpim(copy, author, note + text));
    const cut = text !== whole;
    // The same bytes for all who have missed nothing; where a text is cut, for all of whose MESSAGEs only that is the bound.
    const shared = note === '' && (!cut || space === Infinity);
    const form = `message ${this.#form} ${cut ? 'cut' : 'whole'} ${this.#parts.roomUri}`;
    const body = shared ? copy.form(form, make) : make();
    return { content: { contentType: isPlain ? 'text/plain;charset=utf-8' : 'message/cpim', body }, cut };
  }

  #cpim({ said, text: plain }: Copy, author: string | undefined, text: string): Uint8Array {
    const to = said.audience.to === 'everyone' ? this.#parts.roomUri : said.audience.user;
    return formatCpim(
      {
        from: { ...(author === undefined ? {} : { name: author }), uri: plain?.cpim.from?.uri ?? said.by },
        to: [{ uri: to }],
        dateTime: new Date(said.at),
        // Without an id of its own each, some show only the first of two messages.
        extensions: imdnExtensions({
          messageId: said.imdnId ?? said.messageId,
          dispositionNotification: plain ? cpimValues(plain.cpim, IMDN_NAMESPACE, 'Disposition-Notification') : [],
        }),
        contentType: 'text/plain;charset=utf-8',
        content: text,
      },
      { names: 'plain' },
    );
  }

  /**
   * @param space octets of the body
   * @param head octets of the body besides the text
   */
  #cut(text: string, space: number, head: () => number): string {
    const { largeText, leastText } = this.#parts.limits;
    const room = space === Infinity ? largeText : Math.max(leastText, Math.min(largeText, space - head()));
    return cutText(text, room);
  }
}

/** Another form may be taken. Linphone answers 488 to CPIM in the name of another. */
const REFUSES_FORM: ReadonlySet<number> = new Set([400, 406, 415, 488]);
/** Nothing of that method will be taken in this call any more (RFC 3261 §21.4). */
const REFUSES_ALL: ReadonlySet<number> = new Set([401, 403, 404, 405, 406, 407, 410, 501, 603, 604]);
/** It may pass. With 6xx the text has arrived and was refused (RFC 3428 §7). */
const PASSES: ReadonlySet<number> = new Set([408, 480, 486, 491, 500, 502, 503, 504]);

/** How long the peer wants to be left alone, in ms; no longer than an hour. */
function retryAfter(response: SipResponse): number | undefined {
  const seconds = /^\d+/.exec(response.headers.get('Retry-After') ?? '')?.[0];
  return seconds === undefined ? undefined : Math.min(Number(seconds), 3600) * 1000;
}
