/** Which configuration file a command works on, and what it needs of its surroundings. */

import { resolve } from 'node:path';
import { defaultConfigPath, type Surroundings } from '../config/index.js';

/** The file named by `--config`, else the usual one. */
export function configPathOf(given: string | undefined): string {
  return given === undefined ? defaultConfigPath(process.env) : resolve(process.cwd(), given);
}

/** Of a command that asks nobody. */
export function silentSurroundings(): Surroundings {
  return { environment: process.env, workingDirectory: process.cwd() };
}
