/** The figures as text of Prometheus, by prom-client: ours, and those of the process itself. Loaded when first asked for. */

import { collectDefaultMetrics, type Metric, Registry } from 'prom-client';
import {
  BUCKETS_SECONDS,
  type HistogramSample,
  METRICS,
  type MetricKey,
  type MetricSpec,
  type Readings,
  type Sample,
} from './metric-names.js';

/** How often the delay of the event loop is looked at: each look wakes the process. */
const LOOP_DELAY_EVERY_MS = 100;

interface Line {
  readonly metricName?: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export class PrometheusText {
  readonly #registry = new Registry();
  readonly #read: () => Readings;
  #readings: Readings | undefined;

  constructor(read: () => Readings) {
    this.#read = read;
    for (const key of Object.keys(METRICS) as MetricKey[]) this.#register(key, METRICS[key]);
    collectDefaultMetrics({ register: this.#registry, eventLoopMonitoringPrecision: LOOP_DELAY_EVERY_MS });
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  async text(): Promise<string> {
    this.#readings = this.#read();
    return await this.#registry.metrics();
  }

  #register(key: MetricKey, { name, help, kind }: MetricSpec): void {
    const get = () =>
      Promise.resolve({ name, help, type: kind, aggregator: 'sum', values: this.#lines(key, name) });
    // The registry asks no more of a metric than this; its own classes would have to be told of each request.
    const metric = { name, help, type: kind, aggregator: 'sum', get, reset: () => undefined };
    this.#registry.registerMetric(metric as unknown as Metric);
  }

  #lines(key: MetricKey, name: string): Line[] {
    const reading = this.#readings?.[key];
    if (reading === undefined) return [];
    if (typeof reading === 'number') return [{ labels: {}, value: reading }];
    return (reading as readonly (Sample | HistogramSample)[]).flatMap((sample) =>
      'counts' in sample ? histogramLines(name, sample) : [sample],
    );
  }
}

/** Buckets are cumulative in the text. */
function histogramLines(name: string, { labels, counts, sum }: HistogramSample): Line[] {
  let total = 0;
  const buckets = counts.map((count, at): Line => {
    total += count;
    const le = String(BUCKETS_SECONDS[at] ?? '+Inf');
    return { metricName: `${name}_bucket`, labels: { ...labels, le }, value: total };
  });
  return [
    ...buckets,
    { metricName: `${name}_sum`, labels, value: sum },
    { metricName: `${name}_count`, labels, value: total },
  ];
}
