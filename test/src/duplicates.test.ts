import t from 'tap';
import { Duplicates } from '../../src/chat/duplicates.ts';
import type { Verdict } from '../../src/chat/posts.ts';
import type { ChatRefusal } from '../../src/chat/refusals.ts';
import { type EventNumber, eventNumber, messageId, userUri } from '../../src/conference/ids.ts';

const alice = userUri('sip:alice@example.com');
const bob = userUri('sip:bob@example.com');
const id = (n: number) => messageId(`message${n}`);

/** A message comes: gives what is told about it, and what ends its first sending; undefined for a repetition. */
function come(
  duplicates: Duplicates,
  n: number,
  user = alice,
  content = 'hello',
): { readonly heard: Verdict[]; readonly settle: ((outcome: EventNumber | ChatRefusal) => void) | undefined } {
  const heard: Verdict[] = [];
  const first = duplicates.begin(user, id(n), Buffer.from(content), (outcome) => heard.push(outcome));
  return { heard, settle: first && ((outcome) => duplicates.settle(first, outcome)) };
}

t.test('RFC 4975 §5.4: a message sent again is answered again, not said again', async (t) => {
  const duplicates = new Duplicates(1000);
  const first = come(duplicates, 1);
  const second = come(duplicates, 1);
  t.equal(second.settle, undefined, 'a repetition');
  first.settle?.(eventNumber(7));
  t.strictSame([first.heard, second.heard], [[7], [7]], 'both hear when it is kept');
  t.strictSame(come(duplicates, 1), { heard: [7], settle: undefined });
  t.ok(come(duplicates, 1, bob).settle, 'a Message-ID counts per user');
});

t.test('RFC 4975 §7.1: what is said under a Message-ID of before, but is something else, is not lost', async (t) => {
  const duplicates = new Duplicates(1000);
  come(duplicates, 1, alice, 'one').settle?.(eventNumber(7));
  t.ok(come(duplicates, 1, alice, 'two').settle);
  t.equal(come(duplicates, 1, alice, 'one').settle, undefined);
  duplicates.restore(alice, id(2), Buffer.from('three'), eventNumber(8));
  t.ok(come(duplicates, 2, alice, 'eerht').settle);
  t.equal(come(duplicates, 2, alice, 'three').settle, undefined);
});

t.test('what was not kept may be sent again', async (t) => {
  const duplicates = new Duplicates(1000);
  come(duplicates, 1).settle?.({ refused: 'not-kept', reason: 'disk full' });
  t.ok(come(duplicates, 1).settle);
});

t.test('at least half the window is remembered, at most the window, and nobody who waits is forgotten', async (t) => {
  const duplicates = new Duplicates(100);
  const waiting = come(duplicates, 0);
  for (let n = 1; n <= 1000; n += 1) come(duplicates, n).settle?.(eventNumber(n));
  t.equal(come(duplicates, 951).settle, undefined);
  t.ok(come(duplicates, 900).settle, 'forgotten');
  t.equal(come(duplicates, 0).settle, undefined, 'still waiting');
  waiting.settle?.(eventNumber(2000));
  t.strictSame(waiting.heard, [2000]);
});
