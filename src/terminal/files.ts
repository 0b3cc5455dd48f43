import { readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { readFile, stat, writeFile } from 'node:fs/promises';
import type { OutgoingFile } from '../client/index.ts';

/** Types by the end of a file's name; anything else is `application/octet-stream`. */
const TYPES: Readonly<Record<string, string>> = {
  ...{ txt: 'text/plain', md: 'text/markdown', csv: 'text/csv', html: 'text/html', json: 'application/json' },
  ...{
    png: 'image/png',
    jpg: 'image/jpeg',
    jpeg: 'image/jpeg',
    gif: 'image/gif',
    webp: 'image/webp',
    svg: 'image/svg+xml',
  },
  ...{ pdf: 'application/pdf', zip: 'application/zip', gz: 'application/gzip', mp3: 'audio/mpeg', ogg: 'audio/ogg' },
  ...{ wav: 'audio/wav', mp4: 'video/mp4', webm: 'video/webm', xml: 'application/xml' },
};

/** Octets of a file that is read to be sent. */
const MAX_BYTES = 30 * 1024 * 1024;

/** What the system says about files, in words. */
const REASONS: ReadonlyMap<string, string> = new Map([
  ['ENOENT', 'there is no such file'],
  ['ENOTDIR', 'there is no such file'],
  ['EISDIR', 'it is a folder'],
  ['EACCES', 'not allowed'],
  ['EPERM', 'not allowed'],
  ['EEXIST', 'there is such a file already'],
  ['ENOSPC', 'the disk is full'],
]);

function inWords(path: string): (fault: unknown) => never {
  return (fault) => {
    const code = fault instanceof Error && 'code' in fault ? String(fault.code) : '';
    const reason = REASONS.get(code);
    throw reason === undefined ? fault : new Error(`${path}: ${reason}`);
  };
}

/** Reads a file to send it. Rejects with an Error in words. */
export async function fileToSend(path: string): Promise<OutgoingFile> {
  const found = await stat(path).catch(inWords(path));
  // A pipe or a device may have no end, and who reads it could not leave.
  if (!found.isFile() && !found.isDirectory()) throw new Error(`${path}: it is no file, but a pipe or a device`);
  const { size } = found;
  if (size > MAX_BYTES) throw new Error(`${path} is larger than ${sizeText(MAX_BYTES)}`);
  const name = basename(path);
  const end = /\.([a-z0-9]+)$/i.exec(name)?.[1]?.toLowerCase() ?? '';
  return {
    name,
    contentType: TYPES[end] ?? 'application/octet-stream',
    content: await readFile(path).catch(inWords(path)),
  };
}

/** Files and folders whose path begins so, folders with a slash at their end; hidden ones only where they are asked for. */
export function filesLike(path: string): readonly string[] {
  const [, folder = '', start = ''] = /^(.*\/)?([^/]*)$/s.exec(path) ?? [];
  try {
    return readdirSync(folder === '' ? '.' : folder, { withFileTypes: true })
      .filter(({ name }) => name.startsWith(start) && (start !== '' || !name.startsWith('.')))
      .slice(0, MAX_COMPLETIONS)
      .map((entry) => `${folder}${entry.name}${entry.isDirectory() ? '/' : ''}`);
  } catch {
    // No such folder, or not for us: nothing begins so.
    return [];
  }
}

/** More would fill the screen. */
const MAX_COMPLETIONS = 100;

/** A file that came. */
export interface ReceivedFile {
  readonly name: string;
  readonly content: Uint8Array;
}

/** The files that came last, by their numbers: at most 20, and at most 64 MiB of them. */
export class Inbox {
  readonly #files = new Map<number, ReceivedFile>();
  #count = 0;
  #bytes = 0;

  /** Keeps a file and gives its number. */
  keep(file: ReceivedFile): number {
    this.#count += 1;
    this.#files.set(this.#count, file);
    this.#bytes += file.content.length;
    for (const [number, { content }] of this.#files) {
      if (this.#files.size <= 20 && this.#bytes <= 64 * 1024 * 1024) break;
      this.#files.delete(number);
      this.#bytes -= content.length;
    }
    return this.#count;
  }

  /** Writes a file to `path`, or under its own name to this folder; never over another. Gives where it is; rejects in words. */
  async save(number: number, path?: string): Promise<string> {
    const file = this.#files.get(number);
    if (file === undefined) throw new Error(`there is no file ${number}`);
    const target = path ?? join('.', safeName(file.name));
    await writeFile(target, file.content, { flag: 'wx' }).catch(inWords(target));
    return target;
  }
}

/** RFC 5547 §6: what others call a file is no path here. */
function safeName(name: string): string {
  const safe = name
    .replace(/[\p{Cc}/\\:*?"<>|]/gu, '_')
    .replace(/^\.+/, '_')
    .slice(0, 200);
  return safe === '' ? 'file' : safe;
}

/** A size for people. */
export function sizeText(bytes: number): string {
  if (bytes < 1024) return `${bytes} bytes`;
  return bytes < 1024 * 1024 ? `${Math.round(bytes / 1024)} KiB` : `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
}
