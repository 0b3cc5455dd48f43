import type { Millis } from '../conference/events.ts';

/** What of the past somebody wants, at most. */
export interface PastWish {
  readonly messages?: number;
  /** Milliseconds. */
  readonly within?: Millis;
}

const MILLIS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `20` messages, or those of a duration: `90s`, `30m`, `12h`, `7d`; undefined for anything else. */
export function readPastWish(text: string): PastWish | undefined {
  const [, digits, unit] = /^(\d{1,6})([smhd]?)$/.exec(text) ?? [];
  if (digits === undefined || unit === undefined) return undefined;
  return unit === '' ? { messages: Number(digits) } : { within: readDuration(text) ?? 0 };
}

/** `30s`, `10m`, `2h`, `7d` as milliseconds; undefined for anything else. */
export function readDuration(text: string | undefined): Millis | undefined {
  const [, count, unit = ''] = /^(\d{1,6})([smhd])$/.exec(text ?? '') ?? [];
  return count === undefined ? undefined : Number(count) * (MILLIS[unit] ?? 0);
}
