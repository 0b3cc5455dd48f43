/**
 * The room log on disk: one SQLite file, written by a worker thread in groups. What is appended while the disk is busy
 * goes into the next group, so an idle log commits at once and a busy one commits many events at the price of one. What
 * one commit lets people say next is waited for a moment, else they would for ever be in two groups, one of which waits
 * for the other.
 */
import { Worker } from 'node:worker_threads';
import type { ConferenceEvent, Millis } from '../conference/events.ts';
import { eventNumber, roomUri } from '../conference/ids.ts';
import type { EventNumber, RoomUri } from '../conference/ids.ts';
import { retentionOf } from '../conference/retention.ts';
import { Delivery } from './delivery.ts';
import { DEFAULT_KEEPING, keptAt, LogReadError, MAX_READ } from './room-log.ts';
import type { KeptNow, Logged, NotKept, Outcome, ReadRange, RoomKeeping, RoomListener, RoomLog } from './room-log.ts';
import { BatchWriter, unpackRecords } from './sqlite-records.ts';
import { checkFile, reasonOf, type Upgrading } from './sqlite-store.ts';
import type { FromWorker, ToWorker, WorkerData } from './sqlite-worker.ts';

/** Where faults of the disk are told, each in one line. */
export interface SqliteLogSink {
  warn(line: string): void;
  info(line: string): void;
}

/** What the log on disk may be told. */
export interface SqliteLogOptions {
  /** The database file. Its folder must exist. */
  readonly file: string;
  /** How a room is kept. Default `DEFAULT_KEEPING` for all. */
  readonly keeping?: (room: RoomUri) => RoomKeeping;
  /** Most octets that wait for the disk; beyond them appends are refused. Default 64 MiB. */
  readonly maxBacklogBytes?: number;
  /** How long after a failure the disk is tried again, in milliseconds. Default 1,000. */
  readonly retryAfter?: Millis;
  /**
   * How long after a commit, in milliseconds, the next one waits for as many events as were on their way together.
   * Default 1.
   */
  readonly gathering?: Millis;
  /**
   * Octets of messages that are heard in one turn of the event loop, however many the disk has kept together: whoever
   * listens must be rid of them before more come. Default 256 KiB.
   */
  readonly heardAtOnce?: number;
  /** Most pages of 8 KiB in the file. Default: what the disk holds. */
  readonly maxPages?: number;
  readonly log?: SqliteLogSink;
  /** The wall clock that the age of events is read from. Default `Date.now`. */
  readonly now?: () => Millis;
}

/** The file cannot be opened: not a database, of another format, in use by another process, no permission. */
export class LogOpenError extends Error {
  override readonly name = 'LogOpenError';
}

/** Opens or makes the log's file. Rejects with `LogOpenError`. */
export function openSqliteLog(options: SqliteLogOptions): Promise<RoomLog> {
  return new Promise((resolve, reject) => {
    const log: SqliteLog = new SqliteLog(options, (fault) => {
      if (fault === undefined) resolve(log);
      else reject(new LogOpenError(`the room log ${options.file} ${whyNotOpen(fault)}`));
    });
  });
}

/** Why a log's file cannot be opened, as far as can be found out without changing it; undefined when it can, or is not there. */
export function logFileFault(file: string): string | undefined {
  try {
    checkFile(file);
    return undefined;
  } catch (error) {
    return whyNotOpen(reasonOf(error));
  }
}

function whyNotOpen(fault: string): string {
  if (/^SQLITE_(?:CORRUPT|NOTADB)/.test(fault))
    return `cannot be opened: ${fault}: recover it (sqlite3 has .recover), or move it away`;
  if (!fault.startsWith('SQLITE_BUSY')) return `cannot be opened: ${fault}`;
  return 'is in use by another process: is the service running already?';
}

interface Entry {
  readonly room: RoomUri;
  readonly logged: Logged;
  /** Absent once the event has been heard already: it was kept as durably as its room wants when it was appended. */
  readonly settled: ((outcome: Outcome) => void) | undefined;
  readonly heard: boolean;
}

/** Events on their way to the disk together. */
interface Batch {
  readonly writer: BatchWriter;
  readonly entries: Entry[];
  /** Called when it is over, whatever became of it. */
  readonly over: (() => void)[];
}

function newBatch(octets: number): Batch {
  return { writer: new BatchWriter(octets), entries: [], over: [] };
}

function put({ writer, entries }: Batch, entry: Entry): void {
  writer.add(entry.room, entry.logged);
  entries.push(entry);
}

/**
 * Who comes and who goes is heard also when nothing can be kept: it matters to those who are there, and a roster that is
 * wrong until the disk recovers would help nobody. It is written when that can be done again.
 */
function passesAnyway(event: ConferenceEvent): boolean {
  const { keep } = retentionOf(event);
  return keep === 'moment' || keep === 'end';
}

const MAX_BACKLOG = 64 * 1024 * 1024;
const HEARD_AT_ONCE = 256 * 1024;

interface Question {
  readonly room: RoomUri;
  readonly answer: (events: readonly Logged[]) => void;
  readonly fail: (error: LogReadError) => void;
}

/**
 * - `opening`: the worker has not answered yet;
 * - `well`: batches are taken;
 * - `broken`: the disk failed; appends are refused until a probe succeeds;
 * - `closed`: for good.
 */
type Health = { readonly is: 'opening' | 'well' } | { readonly is: 'broken' | 'closed'; readonly refusal: NotKept };

const notKept = (reason: string): NotKept => ({ refused: 'not-kept', reason });

class SqliteLog implements RoomLog {
  readonly #keeping: (room: RoomUri) => RoomKeeping;
  readonly #options: SqliteLogOptions;
  readonly #now: () => Millis;
  readonly #opened: (fault: string | undefined) => void;
  readonly #delivery = new Delivery();
  readonly #last = new Map<RoomUri, EventNumber>();
  readonly #questions = new Map<number, Question>();
  #lastQuestion = 0;
  /** Absent after it has died, until the next probe. */
  #worker: Worker | undefined;
  #health: Health = { is: 'opening' };
  /** What is being collected, and what the worker has. */
  #next: Batch | undefined;
  #sent: Batch | undefined;
  #sentBytes = 0;
  /** What the disk has kept, as far as it has not been heard; and what the worker has told since, which comes behind it. */
  #hearing: { readonly batch: Batch; at: number } | undefined;
  #hearingOn: NodeJS.Immediate | undefined;
  readonly #toldMeanwhile: FromWorker[] = [];
  /** As many octets as the last batch had, the next will have, about. */
  #lastBytes = 0;
  #flushing: NodeJS.Immediate | undefined;
  /** Events that were on their way when the last commit was over, and until when the next one waits for as many. */
  #together = 0;
  #gatherUntil = 0;
  #gathering: NodeJS.Timeout | undefined;
  #probing: NodeJS.Timeout | undefined;
  #whenClosed: (() => void) | undefined;

  constructor(options: SqliteLogOptions, opened: (fault: string | undefined) => void) {
    this.#options = options;
    this.#opened = opened;
    this.#now = options.now ?? Date.now;
    this.#keeping = options.keeping ?? (() => DEFAULT_KEEPING);
    this.#worker = this.#start();
  }

  append(room: RoomUri, event: ConferenceEvent, settled?: (outcome: Outcome) => void): Outcome {
    if (this.#health.is === 'closed') return this.#health.refusal;
    const broken = this.#health.is === 'broken';
    const passes = passesAnyway(event);
    if (this.#health.is === 'broken' && !passes) return this.#health.refusal;
    const batch = (this.#next ??= newBatch(this.#lastBytes));
    const full = this.backlog >= (this.#options.maxBacklogBytes ?? MAX_BACKLOG);
    if (full && !passes) return notKept('The room log cannot keep up, try again later');
    const logged: Logged = { n: eventNumber((this.#last.get(room) ?? 0) + 1), event };
    this.#last.set(room, logged.n);
    const heard = broken || full || this.#keeping(room).durability === 'memory';
    if (!full) put(batch, { room, logged, settled: heard ? undefined : settled, heard });
    if (!broken) this.#flushSoon();
    if (heard) this.#delivery.deliver(room, logged, settled);
    return logged.n;
  }

  /** At the end of the turn, so that all that one read of a socket brought goes together. */
  #flushSoon(): void {
    if (this.#busy || this.#next === undefined) return;
    if (this.#gathering !== undefined && !this.#isGathered) return;
    this.#flushing ??= setImmediate(() => {
      this.#flushing = undefined;
      const wait = this.#gatherUntil - performance.now();
      if (this.#isGathered || wait <= 0) this.#flush();
      else {
        this.#gathering ??= setTimeout(() => {
          this.#flush();
        }, wait);
      }
    });
  }

  /** The next batch waits for this one. */
  get #busy(): boolean {
    return this.#sent !== undefined || this.#hearing !== undefined;
  }

  get #isGathered(): boolean {
    return this.#next === undefined || this.#next.entries.length >= this.#together;
  }

  #flush(): void {
    clearImmediate(this.#flushing);
    clearTimeout(this.#gathering);
    this.#flushing = this.#gathering = undefined;
    if (this.#busy || this.#next === undefined || this.#health.is === 'broken') return;
    this.#sent = this.#next;
    this.#next = undefined;
    this.#sentBytes = this.#lastBytes = this.#sent.writer.length;
    const batch = this.#sent.writer.take();
    this.#tell({ type: 'batch', batch }, [batch.buffer]);
  }

  #kept(): void {
    const batch = this.#sent;
    this.#sent = undefined;
    this.#sentBytes = 0;
    if (batch === undefined) return;
    this.#together = batch.entries.length + (this.#next?.entries.length ?? 0);
    this.#hearing = { batch, at: 0 };
    this.#hear(this.#options.heardAtOnce ?? HEARD_AT_ONCE);
  }

  /** Lets so many octets of what was kept be heard, and the rest in turns to come. */
  #hear(octets: number): void {
    const hearing = this.#hearing;
    if (hearing === undefined) return;
    clearImmediate(this.#hearingOn);
    const { entries, over } = hearing.batch;
    for (let left = octets; left > 0 && hearing.at < entries.length;) {
      const entry = entries[hearing.at++];
      if (entry === undefined || entry.heard) continue;
      const { room, logged, settled } = entry;
      left -= 'cpim' in logged.event ? logged.event.cpim.length : 0;
      this.#delivery.deliver(room, logged, settled);
    }
    if (hearing.at < entries.length) {
      this.#hearingOn = setImmediate(() => this.#hear(octets));
      return;
    }
    this.#hearing = undefined;
    for (const done of over) done();
    this.#gatherUntil = performance.now() + (this.#options.gathering ?? 1);
    this.#flushSoon();
    for (const message of this.#toldMeanwhile.splice(0)) this.#receive(message);
  }

  /** Nothing that waits can be kept: whoever appended it is told. What passes anyway is heard now, and written later. */
  #fail(reason: string): void {
    this.#hear(Infinity);
    const batches = [this.#sent, this.#next].filter((batch) => batch !== undefined);
    this.#sent = undefined;
    this.#next = undefined;
    this.#sentBytes = 0;
    const refusal = notKept(`Nothing can be kept now: ${inWords(reason)}`);
    const entries = batches.flatMap((batch) => batch.entries);
    const lost = entries.filter(({ logged }) => !passesAnyway(logged.event));
    const passing = entries.filter(({ logged }) => passesAnyway(logged.event));
    const count = lost.length === 0 ? '' : `, not kept: ${String(lost.length)}`;
    this.#options.log?.warn(
      `room log ${this.#options.file}: ${reason}${count}; nothing is taken until the disk recovers`,
    );
    if (this.#health.is !== 'closed') {
      this.#health = { is: 'broken', refusal };
      this.#probeLater();
      // Only the disk can be at fault with what passes; an event that the file cannot hold would fail for ever.
      if (passing.length > 0 && /^SQLITE_(?!CONSTRAINT|MISMATCH|TOOBIG|RANGE)/.test(reason)) {
        this.#next = newBatch(this.#lastBytes);
        for (const entry of passing) put(this.#next, { ...entry, settled: undefined, heard: true });
      }
    }
    for (const { room, logged, settled, heard } of passing) {
      if (!heard) this.#delivery.deliver(room, logged, settled);
    }
    for (const { settled } of lost) settled?.(refusal);
    for (const over of batches.flatMap((batch) => batch.over)) over();
  }

  #probeLater(): void {
    clearTimeout(this.#probing);
    this.#probing = setTimeout(() => {
      if (this.#worker === undefined) this.#worker = this.#start();
      else this.#tell({ type: 'probe', now: Date.now() });
    }, this.#options.retryAfter ?? 1000);
    this.#probing.unref();
  }

  read(room: RoomUri, range: ReadRange = {}): Promise<readonly Logged[]> {
    const limit = Math.min(range.first ?? range.last ?? MAX_READ, MAX_READ);
    const stored = {
      from: range.from ?? 0,
      through: range.through ?? Number.MAX_SAFE_INTEGER,
      ...this.keeps(room),
      limit,
      end: range.first === undefined ? ('newest' as const) : ('oldest' as const),
      messagesOnly: range.messagesOnly === true,
      to: range.notificationsTo,
      knownBy: range.knownBy,
      comingsOnly: range.comingsOnly === true,
    };
    return this.#ask(room, (id) => ({ type: 'read', id, room, range: stored }));
  }

  keeps(room: RoomUri): KeptNow {
    return keptAt(this.#keeping(room), this.#now());
  }

  facts(room: RoomUri): Promise<readonly Logged[]> {
    return this.#ask(room, (id) => ({ type: 'facts', id, room }));
  }

  /** Asks when all that was appended before has reached the disk. */
  async #ask(room: RoomUri, question: (id: number) => ToWorker): Promise<readonly Logged[]> {
    await this.#written();
    if (this.#health.is === 'closed' || this.#worker === undefined) throw new LogReadError('the room log is closed');
    const id = ++this.#lastQuestion;
    return new Promise((answer, fail) => {
      this.#questions.set(id, { room, answer, fail });
      this.#tell(question(id));
    });
  }

  /** Resolves when what has been appended so far is over. */
  async #written(): Promise<void> {
    const batch = this.#next ?? this.#sent ?? this.#hearing?.batch;
    // What a broken disk is still owed may wait for long.
    if (batch !== undefined && this.#health.is !== 'broken')
      await new Promise<void>((resolve) => batch.over.push(resolve));
  }

  async #answer(id: number, buffer: ArrayBuffer): Promise<void> {
    const question = this.#questions.get(id);
    this.#questions.delete(id);
    try {
      question?.answer(await unpackRecords(buffer));
    } catch (cause) {
      this.#unread(question, cause instanceof Error ? cause.message : String(cause));
    }
  }

  #unread(question: Question | undefined, reason: string): void {
    this.#options.log?.warn(`room log ${this.#options.file}: ${question?.room ?? 'it'} cannot be read: ${reason}`);
    question?.fail(new LogReadError(reason));
  }

  follow(room: RoomUri, listener: RoomListener): () => void {
    return this.#delivery.follow(room, listener);
  }

  last(room: RoomUri): EventNumber {
    return this.#last.get(room) ?? eventNumber(0);
  }

  rooms(): readonly RoomUri[] {
    return [...this.#last.keys()];
  }

  prune(now: Millis): void {
    void this.#written().then(() => {
      // Also when the disk is full: it may be what makes room.
      if (this.#health.is === 'closed') return;
      this.#tell({ type: 'prune', rooms: this.rooms().map((room) => [room, this.#keeping(room)]), now });
    });
  }

  /** The file has nothing of a room any more. One of which something is on its way, or that is followed, counts on. */
  #gone(room: RoomUri): void {
    const waits = [this.#sent, this.#next].some((batch) => batch?.entries.some((entry) => entry.room === room));
    if (!waits && !this.#delivery.isFollowed(room)) this.#last.delete(room);
  }

  get backlog(): number {
    return this.#sentBytes + (this.#next?.writer.length ?? 0);
  }

  health(): 'well' | NotKept {
    return this.#health.is === 'broken' || this.#health.is === 'closed' ? this.#health.refusal : 'well';
  }

  async close(): Promise<void> {
    if (this.#health.is === 'closed') return;
    this.#health = { is: 'closed', refusal: notKept('The room log is closed') };
    clearTimeout(this.#probing);
    if (this.#worker !== undefined) {
      // Also what a broken disk is still owed: it may have recovered.
      this.#flush();
      await this.#written();
      await new Promise<void>((resolve) => {
        this.#whenClosed = resolve;
        this.#tell({ type: 'close' });
      });
    }
    this.#failQuestions('the room log is closed');
  }

  #failQuestions(reason: string): void {
    for (const question of this.#questions.values()) question.fail(new LogReadError(reason));
    this.#questions.clear();
  }

  #start(): Worker {
    const workerData: WorkerData = { file: this.#options.file, maxPages: this.#options.maxPages };
    const worker = new Worker(new URL('./sqlite-worker.js', import.meta.url), { workerData });
    worker.on('message', (message: FromWorker) => {
      this.#receive(message);
    });
    worker.on('error', (error) => {
      this.#died(worker, error.message);
    });
    worker.on('exit', () => {
      this.#died(worker, 'the worker thread has ended');
    });
    worker.postMessage({ type: 'probe', now: Date.now() } satisfies ToWorker);
    return worker;
  }

  #tell(message: ToWorker, transfer: readonly ArrayBuffer[] = []): void {
    this.#worker?.postMessage(message, transfer);
  }

  /** The worker is gone: unless it was asked to, the next probe starts another one, and the file decides whether it can go on. */
  #died(worker: Worker, reason: string): void {
    if (worker !== this.#worker) return;
    this.#hear(Infinity);
    this.#worker = undefined;
    if (this.#health.is !== 'closed' || this.#sent !== undefined) this.#fail(reason);
    this.#failQuestions(reason);
    this.#whenClosed?.();
  }

  #receive(message: FromWorker): void {
    // What has been read may have been kept in the same batch, and is not told before it is heard.
    if (this.#hearing !== undefined) {
      this.#toldMeanwhile.push(message);
      return;
    }
    switch (message.type) {
      case 'opened':
        this.#wellAgain(message.rooms);
        return;
      case 'broken':
        if (this.#health.is === 'opening') {
          this.#health = { is: 'closed', refusal: notKept(message.reason) };
          this.#tell({ type: 'close' });
          this.#opened(message.reason);
        } else if (this.#health.is === 'broken') this.#probeLater();
        return;
      case 'upgrading':
        this.#options.log?.info(`room log ${this.#options.file}: ${upgradeInWords(message.step)}`);
        return;
      case 'kept':
        this.#kept();
        return;
      case 'failed':
        this.#fail(message.reason);
        return;
      case 'records':
        void this.#answer(message.id, message.buffer);
        return;
      case 'unread':
        this.#unread(this.#questions.get(message.id), message.reason);
        this.#questions.delete(message.id);
        return;
      case 'gone':
        this.#gone(roomUri(message.room));
        return;
    }
  }

  #wellAgain(rooms: readonly { readonly uri: string; readonly last: number }[]): void {
    if (this.#health.is === 'closed') return;
    for (const { uri, last } of rooms) {
      const room = roomUri(uri);
      this.#last.set(room, eventNumber(Math.max(last, this.#last.get(room) ?? 0)));
    }
    const before = this.#health.is;
    this.#health = { is: 'well' };
    this.#flush();
    if (before === 'broken') this.#options.log?.info(`room log ${this.#options.file}: the disk is well again`);
    this.#opened(undefined);
  }
}

function upgradeInWords(step: Upgrading): string {
  if (step.is === 'begun')
    return `its format is ${String(step.from)}: it is brought to format ${String(step.to)}, which can take a while`;
  return `it is in the new format: ${String(step.events)} events in ${(step.milliseconds / 1000).toFixed(1)} s`;
}

/** A fault as those outside may know it; the operator's line has all of it. */
function inWords(reason: string): string {
  if (reason.startsWith('SQLITE_FULL')) return 'the disk is full';
  if (reason.startsWith('SQLITE_IOERR')) return 'the disk fails';
  if (/^SQLITE_(?:CORRUPT|NOTADB)/.test(reason)) return 'the log is damaged';
  if (reason.startsWith('SQLITE_READONLY')) return 'the log has been moved away or may not be written';
  return 'the log fails';
}
