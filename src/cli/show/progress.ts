/** How far a queue is that grows and shrinks while someone waits for its end. */

import type { Status } from '../../control/index.js';
import { fraction, showBytes, showCount, showRate } from './units.js';

/** Bytes that one change counts for beside its body, so that a queue of empty files moves too. */
const CHANGE_WEIGHT_BYTES = 16 * 1024;

export interface Progress {
  /** From 0 to 1. */
  readonly fraction: number;
  readonly doneBytes: number;
  readonly totalBytes: number;
  /** Changes that are left. */
  readonly pending: number;
}

/** What is added meanwhile makes the whole larger; what is done never becomes less. */
export class QueueProgress {
  #leftBytes = 0;
  #totalBytes = 0;
  #pending = 0;
  #changes = 0;

  /** Takes the latest state, and tells how far it is. */
  observe({ queue }: Pick<Status, 'queue'>): Progress {
    const leftBytes = Math.max(0, queue.bytes - queue.bytesDone);
    this.#totalBytes += Math.max(0, leftBytes - this.#leftBytes);
    this.#changes += Math.max(0, queue.pending - this.#pending);
    this.#leftBytes = leftBytes;
    this.#pending = queue.pending;
    const whole = this.#totalBytes + this.#changes * CHANGE_WEIGHT_BYTES;
    const left = leftBytes + queue.pending * CHANGE_WEIGHT_BYTES;
    return {
      fraction: queue.pending === 0 ? 1 : fraction(whole - left, whole),
      doneBytes: this.#totalBytes - leftBytes,
      totalBytes: this.#totalBytes,
      pending: queue.pending,
    };
  }
}

/** What stands behind the bar: `12 MiB of 34 MiB, 5 changes left, 1.2 MiB/s`. */
export function progressText(progress: Progress, upBytesPerSecond: number): string {
  const { doneBytes, totalBytes, pending } = progress;
  const sizes = totalBytes === 0 ? '' : `${showBytes(doneBytes)} of ${showBytes(totalBytes)}, `;
  return `${sizes}${showCount(pending, 'change')} left, ${showRate(upBytesPerSecond)}`;
}

/** Why a queue does not become shorter; the first three hold all of it until something outside changes. */
export interface WaitReason {
  readonly key: 'offline' | 'unauthorized' | 'full' | 'failing';
  /** One line. */
  readonly text: string;
}

/** Undefined where things go their way. That the uploads are paused is said by the daemon, which does not wait then. */
export function waitReason({
  connection,
  queue,
}: Pick<Status, 'connection' | 'queue'>): WaitReason | undefined {
  if (queue.pending === 0) return undefined;
  switch (connection.kind) {
    case 'offline':
      return { key: 'offline', text: `the server cannot be reached: ${connection.reason}; waiting for it` };
    case 'unauthorized':
      return {
        key: 'unauthorized',
        text: `the server refuses the credentials: ${connection.reason}; give new ones with: infinimount rotate`,
      };
    case 'online':
      break;
  }
  if (queue.full !== undefined) {
    return {
      key: 'full',
      text: `the server is full: ${queue.full}; waiting until there is room`,
    };
  }
  if (queue.failing === 0) return undefined;
  return {
    key: 'failing',
    text: `${showCount(queue.failing, 'change')} cannot be sent now; see: infinimount queue`,
  };
}
