import { createInterface, type Interface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import type { Completions } from './commands.ts';
import type { ChatEvent } from './events.ts';
import { formatEvent, HOW_TO } from './format.ts';
import { colourDress, type Dress, harmlessLine, plainDress } from './text.ts';

/** Where a command reads and writes. */
export interface Terminal {
  readonly input: Readable & { readonly isTTY?: boolean };
  readonly output: Writable & { readonly isTTY?: boolean };
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** The process's own terminal. */
export const processTerminal: Terminal = { input: process.stdin, output: process.stdout, env: process.env };

/** How to show things. */
export interface ScreenOptions {
  readonly json: boolean;
  /** False switches colours off; they are off anyway where they cannot be shown. */
  readonly colour: boolean;
}

/** What the screen asks for and tells. */
export interface ScreenHandlers {
  /** A line was entered. In a pipe the next one is read when this is done: its lines are a script. */
  line(text: string): void | Promise<void>;
  /** There will be no more lines: end of file, Ctrl-D or Ctrl-C. */
  ended(): void;
  /** Something was typed into the line at hand. */
  typed?(line: string): void;
  /** What may stand for the end of a line, and for how much of it. */
  complete?(line: string): Completions;
}

/**
 * The screen of a chat. On a terminal, lines appear above the one being typed, which can be edited and completed and has
 * a history (node:readline); on a dumb terminal and in a pipe they are just printed.
 */
export class Screen {
  readonly #terminal: Terminal;
  readonly #json: boolean;
  readonly #dress: Dress;
  /** Whether the line being typed can be redrawn. */
  readonly #lively: boolean;
  #lines: Interface | undefined;
  #own = '';

  constructor(terminal: Terminal, options: ScreenOptions) {
    this.#terminal = terminal;
    this.#json = options.json;
    const { input, output, env } = terminal;
    const able = output.isTTY === true && env['TERM'] !== 'dumb';
    this.#lively = able && input.isTTY === true && !options.json;
    const colour = options.colour && able && !options.json && (env['NO_COLOR'] ?? '') === '';
    this.#dress = colour ? colourDress : plainDress;
  }

  /** Whether somebody sits at it. */
  get attended(): boolean {
    return this.#terminal.input.isTTY === true;
  }

  /** Our own address, marked in the roster. */
  set own(uri: string) {
    this.#own = uri;
  }

  /** Starts to read lines. */
  listen(handlers: ScreenHandlers): void {
    const { input, output } = this.#terminal;
    this.#lines = createInterface({
      input,
      ...(this.#lively ? { output } : {}),
      terminal: this.#lively,
      prompt: this.#lively ? '> ' : '',
      historySize: 200,
      completer: (line: string): [string[], string] => {
        const { choices = [], word = '' } = handlers.complete?.(line) ?? {};
        return [[...choices], word];
      },
    });
    if (!this.attended) {
      void readInTurn(this.#lines, handlers);
      return;
    }
    this.#lines.on('line', (line) => {
      void handlers.line(line);
      this.#redraw();
    });
    this.#lines.on('close', () => handlers.ended());
    if (this.#lively) {
      input.on('keypress', () => {
        if (this.#lines !== undefined) handlers.typed?.(this.#lines.line);
      });
    }
    this.#redraw();
  }

  /** Shows who writes at the moment, in front of the line being typed. */
  hint(names: readonly string[]): void {
    if (!this.#lively || this.#lines === undefined) return;
    const shown = names.length > 2 ? `${names.length} people write` : names.length > 0 ? `${names.join(', ')} …` : '';
    this.#clearLine();
    this.#lines.setPrompt(shown === '' ? '> ' : `${this.#dress.dim(harmlessLine(shown))} > `);
    this.#redraw();
  }

  /** Shows an event. */
  show(event: ChatEvent, now = new Date()): void {
    const text = this.#json ? JSON.stringify(event) : formatEvent(event, this.#own, this.#dress, now);
    if (text === undefined) return;
    this.print(text);
  }

  /** Tells how to use it, where that can be used. */
  guide(): void {
    if (this.attended && !this.#json) this.print(this.#dress.dim(HOW_TO));
  }

  /** Prints a text as it stands, above the line being typed. */
  print(text: string): void {
    this.#clearLine();
    this.#terminal.output.write(`${text}\n`);
    this.#redraw();
  }

  /** Stops to read. */
  close(): void {
    this.#clearLine();
    const lines = this.#lines;
    this.#lines = undefined;
    lines?.removeAllListeners();
    lines?.close();
    this.#terminal.input.pause();
  }

  /** Takes the line being typed, which may run over several rows, off the terminal. */
  #clearLine(): void {
    if (!this.#lively || this.#lines === undefined) return;
    const { rows } = this.#lines.getCursorPos();
    this.#terminal.output.write(`${rows > 0 ? `\u001b[${rows}A` : ''}\r\u001b[J`);
  }

  #redraw(): void {
    if (this.#lively) this.#lines?.prompt(true);
  }
}

/** One line after another; readline reads ahead no more than some. */
async function readInTurn(lines: Interface, handlers: ScreenHandlers): Promise<void> {
  for await (const line of lines) await handlers.line(line);
  handlers.ended();
}
