/** The undici pool of the main thread, with TLS as we want it and word of when a request is really written. */

import { rootCertificates } from 'node:tls';
import { type Dispatcher, Pool } from 'undici';
import { KEEP_ALIVE_MS, type PoolOptions } from './pool-options.js';

export interface TracedRequest extends Dispatcher.RequestOptions {
  readonly headers: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
  /** Called when the request is written to a connection: before this it surely had no effect. */
  readonly onStart: () => void;
}

/** Opens connections as requests come; how many run at a time is for {@link Slots} to say. */
export class ConnectionPool {
  readonly #pool: Pool;
  readonly #traced: Dispatcher;

  constructor({ origin, ca, connectMs }: PoolOptions) {
    this.#pool = new Pool(origin, {
      connections: null,
      pipelining: 1,
      keepAliveTimeout: KEEP_ALIVE_MS,
      // Deadlines are the transport's: undici's timers are coarse and cannot be injected.
      headersTimeout: 0,
      bodyTimeout: 0,
      allowH2: false,
      connect: {
        timeout: connectMs,
        minVersion: 'TLSv1.2',
        ...(ca === undefined ? {} : { ca: [...rootCertificates, ca] }),
      },
    });
    this.#traced = this.#pool.compose(traceStart);
  }

  request(options: TracedRequest): Promise<Dispatcher.ResponseData> {
    return this.#traced.request(options);
  }

  /** Ends all connections at once; requests under way fail. */
  close(): Promise<void> {
    return this.#pool.destroy();
  }
}

function traceStart(dispatch: Dispatcher.Dispatch): Dispatcher.Dispatch {
  return (options, handler) => {
    const onStart =
      'onStart' in options && typeof options.onStart === 'function' ? options.onStart : undefined;
    if (onStart === undefined) return dispatch(options, handler);
    return dispatch(options, {
      onRequestStart(controller, context) {
        onStart();
        handler.onRequestStart?.(controller, context);
      },
      onRequestUpgrade: (...args) => handler.onRequestUpgrade?.(...args),
      onResponseStart: (...args) => handler.onResponseStart?.(...args),
      onResponseData: (...args) => handler.onResponseData?.(...args),
      onResponseEnd: (...args) => handler.onResponseEnd?.(...args),
      onResponseError: (...args) => handler.onResponseError?.(...args),
    });
  };
}
