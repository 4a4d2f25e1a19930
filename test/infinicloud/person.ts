/** A login with OAuth2, and the person with a browser that it needs. */

import { spawn } from 'node:child_process';
import { type RunResult, waitUntil } from '../support/exec.js';
import type { InfiniCloud } from '../support/infinicloud/index.js';
import { INFINIMOUNT } from '../support/mount/index.js';
import type { Home } from './setup.js';

/** The arguments of a login for `/v2/dav/`, by device flow. */
export function oauthArgs(cloud: InfiniCloud): readonly string[] {
  return [
    ...['--url', cloud.v2DavUrl, '--auth', 'oauth2', '--issuer', cloud.issuer, '--client-id', cloud.clientId],
    ...['--scope', 'openid offline_access', '--ca-file', cloud.caFile],
  ];
}

/** What a person does with what a login shows; undefined while there is nothing to do yet. */
export type Person = (shown: string) => Promise<unknown> | undefined;

export const byDevice =
  (cloud: InfiniCloud): Person =>
  (shown) => {
    const page = /https:\/\/\S+/.exec(shown)?.[0];
    const code = /code: *([A-Z]{4}-[A-Z]{4})/.exec(shown)?.[1];
    return page === undefined || code === undefined ? undefined : cloud.approve(page, code);
  };

export const byBrowser =
  (cloud: InfiniCloud): Person =>
  (shown) => {
    const page = /https:\/\/\S+redirect_uri=\S+(?=\n)/.exec(shown)?.[0];
    return page === undefined ? undefined : cloud.approve(page);
  };

/** Logs in with OAuth2, and does what the person has to do for it. */
export async function personLogin(home: Home, args: readonly string[], person: Person): Promise<RunResult> {
  const [program = '', ...words] = [...INFINIMOUNT, 'login', 'cloud', ...args, '--config', home.configFile];
  const child = spawn(program, words, {
    env: { ...process.env, ...home.env },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 60_000,
    killSignal: 'SIGKILL',
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => {
    stdout += chunk;
  });
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk;
  });
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  let done: Promise<unknown> | undefined;
  const isAsked = () => {
    done ??= person(`${stdout}\n${stderr}`);
    return done !== undefined || child.exitCode !== null;
  };
  await waitUntil('the login to ask for the browser', isAsked);
  await done;
  const code = await ended;
  return { code, signal: child.signalCode, stdout, stderr, timedOut: child.signalCode === 'SIGKILL' };
}
