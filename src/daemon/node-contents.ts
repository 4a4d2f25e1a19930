/** What the nodes say of their content, for the store that has the files. */

import type { Ino } from '../base/index.js';
import type { NodeContent, NodeContents } from '../content/index.js';
import { cleanVersion, type StateView } from '../state/index.js';

export function nodeContents(state: StateView): NodeContents {
  const of = (ino: Ino): NodeContent => {
    const node = state.get(ino);
    if (node?.kind !== 'file') return { kind: 'unknown' };
    return { kind: node.content, etag: cleanVersion(node)?.etag, size: node.size };
  };
  return {
    of,
    *staged() {
      for (const ino of state.dirty()) if (of(ino).kind === 'staged') yield ino;
    },
  };
}
