import t from 'tap';
import { type Participant, watchRoom } from '../../src/client/index.ts';
import { nodeWebSocket } from '../../src/client/transport/node.ts';
import { join, type Member, raise, ROOM, stopTheClock, type Stage } from './stage.ts';

/** Asks for a nickname as it stands; gives the status of the answer. */
async function ask(member: Member, field: string): Promise<string> {
  return (await member.line.request('NICKNAME', [`Use-Nickname: ${field}`])).what;
}

/** Somebody who looks at the roster. */
class Looker {
  #wake: () => void = () => undefined;
  #roster: ReadonlyMap<string, Participant> = new Map();
  stop: () => Promise<void> = () => Promise.resolve();

  static async at(stage: Stage): Promise<Looker> {
    const looker = new Looker();
    const { port } = stage.service.addresses.find(({ protocol }) => protocol === 'HTTP') ?? { port: 0 };
    const watch = await watchRoom(
      ROOM,
      { name: 'looker', webSocket: nodeWebSocket, server: `ws://127.0.0.1:${String(port)}/ws` },
      {
        roster: (roster) => {
          looker.#roster = roster;
          looker.#wake();
        },
        closed: () => undefined,
      },
    );
    looker.stop = () => watch.stop();
    return looker;
  }

  /** Resolves when the roster shows somebody under this nickname, or without one. */
  async sees(name: string, nickname: string | undefined): Promise<void> {
    const shown = (): boolean => {
      const one = [...this.#roster.values()].find(({ uri }) => uri === `sip:${name}@127.0.0.1`);
      return one !== undefined && one.nickname === nickname;
    };
    while (!shown()) await new Promise<void>((resolve) => (this.#wake = resolve));
  }
}

t.test('RFC 7701 §7.1: a nickname is asked for, and shown in the roster (§7.4, RFC 6501)', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const looker = await Looker.at(stage);
  const alice = await join(stage, 'alice');
  const bob = await join(stage, 'bob');
  t.equal(await ask(alice, '"Alice in Wonderland"'), '200');
  await looker.sees('alice', 'Alice in Wonderland');
  t.equal(await ask(bob, '"alice IN wonderland"'), '425', 'RFC 8266: compared without case');
  t.equal(await ask(bob, '"Alice  in   Wonderland"'), '425', 'and with single blanks');
  t.equal(await ask(bob, '"Queen \\"of\\" Hearts"'), '200', 'with the escapes of a quoted-string');
  await looker.sees('bob', 'Queen "of" Hearts');
  t.equal(await ask(alice, '"Alice in Wonderland"'), '200', 'what one has one may ask for again');
  await looker.stop();
});

t.test('RFC 7701 §11: nicknames are changed no faster than one may speak', async (t) => {
  stopTheClock(t);
  const stage = await raise('rooms.defaults.messages_at_once=3', 'rooms.defaults.messages_per_second=1');
  t.teardown(() => stage.close());
  const [alice, bob] = [await join(stage, 'alice'), await join(stage, 'bob')];
  for (const name of ['"one"', '"two"', '"three"', '"three"']) t.equal(await ask(alice, name), '200');
  t.equal(await ask(alice, '"four"'), '403');
  t.equal(await ask(bob, '"four"'), '200', 'nobody else is held up by it');
});

t.test('RFC 7701 §7.1: malformed, reserved, unwanted', async (t) => {
  const stage = await raise(
    'rooms.defaults.account_nicknames.Boss=sip:bob@127.0.0.1',
    'rooms.named.quiet.nicknames=false',
  );
  t.teardown(() => stage.close());
  const alice = await join(stage, 'alice');
  const bob = await join(stage, 'bob');
  t.equal(await ask(alice, 'Alice'), '424', 'no quoted-string');
  t.equal(await ask(alice, '"   "'), '424', 'nothing left by RFC 8266');
  t.equal(await ask(alice, '"a\u200bb"'), '424', 'a code point no nickname has');
  t.equal(await ask(alice, `"${'x'.repeat(1024)}"`), '424', 'more than 1023 octets');
  t.equal(await ask(alice, `"${'x'.repeat(1023)}"`), '200', 'but not less');
  t.equal(await ask(alice, '"ADMIN"'), '425', 'a reserved word');
  t.equal(await ask(alice, '"boss"'), '425', 'bound to an account');
  t.equal(await ask(bob, '"Boss"'), '200', 'which may have it');
  t.equal((await alice.line.request('NICKNAME', [])).what, '400', 'no Use-Nickname');
  for (const field of ['Failure-Report: no', 'Failure-Report: partial', 'Success-Report: yes']) {
    const wish = async (name: string): Promise<string> =>
      (await bob.line.request('NICKNAME', [`Use-Nickname: ${name}`, field])).what;
    t.equal(await wish('"Bobby"'), '200', `${field}, which must not be there, hides no answer`);
    t.equal(await wish('"admin"'), '425', field);
  }
  const carol = await join(stage, 'carol', 'sip:quiet@127.0.0.1');
  t.equal(await ask(carol, '"Carol"'), '403', 'the room takes none');
  t.equal(await ask(carol, 'Carol'), '403', 'which is asked before it is read');
  t.equal(await ask(carol, '""'), '403', 'and also of who gives one up');
  t.notMatch(carol.answer, /a=chatroom:[^\r]*nickname/, '§8: and does not say it does');
  t.match(alice.answer, /a=chatroom:nickname private-messages/);
});

t.test('RFC 7701 §7.1: a second device of the same user', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const bob = await join(stage, 'bob');
  const desk = await join(stage, 'alice');
  const phone = await join(stage, 'alice');
  t.equal(await ask(desk, '"Al"'), '200');
  t.equal(await ask(phone, '"Al"'), '200', 'may use the same');
  await desk.leave();
  t.equal(await ask(bob, '"Al"'), '425', 'it is held as long as one device is there');
  t.equal(await ask(phone, '"Ally"'), '200', 'or another one');
});

t.test('RFC 7701 §7.2, §7.3: changed, given up, released on leaving', async (t) => {
  const stage = await raise('rooms.defaults.nickname_quarantine=0s');
  t.teardown(() => stage.close());
  const looker = await Looker.at(stage);
  const alice = await join(stage, 'alice');
  const bob = await join(stage, 'bob');
  t.equal(await ask(alice, '"One"'), '200');
  t.equal(await ask(bob, '"Two"'), '200');
  t.equal(await ask(alice, '"Two"'), '425');
  await looker.sees('alice', 'One');
  t.equal(await ask(bob, '"One"'), '425', '§7.2: what fails changes nothing');
  t.equal(await ask(alice, '"Three"'), '200');
  t.equal(await ask(bob, '"One"'), '200', '§7.2: the old one is released with the 200 for the new one');
  t.equal(await ask(alice, '""'), '200', '§7.3');
  await looker.sees('alice', undefined);
  t.equal(await ask(alice, '""'), '200', 'giving up nothing is no fault');
  t.equal(await ask(bob, '"Three"'), '200');
  await bob.leave();
  t.equal(await ask(alice, '"Three"'), '200', 'who leaves releases it');
  await looker.stop();
});

t.test('a nickname given up is kept for a while for who had it', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const alice = await join(stage, 'alice');
  const bob = await join(stage, 'bob');
  t.equal(await ask(alice, '"Al"'), '200');
  t.equal(await ask(alice, '""'), '200');
  t.equal(await ask(bob, '"Al"'), '425');
  t.equal(await ask(alice, '"Al"'), '200');
});

t.test('sipsimple sends nicknames without quotes', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const blink = await join(stage, 'zoe', ROOM, { headers: ['User-Agent: Blink Qt 5.0'] });
  t.equal(await ask(blink, 'Bobby'), '200');
  t.equal(await ask(blink, '"Bobby"'), '200');
});

t.test('nobody may change nicknames without end', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const alice = await join(stage, 'alice');
  const answers = [];
  for (let at = 0; at < 10; at++) answers.push(await ask(alice, `"Name ${String(at)}"`));
  t.same(answers.slice(0, 5), ['200', '200', '200', '200', '200']);
  t.ok(answers.includes('403'));
});
