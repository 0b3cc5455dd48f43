import t from 'tap';
import { Duplicates } from '../../src/chat/duplicates.ts';
import { eventNumber, messageId, userUri } from '../../src/conference/ids.ts';
import type { Verdict } from '../../src/chat/posts.ts';

const alice = userUri('sip:alice@example.com');
const bob = userUri('sip:bob@example.com');
const id = (n: number) => messageId(`message${n}`);

/** Asks for a message and gives what it was told, and whether it was a repetition. */
function ask(duplicates: Duplicates, n: number, user = alice): { repeats: boolean; heard: Verdict[] } {
  const heard: Verdict[] = [];
  return { heard, repeats: duplicates.repeats(user, id(n), (outcome) => heard.push(outcome)) };
}

t.test('RFC 4975 §5.4: a message sent again is answered again, not said again', async (t) => {
  const duplicates = new Duplicates(1000);
  const first = ask(duplicates, 1);
  const second = ask(duplicates, 1);
  t.match([first.repeats, second.repeats], [false, true]);
  duplicates.settle(alice, id(1), eventNumber(7));
  t.strictSame([first.heard, second.heard], [[7], [7]], 'both hear when it is kept');
  t.strictSame(ask(duplicates, 1), { repeats: true, heard: [7] });
  t.equal(ask(duplicates, 1, bob).repeats, false, 'a Message-ID counts per user');
});

t.test('what was not kept may be sent again', async (t) => {
  const duplicates = new Duplicates(1000);
  ask(duplicates, 1);
  duplicates.settle(alice, id(1), { refused: 'not-kept', reason: 'disk full' });
  t.equal(ask(duplicates, 1).repeats, false);
});

t.test('at least half the window is remembered, at most the window, and nobody who waits is forgotten', async (t) => {
  const duplicates = new Duplicates(100);
  const waiting = ask(duplicates, 0);
  for (let n = 1; n <= 1000; n += 1) {
    ask(duplicates, n);
    duplicates.settle(alice, id(n), eventNumber(n));
  }
  t.equal(ask(duplicates, 951).repeats, true);
  t.equal(ask(duplicates, 900).repeats, false, 'forgotten');
  t.equal(ask(duplicates, 0).repeats, true, 'still waiting');
  duplicates.settle(alice, id(0), eventNumber(2000));
  t.strictSame(waiting.heard, [2000]);
});
