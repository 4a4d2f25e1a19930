/**
 * How an error is written to the log: named fields only. An error of an HTTP library carries its request and
 * response, and with them the Authorization header, so nothing else of it is copied.
 */

/** Levels of `cause` that are followed. */
const MAX_CAUSES = 5;

export interface SerializedError {
  readonly type: string;
  readonly message: string;
  readonly stack?: string;
  readonly code?: string | number;
  readonly errno?: number;
  readonly syscall?: string;
  readonly status?: number;
  readonly method?: string;
  readonly path?: string;
  readonly cause?: unknown;
}

/** A loggable copy of `error`; what is not an error is given back as it is. */
export function serializeError(error: unknown): unknown {
  return serialize(error, MAX_CAUSES);
}

function serialize(error: unknown, causesLeft: number): unknown {
  if (!(error instanceof Error)) return error;
  const fields = error as Error &
    Partial<Record<'code' | 'errno' | 'syscall' | 'status' | 'method' | 'path', unknown>>;
  const { code, errno, syscall, status, method, path } = fields;
  const copy: SerializedError = {
    type: error.name,
    message: error.message,
    ...(error.stack === undefined ? {} : { stack: error.stack }),
    ...(typeof code === 'string' || typeof code === 'number' ? { code } : {}),
    ...(typeof errno === 'number' ? { errno } : {}),
    ...(typeof syscall === 'string' ? { syscall } : {}),
    ...(typeof status === 'number' ? { status } : {}),
    ...(typeof method === 'string' ? { method } : {}),
    ...(typeof path === 'string' ? { path } : {}),
    ...(error.cause !== undefined && causesLeft > 0 ? { cause: serialize(error.cause, causesLeft - 1) } : {}),
  };
  return copy;
}
