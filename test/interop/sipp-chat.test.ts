import t from 'tap';
import { join, raise } from '../plays/stage.ts';
import { skipWithout } from './programs.ts';
import { freePort, sipp, transports } from './sipp.ts';

const skip = skipWithout('sipp');

for (const transport of transports) {
  t.test(
    `sipp takes part by MESSAGE alone, within its call and outside of it, over ${transport}`,
    { skip },
    async (t) => {
      const stage = await raise();
      t.teardown(() => stage.close());
      const zoe = await join(stage, 'zoe');
      const target =
        stage.service.addresses.find((each) => each.protocol === 'SIP' && each.transport === transport)?.port ?? 0;
      const port = await freePort();
      const call = sipp('chat-in-call', transport, { port, target, service: 'lobby' });
      const inside = await zoe.line.hears('hello from sipp in the call');
      t.match(inside.body, /^From: sipp <sip:sipp@127\.0\.0\.1>\r$/m);
      await zoe.hears('hello from sipp outside');
      const other = await sipp('chat-outside', transport, { port: await freePort(), target, service: 'lobby' });
      t.equal(other.code, 0, other.code === 0 ? 'another sipp is not heard as this one' : other.output);
      t.equal(await zoe.say('hello sipp'), '200');
      const { code, output } = await call;
      t.equal(code, 0, code === 0 ? 'within the call' : output);
    },
  );
}
