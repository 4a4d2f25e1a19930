/**
 * Taking over a mount that an earlier process made: from its descriptor, which someone kept, to a KernelMount. Nothing
 * here touches the mount point, where nobody answers before a session runs.
 */

import { readFile, readlink } from 'node:fs/promises';
import { type KernelMount, type MountMethod, unmountEntry } from './mount.js';
import { allMounts, type MountEntry } from './mountinfo.js';

const DEVICE = '/dev/fuse';

/** Whether `fd` is an open /dev/fuse. */
export async function isFuseDescriptor(fd: number): Promise<boolean> {
  try {
    return (await readlink(`/proc/self/fd/${fd}`)) === DEVICE;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}

/**
 * The `major:minor` of the mount that the descriptor belongs to (fuse_dev_show_fdinfo, fs/fuse/dev.c); undefined on
 * kernels that do not tell.
 */
export async function deviceOfDescriptor(fd: number): Promise<string | undefined> {
  const info = await readFile(`/proc/self/fdinfo/${fd}`, 'utf8');
  const connection = /^fuse_connection:\s*(\d+)$/m.exec(info)?.[1];
  if (connection === undefined) return undefined;
  // The kernel's dev_t, 20 bits of minor number; a mount that no disk carries has major 0.
  const dev = Number(connection);
  return `${Math.floor(dev / 2 ** 20)}:${dev % 2 ** 20}`;
}

/** Where the file system `device` is mounted, the oldest place first. */
export async function mountsOfDevice(device: string): Promise<readonly MountEntry[]> {
  return (await allMounts()).filter((entry) => entry.device === device && entry.type.startsWith('fuse'));
}

/** The mount at its place, with the descriptor of its connection; undefined when it is mounted there no more. */
export async function adoptMount(mount: {
  readonly fd: number;
  readonly mountPoint: string;
  readonly device: string;
  readonly method: MountMethod;
}): Promise<KernelMount | undefined> {
  const { fd, mountPoint, device, method } = mount;
  const entry = (await mountsOfDevice(device)).find((at) => at.mountPoint === mountPoint);
  if (entry === undefined) return undefined;
  return {
    fd,
    method,
    mountPoint,
    device,
    unmount: (how) => unmountEntry(entry, method, how?.lazy ?? false),
  };
}

/** Detaches the file system `device` wherever it is mounted; throws MountError. */
export async function detachDevice(device: string, method: MountMethod): Promise<void> {
  for (const entry of (await mountsOfDevice(device)).toReversed()) await unmountEntry(entry, method, true);
}
