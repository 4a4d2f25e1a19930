/**
 * A process that commits transactions until it is killed, and prints the number of each one that was committed.
 * Arguments: directory, number of the first transaction, `durable` to wait for the disk now and then.
 */

import { writeSync } from 'node:fs';
import { ROOT_INO } from '../../../../src/base/index.js';
import { openState, StateError } from '../../../../src/state/index.js';
import { baseOf, file, name } from './records.js';

const [dir = '', first = '0', mode = ''] = process.argv.slice(2);

function openOrReport(): ReturnType<typeof openState> {
  const store = openState({ dir });
  store.checkInvariants();
  return store;
}

const store = openOrReport();
for (let number = Number(first); ; number++) {
  try {
    store.transact((tx) => {
      // Each transaction adds one file, moves the one before and forgets an older one.
      const ino = tx.allocate();
      tx.put(file(ino, { parent: ROOT_INO, name: name(`new ${number}`) }));
      const moved = tx.localChild(ROOT_INO, name(`new ${number - 1}`));
      if (moved !== undefined) {
        const at = { parent: ROOT_INO, name: name(`moved ${number - 1}`) };
        tx.put(file(moved, at, { base: baseOf(at, 1) }));
      }
      const old = tx.localChild(ROOT_INO, name(`moved ${number - 50}`));
      if (old !== undefined) tx.remove(old);
    });
  } catch (error) {
    if (!(error instanceof StateError)) throw error;
    store.checkInvariants();
    writeSync(1, `refused ${error.code}\n`);
    process.exit(0);
  }
  writeSync(1, `${number}\n`);
  if (mode === 'durable' && number % 500 === 0) await store.durable();
  if (number % 20 === 0) await new Promise((resolve) => setImmediate(resolve));
}
