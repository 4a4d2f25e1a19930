/** The one error type of the content layer. What the disk refuses comes as Node's own ErrnoException. */

import type { Ino } from '../base/index.js';

/**
 * - `lost`: a staged file is not on the disk, though the node says that it is
 * - `damaged`: a clean file no longer has the bytes that it was said to have; they were forgotten: fetch them again
 * - `misuse`: called in a way that the interface forbids (reading what is not present, writing to a clean body, ...)
 * - `disk`: the content directory cannot be used; `cause` is the system's error
 */
export type ContentErrorCode = 'lost' | 'damaged' | 'misuse' | 'disk';

export class ContentError extends Error {
  override readonly name = 'ContentError';

  constructor(
    readonly code: ContentErrorCode,
    message: string,
    readonly ino: Ino | undefined,
    options?: { readonly cause?: unknown },
  ) {
    super(message, options);
  }
}
