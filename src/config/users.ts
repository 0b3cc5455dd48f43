/**
 * The user file of SIP digest (RFC 3261 §22, RFC 8760): for each user what the digest algorithms hash of name, realm
 * and password, and never the password. It is made by `grouptextchat user`, readable by its owner only.
 */
import { createHash } from 'node:crypto';
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { z } from 'zod';
import { makeDirectory } from './directories.ts';

const ALGORITHMS = { 'SHA-256': 'sha256', MD5: 'md5' } as const;

/** The digest algorithms that a user can be checked with. */
export type UserAlgorithm = keyof typeof ALGORITHMS;

const hashes = z.strictObject({
  'SHA-256': z.string().regex(/^[0-9a-f]{64}$/),
  MD5: z.string().regex(/^[0-9a-f]{32}$/),
});

const NAME = /^[A-Za-z0-9\-_.!~*'()+]{1,64}$/;

const content = z.strictObject({ realm: z.string(), users: z.record(z.string().regex(NAME), hashes) });

type Content = z.infer<typeof content>;

/** The user file cannot be read or written, or the name or password cannot be used. The message is for the operator. */
export class UserFileError extends Error {
  override readonly name = 'UserFileError';
}

/** How long the file's date is believed before it is looked at again, in milliseconds. */
const LOOK_AGAIN = 1000;

/** The users, as the running service asks for them. The file is read again when it has changed. */
export class Users {
  readonly #path: string;
  readonly #realm: string;
  readonly #fault: (reason: string) => void;
  #users: ReadonlyMap<string, z.infer<typeof hashes>> = new Map();
  #version = '';
  #lookedAt = -Infinity;

  /** Reads the file; one that does not exist has no users. `fault` is told when a later version cannot be used: the one before stays. Throws `UserFileError`. */
  constructor(path: string, realm: string, fault: (reason: string) => void) {
    this.#path = path;
    this.#realm = realm;
    this.#fault = fault;
    this.#version = versionOf(path);
    this.#users = new Map(Object.entries(read(path, realm).users));
  }

  /** The user's HA1 for an algorithm, in hexadecimal; `undefined` if there is no such user. `now` in milliseconds. */
  ha1(user: string, algorithm: UserAlgorithm, now: number): string | undefined {
    this.#refresh(now);
    return this.#users.get(user)?.[algorithm];
  }

  #refresh(now: number): void {
    if (now - this.#lookedAt < LOOK_AGAIN) return;
    this.#lookedAt = now;
    const version = versionOf(this.#path);
    if (version === this.#version) return;
    this.#version = version;
    if (version === '') {
      this.#fault(`${this.#path} is gone: the users are those that it had`);
      return;
    }
    try {
      this.#users = new Map(Object.entries(read(this.#path, this.#realm).users));
    } catch (error) {
      if (!(error instanceof UserFileError)) throw error;
      this.#fault(error.message);
    }
  }
}

/** Says that others on this machine can read the file, who could then pass for anybody in it; undefined when they cannot. */
export function exposure(path: string): string | undefined {
  const found = statSync(path, { throwIfNoEntry: false });
  // Windows knows no such bits.
  if (found === undefined || process.platform === 'win32' || (found.mode & 0o077) === 0) return undefined;
  return `${path} can be read by others on this machine (mode ${(found.mode & 0o777).toString(8)}): chmod 600 it`;
}

/** The names in the file, sorted. Throws `UserFileError`. */
export function listUsers(path: string, realm: string): readonly string[] {
  return Object.keys(read(path, realm).users).sort();
}

/** Adds a user or gives one a new password. Throws `UserFileError` or `DirectoryError`. */
export function addUser(path: string, realm: string, name: string, password: string): 'added' | 'changed' {
  if (!NAME.test(name))
    throw new UserFileError(`${JSON.stringify(name)} cannot be a user: 1 to 64 letters, digits or -_.!~*'()+`);
  // What a client hashes is what its user typed; the same letters must give the same octets (RFC 8265 §4.2.2).
  const secret = password.normalize('NFC');
  if (secret === '' || /\p{Cc}/u.test(secret))
    throw new UserFileError('the password must have a character, and no control characters');
  const ha1 = (algorithm: UserAlgorithm): string =>
    createHash(ALGORITHMS[algorithm]).update(`${name}:${realm}:${secret}`).digest('hex');
  return change(path, realm, (users) => {
    const had = users.has(name);
    users.set(name, { 'SHA-256': ha1('SHA-256'), MD5: ha1('MD5') });
    return had ? 'changed' : 'added';
  });
}

/** Removes a user; false if there was none of that name. Throws `UserFileError` or `DirectoryError`. */
export function removeUser(path: string, realm: string, name: string): boolean {
  return change(path, realm, (users) => users.delete(name));
}

/** Replaces the file by a changed one, whole or not at all; one writer at a time. */
function change<Result>(
  path: string,
  realm: string,
  edit: (users: Map<string, z.infer<typeof hashes>>) => Result,
): Result {
  const next = `${path}.new`;
  makeDirectory('auth.users', dirname(path));
  let file: number;
  try {
    file = openSync(next, 'wx', 0o600);
  } catch (error) {
    const hint =
      codeOf(error) === 'EEXIST'
        ? ': another command is changing the users, or was broken off: then remove that file'
        : '';
    throw new UserFileError(`${next} cannot be made${hint === '' ? `: ${reasonOf(error)}` : hint}`);
  }
  let result: Result;
  try {
    try {
      const users = new Map(Object.entries(read(path, realm).users));
      result = edit(users);
      const changed: Content = { realm, users: Object.fromEntries(users) };
      writeFileSync(file, `${JSON.stringify(changed, null, 2)}\n`);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(next, path);
    return result;
  } catch (error) {
    rmSync(next, { force: true });
    if (error instanceof UserFileError) throw error;
    throw new UserFileError(`${path} cannot be written: ${reasonOf(error)}`);
  }
}

function read(path: string, realm: string): Content {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return { realm, users: {} };
    throw new UserFileError(`${path} cannot be read: ${reasonOf(error)}`);
  }
  const parsed = content.safeParse(jsonOf(path, text));
  if (!parsed.success) throw new UserFileError(`${path} is no user file: ${z.prettifyError(parsed.error)}`);
  if (parsed.data.realm !== realm) {
    throw new UserFileError(
      `${path} was made for the realm "${parsed.data.realm}", and auth.realm is "${realm}": passwords must be set anew in a new file`,
    );
  }
  return parsed.data;
}

/** Something that changes whenever the file is replaced. */
function versionOf(path: string): string {
  const found = statSync(path, { throwIfNoEntry: false });
  return found === undefined ? '' : `${found.ino}:${found.mtimeMs}:${found.size}`;
}

function jsonOf(path: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new UserFileError(`${path} is no user file: ${reasonOf(error)}`);
  }
}

const codeOf = (error: unknown): unknown => (error instanceof Error && 'code' in error ? error.code : undefined);

const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
