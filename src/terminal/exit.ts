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

/** What is told of a fault: its own words, and what would help against it. */
export function reasonOf({ message, status }: ClientError): string {
  return status === 401 || status === 407
    ? `${message}: give your address by --as, and your password (or the PIN of the room) in GTC_PASSWORD`
    : message;
}

/** The exit code that tells a fault to scripts. */
export function exitCodeOf(fault: ClientError): number {
  return CODES[fault.fault];
}
