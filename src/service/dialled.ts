/** The names by which people are told of rooms: those that they can dial. */
import { hostname } from 'node:os';
import type { RoomUri } from '../conference/ids.ts';
import type { Config } from '../config/schema.ts';
import { bracketed, isAny, LASTING_NAME } from './addresses.ts';

/** The name under which people are told to dial the rooms. */
export function dialledDomain({ domains, sip }: Config): string {
  const host = sip.advertise.host ?? sip.host[0] ?? '127.0.0.1';
  return bracketed(domains[0] ?? (isAny(host) ? hostname() : host));
}

/** A room's URI as people dial it: inside, and in the room log, all names of the domain are one. */
export function dialledRoom(config: Config, room: RoomUri): string {
  return withDomain(room, dialledDomain(config));
}

/** A line for the operator that may begin with a room's URI, with the URI that people dial instead. */
export function dialledLine(config: Config, line: string): string {
  const [room = ''] = ROOM_FIRST.exec(line) ?? [];
  return room === '' ? line : withDomain(room, dialledDomain(config)) + line.slice(room.length);
}

const ROOM_FIRST = new RegExp(`^sip:[^\\s@]+@${LASTING_NAME}(?=[:\\s])`);

const withDomain = (room: string, domain: string): string => room.replace(/@[^@]*$/, () => `@${domain}`);
