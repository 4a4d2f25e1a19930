/** What the commands say to the person or script that started them: written at once, one line at a time. */

import { writeSync } from 'node:fs';
import { systemErrorCode, UserError } from '../base/index.js';
import { EXIT_CODES, exitCodeOf } from './exit-codes.js';

const STDOUT_FD = 1;
const STDERR_FD = 2;

/** A line on stdout. */
export function say(line: string): void {
  write(STDOUT_FD, `${line}\n`);
}

/** A line on stderr, marked with the program's name. */
export function complain(line: string): void {
  write(STDERR_FD, `infinimount: ${line}\n`);
}

/** The one line that a mount says on stdout, when it is ready. */
export function readyLine({
  url,
  mountPoint,
}: {
  readonly url: string;
  readonly mountPoint: string;
}): string {
  return `infinimount: mounted ${url} on ${mountPoint}`;
}

/** Says what ended a command, and gives the exit code for it. */
export function reportFailure(error: unknown): number {
  if (error instanceof UserError) {
    complain(error.message);
    return exitCodeOf(error.code);
  }
  const detail = error instanceof Error ? (error.stack ?? error.message) : String(error);
  complain(`an error of the program itself, please report it: ${detail}`);
  return EXIT_CODES.unexpected.code;
}

function write(fd: number, text: string): void {
  try {
    writeSync(fd, text);
  } catch (error) {
    const code = systemErrorCode(error);
    // A reader that went away, a terminal that was closed, or a full pipe is no reason to end a mount.
    if (code !== 'EPIPE' && code !== 'EIO' && code !== 'EAGAIN') throw error;
  }
}
