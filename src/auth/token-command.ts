/**
 * Access tokens from a program of the user's own, for authorization servers that nothing else here can talk to.
 *
 * Its standard output is the token alone, or JSON: `{"access_token": "...", "expires_in": 3600}`, where `expires_at`
 * (seconds since the epoch, or a date of RFC 3339) may stand instead.
 */

import { spawn } from 'node:child_process';
import { type Clock, type Log, Secret } from '../base/index.js';
import { BearerAuth, type BearerToken, type TokenSource } from './bearer.js';
import { AuthError } from './errors.js';

export interface TokenCommandOptions {
  /** Run by `/bin/sh -c`; what it prints on standard error is dropped, since it may be secret. */
  readonly command: string;
  readonly timeoutMs?: number;
}

const DEFAULT_TIMEOUT_MS = 60_000;
const MAX_OUTPUT_BYTES = 64 * 1024;
/** RFC 6750 section 2.1 */
const TOKEN = /^[\w.~+/-]+=*$/;

export class TokenCommandAuth extends BearerAuth {
  constructor(options: TokenCommandOptions, deps: { readonly clock: Clock; readonly log: Log }) {
    super(new TokenCommand(options, deps.clock), deps);
  }
}

class TokenCommand implements TokenSource<BearerToken> {
  readonly #options: TokenCommandOptions;
  readonly #clock: Clock;

  constructor(options: TokenCommandOptions, clock: Clock) {
    this.#options = options;
    this.#clock = clock;
  }

  load(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  async renew(): Promise<BearerToken> {
    const { command, timeoutMs = DEFAULT_TIMEOUT_MS } = this.#options;
    const output = await runCommand(command, timeoutMs, this.#clock);
    return parseTokenOutput(output, this.#clock.nowMs());
  }
}

/** Throws `AuthError`; its message has nothing of the output. */
export function parseTokenOutput(output: string, nowMs: number): BearerToken {
  const text = output.trim();
  const parsed = text.startsWith('{') ? parseJson(text) : { access_token: text };
  const { access_token: token, expires_in: inSeconds, expires_at: at } = parsed;
  if (typeof token !== 'string' || !TOKEN.test(token)) {
    throw failed(text === '' ? 'printed nothing' : 'printed something that is no bearer token');
  }
  return {
    accessToken: new Secret(token),
    issuedAtMs: nowMs,
    expiresAtMs: expiry(inSeconds, at, nowMs),
  };
}

function parseJson(text: string): Record<string, unknown> {
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch {
    // The syntax error's message would quote the output.
    throw failed('printed broken JSON');
  }
}

function expiry(inSeconds: unknown, at: unknown, nowMs: number): number | undefined {
  const seconds = numberOf(inSeconds);
  if (seconds !== undefined) return nowMs + seconds * 1000;
  const epochSeconds = numberOf(at);
  if (epochSeconds !== undefined) return epochSeconds * 1000;
  const dateMs = typeof at === 'string' ? Date.parse(at) : Number.NaN;
  if (!Number.isNaN(dateMs)) return dateMs;
  if (inSeconds === undefined && at === undefined) return undefined;
  throw failed('printed an expiry that is no number and no date');
}

function numberOf(value: unknown): number | undefined {
  if (typeof value === 'number' && Number.isFinite(value)) return value;
  return typeof value === 'string' && /^\d{1,12}$/.test(value) ? Number(value) : undefined;
}

function runCommand(command: string, timeoutMs: number, clock: Clock): Promise<string> {
  return new Promise((resolve, reject) => {
    // A group of its own, so that what the shell started ends with it.
    const child = spawn('/bin/sh', ['-c', command], { stdio: ['ignore', 'pipe', 'ignore'], detached: true });
    const chunks: Buffer[] = [];
    let bytes = 0;
    let fault: string | undefined;
    const end = (why: string) => {
      fault ??= why;
      child.stdout.destroy();
      if (child.pid !== undefined && child.exitCode === null) killGroup(child.pid);
    };
    const timer = clock.after(timeoutMs, () => end(`did not end within ${timeoutMs / 1000} s`));
    child.stdout.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > MAX_OUTPUT_BYTES) end('printed too much');
      else chunks.push(chunk);
    });
    child.once('error', (error) => {
      timer.cancel();
      reject(failed('could not be started', error));
    });
    child.once('close', (code, signal) => {
      timer.cancel();
      if (fault !== undefined) reject(failed(fault));
      else if (code === 0) resolve(Buffer.concat(chunks).toString('utf8'));
      else reject(failed(code === null ? `was ended by ${signal}` : `failed with exit code ${code}`));
    });
  });
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It has ended by itself meanwhile.
  }
}

function failed(found: string, cause?: unknown): AuthError {
  return new AuthError(
    'token-command',
    `the token command ${found}`,
    'Run it in a terminal: it has to print a token, or JSON with access_token and expires_in, and nothing else.',
    cause === undefined ? undefined : { cause },
  );
}
