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

/**
 * What is told of a fault: its own words, and what would help against it.
 * @param password what was given as such
 */
export function reasonOf({ message, status }: ClientError, password: string | undefined): string {
  if (status !== 401 && status !== 407) return message;
  return password === undefined
    ? `${message}: give your address by --as, and your password (or the PIN of the room) in GTC_PASSWORD`
    : `${message}: the address in --as, or what is in GTC_PASSWORD, is not right`;
}

/** The exit code that tells a fault to scripts. */
export function exitCodeOf(fault: ClientError): number {
  return CODES[fault.fault];
}
