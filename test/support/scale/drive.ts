/** The whole middle of the product over its real stores on disk, without kernel and without server. */

import { join } from 'node:path';
import { type Ino, ROOT_INO, SystemClock, silentLog } from '../../../src/base/index.js';
import { type FileContentStore, openContentStore } from '../../../src/content/index.js';
import { nodeContents } from '../../../src/daemon/node-contents.js';
import { type LmdbStateStore, openState } from '../../../src/state/index.js';
import { SyncEngine } from '../../../src/sync/index.js';
import { Vfs } from '../../../src/vfs/index.js';
import { FakeRemoteStore } from '../fake-remote.js';

const DAY_MS = 24 * 60 * 60 * 1000;

export class ScaleDrive {
  readonly state: LmdbStateStore;
  readonly content: FileContentStore;
  readonly engine: SyncEngine;
  readonly vfs: Vfs;

  private constructor(state: LmdbStateStore, content: FileContentStore) {
    const clock = new SystemClock();
    this.state = state;
    this.content = content;
    const store = new FakeRemoteStore({ clock });
    this.engine = new SyncEngine(
      { state, content, store, clock, random: Math.random, log: silentLog },
      {
        hostName: 'here',
        owner: { uid: 0, gid: 0, fileMode: 0o644, dirMode: 0o755 },
        freshnessMs: DAY_MS,
        uploadDelayMs: DAY_MS,
        copyIntervalMs: DAY_MS,
        maxConnections: 4,
      },
    );
    const options = { readOnly: false, sync: 'write-back', volumeSizeBytes: undefined } as const;
    this.vfs = new Vfs({ state, content, sync: this.engine, clock, options });
  }

  /** Opens what is in `dir` as a start of the daemon does. */
  static async open(dir: string): Promise<ScaleDrive> {
    const { state, content } = await openStores(dir);
    await content.reconcile(nodeContents(state));
    const drive = new ScaleDrive(state, content);
    drive.engine.start();
    return drive;
  }

  get root(): Ino {
    return ROOT_INO;
  }

  async close(): Promise<void> {
    this.vfs.close();
    await this.engine.close();
    await this.content.close();
    await this.state.close();
  }
}

/** The two stores of a cache directory, to be filled. */
export async function openStores(
  dir: string,
): Promise<{ readonly state: LmdbStateStore; readonly content: FileContentStore }> {
  const clock = new SystemClock();
  const state = openState({ dir: join(dir, 'state'), clock });
  const content = openContentStore({
    dir: join(dir, 'content'),
    presence: state.sideTable('presence'),
    clock,
    limits: { maxCleanBytes: Number.MAX_SAFE_INTEGER, minFreeBytes: 0 },
  });
  return { state, content };
}
