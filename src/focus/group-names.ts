import type { HeaderLine, SipRequest } from '../../sip/index.ts';

/** What RCS clients call a group chat for its life (GSMA RCC.07): kept, and given to all who are called into it. */
const NAMES = ['Contribution-ID', 'Conversation-ID'] as const;

/** The names that a request gives to its group chat. */
export function groupNamesOf({ headers }: SipRequest): readonly HeaderLine[] {
  return NAMES.flatMap((name) => {
    const value = headers.get(name)?.trim() ?? '';
    return /^[\x21-\x7e]{1,128}$/.test(value) ? [{ name, value }] : [];
  });
}

/** The name by which a client that starts a chat again means the one that it had. */
export function contributionIn(names: readonly HeaderLine[]): string | undefined {
  return names.find(({ name }) => name === NAMES[0])?.value;
}
