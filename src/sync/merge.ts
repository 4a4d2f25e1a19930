/**
 * Takes what the server says into the trees. What this side has not changed follows the server; what it has changed is
 * left as it is and marked (`remote`), so that the planner asks before it writes. Runs inside a transaction, pure but
 * for the collected effects.
 */

import { type Ino, type Name, type Ns, ROOT_INO } from '../base/index.js';
import type { RemoteEntry } from '../remote/index.js';
import type { Base, DirRecord, FileRecord, NodeRecord, Place, StateTransaction } from '../state/index.js';
import { contentGen, passName } from '../state/index.js';
import { conflictName } from './conflict-name.js';
import { addConflict } from './conflict-records.js';
import { buryIfDead, deadFile } from './dead-nodes.js';
import type { LateRequest } from './doubts.js';
import type { Effects, TreeContext } from './effects.js';
import { samePlace } from './server-tree.js';

/** An entry of a listing, with the target when the file stands for a symbolic link. */
export interface SeenEntry {
  readonly entry: RemoteEntry;
  readonly linkTarget: string | undefined;
}

/** Slack between two ways in which a server tells the time of the same write, in ms (whole seconds, either rounded). */
const MTIME_SLACK_MS = 2_000;

const GONE = { kind: 'gone' } as const;

/** Whether the server still has what `base` says. */
export function isSameVersion(base: Base, entry: RemoteEntry): boolean {
  if (base.etag !== undefined && entry.etag !== undefined) return base.etag === entry.etag;
  if (base.size !== entry.size) return false;
  if (base.mtimeMs === undefined || entry.mtimeMs === undefined) return true;
  return Math.abs(base.mtimeMs - entry.mtimeMs) <= MTIME_SLACK_MS;
}

export class Merge {
  readonly #tx: StateTransaction;
  readonly #effects: Effects;
  readonly #context: TreeContext;

  constructor(tx: StateTransaction, effects: Effects, context: TreeContext) {
    this.#tx = tx;
    this.#effects = effects;
    this.#context = context;
  }

  /** One entry of the listing of `dir`. */
  entry(dir: Ino, name: Name, seen: SeenEntry): void {
    const tx = this.#tx;
    const place: Place = { parent: dir, name };
    const known = this.#baseNode(place);
    if (known?.base !== undefined) {
      if ((known.kind === 'dir') === (seen.entry.kind === 'dir')) {
        if (known.kind !== 'dir') this.#version(known, known.base, seen);
        else if (known.remote !== undefined) tx.put({ ...known, remote: undefined });
        return;
      }
      this.gone(known.ino);
    }
    // A local node of that name that the server does not know is looked at when it is carried there.
    if (tx.localChild(dir, name) === undefined && !this.#isOurs(place, seen)) this.create(place, seen);
  }

  /** Whether it may be what a request of this side's brought, for which nobody has a name any more. */
  #isOurs(place: Place, seen: SeenEntry): boolean {
    const attempted =
      seen.entry.kind === 'file' && this.#context.doubts.attemptAt(this.#tx, place) !== undefined;
    return attempted || this.recall(place, seen);
  }

  /**
   * Where an earlier request of ours may have brought what the server shows at a place: a node is to ask for it, and has it
   * removed if so. The place may be another node's by now.
   */
  recall(place: Place, seen: SeenEntry): boolean {
    return this.#context.doubts.at(place).some((request) => this.#recall(request, seen));
  }

  #recall(request: LateRequest, seen: SeenEntry): boolean {
    const tx = this.#tx;
    const { doubts, nowNs } = this.#context;
    const { ino, place, made } = request;
    const { entry } = seen;
    if (made.kind === 'move') return this.#recallMoved(request, entry);
    if (made.kind === 'directory') {
      if (entry.kind !== 'dir' || this.#baseNode(place) !== undefined) return false;
      tx.put(this.#fromServer(tx.allocate(), undefined, place, seen));
      return true;
    }
    const { gen, size, sha256, copyOf } = made;
    if (entry.kind !== 'file' || entry.size !== size) return false;
    doubts.forget(tx, request);
    const occupant = this.#baseNode(place);
    const isSame = occupant?.ino === ino && occupant.kind !== 'dir';
    const copied = copyOf === undefined ? {} : { copyOf };
    const node = isSame ? occupant : { ...deadFile(tx.allocate(), size, gen, nowNs()), ...copied };
    tx.put({ ...node, attempt: { place, gen, size, sha256 } });
    doubts.attempted(node.ino, place);
    return true;
  }

  /** A tag that it had before says that it is the very node; else whoever asks for the old place finds out. */
  #recallMoved({ ino, place }: LateRequest, entry: RemoteEntry): boolean {
    const node = this.#tx.get(ino);
    const etag = node?.base?.etag;
    if (node?.base === undefined || node.kind === 'dir' || etag === undefined || etag !== entry.etag)
      return false;
    if (this.#baseNode(place) !== undefined) return false;
    this.#context.doubts.notMoved(this.#tx, ino);
    this.#tx.put({ ...node, base: { ...node.base, parent: place.parent, name: place.name } });
    return true;
  }

  /**
   * A node that the server no longer has. What was changed here stays and will be made there anew. One that a request of
   * ours may have moved is looked for first.
   */
  gone(ino: Ino): void {
    const tx = this.#tx;
    const node = tx.get(ino);
    if (node?.base === undefined) return;
    if (this.#context.doubts.movesOf(ino).length > 0) {
      tx.put({ ...node, remote: GONE });
      return;
    }
    if (node.kind === 'dir') {
      const children = [...tx.entries(ino)].flatMap((entry) =>
        entry.base === undefined ? [] : [entry.base],
      );
      for (const child of children) this.gone(child);
      if (tx.hasBaseChildren(ino)) {
        tx.put({ ...node, remote: GONE });
        return;
      }
      const keep = node.local !== undefined && tx.hasLocalChildren(ino);
      const listedAtMs = this.#context.nowMs();
      if (keep) tx.put({ ...node, base: undefined, remote: undefined, listedAtMs });
      else this.#drop(node);
      return;
    }
    const changedHere = node.local !== undefined && contentGen(node, tx) !== node.base.gen;
    this.#context.doubts.undone(tx, node);
    if (changedHere) {
      tx.put({ ...node, base: undefined, remote: undefined, attempt: undefined });
    } else {
      this.#context.doubts.removed(ino);
      this.#drop(node.attempt === undefined ? node : { ...node, attempt: undefined });
    }
  }

  /** A node for what the server has at a place where nothing is known of it; the directory comes back if it was deleted. */
  create(place: Place, seen: SeenEntry): Ino {
    const tx = this.#tx;
    this.reviveDirectory(place.parent);
    const ino = tx.allocate();
    tx.put(this.#fromServer(ino, place, place, seen));
    const dir = tx.get(place.parent);
    // Nobody can have been told of a directory before its first listing that a name is not there.
    if (dir?.kind === 'dir' && dir.listedAtMs !== undefined) {
      this.#touchDirectory(place.parent);
      this.#effects.invalidateEntry(place);
    }
    return ino;
  }

  /** Brings a deleted directory back into the local tree, since the server has something new in it. */
  reviveDirectory(dir: Ino): void {
    const tx = this.#tx;
    const node = tx.get(dir);
    if (node?.kind !== 'dir' || node.local !== undefined || node.base === undefined) return;
    this.reviveDirectory(node.base.parent);
    const parent = node.base.parent;
    const taken = tx.localChild(parent, node.base.name) !== undefined;
    const name = taken ? this.freeName(parent, node.base.name) : node.base.name;
    const local: Place = { parent, name };
    tx.put({ ...node, local });
    this.#touchDirectory(parent);
    this.#effects.invalidateEntry(local);
  }

  /**
   * Both sides have something under one name: the server's keeps it, the local node moves beside it and counts as new.
   * Returns the local node's place.
   */
  keepBoth(ino: Ino, place: Place, seen: SeenEntry): Place | undefined {
    const tx = this.#tx;
    const node = tx.get(ino);
    if (node === undefined) return undefined;
    const hadBaseHere = samePlace(node.base, place);
    const base = hadBaseHere ? undefined : node.base;
    let moved: Place | undefined;
    if (node.local !== undefined) {
      // Only a name that the server's version wants has to be given up.
      const inTheWay = samePlace(node.local, place);
      moved = inTheWay ? { parent: place.parent, name: this.freeName(place.parent, place.name) } : node.local;
      this.#effects.invalidateEntry(node.local);
      if (inTheWay) this.#effects.invalidateEntry(moved);
      if (inTheWay) this.#noteConflict(ino, place);
    }
    tx.put(withTrees(node, moved, base));
    if (node.kind === 'dir' && hadBaseHere) this.#forgetBaseBelow(ino);
    buryIfDead(tx, this.#effects, this.#context.usage, ino);
    const shown = tx.localChild(place.parent, place.name) === undefined;
    if (shown && this.#baseNode(place) === undefined) this.create(place, seen);
    return moved;
  }

  /**
   * A program wrote to a file whose name the server's side had taken away: it goes back to its place, or beside what is
   * there now, and counts as new.
   */
  giveBackName(ino: Ino, place: Place): void {
    const tx = this.#tx;
    const node = tx.get(ino);
    if (node?.kind !== 'file' || node.local !== undefined) return;
    this.reviveDirectory(place.parent);
    const dir = tx.get(place.parent);
    const parent = dir?.kind === 'dir' && dir.local !== undefined ? dir.ino : ROOT_INO;
    const isTaken = tx.localChild(parent, place.name) !== undefined;
    const local = { parent, name: isTaken ? this.freeName(parent, place.name) : place.name };
    tx.put({ ...node, local });
    this.#touchDirectory(parent);
    this.#effects.invalidateEntry(local);
    if (isTaken) this.#noteConflict(ino, { parent, name: place.name });
  }

  #noteConflict(ino: Ino, place: Place): void {
    const { parent, name } = place;
    const conflict = { ino, place: { parent, name }, atMs: this.#context.nowMs() };
    addConflict(this.#tx, conflict);
    this.#effects.conflicts.push(conflict);
  }

  /** Takes another version of a node whose content was not changed here. */
  takeVersion(node: NodeRecord, seen: SeenEntry): void {
    const { base } = node;
    if (base === undefined || node.kind === 'dir') return;
    const plain = node.kind === 'file' && seen.linkTarget === undefined && node.aliases.length === 0;
    if (!plain || this.#context.usage.holdsVersion(node.ino)) {
      this.#replace(node, base, seen);
      return;
    }
    const mtime = this.#timeOf(seen.entry);
    this.#tx.put({
      ...node,
      base: { ...versionOf(seen.entry), parent: base.parent, name: base.name, gen: node.gen },
      remote: undefined,
      size: seen.entry.size,
      content: 'clean',
      mtime,
      ctime: this.#context.nowNs(),
    });
    this.#effects.discard(node.ino);
    this.#effects.invalidateInode(node.ino);
  }

  /** A conflict name that neither tree has in `dir`. */
  freeName(dir: Ino, name: Name): Name {
    const tx = this.#tx;
    const isTaken = (candidate: Name) =>
      tx.localChild(dir, candidate) !== undefined || tx.baseChild(dir, candidate) !== undefined;
    return conflictName(name, this.#context.hostName, this.#context.nowMs(), isTaken);
  }

  #version(node: NodeRecord, base: Base, seen: SeenEntry): void {
    const { entry } = seen;
    const tx = this.#tx;
    if (node.kind === 'dir') return;
    this.#context.doubts.seen(node.ino);
    if (isSameVersion(base, entry)) {
      // A tag that is known stays, since the body here goes by it.
      const version = { ...versionOf(entry), etag: entry.etag ?? base.etag };
      if (base.etag !== version.etag || base.mtimeMs !== entry.mtimeMs || node.remote !== undefined) {
        tx.put({ ...node, base: { ...base, ...version }, remote: undefined });
        if (node.kind === 'file' && node.content === 'clean' && entry.etag !== undefined) {
          this.#effects.retag(node.ino, entry.etag);
        }
      }
      return;
    }
    const changedHere =
      node.local === undefined ||
      contentGen(node, tx) !== base.gen ||
      node.attempt !== undefined ||
      // Then it may be another file that took the place.
      this.#context.doubts.movesOf(node.ino).length > 0;
    if (changedHere) tx.put({ ...node, remote: { kind: 'version', ...versionOf(entry) } });
    else this.takeVersion(node, seen);
  }

  /** The name stands for a new node from now on; who has the old one open keeps what he has. */
  #replace(node: NodeRecord, base: Base, seen: SeenEntry): void {
    const tx = this.#tx;
    const ino = tx.allocate();
    const place: Place = { parent: base.parent, name: base.name };
    this.#noteTaken(node);
    const passed = node.kind === 'file' ? passName(tx, node, true) : undefined;
    const old = (passed === undefined ? undefined : tx.get(passed)) ?? node;
    tx.put(withTrees(old, undefined, undefined));
    tx.put(this.#fromServer(ino, node.local ?? place, place, seen));
    if (node.local !== undefined) this.#effects.invalidateEntry(node.local);
    buryIfDead(tx, this.#effects, this.#context.usage, old.ino);
    if (passed !== undefined) this.#keepOtherNames(node.ino, base);
  }

  #noteTaken({ ino, kind, local }: NodeRecord): void {
    const { usage, takenNames } = this.#context;
    if (kind === 'file' && local !== undefined && usage.hasWritableHandle(ino))
      takenNames.note(this.#tx, ino, local);
  }

  /** The name goes, and with it the node, unless it has another name. */
  #drop(node: NodeRecord): void {
    this.#noteTaken(node);
    const passed = node.kind === 'file' ? passName(this.#tx, node, true) : undefined;
    const heir = passed === undefined ? undefined : this.#tx.get(passed);
    this.#dropNode(heir ?? node);
    if (heir !== undefined) this.#keepOtherNames(node.ino, node.base);
  }

  /**
   * The version that a further name stands for is gone from the server before the name got there. What is whole on
   * this machine goes up from here; what is not cannot be had any more.
   */
  #keepOtherNames(ino: Ino, lost: Base | undefined): void {
    const file = this.#tx.get(ino);
    if (file?.kind !== 'file' || file.base !== undefined || file.content !== 'clean') return;
    const whole = this.#context.wholeVersion(ino, { etag: lost?.etag, size: file.size });
    if (whole === undefined) {
      this.#drop(file);
      return;
    }
    this.#tx.put({ ...file, content: 'staged', gen: file.gen + 1 });
    this.#effects.toStaged(ino, whole);
  }

  #dropNode(node: NodeRecord): void {
    if (node.local !== undefined) {
      this.#effects.invalidateDeleted(node.local, node.kind === 'alias' ? node.target : node.ino);
      this.#touchDirectory(node.local.parent);
    }
    this.#tx.put(withTrees(node, undefined, undefined));
    buryIfDead(this.#tx, this.#effects, this.#context.usage, node.ino);
  }

  /** A directory that the server now has as something else: what is in it will be made anew. */
  #forgetBaseBelow(dir: Ino): void {
    for (const entry of [...this.#tx.entries(dir)]) if (entry.base !== undefined) this.gone(entry.base);
  }

  #fromServer(ino: Ino, local: Place | undefined, place: Place, seen: SeenEntry): NodeRecord {
    const { owner } = this.#context;
    const { entry, linkTarget } = seen;
    const time = this.#timeOf(entry);
    const { parent, name } = place;
    const base: Base = {
      etag: entry.etag,
      size: entry.size,
      mtimeMs: entry.mtimeMs,
      parent,
      name,
      gen: 0,
    };
    const { uid, gid } = owner;
    // Written out: spreading shared parts into each record is ten times dearer, and listings make thousands.
    if (entry.kind === 'dir') {
      const dir: DirRecord = {
        ino,
        local,
        base,
        remote: undefined,
        uid,
        gid,
        atime: time,
        mtime: time,
        ctime: time,
        kind: 'dir',
        mode: owner.dirMode,
        listedAtMs: undefined,
      };
      return dir;
    }
    if (linkTarget !== undefined) {
      return {
        ino,
        local,
        base,
        remote: undefined,
        uid,
        gid,
        atime: time,
        mtime: time,
        ctime: time,
        kind: 'symlink',
        mode: 0o777,
        target: linkTarget,
        gen: 0,
        attempt: undefined,
      };
    }
    const file: FileRecord = {
      ino,
      local,
      base,
      remote: undefined,
      uid,
      gid,
      atime: time,
      mtime: time,
      ctime: time,
      kind: 'file',
      mode: owner.fileMode,
      size: entry.size,
      gen: 0,
      content: 'clean',
      writing: false,
      interrupted: false,
      attempt: undefined,
      aliases: [],
    };
    return file;
  }

  #timeOf(entry: RemoteEntry): Ns {
    return entry.mtimeMs === undefined
      ? this.#context.nowNs()
      : BigInt(Math.trunc(entry.mtimeMs)) * 1_000_000n;
  }

  #touchDirectory(dir: Ino): void {
    const node = this.#tx.get(dir);
    if (node?.kind !== 'dir' || node.listedAtMs === undefined) return;
    const now = this.#context.nowNs();
    this.#tx.put({ ...node, mtime: now, ctime: now });
    this.#effects.invalidateInode(dir);
  }

  #baseNode(place: Place): NodeRecord | undefined {
    const ino = this.#tx.baseChild(place.parent, place.name);
    return ino === undefined ? undefined : this.#tx.get(ino);
  }
}

/** The version that a listing's entry names. */
export function versionOf(entry: RemoteEntry): Pick<Base, 'etag' | 'size' | 'mtimeMs'> {
  return { etag: entry.etag, size: entry.size, mtimeMs: entry.mtimeMs };
}

/** The node with other places; what was said or tried of the old base is void. */
function withTrees(node: NodeRecord, local: Place | undefined, base: Base | undefined): NodeRecord {
  const trees = { local, base, remote: undefined };
  return node.kind === 'dir' ? { ...node, ...trees } : { ...node, ...trees, attempt: undefined };
}
