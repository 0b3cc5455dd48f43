/**
 * What libsql gives, as values of known types. It ends the whole process when it meets a text that is no UTF-8, as there may
 * be in a damaged file; so no statement asks for a column as it is.
 */

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

/** A column of numbers, for SELECT. */
export const asNumber = (column: string): string => `CAST(${column} AS REAL) AS ${column}`;

/** A column of texts or blobs, for SELECT: as bytes. */
export const asBytes = (column: string): string => `CAST(${column} AS BLOB) AS ${column}`;

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** A text that was asked for as bytes. Throws when it is damaged. */
export function textOf(value: unknown): string {
  try {
    return utf8.decode(blobOf(value));
  } catch {
    throw new Error('SQLITE_CORRUPT: a text in the file is damaged: recover it, or move it away');
  }
}
