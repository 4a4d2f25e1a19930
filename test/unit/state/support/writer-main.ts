/**
 * A process that commits transactions until it is killed, and prints the number of each one that was committed.
 * Arguments: directory, number of the first transaction, `durable` to wait for the disk now and then.
 */

import { writeSync } from 'node:fs';
import { isErrno, ROOT_INO } from '../../../../src/base/index.js';
import { openState, StateError } from '../../../../src/state/index.js';
import { baseOf, file, name } from './records.js';

const [dir = '', first = '0', mode = ''] = process.argv.slice(2);

/** Prints a line before it returns; the pipe does not block, so a full one is waited for. */
function say(line: string): void {
  for (let bytes = Buffer.from(`${line}\n`); bytes.length > 0; ) {
    try {
      bytes = bytes.subarray(writeSync(1, bytes));
    } catch (error) {
      if (!isErrno(error, 'EAGAIN')) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
  }
}

/** The kernel's request that a transaction carries out; each is answered while the next one is in work. */
const originOf = (number: number) => 2 * (number + 1);

const store = openState({ dir });
store.checkInvariants();
store.origins.begin('connection');
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
      tx.markDone(originOf(number), ino);
    });
    store.origins.answered(originOf(number - 1));
  } catch (error) {
    if (!(error instanceof StateError)) throw error;
    store.checkInvariants();
    say(`refused ${error.code}`);
    process.exit(0);
  }
  say(String(number));
  if (mode === 'durable' && number % 500 === 0) await store.durable();
  if (number % 20 === 0) await new Promise((resolve) => setImmediate(resolve));
}
