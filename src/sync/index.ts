export * from './api.js';
export type { ConnectivityState } from './connectivity.js';
export * from './control.js';
export * from './engine.js';
export * from './errors.js';
