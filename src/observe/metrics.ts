/** The figures of one mount: what is counted as it happens, and what is looked up when someone asks. */

import type { Readings } from './metric-names.js';
import type { PrometheusText } from './prometheus.js';
import { Tally } from './tally.js';

/** What is counted here. */
type Counted =
  | 'fuseRequests'
  | 'fuseSeconds'
  | 'httpRequests'
  | 'httpSeconds'
  | 'httpQueuedSeconds'
  | 'sentBytes'
  | 'receivedBytes'
  | 'refusals'
  | 'uploads'
  | 'uploadedBytes'
  | 'troubles'
  | 'conflictsFound';

/** What others know when they are asked. */
export type LookedUp = Omit<Readings, Counted>;

export interface HttpExchange {
  readonly method: string;
  readonly status: number | undefined;
  readonly error: string | undefined;
  readonly queuedMs: number;
  readonly totalMs: number;
  readonly sentBytes: number;
  readonly receivedBytes: number;
}

const UNAUTHORIZED = 401;
const MS_PER_S = 1000;
/** Codes beyond this many are not told apart. */
const MAX_CODES = 64;

export class Metrics {
  readonly #fuse = new Tally();
  readonly #http = new Tally();
  readonly #troubles = new Map<string, number>();
  #queuedMs = 0;
  #sentBytes = 0;
  #receivedBytes = 0;
  #refusals = 0;
  #uploads = 0;
  #uploadedBytes = 0;
  #conflicts = 0;
  #text: Promise<PrometheusText> | undefined;
  #lookUp: (() => LookedUp) | undefined;

  /** Who is asked for the rest. */
  set source(lookUp: () => LookedUp) {
    this.#lookUp = lookUp;
  }

  /** A request of the kernel was answered; `errno`: its name, undefined when it went well. */
  readonly fuseAnswered = (operation: string, durationMs: number, errno: string | undefined): void => {
    this.#fuse.note(operation, durationMs, errno);
  };

  readonly httpEnded = (exchange: HttpExchange): void => {
    const { method, status, error, queuedMs, totalMs, sentBytes, receivedBytes } = exchange;
    // A status is told also where it is good; one whose body was cut off is told by what cut it.
    this.#http.note(method, totalMs, error ?? String(status));
    this.#queuedMs += queuedMs;
    this.#sentBytes += sentBytes;
    this.#receivedBytes += receivedBytes;
    if (status === UNAUTHORIZED) this.#refusals++;
  };

  uploaded(bytes: number): void {
    this.#uploads++;
    this.#uploadedBytes += bytes;
  }

  trouble(code: string): void {
    const key = this.#troubles.has(code) || this.#troubles.size < MAX_CODES ? code : 'other';
    this.#troubles.set(key, (this.#troubles.get(key) ?? 0) + 1);
  }

  conflict(): void {
    this.#conflicts++;
  }

  /** All of it as text of Prometheus, with its media type. */
  async scrape(): Promise<{ readonly contentType: string; readonly text: string }> {
    const lookUp = this.#lookUp;
    if (lookUp === undefined) throw new Error('metrics without a source');
    this.#text ??= import('./prometheus.js').then(
      ({ PrometheusText }) => new PrometheusText(() => ({ ...lookUp(), ...this.#counted() })),
    );
    const prometheus = await this.#text;
    return { contentType: prometheus.contentType, text: await prometheus.text() };
  }

  #counted(): Pick<Readings, Counted> {
    return {
      fuseRequests: this.#fuse.counts('operation', 'errno'),
      fuseSeconds: this.#fuse.histograms('operation'),
      httpRequests: this.#http.counts('method', 'outcome'),
      httpSeconds: this.#http.histograms('method'),
      httpQueuedSeconds: this.#queuedMs / MS_PER_S,
      sentBytes: this.#sentBytes,
      receivedBytes: this.#receivedBytes,
      refusals: this.#refusals,
      uploads: this.#uploads,
      uploadedBytes: this.#uploadedBytes,
      troubles: [...this.#troubles].map(([code, value]) => ({ labels: { code }, value })),
      conflictsFound: this.#conflicts,
    };
  }
}
