/** What the threads of {@link BodyThread} say to each other. Only plain data, and one word of shared memory: the gate. */

import type { GatedFile } from '../base/index.js';

/** To the thread. Each request has a number, which is never used again. */
export type ToThread =
  /** GET; answered by `head` or `failed`. */
  | {
      readonly kind: 'open';
      readonly id: number;
      readonly path: string;
      readonly headers: Readonly<Record<string, string>>;
    }
  /** After `head`: write the body into `file` from `position` on. */
  | { readonly kind: 'save'; readonly id: number; readonly file: GatedFile; readonly position: number }
  /** After `head`: read the body and drop it, or end the connection where it has more than `limit` bytes. */
  | { readonly kind: 'drain'; readonly id: number; readonly limit: number }
  /** Nothing more is wanted, nor said, of it. */
  | { readonly kind: 'abort'; readonly id: number };

export type FromThread =
  /** Ready for requests. */
  | { readonly kind: 'ready' }
  /** The request is being written to a connection. */
  | { readonly kind: 'started'; readonly id: number }
  | {
      readonly kind: 'head';
      readonly id: number;
      readonly status: number;
      readonly headers: Readonly<Record<string, string | string[] | undefined>>;
    }
  /** Pairs of a request's number and how far its file is written. */
  | { readonly kind: 'progress'; readonly ends: readonly number[] }
  /** The body came to its end. */
  | { readonly kind: 'end'; readonly id: number }
  | { readonly kind: 'failed'; readonly id: number; readonly failure: ThreadFailure };

/** Why a request came to no good end. */
export type ThreadFailure =
  /** On the line; `code` as in `systemErrorCode`. */
  | { readonly kind: 'line'; readonly code: string | undefined; readonly message: string }
  /** pwrite(2) failed. */
  | {
      readonly kind: 'file';
      readonly code: string | undefined;
      readonly errno: number | undefined;
      readonly message: string;
    }
  /** The gate was shut. */
  | { readonly kind: 'shut' }
  /** More came than the file has room for. */
  | { readonly kind: 'beyond' };
