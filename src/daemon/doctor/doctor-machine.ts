/** What this machine offers to a mount: the kernel, the device, the helper program, the service manager, the disk. */

import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { release } from 'node:os';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import { quote, UserError } from '../../base/index.js';
import { isStacked } from '../mounting/kernel-io.js';
import { checkKernel, kernelSurroundings, mayMount } from '../preflight/preflight-kernel.js';
import { type Finding, findingsOf } from './doctor-finding.js';

const machine = findingsOf('machine');

const COMMAND_LIMIT_MS = 5_000;
/** Linux 6.9 brought FUSE_PASSTHROUGH and FUSE_NOTIFY_RESEND. */
const PASSTHROUGH_KERNEL: Version = [6, 9];
/** READDIRPLUS, writeback cache and explicit invalidation are older; what is older still is not tested. */
const OLDEST_KERNEL: Version = [5, 4];
/** systemd.service(5): FileDescriptorStorePreserve= came with 254, FileDescriptorStoreMax= with 219. */
const PRESERVING_SYSTEMD = 254;
const STORING_SYSTEMD = 219;

type Version = readonly [number, number];

export interface MachineSurroundings {
  /** As uname(2) says it. */
  readonly kernel: string;
  /** What `systemctl --version` prints; undefined where systemd does not run. */
  readonly systemd: string | undefined;
  readonly privileged: boolean;
}

export async function machineSurroundings(): Promise<MachineSurroundings> {
  return { kernel: release(), systemd: await systemdVersion(), privileged: await mayMount() };
}

/** All of it; rejects for what is no finding only. `cacheDir`: absolute, need not be there. */
export async function examineMachine(cacheDir: string, around: MachineSurroundings): Promise<Finding[]> {
  const disk = await examineDisk(cacheDir);
  return [
    kernel(around),
    await device(around),
    passthrough(around, disk.stacked),
    descriptorStore(around),
    disk.finding,
  ];
}

function kernel({ kernel }: MachineSurroundings): Finding {
  const version = versionOf(kernel);
  const old = version !== undefined && isBefore(version, OLDEST_KERNEL);
  return machine(
    'kernel',
    old ? 'warn' : 'ok',
    `Linux ${kernel}, Node ${process.versions.node}`,
    old ? `It was tried with Linux ${OLDEST_KERNEL.join('.')} and later.` : undefined,
  );
}

async function device({ privileged }: MachineSurroundings): Promise<Finding> {
  try {
    await checkKernel({ privileged, allowOther: false }, kernelSurroundings());
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return machine('fuse', 'bad', error.problem, error.hint);
  }
  return machine(
    'fuse',
    'ok',
    privileged
      ? '/dev/fuse is there, and this process may mount by itself'
      : '/dev/fuse and fusermount3 are there',
  );
}

function passthrough({ kernel, privileged }: MachineSurroundings, stacked: boolean): Finding {
  const version = versionOf(kernel);
  const offered = version !== undefined && !isBefore(version, PASSTHROUGH_KERNEL);
  const figures = { offered, privileged, stacked };
  if (!offered)
    return machine(
      'passthrough',
      'note',
      `Linux ${kernel} has no passthrough`,
      `Linux ${PASSTHROUGH_KERNEL.join('.')} reads cached files at the speed of the disk.`,
      figures,
    );
  if (!privileged)
    return machine(
      'passthrough',
      'note',
      'the kernel has passthrough, and gives it to CAP_SYS_ADMIN only',
      'Mount as root, or by the system unit, for the speed of the disk.',
      figures,
    );
  if (stacked)
    return machine(
      'passthrough',
      'note',
      'the kernel has passthrough, and not for a cache on overlayfs',
      'Put the cache on an ordinary file system with --cache-dir.',
      figures,
    );
  return machine(
    'passthrough',
    'ok',
    'the kernel has passthrough, and gives it to this process',
    undefined,
    figures,
  );
}

function descriptorStore({ systemd }: MachineSurroundings): Finding {
  const version = Number(/\bsystemd (\d+)/.exec(systemd ?? '')?.[1] ?? Number.NaN);
  if (Number.isNaN(version))
    return machine(
      'descriptor-store',
      'note',
      'systemd does not run here: nothing keeps a mount over a crash of its daemon',
      'Mount again after a crash; nothing that was saved is lost.',
    );
  if (version < STORING_SYSTEMD)
    return machine(
      'descriptor-store',
      'note',
      `systemd ${version} has no descriptor store`,
      'Use a newer one.',
    );
  const preserves = version >= PRESERVING_SYSTEMD ? ', also over a stop of the unit' : '';
  return machine('descriptor-store', 'ok', `systemd ${version} keeps descriptors over a crash${preserves}`);
}

async function examineDisk(cacheDir: string): Promise<{ finding: Finding; stacked: boolean }> {
  let at = cacheDir;
  while (!existsSync(at) && dirname(at) !== at) at = dirname(at);
  const { type, bavail, bsize } = await statfs(at);
  const stacked = isStacked(type);
  const freeBytes = bavail * bsize;
  const gigabytes = (freeBytes / 1024 ** 3).toFixed(1);
  const isScarce = freeBytes < 1024 ** 3;
  const finding = machine(
    'cache-disk',
    isScarce ? 'warn' : 'ok',
    `${gigabytes} GiB are free for the cache ${quote(cacheDir)}`,
    isScarce ? 'Free some space, or choose another disk with --cache-dir.' : undefined,
    { freeBytes },
  );
  return { finding, stacked };
}

async function systemdVersion(): Promise<string | undefined> {
  // sd_booted(3)
  if (!existsSync('/run/systemd/system')) return undefined;
  return await promisify(execFile)('systemctl', ['--version'], { timeout: COMMAND_LIMIT_MS }).then(
    ({ stdout }) => stdout,
    () => undefined,
  );
}

function versionOf(text: string): Version | undefined {
  const match = /^(\d+)\.(\d+)/.exec(text);
  return match === null ? undefined : [Number(match[1]), Number(match[2])];
}

function isBefore(one: Version, other: Version): boolean {
  return one[0] < other[0] || (one[0] === other[0] && one[1] < other[1]);
}
