/** What it means that the kernel reads and writes a file by itself, in the words that all parts use; see backing.ts. */

import type { Body } from '../content/index.js';

/** A registration of an open file in the kernel (FUSE_DEV_IOC_BACKING_OPEN); above 0. */
export type BackingId = number & { readonly BackingId: unique symbol };

/** Who can have the kernel read and write a file of this machine in place of one of the mount. */
export interface BackingPort {
  /** Reading a smaller file this way is not worth a registration: the kernel keeps what it reads in a request or two. */
  readonly leastReadBytes: number;
  /** Registers an open file; undefined where the kernel does not take it. */
  open(fd: number): BackingId | undefined;
  close(id: BackingId): void;
}

/** What is known of an inode that is open this way. */
export interface Backed {
  readonly id: BackingId;
  readonly body: Body;
  /** Size and time of the backing file when it was last looked at; undefined: not since its mark was set. */
  seen: { readonly size: number; readonly mtimeNs: bigint } | undefined;
  /** Whether anything was written since the first open for writing. */
  touched: boolean;
}
