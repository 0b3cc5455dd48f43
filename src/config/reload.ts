/** What a running service can take over from a changed configuration. */
import type { Config } from './schema.ts';

/** Which keys have changed, as dotted paths. */
export interface ConfigChange {
  /** Taken over at once, or for what begins afterwards. */
  readonly reloadable: readonly string[];
  /** Need a restart. */
  readonly fixed: readonly string[];
}

/** The keys marked [reload] in config/default.yaml; each stands for all below it. */
export const RELOADABLE: readonly string[] = [
  'rooms.on_demand',
  'rooms.defaults',
  'rooms.named',
  'peers',
  'logging.level',
];

/** Compares two configurations. */
export function compareConfigs(before: Config, after: Config): ConfigChange {
  const changed = differences(before, after, []);
  // With the first certificate come listeners that were not there before.
  const certified = before.tls.certificate !== null && after.tls.certificate !== null;
  const taken = certified ? [...RELOADABLE, 'tls'] : RELOADABLE;
  const reloadable = (key: string): boolean => taken.some((prefix) => key === prefix || key.startsWith(`${prefix}.`));
  return { reloadable: changed.filter(reloadable), fixed: changed.filter((key) => !reloadable(key)) };
}

/** The paths at which two values differ: as deep as both are sections. */
function differences(a: unknown, b: unknown, path: readonly string[]): readonly string[] {
  if (isSection(a) && isSection(b)) {
    const names = new Set([...Object.keys(a), ...Object.keys(b)]);
    return [...names].flatMap((name) => differences(a[name], b[name], [...path, name]));
  }
  return JSON.stringify(a) === JSON.stringify(b) ? [] : [path.join('.')];
}

const isSection = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
