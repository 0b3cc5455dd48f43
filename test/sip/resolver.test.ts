import t from 'tap';
import { orderSrv, Resolver } from '../../sip/resolver.ts';
import type { Dns, NaptrRecord, SrvRecord } from '../../sip/resolver.ts';
import { rememberingDns, systemDns } from '../../sip/transport/dns.ts';
import type { NextHop, Target, TransportFailure, TransportName } from '../../sip/transport/flow.ts';

interface Table {
  readonly naptr?: Readonly<Record<string, readonly NaptrRecord[]>>;
  readonly srv?: Readonly<Record<string, readonly SrvRecord[]>>;
  readonly addresses?: Readonly<Record<string, readonly string[]>>;
}

/** A DNS that answers from a table and remembers what it was asked. */
function fakeDns(table: Table, asked: string[] = []): Dns {
  return {
    naptr: (name) => {
      asked.push(`NAPTR ${name}`);
      return Promise.resolve(table.naptr?.[name] ?? []);
    },
    srv: (name) => {
      asked.push(`SRV ${name}`);
      return Promise.resolve(table.srv?.[name] ?? []);
    },
    addresses: (name) => {
      asked.push(`A ${name}`);
      return table.addresses?.[name] === undefined
        ? Promise.reject(new Error(`no ${name}`))
        : Promise.resolve(table.addresses[name]);
    },
  };
}

const naptr = (order: number, service: string, replacement: string, flags = 's'): NaptrRecord => ({
  order,
  preference: 50,
  flags,
  service,
  replacement,
});
const srv = (priority: number, weight: number, port: number, target: string): SrvRecord => ({
  priority,
  weight,
  port,
  target,
});

interface Given {
  readonly supports?: (transport: TransportName, family: 4 | 6) => boolean;
  readonly bytes?: number;
  readonly asked?: string[];
}

/** Where a URI leads, as `TRANSPORT address port`. */
async function locate(table: Table, hop: Partial<NextHop> & { host: string }, given: Given = {}): Promise<string[]> {
  const resolver = new Resolver({
    dns: fakeDns(table, given.asked),
    supports: given.supports ?? (() => true),
    maxUdpRequestBytes: 1_300,
    random: () => 0,
  });
  const found = await new Promise<readonly Target[] | TransportFailure>((resolve) => {
    const whole = { secure: false, port: undefined, transport: undefined, ...hop };
    resolver.locate(whole, given.bytes ?? 100, resolve);
  });
  if ('failed' in found) return [found.failed];
  return found.map(({ transport, remote }) => `${transport} ${remote.address} ${remote.port}`);
}

const example: Table = {
  naptr: {
    'example.com': [
      naptr(100, 'SIP+D2U', '_sip._udp.example.com'),
      naptr(50, 'SIPS+D2T', '_sips._tcp.example.com'),
      naptr(90, 'SIP+D2T', '_sip._tcp.example.com'),
      naptr(1, 'SIP+D2S', '_sip._sctp.example.com'),
      naptr(1, 'E2U+sip', 'nonsense.example.com', 'u'),
    ],
  },
  srv: {
    '_sips._tcp.example.com': [srv(0, 1, 5061, 'server1.example.com')],
    '_sip._tcp.example.com': [srv(1, 1, 5070, 'server2.example.com'), srv(0, 1, 5060, 'server1.example.com')],
    '_sip._udp.example.com': [srv(0, 1, 5060, 'server1.example.com')],
  },
  addresses: {
    'server1.example.com': ['192.0.2.1', '2001:db8::1'],
    'server2.example.com': ['192.0.2.2'],
    'example.com': ['192.0.2.9'],
    'plain.example.net': ['192.0.2.7'],
  },
};

t.test('RFC 3263 §4.1: the transport', async (t) => {
  t.strictSame(
    await locate(example, { host: 'example.com' }),
    ['TLS 192.0.2.1 5061', 'TLS 2001:db8::1 5061'],
    'the most preferred NAPTR record that we can follow',
  );
  t.strictSame(
    await locate(example, { host: 'example.com' }, { supports: (transport) => transport !== 'TLS' }),
    ['TCP 192.0.2.1 5060', 'TCP 2001:db8::1 5060', 'TCP 192.0.2.2 5070'],
    'without TLS the next; SRV records by priority',
  );
  t.strictSame(await locate(example, { host: 'example.com', secure: true }), [
    'TLS 192.0.2.1 5061',
    'TLS 2001:db8::1 5061',
  ]);
  const asked: string[] = [];
  t.strictSame(
    await locate(example, { host: 'example.com', transport: 'udp' }, { asked }),
    ['UDP 192.0.2.1 5060', 'UDP 2001:db8::1 5060'],
    'a stated transport needs no NAPTR',
  );
  t.strictSame(asked, ['SRV _sip._udp.example.com', 'A server1.example.com']);
  t.strictSame(await locate(example, { host: '192.0.2.5' }), ['UDP 192.0.2.5 5060'], 'numeric: UDP');
  t.strictSame(await locate(example, { host: '[2001:db8::5]', port: 5080 }), ['UDP 2001:db8::5 5080']);
  t.strictSame(await locate(example, { host: '192.0.2.5', secure: true }), ['TLS 192.0.2.5 5061']);
  t.strictSame(await locate(example, { host: '192.0.2.5', transport: 'tls' }), ['TLS 192.0.2.5 5061']);
  t.strictSame(await locate(example, { host: '192.0.2.5', transport: 'tcp', secure: true }), ['TLS 192.0.2.5 5061']);
  t.strictSame(await locate(example, { host: '192.0.2.5', transport: 'udp', secure: true }), ['unresolvable']);
  t.strictSame(await locate(example, { host: '192.0.2.5', transport: 'ws' }), ['unresolvable'], 'RFC 7118');
  t.strictSame(
    await locate(example, { host: '192.0.2.5' }, { supports: (transport) => transport !== 'UDP' }),
    ['TCP 192.0.2.5 5060'],
    'a host without UDP',
  );
});

t.test('RFC 3263 §4.1: no NAPTR records: SRV for each transport; no SRV: the host itself', async (t) => {
  const { naptr: _none, ...srvOnly } = example;
  t.strictSame(await locate(srvOnly, { host: 'example.com' }), [
    'TCP 192.0.2.1 5060',
    'TCP 2001:db8::1 5060',
    'TCP 192.0.2.2 5070',
    'UDP 192.0.2.1 5060',
    'UDP 2001:db8::1 5060',
  ]);
  t.strictSame(await locate(srvOnly, { host: 'example.com', secure: true }), [
    'TLS 192.0.2.1 5061',
    'TLS 2001:db8::1 5061',
  ]);
  t.strictSame(await locate(example, { host: 'plain.example.net' }), ['UDP 192.0.2.7 5060']);
  t.strictSame(await locate(example, { host: 'plain.example.net', secure: true }), ['TLS 192.0.2.7 5061']);
  t.strictSame(await locate(example, { host: 'plain.example.net', transport: 'tcp' }), ['TCP 192.0.2.7 5060']);
});

t.test('RFC 3263 §4.2: with a port only addresses are asked for', async (t) => {
  const asked: string[] = [];
  t.strictSame(await locate(example, { host: 'example.com', port: 5060 }, { asked }), ['UDP 192.0.2.9 5060']);
  t.strictSame(asked, ['A example.com']);
  t.strictSame(await locate(example, { host: 'example.com', port: 5062, secure: true }), ['TLS 192.0.2.9 5062']);
});

t.test('RFC 3261 §18.1.1: each UDP address is tried by TCP first when the request is large', async (t) => {
  t.strictSame(await locate(example, { host: '192.0.2.5' }, { bytes: 1_301 }), [
    'TCP 192.0.2.5 5060',
    'UDP 192.0.2.5 5060',
  ]);
  t.strictSame(await locate(example, { host: 'example.com', transport: 'udp' }, { bytes: 9_999 }), [
    'TCP 192.0.2.1 5060',
    'UDP 192.0.2.1 5060',
    'TCP 2001:db8::1 5060',
    'UDP 2001:db8::1 5060',
  ]);
});

t.test('what cannot be reached falls out, and failures of DNS are failures', async (t) => {
  const only4 = { supports: (_: TransportName, family: 4 | 6) => family === 4 };
  t.strictSame(await locate(example, { host: 'example.com', transport: 'udp' }, only4), ['UDP 192.0.2.1 5060']);
  t.strictSame(await locate(example, { host: '[2001:db8::1]' }, only4), ['unresolvable']);
  t.strictSame(await locate({}, { host: 'nowhere.example' }), ['unresolvable']);
  const half: Table = {
    srv: { '_sip._tcp.h.example': [srv(0, 0, 1, 'gone.example'), srv(1, 0, 2, 'here.example'), srv(2, 0, 3, '.')] },
    addresses: { 'here.example': ['192.0.2.3'] },
  };
  t.strictSame(await locate(half, { host: 'h.example', transport: 'tcp' }), ['TCP 192.0.2.3 2'], 'one name fails');
  const many: Table = { addresses: { 'many.example': Array.from({ length: 100 }, (_, n) => `192.0.2.${n}`) } };
  t.equal((await locate(many, { host: 'many.example' })).length, 16, 'bounded');
});

t.test('RFC 2782: priority first, then weight by chance', (t) => {
  const records = [srv(1, 0, 4, 'd'), srv(0, 10, 2, 'b'), srv(0, 0, 1, 'a'), srv(0, 90, 3, 'c')];
  const order = (random: number): string =>
    orderSrv(records, () => random)
      .map((record) => record.target)
      .join('');
  t.equal(order(0), 'abcd', 'one of weight 0 has a small chance');
  t.equal(order(0.05), 'bcad');
  t.equal(order(0.999), 'cbad');
  let first = 0;
  for (let n = 0; n < 1_000; n += 1) if (orderSrv(records, () => n / 1_000)[0]?.target === 'c') first += 1;
  t.ok(first > 850 && first < 950, `${first} of 1000 for 90 of 100`);
  t.strictSame(orderSrv([], Math.random), []);
  t.end();
});

t.test('the memory of answers: one question at a time, bounded in life and number', async (t) => {
  const asked: string[] = [];
  let now = 0;
  const dns = rememberingDns(
    fakeDns({ addresses: { 'a.example': ['192.0.2.1'], 'b.example': [], 'c.example': ['192.0.2.3'] } }, asked),
    {
      answerLife: 100,
      absenceLife: 10,
      maxAnswers: 2,
      maxQuestions: 2,
      clock: () => now,
    },
  );
  await Promise.all([dns.addresses('a.example'), dns.addresses('A.Example')]);
  t.strictSame(asked.splice(0), ['A a.example']);
  await dns.addresses('b.example');
  now = 11;
  await dns.addresses('a.example');
  t.strictSame(asked.splice(0), ['A b.example'], 'the first answer still lives');
  await dns.addresses('b.example');
  t.strictSame(asked.splice(0), ['A b.example'], 'that there is none is kept for less long');
  await dns.addresses('c.example');
  await dns.addresses('a.example');
  t.strictSame(asked.splice(0), ['A c.example', 'A a.example'], 'the oldest was forgotten');
  now = 200;
  await dns.addresses('a.example');
  t.strictSame(asked.splice(0), ['A a.example']);
  await t.rejects(dns.addresses('fails.example'));
  await t.rejects(dns.addresses('fails.example'));
  t.equal(asked.splice(0).length, 2, 'a failure to ask is not kept');
  const three = await Promise.allSettled(['x', 'y', 'z'].map((name) => dns.srv(name)));
  t.strictSame(
    three.map(({ status }) => status),
    ['fulfilled', 'fulfilled', 'rejected'],
    'too many at once',
  );
});

t.test('the system DNS knows the names of the hosts file', async (t) => {
  // No server answers at this port: only the hosts file can.
  const dns = systemDns({ servers: ['127.0.0.1:9'], timeout: 50, tries: 1 });
  t.ok((await dns.addresses('localhost')).includes('127.0.0.1'));
  await t.rejects(dns.srv('_sip._tcp.example.com'));
});
