import type { Room } from '../client/index.ts';
import type { ChatEvent, Person } from './events.ts';
import { filesLike } from './files.ts';

/** At once, or when it resolves. */
type Done = void | Promise<void>;

/** What commands act on. */
export interface CommandContext {
  readonly room: Pick<Room, 'features' | 'nickname' | 'server'>;
  readonly show: (event: ChatEvent) => void;
  /** Tells why a line could not be done; a script ends with a code that says so. */
  readonly complain: (why: string) => void;
  /** Says something, shows what became of it. */
  readonly say: (text: string, to?: Person) => Done;
  /** Gives the room itself an order. */
  readonly order: (line: string) => Done;
  /** Asks the room for something of the past. */
  readonly recall: (wish: string) => Done;
  /** Whom one can speak to. */
  readonly people: () => readonly Person[];
  /** The room as it is now. */
  readonly who: () => void;
  readonly leave: () => void;
  /** Sends a file to the room. */
  readonly sendFile: (path: string) => Done;
  /** Keeps a file that came. */
  readonly saveFile: (number: number, path?: string) => Done;
  /** Who has read what we said last. */
  readonly readers: () => void;
}

interface Command {
  readonly usage: string;
  readonly help: string;
  run(argument: string, context: CommandContext): Done;
}

/** All that can be typed with a slash. */
const COMMANDS: Readonly<Record<string, Command>> = {
  help: {
    usage: '/help',
    help: 'show this list',
    run: (_, { show }) => {
      const width = Math.max(...Object.values(COMMANDS).map(({ usage }) => usage.length));
      const lines = Object.values(COMMANDS).map(({ usage, help }) => `  ${usage.padEnd(width)}  ${help}`);
      show({
        type: 'notice',
        text: [
          'In this terminal:',
          ...lines,
          '  //text'.padEnd(width + 4) + 'say a text that begins with a slash',
        ].join('\n'),
      });
    },
  },
  who: {
    usage: '/who',
    help: 'who is here, the subject and the address of the room',
    run: (_, context) => context.who(),
  },
  nick: {
    usage: '/nick NAME',
    help: 'take a nickname; without a name, give it up',
    run: async (argument, { room, show, complain }) => {
      // As `/msg` wants names with blanks.
      const name = /^"([^"]*)"$/.exec(argument)?.[1] ?? argument;
      const { status, comment } = await room.nickname(name);
      const taken = name === '' ? 'you have no nickname any more' : `you are now ${name}`;
      if (status === 200) show({ type: 'notice', text: `* ${taken}` });
      else complain(`no nickname: ${status} ${comment}`);
    },
  },
  msg: {
    usage: '/msg WHO TEXT',
    help: 'say something to one person alone; WHO is a name or an address, "in quotes" if it has blanks',
    run: (argument, context) => {
      const [, quoted, plain, text = ''] = /^(?:"([^"]+)"|(\S+))\s+(.+)$/s.exec(argument) ?? [];
      const wanted = quoted ?? plain;
      if (wanted === undefined) return context.complain('write it so: /msg WHO TEXT');
      const person = personNamed(context.people(), wanted);
      if (person === undefined) return context.complain(`nobody here is called ${wanted}`);
      if (!context.room.features.includes('private-messages')) {
        return context.complain('this room has no private messages');
      }
      return context.say(text, person);
    },
  },
  file: {
    usage: '/file PATH',
    help: 'send a file to the room',
    run: (path, { sendFile, complain }) => (path === '' ? complain('write it so: /file PATH') : sendFile(path)),
  },
  save: {
    usage: '/save NUMBER [PATH]',
    help: 'keep a file that came',
    run: (argument, { saveFile, complain }) => {
      const [, number, path] = /^(\d{1,6})(?:\s+(.+))?$/.exec(argument) ?? [];
      return number === undefined ? complain('write it so: /save NUMBER [PATH]') : saveFile(Number(number), path);
    },
  },
  history: {
    usage: '/history [20|2h]',
    help: 'the last messages, or those of the last time, once more',
    run: (wish, { room, recall, complain }) =>
      isOwn(room) ? recall(wish) : complain('this room does not show its past again'),
  },
  seen: { usage: '/seen', help: 'who has read what you said last', run: (_, context) => context.readers() },
  leave: { usage: '/leave', help: 'leave the room (Ctrl-D does the same)', run: (_, context) => context.leave() },
};

/**
 * What a moderator can order in rooms of this very service; elsewhere it would be said to everybody. Written here as well as
 * there, since the client is no part of the service; a test holds the two together.
 */
const ROOM_COMMANDS: ReadonlySet<string> = new Set([
  ...['mute', 'unmute', 'kick', 'ban', 'unban', 'role', 'retract', 'subject', 'slow', 'lock', 'unlock', 'lobby'],
  ...['admit', 'members', 'private', 'limit', 'pin', 'extend', 'move', 'end'],
]);

/** Does what a line entered asks for: a command, or something to say. */
export function enter(line: string, context: CommandContext): Done {
  if (line.trim() === '') return;
  const [, name] = BEGINS_LIKE_AN_ORDER.exec(line.trim()) ?? [];
  const word = name?.toLowerCase();
  if (name === undefined || word === undefined || word === 'me') {
    return context.say(line.startsWith('//') ? literal(line.slice(1), context) : line);
  }
  const [, argument = ''] = /^\/\p{L}+\s+(.*)$/su.exec(line.trim()) ?? [];
  if (argument === '' && line.trim() !== `/${name}`) return noSuch(line.trim(), context);
  const command = Object.hasOwn(COMMANDS, word) ? COMMANDS[word] : undefined;
  const done = command?.run(argument.trim(), context);
  // The room itself takes these, and answers to nobody else.
  if (isOwn(context.room) && (ROOM_COMMANDS.has(word) || word === 'help')) return context.order(line.trim());
  if (command === undefined) noSuch(`/${name}`, context);
  return done;
}

/** A slash and one word of letters, whatever sign ends it; `/usr/bin` is none. Rooms of this service see it the same way. */
const BEGINS_LIKE_AN_ORDER = /^\/(\p{L}+)(?:[\s:=,;!?]|\.(?:\s|$)|$)/u;

/** It may be a secret with a slip in it: it is not said. */
function noSuch(order: string, { complain }: CommandContext): void {
  complain(`there is no ${order}; /help shows what there is, and /${order} says it to all`);
}

/** Whether a line can only be understood by who knows who is here. */
export function asksForRoster(line: string): boolean {
  return /^\s*\/(?:who|msg)\b/i.test(line);
}

/** A text as it will be said: our own rooms take a slash and a word for an order, unless a blank stands before it. */
const literal = (text: string, { room }: CommandContext): string =>
  isOwn(room) && BEGINS_LIKE_AN_ORDER.test(text) ? ` ${text}` : text;

/** Whether a room is one of this very service. */
const isOwn = ({ server }: CommandContext['room']): boolean => server.startsWith('grouptextchat');

/** What may stand for the end of a line. */
export interface Completions {
  readonly choices: readonly string[];
  /** The end of the line that one of them takes the place of. */
  readonly word: string;
}

/** Commands at the beginning of a line, files behind `/file`, names of people anywhere else. */
export function completions(line: string, people: readonly Person[]): Completions {
  const [, path] = /^\/file\s+(.*)$/s.exec(line) ?? [];
  if (path !== undefined) return { choices: filesLike(path), word: path };
  const word = /"[^"]*$|\S*$/.exec(line)?.[0] ?? '';
  const names = people.map(({ name }) => (/\s/.test(name) ? `"${name}" ` : `${name} `));
  const choices =
    line.startsWith('/') && !line.includes(' ')
      ? [...Object.keys(COMMANDS), ...ROOM_COMMANDS].map((name) => `/${name} `)
      : names;
  const lower = word.toLowerCase();
  // A name with blanks is found as well by who has not begun with the quote.
  const fits = (choice: string): boolean =>
    choice.toLowerCase().startsWith(lower) || (word !== '' && choice.toLowerCase().startsWith(`"${lower}`));
  return { choices: choices.filter(fits), word };
}

function personNamed(people: readonly Person[], wanted: string): Person | undefined {
  const lower = wanted.toLowerCase();
  return people.find(({ uri }) => uri === wanted) ?? people.find(({ name }) => name.toLowerCase() === lower);
}
