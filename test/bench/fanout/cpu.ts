/** How a server under measurement tells its parent what it cost: the CPU of its own process and nothing else. */

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
}

/** In the server process: says where it listens, then answers each message of the parent with its usage so far. */
export function reportCpu(ready: Ready): void {
  process.on('message', () => {
    const { user, system } = process.cpuUsage();
    process.send?.({ cpu: user + system, rss: process.memoryUsage.rss() } satisfies Usage);
  });
  process.on('disconnect', () => {
    process.exit(0);
  });
  process.send?.(ready);
}
