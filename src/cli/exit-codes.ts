/**
 * The exit codes, which scripts depend on: those of sysexits(3) where one fits, so that service managers name them too.
 * The README's table is made from this one.
 */

import type { UserErrorCode } from '../base/index.js';

export const EXIT_CODES = {
  ok: {
    code: 0,
    meaning: 'Done; for mount: unmounted as asked, changes that were not sent yet are in the cache',
  },
  unexpected: { code: 1, meaning: 'An error of infinimount itself; please report it' },
  usage: {
    code: 64,
    meaning: 'Command line: unknown option, bad value, malformed URL, plain http to another machine',
  },
  cacheContent: {
    code: 65,
    meaning: 'The cache directory is damaged, written by a newer version, or of another server or user',
  },
  mountPoint: { code: 66, meaning: 'The mount point is missing, no directory, not empty, in use or dead' },
  unreachable: { code: 68, meaning: 'No connection to the server' },
  serverTrouble: {
    code: 69,
    meaning:
      'The server answers with an error of its own (HTTP 5xx, too many requests), or doctor finds trouble with it',
  },
  system: { code: 71, meaning: 'No FUSE device, no fusermount3, or the mount was refused or broke' },
  cacheDirectory: {
    code: 73,
    meaning: 'The cache directory cannot be used: not writable, disk full, open to others, in a wrong place',
  },
  cacheBusy: { code: 75, meaning: 'Another mount uses the cache directory' },
  protocol: {
    code: 76,
    meaning: 'What answers is no WebDAV folder, or cannot be trusted (404, web page, redirect, TLS)',
  },
  denied: {
    code: 77,
    meaning: 'The server refuses the user, the password, the token or the API key (401, 403)',
  },
  configuration: {
    code: 78,
    meaning: 'The configuration file, or a file, command or credential that it names, cannot be used',
  },
} as const satisfies Record<string, { readonly code: number; readonly meaning: string }>;

type ExitName = keyof typeof EXIT_CODES;

const EXIT_OF_ERROR: Readonly<Record<UserErrorCode, ExitName>> = {
  usage: 'usage',
  'bad-url': 'usage',
  'plain-http': 'usage',
  'config-file': 'configuration',
  password: 'configuration',
  'ca-file': 'configuration',
  unreachable: 'unreachable',
  tls: 'protocol',
  unauthorized: 'denied',
  forbidden: 'denied',
  'url-not-found': 'protocol',
  'not-webdav': 'protocol',
  'redirect-refused': 'protocol',
  'server-trouble': 'serverTrouble',
  'mount-point-missing': 'mountPoint',
  'mount-point-not-directory': 'mountPoint',
  'mount-point-occupied': 'mountPoint',
  'mount-point-not-empty': 'mountPoint',
  'mount-point-dead': 'mountPoint',
  'mount-point-denied': 'mountPoint',
  'no-fuse-device': 'system',
  'no-fusermount': 'system',
  'mount-refused': 'system',
  'cache-not-writable': 'cacheDirectory',
  'cache-full': 'cacheDirectory',
  'cache-exposed': 'cacheDirectory',
  'cache-placement': 'cacheDirectory',
  'cache-busy': 'cacheBusy',
  'cache-newer': 'cacheContent',
  'cache-foreign': 'cacheContent',
  'cache-damaged': 'cacheContent',
  demo: 'system',
};

export function exitCodeOf(error: UserErrorCode): number {
  return EXIT_CODES[EXIT_OF_ERROR[error]].code;
}
