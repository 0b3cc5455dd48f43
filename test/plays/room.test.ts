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

t.test('the room speaks under the name by which each has dialled it', async (t) => {
  const stage = await raise('domains=[chat.example.org]', 'rooms.defaults.welcome=Be kind');
  t.teardown(() => stage.close());
  for (const room of ['sip:lobby@127.0.0.1', 'sip:lobby@chat.example.org']) {
    const alice = await join(stage, 'alice', room);
    const { body = '' } = await alice.line.hears('Be kind');
    t.ok(body.startsWith(`From: <${room}>\r\nTo: <${room}>\r\n`), body);
  }
});
