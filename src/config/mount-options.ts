/**
 * The options of a mount as the daemon takes them: checked, with units in their names, the secrets wrapped. Nothing
 * here looks at the server, the kernel or the mount point.
 */

import { resolve } from 'node:path';
import { type LogFormat, type LogLevel, quote, type Secret, UserError } from '../base/index.js';
import {
  type Driver,
  type KernelIo,
  type OptionName,
  type OptionValues,
  optionSpec,
  type SyncMode,
} from './options.js';
import { defaultCacheDir, logPath, runtimeDir, serverName } from './paths.js';
import type { RequestedOptions } from './requested-options.js';
import {
  findUrl,
  type LineOptions,
  lineOf,
  requestedOptions,
  resolveServer,
  type ServerOptions,
  type ServerRequest,
  type Surroundings,
} from './server-options.js';
import { type OptionTexts, resolveOptions } from './sources.js';

/** What of the options is the mount's alone, and what of it can be read again. */
export type MountPart = Omit<
  MountOptions,
  keyof ServerOptions | 'mountPoint' | 'cacheDir' | 'runtimeDir' | 'source'
>;

/** The options as their sources have them at one moment; of the credentials, only where they are. */
export interface OptionsNow {
  /** As they were given, the default's where none was; those of secrets are left out. */
  readonly texts: OptionTexts;
  readonly values: OptionValues;
  readonly line: LineOptions;
  readonly mount: MountPart;
  readonly logLevel: LogLevel;
  /** Where the cache of this server and user belongs when no option says otherwise. Absolute. */
  readonly defaultCacheDir: string;
}

/** Where the options come from, so that they can be read again while the mount runs. */
export interface OptionSource {
  /** As they were at the start. */
  readonly first: OptionsNow;
  /** `overrides` win over all that there is, the command line included; rejects with {@link UserError}. */
  read(overrides: OptionTexts): Promise<OptionsNow>;
}

export interface MountOptions extends ServerOptions {
  /** Undefined where the options are fixed. */
  readonly source: OptionSource | undefined;
  /** Absolute path. */
  readonly mountPoint: string;
  /** Absolute path. */
  readonly cacheDir: string;
  readonly cacheSizeBytes: number;
  readonly minFreeSpaceBytes: number;
  readonly freshnessMs: number;
  readonly sync: SyncMode;
  readonly uploadDelayMs: number;
  /** How long the end of the mount may wait for the queue. */
  readonly drainTimeoutMs: number;
  readonly readOnly: boolean;
  readonly allowOther: boolean;
  readonly noExec: boolean;
  /** Whether a directory that has files may be mounted on. */
  readonly nonempty: boolean;
  readonly driver: Driver;
  readonly uid: number;
  readonly gid: number;
  /** Permission bits of files that were not made through this mount. */
  readonly fileMode: number;
  readonly dirMode: number;
  /** Undefined: the server's quota, else a large size. */
  readonly volumeSizeBytes: number | undefined;
  /** Absolute path of the directory of the control socket. */
  readonly runtimeDir: string;
  /** Whether someone else holds the kernel's descriptor too, so that the mount outlives the daemon. */
  readonly keeper: boolean;
  /** Who reads and writes files that are on this machine; `auto`: the fastest way that there is here. */
  readonly kernelIo: KernelIo;
  /** Undefined: the kernel's own minor version of the protocol. */
  readonly fuseMinor: number | undefined;
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
): Promise<{
  readonly mount: MountOptions;
  readonly log: LogSettings;
  /** Absolute path; undefined: stderr. */
  readonly logFile: string | undefined;
}> {
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
    source: await optionSource(request, options, surroundings),
    ...mountPart(values),
    mountPoint:
      request.directory === undefined
        ? path('mount-point', mountPoint ?? '')
        : resolve(surroundings.workingDirectory, request.directory),
    cacheDir:
      cacheDir === undefined
        ? defaultCacheDir(url, values.user, surroundings.environment)
        : path('cache-dir', cacheDir),
    runtimeDir:
      values['runtime-dir'] === undefined
        ? runtimeDir(surroundings.environment)
        : path('runtime-dir', values['runtime-dir']),
  };
  const logFile = values['log-file'] === undefined ? undefined : path('log-file', values['log-file']);
  return { mount, log: { level: values['log-level'], format: values['log-format'] }, logFile };
}

/** Where the log of a mount in the background goes: an absolute path. Asks for nothing and runs no command. */
export async function backgroundLogFile(request: MountRequest, surroundings: Surroundings): Promise<string> {
  const options = await requestedOptions(request, surroundings);
  const given = options.values['log-file'];
  if (given !== undefined) return options.path('log-file', given);
  const name = request.profile ?? serverName(findUrl(request, options.values), options.values.user);
  return logPath(name, surroundings.environment);
}

async function optionSource(
  request: MountRequest,
  options: RequestedOptions,
  { environment, workingDirectory }: Surroundings,
): Promise<OptionSource> {
  const now = async (asked: MountRequest, found: RequestedOptions): Promise<OptionsNow> => {
    const { values, texts } = found;
    const line = await lineOf(found, asked);
    return {
      texts: withoutSecrets(texts),
      values,
      line,
      mount: mountPart(values),
      logLevel: values['log-level'],
      defaultCacheDir: defaultCacheDir(new URL(line.url), values.user, environment),
    };
  };
  return {
    first: await now(request, options),
    read: async (overrides) => {
      const { url, ...rest } = request;
      const isElsewhere = overrides.url !== undefined || overrides.node !== undefined;
      const flags = { ...request.flags, ...overrides };
      const asked = { ...rest, ...(isElsewhere || url === undefined ? {} : { url }), flags };
      return await now(asked, await requestedOptions(asked, { environment, workingDirectory }));
    },
  };
}

function withoutSecrets(texts: OptionTexts): OptionTexts {
  const entries = Object.entries(texts) as [OptionName, string][];
  return Object.fromEntries(entries.filter(([name]) => optionSpec(name).secret !== true));
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
    source: undefined,
    url,
    mountPoint,
    cacheDir,
    runtimeDir: runtimeDir(process.env),
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

function mountPart(values: OptionValues): MountPart {
  return {
    cacheSizeBytes: values['cache-size'],
    minFreeSpaceBytes: values['min-free-space'],
    freshnessMs: values.freshness,
    sync: values.sync,
    uploadDelayMs: values['upload-delay'],
    drainTimeoutMs: values['drain-timeout'],
    readOnly: values['read-only'],
    allowOther: values['allow-other'],
    noExec: values.noexec,
    nonempty: values.nonempty,
    driver: values.driver,
    uid: values.uid ?? process.getuid?.() ?? 0,
    gid: values.gid ?? process.getgid?.() ?? 0,
    fileMode: values['file-mode'],
    dirMode: values['dir-mode'],
    volumeSizeBytes: values['volume-size'],
    keeper: values.keeper,
    kernelIo: values['kernel-io'],
    fuseMinor: values['fuse-minor'],
    debugFuse: values['debug-fuse'],
  };
}
