/** Finds the programs that tests need beside Node, and says what to do when one is missing. */

import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { isCi } from '../exec.js';

/** A program of a Debian package that a test drives. */
export type ComponentName = 'apache' | 'nginx' | 'rclone' | 'setpriv' | 'openssl';

interface Component {
  readonly programs: readonly string[];
  /** Files that must exist beside the program. */
  readonly files: readonly string[];
  readonly debianPackage: string;
}

const APACHE_MODULES = '/usr/lib/apache2/modules';
const NGINX_MODULES = '/usr/lib/nginx/modules';

const COMPONENTS: Readonly<Record<ComponentName, Component>> = {
  apache: {
    programs: ['apache2'],
    files: [join(APACHE_MODULES, 'mod_dav_fs.so')],
    debianPackage: 'apache2',
  },
  nginx: {
    programs: ['nginx'],
    files: [join(NGINX_MODULES, 'ngx_http_dav_ext_module.so')],
    debianPackage: 'nginx libnginx-mod-http-dav-ext',
  },
  rclone: { programs: ['rclone'], files: [], debianPackage: 'rclone' },
  setpriv: { programs: ['setpriv'], files: [], debianPackage: 'util-linux' },
  openssl: { programs: ['openssl'], files: [], debianPackage: 'openssl' },
};

/** Thrown by the `start...` functions on a machine that lacks the program. */
export class MissingComponentError extends Error {
  override readonly name = 'MissingComponentError';
  readonly component: ComponentName;

  constructor(component: ComponentName) {
    super(`Cannot find ${component}: run: apt-get install ${COMPONENTS[component].debianPackage}`);
    this.component = component;
  }
}

/** The full path of a component's program; throws {@link MissingComponentError}. */
export function findComponent(name: ComponentName): string {
  const component = COMPONENTS[name];
  if (!component.files.every(isReadable)) throw new MissingComponentError(name);
  const folders = [...(process.env.PATH ?? '').split(':'), '/usr/sbin', '/usr/bin', '/sbin', '/bin'];
  for (const program of component.programs) {
    for (const folder of folders) {
      const path = join(folder, program);
      if (folder !== '' && isExecutable(path)) return path;
    }
  }
  throw new MissingComponentError(name);
}

/**
 * Whether the component is here. Where it is not, the test is marked as skipped with the reason on a developer's
 * machine (and the caller returns), and fails where `CI` is set.
 */
export function requireComponent(t: TestContext, name: ComponentName): boolean {
  try {
    findComponent(name);
    findComponent('setpriv');
    return true;
  } catch (error) {
    if (!(error instanceof MissingComponentError) || isCi()) throw error;
    t.skip(error.message);
    return false;
  }
}

function isExecutable(path: string): boolean {
  return isAccessible(path, constants.X_OK);
}

function isReadable(path: string): boolean {
  return isAccessible(path, constants.R_OK);
}

function isAccessible(path: string, mode: number): boolean {
  try {
    accessSync(path, mode);
    return true;
  } catch {
    return false;
  }
}
