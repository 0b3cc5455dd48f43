import t from 'tap';
import { join, raise } from './stage.ts';

t.test('alice joins; bob joins; alice says hi; bob hears hi', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const alice = await join(stage, 'alice');
  const bob = await join(stage, 'bob');
  t.equal(await alice.say('hi'), '200');
  await bob.hears('hi');
  t.equal(await bob.say('hello alice'), '200');
  await alice.hears('hello alice');
  t.same(alice.line.heard(), [], 'nobody gets an echo');
  await alice.leave();
  await bob.leave();
});
