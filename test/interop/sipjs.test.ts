import { once } from 'node:events';
import {
  type Invitation,
  Inviter,
  type Message,
  Messager,
  type Notification,
  type Session,
  type SessionDescriptionHandler,
  SessionState,
  Subscriber,
  UserAgent,
  type UserAgentDelegate,
} from 'sip.js';
import t from 'tap';
import type { Test } from 'tap';
import { WebSocket, WebSocketServer } from 'ws';
import {
  type Flow,
  type InviteSession,
  type Outcome,
  parseNameAddr,
  parseUri,
  type SessionEnd,
} from '../../sip/index.ts';
import { SipTransport } from '../../src/client/sip-transport.ts';
import { account, sdp, SmallUserAgent } from './small-user-agent.ts';

const agent = new SmallUserAgent();
const sockets = new WebSocketServer({ host: '127.0.0.1', port: 0, handleProtocols: () => 'sip' });
const listening = once(sockets, 'listening');
/** The flows of the sip.js user agents, as they connected. */
const flows: Flow[] = [];

t.before(async () => {
  await agent.listen();
  await listening;
  const here = { address: '127.0.0.1', port: agent.port };
  sockets.on('connection', (socket, request) => {
    const remote = { address: '127.0.0.1', port: request.socket.remotePort ?? 0 };
    const advertised = { host: '127.0.0.1', port: agent.port };
    const flow = agent.transport.accept(socket, { secure: false, local: here, remote, advertised });
    if (flow !== undefined) flows.push(flow);
  });
});
t.teardown(async () => {
  await agent.close();
  sockets.close();
});

/** Media for sip.js: the same description always. */
function description(): SessionDescriptionHandler {
  return {
    close: () => undefined,
    getDescription: () => Promise.resolve({ body: String(sdp.body), contentType: 'application/sdp' }),
    hasDescription: (contentType) => contentType === 'application/sdp',
    sendDtmf: () => false,
    setDescription: () => Promise.resolve(),
  };
}

/** A sip.js user agent, connected; and the flow by which we reach it. */
async function sipJs(t: Test, delegate: UserAgentDelegate = {}): Promise<{ js: UserAgent; flow: Flow }> {
  const address = sockets.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const js = new UserAgent({
    uri: target('alice'),
    viaHost: 'alice.invalid',
    transportConstructor: SipTransport,
    transportOptions: {
      url: `ws://127.0.0.1:${port}`,
      webSocket: (url: string, subProtocol: string) => new WebSocket(url, subProtocol),
    },
    sessionDescriptionHandlerFactory: description,
    authorizationUsername: account.username,
    authorizationPassword: account.password,
    delegate,
    logBuiltinEnabled: false,
  });
  t.teardown(() => js.stop());
  await js.start();
  const flow = flows.at(-1);
  if (flow === undefined) throw new Error('no flow');
  return { js, flow };
}

function target(user: string) {
  const uri = UserAgent.makeURI(`sip:${user}@127.0.0.1:${agent.port}`);
  if (uri === undefined) throw new Error('not a URI');
  return uri;
}

function reached(session: Session, wanted: SessionState): Promise<void> {
  return new Promise((resolve) => {
    const look = (state: SessionState): void => {
      if (state === wanted) resolve();
    };
    session.stateChange.addListener(look);
    look(session.state);
  });
}

const small = parseNameAddr('<sip:small@127.0.0.1>');
const aliceAt = parseUri('sip:alice@alice.invalid;transport=ws');
const statusOf = (outcome: Outcome): number => (outcome.is === 'response' ? outcome.response.status : outcome.status);

/** The status that a method of sip.js's is answered with. */
function answered(
  send: (options: {
    requestDelegate: {
      onAccept: (response: { message: { statusCode?: number | undefined } }) => void;
      onReject: (response: { message: { statusCode?: number | undefined } }) => void;
    };
  }) => Promise<unknown>,
): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const settle = (response: { message: { statusCode?: number | undefined } }): void => {
      resolve(response.message.statusCode);
    };
    send({ requestDelegate: { onAccept: settle, onReject: settle } }).catch(reject);
  });
}

t.test('sip.js places a call: MESSAGEs and re-INVITEs both ways, INFO, and its BYE', async (t) => {
  const { js } = await sipJs(t);
  const inviter = new Inviter(js, target('room'));
  const heard: string[] = [];
  inviter.delegate = {
    onMessage: (message: Message) => {
      heard.push(message.request.body);
      void message.accept();
    },
  };
  await inviter.invite();
  await reached(inviter, SessionState.Established);
  const session = agent.sessions.at(-1);
  if (session === undefined) throw new Error('no session');
  t.equal(await answered((options) => inviter.message({ ...options, requestOptions: body('from sip.js') })), 200);
  t.equal(agent.messages.at(-1), 'from sip.js');
  t.equal(await inside(session, 'MESSAGE', { contentType: 'text/plain', body: 'to sip.js' }), 200);
  t.strictSame(heard, ['to sip.js']);
  t.equal(await answered((options) => inviter.info({ ...options, requestOptions: body('Signal=1') })), 200);
  t.equal(await answered((options) => inviter.invite(options)), 200, 're-INVITE by sip.js');
  t.equal(await inside(session, 'INVITE', sdp), 200, 're-INVITE by us');
  await inviter.bye();
  await reached(inviter, SessionState.Terminated);
  while (session.state !== 'ended') await new Promise(setImmediate);
});

t.test('sip.js gives up a call that rings', async (t) => {
  const { js } = await sipJs(t);
  const inviter = new Inviter(js, target('ring'));
  const ringing = new Promise<void>((resolve) => {
    void inviter.invite({
      requestDelegate: {
        onProgress: () => {
          resolve();
        },
      },
    });
  });
  await ringing;
  await inviter.cancel();
  await reached(inviter, SessionState.Terminated);
  t.equal(agent.userAgent.counts.pendingInvites, 0);
});

t.test('sip.js answers a challenge: INVITE and MESSAGE', async (t) => {
  const { js } = await sipJs(t);
  const inviter = new Inviter(js, target('proved'));
  await inviter.invite();
  await reached(inviter, SessionState.Established);
  await inviter.bye();
  const messager = new Messager(js, target('proved'), 'proved');
  t.equal(await answered((options) => messager.message(options)), 200);
  t.equal(agent.messages.at(-1), 'proved');
});

t.test('sip.js is called: it answers, and we hang up; it rings, and we give up; it declines', async (t) => {
  const calls: Invitation[] = [];
  let onCall: (call: Invitation) => void = () => undefined;
  const { flow } = await sipJs(t, {
    onInvite: (call) => {
      calls.push(call);
      onCall(call);
    },
  });
  onCall = (call) => void call.accept();
  let over: (end: SessionEnd) => void = () => undefined;
  const ended = new Promise<SessionEnd>((resolve) => {
    over = resolve;
  });
  const session = await new Promise<InviteSession>((resolve, reject) => {
    agent.userAgent.invite(
      { uri: aliceAt, from: small, flow, ...sdp, session: { onEnded: over } },
      {
        onAccepted: (accepted) => {
          resolve(accepted);
          return undefined;
        },
        onFailed: (outcome) => {
          reject(new Error(String(statusOf(outcome))));
        },
      },
    );
  });
  const [first] = calls;
  if (first === undefined) throw new Error('no call');
  await reached(first, SessionState.Established);
  session.close();
  t.equal((await ended).why, 'closed');
  await reached(first, SessionState.Terminated);

  const fails = (handle: (call: Invitation) => void, cancels: boolean): Promise<number> =>
    new Promise((resolve) => {
      onCall = handle;
      const invite = agent.userAgent.invite(
        { uri: aliceAt, from: small, flow, ...sdp },
        {
          onProgress: () => {
            if (cancels) invite.cancel();
          },
          onAccepted: () => undefined,
          onFailed: (outcome) => {
            resolve(statusOf(outcome));
          },
        },
      );
    });
  t.equal(await fails((call) => void call.progress(), true), 487);
  t.equal(await fails((call) => void call.reject({ statusCode: 486 }), false), 486);
});

t.test('sip.js subscribes: the first NOTIFY, one of a change, and the end', async (t) => {
  const { js } = await sipJs(t);
  const subscriber = new Subscriber(js, target('room'), 'conference', { extraHeaders: ['Accept: text/plain'] });
  const bodies: string[] = [];
  const states: string[] = [];
  const twice = new Promise<void>((resolve) => {
    subscriber.delegate = {
      onNotify: (notification) => {
        bodies.push(notification.request.body);
        states.push(notification.request.getHeader('Subscription-State') ?? '');
        void notification.accept();
        if (bodies.length === 2) resolve();
      },
    };
  });
  await subscriber.subscribe();
  await twice;
  t.strictSame(bodies, ['version 1', 'version 2']);
  t.match(states, [/^active/, /^active/]);
  t.equal(agent.userAgent.counts.subscriptions, 1);
  await subscriber.unsubscribe();
  while (agent.userAgent.counts.subscriptions > 0) await new Promise(setImmediate);
});

t.test('sip.js refers somebody within its call, and is told how it fares', async (t) => {
  const { js } = await sipJs(t);
  const inviter = new Inviter(js, target('room'));
  await inviter.invite();
  await reached(inviter, SessionState.Established);
  const told: string[] = [];
  const finished = new Promise<void>((resolve) => {
    const onNotify = (notification: Notification): void => {
      told.push(notification.request.body.trim());
      void notification.accept();
      if (told.length === 2) resolve();
    };
    void inviter.refer(target('bob'), { onNotify });
  });
  await finished;
  t.strictSame(told, ['SIP/2.0 100 Trying', 'SIP/2.0 200 OK']);
  await inviter.bye();
});

t.test('MESSAGEs outside of dialogs, both ways, in UTF-8', async (t) => {
  const heard: string[] = [];
  const { js, flow } = await sipJs(t, {
    onMessage: (message) => {
      heard.push(message.request.body);
      void message.accept();
    },
  });
  const messager = new Messager(js, target('room'), 'grüße, 世界');
  t.equal(await answered((options) => messager.message(options)), 200);
  t.equal(agent.messages.at(-1), 'grüße, 世界');
  const outcome = await new Promise<Outcome>((resolve) => {
    const content = { contentType: 'text/plain;charset=UTF-8', body: 'zurück, 世界' };
    agent.userAgent.request({ method: 'MESSAGE', uri: aliceAt, from: small, flow, ...content }, resolve);
  });
  t.equal(statusOf(outcome), 200);
  t.strictSame(heard, ['zurück, 世界']);
});

t.test('nothing went wrong unseen', (t) => {
  t.strictSame(agent.faults, []);
  t.end();
});

function body(content: string) {
  return { body: { contentDisposition: 'render', contentType: 'text/plain', content } };
}

function inside(session: InviteSession, method: 'INVITE' | 'MESSAGE', content: typeof sdp): Promise<number> {
  return new Promise((resolve) => {
    const done = (outcome: Outcome): void => {
      resolve(statusOf(outcome));
    };
    if (method === 'INVITE') session.reInvite(content, done);
    else session.request(method, content, done);
  });
}
