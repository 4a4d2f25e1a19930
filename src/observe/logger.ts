/**
 * The log: pino, readable lines on a terminal and JSON lines otherwise, always on a descriptor of the caller's
 * (stderr) and written at once, so that nothing is lost when the process dies.
 */

import { isatty } from 'node:tty';
import { destination, type Logger, type LoggerOptions, pino } from 'pino';
import type { LogFormat, LogLevel } from '../base/index.js';
import { serializeError } from './error-serializer.js';

export type { Logger } from 'pino';

export interface LogOptions {
  readonly level: LogLevel;
  /** `auto`: `pretty` when `fd` is a terminal, else `json`. */
  readonly format: LogFormat;
  /** File descriptor to write to; 2 (stderr) when absent. */
  readonly fd?: number;
}

const STDERR_FD = 2;
const MANY_CHILDREN = 256;

/** Field names whose values never reach the log, at the top or in any of the first levels below. */
const SECRET_FIELDS = ['password', 'authorization', 'Authorization', 'cookie', 'token', 'apiKey'];
const SECRET_DEPTH = 4;

const REDACTED_PATHS = SECRET_FIELDS.flatMap((field) =>
  Array.from({ length: SECRET_DEPTH }, (_, depth) => '*.'.repeat(depth) + field),
);

/**
 * Makes the root logger; each subsystem gets a child of it by {@link subsystemLogger}. A `level` that is set on it later
 * holds for all children.
 */
export async function createLogger(options: LogOptions): Promise<Logger> {
  const family = new Family();
  const logger = await makeLogger(options, family);
  family.follow(logger);
  return logger;
}

/** The children of a logger: pino gives each a level of its own. */
class Family {
  #children: WeakRef<Logger>[] = [];

  add(child: Logger): void {
    // Two of three are gone by the time this many were made.
    if (this.#children.length >= MANY_CHILDREN) this.#children = this.#children.filter((ref) => ref.deref());
    this.#children.push(new WeakRef(child));
  }

  follow(parent: Logger): void {
    parent.on('level-change', (level: string, _value, _before, _valueBefore, logger) => {
      if (logger !== parent) return;
      for (const ref of this.#children) {
        const child = ref.deref();
        if (child !== undefined) child.level = level;
      }
    });
  }
}

async function makeLogger(options: LogOptions, family: Family): Promise<Logger> {
  const fd = options.fd ?? STDERR_FD;
  const settings: LoggerOptions = {
    level: options.level,
    onChild: (child) => family.add(child),
    base: null,
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    formatters: { level: (label) => ({ level: label }) },
    redact: { paths: REDACTED_PATHS, censor: '[redacted]' },
    serializers: { err: serializeError, error: serializeError, cause: serializeError },
  };
  const pretty = options.format === 'pretty' || (options.format === 'auto' && isatty(fd));
  const out = destination({ dest: fd, sync: true });
  // A terminal that was closed, or a full disk below a log file, must not end a mount. Nobody can be told.
  out.on('error', () => undefined);
  if (!pretty) return pino(settings, out);
  // Loaded only where it is used: it is a good part of the start-up time.
  const { default: prettyStream } = await import('pino-pretty');
  return pino(
    settings,
    prettyStream({
      destination: out,
      colorize: isatty(fd),
      translateTime: 'SYS:HH:MM:ss.l',
      ignore: 'subsystem',
      messageFormat: '{if subsystem}{subsystem}: {end}{msg}',
      errorLikeObjectKeys: ['err', 'error', 'cause'],
    }),
  );
}

/** The logger of one subsystem: each line says which. */
export function subsystemLogger(root: Logger, subsystem: string): Logger {
  return root.child({ subsystem });
}
