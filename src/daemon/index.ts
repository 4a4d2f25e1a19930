export { startDaemon } from './daemon.js';
export { remoteUserError } from './errors.js';
export { type Preflight, preflight } from './preflight.js';
export type { CacheClaim } from './preflight-cache.js';
export type { CloseReason, DaemonDeps, MountReady, RunningDaemon, StartDaemon, StopReport } from './types.js';
