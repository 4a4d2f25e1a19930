/**
 * The queue at the end of a mount. It is sent after the unmount, when no program can add to it and what programs had open
 * is closed, and before the engine stops.
 */

import type { Clock } from '../../base/index.js';
import type { Logger } from '../../observe/index.js';
import type { SyncEngine } from '../../sync/index.js';
import { drain } from './drain.js';
import type { ServiceManager } from './service-manager.js';
import { uploadProgress } from './service-sources.js';

export interface StopDrainDeps {
  readonly engine: SyncEngine;
  readonly manager: ServiceManager;
  readonly clock: Clock;
  /** The longest wait. */
  readonly limitMs: number;
  readonly logger: Logger;
}

export class StopDrain {
  readonly #deps: StopDrainDeps;
  /** `no`: a start that failed has nothing to send; `skip`: someone decided already. */
  #allowed: 'no' | 'yes' | 'skip' = 'no';
  #left = 0;

  constructor(deps: StopDrainDeps) {
    this.#deps = deps;
  }

  /** Changes that were not on the server when `run` was over. */
  get left(): number {
    return this.#left;
  }

  /** The mount was served, and ends now. */
  allow(): void {
    if (this.#allowed === 'no') this.#allowed = 'yes';
  }

  skip(): void {
    this.#allowed = 'skip';
  }

  async run(): Promise<void> {
    const { engine, manager, clock, limitMs, logger } = this.#deps;
    const before = engine.pendingCount();
    // Who paused the uploads wants them held, at the end too.
    if (this.#allowed === 'yes' && !engine.paused) {
      const end = await drain({
        clock,
        limitMs,
        progress: () => uploadProgress(engine),
        drained: (signal) => engine.drained(signal),
        onLook: (progress, nextLookMs) => manager.draining(progress, nextLookMs),
      });
      if (end !== 'skipped')
        logger.info({ end, before, left: engine.pendingCount() }, 'sent what was waiting');
    }
    this.#left = engine.pendingCount();
    manager.drained(this.#left);
  }
}
