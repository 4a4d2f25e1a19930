/**
 * The options of a mount as the daemon takes them: checked, with units in their names, the secrets wrapped. Nothing
 * here looks at the server, the kernel or the mount point.
 */

import { createHash } from 'node:crypto';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { quote, Secret, UserError } from '../base/index.js';
import type { LogFormat, LogLevel } from '../observe/index.js';
import { readConfigFile } from './config-file.js';
import type { OptionValues, SyncMode } from './options.js';
import { readPrivateFile } from './private-file.js';
import { checkServerUrl } from './server-url.js';
import { type OptionTexts, resolveOptions } from './sources.js';

export interface Credentials {
  readonly user: string;
  readonly password: Secret;
}

export interface MountOptions {
  /** http or https, without credentials, ending in a slash. */
  readonly url: string;
  /** Absolute path. */
  readonly mountPoint: string;
  /** Undefined: requests carry no authentication. */
  readonly credentials: Credentials | undefined;
  readonly insecureHttp: boolean;
  /** Certificates to trust besides the system's, PEM. */
  readonly extraCaPem: string | undefined;
  readonly maxConnections: number;
  readonly connectTimeoutMs: number;
  readonly readTimeoutMs: number;
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

/** The surroundings of the process, so that tests need not change them. */
export interface Surroundings {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly workingDirectory: string;
  /** Asks a person for the password; undefined where nobody can be asked. */
  readonly askPassword?: (question: string) => Promise<string>;
}

export interface MountRequest {
  readonly url: string;
  readonly directory: string;
  readonly configFile?: string;
  readonly flags: OptionTexts;
}

/** What the command line asked for, checked; rejects with {@link UserError}. */
export async function resolveMount(
  request: MountRequest,
  surroundings: Surroundings,
): Promise<{ readonly mount: MountOptions; readonly log: LogSettings }> {
  const absolute = (path: string) => resolve(surroundings.workingDirectory, path);
  const { environment } = surroundings;
  const file =
    request.configFile === undefined ? undefined : await readConfigFile(absolute(request.configFile));
  const values = resolveOptions({
    flags: request.flags,
    environment,
    ...(file === undefined ? {} : { file }),
  });
  const url = checkServerUrl(request.url, { insecureHttp: values['insecure-http'] });
  const caFile = values['ca-file'];
  const cacheDir = values['cache-dir'];
  const mount = fromValues(values, {
    url: url.href,
    mountPoint: absolute(request.directory),
    cacheDir: cacheDir === undefined ? defaultCacheDir(url, values.user, environment) : absolute(cacheDir),
    credentials: await findCredentials(values, url, file?.password, surroundings),
    extraCaPem: caFile === undefined ? undefined : await readCaFile(absolute(caFile)),
  });
  return { mount, log: { level: values['log-level'], format: values['log-format'] } };
}

/** What is no mere value of an option: it was read, asked for or derived. */
type MountTarget = Pick<MountOptions, 'url' | 'mountPoint' | 'cacheDir' | 'credentials' | 'extraCaPem'>;

/** The options of a mount of `target` with every other option at its default. */
export function defaultMountOptions(target: Omit<MountTarget, 'extraCaPem'>): MountOptions {
  return fromValues(resolveOptions({ flags: {}, environment: {} }), { ...target, extraCaPem: undefined });
}

function fromValues(values: OptionValues, target: MountTarget): MountOptions {
  return {
    ...target,
    insecureHttp: values['insecure-http'],
    maxConnections: values['max-connections'],
    connectTimeoutMs: values['connect-timeout'],
    readTimeoutMs: values['read-timeout'],
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

async function findCredentials(
  values: OptionValues,
  url: URL,
  passwordInConfig: Secret | undefined,
  { workingDirectory, askPassword }: Surroundings,
): Promise<Credentials | undefined> {
  const { user } = values;
  const passwordFile = values['password-file'];
  if (user === undefined) {
    if (passwordFile === undefined && passwordInConfig === undefined) return undefined;
    throw new UserError('usage', 'Cannot use the password: no user name was given', 'Add --user USER.');
  }
  if (user.includes(':')) {
    throw new UserError(
      'usage',
      `Cannot use --user ${quote(user)}: a user name has no ":" (RFC 7617 section 2)`,
    );
  }
  if (passwordFile !== undefined)
    return { user, password: await readPassword(resolve(workingDirectory, passwordFile)) };
  if (passwordInConfig !== undefined) return { user, password: passwordInConfig };
  if (askPassword === undefined) {
    throw new UserError(
      'password',
      `Cannot log in as ${quote(user)}: there is no password and no terminal to ask on`,
      'Use --password-file FILE.',
    );
  }
  const answer = await askPassword(`Password of ${user} on ${url.host}: `);
  if (answer === '')
    throw new UserError('password', `Cannot log in as ${quote(user)}: the password is empty`);
  return { user, password: new Secret(answer) };
}

async function readPassword(path: string): Promise<Secret> {
  const file = await readPrivateFile(path, { role: 'password file', code: 'password' });
  file.requirePrivate();
  const [firstLine = ''] = file.text.split(/\r?\n/, 1);
  if (firstLine !== '') return new Secret(firstLine);
  throw new UserError('password', `Cannot use the password file ${quote(path)}: its first line is empty`);
}

async function readCaFile(path: string): Promise<string> {
  const { text } = await readPrivateFile(path, { role: 'CA file', code: 'ca-file' });
  if (text.includes('-----BEGIN CERTIFICATE-----')) return text;
  throw new UserError('ca-file', `Cannot use the CA file ${quote(path)}: there is no PEM certificate in it`);
}

/** Hexadecimal digits of the hash in a cache directory's name: 48 bits, for the few servers of one person. */
const CACHE_HASH_DIGITS = 12;

/** The cache directory of a server and user, named by the host and a hash of both (XDG Base Directory Specification). */
export function defaultCacheDir(
  url: URL,
  user: string | undefined,
  environment: Readonly<Record<string, string | undefined>>,
): string {
  const xdg = environment.XDG_CACHE_HOME;
  // The specification has relative paths ignored.
  const base = xdg?.startsWith('/') ? xdg : join(environment.HOME ?? homedir(), '.cache');
  const hash = createHash('sha256')
    .update(`${url.href}\n${user ?? ''}`)
    .digest('hex')
    .slice(0, CACHE_HASH_DIGITS);
  return join(base, 'infinimount', `${url.hostname.replaceAll(/[^\w.-]/g, '_')}-${hash}`);
}
