/**
 * Extended attributes of the user namespace, xattr(7): kept in the inode's record on this machine, not sent to the
 * server. The other namespaces (security, trusted, system with its ACLs) are refused, so that no program believes in
 * a protection that is not there.
 */

import type { Ino } from '../base/index.js';
import type { InodeRecord } from '../state/index.js';
import { inodeRecord, markDone, type VfsCore } from './core.js';
import { VfsError } from './errors.js';
import { XATTR_TOTAL_MAX_BYTES, XATTR_VALUE_MAX_BYTES } from './limits.js';
import type { VfsRequest } from './request.js';

/** `create` and `replace`: XATTR_CREATE and XATTR_REPLACE of setxattr(2). */
export type XattrMode = 'any' | 'create' | 'replace';

type Xattrs = Readonly<Record<string, Uint8Array>>;

const USER_PREFIX = 'user.';

/** Made once: the kernel asks for security.capability of every file that is changed. */
const NOT_OURS = new VfsError('EOPNOTSUPP', 'no user attribute');
const NOT_SET = new VfsError('ENODATA', 'no such attribute');

export class ExtendedAttributes {
  readonly #core: VfsCore;

  constructor(core: VfsCore) {
    this.#core = core;
  }

  /** ENODATA, EOPNOTSUPP (another namespace), ESTALE. */
  get(ino: Ino, name: string): Uint8Array {
    assertNamespace(ino, name);
    const value = own(this.#core.inode(ino).xattrs, name);
    if (value === undefined) throw NOT_SET;
    return value;
  }

  /** Names with their namespace. */
  list(ino: Ino): readonly string[] {
    return Object.keys(this.#core.inode(ino).xattrs ?? {});
  }

  /** EEXIST (create), ENODATA (replace), E2BIG (one value), ENOSPC (all of an inode), EPERM (a symbolic link), EROFS. */
  set(ino: Ino, name: string, value: Uint8Array, mode: XattrMode, request?: VfsRequest): void {
    if (this.#core.doneBefore(request) !== undefined) return;
    const record = this.#changeable(ino, name);
    const old = own(record.xattrs, name);
    if (mode === 'create' && old !== undefined) throw new VfsError('EEXIST', `"${name}" is set`, { ino });
    if (mode === 'replace' && old === undefined)
      throw new VfsError('ENODATA', `"${name}" is not set`, { ino });
    if (value.length > XATTR_VALUE_MAX_BYTES) {
      throw new VfsError('E2BIG', `a value has at most ${XATTR_VALUE_MAX_BYTES} bytes`, { ino });
    }
    // A copy: the caller's bytes may lie in a request buffer that is used again.
    const xattrs = { ...record.xattrs, [name]: Uint8Array.from(value) };
    if (totalBytes(xattrs) > XATTR_TOTAL_MAX_BYTES) {
      throw new VfsError('ENOSPC', `the attributes of a file have at most ${XATTR_TOTAL_MAX_BYTES} bytes`, {
        ino,
      });
    }
    this.#store(ino, xattrs, request);
  }

  /** ENODATA, EROFS. */
  remove(ino: Ino, name: string, request?: VfsRequest): void {
    if (this.#core.doneBefore(request) !== undefined) return;
    const record = this.#changeable(ino, name);
    if (own(record.xattrs, name) === undefined)
      throw new VfsError('ENODATA', `no attribute "${name}"`, { ino });
    const { [name]: _, ...left } = record.xattrs ?? {};
    this.#store(ino, left, request);
  }

  #changeable(ino: Ino, name: string): InodeRecord {
    this.#core.assertWritable(ino);
    assertNamespace(ino, name);
    const record = this.#core.inode(ino);
    if (record.kind === 'symlink')
      throw new VfsError('EPERM', 'symbolic links have no user attributes', { ino });
    return record;
  }

  #store(ino: Ino, xattrs: Xattrs, request: VfsRequest | undefined): void {
    const { state, clock } = this.#core;
    const ctime = clock.nowNs();
    state.transact((tx) => {
      tx.put({ ...inodeRecord(tx, this.#core.inode(ino)), xattrs, ctime });
      markDone(tx, request, ino);
    });
  }
}

function assertNamespace(ino: Ino, name: string): void {
  if (!name.startsWith(USER_PREFIX)) throw NOT_OURS;
  if (name.length === USER_PREFIX.length) throw new VfsError('EINVAL', 'empty attribute name', { ino });
}

function own(xattrs: Xattrs | undefined, name: string): Uint8Array | undefined {
  return xattrs !== undefined && Object.hasOwn(xattrs, name) ? xattrs[name] : undefined;
}

function totalBytes(xattrs: Xattrs): number {
  let total = 0;
  for (const [name, value] of Object.entries(xattrs)) total += Buffer.byteLength(name) + value.length;
  return total;
}
