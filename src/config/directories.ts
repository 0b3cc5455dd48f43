/** Making the directories that the service keeps its files in. */
import { mkdirSync, statSync } from 'node:fs';
import { dirname } from 'node:path';

/** A directory cannot be made. The message names the key that asks for it, and the reason. */
export class DirectoryError extends Error {
  override readonly name = 'DirectoryError';
}

/**
 * Makes a directory, and those above it, unless it is there. Throws `DirectoryError`.
 *
 * Node's own way of making those above, too, tries again for ever where the one above is there and nothing can be made
 * in it, as in /proc.
 *
 * @param key the key of the configuration that asks for it, as a dotted path
 */
export function makeDirectory(key: string, path: string): void {
  try {
    make(path);
  } catch (error) {
    throw new DirectoryError(`${key}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function make(path: string): void {
  try {
    mkdirSync(path);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'EEXIST') {
      if (statSync(path).isDirectory()) return;
      throw new Error(`${path} is there already, and is no directory`, { cause: error });
    }
    if (code !== 'ENOENT') throw error;
    const above = dirname(path);
    if (statSync(above, { throwIfNoEntry: false }) !== undefined) {
      throw new Error(`${path} cannot be made: nothing can be made in ${above}`, { cause: error });
    }
    make(above);
    mkdirSync(path);
  }
}
