/**
 * New credentials for a mount that runs: tried against the server first, written where the old ones came from, then
 * taken up. In this order, so that a crash in between leaves a file that works.
 */

import {
  AuthError,
  authUserError,
  createOAuth2,
  FileTokenStore,
  issuedTo,
  MemoryTokenStore,
  refreshTokenLogin,
  type Tokens,
} from '../../auth/index.js';
import { type Clock, type Log, Secret, UserError } from '../../base/index.js';
import { API_KEY, type Credentials, type OAuth2Login, type RestAccess } from '../../config/index.js';
import type { Rotated, RotateRequest } from '../../control/index.js';
import { InfiniCloudError, infiniCloudUserError } from '../../infinicloud/index.js';
import type { Connection } from '../steering/connection.js';
import type { Reread, Verdict } from './live-auth.js';
import { oauth2Options } from './make-auth.js';
import { restApi } from './rest.js';

/** For one call of the REST API or of the authorization server. */
const ASK_MS = 30_000;

export interface RotationDeps {
  readonly connection: Connection;
  readonly clock: Clock;
  readonly log: Log;
}

/** What was found when new ones were tried: `accepted` unless someone insists. */
interface Tried {
  readonly accepted: boolean;
  readonly note: string | undefined;
}

export class Rotation {
  readonly #deps: RotationDeps;

  constructor(deps: RotationDeps) {
    this.#deps = deps;
  }

  /** Rejects with {@link UserError}, and then nothing was changed. */
  async rotate(request: RotateRequest): Promise<Rotated> {
    const { auth } = this.#deps.connection;
    const { refreshToken, apiKey, password, force } = request;
    if (refreshToken === undefined && apiKey === undefined && password === undefined)
      return await this.#reread();
    if (refreshToken !== undefined && (apiKey !== undefined || password !== undefined)) {
      throw new UserError('usage', 'Cannot rotate: a refresh token is given alone');
    }
    return await auth.exclusively(() =>
      refreshToken === undefined
        ? this.#secrets(
            {
              ...(password === undefined ? {} : { password: checkedPassword(password) }),
              ...(apiKey === undefined ? {} : { apiKey: checkedKey(apiKey) }),
            },
            force,
          )
        : this.#refreshToken(new Secret(refreshToken), force),
    );
  }

  /** As after a signal: what stands in the files is taken up if the server takes it; without files nothing is. */
  async reload(): Promise<void> {
    await this.#deps.connection.auth.reload();
  }

  /** What stands in the file now, however it got there. */
  async #reread(): Promise<Rotated> {
    const { auth } = this.#deps.connection;
    if (auth.source === undefined) {
      throw new UserError(
        'password',
        'Cannot read the credentials again: a person typed them',
        'Give the new ones: infinimount rotate',
      );
    }
    return asRotated(await auth.reload());
  }

  async #secrets(
    given: { readonly password?: Secret; readonly apiKey?: Secret },
    force: boolean,
  ): Promise<Rotated> {
    const { auth } = this.#deps.connection;
    const rest = newRest(auth.rest, given);
    const credentials = newCredentials(auth.credentials, auth.rest, given.password);
    const tries: Tried[] = [];
    if (given.password !== undefined && credentials?.kind === 'basic') {
      tries.push(judge(await auth.prove(credentials), force));
    }
    if (rest !== undefined && (given.apiKey !== undefined || credentials?.kind !== 'basic')) {
      tries.push(judge(await this.#tryRest(rest), force));
    }
    const accepted = tries.every((tried) => tried.accepted);
    const { writtenTo, notes } = await this.#write(given);
    if (given.password !== undefined && credentials?.kind === 'basic') {
      auth.takeUp({ credentials, rest }, accepted);
    } else if (rest !== undefined) auth.takeUpRest(rest);
    this.#deps.log.info({ accepted, writtenTo }, 'new credentials were given and taken up');
    return rotated(accepted, writtenTo, [...tries.map(({ note }) => note), ...notes]);
  }

  async #write(given: {
    readonly password?: Secret;
    readonly apiKey?: Secret;
  }): Promise<{ readonly writtenTo: readonly string[]; readonly notes: readonly string[] }> {
    const { source } = this.#deps.connection.auth;
    if (source === undefined) {
      return {
        writtenTo: [],
        notes: ['The old password was typed: the new one is kept until the mount ends.'],
      };
    }
    try {
      return await source.write(given);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      const note = `The new ones could not be written: ${error.message} They are kept until the mount ends.`;
      return { writtenTo: [], notes: [note] };
    }
  }

  async #tryRest(access: RestAccess): Promise<Verdict> {
    const { clock, log, connection } = this.#deps;
    try {
      await restApi(access, { ca: connection.line.extraCaPem, clock, log }).user(AbortSignal.timeout(ASK_MS));
      return { kind: 'accepted' };
    } catch (error) {
      if (!(error instanceof InfiniCloudError)) throw error;
      const refuses = ['unauthorized', 'wrong-key', 'not-found', 'refused'].includes(error.code);
      const said = infiniCloudUserError(error, 'use the new API key');
      return { kind: refuses ? 'refused' : 'unreachable', error: said };
    }
  }

  async #refreshToken(refreshToken: Secret, force: boolean): Promise<Rotated> {
    const { auth } = this.#deps.connection;
    const login = auth.credentials;
    if (login?.kind !== 'oauth2') {
      throw new UserError('usage', 'Cannot take a refresh token: this mount does not log in with OAuth2');
    }
    const { tokens, tried } = await this.#tryToken(login, refreshToken, force);
    const store = new FileTokenStore(login.tokenFile);
    const notes: (string | undefined)[] = [tried.note];
    let writtenTo: readonly string[] = [];
    try {
      await store.exclusively(() => store.save(tokens));
      writtenTo = [store.path];
    } catch (error) {
      if (!(error instanceof AuthError)) throw error;
      notes.push(`The new tokens are kept until the mount ends: ${error.message}`);
    }
    auth.takeUpTokens(tokens, tried.accepted);
    this.#deps.log.info({ accepted: tried.accepted, writtenTo }, 'a new login was given and taken up');
    return rotated(tried.accepted, writtenTo, notes);
  }

  /** The tokens that it buys; where nobody could be asked and it is to be taken all the same, it alone. */
  async #tryToken(
    login: OAuth2Login,
    refreshToken: Secret,
    force: boolean,
  ): Promise<{ readonly tokens: Tokens; readonly tried: Tried }> {
    const { clock, log, connection } = this.#deps;
    const options = oauth2Options(login, connection.line.extraCaPem);
    let tokens: Tokens;
    try {
      tokens = await refreshTokenLogin(options, refreshToken, { clock, log }, AbortSignal.timeout(ASK_MS));
    } catch (error) {
      if (!(error instanceof AuthError)) throw error;
      const said = authUserError(error, 'use the new refresh token');
      const kind = said.code === 'unauthorized' ? 'refused' : 'unreachable';
      const tried = judge({ kind, error: said }, force);
      const nowMs = clock.nowMs();
      const unused = { accessToken: new Secret('none'), issuedAtMs: nowMs, expiresAtMs: nowMs };
      return { tokens: { issuedTo: issuedTo(options), refreshToken, ...unused }, tried };
    }
    const alone = new MemoryTokenStore();
    await alone.save(tokens);
    const verdict = await connection.auth.proveProvider(createOAuth2(options, { clock, log, tokens: alone }));
    // The server may have changed the refresh token again while it was asked.
    return { tokens: (await alone.load()) ?? tokens, tried: judge(verdict, force) };
  }
}

function newCredentials(
  present: Credentials | undefined,
  rest: RestAccess | undefined,
  password: Secret | undefined,
): Credentials | undefined {
  if (password === undefined) return present;
  if (present?.kind === 'basic') return { ...present, password };
  if (rest !== undefined) return present;
  throw new UserError(
    'usage',
    'Cannot take a password: this mount does not log in with one',
    'OAuth2 takes a refresh token: infinimount rotate --refresh-token-stdin, or infinimount login.',
  );
}

function newRest(
  present: RestAccess | undefined,
  { password, apiKey }: { readonly password?: Secret; readonly apiKey?: Secret },
): RestAccess | undefined {
  if (present === undefined) {
    if (apiKey === undefined) return undefined;
    throw new UserError(
      'usage',
      'Cannot take an API key: this mount uses none',
      'Put api-key into the configuration file, then run: infinimount rotate',
    );
  }
  return { ...present, password: password ?? present.password, key: apiKey ?? present.key };
}

/** Throws the reason unless the server took them or someone insists. */
function judge(verdict: Verdict, force: boolean): Tried {
  if (verdict.kind === 'accepted') return { accepted: true, note: undefined };
  const { error } = verdict;
  if (!force) {
    const hint = `${error.hint ?? ''} Nothing was changed; --force takes them up all the same.`.trim();
    throw new UserError(error.code, error.problem, hint, { cause: error });
  }
  return { accepted: false, note: `Taken up all the same: ${error.problem}.` };
}

function checkedPassword(text: string): Secret {
  // The first line of a file is the password, wherever it is written.
  if (!/[\r\n]/.test(text)) return new Secret(text);
  throw new UserError('usage', 'Cannot take the password: it has more than one line');
}

function checkedKey(text: string): Secret {
  if (API_KEY.test(text)) return new Secret(text);
  throw new UserError('usage', `Cannot take the API key: ${API_KEY.wanted}`);
}

function asRotated(found: Reread): Rotated {
  switch (found.kind) {
    case 'taken':
      return rotated(found.tried, [], []);
    case 'same':
      return { accepted: true, note: 'What is there now is in use already.' };
    case 'refused':
    case 'unreachable':
      throw new UserError(
        found.error.code,
        found.error.problem,
        `${found.error.hint ?? ''} Those before stay in use, and these are tried again for half an hour.`.trim(),
        { cause: found.error },
      );
    case 'unusable':
      throw found.error;
  }
}

function rotated(
  accepted: boolean,
  writtenTo: readonly string[],
  notes: readonly (string | undefined)[],
): Rotated {
  const note = notes.filter((text) => text !== undefined).join(' ');
  return {
    accepted,
    ...(writtenTo.length === 0 ? {} : { writtenTo: writtenTo.join(', ') }),
    ...(note === '' ? {} : { note }),
  };
}
