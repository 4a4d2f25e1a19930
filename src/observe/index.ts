export { type SerializedError, serializeError } from './error-serializer.js';
export {
  createLogger,
  LOG_FORMATS,
  LOG_LEVELS,
  type LogFormat,
  type Logger,
  type LogLevel,
  type LogOptions,
  subsystemLogger,
} from './logger.js';
