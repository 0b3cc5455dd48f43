import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join as joinPath } from 'node:path';
import t from 'tap';
import { join, type Member, messageSdp, newPath, raise, ROOM, type Stage } from './stage.ts';
import { cpim, type Frame } from './msrp-line.ts';
import { SipPhone } from './sip-phone.ts';

const ALICE = 'rooms.defaults.roles={"sip:alice@127.0.0.1": owner}';

async function stageWith(t: { teardown(work: () => Promise<void>): void }, ...options: string[]): Promise<Stage> {
  const stage = await raise(ALICE, ...options);
  t.teardown(() => stage.close());
  return stage;
}

/** Calls and is not let in; gives the answer. */
async function refused(
  stage: Stage,
  name: string,
  room = ROOM,
): Promise<{ readonly status: number; readonly text: string; readonly contact: string | undefined }> {
  const phone = await SipPhone.connect(name, stage.sip);
  const { response } = await phone.request('INVITE', room, {
    contentType: 'application/sdp',
    body: messageSdp(newPath()),
  });
  phone.hangUp();
  return {
    status: response.status,
    text: response.headers.get('Warning') ?? '',
    contact: response.headers.get('Contact'),
  };
}

t.test('a text that begins like an order and is none is not said: its author is told, and how to say it', async (t) => {
  const stage = await stageWith(t);
  const [alice, bob] = [await join(stage, 'alice'), await join(stage, 'bob')];
  const { what, comment } = await alice.line.say(alice.uri, ROOM, '/kik bob he is annoying');
  t.equal(what, '403');
  t.match(comment, /there is no such order .* a blank before it says it to all/);
  await alice.hears('Said to no one, since there is no such order');
  for (const text of ['/pin:4711', '/pin=4711', '/msg: bob my key is 4711', '/leave!', '/kick, bob', '/кик bob']) {
    t.equal(await alice.say(text), '403', text);
  }
  for (const text of [' /kik bob', '//kik bob', '/usr/bin is full', '/me waves', '/boot.img is full']) {
    t.equal(await alice.say(text), '200');
    await bob.hears(text);
  }
  t.equal((await alice.line.say(alice.uri, bob.uri, '/shrug')).what, '200', 'to one alone');
  await bob.hears('/shrug');
  t.same(
    bob.line.heard().filter(({ body = '' }) => /annoying|4711|leave|, bob|кик/.test(body)),
    [],
  );
});

t.test('alice mutes bob: he is told by SDP, may not speak, and may again', async (t) => {
  const stage = await stageWith(t);
  const alice = await join(stage, 'alice');
  const bob = await join(stage, 'bob');
  t.equal(await alice.say('/mute bob too loud'), '200');
  await bob.hears('bob was muted (alice): too loud.');
  const reInvite = await bob.phone.next('INVITE');
  t.match(Buffer.from(reInvite.body).toString(), /m=message[^]*a=sendonly/);
  t.equal(await bob.say('but'), '403');
  t.equal(await alice.say('/unmute bob'), '200');
  await bob.hears('bob may speak again (alice).');
  t.match(Buffer.from((await bob.phone.next('INVITE')).body).toString(), /m=message[^]*a=sendrecv/);
  t.equal(await bob.say('thank you'), '200');
  await alice.hears('thank you');
  t.same(
    alice.line.heard().filter(({ body }) => body?.includes('/mute') === true),
    [],
    'nobody hears the command',
  );
  t.match(
    stage.lines.filter((line) => line.includes('moderation')),
    [/alice.*by chat: mute user="sip:bob@127.0.0.1" reason="too loud": done/, /unmute/],
  );
});

t.test('alice kicks bob: BYE with Reason, and everybody sees why; he may come back', async (t) => {
  const stage = await stageWith(t);
  const alice = await join(stage, 'alice');
  const bob = await join(stage, 'bob');
  t.equal(await alice.say('/kick bob not here'), '200');
  const bye = await bob.phone.next('BYE');
  t.equal(bye.headers.get('Reason'), 'SIP;cause=200;text="Kicked: not here"');
  await alice.hears('bob had to leave: Kicked: not here.');
  await join(stage, 'bob');
});

t.test('alice bans bob for an hour: he is gone and does not come back', async (t) => {
  const stage = await stageWith(t);
  const alice = await join(stage, 'alice');
  const bob = await join(stage, 'bob');
  t.equal(await alice.say('/ban bob 1h flood'), '200');
  await bob.phone.next('BYE');
  const again = await refused(stage, 'bob');
  t.equal(again.status, 403);
  t.match(again.text, /banned from this room until/);
  t.equal(await alice.say('/unban sip:bob@127.0.0.1'), '200');
  await join(stage, 'bob');
});

t.test('who is no moderator is refused, and nothing happens', async (t) => {
  const stage = await stageWith(t);
  const alice = await join(stage, 'alice');
  const bob = await join(stage, 'bob');
  t.equal(await bob.say('/kick alice'), '403');
  await bob.hears('This takes a moderator');
  t.equal(await alice.say('still here'), '200');
  await bob.hears('still here');
  t.ok(stage.lines.some((line) => line.includes('refused: role-too-low')));
  t.equal(await alice.say('/role bob moderator'), '200');
  await bob.hears('bob is a moderator now.');
  t.equal(await bob.say('/kick alice'), '403', 'an owner ranks higher');
  await bob.hears('You cannot do this to somebody of that role');
});

t.test('a command that is not understood is answered to who gave it; other texts with a slash are texts', async (t) => {
  const stage = await stageWith(t);
  const alice = await join(stage, 'alice');
  const bob = await join(stage, 'bob');
  t.equal(await alice.say('/role bob king'), '200');
  await alice.hears('/role NAME owner|moderator|participant|visitor');
  t.equal(await alice.say('/kick nobody-here'), '200');
  await alice.hears('There is nobody called nobody-here.');
  t.equal(await alice.say('/help'), '200');
  await alice.hears('/slow 30s|off');
  t.equal(await alice.say('/usr/bin/env is a path'), '200');
  await bob.hears('/usr/bin/env is a path');
});

t.test('lock, limit, members, PIN: who is new stays out', async (t) => {
  const stage = await stageWith(t);
  const alice = await join(stage, 'alice');
  await alice.say('/lock');
  t.equal((await refused(stage, 'bob')).status, 403);
  await alice.say('/unlock');
  await alice.say('/limit 1');
  t.equal((await refused(stage, 'bob')).status, 486);
  await alice.say('/limit off');
  await alice.say('/members on');
  t.equal((await refused(stage, 'bob')).status, 403);
  await alice.say('/members off');
  await alice.say('/pin 4711');
  t.match((await refused(stage, 'bob')).text, /asks for a PIN/);
  t.match((await refused(stage, 'bob', `${ROOM};pin=1`)).text, /PIN is wrong/);
  await join(stage, 'bob', `${ROOM};pin=4711`);
  t.notOk(
    stage.lines.some((line) => line.includes('4711')),
    'the PIN is in no line',
  );
});

t.test('what a moderator sets is told to the moderators, and what everybody feels to everybody', async (t) => {
  const stage = await stageWith(t);
  const alice = await join(stage, 'alice');
  const bob = await join(stage, 'bob');
  const moderators = [
    ['/limit 5', 'At most 5 may be here at a time (alice).'],
    ['/limit off', 'Any number may be here (alice).'],
    ['/members on', 'Only members may come in (alice).'],
    ['/members off', 'Not only members may come in (alice).'],
    ['/lobby on', 'Who comes waits to be let in (alice).'],
    ['/lobby off', 'Who comes need not wait (alice).'],
    ['/pin 4711', 'The PIN was set (alice).'],
    ['/pin off', 'No PIN is asked for (alice).'],
  ] as const;
  const everybody = [
    ['/private off', 'Nobody may write to one alone (alice).'],
    ['/private on', 'Everybody may write to one alone (alice).'],
    ['/extend 1h', 'The conference ends at 20'],
    ['/extend off', 'The conference has no end set (alice).'],
  ] as const;
  for (const [order, told] of [...moderators, ...everybody]) {
    t.equal(await alice.say(order), '200', order);
    await alice.hears(told);
  }
  for (const [, told] of everybody) await bob.hears(told);
  t.notOk(bob.line.heard().some(({ body }) => /may be here|may come in|PIN|need not wait/.test(body ?? '')));
});

t.test('off is off, also for what is configured, and over a restart', async (t) => {
  const data = mkdtempSync(joinPath(tmpdir(), 'grouptextchat-restart-'));
  t.teardown(() => {
    rmSync(data, { recursive: true, force: true });
  });
  const room = { permanent: true, durability: 'disk', pin: '4711', maximum_users: 1, slow_mode: '1h' };
  const options = [ALICE, `data=${data}`, `rooms.named.club=${JSON.stringify(room)}`];
  const club = 'sip:club@127.0.0.1';
  const first = await raise(...options);
  const alice = await join(first, 'alice', `${club};pin=4711`);
  t.equal((await refused(first, 'bob', `${club};pin=4711`)).status, 486);
  t.equal(await alice.say('/limit off'), '200');
  t.equal((await refused(first, 'bob', club)).status, 401);
  for (const order of ['/pin off', '/slow off']) t.equal(await alice.say(order), '200', order);
  await join(first, 'bob', club);
  await first.close();
  const second = await raise(...options);
  t.teardown(() => second.close());
  await join(second, 'alice', club);
  const bob = await join(second, 'bob', club);
  for (const text of ['at once', 'and again']) t.equal(await bob.say(text), '200');
});

t.test('the lobby: bob waits, alice is told and lets him in', async (t) => {
  const stage = await stageWith(t, 'rooms.defaults.lobby=true');
  const alice = await join(stage, 'alice');
  const bob = await join(stage, 'bob');
  await bob.hears('A moderator has yet to let you in');
  await alice.hears('bob waits to be let in: /admit bob');
  t.equal(await bob.say('let me in'), '403');
  t.equal(await alice.say('who is there?'), '200');
  t.equal(await alice.say('/admit bob'), '200');
  await bob.hears('You have been let in.');
  await alice.hears('bob has been let in (alice).');
  t.equal(await bob.say('hello'), '200');
  await alice.hears('hello');
  t.same(
    bob.line.heard().filter(({ body }) => body?.includes('who is there') === true),
    [],
    'he has not heard what was said before',
  );
});

t.test(
  'who makes a room with a lobby is let in, as its owner; a room that is owned lets in nobody by himself',
  async (t) => {
    const club = 'sip:club@127.0.0.1';
    const stage = await raise('rooms.defaults.lobby=true', 'rooms.named.club.roles={"sip:carol@127.0.0.1": owner}');
    t.teardown(() => stage.close());
    const meeting = 'sip:meeting@127.0.0.1';
    const alice = await join(stage, 'alice', meeting);
    t.equal(await alice.say('nobody here yet'), '200');
    const bob = await join(stage, 'bob', meeting);
    await bob.hears('A moderator has yet to let you in');
    t.equal(await alice.say('/admit bob'), '200');
    await bob.hears('You have been let in.');
    const early = await join(stage, 'alice', club);
    await early.hears('A moderator has yet to let you in');
  },
);

t.test('who has left is meant by his name all the same', async (t) => {
  const stage = await stageWith(t);
  const alice = await join(stage, 'alice');
  const bob = await join(stage, 'bob');
  t.equal(await bob.say('something bad'), '200');
  t.equal(await alice.say('/mute bob'), '200');
  await bob.hears('bob was muted');
  await bob.leave();
  t.equal(await alice.say('/retract bob'), '200');
  await alice.hears('was taken back (alice)');
  t.equal(await alice.say('/unmute bob'), '200');
  await alice.hears('may speak again (alice)');
  t.equal(await alice.say('/ban bob 1h'), '200');
  await alice.hears('was banned (alice)');
  t.equal((await refused(stage, 'bob')).status, 403);
  t.equal(await alice.say('/unban bob'), '200');
  await alice.hears('may come back');
  const again = await join(stage, 'bob');
  t.equal(await again.say('better'), '200');
  t.equal(await alice.say('/kick carol'), '200');
  await alice.hears('There is nobody called carol');
});

t.test('no way around a mute or the lobby: the subject is read by everybody', async (t) => {
  const stage = await stageWith(t);
  const alice = await join(stage, 'alice');
  const bob = await join(stage, 'bob');
  t.equal(await bob.say('here'), '200');
  t.equal(await alice.say('/mute bob'), '200');
  t.equal(await bob.say('/subject I speak all the same'), '403');
  t.equal(await alice.say('/lobby on'), '200');
  const carol = await join(stage, 'carol');
  await carol.hears('A moderator has yet to let you in');
  t.equal(await carol.say('/subject I am not even here'), '403');
  t.equal(await carol.say('/subject'), '403', 'nor is it read by who is not in');
  t.equal(await alice.say('still what it was'), '200');
  await bob.hears('still what it was');
  t.notOk(bob.line.heard().some(({ body }) => /all the same|not even here/.test(body ?? '')));
});

t.test('a ban by address or domain hits nobody who has a say in the room, here or away', async (t) => {
  const roles = ['"sip:alice@127.0.0.1": owner', '"sip:bob@127.0.0.1": moderator', '"sip:mia@127.0.0.1": moderator'];
  const stage = await raise(`rooms.defaults.roles={${roles.join(', ')}}`);
  t.teardown(() => stage.close());
  const alice = await join(stage, 'alice');
  const bob = await join(stage, 'bob');
  for (const [target, by] of [
    ['*@127.0.0.1', bob],
    ['127.0.0.1', alice],
  ] as const) {
    const carol = await join(stage, 'carol');
    t.equal(await by.say(`/ban ${target} 1h`), '200');
    t.match((await carol.phone.next('BYE')).headers.get('Reason'), /Banned/);
    t.equal((await refused(stage, 'carol')).status, 403, target);
    const mia = await join(stage, 'mia');
    t.equal(await mia.say(`a moderator who was away when ${target} was banned`), '200');
    await alice.hears(`when ${target} was banned`);
    await bob.hears(`when ${target} was banned`);
    await mia.leave();
    t.equal(await by.say(`/unban ${target}`), '200');
  }
  t.equal(await bob.say('/ban sip:mia@127.0.0.1'), '403', 'nor by name, of the same rank');
  t.equal(await bob.say('/ban sip:alice@127.0.0.1'), '403');
  t.equal(await alice.say('/ban sip:mia@127.0.0.1'), '200');
  t.equal((await refused(stage, 'mia')).status, 403);
});

t.test('a ban by address holds in every form of it', async (t) => {
  const stage = await stageWith(t);
  const alice = await join(stage, 'alice');
  for (const [order, undone] of [
    ['/ban ::ffff:7f00:2', '/unban 127.0.0.2'],
    ['/ban 127.0.0.2', '/unban ::FFFF:127.0.0.2'],
  ] as const) {
    t.equal(await alice.say(order), '200');
    const offer = { contentType: 'application/sdp', body: messageSdp(newPath()) };
    const bob = await SipPhone.connect('bob', stage.sip, '127.0.0.1', '127.0.0.2');
    t.equal((await bob.request('INVITE', ROOM, offer)).response.status, 403, order);
    t.equal(await alice.say(undone), '200');
    t.equal((await bob.request('INVITE', ROOM, offer)).response.status, 200, undone);
    bob.hangUp();
  }
});

t.test('slow mode, subject, retract', async (t) => {
  const stage = await stageWith(t);
  const alice = await join(stage, 'alice');
  const bob = await join(stage, 'bob');
  t.equal(await bob.say('one'), '200');
  t.equal(await alice.say('/slow 1h'), '200');
  await bob.hears('once in 3600 seconds');
  t.equal(await bob.say('two'), '403');
  t.equal(await alice.say('/slow 0'), '200');
  await bob.hears('Slow mode is off.');
  t.equal(await alice.say('/slow 1s'), '200');
  await bob.hears('once in one second.');
  t.equal(await alice.say('/slow off'), '200');
  await bob.hears('Slow mode is off.');
  t.equal(await bob.say('two, after all'), '200');
  t.equal(await bob.say('/retract'), '200');
  await alice.hears('A message of bob was taken back (bob).');
  t.equal(await bob.say('/subject Lunch at noon'), '200');
  await alice.hears('bob has set the subject: Lunch at noon');
  t.equal(await bob.say('/subject'), '200');
  await bob.hears('The subject is: Lunch at noon');
  t.equal(await bob.say('/subject off'), '200');
  await alice.hears('bob has taken the subject away.');
  t.equal(await bob.say('/subject '), '200');
  await bob.hears('There is no subject.');
  t.notOk(
    alice.line.heard().some(({ body }) => /subject is/.test(body ?? '')),
    'who asks is told alone, and nothing is taken away by that',
  );
});

t.test('what was taken back is not sent to newcomers', async (t) => {
  const stage = await stageWith(t, 'rooms.defaults.history_messages=5');
  const bob = await join(stage, 'bob');
  for (const text of ['one', 'two', '/retract', 'three']) t.equal(await bob.say(text), '200');
  const carol = await join(stage, 'carol');
  await carol.hears('one');
  await carol.hears('three');
  t.same(
    carol.line.heard().filter(({ body }) => body?.includes('two') === true),
    [],
  );
});

t.test(
  '/retract right behind what it means takes that back, and nothing before it, while the disk has neither',
  async (t) => {
    const options = ['rooms.defaults.durability=disk', 'rooms.defaults.history_messages=5'];
    const stage = await stageWith(t, `data=${t.testdir()}`, ...options);
    const bob = await join(stage, 'bob');
    t.equal(await bob.say('one'), '200');
    const statuses = await Promise.all(['two', '/retract', 'three'].map((text) => bob.say(text)));
    t.same(statuses, ['200', '200', '200']);
    const [headers, body] = cpim(bob.uri, ROOM, 'four '.repeat(30_000), ['Message-ID: large4']);
    const part = headers.map((line) => line.replace(/^(Byte-Range: 1-)\d+/, '$1*'));
    bob.line.send('SEND', part, body.slice(0, 100_000), '+');
    t.equal(await bob.say('/retract'), '200');
    const carol = await join(stage, 'carol');
    const texts = [await carol.line.hears('one'), await carol.line.hears('three')];
    t.equal(texts.length, 2);
    t.equal(await bob.say('the end'), '200');
    await carol.hears('the end');
    t.notOk(carol.line.heard().some(({ body }) => /two|four/.test(body ?? '')));
  },
);

t.test('/retract of a chosen message: by count, by Message-ID, by IMDN Message-ID; over a restart, too', async (t) => {
  const data = t.testdir();
  const options = [ALICE, `data=${data}`, 'rooms.defaults.durability=disk', 'rooms.defaults.history_messages=20'];
  const stage = await raise(...options);
  const [alice, bob, carol] = [await join(stage, 'alice'), await join(stage, 'bob'), await join(stage, 'carol')];
  const token = readFileSync(`${data}/admin-token`, 'utf8').trim();
  const http = stage.service.addresses.find(({ protocol }) => protocol === 'HTTP')?.port ?? 0;
  const byApi = async (order: string): Promise<number> => {
    const response = await fetch(`http://127.0.0.1:${String(http)}/api/rooms/lobby/orders`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' },
      body: JSON.stringify({ order }),
    });
    return response.status;
  };
  const says = (text: string, id: string): Promise<Frame> => bob.line.say(bob.uri, ROOM, text, [`Message-ID: ${id}`]);
  for (const text of ['one', 'two', 'three', 'four', 'five', 'six']) await says(`bob says ${text}`, `of-bob-${text}`);
  const seen = await carol.line.hears('bob says six');
  t.equal(await bob.say('/retract 3'), '200', 'his own, the third last: four');
  await alice.hears('A message of bob was taken back (bob).');
  t.equal(await carol.say('/retract of-bob-one'), '403', 'not by whom it is not for');
  t.equal(await carol.say('/retract bob 2'), '403');
  t.equal(await bob.say('/retract of-bob-two no longer true'), '200');
  await alice.hears('A message of bob was taken back (bob): no longer true.');
  t.equal(await bob.say('/retract of-bob-two'), '200');
  await bob.hears('There is nobody called of-bob-two.');
  t.equal(await byApi(`retract ${seen.headers.get('Message-ID') ?? ''} said by mistake`), 200, 'as it was received');
  t.equal(await byApi('retract bob 9'), 404);
  const cpim = [
    ...[`From: <${bob.uri}>`, `To: <${ROOM}>`, 'NS: imdn <urn:ietf:params:imdn>', 'imdn.Message-ID: imdn-of-bob', ''],
    ...['Content-Type: text/plain', '', 'bob says seven'],
  ].join('\r\n');
  const size = String(Buffer.byteLength(cpim));
  const headers = ['Message-ID: seven00', `Byte-Range: 1-${size}/${size}`, 'Content-Type: message/cpim'];
  t.equal((await bob.line.request('SEND', headers, cpim)).what, '200');
  t.equal(await alice.say('/retract imdn-of-bob'), '200');
  await carol.hears('A message of bob was taken back (alice).');
  t.ok(
    stage.lines.some((line) => /alice@\S+ by chat: retract author="sip:bob@\S+" messageId="seven00": done/.test(line)),
  );
  const told = async (member: Member): Promise<readonly string[]> => {
    await member.say('done');
    const texts = member.line.heard().map(({ body }) => /bob says \w+/.exec(body ?? '')?.[0] ?? '');
    return texts.filter((text) => text !== '');
  };
  const dave = await join(stage, 'dave');
  await dave.hears('bob says five');
  t.same(await told(dave), ['bob says one', 'bob says three']);
  await stage.close();

  const second = await raise(...options);
  t.teardown(() => second.close());
  const back = await join(second, 'bob');
  await back.hears('bob says five');
  t.equal(await back.say('/retract 2'), '200', 'what is taken back no longer counts');
  const erin = await join(second, 'erin');
  await erin.hears('bob says five');
  t.same(await told(erin), ['bob says one']);
});

t.test('the room moves: who comes is told where; the conference ends for everybody', async (t) => {
  const stage = await stageWith(t);
  const alice = await join(stage, 'alice');
  const bob = await join(stage, 'bob');
  t.equal(await alice.say('/move sip:better@example.com more space'), '200');
  await bob.hears('This room has moved to sip:better@example.com: more space.');
  const carol = await refused(stage, 'carol');
  t.equal(carol.status, 302);
  t.match(carol.contact, /sip:better@example\.com/);
  await alice.say('/end we are done');
  const ending = 'The conference was ended: we are done.';
  await bob.hears(ending);
  t.match((await bob.phone.next('BYE')).headers.get('Reason'), /The conference was ended: we are done/);
  await alice.hears(ending);
  await alice.phone.next('BYE');
  t.same(
    [...alice.line.heard(), ...bob.line.heard()].filter(({ body }) => body?.includes('had to leave') === true),
    [],
    'it is said once, and not of each',
  );
});

t.test(
  'a room that has moved comes back: from within, over HTTP and from the shell, and stays back over a restart',
  async (t) => {
    const data = t.testdir();
    const options = [`data=${data}`, 'rooms.defaults.durability=disk'];
    const elsewhere = 'sip:better@example.com';
    const stage = await raise(ALICE, ...options);
    const audited = (pattern: RegExp): number => stage.lines.filter((line) => pattern.test(line)).length;
    const order = (line: string, on = stage) => api(on, data, '/api/rooms/lobby/orders', { order: line });
    const alice = await join(stage, 'alice');
    const bob = await join(stage, 'bob');
    t.equal(await bob.say('both are here'), '200');
    await alice.hears('both are here');
    for (const own of [ROOM, `${ROOM};transport=tcp`, ROOM.replace('sip:', 'sips:')]) {
      t.equal(await alice.say(`/move ${own}`), '403');
      await alice.hears('This is the address of the room itself');
      t.match(await order(`move ${own}`), { status: 409, body: { reason: /the room itself/ } });
    }
    t.equal(audited(/alice@\S+ by chat: move to="\S+": refused: moves-to-itself/), 3);
    t.equal(await bob.say(`/move ${ROOM}`), '403');
    await bob.hears('This takes an owner');
    t.equal(await alice.say(`/move ${elsewhere}`), '200');
    await bob.hears(`This room has moved to ${elsewhere}.`);
    t.equal((await refused(stage, 'carol')).status, 302);
    t.equal(await bob.say('/move off'), '403', 'undoing takes the same as doing');
    t.equal(await alice.say('/move off'), '200');
    await bob.hears('This room is here again (alice).');
    await (await join(stage, 'carol')).leave();
    t.equal(audited(/alice@\S+ by chat: unmove: done/), 1, 'one line');
    await alice.say(`/move ${elsewhere}`);
    await alice.leave();
    await bob.leave();
    t.match(
      await refused(stage, 'alice'),
      { status: 302, contact: `<${elsewhere}>` },
      'nobody is in, its owner neither',
    );
    t.match(await api(stage, data, '/api/rooms/lobby'), { body: { movedTo: elsewhere } });
    await stage.close();

    const second = await raise(ALICE, ...options);
    t.equal((await refused(second, 'alice')).status, 302, 'kept over a restart');
    t.match(await command(second, data, 'show', 'lobby'), { code: 0, out: /moved to sip:better@example\.com/ });
    t.match(await command(second, data, 'order', 'lobby', 'move', 'off'), { code: 0, out: 'done\n' });
    t.equal(second.lines.filter((line) => /administrator by API: unmove: done/.test(line)).length, 1);
    await (await join(second, 'alice')).leave();
    t.match(await order(`move ${elsewhere}`, second), { status: 200 });
    t.match(await order('move off', second), { status: 200 });
    await second.close();

    const third = await raise(ALICE, ...options);
    t.teardown(() => third.close());
    const back = await join(third, 'alice');
    t.equal(await back.say('here again'), '200', 'so is this');
  },
);

t.test('the first to come owns a conference that nobody owns', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const zoe = await join(stage, 'zoe');
  const bob = await join(stage, 'bob');
  t.equal(await bob.say('/kick zoe'), '403');
  t.equal(await zoe.say('/kick bob'), '200');
  await bob.phone.next('BYE');
});

t.test('a re-INVITE with another Subject gives the conference that subject, if its rules allow it', async (t) => {
  const stage = await stageWith(t);
  const alice = await join(stage, 'alice');
  const own = newPath();
  const offer = { contentType: 'application/sdp', body: messageSdp(own), headers: ['Subject: Standup'] };
  const bob = await join(stage, 'bob', ROOM, offer, own);
  t.equal(await bob.say('here'), '200');
  const again = (headers: readonly string[]) => bob.phone.within(bob.dialog, 'INVITE', { ...offer, headers });
  t.equal((await again(['Subject: Standup'])).status, 200);
  bob.phone.ack(bob.dialog);
  t.equal((await again(['Subject: Retrospective'])).status, 200);
  bob.phone.ack(bob.dialog);
  await alice.hears('bob has set the subject: Retrospective');
  t.same(
    alice.line.heard().filter(({ body }) => body?.includes('Standup') === true),
    [],
    'not for what he always says',
  );
  t.equal((await again(['Subject: '])).status, 200);
  bob.phone.ack(bob.dialog);
  await alice.hears('bob has taken the subject away.');
});

t.test('a Subject that says nothing is none', async (t) => {
  const stage = await stageWith(t);
  const alice = await join(stage, 'alice');
  const own = newPath();
  const offer = { contentType: 'application/sdp', body: messageSdp(own) };
  const bob = await join(stage, 'bob', ROOM, offer, own);
  await bob.phone.within(bob.dialog, 'INVITE', { ...offer, headers: ['Subject:  '] });
  bob.phone.ack(bob.dialog);
  t.equal(await bob.say('here'), '200');
  await alice.hears('here');
  t.same(
    alice.line.heard().filter(({ body }) => body?.includes('subject') === true),
    [],
  );
});

t.test('what follows the ACK at once is done: another Subject, REFER by and for who has just come', async (t) => {
  const stage = await stageWith(t, 'rooms.defaults.durability=disk');
  const alice = await join(stage, 'alice');
  const kick = (uri: string) => ({ headers: [`Refer-To: <${uri};method=BYE>`] });
  for (let i = 0; i < 10; i++) {
    const bob = await SipPhone.connect('bob', stage.sip);
    const offer = { contentType: 'application/sdp', body: messageSdp(newPath()) };
    const { dialog } = await bob.request('INVITE', ROOM, { ...offer, headers: ['Subject: Bob'] });
    bob.ack(dialog);
    const again = bob.within(dialog, 'INVITE', { ...offer, headers: [`Subject: Round ${String(i)}`] });
    t.equal((await again).status, 200);
    bob.ack(dialog);
    await alice.hears(`bob has set the subject: Round ${String(i)}`);
    bob.hangUp();
    const carol = await SipPhone.connect('carol', stage.sip);
    const call = await carol.request('INVITE', ROOM, offer);
    carol.ack(call.dialog);
    t.equal((await carol.within(call.dialog, 'REFER', kick('sip:carol@127.0.0.1'))).status, 200, 'by who has come');
    await carol.next('BYE');
    const dave = await SipPhone.connect('dave', stage.sip);
    const third = await dave.request('INVITE', ROOM, offer);
    dave.ack(third.dialog);
    // The answer to what comes after it says that the ACK has been read.
    await dave.within(third.dialog, 'OPTIONS');
    t.equal((await alice.phone.request('REFER', ROOM, kick('sip:dave@127.0.0.1'))).response.status, 200);
    t.match((await dave.next('BYE')).headers.get('Reason'), /Kicked/);
    carol.hangUp();
    dave.hangUp();
  }
});

t.test('Linphone is told roles by the two names that it knows', async (t) => {
  const stage = await stageWith(t);
  const headers = ['User-Agent: Linphone-Desktop/5.1', 'Event: conference', 'Expires: 0'];
  const alice = await join(stage, 'alice');
  t.equal(await alice.say('here'), '200');
  await alice.phone.request('SUBSCRIBE', ROOM, { headers });
  const body = Buffer.from((await alice.phone.next('NOTIFY')).body).toString();
  t.match(body, /<roles><entry>admin<\/entry><\/roles>/);
});

t.test('bans, roles, mutes and slow mode are kept over a restart', async (t) => {
  const data = mkdtempSync(joinPath(tmpdir(), 'grouptextchat-restart-'));
  t.teardown(() => {
    rmSync(data, { recursive: true, force: true });
  });
  const options = [ALICE, `data=${data}`, 'rooms.defaults.durability=disk', 'rooms.defaults.permanent=true'];
  const first = await raise(...options);
  const alice = await join(first, 'alice');
  const visitor = await join(first, 'carol');
  t.equal(await visitor.say('I am here'), '200');
  await alice.say('/ban sip:bob@127.0.0.1 7d');
  await alice.say('/role carol moderator');
  await alice.say('/mute carol');
  t.equal(await alice.say('/slow 1h'), '200');
  await first.close();
  const second = await raise(...options);
  t.teardown(() => second.close());
  t.equal((await refused(second, 'bob')).status, 403);
  const carol = await join(second, 'carol');
  t.equal(await carol.say('hello'), '403');
  const dave = await join(second, 'dave');
  t.equal(await dave.say('once'), '200');
  t.equal(await dave.say('twice'), '403', 'slow mode');
  t.equal(await carol.say('/slow off'), '200', 'a moderator still');
  await dave.hears('Slow mode is off.');
  t.equal(await dave.say('twice'), '200');
});

t.test('a ban of an address that was kept before addresses had one form holds, and can be lifted', async (t) => {
  const data = t.testdir();
  const options = [ALICE, `data=${data}`, 'rooms.defaults.durability=disk', 'rooms.defaults.permanent=true'];
  const first = await raise(...options);
  const alice = await join(first, 'alice');
  t.equal(await alice.say('/ban 2001:db8::1:2:34'), '200');
  await first.close();
  const file = `${data}/rooms.sqlite`;
  const [now, before] = ['2001:db8::1:2:34', '::FFFF:127.0.0.1'];
  const kept = readFileSync(file, 'latin1');
  const key = kept.replaceAll(`ban address ${now}`, `ban address ${before.toLowerCase()}`);
  writeFileSync(file, key.replaceAll(`"address":"${now}"`, `"address":"${before}"`), 'latin1');
  const second = await raise(...options);
  t.equal((await refused(second, 'bob')).status, 403);
  const again = await join(second, 'alice');
  t.equal(await again.say('/unban 127.0.0.1'), '200');
  await join(second, 'bob');
  await second.close();
  const third = await raise(...options);
  t.teardown(() => third.close());
  await join(third, 'bob');
});

t.test('a room whose past cannot be read lets nobody in: its bans are not known', async (t) => {
  const data = t.testdir();
  const options = [`data=${data}`, 'rooms.defaults.durability=disk', 'rooms.defaults.permanent=true'];
  const first = await raise(...options);
  const alice = await join(first, 'alice');
  for (let i = 0; i < 40; i++) t.equal(await alice.say('x'.repeat(2000)), '200');
  await first.close();
  const second = await raise(...options);
  t.teardown(() => second.close());
  truncateSync(`${data}/rooms.sqlite`, 16_384);
  const answer = await refused(second, 'bob');
  t.equal(answer.status, 503);
  t.match(answer.text, /cannot be read/);
  t.match(await api(second, data, '/api/rooms/lobby'), { status: 503, body: { reason: /cannot be read/ } });
  t.ok(second.lines.some((line) => /room log \S+: sip:lobby@\S+ cannot be read: SQLITE_(?:CORRUPT|IOERR)/.test(line)));
});

const httpOf = (stage: Stage): number => stage.service.addresses.find(({ protocol }) => protocol === 'HTTP')?.port ?? 0;

async function api(
  stage: Stage,
  data: string,
  path: string,
  body?: unknown,
): Promise<{ status: number; body: unknown }> {
  const token = readFileSync(`${data}/admin-token`, 'utf8').trim();
  const response = await fetch(`http://127.0.0.1:${String(httpOf(stage))}${path}`, {
    method: body === undefined ? 'GET' : 'POST',
    headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: response.status, body: await response.json() };
}

/** `grouptextchat room` with these words, against the service. */
async function command(
  stage: Stage,
  data: string,
  ...words: readonly string[]
): Promise<{ readonly code: number; readonly out: string; readonly err: string }> {
  const settings = [`data=${data}`, `http.port=${String(httpOf(stage))}`].flatMap((each) => ['--set', each]);
  const child = spawn(process.execPath, ['dist/src/cli.js', 'room', ...words, ...settings], { env: {} });
  let [out, err] = ['', ''];
  child.stdout.on('data', (piece: Buffer) => (out += piece.toString()));
  child.stderr.on('data', (piece: Buffer) => (err += piece.toString()));
  const [code] = (await once(child, 'close')) as [number];
  return { code, out, err };
}

t.test('the administrator gives the same orders over HTTP', async (t) => {
  const data = t.testdir();
  const stage = await stageWith(t, `data=${data}`);
  const alice = await join(stage, 'alice');
  const bob = await join(stage, 'bob');
  t.equal(await bob.say('here'), '200');
  const order = (line: unknown, room = 'lobby') =>
    api(stage, data, `/api/rooms/${encodeURIComponent(room)}/orders`, { order: line });
  t.match(await api(stage, data, '/api/rooms'), {
    status: 200,
    body: { rooms: [{ users: 2, active: true, locked: false }] },
  });
  t.match(await order('mute bob "too loud"'), { status: 200, body: { done: true } });
  await alice.hears('bob was muted: "too loud".');
  t.equal(await bob.say('but'), '403');
  t.match(await api(stage, data, '/api/rooms/lobby'), {
    status: 200,
    body: {
      participants: [
        { user: 'sip:alice@127.0.0.1', role: 'owner', muted: false },
        { user: 'sip:bob@127.0.0.1', muted: true },
      ],
    },
  });
  t.match(await order('/kick alice', ROOM), { status: 200 }, 'an owner too, and by the full address');
  await alice.phone.next('BYE');
  t.match(await api(stage, data, `/api/rooms/${ROOM.replace('sip:', '')}`), { status: 200 }, 'or without sip:');
  t.match(await order('ban *@evil.example 2d'), { status: 200 });
  t.match(await api(stage, data, '/api/rooms/lobby'), { body: { bans: [{ target: 'domain evil.example' }] } });
  t.match(await order('kik bob'), { status: 400, body: { reason: 'there is no order "kik": did you mean kick?' } });
  t.match(await order('dance'), { status: 400, body: { reason: 'there is no order "dance": help lists them' } });
  t.match(await order('kick nobody'), { status: 404, body: { reason: 'there is nobody called nobody' } });
  t.match(await order('dance'), { status: 400, body: { reason: /help/ } });
  t.match(await order('role bob king'), { status: 400 });
  t.match(await order(7), { status: 400 });
  t.match(await order('help'), { status: 200, body: { help: /\/kick NAME/ } });
  t.match(await order('lock', 'sip:x@elsewhere.example'), { status: 404 });
  t.ok(stage.lines.some((line) => /administrator by API: kick user="sip:alice@127\.0\.0\.1": done/.test(line)));
});

t.test('grouptextchat room: the same from the command line', async (t) => {
  const data = t.testdir();
  const stage = await stageWith(t, `data=${data}`);
  const alice = await join(stage, 'alice');
  const bob = await join(stage, 'bob');
  t.equal((await bob.line.say(bob.uri, ROOM, 'here', ['Message-ID: of-bob-here'])).what, '200');
  t.equal(await bob.say('the last'), '200');
  const room = (...words: readonly string[]) => command(stage, data, ...words);
  t.match(await room('list'), { code: 0, out: /^sip:lobby@\S+ {2}2 users\n$/ });
  t.match(await room('show', 'lobby'), {
    code: 0,
    out: /alice {2}sip:alice@127\.0\.0\.1 {2}owner {2}connected 127\.0\.0\.1/,
  });
  t.match(await room('order', 'lobby', 'retract', 'of-bob-here', 'by', 'mistake'), { code: 0, out: 'done\n' });
  await alice.hears('A message of bob was taken back: by mistake.');
  t.match(await room('order', 'lobby', 'retract', 'bob'), { code: 0, out: 'done\n' }, 'his last');
  await alice.hears('A message of bob was taken back.');
  t.match(await room('order', 'lobby', 'retract', 'bob', '9'), { code: 1, err: /there is no such message/ });
  t.equal(stage.lines.filter((line) => /administrator by API: retract author="sip:bob@.*: done/.test(line)).length, 2);
  t.match(await room('order', 'lobby', 'kick', 'bob', 'not', 'here'), { code: 0, out: 'done\n' });
  t.equal((await bob.phone.next('BYE')).headers.get('Reason'), 'SIP;cause=200;text="Kicked: not here"');
  t.match(await room('order', 'lobby', 'subject in one piece'), { code: 0, out: 'done\n' }, 'quoted as a whole');
  await alice.hears('has set the subject: in one piece');
  t.match(await room('order', 'lobby', 'subject'), { code: 0, out: 'the subject is: in one piece\n' });
  t.match(await room('order', 'lobby', 'subject off'), { code: 0, out: 'done\n' });
  t.match(await room('order', 'lobby', 'subject'), { code: 0, out: 'there is no subject\n' });
  t.match(await room('order', 'lobby', 'kick Nobody "here"'), { code: 1, err: /there is nobody called Nobody\n/ });
  t.match(await room('order', 'lobby', 'kick', 'No Body'), { code: 1, err: /there is nobody called No Body\n/ });
  t.match(await room('order', 'lobby', 'mut', 'alice'), {
    code: 1,
    err: 'grouptextchat: there is no order "mut": did you mean mute?\n',
  });
  t.match(await room('order', 'lobby', 'kick', 'nobody'), {
    code: 1,
    err: 'grouptextchat: there is nobody called nobody\n',
  });
});

t.test('/retract: what was taken back is sent to nobody any more, however slowly he reads', async (t) => {
  const stage = await raise('msrp.queue_bytes=64MiB', 'rooms.defaults.messages_at_once=1000');
  t.teardown(() => stage.close());
  const [alice, slow] = [await join(stage, 'alice'), await join(stage, 'slow')];
  await alice.say('hello');
  await slow.hears('hello');
  // More than the system takes for one who does not read.
  slow.line.pause();
  for (let i = 0; i < 300; i += 1) t.equal(await alice.say('x'.repeat(60_000)), '200');
  for (const text of ['a small secret', `a secret of some size${' '.repeat(10_000)}`]) {
    t.equal(await alice.say(text), '200');
    t.equal(await alice.say('/retract'), '200');
  }
  await alice.say('the end');
  slow.line.resume();
  await slow.hears('the end');
  const texts = slow.line.take(({ body }) => /secret|taken back/.test(body ?? '')).map(({ body = '' }) => body);
  t.equal(texts.length, 2, 'only that they were taken back');
  t.notOk(texts.some((text) => text.includes('secret')));
});

t.test('/retract: what was taken back is sent to no telephone any more', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const alice = await join(stage, 'alice');
  const phone = await SipPhone.connect('tom', stage.sip);
  const { dialog } = await phone.request('INVITE', ROOM, {
    contentType: 'application/sdp',
    headers: ['Allow: INVITE, ACK, BYE, MESSAGE'],
    body: 'v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\n',
  });
  phone.ack(dialog);
  phone.late.add('MESSAGE');
  for (const text of ['one', 'a secret', '/retract', 'two']) t.equal(await alice.say(text), '200');
  const texts: string[] = [];
  while (texts.at(-1) !== 'alice: two') {
    const request = await phone.next('MESSAGE');
    texts.push(Buffer.from(request.body).toString());
    phone.answer(request);
  }
  t.same(texts, ['alice: one', 'A message of alice was taken back (alice).', 'alice: two']);
});
