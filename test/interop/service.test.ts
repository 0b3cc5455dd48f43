/** Other people's programs look at the real service: sipp calls it, tshark and xmllint read what it says. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join as joinPath } from 'node:path';
import t from 'tap';
import { addUser } from '../../src/config/users.ts';
import { MsrpLine } from '../plays/msrp-line.ts';
import { SipPhone } from '../plays/sip-phone.ts';
import { join, messageSdp, newPath, pathOf, raise, ROOM } from '../plays/stage.ts';
import { tcpPcapOf } from './pcap.ts';
import { run, skipWithout } from './programs.ts';
import { freePort, sipp, transports } from './sipp.ts';
import { LineTap } from './tap.ts';

async function directory(test: { teardown(end: () => Promise<void>): void }): Promise<string> {
  const folder = await mkdtemp(joinPath(tmpdir(), 'grouptextchat-'));
  test.teardown(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

for (const transport of transports) {
  t.test(`sipp's own audio caller: twenty calls over ${transport}`, { skip: skipWithout('sipp') }, async (t) => {
    const first = transport === 'UDP' ? 32_300 : 32_400;
    // One user makes all of these calls, and on a busy machine many are there at once.
    const devices = 'rooms.defaults.maximum_devices=20';
    const stage = await raise(devices, `audio.first_port=${String(first)}`, `audio.last_port=${String(first + 99)}`);
    t.teardown(() => stage.close());
    const { addresses } = stage.service;
    const target = addresses.find((each) => each.protocol === 'SIP' && each.transport === transport)?.port ?? 0;
    const { code, output } = await run('sipp', [
      ...['-sn', 'uac', '-t', transport === 'UDP' ? 'u1' : 't1', '-i', '127.0.0.1', '-p', String(await freePort())],
      ...['-mi', '127.0.0.1', '-mp', String(await freePort()), '-cp', String(await freePort())],
      ...['-m', '20', '-r', '40', '-d', '100', '-nostdin', '-nd', '-timeout', '80', '-timeout_error'],
      ...['-s', 'lobby', `127.0.0.1:${String(target)}`],
    ]);
    t.equal(code, 0, code === 0 ? 'all of them' : output);
  });
}

for (const transport of transports) {
  t.test(`sipp proves who it is over ${transport}`, { skip: skipWithout('sipp') }, async (t) => {
    const users = joinPath(await directory(t), 'users.json');
    addUser(users, 'grouptextchat', 'alice', 'secret');
    // sipp 3.6 reads the first challenge only, and knows MD5 only.
    const stage = await raise('auth.mode=digest', 'auth.algorithms=[MD5, SHA-256]', `auth.users=${users}`);
    t.teardown(() => stage.close());
    const at = stage.service.addresses.find((each) => each.protocol === 'SIP' && each.transport === transport);
    const ports = { port: await freePort(), target: at?.port ?? 0, service: 'lobby' };
    const { code, output } = await sipp('uac-digest', transport, ports);
    t.equal(code, 0, code === 0 ? 'called and hung up' : output);
  });
}

t.test('tshark reads the SIP and MSRP of a whole conversation', { skip: skipWithout('tshark') }, async (t) => {
  const stage = await raise('rooms.defaults.history_messages=10', 'rooms.defaults.welcome=Be kind');
  t.teardown(() => stage.close());
  const msrp = stage.service.addresses.find(({ protocol }) => protocol === 'MSRP')?.port ?? 0;
  const taps = [await LineTap.before(stage.sip, 5060), await LineTap.before(msrp, 2855)] as const;
  const [sipTap, msrpTap] = taps;
  t.teardown(() => {
    for (const tap of taps) tap.close();
  });
  const bob = await join(stage, 'bob');
  t.equal(await bob.say('what was said before'), '200');

  const alice = await SipPhone.connect('alice', sipTap.port);
  const own = newPath();
  const { response, dialog } = await alice.request('INVITE', ROOM, {
    contentType: 'application/sdp',
    body: messageSdp(own),
  });
  alice.ack(dialog);
  const line = await MsrpLine.bind(own, pathOf(response.body), msrpTap.port);
  await alice.request('SUBSCRIBE', ROOM, { headers: ['Event: conference', 'Expires: 600'] });
  await alice.next('NOTIFY');
  await line.hears('Be kind');
  await line.hears('what was said before');
  t.equal((await line.request('NICKNAME', ['Use-Nickname: "Zoë"'])).what, '200');
  t.equal((await line.say(alice.uri, ROOM, 'grüße', ['Success-Report: yes'])).what, '200');
  await line.next(({ what }) => what === 'REPORT');
  t.equal((await line.say(alice.uri, 'sip:nobody@127.0.0.1', 'psst')).what, '404');
  t.equal(await bob.say('x'.repeat(10_000)), '200');
  await line.hears('xxx');
  await alice.request('OPTIONS', ROOM);
  await alice.request('INVITE', 'sip:lobby@elsewhere.example');
  await alice.within(dialog, 'BYE');

  const file = joinPath(await directory(t), 'talk.pcap');
  await writeFile(file, tcpPcapOf(taps.flatMap(({ connections }) => connections)));
  const read = async (...args: readonly string[]): Promise<readonly string[]> => {
    const known = ['-d', 'tcp.port==5060,sip', '-d', 'tcp.port==2855,msrp'];
    const { code, output } = await run('tshark', ['-n', '-r', file, ...known, ...args]);
    t.equal(code, 0, code === 0 ? 'tshark' : output);
    return output.split('\n').filter((text) => text !== '' && !text.startsWith('Running as user'));
  };
  // A REGISTER or INVITE that is refused is no malformation.
  t.same(await read('-Y', '_ws.malformed || _ws.expert.group == "Malformed"'), []);
  const methods = (await read('-Y', 'sip', '-T', 'fields', '-e', 'sip.Method', '-e', 'sip.Status-Code')).join(' ');
  for (const seen of ['INVITE', 'SUBSCRIBE', 'NOTIFY', 'BYE', '200', '404'])
    t.ok(methods.includes(seen), `SIP ${seen}`);
  // Of several frames in one segment the dissector reads the first.
  const frames = (await read('-Y', 'msrp', '-T', 'fields', '-e', 'msrp.method', '-e', 'msrp.status.code')).join(' ');
  for (const seen of ['SEND', 'NICKNAME', '200', '404']) t.ok(frames.includes(seen), `MSRP ${seen}`);
});

t.test(
  'xmllint finds every conference document of a lively room valid',
  { skip: skipWithout('xmllint') },
  async (t) => {
    const lobby =
      '{display_text: "The <lobby> & more", subject: "a \\"subject\\"", services: [{uri: "xmpp:lobby@muc.example.org"}]}';
    const stage = await raise(`rooms.named.lobby=${lobby}`);
    t.teardown(() => stage.close());
    const folder = await directory(t);
    const files: string[] = [];
    const carol = await SipPhone.connect('carol', stage.sip);
    await carol.request('SUBSCRIBE', ROOM, { headers: ['Event: conference', 'Expires: 600'] });
    const document = async (): Promise<string> => {
      const text = Buffer.from((await carol.next('NOTIFY')).body).toString();
      const file = joinPath(folder, `${String(files.length)}.xml`);
      files.push(file);
      await writeFile(file, text);
      return text;
    };
    await document();
    const alice = await join(stage, 'alice');
    const bob = await join(stage, 'bob');
    while (!(await document()).includes('sip:bob@')) continue;
    t.equal((await bob.line.request('NICKNAME', ['Use-Nickname: "<Bob> & \\"Co\\" 🎉"'])).what, '200');
    while (!(await document()).includes('nickname=')) continue;
    await alice.leave();
    while (!(await document()).includes('disconnected')) continue;
    await bob.leave();
    while (!(await document()).includes('state="deleted"')) continue;
    const { code, output } = await run('xmllint', [
      '--nonet',
      '--noout',
      '--schema',
      'test/vectors/conference-info.xsd',
      ...files,
    ]);
    t.equal(code, 0, output);
    t.ok(files.length >= 5);
  },
);
