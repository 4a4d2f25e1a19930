/** Where things lie in a user's home (XDG Base Directory Specification), and what paths in the file are relative to. */

import { createHash } from 'node:crypto';
import { homedir, tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';

export type Environment = Readonly<Record<string, string | undefined>>;

const PROGRAM = 'infinimount';

/** The configuration file that is read when a profile is named and no file is: root's is that of the machine. */
export function defaultConfigPath(environment: Environment, uid = process.getuid?.()): string {
  const xdg = xdgBase(environment, 'XDG_CONFIG_HOME');
  const base = xdg ?? (uid === 0 ? '/etc' : join(homeOf(environment), '.config'));
  return join(base, PROGRAM, 'config.toml');
}

/** The file of the OAuth2 tokens of a profile; `name` is a profile's name or another plain file name. */
export function tokenPath(name: string, environment: Environment): string {
  const base = xdgBase(environment, 'XDG_STATE_HOME') ?? join(homeOf(environment), '.local', 'state');
  return join(base, PROGRAM, 'tokens', `${name}.json`);
}

/** The log of a mount in the background; `name` is a profile's name or another plain file name. */
export function logPath(name: string, environment: Environment): string {
  const base = xdgBase(environment, 'XDG_STATE_HOME') ?? join(homeOf(environment), '.local', 'state');
  return join(base, PROGRAM, 'log', `${name}.log`);
}

/** Hexadecimal digits of the hash in a name: 48 bits, for the few servers and mounts of one person. */
const HASH_DIGITS = 12;

function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, HASH_DIGITS);
}

/** A file name for a server and user: the host and a hash of both. */
export function serverName(url: URL, user: string | undefined): string {
  return `${url.hostname.replaceAll(/[^\w.-]/g, '_')}-${hashOf(`${url.href}\n${user ?? ''}`)}`;
}

/** The cache directory of a server and user. */
export function defaultCacheDir(url: URL, user: string | undefined, environment: Environment): string {
  const base = xdgBase(environment, 'XDG_CACHE_HOME') ?? join(homeOf(environment), '.cache');
  return join(base, PROGRAM, serverName(url, user));
}

/**
 * The directory of the control sockets where the option `runtime-dir` names none: that of the service manager
 * (systemd.exec(5), RuntimeDirectory=), that of the machine for root, that of the user's session, and else one below
 * the directory for temporary files. Root's does not follow the session: a service has none, and a mount outlives it.
 */
export function runtimeDir(environment: Environment, uid = process.getuid?.() ?? 0): string {
  // A unit may have several, with a colon between them.
  const ofUnit = environment.RUNTIME_DIRECTORY?.split(':')[0];
  if (ofUnit?.startsWith('/')) return ofUnit;
  if (uid === 0) return join('/run', PROGRAM);
  const ofSession = xdgBase(environment, 'XDG_RUNTIME_DIR');
  return ofSession === undefined ? join(tmpdir(), `${PROGRAM}-${uid}`) : join(ofSession, PROGRAM);
}

/** The control socket of the mount on `mountPoint`, an absolute path without symbolic links. */
export function controlSocketPath(dir: string, mountPoint: string): string {
  return join(dir, `${hashOf(mountPoint)}.sock`);
}

/** A path as the configuration file has it: `~/` is the home directory, others are relative to the file's directory. */
export function pathInConfig(path: string, configPath: string, environment: Environment): string {
  if (path === '~') return homeOf(environment);
  if (path.startsWith('~/')) return join(homeOf(environment), path.slice(2));
  return resolve(dirname(configPath), path);
}

function homeOf(environment: Environment): string {
  return environment.HOME ?? homedir();
}

/** The specification has relative paths ignored. */
function xdgBase(environment: Environment, name: string): string | undefined {
  const value = environment[name];
  return value?.startsWith('/') ? value : undefined;
}
