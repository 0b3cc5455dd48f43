import t from 'tap';
import { formatCpim } from '../../msrp/index.ts';
import { Copy } from '../../src/chat/copy.ts';
import { LargeCopy } from '../../src/chat/large-copy.ts';
import { Past } from '../../src/chat/past.ts';
import type { PastWish } from '../../src/chat/past-wish.ts';
import type { Recipient } from '../../src/chat/recipient.ts';
import { Replay, type ReplayParts } from '../../src/chat/replay.ts';
import { ReplayPump } from '../../src/chat/replay-pump.ts';
import { type Reader, SharedStream } from '../../src/chat/shared-stream.ts';
import type { Said } from '../../src/conference/events.ts';
import {
  endpointId,
  eventNumber,
  messageId,
  type RoomUri,
  roomUri,
  streamId,
  type StreamId,
  userUri,
} from '../../src/conference/ids.ts';
import { MemoryLog } from '../../src/log/memory.ts';
import { DEFAULT_KEEPING, type Logged, LogReadError, type ReadRange } from '../../src/log/room-log.ts';
import { silentDevice } from './silent.ts';

const ROOM = roomUri('sip:room@example.com');
const BOB = userUri('sip:bob@example.com');

function said(text: string): Said {
  const by = userUri('sip:alice@example.com');
  const cpim = formatCpim({ from: { uri: by }, to: [{ uri: ROOM }], contentType: 'text/plain', content: text });
  const types = { contentType: 'message/cpim', wrappedType: 'text/plain' };
  const from = { at: 1, by, endpoint: endpointId('desk'), messageId: messageId(text), ...types };
  return { type: 'said', audience: { to: 'everyone' }, ...from, cpim };
}

function takeBack(log: MemoryLog, text: string): void {
  const { by, messageId } = said(text);
  log.append(ROOM, { type: 'retracted', at: 1, author: by, messageId });
}

/** A log whose past is read when the test wants it. */
class SlowLog extends MemoryLog {
  #let: (fault?: LogReadError) => void = () => undefined;
  readonly #wait = new Promise<LogReadError | undefined>((resolve) => (this.#let = resolve));

  override async read(room: RoomUri, range?: ReadRange): Promise<readonly Logged[]> {
    const before = await super.read(room, range);
    const fault = await this.#wait;
    if (fault !== undefined) throw fault;
    return before;
  }

  answer(fault?: LogReadError): void {
    this.#let(fault);
  }
}

const silent = silentDevice(endpointId('phone'), BOB, ROOM);

/** A room where three things have been said, and a device that begins to hear it, or asks for the past. */
function setUp(
  wish: PastWish,
  asked: boolean,
  onDelivery: (text: string, log: MemoryLog) => void = () => undefined,
  isInPieces: (n: number) => boolean = () => false,
): {
  log: SlowLog;
  say: (text: string) => void;
  sayLarge: (text: string) => SharedStream;
  over: Promise<string[]>;
} {
  // The room's clock is that of its events.
  const log = new SlowLog({ now: () => 1 });
  const past = new Past(log, ROOM, () => undefined);
  const heard: string[] = [];
  const streams = new Map<StreamId, SharedStream>();
  let attached: Recipient | undefined;
  const device: Recipient = {
    ...silent,
    isInPieces,
    deliver: ({ said: { messageId } }) => {
      heard.push(messageId);
      onDelivery(messageId, log);
    },
    deliverLarge: ({ said: { messageId } }, stream) => {
      const reader = stream.reader({ maximum: Infinity, wake: ignore, detached: ignore });
      heard.push(`${messageId}: ${Buffer.from(octetsOf(reader)).toString()}`);
    },
  };
  log.follow(ROOM, ({ n, event }) => {
    past.hear({ n, event });
    if (event.type === 'said') attached?.deliver(new Copy(event, n));
    if (event.type === 'opened') {
      const stream = streams.get(event.stream);
      if (stream !== undefined) attached?.deliverLarge(new LargeCopy(event, n), stream);
      stream?.start();
    }
  });
  const say = (text: string): void => {
    log.append(ROOM, said(text));
  };
  const sayLarge = (text: string): SharedStream => {
    const stream = new SharedStream({ pause: ignore, resume: ignore });
    stream.append(Buffer.from(text));
    streams.set(streamId(text), stream);
    log.append(ROOM, { ...said(text), type: 'opened', stream: streamId(text) });
    return stream;
  };
  for (const text of ['one', 'two', 'three']) say(text);
  const over = new Promise<string[]>((resolve) => {
    const replay = new Replay({
      past,
      recipient: device,
      policy: { messages: 20, missed: 1000 },
      ...PLAIN,
      wish,
      present: log.last(ROOM),
      asked,
      done: () => {
        attached = device;
        setImmediate(() => resolve(heard));
      },
    });
    attached = replay;
    new ReplayPump().add(replay);
  });
  return { log, say, sayLarge, over };
}

function ignore(): void {
  // Nobody waits for it.
}

/** Somebody who comes for the first time and wants nothing special. */
const PLAIN: Omit<ReplayParts, 'past' | 'recipient' | 'policy' | 'present'> = {
  wish: {},
  after: undefined,
  asked: false,
  now: 1,
  notifications: { flush: () => undefined, gather: (copies) => copies },
  heading: (count) => new Copy(said(`before${count}`)),
  instead: (why) => new Copy(said(why)),
  given: ignore,
  notWhole: ignore,
  done: ignore,
};

/** All octets that a reader can have now. */
function octetsOf(reader: Reader): Uint8Array {
  const piece = reader.pull(Infinity);
  return typeof piece === 'string' ? Buffer.alloc(0) : Buffer.concat([piece, octetsOf(reader)]);
}

t.test('what is said while the past is being read is news, however little of the past is wanted', async (t) => {
  for (const { wish, asked, before } of [
    { wish: { messages: 0 }, asked: false, before: [] },
    { wish: { messages: 1 }, asked: false, before: ['before1', 'three'] },
    { wish: { within: 0 }, asked: false, before: ['before3', 'one', 'two', 'three'] },
    { wish: { messages: 0 }, asked: true, before: ['before0'] },
    { wish: { messages: 2 }, asked: true, before: ['before2', 'two', 'three'] },
  ]) {
    const { log, say, over } = setUp(wish, asked);
    for (const text of ['four', 'five']) say(text);
    log.answer();
    t.same(await over, [...before, 'four', 'five'], JSON.stringify(wish));
  }
});

t.test('what is asked for while it is on its way in pieces is not begun again between them', async (t) => {
  for (const { which, heard } of [
    { which: [2], heard: ['before2', 'one', 'three'] },
    { which: [1, 2, 3], heard: ['coming'] },
    { which: [9], heard: ['before3', 'one', 'two', 'three'] },
  ]) {
    const { log, over } = setUp({}, true, undefined, (n) => which.includes(n));
    log.answer();
    t.same(await over, heard);
  }
});

t.test('however much is said while the past is being read, none of it is lost', async (t) => {
  const { log, say, over } = setUp({ messages: 1 }, false);
  const news = Array.from({ length: 2500 }, (_, i) => `news${String(i)}`);
  for (const text of news) say(text);
  log.answer();
  t.strictSame(await over, ['before1', 'three', ...news]);
});

t.test('what is said while one reads is neither lost nor given twice, however little of it is at hand', async (t) => {
  for (const bytes of [0, 300, 2_000]) {
    /** Answers in a later turn of the event loop: that there is nothing, when something has just been said. */
    class LaterLog extends MemoryLog {
      override async read(room: RoomUri, range?: ReadRange): Promise<readonly Logged[]> {
        const before = await super.read(room, range);
        await new Promise((resolve) => setImmediate(resolve));
        if (before.length === 0 && words.length < 20) say();
        return before;
      }
    }
    const log = new LaterLog({ now: () => 1 });
    const past = new Past(log, ROOM, () => undefined, { bytes });
    const words: string[] = [];
    const say = (): void => {
      words.push(`word${String(words.length)}`);
      log.append(ROOM, said(words.at(-1) ?? ''));
    };
    const heard: string[] = [];
    const device: Recipient = { ...silent, deliver: (copy) => heard.push(copy.said.messageId) };
    let attached: Recipient = silent;
    log.follow(ROOM, ({ n, event }) => {
      past.hear({ n, event });
      if (event.type === 'said') attached.deliver(new Copy(event, n));
    });
    for (let i = 0; i < 3; i += 1) say();
    await new Promise<void>((resolve) => {
      const replay = new Replay({
        past,
        recipient: device,
        policy: { messages: 20, missed: 1000 },
        ...PLAIN,
        present: log.last(ROOM),
        done: () => {
          attached = device;
          resolve();
        },
      });
      attached = replay;
      new ReplayPump().add(replay);
    });
    say();
    t.strictSame(heard, ['before3', ...words], `${String(bytes)} octets at hand`);
  }
});

t.test('of many who catch up at once each gets much at a time, so that it leaves in few writes', async (t) => {
  const log = new MemoryLog({ now: () => 1 });
  const past = new Past(log, ROOM, () => undefined);
  for (let i = 0; i < 64; i++) log.append(ROOM, said(`m${i}`));
  const pump = new ReplayPump();
  const heard: string[] = [];
  const names = Array.from({ length: 20 }, (_, i) => `phone${i}`);
  await Promise.all(
    names.map(
      (name) =>
        new Promise<void>((resolve) => {
          pump.add(
            new Replay({
              past,
              recipient: { ...silent, endpoint: endpointId(name), deliver: () => heard.push(name) },
              policy: { messages: 64, missed: 64 },
              ...PLAIN,
              present: log.last(ROOM),
              heading: () => new Copy(said('before')),
              done: () => resolve(),
            }),
          );
        }),
    ),
  );
  t.equal(heard.length, names.length * 65);
  const stretches = heard.filter((name, i) => name !== heard[i - 1]).length;
  t.ok(stretches <= names.length * 3, `a line by itself, then twice 32: ${stretches} stretches`);
});

t.test('many who come in while others talk cost the log one read', async (t) => {
  const log = new SlowLog({ now: () => 1 });
  const past = new Past(log, ROOM, () => undefined, { messages: 3 });
  let reads = 0;
  const read = log.read.bind(log);
  log.read = (...question) => {
    reads += 1;
    return read(...question);
  };
  log.follow(ROOM, (logged) => past.hear(logged));
  const say = (text: string): unknown => log.append(ROOM, said(text));
  const idsOf = (copies: readonly Copy[]): readonly string[] => copies.map((copy) => copy.said.messageId);
  const newest = (): ReturnType<Past['read']> => past.read({ most: 3, end: 'newest', through: log.last(ROOM) });
  for (const text of ['one', 'two', 'three', 'four']) say(text);
  past.use();
  const first = newest();
  say('five');
  const second = newest();
  const third = past.read({ most: 3, end: 'newest', through: eventNumber(4) });
  say('six');
  log.answer();
  t.same(idsOf(await first), ['two', 'three', 'four']);
  t.same(idsOf(await second), ['three', 'four', 'five']);
  t.same(idsOf(await third), ['two', 'three', 'four']);
  t.equal(reads, 1);
  say('seven');
  const fourth = newest();
  t.ok(!(fourth instanceof Promise), 'at once');
  t.same(idsOf(await fourth), ['five', 'six', 'seven']);
  say('eight');
  t.same(idsOf(await past.read({ most: 3, end: 'newest', through: eventNumber(4) })), ['two', 'three', 'four']);
  t.equal(reads, 2, 'twice as many are at hand, but not more');
});

t.test('what is read for somebody who has gone meanwhile is not kept at hand', async (t) => {
  const log = new SlowLog({ now: () => 1 });
  const past = new Past(log, ROOM, () => undefined);
  log.append(ROOM, said('one'));
  const letGo = past.use();
  const read = past.read({ most: 1, end: 'newest' });
  letGo();
  log.answer();
  t.same(await read, []);
  past.use();
  const again = past.read({ most: 1, end: 'newest' });
  t.ok(again instanceof Promise, 'the log is asked');
  t.same(
    (await again).map((copy) => copy.said.messageId),
    ['one'],
  );
});

t.test('what the room does not keep any more is not given to newcomers, though it is at hand for others', async (t) => {
  for (const { limits, gives } of [
    { limits: { maxMessages: 2 }, gives: ['m8', 'm9'] },
    { limits: { maxMessages: 0 }, gives: [] },
    { limits: { maxBytes: 3 * said('m0').cpim.length }, gives: ['m7', 'm8', 'm9'] },
  ]) {
    const log = new MemoryLog({ keeping: () => ({ ...DEFAULT_KEEPING, ...limits }), now: () => 1 });
    const past = new Past(log, ROOM, () => undefined);
    log.follow(ROOM, (logged) => past.hear(logged));
    const idsOf = (copies: readonly Copy[]): readonly string[] => copies.map((copy) => copy.said.messageId);
    past.use();
    await past.read({ most: 10, end: 'newest' });
    const all = Array.from({ length: 10 }, (_, i) => `m${i}`);
    for (const text of all) log.append(ROOM, said(text));
    t.same(idsOf(await past.read({ most: 10, end: 'newest' })), gives, JSON.stringify(limits));
    t.same(
      idsOf(await past.read({ most: 10, end: 'oldest' })),
      all,
      'who is catching up gets all that was said meanwhile',
    );
  }
});

t.test('what is said meanwhile is not lost when the past cannot be read', async (t) => {
  const { log, say, over } = setUp({}, true);
  for (const text of ['four', 'five']) say(text);
  log.answer(new LogReadError('no disk'));
  t.same(await over, ['four', 'five']);
  t.equal(log.last(ROOM), eventNumber(5));
});

t.test(
  'RFC 7701 §6.1: a large message that begins meanwhile comes whole in its turn, also when it has ended',
  async (t) => {
    for (const fault of [undefined, new LogReadError('no disk')]) {
      const { log, say, sayLarge, over } = setUp({ messages: 1 }, false);
      say('four');
      const streams = [sayLarge('large'), sayLarge('ended'), sayLarge('givenup')];
      say('five');
      streams[1]?.complete();
      streams[2]?.abort();
      log.append(ROOM, { type: 'aborted', at: 1, stream: streamId('givenup'), reason: 'gone' });
      log.answer(fault);
      const before = fault === undefined ? ['before1', 'three'] : [];
      const gone = fault === undefined ? [] : ['givenup: '];
      t.same(await over, [...before, 'four', 'large: large', 'ended: ended', ...gone, 'five'], String(fault));
      for (const stream of streams) t.ok(stream.readers <= 1, 'but for the device nobody is at it any more');
    }
  },
);

t.test('of large messages that begin meanwhile, few are kept, and none for who is gone', async (t) => {
  const { log, sayLarge, over } = setUp({ messages: 0 }, false);
  const streams = ['a', 'b', 'c', 'd', 'e'].map((text) => sayLarge(text));
  t.same(
    streams.map((stream) => stream.readers),
    [0, 1, 1, 1, 1],
  );
  log.answer();
  t.same(await over, ['a', 'b: b', 'c: c', 'd: d', 'e: e'], 'of the others the line that stands for it');
});

t.test('what is taken back before it is given is not announced, nor noted as given', async (t) => {
  for (const asked of [false, true]) {
    for (const gone of [['one'], ['one', 'two']]) {
      const log = new MemoryLog({ now: () => 1 });
      const past = new Past(log, ROOM, () => undefined);
      log.follow(ROOM, (logged) => past.hear(logged));
      for (const text of ['one', 'two']) log.append(ROOM, said(text));
      const heard: string[] = [];
      const given: number[] = [];
      const replay = new Replay({
        past,
        recipient: { ...silent, deliver: ({ said: { messageId } }) => heard.push(messageId) },
        policy: { messages: 5, missed: 5 },
        ...PLAIN,
        present: log.last(ROOM),
        asked,
        given: (n) => given.push(n),
      });
      await new Promise((resolve) => setImmediate(resolve));
      replay.step(5);
      for (const text of gone) takeBack(log, text);
      replay.step(5);
      const none = asked ? ['before0'] : [];
      t.same(heard, gone.length === 2 ? none : ['before1', 'two']);
      t.same(given, gone.length === 2 ? [] : [2]);
    }
  }
});

t.test('what is taken back while somebody catches up is not given to him any more', async (t) => {
  const { log, say, over } = setUp({}, false, (text, log) => {
    if (text === 'one') for (const gone of ['one', 'two', 'four']) takeBack(log, gone);
  });
  log.answer();
  for (const text of ['four', 'five']) say(text);
  t.same(await over, ['before3', 'one', 'three', 'five']);
});

t.test('of a past that is not all at hand nothing is lost, and nothing that was taken back is given', async (t) => {
  const log = new MemoryLog({ now: () => 1 });
  const past = new Past(log, ROOM, () => undefined, { messages: 20, bytes: 1000 });
  log.follow(ROOM, (logged) => past.hear(logged));
  const all = Array.from({ length: 1500 }, (_, i) => `m${String(i)}`);
  const gone = ['m600', 'm700', 'm1400'];
  for (const text of all) log.append(ROOM, said(text));
  for (const text of gone) takeBack(log, text);
  const present = log.last(ROOM);
  const kept = all.filter((text) => !gone.includes(text));
  for (const { most, after, expected, more } of [
    { most: 1000, after: 500, expected: kept.slice(-997), more: false },
    { most: 2000, after: 1, expected: kept.slice(1), more: false },
    { most: 300, after: 1, expected: kept.slice(-300), more: true },
  ]) {
    const heard: string[] = [];
    await new Promise<void>((resolve) => {
      const replay = new Replay({
        past,
        recipient: { ...silent, deliver: ({ said: { messageId } }) => heard.push(messageId) },
        policy: { messages: 20, missed: most },
        ...PLAIN,
        after: eventNumber(after),
        present,
        heading: (count, _, more) => new Copy(said(`${String(count)}.${String(more)}`)),
        done: () => resolve(),
      });
      new ReplayPump().add(replay);
    });
    t.equal(heard.shift(), `${String(expected.length)}.${String(more)}`);
    t.strictSame(heard, expected);
  }
});

t.test('what was taken back takes no place among what is at hand', async (t) => {
  const log = new MemoryLog({ now: () => 1 });
  const past = new Past(log, ROOM, () => undefined, { bytes: 1000 });
  log.follow(ROOM, (logged) => past.hear(logged));
  const sayAndTakeBack = (): void => {
    for (let i = 0; i < 20; i++) {
      log.append(ROOM, said(`no${String(i)}`));
      takeBack(log, `no${String(i)}`);
    }
  };
  log.append(ROOM, said('one'));
  sayAndTakeBack();
  log.append(ROOM, said('two'));
  past.use();
  const texts = async (): Promise<readonly string[]> =>
    (await past.read({ most: 10, end: 'newest' })).map((copy) => copy.said.messageId);
  t.same(await texts(), ['one', 'two']);
  sayAndTakeBack();
  log.append(ROOM, said('three'));
  t.same(await texts(), ['one', 'two', 'three']);
});

t.test('what is said in the moment at which the past has been read is not lost', async (t) => {
  const log = new SlowLog({ now: () => 1 });
  const past = new Past(log, ROOM, () => undefined);
  log.follow(ROOM, (logged) => past.hear(logged));
  log.append(ROOM, said('before'));
  past.use();
  const read = past.read({ most: 100, end: 'newest' });
  log.answer();
  const news = Array.from({ length: 20 }, (_, i) => `news${String(i)}`);
  for (const text of news) {
    log.append(ROOM, said(text));
    await Promise.resolve();
  }
  await read;
  const found = await past.read({ most: 100, end: 'newest' });
  t.strictSame(
    found.map((copy) => copy.said.messageId),
    ['before', ...news],
  );
});
