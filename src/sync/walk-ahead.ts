/**
 * Listings ahead of a reader who goes through a tree: a program that reads a directory and then one in it goes on to
 * the next ones in the order of their names, depth first. This keeps those that it will come to in that order, and has
 * as many listed at a time as the reader has paid for by opening directories. It reads no listing itself.
 */

import { LRUCache } from 'lru-cache';
import type { Ino } from '../base/index.js';
import type { DirRecord, StateView } from '../state/index.js';

/** Each directory that the reader opens pays for this many listings ahead of it; the sum is bounded. */
const CREDIT = 8;
const CREDIT_MAX = 128;
const FRONTIER_MAX = 512;
const ENUMERATED_MAX = 1024;
/** Entries looked at for the directories among them: each is a record to read, and a directory may hold 100,000 files. */
const SCAN_MAX = 1024;

export interface WalkAheadDeps {
  readonly state: StateView;
  /** Lists a directory; never rejects. */
  readonly list: (dir: Ino) => Promise<void>;
  readonly isListing: (dir: Ino) => boolean;
  /** Whether requests may be made now. */
  readonly mayAsk: () => boolean;
  /** How many listings may be under way ahead of the reader. */
  readonly atOnce: () => number;
}

export class WalkAhead {
  readonly #deps: WalkAheadDeps;
  /** Directories that programs read lately. */
  readonly #enumerated = new LRUCache<Ino, true>({ max: ENUMERATED_MAX });
  /** Directories never listed, in the order in which the reader comes to them; one that is being listed stays in. */
  #frontier: Ino[] = [];
  #running = 0;
  #credit = 0;
  #closed = false;

  constructor(deps: WalkAheadDeps) {
    this.#deps = deps;
  }

  close(): void {
    this.#closed = true;
    this.#frontier = [];
  }

  /** A program begins to read a directory. */
  opened(dir: DirRecord): void {
    const parent = dir.local?.parent;
    if (parent !== undefined && this.#enumerated.has(parent)) {
      this.#credit = Math.min(CREDIT_MAX, this.#credit + CREDIT);
      if (dir.listedAtMs === undefined && !this.#frontier.includes(dir.ino)) this.#startAt(dir);
      this.#pump();
    }
    this.#enumerated.set(dir.ino, true);
  }

  /** A directory was listed, or could not be: what is in it comes in its place. */
  settled(dir: Ino): void {
    const at = this.#frontier.indexOf(dir);
    if (at === -1) return;
    this.#open(at, dir);
    this.#pump();
  }

  /** Puts what is in the directory `dir` of the frontier in its place. */
  #open(at: number, dir: Ino): void {
    this.#frontier.splice(at, 1, ...this.#unlistedIn(dir));
    this.#frontier.length = Math.min(this.#frontier.length, FRONTIER_MAX);
  }

  /** The reader came to a directory that was not foreseen: it goes on with what follows there, and then above. */
  #startAt(dir: DirRecord): void {
    this.#frontier = [dir.ino];
    let { local } = dir;
    while (local !== undefined && this.#enumerated.has(local.parent)) {
      this.#frontier.push(...this.#unlistedIn(local.parent, local));
      if (this.#frontier.length >= FRONTIER_MAX) break;
      const above = this.#deps.state.get(local.parent);
      local = above?.ino === above?.local?.parent ? undefined : above?.local;
    }
    this.#frontier.length = Math.min(this.#frontier.length, FRONTIER_MAX);
  }

  #unlistedIn(dir: Ino, after?: NonNullable<DirRecord['local']>): Ino[] {
    const { state } = this.#deps;
    const found: Ino[] = [];
    let scanned = 0;
    for (const entry of state.entries(dir, after?.name)) {
      scanned += 1;
      if (scanned > SCAN_MAX) break;
      const child = entry.local === undefined ? undefined : state.get(entry.local);
      if (child?.kind === 'dir' && isUnlisted(child)) found.push(child.ino);
      if (found.length >= FRONTIER_MAX) break;
    }
    return found;
  }

  #pump(): void {
    const { list, isListing, mayAsk, state } = this.#deps;
    const atOnce = this.#deps.atOnce();
    for (let index = 0; index < this.#frontier.length; ) {
      if (this.#closed || this.#running >= atOnce || this.#credit <= 0 || !mayAsk()) return;
      const dir = this.#frontier[index];
      const node = dir === undefined ? undefined : state.get(dir);
      if (dir === undefined || node?.kind !== 'dir') {
        this.#frontier.splice(index, 1);
        continue;
      }
      if (!isUnlisted(node)) {
        // Listed, but its listing is not settled yet: left out here, what is in it would never come.
        this.#open(index, dir);
        continue;
      }
      index += 1;
      if (isListing(dir)) continue;
      this.#running += 1;
      this.#credit -= 1;
      void list(dir).finally(() => {
        this.#running -= 1;
        this.#pump();
      });
    }
  }
}

function isUnlisted(dir: DirRecord): boolean {
  return dir.listedAtMs === undefined && dir.base !== undefined;
}
