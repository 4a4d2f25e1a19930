/** The second driver: libfuse 2 by the package fuse-native, over the same handlers as the kernel protocol. */

export { loadFuseNative } from './binding.js';
export { LibfuseError, type LibfuseErrorCode } from './libfuse-error.js';
export { type LibfuseMount, type LibfuseOptions, mountLibfuse } from './mount.js';
