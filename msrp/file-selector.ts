import { quote, unquote } from './content-type.ts';

/** The file of a transfer (RFC 5547 §6), as an offer or answer describes it. */
export interface FileDescription {
  /** `file-selector`; empty in a capability query (§8.5). */
  readonly selector: FileSelector;
  /** `file-transfer-id`: tells a new transfer from a repeated description (§8.1). */
  readonly transferId?: string;
  /** `file-disposition`: `render`, `attachment`, … (§7). */
  readonly disposition?: string;
  readonly dates?: FileDates;
  /** `file-icon`: a cid: URL (§8.8). */
  readonly icon?: string;
  readonly range?: FileRange;
}

/** Which file (RFC 5547 §5). */
export interface FileSelector {
  /** As the sender named it: may hold path separators of any system, so never use it as a path. */
  readonly name?: string;
  /** Octets. */
  readonly size?: number;
  /** As in Content-Type. */
  readonly type?: string;
  /** Over the whole file, also when only a range is sent. */
  readonly hashes: readonly FileHash[];
}

/** One `hash` selector. */
export interface FileHash {
  /** In lower case: `sha-1`, … */
  readonly algorithm: string;
  /** Upper-case hexadecimal octets joined by colons. */
  readonly value: string;
}

/** `file-date`. */
export interface FileDates {
  readonly creation?: Date;
  readonly modification?: Date;
  readonly read?: Date;
}

/** `file-range`: octets counted from 1, both ends inclusive. */
export interface FileRange {
  readonly start: number;
  /** Absent for `*`: up to an end not known yet. */
  readonly stop?: number;
}

interface Attribute {
  readonly name: string;
  readonly value?: string | undefined;
}

// One selector: its value is a quoted string, or type parameters with quoted strings, or runs to the next blank.
const SELECTOR = /(name|size|type|hash):((?:[^\s"]|"[^"]*")*)/giy;
const DATE = /(creation|modification|read):"([^"]*)"/giy;
const BETWEEN = /\s*/y;
const UNREADABLE = /\S+/y;

/** Reads the file attributes of a media line; undefined when it has no `file-selector`. What cannot be read is left out. */
export function parseFile(attributes: readonly Attribute[]): FileDescription | undefined {
  const valueOf = (name: string): string | undefined =>
    attributes.find((attribute) => attribute.name === name)?.value?.trim() || undefined;
  if (!attributes.some((attribute) => attribute.name === 'file-selector')) return undefined;
  const dates = datesOf(valueOf('file-date') ?? '');
  const transferId = valueOf('file-transfer-id');
  const disposition = valueOf('file-disposition');
  const icon = valueOf('file-icon');
  const range = rangeOf(valueOf('file-range'));
  return {
    selector: selectorOf(valueOf('file-selector') ?? ''),
    ...(transferId === undefined ? {} : { transferId }),
    ...(disposition === undefined ? {} : { disposition: disposition.toLowerCase() }),
    ...(Object.keys(dates).length === 0 ? {} : { dates }),
    ...(icon === undefined ? {} : { icon }),
    ...(range === undefined ? {} : { range }),
  };
}

/** Writes the attributes; `parseFile` gives back the same (dates to the second). Throws a RangeError for invalid dates. */
export function formatFile(file: FileDescription): Attribute[] {
  const attributes: Attribute[] = [formatSelector(file.selector)];
  const add = (name: string, value: string | undefined): void => {
    if (value !== undefined && value !== '') attributes.push({ name, value });
  };
  add('file-transfer-id', file.transferId);
  add('file-disposition', file.disposition);
  add('file-date', file.dates === undefined ? undefined : formatDates(file.dates));
  add('file-icon', file.icon);
  add('file-range', file.range === undefined ? undefined : `${file.range.start}-${file.range.stop ?? '*'}`);
  return attributes;
}

function* scan(pattern: RegExp, text: string): Generator<[string, string]> {
  for (let at = 0; at < text.length;) {
    BETWEEN.lastIndex = at;
    BETWEEN.test(text);
    pattern.lastIndex = BETWEEN.lastIndex;
    const start = BETWEEN.lastIndex;
    const found = pattern.exec(text);
    if (found !== null) {
      at = pattern.lastIndex;
      yield [(found[1] ?? '').toLowerCase(), found[2] ?? ''];
    } else {
      UNREADABLE.lastIndex = start;
      if (!UNREADABLE.test(text)) return;
      at = UNREADABLE.lastIndex;
    }
  }
}

function selectorOf(text: string): FileSelector {
  let name: string | undefined;
  let size: number | undefined;
  let type: string | undefined;
  const hashes: FileHash[] = [];
  for (const [kind, value] of scan(SELECTOR, text)) {
    if (kind === 'name' && value.length > 2) name = decodeName(value);
    else if (kind === 'size' && /^\d{1,15}$/.test(value)) size = Number(value);
    else if (kind === 'type') type = decodeType(value);
    else if (kind === 'hash') {
      const [, algorithm, digest] = /^([^:]+):([0-9A-F]{2}(?::[0-9A-F]{2})*)$/i.exec(value) ?? [];
      if (algorithm !== undefined && digest !== undefined) {
        hashes.push({ algorithm: algorithm.toLowerCase(), value: digest.toUpperCase() });
      }
    }
  }
  return {
    ...(name === undefined ? {} : { name }),
    ...(size === undefined ? {} : { size }),
    ...(type === undefined ? {} : { type }),
    hashes,
  };
}

function formatSelector(selector: FileSelector): Attribute {
  const parts = selector.hashes.map(({ algorithm, value }) => `hash:${algorithm}:${value}`);
  if (selector.size !== undefined) parts.unshift(`size:${selector.size}`);
  if (selector.type !== undefined) parts.unshift(`type:${encodeType(selector.type)}`);
  if (selector.name !== undefined && selector.name !== '') parts.unshift(`name:"${encodeName(selector.name)}"`);
  return parts.length === 0 ? { name: 'file-selector' } : { name: 'file-selector', value: parts.join(' ') };
}

/** §6: what the syntax does not allow, and what a system could take for a directory, is percent-encoded. */
function encodeName(name: string): string {
  return name.replace(/[\0\r\n"%/\\]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`);
}

function decodeName(value: string): string {
  const inner = value.replace(/^"|"$/g, '');
  return inner.replace(/(?:%[0-9A-Fa-f]{2})+/g, (encoded) =>
    new TextDecoder().decode(Uint8Array.from(encoded.slice(1).split('%'), (hex) => parseInt(hex, 16))),
  );
}

/** ft-parameter quotes every value, and encodes by percent where Content-Type uses a backslash. */
function encodeType(type: string): string {
  return type.replace(/\s*;\s*([^=\s]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^;\s]*)/gs, (_, name: string, value: string) => {
    return `;${name}="${encodeName(value.startsWith('"') ? unquote(value) : value)}"`;
  });
}

function decodeType(type: string): string {
  return type.replace(/=("[^"]*")/g, (_, value: string) => `=${quote(decodeName(value))}`);
}

function datesOf(text: string): FileDates {
  const dates: { creation?: Date; modification?: Date; read?: Date } = {};
  for (const [kind, value] of scan(DATE, text)) {
    const date = new Date(value);
    if (Number.isNaN(date.getTime())) continue;
    if (kind === 'creation') dates.creation = date;
    else if (kind === 'modification') dates.modification = date;
    else dates.read = date;
  }
  return dates;
}

function formatDates(dates: FileDates): string {
  const named = [
    ['creation', dates.creation],
    ['modification', dates.modification],
    ['read', dates.read],
  ] as const;
  const parts = named.map(([name, date]) => (date === undefined ? '' : `${name}:"${formatDate(date)}"`));
  return parts.filter((part) => part !== '').join(' ');
}

/** RFC 5322 date-time with the numeric zone that RFC 5547 §6 demands. */
function formatDate(date: Date): string {
  if (Number.isNaN(date.getTime())) throw new RangeError('an invalid date in file-date');
  return date.toUTCString().replace('GMT', '+0000');
}

function rangeOf(text: string | undefined): FileRange | undefined {
  const [, start, stop] = /^([1-9]\d{0,14})-([1-9]\d{0,14}|\*)$/.exec(text ?? '') ?? [];
  if (start === undefined || stop === undefined || Number(stop) < Number(start)) return undefined;
  return stop === '*' ? { start: Number(start) } : { start: Number(start), stop: Number(stop) };
}
