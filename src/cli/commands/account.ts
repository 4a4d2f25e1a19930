/** The commands around the account and its profile, and the one that looks at the machine. */

import { UserError } from '../../base/index.js';
import { optionTexts, textOf } from '../arguments.js';
import { ALL_TABLE_OPTIONS, CONFIG_OPTION, type Command, configOption, JSON_OPTION } from '../command.js';

const login: Command = {
  name: 'login',
  group: 'Account',
  summary: 'Find and prove the access to an account, and keep it as a profile',
  usage: '[PROFILE] [--user ID] [--url URL | --node HOST | --api-key KEY] [options]',
  words: [{ name: 'profile', help: 'What the profile is or shall be called' }],
  // They go into the profile.
  options: {
    url: { type: 'string', describe: 'WebDAV URL of the account, as MyPage shows it' },
    node: { type: 'string', describe: 'Node of the account, instead of the URL' },
    'api-key': { type: 'string', describe: 'API key, to find the node and for the capacity in df' },
    'password-stdin': { type: 'boolean', describe: 'Read the password from stdin' },
    'refresh-token-stdin': { type: 'boolean', describe: 'Read a refresh token from stdin' },
    ...configOption(),
  },
  tableOptions: ALL_TABLE_OPTIONS,
  run: async (parsed) => {
    const fromStdin = (['password', 'refresh-token'] as const).filter(
      (what) => parsed[`${what}-stdin`] === true,
    );
    if (fromStdin.length > 1)
      throw new UserError('usage', 'Cannot read both --password-stdin and --refresh-token-stdin');
    const { runLogin } = await import('../login-command.js');
    return await runLogin({
      profile: textOf(parsed, 'profile'),
      configFile: textOf(parsed, CONFIG_OPTION),
      url: textOf(parsed, 'url'),
      node: textOf(parsed, 'node'),
      apiKey: textOf(parsed, 'api-key'),
      stdin: fromStdin[0],
      flags: optionTexts(parsed),
    });
  },
};

const logout: Command = {
  name: 'logout',
  group: 'Account',
  summary: 'Remove the secrets and tokens of a profile',
  usage: 'PROFILE [--forget]',
  words: [{ name: 'profile', help: 'Profile of the configuration file' }],
  options: {
    forget: { type: 'boolean', describe: 'Remove the profile as a whole' },
    ...configOption(),
  },
  run: async (parsed) => {
    const { runLogout } = await import('../logout-command.js');
    return await runLogout({
      profile: textOf(parsed, 'profile'),
      configFile: textOf(parsed, CONFIG_OPTION),
      forget: parsed.forget === true,
    });
  },
};

const config: Command = {
  name: 'config',
  group: 'Account',
  summary: 'check: all that is wrong with the configuration file; show: what is in effect',
  usage: 'check|show [PROFILE] [--json]',
  words: [
    { name: 'action', help: 'check or show', completes: ['check', 'show'] },
    { name: 'profile', help: 'For show: this one only' },
  ],
  options: { ...JSON_OPTION, ...configOption() },
  run: async (parsed) => {
    const { runConfig } = await import('../config-command.js');
    return await runConfig({
      action: textOf(parsed, 'action'),
      profile: textOf(parsed, 'profile'),
      configFile: textOf(parsed, CONFIG_OPTION),
      json: parsed.json === true,
    });
  },
};

const doctor: Command = {
  name: 'doctor',
  group: 'This machine',
  summary: 'Look at everything that a mount depends on, and say what to do',
  usage: '[PROFILE|URL] [options]',
  words: [{ name: 'server', help: 'What to look at besides this machine' }],
  options: {
    ...JSON_OPTION,
    throughput: {
      type: 'boolean',
      default: true,
      describe: 'Measure the line by sending a file and fetching it',
    },
    ...configOption(),
  },
  tableOptions: ALL_TABLE_OPTIONS,
  run: async (parsed) => {
    const { runDoctor } = await import('../doctor-command.js');
    return await runDoctor({
      server: textOf(parsed, 'server'),
      configFile: textOf(parsed, CONFIG_OPTION),
      flags: optionTexts(parsed),
      throughput: parsed.throughput !== false,
      json: parsed.json === true,
    });
  },
};

export const ACCOUNT_COMMANDS: readonly Command[] = [login, logout, config, doctor];
