/** The unit's protocol, spoken to the test double of the manager: what a machine without systemd can show. */

import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { renderTemplate, TEMPLATES } from '../../src/cli/service-units.js';
import { SKIP_MOUNT, TempDir } from '../mount/setup.js';
import { waitUntil } from '../support/exec.js';
import { INFINIMOUNT } from '../support/mount/index.js';
import { findMount, forceUnmount } from '../support/mount/mountinfo.js';
import { FsWorker } from '../support/mount/worker.js';
import { startApache } from '../support/servers/apache.js';
import type { DavServer } from '../support/servers/server.js';
import { SystemdManager } from '../support/systemd-manager.js';

interface ServiceOptions {
  /** Lines of the profile. */
  readonly profile?: readonly string[];
  /** Lines of the unit's section Service, after its own. */
  readonly unit?: readonly string[];
}

/** The unit of the machine with everything below a temporary directory. */
class Service {
  readonly server: DavServer;
  readonly manager: SystemdManager;
  readonly mountPoint: string;
  readonly #temp: TempDir;

  private constructor(server: DavServer, manager: SystemdManager, temp: TempDir) {
    this.server = server;
    this.manager = manager;
    this.#temp = temp;
    this.mountPoint = temp.at('mnt');
  }

  static async create({ profile = [], unit = [] }: ServiceOptions = {}): Promise<Service> {
    const server = await startApache();
    const temp = new TempDir('service');
    const config = temp.at('config.toml');
    mkdirSync(temp.at('mnt'));
    mkdirSync(temp.at('run'), { mode: 0o700 });
    const login = [`url = "${server.url}"`, `user = "${server.user}"`, `password = "${server.password}"`];
    const text = ['[profile.work]', ...login, `mount-point = "${temp.at('mnt')}"`, ...profile, ''].join('\n');
    writeFileSync(config, text, { mode: 0o600 });
    const [mount, release] = await Promise.all(
      TEMPLATES.system.map(async (name) =>
        (await renderTemplate(name, INFINIMOUNT)).replaceAll('/etc/infinimount/config.toml', config),
      ),
    );
    const manager = new SystemdManager({
      unit: [...(mount ?? '').split('[Install]').slice(0, 1), ...unit, ''].join('\n'),
      others: { 'infinimount-release@work.service': release ?? '' },
      specifiers: { i: 'work', S: temp.at('state') },
      environment: { RUNTIME_DIRECTORY: temp.at('run'), HOME: temp.path },
    });
    return new Service(server, manager, temp);
  }

  at(name: string): string {
    return `${this.mountPoint}/${name}`;
  }

  onServer(name: string): string | undefined {
    const path = `${this.server.root}/${name}`;
    return existsSync(path) ? readFileSync(path, 'utf8') : undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.server.resume();
    await this.manager[Symbol.asyncDispose]();
    await forceUnmount(this.mountPoint);
    await this.server.stop();
    this.#temp[Symbol.dispose]();
  }
}

describe('the unit, by a double of the manager', { skip: SKIP_MOUNT }, () => {
  test('is ready when it is mounted, stores its descriptor, reloads, and stops', async () => {
    await using service = await Service.create();
    const { manager } = service;
    await manager.start();
    assert.ok(findMount(service.mountPoint));
    await waitUntil('the descriptor to be stored', () => manager.stored.length === 1);
    await waitUntil('the status line', () =>
      manager.statusLines.some((line) => /everything is on the server/.test(line)),
    );
    await manager.reload();
    assert.equal(await manager.stop(), 'success');
    assert.equal(findMount(service.mountPoint), undefined);
    assert.equal(manager.state, 'inactive');
    assert.ok(manager.messages.some((fields) => fields.has('STOPPING')));
    assert.deepEqual(manager.stored, []);
  });

  test('puts the time-out of its stop off while the queue is waited for', async () => {
    await using service = await Service.create({
      profile: ['upload-delay = "4s"'],
      unit: ['TimeoutStopSec=2s'],
    });
    const { manager, server } = service;
    await manager.start();
    using worker = new FsWorker();
    for (let i = 0; i < 20; i++) await worker.fs.writeFile(service.at(`f${i}`), `${i}\n`);
    server.pause();
    const stopped = manager.stop();
    // Longer than the time-out, and shorter than what a server that takes nothing is waited for.
    await delay(5_000);
    server.resume();
    assert.equal(await stopped, 'success');
    assert.ok(
      manager.statusLines.includes('Unmounted; sending 20 changes (50 B) before the end'),
      manager.statusLines.join('\n'),
    );
    assert.equal(readdirSync(server.root).filter((name) => /^f\d+$/.test(name)).length, 20);
  });

  test('is started anew with its descriptor after SIGKILL', async () => {
    await using service = await Service.create();
    const { manager } = service;
    await manager.start();
    using worker = new FsWorker();
    await worker.fs.writeFile(service.at('before'), 'kill\n');
    const device = findMount(service.mountPoint)?.minor;
    for (let round = 1; round <= 3; round++) {
      manager.kill('SIGKILL');
      // Waits in the kernel for the next daemon.
      assert.equal(String(await worker.fs.readFile(service.at('before'))), 'kill\n');
      await waitUntil('the next daemon', () => manager.restarts === round && manager.state === 'active');
    }
    assert.equal(findMount(service.mountPoint)?.minor, device);
    assert.equal(await manager.stop(), 'success');
    assert.equal(service.onServer('before'), 'kill\n');
  });

  test('is not restarted where only a person can help', async () => {
    await using service = await Service.create({ profile: ['cache-size = "1K"'] });
    const { manager } = service;
    await assert.rejects(manager.start(), /cache-size/);
    assert.deepEqual([manager.state, manager.result, manager.restarts], ['failed', 'exit-code', 0]);
  });
});
