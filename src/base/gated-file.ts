/**
 * A file that one thread owns and another may write into until the owner shuts the gate. Shutting waits for the write
 * that runs at that moment and is final: after it no byte comes any more, so that the owner may truncate the file, give
 * it to someone else, or close its descriptor.
 */

import { writeSync } from 'node:fs';

/** What a thread needs to write into the file of another; it can be sent by postMessage. */
export interface GatedFile {
  readonly fd: number;
  /** Nothing is written behind this many bytes. */
  readonly size: number;
  /** One word of shared memory: see {@link makeGate}. */
  readonly gate: Int32Array;
}

/** A write came to: all of it is in the file; the gate is shut; it ends behind the file's size. */
export type GatedWrite = 'written' | 'shut' | 'beyond';

const OPEN = 0;
/** A write is running. */
const WRITING = 1;
/** A write is running, and the owner waits for its end. */
const WRITING_LAST = 2;
const SHUT = 3;
/** A disk that takes longer for one chunk is taken to be stuck. */
const LONGEST_WRITE_MS = 30_000;

/** An open gate. */
export function makeGate(): Int32Array {
  return new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
}

/** pwrite(2) of all of `data`, unless the gate is shut. Throws ErrnoException; one writer a gate at a time. */
export function writeGated({ fd, size, gate }: GatedFile, data: Uint8Array, position: number): GatedWrite {
  if (position + data.length > size) return 'beyond';
  if (Atomics.compareExchange(gate, 0, OPEN, WRITING) !== OPEN) return 'shut';
  try {
    let done = 0;
    while (done < data.length) {
      done += writeSync(fd, data, done, data.length - done, position + done);
    }
  } finally {
    if (Atomics.compareExchange(gate, 0, WRITING, OPEN) !== WRITING) {
      Atomics.store(gate, 0, SHUT);
      Atomics.notify(gate, 0);
    }
  }
  return 'written';
}

/** Whether a write is running at this moment. */
export function isBeingWritten(gate: Int32Array): boolean {
  const state = Atomics.load(gate, 0);
  return state === WRITING || state === WRITING_LAST;
}

/** Ends all writing where the thread that wrote has ended, perhaps in the middle of a write. */
export function abandonGate(gate: Int32Array): void {
  Atomics.store(gate, 0, SHUT);
}

/** Ends all writing; once more does nothing. Throws where the disk does not come to the end of a write. */
export function shutGate(gate: Int32Array): void {
  while (Atomics.compareExchange(gate, 0, OPEN, SHUT) !== OPEN) {
    if (Atomics.load(gate, 0) === SHUT) return;
    Atomics.compareExchange(gate, 0, WRITING, WRITING_LAST);
    if (Atomics.wait(gate, 0, WRITING_LAST, LONGEST_WRITE_MS) === 'timed-out') {
      throw new Error(`a write to the disk did not end within ${LONGEST_WRITE_MS / 1000} s`);
    }
  }
}
