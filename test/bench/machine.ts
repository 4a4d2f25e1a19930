/** What a table of figures was measured on. */

import { cpus, loadavg, release, tmpdir, totalmem } from 'node:os';
import { run } from '../support/exec.js';

export interface Machine {
  readonly lines: readonly string[];
}

/** The first line of what a program says, or that it is not there. */
async function firstLine(argv: readonly string[]): Promise<string> {
  try {
    const { code, stdout, stderr } = await run(argv);
    const line = `${stdout}${stderr}`.split('\n').find((each) => each.trim() !== '');
    return code === 0 && line !== undefined ? line.trim() : 'not installed';
  } catch {
    return 'not installed';
  }
}

export async function describeMachine(): Promise<Machine> {
  const processors = cpus();
  const disk = await firstLine(['findmnt', '-no', 'FSTYPE,SOURCE', '--target', tmpdir()]);
  return {
    lines: [
      `Linux ${release()}, ${processors.length} cores (${processors[0]?.model.trim() ?? 'unknown'}), ${(totalmem() / 2 ** 30).toFixed(0)} GiB`,
      `disk of the caches, of the server's files and of the local directory: ${disk}`,
      `Node ${process.version}`,
      `server: ${await firstLine(['apache2', '-v'])}`,
      await firstLine(['bindfs', '--version']),
      await firstLine(['rclone', 'version']),
      await firstLine(['dpkg-query', '--show', 'davfs2']),
    ],
  };
}

/** How busy the machine was in the last minute. */
export function currentLoad(): number {
  return loadavg()[0] ?? 0;
}
