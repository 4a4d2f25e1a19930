/**
 * What a new daemon has to know of a mount beside its descriptor: `session.json` in the cache directory, replaced as a
 * whole. It is true for one boot of the machine and one mount; it holds no secret, and losing it loses no data.
 */

import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as z from 'zod';
import { isErrno } from '../../base/index.js';
import { INIT_FLAGS, type InitFlag, type Negotiated } from '../../fuse/index.js';

const FILE = 'session.json';
const RECORD_VERSION = 1;

const count = z.int().nonnegative();
const flagNames = z.array(z.string());

const SCHEMA = z.object({
  version: z.literal(RECORD_VERSION),
  /** A mount does not survive a boot, and device numbers are given out again. */
  bootId: z.string(),
  /** Of this mount, however many daemons serve it. */
  id: z.string(),
  /** How often a kernel mount was made for it. */
  kernelMounts: count,
  url: z.string(),
  /** Absolute path without symbolic links. */
  mountPoint: z.string(),
  /** `major:minor`. */
  device: z.string(),
  method: z.enum(['mount', 'fusermount3']),
  readOnly: z.boolean(),
  allowOther: z.boolean(),
  /** How often a new daemon took this mount over, and when it was done last, in milliseconds since the epoch. */
  takeovers: count,
  lastTakeoverMs: z.number().optional(),
  /** Daemons in a row that died before they had served for long. */
  deaths: count,
  negotiated: z.object({
    minor: count,
    kernelMinor: count,
    flags: flagNames,
    absent: flagNames,
    maxWriteBytes: count,
    maxPages: count,
    maxReadaheadBytes: count,
    maxBackground: count,
  }),
});

type Stored = z.infer<typeof SCHEMA>;

/** The record, with what was negotiated as a session takes it. */
export type SessionRecord = Omit<Stored, 'version' | 'bootId' | 'negotiated'> & {
  readonly negotiated: Negotiated;
};

/** The record of this boot; undefined where there is none that can be used. */
export function readSessionRecord(cacheDir: string): SessionRecord | undefined {
  const stored = SCHEMA.safeParse(readJson(join(cacheDir, FILE)));
  if (!stored.success || stored.data.bootId !== bootId()) return undefined;
  const { version: _version, bootId: _bootId, negotiated, ...rest } = stored.data;
  const { flags, absent } = negotiated;
  // A feature that is in use and unknown here: a newer program wrote this, and only such a one can serve the mount.
  if (!flags.every(isInitFlag)) return undefined;
  return { ...rest, negotiated: { ...negotiated, flags: new Set(flags), absent: absent.filter(isInitFlag) } };
}

/** Throws ErrnoException. */
export function writeSessionRecord(cacheDir: string, record: SessionRecord): void {
  const { negotiated, ...rest } = record;
  const stored: Stored = {
    version: RECORD_VERSION,
    bootId: bootId(),
    ...rest,
    negotiated: { ...negotiated, flags: [...negotiated.flags], absent: [...negotiated.absent] },
  };
  const path = join(cacheDir, FILE);
  // Without fsync: after a power loss there is no mount that it could tell of.
  writeFileSync(`${path}.new`, `${JSON.stringify(stored, undefined, 2)}\n`, { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

/** The mount is gone. Throws ErrnoException. */
export function removeSessionRecord(cacheDir: string): void {
  rmSync(join(cacheDir, FILE), { force: true });
}

function isInitFlag(name: string): name is InitFlag {
  return Object.hasOwn(INIT_FLAGS, name);
}

function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
}

function readJson(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    if (error instanceof SyntaxError || isErrno(error, 'ENOENT')) return undefined;
    throw error;
  }
}
