/** All that a room itself says, in one place, so that it can be said in other languages. */

import type { Role, SettingChange } from '../conference/events.ts';

/** The sentences of a room. Names and reasons come in as people wrote them. */
export interface Texts {
  /** Before the replay of the past, to somebody who comes in. */
  history(count: number, since: Date): string;
  /** The same to a device that has been here before; `more`: there may be more, which it is not sent. */
  missed(count: number, since: Date, more: boolean): string;
  /** Instead, where nothing of it is kept any more. */
  readonly missedAllGone: string;
  /** The same to somebody who is here and has asked for it; `count` may be 0. */
  asked(count: number, since: Date): string;
  /** To the same, when it is on its way already. */
  readonly pastIsComing: string;
  /** To the same, when nothing of the chat goes to his device. */
  readonly notHearing: string;
  /** Messages of before are kept, but cannot be had at present. */
  readonly pastUnreadable: string;
  /** Somebody has given the conference another subject, or none. */
  subject(subject: string | undefined, by: string | undefined): string;
  /** What the subject is, to somebody who comes in, and to who asks: there may be none. */
  subjectIs(subject: string | undefined): string;
  /** To somebody whose client does not know of chat rooms (RFC 7701 §11): what he writes goes to all of these. */
  thisIsARoom(names: readonly string[]): string;
  /** To somebody who is anonymous here: the URI that others see, and that his messages must be from (RFC 7701 §5.2, §6.1). */
  anonymous(uri: string): string;
  muted(name: string, by: string | undefined, reason: string | undefined): string;
  unmuted(name: string, by: string | undefined): string;
  /** Somebody had to leave; `reason` says why in a sentence. */
  booted(name: string, reason: string | undefined): string;
  banned(name: string, by: string | undefined, until: number | undefined, reason: string | undefined): string;
  unbanned(name: string, by: string | undefined): string;
  role(name: string, role: Role): string;
  /** A message was taken back, by its author or a moderator. */
  retracted(author: string, by: string | undefined, reason: string | undefined): string;
  /** Who has seen of a large message `line` alone, which stood for it: the rest of it did not come (RFC 7701 §6.1). */
  aborted(line: string, author: string, reason: string): string;
  locked(by: string | undefined): string;
  unlocked(by: string | undefined): string;
  /** 0: no more. */
  slowMode(seconds: number): string;
  /** Something of the room is otherwise now; null: as it is where nothing is said. */
  setting(change: SettingChange, by: string | undefined): string;
  moved(to: string | undefined, reason: string | undefined): string;
  /** It has not moved after all. */
  hereAgain(by: string | undefined): string;
  /** Everybody has to leave. */
  ended(reason: string | undefined): string;
  /** To who sent a list of people to be called (RFC 5366): those who are not, each with the reason. */
  notCalled(entries: readonly string[]): string;
  /** To moderators: somebody wants to come in. */
  waits(name: string): string;
  /** To moderators: somebody has been let in. */
  letIn(name: string, by: string | undefined): string;
  /** To somebody who has been let in. */
  readonly admitted: string;
  /** To somebody who has to wait. */
  readonly inLobby: string;
  /** To somebody for whom too much waits (RFC 7701 §6.4). */
  readonly tooSlow: string;
  /** To the same, when it is over. */
  leftOut(count: number): string;
  /** To who takes texts again that he had not taken for long. */
  readonly again: string;
  /** A command was not understood: how it is written. */
  usage(usage: string): string;
  /** A command is about a message that is not there. */
  readonly noMessage: string;
  /** A command names somebody who cannot be told. */
  nobody(name: string): string;
  several(name: string): string;
}

/** What the rooms say, in English. */
export const ENGLISH: Texts = {
  history: (count, since) => `${messages(count)} from before you came, since ${time(since)}:`,
  missed: (count, since, more) =>
    `${messages(count)} that you missed, since ${time(since)}${more ? ' (you missed more before that)' : ''}:`,
  missedAllGone: 'You missed messages that are not kept any more.',
  asked: (count, since) =>
    count === 0 ? 'There is nothing of that time to show.' : `${messages(count)} again, since ${time(since)}:`,
  pastIsComing: 'What was said before is on its way to you already.',
  notHearing: 'Nothing of the chat goes to your device at present, as on hold: ask again when it does.',
  pastUnreadable: 'What was said before cannot be read at present.',
  subject: (subject, by = 'The room') =>
    subject === undefined ? `${by} has taken the subject away.` : `${by} has set the subject: ${subject}`,
  subjectIs: (subject) => (subject === undefined ? 'There is no subject.' : `The subject is: ${subject}`),
  thisIsARoom: (names) =>
    `This is a chat room: what you write goes to everybody here. ${names.length === 0 ? 'Nobody else is here yet.' : `Here: ${names.join(', ')}`}`,
  anonymous: (uri) => `You are anonymous here: others see ${uri}, and what you write has to be from it.`,
  muted: (name, by, reason) => `${name} was muted${byWhom(by)}${why(reason)}.`,
  unmuted: (name, by) => `${name} may speak again${byWhom(by)}.`,
  booted: (name, reason) => `${name} had to leave${why(reason)}.`,
  banned: (name, by, until, reason) =>
    `${name} was banned${byWhom(by)}${until === undefined ? '' : ` until ${time(new Date(until))}`}${why(reason)}.`,
  unbanned: (name, by) => `${name} may come back${byWhom(by)}.`,
  role: (name, role) => `${name} is ${role === 'owner' ? 'an' : 'a'} ${role} now.`,
  retracted: (author, by, reason) => `A message of ${author} was taken back${byWhom(by)}${why(reason)}.`,
  aborted: (line, author, reason) => `The sending of ${line}${byWhom(author)} was aborted${why(reason)}.`,
  locked: (by) => `Nobody new may come in${byWhom(by)}.`,
  unlocked: (by) => `Everybody may come in again${byWhom(by)}.`,
  slowMode: (seconds) =>
    seconds === 0
      ? 'Slow mode is off.'
      : `Slow mode: everybody may speak once in ${seconds === 1 ? 'one second' : `${seconds} seconds`}.`,
  setting: (change, by) => `${settingNow(change)}${byWhom(by)}.`,
  ended: (reason) => `The conference was ended${why(reason)}.`,
  moved: (to, reason) => `This room ${to === undefined ? 'is closed' : `has moved to ${to}`}${why(reason)}.`,
  hereAgain: (by) => `This room is here again${byWhom(by)}.`,
  notCalled: (entries) => `Not called: ${entries.join(', ')}`,
  waits: (name) => `${name} waits to be let in: /admit ${/\s/.test(name) ? `"${name}"` : name}`,
  letIn: (name, by) => `${name} has been let in${byWhom(by)}.`,
  admitted: 'You have been let in.',
  inLobby: 'A moderator has yet to let you in. You will see here when that is done.',
  tooSlow: 'More is said here than your client reads: some of it is left out.',
  leftOut: (count) => `${messages(count)} left out, since your client read too slowly.`,
  again: 'From here on you get again what is said.',
  usage: (usage) => `Write it so: ${usage}`,
  noMessage: 'There is no such message.',
  nobody: (name) => `There is nobody called ${name}.`,
  several: (name) => `More than one here is called ${name}: give the address.`,
};

const byWhom = (name: string | undefined): string => (name === undefined ? '' : ` (${name})`);
const why = (reason: string | undefined): string => (reason === undefined ? '' : `: ${reason}`);
const messages = (count: number): string => (count === 1 ? 'One message' : `${count} messages`);

/** To the minute, in UTC: the room does not know where its people are. */
const time = (date: Date): string => `${date.toISOString().slice(0, 16).replace('T', ' ')} UTC`;

function settingNow(change: SettingChange): string {
  switch (change.setting) {
    case 'maximumUsers':
      return change.value === null ? 'Any number may be here' : `At most ${String(change.value)} may be here at a time`;
    case 'lobby':
      return change.value === true ? 'Who comes waits to be let in' : 'Who comes need not wait';
    case 'membersOnly':
      return change.value === true ? 'Only members may come in' : 'Not only members may come in';
    case 'privateMessages':
      return change.value === false ? 'Nobody may write to one alone' : 'Everybody may write to one alone';
    case 'endsAt':
      return change.value === null
        ? 'The conference has no end set'
        : `The conference ends at ${time(new Date(change.value))}`;
    case 'pinHash':
      return change.value === null ? 'No PIN is asked for' : 'The PIN was set';
  }
}
