/** The commands that change or end a running mount. */

import { UserError } from '../../base/index.js';
import { FLAG_NAMES, optionSpec } from '../../config/index.js';
import { optionTexts, textOf } from '../arguments.js';
import type { Command } from '../command.js';
import { LIVE_OPTIONS, MOUNT_WORD, TIMEOUT_OPTION } from './live-options.js';

const rotate: Command = {
  name: 'rotate',
  group: 'Account',
  summary: 'Give a running mount new credentials, or have it read them again where they came from',
  usage: '[MOUNT] [--password-stdin | --api-key-stdin | --refresh-token-stdin] [--force]',
  words: [MOUNT_WORD],
  options: {
    ...LIVE_OPTIONS,
    'password-stdin': { type: 'boolean', describe: 'Read a new password from stdin; a terminal asks for it' },
    'api-key-stdin': { type: 'boolean', describe: 'Read a new API key from stdin; a terminal asks for it' },
    'refresh-token-stdin': {
      type: 'boolean',
      describe: 'Read a new refresh token from stdin; a terminal asks for it',
    },
    force: {
      type: 'boolean',
      describe: 'Take them up though the server refuses them: it may need minutes to know them',
    },
  },
  run: async (parsed) => {
    const { openLive } = await import('../live.js');
    const { ROTATED_SECRETS, runRotate } = await import('../rotate-command.js');
    const [secret, other] = ROTATED_SECRETS.filter((what) => parsed[`${what}-stdin`] === true);
    if (other !== undefined)
      throw new UserError('usage', `Cannot read both --${secret}-stdin and --${other}-stdin`);
    const live = await openLive(parsed, 'rotate');
    return await runRotate(live, { secret, force: parsed.force === true });
  },
};

/** What a mount that runs can take, at once or by a new kernel mount. */
const REMOUNT_OPTIONS = FLAG_NAMES.filter((name) => ['live', 'new-mount'].includes(optionSpec(name).applies));
/** Where the server is, which a mount knows from its words or the file. */
const MOVED = ['url', 'node'] as const;

const remount: Command = {
  name: 'remount',
  group: 'Mount',
  summary: 'Change options of a running mount; without any, read its configuration file again',
  usage: '[MOUNT] [--OPTION VALUE ...] [--reestablish]',
  words: [MOUNT_WORD],
  options: {
    ...LIVE_OPTIONS,
    reestablish: {
      type: 'boolean',
      describe: 'Make a new kernel mount in the place of this one; open files are lost',
    },
    force: {
      type: 'boolean',
      describe: 'Take another URL up though the folder there does not look like the one that is mounted',
    },
    ...Object.fromEntries(
      MOVED.map((name) => [
        name,
        { type: 'string' as const, requiresArg: true, describe: optionSpec(name).help, group: 'Account:' },
      ]),
    ),
  },
  tableOptions: REMOUNT_OPTIONS,
  run: async (parsed) => {
    const { openLive } = await import('../live.js');
    const { runRemount } = await import('../remount-command.js');
    const moved = MOVED.flatMap((name) => {
      const text = textOf(parsed, name);
      return text === undefined ? [] : [[name, text] as const];
    });
    // Where the socket is looked for is the command's own affair.
    const { 'runtime-dir': _, ...flags } = optionTexts(parsed);
    const options = { ...flags, ...Object.fromEntries(moved) };
    const live = await openLive(parsed, 'remount');
    return await runRemount(live, {
      options,
      reestablish: parsed.reestablish === true,
      force: parsed.force === true,
    });
  },
};

const unmount: Command = {
  name: 'unmount',
  group: 'Mount',
  summary: 'Wait until everything is on the server, and end a mount',
  usage: '[MOUNT] [--no-wait] [--timeout TIME] [--lazy]',
  words: [MOUNT_WORD],
  options: {
    ...LIVE_OPTIONS,
    ...TIMEOUT_OPTION,
    wait: {
      type: 'boolean',
      default: true,
      describe: 'Wait until everything is on the server; what is not goes up at the next mount',
    },
    lazy: { type: 'boolean', describe: 'Detach it from programs that use it still' },
  },
  run: async (parsed) => {
    const { runUnmount } = await import('../unmount-command.js');
    const { controlPlaces } = await import('../running-mounts.js');
    const { parseTimeout } = await import('../parse-timeout.js');
    return await runUnmount(
      {
        mount: textOf(parsed, 'mount'),
        wait: parsed.wait !== false,
        lazy: parsed.lazy === true,
        timeoutMs: parseTimeout(textOf(parsed, 'timeout')),
        json: parsed.json === true,
      },
      controlPlaces(textOf(parsed, 'runtime-dir')),
    );
  },
};

const upgrade: Command = {
  name: 'upgrade',
  group: 'Mount',
  summary: 'After a new version was installed: let it serve a running mount; open files go on',
  usage: '[MOUNT]',
  words: [MOUNT_WORD],
  options: LIVE_OPTIONS,
  run: async (parsed) => {
    const { openLive } = await import('../live.js');
    const { controlPlaces } = await import('../running-mounts.js');
    const { runUpgrade } = await import('../upgrade-command.js');
    const live = await openLive(parsed, 'upgrade');
    return await runUpgrade(live, controlPlaces(textOf(parsed, 'runtime-dir')));
  },
};

export const RUNNING_COMMANDS: readonly Command[] = [remount, upgrade, unmount];
export const ROTATE_COMMAND: Command = rotate;
