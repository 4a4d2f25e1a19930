/** The undici pool of a thread, with TLS as we want it and word of when a request is really written. */

import { rootCertificates } from 'node:tls';
import { type Dispatcher, Pool } from 'undici';

export interface PoolOptions {
  readonly origin: string;
  /** PEM text beside the certificates of Node. */
  readonly ca: string | undefined;
  readonly connectMs: number;
}

/** Idle connections are kept this long unless the server says otherwise (`Keep-Alive: timeout=N`). */
const KEEP_ALIVE_MS = 30_000;

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

  /** Without streams: each chunk goes to the handler as it is read from the socket. */
  dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): void {
    this.#pool.dispatch(options, handler);
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
