/**
 * The unit files: from the templates of the package to what lies in systemd's directories, with the paths of Node and of
 * this program as they are on the machine. It writes nothing.
 */

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** How the templates call the program. */
const PROGRAM_IN_TEMPLATE = '/usr/bin/infinimount';

/** The package's own directory, two above the compiled file. */
const PACKAGE = fileURLToPath(new URL('../..', import.meta.url));

export type ServiceScope = 'system' | 'user';

/** The template units of a scope, the one that mounts first. */
export const TEMPLATES: Readonly<Record<ServiceScope, readonly [string, string]>> = {
  system: ['infinimount@.service', 'infinimount-release@.service'],
  user: ['infinimount-user@.service', 'infinimount-user-release@.service'],
};

/** The name of a profile's unit: `infinimount@work.service`. */
export function instanceOf(template: string, profile: string): string {
  return template.replace('@', `@${profile}`);
}

/** The command that runs this program: Node and its script. */
export function ownProgram(): readonly string[] {
  return [process.execPath, join(PACKAGE, 'bin', 'infinimount.js')];
}

/** A template as it is installed. */
export async function renderTemplate(template: string, program = ownProgram()): Promise<string> {
  const text = await readFile(join(PACKAGE, 'systemd', template), 'utf8');
  return text.replaceAll(PROGRAM_IN_TEMPLATE, () => commandLine(program));
}

/** A user whom a system unit runs as instead of root. */
export interface RunAs {
  readonly name: string;
  readonly uid: number;
}

/** Below `UNIT.d/`; beside it, changes of `systemctl edit` lie in override.conf. */
export const DROP_IN = '10-user.conf';

/**
 * What makes the instances of both system templates those of a user: his configuration file, his directories, and the one
 * capability that mounting needs.
 */
export function userDropIns({ name, uid }: RunAs, program = ownProgram()): readonly [string, string] {
  const own = commandLine(program);
  const common = [
    '[Service]',
    `User=${escapeSpecifiers(name)}`,
    'AmbientCapabilities=CAP_SYS_ADMIN',
    'ExecStart=',
  ];
  return [
    [
      ...common,
      `ExecStart=${own} mount %i`,
      'UnsetEnvironment=XDG_CACHE_HOME XDG_STATE_HOME',
      'StateDirectory=',
      'RuntimeDirectory=',
      `RuntimeDirectory=infinimount-${uid}`,
      // Forgotten with the directory by the empty line before.
      'RuntimeDirectoryMode=0700',
      '',
    ].join('\n'),
    [...common, `ExecStart=${own} service release %i`, ''].join('\n'),
  ];
}

/** Words as ExecStart= takes them (systemd.service(5), COMMAND LINES). */
function commandLine(words: readonly string[]): string {
  return words
    .map((word) => {
      const escaped = escapeSpecifiers(word).replaceAll('$', () => '$$');
      return /^[\w@%+:,./$-]+$/.test(escaped)
        ? escaped
        : `"${escaped.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
    })
    .join(' ');
}

/** A percent sign begins a specifier. */
function escapeSpecifiers(text: string): string {
  return text.replaceAll('%', '%%');
}
