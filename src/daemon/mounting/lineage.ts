/**
 * The names under which the daemons of one mount leave things to each other: what programs have open, which requests were
 * carried out, and the record of the mount.
 */

import { randomUUID } from 'node:crypto';
import type { SessionRecord } from './session-record.js';

export class Lineage {
  /** Of the mount, however many daemons serve it and however often its kernel mount is made anew. */
  readonly id: string;
  #kernelMounts: number;

  /** `earlier`: the record of the daemon before. */
  constructor(earlier: SessionRecord | undefined) {
    this.id = earlier?.id ?? randomUUID();
    this.#kernelMounts = earlier?.kernelMounts ?? 0;
  }

  get kernelMounts(): number {
    return this.#kernelMounts;
  }

  /** Of the connection to the kernel, within which requests are numbered. */
  get connection(): string {
    return `${this.id}.${this.#kernelMounts}`;
  }

  /** There is another kernel mount. */
  next(): void {
    this.#kernelMounts += 1;
  }
}
