/**
 * A program goes on while the daemon of its mount is killed and others take over, by the keeper and by systemd's
 * descriptor store. `OUTLIVE_SEED` replays the kills.
 */

import assert from 'node:assert/strict';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { waitUntil } from '../support/exec.js';
import { findMount } from '../support/mount/index.js';
import { takeoversIn } from '../support/mount/surviving.js';
import { seededRandom } from '../support/random.js';
import { SystemdManager } from '../support/systemd-manager.js';
import { bigFile } from './outlive-content.js';
import { Scene, WorkingProgram } from './outlive-scene.js';
import { SKIP_MOUNT } from './setup.js';

const KILLS = 20;
/** A start takes a second, and on a busy machine many. */
const NEXT_MS = 90_000;
const SEED = Number(process.env.OUTLIVE_SEED ?? Date.now() % 1_000_000);

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
    await delay(300 + random.below(2_200));
    await kill();
    const before = served();
    if (count % 2 !== 0) continue;
    await waitUntil('the next daemon', () => served() > before || program.hasEnded, { timeoutMs: NEXT_MS });
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
});

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
