/** Why libfuse cannot be used on this machine. */

/**
 * `no-package`: fuse-native is not installed. `no-build`: it has no native part for this processor. `no-library`: its
 * native part is there and cannot be loaded, or the libfuse it needs cannot.
 */
export type LibfuseErrorCode = 'no-package' | 'no-build' | 'no-library';

export class LibfuseError extends Error {
  override readonly name = 'LibfuseError';
  readonly code: LibfuseErrorCode;

  constructor(code: LibfuseErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
