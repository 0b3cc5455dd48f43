import t from 'tap';
import { Domains } from '../../src/chat/domains.ts';
import { ConferenceHost } from '../../src/chat/host.ts';
import { ENGLISH } from '../../src/chat/texts.ts';
import { Conference } from '../../src/conference/conference.ts';
import { endpointId, roomUri, userUri } from '../../src/conference/ids.ts';
import { MemoryLog } from '../../src/log/memory.ts';
import { LogReadError, type RoomLog } from '../../src/log/room-log.ts';
import { DEFAULT_ROOM_POLICY } from '../../src/policy/room-policy.ts';

const ROOM = roomUri('sip:lobby@localhost');

interface Given {
  readonly host: ConferenceHost;
  readonly appended: string[];
  readonly warnings: string[];
}

/** A host whose log refuses all that is appended while `broken` says so, and fails to do what is `unreadable`. */
function hostWith(broken: () => boolean, unreadable: readonly (string | symbol)[] = []): Given {
  const memory = new MemoryLog({
    keeping: () => ({ durability: 'memory', maxAge: 1000, maxMessages: 10, maxBytes: 1000 }),
  });
  const appended: string[] = [];
  const warnings: string[] = [];
  const log = new Proxy<RoomLog>(memory, {
    get: (target, name) => {
      if (unreadable.includes(name)) return () => Promise.reject(new LogReadError('events 7 to 9 are damaged'));
      if (name !== 'append') {
        const member: unknown = Reflect.get(target, name);
        return typeof member === 'function' ? (member.bind(target) as unknown) : member;
      }
      return (...[room, event, settled]: Parameters<RoomLog['append']>) => {
        appended.push(event.type);
        return broken() ? { refused: 'not-kept', reason: 'the disk is full' } : target.append(room, event, settled);
      };
    },
  });
  const nothing = (): void => undefined;
  const host = new ConferenceHost({
    log,
    domains: new Domains(['localhost']),
    settingsOf: () => ({
      conference: {},
      policy: DEFAULT_ROOM_POLICY,
      welcome: { text: undefined, history: { messages: 0, missed: 0 } },
      permanent: false,
    }),
    newConference: (settings) => new Conference(settings),
    watchers: [],
    maxRooms: 10,
    texts: ENGLISH,
    warn: (line) => warnings.push(line),
    audit: nothing,
    deliveryFailed: nothing,
    duplicateWindow: 10,
    now: () => 1,
  });
  return { host, appended, warnings };
}

t.test('a conference that cannot be ended, since the log keeps nothing, is ended when it does again', async (t) => {
  let broken = false;
  const { host, appended } = hostWith(() => broken);
  const opened = await host.open(ROOM, 'leg');
  const [endpoint, user] = [endpointId('e1'), userUri('sip:alice@localhost')];
  opened?.room.append({ type: 'joined', at: 1, endpoint, user, method: 'dialed-in', media: [] });
  opened?.room.append({ type: 'left', at: 1, endpoint, method: 'departed' });
  broken = true;
  opened?.release();
  t.same(appended, ['joined', 'left', 'ended'], 'tried once');
  host.sweep();
  t.same(appended.slice(3), ['ended'], 'and once more with each sweep');
  t.ok(host.find(ROOM));
  broken = false;
  host.sweep();
  t.equal(host.find(ROOM), undefined);
});

t.test('a room whose newest messages cannot be read is opened without them, and the operator is told', async (t) => {
  const { host, warnings } = hostWith(() => false, ['read']);
  const opened = await host.open(ROOM, 'leg');
  t.equal(opened?.room.uri, ROOM);
  t.match(warnings, [/^sip:lobby@localhost is opened without its past: events 7 to 9 are damaged; /]);
  await host.open(ROOM, 'leg');
  t.equal(warnings.length, 1, 'once');
});

t.test('a room of which it cannot be read who is banned is not opened', async (t) => {
  const { host } = hostWith(() => false, ['facts']);
  await t.rejects(host.open(ROOM, 'leg'), LogReadError);
  t.equal(host.find(ROOM), undefined);
});
