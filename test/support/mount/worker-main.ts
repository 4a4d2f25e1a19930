/**
 * The child process that touches mounts for the tests (see worker.ts): it executes one request after the other
 * and answers over IPC. It may hang; its parent kills it then.
 */

import fs from 'node:fs';
import type { FileStat, WorkerError, WorkerReply, WorkerRequest } from './worker.js';

type AnyFunction = (...args: readonly unknown[]) => unknown;

process.on('disconnect', () => process.exit(0));
process.on('message', (request: WorkerRequest) => {
  void execute(request).then((reply) => process.send?.(reply));
});

async function execute(request: WorkerRequest): Promise<WorkerReply> {
  try {
    const value = request.kind === 'fs' ? callFs(request.name, request.args) : await callModule(request);
    return { id: request.id, value: plain(value) };
  } catch (error) {
    return { id: request.id, error: describe(error) };
  }
}

function callFs(name: string, args: readonly unknown[]): unknown {
  const method = (fs as unknown as Record<string, AnyFunction | undefined>)[`${name}Sync`];
  if (method === undefined) throw new Error(`node:fs has no ${name}Sync`);
  return method(...args);
}

/** Lets modules be imported from their sources; of no use to most workers, and a third of a second. */
let whenSources: Promise<unknown> | undefined;

async function callModule(request: WorkerRequest): Promise<unknown> {
  whenSources ??= import('tsx/esm/api').then(({ register }) => register());
  await whenSources;
  const module = (await import(request.module ?? '')) as Record<string, AnyFunction | undefined>;
  const target = module[request.name];
  if (target === undefined) throw new Error(`${request.module} exports no ${request.name}`);
  return target(...request.args);
}

/** Stats have methods, which do not cross the channel. */
function plain(value: unknown): unknown {
  if (!(value instanceof fs.Stats)) return value;
  const stat: FileStat = {
    ino: value.ino,
    mode: value.mode,
    nlink: value.nlink,
    uid: value.uid,
    gid: value.gid,
    size: value.size,
    blocks: value.blocks,
    mtimeMs: value.mtimeMs,
    ctimeMs: value.ctimeMs,
    isFile: value.isFile(),
    isDirectory: value.isDirectory(),
    isSymbolicLink: value.isSymbolicLink(),
  };
  return stat;
}

function describe(error: unknown): WorkerError {
  if (!(error instanceof Error)) return { message: String(error), stack: '' };
  const code = (error as NodeJS.ErrnoException).code;
  return { message: error.message, stack: error.stack ?? '', ...(code === undefined ? {} : { code }) };
}
