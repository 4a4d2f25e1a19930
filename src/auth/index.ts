export * from './basic.js';
export * from './provider.js';
