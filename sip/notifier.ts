import type {
  Answer,
  EventPackage,
  IncomingSubscribe,
  InviteSession,
  Limits,
  Subscription,
  SubscriptionParts,
} from './api.ts';
import type { Core } from './core.ts';
import { LiveDialog } from './dialog.ts';
import type { TokenWithParams } from './fields.ts';
import { aboutRequest, type Incoming } from './incoming.ts';
import type { MediaType } from './fields.ts';
import type { SipRequest } from './message.ts';
import { LiveSubscription } from './subscription.ts';
import type { Flow } from './transport/flow.ts';

/** The subscriptions of one resource. */
interface Watching {
  readonly all: Set<Subscription>;
  /** Those that have been told everything: who waits to be told something will be told all of it anyway. */
  upToDate: Set<Subscription>;
}

/** The subscriptions of a user agent, by package and resource. */
export class Notifier {
  readonly #byResource = new Map<string, Watching>();
  #size = 0;

  /** How many are alive. */
  get size(): number {
    return this.#size;
  }

  /** Takes one in. */
  add(eventPackage: string, subscription: Subscription): void {
    const key = resourceKey(eventPackage, subscription.resource);
    const known = this.#byResource.get(key);
    if (known === undefined) this.#byResource.set(key, { all: new Set([subscription]), upToDate: new Set() });
    else known.all.add(subscription);
    this.#size++;
  }

  /** What was due to a subscription is being told: of what comes after it must be told again. */
  told(eventPackage: string, subscription: Subscription): void {
    const known = this.#byResource.get(resourceKey(eventPackage, subscription.resource));
    if (known?.all.has(subscription) === true) known.upToDate.add(subscription);
  }

  remove(eventPackage: string, subscription: Subscription): void {
    const key = resourceKey(eventPackage, subscription.resource);
    const known = this.#byResource.get(key);
    if (known?.all.delete(subscription) !== true) return;
    known.upToDate.delete(subscription);
    this.#size--;
    if (known.all.size === 0) this.#byResource.delete(key);
  }

  /** Those of one resource; a copy, which may be walked while some of them end. */
  of(eventPackage: string, resource: string): readonly Subscription[] {
    return [...(this.#byResource.get(resourceKey(eventPackage, resource))?.all ?? [])];
  }

  /**
   * Marks those of one resource that are not marked yet: each is told as its pacing allows. So the next changes, before
   * anybody was told, cost nothing.
   */
  changed(eventPackage: string, resource: string): void {
    const known = this.#byResource.get(resourceKey(eventPackage, resource));
    if (known === undefined || known.upToDate.size === 0) return;
    const { upToDate } = known;
    known.upToDate = new Set();
    for (const subscription of upToDate) subscription.changed();
  }

  /** All of them; a copy. */
  all(): readonly Subscription[] {
    return [...this.#byResource.values()].flatMap(({ all }) => [...all]);
  }
}

function resourceKey(eventPackage: string, resource: string): string {
  return `${eventPackage} ${resource}`;
}

/** A SUBSCRIBE that asks for a new subscription, being answered. */
export class ServerSubscribe implements IncomingSubscribe {
  readonly event: TokenWithParams;
  readonly expires: number;
  readonly session: InviteSession | undefined;
  readonly #core: Core;
  readonly #incoming: Incoming;
  readonly #package: EventPackage;
  readonly #dialog: LiveDialog | undefined;

  constructor(
    core: Core,
    incoming: Incoming,
    event: TokenWithParams,
    eventPackage: EventPackage,
    expires: number,
    dialog: LiveDialog | undefined,
  ) {
    this.#core = core;
    this.#incoming = incoming;
    this.event = event;
    this.expires = expires;
    this.session = dialog?.session?.session;
    this.#package = eventPackage;
    this.#dialog = dialog;
  }

  get request(): SipRequest {
    return this.#incoming.request;
  }

  get flow(): Flow {
    return this.#incoming.flow;
  }

  accept(parts: SubscriptionParts): Subscription | undefined {
    if (this.#incoming.answered) return undefined;
    const { headers = [] } = parts;
    return this.#incoming.orFail(() =>
      openSubscription(this.#core, this.#incoming, {
        event: this.event,
        package: this.#package,
        parts,
        expires: this.expires,
        dialog: this.#dialog,
        status: 200,
        headers: [{ name: 'Expires', value: String(this.expires) }, ...headers],
      }),
    );
  }

  refuse(answer: Answer): void {
    if (!this.#incoming.answered) this.#incoming.respond(answer.status, answer);
  }
}

/** What `openSubscription` makes a subscription of. */
export interface Opening {
  readonly event: TokenWithParams;
  readonly package: EventPackage;
  readonly parts: SubscriptionParts;
  readonly expires: number;
  /** The dialog it shall live in; undefined: a new one. */
  readonly dialog: LiveDialog | undefined;
  readonly status: number;
  readonly headers: Answer['headers'];
}

/** Answers SUBSCRIBE or REFER with 2xx, opens the subscription and sends its first NOTIFY, in this order. */
export function openSubscription(core: Core, incoming: Incoming, opening: Opening): LiveSubscription {
  const { request } = incoming;
  const dialog = opening.dialog ?? LiveDialog.asServer(incoming);
  if (opening.dialog === undefined) {
    dialog.contact = opening.parts.contact;
    core.dialogs.add(dialog, incoming.flow.remote.address);
  } else dialog.refresh(request);
  const subscription = new LiveSubscription({
    ...opening,
    core,
    dialog,
    forget: (ended) => {
      core.notifier.remove(ended.package.name, ended);
    },
  });
  core.notifier.add(opening.package.name, subscription);
  const recordRoute = request.headers.all('Record-Route').map((value) => ({ name: 'Record-Route', value }));
  incoming.respond(opening.status, {
    contact: dialog.contactFor(incoming.flow),
    headers: [...recordRoute, core.capabilities.allow, ...core.capabilities.allowEvents, ...(opening.headers ?? [])],
  });
  subscription.begin();
  return subscription;
}

/** A SUBSCRIBE that belongs to no subscription yet (RFC 6665 §4.2.1.1). */
export function receiveSubscribe(core: Core, incoming: Incoming, dialog: LiveDialog | undefined): void {
  const { request } = incoming;
  const { event } = request;
  const { packages, allowEvents } = core.capabilities;
  const eventPackage = event === undefined ? undefined : packages.get(event.value);
  if (event === undefined || eventPackage === undefined) {
    // RFC 3515 §2.4.4: only REFER makes a subscription to refer.
    incoming.respond(event?.value === 'refer' ? 403 : 489, { headers: allowEvents });
    return;
  }
  const { minExpires, maxExpires, defaultExpires, contentTypes } = eventPackage;
  const asked = request.expires ?? defaultExpires;
  if (asked > 0 && asked < minExpires) {
    incoming.respond(423, { headers: [{ name: 'Min-Expires', value: String(minExpires) }] });
    return;
  }
  if (!accepts(request.accept, contentTypes)) {
    incoming.respond(406, { headers: [{ name: 'Accept', value: contentTypes.join(', ') }] });
    return;
  }
  if (hasEnough(core, incoming, dialog)) return;
  const subscribe = new ServerSubscribe(core, incoming, event, eventPackage, Math.min(asked, maxExpires), dialog);
  incoming.run(() => core.handlers.onSubscribe(subscribe));
}

/** Answers 503 to what would make one subscription more than there may be. */
export function hasEnough(core: Core, incoming: Incoming, dialog: LiveDialog | undefined): boolean {
  const { limits } = core;
  const limit: keyof Limits | undefined =
    core.notifier.size >= limits.subscriptions
      ? 'subscriptions'
      : dialog !== undefined && dialog.subscriptions.size >= limits.subscriptionsPerDialog
        ? 'subscriptionsPerDialog'
        : undefined;
  if (limit === undefined) return false;
  core.log.warn(`503: limit of ${limit}`, aboutRequest(incoming.request, incoming.flow));
  incoming.respond(503, { headers: [{ name: 'Retry-After', value: '10' }] });
  return true;
}

/** Without Accept the package's default type is meant (RFC 6665 §3.1.3). */
function accepts(ranges: readonly MediaType[] | undefined, types: readonly string[]): boolean {
  if (ranges === undefined) return true;
  return ranges.some(
    ({ type }) => type === '*/*' || types.some((t) => t === type || type === `${t.split('/')[0] ?? ''}/*`),
  );
}
