/** Questions to the trees: what of a node's content the server has under another name. Pure. */

import type { Ino } from '../base/index.js';
import {
  type Base,
  type CopySource,
  copySource,
  type FileRecord,
  type NodeRecord,
  type StateView,
} from '../state/index.js';

/** What the server has already of a node's content. */
export interface Original {
  readonly ino: Ino;
  readonly base: Base;
  /** The content generation of the node that the copy is. */
  readonly gen: number;
}

/** Where the server has the content of a node that it does not have itself yet; undefined: nowhere that is known. */
export function originalOf(view: StateView, node: NodeRecord): Original | undefined {
  if (node.base !== undefined) return undefined;
  if (node.kind === 'alias') {
    const file = view.get(node.target);
    if (file?.kind !== 'file' || file.base === undefined || file.base.gen !== file.gen) return undefined;
    return { ino: file.ino, base: file.base, gen: file.gen };
  }
  if (node.kind !== 'file') return undefined;
  const source = copySource(node);
  const file = source === undefined ? undefined : copiedFile(view, source);
  if (file?.base?.size !== node.size) return undefined;
  return { ino: file.ino, base: file.base, gen: node.gen };
}

/** The version that a COPY of ours brings, or brought, to a node's place; undefined where its content was to be sent. */
export function copiedFrom(view: StateView, node: NodeRecord): CopySource | undefined {
  if (node.kind === 'file') return copySource(node);
  const file = node.kind === 'alias' ? view.get(node.target) : undefined;
  if (file?.kind !== 'file' || file.base?.etag === undefined) return undefined;
  return { ino: file.ino, etag: file.base.etag, gen: file.base.gen };
}

/** The file of such a version, where the server still has it, as far as is known. */
export function copiedFile(view: StateView, { ino, etag }: CopySource): FileRecord | undefined {
  const file = view.get(ino);
  return file?.kind === 'file' && file.base?.etag === etag && file.remote === undefined ? file : undefined;
}

/** Whether a node's content is on the server, to be copied there. */
export function isCopyOnServer(view: StateView, node: NodeRecord | undefined): boolean {
  return node !== undefined && node.kind !== 'dir' && originalOf(view, node) !== undefined;
}

/** Whether the bytes of a file that is a copy are still to come from where it was copied. */
export function isUnfetchedCopy(node: NodeRecord | undefined): boolean {
  return (
    node?.kind === 'file' &&
    node.content === 'clean' &&
    node.base === undefined &&
    copySource(node) !== undefined
  );
}
