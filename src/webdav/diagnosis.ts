/**
 * What a refusal meant. Servers answer the same trouble with different statuses (a missing parent is 409 on PUT but 500 on
 * MOVE for Apache, 404 or 403 for rclone, 500 for nginx), so after an ambiguous one the server is asked what is there.
 */

import {
  isRemoteError,
  parentOfRemote,
  type RemoteEntry,
  RemoteError,
  type RemotePath,
} from '../remote/index.js';
import { lookUp } from './conditions.js';
import type { DavContext } from './context.js';
import { type Described, makeError, type RequestSubject } from './error-map.js';

const AMBIGUOUS: ReadonlySet<number> = new Set([400, 403, 404, 405, 409, 500]);

/** What the change was about. */
export interface ChangeShape {
  /** What has to be there before, and as what; undefined where nothing has to. */
  readonly source?: { readonly path: RemotePath; readonly directory: boolean | undefined };
  /** What is made or replaced. */
  readonly target?: { readonly path: RemotePath; readonly replaces: boolean };
}

/** The error to report instead of `error`: a clearer one where the server shows what was wrong, else `error` itself. */
export async function diagnose(
  context: DavContext,
  subject: RequestSubject,
  shape: ChangeShape,
  error: unknown,
  signal: AbortSignal | undefined,
): Promise<unknown> {
  if (!isRemoteError(error) || error.status === undefined || !AMBIGUOUS.has(error.status)) return error;
  const { status } = error;
  try {
    const described = await findCause(context, shape, signal);
    return described === undefined ? error : makeError(subject, { ...described, status, cause: error });
  } catch (second) {
    // Nothing more can be learnt; the first refusal stands.
    if (second instanceof RemoteError) return error;
    throw second;
  }
}

async function findCause(
  context: DavContext,
  { source, target }: ChangeShape,
  signal: AbortSignal | undefined,
): Promise<Described | undefined> {
  const [sourceEntry, targetEntry, parentEntry] = await Promise.all([
    source === undefined ? undefined : lookLeniently(context, source.path, signal),
    target === undefined ? undefined : lookLeniently(context, target.path, signal),
    target === undefined ? undefined : lookLeniently(context, parentOfRemote(target.path), signal),
  ]);
  if (source !== undefined) {
    if (sourceEntry === undefined) return { code: 'not-found', found: 'it is not there' };
    const isWrongKind = source.directory !== undefined && source.directory !== (sourceEntry.kind === 'dir');
    if (isWrongKind) return { code: 'changed', found: `it is a ${nameOfKind(sourceEntry)} now` };
  }
  if (target === undefined) return undefined;
  if (
    targetEntry !== undefined &&
    (!target.replaces || (source === undefined && targetEntry.kind === 'dir'))
  ) {
    return { code: 'exists', found: `the name is taken by a ${nameOfKind(targetEntry)}` };
  }
  if (parentEntry?.kind !== 'dir')
    return { code: 'parent-missing', found: 'the directory above it is not there' };
  return undefined;
}

/** mod_dav_fs answers 400 for a path below a file: nothing is there. */
async function lookLeniently(
  context: DavContext,
  path: RemotePath,
  signal: AbortSignal | undefined,
): Promise<RemoteEntry | undefined> {
  try {
    return await lookUp(context, path, signal);
  } catch (error) {
    if (error instanceof RemoteError && error.status === 400) return undefined;
    throw error;
  }
}

function nameOfKind(entry: RemoteEntry): string {
  return entry.kind === 'dir' ? 'directory' : 'file';
}
