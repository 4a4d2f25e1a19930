export { startInfiniCloud } from './stand-in.js';
export type * from './types.js';
