import t from 'tap';
import { Headers, parseMessage, SipRequest, SipResponse, VIA, parseUri, parseVia, type Flow } from '../../sip/index.ts';
import { ClientTransaction, type ClientState } from '../../sip/client-transaction.ts';
import { ServerTransaction, type ServerState } from '../../sip/server-transaction.ts';
import { serverKey, Transactions } from '../../sip/transactions.ts';
import { defaultTimers, timerTable, tryingNonInvite } from '../../sip/timers.ts';
import { FakeClock, Network } from './network.ts';

/** What a machine does: `at` milliseconds after its begin. */
type Seen = readonly [at: number, what: string];
/** What is done to it, and the state after it. */
type Move<State> = readonly [at: number, event: string, state: State];

function flowOf(transport: 'UDP' | 'TCP', clock: FakeClock): Flow {
  const network = new Network({ clock, transport });
  return network
    .host('10.0.0.1')({ receive: () => undefined, unframeable: () => undefined, flowClosed: () => undefined })
    .flowTo('10.0.0.2');
}

const times = (
  clock: FakeClock,
): object & { clock: FakeClock; base: typeof defaultTimers } & Record<
    'reliable' | 'unreliable',
    ReturnType<typeof timerTable>
  > => ({
  clock,
  base: defaultTimers,
  reliable: timerTable(defaultTimers, true),
  unreliable: timerTable(defaultTimers, false),
});

const request = (method: string): SipRequest => new SipRequest(method, parseUri('sip:a@b'), new Headers());
const response = (status: number): SipResponse => new SipResponse(status, '', new Headers());

/** Plays moves against a server transaction; gives what it sent and told. */
function serve(
  invite: boolean,
  transport: 'UDP' | 'TCP',
  moves: readonly Move<ServerState>[],
  until = 0,
): { seen: Seen[]; wrong: string[] } {
  const clock = new FakeClock();
  const begin = clock.now();
  const seen: Seen[] = [];
  const wrong: string[] = [];
  const note = (what: string): void => void seen.push([clock.now() - begin, what]);
  const host = {
    ...times(clock),
    respond: (_: unknown, bytes: Uint8Array) => {
      note(Buffer.from(bytes).toString());
    },
    serverHolds: () => undefined,
    serverEnded: () => {
      note('ended');
    },
  };
  const via = { transport, host: 'h', port: undefined, maddr: undefined, received: undefined, rport: undefined };
  const transaction = new ServerTransaction(host, {
    key: '',
    mergeKey: '',
    flow: flowOf(transport, clock),
    via,
    invite,
  });
  transaction.user = {
    onAck: () => {
      note('ACK to user');
    },
    onNoAck: () => {
      note('no ACK');
    },
    onCancel: () => undefined,
  };
  for (const [at, event, state] of moves) {
    clock.advance(begin + at - clock.now());
    if (/^\d/.test(event)) transaction.respond(Number(event), Buffer.from(event));
    else transaction.receive(request(event));
    if (transaction.state !== state) wrong.push(`${event} at ${String(at)}: ${transaction.state}, not ${state}`);
  }
  clock.advance(Math.max(0, begin + until - clock.now()));
  return { seen, wrong };
}

/** Plays moves against a client transaction. */
function ask(
  invite: boolean,
  transport: 'UDP' | 'TCP',
  moves: readonly Move<ClientState>[],
  until = 0,
): { seen: Seen[]; wrong: string[] } {
  const clock = new FakeClock();
  const begin = clock.now();
  const seen: Seen[] = [];
  const wrong: string[] = [];
  const note = (what: string): void => void seen.push([clock.now() - begin, what]);
  let works = true;
  const host = {
    ...times(clock),
    send: (_: Flow, bytes: Uint8Array) => {
      note(Buffer.from(bytes).toString());
      return works;
    },
    clientMoves: () => undefined,
    clientEnded: () => {
      note('ended');
    },
  };
  const user = {
    onResponse: ({ status }: SipResponse) => {
      note(`heard ${String(status)}`);
    },
    ackFor: () => Buffer.from('ACK'),
    onFailure: (failure: string) => {
      note(failure);
    },
  };
  const transaction = new ClientTransaction(host, user, {
    key: '',
    flow: flowOf(transport, clock),
    invite,
    request: Buffer.from('request'),
  });
  for (const [at, event, state] of moves) {
    clock.advance(begin + at - clock.now());
    if (event === 'start') transaction.start();
    else if (event === 'start broken') {
      works = false;
      transaction.start();
    } else if (event === 'flow fails') transaction.transportFailed();
    else transaction.receive(response(Number(event)));
    if (transaction.state !== state) wrong.push(`${event} at ${String(at)}: ${transaction.state}, not ${state}`);
  }
  clock.advance(Math.max(0, begin + until - clock.now()));
  return { seen, wrong };
}

t.test('RFC 3261 Table 4 and RFC 6026 §8.11: timers by transport', (t) => {
  t.strictSame(timerTable(defaultTimers, false), {
    A: 500,
    B: 32_000,
    D: 32_000,
    E: 500,
    F: 32_000,
    G: 500,
    H: 32_000,
    I: 5000,
    J: 32_000,
    K: 5000,
    L: 32_000,
    M: 32_000,
  });
  t.strictSame(timerTable(defaultTimers, true), {
    A: undefined,
    B: 32_000,
    D: 0,
    E: undefined,
    F: 32_000,
    G: undefined,
    H: 32_000,
    I: 0,
    J: 0,
    K: 0,
    L: 32_000,
    M: 32_000,
  });
  t.equal(tryingNonInvite(defaultTimers), 3500, 'RFC 4320 §4.1');
  t.end();
});

interface ServerPlay {
  readonly name: string;
  readonly invite: boolean;
  readonly transport: 'UDP' | 'TCP';
  readonly moves: readonly Move<ServerState>[];
  readonly until?: number;
  readonly seen: readonly Seen[];
}

const SERVER_PLAYS: readonly ServerPlay[] = [
  {
    name: 'RFC 3261 §17.2.1: a retransmitted INVITE gets the last provisional response again',
    invite: true,
    transport: 'UDP',
    moves: [
      [0, 'INVITE', 'proceeding'],
      [10, '180', 'proceeding'],
      [500, 'INVITE', 'proceeding'],
      [510, '183', 'proceeding'],
      [600, 'INVITE', 'proceeding'],
    ],
    seen: [
      [10, '180'],
      [500, '180'],
      [510, '183'],
      [600, '183'],
    ],
  },
  {
    name: 'RFC 3261 §17.2.1: over UDP a failure is repeated by timer G up to T2 until timer H ends it',
    invite: true,
    transport: 'UDP',
    moves: [
      [0, '486', 'completed'],
      [100, 'INVITE', 'completed'],
    ],
    until: 40_000,
    seen: [
      [0, '486'],
      [100, '486'],
      ...[500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500].map((at): Seen => [at, '486']),
      [32_000, 'no ACK'],
      [32_000, 'ended'],
    ],
  },
  {
    name: 'RFC 3261 §17.2.1: the ACK stops it; timer I absorbs further ACKs',
    invite: true,
    transport: 'UDP',
    moves: [
      [0, '486', 'completed'],
      [100, 'ACK', 'confirmed'],
      [200, 'ACK', 'confirmed'],
      [300, 'INVITE', 'confirmed'],
    ],
    until: 40_000,
    seen: [
      [0, '486'],
      [5100, 'ended'],
    ],
  },
  {
    name: 'RFC 3261 §17.2.1: over TCP nothing is repeated and the ACK ends it at once',
    invite: true,
    transport: 'TCP',
    moves: [
      [0, '486', 'completed'],
      [10_000, 'ACK', 'terminated'],
    ],
    until: 40_000,
    seen: [
      [0, '486'],
      [10_000, 'ended'],
    ],
  },
  {
    name: 'RFC 6026 §8.7: accepted absorbs INVITEs, passes 2xx of the user and ACKs, and ends by timer L',
    invite: true,
    transport: 'TCP',
    moves: [
      [0, '200', 'accepted'],
      [500, 'INVITE', 'accepted'],
      [600, '200', 'accepted'],
      [700, 'ACK', 'accepted'],
      [800, '486', 'accepted'],
    ],
    until: 40_000,
    seen: [
      [0, '200'],
      [600, '200'],
      [700, 'ACK to user'],
      [32_000, 'ended'],
    ],
  },
  {
    name: 'RFC 3261 §17.2.2: a request is absorbed while trying, answered again once answered',
    invite: false,
    transport: 'UDP',
    moves: [
      [10, 'MESSAGE', 'trying'],
      [20, '200', 'completed'],
      [500, 'MESSAGE', 'completed'],
      [600, '500', 'completed'],
    ],
    until: 40_000,
    seen: [
      [20, '200'],
      [500, '200'],
      [32_020, 'ended'],
    ],
  },
  {
    name: 'RFC 3261 §17.2.2: over TCP timer J is zero',
    invite: false,
    transport: 'TCP',
    moves: [
      [10, '100', 'proceeding'],
      [15, 'MESSAGE', 'proceeding'],
      [20, '404', 'terminated'],
    ],
    seen: [
      [10, '100'],
      [15, '100'],
      [20, '404'],
      [20, 'ended'],
    ],
  },
];

for (const { name, invite, transport, moves, until, seen } of SERVER_PLAYS)
  t.test(name, (t) => {
    const played = serve(invite, transport, moves, until);
    t.strictSame(played.wrong, [], 'states');
    t.strictSame(played.seen, seen);
    t.end();
  });

interface ClientPlay {
  readonly name: string;
  readonly invite: boolean;
  readonly transport: 'UDP' | 'TCP';
  readonly moves: readonly Move<ClientState>[];
  readonly until?: number;
  readonly seen: readonly Seen[];
}

const CLIENT_PLAYS: readonly ClientPlay[] = [
  {
    name: 'RFC 3261 §17.1.1.2: timer A doubles until timer B',
    invite: true,
    transport: 'UDP',
    moves: [[0, 'start', 'calling']],
    until: 60_000,
    seen: [
      ...[0, 500, 1500, 3500, 7500, 15_500, 31_500].map((at): Seen => [at, 'request']),
      [32_000, 'ended'],
      [32_000, 'timeout'],
    ],
  },
  {
    name: 'RFC 3261 §17.1.1.2: over TCP the INVITE is sent once',
    invite: true,
    transport: 'TCP',
    moves: [[0, 'start', 'calling']],
    until: 60_000,
    seen: [
      [0, 'request'],
      [32_000, 'ended'],
      [32_000, 'timeout'],
    ],
  },
  {
    name: 'RFC 3261 §17.1.1.2: a provisional response stops the INVITE; failures are acknowledged each time they come, until timer D',
    invite: true,
    transport: 'UDP',
    moves: [
      [0, 'start', 'calling'],
      [100, '180', 'proceeding'],
      [5000, '486', 'completed'],
      [5500, '486', 'completed'],
    ],
    until: 60_000,
    seen: [
      [0, 'request'],
      [100, 'heard 180'],
      [5000, 'ACK'],
      [5000, 'heard 486'],
      [5500, 'ACK'],
      [37_000, 'ended'],
    ],
  },
  {
    name: 'RFC 6026 §8.4: each 2xx goes to the user, until timer M',
    invite: true,
    transport: 'TCP',
    moves: [
      [0, 'start', 'calling'],
      [100, '200', 'accepted'],
      [600, '200', 'accepted'],
      [700, '486', 'accepted'],
    ],
    until: 60_000,
    seen: [
      [0, 'request'],
      [100, 'heard 200'],
      [600, 'heard 200'],
      [32_100, 'ended'],
    ],
  },
  {
    name: 'RFC 3261 §17.1.1.2: over TCP timer D is zero',
    invite: true,
    transport: 'TCP',
    moves: [
      [0, 'start', 'calling'],
      [100, '404', 'terminated'],
    ],
    seen: [
      [0, 'request'],
      [100, 'ACK'],
      [100, 'ended'],
      [100, 'heard 404'],
    ],
  },
  {
    name: 'RFC 3261 §17.1.2.2: timer E doubles up to T2 until timer F',
    invite: false,
    transport: 'UDP',
    moves: [[0, 'start', 'trying']],
    until: 60_000,
    seen: [
      ...[0, 500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500].map((at): Seen => [at, 'request']),
      [32_000, 'ended'],
      [32_000, 'timeout'],
    ],
  },
  {
    name: 'RFC 3261 §17.1.2.2: in proceeding timer E is T2; timer K absorbs repeated responses',
    invite: false,
    transport: 'UDP',
    moves: [
      [0, 'start', 'trying'],
      [100, '100', 'proceeding'],
      [6000, '200', 'completed'],
      [6100, '200', 'completed'],
    ],
    until: 60_000,
    seen: [
      [0, 'request'],
      [100, 'heard 100'],
      [500, 'request'],
      [4500, 'request'],
      [6000, 'heard 200'],
      [11_000, 'ended'],
    ],
  },
  {
    name: 'RFC 3261 §17.1.4: a transport that fails is told at once',
    invite: false,
    transport: 'TCP',
    moves: [[0, 'start broken', 'terminated']],
    seen: [
      [0, 'request'],
      [0, 'ended'],
      [0, 'transport error'],
    ],
  },
  {
    name: 'RFC 3261 §17.1.4: a flow that closes later is told too, but not after the final response',
    invite: true,
    transport: 'TCP',
    moves: [
      [0, 'start', 'calling'],
      [10, '200', 'accepted'],
      [20, 'flow fails', 'accepted'],
    ],
    seen: [
      [0, 'request'],
      [10, 'heard 200'],
    ],
  },
];

for (const { name, invite, transport, moves, until, seen } of CLIENT_PLAYS)
  t.test(name, (t) => {
    const played = ask(invite, transport, moves, until);
    t.strictSame(played.wrong, [], 'states');
    t.strictSame(played.seen, seen);
    t.end();
  });

t.test('RFC 3261 §18.1.2, §8.1.3.3, §17.1.4: whose response it is, and a connection that is gone', (t) => {
  const clock = new FakeClock();
  const transactions = new Transactions(clock, defaultTimers, { send: () => true, respond: () => undefined });
  const heard: string[] = [];
  const ask = (flow: Flow, branch: string): void => {
    const user = {
      onResponse: ({ status }: SipResponse) => void heard.push(`${branch} ${status}`),
      ackFor: () => new Uint8Array(0),
      onFailure: (failure: string) => void heard.push(`${branch} ${failure}`),
    };
    transactions.request(user, flow, branch, 'MESSAGE', new Uint8Array(0)).start();
  };
  const answer = (status: number, ...vias: readonly string[]): boolean => {
    const headers = new Headers();
    headers.write(
      VIA,
      vias.map((via) => parseVia(via)),
    );
    headers.add('CSeq', '1 MESSAGE');
    return transactions.receive(new SipResponse(status, '', headers));
  };
  const tcp = flowOf('TCP', clock);
  const { host, port } = tcp.advertised;
  const own = `SIP/2.0/TCP ${host}:${port};branch=`;
  ask(tcp, 'z9hG4bKa');
  t.notOk(answer(200, 'SIP/2.0/TCP elsewhere.example.com;branch=z9hG4bKa'), 'not our sent-by');
  t.notOk(answer(200, `SIP/2.0/TCP ${host}:1;branch=z9hG4bKa`), 'not our port');
  t.notOk(answer(200, `${own}z9hG4bKa`, 'SIP/2.0/UDP behind.example.com'), 'for somebody behind us');
  t.notOk(answer(200, `${own}z9hG4bKb`), 'no such transaction');
  t.strictSame(heard, []);
  t.ok(answer(180, `${own}z9hG4bKa;received=192.0.2.1`));

  ask(tcp, 'z9hG4bKc');
  ask(flowOf('TCP', clock), 'z9hG4bKd');
  ask(flowOf('UDP', clock), 'z9hG4bKe');
  transactions.flowClosed(tcp);
  t.strictSame(heard.splice(0), ['z9hG4bKa 180', 'z9hG4bKc transport error'], 'what has heard nothing yet has failed');
  transactions.flowClosed(tcp);
  t.strictSame(heard, []);
  t.equal(transactions.clients, 3);
  transactions.drop();
  t.equal(transactions.clients, 0);
  t.end();
});

t.test('RFC 3261 §17.2.3: two clients that chose the same branch are told apart by their sent-by', (t) => {
  const key = (via: string): string => {
    const lines = [`Via: ${via}`, 'From: <sip:a@x>;tag=a', 'To: <sip:b@x>', 'Call-ID: c', 'CSeq: 1 OPTIONS'];
    const message = parseMessage(Buffer.from(['OPTIONS sip:b@x SIP/2.0', ...lines, '', ''].join('\r\n')));
    return message.kind === 'request' ? serverKey(message) : '';
  };
  const first = key('SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK1');
  t.equal(key('SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK1;rport'), first);
  t.not(key('SIP/2.0/UDP 10.0.0.3:5060;branch=z9hG4bK1'), first);
  t.not(key('SIP/2.0/UDP 10.0.0.1:5062;branch=z9hG4bK1'), first);
  t.end();
});
