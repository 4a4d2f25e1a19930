export * from './infinimount.js';
export * from './mountinfo.js';
export * from './process.js';
export * from './worker.js';
