import { defaultPort, withoutBrackets } from '../resolver.ts';
import type { Log } from '../log.ts';
import type { Resolver } from '../resolver.ts';
import { Connection } from './connection.ts';
import type { Connected } from './connections.ts';
import type { Address, Flow, Target, TransportFailure, TransportName, ViaAddress } from './flow.ts';
import { UdpFlow } from './udp.ts';

/** Hears once that a response could not be sent. */
type Failed = (failure: TransportFailure) => void;

/** Leads responses back to where their requests came from (RFC 3261 §18.2.2, RFC 3581 §4, RFC 3263 §5). */
export class Responder {
  readonly #resolver: Resolver;
  readonly #log: Log;
  readonly #connect: (target: Target, connected: Connected) => void;

  constructor(resolver: Resolver, connect: (target: Target, connected: Connected) => void, log: Log) {
    this.#log = log;
    this.#resolver = resolver;
    this.#connect = connect;
  }

  respond(flow: Flow, via: ViaAddress, message: Uint8Array, failed: Failed): void {
    if (flow instanceof UdpFlow) this.#byUdp(flow, via, message, failed);
    else if (!(flow instanceof Connection)) failed({ failed: 'closed', reason: 'not a flow of this transport' });
    else if (!flow.answerable) this.#anew(flow, via, message, failed);
    else if (!flow.answer(message)) failed({ failed: 'limit', reason: 'the peer does not read' });
  }

  /** `received` is the source address of the request, which the flow knows better than a Via that a peer has written. */
  #byUdp(flow: UdpFlow, via: ViaAddress, message: Uint8Array, failed: Failed): void {
    const send = (to: Address): void => {
      const sent = flow.sendTo(to, message, (reason) => {
        failed({ failed: 'refused', reason });
      });
      if (!sent) failed({ failed: 'closed', reason: 'UDP message not sent' });
    };
    const port = portOf(via, 'UDP');
    if (via.maddr !== undefined) {
      const hop = { secure: false, host: via.maddr, port, transport: 'udp' };
      this.#resolver.locate(hop, 0, (targets) => {
        const [first] = 'failed' in targets ? [] : targets;
        send(first?.remote ?? flow.remote);
      });
    } else if (via.rport !== undefined) {
      send(flow.remote);
    } else {
      send({ address: flow.remote.address, port });
    }
  }

  /** The connection is gone: a new one to the peer's address and sent-by port, and if that fails by RFC 3263 §5. */
  #anew(flow: Connection, via: ViaAddress, message: Uint8Array, failed: Failed): void {
    const { transport } = flow;
    if (transport === 'WS' || transport === 'WSS') {
      failed({ failed: 'closed', reason: 'the WebSocket is gone' });
      return;
    }
    const remote = { address: flow.remote.address, port: portOf(via, transport) };
    const lost: Failed = (failure) => {
      this.#log.warn(`response not sent: ${failure.reason}`, { flow: flow.id, sentBy: via.host });
      failed(failure);
    };
    this.#byFirst([{ transport, remote, serverName: withoutBrackets(via.host) }], message, () => {
      this.#resolver.locateSentBy(via, (targets) => {
        if ('failed' in targets) lost(targets);
        else this.#byFirst(targets, message, lost);
      });
    });
  }

  /** Sends by the first target that can be reached. */
  #byFirst(
    [first, ...rest]: readonly Target[],
    message: Uint8Array,
    failed: Failed,
    last: TransportFailure = { failed: 'unresolvable', reason: 'no address' },
  ): void {
    if (first === undefined) {
      failed(last);
      return;
    }
    this.#connect(first, (flow) => {
      if ('failed' in flow) this.#byFirst(rest, message, failed, flow);
      else if (!flow.send(message)) {
        this.#byFirst(rest, message, failed, { failed: 'closed', reason: 'closed while sending' });
      }
    });
  }
}

/** The port of a sent-by; 0 is none. */
function portOf({ port }: ViaAddress, transport: TransportName): number {
  return port === undefined || port === 0 ? defaultPort(transport) : port;
}
