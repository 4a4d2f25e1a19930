/** The command `doctor`: what is wrong, or could be better, and what to do about it. */

import { resolve } from 'node:path';
import { UserError } from '../base/index.js';
import {
  checkConfig,
  defaultCacheDir,
  isProfileName,
  type OptionTexts,
  resolveServer,
  type ServerOptions,
} from '../config/index.js';
import type { Finding, FindingState } from '../daemon/index.js';
import { createLogger } from '../observe/index.js';
import { configPathOf, silentSurroundings } from './config-path.js';
import { EXIT_CODES } from './exit-codes.js';
import { say } from './output.js';
import { terminalPrompt } from './prompt.js';

export interface DoctorCommand {
  /** A profile or a URL; absent: this machine only. */
  readonly server: string | undefined;
  readonly configFile: string | undefined;
  readonly flags: OptionTexts;
  readonly throughput: boolean;
  readonly json: boolean;
}

const MARKS: Readonly<Record<FindingState, string>> = { ok: 'ok  ', note: 'note', warn: 'WARN', bad: 'BAD ' };

export async function runDoctor(command: DoctorCommand): Promise<number> {
  const daemon = await import('../daemon/index.js');
  const found: Finding[] = [];
  const tell = (finding: Finding) => {
    found.push(finding);
    if (command.json) return;
    say(`${MARKS[finding.state]}  ${finding.name}: ${finding.found}`);
    if (finding.todo !== undefined) say(`      ${finding.todo}`);
  };
  const configuration = daemon.findingsOf('configuration');
  let server: ServerOptions | undefined;
  let cacheDir = defaultCacheDir(new URL('https://any.invalid/'), undefined, process.env);
  let level: 'warn' | 'debug' = 'warn';
  const isProfile = command.server !== undefined && isProfileName(command.server);
  try {
    if (isProfile || command.configFile !== undefined) {
      const path = configPathOf(command.configFile);
      const { faults } = await checkConfig(path, silentSurroundings());
      for (const { problem, hint } of faults) tell(configuration('config-file', 'bad', problem, hint));
      if (faults.length === 0) tell(configuration('config-file', 'ok', `nothing is wrong with ${path}`));
    }
    if (command.server !== undefined) {
      const prompt = terminalPrompt();
      const resolved = await resolveServer(
        {
          ...(isProfile ? { profile: command.server } : { url: command.server }),
          ...(command.configFile === undefined ? {} : { configFile: command.configFile }),
          flags: command.flags,
        },
        {
          ...silentSurroundings(),
          ...(prompt === undefined ? {} : { askPassword: (question) => prompt.askHidden(question) }),
        },
      );
      server = resolved.server;
      const { values, path } = resolved.options;
      const given = values['cache-dir'];
      const own = defaultCacheDir(new URL(server.url), values.user, process.env);
      cacheDir = given === undefined ? own : path('cache-dir', given);
      if (values['log-level'] === 'debug' || values['log-level'] === 'trace') level = 'debug';
    }
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    tell(configuration('options', 'bad', error.problem, error.hint));
  }
  const logger = await createLogger({ level, format: 'auto' });
  const request = { cacheDir: resolve(cacheDir), server, throughput: command.throughput };
  for await (const finding of daemon.examine(request, { logger, signal: new AbortController().signal }))
    tell(finding);
  if (command.json) say(JSON.stringify(found, undefined, 2));
  else say(summary(found));
  return exitCode(found);
}

function summary(found: readonly Finding[]): string {
  const count = (state: FindingState) => found.filter((finding) => finding.state === state).length;
  if (count('bad') > 0) return `What is marked BAD cannot work: ${count('bad')}.`;
  return count('warn') > 0
    ? `It works; what is marked WARN may make trouble: ${count('warn')}.`
    : 'Everything works.';
}

function exitCode(found: readonly Finding[]): number {
  const bad = found.find(({ state }) => state === 'bad');
  switch (bad?.area) {
    case undefined:
      return EXIT_CODES.ok.code;
    case 'machine':
      return EXIT_CODES.system.code;
    case 'configuration':
      return EXIT_CODES.configuration.code;
    case 'server':
      return EXIT_CODES.serverTrouble.code;
  }
}
