/**
 * What a change of the trees entails outside them: collected inside a transaction, carried out once it is committed.
 */

import type { Ino } from '../base/index.js';
import type { ContentStore } from '../content/index.js';
import type { ETag } from '../remote/index.js';
import type { Place } from '../state/index.js';
import type { Invalidation, Usage } from './api.js';
import type { ConflictRecord } from './conflict-records.js';
import type { Doubts } from './doubts.js';
import type { TakenNames } from './taken-names.js';

export interface Version {
  readonly etag: ETag | undefined;
  /** Bytes. */
  readonly size: number;
}

/** What merging and confirming need to know beside the trees. */
export interface TreeContext {
  readonly usage: Usage;
  readonly takenNames: TakenNames;
  readonly doubts: Doubts;
  readonly hostName: string;
  /** Owner and modes of nodes that come from the server. */
  readonly owner: {
    readonly uid: number;
    readonly gid: number;
    readonly fileMode: number;
    readonly dirMode: number;
  };
  nowMs(): number;
  nowNs(): bigint;
  /**
   * The version by which all bytes of a clean file are on this machine: the given one, or that of another name of the
   * file, if its body is in use by that.
   */
  wholeVersion(ino: Ino, version: Version): Version | undefined;
}

export class Effects {
  readonly invalidations: Invalidation[] = [];
  /** Versions of this side's that were kept beside the server's; noted in the transaction already. */
  readonly conflicts: ConflictRecord[] = [];
  readonly #discards = new Set<Ino>();
  readonly #emptied = new Set<Ino>();
  readonly #cleaned = new Map<Ino, ETag | undefined>();
  readonly #retagged = new Map<Ino, ETag>();
  readonly #staged = new Map<Ino, Version>();

  invalidateInode(ino: Ino): void {
    this.invalidations.push({ kind: 'inode', ino });
  }

  invalidateEntry(place: Place): void {
    this.invalidations.push({ kind: 'entry', parent: place.parent, name: place.name });
  }

  invalidateDeleted(place: Place, child: Ino): void {
    this.invalidations.push({ kind: 'delete', parent: place.parent, name: place.name, child });
  }

  /** The body belongs to a dead node or to an outdated version. */
  discard(ino: Ino): void {
    this.#discards.add(ino);
  }

  /** The staged body is what the server has now. */
  toClean(ino: Ino, etag: ETag | undefined): void {
    this.#cleaned.set(ino, etag);
  }

  /** The whole clean body of this version is a staged one from now on: the server has lost it. */
  toStaged(ino: Ino, version: Version): void {
    this.#staged.set(ino, version);
  }

  /** The clean body is an empty staged one from now on. */
  empty(ino: Ino): void {
    this.#emptied.add(ino);
  }

  /** The clean body's version is known by this tag from now on. */
  retag(ino: Ino, etag: ETag): void {
    this.#retagged.set(ino, etag);
  }

  /** Carries out what concerns bodies; the invalidations are the caller's to send. */
  applyTo(content: ContentStore): void {
    for (const [ino, version] of this.#staged) {
      content.acquireClean(ino, version);
      content.toStaged(ino);
      content.release(ino);
    }
    for (const ino of this.#emptied) {
      content.createStaged(ino);
      content.release(ino);
    }
    for (const [ino, etag] of this.#cleaned) content.toClean(ino, etag);
    for (const [ino, etag] of this.#retagged) content.retag(ino, etag);
    for (const ino of this.#discards) content.discard(ino);
  }
}
