/** A directory on the local disk: what "no wait at all" looks like. */

import type { Tool } from '../types.js';

export const local: Tool = { name: 'local', missing: () => undefined };
