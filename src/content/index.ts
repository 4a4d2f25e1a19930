export { ContentError, type ContentErrorCode } from './errors.js';
export * from './memory-content.js';
export * from './store.js';
