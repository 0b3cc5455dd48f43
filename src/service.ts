/**
 * The wiring of the running service: which part is given to which. What each part does stands in its own file.
 */
import { hostname } from 'node:os';
import { resolve } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import type { WebSocket } from 'ws';
import { newNodeEndpoint, tcpDialer, webSocketFlow } from '../msrp/node.ts';
import { SocketTransport, UserAgent } from '../sip/index.ts';
import { Domains } from './chat/domains.ts';
import { ConferenceHost } from './chat/host.ts';
import { sipReason } from './chat/sip-reason.ts';
import { ENGLISH } from './chat/texts.ts';
import { Conference } from './conference/conference.ts';
import { makeDirectory } from './config/directories.ts';
import type { RoomUri } from './conference/ids.ts';
import type { ConfigChange } from './config/reload.ts';
import { type Config, dataPath, FACTORY, LOG_BUSY } from './config/schema.ts';
import { Factory } from './focus/factory.ts';
import { ConferenceEvents, conferencePackage } from './focus/event-package.ts';
import { Focus } from './focus/focus.ts';
import { DialOut } from './focus/dial-out.ts';
import { FileCalls } from './focus/file-calls.ts';
import { LegMaker } from './focus/leg-maker.ts';
import { ModeratedLegs } from './focus/moderated-legs.ts';
import { PeerTable } from './focus/peers.ts';
import { RECIPIENT_LIST_INVITE } from './focus/recipient-list.ts';
import { PinGate } from './focus/pin-gate.ts';
import { Referrals } from './focus/referrals.ts';
import { SilenceBridge } from './focus/transport/silence.ts';
import { adminToken } from './ops/api.ts';
import { HttpServer, type SubProtocol, THIS_MACHINE, type WebSocketPeer } from './ops/http.ts';
import type { Logger } from './ops/logger.ts';
import { Metrics } from './ops/metrics.ts';
import { bracketed, reachableHost, servedNames } from './service/addresses.ts';
import {
  audioPlaces,
  listenMsrpAt,
  listenSip,
  type MsrpListener,
  msrpPlaces,
  type ServedAddress,
} from './service/listen.ts';
import { withAddresses } from './service/hosts.ts';
import { dialledLine, dialledRoom } from './service/dialled.ts';
import { apiRoutes } from './service/api.ts';
import { Certificates } from './service/certificates.ts';
import { creatorsOf, dialOutOptions, targetsOf } from './service/dialling.ts';
import { congestionCounter, countingWatcher, failureCounter, showFigures } from './service/figures.ts';
import { accountDomain, gateOf } from './service/gate.ts';
import { LivingConfig } from './service/living-config.ts';
import { peerFamily } from './service/peers.ts';
import {
  legOptions,
  msrpLimits,
  rosterTimes,
  sipTimers,
  sipTransportLimits,
  userAgentLimits,
  webSocketBytes,
} from './service/limits.ts';
import { openRoomLog } from './service/room-log.ts';
import { settingsOf } from './service/room-settings.ts';
import { sipTrace } from './service/sip-trace.ts';

export type { ServedAddress } from './service/listen.ts';

/** What a service is made from. */
export interface ServiceOptions {
  readonly config: Config;
  readonly log: Logger;
}

/** A running service. */
export interface Service {
  readonly addresses: readonly ServedAddress[];
  /** Takes over what can be taken over without a restart, and says what that was and what not. */
  reload(config: Config): ConfigChange;
  /**
   * Says goodbye to everybody, keeps what is not kept yet, and gives all sockets back; connections of peers that do not
   * close their side a few seconds later.
   */
  close(): Promise<void>;
}

/** How often what nobody needs any more is looked for, in ms. */
const SWEEP = 5_000;
/** How often the past that need not be kept any longer is forgotten, in ms. */
const PRUNE = 60_000;
/** How long peers may take to close their side of an MSRP connection when all is over, in ms. */
const CUT_OFF = 1_000;
/** How much sooner than the whole stop the wait for answers by SIP ends, in ms. */
const LAST_LINES = 300;
const STOPPING = 'the service is stopping';

/** Starts the service. Rejects, with nothing left open, when an address cannot be listened at or a name has none. */
export async function startService(options: ServiceOptions): Promise<Service> {
  const opened: Opened = { log: [], towardsPeers: [] };
  const close = async (): Promise<void> => {
    await within(options.config.shutdown, unwind(opened.towardsPeers));
    // Whatever peers do or leave undone, what was said is on disk.
    await unwind(opened.log);
  };
  try {
    return await wire(options, opened, close);
  } catch (fault) {
    await close();
    throw fault;
  }
}

/** What has been opened, as what closes it again. */
interface Opened {
  readonly log: Closer[];
  /** Sockets and what goes over them. */
  readonly towardsPeers: Closer[];
}

type Closer = () => Promise<void> | void;

/** Closes all, the last opened first. */
async function unwind(closers: Closer[]): Promise<void> {
  for (let closer = closers.pop(); closer !== undefined; closer = closers.pop()) await closer();
}

/** Waits for the end of something, but not longer than so many milliseconds. */
async function within(milliseconds: number, end: Promise<void>): Promise<void> {
  const enough = new AbortController();
  const late = setTimeout(milliseconds, undefined, { signal: enough.signal }).catch(() => undefined);
  await Promise.race([end, late]).finally(() => {
    enough.abort();
  });
}

async function wire(
  { config: configured, log }: ServiceOptions,
  { log: ofLog, towardsPeers: opened }: Opened,
  close: () => Promise<void>,
): Promise<Service> {
  makeDirectory('data', resolve(configured.data));
  const config = await withAddresses(configured);
  const living = new LivingConfig(configured);
  const now = Date.now;
  const names = servedNames(hostname(), config.domains, config.sip);
  const domains = new Domains(names, config.auth.mode === 'digest' ? accountDomain(config) : undefined);
  const certificates = await Certificates.open(config, names);
  const metrics = new Metrics();
  const dialled = (room: RoomUri): string => dialledRoom(configured, room);
  const warnFor = (part: string) => (line: string) => {
    log.child(part).warn(dialledLine(configured, line));
  };
  const peers = new PeerTable(config.peers.map(peerFamily));
  const gate = gateOf(config, domains, log);

  const roomLog = await openRoomLog(() => living.current, log.child('log'));
  ofLog.push(() => roomLog.close());

  const events: ConferenceEvents = new ConferenceEvents({
    userAgent: () => userAgent,
    host: () => host,
    domains,
    peers,
    gate,
    legs: () => legs,
    callInfo: config.roster.call_info,
  });
  const factory = new Factory({
    name: FACTORY,
    creators: creatorsOf(config, domains),
    redirects: config.factory.answer === 'redirect',
    rooms: () => host.size,
    maxRooms: config.rooms.maximum,
    rate: { perSecond: config.factory.rooms_per_minute / 60, burst: config.factory.rooms_at_once },
    domains,
    now,
  });
  const fileCalls = new FileCalls({ legs: () => legs, grace: config.msrp.grace, maxCalls: config.msrp.files_at_once });
  const host: ConferenceHost = new ConferenceHost({
    log: roomLog,
    domains,
    settingsOf: (uri) =>
      settingsOf(living.current, uri, domains, factory.hasMade(uri) ? { owner: factory.ownerOf(uri) } : undefined),
    newConference: (settings) => new Conference(settings),
    watchers: [events, new ModeratedLegs(() => legs), fileCalls, countingWatcher(metrics)],
    maxRooms: config.rooms.maximum,
    pinTries: { caller: config.rooms.pin_tries, address: config.rooms.pin_tries_per_address },
    texts: ENGLISH,
    deliveryFailed: failureCounter(metrics),
    duplicateWindow: config.log.duplicate_window,
    warn: warnFor('chat'),
    audit: (line) => {
      log.child('moderation').info(dialledLine(configured, line));
    },
    now,
  });
  const sweep = setInterval(() => {
    host.sweep();
  }, SWEEP);
  const prune = setInterval(() => {
    roomLog.prune(now());
  }, PRUNE);
  opened.push(() => {
    clearInterval(sweep);
    clearInterval(prune);
  });

  const sip: ServedAddress[] = [];
  const dialOut = new DialOut({
    options: dialOutOptions(config),
    targets: targetsOf(config, domains, sip),
    host,
    peers,
    legs: () => legs,
    userAgent: () => userAgent,
    namesOf: (room) => factory.namesOf(room),
    local: reachableHost(config.sip.host[0] ?? '127.0.0.1', config.sip.advertise),
    now,
    warn: warnFor('dialling'),
  });

  const endpoint = newNodeEndpoint({
    log: log.child('msrp'),
    limits: msrpLimits(config),
    // RFC 8122 §6.2: who connects shows a certificate, too.
    dialer: (target) => tcpDialer({ tls: certificates.current.tls })(target),
  });
  const transports: SocketTransport[] = [];
  const trace = sipTrace(log.child('sip'));
  const accept = (protocol: SubProtocol, socket: WebSocket, peer: WebSocketPeer): void => {
    const { secure, proxied, local } = peer;
    if (protocol === 'msrp') {
      // RFC 4975 §6: `msrps` wants TLS on each hop. Most proxies of this machine that have ended it do not say so.
      endpoint.accept(webSocketFlow(socket, { secure: secure || proxied, peer }));
      return;
    }
    const advertised = { host: bracketed(local.address), port: local.port };
    for (const transport of transports) transport.accept(socket, { secure, local, remote: peer, advertised });
  };
  showFigures(metrics, host, endpoint);
  const http = new HttpServer(
    {
      host: config.http.host,
      port: config.http.port,
      ...(config.http.tls ? { tls: certificates.current } : {}),
      proxies: [...THIS_MACHINE, ...config.http.proxies],
      forwardedFor: config.http.forwarded_for,
      origins: config.http.origins,
      webSocketsPerAddress: config.http.websockets_per_address,
      maxMessageBytes: webSocketBytes(config),
      apiToken: adminToken(dataPath(config, 'admin-token')),
    },
    {
      health: () => {
        const health = roomLog.health();
        return health === 'well' ? { well: true } : { well: false, reason: health.reason };
      },
      api: apiRoutes({ host, domains, roomLog, dialOut, dialled }),
      webSocket: (protocol, socket, peer) => {
        accept(protocol, socket, peer);
      },
    },
    metrics,
    log.child('http'),
  );
  const httpAddress = await http.listen();
  certificates.follow(({ tls }) => {
    http.renew(tls);
  });
  opened.push(() => http.close());

  const msrp: MsrpListener[] = [];
  const closeMsrp = async (): Promise<void> => {
    endpoint.close(STOPPING);
    await Promise.all(msrp.map(({ listener }) => listener.close(CUT_OFF)));
  };
  opened.push(closeMsrp);
  for (const host of config.msrp.host) {
    msrp.push(await listenMsrpAt(host, msrp[0]?.listener.port ?? config.msrp.port, config, certificates, endpoint));
  }

  const audio = new SilenceBridge({
    places: audioPlaces(config),
    firstPort: config.audio.first_port,
    lastPort: config.audio.last_port,
  });
  opened.push(() => {
    audio.close();
  });

  const legs: LegMaker = new LegMaker({
    options: legOptions(config),
    endpoint,
    places: msrpPlaces(config, certificates, msrp, httpAddress),
    audio,
    userAgent: () => userAgent,
    now,
    info: (line) => {
      log.info(dialledLine(configured, line));
    },
    congestion: congestionCounter(metrics),
  });
  const listEntries = config.dialling.list_entries;
  const warn = warnFor('focus');
  // With accounts a second challenge, of another realm, would be more than most clients answer: there a PIN is dialled.
  const pins = new PinGate(now, config.auth.mode === 'open', dialled);
  const referrals = new Referrals({ host, domains, gate, legs, pins, dialOut, listEntries, warn });
  const callers = { legs, fileCalls, dialOut, referrals };
  const focus = new Focus({ host, domains, gate, pins, peers, ...callers, events, factory, listEntries, warn });
  const userAgent: UserAgent = new UserAgent(
    {
      transport: (handlers) => {
        const limits = sipTransportLimits(config);
        const congested = (): boolean => roomLog.backlog > LOG_BUSY || legs.congested;
        const sockets = new SocketTransport({ log: log.child('sip'), limits, congested, trace }, handlers);
        transports.push(sockets);
        return sockets;
      },
      log: log.child('sip'),
      product: 'grouptextchat',
      supported: ['replaces', RECIPIENT_LIST_INVITE, 'multiple-refer'],
      accept: ['application/sdp', 'application/resource-lists+xml', 'multipart/mixed'],
      events: [conferencePackage(rosterTimes(config))],
      limits: userAgentLimits(config),
      timers: sipTimers(config),
      sessionTimer: { interval: config.sip.session_expires / 1000, min: config.sip.session_minimum / 1000 },
    },
    focus,
  );
  opened.push(async () => {
    // Earlier than all is cut off, so that there is time to tell what was not answered.
    const goodbyes = userAgent.close(Math.max(0, config.shutdown - LAST_LINES), () => {
      focus.close(sipReason(503, STOPPING));
    });
    // The chat sessions are over now: their connections need not wait for the answers to the BYEs.
    await Promise.all([goodbyes, closeMsrp()]);
  });
  for (const transport of transports) sip.push(...(await listenSip(config, certificates, transport)));

  return {
    addresses: [
      ...sip,
      ...msrp.map(({ host, listener: { port } }): ServedAddress => ({
        protocol: 'MSRP',
        transport: 'plain and TLS',
        host,
        port,
      })),
      { protocol: 'HTTP', transport: 'TCP', host: httpAddress.address, port: httpAddress.port },
    ],
    reload: (changed) => living.reload(changed, { certificates, peers, log }),
    close,
  };
}
