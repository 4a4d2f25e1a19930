/**
 * One listener of server-sent events. What it does not read in time is bounded: a listener that falls behind is cut
 * off, and may connect again, which begins with the whole status.
 */

import type { ServerResponse } from 'node:http';
import type { Clock, Timer } from '../base/index.js';

export interface EventStreamOptions {
  readonly clock: Clock;
  /** Comments that show either side that the other is there. */
  readonly heartbeatMs: number;
  /** Bytes that may wait for a reader. */
  readonly maxBufferedBytes: number;
}

export class EventStream {
  readonly #response: ServerResponse;
  readonly #options: EventStreamOptions;
  #timer: Timer | undefined;
  #ended = false;

  constructor(response: ServerResponse, options: EventStreamOptions) {
    this.#response = response;
    this.#options = options;
    response.on('close', () => this.end());
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
    response.flushHeaders();
    this.#beatLater();
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** `type` is one word; `data` goes out as JSON, which has no line breaks. */
  send(type: string, data: unknown): void {
    this.#write(`event: ${type}\ndata: ${JSON.stringify(data)}\n\n`);
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#timer?.cancel();
    this.#response.end();
  }

  #beatLater(): void {
    this.#timer = this.#options.clock.after(this.#options.heartbeatMs, () => {
      this.#write(':\n\n');
      if (!this.#ended) this.#beatLater();
    });
  }

  #write(text: string): void {
    if (this.#ended) return;
    if (this.#response.writableLength + text.length > this.#options.maxBufferedBytes) {
      this.end();
      // It would wait for the reader to take what is buffered.
      this.#response.destroy();
      return;
    }
    this.#response.write(text);
  }
}
