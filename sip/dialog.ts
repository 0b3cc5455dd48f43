import type { ContactParts, Content, Dialog, InviteSession } from './api.ts';
import { contactFor } from './contact.ts';
import { SipError } from './errors.ts';
import type { NameAddr } from './fields.ts';
import type { Incoming } from './incoming.ts';
import { createRequest, type SipRequest, type SipResponse } from './message.ts';
import { applyRoute } from './routing.ts';
import type { Flow, HostPort, NextHop } from './transport/flow.ts';
import type { SipUri, Uri } from './uri.ts';

/** What lives in a dialog and takes its requests: an INVITE session, while there is one. */
export interface SessionUsage {
  /** A request of the session's kind (not ACK); answers it. */
  receive(incoming: Incoming): void;
  receiveAck(ack: SipRequest): void;
  /** Ends it from our side: the user agent closes. */
  close(): void;
  /** Ends it without waiting for anything: the user agent has closed. */
  drop(): void;
  /** The session as the application knows it; not while it is early. */
  readonly session: InviteSession | undefined;
}

/** A subscription in a dialog. */
export interface SubscriptionUsage {
  /** A SUBSCRIBE that refreshes or ends it. */
  receive(incoming: Incoming): void;
}

/** A request in a dialog, ready but for its Via and Contact, with the way it takes. */
export interface DialogRequest {
  readonly request: SipRequest;
  readonly hop: NextHop | undefined;
  /** The flow it may take instead of looking for the hop's address. */
  readonly flow: Flow | undefined;
}

interface DialogState {
  readonly callId: string;
  readonly localTag: string;
  readonly remoteTag: string;
  readonly local: NameAddr;
  readonly remote: NameAddr;
  readonly routeSet: readonly NameAddr[];
  readonly secure: boolean;
  readonly remoteTarget: Uri;
  readonly localSeq: number;
  readonly remoteSeq: number | undefined;
}

/** The methods that renew the remote target: INVITE and UPDATE (RFC 3311 §5), SUBSCRIBE and NOTIFY (RFC 6665 §4.4.1), REFER. */
const TARGET_REFRESH: ReadonlySet<string> = new Set(['INVITE', 'UPDATE', 'SUBSCRIBE', 'NOTIFY', 'REFER']);

/** A dialog (RFC 3261 §12) with its usages (RFC 5057). It ends when the last of them has ended. */
export class LiveDialog implements Dialog {
  readonly callId: string;
  readonly localTag: string;
  readonly remoteTag: string;
  readonly secure: boolean;
  /** The Contact that we gave, for the requests that carry one. */
  contact: ContactParts | undefined;
  /** The session that lives here. */
  session: SessionUsage | undefined;
  /** The subscriptions that live here, by package and id. */
  readonly subscriptions = new Map<string, SubscriptionUsage>();
  /** Requests of ours to which no response has come yet. */
  readonly unanswered = new Set<{ follow(flow: Flow): void }>();
  /** Set once TCP towards this peer was refused: large requests stay on its UDP flow (RFC 3261 §18.1.1). */
  udpOnly = false;
  /** A REFER came in this dialog before (RFC 3515 §2.4.6). */
  referred = false;
  /** The peer address it is counted for while it is in the table. */
  countedFor: string | undefined;
  readonly #local: NameAddr;
  readonly #remote: NameAddr;
  #routeSet: readonly NameAddr[];
  #remoteTarget: Uri;
  #localSeq: number;
  #remoteSeq: number | undefined;
  #flow: Flow | undefined;
  readonly #waiting: ((heard: () => void) => void)[] = [];
  #unheard = false;
  /** While an ACK is being made or looks for its way: what leaves right after it. */
  #afterAck: (() => void)[] | undefined;
  #flowSentBy: Partial<HostPort> | undefined;
  /** Under what URI the peer has reached us, whomever it says that it wanted (To); undefined where we have called. */
  #reached: Uri | undefined;
  /** Our Contact has to be a sips URI, whatever way the request came (§12.1.1). */
  #sipsContact = false;

  private constructor(state: DialogState) {
    this.callId = state.callId;
    this.localTag = state.localTag;
    this.remoteTag = state.remoteTag;
    this.#routeSet = state.routeSet;
    this.secure = state.secure;
    this.#local = state.local;
    this.#remote = state.remote;
    this.#remoteTarget = state.remoteTarget;
    this.#localSeq = state.localSeq;
    this.#remoteSeq = state.remoteSeq;
  }

  /**
   * The dialog that our response to `request` makes (RFC 3261 §12.1.1).
   * @throws SipError 400 when the request has no Contact to send requests to.
   */
  static asServer({ request, flow, localTag }: Incoming): LiveDialog {
    const { from, to, callId, cseq } = request.essentials();
    const remoteTarget = request.contact?.uri;
    if (remoteTarget === undefined) throw new SipError(400, 'no Contact in a request that makes a dialog');
    const dialog = new LiveDialog({
      callId,
      localTag,
      remoteTag: from.params.get('tag') ?? '',
      local: untagged(to),
      remote: untagged(from),
      routeSet: request.recordRoute,
      secure: flow.secure && isSips(request.uri),
      remoteTarget,
      localSeq: Math.floor(Math.random() * 0x7fff),
      remoteSeq: cseq.seq,
    });
    dialog.#sipsContact = isSips(request.uri) || isSips((dialog.routeSet[0] ?? { uri: remoteTarget }).uri);
    dialog.#reached = request.uri;
    dialog.#heardBy(flow, request);
    return dialog;
  }

  /**
   * The dialog that a response to our request makes (RFC 3261 §12.1.2).
   * @param flow the flow the request went by
   * @param chosen the application chose that flow, so it leads to the peer whatever the peer's Contact says
   */
  static asClient(request: SipRequest, response: SipResponse, flow: Flow | undefined, chosen: boolean): LiveDialog {
    const { from, callId, cseq } = request.essentials();
    const dialog = new LiveDialog({
      callId,
      localTag: from.params.get('tag') ?? '',
      remoteTag: response.toTag ?? '',
      local: untagged(from),
      remote: untagged(response.to),
      routeSet: [...response.recordRoute].reverse(),
      secure: flow?.secure === true && isSips(request.uri),
      // A 2xx without Contact is broken (§12.1.1); the Request-URI is the best that is known of the peer then.
      remoteTarget: response.contact?.uri ?? request.uri,
      localSeq: cseq.seq,
      remoteSeq: undefined,
    });
    // A proxy that did not record itself is not the peer: then the Contact leads the way.
    if (chosen || dialog.routeSet.length > 0 || isPeer(flow, dialog.#remoteTarget)) dialog.#flow = flow;
    return dialog;
  }

  get routeSet(): readonly NameAddr[] {
    return this.#routeSet;
  }

  get localUri(): Uri {
    return this.#local.uri;
  }

  get remoteUri(): Uri {
    return this.#remote.uri;
  }

  get remoteTarget(): Uri {
    return this.#remoteTarget;
  }

  get flow(): Flow | undefined {
    return this.#flow;
  }

  /** Whether nothing lives here any more. */
  get empty(): boolean {
    return this.session === undefined && this.subscriptions.size === 0;
  }

  /**
   * Takes note of a request of the peer (not ACK, not CANCEL): its number, its Contact, its flow. False when it is out
   * of order (RFC 3261 §12.2.2): 500.
   */
  hear(request: SipRequest, flow: Flow): boolean {
    const { seq } = request.cseq;
    if (this.#remoteSeq !== undefined && seq <= this.#remoteSeq) return false;
    this.#remoteSeq = seq;
    this.#heardBy(flow, request);
    return true;
  }

  /** Takes the Contact of a target refresh request that is being answered 2xx, or of the 2xx to one of ours (§12.2). */
  refresh(message: SipRequest | SipResponse): void {
    const { contact } = message;
    if (contact !== undefined && TARGET_REFRESH.has(message.cseq.method)) this.#remoteTarget = contact.uri;
  }

  /** The 2xx to an INVITE of ours confirms an early dialog: route set and target are those of the 2xx (§13.2.2.4). */
  confirm(response: SipResponse): void {
    this.#routeSet = [...response.recordRoute].reverse();
    this.refresh(response);
  }

  /** The flow an ACK came by counts too, unless the peer was heard since: then it may have been long on its way. */
  hearAck(ack: SipRequest, flow: Flow): void {
    if (this.#remoteSeq === undefined || ack.cseq.seq === this.#remoteSeq) this.#heardBy(flow, ack);
  }

  /** The next number for CSeq. */
  nextSeq(): number {
    return ++this.#localSeq;
  }

  /** A request in this dialog (RFC 3261 §12.2.1.1). An ACK is given the number of its INVITE. */
  createRequest(method: string, content: Content, seq = this.nextSeq()): DialogRequest {
    const { requestUri, route, hop } = applyRoute(this.#remoteTarget, this.routeSet);
    const request = createRequest({
      ...content,
      method,
      uri: requestUri,
      route,
      from: tagged(this.#local, this.localTag),
      to: tagged(this.#remote, this.remoteTag),
      callId: this.callId,
      seq,
    });
    return { request, hop, flow: this.#way() };
  }

  /**
   * Gives `send` its turn. Only a connection that stands keeps the order: over UDP a request is lost and sent again, and
   * an address has to be looked up first, while the peer refuses what comes late (RFC 3261 §12.2.2). There each waits
   * until a response to the one before it, which it tells by `heard`, is here. False when more than `limit` wait already.
   */
  inTurn(send: (heard: () => void) => void, limit: number): boolean {
    if (this.#waiting.length >= limit) return false;
    this.#waiting.push(send);
    this.#nextTurn();
    return true;
  }

  /** What overtakes all that waits in turn: it leaves now, or as soon as an ACK that is on its way has left. */
  atOnce(send: () => void): void {
    if (this.#afterAck === undefined) send();
    else this.#afterAck.push(send);
  }

  /**
   * Runs `acknowledge`, which makes an ACK and sends it, and calls `left` when it has left, or never will: what is asked
   * for meanwhile leaves after that.
   */
  ackFirst(acknowledge: (left: () => void) => void): void {
    const after: (() => void)[] = (this.#afterAck = []);
    acknowledge(() => {
      if (this.#afterAck !== after) return;
      this.#afterAck = undefined;
      for (const send of after) send();
      this.#nextTurn();
    });
  }

  #nextTurn(): void {
    if (this.#afterAck !== undefined || this.#unheard) return;
    const send = this.#waiting.shift();
    if (send === undefined) return;
    if (this.#way()?.reliable === true) {
      send(() => undefined);
      this.#nextTurn();
      return;
    }
    this.#unheard = true;
    let first = true;
    send(() => {
      if (!first) return;
      first = false;
      this.#unheard = false;
      this.#nextTurn();
    });
  }

  /** Our Contact in requests and responses that leave by `flow`. */
  contactFor(flow: Flow): NameAddr {
    return contactFor(this.contact, this.#reached ?? this.#local.uri, flow, this.secure || this.#sipsContact);
  }

  /**
   * Whether a request too large for UDP has a chance by TCP: where the peer's address is the one its datagrams come
   * from. Deviation from RFC 3261 §18.1.1: towards any other (a client behind NAT, where nothing but the UDP flow leads
   * in) it stays on the flow and is fragmented, or large NOTIFYs would never arrive.
   */
  get mayUseTcp(): boolean {
    const flow = this.#flow;
    const to = this.routeSet[0]?.uri ?? this.#remoteTarget;
    return (
      !this.udpOnly &&
      flow !== undefined &&
      to.kind === 'sip' &&
      isAddress(flow, to) &&
      to.params.get('transport') !== 'udp'
    );
  }

  #heardBy(flow: Flow, request: SipRequest): void {
    // A secure dialog goes over TLS only (RFC 3261 §12.1.1, §26.2.2): what came by another way leads nowhere.
    if (this.secure && !flow.secure && this.#flow?.open === true) return;
    const hasMoved = flow !== this.#flow;
    this.#flow = flow;
    this.#flowSentBy = this.routeSet.length === 0 ? undefined : request.topVia;
    // What went to where the peer is no longer, as behind a NAT that has given it another port, would be lost.
    if (hasMoved && this.#way() === flow) for (const outgoing of this.unanswered) outgoing.follow(flow);
  }

  /**
   * The peer's latest flow, where it may stand for the address: without a route set, or when the top Route is the
   * flow's peer. What goes to a sips URI takes none without TLS (RFC 3261 §8.1.2, §26.2.2).
   */
  #way(): Flow | undefined {
    const flow = this.#flow;
    const top = this.routeSet[0]?.uri;
    if (flow === undefined || !flow.open) return undefined;
    if (!flow.secure && (this.secure || isSips(this.#remoteTarget) || (top !== undefined && isSips(top))))
      return undefined;
    if (top === undefined) return flow;
    return top.kind === 'sip' && this.#isFlowPeer(flow, top) ? flow : undefined;
  }

  /**
   * Whether a URI names the peer at the other end of the flow: by the flow's address, or as the peer names itself in Via,
   * which tells the port that a connection from an ephemeral one belongs to.
   */
  #isFlowPeer(flow: Flow, uri: SipUri): boolean {
    const port = portOf(uri.port, uri);
    const sentBy = this.#flowSentBy;
    const named = sentBy !== undefined && portOf(sentBy.port, uri) === port;
    const here = hostOf(uri) === flow.remote.address;
    return (here && port === flow.remote.port) || (named && (here || sentBy.host === uri.host));
  }
}

function portOf(port: number | undefined, { scheme, params }: SipUri): number {
  return port ?? (scheme === 'sips' || params.get('transport') === 'tls' ? 5061 : 5060);
}

/** Whether a URI names the address at the other end of a flow; of a connection the port may be an ephemeral one. */
function isAddress(flow: Flow, uri: SipUri): boolean {
  return hostOf(uri) === flow.remote.address && (flow.reliable || portOf(uri.port, uri) === flow.remote.port);
}

function hostOf({ host }: SipUri): string {
  return host.startsWith('[') ? host.slice(1, -1) : host;
}

/** Whether a URI names just what a flow that we opened leads to. */
function isPeer(flow: Flow | undefined, uri: Uri): boolean {
  return flow !== undefined && uri.kind === 'sip' && isAddress(flow, uri) && portOf(uri.port, uri) === flow.remote.port;
}

/** Whether a URI asks for TLS on every hop. */
export function isSips(uri: Uri): boolean {
  return uri.kind === 'sip' && uri.scheme === 'sips';
}

function untagged(address: NameAddr): NameAddr {
  return { ...address, params: address.params.without('tag') };
}

function tagged(address: NameAddr, tag: string): NameAddr {
  return tag === '' ? address : { ...address, params: address.params.with('tag', tag) };
}

/** The dialogs of one user agent. */
export class Dialogs {
  readonly #byTags = new Map<string, LiveDialog>();
  readonly #perAddress = new Map<string, number>();

  get size(): number {
    return this.#byTags.size;
  }

  /** Whether a session is alive in one of them. */
  get hasSessions(): boolean {
    for (const { session } of this.#byTags.values()) if (session !== undefined) return true;
    return false;
  }

  [Symbol.iterator](): Iterator<LiveDialog> {
    return this.#byTags.values();
  }

  /** How many dialogs were made from that address. */
  from(address: string): number {
    return this.#perAddress.get(address) ?? 0;
  }

  /** Takes a dialog in; `address` is the peer's, for the limit per address. */
  add(dialog: LiveDialog, address: string): void {
    this.#byTags.set(key(dialog.localTag, dialog.remoteTag), dialog);
    dialog.countedFor = address;
    this.#perAddress.set(address, this.from(address) + 1);
  }

  /** The dialog of a request of the peer (RFC 3261 §12.2.2). */
  find(request: SipRequest): LiveDialog | undefined {
    const { from, to, callId } = request.essentials();
    return this.get(callId, to.params.get('tag') ?? '', from.params.get('tag') ?? '');
  }

  get(callId: string, localTag: string, remoteTag: string): LiveDialog | undefined {
    const dialog = this.#byTags.get(key(localTag, remoteTag));
    return dialog?.callId === callId ? dialog : undefined;
  }

  /** Forgets a dialog in which nothing lives any more. */
  sweep(dialog: LiveDialog): void {
    const address = dialog.countedFor;
    if (!dialog.empty || address === undefined) return;
    dialog.countedFor = undefined;
    this.#byTags.delete(key(dialog.localTag, dialog.remoteTag));
    const left = this.from(address) - 1;
    if (left > 0) this.#perAddress.set(address, left);
    else this.#perAddress.delete(address);
  }
}

/** Our tags are random (64 bits), so they tell dialogs apart; the peer's tells the branches of a fork apart. */
function key(localTag: string, remoteTag: string): string {
  return `${localTag} ${remoteTag}`;
}
