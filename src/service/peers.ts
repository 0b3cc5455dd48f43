import type { PeerConfig } from '../config/schema.ts';
import type { PeerFamily } from '../focus/peers.ts';

/** A family of clients as the configuration describes it, as a row of the table. */
export function peerFamily({ user_agent, chunks, bare_text, roster, message, text }: PeerConfig): PeerFamily {
  const pattern = user_agent.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replaceAll('*', '.*');
  return {
    family: user_agent,
    userAgent: new RegExp(`^${pattern}$`, 'i'),
    ...(chunks === undefined ? {} : { chunks }),
    ...(bare_text === undefined ? {} : { bareText: bare_text }),
    ...(roster === undefined ? {} : { roster }),
    ...(message === undefined ? {} : { message }),
    ...(text === undefined ? {} : { text }),
  };
}
