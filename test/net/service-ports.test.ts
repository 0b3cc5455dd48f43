import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, Server } from 'node:net';
import t from 'tap';
import { SocketTransport, type ListenOptions } from '../../sip/index.ts';
import { loadConfig } from '../../src/config/load.ts';
import { Certificates } from '../../src/service/certificates.ts';
import { listenSip } from '../../src/service/listen.ts';
import { ownAddress } from '../own-address.ts';
import { raise } from '../plays/stage.ts';

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

t.test('a connection that the system cannot give us is no end of any listener', async (t) => {
  const servers: Server[] = [];
  const restored = Server.prototype.listen;
  t.teardown(() => (Server.prototype.listen = restored));
  Server.prototype.listen = function (this: Server, ...order: unknown[]) {
    servers.push(this);
    return Reflect.apply(restored, this, order) as Server;
  } as typeof restored;
  const stage = await raise();
  t.teardown(() => stage.close());
  t.equal(servers.length, 3, 'of SIP, MSRP and HTTP');
  for (const server of servers) {
    server.emit('error', new Error('accept ENOBUFS'));
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('a listener without a port');
    const socket = connect(address.port, address.address);
    await once(socket, 'connect');
    socket.destroy();
  }
});
