/** Content stores in temporary directories. */

import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Clock, Ns } from '../../../src/base/index.js';
import {
  type FileContentStore,
  MemoryPresenceTable,
  type OpenContentOptions,
  openContentStore,
  type PresenceTable,
} from '../../../src/content/index.js';

export function temporaryDir(): string {
  return mkdtempSync(join(tmpdir(), 'infinimount-content-'));
}

/** Time that goes on by one with each question, and timers that fire when the test says so. */
export class StepClock implements Clock {
  #now = 1_000_000;
  readonly #timers = new Set<() => void>();

  nowMs(): number {
    return ++this.#now;
  }

  nowNs(): Ns {
    return BigInt(this.nowMs()) * 1_000_000n;
  }

  after(_delayMs: number, callback: () => void): { cancel(): void } {
    const timer = () => callback();
    this.#timers.add(timer);
    return { cancel: () => this.#timers.delete(timer) };
  }

  fireAll(): void {
    const due = [...this.#timers];
    this.#timers.clear();
    for (const timer of due) timer();
  }
}

export const NO_LIMITS = { maxCleanBytes: Number.MAX_SAFE_INTEGER, minFreeBytes: 0 };

export function openTemporary(
  dir: string,
  options: Partial<OpenContentOptions> = {},
): { readonly store: FileContentStore; readonly presence: PresenceTable; readonly clock: Clock } {
  const presence = options.presence ?? new MemoryPresenceTable();
  const clock = options.clock ?? new StepClock();
  const store = openContentStore({ limits: NO_LIMITS, bootId: 'boot 1', ...options, dir, presence, clock });
  return { store, presence, clock };
}
