import { classOf, type Machine, type ResponseClass } from './machine.ts';
import { type BaseTimers, type Clock, type Timer, type TimerTable } from './timers.ts';

/** States of a client transaction; `calling` and `accepted` only with INVITE, `trying` only without. */
export type ClientState = 'calling' | 'trying' | 'proceeding' | 'accepted' | 'completed' | 'terminated';

/** What happens to a client transaction: responses, its timers, and a transport that fails. */
export type ClientEvent = ResponseClass | 'A' | 'B' | 'D' | 'E' | 'F' | 'K' | 'M' | 'transport error';

type ClientAction =
  | 'resend'
  | 'response to user'
  | 'send ACK'
  | 'timeout to user'
  | 'transport error to user'
  | 'stop timers'
  | 'again A'
  | 'again E'
  | 'again E at T2'
  | `start ${'D' | 'K' | 'M'}`;

/** RFC 3261 §17.1.1 as RFC 6026 §8.4 (Figure 5) has corrected it. */
export const inviteClient: Machine<ClientState, ClientEvent, ClientAction> = {
  calling: {
    A: { do: ['resend', 'again A'] },
    B: { do: ['timeout to user'], to: 'terminated' },
    'transport error': { do: ['transport error to user'], to: 'terminated' },
    '1xx': { do: ['stop timers', 'response to user'], to: 'proceeding' },
    '2xx': { do: ['stop timers', 'start M', 'response to user'], to: 'accepted' },
    '300-699': { do: ['stop timers', 'send ACK', 'start D', 'response to user'], to: 'completed' },
  },
  trying: {},
  proceeding: {
    '1xx': { do: ['response to user'] },
    '2xx': { do: ['start M', 'response to user'], to: 'accepted' },
    '300-699': { do: ['send ACK', 'start D', 'response to user'], to: 'completed' },
  },
  accepted: {
    '2xx': { do: ['response to user'] },
    M: { to: 'terminated' },
  },
  completed: {
    '300-699': { do: ['send ACK'] },
    D: { to: 'terminated' },
    'transport error': { do: ['transport error to user'], to: 'terminated' },
  },
  terminated: {},
};

/** RFC 3261 §17.1.2, Figure 6. */
export const nonInviteClient: Machine<ClientState, ClientEvent, ClientAction> = {
  calling: {},
  trying: {
    E: { do: ['resend', 'again E'] },
    F: { do: ['timeout to user'], to: 'terminated' },
    'transport error': { do: ['transport error to user'], to: 'terminated' },
    '1xx': { do: ['response to user'], to: 'proceeding' },
    '2xx': { do: ['stop timers', 'start K', 'response to user'], to: 'completed' },
    '300-699': { do: ['stop timers', 'start K', 'response to user'], to: 'completed' },
  },
  proceeding: {
    E: { do: ['resend', 'again E at T2'] },
    F: { do: ['timeout to user'], to: 'terminated' },
    'transport error': { do: ['transport error to user'], to: 'terminated' },
    '1xx': { do: ['response to user'] },
    '2xx': { do: ['stop timers', 'start K', 'response to user'], to: 'completed' },
    '300-699': { do: ['stop timers', 'start K', 'response to user'], to: 'completed' },
  },
  accepted: {},
  completed: {
    K: { to: 'terminated' },
  },
  terminated: {},
};
