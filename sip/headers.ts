/** One header line of a message (RFC 3261 §7.3). */
export interface HeaderField {
  /** The name as it came or as it was set. */
  readonly name: string;
  /** The name that compares: long form in lower case. */
  readonly key: string;
  /** The value, folds unfolded, trimmed. */
  readonly value: string;
}

/** A kind of header, as far as it is only read. */
export interface ReadableKind<T> {
  /** Its name in long form. */
  readonly name: string;
  /** `values` has the values of all lines of that name, at least one. Throws SipError 400. */
  readonly parse: (values: readonly string[]) => T;
}

/**
 * A kind of header: how the values of all its lines in a message become one typed value, and back.
 * The constants of `fields.ts` are such kinds; a new header needs nothing but one more.
 */
export interface HeaderKind<T> extends ReadableKind<T> {
  /** One line for each element. */
  readonly format: (value: T) => readonly string[];
}

/** Compact forms: RFC 3261 §20, RFC 6665 §8.4, 3515, 3892, 4028, 3841, 8224. */
const COMPACT: Readonly<Record<string, string>> = {
  a: 'accept-contact',
  b: 'referred-by',
  c: 'content-type',
  d: 'request-disposition',
  e: 'content-encoding',
  f: 'from',
  i: 'call-id',
  j: 'reject-contact',
  k: 'supported',
  l: 'content-length',
  m: 'contact',
  n: 'identity-info',
  o: 'event',
  r: 'refer-to',
  s: 'subject',
  t: 'to',
  u: 'allow-events',
  v: 'via',
  x: 'session-expires',
  y: 'identity',
};

/** The usual spellings of the usual names, so that a name costs one look-up. */
const KEYS = new Map<string, string>(
  [
    'Accept,Accept-Contact,Accept-Encoding,Accept-Language,Alert-Info,Allow,Allow-Events,Authentication-Info',
    'Authorization,CSeq,Call-ID,Call-Info,Contact,Content-Disposition,Content-Encoding,Content-ID,Content-Language',
    'Content-Length,Content-Type,Date,Error-Info,Event,Expires,From,In-Reply-To,Join,MIME-Version,Max-Forwards',
    'Min-Expires,Min-SE,Organization,P-Asserted-Identity,P-Preferred-Identity,Path,Priority,Privacy',
    'Proxy-Authenticate,Proxy-Authorization,Proxy-Require,RAck,RSeq,Reason,Record-Route,Refer-Sub,Refer-To',
    'Referred-By,Replaces,Reply-To,Require,Retry-After,Route,SIP-ETag,SIP-If-Match,Server,Session-Expires,Subject',
    'Subscription-State,Supported,Target-Dialog,Timestamp,To,Unsupported,User-Agent,Via,WWW-Authenticate,Warning',
  ]
    .join(',')
    .split(',')
    .flatMap((name) => [
      [name, name.toLowerCase()],
      [name.toLowerCase(), name.toLowerCase()],
    ]),
);
for (const [short, long] of Object.entries(COMPACT)) {
  KEYS.set(short, long);
  KEYS.set(short.toUpperCase(), long);
}

/** The form in which header names compare: without regard to case, compact forms expanded (RFC 3261 §7.3.1, §7.3.3). */
export function headerKey(name: string): string {
  const known = KEYS.get(name);
  if (known !== undefined) return known;
  return name.toLowerCase();
}

/**
 * The header fields of one message: raw and in their order, parsed on first use and remembered until changed.
 * Owned by its message; names may be given in any case or in compact form.
 */
export class Headers {
  readonly #fields: HeaderField[];
  readonly #parsed = new Map<{ readonly name: string }, unknown>();

  constructor(fields: readonly HeaderField[] = []) {
    this.#fields = [...fields];
  }

  /** Number of header lines. */
  get size(): number {
    return this.#fields.length;
  }

  /** All header lines in their order. */
  [Symbol.iterator](): Iterator<HeaderField> {
    return this.#fields[Symbol.iterator]();
  }

  has(name: string): boolean {
    const key = headerKey(name);
    return this.#fields.some((field) => field.key === key);
  }

  /** The raw value of the first line of that name. */
  get(name: string): string | undefined {
    const key = headerKey(name);
    for (const field of this.#fields) if (field.key === key) return field.value;
    return undefined;
  }

  /** The raw values of all lines of that name, in their order. */
  all(name: string): string[] {
    const key = headerKey(name);
    const values: string[] = [];
    for (const field of this.#fields) if (field.key === key) values.push(field.value);
    return values;
  }

  /** Appends a line. */
  add(name: string, value: string): void {
    this.#fields.push(field(name, value));
    this.#forget(headerKey(name));
  }

  /** Puts a line before all others of its name; at the very top when it is the first of its name. */
  prepend(name: string, value: string): void {
    const key = headerKey(name);
    const index = this.#fields.findIndex((f) => f.key === key);
    this.#fields.splice(Math.max(index, 0), 0, field(name, value));
    this.#forget(key);
  }

  /** Replaces all lines of that name: where the first stood, else at the end. No value: removes them. */
  set(name: string, ...values: readonly string[]): void {
    const key = headerKey(name);
    const first = this.#fields.findIndex((f) => f.key === key);
    if (first !== -1) this.delete(name);
    const lines = values.map((value) => field(name, value));
    this.#fields.splice(first === -1 ? this.#fields.length : first, 0, ...lines);
    this.#forget(key);
  }

  delete(name: string): void {
    const key = headerKey(name);
    for (let i = this.#fields.length - 1; i >= 0; i--) if (this.#fields[i]?.key === key) this.#fields.splice(i, 1);
    this.#forget(key);
  }

  /**
   * The typed value of a header; `undefined` when no line has its name.
   * @throws SipError 400 when it is malformed.
   */
  read<T>(kind: ReadableKind<T>): T | undefined {
    const known = this.known(kind);
    if (known !== undefined) return known;
    const values = this.all(kind.name);
    if (values.length === 0) return undefined;
    const value = kind.parse(values);
    this.#parsed.set(kind, value);
    return value;
  }

  /** The typed value of a header if it has been read already; never parses. */
  known<T>(kind: ReadableKind<T>): T | undefined {
    return this.#parsed.get(kind) as T | undefined;
  }

  /** Sets a header to a typed value, replacing all lines of its name; `undefined` removes them. */
  write<T>(kind: HeaderKind<T>, value: T | undefined): void {
    if (value === undefined) this.delete(kind.name);
    else this.set(kind.name, ...kind.format(value));
  }

  #forget(key: string): void {
    for (const kind of this.#parsed.keys()) if (headerKey(kind.name) === key) this.#parsed.delete(kind);
  }
}

/**
 * What is set goes on the wire as it is: a line break would start a header of somebody else's choice.
 * @throws TypeError
 */
export function checkLines(lines: readonly { readonly name: string; readonly value: string }[] = []): void {
  for (const { name, value } of lines) {
    if (/[\r\n]/.test(name) || /[\r\n]/.test(value))
      throw new TypeError(`line break in header ${JSON.stringify(name)}`);
  }
}

function field(name: string, value: string): HeaderField {
  checkLines([{ name, value }]);
  return { name, key: headerKey(name), value };
}
