import { type SessionDescriptionHandlerFactory, type URI, UserAgent } from 'sip.js';
import type { ClientOptions } from './contract.ts';
import { ClientError } from './errors.ts';
import { defaultServer, type Identity, identityOf, parseRoomUri } from './identity.ts';
import { SipTransport, type SipTransportOptions } from './sip-transport.ts';

/** Whom we call as whom over what. */
export interface Call {
  readonly room: URI;
  readonly identity: Identity;
  /** The WebSocket's URL, for SIP and MSRP alike. */
  readonly server: string;
  /** The name that stands for this device, which has no address of its own (RFC 7118 §5, RFC 7977 appendix A). */
  readonly host: string;
}

/** Works out where a room is and who we are there. Throws `ClientError` `address`. */
export function planCall(address: string, options: ClientOptions): Call {
  const room = parseRoomUri(address);
  const server = options.server ?? defaultServer(room);
  if (!/^wss?:\/\/[^\s/]+/i.test(server)) throw new ClientError('address', `${server} is no WebSocket URL`);
  const host = `${crypto.randomUUID().replaceAll('-', '').slice(0, 16)}.invalid`;
  return { room, identity: identityOf(options.name, room, options.identity), server, host };
}

/** A sip.js user agent for one call, not yet connected: `start()` does that. `lost` hears when its connection has ended. */
export function newUserAgent(
  call: Call,
  options: ClientOptions,
  lost: (why: ClientError) => void,
  sessionDescriptionHandlerFactory: SessionDescriptionHandlerFactory,
): UserAgent {
  const transportOptions: SipTransportOptions = { url: call.server, webSocket: options.webSocket };
  const { log, password, instance } = options;
  return new UserAgent({
    uri: parseRoomUri(call.identity.uri),
    // sip.js puts the quotes but not the escapes; control characters may not stand there (RFC 3261 §25.1).
    displayName: call.identity.name.replace(/["\\]/g, '\\$&').replace(/[\s\p{Cc}]+/gu, ' '),
    viaHost: call.host,
    contactParams: { transport: call.server.startsWith('wss') ? 'wss' : 'ws' },
    userAgentString: 'grouptextchat',
    transportConstructor: SipTransport,
    transportOptions,
    sessionDescriptionHandlerFactory,
    delegate: { onDisconnect: (fault) => lost(new ClientError('lost', fault?.message ?? 'the connection has ended')) },
    gracefulShutdown: true,
    logBuiltinEnabled: false,
    logConfiguration: false,
    logLevel: log === undefined ? 'error' : 'debug',
    ...(log === undefined
      ? {}
      : { logConnector: (level, category, _label, text) => log(`${level} ${category}: ${text}`) }),
    ...(password === undefined ? {} : { authorizationPassword: password }),
    ...(instance === undefined ? {} : { instanceId: instance, instanceIdAlwaysAdded: true }),
  });
}

/** Connects. Rejects with a `ClientError` `unreachable`. */
export async function startUserAgent(userAgent: UserAgent): Promise<void> {
  try {
    await userAgent.start();
  } catch (fault) {
    throw fault instanceof ClientError ? fault : new ClientError('unreachable', String(fault));
  }
}

/** Ends whatever the user agent still has; resolves when all is ended, after `patience` milliseconds at the latest. */
export async function stopUserAgent(userAgent: UserAgent, ending: Promise<void>, patience = 2_000): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const enough = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, patience);
  });
  const ended = userAgent.isConnected() ? ending.then(() => userAgent.stop()).catch(() => undefined) : undefined;
  await Promise.race([ended, enough]);
  clearTimeout(timer);
  await userAgent.transport.disconnect();
  // Transactions left over would keep their timers for half a minute.
  userAgent.userAgentCore.dispose();
}
