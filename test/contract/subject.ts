/** The stores that the contract suite runs on, and what each server behind them lacks. */

import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { BasicAuth } from '../../src/auth/index.js';
import { Secret, SystemClock } from '../../src/base/index.js';
import type { Capabilities, RemotePath, RemoteStore } from '../../src/remote/index.js';
import { createWebdavStore } from '../../src/webdav/index.js';
import { startSourceThread } from '../support/body-thread.js';
import { FakeRemoteStore } from '../support/fake-remote.js';
import {
  type ComponentName,
  type DavServer,
  MissingComponentError,
  startApache,
  startNginx,
  startRclone,
} from '../support/servers/index.js';

/** How a server departs from RFC 4918, as far as a store cannot make up for it. */
export interface Traits {
  /** What `probe` reports. */
  readonly capabilities: Capabilities;
  /** `made`: files have no tag of their own, so that tags are made of size and time. */
  readonly tags: 'own' | 'made';
  /** MKCOL of an existing directory succeeds (rclone). */
  readonly remakesDirectories: boolean;
  /** MOVE makes missing parents (nginx with dav-ext). */
  readonly makesParents: boolean;
  /** Names that begin with a dot are left out of listings (nginx with dav-ext). */
  readonly hidesDotNames: boolean;
  /**
   * Entries that the server lists in bearable time: rclone, told to keep no cache so that it sees what others do, reads
   * the directory anew for each entry of it.
   */
  readonly listableEntries: number;
  /** A PUT that is cut off leaves a part of it (rclone without its cache). */
  readonly keepsPartialUploads: boolean;
}

export interface Subject {
  readonly store: RemoteStore;
  /** What another client does: a file with its parents. */
  writeDirect(path: RemotePath, content: string): void;
  removeDirect(path: RemotePath): void;
  close(): Promise<void>;
}

export interface SubjectKind {
  readonly name: string;
  readonly traits: Traits;
  /** What has to be installed. */
  readonly component: ComponentName | undefined;
  /** Undefined where that is missing. */
  open(): Promise<Subject | undefined>;
}

const EVERYTHING: Capabilities = {
  ifMatch: true,
  ifNoneMatch: true,
  ranges: true,
  deadProperties: true,
  lock: true,
  etagOnPut: true,
};

const SOUND: Traits = {
  capabilities: EVERYTHING,
  tags: 'own',
  remakesDirectories: false,
  makesParents: false,
  hidesDotNames: false,
  listableEntries: 5_000,
  keepsPartialUploads: false,
};

export const SUBJECTS: readonly SubjectKind[] = [
  { name: 'in memory', traits: SOUND, component: undefined, open: async () => openFake() },
  {
    name: 'Apache mod_dav',
    // Its PUT answers without a tag; If-Match fails for a file younger than a second, which the store waits out.
    traits: { ...SOUND, capabilities: { ...EVERYTHING, etagOnPut: false } },
    component: 'apache',
    open: openServer(startApache),
  },
  {
    name: 'nginx with dav-ext',
    traits: {
      ...SOUND,
      capabilities: {
        ...EVERYTHING,
        ...{ ifMatch: false, ifNoneMatch: false, deadProperties: false, etagOnPut: false },
      },
      tags: 'made',
      makesParents: true,
      hidesDotNames: true,
    },
    component: 'nginx',
    open: openServer(startNginx),
  },
  {
    name: 'rclone serve webdav',
    traits: {
      ...SOUND,
      capabilities: { ...EVERYTHING, ifMatch: false, ifNoneMatch: false, deadProperties: false },
      remakesDirectories: true,
      listableEntries: 300,
      keepsPartialUploads: true,
    },
    component: 'rclone',
    open: openServer(startRclone),
  },
];

function openFake(): Subject {
  const store = new FakeRemoteStore({ clock: new SystemClock(), tags: 'young-weak' });
  return {
    store,
    writeDirect: (path, content) => void store.writeDirect(path, content),
    removeDirect: (path) => void store.removeDirect(path),
    close: () => store.close(),
  };
}

function openServer(start: () => Promise<DavServer>): SubjectKind['open'] {
  return async () => {
    const server = await start().catch((error: unknown) => {
      if (error instanceof MissingComponentError) return undefined;
      throw error;
    });
    if (server === undefined) return undefined;
    const store = createWebdavStore({
      url: server.url,
      auth: new BasicAuth({ user: server.user, password: new Secret(server.password) }),
      userAgent: 'infinimount-test',
      clock: new SystemClock(),
      random: Math.random,
      startThread: startSourceThread,
    });
    await store.startThread();
    return {
      store,
      writeDirect: (path, content) => {
        const file = join(server.root, path);
        mkdirSync(dirname(file), { recursive: true });
        writeFileSync(file, content);
      },
      removeDirect: (path) => rmSync(join(server.root, path), { recursive: true }),
      close: async () => {
        await store.close();
        await server.stop();
      },
    };
  };
}
