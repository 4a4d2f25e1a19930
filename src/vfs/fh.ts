/** The numbers of handles. */

import type { Branded } from '../base/index.js';

/** A handle number, never reused within one mount, whichever process serves it. */
export type Fh = Branded<number, 'Fh'>;
