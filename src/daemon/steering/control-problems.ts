/** What a caller of the control socket is told of an error: one total mapping, from all the typed errors there are. */

import { assertNever, isAbortError, UserError, type UserErrorCode } from '../../base/index.js';
import { ContentError } from '../../content/index.js';
import { makeProblem, type Problem } from '../../control/index.js';
import { MountError } from '../../fuse/index.js';
import { isRemoteError, type RemoteError, type RemoteErrorCode } from '../../remote/index.js';
import { SyncError, type SyncErrorCode } from '../../sync/index.js';

/** Undefined: nobody foresaw it. */
export function problemOf(error: unknown): Problem | undefined {
  if (error instanceof UserError) {
    const { code, problem, hint } = error;
    return makeProblem({ status: statusOfUserError(code), code, detail: problem, advice: hint });
  }
  if (error instanceof SyncError) {
    const { code, message } = error;
    return makeProblem({
      status: statusOfSyncError(code),
      code,
      detail: message,
      advice: code === 'paused' ? 'Run: infinimount resume' : undefined,
    });
  }
  if (isRemoteError(error)) return remoteProblem(error);
  if (error instanceof MountError) {
    return makeProblem({ status: 409, code: `mount-${error.code}`, detail: error.message });
  }
  if (error instanceof ContentError) {
    return makeProblem({ status: 500, code: `cache-${error.code}`, detail: error.message });
  }
  // Nobody reads the answer of a call whose caller has gone.
  if (isAbortError(error))
    return makeProblem({ status: 503, code: 'aborted', detail: 'The work was broken off' });
  return undefined;
}

function remoteProblem({ code, message }: RemoteError): Problem {
  return makeProblem({ status: statusOfRemoteError(code), code, detail: message });
}

/** 409: not in this state; 422: what was given does not do; 502, 504: the server behind; 503: not now. */
function statusOfUserError(code: UserErrorCode): number {
  switch (code) {
    case 'usage':
    case 'bad-url':
    case 'plain-http':
    case 'config-file':
    case 'password':
    case 'ca-file':
      return 422;
    case 'unauthorized':
    case 'forbidden':
      // The server refused what the caller gave, not the caller: neither 401 nor 403.
      return 422;
    case 'unreachable':
    case 'tls':
    case 'url-not-found':
    case 'not-webdav':
    case 'redirect-refused':
    case 'server-trouble':
      return 502;
    case 'server-full':
      return 507;
    case 'unfinished':
      return 504;
    case 'mount-point-missing':
    case 'mount-point-not-directory':
    case 'mount-point-occupied':
    case 'mount-point-not-empty':
    case 'mount-point-dead':
    case 'mount-point-denied':
    case 'no-fuse-device':
    case 'no-fusermount':
    case 'no-libfuse':
    case 'mount-refused':
    case 'mount-busy':
    case 'mount-gone':
    case 'cache-not-writable':
    case 'cache-full':
    case 'cache-busy':
    case 'cache-newer':
    case 'cache-foreign':
    case 'cache-damaged':
    case 'cache-exposed':
    case 'cache-placement':
    case 'control-socket':
    case 'no-mount':
    case 'not-answering':
    case 'control-denied':
    case 'refused':
    case 'background':
    case 'crash-loop':
    case 'service-manager':
    case 'demo':
      return 409;
    default:
      return assertNever(code);
  }
}

function statusOfSyncError(code: SyncErrorCode): number {
  switch (code) {
    case 'not-found':
      return 404;
    case 'not-a-directory':
    case 'not-a-file':
    case 'not-a-conflict':
      return 422;
    case 'busy':
    case 'pinned':
    case 'limit':
    case 'paused':
      return 409;
    case 'offline':
    case 'stopping':
      return 503;
    default:
      return assertNever(code);
  }
}

function statusOfRemoteError(code: RemoteErrorCode): number {
  switch (code) {
    case 'not-found':
      return 404;
    case 'exists':
    case 'changed':
    case 'parent-missing':
    case 'locked':
      return 409;
    case 'unauthorized':
    case 'forbidden':
    case 'too-large':
    case 'bad-name':
    case 'not-supported':
      return 422;
    case 'no-space':
      return 507;
    case 'timeout':
      return 504;
    case 'throttled':
    case 'aborted':
      return 503;
    case 'server':
    case 'not-webdav':
    case 'redirect-refused':
    case 'tls':
    case 'unreachable':
    case 'interrupted':
    case 'protocol':
      return 502;
    default:
      return assertNever(code);
  }
}
