import { userInfo } from 'node:os';
import { setTimeout } from 'node:timers/promises';
import {
  type ChatMessage,
  ClientError,
  joinRoom,
  stayInRoom,
  type Receipt,
  type Room,
  type Roster,
  type Said,
  userPart,
} from '../client/index.ts';
import type { ConferenceView } from '../conference/view.ts';
import { nodeWebSocket } from '../client/transport/node.ts';
import { asksForRoster, completions, enter } from './commands.ts';
import { Composing } from './composing.ts';
import { type ChatEvent, type Person, personOf, roomEvent } from './events.ts';
import { EXIT, exitCodeOf, reasonOf } from './exit.ts';
import { fileToSend, Inbox, sizeText } from './files.ts';
import { processTerminal, Screen, type Terminal } from './screen.ts';
import { Writers } from './writers.ts';

/** The options of `grouptextchat chat`. */
export interface ChatOptions {
  /** Display name; that in `as`, else the login name, unless given. */
  readonly name?: string;
  /** WebSocket URL of the server; ws://HOST:8080/ws unless given. */
  readonly server?: string;
  /** Our own SIP address; made of the name unless given. */
  readonly as?: string;
  readonly password?: string;
  /** A nickname to ask for at once. */
  readonly nick?: string;
  /** Texts to say; then leave. */
  readonly say?: readonly string[];
  /** Do not leave at the end of the input. */
  readonly stay?: boolean;
  /** One JSON object a line instead of words. */
  readonly json?: boolean;
  readonly colour?: boolean;
  /** How much of the past to be sent: `20` messages, `1h`. */
  readonly history?: string;
  /** Tell on standard error what the protocols do. */
  readonly verbose?: boolean;
}

/** Milliseconds that a line which needs it waits for the first document of the roster. */
const ROSTER_PATIENCE = 5_000;
/** Seconds that a line of a script waits in all when the room says that it was too fast. */
const SAYING_PATIENCE = 600;

/** Runs a chat until it is over; gives the exit code. */
export async function runChat(
  uri: string,
  options: ChatOptions,
  terminal: Terminal = processTerminal,
): Promise<number> {
  const chat = new Chat(options, terminal);
  return chat.run(uri);
}

/** Says something, under the id of an attempt before this one. */
type Attempt = (again?: string) => Promise<Said | undefined> | undefined;

/** What is said, as it is shown. */
type Saying = Pick<ChatEvent & { readonly type: 'said' }, 'text' | 'to' | 'fileName'>;

class Chat {
  readonly #options: ChatOptions;
  readonly #screen: Screen;
  readonly #pending = new Set<Promise<void>>();
  readonly #over: Promise<void>;
  #finish: () => void = () => undefined;
  #exit: number = EXIT.done;
  #room: Room | undefined;
  readonly #inbox = new Inbox();
  readonly #writers = new Writers((names) => this.#screen.hint(names));
  #lastSaid: { readonly id: string; readonly readers: Set<string> } | undefined;
  #own: Person | undefined;
  readonly #composing = new Composing((active) => this.#room?.composing(active));
  /** It was asked to leave: no further line counts. */
  #leaving = false;
  /** It says something and leaves: what others say and do is shown only as JSON, to a program. */
  readonly #brief: boolean;
  /** What came in before it was shown where we are; undefined from then on. */
  #early: ChatEvent[] | undefined = [];
  /** The room has been shown once; from then on, what changes. */
  #greeted = false;
  /** Resolves when it is known who is here, or that this will not be told. */
  readonly #met: Promise<void>;
  #meet: () => void = () => undefined;
  /** Authors whom the roster does not show, or not yet: they can be spoken to. */
  readonly #authors = new Map<string, Person>();

  constructor(options: ChatOptions, terminal: Terminal) {
    this.#options = options;
    this.#screen = new Screen(terminal, { json: options.json === true, colour: options.colour !== false });
    const { say, stay, json } = options;
    this.#brief = say !== undefined && stay !== true && json !== true;
    this.#over = new Promise((resolve) => {
      this.#finish = resolve;
    });
    this.#met = new Promise((resolve) => {
      this.#meet = resolve;
    });
    // Whoever read what we print has seen enough.
    terminal.output.on('error', () => this.#finish());
  }

  async run(uri: string): Promise<number> {
    const room = await this.#enter(uri);
    if (room === undefined) return this.#exit;
    const stop = (): void => this.#finish();
    process.once('SIGINT', stop).once('SIGTERM', stop);
    const started = this.#start(room);
    await Promise.race([started, this.#over]);
    await this.#over;
    process.off('SIGINT', stop).off('SIGTERM', stop);
    this.#screen.close();
    await room.leave();
    // What was about to be said is not said any more, which is told as well.
    await Promise.all([started, ...this.#pending]);
    return this.#exit;
  }

  async #enter(uri: string): Promise<Room | undefined> {
    const { name = ownName(this.#options), server, as, password, verbose } = this.#options;
    // Who only writes into a pipe has no use for the past.
    const reads = this.#screen.attended || this.#options.stay === true || this.#options.json === true;
    const { history = reads && !this.#brief ? undefined : '0' } = this.#options;
    try {
      // A script that only says something wants to know at once that it cannot.
      const enter = this.#screen.attended || this.#options.stay === true ? stayInRoom : joinRoom;
      const room = await enter(
        uri,
        {
          name,
          webSocket: nodeWebSocket,
          ...(server === undefined ? {} : { server }),
          ...(as === undefined ? {} : { identity: as }),
          ...(password === undefined ? {} : { password }),
          ...(history === undefined ? {} : { history }),
          receipts: this.#screen.attended,
          ...(verbose === true ? { log: (line: string) => process.stderr.write(`${line}\n`) } : {}),
        },
        {
          message: (message) => this.#heard(message),
          roster: (roster, change, view) => {
            this.#meet();
            this.#knowOneself(roster);
            if (this.#brief) return;
            if (!this.#greeted) this.#who(view, roster);
            this.#greeted = true;
            for (const person of change?.joined ?? []) {
              if (!this.#isOwn(person.uri)) this.#show({ type: 'joined', person: personOf(person) });
            }
            for (const person of change?.left ?? []) this.#show({ type: 'left', person: personOf(person) });
            for (const { before, after } of change?.renamed ?? []) {
              this.#show({ type: 'renamed', person: personOf(after), before: before.name });
            }
          },
          composing: (from, active, refresh) => this.#writes(this.#person(from), active, refresh),
          receipt: (receipt) => this.#receipt(receipt),
          rosterEnded: (why) => {
            this.#meet();
            this.#show({ type: 'notice', text: `* ${why.message}` });
          },
          away: (why: ClientError) => this.#show({ type: 'away', reason: why.message }),
          back: () => this.#show({ type: 'back' }),
          closed: (why) => this.#fail(why),
        },
      );
      this.#room = room;
      return room;
    } catch (fault) {
      if (!(fault instanceof ClientError)) throw fault;
      this.#fail(fault);
      return undefined;
    }
  }

  async #start(room: Room): Promise<void> {
    const { name = ownName(this.#options), nick, say, stay } = this.#options;
    this.#own = { name, uri: room.ownUri };
    this.#screen.own = room.ownUri;
    this.#screen.show({ type: 'entered', room: room.uri, as: this.#own });
    this.#knowOneself(room.roster);
    if (!this.#brief) this.#screen.guide();
    const early = this.#early ?? [];
    this.#early = undefined;
    for (const event of early) this.#show(event);
    if (nick !== undefined) {
      const { status, comment } = await room.nickname(nick);
      if (status !== 200) this.#complain(`no nickname: ${status} ${comment}`);
    }
    if (say !== undefined) {
      // As with a line that is empty: a command without output makes no message.
      for (const text of say) if (text.trim() !== '') await this.#say(text);
      if (stay !== true) {
        this.#leaveWhenSaid();
        return;
      }
    }
    const context = {
      room,
      show: (event: ChatEvent) => this.#show(event),
      complain: (why: string) => this.#complain(why),
      say: (text: string, to?: Person) => this.#say(text, to),
      order: (line: string) => this.#order((again) => room.say(line, undefined, again), { text: line }),
      recall: (wish: string) => this.#order(() => room.recall(wish), { text: `/history ${wish}`.trim() }),
      people: () => this.#people(),
      who: () => this.#who(room.view, room.roster),
      leave: () => {
        this.#leaving = true;
        this.#leaveWhenSaid();
      },
      sendFile: (path: string) => this.#sendFile(room, path),
      saveFile: (number: number, path?: string) => this.#saveFile(number, path),
      readers: () => this.#readers(),
    };
    this.#screen.listen({
      line: async (line) => {
        this.#composing.said();
        if (this.#leaving) return;
        if (asksForRoster(line)) await this.#meeting();
        await enter(line, context);
      },
      ended: () => {
        if (stay !== true || this.#screen.attended) this.#leaveWhenSaid();
      },
      typed: (line) => this.#composing.typed(line),
      complete: (line) => completions(line, this.#people()),
    });
  }

  #leaveWhenSaid(): void {
    void Promise.all(this.#pending).then(() => this.#finish());
  }

  /** Waits until it is known who is here, but not for long. */
  async #meeting(): Promise<void> {
    await Promise.race([this.#met, setTimeout(ROSTER_PATIENCE, undefined, { ref: false })]);
  }

  #say(text: string, to?: Person): Promise<void> {
    return this.#await((again) => this.#room?.say(text, to?.uri, again), { text, ...(to === undefined ? {} : { to }) });
  }

  /** Shows what becomes of something said; nobody leaves before that is known. */
  #await(attempt: Attempt, what: Saying): Promise<void> {
    return this.#order(async (again) => {
      const said = await attempt(again);
      if (said?.said === true) this.#lastSaid = { id: said.messageId, readers: new Set() };
      return said;
    }, what);
  }

  /** The same with what nobody reads: an order to the room. */
  #order(attempt: Attempt, what: Saying): Promise<void> {
    const shown = this.#patiently(attempt).then((said) => {
      if (said === undefined) return;
      const { messageId: id } = said;
      if (said.said) {
        this.#show({ type: 'said', id, ...what });
        return;
      }
      this.#exit = EXIT.refused;
      const { status, reason } = said;
      this.#show({ type: 'refused', id, text: what.text, reason, ...(status === undefined ? {} : { status }) });
    });
    this.#pending.add(shown);
    void shown.then(() => this.#pending.delete(shown));
    return shown;
  }

  /** Who sits at a terminal sees that he was too fast; for a script that is tried again, when the room would take it. */
  async #patiently(attempt: Attempt): Promise<Said | undefined> {
    let said = await attempt();
    for (let left = SAYING_PATIENCE; !this.#screen.attended && said?.said === false;) {
      const { retryAfter = Infinity, messageId } = said;
      left -= Math.max(1, retryAfter);
      if (left < 0) break;
      await Promise.race([setTimeout(retryAfter * 1000, undefined, { ref: false }), this.#over]);
      said = await attempt(messageId);
    }
    return said;
  }

  async #sendFile(room: Room, path: string): Promise<void> {
    const sent = fileToSend(path).then(
      (file) => {
        const { name: fileName, content } = file;
        return this.#await(() => room.sendFile(file), { text: `[${fileName}, ${sizeText(content.length)}]`, fileName });
      },
      (fault: unknown) => this.#complain(textOf(fault)),
    );
    this.#pending.add(sent);
    await sent;
    this.#pending.delete(sent);
  }

  async #saveFile(number: number, path?: string): Promise<void> {
    await this.#inbox.save(number, path).then(
      (where) => this.#show({ type: 'notice', text: `* kept as ${where}` }),
      (fault: unknown) => this.#complain(textOf(fault)),
    );
  }

  /** Why something could not be done; to a script its exit code says so, too. */
  #complain(why: string): void {
    if (!this.#screen.attended) this.#exit = EXIT.refused;
    this.#show({ type: 'notice', text: `! ${why}` });
  }

  #readers(): void {
    const readers = [...(this.#lastSaid?.readers ?? [])];
    const text = readers.length === 0 ? 'nobody has told that he has read it' : `read by ${readers.join(', ')}`;
    this.#show({ type: 'notice', text: `* ${text}` });
  }

  #receipt({ messageId: id, from, status }: Receipt): void {
    const person = this.#person(from);
    if (id === this.#lastSaid?.id && status === 'displayed') this.#lastSaid.readers.add(person.name);
    this.#show({ type: 'receipt', id, person, status });
  }

  #writes(person: Person, active: boolean, refresh: number): void {
    if (active) this.#writers.begin(person.uri, person.name, refresh);
    else this.#writers.end(person.uri);
    this.#show({ type: 'composing', person, active });
  }

  /** By what address the room knows us: with accounts it may be in another of its domains. */
  #knowOneself(roster: Roster): void {
    const own = [...roster.values()].find((person) => person.own);
    if (own === undefined || this.#own === undefined) return;
    this.#own = { ...this.#own, uri: own.uri };
    this.#screen.own = own.uri;
  }

  #isOwn(uri: string): boolean {
    return uri === this.#own?.uri || uri === this.#room?.ownUri;
  }

  /** The room as it is; with ourselves, though the first document may have been written before we were noted in it. */
  #who(view: ConferenceView, roster: Roster): void {
    if (this.#own === undefined || this.#room === undefined) return;
    const people = [...roster.values()].map(personOf);
    const { uri } = this.#own;
    if (!people.some((person) => person.uri === uri)) people.push(this.#own);
    this.#show(roomEvent(view, this.#room.uri, people));
  }

  #heard(message: ChatMessage): void {
    this.#writers.end(message.from);
    this.#show(this.#messageEvent(message));
    // Somebody sits here: what is shown is read.
    if (this.#screen.attended) this.#room?.seen(message);
  }

  #messageEvent(message: ChatMessage): ChatEvent {
    const { from, fromName, contentType, messageId, text, content, fileName } = message;
    const at = message.at.toISOString();
    if (message.status && text !== undefined) return { type: 'announcement', at, text };
    const person = { name: this.#room?.roster.get(from)?.name ?? fromName ?? userPart(from), uri: from };
    this.#authors.set(from, person);
    const isText = text !== undefined && fileName === undefined;
    const file = isText ? undefined : this.#inbox.keep({ name: fileName ?? 'file', content });
    const size = sizeText(content.length);
    return {
      type: 'message',
      ...(messageId === undefined ? {} : { id: messageId }),
      at,
      from: person,
      private: message.private,
      history: message.history,
      ...(this.#isOwnAside(message) ? { to: this.#person(message.to) } : {}),
      contentType,
      text: isText ? text : `[${fileName ?? 'file'}, ${contentType}, ${size}; /save ${String(file)} keeps it]`,
      ...(file === undefined ? {} : { file }),
    };
  }

  /**
   * Whether one has said it to one person alone. From another device one may have called the room by another name of its
   * domain, or by its port, so it is known by its user part.
   */
  #isOwnAside({ from, to }: ChatMessage): boolean {
    if (this.#room === undefined || from !== this.#room.ownUri) return false;
    const { uri, view } = this.#room;
    return ![uri, view.entity ?? uri].some((name) => userPart(name) === userPart(to));
  }

  #person(uri: string): Person {
    const name = this.#room?.roster.get(uri)?.name ?? this.#authors.get(uri)?.name ?? userPart(uri);
    return { name, uri };
  }

  /** Whom one can speak to: the roster, then other authors. */
  #people(): readonly Person[] {
    const roster = [...(this.#room?.roster.values() ?? [])].map(personOf);
    const others = [...this.#authors.values()].filter(({ uri }) => this.#room?.roster.has(uri) !== true);
    return [...roster, ...others].filter(({ uri }) => !this.#isOwn(uri) && uri !== this.#room?.uri);
  }

  #fail(why: ClientError): void {
    this.#exit = Math.max(this.#exit, exitCodeOf(why));
    this.#early = undefined;
    const reason = reasonOf(why, this.#options.password);
    this.#show({ type: 'closed', reason, ...(why.status === undefined ? {} : { status: why.status }) });
    this.#finish();
  }

  #show(event: ChatEvent): void {
    if (this.#early === undefined) this.#screen.show(event);
    else this.#early.push(event);
  }
}

/** The name where none is given: that of the account, else of who has logged in. */
function ownName({ as }: Pick<ChatOptions, 'as'>): string {
  return as === undefined ? loginName() : userPart(/^\w+:/.test(as) ? as : `sip:${as}`);
}

function loginName(): string {
  try {
    return userInfo().username;
  } catch {
    return 'guest';
  }
}

function textOf(fault: unknown): string {
  return fault instanceof Error ? fault.message : String(fault);
}
