/**
 * Credentials that may change while a mount runs: an apps password that was renewed, tokens of a new login. Where they
 * come from is watched; what is new there is tried against the server before it takes the place of what works. When the
 * server refuses the present ones, they are read again at once and taken up untried: there is nothing to lose.
 *
 * INVARIANT: credentials change only within {@link LiveAuth.exclusively}, one change after another.
 */

import {
  AuthError,
  type AuthHeaders,
  type AuthProvider,
  type AuthRequest,
  type Tokens,
} from '../../auth/index.js';
import { type Timer, UserError } from '../../base/index.js';
import type { CredentialSource, Credentials, RestAccess } from '../../config/index.js';
import { CredentialWatch } from './credential-watch.js';
import { type AnyAuth, type AuthDeps, makeAuth } from './make-auth.js';
import { Refusal } from './refusal.js';

/** The source may run a command that asks a person: not for each of many refusals. */
const REREAD_PAUSE_MS = 5_000;
/** New ones that the server refuses are tried again: it may need minutes to know them. An account bears few wrong tries. */
const FIRST_RETRY_MS = 30_000;
const LONGEST_RETRY_MS = 300_000;
const RETRY_FOR_MS = 30 * 60_000;

/** What the server says to credentials. */
export type Verdict =
  | { readonly kind: 'accepted' }
  | { readonly kind: 'refused'; readonly error: UserError }
  /** Nothing can be said: no connection, or the server is in trouble. */
  | { readonly kind: 'unreachable'; readonly error: UserError };

/** What reading the source again came to. */
export type Reread =
  /** `tried`: whether the server took them before they were taken up. */
  | { readonly kind: 'taken'; readonly tried: boolean }
  | { readonly kind: 'same' }
  /** The source has others that the server does not take (yet), or cannot be asked about. */
  | Exclude<Verdict, { readonly kind: 'accepted' }>
  /** The source cannot be read, or has another user's. */
  | { readonly kind: 'unusable'; readonly error: UserError };

export interface Login {
  readonly credentials: Credentials | undefined;
  readonly rest: RestAccess | undefined;
}

export interface LiveAuthOptions extends Login {
  readonly source: CredentialSource | undefined;
}

export interface LiveAuthDeps extends AuthDeps {
  /** Asks the server once with these alone; absent: new ones are taken up untried, and a refusal stands at once. */
  readonly prove?: (auth: AuthProvider) => Promise<Verdict>;
}

/** For showing. */
export interface CredentialStatus {
  readonly kind: 'none' | Credentials['kind'];
  readonly user: string | undefined;
  readonly state: 'untried' | 'accepted' | 'refused';
  /** When the present ones were taken up; ms since the epoch. */
  readonly sinceMs: number;
}

export class LiveAuth implements AuthProvider {
  readonly #deps: LiveAuthDeps;
  readonly #source: CredentialSource | undefined;
  readonly #watch: CredentialWatch | undefined;
  #credentials: Credentials | undefined;
  #rest: RestAccess | undefined;
  #auth: AnyAuth;
  #state: CredentialStatus['state'] = 'untried';
  #sinceMs: number;
  /** Grows with each change of the credentials. */
  #version = 0;
  /** What the latest request carried. */
  #latest: string | undefined;
  #refusal: Refusal | undefined;
  #turn: Promise<void> = Promise.resolve();
  #rereadAtMs = Number.NEGATIVE_INFINITY;
  #rereading: Promise<boolean> | undefined;
  #retry: { readonly untilMs: number; readonly delayMs: number; readonly timer: Timer } | undefined;
  #closed = false;
  /** Called when other credentials have been taken up, so that what waits may be tried at once. */
  onRenewed: ((accepted: boolean) => void) | undefined;

  constructor({ credentials, rest, source }: LiveAuthOptions, deps: LiveAuthDeps) {
    this.#deps = deps;
    this.#source = source;
    this.#credentials = credentials;
    this.#rest = rest;
    this.#auth = makeAuth(credentials, deps);
    this.#sinceMs = deps.clock.nowMs();
    const { clock, log } = deps;
    if (source === undefined) return;
    this.#watch = new CredentialWatch({
      files: source.files,
      clock,
      log,
      onChange: () => this.#changed(),
    });
  }

  get credentials(): Credentials | undefined {
    return this.#credentials;
  }

  /** The REST API's credentials as they are now. */
  get rest(): RestAccess | undefined {
    return this.#rest;
  }

  get source(): CredentialSource | undefined {
    return this.#source;
  }

  get status(): CredentialStatus {
    const { kind, user } = this.#credentials ?? { kind: 'none' as const, user: undefined };
    return { kind, user, state: this.#state, sinceMs: this.#sinceMs };
  }

  /** From now on changes of the source are noticed. */
  watch(): void {
    this.#watch?.start();
  }

  authorize(request: AuthRequest): ReturnType<AuthProvider['authorize']> {
    if (this.#refusal !== undefined) return this.#authorizeLater(request, this.#refusal);
    const headers = this.#auth.authorize(request);
    if (!(headers instanceof Promise)) return this.#noted(headers);
    return headers.then(
      (given) => this.#noted(given),
      async (error: unknown) => {
        // There is no login any more, so no request gets as far as a refusal.
        if (!isLoginLost(error) || !(await this.#refused(this.#version))) throw error;
        return this.#noted(await this.#auth.authorize(request));
      },
    );
  }

  async onUnauthorized(request: AuthRequest, sent: AuthHeaders, challenge?: string): Promise<boolean> {
    const version = this.#version;
    try {
      if (await this.#auth.onUnauthorized(request, sent, challenge)) return true;
      if (await this.#reread()) return true;
    } catch (error) {
      if (isLoginLost(error) && (await this.#refused(version))) return true;
      throw error;
    }
    return await this.#refused(version);
  }

  onAccepted(sent: AuthHeaders): void {
    // An answer to what was sent before a change says nothing of the present ones, and nothing is sent while all wait.
    if (this.#refusal !== undefined) return;
    if (this.#state !== 'accepted' && sent.authorization === this.#latest) this.#accepted();
  }

  /** Reads the source again, however recently that was done; what waits for the server is then tried again. */
  async reload(): Promise<Reread> {
    this.#rereadAtMs = Number.NEGATIVE_INFINITY;
    const source = this.#source;
    const found: Reread =
      source === undefined ? { kind: 'same' } : await this.exclusively(() => this.#take(source));
    this.#deps.log.info({ found: found.kind }, 'the credentials were read again');
    // What was taken up has told already.
    if (found.kind !== 'taken') this.onRenewed?.(false);
    return found;
  }

  /** Runs `work` while nobody else changes the credentials. */
  async exclusively<T>(work: () => Promise<T>): Promise<T> {
    const before = this.#turn;
    let done: () => void = () => undefined;
    this.#turn = new Promise((resolve) => {
      done = resolve;
    });
    await before;
    try {
      return await work();
    } finally {
      done();
    }
  }

  /** Asks the server once with other credentials; the present ones stay as they are. */
  prove(credentials: Credentials | undefined): Promise<Verdict> {
    return this.proveProvider(makeAuth(credentials, this.#deps));
  }

  async proveProvider(provider: AuthProvider): Promise<Verdict> {
    return (await this.#deps.prove?.(provider)) ?? { kind: 'accepted' };
  }

  /** Takes other credentials up: for the next request, and for those under way that come back refused. */
  takeUp({ credentials, rest }: Login, accepted: boolean): void {
    this.#rest = rest;
    if (credentials !== undefined && !sameCredentials(credentials, this.#credentials)) {
      this.#credentials = credentials;
      this.#auth = this.#auth.update(credentials) ? this.#auth : makeAuth(credentials, this.#deps);
    }
    this.#renewed(accepted);
  }

  /** The same for tokens of a new login. */
  takeUpTokens(tokens: Tokens, accepted: boolean): void {
    this.#auth.adopt(tokens);
    this.#renewed(accepted);
  }

  /** The certificates to trust are others: the authorization server is asked by those. */
  remake(): void {
    this.#auth = makeAuth(this.#credentials, this.#deps);
  }

  /** The API key or the password of the REST API alone is another. */
  takeUpRest(rest: RestAccess): void {
    this.#rest = rest;
  }

  /** Stops watching; requests that wait fail. */
  close(): void {
    this.#closed = true;
    this.#watch?.close();
    this.#retry?.timer.cancel();
    this.#refusal?.end(false);
    this.#refusal = undefined;
  }

  #noted(headers: AuthHeaders): AuthHeaders {
    this.#latest = headers.authorization;
    return headers;
  }

  async #authorizeLater(request: AuthRequest, refusal: Refusal): Promise<AuthHeaders> {
    if (await refusal.over) return this.#noted(await this.#auth.authorize(request));
    throw new AuthError(
      'refused',
      'the server has just refused the credentials',
      'Give it the new ones: infinimount rotate',
    );
  }

  #accepted(): void {
    this.#state = 'accepted';
    this.#refusal?.end(true);
    this.#refusal = undefined;
  }

  #renewed(accepted: boolean): void {
    this.#version += 1;
    this.#latest = undefined;
    this.#sinceMs = this.#deps.clock.nowMs();
    this.#retry?.timer.cancel();
    this.#retry = undefined;
    this.#state = accepted ? 'accepted' : 'untried';
    this.#refusal?.end(true);
    this.#refusal = undefined;
    this.onRenewed?.(accepted);
  }

  /**
   * The credentials of `version` were refused, and there are no others at hand. Resolves when the request is worth
   * another attempt, or surely is not.
   */
  #refused(version: number): Promise<boolean> {
    if (version !== this.#version) return Promise.resolve(true);
    const { clock, prove } = this.#deps;
    if (this.#state === 'accepted' && prove !== undefined && !this.#closed) {
      const refusal = new Refusal(clock, () => this.#lookAgain(refusal));
      this.#refusal = refusal;
      refusal.over
        .then((tryAgain) => {
          if (!tryAgain && this.#refusal === refusal) this.#refusal = undefined;
        })
        .catch((error: unknown) => this.#deps.log.error({ err: error }, 'a refusal has no end'));
    }
    this.#state = 'refused';
    this.#watch?.lookOften();
    return this.#refusal?.over ?? Promise.resolve(false);
  }

  #lookAgain(refusal: Refusal): void {
    this.#deps
      .prove?.(this.#auth)
      .then(({ kind }) => {
        if (kind === 'accepted' && !refusal.isOver) this.#accepted();
      })
      .catch((error: unknown) => this.#deps.log.error({ err: error }, 'the server could not be asked again'));
  }

  /** After a refusal: reads the source again unless that was just done; whether there is something newer. */
  #reread(): Promise<boolean> {
    const source = this.#source;
    if (source === undefined) return Promise.resolve(false);
    if (this.#rereading !== undefined) return this.#rereading;
    const nowMs = this.#deps.clock.nowMs();
    if (nowMs - this.#rereadAtMs < REREAD_PAUSE_MS) return Promise.resolve(false);
    this.#rereadAtMs = nowMs;
    const version = this.#version;
    this.#rereading = this.exclusively(async () => {
      if (version !== this.#version) return true;
      return (await this.#take(source, { isRefused: true })).kind === 'taken';
    }).finally(() => {
      this.#rereading = undefined;
    });
    return this.#rereading;
  }

  /** Reads the source, and takes up what is new there unless the server refuses it while the present ones work. */
  async #take(source: CredentialSource, { isRefused = this.#state === 'refused' } = {}): Promise<Reread> {
    await this.#watch?.note();
    try {
      const login = await source.read();
      if (login.credentials?.user !== this.#credentials?.user || login.credentials === undefined) {
        throw new UserError(
          'config-file',
          "Cannot take up the credentials: they are another user's now",
          'Unmount and mount again to use them.',
        );
      }
      const isSame = sameCredentials(login.credentials, this.#credentials);
      if (isSame && !(await this.#auth.hasNewer())) {
        this.#rest = login.rest;
        return { kind: 'same' };
      }
      const verdict: Verdict | undefined = isRefused ? undefined : await this.prove(login.credentials);
      if (verdict !== undefined && verdict.kind !== 'accepted') return this.#tryLater(source, verdict);
      if (isSame) await this.#auth.reload();
      const tried = verdict !== undefined && this.#deps.prove !== undefined;
      this.takeUp(login, tried);
      return { kind: 'taken', tried };
    } catch (error) {
      if (error instanceof UserError) {
        this.#deps.log.warn({ reason: error.message }, 'the credentials could not be read again');
        return { kind: 'unusable', error };
      }
      if (!(error instanceof AuthError)) throw error;
      this.#deps.log.warn({ reason: error.message }, 'the tokens could not be read again');
      return {
        kind: 'unusable',
        error: new UserError('password', `Cannot read the tokens: ${error.found}`, error.advice, {
          cause: error,
        }),
      };
    }
  }

  #tryLater(source: CredentialSource, verdict: Exclude<Verdict, { readonly kind: 'accepted' }>): Reread {
    const { clock, log } = this.#deps;
    const nowMs = clock.nowMs();
    const before = this.#retry;
    before?.timer.cancel();
    const untilMs = before?.untilMs ?? nowMs + RETRY_FOR_MS;
    const delayMs = before === undefined ? FIRST_RETRY_MS : Math.min(LONGEST_RETRY_MS, before.delayMs * 2);
    const reason = verdict.error.message;
    if (this.#closed || nowMs + delayMs > untilMs) {
      this.#retry = undefined;
      log.warn({ reason }, 'the server does not take the new credentials; those before stay in use');
      return verdict;
    }
    log.warn({ reason, againInMs: delayMs }, 'the new credentials were not taken; those before stay in use');
    const timer = clock.after(delayMs, () => {
      this.exclusively(() => this.#take(source)).catch((error: unknown) => this.#failed(error));
    });
    this.#retry = { untilMs, delayMs, timer };
    return verdict;
  }

  async #changed(): Promise<void> {
    const source = this.#source;
    if (source === undefined) return;
    // What is there now deserves tries of its own.
    this.#retry?.timer.cancel();
    this.#retry = undefined;
    this.#rereadAtMs = Number.NEGATIVE_INFINITY;
    const found = await this.exclusively(() => this.#take(source));
    if (found.kind === 'taken') this.#deps.log.info({}, 'new credentials were found and taken up');
  }

  #failed(error: unknown): void {
    this.#deps.log.error({ err: error }, 'the credentials could not be read again');
  }
}

/** Whether what is missing is a login, rather than the line to whoever gives it. */
function isLoginLost(error: unknown): boolean {
  return (
    error instanceof AuthError && ['login-required', 'client-refused', 'token-command'].includes(error.code)
  );
}

export function sameCredentials(one: Credentials, other: Credentials | undefined): boolean {
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
