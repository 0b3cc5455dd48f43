/** What the log alone tells of a message, when nobody remembers what became of it. */
import type { Said } from '../conference/events.ts';
import type { EndpointId, EventNumber, RoomUri, UserUri } from '../conference/ids.ts';
import type { Logged, RoomLog } from '../log/room-log.ts';
import { isIdOf, numberOf } from './copy.ts';
import type { Fate, MessageFate, RecipientFate } from './fates.ts';
import { noteOf } from './large-copy.ts';

/**
 * The kept messages of all rooms that are known by an id: their sender's Message-ID, the room's own, or that of an IMDN. For each
 * endpoint for which it was, and which was in the room then as far as is on record: whether its device is known to have
 * come further since. Rejects with `LogReadError`.
 */
export async function recordedFates(log: RoomLog, id: string): Promise<readonly MessageFate[]> {
  const fates: MessageFate[] = [];
  // One after the other, so that what is being written need not wait for all of it.
  for (const room of log.rooms()) {
    const found = await knownBy(log, room, id);
    if (found.length === 0) continue;
    const comings = await log.read(room, { comingsOnly: true });
    const facts = await log.facts(room);
    for (const { n, event } of found) {
      if (event.type === 'said') fates.push(recorded(room, n, event, comings, facts));
      if (event.type !== 'opened') continue;
      const fate = recorded(room, n, noteOf(event), comings, facts);
      const end = await log.read(room, { knownBy: event.stream });
      fates.push(end.some((each) => each.event.type === 'aborted') ? inVain(fate) : fate);
    }
  }
  return fates;
}

/** By the Message-ID of its sender or of an IMDN, else by the one under which the room sends it. */
async function knownBy(log: RoomLog, room: RoomUri, id: string): Promise<readonly Logged[]> {
  const found = await log.read(room, { knownBy: id, last: MOST });
  const n = numberOf(id);
  if (found.length > 0 || n === undefined) return found;
  const at = await log.read(room, { from: n, through: n });
  return at.filter(({ event }) => {
    const said = event.type === 'opened' ? noteOf(event) : event;
    return said.type === 'said' && isIdOf(id, n, said);
  });
}

const inVain = (message: MessageFate): MessageFate => ({
  ...message,
  recipients: message.recipients.map((each): RecipientFate => ({ ...each, fate: { is: 'aborted' } })),
});

/** Most messages of one room that are told of: senders choose their ids themselves. */
const MOST = 10;

interface Stay {
  readonly user: UserUri;
  readonly instance: string | undefined;
  /** When it began to hear what is said: at once, or when it was let in. */
  from: EventNumber | undefined;
  /** When it left. */
  through: EventNumber | undefined;
}

function recorded(
  room: RoomUri,
  n: EventNumber,
  said: Said,
  comings: readonly Logged[],
  facts: readonly Logged[],
): MessageFate {
  const { audience, endpoint: author } = said;
  const recipients: RecipientFate[] = [];
  for (const [endpoint, stay] of staysOf(comings)) {
    const { user, from, through } = stay;
    if (endpoint === author || from === undefined || from > n || (through ?? Infinity) < n) continue;
    if (audience.to === 'user' && audience.user !== user) continue;
    recipients.push({ user, endpoint, fate: fateOf(n, stay, facts) });
  }
  return { room, n, said, recipients, from: 'log' };
}

function staysOf(comings: readonly Logged[]): ReadonlyMap<EndpointId, Stay> {
  const stays = new Map<EndpointId, Stay>();
  for (const { n, event } of comings) {
    if (event.type === 'joined') {
      const { endpoint, user, instance, status = 'connected' } = event;
      stays.set(endpoint, { user, instance, from: status === 'connected' ? n : undefined, through: undefined });
    }
    if (event.type === 'admitted') {
      const stay = stays.get(event.endpoint);
      if (stay !== undefined) stay.from ??= n;
    }
    if (event.type === 'left') {
      const stay = stays.get(event.endpoint);
      if (stay !== undefined) stay.through = n;
    }
  }
  return stays;
}

function fateOf(n: EventNumber, { user, instance, through }: Stay, facts: readonly Logged[]): Fate {
  const passed = facts.some(
    ({ event }) =>
      event.type === 'caughtUp' && event.user === user && event.instance === instance && event.through >= n,
  );
  if (passed) return { is: 'passed' };
  return through === undefined ? { is: 'unknown', detail: 'the end of its call is not on record' } : { is: 'unknown' };
}
