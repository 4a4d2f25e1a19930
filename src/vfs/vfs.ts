/**
 * The file system as POSIX sees it, over what is known on this machine. It knows nothing of FUSE: a test calls it with
 * plain values. Each part is a group of operations over the same core; what they answer at once they answer without
 * a promise.
 */

import { after, type MaybePromise } from '../base/index.js';
import { type Adopted, adoptHandles } from './adoption.js';
import { AttributeOperations } from './attributes.js';
import type { BackingId, BackingPort } from './backed.js';
import { VfsCore, type VfsDependencies, type VfsOptions } from './core.js';
import { Directories } from './directory.js';
import type { Fh } from './fh.js';
import { Files } from './file-io.js';
import type { InodeTable } from './inode-table.js';
import { Namespace } from './namespace.js';
import { Rename } from './rename.js';
import { type VolumeStatistics, volumeStatistics } from './statfs.js';
import { ExtendedAttributes } from './xattr.js';

/** What the kernel of a mount does by itself. */
export interface KernelAbilities {
  /** Reads and writes files of this machine in place of those of the mount, as far as it takes them. */
  readonly backing: BackingPort;
  /** Whether it keeps sizes and times of files itself, and takes none from us for files that it knows (writeback cache). */
  readonly keepsSizes: boolean;
}

export class Vfs {
  readonly #core: VfsCore;
  #isHandedOver = false;
  #kernel: KernelAbilities | undefined;
  readonly names: Namespace;
  readonly renames: Rename;
  readonly directories: Directories;
  readonly files: Files;
  readonly attributes: AttributeOperations;
  readonly xattrs: ExtendedAttributes;

  /** Tells `sync` who knows of handles; one Vfs per Sync. */
  constructor(dependencies: VfsDependencies) {
    const core = new VfsCore(dependencies);
    this.#core = core;
    this.files = new Files(core);
    this.names = new Namespace(core, this.files);
    this.renames = new Rename(core);
    this.directories = new Directories(core);
    this.attributes = new AttributeOperations(core, this.files);
    this.xattrs = new ExtendedAttributes(core);
    const { inodes, backing } = core;
    core.sync.setUsage({
      isOpen: (ino) => inodes.isOpen(ino),
      holdsVersion: (ino) => inodes.isOpen(ino) || (this.#kernel?.keepsSizes === true && inodes.isInUse(ino)),
      hasWritableHandle: (ino) => inodes.hasWritableHandle(ino),
      isInUse: (ino) => inodes.isInUse(ino),
      isWrittenUnseen: (ino) => inodes.backed(ino) !== undefined && inodes.hasWritableHandle(ino),
      observe: () => backing.observeAll(),
      markCopied: (ino) => backing.markCopied(ino),
    });
  }

  /**
   * Takes over from the process that kept the handle log: its handles are open again, and what the kernel may refer to
   * is kept. Once, before the first request and before the synchronisation starts.
   */
  adopt(): Adopted {
    return adoptHandles(this.#core);
  }

  get options(): VfsOptions {
    return this.#core.options;
  }

  /** References and open handles. */
  get inodes(): InodeTable {
    return this.#core.inodes;
  }

  get kernel(): KernelAbilities | undefined {
    return this.#kernel;
  }

  /** Sets what the kernel can do by itself, from the next open on; undefined: nothing. */
  set kernel(kernel: KernelAbilities | undefined) {
    this.#kernel = kernel;
    this.#core.backing.port = kernel?.backing;
  }

  /** How the kernel serves an open handle by itself; undefined: this process does. */
  backingOf(fh: Fh): BackingId | undefined {
    const handle = this.#core.handles.get(fh);
    return handle?.kind === 'file' ? handle.backing : undefined;
  }

  /** Open files and directories. */
  get handleCount(): number {
    return this.#core.handles.size;
  }

  /** Waits a little for the server's figures, right after the start. */
  statfs(): MaybePromise<VolumeStatistics> {
    return after(this.#core.sync.quotaSettling(), () => volumeStatistics(this.#core));
  }

  /** syncfs(2): everything on this machine survives a power loss once it resolves. */
  syncfs(): Promise<void> {
    return this.files.syncAll();
  }

  /** Another process takes over: commits what is only in memory; what is open stays open for that one. */
  handOver(): void {
    this.#isHandedOver = true;
    this.files.commitAllLive();
    this.#core.backing.stop();
    this.#core.handles.handOver();
  }

  /** A request has been answered, or its answer is no longer wanted: it will not be asked again. */
  answered(unique: number): void {
    this.#core.state.origins.answered(unique);
  }

  /** A program was killed before it learnt of its open file: nobody will release it. */
  releaseUnclaimed(fh: Fh): void {
    const handle = this.#core.handles.get(fh);
    if (handle?.kind === 'file') this.files.release(fh);
    else if (handle !== undefined) this.directories.release(fh);
  }

  /**
   * The mount ends: releases what is still open, as if it were closed, and returns all references. Nothing after
   * {@link handOver}.
   */
  close(): void {
    if (this.#isHandedOver) return;
    const { handles, inodes, content, backing } = this.#core;
    const written = inodes.backedWriters();
    for (const handle of [...handles]) {
      if (handle.kind === 'file') this.files.release(handle.fh);
      else this.directories.release(handle.fh);
    }
    backing.stop();
    // The kernel goes on writing for whoever holds on to a mount that was detached.
    for (const ino of written) content.separate(ino);
    for (const ino of inodes.referencedInodes()) this.names.forget(ino, inodes.lookupCount(ino));
  }

  /** Throws with the first broken invariant of the tables. */
  checkInvariants(): void {
    this.#core.inodes.checkInvariants();
    this.#core.handles.checkInvariants(this.#core.inodes);
  }
}
