export { type SerializedError, serializeError } from './error-serializer.js';
export { createLogger, type Logger, type LogOptions, subsystemLogger } from './logger.js';
export {
  BUCKETS_SECONDS,
  type HistogramSample,
  METRICS,
  type MetricKey,
  type MetricKind,
  type MetricSpec,
  type Reading,
  type Readings,
  type Sample,
} from './metric-names.js';
export { type HttpExchange, type LookedUp, Metrics } from './metrics.js';
export { Tally } from './tally.js';
