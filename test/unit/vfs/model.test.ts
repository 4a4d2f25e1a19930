/**
 * Random calls against the file system and against a directory of the machine's own: every answer and every state in
 * between must be the same. One seed replays one run.
 */

import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { type Ino, ROOT_INO } from '../../../src/base/index.js';
import { type Attributes, type Fh, VfsError } from '../../../src/vfs/index.js';
import { makeWorld, now, type World } from './support.js';

const SEEDS = [1, 2, 3, 4, 5, 6, 7, 8];
const STEPS = 400;
const ROOT_CALLER = { uid: 0, gid: 0 };

/** mulberry32: small, seeded, good enough to choose steps. */
function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

/** The calls both sides know; paths are relative, without a leading slash, '' is the root. */
interface Side {
  mkdir(at: string): void;
  create(at: string, text: string): void;
  write(at: string, position: number, text: string): void;
  append(at: string, text: string): void;
  truncate(at: string, size: number): void;
  symlink(target: string, at: string): void;
  readlink(at: string): string;
  link(from: string, at: string): void;
  unlink(at: string): void;
  rmdir(at: string): void;
  rename(from: string, to: string): void;
  chmod(at: string, mode: number): void;
  /** Opens a file for reading and writing and keeps it. */
  hold(at: string): void;
  /** Writes through the oldest handle kept, reads all of it back, and lets go of it. */
  let(text: string): string;
  /** Everything below the root: path, kind, size, links, mode, content. */
  dump(): readonly string[];
}

class RealSide implements Side {
  readonly #root: string;
  readonly #held: number[] = [];

  constructor(root: string) {
    this.#root = root;
  }

  mkdir = (at: string) => fs.mkdirSync(this.#at(at), 0o755);
  create = (at: string, text: string) => fs.writeFileSync(this.#at(at), text, { flag: 'wx', mode: 0o644 });
  append = (at: string, text: string) =>
    this.#with(at, fs.constants.O_WRONLY | fs.constants.O_APPEND, (fd) => fs.writeSync(fd, text));
  write = (at: string, position: number, text: string) =>
    this.#with(at, 'r+', (fd) => fs.writeSync(fd, text, position));
  truncate = (at: string, size: number) => fs.truncateSync(this.#at(at), size);
  symlink = (target: string, at: string) => fs.symlinkSync(target, this.#at(at));
  readlink = (at: string) => fs.readlinkSync(this.#at(at));
  link = (from: string, at: string) => fs.linkSync(this.#at(from), this.#at(at));
  unlink = (at: string) => fs.unlinkSync(this.#at(at));
  rmdir = (at: string) => fs.rmdirSync(this.#at(at));
  rename = (from: string, to: string) => fs.renameSync(this.#at(from), this.#at(to));
  chmod = (at: string, mode: number) => fs.chmodSync(this.#at(at), mode);

  hold(at: string): void {
    this.#held.push(fs.openSync(this.#at(at), fs.constants.O_RDWR | fs.constants.O_NOFOLLOW));
  }

  let(text: string): string {
    const fd = this.#held.shift();
    if (fd === undefined) return '';
    fs.writeSync(fd, text, 1);
    const buffer = Buffer.alloc(4096);
    const read = fs.readSync(fd, buffer, 0, buffer.length, 0);
    fs.closeSync(fd);
    return buffer.toString('utf8', 0, read);
  }

  dump(): string[] {
    const lines: string[] = [];
    const walk = (at: string) => {
      for (const name of fs.readdirSync(this.#at(at)).sort()) {
        const below = at === '' ? name : `${at}/${name}`;
        const stat = fs.lstatSync(this.#at(below));
        const mode = (stat.mode & 0o7777).toString(8);
        if (stat.isDirectory()) {
          lines.push(`${below} dir ${mode}`);
          walk(below);
        } else if (stat.isSymbolicLink()) lines.push(`${below} symlink ${stat.size} ${this.readlink(below)}`);
        else
          lines.push(
            `${below} file ${mode} ${stat.size} ${stat.nlink} ${fs.readFileSync(this.#at(below), 'utf8')}`,
          );
      }
    };
    walk('');
    return lines;
  }

  close(): void {
    for (const fd of this.#held) fs.closeSync(fd);
  }

  #at(at: string): string {
    return path.join(this.#root, at);
  }

  #with(at: string, flags: string | number, act: (fd: number) => void): void {
    const fd = fs.openSync(this.#at(at), flags);
    act(fd);
    fs.closeSync(fd);
  }
}

/** Does what the kernel does around a file system: walks paths, asks before it changes, and keeps references straight. */
class VfsSide implements Side {
  readonly #world: World;
  readonly #held: { readonly fh: Fh; readonly ino: Ino }[] = [];

  constructor(world: World) {
    this.#world = world;
  }

  get heldCount(): number {
    return this.#held.length;
  }

  mkdir(at: string): void {
    const { parent, name } = this.#free(at);
    const made = now(this.#world.vfs.names.mkdir(parent, name, { mode: 0o755, caller: ROOT_CALLER }));
    this.#world.vfs.names.forget(made.ino, 1);
  }

  create(at: string, text: string): void {
    const { vfs } = this.#world;
    const { parent, name } = this.#free(at);
    const open = { writable: true, append: false, truncate: false };
    const request = { mode: 0o644, caller: ROOT_CALLER, open, exclusive: true };
    const { attributes, fh } = now(vfs.names.create(parent, name, request));
    if (text !== '') now(vfs.files.write(fh, Buffer.from(text), 0));
    this.#close(fh, attributes.ino);
  }

  append(at: string, text: string): void {
    this.#change(at, true, (fh) => now(this.#world.vfs.files.write(fh, Buffer.from(text), 0)));
  }

  write(at: string, position: number, text: string): void {
    this.#change(at, false, (fh) => now(this.#world.vfs.files.write(fh, Buffer.from(text), position)));
  }

  truncate(at: string, size: number): void {
    const { ino } = this.#existing(at);
    this.#using(ino, () => now(this.#world.vfs.attributes.set(ino, { size })));
  }

  symlink(target: string, at: string): void {
    const { parent, name } = this.#free(at);
    const made = now(this.#world.vfs.names.symlink(parent, name, target, ROOT_CALLER));
    this.#world.vfs.names.forget(made.ino, 1);
  }

  readlink(at: string): string {
    return this.#world.vfs.names.readlink(this.#existing(at).ino);
  }

  link(from: string, at: string): void {
    const { ino } = this.#existing(from);
    const { parent, name } = this.#free(at);
    now(this.#world.vfs.names.link(ino, parent, name));
    this.#world.vfs.names.forget(ino, 1);
  }

  unlink(at: string): void {
    const { ino, parent, name } = this.#existing(at);
    this.#using(ino, () => now(this.#world.vfs.names.unlink(parent, name)));
  }

  rmdir(at: string): void {
    const { ino, parent, name } = this.#existing(at);
    this.#using(ino, () => now(this.#world.vfs.names.rmdir(parent, name)));
  }

  rename(from: string, to: string): void {
    const source = this.#parentOf(from);
    const target = this.#parentOf(to);
    const { ino } = this.#existing(from);
    const replaced = now(this.#world.vfs.names.lookup(target.parent, target.name));
    try {
      this.#using(ino, () => now(this.#world.vfs.renames.run(source, target, 'replace')));
    } finally {
      if (replaced !== undefined) this.#world.vfs.names.forget(replaced.ino, 1);
    }
  }

  chmod(at: string, mode: number): void {
    now(this.#world.vfs.attributes.set(this.#existing(at).ino, { mode }));
  }

  hold(at: string): void {
    const { ino } = this.#existing(at);
    const fh = now(this.#world.vfs.files.open(ino, { writable: true, append: false, truncate: false }));
    this.#world.vfs.inodes.reference(ino);
    this.#held.push({ fh, ino });
  }

  let(text: string): string {
    const held = this.#held.shift();
    if (held === undefined) return '';
    now(this.#world.vfs.files.write(held.fh, Buffer.from(text), 1));
    const buffer = Buffer.alloc(4096);
    const read = now(this.#world.vfs.files.read(held.fh, buffer, 0, buffer.length, 0));
    this.#close(held.fh, held.ino);
    return buffer.toString('utf8', 0, read);
  }

  dump(): string[] {
    const { vfs } = this.#world;
    const lines: string[] = [];
    const walk = (ino: Ino, at: string) => {
      const fh = now(vfs.directories.open(ino));
      const found: [string, Attributes][] = [];
      vfs.directories.readPlus(fh, 0, ({ name, attributes, counted }) => {
        if (counted) found.push([name, attributes]);
        return true;
      });
      vfs.directories.release(fh);
      for (const [name, { ino: child, kind, mode, size, nlink }] of found.sort(([a], [b]) =>
        a < b ? -1 : 1,
      )) {
        const below = at === '' ? name : `${at}/${name}`;
        if (kind === 'dir') {
          lines.push(`${below} dir ${mode.toString(8)}`);
          walk(child, below);
        } else if (kind === 'symlink') lines.push(`${below} symlink ${size} ${vfs.names.readlink(child)}`);
        else lines.push(`${below} file ${mode.toString(8)} ${size} ${nlink} ${this.#content(child)}`);
        vfs.names.forget(child, 1);
      }
    };
    walk(ROOT_INO, '');
    return lines;
  }

  #content(ino: Ino): string {
    const { files } = this.#world.vfs;
    const fh = now(files.open(ino, { writable: false, append: false, truncate: false }));
    const buffer = Buffer.alloc(4096);
    const read = now(files.read(fh, buffer, 0, buffer.length, 0));
    files.release(fh);
    return buffer.toString('utf8', 0, read);
  }

  #change(at: string, append: boolean, act: (fh: Fh) => void): void {
    const { ino } = this.#existing(at);
    const fh = now(this.#world.vfs.files.open(ino, { writable: true, append, truncate: false }));
    this.#world.vfs.inodes.reference(ino);
    act(fh);
    this.#close(fh, ino);
  }

  #close(fh: Fh, ino: Ino): void {
    now(this.#world.vfs.files.flush(fh));
    this.#world.vfs.files.release(fh);
    this.#world.vfs.names.forget(ino, 1);
  }

  /** Holds a reference during a call, as a path walk does. */
  #using(ino: Ino, act: () => unknown): void {
    this.#world.vfs.inodes.reference(ino);
    try {
      act();
    } finally {
      this.#world.vfs.names.forget(ino, 1);
    }
  }

  #parentOf(at: string): { readonly parent: Ino; readonly name: string } {
    const segments = at.split('/');
    const name = segments.pop() ?? '';
    let parent: Ino = ROOT_INO;
    for (const segment of segments) parent = this.#child(parent, segment);
    if (this.#world.vfs.attributes.get(parent).kind !== 'dir') throw new VfsError('ENOTDIR', at);
    return { parent, name };
  }

  #existing(at: string): { readonly parent: Ino; readonly name: string; readonly ino: Ino } {
    const place = this.#parentOf(at);
    return { ...place, ino: this.#child(place.parent, place.name) };
  }

  #free(at: string): { readonly parent: Ino; readonly name: string } {
    const place = this.#parentOf(at);
    const found = now(this.#world.vfs.names.lookup(place.parent, place.name));
    if (found === undefined) return place;
    this.#world.vfs.names.forget(found.ino, 1);
    throw new VfsError('EEXIST', at);
  }

  #child(parent: Ino, name: string): Ino {
    const found = now(this.#world.vfs.names.lookup(parent, name));
    if (found === undefined) throw new VfsError('ENOENT', name);
    this.#world.vfs.names.forget(found.ino, 1);
    return found.ino;
  }
}

/** One random call, the same for each side it is given. */
function chooseStep(
  pick: (below: number) => number,
  files: readonly string[],
): [string, (side: Side) => unknown] {
  const segment = () => ['a', 'b', 'c'][pick(3)] ?? 'a';
  const somewhere = () => Array.from({ length: 1 + pick(3) }, segment).join('/');
  // Calls on files go to something that is a file, mostly: what symbolic links do on the way is the kernel's.
  const file = () => files[pick(files.length)] ?? 'missing';
  const text = `<${pick(1000)}>`;
  const at = somewhere();
  const to = somewhere();
  const of = file();
  const number = pick(20);
  const mode = 0o400 + pick(64);
  switch (pick(14)) {
    case 0:
    case 1:
      return [`mkdir ${at}`, (side) => side.mkdir(at)];
    case 2:
    case 3:
      return [`create ${at}`, (side) => side.create(at, number < 5 ? '' : text)];
    case 4:
      return [`write ${of} ${number}`, (side) => side.write(of, number, text)];
    case 5:
      return [`append ${of}`, (side) => side.append(of, text)];
    case 6:
      return [`truncate ${of} ${number}`, (side) => side.truncate(of, number)];
    case 7:
      return [`symlink ${at}`, (side) => side.symlink(`s/${text}`, `${at}.sym`)];
    case 8:
      return [`link ${of} ${at}`, (side) => side.link(of, at)];
    case 9:
      return [`unlink ${at}`, (side) => side.unlink(number < 15 ? at : `${at}.sym`)];
    case 10:
      return [`rmdir ${at}`, (side) => side.rmdir(at)];
    case 11:
      return [`rename ${at} ${to}`, (side) => side.rename(at, to)];
    case 12:
      return [`chmod ${of}`, (side) => side.chmod(of, mode)];
    default:
      return number < 10
        ? [`hold ${of}`, (side) => side.hold(of)]
        : [`let ${text}`, (side) => side.let(text)];
  }
}

function outcome(act: () => unknown): string {
  try {
    const value = act();
    return typeof value === 'string' ? `"${value}"` : 'done';
  } catch (error) {
    const code: unknown = error instanceof Error && 'code' in error ? error.code : undefined;
    if (typeof code !== 'string' || !code.startsWith('E')) throw error;
    return code;
  }
}

for (const seed of SEEDS) {
  test(`random calls answer as the machine's own file system does, seed ${seed}`, (t) => {
    const root = fs.mkdtempSync(path.join(os.tmpdir(), 'vfs-model-'));
    const real = new RealSide(root);
    t.after(() => {
      real.close();
      fs.rmSync(root, { recursive: true });
    });
    const world = makeWorld();
    const side = new VfsSide(world);
    const pick = random(seed);
    const history: string[] = [];
    const outcomes = new Map<string, number>();
    let before = real.dump();
    for (let step = 0; step < STEPS; step += 1) {
      const files = before.filter((line) => line.includes(' file ')).map((line) => line.split(' ')[0] ?? '');
      const [what, act] = chooseStep(pick, files);
      history.push(what);
      const expected = outcome(() => act(real));
      const trail = `step ${step}: ${history.slice(-5).join('; ')}`;
      assert.equal(
        outcome(() => act(side)),
        expected,
        trail,
      );
      before = real.dump();
      assert.deepEqual(side.dump(), before, trail);
      world.check();
      if (pick(20) === 0) world.uploadAll();
      outcomes.set(expected, (outcomes.get(expected) ?? 0) + 1);
    }
    // A run in which hardly anything succeeded or failed would show nothing.
    assert((outcomes.get('done') ?? 0) > STEPS / 5, JSON.stringify([...outcomes]));
    assert(outcomes.size >= 5, JSON.stringify([...outcomes]));
    const held = side.heldCount;
    assert.equal(world.vfs.inodes.referencedCount <= held, true, 'references that nobody gave back');
    world.vfs.close();
    world.uploadAll();
    world.check();
    const nodes = [...world.state.snapshot().nodes.values()];
    const named = (node: (typeof nodes)[number]) =>
      node.local !== undefined || (node.kind === 'file' && node.aliases.length > 0);
    assert.deepEqual(
      nodes.filter((node) => !named(node)),
      [],
      'nodes that nobody forgot',
    );
    const files = nodes.filter((node) => node.kind === 'file');
    assert.equal(world.content.stats().stagedFiles, files.length);
  });
}
