/** A changed configuration that is taken over while people talk. */
import { join as joinPath } from 'node:path';
import { writeFileSync } from 'node:fs';
import t from 'tap';
import { loadConfig } from '../../src/config/load.ts';
import { afterReload, compareConfigs, type ConfigChange } from '../../src/config/reload.ts';
import { makeCertificate } from '../../src/ops/certificate.ts';
import { join, messageSdp, newPath, raise, ROOM, type Stage } from './stage.ts';
import { SipPhone } from './sip-phone.ts';

const inMemory = 'rooms.defaults.durability=memory';

/** The service takes over what it can of a configuration with these settings. */
function reload({ service }: Stage, options: readonly string[]): ConfigChange {
  return service.reload(loadConfig({ options }));
}

t.test('a room that is alive stays open when rooms are no longer made on demand', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const alice = await join(stage, 'alice');
  reload(stage, [inMemory, 'rooms.on_demand=false']);
  await t.rejects(join(stage, 'bob', 'sip:another@127.0.0.1'), /404/);
  const bob = await join(stage, 'bob');
  t.equal(await alice.say('come in'), '200');
  await bob.hears('come in');
  const watching = await bob.phone.request('SUBSCRIBE', ROOM, { headers: ['Event: conference', 'Expires: 600'] });
  t.equal(watching.response.status, 200);
  await alice.leave();
  await bob.leave();
  await t.rejects(join(stage, 'carol'), /404/, 'with its last participant it has ended');
});

t.test('what needs a restart is named, and holds until then', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const { fixed, reloadable } = reload(stage, [inMemory, 'msrp.max_message=2KiB', 'rooms.defaults.history_messages=0']);
  t.ok(fixed.includes('msrp.max_message'));
  t.notOk(reloadable.includes('msrp.max_message'));
  const alice = await join(stage, 'alice');
  t.match(alice.answer, `a=max-size:${String(10 * 1024 * 1024)}\r\n`);
  t.equal(await alice.say('a'.repeat(4096)), '200', 'as the SDP has promised');
});

t.test('rooms that ask for the disk need a restart where there was no file, as do those that give it up', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  const toDisk = reload(stage, ['rooms.named.lobby={durability: disk, subject: Tea}', inMemory]);
  t.ok(
    toDisk.fixed.includes('rooms.named.lobby.durability'),
    'or people would be told that the disk keeps what they say',
  );
  const toMemory = reload(stage, [inMemory]);
  t.notOk(
    toMemory.fixed.some((key) => key.includes('durability')),
    'it is as at the start',
  );

  const onDisk = await raise('rooms.defaults.durability=disk');
  t.teardown(() => onDisk.close());
  const some = ['rooms.defaults.durability=memory', 'rooms.named.lobby.durability=disk'];
  const { reloadable, fixed } = reload(onDisk, some);
  t.ok(reloadable.includes('rooms.defaults.durability'));
  t.notOk(fixed.some((key) => key.includes('durability')));
  const none = reload(onDisk, [inMemory]);
  t.ok(none.fixed.includes('rooms.defaults.durability'), 'the file is still written to');
});

t.test('a certificate that cannot be used is not told to be taken over', async (t) => {
  const dir = t.testdir();
  const [crt, key] = [joinPath(dir, 'crt.pem'), joinPath(dir, 'key.pem')];
  const { certificate, key: secret, fingerprint } = await makeCertificate(['127.0.0.1']);
  writeFileSync(crt, certificate);
  writeFileSync(key, secret);
  const stage = await raise(`tls.certificate=${crt}`, `tls.key=${key}`, 'sip.tls_port=0');
  t.teardown(() => stage.close());
  const other = [inMemory, `tls.certificate=${joinPath(dir, 'gone.pem')}`, `tls.key=${key}`];
  for (const time of ['once', 'twice']) {
    const { reloadable, fixed, unusable } = reload(stage, other);
    t.same(unusable, ['tls.certificate'], time);
    t.notOk([...reloadable, ...fixed].includes('tls.certificate'), time);
  }
  const phone = await SipPhone.connect('alice', stage.sip);
  t.teardown(() => phone.hangUp());
  const body = messageSdp(newPath('msrps'), [`a=fingerprint:sha-256 ${fingerprint}`], 'TCP/TLS/MSRP');
  const { response, dialog } = await phone.request('INVITE', ROOM, { contentType: 'application/sdp', body });
  phone.ack(dialog);
  t.match(Buffer.from(response.body).toString(), fingerprint);
});

t.test('the first certificate needs a restart, also when it is another one the next time', async (t) => {
  const stage = await raise();
  t.teardown(() => stage.close());
  for (const name of ['a', 'b']) {
    const { reloadable, fixed } = reload(stage, [inMemory, `tls.certificate=${name}.pem`, 'tls.key=key.pem']);
    t.notOk(reloadable.includes('tls.certificate'), name);
    t.ok(fixed.includes('tls.certificate'), name);
  }
});

t.test('what is said to be taken over is, and nothing else', async (t) => {
  const before = loadConfig({ options: [inMemory] });
  const taken = [
    ...['rooms.on_demand=false', 'rooms.defaults.history_messages=0', 'rooms.named.lobby.subject=Tea'],
    ...['peers=[{user_agent: "Whole/*", chunks: false}]', 'logging.level=debug'],
  ];
  const restart = ['rooms.maximum=3', 'rooms.pin_tries=3', 'logging.format=json', 'msrp.max_message=2KiB'];
  const after = loadConfig({ options: [inMemory, ...taken, ...restart] });
  const { reloadable, fixed } = compareConfigs(before, after);
  t.same([reloadable.length, fixed.length], [taken.length, restart.length]);
  t.same(compareConfigs(before, afterReload(before, after)), { reloadable, fixed: [] });
});

t.test('logging.level: trace tells each SIP message as it is on the wire, debug none', async (t) => {
  for (const level of ['trace', 'debug']) {
    const stage = await raise(`logging.level=${level}`);
    t.teardown(() => stage.close());
    const phone = await SipPhone.connect('alice', stage.sip);
    t.teardown(() => {
      phone.hangUp();
    });
    await phone.request('OPTIONS', ROOM);
    const told = stage.lines.filter((line) => / trace sip: /.test(line));
    if (level === 'debug') t.same(told, []);
    else {
      t.match(told, [
        /received flow=tcp-1 peer="127\.0\.0\.1 \d+" message="OPTIONS sip:lobby@127\.0\.0\.1 SIP\/2\.0\\r\\nVia: .*\\r\\n\\r\\n"\n$/,
        /sent flow=tcp-1 peer="127\.0\.0\.1 \d+" message="SIP\/2\.0 \d{3} .*Content-Length: 0\\r\\n\\r\\n"\n$/,
      ]);
      t.equal(told.length, 2);
    }
  }
});
