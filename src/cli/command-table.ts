/** All commands; in the order of the help within their groups. */

import type { Command } from './command.js';
import { ACCOUNT_COMMANDS } from './commands/account.js';
import { FILE_COMMANDS } from './commands/files.js';
import { DEMO_COMMAND, MOUNT_COMMAND } from './commands/mount.js';
import { ROTATE_COMMAND, RUNNING_COMMANDS } from './commands/running.js';
import { SERVICE_COMMANDS } from './commands/service.js';
import { WATCHING_COMMANDS } from './commands/watching.js';

export const COMMANDS: readonly Command[] = [
  MOUNT_COMMAND,
  ...RUNNING_COMMANDS,
  DEMO_COMMAND,
  ...WATCHING_COMMANDS,
  ...FILE_COMMANDS,
  ...ACCOUNT_COMMANDS,
  ROTATE_COMMAND,
  ...SERVICE_COMMANDS,
];

export function commandNamed(name: string): Command | undefined {
  return COMMANDS.find((command) => command.name === name);
}
