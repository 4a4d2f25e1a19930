/** How much room the account has, for `df`: from the REST API where there is a key, else from the server's properties. */

import type { Clock, Log } from '../base/index.js';
import type { LineOptions, RestAccess } from '../config/index.js';
import { InfiniCloudError } from '../infinicloud/index.js';
import type { Quota, RemoteStore } from '../remote/index.js';
import { restApi } from './credentials/rest.js';

export interface CapacityDeps {
  readonly store: RemoteStore;
  /** The server's folder and the certificates to trust beside the system's, as they are now. */
  readonly line: () => Pick<LineOptions, 'url' | 'extraCaPem'>;
  /** As they are now: the password may have been renewed. */
  readonly rest: () => RestAccess | undefined;
  readonly clock: Clock;
  readonly log: Log;
}

/** Makes the function that asks; it rejects with RemoteError only. */
export function capacitySource(deps: CapacityDeps): () => Promise<Quota | undefined> {
  const { store, clock, log } = deps;
  return async () => {
    const { url, extraCaPem: ca } = deps.line();
    const { host, protocol } = new URL(url);
    const access = protocol === 'https:' ? deps.rest() : undefined;
    if (access === undefined) return await store.quota();
    try {
      const capacity = await restApi(access, { ca, clock, log }).capacity(host);
      if (capacity !== undefined) {
        const { quotaBytes, usedBytes } = capacity;
        return { used: usedBytes, available: Math.max(0, quotaBytes - usedBytes) };
      }
    } catch (error) {
      if (!(error instanceof InfiniCloudError)) throw error;
      log.warn({ code: error.code, reason: error.message }, 'the REST API does not tell the capacity');
    }
    return await store.quota();
  };
}
