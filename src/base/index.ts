export * from './clock.js';
export * from './name.js';
export * from './types.js';
