/** What the log is told of a leg: how its endpoint comes into the roster, and why it leaves (RFC 4575 §5.7). */
import { type Dialog, formatUri, type SessionEnd } from '../../sip/index.ts';
import type { Seat } from '../chat/rules.ts';
import { sipReason } from '../chat/sip-reason.ts';
import type { DisconnectionMethod, Joined, JoiningMethod, Left, Medium } from '../conference/events.ts';
import { type EndpointId, readIpAddress, type UserUri } from '../conference/ids.ts';
import type { Caller } from './caller.ts';

/** An endpoint that comes into a conference. */
export interface Comer {
  readonly id: EndpointId;
  readonly caller: Caller;
  /** What others see of the name that it calls itself. */
  readonly displayName: string | undefined;
  readonly method: JoiningMethod;
  /** Who has asked for it to be called. */
  readonly by: UserUri | undefined;
  /** The device, as its Contact names it (RFC 5626 §4.1); what it has had of the room's past hangs on it. */
  readonly instance: string | undefined;
  readonly seat: Seat;
  readonly now: () => number;
}

/** Why a leg ends, as the roster tells it (RFC 4575 §5.7.6, RFC 3326). */
export interface LegEnd {
  readonly method: DisconnectionMethod;
  /** For the Reason header of the BYE and for the roster, e.g. `SIP;cause=200;text="…"`. */
  readonly reason?: string;
}

/** We call it (RFC 4579 §5.2). */
export function whileDialled(comer: Comer): Joined {
  return { ...joined(comer), media: [], status: 'dialing-out' };
}

/** Its call stands, with these media. */
export function whenPresent(comer: Comer, dialog: Dialog, media: readonly Medium[]): Joined {
  const { caller, instance, seat } = comer;
  const address = dialog.flow === undefined ? caller.address : readIpAddress(dialog.flow.remote.address);
  return {
    ...joined(comer),
    media,
    ...(address === undefined ? {} : { address }),
    ...(instance === undefined ? {} : { instance }),
    callInfo: { callId: dialog.callId, fromTag: dialog.remoteTag, toTag: dialog.localTag },
    ...(seat.waits ? { status: 'pending' } : {}),
    // RFC 7701 §5.2: where somebody anonymous can be reached would tell who it is.
    ...(caller.alias === undefined ? { contact: formatUri(dialog.remoteTarget) } : {}),
  };
}

/** It is gone. */
export function whenLeft({ id, now }: Comer, { method, reason }: LegEnd): Left {
  return { type: 'left', at: now(), endpoint: id, method, ...(reason === undefined ? {} : { reason }) };
}

/** What the end of its dialog means. */
export function departureOf(end: SessionEnd): LegEnd {
  switch (end.why) {
    case 'bye': {
      const reason = end.request.headers.get('Reason');
      return { method: 'departed', ...(reason === undefined ? {} : { reason }) };
    }
    case 'closed':
      return { method: 'departed' };
    case 'no ACK':
      return { method: 'failed', reason: sipReason(408, 'no ACK') };
    case 'gone':
      return { method: 'failed', reason: sipReason(end.status, end.reason) };
    case 'expired':
      return { method: 'failed', reason: sipReason(408, 'session expired') };
  }
}

/** Whose endpoint it is and how it comes in. */
function joined({ id, caller, displayName, method, by, now }: Comer): Omit<Joined, 'media'> {
  return {
    type: 'joined',
    at: now(),
    endpoint: id,
    user: caller.user,
    method,
    ...(by === undefined ? {} : { by }),
    ...(caller.alias === undefined ? {} : { alias: caller.alias }),
    ...(displayName === undefined ? {} : { displayName }),
  };
}
