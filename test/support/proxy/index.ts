export * from './faults.js';
export * from './latency.js';
