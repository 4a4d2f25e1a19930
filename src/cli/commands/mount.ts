/** The commands that make a mount. */

import { backgroundLogFile } from '../../config/index.js';
import { optionTexts, textOf } from '../arguments.js';
import { ALL_TABLE_OPTIONS, CONFIG_OPTION, type Command, configOption } from '../command.js';
import { silentSurroundings } from '../config-path.js';

export const MOUNT_COMMAND: Command = {
  name: 'mount',
  group: 'Mount',
  summary: 'Mount a server on a directory, until it is ended with Ctrl-C or SIGTERM',
  usage: 'PROFILE|URL [DIR] [--user USER] [--password-file FILE] [options]',
  words: [
    {
      name: 'server',
      help: 'Profile of the configuration file, or a folder on a server such as https://host/dav/',
    },
    { name: 'directory', help: "Empty directory to mount it on; the profile's mount-point when absent" },
  ],
  options: {
    background: {
      type: 'boolean',
      describe: 'Go into the background when it is mounted; the log then goes to a file',
    },
    ...configOption('TOML file with options, named as here, and profiles'),
  },
  tableOptions: ALL_TABLE_OPTIONS,
  run: async (parsed) => {
    const { requireTarget, runMount } = await import('../mount-command.js');
    const configFile = textOf(parsed, CONFIG_OPTION);
    const request = {
      ...requireTarget(textOf(parsed, 'server'), textOf(parsed, 'directory')),
      flags: optionTexts(parsed),
      ...(configFile === undefined ? {} : { configFile }),
    };
    if (parsed.background !== true) return await runMount(request);
    const { runInBackground } = await import('../background.js');
    const { terminalPrompt } = await import('../prompt.js');
    const logFile = await backgroundLogFile(request, silentSurroundings());
    return await runInBackground(process.argv.slice(2), logFile, terminalPrompt());
  },
};

export const DEMO_COMMAND: Command = {
  name: 'demo',
  group: 'Mount',
  summary: 'Try it without an account: a server on this machine, mounted on a directory',
  usage: '[DIR]',
  words: [{ name: 'directory', help: 'Directory for the demo: the drive, and the files on the server' }],
  options: {},
  run: async (parsed) => {
    const { runDemo } = await import('../demo-command.js');
    return await runDemo(textOf(parsed, 'directory'));
  },
};
