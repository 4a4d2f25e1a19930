/** Why a mount or unmount did not happen. */

/**
 * `no-device`: no /dev/fuse. `no-fusermount`: not root, and no helper. `missing`, `not-a-directory`, `not-empty`: the
 * mount point. `occupied`: something is mounted there. `dead`: a mount whose daemon is gone is there. `permission`: the
 * user may not. `allow-other-denied`: /etc/fuse.conf does not let users share. `refused`: fusermount3 said no. `busy`: in
 * use, at unmount. `failed`: any other error of the system.
 */
export type MountErrorCode =
  | 'no-device'
  | 'no-fusermount'
  | 'missing'
  | 'not-a-directory'
  | 'not-empty'
  | 'occupied'
  | 'dead'
  | 'permission'
  | 'allow-other-denied'
  | 'refused'
  | 'busy'
  | 'failed';

/** A mount or unmount that failed: what was found, and what to do. */
export class MountError extends Error {
  override readonly name = 'MountError';
  readonly code: MountErrorCode;
  /** The state found, one line. */
  readonly found: string;
  /** What the user can do. */
  readonly advice: string;

  constructor(code: MountErrorCode, found: string, advice: string, options?: ErrorOptions) {
    super(`${found}. ${advice}`, options);
    this.code = code;
    this.found = found;
    this.advice = advice;
  }
}
