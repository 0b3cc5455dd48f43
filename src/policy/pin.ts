/** The PIN of a room: kept as a salted hash only. */
import { randomBytes, scryptSync, timingSafeEqual } from 'node:crypto';
import { Recent } from '../conference/recent.ts';

const COST = 4096;
const LENGTH = 32;

/** Longest PIN taken, in UTF-16 code units. */
const MAX_PIN = 128;

/** Hashes a PIN: `scrypt$COST$SALT$HASH`. */
export function hashPin(pin: string): string {
  const salt = randomBytes(16);
  return `scrypt$${String(COST)}$${salt.toString('base64url')}$${derive(pin, salt, COST).toString('base64url')}`;
}

/** Whether the PIN is the one that was hashed. Takes some milliseconds of CPU, on purpose: limit the tries. */
export function isPin(pin: string, hash: string): boolean {
  const [scheme, cost, salt, expected] = hash.split('$');
  if (scheme !== 'scrypt' || salt === undefined || expected === undefined || pin.length > MAX_PIN) return false;
  const derived = derive(pin, Buffer.from(salt, 'base64url'), Number(cost));
  const known = Buffer.from(expected, 'base64url');
  return known.length === derived.length && timingSafeEqual(known, derived);
}

function derive(pin: string, salt: Buffer, cost: number): Buffer {
  return scryptSync(pin.normalize('NFKC'), salt, LENGTH, { N: cost, r: 8, p: 1 });
}

/**
 * PINs that are known in clear, because they were configured, set or dialled while this process runs: without that nobody
 * can tell whether digest credentials are made of one.
 */
export class KnownPins {
  readonly #byHash: Recent<string, string>;

  /** @param limit PINs known at a time; the one that was learnt longest ago is forgotten */
  constructor(limit = 1000) {
    this.#byHash = new Recent(limit);
  }

  /** Notes that this PIN has that hash. */
  learn(pin: string, hash: string): void {
    this.#byHash.set(hash, pin);
  }

  /** The PIN that has a hash. */
  of(hash: string | undefined): string | undefined {
    return hash === undefined ? undefined : this.#byHash.get(hash);
  }
}
