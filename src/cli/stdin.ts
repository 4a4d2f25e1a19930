/** A secret from stdin, for scripts: it stands in no argument list and no environment. */

import { UserError } from '../base/index.js';

const MAX_BYTES = 64 * 1024;

/** The first line of stdin, which may be the only one; rejects with {@link UserError} where there is none. */
export async function readFirstLine(): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of process.stdin) {
    const part = Buffer.from(chunk);
    chunks.push(part);
    bytes += part.length;
    if (part.includes('\n') || bytes > MAX_BYTES) break;
  }
  const [line = ''] = Buffer.concat(chunks).toString('utf8').split(/\r?\n/, 1);
  if (line !== '' && bytes <= MAX_BYTES) return line;
  throw new UserError(
    'password',
    `Cannot read the secret from stdin: ${line === '' ? 'the first line is empty' : 'it is too long'}`,
  );
}
