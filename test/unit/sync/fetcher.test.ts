/** What is fetched of a file, when, and what happens when it changes or the line breaks meanwhile. */

import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { describe, test } from 'node:test';
import { type Ino, type Interruptible, silentLog } from '../../../src/base/index.js';
import type { Body, FileContentStore } from '../../../src/content/index.js';
import type { ETag } from '../../../src/remote/index.js';
import { Connectivity } from '../../../src/sync/connectivity.js';
import { Fetcher } from '../../../src/sync/fetcher.js';
import { LineMeter } from '../../../src/sync/line-meter.js';
import { RateMeter } from '../../../src/sync/rates.js';
import type { FakeRemoteOptions, FakeVerb } from '../../support/fake-remote.js';
import { type ManualClock, quiesce } from '../../support/manual-clock.js';
import { openTemporary, temporaryDir } from '../content/support.js';
import { nameOf } from '../vfs/support.js';
import { Gate } from './gate.js';
import { remote, World } from './world.js';

const KIB = 1024;
const MIB = 1024 * KIB;

/** Bytes that tell their position and their version. */
function bytesOf(size: number, version = 0): Uint8Array {
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size; at += 1) bytes[at] = (at * 31 + (at >> 8) + version * 101) & 0xff;
  return bytes;
}

class Reading {
  readonly world: World;
  readonly ino: Ino;
  readonly body: Body;
  readonly wanted: Uint8Array;

  private constructor(world: World, wanted: Uint8Array) {
    this.world = world;
    this.wanted = wanted;
    const ino = world.ino('/f');
    const node = ino === undefined ? undefined : world.state.get(ino);
    assert(node?.kind === 'file');
    this.ino = node.ino;
    this.body = world.content.acquireClean(node.ino, { etag: node.base?.etag, size: node.size });
  }

  static async of(size: number, options: Partial<FakeRemoteOptions> = {}): Promise<Reading> {
    const world = new World(() => 0.5, options);
    const wanted = bytesOf(size);
    world.server.writeDirect(remote('/f'), wanted);
    await world.refreshAll();
    world.server.clearLog();
    return new Reading(world, wanted);
  }

  /** On a line of 5 ms and 12.8 MB/s. */
  static async farAway(size: number): Promise<Reading> {
    let clock: ManualClock | undefined;
    const pause = (verb: FakeVerb) =>
      new Promise<void>((resolve) => {
        if (verb === 'read' && clock !== undefined) clock.after(5, resolve);
        else resolve();
      });
    const file = await Reading.of(size, { pause });
    ({ clock } = file.world);
    return file;
  }

  /** Reads a page, and waits until what was asked for with it is here. */
  async jumpTo(start: number): Promise<void> {
    const pending = this.present(start, start + 4 * KIB);
    await this.world.clock.advance(100);
    await pending;
    await this.read(start, start + 4 * KIB);
  }

  present(start: number, end: number, request?: Interruptible): Promise<void> | undefined {
    return this.world.engine.present(this.ino, start, end, request);
  }

  /** Reads and waits, and checks that the bytes are those of the version. */
  async read(start: number, end: number): Promise<void> {
    const pending = this.present(start, end);
    await this.world.clock.advance(0);
    await pending;
    const target = Buffer.alloc(end - start);
    const length = this.body.readSync(target, 0, target.length, start);
    assert.ok(target.subarray(0, length).equals(this.wanted.subarray(start, end)), 'other bytes');
  }

  get requests(): number {
    return this.world.server.counts().read;
  }

  /** Bytes that the server was asked for. */
  get asked(): number {
    return this.world.server.log.reduce(
      (sum, { verb, bytes }) => sum + (verb === 'read' ? (bytes ?? 0) : 0),
      0,
    );
  }
}

describe('what is fetched', () => {
  test('a small file whole, by one request, whatever part of it is read', async () => {
    const file = await Reading.of(200 * KIB);
    await file.read(150 * KIB, 151 * KIB);
    await quiesce();
    assert.equal(file.body.isComplete, true);
    assert.equal(file.requests, 1);
    assert.equal(file.present(0, 200 * KIB), undefined);
  });

  test('nothing for what is here, nor behind the end', async () => {
    const file = await Reading.of(MIB);
    await file.read(0, 4 * KIB);
    assert.equal(file.present(0, 4 * KIB), undefined);
    assert.equal(file.present(2 * MIB, 3 * MIB), undefined);
    assert.equal(file.requests, 1);
  });

  test('the first bytes of a large file cost little', async () => {
    const file = await Reading.of(16 * MIB);
    await file.read(0, 64 * KIB);
    await quiesce();
    assert.equal(file.requests, 1);
    assert.ok(file.asked <= 256 * KIB, `${file.asked} bytes`);
  });

  test('a reader who goes on jumping costs little beyond what it reads', async () => {
    const file = await Reading.farAway(64 * MIB);
    for (let read = 0; read < 20; read += 1) await file.jumpTo(((read * 37) % 60) * MIB + 300 * KIB);
    assert.equal(file.requests, 20);
    // One of them tells what the line brings.
    assert.ok(file.asked <= 2 * 256 * KIB + MIB + 17 * 32 * KIB, `${file.asked} bytes`);
  });

  test('one who reads on from there has as much as before waiting at the next place', async () => {
    const file = await Reading.farAway(64 * MIB);
    for (let read = 0; read < 10; read += 1) await file.jumpTo(read * MIB);
    await file.jumpTo(9 * MIB + 32 * KIB);
    await file.world.clock.advance(100);
    file.world.server.clearLog();
    await file.jumpTo(40 * MIB);
    assert.ok(file.asked >= 128 * KIB, `${file.asked} bytes`);
  });

  test('one who may soon hit what the line brings at once gets as much as it brings', async () => {
    const file = await Reading.farAway(3 * MIB);
    for (let read = 0; read < 40; read += 1) await file.jumpTo(((read * 37) % 47) * 64 * KIB);
    assert.ok(file.requests < 30, `${file.requests} requests`);
  });

  test('one who jumps on where the line brings the file soon gets all of it, each byte once', async () => {
    const file = await Reading.farAway(8 * MIB);
    let jumps = 0;
    for (; !file.body.isComplete && jumps < 60; jumps += 1)
      await file.jumpTo(((jumps * 37) % 127) * 64 * KIB);
    // 8 MiB take 0.65 s, a quarter of which are 33 jumps.
    assert.ok(jumps > 20 && jumps < 40, `${jumps} jumps`);
    assert.equal(file.asked, 8 * MIB);
  });

  test('what comes so ends with the last reader', async () => {
    const file = await Reading.farAway(16 * MIB);
    for (let jumps = 0; file.requests <= jumps; jumps += 1) {
      assert.ok(jumps < 100, 'the rest was never asked for');
      await file.jumpTo(((jumps * 37) % 127) * 128 * KIB);
    }
    file.world.content.release(file.ino);
    file.world.engine.unused(file.ino);
    const { requests } = file;
    await file.world.clock.advance(2_000);
    assert.equal(file.requests, requests);
    assert.equal(file.body.isComplete, false);
  });

  test('a sequential reader is read ahead of, in growing requests, each byte fetched once', async () => {
    const size = 32 * MIB;
    const file = await Reading.of(size);
    for (let at = 0; at < 4 * MIB; at += 128 * KIB) await file.read(at, at + 128 * KIB);
    await quiesce();
    assert.ok(file.body.presentBytes > 6 * MIB, `${file.body.presentBytes} bytes ahead`);
    for (let at = 4 * MIB; at < size; at += 128 * KIB) await file.read(at, at + 128 * KIB);
    assert.equal(file.body.isComplete, true);
    assert.equal(file.asked, size);
    assert.ok(file.requests < 40, `${file.requests} requests`);
  });

  test('the window ahead of a reader has an end', async () => {
    const gate = new Gate('read');
    const file = await Reading.of(128 * MIB, { pause: gate.pause, chunkSize: 4 * MIB });
    for (let at = 0; at < 40 * MIB; at += MIB) await file.read(at, at + MIB);
    await quiesce();
    assert.ok(file.body.presentBytes <= (40 + 32 + 16) * MIB, `${file.body.presentBytes} bytes`);
    gate.close();
    file.world.server.clearLog();
    const far = file.body.firstGap(0, 128 * MIB)?.start ?? 0;
    const waiting = file.present(far, far + 128 * KIB);
    await quiesce();
    assert.ok(file.requests <= 5, `${file.requests} requests at a time`);
    await gate.open();
    await waiting;
  });

  test('two readers of one range: one request', async () => {
    const file = await Reading.of(MIB);
    const both = [file.present(0, 64 * KIB), file.present(0, 64 * KIB)];
    await quiesce();
    await Promise.all(both);
    assert.equal(file.requests, 1);
  });

  test('a reader is answered by the chunk that completes what he waits for', async () => {
    const gate = new Gate('read');
    const file = await Reading.of(200 * KIB, { pause: gate.pause, chunkSize: 16 * KIB });
    gate.close();
    let answered = false;
    const waiting = file.present(0, 20 * KIB)?.then(() => {
      answered = true;
    });
    // The head of the answer, and the first chunk.
    await gate.pass(2);
    assert.equal(answered, false);
    await gate.pass(1);
    assert.equal(answered, true);
    assert.equal(file.body.isComplete, false);
    await gate.open();
    await waiting;
    assert.equal(file.body.isComplete, true);
  });
});

describe('servers of other kinds', () => {
  test('one that ignores ranges is streamed from its start, once for all that wait', async () => {
    const file = await Reading.of(2 * MIB, { capabilities: { ranges: false } });
    const both = [file.present(MIB, MIB + KIB), file.present(2 * MIB - KIB, 2 * MIB)];
    await quiesce();
    await Promise.all(both);
    await quiesce();
    assert.equal(file.body.isComplete, true);
    assert.ok(file.requests <= 2);
    await file.read(0, 2 * MIB);
  });
});

describe('trouble on the way', () => {
  test('a body that is cut goes on where it ended', async () => {
    const file = await Reading.of(2 * MIB, { chunkSize: 16 * KIB });
    let cuts = 0;
    file.world.remote.setPlan(({ verb }) => {
      if (verb !== 'read' || cuts >= 2) return undefined;
      cuts += 1;
      return { kind: 'cut', afterBytes: 40 * KIB };
    });
    const waiting = file.present(0, 128 * KIB);
    await file.world.clock.advance(2_000);
    await waiting;
    assert.equal(file.requests, 3);
    await file.read(0, 128 * KIB);
    const first = file.world.server.log[0]?.bytes ?? 0;
    assert.deepEqual(
      file.world.server.log.map(({ bytes }) => bytes),
      [first, first - 40 * KIB, first - 80 * KIB],
    );
  });

  test('a line that stays broken ends the wait, with what came kept', async () => {
    const file = await Reading.of(2 * MIB, { chunkSize: 16 * KIB });
    file.world.remote.setPlan(({ nth, verb }) =>
      verb === 'read' ? { kind: 'cut', afterBytes: nth === 1 ? 32 * KIB : 0 } : undefined,
    );
    const waiting = assert.rejects(async () => file.present(0, 128 * KIB), { code: 'interrupted' });
    await file.world.clock.advance(20_000);
    await waiting;
    assert.equal(file.requests, 4);
    assert.equal(file.world.engine.connectivity.kind, 'offline');
  });

  test('offline, a reader is refused at once and nothing is asked', async () => {
    const file = await Reading.of(2 * MIB);
    file.world.server.online = false;
    const first = assert.rejects(async () => file.present(0, KIB), { code: 'unreachable' });
    await file.world.clock.advance(0);
    await first;
    const asked = file.requests;
    await assert.rejects(async () => file.present(MIB, MIB + KIB), { code: 'unreachable' });
    assert.equal(file.requests, asked);
    file.world.server.online = true;
    await file.world.clock.advance(1_000);
    await file.read(0, KIB);
  });

  test('another version in the middle: the reader is refused, and no byte of it is taken', async () => {
    const gate = new Gate('read');
    const file = await Reading.of(2 * MIB, { pause: gate.pause, chunkSize: 16 * KIB });
    await file.read(0, 16 * KIB);
    file.world.server.writeDirect(remote('/f'), bytesOf(2 * MIB, 1));
    const before = file.body.presentBytes;
    const waiting = assert.rejects(async () => file.present(MIB, MIB + KIB), { code: 'changed' });
    await file.world.clock.advance(0);
    await waiting;
    assert.equal(file.body.presentBytes, before);
    await file.read(0, 16 * KIB);
  });

  test('another version between a cut and its resumption: refused, what came before stays', async () => {
    const file = await Reading.of(2 * MIB, { chunkSize: 16 * KIB });
    file.world.remote.setPlan(({ nth, verb }) =>
      verb === 'read' && nth > 0 ? { kind: 'cut', afterBytes: 48 * KIB } : undefined,
    );
    const waiting = assert.rejects(async () => file.present(0, 128 * KIB), { code: 'changed' });
    await quiesce();
    file.world.server.writeDirect(remote('/f'), bytesOf(2 * MIB, 1));
    await file.world.clock.advance(2_000);
    await waiting;
    assert.equal(file.body.presentBytes, 48 * KIB);
    await file.read(0, 48 * KIB);
  });

  test('a file that is gone from the server is refused after a few looks', async () => {
    const file = await Reading.of(2 * MIB);
    file.world.server.removeDirect(remote('/f'));
    const waiting = assert.rejects(async () => file.present(0, KIB), { code: 'not-found' });
    await file.world.clock.advance(5_000);
    await waiting;
    assert.ok(file.requests <= 4);
  });

  test('a file that moves on the server meanwhile is found under its new name', async () => {
    const file = await Reading.of(2 * MIB);
    file.world.server.moveDirect(remote('/f'), remote('/g'));
    const waiting = file.present(0, KIB);
    await quiesce();
    file.world.state.transact((tx) => {
      const node = tx.get(file.ino);
      assert(node?.kind === 'file' && node.base !== undefined && node.local !== undefined);
      const name = nameOf('g');
      tx.put({ ...node, base: { ...node.base, name }, local: { ...node.local, name } });
    });
    await file.world.clock.advance(5_000);
    await waiting;
    await file.read(0, KIB);
  });
});

describe('readers who go', () => {
  test('one who is killed waits no longer; another goes on', async () => {
    const gate = new Gate('read');
    const file = await Reading.of(2 * MIB, { pause: gate.pause });
    gate.close();
    const controller = new AbortController();
    const killed = assert.rejects(async () => file.present(0, KIB, controller), /killed/);
    const other = file.present(0, KIB);
    controller.abort(new Error('killed'));
    await killed;
    await gate.open();
    await other;
    await file.read(0, KIB);
  });

  test('the last one stops what was fetched ahead of him', async () => {
    const gate = new Gate('read');
    const file = await Reading.of(64 * MIB, { pause: gate.pause, chunkSize: 64 * KIB });
    for (let at = 0; at < 2 * MIB; at += 128 * KIB) await file.read(at, at + 128 * KIB);
    gate.close();
    const end = file.body.firstGap(0, 64 * MIB)?.start ?? 0;
    assert.equal(file.present(end - 128 * KIB, end), undefined);
    await gate.pass(1);
    file.world.content.release(file.ino);
    file.world.engine.unused(file.ino);
    await gate.open();
    await quiesce();
    const last = file.world.server.log.at(-1);
    assert.equal(last?.verb, 'read');
    assert.ok(file.body.presentBytes < end + 4 * MIB);
  });

  test('who goes at once when he has all does not call off what has come to its end', async () => {
    const file = await Reading.of(10 * KIB, { chunkSize: 4 * KIB });
    const { server, content, engine } = file.world;
    const read = server.read.bind(server);
    const signals: (AbortSignal | undefined)[] = [];
    server.read = (path, options) => {
      signals.push(options?.signal);
      return read(path, options);
    };
    const waiting = file.present(0, 10 * KIB)?.then(() => {
      content.release(file.ino);
      engine.unused(file.ino);
    });
    await file.world.clock.advance(0);
    await waiting;
    await quiesce();
    assert.deepEqual(
      signals.map((signal) => signal?.aborted),
      [false],
    );
  });

  test('a body that was given up for another is not filled any more', async () => {
    const gate = new Gate('read');
    const file = await Reading.of(2 * MIB, { pause: gate.pause, chunkSize: 16 * KIB });
    gate.close();
    const waiting = file.present(0, 64 * KIB);
    await gate.pass(2);
    const begun = file.world.engine.beginWrite(file.ino, 0);
    assert.equal(begun, undefined);
    await gate.open();
    await waiting;
    assert.equal(file.body.kind, 'staged');
    assert.equal(file.body.size, 0);
  });
});

/** A fetcher over files on disk, where large ranges are delivered past this thread. */
class Delivering {
  readonly #dir = temporaryDir();
  readonly world: World;
  readonly content: FileContentStore;
  readonly fetcher: Fetcher;
  readonly wanted: Uint8Array;
  readonly ino: Ino;
  readonly version: { readonly etag: ETag | undefined; readonly size: number };
  readonly body: Body;

  private constructor(world: World, wanted: Uint8Array) {
    this.world = world;
    this.wanted = wanted;
    const { state, clock, remote: store } = world;
    this.content = openTemporary(this.#dir, { clock }).store;
    this.fetcher = new Fetcher({
      ...{ state, clock, store, content: this.content, log: silentLog },
      ...{ meter: new LineMeter(), rates: new RateMeter(clock) },
      connectivity: new Connectivity(clock, () => 0.5, silentLog),
    });
    const node = state.get(world.ino('/f') ?? assert.fail('not listed'));
    assert(node?.kind === 'file');
    this.ino = node.ino;
    this.version = { etag: node.base?.etag, size: node.size };
    this.body = this.content.acquireClean(this.ino, this.version);
  }

  static async of(size: number, options: Partial<FakeRemoteOptions> = {}): Promise<Delivering> {
    const world = new World(() => 0.5, options);
    const wanted = bytesOf(size);
    world.server.writeDirect(remote('/f'), wanted);
    await world.refreshAll();
    world.server.clearLog();
    return new Delivering(world, wanted);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.fetcher.close();
    await quiesce();
    await this.content.close();
    rmSync(this.#dir, { recursive: true });
  }

  check(start: number, end: number): void {
    const target = Buffer.alloc(end - start);
    assert.equal(this.body.readSync(target, 0, target.length, start), end - start);
    assert.ok(target.equals(this.wanted.subarray(start, end)), 'other bytes');
  }
}

describe('ranges delivered past this thread', () => {
  test('are there when the wait is over', async () => {
    await using file = await Delivering.of(24 * MIB);
    await file.fetcher.whole(file.ino);
    assert.equal(file.body.isComplete, true);
    file.check(0, 24 * MIB);
    assert.ok(file.world.remote.deliveries >= 6);
  });

  test('that are cut go on where they ended', async () => {
    await using file = await Delivering.of(4 * MIB, { chunkSize: 64 * KIB });
    let cuts = 0;
    file.world.remote.setPlan(({ verb }) => {
      if (verb !== 'read' || cuts >= 2) return undefined;
      cuts += 1;
      return { kind: 'cut', afterBytes: 300 * KIB };
    });
    const whole = file.fetcher.whole(file.ino);
    await file.world.clock.advance(2_000);
    await whole;
    file.check(0, 4 * MIB);
  });

  test('of another version leave no byte', async () => {
    await using file = await Delivering.of(4 * MIB);
    file.world.server.writeDirect(remote('/f'), bytesOf(4 * MIB, 1));
    await assert.rejects(file.fetcher.whole(file.ino), { code: 'changed' });
    assert.equal(file.body.presentBytes, 0);
  });

  test('end when the file is emptied to be written anew', async () => {
    const gate = new Gate('read');
    await using file = await Delivering.of(4 * MIB, { pause: gate.pause, chunkSize: 64 * KIB });
    gate.close();
    const whole = file.fetcher.whole(file.ino);
    await gate.pass(4);
    assert.ok(file.body.presentBytes > 0);
    const body = file.content.createStaged(file.ino);
    body.writeSync(Buffer.from('mine'), 0);
    await gate.open();
    await whole;
    assert.equal(body.statSync().size, 4);
  });
});
