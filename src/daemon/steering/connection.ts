/** The connection to a server, from its options: for a mount, for `login`, for `doctor`. */

import type { AuthProvider } from '../../auth/index.js';
import type { Clock } from '../../base/index.js';
import type { LineOptions, ServerOptions } from '../../config/index.js';
import { type Logger, subsystemLogger } from '../../observe/index.js';
import { type Capabilities, isRemoteError } from '../../remote/index.js';
import { checkServer, createWebdavStore, type ResponseInfo } from '../../webdav/index.js';
import { LiveAuth, type Verdict } from '../credentials/live-auth.js';
import { remoteUserError } from '../errors.js';
import { type SwitchableStore, SwitchedStore } from './switched-store.js';

const USER_AGENT = 'infinimount';
/** Credentials are tried by one request, within this time. */
const PROOF_MS = 20_000;

/** What an earlier run found out of the server, and where new findings go. */
export interface KnownCapabilities {
  readonly known: Partial<Capabilities>;
  save(capabilities: Capabilities): void;
}

export interface Connection {
  readonly store: SwitchedStore;
  readonly auth: LiveAuth;
  /** The options in effect. */
  readonly line: LineOptions;
  /** A store by other options, with the same credentials, to be looked at; whoever does not `use` it closes it. */
  candidate(line: LineOptions): SwitchableStore;
  /** Requests from now on go by `candidate`, which was made of `line`. */
  use(candidate: SwitchableStore, line: LineOptions): void;
  close(): Promise<void>;
}

export interface ConnectionDeps {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly capabilities?: KnownCapabilities;
  readonly onResponse?: (info: ResponseInfo) => void;
  /** For a mount: credentials are tried before they replace others, and a refusal is waited out for a moment. */
  readonly isLive?: boolean;
}

export function connect(options: ServerOptions, deps: ConnectionDeps): Connection {
  const { clock, logger, capabilities } = deps;
  const log = subsystemLogger(logger, 'webdav');
  let line: LineOptions = options;
  const make = (
    by: LineOptions,
    auth: AuthProvider,
    known: KnownCapabilities | undefined,
    retryMs?: number,
  ) =>
    createWebdavStore({
      url: by.url,
      auth,
      userAgent: USER_AGENT,
      clock,
      random: Math.random,
      insecureHttp: by.insecureHttp,
      maxConnections: by.maxConnections,
      timeouts: {
        connectMs: by.connectTimeoutMs,
        idleMs: by.readTimeoutMs,
        headersMs: by.readTimeoutMs,
        ...(retryMs === undefined ? {} : { retryMs }),
      },
      log,
      onSkippedEntry: (entry) => log.warn(entry, 'an entry of a listing cannot be shown'),
      ...(deps.onResponse === undefined ? {} : { onResponse: deps.onResponse }),
      ...(known === undefined
        ? {}
        : { capabilities: known.known, onCapabilities: (found) => known.save(found) }),
      ...(by.extraCaPem === undefined ? {} : { ca: by.extraCaPem }),
    });

  /** One try: an account may be locked by many wrong ones. */
  const prove = async (provider: AuthProvider): Promise<Verdict> => {
    const store = make({ ...line, maxConnections: 1 }, provider, undefined, 0);
    try {
      await checkServer(store, { signal: AbortSignal.timeout(PROOF_MS) });
      return { kind: 'accepted' };
    } catch (error) {
      if (!isRemoteError(error)) throw error;
      const refuses = isRemoteError(error, 'unauthorized', 'forbidden', 'not-found', 'not-webdav');
      return { kind: refuses ? 'refused' : 'unreachable', error: remoteUserError(error, line.url) };
    } finally {
      await store.close();
    }
  };

  const auth = new LiveAuth(
    { credentials: options.credentials, rest: options.rest, source: options.credentialSource },
    {
      clock,
      log: subsystemLogger(logger, 'auth'),
      get ca() {
        return line.extraCaPem;
      },
      ...(deps.isLive === true ? { prove } : {}),
    },
  );
  const first = make(line, auth, capabilities);
  // Until it runs large bodies come through the thread that answers the kernel; it takes a while to start.
  if (deps.isLive === true) void first.startThread();
  const store = new SwitchedStore(first, clock, (error) =>
    log.error({ err: error }, 'connections to the server could not be closed'),
  );
  return {
    store,
    auth,
    get line() {
      return line;
    },
    candidate: (by) =>
      make(by, auth, capabilities === undefined ? undefined : { ...capabilities, known: store.capabilities }),
    use: (candidate, by) => {
      const trustsOthers = by.extraCaPem !== line.extraCaPem;
      line = by;
      store.switchTo(candidate);
      if (trustsOthers) auth.remake();
    },
    close: async () => {
      auth.close();
      await store.close();
    },
  };
}
