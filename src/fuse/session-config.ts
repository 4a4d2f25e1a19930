/** What a session is given, and what it tells. */

import type { Clock } from '../base/index.js';
import type { FuseHandlers } from './handlers.js';
import type { InitOptions, Negotiated } from './init.js';

export interface SessionOptions extends InitOptions {
  /** Bytes of buffers that requests in work may hold before no more are taken. Default 64 MiB. */
  readonly maxHeldBytes?: number;
  /** Requests in work before no more are taken; interrupts wait then too. Default 4096. */
  readonly maxInFlight?: number;
  /** Notifications that may wait. Default 65,536. */
  readonly maxQueuedNotifications?: number;
  /** How long the reader looks for the next request on the main thread. 0 turns it off. Default 50. */
  readonly lingerMicros?: number;
  /** At the end, how long handlers that were told to stop are waited for. Default 5,000. */
  readonly closeWaitMs?: number;
}

export interface SessionConfig {
  /** The mounted `/dev/fuse` descriptor. */
  readonly fd: number;
  readonly handlers: FuseHandlers;
  readonly options?: SessionOptions;
  /** What an earlier session on this descriptor had negotiated: the kernel sends INIT once in a mount's life. */
  readonly resume?: Negotiated;
  readonly clock?: Clock;
  /** Whether other work is about to need the thread: then the reader does not linger. Asked after each drain. */
  readonly isAwaited?: () => boolean;
  /** Gets each request, reply and notification as a line with all fields. Slow; for debugging. Looked up at each use. */
  readonly trace?: ((line: string) => void) | undefined;
  /** A handler threw what is no FuseError, and the request was answered EIO; or the kernel refused a reply. */
  readonly onUnexpectedError: (error: unknown, operation: string) => void;
  /** Called after each answered request with its errno (0 when it went well). */
  readonly onAnswered?: (operation: string, durationMs: number, errno: number) => void;
}

/** Why a session ended. */
export type SessionEnd =
  | { readonly reason: 'unmounted' }
  | { readonly reason: 'closed' }
  | { readonly reason: 'failed'; readonly error: Error };

export interface SessionCounters {
  requests: number;
  /** Requests that were not of the protocol's shape. */
  malformed: number;
  /** Replies that the kernel no longer wanted. */
  undelivered: number;
  interrupts: number;
}
