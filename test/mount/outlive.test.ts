/**
 * A mount that outlives its daemon: programs go on while daemons are killed and others take over, by the keeper and by
 * systemd's descriptor store; and where nobody can take over, the mount is released. `OUTLIVE_SEED` replays the kills.
 */

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { killGroup, run, skipWithout, waitUntil } from '../support/exec.js';
import { findMount, forceUnmount, INFINIMOUNT, type MountTarget } from '../support/mount/index.js';
import { killQuietly } from '../support/mount/process.js';
import { SurvivingMount, takeoversIn } from '../support/mount/surviving.js';
import { type LatencyProxy, startLatencyProxy } from '../support/proxy/latency.js';
import { seededRandom } from '../support/random.js';
import { startApache } from '../support/servers/apache.js';
import type { DavServer } from '../support/servers/server.js';
import { SystemdManager } from '../support/systemd-manager.js';
import { bigFile } from './outlive-content.js';
import { DRAIN_TIMEOUT_MS, SKIP_MOUNT, TempDir, throughPort } from './setup.js';

const PROGRAM = fileURLToPath(new URL('./outlive-program.ts', import.meta.url));
const KILLS = 20;
const PROGRAM_END_MS = 60_000;
/** A call on the mount that takes longer counts as hanging. */
const CALL_LIMIT_MS = 20_000;

const SEED = Number(process.env.OUTLIVE_SEED ?? Date.now() % 1_000_000);

interface Report {
  readonly rounds: number;
  readonly bytesRead: number;
  readonly sums: Readonly<Record<string, string>>;
}

/** The program of outlive-program.ts, while it runs. */
class WorkingProgram {
  readonly #child: ChildProcess;
  #said = '';

  constructor(dir: string, seed: number) {
    this.#child = spawn(process.execPath, ['--import', 'tsx', PROGRAM, dir, String(seed)], {
      stdio: ['pipe', 'pipe', 'inherit'],
      detached: true,
    });
    this.#child.stdout?.on('data', (chunk: Buffer) => {
      this.#said += chunk;
    });
  }

  get hasEnded(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  /** Tells it to end, and gives what it says must be there; throws with what went wrong in it. */
  async end(): Promise<Report> {
    this.#child.stdin?.end();
    await waitUntil('the program to end', () => this.hasEnded, { timeoutMs: PROGRAM_END_MS }).catch(
      (error: unknown) => {
        throw new Error(`${error}; it said: ${this.#said}`);
      },
    );
    assert.equal(this.#child.exitCode, 0, this.#said);
    return JSON.parse(this.#said);
  }

  [Symbol.dispose](): void {
    killGroup(this.#child);
  }
}

/** Directories, a server with a proxy before it, and the command that mounts it. */
class Scene {
  readonly temp: TempDir;
  readonly server: DavServer;
  readonly proxy: LatencyProxy;
  readonly target: MountTarget;

  private constructor(temp: TempDir, server: DavServer, proxy: LatencyProxy) {
    this.temp = temp;
    this.server = server;
    this.proxy = proxy;
    this.target = { ...server, url: throughPort(server.url, proxy.port) };
    for (const name of ['cache', 'mnt', 'run']) mkdirSync(temp.at(name), { mode: 0o700 });
    writeFileSync(temp.at('password'), `${server.password}\n`, { mode: 0o600 });
  }

  static async start(options: { readonly rateBytesPerS?: number } = {}): Promise<Scene> {
    const server = await startApache();
    return new Scene(
      new TempDir('outlive'),
      server,
      await startLatencyProxy({ targetPort: server.port, rttMs: 20, ...options }),
    );
  }

  get mountPoint(): string {
    return this.temp.at('mnt');
  }

  argv(...options: readonly string[]): readonly string[] {
    return [
      ...INFINIMOUNT,
      ...['mount', this.target.url, this.mountPoint, '--user', this.server.user],
      ...['--password-file', this.temp.at('password'), '--cache-dir', this.temp.at('cache')],
      ...['--runtime-dir', this.temp.at('run'), ...options],
    ];
  }

  mount(
    options: readonly string[] = [],
    spec: { readonly env?: Readonly<Record<string, string>> } = {},
  ): Promise<SurvivingMount> {
    return SurvivingMount.start({
      argv: this.argv(...options),
      mountPoint: this.mountPoint,
      logFile: this.temp.at('log'),
      ...spec,
    });
  }

  /** Runs `sh -eu` on the mount, with a time limit. */
  async sh(script: string): Promise<string> {
    const done = await run(['sh', '-euc', `cd "$1"; ${script}`, 'sh', this.mountPoint], {
      timeoutMs: CALL_LIMIT_MS,
    });
    assert.equal(done.code, 0, `${script}: ${done.stderr}${done.timedOut ? 'ran out of time' : ''}`);
    return done.stdout;
  }

  /** Waits until the server has all that the program says, byte for byte. */
  async serverHas({ sums }: Report): Promise<void> {
    const wrong = () =>
      Object.entries(sums).filter(([name, sum]) => {
        const path = join(this.server.root, name);
        return !existsSync(path) || createHash('sha256').update(readFileSync(path)).digest('hex') !== sum;
      });
    await waitUntil('the server to have everything', () => wrong().length === 0, {
      timeoutMs: DRAIN_TIMEOUT_MS,
      intervalMs: 300,
    }).catch((error: unknown) => {
      throw new Error(`${error}: ${wrong().map(([name]) => name)}`);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await forceUnmount(this.mountPoint);
    this.proxy.setHeld(false);
    await this.proxy.stop();
    await this.server.stop();
    this.temp[Symbol.dispose]();
  }
}

/**
 * Kills the daemon at random moments while the program works: half of the times wherever it stands, its start included,
 * and half of the times when it serves. `served` counts the daemons that did.
 */
async function killOften(
  program: WorkingProgram,
  { kill, served }: { kill(): Promise<void>; served(): number },
): Promise<void> {
  const random = seededRandom(SEED);
  for (let count = 0; count < KILLS && !program.hasEnded; count++) {
    const before = served();
    await delay(300 + random.below(2_200));
    await kill();
    if (random.chance(0.5)) await waitUntil('the next daemon', () => served() > before || program.hasEnded);
  }
}

describe('a mount that outlives its daemon', { skip: SKIP_MOUNT }, () => {
  test(`a program sees nothing of twenty SIGKILLs, seed ${SEED}`, async () => {
    await using scene = await Scene.start({ rateBytesPerS: 8 * 1024 * 1024 });
    writeFileSync(join(scene.server.root, 'big'), bigFile());
    await using mount = await scene.mount();
    using program = new WorkingProgram(scene.mountPoint, SEED);
    await killOften(program, { kill: () => mount.killDaemon(), served: () => mount.takeovers });
    const report = await program.end();
    assert.ok(mount.takeovers > 5, `only ${mount.takeovers} daemons took over: nothing was tested`);
    assert.ok(report.rounds > 20, `only ${report.rounds} rounds`);
    await scene.serverHas(report);
    await mount.unmount();
    assert.equal(existsSync(scene.temp.at('cache', 'session.json')), false);
  });

  test(`the same with the descriptor store of systemd, seed ${SEED}`, async () => {
    await using scene = await Scene.start({ rateBytesPerS: 8 * 1024 * 1024 });
    writeFileSync(join(scene.server.root, 'big'), bigFile());
    await using manager = new SystemdManager({
      unit: unitFor(scene.argv()),
      specifiers: {},
    });
    await manager.start();
    assert.equal(manager.stored.length, 1);
    using program = new WorkingProgram(scene.mountPoint, SEED);
    await killOften(program, {
      kill: async () => {
        await waitUntil('a daemon to kill', () => manager.pid !== undefined, { intervalMs: 5 });
        manager.kill('SIGKILL');
      },
      served: () => takeoversIn(manager.output),
    });
    const report = await program.end();
    const takeovers = takeoversIn(manager.output);
    assert.ok(takeovers > 5, `only ${takeovers} daemons took over: nothing was tested`);
    await scene.serverHas(report);
    assert.equal(await manager.stop(), 'success');
    assert.deepEqual(manager.stored, []);
    assert.equal(findMount(scene.mountPoint), undefined);
  });

  test('a keeper that is killed is replaced, and ends with the daemon', async () => {
    await using scene = await Scene.start();
    await using mount = await scene.mount();
    const [first] = mount.keepers();
    assert.ok(first !== undefined);
    killQuietly(first);
    await waitUntil('another keeper', () => mount.keepers().some((pid) => pid !== first));
    await mount.killDaemon();
    assert.equal(await scene.sh('echo kept > a; cat a'), 'kept\n');
    await waitUntil(
      'one daemon and one keeper',
      () => mount.daemons().length === 1 && mount.keepers().length === 1,
    );
    await mount.unmount();
  });

  test('after the end of daemon and keeper the same command mounts again', async () => {
    await using scene = await Scene.start();
    {
      await using mount = await scene.mount();
      await scene.sh('echo before > a');
      for (const pid of [...mount.keepers(), ...mount.daemons()]) killQuietly(pid);
      await waitUntil('the processes to end', () => mount.daemons().length === 0);
      assert.ok(mount.isMounted, 'the dead mount is still there');
      await using again = await scene.mount();
      assert.equal(await scene.sh('cat a; echo after > b; cat b'), 'before\nafter\n');
      await again.unmount();
    }
  });

  test('a read that waits for a silent server outlives the daemon', async () => {
    await using scene = await Scene.start();
    const content = bigFile();
    writeFileSync(join(scene.server.root, 'big'), content);
    await using mount = await scene.mount();
    await scene.sh('head -c 1 big > /dev/null');
    scene.proxy.setHeld(true);
    const reading = run(['sha256sum', join(scene.mountPoint, 'big')], { timeoutMs: 60_000 });
    await delay(500);
    await mount.killDaemon();
    await waitUntil('another daemon', () => mount.takeovers === 1);
    scene.proxy.setHeld(false);
    const { stdout, stderr } = await reading;
    assert.equal(stdout.split(' ')[0], createHash('sha256').update(content).digest('hex'), stderr);
    await mount.unmount();
  });

  test('without RESEND a request under way is interrupted, and open files go on', async () => {
    await using scene = await Scene.start();
    writeFileSync(join(scene.server.root, 'big'), bigFile());
    await using mount = await scene.mount(['--fuse-minor', '36']);
    await scene.sh('echo written > a');
    const go = scene.temp.at('go');
    const appending = scene.sh(`exec 3>>a; while [ ! -e ${go} ]; do sleep 0.05; done; echo more >&3`);
    scene.proxy.setHeld(true);
    const reading = run(['sha256sum', join(scene.mountPoint, 'big')], { timeoutMs: CALL_LIMIT_MS });
    await delay(500);
    await mount.killDaemon();
    const { code, timedOut, stderr } = await reading;
    assert.ok(!timedOut && code !== 0, 'the read that nobody answers any more ends');
    assert.match(stderr, /Interrupted system call/);
    scene.proxy.setHeld(false);
    writeFileSync(go, '');
    await appending;
    assert.equal(await scene.sh('cat a'), 'written\nmore\n');
    assert.equal(mount.takeovers, 1);
    await mount.unmount();
  });

  test('SIGUSR2 puts the program on the disk in the place of the daemon, and open files go on', async () => {
    await using scene = await Scene.start();
    await using mount = await scene.mount();
    const [pid] = mount.daemons();
    const [keeper] = mount.keepers();
    assert.ok(pid !== undefined && keeper !== undefined);
    const go = scene.temp.at('go');
    const appending = scene.sh(
      `exec 3>a; echo one >&3; while [ ! -e ${go} ]; do sleep 0.05; done; echo two >&3; rm a; echo three >&3`,
    );
    await waitUntil('the program to have begun', () => mount.isMounted);
    await delay(300);
    process.kill(pid, 'SIGUSR2');
    await waitUntil('the new program', () => mount.takeovers === 1);
    assert.deepEqual(mount.daemons(), [pid]);
    await waitUntil(
      'a new keeper alone',
      () => mount.keepers().length === 1 && !mount.keepers().includes(keeper),
    );
    writeFileSync(go, '');
    await appending;
    assert.equal(await scene.sh('ls'), '');
    await mount.killDaemon();
    assert.equal(await scene.sh('echo x > b; cat b'), 'x\n');
    await mount.unmount();
  });

  test('a typed password is handed over in memory, and a closed terminal ends nothing', {
    skip: skipWithout('script'),
  }, async () => {
    await using scene = await Scene.start();
    await using mount = SurvivingMount.of(scene.mountPoint);
    const words = scene
      .argv()
      .filter((word) => word !== '--password-file' && word !== scene.temp.at('password'));
    // script(1) is the terminal, which closes when the first daemon ends.
    const terminal = spawn('script', ['-qec', words.map((word) => `'${word}'`).join(' '), '/dev/null'], {
      stdio: ['pipe', 'pipe', 'inherit'],
      detached: true,
    });
    try {
      let shown = '';
      terminal.stdout.on('data', (chunk: Buffer) => {
        shown += chunk;
      });
      await waitUntil('the question', () => shown.includes('Password of'));
      terminal.stdin.write(`${scene.server.password}\n`);
      await waitUntil('the mount', () => shown.includes('infinimount: mounted'));
      assert.ok(!shown.includes(scene.server.password));
      const [first] = mount.daemons();
      await mount.killDaemon();
      await waitUntil('the end of the terminal', () => terminal.exitCode !== null);
      await scene.sh('echo x > a');
      assert.ok(!mount.daemons().includes(first ?? 0));
      await waitUntil('the file on the server', () => existsSync(join(scene.server.root, 'a')));
      const [daemon] = mount.daemons();
      for (const name of ['cmdline', 'environ']) {
        assert.ok(!readFileSync(`/proc/${daemon}/${name}`, 'utf8').includes(scene.server.password));
      }
      // It logs to the terminal that is gone.
      await mount.killDaemon();
      assert.equal(await scene.sh('cat a'), 'x\n');
      await mount.unmount();
    } finally {
      killGroup(terminal);
    }
  });

  test('a daemon that cannot start says why, and the mount is released', async () => {
    await using scene = await Scene.start();
    await using mount = await scene.mount();
    await scene.sh('echo x > a');
    writeFileSync(scene.temp.at('cache', 'cache.json'), 'damaged');
    await mount.killDaemon();
    await mount.gone();
    assert.match(mount.log, /cache\.json is damaged/);
    assert.equal(mount.takeovers, 0);
  });

  test('daemons that die at their start: the mount is released', async () => {
    await using scene = await Scene.start();
    const hook = crashHook(scene.temp, 'at its start');
    await using mount = await scene.mount([], { env: { NODE_OPTIONS: `--require ${hook.script}` } });
    await scene.sh('echo x > a');
    hook.arm();
    await mount.killDaemon();
    await mount.gone(60_000);
    assert.match(mount.log, /died again and again; the mount on .* was released/);
  });

  test('daemons that die soon after they took over: the mount is released', async () => {
    await using scene = await Scene.start();
    const hook = crashHook(scene.temp, 'when it has taken over');
    await using mount = await scene.mount([], { env: { NODE_OPTIONS: `--require ${hook.script}` } });
    await scene.sh('echo x > a');
    hook.arm();
    await mount.killDaemon();
    await mount.gone(120_000);
    assert.match(mount.log, /its daemon died 26 times in a row, and it was released/);
    assert.equal(mount.takeovers, 25);
  });
});

const DEATHS = {
  'at its start': 'process.exit(1)',
  'when it has taken over': `const { writeSync } = fs;
    fs.writeSync = (fd, text, ...rest) => {
      const written = writeSync(fd, text, ...rest);
      if (String(text).includes('has taken over')) process.kill(process.pid, 'SIGKILL');
      return written;
    }`,
} as const;

/** A script for `node --require` that ends each daemon, once it is armed. */
function crashHook(temp: TempDir, when: keyof typeof DEATHS): { readonly script: string; arm(): void } {
  const script = temp.at('crash.cjs');
  const flag = temp.at('armed');
  writeFileSync(
    script,
    `const fs = require('node:fs');\nif (fs.existsSync('${flag}')) { ${DEATHS[when]} }\n`,
  );
  return { script, arm: () => writeFileSync(flag, '') };
}

function unitFor(argv: readonly string[]): string {
  return [
    '[Unit]',
    'StartLimitIntervalSec=1min',
    'StartLimitBurst=30',
    '[Service]',
    'Type=notify',
    `ExecStart=${argv.join(' ')}`,
    'Restart=on-failure',
    'RestartSec=100ms',
    'FileDescriptorStoreMax=4',
    'Environment=FDSTORE=4',
    'TimeoutStopSec=30s',
  ].join('\n');
}
