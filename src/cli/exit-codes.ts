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
  noMount: { code: 67, meaning: 'No mount runs, or none of that name or with that path in it' },
  unreachable: { code: 68, meaning: 'No connection to the server' },
  serverTrouble: {
    code: 69,
    meaning:
      'The server answers with an error of its own (HTTP 5xx, too many requests), or doctor finds trouble with it',
  },
  notAnswering: { code: 70, meaning: 'The daemon of the mount does not answer' },
  system: { code: 71, meaning: 'No FUSE device, no fusermount3, or the mount was refused or broke' },
  refused: {
    code: 72,
    meaning: 'The running mount refuses what was asked: no such path, not possible now, in use',
  },
  cacheDirectory: {
    code: 73,
    meaning: 'The cache directory cannot be used: not writable, disk full, open to others, in a wrong place',
  },
  unfinished: {
    code: 74,
    meaning:
      'flush, unmount: the time was over, or the wait was broken off, before everything was on the server',
  },
  cacheBusy: { code: 75, meaning: 'Another mount uses the cache directory' },
  protocol: {
    code: 76,
    meaning: 'What answers is no WebDAV folder, or cannot be trusted (404, web page, redirect, TLS)',
  },
  denied: {
    code: 77,
    meaning:
      "The server refuses the user, the password, the token or the API key (401, 403), or the mount is another user's",
  },
  configuration: {
    code: 78,
    meaning: 'The configuration file, or a file, command or credential that it names, cannot be used',
  },
  crashLoop: {
    code: 79,
    meaning: 'The daemon of a mount died again and again; the mount was released',
  },
  serverFull: { code: 80, meaning: 'flush --if-possible: the server has no room for what is waiting' },
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
  'server-full': 'serverFull',
  'mount-point-missing': 'mountPoint',
  'mount-point-not-directory': 'mountPoint',
  'mount-point-occupied': 'mountPoint',
  'mount-point-not-empty': 'mountPoint',
  'mount-point-dead': 'mountPoint',
  'mount-point-denied': 'mountPoint',
  'no-fuse-device': 'system',
  'no-fusermount': 'system',
  'no-libfuse': 'system',
  'mount-refused': 'system',
  'cache-not-writable': 'cacheDirectory',
  'cache-full': 'cacheDirectory',
  'cache-exposed': 'cacheDirectory',
  'cache-placement': 'cacheDirectory',
  'cache-busy': 'cacheBusy',
  'cache-newer': 'cacheContent',
  'cache-foreign': 'cacheContent',
  'cache-damaged': 'cacheContent',
  'control-socket': 'system',
  'no-mount': 'noMount',
  'not-answering': 'notAnswering',
  'control-denied': 'denied',
  refused: 'refused',
  unfinished: 'unfinished',
  'mount-busy': 'refused',
  background: 'system',
  'crash-loop': 'crashLoop',
  'mount-gone': 'ok',
  'service-manager': 'system',
  demo: 'system',
};

export function exitCodeOf(error: UserErrorCode): number {
  return EXIT_CODES[EXIT_OF_ERROR[error]].code;
}

export function isUserErrorCode(code: string): code is UserErrorCode {
  return Object.hasOwn(EXIT_OF_ERROR, code);
}
