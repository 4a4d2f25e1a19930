/**
 * What the line and the server give to one plain HTTP transfer: the limit that a row of the benchmark is held against.
 * It goes the way the tools go, through the proxy, and knows no WebDAV.
 */

import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { Agent, request } from 'undici';
import { makeLarge } from './workloads/fixtures.js';

export interface PlainLineOptions {
  readonly url: URL;
  readonly user: string;
  readonly password: string;
  /** The directory that the server serves. */
  readonly root: string;
}

const NAME = '.bench-line';
const CHUNK_BYTES = 1024 * 1024;

export class PlainLine {
  readonly #options: PlainLineOptions;
  readonly #url: string;
  readonly #headers: Readonly<Record<string, string>>;

  constructor(options: PlainLineOptions) {
    this.#options = options;
    this.#url = new URL(NAME, options.url).href;
    const token = Buffer.from(`${options.user}:${options.password}`).toString('base64');
    this.#headers = { authorization: `Basic ${token}` };
  }

  /** Seconds of one GET of so many bytes, without the round trip. */
  async downSeconds(bytes: number): Promise<number> {
    if (bytes === 0) return 0;
    const path = join(this.#options.root, NAME);
    makeLarge(path, bytes);
    try {
      return await this.#timed(async (dispatcher) => {
        const { body } = await request(this.#url, { headers: this.#headers, dispatcher });
        const start = performance.now();
        for await (const _chunk of body);
        return start;
      });
    } finally {
      rmSync(path, { force: true });
    }
  }

  /** Seconds of one PUT of so many bytes. */
  async upSeconds(bytes: number): Promise<number> {
    if (bytes === 0) return 0;
    try {
      return await this.#timed(async (dispatcher) => {
        const start = performance.now();
        const { body } = await request(this.#url, {
          method: 'PUT',
          headers: { ...this.#headers, 'content-length': String(bytes) },
          body: Readable.from(chunks(bytes)),
          dispatcher,
        });
        await body.dump();
        return start;
      });
    } finally {
      rmSync(join(this.#options.root, NAME), { force: true });
    }
  }

  /** `transfer` gives back when its time began. */
  async #timed(transfer: (dispatcher: Agent) => Promise<number>): Promise<number> {
    const dispatcher = new Agent();
    try {
      const start = await transfer(dispatcher);
      return (performance.now() - start) / 1000;
    } finally {
      await dispatcher.close();
    }
  }
}

async function* chunks(bytes: number): AsyncGenerator<Buffer> {
  for (let left = bytes; left > 0; left -= CHUNK_BYTES)
    yield Buffer.alloc(Math.min(left, CHUNK_BYTES), 'line');
}
