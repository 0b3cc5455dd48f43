import { readdirSync, readFileSync } from 'node:fs';
import t, { type Test } from 'tap';
import {
  decodeUser,
  findPart,
  formatMessage,
  inspectBody,
  inspectRequest,
  leafParts,
  parseMessage,
  parseSdp,
  refuse,
  SipError,
  type SipMessage,
  type SipRequest,
  type SipResponse,
} from '../../sip/index.ts';
import { serverKey } from '../../sip/transactions.ts';

/*
 * The 49 messages of RFC 4475, each with what its section says is to become of it: what our parser makes of it, and
 * what a user agent server answers that serves the methods below, knows SDP and text, and no extension.
 */

const METHODS = ['INVITE', 'OPTIONS', 'MESSAGE', 'REGISTER'];
const TYPES = ['application/sdp', 'text/plain'];

interface Expected {
  /** The section of RFC 4475. */
  readonly section: string;
  /** 'served': goes on to the application. A status: the answer. 'dropped': nothing is said, nothing happens. */
  readonly outcome: 'served' | 'dropped' | number;
  /** What a look into the message, or into the answer, must show. */
  readonly shows?: (t: Test, message: SipMessage) => void;
}

function refusesToRead(t: Test, read: () => unknown): void {
  t.throws(read, new SipError(400, ''));
}

const EXPECTED: Readonly<Record<string, Expected>> = {
  // §3.1.1 Valid messages
  wsinv: {
    section: '3.1.1.1',
    outcome: 'served',
    shows: (t, m) => {
      t.equal(m.toTag, '1918181833n');
      t.equal(m.from.displayName, 'J Rosenberg \\"');
      t.equal(m.fromTag, '98asjd8');
      t.equal(m.maxForwards, 68);
      t.same(m.cseq, { seq: 9, method: 'INVITE' });
      t.equal(m.subject, '');
      t.same(
        m.via.map(({ transport, host, params }) => [transport, host, params.get('branch')]),
        [
          ['UDP', '192.0.2.2', '390skdjuw'],
          ['TCP', 'spindle.example.com', 'z9hG4bK9ikj8'],
          ['UDP', '192.168.255.111', 'z9hG4bK30239'],
        ],
      );
      t.equal(m.headers.get('NewFangledHeader'), 'newfangled value continued newfangled value');
      t.equal(m.headers.get('unknownheaderwithunusualvalue'), ';;,,;;,;');
      t.equal(m.contact?.displayName, 'Quoted string ""');
      t.equal(m.contact?.params.get('newparam'), 'newvalue');
      t.equal(m.contact?.params.get('secondparam'), '');
      t.equal(m.contact?.params.get('q'), '0.33');
      t.equal(m.route[0]?.uri.kind === 'sip' && m.route[0].uri.params.get('unknown-no-value'), '');
      t.equal(parseSdp(m.body).media.length, 2);
    },
  },
  intmeth: {
    section: '3.1.1.2',
    outcome: 501,
    shows: (t, m) => {
      t.equal(m.to.displayName, 'BEL:\x07 NUL:\x00 DEL:\x7f');
      t.equal(m.from.displayName, "token1~` token2'+_ token3*%!.-");
      t.equal(m.from.params.get("fromParam''~+*_!.-%"), 'работающий');
      t.equal(m.fromTag, "_token~1'+`*%!-.");
      t.equal(m.callId, 'intmeth.word%ZK-!.*_+\'@word`~)(><:\\/"][?}{');
      t.equal(m.headers.get("extensionHeader-!.%*+_`'~"), '\uFEFF大停電');
      const { uri } = m.to;
      t.equal(uri.kind === 'sip' && uri.user, "1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*");
    },
  },
  esc01: {
    section: '3.1.1.3',
    outcome: 'served',
    shows: (t, m) => {
      const [request, to, from, contact] = [(m as SipRequest).uri, m.to.uri, m.from.uri, m.contact?.uri].map((uri) =>
        uri?.kind === 'sip' ? uri : undefined,
      );
      t.equal(request?.user, 'sips%3Auser%40example.com', 'kept as it came');
      t.equal(to && decodeUser(to), 'user');
      t.equal(from && decodeUser(from), 'I have spaces');
      t.equal(contact && decodeUser(contact), 'caller');
      t.equal(contact?.params.get('n%61me'), 'v%61lue%25%34%31');
    },
  },
  escnull: {
    section: '3.1.1.4',
    outcome: 'served',
    shows: (t, m) => {
      t.equal(m.to.uri.kind === 'sip' && decodeUser(m.to.uri), 'null-\0-null');
      t.equal(m.contacts.length, 2);
    },
  },
  esc02: {
    section: '3.1.1.5',
    outcome: 501,
    shows: (t, m) => {
      t.equal(m.to.displayName, '%Z%45');
      t.equal(m.contacts.length, 2);
    },
  },
  lwsdisp: {
    section: '3.1.1.6',
    outcome: 'served',
    shows: (t, m) => t.equal(m.from.displayName, 'caller'),
  },
  longreq: {
    section: '3.1.1.7',
    outcome: 'served',
    shows: (t, m) => {
      t.equal(m.via.length, 34);
      t.equal(m.fromTag, `12${'982'.repeat(50)}424`);
      t.equal(m.callId, `longreq.one${'really'.repeat(20)}longcallid`);
    },
  },
  dblreq: { section: '3.1.1.8', outcome: 'served', shows: (t, m) => t.equal(m.body.length, 0) },
  semiuri: {
    section: '3.1.1.9',
    outcome: 'served',
    shows: (t, m) => {
      const { uri } = m as SipRequest;
      t.equal(uri.kind === 'sip' && decodeUser(uri), 'user;par=u@example.net');
      t.equal(m.accept?.length, 6);
    },
  },
  transports: {
    section: '3.1.1.10',
    outcome: 'served',
    shows: (t, m) =>
      t.same(
        m.via.map(({ transport }) => transport),
        ['UDP', 'SCTP', 'TLS', 'UNKNOWN', 'TCP'],
      ),
  },
  mpart01: {
    section: '3.1.1.11',
    // Well-formed; our server knows no application/octet-stream, and that part is required (RFC 5621 §8.1).
    outcome: 415,
    shows: (t, m) => {
      const body = inspectBody(m, ['text/plain', 'application/octet-stream']);
      t.equal(body && leafParts(body).length, 2);
      t.same(findPart(body, 'text/plain')?.body, Buffer.from('Hello'));
      t.equal(findPart(body, 'application/octet-stream')?.body.length, 342);
    },
  },
  unreason: {
    section: '3.1.1.12',
    outcome: 'served',
    shows: (t, m) => t.match((m as SipResponse).reason, /^= 2\*\*3 \* 5\*\*2 но сто/),
  },
  noreason: { section: '3.1.1.13', outcome: 'served', shows: (t, m) => t.equal((m as SipResponse).reason, '') },

  // §3.1.2 Invalid messages
  badinv01: { section: '3.1.2.1', outcome: 400 },
  clerr: { section: '3.1.2.2', outcome: 400 },
  ncl: { section: '3.1.2.3', outcome: 400 },
  scalar02: { section: '3.1.2.4', outcome: 400 },
  scalarlg: { section: '3.1.2.5', outcome: 'dropped' },
  quotbal: { section: '3.1.2.6', outcome: 400 },
  ltgtruri: { section: '3.1.2.7', outcome: 400 },
  lwsruri: { section: '3.1.2.8', outcome: 400 },
  lwsstart: { section: '3.1.2.9', outcome: 400 },
  trws: { section: '3.1.2.10', outcome: 400 },
  escruri: {
    section: '3.1.2.11',
    // Liberal: the headers in the Request-URI are known, and used by nobody (RFC 3261 §19.1.1, Table 1).
    outcome: 'served',
    shows: (t, m) => {
      const { uri } = m as SipRequest;
      t.same(uri.kind === 'sip' && uri.headers, [{ name: 'Route', value: '%3Csip:example.com%3E' }]);
      t.same(m.route, []);
    },
  },
  baddate: {
    section: '3.1.2.12',
    // Only who asks for the Date hears that it is none.
    outcome: 'served',
    shows: (t, m) => refusesToRead(t, () => m.date),
  },
  regbadct: {
    section: '3.1.2.13',
    // Only who asks for the Contact, as a registrar does, hears that it is none.
    outcome: 'served',
    shows: (t, m) => refusesToRead(t, () => m.contacts),
  },
  badaspec: { section: '3.1.2.14', outcome: 400 },
  baddn: { section: '3.1.2.15', outcome: 400 },
  badvers: { section: '3.1.2.16', outcome: 505 },
  mismatch01: { section: '3.1.2.17', outcome: 400 },
  mismatch02: { section: '3.1.2.18', outcome: 400 },
  bigcode: { section: '3.1.2.19', outcome: 'dropped' },

  // §3.2 Transaction layer semantics
  badbranch: {
    section: '3.2.1',
    // The cookie without an identifier: transactions then fall back to the rules of RFC 2543.
    outcome: 'served',
    shows: (t, m) => t.equal(m.branch, 'z9hG4bK'),
  },

  // §3.3 Application-layer semantics
  insuf: {
    section: '3.3.1',
    outcome: 400,
    shows: (t, m) => {
      t.equal((m as SipResponse).reason, 'Bad Request - Missing From header field');
      t.same(
        [...m.headers].map(({ key }) => key),
        ['via', 'cseq'],
      );
    },
  },
  unkscm: { section: '3.3.2', outcome: 416 },
  novelsc: { section: '3.3.3', outcome: 416 },
  unksm2: {
    section: '3.3.4',
    // Well-formed; a registrar refuses the To, which is no SIP URI.
    outcome: 'served',
    shows: (t, m) =>
      t.same(
        [m.to, m.from, m.contact].map((address) => address?.uri.scheme),
        ['isbn', 'http', 'name'],
      ),
  },
  bext01: {
    section: '3.3.5',
    outcome: 420,
    shows: (t, m) => t.same(m.require, ['nothingSupportsThis', 'nothingSupportsThisEither']),
  },
  invut: { section: '3.3.6', outcome: 415 },
  regaut01: {
    section: '3.3.7',
    outcome: 'served',
    shows: (t, m) => t.equal((m as SipRequest).authorization[0]?.scheme, 'NoOneKnowsThisScheme'),
  },
  multi01: { section: '3.3.8', outcome: 400 },
  mcl01: { section: '3.3.9', outcome: 400 },
  bcast: {
    section: '3.3.10',
    // Well-formed; it answers no request of ours, so that the transaction layer drops it (RFC 3261 §18.1.2).
    outcome: 'served',
    shows: (t, m) => t.equal(m.via[1]?.host, '255.255.255.255'),
  },
  zeromf: { section: '3.3.11', outcome: 'served', shows: (t, m) => t.equal(m.maxForwards, 0) },
  cparam01: {
    section: '3.3.12',
    outcome: 'served',
    shows: (t, m) => {
      t.equal(m.contact?.params.has('unknownparam'), true);
      t.equal(m.contact?.uri.kind === 'sip' && m.contact.uri.params.size, 0);
    },
  },
  cparam02: {
    section: '3.3.13',
    outcome: 'served',
    shows: (t, m) => {
      t.equal(m.contact?.params.size, 0);
      t.equal(m.contact?.uri.kind === 'sip' && m.contact.uri.params.has('unknownparam'), true);
    },
  },
  regescrt: {
    section: '3.3.14',
    outcome: 'served',
    shows: (t, m) =>
      t.same(m.contact?.uri.kind === 'sip' && m.contact.uri.headers, [
        { name: 'Route', value: '%3Csip:sip.example.com%3E' },
      ]),
  },
  sdp01: {
    section: '3.3.15',
    // Well-formed; that no answer can be made in a type it accepts is for the application to say (406 or 400).
    outcome: 'served',
    shows: (t, m) =>
      t.same(
        m.accept?.map(({ type }) => type),
        ['text/nobodyknowsthis'],
      ),
  },
  inv2543: {
    section: '3.3.16',
    outcome: 'served',
    shows: (t, m) => {
      t.equal(m.branch, undefined);
      t.equal(m.fromTag, undefined);
      t.equal(m.maxForwards, undefined);
      t.equal(parseSdp(m.body).name, '-');
    },
  },
};

const FOLDER = 'test/vectors/sip/torture';
const SOURCE = { address: '192.0.2.250', port: 50_600 };

/** What becomes of the bytes, and the message or answer to look into. */
function receive(bytes: Buffer): { outcome: Expected['outcome']; message: SipMessage | undefined } {
  let message: SipMessage | undefined;
  try {
    message = parseMessage(bytes);
    if (message.kind === 'request') {
      inspectRequest(message, { methods: METHODS, extensions: [] });
      inspectBody(message, TYPES);
    }
    return { outcome: 'served', message };
  } catch (error) {
    if (!(error instanceof SipError)) throw error;
    const answer = refuse(bytes, error, SOURCE);
    return { outcome: answer?.status ?? 'dropped', message: message ?? answer };
  }
}

t.test('RFC 4475: every message is here', (t) => {
  const files = readdirSync(FOLDER).filter((name) => name.endsWith('.dat'));
  t.same(
    files.sort(),
    Object.keys(EXPECTED)
      .map((name) => `${name}.dat`)
      .sort(),
  );
  t.equal(files.length, 49);
  t.end();
});

for (const [name, { section, outcome, shows }] of Object.entries(EXPECTED)) {
  t.test(`RFC 4475 §${section}: ${name}`, (t) => {
    const bytes = readFileSync(`${FOLDER}/${name}.dat`);
    const received = receive(bytes);
    t.equal(received.outcome, outcome);
    if (received.message !== undefined) {
      const { message } = received;
      shows?.(t, message);
      // What we send of it is understood, as far as it was, and says the same.
      const sent = formatMessage(message);
      if (typeof outcome === 'string' && message.kind === 'request') {
        t.same([...parseMessage(sent).headers], expectedHeaders(message));
        t.same(parseMessage(sent).body, message.body);
      }
    } else t.equal(shows, undefined);
    t.end();
  });
}

/** The headers of a message as it is printed: the same, but Content-Length last. */
function expectedHeaders(message: SipMessage): unknown[] {
  const length = { name: 'Content-Length', key: 'content-length', value: String(message.body.length) };
  return [...[...message.headers].filter(({ key }) => key !== 'content-length'), length];
}

t.test('RFC 4475 §3.2.1: a cookie without an identifier does not make one transaction of two requests', (t) => {
  const text = readFileSync(`${FOLDER}/badbranch.dat`, 'latin1');
  const keyOf = (bytes: string): string => serverKey(parseMessage(Buffer.from(bytes, 'latin1')) as SipRequest);
  t.equal(keyOf(text), keyOf(text));
  t.not(keyOf(text), keyOf(text.replace(/^(CSeq: *)\d+/m, '$14711')));
  const good = text.replace('z9hG4bK', 'z9hG4bKx');
  t.equal(keyOf(good), keyOf(good.replace(/^(CSeq: *)\d+/m, '$14711')), 'a branch is an identifier');
  t.end();
});

t.test('RFC 4475 §3.1.2: an answer to what is broken goes back the way it came', (t) => {
  const bytes = readFileSync(`${FOLDER}/quotbal.dat`);
  const answer = refuse(bytes, new SipError(400, 'broken'), SOURCE);
  t.equal(answer?.headers.get('Via'), 'SIP/2.0/UDP 192.0.2.59:5050;branch=z9hG4bKkdjuw39234;received=192.0.2.250');
  t.equal(answer?.headers.get('Call-ID'), 'quotbal.aksdj');
  t.match(answer?.headers.get('To'), /^"Mr\. J\. User <sip:j\.user@example\.com>;tag=[0-9a-f]{16}$/);
  t.equal(answer?.reason, 'Bad Request - broken');
  t.end();
});
