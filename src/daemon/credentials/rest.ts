/** The REST API's client for the access that the options give. */

import type { Clock, Log } from '../../base/index.js';
import type { RestAccess } from '../../config/index.js';
import { InfiniCloudApi } from '../../infinicloud/index.js';

export function restApi(
  { url, key, keyPlacement, user, password }: RestAccess,
  { ca, clock, log }: { readonly ca: string | undefined; readonly clock: Clock; readonly log: Log },
): InfiniCloudApi {
  return new InfiniCloudApi({
    apiUrl: url,
    apiKey: key,
    keyPlacement,
    credentials: { user, password },
    clock,
    log,
    ...(ca === undefined ? {} : { ca }),
  });
}
