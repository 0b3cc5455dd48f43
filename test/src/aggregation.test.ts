import t from 'tap';
import { formatCpim, formatImdn, parseAggregate, parseCpim } from '../../msrp/index.ts';
import { Aggregate, Aggregation, type AggregationLimits, DEFAULT_AGGREGATION } from '../../src/chat/aggregation.ts';
import { Copy } from '../../src/chat/copy.ts';
import type { Recipient } from '../../src/chat/recipient.ts';
import { endpointId, eventNumber, messageId, roomUri, userUri } from '../../src/conference/ids.ts';
import { silentDevice } from './silent.ts';

const ALICE = userUri('sip:alice@example.com');
const ROOM = 'sip:room@example.com';

/** An aggregation for one author with one device, and what that gets. */
function setUp(limits: Partial<AggregationLimits>): { aggregation: Aggregation; got: Copy[]; device: Recipient } {
  const got: Copy[] = [];
  const device: Recipient = {
    ...silentDevice(endpointId('desk'), ALICE, ROOM),
    deliver: (copy) => got.push(copy),
  };
  const aggregation = new Aggregation({
    room: roomUri(ROOM),
    limits: { ...DEFAULT_AGGREGATION, period: 3_600_000, ...limits },
    now: () => 0,
    recipientsOf: () => [device],
    shown: (user) => user,
  });
  return { aggregation, got, device };
}

let last = 0;

/** What somebody tells of a message. */
function notification(of: string, by = 'sip:bob@example.com', recipientUri = by, name = ''): Copy {
  const cpim = formatCpim({
    from: { name, uri: by },
    to: [{ uri: ALICE }],
    contentType: 'message/imdn+xml',
    content: formatImdn({
      messageId: of,
      dateTime: '',
      recipientUri,
      disposition: { kind: 'display', status: 'displayed' },
    }),
  });
  last += 1;
  const said = { type: 'said', at: 0, by: userUri(by), audience: { to: 'user', user: ALICE } } as const;
  const types = { contentType: 'message/cpim', wrappedType: 'message/imdn+xml' };
  return new Copy({ ...said, ...types, messageId: messageId(of), cpim }, eventNumber(last));
}

const told = (copy: Copy | undefined): readonly (string | undefined)[] =>
  copy instanceof Aggregate ? parseAggregate(parseCpim(copy.said.cpim)).map((imdn) => imdn.recipientUri) : ['alone'];

t.test('RFC 5438 §8.3: so many go together, and no more', async (t) => {
  const { aggregation, got } = setUp({ together: 2 });
  for (const of of ['m1', 'm2', 'm1', 'm1']) aggregation.take(notification(of), ALICE, false);
  t.same(got.map(told), [['sip:bob@example.com', 'sip:bob@example.com']]);
  const [first] = got;
  t.equal((first?.through ?? 0) - (first?.n ?? 0), 2, 'it is known by the first, and brings as far as the last');
  aggregation.flush(ALICE);
  t.equal(got.length, 3);
  aggregation.flush(ALICE);
  t.equal(got.length, 3, 'once');
});

t.test('RFC 5438 §8.3: octets and messages are bounded; the oldest goes first', async (t) => {
  const small = setUp({ bytes: 10 });
  small.aggregation.take(notification('m1'), ALICE, false);
  t.equal(small.got.length, 1);
  const few = setUp({ messages: 2 });
  for (const of of ['m1', 'm2', 'm3']) few.aggregation.take(notification(of), ALICE, false);
  t.same(
    few.got.map(({ said }) => said.messageId),
    ['m1'],
  );
  few.aggregation.flush(ALICE);
});

t.test('RFC 5438 §8.3: one with more headers than are read goes alone', async (t) => {
  const { aggregation, got } = setUp({});
  aggregation.take(notification('m1', 'sip:bob@example.com', 'sip:bob@example.com', '"'.repeat(40_000)), ALICE, false);
  t.same(got.map(told), [['alone']]);
});

t.test('RFC 5438 §8.3: none waits where the room does not want it, nor after the last', async (t) => {
  const never = setUp({ period: 0 });
  never.aggregation.take(notification('m1'), ALICE, false);
  t.equal(never.got.length, 1);
  const missed = [notification('m1'), notification('m1')];
  t.same(never.aggregation.gather(missed, never.device), missed);
  const all = setUp({});
  all.aggregation.take(notification('m1'), ALICE, true);
  t.equal(all.got.length, 1);
});

t.test('RFC 5438 §8.3, §7.1.2: those that were missed go together by message, each with its sender', async (t) => {
  const { aggregation, device } = setUp({ together: 2 });
  const missed = [
    notification('m1', 'sip:bob@example.com'),
    notification('m2', 'sip:bob@example.com'),
    notification('m1', 'sip:carol@example.com', ROOM),
    notification('m1', 'sip:dave@example.com', 'sip:bob@example.com'),
  ];
  t.same(aggregation.gather(missed, device).map(told), [
    ['sip:bob@example.com', 'sip:carol@example.com'],
    ['alone'],
    ['alone'],
  ]);
});
