/**
 * Looks at the database's file before LMDB does: on a file that it cannot use, or a disk without room for its lock
 * file, the library ends the process (SIGSEGV, SIGBUS) instead of failing.
 */

import * as fs from 'node:fs';
import { dirname } from 'node:path';
import { isErrno } from '../base/index.js';
import { StateError } from './errors.js';

/** Room that opening needs: lock file, first pages, a segment of the journal. */
const FREE_BYTES_NEEDED = 1024 * 1024;

// Layout of a meta page (MDB_page and MDB_meta in lmdb's mdb.c, 64-bit).
const FLAGS_OFFSET = 18;
const FLAG_META = 0x08;
const MAGIC_OFFSET = 24;
const MAGIC = 0xbeefc0de;
const VERSION_OFFSET = 28;
const VERSION = 2;
const PAGE_SIZE_OFFSET = 48;
const ROOT_OFFSETS = [88, 136];
const META_BYTES = 168;
const NO_ROOT = 0xffff_ffff_ffff_ffffn;

/** Passes for a usable or missing database. Throws `StateError` 'damaged' or 'disk'. */
export function checkDatabaseFile(path: string): void {
  try {
    const { bavail, bsize } = fs.statfsSync(dirname(path));
    if (bavail * bsize < FREE_BYTES_NEEDED) {
      const free = `${bavail * bsize} bytes are free, ${FREE_BYTES_NEEDED} are needed`;
      throw new StateError(
        'disk',
        `Cannot open the state database "${path}": ${free}. Make room on that disk`,
      );
    }
    const fd = fs.openSync(path, 'r+');
    try {
      checkMetaPages(fd, path);
    } finally {
      fs.closeSync(fd);
    }
  } catch (cause) {
    if (cause instanceof StateError) throw cause;
    if (isErrno(cause, 'ENOENT')) return;
    throw new StateError('disk', `Cannot open the state database "${path}"`, { cause });
  }
}

function checkMetaPages(fd: number, path: string): void {
  const fileBytes = fs.fstatSync(fd).size;
  // An empty file is what a power loss leaves of one just made; LMDB begins anew with it.
  if (fileBytes === 0) return;
  const first = readMeta(fd, 0);
  const pageBytes = first?.readUInt32LE(PAGE_SIZE_OFFSET) ?? 0;
  const isPageSize = pageBytes >= 512 && pageBytes <= 65_536 && (pageBytes & (pageBytes - 1)) === 0;
  const second = isPageSize ? readMeta(fd, pageBytes) : undefined;
  const metas = first === undefined || second === undefined ? [] : [first, second];
  const pages = BigInt(Math.floor(fileBytes / Math.max(pageBytes, 1)));
  // The newer one may be of a commit that the power loss took, so one of them must stand.
  const isUsable = metas.some((meta) =>
    ROOT_OFFSETS.every((offset) => {
      const root = meta.readBigUInt64LE(offset);
      return root === NO_ROOT || root < pages;
    }),
  );
  if (isUsable) return;
  throw new StateError(
    'damaged',
    `The state database "${path}" is damaged or no database. Nothing was changed or deleted`,
  );
}

function readMeta(fd: number, position: number): Buffer | undefined {
  const meta = Buffer.alloc(META_BYTES);
  if (fs.readSync(fd, meta, 0, META_BYTES, position) !== META_BYTES) return undefined;
  if ((meta.readUInt16LE(FLAGS_OFFSET) & FLAG_META) === 0) return undefined;
  if (meta.readUInt32LE(MAGIC_OFFSET) !== MAGIC) return undefined;
  return (meta.readUInt32LE(VERSION_OFFSET) & 0xffff) === VERSION ? meta : undefined;
}
