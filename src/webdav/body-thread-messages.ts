/** What the threads of {@link BodyThread} say to each other. Only plain data, and one word of shared memory: the gate. */

import type { GatedFile } from '../base/index.js';
import type { DavResponse } from './multistatus.js';

/** To the thread. Each request has a number, which is never used again. */
export type ToThread =
  /** Answered by `head` or `failed`; where it `parses`, and the status is 207, by `responses` and `end` or `failed` behind that. */
  | {
      readonly kind: 'open';
      readonly id: number;
      readonly method: string;
      readonly path: string;
      readonly headers: Readonly<Record<string, string>>;
      /** What is sent along, in one piece. */
      readonly content: Uint8Array | undefined;
      readonly parses: boolean;
    }
  /** After `head`: write the body into `file` from `position` on. */
  | { readonly kind: 'save'; readonly id: number; readonly file: GatedFile; readonly position: number }
  /** One `responses` was used up: the thread goes {@link BATCHES_AHEAD} ahead. */
  | { readonly kind: 'more'; readonly id: number }
  /** After `head`: read the body and drop it, or end the connection where it has more than `limit` bytes. */
  | { readonly kind: 'drain'; readonly id: number; readonly limit: number }
  /** Nothing more is wanted, nor said, of it. */
  | { readonly kind: 'abort'; readonly id: number };

export type FromThread =
  /** Ready for requests. `refusal`: why it could not give way to the other thread. */
  | { readonly kind: 'ready'; readonly refusal: string | undefined }
  /** The request is being written to a connection. */
  | { readonly kind: 'started'; readonly id: number }
  | {
      readonly kind: 'head';
      readonly id: number;
      readonly status: number;
      readonly headers: Readonly<Record<string, string | string[] | undefined>>;
      readonly isParsed: boolean;
    }
  /** Pairs of a request's number and how far its file is written. */
  | { readonly kind: 'progress'; readonly ends: readonly number[] }
  /** The next responses of a multistatus, which came with so many bytes. */
  | {
      readonly kind: 'responses';
      readonly id: number;
      readonly bytes: number;
      readonly responses: readonly DavResponse[];
    }
  /** The body came to its end. */
  | { readonly kind: 'end'; readonly id: number }
  | { readonly kind: 'failed'; readonly id: number; readonly failure: ThreadFailure };

/** Batches of responses that may be under way between the threads. */
export const BATCHES_AHEAD = 8;

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
  /** What came is no multistatus. */
  | { readonly kind: 'multistatus'; readonly message: string }
  /** The gate was shut. */
  | { readonly kind: 'shut' }
  /** More came than the file has room for. */
  | { readonly kind: 'beyond' };
