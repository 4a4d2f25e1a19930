export { findNode, forgetTokens, type LoginUi, logInWithOAuth2, proveServer } from './account.js';
export { startDaemon } from './daemon.js';
export { type DoctorRequest, examine } from './doctor.js';
export { type Finding, type FindingState, findingsOf } from './doctor-finding.js';
export { remoteUserError } from './errors.js';
export { type Preflight, preflight } from './preflight.js';
export type { CacheClaim } from './preflight-cache.js';
export type { CloseReason, DaemonDeps, MountReady, RunningDaemon, StartDaemon, StopReport } from './types.js';
