import { formatCpim, type MessageId, prepare, type PreparedMessage } from '../../msrp/index.ts';
import type { Said } from '../conference/events.ts';
import { type EventNumber, eventNumber } from '../conference/ids.ts';
import { cutText } from './cut-text.ts';
import { type PlainText, plainTextOf, type QuoteOf } from './plain-text.ts';

/** What is sent to a peer: as it came, in words, or a text without its end. */
export interface Form {
  readonly message: PreparedMessage;
  readonly is: 'whole' | 'in words' | 'cut';
}

/** Octets of a text that are sent in any case, however little its peer takes. */
const LEAST_TEXT = 100;

/**
 * A message on its way to many recipients, rendered once per form however many take it.
 */
export class Copy {
  /** Its place in the room's log; undefined for a line of the room itself that is not kept. */
  readonly n: EventNumber | undefined;
  readonly said: Said;
  readonly #quoteOf: QuoteOf | undefined;
  #msrp: PreparedMessage | undefined;
  #whole: Form | undefined;
  /** By the octets that the peer takes at most. */
  #inWords: Map<number, Form> | undefined;
  #text: { readonly plain: PlainText | undefined } | undefined;
  #forms: Map<string, Uint8Array> | undefined;

  /** @param quoteOf what a reply or reaction is about, for those who cannot look it up */
  constructor(said: Said, n?: EventNumber, quoteOf?: QuoteOf) {
    this.said = said;
    this.n = n;
    this.#quoteOf = quoteOf;
  }

  /** Who has been given this has come so far in the room's log. */
  get through(): EventNumber | undefined {
    return this.n;
  }

  /**
   * For MSRP: the very bytes that came in (RFC 7701 §6.1), under a Message-ID of our own. It is the same whenever this
   * message is rendered, so that one who gets it again can tell.
   */
  get msrp(): PreparedMessage {
    if (this.#msrp !== undefined) return this.#msrp;
    const { contentType, cpim: body } = this.said;
    // Written out, not spread: on V8 an object made from another one is slow to make and slow to read.
    const options =
      this.n === undefined ? { contentType, body } : { contentType, body, messageId: msrpId(this.n, this.said) };
    return (this.#msrp = prepare(options));
  }

  /** As `msrp`. */
  get whole(): Form {
    return (this.#whole ??= { message: this.msrp, is: 'whole' });
  }

  /**
   * For MSRP sessions that do not take its type, or nothing so large: it in words, of a file name, type and size;
   * undefined for what is no text for people.
   * @param maximum octets of the whole message (RFC 4975 §8.6)
   */
  inWords(maximum: number): Form | undefined {
    const known = this.#inWords?.get(maximum);
    const { text } = this;
    if (known !== undefined || text === undefined) return known;
    const { from, to, dateTime } = text.cpim;
    const wrapped = (content: string): Uint8Array =>
      formatCpim({
        ...(from === undefined ? {} : { from }),
        to,
        ...(dateTime === undefined ? {} : { dateTime }),
        contentType: 'text/plain; charset=utf-8',
        content,
      });
    const head = maximum === Infinity ? 0 : wrapped('').length;
    const fitting = cutText(text.text, Math.max(LEAST_TEXT, maximum - head));
    const { messageId } = this.msrp;
    const message = prepare({ messageId, contentType: 'message/cpim', body: wrapped(fitting) });
    const form: Form = { message, is: fitting === text.text ? 'in words' : 'cut' };
    (this.#inWords ??= new Map<number, Form>()).set(maximum, form);
    return form;
  }

  /**
   * For MSRP sessions that take no wrapper: it in words alone, behind a name; undefined for what is no text for people.
   * @param maximum octets of the whole message (RFC 4975 §8.6)
   */
  bare(name: string, maximum: number): Form | undefined {
    const { text } = this;
    if (text === undefined) return undefined;
    const fitting = cutText(text.text, Math.max(LEAST_TEXT, maximum - Buffer.byteLength(name)));
    const is = fitting === text.text ? 'in words' : 'cut';
    const body = this.form(`bare ${is === 'cut' ? maximum : ''} ${name}`, () =>
      new TextEncoder().encode(name + fitting),
    );
    const { messageId } = this.msrp;
    return { message: prepare({ messageId, contentType: 'text/plain;charset=utf-8', body }), is };
  }

  /** As plain text, for peers that can show no more; undefined for what is no text for people. */
  get text(): PlainText | undefined {
    return (this.#text ??= { plain: plainTextOf(this.said, this.#quoteOf) }).plain;
  }

  /** Bytes in a form that several recipients take: made once. */
  form(name: string, make: () => Uint8Array): Uint8Array {
    const forms = (this.#forms ??= new Map<string, Uint8Array>());
    const known = forms.get(name);
    if (known !== undefined) return known;
    const made = make();
    forms.set(name, made);
    return made;
  }
}

/** A Message-ID for the message of that number: number and time tell it from all others of its room, the rest from other rooms'. */
function msrpId(n: EventNumber, { at, by, messageId }: Pick<Said, 'at' | 'by' | 'messageId'>): MessageId {
  const mixed = mixedWith(mixedWith(0, by), messageId);
  // At most 1 + 11 + 1 + 6 + 1 + 6 characters, all of an ident.
  return `n${n.toString(36)}.${(at % SMALL).toString(36)}.${(mixed & (SMALL - 1)).toString(36)}` as MessageId;
}

/** Of larger numbers the digits come ten times as slowly. */
const SMALL = 2 ** 30;

function mixedWith(before: number, text: string): number {
  let mixed = before;
  for (let i = 0; i < text.length; i += 1) mixed = (Math.imul(mixed, 31) + text.charCodeAt(i)) | 0;
  return mixed;
}

/** Whether a Message-ID is the one under which the room sends a message. */
export function isIdOf(id: string, n: EventNumber, said: Pick<Said, 'at' | 'by' | 'messageId'>): boolean {
  return numberOf(id) === n && id === msrpId(n, said);
}

/** The number of the message that was sent under this Message-ID, whoever wrote it; undefined for one without. */
export function numberOf(id: string): EventNumber | undefined {
  const [, digits = ''] = /^n([0-9a-z]{1,11})\.[0-9a-z]+\.[0-9a-z]+$/.exec(id) ?? [];
  const n = parseInt(digits, 36);
  return Number.isSafeInteger(n) ? eventNumber(n) : undefined;
}
