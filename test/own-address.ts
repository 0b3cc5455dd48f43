/**
 * An address of loopback at which no other process of this machine listens or calls: a port there is free again as soon as
 * we let it go, and where we do not listen nobody does.
 */
export const ownAddress = [
  127,
  // The first blocks are used by name in tests.
  128 | ((process.pid >> 16) & 127),
  (process.pid >> 8) & 255,
  process.pid & 255,
].join('.');
