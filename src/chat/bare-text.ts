import { formatCpim, imdnExtensions } from '../../msrp/index.ts';
import { type MessageId, userUri } from '../conference/ids.ts';
import { isPresent, type Participant } from '../conference/roster.ts';
import type { Copy } from './copy.ts';
import { nameOf, shownName, userPart } from './names.ts';
import type { Posting } from './post.ts';
import type { Present } from './present.ts';
import type { ChatRoom } from './room.ts';
import type { Speaker } from './speaker.ts';

/** A text without a wrapper, and who has written it where its speaker speaks for many. */
export interface BareText {
  readonly text: string;
  readonly author?: string;
}

/** What is no text for people, with its Content-Type. */
export interface BareContent {
  readonly contentType: string;
  readonly content: Uint8Array;
  /** It is a notification, with this id of its own (RFC 5438 §7.2.1); what it tells decides whom it is for. */
  readonly notification?: MessageId;
}

/**
 * Wraps what came bare as its speaker would have (RFC 7701 §6.1): From the speaker, To the room, or to the one whom a
 * text names.
 */
export function wrap(
  what: BareText | BareContent,
  speaker: Speaker,
  room: ChatRoom,
  now: number,
): Omit<Posting, 'messageId'> {
  const author = 'text' in what ? what.author : undefined;
  const aside = 'text' in what && author === undefined ? addressed(what.text, room) : undefined;
  // Who speaks for many passes on what was written elsewhere, and to people who are not in this room.
  const isSlip = aside === undefined ? 'text' in what && namesOne(what.text) : aside.gone;
  const toNobody = author === undefined && !speaker.speaksForMany && isSlip;
  const name = room.rules.shownAs(speaker.user, author) ?? nameIn(room, speaker);
  const notification = 'text' in what ? undefined : what.notification;
  const body = formatCpim({
    from: { ...(name === undefined ? {} : { name }), uri: speaker.shown },
    to: (aside?.to ?? [speaker.roomUri]).map((uri) => ({ uri })),
    dateTime: new Date(now),
    ...(notification === undefined ? {} : { extensions: imdnExtensions({ messageId: notification }) }),
    contentType: 'text' in what ? 'text/plain;charset=utf-8' : what.contentType,
    ...(notification === undefined ? {} : { mimeHeaders: NOTIFICATION }),
    content: 'text' in what ? (aside?.text ?? what.text) : what.content,
  });
  return { contentType: 'message/cpim', body, ...(toNobody ? { toNobody } : {}) };
}

const NOTIFICATION = [{ name: 'Content-Disposition', value: 'notification' }] as const;

/** A text in its charset; as UTF-8 where nobody knows that. */
export function decode(charset: string | undefined, bytes: Uint8Array): string {
  try {
    return new TextDecoder(charset).decode(bytes);
  } catch {
    return new TextDecoder().decode(bytes);
  }
}

/** What is asked of a room to say who speaks. */
export interface NamingRoom extends Pick<ChatRoom, 'uri' | 'conference'> {
  readonly present: Pick<Present, 'speaksForMany'>;
}

/** Who has said it, or who of many, where one endpoint speaks for them; undefined for the room itself. */
export function authorOf({ said, text }: Copy, room: NamingRoom): string | undefined {
  if (said.endpoint === undefined && said.by === userUri(room.uri)) return undefined;
  const name = shownName(room.conference, said);
  return room.present.speaksForMany(said.endpoint) ? (text?.cpim.from?.name ?? name) : name;
}

/** What stands before a text where nothing else shows who says it: `Zoe: `. The room needs no name before its own lines. */
export function nameBefore(copy: Copy, room: NamingRoom): string {
  const author = authorOf(copy, room);
  const aside = copy.said.audience.to === 'everyone' ? '' : ' (private)';
  return author === undefined ? '' : `${author}${aside}: `;
}

function nameIn(room: ChatRoom, speaker: Speaker): string | undefined {
  const endpoint = room.conference.endpoint(speaker.endpoint);
  return endpoint && nameOf(room.conference.participant(endpoint.entity));
}

/**
 * `@Zoe hi`: a private text from a client that cannot address one (RFC 7701 §6.2). One to somebody who has left is private,
 * too, and so reaches nobody: its author is told, and not everybody else. So is he where nobody or several have that name,
 * and in a room that takes no private messages.
 */
function addressed(
  text: string,
  room: ChatRoom,
): { readonly to: readonly string[]; readonly text: string; readonly gone: boolean } | undefined {
  if (!text.startsWith('@')) return undefined;
  const rest = text.slice(1);
  const users = [...room.conference.users()];
  const here = users.filter(({ endpoints }) => endpoints.some(isPresent));
  const found = named(rest, here);
  const meant = found.length > 0 ? found : named(rest, users).slice(0, 1);
  const [one] = meant;
  return (
    one && {
      to: meant.map(({ to }) => to),
      text: rest.slice(one.length).replace(/^[\s,:]+/, ''),
      gone: found.length === 0,
    }
  );
}

/**
 * Whether a text begins as one for somebody alone, whoever that is: what may be a secret with a slip in the name is not
 * said to all. `@all` and the like mean everybody, and a blank before the `@` says that it is meant for no one alone.
 */
function namesOne(text: string): boolean {
  const [, name] = /^@([^\s,:]+)[\s,:]+\S/.exec(text) ?? [];
  return name !== undefined && !ALL.has(name.toLowerCase());
}

const ALL: ReadonlySet<string> = new Set(['all', 'channel', 'everybody', 'everyone', 'here', 'room']);

/** Those with whose name a text begins: "@Zoe Miller" is not "@Zoe" when both are here. */
function named(text: string, users: readonly Participant[]): { readonly to: string; readonly length: number }[] {
  const found: { readonly to: string; readonly length: number }[] = [];
  for (const participant of users) {
    const names = [participant.nickname, participant.displayName, userPart(participant.entity)];
    const name = names.find((each) => each !== undefined && startsWithName(text, each));
    if (name !== undefined) found.push({ to: participant.entity, length: name.length });
  }
  const longest = Math.max(...found.map(({ length }) => length));
  return found.filter(({ length }) => length === longest);
}

function startsWithName(text: string, name: string): boolean {
  if (name === '' || text.slice(0, name.length).toLowerCase() !== name.toLowerCase()) return false;
  return /^[\s,:]+\S/.test(text.slice(name.length));
}
