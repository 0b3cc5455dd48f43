import type { Clock, Flow, FlowHandlers, IncomingMessage, Log, SessionHandlers } from '../../msrp/index.ts';
import {
  newEndpoint,
  parseMsrpPath,
  prepare,
  type CloseReason,
  type EndpointOptions,
  type MsrpEndpoint,
  type MsrpSession,
  type NicknameRequest,
  type Outcome,
  type Outgoing,
  type Report,
  type SessionOptions,
} from '../../msrp/index.ts';

export const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
/** Octets as text in which each octet is one character. */
export const latin1 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');

/** Time that stands still until told otherwise. */
export class TestClock implements Clock {
  #now = 1000;
  #timers = new Set<{ readonly period: number; due: number; readonly run: () => void }>();

  now(): number {
    return this.#now;
  }

  every(period: number, run: () => void): () => void {
    const timer = { period, due: this.#now + period, run };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  get timers(): number {
    return this.#timers.size;
  }

  advance(milliseconds: number): void {
    const until = this.#now + milliseconds;
    for (;;) {
      const next = [...this.#timers].filter(({ due }) => due <= until).sort((a, b) => a.due - b.due)[0];
      if (next === undefined) break;
      this.#now = next.due;
      next.due += next.period;
      next.run();
    }
    this.#now = until;
  }
}

export interface FlowOptions {
  readonly framing?: 'stream' | 'message';
  readonly secure?: boolean;
  readonly address?: string;
  readonly keepsBytes?: boolean;
}

/** A peer made of text: what we wrote to it, and what it says. */
export class TestFlow implements Flow {
  readonly framing: 'stream' | 'message';
  readonly secure: boolean;
  readonly peer;
  readonly keepsBytes: boolean;
  #written: (() => string)[] = [];
  /** False: writes stay untaken until `drain`. */
  taking = true;
  paused = false;
  state: 'open' | 'ended' | 'destroyed' = 'open';
  #handlers: FlowHandlers | undefined;
  #read = 0;

  constructor(options: FlowOptions = {}) {
    this.keepsBytes = options.keepsBytes ?? false;
    this.framing = options.framing ?? 'stream';
    this.secure = options.secure ?? false;
    this.peer = { address: options.address ?? '192.0.2.1', port: 4711 };
  }

  start(handlers: FlowHandlers): void {
    this.#handlers = handlers;
  }

  write(bytes: Uint8Array): boolean {
    const taken = latin1(bytes);
    // Who keeps the octets, for good or until it has drained, looks at them later.
    this.#written.push(this.keepsBytes || !this.taking ? () => latin1(bytes) : () => taken);
    return this.taking;
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
  }

  end(): void {
    this.state = 'ended';
  }

  destroy(): void {
    this.state = 'destroyed';
    this.#handlers?.closed('destroyed');
  }

  /** Each write of ours. */
  get writes(): string[] {
    return this.#written.map((octets) => octets());
  }

  /** All that was written and has not been read yet. */
  read(): string {
    const fresh = this.writes.slice(this.#read).join('');
    this.#read = this.writes.length;
    return fresh;
  }

  say(text: string | Uint8Array): void {
    this.#handlers?.receive(typeof text === 'string' ? Buffer.from(text, 'latin1') : text);
  }

  drain(): void {
    this.taking = true;
    if (!this.keepsBytes) this.#written = this.writes.map((taken) => () => taken);
    this.#handlers?.drained();
  }

  hangUp(reason = 'reset'): void {
    this.#handlers?.closed(reason);
  }

  halfClose(): void {
    this.#handlers?.ended();
  }
}

/** An endpoint without sockets, whose time and turns are the test's. */
export class Rig {
  readonly clock = new TestClock();
  readonly lines: string[] = [];
  readonly endpoint: MsrpEndpoint;
  #turns: (() => void)[] = [];

  constructor(options: EndpointOptions = {}) {
    const log: Log = { debug: (line) => this.lines.push(line), warn: (line) => this.lines.push(line) };
    this.endpoint = newEndpoint({ log, clock: this.clock, turn: (run) => this.#turns.push(run), ...options });
  }

  /** Ends the turn, and those that follow from it. */
  settle(): void {
    for (let turns = 0; this.#turns.length > 0; turns++) {
      if (turns > 10_000) throw new Error('turns without end');
      for (const run of this.#turns.splice(0)) run();
    }
  }

  /** A connection that came in. */
  accept(options?: FlowOptions): TestFlow {
    const flow = new TestFlow(options);
    this.endpoint.accept(flow);
    return flow;
  }
}

export const PEER = 'msrp://client.example.com:7777/peersession12345;tcp';

/** A session, and all that it told. */
export class Told implements SessionHandlers {
  readonly bounds: MsrpSession[] = [];
  readonly messages: IncomingMessage[] = [];
  readonly reports: Report[] = [];
  readonly outcomes: { message: Outgoing; outcome: Outcome }[] = [];
  readonly nicknames: NicknameRequest[] = [];
  readonly closings: { reason: CloseReason; detail: string }[] = [];
  drains = 0;
  /** Answer of every message; undefined leaves it open. */
  answer: 200 | 403 | 413 | 415 | undefined = 200;

  bound(session: MsrpSession): void {
    this.bounds.push(session);
  }

  message(_session: MsrpSession, message: IncomingMessage): void {
    this.messages.push(message);
    if (this.answer !== undefined) message.respond(this.answer);
  }

  nickname(_session: MsrpSession, request: NicknameRequest): void {
    this.nicknames.push(request);
  }

  report(_session: MsrpSession, report: Report): void {
    this.reports.push(report);
  }

  outcome(_session: MsrpSession, message: Outgoing, outcome: Outcome): void {
    this.outcomes.push({ message, outcome });
  }

  drained(): void {
    this.drains++;
  }

  closed(_session: MsrpSession, reason: CloseReason, detail: string): void {
    this.closings.push({ reason, detail });
  }

  get texts(): string[] {
    return this.messages.map(({ body }) => latin1(body));
  }
}

/** A session expected by the rig's endpoint, with what it told. */
export function expectSession(rig: Rig, options: Partial<SessionOptions> = {}): { session: MsrpSession; told: Told } {
  const told = new Told();
  const at = { scheme: 'msrp', host: 'chat.example.com', port: 2855 } as const;
  const session = rig.endpoint.session({ at, handlers: told, remotePath: parseMsrpPath(PEER), ...options });
  return { session, told };
}

/** The same, bound over a connection of its own. */
export function bindSession(
  rig: Rig,
  options: Partial<SessionOptions> = {},
  flowOptions?: FlowOptions,
): { session: MsrpSession; told: Told; flow: TestFlow; ask: Asking } {
  const { session, told } = expectSession(rig, options);
  const flow = rig.accept(flowOptions);
  const ask = askingFrom(String(session.localUri));
  flow.say(ask('SEND', ['Message-ID: bindbind', 'Byte-Range: 1-0/0'], undefined, 'bindbind'));
  rig.settle();
  flow.read();
  return { session, told, flow, ask };
}

/** Two sessions over one connection. */
export function bindTwo(rig: Rig): {
  first: { session: MsrpSession; told: Told; flow: TestFlow };
  second: { session: MsrpSession; told: Told };
} {
  const first = bindSession(rig);
  const second = expectSession(rig);
  first.flow.say(askingFrom(String(second.session.localUri))('SEND', ['Message-ID: bindbind'], undefined));
  rig.settle();
  first.flow.read();
  return { first, second };
}

export type Asking = (method: string, fields?: readonly string[], body?: string, id?: string, flag?: string) => string;

let asked = 0;

/** Writes requests of the peer. */
export function askingFrom(to: string, from = PEER): Asking {
  return (method, fields = [], body, id = `peer${String(++asked).padStart(6, '0')}`, flag = '$') =>
    `MSRP ${id} ${method}\r\nTo-Path: ${to}\r\nFrom-Path: ${from}\r\n` +
    fields.map((field) => `${field}\r\n`).join('') +
    `${body === undefined ? '' : `\r\n${body}\r\n`}-------${id}${flag}\r\n`;
}

/** One frame of those that were written. */
export interface Written {
  readonly id: string;
  /** Method, or status code with comment. */
  readonly what: string;
  readonly fields: Readonly<Record<string, string>>;
  readonly body: string | undefined;
  readonly flag: string;
}

/** Reads what was written into frames, independently of the library; throws when there is anything else. */
export function framesOf(text: string): Written[] {
  const frames: Written[] = [];
  let rest = text;
  while (rest !== '') {
    const start = /^MSRP ([A-Za-z0-9.\-+%=]{4,32}) ([^\r\n]+)\r\n/.exec(rest);
    if (start === null) throw new Error(`no frame: ${JSON.stringify(rest.slice(0, 200))}`);
    const [line, id = '', what = ''] = start;
    const end = new RegExp(`\r\n-------${id.replace(/[.+%=]/g, '\\$&')}([$+#])\r\n`).exec(rest);
    if (end === null) throw new Error(`no end: ${JSON.stringify(rest.slice(0, 200))}`);
    const inner = rest.slice(line.length, end.index);
    const empty = inner.indexOf('\r\n\r\n');
    const head = empty < 0 ? inner : inner.slice(0, empty);
    const fields: Record<string, string> = {};
    for (const field of head.split('\r\n'))
      fields[field.slice(0, field.indexOf(':'))] = field.slice(field.indexOf(':') + 2);
    frames.push({ id, what, fields, body: empty < 0 ? undefined : inner.slice(empty + 4), flag: end[1] ?? '' });
    rest = rest.slice(end.index + end[0].length);
  }
  return frames;
}

/** The peer's 200 (or another answer) to a request of ours. */
export function answerTo(frame: Written, status = '200 OK'): string {
  return (
    `MSRP ${frame.id} ${status}\r\nTo-Path: ${frame.fields['From-Path'] ?? ''}\r\n` +
    `From-Path: ${frame.fields['To-Path'] ?? ''}\r\n-------${frame.id}$\r\n`
  );
}

/** Fields of a SEND of five octets. */
export const TEXT = ['Message-ID: mess0001', 'Byte-Range: 1-5/5', 'Content-Type: text/plain'];

/** A text to be sent, rendered. */
export const plain = (body: string, more: object = {}) =>
  prepare({ contentType: 'text/plain', body: utf8(body), ...more });

/** For what must be there. */
export function never(): never {
  throw new Error('there is one');
}
