/** Packs `fuse_dirent` and `fuse_direntplus` records into a reply buffer. */

import { OUT_HEADER_BYTES } from './abi.js';
import type { Lease } from './buffers.js';
import type { DirentSink, EntryReply } from './handlers.js';
import { DIRENT, DIRENTPLUS, ENTRY_OUT } from './layouts.js';
import { putEntry } from './reply.js';
import { writeU53 } from './struct.js';

const RECORD_ALIGN = 8;
const MAX_UTF8_BYTES_PER_UNIT = 3;

export class DirentWriter implements DirentSink {
  readonly plus: boolean;
  /** Node ids that the reply hands to the kernel, one an entry that counts as a look-up. */
  readonly handedOver: number[] = [];
  readonly #lease: Lease;
  readonly #limit: number;
  #end = OUT_HEADER_BYTES;

  /** Packs behind the out header of `lease`, at most `sizeBytes`. */
  constructor(lease: Lease, sizeBytes: number, plus: boolean) {
    this.#lease = lease;
    this.#limit = OUT_HEADER_BYTES + sizeBytes;
    this.plus = plus;
  }

  /** Bytes packed so far, without the out header. */
  get length(): number {
    return this.#end - OUT_HEADER_BYTES;
  }

  add(name: string, ino: number, type: number, offset: number, entry?: EntryReply): boolean {
    const { bytes, view } = this.#lease;
    const start = this.#end;
    const at = this.plus ? start + DIRENTPLUS.at.dirent : start;
    const nameAt = at + DIRENT.size;
    const room = this.#limit - nameAt;
    if (room < name.length * MAX_UTF8_BYTES_PER_UNIT + RECORD_ALIGN) {
      const exact = Buffer.byteLength(name);
      if (Math.ceil(exact / RECORD_ALIGN) * RECORD_ALIGN > room) return false;
    }
    const nameBytes = bytes.write(name, nameAt);
    const end = start + Math.ceil((nameAt - start + nameBytes) / RECORD_ALIGN) * RECORD_ALIGN;
    bytes.fill(0, nameAt + nameBytes, end);
    writeU53(view, at + DIRENT.at.ino, ino);
    writeU53(view, at + DIRENT.at.off, offset);
    view.setUint32(at + DIRENT.at.namelen, nameBytes, true);
    view.setUint32(at + DIRENT.at.type, type, true);
    if (this.plus) this.#entry(name, start, entry);
    this.#end = end;
    return true;
  }

  #entry(name: string, at: number, entry: EntryReply | undefined): void {
    if (entry === undefined) {
      this.#lease.bytes.fill(0, at, at + ENTRY_OUT.size);
      return;
    }
    putEntry(this.#lease.view, at, entry);
    // The kernel takes no reference for these two (fuse_direntplus_link, fs/fuse/readdir.c).
    if (entry.nodeId !== 0 && name !== '.' && name !== '..') this.handedOver.push(entry.nodeId);
  }
}
