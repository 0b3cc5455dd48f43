import type {
  EventPackage,
  Limits,
  SessionTimerOptions,
  Subscription,
  UserAgentHandlers,
  UserAgentOptions,
} from './api.ts';
import { CONTENT_ENCODINGS } from './content-encoding.ts';
import type { HeaderLine } from './errors.ts';
import type { NameAddr } from './fields.ts';
import type { Dialogs } from './dialog.ts';
import type { Log } from './log.ts';
import type { SipRequest } from './message.ts';
import type { Clock } from './timers.ts';
import type { Transactions } from './transactions.ts';
import type { TransportLayer } from './transport/flow.ts';
import type { Turns } from './turns.ts';

/** What the parts of one user agent share: its time, its bounds, its tables, its way to the transport. */
export interface Core {
  readonly clock: Clock;
  readonly log: Log;
  readonly limits: Limits;
  readonly handlers: UserAgentHandlers;
  readonly transport: TransportLayer;
  readonly transactions: Transactions;
  readonly dialogs: Dialogs;
  readonly notifier: SubscriptionTable;
  /** Where NOTIFYs that only tell a change take their turns. */
  readonly turns: Turns;
  readonly capabilities: Capabilities;
  readonly sessionTimer: SessionTimerOptions | undefined;
  readonly outboundRoute: readonly NameAddr[];
  /** True once the user agent closes: nothing new is begun. */
  readonly closing: boolean;
  /** Requests of ours that look for their way, and have no transaction yet. */
  readonly seeking: Set<object>;
  /** Tells the log that a request of ours gets no final response. */
  requestFailed(request: SipRequest, reason: string): void;
}

/** Where the subscriptions are found. */
export interface SubscriptionTable {
  readonly size: number;
  add(eventPackage: string, subscription: Subscription): void;
  /** What is due to it is being told. */
  told(eventPackage: string, subscription: Subscription): void;
  remove(eventPackage: string, subscription: Subscription): void;
}

/** What this user agent can do, as header lines made once. */
export interface Capabilities {
  readonly methods: readonly string[];
  readonly extensions: readonly string[];
  readonly packages: ReadonlyMap<string, EventPackage>;
  /** The media types that the bodies of INVITE, UPDATE and PRACK may have. */
  readonly bodies: readonly string[];
  readonly allow: HeaderLine;
  readonly supported: HeaderLine;
  readonly accept: HeaderLine;
  /** Accept-Encoding and Accept-Language: any language is as good as another. */
  readonly reads: readonly HeaderLine[];
  /** None without event packages. */
  readonly allowEvents: readonly HeaderLine[];
  /** Server, or User-Agent; none without a product name. */
  readonly server: readonly HeaderLine[];
  readonly userAgent: readonly HeaderLine[];
}

/** The defaults of `Limits`. */
export const DEFAULT_LIMITS: Omit<Limits, 'parser'> = {
  serverTransactions: 200_000,
  serverTransactionBytes: 268_435_456,
  clientTransactions: 200_000,
  dialogs: 50_000,
  dialogsPerAddress: 5_000,
  pendingInvites: 5_000,
  pendingInvitesPerAddress: 1_000,
  subscriptions: 50_000,
  subscriptionsPerDialog: 8,
  branches: 32,
  queuedPerDialog: 64,
  repeats: 8,
  notifyBacklog: 262_144,
};

/** Reads from options and handlers what the user agent will say of itself. */
export function capabilitiesOf(options: UserAgentOptions, handlers: UserAgentHandlers): Capabilities {
  const packages = new Map((options.events ?? []).map((each) => [each.name, each]));
  const methods = ['INVITE', 'ACK', 'CANCEL', 'BYE', 'OPTIONS', 'UPDATE', 'PRACK'];
  if (handlers.onMessage !== undefined) methods.push('MESSAGE');
  if (handlers.onRefer !== undefined) methods.push('REFER');
  if (handlers.onInfo !== undefined) methods.push('INFO');
  if (packages.size > 0) methods.push('SUBSCRIBE');
  methods.push('NOTIFY', ...(options.allow ?? []));
  const extensions = ['timer', 'norefersub', '100rel', ...(options.supported ?? [])];
  const { product, accept: bodies = ['application/sdp'] } = options;
  return {
    methods,
    extensions,
    packages,
    bodies,
    allow: { name: 'Allow', value: methods.join(', ') },
    supported: { name: 'Supported', value: extensions.join(', ') },
    accept: { name: 'Accept', value: bodies.join(', ') },
    reads: [
      { name: 'Accept-Encoding', value: CONTENT_ENCODINGS.join(', ') },
      { name: 'Accept-Language', value: '*' },
    ],
    allowEvents: packages.size === 0 ? [] : [{ name: 'Allow-Events', value: [...packages.keys()].join(', ') }],
    server: product === undefined ? [] : [{ name: 'Server', value: product }],
    userAgent: product === undefined ? [] : [{ name: 'User-Agent', value: product }],
  };
}
