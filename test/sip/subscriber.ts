import {
  createRequest,
  createResponse,
  createVia,
  formatMessage,
  newBranch,
  newCallId,
  newTag,
  Params,
  parseMessage,
  parseNameAddr,
  type SipRequest,
  type SipResponse,
  type TransportHandlers,
  type Uri,
} from '../../sip/index.ts';
import { defaultTimers } from '../../sip/timers.ts';
import { serverKey, Transactions } from '../../sip/transactions.ts';
import type { FakeClock, Host, Network } from './network.ts';

/** A subscriber for tests, on the transaction layer alone: one subscription, its NOTIFYs, what to answer them. */
export class Subscriber implements TransportHandlers {
  readonly responses: SipResponse[] = [];
  readonly notifies: SipRequest[] = [];
  /** The status of the answers to NOTIFY; undefined: none. */
  answer: number | undefined = 200;
  answerHeaders: readonly { readonly name: string; readonly value: string }[] = [];
  readonly #transactions: Transactions;
  readonly #host: Host;
  readonly #server: string;
  readonly #uri: Uri;
  readonly #from: ReturnType<typeof parseNameAddr>;
  readonly #callId = newCallId();
  #to: ReturnType<typeof parseNameAddr>;
  #seq = 0;

  constructor(network: Network, clock: FakeClock, address: string, server: string, uri: Uri) {
    this.#host = network.host(address)(this);
    this.#server = server;
    this.#uri = uri;
    this.#from = parseNameAddr(`<sip:watcher@${address}>;tag=${newTag()}`);
    this.#to = { uri, params: Params.none };
    this.#transactions = new Transactions(clock, defaultTimers, {
      send: (flow, bytes) => flow.send(bytes),
      respond: (flow, _, bytes) => {
        flow.send(bytes);
      },
    });
  }

  get counts(): { servers: number; clients: number } {
    return { servers: this.#transactions.servers, clients: this.#transactions.clients };
  }

  /** Subscribes, refreshes or ends; `headers` beside or instead of Event: conference. */
  subscribe(expires: number | undefined, headers: Readonly<Record<string, string>> = {}, uri = this.#uri): void {
    this.request(
      'SUBSCRIBE',
      {
        Event: 'conference',
        ...(expires === undefined ? undefined : { Expires: String(expires) }),
        ...headers,
      },
      uri,
    );
  }

  /** Any request, in the dialog once there is one. */
  request(method: string, headers: Readonly<Record<string, string>>, uri = this.#uri): void {
    const flow = this.#host.flowTo(this.#server);
    const request = createRequest({
      method,
      uri,
      from: this.#from,
      to: this.#to,
      callId: this.#callId,
      seq: ++this.#seq,
      contact: parseNameAddr(`<sip:watcher@${flow.local.address}:5060>`),
      headers: Object.entries(headers).map(([name, value]) => ({ name, value })),
    });
    const branch = newBranch();
    request.pushVia(createVia(flow.transport, flow.local.address, 5060, branch));
    const user = {
      onResponse: (response: SipResponse) => {
        this.responses.push(response);
        if (response.status >= 200 && response.status < 300) this.#to = response.to;
      },
      onFailure: () => undefined,
      ackFor: () => new Uint8Array(0),
    };
    this.#transactions.request(user, flow, branch, method, formatMessage(request)).start();
  }

  receive(bytes: Buffer, flow: ReturnType<Host['flowTo']>): void {
    const message = parseMessage(bytes);
    if (message.kind === 'response') {
      this.#transactions.receive(message);
      return;
    }
    const key = serverKey(message);
    const known = this.#transactions.server(key);
    if (known !== undefined) {
      known.receive(message);
      return;
    }
    this.notifies.push(message);
    const transaction = this.#transactions.serve(message, flow, key, '');
    if (this.answer === undefined) return;
    const response = createResponse(message, this.answer, { headers: this.answerHeaders });
    transaction.respond(this.answer, formatMessage(response));
  }

  unframeable(): void {
    // Datagrams only.
  }

  flowClosed(): void {
    // Datagrams only.
  }
}
