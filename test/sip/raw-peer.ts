import {
  formatMessage,
  type NameAddr,
  parseMessage,
  parseNameAddr,
  type SipMessage,
  SipRequest,
  SipResponse,
  createResponse,
  type ResponseParts,
  type TransportHandlers,
} from '../../sip/index.ts';
import type { Host, Network } from './network.ts';

let branches = 0;

/** A peer that says exactly what a test writes, and keeps all that it hears. */
export class RawPeer implements TransportHandlers {
  readonly heard: SipMessage[] = [];
  readonly #host: Host;
  readonly #server: string;

  constructor(network: Network, address: string, server: string) {
    this.#host = network.host(address)(this);
    this.#server = server;
  }

  /** The responses heard, as `status method`. */
  get statuses(): string[] {
    return this.heard.flatMap((m) => (m.kind === 'response' ? [`${String(m.status)} ${m.cseq.method}`] : []));
  }

  /** The requests heard. */
  get requests(): SipRequest[] {
    return this.heard.filter((m) => m instanceof SipRequest);
  }

  get responses(): SipResponse[] {
    return this.heard.filter((m) => m instanceof SipResponse);
  }

  /** The last response with that status. */
  response(status: number): SipResponse {
    const found = this.responses.findLast((r) => r.status === status);
    if (found === undefined) throw new Error(`no ${String(status)}, but ${this.statuses.join(', ')}`);
    return found;
  }

  /** The last request of that method. */
  request(method: string): SipRequest {
    const found = this.requests.findLast((r) => r.method === method);
    if (found === undefined) throw new Error(`no ${method}, but ${this.requests.map((r) => r.method).join(', ')}`);
    return found;
  }

  /** Says the lines, in the order given; `\n` stands for CRLF. */
  say(text: string): void {
    const [head = '', ...rest] = text.trimStart().split('\n\n');
    const body = rest.join('\n\n');
    const lines = head.split('\n').map((line) => line.trim());
    const message = `${lines.join('\r\n')}\r\nContent-Length: ${String(Buffer.byteLength(body))}\r\n\r\n${body}`;
    this.#host.flowTo(this.#server).send(Buffer.from(message));
  }

  /** Answers a request. */
  answer(request: SipRequest, status: number, parts: ResponseParts = {}): void {
    const from = parts.contact === undefined && status > 100 && status < 300 ? this.contact : parts.contact;
    const response = createResponse(request, status, {
      ...parts,
      ...(from === undefined ? undefined : { contact: from }),
    });
    this.#host.flowTo(this.#server).send(formatMessage(response));
  }

  get contact(): NameAddr {
    return parseNameAddr(`<sip:peer@${this.#host.address}:5060>`);
  }

  receive(bytes: Buffer): void {
    this.heard.push(parseMessage(bytes));
  }

  unframeable(): void {
    // Whole messages only.
  }

  flowClosed(): void {
    // Looked at by nobody.
  }
}

/** The head of a request from 10.0.0.1 to the room at 10.0.0.2; what `over` names replaces or is added. */
export function head(
  method: string,
  over: Readonly<Record<string, string | undefined>> = {},
  uri = 'sip:room@10.0.0.2',
): string {
  const lines: Record<string, string | undefined> = {
    Via: `SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK-raw-${String(++branches)}`,
    'Max-Forwards': '70',
    From: '<sip:alice@10.0.0.1>;tag=alice',
    To: '<sip:room@10.0.0.2>',
    'Call-ID': 'raw-call',
    CSeq: `1 ${method}`,
    Contact: '<sip:alice@10.0.0.1:5060>',
    ...over,
  };
  const rest = Object.entries(lines).flatMap(([name, value]) => (value === undefined ? [] : [`${name}: ${value}`]));
  return [`${method} ${uri} SIP/2.0`, ...rest].join('\n');
}
