/** The implementations that the contract suite runs on. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Clock, Ns } from '../../../../src/base/index.js';
import { openMemoryState, openState, type StateStore } from '../../../../src/state/index.js';

export interface StoreHarness {
  readonly store: StateStore;
  /** Ends the store and opens what it left. */
  restart(): Promise<StateStore>;
  dispose(): Promise<void>;
}

/** A clock whose timers fire when the test says so. */
export class HandClock implements Clock {
  readonly #timers = new Set<() => void>();

  nowMs(): number {
    return 0;
  }

  nowNs(): Ns {
    return 0n;
  }

  after(_delayMs: number, callback: () => void): { cancel(): void } {
    const timer = () => callback();
    this.#timers.add(timer);
    return { cancel: () => this.#timers.delete(timer) };
  }

  get armed(): number {
    return this.#timers.size;
  }

  fireAll(): void {
    const due = [...this.#timers];
    this.#timers.clear();
    for (const timer of due) timer();
  }
}

export function temporaryDir(): string {
  return mkdtempSync(join(tmpdir(), 'infinimount-state-'));
}

function memoryHarness(): StoreHarness {
  let store = openMemoryState();
  return {
    get store() {
      return store;
    },
    async restart() {
      const from = store.snapshot();
      await store.close();
      store = openMemoryState({ from });
      return store;
    },
    dispose: () => store.close(),
  };
}

/** `clock`: decides whether changes stay in the journal or reach the database while the test runs. */
function lmdbHarness(clock: Clock): StoreHarness {
  const dir = temporaryDir();
  let store = openState({ dir, clock });
  return {
    get store() {
      return store;
    },
    async restart() {
      await store.close();
      store = openState({ dir, clock });
      return store;
    },
    async dispose() {
      await store.close();
      rmSync(dir, { recursive: true });
    },
  };
}

/** Fires every timer in the next turn: changes move to the database all the time. */
class EagerClock extends HandClock {
  override after(_delayMs: number, callback: () => void): { cancel(): void } {
    const timer = setImmediate(callback);
    return { cancel: () => clearImmediate(timer) };
  }
}

export const IMPLEMENTATIONS: readonly { readonly title: string; readonly create: () => StoreHarness }[] = [
  { title: 'memory', create: memoryHarness },
  { title: 'LMDB, changes in the journal', create: () => lmdbHarness(new HandClock()) },
  { title: 'LMDB, changes on their way into the database', create: () => lmdbHarness(new EagerClock()) },
];
