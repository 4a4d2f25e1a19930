/** A short program of the system, with a time limit. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';

const LIMIT_MS = 15_000;
const MAX_CHARS = 4096;

/** Its exit code, null where it was killed or is not there; it never rejects for what the program does. */
export async function runProgram(
  argv: readonly string[],
): Promise<{ readonly code: number | null; readonly stderr: string }> {
  const [command = '', ...args] = argv;
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => {
    stderr = (stderr + chunk).slice(-MAX_CHARS);
  });
  const ended = once(child, 'close').then(
    ([code]) => code as number | null,
    (error: unknown) => {
      stderr = String(error);
      return null;
    },
  );
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<null>((settle) => {
    timer = setTimeout(() => {
      // It may be stuck in the kernel, where not even this reaches it.
      child.kill('SIGKILL');
      child.unref();
      stderr = `${command} did not end within ${LIMIT_MS / 1000} s`;
      settle(null);
    }, LIMIT_MS);
  });
  try {
    return { code: await Promise.race([ended, limit]), stderr };
  } finally {
    clearTimeout(timer);
  }
}
