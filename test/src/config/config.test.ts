import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { ConfigError, nearest } from '../../../src/config/faults.ts';
import { allKeys } from '../../../src/config/keys.ts';
import { loadConfig, readConfig, type ConfigInput } from '../../../src/config/load.ts';
import { compareConfigs, RELOADABLE } from '../../../src/config/reload.ts';
import { OPENLY, roomConfig, schema } from '../../../src/config/schema.ts';
import { variableOf } from '../../../src/config/sources.ts';
import { isLoopback } from '../../../src/config/units.ts';
import { absoluteUri } from '../../../src/conference/ids.ts';
import { MAX_READ } from '../../../src/log/room-log.ts';

/** The faults of a configuration as lines; none if there are none. */
function faultsOf(input: ConfigInput): readonly string[] {
  try {
    readConfig(input);
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.message.split('\n');
  }
}

const file = (text: string): ConfigInput => ({ file: { name: 'my.yaml', text } });

t.test('default.yaml alone is a whole configuration, on loopback and open', async (t) => {
  const config = readConfig({});
  t.match(config.sip, { host: ['127.0.0.1'], port: 5060, udp: true, tcp: true, t1: 500, session_expires: 1_800_000 });
  t.match(config.msrp, { host: ['127.0.0.1'], port: 2855, max_message: 10_485_760, chunk_timeout: 540_000 });
  t.match(config.http, { host: '127.0.0.1', port: 8080 });
  t.equal(config.auth.mode, 'open');
  t.equal(config.rooms.defaults.durability, 'disk');
});

t.test('what is wrong is said in words that an operator writes in', async (t) => {
  const faults = faultsOf(
    file(
      ['domains: example.org', 'http: { origins: [foo] }', 'dialling: { proxy: proxy.example.org }'].join('\n') +
        '\nrooms: { defaults: { pin: 4711, subject: 5 } }',
    ),
  );
  t.same([...faults].sort(), [
    'my.yaml:1:1: domains: expected a list, in brackets: [one, two], not "example.org"',
    `my.yaml:2:19: http.origins.0: expected an origin such as https://chat.example.org, or '*', not "foo"`,
    'my.yaml:3:13: dialling.proxy: expected a SIP URI such as sip:proxy.example.org;lr, not "proxy.example.org"',
    `my.yaml:4:22: rooms.defaults.pin: expected text, in quotes where it looks like something else: '4711', not 4711`,
    `my.yaml:4:33: rooms.defaults.subject: expected text, in quotes where it looks like something else: '4711', not 5`,
  ]);
});

t.test('ports for audio go by two, the first of them even', async (t) => {
  const audio = (first: number, last: number) =>
    faultsOf(file(`audio: { first_port: ${String(first)}, last_port: ${String(last)} }`));
  t.same(audio(40_000, 40_001), []);
  t.same(audio(40_001, 40_003), []);
  t.match(audio(40_001, 40_002), [/^my\.yaml:1:\d+: audio\.first_port: must be even/]);
});

t.test('a room that no call would find is a fault', async (t) => {
  const named = (name: string) => faultsOf(file(`rooms: { named: { '${name}': {} } }`));
  for (const name of ['lobby', 'caf%C3%A9', 'a%20b', 'x;y=1']) t.same(named(name), [], name);
  for (const name of ['lo%62by', 'caf%c3%a9', 'a%2', 'a%']) {
    const fault = 'expected escapes such as %C3%A9 in capitals, and only where they are needed';
    t.same(named(name), [`my.yaml:1:19: rooms.named.${name}: ${fault}`]);
  }
  t.match(named('conference-factory'), [/that name is the factory/]);
});

t.test('default.yaml explains every key where it stands', async (t) => {
  const lines = readFileSync('config/default.yaml', 'utf8').split('\n');
  const sections = new Set(['advertise', 'defaults']);
  for (const key of allKeys(schema)) {
    const name = key.split('.').at(-1) ?? '';
    const at = lines.findIndex((line) => new RegExp(`^ *${name}:`).test(line));
    t.ok(at >= 0, `${key} stands in default.yaml`);
    if (sections.has(name)) continue;
    // A run of keys may share the comment above its first one.
    let above = at - 1;
    while (/^ *[a-z0-9_]+:/.test(lines[above] ?? '')) above--;
    t.match(lines[above], /^ *#/, `${key} has a comment above it`);
  }
});

t.test('production.example.yaml is well, and protected', async (t) => {
  const config = loadConfig({ file: 'config/production.example.yaml' });
  t.equal(config.auth.mode, 'digest');
  t.same(config.open_to_network, []);
  t.equal(roomConfig(config, 'lobby').permanent, true);
});

t.test('a later place wins: file, environment, command line', async (t) => {
  const input = {
    ...file('sip: { port: 1, host: localhost, t1: 1s }'),
    environment: { GTC_SIP_PORT: '2', GTC_SIP_T1: '2s', GTC_CONFIG: 'my.yaml', GTC_PASSWORD: 'p', PATH: '/bin' },
    options: ['sip.port=3'],
  };
  t.match(readConfig(input).sip, { host: ['localhost'], t1: 2000, port: 3, tcp: true });
});

t.test('a variable finds its key through names with underscores and through free names', async (t) => {
  const environment = {
    GTC_MSRP_MAX_MESSAGE: '1MiB',
    GTC_ROOMS_NAMED_BOARD_ROOM_MAXIMUM_USERS: '12',
    GTC_ROOMS_NAMED_BOARD_ROOM_SUBJECT: 'yes: or no',
    GTC_DOMAINS: '[a.example, b.example]',
    GTC_SIP_ADVERTISE_HOST: 'null',
  };
  const config = readConfig({ environment });
  t.equal(config.msrp.max_message, 1_048_576);
  t.same(config.rooms.named, { board_room: { maximum_users: 12, subject: 'yes: or no' } });
  t.same(config.domains, ['a.example', 'b.example']);
  t.equal(config.sip.advertise.host, null);
});

t.test('each key has a variable of its own', async (t) => {
  const names = allKeys(schema).map(variableOf);
  t.equal(new Set(names).size, names.length);
});

t.test('sections merge, lists are replaced, an empty section changes nothing', async (t) => {
  const config = readConfig(
    file('sip:\nauth: { algorithms: [MD5] }\nrooms: { defaults: { roles: { "sip:a@b": owner } } }'),
  );
  t.equal(config.sip.port, 5060);
  t.same(config.auth.algorithms, ['MD5']);
  t.same(config.rooms.defaults.roles, { 'sip:a@b': 'owner' });
  t.same(readConfig(file('')), readConfig({}), 'an empty file is the defaults');
});

t.test('a room has its own settings over those of all', async (t) => {
  const config = readConfig(
    file('rooms: { defaults: { subject: all }, named: { lobby: { permanent: true }, toString: {} } }'),
  );
  t.match(roomConfig(config, 'lobby'), { permanent: true, subject: 'all' });
  t.same(roomConfig(config, 'other'), config.rooms.defaults);
  t.same(roomConfig(config, 'constructor'), config.rooms.defaults, 'no name finds what every object has');
});

t.test('services of a room are chat rooms unless they say otherwise (RFC 7106)', async (t) => {
  const config = readConfig(file('rooms: { defaults: { services: [{ uri: "xmpp:a@b" }] } }'));
  t.same(config.rooms.defaults.services, [{ uri: 'xmpp:a@b', purpose: 'grouptextchat', display_text: null }]);
});

t.test('what a room could not be opened with is a fault of the configuration, no 500 for its callers', async (t) => {
  const uris = [
    'https://a.example/?q="2"',
    'xmpp:ö@b',
    'x:%zz',
    'https://a:b:c/',
    'https://[::1/',
    'a:b#c#d',
    'a:',
    'a: b',
  ];
  for (const uri of uris) {
    for (const list of ['services', 'conf_uris', 'host_uris']) {
      const fault = new RegExp(`${list}\\.0\\.uri: expected an absolute URI`);
      t.match([...faultsOf(file(JSON.stringify({ rooms: { defaults: { [list]: [{ uri }] } } })))], [fault], uri);
    }
  }
  for (const user of ['sip:ö@b', 'sip:a"@b', 'sip:a@b@c', 'sip:%@b', 'tel:+49 1']) {
    const roles = { rooms: { defaults: { roles: { [user]: 'owner' } } } };
    t.match([...faultsOf(file(JSON.stringify(roles)))], [/expected an address of record/], user);
  }
  const good = [
    'xmpp:a@b',
    'irc://irc.example.org/%23chat',
    'https://[::1]:8080/x?y=1&z=2#there',
    'sip:a@[2001:db8::1]',
  ];
  for (const uri of good) {
    t.doesNotThrow(() => absoluteUri(uri), uri);
    const [service] = readConfig(file(JSON.stringify({ rooms: { defaults: { services: [{ uri }] } } }))).rooms.defaults
      .services;
    t.equal(service?.uri, uri);
  }
});

t.test('every fault is named, at its place, all at once', async (t) => {
  const text = [
    'sip:',
    '  prt: 5060',
    '  port: many',
    '  t1: 5',
    'rooms:',
    '  named:',
    '    "no room":',
    '      subject: x',
    '    lobby:',
    '      roles:',
    '        alice: owner',
    'peers:',
    '  - user_agent: A',
    '    chunks: perhaps',
    'lgging: 1',
  ].join('\n');
  t.strictSame(
    [
      ...faultsOf({
        ...file(text),
        environment: { GTC_SIP_TCP: 'no', GTC_MSRP_PROT: '1' },
        options: ['http.port', 'x.y=1'],
      }),
    ].sort(),
    [
      '--set http.port: expected KEY=VALUE',
      '--set x.y=1: x.y: no such key; known here: domains, open_to_network, data, sip, msrp, http, tls, auth, rooms, factory, dialling, roster, log, audio, peers, logging, shutdown',
      'GTC_MSRP_PROT: no such key; did you mean GTC_MSRP_PORT?',
      'GTC_SIP_TCP: sip.tcp: expected boolean, not "no"',
      'my.yaml:11:9: rooms.named.lobby.roles.alice: expected an address of record such as sip:alice@example.org',
      'my.yaml:14:5: peers.0.chunks: expected boolean, not "perhaps"',
      'my.yaml:15:1: lgging: no such key; did you mean logging?',
      'my.yaml:2:3: sip.prt: no such key; did you mean sip.port?',
      'my.yaml:3:3: sip.port: expected number, not "many"',
      'my.yaml:4:3: sip.t1: expected a duration such as 30s, not 5',
      'my.yaml:7:5: rooms.named.no room: expected the user part of a SIP URI',
    ].sort(),
  );
});

t.test('what stands one section too high is told where it belongs', (t) => {
  const text = 'rooms:\n  lobby:\n    subject: x\n  roles: { sip:a@b: owner }\n  pin: 1\nadvertise: { host: a }';
  t.same(faultsOf({ ...file(text), options: ['rooms.den.pin=1'] }), [
    '--set rooms.den.pin=1: rooms.den.pin: no such key; did you mean rooms.named.den?',
    'my.yaml:2:3: rooms.lobby: no such key; did you mean rooms.named.lobby?',
    'my.yaml:4:3: rooms.roles: no such key; did you mean rooms.defaults.roles?',
    'my.yaml:5:3: rooms.pin: no such key here; there is rooms.defaults.pin',
    'my.yaml:6:1: advertise: no such key; did you mean sip.advertise?',
  ]);
  t.end();
});

t.test('a fault is told in words, at the line that has been written', (t) => {
  t.same(faultsOf(file('msrp:\n  stream_above: 1GiB\nsip:\n  port: 70000\nhttp:\n  port: -1')), [
    'my.yaml:2:3: msrp.queue_bytes: must be at least msrp.stream_above',
    'my.yaml:4:3: sip.port: expected at most 65535, not 70000',
    'my.yaml:6:3: http.port: expected at least 0, not -1',
  ]);
  t.end();
});

t.test('keys that do not go together are told beside other faults, in the order of the file', async (t) => {
  const text = [
    'audio: { mode: loud, first_port: 50000, last_port: 40000 }',
    'tls: { certificate: chain.pem }',
    'prt: 1',
    'sip: { host: 0.0.0.0, t1: 5, t2: 1ms }',
    'peers: [{ user_agent: A, chunks: perhaps }]',
  ].join('\n');
  t.match(faultsOf(file(text)), [
    /^my\.yaml:1:\d+: audio\.mode: expected/,
    /^my\.yaml:1:\d+: audio\.last_port: must be above audio\.first_port/,
    /^my\.yaml:2:1: tls: certificate and key go together/,
    /^my\.yaml:3:1: prt: no such key/,
    /^my\.yaml:4:\d+: sip\.t1: expected a duration/,
    /^my\.yaml:4:\d+: sip\.host: 0\.0\.0\.0 can be reached.*anybody may join/,
    /^my\.yaml:5:\d+: peers\.0\.chunks: expected boolean/,
  ]);
  t.equal(faultsOf(file(text)).length, 7, 'nothing is said of t2 while t1 is not known');
});

t.test('broken YAML is told with line and column', async (t) => {
  t.match(faultsOf(file('sip:\n  port: [1\n')), [/^my\.yaml:\d+:\d+: /]);
  t.match(faultsOf(file('sip: { port: 1 }\nsip: { port: 2 }')), [
    /^my\.yaml:2:1: this key is given for the second time$/,
  ]);
  const twice = 'sip: { port: nine }\nsip: { udp: perhaps }\nprt: 1\nhttp: { port: 1, port: two }';
  t.match(
    faultsOf(file(twice)),
    [
      /^my\.yaml:1:\d+: sip\.port: expected/,
      /^my\.yaml:2:1: this key is given for the second time$/,
      /^my\.yaml:2:\d+: sip\.udp: expected/,
      /^my\.yaml:3:1: prt: no such key/,
      /^my\.yaml:4:\d+: this key is given for the second time$/,
      /^my\.yaml:4:\d+: http\.port: expected/,
    ],
    'and all other faults with it',
  );
  t.match(faultsOf(file('- 1')), [/^my\.yaml: expected object/]);
  const bomb = `a: &a [1,1,1,1,1,1,1,1,1]\nb: &b [*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b]\nd: [*c,*c,*c,*c,*c]`;
  t.match(faultsOf(file(bomb))[0], /^my\.yaml: Excessive alias count/);
});

t.test('a file that cannot be read is a fault', async (t) => {
  t.throws(() => loadConfig({ file: 'no/such.yaml' }), /no\/such\.yaml: ENOENT/);
});

t.test('keys that do not go together are refused', async (t) => {
  const refused = (option: readonly string[], fault: RegExp): void => {
    t.match(faultsOf({ options: option }), [fault], option.join(' '));
  };
  refused(['sip.udp=false', 'sip.tcp=false'], /one of sip\.udp and sip\.tcp/);
  refused(['sip.t2=1ms'], /at least sip\.t1/);
  refused(['sip.session_minimum=89s'], /at least 90s/);
  refused(['sip.session_expires=91s', 'sip.session_minimum=92s'], /at least sip\.session_minimum/);
  // No more than the log gives in one read.
  for (const key of ['history_messages', 'missed_messages']) {
    refused([`rooms.defaults.${key}=${String(MAX_READ + 1)}`], new RegExp(`at most ${String(MAX_READ)}\\b`));
  }
  refused(['msrp.queue_bytes=1'], /at least msrp\.stream_above/);
  refused(['msrp.relayed_chunk=2047'], /2KiB/);
  refused(['tls.key=x'], /go together/);
  refused(['http.tls=true'], /needs tls\.certificate/);
  refused(['audio.last_port=1'], /above audio\.first_port/);
  refused(['roster.expires=1s'], /at least roster\.expires_minimum/);
});

t.test('sizes and times with which nothing would work are refused', async (t) => {
  const refused = (option: string, fault: RegExp): void => {
    t.match(faultsOf({ options: [option] }), [fault], option);
    t.equal(faultsOf({ options: [option] }).length, 1, option);
  };
  for (const zero of ['msrp.bind_timeout', 'msrp.chunk_timeout', 'msrp.congested_for', 'auth.nonce_lifetime'])
    refused(`${zero}=0`, /: must be more than 0, not /);
  refused('dialling.ring=0s', /must be more than 0/);
  refused('msrp.max_message=0', /msrp\.max_message: must be at least 2KiB/);
  refused('msrp.stream_above=0', /msrp\.stream_above: must be at least 2KiB/);
  refused('log.backlog_bytes=1', /log\.backlog_bytes: must be at least 1MiB/);
  refused('sip.message_bytes=65534', /sip\.message_bytes: must be at least 65535/);
  const least = [
    'msrp.max_message=2KiB',
    'msrp.stream_above=2KiB',
    'log.backlog_bytes=1MiB',
    'sip.message_bytes=65535',
  ];
  t.same(faultsOf({ options: [...least, 'msrp.grace=0', 'msrp.idle_timeout=0', 'roster.interval=0'] }), []);
});

t.test('two listeners cannot have one port of TCP', async (t) => {
  const faults = (...options: readonly string[]): readonly string[] => faultsOf({ options });
  t.same(faults('http.port=5060'), [
    '--set http.port=5060: http.port: must be another than sip.port: both listen for TCP at port 5060 of 127.0.0.1',
  ]);
  t.match(faults('msrp.port=8080'), [/http\.port: must be another than msrp\.port/]);
  t.equal(faults('msrp.port=5060', 'http.port=5060').length, 3);
  t.same(faults('http.port=5061'), [], 'without a certificate nobody listens there');
  const certified = ['tls.certificate=c', 'tls.key=k'];
  t.match(faults('http.port=5061', ...certified), [/http\.port: must be another than sip\.tls_port/]);
  t.same(faults('http.port=5060', 'http.host=127.0.0.2'), []);
  t.same(faults('http.port=5060', 'sip.tcp=false'), []);
  t.same(faults('http.port=0', 'msrp.port=0', 'sip.port=0'), []);
  t.equal(faults('http.port=5060', 'http.host=localhost').length, 1);
  const open = `open_to_network=[${OPENLY.auth}, ${OPENLY.tls}]`;
  t.equal(faults('http.port=5060', 'http.host=0.0.0.0', open).length, 1, 'it is every address');
  t.same(faults('http.port=5060', 'http.host=::', open), [], 'of IPv6');
});

t.test('what cannot be printed is shown by its number, and not without end', async (t) => {
  const [fault = ''] = faultsOf(file('data: [\n  "\x9b31m\u202e\u2028"]'));
  t.match(
    fault,
    /^my\.yaml:1:1: data: expected text, in quotes where it looks like something else: '4711', not \["\\u\{9b\}31m\\u\{202e\}\\u\{2028\}"\]$/u,
  );
  t.match(faultsOf({ options: ['sip.port=\x1b[2Ja'] }), [/^--set sip\.port=\\u\{1b\}\[2Ja: /]);
  const long = 'x'.repeat(2000);
  for (const where of [file(`data: {}}${long}`), file(`sip: { port: ${long} }`), { options: [`sip.port=${long}`] }]) {
    for (const part of faultsOf(where).flatMap((each) => each.split(': ')))
      t.ok(part.length <= 1002, part.slice(0, 80));
    t.ok(
      faultsOf(where).some((each) => / …(?:: |$)/.test(each)),
      'by one length, wherever it is too long',
    );
  }
  const binary = join(t.testdir({ 'my.yaml': '' }), 'my.yaml');
  writeFileSync(binary, Buffer.from([0x73, 0x9b, 0x32, 0x4a, 0x00]));
  t.throws(() => loadConfig({ file: binary }), { message: `${binary}: is no text in UTF-8` });
});

t.test('beyond loopback without authentication or TLS only if the configuration says so in words', async (t) => {
  for (const part of ['sip', 'msrp', 'http']) {
    const open = [`${part}.host=0.0.0.0`];
    t.match(faultsOf({ options: open }), [
      new RegExp(`${part}\\.host: 0\\.0\\.0\\.0 can be reached.*auth\\.mode is open.*${OPENLY.auth}`),
      new RegExp(`${part}\\.host: 0\\.0\\.0\\.0 can be reached.*no certificate.*${OPENLY.tls}`),
    ]);
    t.same(faultsOf({ options: [...open, `open_to_network=[${OPENLY.auth}, ${OPENLY.tls}]`] }), []);
    t.equal(faultsOf({ options: [...open, `open_to_network=[${OPENLY.tls}]`] }).length, 1);
    t.equal(faultsOf({ options: [...open, 'auth.mode=digest'] }).length, 1);
    t.same(faultsOf({ options: [...open, 'auth.mode=digest', 'tls.certificate=c', 'tls.key=k'] }), []);
  }
  t.equal(
    faultsOf({ options: ["sip.host=['::1', '::']", 'auth.mode=digest'] }).length,
    1,
    'one host of a list is enough',
  );
  t.equal(faultsOf({ options: ['sip.host=::', 'http.host=::', 'auth.mode=digest'] }).length, 1, 'no YAML is needed');
  t.same(faultsOf({ options: ['sip.host=::1', "msrp.host=['::1', 127.0.0.1]"] }), []);
  t.equal(faultsOf({ options: ['open_to_network=[yes]'] }).length, 1, 'other words do not count');
});

t.test('loopback is what only this machine reaches', async (t) => {
  for (const host of ['127.0.0.1', '127.9.9.9', '::1', 'localhost']) t.ok(isLoopback(host), host);
  for (const host of ['0.0.0.0', '::', '10.0.0.1', '127.example.org', '127.0.0.1.nip.io'])
    t.notOk(isLoopback(host), host);
});

t.test('proxies are addresses or networks', async (t) => {
  const proxies = ['10.0.0.1', '172.17.0.0/16', '::1', 'fd00::/8'];
  t.same(readConfig(file(`http: { proxies: ${JSON.stringify(proxies)} }`)).http.proxies, proxies);
  for (const wrong of ['proxy.example.org', '10.0.0.0/33', '10.0.0']) {
    t.match(faultsOf(file(`http: { proxies: ['${wrong}'] }`)), [
      /http\.proxies\.0: expected an IP address, or a network/,
    ]);
  }
});

t.test('durations and sizes need sense', async (t) => {
  const sip = (key: string, value: string): unknown => readConfig({ options: [`${key}=${value}`] });
  t.match(sip('shutdown', '1.5s'), { shutdown: 1500 });
  t.match(sip('shutdown', '0'), { shutdown: 0 });
  t.match(sip('shutdown', '2d'), { shutdown: 172_800_000 });
  t.match(sip('log.backlog_bytes', '2000000'), { log: { backlog_bytes: 2_000_000 } });
  t.match(sip('log.backlog_bytes', '2MB'), { log: { backlog_bytes: 2_000_000 } });
  for (const bad of [
    'shutdown=5',
    'shutdown=-5s',
    'shutdown=1 week',
    'shutdown=1e99d',
    'log.backlog_bytes=-1',
    'log.backlog_bytes=1.5',
    'log.backlog_bytes=1XB',
  ])
    t.equal(faultsOf({ options: [bad] }).length, 1, bad);
});

t.test('a reload takes over what default.yaml marks, and names the rest', async (t) => {
  const before = readConfig({});
  const after = readConfig(
    file(
      'sip: { port: 1 }\ndomains: [a.example]\nroster: { interval: 1s }\nlogging: { level: debug }\nrooms: { named: { lobby: { subject: x } } }',
    ),
  );
  const change = compareConfigs(before, after);
  t.same([...change.reloadable].sort(), ['logging.level', 'rooms.named.lobby']);
  t.same([...change.fixed].sort(), ['domains', 'roster.interval', 'sip.port']);
  t.same(compareConfigs(before, readConfig({})), { reloadable: [], fixed: [] });
  const marked = readFileSync('config/default.yaml', 'utf8').match(/\[reload\]/g)?.length ?? 0;
  t.equal(marked, RELOADABLE.length + 2, 'one mark for each, one for tls, and one where the mark is explained');
  const certified = (name: string) => readConfig({ options: [`tls.certificate=${name}`, 'tls.key=k'] });
  t.same(compareConfigs(certified('a'), certified('b')), { reloadable: ['tls.certificate'], fixed: [] });
  t.same(compareConfigs(before, certified('a')).reloadable, [], 'the first certificate needs a restart');
});

t.test('the nearest name is named only if it is near', async (t) => {
  t.equal(nearest('prot', ['port', 'host']), 'port');
  t.equal(nearest('PORT', ['port']), 'port');
  t.equal(nearest('conections_per_adress', ['connections_per_address']), 'connections_per_address');
  t.equal(nearest('x', ['udp', 'tcp']), undefined);
});

t.test('every key is read by somebody', async (t) => {
  const sources = readdirSync('src', { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts') && !path.startsWith('config/'))
    .map((path) => readFileSync(`src/${path}`, 'utf8'))
    .join('\n');
  // It is looked at in src/config itself.
  const keys = allKeys(schema).filter((key) => key !== 'open_to_network');
  const unread = keys.filter((key) => !new RegExp(`\\b${key.split('.').at(-1) ?? ''}\\b`).test(sources));
  t.same(unread, []);
});
