/** What must hold between the tables at any time, checked over all of them. */

import { type Ino, ROOT_INO } from '../base/index.js';
import type { Backing } from './backing.js';
import { StateError } from './errors.js';
import type { NodeRecord } from './records.js';
import { isDirty, type StateView } from './store.js';
import { reachesRoot } from './view.js';

/**
 * Throws `StateError` 'invariant' with the first of these that is broken:
 *
 * - the root exists and is a directory
 * - each place of a record has its name entry and each name entry its record, so no two nodes share a place
 * - each node in a tree hangs below the root in that tree, through directories only (so there is no cycle)
 * - the dirty set holds exactly the nodes that `isDirty` says
 * - a file's aliases are alias records that point at it, and the other way round
 */
export function checkTreeInvariants(view: StateView, backing: Backing): void {
  if (view.get(ROOT_INO)?.kind !== 'dir') fail('there is no root directory');
  let dirtyCount = 0;
  const dirty = new Set(view.dirty());
  if (dirty.size !== view.dirtyCount)
    fail(`dirtyCount is ${view.dirtyCount}, ${dirty.size} nodes are listed`);
  for (const record of backing.allNodes()) {
    checkPlaces(record, view);
    checkAliases(record, view);
    if (isDirty(record, view) !== dirty.has(record.ino)) {
      fail(
        `node ${record.ino} is ${dirty.has(record.ino) ? '' : 'not '}in the dirty set, against its record`,
      );
    }
    if (dirty.has(record.ino)) dirtyCount++;
  }
  if (dirtyCount !== dirty.size) fail(`${dirty.size - dirtyCount} nodes in the dirty set do not exist`);
  for (const { parent, entry } of backing.allNames()) {
    for (const tree of ['local', 'base'] as const) {
      const ino = entry[tree];
      if (ino === undefined) continue;
      const place = view.get(ino)?.[tree];
      if (place?.parent !== parent || place.name !== entry.name) {
        fail(
          `the ${tree} index says that "${entry.name}" in directory ${parent} is node ${ino}, its record does not`,
        );
      }
    }
  }
}

function checkPlaces(record: NodeRecord, view: StateView): void {
  if (record.ino === ROOT_INO) return;
  for (const tree of ['local', 'base'] as const) {
    const place = record[tree];
    if (place === undefined) continue;
    const { parent, name } = place;
    const indexed: Ino | undefined =
      tree === 'local' ? view.localChild(parent, name) : view.baseChild(parent, name);
    if (indexed !== record.ino) {
      fail(
        `node ${record.ino} is "${name}" in directory ${parent} of the ${tree} tree, the index says ${indexed}`,
      );
    }
    if (view.get(parent)?.kind !== 'dir')
      fail(`node ${record.ino}: its ${tree} parent ${parent} is no directory`);
    if (!reachesRoot(view, record.ino, tree))
      fail(`node ${record.ino} does not hang below the root in the ${tree} tree`);
  }
}

function checkAliases(record: NodeRecord, view: StateView): void {
  if (record.kind === 'alias') {
    const target = view.get(record.target);
    if (target?.kind !== 'file') fail(`alias ${record.ino} points at ${record.target}, which is no file`);
    else if (!target.aliases.includes(record.ino))
      fail(`file ${target.ino} does not know its alias ${record.ino}`);
  } else if (record.kind === 'file') {
    for (const ino of record.aliases) {
      const alias = view.get(ino);
      if (alias?.kind !== 'alias' || alias.target !== record.ino) {
        fail(`file ${record.ino} names ${ino} as its alias, which is none of it`);
      }
    }
  }
}

function fail(message: string): never {
  throw new StateError('invariant', message);
}
