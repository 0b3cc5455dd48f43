import { allocate, octets, writeText } from './bytes.ts';
import type { TurnScheduler } from './clock.ts';

/** Octets gathered for one write at most. */
export const TURN_BYTES = 64 * 1024;

/** Pieces of memory kept for the next time that one is lent. */
const SPARE = 4;

/** Who has something to say when the turn ends. */
export interface Speaker {
  speak(turn: Turn): void;
}

/**
 * What connections have to say is gathered until the end of the current turn, and then rendered, one connection after
 * another, into this one piece of memory: so each connection costs one write per turn, and an idle one no memory.
 */
export class Turn {
  readonly #schedule: TurnScheduler;
  #due: Speaker[] = [];
  #scheduled = false;
  readonly #spare: Uint8Array[] = [];
  bytes: Uint8Array = new Uint8Array(0);
  view: DataView = new DataView(new ArrayBuffer(0));
  /** Octets rendered and not taken. */
  at = 0;

  constructor(schedule: TurnScheduler) {
    this.#schedule = schedule;
  }

  /** Has `speaker` called once when the turn ends, whatever others throw. To be asked for once per turn. */
  ask(speaker: Speaker): void {
    this.#due.push(speaker);
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#schedule(this.#run);
  }

  readonly #run = (): void => {
    this.#scheduled = false;
    const due = this.#due;
    this.#due = [];
    let heard = 0;
    try {
      while (heard < due.length) due[heard++]?.speak(this);
    } finally {
      // What one of them threw is thrown on; the others speak in a turn of their own.
      for (const speaker of due.slice(heard)) this.ask(speaker);
    }
  };

  /** Octets that can still be rendered. */
  get room(): number {
    return this.bytes.length - this.at;
  }

  /** Renders text; the caller has made sure of three octets of room per character. */
  text(text: string): void {
    this.at += writeText(this.bytes, this.at, text);
  }

  /** Renders octets; the caller has made sure of the room. */
  octets(bytes: Uint8Array): void {
    this.bytes.set(bytes, this.at);
    this.at += bytes.length;
  }

  /** Takes what was rendered: valid until the next rendering, unless the memory is lent. */
  take(): Uint8Array {
    const taken = this.bytes.subarray(0, this.at);
    this.at = 0;
    return taken;
  }

  /** Makes sure that there is memory to render into. */
  prepare(): void {
    if (this.bytes.length !== TURN_BYTES) this.#use(this.#spare.pop() ?? octets(allocate(TURN_BYTES)));
  }

  /** Has room for so many octets, although one write is mostly less; only while nothing is rendered. */
  grow(size: number): void {
    this.giveBack(this.bytes);
    this.#use(octets(allocate(size)));
  }

  #use(memory: Uint8Array): void {
    this.bytes = memory;
    this.view = new DataView(memory.buffer, memory.byteOffset, memory.length);
  }

  /** Leaves the memory to somebody who keeps it for a while, and goes on in other memory. */
  lend(): Uint8Array {
    const lent = this.bytes;
    this.bytes = new Uint8Array(0);
    this.prepare();
    return lent;
  }

  giveBack(lent: Uint8Array): void {
    if (lent.length === TURN_BYTES && this.#spare.length < SPARE) this.#spare.push(lent);
  }
}
