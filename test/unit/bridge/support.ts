/** Requests as the driver makes them, for calling handlers without a driver. */

import assert from 'node:assert/strict';
import type { DirentSink, EntryReply, RequestContext } from '../../../src/fuse/index.js';
import { FuseError } from '../../../src/fuse/index.js';

export function contextOf(fields: Partial<RequestContext> = {}): RequestContext {
  return {
    uid: 1000,
    gid: 1001,
    pid: 4242,
    unique: 2,
    resent: false,
    signal: new AbortController().signal,
    ...fields,
  };
}

/** A sink with room for `room` entries. */
export class ListSink implements DirentSink {
  readonly plus: boolean;
  readonly added: {
    name: string;
    ino: number;
    type: number;
    offset: number;
    entry: EntryReply | undefined;
  }[] = [];
  readonly #room: number;

  constructor(plus: boolean, room = Number.POSITIVE_INFINITY) {
    this.plus = plus;
    this.#room = room;
  }

  add(name: string, ino: number, type: number, offset: number, entry?: EntryReply): boolean {
    if (this.added.length >= this.#room) return false;
    this.added.push({ name, ino, type, offset, entry });
    return true;
  }
}

/** The errno name that a call fails with. */
export async function errnoOf(call: () => unknown): Promise<string> {
  try {
    await call();
  } catch (error) {
    assert(error instanceof FuseError, String(error));
    return error.code;
  }
  return 'no error';
}
