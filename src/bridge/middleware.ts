/** What is done around every operation, in one function: errors become errno, time is taken, trouble is logged. */

import { performance } from 'node:perf_hooks';
import type { Log, MaybePromise } from '../base/index.js';
import { type ErrnoName, FuseError, type RequestContext } from '../fuse/index.js';
import { judge } from './errno.js';

export interface MiddlewareOptions {
  readonly log: Log;
  /** Told of every operation when it is answered; `errno` undefined when it went well. */
  readonly observe?:
    | ((operation: string, durationMs: number, errno: ErrnoName | undefined) => void)
    | undefined;
}

/** Made once: an everyday answer has nothing of its own to tell, and making an error takes longer than many a request. */
const ANSWERS = new Map<ErrnoName, FuseError>();

function answerOf(errno: ErrnoName): FuseError {
  const known = ANSWERS.get(errno);
  if (known !== undefined) return known;
  const made = new FuseError(errno);
  ANSWERS.set(errno, made);
  return made;
}

export type Handle<Request, Reply> = (request: Request, context: RequestContext) => MaybePromise<Reply>;

/** Wraps a handler; one that answers at once still does. */
export type Wrap = <Request, Reply>(
  operation: string,
  handle: Handle<Request, Reply>,
) => Handle<Request, Reply>;

export function createMiddleware({ log, observe }: MiddlewareOptions): Wrap {
  return (operation, handle) => (request, context) => {
    const startedMs = observe === undefined ? 0 : performance.now();
    const done = (errno: ErrnoName | undefined) => observe?.(operation, performance.now() - startedMs, errno);
    const failed = (error: unknown): never => {
      const { errno, severity } = judge(error, context);
      done(errno);
      if (severity === 'trouble') log.warn({ operation, errno, err: error }, 'operation failed');
      if (severity === 'defect') log.error({ operation, errno, err: error }, 'operation failed unexpectedly');
      if (error instanceof FuseError) throw error;
      throw severity === 'answer' ? answerOf(errno) : new FuseError(errno, { cause: error });
    };
    try {
      const answer = handle(request, context);
      if (answer instanceof Promise) {
        return answer.then((value) => {
          done(undefined);
          return value;
        }, failed);
      }
      done(undefined);
      return answer;
    } catch (error) {
      return failed(error);
    }
  };
}
