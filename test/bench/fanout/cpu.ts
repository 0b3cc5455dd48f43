/** How a server under measurement tells its parent what it cost: the CPU of its own process and nothing else. */
import { monitorEventLoopDelay } from 'node:perf_hooks';

/** What a server process says when it is ready. */
export interface Ready {
  /** MSRP port. */
  readonly msrp: number;
  /** SIP port over TCP; absent for the yardstick, which has none. */
  readonly sip?: number;
}

/** CPU and memory of a process at one moment. */
export interface Usage {
  /** User and system time since start, in µs. */
  readonly cpu: number;
  /** Resident set, in bytes. */
  readonly rss: number;
  /** Heap in use after a collection, in bytes; 0 where the process may not collect. */
  readonly heap: number;
  /** Longest time the event loop was held since the last message, in ms. */
  readonly stall: number;
}

/** How finely the event loop is watched, in ms. */
const RESOLUTION = 5;

/** In the server process: says where it listens, then answers each message of the parent with its usage so far. */
export function reportCpu(ready: Ready): void {
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION });
  delay.enable();
  process.on('message', () => {
    const { user, system } = process.cpuUsage();
    const stall = Math.max(0, delay.max / 1e6 - RESOLUTION);
    globalThis.gc?.();
    const heap = globalThis.gc === undefined ? 0 : process.memoryUsage().heapUsed;
    const usage: Usage = { cpu: user + system, rss: process.memoryUsage.rss(), heap, stall };
    // The pause for the collection is ours, and no stall: it is noted a moment later, and forgotten.
    setTimeout(() => {
      delay.reset();
      process.send?.(usage);
    }, 4 * RESOLUTION);
  });
  process.on('disconnect', () => {
    process.exit(0);
  });
  process.send?.(ready);
}
