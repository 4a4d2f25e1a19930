/**
 * The one table of the options of a mount and of the account behind it. From it come the flags of the command line, the environment variables, the
 * keys of the configuration file, `--help`, the shell completion and the README's table.
 */

import { LOG_FORMATS, LOG_LEVELS } from '../base/index.js';
import {
  bytes,
  choice,
  duration,
  flag,
  integer,
  mode,
  type OptionSpec,
  path,
  secret,
  text,
} from './option-kinds.js';

export const SYNC_MODES = ['write-back', 'write-through'] as const;
export type SyncMode = (typeof SYNC_MODES)[number];

/** `kernel`: the kernel's FUSE protocol, spoken directly; `fuse-native`: libfuse 2 by the npm package of that name. */
export const DRIVERS = ['kernel', 'fuse-native'] as const;
export type Driver = (typeof DRIVERS)[number];
export const KERNEL_IO = ['auto', 'passthrough', 'writeback', 'daemon'] as const;
export type KernelIo = (typeof KERNEL_IO)[number];

export const AUTH_KINDS = ['basic', 'oauth2', 'token-command'] as const;
export type AuthKind = (typeof AUTH_KINDS)[number];

export const API_KEY_PLACEMENTS = ['header', 'matrix'] as const;
export type ApiKeyPlacement = (typeof API_KEY_PLACEMENTS)[number];

export const GRANTS = ['device', 'authorization-code', 'client-credentials', 'refresh-token'] as const;
export type Grant = (typeof GRANTS)[number];

/** 128 bits in upper-case hexadecimal digits, as InfiniCLOUD writes its API keys. */
export const API_KEY = {
  test: (given: string) => /^[0-9A-F]{32}$/.test(given),
  wanted: 'it must be 32 hexadecimal digits in upper case',
};

/** 2^32 - 2: the largest id; 2^32 - 1 means "no id" to chown(2). */
const MAX_ID = 4_294_967_294;

/** The versions of the FUSE protocol that the driver speaks, 7.N. */
const FUSE_OLDEST_MINOR = 31;
const FUSE_NEWEST_MINOR = 45;

export const OPTIONS = {
  url: text({
    group: 'Account',
    applies: 'live',
    metavar: 'URL',
    where: 'file',
    help: 'Folder on the server',
    defaultHelp: 'https://NODE/dav/, or https://NODE/v2/dav/ with OAuth2',
  }),
  node: text({
    group: 'Account',
    applies: 'live',
    metavar: 'HOST',
    where: 'file',
    help: 'Node of an InfiniCLOUD account, found by login; instead of url',
    defaultHelp: 'none',
  }),
  user: text({
    group: 'Account',
    applies: 'new-daemon',
    metavar: 'USER',
    help: 'User name on the server',
    defaultHelp: 'no authentication',
  }),
  password: secret({
    group: 'Account',
    applies: 'credentials',
    metavar: 'TEXT',
    help: 'The password itself',
    defaultHelp: 'none',
  }),
  'password-file': path({
    group: 'Account',
    applies: 'credentials',
    completes: 'file',
    help: 'File whose first line is the password; only you may be able to read it (chmod 600)',
    defaultHelp: 'asked for on a terminal',
  }),
  'password-command': text({
    group: 'Account',
    applies: 'credentials',
    metavar: 'COMMAND',
    help: 'Shell command that prints the password as its first line, within 30 seconds',
    defaultHelp: 'none',
  }),
  'password-credential': text({
    group: 'Account',
    applies: 'credentials',
    metavar: 'NAME',
    help: 'Name of the systemd credential that is the password (LoadCredential=, in $CREDENTIALS_DIRECTORY)',
    defaultHelp: 'none',
  }),
  auth: choice(AUTH_KINDS, {
    group: 'Account',
    applies: 'new-daemon',
    defaultText: 'basic',
    help: 'How to log in: with user and password, with OAuth2, or with tokens that a command prints',
  }),
  preemptive: flag({
    group: 'Account',
    applies: 'credentials',
    defaultText: 'true',
    help: 'Send user and password with the first request already, rather than when the server asks',
  }),
  'token-command': text({
    group: 'Account',
    applies: 'credentials',
    metavar: 'COMMAND',
    help: 'Shell command that prints an access token; for auth token-command',
    defaultHelp: 'none',
  }),
  api: text({
    group: 'Account',
    applies: 'credentials',
    metavar: 'URL',
    defaultText: 'https://api.teracloud.jp',
    help: 'Host of the InfiniCLOUD REST API, which login asks for the node',
  }),
  'api-key': secret({
    group: 'Account',
    applies: 'credentials',
    metavar: 'KEY',
    form: API_KEY,
    help: 'API key of the InfiniCLOUD REST API, for the capacity in df',
    defaultHelp: 'none: the REST API is not used',
  }),
  'api-key-file': path({
    group: 'Account',
    applies: 'credentials',
    completes: 'file',
    help: 'File whose first line is the API key',
    defaultHelp: 'none',
  }),
  'api-key-placement': choice(API_KEY_PLACEMENTS, {
    group: 'Account',
    applies: 'credentials',
    defaultText: 'header',
    help: 'Where the API key goes: into headers, or as a matrix parameter into the URL',
  }),
  issuer: text({
    group: 'OAuth2',
    applies: 'credentials',
    section: 'oauth2',
    metavar: 'URL',
    help: 'OAuth2 server, asked for its endpoints (RFC 8414)',
    defaultHelp: 'the endpoints are given',
  }),
  'token-endpoint': text({
    group: 'OAuth2',
    applies: 'credentials',
    section: 'oauth2',
    metavar: 'URL',
    help: 'Where tokens are fetched; instead of issuer',
    defaultHelp: 'as the issuer says',
  }),
  'device-authorization-endpoint': text({
    group: 'OAuth2',
    applies: 'credentials',
    section: 'oauth2',
    metavar: 'URL',
    help: 'Where a device login begins (RFC 8628); instead of issuer',
    defaultHelp: 'as the issuer says',
  }),
  'authorization-endpoint': text({
    group: 'OAuth2',
    applies: 'credentials',
    section: 'oauth2',
    metavar: 'URL',
    help: 'Where a browser login begins; instead of issuer',
    defaultHelp: 'as the issuer says',
  }),
  'client-id': text({
    group: 'OAuth2',
    applies: 'credentials',
    section: 'oauth2',
    metavar: 'ID',
    help: 'Name of this program at the OAuth2 server',
    defaultHelp: 'none',
  }),
  'client-secret': secret({
    group: 'OAuth2',
    applies: 'credentials',
    section: 'oauth2',
    metavar: 'TEXT',
    help: 'Secret of this program at the OAuth2 server, where it has one',
    defaultHelp: 'none',
  }),
  'client-secret-file': path({
    group: 'OAuth2',
    applies: 'credentials',
    section: 'oauth2',
    completes: 'file',
    help: 'File whose first line is the client secret; only you may be able to read it',
    defaultHelp: 'none',
  }),
  scope: text({
    group: 'OAuth2',
    applies: 'credentials',
    section: 'oauth2',
    metavar: 'SCOPE',
    help: 'What to ask access to',
    defaultHelp: 'what the server gives by itself',
  }),
  grant: choice(GRANTS, {
    group: 'OAuth2',
    applies: 'credentials',
    section: 'oauth2',
    defaultText: 'device',
    help: 'How login gets the first tokens; refresh-token: it is given one',
  }),
  'insecure-http': flag({
    group: 'Connection',
    applies: 'live',
    help: 'Accept plain http to another machine: password and files then cross the network readable by anyone',
  }),
  'ca-file': path({
    group: 'Connection',
    applies: 'live',
    completes: 'file',
    help: 'PEM file with certificates to trust in addition to those of the system',
    defaultHelp: 'none',
  }),
  'max-connections': integer({
    group: 'Connection',
    applies: 'live',
    min: 1,
    max: 64,
    defaultText: '16',
    help: 'Requests that may run at the same time',
  }),
  'connect-timeout': duration({
    group: 'Connection',
    applies: 'live',
    bareUnit: 's',
    min: 100,
    max: 3_600_000,
    defaultText: '10s',
    help: 'How long to wait for a connection',
  }),
  'read-timeout': duration({
    group: 'Connection',
    applies: 'live',
    bareUnit: 's',
    min: 100,
    max: 3_600_000,
    defaultText: '60s',
    help: 'How long the server may be silent within an answer',
  }),
  'cache-dir': path({
    group: 'Cache',
    applies: 'new-daemon',
    completes: 'directory',
    help: 'Where files and unsent changes are kept; one directory for each server and user',
    defaultHelp: 'a directory for the server below ~/.cache/infinimount',
  }),
  'cache-size': bytes({
    group: 'Cache',
    applies: 'live',
    min: '16M',
    defaultText: '10G',
    help: 'Disk space for copies of files; unsent changes are kept whatever they take',
  }),
  'min-free-space': bytes({
    group: 'Cache',
    applies: 'live',
    defaultText: '1G',
    help: 'Disk space to leave free: copies are dropped rather than going below',
  }),
  freshness: duration({
    group: 'Cache',
    applies: 'live',
    bareUnit: 's',
    defaultText: '30s',
    help: 'How long a directory listing counts as fresh; an older one is shown at once and refreshed behind',
  }),
  sync: choice(SYNC_MODES, {
    group: 'Cache',
    applies: 'live',
    defaultText: 'write-back',
    help: 'write-through: close, mkdir, rename and unlink wait until the server has the change',
  }),
  'upload-delay': duration({
    group: 'Cache',
    applies: 'live',
    bareUnit: 'ms',
    max: 3_600_000,
    defaultText: '250ms',
    help: 'How long a changed file rests before it is sent',
  }),
  'drain-timeout': duration({
    group: 'Cache',
    applies: 'new-daemon',
    bareUnit: 's',
    max: 86_400_000,
    defaultText: '0s',
    help: 'How long the end of a mount may wait for changes to be sent; what is left then stays in the cache',
  }),
  'mount-point': path({
    group: 'Mount',
    applies: 'new-daemon',
    completes: 'directory',
    where: 'file',
    help: 'Directory to mount on when the command line names none',
    defaultHelp: 'none',
  }),
  'read-only': flag({ group: 'Mount', applies: 'live', help: 'Refuse every change' }),
  'allow-other': flag({
    group: 'Mount',
    applies: 'new-mount',
    help: 'Let other users of this machine use the mount (ordinary users need user_allow_other in /etc/fuse.conf)',
  }),
  noexec: flag({
    group: 'Mount',
    applies: 'new-mount',
    help: 'Let no program be started from the mount',
  }),
  nonempty: flag({
    group: 'Mount',
    applies: 'new-mount',
    help: 'Mount on a directory that has files, hiding them meanwhile',
  }),
  driver: choice(DRIVERS, {
    group: 'Mount',
    applies: 'new-daemon',
    defaultText: 'kernel',
    help: 'fuse-native: mount through libfuse 2, with the limits that SEMANTICS.md lists',
  }),
  'kernel-io': choice(KERNEL_IO, {
    group: 'Mount',
    applies: 'new-mount',
    defaultText: 'auto',
    help: 'Who reads and writes what is on this machine: the kernel in the files of the cache, through its own cache, or the daemon',
  }),
  uid: integer({
    group: 'Mount',
    applies: 'live',
    min: 0,
    max: MAX_ID,
    help: 'Owner of the files',
    defaultHelp: 'you',
  }),
  gid: integer({
    group: 'Mount',
    applies: 'live',
    min: 0,
    max: MAX_ID,
    help: 'Group of the files',
    defaultHelp: 'your group',
  }),
  'file-mode': mode({
    group: 'Mount',
    applies: 'live',
    defaultText: '644',
    help: 'Permissions of files that were not made here',
  }),
  'dir-mode': mode({
    group: 'Mount',
    applies: 'live',
    defaultText: '755',
    help: 'Permissions of directories that were not made here',
  }),
  'volume-size': bytes({
    group: 'Mount',
    applies: 'live',
    min: '1M',
    help: 'Size that df shows where the server tells none',
    defaultHelp: 'a large size',
  }),
  keeper: flag({
    group: 'Mount',
    applies: 'new-daemon',
    defaultText: 'true',
    help: 'Let the mount outlive a daemon that dies: a tiny process, or systemd, starts another, and open files stay',
  }),
  'fuse-minor': integer({
    group: 'Mount',
    applies: 'new-mount',
    min: FUSE_OLDEST_MINOR,
    max: FUSE_NEWEST_MINOR,
    help: 'Use the FUSE protocol as an older kernel has it, up to this minor version',
    defaultHelp: "the kernel's",
  }),
  'runtime-dir': path({
    group: 'Control',
    applies: 'new-daemon',
    completes: 'directory',
    help: 'Directory of the control socket, which only you may be able to enter',
    defaultHelp: 'infinimount in $XDG_RUNTIME_DIR, for root in /run',
  }),
  'log-level': choice(LOG_LEVELS, {
    group: 'Log',
    applies: 'live',
    defaultText: 'info',
    help: 'Least severity that is logged',
  }),
  'log-format': choice(LOG_FORMATS, {
    group: 'Log',
    applies: 'new-daemon',
    defaultText: 'auto',
    help: 'auto: readable lines on a terminal, JSON lines otherwise',
  }),
  'log-file': path({
    group: 'Log',
    applies: 'new-daemon',
    completes: 'file',
    help: 'File that the log is appended to; only you can read it',
    defaultHelp: 'stderr; with --background a file in ~/.local/state/infinimount/log',
  }),
  'debug-fuse': flag({
    group: 'Log',
    applies: 'live',
    help: 'Print every request of the kernel and its reply',
  }),
} as const satisfies Record<string, OptionSpec<unknown>>;

export type OptionName = keyof typeof OPTIONS;

type ValueOf<S> = S extends { readonly defaultText: string }
  ? S extends OptionSpec<infer T>
    ? T
    : never
  : S extends OptionSpec<infer T>
    ? T | undefined
    : never;

/** The value of every option; undefined where an option without default is absent. */
export type OptionValues = { readonly [K in OptionName]: ValueOf<(typeof OPTIONS)[K]> };

export const OPTION_NAMES = Object.keys(OPTIONS) as readonly OptionName[];

export function isOptionName(name: string): name is OptionName {
  return Object.hasOwn(OPTIONS, name);
}

/** The spec of an option without the type of its value, for those who only describe it. */
export function optionSpec(name: OptionName): OptionSpec<unknown> {
  return OPTIONS[name];
}

/** The options that have a flag on the command line and a variable in the environment. */
export const FLAG_NAMES: readonly OptionName[] = OPTION_NAMES.filter(
  (name) => optionSpec(name).where === undefined,
);

/** The environment variable of an option: `cache-dir` is `INFINIMOUNT_CACHE_DIR`. */
export function environmentName(name: OptionName): string {
  return `INFINIMOUNT_${name.toUpperCase().replaceAll('-', '_')}`;
}

/** Options that are different ways to say one thing: one of each group at most. */
export const OPTION_GROUPS_OF_ONE: readonly (readonly OptionName[])[] = [
  ['url', 'node'],
  ['password', 'password-file', 'password-command', 'password-credential'],
  ['api-key', 'api-key-file'],
  ['client-secret', 'client-secret-file'],
];
