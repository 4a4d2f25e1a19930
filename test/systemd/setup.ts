/** What the tests under a real systemd share: one with a server, a profile for it, and its mount point. */

import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { waitUntil } from '../support/exec.js';
import { INFINIMOUNT } from '../support/mount/index.js';
import { startApache } from '../support/servers/apache.js';
import type { DavServer } from '../support/servers/server.js';
import { BootedSystemd } from '../support/systemd.js';

export const UNIT = 'infinimount@work.service';

export interface ServiceBenchOptions {
  /** Lines of the profile, beside those that say where the server is. */
  readonly profile?: readonly string[];
  /** Instead of the password itself. */
  readonly password?: string;
}

export class ServiceBench {
  readonly systemd: BootedSystemd;
  readonly server: DavServer;
  readonly mountPoint: string;

  private constructor(systemd: BootedSystemd, server: DavServer) {
    this.systemd = systemd;
    this.server = server;
    this.mountPoint = join(systemd.dir, 'mnt');
    // Other users go through it to the mount point.
    chmodSync(systemd.dir, 0o755);
    mkdirSync(this.mountPoint);
  }

  static async start(options: ServiceBenchOptions = {}): Promise<ServiceBench> {
    const server = await startApache();
    try {
      const bench = new ServiceBench(await BootedSystemd.boot(), server);
      await bench.writeConfig('/etc/infinimount', bench.profile(options));
      return bench;
    } catch (error) {
      await server.stop();
      throw error;
    }
  }

  /** The text of a configuration file with the profile `work`. */
  profile({ profile = [], password }: ServiceBenchOptions = {}): string {
    const { url, user } = this.server;
    const lines = [`url = "${url}"`, `user = "${user}"`, password ?? `password = "${this.server.password}"`];
    return ['[profile.work]', ...lines, `mount-point = "${this.mountPoint}"`, ...profile, ''].join('\n');
  }

  async writeConfig(directory: string, text: string): Promise<void> {
    await this.systemd.sh('mkdir -p -m 700 "$1"; umask 077; cat > "$1/config.toml"', [directory], {
      input: text,
    });
  }

  /** Runs the program's own command line where the units run. */
  infinimount(...words: readonly string[]): Promise<string> {
    return this.systemd.run([...INFINIMOUNT, ...words]);
  }

  /** A shell script with the mount point as $1 and this test's directory as $2. */
  sh(script: string): Promise<string> {
    return this.systemd.sh(script, [this.mountPoint, this.systemd.dir]);
  }

  /** Whether anything is mounted on the mount point; the mount is not asked. */
  async isMounted(): Promise<boolean> {
    const mountinfo = await this.systemd.run(['cat', '/proc/self/mountinfo']);
    return mountinfo.includes(` ${this.mountPoint} `);
  }

  /** Names in the server's directory, without those of its own. */
  onServer(): readonly string[] {
    return readdirSync(this.server.root)
      .filter((name) => name !== '.DAV')
      .sort();
  }

  async serverHas(name: string, content: string): Promise<void> {
    const path = join(this.server.root, name);
    const isThere = () => existsSync(path) && readFileSync(path, 'utf8') === content;
    await waitUntil(`the server to have ${name}`, isThere, { timeoutMs: 60_000 });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.server.resume();
    await this.systemd.try(['umount', '-l', '-c', this.mountPoint]);
    await this.systemd[Symbol.asyncDispose]();
    await this.server.stop();
  }
}
