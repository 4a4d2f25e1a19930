/** The port to a server that keeps files: what the layers above ask of it, in WebDAV's terms but without HTTP. */

import type { Branded, GatedFile, Name } from '../base/index.js';
import type { RemotePath } from './path.js';

/**
 * An entity tag without its `W/` and with its quotes (RFC 9110 section 8.8.3). Two are compared as strings: a tag
 * that was weak a second ago is the same version (mod_dav_fs makes it strong once the file is a second old).
 */
export type ETag = Branded<string, 'ETag'>;

export interface RemoteEntry {
  readonly path: RemotePath;
  readonly name: Name | undefined;
  readonly kind: 'file' | 'dir';
  /** Bytes; 0 for a directory. */
  readonly size: number;
  /** Undefined where the server gives none. */
  readonly etag: ETag | undefined;
  /** Whether the server called the tag weak just now; a weak tag is never sent in If-Match. */
  readonly weak: boolean;
  /** Milliseconds since the epoch; HTTP dates have whole seconds. */
  readonly mtimeMs: number | undefined;
}

/** What a write must find on the server to be carried out. */
export type WriteCondition =
  /** The name is free. */
  | { readonly kind: 'absent' }
  /** The name holds this version. */
  | { readonly kind: 'match'; readonly etag: ETag }
  /** Whatever is there. */
  | { readonly kind: 'any' };

/** A body to upload, opened anew for each attempt. */
export interface UploadBody {
  /** Bytes; sent as Content-Length. */
  readonly size: number;
  /** The bytes in memory where the body is small, else a stream of chunks that yields exactly `size` bytes. */
  open(): Uint8Array | AsyncIterable<Uint8Array>;
}

export interface RequestOptions {
  readonly signal?: AbortSignal;
}

export interface ReadOptions extends RequestOptions {
  /** First byte; 0 when absent. */
  readonly start?: number;
  /** One past the last byte; the end of the file when absent. */
  readonly end?: number;
  /** Refuse any other version with `changed`. */
  readonly etag?: ETag;
}

export interface RemoteBody {
  /** Offset of the first byte of `chunks`: the `start` asked for, or 0 where the server ignores Range. */
  readonly start: number;
  /** Size of the whole resource in bytes, where the server says it. */
  readonly totalSize: number | undefined;
  readonly etag: ETag | undefined;
  readonly chunks: AsyncIterable<Uint8Array>;
}

/** A body on its way into a file of ours. */
export interface RemoteDelivery {
  /** As in {@link RemoteBody}: where in the file the first byte goes. */
  readonly start: number;
  readonly totalSize: number | undefined;
  readonly etag: ETag | undefined;
  /**
   * Writes the body into `file`, once, and resolves when all of it is there; `onProgress` is told what is, range after
   * range, now and then. Rejects with {@link RemoteError}, or with the ErrnoException of pwrite(2). The gate is shut
   * when it settles, whatever the outcome: no byte comes after that.
   */
  saveTo(file: GatedFile, onProgress: (start: number, end: number) => void): Promise<void>;
  /** Gives up a body that is not wanted. */
  abandon(): void;
}

export interface WriteOptions extends RequestOptions {
  readonly condition: WriteCondition;
  readonly onProgress?: (sentBytes: number) => void;
  /** Called just before the last byte goes to the connection: from here on the outcome is open. */
  readonly onSent?: () => void;
}

/**
 * What a write made. The tag is undefined where the answer to PUT carries none; the time is then that of the answer,
 * where it says nothing better.
 */
export interface WriteResult {
  readonly etag: ETag | undefined;
  readonly mtimeMs: number | undefined;
}

/** What the server was found to honour. `undefined` = not tried yet. */
export interface Capabilities {
  /** `If-Match` on PUT, GET, DELETE. */
  readonly ifMatch: boolean | undefined;
  /** `If-None-Match: *` on PUT. */
  readonly ifNoneMatch: boolean | undefined;
  /** Range requests (RFC 9110 section 14). */
  readonly ranges: boolean | undefined;
  /** PROPPATCH of properties of our own. */
  readonly deadProperties: boolean | undefined;
  /** LOCK and UNLOCK (DAV class 2). */
  readonly lock: boolean | undefined;
  /** Whether an answer to PUT carries the new ETag. */
  readonly etagOnPut: boolean | undefined;
}

export interface Quota {
  /** Bytes. */
  readonly used: number;
  /** Bytes still free. */
  readonly available: number;
}

/**
 * A server, as seen from the root of the mount. All methods reject with {@link RemoteError} only. Reads and listings
 * repeat themselves on passing trouble within their deadline; changes never do: whoever asked for one decides, since
 * an unknown outcome has to be looked up first.
 */
export interface RemoteStore {
  readonly capabilities: Capabilities;
  /** Depth 1: the entries of a directory, without itself, in batches as they arrive. */
  list(dir: RemotePath, options?: RequestOptions): AsyncIterable<readonly RemoteEntry[]>;
  /** Depth 0. */
  stat(path: RemotePath, options?: RequestOptions): Promise<RemoteEntry>;
  read(path: RemotePath, options?: ReadOptions): Promise<RemoteBody>;
  /** Like `read`, for a body that goes into a file: its bytes need not pass the calling thread. */
  deliver(path: RemotePath, options?: ReadOptions): Promise<RemoteDelivery>;
  /** Replaces or makes a file, whole. */
  write(path: RemotePath, body: UploadBody, options: WriteOptions): Promise<WriteResult>;
  /** Makes a directory; `exists` when the name is taken. */
  makeDirectory(path: RemotePath, options?: RequestOptions): Promise<void>;
  /** Removes a file, or a directory with all that is in it. `etag`: only this version (files). */
  remove(
    path: RemotePath,
    options?: RequestOptions & { readonly etag?: ETag; readonly directory?: boolean },
  ): Promise<void>;
  /** Renames; `exists` when `overwrite` is false and the target name is taken. */
  move(from: RemotePath, to: RemotePath, options: RequestOptions & MoveOptions): Promise<void>;
  /** Copies on the server. */
  copy(from: RemotePath, to: RemotePath, options: RequestOptions & MoveOptions): Promise<void>;
  /** RFC 4331, undefined where the server has no such properties. */
  quota(options?: RequestOptions): Promise<Quota | undefined>;
  /** Finds out what the server honours, by harmless requests, and remembers it in `capabilities`. */
  probe(options?: RequestOptions): Promise<Capabilities>;
  close(): Promise<void>;
}

export interface MoveOptions {
  readonly overwrite: boolean;
  /** Whether what is moved is a directory: its URL then ends with a slash, as servers want it. */
  readonly directory: boolean;
}
