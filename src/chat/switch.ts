import type { Said } from '../conference/events.ts';
import type { EndpointId, UserUri } from '../conference/ids.ts';
import type { Copy } from './copy.ts';
import type { Recipient } from './recipient.ts';

/** A recipient as it may be remembered when it is gone. */
export interface Addressed {
  readonly user: UserUri;
  readonly endpoint: EndpointId;
  /** It heard nothing at that time, and is to be sent it when it hears again. */
  readonly later?: true;
}

/**
 * An endpoint that is in the room and hears nothing at present: its line is on hold, lost for the grace time, or not there
 * yet.
 */
interface Deaf extends Addressed {
  readonly takesPrivate: boolean;
}

/** The MSRP switch of one room (RFC 7701 §2): who is there to deliver to, and the fan-out. */
export class MsrpSwitch {
  readonly #recipients = new Map<EndpointId, Recipient>();
  readonly #byUser = new Map<UserUri, Set<Recipient>>();
  /** Those who will be sent what is said now when they hear again. */
  readonly #deaf = new Map<EndpointId, Deaf>();
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

  /** The endpoint gets nothing until `add`; it is to be sent then what is said meanwhile. */
  deafen({ endpoint, user, takesPrivate }: Deaf): void {
    this.remove(endpoint);
    this.#deaf.set(endpoint, { endpoint, user, takesPrivate });
    this.#everybody = undefined;
  }

  /** Whether the endpoint is one of those that will hear again. */
  isDeaf(endpoint: EndpointId): boolean {
    return this.#deaf.has(endpoint);
  }

  /** Whether a private message reaches the user (RFC 7701 §6.2), now or when one of his devices hears again. */
  takesPrivate(user: UserUri): boolean {
    if (this.takesPrivateNow(user)) return true;
    for (const deaf of this.#deaf.values()) if (deaf.user === user && deaf.takesPrivate) return true;
    return false;
  }

  /** Whether one of them reaches him at once. */
  takesPrivateNow(user: UserUri): boolean {
    for (const recipient of this.of(user)) if (recipient.takesPrivate) return true;
    return false;
  }

  /** The endpoint gets nothing more. */
  remove(endpoint: EndpointId): void {
    if (this.#deaf.delete(endpoint)) this.#everybody = undefined;
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

  /**
   * Those whom `fanOut` would reach, and the deaf, who are to have it later. The list is the caller's to keep; the endpoint
   * it came from may be in it.
   */
  addressed({ audience }: Said): readonly Addressed[] {
    if (audience.to === 'everyone') {
      return (this.#everybody ??= [
        ...[...this.#recipients.values()].map(remembered),
        ...[...this.#deaf.values()].map(later),
      ]);
    }
    const addressed: Addressed[] = [];
    for (const recipient of this.of(audience.user)) if (recipient.takesPrivate) addressed.push(remembered(recipient));
    for (const deaf of this.#deaf.values()) {
      if (deaf.user === audience.user && deaf.takesPrivate) addressed.push(later(deaf));
    }
    return addressed;
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

const remembered = ({ user, endpoint }: Addressed): Addressed => ({ user, endpoint });

const later = ({ user, endpoint }: Addressed): Addressed => ({ user, endpoint, later: true });

const NOBODY: ReadonlySet<Recipient> = new Set();
