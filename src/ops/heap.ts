import { setFlagsFromString } from 'node:v8';

/**
 * Lets the heap of the process grow to three times what is alive in it before all of it is collected: within the range
 * in which V8 chooses by itself, and still below its limit for the whole.
 *
 * By itself V8 chooses to collect all of a small heap for each few megabytes that sockets have read, since it counts
 * their buffers: ten times a second in a busy room, on four threads beside the service's own.
 */
export function letHeapGrow(): void {
  setFlagsFromString('--heap-growing-percent=200');
}
