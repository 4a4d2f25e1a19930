/** The chunks of a body on their way up: counted, checked against the announced size, with word of the last byte. */

import type { UploadBody } from '../remote/index.js';
import { SourceError } from './error-map.js';

/** A body in memory goes out in pieces of this size, so that progress and dead lines are noticed. */
const PIECE_BYTES = 256 * 1024;

export interface UploadHooks {
  /** Called with the bytes handed to the connection so far. */
  readonly onProgress: (sentBytes: number) => void;
  /** Called once, just before the last byte goes to the connection: from then on the server may have all of it. */
  readonly onSent: () => void;
}

/** Throws {@link SourceError} when the bytes cannot be read or are not `body.size`. */
export async function* uploadChunks(body: UploadBody, hooks: UploadHooks): AsyncGenerator<Uint8Array> {
  let sentBytes = 0;
  try {
    for await (const chunk of pieces(body.open())) {
      if (sentBytes + chunk.length > body.size) {
        throw new SourceError(`the local file grew beyond ${body.size} bytes while it was sent`);
      }
      // Told before: when the connection ends while it takes the chunk, nobody comes back here.
      if (sentBytes + chunk.length === body.size) hooks.onSent();
      yield chunk;
      // Reached when the connection asks for more, so the chunk is out.
      sentBytes += chunk.length;
      hooks.onProgress(sentBytes);
    }
  } catch (error) {
    if (error instanceof SourceError) throw error;
    throw new SourceError('the local file could not be read while it was sent', { cause: error });
  }
  if (sentBytes !== body.size) {
    throw new SourceError(`the local file has only ${sentBytes} of ${body.size} bytes`);
  }
  if (body.size === 0) hooks.onSent();
}

async function* pieces(source: Uint8Array | AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  if (!(source instanceof Uint8Array)) {
    yield* source;
    return;
  }
  for (let at = 0; at < source.length; at += PIECE_BYTES) yield source.subarray(at, at + PIECE_BYTES);
}
