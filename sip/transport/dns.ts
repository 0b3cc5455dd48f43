import { lookup, Resolver } from 'node:dns/promises';
import type { Dns, NaptrRecord, SrvRecord } from '../resolver.ts';

/** How names are asked. Milliseconds and counts. */
export interface DnsOptions {
  /** Name servers as `address` or `address:port`. Default: those of the system. */
  readonly servers?: readonly string[];
  /** Until one try is given up. Default 2000. */
  readonly timeout?: number;
  /** Tries per name server. Default 2. */
  readonly tries?: number;
  /** Questions under way at one time; one more fails at once. Default 256. */
  readonly maxQuestions?: number;
  /** Answers kept. Default 2000. */
  readonly maxAnswers?: number;
  /** How long an answer is kept at most. Default 60000. */
  readonly answerLife?: number;
  /** How long it is kept that a name has no such records. Default 10000. */
  readonly absenceLife?: number;
  /** Monotonic time in milliseconds. */
  readonly clock?: () => number;
}

/** DNS error codes that mean "there is no such record", as opposed to "could not ask". */
const absent = new Set(['ENOTFOUND', 'ENODATA', 'ENONAME']);

/** The system's DNS: node:dns without its thread pool, with the hosts file, and with a bounded memory of answers. */
export function systemDns(options: DnsOptions = {}): Dns {
  const resolver = new Resolver({ timeout: options.timeout ?? 2_000, tries: options.tries ?? 2 });
  if (options.servers !== undefined) resolver.setServers(options.servers);
  const hosts = hostsFile(2);
  return rememberingDns(
    {
      naptr: async (name) => orNone(resolver.resolveNaptr(name), []),
      srv: async (name) =>
        (await orNone(resolver.resolveSrv(name), [])).map((record) => ({ ...record, target: record.name })),
      addresses: (name) => addresses(resolver, hosts, name),
    },
    options,
  );
}

/**
 * The hosts file, which the resolver does not read; `localhost` too. Asking it takes a thread of the pool that files
 * use as well, and may ask DNS again: so there are few such questions at a time, and above that no names.
 */
function hostsFile(mostAtOnce: number): (name: string) => Promise<readonly string[]> {
  let underWay = 0;
  return async (name) => {
    if (underWay >= mostAtOnce) return [];
    underWay += 1;
    try {
      return (await orNone(lookup(name, { all: true, verbatim: true }), [])).map((entry) => entry.address);
    } finally {
      underWay -= 1;
    }
  };
}

async function addresses(
  resolver: Resolver,
  hosts: (name: string) => Promise<readonly string[]>,
  name: string,
): Promise<readonly string[]> {
  const [four, six] = await Promise.allSettled([
    orNone(resolver.resolve4(name), []),
    orNone(resolver.resolve6(name), []),
  ]);
  const found = [...valueOf(four), ...valueOf(six)];
  if (found.length > 0) return found;
  const local = await hosts(name);
  if (local.length === 0 && four.status === 'rejected') throw four.reason;
  return local;
}

function valueOf(result: PromiseSettledResult<readonly string[]>): readonly string[] {
  return result.status === 'fulfilled' ? result.value : [];
}

async function orNone<T>(asked: Promise<T>, none: T): Promise<T> {
  try {
    return await asked;
  } catch (error) {
    if (error instanceof Error && 'code' in error && typeof error.code === 'string' && absent.has(error.code)) {
      return none;
    }
    throw error;
  }
}

/** Puts a bounded memory before a DNS: the same question is asked once at a time, and not again while its answer lives. */
export function rememberingDns(dns: Dns, options: DnsOptions = {}): Dns {
  const clock = options.clock ?? (() => performance.now());
  const underWay = new Set<Promise<unknown>>();
  const ask = <T>(question: (name: string) => Promise<readonly T[]>): ((name: string) => Promise<readonly T[]>) => {
    const memory = new Memory<T>(options, clock);
    return (name) => {
      const key = name.toLowerCase();
      const known = memory.get(key);
      if (known !== undefined) return known;
      if (underWay.size >= (options.maxQuestions ?? 256)) return Promise.reject(new Error('too many DNS questions'));
      const asked = question(key).then(
        (records) => {
          underWay.delete(asked);
          memory.keep(key, asked, records.length > 0);
          return records;
        },
        (error: unknown) => {
          underWay.delete(asked);
          memory.forget(key);
          throw error;
        },
      );
      underWay.add(asked);
      memory.await(key, asked);
      return asked;
    };
  };
  return {
    naptr: ask<NaptrRecord>((name) => dns.naptr(name)),
    srv: ask<SrvRecord>((name) => dns.srv(name)),
    addresses: ask<string>((name) => dns.addresses(name)),
  };
}

/** Answers by name, the oldest forgotten first. An entry without end is still being asked. */
class Memory<T> {
  readonly #entries = new Map<string, { readonly answer: Promise<readonly T[]>; readonly until: number }>();
  readonly #options: DnsOptions;
  readonly #clock: () => number;

  constructor(options: DnsOptions, clock: () => number) {
    this.#options = options;
    this.#clock = clock;
  }

  get(name: string): Promise<readonly T[]> | undefined {
    const entry = this.#entries.get(name);
    return entry !== undefined && entry.until > this.#clock() ? entry.answer : undefined;
  }

  await(name: string, answer: Promise<readonly T[]>): void {
    this.#put(name, answer, Infinity);
  }

  keep(name: string, answer: Promise<readonly T[]>, present: boolean): void {
    const life = present ? (this.#options.answerLife ?? 60_000) : (this.#options.absenceLife ?? 10_000);
    this.#put(name, answer, this.#clock() + life);
  }

  forget(name: string): void {
    this.#entries.delete(name);
  }

  #put(name: string, answer: Promise<readonly T[]>, until: number): void {
    this.#entries.delete(name);
    this.#entries.set(name, { answer, until });
    const oldest = this.#entries.keys().next();
    if (this.#entries.size > (this.#options.maxAnswers ?? 2_000) && !oldest.done) this.#entries.delete(oldest.value);
  }
}
