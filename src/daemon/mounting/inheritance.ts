/**
 * What a process was given at its start by whoever kept a mount while no daemon ran: the keeper (bin/keeper.sh), systemd's
 * descriptor store (sd_listen_fds(3)), or the daemon before it, which became this one. Only found and named here; what
 * may be done with it is takeover.ts's.
 */

import { createHash } from 'node:crypto';
import { closeSync, readFileSync } from 'node:fs';
import * as z from 'zod';
import { Secret } from '../../base/index.js';

/** Says how to find things: `keeper=PID mount=FD told=FD deaths=N`. */
export const INHERIT_VARIABLE = '_INFINIMOUNT_INHERIT';

const TOLD = z.object({ password: z.string() });

/** The first descriptor that systemd passes. */
const LISTEN_FDS_START = 3;
const MAX_LISTEN_FDS = 1024;
const STORE_PREFIX = 'fuse-';
const HASH_DIGITS = 12;

/** Kept by a keeper: there is one mount. */
export interface KeptMount {
  readonly from: 'keeper';
  /** Undefined where this process was that daemon, and had none. */
  readonly keeperPid: number | undefined;
  readonly fd: number;
  /** Daemons in a row that died before they had served for long. */
  readonly deaths: number;
  /** What was typed or put out by a command when the first daemon started. */
  readonly password: Secret | undefined;
}

/** Kept by systemd: descriptors by the names under which they were stored. */
export interface StoredMounts {
  readonly from: 'systemd';
  readonly fds: ReadonlyMap<string, number>;
}

export type Inheritance = KeptMount | StoredMounts;

type Variables = Record<string, string | undefined>;

/**
 * Takes the inheritance out of `environment`, so that no program which this one starts takes it for its own; undefined
 * where there is none.
 */
export function takeInheritance(environment: Variables, pid = process.pid): Inheritance | undefined {
  const kept = environment[INHERIT_VARIABLE];
  const stored = storedMounts(environment, pid);
  for (const name of [INHERIT_VARIABLE, 'LISTEN_FDS', 'LISTEN_PID', 'LISTEN_FDNAMES'])
    delete environment[name];
  return kept === undefined ? stored : keptMount(kept);
}

/** The name under which systemd keeps the descriptor of a mount. */
export function storeName(mountPoint: string): string {
  return `${STORE_PREFIX}${createHash('sha256').update(mountPoint).digest('hex').slice(0, HASH_DIGITS)}`;
}

/** What a keeper holds for the next daemon, as text; empty for nothing. */
export function encodeTold(password: Secret | undefined): string {
  if (password === undefined) return '';
  const told: z.infer<typeof TOLD> = { password: password.reveal() };
  return JSON.stringify(told);
}

function keptMount(text: string): KeptMount | undefined {
  const fields = new Map<string, number>();
  for (const [, name = '', value = ''] of text.matchAll(/(\w+)=(\d{1,9})(?= |$)/g))
    fields.set(name, Number(value));
  const keeperPid = fields.get('keeper');
  const fd = fields.get('mount');
  if (fd === undefined) return undefined;
  const told = fields.get('told');
  return {
    from: 'keeper',
    keeperPid,
    fd,
    deaths: fields.get('deaths') ?? 0,
    password: told === undefined ? undefined : readTold(told),
  };
}

/** Reads and closes the descriptor; the keeper has its own. */
function readTold(fd: number): Secret | undefined {
  const buffer = readFileSync(`/proc/self/fd/${fd}`);
  closeSync(fd);
  if (buffer.length === 0) return undefined;
  return new Secret(TOLD.parse(JSON.parse(buffer.toString('utf8'))).password);
}

function storedMounts(environment: Variables, pid: number): StoredMounts | undefined {
  const { LISTEN_FDS: count, LISTEN_PID: forPid, LISTEN_FDNAMES: names } = environment;
  if (count === undefined || names === undefined || forPid !== String(pid) || !/^\d{1,4}$/.test(count))
    return undefined;
  const fds = new Map<string, number>();
  for (const [index, name] of names
    .split(':')
    .slice(0, Math.min(Number(count), MAX_LISTEN_FDS))
    .entries()) {
    if (name.startsWith(STORE_PREFIX)) fds.set(name, LISTEN_FDS_START + index);
  }
  return fds.size === 0 ? undefined : { from: 'systemd', fds };
}
