/**
 * A daemon that becomes another program in the same process, so that an upgrade disturbs nobody: process number, terminal,
 * parent and the service manager's view stay, and the mount's descriptor stays open.
 */

import { memoryFile, type Secret } from '../../base/index.js';
import { encodeTold, INHERIT_VARIABLE } from './inheritance.js';

/** What the next program gets. */
export interface Legacy {
  /** The /dev/fuse descriptor. */
  readonly fd: number;
  readonly keeperPid: number | undefined;
  readonly password: Secret | undefined;
}

/** fcntl(2) */
const F_SETFD = 2;

/** The command that this process was started with. */
export function ownCommand(): readonly [string, ...string[]] {
  return [process.execPath, ...process.execArgv, ...process.argv.slice(1)];
}

/**
 * execve(2): on success it does not return, and everything of this process but its descriptors without close-on-exec is
 * gone. Rejects with an ErrnoException.
 */
export async function becomeNext({ fd, keeperPid, password }: Legacy): Promise<never> {
  const { default: koffi } = await import('koffi');
  const lib = koffi.load(null);
  const fcntl = lib.func('int fcntl(int fd, int command, int64_t argument)');
  const execve = lib.func('int execve(const char *path, const char **argv, const char **environment)');
  const told = password === undefined ? undefined : await memoryFile('infinimount', encodeTold(password));
  const inherit = { keeper: keeperPid, mount: fd, told, deaths: 0 };
  const text = Object.entries(inherit).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}=${value}`],
  );
  const environment = { ...process.env, [INHERIT_VARIABLE]: text.join(' ') };
  const words = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
  // Node marks all that it was started with as not to be inherited, its standard streams too.
  for (const kept of [0, 1, 2, fd, ...(told === undefined ? [] : [told])]) fcntl(kept, F_SETFD, 0);
  const command = ownCommand();
  execve(command[0], [...command, null], [...words, null]);
  const errno = koffi.errno();
  throw Object.assign(new Error(`execve: errno ${errno}`), { errno, syscall: 'execve' });
}
