import type { MsrpEndpoint } from '../../msrp/index.ts';
import type { CongestionStep } from '../chat/congestion.ts';
import type { Failure } from '../chat/fates.ts';
import type { ConferenceHost, Watcher } from '../chat/host.ts';
import type { ChatRoom } from '../chat/room.ts';
import type { Metrics } from '../ops/metrics.ts';

/** Counts what happens in the rooms. */
export function countingWatcher(metrics: Metrics): Watcher {
  const events = metrics.counter('events_total', 'What has happened in the rooms, by kind', 'kind');
  return {
    happened: (_room, { event }) => {
      events(event.type);
    },
    changed: () => undefined,
  };
}

/** Counts deliveries that went wrong. */
export function failureCounter(metrics: Metrics): (failure: Failure) => void {
  const failures = metrics.counter(
    'delivery_failures_total',
    'Messages that did not reach a recipient, or not whole, by reason',
    'reason',
  );
  return ({ is }) => {
    failures(is);
  };
}

/** Counts what is done about recipients that read too slowly (RFC 7701 §6.4). */
export function congestionCounter(metrics: Metrics): (step: CongestionStep) => void {
  return metrics.counter(
    'congestion_total',
    'Recipients that read too slowly: marked, told, messages left out, relieved, let go',
    'step',
  );
}

/** Shows how much there is of everything. */
export function showFigures(metrics: Metrics, host: ConferenceHost, endpoint: MsrpEndpoint): void {
  const sum = (figure: (room: ChatRoom) => number) => () =>
    [...host.rooms()].reduce((total, room) => total + figure(room), 0);
  metrics.gauge(
    'rooms',
    'Rooms that are alive',
    sum(() => 1),
  );
  metrics.gauge(
    'participants',
    'Users in the rooms',
    sum((room) => room.conference.userCount),
  );
  metrics.gauge(
    'recipients',
    'Endpoints that are delivered to',
    sum((room) => room.recipients),
  );
  metrics.gauge('msrp_sessions', 'MSRP sessions', () => endpoint.sessionCount);
  metrics.gauge('msrp_connections', 'MSRP connections', () => endpoint.connectionCount);
}
