import t from 'tap';
import { Turns } from '../../src/focus/turns.ts';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

t.test('so many in one turn, the others in the next ones, in their order', async (t) => {
  const turns = new Turns(2);
  const begun: number[] = [];
  const work = async (i: number): Promise<void> => {
    await turns.take();
    begun.push(i);
  };
  const all = Promise.all([1, 2, 3, 4, 5].map(work));
  await Promise.resolve();
  t.same(begun, [1, 2]);
  t.equal(turns.waiting, 3);
  await turn();
  t.same(begun, [1, 2, 3, 4]);
  t.equal(turns.waiting, 1);
  await turn();
  t.same(begun, [1, 2, 3, 4, 5]);
  await all;
  await turn();
  t.equal(turns.take(), undefined, 'at once again');
});
