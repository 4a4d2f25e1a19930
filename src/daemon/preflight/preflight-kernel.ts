/** Can this process mount at all? Either it may call mount(2) itself, or `fusermount3` does it for an ordinary user. */

import { constants } from 'node:fs';
import { access, open, readFile, stat } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { quote, systemErrorCode, UserError } from '../../base/index.js';

/** Where to look; tests look elsewhere. */
export interface KernelSurroundings {
  readonly device: string;
  /** Directories of programs. */
  readonly searchPath: readonly string[];
  readonly fuseConf: string;
}

/** Where distributions put the program, whatever `PATH` says. */
const USUAL_DIRECTORIES = ['/usr/bin', '/bin', '/usr/local/bin'];

export function kernelSurroundings(): KernelSurroundings {
  const searchPath = [...(process.env.PATH ?? '').split(delimiter), ...USUAL_DIRECTORIES];
  return { device: '/dev/fuse', searchPath, fuseConf: '/etc/fuse.conf' };
}

/** CAP_SYS_ADMIN in linux/capability.h. */
const CAP_SYS_ADMIN = 21n;

/** Whether this process may call mount(2): the capability, not the user id, decides. */
export async function mayMount(): Promise<boolean> {
  const status = await readFile('/proc/self/status', 'utf8');
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1];
  return effective !== undefined && ((BigInt(`0x${effective}`) >> CAP_SYS_ADMIN) & 1n) === 1n;
}

/** Checks the device, and where the process may not mount by itself, the helper program. */
export async function checkKernel(
  mount: { readonly privileged: boolean; readonly allowOther: boolean },
  surroundings: KernelSurroundings,
): Promise<void> {
  await checkDevice(surroundings.device, mount.privileged);
  if (mount.privileged) return;
  await checkHelper(surroundings.searchPath);
  if (mount.allowOther) await checkAllowOther(surroundings.fuseConf);
}

async function checkDevice(device: string, privileged: boolean): Promise<void> {
  try {
    // fusermount3 opens the device with its own rights: for others it only has to be there.
    if (privileged) await (await open(device, constants.O_RDWR)).close();
    else await stat(device);
  } catch (error) {
    const code = systemErrorCode(error);
    const found =
      code === 'EACCES' || code === 'EPERM'
        ? 'you may not open it'
        : `it is not there (${code ?? String(error)})`;
    throw new UserError(
      'no-fuse-device',
      `Cannot use the kernel's FUSE device ${quote(device)}: ${found}`,
      'Run "modprobe fuse" as root; for a container, start it with "--device /dev/fuse --cap-add SYS_ADMIN".',
      { cause: error },
    );
  }
}

async function checkHelper(directories: readonly string[]): Promise<void> {
  for (const directory of directories) {
    if (await isExecutable(join(directory, 'fusermount3'))) return;
  }
  throw new UserError(
    'no-fusermount',
    'Cannot mount as an ordinary user: the program fusermount3 is not installed',
    'Run: sudo apt-get install fuse3',
  );
}

export async function isExecutable(path: string): Promise<boolean> {
  return await access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}

async function checkAllowOther(fuseConf: string): Promise<void> {
  const lines = await readFile(fuseConf, 'utf8').catch(() => '');
  if (/^\s*user_allow_other\s*$/m.test(lines)) return;
  throw new UserError(
    'mount-refused',
    `Cannot mount with --allow-other: ${fuseConf} does not let ordinary users do that`,
    `Ask the administrator to add the line "user_allow_other" to ${fuseConf}.`,
  );
}
