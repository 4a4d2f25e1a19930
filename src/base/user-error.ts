/**
 * The error of everything that a person can put right: a wrong option, a server that says no, a mount point in use.
 * It is shown as one line and never with a stack. What it means for the exit code is decided by the command line.
 */

/** What was found, as scripts and exit codes tell it apart. */
export type UserErrorCode =
  /** The command line or an environment variable: unknown option, bad value, missing argument. */
  | 'usage'
  | 'bad-url'
  /** Plain http to a host that is not this machine. */
  | 'plain-http'
  /** The configuration file: unreadable, no TOML, unknown key, bad value, open to others. */
  | 'config-file'
  /** The password file: missing, empty, open to others; or no password at all. */
  | 'password'
  | 'ca-file'
  | 'unreachable'
  | 'tls'
  | 'unauthorized'
  | 'forbidden'
  | 'url-not-found'
  | 'not-webdav'
  | 'redirect-refused'
  /** The server answers, but not as it should at the moment: 5xx, throttled, too slow. */
  | 'server-trouble'
  | 'server-full'
  | 'mount-point-missing'
  | 'mount-point-not-directory'
  | 'mount-point-occupied'
  | 'mount-point-not-empty'
  | 'mount-point-dead'
  /** The user may not mount there. */
  | 'mount-point-denied'
  | 'no-fuse-device'
  | 'no-fusermount'
  /** What the driver fuse-native needs is not installed, or not for this machine. */
  | 'no-libfuse'
  /** The kernel or fusermount3 refused the mount for another reason. */
  | 'mount-refused'
  | 'cache-not-writable'
  | 'cache-full'
  | 'cache-busy'
  | 'cache-newer'
  /** The cache belongs to another server or user. */
  | 'cache-foreign'
  | 'cache-damaged'
  /** Others can look into the cache directory, or it is another user's. */
  | 'cache-exposed'
  /** The cache directory and the mount point lie within each other. */
  | 'cache-placement'
  /** The control socket cannot be made: its directory, its path, or another daemon on it. */
  | 'control-socket'
  /** No daemon runs, or none of that name. */
  | 'no-mount'
  /** A daemon is there and does not answer, or not as it should. */
  | 'not-answering'
  /** The control socket is another user's. */
  | 'control-denied'
  /** The daemon refuses what was asked: no such path, not possible in its state. */
  | 'refused'
  /** The time was over, or the wait was broken off, before everything was on the server. */
  | 'unfinished'
  /** The mount cannot be taken away: programs use it. */
  | 'mount-busy'
  /** The log file cannot be written, or the daemon in the background did not come up. */
  | 'background'
  /** The daemons of a mount died one after the other. */
  | 'crash-loop'
  /** A mount that was to be taken over is not there any more. */
  | 'mount-gone'
  /** systemd does not run, refuses, or its unit cannot be written. */
  | 'service-manager'
  /** The server of the demo does not come up. */
  | 'demo';

export class UserError extends Error {
  override readonly name = 'UserError';
  readonly code: UserErrorCode;
  /** What could not be done and the state found, without a full stop. */
  readonly problem: string;
  /** What to do about it: a sentence, or `Run: command`. */
  readonly hint: string | undefined;

  /** `problem`: what could not be done and the state found, without a full stop: `Cannot X: Y`. */
  constructor(code: UserErrorCode, problem: string, hint?: string, options?: { readonly cause?: unknown }) {
    super(hint === undefined ? `${problem}.` : `${problem}. ${hint}`, options);
    this.code = code;
    this.problem = problem;
    this.hint = hint;
  }
}

/** `text` in double quotes on one line, whatever bytes it has: for paths and values within messages. */
export function quote(text: string): string {
  return JSON.stringify(text);
}

/** `text` as one word of a POSIX shell: for commands that a message tells the reader to type. */
export function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

/** The `code` of a system or TLS error (`ENOENT`, `CERT_HAS_EXPIRED`), of `error` itself or the nearest cause with one. */
export function systemErrorCode(error: unknown): string | undefined {
  const seen = new Set<unknown>();
  for (let at = error; at instanceof Error && !seen.has(at); at = at.cause) {
    seen.add(at);
    if ('code' in at && typeof at.code === 'string' && /^[A-Z][A-Z0-9_]+$/.test(at.code)) return at.code;
    if (at instanceof AggregateError) {
      const inner = at.errors.map(systemErrorCode).find((code) => code !== undefined);
      if (inner !== undefined) return inner;
    }
  }
  return undefined;
}
