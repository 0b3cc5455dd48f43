/** Finding one's way in the schema: which keys there are, and which key a variable or an option means. */
import { z } from 'zod';
import { nearest } from './faults.ts';

/** A key: the names from the top of the file down to it. */
export type KeyPath = readonly string[];

/** What holds a value: the schema without the wrappings that say "may be absent" or "may be null". */
function core(schema: z.core.$ZodType): z.core.$ZodType {
  let inner = schema;
  while (inner instanceof z.ZodOptional || inner instanceof z.ZodNullable || inner instanceof z.ZodDefault) {
    inner = inner.unwrap();
  }
  return inner;
}

/** The keys that a section has, with their schemas; `undefined` if it is no section with fixed names. */
function shapeOf(schema: z.core.$ZodType): ReadonlyMap<string, z.core.$ZodType> | undefined {
  const inner = core(schema);
  if (!(inner instanceof z.ZodObject)) return undefined;
  return new Map(Object.entries(inner.shape));
}

/** The schema of what stands under one name, if anything may. */
function below(schema: z.core.$ZodType, name: string): z.core.$ZodType | undefined {
  const inner = core(schema);
  if (inner instanceof z.ZodRecord) return inner.valueType;
  if (inner instanceof z.ZodArray) return inner.element;
  return shapeOf(inner)?.get(name);
}

/** The schema of the value under a key, or `undefined` if there is no such key. */
export function schemaAt(schema: z.core.$ZodType, path: KeyPath): z.core.$ZodType | undefined {
  const [name, ...rest] = path;
  if (name === undefined) return schema;
  const next = below(schema, name);
  return next === undefined ? undefined : schemaAt(next, rest);
}

/** The names that may stand directly under a key. */
function namesAt(schema: z.core.$ZodType, path: KeyPath): readonly string[] {
  const found = schemaAt(schema, path);
  return [...((found === undefined ? undefined : shapeOf(found))?.keys() ?? [])];
}

/** All keys that hold a value and have a name of their own, as dotted paths. */
export function allKeys(schema: z.core.$ZodType, above: KeyPath = []): readonly string[] {
  const names = namesAt(schema, above);
  if (names.length === 0) return above.length === 0 ? [] : [above.join('.')];
  return names.flatMap((name) => allKeys(schema, [...above, name]));
}

/** Whether more stands below a key: names of its own, or free ones. */
function isSection(schema: z.core.$ZodType | undefined): boolean {
  return schema !== undefined && (shapeOf(schema) !== undefined || core(schema) instanceof z.ZodRecord);
}

/**
 * Says that a name is not known, and which one was probably meant.
 * @param heads whether more stands below it
 */
export function unknownKey(schema: z.core.$ZodType, above: KeyPath, name: string, heads: boolean): string {
  const names = namesAt(schema, above);
  const near = nearest(name, names);
  if (near !== undefined) return `no such key; did you mean ${[...above, near].join('.')}?`;
  // As a room that stands beside those that have names.
  const lower = names.find((one) => {
    const path = [...above, one];
    return heads && isSection(schemaAt(schema, path)) && isSection(schemaAt(schema, [...path, name]));
  });
  if (lower !== undefined) return `no such key; did you mean ${[...above, lower, name].join('.')}?`;
  const elsewhere = allKeys(schema).filter((key) => key === name || key.endsWith(`.${name}`));
  if (elsewhere.length > 0) return `no such key here; there is ${elsewhere.join(', ')}`;
  return names.length > 0 ? `no such key; known here: ${names.join(', ')}` : 'no such key';
}

/**
 * The key that the words of a variable's name mean: `['msrp', 'max', 'message']` is msrp.max_message. Where names are
 * free (rooms), the longest run of words that leads to a key is the name.
 */
export function keyOfWords(schema: z.core.$ZodType, words: readonly string[]): KeyPath | undefined {
  if (words.length === 0) return [];
  const free = shapeOf(schema) === undefined;
  for (let taken = words.length; taken > 0; taken--) {
    if (free && taken === words.length) continue;
    const name = words.slice(0, taken).join('_');
    const next = below(schema, name);
    const rest = next === undefined ? undefined : keyOfWords(next, words.slice(taken));
    if (rest !== undefined) return [name, ...rest];
  }
  return undefined;
}

/** Whether the value of a key is text, to be taken as it is written. */
export function takesText(schema: z.core.$ZodType): boolean {
  const inner = core(schema);
  return inner instanceof z.ZodString || inner instanceof z.ZodEnum;
}

/** Whether a key may be null. */
export function takesNull(schema: z.core.$ZodType): boolean {
  return (schema as z.ZodType).safeParse(null).success;
}
