import type { EndpointId, UserUri } from '../conference/ids.ts';
import type { Copy } from './copy.ts';
import type { Recipient } from './recipient.ts';

/** The MSRP switch of one room (RFC 7701 §2): who is there to deliver to, and the fan-out. */
export class MsrpSwitch {
  readonly #recipients = new Map<EndpointId, Recipient>();
  readonly #byUser = new Map<UserUri, Set<Recipient>>();

  /** How many endpoints are delivered to. */
  get size(): number {
    return this.#recipients.size;
  }

  /** Who is delivered to under this id. */
  at(endpoint: EndpointId): Recipient | undefined {
    return this.#recipients.get(endpoint);
  }

  /** From now on the endpoint gets what is said. One that is there already under the same id is replaced. */
  add(recipient: Recipient): void {
    this.remove(recipient.endpoint);
    this.#recipients.set(recipient.endpoint, recipient);
    const others = this.#byUser.get(recipient.user);
    if (others === undefined) this.#byUser.set(recipient.user, new Set([recipient]));
    else others.add(recipient);
  }

  /** The endpoint gets nothing more. */
  remove(endpoint: EndpointId): void {
    const recipient = this.#recipients.get(endpoint);
    if (recipient === undefined) return;
    this.#recipients.delete(endpoint);
    const ofUser = this.#byUser.get(recipient.user);
    ofUser?.delete(recipient);
    if (ofUser?.size === 0) this.#byUser.delete(recipient.user);
  }

  /** All endpoints through which a user is reached; RFC 7701 §6.1 and §6.2 want each of them served. */
  of(user: UserUri): ReadonlySet<Recipient> {
    return this.#byUser.get(user) ?? NOBODY;
  }

  /** Delivers to all devices of a user, whatever they know of private messages. */
  give(user: UserUri, copy: Copy): void {
    for (const recipient of this.of(user)) recipient.deliver(copy);
  }

  /**
   * Delivers to everybody who may have it but the endpoint it came from (RFC 7701 §6.1): all of the room, or, for a
   * private message (§6.2), those devices of the addressee that know what it is.
   */
  fanOut(copy: Copy): void {
    const { audience, endpoint } = copy.said;
    if (audience.to === 'everyone') {
      for (const recipient of this.#recipients.values()) {
        if (recipient.endpoint !== endpoint) recipient.deliver(copy);
      }
      return;
    }
    for (const recipient of this.of(audience.user)) {
      if (recipient.endpoint !== endpoint && recipient.takesPrivate) recipient.deliver(copy);
    }
  }
}

const NOBODY: ReadonlySet<Recipient> = new Set();
