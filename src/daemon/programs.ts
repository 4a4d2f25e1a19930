/**
 * Programs of the package that are started by their file. Here and in no folder below, since the built program lies one folder
 * below dist: a path from this file holds for both.
 */

import { fileURLToPath } from 'node:url';

export const KEEPER_SCRIPT = fileURLToPath(new URL('../../bin/keeper.sh', import.meta.url));
