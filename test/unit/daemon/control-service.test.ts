import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { test } from 'node:test';
import { type Ino, UserError } from '../../../src/base/index.js';
import type { CallContext, ControlEvent } from '../../../src/control/index.js';
import { problemOf } from '../../../src/daemon/steering/control-problems.js';
import { createControlService, type EngineControl } from '../../../src/daemon/steering/control-service.js';
import { REMOTE_ROOT, RemoteError } from '../../../src/remote/index.js';
import { SyncError, type SyncEvent } from '../../../src/sync/index.js';
import { ManualClock } from '../../support/manual-clock.js';

/** An engine that knows one file, and remembers what it was asked for. */
class FakeEngine implements EngineControl {
  readonly asked: string[] = [];
  readonly listeners = new Set<(event: SyncEvent) => void>();
  paused = false;
  pending = 2;
  drain: (signal?: AbortSignal) => Promise<void> = async () => undefined;
  readonly troubles = [{ atMs: 1, code: 'no-space', message: 'full', path: '/a' }];
  readonly connection = { kind: 'online' } as const;
  readonly pinCount = 1;

  entries = (limit: number) =>
    [1, 2].slice(0, limit).map((ino) => ({
      ...{ ino: ino as Ino, path: `/${ino}`, operation: 'upload', state: 'due', retries: 0 },
    })) as ReturnType<EngineControl['entries']>;
  summary = () => ({ pending: this.pending, running: 1, failing: 0, bytes: 10, bytesDone: 5 });
  pause = () => {
    this.paused = true;
  };
  resume = () => {
    this.paused = false;
  };
  onEvent = (listener: (event: SyncEvent) => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };
  rates = () => ({ upBytesPerSecond: 1, downBytesPerSecond: 2 });
  refreshTree = async (dir: Ino, recursive: boolean) => {
    this.asked.push(`refresh ${dir} ${recursive}`);
    return 4;
  };
  inoOfPath = async (path: string) => {
    if (path !== '/a') throw new SyncError('not-found', `There is no "${path}"`);
    return 7 as Ino;
  };
  pin = (ino: Ino) => void this.asked.push(`pin ${ino}`);
  unpin = (ino: Ino) => void this.asked.push(`unpin ${ino}`);
  pins = async () => [{ ino: 7 as Ino, path: '/a', files: 3, bytes: 9, presentBytes: 8 }];
  evict = async (ino?: Ino) => {
    this.asked.push(`evict ${ino}`);
    return 5;
  };
  conflicts = () => [{ ino: 7 as Ino, path: '/b', copy: '/a', atMs: 1 }];
  resolveConflict = (copy: Ino, keep: string) => void this.asked.push(`resolve ${copy} ${keep}`);
  verify = async () => ({ checkedFiles: 1, checkedBytes: 2, droppedFiles: 0, damaged: ['/a'] });
  drained = (signal?: AbortSignal) => this.drain(signal);
  retryNow = () => void this.asked.push('retry');
  pendingCount = () => this.pending;
  quota = () => ({ used: 30, available: 70 });
}

function setUp(dir = '/') {
  const engine = new FakeEngine();
  const clock = new ManualClock();
  const logger = { level: 'info' };
  const ended: string[] = [];
  const after: (() => void)[] = [];
  const leaving = new AbortController();
  const context: CallContext = { signal: leaving.signal, afterAnswer: (then) => void after.push(then) };
  const kernel: { takeAway: () => Promise<void> } = {
    takeAway: async () => void ended.push('taken away'),
  };
  const service = createControlService({
    facts: {
      ...{ version: '1', profile: 'p', mountPoint: '/mnt', cacheDir: dir, startedAtMs: 5, driver: 'kernel' },
    },
    settings: () => ({ url: 'https://h/', readOnly: false, maxCleanBytes: 100, minFreeBytes: 10 }),
    engine,
    content: { stats: () => ({ cleanBytes: 1, cleanFiles: 2, stagedBytes: 3, stagedFiles: 4 }) },
    nodeCount: () => 6,
    credentials: () => ({ kind: 'basic', user: 'u', state: 'accepted', sinceMs: 1 }),
    kernel: () => ({ protocol: '7.45', features: [], absent: [] }),
    continuity: () => ({ takeovers: 1, keeper: 'process' }),
    rotation: { rotate: async () => ({ accepted: true }) },
    remounter: { remount: async () => ({ changed: [], needsNewMount: [] }) },
    upgrade: {
      check: async () => ({ from: '1', to: '2' }),
      begin: () => void ended.push('upgraded'),
    },
    unmount: () => kernel.takeAway(),
    stop: () => void ended.push('stopped'),
    metrics: { scrape: async () => ({ contentType: 'text/plain', text: '' }) },
    logger,
    clock,
  });
  return { engine, clock, logger, ended, after, leaving, context, kernel, service };
}

/** An end of waiting that comes with the signal only. */
const untilAborted = (signal?: AbortSignal) =>
  new Promise<never>((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)));

test('status gathers what each part knows', async () => {
  const { service, context } = setUp();
  const status = await service.status({}, context);
  assert.equal(status.takeovers, 1);
  assert.equal(status.profile, 'p');
  assert.deepEqual(status.queue, { pending: 2, running: 1, failing: 0, bytes: 10, bytesDone: 5 });
  assert.deepEqual(status.capacity, { totalBytes: 100, usedBytes: 30 });
  assert.deepEqual(status.errors, [{ atMs: 1, code: 'no-space', message: 'full', path: '/a' }]);
  assert.equal(status.conflicts, 1);
  assert.equal(status.cache.pinned, 1);
});

test('the queue says whether there is more than it shows', async () => {
  const { service, context } = setUp();
  assert.equal((await service.queue({ limit: 1 }, context)).truncated, true);
  assert.equal((await service.queue({ limit: 9 }, context)).truncated, false);
});

test('paths become nodes; one that is not there is told as such', async () => {
  const { service, engine, context } = setUp();
  assert.deepEqual(await service.pin({ path: '/a' }, context), {
    ...{ path: '/a', files: 3, bytes: 9, presentBytes: 8 },
  });
  await service.unpin({ path: '/a' }, context);
  await service.refresh({ path: '/a', recursive: true }, context);
  await service.evict({ path: '/a' }, context);
  await service.evict({}, context);
  await service.resolve({ copy: '/a', keep: 'local' }, context);
  assert.deepEqual(engine.asked, [
    ...['pin 7', 'unpin 7', 'refresh 7 true', 'evict 7', 'evict undefined', 'resolve 7 local'],
  ]);
  await assert.rejects(async () => service.pin({ path: '/x' }, context), { code: 'not-found' });
});

test('cache: with the room on its disk', async () => {
  const dir = mkdtempSync(`${tmpdir()}/infinimount-cache-`);
  try {
    const { service, context } = setUp(dir);
    const stats = await service.cache({}, context);
    assert.equal(stats.pinnedFiles, 3);
    assert.equal(stats.nodes, 6);
    assert.ok(stats.freeDiskBytes > 0);
  } finally {
    rmSync(dir, { recursive: true });
  }
});

test('listeners hear what the engine says, and of what only the status tells', async () => {
  const { service, engine, context } = setUp();
  const heard: ControlEvent[] = [];
  const subscribe = await service.events({}, context);
  const stop = subscribe((event) => heard.push(event));
  for (const listener of engine.listeners) listener({ type: 'uploaded', path: '/a', bytes: 1 });
  await service.pause({}, context);
  await service.rotate({ force: false }, context);
  stop();
  assert.equal(engine.listeners.size, 0);
  await service.resume({}, context);
  assert.deepEqual(
    heard.map((event) => (event.type === 'status' ? event.status.paused : event.type)),
    [false, 'uploaded', true, true],
  );
});

test('flush tells what is left when its time is over, and ends with its caller', async () => {
  const { service, engine, clock, leaving, context } = setUp();
  assert.deepEqual(await service.flush({}, context), { pending: 0 });
  assert.deepEqual(engine.asked, ['retry']);
  engine.drain = untilAborted;
  const late = service.flush({ timeoutMs: 1000 }, context);
  await clock.advance(999);
  await clock.advance(1);
  assert.deepEqual(await late, { pending: 2 });
  const left = Promise.resolve(service.flush({ timeoutMs: 1000 }, context));
  leaving.abort(new Error('gone'));
  await assert.rejects(left, /gone/);
});

test('flush while paused is refused', async () => {
  const { service, engine, context } = setUp();
  engine.drain = async () => {
    throw new SyncError('paused', 'Nothing is sent');
  };
  await assert.rejects(async () => service.flush({ timeoutMs: 5 }, context), { code: 'paused' });
});

test('unmount: what waits first, what refuses leaves the mount, and the end comes after the answer', async () => {
  const { service, engine, clock, ended, after, context, kernel } = setUp();
  engine.drain = untilAborted;
  const late = Promise.resolve(service.unmount({ wait: true, timeoutMs: 10, lazy: false }, context));
  const refused = assert.rejects(late, { code: 'unfinished' });
  await clock.advance(10);
  await refused;
  kernel.takeAway = async () => {
    throw new UserError('mount-busy', 'Cannot unmount');
  };
  await assert.rejects(async () => service.unmount({ wait: false, lazy: false }, context), {
    code: 'mount-busy',
  });
  assert.deepEqual([ended, after], [[], []]);
  assert.deepEqual(await service.unmount({ wait: false, lazy: true }, context), { pending: 2 });
  assert.deepEqual(ended, []);
  for (const then of after) then();
  assert.deepEqual(ended, ['stopped']);
});

test('the level of the log', async () => {
  const { service, logger, context } = setUp();
  assert.deepEqual(await service.setLogLevel({ level: 'trace' }, context), { level: 'trace' });
  assert.equal(logger.level, 'trace');
  assert.deepEqual(await service.logLevel({}, context), { level: 'trace' });
});

test('each kind of error is told with its code, its status and what to do', () => {
  const remote = new RemoteError('no-space', 'The server is full', {
    method: 'PUT',
    path: REMOTE_ROOT,
    outcome: 'none',
  });
  const told = [
    new UserError('unauthorized', 'Cannot rotate: refused', 'Look.'),
    new UserError('usage', 'Cannot'),
    new SyncError('not-found', 'There is none'),
    new SyncError('paused', 'Held back'),
    remote,
    new DOMException('x', 'AbortError'),
    new TypeError('s3cret'),
  ].map(problemOf);
  assert.deepEqual(
    told.map((problem) => problem && [problem.status, problem.code, problem.detail, problem.advice]),
    [
      [422, 'unauthorized', 'Cannot rotate: refused', 'Look.'],
      [422, 'usage', 'Cannot', undefined],
      [404, 'not-found', 'There is none', undefined],
      [409, 'paused', 'Held back', 'Run: infinimount resume'],
      [507, 'no-space', 'The server is full', undefined],
      [503, 'aborted', 'The work was broken off', undefined],
      undefined,
    ],
  );
});

test('an upgrade begins after its answer', async () => {
  const { service, context, ended, after } = setUp();
  assert.deepEqual(await service.upgrade({}, context), { from: '1', to: '2' });
  assert.deepEqual(ended, []);
  for (const then of after) then();
  assert.deepEqual(ended, ['upgraded']);
});
