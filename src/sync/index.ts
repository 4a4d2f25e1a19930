export * from './api.js';
export type { ConnectivityState } from './connectivity.js';
export * from './engine.js';
export type { QueueItem } from './executor.js';
