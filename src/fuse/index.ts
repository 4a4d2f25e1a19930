/** The Linux FUSE kernel protocol on /dev/fuse: mount, session, and the handlers' contract. It knows no file. */

export * from './abi.js';
export * from './adopt-mount.js';
export { DeviceError } from './device.js';
export * from './errno.js';
export * from './handlers.js';
export {
  DEFAULT_FLAGS,
  INIT_FLAGS,
  type InitFlag,
  type InitOptions,
  type Negotiated,
  ProtocolVersionError,
} from './init.js';
export * from './mount.js';
export * from './mount-error.js';
export { type MountEntry, mountedAt, parseMountinfo, setReadAhead } from './mountinfo.js';
export { type Notifier, NotifyError, type NotifyOutcome } from './notify.js';
export { OPCODES, type OpcodeRow, opcodeRow } from './opcodes.js';
export { type FlagOutcome, setKernelReadOnly } from './remount.js';
export { FuseSession } from './session.js';
export type { SessionConfig, SessionCounters, SessionEnd, SessionOptions } from './session-config.js';
