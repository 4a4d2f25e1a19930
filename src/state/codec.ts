/**
 * Records and name entries as bytes: msgpack arrays, one position a field. A change of a layout is a new version of
 * the database with a migration (migrations.ts).
 */

import { Packr, RESET_BUFFER_MODE } from 'msgpackr';
import { assertNever, type Ino, type Name, type Ns } from '../base/index.js';
import type { ETag } from '../remote/index.js';
import { StateError } from './errors.js';
import type {
  Attempt,
  Base,
  CopySource,
  DirRecord,
  FileRecord,
  InodeFields,
  InodeRecord,
  NameEntry,
  NodeRecord,
  Place,
  Remote,
  SymlinkRecord,
} from './records.js';

/** A bigint is an int64 and comes back as a bigint, a number never is one; buffers are copied out of the database's memory. */
const packr = new Packr({ useRecords: false, copyBuffers: true, int64AsType: 'bigint' });

/** Any JSON-like value, and bigint and Uint8Array, as bytes. */
export function pack(value: unknown): Buffer {
  // The packer's own slices would each keep a whole buffer of its alive.
  return Buffer.from(packTransient(value));
}

/** As {@link pack}, valid until the next call of either. */
export function packTransient(value: unknown): Buffer {
  return packr.pack(value, RESET_BUFFER_MODE);
}

/** Throws `StateError` 'damaged' when the bytes are no msgpack. `what` names them in the message. */
export function unpack(bytes: Uint8Array, what: string): unknown {
  try {
    return packr.unpack(bytes);
  } catch (cause) {
    throw new StateError('damaged', `Cannot read ${what} in the state database; nothing was deleted`, {
      cause,
    });
  }
}

type PlaceRow = readonly [parent: number, name: string];
/** `place` is null where it is the local one. */
type BaseRow = readonly [
  place: PlaceRow | null,
  etag: string | null,
  size: number,
  mtimeMs: number | null,
  gen: number,
  sha256?: Uint8Array,
];
/** Only in records that have one. */
type CopyRow = readonly [ino: number, etag: string, gen: number];
type RemoteRow = 0 | readonly [etag: string | null, size: number, mtimeMs: number | null];
type AttemptRow = readonly [parent: number, name: string, gen: number, size: number, sha256: string | null];
type TreesRow = readonly [local: PlaceRow | null, base: BaseRow | null, remote: RemoteRow | null];
type InodeRow = readonly [
  mode: number,
  uid: number,
  gid: number,
  atime: Ns,
  mtime: Ns,
  ctime: Ns,
  xattrs: readonly (readonly [name: string, value: Uint8Array])[] | null,
];
type FileRow = readonly [
  kind: 0,
  ...TreesRow,
  ...InodeRow,
  size: number,
  gen: number,
  flags: number,
  attempt: AttemptRow | null,
  aliases: readonly number[],
  copyOf?: CopyRow,
];
type DirRow = readonly [kind: 1, ...TreesRow, ...InodeRow, listedAtMs: number | null];
type SymlinkRow = readonly [
  kind: 2,
  ...TreesRow,
  ...InodeRow,
  target: string,
  gen: number,
  attempt: AttemptRow | null,
];
type AliasRow = readonly [kind: 3, ...TreesRow, target: number, attempt: AttemptRow | null];
type NodeRow = FileRow | DirRow | SymlinkRow | AliasRow;

const FLAG_STAGED = 1;
const FLAG_WRITING = 2;
const FLAG_INTERRUPTED = 4;

export function encodeNode(record: NodeRecord): Buffer {
  return pack(nodeRow(record));
}

export function decodeNode(ino: Ino, bytes: Uint8Array): NodeRecord {
  const row = unpack(bytes, `the record of node ${ino}`) as NodeRow;
  if (!Array.isArray(row) || !(row[0] >= 0 && row[0] <= 3)) {
    throw new StateError(
      'damaged',
      `Cannot read the record of node ${ino} in the state database; nothing was deleted`,
    );
  }
  return nodeOf(ino, row);
}

/** A name entry's nodes: one number where both trees have the same. */
export function encodeEntry(entry: NameEntry): Buffer {
  return pack(entry.local === entry.base ? entry.local : [entry.local ?? 0, entry.base ?? 0]);
}

export function decodeEntry(parent: Ino, name: Name, bytes: Uint8Array): NameEntry {
  const value = unpack(bytes, `the entry "${name}" of directory ${parent}`);
  if (typeof value === 'number') return { name, local: value as Ino, base: value as Ino };
  const [local, base] = value as readonly [number, number];
  return { name, local: inoOrUndefined(local), base: inoOrUndefined(base) };
}

export function inoOrUndefined(value: number): Ino | undefined {
  return value === 0 ? undefined : (value as Ino);
}

function nodeRow(record: NodeRecord): NodeRow {
  const trees: TreesRow = [
    record.local === undefined ? null : placeRow(record.local),
    record.base === undefined ? null : baseRow(record.base, record.local),
    record.remote === undefined ? null : remoteRow(record.remote),
  ];
  switch (record.kind) {
    case 'file': {
      const flags =
        (record.content === 'staged' ? FLAG_STAGED : 0) |
        (record.writing ? FLAG_WRITING : 0) |
        (record.interrupted ? FLAG_INTERRUPTED : 0);
      const { size, gen, attempt, aliases, copyOf } = record;
      const copy: [CopyRow?] = copyOf === undefined ? [] : [copyRow(copyOf)];
      return [0, ...trees, ...inodeRow(record), size, gen, flags, attemptRow(attempt), aliases, ...copy];
    }
    case 'dir':
      return [1, ...trees, ...inodeRow(record), record.listedAtMs ?? null];
    case 'symlink':
      return [2, ...trees, ...inodeRow(record), record.target, record.gen, attemptRow(record.attempt)];
    case 'alias':
      return [3, ...trees, record.target, attemptRow(record.attempt)];
    default:
      return assertNever(record);
  }
}

function nodeOf(ino: Ino, row: NodeRow): NodeRecord {
  const local = row[1] === null ? undefined : placeOf(row[1]);
  const base = row[2] === null ? undefined : baseOf(row[2], local);
  const remote = row[3] === null ? undefined : remoteOf(row[3]);
  switch (row[0]) {
    // Written out, since whoever reads a directory needs thousands, and in the order of merge.ts: records of one shape
    // are read fastest.
    case 0: {
      const flags = row[13];
      const file: FileRecord = {
        ino,
        local,
        base,
        remote,
        uid: row[5],
        gid: row[6],
        atime: row[7],
        mtime: row[8],
        ctime: row[9],
        kind: 'file',
        mode: row[4],
        size: row[11],
        gen: row[12],
        content: (flags & FLAG_STAGED) !== 0 ? 'staged' : 'clean',
        writing: (flags & FLAG_WRITING) !== 0,
        interrupted: (flags & FLAG_INTERRUPTED) !== 0,
        attempt: attemptOf(row[14]),
        aliases: row[15] as readonly Ino[],
      };
      const xattrs = row[10];
      const copy = row[16];
      if (xattrs === null && copy === undefined) return file;
      return { ...withXattrs(file, xattrs), ...(copy === undefined ? {} : { copyOf: copyOf(copy) }) };
    }
    case 1: {
      const dir: DirRecord = {
        ino,
        local,
        base,
        remote,
        uid: row[5],
        gid: row[6],
        atime: row[7],
        mtime: row[8],
        ctime: row[9],
        kind: 'dir',
        mode: row[4],
        listedAtMs: row[11] ?? undefined,
      };
      return withXattrs(dir, row[10]);
    }
    case 2: {
      const link: SymlinkRecord = {
        ino,
        local,
        base,
        remote,
        uid: row[5],
        gid: row[6],
        atime: row[7],
        mtime: row[8],
        ctime: row[9],
        kind: 'symlink',
        mode: row[4],
        target: row[11],
        gen: row[12],
        attempt: attemptOf(row[13]),
      };
      return withXattrs(link, row[10]);
    }
    case 3: {
      const [, , , , target, attempt] = row;
      return { kind: 'alias', ino, local, base, remote, target: target as Ino, attempt: attemptOf(attempt) };
    }
    default:
      return assertNever(row);
  }
}

function placeRow(place: Place): PlaceRow {
  return [place.parent, place.name];
}

function placeOf(row: PlaceRow): Place {
  return { parent: row[0] as Ino, name: row[1] as Name };
}

function baseRow(base: Base, local: Place | undefined): BaseRow {
  const same = local?.parent === base.parent && local.name === base.name;
  const { etag, size, mtimeMs, gen, sha256 } = base;
  const digest: [Uint8Array?] = sha256 === undefined ? [] : [Buffer.from(sha256, 'hex')];
  return [same ? null : placeRow(base), etag ?? null, size, mtimeMs ?? null, gen, ...digest];
}

function baseOf([row, etag, size, mtimeMs, gen, sha256]: BaseRow, local: Place | undefined): Base {
  const place = row === null ? local : placeOf(row);
  if (place === undefined)
    throw new StateError('damaged', 'A record has a base without a place; nothing was deleted');
  const base: Base = {
    etag: (etag ?? undefined) as ETag | undefined,
    size,
    mtimeMs: mtimeMs ?? undefined,
    parent: place.parent,
    name: place.name,
    gen,
  };
  return sha256 === undefined ? base : { ...base, sha256: Buffer.from(sha256).toString('hex') };
}

function remoteRow(remote: Remote): RemoteRow {
  return remote.kind === 'gone' ? 0 : [remote.etag ?? null, remote.size, remote.mtimeMs ?? null];
}

function remoteOf(row: RemoteRow): Remote {
  if (row === 0) return { kind: 'gone' };
  const [etag, size, mtimeMs] = row;
  return {
    kind: 'version',
    etag: (etag ?? undefined) as ETag | undefined,
    size,
    mtimeMs: mtimeMs ?? undefined,
  };
}

function copyRow({ ino, etag, gen }: CopySource): CopyRow {
  return [ino, etag, gen];
}

function copyOf([ino, etag, gen]: CopyRow): CopySource {
  return { ino: ino as Ino, etag: etag as ETag, gen };
}

function attemptRow(attempt: Attempt | undefined): AttemptRow | null {
  if (attempt === undefined) return null;
  const { place, gen, size, sha256 } = attempt;
  return [place.parent, place.name, gen, size, sha256 ?? null];
}

function attemptOf(row: AttemptRow | null): Attempt | undefined {
  if (row === null) return undefined;
  const [parent, name, gen, size, sha256] = row;
  return { place: placeOf([parent, name]), gen, size, sha256: sha256 ?? undefined };
}

function inodeRow({ mode, uid, gid, atime, mtime, ctime, xattrs }: InodeFields): InodeRow {
  return [mode, uid, gid, atime, mtime, ctime, xattrs === undefined ? null : Object.entries(xattrs)];
}

function withXattrs<T extends InodeRecord>(record: T, xattrs: InodeRow[6]): T {
  return xattrs === null ? record : { ...record, xattrs: Object.fromEntries(xattrs) };
}
