import { writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { join } from 'node:path';
import { connect } from 'node:tls';
import t from 'tap';
import { loadConfig } from '../../src/config/load.ts';
import { makeCertificate } from '../../src/ops/certificate.ts';
import { join as enter, messageSdp, newPath, raise, ROOM } from './stage.ts';
import { SipPhone } from './sip-phone.ts';

/** The fingerprint of the certificate that is shown at a port. */
async function shownAt(port: number): Promise<string> {
  const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false });
  await once(socket, 'secureConnect');
  const { fingerprint256 } = socket.getPeerCertificate();
  socket.destroy();
  return fingerprint256;
}

t.test('a renewed certificate is shown by SIP, MSRP, HTTPS and SDP without a restart', async (t) => {
  const dir = t.testdir();
  const [crt, key] = [join(dir, 'crt.pem'), join(dir, 'key.pem')];
  const install = async (): Promise<string> => {
    const { certificate, key: secret, fingerprint } = await makeCertificate(['localhost', '127.0.0.1']);
    writeFileSync(crt, certificate);
    writeFileSync(key, secret);
    return fingerprint;
  };
  const first = await install();
  const options = [`tls.certificate=${crt}`, `tls.key=${key}`, 'sip.tls_port=0', 'http.tls=true'];
  const stage = await raise(...options);
  t.teardown(() => stage.close());
  const ports = stage.service.addresses
    .filter(({ protocol, transport }) => protocol !== 'SIP' || transport === 'TLS')
    .map(({ port }) => port);
  t.equal(ports.length, 3);
  const shown = () => Promise.all(ports.map(shownAt));
  const inSdp = async (name: string): Promise<string> => {
    const phone = await SipPhone.connect(name, stage.sip);
    t.teardown(() => phone.hangUp());
    const body = messageSdp(
      newPath('msrps'),
      [`fingerprint:sha-256 ${first}`].map((line) => `a=${line}`),
      'TCP/TLS/MSRP',
    );
    const { response, dialog } = await phone.request('INVITE', ROOM, { contentType: 'application/sdp', body });
    phone.ack(dialog);
    return /^a=fingerprint:sha-256 (\S+)/im.exec(Buffer.from(response.body).toString())?.[1] ?? '';
  };
  t.same(await shown(), [first, first, first]);
  t.equal(await inSdp('alice'), first);

  const config = loadConfig({ options });
  writeFileSync(key, 'broken');
  stage.service.reload(config);
  t.same(await shown(), [first, first, first], 'what cannot be used changes nothing');
  t.ok(stage.lines.some((line) => line.includes('the certificate stays as it was')));

  const second = await install();
  stage.service.reload(config);
  t.same(await shown(), [second, second, second]);
  t.equal(await inSdp('bob'), second);
  const carol = await enter(stage, 'carol');
  t.equal(await carol.say('still here'), '200');
});
