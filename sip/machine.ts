/** What a state machine does on an event, and the state it is in from then on (none: it stays). */
export interface Step<State extends string, Action extends string> {
  readonly do?: readonly Action[];
  readonly to?: State;
}

/** A state machine as data: state → event → step. An event that a state does not list is ignored in it. */
export type Machine<State extends string, Event extends string, Action extends string> = Readonly<
  Record<State, Readonly<Partial<Record<Event, Step<State, Action>>>>>
>;

/** The class of a response, as the machines of RFC 3261 §17 tell them apart. */
export type ResponseClass = '1xx' | '2xx' | '300-699';

/** The class of a status code. */
export function classOf(status: number): ResponseClass {
  return status < 200 ? '1xx' : status < 300 ? '2xx' : '300-699';
}
