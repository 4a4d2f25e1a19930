/**
 * A mount whose daemon is killed and followed by another, at exact points and at random ones: the program on it sees
 * no error and no wrong byte. The test's process holds the descriptor and never touches the mount.
 */

import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { closeSync, mkdirSync } from 'node:fs';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type InitFlag, mountKernel } from '../../src/fuse/index.js';
import { bundled } from '../support/bundled.js';
import { FsWorker, forceUnmount } from '../support/mount/index.js';
import type { DeathWish, TakeoverMessage, TakeoverOptions } from '../support/mount/takeover-daemon.js';
import { seededRandom } from '../support/random.js';
import { SKIP_MOUNT, TempDir } from './setup.js';
import { caseNames } from './takeover-program.js';

const DAEMON = fileURLToPath(new URL('../support/mount/takeover-daemon.ts', import.meta.url));
const PROGRAM = new URL('./takeover-program.ts', import.meta.url);
const LIMIT_MS = 30_000;
/** The descriptor's number in the daemon: behind stdio and the channel. */
const DAEMON_FD = 4;

/** The holder of the descriptor, and one daemon at a time. */
class Mount implements AsyncDisposable {
  readonly path: string;
  readonly trouble: string[] = [];
  adopted = { files: 0, directories: 0 };
  readonly #temp: TempDir;
  readonly #fd: number;
  readonly #options: TakeoverOptions;
  readonly #program = new FsWorker({ timeoutMs: LIMIT_MS });
  #daemon: ChildProcess | undefined;
  #gone: Promise<unknown> = Promise.resolve();

  private constructor(temp: TempDir, path: string, fd: number, maskInitFlags: readonly InitFlag[]) {
    this.#temp = temp;
    this.path = path;
    this.#fd = fd;
    this.#options = { fd: DAEMON_FD, dir: temp.at('cache'), connection: randomUUID(), maskInitFlags };
  }

  static async make(options: { readonly maskInitFlags?: readonly InitFlag[] } = {}): Promise<Mount> {
    const temp = new TempDir('takeover');
    mkdirSync(temp.at('mnt'));
    mkdirSync(temp.at('cache'));
    const { fd, mountPoint } = await mountKernel({ mountPoint: temp.at('mnt'), fsName: 'takeover' });
    const mount = new Mount(temp, mountPoint, fd, options.maskInitFlags ?? []);
    try {
      await mount.start();
    } catch (error) {
      await mount[Symbol.asyncDispose]();
      throw error;
    }
    return mount;
  }

  /** Starts a daemon; resolves when it serves. */
  async start(): Promise<void> {
    const daemon = fork(bundled(DAEMON), [JSON.stringify(this.#options)], {
      execArgv: ['--enable-source-maps'],
      stdio: ['ignore', 'inherit', 'inherit', 'ipc', this.#fd],
      serialization: 'advanced',
    });
    this.#daemon = daemon;
    this.#gone = new Promise((resolve) => daemon.once('exit', resolve));
    daemon.on('message', (message: TakeoverMessage) => {
      if ('trouble' in message) this.trouble.push(message.trouble);
    });
    const ready = await this.#message((message) => 'ready' in message);
    if ('ready' in ready) this.adopted = ready.adopted;
  }

  /** Starts a daemon that is killed before or just after it serves. */
  async startAndKill(afterMs: number): Promise<void> {
    const starting = this.start();
    await Promise.race([starting, new Promise((resolve) => setTimeout(resolve, afterMs))]);
    await this.kill();
    await starting.catch(() => undefined);
  }

  /** The daemon dies at this point of the next requests. */
  async arm(wish: DeathWish): Promise<void> {
    this.#daemon?.send(wish);
    await this.#message((message) => 'armed' in message);
  }

  /** Resolves when the daemon is dead. */
  died(): Promise<unknown> {
    return limited('death of the daemon', this.#gone);
  }

  async kill(): Promise<void> {
    this.#daemon?.kill('SIGKILL');
    await this.died();
  }

  /** Ends the daemon in order, for another one. */
  async handOver(): Promise<void> {
    this.#daemon?.send('hand over');
    await this.died();
  }

  /** Runs a function of the program on the mount. */
  run(name: string, ...args: readonly unknown[]): Promise<unknown> {
    return this.#program.call(PROGRAM, name, args);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#program.close();
    if (this.#daemon?.exitCode === null && this.#daemon.signalCode === null) await this.kill();
    closeSync(this.#fd);
    await forceUnmount(this.path);
    this.#temp[Symbol.dispose]();
  }

  #message(wanted: (message: TakeoverMessage) => boolean): Promise<TakeoverMessage> {
    const daemon = this.#daemon;
    if (daemon === undefined) throw new Error('no daemon runs');
    return limited(
      'message of the daemon',
      new Promise((resolve, reject) => {
        daemon.once('exit', () => reject(new Error(`the daemon ended: ${this.trouble.join('\n')}`)));
        daemon.on('message', (message: TakeoverMessage) => {
          if (wanted(message)) resolve(message);
        });
      }),
    );
  }
}

function limited<T>(what: string, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no ${what} within ${LIMIT_MS} ms`)), LIMIT_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

describe('a mount taken over', { skip: SKIP_MOUNT, timeout: 300_000 }, () => {
  for (const when of ['received', 'done'] as const) {
    test(`the daemon dies with a request ${when}, of each kind`, async () => {
      await using mount = await Mount.make();
      for (const name of caseNames()) {
        const dir = `${mount.path}/${name}`;
        await mount.run('prepare', dir, name);
        await mount.arm({ operation: name, when, nth: 1 });
        const acting = mount.run('act', dir, name);
        acting.catch(() => undefined);
        await mount.died().catch((error: unknown) => {
          throw new Error(`${name}: ${error}`);
        });
        await mount.start();
        await acting.catch((error: unknown) => {
          throw new Error(`${name}: ${error}`);
        });
        await mount.run('check', dir, name).catch((error: unknown) => {
          throw new Error(`${name}: ${error}`);
        });
      }
      assert.deepEqual(mount.trouble, []);
    });
  }

  test('what a program holds is as it was', async () => {
    await using mount = await Mount.make();
    await mount.run('hold', mount.path);
    await mount.kill();
    await mount.start();
    assert.deepEqual({ ...mount.adopted, lost: [] }, { files: 3, directories: 1, lost: [] });
    await mount.run('useHeld', mount.path);
    assert.deepEqual(mount.trouble, []);
  });

  test('also when the daemon hands over in order', async () => {
    await using mount = await Mount.make();
    await mount.run('hold', mount.path);
    await mount.handOver();
    await mount.start();
    await mount.run('useHeld', mount.path);
    assert.deepEqual(mount.trouble, []);
  });

  test('on a kernel that cannot send again, what was under way is interrupted, the rest goes on', async () => {
    await using mount = await Mount.make({ maskInitFlags: ['HAS_RESEND'] });
    await mount.run('hold', mount.path);
    const dir = `${mount.path}/RENAME2`;
    await mount.run('prepare', dir, 'RENAME2');
    await mount.arm({ operation: 'RENAME2', when: 'received', nth: 1 });
    const acting = mount.run('act', dir, 'RENAME2');
    acting.catch(() => undefined);
    await mount.died();
    await mount.start();
    // Any request tells the daemon how far the numbers have come.
    using other = new FsWorker({ timeoutMs: LIMIT_MS });
    await other.fs.exists(`${mount.path}/nothing`);
    await assert.rejects(acting, { code: 'EINTR' });
    await mount.run('act', dir, 'RENAME2');
    await mount.run('check', dir, 'RENAME2');
    await mount.run('useHeld', mount.path);
    assert.deepEqual(mount.trouble, []);
  });

  const seed = Number(process.env.TAKEOVER_SEED ?? 20_261_124);
  test(`random work, random kills, seed ${seed}`, async () => {
    await using mount = await Mount.make();
    const random = seededRandom(seed);
    let working = true;
    const work = mount.run('work', mount.path, seed, 20_000).finally(() => {
      working = false;
    });
    work.catch(() => undefined);
    let kills = 0;
    while (working) {
      await new Promise((resolve) => setTimeout(resolve, random.below(700)));
      if (!working) break;
      await mount.kill();
      kills += 1;
      // Some of them die while they start.
      if (random.chance(0.3)) {
        await mount.startAndKill(random.below(900));
        kills += 1;
      }
      await mount.start();
    }
    const { calls } = (await work) as { readonly calls: number };
    assert.ok(kills >= 8, `only ${kills} kills`);
    assert.ok(calls >= 200, `only ${calls} calls`);
    assert.deepEqual(mount.trouble, []);
  });
});
