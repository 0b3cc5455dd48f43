/** The service's log: one line for each thing worth telling, for people or for machines. */
import { pino, type Logger as Pino } from 'pino';

/** How much is told. */
export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent';

/** What a line carries besides its text: flow, Call-ID, session, reason. */
export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>;

/** How the log is written. */
export interface LoggerOptions {
  readonly level: LogLevel;
  /** `text`: `12:00:00.000 warn  sip: text key=value`. `json`: one object a line. */
  readonly format: 'text' | 'json';
  /** Where lines go, each ending in a line feed. Default: standard error. */
  readonly write?: (line: string) => void;
}

/** Writes lines for one part of the service. It fits where the libraries want a log. */
export class Logger {
  readonly #root: Pino;
  readonly #part: string;

  private constructor(root: Pino, part: string) {
    this.#root = root;
    this.#part = part;
  }

  /** The log of the service as a whole. */
  static create(options: LoggerOptions): Logger {
    const write = options.write ?? ((line: string): void => void process.stderr.write(line));
    const destination = options.format === 'json' ? { write } : { write: (line: string) => write(readable(line)) };
    return new Logger(
      pino({ level: options.level, base: null, formatters: { level: (label) => ({ level: label }) } }, destination),
      '',
    );
  }

  /** The same log for one part; the name stands in each of its lines. */
  child(part: string): Logger {
    return new Logger(this.#root, this.#part === '' ? part : `${this.#part}/${part}`);
  }

  /** Changes how much is told, for all parts at once. */
  setLevel(level: LogLevel): void {
    this.#root.level = level;
  }

  /** Whether lines of `trace` are written now, so that who would have to make them may save that. */
  get traces(): boolean {
    return this.#root.isLevelEnabled('trace');
  }

  /** What only a developer wants to know, such as each message. */
  trace(text: string, fields?: LogFields): void {
    this.#root.trace(this.#with(fields), text);
  }

  /** What helps to understand a fault afterwards. */
  debug(text: string, fields?: LogFields): void {
    this.#root.debug(this.#with(fields), text);
  }

  /** What an operator may want to know, in good order. */
  info(text: string, fields?: LogFields): void {
    this.#root.info(this.#with(fields), text);
  }

  /** A fault of a peer or of the network, or a limit that was reached. */
  warn(text: string, fields?: LogFields): void {
    this.#root.warn(this.#with(fields), text);
  }

  /** A fault of ours or of this machine: somebody should look. */
  error(text: string, fields?: LogFields): void {
    this.#root.error(this.#with(fields), text);
  }

  #with(fields: LogFields | undefined): LogFields {
    return this.#part === '' ? { ...fields } : { part: this.#part, ...fields };
  }
}

/** A JSON line as people like to read it. Nothing that a peer has sent can begin a line of its own. */
function readable(json: string): string {
  const { level, time, part, msg, ...fields } = JSON.parse(json) as Readonly<Record<string, unknown>>;
  const clock = new Date(Number(time)).toISOString().slice(11, 23);
  const more = Object.entries(fields).map(([name, value]) => ` ${name}=${word(value)}`);
  const from = typeof part === 'string' ? `${part}: ` : '';
  return `${clock} ${String(level).padEnd(5)} ${from}${oneLine(String(msg))}${more.join('')}\n`;
}

/** A value as one word; in quotes if it would not be one. */
function word(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return /^[\x21\x23-\x7e\xa1-\uffff]+$/.test(text) ? text : JSON.stringify(text);
}

/** Text with its control characters written out. */
function oneLine(text: string): string {
  return text.replace(
    /[\x00-\x1f\x7f-\x9f\u2028\u2029]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
