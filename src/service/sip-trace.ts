import type { TraceEntry } from '../../sip/index.ts';
import type { Logger } from '../ops/logger.ts';

/** Writes each SIP message as it is on the wire, where the log tells so much (`logging.level: trace`). */
export function sipTrace(log: Logger): (entry: TraceEntry) => void {
  return ({ direction, flow, message, to = flow.remote }) => {
    // Asked for each message, since SIGHUP may change the level; nothing is rendered for nobody.
    if (!log.traces) return;
    const peer = `${to.address} ${String(to.port)}`;
    log.trace(direction === 'in' ? 'received' : 'sent', {
      flow: flow.id,
      peer,
      message: Buffer.from(message).toString(),
    });
  };
}
