/**
 * The options of a mount as the daemon takes them: checked, with units in their names, the secrets wrapped. Nothing
 * here looks at the server, the kernel or the mount point.
 */

import { resolve } from 'node:path';
import { quote, type Secret, UserError } from '../base/index.js';
import type { LogFormat, LogLevel } from '../observe/index.js';
import type { OptionValues, SyncMode } from './options.js';
import { defaultCacheDir } from './paths.js';
import {
  resolveServer,
  type ServerOptions,
  type ServerRequest,
  type Surroundings,
} from './server-options.js';
import { resolveOptions } from './sources.js';

export interface MountOptions extends ServerOptions {
  /** Absolute path. */
  readonly mountPoint: string;
  /** Absolute path. */
  readonly cacheDir: string;
  readonly cacheSizeBytes: number;
  readonly minFreeSpaceBytes: number;
  readonly freshnessMs: number;
  readonly sync: SyncMode;
  readonly uploadDelayMs: number;
  readonly readOnly: boolean;
  readonly allowOther: boolean;
  /** Whether a directory that has files may be mounted on. */
  readonly nonempty: boolean;
  readonly uid: number;
  readonly gid: number;
  /** Permission bits of files that were not made through this mount. */
  readonly fileMode: number;
  readonly dirMode: number;
  /** Undefined: the server's quota, else a large size. */
  readonly volumeSizeBytes: number | undefined;
  readonly debugFuse: boolean;
}

export interface LogSettings {
  readonly level: LogLevel;
  readonly format: LogFormat;
}

export interface MountRequest extends ServerRequest {
  /** Absent: the profile's mount point. */
  readonly directory?: string;
}

/** What the command line asked for, checked; rejects with {@link UserError}. */
export async function resolveMount(
  request: MountRequest,
  surroundings: Surroundings,
): Promise<{ readonly mount: MountOptions; readonly log: LogSettings }> {
  const { server, options } = await resolveServer(request, surroundings);
  const { values, path } = options;
  const cacheDir = values['cache-dir'];
  const url = new URL(server.url);
  const mountPoint = values['mount-point'];
  if (request.directory === undefined && mountPoint === undefined) {
    throw new UserError(
      'usage',
      request.profile === undefined
        ? 'Cannot mount: the directory to mount on is missing'
        : `Cannot mount the profile ${quote(request.profile)}: the directory to mount on is missing`,
      'Write: infinimount mount PROFILE|URL DIR',
    );
  }
  const mount = {
    ...server,
    ...mountPart(values),
    mountPoint:
      request.directory === undefined
        ? path('mount-point', mountPoint ?? '')
        : resolve(surroundings.workingDirectory, request.directory),
    cacheDir:
      cacheDir === undefined
        ? defaultCacheDir(url, values.user, surroundings.environment)
        : path('cache-dir', cacheDir),
  };
  return { mount, log: { level: values['log-level'], format: values['log-format'] } };
}

/** What has no default. */
export interface MountTarget {
  readonly url: string;
  readonly mountPoint: string;
  readonly cacheDir: string;
  readonly user: string;
  readonly password: Secret;
}

/** The options of a mount of `target` with every other option at its default. */
export function defaultMountOptions({
  url,
  mountPoint,
  cacheDir,
  user,
  password,
}: MountTarget): MountOptions {
  const { values } = resolveOptions({ flags: {}, environment: {} });
  return {
    ...mountPart(values),
    profile: undefined,
    url,
    mountPoint,
    cacheDir,
    credentials: { kind: 'basic', user, password, preemptive: values.preemptive },
    credentialSource: undefined,
    rest: undefined,
    insecureHttp: values['insecure-http'],
    extraCaPem: undefined,
    maxConnections: values['max-connections'],
    connectTimeoutMs: values['connect-timeout'],
    readTimeoutMs: values['read-timeout'],
  };
}

function mountPart(
  values: OptionValues,
): Omit<MountOptions, keyof ServerOptions | 'mountPoint' | 'cacheDir'> {
  return {
    cacheSizeBytes: values['cache-size'],
    minFreeSpaceBytes: values['min-free-space'],
    freshnessMs: values.freshness,
    sync: values.sync,
    uploadDelayMs: values['upload-delay'],
    readOnly: values['read-only'],
    allowOther: values['allow-other'],
    nonempty: values.nonempty,
    uid: values.uid ?? process.getuid?.() ?? 0,
    gid: values.gid ?? process.getgid?.() ?? 0,
    fileMode: values['file-mode'],
    dirMode: values['dir-mode'],
    volumeSizeBytes: values['volume-size'],
    debugFuse: values['debug-fuse'],
  };
}
