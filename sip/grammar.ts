import { SipError } from './errors.ts';

/*
 * The basic rules of RFC 3261 §25.1, on text whose line folds are already spaces: character classes as one table of
 * bits, and a cursor that reads the lexical elements one after another. Everything here is linear in its input.
 */

const TOKEN = 1;
const WORD = 2;
const DIGIT = 4;
const HOST = 8;
const URI = 16;

const CLASSES = new Uint8Array(128);

function mark(characters: string, bits: number): void {
  for (const character of characters) {
    const code = character.charCodeAt(0);
    CLASSES[code] = (CLASSES[code] ?? 0) | bits;
  }
}

const LETTERS = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ';
mark(LETTERS, TOKEN | WORD | HOST);
mark('0123456789', TOKEN | WORD | HOST | DIGIT);
mark('-.', TOKEN | WORD | HOST);
mark('_', TOKEN | WORD | HOST);
mark("!%*+`'~", TOKEN | WORD);
mark('()<>:\\"/[]?{}', WORD);
mark(LETTERS + "0123456789-_.!~*'()%;/?:@&=+$,[]#", URI);

function is(code: number, bits: number): boolean {
  return code < 128 && ((CLASSES[code] ?? 0) & bits) !== 0;
}

function isAll(text: string, bits: number): boolean {
  if (text.length === 0) return false;
  for (let i = 0; i < text.length; i++) if (!is(text.charCodeAt(i), bits)) return false;
  return true;
}

/** token (RFC 3261 §25.1). */
export function isToken(text: string): boolean {
  return isAll(text, TOKEN);
}

/** Whether a list of tokens has one: they are compared without regard to case (RFC 3261 §7.3.1). */
export function includesToken(list: readonly string[], token: string): boolean {
  const lower = token.toLowerCase();
  return list.some((known) => known.toLowerCase() === lower);
}

/** Characters that stand in no URI (RFC 3986 §2), where something else than ASCII stands: text in UTF-8 is let pass. */
const NOT_IN_A_URI = /[\s\p{Cc}"<>\\^`{|}]/u;

/** Whether a text has only characters that stand in a URI: no white space, no controls, none of `"<>\^{|}` and backquote. */
export function hasUriCharacters(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code > 127) return !NOT_IN_A_URI.test(text);
    if (!is(code, URI)) return false;
  }
  return true;
}

/** 1*DIGIT. */
export function isDigits(text: string): boolean {
  return isAll(text, DIGIT);
}

/** A value as it stands in a parameter: a token or an address as it is, anything else as a quoted-string. */
export function quoteUnlessToken(value: string): string {
  return isToken(value) || isHost(value) || isIpv6(value) ? value : quote(value);
}

/**
 * A quoted-string (RFC 3261 §25.1) of any text. CR and LF cannot be escaped there (§25.1) and become spaces.
 */
export function quote(text: string): string {
  return `"${text.replace(/["\\]/g, '\\$&').replace(/[\r\n]+/g, ' ')}"`;
}

/** Text that may stand in a header value that is free text: no line breaks, no controls, trimmed. */
export function singleLine(text: string): string {
  return text.replace(/\p{Cc}+/gu, ' ').trim();
}

const IPV6 = /^[0-9a-f:]*:[0-9a-f:]*(?:\d{1,3}(?:\.\d{1,3}){3})?$/i;

/** host = hostname / IPv4address / IPv6reference (RFC 3261 §25.1); underscores are let pass, as they are met in the wild. */
export function isHost(text: string): boolean {
  if (text.startsWith('[')) return text.endsWith(']') && isIpv6(text.slice(1, -1));
  return isAll(text, HOST);
}

/** IPv6address without brackets (RFC 3261 §25.1). */
export function isIpv6(text: string): boolean {
  return text.length >= 2 && text.length <= 45 && IPV6.test(text);
}

/**
 * The integer that `digits` spell, for the fields whose range an RFC bounds.
 * @throws SipError 400 when it is not 1*DIGIT or above `max`.
 */
export function parseInteger(digits: string, max: number, what: string): number {
  const value = isDigits(digits) ? Number(digits) : Number.NaN;
  if (!(value <= max)) throw new SipError(400, `bad ${what}`);
  return value;
}

/** Reads the lexical elements of RFC 3261 §25.1 from left to right out of one header value. */
export class Cursor {
  readonly text: string;
  /** What is being read, for the message of an error. */
  readonly what: string;
  /** Index of the next character. */
  at: number;

  constructor(text: string, what: string, at = 0) {
    this.text = text;
    this.what = what;
    this.at = at;
  }

  /** The error to throw when what stands here is not what the grammar wants. */
  error(expected: string): SipError {
    return new SipError(400, `bad ${this.what}: ${expected} expected at ${String(this.at)}`);
  }

  /** True when nothing is left. */
  get done(): boolean {
    return this.at >= this.text.length;
  }

  /** The code of the next character; NaN at the end. */
  peek(): number {
    return this.text.charCodeAt(this.at);
  }

  /** SWS: any white space, also none. */
  space(): this {
    for (;;) {
      const code = this.text.charCodeAt(this.at);
      if (code !== 32 && code !== 9) return this;
      this.at++;
    }
  }

  /** Takes the character when it stands here. */
  takes(code: number): boolean {
    if (this.text.charCodeAt(this.at) !== code) return false;
    this.at++;
    return true;
  }

  /** A separator with the white space that may stand around it (COMMA, SEMI, EQUAL, …), when it stands here. */
  separator(code: number): boolean {
    const start = this.at;
    this.space();
    if (this.takes(code)) {
      this.space();
      return true;
    }
    this.at = start;
    return false;
  }

  /** White space to the end, or an error. */
  end(): void {
    if (!this.space().done) throw this.error('end of value');
  }

  #run(bits: number): string {
    const start = this.at;
    while (is(this.text.charCodeAt(this.at), bits)) this.at++;
    return this.text.slice(start, this.at);
  }

  /** token, or '' when none stands here. */
  tokenOrNothing(): string {
    return this.#run(TOKEN);
  }

  /** token. */
  token(expected = 'token'): string {
    const token = this.#run(TOKEN);
    if (token === '') throw this.error(expected);
    return token;
  }

  /** word (Call-ID). */
  word(): string {
    const word = this.#run(WORD);
    if (word === '') throw this.error('word');
    return word;
  }

  /** 1*DIGIT up to `max`. */
  integer(max: number): number {
    const digits = this.#run(DIGIT);
    const value = digits === '' ? Number.NaN : Number(digits);
    if (!(value <= max)) throw this.error(`number up to ${String(max)}`);
    return value;
  }

  /** host, in lower case. */
  host(): string {
    const start = this.at;
    if (this.takes(91)) {
      const close = this.text.indexOf(']', start);
      if (close === -1 || !isIpv6(this.text.slice(start + 1, close))) throw this.error('IPv6 reference');
      this.at = close + 1;
    } else if (this.#run(HOST) === '') throw this.error('host');
    return this.text.slice(start, this.at).toLowerCase();
  }

  /** quoted-string whose opening quote stands here: its text, escapes resolved. */
  quoted(): string {
    const { text } = this;
    if (!this.takes(34)) throw this.error('quoted string');
    let out = '';
    let from = this.at;
    for (;;) {
      const code = text.charCodeAt(this.at);
      if (Number.isNaN(code)) throw this.error('closing quote');
      if (code === 34) {
        out += text.slice(from, this.at++);
        return out;
      }
      if (code === 92) {
        out += text.slice(from, this.at);
        from = ++this.at;
        if (this.done) throw this.error('closing quote');
      }
      this.at++;
    }
  }

  /** comment whose opening parenthesis stands here: its text, without the outer parentheses, escapes kept. */
  comment(): string {
    if (!this.takes(40)) throw this.error('comment');
    const start = this.at;
    for (let depth = 1; ; this.at++) {
      const code = this.peek();
      if (Number.isNaN(code)) throw this.error('closing parenthesis');
      if (code === 92) this.at++;
      else if (code === 40) depth++;
      else if (code === 41 && --depth === 0) return this.text.slice(start, this.at++);
    }
  }
}

/**
 * The values of a header that may be a comma-separated list (RFC 3261 §7.3.1), split at the commas that stand outside
 * quoted strings and angle brackets. Empty elements are dropped.
 */
export function splitList(value: string): string[] {
  if (!value.includes(',')) return value.trim() === '' ? [] : [value];
  const out: string[] = [];
  let start = 0;
  let quoted = false;
  let angled = false;
  for (let i = 0; i <= value.length; i++) {
    const code = i === value.length ? 44 : value.charCodeAt(i);
    if (quoted && i < value.length) {
      if (code === 92) i++;
      else if (code === 34) quoted = false;
    } else if (code === 34) quoted = true;
    else if (code === 60) angled = true;
    else if (code === 62) angled = false;
    else if (code === 44 && (!angled || i === value.length)) {
      const element = value.slice(start, i).trim();
      if (element !== '') out.push(element);
      start = i + 1;
    }
  }
  return out;
}
