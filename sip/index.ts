/** The front door of the SIP library (RFC 3261 and its extensions). */
export * from './errors.ts';
export * from './fields.ts';
export * from './headers.ts';
export * from './message.ts';
export { type Param, Params } from './params.ts';
export * from './parser.ts';
export * from './status.ts';
export * from './uri.ts';
export * from './write.ts';
