/**
 * Whether another version of the program can take the place of this one while the mount goes on, asked before anything is
 * given up. The change-over itself is succession.ts's.
 */

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { productVersion, quote, UserError } from '../../base/index.js';
import type { MountSide } from './mount-side.js';
import { ownCommand } from './succession.js';

/** A busy machine takes seconds to start a program. */
const VERSION_LIMIT_MS = 30_000;
const ELSE = 'Unmount, and mount again.';

export interface Versions {
  /** Of this process. */
  readonly from: string;
  /** Of the program on the disk. */
  readonly to: string;
}

/** The part of a mount that decides. */
export type Replaceable = Pick<MountSide, 'handOver' | 'driver' | 'continuity'>;

/** Rejects with UserError 'refused' where the mount would not go on. `command`: of the next program. */
export async function checkUpgrade(
  { handOver, driver, continuity }: Replaceable,
  command: readonly string[] = ownCommand(),
): Promise<Versions> {
  if (handOver === undefined) {
    throw cannot(`its driver, ${driver}, does not give the connection to the kernel away`, ELSE);
  }
  if (continuity.keeper === 'none') {
    throw cannot('nobody keeps the mount while no daemon serves it (see --keeper)', ELSE);
  }
  return { from: productVersion(), to: await versionOf(command) };
}

/** That it says its version shows that it is there, and that this Node runs it. */
async function versionOf(command: readonly string[]): Promise<string> {
  const [program = '', ...args] = command;
  // The words of the command line come after the script.
  const script = args.findIndex((word) => !word.startsWith('-'));
  const asked = [...args.slice(0, script + 1), '--version'];
  try {
    const { stdout } = await promisify(execFile)(program, asked, {
      timeout: VERSION_LIMIT_MS,
      killSignal: 'SIGKILL',
      cwd: '/',
    });
    const version = stdout.trim();
    if (/^\d+\.\d+\.\d+\S*$/.test(version)) return version;
    throw cannot(`${quote(args[script] ?? program)} does not say which version it is`);
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw cannot(
      `${quote(args[script] ?? program)} does not start: ${firstLine(error)}`,
      'Install it again, then try again; the mount goes on as it is.',
      error,
    );
  }
}

function firstLine(error: unknown): string {
  const text = error instanceof Error && 'stderr' in error ? String(error.stderr) : '';
  const line = text.split('\n').find((each) => /\S/.test(each)) ?? String(error);
  return line.slice(0, 300);
}

function cannot(found: string, hint?: string, cause?: unknown): UserError {
  return new UserError('refused', `Cannot replace the program of this mount: ${found}`, hint, { cause });
}
