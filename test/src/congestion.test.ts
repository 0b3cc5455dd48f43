import { mock } from 'node:test';
import t from 'tap';
import { prepare } from '../../msrp/index.ts';
import { Congestion } from '../../src/chat/congestion.ts';

/** A reader with a queue of 1000 octets, and what is told of its congestion. */
function stage() {
  const told: string[] = [];
  const message = prepare({ contentType: 'text/plain', body: new Uint8Array(0) });
  const session = { queuedBytes: 0, maxQueuedBytes: 1000, thin: () => [], send: (): 'queued' | 'full' => 'queued' };
  const congestion = new Congestion({
    session,
    congestedFor: 30_000,
    leftOut: () => undefined,
    began: () => told.push('began'),
    over: (leftOut) => told.push(`over, ${String(leftOut)} left out`),
    hopeless: () => told.push('hopeless'),
  });
  /** A message comes for which there is no place. */
  const fill = (): void => {
    session.send = () => 'full';
    congestion.send(message);
    session.send = () => 'queued';
    session.queuedBytes = 1000;
  };
  /** The reader makes room. */
  const drain = (queuedBytes: number): void => {
    session.queuedBytes = queuedBytes;
    congestion.relieved();
  };
  return { told, session, congestion, fill, drain };
}

t.beforeEach(() => {
  mock.timers.enable({ apis: ['setTimeout'] });
});
t.afterEach(() => {
  mock.timers.reset();
});

t.test('RFC 7701 §6.4: a reader that runs full again and again is told of once, and is not let go', async (t) => {
  const { told, fill, drain } = stage();
  for (let i = 0; i < 2000; i += 1) {
    fill();
    drain(400);
    mock.timers.tick(50);
  }
  t.same(told, ['began'], 'in a hundred seconds');
  mock.timers.tick(9_000);
  t.same(told, ['began']);
  mock.timers.tick(1_000);
  t.same(told, ['began', 'over, 2000 left out'], 'when it has kept up for a third of `congested_for`');
});

t.test('it is over only when little waits, and begins anew', async (t) => {
  const { told, session, fill, drain } = stage();
  fill();
  drain(400);
  session.queuedBytes = 900;
  mock.timers.tick(10_000);
  t.same(told, ['began'], 'it could run full at any moment');
  session.queuedBytes = 0;
  mock.timers.tick(10_000);
  fill();
  t.same(told, ['began', 'over, 1 left out', 'began']);
});

t.test('one that makes no room is let go, however often it did before', async (t) => {
  const { told, congestion, fill, drain } = stage();
  fill();
  mock.timers.tick(20_000);
  drain(400);
  fill();
  mock.timers.tick(29_000);
  fill();
  t.same(told, ['began']);
  mock.timers.tick(1_000);
  t.same(told, ['began', 'hopeless']);
  congestion.stop();
  mock.timers.tick(100_000);
  t.equal(told.length, 2);
});

t.test('a stream that is left out counts; one whose reader held up the others is no full queue', async (t) => {
  const { told, congestion, fill, drain } = stage();
  congestion.leaveStream();
  congestion.leaveStream();
  t.same(told, ['began'], 'once');
  mock.timers.tick(10_000);
  t.same(told, ['began', 'over, 2 left out']);
  mock.timers.tick(100_000);
  t.equal(told.length, 2, 'it is not let go');

  fill();
  drain(0);
  congestion.leaveStream();
  mock.timers.tick(10_000);
  t.same(told.slice(2), ['began', 'over, 2 left out']);
});
