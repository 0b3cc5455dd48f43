/** `grouptextchat room`: the rooms of the running service. */
import type { Config } from '../config/schema.ts';
import type { OrderAnswer, ToldRoom, ToldRoster } from '../ops/room-routes.ts';
import { callApi } from './api.ts';

/** All rooms that are alive, a line each. Rejects with `ApiError`. */
export async function listRooms(config: Config): Promise<string> {
  const { rooms } = (await callApi(config, 'GET', '/api/rooms')) as { readonly rooms: readonly ToldRoom[] };
  return rooms.length === 0 ? 'no room is alive\n' : rooms.map((room) => `${heading(room)}\n`).join('');
}

/** Who is in a room and who may not come. Rejects with `ApiError`. */
export async function showRoom(config: Config, room: string): Promise<string> {
  const told = (await callApi(config, 'GET', pathOf(room))) as ToldRoster;
  const people = told.participants.map(({ user, shown, name, role, muted, endpoints }) => {
    const devices = endpoints.map(({ status, address }) => (address === undefined ? status : `${status} ${address}`));
    const hidden = shown === user ? '' : ` (shown as ${shown})`;
    return `  ${name}  ${user}${hidden}  ${role}${muted ? ', muted' : ''}  ${devices.join(', ')}`;
  });
  const bans = told.bans.map(
    ({ target, until, reason }) =>
      `  banned: ${target}${until === undefined ? '' : ` until ${until}`}${reason === undefined ? '' : `: ${reason}`}`,
  );
  return [heading(told), ...people, ...bans, ''].join('\n');
}

/** Gives an order as it would be written in the chat; gives what there is to say about it. Rejects with `ApiError`. */
export async function orderRoom(config: Config, room: string, words: readonly string[]): Promise<string> {
  // The shell has taken the quotes off a name with blanks; an order that is quoted as a whole is one already.
  const quoted = (word: string): string => (/\s/.test(word) && !word.includes('"') ? `"${word}"` : word);
  const order = words.map((word, n) => (n === 0 ? word : quoted(word))).join(' ');
  const answer = (await callApi(config, 'POST', `${pathOf(room)}/orders`, { order })) as OrderAnswer;
  if (answer.help !== undefined) return `${answer.help}\n`;
  if (answer.subject === undefined) return 'done\n';
  return answer.subject === null ? 'there is no subject\n' : `the subject is: ${answer.subject}\n`;
}

/** Has somebody called into a room; gives what there is to say when the call is answered. Rejects with `ApiError`. */
export async function inviteTo(config: Config, room: string, uri: string): Promise<string> {
  await callApi(config, 'POST', `${pathOf(room)}/invite`, { uri });
  return `${uri} has come\n`;
}

function pathOf(room: string): string {
  return `/api/rooms/${encodeURIComponent(room)}`;
}

function heading({ room, users, active, locked, subject, movedTo }: ToldRoom): string {
  const state = [
    `${String(users)} ${users === 1 ? 'user' : 'users'}`,
    ...(active ? [] : ['empty']),
    ...(locked ? ['locked'] : []),
    ...(movedTo === undefined ? [] : [`moved to ${movedTo}`]),
  ];
  return `${room}  ${state.join(', ')}${subject === undefined ? '' : `  ${subject}`}`;
}
