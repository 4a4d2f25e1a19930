/** systemd as `service install` uses it: its directories, and systemctl(1). */

import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '../base/index.js';
import type { ServiceScope } from './service-units.js';

/** sd_booted(3). */
const BOOTED = '/run/systemd/system';
/** A start waits for the mount, a stop for the queue; the units bound both. */
const LIMIT_MS = 15 * 60_000;

export interface Systemd {
  /** Where an administrator's, or a user's own, units lie. */
  readonly unitDir: string;
  /** Runs systemctl with these words; rejects with {@link UserError} when it fails. */
  systemctl(...words: readonly string[]): Promise<void>;
}

/** The manager of the machine or of this user; throws {@link UserError} where none runs. */
export function findSystemd(
  scope: ServiceScope,
  environment: Readonly<Record<string, string | undefined>>,
): Systemd {
  if (!existsSync(BOOTED)) {
    throw new UserError(
      'service-manager',
      'Cannot manage a service: systemd does not run this machine',
      'Start the mount otherwise: infinimount mount --background, or in /etc/fstab.',
    );
  }
  if (scope === 'system') {
    if (process.getuid?.() !== 0) {
      throw new UserError(
        'service-manager',
        'Cannot manage a service of the machine: you are not root',
        'Add --user for a service of your own, or run it with sudo.',
      );
    }
    return systemd('/etc/systemd/system', []);
  }
  const { XDG_RUNTIME_DIR: runtimeDir, XDG_CONFIG_HOME: configHome, HOME: home } = environment;
  if (runtimeDir === undefined || !existsSync(join(runtimeDir, 'systemd', 'private'))) {
    throw new UserError(
      'service-manager',
      'Cannot manage a service of yours: no systemd runs for you ($XDG_RUNTIME_DIR has none)',
      'Log in as yourself, not with su or sudo; or run: loginctl enable-linger',
    );
  }
  const base = configHome?.startsWith('/') ? configHome : join(home ?? '/', '.config');
  return systemd(join(base, 'systemd', 'user'), ['--user']);
}

function systemd(unitDir: string, scope: readonly string[]): Systemd {
  return {
    unitDir,
    systemctl: async (...words) => {
      const code = await runSystemctl([...scope, '--quiet', ...words]);
      if (code === 0) return;
      const unit = words.at(-1) ?? '';
      throw new UserError(
        'service-manager',
        `systemctl ${words.join(' ')} failed${code === null ? '' : ` (exit code ${code})`}`,
        unit.endsWith('.service') ? `See: systemctl ${[...scope, 'status', unit].join(' ')}` : undefined,
      );
    },
  };
}

/** What it says goes to stderr. */
function runSystemctl(words: readonly string[]): Promise<number | null> {
  return new Promise((resolve, reject) => {
    const child = spawn('systemctl', words, { stdio: ['ignore', 'ignore', 'inherit'], timeout: LIMIT_MS });
    child.once('error', (error) =>
      reject(
        new UserError('service-manager', 'Cannot manage a service: systemctl cannot be run', undefined, {
          cause: error,
        }),
      ),
    );
    child.once('close', resolve);
  });
}
