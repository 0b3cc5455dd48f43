/** What tests of the user agent stand on: an agent at 10.0.0.2 and a raw peer at 10.0.0.1, on a network in memory. */
import { parseNameAddr, parseUri, UserAgent, type UserAgentHandlers, type UserAgentOptions } from '../../sip/index.ts';
import { FakeClock, Network, type NetworkOptions } from './network.ts';
import { head, RawPeer } from './raw-peer.ts';

/** As whom the agent calls, and whom. */
export const ROOM = parseNameAddr('<sip:room@10.0.0.2>');
export const BOB = parseUri('sip:bob@10.0.0.1');
export const SDP = { contentType: 'application/sdp', body: 'v=0' };

export interface Stage {
  readonly clock: FakeClock;
  readonly network: Network;
  readonly agent: UserAgent;
  readonly peer: RawPeer;
  /** What was logged, and what of it as a bug. */
  readonly lines: string[];
  readonly bugs: string[];
}

/** The agent answers nothing by itself; a message arrives in the millisecond in which it is sent. */
export function stage(
  handlers: Partial<UserAgentHandlers> = {},
  options: Partial<UserAgentOptions> = {},
  wires: Partial<NetworkOptions> = {},
): Stage {
  const clock = new FakeClock();
  const network = new Network({ clock, delay: 0, ...wires });
  const lines: string[] = [];
  const bugs: string[] = [];
  const note = (line: string): void => void lines.push(line);
  const log = { info: note, warn: note, error: (line: string) => void bugs.push((note(line), line)) };
  const agent = new UserAgent(
    { transport: network.host('10.0.0.2'), clock, log, ...options },
    { onInvite: () => undefined, onSubscribe: () => undefined, ...handlers },
  );
  return { clock, network, agent, peer: new RawPeer(network, '10.0.0.1', '10.0.0.2'), lines, bugs };
}

/** A request of the peer in a call of its own. */
export type InDialog = (method: string, seq: number, more?: Readonly<Record<string, string>>) => string;

/** The peer calls, is accepted, and acknowledges; gives what it may say in that call. */
export function callFrom(
  { peer, clock }: Pick<Stage, 'peer' | 'clock'>,
  invite: Readonly<Record<string, string | undefined>> = {},
): InDialog {
  peer.say(head('INVITE', invite));
  clock.advance(1);
  const To = peer.response(200).headers.get('To') ?? '';
  peer.say(head('ACK', { To, CSeq: '1 ACK' }));
  clock.advance(1);
  return (method, seq, more = {}) => head(method, { To, CSeq: `${String(seq)} ${method}`, ...more });
}
