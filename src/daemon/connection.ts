/** The connection to a server, from its options: for a mount, for `login`, for `doctor`. */

import type { Clock } from '../base/index.js';
import type { ServerOptions } from '../config/index.js';
import { type Logger, subsystemLogger } from '../observe/index.js';
import type { Capabilities } from '../remote/index.js';
import { createWebdavStore, type WebdavStore } from '../webdav/index.js';
import { LiveAuth } from './live-auth.js';

const USER_AGENT = 'infinimount';

/** What an earlier run found out of the server, and where new findings go. */
export interface KnownCapabilities {
  readonly known: Partial<Capabilities>;
  save(capabilities: Capabilities): void;
}

export interface Connection {
  readonly store: WebdavStore;
  readonly auth: LiveAuth;
  close(): Promise<void>;
}

export function connect(
  options: ServerOptions,
  deps: {
    readonly clock: Clock;
    readonly logger: Logger;
    readonly capabilities?: KnownCapabilities;
  },
): Connection {
  const { clock, logger, capabilities } = deps;
  const log = subsystemLogger(logger, 'webdav');
  const auth = new LiveAuth(
    { credentials: options.credentials, rest: options.rest, source: options.credentialSource },
    { clock, log: subsystemLogger(logger, 'auth'), ca: options.extraCaPem },
  );
  const store = createWebdavStore({
    url: options.url,
    auth,
    userAgent: USER_AGENT,
    clock,
    random: Math.random,
    insecureHttp: options.insecureHttp,
    maxConnections: options.maxConnections,
    timeouts: {
      connectMs: options.connectTimeoutMs,
      idleMs: options.readTimeoutMs,
      headersMs: options.readTimeoutMs,
    },
    log,
    onSkippedEntry: (entry) => log.warn(entry, 'an entry of a listing cannot be shown'),
    ...(capabilities === undefined
      ? {}
      : {
          capabilities: capabilities.known,
          onCapabilities: (found) => capabilities.save(found),
        }),
    ...(options.extraCaPem === undefined ? {} : { ca: options.extraCaPem }),
  });
  return {
    store,
    auth,
    close: async () => {
      auth.close();
      await store.close();
    },
  };
}
