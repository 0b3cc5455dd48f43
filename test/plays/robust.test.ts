/** One participant's trouble is nobody else's. */
import { connect } from 'node:net';
import t from 'tap';
import { cpim } from './msrp-line.ts';
import { join, raise, ROOM } from './stage.ts';

t.test('a participant vanishes in the middle of a chunk', async (t) => {
  const stage = await raise('msrp.grace=100ms');
  t.teardown(() => stage.close());
  const alice = await join(stage, 'alice');
  const bob = await join(stage, 'bob');
  const [headers, body] = cpim(alice.uri, ROOM, 'x'.repeat(3000));
  const whole = `MSRP vanish01 SEND\r\nTo-Path: ${alice.line.room}\r\nFrom-Path: ${alice.line.own}\r\n${headers.join('\r\n')}\r\n\r\n${body}`;
  alice.line.write(whole.slice(0, 1500));
  alice.line.close();
  t.match((await alice.phone.next('BYE')).headers.get('Reason'), /chat session lost/);
  const carol = await join(stage, 'carol');
  t.equal(await carol.say('did you hear that?'), '200');
  await bob.hears('did you hear that?');
  t.same(bob.line.heard(), [], 'nothing of the half message');
});

t.test('a participant vanishes between two chunks', async (t) => {
  const stage = await raise('msrp.grace=100ms');
  t.teardown(() => stage.close());
  const alice = await join(stage, 'alice');
  const bob = await join(stage, 'bob');
  const [headers, body] = cpim(alice.uri, ROOM, 'y'.repeat(3000), ['Message-ID: two-chunks']);
  const size = String(body.length);
  const rest = headers.filter((line) => !line.startsWith('Byte-Range'));
  alice.line.send('SEND', [`Byte-Range: 1-2048/${size}`, ...rest], body.slice(0, 2048), '+');
  t.equal((await alice.line.next(({ what }) => what === '200')).what, '200');
  alice.line.close();
  await alice.phone.next('BYE');
  t.equal(await bob.say('alone'), '200');
  t.same(bob.line.heard(), []);
});

t.test('noise instead of MSRP costs its sender the connection, and nobody else anything', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const alice = await join(stage, 'alice');
  const bob = await join(stage, 'bob');
  const port = Number(/:(\d+)\//.exec(alice.line.room)?.[1]);
  for (const noise of ['GET / HTTP/1.1\r\nHost: x\r\n\r\n', '\0\0\0\0', 'MSRP', `MSRP ${'a'.repeat(100_000)}`]) {
    const socket = connect({ port, host: '127.0.0.1' });
    socket.on('error', () => undefined);
    socket.end(noise);
    await new Promise((resolve) => socket.once('close', resolve));
  }
  t.equal(await alice.say('hello'), '200');
  await bob.hears('hello');
});

t.test('somebody who knows a path but not its session, or takes one that is taken', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const alice = await join(stage, 'alice');
  const port = Number(/:(\d+)\//.exec(alice.line.room)?.[1]);
  const answerTo = async (path: string): Promise<string> => {
    const socket = connect({ port, host: '127.0.0.1' });
    socket.write(
      `MSRP thief001 SEND\r\nTo-Path: ${path}\r\nFrom-Path: msrp://127.0.0.1:9/thief;tcp\r\nMessage-ID: thief001\r\nByte-Range: 1-0/0\r\n-------thief001$\r\n`,
    );
    const data = await new Promise<Buffer>((resolve) => socket.once('data', resolve));
    socket.destroy();
    return data.toString().split(' ')[2]?.slice(0, 3) ?? '';
  };
  t.equal(await answerTo(`msrp://127.0.0.1:${String(port)}/guessed;tcp`), '481', 'RFC 4975 §5.4');
  t.equal(await answerTo(alice.line.room), '506', 'RFC 4975 §5.4: in use on another connection');
  t.equal(await alice.say('mine still'), '200');
});

t.test('one that stops reading is let go, and nobody waits for it', async (t) => {
  const stage = await raise(
    ...['msrp.queue_bytes=128KiB', 'msrp.stream_above=64KiB', 'msrp.congested_for=200ms', 'msrp.grace=100ms'],
    ...['rooms.defaults.messages_at_once=10000', 'rooms.defaults.messages_per_second=10000'],
  );
  t.teardown(() => stage.close());
  const alice = await join(stage, 'alice');
  const bob = await join(stage, 'bob');
  const sleeper = await join(stage, 'sleeper');
  sleeper.line.pause();
  const gone = sleeper.phone.next('BYE');
  const over = gone.then(() => 'over');
  // The system takes some megabytes before the queue fills.
  for (let i = 0, next = ''; next !== 'over'; i += 1) {
    const text = `${String(i)}. ${'z'.repeat(60_000)}`;
    const [answer] = await Promise.all([alice.say(text), bob.hears(`${String(i)}. z`)]);
    if (answer !== '200') t.fail(`message ${String(i)}: ${answer}`);
    next = await Promise.race([over, new Promise<string>((resolve) => setImmediate(resolve, 'on'))]);
  }
  t.match((await gone).headers.get('Reason'), /SIP;cause=\d+;text=/);
  t.equal(await alice.say('and on'), '200');
  await bob.hears('and on');
});
