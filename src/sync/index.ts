export * from './api.js';
export * from './engine.js';
export type { ConnectivityState } from './connectivity.js';
export type { QueueItem } from './executor.js';
