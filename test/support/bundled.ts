/** Programs of the tests as one JavaScript file each: they start in a third of the time that their sources take. */

import { rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { buildSync } from 'esbuild';
import { PROJECT } from './project.js';

/** One folder below dist, as sources are one below src: paths beside and above a file hold for both. */
const FOLDER = join(PROJECT, 'dist', 'test');

const made = new Map<string, string>();

/** The path of the bundle of `source`, made once in this process and removed at its end. */
export function bundled(source: string): string {
  const before = made.get(source);
  if (before !== undefined) return before;
  const outfile = join(FOLDER, `${basename(source, '.ts')}-${process.pid}.mjs`);
  buildSync({
    entryPoints: [source],
    outfile,
    bundle: true,
    packages: 'external',
    platform: 'node',
    target: 'node20',
    format: 'esm',
    sourcemap: 'inline',
    logLevel: 'warning',
  });
  process.once('exit', () => rmSync(outfile, { force: true }));
  made.set(source, outfile);
  return outfile;
}
