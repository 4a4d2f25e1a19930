/**
 * Random local changes, changes by another client, faults and restarts, by seed. Afterwards everything must come to
 * rest with both sides equal, and no content may be lost that nobody meant to remove.
 *
 * `SEEDS=FROM-TO` runs other seeds, `SEED=N` one of them with its steps printed.
 */

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Ino } from '../../../src/base/index.js';
import { isRemoteError } from '../../../src/remote/index.js';
import { type ConflictChoice, type ConflictInfo, SyncError } from '../../../src/sync/index.js';
import { VfsError } from '../../../src/vfs/index.js';
import { type FaultPlan, lateFaults, randomFaults } from '../../support/faulty-remote.js';
import { type Random, seededRandom } from '../../support/random.js';
import { nameOf } from '../vfs/support.js';
import { KernelWriters } from './kernel-writers.js';
import { remote, World } from './world.js';

const STEPS = 60;
const CONTENT_BYTES = 12;
const NAMES = ['a', 'b', 'c', 'd'];
const DIRS = ['', '/p', '/q', '/p/q', '/q/p'];

/**
 * Seeds that once failed, each for a bug of its own: a further name whose content the server replaced (14, 30), a slot
 * that was filled for ever (34), a further name not told of new content (199), an upload with an open end found again
 * under another node (235), a file that is open under the tag of a name that is gone (364), a directory where a moved
 * file was (520), bytes that the server had and that another client removed, saved again (928), a file that
 * was moved by a request whose answer was lost while another took its old place (6583), a name to step aside to that is taken
 * (8928), a file in use by the tag of another of its names when one goes (10117), one of its size at the new place of a file that is gone
 * (13464), and with what is done by hand an endless question after a directory (3247),
 * an upload with an open end into a directory that is gone (118), a copy that was given up and made (1923).
 */
const PINNED: readonly number[] = [
  14, 30, 34, 118, 199, 235, 364, 520, 928, 1923, 3247, 6583, 8928, 10117, 13464,
];
/**
 * The same of requests that arrive late: a file moved out of the way by a request whose answer was lost (43), an upload to
 * a place where another name's has an open end (278), a file moved over another likewise (850), a directory moved likewise
 * where a new file is to be (3574), the bytes of a file saved again that was being removed (5236), a place where one
 * of the same size is (5877, 6555), a file that left the directory that is removed (8092), one that was to be replaced where
 * it is not any more (11925), a file removed from a directory that was moved (16492).
 */
const PINNED_LATE: readonly number[] = [43, 278, 850, 3574, 5236, 5877, 6555, 8092, 11925, 16492];

/** What happens beside what programs do that open, write and close. */
type Mode = 'nothing more' | 'by hand' | 'by the kernel' | 'late' | 'late and alone';

class Model {
  readonly world: World;
  readonly #random: Random;
  readonly #trace: boolean;
  /** Contents that nobody who saw them has removed or replaced. */
  readonly #live = new Set<string>();
  readonly #contentOfTag = new Map<string, string>();
  /** Decides on what is done by hand in between; undefined: nothing is. */
  readonly #hand: Random | undefined;
  /** Programs that keep files open, and that the kernel serves by itself. */
  readonly #writers: KernelWriters | undefined;
  /** Whether requests arrive late. */
  readonly #isLate: boolean;
  /** Whether there is no other client. */
  readonly #isAlone: boolean;
  #serial = 0;

  constructor(seed: number, trace: boolean, mode: Mode) {
    this.#random = seededRandom(seed);
    this.#hand = mode === 'by hand' ? seededRandom(seed + 1_000_000) : undefined;
    this.#trace = trace;
    this.#isLate = mode === 'late' || mode === 'late and alone';
    this.#isAlone = mode === 'late and alone';
    const backed = mode === 'by the kernel';
    const server = { pause: async () => this.#noteTags() };
    // Every other seed copies files of which nothing is here.
    const sync = seed % 2 === 0 ? {} : { openedBytes: 0 };
    this.world = new World(() => this.#random.next(), server, undefined, sync, backed);
    if (backed) {
      this.#writers = new KernelWriters(this.world, seededRandom(seed + 2_000_000), {
        note: (what, detail) => this.#note(what, detail),
        newContent: () => this.#content('kernel'),
        shownBy: (ino) => this.#contentOf(ino),
        replaced: (ino, before, after) => {
          this.#gone(before);
          if (this.world.localPaths().some((found) => found.ino === ino)) this.#live.add(after);
        },
      });
    }
  }

  async run(): Promise<void> {
    for (let step = 0; step < STEPS; step += 1) {
      if (this.#hand?.chance(0.25)) await this.#local(() => this.#byHand());
      if (this.#writers !== undefined && step % 2 === 0) await this.#local(() => this.#writers?.step());
      await this.#step();
      this.#noteTags();
      if (this.#trace) this.#printRequests();
      this.world.check();
      this.#checkAlone();
    }
    this.world.engine.resume();
    await this.#local(() => this.#writers?.closeAll());
    this.#touchInterrupted();
    const shown = this.#contents();
    await this.world.converge();
    if (this.#isLate) {
      if (this.#trace) this.#printRequests();
      await this.#arrive();
      this.#checkAlone(shown);
    }
    await this.world.converge();
    if (this.#trace) this.#printRequests();
    this.world.check();
    this.#checkAlone(shown);
    const there = this.world.server.textTree();
    assert.deepEqual(await this.world.localTree(), there, 'both sides are equal');
    const kept = new Set(Object.values(there));
    const lost = [...this.#live].filter((content) => !kept.has(content));
    await this.#checkPins();
    assert.deepEqual(lost, [], `contents lost; the server has ${JSON.stringify(there, null, 1)}`);
  }

  /** What a program had open when everything died is held back until somebody says that it is good. */
  #touchInterrupted(): void {
    for (const { ino } of this.world.localPaths()) {
      const node = this.world.state.get(ino);
      if (node?.kind === 'file' && node.interrupted)
        void this.world.vfs.attributes.set(ino, { mtime: 'now' });
    }
  }

  /** Where there is no other client: no conflict, and nothing that changes by itself. */
  #checkAlone(shown?: Record<string, string | undefined>): void {
    if (!this.#isAlone) return;
    assert.deepEqual(this.world.engine.conflicts(), [], 'one client is in no conflict with itself');
    if (shown !== undefined) assert.deepEqual(this.#contents(), shown, 'nothing changes by itself');
  }

  /** What the mount shows, from its path. */
  #contents(): Record<string, string | undefined> {
    this.#noteTags();
    return Object.fromEntries(
      this.world
        .localPaths()
        .map(({ path, ino, kind }) => [path, kind === 'dir' ? '' : this.#contentOf(ino)]),
    );
  }

  async #arrive(count?: number): Promise<void> {
    this.#note('LATE', String(await this.world.remote.arrive(count)));
    this.#noteTags();
  }

  #faults(): FaultPlan {
    const random = () => this.#random.next();
    return this.#isLate ? lateFaults(random, 0.3) : randomFaults(random, 0.3);
  }

  async #checkPins(): Promise<void> {
    await this.#pass(120_000);
    const missing = (await this.world.engine.pins()).filter(
      ({ bytes, presentBytes }) => bytes !== presentBytes,
    );
    assert.deepEqual(missing, [], 'what is pinned is here');
  }

  async #step(): Promise<void> {
    const random = this.#random;
    const kind = random.below(100);
    if (kind < 22) await this.#local(() => this.#write(this.#anyPath()));
    else if (kind < 28) await this.#local(() => this.#saveByRename(this.#anyPath()));
    else if (kind < 36) await this.#local(() => this.#rename(this.#existing(), this.#anyPath()));
    else if (kind < 42) await this.#local(() => this.#remove(this.#existing()));
    else if (kind < 48)
      await this.#local(() => this.world.mkdir(this.#note('mkdir', random.pick(DIRS.slice(1)) ?? '/p')));
    else if (kind < 51) await this.#local(() => this.#exchange());
    else if (kind < 54) await this.#local(() => this.#link());
    else if (kind < 59) await this.#local(() => this.#copy(this.#anyPath()));
    else if (kind < 73 && (this.#isAlone || (this.#isLate && kind >= 70))) await this.#arrive(1);
    else if (kind < 64) this.#remoteWrite(this.#anyPath());
    else if (kind < 69) this.#remoteRemove();
    else if (kind < 73) this.#remoteMove();
    else if (kind < 90) await this.#pass(random.pick([1, 50, 250, 1_000, 6_000, 40_000]) ?? 1);
    else if (kind < 95) this.world.remote.setPlan(random.chance(0.5) ? undefined : this.#faults());
    else this.#restart();
  }

  /** What whoever looks after the mount does, who has a random number generator of his own. */
  async #byHand(): Promise<void> {
    const random = this.#hand;
    const { engine } = this.world;
    const ino = random?.pick(this.world.localPaths())?.ino;
    const kind = random?.below(6);
    if (kind === 0) engine.pause();
    else if (kind === 1) engine.resume();
    else if (kind === 2 && ino !== undefined) engine.pin(ino);
    else if (kind === 3) await engine.evict(random?.chance(0.5) ? ino : undefined);
    else if (kind === 4) {
      const [pin] = await engine.pins();
      if (pin !== undefined) engine.unpin(pin.ino);
    } else
      this.#resolve(random?.pick(engine.conflicts()), random?.pick(['local', 'server', 'both'] as const));
    this.#note(
      'BY HAND',
      `${['pause', 'resume', 'pin', 'evict', 'unpin', 'resolve'][kind ?? 0]} ${ino ?? ''}`,
    );
  }

  #resolve(conflict: ConflictInfo | undefined, keep: ConflictChoice | undefined): void {
    if (conflict === undefined || keep === undefined) return;
    this.#note('resolve', `${conflict.copy} of ${conflict.path}: ${keep}`);
    const [ours, theirs] = [this.#shown(conflict.copy), this.#shown(conflict.path)];
    this.world.engine.resolveConflict(conflict.ino, keep);
    if (keep !== 'both') this.#gone(keep === 'local' ? theirs : ours);
  }

  /** Runs a local operation as a program does: it may fail, but only as the system says it may. */
  async #local(work: () => Promise<void> | void): Promise<void> {
    let settled = false;
    const running = Promise.resolve()
      .then(work)
      .catch((error: unknown) => {
        if (error instanceof SyncError) return;
        if (!(error instanceof VfsError) && !isRemoteError(error)) throw error;
        if (
          error instanceof VfsError &&
          ['EIO', 'ESTALE'].includes(error.code) &&
          !isRemoteError(error.cause)
        )
          throw error;
        this.#note('  failed', error instanceof VfsError ? error.code : error.code);
      })
      .finally(() => {
        settled = true;
      });
    // It is awaited further below, and not before time has passed.
    running.catch(() => undefined);
    for (let turn = 0; turn < 300 && !settled; turn += 1) await this.world.clock.advance(turn < 5 ? 0 : 500);
    assert(settled, 'a local operation waits for ever');
    await running;
  }

  async #write(path: string): Promise<void> {
    const content = this.#content('ours');
    this.#note('write', `${path} = ${content}`);
    const before = await this.#look(path);
    if (!(await this.#writeWhole(path, content))) return;
    this.#gone(before);
    this.#live.add(content);
  }

  /** False where the server has another version by now: then the kernel would look again, and write over that one. */
  async #writeWhole(path: string, content: string): Promise<boolean> {
    try {
      await this.world.write(path, content);
      return true;
    } catch (error) {
      if (error instanceof VfsError && error.code === 'ESTALE') return false;
      throw error;
    }
  }

  async #saveByRename(path: string): Promise<void> {
    const content = this.#content('saved');
    this.#note('save', `${path} = ${content}`);
    const temporary = `${path}.tmp`;
    const before = await this.#look(temporary);
    if (!(await this.#writeWhole(temporary, content))) return;
    this.#gone(before);
    this.#live.add(content);
    await this.#rename(temporary, path);
  }

  async #rename(from: string | undefined, to: string): Promise<void> {
    if (from === undefined) return;
    this.#note('rename', `${from} -> ${to}`);
    await this.#look(from);
    const shown = await this.#look(to);
    const replaced = this.#inoOf(from) === this.#inoOf(to) ? undefined : shown;
    await this.world.rename(from, to);
    this.#gone(replaced);
    // A listing may have told of it in the last moment, and the rename replaces whatever is there.
    this.#gone(this.#givenUp(to));
  }

  /** What the server is known to have under a name that stands for another node here by now. */
  #givenUp(path: string): string | undefined {
    const { parent, name } = this.world.split(path);
    const ino = this.world.state.baseChild(parent, nameOf(name));
    const node = ino === undefined ? undefined : this.world.state.get(ino);
    return node?.local === undefined && node?.base?.etag !== undefined
      ? this.#contentOfTag.get(node.base.etag)
      : undefined;
  }

  async #exchange(): Promise<void> {
    const [from, to] = [this.#existing(), this.#existing()];
    if (from === undefined || to === undefined || from === to) return;
    this.#note('exchange', `${from} <-> ${to}`);
    await this.world.rename(from, to, 'exchange');
  }

  async #link(): Promise<void> {
    const files = this.world.localPaths().filter(({ kind }) => kind === 'file');
    const from = this.#random.pick(files)?.path;
    if (from === undefined) return;
    const to = this.#anyPath();
    this.#note('link', `${from} -> ${to}`);
    await this.world.link(from, to);
  }

  async #copy(to: string): Promise<void> {
    const files = this.world.localPaths().filter(({ kind }) => kind === 'file');
    const from = this.#random.pick(files)?.path;
    if (from === undefined || from === to) return;
    this.#note('copy', `${from} -> ${to}`);
    await this.#look(from);
    let before = await this.#look(to);
    const [source, target] = [this.#inoOf(from), this.#inoOf(to)];
    if (source === undefined || source === target) return;
    let content = this.#contentOf(source);
    try {
      // News of both may have come while the source was opened.
      await this.world.copy(from, to, () => {
        content = this.#contentOf(source);
        before = this.#shown(to);
      });
    } catch (error) {
      // A copy that breaks off has emptied what was there.
      if (this.#shown(to) !== before) this.#gone(before);
      if (error instanceof VfsError && ['ESTALE', 'EIO'].includes(error.code)) return;
      throw error;
    }
    this.#gone(before);
    const made = this.#inoOf(to);
    if (made === undefined || content === undefined) return;
    this.#noteTags();
    // The server may have another file of that name, of which a listing has told meanwhile.
    const isCopy = ({ ino }: { readonly ino: Ino }) => ino !== source && this.#contentOf(ino) === content;
    if (!this.world.localPaths().some(isCopy))
      assert.equal(this.#contentOf(made), content, 'the copy is what was copied');
    this.#live.add(content);
  }

  async #remove(path: string | undefined): Promise<void> {
    if (path === undefined) return;
    this.#note('remove', path);
    const node = this.world.localPaths().find((found) => found.path === path);
    if (node?.kind !== 'dir') {
      const content = this.#shown(path);
      await this.world.unlink(path);
      this.#gone(content);
      return;
    }
    const inside = this.world.localPaths().filter((found) => found.path.startsWith(`${path}/`));
    for (const found of inside.reverse()) {
      if (found.kind === 'dir') {
        await this.world.rmdir(found.path);
        continue;
      }
      const content = this.#shown(found.path);
      await this.world.unlink(found.path);
      this.#gone(content);
    }
    await this.world.rmdir(path);
  }

  #remoteWrite(path: string): void {
    const parts = path.split('/').filter((part) => part !== '');
    for (let depth = 1; depth < parts.length; depth += 1) {
      if (this.world.server.entryOf(remote(parts.slice(0, depth).join('/')))?.kind === 'file') return;
    }
    if (this.world.server.entryOf(remote(path))?.kind === 'dir') return;
    const content = this.#content('theirs');
    this.#note('REMOTE write', `${path} = ${content}`);
    this.#forgetOnServer(path);
    this.world.server.writeDirect(remote(path), content);
    this.#live.add(content);
  }

  #remoteRemove(): void {
    const path = this.#random.pick(Object.keys(this.world.server.textTree()));
    if (path === undefined) return;
    this.#note('REMOTE remove', path);
    this.#forgetOnServer(path);
    this.world.server.removeDirect(remote(path));
  }

  #remoteMove(): void {
    const from = this.#random.pick(Object.keys(this.world.server.textTree()));
    const to = this.#anyPath();
    if (from === undefined || this.world.server.entryOf(remote(to)) !== undefined) return;
    const parent = to.slice(0, to.lastIndexOf('/'));
    if (`${to}/`.startsWith(from) || this.world.server.entryOf(remote(parent))?.kind !== 'dir') return;
    this.#note('REMOTE move', `${from} -> ${to}`);
    this.world.server.moveDirect(remote(from), remote(to));
  }

  async #pass(ms: number): Promise<void> {
    this.#note('time', String(ms));
    await this.world.clock.advance(ms);
  }

  #restart(): void {
    this.#note('RESTART', '');
    this.#writers?.dropped();
    const random = this.#random;
    this.world.restart(random.chance(0.5) ? undefined : this.#faults());
  }

  /** What is removed by someone who saw it is not missed, unless another name shows it too. */
  #gone(content: string | undefined): void {
    if (content === undefined) return;
    // A name here that shows what the server no longer has under it is only waiting for the news.
    const there = this.world.server.textTree();
    const elsewhere = this.world.localPaths().some(({ path, ino, kind }) => {
      if (kind === 'dir' || this.#contentOf(ino) !== content) return false;
      const node = this.world.state.get(ino);
      return (node?.kind === 'file' && node.content === 'staged') || there[path] === content;
    });
    if (!elsewhere) this.#live.delete(content);
  }

  #forgetOnServer(path: string): void {
    const prefix = path.endsWith('/') ? path : `${path}/`;
    for (const [found, content] of Object.entries(this.world.server.textTree())) {
      if (content !== null && (found === path || found.startsWith(prefix))) this.#live.delete(content);
    }
  }

  /** What a program sees under a name that it is about to change. */
  async #look(path: string): Promise<string | undefined> {
    const { parent, name } = this.world.split(path);
    await this.world.vfs.names.lookup(parent, name);
    const ino = this.#inoOf(path);
    if (ino !== undefined) await this.world.engine.fresh(ino);
    return this.#shown(path);
  }

  #shown(path: string): string | undefined {
    const ino = this.#inoOf(path);
    return ino === undefined ? undefined : this.#contentOf(ino);
  }

  #inoOf(path: string): Ino | undefined {
    return this.world.localPaths().find((found) => found.path === path)?.ino;
  }

  /** What a file shows, known from its staged body or from its version. */
  #contentOf(ino: Ino): string | undefined {
    const node = this.world.state.get(ino);
    if (node?.kind !== 'file') return undefined;
    if (node.content === 'staged')
      return Buffer.from(this.world.content.image().get(ino)?.bytes ?? []).toString();
    const bases = [node, ...node.aliases.map((alias) => this.world.state.get(alias))].map(
      (record) => record?.base?.etag,
    );
    for (const etag of bases) {
      const content = etag === undefined ? undefined : this.#contentOfTag.get(etag);
      if (content !== undefined) return content;
    }
    return Buffer.from(this.world.content.image().get(ino)?.bytes ?? []).toString();
  }

  #noteTags(): void {
    for (const [path, content] of Object.entries(this.world.server.textTree())) {
      const etag = content === null ? undefined : this.world.server.entryOf(remote(path))?.etag;
      if (content !== null && etag !== undefined) this.#contentOfTag.set(etag, content);
    }
  }

  #printRequests(): void {
    for (const { verb, path, to, condition, result } of this.world.server.log) {
      const more = [to === undefined ? '' : `-> ${to}`, condition ?? ''].join(' ');
      console.log(`      ${verb} ${path} ${more} ${result}`);
    }
    this.world.server.clearLog();
    for (const { verb, path, fault } of this.world.remote.played.splice(0))
      console.log(`      FAULT ${verb} ${path} ${JSON.stringify(fault)}`);
  }

  #anyPath(): string {
    return `${this.#random.pick(DIRS) ?? ''}/${this.#random.pick(NAMES) ?? 'a'}`;
  }

  #existing(): string | undefined {
    return this.#random.pick(this.world.localPaths())?.path;
  }

  #content(who: string): string {
    this.#serial += 1;
    // All of one length, so that one is written over another without more ado.
    return `${who}-${this.#serial}`.padEnd(CONTENT_BYTES, '.');
  }

  #note(what: string, detail: string): string {
    if (this.#trace) console.log(`${what} ${detail}`);
    return detail;
  }
}

function seeds(pinned: readonly number[]): number[] {
  const one = process.env.SEED;
  if (one !== undefined) return [Number(one)];
  const [from = 1, to = 120] = (process.env.SEEDS ?? '1-120').split('-').map(Number);
  return [...new Set([...pinned, ...Array.from({ length: to - from + 1 }, (_, index) => from + index)])];
}

test('random changes on both sides, faults and restarts', async (context) => {
  await runSeeds(context, 'nothing more');
});

test('the same with what is done by hand in between: pausing, pinning, evicting, resolving', async (context) => {
  await runSeeds(context, 'by hand');
});

test('the same with files that stay open and that the kernel reads and writes by itself', async (context) => {
  await runSeeds(context, 'by the kernel');
});

test('requests that arrive late, of a daemon that may be dead: nothing that was removed comes back', async (context) => {
  await runSeeds(context, 'late and alone');
});

test('the same beside another client', async (context) => {
  await runSeeds(context, 'late');
});

async function runSeeds(context: TestContext, mode: Mode): Promise<void> {
  for (const seed of seeds(mode === 'late and alone' ? PINNED_LATE : PINNED)) {
    const model = new Model(seed, process.env.SEED !== undefined, mode);
    try {
      await model.run();
    } catch (error) {
      context.diagnostic(`seed ${seed}`);
      throw new Error(`seed ${seed}: ${error instanceof Error ? error.message : String(error)}`, {
        cause: error,
      });
    }
  }
}
