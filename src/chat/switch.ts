import type { Said } from '../conference/events.ts';
import type { EndpointId, UserUri } from '../conference/ids.ts';
import type { Copy } from './copy.ts';
import type { Recipient } from './recipient.ts';

/** A recipient as it may be remembered when it is gone. */
export interface Addressed {
  readonly user: UserUri;
  readonly endpoint: EndpointId;
}

/** The MSRP switch of one room (RFC 7701 §2): who is there to deliver to, and the fan-out. */
export class MsrpSwitch {
  readonly #recipients = new Map<EndpointId, Recipient>();
  readonly #byUser = new Map<UserUri, Set<Recipient>>();
  /** Those who are there, as they may be remembered; made anew when somebody comes or goes. */
  #everybody: readonly Addressed[] | undefined;

  /** How many endpoints are delivered to. */
  get size(): number {
    return this.#recipients.size;
  }

  /** All who are delivered to. */
  all(): Iterable<Recipient> {
    return this.#recipients.values();
  }

  /** Who is delivered to under this id. */
  at(endpoint: EndpointId): Recipient | undefined {
    return this.#recipients.get(endpoint);
  }

  /** From now on the endpoint gets what is said. One that is there already under the same id is replaced. */
  add(recipient: Recipient): void {
    this.remove(recipient.endpoint);
    this.#recipients.set(recipient.endpoint, recipient);
    this.#everybody = undefined;
    const others = this.#byUser.get(recipient.user);
    if (others === undefined) this.#byUser.set(recipient.user, new Set([recipient]));
    else others.add(recipient);
  }

  /** The endpoint gets nothing more. */
  remove(endpoint: EndpointId): void {
    const recipient = this.#recipients.get(endpoint);
    if (recipient === undefined) return;
    this.#recipients.delete(endpoint);
    this.#everybody = undefined;
    const ofUser = this.#byUser.get(recipient.user);
    ofUser?.delete(recipient);
    if (ofUser?.size === 0) this.#byUser.delete(recipient.user);
  }

  /** All endpoints through which a user is reached; RFC 7701 §6.1 and §6.2 want each of them served. */
  of(user: UserUri): ReadonlySet<Recipient> {
    return this.#byUser.get(user) ?? NOBODY;
  }

  /** Those whom `fanOut` would reach. The list is the caller's to keep; the endpoint it came from may be in it. */
  addressed({ audience }: Said): readonly Addressed[] {
    if (audience.to === 'everyone') return (this.#everybody ??= [...this.#recipients.values()].map(remembered));
    return [...this.of(audience.user)].filter(({ takesPrivate }) => takesPrivate).map(remembered);
  }

  /**
   * Delivers to everybody who may have it but the endpoint it came from (RFC 7701 §6.1): all of the room, or, for a
   * private message (§6.2), those devices of the addressee that know what it is.
   */
  fanOut(copy: Copy, deliver = (recipient: Recipient): void => recipient.deliver(copy)): void {
    const { audience, endpoint } = copy.said;
    if (audience.to === 'everyone') {
      for (const recipient of this.#recipients.values()) {
        if (recipient.endpoint !== endpoint) deliver(recipient);
      }
      return;
    }
    for (const recipient of this.of(audience.user)) {
      if (recipient.endpoint !== endpoint && recipient.takesPrivate) deliver(recipient);
    }
  }
}

const remembered = ({ user, endpoint }: Recipient): Addressed => ({ user, endpoint });

const NOBODY: ReadonlySet<Recipient> = new Set();
