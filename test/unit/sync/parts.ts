/** The parts of the synchronisation below the executor, over memory, for tests that look into one of them. */

import { type Ino, ROOT_INO, silentLog } from '../../../src/base/index.js';
import { type ContentStore, MemoryContentStore } from '../../../src/content/index.js';
import type { ETag, RemoteEntry } from '../../../src/remote/index.js';
import { type FileRecord, openMemoryState } from '../../../src/state/index.js';
import type { Invalidation } from '../../../src/sync/api.js';
import { Connectivity } from '../../../src/sync/connectivity.js';
import { Doubts } from '../../../src/sync/doubts.js';
import { Fetcher } from '../../../src/sync/fetcher.js';
import { LineMeter } from '../../../src/sync/line-meter.js';
import type { SeenEntry } from '../../../src/sync/merge.js';
import { RateMeter } from '../../../src/sync/rates.js';
import { TakenNames } from '../../../src/sync/taken-names.js';
import { TreeEditor } from '../../../src/sync/tree-editor.js';
import { wholeVersion } from '../../../src/sync/upload-source.js';
import { WriteSessions } from '../../../src/sync/write-sessions.js';
import { FakeRemoteStore } from '../../support/fake-remote.js';
import { ManualClock } from '../../support/manual-clock.js';
import { nameOf } from '../vfs/support.js';
import { remote } from './world.js';

export class Parts {
  readonly clock = new ManualClock();
  readonly server = new FakeRemoteStore({ clock: this.clock });
  readonly state = openMemoryState();
  readonly content: ContentStore;
  readonly invalidations: Invalidation[] = [];
  /** Nodes that a program has open, open for writing, and that the kernel knows. */
  readonly open = new Set<Ino>();
  readonly writers = new Set<Ino>();
  readonly known = new Set<Ino>();
  /** Those that the kernel writes to by itself, and whether it has. */
  readonly unseen = new Map<Ino, 'untouched' | 'touched'>();
  readonly usage = {
    isOpen: (ino: Ino) => this.open.has(ino),
    holdsVersion: (ino: Ino) => this.open.has(ino),
    hasWritableHandle: (ino: Ino) => this.writers.has(ino),
    isWrittenUnseen: (ino: Ino) => this.unseen.has(ino),
    observe: () => undefined,
    markCopied: (ino: Ino) => this.#markCopied(ino),
    isInUse: (ino: Ino) => this.known.has(ino) || this.open.has(ino),
  };
  readonly editor: TreeEditor;
  readonly fetcher: Fetcher;
  readonly sessions: WriteSessions;

  constructor(content: ContentStore = new MemoryContentStore()) {
    const { state, clock, usage } = this;
    this.content = content;
    this.editor = new TreeEditor(state, content, {
      usage,
      hostName: 'here',
      takenNames: new TakenNames(state),
      doubts: new Doubts(state, () => clock.nowMs()),
      owner: { uid: 0, gid: 0, fileMode: 0o644, dirMode: 0o755 },
      nowMs: () => clock.nowMs(),
      nowNs: () => clock.nowNs(),
      wholeVersion: (ino, version) => wholeVersion(content, ino, version),
    });
    this.editor.onInvalidate((event) => this.invalidations.push(event));
    const connectivity = new Connectivity(clock, () => 0.5, silentLog);
    const store = this.server;
    const meter = new LineMeter();
    this.fetcher = new Fetcher({
      state,
      content,
      store,
      connectivity,
      meter,
      rates: new RateMeter(clock),
      clock,
      log: silentLog,
    });
    this.sessions = new WriteSessions({
      state,
      content,
      fetcher: this.fetcher,
      editor: this.editor,
      clock,
      usage,
    });
  }

  #markCopied(ino: Ino): boolean {
    if (this.unseen.get(ino) !== 'touched') return false;
    this.content.peek(ino)?.setMark('copied');
    return true;
  }

  /** Merges what the server has in the root under a name. */
  see(name: string, seen: SeenEntry): void {
    this.editor.merge((merge) => merge.entry(ROOT_INO, nameOf(name), seen));
  }

  /** A file that the server has and this side knows. */
  serverFile(name: string, content: string): FileRecord {
    this.see(name, { entry: this.server.writeDirect(remote(`/${name}`), content), linkTarget: undefined });
    return this.file(name);
  }

  ino(name: string): Ino | undefined {
    return this.state.localChild(ROOT_INO, nameOf(name));
  }

  file(name: string): FileRecord {
    const node = this.state.get(this.ino(name) ?? ROOT_INO);
    if (node?.kind !== 'file') throw new Error(`${name} is no file`);
    return node;
  }
}

/** An entry of a listing, with another version by `tag`. */
export function entryOf(name: string, more: Partial<RemoteEntry> = {}): SeenEntry {
  const entry: RemoteEntry = {
    path: remote(`/${name}`),
    name: nameOf(name),
    kind: 'file',
    size: 3,
    etag: '"1"' as ETag,
    weak: false,
    mtimeMs: 1_700_000_000_000,
    ...more,
  };
  return { entry, linkTarget: undefined };
}
