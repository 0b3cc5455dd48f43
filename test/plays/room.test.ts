import { isIP } from 'node:net';
import t from 'tap';
import { loadConfig } from '../../src/config/load.ts';
import { SipPhone } from './sip-phone.ts';
import { join, messageSdp, newPath, raise } from './stage.ts';

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

t.test('every address of this machine, IPv4 and IPv6, for SIP and for MSRP', async (t) => {
  const stage = await raise(
    ...["sip.host=[0.0.0.0, '::']", "msrp.host=[0.0.0.0, '::']"],
    'open_to_network=[anybody may join, others may read along]',
  );
  t.teardown(() => stage.close());
  const { addresses } = stage.service;
  const msrp = addresses.filter(({ protocol }) => protocol === 'MSRP');
  t.same(
    msrp.map(({ host }) => host),
    ['0.0.0.0', '::'],
  );
  t.equal(new Set(msrp.map(({ port }) => port)).size, 1);
});

t.test('who finds no place for one more room is told so, and not that there is no such room', async (t) => {
  const stage = await raise('rooms.maximum=1');
  t.teardown(() => stage.close());
  const alice = await join(stage, 'alice');
  const bob = await SipPhone.connect('bob', stage.sip);
  for (const [method, extra] of [
    ['INVITE', { contentType: 'application/sdp', body: messageSdp(newPath()) }],
    ['SUBSCRIBE', { headers: ['Event: conference'] }],
  ] as const) {
    const { response } = await bob.request(method, 'sip:another@127.0.0.1', extra);
    t.equal(response.status, 480);
    t.equal(response.headers.get('Warning'), '399 focus "There are as many rooms as may be (rooms.maximum)"');
    t.ok(response.headers.has('Retry-After'));
  }
  await alice.leave();
  await join(stage, 'bob', 'sip:another@127.0.0.1');
});

t.test('where to listen may be said by name, which is looked up at the start', async (t) => {
  const named = ['sip.host=localhost', 'msrp.host=localhost', 'http.host=localhost'];
  const stage = await raise(...named);
  const { addresses } = stage.service;
  t.equal(addresses.length, 4);
  t.ok(addresses.every(({ host }) => isIP(host) !== 0));
  const alice = await join(stage, 'alice', 'sip:lobby@localhost');
  t.equal(await alice.say('hi'), '200', 'by the paths of that address');
  const { fixed } = stage.service.reload(loadConfig({ options: named }));
  t.notOk(
    fixed.some((key) => key.endsWith('host')),
    'a name that stays is no change',
  );
  const { host, port } = addresses.find(({ protocol }) => protocol === 'MSRP') ?? {};
  t.ok(alice.line.room.startsWith(`msrp://${host?.includes(':') === true ? `[${host}]` : host}:${port}/`));
  await alice.leave();
  await stage.close();

  const nowhere = raise('sip.host=nowhere.invalid', 'open_to_network=[anybody may join, others may read along]');
  await t.rejects(nowhere, { name: 'HostError', message: /^sip\.host: no address of nowhere\.invalid is known/ });
});
