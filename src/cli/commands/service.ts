/** The command that makes a mount a service of the machine. */

import { textOf } from '../arguments.js';
import { CONFIG_OPTION, type Command, configOption } from '../command.js';

const service: Command = {
  name: 'service',
  group: 'This machine',
  summary: 'Have systemd mount a profile: install or remove its service',
  usage: 'install|remove PROFILE [--user] [--now] [--run-as USER] [--print]',
  words: [
    { name: 'action', help: 'install or remove', completes: ['install', 'remove'] },
    { name: 'profile', help: 'Profile of the configuration file, which names the mount point' },
  ],
  options: {
    user: { type: 'boolean', describe: 'A service of yours rather than of the machine' },
    now: { type: 'boolean', describe: 'Start it at once' },
    'run-as': {
      type: 'string',
      requiresArg: true,
      describe: 'User whom a service of the machine runs as, with the configuration file of that user',
    },
    print: { type: 'boolean', describe: 'Only show the unit files' },
    ...configOption(),
  },
  run: async (parsed) => {
    const { runService } = await import('../service-command.js');
    return await runService({
      action: textOf(parsed, 'action'),
      profile: textOf(parsed, 'profile'),
      scope: parsed.user === true ? 'user' : 'system',
      now: parsed.now === true,
      print: parsed.print === true,
      runAs: textOf(parsed, 'run-as'),
      configFile: textOf(parsed, CONFIG_OPTION),
    });
  },
};

export const SERVICE_COMMANDS: readonly Command[] = [service];
