/**
 * The native part of the package fuse-native, 2.2.6 (fuse-native.c), and how it is loaded. Its JavaScript part is not
 * used: it looks at the mount point itself, which a process that serves a mount must never do, hands the mount point
 * to a shell, loses times and link counts, and lets a request that takes long write into memory that is freed.
 *
 * The native part wants libfuse.so.2. The machine's own is taken where there is one, else the one that comes with the
 * package: the loader takes a library that is already loaded for every other of the same name (DT_SONAME, ld.so(8)).
 */

import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import koffi from 'koffi';
import { LibfuseError } from './libfuse-error.js';

/** What libfuse asks: `slot` is the thread that asks and waits, the same object each time it does. */
export type NativeHandler = (slot: Buffer, operation: number, ...args: readonly never[]) => void;

/** Lets the thread of `slot` go on: `result` is 0, a count, or a negated errno; `values` are the operation's own. */
export type NativeSignal = (slot: Buffer, result: number, ...values: readonly unknown[]) => void;

/** The exports that are used, under names of ours. */
export interface FuseNative {
  readonly threadBytes: number;
  readonly slots: number;
  /** Mounts, and serves from threads of its own; throws when libfuse refuses, which has told why on stderr. */
  mount(
    mountPoint: string,
    options: string,
    thread: Buffer,
    handlers: readonly NativeHandler[],
    implemented: Uint32Array,
    allocate: (bytes: number) => Buffer,
  ): void;
  /** Lets the event loop end; the threads end when the mount is gone. */
  letGo(mountPoint: string, thread: Buffer): void;
  operation(name: string): number;
  signal(name: string): NativeSignal;
}

/** `implemented` and the table of handlers have this many places (fuse-native.c). */
const SLOTS = 35;

type Exports = Readonly<Record<string, unknown>>;

function isCode(error: unknown, ...codes: readonly string[]): boolean {
  return error instanceof Error && 'code' in error && codes.includes(String(error.code));
}

/** Loads it; throws LibfuseError. Nothing is mounted by that. */
export function loadFuseNative(require: NodeJS.Require = createRequire(import.meta.url)): FuseNative {
  let manifest: string;
  try {
    manifest = require.resolve('fuse-native/package.json');
  } catch (error) {
    throw new LibfuseError('no-package', 'the package fuse-native is not installed', { cause: error });
  }
  return wrap(loadNative(dirname(manifest), createRequire(manifest)));
}

function loadNative(folder: string, requireThere: NodeJS.Require): Exports {
  const load = requireThere('node-gyp-build') as (folder: string) => Exports;
  try {
    return load(folder);
  } catch (error) {
    if (!isCode(error, 'ERR_DLOPEN_FAILED')) {
      const found = `fuse-native has no native part for ${process.platform} on ${process.arch}`;
      throw new LibfuseError('no-build', found, { cause: error });
    }
  }
  try {
    const { lib } = requireThere('fuse-shared-library') as { readonly lib: string };
    koffi.load(lib);
    return load(folder);
  } catch (error) {
    throw new LibfuseError('no-library', 'libfuse.so.2 cannot be loaded', { cause: error });
  }
}

function wrap(native: Exports): FuseNative {
  const call = (name: string) => {
    const found = native[name];
    if (typeof found !== 'function') {
      throw new LibfuseError('no-build', `this fuse-native is not the one that is known: it has no ${name}`);
    }
    return found as (...args: readonly unknown[]) => unknown;
  };
  const number = (name: string) => {
    const found = native[name];
    if (typeof found !== 'number') {
      throw new LibfuseError('no-build', `this fuse-native is not the one that is known: it has no ${name}`);
    }
    return found;
  };
  const [mount, unmount] = [call('fuse_native_mount'), call('fuse_native_unmount')];
  return {
    threadBytes: number('sizeof_fuse_thread_t'),
    slots: SLOTS,
    mount: (mountPoint, options, thread, handlers, implemented, allocate) => {
      // The object is what the handlers are called on.
      mount(mountPoint, options, thread, {}, allocate, handlers, implemented);
    },
    letGo: (mountPoint, thread) => {
      unmount(mountPoint, thread);
    },
    operation: (name) => number(`op_${name}`),
    signal: (name) => call(`fuse_native_signal_${name}`) as NativeSignal,
  };
}
