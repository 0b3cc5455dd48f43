/** Orders as lines of text: what a moderator writes into the chat. */
import type { Conference } from '../conference/conference.ts';
import type { BanTarget, Millis, Role } from '../conference/events.ts';
import { readAbsoluteUri, readIpAddress, type UserUri } from '../conference/ids.ts';
import type { Domains } from './domains.ts';
import type { Order } from './orders.ts';
import { type PastWish, readDuration, readPastWish } from './past-wish.ts';
import type { Meant, Retractable } from './retractable.ts';
import { identityOf, userNamed } from './who.ts';

/** What a line means when it is no order. */
export type NoOrder =
  | { readonly say: 'help' }
  /** What the subject is, or that there is none. */
  | { readonly say: 'subject'; readonly subject: string | undefined }
  /** No message is meant that could be taken back. */
  | { readonly say: 'no-message' }
  /** It is an order, but cannot be understood: how it is written. */
  | { readonly say: 'usage'; readonly usage: string }
  | { readonly say: 'nobody' | 'several'; readonly name: string }
  /** Who gives it wants to be sent something of the past. */
  | { readonly say: 'past'; readonly wish: PastWish };

/** What reading a line needs to know. */
export interface CommandContext {
  readonly conference: Conference;
  /** Who gives the order, if that is one of the users. */
  readonly user: UserUri | undefined;
  readonly now: Millis;
  /** The messages that can be meant. */
  readonly messages: Pick<Retractable, 'last' | 'find'>;
  /** As whom the service knows who is named, and the people of a host. */
  readonly domains: Pick<Domains, 'personNamed' | 'peopleOf'>;
  /** Who was here under that name and has left. */
  readonly departed: (name: string) => UserUri | undefined;
}

interface Command {
  readonly usage: string;
  readonly help: string;
  /** `undefined`: not as the usage says. */
  readonly read: (words: Words, context: CommandContext) => Order | NoOrder | undefined;
}

/** The names of all orders, without the slash. */
export function commandNames(): readonly string[] {
  return Object.keys(COMMANDS);
}

/** The names that begin an order. */
export function isCommand(text: string): boolean {
  return Object.hasOwn(COMMANDS, commandName(text));
}

/**
 * Whether a text that is no command begins like one, with a slash and one word of letters, whatever sign ends it:
 * `/kik Zoe`, `/pin:4711`, `/leave!`. A path with more than that, `//kik` and ` /kik` are texts; so is `/me waves`, by
 * which many clients say what somebody does.
 */
export function seemsCommand(text: string): boolean {
  const word = /^\/(\p{L}+)(?:[\s:=,;!?]|\.(?:\s|$)|$)/u.exec(text)?.[1];
  return word !== undefined && word.toLowerCase() !== 'me' && !isCommand(text);
}

/** Reads a line that `isCommand`. */
export function readCommand(text: string, context: CommandContext): Order | NoOrder {
  const command = COMMANDS[commandName(text)];
  if (command === undefined) return { say: 'usage', usage: '/help' };
  return command.read(new Words(text), context) ?? { say: 'usage', usage: command.usage };
}

/** All commands with what they do, a line each. */
export function commandHelp(): string {
  const commands = Object.values(COMMANDS);
  const width = Math.max(...commands.map(({ usage }) => usage.length));
  const lines = commands.map(({ usage, help }) => `${usage.padEnd(width)}  ${help}`);
  return ['Orders to the room, most of them for moderators:', ...lines].join('\n');
}

function commandName(text: string): string {
  return (/^\/([a-z]+)(?:\s|$)/i.exec(text)?.[1] ?? '').toLowerCase();
}

/** A line taken apart from its beginning; names with blanks stand in quotes. */
class Words {
  #rest: string;

  constructor(text: string) {
    this.#rest = text.trim();
    this.next();
  }

  next(): string | undefined {
    const [all = '', quoted, plain] = /^\s*(?:"([^"]+)"|(\S+))/.exec(this.#rest) ?? [];
    this.#rest = this.#rest.slice(all.length).trimStart();
    return quoted ?? plain;
  }

  /** What the rest begins with, if it does. */
  take(pattern: RegExp): RegExpExecArray | undefined {
    const found = pattern.exec(this.#rest) ?? undefined;
    this.#rest = this.#rest.slice(found?.[0].length ?? 0).trimStart();
    return found;
  }

  /** What the next word means, unless it stands in quotes; it is left where it means nothing. */
  takeAs<T>(read: (word: string) => T | undefined): T | undefined {
    const [word = ''] = /^[^"\s]\S*/.exec(this.#rest) ?? [];
    const meant = word === '' ? undefined : read(word);
    if (meant !== undefined) this.next();
    return meant;
  }

  rest(): string | undefined {
    return this.#rest === '' ? undefined : this.#rest;
  }
}

/** Reads the name of somebody who is here. */
function someone(
  words: Words,
  { conference, domains }: CommandContext,
  order: (user: UserUri) => Order | NoOrder | undefined,
): Order | NoOrder | undefined {
  const name = words.next();
  if (name === undefined) return undefined;
  const user = userNamed(conference, domains.personNamed(name));
  return typeof user === 'string' ? order(user) : { say: user.refused, name };
}

/** Reads the name of somebody who is here or was here, or an address of record. */
function anyone(
  words: Words,
  context: CommandContext,
  order: (user: UserUri) => Order | NoOrder | undefined,
): Order | NoOrder | undefined {
  const name = words.next();
  return name === undefined ? undefined : anyoneNamed(name, context, order);
}

function anyoneNamed(
  name: string,
  context: CommandContext,
  order: (user: UserUri) => Order | NoOrder | undefined,
): Order | NoOrder | undefined {
  const known = context.domains.personNamed(name);
  const user = userNamed(context.conference, known);
  if (typeof user === 'string') return order(user);
  const absent = user.refused === 'nobody' ? (context.departed(known) ?? identityOf(known)) : undefined;
  return absent === undefined ? { say: user.refused, name } : order(absent);
}

/** Whom a ban is for: somebody, a domain, or a transport address. */
function banned(
  words: Words,
  context: CommandContext,
  order: (target: BanTarget) => Order,
): Order | NoOrder | undefined {
  const target = words.takeAs((word) => bannedMany(word, context));
  if (target !== undefined) return order(target);
  return anyone(words, context, (user) => order({ kind: 'user', user }));
}

/** The target of a ban that hits whoever comes from there. */
function bannedMany(word: string, { domains }: CommandContext): BanTarget | undefined {
  const domain = /^\*@(.+)/.exec(word)?.[1];
  if (domain !== undefined) return { kind: 'domain', domain: domains.peopleOf(domain) };
  const address = readIpAddress(word);
  return address === undefined ? undefined : { kind: 'address', address };
}

const because = (reason: string | undefined): { readonly reason?: string } => (reason === undefined ? {} : { reason });

const isRole = (word: string | undefined): word is Role =>
  word === 'owner' || word === 'moderator' || word === 'participant' || word === 'visitor';

function onOff(words: Words, order: (on: boolean) => Order): Order | undefined {
  const word = words.next();
  return word === 'on' || word === 'off' ? order(word === 'on') : undefined;
}

const COMMANDS: Readonly<Record<string, Command>> = {
  mute: {
    usage: '/mute NAME [REASON]',
    help: 'somebody may not speak any more',
    read: (words, context) => anyone(words, context, (user) => ({ order: 'mute', user, ...because(words.rest()) })),
  },
  unmute: {
    usage: '/unmute NAME',
    help: 'and may speak again',
    read: (words, context) => anyone(words, context, (user) => ({ order: 'unmute', user })),
  },
  kick: {
    usage: '/kick NAME [REASON]',
    help: 'somebody has to leave, and may come back',
    read: (words, context) => someone(words, context, (user) => ({ order: 'kick', user, ...because(words.rest()) })),
  },
  ban: {
    usage: '/ban NAME|ADDRESS|*@DOMAIN [30m|2h|7d] [REASON]',
    help: 'somebody has to leave, and may not come back for so long',
    read: (words, context) =>
      banned(words, context, (target) => {
        const rest = words.rest();
        const duration = readDuration(rest?.split(/\s/, 1)[0]);
        if (duration !== undefined) words.next();
        const until = duration === undefined ? {} : { until: context.now + duration };
        return { order: 'ban', target, ...until, ...because(words.rest()) };
      }),
  },
  unban: {
    usage: '/unban NAME|ADDRESS|*@DOMAIN',
    help: 'and may come back',
    read: (words, context) => banned(words, context, (target) => ({ order: 'unban', target })),
  },
  role: {
    usage: '/role NAME owner|moderator|participant|visitor',
    help: 'what somebody is here; a visitor may only listen',
    read: (words, context) =>
      anyone(words, context, (user) => {
        const role = words.next();
        return isRole(role) ? { order: 'role', user, role } : undefined;
      }),
  },
  retract: {
    usage: '/retract [NAME] [COUNT] [REASON], /retract ID [REASON]',
    help: 'take back the last message, of somebody or your own; with 3, the third last; or the one with that id',
    read: (words, context) => {
      const { messages, user } = context;
      const take = (message: Meant | undefined): Order | NoOrder =>
        message === undefined ? { say: 'no-message' } : { order: 'retract', ...message, ...because(words.rest()) };
      const count = (): number => Number(words.take(/^[1-9]\d{0,3}(?!\S)/)?.[0] ?? 1);
      const own = words.rest() === undefined || /^[1-9]\d{0,3}$/.test(words.rest() ?? '');
      if (own) return user === undefined ? undefined : take(messages.last(user, count()));
      const word = words.next() ?? '';
      const message = messages.find(word, user);
      return message === undefined
        ? anyoneNamed(word, context, (author) => take(messages.last(author, count())))
        : take(message);
    },
  },
  subject: {
    usage: '/subject [TEXT|off]',
    help: 'what is talked about; off: nothing in particular; without a text, what it is',
    read: (words, { conference }) => {
      const subject = words.rest();
      if (subject === undefined) return { say: 'subject', subject: conference.subject };
      return { order: 'subject', ...(subject === 'off' ? {} : { subject }) };
    },
  },
  slow: {
    usage: '/slow 30s|off',
    help: 'everybody may speak once in so long',
    read: (words) => {
      const word = words.next();
      const seconds = word === 'off' || word === '0' ? 0 : (readDuration(word) ?? NaN) / 1000;
      return Number.isNaN(seconds) ? undefined : { order: 'slow', seconds };
    },
  },
  lock: { usage: '/lock', help: 'nobody new may come in', read: () => ({ order: 'lock' }) },
  unlock: { usage: '/unlock', help: 'everybody may come in again', read: () => ({ order: 'unlock' }) },
  lobby: {
    usage: '/lobby on|off',
    help: 'who is new waits until somebody lets him in',
    read: (words) => onOff(words, (value) => ({ order: 'setting', change: { setting: 'lobby', value } })),
  },
  admit: {
    usage: '/admit NAME',
    help: 'let somebody in who waits',
    read: (words, context) => someone(words, context, (user) => ({ order: 'admit', user })),
  },
  members: {
    usage: '/members on|off',
    help: 'only those with a role may come in',
    read: (words) => onOff(words, (value) => ({ order: 'setting', change: { setting: 'membersOnly', value } })),
  },
  private: {
    usage: '/private on|off',
    help: 'people may write to one another',
    read: (words) => onOff(words, (value) => ({ order: 'setting', change: { setting: 'privateMessages', value } })),
  },
  limit: {
    usage: '/limit USERS|off',
    help: 'so many users at most',
    read: (words) => {
      const word = words.next();
      if (word === 'off') return { order: 'setting', change: { setting: 'maximumUsers', value: null } };
      return word !== undefined && /^[1-9]\d{0,5}$/.test(word)
        ? { order: 'setting', change: { setting: 'maximumUsers', value: Number(word) } }
        : undefined;
    },
  },
  pin: {
    usage: '/pin PIN|off',
    help: 'who comes in has to give it',
    read: (words) => {
      const word = words.next();
      if (word === undefined) return undefined;
      return word === 'off' ? { order: 'pin' } : { order: 'pin', pin: word };
    },
  },
  extend: {
    usage: '/extend 30m|off',
    help: 'the conference ends that much later than now, or not by itself',
    read: (words, { now }) => {
      const word = words.next();
      if (word === 'off') return { order: 'setting', change: { setting: 'endsAt', value: null } };
      const duration = readDuration(word);
      return duration === undefined
        ? undefined
        : { order: 'setting', change: { setting: 'endsAt', value: now + duration } };
    },
  },
  move: {
    usage: '/move URI [REASON], /move off',
    help: 'the room is elsewhere from now on, and who comes is told where; or it is here again',
    read: (words) => {
      const word = words.next();
      if (word === 'off') return { order: 'unmove' };
      const to = readAbsoluteUri(word ?? '');
      return to === undefined ? undefined : { order: 'move', to, ...because(words.rest()) };
    },
  },
  end: {
    usage: '/end [REASON]',
    help: 'the conference is over for everybody',
    read: (words) => ({ order: 'end', ...because(words.rest()) }),
  },
  history: {
    usage: '/history [20|2h]',
    help: 'what was said last, or in the last hours, once more to you alone',
    read: (words) => {
      const word = words.next();
      const wish = word === undefined ? {} : readPastWish(word);
      return wish === undefined ? undefined : { say: 'past', wish };
    },
  },
  help: { usage: '/help', help: 'this list', read: () => ({ say: 'help' }) },
};
