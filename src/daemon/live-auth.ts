/**
 * Credentials that may change while a mount runs: an apps password that was renewed, tokens of a new login. When the
 * server refuses the present ones they are read again where they came from, and while they stay refused those files are
 * watched, so that what waits goes on by itself once the new ones are there.
 */

import { stat } from 'node:fs/promises';
import type { AuthHeaders, AuthProvider, AuthRequest } from '../auth/index.js';
import { isErrno, type Timer, UserError } from '../base/index.js';
import type { CredentialSource, Credentials, RestAccess } from '../config/index.js';
import { type AnyAuth, type AuthDeps, makeAuth } from './make-auth.js';

/** The source may run a command that asks a person: not for each of many refusals. */
const REREAD_PAUSE_MS = 5_000;
const WATCH_EVERY_MS = 2_000;
/** After the last refusal; a server is asked again more often than that. */
const WATCH_FOR_MS = 15 * 60_000;

export interface LiveAuthOptions {
  readonly credentials: Credentials | undefined;
  readonly rest: RestAccess | undefined;
  readonly source: CredentialSource | undefined;
}

export class LiveAuth implements AuthProvider {
  readonly #deps: AuthDeps;
  readonly #source: CredentialSource | undefined;
  #credentials: Credentials | undefined;
  #rest: RestAccess | undefined;
  #auth: AnyAuth;
  #rereadAtMs = Number.NEGATIVE_INFINITY;
  #rereading: Promise<boolean> | undefined;
  #timer: Timer | undefined;
  #refusedAtMs = 0;
  /** The state of the source's files just before they were read last. */
  #seen: string | undefined;
  #closed = false;
  /** Called when other credentials have been taken up, so that what waits may be tried at once. */
  onRenewed: (() => void) | undefined;

  constructor({ credentials, rest, source }: LiveAuthOptions, deps: AuthDeps) {
    this.#deps = deps;
    this.#source = source;
    this.#credentials = credentials;
    this.#rest = rest;
    this.#auth = makeAuth(credentials, deps);
  }

  /** The REST API's credentials as they are now. */
  get rest(): RestAccess | undefined {
    return this.#rest;
  }

  authorize(request: AuthRequest): ReturnType<AuthProvider['authorize']> {
    const headers = this.#auth.authorize(request);
    if (!(headers instanceof Promise)) return headers;
    return headers.catch((error: unknown) => {
      // There is no login any more, so no request gets as far as a refusal.
      this.#refused();
      throw error;
    });
  }

  async onUnauthorized(request: AuthRequest, sent: AuthHeaders, challenge?: string): Promise<boolean> {
    try {
      if (await this.#auth.onUnauthorized(request, sent, challenge)) return true;
      if (await this.#reread()) return true;
    } catch (error) {
      this.#refused();
      throw error;
    }
    this.#refused();
    return false;
  }

  /** Reads the source again, however recently that was done; what waits for the server is then tried again. */
  async reload(): Promise<void> {
    this.#rereadAtMs = Number.NEGATIVE_INFINITY;
    const isNew = await this.#reread();
    this.#deps.log.info({ isNew }, 'the credentials were read again');
    this.onRenewed?.();
  }

  /** Stops watching. */
  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
  }

  /** Reads the source again unless that was just done; whether there is something newer. */
  #reread(): Promise<boolean> {
    if (this.#source === undefined) return Promise.resolve(false);
    if (this.#rereading !== undefined) return this.#rereading;
    const nowMs = this.#deps.clock.nowMs();
    if (nowMs - this.#rereadAtMs < REREAD_PAUSE_MS) return Promise.resolve(false);
    this.#rereadAtMs = nowMs;
    this.#rereading = this.#take(this.#source).finally(() => {
      this.#rereading = undefined;
    });
    return this.#rereading;
  }

  async #take(source: CredentialSource): Promise<boolean> {
    this.#seen = await stateOf(source.files);
    try {
      const { credentials, rest } = await source.read();
      this.#rest = rest;
      if (credentials === undefined || credentials.user !== this.#credentials?.user) {
        this.#deps.log.warn({}, "the credentials are another user's now: mount again to use them");
        return false;
      }
      if (sameCredentials(credentials, this.#credentials)) return await this.#auth.reload();
      this.#credentials = credentials;
      this.#auth = this.#auth.update(credentials) ? this.#auth : makeAuth(credentials, this.#deps);
      return true;
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      this.#deps.log.warn({ reason: error.message }, 'the credentials could not be read again');
      return false;
    }
  }

  #refused(): void {
    this.#refusedAtMs = this.#deps.clock.nowMs();
    if (this.#seen === undefined && this.#source !== undefined) this.#noteState(this.#source);
    this.#watch();
  }

  /** From what state on a change is one: that of now, where the files were never read again. */
  #noteState(source: CredentialSource): void {
    stateOf(source.files)
      .then((state) => {
        this.#seen ??= state;
      })
      .catch((error: unknown) => {
        this.#deps.log.error({ err: error }, 'the files of the credentials cannot be watched');
      });
  }

  #watch(): void {
    if (this.#source === undefined || this.#timer !== undefined || this.#closed) return;
    if (this.#deps.clock.nowMs() - this.#refusedAtMs > WATCH_FOR_MS) return;
    const source = this.#source;
    this.#timer = this.#deps.clock.after(WATCH_EVERY_MS, () => {
      this.#look(source)
        .then((found) => {
          this.#timer = undefined;
          if (!found) this.#watch();
        })
        .catch((error: unknown) => {
          this.#timer = undefined;
          this.#deps.log.error({ err: error }, 'the files of the credentials cannot be watched');
          this.#watch();
        });
    });
  }

  /** Whether there is something new, which has been taken up. */
  async #look(source: CredentialSource): Promise<boolean> {
    const state = await stateOf(source.files);
    const before = this.#seen;
    this.#seen = state;
    if (before === undefined || before === state) return false;
    this.#rereadAtMs = Number.NEGATIVE_INFINITY;
    if (!(await this.#reread())) return false;
    this.#deps.log.info({}, 'new credentials were found; what waits is tried again');
    this.onRenewed?.();
    return true;
  }
}

/** What tells a changed file from the one before: it was replaced, or written in place. */
async function stateOf(files: readonly string[]): Promise<string> {
  const states = await Promise.all(
    files.map(async (file) => {
      try {
        const { ino, mtimeMs, size } = await stat(file);
        return `${ino} ${mtimeMs} ${size}`;
      } catch (error) {
        if (isErrno(error, 'ENOENT')) return 'none';
        throw error;
      }
    }),
  );
  return states.join('\n');
}

function sameCredentials(one: Credentials, other: Credentials | undefined): boolean {
  return other !== undefined && fingerprint(one) === fingerprint(other);
}

/** Stays in memory only. */
function fingerprint(credentials: Credentials): string {
  const secret =
    credentials.kind === 'basic'
      ? credentials.password
      : credentials.kind === 'oauth2'
        ? credentials.clientSecret
        : undefined;
  return JSON.stringify([credentials, secret?.reveal()]);
}
