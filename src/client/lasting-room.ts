import { ConferenceView } from '../conference/view.ts';
import { ComingBack, type Persistence } from './coming-back.ts';
import type { ChatMessage, ClientOptions, OutgoingFile, Room, RoomHandlers, Said } from './contract.ts';
import type { ClientError } from './errors.ts';
import { identityOf, parseRoomUri } from './identity.ts';
import { joinRoom } from './room.ts';
import { changeBetween, type Roster } from './roster.ts';

/** What somebody in a room is told who comes back by himself. */
export interface LastingHandlers extends RoomHandlers {
  /** The connection is lost; coming back is tried from now on. */
  away?(why: ClientError): void;
  /** We are in the room again. */
  back?(): void;
}

/** Who comes in where, and how hard coming back is tried. */
export type LastingOptions = ClientOptions & Persistence;

/** Messages known by their ids, so that what is sent again is shown once. */
const MAX_KNOWN = 2_000;

/**
 * `joinRoom`, and back into the room whenever the connection is lost: what was missed is shown once, what was being said
 * is said once, the nickname is asked for again. `closed` is told when the room itself ended the call, or patience has.
 */
export async function stayInRoom(address: string, options: LastingOptions, handlers: LastingHandlers): Promise<Room> {
  const room = new LastingRoom(address, { instance: crypto.randomUUID(), ...options }, handlers);
  await room.enter();
  return room;
}

class LastingRoom implements Room {
  /** Where we come back to: the room that a factory has made, not the factory. */
  #address: string;
  readonly #options: LastingOptions;
  readonly #handlers: LastingHandlers;
  readonly #comingBack: ComingBack;
  readonly #known = new Set<string>();
  /** The line that heads the past, until something of that is shown: we may know all of it. */
  #heading: ChatMessage | undefined;
  readonly ownUri: string;
  #room: Room | undefined;
  #roster: Roster | undefined;
  #nickname = '';
  #state: 'in' | 'away' | 'out' = 'away';
  /** Those who wait to be in the room again, or to hear that they never will. */
  #waiting: ((back: boolean) => void)[] = [];

  constructor(address: string, options: LastingOptions, handlers: LastingHandlers) {
    this.#address = address;
    // Also before we are in, and wherever a factory has sent us.
    this.ownUri = identityOf(options.name, parseRoomUri(address), options.identity).uri;
    this.#options = { ...options, identity: this.ownUri };
    this.#handlers = handlers;
    this.#comingBack = new ComingBack(options, {
      again: () => this.enter(),
      back: () => void this.#cameBack(),
      gaveUp: (why) => this.#lost(why),
    });
  }

  get uri(): string {
    return this.#room?.uri ?? this.#address;
  }

  get server(): string {
    return this.#room?.server ?? '';
  }

  get features(): readonly string[] {
    return this.#room?.features ?? [];
  }

  get view(): ConferenceView {
    return this.#room?.view ?? new ConferenceView();
  }

  get roster(): Roster {
    return this.#roster ?? new Map();
  }

  async enter(): Promise<void> {
    const handlers = this.#handlers;
    this.#room = await joinRoom(this.#address, this.#options, {
      message: (message) => this.#heard(message),
      roster: (roster, _change, view) => {
        const before = this.#roster;
        this.#roster = roster;
        // Compared with what was shown last, also over a time away.
        handlers.roster?.(roster, before && changeBetween(before, roster), view);
      },
      composing: (from, active, refresh) => handlers.composing?.(from, active, refresh),
      receipt: (receipt) => handlers.receipt?.(receipt),
      rosterEnded: (why) => handlers.rosterEnded?.(why),
      closed: (why) => this.#lost(why),
    });
    this.#address = this.#room.uri;
    this.#state = 'in';
    this.#release(true);
  }

  async say(text: string, to?: string, again?: string): Promise<Said> {
    let id = again;
    for (;;) {
      const said: Said = (await this.#room?.say(text, to, id)) ?? NOT_SAID;
      const unknown = !said.said && said.status === undefined;
      // The room may give it back after a restart, as if it had come from another device of ours.
      if (said.said) this.#isNew(said.messageId);
      if (!unknown || !(await this.#backAgain())) return said;
      id = said.messageId;
    }
  }

  async recall(wish: string): Promise<Said> {
    // What comes was shown before, and is wanted once more.
    this.#known.clear();
    return (await this.#room?.recall(wish)) ?? NOT_SAID;
  }

  async sendFile(file: OutgoingFile, to?: string): Promise<Said> {
    return (await this.#room?.sendFile(file, to)) ?? NOT_SAID;
  }

  seen(message: ChatMessage): void {
    this.#room?.seen(message);
  }

  async nickname(name: string): Promise<{ readonly status: number; readonly comment: string }> {
    const answer = (await this.#room?.nickname(name)) ?? { status: 408, comment: 'not in the room' };
    if (answer.status === 200) this.#nickname = name;
    return answer;
  }

  composing(active: boolean): void {
    if (this.#state === 'in') this.#room?.composing(active);
  }

  async leave(): Promise<void> {
    this.#end();
    await this.#room?.leave();
  }

  #heard(message: ChatMessage): void {
    const { messageId, sentAs, heads, history } = message;
    if (heads !== undefined && heads > 0) {
      this.#heading = message;
      return;
    }
    if (!this.#isNew(messageId ?? sentAs)) return;
    if (history && this.#heading !== undefined) {
      this.#handlers.message(this.#heading, this);
      this.#heading = undefined;
    }
    this.#handlers.message(message, this);
  }

  #isNew(id: string): boolean {
    if (this.#known.has(id)) return false;
    this.#known.add(id);
    for (const oldest of this.#known) {
      if (this.#known.size <= MAX_KNOWN) break;
      this.#known.delete(oldest);
    }
    return true;
  }

  #lost(why: ClientError): void {
    if (this.#state === 'out') return;
    if (why.fault !== 'lost') {
      this.#end();
      this.#handlers.closed(why);
      return;
    }
    this.#state = 'away';
    this.#handlers.away?.(why);
    this.#comingBack.begin(why);
  }

  async #cameBack(): Promise<void> {
    this.#handlers.back?.();
    if (this.#nickname !== '') await this.#room?.nickname(this.#nickname);
  }

  /** Resolves when we are in the room again; false when we never will be. */
  #backAgain(): Promise<boolean> {
    if (this.#state !== 'away') return Promise.resolve(false);
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #release(back: boolean): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resume of waiting) resume(back);
  }

  #end(): void {
    this.#state = 'out';
    this.#comingBack.stop();
    this.#release(false);
  }
}

const NOT_SAID: Said = { said: false, messageId: '', reason: 'not in the room' };
