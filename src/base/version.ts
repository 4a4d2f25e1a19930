/** The version of the product. */

import { createRequire } from 'node:module';

/** As package.json has it, two directories above the compiled file. */
export function productVersion(): string {
  const manifest: unknown = createRequire(import.meta.url)('../../package.json');
  if (typeof manifest === 'object' && manifest !== null && 'version' in manifest)
    return String(manifest.version);
  throw new Error('package.json has no version');
}
