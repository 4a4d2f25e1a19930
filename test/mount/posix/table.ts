/** The whole POSIX table, and the function that runs one case of it in a worker process. */

import fs from 'node:fs';
import { join } from 'node:path';
import { attributeCases } from './attributes.js';
import { makeContext, type PosixTable } from './context.js';
import { dataCases } from './data.js';
import { directoryCases } from './directories.js';
import { linkCases } from './links.js';
import { lockCases } from './locks.js';
import { namespaceCases } from './namespace.js';
import { openCases } from './open.js';
import { renameCases } from './rename.js';

export const POSIX_TABLE: PosixTable = {
  ...openCases,
  ...namespaceCases,
  ...renameCases,
  ...linkCases,
  ...dataCases,
  ...attributeCases,
  ...directoryCases,
  ...lockCases,
};

/** Runs the case `name` in a directory of its own below `base`, and removes that when the case passed. */
export async function runCase(name: string, base: string, number: number): Promise<void> {
  const posixCase = POSIX_TABLE[name];
  if (posixCase === undefined) throw new Error(`no case ${name}`);
  const dir = join(base, `case ${number}`);
  fs.mkdirSync(dir);
  try {
    await posixCase(makeContext(dir));
  } finally {
    fs.rmSync(dir, { recursive: true, force: true });
  }
}
