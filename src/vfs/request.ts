/** What the file system knows of the request that it answers; the driver's own object fits. */

import type { Interruptible } from '../base/index.js';

export interface VfsRequest extends Interruptible {
  /** The thread that asks; undefined or 0 where that is not known. */
  readonly pid?: number | undefined;
  /**
   * The request's number. One that is asked again, because the process that was to answer it died, has the same;
   * undefined where that never happens.
   */
  readonly unique?: number | undefined;
  /** Asked again: an earlier process may have carried it out, and nobody knows of an answer. */
  readonly resent?: boolean | undefined;
}
