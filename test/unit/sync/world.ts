/**
 * The whole middle of the product without kernel and network: Vfs and SyncEngine over memory, a server in memory with
 * faults, and a clock that the test moves. A restart finds what was committed, as after SIGKILL.
 */

import assert from 'node:assert/strict';
import { type Ino, ROOT_INO, silentLog } from '../../../src/base/index.js';
import { MemoryContentStore, type MemoryImage } from '../../../src/content/index.js';
import { joinRemote, REMOTE_ROOT, type RemotePath } from '../../../src/remote/index.js';
import { type MemoryStateStore, openMemoryState } from '../../../src/state/index.js';
import { SyncEngine, type SyncOptions } from '../../../src/sync/index.js';
import {
  type BackingId,
  type BackingPort,
  type Fh,
  type LoggedHandle,
  NO_HANDLE_LOG,
  Vfs,
  VfsError,
} from '../../../src/vfs/index.js';
import { type FakeRemoteOptions, FakeRemoteStore } from '../../support/fake-remote.js';
import { type FaultPlan, FaultyRemoteStore } from '../../support/faulty-remote.js';
import { ManualClock, quiesce } from '../../support/manual-clock.js';
import { nameOf } from '../vfs/support.js';

const CALLER = { uid: 0, gid: 0 };
const FRESHNESS_MS = 5_000;

export class World {
  readonly clock = new ManualClock();
  readonly server: FakeRemoteStore;
  readonly #random: () => number;
  readonly #sync: Partial<SyncOptions>;
  /** Whether the kernel reads and writes what it can by itself. */
  readonly #backed: boolean;
  /** The kernel's: what is registered there outlives the daemon. */
  readonly #port = fakeBackingPort();
  remote: FaultyRemoteStore;
  state: MemoryStateStore;
  content: MemoryContentStore;
  engine: SyncEngine;
  vfs: Vfs;

  constructor(
    random: () => number = () => 0.5,
    options: Partial<FakeRemoteOptions> = {},
    content = new MemoryContentStore(),
    sync: Partial<SyncOptions> = {},
    backed = false,
  ) {
    this.#random = random;
    this.#sync = sync;
    this.#backed = backed;
    this.server = new FakeRemoteStore({ clock: this.clock, pause: () => Promise.resolve(), ...options });
    this.state = openMemoryState();
    this.content = content;
    ({ remote: this.remote, engine: this.engine, vfs: this.vfs } = this.#mount());
  }

  #mount(plan?: FaultPlan, found: readonly LoggedHandle[] = [], before?: FaultyRemoteStore) {
    const remote = new FaultyRemoteStore(this.server, plan ?? (() => undefined), before);
    const engine = new SyncEngine(
      {
        state: this.state,
        content: this.content,
        store: remote,
        clock: this.clock,
        random: this.#random,
        log: silentLog,
      },
      {
        hostName: 'here',
        owner: { uid: 0, gid: 0, fileMode: 0o644, dirMode: 0o755 },
        freshnessMs: FRESHNESS_MS,
        uploadDelayMs: 200,
        copyIntervalMs: 30_000,
        maxConnections: 4,
        clonedFromBytes: 1,
        ...this.#sync,
      },
    );
    const options = { readOnly: false, sync: 'write-back', volumeSizeBytes: undefined } as const;
    const vfs = new Vfs({
      state: this.state,
      content: this.content,
      sync: engine,
      clock: this.clock,
      options,
      handleLog: { ...NO_HANDLE_LOG, found, lastFh: Math.max(0, ...found.map(({ fh }) => fh)) },
    });
    if (found.length > 0) vfs.adopt();
    if (this.#backed) vfs.kernel = { backing: this.#port, keepsSizes: false };
    engine.start();
    return { remote, engine, vfs };
  }

  /**
   * SIGKILL and a new daemon on what was committed; `image`: what it finds on the disk, `found`: the open files that it takes
   * over. Requests under way may still take effect on the server.
   */
  restart(
    plan?: FaultPlan,
    image: MemoryImage = this.content.image(),
    found: readonly LoggedHandle[] = [],
  ): void {
    const snapshot = this.state.snapshot();
    this.remote.setPlan(() => ({ kind: 'before', code: 'aborted' }));
    void this.engine.close();
    this.state = openMemoryState({ from: snapshot });
    this.content = new MemoryContentStore({ image });
    ({ remote: this.remote, engine: this.engine, vfs: this.vfs } = this.#mount(plan, found, this.remote));
  }

  check(): void {
    this.state.checkInvariants();
    this.vfs.checkInvariants();
    this.engine.checkInvariants();
  }

  /** Runs until nothing is left to do: everything on the server, everything listed. */
  async converge(): Promise<void> {
    this.remote.setPlan(undefined);
    for (let round = 0; round < 60; round += 1) {
      await this.clock.advance(20_000);
      await this.refreshAll();
      await quiesce();
      if (this.engine.pendingCount() === 0) return;
    }
    const stuck = this.engine.entries(100).map((item) => {
      const record = this.state.get(item.ino);
      const target = record?.kind === 'alias' ? this.state.get(record.target) : undefined;
      return { ...item, record, target };
    });
    const text = JSON.stringify(
      stuck,
      (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value),
      1,
    );
    assert.fail(
      `does not come to rest:\n${text}\nserver: ${JSON.stringify(this.server.textTree(), null, 1)}`,
    );
  }

  async refreshAll(): Promise<void> {
    const seen = new Set<Ino>();
    for (let queue: Ino[] = [ROOT_INO]; queue.length > 0; ) {
      const dir = queue.shift() as Ino;
      if (seen.has(dir)) continue;
      seen.add(dir);
      // A directory whose base went meanwhile is listed by nobody.
      const refreshing = this.engine.refresh(dir).catch(() => undefined);
      await this.clock.advance(1_000);
      await refreshing;
      for (const entry of this.state.entries(dir)) {
        const child = entry.local === undefined ? undefined : this.state.get(entry.local);
        if (child?.kind === 'dir' && child.ino !== ROOT_INO) queue.push(child.ino);
      }
    }
  }

  ino(path: string): Ino | undefined {
    let at: Ino = ROOT_INO;
    for (const part of path.split('/').filter((segment) => segment !== '')) {
      const child = this.state.localChild(at, nameOf(part));
      if (child === undefined) return undefined;
      const node = this.state.get(child);
      at = node?.kind === 'alias' ? node.target : child;
    }
    return at;
  }

  split(path: string): { parent: Ino; name: string } {
    const cut = path.lastIndexOf('/');
    const parent = this.ino(path.slice(0, cut));
    if (parent === undefined) throw new VfsError('ENOENT', `no parent of ${path}`);
    return { parent, name: path.slice(cut + 1) };
  }

  /** Writes a file whole, as a program does that opens it with O_CREAT | O_TRUNC. */
  async write(path: string, text: string): Promise<void> {
    const { parent, name } = this.split(path);
    const open = { writable: true, append: false, truncate: true };
    const { fh, attributes } = await this.vfs.names.create(parent, name, {
      mode: 0o644,
      caller: CALLER,
      open,
      exclusive: false,
    });
    try {
      await this.writeTo(fh, attributes.ino, Buffer.from(text));
      await this.vfs.files.flush(fh);
    } finally {
      this.vfs.files.release(fh);
    }
  }

  /** write(2) at the beginning of an open file: what this process does, or the kernel by itself. */
  async writeTo(fh: Fh, ino: Ino, bytes: Uint8Array): Promise<void> {
    if (this.vfs.backingOf(fh) === undefined) await this.vfs.files.write(fh, bytes, 0);
    else this.content.peek(ino)?.writeSync(bytes, 0);
  }

  /**
   * Copies a file whole, as `cp` does: by copy_file_range(2) into a new or emptied one. `onOpen`: called right before that
   * one is opened.
   */
  async copy(from: string, to: string, onOpen: () => void = () => undefined): Promise<void> {
    const ino = this.ino(from);
    if (ino === undefined) throw new VfsError('ENOENT', `no ${from}`);
    const { files, names } = this.vfs;
    const { parent, name } = this.split(to);
    const source = await files.open(ino, { writable: false, append: false, truncate: false });
    try {
      const open = { writable: true, append: false, truncate: true };
      onOpen();
      const { fh } = await names.create(parent, name, {
        mode: 0o644,
        caller: CALLER,
        open,
        exclusive: false,
      });
      try {
        for (let position = 0; ; ) {
          const count = await files.copyRange({ fh: source, position }, { fh, position }, 2 ** 40);
          if (count === 0) break;
          position += count;
        }
        await files.flush(fh);
      } finally {
        files.release(fh);
      }
    } finally {
      files.release(source);
    }
  }

  async read(path: string): Promise<string> {
    const ino = this.ino(path);
    assert(ino !== undefined, `no ${path}`);
    return this.readIno(ino);
  }

  async readIno(ino: Ino): Promise<string> {
    const fh = await this.vfs.files.open(ino, { writable: false, append: false, truncate: false });
    try {
      const node = this.state.get(ino);
      const target = Buffer.alloc(node?.kind === 'file' ? node.size : 0);
      const length = await this.vfs.files.read(fh, target, 0, target.length, 0);
      return target.toString('utf8', 0, length);
    } finally {
      this.vfs.files.release(fh);
    }
  }

  async mkdir(path: string): Promise<void> {
    const { parent, name } = this.split(path);
    await this.vfs.names.mkdir(parent, name, { mode: 0o755, caller: CALLER });
  }

  async rename(from: string, to: string, mode: 'replace' | 'exchange' = 'replace'): Promise<void> {
    await this.vfs.renames.run(this.split(from), this.split(to), mode);
  }

  async unlink(path: string): Promise<void> {
    const { parent, name } = this.split(path);
    await this.vfs.names.unlink(parent, name);
  }

  async rmdir(path: string): Promise<void> {
    const { parent, name } = this.split(path);
    await this.vfs.names.rmdir(parent, name);
  }

  async link(from: string, to: string): Promise<void> {
    const ino = this.ino(from);
    if (ino === undefined) throw new VfsError('ENOENT', `no ${from}`);
    const { parent, name } = this.split(to);
    await this.vfs.names.link(ino, parent, name);
  }

  /** Paths of the local tree, as far as it is known; a directory's ends with a slash. */
  localPaths(): { path: string; ino: Ino; kind: string }[] {
    const found: { path: string; ino: Ino; kind: string }[] = [];
    const visit = (dir: Ino, prefix: string) => {
      for (const entry of this.state.entries(dir)) {
        if (entry.local === undefined || entry.local === ROOT_INO) continue;
        const node = this.state.get(entry.local);
        assert(node !== undefined);
        const path = `${prefix}/${entry.name}`;
        found.push({ path, ino: node.kind === 'alias' ? node.target : node.ino, kind: node.kind });
        if (node.kind === 'dir') visit(node.ino, path);
      }
    };
    visit(ROOT_INO, '');
    return found;
  }

  /** The local tree with contents, in the form of `FakeRemoteStore.textTree`. */
  async localTree(): Promise<Record<string, string | null>> {
    const tree: Record<string, string | null> = {};
    for (const { path, ino, kind } of this.localPaths()) {
      if (kind === 'dir') tree[`${path}/`] = null;
      else tree[path] = await this.#readWithTime(ino);
    }
    return Object.fromEntries(Object.entries(tree).sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  async #readWithTime(ino: Ino): Promise<string> {
    const reading = this.readIno(ino);
    await this.clock.advance(1);
    return reading;
  }
}

/** A world in which this side knows all that the server has. */
export async function makeWorld(
  files: Record<string, string | Uint8Array> = {},
  options: Partial<FakeRemoteOptions> = {},
  sync: Partial<SyncOptions> = {},
): Promise<World> {
  const world = new World(() => 0.5, options, undefined, sync);
  for (const [path, content] of Object.entries(files)) world.server.writeDirect(remote(path), content);
  await world.refreshAll();
  world.server.clearLog();
  return world;
}

export function inoOf(world: World, path: string): Ino {
  const ino = world.ino(path);
  assert(ino !== undefined, `no ${path}`);
  return ino;
}

/** `/a/b` as the server's path. */
export function remote(path: string): RemotePath {
  return path
    .split('/')
    .filter((part) => part !== '')
    .reduce<RemotePath>((at, part) => joinRemote(at, nameOf(part)), REMOTE_ROOT);
}

/** A kernel that takes every file, however small. */
export function fakeBackingPort(): BackingPort & { readonly registered: ReadonlySet<number> } {
  let last = 0;
  const registered = new Set<number>();
  return {
    leastReadBytes: 1,
    registered,
    open: () => {
      last += 1;
      registered.add(last);
      return last as BackingId;
    },
    close: (id) => {
      assert(registered.delete(id), `backing file ${id} is not registered`);
    },
  };
}
