import { MsrpError } from './errors.ts';
import * as rule from './grammar.ts';

/** A media type with its parameters (RFC 2045 §5.1, RFC 4975 §9 media-type). */
export interface ContentType {
  /** `type/subtype` in lower case. */
  readonly mediaType: string;
  /** In their order; names in lower case, values without quotes. */
  readonly parameters: readonly { readonly name: string; readonly value: string }[];
}

const MEDIA_TYPE = new RegExp(`^(${rule.token})/(${rule.token})`);
const PARAMETER = new RegExp(
  `[ \\t]*;[ \\t]*(?:(${rule.token})[ \\t]*=[ \\t]*(?:(${rule.quotedString})|([^\\s";]*)))?`,
  'y',
);
const TOKEN = new RegExp(`^${rule.token}$`);

/** Those read last, by their text: nearly all that come are the same few. */
const known = new Map<string, ContentType>();
const MOST_KNOWN = 64;
const LONGEST_KNOWN = 128;

/** Reads a Content-Type value; blanks around delimiters and unquoted values are taken. Throws `MsrpError` 400. */
export function parseContentType(text: string): ContentType {
  const before = known.get(text);
  if (before !== undefined) return before;
  const type = readContentType(text.trim());
  if (text.length > LONGEST_KNOWN) return type;
  if (known.size >= MOST_KNOWN) known.clear();
  known.set(text, type);
  return type;
}

function readContentType(value: string): ContentType {
  const type = MEDIA_TYPE.exec(value);
  if (type === null) throw new MsrpError(400, 'Content-Type names no media type');
  const parameters: { name: string; value: string }[] = [];
  PARAMETER.lastIndex = type[0].length;
  while (PARAMETER.lastIndex < value.length) {
    const found = PARAMETER.exec(value);
    if (found === null) throw new MsrpError(400, 'Content-Type with a parameter that cannot be read');
    const [, name, quoted, plain = ''] = found;
    if (name !== undefined) {
      parameters.push({ name: name.toLowerCase(), value: quoted === undefined ? plain : unquote(quoted) });
    }
  }
  return { mediaType: type[0].toLowerCase(), parameters };
}

/** Writes a Content-Type value; `parseContentType` gives back the same. */
export function formatContentType(type: ContentType): string {
  const parameters = type.parameters.map(({ name, value }) => `;${name}=${TOKEN.test(value) ? value : quote(value)}`);
  return type.mediaType + parameters.join('');
}

/** The value of a parameter, if it is there. */
export function parameterOf(type: ContentType, name: string): string | undefined {
  return type.parameters.find((parameter) => parameter.name === name)?.value;
}

/** Takes the quotes off a quoted-string and undoes its escapes. */
export function unquote(quoted: string): string {
  return quoted.slice(1, -1).replace(/\\(.)/gs, '$1');
}

/** Makes a quoted-string of any text. */
export function quote(text: string): string {
  return `"${text.replace(/["\\]/g, '\\$&')}"`;
}

/**
 * The value of `accept-types` or `accept-wrapped-types` (RFC 4975 §8.6): `text/plain`, `text/*` or `*` each. Parameters
 * are kept for printing and ignored in matching, as that section says.
 */
export class AcceptedTypes {
  /** The entries in order of preference. */
  readonly entries: readonly string[];
  readonly #all: boolean;
  readonly #exact = new Set<string>();
  readonly #families = new Set<string>();

  constructor(entries: readonly string[]) {
    this.entries = entries;
    const bare = entries.map((entry) => (entry.split(';', 1)[0] ?? '').toLowerCase());
    this.#all = bare.includes('*') || bare.includes('*/*');
    for (const entry of bare) {
      if (entry.endsWith('/*')) this.#families.add(entry.slice(0, -1));
      else this.#exact.add(entry);
    }
  }

  /** Whether content of this media type (`type/subtype`, lower case, no parameters) may be sent. */
  accepts(mediaType: string): boolean {
    return (
      this.#all || this.#exact.has(mediaType) || this.#families.has(mediaType.slice(0, mediaType.indexOf('/') + 1))
    );
  }

  /** Whether anything at all is accepted. */
  get empty(): boolean {
    return this.entries.length === 0;
  }
}
