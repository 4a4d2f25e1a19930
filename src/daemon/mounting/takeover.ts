/**
 * What a new daemon does with a mount that an earlier one left behind: goes on with it, replaces it where that cannot be
 * done without hanging programs for ever, or gives it up where its daemons die again and again. No request waits
 * for the network here, and the mount point itself is not touched: nobody answers there yet.
 */

import { closeSync, readFileSync } from 'node:fs';
import { quote, systemErrorCode, UserError } from '../../base/index.js';
import type { MountOptions } from '../../config/index.js';
import {
  adoptMount,
  detachDevice,
  deviceOfDescriptor,
  isFuseDescriptor,
  type KernelMount,
  MountError,
} from '../../fuse/index.js';
import type { Logger } from '../../observe/index.js';
import type { SdNotify } from '../service/sd-notify.js';
import { type Inheritance, type KeptMount, storeName } from './inheritance.js';
import {
  readSessionRecord,
  removeSessionRecord,
  type SessionRecord,
  writeSessionRecord,
} from './session-record.js';

/**
 * Daemons in a row that may die before they have served for `LONG_ENOUGH_MS`: a daemon that a request kills is started in
 * half a second or more, so that ends within a minute, and a person with `kill -9` is not taken for it.
 */
const MOST_DEATHS = 25;
/** A daemon that served this long proves that the mount can be served. */
export const LONG_ENOUGH_MS = 10_000;

/** A mount that this daemon goes on with. */
export interface Takeover {
  readonly kernel: KernelMount;
  readonly record: SessionRecord;
}

interface Deps {
  readonly logger: Logger;
  readonly notify: SdNotify | undefined;
  readonly nowMs: number;
}

/**
 * Takes over what was inherited, if it is the mount of these options. Undefined: mount as if nothing had been there, which
 * is so by then. Rejects with UserError: `mount-gone` where someone unmounted it meanwhile, `crash-loop` where its
 * daemons keep dying; the mount is released then.
 */
export async function takeOver(
  inheritance: Inheritance,
  options: MountOptions,
  deps: Deps,
): Promise<Takeover | undefined> {
  const record = readRecord(options.cacheDir, deps.logger);
  const fd = descriptorOf(inheritance, record);
  closeOthers(inheritance, fd);
  if (fd === undefined || !(await isFuseDescriptor(fd))) {
    deps.logger.warn({}, 'the mount that an earlier daemon left is none of these options');
    return undefined;
  }
  const device = (await deviceOfDescriptor(fd)) ?? record?.device;
  if (record === undefined || record.device !== device) {
    await replace(inheritance, { fd, device, method: record?.method ?? 'mount', name: undefined }, deps);
    deps.logger.warn({}, 'the mount that an earlier daemon left cannot be gone on with; it is mounted anew');
    return undefined;
  }
  const kernel = await adoptMount({ ...record, fd });
  if (kernel === undefined) return noLongerThere(inheritance, record, fd, deps);
  const deaths = Math.max(record.deaths + 1, inheritance.from === 'keeper' ? inheritance.deaths : 0);
  if (deaths > MOST_DEATHS) {
    await releaseMount({ kernel, record }, options.cacheDir, deps);
    throw new UserError(
      'crash-loop',
      `Cannot go on with the mount on ${quote(record.mountPoint)}: its daemon died ${deaths} times in a row, and it was released`,
      'See the log above, and mount it again.',
    );
  }
  const next: SessionRecord = {
    ...record,
    takeovers: record.takeovers + 1,
    lastTakeoverMs: deps.nowMs,
    deaths,
  };
  saveRecord(options.cacheDir, next, deps.logger);
  return { kernel, record: next };
}

/** Ends the mount of a takeover that did not succeed, so that no program waits for it. Logs what goes wrong. */
export async function releaseMount(
  { kernel, record }: Takeover,
  cacheDir: string,
  { logger, notify }: Pick<Deps, 'logger' | 'notify'>,
): Promise<void> {
  try {
    await kernel.unmount({ lazy: true });
    removeSessionRecord(cacheDir);
  } catch (error) {
    logger.error({ err: error, mountPoint: record.mountPoint }, 'the mount could not be released');
  }
  notify?.removeFd(storeName(record.mountPoint));
  logger.error({ mountPoint: record.mountPoint }, 'the mount was released');
}

/** Ends the keeper from which this daemon inherited: another one has taken its place, or nothing is to be kept. */
export function relieve(inheritance: KeptMount): void {
  const { keeperPid } = inheritance;
  if (keeperPid === undefined) return;
  // The number may be another process's by now.
  if (process.ppid !== keeperPid && parentOf(keeperPid) !== process.pid) return;
  try {
    process.kill(keeperPid, 'SIGTERM');
  } catch (error) {
    if (systemErrorCode(error) !== 'ESRCH') throw error;
  }
}

/** Writes the record; one that cannot be written costs the next daemon the mount, and this one nothing. */
export function saveRecord(cacheDir: string, record: SessionRecord, logger: Logger): void {
  try {
    writeSessionRecord(cacheDir, record);
  } catch (error) {
    logger.warn({ err: error }, 'what a next daemon needs to know of this mount could not be written');
  }
}

function readRecord(cacheDir: string, logger: Logger): SessionRecord | undefined {
  try {
    return readSessionRecord(cacheDir);
  } catch (error) {
    // The claim of the cache directory says what is wrong with it.
    logger.debug({ err: error }, 'there is no record of the mount');
    return undefined;
  }
}

function descriptorOf(inheritance: Inheritance, record: SessionRecord | undefined): number | undefined {
  if (inheritance.from === 'keeper') return inheritance.fd;
  return record === undefined ? undefined : inheritance.fds.get(storeName(record.mountPoint));
}

/** Mounts of the same unit that are not this one's: without a daemon that knows them they are dead. */
function closeOthers(inheritance: Inheritance, mine: number | undefined): void {
  if (inheritance.from === 'keeper') return;
  for (const fd of inheritance.fds.values()) if (fd !== mine) closeSync(fd);
}

/** Someone unmounted it while no daemon ran. A keeper's daemon was not asked for by anyone, so it ends. */
function noLongerThere(
  inheritance: Inheritance,
  record: SessionRecord,
  fd: number,
  { notify }: Deps,
): undefined {
  closeSync(fd);
  notify?.removeFd(storeName(record.mountPoint));
  if (inheritance.from === 'systemd') return undefined;
  throw new UserError(
    'mount-gone',
    `The mount on ${quote(record.mountPoint)} was unmounted while its daemon was not there`,
  );
}

/** Ends the old mount for good, so that whoever waits for it gets an error, and its place is free. */
async function replace(
  inheritance: Inheritance,
  old: {
    readonly fd: number;
    readonly device: string | undefined;
    readonly method: KernelMount['method'];
    readonly name: string | undefined;
  },
  { logger, notify }: Deps,
): Promise<void> {
  if (inheritance.from === 'keeper') relieve(inheritance);
  else if (notify !== undefined) for (const name of inheritance.fds.keys()) notify.removeFd(name);
  closeSync(old.fd);
  if (old.device === undefined) return;
  try {
    await detachDevice(old.device, old.method);
  } catch (error) {
    if (!(error instanceof MountError)) throw error;
    logger.error({ err: error }, 'the old mount could not be detached');
  }
}

/** Of a process; undefined when there is none. */
function parentOf(pid: number): number | undefined {
  try {
    // The command in brackets may hold anything (proc_pid_stat(5)).
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ');
    return Number(fields?.[1]);
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT' || systemErrorCode(error) === 'ESRCH') return undefined;
    throw error;
  }
}
