/** What a running service can take over from a changed configuration. */
import { type Config, keepsOnDisk } from './schema.ts';
import { isSection } from './sources.ts';

/** Which keys have changed, as dotted paths. */
export interface ConfigChange {
  /** Taken over at once, or for what begins afterwards. */
  readonly reloadable: readonly string[];
  /** Need a restart. */
  readonly fixed: readonly string[];
  /** Name what cannot be used; all is as it was. */
  readonly unusable?: readonly string[];
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
  const taken = bothCertified(before, after) ? [...RELOADABLE, 'tls'] : RELOADABLE;
  const moved = durabilitiesMoved(before, after);
  const reloadable = (key: string): boolean =>
    !moved.includes(key) && taken.some((prefix) => key === prefix || key.startsWith(`${prefix}.`));
  const fixed = changed.filter((key) => !reloadable(key));
  return { reloadable: changed.filter(reloadable), fixed: [...new Set([...fixed, ...moved])] };
}

/** The configuration that holds when another one has been taken over: what needs a restart is as it was at the start. */
export function afterReload(started: Config, changed: Config): Config {
  const { on_demand, defaults, named } = changed.rooms;
  return {
    ...started,
    rooms: { ...started.rooms, on_demand, defaults, named },
    peers: changed.peers,
    logging: { ...started.logging, level: changed.logging.level },
    tls: bothCertified(started, changed) ? changed.tls : started.tls,
  };
}

/** With the first certificate come listeners that were not there before. */
function bothCertified(before: Config, after: Config): boolean {
  return before.tls.certificate !== null && after.tls.certificate !== null;
}

/** The keys that ask for the disk for the first time, or for the last: whether there is a file is settled at the start. */
function durabilitiesMoved(before: Config, after: Config): readonly string[] {
  if (keepsOnDisk(before) === keepsOnDisk(after)) return [];
  const durabilities = ({ rooms: { defaults, named } }: Config): ReadonlyMap<string, string | undefined> =>
    new Map([
      ['rooms.defaults.durability', defaults.durability],
      ...Object.entries(named).map(([name, room]) => [`rooms.named.${name}.durability`, room.durability] as const),
    ]);
  const [was, is] = [durabilities(before), durabilities(after)];
  return [...new Set([...was.keys(), ...is.keys()])].filter((key) => was.get(key) !== is.get(key));
}

/** The paths at which two values differ: as deep as both are sections. */
function differences(a: unknown, b: unknown, path: readonly string[]): readonly string[] {
  if (isSection(a) && isSection(b)) {
    const names = new Set([...Object.keys(a), ...Object.keys(b)]);
    return [...names].flatMap((name) => differences(a[name], b[name], [...path, name]));
  }
  return JSON.stringify(a) === JSON.stringify(b) ? [] : [path.join('.')];
}
