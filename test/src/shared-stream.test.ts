import { mock } from 'node:test';
import t from 'tap';
import { type Reader, SharedStream, type StreamLimits } from '../../src/chat/shared-stream.ts';

/** A stream whose sender notes what it is told, and readers that note the same. */
function stage(limits: Partial<StreamLimits> = {}) {
  const told: string[] = [];
  const stream = new SharedStream(
    { pause: () => told.push('pause'), resume: () => told.push('resume') },
    { window: 1000, patience: 2000, ...limits },
  );
  const reader = (name: string, holdsUp?: () => boolean, brief = false): Reader =>
    stream.reader({
      ...(holdsUp && { holdsUp }),
      brief,
      maximum: Infinity,
      wake: () => undefined,
      detached: (why) => told.push(`${name} detached: ${why}`),
    });
  return { stream, told, reader };
}

const octets = (size: number, value = 1): Uint8Array => new Uint8Array(size).fill(value);

/** Everything a reader can have now, and how it ends. */
function drain(reader: Reader, max = 64): { readonly size: number; readonly then: string } {
  let size = 0;
  for (;;) {
    const piece = reader.pull(max);
    if (typeof piece === 'string') return { size, then: piece };
    size += piece.length;
  }
}

t.beforeEach(() => {
  // Not the time of day: where we ourselves are late, nobody is to blame.
  mock.timers.enable({ apis: ['setInterval'] });
});
t.afterEach(() => {
  mock.timers.reset();
});

t.test('each reader gets every octet, at its own pace; what all have had is let go', async (t) => {
  const { stream, reader } = stage();
  const [fast, slow] = [reader('fast'), reader('slow')];
  const shared = octets(300);
  stream.append(shared);
  shared.fill(9);
  stream.start();
  t.same(fast.pull(1000), octets(300), 'a copy, whatever becomes of the original');
  t.equal(stream.heldBytes, 300);
  t.same(drain(slow), { size: 300, then: 'later' });
  t.equal(stream.heldBytes, 0);
  stream.append(octets(100));
  stream.complete();
  t.same(
    [drain(fast), drain(slow)],
    [
      { size: 100, then: 'end' },
      { size: 100, then: 'end' },
    ],
  );
  t.equal(stream.readers, 0);
});

t.test('its sender waits while the slowest reader is too far behind', async (t) => {
  const { stream, told, reader } = stage();
  const [fast, slow] = [reader('fast'), reader('slow')];
  stream.start();
  for (let i = 0; i < 11; i += 1) stream.append(octets(100));
  drain(fast);
  t.same(told, ['pause']);
  for (let i = 0; i < 5; i += 1) slow.pull(100);
  t.same(told, ['pause']);
  slow.pull(100);
  t.same(told, ['pause', 'resume']);
});

t.test('RFC 7701 §6.4: who holds up others for too long is let go, and those who are all slow are not', async (t) => {
  const alike = stage();
  alike.reader('one');
  alike.reader('two');
  alike.stream.start();
  alike.stream.append(octets(1100));
  mock.timers.tick(60_000);
  t.same(alike.told, ['pause'], 'nobody waits for the other');

  const { stream, told, reader } = stage();
  const [fast, slow] = [reader('fast'), reader('slow')];
  stream.start();
  stream.append(octets(1100));
  drain(fast);
  mock.timers.tick(1900);
  t.same(told, ['pause']);
  mock.timers.tick(200);
  t.same(told, ['pause', 'resume', 'slow detached: too slow']);
  t.equal(slow.pull(100), 'abort');
  stream.append(octets(100));
  t.same(drain(fast), { size: 100, then: 'later' });
});

t.test('who keeps a place for another holds up nobody for long, and who takes it has every octet', async (t) => {
  const { stream, told, reader } = stage();
  const [fast, place] = [reader('fast'), reader('place', undefined, true)];
  reader('a second place', undefined, true);
  stream.start();
  stream.append(octets(900));
  drain(fast);
  const late = reader('late');
  place.close();
  t.same(drain(late), { size: 900, then: 'later' });
  stream.append(octets(200));
  drain(fast);
  drain(late);
  t.same(told, ['pause']);
  mock.timers.tick(500);
  t.same(told, ['pause', 'resume', 'a second place detached: too slow']);
  t.equal(stream.heldBytes, 0);
});

t.test('a peer that can take nothing else meanwhile is not kept waiting for octets for long', async (t) => {
  const { stream, told, reader } = stage();
  const [chunked, unbroken] = [reader('chunked'), reader('unbroken', () => false)];
  reader('one that has yet to read what is there', () => true);
  stream.start();
  stream.append(octets(100));
  drain(unbroken);
  mock.timers.tick(3000);
  t.same(told, ['unbroken detached: kept waiting']);
  t.same(drain(chunked), { size: 100, then: 'later' });
});

t.test('nor is what else is for it, however little by little they come', async (t) => {
  const { stream, told, reader } = stage();
  let [one, other] = [false, true];
  const readers = [reader('idle', () => one), reader('busy', () => other), reader('chunked')];
  stream.start();
  for (let i = 0; i < 4; i += 1) {
    t.same(told, []);
    stream.append(octets(1));
    for (const each of readers) drain(each);
    mock.timers.tick(500);
  }
  t.same(told, ['busy detached: kept waiting']);
  [one, other] = [true, false];
  stream.append(octets(900));
  mock.timers.tick(1500);
  t.equal(told.length, 1, 'nobody is kept waiting who has not had what is there');
});

t.test('who is let go has missed what the others have, unless they are given up on, too', async (t) => {
  const { stream, reader } = stage();
  const [whole, part] = [reader('whole'), reader('part')];
  stream.start();
  stream.append(octets(100));
  part.detach('too slow');
  stream.complete();
  drain(whole);
  t.same([whole.hasMissed, part.hasMissed], [false, true]);
  const other = stage();
  const lost = other.reader('lost');
  lost.detach('too slow');
  other.stream.abort();
  t.equal(lost.hasMissed, false);
});

t.test(
  'without readers nothing is kept; a sender that does not wait is found out; what is given up is given up',
  async (t) => {
    const { stream } = stage();
    stream.start();
    stream.append(octets(100_000));
    t.equal(stream.heldBytes, 0);
    const other = stage();
    const reader = other.reader('one');
    other.stream.append(octets(4000));
    t.notOk(other.stream.overrun);
    other.stream.append(octets(1));
    t.ok(other.stream.overrun);
    other.stream.abort();
    t.same(drain(reader), { size: 0, then: 'abort' });
    t.same(other.told, ['pause', 'resume'], 'and its sender may go on');
  },
);
