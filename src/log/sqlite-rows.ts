/** What libsql gives, as values of known types. */

/** One row, by the names of its columns. */
export type Row = Readonly<Record<string, unknown>>;

/** The rows among what was found: no row is found as undefined. */
export function rowsOf(values: readonly unknown[]): readonly Row[] {
  return values.filter((value): value is Row => typeof value === 'object' && value !== null);
}

/** The bytes of a blob, which come as ArrayBuffer from `all`, as Buffer from `get`. */
export function blobOf(value: unknown): Buffer {
  if (value instanceof ArrayBuffer) return Buffer.from(value);
  if (value instanceof Uint8Array) return Buffer.from(value.buffer, value.byteOffset, value.length);
  throw new TypeError('not a blob');
}
