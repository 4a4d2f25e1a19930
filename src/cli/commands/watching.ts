/** The commands that tell how a running mount is, and wait for it. */

import { textOf } from '../arguments.js';
import type { Command } from '../command.js';
import { LIVE_OPTIONS, MOUNT_WORD, TIMEOUT_OPTION } from './live-options.js';

const status: Command = {
  name: 'status',
  group: 'Watching',
  summary: 'Tell how a mount is: connection, credentials, queue, speed, cache, troubles; or all mounts',
  usage: '[MOUNT] [--watch] [--verbose] [--json]',
  words: [MOUNT_WORD],
  options: {
    ...LIVE_OPTIONS,
    watch: {
      type: 'boolean',
      describe: 'Follow it in the terminal; elsewhere a line for each change, with --json an event a line',
    },
    verbose: {
      type: 'boolean',
      describe: "All troubles, and the kernel's features in use and not in use, with why",
    },
  },
  run: async (parsed) => {
    const { runStatus } = await import('../status-command.js');
    const { controlPlaces } = await import('../running-mounts.js');
    return await runStatus(
      {
        mount: textOf(parsed, 'mount'),
        verbose: parsed.verbose === true,
        watch: parsed.watch === true,
        json: parsed.json === true,
      },
      controlPlaces(textOf(parsed, 'runtime-dir')),
    );
  },
};

const queue: Command = {
  name: 'queue',
  group: 'Watching',
  summary: 'List the changes that are not on the server yet, with progress and troubles',
  usage: '[MOUNT] [--limit N] [--json]',
  words: [MOUNT_WORD],
  options: {
    ...LIVE_OPTIONS,
    limit: {
      type: 'string',
      requiresArg: true,
      describe: 'Changes to list at most',
      defaultDescription: '100',
    },
  },
  run: async (parsed) => {
    const { openLive } = await import('../live.js');
    const { parseLimit, runQueue } = await import('../steering-commands.js');
    const limit = parseLimit(textOf(parsed, 'limit'));
    return await runQueue(await openLive(parsed, 'queue'), limit);
  },
};

const flush: Command = {
  name: 'flush',
  group: 'Watching',
  summary: 'Wait until everything is on the server',
  usage: '[MOUNT] [--timeout TIME] [--if-possible]',
  words: [MOUNT_WORD],
  options: {
    ...LIVE_OPTIONS,
    ...TIMEOUT_OPTION,
    'if-possible': {
      type: 'boolean',
      describe:
        'Do not wait where nothing can be sent: no connection (exit code 68), credentials refused (77), server full (80)',
    },
  },
  run: async (parsed) => {
    const { openLive } = await import('../live.js');
    const { parseTimeout } = await import('../parse-timeout.js');
    const { runFlush } = await import('../flush-command.js');
    const timeoutMs = parseTimeout(textOf(parsed, 'timeout'));
    const ifPossible = parsed['if-possible'] === true;
    return await runFlush(await openLive(parsed, 'flush'), { timeoutMs, ifPossible });
  },
};

const pauseOrResume = (name: 'pause' | 'resume', summary: string): Command => ({
  name,
  group: 'Watching',
  summary,
  usage: '[MOUNT]',
  words: [MOUNT_WORD],
  options: LIVE_OPTIONS,
  run: async (parsed) => {
    const { openLive } = await import('../live.js');
    const { runPause } = await import('../steering-commands.js');
    return await runPause(await openLive(parsed, name), name === 'pause');
  },
});

const logLevel: Command = {
  name: 'log-level',
  group: 'Watching',
  summary: 'Tell or set the least severity that a running mount logs',
  usage: '[LEVEL] [MOUNT]',
  words: [
    {
      name: 'level',
      help: 'trace, debug, info, warn, error or fatal; absent: only tell',
      completes: ['trace', 'debug', 'info', 'warn', 'error', 'fatal'],
    },
    MOUNT_WORD,
  ],
  options: LIVE_OPTIONS,
  run: async (parsed) => {
    const { openLive } = await import('../live.js');
    const { isLevel, runLogLevel } = await import('../steering-commands.js');
    const [first, second] = [textOf(parsed, 'level'), textOf(parsed, 'mount')];
    const level = first !== undefined && isLevel(first) ? first : undefined;
    const mount = level === undefined ? (second ?? first) : second;
    return await runLogLevel(await openLive(parsed, 'log-level', mount), level);
  },
};

export const WATCHING_COMMANDS: readonly Command[] = [
  status,
  queue,
  flush,
  pauseOrResume('pause', 'Send no more changes until resumed; files can be used as before'),
  pauseOrResume('resume', 'Send changes again'),
  logLevel,
];
