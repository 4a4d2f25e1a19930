/** The commands on files of a running mount and on its cache. */

import { quote, UserError } from '../../base/index.js';
import { textOf } from '../arguments.js';
import type { Command } from '../command.js';
import { LIVE_OPTIONS, MOUNT_OPTION, MOUNT_WORD, PATH_WORD } from './live-options.js';

const PATH_OPTIONS = { ...LIVE_OPTIONS, ...MOUNT_OPTION };

const refresh: Command = {
  name: 'refresh',
  group: 'Files and cache',
  summary: 'Ask the server now what is in a directory',
  usage: 'PATH [--recursive]',
  words: [PATH_WORD],
  options: {
    ...PATH_OPTIONS,
    recursive: { type: 'boolean', describe: 'And in every directory below that is known already' },
  },
  run: async (parsed) => {
    const { openLiveAt } = await import('../live.js');
    const { runRefresh } = await import('../file-commands.js');
    const { live, inside } = await openLiveAt(parsed, 'refresh', textOf(parsed, 'path'));
    return await runRefresh(live, inside, parsed.recursive === true);
  },
};

const pinOrUnpin = (name: 'pin' | 'unpin', summary: string): Command => ({
  name,
  group: 'Files and cache',
  summary,
  usage: 'PATH',
  words: [PATH_WORD],
  options: PATH_OPTIONS,
  run: async (parsed) => {
    const { openLiveAt } = await import('../live.js');
    const { runPin, runUnpin } = await import('../file-commands.js');
    const { live, inside } = await openLiveAt(parsed, name, textOf(parsed, 'path'));
    return await (name === 'pin' ? runPin : runUnpin)(live, inside);
  },
});

const pins: Command = {
  name: 'pins',
  group: 'Files and cache',
  summary: 'List what is pinned, and how much of it is here',
  usage: '[MOUNT] [--json]',
  words: [MOUNT_WORD],
  options: LIVE_OPTIONS,
  run: async (parsed) => {
    const { openLive } = await import('../live.js');
    const { runPins } = await import('../file-commands.js');
    return await runPins(await openLive(parsed, 'pins'));
  },
};

const evict: Command = {
  name: 'evict',
  group: 'Files and cache',
  summary: 'Drop copies from the cache: of one path, or of all files that are not pinned or in use',
  usage: '[PATH]',
  words: [PATH_WORD],
  options: PATH_OPTIONS,
  run: async (parsed) => {
    const { openLive, openLiveAt } = await import('../live.js');
    const { runEvict } = await import('../file-commands.js');
    const path = textOf(parsed, 'path');
    if (path === undefined) return await runEvict(await openLive(parsed, 'evict'), undefined);
    const { live, inside } = await openLiveAt(parsed, 'evict', path);
    return await runEvict(live, inside);
  },
};

const cache: Command = {
  name: 'cache',
  group: 'Files and cache',
  summary: 'stats: what the cache holds; verify: check every file of it; clear: drop all copies',
  usage: 'stats|verify|clear [MOUNT]',
  words: [
    { name: 'action', help: 'stats, verify or clear', completes: ['stats', 'verify', 'clear'] },
    MOUNT_WORD,
  ],
  options: LIVE_OPTIONS,
  run: async (parsed) => {
    const { openLive } = await import('../live.js');
    const { CACHE_ACTIONS, runCache } = await import('../steering-commands.js');
    const given = textOf(parsed, 'action');
    const action = CACHE_ACTIONS.find((each) => each === given);
    if (action === undefined) {
      throw new UserError(
        'usage',
        `Cannot do anything with the cache: ${given === undefined ? 'nothing was said to do' : `${quote(given)} is unknown`}`,
        'Write: infinimount cache stats|verify|clear',
      );
    }
    return await runCache(await openLive(parsed, `cache ${action}`), action);
  },
};

const conflicts: Command = {
  name: 'conflicts',
  group: 'Files and cache',
  summary: 'List files of which two versions were kept, or settle one',
  usage: '[list [MOUNT] | resolve COPY --keep local|server|both]',
  words: [
    { name: 'action', help: 'list or resolve', completes: ['list', 'resolve'] },
    { name: 'target', help: 'For list: the mount; for resolve: the copy that was kept, as the shell has it' },
  ],
  options: {
    ...PATH_OPTIONS,
    keep: {
      type: 'string',
      requiresArg: true,
      choices: ['local', 'server', 'both'],
      describe: "local: this machine's version replaces the server's; server: the copy is removed",
    },
  },
  run: async (parsed) => {
    const { openLive, openLiveAt } = await import('../live.js');
    const { requireKeep, runConflicts, runResolve } = await import('../file-commands.js');
    const [action, target] = [textOf(parsed, 'action'), textOf(parsed, 'target')];
    if (action === 'resolve') {
      const keep = requireKeep(textOf(parsed, 'keep'));
      const { live, inside } = await openLiveAt(parsed, 'conflicts resolve', target);
      return await runResolve(live, inside, keep);
    }
    const mount = textOf(parsed, 'mount') ?? (action === 'list' ? target : action);
    return await runConflicts(await openLive(parsed, 'conflicts list', mount));
  },
};

export const FILE_COMMANDS: readonly Command[] = [
  refresh,
  pinOrUnpin('pin', 'Keep a file or a tree on this machine, fetching what is missing'),
  pinOrUnpin('unpin', 'Let a pinned file or tree go from the cache like any other'),
  pins,
  evict,
  cache,
  conflicts,
];
