/**
 * `mount --background`: this process starts another one that mounts, answers its questions on the terminal, and ends when
 * the mount is ready or has failed. Both sides of that are here; what is said between them goes over Node's channel.
 * The log is appended to one file, which logrotate(8) may copy and truncate (copytruncate), but not move away.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import * as z from 'zod';
import { quote, systemErrorCode, UserError } from '../base/index.js';
import type { MountReady } from '../daemon/index.js';
import { EXIT_CODES, exitCodeOf } from './exit-codes.js';
import { complain, readyLine, say } from './output.js';
import type { Prompt } from './prompt.js';

/** In the environment of the process that mounts; its value says whether there is someone to ask. */
const MARK = '_INFINIMOUNT_BACKGROUND';
const SOMEONE = 'someone';

export const BACKGROUND_OPTION = 'background';

const LOG_MODE = 0o600;
const LOG_DIR_MODE = 0o700;

const fromMount = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('ask'), question: z.string() }),
  z.object({
    kind: z.literal('ready'),
    url: z.string(),
    mountPoint: z.string(),
    warning: z.string().optional(),
  }),
  z.object({ kind: z.literal('failed'), message: z.string(), exitCode: z.int() }),
]);
type FromMount = z.infer<typeof fromMount>;

/** An answer that is absent: nobody gave one. */
const fromStarter = z.object({ answer: z.string().optional() });

/** Opens a log for appending; the caller closes it. Throws {@link UserError}. */
export function openLog(path: string): number {
  try {
    mkdirSync(dirname(path), { recursive: true, mode: LOG_DIR_MODE });
    return openSync(path, 'a', LOG_MODE);
  } catch (error) {
    throw new UserError(
      'background',
      `Cannot write the log ${quote(path)}: ${systemErrorCode(error) ?? String(error)}`,
      'Name another one with --log-file FILE.',
      { cause: error },
    );
  }
}

export interface BackgroundOptions {
  /** The program's own script; that of this process when absent. */
  readonly script?: string;
  /**
   * The process leaves our process group only when it has mounted: the kernel lets none but systemd's own group mount on
   * an automount (autofs(5)), and has all others wait for that very mount.
   */
  readonly inOurGroup?: boolean;
}

/** Starts the mount of `args`, of `infinimount`, waits until it is ready, and gives the exit code back. */
export async function runInBackground(
  args: readonly string[],
  logFile: string,
  prompt: Prompt | undefined,
  { script = process.argv[1] ?? '', inOurGroup = false }: BackgroundOptions = {},
): Promise<number> {
  const log = openLog(logFile);
  // Without the word, for the keeper of the mount starts its next daemon with the same line.
  const line = args.filter((word) => word !== `--${BACKGROUND_OPTION}`);
  let child: ChildProcess;
  try {
    child = spawn(process.execPath, [...process.execArgv, script, ...line], {
      detached: !inOurGroup,
      stdio: ['ignore', log, log, 'ipc'],
      env: { ...process.env, [MARK]: prompt === undefined ? 'nobody' : SOMEONE },
    });
  } finally {
    closeSync(log);
  }
  const stop = () => child.kill('SIGTERM');
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, stop);
  const said = await firstNews(child, prompt);
  switch (said?.kind) {
    case 'ready':
      child.disconnect();
      child.unref();
      say(readyLine(said));
      if (said.warning !== undefined) complain(said.warning);
      complain(`in the background, process ${child.pid}; its log is ${quote(logFile)}`);
      return EXIT_CODES.ok.code;
    case 'failed':
      complain(said.message);
      return said.exitCode;
    case undefined:
      throw new UserError(
        'background',
        'Cannot mount in the background: the process ended before the mount was ready',
        `See its log: ${quote(logFile)}`,
      );
  }
}

/** What became of the mount, after all questions; undefined where its process ended without a word. */
async function firstNews(
  child: ChildProcess,
  prompt: Prompt | undefined,
): Promise<Exclude<FromMount, { kind: 'ask' }> | undefined> {
  const ended = once(child, 'close').then(
    () => undefined,
    () => undefined,
  );
  return await new Promise((resolve) => {
    void ended.then(resolve);
    child.on('message', (message) => {
      const parsed = fromMount.safeParse(message);
      if (!parsed.success) return;
      if (parsed.data.kind === 'ask') void answer(child, prompt, parsed.data.question);
      else resolve(parsed.data);
    });
  });
}

async function answer(child: ChildProcess, prompt: Prompt | undefined, question: string): Promise<void> {
  let text: string | undefined;
  try {
    text = await prompt?.askHidden(question);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
  }
  // A process that ended meanwhile is told of by its end.
  if (child.connected) child.send({ ...(text === undefined ? {} : { answer: text }) });
}

/** The other side: what a process that mounts in the background tells the one that started it. */
export interface Starter {
  /** Undefined where there is nobody to ask. */
  readonly askPassword: ((question: string) => Promise<string>) | undefined;
  ready(ready: MountReady): void;
  failed(error: unknown): void;
}

/** Undefined where this process was not started by {@link runInBackground}. */
export function startedBy(): Starter | undefined {
  const mark = process.env[MARK];
  if (mark === undefined || process.send === undefined) return undefined;
  delete process.env[MARK];
  const tell = (message: FromMount) => {
    // Whoever started it may have been ended; the mount goes on.
    if (process.connected) process.send?.(message, undefined, undefined, () => undefined);
  };
  return {
    askPassword: mark === SOMEONE ? (question) => ask(tell, question) : undefined,
    ready: (ready) => {
      tell({ kind: 'ready', ...ready });
    },
    failed: (error) => {
      const isForeseen = error instanceof UserError;
      const message = isForeseen
        ? error.message
        : 'Cannot mount: an error of the program itself; see the log';
      const exitCode = isForeseen ? exitCodeOf(error.code) : EXIT_CODES.unexpected.code;
      tell({ kind: 'failed', message, exitCode });
    },
  };
}

async function ask(tell: (message: FromMount) => void, question: string): Promise<string> {
  const gone = once(process, 'disconnect').then(() => undefined);
  const came = once(process, 'message').then(([message]) => fromStarter.parse(message).answer);
  tell({ kind: 'ask', question });
  const text = await Promise.race([came, gone]);
  if (text !== undefined) return text;
  throw new UserError('password', 'Cannot log in: the question was not answered');
}
