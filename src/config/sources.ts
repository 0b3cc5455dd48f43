/** The places a configuration comes from, each made into one shape: values, and where each of them stands. */
import {
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type Pair,
  parse,
  parseDocument,
  type YAMLMap,
  YAMLParseError,
} from 'yaml';
import { z } from 'zod';
import type { ConfigFault } from './faults.ts';
import { allKeys, keyOfWords, schemaAt, takesNull, takesText, unknownKey, type KeyPath } from './keys.ts';
import { nearest } from './faults.ts';
import { schema } from './schema.ts';

/** Anything that a YAML file can say. */
export type Value = string | number | boolean | null | readonly Value[] | { readonly [key: string]: Value };

/** What one place says. */
export interface Source {
  readonly value: Value;
  /** Where the value under a path stands, or the nearest thing around it. */
  readonly placeOf: (path: KeyPath) => string;
  /** Whether this place says anything about the path itself. */
  readonly says: (path: KeyPath) => boolean;
  readonly faults: readonly ConfigFault[];
}

const joined = (path: KeyPath): string => path.join('\0');

/** What the library calls it that a key is given twice. */
const REPEATED = 'DUPLICATE_KEY';

/** Reads a YAML file that the caller has read from disk. Its syntax faults are in the result. */
export function fromYaml(name: string, text: string): Source {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const at = (offset: number): string => {
    const { line, col } = lines.linePos(offset);
    return `${name}:${line}:${col}`;
  };
  const faults = document.errors.map((error) => ({
    place: at(error.pos[0]),
    key: '',
    message: error.code === REPEATED ? 'this key is given for the second time' : error.message,
  }));
  if (document.errors.some(({ code }) => code !== REPEATED))
    return { value: {}, placeOf: () => name, says: () => false, faults };

  const places = new Map<string, string>();
  const walk = (node: Node | null | undefined, path: KeyPath): void => {
    if (isMap<Node, Node | null>(node)) {
      foldRepeated(node);
      for (const { key, value } of node.items) {
        const below = [...path, isScalar(key) ? String(key.value) : String(key)];
        places.set(joined(below), at(key.range?.[0] ?? 0));
        walk(value, below);
      }
    } else if (isSeq<Node>(node)) {
      for (const [i, item] of node.items.entries()) {
        const below = [...path, String(i)];
        places.set(joined(below), at(item.range?.[0] ?? 0));
        walk(item, below);
      }
    }
  };
  walk(document.contents, []);
  return {
    value: plain(name, () => (document.toJS() ?? {}) as Value, faults),
    placeOf: (path) => {
      for (let n = path.length; n > 0; n--) {
        const place = places.get(joined(path.slice(0, n)));
        if (place !== undefined) return place;
      }
      return `${name}:1:1`;
    },
    says: (path) => places.has(joined(path)),
    faults,
  };
}

/** Of a key that is given again, which is a fault, all is looked at: sections become one, else the last counts. */
function foldRepeated(map: YAMLMap<Node, Node | null>): void {
  const firsts = new Map<string, Pair<Node, Node | null>>();
  for (const pair of map.items) {
    const name = String(isScalar(pair.key) ? pair.key.value : pair.key);
    const first = firsts.get(name);
    if (first === undefined) firsts.set(name, pair);
    else if (isMap(first.value) && isMap(pair.value)) first.value.items.push(...pair.value.items);
    else firsts.set(name, pair);
  }
  map.items = [...firsts.values()];
}

/** The plain value of a document. What the library throws here (too many aliases) is a fault of the file. */
function plain(name: string, make: () => Value, faults: ConfigFault[]): Value {
  try {
    return make();
  } catch (error) {
    faults.push({ place: name, key: '', message: error instanceof Error ? error.message : String(error) });
    return {};
  }
}

/** Variables that set no key: the name of the file, and the password that `chat` and `watch` give. */
const NO_KEYS: ReadonlySet<string> = new Set(['GTC_CONFIG', 'GTC_PASSWORD']);

/** What the variables that begin with `GTC_` say, but for those two that are no keys. */
export function fromEnvironment(environment: Readonly<Record<string, string | undefined>>): readonly Source[] {
  return Object.entries(environment)
    .filter(([name]) => name.startsWith('GTC_') && !NO_KEYS.has(name))
    .map(([name, text = '']) => {
      const path = keyOfWords(schema, name.slice('GTC_'.length).toLowerCase().split('_'));
      if (path !== undefined) return single(name, path, text);
      const near = nearest(name, allKeys(schema).map(variableOf));
      return broken({
        place: name,
        key: '',
        message: `no such key${near === undefined ? '' : `; did you mean ${near}?`}`,
      });
    });
}

/** The variable that sets a key. */
export function variableOf(key: string): string {
  return `GTC_${key.replaceAll('.', '_').toUpperCase()}`;
}

/** What options of the form `KEY=VALUE` say. */
export function fromOptions(options: readonly string[]): readonly Source[] {
  return options.map((option) => {
    const place = `--set ${option}`;
    const equals = option.indexOf('=');
    if (equals < 1) return broken({ place, key: '', message: 'expected KEY=VALUE' });
    const path = option.slice(0, equals).split('.');
    const wrong = path.findIndex((_, n) => schemaAt(schema, path.slice(0, n + 1)) === undefined);
    const name = path[wrong];
    if (name === undefined) return single(place, path, option.slice(equals + 1));
    const message = unknownKey(schema, path.slice(0, wrong), name, wrong < path.length - 1);
    return broken({ place, key: path.join('.'), message });
  });
}

const IPV6 = z.ipv6();

/** A place that says one thing. */
function single(place: string, path: KeyPath, text: string): Source {
  const key = schemaAt(schema, path);
  let value: Value = text;
  // `::` is an address, and in YAML a map.
  if (key !== undefined && !IPV6.safeParse(text).success && !(takesText(key) && !(text === 'null' && takesNull(key)))) {
    try {
      value = parse(text) as Value;
    } catch (error) {
      const reason = error instanceof YAMLParseError ? error.message.split('\n')[0] : String(error);
      return broken({ place, key: path.join('.'), message: reason ?? '' });
    }
  }
  const nested = path.reduceRight<Value>((below, name) => Object.fromEntries([[name, below]]), value);
  return {
    value: nested,
    placeOf: () => place,
    says: (other) => path.every((name, n) => n >= other.length || other[n] === name),
    faults: [],
  };
}

/** A place that says nothing that can be used. */
function broken(fault: ConfigFault): Source {
  return { value: {}, placeOf: () => fault.place, says: () => false, faults: [fault] };
}

/** Whether a value has names of its own. */
export function isSection(value: Value | undefined): value is { readonly [key: string]: Value };
export function isSection(value: unknown): value is Readonly<Record<string, unknown>>;
export function isSection(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Lays one value over another: sections are merged key by key, all else is replaced. An empty section changes nothing. */
export function overlay(below: Value | undefined, above: Value): Value {
  if (!isSection(below)) return above;
  if (above === null) return below;
  if (!isSection(above)) return above;
  const merged = new Map(Object.entries(below));
  for (const [name, value] of Object.entries(above)) merged.set(name, overlay(merged.get(name), value));
  return Object.fromEntries(merged);
}
