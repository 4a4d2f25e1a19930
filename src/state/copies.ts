/** Files whose content is a copy of what the server has under another name. */

import type { ETag } from '../remote/index.js';
import type { CopySource, FileRecord } from './records.js';

/** Where the server can copy the file's present content from; undefined: from nowhere that is known. */
export function copySource(file: FileRecord): CopySource | undefined {
  return file.copyOf?.gen === file.gen ? file.copyOf : undefined;
}

/**
 * The version that a clean body of the file holds (a part of): the base, or that of another file while the server has
 * none of its own. Undefined where the server has neither.
 */
export function cleanVersion(
  file: FileRecord,
): { readonly etag: ETag | undefined; readonly size: number } | undefined {
  if (file.base !== undefined) return file.base;
  const source = copySource(file);
  return source === undefined ? undefined : { etag: source.etag, size: file.size };
}

/** The record with no word of what it is a copy of. */
export function withoutCopy(file: FileRecord): FileRecord {
  if (file.copyOf === undefined) return file;
  const { copyOf: _, ...rest } = file;
  return rest;
}
