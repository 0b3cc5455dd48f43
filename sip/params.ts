import { type Cursor, quote, quoteUnlessToken } from './grammar.ts';

/** One parameter. Without a value it stands alone (`;lr`). */
export interface Param {
  /** Its name as it came. */
  readonly name: string;
  /** Its value, quotes and their escapes removed. */
  readonly value?: string;
  /** Whether the value stood as a quoted-string, or shall; `undefined`: printed so where it must be. */
  readonly quoted?: boolean;
}

/**
 * The parameters of a header value or URI (RFC 3261 §25.1 generic-param, uri-parameter): ordered, immutable, names
 * compared without regard to case (§7.3.1). In a URI values keep their %-escapes.
 */
export class Params {
  static readonly none = new Params([]);
  readonly #list: readonly Param[];

  constructor(list: readonly Param[]) {
    this.#list = list;
  }

  /** Parameters of a record: `true` for one without value, `undefined` for none; values are quoted where they must be. */
  static of(record: Readonly<Record<string, string | number | true | undefined>>): Params {
    const list: Param[] = [];
    for (const [name, value] of Object.entries(record)) {
      if (value === true) list.push({ name });
      else if (value !== undefined) list.push({ name, value: String(value) });
    }
    return list.length === 0 ? Params.none : new Params(list);
  }

  /** How many there are. */
  get size(): number {
    return this.#list.length;
  }

  #find(name: string): Param | undefined {
    for (const param of this.#list) {
      if (param.name === name) return param;
    }
    const lower = name.toLowerCase();
    for (const param of this.#list) {
      if (param.name.length === name.length && param.name.toLowerCase() === lower) return param;
    }
    return undefined;
  }

  /** The value of a parameter: '' when it stands without one, `undefined` when it is absent. */
  get(name: string): string | undefined {
    const param = this.#find(name);
    return param === undefined ? undefined : (param.value ?? '');
  }

  has(name: string): boolean {
    return this.#find(name) !== undefined;
  }

  /** These parameters with one set: in its place when it is there already, else at the end. `true`: without value. */
  with(name: string, value: string | number | true, quoted?: true): Params {
    const param: Param =
      value === true
        ? { name }
        : {
            name,
            value: String(value),
            ...(quoted === true ? { quoted } : undefined),
          };
    const old = this.#find(name);
    return new Params(old === undefined ? [...this.#list, param] : this.#list.map((p) => (p === old ? param : p)));
  }

  /** These parameters without the one named. */
  without(name: string): Params {
    const lower = name.toLowerCase();
    if (!this.has(name)) return this;
    return new Params(this.#list.filter((p) => p.name.toLowerCase() !== lower));
  }

  [Symbol.iterator](): Iterator<Param> {
    return this.#list[Symbol.iterator]();
  }

  /** As in a header value or URI: `;name=value` for each. */
  toString(): string {
    let out = '';
    for (const param of this.#list) out += `;${formatParam(param)}`;
    return out;
  }
}

/** `name`, `name=token` or `name="quoted string"`. */
export function formatParam({ name, value, quoted }: Param): string {
  if (value === undefined) return name;
  if (quoted === undefined) return `${name}=${quoteUnlessToken(value)}`;
  return quoted ? `${name}=${quote(value)}` : `${name}=${value}`;
}

/** A generic-param: `token [ EQUAL gen-value ]`, gen-value = token / host / quoted-string. */
export function readParam(cursor: Cursor): Param {
  const name = cursor.token('parameter name');
  if (!cursor.separator(61)) return { name };
  if (cursor.peek() === 34) return { name, value: cursor.quoted(), quoted: true };
  const start = cursor.at;
  // Besides tokens and hosts, what phones really send unquoted: URNs in +sip.instance, media types in feature tags.
  for (;;) {
    const code = cursor.peek();
    if (!(code > 32 && code !== 59 && code !== 44 && code !== 34 && code !== 127)) break;
    cursor.at++;
  }
  return { name, value: cursor.text.slice(start, cursor.at), quoted: false };
}

/** `*( SEMI generic-param )` from where the cursor stands. */
export function readParams(cursor: Cursor): Params {
  let list: Param[] | undefined;
  while (cursor.separator(59)) {
    // An empty parameter (";;" or a last ";") says nothing; it is met in the wild.
    if (cursor.done || cursor.peek() === 59 || cursor.peek() === 44) continue;
    (list ??= []).push(readParam(cursor));
  }
  return list === undefined ? Params.none : new Params(list);
}
