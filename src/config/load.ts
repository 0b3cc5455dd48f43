/** From the four places of a configuration to one that is checked whole. */
import { readFileSync } from 'node:fs';
import type { z } from 'zod';
import { ConfigError, type ConfigFault } from './faults.ts';
import { unknownKey, type KeyPath } from './keys.ts';
import { type Contradiction, openToNetwork } from './network.ts';
import { sharedPorts } from './ports.ts';
import { schema, type Config } from './schema.ts';
import { fromEnvironment, fromOptions, fromYaml, isSection, overlay, type Source, type Value } from './sources.ts';

/** What the operator has said, besides the defaults. */
export interface ConfigInput {
  /** The file, with the name that faults call it by. */
  readonly file?: { readonly name: string; readonly text: string };
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** Options of the form `KEY=VALUE`. */
  readonly options?: readonly string[];
}

/** Compiled, this file stands in dist/src/config. */
const defaultsFile = new URL('../../../config/default.yaml', import.meta.url);

/**
 * Makes the configuration out of what was said. Throws `ConfigError` with all faults.
 *
 * @param look finds what else is wrong with a configuration that is well by itself, such as the files that it names
 */
export function readConfig(input: ConfigInput, look: (config: Config) => readonly Contradiction[] = () => []): Config {
  const defaults = fromYaml('config/default.yaml', readFileSync(defaultsFile, 'utf8'));
  const given: readonly Source[] = [
    ...(input.file === undefined ? [] : [fromYaml(input.file.name, input.file.text)]),
    ...fromEnvironment(input.environment ?? {}),
    ...fromOptions(input.options ?? []),
  ];
  const sources = [defaults, ...given];
  const place = (path: KeyPath): string =>
    (sources.findLast((source) => source.says(path)) ?? around(path)).placeOf(path);
  const around = (path: KeyPath): Source | Pick<Source, 'placeOf'> =>
    path.length === 0 ? { placeOf: () => input.file?.name ?? '' } : { placeOf: () => place(path.slice(0, -1)) };

  const faults = sources.flatMap((source) => source.faults);
  const value = sources.reduce<Value>((below, source) => overlay(below, source.value), {});
  const parsed = schema.safeParse(value);
  if (!parsed.success) faults.push(...parsed.error.issues.flatMap((issue) => describe(issue, value, place)));
  // What is well by itself is looked at together also when something else is not.
  const { data } = parsed.success ? parsed : schema.safeParse(soundPart(parsed.error.issues, value, defaults.value));
  const amiss = new Set(parsed.success ? [] : parsed.error.issues.map(({ path }) => path.map(String).join('.')));
  if (data !== undefined) {
    const found = [...contradictions(data), ...sharedPorts(data), ...openToNetwork(data), ...look(data)];
    const crossed = found.filter(({ keys }) => !keys.some(isAmong(amiss)));
    for (const { keys, message } of crossed) {
      // Where the operator has said one of them, that is the line to look at.
      const said = keys.map((key) => key.split('.')).find((path) => given.some((source) => source.says(path)));
      faults.push({ place: place(said ?? keys[0].split('.')), key: keys[0], message });
    }
  }
  if (!parsed.success || faults.length > 0) throw new ConfigError(inOrder(faults));
  return parsed.data;
}

/** The configuration with the defaults where it is at fault. */
function soundPart(issues: readonly z.core.$ZodIssue[], value: Value, defaults: Value): Value {
  const sound = issues.reduce((rest, issue) => {
    const path = issue.path.map(String);
    const names = issue.code === 'unrecognized_keys' ? issue.keys : [];
    return names.length === 0
      ? without(rest, path)
      : names.reduce((less, name) => without(less, [...path, name]), rest);
  }, value);
  return overlay(defaults, sound);
}

/** A value without what stands at the path; a list with a fault in it goes as a whole. */
function without(value: Value, [name, ...rest]: KeyPath): Value {
  if (name === undefined || typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  const entries = Object.entries(value).flatMap(([key, below]): [string, Value][] => {
    if (key !== name) return [[key, below]];
    return rest.length === 0 || Array.isArray(below) ? [] : [[key, without(below, rest)]];
  });
  return Object.fromEntries(entries);
}

/** Whether a key, or something around or in it, is among those. */
function isAmong(keys: ReadonlySet<string>): (key: string) => boolean {
  return (key) => [...keys].some((each) => `${each}.`.startsWith(`${key}.`) || `${key}.`.startsWith(`${each}.`));
}

/** The faults of a file by their lines; all others where they were found. */
function inOrder(faults: readonly ConfigFault[]): readonly ConfigFault[] {
  const lineOf = ({ place }: ConfigFault): number => Number(/:(\d+):\d+$/.exec(place)?.[1] ?? 0);
  return [...faults].sort((a, b) => lineOf(a) - lineOf(b));
}

/** The same, with the file read from disk. A file that cannot be read is a fault too. */
export function loadConfig(
  input: Omit<ConfigInput, 'file'> & { readonly file?: string | undefined },
  look?: (config: Config) => readonly Contradiction[],
): Config {
  const { file: name, ...rest } = input;
  if (name === undefined) return readConfig(rest, look);
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(name));
  } catch (error) {
    const unread = error instanceof Error ? error.message : String(error);
    const message = error instanceof TypeError ? 'is no text in UTF-8' : unread;
    throw new ConfigError([{ place: name, key: '', message }]);
  }
  return readConfig({ ...rest, file: { name, text } }, look);
}

/** One thing zod has found, as faults of ours: one for each unknown key, else one. */
function describe(issue: z.core.$ZodIssue, value: Value, place: (path: KeyPath) => string): readonly ConfigFault[] {
  const path = issue.path.map(String);
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((name) => {
      const below = [...path, name];
      const heads = isSection(below.reduce<Value | undefined>(step, value));
      return { place: place(below), key: below.join('.'), message: unknownKey(schema, path, name, heads) };
    });
  }
  const message =
    issue.code === 'invalid_key' ? issue.issues.map((inner) => inner.message).join(', ') : inWords(issue.message);
  const given = path.reduce<Value | undefined>(step, value);
  const shown = given === undefined || issue.code === 'invalid_key' ? '' : `, not ${JSON.stringify(given)}`;
  return [{ place: place(path), key: path.join('.'), message: `${message}${shown}` }];
}

/** What zod says, without what the value itself shows. */
function inWords(message: string): string {
  return message
    .replace(/^Invalid (?:input|option): /, '')
    .replace(/, received \w+$/, '')
    .replace(/^expected array$/, 'expected a list, in brackets: [one, two]')
    .replace(/^expected string$/, "expected text, in quotes where it looks like something else: '4711'")
    .replace(/^Too (?:big|small): expected \w+ to (?:be|have) <=/, 'expected at most ')
    .replace(/^Too (?:big|small): expected \w+ to (?:be|have) >=/, 'expected at least ');
}

/** What stands under a name in a section or list. */
function step(value: Value | undefined, name: string): Value | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  return Object.entries(value).find(([key]) => key === name)?.[1];
}

/** Keys that are each well but do not go together; the first of each is the one to change. */
function contradictions(config: Config): readonly Contradiction[] {
  const { sip, msrp, tls, http, audio, roster } = config;
  const checks: readonly (readonly [boolean, Contradiction['keys'], string])[] = [
    [sip.udp || sip.tcp, ['sip.udp', 'sip.tcp'], 'one of sip.udp and sip.tcp must be true'],
    [sip.t1 >= 1 && sip.t2 >= sip.t1, ['sip.t2', 'sip.t1'], 'must be at least sip.t1, and that more than 0'],
    [sip.session_minimum >= 90_000, ['sip.session_minimum'], 'must be at least 90s (RFC 4028 §4)'],
    [
      sip.session_expires >= sip.session_minimum,
      ['sip.session_expires', 'sip.session_minimum'],
      'must be at least sip.session_minimum',
    ],
    [
      msrp.queue_bytes >= msrp.stream_above,
      ['msrp.queue_bytes', 'msrp.stream_above'],
      'must be at least msrp.stream_above',
    ],
    [(tls.certificate === null) === (tls.key === null), ['tls'], 'certificate and key go together'],
    [!http.tls || tls.certificate !== null, ['http.tls', 'tls'], 'needs tls.certificate and tls.key'],
    [
      audio.first_port > 0 && audio.last_port > audio.first_port,
      ['audio.last_port', 'audio.first_port'],
      'must be above audio.first_port',
    ],
    [
      audio.last_port !== audio.first_port + 1 || audio.first_port % 2 === 0,
      ['audio.first_port', 'audio.last_port'],
      'must be even, where there are two ports: RTP has the even one (RFC 3550 §11)',
    ],
    [
      roster.expires >= roster.expires_minimum,
      ['roster.expires', 'roster.expires_minimum'],
      'must be at least roster.expires_minimum',
    ],
  ];
  return checks.filter(([holds]) => !holds).map(([, keys, message]) => ({ keys, message }));
}
