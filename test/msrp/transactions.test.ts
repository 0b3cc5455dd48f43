import fc from '../fast-check.ts';
import t from 'tap';
import { Transactions, type Pending } from '../../msrp/transactions.ts';

const pending = (n: number): Pending => ({ idHigh: 1, idLow: n });

t.test('RFC 4975 §7.1.1: one that is never answered neither slows nor stops those behind it', async (t) => {
  const transactions = new Transactions<Pending>(16);
  transactions.push(pending(0), 0);
  for (let n = 1; n <= 1000; n += 1) {
    transactions.push(pending(n), n);
    if (n === 1) transactions.take(1, 1);
    else {
      t.equal(transactions.likely?.idLow, n, 'the next is the one to compare with');
      transactions.takeLikely();
    }
    if (transactions.full) t.fail('only one waits');
  }
  t.equal(transactions.size, 1);
  t.strictSame(
    transactions.expire((sentAt) => sentAt === 0).map(({ idLow }) => idLow),
    [0],
    'its time is up as if nothing had come after it',
  );
});

t.test('whatever the order of answers, it holds what a map would hold, in the order sent', async (t) => {
  const step = fc.oneof(
    fc.constant({ do: 'push' as const }),
    fc.constant({ do: 'likely' as const }),
    fc.record({ do: fc.constant('take' as const), which: fc.nat(40) }),
    fc.record({ do: fc.constant('expire' as const), age: fc.nat(40) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const transactions = new Transactions<Pending>(1024);
      const model = new Map<number, Pending>();
      let count = 0;
      for (const each of steps) {
        if (each.do === 'push') {
          const entry = pending(count);
          model.set(count, entry);
          transactions.push(entry, count);
          count += 1;
        } else if (each.do === 'take') {
          const taken = transactions.take(1, count - each.which);
          if (taken !== model.get(count - each.which)) return false;
          model.delete(count - each.which);
        } else if (each.do === 'likely') {
          const { likely } = transactions;
          if (likely === undefined) continue;
          transactions.takeLikely();
          if (!model.delete(likely.idLow)) return false;
        } else {
          const late = transactions.expire((sentAt) => sentAt < count - each.age);
          const expected = [...model.values()].filter(({ idLow }) => idLow < count - each.age);
          if (late.length !== expected.length || late.some((entry, at) => entry !== expected[at])) return false;
          for (const { idLow } of late) model.delete(idLow);
        }
        if (transactions.size !== model.size) return false;
      }
      const rest = transactions.drain();
      return [...model.values()].every((entry, at) => rest[at] === entry) && transactions.size === 0;
    }),
    { numRuns: 2000 },
  );
  t.pass('held');
});
