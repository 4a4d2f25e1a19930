export type { CacheTimeouts } from './attr.js';
export { judge, type Severity, type Verdict } from './errno.js';
export { type BridgeOptions, createBridge } from './handlers.js';
export { connectInvalidation, type InvalidationOptions, type KernelInvalidation } from './invalidation.js';
export type { MiddlewareOptions } from './middleware.js';
export { type ReferenceDoubts, type ReferenceOptions, settleReferences } from './references.js';
