/**
 * Counts what happens often: requests by what they are and how they ended, with how long they took. To note one is a look
 * into a map and two additions; everything else is left to whoever reads.
 */

import { BUCKETS_SECONDS, type HistogramSample, type Sample } from './metric-names.js';

const MS_PER_S = 1000;
const BOUNDS_MS = BUCKETS_SECONDS.map((seconds) => seconds * MS_PER_S);
/** Kinds beyond this many are counted as one: a server or kernel of the future cannot fill the memory. */
const MAX_KINDS = 256;
const OTHER = 'other';
const GOOD = 'ok';

class Kind {
  good = 0;
  sumMs = 0;
  readonly counts = new Float64Array(BOUNDS_MS.length + 1);
  readonly bad = new Map<string, number>();
}

export class Tally {
  readonly #kinds = new Map<string, Kind>();

  /** `outcome`: undefined for what went well. */
  note(name: string, durationMs: number, outcome: string | undefined): void {
    const kind = this.#kinds.get(name) ?? this.#add(name);
    if (outcome === undefined) kind.good++;
    else {
      const key = kind.bad.size < MAX_KINDS || kind.bad.has(outcome) ? outcome : OTHER;
      kind.bad.set(key, (kind.bad.get(key) ?? 0) + 1);
    }
    kind.sumMs += durationMs;
    let at = 0;
    while (at < BOUNDS_MS.length && durationMs > (BOUNDS_MS[at] ?? 0)) at++;
    kind.counts[at] = (kind.counts[at] ?? 0) + 1;
  }

  counts<N extends string, O extends string>(name: N, outcome: O): Sample<N | O>[] {
    return [...this.#kinds].flatMap(([kindName, { good, bad }]) => {
      const outcomes = good > 0 ? [[GOOD, good] as const, ...bad] : [...bad];
      return outcomes.map(([what, value]) => ({
        labels: labelled<N | O>([name, kindName], [outcome, what]),
        value,
      }));
    });
  }

  histograms<N extends string>(name: N): HistogramSample<N>[] {
    return [...this.#kinds].map(([kindName, { counts, sumMs }]) => ({
      labels: labelled<N>([name, kindName]),
      counts: [...counts],
      sum: sumMs / MS_PER_S,
    }));
  }

  #add(name: string): Kind {
    const key = this.#kinds.size < MAX_KINDS ? name : OTHER;
    const kind = this.#kinds.get(key) ?? new Kind();
    this.#kinds.set(key, kind);
    return kind;
  }
}

function labelled<L extends string>(...pairs: readonly (readonly [L, string])[]): Record<L, string> {
  return Object.fromEntries(pairs) as Record<L, string>;
}
