/** Looks at everything that a mount depends on, one thing after the other, and mounts nothing. */

import { SystemClock } from '../../base/index.js';
import type { ServerOptions } from '../../config/index.js';
import type { Logger } from '../../observe/index.js';
import type { Finding } from './doctor-finding.js';
import { examineLine } from './doctor-line.js';
import { examineMachine, machineSurroundings } from './doctor-machine.js';
import { examineServer } from './doctor-server.js';

export interface DoctorRequest {
  /** Absolute; need not be there. */
  readonly cacheDir: string;
  /** Undefined: the machine only. */
  readonly server: ServerOptions | undefined;
  /** Whether a file is sent to the server and fetched, to measure the line. */
  readonly throughput: boolean;
}

/** The findings as they come; none throws, whatever is found. */
export async function* examine(
  { cacheDir, server, throughput }: DoctorRequest,
  { logger, signal }: { readonly logger: Logger; readonly signal: AbortSignal },
): AsyncGenerator<Finding> {
  yield* await examineMachine(cacheDir, await machineSurroundings());
  if (server === undefined) return;
  const line = await examineLine(new URL(server.url), server.extraCaPem);
  yield* line;
  if (line.some(({ name, state }) => (name === 'dns' || name === 'connection') && state === 'bad')) return;
  yield* await examineServer(server, { clock: new SystemClock(), logger, signal, throughput });
}
