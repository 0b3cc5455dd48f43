import { userInfo } from 'node:os';
import { ClientError, joinRoom, type ChatMessage, type Room, type Roster, userPart } from '../client/index.ts';
import type { ConferenceView } from '../conference/view.ts';
import { nodeWebSocket } from '../client/transport/node.ts';
import { completions, enter } from './commands.ts';
import { type ChatEvent, type Person, personOf, roomEvent } from './events.ts';
import { EXIT, exitCodeOf } from './exit.ts';
import { processTerminal, Screen, type Terminal } from './screen.ts';

/** The options of `grouptextchat chat`. */
export interface ChatOptions {
  /** Display name; the login name unless given. */
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
  /** Tell on standard error what the protocols do. */
  readonly verbose?: boolean;
}

/** Runs a chat until it is over; gives the exit code. */
export async function runChat(
  uri: string,
  options: ChatOptions,
  terminal: Terminal = processTerminal,
): Promise<number> {
  const chat = new Chat(options, terminal);
  return chat.run(uri);
}

class Chat {
  readonly #options: ChatOptions;
  readonly #screen: Screen;
  readonly #pending = new Set<Promise<void>>();
  readonly #over: Promise<void>;
  #finish: () => void = () => undefined;
  #exit: number = EXIT.done;
  #room: Room | undefined;
  #own: Person | undefined;
  #typing = false;
  /** Authors whom the roster does not show, or not yet: they can be spoken to. */
  readonly #authors = new Map<string, Person>();

  constructor(options: ChatOptions, terminal: Terminal) {
    this.#options = options;
    this.#screen = new Screen(terminal, { json: options.json === true, colour: options.colour !== false });
    this.#over = new Promise((resolve) => {
      this.#finish = resolve;
    });
  }

  async run(uri: string): Promise<number> {
    const room = await this.#enter(uri);
    if (room === undefined) return this.#exit;
    const stop = (): void => this.#finish();
    process.once('SIGINT', stop).once('SIGTERM', stop);
    await this.#start(room);
    await this.#over;
    process.off('SIGINT', stop).off('SIGTERM', stop);
    this.#screen.close();
    await room.leave();
    return this.#exit;
  }

  async #enter(uri: string): Promise<Room | undefined> {
    const { name = loginName(), server, as, password, verbose } = this.#options;
    try {
      const room = await joinRoom(
        uri,
        {
          name,
          webSocket: nodeWebSocket,
          ...(server === undefined ? {} : { server }),
          ...(as === undefined ? {} : { identity: as }),
          ...(password === undefined ? {} : { password }),
          ...(verbose === true ? { log: (line: string) => process.stderr.write(`${line}\n`) } : {}),
        },
        {
          message: (message) => this.#show(this.#messageEvent(message)),
          roster: (roster, change, view) => {
            if (change === undefined) this.#who(view, roster);
            for (const person of change?.joined ?? []) {
              if (person.uri !== this.#room?.ownUri) this.#show({ type: 'joined', person: personOf(person) });
            }
            for (const person of change?.left ?? []) this.#show({ type: 'left', person: personOf(person) });
            for (const { before, after } of change?.renamed ?? []) {
              this.#show({ type: 'renamed', person: personOf(after), before: before.name });
            }
          },
          composing: (from, active) => this.#show({ type: 'composing', person: this.#person(from), active }),
          receipt: ({ messageId, from, status }) =>
            this.#show({ type: 'receipt', id: messageId, person: this.#person(from), status }),
          rosterEnded: (why) => this.#show({ type: 'notice', text: `* ${why.message}` }),
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
    const { name = loginName(), nick, say, stay } = this.#options;
    this.#own = { name, uri: room.ownUri };
    this.#screen.own = room.ownUri;
    this.#show({ type: 'entered', room: room.uri, as: this.#own });
    if (nick !== undefined) {
      const { status, comment } = await room.nickname(nick);
      if (status !== 200) this.#show({ type: 'notice', text: `! no nickname: ${status} ${comment}` });
    }
    if (say !== undefined) {
      for (const text of say) this.#say(text);
      if (stay !== true) {
        this.#leaveWhenSaid();
        return;
      }
    }
    const context = {
      room,
      show: (event: ChatEvent) => this.#show(event),
      say: (text: string, to?: Person) => this.#say(text, to),
      people: () => this.#people(),
      who: () => this.#who(room.view, room.roster),
      leave: () => this.#leaveWhenSaid(),
    };
    this.#screen.listen({
      line: (line) => {
        this.#typing = false;
        enter(line, context);
      },
      ended: () => {
        if (stay !== true || this.#screen.attended) this.#leaveWhenSaid();
      },
      typed: (line) => this.#typed(room, line),
      complete: (line) => completions(line, this.#people()),
    });
  }

  #leaveWhenSaid(): void {
    void Promise.all(this.#pending).then(() => this.#finish());
  }

  #say(text: string, to?: Person): void {
    const said = this.#room?.say(text, to?.uri).then((outcome) => {
      const { messageId: id } = outcome;
      if (outcome.said) this.#show({ type: 'said', id, text, ...(to === undefined ? {} : { to }) });
      else {
        this.#exit = EXIT.refused;
        const { status, reason } = outcome;
        this.#show({ type: 'refused', id, text, reason, ...(status === undefined ? {} : { status }) });
      }
    });
    if (said === undefined) return;
    this.#pending.add(said);
    void said.then(() => this.#pending.delete(said));
  }

  /** RFC 3994 §3.2: told once when writing begins, and when the line is empty again. */
  #typed(room: Room, line: string): void {
    const typing = line !== '' && !line.startsWith('/');
    if (typing === this.#typing) return;
    this.#typing = typing;
    room.composing(typing);
  }

  /** The room as it is; with ourselves, though the first document may have been written before we were noted in it. */
  #who(view: ConferenceView, roster: Roster): void {
    if (this.#own === undefined || this.#room === undefined) return;
    const people = [...roster.values()].map(personOf);
    const { uri } = this.#own;
    if (!people.some((person) => person.uri === uri)) people.push(this.#own);
    this.#show(roomEvent(view, this.#room.uri, people));
  }

  #messageEvent(message: ChatMessage): ChatEvent {
    const { from, fromName, at, contentType, messageId, text, content, fileName } = message;
    if (message.status && text !== undefined) {
      return { type: 'announcement', at: at.toISOString(), text };
    }
    const person = { name: this.#room?.roster.get(from)?.name ?? fromName ?? userPart(from), uri: from };
    this.#authors.set(from, person);
    const shown = text ?? `[${fileName ?? contentType}, ${content.length} bytes]`;
    return {
      type: 'message',
      ...(messageId === undefined ? {} : { id: messageId }),
      at: at.toISOString(),
      from: person,
      private: message.private,
      contentType,
      text: shown,
    };
  }

  #person(uri: string): Person {
    const name = this.#room?.roster.get(uri)?.name ?? this.#authors.get(uri)?.name ?? userPart(uri);
    return { name, uri };
  }

  /** Whom one can speak to: the roster, then other authors. */
  #people(): readonly Person[] {
    const roster = [...(this.#room?.roster.values() ?? [])].map(personOf);
    const others = [...this.#authors.values()].filter(({ uri }) => this.#room?.roster.has(uri) !== true);
    return [...roster, ...others].filter(({ uri }) => uri !== this.#room?.ownUri && uri !== this.#room?.uri);
  }

  #fail(why: ClientError): void {
    this.#exit = exitCodeOf(why);
    this.#show({ type: 'closed', reason: why.message, ...(why.status === undefined ? {} : { status: why.status }) });
    this.#finish();
  }

  #show(event: ChatEvent): void {
    this.#screen.show(event);
  }
}

function loginName(): string {
  try {
    return userInfo().username;
  } catch {
    return 'guest';
  }
}
