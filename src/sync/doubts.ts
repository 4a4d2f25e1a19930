/**
 * What is not known of the server, or not to be believed of its answers, beside the trees.
 *
 * Requests may take effect though the server was asked and had nothing of them yet: their daemon was killed, or their line
 * went dead, while a proxy or the server itself went on with what had been sent. What then appears at such a place is this
 * side's own, which nobody may want there any more. They are kept over restarts, since the node may be forgotten by then.
 * Of uploads whose answer is still to be asked for (`NodeRecord.attempt`) only the places are here, to be found by.
 */

import type { Ino, Name } from '../base/index.js';
import type { ETag } from '../remote/index.js';
import type {
  CopySource,
  NodeRecord,
  Place,
  StateStore,
  StateTransaction,
  StateView,
} from '../state/index.js';
import { copiedFrom } from './original.js';
import { holderOf, samePlace } from './server-tree.js';

/** How long a request may be on its way: longer than a TCP connection without its program, and than servers take for a body. */
const LATE_MS = 10 * 60_000;
/** As many as connections that may have been lost in that time, with much to spare; the oldest are forgotten first. */
const MOST = 256;
const KEY = 'sync:late-requests';
/** How long after an upload a server may do without it in its listings. */
const UNSEEN_MS = 5 * 60_000;
const MOST_UNSEEN = 10_000;

export interface LateRequest {
  /** The node that it was made for, which may be gone. */
  readonly ino: Ino;
  /** What it makes there: for a move the new place. */
  readonly place: Place;
  readonly sinceMs: number;
  readonly made: LateUpload | { readonly kind: 'directory' } | { readonly kind: 'move' };
}

/** A PUT or a COPY. */
export interface LateUpload {
  readonly kind: 'upload';
  readonly gen: number;
  /** Bytes. */
  readonly size: number;
  /** In hex; undefined for the copy of a version whose digest is not known. */
  readonly sha256: string | undefined;
  readonly copyOf: CopySource | undefined;
}

const DIRECTORY = { kind: 'directory' } as const;
const MOVE = { kind: 'move' } as const;

type UploadRow = readonly [
  gen: number,
  size: number,
  sha256: string | null,
  copyOf: readonly [ino: number, etag: string, gen: number] | null,
];
type Row = readonly [
  ino: number,
  parent: number,
  name: string,
  sinceMs: number,
  made: UploadRow | 'directory' | 'move',
];

export class Doubts {
  /** The youngest last. */
  #late: readonly LateRequest[];
  /** Nodes by the places of their attempts; may name some that have none any more. */
  readonly #open = new Map<string, Ino>();
  /** Files that were uploaded and have not been seen on the server since, the latest last, and when. */
  readonly #unseen = new Map<Ino, number>();
  /** Nodes whose removal was begun. */
  readonly #removing = new Set<Ino>();
  readonly #nowMs: () => number;

  constructor(state: Pick<StateStore, 'getMeta' | 'dirty' | 'get'>, nowMs: () => number) {
    this.#nowMs = nowMs;
    const rows = (state.getMeta(KEY) ?? []) as readonly Row[];
    this.#late = rows.map(requestOf);
    for (const ino of state.dirty()) {
      const node = state.get(ino);
      if (node === undefined || node.kind === 'dir') continue;
      if (node.attempt !== undefined) this.attempted(ino, node.attempt.place);
      if (node.local === undefined && node.base !== undefined) this.#removing.add(ino);
    }
  }

  /** An upload to the place is about to be sent. */
  attempted(ino: Ino, place: Place): void {
    this.#open.set(keyOf(place), ino);
  }

  /** An upload to the place has ended, one way or the other. */
  ended(place: Place): void {
    this.#open.delete(keyOf(place));
  }

  /** The node that has an upload to this place of which nobody knows yet whether it took effect. */
  attemptAt(view: StateView, place: Place): NodeRecord | undefined {
    if (this.#open.size === 0) return undefined;
    const key = keyOf(place);
    const ino = this.#open.get(key);
    if (ino === undefined) return undefined;
    const node = holderOf(view, ino, place);
    if (node !== undefined && node.kind !== 'dir' && samePlace(node.attempt?.place, place)) return node;
    this.#open.delete(key);
    return undefined;
  }

  /** The server was asked and has nothing of the node's attempt. In the transaction that forgets it. */
  undone(tx: StateTransaction, node: Exclude<NodeRecord, { kind: 'dir' }>): void {
    if (node.attempt === undefined) return;
    const { place, gen, size, sha256 } = node.attempt;
    const copyOf = copiedFrom(tx, node);
    // What was not sent to its last byte cannot take effect: the length was announced.
    if (sha256 === undefined && copyOf === undefined) return;
    const made = { kind: 'upload', gen, size, sha256, copyOf } as const;
    this.#note(tx, { ino: node.ino, place, sinceMs: this.#nowMs(), made });
  }

  /** A directory is about to be made. Returns what is noted of it; undefined where an earlier request may do the same. */
  making(tx: StateTransaction, ino: Ino, place: Place): LateRequest | undefined {
    return this.#note(tx, { ino, place, sinceMs: this.#nowMs(), made: DIRECTORY });
  }

  /** A node is about to be moved to the place. Returns as {@link making}. */
  moving(tx: StateTransaction, ino: Ino, place: Place): LateRequest | undefined {
    return this.#note(tx, { ino, place, sinceMs: this.#nowMs(), made: MOVE });
  }

  /** The server has taken an upload of the file. */
  uploaded(ino: Ino): void {
    this.#unseen.delete(ino);
    this.#unseen.set(ino, this.#nowMs());
    const [oldest] = this.#unseen.size > MOST_UNSEEN ? this.#unseen.keys() : [];
    if (oldest !== undefined) this.#unseen.delete(oldest);
  }

  /** The server shows the file. */
  seen(ino: Ino): void {
    this.#unseen.delete(ino);
  }

  /** Whether the file was uploaded lately and has not been seen on the server since. */
  isUnseen(ino: Ino): boolean {
    const sinceMs = this.#unseen.get(ino);
    return sinceMs !== undefined && this.#nowMs() - sinceMs <= UNSEEN_MS;
  }

  /** A file is about to be removed. */
  removing(ino: Ino): void {
    this.#removing.add(ino);
  }

  /** The server does not have the file any more. */
  removed(ino: Ino): void {
    this.#removing.delete(ino);
    this.#unseen.delete(ino);
  }

  /** Whether the server may have removed what it is known to have of a file, or may yet do it. */
  mayBeRemoved(ino: Ino): boolean {
    return this.#removing.has(ino);
  }

  /** Nodes that may not be where they were. */
  get moved(): readonly Ino[] {
    return [...new Set(this.#late.filter(({ made }) => made.kind === 'move').map(({ ino }) => ino))];
  }

  /** Where a node may be on the server, if it is not where it was. */
  movesOf(ino: Ino): readonly Place[] {
    return this.#late
      .filter((late) => late.ino === ino && late.made.kind === 'move')
      .map(({ place }) => place);
  }

  /** What may have brought what the server shows at the place now. */
  at(place: Place): readonly LateRequest[] {
    if (this.#late.length === 0) return this.#late;
    const nowMs = this.#nowMs();
    return this.#late.filter((late) => samePlace(late.place, place) && !isOver(late, nowMs));
  }

  /** It is known what is at the place: no earlier request can change that any more. */
  settled(tx: StateTransaction, place: Place): void {
    this.#forget(tx, (late) => samePlace(late.place, place));
  }

  /** The node is where it is: no earlier request moves it any more. */
  notMoved(tx: StateTransaction, ino: Ino): void {
    this.#forget(tx, (late) => late.ino === ino && late.made.kind === 'move');
  }

  /** What an upload made, or makes yet, where the node was, the node's move takes along. */
  movedAlong(tx: StateTransaction, from: Place, to: Place): void {
    for (const late of this.#late)
      if (late.made.kind === 'upload' && samePlace(late.place, from)) this.#note(tx, { ...late, place: to });
  }

  /** It has failed for certain, or what it made was found. */
  forget(tx: StateTransaction, request: LateRequest): void {
    this.#forget(tx, (late) => late === request);
  }

  #note(tx: StateTransaction, request: LateRequest): LateRequest | undefined {
    const isFirst = !this.#late.some((late) => isSame(late, request));
    const isLeft = (late: LateRequest) =>
      late.made.kind === 'move' ? tx.get(late.ino) !== undefined : !isOver(late, request.sinceMs);
    const others = this.#late.filter((late) => !isSame(late, request) && isLeft(late));
    this.#save(tx, [...others, request].slice(-MOST));
    return isFirst ? request : undefined;
  }

  #forget(tx: StateTransaction, which: (late: LateRequest) => boolean): void {
    const left = this.#late.filter((late) => !which(late));
    if (left.length < this.#late.length) this.#save(tx, left);
  }

  #save(tx: StateTransaction, late: readonly LateRequest[]): void {
    this.#late = late;
    tx.setMeta(KEY, late.length === 0 ? undefined : late.map(rowOf));
  }
}

function isSame(one: LateRequest, other: LateRequest): boolean {
  return one.ino === other.ino && one.made.kind === other.made.kind && samePlace(one.place, other.place);
}

/** Where a node was moved to is looked up whenever the server is there again; then nothing more is late. */
function isOver({ sinceMs, made }: LateRequest, nowMs: number): boolean {
  return made.kind !== 'move' && nowMs - sinceMs > LATE_MS;
}

/** A name has no slash in it. */
function keyOf({ parent, name }: Place): string {
  return `${parent}/${name}`;
}

function rowOf({ ino, place, sinceMs, made }: LateRequest): Row {
  return [ino, place.parent, place.name, sinceMs, made.kind === 'upload' ? uploadRow(made) : made.kind];
}

function requestOf([ino, parent, name, sinceMs, row]: Row): LateRequest {
  const place = { parent: parent as Ino, name: name as Name };
  return { ino: ino as Ino, place, sinceMs, made: madeOf(row) };
}

function uploadRow({ gen, size, sha256, copyOf }: LateUpload): UploadRow {
  return [gen, size, sha256 ?? null, copyOf === undefined ? null : [copyOf.ino, copyOf.etag, copyOf.gen]];
}

function madeOf(row: Row[4]): LateRequest['made'] {
  if (row === 'directory') return DIRECTORY;
  if (row === 'move') return MOVE;
  const [gen, size, sha256, copy] = row;
  const copyOf = copy === null ? undefined : { ino: copy[0] as Ino, etag: copy[1] as ETag, gen: copy[2] };
  return { kind: 'upload', gen, size, sha256: sha256 ?? undefined, copyOf };
}
