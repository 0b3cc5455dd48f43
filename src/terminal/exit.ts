import type { ClientError, ClientFault } from '../client/index.ts';

/** Exit codes of `chat` and `watch`. */
export const EXIT = { done: 0, refused: 1, address: 2, unreachable: 3 } as const;

const CODES: Readonly<Record<ClientFault, number>> = {
  refused: EXIT.refused,
  lost: EXIT.refused,
  dismissed: EXIT.refused,
  over: EXIT.done,
  address: EXIT.address,
  unreachable: EXIT.unreachable,
};

/** The exit code that tells a fault to scripts. */
export function exitCodeOf(fault: ClientError): number {
  return CODES[fault.fault];
}
