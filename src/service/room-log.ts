/** Which log the rooms have, as configured. */
import { dirname } from 'node:path';
import type { RoomUri } from '../conference/ids.ts';
import { makeDirectory } from '../config/directories.ts';
import { type Config, dataPath, keepsOnDisk } from '../config/schema.ts';
import { MemoryLog } from '../log/memory.ts';
import type { RoomKeeping, RoomLog } from '../log/room-log.ts';
import { openSqliteLog } from '../log/sqlite.ts';
import type { Logger } from '../ops/logger.ts';
import { keepingOf } from './room-settings.ts';

/** Most rooms whose keeping is remembered between two changes of the configuration. */
const REMEMBERED = 10_000;

/**
 * The log of all rooms: a file, or memory alone where no room asks for the disk. `current` gives the configuration as it
 * is now. Rejects with `LogOpenError` or `DirectoryError`.
 */
export async function openRoomLog(current: () => Config, log: Logger): Promise<RoomLog> {
  const config = current();
  const keeping = remembered(current);
  const file = logFile(config);
  if (file === undefined) return new MemoryLog({ keeping });
  makeDirectory('log.file', dirname(file));
  // Whoever reads at once must not find his queue full of what the disk has kept together.
  const heardAtOnce = config.msrp.queue_bytes / 4;
  return openSqliteLog({ file, keeping, maxBacklogBytes: config.log.backlog_bytes, heardAtOnce, log });
}

/** The file of the log; none where no room asks for the disk. */
export function logFile(config: Config): string | undefined {
  return keepsOnDisk(config) ? dataPath(config, config.log.file) : undefined;
}

/** It is asked for every event. */
function remembered(current: () => Config): (room: RoomUri) => RoomKeeping {
  const known = new Map<RoomUri, RoomKeeping>();
  let config = current();
  return (room) => {
    if (current() !== config || known.size > REMEMBERED) {
      known.clear();
      config = current();
    }
    const keeping = known.get(room) ?? keepingOf(config, room);
    known.set(room, keeping);
    return keeping;
  };
}
