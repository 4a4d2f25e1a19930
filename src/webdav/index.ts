export * from './connect-check.js';
export {
  DEFAULT_TIMEOUTS,
  type ResponseInfo,
  type SkippedEntry,
  type SkipReason,
  type Timeouts,
  type WebdavOptions,
} from './options.js';
export { createWebdavStore, WebdavStore } from './store.js';
