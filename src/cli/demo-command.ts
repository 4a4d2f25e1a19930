/**
 * The command `demo`: a server on this machine, mounted, for whoever has no account at hand.
 *
 *     DIR/server/   the files as the server has them; they stay
 *     DIR/drive/    the mount point
 *     DIR/cache/    the mount's cache, removed when everything is on the server
 */

import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, readFile, rm, rmdir, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { quote, Secret, shellWord, systemErrorCode, UserError } from '../base/index.js';
import { defaultMountOptions } from '../config/index.js';
import type { RunningDaemon, StartDaemon } from '../daemon/index.js';
import { createLogger } from '../observe/index.js';
import type { DemoServerAnswer, DemoServerSettings } from './demo-server.js';
import { finish, loadDaemon } from './mount-command.js';
import { complain, say } from './output.js';
import { nextStopSignal } from './stop-signal.js';

const USER = 'demo';
const PASSWORD_BYTES = 16;

/** How long the server may take to come up. */
const SERVER_START_MS = 15_000;

/** How long the last uploads may take at the end; the server is on this machine. */
const FLUSH_MS = 20_000;

const WELCOME = `Welcome to infinimount.

This file is on a WebDAV server that runs on your own machine for this demo. You see it through a mount: copy files
in, edit them, make folders, and watch them arrive in the folder "server" beside this one.
`;

interface DemoFolders {
  readonly base: string;
  readonly server: string;
  readonly drive: string;
  readonly cache: string;
}

/** Runs the demo until a stop signal; gives the exit code back. `directory`: where its folders go. */
export async function runDemo(
  directory: string | undefined,
  load: () => Promise<StartDaemon> = loadDaemon,
): Promise<number> {
  const base = directory === undefined ? join(homedir(), 'infinimount-demo') : resolve(directory);
  const folders = {
    base,
    server: join(base, 'server'),
    drive: join(base, 'drive'),
    cache: join(base, 'cache'),
  };
  await makeFolders(folders);
  const startDaemon = await load();
  const stopSignal = nextStopSignal();
  const password = randomBytes(PASSWORD_BYTES).toString('hex');
  const port = await rememberedPort(folders);
  const server = await startServer({ folder: folders.server, user: USER, password, port });
  try {
    const logger = await createLogger({ level: 'warn', format: 'auto' });
    const options = {
      ...defaultMountOptions({
        url: `http://127.0.0.1:${server.port}/`,
        mountPoint: folders.drive,
        cacheDir: folders.cache,
        user: USER,
        password: new Secret(password),
      }),
      // The server ends with this process too.
      keeper: false,
    };
    const daemon = await startDaemon(options, { logger, onReady: () => greet(folders) });
    await Promise.race([stopSignal, daemon.closed, once(server.process, 'exit')]);
    return await end(daemon, folders);
  } finally {
    await server.stop();
  }
}

async function makeFolders({ base, server, drive }: DemoFolders): Promise<void> {
  try {
    const isNew = (await mkdir(server, { recursive: true })) !== undefined;
    if (isNew) await writeFile(join(server, 'welcome.txt'), WELCOME, { flag: 'wx' });
    await mkdir(drive);
  } catch (error) {
    const code = systemErrorCode(error);
    // The drive of an earlier demo: if its mount is dead, the check of the mount point says what to do about it.
    if (code === 'EEXIST' && error instanceof Error && 'path' in error && error.path === drive) return;
    throw new UserError(
      'demo',
      `Cannot make the folders of the demo in ${quote(base)}: ${code ?? String(error)}`,
      'Name another directory: infinimount demo DIR',
      { cause: error },
    );
  }
}

/**
 * The port of the last run where its cache is still there, because a cache belongs to one URL; else any free one.
 */
async function rememberedPort({ cache }: DemoFolders): Promise<number> {
  try {
    const identity: unknown = JSON.parse(await readFile(join(cache, 'cache.json'), 'utf8'));
    const url =
      typeof identity === 'object' && identity !== null && 'url' in identity ? String(identity.url) : '';
    return URL.canParse(url) ? Number(new URL(url).port) : 0;
  } catch {
    // No cache, or one that the mount will complain about.
    return 0;
  }
}

function greet({ server, drive }: DemoFolders): void {
  const file = shellWord(join(drive, 'hello.txt'));
  say(`infinimount demo: the drive is ready.

  The drive      ${drive}
  The server     ${server}   (the same files, as the server has them)

  Try, in another terminal:
    ls -l ${shellWord(drive)}
    echo hello > ${file}
    cat ${shellWord(join(server, 'hello.txt'))}
    cp -r /etc/apt ${shellWord(drive)}

  Then mount your own account:
    bin/infinimount.js mount https://NODE.teracloud.jp/dav/ DIR --user USER

  Ctrl-C ends the demo. Your files stay in ${server}.`);
}

/** Lets the last changes arrive, unmounts, and removes what is of no use any more. */
async function end(daemon: RunningDaemon, folders: DemoFolders): Promise<number> {
  say('infinimount demo: ending.');
  const failure = await daemon.flush(AbortSignal.timeout(FLUSH_MS)).then(
    () => undefined,
    (error: unknown) => systemErrorCode(error) ?? String(error),
  );
  const { pendingUploads } = await daemon.stop('signal');
  // Who unmounted it elsewhere has waited for the changes already, and the flush then finds nobody.
  if (failure !== undefined && pendingUploads > 0)
    complain(`the last changes did not reach the server: ${failure}`);
  const exitCode = await finish(daemon, folders.cache);
  if (pendingUploads === 0) {
    await rm(folders.cache, { recursive: true, force: true });
    await rmdir(folders.drive);
  }
  return exitCode;
}

interface DemoServer {
  readonly port: number;
  readonly process: ChildProcessByStdio<Writable, Readable, null>;
  stop(): Promise<void>;
}

/** Starts the server's process and waits until it listens; a port that is taken gives way to a free one. */
async function startServer(settings: DemoServerSettings): Promise<DemoServer> {
  const script = fileURLToPath(new URL('./demo-server.js', import.meta.url));
  const child = spawn(process.execPath, [script], { stdio: ['pipe', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  const stop = async () => {
    child.stdin.end();
    await exited;
  };
  child.stdin.write(`${JSON.stringify(settings)}\n`);
  const answer = await firstAnswer(child);
  if ('port' in answer) return { port: answer.port, process: child, stop };
  await stop();
  if (answer.error === 'EADDRINUSE' && settings.port !== 0)
    return await startServer({ ...settings, port: 0 });
  throw new UserError('demo', `Cannot start the server of the demo: ${answer.error}`);
}

async function firstAnswer(child: DemoServer['process']): Promise<DemoServerAnswer> {
  const lines = createInterface({ input: child.stdout });
  const line = new Promise<DemoServerAnswer>((settle) => {
    lines.once('line', (text) => settle(JSON.parse(text) as DemoServerAnswer));
    child.once('error', (error) => settle({ error: systemErrorCode(error) ?? error.message }));
    child.once('exit', (code) => settle({ error: `it ended with exit code ${code}` }));
    setTimeout(
      () => settle({ error: `no answer within ${SERVER_START_MS / 1000} s` }),
      SERVER_START_MS,
    ).unref();
  });
  try {
    return await line;
  } finally {
    lines.close();
  }
}
