import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import t from 'tap';
import { SocketTransport, type ListenOptions } from '../../sip/index.ts';
import { loadConfig } from '../../src/config/load.ts';
import { Certificates } from '../../src/service/certificates.ts';
import { listenSip } from '../../src/service/listen.ts';
import { ownAddress } from '../own-address.ts';

t.test(
  'where the system chooses the port, UDP and TCP get the same one even if others hold the first tried',
  async (t) => {
    const config = loadConfig({ options: ['sip.port=0', `sip.host=${ownAddress}`] });
    const none = () => undefined;
    const transport = new SocketTransport({}, { receive: none, unframeable: none, flowClosed: none });
    t.teardown(() => transport.close());
    const others = createSocket('udp4');
    t.teardown(() => others.close());
    const tried: string[] = [];
    const listen = async (options: ListenOptions) => {
      tried.push(options.transport);
      if (tried.length === 2) {
        others.bind(options.port, ownAddress);
        await once(others, 'listening');
      }
      return transport.listen(options);
    };
    const served = await listenSip(config, await Certificates.open(config, ['localhost']), { listen });
    t.same(tried, ['TCP', 'UDP', 'TCP', 'UDP']);
    t.same(
      served.map((one) => one.transport),
      ['TCP', 'UDP'],
    );
    t.equal(served[0]?.port, served[1]?.port);
    t.not(served[0]?.port, others.address().port);
  },
);
