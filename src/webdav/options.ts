/** What a WebDAV store is built from. */

import type { AuthProvider } from '../auth/index.js';
import type { Clock, Log } from '../base/index.js';
import type { Capabilities, RemoteErrorCode, RemotePath } from '../remote/index.js';
import type { StartThread } from './body-thread.js';

/** Milliseconds. */
export interface Timeouts {
  /** Until a connection stands, TLS included. */
  readonly connectMs: number;
  /** From the request's last byte to the answer's headers, for what only reads. */
  readonly headersMs: number;
  /** The same for changes: a server may have a tree to move, or a large body to put in place. */
  readonly changeMs: number;
  /** Without a byte moving, in either direction. */
  readonly idleMs: number;
  /** After this long since the first attempt, a read is not tried again. */
  readonly retryMs: number;
}

export const DEFAULT_TIMEOUTS: Timeouts = {
  connectMs: 10_000,
  headersMs: 30_000,
  changeMs: 120_000,
  idleMs: 30_000,
  retryMs: 30_000,
};

/** One exchange with the server, for metrics. */
export interface ResponseInfo {
  readonly method: string;
  readonly path: RemotePath;
  /** Undefined where no answer came. */
  readonly status: number | undefined;
  /** Undefined where the exchange went to its end, whatever the status. */
  readonly error: RemoteErrorCode | undefined;
  /** Waiting for a free connection. */
  readonly queuedMs: number;
  /** From then to the headers of the answer, or to the failure. */
  readonly headersMs: number;
  /** From then to the end of the body. */
  readonly totalMs: number;
  /** Bytes of the bodies. */
  readonly sentBytes: number;
  readonly receivedBytes: number;
}

/** An entry of a listing that cannot be shown. */
export interface SkippedEntry {
  readonly directory: RemotePath;
  /** As the server wrote it. */
  readonly href: string;
  readonly reason: SkipReason;
}

export type SkipReason =
  /** The last segment is no name on Linux, or reserved by the server. */
  | 'bad-name'
  /** The percent-encoding is broken or is no UTF-8. */
  | 'bad-encoding'
  /** The href lies outside the directory asked for. */
  | 'elsewhere'
  /** A file without a length. */
  | 'no-size';

export interface WebdavOptions {
  /** The root of the mount; a slash is added where the path ends without one. */
  readonly url: string | URL;
  readonly auth: AuthProvider;
  readonly userAgent: string;
  readonly clock: Clock;
  /** 0 to below 1, for jitter and for the name of the probe's file. */
  readonly random: () => number;
  /** PEM text of certificates to trust beside those that Node trusts. */
  readonly ca?: string;
  /** Allows plain http to other hosts than this machine. */
  readonly insecureHttp?: boolean;
  /** Requests at a time; 8 when absent. */
  readonly maxConnections?: number;
  readonly timeouts?: Partial<Timeouts>;
  readonly log?: Log;
  /** What an earlier probe of the same server found. */
  readonly capabilities?: Partial<Capabilities>;
  /** Called with the whole set whenever something new was found. */
  readonly onCapabilities?: (capabilities: Capabilities) => void;
  readonly onResponse?: (info: ResponseInfo) => void;
  readonly onSkippedEntry?: (entry: SkippedEntry) => void;
  /** Starts the thread that takes large bodies; when absent, that of the built program. */
  readonly startThread?: StartThread;
}
