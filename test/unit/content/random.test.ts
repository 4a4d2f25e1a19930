/** Random use of the content store on disk and of the one in memory: they must not differ. */

import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { describe, test } from 'node:test';
import type { Ino } from '../../../src/base/index.js';
import {
  type Body,
  ContentError,
  type ContentStore,
  MemoryContentStore,
  MemoryPresenceTable,
} from '../../../src/content/index.js';
import type { ETag } from '../../../src/remote/index.js';
import { openTemporary, StepClock, temporaryDir } from './support.js';

const STEPS = 4000;
const INOS = [1, 2, 257, 258] as Ino[];
const SIZES = [0, 1, 64, 5000];
const TAGS = [undefined, '"a"', '"b"'] as (ETag | undefined)[];

function lcg(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** What a call gave: its value, or the code of its error. */
function outcome(action: () => unknown): unknown {
  try {
    return action();
  } catch (error) {
    if (error instanceof ContentError) return `error ${error.code}`;
    throw error;
  }
}

function describeBody(body: Body | undefined): unknown {
  if (body === undefined) return undefined;
  const { kind, size, etag, isComplete, presentBytes } = body;
  const gaps: unknown[] = [];
  const present = Buffer.alloc(size);
  let at = 0;
  for (let gap = body.firstGap(0, size); ; gap = body.firstGap(gap.end, size)) {
    const end = gap?.start ?? size;
    if (at < end) body.readSync(present, at, end - at, at);
    if (gap === undefined) break;
    gaps.push(gap);
    at = gap.end;
  }
  return { kind, size, etag, isComplete, presentBytes, gaps, present: present.toString('latin1') };
}

/** One random step, the same for both stores for the same numbers. */
function step(store: ContentStore, numbers: readonly number[]): unknown {
  const [action = 0, which = 0, a = 0, b = 0] = numbers;
  const ino = INOS[which % INOS.length] as Ino;
  const body = store.peek(ino);
  const data = Buffer.alloc((b % 100) + 1, 65 + (a % 26));
  switch (action) {
    case 0:
    case 1: {
      const version = { etag: TAGS[a % TAGS.length], size: SIZES[b % SIZES.length] as number };
      return outcome(() => describeBody(store.acquireClean(ino, version)));
    }
    case 2:
      return outcome(() => describeBody(store.acquireStaged(ino)));
    case 3:
      return outcome(() => describeBody(store.createStaged(ino)));
    case 4:
    case 5:
      return outcome(() => store.release(ino));
    case 6:
    case 7:
      return outcome(() => body?.fill(a % (body.size + 1), data));
    case 8: {
      const gap = body?.kind === 'clean' ? body.firstGap(0, body.size) : undefined;
      return gap && outcome(() => body?.fill(gap.start, Buffer.alloc(gap.end - gap.start, 97)));
    }
    case 9:
      return outcome(() => body?.writeSync(data, a % 3000));
    case 10:
      return outcome(() => body?.truncateSync(a % 3000));
    case 11:
      return outcome(() => store.toStaged(ino));
    case 12:
      return outcome(() => store.toClean(ino, TAGS[a % TAGS.length]));
    case 13:
      return b % 4 === 0 ? outcome(() => store.discard(ino)) : undefined;
    default:
      return outcome(() => store.retag(ino, TAGS[1 + (a % 2)] as ETag));
  }
}

describe('content on disk against content in memory', () => {
  for (const seed of [31, 32, 33]) {
    test(`seed ${seed}`, async () => {
      const random = lcg(seed);
      const dir = temporaryDir();
      const presence = new MemoryPresenceTable();
      const clock = new StepClock();
      let memory = new MemoryContentStore();
      let disk = openTemporary(dir, { presence, clock }).store;
      let effects = 0;
      for (let count = 0; count < STEPS; count++) {
        const numbers = [random(15), random(4), random(10_000), random(10_000)];
        const expected = step(memory, numbers);
        assert.deepEqual(step(disk, numbers), expected, `step ${count}: ${numbers}`);
        if (typeof expected !== 'string') effects++;
        if (random(40) === 0) {
          for (const ino of INOS)
            assert.deepEqual(describeBody(disk.peek(ino)), describeBody(memory.peek(ino)));
          assert.deepEqual(disk.stats(), memory.stats());
        }
        if (random(400) === 0) {
          await disk.close();
          disk = openTemporary(dir, { presence, clock }).store;
          memory = new MemoryContentStore({ image: memory.image() });
        }
      }
      assert.ok(effects > STEPS / 4, `${effects} steps had an effect`);
      await disk.close();
      rmSync(dir, { recursive: true });
    });
  }
});
