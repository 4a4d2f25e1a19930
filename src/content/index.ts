export { ContentError, type ContentErrorCode } from './errors.js';
export type { CacheLimits } from './eviction.js';
export { FileContentStore, type OpenContentOptions, openContentStore } from './file-content.js';
export * from './memory-content.js';
export { MemoryPresenceTable, type PresenceTable } from './presence.js';
export type { KeptFile, NodeContent, NodeContents, ReconcileReport, TidyReport } from './reconcile.js';
export * from './store.js';
export type { VerifyOptions, VerifyReport } from './verify.js';
