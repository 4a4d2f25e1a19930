export { StateError, type StateErrorCode } from './errors.js';
export * from './links.js';
export { LmdbStateStore, type OpenStateOptions, openState, type SideTable } from './lmdb-state.js';
export { type MemoryStateSnapshot, MemoryStateStore, openMemoryState } from './memory-state.js';
export { compareNames } from './name-table.js';
export * from './records.js';
export * from './store.js';
export type { RootAttributes, TreeStoreOptions } from './trees.js';
