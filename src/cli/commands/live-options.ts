/** Words and options that commands for running mounts have in common. */

import type { Options } from 'yargs';
import { optionSpec } from '../../config/index.js';
import { JSON_OPTION, type Word } from '../command.js';

/** Of every such command. */
export const LIVE_OPTIONS: Readonly<Record<string, Options>> = {
  ...JSON_OPTION,
  'runtime-dir': {
    type: 'string',
    requiresArg: true,
    describe: optionSpec('runtime-dir').help,
    defaultDescription: optionSpec('runtime-dir').defaultHelp,
  },
};

/** For commands whose words name something else. */
export const MOUNT_OPTION: Readonly<Record<string, Options>> = {
  mount: {
    type: 'string',
    requiresArg: true,
    describe: 'Profile or mount point; a path is then one within that mount',
  },
};

export const TIMEOUT_OPTION: Readonly<Record<string, Options>> = {
  timeout: {
    type: 'string',
    requiresArg: true,
    describe: 'How long to wait at most, such as 30s or 5m (a bare number is seconds)',
    defaultDescription: 'as long as it takes',
  },
};

export const MOUNT_WORD: Word = {
  name: 'mount',
  help: 'Profile or mount point; needed where several mounts run',
  completes: 'mount',
};

export const PATH_WORD: Word = {
  name: 'path',
  help: 'File or directory in the mounted drive, as the shell has it',
};
