import assert from 'node:assert/strict';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Secret } from '../../../src/base/index.js';
import {
  createLogger,
  type Logger,
  type LogOptions,
  serializeError,
  subsystemLogger,
} from '../../../src/observe/index.js';

/** What a logger with `options` writes while `use` runs. */
async function logged(options: Omit<LogOptions, 'fd'>, use: (logger: Logger) => void): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'infinimount-log-'));
  try {
    const path = join(folder, 'log');
    const fd = openSync(path, 'w');
    try {
      use(await createLogger({ ...options, fd }));
      return readFileSync(path, 'utf8');
    } finally {
      closeSync(fd);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test('JSON lines where there is no terminal, at once', async () => {
  const text = await logged({ level: 'info', format: 'auto' }, (logger) => {
    logger.debug('hidden');
    subsystemLogger(logger, 'sync').warn({ ino: 7 }, 'slow');
  });
  const line: Record<string, unknown> = JSON.parse(text);
  assert.deepEqual(
    { ...line, time: undefined },
    { level: 'warn', time: undefined, subsystem: 'sync', ino: 7, msg: 'slow' },
  );
  assert.equal(new Date(String(line.time)).toISOString(), line.time);
});

test('readable lines on request', async () => {
  const text = await logged({ level: 'info', format: 'pretty' }, (logger) => {
    subsystemLogger(logger, 'sync').warn({ ino: 7 }, 'slow');
  });
  assert.match(text, /WARN.*sync: slow/);
  assert.match(text, /ino: 7/);
});

for (const format of ['json', 'pretty'] as const) {
  test(`secrets do not reach the log (${format})`, async () => {
    const text = await logged({ level: 'info', format }, (logger) => {
      const headers = { authorization: 'Basic s3cret', accept: '*/*' };
      logger.info(
        { headers, password: 's3cret', options: { a: { password: 's3cret' } }, own: new Secret('s3cret') },
        'x',
      );
      const error = Object.assign(new Error('failed'), { response: { config: { headers } }, status: 401 });
      logger.error({ err: error }, 'y');
      logger.error({ err: new Error('outer', { cause: error }) }, 'z');
    });
    assert.match(text, /\*\/\*/);
    assert.match(text, /outer/);
    assert.ok(!text.includes('s3cret'), text);
  });
}

test('an error keeps its code, status and causes, and nothing else', () => {
  const inner = Object.assign(new Error('inner'), {
    code: 'ENOENT',
    syscall: 'open',
    path: '/x',
    request: 'secret',
  });
  const outer = Object.assign(new TypeError('outer', { cause: inner }), { status: 500 });
  const { stack, ...copy } = serializeError(outer) as Record<string, unknown>;
  assert.match(String(stack), /outer/);
  const { stack: innerStack, ...cause } = copy.cause as Record<string, unknown>;
  assert.match(String(innerStack), /inner/);
  assert.deepEqual(
    { ...copy, cause },
    {
      type: 'TypeError',
      message: 'outer',
      status: 500,
      cause: { type: 'Error', message: 'inner', code: 'ENOENT', syscall: 'open', path: '/x' },
    },
  );
  assert.equal(serializeError('text'), 'text');
});

test('a circle of causes ends', () => {
  const error = new Error('a');
  error.cause = error;
  assert.ok(JSON.stringify(serializeError(error)).length > 0);
});

test('another level holds for the loggers that were made before, too', async () => {
  const text = await logged({ level: 'info', format: 'json' }, (logger) => {
    const child = subsystemLogger(logger, 'sync');
    const grandchild = child.child({ part: 'x' });
    child.debug('before');
    logger.level = 'debug';
    child.debug('after');
    grandchild.debug('after as well');
    logger.level = 'error';
    child.info('too little');
  });
  const messages = text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line).msg);
  assert.deepEqual(messages, ['after', 'after as well']);
});
